/* FROM: what is visible by which name (PostgreSQL's parse_clause.c says how). */
#include "sql/flow.h"
#include "sql/shield.h"

#define NODE(kind) PG_QUERY__NODE__NODE_##kind

/* What one FROM item makes visible, and the item that stands for it as a whole. */
struct source {
    struct names names;
    const struct item *top;
};

struct names
names_of(struct analysis *a, const struct item *item)
{
    struct visible *v = flow_alloc(a, 1, sizeof(*v));

    if (v == NULL || item == NULL)
        return (struct names){0};
    *v = (struct visible){item, item->name.len > 0, true};
    return (struct names){v, 1};
}

struct names
names_join(struct analysis *a, struct names x, struct names y)
{
    struct visible *v;

    if (x.n == 0 || y.n == 0)
        return x.n == 0 ? y : x;
    if ((v = flow_alloc(a, x.n + y.n, sizeof(*v))) == NULL)
        return x;
    memcpy(v, x.items, x.n * sizeof(*v));
    memcpy(v + x.n, y.items, y.n * sizeof(*v));
    return (struct names){v, x.n + y.n};
}

/* The same names, their columns no longer by themselves (they are the join's now). */
static struct names
without_columns(struct analysis *a, struct names x)
{
    struct visible *v = flow_alloc(a, x.n, sizeof(*v));

    if (v == NULL)
        return x;
    for (size_t i = 0; i < x.n; i++)
        v[i] = (struct visible){x.items[i].item, x.items[i].by_name, false};
    return (struct names){v, x.n};
}

static struct item *
new_item(struct analysis *a, struct row row)
{
    struct item *item = flow_alloc(a, 1, sizeof(*item));

    if (item != NULL)
        item->row = row;
    return item;
}

/* An alias, which may rename columns. */
static void
rename_item(struct analysis *a, struct item *item, const PgQuery__Alias *alias)
{
    struct column *columns;

    if (alias == NULL)
        return;
    item->name = sql_str(alias->aliasname);
    item->has_alias = true;
    if (alias->n_colnames == 0)
        return;
    if (item->row.open)
        flow_observe(a, (struct flow){.row = &item->row},
                     "columns named by position, not all known");
    if (item->row.open && alias->n_colnames > item->row.n) {
        /* the columns beyond those that are known are free and now have names */
        if ((columns = flow_alloc(a, alias->n_colnames, sizeof(*columns))) == NULL)
            return;
        if (item->row.n > 0)
            memcpy(columns, item->row.columns, item->row.n * sizeof(*columns));
        item->row.n = alias->n_colnames;
    } else if (alias->n_colnames > item->row.n) {
        flow_error(a, "42P10", "table \"%s\" has fewer columns than its alias names",
                   alias->aliasname);
        return;
    } else {
        if ((columns = flow_alloc(a, item->row.n, sizeof(*columns))) == NULL)
            return;
        memcpy(columns, item->row.columns, item->row.n * sizeof(*columns));
    }
    for (size_t i = 0; i < alias->n_colnames; i++)
        columns[i].name = sql_node_text(alias->colnames[i]);
    item->row.columns = columns;
}

static struct source
source_of(struct analysis *a, struct item *item, const PgQuery__Alias *alias)
{
    if (item == NULL)
        return (struct source){0};
    rename_item(a, item, alias);
    return (struct source){names_of(a, item), item};
}

/* Whether the query that has the WITH reads it itself, not one inside. */
static bool
is_own(const struct level *l, const struct cte *cte)
{
    const struct cte *outer = l->outer == NULL ? NULL : l->outer->ctes;

    for (const struct cte *c = l->ctes; c != outer; c = c->next)
        if (c == cte)
            return true;
    return false;
}

/* What SEARCH and CYCLE add is in no star of an inner query. */
static struct item *
cte_item(struct analysis *a, const struct level *l, const struct cte *cte)
{
    struct item *item = new_item(a, cte->row);
    struct column *columns;

    if (item == NULL)
        return NULL;
    item->name = cte->name;
    if (cte->n_extra == 0 || cte->n_extra > cte->row.n || is_own(l, cte) ||
        (columns = flow_alloc(a, cte->row.n, sizeof(*columns))) == NULL)
        return item;
    memcpy(columns, cte->row.columns, cte->row.n * sizeof(*columns));
    for (size_t i = cte->row.n - cte->n_extra; i < cte->row.n; i++)
        columns[i].unlisted = true;
    item->row.columns = columns;
    return item;
}

