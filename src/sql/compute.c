/* What flows through expressions. A protected value may only be passed on as it is. */
#include <stdio.h>

#include "sql/flow.h"
#include "sql/shield.h"

enum { STEPS_MAX = 400000 };

#define NODE(kind) PG_QUERY__NODE__NODE_##kind

static const struct flow nothing;

static void
mix(struct analysis *a, const struct level *l, struct flow *into, const PgQuery__Node *node,
    const char *what)
{
    if (node != NULL && !a->failed)
        flow_mix(a, into, compute(a, l, node), what);
}

static void
mix_all(struct analysis *a, const struct level *l, struct flow *into, PgQuery__Node **nodes,
        size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        mix(a, l, into, nodes[i], what);
}

void
compute_observe(struct analysis *a, const struct level *l, const PgQuery__Node *node,
                const char *clause)
{
    const char *outer = a->clause;

    if (node == NULL || a->failed)
        return;
    a->clause = clause;
    flow_observe(a, compute(a, l, node), clause);
    a->clause = outer;
}

/* Columns. */

static bool
ends_with_star(PgQuery__Node **fields, size_t n)
{
    return n > 0 && fields[n - 1]->node_case == NODE(A_STAR);
}

static struct flow
column(struct analysis *a, const struct level *l, const PgQuery__ColumnRef *ref)
{
    if (!ends_with_star(ref->fields, ref->n_fields))
        return names_column(a, l, ref->fields, ref->n_fields);
    if (ref->n_fields > 1) { /* t.* as a value: the whole row */
        const struct item *item = names_item(a, l, ref->fields, ref->n_fields - 1);

        return item == NULL ? nothing : (struct flow){.row = &item->row};
    }
    return nothing; /* count(*) has no argument; elsewhere the server refuses a star */
}

bool
compute_may_be_field(struct analysis *a, struct str name)
{
    const struct catalog_function *f;
    bool harmless = sql_function_classes(name, true) == 0 && !str_is(name, "set_config");
    size_t n;

    f = catalog_functions_named(a->catalog, name, &n);
    for (size_t i = 0; harmless && i < n; i++)
        harmless = f[i].body == CATALOG_BODY_INTERNAL;
    if (!harmless)
        flow_refuse_because(a, "\"%.*s\" is a function; write it as a call", STR_ARG(name));
    return harmless;
}

/* A field of a composite value. */
static struct flow
field(struct analysis *a, struct flow f, struct str name)
{
    const struct catalog_type *type = catalog_type_of(a->catalog, f.type);
    const struct catalog_relation *r;
    const struct column *c;
    struct flow result = {0};

    if (f.row != NULL && (c = row_find(f.row, name)) != NULL)
        return c->flow;
    r = type == NULL ? NULL : catalog_relation_of(a->catalog, type->relation);
    for (uint32_t i = 0; r != NULL && f.row == NULL && i < r->n_attributes; i++) {
        const struct catalog_attribute *attribute = &a->catalog->attributes[r->first_attribute + i];

        if (str_equal(catalog_text(a->catalog, attribute->name), name))
            return (struct flow){.taint = taint_derived(a, f.taint), .type = attribute->type};
    }
    if (compute_may_be_field(a, name))
        flow_mix(a, &result, f, "a function or field of it");
    return result;
}

static bool
constant_key(const PgQuery__Node *node, struct str *out)
{
    return sql_constant(node, out);
}

/* One element of a protected array, or a key of a protected document. */
static struct flow
subscript(struct analysis *a, const struct level *l, struct flow f, const PgQuery__AIndices *i)
{
    const struct catalog_type *type = catalog_type_of(a->catalog, f.type);
    struct str key;

    compute_observe(a, l, i->lidx, "a subscript");
    compute_observe(a, l, i->uidx, "a subscript");
    if (flow_taint(a, f) == NULL)
        return nothing;
    if (type != NULL && type->element != 0)
        return (struct flow){.taint = f.taint, .type = i->is_slice ? f.type : type->element};
    if (!i->is_slice && f.row == NULL && constant_key(i->uidx, &key)) {
        a->depends = true;
        return json_follow(a, f, &key, 1, false);
    }
    flow_mix(a, &f, f, "a subscript of it");
    return f;
}

