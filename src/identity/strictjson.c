#include "identity/strictjson.h"

/* Whether the escape at `s` (a backslash is its first byte) stands for NUL. */
static bool
is_nul_escape(struct str s)
{
    return s.len >= 6 && memcmp(s.ptr, "\\u0000", 6) == 0;
}

/* Looks at the text before the parser does: what the parser would swallow or stumble over.
 * Brackets are only counted, not matched: that is the parser's work. */
static enum err
scan(struct str text, const char *what)
{
    bool in_string = false;
    unsigned depth = 0;

    if (str_starts(text, STR("\xef\xbb\xbf")))
        return fail(ERR_INVALID, "%s starts with a byte order mark", what);
    if (str_index(text, '\0') != text.len)
        return fail(ERR_INVALID, "%s has a NUL byte", what);
    if (!str_is_utf8(text))
        return fail(ERR_INVALID, "%s is not UTF-8", what);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (in_string) {
            if (c == '\\') {
                if (is_nul_escape(str_skip(text, i)))
                    return fail(ERR_INVALID, "%s has a NUL in a string", what);
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > STRICTJSON_DEPTH_MAX)
                return fail(ERR_INVALID, "%s is nested deeper than %d", what, STRICTJSON_DEPTH_MAX);
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return OK;
}

static void
release(void *value)
{
    json_decref(value);
}

enum err
strictjson_object(struct str text, const char *what, struct arena *arena, json_t **out)
{
    json_error_t error;
    json_t *value;
    enum err e;

    if ((e = scan(text, what)) != OK)
        return e;
    /* Numbers out of range are refused by jansson: integers beyond 64 bits, reals beyond a
     * double. The text of its error quotes the input, so it is not shown. */
    value = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) {
        if (json_error_code(&error) == json_error_duplicate_key)
            return fail(ERR_INVALID, "%s has a member twice", what);
        return fail(ERR_INVALID, "%s is not valid JSON", what);
    }
    if (!json_is_object(value)) {
        json_decref(value);
        return fail(ERR_INVALID, "%s is not a JSON object", what);
    }
    if ((e = arena_defer(arena, release, value)) != OK)
        return e;
    *out = value;
    return OK;
}

struct str
strictjson_str(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

struct str
strictjson_string(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_string(value) ? strictjson_str(value) : (struct str){NULL, 0};
}
