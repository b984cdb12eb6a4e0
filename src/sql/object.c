#include "sql/object.h"

enum layout {
    WHOLE,  /* all parts of the name are the object's */
    INSIDE, /* the last part is something in the object: a trigger of a table */
    AFTER,  /* the first part is an access method */
    NAMELESS,
};

static const struct object_type {
    bool known;
    enum object_kind kind;
    class_set classes; /* the effect, and what is always demanded with it */
    bool code;         /* creating or changing one plants code */
    enum layout layout;
} types[] = {
#define TYPE(symbol, ...) [PG_QUERY__OBJECT_TYPE__OBJECT_##symbol] = {true, __VA_ARGS__}
    TYPE(ACCESS_METHOD, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(AGGREGATE, OBJECT_FUNCTION, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(ATTRIBUTE, OBJECT_OTHER, CLASSES(DDL), false, WHOLE),
    TYPE(CAST, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, NAMELESS),
    TYPE(COLUMN, OBJECT_RELATION, CLASSES(DDL), false, INSIDE),
    TYPE(COLLATION, OBJECT_OTHER, CLASSES(DDL), false, WHOLE),
    TYPE(CONVERSION, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(DATABASE, OBJECT_DATABASE, CLASSES(ADMIN), false, WHOLE),
    TYPE(DOMAIN, OBJECT_OTHER, CLASSES(DDL), false, WHOLE),
    TYPE(DOMCONSTRAINT, OBJECT_OTHER, CLASSES(DDL), false, INSIDE),
    TYPE(EVENT_TRIGGER, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(EXTENSION, OBJECT_OTHER, CLASSES(DDL) | CLASSES(EXTENSION), true, WHOLE),
    TYPE(FDW, OBJECT_OTHER, CLASSES(ADMIN) | CLASSES(FOREIGN), false, WHOLE),
    TYPE(FOREIGN_SERVER, OBJECT_OTHER, CLASSES(ADMIN) | CLASSES(FOREIGN), false, WHOLE),
    TYPE(FOREIGN_TABLE, OBJECT_RELATION, CLASSES(DDL), false, WHOLE),
    TYPE(FUNCTION, OBJECT_FUNCTION, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(INDEX, OBJECT_RELATION, CLASSES(DDL), false, WHOLE),
    TYPE(LANGUAGE, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(LARGEOBJECT, OBJECT_OTHER, CLASSES(DDL) | CLASSES(LARGE_OBJECT), false, NAMELESS),
    TYPE(MATVIEW, OBJECT_RELATION, CLASSES(DDL), false, WHOLE),
    TYPE(OPCLASS, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, AFTER),
    TYPE(OPERATOR, OBJECT_FUNCTION, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(OPFAMILY, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, AFTER),
    TYPE(PARAMETER_ACL, OBJECT_SETTING, CLASSES(GRANT), false, WHOLE),
    TYPE(POLICY, OBJECT_RELATION, CLASSES(GRANT) | CLASSES(PRIVILEGE_CHANGE), false, INSIDE),
    TYPE(PROCEDURE, OBJECT_FUNCTION, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(PUBLICATION, OBJECT_OTHER, CLASSES(DDL) | CLASSES(REPLICATION), false, WHOLE),
    TYPE(ROLE, OBJECT_ROLE, CLASSES(GRANT) | CLASSES(ROLE_CHANGE), false, WHOLE),
    TYPE(ROUTINE, OBJECT_FUNCTION, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(RULE, OBJECT_RELATION, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, INSIDE),
    TYPE(SCHEMA, OBJECT_SCHEMA, CLASSES(DDL), false, WHOLE),
    TYPE(SEQUENCE, OBJECT_RELATION, CLASSES(DDL), false, WHOLE),
    TYPE(SUBSCRIPTION, OBJECT_OTHER, CLASSES(ADMIN) | CLASSES(REPLICATION) | CLASSES(FOREIGN),
         false, WHOLE),
    TYPE(STATISTIC_EXT, OBJECT_OTHER, CLASSES(DDL), false, WHOLE),
    TYPE(TABCONSTRAINT, OBJECT_RELATION, CLASSES(DDL), false, INSIDE),
    TYPE(TABLE, OBJECT_RELATION, CLASSES(DDL), false, WHOLE),
    TYPE(TABLESPACE, OBJECT_OTHER, CLASSES(ADMIN), false, WHOLE),
    TYPE(TRANSFORM, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, NAMELESS),
    TYPE(TRIGGER, OBJECT_RELATION, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, INSIDE),
    TYPE(TSCONFIGURATION, OBJECT_OTHER, CLASSES(DDL), false, WHOLE),
    TYPE(TSDICTIONARY, OBJECT_OTHER, CLASSES(DDL), false, WHOLE),
    TYPE(TSPARSER, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(TSTEMPLATE, OBJECT_OTHER, CLASSES(DDL) | CLASSES(DEFINE_CODE), true, WHOLE),
    TYPE(TYPE, OBJECT_OTHER, CLASSES(DDL), false, WHOLE),
    TYPE(USER_MAPPING, OBJECT_OTHER, CLASSES(ADMIN) | CLASSES(FOREIGN), false, NAMELESS),
    TYPE(VIEW, OBJECT_RELATION, CLASSES(DDL), false, WHOLE),
#undef TYPE
};

static const struct object_type *
type_of(PgQuery__ObjectType type)
{
    size_t i = (size_t)type;

    return i < sizeof(types) / sizeof(types[0]) && types[i].known ? &types[i] : NULL;
}

enum object_kind
sql_object_kind(PgQuery__ObjectType type)
{
    const struct object_type *t = type_of(type);

    return t == NULL ? OBJECT_NONE : t->kind;
}

void
sql_object_name(PgQuery__ObjectType type, const PgQuery__Node *node, struct str *schema,
                struct str *name)
{
    const struct object_type *t = type_of(type);
    PgQuery__Node **names = NULL;
    size_t n = 0;

    *schema = *name = sql_str("");
    if (t == NULL || t->layout == NAMELESS || node == NULL)
        return;
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_STRING:
        *name = sql_node_text(node);
        return;
    case PG_QUERY__NODE__NODE_RANGE_VAR:
        *schema = sql_str(node->range_var->schemaname);
        *name = sql_str(node->range_var->relname);
        return;
    case PG_QUERY__NODE__NODE_ROLE_SPEC:
        *name = sql_str(node->role_spec->rolename);
        return;
    case PG_QUERY__NODE__NODE_TYPE_NAME:
        names = node->type_name->names;
        n = node->type_name->n_names;
        break;
    case PG_QUERY__NODE__NODE_OBJECT_WITH_ARGS:
        names = node->object_with_args->objname;
        n = node->object_with_args->n_objname;
        break;
    case PG_QUERY__NODE__NODE_LIST:
        names = node->list->items;
        n = node->list->n_items;
        break;
    default:
        return;
    }
    if (n > 0 && t->layout == INSIDE)
        n--;
    if (n > 0 && t->layout == AFTER) {
        names++;
        n--;
    }
    if (n == 1 && names[0]->node_case == PG_QUERY__NODE__NODE_TYPE_NAME) {
        sql_names(names[0]->type_name->names, names[0]->type_name->n_names, schema, name);
        return;
    }
    sql_names(names, n, schema, name);
}

static enum err
demand(struct sql_walk *w, class_set verb, class_set effect, const struct object_type *t,
       const PgQuery__RangeVar *rv, struct str schema, struct str name)
{
    class_set classes = t->classes | verb;
    enum err e;

    if (effect != 0 && effect != (t->classes & CLASS_EFFECTS_MASK))
        classes = effect | verb;
    e = rv != NULL ? sql_demand_relation(w, classes, rv)
                   : sql_demand(w, classes, t->kind, schema, name);
    if (e != OK)
        return e;
    /* code that can be planted runs later, on behalf of others */
    if (t->code && effect == 0 && (verb & (CLASSES(CREATE) | CLASSES(ALTER))) != 0)
        return sql_demand(w, CLASSES(CODE) | (t->classes & ~CLASS_EFFECTS_MASK), t->kind, schema,
                          name);
    return OK;
}

class_set
sql_object_effect(PgQuery__ObjectType type)
{
    const struct object_type *t = type_of(type);

    return t == NULL ? 0 : t->classes & CLASS_EFFECTS_MASK;
}

enum err
sql_demand_object(struct sql_walk *w, class_set verb, class_set effect, PgQuery__ObjectType type,
                  const PgQuery__Node *node)
{
    const struct object_type *t = type_of(type);
    PgQuery__RangeVar rv = PG_QUERY__RANGE_VAR__INIT;
    struct str schema;
    struct str name;

    if (t == NULL)
        return fail(ERR_UNSUPPORTED, "the gateway does not know this kind of object");
    sql_object_name(type, node, &schema, &name);
    if (t->kind != OBJECT_RELATION || name.len == 0)
        return demand(w, verb, effect, t, NULL, schema, name);
    rv.schemaname = (char *)(uintptr_t)schema.ptr;
    rv.relname = (char *)(uintptr_t)name.ptr;
    return demand(w, verb, effect, t, &rv, schema, name);
}

enum err
sql_demand_object_relation(struct sql_walk *w, class_set verb, class_set effect,
                           PgQuery__ObjectType type, const PgQuery__RangeVar *rv)
{
    const struct object_type *t = type_of(type);

    if (t == NULL)
        return fail(ERR_UNSUPPORTED, "the gateway does not know this kind of object");
    if (t->kind != OBJECT_RELATION)
        return demand(w, verb, effect, t, NULL, sql_str(rv->schemaname), sql_str(rv->relname));
    return demand(w, verb, effect, t, rv, sql_str(rv->schemaname), sql_str(rv->relname));
}
