/* How long a statement's facts and lineage take: a new text, without lineage, and one met before.
 * ninja -C build bench/micro_sql && build/bench/micro_sql ["SQL" ...] */
#include <stdio.h>

#include "../tests/unit/lineage_schema.h"
#include "base/clock.h"
#include "sql/cache.h"

enum { ROUNDS_US = 400000, ARENA_BYTES_MAX = 64 << 20, CACHE_BYTES = 1 << 20, BATCH = 16 };

static const char *const statements[] = {
    "SELECT 1",
    "SELECT id, total FROM orders WHERE id = 7",
    "SELECT id, name, email FROM customers WHERE id = 7",
    "SELECT c.name, c.email, o.total FROM customers c JOIN orders o ON o.customer_id = c.id "
    "WHERE o.total > 100 ORDER BY o.total DESC LIMIT 10",
    "WITH spent AS (SELECT customer_id, sum(total) AS total FROM orders GROUP BY 1) "
    "SELECT c.name, c.email AS who, s.total FROM customers c JOIN spent s "
    "ON s.customer_id = c.id WHERE c.id IN (SELECT customer_id FROM orders WHERE total > 10)",
    "SELECT value FROM union_view WHERE kind = 's'",
    "UPDATE orders SET total = total + 1 WHERE id = 7 RETURNING id, total",
};

static void
stop(enum err e)
{
    if (e == OK)
        return;
    (void)fprintf(stderr, "micro_sql: %s\n", err_text());
    exit(1);
}

static double
new_us(struct str text, const struct sql_context *context)
{
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    int64_t start = clock_monotonic_us(), spent = 0;
    size_t n = 0;

    for (; spent < ROUNDS_US; spent = clock_monotonic_us() - start) {
        for (int i = 0; i < BATCH; i++, n++) {
            struct sql_facts facts;

            arena_reset(arena);
            stop(sql_analyze(text, context, arena, &facts));
            sql_lineage_release(facts.lineage);
        }
    }
    arena_free(arena);
    return (double)spent / (double)n;
}

static double
cached_us(struct str text, const struct sql_context *context)
{
    struct sql_cache *cache = sql_cache_new(CACHE_BYTES, NULL);
    int64_t start = clock_monotonic_us(), spent = 0;
    size_t n = 0;

    sql_cache_set_context(cache, context);
    for (; spent < ROUNDS_US; spent = clock_monotonic_us() - start) {
        for (int i = 0; i < BATCH; i++, n++) {
            const struct sql_facts *facts;
            bool exact;

            stop(sql_cache_facts(cache, text, &facts, &exact));
        }
    }
    sql_cache_free(cache);
    return (double)spent / (double)n;
}

static void
report(const char *sql, const struct sql_context *context)
{
    const struct str text = str_from(sql);

    (void)printf("%10.2f %10.2f %10.3f   %.100s\n", new_us(text, NULL), new_us(text, context),
                 cached_us(text, context), sql);
}

int
main(int argc, char **argv)
{
    static const struct str path[] = {STR_INIT("pg_catalog"), STR_INIT("public")};
    struct buf block = ls_block();
    struct catalog catalog;
    struct shield *shield = NULL;
    struct sql_context context = {.path = {path, 2}, .path_known = true};
    int64_t start = clock_monotonic_us();

    stop(catalog_open(buf_str(&block), &catalog));
    stop(shield_make(&catalog, &ls_protection, NULL, NULL, &shield));
    context.shield = shield;
    (void)printf("protection made ready: %lld us\n\n  microseconds a statement\n%10s %10s %10s\n",
                 (long long)(clock_monotonic_us() - start), "facts", "+ lineage", "met before");
    for (size_t i = 0; argc < 2 && i < sizeof(statements) / sizeof(statements[0]); i++)
        report(statements[i], &context);
    for (int i = 1; i < argc; i++)
        report(argv[i], &context);
    shield_free(shield);
    buf_free(&block);
    return 0;
}
