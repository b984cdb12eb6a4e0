/* What is left to the owner of a database: definitions that would change what is protected, or use
 * it unseen. */
#include "sql/flow.h"

void
owner_check_relation(struct analysis *a, const PgQuery__RangeVar *rv)
{
    struct str schema = sql_str(rv->schemaname), name = sql_str(rv->relname);
    uint32_t i = catalog_first_relation(a->catalog, name);

    for (; i < a->catalog->n_relations; i++) {
        const struct catalog_relation *r = &a->catalog->relations[i];

        if (!str_equal(catalog_text(a->catalog, r->name), name))
            break;
        if (schema.len > 0 && !str_equal(shield_schema_name(a->shield, r->namespace), schema))
            continue;
        if (shield_touches(a->shield, r))
            flow_refuse_because(a,
                                "\"%.*s\" has protected columns: its definition, and what is "
                                "built on it, is changed by its owner only",
                                STR_ARG(name));
    }
}

/* A schema's new name would take its tables out of what the rules say. */
static void
check_schema(struct analysis *a, struct str schema)
{
    for (uint32_t i = 0; i < a->catalog->n_relations; i++) {
        const struct catalog_relation *r = &a->catalog->relations[i];

        if (str_equal(shield_schema_name(a->shield, r->namespace), schema) &&
            shield_touches(a->shield, r)) {
            flow_refuse_because(a,
                                "schema \"%.*s\" has protected columns: it is renamed by its owner "
                                "only",
                                STR_ARG(schema));
            return;
        }
    }
}

static bool
is_made_of(const struct catalog *c, uint32_t type, struct str name)
{
    const struct catalog_type *t = catalog_type_of(c, type);

    for (int i = 0; i < 32 && t != NULL; i++) {
        if (str_equal(catalog_text(c, t->name), name))
            return true;
        t = catalog_type_of(c, t->base != 0 ? t->base : t->element);
    }
    return false;
}

/* A new constraint is tried on the values that there are. */
static void
check_domain(struct analysis *a, struct str name)
{
    for (uint32_t i = 0; i < a->catalog->n_attributes && !a->failed; i++)
        if (shield_taint(a->shield, i) != NULL &&
            is_made_of(a->catalog, a->catalog->attributes[i].type, name))
            flow_refuse_because(a,
                                "domain \"%.*s\" is the type of a protected column: it is changed "
                                "by its owner only",
                                STR_ARG(name));
}

static void
check_function(struct analysis *a, PgQuery__Node **names, size_t n)
{
    struct str schema, name;
    bool found;

    sql_names(names, n, &schema, &name);
    (void)compute_may_run(a, schema, name, &found);
}

/* What a default, an index, a trigger, an implicit cast calls runs later, and unseen. */
static bool
check_call(struct analysis *a, const ProtobufCMessage *m)
{
    if (m->descriptor == &pg_query__func_call__descriptor) {
        const PgQuery__FuncCall *c = (const PgQuery__FuncCall *)m;

        check_function(a, c->funcname, c->n_funcname);
    } else if (m->descriptor == &pg_query__create_trig_stmt__descriptor) {
        const PgQuery__CreateTrigStmt *t = (const PgQuery__CreateTrigStmt *)m;

        check_function(a, t->funcname, t->n_funcname);
    } else if (m->descriptor == &pg_query__create_cast_stmt__descriptor) {
        const PgQuery__CreateCastStmt *c = (const PgQuery__CreateCastStmt *)m;

        if (c->func != NULL)
            check_function(a, c->func->objname, c->func->n_objname);
    }
    return a->failed;
}

static bool
check_node(const ProtobufCMessage *m, void *arg)
{
    struct analysis *a = arg;
    struct str schema, name;

    if (m->descriptor == &pg_query__range_var__descriptor) {
        owner_check_relation(a, (const PgQuery__RangeVar *)m);
    } else if (m->descriptor == &pg_query__alter_domain_stmt__descriptor) {
        const PgQuery__AlterDomainStmt *s = (const PgQuery__AlterDomainStmt *)m;

        sql_names(s->type_name, s->n_type_name, &schema, &name);
        check_domain(a, name);
    } else if (m->descriptor == &pg_query__rename_stmt__descriptor) {
        const PgQuery__RenameStmt *r = (const PgQuery__RenameStmt *)m;

        if (r->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA)
            check_schema(a, sql_str(r->subname));
    }
    return check_call(a, m);
}

void
owner_check(struct analysis *a, const PgQuery__Node *statement)
{
    (void)flow_any_node(&statement->base, check_node, a);
}
