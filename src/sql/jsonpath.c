/* Constant paths into documents of which only a part is protected. */
#include "sql/flow.h"

enum { KEYS_MAX = 32 };

/* What remains protected of one taint when `keys` are followed: nothing (false), or `*out`. */
static bool
follow_one(struct analysis *a, const struct taint *t, const struct str *keys, size_t n,
           struct taint *out)
{
    size_t common = n < t->n_path ? n : t->n_path;

    (void)a;
    for (size_t i = 0; i < common; i++)
        if (!str_equal(keys[i], t->path[i]))
            return false;
    *out = *t;
    out->next = NULL;
    out->path = t->path + common;
    out->n_path = t->n_path - common;
    out->inside_json = out->n_path > 0;
    return true;
}

/* An array index in the path leads anywhere below an array: then nothing is known to be apart.
 * The server reads it with strtol(). */
static bool
is_index(struct str key)
{
    size_t i = 0;

    while (i < key.len && (key.ptr[i] == ' ' || (key.ptr[i] >= '\t' && key.ptr[i] <= '\r')))
        i++;
    i += i < key.len && (key.ptr[i] == '-' || key.ptr[i] == '+');
    if (i == key.len)
        return false;
    for (; i < key.len; i++)
        if (key.ptr[i] < '0' || key.ptr[i] > '9')
            return false;
    return true;
}

static bool
has_index(const struct taint *t)
{
    for (size_t i = 0; i < t->n_path; i++)
        if (is_index(t->path[i]))
            return true;
    return false;
}

bool
json_constant(const struct analysis *a, const PgQuery__Node *node, struct str *out)
{
    while (node != NULL && node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST &&
           node->type_cast->type_name->n_array_bounds == 0 &&
           node->type_cast->type_name->n_typmods == 0 &&
           flow_is_text(a, node->type_cast->type_name))
        node = node->type_cast->arg;
    return sql_constant(node, out);
}

struct flow
json_follow(struct analysis *a, struct flow document, const struct str *keys, size_t n,
            bool as_text)
{
    struct flow result = {0};
    struct str kept[KEYS_MAX];
    size_t n_kept = 0;

    for (size_t i = 0; i < n && i < KEYS_MAX; i++)
        if (!is_index(keys[i])) /* paths pass through arrays */
            kept[n_kept++] = keys[i];
    for (const struct taint *t = document.taint; t != NULL; t = t->next) {
        struct taint *copy;

        /* All of the document; or a position in an array, which has many names. */
        if (!t->inside_json || has_index(t)) {
            flow_mix(a, &result, document, "a path into it");
            return result;
        }
        if ((copy = flow_alloc(a, 1, sizeof(*copy))) == NULL)
            return result;
        if (follow_one(a, t, kept, n_kept, copy))
            result.taint = taint_union(a, result.taint, copy);
    }
    result.type = as_text ? 25 : document.type; /* text */
    return result;
}

static bool
inside_only(struct flow f)
{
    if (f.taint == NULL || f.row != NULL)
        return false;
    for (const struct taint *t = f.taint; t != NULL; t = t->next)
        if (!t->inside_json)
            return false;
    return true;
}

/* {a,b} of a path in array form, without quotes, escapes or further braces. */
static bool
split_path(struct str text, struct str keys[KEYS_MAX], size_t *n)
{
    *n = 0;
    if (text.len < 2 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}')
        return false;
    text = (struct str){text.ptr + 1, text.len - 2};
    for (size_t i = 0; i < text.len; i++)
        if (memchr("{}\"\\", text.ptr[i], 4) != NULL)
            return false;
    while (text.len > 0) {
        if (*n == KEYS_MAX)
            return false;
        text = str_cut(text, ',', &keys[*n]);
        keys[*n] = str_trim(keys[*n]);
        (*n)++;
    }
    return true;
}

/* A constant: a key, or an index into an array, which leads to no key. */
static bool
one_key(const struct analysis *a, const PgQuery__Node *node, struct str *key, bool *is_number)
{
    *is_number = false;
    if (json_constant(a, node, key))
        return true;
    *is_number = node != NULL && node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                 node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL;
    return *is_number;
}

