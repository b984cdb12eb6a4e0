#include "sql/tree.h"

/* What SELECT and expressions may hold: relations, CTEs, calls, operators. */

const PgQuery__CommonTableExpr *
sql_find_cte(const struct sql_scope *scope, struct str name, const struct sql_scope **where)
{
    for (; scope != NULL; scope = scope->parent)
        for (size_t i = 0; i < scope->n; i++) {
            const PgQuery__Node *node = scope->ctes[i];

            if (node->node_case == PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR &&
                str_is(name, node->common_table_expr->ctename)) {
                if (where != NULL)
                    *where = scope;
                return node->common_table_expr;
            }
        }
    return NULL;
}

/* pg_subscription is an ordinary catalog, which pg_dump reads, but for one column with passwords:
 * that one, and whatever may hold it unnamed, is a secret. */
static enum err
subscription_secret(struct sql_walk *w)
{
    return sql_demand(w, CLASSES(ADMIN) | CLASSES(SECRETS), OBJECT_RELATION, sql_str("pg_catalog"),
                      sql_str("pg_subscription"));
}

/* Notes what a FROM item calls pg_subscription, before the columns are looked at. */
static void
find_subscription(struct sql_walk *w, const PgQuery__Node *item)
{
    const PgQuery__RangeVar *rv;

    if (item == NULL)
        return;
    if (item->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR && item->join_expr->alias == NULL) {
        find_subscription(w, item->join_expr->larg);
        find_subscription(w, item->join_expr->rarg);
    }
    if (item->node_case != PG_QUERY__NODE__NODE_RANGE_VAR)
        return;
    rv = item->range_var;
    if (strcmp(rv->relname, "pg_subscription") == 0 && w->subscription.len == 0 &&
        (rv->alias == NULL || rv->alias->n_colnames == 0))
        w->subscription = sql_str(rv->alias != NULL ? rv->alias->aliasname : rv->relname);
}

enum err
sql_on_relation(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__RangeVar *rv = (const PgQuery__RangeVar *)m;

    if (strcmp(rv->relname, "pg_subscription") == 0 &&
        !str_is(w->subscription, rv->alias != NULL ? rv->alias->aliasname : rv->relname))
        return subscription_secret(w);

    if (rv->schemaname[0] == '\0' && rv->catalogname[0] == '\0' &&
        sql_find_cte(w->scope, sql_str(rv->relname), NULL) != NULL)
        return OK;
    return sql_demand_relation(w, CLASSES(READ), rv);
}

/* Fields that are calls. PostgreSQL takes `(x).f` and `t.f` for f(x) and f(t) where there is no
 * column f. On a table only functions of its own row type can be called so; on any other value,
 * and on a function in FROM, which stands for the value it returns, every function can. */

static enum err
field_or_call(struct sql_walk *w, struct str name)
{
    return w->resolved || sql_is_builtin_field(name) ? OK : sql_call(w, sql_str(""), name, NULL);
}

enum err
sql_on_indirection(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AIndirection *a = (const PgQuery__AIndirection *)m;
    enum err e;

    for (size_t i = 0; i < a->n_indirection; i++)
        if (a->indirection[i]->node_case == PG_QUERY__NODE__NODE_STRING &&
            (e = field_or_call(w, sql_node_text(a->indirection[i]))) != OK)
            return e;
    return sql_walk_children(w, m);
}

/* json_populate_record() and its kin return rows of a type of the user's: as a table does. */
static bool
returns_rows(struct str function)
{
    return str_is(function, "json_populate_record") || str_is(function, "jsonb_populate_record") ||
           str_is(function, "json_populate_recordset") ||
           str_is(function, "jsonb_populate_recordset");
}

static enum err
note_function(struct sql_walk *w, const PgQuery__RangeFunction *f)
{
    const PgQuery__Node *pair = f->n_functions > 0 ? f->functions[0] : NULL;
    const PgQuery__Node *call = NULL;
    struct str schema = sql_str("");
    struct str name = sql_str("");
    struct sql_source *source;

    if (pair != NULL && pair->node_case == PG_QUERY__NODE__NODE_LIST && pair->list->n_items > 0)
        call = pair->list->items[0];
    if (call != NULL && call->node_case == PG_QUERY__NODE__NODE_FUNC_CALL)
        sql_names(call->func_call->funcname, call->func_call->n_funcname, &schema, &name);
    if ((schema.len == 0 || str_is(schema, "pg_catalog")) && returns_rows(name))
        return OK;
    if ((source = arena_alloc(w->arena, sizeof(*source))) == NULL)
        return fail(ERR_NOMEM, "no memory for the facts of a statement");
    *source =
        (struct sql_source){w->sources, f, f->alias != NULL ? sql_str(f->alias->aliasname) : name};
    w->sources = source;
    return OK;
}

