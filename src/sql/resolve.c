/* With a catalog, what a statement demands is told by the names that the server would find. */
#include "sql/shield.h"

static bool
is_on_path(const struct sql_context *c, uint32_t namespace)
{
    struct str name = shield_schema_name(c->shield, namespace);

    for (size_t i = 0; i < c->path.n; i++)
        if (str_equal(c->path.schemas[i], name))
            return true;
    return false;
}

static void
resolve_relation(const struct sql_context *c, struct demand *d)
{
    const struct catalog *catalog = shield_catalog(c->shield);

    for (size_t i = 0; i < c->path.n; i++) {
        const struct catalog_namespace *n = catalog_namespace_named(catalog, c->path.schemas[i]);

        if (n == NULL ||
            catalog_relation_named(catalog, (uint32_t)(n - catalog->namespaces), d->name) == NULL)
            continue;
        d->schema = c->path.schemas[i];
        return;
    }
}

/* Functions and operators that a name may mean. */
struct meanings {
    size_t n;
    bool harmless;      /* all of them only compute */
    bool one_schema;    /* all of them are in `namespace` */
    uint32_t namespace; /* of the first */
};

static void
add_meaning(struct meanings *m, const struct catalog_function *f, uint32_t namespace)
{
    if (m->n++ == 0)
        *m = (struct meanings){1, true, true, namespace};
    m->harmless = m->harmless && f != NULL && f->body == CATALOG_BODY_INTERNAL;
    m->one_schema = m->one_schema && m->namespace == namespace;
}

static bool
may_mean(const struct sql_context *c, const struct demand *d, uint32_t namespace)
{
    if (d->schema.len > 0)
        return str_equal(shield_schema_name(c->shield, namespace), d->schema);
    return is_on_path(c, namespace);
}

static const struct catalog_function *
function_of(const struct catalog *catalog, uint32_t oid)
{
    for (uint32_t i = 0; i < catalog->n_functions; i++)
        if (catalog->functions[i].oid == oid)
            return &catalog->functions[i];
    return NULL;
}

static struct meanings
meanings_of(const struct sql_context *c, const struct demand *d)
{
    const struct catalog *catalog = shield_catalog(c->shield);
    struct meanings m = {0};
    size_t n;
    const struct catalog_function *f = catalog_functions_named(catalog, d->name, &n);
    const struct catalog_operator *o;

    for (size_t i = 0; i < n; i++)
        if (may_mean(c, d, f[i].namespace))
            add_meaning(&m, &f[i], f[i].namespace);
    o = catalog_operators_named(catalog, d->name, &n);
    for (size_t i = 0; i < n; i++)
        if (may_mean(c, d, o[i].namespace))
            add_meaning(&m, function_of(catalog, o[i].function), o[i].namespace);
    return m;
}

/* Whether the demand falls away: a function of an extension that only computes. */
static bool
resolve_function(const struct sql_context *c, struct demand *d)
{
    struct meanings m = meanings_of(c, d);

    if (m.n > 0 && m.harmless)
        return true;
    if (m.n > 0 && m.one_schema && d->schema.len == 0)
        d->schema = shield_schema_name(c->shield, m.namespace);
    return false;
}

void
sql_resolve_demands(const struct sql_context *c, struct demand *demands, size_t *n)
{
    static const class_set unknown = CLASSES(UNKNOWN_FUNCTION);
    size_t kept = 0;

    for (size_t i = 0; i < *n; i++) {
        struct demand *d = &demands[i];

        if (d->kind == OBJECT_RELATION && d->schema.len == 0)
            resolve_relation(c, d);
        if (d->kind == OBJECT_FUNCTION && (d->classes & unknown) != 0 &&
            (d->classes & CLASSES(DEFINE_CODE)) == 0 && resolve_function(c, d))
            continue;
        demands[kept++] = *d;
    }
    *n = kept;
}
