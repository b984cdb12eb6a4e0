/* Rows, COPY data, errors: as the client may see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include "pgpeople.h"
#include "protocol/postgres/errors.h"
#include "protocol/postgres/redact.h"
#include "protocol/postgres/rows.h"

#define BYTES(literal) ((struct str){literal, sizeof(literal) - 1})

enum { INT4 = 23, INT8 = 20, TEXT = 25, NUMERIC = 1700, TEXT_ARRAY = 1009, INET = 869 };

static struct buf block;
static struct shield *shield;
static struct detectors *detectors;

static int
set_up(void **state)
{
    static const struct detect_rule rules[] = {
        {.name = STR_INIT("email")}, {.name = STR_INIT("card")}, {.name = STR_INIT("ipv4")}};

    (void)state;
    block = people_block();
    shield = people_shield(&block);
    return detectors_compile(rules, 3, &detectors) == OK ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    shield_free(shield);
    buf_free(&block);
    detectors_free(detectors);
    return 0;
}

/* What stands around one statement's rows. */
struct bench {
    struct sql_output output;
    struct sql_lineage lineage;
    struct pgview *view;
    struct pgview_part part;
    struct pgrows rows;
    struct buf body, out;
};

static void
open_bench(struct bench *b, struct sql_output output, bool judged)
{
    memset(b, 0, sizeof(*b));
    b->output = output;
    b->lineage = people_lineage(shield, &b->output);
    assert_non_null(b->view = pgview_new(judged ? &b->lineage : NULL));
    b->part = pgview_part(b->view, 0);
    b->body = buf_make(8 << 20);
    b->out = buf_make(16 << 20);
}

static void
close_bench(struct bench *b)
{
    pgview_release(b->view);
    pgrows_free(&b->rows);
    buf_free(&b->body);
    buf_free(&b->out);
}

static const struct sql_output select_people = {
    .kind = SQL_OUTPUT_ROWS, .hides = true, .columns = people_columns, .n = 3};

static void
column(struct bench *b, uint32_t relation, int attribute, uint32_t type, bool binary)
{
    buf_put(&b->body, "c", 2);
    buf_put_u32(&b->body, relation);
    buf_put_u16(&b->body, (uint16_t)attribute);
    buf_put_u32(&b->body, type);
    buf_put_u16(&b->body, 0xffff);
    buf_put_u32(&b->body, UINT32_MAX);
    buf_put_u16(&b->body, binary);
}

static enum err
describe(struct bench *b)
{
    enum err e = pgrows_describe(&b->rows, b->view, &b->part, buf_str(&b->body));

    buf_reset(&b->body);
    return e;
}

static enum err
describe_people(struct bench *b)
{
    buf_put_u16(&b->body, 3);
    column(b, PEOPLE_OID, 1, INT4, false);
    column(b, PEOPLE_OID, 2, TEXT, false);
    column(b, PEOPLE_OID, 3, TEXT, false);
    return describe(b);
}

static void
cell(struct buf *to, struct str value)
{
    buf_put_u32(to, value.ptr == NULL ? UINT32_MAX : (uint32_t)value.len);
    if (value.ptr != NULL)
        buf_put_str(to, value);
}

static void
assert_out(struct bench *b, char type, struct str body)
{
    assert_int_equal(b->out.ptr[0], type);
    assert_int_equal(b->out.len, 5 + body.len);
    assert_int_equal(((unsigned char)b->out.ptr[3] << 8) | (unsigned char)b->out.ptr[4],
                     4 + body.len);
    assert_memory_equal(b->out.ptr + 5, body.ptr, body.len);
}

/* Rows. */

static void
test_a_hidden_cell_is_masked_and_the_others_stay(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, select_people, true);
    assert_int_equal(describe_people(&b), OK);
    assert_true(b.rows.rewrites && b.rows.hides);
    buf_put_u16(&b.body, 3);
    cell(&b.body, STR("1"));
    cell(&b.body, (struct str){NULL, 0});
    cell(&b.body, STR("078-05-1120"));
    assert_int_equal(pgrows_put_row(&b.rows, buf_str(&b.body), &b.out), OK);
    assert_out(&b, 'D', BYTES("\0\3\0\0\0\0011\xff\xff\xff\xff\0\0\0\3***"));
    assert_int_equal(b.rows.masked, 1);
    close_bench(&b);
}