static enum err
note_functions_of(struct sql_walk *w, const PgQuery__Node *item)
{
    enum err e;

    if (item == NULL)
        return OK;
    if (item->node_case == PG_QUERY__NODE__NODE_RANGE_FUNCTION)
        return note_function(w, item->range_function);
    if (item->node_case != PG_QUERY__NODE__NODE_JOIN_EXPR)
        return OK;
    if ((e = note_functions_of(w, item->join_expr->larg)) != OK)
        return e;
    return note_functions_of(w, item->join_expr->rarg);
}

enum err
sql_note_functions(struct sql_walk *w, PgQuery__Node **items, size_t n)
{
    enum err e;

    for (size_t i = 0; i < n; i++)
        if ((e = note_functions_of(w, items[i])) != OK)
            return e;
    return OK;
}

/* Whether `column` is among the definitions `AS (a int, …)`. */
static bool
defines(PgQuery__Node **definitions, size_t n, struct str column)
{
    for (size_t i = 0; i < n; i++)
        if (definitions[i]->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF &&
            str_is(column, definitions[i]->column_def->colname))
            return true;
    return false;
}

/* Whether the statement itself says that the function has this column. */
static bool
declares(const struct sql_source *source, struct str column)
{
    const PgQuery__RangeFunction *f = source->function;

    if (str_equal(column, source->alias) || (f->ordinality && str_is(column, "ordinality")))
        return true;
    for (size_t i = 0; f->alias != NULL && i < f->alias->n_colnames; i++)
        if (str_equal(column, sql_node_text(f->alias->colnames[i])))
            return true;
    for (size_t i = 0; i < f->n_functions; i++) { /* ROWS FROM (f(…) AS (a int), …) */
        const PgQuery__Node *pair = f->functions[i];

        if (pair->node_case == PG_QUERY__NODE__NODE_LIST && pair->list->n_items == 2 &&
            pair->list->items[1]->node_case == PG_QUERY__NODE__NODE_LIST &&
            defines(pair->list->items[1]->list->items, pair->list->items[1]->list->n_items, column))
            return true;
    }
    return defines(f->coldeflist, f->n_coldeflist, column);
}

static enum err
column_or_call(struct sql_walk *w, const PgQuery__ColumnRef *ref)
{
    struct str qualifier = sql_node_text(ref->fields[0]);
    struct str column = sql_node_text(ref->fields[1]);
    enum err e;

    for (const struct sql_source *s = w->sources; s != NULL; s = s->next)
        if ((s->alias.len == 0 || str_equal(s->alias, qualifier)) && !declares(s, column) &&
            (e = field_or_call(w, column)) != OK)
            return e;
    return OK;
}

/* Whether one field of a column reference shows pg_subscription's connection string: by name, by
 * a star, as a part of the whole row, or of the whole row given to a function (s.row_to_json). */
static bool
shows_secret(const struct sql_walk *w, const PgQuery__ColumnRef *ref, size_t i)
{
    struct str name = sql_node_text(ref->fields[i]);
    bool last = i + 1 == ref->n_fields;

    if (str_is(name, "subconninfo"))
        return true;
    if (w->subscription.len == 0)
        return false;
    return ref->fields[i]->node_case == PG_QUERY__NODE__NODE_A_STAR ||
           (last && (str_equal(name, w->subscription) ||
                     (i > 0 && sql_is_safe_function(name) &&
                      str_equal(sql_node_text(ref->fields[i - 1]), w->subscription))));
}

enum err
sql_on_column(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__ColumnRef *ref = (const PgQuery__ColumnRef *)m;
    enum err e;

    for (size_t i = 0; i < ref->n_fields; i++)
        if (shows_secret(w, ref, i))
            return subscription_secret(w);
    if (w->sources != NULL && ref->n_fields == 2 &&
        ref->fields[1]->node_case == PG_QUERY__NODE__NODE_STRING &&
        (e = column_or_call(w, ref)) != OK)
        return e;
    return sql_walk_children(w, m);
}