static struct flow
indirection(struct analysis *a, const struct level *l, const PgQuery__AIndirection *node, size_t n)
{
    struct flow f = compute(a, l, node->arg);

    for (size_t i = 0; i < n && !a->failed; i++) {
        const PgQuery__Node *step = node->indirection[i];

        if (step->node_case == NODE(STRING))
            f = field(a, f, sql_node_text(step));
        else if (step->node_case == NODE(A_INDICES))
            f = subscript(a, l, f, step->a_indices);
    }
    f.relation = 0;
    return f;
}

/* Expanding `value.*`. */
static struct row
expand(struct analysis *a, struct flow f)
{
    const struct catalog_type *type = catalog_type_of(a->catalog, f.type);
    const struct catalog_relation *r;
    struct column *columns;

    if (f.row != NULL)
        return *f.row;
    r = type == NULL ? NULL : catalog_relation_of(a->catalog, type->relation);
    if (f.taint == NULL || r == NULL ||
        (columns = flow_alloc(a, r->n_attributes, sizeof(*columns))) == NULL) {
        if (f.taint != NULL)
            flow_refuse(a, f.taint, "an expansion of its fields");
        return (struct row){.open = true};
    }
    for (uint32_t i = 0; i < r->n_attributes; i++) {
        const struct catalog_attribute *attribute = &a->catalog->attributes[r->first_attribute + i];

        columns[i] = (struct column){catalog_text(a->catalog, attribute->name),
                                     {.taint = taint_derived(a, f.taint), .type = attribute->type}};
    }
    return (struct row){.relation = r, .columns = columns, .n = r->n_attributes};
}

/* The columns of a star, in the order of FROM. */
static struct row
everything(struct analysis *a, const struct level *l)
{
    struct row row = {0};
    struct column *columns;
    size_t n = 0;

    for (size_t i = 0; i < l->names.n; i++)
        if (l->names.items[i].its_columns)
            n += l->names.items[i].item->row.n;
    if ((columns = flow_alloc(a, n, sizeof(*columns))) == NULL)
        return row;
    row.columns = columns;
    for (size_t i = 0; i < l->names.n; i++) {
        const struct row *from = &l->names.items[i].item->row;

        if (!l->names.items[i].its_columns)
            continue;
        if (from->n > 0)
            memcpy(columns + row.n, from->columns, from->n * sizeof(*columns));
        row.n += from->n;
        row.open = row.open || from->open;
    }
    return row;
}

struct row
compute_star(struct analysis *a, const struct level *l, const PgQuery__Node *node, bool *is_star)
{
    *is_star = true;
    if (node->node_case == NODE(COLUMN_REF) &&
        ends_with_star(node->column_ref->fields, node->column_ref->n_fields)) {
        const struct item *item;

        if (node->column_ref->n_fields == 1)
            return everything(a, l);
        item = names_item(a, l, node->column_ref->fields, node->column_ref->n_fields - 1);
        return item == NULL ? row_none : item->row;
    }
    if (node->node_case == NODE(A_INDIRECTION) &&
        ends_with_star(node->a_indirection->indirection, node->a_indirection->n_indirection))
        return expand(
            a, indirection(a, l, node->a_indirection, node->a_indirection->n_indirection - 1));
    *is_star = false;
    return (struct row){0};
}

/* Calls. */

static bool
is_visible(const struct analysis *a, struct str schema, uint32_t namespace)
{
    struct str its = shield_schema_name(a->shield, namespace);

    if (schema.len > 0)
        return str_equal(its, schema);
    if (!a->path_known)
        return true;
    for (size_t i = 0; i < a->path.n; i++)
        if (str_equal(a->path.schemas[i], its))
            return true;
    return false;
}

