#include "mask_check.h"

#include "base/arena.h"

static struct mask_plan
plan_of(uint32_t type, const struct mask_rule *rule)
{
    return (struct mask_plan){.shape = MASK_SHAPE_VALUE, .type = type, .rule = rule};
}

static void
check_both(uint32_t type, const struct mask_rule *rule, const char *in, const char *expected)
{
    struct mask_plan plan = plan_of(type, rule);
    struct str bytes = expected == NULL ? (struct str){NULL, 0} : str_from(expected);

    check_bytes(&plan, false, str_from(in), bytes);
    check_bytes(&plan, true, str_from(in), bytes);
}

/* Texts */

static void
test_each_mask_of_a_text_is_the_same_in_both_formats(void **state)
{
    static const uint32_t types[] = {OID_TEXT, OID_VARCHAR, OID_BPCHAR, OID_NAME, OID_UNKNOWN};
    static const struct mask_rule fixed = {.kind = MASK_FIXED, .fixed = STR_INIT("hidden")};

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        check_both(types[i], &redact, "alice", "***");
        check_both(types[i], &redact, "", "***");
        check_both(types[i], &to_null, "alice", NULL);
        check_both(types[i], &keep4, "4111111111111111", "************1111");
        check_both(types[i], &hash, "alice", "433deb45467e4e53dbaba594c88bc3a2");
        check_both(types[i], &email, "jane.roe@example.com", "j***@***.com");
        check_both(types[i], &fixed, "alice", "hidden");
    }
}

static void
test_partial_counts_characters_and_hides_short_values_whole(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"1", "*"},
        {"1234", "****"},
        {"12345", "*2345"},
        {"äöü€", "****"},
        {"xäöü€", "*äöü€"},
        {"😀😀😀😀😀", "*😀😀😀😀"},
        {"abc\xff"
         "1234",
         "********"}, /* no UTF-8: characters cannot be told */
        {"ab\xc3", "***"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_both(OID_TEXT, &keep4, cases[i].in, cases[i].out);
}

static void
test_a_partial_mask_that_keeps_too_much_keeps_nothing(void **state)
{
    const struct mask_rule rule = {.kind = MASK_PARTIAL, .keep = MASK_KEEP_MAX + 1};
    char in[101], out[101];

    (void)state;
    memset(in, 'x', 100);
    memset(out, '*', 100);
    in[100] = out[100] = '\0';
    check_both(OID_TEXT, &rule, in, out);
}

static void
test_email_masks_addresses_and_redacts_all_else(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"j@x.io", "j***@***.io"},
        {"O'Neil+tag@mail.example.co.uk", "O***@***.uk"},
        {"éva@example.fr", "é***@***.fr"},
        {"9@a.bc", "9***@***.bc"},
        {"", "***"},
        {"@example.com", "***"},
        {"jane", "***"},
        {"jane@", "***"},
        {"jane@example", "***"},
        {"jane@.com", "***"},
        {"jane@example..com", "***"},
        {"jane@example.c", "***"},
        {"jane@example.123456789", "***"},
        {"jane@example.abcdefghijklmnopqrstuvwxyz", "***"},
        {"jane@roe@example.com", "***"},
        {"\"jane\"@example.com", "***"},
        {" jane@example.com", "***"},
        {"jane@example.com ", "***"},
        {"jane@exa mple.com", "***"},
        {"jane@example.com\n", "***"},
        {"Jane <jane@example.com>", "***"},
        {"\xff@example.com", "***"},
        {"jane@example.рф", "***"},
    };
    char lengthy[300];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_both(OID_TEXT, &email, cases[i].in, cases[i].out);
    memset(lengthy, 'x', sizeof(lengthy));
    memcpy(lengthy + sizeof(lengthy) - 9, "@long.com", 9);
    lengthy[sizeof(lengthy) - 1] = '\0';
    check_both(OID_TEXT, &email, lengthy, "***");
}

static void
test_blanks_that_fill_up_char_n_are_no_part_of_the_value(void **state)
{
    (void)state;
    check_both(OID_BPCHAR, &keep4, "123456    ", "**3456");
    check_both(OID_BPCHAR, &hash, "alice     ", "433deb45467e4e53dbaba594c88bc3a2");
    check_both(OID_BPCHAR, &email, "j@x.io    ", "j***@***.io");
}

static void
test_a_name_is_cut_between_characters(void **state)
{
    static const struct mask_rule fixed = {
        .kind = MASK_FIXED,
        .fixed = STR_INIT("a123456789b123456789c123456789d123456789e123456789f123456789xyé")};

    (void)state;
    check_both(OID_NAME, &fixed, "n",
               "a123456789b123456789c123456789d123456789e123456789f123456789xy");
}

