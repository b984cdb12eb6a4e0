#include "sql/tree.h"

#include <stdlib.h>

enum { NODE_KINDS = PG_QUERY__NODE__NODE_A_CONST + 1, HASH_SLOTS = 1024 };

/* Nodes that mean nothing by themselves: what is below them is walked. */
static enum err
plain(struct sql_walk *w, const ProtobufCMessage *m)
{
    return sql_walk_children(w, m);
}

static enum err
leaf(struct sql_walk *w, const ProtobufCMessage *m)
{
    (void)w;
    (void)m;
    return OK;
}

/* Every kind of node that a raw parse tree may hold. A kind that is not here is refused: among
 * them all that only PostgreSQL's analysis or PL/pgSQL makes (Var, Query, PLAssignStmt, …). */
#define ON(kind, handler) [PG_QUERY__NODE__NODE_##kind] = (handler)
static sql_handler *const handlers[NODE_KINDS] = {
    /* expressions and clauses */
    ON(ALIAS, leaf),
    ON(RANGE_VAR, sql_on_relation),
    ON(GROUPING_FUNC, plain),
    ON(NAMED_ARG_EXPR, plain),
    ON(BOOL_EXPR, plain),
    ON(SUB_LINK, sql_on_sublink),
    ON(CASE_EXPR, plain),
    ON(CASE_WHEN, plain),
    ON(ROW_EXPR, plain),
    ON(COALESCE_EXPR, plain),
    ON(MIN_MAX_EXPR, plain),
    ON(SQLVALUE_FUNCTION, leaf),
    ON(XML_EXPR, plain),
    ON(XML_SERIALIZE, plain),
    ON(NULL_TEST, plain),
    ON(BOOLEAN_TEST, plain),
    ON(SET_TO_DEFAULT, leaf),
    ON(CURRENT_OF_EXPR, leaf),
    ON(JOIN_EXPR, plain),
    ON(MULTI_ASSIGN_REF, plain),
    ON(A_EXPR, sql_on_operator),
    ON(COLUMN_REF, sql_on_column),
    ON(PARAM_REF, leaf),
    ON(FUNC_CALL, sql_on_function),
    ON(A_STAR, leaf),
    ON(A_INDICES, plain),
    ON(A_INDIRECTION, sql_on_indirection),
    ON(A_ARRAY_EXPR, plain),
    ON(RES_TARGET, plain),
    ON(TYPE_CAST, plain),
    ON(COLLATE_CLAUSE, plain),
    ON(SORT_BY, sql_on_sort),
    ON(WINDOW_DEF, plain),
    ON(RANGE_SUBSELECT, plain),
    ON(RANGE_FUNCTION, sql_on_range_function),
    ON(RANGE_TABLE_SAMPLE, sql_on_sample),
    ON(RANGE_TABLE_FUNC, plain),
    ON(RANGE_TABLE_FUNC_COL, plain),
    ON(TYPE_NAME, leaf), /* type modifiers are constants */
    ON(GROUPING_SET, plain),
    ON(LOCKING_CLAUSE, leaf), /* sql_on_select() looks at them */
    ON(INFER_CLAUSE, plain),
    ON(ON_CONFLICT_CLAUSE, plain),
    ON(CTESEARCH_CLAUSE, plain),
    ON(CTECYCLE_CLAUSE, plain),
    ON(MERGE_WHEN_CLAUSE, plain),
    ON(INTEGER, leaf),
    ON(FLOAT, leaf),
    ON(BOOLEAN, leaf),
    ON(STRING, leaf),
    ON(BIT_STRING, leaf),
    ON(LIST, plain),
    ON(A_CONST, leaf),

    /* parts of definitions */
    ON(COLUMN_DEF, plain),
    ON(INDEX_ELEM, plain),
    ON(STATS_ELEM, plain),
    ON(CONSTRAINT, sql_on_exclusion),
    ON(DEF_ELEM, plain),
    ON(OBJECT_WITH_ARGS, leaf),
    ON(ACCESS_PRIV, leaf),
    ON(CREATE_OP_CLASS_ITEM, plain),
    ON(TABLE_LIKE_CLAUSE, plain),
    ON(FUNCTION_PARAMETER, plain),
    ON(ROLE_SPEC, leaf),
    ON(TRIGGER_TRANSITION, leaf),
    ON(PARTITION_ELEM, plain),
    ON(PARTITION_SPEC, plain),
    ON(PARTITION_BOUND_SPEC, plain),
    ON(PARTITION_RANGE_DATUM, plain),
    ON(PUBLICATION_OBJ_SPEC, plain),
    ON(PUBLICATION_TABLE, plain),
    ON(REPLICA_IDENTITY_STMT, leaf),
    ON(RETURN_STMT, plain),

    /* rows */
    ON(SELECT_STMT, sql_on_select),
    ON(INSERT_STMT, sql_on_insert),
    ON(UPDATE_STMT, sql_on_update),
    ON(DELETE_STMT, sql_on_delete),
    ON(MERGE_STMT, sql_on_merge),
    ON(COPY_STMT, sql_on_copy),
    ON(TRUNCATE_STMT, sql_on_truncate),
    ON(LOCK_STMT, sql_on_lock),

    /* sessions */
    ON(TRANSACTION_STMT, sql_on_transaction),
    ON(PREPARE_STMT, sql_on_prepare),
    ON(EXECUTE_STMT, sql_on_execute),
    ON(DEALLOCATE_STMT, sql_on_deallocate),
    ON(DISCARD_STMT, sql_on_discard),
    ON(DECLARE_CURSOR_STMT, sql_on_declare),
    ON(FETCH_STMT, sql_on_fetch),
    ON(CLOSE_PORTAL_STMT, sql_on_close),
    ON(EXPLAIN_STMT, sql_on_explain),
    ON(VARIABLE_SET_STMT, sql_on_set),
    ON(VARIABLE_SHOW_STMT, sql_on_show),
    ON(CONSTRAINTS_SET_STMT, sql_on_constraints),
    ON(LISTEN_STMT, sql_on_listen),
    ON(UNLISTEN_STMT, sql_on_listen),
    ON(NOTIFY_STMT, sql_on_listen),

    /* definitions */
    ON(CREATE_STMT, sql_on_create_table),
    ON(CREATE_TABLE_AS_STMT, sql_on_create_as),
    ON(CREATE_FOREIGN_TABLE_STMT, sql_on_create_foreign_table),
    ON(VIEW_STMT, sql_on_view),
    ON(INDEX_STMT, sql_on_index),
    ON(CREATE_SEQ_STMT, sql_on_sequence),
    ON(ALTER_SEQ_STMT, sql_on_alter_sequence),
    ON(CREATE_SCHEMA_STMT, sql_on_schema),
    ON(DEFINE_STMT, sql_on_define),
    ON(COMPOSITE_TYPE_STMT, sql_on_create_type),
    ON(CREATE_ENUM_STMT, sql_on_create_type),
    ON(CREATE_RANGE_STMT, sql_on_create_type),
    ON(CREATE_DOMAIN_STMT, sql_on_create_type),
    ON(ALTER_DOMAIN_STMT, sql_on_create_type),
    ON(ALTER_ENUM_STMT, sql_on_create_type),
    ON(ALTER_TYPE_STMT, sql_on_create_type),
    ON(ALTER_TABLE_STMT, sql_on_alter_table),
    ON(DROP_STMT, sql_on_drop),
    ON(RENAME_STMT, sql_on_rename),
    ON(COMMENT_STMT, sql_on_object_statement),
    ON(SEC_LABEL_STMT, sql_on_object_statement),
    ON(ALTER_OBJECT_SCHEMA_STMT, sql_on_object_statement),
    ON(ALTER_OBJECT_DEPENDS_STMT, sql_on_object_statement),
    ON(ALTER_COLLATION_STMT, sql_on_named),
    ON(ALTER_TSDICTIONARY_STMT, sql_on_named),
    ON(ALTER_TSCONFIGURATION_STMT, sql_on_named),
    ON(CREATE_STATS_STMT, sql_on_statistics),
    ON(ALTER_STATS_STMT, sql_on_statistics),
    ON(REFRESH_MAT_VIEW_STMT, sql_on_refresh),
    ON(VACUUM_STMT, sql_on_vacuum),
    ON(CLUSTER_STMT, sql_on_cluster),
    ON(REINDEX_STMT, sql_on_reindex),

    /* code that runs later */
    ON(CREATE_FUNCTION_STMT, sql_on_create_function),
    ON(ALTER_FUNCTION_STMT, sql_on_create_function),
    ON(CREATE_TRIG_STMT, sql_on_trigger),
    ON(CREATE_EVENT_TRIG_STMT, sql_on_code_object),
    ON(ALTER_EVENT_TRIG_STMT, sql_on_code_object),
    ON(RULE_STMT, sql_on_rule),
    ON(CREATE_PLANG_STMT, sql_on_code_object),
    ON(CREATE_CONVERSION_STMT, sql_on_code_object),
    ON(CREATE_CAST_STMT, sql_on_code_object),
    ON(CREATE_TRANSFORM_STMT, sql_on_code_object),
    ON(CREATE_OP_CLASS_STMT, sql_on_code_object),
    ON(CREATE_OP_FAMILY_STMT, sql_on_code_object),
    ON(ALTER_OP_FAMILY_STMT, sql_on_code_object),
    ON(ALTER_OPERATOR_STMT, sql_on_code_object),
    ON(CREATE_AM_STMT, sql_on_code_object),

    /* privileges */
    ON(GRANT_STMT, sql_on_grant),
    ON(GRANT_ROLE_STMT, sql_on_grant_role),
    ON(ALTER_DEFAULT_PRIVILEGES_STMT, sql_on_default_privileges),
    ON(CREATE_ROLE_STMT, sql_on_role),
    ON(ALTER_ROLE_STMT, sql_on_role),
    ON(ALTER_ROLE_SET_STMT, sql_on_role),
    ON(DROP_ROLE_STMT, sql_on_role),
    ON(DROP_OWNED_STMT, sql_on_owned),
    ON(REASSIGN_OWNED_STMT, sql_on_owned),
    ON(ALTER_OWNER_STMT, sql_on_owner),
    ON(CREATE_POLICY_STMT, sql_on_policy),
    ON(ALTER_POLICY_STMT, sql_on_policy),

    /* the server */
    ON(CREATEDB_STMT, sql_on_database),
    ON(DROPDB_STMT, sql_on_database),
    ON(ALTER_DATABASE_STMT, sql_on_database),
    ON(ALTER_DATABASE_REFRESH_COLL_STMT, sql_on_database),
    ON(ALTER_DATABASE_SET_STMT, sql_on_database),
    ON(CREATE_TABLE_SPACE_STMT, sql_on_server),
    ON(DROP_TABLE_SPACE_STMT, sql_on_server),
    ON(ALTER_TABLE_SPACE_OPTIONS_STMT, sql_on_server),
    ON(ALTER_TABLE_MOVE_ALL_STMT, sql_on_server),
    ON(ALTER_SYSTEM_STMT, sql_on_server),
    ON(LOAD_STMT, sql_on_server),
    ON(CHECK_POINT_STMT, sql_on_server),

    /* other code and other servers */
    ON(DO_STMT, sql_on_do),
    ON(CALL_STMT, sql_on_call),
    ON(CREATE_EXTENSION_STMT, sql_on_extension),
    ON(ALTER_EXTENSION_STMT, sql_on_extension),
    ON(ALTER_EXTENSION_CONTENTS_STMT, sql_on_extension),
    ON(CREATE_FDW_STMT, sql_on_foreign),
    ON(ALTER_FDW_STMT, sql_on_foreign),
    ON(CREATE_FOREIGN_SERVER_STMT, sql_on_foreign),
    ON(ALTER_FOREIGN_SERVER_STMT, sql_on_foreign),
    ON(CREATE_USER_MAPPING_STMT, sql_on_foreign),
    ON(ALTER_USER_MAPPING_STMT, sql_on_foreign),
    ON(DROP_USER_MAPPING_STMT, sql_on_foreign),
    ON(IMPORT_FOREIGN_SCHEMA_STMT, sql_on_foreign),
    ON(CREATE_PUBLICATION_STMT, sql_on_publication),
    ON(ALTER_PUBLICATION_STMT, sql_on_publication),
    ON(CREATE_SUBSCRIPTION_STMT, sql_on_publication),
    ON(ALTER_SUBSCRIPTION_STMT, sql_on_publication),
    ON(DROP_SUBSCRIPTION_STMT, sql_on_publication),
};
#undef ON