/* What lies outside columns, but holds their data or other sessions' texts, or runs SQL text. */
#define NEVER                                                                                      \
    (CLASSES(DYNAMIC_SQL) | CLASSES(FOREIGN) | CLASSES(SERVER_FILES) | CLASSES(SECRETS) |          \
     CLASSES(REPLICATION))

bool
compute_may_run(struct analysis *a, struct str schema, struct str name, bool *found)
{
    const struct catalog_function *f;
    const char *trouble;
    size_t n;

    *found = false;
    f = catalog_functions_named(a->catalog, name, &n);
    for (size_t i = 0; i < n; i++) {
        if (!is_visible(a, schema, f[i].namespace))
            continue;
        *found = true;
        shield_note_function(a, &f[i]);
        if ((trouble = shield_function_trouble(a->shield, &f[i])) == NULL)
            continue;
        flow_refuse_because(a, "function %.*s() %s, and column protection is configured",
                            STR_ARG(name), trouble);
        return false;
    }
    return true;
}

/* Every function that the name may mean must be safe: which one it is hangs on types. */
bool
compute_may_call(struct analysis *a, struct str schema, struct str name)
{
    bool builtin = schema.len == 0 || str_is(schema, "pg_catalog"), found;

    if ((sql_function_classes(name, builtin) & NEVER) != 0 &&
        !str_is(name, "pg_relation_filepath") && !str_is(name, "pg_tablespace_location")) {
        flow_refuse_because(a, "function %.*s() can reach protected data past the gateway's rules",
                            STR_ARG(name));
        return false;
    }
    if (!flow_may_resolve(a) || !compute_may_run(a, schema, name, &found))
        return false;
    if (str_is(name, "generate_series"))
        a->generates = true;
    if (found ||
        (builtin && (sql_is_safe_function(name) || sql_function_classes(name, true) != 0)) ||
        str_is(schema, "information_schema") || (builtin && str_is(name, "set_config")))
        return true;
    flow_error(a, "42883", "function %.*s() does not exist, or is not known to be safe",
               STR_ARG(name));
    a->unknown_name = true;
    return false;
}

/* f(row) where f is a column of it. */
static bool
projection(struct flow argument, struct str name, struct flow *out)
{
    const struct column *c = argument.row == NULL ? NULL : row_find(argument.row, name);

    if (c == NULL)
        return false;
    *out = c->flow;
    return true;
}

static void
window(struct analysis *a, const struct level *l, const PgQuery__WindowDef *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->n_partition_clause; i++)
        compute_observe(a, l, w->partition_clause[i], "PARTITION BY");
    for (size_t i = 0; i < w->n_order_clause; i++)
        compute_observe(a, l, w->order_clause[i], "ORDER BY of a window");
    compute_observe(a, l, w->start_offset, "a window's frame");
    compute_observe(a, l, w->end_offset, "a window's frame");
}

/* count(column) tells only how many are not NULL. */
static bool
only_counts(const PgQuery__FuncCall *c, struct str schema, struct str name)
{
    return str_is(name, "count") && (schema.len == 0 || str_is(schema, "pg_catalog")) &&
           c->n_args == 1 && !c->agg_distinct && c->n_agg_order == 0 &&
           (c->args[0]->node_case == NODE(COLUMN_REF));
}

static struct flow
call(struct analysis *a, const struct level *l, const PgQuery__FuncCall *c)
{
    struct flow result = {0}, first = {0};
    struct str schema, name;
    char what[160];
    size_t n;

    sql_names(c->funcname, c->n_funcname, &schema, &name);
    (void)snprintf(what, sizeof(what), "an argument of %.*s()", name.len > 64 ? 64 : (int)name.len,
                   name.ptr);
    for (size_t i = 0; i < c->n_agg_order; i++)
        compute_observe(a, l, c->agg_order[i], "ORDER BY of an aggregate");
    compute_observe(a, l, c->agg_filter, "FILTER");
    window(a, l, c->over);
    if (c->n_args > 0 && !a->failed)
        first = compute(a, l, c->args[0]);
    if (c->n_args == 1 && schema.len == 0 && !sql_is_safe_function(name) &&
        catalog_functions_named(a->catalog, name, &n) == NULL && projection(first, name, &result))
        return result;
    if (!compute_may_call(a, schema, name) || only_counts(c, schema, name))
        return result;
    if (c->n_args > 0 && json_function(a, name, first, c->args, c->n_args, &result))
        return result;
    if (c->n_args > 0)
        flow_mix(a, &result, first, what);
    if (c->n_args > 1)
        mix_all(a, l, &result, c->args + 1, c->n_args - 1, what);
    return result;
}