/* Types whose values are not any text */

static void
test_a_mask_that_is_no_value_of_the_type_is_null(void **state)
{
    static const uint32_t types[] = {
        0,          OID_BOOL, OID_CHAR,    OID_INT2, OID_INT4, OID_INT8, OID_OID, OID_FLOAT4,
        OID_FLOAT8, OID_DATE, OID_NUMERIC, 600,      650,      774,      790,     829,
        869,        1083,     1114,        1184,     1186,     1266,     1560,    1562,
        2205,       2950,     3614,        3904,     1009,     1007,     16385,   UINT32_MAX,
    };
    static const struct mask_rule *rules[] = {&redact, &to_null, &keep4, &email};

    (void)state;
    for (size_t i = 0; i < COUNT(types); i++)
        for (size_t k = 0; k < COUNT(rules); k++)
            check_both(types[i], rules[k], "1234567", NULL);
    for (size_t i = 0; i < COUNT(types); i++)
        check_both(types[i], &hash, "1234567", NULL);
}

static void
test_a_fixed_text_is_written_where_it_is_a_value_of_the_type(void **state)
{
    static const struct {
        uint32_t type;
        const char *fixed, *text;
        struct str binary; /* empty: NULL */
    } cases[] = {
        {OID_INT2, "-32768", "-32768", STR_INIT("\x80\x00")},
        {OID_INT2, "32768", NULL, STR_INIT("")},
        {OID_INT4, "7", "7", STR_INIT("\0\0\0\x07")},
        {OID_INT4, "-1", "-1", STR_INIT("\xff\xff\xff\xff")},
        {OID_INT4, "-0", "0", STR_INIT("\0\0\0\0")},
        {OID_INT4, "2147483648", NULL, STR_INIT("")},
        {OID_INT4, "1 ", NULL, STR_INIT("")},
        {OID_INT4, "", NULL, STR_INIT("")},
        {OID_INT4, "-", NULL, STR_INIT("")},
        {OID_INT8, "-9223372036854775808", "-9223372036854775808", STR_INIT("\x80\0\0\0\0\0\0\0")},
        {OID_INT8, "9223372036854775808", NULL, STR_INIT("")},
        {OID_OID, "4294967295", "4294967295", STR_INIT("\xff\xff\xff\xff")},
        {OID_OID, "-1", NULL, STR_INIT("")},
        {OID_FLOAT4, "1.5", "1.5", STR_INIT("\x3f\xc0\0\0")},
        {OID_FLOAT4, "1e39", NULL, STR_INIT("")},
        {OID_FLOAT8, "-1e3", "-1e3", STR_INIT("\xc0\x8f\x40\0\0\0\0\0")},
        {OID_FLOAT8, "1e999", NULL, STR_INIT("")},
        {OID_FLOAT8, "nan", NULL, STR_INIT("")},
        {OID_FLOAT8, "0x10", NULL, STR_INIT("")},
        {OID_NUMERIC, "0.00", "0.00", STR_INIT("")},
        {OID_NUMERIC, "1e5", NULL, STR_INIT("")},
        {OID_NUMERIC, ".5", NULL, STR_INIT("")},
        {OID_BOOL, "true", "t", STR_INIT("\x01")},
        {OID_BOOL, "f", "f", STR_INIT("\0")},
        {OID_BOOL, "maybe", NULL, STR_INIT("")},
        {OID_DATE, "2000-01-01", "2000-01-01", STR_INIT("\0\0\0\0")},
        {OID_DATE, "1999-12-31", "1999-12-31", STR_INIT("\xff\xff\xff\xff")},
        {OID_DATE, "2024-02-29", "2024-02-29", STR_INIT("\0\0\x22\x79")},
        {OID_DATE, "1900-01-01", "1900-01-01", STR_INIT("\xff\xff\x71\x54")},
        {OID_DATE, "2023-02-29", NULL, STR_INIT("")},
        {OID_DATE, "2023-13-01", NULL, STR_INIT("")},
        {OID_DATE, "0000-01-01", NULL, STR_INIT("")},
        {OID_DATE, "yesterday", NULL, STR_INIT("")},
        {OID_UUID, "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233-4455-6677-8899-aabbccddeeff",
         STR_INIT("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")},
        {OID_UUID, "00112233-4455-6677-8899-aabbccddeef", NULL, STR_INIT("")},
        {OID_UUID, "00112233044550667708899-aabbccddeeff", NULL, STR_INIT("")},
        {OID_CHAR, "x", "x", STR_INIT("")},
        {OID_CHAR, "xy", NULL, STR_INIT("")},
        {1186, "1 day", NULL, STR_INIT("")},
        {0, "x", NULL, STR_INIT("")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mask_rule rule = {.kind = MASK_FIXED, .fixed = str_from(cases[i].fixed)};
        struct mask_plan plan = plan_of(cases[i].type, &rule);

        check_text(&plan, "1234567", cases[i].text);
        check_bytes(&plan, true, STR("1234567"),
                    cases[i].binary.len == 0 ? (struct str){NULL, 0} : cases[i].binary);
    }
}

static void
test_a_hashed_uuid_is_a_uuid_and_the_same_in_both_formats(void **state)
{
    struct mask_plan plan = plan_of(OID_UUID, &hash);

    (void)state;
    check_text(&plan, "00112233-4455-6677-8899-aabbccddeeff",
               "b2818b74-b5e7-8dca-9335-6044908cce06");
    CHECK_BINARY(&plan, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
                 "\xb2\x81\x8b\x74\xb5\xe7\x8d\xca\x93\x35\x60\x44\x90\x8c\xce\x06");
    check_text(&plan, "00112233-4455-6677-8899-aabbccddee", NULL);
    CHECK_BINARY_NULL(&plan, "\x00\x11");
}

static void
test_bytea_takes_bytes(void **state)
{
    static const struct mask_rule fixed = {.kind = MASK_FIXED, .fixed = STR_INIT("\\x")};
    struct mask_plan hashed = plan_of(OID_BYTEA, &hash), plan = plan_of(OID_BYTEA, &redact);

    (void)state;
    check_text(&plan, "\\x0102", "\\x2a2a2a");
    CHECK_BINARY(&plan, "\x01\x02", "***");
    plan.rule = &keep4;
    check_text(&plan, "\\x010203040506", "\\x2a2a2a");
    CHECK_BINARY(&plan, "123456", "***");
    plan.rule = &fixed;
    check_text(&plan, "\\x0102", "\\x5c78");
    CHECK_BINARY(&plan, "\x01\x02", "\\x");
    plan.rule = &to_null;
    check_text(&plan, "\\x0102", NULL);
    check_text(&hashed, "\\x01ff5c", "\\x362a9a45b0995ab04e27d1b73359d161");
    check_text(&hashed, "\\001\\377\\\\", "\\x362a9a45b0995ab04e27d1b73359d161");
    CHECK_BINARY(&hashed, "\x01\xff\\",
                 "\x36\x2a\x9a\x45\xb0\x99\x5a\xb0\x4e\x27\xd1\xb7\x33\x59\xd1\x61");
    check_text(&hashed, "\\x01f", NULL);
    check_text(&hashed, "\\01", NULL);
    check_text(&hashed, "\\", NULL);
    check_text(&hashed, "\\400", NULL);
}

static void
test_xml_takes_a_mask_without_markup(void **state)
{
    static const struct mask_rule markup = {.kind = MASK_FIXED, .fixed = STR_INIT("<x>")};
    static const struct mask_rule plain = {.kind = MASK_FIXED, .fixed = STR_INIT("a b")};

    (void)state;
    check_both(OID_XML, &redact, "<a>secret</a>", "***");
    check_both(OID_XML, &keep4, "<a>secret</a>", NULL);
    check_both(OID_XML, &markup, "<a>secret</a>", NULL);
    check_both(OID_XML, &plain, "<a>secret</a>", "a b");
    check_both(OID_XML, &hash, "alice", "433deb45467e4e53dbaba594c88bc3a2");
    check_both(OID_XML, &hash, "<?xml version=\"1.0\" encoding=\"UTF8\"?>alice",
               "433deb45467e4e53dbaba594c88bc3a2");
}

/* Any value */

static void
test_pass_leaves_any_value_as_it_is(void **state)
{
    static const struct mask_plan pass = {.shape = MASK_SHAPE_PASS};

    (void)state;
    check_text(&pass, "anything", "anything");
    check_text(&pass, "", "");
    CHECK_BINARY(&pass, "\0\xff", "\0\xff");
}

static void
test_a_value_that_is_too_long_is_null(void **state)
{
    struct mask_plan plan = plan_of(OID_TEXT, &redact);
    char *big = malloc(MASK_VALUE_MAX + 1);

    (void)state;
    assert_non_null(big);
    memset(big, 'x', MASK_VALUE_MAX + 1);
    check_bytes(&plan, false, (struct str){big, MASK_VALUE_MAX}, STR("***"));
    check_bytes(&plan, false, (struct str){big, MASK_VALUE_MAX + 1}, (struct str){NULL, 0});
    free(big);
}

static void
test_a_plan_without_what_its_shape_needs_gives_null(void **state)
{
    static const enum mask_shape shapes[] = {MASK_SHAPE_VALUE, MASK_SHAPE_ARRAY, MASK_SHAPE_ROW,
                                             MASK_SHAPE_JSON};
    static const struct mask_rule no_kind = {.kind = MASK_KIND_COUNT};
    struct mask_plan plan = plan_of(OID_TEXT, &no_kind);

    (void)state;
    check_text(&plan, "secret", NULL);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        plan = (struct mask_plan){.shape = shapes[i], .type = OID_TEXT};
        check_text(&plan, "{\"secret\":1}", NULL);
        check_text(&plan, "{secret}", NULL);
        check_text(&plan, "(secret)", NULL);
    }
}