/* The setting that set_config() changes: a constant, or the `name` of one row of pg_settings. */
static bool
config_name(const struct sql_walk *w, const PgQuery__Node *node, struct str *out)
{
    if (sql_constant(node, out))
        return true;
    if (node != NULL && node->node_case == PG_QUERY__NODE__NODE_COLUMN_REF &&
        node->column_ref->n_fields == 1 && w->pg_settings_name.len > 0 &&
        str_is(sql_node_text(node->column_ref->fields[0]), "name")) {
        *out = w->pg_settings_name;
        return true;
    }
    return false;
}

static bool
is_true(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_A_CONST &&
           n->a_const->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL && n->a_const->boolval->boolval;
}

static enum err
call_set_config(struct sql_walk *w, const PgQuery__FuncCall *call)
{
    struct str name;
    struct str value;
    bool have_value;
    enum err e;

    w->depends = true;
    for (size_t i = 0; call != NULL && i < call->n_args; i++)
        if (call->args[i]->node_case == PG_QUERY__NODE__NODE_NAMED_ARG_EXPR)
            return fail(ERR_UNSUPPORTED, "set_config() with named arguments is not analysed; "
                                         "give them in order");
    if (call == NULL || call->n_args < 2 || call->func_variadic ||
        !config_name(w, call->args[0], &name))
        return fail(ERR_UNSUPPORTED, "set_config() with a computed name of the setting is not "
                                     "analysed; write the name as a constant");
    have_value = sql_constant(call->args[1], &value);
    if ((e = sql_purpose_set(w, name, have_value ? &value : NULL,
                             call->n_args > 2 && is_true(call->args[2]))) != OK)
        return e;
    return sql_change_setting(w, name, have_value ? &value : NULL, false);
}

enum err
sql_call(struct sql_walk *w, struct str schema, struct str name, const PgQuery__FuncCall *call)
{
    bool builtin = schema.len == 0 || str_is(schema, "pg_catalog");
    class_set classes;

    if (builtin && str_is(name, "set_config"))
        return call_set_config(w, call);
    if (builtin && sql_is_safe_function(name)) {
        if (!str_starts(name, STR("pg_sleep")))
            return OK;
        return sql_demand(w, CLASSES(READ), OBJECT_FUNCTION, STR("pg_catalog"), name);
    }
    if (str_is(schema, "information_schema") && str_starts(name, STR("_pg_")))
        return OK;
    classes = sql_function_classes(name, builtin);
    if (classes == 0)
        return sql_demand(w, CLASSES(CODE) | CLASSES(UNKNOWN_FUNCTION), OBJECT_FUNCTION, schema,
                          name);
    return sql_demand(w, classes, OBJECT_FUNCTION, schema.len == 0 ? STR("pg_catalog") : schema,
                      name);
}

enum err
sql_on_function(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)m;
    struct str schema;
    struct str name;
    enum err e;

    sql_names(call->funcname, call->n_funcname, &schema, &name);
    if ((e = sql_call(w, schema, name, call)) != OK)
        return e;
    return sql_walk_others(w, m, call->funcname, NULL);
}

/* An operator is a call; PostgreSQL's own have symbols that no schema search can miss. */
static enum err
operator(struct sql_walk *w, PgQuery__Node **names, size_t n) {
    struct str schema; struct str name;

    if (n == 0) return OK;
    sql_names(names, n, &schema, &name);
    if ((schema.len == 0 || str_is(schema, "pg_catalog")) &&
        sql_is_builtin_operator(name)) return OK;
    return sql_demand(w, CLASSES(CODE) | CLASSES(UNKNOWN_FUNCTION), OBJECT_FUNCTION, schema, name);
}

enum err
sql_on_operator(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AExpr *expr = (const PgQuery__AExpr *)m;
    bool between = expr->kind >= PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN &&
                   expr->kind <= PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
    enum err e;

    if (expr->kind < PG_QUERY__A__EXPR__KIND__AEXPR_OP ||
        expr->kind > PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM)
        return fail(ERR_UNSUPPORTED, "the gateway cannot analyse an operator of the statement");
    if (!between && (e = operator(w, expr->name, expr->n_name)) != OK)
        return e;
    return sql_walk_others(w, m, expr->name, NULL);
}

enum err
sql_on_sublink(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__SubLink *link = (const PgQuery__SubLink *)m;
    enum err e;

    if ((e = operator(w, link->oper_name, link->n_oper_name)) != OK)
        return e;
    return sql_walk_others(w, m, link->oper_name, NULL);
}

