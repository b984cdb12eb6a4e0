#include "sql/object.h"

/* Privileges, roles, the server, other servers, and code. */

enum err
sql_on_grant(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__GrantStmt *s = (const PgQuery__GrantStmt *)m;
    class_set classes = CLASSES(GRANT) | CLASSES(PRIVILEGE_CHANGE);
    enum err e;

    if (s->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_DEFAULTS || s->n_objects == 0)
        return sql_demand_none(w, classes);
    for (size_t i = 0; i < s->n_objects; i++) {
        if (s->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_ALL_IN_SCHEMA)
            e = sql_demand(w, classes, OBJECT_SCHEMA, sql_str(""), sql_node_text(s->objects[i]));
        else
            e = sql_demand_object(w, CLASSES(PRIVILEGE_CHANGE), CLASSES(GRANT), s->objtype,
                                  s->objects[i]);
        if (e != OK)
            return e;
    }
    return OK;
}

static enum err
role_demand(struct sql_walk *w, const char *name)
{
    return sql_demand(w, CLASSES(GRANT) | CLASSES(ROLE_CHANGE), OBJECT_ROLE, sql_str(""),
                      sql_str(name));
}

enum err
sql_on_grant_role(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__GrantRoleStmt *s = (const PgQuery__GrantRoleStmt *)m;
    class_set classes = CLASSES(GRANT) | CLASSES(PRIVILEGE_CHANGE) | CLASSES(ROLE_CHANGE);
    enum err e;

    for (size_t i = 0; i < s->n_granted_roles; i++) {
        const PgQuery__Node *n = s->granted_roles[i];

        if (n->node_case != PG_QUERY__NODE__NODE_ACCESS_PRIV)
            return fail(ERR_UNSUPPORTED, "the gateway cannot analyse GRANT of a role");
        if ((e = sql_demand(w, classes, OBJECT_ROLE, sql_str(""),
                            sql_str(n->access_priv->priv_name))) != OK)
            return e;
    }
    return OK;
}

enum err
sql_on_default_privileges(struct sql_walk *w, const ProtobufCMessage *m)
{
    (void)m;
    return sql_demand_none(w, CLASSES(GRANT) | CLASSES(PRIVILEGE_CHANGE));
}

enum err
sql_on_role(struct sql_walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    const PgQuery__RoleSpec *role = NULL;
    const char *name = "";
    enum err e;

    if (d == &pg_query__drop_role_stmt__descriptor) {
        const PgQuery__DropRoleStmt *s = (const PgQuery__DropRoleStmt *)m;

        for (size_t i = 0; i < s->n_roles; i++) {
            if (s->roles[i]->node_case == PG_QUERY__NODE__NODE_ROLE_SPEC)
                name = s->roles[i]->role_spec->rolename;
            if ((e = sql_demand(w, CLASSES(GRANT) | CLASSES(ROLE_CHANGE) | CLASSES(DROP),
                                OBJECT_ROLE, sql_str(""), sql_str(name))) != OK)
                return e;
        }
        return OK;
    }
    if (d == &pg_query__create_role_stmt__descriptor)
        return role_demand(w, ((const PgQuery__CreateRoleStmt *)m)->role);
    if (d == &pg_query__alter_role_set_stmt__descriptor) {
        role = ((const PgQuery__AlterRoleSetStmt *)m)->role;
        if ((e = sql_demand_none(w, CLASSES(ADMIN) | CLASSES(SERVER_SETTINGS))) != OK)
            return e;
    } else {
        role = ((const PgQuery__AlterRoleStmt *)m)->role;
    }
    return role_demand(w, role != NULL ? role->rolename : "");
}

enum err
sql_on_policy(struct sql_walk *w, const ProtobufCMessage *m)
{
    bool create = m->descriptor == &pg_query__create_policy_stmt__descriptor;
    const PgQuery__RangeVar *table = create ? ((const PgQuery__CreatePolicyStmt *)m)->table
                                            : ((const PgQuery__AlterPolicyStmt *)m)->table;
    enum err e;

    if (table == NULL)
        return fail(ERR_UNSUPPORTED, "a policy without a table");
    if ((e = sql_demand_relation(w, CLASSES(GRANT) | CLASSES(PRIVILEGE_CHANGE), table)) != OK)
        return e;
    return sql_walk_others(w, m, table, NULL);
}

