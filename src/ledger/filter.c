#include "ledger/filter.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"

/* --- times ------------------------------------------------------------------------------- */

enum err
ledger_time(struct str text, int64_t now_us, char out[LEDGER_TIME_BYTES])
{
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    const char *unit = text.len < 2 ? NULL : memchr(units, text.ptr[text.len - 1], 4);
    char formatted[CLOCK_TEXT_BYTES];
    uint64_t n;

    if (unit != NULL && str_to_uint((struct str){text.ptr, text.len - 1}, 1000000000, &n)) {
        (void)clock_format(now_us - (int64_t)n * seconds[unit - units] * 1000000, formatted);
        (void)snprintf(out, LEDGER_TIME_BYTES, "%s", formatted);
        return OK;
    }
    if (text.len > 0 && text.ptr[text.len - 1] == 'Z')
        text.len--;
    if (text.len < 4 || text.len >= CLOCK_TEXT_BYTES)
        return fail(ERR_INVALID, "this is no time: 2026-01-31T08:00:00Z, 2026-01-31 or 15m");
    for (size_t i = 0; i < text.len; i++)
        if (memchr("0123456789-T:.", text.ptr[i], 14) == NULL)
            return fail(ERR_INVALID, "%.*s is no time: 2026-01-31T08:00:00Z, 2026-01-31 or 15m",
                        STR_ARG(text));
    (void)snprintf(out, LEDGER_TIME_BYTES, "%.*s", STR_ARG(text));
    return OK;
}

/* The two digits at `at` if the text has them, else `otherwise`. */
static int
digits_at(struct str text, size_t at, int otherwise)
{
    uint64_t value;

    if (text.len < at + 2)
        return otherwise;
    return str_to_uint((struct str){text.ptr + at, 2}, 99, &value) ? (int)value : -1;
}

bool
ledger_time_shift(struct str time, bool latest, int64_t seconds, char out[LEDGER_TIME_BYTES])
{
    int month = digits_at(time, 5, latest ? 12 : 1), day = digits_at(time, 8, latest ? 31 : 1);
    int hour = digits_at(time, 11, latest ? 23 : 0), minute = digits_at(time, 14, latest ? 59 : 0);
    int second = digits_at(time, 17, latest ? 60 : 0);
    char formatted[CLOCK_TEXT_BYTES];
    struct tm tm;
    uint64_t year;

    if (time.len < 4 || !str_to_uint((struct str){time.ptr, 4}, 9999, &year) || month < 1 ||
        month > 12 || day < 1 || day > 31 || hour < 0 || minute < 0 || second < 0)
        return false;
    tm = (struct tm){.tm_year = (int)year - 1900,
                     .tm_mon = month - 1,
                     .tm_mday = day,
                     .tm_hour = hour,
                     .tm_min = minute,
                     .tm_sec = second};
    (void)clock_format(((int64_t)timegm(&tm) + seconds) * 1000000, formatted);
    (void)snprintf(out, LEDGER_TIME_BYTES, "%s", formatted);
    return true;
}

/* --- a record -----------------------------------------------------------------------------------
 */

struct str
ledger_member(const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : (struct str){"", 0};
}

struct str
ledger_subject(const json_t *record)
{
    struct str subject = ledger_member(json_object_get(record, "identity"), "subject");

    if (subject.len == 0)
        subject = ledger_member(record, "subject");
    return subject.len > 0 ? subject : ledger_member(record, "claimed_subject");
}

static bool
fits(struct str pattern, struct str value)
{
    return pattern.len == 0 || str_glob(pattern, value);
}

/* Whether it is about this identity, or what it did: humans who decide and administer are actors.
 */
static bool
is_of(const json_t *record, struct str pattern)
{
    struct str actor = ledger_member(record, "actor");

    return fits(pattern, ledger_subject(record)) || (actor.len > 0 && fits(pattern, actor));
}

static bool
is_in_time(const struct ledger_filter *filter, struct str time)
{
    if (filter->since.len > 0 && str_compare(time, filter->since) < 0)
        return false;
    return filter->until.len == 0 || str_starts(time, filter->until) ||
           str_compare(time, filter->until) <= 0;
}

