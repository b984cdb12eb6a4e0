#include "sql/object.h"

/* CREATE, ALTER, DROP and maintenance of what is inside a database. */

#define TYPE(symbol) PG_QUERY__OBJECT_TYPE__OBJECT_##symbol

static class_set
temporary(const PgQuery__RangeVar *rv)
{
    bool temp = strcmp(rv->relpersistence, "t") == 0 ||
                strncmp(rv->schemaname, "pg_temp", sizeof("pg_temp") - 1) == 0;

    return temp ? CLASSES(TEMPORARY) : 0;
}

static enum err
create_relation(struct sql_walk *w, PgQuery__ObjectType type, const PgQuery__RangeVar *rv)
{
    if (rv == NULL)
        return fail(ERR_UNSUPPORTED, "CREATE without a name");
    return sql_demand_object_relation(w, CLASSES(CREATE) | temporary(rv), 0, type, rv);
}

static enum err
alter_parents(struct sql_walk *w, PgQuery__Node **parents, size_t n)
{
    enum err e;

    for (size_t i = 0; i < n; i++)
        if (parents[i]->node_case == PG_QUERY__NODE__NODE_RANGE_VAR &&
            (e = sql_demand_object_relation(w, CLASSES(ALTER), 0, TYPE(TABLE),
                                            parents[i]->range_var)) != OK)
            return e;
    return OK;
}

enum err
sql_on_create_table(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateStmt *s = (const PgQuery__CreateStmt *)m;
    enum err e;

    if ((e = create_relation(w, TYPE(TABLE), s->relation)) != OK ||
        (e = alter_parents(w, s->inh_relations, s->n_inh_relations)) != OK)
        return e;
    return sql_walk_others(w, m, s->relation, NULL);
}

/* Tables of file_fdw read files or run programs of the server. */
static enum err
foreign_options(struct sql_walk *w, PgQuery__Node **options, size_t n)
{
    enum err e;

    for (size_t i = 0; i < n; i++) {
        struct str name;

        if (options[i]->node_case != PG_QUERY__NODE__NODE_DEF_ELEM)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse OPTIONS");
        name = sql_str(options[i]->def_elem->defname);
        if (str_is(name, "filename") &&
            (e = sql_demand_none(w, CLASSES(ADMIN) | CLASSES(SERVER_FILES))) != OK)
            return e;
        if (str_is(name, "program") &&
            (e = sql_demand_none(w, CLASSES(ADMIN) | CLASSES(COPY_PROGRAM))) != OK)
            return e;
    }
    return OK;
}

enum err
sql_on_create_foreign_table(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateForeignTableStmt *s = (const PgQuery__CreateForeignTableStmt *)m;
    enum err e;

    if (s->base_stmt == NULL)
        return fail(ERR_UNSUPPORTED, "CREATE FOREIGN TABLE without a name");
    if ((e = sql_demand(w, CLASSES(ADMIN) | CLASSES(FOREIGN), OBJECT_OTHER, sql_str(""),
                        sql_str(s->servername))) != OK ||
        (e = foreign_options(w, s->options, s->n_options)) != OK)
        return e;
    return sql_on_create_table(w, (const ProtobufCMessage *)s->base_stmt);
}

enum err
sql_walk_into(struct sql_walk *w, const PgQuery__IntoClause *into)
{
    enum err e = create_relation(w, TYPE(TABLE), into->rel);

    if (e != OK)
        return e;
    w->depends = true;
    return sql_walk_others(w, (const ProtobufCMessage *)into, into->rel, NULL);
}

enum err
sql_on_create_as(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateTableAsStmt *s = (const PgQuery__CreateTableAsStmt *)m;
    enum err e;

    if (s->into == NULL)
        return fail(ERR_UNSUPPORTED, "CREATE TABLE AS without a name");
    if ((e = sql_walk_into(w, s->into)) != OK)
        return e;
    return sql_walk_others(w, m, s->into, NULL);
}

enum err
sql_on_view(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__ViewStmt *s = (const PgQuery__ViewStmt *)m;
    enum err e = create_relation(w, TYPE(VIEW), s->view);

    return e != OK ? e : sql_walk_others(w, m, s->view, NULL);
}

