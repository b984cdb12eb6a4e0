#include "sql/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "command/purpose.h"
#include "sql_deep.h"
#include "sql_render.h"

static const struct facts_case {
    const char *sql;
    const char *demands;
    bool depends;
} cases[] = {
#include "sql_cases.inc"
};

static void
render(struct str sql, struct buf *out, bool *depends)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    struct sql_facts facts;
    enum err e;

    assert_non_null(arena);
    *depends = false;
    e = sql_analyze(sql, NULL, arena, &facts);
    if (e != OK) {
        buf_printf(out, "!%s", err_name(e));
        assert_string_not_equal(err_text(), "");
    } else {
        render_demands(facts.demands, facts.n_demands, out);
        *depends = facts.depends_on_literals;
    }
    buf_put_u8(out, 0);
    arena_free(arena);
}

static void
test_each_statement_has_its_demands(void **state)
{
    int wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out = buf_make(1 << 16);
        bool depends;

        render(str_from(cases[i].sql), &out, &depends);
        if (strcmp(out.ptr, cases[i].demands) != 0 || depends != cases[i].depends) {
            print_error("%s\n  expected %s (%d)\n  got      %s (%d)\n", cases[i].sql,
                        cases[i].demands, cases[i].depends, out.ptr, depends);
            wrong++;
        }
        buf_free(&out);
    }
    assert_int_equal(wrong, 0);
}

static void
test_every_demand_has_exactly_one_effect(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new((size_t)16 << 20);
        struct sql_facts facts;

        if (sql_analyze(str_from(cases[i].sql), NULL, arena, &facts) == OK) {
            assert_true(facts.n_demands > 0);
            for (size_t k = 0; k < facts.n_demands; k++) {
                const struct demand *d = &facts.demands[k];

                assert_int_equal(__builtin_popcountll(d->classes & CLASS_EFFECTS_MASK), 1);
                assert_int_equal(d->name.len == 0, d->kind == OBJECT_NONE);
            }
        }
        arena_free(arena);
    }
}

static struct sql_facts
analyze(struct arena *arena, const char *sql)
{
    struct sql_facts facts;

    assert_int_equal(sql_analyze(str_from(sql), NULL, arena, &facts), OK);
    return facts;
}

#define assert_str(s, text) assert_true(str_is((s), (text)))

static void
test_kinds_names_and_texts_of_statements(void **state)
{
    static const struct {
        const char *sql;
        enum sql_kind kind;
        const char *name;
        const char *text;
    } kinds[] = {
        {"SELECT 1", SQL_OTHER, "", "SELECT 1"},
        {" ; ", SQL_EMPTY, "", " ; "},
        {"BEGIN", SQL_BEGIN, "", "BEGIN"},
        {"END", SQL_COMMIT, "", "END"},
        {"COMMIT AND CHAIN", SQL_COMMIT, "", "COMMIT AND CHAIN"},
        {"ABORT", SQL_ROLLBACK, "", "ABORT"},
        {"SAVEPOINT a", SQL_SAVEPOINT, "", "SAVEPOINT a"},
        {"ROLLBACK TO a", SQL_ROLLBACK_TO, "", "ROLLBACK TO a"},
        {"RELEASE a", SQL_RELEASE, "", "RELEASE a"},
        {"PREPARE Foo AS SELECT 1", SQL_PREPARE, "foo", "SELECT 1"},
        {"PREPARE \"as\" (numeric(1,2), int) /* as */ AS\n SELECT 'as'", SQL_PREPARE, "as",
         "SELECT 'as'"},
        {"EXECUTE \"Foo\"(1)", SQL_EXECUTE, "Foo", "EXECUTE \"Foo\"(1)"},
        {"EXPLAIN ANALYZE EXECUTE foo", SQL_EXECUTE, "foo", "EXPLAIN ANALYZE EXECUTE foo"},
        {"CREATE TABLE t AS EXECUTE foo", SQL_EXECUTE, "foo", "CREATE TABLE t AS EXECUTE foo"},
        {"DEALLOCATE foo", SQL_DEALLOCATE, "foo", "DEALLOCATE foo"},
        {"DEALLOCATE ALL", SQL_DEALLOCATE, "", "DEALLOCATE ALL"},
        {"DISCARD ALL", SQL_DISCARD_ALL, "", "DISCARD ALL"},
        {"DISCARD PLANS", SQL_OTHER, "", "DISCARD PLANS"},
        {"COPY t FROM STDIN", SQL_COPY_IN, "", "COPY t FROM STDIN"},
        {"COPY t TO STDOUT", SQL_COPY_OUT, "", "COPY t TO STDOUT"},
        {"COPY t FROM '/x'", SQL_OTHER, "", "COPY t FROM '/x'"},
        {"SET work_mem = 1", SQL_SET, "work_mem", "SET work_mem = 1"},
        {"RESET ALL", SQL_SET, "", "RESET ALL"},
        {"FETCH 2 FROM c", SQL_FETCH, "c", "FETCH 2 FROM c"},
        {"MOVE ALL IN c", SQL_FETCH, "c", "MOVE ALL IN c"},
        {"CLOSE c", SQL_CLOSE, "c", "CLOSE c"},
        {"DECLARE c CURSOR FOR SELECT 1", SQL_DECLARE, "c", "DECLARE c CURSOR FOR SELECT 1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct arena *arena = arena_new((size_t)1 << 20);
        struct sql_facts facts = analyze(arena, kinds[i].sql);

        assert_int_equal(facts.n_statements, 1);
        assert_int_equal(facts.statements[0].kind, kinds[i].kind);
        assert_str(facts.statements[0].name, kinds[i].name);
        assert_str(facts.statements[0].text, kinds[i].text);
        arena_free(arena);
    }
}

static void
test_a_string_of_statements_is_told_apart_and_summed_up(void **state)
{
    struct arena *arena = arena_new((size_t)1 << 20);
    struct sql_facts f = analyze(arena, "BEGIN; SELECT 'ä;' FROM t ; DELETE FROM t; COMMIT;");

    (void)state;
    assert_int_equal(f.n_statements, 4);
    assert_str(f.statements[1].text, "SELECT 'ä;' FROM t");
    assert_str(f.statements[2].text, "DELETE FROM t");
    assert_int_equal(f.statements[3].kind, SQL_COMMIT);
    assert_int_equal(f.statements[1].n_demands, 1);
    assert_int_equal(f.n_demands, 3);
    arena_free(arena);
}

static enum err
analyze_bytes(struct str text)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct sql_facts facts;
    enum err e = sql_analyze(text, NULL, arena, &facts);

    arena_free(arena);
    return e;
}