enum err
sql_on_sort(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__SortBy *sort = (const PgQuery__SortBy *)m;
    enum err e;

    if ((e = operator(w, sort->use_op, sort->n_use_op)) != OK)
        return e;
    return sql_walk_others(w, m, sort->use_op, NULL);
}

/* EXCLUDE (column WITH operator) lists pairs of an element and an operator's name. */
enum err
sql_on_exclusion(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__Constraint *c = (const PgQuery__Constraint *)m;
    enum err e;

    for (size_t i = 0; i < c->n_exclusions; i++) {
        const PgQuery__Node *pair = c->exclusions[i];
        const PgQuery__Node *name;

        if (pair->node_case != PG_QUERY__NODE__NODE_LIST || pair->list->n_items != 2)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse an EXCLUDE constraint");
        name = pair->list->items[1];
        if (name->node_case != PG_QUERY__NODE__NODE_LIST)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse an EXCLUDE constraint");
        if ((e = operator(w, name->list->items, name->list->n_items)) != OK)
            return e;
    }
    return sql_walk_children(w, m);
}

enum err
sql_on_sample(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__RangeTableSample *sample = (const PgQuery__RangeTableSample *)m;
    struct str schema;
    struct str name;
    bool builtin;
    enum err e;

    sql_names(sample->method, sample->n_method, &schema, &name);
    builtin = (schema.len == 0 || str_is(schema, "pg_catalog")) &&
              (str_is(name, "bernoulli") || str_is(name, "system"));
    if (!builtin && (e = sql_demand(w, CLASSES(CODE) | CLASSES(UNKNOWN_FUNCTION), OBJECT_FUNCTION,
                                    schema, name)) != OK)
        return e;
    return sql_walk_others(w, m, sample->method, NULL);
}

/* Functions in FROM are pairs of a call and its column definitions, an empty entry if it has none.
 */
enum err
sql_on_range_function(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__RangeFunction *f = (const PgQuery__RangeFunction *)m;
    enum err e;

    for (size_t i = 0; i < f->n_functions; i++) {
        const PgQuery__Node *pair = f->functions[i];
        size_t n;

        if (pair->node_case != PG_QUERY__NODE__NODE_LIST || pair->list->n_items == 0)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse a function in FROM");
        n = pair->list->n_items;
        if (n == 2 && pair->list->items[1]->node_case == PG_QUERY__NODE__NODE__NOT_SET)
            n = 1;
        if ((e = sql_walk_nodes(w, pair->list->items, n)) != OK)
            return e;
    }
    return sql_walk_others(w, m, f->functions, NULL);
}

/* Walks the queries of a WITH clause and leaves w->scope so that its names are visible;
 * `scope` must outlive that. Without RECURSIVE each query sees those before it; with it, all. */
static enum err
enter_with(struct sql_walk *w, const PgQuery__WithClause *with, struct sql_scope *scope)
{
    enum err e;

    if (with == NULL)
        return OK;
    *scope = (struct sql_scope){w->scope, with->ctes, with->recursive ? with->n_ctes : 0};
    w->scope = scope;
    for (size_t i = 0; i < with->n_ctes; i++) {
        const PgQuery__Node *node = with->ctes[i];

        if (node->node_case != PG_QUERY__NODE__NODE_COMMON_TABLE_EXPR)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse a WITH clause");
        if ((e = sql_walk_children(w, (const ProtobufCMessage *)node->common_table_expr)) != OK)
            return e;
        if (!with->recursive)
            scope->n = i + 1;
    }
    return OK;
}

enum err
sql_walk_with(struct sql_walk *w, const ProtobufCMessage *m, const PgQuery__WithClause *with,
              const void *skip)
{
    const struct sql_scope *outer = w->scope;
    struct sql_scope scope;
    enum err e;

    e = enter_with(w, with, &scope);
    if (e == OK)
        e = sql_walk_others(w, m, with, skip);
    w->scope = outer;
    return e;
}

static bool
lock_names(const PgQuery__LockingClause *lock, const PgQuery__RangeVar *rv)
{
    const char *name = rv->alias != NULL ? rv->alias->aliasname : rv->relname;

    if (lock->n_locked_rels == 0)
        return true;
    for (size_t i = 0; i < lock->n_locked_rels; i++) {
        const PgQuery__Node *rel = lock->locked_rels[i];

        if (rel->node_case == PG_QUERY__NODE__NODE_RANGE_VAR &&
            strcmp(rel->range_var->relname, name) == 0)
            return true;
    }
    return false;
}