/* Operators. */

bool
compute_may_operate(struct analysis *a, PgQuery__Node **names, size_t n_names)
{
    const struct catalog_operator *o;
    struct str schema, name;
    size_t n;

    if (!flow_may_resolve(a))
        return false;
    sql_names(names, n_names, &schema, &name);
    o = catalog_operators_named(a->catalog, name, &n);
    for (size_t i = 0; i < n; i++) {
        if (!is_visible(a, schema, o[i].namespace))
            continue;
        for (uint32_t k = 0; k < a->catalog->n_functions; k++) {
            const struct catalog_function *f = &a->catalog->functions[k];

            if (f->oid != o[i].function)
                continue;
            shield_note_function(a, f);
            if (shield_function_trouble(a->shield, f) != NULL) {
                flow_refuse_because(a,
                                    "operator %.*s is not known to be safe, and column "
                                    "protection is configured",
                                    STR_ARG(name));
                return false;
            }
        }
    }
    return true;
}

static bool
is_whole_value(const PgQuery__Node *node)
{
    if (node->node_case == NODE(TYPE_CAST))
        node = node->type_cast->arg;
    return node != NULL && (node->node_case == NODE(A_CONST) || node->node_case == NODE(PARAM_REF));
}

/* Equality of one protected column with one whole value, where the rules allow it. */
static bool
is_lookup(struct analysis *a, const PgQuery__AExpr *e, struct str operator, struct flow left,
          struct flow right)
{
    struct flow f = left.taint != NULL ? left : right;
    const PgQuery__Node *other = left.taint != NULL ? e->rexpr : e->lexpr;
    const PgQuery__Node *self = left.taint != NULL ? e->lexpr : e->rexpr;

    return a->lookup && e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && str_is(operator, "=") &&
           f.taint != NULL && f.taint->next == NULL && !f.taint->derived && !f.taint->inside_json &&
           f.taint->rule->lookup && self->node_case == NODE(COLUMN_REF) && is_whole_value(other);
}

static struct flow
operation(struct analysis *a, const struct level *l, const PgQuery__AExpr *e)
{
    bool lookup = a->lookup;
    struct flow result = {0}, left = {0}, right = {0};
    struct str schema, name;
    char what[64];

    sql_names(e->name, e->n_name, &schema, &name);
    (void)snprintf(what, sizeof(what), "operator %.*s", name.len > 40 ? 40 : (int)name.len,
                   name.ptr);
    if (!compute_may_operate(a, e->name, e->n_name))
        return result;
    a->lookup = false;
    if (e->lexpr != NULL)
        left = compute(a, l, e->lexpr);
    if (!a->failed && (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP) && e->rexpr != NULL &&
        json_operator(a, name, left, e->rexpr, &result)) {
        a->lookup = lookup;
        return result;
    }
    if (e->rexpr != NULL && !a->failed)
        right = compute(a, l, e->rexpr);
    a->lookup = lookup;
    if (is_lookup(a, e, name, left, right))
        return result;
    flow_mix(a, &result, left, what);
    flow_mix(a, &result, right, what);
    return result;
}

/* Casts. To text they cannot fail, and the text is masked like the value. */

static bool
is_text_type(const PgQuery__TypeName *t)
{
    struct str schema, name;

    sql_names(t->names, t->n_names, &schema, &name);
    return (str_is(name, "text") || str_is(name, "varchar")) && t->n_typmods == 0 &&
           t->n_array_bounds == 0 && (schema.len == 0 || str_is(schema, "pg_catalog"));
}

enum { BPCHAR = 1042, TEXT = 25, VARCHAR = 1043 };

