#include "ledger/fields.h"

#include <jansson.h>

static struct str
skip_space(struct str s)
{
    while (s.len > 0 && memchr(" \t\r\n", s.ptr[0], 4) != NULL)
        s = str_skip(s, 1);
    return s;
}

/* Bytes of the string at the start with both quotes; 0 if it does not end. */
static size_t
string_length(struct str s)
{
    for (size_t i = 1; i < s.len;) {
        size_t quote = i + str_index(str_skip(s, i), '"'), slashes = 0;

        if (quote >= s.len)
            return 0;
        while (quote - slashes > i && s.ptr[quote - slashes - 1] == '\\')
            slashes++;
        i = quote + 1;
        if (slashes % 2 == 0)
            return i;
    }
    return 0;
}

/* Bytes of the array or object at the start. */
static size_t
nested_length(struct str s)
{
    size_t depth = 0, i = 0;

    while (i < s.len) {
        char c = s.ptr[i];

        if (c == '"') {
            size_t n = string_length(str_skip(s, i));

            if (n == 0)
                return 0;
            i += n;
            continue;
        }
        i++;
        if (c == '{' || c == '[')
            depth++;
        if ((c == '}' || c == ']') && --depth == 0)
            return i;
    }
    return 0;
}

/* Bytes of the value at the start; 0 if there is none. */
static size_t
value_length(struct str s)
{
    size_t n = 0;

    if (s.len == 0)
        return 0;
    if (s.ptr[0] == '"')
        return string_length(s);
    if (s.ptr[0] == '{' || s.ptr[0] == '[')
        return nested_length(s);
    while (n < s.len && memchr(",]} \t\r\n", s.ptr[n], 7) == NULL)
        n++;
    return n;
}

struct fields
fields_of(struct str text)
{
    text = skip_space(text);
    if (text.len == 0 || text.ptr[0] != '{')
        return (struct fields){.failed = true};
    return (struct fields){.rest = str_skip(text, 1)};
}

static bool
take_value(struct str *s, struct str *value)
{
    size_t n = value_length(*s);

    if (n == 0)
        return false;
    *value = (struct str){s->ptr, n};
    *s = skip_space(str_skip(*s, n));
    return true;
}

bool
fields_next(struct fields *f, struct str *key, struct str *value)
{
    struct str s = skip_space(f->rest);

    if (f->failed || (s.len > 0 && s.ptr[0] == '}')) {
        f->rest = (struct str){"}", 1};
        return false;
    }
    if (s.len > 0 && s.ptr[0] == ',')
        s = skip_space(str_skip(s, 1));
    f->failed = s.len == 0 || s.ptr[0] != '"' || !take_value(&s, key) || s.len == 0 ||
                s.ptr[0] != ':';
    if (f->failed)
        return false;
    *key = (struct str){key->ptr + 1, key->len - 2};
    s = skip_space(str_skip(s, 1));
    f->failed = !take_value(&s, value) || s.len == 0 || (s.ptr[0] != ',' && s.ptr[0] != '}');
    f->rest = s;
    return !f->failed;
}

bool
fields_next_element(struct str *rest, struct str *value)
{
    struct str s = skip_space(*rest);

    if (s.len == 0 || (s.ptr[0] != '[' && s.ptr[0] != ','))
        return false;
    s = skip_space(str_skip(s, 1));
    if (s.len == 0 || s.ptr[0] == ']' || !take_value(&s, value)) {
        *rest = (struct str){"", 0};
        return false;
    }
    *rest = s;
    return true;
}

bool
fields_text(struct str value, struct buf *scratch, struct str *out)
{
    json_t *decoded;

    if (value.len < 2 || value.ptr[0] != '"')
        return false;
    *out = (struct str){value.ptr + 1, value.len - 2};
    if (memchr(out->ptr, '\\', out->len) == NULL)
        return true;
    decoded = json_loadb(value.ptr, value.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!json_is_string(decoded)) {
        json_decref(decoded);
        return false;
    }
    buf_reset(scratch);
    buf_put(scratch, json_string_value(decoded), json_string_length(decoded));
    json_decref(decoded);
    *out = buf_str(scratch);
    return buf_ok(scratch) == OK;
}