const struct item *
from_relation(struct analysis *a, const struct level *l, const PgQuery__RangeVar *rv)
{
    struct str schema = sql_str(rv->schemaname), name = sql_str(rv->relname);
    const struct cte *cte = schema.len == 0 ? names_find_cte(l, name) : NULL;
    const struct catalog_relation *r;
    struct item *item;

    if (cte != NULL) {
        if ((item = cte_item(a, l, cte)) != NULL)
            rename_item(a, item, rv->alias);
        return item;
    }
    if ((r = names_find_relation(a, schema, name)) == NULL)
        return NULL;
    if (sql_is_secret(shield_schema_name(a->shield, r->namespace), name)) {
        flow_refuse_because(a, "\"%.*s\" holds data of protected columns or of other sessions",
                            STR_ARG(name));
        return NULL;
    }
    if (shield_is_system(a->shield, r))
        a->reads_system = true;
    else
        a->reads_user = true;
    if ((item = new_item(a, shield_row(a, r))) == NULL)
        return NULL;
    item->name = name;
    item->relation = r;
    rename_item(a, item, rv->alias);
    return item;
}

/* Functions. */

static size_t
count_list(struct str list)
{
    size_t n = 0;

    for (size_t i = 0; i < list.len; i++)
        n += list.ptr[i] == '\0';
    return n;
}

static struct row
named_columns(struct analysis *a, struct str list)
{
    size_t n = count_list(list);
    struct column *columns = flow_alloc(a, n, sizeof(*columns));

    if (columns == NULL)
        return (struct row){.open = true};
    for (size_t i = 0; i < n; i++) {
        columns[i].name = (struct str){list.ptr, strnlen(list.ptr, list.len)};
        list = str_skip(list, columns[i].name.len + 1);
    }
    return (struct row){.columns = columns, .n = n};
}

static struct row
one_column(struct analysis *a, struct str name)
{
    struct column *column = flow_alloc(a, 1, sizeof(*column));

    if (column == NULL)
        return (struct row){.open = true};
    column->name = name;
    return (struct row){.columns = column, .n = 1};
}

/* The columns of `AS (a int, b text)`. */
static struct row
defined_columns(struct analysis *a, PgQuery__Node **definitions, size_t n)
{
    struct column *columns = flow_alloc(a, n, sizeof(*columns));

    if (columns == NULL)
        return (struct row){.open = true};
    for (size_t i = 0; i < n; i++)
        if (definitions[i]->node_case == NODE(COLUMN_DEF))
            columns[i].name = sql_str(definitions[i]->column_def->colname);
    return (struct row){.columns = columns, .n = n};
}

/* A row of one column, or of others where the value is a composite one. */
static struct row
perhaps_one_column(struct analysis *a, struct str name)
{
    struct row row = one_column(a, name);

    row.open = true;
    return row;
}

/* Built-in functions whose result has the type of an argument. */
static bool
is_polymorphic(struct str name)
{
    return str_is(name, "unnest") || str_starts(name, STR("json_populate_record")) ||
           str_starts(name, STR("jsonb_populate_record"));
}

/* anyelement, anynonarray, anycompatible, anycompatiblenonarray, record */
static bool
is_any_type(uint32_t type)
{
    return type == 2283 || type == 2776 || type == 5077 || type == 5079 || type == 2249;
}

static bool
is_simple_type(const struct analysis *a, const PgQuery__TypeName *t)
{
    struct str schema, name;
    bool found = false;

    sql_names(t->names, t->n_names, &schema, &name);
    if (t->n_array_bounds == 0 || (!str_is(schema, "pg_catalog") && !flow_is_text(a, t)))
        return false;
    for (uint32_t i = 0; i < a->catalog->n_types; i++) {
        if (!str_equal(catalog_text(a->catalog, a->catalog->types[i].name), name))
            continue;
        if (a->catalog->types[i].kind == 'c')
            return false;
        found = true;
    }
    return found;
}

/* Whether a value is plainly no array of rows. */
static bool
is_simple_array(const struct analysis *a, const PgQuery__Node *node)
{
    if (node->node_case == NODE(TYPE_CAST))
        return is_simple_type(a, node->type_cast->type_name);
    if (node->node_case != NODE(A_ARRAY_EXPR))
        return false;
    for (size_t i = 0; i < node->a_array_expr->n_elements; i++)
        if (node->a_array_expr->elements[i]->node_case != NODE(A_CONST))
            return false;
    return true;
}