static uint32_t
base_type(const struct analysis *a, uint32_t type)
{
    const struct catalog_type *t = catalog_type_of(a->catalog, type);

    for (int i = 0; i < 32 && t != NULL && t->base != 0; i++) {
        type = t->base;
        t = catalog_type_of(a->catalog, type);
    }
    return type;
}

static bool
may_cast_by(struct analysis *a, uint32_t function, struct str name)
{
    for (uint32_t i = 0; i < a->catalog->n_functions; i++) {
        const struct catalog_function *f = &a->catalog->functions[i];

        if (f->oid != function)
            continue;
        shield_note_function(a, f);
        if (shield_function_trouble(a->shield, f) == NULL)
            continue;
        flow_refuse_because(a,
                            "a cast to %.*s is not known to be safe, and column protection is "
                            "configured",
                            STR_ARG(name));
        return false;
    }
    return true;
}

/* What values of the type are in the end: a domain's base, an array's element. */
static uint32_t
innermost_type(const struct analysis *a, const struct catalog_type *t)
{
    uint32_t type = t->oid;

    for (int i = 0; i < 32 && t != NULL && (t->base != 0 || t->element != 0); i++) {
        type = t->base != 0 ? t->base : t->element;
        t = catalog_type_of(a->catalog, type);
    }
    return type;
}

/* Casts by functions of the owner's run that function. */
static bool
may_cast_to(struct analysis *a, const PgQuery__TypeName *to)
{
    const struct catalog *c = a->catalog;
    struct str schema, name;

    if (c->n_casts == 0)
        return true;
    if (!flow_may_resolve(a))
        return false;
    sql_names(to->names, to->n_names, &schema, &name);
    for (uint32_t i = 0; i < c->n_types; i++) {
        uint32_t target;

        if (!str_equal(catalog_text(c, c->types[i].name), name))
            continue;
        target = innermost_type(a, &c->types[i]);
        for (uint32_t k = 0; k < c->n_casts; k++)
            if ((c->casts[k].target == target || c->casts[k].target == c->types[i].oid) &&
                !may_cast_by(a, c->casts[k].function, name))
                return false;
    }
    return true;
}

static struct flow
cast(struct analysis *a, const struct level *l, const PgQuery__TypeCast *c)
{
    struct flow f = compute(a, l, c->arg), result = {0};
    uint32_t type;

    if (!may_cast_to(a, c->type_name) || a->failed)
        return result;
    if (f.row != NULL || f.taint == NULL || f.taint->inside_json || !is_text_type(c->type_name)) {
        flow_mix(a, &result, f, "a cast");
        return result;
    }
    type = base_type(a, f.type);
    result.taint = type == TEXT || type == VARCHAR || type == BPCHAR ? f.taint
                                                                     : taint_derived(a, f.taint);
    result.type = TEXT;
    return result;
}

/* Subqueries. */

static struct flow
sublink(struct analysis *a, const struct level *l, const PgQuery__SubLink *s)
{
    struct flow result = {0};
    struct row row;

    if (s->subselect == NULL || s->subselect->node_case != NODE(SELECT_STMT)) {
        flow_refuse_because(a, "the gateway cannot analyse a subquery of the statement");
        return result;
    }
    row = query_select(a, l, s->subselect->select_stmt);
    if (a->failed || s->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK)
        return result;
    if (s->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK && row.n == 1 && !row.open) {
        result = row.columns[0].flow;
        result.relation = 0;
        return result;
    }
    if (s->n_oper_name > 0 && !compute_may_operate(a, s->oper_name, s->n_oper_name))
        return result;
    mix(a, l, &result, s->testexpr, "a comparison with a subquery");
    for (size_t i = 0; i < row.n; i++)
        flow_mix(a, &result, row.columns[i].flow,
                 s->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK
                     ? "ARRAY(…)"
                     : "a comparison with a subquery");
    return result;
}

/* The rest. */