enum err
sql_on_owner(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__AlterOwnerStmt *s = (const PgQuery__AlterOwnerStmt *)m;
    class_set verb = CLASSES(PRIVILEGE_CHANGE);

    if (s->relation != NULL)
        return sql_demand_object_relation(w, verb, CLASSES(GRANT), s->object_type, s->relation);
    return sql_demand_object(w, verb, CLASSES(GRANT), s->object_type, s->object);
}

enum err
sql_on_owned(struct sql_walk *w, const ProtobufCMessage *m)
{
    enum err e = sql_demand_none(w, CLASSES(GRANT) | CLASSES(ROLE_CHANGE));

    if (e != OK || m->descriptor != &pg_query__drop_owned_stmt__descriptor)
        return e;
    return sql_demand_none(w, CLASSES(DDL) | CLASSES(DROP));
}

enum err
sql_on_database(struct sql_walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    class_set classes = CLASSES(ADMIN) | CLASSES(ALTER);
    const char *name;

    if (d == &pg_query__createdb_stmt__descriptor) {
        name = ((const PgQuery__CreatedbStmt *)m)->dbname;
        classes = CLASSES(ADMIN) | CLASSES(CREATE) | CLASSES(CREATE_DATABASE);
    } else if (d == &pg_query__dropdb_stmt__descriptor) {
        name = ((const PgQuery__DropdbStmt *)m)->dbname;
        classes = CLASSES(ADMIN) | CLASSES(DROP) | CLASSES(DROP_DATABASE);
    } else if (d == &pg_query__alter_database_set_stmt__descriptor) {
        name = ((const PgQuery__AlterDatabaseSetStmt *)m)->dbname;
        classes |= CLASSES(SERVER_SETTINGS);
    } else if (d == &pg_query__alter_database_refresh_coll_stmt__descriptor) {
        name = ((const PgQuery__AlterDatabaseRefreshCollStmt *)m)->dbname;
    } else {
        name = ((const PgQuery__AlterDatabaseStmt *)m)->dbname;
    }
    return sql_demand(w, classes, OBJECT_DATABASE, sql_str(""), sql_str(name));
}

enum err
sql_on_server(struct sql_walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    const PgQuery__VariableSetStmt *set;
    class_set classes = CLASSES(ADMIN);
    struct str name = sql_str("");

    if (d == &pg_query__check_point_stmt__descriptor)
        return sql_demand_none(w, CLASSES(ADMIN) | CLASSES(MAINTENANCE));
    if (d == &pg_query__load_stmt__descriptor)
        return sql_demand(w, CLASSES(ADMIN) | CLASSES(SERVER_FILES), OBJECT_OTHER, sql_str(""),
                          sql_str(((const PgQuery__LoadStmt *)m)->filename));
    if (d == &pg_query__alter_system_stmt__descriptor) {
        set = ((const PgQuery__AlterSystemStmt *)m)->setstmt;
        return sql_demand(w, CLASSES(ADMIN) | CLASSES(SERVER_SETTINGS), OBJECT_SETTING, sql_str(""),
                          sql_str(set != NULL ? set->name : ""));
    }
    if (d == &pg_query__create_table_space_stmt__descriptor) {
        name = sql_str(((const PgQuery__CreateTableSpaceStmt *)m)->tablespacename);
        classes |= CLASSES(CREATE) | CLASSES(SERVER_FILES);
    } else if (d == &pg_query__drop_table_space_stmt__descriptor) {
        name = sql_str(((const PgQuery__DropTableSpaceStmt *)m)->tablespacename);
        classes |= CLASSES(DROP);
    } else if (d == &pg_query__alter_table_space_options_stmt__descriptor) {
        name = sql_str(((const PgQuery__AlterTableSpaceOptionsStmt *)m)->tablespacename);
        classes |= CLASSES(ALTER);
    } else {
        name = sql_str(((const PgQuery__AlterTableMoveAllStmt *)m)->orig_tablespacename);
        classes |= CLASSES(ALTER);
    }
    return sql_demand(w, classes, OBJECT_OTHER, sql_str(""), name);
}

enum err
sql_on_do(struct sql_walk *w, const ProtobufCMessage *m)
{
    (void)m;
    return sql_demand_none(w, CLASSES(CODE) | CLASSES(ANONYMOUS_CODE));
}

enum err
sql_on_call(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__FuncCall *call = ((const PgQuery__CallStmt *)m)->funccall;
    enum err e;

    if (call == NULL)
        return fail(ERR_UNSUPPORTED, "CALL without a procedure");
    if ((e = sql_demand_names(w, CLASSES(CODE) | CLASSES(CALL), OBJECT_FUNCTION, call->funcname,
                              call->n_funcname)) != OK)
        return e;
    return sql_walk_others(w, (const ProtobufCMessage *)call, call->funcname, NULL);
}