static void
test_a_row_that_is_not_what_was_described_gives_nothing(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, select_people, true);
    assert_int_equal(describe_people(&b), OK);
    buf_put_u16(&b.body, 3);
    for (int i = 0; i < 3; i++)
        cell(&b.body, STR("value"));
    for (size_t n = 0; n < b.body.len; n++) {
        assert_int_equal(pgrows_put_row(&b.rows, (struct str){b.body.ptr, n}, &b.out),
                         ERR_PROTOCOL);
        assert_int_equal(b.out.len, 0);
    }
    buf_put_u8(&b.body, 0);
    assert_int_equal(pgrows_put_row(&b.rows, buf_str(&b.body), &b.out), ERR_PROTOCOL);
    buf_free(&b.out);
    b.out = buf_make(10);
    b.body.len--;
    assert_int_equal(pgrows_put_row(&b.rows, buf_str(&b.body), &b.out), ERR_LIMIT);
    assert_int_equal(buf_ok(&b.out), OK);
    close_bench(&b);
}

static void
test_descriptions_that_contradict_the_lineage(void **state)
{
    static const struct {
        uint32_t relation;
        int attribute;
    } last[] = {{PEOPLE_OID, 2}, {PEOPLE_OID + 1, 3}, {0, 0}};
    struct sql_output open = {.kind = SQL_OUTPUT_ROWS, .open = true};
    struct bench b;

    (void)state;
    open_bench(&b, select_people, true);
    for (size_t i = 0; i < 3; i++) {
        buf_put_u16(&b.body, 3);
        column(&b, PEOPLE_OID, 1, INT4, false);
        column(&b, PEOPLE_OID, 2, TEXT, false);
        column(&b, last[i].relation, last[i].attribute, TEXT, false);
        assert_int_equal(describe(&b), ERR_DENIED);
    }
    for (uint16_t n = 2; n <= 4; n += 2) { /* too few, too many */
        buf_put_u16(&b.body, n);
        for (int i = 1; i <= n; i++)
            column(&b, i > 3 ? 0 : PEOPLE_OID, i > 3 ? 0 : i, TEXT, false);
        assert_int_equal(describe(&b), ERR_DENIED);
    }
    close_bench(&b);
    open_bench(&b, open, true); /* nothing is hidden, yet the server names a protected column */
    buf_put_u16(&b.body, 1);
    column(&b, PEOPLE_OID, 3, TEXT, false);
    assert_int_equal(describe(&b), ERR_DENIED);
    buf_put_u16(&b.body, 1);
    column(&b, 0, 0, TEXT, false);
    assert_int_equal(describe(&b), OK);
    assert_false(b.rows.rewrites);
    close_bench(&b);
    open_bench(&b, (struct sql_output){.kind = SQL_OUTPUT_NONE}, true);
    buf_put_u16(&b.body, 0);
    assert_int_equal(describe(&b), ERR_DENIED);
    close_bench(&b);
}

static void
test_a_description_cut_anywhere_is_none(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, select_people, true);
    buf_put_u16(&b.body, 3);
    for (int i = 1; i <= 3; i++)
        column(&b, PEOPLE_OID, i, TEXT, false);
    for (size_t n = 2; n < b.body.len; n++)
        assert_int_equal(pgrows_describe(&b.rows, b.view, &b.part, (struct str){b.body.ptr, n}),
                         ERR_PROTOCOL);
    close_bench(&b);
}

/* Detectors. */

