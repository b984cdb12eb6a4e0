/* Resolving names as the server does (PostgreSQL's parse_relation.c and namespace.c say how). */
#include "sql/flow.h"

const struct column *
row_find(const struct row *row, struct str name)
{
    for (size_t i = 0; i < row->n; i++)
        if (str_equal(row->columns[i].name, name))
            return &row->columns[i];
    return NULL;
}

const struct cte *
names_find_cte(const struct level *l, struct str name)
{
    for (const struct cte *c = l->ctes; c != NULL; c = c->next)
        if (str_equal(c->name, name))
            return c;
    return NULL;
}

static const struct catalog_relation *
in_schema(const struct analysis *a, struct str schema, struct str name)
{
    const struct catalog_namespace *n = catalog_namespace_named(a->catalog, schema);

    if (n == NULL)
        return NULL;
    return catalog_relation_named(a->catalog, (uint32_t)(n - a->catalog->namespaces), name);
}

/* The temporary schema that this session's path names, if it has one. */
static struct str
own_temporary(const struct analysis *a)
{
    for (size_t i = 0; i < a->path.n; i++)
        if (str_starts(a->path.schemas[i], STR("pg_temp_")))
            return a->path.schemas[i];
    return STR("pg_temp");
}

/* With the path unknown only a name that just one schema has can mean one thing. */
static const struct catalog_relation *
anywhere(struct analysis *a, struct str name)
{
    const struct catalog_relation *found = NULL;

    for (uint32_t i = 0; i < a->catalog->n_namespaces; i++) {
        const struct catalog_relation *r = catalog_relation_named(a->catalog, i, name);

        if (r != NULL && found != NULL) {
            flow_refuse_because(a,
                                "what \"%.*s\" means depends on a search_path that is not known "
                                "here; write it with its schema, or send the statement by itself",
                                STR_ARG(name));
            return NULL;
        }
        found = r != NULL ? r : found;
    }
    return found;
}

const struct catalog_relation *
names_find_relation(struct analysis *a, struct str schema, struct str name)
{
    const struct catalog_relation *r = NULL;

    if (!flow_may_resolve(a))
        return NULL;
    if (schema.len > 0) {
        r = in_schema(a, str_is(schema, "pg_temp") ? own_temporary(a) : schema, name);
    } else if (a->path_known) {
        for (size_t i = 0; r == NULL && i < a->path.n; i++)
            r = in_schema(a, a->path.schemas[i], name);
    } else {
        r = anywhere(a, name);
    }
    if (r == NULL && !a->failed) {
        flow_error(a, "42P01", "relation \"%.*s%s%.*s\" does not exist", STR_ARG(schema),
                   schema.len > 0 ? "." : "", STR_ARG(name));
        a->unknown_name = true;
    }
    return r;
}

static bool
is_system_column(struct str name)
{
    return str_is(name, "ctid") || str_is(name, "tableoid") || str_is(name, "xmin") ||
           str_is(name, "xmax") || str_is(name, "cmin") || str_is(name, "cmax");
}

/* Whether `item` has the column; a system column only if it is a table. */
static bool
item_column(const struct item *item, struct str name, struct flow *out)
{
    const struct column *c = row_find(&item->row, name);

    if (c != NULL) {
        *out = c->flow;
        return true;
    }
    *out = (struct flow){0};
    return item->relation != NULL && is_system_column(name);
}

/* One match at a level, or none; `*open`: an item there may have it, and it is free then. */
static bool
at_level(struct analysis *a, const struct level *l, struct str name, struct flow *out, bool *open)
{
    bool found = false;

    for (size_t i = 0; i < l->names.n; i++) {
        const struct visible *v = &l->names.items[i];
        struct flow flow;

        if (!v->its_columns)
            continue;
        *open = *open || v->item->row.open;
        if (!item_column(v->item, name, &flow))
            continue;
        if (found) {
            flow_error(a, "42702", "column reference \"%.*s\" is ambiguous", STR_ARG(name));
            return true;
        }
        found = true;
        *out = flow;
    }
    return found;
}