enum err
sql_on_index(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__IndexStmt *s = (const PgQuery__IndexStmt *)m;
    enum err e;

    if (s->relation == NULL)
        return fail(ERR_UNSUPPORTED, "CREATE INDEX without a table");
    if ((e = sql_demand_object_relation(w, CLASSES(CREATE), 0, TYPE(TABLE), s->relation)) != OK)
        return e;
    return sql_walk_others(w, m, s->relation, NULL);
}

enum err
sql_on_sequence(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateSeqStmt *s = (const PgQuery__CreateSeqStmt *)m;
    enum err e = create_relation(w, TYPE(SEQUENCE), s->sequence);

    return e != OK ? e : sql_walk_others(w, m, s->sequence, NULL);
}

enum err
sql_on_alter_sequence(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AlterSeqStmt *s = (const PgQuery__AlterSeqStmt *)m;
    enum err e;

    if (s->sequence == NULL)
        return fail(ERR_UNSUPPORTED, "ALTER SEQUENCE without a name");
    if ((e = sql_demand_object_relation(w, CLASSES(ALTER), 0, TYPE(SEQUENCE), s->sequence)) != OK)
        return e;
    return sql_walk_others(w, m, s->sequence, NULL);
}

enum err
sql_on_schema(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__CreateSchemaStmt *s = (const PgQuery__CreateSchemaStmt *)m;
    struct str name = sql_str(s->schemaname);
    enum err e;

    if (name.len == 0 && s->authrole != NULL)
        name = sql_str(s->authrole->rolename);
    if ((e = sql_demand(w, CLASSES(DDL) | CLASSES(CREATE), OBJECT_SCHEMA, sql_str(""), name)) != OK)
        return e;
    if (s->authrole != NULL && (e = sql_demand(w, CLASSES(GRANT) | CLASSES(PRIVILEGE_CHANGE),
                                               OBJECT_SCHEMA, sql_str(""), name)) != OK)
        return e;
    return sql_walk_nodes(w, s->schema_elts, s->n_schema_elts);
}

static enum err
code_object(struct sql_walk *w, class_set verb, enum object_kind kind, struct str schema,
            struct str name)
{
    enum err e = sql_demand(w, CLASSES(DDL) | CLASSES(DEFINE_CODE) | verb, kind, schema, name);

    return e != OK ? e : sql_demand(w, CLASSES(CODE) | CLASSES(DEFINE_CODE), kind, schema, name);
}

/* CREATE AGGREGATE, OPERATOR, TYPE, COLLATION, TEXT SEARCH …. The definitions hold names and
 * constants only. */
enum err
sql_on_define(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__DefineStmt *s = (const PgQuery__DefineStmt *)m;
    struct str schema;
    struct str name;

    sql_names(s->defnames, s->n_defnames, &schema, &name);
    switch (s->kind) {
    case TYPE(COLLATION):
    case TYPE(TSDICTIONARY):
    case TYPE(TSCONFIGURATION):
        return sql_demand(w, CLASSES(DDL) | CLASSES(CREATE), OBJECT_OTHER, schema, name);
    case TYPE(AGGREGATE):
    case TYPE(OPERATOR):
        return code_object(w, CLASSES(CREATE), OBJECT_FUNCTION, schema, name);
    case TYPE(TYPE): /* a base type: its input and output are functions */
    case TYPE(TSPARSER):
    case TYPE(TSTEMPLATE):
        return code_object(w, CLASSES(CREATE), OBJECT_OTHER, schema, name);
    default:
        return fail(ERR_UNSUPPORTED, "the gateway does not know this kind of object");
    }
}

