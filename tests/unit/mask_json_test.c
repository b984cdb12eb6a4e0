#include "mask_check.h"

#include <time.h>

static const struct str a[] = {STR_INIT("a")};
static const struct str b[] = {STR_INIT("b")};
static const struct str a_b[] = {STR_INIT("a"), STR_INIT("b")};
static const struct str a_1[] = {STR_INIT("a"), STR_INIT("1")};
static const struct str one[] = {STR_INIT("1")};
static const struct str last[] = {STR_INIT("-1")};
static const struct str one_one[] = {STR_INIT("1"), STR_INIT("1")};
static const struct str odd[] = {STR_INIT("é\"\\/\n😀")};

struct json_case {
    const char *in, *out;
};

static void
check_paths(const struct mask_path *paths, size_t n, const struct json_case *cases, size_t n_cases)
{
    static const uint32_t types[] = {OID_JSON, OID_JSONB, OID_TEXT, OID_VARCHAR, OID_BPCHAR};

    for (size_t i = 0; i < n_cases * COUNT(types); i++) {
        struct mask_plan plan = {.shape = MASK_SHAPE_JSON,
                                 .type = types[i % COUNT(types)],
                                 .paths = paths,
                                 .n_paths = n};

        check_text(&plan, cases[i / COUNT(types)].in, cases[i / COUNT(types)].out);
    }
}

static void
check_path(const struct str *keys, size_t n_keys, const struct mask_rule *rule,
           const struct json_case *cases, size_t n_cases)
{
    const struct mask_path path = {keys, n_keys, rule};

    check_paths(&path, 1, cases, n_cases);
}

static void
test_what_is_at_a_path_is_masked_and_all_else_stays(void **state)
{
    static const struct json_case cases[] = {
        {"{\"a\":\"x\"}", "{\"a\":\"***\"}"},
        {" { \"a\" : \"x\" , \"b\" : 1.50e+3 } ", " { \"a\" : \"***\" , \"b\" : 1.50e+3 } "},
        {"{\"a\":12,\"b\":\"\\u0041\"}", "{\"a\":\"***\",\"b\":\"\\u0041\"}"},
        {"{\"a\":true}", "{\"a\":\"***\"}"},
        {"{\"a\":null}", "{\"a\":null}"},
        {"{\"a\":[1,{\"a\":2}],\"c\":3}", "{\"a\":\"***\",\"c\":3}"},
        {"{\"a\":{\"b\":{}}}", "{\"a\":\"***\"}"},
        {"{\"a\":\"x\",\"a\":\"y\",\"a\":null}", "{\"a\":\"***\",\"a\":\"***\",\"a\":null}"},
        {"{\"\\u0061\":\"x\"}", "{\"\\u0061\":\"***\"}"},
        {"{\"A\":\"x\",\"aa\":1,\"\":2}", "{\"A\":\"x\",\"aa\":1,\"\":2}"},
        {"{\"b\":{\"a\":\"x\"}}", "{\"b\":{\"a\":\"x\"}}"},
        {"[{\"a\":1},[{\"a\":2}],3]", "[{\"a\":\"***\"},[{\"a\":\"***\"}],3]"},
        {"{}", "{}"},
        {"[]", "[]"},
        {"\"a\"", "\"a\""},
        {"0", "0"},
        {"null", "null"},
        {"\t[ ]\r\n", "\t[ ]\r\n"},
    };

    (void)state;
    check_path(a, 1, &redact, cases, COUNT(cases));
}

static void
test_paths_lead_through_objects_and_arrays(void **state)
{
    static const struct json_case cases[] = {
        {"{\"a\":{\"b\":1,\"c\":2},\"b\":3}", "{\"a\":{\"b\":\"***\",\"c\":2},\"b\":3}"},
        {"{\"a\":[{\"b\":1},{\"b\":2},5]}", "{\"a\":[{\"b\":\"***\"},{\"b\":\"***\"},5]}"},
        {"{\"a\":[[[{\"b\":1}]]]}", "{\"a\":[[[{\"b\":\"***\"}]]]}"},
        {"{\"a\":\"b\"}", "{\"a\":\"b\"}"},
        {"{\"a\":{\"a\":{\"b\":1}}}", "{\"a\":{\"a\":{\"b\":1}}}"},
        {"{\"a\":{\"b\":1},\"a\":{\"b\":2}}", "{\"a\":{\"b\":\"***\"},\"a\":{\"b\":\"***\"}}"},
    };

    (void)state;
    check_path(a_b, 2, &redact, cases, COUNT(cases));
}