static void
test_a_full_buffer_is_an_error_and_keeps_what_it_had(void **state)
{
    struct mask_plan plan = plan_of(OID_TEXT, &redact);
    struct buf out = buf_make(4);
    bool null;

    (void)state;
    buf_put_text(&out, "ab");
    assert_int_equal(mask_value(&plan, mask_key, false, STR("x"), &out, &null), ERR_LIMIT);
    assert_int_equal(out.len, 2);
    buf_free(&out);
}

static void
test_plans_inside_plans_are_followed_to_a_depth(void **state)
{
    struct mask_plan plans[MASK_DEPTH_MAX + 1];
    const char in[] = "{\"{x}\"}";

    (void)state;
    plans[0] = plan_of(OID_TEXT, &redact);
    for (size_t i = 1; i < COUNT(plans); i++)
        plans[i] =
            (struct mask_plan){.shape = MASK_SHAPE_ROW, .fields = &plans[i - 1], .n_fields = 1};
    plans[1] = (struct mask_plan){.shape = MASK_SHAPE_ARRAY, .element = &plans[0]};
    plans[2] = (struct mask_plan){.shape = MASK_SHAPE_ARRAY, .element = &plans[1]};
    check_text(&plans[2], in, "{\"{***}\"}");
    for (size_t depth = 1; depth < COUNT(plans); depth++) { /* binary rows, one in another */
        struct buf nested = buf_make(1 << 16);
        bool null;
        struct buf out = buf_make(1 << 16);

        for (size_t i = depth; i > 0; i--) {
            buf_put_u32(&nested, 1);
            buf_put_u32(&nested, 0);
            buf_put_u32(&nested, (uint32_t)(12 * (i - 1) + 6));
        }
        buf_put_text(&nested, "secret");
        for (size_t i = 1; i < COUNT(plans); i++)
            plans[i] =
                (struct mask_plan){.shape = MASK_SHAPE_ROW, .fields = &plans[i - 1], .n_fields = 1};
        assert_int_equal(mask_value(&plans[depth], mask_key, true, buf_str(&nested), &out, &null),
                         OK);
        assert_null(memmem(out.ptr, out.len, "secret", 6));
        assert_false(null);
        assert_int_equal(memmem(out.ptr, out.len, "***", 3) != NULL, depth < MASK_DEPTH_MAX);
        buf_free(&nested);
        buf_free(&out);
    }
}