/* The names of the statements that define or change types. */
static class_set
type_statement(const ProtobufCMessage *m, PgQuery__Node ***names, size_t *n)
{
    if (m->descriptor == &pg_query__create_enum_stmt__descriptor) {
        *names = ((const PgQuery__CreateEnumStmt *)m)->type_name;
        *n = ((const PgQuery__CreateEnumStmt *)m)->n_type_name;
        return CLASSES(CREATE);
    }
    if (m->descriptor == &pg_query__create_range_stmt__descriptor) {
        *names = ((const PgQuery__CreateRangeStmt *)m)->type_name;
        *n = ((const PgQuery__CreateRangeStmt *)m)->n_type_name;
        return CLASSES(CREATE) | CLASSES(DEFINE_CODE);
    }
    if (m->descriptor == &pg_query__create_domain_stmt__descriptor) {
        *names = ((const PgQuery__CreateDomainStmt *)m)->domainname;
        *n = ((const PgQuery__CreateDomainStmt *)m)->n_domainname;
        return CLASSES(CREATE);
    }
    if (m->descriptor == &pg_query__alter_domain_stmt__descriptor) {
        *names = ((const PgQuery__AlterDomainStmt *)m)->type_name;
        *n = ((const PgQuery__AlterDomainStmt *)m)->n_type_name;
        return CLASSES(ALTER);
    }
    if (m->descriptor == &pg_query__alter_enum_stmt__descriptor) {
        *names = ((const PgQuery__AlterEnumStmt *)m)->type_name;
        *n = ((const PgQuery__AlterEnumStmt *)m)->n_type_name;
        return CLASSES(ALTER);
    }
    *names = ((const PgQuery__AlterTypeStmt *)m)->type_name;
    *n = ((const PgQuery__AlterTypeStmt *)m)->n_type_name;
    return CLASSES(ALTER) | CLASSES(DEFINE_CODE);
}

enum err
sql_on_create_type(struct sql_walk *w, const ProtobufCMessage *m)
{
    PgQuery__Node **names;
    class_set verb;
    struct str schema;
    struct str name;
    size_t n;
    enum err e;

    if (m->descriptor == &pg_query__composite_type_stmt__descriptor) {
        const PgQuery__CompositeTypeStmt *s = (const PgQuery__CompositeTypeStmt *)m;

        if (s->typevar == NULL)
            return fail(ERR_UNSUPPORTED, "CREATE TYPE without a name");
        if ((e = sql_demand_object_relation(w, CLASSES(CREATE), 0, TYPE(TYPE), s->typevar)) != OK)
            return e;
        return sql_walk_others(w, m, s->typevar, NULL);
    }
    verb = type_statement(m, &names, &n);
    sql_names(names, n, &schema, &name);
    if ((verb & CLASSES(DEFINE_CODE)) != 0)
        return code_object(w, verb, OBJECT_OTHER, schema, name);
    if ((e = sql_demand(w, CLASSES(DDL) | verb, OBJECT_OTHER, schema, name)) != OK)
        return e;
    return sql_walk_children(w, m);
}

/* What a subcommand of ALTER TABLE demands beyond the change itself. */
static enum err
alter_command(struct sql_walk *w, const PgQuery__AlterTableStmt *s, const PgQuery__AlterTableCmd *c)
{
    const PgQuery__Node *def = c->def;
    class_set more = 0;
    enum err e;

    switch (c->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__ALTER_TABLE_TYPE_UNDEFINED:
        return fail(ERR_UNSUPPORTED, "the gateway does not know a form of ALTER TABLE");
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ForceRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_NoForceRowSecurity:
        more = CLASSES(GRANT) | CLASSES(PRIVILEGE_CHANGE);
        break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_GenericOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnGenericOptions:
        more = CLASSES(ADMIN) | CLASSES(FOREIGN);
        if (def != NULL && def->node_case == PG_QUERY__NODE__NODE_LIST &&
            (e = foreign_options(w, def->list->items, def->list->n_items)) != OK)
            return e;
        break;
    default:
        if (c->subtype > PG_QUERY__ALTER_TABLE_TYPE__AT_ReAddStatistics)
            return fail(ERR_UNSUPPORTED, "the gateway does not know a form of ALTER TABLE");
        if (c->subtype >= PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrig &&
            c->subtype <= PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRule)
            more = CLASSES(CODE) | CLASSES(DEFINE_CODE);
    }
    if (more != 0 && (e = sql_demand_object_relation(w, 0, more, s->objtype, s->relation)) != OK)
        return e;
    if (def != NULL && def->node_case == PG_QUERY__NODE__NODE_RANGE_VAR) /* INHERIT parent */
        return sql_demand_relation(w, CLASSES(DDL) | CLASSES(ALTER), def->range_var);
    if (def != NULL && def->node_case == PG_QUERY__NODE__NODE_PARTITION_CMD) {
        if (def->partition_cmd->name != NULL &&
            (e = sql_demand_relation(w, CLASSES(DDL) | CLASSES(ALTER), def->partition_cmd->name)) !=
                OK)
            return e;
        return sql_walk_others(w, (const ProtobufCMessage *)def->partition_cmd,
                               def->partition_cmd->name, NULL);
    }
    return sql_walk_node(w, def);
}