/* `head`, then `n` times `part`, then `tail`. */
static enum err
analyze_repeated(const char *head, const char *part, size_t n, const char *tail)
{
    struct buf sql = buf_make((size_t)8 << 20);
    enum err e;

    buf_put_text(&sql, head);
    for (size_t i = 0; i < n; i++)
        buf_put_text(&sql, part);
    buf_put_text(&sql, tail);
    assert_int_equal(buf_ok(&sql), OK);
    e = analyze_bytes(buf_str(&sql));
    buf_free(&sql);
    return e;
}

static void
test_what_is_too_large_is_refused(void **state)
{
    (void)state;
    assert_int_equal(analyze_repeated("SELECT 1", "+1", 50000, ""), ERR_LIMIT);
    assert_int_equal(analyze_repeated("/* ", "x", 2 << 20, " */ DROP TABLE t"), ERR_LIMIT);
    assert_int_equal(analyze_repeated("", "SELECT 1;", 1001, ""), ERR_LIMIT);
    assert_int_equal(analyze_repeated("SELECT ", "(", 20000, ""), ERR_PROTOCOL);
    assert_int_equal(analyze_repeated("SELECT * FROM t WHERE a IN (1", ",'x'", 40000, ")"),
                     ERR_LIMIT);
}

static void
test_what_is_large_but_within_limits_is_analysed(void **state)
{
    (void)state;
    assert_int_equal(analyze_repeated("SELECT 1", "+1", 15000, ""), OK);
    assert_int_equal(analyze_repeated("/* ", "x", 900000, " */ DROP TABLE t"), OK);
    assert_int_equal(analyze_repeated("SELECT '", "a b, ", 200000, "'"), OK);
    assert_int_equal(analyze_repeated("", "SELECT 1;", 1000, ""), OK);
    assert_int_equal(analyze_repeated("SELECT ", "(SELECT ", 800, "1"), ERR_PROTOCOL);
    assert_int_equal(analyze_repeated("SELECT ", "NOT ", 8000, "true"), OK);
}

static void
test_too_many_objects_are_refused(void **state)
{
    struct buf sql = buf_make((size_t)1 << 20);

    (void)state;
    buf_put_text(&sql, "SELECT 1 FROM t");
    for (int i = 0; i < COMMAND_DEMANDS_MAX + 1; i++)
        buf_printf(&sql, ",t%d", i);
    assert_int_equal(analyze_bytes(buf_str(&sql)), ERR_LIMIT);
    buf_free(&sql);
}

