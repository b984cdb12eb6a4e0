#include "sql/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "base/table.h"
#include "sql/lexer.h"
#include "sql_deep.h"
#include "sql_render.h"

static const struct facts_case {
    const char *sql;
    const char *demands;
    bool depends;
} cases[] = {
#include "sql_cases.inc"
};

enum { N_CASES = sizeof(cases) / sizeof(cases[0]) };

static uint64_t seed = 0x1234567;

static unsigned
random_below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

/* What sql_analyze() says, as text; errors too. */
static char *
describe(struct str sql)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    struct buf out = buf_make(1 << 20);
    struct sql_facts facts;
    enum err e = sql_analyze(sql, NULL, arena, &facts);

    if (e != OK)
        buf_printf(&out, "!%s", err_name(e));
    else if (facts.depends_on_literals)
        buf_put_text(&out, "depends on literals");
    else
        render_demands(facts.demands, facts.n_demands, &out);
    buf_put_u8(&out, 0);
    assert_int_equal(buf_ok(&out), OK);
    arena_free(arena);
    return out.ptr;
}

static bool
same_key(const char *a, const char *b)
{
    struct buf ka = buf_make(1 << 20);
    struct buf kb = buf_make(1 << 20);
    bool same;

    sql_cache_key(str_from(a), &ka);
    sql_cache_key(str_from(b), &kb);
    same = str_equal(buf_str(&ka), buf_str(&kb));
    buf_free(&ka);
    buf_free(&kb);
    return same;
}