/* Demands the lock on the relations of a FROM item; `*found` tells whether there was one. A
 * subquery passes the lock on to whatever it reads. */
static enum err
lock_item(struct sql_walk *w, const PgQuery__LockingClause *lock, const PgQuery__Node *item,
          bool *found)
{
    enum err e;

    if (item == NULL)
        return OK;
    if (item->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR) {
        if ((e = lock_item(w, lock, item->join_expr->larg, found)) != OK)
            return e;
        return lock_item(w, lock, item->join_expr->rarg, found);
    }
    if (item->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT) {
        *found = true;
        return sql_demand_none(w, CLASSES(WRITE) | CLASSES(ROW_LOCK));
    }
    if (item->node_case != PG_QUERY__NODE__NODE_RANGE_VAR || !lock_names(lock, item->range_var) ||
        (item->range_var->schemaname[0] == '\0' &&
         sql_find_cte(w->scope, sql_str(item->range_var->relname), NULL) != NULL))
        return OK;
    *found = true;
    return sql_demand_relation(w, CLASSES(WRITE) | CLASSES(ROW_LOCK), item->range_var);
}

static enum err
row_locks(struct sql_walk *w, const PgQuery__SelectStmt *select)
{
    bool found = false;
    enum err e;

    for (size_t i = 0; i < select->n_locking_clause; i++) {
        const PgQuery__Node *node = select->locking_clause[i];

        if (node->node_case != PG_QUERY__NODE__NODE_LOCKING_CLAUSE)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse a locking clause");
        for (size_t k = 0; k < select->n_from_clause; k++)
            if ((e = lock_item(w, node->locking_clause, select->from_clause[k], &found)) != OK)
                return e;
    }
    if (select->n_locking_clause > 0 && !found)
        return sql_demand_none(w, CLASSES(WRITE) | CLASSES(ROW_LOCK));
    return OK;
}

/* pg_dump changes a setting only if the server has it:
 * SELECT set_config(name, '…', false) FROM pg_settings WHERE name = 'constant'. */
static struct str
one_setting(const PgQuery__SelectStmt *s)
{
    const PgQuery__RangeVar *rv;
    const PgQuery__AExpr *where;
    struct str name;

    if (s->n_from_clause != 1 || s->from_clause[0]->node_case != PG_QUERY__NODE__NODE_RANGE_VAR ||
        s->where_clause == NULL || s->where_clause->node_case != PG_QUERY__NODE__NODE_A_EXPR ||
        s->with_clause != NULL)
        return sql_str("");
    rv = s->from_clause[0]->range_var;
    where = s->where_clause->a_expr;
    if (strcmp(rv->relname, "pg_settings") != 0 || rv->alias != NULL ||
        (rv->schemaname[0] != '\0' && strcmp(rv->schemaname, "pg_catalog") != 0) ||
        where->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP || where->n_name != 1 ||
        !str_is(sql_node_text(where->name[0]), "=") || where->lexpr == NULL ||
        where->lexpr->node_case != PG_QUERY__NODE__NODE_COLUMN_REF ||
        where->lexpr->column_ref->n_fields != 1 ||
        !str_is(sql_node_text(where->lexpr->column_ref->fields[0]), "name") ||
        !sql_constant(where->rexpr, &name))
        return sql_str("");
    return name;
}

enum err
sql_on_select(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__SelectStmt *select = (const PgQuery__SelectStmt *)m;
    const struct sql_scope *outer = w->scope;
    struct str outer_setting = w->pg_settings_name;
    struct sql_scope scope;
    enum err e;

    e = enter_with(w, select->with_clause, &scope);
    w->pg_settings_name = one_setting(select);
    for (size_t i = 0; i < select->n_from_clause; i++)
        find_subscription(w, select->from_clause[i]);
    if (e == OK)
        e = sql_note_functions(w, select->from_clause, select->n_from_clause);
    if (e == OK)
        e = row_locks(w, select);
    if (e == OK && select->into_clause != NULL)
        e = sql_walk_into(w, select->into_clause);
    if (e == OK)
        e = sql_walk_others(w, m, select->with_clause, select->into_clause);
    w->pg_settings_name = outer_setting;
    w->scope = outer;
    return e;
}