static const struct catalog_relation *
composite_of(const struct analysis *a, uint32_t type)
{
    const struct catalog_type *t = catalog_type_of(a->catalog, type);

    for (int i = 0; i < 32 && t != NULL && t->base != 0; i++)
        t = catalog_type_of(a->catalog, t->base);
    return t == NULL || t->relation == 0 ? NULL : catalog_relation_of(a->catalog, t->relation);
}

/* Of several functions of one name any may be meant; a built-in one need not be in the catalog. */
static bool
may_differ(const struct catalog_function *f, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (f[i].outputs.len != f[0].outputs.len || f[i].result != f[0].result ||
            (f[i].oid >= CATALOG_FIRST_USER_OID && sql_is_safe_function(name)))
            return true;
    return false;
}

/* The columns of a call in FROM; the arguments were looked at already. */
static struct row
columns_of_call(struct analysis *a, const PgQuery__FuncCall *c, struct str alias)
{
    const struct catalog_relation *of_type;
    const struct catalog_function *f;
    struct str schema, name, own;
    struct row row;
    size_t n;

    sql_names(c->funcname, c->n_funcname, &schema, &name);
    own = alias.len > 0 ? alias : name;
    f = catalog_functions_named(a->catalog, name, &n);
    if (is_polymorphic(name))
        return str_is(name, "unnest") && c->n_args == 1 && is_simple_array(a, c->args[0])
                   ? one_column(a, own)
                   : perhaps_one_column(a, own);
    if (n == 0)
        return one_column(a, own);
    if (may_differ(f, n, name))
        return (struct row){.open = true};
    if (count_list(catalog_text(a->catalog, f->outputs)) > 1)
        return named_columns(a, catalog_text(a->catalog, f->outputs));
    if (is_any_type(f->result))
        return perhaps_one_column(a, own);
    if ((of_type = composite_of(a, f->result)) == NULL)
        return f->outputs.len > 0 ? named_columns(a, catalog_text(a->catalog, f->outputs))
                                  : one_column(a, own);
    row = shield_row(a, of_type); /* safe functions give free values of that type */
    for (size_t i = 0; i < row.n; i++)
        if (row.columns[i].flow.taint != NULL) {
            flow_refuse_because(a, "function %.*s() returns rows of a table with protected columns",
                                STR_ARG(name));
            break;
        }
    return row;
}

static void
append_row(struct analysis *a, struct row *row, struct row more)
{
    struct column *columns = flow_alloc(a, row->n + more.n, sizeof(*columns));

    if (columns == NULL)
        return;
    if (row->n > 0)
        memcpy(columns, row->columns, row->n * sizeof(*columns));
    if (more.n > 0)
        memcpy(columns + row->n, more.columns, more.n * sizeof(*columns));
    for (size_t i = row->n; i < row->n + more.n; i++)
        columns[i].flow.relation = 0;
    *row = (struct row){.columns = columns, .n = row->n + more.n, .open = row->open || more.open};
}

/* One function of the item: a pair of a call and its column definitions. */
static struct row
function_columns(struct analysis *a, const struct level *l, const PgQuery__Node *pair,
                 struct str alias)
{
    const PgQuery__Node *node = pair->list->items[0];
    struct flow f = compute(a, l, node);

    flow_observe(a, f, "a function in FROM");
    if (pair->list->n_items == 2 && pair->list->items[1]->node_case == NODE(LIST))
        return defined_columns(a, pair->list->items[1]->list->items,
                               pair->list->items[1]->list->n_items);
    if (node->node_case == NODE(SQLVALUE_FUNCTION))
        return one_column(a, alias.len > 0 ? alias : compute_name(node));
    if (node->node_case != NODE(FUNC_CALL)) /* CAST(…), COALESCE(…) and their kin */
        return perhaps_one_column(a, alias.len > 0 ? alias : compute_name(node));
    return columns_of_call(a, node->func_call, alias);
}