/* Each CTE reads the one before twelve times: followed plainly that is 12^14 queries. */
static void
test_ctes_that_multiply_are_analysed_soon(void **state)
{
    struct buf sql = buf_make((size_t)1 << 16);
    int64_t begin_ms = clock_monotonic_ms();

    (void)state;
    buf_put_text(&sql, "WITH c0 AS (SELECT 1 AS x)");
    for (int i = 1; i < 15; i++) {
        buf_printf(&sql, ", c%d AS (SELECT 1 AS x FROM c%d a0", i, i - 1);
        for (int j = 1; j < 12; j++)
            buf_printf(&sql, ", c%d a%d", i - 1, j);
        buf_put_text(&sql, ")");
    }
    buf_put_text(&sql, " UPDATE t SET a = 1 FROM c14 WHERE t.id = c14.x");
    assert_int_equal(analyze_bytes(buf_str(&sql)), OK);
    assert_true(clock_monotonic_ms() - begin_ms < 5000);
    buf_free(&sql);
}

static void
test_bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    assert_int_equal(analyze_bytes(STR("SELECT 1\0; DROP TABLE t")), ERR_INVALID);
    assert_int_equal(analyze_bytes(STR("SELECT '\xff'")), ERR_INVALID);
    assert_int_equal(analyze_bytes(STR("SELECT '\xbf\x5c'")), ERR_INVALID);
}

static void
test_a_syntax_error_is_told_in_the_servers_words_with_its_position(void **state)
{
    struct str message,
        limits[] = {STR_INIT(""), STR_INIT(")"), STR_INIT("x (at character )"),
                    STR_INIT("(at character 5)"), STR_INIT("x (at character 99999999999)")};

    (void)state;
    assert_int_equal(analyze_bytes(STR("SELECT '\xc3\xa4' FROM WHERE")), ERR_PROTOCOL);
    assert_int_equal(sql_error_position(str_from(err_text()), &message), 17);
    assert_true(str_is(message, "syntax error at or near \"WHERE\""));
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        assert_int_equal(sql_error_position(limits[i], &message), 0);
        assert_true(str_equal(message, limits[i]));
    }
}

static void
test_what_a_string_makes_of_the_purpose(void **state)
{
    static const struct {
        const char *sql;
        enum sql_purpose_change change;
        const char *value;
    } strings[] = {
        {"SELECT 1", SQL_PURPOSE_KEPT, ""},
        {"SET bulkhead.purpose = 'fix #7'", SQL_PURPOSE_SET, "fix #7"},
        {"set BULKHEAD.Purpose to why", SQL_PURPOSE_SET, "why"},
        {"SET \"Bulkhead\".\"PURPOSE\" = 'it''s'", SQL_PURPOSE_SET, "it's"},
        {"SET SESSION bulkhead.purpose = E'a\\u00e9'", SQL_PURPOSE_SET, "a\xc3\xa9"},
        {"SET LOCAL bulkhead.purpose = 'now'", SQL_PURPOSE_SET_LOCAL, "now"},
        {"SET bulkhead.purpose = ''", SQL_PURPOSE_SET, ""},
        {"RESET bulkhead.purpose", SQL_PURPOSE_RESET, ""},
        {"SET bulkhead.purpose TO DEFAULT", SQL_PURPOSE_RESET, ""},
        {"RESET ALL", SQL_PURPOSE_RESET, ""},
        {"DISCARD ALL", SQL_PURPOSE_RESET, ""},
        {"DISCARD PLANS", SQL_PURPOSE_KEPT, ""},
        {"RESET bulkhead.other", SQL_PURPOSE_KEPT, ""},
        {"SET bulkhead.purposes = 'x'", SQL_PURPOSE_KEPT, ""},
        {"SELECT set_config('bulkhead.purpose', 'why', false)", SQL_PURPOSE_SET, "why"},
        {"SELECT pg_catalog.set_config('Bulkhead.Purpose', 'why', true)", SQL_PURPOSE_SET_LOCAL,
         "why"},
        {"SET bulkhead.purpose = 'a'; SELECT 1; SET bulkhead.purpose = 'b'", SQL_PURPOSE_SET, "b"},
        {"SET bulkhead.purpose = 'a'; SELECT 1; RESET bulkhead.purpose", SQL_PURPOSE_RESET, "a"},
        {"PREPARE p AS SELECT set_config('bulkhead.purpose', 'why', false)", SQL_PURPOSE_KEPT, ""},
        {"EXPLAIN SELECT set_config('bulkhead.purpose', 'why', false)", SQL_PURPOSE_KEPT, ""},
        {"EXPLAIN ANALYZE SELECT set_config('bulkhead.purpose', 'w', false)", SQL_PURPOSE_SET, "w"},
        {"DECLARE c CURSOR FOR SELECT set_config('bulkhead.purpose', 'why', false)",
         SQL_PURPOSE_KEPT, ""},
        {"ALTER ROLE a SET bulkhead.purpose = 'why'", SQL_PURPOSE_KEPT, ""},
    };
    static const char *const mistakes[] = {
        "SET bulkhead.purpose = 'a', 'b'",
        "SET bulkhead.purpose = 7",
        "SELECT set_config('bulkhead.purpose', $1, false)",
        "SELECT set_config('bulkhead.purpose', a || b, false) FROM t",
        "SET bulkhead.purpose = E'a\\nb'",
        "SET bulkhead.purpose = E'a\\u202eb'",
        "SET bulkhead.purpose = E'a\\u0085b'",
    };
    struct arena *arena = arena_new((size_t)16 << 20);
    char text[1200];

    (void)state;
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        struct sql_facts facts = analyze(arena, strings[i].sql);

        if (facts.purpose.change != strings[i].change ||
            !str_is(facts.purpose.value, strings[i].value) || facts.purpose.mistake != NULL)
            fail_msg("%s: %d \"%.*s\"", strings[i].sql, (int)facts.purpose.change,
                     STR_ARG(facts.purpose.value));
        /* another literal would have other facts */
        assert_true(facts.purpose.value.len == 0 || facts.depends_on_literals);
    }
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        if (analyze(arena, mistakes[i]).purpose.mistake == NULL)
            fail_msg("%s is no mistake", mistakes[i]);
    snprintf(text, sizeof(text), "SET bulkhead.purpose = '%0*d'", PURPOSE_BYTES_MAX, 0);
    assert_null(analyze(arena, text).purpose.mistake);
    snprintf(text, sizeof(text), "SET bulkhead.purpose = '%0*d'", PURPOSE_BYTES_MAX + 1, 0);
    assert_non_null(analyze(arena, text).purpose.mistake);
    arena_free(arena);
}

