#include "sql/tree.h"

/* Does a WHERE narrow? Judged by structure, never by values (but for the pattern of LIKE), and
 * from the pessimist's side: a condition narrows only if it plainly compares a column of the
 * target with something that does not come from the target. See docs/sql.md, "Mass writes". */

enum { DEPTH_MAX = 16, QUERIES_MAX = 10000 };

struct place {
    struct sql_walk *w;
    const PgQuery__RangeVar *target;
    PgQuery__Node **sources;
    size_t n_sources;
    int depth;
};

static bool narrows(const struct place *p, const PgQuery__Node *n);

static const char *
target_name(const PgQuery__RangeVar *rv)
{
    return rv->alias != NULL ? rv->alias->aliasname : rv->relname;
}

/* The column's name if `n` is a plain reference to a column of the target. Unqualified names are
 * the target's only if nothing else stands beside it. */
static const char *
target_column(const struct place *p, const PgQuery__Node *n)
{
    const PgQuery__ColumnRef *ref;
    const char *column;

    if (n->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
        return NULL;
    ref = n->column_ref;
    if (ref->n_fields == 0 ||
        ref->fields[ref->n_fields - 1]->node_case != PG_QUERY__NODE__NODE_STRING)
        return NULL;
    column = ref->fields[ref->n_fields - 1]->string->sval;
    if (ref->n_fields == 1)
        return p->n_sources == 0 ? column : NULL;
    if (!str_is(sql_node_text(ref->fields[ref->n_fields - 2]), target_name(p->target)))
        return NULL;
    return column;
}

static bool
is_system_column(const char *name)
{
    static const char *const names[] = {"ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool
is_operator(const PgQuery__AExpr *e, const char *name)
{
    return e->n_name > 0 && str_is(sql_node_text(e->name[e->n_name - 1]), name);
}

static bool
calls_one_of(const PgQuery__FuncCall *call, const char *const *names, size_t n)
{
    struct str name =
        sql_node_text(call->n_funcname > 0 ? call->funcname[call->n_funcname - 1] : NULL);

    for (size_t i = 0; i < n; i++)
        if (str_is(name, names[i]))
            return true;
    return false;
}

/* A column of the target, perhaps under a cast, a case fold, a date part or a JSON path: things
 * that keep values apart. Gives the column's name, or NULL. */
static const char *
column_side(const struct place *p, const PgQuery__Node *n)
{
    static const char *const functions[] = {"lower", "upper", "btrim", "date", "date_trunc"};

    if (n == NULL)
        return NULL;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return target_column(p, n);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return column_side(p, n->type_cast->arg);
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return column_side(p, n->collate_clause->arg);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        if (n->func_call->n_args == 0 ||
            !calls_one_of(n->func_call, functions, sizeof(functions) / sizeof(functions[0])))
            return NULL;
        return column_side(p, n->func_call->args[n->func_call->n_args - 1]);
    case PG_QUERY__NODE__NODE_A_EXPR:
        if (n->a_expr->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP ||
            !(is_operator(n->a_expr, "->") || is_operator(n->a_expr, "->>") ||
              is_operator(n->a_expr, "#>>")) ||
            n->a_expr->rexpr == NULL || n->a_expr->rexpr->node_case != PG_QUERY__NODE__NODE_A_CONST)
            return NULL;
        return column_side(p, n->a_expr->lexpr);
    default:
        return NULL;
    }
}

static bool query_bounds(const struct place *p, const PgQuery__Node *query, const char *column);

/* Whether rows of the FROM item `n` do not simply come from the target again. */
static bool
source_bounds(const struct place *p, const PgQuery__Node *n)
{
    const PgQuery__CommonTableExpr *cte = NULL;

    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR:
        if (strcmp(n->range_var->relname, p->target->relname) == 0)
            return false; /* also a CTE of that name: an earlier CTE may mean the relation */
        if (n->range_var->schemaname[0] == '\0')
            cte = sql_find_cte(p->w->scope, sql_str(n->range_var->relname), NULL);
        if (cte != NULL)
            return query_bounds(p, cte->ctequery, NULL);
        return true;
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
        return query_bounds(p, n->range_subselect->subquery, NULL);
    case PG_QUERY__NODE__NODE_JOIN_EXPR:
        return n->join_expr->larg != NULL && n->join_expr->rarg != NULL &&
               source_bounds(p, n->join_expr->larg) && source_bounds(p, n->join_expr->rarg);
    default: /* functions and the rest: who knows */
        return false;
    }
}

/* Whether `name` is what the FROM item `n`, or a part of it, is called; and that part. */
static const PgQuery__Node *
source_called(const PgQuery__Node *n, struct str name)
{
    const PgQuery__Node *found;

    if (n == NULL)
        return NULL;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR:
        return str_is(name, target_name(n->range_var)) ? n : NULL;
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
        return n->range_subselect->alias != NULL &&
                       str_is(name, n->range_subselect->alias->aliasname)
                   ? n
                   : NULL;
    case PG_QUERY__NODE__NODE_JOIN_EXPR:
        if (n->join_expr->alias != NULL)
            return str_is(name, n->join_expr->alias->aliasname) ? n : NULL;
        found = source_called(n->join_expr->larg, name);
        return found != NULL ? found : source_called(n->join_expr->rarg, name);
    default:
        return NULL;
    }
}

