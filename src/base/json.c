#include "base/json.h"

static void
separate(struct json *j)
{
    if (j->comma)
        buf_put_u8(j->out, ',');
    j->comma = true;
}

void
json_open(struct json *j, char bracket)
{
    separate(j);
    buf_put_u8(j->out, (uint8_t)bracket);
    j->comma = false;
}

void
json_close(struct json *j, char bracket)
{
    buf_put_u8(j->out, (uint8_t)bracket);
    j->comma = true;
}

static void
put_escape(struct buf *out, unsigned char c)
{
    switch (c) {
    case '"':
        buf_put(out, "\\\"", 2);
        break;
    case '\\':
        buf_put(out, "\\\\", 2);
        break;
    case '\n':
        buf_put(out, "\\n", 2);
        break;
    case '\r':
        buf_put(out, "\\r", 2);
        break;
    case '\t':
        buf_put(out, "\\t", 2);
        break;
    default:
        buf_printf(out, "\\u%04x", c);
    }
}

static bool
needs_escape(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

/* Whether any of the eight bytes is not ASCII or needs an escape; may say so of others too. Each
 * term sets the high bit of a byte that is above 0x7e, below 0x20, '"' or '\\'. */
static bool
needs_care(const char *eight)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    uint64_t bytes, quote, slash;

    memcpy(&bytes, eight, sizeof(bytes));
    quote = bytes ^ ones * '"';
    slash = bytes ^ ones * '\\';
    return ((bytes | (bytes + ones) | (bytes - ones * 0x20) | (quote - ones) | (slash - ones)) &
            high) != 0;
}

/* The run of bytes from `i` on that may stand in a JSON string as they are. */
static size_t
plain_run(struct str s, size_t i)
{
    size_t start = i;

    while (i < s.len) {
        size_t n;

        if (s.len - i >= 8 && !needs_care(s.ptr + i)) { /* almost always */
            i += 8;
            continue;
        }
        if (needs_escape((unsigned char)s.ptr[i]))
            break;
        if ((n = str_utf8_length(str_skip(s, i))) == 0)
            break;
        i += n;
    }
    return i - start;
}

static void
put_string(struct buf *out, struct str s)
{
    buf_put_u8(out, '"');
    for (size_t i = 0; i < s.len;) {
        size_t run = plain_run(s, i);

        buf_put(out, s.ptr + i, run);
        i += run;
        if (i == s.len)
            break;
        if (needs_escape((unsigned char)s.ptr[i]))
            put_escape(out, (unsigned char)s.ptr[i]);
        else
            buf_put_text(out, "\xef\xbf\xbd");
        i++;
    }
    buf_put_u8(out, '"');
}

void
json_key(struct json *j, const char *key)
{
    if (j->comma)
        buf_put(j->out, ",\"", 2);
    else
        buf_put_u8(j->out, '"');
    buf_put_text(j->out, key);
    buf_put(j->out, "\":", 2);
    j->comma = false;
}

void
json_str(struct json *j, struct str value)
{
    separate(j);
    put_string(j->out, value);
}

void
json_uint(struct json *j, uint64_t value)
{
    char digits[20];
    size_t n = sizeof(digits);

    separate(j);
    do
        digits[--n] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    buf_put(j->out, digits + n, sizeof(digits) - n);
}

void
json_int(struct json *j, int64_t value)
{
    separate(j);
    j->comma = false;
    if (value < 0)
        buf_put_u8(j->out, '-');
    json_uint(j, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void
json_bool(struct json *j, bool value)
{
    json_raw(j, value ? STR("true") : STR("false"));
}

void
json_put_null(struct json *j)
{
    json_raw(j, STR("null"));
}

void
json_raw(struct json *j, struct str text)
{
    separate(j);
    buf_put_str(j->out, text);
}

void
json_field_str(struct json *j, const char *key, struct str value)
{
    json_key(j, key);
    json_str(j, value);
}

void
json_field_text(struct json *j, const char *key, const char *value)
{
    json_field_str(j, key, str_from(value));
}

void
json_field_uint(struct json *j, const char *key, uint64_t value)
{
    json_key(j, key);
    json_uint(j, value);
}

void
json_field_bool(struct json *j, const char *key, bool value)
{
    json_key(j, key);
    json_bool(j, value);
}