static struct flow
boolean(struct analysis *a, const struct level *l, const PgQuery__BoolExpr *b)
{
    bool lookup = a->lookup;
    struct flow result = {0};

    if (b->boolop != PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)
        a->lookup = false;
    mix_all(a, l, &result, b->args, b->n_args, "AND, OR or NOT");
    a->lookup = lookup;
    return result;
}

static struct flow
cases(struct analysis *a, const struct level *l, const PgQuery__CaseExpr *c)
{
    struct flow result = {0};

    mix(a, l, &result, c->arg, "CASE");
    for (size_t i = 0; i < c->n_args; i++) {
        if (c->args[i]->node_case != NODE(CASE_WHEN))
            continue;
        mix(a, l, &result, c->args[i]->case_when->expr, "CASE");
        mix(a, l, &result, c->args[i]->case_when->result, "CASE");
    }
    mix(a, l, &result, c->defresult, "CASE");
    return result;
}

static struct flow
null_test(struct analysis *a, const struct level *l, const PgQuery__Node *argument)
{
    struct flow f = compute(a, l, argument);

    if (a->owner) {
        f.taint = taint_derived(a, flow_taint(a, f));
        f.row = NULL;
        return f;
    }
    return nothing;
}

static struct flow
multi_assign(struct analysis *a, const struct level *l, const PgQuery__Node *source)
{
    struct flow result = {0};

    if (source != NULL && source->node_case == NODE(ROW_EXPR))
        mix_all(a, l, &result, source->row_expr->args, source->row_expr->n_args, "an assignment");
    else if (source != NULL && source->node_case == NODE(SUB_LINK)) {
        struct row row = query_select(a, l, source->sub_link->subselect->select_stmt);

        for (size_t i = 0; i < row.n; i++)
            flow_mix(a, &result, row.columns[i].flow, "an assignment");
    } else
        mix(a, l, &result, source, "an assignment");
    return result;
}

static struct flow
grouping_set(struct analysis *a, const struct level *l, const PgQuery__GroupingSet *g)
{
    for (size_t i = 0; i < g->n_content; i++)
        compute_observe(a, l, g->content[i], "GROUP BY");
    return nothing;
}

static struct flow
expression(struct analysis *a, const struct level *l, const PgQuery__Node *node)
{
    struct flow result = {0};

    switch (node->node_case) {
    case NODE(COLUMN_REF):
        return column(a, l, node->column_ref);
    case NODE(A_CONST):
    case NODE(PARAM_REF):
    case NODE(SQLVALUE_FUNCTION):
    case NODE(SET_TO_DEFAULT):
    case NODE(CURRENT_OF_EXPR):
    case NODE(INTEGER):
    case NODE(FLOAT):
    case NODE(BOOLEAN):
    case NODE(STRING):
    case NODE(BIT_STRING):
    case PG_QUERY__NODE__NODE__NOT_SET:
        return result;
    case NODE(FUNC_CALL):
        return call(a, l, node->func_call);
    case NODE(A_EXPR):
        return operation(a, l, node->a_expr);
    case NODE(BOOL_EXPR):
        return boolean(a, l, node->bool_expr);
    case NODE(SUB_LINK):
        return sublink(a, l, node->sub_link);
    case NODE(TYPE_CAST):
        return cast(a, l, node->type_cast);
    case NODE(A_INDIRECTION):
        return indirection(a, l, node->a_indirection, node->a_indirection->n_indirection);
    case NODE(CASE_EXPR):
        return cases(a, l, node->case_expr);
    case NODE(NULL_TEST):
        return null_test(a, l, node->null_test->arg);
    case NODE(BOOLEAN_TEST):
        mix(a, l, &result, node->boolean_test->arg, "IS TRUE or its kin");
        return result;
    case NODE(COALESCE_EXPR):
        mix_all(a, l, &result, node->coalesce_expr->args, node->coalesce_expr->n_args, "COALESCE");
        return result;
    case NODE(MIN_MAX_EXPR):
        mix_all(a, l, &result, node->min_max_expr->args, node->min_max_expr->n_args,
                "GREATEST or LEAST");
        return result;
    case NODE(ROW_EXPR):
        mix_all(a, l, &result, node->row_expr->args, node->row_expr->n_args, "ROW(…)");
        return result;
    case NODE(A_ARRAY_EXPR):
        mix_all(a, l, &result, node->a_array_expr->elements, node->a_array_expr->n_elements,
                "ARRAY[…]");
        return result;
    case NODE(LIST):
        mix_all(a, l, &result, node->list->items, node->list->n_items, "a list of values");
        return result;
    case NODE(COLLATE_CLAUSE):
        mix(a, l, &result, node->collate_clause->arg, "COLLATE");
        return result;
    case NODE(NAMED_ARG_EXPR):
        return compute(a, l, node->named_arg_expr->arg);
    case NODE(GROUPING_FUNC):
        mix_all(a, l, &result, node->grouping_func->args, node->grouping_func->n_args,
                "GROUPING()");
        return result;
    case NODE(GROUPING_SET):
        return grouping_set(a, l, node->grouping_set);
    case NODE(XML_EXPR):
        mix_all(a, l, &result, node->xml_expr->named_args, node->xml_expr->n_named_args, "XML");
        mix_all(a, l, &result, node->xml_expr->args, node->xml_expr->n_args, "XML");
        return result;
    case NODE(XML_SERIALIZE):
        mix(a, l, &result, node->xml_serialize->expr, "XMLSERIALIZE");
        return result;
    case NODE(RES_TARGET):
        return compute(a, l, node->res_target->val);
    case NODE(SORT_BY):
        if (node->sort_by->n_use_op > 0 &&
            !compute_may_operate(a, node->sort_by->use_op, node->sort_by->n_use_op))
            return result;
        return compute(a, l, node->sort_by->node);
    case NODE(MULTI_ASSIGN_REF):
        return multi_assign(a, l, node->multi_assign_ref->source);
    default:
        flow_refuse_because(a, "the gateway cannot analyse an expression of the statement");
        return result;
    }
}

