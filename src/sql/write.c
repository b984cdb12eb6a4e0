#include "sql/tree.h"

/* INSERT, UPDATE, DELETE, MERGE, COPY, TRUNCATE, LOCK.
 * The target of a write is always a relation, even if a CTE has its name. */

enum err
sql_on_insert(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__InsertStmt *s = (const PgQuery__InsertStmt *)m;
    enum err e;

    if (s->relation == NULL)
        return fail(ERR_UNSUPPORTED, "INSERT without a table");
    if ((e = sql_demand_relation(w, CLASSES(WRITE) | CLASSES(INSERT), s->relation)) != OK)
        return e;
    if (s->on_conflict_clause != NULL &&
        s->on_conflict_clause->action != PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_NOTHING &&
        (e = sql_demand_relation(w, CLASSES(WRITE) | CLASSES(UPDATE), s->relation)) != OK)
        return e;
    if (s->n_returning_list > 0 && (e = sql_demand_relation(w, CLASSES(READ), s->relation)) != OK)
        return e;
    return sql_walk_with(w, m, s->with_clause, s->relation);
}

/* UPDATE pg_settings is SET in disguise, with a name that only the rows know. */
static enum err
check_target(const PgQuery__RangeVar *rv)
{
    if (strcmp(rv->relname, "pg_settings") == 0)
        return fail(ERR_UNSUPPORTED, "UPDATE of pg_settings is not analysed; use SET");
    return OK;
}

/* `sources` and `where` are looked at in the scope of the statement's own WITH. */
static class_set
mass_write(struct sql_walk *w, const PgQuery__RangeVar *rv, const PgQuery__WithClause *with,
           PgQuery__Node **sources, size_t n_sources, const PgQuery__Node *where)
{
    const struct sql_scope *outer = w->scope;
    struct sql_scope scope = {.parent = outer};
    bool narrows;

    if (with != NULL) {
        scope.ctes = with->ctes;
        scope.n = with->n_ctes;
        w->scope = &scope;
    }
    narrows = sql_where_narrows(w, rv, sources, n_sources, where);
    w->scope = outer;
    return narrows ? 0 : CLASSES(MASS_WRITE);
}

enum err
sql_on_update(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__UpdateStmt *s = (const PgQuery__UpdateStmt *)m;
    class_set classes = CLASSES(WRITE) | CLASSES(UPDATE);
    enum err e;

    if (s->relation == NULL)
        return fail(ERR_UNSUPPORTED, "UPDATE without a table");
    if ((e = check_target(s->relation)) != OK)
        return e;
    classes |= mass_write(w, s->relation, s->with_clause, s->from_clause, s->n_from_clause,
                          s->where_clause);
    if ((e = sql_note_functions(w, s->from_clause, s->n_from_clause)) != OK ||
        (e = sql_demand_relation(w, classes, s->relation)) != OK)
        return e;
    if (s->n_returning_list > 0 && (e = sql_demand_relation(w, CLASSES(READ), s->relation)) != OK)
        return e;
    return sql_walk_with(w, m, s->with_clause, s->relation);
}

enum err
sql_on_delete(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__DeleteStmt *s = (const PgQuery__DeleteStmt *)m;
    class_set classes = CLASSES(WRITE) | CLASSES(DELETE);
    enum err e;

    if (s->relation == NULL)
        return fail(ERR_UNSUPPORTED, "DELETE without a table");
    classes |= mass_write(w, s->relation, s->with_clause, s->using_clause, s->n_using_clause,
                          s->where_clause);
    if ((e = sql_note_functions(w, s->using_clause, s->n_using_clause)) != OK ||
        (e = sql_demand_relation(w, classes, s->relation)) != OK)
        return e;
    if (s->n_returning_list > 0 && (e = sql_demand_relation(w, CLASSES(READ), s->relation)) != OK)
        return e;
    return sql_walk_with(w, m, s->with_clause, s->relation);
}

static enum err
merge_classes(const PgQuery__MergeStmt *s, class_set *classes, bool *matched)
{
    for (size_t i = 0; i < s->n_merge_when_clauses; i++) {
        const PgQuery__Node *node = s->merge_when_clauses[i];

        if (node->node_case != PG_QUERY__NODE__NODE_MERGE_WHEN_CLAUSE)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse a WHEN clause of MERGE");
        switch (node->merge_when_clause->command_type) {
        case PG_QUERY__CMD_TYPE__CMD_INSERT:
            *classes |= CLASSES(INSERT);
            break;
        case PG_QUERY__CMD_TYPE__CMD_UPDATE:
            *classes |= CLASSES(UPDATE);
            *matched = true;
            break;
        case PG_QUERY__CMD_TYPE__CMD_DELETE:
            *classes |= CLASSES(DELETE);
            *matched = true;
            break;
        case PG_QUERY__CMD_TYPE__CMD_NOTHING:
            break;
        default:
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse a WHEN clause of MERGE");
        }
    }
    return OK;
}