static void
test_literals_do_not_count(void **state)
{
    static const char *const pairs[][2] = {
        {"SELECT 1", "SELECT 999999999"},
        {"SELECT * FROM t WHERE a = 'x'", "SELECT * FROM t WHERE a = 'it''s; DROP TABLE t --'"},
        {"INSERT INTO t VALUES (1,'a',$1)", "INSERT INTO t VALUES (22,'',$1)"},
        {"SELECT 'a'::text, a[1:2]", "SELECT 'b'::text, a[3:2]"},
        {"SELECT a1, 1", "SELECT a1, 2"},
        {"SELECT '/*'", "SELECT '--'"},
        {"SELECT 'a' --'\n", "SELECT '$$' --'\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (!same_key(pairs[i][0], pairs[i][1]))
            fail_msg("different: %s | %s", pairs[i][0], pairs[i][1]);
}

static void
test_structure_counts(void **state)
{
    static const char *const pairs[][2] = {
        {"SELECT 1", "SELECT 'a'"},
        {"SELECT 1", "SELECT 1.0"},
        {"SELECT 1", "SELECT 1e0"},
        {"SELECT 1", "SELECT 1000000000"},
        {"SELECT 1", "SELECT -1"},
        {"SELECT $1", "SELECT $2"},
        {"SELECT a1", "SELECT a2"},
        {"SELECT \"1\"", "SELECT \"2\""},
        {"SELECT \"'a'\"", "SELECT \"'b'\""},
        {"SELECT E'a'", "SELECT E'b'"},
        {"SELECT E'\\''; --'", "SELECT E'a'; --'"},
        {"SELECT 'a\\'", "SELECT 'b\\'"},
        {"SELECT $$1$$", "SELECT $$2$$"},
        {"SELECT $a$'$a$, 'x'", "SELECT $a$'$a$ FROM t --'"},
        {"SELECT U&\"d!0061t\" UESCAPE '!'", "SELECT U&\"d!0061t\" UESCAPE '?'"},
        {"SELECT U&'a' UESCAPE '!'", "SELECT U&'a' UESCAPE '?'"},
        {"SELECT B'1'", "SELECT B'0'"},
        {"SELECT X'1'", "SELECT X'0'"},
        {"SELECT N'1'", "SELECT N'0'"},
        {"SELECT 'a'\n'b'", "SELECT 'a'\n'c'"},
        {"SELECT 'a' --x\n'b'", "SELECT 'c' --x\n'b'"},
        {"SELECT 1 /* 1 */", "SELECT 1 /* 2 */"},
        {"SELECT /* ' */ 1 /* ' */", "SELECT /* x */ 1 /* ' */"},
        {"SELECT 1 -- '\n; SELECT '", "SELECT 1 -- x\n; SELECT '"},
        {"SELECT '\001'", "SELECT '\002'"},
        {"SELECT \001", "SELECT 'a'"},
        {"SELECT \002", "SELECT 1"},
        {"SELECT 1.5", "SELECT 2.5"},
        {"SELECT .5", "SELECT .6"},
        {"SELECT 'a", "SELECT 'b"},
        {"SELECT 1a", "SELECT 2a"},
        {"SELECT \xc3\xa4"
         "1",
         "SELECT \xc3\xa4"
         "2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (same_key(pairs[i][0], pairs[i][1]))
            fail_msg("equal: %s | %s", pairs[i][0], pairs[i][1]);
}

static const char *const nasty[] = {
    "'",           "''", "\"",  "$$",  "$a$",   "\\",        "--", "/*",  "*/",
    "\n",          "\r", ";",   "E'",  "e'",    "U&",        "1",  "22",  "1.5",
    "'a'",         "$1", "(",   ")",   " ",     "\t",        "B'", "N'",  "x'",
    "UESCAPE '!'", "é",  "_",   "0x1", "1e5",   "%",         "''", "'%'", ",",
    "=",           "\f", "--'", "/*'", "\n'b'", " OR true ", "5 ", "id",  " --\n'c'",
};

static void
mutate(const char *sql, struct buf *out)
{
    bool wild = random_below(3) == 0;

    for (const char *p = sql; *p != '\0'; p++) {
        bool digit = *p >= '0' && *p <= '9';

        if (digit && random_below(2) == 0)
            buf_printf(out, "%u", random_below(2000000));
        else if (*p == '\'' && random_below(3) == 0)
            buf_put_text(out, random_below(2) == 0 ? "'a" : "'%");
        else
            buf_put_u8(out, (uint8_t)*p);
        if (wild && random_below(20) == 0)
            buf_put_text(out, nasty[random_below(sizeof(nasty) / sizeof(nasty[0]))]);
    }
}

static void
free_value(struct str key, void *value, void *arg)
{
    (void)key;
    (void)arg;
    free(value);
}

/* Whether the cache would keep such facts under the stripped key. */
static bool
is_kept(const char *facts)
{
    return facts[0] != '!' && strcmp(facts, "depends on literals") != 0;
}

/* The cache's only promise that matters: equal keys, equal facts. */
static void
test_equal_keys_mean_equal_facts(void **state)
{
    struct table *seen = table_new(1000000);
    size_t equal = 0;

    (void)state;
    for (int round = 0; round < 60; round++)
        for (size_t i = 0; i < N_CASES; i++) {
            struct buf text = buf_make(1 << 16);
            struct buf key = buf_make(1 << 16);
            char *facts;
            char *before;

            if (round == 0)
                buf_put_text(&text, cases[i].sql);
            else
                mutate(cases[i].sql, &text);
            facts = describe(buf_str(&text));
            sql_cache_key(buf_str(&text), &key);
            before = table_get(seen, buf_str(&key));
            if (before == NULL) {
                assert_int_equal(table_put(seen, buf_str(&key), facts, NULL), OK);
            } else {
                equal++;
                if (strcmp(before, facts) != 0 && (is_kept(before) || is_kept(facts)))
                    fail_msg("%.*s\n  %s\n  %s", STR_ARG(buf_str(&text)), before, facts);
                free(facts);
            }
            buf_free(&text);
            buf_free(&key);
        }
    assert_true(equal > 2000);
    table_each(seen, free_value, NULL);
    table_free(seen);
}

static void
test_token_bound_is_never_below_the_scanners_count(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < N_CASES; i++) {
            struct buf text = buf_make(1 << 16);
            PgQueryScanResult scan;

            mutate(cases[i].sql, &text);
            buf_put_u8(&text, 0);
            scan = pg_query_scan(text.ptr);
            if (scan.error == NULL) {
                PgQuery__ScanResult *tokens = pg_query__scan_result__unpack(
                    NULL, scan.pbuf.len, (const uint8_t *)scan.pbuf.data);
                size_t n = 0;

                for (size_t k = 0; k < tokens->n_tokens; k++)
                    if (tokens->tokens[k]->token != PG_QUERY__TOKEN__SQL_COMMENT &&
                        tokens->tokens[k]->token != PG_QUERY__TOKEN__C_COMMENT)
                        n++;
                pg_query__scan_result__free_unpacked(tokens, NULL);
                if (sql_token_bound(str_from(text.ptr)) < n)
                    fail_msg("%zu tokens, bound %zu: %s", n, sql_token_bound(str_from(text.ptr)),
                             text.ptr);
            }
            pg_query_free_scan_result(scan);
            buf_free(&text);
        }
}

static void
compare(const struct sql_facts *a, const struct sql_facts *b, bool exact)
{
    struct buf ra = buf_make(1 << 20);
    struct buf rb = buf_make(1 << 20);

    assert_int_equal(a->n_statements, b->n_statements);
    render_demands(a->demands, a->n_demands, &ra);
    render_demands(b->demands, b->n_demands, &rb);
    for (size_t i = 0; i < a->n_statements; i++) {
        assert_int_equal(a->statements[i].kind, b->statements[i].kind);
        assert_true(str_equal(a->statements[i].name, b->statements[i].name));
        if (exact)
            assert_true(str_equal(a->statements[i].text, b->statements[i].text));
        render_demands(a->statements[i].demands, a->statements[i].n_demands, &ra);
        render_demands(b->statements[i].demands, b->statements[i].n_demands, &rb);
    }
    assert_true(str_equal(buf_str(&ra), buf_str(&rb)));
    buf_free(&ra);
    buf_free(&rb);
}

static void
test_cached_facts_are_those_of_an_analysis(void **state)
{
    struct sql_cache *cache = sql_cache_new((size_t)1 << 20, NULL);
    struct sql_cache *tiny = sql_cache_new(4096, NULL);

    (void)state;
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < N_CASES; i++) {
            struct arena *arena = arena_new((size_t)16 << 20);
            struct buf text = buf_make(1 << 16);
            const struct sql_facts *cached = NULL;
            struct sql_facts facts;
            bool exact;
            enum err e;

            if (round == 1)
                mutate(cases[i].sql, &text);
            else
                buf_put_text(&text, cases[i].sql);
            e = sql_analyze(buf_str(&text), NULL, arena, &facts);
            assert_int_equal(sql_cache_facts(cache, buf_str(&text), &cached, &exact), e);
            if (e == OK)
                compare(&facts, cached, exact);
            assert_int_equal(sql_cache_facts(tiny, buf_str(&text), &cached, &exact), e);
            if (e == OK)
                compare(&facts, cached, exact);
            buf_free(&text);
            arena_free(arena);
        }
    sql_cache_free(cache);
    sql_cache_free(tiny);
}

static int analyses;

static enum err
counting(struct str text, const struct sql_context *context, struct arena *arena,
         struct sql_facts *out)
{
    analyses++;
    return sql_analyze(text, context, arena, out);
}

static enum err
ask(struct sql_cache *cache, const char *sql, bool *exact)
{
    const struct sql_facts *facts;

    return sql_cache_facts(cache, str_from(sql), &facts, exact);
}

static void
test_a_statement_seen_before_is_not_analysed_again(void **state)
{
    struct sql_cache *cache = sql_cache_new((size_t)1 << 16, counting);
    bool exact;

    (void)state;
    analyses = 0;
    assert_int_equal(ask(cache, "SELECT * FROM t WHERE a = 1", &exact), OK);
    assert_true(exact);
    assert_int_equal(ask(cache, "SELECT * FROM t WHERE a = 2", &exact), OK);
    assert_false(exact);
    assert_int_equal(analyses, 1);

    /* facts that hang on literals are kept by the exact text only */
    assert_int_equal(ask(cache, "SET search_path = 'a'", &exact), OK);
    assert_int_equal(ask(cache, "SET search_path = 'a'", &exact), OK);
    assert_true(exact);
    assert_int_equal(analyses, 2);
    assert_int_equal(ask(cache, "SET search_path = 'b'", &exact), OK);
    assert_int_equal(analyses, 3);
    assert_int_equal(ask(cache, "SET client_encoding = 'utf8'", &exact), OK);
    assert_int_equal(ask(cache, "SET client_encoding = 'sjis'", &exact), ERR_UNSUPPORTED);
    assert_int_equal(ask(cache, "DELETE FROM t WHERE a LIKE 'x%'", &exact), OK);
    assert_int_equal(ask(cache, "DELETE FROM t WHERE a LIKE '%'", &exact), OK);
    assert_int_equal(analyses, 7);

    /* what is no text is never looked up */
    {
        const struct sql_facts *facts;

        assert_int_equal(
            sql_cache_facts(cache, STR("SELECT * FROM t WHERE a = '\xff'"), &facts, &exact),
            ERR_INVALID);
        assert_int_equal(
            sql_cache_facts(cache, STR("SELECT * FROM t WHERE a = '\0'"), &facts, &exact),
            ERR_INVALID);
    }
    sql_cache_free(cache);
}

static void
test_the_least_recently_used_go_first(void **state)
{
    struct sql_cache *cache = sql_cache_new(8192, counting);
    bool exact;

    (void)state;
    assert_int_equal(ask(cache, "SELECT 1 FROM kept", &exact), OK);
    for (int i = 0; i < 200; i++) {
        char sql[64];

        snprintf(sql, sizeof(sql), "SELECT 1 FROM t%d", i);
        assert_int_equal(ask(cache, sql, &exact), OK);
        analyses = 0;
        assert_int_equal(ask(cache, "SELECT 2 FROM kept", &exact), OK);
        assert_int_equal(analyses, 0);
    }
    assert_int_equal(ask(cache, "SELECT 1 FROM t0", &exact), OK);
    assert_int_equal(analyses, 1);
    sql_cache_free(cache);
}

static int
run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_do_not_count),
        cmocka_unit_test(test_structure_counts),
        cmocka_unit_test(test_equal_keys_mean_equal_facts),
        cmocka_unit_test(test_token_bound_is_never_below_the_scanners_count),
        cmocka_unit_test(test_cached_facts_are_those_of_an_analysis),
        cmocka_unit_test(test_a_statement_seen_before_is_not_analysed_again),
        cmocka_unit_test(test_the_least_recently_used_go_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
    return run_deep(run);
}