enum err
sql_on_alter_table(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AlterTableStmt *s = (const PgQuery__AlterTableStmt *)m;
    enum err e;

    if (s->relation == NULL)
        return fail(ERR_UNSUPPORTED, "ALTER without a name");
    if ((e = sql_demand_object_relation(w, CLASSES(ALTER), 0, s->objtype, s->relation)) != OK)
        return e;
    for (size_t i = 0; i < s->n_cmds; i++) {
        if (s->cmds[i]->node_case != PG_QUERY__NODE__NODE_ALTER_TABLE_CMD)
            return fail(ERR_UNSUPPORTED, "the gateway does not know a form of ALTER TABLE");
        if ((e = alter_command(w, s, s->cmds[i]->alter_table_cmd)) != OK)
            return e;
    }
    return OK;
}

enum err
sql_on_drop(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__DropStmt *s = (const PgQuery__DropStmt *)m;
    class_set verb = CLASSES(DROP);
    enum err e;

    if (s->remove_type == TYPE(TABLE) || s->remove_type == TYPE(FOREIGN_TABLE))
        verb |= CLASSES(DROP_TABLE);
    if (s->remove_type == TYPE(SCHEMA))
        verb |= CLASSES(DROP_SCHEMA);
    for (size_t i = 0; i < s->n_objects; i++)
        if ((e = sql_demand_object(w, verb, 0, s->remove_type, s->objects[i])) != OK)
            return e;
    return OK;
}

/* A relation that appears under a new name, where other rules may hold for it. */
static enum err
new_name(struct sql_walk *w, PgQuery__ObjectType type, const char *schema, const char *name)
{
    if (sql_object_kind(type) != OBJECT_RELATION)
        return OK;
    return sql_demand(w, CLASSES(DDL) | CLASSES(CREATE), OBJECT_RELATION, sql_str(schema),
                      sql_str(name));
}

enum err
sql_on_rename(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__RenameStmt *s = (const PgQuery__RenameStmt *)m;
    class_set verb = CLASSES(ALTER);
    enum err e;

    if (s->relation != NULL) {
        PgQuery__ObjectType type = s->rename_type;

        if (type == TYPE(ATTRIBUTE) || type == TYPE(COLUMN))
            type = s->relation_type;
        if ((e = sql_demand_object_relation(w, verb, 0, type, s->relation)) != OK)
            return e;
        if (s->subname[0] != '\0' || type != s->rename_type)
            return OK;
        return new_name(w, type, s->relation->schemaname, s->newname);
    }
    if (s->object != NULL)
        return sql_demand_object(w, verb, 0, s->rename_type, s->object);
    {
        PgQuery__String text = PG_QUERY__STRING__INIT; /* ALTER SCHEMA, ROLE, DATABASE … RENAME */
        PgQuery__Node node = PG_QUERY__NODE__INIT;

        text.sval = s->subname;
        node.node_case = PG_QUERY__NODE__NODE_STRING;
        node.string = &text;
        /* All in a schema appears under a new name, and rules name what is in it by schema. */
        return sql_demand_object(w, verb, s->rename_type == TYPE(SCHEMA) ? CLASSES(ADMIN) : 0,
                                 s->rename_type, &node);
    }
}

/* COMMENT, SECURITY LABEL, … SET SCHEMA, … DEPENDS ON EXTENSION. */
enum err
sql_on_object_statement(struct sql_walk *w, const ProtobufCMessage *m)
{
    enum err e;

    if (m->descriptor == &pg_query__comment_stmt__descriptor) {
        const PgQuery__CommentStmt *s = (const PgQuery__CommentStmt *)m;

        return sql_demand_object(w, CLASSES(ALTER), sql_object_effect(s->objtype), s->objtype,
                                 s->object);
    }
    if (m->descriptor == &pg_query__sec_label_stmt__descriptor) {
        const PgQuery__SecLabelStmt *s = (const PgQuery__SecLabelStmt *)m;

        return sql_demand_object(w, CLASSES(PRIVILEGE_CHANGE), CLASSES(GRANT), s->objtype,
                                 s->object);
    }
    if (m->descriptor == &pg_query__alter_object_depends_stmt__descriptor) {
        const PgQuery__AlterObjectDependsStmt *s = (const PgQuery__AlterObjectDependsStmt *)m;

        return s->relation != NULL
                   ? sql_demand_object_relation(w, CLASSES(ALTER), 0, s->object_type, s->relation)
                   : sql_demand_object(w, CLASSES(ALTER), 0, s->object_type, s->object);
    }
    {
        const PgQuery__AlterObjectSchemaStmt *s = (const PgQuery__AlterObjectSchemaStmt *)m;
        struct str schema;
        struct str name;

        if (s->relation != NULL) {
            if ((e = sql_demand_object_relation(w, CLASSES(ALTER), 0, s->object_type,
                                                s->relation)) != OK)
                return e;
            return new_name(w, s->object_type, s->newschema, s->relation->relname);
        }
        if ((e = sql_demand_object(w, CLASSES(ALTER), 0, s->object_type, s->object)) != OK)
            return e;
        sql_object_name(s->object_type, s->object, &schema, &name);
        return new_name(w, s->object_type, s->newschema, name.ptr);
    }
}