enum err
sql_on_merge(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__MergeStmt *s = (const PgQuery__MergeStmt *)m;
    PgQuery__Node *source = s->source_relation;
    class_set classes = CLASSES(WRITE) | CLASSES(MERGE);
    bool matched = false;
    enum err e;

    if (s->relation == NULL || source == NULL)
        return fail(ERR_UNSUPPORTED, "MERGE without tables");
    if ((e = check_target(s->relation)) != OK || (e = merge_classes(s, &classes, &matched)) != OK)
        return e;
    if (matched)
        classes |= mass_write(w, s->relation, s->with_clause, &source, 1, s->join_condition);
    if ((e = sql_note_functions(w, &source, 1)) != OK ||
        (e = sql_demand_relation(w, classes, s->relation)) != OK)
        return e;
    return sql_walk_with(w, m, s->with_clause, s->relation);
}

static enum err
copy_place(struct sql_walk *w, const PgQuery__CopyStmt *s)
{
    if (s->is_program)
        return sql_demand_none(w, CLASSES(ADMIN) | CLASSES(COPY_PROGRAM));
    if (s->filename[0] != '\0')
        return sql_demand_none(w, CLASSES(ADMIN) | CLASSES(SERVER_FILES));
    w->kind = s->is_from ? SQL_COPY_IN : SQL_COPY_OUT;
    return OK;
}

enum err
sql_on_copy(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CopyStmt *s = (const PgQuery__CopyStmt *)m;
    class_set outer = w->extra;
    class_set classes = s->is_from ? CLASSES(WRITE) | CLASSES(COPY_IN)
                                   : CLASSES(READ) | CLASSES(COPY_OUT);
    enum err e;

    w->depends = true;
    for (size_t i = 0; i < s->n_options; i++)
        if (s->options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM &&
            strcasecmp(s->options[i]->def_elem->defname, "encoding") == 0)
            return fail(ERR_UNSUPPORTED, "COPY with an encoding of its own is not analysed");
    if ((e = copy_place(w, s)) != OK)
        return e;
    if (s->relation != NULL && (e = sql_demand_relation(w, classes, s->relation)) != OK)
        return e;
    if (s->query != NULL) {
        size_t before = w->n_demands;

        w->extra |= CLASSES(COPY_OUT);
        e = sql_walk_node(w, s->query);
        if (e == OK && w->n_demands == before)
            e = sql_demand_none(w, CLASSES(READ));
        w->extra = outer;
        if (e != OK)
            return e;
    }
    if (s->relation == NULL && s->query == NULL)
        return fail(ERR_UNSUPPORTED, "COPY without a table or a query");
    return sql_walk_others(w, m, s->relation, s->query);
}

enum err
sql_on_truncate(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__TruncateStmt *s = (const PgQuery__TruncateStmt *)m;
    enum err e;

    for (size_t i = 0; i < s->n_relations; i++) {
        if (s->relations[i]->node_case != PG_QUERY__NODE__NODE_RANGE_VAR)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse TRUNCATE");
        if ((e = sql_demand_relation(w, CLASSES(WRITE) | CLASSES(TRUNCATE) | CLASSES(MASS_WRITE),
                                     s->relations[i]->range_var)) != OK)
            return e;
    }
    return OK;
}

/* pg_dump locks what it dumps in ACCESS SHARE mode, as any SELECT does; the others block. */
enum err
sql_on_lock(struct sql_walk *w, const ProtobufCMessage *m)
{
    enum { ACCESS_SHARE = 1 };
    const PgQuery__LockStmt *s = (const PgQuery__LockStmt *)m;
    class_set effect = s->mode == ACCESS_SHARE ? CLASSES(READ) : CLASSES(WRITE);
    enum err e;

    for (size_t i = 0; i < s->n_relations; i++) {
        if (s->relations[i]->node_case != PG_QUERY__NODE__NODE_RANGE_VAR)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse LOCK");
        if ((e = sql_demand_relation(w, effect | CLASSES(TABLE_LOCK),
                                     s->relations[i]->range_var)) != OK)
            return e;
    }
    return OK;
}