/* Arrays */

static void
test_text_arrays(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"{}", "{}"},
        {"{a}", "{***}"},
        {"{a,b,c}", "{***,***,***}"},
        {"{NULL,a,null}", "{NULL,***,null}"},
        {"{\"NULL\",\"\"}", "{***,***}"},
        {"{\"a,b\",\"c}d\",\"e\\\"f\\\\g\"}", "{***,***,***}"},
        {"{{a,b},{c,d}}", "{{***,***},{***,***}}"},
        {"{{{a}},{{b}}}", "{{{***}},{{***}}}"},
        {"[0:1]={a,b}", "[0:1]={***,***}"},
        {"[-1:0][2:3]={{a,b},{c,d}}", "[-1:0][2:3]={{***,***},{***,***}}"},
        {"", NULL},
        {"a", NULL},
        {"{", NULL},
        {"{a", NULL},
        {"{a,", NULL},
        {"{a,}", NULL},
        {"{,a}", NULL},
        {"{a}b", NULL},
        {"{a}}", NULL},
        {"{a},{b}", NULL},
        {"{{a,b},c}", NULL},
        {"{a,{b}}", NULL},
        {"{{}}", NULL},
        {"{\"a}", NULL},
        {"{\"a\\", NULL},
        {"{\"a\"b}", NULL},
        {"{a\"b\"}", NULL},
        {"{a\\b}", NULL},
        {"{ a }", NULL},
        {"[0:1]", NULL},
        {"[0:1]=", NULL},
        {"[0:1={a}", NULL},
        {"[secret]={a}", NULL},
        {"[4111111111111111:1]={a}", NULL},
        {"[0:1][0:1][0:1][0:1][0:1][0:1][0:1]={a}", NULL},
        {"{{{{{{{a}}}}}}}", NULL},
        {"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{", NULL},
    };
    const struct mask_plan element = plan_of(OID_TEXT, &redact);
    const struct mask_plan plan = {
        .shape = MASK_SHAPE_ARRAY, .element = &element, .delimiter = ','};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_text(&plan, cases[i].in, cases[i].out);
}