/* Extensions bring functions, and their scripts run with the rights of the installer. */
enum err
sql_on_extension(struct sql_walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    class_set verb = CLASSES(ALTER);
    struct str name;
    enum err e;

    if (d == &pg_query__create_extension_stmt__descriptor) {
        name = sql_str(((const PgQuery__CreateExtensionStmt *)m)->extname);
        verb = CLASSES(CREATE);
    } else if (d == &pg_query__alter_extension_stmt__descriptor) {
        name = sql_str(((const PgQuery__AlterExtensionStmt *)m)->extname);
    } else {
        name = sql_str(((const PgQuery__AlterExtensionContentsStmt *)m)->extname);
    }
    if ((e = sql_demand(w, CLASSES(DDL) | CLASSES(EXTENSION) | verb, OBJECT_OTHER, sql_str(""),
                        name)) != OK)
        return e;
    return sql_demand(w, CLASSES(CODE) | CLASSES(EXTENSION), OBJECT_OTHER, sql_str(""), name);
}

enum err
sql_on_foreign(struct sql_walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    class_set classes = CLASSES(ADMIN) | CLASSES(FOREIGN);
    const char *name = "";

    if (d == &pg_query__create_fdw_stmt__descriptor)
        name = ((const PgQuery__CreateFdwStmt *)m)->fdwname;
    else if (d == &pg_query__alter_fdw_stmt__descriptor)
        name = ((const PgQuery__AlterFdwStmt *)m)->fdwname;
    else if (d == &pg_query__create_foreign_server_stmt__descriptor)
        name = ((const PgQuery__CreateForeignServerStmt *)m)->servername;
    else if (d == &pg_query__alter_foreign_server_stmt__descriptor)
        name = ((const PgQuery__AlterForeignServerStmt *)m)->servername;
    else if (d == &pg_query__create_user_mapping_stmt__descriptor)
        name = ((const PgQuery__CreateUserMappingStmt *)m)->servername;
    else if (d == &pg_query__alter_user_mapping_stmt__descriptor)
        name = ((const PgQuery__AlterUserMappingStmt *)m)->servername;
    else if (d == &pg_query__drop_user_mapping_stmt__descriptor)
        name = ((const PgQuery__DropUserMappingStmt *)m)->servername;
    else
        name = ((const PgQuery__ImportForeignSchemaStmt *)m)->server_name;
    if (strncmp(d->short_name, "Create", 6) == 0)
        classes |= CLASSES(CREATE);
    else if (strncmp(d->short_name, "Alter", 5) == 0)
        classes |= CLASSES(ALTER);
    else if (strncmp(d->short_name, "Drop", 4) == 0)
        classes |= CLASSES(DROP);
    return sql_demand(w, classes, OBJECT_OTHER, sql_str(""), sql_str(name));
}

enum err
sql_on_publication(struct sql_walk *w, const ProtobufCMessage *m)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    class_set subscription = CLASSES(ADMIN) | CLASSES(REPLICATION) | CLASSES(FOREIGN);
    bool create = d == &pg_query__create_publication_stmt__descriptor;
    enum err e;

    if (d == &pg_query__create_subscription_stmt__descriptor)
        return sql_demand(w, subscription | CLASSES(CREATE), OBJECT_OTHER, sql_str(""),
                          sql_str(((const PgQuery__CreateSubscriptionStmt *)m)->subname));
    if (d == &pg_query__alter_subscription_stmt__descriptor)
        return sql_demand(w, subscription | CLASSES(ALTER), OBJECT_OTHER, sql_str(""),
                          sql_str(((const PgQuery__AlterSubscriptionStmt *)m)->subname));
    if (d == &pg_query__drop_subscription_stmt__descriptor)
        return sql_demand(w, subscription | CLASSES(DROP), OBJECT_OTHER, sql_str(""),
                          sql_str(((const PgQuery__DropSubscriptionStmt *)m)->subname));
    e = sql_demand(
        w, CLASSES(DDL) | CLASSES(REPLICATION) | (create ? CLASSES(CREATE) : CLASSES(ALTER)),
        OBJECT_OTHER, sql_str(""),
        sql_str(create ? ((const PgQuery__CreatePublicationStmt *)m)->pubname
                       : ((const PgQuery__AlterPublicationStmt *)m)->pubname));
    return e != OK ? e : sql_walk_children(w, m);
}