static struct source
range_function(struct analysis *a, const struct level *l, const PgQuery__RangeFunction *f)
{
    struct str alias = f->alias != NULL ? sql_str(f->alias->aliasname) : STR("");
    struct row row = {0};
    struct item *item;

    for (size_t i = 0; i < f->n_functions && !a->failed; i++) {
        const PgQuery__Node *pair = f->functions[i];

        if (pair->node_case != NODE(LIST) || pair->list->n_items == 0) {
            flow_refuse_because(a, "the gateway cannot analyse a function in FROM");
            break;
        }
        append_row(a, &row, function_columns(a, l, pair, f->n_functions == 1 ? alias : STR("")));
    }
    if (f->n_coldeflist > 0)
        row = defined_columns(a, f->coldeflist, f->n_coldeflist);
    if (f->ordinality)
        append_row(a, &row, one_column(a, STR("ordinality")));
    if ((item = new_item(a, row)) != NULL && f->n_functions > 0 && f->alias == NULL &&
        f->functions[0]->node_case == NODE(LIST))
        item->name = compute_name(f->functions[0]->list->items[0]);
    return source_of(a, item, f->alias);
}

static struct source
table_function(struct analysis *a, const struct level *l, const PgQuery__RangeTableFunc *f)
{
    struct column *columns = flow_alloc(a, f->n_columns, sizeof(*columns));
    struct item *item;

    compute_observe(a, l, f->docexpr, "XMLTABLE");
    compute_observe(a, l, f->rowexpr, "XMLTABLE");
    for (size_t i = 0; i < f->n_namespaces; i++)
        compute_observe(a, l, f->namespaces[i], "XMLTABLE");
    if (columns == NULL)
        return (struct source){0};
    for (size_t i = 0; i < f->n_columns; i++) {
        const PgQuery__RangeTableFuncCol *c = f->columns[i]->range_table_func_col;

        if (f->columns[i]->node_case != NODE(RANGE_TABLE_FUNC_COL))
            continue;
        compute_observe(a, l, c->colexpr, "XMLTABLE");
        compute_observe(a, l, c->coldefexpr, "XMLTABLE");
        columns[i].name = sql_str(c->colname);
    }
    item = new_item(a, (struct row){.columns = columns, .n = f->n_columns});
    if (item != NULL)
        item->name = STR("xmltable");
    return source_of(a, item, f->alias);
}

static struct source from_item(struct analysis *a, struct level *l, const PgQuery__Node *node);

static struct source
subselect(struct analysis *a, const struct level *l, const PgQuery__RangeSubselect *s)
{
    /* Without LATERAL the items beside it are not visible. */
    struct level seen = {.outer = l->outer, .ctes = l->ctes};

    if (s->lateral)
        seen.names = l->names;
    if (s->subquery == NULL || s->subquery->node_case != NODE(SELECT_STMT)) {
        flow_refuse_because(a, "the gateway cannot analyse a subquery of the statement");
        return (struct source){0};
    }
    return source_of(a, new_item(a, query_select(a, &seen, s->subquery->select_stmt)), s->alias);
}

/* Joins. */

static struct column
merged(struct analysis *a, const struct item *left, const struct item *right, struct str name)
{
    const struct column *x = row_find(&left->row, name), *y = row_find(&right->row, name);
    struct column column = {.name = name};

    if ((x == NULL && !left->row.open) || (y == NULL && !right->row.open)) {
        flow_error(a, "42703",
                   "column \"%.*s\" specified in USING clause does not exist in both "
                   "tables",
                   STR_ARG(name));
        a->unknown_name = true;
        return column;
    }
    if (!compute_may_compare(a))
        return column;
    if (x != NULL)
        flow_observe(a, x->flow, "a join");
    if (y != NULL)
        flow_observe(a, y->flow, "a join");
    column.flow.taint = taint_union(a, x != NULL ? flow_taint(a, x->flow) : NULL,
                                    y != NULL ? flow_taint(a, y->flow) : NULL);
    return column;
}

struct using_list {
    const struct str *names;
    size_t n;
};

static struct using_list
using_names(struct analysis *a, const PgQuery__JoinExpr *j, const struct item *left,
            const struct item *right)
{
    size_t n = 0, max = j->is_natural ? left->row.n : j->n_using_clause;
    struct str *names = flow_alloc(a, max, sizeof(*names));

    if (names == NULL)
        return (struct using_list){0};
    if (j->is_natural && (left->row.open || right->row.open)) {
        flow_refuse_because(a, "a NATURAL join with a function whose columns are not known");
        return (struct using_list){0};
    }
    for (size_t i = 0; i < max; i++) {
        if (!j->is_natural)
            names[n++] = sql_node_text(j->using_clause[i]);
        else if (row_find(&right->row, left->row.columns[i].name) != NULL)
            names[n++] = left->row.columns[i].name;
    }
    return (struct using_list){names, n};
}