static void
test_a_decimal_key_names_an_element_or_a_member(void **state)
{
    static const struct json_case at_1[] = {
        {"[5,6,7]", "[5,\"***\",7]"},
        {"{\"1\":5,\"2\":6}", "{\"1\":\"***\",\"2\":6}"},
        {"[{\"1\":5},{\"2\":6}]", "[{\"1\":\"***\"},\"***\"]"},
        {"[[5,6],7]", "[[5,\"***\"],\"***\"]"},
        {"[5]", "[5]"},
    };
    static const struct json_case in_a[] = {
        {"{\"a\":[5,6]}", "{\"a\":[5,\"***\"]}"},
        {"{\"a\":{\"1\":5}}", "{\"a\":{\"1\":\"***\"}}"},
        {"[5,6]", "[5,6]"},
    };
    static const struct json_case twice[] = {
        {"[1,[2,3],4]", "[1,[2,\"***\"],4]"},
        {"[1,{\"1\":{\"1\":2}}]", "[1,{\"1\":\"***\"}]"},
        {"[{\"1\":{\"1\":2}}]", "[{\"1\":{\"1\":\"***\"}}]"},
    };
    static const struct json_case from_end[] = {
        {"[5,6]", "[\"***\",\"***\"]"},
        {"{\"-1\":5,\"1\":6}", "{\"-1\":\"***\",\"1\":6}"},
    };

    (void)state;
    check_path(one, 1, &redact, at_1, COUNT(at_1));
    check_path(a_1, 2, &redact, in_a, COUNT(in_a));
    check_path(one_one, 2, &redact, twice, COUNT(twice));
    check_path(last, 1, &redact, from_end, COUNT(from_end));
}

static void
test_keys_are_compared_without_their_escapes(void **state)
{
    static const struct json_case cases[] = {
        {"{\"é\\\"\\\\\\/\\n\\ud83d\\ude00\":1}", "{\"é\\\"\\\\\\/\\n\\ud83d\\ude00\":\"***\"}"},
        {"{\"\\u00e9\\u0022\\u005c/\\u000A\\uD83D\\uDE00\":1}",
         "{\"\\u00e9\\u0022\\u005c/\\u000A\\uD83D\\uDE00\":\"***\"}"},
        {"{\"\\u00C9\\\"\\\\/\\n😀\":1}", "{\"\\u00C9\\\"\\\\/\\n😀\":1}"},
        {"{\"é\\\"\\\\/\\n😀x\":1}", "{\"é\\\"\\\\/\\n😀x\":1}"},
        {"{\"é\\\"\\\\/\\n\":1}", "{\"é\\\"\\\\/\\n\":1}"},
        {"{\"a\\u0000\":1}", "{\"a\\u0000\":1}"},
        {"{\"\\ud83d\":1}", NULL},
        {"{\"\\ud83dx\":1}", NULL},
        {"{\"\\ude00\":1}", NULL},
        {"{\"\\ud83d\\ud83d\":1}", NULL},
        {"{\"\\ud83d\\n\":1}", NULL},
    };

    (void)state;
    check_path(odd, 1, &redact, cases, COUNT(cases));
}

