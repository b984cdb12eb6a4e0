/* INSERT, UPDATE, DELETE, MERGE: protected values may be returned, never copied elsewhere. */
#include "sql/flow.h"
#include "sql/shield.h"

#define NODE(kind) PG_QUERY__NODE__NODE_##kind

static const struct item *
target_of(struct analysis *a, const struct level *l, const PgQuery__RangeVar *rv)
{
    /* A CTE of that name is never the target. */
    struct level bare = {.outer = l->outer};
    const struct item *item = from_relation(a, &bare, rv);

    if (item == NULL || item->relation == NULL)
        return NULL;
    if (item->relation->has_rules)
        flow_refuse_because(a, "\"%s\" has rewrite rules, which the gateway does not follow",
                            rv->relname);
    if (item->relation->has_triggers)
        a->guarded = true; /* what they say may hold values of the row */
    return item;
}

void
change_column(struct analysis *a, const struct item *target, struct str name)
{
    const struct taint *taint = NULL;
    const struct column *column = row_find(&target->row, name);

    if (column == NULL) {
        flow_error(a, "42703", "column \"%.*s\" of relation \"%.*s\" does not exist", STR_ARG(name),
                   STR_ARG(target->name));
        a->unknown_name = true;
        return;
    }
    taint = flow_taint(a, column->flow);
    for (const struct taint *t = taint; t != NULL; t = t->next)
        if (!t->rule->write || t->derived) {
            flow_refuse(a, t, "a write (errors would tell which values exist)");
            return;
        }
}

static struct level
level_with(struct analysis *a, const struct level *outer, const PgQuery__WithClause *with)
{
    struct level l = {.outer = outer, .ctes = outer == NULL ? NULL : outer->ctes};

    query_with(a, &l, with);
    return l;
}

static void
subscripts(struct analysis *a, const struct level *l, const PgQuery__ResTarget *t)
{
    for (size_t i = 0; i < t->n_indirection; i++)
        if (t->indirection[i]->node_case == NODE(A_INDICES)) {
            compute_observe(a, l, t->indirection[i]->a_indices->lidx, "a subscript");
            compute_observe(a, l, t->indirection[i]->a_indices->uidx, "a subscript");
        }
}

/* SET column = value, …: for UPDATE, ON CONFLICT and MERGE. */
static void
assign(struct analysis *a, const struct level *l, const struct item *target,
       PgQuery__Node **targets, size_t n)
{
    for (size_t i = 0; i < n && !a->failed; i++) {
        const PgQuery__ResTarget *t = targets[i]->res_target;

        if (targets[i]->node_case != NODE(RES_TARGET)) {
            flow_refuse_because(a, "the gateway cannot analyse an assignment");
            return;
        }
        change_column(a, target, sql_str(t->name));
        subscripts(a, l, t);
        compute_observe(a, l, t->val, "an assignment");
    }
}

static struct row
returning(struct analysis *a, const struct level *l, PgQuery__Node **list, size_t n)
{
    return n == 0 ? row_none : query_targets(a, l, list, n);
}

static void
on_conflict(struct analysis *a, struct level *l, const struct item *target,
            const PgQuery__OnConflictClause *c)
{
    struct level with_excluded = *l;
    struct item *excluded = flow_alloc(a, 1, sizeof(*excluded));

    if (c == NULL || excluded == NULL)
        return;
    for (size_t i = 0; c->infer != NULL && i < c->infer->n_index_elems; i++) {
        const PgQuery__IndexElem *e = c->infer->index_elems[i]->index_elem;
        const struct column *column;

        if (c->infer->index_elems[i]->node_case != NODE(INDEX_ELEM))
            continue;
        if (e->name[0] != '\0' && (column = row_find(&target->row, sql_str(e->name))) != NULL)
            flow_observe(a, column->flow, "ON CONFLICT");
        compute_observe(a, l, e->expr, "ON CONFLICT");
    }
    if (c->infer != NULL)
        compute_observe(a, l, c->infer->where_clause, "ON CONFLICT");
    *excluded = *target;
    excluded->name = STR("excluded");
    excluded->has_alias = true;
    with_excluded.names = names_join(a, l->names, names_of(a, excluded));
    assign(a, &with_excluded, target, c->target_list, c->n_target_list);
    compute_observe(a, &with_excluded, c->where_clause, "WHERE");
}