/* The kind of a message that stands in a field of its own type, without a Node around it. */
static struct {
    const ProtobufCMessageDescriptor *descriptor;
    unsigned kind;
} kinds[HASH_SLOTS];

static size_t
slot_of(const ProtobufCMessageDescriptor *d)
{
    return (size_t)(((uintptr_t)d >> 4) * 0x9E3779B1u) % HASH_SLOTS;
}

static void
fill_kinds(void)
{
    const ProtobufCMessageDescriptor *node = &pg_query__node__descriptor;

    for (unsigned i = 0; i < node->n_fields; i++) {
        const ProtobufCMessageDescriptor *d =
            (const ProtobufCMessageDescriptor *)node->fields[i].descriptor;
        size_t slot = slot_of(d);

        while (kinds[slot].descriptor != NULL)
            slot = (slot + 1) % HASH_SLOTS;
        kinds[slot].descriptor = d;
        kinds[slot].kind = node->fields[i].id;
    }
}

static unsigned
kind_of(const ProtobufCMessageDescriptor *d)
{
    static bool filled;

    if (!filled) {
        fill_kinds();
        filled = true;
    }
    for (size_t slot = slot_of(d); kinds[slot].descriptor != NULL; slot = (slot + 1) % HASH_SLOTS)
        if (kinds[slot].descriptor == d)
            return kinds[slot].kind;
    return 0;
}