/* x::text[] is x. */
static const PgQuery__Node *
without_cast(const struct analysis *a, const PgQuery__Node *node)
{
    const PgQuery__TypeName *t;

    if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_TYPE_CAST)
        return node;
    t = node->type_cast->type_name;
    return t->n_typmods == 0 && t->n_array_bounds == 1 && flow_is_text(a, t) ? node->type_cast->arg
                                                                             : node;
}

static bool
array_of_keys(const struct analysis *a, const PgQuery__Node *node, struct str keys[KEYS_MAX],
              size_t *n)
{
    struct str text;

    *n = 0;
    node = without_cast(a, node);
    if (json_constant(a, node, &text))
        return split_path(text, keys, n);
    if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_A_ARRAY_EXPR ||
        node->a_array_expr->n_elements > KEYS_MAX)
        return false;
    for (size_t i = 0; i < node->a_array_expr->n_elements; i++)
        if (!json_constant(a, node->a_array_expr->elements[i], &keys[(*n)++]))
            return false;
    return true;
}

bool
json_operator(struct analysis *a, struct str name, struct flow left, const PgQuery__Node *right,
              struct flow *out)
{
    struct str keys[KEYS_MAX];
    size_t n = 1;
    bool is_number;

    if (!inside_only(left))
        return false;
    a->depends = true; /* also if what it is now is no path */
    if (str_is(name, "->") || str_is(name, "->>")) {
        if (!one_key(a, right, &keys[0], &is_number))
            return false;
        n = is_number ? 0 : 1;
    } else if (!str_is(name, "#>") && !str_is(name, "#>>")) {
        return false;
    } else if (!array_of_keys(a, right, keys, &n)) {
        return false;
    }
    *out = json_follow(a, left, keys, n, name.ptr[name.len - 1] == '>' && name.len > 2);
    if (str_is(name, "->") || str_is(name, "#>"))
        out->type = left.type;
    return true;
}

static bool
is_key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* $.a."b c".d of SQL/JSON: member accessors alone. */
static bool
split_jsonpath(struct str text, struct str keys[KEYS_MAX], size_t *n)
{
    size_t i;

    *n = 0;
    text = str_trim(text);
    if (text.len == 0 || text.ptr[0] != '$')
        return false;
    for (i = 1; i < text.len;) {
        size_t start = ++i;
        bool quoted = i < text.len && text.ptr[i] == '"';

        if (text.ptr[i - 1] != '.' || *n == KEYS_MAX)
            return false;
        if (quoted) {
            for (start = ++i; i < text.len && text.ptr[i] != '"'; i++)
                if (text.ptr[i] == '\\')
                    return false;
        } else {
            while (i < text.len && is_key_byte(text.ptr[i]))
                i++;
        }
        if (i == start || (quoted && i == text.len))
            return false;
        keys[(*n)++] = (struct str){text.ptr + start, i - start};
        i += quoted;
    }
    return *n > 0;
}

bool
json_function(struct analysis *a, struct str name, struct flow first, const PgQuery__FuncCall *c,
              struct flow *out)
{
    PgQuery__Node **args = c->args;
    bool text = str_is(name, "jsonb_extract_path_text") || str_is(name, "json_extract_path_text");
    bool extract = text || str_is(name, "jsonb_extract_path") || str_is(name, "json_extract_path");
    bool query = str_is(name, "jsonb_path_query_first") || str_is(name, "jsonb_path_query");
    struct str keys[KEYS_MAX], path;
    size_t n = 0, n_args = c->n_args;

    a->depends = a->depends || inside_only(first);
    if (!inside_only(first) || n_args < 2 || n_args > KEYS_MAX || c->func_variadic)
        return false;
    if (extract) {
        for (size_t i = 1; i < n_args; i++)
            if (!json_constant(a, args[i], &keys[n++]))
                return false;
    } else if (!query || n_args != 2 || !json_constant(a, args[1], &path) ||
               !split_jsonpath(path, keys, &n)) {
        return false;
    }
    *out = json_follow(a, first, keys, n, text);
    return true;
}
