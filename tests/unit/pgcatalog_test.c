/* What the server answers to the queries for its catalog, and what makes it ask again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#undef fail

#include "protocol/postgres/catalog.h"
#include "protocol/postgres/statement.h"

static void
put_row(struct buf *out, const char *const *fields, size_t n)
{
    struct buf body = buf_make(4096);

    buf_put_u16(&body, (uint16_t)n);
    for (size_t i = 0; i < n; i++)
        if (fields[i] == NULL) {
            buf_put_u32(&body, UINT32_MAX);
        } else {
            buf_put_u32(&body, (uint32_t)strlen(fields[i]));
            buf_put_text(&body, fields[i]);
        }
    pgwire_put_plain(out, 'D', buf_str(&body));
    buf_free(&body);
}

#define ROW(out, ...)                                                                              \
    put_row((out), (const char *const[]){__VA_ARGS__},                                             \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void
put_end(struct buf *out)
{
    pgwire_put_plain(out, 'C', STR("SELECT 1\0"));
    pgwire_put_ready(out, PGWIRE_IN_TRANSACTION);
}

/* The answer to query `i`, with whatever else a server may say. */
static void
put_answer(struct buf *out, int i)
{
    pgwire_put_plain(out, 'S', STR("TimeZone\0UTC\0"));
    pgwire_put_plain(out, 'T', STR("\0\0"));
    if (i == 0)
        ROW(out, "5", "-77");
    if (i == 1)
        ROW(out, "11", "pg_catalog");
    if (i == 5)
        ROW(out, "20", "11", "int8", "0", "0", "0", "b", ",");
    pgwire_put_plain(out, 'N', STR("SNOTICE\0C00000\0Mhello\0\0"));
    put_end(out);
}

/* Gives the feed `bytes` as they would come: first `cut` of them, then all. */
static enum err
feed_in_two(struct pgcatalog_feed *f, struct str bytes, size_t cut)
{
    size_t at = 0, end = cut, used, needed;
    bool ready = false;
    enum err e = OK;

    while (e == OK && !ready) {
        struct str part = {bytes.ptr + at, end - at};

        e = pgcatalog_feed_bytes(f, part, &used, &needed, &ready);
        assert_true(used <= part.len);
        at += used;
        if (!ready && e == OK) {
            assert_true(needed > part.len - used);
            assert_true(end < bytes.len);
            end = bytes.len;
        }
    }
    if (e == OK)
        assert_int_equal(at, bytes.len);
    return e;
}

static void
test_answers_split_at_every_byte_give_the_same_catalog(void **state)
{
    struct buf whole = buf_make(1 << 20), other = buf_make(1 << 20);

    (void)state;
    for (size_t cut = 0;; cut++) {
        struct buf *out = cut == 0 ? &whole : &other;
        struct pgcatalog_feed f;
        bool is_over = true;

        assert_int_equal(pgcatalog_feed_make(&f), OK);
        for (int i = PGCATALOG_NO_ROWS; i < CATALOG_QUERIES; i++) {
            struct buf answer = buf_make(4096);

            put_answer(&answer, i);
            pgcatalog_feed_begin(&f, i);
            if (cut < answer.len)
                is_over = false;
            assert_int_equal(feed_in_two(&f, buf_str(&answer), cut < answer.len ? cut : answer.len),
                             OK);
            buf_free(&answer);
        }
        buf_reset(out);
        assert_int_equal(pgcatalog_feed_end(&f, out), OK);
        pgcatalog_feed_free(&f);
        assert_true(str_equal(buf_str(out), buf_str(&whole)));
        if (is_over)
            break;
    }
    buf_free(&whole);
    buf_free(&other);
}

static enum err
feed(int query, struct buf *answer)
{
    struct pgcatalog_feed f;
    size_t used, needed;
    bool ready;
    enum err e;

    assert_int_equal(pgcatalog_feed_make(&f), OK);
    pgcatalog_feed_begin(&f, query);
    e = pgcatalog_feed_bytes(&f, buf_str(answer), &used, &needed, &ready);
    pgcatalog_feed_free(&f);
    buf_free(answer);
    return e;
}

