/* A catalog snapshot of any bytes: refused, or safe to protect and to analyse with. */
#include "../unit/lineage_schema.h"
#include "sql/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct protect_rule any_rules[] = {
    {.schema = STR_INIT("*"),
     .table = STR_INIT("*"),
     .column = STR_INIT("*n*"),
     .mask = {.kind = MASK_HASH}},
};
static const struct protection anything = {.protect = any_rules, .n_protect = 1};

static void
analyse(struct shield *shield, struct str sql)
{
    static const struct str schemas[] = {STR_INIT("pg_catalog"), STR_INIT("public")};
    struct sql_context context = {.shield = shield, .path = {schemas, 2}, .path_known = true};
    struct arena *arena = arena_new((size_t)16 << 20);
    struct sql_facts facts;
    struct mask_plan plan;

    if (sql_analyze(sql, &context, arena, &facts) == OK) {
        for (size_t i = 0; i < facts.lineage->n_outputs; i++) {
            const struct sql_output *o = &facts.lineage->outputs[i];

            for (size_t k = 0; k < o->n; k++)
                if (sql_mask_plan(shield, &o->columns[k].hidden, o->columns[k].type, arena,
                                  &plan) == OK &&
                    plan.shape == MASK_SHAPE_PASS && o->columns[k].hidden.how != SQL_HIDE_NOTHING)
                    abort();
        }
        sql_lineage_release(facts.lineage);
    }
    arena_free(arena);
}

static void
use(const struct catalog *catalog, const struct protection *protection)
{
    static const char *const statements[] = {
        "SELECT * FROM customers, second_view",
        "SELECT c FROM customers c",
        "SELECT p, (addr).*, tags[1], profile->'contact' FROM customers, people p, places",
        "SELECT * FROM rich UNION ALL SELECT * FROM order_view",
        "SELECT safe_sql(1), tick(), pong(), reads_leaky_view()",
        "SELECT * FROM two_outputs(1), order_rows(), jsonb_each('{}')",
        "SELECT 1 === 2, 'x'::code_d, 'a' % 'b'",
        "INSERT INTO subscribers VALUES (1, 'x') RETURNING *",
        "COPY staff TO STDOUT",
        "ALTER TABLE orders RENAME TO x",
    };
    struct shield *shield;

    if (shield_make(catalog, protection, NULL, NULL, &shield) != OK)
        return;
    for (uint32_t i = 0; i < catalog->n_relations; i++)
        (void)shield_is_protected(shield, catalog->relations[i].oid, 1);
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
        analyse(shield, str_from(statements[i]));
    shield_free(shield);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = aligned_alloc(8, size + 8 - size % 8);
    struct catalog catalog;

    if (bytes == NULL)
        abort();
    if (size > 0)
        memcpy(bytes, data, size);
    if (catalog_open((struct str){bytes, size}, &catalog) == OK) {
        use(&catalog, &ls_protection);
        use(&catalog, &anything);
    }
    free(bytes);
    return 0;
}
