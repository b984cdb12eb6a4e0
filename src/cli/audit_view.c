#include "cli/audit_view.h"

#include <stdlib.h>

#include "base/clock.h"

enum { STATEMENT_SHOWN_MAX = 400 };

/* Whether the character could act on a terminal or disguise what is around it. */
static bool
is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xe0000 && c <= 0xe0fff);
}

static uint32_t
code_point(struct str sequence)
{
    unsigned char first = (unsigned char)sequence.ptr[0];
    uint32_t c = sequence.len == 1 ? first : first & (0x7fu >> sequence.len);

    for (size_t i = 1; i < sequence.len; i++)
        c = c << 6 | ((unsigned char)sequence.ptr[i] & 0x3fu);
    return c;
}

static void
print_escape(FILE *out, uint32_t c)
{
    if (c == '\n')
        fputs("\\n", out);
    else if (c == '\t')
        fputs("\\t", out);
    else if (c > 0xffff) /* as JSON would: two surrogates */
        fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
    else
        fprintf(out, "\\u%04x", c);
}

void
audit_print_safe(FILE *out, struct str text, bool newlines)
{
    while (text.len > 0) {
        size_t n = str_utf8_length(text);
        uint32_t c;

        if (n == 0) {
            fputs("\xef\xbf\xbd", out);
            text = str_skip(text, 1);
            continue;
        }
        c = code_point((struct str){text.ptr, n});
        if (is_unsafe(c) && !(c == '\n' && newlines))
            print_escape(out, c);
        else
            fwrite(text.ptr, 1, n, out);
        text = str_skip(text, n);
    }
}

enum err
audit_time(const char *text, char out[AUDIT_TIME_BYTES])
{
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    struct str s = str_from(text);
    const char *unit = s.len < 2 ? NULL : strchr(units, s.ptr[s.len - 1]);
    uint64_t n;

    if (unit != NULL && str_to_uint((struct str){s.ptr, s.len - 1}, 1000000000, &n)) {
        char formatted[CLOCK_TEXT_BYTES];

        (void)clock_format(clock_wall_us() - (int64_t)n * seconds[unit - units] * 1000000,
                           formatted);
        (void)snprintf(out, AUDIT_TIME_BYTES, "%s", formatted);
        return OK;
    }
    if (s.len > 0 && s.ptr[s.len - 1] == 'Z')
        s.len--;
    if (s.len < 4 || s.len >= CLOCK_TEXT_BYTES || strspn(text, "0123456789-T:.") < s.len)
        return fail(ERR_INVALID, "%s is no time: 2026-01-31T08:00:00Z, 2026-01-31 or 15m", text);
    (void)snprintf(out, AUDIT_TIME_BYTES, "%.*s", STR_ARG(s));
    return OK;
}

/* A member that is text; empty if it is not. */
static struct str
member(const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : (struct str){"", 0};
}

static struct str
subject_of(const json_t *record)
{
    struct str subject = member(json_object_get(record, "identity"), "subject");

    if (subject.len == 0)
        subject = member(record, "subject");
    return subject.len > 0 ? subject : member(record, "claimed_subject");
}

static bool
fits(const char *pattern, struct str value)
{
    return pattern == NULL || str_glob(str_from(pattern), value);
}

bool
audit_matches(const struct audit_filter *filter, const json_t *record)
{
    struct str time = member(record, "time");

    if (filter->since != NULL && str_compare(time, str_from(filter->since)) < 0)
        return false;
    if (filter->until != NULL && !str_starts(time, str_from(filter->until)) &&
        str_compare(time, str_from(filter->until)) > 0)
        return false;
    return fits(filter->session, member(record, "session")) &&
           fits(filter->subject, subject_of(record)) &&
           fits(filter->resource, member(record, "resource")) &&
           fits(filter->type, member(record, "type")) &&
           fits(filter->verdict, member(record, "verdict"));
}

static void
print_column(FILE *out, struct str value, int width)
{
    int shown = 0;

    for (struct str rest = value; rest.len > 0;) { /* columns count characters */
        size_t n = str_utf8_length(rest);

        rest = str_skip(rest, n == 0 ? 1 : n);
        shown++;
    }
    if (value.len == 0) {
        fputc('-', out);
        shown = 1;
    }
    audit_print_safe(out, value, false);
    fprintf(out, "%*s ", shown < width ? width - shown : 0, "");
}

static void
print_named(FILE *out, const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);

    if (json_is_integer(value))
        fprintf(out, " %s=%lld", key, (long long)json_integer_value(value));
    if (json_is_string(value)) {
        fprintf(out, " %s=", key);
        audit_print_safe(out, member(record, key), false);
    }
}

static void
print_detail(FILE *out, const json_t *record)
{
    static const char *const shown[] = {
        "reason",    "event",     "service", "actor",         "action",   "target",      "file",
        "cut_bytes", "signal",    "rows",    "bytes",         "error",    "duration_us", "commands",
        "denied",    "message",   "path",    "digest",        "detail",   "text",        "rule",
        "masked",    "protected", "limit",   "masked_values", "detected", "decision",    "request",
        "by",        "waited_us", "purpose"};
    struct str statement = member(record, "statement");
    bool cut = statement.len > STATEMENT_SHOWN_MAX;

    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        print_named(out, record, shown[i]);
    if (json_is_true(json_object_get(record, "unknown")))
        fputs(" outcome-unknown", out);
    if (json_is_true(json_object_get(record, "recovered")))
        fputs(" recovered", out);
    if (statement.len == 0)
        return;
    if (cut)
        statement.len = STATEMENT_SHOWN_MAX;
    while (cut && ((unsigned char)statement.ptr[statement.len] & 0xc0) == 0x80)
        statement.len--; /* not within a character */
    fputs(": ", out);
    audit_print_safe(out, statement, false);
    if (cut)
        fputs(" ...", out);
}

void
audit_print_line(FILE *out, const json_t *record)
{
    fprintf(out, "%8lld ", (long long)json_integer_value(json_object_get(record, "seq")));
    print_column(out, member(record, "time"), 27);
    print_column(out, member(record, "type"), 16);
    print_column(out, member(record, "session"), 16);
    print_column(out, subject_of(record), 12);
    print_column(out, member(record, "resource"), 12);
    print_column(out, member(record, "verdict"), 5);
    print_detail(out, record);
    fputc('\n', out);
}

void
audit_print_whole(FILE *out, const json_t *record)
{
    char *text = json_dumps(record, JSON_INDENT(2));

    if (text == NULL)
        return;
    audit_print_safe(out, str_from(text), true);
    fputc('\n', out);
    free(text);
}