static void
test_masks_act_on_the_text_of_strings_and_numbers(void **state)
{
    static const struct json_case partial[] = {
        {"{\"a\":\"123456\"}", "{\"a\":\"**3456\"}"},
        {"{\"a\":123456}", "{\"a\":\"**3456\"}"},
        {"{\"a\":-1.5e3}", "{\"a\":\"**.5e3\"}"},
        {"{\"a\":\"xx\\n\\\"\\u00e9\\\\\"}", "{\"a\":\"**\\u000a\\\"é\\\\\"}"},
        {"{\"a\":\"\\u0041\\u0042\"}", "{\"a\":\"**\"}"},
        {"{\"a\":\"\"}", "{\"a\":\"\"}"},
        {"{\"a\":\"\\ud83d12345\"}", "{\"a\":\"***\"}"},
        {"{\"a\":{\"b\":1}}", "{\"a\":\"***\"}"},
        {"{\"a\":[1]}", "{\"a\":\"***\"}"},
        {"{\"a\":false}", "{\"a\":\"***\"}"},
    };
    static const struct json_case hashed[] = {
        {"{\"a\":\"alice\"}", "{\"a\":\"433deb45467e4e53dbaba594c88bc3a2\"}"},
        {"{\"a\":\"\\u0061lice\"}", "{\"a\":\"433deb45467e4e53dbaba594c88bc3a2\"}"},
        {"{\"a\":\"a\\\"b\\\\c\\u00e9\\ud83d\\ude00\"}",
         "{\"a\":\"900808259cf8060794a6f02e39a15ed3\"}"},
        {"{\"a\":42}", "{\"a\":\"3b12d0412db185c98ff58825ed4c81cf\"}"},
        {"{\"a\":{\"a\":1}}", "{\"a\":\"f0546246da9e2349100c845a85612147\"}"},
        {"{\"a\":true}", "{\"a\":\"2ebc4929adf1d9e0918cdc309ebf64bb\"}"},
    };
    static const struct json_case emails[] = {
        {"{\"a\":\"jane@example.com\"}", "{\"a\":\"j***@***.com\"}"},
        {"{\"a\":\"jane\\u0040example.com\"}", "{\"a\":\"j***@***.com\"}"},
        {"{\"a\":5}", "{\"a\":\"***\"}"},
        {"{\"a\":[\"jane@example.com\"]}", "{\"a\":\"***\"}"},
    };
    static const struct json_case nulls[] = {{"{\"a\":\"x\",\"b\":1}", "{\"a\":null,\"b\":1}"}};
    static const struct json_case fixeds[] = {{"{\"a\":1}", "{\"a\":\"\\\"\\\\\\u0001é\"}"}};
    static const struct mask_rule fixed = {.kind = MASK_FIXED, .fixed = STR_INIT("\"\\\x01é")};

    (void)state;
    check_path(a, 1, &keep4, partial, COUNT(partial));
    check_path(a, 1, &hash, hashed, COUNT(hashed));
    check_path(a, 1, &email, emails, COUNT(emails));
    check_path(a, 1, &to_null, nulls, COUNT(nulls));
    check_path(a, 1, &fixed, fixeds, COUNT(fixeds));
}

static void
test_the_first_of_several_paths_to_a_value_counts(void **state)
{
    static const struct json_case cases[] = {
        {"{\"a\":{\"b\":1},\"b\":2,\"c\":3}", "{\"a\":{\"b\":\"***\"},\"b\":null,\"c\":3}"},
    };
    static const struct json_case outer[] = {
        {"{\"a\":{\"b\":1},\"b\":2}", "{\"a\":null,\"b\":2}"},
    };
    const struct mask_path paths[] = {{a_b, 2, &redact}, {b, 1, &to_null}, {b, 1, &keep4}};
    const struct mask_path nested[] = {{a_b, 2, &redact}, {a, 1, &to_null}};

    (void)state;
    check_paths(paths, 3, cases, COUNT(cases));
    check_paths(nested, 2, outer, COUNT(outer));
}

static void
test_a_path_without_keys_is_the_whole_document(void **state)
{
    static const struct json_case cases[] = {
        {"{\"a\":1}", "\"***\""}, {" [1] ", " \"***\" "}, {"\"x\"", "\"***\""},
        {"null", "null"},         {"[1", NULL},           {"1 2", NULL},
    };
    static const struct json_case nulls[] = {{"[1]", "null"}};

    (void)state;
    check_path(NULL, 0, &redact, cases, COUNT(cases));
    check_path(NULL, 0, &to_null, nulls, COUNT(nulls));
}

static void
test_a_column_of_documents_that_is_all_protected(void **state)
{
    struct mask_plan json = {.shape = MASK_SHAPE_VALUE, .type = OID_JSON, .rule = &redact};
    struct mask_plan jsonb = {.shape = MASK_SHAPE_VALUE, .type = OID_JSONB, .rule = &redact};

    (void)state;
    check_text(&json, "{\"a\":1}", "\"***\"");
    CHECK_BINARY(&json, "{\"a\":1}", "\"***\"");
    check_text(&jsonb, "{\"a\":1}", "\"***\"");
    CHECK_BINARY(&jsonb, "\x01{\"a\":1}", "\x01\"***\"");
    CHECK_BINARY_NULL(&jsonb, "{\"a\":1}");
    json.rule = jsonb.rule = &to_null;
    check_text(&json, "{\"a\":1}", NULL);
    CHECK_BINARY_NULL(&jsonb, "\x01{\"a\":1}");
    json.rule = jsonb.rule = &hash;
    check_text(&json, "\"alice\"", "\"433deb45467e4e53dbaba594c88bc3a2\"");
    CHECK_BINARY(&jsonb, "\x01\"alice\"", "\x01\"433deb45467e4e53dbaba594c88bc3a2\"");
    json.rule = &keep4;
    check_text(&json, "\"123456\"", "\"**3456\"");
    check_text(&json, "\"123456", NULL);
}