static enum err
walk_kind(struct sql_walk *w, unsigned kind, const ProtobufCMessage *m)
{
    sql_handler *handler = kind < NODE_KINDS ? handlers[kind] : NULL;

    if (handler == NULL)
        return fail(ERR_UNSUPPORTED, "the gateway cannot analyse this part of the statement: %s",
                    m->descriptor->short_name);
    return handler(w, m);
}

enum err
sql_walk_message(struct sql_walk *w, const ProtobufCMessage *m)
{
    if (m == NULL)
        return OK;
    if (m->descriptor == &pg_query__node__descriptor)
        return sql_walk_node(w, (const PgQuery__Node *)m);
    if (m->n_unknown_fields != 0)
        return fail(ERR_UNSUPPORTED, "the parse tree has fields that are not known: %s",
                    m->descriptor->short_name);
    return walk_kind(w, kind_of(m->descriptor), m);
}

enum err
sql_walk_node(struct sql_walk *w, const PgQuery__Node *node)
{
    if (node == NULL)
        return OK;
    if (node->node_case == PG_QUERY__NODE__NODE__NOT_SET || node->base.n_unknown_fields != 0)
        return fail(ERR_UNSUPPORTED, "the gateway cannot analyse a part of the statement");
    return walk_kind(w, node->node_case, (const ProtobufCMessage *)node->alias);
}