struct flow
compute(struct analysis *a, const struct level *l, const PgQuery__Node *node)
{
    bool lookup = a->lookup;
    struct flow result = {0};

    if (node == NULL || a->failed)
        return result;
    if (++a->steps > STEPS_MAX) {
        flow_refuse_because(a, "the statement is too large to be analysed");
        return result;
    }
    /* A lookup is a condition of its own, never a part of some other expression. */
    a->lookup = lookup && (node->node_case == NODE(A_EXPR) || node->node_case == NODE(BOOL_EXPR));
    result = expression(a, l, node);
    a->lookup = lookup;
    return result;
}

/* Names of output columns, as PostgreSQL's FigureColname() chooses them: 2 a good name, 1 a poor
 * one, 0 none. */
static int figure(const PgQuery__Node *node, struct str *name);

static int
good(struct str *name, struct str chosen)
{
    *name = chosen;
    return 2;
}

static int
figure_fields(PgQuery__Node **fields, size_t n, struct str *name)
{
    for (size_t i = n; i > 0; i--)
        if (fields[i - 1]->node_case == NODE(STRING))
            return good(name, sql_node_text(fields[i - 1]));
    return 0;
}

static int
figure_sublink(const PgQuery__SubLink *s, struct str *name)
{
    const PgQuery__SelectStmt *select;

    if (s->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK)
        return good(name, STR("exists"));
    if (s->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK)
        return good(name, STR("array"));
    if (s->sub_link_type != PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK || s->subselect == NULL ||
        s->subselect->node_case != NODE(SELECT_STMT))
        return 0;
    select = s->subselect->select_stmt;
    while (select->larg != NULL)
        select = select->larg;
    if (select->n_values_lists > 0)
        return good(name, STR("column1"));
    if (select->n_target_list == 0 || select->target_list[0]->node_case != NODE(RES_TARGET))
        return 0;
    if (select->target_list[0]->res_target->name[0] != '\0')
        return good(name, sql_str(select->target_list[0]->res_target->name));
    return good(name, compute_name(select->target_list[0]->res_target->val));
}

