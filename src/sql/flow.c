#include "sql/flow.h"

#include <stdarg.h>
#include <stdio.h>

enum { TAINTS_MAX = 64, REFUSAL_MAX = 512 };

void *
flow_alloc(struct analysis *a, size_t n, size_t size)
{
    void *p = arena_array(a->arena, n + 1, size);

    if (p == NULL)
        flow_refuse_because(a, "the statement is too large to be analysed");
    return p;
}

/* The first reason stays. */
static void
end(struct analysis *a, struct str refusal, struct str sqlstate)
{
    if (a->failed)
        return;
    a->failed = true;
    a->refusal = refusal;
    a->sqlstate = sqlstate;
}

static struct str
format_text(struct analysis *a, const char *format, va_list arguments)
{
    char text[REFUSAL_MAX];
    struct str kept;

    (void)vsnprintf(text, sizeof(text), format, arguments);
    kept = arena_str(a->arena, str_from(text));
    return kept.ptr != NULL ? kept : STR("the statement is too large to be analysed");
}

void
flow_refuse_because(struct analysis *a, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    end(a, format_text(a, format, arguments), STR(""));
    va_end(arguments);
}

void
flow_error(struct analysis *a, const char *sqlstate, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    end(a, format_text(a, format, arguments), str_from(sqlstate));
    va_end(arguments);
}

struct str
taint_name(struct analysis *a, const struct taint *t)
{
    const struct catalog *c = a->catalog;
    const struct catalog_relation *r = &c->relations[t->relation];
    struct buf out = buf_make(1024);
    struct str kept;

    buf_put_str(&out, shield_schema_name(a->shield, r->namespace));
    buf_put_text(&out, ".");
    buf_put_str(&out, catalog_text(c, r->name));
    buf_put_text(&out, ".");
    buf_put_str(&out, catalog_text(c, c->attributes[t->attribute].name));
    kept = arena_str(a->arena, buf_str(&out));
    buf_free(&out);
    return kept.ptr != NULL ? kept : STR("?");
}

void
flow_refuse(struct analysis *a, const struct taint *taint, const char *what)
{
    char text[REFUSAL_MAX];
    struct str kept, use;

    if (a->failed)
        return;
    (void)snprintf(text, sizeof(text), "%s%s%s%s", what, a->clause != NULL ? " (" : "",
                   a->clause != NULL ? a->clause : "", a->clause != NULL ? ")" : "");
    use = arena_str(a->arena, str_from(text));
    a->refused = taint_name(a, taint);
    a->use = use.ptr != NULL ? use : STR("?");
    a->refused_rule = taint->rule;
    (void)snprintf(text, sizeof(text),
                   "column %.*s is protected: it may be selected as it is, and is then masked, but "
                   "not be used in %.*s",
                   STR_ARG(a->refused), STR_ARG(a->use));
    kept = arena_str(a->arena, str_from(text));
    end(a, kept.ptr != NULL ? kept : STR("a protected column is used"), STR(""));
}

static bool
same_path(const struct taint *x, const struct taint *y)
{
    if (x->inside_json != y->inside_json || x->n_path != y->n_path)
        return false;
    for (size_t i = 0; i < x->n_path; i++)
        if (!str_equal(x->path[i], y->path[i]))
            return false;
    return true;
}

static bool
has(const struct taint *list, const struct taint *t, size_t *n)
{
    *n = 0;
    for (; list != NULL; list = list->next, (*n)++)
        if (list->rule == t->rule && list->relation == t->relation &&
            list->attribute == t->attribute && list->derived == t->derived && same_path(list, t))
            return true;
    return false;
}

const struct taint *
taint_union(struct analysis *a, const struct taint *x, const struct taint *y)
{
    size_t n;

    if (x == NULL || x == y)
        return y;
    for (; y != NULL; y = y->next) {
        struct taint *copy;

        if (has(x, y, &n))
            continue;
        if (n >= TAINTS_MAX) {
            flow_refuse_because(a, "more than %d protected columns flow into one value",
                                TAINTS_MAX);
            return x;
        }
        if ((copy = flow_alloc(a, 1, sizeof(*copy))) == NULL)
            return x;
        *copy = *y;
        copy->next = x;
        x = copy;
    }
    return x;
}

/* A computed value: the whole of it is protected. */
const struct taint *
taint_derived(struct analysis *a, const struct taint *t)
{
    const struct taint *result = NULL;

    for (; t != NULL; t = t->next) {
        struct taint copy = *t;

        copy.next = NULL;
        copy.derived = true;
        copy.inside_json = false;
        copy.n_path = 0;
        result = taint_union(a, result, &copy); /* copies it, unless it is the first */
        if (result == &copy) {
            struct taint *kept = flow_alloc(a, 1, sizeof(*kept));

            if (kept == NULL)
                return NULL;
            *kept = copy;
            result = kept;
        }
    }
    return result;
}

const struct taint *
flow_taint(struct analysis *a, struct flow f)
{
    const struct taint *t = f.taint;

    for (size_t i = 0; f.row != NULL && i < f.row->n; i++)
        t = taint_union(a, t, flow_taint(a, f.row->columns[i].flow));
    return t;
}

void
flow_observe(struct analysis *a, struct flow f, const char *what)
{
    const struct taint *t = flow_taint(a, f);

    if (t == NULL)
        return;
    if (a->owner)
        a->implicit = taint_union(a, a->implicit, taint_derived(a, t));
    else
        flow_refuse(a, t, what);
}

void
flow_mix(struct analysis *a, struct flow *into, struct flow f, const char *what)
{
    const struct taint *t = flow_taint(a, f);

    if (t == NULL)
        return;
    if (a->owner)
        into->taint = taint_union(a, into->taint, taint_derived(a, t));
    else
        flow_refuse(a, t, what);
}

bool
flow_is_text(const struct analysis *a, const PgQuery__TypeName *t)
{
    struct str schema, name;

    sql_names(t->names, t->n_names, &schema, &name);
    if (schema.len == 0 &&
        (!a->path_known || a->path.n == 0 || !str_is(a->path.schemas[0], "pg_catalog")))
        return false;
    return (schema.len == 0 || str_is(schema, "pg_catalog")) && str_is(name, "text");
}

bool
flow_may_resolve(struct analysis *a)
{
    if (a->stale)
        flow_refuse_because(a, "an earlier statement of the string may have changed what names "
                               "mean; send this one by itself");
    return !a->failed;
}

static bool
any_member(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, flow_node_fn *fn,
           void *arg)
{
    const char *member = (const char *)m + f->offset;
    const char *quantifier = (const char *)m + f->quantifier_offset;
    const ProtobufCMessage *one;

    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)(const void *)member;

        for (size_t i = 0; i < *(const size_t *)(const void *)quantifier; i++)
            if (flow_any_node(items[i], fn, arg))
                return true;
        return false;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)quantifier != f->id)
        return false;
    one = *(const ProtobufCMessage *const *)(const void *)member;
    return one != NULL && flow_any_node(one, fn, arg);
}

bool
flow_any_node(const ProtobufCMessage *m, flow_node_fn *fn, void *arg)
{
    if (fn(m, arg))
        return true;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        if (m->descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
            any_member(m, &m->descriptor->fields[i], fn, arg))
            return true;
    return false;
}