enum err
sql_on_named(struct sql_walk *w, const ProtobufCMessage *m)
{
    PgQuery__Node **names;
    size_t n;

    if (m->descriptor == &pg_query__alter_collation_stmt__descriptor) {
        names = ((const PgQuery__AlterCollationStmt *)m)->collname;
        n = ((const PgQuery__AlterCollationStmt *)m)->n_collname;
    } else if (m->descriptor == &pg_query__alter_tsdictionary_stmt__descriptor) {
        names = ((const PgQuery__AlterTSDictionaryStmt *)m)->dictname;
        n = ((const PgQuery__AlterTSDictionaryStmt *)m)->n_dictname;
    } else {
        names = ((const PgQuery__AlterTSConfigurationStmt *)m)->cfgname;
        n = ((const PgQuery__AlterTSConfigurationStmt *)m)->n_cfgname;
    }
    return sql_demand_names(w, CLASSES(DDL) | CLASSES(ALTER), OBJECT_OTHER, names, n);
}

enum err
sql_on_statistics(struct sql_walk *w, const ProtobufCMessage *m)
{
    enum err e;

    if (m->descriptor == &pg_query__alter_stats_stmt__descriptor) {
        const PgQuery__AlterStatsStmt *s = (const PgQuery__AlterStatsStmt *)m;

        return sql_demand_names(w, CLASSES(DDL) | CLASSES(ALTER), OBJECT_OTHER, s->defnames,
                                s->n_defnames);
    }
    {
        const PgQuery__CreateStatsStmt *s = (const PgQuery__CreateStatsStmt *)m;

        if ((e = sql_demand_names(w, CLASSES(DDL) | CLASSES(CREATE), OBJECT_OTHER, s->defnames,
                                  s->n_defnames)) != OK ||
            (e = alter_parents(w, s->relations, s->n_relations)) != OK)
            return e;
        return sql_walk_children(w, m);
    }
}

/* Bodies and defaults are not looked at: the effect says that nobody judged them. */
enum err
sql_on_create_function(struct sql_walk *w, const ProtobufCMessage *m)
{
    PgQuery__Node **names = NULL;
    class_set verb = CLASSES(CREATE);
    size_t n = 0;
    struct str schema;
    struct str name;

    if (m->descriptor == &pg_query__create_function_stmt__descriptor) {
        names = ((const PgQuery__CreateFunctionStmt *)m)->funcname;
        n = ((const PgQuery__CreateFunctionStmt *)m)->n_funcname;
    } else if (((const PgQuery__AlterFunctionStmt *)m)->func != NULL) {
        verb = CLASSES(ALTER);
        names = ((const PgQuery__AlterFunctionStmt *)m)->func->objname;
        n = ((const PgQuery__AlterFunctionStmt *)m)->func->n_objname;
    }
    sql_names(names, n, &schema, &name);
    return code_object(w, verb, OBJECT_FUNCTION, schema, name);
}

static enum err
code_on_relation(struct sql_walk *w, const PgQuery__RangeVar *rv)
{
    enum err e;

    if (rv == NULL)
        return fail(ERR_UNSUPPORTED, "a trigger or rule without a table");
    if ((e = sql_demand_relation(w, CLASSES(DDL) | CLASSES(CREATE) | CLASSES(DEFINE_CODE), rv)) !=
        OK)
        return e;
    return sql_demand(w, CLASSES(CODE) | CLASSES(DEFINE_CODE), OBJECT_RELATION,
                      sql_str(rv->schemaname), sql_str(rv->relname));
}