static void
test_binary_jsonb_has_a_version_first(void **state)
{
    const struct mask_path path = {a, 1, &redact};
    struct mask_plan plan = {
        .shape = MASK_SHAPE_JSON, .type = OID_JSONB, .paths = &path, .n_paths = 1};

    (void)state;
    CHECK_BINARY(&plan, "\x01{\"a\":1}", "\x01{\"a\":\"***\"}");
    CHECK_BINARY_NULL(&plan, "\x02{\"a\":1}");
    CHECK_BINARY_NULL(&plan, "{\"a\":1}");
    CHECK_BINARY_NULL(&plan, "\x01");
    CHECK_BINARY_NULL(&plan, "");
    plan.type = OID_JSON;
    CHECK_BINARY(&plan, "{\"a\":1}", "{\"a\":\"***\"}");
    CHECK_BINARY_NULL(&plan, "\x01{\"a\":1}");
    plan.type = OID_BYTEA;
    CHECK_BINARY_NULL(&plan, "{\"a\":1}");
    plan.type = 0;
    check_text(&plan, "{\"a\":1}", NULL);
}

static void
test_what_is_not_json_becomes_null(void **state)
{
    static const char *const malformed[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{\"x\":1",
        "{\"x\":1]",
        "{\"x\":1,}",
        "{\"x\"}",
        "{\"x\" 1}",
        "{x:1}",
        "{'x':1}",
        "{1:2}",
        "{\"x\":}",
        "{,}",
        "{\"x\"::1}",
        "\"",
        "\"x",
        "\"x\\",
        "\"x\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u\"",
        "\"\n\"",
        "\"\x1f\"",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "tru",
        "truex",
        "True",
        "nul",
        "nullx",
        "1 1",
        "{}{}",
        "\"\xff\"",
        "\"\xc3\"",
        "\xef\xbb\xbf{}",
        "/**/1",
        "\"\xed\xa0\x80\"",
        "[1]\x01",
        "{\"x\":1}x",
        "\v1",
    };
    struct json_case cases[COUNT(malformed)] = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(malformed); i++)
        cases[i].in = malformed[i];
    check_path(a, 1, &redact, cases, COUNT(cases));
    {
        const struct mask_path path = {a, 1, &redact};
        const struct mask_plan plan = {
            .shape = MASK_SHAPE_JSON, .type = OID_JSON, .paths = &path, .n_paths = 1};

        check_bytes(&plan, false, STR("{}\0"), (struct str){NULL, 0});
        check_bytes(&plan, false, STR("\"\\\0\""), (struct str){NULL, 0});
        check_bytes(&plan, false, STR("\"\0\""), (struct str){NULL, 0});
    }
}

static void
test_any_document_cut_short_becomes_null(void **state)
{
    static const char whole[] =
        "{\"a\":\"s\\u00e9\",\"x\":[true,null,-1.5e3,{\"y\":{}}],\"a\":{\"b\":[]}}";
    const struct mask_path path = {a, 1, &redact};
    const struct mask_plan plan = {
        .shape = MASK_SHAPE_JSON, .type = OID_JSON, .paths = &path, .n_paths = 1};

    (void)state;
    for (size_t n = 0; n < sizeof(whole) - 1; n++)
        check_bytes(&plan, false, (struct str){whole, n}, (struct str){NULL, 0});
    check_text(&plan, whole, "{\"a\":\"***\",\"x\":[true,null,-1.5e3,{\"y\":{}}],\"a\":\"***\"}");
}

static void
test_documents_nest_to_a_depth(void **state)
{
    const struct mask_path path = {a, 1, &redact};
    const struct mask_plan plan = {
        .shape = MASK_SHAPE_JSON, .type = OID_JSON, .paths = &path, .n_paths = 1};
    static char deep[1 << 20];

    (void)state;
    for (size_t n = MASK_DEPTH_MAX; n <= MASK_DEPTH_MAX + 1; n++) {
        memset(deep, '[', n);
        memset(deep + n, ']', n);
        check_bytes(&plan, false, (struct str){deep, 2 * n},
                    (struct str){n > MASK_DEPTH_MAX ? NULL : deep, 2 * n});
    }
    memset(deep, '[', sizeof(deep));
    check_bytes(&plan, false, (struct str){deep, sizeof(deep)}, (struct str){NULL, 0});
}