static bool
column_of_source(const struct place *p, const PgQuery__ColumnRef *ref)
{
    struct str name;

    if (ref->n_fields != 2)
        return false;
    name = sql_node_text(ref->fields[0]);
    if (str_is(name, target_name(p->target)))
        return false;
    for (size_t i = 0; i < p->n_sources; i++) {
        const PgQuery__Node *source = source_called(p->sources[i], name);

        if (source != NULL)
            return source_bounds(p, source);
    }
    return false;
}

/* Whether the value has nothing of the target: constants, parameters, other tables' columns, and
 * calls, casts, arrays and operators over those. `one`: it is one value, so that a scalar
 * subquery will do; `column` is what it is compared with. */
static bool
foreign_side(const struct place *p, const PgQuery__Node *n, bool one, const char *column)
{
    if (n == NULL)
        return true;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
    case PG_QUERY__NODE__NODE_PARAM_REF:
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return true;
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return column_of_source(p, n->column_ref);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return foreign_side(p, n->type_cast->arg, one, column);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return foreign_side(p, n->a_expr->lexpr, one, column) &&
               foreign_side(p, n->a_expr->rexpr, one, column);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        for (size_t i = 0; i < n->func_call->n_args; i++)
            if (!foreign_side(p, n->func_call->args[i], one, column))
                return false;
        return true;
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        for (size_t i = 0; i < n->a_array_expr->n_elements; i++)
            if (!foreign_side(p, n->a_array_expr->elements[i], one, column))
                return false;
        return true;
    case PG_QUERY__NODE__NODE_LIST:
        for (size_t i = 0; i < n->list->n_items; i++)
            if (!foreign_side(p, n->list->items[i], one, column))
                return false;
        return true;
    case PG_QUERY__NODE__NODE_SUB_LINK:
        if (n->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK ||
            (one && n->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK))
            return query_bounds(p, n->sub_link->subselect, column);
        return false;
    default:
        return false;
    }
}

/* Whether the target list leaves no doubt that it is not the outer row's own column: in
 * `id IN (SELECT id FROM t)` the inner id is the outer one if t has none. */
static bool
targets_are_own(const struct place *p, const PgQuery__SelectStmt *s, const char *column)
{
    for (size_t i = 0; i < s->n_target_list; i++) {
        const PgQuery__Node *n = s->target_list[i];
        const PgQuery__ColumnRef *ref;

        if (n->node_case != PG_QUERY__NODE__NODE_RES_TARGET || n->res_target->val == NULL)
            return false;
        n = n->res_target->val;
        if (n->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
            continue;
        ref = n->column_ref;
        if (ref->n_fields == 1 && column != NULL && str_is(sql_node_text(ref->fields[0]), column))
            return false;
        if (ref->n_fields == 2 && str_is(sql_node_text(ref->fields[0]), target_name(p->target)) &&
            source_called(s->n_from_clause == 1 ? s->from_clause[0] : NULL,
                          sql_node_text(ref->fields[0])) == NULL)
            return false;
    }
    return true;
}

static bool
reads_only_others(const struct place *p, const PgQuery__SelectStmt *s)
{
    for (size_t i = 0; i < s->n_from_clause; i++)
        if (!source_bounds(p, s->from_clause[i]))
            return false;
    return true;
}

static bool
constants_only(const struct place *p, PgQuery__Node **nodes, size_t n)
{
    const struct place nowhere = {.w = p->w, .target = p->target, .depth = p->depth};

    for (size_t i = 0; i < n; i++) {
        const PgQuery__Node *value = nodes[i];

        if (value->node_case == PG_QUERY__NODE__NODE_RES_TARGET)
            value = value->res_target->val;
        if (!foreign_side(&nowhere, value, false, NULL))
            return false;
    }
    return true;
}

/* The same for a writing CTE: what it returns is what it inserted or narrowed. */
static bool
write_bounds(const struct place *p, const PgQuery__Node *n)
{
    struct place own = {.w = p->w, .depth = p->depth};

    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_INSERT_STMT:
        return n->insert_stmt->with_clause == NULL &&
               query_bounds(p, n->insert_stmt->select_stmt, NULL);
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
        own.target = n->update_stmt->relation;
        return n->update_stmt->n_from_clause == 0 && own.target != NULL &&
               narrows(&own, n->update_stmt->where_clause);
    case PG_QUERY__NODE__NODE_DELETE_STMT:
        own.target = n->delete_stmt->relation;
        return n->delete_stmt->n_using_clause == 0 && own.target != NULL &&
               narrows(&own, n->delete_stmt->where_clause);
    default:
        return false;
    }
}