bool
names_local_column(struct analysis *a, const struct level *l, struct str name, struct flow *out)
{
    bool open = false;

    return at_level(a, l, name, out, &open);
}

static const struct item *
item_named(struct analysis *a, const struct level *l, struct str schema, struct str name)
{
    for (; l != NULL; l = l->outer) {
        const struct item *found = NULL;

        for (size_t i = 0; i < l->names.n; i++) {
            const struct visible *v = &l->names.items[i];

            if (!v->by_name || !str_equal(v->item->name, name))
                continue;
            if (schema.len > 0 &&
                (v->item->has_alias || v->item->relation == NULL ||
                 !str_equal(shield_schema_name(a->shield, v->item->relation->namespace), schema)))
                continue;
            if (found != NULL) {
                flow_error(a, "42P09", "table reference \"%.*s\" is ambiguous", STR_ARG(name));
                return NULL;
            }
            found = v->item;
        }
        if (found != NULL)
            return found;
    }
    return NULL;
}

const struct item *
names_item(struct analysis *a, const struct level *l, PgQuery__Node **fields, size_t n)
{
    struct str name = n > 0 ? sql_node_text(fields[n - 1]) : STR("");
    struct str schema = n > 1 ? sql_node_text(fields[n - 2]) : STR("");
    const struct item *item = item_named(a, l, schema, name);

    if (item == NULL && !a->failed) {
        flow_error(a, "42P01", "missing FROM-clause entry for table \"%.*s\"", STR_ARG(name));
        a->unknown_name = true;
    }
    return item;
}

static struct flow
whole_row(const struct item *item)
{
    /* a function that returns one value stands for the value */
    if (item->relation == NULL && item->row.n == 1 && !item->row.open &&
        str_equal(item->row.columns[0].name, item->name))
        return item->row.columns[0].flow;
    return (struct flow){.row = &item->row};
}

/* A name alone: a column of the innermost level that has one, else a whole row. */
static struct flow
unqualified(struct analysis *a, const struct level *l, struct str name)
{
    const struct item *item;
    bool open = false;
    struct flow flow = {0};

    for (const struct level *at = l; at != NULL && !a->failed; at = at->outer)
        if (at_level(a, at, name, &flow, &open))
            return flow;
    if (a->failed || (item = item_named(a, l, STR(""), name)) == NULL) {
        if (!open && !a->failed) {
            flow_error(a, "42703", "column \"%.*s\" does not exist", STR_ARG(name));
            a->unknown_name = true;
        }
        return (struct flow){0};
    }
    return whole_row(item);
}

/* t.f without a column f: f(t). */
static struct flow
call_on_row(struct analysis *a, const struct item *item, struct str name)
{
    struct flow result = {0};
    size_t n;

    if (item->row.open) {
        (void)compute_may_be_field(a, name);
        return result;
    }
    if (!sql_is_safe_function(name) && catalog_functions_named(a->catalog, name, &n) == NULL) {
        flow_error(a, "42703", "column %.*s.%.*s does not exist", STR_ARG(item->name),
                   STR_ARG(name));
        a->unknown_name = true;
        return result;
    }
    if (compute_may_call(a, STR(""), name))
        flow_mix(a, &result, whole_row(item), "a function of the whole row");
    return result;
}

struct flow
names_column(struct analysis *a, const struct level *l, PgQuery__Node **fields, size_t n)
{
    struct str name = sql_node_text(fields[n - 1]);
    const struct item *item;
    struct flow flow;

    if (n == 1)
        return unqualified(a, l, name);
    if (n > 4) {
        flow_error(a, "42601", "improper qualified name (too many dotted names)");
        return (struct flow){0};
    }
    if ((item = names_item(a, l, fields, n - 1)) == NULL)
        return (struct flow){0};
    if (item_column(item, name, &flow))
        return flow;
    return call_on_row(a, item, name);
}