static void
test_more_or_longer_paths_than_can_be_followed_give_null(void **state)
{
    struct mask_path paths[MASK_PATHS_MAX + 1];
    struct str keys[PROTECT_PATH_MAX + 1];
    struct mask_plan plan = {.shape = MASK_SHAPE_JSON, .type = OID_JSON, .paths = paths};

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        paths[i] = (struct mask_path){a, 1, &redact};
    for (size_t i = 0; i < COUNT(keys); i++)
        keys[i] = STR("k");
    plan.n_paths = MASK_PATHS_MAX;
    check_text(&plan, "{\"a\":1}", "{\"a\":\"***\"}");
    plan.n_paths = MASK_PATHS_MAX + 1;
    check_text(&plan, "{\"a\":1}", NULL);
    plan.n_paths = 1;
    paths[0] = (struct mask_path){keys, PROTECT_PATH_MAX, &redact};
    check_text(&plan, "{\"a\":1}", "{\"a\":1}");
    paths[0].n_keys++;
    check_text(&plan, "{\"a\":1}", NULL);
    paths[0] = (struct mask_path){a, 1, NULL};
    check_text(&plan, "{\"a\":1}", NULL);
}

/* Each of a million elements grows to a hash. */
static void
test_a_result_that_is_too_long_is_null(void **state)
{
    const struct mask_path path = {a, 1, &hash};
    const struct mask_plan plan = {
        .shape = MASK_SHAPE_JSON, .type = OID_JSON, .paths = &path, .n_paths = 1};
    struct buf in = buf_make(MASK_VALUE_MAX);

    (void)state;
    buf_put_text(&in, "[{\"a\":1}");
    while (in.len < MASK_VALUE_MAX - 16)
        buf_put_text(&in, ",{\"a\":1}");
    buf_put_text(&in, "]");
    check_bytes(&plan, false, buf_str(&in), (struct str){NULL, 0});
    buf_free(&in);
}

static double
seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Prints how fast it is; the bound is far below that, for machines that have other work. */
static void
test_a_large_document_takes_little_time(void **state)
{
    static const char member[] =
        "{\"id\":123456,\"name\":\"Somebody of Some Place\",\"contact\":{\"a\":{\"b\":\"x@y.zz\"}},"
        "\"tags\":[\"one\",\"two\",3],\"note\":\"a longer text, in which there is nothing to "
        "see\"}";
    const struct mask_path path = {a_b, 2, &redact};
    const struct mask_plan plan = {
        .shape = MASK_SHAPE_JSON, .type = OID_JSONB, .paths = &path, .n_paths = 1};
    struct buf in = buf_make(MASK_VALUE_MAX), out = buf_make(2 * MASK_VALUE_MAX);
    double start, took;
    bool null;

    (void)state;
    buf_put_text(&in, "{\"a\":[");
    while (in.len < MASK_VALUE_MAX - 1024) {
        buf_put_text(&in, member);
        buf_put_text(&in, ",");
    }
    buf_put_text(&in, "1]}");
    start = seconds();
    for (int i = 0; i < 10; i++) {
        buf_reset(&out);
        assert_int_equal(mask_value(&plan, mask_key, false, buf_str(&in), &out, &null), OK);
        assert_false(null);
    }
    took = seconds() - start;
    print_message("%.0f MB/s\n", 10 * (double)in.len / took / 1e6);
    assert_true(took < 20);
    buf_free(&in);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_at_a_path_is_masked_and_all_else_stays),
        cmocka_unit_test(test_paths_lead_through_objects_and_arrays),
        cmocka_unit_test(test_a_decimal_key_names_an_element_or_a_member),
        cmocka_unit_test(test_keys_are_compared_without_their_escapes),
        cmocka_unit_test(test_masks_act_on_the_text_of_strings_and_numbers),
        cmocka_unit_test(test_the_first_of_several_paths_to_a_value_counts),
        cmocka_unit_test(test_a_path_without_keys_is_the_whole_document),
        cmocka_unit_test(test_a_column_of_documents_that_is_all_protected),
        cmocka_unit_test(test_binary_jsonb_has_a_version_first),
        cmocka_unit_test(test_what_is_not_json_becomes_null),
        cmocka_unit_test(test_any_document_cut_short_becomes_null),
        cmocka_unit_test(test_documents_nest_to_a_depth),
        cmocka_unit_test(test_more_or_longer_paths_than_can_be_followed_give_null),
        cmocka_unit_test(test_a_result_that_is_too_long_is_null),
        cmocka_unit_test(test_a_large_document_takes_little_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