/* The columns that values go into: those listed, or as many as there are values. */
static void
insert_columns(struct analysis *a, const struct level *l, const struct item *target,
               PgQuery__Node **cols, size_t n_cols, size_t n_values)
{
    for (size_t i = 0; i < n_cols && !a->failed; i++) {
        if (cols[i]->node_case != NODE(RES_TARGET))
            continue;
        change_column(a, target, sql_str(cols[i]->res_target->name));
        subscripts(a, l, cols[i]->res_target);
    }
    for (size_t i = 0; n_cols == 0 && i < target->row.n && i < n_values && !a->failed; i++)
        change_column(a, target, target->row.columns[i].name);
}

struct row
change_insert(struct analysis *a, const struct level *outer, const PgQuery__InsertStmt *s)
{
    struct level l = level_with(a, outer, s->with_clause);
    const struct item *target = target_of(a, &l, s->relation);
    struct row from = {0};

    if (target == NULL || a->failed)
        return (struct row){0};
    if (s->select_stmt != NULL)
        from = query_node(a, &l, s->select_stmt);
    insert_columns(a, &l, target, s->cols, s->n_cols, from.open ? target->row.n : from.n);
    for (size_t i = 0; i < from.n; i++)
        flow_observe(a, from.columns[i].flow, "what is inserted");
    l.names = names_of(a, target);
    on_conflict(a, &l, target, s->on_conflict_clause);
    return returning(a, &l, s->returning_list, s->n_returning_list);
}

struct row
change_update(struct analysis *a, const struct level *outer, const PgQuery__UpdateStmt *s)
{
    struct level l = level_with(a, outer, s->with_clause);
    const struct item *target = target_of(a, &l, s->relation);

    if (target == NULL || a->failed)
        return (struct row){0};
    (void)from_clause(a, &l, s->from_clause, s->n_from_clause);
    l.names = names_join(a, names_of(a, target), l.names);
    compute_observe(a, &l, s->where_clause, "WHERE");
    assign(a, &l, target, s->target_list, s->n_target_list);
    return returning(a, &l, s->returning_list, s->n_returning_list);
}

struct row
change_delete(struct analysis *a, const struct level *outer, const PgQuery__DeleteStmt *s)
{
    struct level l = level_with(a, outer, s->with_clause);
    const struct item *target = target_of(a, &l, s->relation);

    if (target == NULL || a->failed)
        return (struct row){0};
    (void)from_clause(a, &l, s->using_clause, s->n_using_clause);
    l.names = names_join(a, names_of(a, target), l.names);
    compute_observe(a, &l, s->where_clause, "WHERE");
    return returning(a, &l, s->returning_list, s->n_returning_list);
}

struct row
change_merge(struct analysis *a, const struct level *outer, const PgQuery__MergeStmt *s)
{
    struct level l = level_with(a, outer, s->with_clause);
    const struct item *target = target_of(a, &l, s->relation);

    if (target == NULL || a->failed || s->source_relation == NULL)
        return (struct row){0};
    (void)from_clause(a, &l, (PgQuery__Node *[]){s->source_relation}, 1);
    l.names = names_join(a, names_of(a, target), l.names);
    compute_observe(a, &l, s->join_condition, "ON");
    for (size_t i = 0; i < s->n_merge_when_clauses && !a->failed; i++) {
        const PgQuery__MergeWhenClause *w = s->merge_when_clauses[i]->merge_when_clause;

        if (s->merge_when_clauses[i]->node_case != NODE(MERGE_WHEN_CLAUSE))
            continue;
        compute_observe(a, &l, w->condition, "WHEN");
        if (w->command_type == PG_QUERY__CMD_TYPE__CMD_INSERT) {
            insert_columns(a, &l, target, w->target_list, w->n_target_list, w->n_values);
            for (size_t k = 0; k < w->n_values; k++)
                compute_observe(a, &l, w->values[k], "what is inserted");
        } else {
            assign(a, &l, target, w->target_list, w->n_target_list);
        }
    }
    return (struct row){0};
}