enum err
sql_on_trigger(struct sql_walk *w, const ProtobufCMessage *m)
{
    return code_on_relation(w, ((const PgQuery__CreateTrigStmt *)m)->relation);
}

enum err
sql_on_rule(struct sql_walk *w, const ProtobufCMessage *m)
{
    return code_on_relation(w, ((const PgQuery__RuleStmt *)m)->relation);
}

/* Definitions that make functions be called where nobody wrote a call. */
enum err
sql_on_code_object(struct sql_walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    struct str schema = sql_str("");
    struct str name = sql_str("");
    class_set verb = CLASSES(CREATE);

    if (d == &pg_query__create_event_trig_stmt__descriptor)
        name = sql_str(((const PgQuery__CreateEventTrigStmt *)m)->trigname);
    else if (d == &pg_query__create_plang_stmt__descriptor)
        name = sql_str(((const PgQuery__CreatePLangStmt *)m)->plname);
    else if (d == &pg_query__create_am_stmt__descriptor)
        name = sql_str(((const PgQuery__CreateAmStmt *)m)->amname);
    else if (d == &pg_query__create_conversion_stmt__descriptor)
        sql_names(((const PgQuery__CreateConversionStmt *)m)->conversion_name,
                  ((const PgQuery__CreateConversionStmt *)m)->n_conversion_name, &schema, &name);
    else if (d == &pg_query__create_op_class_stmt__descriptor)
        sql_names(((const PgQuery__CreateOpClassStmt *)m)->opclassname,
                  ((const PgQuery__CreateOpClassStmt *)m)->n_opclassname, &schema, &name);
    else if (d == &pg_query__create_op_family_stmt__descriptor)
        sql_names(((const PgQuery__CreateOpFamilyStmt *)m)->opfamilyname,
                  ((const PgQuery__CreateOpFamilyStmt *)m)->n_opfamilyname, &schema, &name);
    else if (d != &pg_query__create_cast_stmt__descriptor &&
             d != &pg_query__create_transform_stmt__descriptor)
        verb = CLASSES(ALTER);
    if (d == &pg_query__alter_event_trig_stmt__descriptor)
        name = sql_str(((const PgQuery__AlterEventTrigStmt *)m)->trigname);
    return code_object(w, verb, OBJECT_OTHER, schema, name);
}

enum err
sql_on_refresh(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__RefreshMatViewStmt *s = (const PgQuery__RefreshMatViewStmt *)m;

    if (s->relation == NULL)
        return fail(ERR_UNSUPPORTED, "REFRESH without a name");
    return sql_demand_relation(w, CLASSES(DDL) | CLASSES(MAINTENANCE), s->relation);
}

/* VACUUM and ANALYZE of a catalog are no writes to it, so no sql_demand_relation(). */
static enum err
maintain(struct sql_walk *w, const PgQuery__RangeVar *rv)
{
    if (rv == NULL)
        return sql_demand_none(w, CLASSES(DDL) | CLASSES(MAINTENANCE));
    return sql_demand(w, CLASSES(DDL) | CLASSES(MAINTENANCE), OBJECT_RELATION,
                      sql_str(rv->schemaname), sql_str(rv->relname));
}

enum err
sql_on_vacuum(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__VacuumStmt *s = (const PgQuery__VacuumStmt *)m;
    enum err e;

    if (s->n_rels == 0)
        return maintain(w, NULL);
    for (size_t i = 0; i < s->n_rels; i++) {
        if (s->rels[i]->node_case != PG_QUERY__NODE__NODE_VACUUM_RELATION)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse VACUUM");
        if ((e = maintain(w, s->rels[i]->vacuum_relation->relation)) != OK)
            return e;
    }
    return OK;
}

enum err
sql_on_cluster(struct sql_walk *w, const ProtobufCMessage *m)
{
    return maintain(w, ((const PgQuery__ClusterStmt *)m)->relation);
}

enum err
sql_on_reindex(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__ReindexStmt *s = (const PgQuery__ReindexStmt *)m;
    enum object_kind kind = s->kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_SCHEMA
                                ? OBJECT_SCHEMA
                                : OBJECT_DATABASE;

    if (s->relation != NULL)
        return maintain(w, s->relation);
    return sql_demand(w, CLASSES(DDL) | CLASSES(MAINTENANCE), kind, sql_str(""), sql_str(s->name));
}