static void
test_an_error_of_the_server_is_told_when_its_answer_ends(void **state)
{
    struct buf answer = buf_make(4096);
    struct pgcatalog_feed f;
    size_t used, needed;
    bool ready;

    (void)state;
    pgwire_put_plain(&answer, 'E', STR("SERROR\0VERROR\0C55P03\0Mcanceling\0\0"));
    assert_int_equal(pgcatalog_feed_make(&f), OK);
    pgcatalog_feed_begin(&f, 2);
    assert_int_equal(pgcatalog_feed_bytes(&f, buf_str(&answer), &used, &needed, &ready), OK);
    assert_false(ready);
    buf_reset(&answer);
    pgwire_put_ready(&answer, PGWIRE_FAILED);
    assert_int_equal(pgcatalog_feed_bytes(&f, buf_str(&answer), &used, &needed, &ready),
                     ERR_UNAVAILABLE);
    assert_true(ready);
    assert_non_null(strstr(err_text(), "canceling (SQLSTATE 55P03)"));
    pgcatalog_feed_free(&f);
    buf_free(&answer);
}

static void
test_what_answers_no_query_is_refused(void **state)
{
    static const struct {
        int query;
        char type;
        struct str body;
    } all[] = {
        {PGCATALOG_NO_ROWS, 'D', STR_INIT("\0\0")},  /* rows of a statement that has none */
        {1, 'D', STR_INIT("\0\1\0\0\0\1x")},         /* fewer values than were asked for */
        {1, 'D', STR_INIT("\0\2\0\0\0\1x")},         /* cut off */
        {1, 'D', STR_INIT("\0\1\377\377\377\376x")}, /* a length beyond the message */
        {1, 'D', STR_INIT("\0\21\0\0\0\0\0\0\0\0")}, /* more values than any query has */
        {1, 'D', STR_INIT("\0\0x")},                 /* bytes behind the row */
        {1, 'G', STR_INIT("\0\0\0")},                /* COPY */
        {1, 'H', STR_INIT("\0\0\0")},
        {1, 'I', STR_INIT("")},
        {1, '1', STR_INIT("")},
        {1, 'Z', STR_INIT("X")},
        {1, 'q', STR_INIT("")},
        {1, 'S', STR_INIT("client_encoding\0LATIN1\0")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct buf answer = buf_make(4096);

        pgwire_put_plain(&answer, all[i].type, all[i].body);
        assert_int_not_equal(feed(all[i].query, &answer), OK);
    }
}

static void
test_bytes_after_the_end_of_an_answer_are_left(void **state)
{
    struct buf answer = buf_make(4096);
    struct pgcatalog_feed f;
    size_t used, needed, len;
    bool ready;

    (void)state;
    pgwire_put_ready(&answer, PGWIRE_IDLE);
    len = answer.len;
    buf_put_text(&answer, "rest");
    assert_int_equal(pgcatalog_feed_make(&f), OK);
    assert_int_equal(pgcatalog_feed_bytes(&f, buf_str(&answer), &used, &needed, &ready), OK);
    assert_true(ready);
    assert_int_equal(used, len);
    pgcatalog_feed_free(&f);
    buf_free(&answer);
}

static void
test_too_large_a_message_is_refused_by_its_header(void **state)
{
    struct buf answer = buf_make(4096);

    (void)state;
    buf_put_u8(&answer, 'D');
    buf_put_u32(&answer, PGCATALOG_MESSAGE_MAX + 5);
    assert_int_equal(feed(1, &answer), ERR_LIMIT);
}

static bool
asks_for_the_path_after(const char *sql)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    struct pgfacts_summary summary;
    struct sql_facts facts;

    assert_int_equal(sql_analyze(str_from(sql), NULL, arena, &facts), OK);
    pgfacts_summarise(&facts, &summary);
    arena_free(arena);
    return summary.changes_path;
}

static void
test_the_path_is_asked_for_after_what_may_have_set_it(void **state)
{
    (void)state;
    assert_false(asks_for_the_path_after("SELECT id FROM t"));
    assert_false(asks_for_the_path_after("DECLARE c CURSOR FOR SELECT id FROM t"));
    assert_true(asks_for_the_path_after("SET search_path = x"));
    assert_true(asks_for_the_path_after("SELECT set_config('search_path', 'x', false)"));
    /* Prepared or declared before: … AS SELECT set_config(…). */
    assert_true(asks_for_the_path_after("EXECUTE p"));
    assert_true(asks_for_the_path_after("FETCH ALL FROM c"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_split_at_every_byte_give_the_same_catalog),
        cmocka_unit_test(test_an_error_of_the_server_is_told_when_its_answer_ends),
        cmocka_unit_test(test_what_answers_no_query_is_refused),
        cmocka_unit_test(test_bytes_after_the_end_of_an_answer_are_left),
        cmocka_unit_test(test_too_large_a_message_is_refused_by_its_header),
        cmocka_unit_test(test_the_path_is_asked_for_after_what_may_have_set_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