static void
test_elements_are_quoted_when_they_must_be(void **state)
{
    static const char *const cases[][2] = {
        {"", "{\"\"}"},       {"null", "{\"null\"}"}, {"a b", "{\"a b\"}"},
        {"a,b", "{\"a,b\"}"}, {"a;b", "{a;b}"},       {"a\"b\\", "{\"a\\\"b\\\\\"}"},
        {"{x}", "{\"{x}\"}"}, {"é", "{é}"},           {"\t", "{\"\t\"}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mask_rule rule = {.kind = MASK_FIXED, .fixed = str_from(cases[i][0])};
        struct mask_plan element = plan_of(OID_TEXT, &rule);
        struct mask_plan plan = {.shape = MASK_SHAPE_ARRAY, .element = &element, .delimiter = ','};

        check_text(&plan, "{x}", cases[i][1]);
    }
}

static void
test_elements_are_masked_without_their_quotes_and_escapes(void **state)
{
    const struct mask_plan element = plan_of(OID_TEXT, &keep4);
    struct mask_plan plan = {.shape = MASK_SHAPE_ARRAY, .element = &element, .delimiter = ','};

    (void)state;
    check_text(&plan, "{\"12 \\\"\\\\5\",123456}", "{\"** \\\"\\\\5\",**3456}");
    plan.delimiter = ';';
    check_text(&plan, "{12345;\"1;345\"}", "{*2345;\"*;345\"}");
    check_text(&plan, "{12,345}", "{**,345}");
}

static void
test_elements_that_have_no_mask_are_null(void **state)
{
    const struct mask_plan element = plan_of(OID_INT4, &redact);
    const struct mask_plan plan = {.shape = MASK_SHAPE_ARRAY, .element = &element};

    (void)state;
    check_text(&plan, "{{1,2},{3,NULL}}", "{{NULL,NULL},{NULL,NULL}}");
    CHECK_BINARY(&plan,
                 "\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x02\0\0\0\x01"
                 "\0\0\0\x04\0\0\0\x07\0\0\0\x04\0\0\0\x08",
                 "\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01"
                 "\xff\xff\xff\xff\xff\xff\xff\xff");
}

#define HEAD_1(flags, n) "\0\0\0\x01\0\0\0" flags "\0\0\0\x19\0\0\0" n "\0\0\0\x01"

static void
test_binary_arrays(void **state)
{
    const struct mask_plan element = plan_of(OID_TEXT, &redact);
    const struct mask_plan plan = {
        .shape = MASK_SHAPE_ARRAY, .element = &element, .delimiter = ','};

    (void)state;
    CHECK_BINARY(&plan, "\0\0\0\0\0\0\0\0\0\0\0\x19", "\0\0\0\0\0\0\0\0\0\0\0\x19");
    CHECK_BINARY(&plan, HEAD_1("\0", "\x01") "\0\0\0\x06secret",
                 HEAD_1("\0", "\x01") "\0\0\0\x03***");
    CHECK_BINARY(&plan, HEAD_1("\x01", "\x02") "\xff\xff\xff\xff\0\0\0\0",
                 HEAD_1("\x01", "\x02") "\xff\xff\xff\xff\0\0\0\x03***");
    CHECK_BINARY_NULL(&plan, "");
    CHECK_BINARY_NULL(&plan, "\0\0\0\0\0\0\0\0\0\0\0");
    CHECK_BINARY_NULL(&plan, "\0\0\0\0\0\0\0\0\0\0\0\x19secret");
    CHECK_BINARY_NULL(&plan, HEAD_1("\x02", "\x01") "\0\0\0\x01x");
    CHECK_BINARY_NULL(&plan, HEAD_1("\0", "\x02") "\0\0\0\x01x");
    CHECK_BINARY_NULL(&plan, HEAD_1("\0", "\x01") "\0\0\0\x07secret");
    CHECK_BINARY_NULL(&plan, HEAD_1("\0", "\x01") "\0\0\0\x05secret");
    CHECK_BINARY_NULL(&plan, HEAD_1("\0", "\x01") "\xff\xff\xff\xfesecret");
    CHECK_BINARY_NULL(&plan, "\0\0\0\x07\0\0\0\0\0\0\0\x19");
    CHECK_BINARY_NULL(&plan, "\xff\xff\xff\xff\0\0\0\0\0\0\0\x19");
    CHECK_BINARY_NULL(&plan, "\0\0\0\x01\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\0\0\0\x01");
    /* 65536 * 65536 elements */
    CHECK_BINARY_NULL(&plan,
                      "\0\0\0\x02\0\0\0\0\0\0\0\x19\0\x01\0\0\0\0\0\x01\0\x01\0\0\0\0\0\x01");
}

/* Rows */

static void
test_text_rows(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"(1,alice,x)", "(1,***,x)"},
        {"(,,)", "(,,)"},
        {"(1,\"\",)", "(1,***,)"},
        {"(\"a\"\"b\\\\\",\"se,cret)\",\"\")", "(\"a\"\"b\\\\\",***,\"\")"},
        {"(1,alice,x", NULL},
        {"1,alice,x)", NULL},
        {"(1,alice)", NULL},
        {"(1,alice,x,y)", NULL},
        {"(1,alice,x)y", NULL},
        {"(1,\"alice,x)", NULL},
        {"(1,\"alice\"b,x)", NULL},
        {"(1,al\"ice\",x)", NULL},
        {"(1,al\\ice,x)", NULL},
        {"(1,al ice,x)", NULL},
        {"(1,(alice),x)", NULL},
        {"(1,\"alice\\", NULL},
        {"(", NULL},
        {"()", NULL},
        {"", NULL},
    };
    const struct mask_plan fields[] = {
        {.shape = MASK_SHAPE_PASS}, plan_of(OID_TEXT, &redact), {.shape = MASK_SHAPE_PASS}};
    const struct mask_plan plan = {.shape = MASK_SHAPE_ROW, .fields = fields, .n_fields = 3};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_text(&plan, cases[i].in, cases[i].out);
}

