#include "cli/audit_view.h"

#include <stdlib.h>

#include "ledger/filter.h"

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
        audit_print_safe(out, ledger_member(record, key), false);
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
    struct str statement = ledger_member(record, "statement");
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
    print_column(out, ledger_member(record, "time"), 27);
    print_column(out, ledger_member(record, "type"), 16);
    print_column(out, ledger_member(record, "session"), 16);
    print_column(out, ledger_subject(record), 12);
    print_column(out, ledger_member(record, "resource"), 12);
    print_column(out, ledger_member(record, "verdict"), 5);
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