static struct str
value_function_name(PgQuery__SQLValueFunctionOp op)
{
    static const char *const names[] = {
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE] = "current_date",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME] = "current_time",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N] = "current_time",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP] = "current_timestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N] = "current_timestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME] = "localtime",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N] = "localtime",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP] = "localtimestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N] = "localtimestamp",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE] = "current_role",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER] = "current_user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER] = "user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER] = "session_user",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG] = "current_catalog",
        [PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA] = "current_schema",
    };
    size_t i = (size_t)op;

    return i < sizeof(names) / sizeof(names[0]) && names[i] != NULL ? sql_str(names[i])
                                                                    : STR("?column?");
}

static struct str
xml_name(PgQuery__XmlExprOp op)
{
    static const char *const names[] = {
        [PG_QUERY__XML_EXPR_OP__IS_XMLCONCAT] = "xmlconcat",
        [PG_QUERY__XML_EXPR_OP__IS_XMLELEMENT] = "xmlelement",
        [PG_QUERY__XML_EXPR_OP__IS_XMLFOREST] = "xmlforest",
        [PG_QUERY__XML_EXPR_OP__IS_XMLPARSE] = "xmlparse",
        [PG_QUERY__XML_EXPR_OP__IS_XMLPI] = "xmlpi",
        [PG_QUERY__XML_EXPR_OP__IS_XMLROOT] = "xmlroot",
        [PG_QUERY__XML_EXPR_OP__IS_XMLSERIALIZE] = "xmlserialize",
    };
    size_t i = (size_t)op;

    return i < sizeof(names) / sizeof(names[0]) && names[i] != NULL ? sql_str(names[i])
                                                                    : STR("?column?");
}

static int
figure(const PgQuery__Node *node, struct str *name)
{
    int strength;

    if (node == NULL)
        return 0;
    switch (node->node_case) {
    case NODE(COLUMN_REF):
        return figure_fields(node->column_ref->fields, node->column_ref->n_fields, name);
    case NODE(A_INDIRECTION):
        strength = figure_fields(node->a_indirection->indirection,
                                 node->a_indirection->n_indirection, name);
        return strength > 0 ? strength : figure(node->a_indirection->arg, name);
    case NODE(FUNC_CALL):
        return good(name,
                    sql_node_text(node->func_call->funcname[node->func_call->n_funcname - 1]));
    case NODE(A_EXPR):
        return node->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF
                   ? good(name, STR("nullif"))
                   : 0;
    case NODE(TYPE_CAST):
        strength = figure(node->type_cast->arg, name);
        if (strength > 1 || node->type_cast->type_name->n_names == 0)
            return strength;
        *name = sql_node_text(
            node->type_cast->type_name->names[node->type_cast->type_name->n_names - 1]);
        return 1;
    case NODE(COLLATE_CLAUSE):
        return figure(node->collate_clause->arg, name);
    case NODE(GROUPING_FUNC):
        return good(name, STR("grouping"));
    case NODE(SUB_LINK):
        return figure_sublink(node->sub_link, name);
    case NODE(CASE_EXPR):
        strength = figure(node->case_expr->defresult, name);
        if (strength > 1)
            return strength;
        *name = STR("case");
        return 1;
    case NODE(A_ARRAY_EXPR):
        return good(name, STR("array"));
    case NODE(ROW_EXPR):
        return good(name, STR("row"));
    case NODE(COALESCE_EXPR):
        return good(name, STR("coalesce"));
    case NODE(MIN_MAX_EXPR):
        return good(name, node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST
                              ? STR("greatest")
                              : STR("least"));
    case NODE(SQLVALUE_FUNCTION):
        return good(name, value_function_name(node->sqlvalue_function->op));
    case NODE(XML_EXPR):
        return good(name, xml_name(node->xml_expr->op));
    case NODE(XML_SERIALIZE):
        return good(name, STR("xmlserialize"));
    default:
        return 0;
    }
}

struct str
compute_name(const PgQuery__Node *node)
{
    struct str name = STR("?column?");

    (void)figure(node, &name);
    return name;
}