/* Whether the rows of a query are fewer than the target's in a way that its structure shows: they
 * are constants, come from other tables, or from the target under a WHERE that narrows. */
static bool
query_bounds(const struct place *p, const PgQuery__Node *query, const char *column)
{
    struct place inner = *p;
    const PgQuery__SelectStmt *s;

    /* CTEs that name each other many times stand for more queries than anyone can look at. */
    if (query == NULL || ++inner.depth > DEPTH_MAX || ++p->w->n_bounded > QUERIES_MAX)
        return false;
    if (query->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return write_bounds(&inner, query);
    s = query->select_stmt;
    if (s->with_clause != NULL || s->op > PG_QUERY__SET_OPERATION__SETOP_NONE)
        return false;
    if (s->n_values_lists > 0)
        return constants_only(&inner, s->values_lists, s->n_values_lists);
    if (s->n_from_clause == 0)
        return s->n_target_list > 0 && constants_only(&inner, s->target_list, s->n_target_list);
    if (s->n_from_clause == 1 && s->where_clause != NULL &&
        s->from_clause[0]->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) {
        struct place own = {
            .w = p->w, .target = s->from_clause[0]->range_var, .depth = inner.depth};

        if (narrows(&own, s->where_clause))
            return true;
    }
    return reads_only_others(&inner, s) && targets_are_own(&inner, s, column);
}

/* LIKE narrows if its pattern demands a character; the one place where a value counts. */
static bool
pattern_narrows(const struct place *p, const PgQuery__Node *pattern)
{
    struct str text;

    p->w->depends = true;
    if (pattern == NULL || !sql_constant(pattern, &text))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '%' && text.ptr[i] != '_')
            return true;
    return false;
}

static bool
compares(const struct place *p, const PgQuery__Node *l, const PgQuery__Node *r, bool equality)
{
    const char *column = column_side(p, l);

    if (column == NULL || (!equality && is_system_column(column)))
        return false;
    if (is_system_column(column) && strcmp(column, "ctid") != 0)
        return false;
    return foreign_side(p, r, equality, column);
}

static bool
row_compares(const struct place *p, const PgQuery__RowExpr *l, const PgQuery__RowExpr *r)
{
    if (l->n_args != r->n_args)
        return false;
    for (size_t i = 0; i < l->n_args; i++)
        if (compares(p, l->args[i], r->args[i], true) || compares(p, r->args[i], l->args[i], true))
            return true;
    return false;
}

static bool
plain_operator_narrows(const struct place *p, const PgQuery__AExpr *e)
{
    bool equality = is_operator(e, "=");

    if (e->lexpr == NULL || e->rexpr == NULL)
        return false;
    if (equality && e->lexpr->node_case == PG_QUERY__NODE__NODE_ROW_EXPR &&
        e->rexpr->node_case == PG_QUERY__NODE__NODE_ROW_EXPR)
        return row_compares(p, e->lexpr->row_expr, e->rexpr->row_expr);
    if (!equality && !is_operator(e, "<") && !is_operator(e, ">") && !is_operator(e, "<=") &&
        !is_operator(e, ">="))
        return false;
    return compares(p, e->lexpr, e->rexpr, equality) || compares(p, e->rexpr, e->lexpr, equality);
}

static bool
list_narrows(const struct place *p, const PgQuery__AExpr *e)
{
    const PgQuery__Node *l = e->lexpr;
    const PgQuery__Node *r = e->rexpr;

    if (!is_operator(e, "=") || l == NULL || r == NULL || r->node_case != PG_QUERY__NODE__NODE_LIST)
        return false;
    if (l->node_case != PG_QUERY__NODE__NODE_ROW_EXPR)
        return compares(p, l, r, true);
    for (size_t i = 0; i < r->list->n_items; i++)
        if (r->list->items[i]->node_case != PG_QUERY__NODE__NODE_ROW_EXPR ||
            !row_compares(p, l->row_expr, r->list->items[i]->row_expr))
            return false;
    return true;
}