static void
test_a_comment_before_a_statement_states_its_purpose(void **state)
{
    static const struct {
        const char *sql;
        const char *purpose; /* NULL: it is not fit */
    } strings[] = {
        {"", ""},
        {"SELECT 1", ""},
        {"/* purpose: fix #7 */ SELECT 1", "fix #7"},
        {"  -- Purpose:  fix it  \n SELECT 1", "fix it"},
        {"--purpose:x", "x"},
        {"/*PURPOSE:x*/", "x"},
        {"/* a */ -- b\n /* purpose: c */ /* purpose: d */ SELECT 1", "c"},
        {"/* purpose: a /* b */ c */ SELECT 1", "a /* b */ c"},
        {"/* purposes: x */ SELECT 1", ""},
        {"/* the purpose: x */ SELECT 1", ""},
        {"/* purpose: */ SELECT 1", ""},
        {"/* purpose: never ends", ""},
        {"SELECT 1 /* purpose: too late */", ""},
        {"; /* purpose: too late */ SELECT 1", ""},
        {"- /* purpose: x */", ""},
        {"/ /* purpose: x */", ""},
        {"/* purpose: two\nlines */ SELECT 1", NULL},
        {"/* purpose: \xe2\x80\xae */ SELECT 1", NULL},
    };
    struct str purpose;

    (void)state;
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        enum err e = sql_commented_purpose(str_from(strings[i].sql), &purpose);

        if (e != (strings[i].purpose == NULL ? ERR_INVALID : OK) ||
            !str_is(purpose, strings[i].purpose == NULL ? "" : strings[i].purpose))
            fail_msg("%s: \"%.*s\"", strings[i].sql, STR_ARG(purpose));
        for (size_t cut = 0; cut < strlen(strings[i].sql); cut++)
            if (sql_commented_purpose((struct str){strings[i].sql, cut}, &purpose) == OK)
                assert_true(purpose.len <= cut);
    }
}

static int
run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_statement_has_its_demands),
        cmocka_unit_test(test_every_demand_has_exactly_one_effect),
        cmocka_unit_test(test_kinds_names_and_texts_of_statements),
        cmocka_unit_test(test_a_string_of_statements_is_told_apart_and_summed_up),
        cmocka_unit_test(test_what_is_too_large_is_refused),
        cmocka_unit_test(test_what_is_large_but_within_limits_is_analysed),
        cmocka_unit_test(test_too_many_objects_are_refused),
        cmocka_unit_test(test_ctes_that_multiply_are_analysed_soon),
        cmocka_unit_test(test_bytes_that_are_no_text_are_refused),
        cmocka_unit_test(test_what_a_string_makes_of_the_purpose),
        cmocka_unit_test(test_a_comment_before_a_statement_states_its_purpose),
        cmocka_unit_test(test_a_syntax_error_is_told_in_the_servers_words_with_its_position),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int
main(void)
{
    return run_deep(run);
}
