#include "control/http.h"

#include <stdio.h>
#include <time.h>

#include "base/encode.h"

/* --- targets -------------------------------------------------------------------------------- */

static bool
is_path_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* One segment: not empty, not "." or "..", plain characters only. */
static bool
is_segment(struct str s)
{
    if (s.len == 0 || str_is(s, ".") || str_is(s, ".."))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_path_character(s.ptr[i]))
            return false;
    return true;
}

static enum err
check_path(struct str path)
{
    struct str rest = str_skip(path, 1), segment;
    size_t n = 0;

    if (path.len == 0 || path.ptr[0] != '/')
        return fail(ERR_INVALID, "the path does not begin with a slash");
    if (path.len == 1)
        return OK;
    for (bool more = true; more;) {
        more = str_index(rest, '/') < rest.len;
        rest = str_cut(rest, '/', &segment);
        if (++n > HTTP_SEGMENTS_MAX || !is_segment(segment))
            return fail(ERR_INVALID, "the path is not one of ours");
    }
    return OK;
}

enum err
http_target(struct str target, struct str *path, struct str *query)
{
    size_t at;

    if (target.len > HTTP_TARGET_BYTES_MAX)
        return fail(ERR_LIMIT, "the address is longer than %d bytes", HTTP_TARGET_BYTES_MAX);
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.ptr[i] <= 0x20 || (unsigned char)target.ptr[i] >= 0x7f)
            return fail(ERR_INVALID, "the address has characters that must be encoded");
    if (str_index(target, '#') < target.len)
        return fail(ERR_INVALID, "the address has a fragment");
    at = str_index(target, '?');
    *path = (struct str){target.ptr, at};
    *query = str_skip(target, at + 1);
    return check_path(*path);
}

/* --- queries and forms ------------------------------------------------------------------------ */

/* `text` without its encoding; `*out` in `arena`. */
static enum err
decode(struct str text, struct arena *arena, struct str *out)
{
    char *bytes = arena_alloc(arena, text.len + 1);
    size_t n = 0;

    if (bytes == NULL)
        return fail(ERR_NOMEM, "no memory for a query");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '%') {
            if (text.len - i < 3 || hex_digit(text.ptr[i + 1]) < 0 ||
                hex_digit(text.ptr[i + 2]) < 0)
                return fail(ERR_INVALID, "a percent sign in the query stands for nothing");
            c = (char)(hex_digit(text.ptr[i + 1]) << 4 | hex_digit(text.ptr[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        if (c == '\0')
            return fail(ERR_INVALID, "the query has a NUL");
        bytes[n++] = c;
    }
    *out = (struct str){bytes, n};
    return str_is_utf8(*out) ? OK : fail(ERR_INVALID, "the query is not UTF-8");
}

enum err
http_query_read(struct str text, struct arena *arena, struct http_query *out)
{
    struct str pair, name, value;
    enum err e;

    out->n = 0;
    while (text.len > 0) {
        text = str_cut(text, '&', &pair);
        if (pair.len == 0)
            continue;
        value = str_cut(pair, '=', &name);
        if (out->n == HTTP_QUERY_FIELDS_MAX)
            return fail(ERR_LIMIT, "the query has more than %d parameters", HTTP_QUERY_FIELDS_MAX);
        if ((e = decode(name, arena, &out->fields[out->n].name)) != OK ||
            (e = decode(value, arena, &out->fields[out->n].value)) != OK)
            return e;
        for (size_t i = 0; i < out->n; i++)
            if (str_equal(out->fields[i].name, out->fields[out->n].name))
                return fail(ERR_INVALID, "a parameter of the query is there twice");
        out->n++;
    }
    return OK;
}

struct str
http_query_get(const struct http_query *q, const char *name)
{
    for (size_t i = 0; i < q->n; i++)
        if (str_is(q->fields[i].name, name))
            return q->fields[i].value;
    return (struct str){NULL, 0};
}

/* --- headers ---------------------------------------------------------------------------------- */

struct str
http_cookie(struct str header, const char *name)
{
    struct str found = {NULL, 0}, pair, key, value;

    while (header.len > 0) {
        header = str_cut(header, ';', &pair);
        value = str_cut(str_trim(pair), '=', &key);
        if (!str_is(key, name))
            continue;
        if (found.ptr != NULL)
            return (struct str){NULL, 0};
        found = value;
    }
    return found;
}

struct str
http_bearer(struct str header)
{
    struct str scheme, rest = str_cut(header, ' ', &scheme), token = str_trim(rest);

    if (!str_equal_nocase(scheme, STR("Bearer")) || token.len == 0)
        return (struct str){NULL, 0};
    for (size_t i = 0; i < token.len; i++) /* b64token, RFC 6750 §2.1 */
        if (!is_path_character(token.ptr[i]) && strchr("+/=", token.ptr[i]) == NULL)
            return (struct str){NULL, 0};
    return token;
}

bool
http_is_type(struct str text, const char *type)
{
    struct str head;

    (void)str_cut(text, ';', &head);
    return str_equal_nocase(str_trim(head), str_from(type));
}

void
http_put_encoded(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (is_path_character(text.ptr[i]))
            buf_put_u8(out, (uint8_t)text.ptr[i]);
        else
            buf_printf(out, "%%%02X", (unsigned char)text.ptr[i]);
}

/* --- times -------------------------------------------------------------------------------------
 */

/* Up to six decimals after a dot, as microseconds; `*at` is moved behind them. */
static bool
read_fraction(const char **at, int64_t *us)
{
    int digits = 0;

    *us = 0;
    if (**at != '.')
        return true;
    for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, digits++)
        if (digits < 6)
            *us = *us * 10 + (**at - '0');
    if (digits == 0 || digits > 9)
        return false;
    for (; digits < 6; digits++)
        *us *= 10;
    return true;
}

static bool
read_zone(const char *text, int64_t *seconds)
{
    int hours = 0, minutes = 0, used = 0;
    char sign = '+';

    *seconds = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if (sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &used) != 3 || used != 6 ||
        text[used] != '\0' || (sign != '+' && sign != '-') || hours < 0 || hours > 23 ||
        minutes < 0 || minutes > 59)
        return false;
    *seconds = (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

enum err
http_time(struct str text, int64_t *wall_us)
{
    char copy[48];
    struct tm tm = {0}, again;
    const char *rest;
    int64_t us, zone;
    time_t at;

    if (text.len < 20 || text.len >= sizeof(copy) || str_index(text, '\0') < text.len)
        return fail(ERR_INVALID, "a time looks like 2026-01-31T08:00:00Z");
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
    again = tm;
    at = timegm(&again);
    if (rest == NULL || again.tm_mday != tm.tm_mday || at == (time_t)-1 ||
        !read_fraction(&rest, &us) || !read_zone(rest, &zone))
        return fail(ERR_INVALID, "a time looks like 2026-01-31T08:00:00Z");
    *wall_us = ((int64_t)at - zone) * 1000000 + us;
    return OK;
}