static void
test_fields_are_quoted_when_they_must_be(void **state)
{
    static const char *const cases[][2] = {
        {"", "(\"\")"},     {"a b", "(\"a b\")"},           {"a,b", "(\"a,b\")"},
        {"a(", "(\"a(\")"}, {"a\"b\\", "(\"a\"\"b\\\\\")"}, {"null", "(null)"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mask_rule rule = {.kind = MASK_FIXED, .fixed = str_from(cases[i][0])};
        struct mask_plan field = plan_of(OID_TEXT, &rule);
        struct mask_plan plan = {.shape = MASK_SHAPE_ROW, .fields = &field, .n_fields = 1};

        check_text(&plan, "(x)", cases[i][1]);
        check_text(&plan, "()", "()"); /* NULL */
    }
}

static void
test_rows_of_no_fields(void **state)
{
    const struct mask_plan plan = {.shape = MASK_SHAPE_ROW};

    (void)state;
    check_text(&plan, "()", "()");
    check_text(&plan, "(a)", NULL);
    CHECK_BINARY(&plan, "\0\0\0\0", "\0\0\0\0");
    CHECK_BINARY_NULL(&plan, "\0\0\0\0x");
}

static void
test_binary_rows(void **state)
{
    const struct mask_plan fields[] = {
        plan_of(OID_TEXT, &redact), plan_of(OID_INT4, &redact), {.shape = MASK_SHAPE_PASS}};
    const struct mask_plan plan = {.shape = MASK_SHAPE_ROW, .fields = fields, .n_fields = 3};

    (void)state;
    CHECK_BINARY(&plan,
                 "\0\0\0\x03\0\0\0\x19\0\0\0\x06secret\0\0\0\x17\0\0\0\x04\0\0\0\x07"
                 "\0\0\0\x15\0\0\0\x02\0\x09",
                 "\0\0\0\x03\0\0\0\x19\0\0\0\x03***\0\0\0\x17\xff\xff\xff\xff"
                 "\0\0\0\x15\0\0\0\x02\0\x09");
    CHECK_BINARY_NULL(&plan, "\0\0\0\x02\0\0\0\x19\0\0\0\x01x\0\0\0\x17\xff\xff\xff\xff");
    CHECK_BINARY_NULL(&plan, "\0\0\0\x03\0\0\0\x19\0\0\0\x01x\0\0\0\x17\xff\xff\xff\xff");
    CHECK_BINARY_NULL(&plan, "\0\0\0\x03\0\0\0\x19\x7f\xff\xff\xffx");
    CHECK_BINARY_NULL(&plan, "\xff\xff\xff\xff");
    CHECK_BINARY_NULL(&plan, "");
}

static void
test_arrays_of_rows_of_arrays(void **state)
{
    const struct mask_plan text = plan_of(OID_TEXT, &keep4);
    const struct mask_plan fields[] = {{.shape = MASK_SHAPE_PASS},
                                       {.shape = MASK_SHAPE_ARRAY, .element = &text}};
    const struct mask_plan row = {.shape = MASK_SHAPE_ROW, .fields = fields, .n_fields = 2};
    const struct mask_plan plan = {.shape = MASK_SHAPE_ARRAY, .element = &row, .delimiter = ','};

    (void)state;
    check_text(&plan, "{\"(1,\\\"{123456,\\\"\\\"12 456\\\"\\\"}\\\")\",\"(2,)\"}",
               "{\"(1,\\\"{**3456,\\\"\\\"** 456\\\"\\\"}\\\")\",\"(2,)\"}");
}

/* The wire form */

static const struct str path[] = {STR_INIT("contact"), STR_INIT("email")};
static const struct protect_rule protect[] = {
    {.schema = STR_INIT("public"),
     .table = STR_INIT("c*"),
     .column = STR_INIT("ssn"),
     .mask = {.kind = MASK_PARTIAL, .keep = 4},
     .lookup = true},
    {.schema = STR_INIT(""),
     .table = STR_INIT("t"),
     .column = STR_INIT("doc"),
     .path = path,
     .n_path = 2,
     .mask = {.kind = MASK_FIXED, .fixed = STR_INIT("x")},
     .write = true},
    {.table = STR_INIT("t"), .mask = {.kind = MASK_EMAIL}},
};
static const struct detect_rule detect[] = {
    {.name = STR_INIT("email")}, {.name = STR_INIT("staff"), .pattern = STR_INIT("S-[0-9]{6}")}};
static const struct protection sample = {
    .protect = protect, .n_protect = 3, .detect = detect, .n_detect = 2, .key = {1, 2, 3}};

static void
test_a_protection_survives_its_wire_form(void **state)
{
    struct buf wire = buf_make(1 << 16), again = buf_make(1 << 16);
    struct arena *arena = arena_new(1 << 20);
    struct protection p;

    (void)state;
    assert_int_equal(protection_encode(&sample, &wire), OK);
    assert_int_equal(protection_decode(buf_str(&wire), arena, &p), OK);
    assert_int_equal(protection_encode(&p, &again), OK);
    assert_true(str_equal(buf_str(&wire), buf_str(&again)));
    memset(wire.ptr, 0xaa, wire.len); /* what was decoded does not need it */
    assert_int_equal(p.n_protect, 3);
    assert_int_equal(p.n_detect, 2);
    assert_memory_equal(p.key, sample.key, MASK_KEY_BYTES);
    assert_true(str_is(p.protect[0].table, "c*") && p.protect[0].lookup && !p.protect[0].write);
    assert_int_equal(p.protect[0].mask.keep, 4);
    assert_true(str_is(p.protect[1].path[1], "email") && p.protect[1].write);
    assert_true(str_is(p.protect[1].mask.fixed, "x"));
    assert_true(str_is(p.detect[1].pattern, "S-[0-9]{6}"));
    arena_free(arena);
    buf_free(&wire);
    buf_free(&again);
}

static void
test_a_wire_form_with_any_byte_missing_or_more_is_refused(void **state)
{
    struct buf wire = buf_make(1 << 16);
    struct arena *arena = arena_new(1 << 20);
    struct protection p;

    (void)state;
    assert_int_equal(protection_encode(&sample, &wire), OK);
    for (size_t n = 0; n < wire.len; n++) {
        arena_reset(arena);
        assert_int_not_equal(protection_decode((struct str){wire.ptr, n}, arena, &p), OK);
        assert_int_equal(p.n_protect + p.n_detect, 0);
    }
    buf_put_u8(&wire, 0);
    assert_int_equal(protection_decode(buf_str(&wire), arena, &p), ERR_PROTOCOL);
    arena_free(arena);
    buf_free(&wire);
}

static void
test_a_protection_beyond_its_limits_has_no_wire_form(void **state)
{
    static const char big[PROTECT_TEXT_MAX + 1];
    static const struct str long_path[PROTECT_PATH_MAX + 1];
    const struct protect_rule bad[] = {
        {.mask = {.kind = MASK_KIND_COUNT}},
        {.mask = {.kind = MASK_PARTIAL}},
        {.mask = {.kind = MASK_PARTIAL, .keep = MASK_KEEP_MAX + 1}},
        {.mask = {.kind = MASK_FIXED, .fixed = STR_INIT("\xff")}},
        {.mask = {.kind = MASK_FIXED, .fixed = STR_INIT("a\0b")}},
        {.schema = {big, sizeof(big)}},
        {.path = long_path, .n_path = PROTECT_PATH_MAX + 1},
    };
    struct protection p = {.n_protect = PROTECT_RULES_MAX + 1};
    struct buf wire = buf_make(1 << 20);

    (void)state;
    assert_int_equal(protection_encode(&p, &wire), ERR_LIMIT);
    p = (struct protection){.n_detect = DETECT_RULES_MAX + 1};
    assert_int_equal(protection_encode(&p, &wire), ERR_LIMIT);
    for (size_t i = 0; i < COUNT(bad); i++) {
        p = (struct protection){.protect = &bad[i], .n_protect = 1};
        assert_int_not_equal(protection_encode(&p, &wire), OK);
        assert_int_equal(wire.len, 0);
    }
    buf_free(&wire);
}

static void
test_masks_have_the_names_of_the_configuration(void **state)
{
    static const char *const names[] = {"redact", "null", "partial", "hash", "email", "fixed"};

    (void)state;
    for (size_t i = 0; i < MASK_KIND_COUNT; i++)
        assert_string_equal(mask_kind_name((enum mask_kind)i), names[i]);
    assert_string_equal(mask_kind_name(MASK_KIND_COUNT), "unknown");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mask_of_a_text_is_the_same_in_both_formats),
        cmocka_unit_test(test_partial_counts_characters_and_hides_short_values_whole),
        cmocka_unit_test(test_a_partial_mask_that_keeps_too_much_keeps_nothing),
        cmocka_unit_test(test_email_masks_addresses_and_redacts_all_else),
        cmocka_unit_test(test_blanks_that_fill_up_char_n_are_no_part_of_the_value),
        cmocka_unit_test(test_a_name_is_cut_between_characters),
        cmocka_unit_test(test_a_mask_that_is_no_value_of_the_type_is_null),
        cmocka_unit_test(test_a_fixed_text_is_written_where_it_is_a_value_of_the_type),
        cmocka_unit_test(test_a_hashed_uuid_is_a_uuid_and_the_same_in_both_formats),
        cmocka_unit_test(test_bytea_takes_bytes),
        cmocka_unit_test(test_xml_takes_a_mask_without_markup),
        cmocka_unit_test(test_pass_leaves_any_value_as_it_is),
        cmocka_unit_test(test_a_value_that_is_too_long_is_null),
        cmocka_unit_test(test_a_plan_without_what_its_shape_needs_gives_null),
        cmocka_unit_test(test_a_full_buffer_is_an_error_and_keeps_what_it_had),
        cmocka_unit_test(test_plans_inside_plans_are_followed_to_a_depth),
        cmocka_unit_test(test_text_arrays),
        cmocka_unit_test(test_elements_are_quoted_when_they_must_be),
        cmocka_unit_test(test_elements_are_masked_without_their_quotes_and_escapes),
        cmocka_unit_test(test_elements_that_have_no_mask_are_null),
        cmocka_unit_test(test_binary_arrays),
        cmocka_unit_test(test_text_rows),
        cmocka_unit_test(test_fields_are_quoted_when_they_must_be),
        cmocka_unit_test(test_rows_of_no_fields),
        cmocka_unit_test(test_binary_rows),
        cmocka_unit_test(test_arrays_of_rows_of_arrays),
        cmocka_unit_test(test_a_protection_survives_its_wire_form),
        cmocka_unit_test(test_a_wire_form_with_any_byte_missing_or_more_is_refused),
        cmocka_unit_test(test_a_protection_beyond_its_limits_has_no_wire_form),
        cmocka_unit_test(test_masks_have_the_names_of_the_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