static bool
operator_narrows(const struct place *p, const PgQuery__AExpr *e)
{
    if (e->n_name != 1 && !(e->n_name == 2 && str_is(sql_node_text(e->name[0]), "pg_catalog")))
        return false;
    switch (e->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return plain_operator_narrows(p, e);
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        return list_narrows(p, e);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
        return is_operator(e, "=") && e->lexpr != NULL && e->rexpr != NULL &&
               compares(p, e->lexpr, e->rexpr, true);
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
        return e->lexpr != NULL && e->rexpr != NULL && compares(p, e->lexpr, e->rexpr, false);
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
        return (is_operator(e, "~~") || is_operator(e, "~~*")) &&
               column_side(p, e->lexpr) != NULL && !is_system_column(column_side(p, e->lexpr)) &&
               pattern_narrows(p, e->rexpr);
    default:
        return false;
    }
}

/* EXISTS (SELECT … FROM other WHERE other.x = target.y …) */
static bool
exists_narrows(const struct place *p, const PgQuery__Node *query)
{
    struct place inner = *p;
    const PgQuery__SelectStmt *s;

    if (query == NULL || query->node_case != PG_QUERY__NODE__NODE_SELECT_STMT ||
        ++inner.depth > DEPTH_MAX || ++p->w->n_bounded > QUERIES_MAX)
        return false;
    s = query->select_stmt;
    if (s->with_clause != NULL || s->op > PG_QUERY__SET_OPERATION__SETOP_NONE ||
        s->n_from_clause == 0 || s->n_group_clause > 0 || s->having_clause != NULL ||
        s->where_clause == NULL)
        return false;
    for (size_t i = 0; i < s->n_target_list; i++) { /* an aggregate makes a row of nothing */
        const PgQuery__Node *n = s->target_list[i];

        if (n->node_case != PG_QUERY__NODE__NODE_RES_TARGET || n->res_target->val == NULL ||
            (n->res_target->val->node_case != PG_QUERY__NODE__NODE_A_CONST &&
             n->res_target->val->node_case != PG_QUERY__NODE__NODE_COLUMN_REF))
            return false;
    }
    inner.sources = s->from_clause;
    inner.n_sources = s->n_from_clause;
    for (size_t i = 0; i < s->n_from_clause; i++)
        if (source_called(s->from_clause[i], sql_str(target_name(p->target))) != NULL)
            return false; /* hides the target */
    return reads_only_others(&inner, s) && narrows(&inner, s->where_clause);
}

static bool
sublink_narrows(const struct place *p, const PgQuery__SubLink *link)
{
    const char *column;

    switch (link->sub_link_type) {
    case PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK:
        return exists_narrows(p, link->subselect);
    case PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK:
        if (link->n_oper_name > 0 &&
            !(link->n_oper_name == 1 && str_is(sql_node_text(link->oper_name[0]), "=")))
            return false;
        column = column_side(p, link->testexpr);
        if (column == NULL || (is_system_column(column) && strcmp(column, "ctid") != 0))
            return false;
        return query_bounds(p, link->subselect, column);
    default:
        return false;
    }
}

static bool
all_narrow(const struct place *p, const PgQuery__BoolExpr *e)
{
    for (size_t i = 0; i < e->n_args; i++)
        if (!narrows(p, e->args[i]))
            return false;
    return e->n_args > 0;
}

static bool
any_narrows(const struct place *p, const PgQuery__BoolExpr *e)
{
    for (size_t i = 0; i < e->n_args; i++)
        if (narrows(p, e->args[i]))
            return true;
    return false;
}

static bool
narrows(const struct place *p, const PgQuery__Node *n)
{
    const PgQuery__Node *arg;

    if (n == NULL)
        return false;
    switch (n->node_case) {
    case PG_QUERY__NODE__NODE_CURRENT_OF_EXPR:
        return true;
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        if (n->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)
            return any_narrows(p, n->bool_expr);
        return n->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR &&
               all_narrow(p, n->bool_expr);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return operator_narrows(p, n->a_expr);
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return sublink_narrows(p, n->sub_link);
    case PG_QUERY__NODE__NODE_COLUMN_REF: /* a column of type boolean */
        return target_column(p, n) != NULL && !is_system_column(target_column(p, n));
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        arg = n->boolean_test->arg;
        if (n->boolean_test->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_TRUE && narrows(p, arg))
            return true;
        return (n->boolean_test->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_TRUE ||
                n->boolean_test->booltesttype == PG_QUERY__BOOL_TEST_TYPE__IS_FALSE) &&
               arg != NULL && target_column(p, arg) != NULL;
    default:
        return false;
    }
}

bool
sql_where_narrows(struct sql_walk *w, const PgQuery__RangeVar *target, PgQuery__Node **sources,
                  size_t n_sources, const PgQuery__Node *where)
{
    const struct place p = {.w = w, .target = target, .sources = sources, .n_sources = n_sources};

    return narrows(&p, where);
}