static bool
is_using(struct using_list u, struct str name)
{
    for (size_t i = 0; i < u.n; i++)
        if (str_equal(u.names[i], name))
            return true;
    return false;
}

/* Merged columns first, then what is left of each side. */
static struct row
joined_row(struct analysis *a, struct using_list u, const struct item *left,
           const struct item *right)
{
    struct column *columns = flow_alloc(a, u.n + left->row.n + right->row.n, sizeof(*columns));
    struct row row = {.columns = columns, .open = left->row.open || right->row.open};

    if (columns == NULL)
        return row;
    for (size_t i = 0; i < u.n; i++)
        columns[row.n++] = merged(a, left, right, u.names[i]);
    for (size_t i = 0; i < left->row.n; i++)
        if (!is_using(u, left->row.columns[i].name))
            columns[row.n++] = left->row.columns[i];
    for (size_t i = 0; i < right->row.n; i++)
        if (!is_using(u, right->row.columns[i].name))
            columns[row.n++] = right->row.columns[i];
    return row;
}

static struct names
using_alias(struct analysis *a, const PgQuery__JoinExpr *j, struct row row, size_t n)
{
    struct item *item;
    struct names names;

    if (j->join_using_alias == NULL ||
        (item = new_item(a, (struct row){.columns = row.columns, .n = n})) == NULL)
        return (struct names){0};
    item->name = sql_str(j->join_using_alias->aliasname);
    item->has_alias = true;
    names = names_of(a, item);
    return without_columns(a, names);
}

static struct source
join(struct analysis *a, struct level *l, const PgQuery__JoinExpr *j)
{
    struct names before = l->names;
    struct source left = from_item(a, l, j->larg), right;
    struct level on = {.outer = l->outer, .ctes = l->ctes};
    struct using_list u = {0};
    struct names names, both;
    struct item *item;

    l->names = names_join(a, before, left.names); /* for LATERAL on the right */
    right = from_item(a, l, j->rarg);
    l->names = before;
    if (a->failed || left.top == NULL || right.top == NULL)
        return (struct source){0};
    both = names_join(a, left.names, right.names);
    if (j->is_natural || j->n_using_clause > 0)
        u = using_names(a, j, left.top, right.top);
    on.names = both;
    compute_observe(a, &on, j->quals, "ON");
    if ((item = new_item(a, joined_row(a, u, left.top, right.top))) == NULL)
        return (struct source){0};
    if (j->alias != NULL) {
        rename_item(a, item, j->alias);
        return (struct source){names_of(a, item), item};
    }
    names = names_join(a, without_columns(a, both), names_of(a, item));
    return (struct source){names_join(a, names, using_alias(a, j, item->row, u.n)), item};
}

static struct source
from_item(struct analysis *a, struct level *l, const PgQuery__Node *node)
{
    const struct item *item;

    if (a->failed)
        return (struct source){0};
    switch (node->node_case) {
    case NODE(RANGE_VAR):
        item = from_relation(a, l, node->range_var);
        if (item == NULL)
            return (struct source){0};
        return (struct source){names_of(a, item), item};
    case NODE(RANGE_SUBSELECT):
        return subselect(a, l, node->range_subselect);
    case NODE(RANGE_FUNCTION):
        return range_function(a, l, node->range_function);
    case NODE(RANGE_TABLE_FUNC):
        return table_function(a, l, node->range_table_func);
    case NODE(RANGE_TABLE_SAMPLE):
        for (size_t i = 0; i < node->range_table_sample->n_args; i++)
            compute_observe(a, l, node->range_table_sample->args[i], "TABLESAMPLE");
        compute_observe(a, l, node->range_table_sample->repeatable, "TABLESAMPLE");
        return from_item(a, l, node->range_table_sample->relation);
    case NODE(JOIN_EXPR):
        return join(a, l, node->join_expr);
    default:
        flow_refuse_because(a, "the gateway cannot analyse a part of FROM");
        return (struct source){0};
    }
}

/* Adds to what `l` sees; while it works, items see those on their left if they are LATERAL. */
struct names
from_clause(struct analysis *a, struct level *l, PgQuery__Node **items, size_t n)
{
    for (size_t i = 0; i < n && !a->failed; i++)
        l->names = names_join(a, l->names, from_item(a, l, items[i]).names);
    return l->names;
}
