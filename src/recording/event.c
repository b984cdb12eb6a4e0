#include "recording/event.h"

enum { SECOND_US = 1000000, FRACTION_DIGITS = 6 };

void
recording_event_begin(struct json *j, uint64_t at_us, uint64_t number, const char *kind)
{
    json_open(j, '{');
    buf_printf(j->out, "\"t\":%llu.%06llu,\"n\":%llu,\"kind\":\"%s\"",
               (unsigned long long)(at_us / SECOND_US), (unsigned long long)(at_us % SECOND_US),
               (unsigned long long)number, kind);
    j->comma = true;
}

static bool
skip(struct str *s, struct str text)
{
    if (!str_starts(*s, text))
        return false;
    *s = str_skip(*s, text.len);
    return true;
}

static bool
skip_digits(struct str *s, uint64_t max, uint64_t *value, size_t *digits)
{
    size_t n = 0;

    while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9')
        n++;
    if (n == 0 || !str_to_uint((struct str){s->ptr, n}, max, value))
        return false;
    *s = str_skip(*s, n);
    *digits = n;
    return true;
}

enum err
recording_event_head(struct str line, struct recording_event_head *out)
{
    uint64_t seconds, fraction;
    size_t digits, kind;

    if (!skip(&line, STR("{\"t\":")) ||
        !skip_digits(&line, UINT64_MAX / SECOND_US - 1, &seconds, &digits) ||
        !skip(&line, STR(".")) || !skip_digits(&line, SECOND_US - 1, &fraction, &digits) ||
        digits != FRACTION_DIGITS || !skip(&line, STR(",\"n\":")) ||
        !skip_digits(&line, UINT64_MAX, &out->number, &digits) ||
        !skip(&line, STR(",\"kind\":\"")) || (kind = str_index(line, '"')) == line.len)
        return fail(ERR_INVALID, "a line of a recording that is no event");
    out->at_us = seconds * SECOND_US + fraction;
    out->kind = (struct str){line.ptr, kind};
    return OK;
}