static void
test_findings_are_overwritten_or_null(void **state)
{
    static const char numeric[] = "\0\4\0\3\0\0\0\0\x10\x0f\x04\x57\x04\x57\x04\x57";
    static const char array[] = "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\7a@b.com";
    static const char hidden[] = "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\7*******";
    uint64_t findings = 0;
    char value[64];

    (void)state;
    memcpy(value, "see a@b.com", 11);
    assert_true(pgredact_cell(detectors, TEXT, false, value, 11, &findings));
    assert_memory_equal(value, "see *******", 11);
    assert_int_equal(findings, 1);
    memcpy(value, "4111111111111111", 16);
    assert_false(pgredact_cell(detectors, INT8, false, value, 16, &findings));
    memcpy(value, "\x00\x0e\x9b\x08\xa5\x68\xf1\xc7", 8); /* 4111111111111111 */
    assert_false(pgredact_cell(detectors, INT8, true, value, 8, &findings));
    memcpy(value, "\0\0\0\0\0\0\0\1", 8);
    assert_true(pgredact_cell(detectors, INT8, true, value, 8, &findings));
    memcpy(value, numeric, 16);
    assert_false(pgredact_cell(detectors, NUMERIC, true, value, 16, &findings));
    memcpy(value, array, sizeof(array) - 1);
    assert_true(pgredact_cell(detectors, TEXT_ARRAY, true, value, sizeof(array) - 1, &findings));
    assert_memory_equal(value, hidden, sizeof(hidden) - 1);
    memcpy(value, "\2\x20\0\4\xc0\xa8\1\1", 8);
    assert_false(pgredact_cell(detectors, INET, true, value, 8, &findings));
}

static void
test_detectors_look_at_every_cell(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, select_people, false);
    b.view->detectors = detectors_hold(detectors);
    assert_int_equal(describe_people(&b), OK);
    buf_put_u16(&b.body, 3);
    cell(&b.body, STR("12"));
    cell(&b.body, STR("x@y.org"));
    cell(&b.body, STR("no"));
    assert_int_equal(pgrows_put_row(&b.rows, buf_str(&b.body), &b.out), OK);
    assert_out(&b, 'D', BYTES("\0\3\0\0\0\00212\0\0\0\7*******\0\0\0\2no"));
    assert_int_equal(b.rows.findings, 1);
    close_bench(&b);
}

/* COPY. */

static const struct sql_output copy_people = {.kind = SQL_OUTPUT_COPY,
                                              .hides = true,
                                              .columns = people_columns,
                                              .n = 3,
                                              .copy = {.delimiter = '\t', .null = STR_INIT("\\N")}};

static void
copy(struct bench *b, struct str data, struct str expected, uint64_t expected_rows)
{
    uint64_t rows;

    buf_reset(&b->out);
    assert_int_equal(pgrows_put_copy(&b->rows, data, &b->out, &rows), OK);
    assert_int_equal(rows, expected_rows);
    assert_out(b, 'd', expected);
}

static void
test_lines_of_copy_are_masked(void **state)
{
    struct sql_output output = copy_people;
    struct bench b;
    uint64_t rows;

    (void)state;
    output.copy.header = true;
    open_bench(&b, output, true);
    assert_int_equal(pgrows_describe_copy(&b.rows, b.view, &b.part, BYTES("\0\0\3\0\0\0\0\0\0")),
                     OK);
    copy(&b, STR("id\tname\tssn\n"), STR("id\tname\tssn\n"), 0);
    copy(&b, STR("1\tx\\ty\t078\n"), STR("1\tx\\ty\t***\n"), 1);
    copy(&b, STR("1\t\\N\t\\N\n"), STR("1\t\\N\t\\N\n"), 1);
    assert_int_equal(pgrows_put_copy(&b.rows, STR("1\tx\n"), &b.out, &rows), ERR_PROTOCOL);
    assert_int_equal(pgrows_put_copy(&b.rows, STR("1\tx\ty\n1\tx\ty\n"), &b.out, &rows),
                     ERR_PROTOCOL);
    close_bench(&b);
}