enum err
sql_walk_nodes(struct sql_walk *w, PgQuery__Node **nodes, size_t n)
{
    enum err e;

    for (size_t i = 0; i < n; i++)
        if ((e = sql_walk_node(w, nodes[i])) != OK)
            return e;
    return OK;
}

/* Plain DISTINCT is a list of one empty entry. An entry that the parser library does not know
 * would look the same, so empty ones are accepted only where they belong. */
static bool
may_be_empty(const ProtobufCMessage *parent, const ProtobufCFieldDescriptor *f)
{
    return parent->descriptor == &pg_query__select_stmt__descriptor &&
           strcmp(f->name, "distinct_clause") == 0;
}

static enum err
walk_field(struct sql_walk *w, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
           const void *skip, const void *skip2)
{
    const char *member = (const char *)m + f->offset;
    const ProtobufCMessage *child;
    enum err e;

    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
        ProtobufCMessage *const *items = *(ProtobufCMessage *const *const *)(const void *)member;

        if (n == 0 || items == skip || items == skip2)
            return OK;
        for (size_t i = 0; i < n; i++) {
            if (items[i]->descriptor == &pg_query__node__descriptor &&
                ((const PgQuery__Node *)items[i])->node_case == PG_QUERY__NODE__NODE__NOT_SET &&
                may_be_empty(m, f))
                continue;
            if ((e = sql_walk_message(w, items[i])) != OK)
                return e;
        }
        return OK;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) != f->id)
        return OK;
    child = *(const ProtobufCMessage *const *)(const void *)member;
    if (child == NULL || child == skip || child == skip2)
        return OK;
    return sql_walk_message(w, child);
}

enum err
sql_walk_others(struct sql_walk *w, const ProtobufCMessage *m, const void *skip, const void *skip2)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    enum err e;

    for (unsigned i = 0; i < d->n_fields; i++)
        if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
            (e = walk_field(w, m, &d->fields[i], skip, skip2)) != OK)
            return e;
    return OK;
}

enum err
sql_walk_children(struct sql_walk *w, const ProtobufCMessage *m)
{
    return sql_walk_others(w, m, NULL, NULL);
}

struct str
sql_node_text(const PgQuery__Node *node)
{
    if (node == NULL || node->node_case != PG_QUERY__NODE__NODE_STRING)
        return sql_str("");
    return sql_str(node->string->sval);
}

