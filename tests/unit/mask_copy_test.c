#include "mask_check.h"

static const struct mask_plan pass = {.shape = MASK_SHAPE_PASS};
static const struct mask_plan text = {.shape = MASK_SHAPE_VALUE, .type = OID_TEXT, .rule = &redact};
static const struct mask_plan tail = {.shape = MASK_SHAPE_VALUE, .type = OID_TEXT, .rule = &keep4};
static const struct mask_plan number = {
    .shape = MASK_SHAPE_VALUE, .type = OID_INT4, .rule = &redact};

static const struct mask_copy text_format = {.delimiter = '\t', .null = STR_INIT("\\N")};
static const struct mask_copy csv_format = {
    .csv = true, .delimiter = ',', .quote = '"', .escape = '"'};

struct copy_case {
    const char *in, *out; /* NULL: refused */
};

static void
check_row(const struct mask_copy *format, const struct mask_plan *plans, size_t n, struct str in,
          const char *expected)
{
    struct buf out = buf_make(1 << 16);
    enum err e;

    buf_put_text(&out, "before");
    e = mask_copy_row(format, plans, n, mask_key, in, &out);
    if (e != (expected == NULL ? ERR_PROTOCOL : OK) ||
        !str_is(str_skip(buf_str(&out), 6), expected == NULL ? "" : expected)) {
        print_bytes("in      ", in);
        print_bytes("expected", str_from(expected == NULL ? "an error" : expected));
        print_bytes("got     ", str_skip(buf_str(&out), 6));
        assert_true(false);
    }
    buf_free(&out);
}

static void
check_rows(const struct mask_copy *format, const struct mask_plan *plans, size_t n,
           const struct copy_case *cases, size_t n_cases)
{
    for (size_t i = 0; i < n_cases; i++)
        check_row(format, plans, n, str_from(cases[i].in), cases[i].out);
}

static void
test_fields_of_text_rows(void **state)
{
    static const struct copy_case cases[] = {
        {"1\talice\tx\n", "1\t***\tx\n"},
        {"1\t\\N\tx\n", "1\t\\N\tx\n"},
        {"\\N\t\\N\t\\N\n", "\\N\t\\N\t\\N\n"},
        {"\t\t\n", "\t***\t\n"},
        {"a\\tb\\\\\tali\\tce\\n\\\\\tx\\N\n", "a\\tb\\\\\t***\tx\\N\n"},
        {"1\talice\tx", NULL},
        {"1\talice\n", NULL},
        {"1\talice\tx\ty\n", NULL},
        {"1\talice\nx\ty\n", NULL},
        {"1\tali\\ce\tx\n", NULL},
        {"1\talice\\\tx\n", NULL},
        {"1\talice\tx\\\n", NULL},
        {"1\talice\\\n", NULL},
        {"\n", NULL},
        {"", NULL},
    };
    const struct mask_plan plans[] = {pass, text, pass};

    (void)state;
    check_rows(&text_format, plans, 3, cases, COUNT(cases));
}

static void
test_text_fields_are_masked_without_their_escapes(void **state)
{
    static const struct copy_case cases[] = {
        {"x\\b\\f\\n\\r\n", "*\\b\\f\\n\\r\n"},
        {"xy\\t\\v\\\\z\n", "**\\t\\v\\\\z\n"},
        {"\\\\N\n", "**\n"},
        {"\\\\\\\\\\\\\\\\\\\\\n", "*\\\\\\\\\\\\\\\\\n"},
    };
    static const struct copy_case bars[] = {{"1\\|2\\||x\n", NULL}, {"1\\|2\\|3\n", "*\\|2\\|3\n"}};
    static const struct mask_copy bar = {.delimiter = '|', .null = STR_INIT("")};

    (void)state;
    check_rows(&text_format, &tail, 1, cases, COUNT(cases));
    check_rows(&bar, &tail, 1, bars, COUNT(bars));
    check_row(&bar, &text, 1, STR("\n"), "\n"); /* NULL */
}

static void
test_a_text_for_null_that_ends_in_an_escape_is_refused(void **state)
{
    static const struct mask_copy odd = {.delimiter = '|', .null = STR_INIT("x\\")};
    static const struct mask_copy even = {.delimiter = '|', .null = STR_INIT("x\\\\")};
    const struct mask_plan plans[] = {text, text};

    (void)state;
    check_row(&odd, plans, 2, STR("a|b\n"), NULL);
    check_row(&even, plans, 2, STR("x\\\\|b\n"), "x\\\\|***\n");
}