/* The name's pattern; `*schema` is empty if any will do. */
static struct str
split_table(struct str table, struct str *schema)
{
    struct str head, rest = str_cut(table, '.', &head);

    if (head.len == table.len) {
        *schema = (struct str){"", 0};
        return table;
    }
    *schema = head;
    return rest;
}

static bool
uses_table(const json_t *record, struct str table)
{
    const json_t *facts = json_object_get(record, "facts"), *fact;
    struct str schema, name = split_table(table, &schema);
    size_t i;

    json_array_foreach(facts, i, fact)
    {
        struct str in = ledger_member(fact, "schema");

        if (str_is(ledger_member(fact, "kind"), "relation") &&
            str_glob(name, ledger_member(fact, "name")) && (in.len == 0 || fits(schema, in)))
            return true;
    }
    return false;
}

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static char
upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

/* The first `c` of either case; s.len if there is none. */
static size_t
find_letter(struct str s, char c)
{
    size_t a = str_index(s, lower(c)), b;

    if (lower(c) == upper(c))
        return a;
    b = str_index((struct str){s.ptr, a}, upper(c));
    return b < a ? b : a;
}

static bool
contains_nocase(struct str s, struct str part)
{
    if (part.len == 0)
        return true;
    while (s.len >= part.len) {
        size_t at = find_letter(s, part.ptr[0]);

        if (s.len - at < part.len)
            return false;
        s = str_skip(s, at);
        if (str_equal_nocase((struct str){s.ptr, part.len}, part))
            return true;
        s = str_skip(s, 1);
    }
    return false;
}

static bool
has_text(const json_t *value, struct str text)
{
    const char *key;
    json_t *member;
    size_t i;

    if (json_is_string(value))
        return contains_nocase((struct str){json_string_value(value), json_string_length(value)},
                               text);
    json_array_foreach(value, i, member)
    {
        if (has_text(member, text))
            return true;
    }
    json_object_foreach((json_t *)value, key, member)
    {
        if (strcmp(key, "hash") != 0 && strcmp(key, "prev") != 0 && has_text(member, text))
            return true;
    }
    return false;
}

bool
ledger_filter_matches(const struct ledger_filter *filter, const json_t *record)
{
    return is_in_time(filter, ledger_member(record, "time")) &&
           fits(filter->session, ledger_member(record, "session")) &&
           is_of(record, filter->subject) &&
           fits(filter->resource, ledger_member(record, "resource")) &&
           fits(filter->type, ledger_member(record, "type")) &&
           fits(filter->verdict, ledger_member(record, "verdict")) &&
           (filter->table.len == 0 || uses_table(record, filter->table)) &&
           (filter->text.len == 0 || has_text(record, filter->text));
}

/* --- a line -------------------------------------------------------------------------------------
 */

/* The longest run of the pattern that stands in a line as it is: without the globs' `*` and `?`
 * (unless it is `plain`), and nothing that JSON would escape. */
static struct str
literal_of(struct str pattern, bool plain)
{
    struct str best = {"", 0};

    for (size_t start = 0, i = 0; i <= pattern.len; i++) {
        unsigned char c = i < pattern.len ? (unsigned char)pattern.ptr[i] : 0;

        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && (plain || (c != '*' && c != '?')))
            continue;
        if (i - start > best.len)
            best = (struct str){pattern.ptr + start, i - start};
        start = i + 1;
    }
    return best;
}

static bool
may_hold(struct str line, struct str pattern)
{
    struct str literal = literal_of(pattern, false);

    return literal.len == 0 || memmem(line.ptr, line.len, literal.ptr, literal.len) != NULL;
}

bool
ledger_filter_may_match(const struct ledger_filter *filter, struct str line)
{
    struct str schema;

    return may_hold(line, filter->session) && may_hold(line, filter->type) &&
           may_hold(line, filter->verdict) && may_hold(line, filter->subject) &&
           may_hold(line, filter->resource) &&
           may_hold(line, split_table(filter->table, &schema)) &&
           contains_nocase(line, literal_of(filter->text, true));
}