void
sql_names(PgQuery__Node **names, size_t n, struct str *schema, struct str *name)
{
    *name = n > 0 ? sql_node_text(names[n - 1]) : sql_str("");
    *schema = n > 1 ? sql_node_text(names[n - 2]) : sql_str("");
}

/* Other types may read or cut the text: 'ab'::varchar(1) is 'a'. */
static bool
keeps_text(const PgQuery__TypeName *t)
{
    struct str schema, name;

    if (t->n_typmods > 0 || t->n_array_bounds > 0)
        return false;
    sql_names(t->names, t->n_names, &schema, &name);
    /* text alone may be a domain of a temporary schema */
    return str_is(schema, "pg_catalog") && (str_is(name, "text") || str_is(name, "varchar"));
}

bool
sql_constant(const PgQuery__Node *node, struct str *out)
{
    while (node != NULL && node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST &&
           keeps_text(node->type_cast->type_name))
        node = node->type_cast->arg;
    if (node == NULL)
        return false;
    if (node->node_case == PG_QUERY__NODE__NODE_STRING) {
        *out = sql_str(node->string->sval);
        return true;
    }
    if (node->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        node->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return false;
    *out = sql_str(node->a_const->sval->sval);
    return true;
}

static enum err
grow(struct sql_walk *w)
{
    size_t capacity = w->capacity == 0 ? 8 : 2 * w->capacity;
    struct demand *more = arena_array(w->arena, capacity, sizeof(*more));

    if (more == NULL)
        return fail(ERR_NOMEM, "no memory for the facts of a statement");
    if (w->n_demands > 0)
        memcpy(more, w->demands, w->n_demands * sizeof(*more));
    w->demands = more;
    w->capacity = capacity;
    return OK;
}

static bool
known(const struct sql_walk *w, const struct demand *d)
{
    for (size_t i = 0; i < w->n_demands; i++) {
        const struct demand *o = &w->demands[i];

        if (o->classes == d->classes && o->kind == d->kind && str_equal(o->name, d->name) &&
            str_equal(o->schema, d->schema))
            return true;
    }
    return false;
}

enum err
sql_demand(struct sql_walk *w, class_set classes, enum object_kind kind, struct str schema,
           struct str name)
{
    struct demand d = {.kind = kind, .schema = schema, .name = name};
    enum err e;

    if (w->plan_only && kind == OBJECT_RELATION && (classes & CLASSES(WRITE)) != 0)
        classes = CLASSES(READ); /* planned, not done */
    /* never on more than a read: who allows EXPLAIN does not allow what ANALYZE runs */
    d.classes = (classes & CLASSES(READ)) != 0 ? classes | w->extra : classes;
    if (kind != OBJECT_NONE && name.len == 0)
        d.kind = OBJECT_NONE;
    if (known(w, &d))
        return OK;
    if (w->n_demands >= COMMAND_DEMANDS_MAX)
        return fail(ERR_LIMIT, "the statement concerns more than %d objects", COMMAND_DEMANDS_MAX);
    if (w->n_demands == w->capacity && (e = grow(w)) != OK)
        return e;
    d.name = arena_str(w->arena, name);
    d.schema = arena_str(w->arena, schema);
    if (d.name.ptr == NULL || d.schema.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for the facts of a statement");
    w->demands[w->n_demands++] = d;
    return OK;
}

enum err
sql_demand_none(struct sql_walk *w, class_set classes)
{
    return sql_demand(w, classes, OBJECT_NONE, sql_str(""), sql_str(""));
}

enum err
sql_demand_names(struct sql_walk *w, class_set classes, enum object_kind kind,
                 PgQuery__Node **names, size_t n)
{
    struct str schema;
    struct str name;

    sql_names(names, n, &schema, &name);
    return sql_demand(w, classes, kind, schema, name);
}

enum err
sql_demand_relation(struct sql_walk *w, class_set classes, const PgQuery__RangeVar *rv)
{
    struct str schema = sql_str(rv->schemaname);
    struct str name = sql_str(rv->relname);
    bool system;

    if (schema.len == 0 && sql_is_catalog(name))
        schema = sql_str("pg_catalog");
    system = sql_is_system_schema(schema);
    /* these carry no other class: who allows INSERT does not mean catalogs */
    if (sql_is_secret(schema, name))
        classes = CLASSES(ADMIN) | CLASSES(SECRETS);
    else if (system && (classes & CLASSES(READ)) == 0)
        classes = CLASSES(ADMIN) | CLASSES(CATALOG_WRITE);
    return sql_demand(w, classes, OBJECT_RELATION, schema, name);
}
