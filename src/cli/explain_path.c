#include "cli/explain_path.h"

enum { MISSING_MAX = 4096 };

struct list {
    struct str *items;
    size_t n;
};

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
skip_space(struct str *s)
{
    while (s->len > 0 && is_space(s->ptr[0]))
        *s = str_skip(*s, 1);
}

/* Cuts one name off, writing it to `to`, which has room for all of `*s`. False: there is none. */
static bool
take_name(struct str *s, char *to, struct str *name)
{
    bool quoted = s->len > 0 && s->ptr[0] == '"';
    size_t i = quoted ? 1 : 0, n = 0;

    for (; i < s->len; i++) {
        char c = s->ptr[i];

        if (quoted && c == '"') {
            if (i + 1 == s->len || s->ptr[i + 1] != '"')
                break;
            i++;
        } else if (!quoted && (c == ',' || c == '"' || is_space(c))) {
            break;
        }
        to[n++] = !quoted && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    if (quoted && i == s->len)
        return false;
    *s = str_skip(*s, quoted ? i + 1 : i);
    *name = (struct str){to, n};
    return n > 0;
}

static enum err
split(struct str text, struct arena *arena, struct list *out)
{
    struct str left = text;

    skip_space(&left);
    while (left.len > 0) {
        char *to = arena_alloc(arena, left.len);

        if (to == NULL)
            return fail(ERR_NOMEM, "no memory for the search path");
        if (!take_name(&left, to, &out->items[out->n++]))
            break;
        skip_space(&left);
        if (left.len == 0)
            return OK;
        if (left.ptr[0] != ',')
            break;
        left = str_skip(left, 1);
        skip_space(&left);
        if (left.len == 0)
            break;
    }
    return out->n == 0 ? OK
                       : fail(ERR_INVALID, "\"%.*s\" is no list of schemas with commas between",
                              STR_ARG(text));
}

static void
put_missing(struct buf *out, struct str name)
{
    buf_put_text(out, out->len > 0 ? ", " : "");
    buf_put_str(out, name);
}

enum err
explain_path(struct str text, const struct catalog *catalog, struct str user, struct arena *arena,
             struct sql_path *out, struct str *missing)
{
    struct list named = {.items = arena_array(arena, text.len + 1, sizeof(struct str))};
    struct str *schemas = arena_array(arena, text.len + 2, sizeof(*schemas));
    struct buf none = buf_make(MISSING_MAX);
    bool has_catalog = false;
    size_t n = 0;
    enum err e;

    if (named.items == NULL || schemas == NULL)
        return fail(ERR_NOMEM, "no memory for the search path");
    if ((e = split(text, arena, &named)) != OK)
        return e;
    for (size_t i = 0; i < named.n; i++)
        has_catalog = has_catalog || str_is(named.items[i], "pg_catalog");
    if (!has_catalog)
        schemas[n++] = STR("pg_catalog");
    for (size_t i = 0; i < named.n; i++) {
        bool is_user = str_is(named.items[i], "$user");
        struct str name = is_user ? user : named.items[i];

        if (catalog_namespace_named(catalog, name) != NULL)
            schemas[n++] = name;
        else if (!is_user && !str_is(name, "pg_temp")) /* these are often not there */
            put_missing(&none, name);
    }
    *missing = arena_str(arena, buf_str(&none));
    buf_free(&none);
    *out = (struct sql_path){schemas, n};
    return missing->ptr == NULL ? fail(ERR_NOMEM, "no memory for the search path") : OK;
}