static void
test_fields_of_csv_rows(void **state)
{
    static const struct copy_case cases[] = {
        {"1,alice,x\n", "1,***,x\n"},
        {"1,,x\n", "1,,x\n"},
        {"1,\"\",x\n", "1,\"***\",x\n"},
        {"\"a,\"\"b\",\"al,ice\",\"\n\"\n", "\"a,\"\"b\",\"***\",\"\n\"\n"},
        {"1,\"alice\nbob\",x\n", "1,\"***\",x\n"},
        {"\\N,\\N,\\N\n", "\\N,***,\\N\n"},
        {"1,alice,x", NULL},
        {"1,alice\n", NULL},
        {"1,alice,x,y\n", NULL},
        {"1,\"alice,x\n", NULL},
        {"1,\"alice\"b,x\n", NULL},
        {"1,al\"ice,x\n", NULL},
        {"1,al\rice,x\n", NULL},
        {"1,alice,x\n2,bob,y\n", NULL},
        {"\n", NULL},
        {"", NULL},
    };
    const struct mask_plan plans[] = {pass, text, pass};

    (void)state;
    check_rows(&csv_format, plans, 3, cases, COUNT(cases));
}

static void
test_csv_fields_are_masked_without_their_quotes(void **state)
{
    static const struct copy_case cases[] = {
        {"\"x\"\"\"\"a,\"\n", "\"*\"\"\"\"a,\"\n"},
        {"\"12345\"\n", "\"*2345\"\n"}, /* FORCE_QUOTE */
        {"\"\"\"\"\n", "\"*\"\n"},
    };
    static const struct copy_case others[] = {
        {"'x\\'\\\\1;'\n", "'*\\'\\\\1;'\n"},
        {"x\\1234\n", "**1234\n"},
        {"123\\456\n", "***\\456\n"},
        {"NULL\n", "NULL\n"},
        {"'NULL'\n", "'****'\n"},
        {"'x\\y'\n", NULL},
        {"'x\\\n", NULL},
        {"'x\\'\n", NULL},
    };
    static const struct mask_copy other = {
        .csv = true, .delimiter = ';', .quote = '\'', .escape = '\\', .null = STR_INIT("NULL")};

    (void)state;
    check_rows(&csv_format, &tail, 1, cases, COUNT(cases));
    check_rows(&other, &tail, 1, others, COUNT(others));
}