static void
test_tuples_of_copy_are_masked_wherever_messages_end(void **state)
{
    static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
    static const char tuple[] = "\0\3\0\0\0\4\0\0\0\1\xff\xff\xff\xff\0\0\0\2ab";
    static const char masked[] = "\0\3\0\0\0\4\0\0\0\1\xff\xff\xff\xff\0\0\0\3***";
    struct sql_output output = copy_people;
    struct buf data = buf_make(4096), expected = buf_make(4096);
    struct bench b;
    uint64_t rows;

    (void)state;
    output.copy_binary = true;
    open_bench(&b, output, true);
    assert_int_equal(pgrows_describe_copy(&b.rows, b.view, &b.part, BYTES("\1\0\3\0\1\0\1\0\1")),
                     OK);
    buf_put(&data, header, sizeof(header) - 1);
    buf_put(&expected, header, sizeof(header) - 1);
    for (int i = 0; i < 2; i++) {
        buf_put(&data, tuple, sizeof(tuple) - 1);
        buf_put(&expected, masked, sizeof(masked) - 1);
    }
    copy(&b, buf_str(&data), buf_str(&expected), 2);
    copy(&b, BYTES(tuple), BYTES(masked), 1);
    copy(&b, BYTES("\xff\xff"), BYTES("\xff\xff"), 0);
    assert_int_equal(pgrows_put_copy(&b.rows, BYTES(tuple), &b.out, &rows), ERR_PROTOCOL);
    close_bench(&b);
    buf_free(&data);
    buf_free(&expected);
}

static void
test_copy_of_another_kind_is_a_contradiction(void **state)
{
    struct bench b;

    (void)state;
    open_bench(&b, copy_people, true);
    assert_int_equal(pgrows_describe_copy(&b.rows, b.view, &b.part, BYTES("\1\0\3\0\1\0\1\0\1")),
                     ERR_DENIED);
    assert_int_equal(pgrows_describe_copy(&b.rows, b.view, &b.part, BYTES("\0\0\2\0\0\0\0")),
                     ERR_DENIED);
    assert_int_equal(describe_people(&b), ERR_DENIED);
    close_bench(&b);
}

/* Errors. */

static const char error_body[] = "SERROR\0VERROR\0C22P02\0Minvalid input: \"secret\"\0Dsecret\0"
                                 "Hsecret\0P12\0qsecret\0Wsecret\0tpeople\0cssn\0nkey\0Fsecret\0";

static void
test_errors_keep_names_and_lose_data(void **state)
{
    struct buf out = buf_make(4096);

    (void)state;
    for (size_t n = 0; n <= sizeof(error_body); n++) { /* cut anywhere */
        buf_reset(&out);
        pgerrors_put_sanitised('E', (struct str){error_body, n}, &out);
        assert_int_equal(buf_ok(&out), OK);
        assert_null(memmem(out.ptr, out.len, "secret", 6));
    }
    assert_non_null(memmem(out.ptr, out.len, "C22P02", 7));
    assert_non_null(memmem(out.ptr, out.len, "Minvalid text representation (details", 37));
    assert_non_null(memmem(out.ptr, out.len, "tpeople\0cssn\0nkey", 18));
    assert_non_null(memmem(out.ptr, out.len, "P12", 4));
    buf_free(&out);
}

static void
test_conditions_are_found(void **state)
{
    (void)state;
    assert_true(str_is(pgerrors_condition(STR("23505")), "unique violation"));
    assert_true(str_is(pgerrors_condition(STR("03000")), "sql statement not yet complete"));
    assert_true(str_is(pgerrors_condition(STR("XX002")), "index corrupted"));
    assert_int_equal(pgerrors_condition(STR("ZZZZZ")).len, 0);
    assert_int_equal(pgerrors_condition(STR("")).len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_hidden_cell_is_masked_and_the_others_stay),
        cmocka_unit_test(test_a_row_that_is_not_what_was_described_gives_nothing),
        cmocka_unit_test(test_descriptions_that_contradict_the_lineage),
        cmocka_unit_test(test_a_description_cut_anywhere_is_none),
        cmocka_unit_test(test_findings_are_overwritten_or_null),
        cmocka_unit_test(test_detectors_look_at_every_cell),
        cmocka_unit_test(test_lines_of_copy_are_masked),
        cmocka_unit_test(test_tuples_of_copy_are_masked_wherever_messages_end),
        cmocka_unit_test(test_copy_of_another_kind_is_a_contradiction),
        cmocka_unit_test(test_errors_keep_names_and_lose_data),
        cmocka_unit_test(test_conditions_are_found),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