static void
test_csv_masks_are_quoted_when_they_must_be(void **state)
{
    static const char *const cases[][2] = {
        {"", "\"\"\n"},         {"a,b", "\"a,b\"\n"},     {"a\nb", "\"a\nb\"\n"},
        {"a\rb", "\"a\rb\"\n"}, {"a\"b", "\"a\"\"b\"\n"}, {"\\.", "\"\\.\"\n"},
        {"a b", "a b\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mask_rule rule = {.kind = MASK_FIXED, .fixed = str_from(cases[i][0])};
        struct mask_plan plan = {.shape = MASK_SHAPE_VALUE, .type = OID_TEXT, .rule = &rule};

        check_row(&csv_format, &plan, 1, STR("x\n"), cases[i][1]);
    }
}

static void
test_what_has_no_mask_becomes_null_in_each_format(void **state)
{
    static const struct mask_copy dash = {.delimiter = '\t', .null = STR_INIT("-")};

    (void)state;
    check_row(&text_format, &number, 1, STR("7\n"), "\\N\n");
    check_row(&dash, &number, 1, STR("7\n"), "-\n");
    check_row(&csv_format, &number, 1, STR("7\n"), "\n");
    check_row(&csv_format, &number, 1, STR("\"7\"\n"), "\n");
}

static void
test_documents_and_arrays_in_rows(void **state)
{
    static const struct str keys[] = {STR_INIT("a")};
    static const struct mask_path path = {keys, 1, &redact};
    const struct mask_plan plans[] = {
        {.shape = MASK_SHAPE_JSON, .type = OID_JSONB, .paths = &path, .n_paths = 1},
        {.shape = MASK_SHAPE_ARRAY, .element = &tail},
    };

    (void)state;
    check_row(&csv_format, plans, 2,
              STR("\"{\"\"a\"\":\"\"secret\"\",\"\"b\"\":1}\",\"{12345,\"\"1 3,5\"\"}\"\n"),
              "\"{\"\"a\"\":\"\"***\"\",\"\"b\"\":1}\",\"{*2345,\"\"* 3,5\"\"}\"\n");
    check_row(&text_format, plans, 2, STR("{\"a\":\"sec\\\\nret\",\"b\":1}\t{12345,\"1\\t3,5\"}\n"),
              "{\"a\":\"***\",\"b\":1}\t{*2345,\"*\\t3,5\"}\n");
}

static void
test_rows_of_no_columns(void **state)
{
    (void)state;
    check_row(&text_format, NULL, 0, STR("\n"), "\n");
    check_row(&csv_format, NULL, 0, STR("\n"), "\n");
    check_row(&text_format, NULL, 0, STR("secret\n"), NULL);
}

static void
test_a_field_longer_than_a_value_may_be_is_null_unless_it_passes(void **state)
{
    struct buf row = buf_make((size_t)16 << 20), out = buf_make((size_t)16 << 20);
    const struct mask_plan plans[] = {text, pass, text};

    (void)state;
    for (int i = 0; i < 3; i++) {
        size_t end = row.len + MASK_VALUE_MAX + 4;

        if (i < 2) {
            buf_put_text(&row, "\"\"\"");
            while (row.len < end)
                buf_put_u8(&row, 'x');
            buf_put_text(&row, "\",");
        }
    }
    buf_put_text(&row, "x\n");
    assert_int_equal(mask_copy_row(&csv_format, plans, 3, mask_key, buf_str(&row), &out), OK);
    assert_true(str_starts(buf_str(&out), STR(",\"\"\"xxx")));
    assert_true(str_is(str_skip(buf_str(&out), out.len - 5), ",***\n"));
    buf_free(&row);
    buf_free(&out);
}

static void
check_tuple(const struct mask_plan *plans, size_t n, struct str in, struct str expected)
{
    struct buf out = buf_make(1 << 16);
    enum err e = mask_copy_tuple(plans, n, mask_key, in, &out);

    assert_int_equal(e, expected.ptr == NULL ? ERR_PROTOCOL : OK);
    assert_true(str_equal(buf_str(&out), expected.ptr == NULL ? STR("") : expected));
    buf_free(&out);
}

static void
test_binary_tuples(void **state)
{
    static const struct str malformed[] = {
        STR_INIT(""),
        STR_INIT("\0"),
        STR_INIT("\xff\xff"),
        STR_INIT("\0\x02\0\0\0\x01x\xff\xff\xff\xff"),
        STR_INIT("\0\x03\0\0\0\x01x\xff\xff\xff\xff"),
        STR_INIT("\0\x03\0\0\0\x01x\xff\xff\xff\xff\0\0\0\x02x"),
        STR_INIT("\0\x03\0\0\0\x01x\xff\xff\xff\xff\0\0\0\x01xy"),
        STR_INIT("\0\x03\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
        STR_INIT("\0\x03\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    };
    const struct mask_plan plans[] = {text, number, pass};

    (void)state;
    check_tuple(plans, 3, STR("\0\x03\0\0\0\x06secret\0\0\0\x04\0\0\0\x07\0\0\0\x01x"),
                STR("\0\x03\0\0\0\x03***\xff\xff\xff\xff\0\0\0\x01x"));
    check_tuple(plans, 3, STR("\0\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                STR("\0\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
    check_tuple(plans, 0, STR("\0\0"), STR("\0\0"));
    for (size_t i = 0; i < COUNT(malformed); i++)
        check_tuple(plans, 3, malformed[i], (struct str){NULL, 0});
}

static void
test_a_full_buffer_ends_a_row_and_a_tuple(void **state)
{
    struct buf out = buf_make(3);

    (void)state;
    assert_int_equal(mask_copy_row(&text_format, &text, 1, mask_key, STR("x\n"), &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_reset(&out);
    assert_int_equal(mask_copy_tuple(&text, 1, mask_key, STR("\0\x01\0\0\0\x01x"), &out),
                     ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_of_text_rows),
        cmocka_unit_test(test_text_fields_are_masked_without_their_escapes),
        cmocka_unit_test(test_a_text_for_null_that_ends_in_an_escape_is_refused),
        cmocka_unit_test(test_fields_of_csv_rows),
        cmocka_unit_test(test_csv_fields_are_masked_without_their_quotes),
        cmocka_unit_test(test_csv_masks_are_quoted_when_they_must_be),
        cmocka_unit_test(test_what_has_no_mask_becomes_null_in_each_format),
        cmocka_unit_test(test_documents_and_arrays_in_rows),
        cmocka_unit_test(test_rows_of_no_columns),
        cmocka_unit_test(test_a_field_longer_than_a_value_may_be_is_null_unless_it_passes),
        cmocka_unit_test(test_binary_tuples),
        cmocka_unit_test(test_a_full_buffer_ends_a_row_and_a_tuple),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
