#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/request_json.h"

static void
assert_formats(const char *text, const char *expected)
{
    struct buf out = buf_make(1 << 20);

    request_json_format(str_from(text), &out);
    buf_put_u8(&out, 0);
    assert_int_equal(buf_ok(&out), OK);
    assert_string_equal(out.ptr, expected);
    buf_free(&out);
}

static void
test_lines_begin_at_main_clauses(void **state)
{
    (void)state;
    assert_formats("select a from t where b = 1 order by a",
                   "select a \nfrom t \nwhere b = 1 \norder by a");
    assert_formats("delete from t using u where t.a = u.a returning *",
                   "delete from t \nusing u \nwhere t.a = u.a \nreturning *");
    assert_formats("select 1 from a left join b on true where x in (select y from z)",
                   "select 1 \nfrom a \nleft join b on true \nwhere x in (select y \n    from z)");
    assert_formats("update t set a = 1; select 2", "update t \nset a = 1; select 2");
}

static void
test_nothing_is_broken_within_literals_names_and_comments(void **state)
{
    static const char *const texts[] = {
        "values ('x from y where z')",
        "values (\"a from b\")",
        "values ($q$ a from b $q$)",
        "-- a from b\nselect 1",
        "/* a from b */",
        "values (E'it\\'s from here')",
        "alter table t add x int",
        "values (1e5 from there",
        "/* never ends from",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        assert_formats(texts[i], texts[i]);
}

/* A text of pieces that are of interest together. */
static void
make_text(struct buf *out)
{
    static const char *const pieces[] = {
        "select", "from", " ",    "\n",  "'a''b", "'",      "\"q\"", "--c\n",    "/*x*/",
        "$1",     "$t$",  "(",    ")",   ";",     "E'\\''", "1.5",   "\xc3\xa9", "\xff",
        "where",  "left", "join", "U&'", ",",     "*/",     "/*",    "group by", "\t",
        "7",      "x",    "-",    "|",   "1e5",   ":",
    };
    size_t n = (size_t)rand() % 30;

    buf_reset(out);
    for (size_t i = 0; i < n; i++)
        buf_put_text(out, pieces[(size_t)rand() % (sizeof(pieces) / sizeof(*pieces))]);
}

/* Without line breaks and the blanks that follow them. */
static void
assert_only_breaks_were_inserted(struct str text, struct str formatted)
{
    size_t i = 0, k = 0;

    while (k < formatted.len) {
        if (i < text.len && text.ptr[i] == formatted.ptr[k]) {
            i++;
            k++;
            continue;
        }
        assert_int_equal(formatted.ptr[k], '\n');
        for (k++; k < formatted.len && formatted.ptr[k] == ' '; k++)
            if (i < text.len && text.ptr[i] == ' ')
                break;
    }
    assert_int_equal(i, text.len);
}

static void
test_formatting_only_inserts_line_breaks(void **state)
{
    struct buf text = buf_make(1 << 16), out = buf_make(1 << 20);

    (void)state;
    srand(7);
    for (int i = 0; i < 20000; i++) {
        make_text(&text);
        buf_reset(&out);
        request_json_format(buf_str(&text), &out);
        assert_only_breaks_were_inserted(buf_str(&text), buf_str(&out));
    }
    buf_free(&text);
    buf_free(&out);
}

/* The tokens of `text`, put together again. */
static json_t *
tokens_of(struct str text, struct buf *joined)
{
    struct buf out = buf_make(8 << 20);
    struct json j = json_to(&out);
    json_t *tokens;

    request_json_tokens(&j, text);
    assert_int_equal(buf_ok(&out), OK);
    tokens = json_loadb(out.ptr, out.len, 0, NULL);
    assert_true(json_is_array(tokens));
    buf_reset(joined);
    for (size_t i = 0; i < json_array_size(tokens); i++) {
        const json_t *t = json_object_get(json_array_get(tokens, i), "text");

        buf_put(joined, json_string_value(t), json_string_length(t));
    }
    buf_free(&out);
    return tokens;
}

static void
test_tokens_are_the_text(void **state)
{
    struct buf text = buf_make(1 << 16), joined = buf_make(1 << 20);

    (void)state;
    srand(11);
    for (int i = 0; i < 5000; i++) {
        make_text(&text);
        if (!str_is_utf8(buf_str(&text)))
            continue;
        json_decref(tokens_of(buf_str(&text), &joined));
        assert_int_equal(joined.len, text.len);
        if (text.len > 0)
            assert_memory_equal(joined.ptr, text.ptr, text.len);
    }
    buf_free(&text);
    buf_free(&joined);
}

static void
test_tokens_have_kinds(void **state)
{
    static const char *const kinds[] = {"keyword", "space",   "name",  "operator", "number",
                                        "space",   "comment", "space", "string"};
    struct buf joined = buf_make(1 << 10);
    json_t *tokens = tokens_of(STR("SELECT a=12 --x\n 'y'"), &joined);

    (void)state;
    assert_int_equal(json_array_size(tokens), sizeof(kinds) / sizeof(*kinds));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(tokens, i), "kind")),
                            kinds[i]);
    json_decref(tokens);
    buf_free(&joined);
}

static void
assert_preview(const char *text, const char *expected)
{
    struct buf out = buf_make(REQUEST_PREVIEW_MAX);

    request_json_check_preview(str_from(text), &out);
    buf_put_u8(&out, 0);
    assert_string_equal(out.ptr, expected);
    buf_free(&out);
}

static void
test_a_preview_is_json_or_says_that_it_is_none(void **state)
{
    static const char bad[] = "{\"kind\":\"none\",\"error\":\"the preview cannot be read\"}";
    char *large = malloc(REQUEST_PREVIEW_MAX);
    static char deep[8192];

    (void)state;
    assert_preview("", "");
    assert_preview("{ \"kind\" : \"estimate\", \"rows\": 5 }",
                   "{\"kind\":\"estimate\",\"rows\":5}");
    assert_preview("[1]", bad);
    assert_preview("{\"kind\":\"estimate\"}, \"you\":{\"may_decide\":true}", bad);
    assert_preview("{\"kind\":1}", bad);
    assert_preview("{\"kind\":\"a\",\"kind\":\"b\"}", bad);
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    assert_preview(deep, bad);
    memset(large, ' ', REQUEST_PREVIEW_MAX - 1);
    large[REQUEST_PREVIEW_MAX - 1] = '\0';
    assert_preview(large, "{\"kind\":\"none\",\"error\":\"the preview is too large\"}");
    free(large);
}

/* --- whole requests
 * --------------------------------------------------------------------------------- */

static const struct demand demands[] = {
    {CLASSES(WRITE) | CLASSES(DELETE) | CLASSES(MASS_WRITE), OBJECT_RELATION, STR_INIT(""),
     STR_INIT("orders")},
    {CLASSES(DDL) | CLASSES(DROP), OBJECT_RELATION, STR_INIT("public"), STR_INIT("t")}};
static const struct bind_value binds[] = {{.type = 25, .bytes = STR_INIT("x\"y")},
                                          {.type = 17, .binary = true, .bytes = STR_INIT("\0\xff")},
                                          {.type = 23, .is_null = true}};

static struct buf
a_frame(void)
{
    struct command command = {.text = STR("delete from orders where true"),
                              .database = STR("sales"),
                              .demands = demands,
                              .n_demands = 2,
                              .binds = binds,
                              .n_binds = 3};
    struct record_intent intent = {.command = 7,
                                   .verdict = VERDICT_STEP_UP,
                                   .rule = STR("ddl"),
                                   .policy_hash = STR("p"),
                                   .subject = &command,
                                   .decisive = 0};
    struct buf out = buf_make(RECORD_FRAME_MAX);

    record_put_intent(&out, 1, &intent);
    assert_int_equal(buf_ok(&out), OK);
    return out;
}

static const struct str chain[] = {STR_INIT("alice"), STR_INIT("bot")};

static struct request
a_request(struct str frame)
{
    return (struct request){
        .id = STR("abcdefghijklmnop"),
        .created_us = 1,
        .expires_us = 2,
        .wait_ms = 60000,
        .session = 255,
        .waiting = true,
        .issuer = STR("corp"),
        .subject = STR("ali\"ce"),
        .token_id = STR("j"),
        .chain = {chain, 2},
        .resource = STR("analytics"),
        .summary = STR("delete"),
        .frame = frame,
        .preview = STR("{\"kind\":\"estimate\",\"rows\":5}"),
        .risk = STR("[\"careful\"]"),
        .step_up = {.approvals = 2, .scope = STEP_UP_FOR_TASK},
    };
}

static json_t *
render(const struct request_view *view)
{
    struct buf out = buf_make(8 << 20);
    struct json j = json_to(&out);
    json_error_t error;
    json_t *value;

    assert_int_equal(request_json_write(&j, view), OK);
    assert_int_equal(buf_ok(&out), OK);
    value = json_loadb(out.ptr, out.len, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL)
        print_error("%s\n", error.text);
    assert_non_null(value);
    buf_free(&out);
    return value;
}

static const char *
text_at(const json_t *value, const char *key)
{
    return json_string_value(json_object_get(value, key));
}

static void
test_a_request_is_shown_whole(void **state)
{
    struct buf frame = a_frame();
    struct request r = a_request(buf_str(&frame));
    struct approvals_eligibility you = {.why_not = STR("no"), .may_override = true};
    struct decision d = {.subject = STR("bob"),
                         .name = STR("Bob"),
                         .issuer = STR("corp"),
                         .reason = STR("ok"),
                         .channel = STR("cli"),
                         .at_us = 3};
    struct decision_list decisions = {&d, 1};
    json_t *v = render(&(struct request_view){.request = &r,
                                              .decisions = &decisions,
                                              .you = &you,
                                              .console_url = STR("https://gw:9443/"),
                                              .recent = STR("[1]"),
                                              .whole = true});
    json_t *command = json_object_get(v, "command"), *shown = json_object_get(command, "binds");

    (void)state;
    assert_string_equal(text_at(v, "state"), "pending");
    assert_string_equal(text_at(v, "session"), "00000000000000ff");
    assert_string_equal(text_at(v, "subject"), "ali\"ce");
    assert_string_equal(text_at(v, "scope"), "for_task");
    assert_string_equal(text_at(v, "link"), "https://gw:9443/approvals/abcdefghijklmnop");
    assert_true(json_is_null(json_object_get(v, "decided")));
    assert_string_equal(text_at(command, "text"), "delete from orders where true");
    assert_string_equal(text_at(command, "formatted"), "delete from orders \nwhere true");
    assert_int_equal(json_array_size(json_object_get(command, "objects")), 2);
    assert_int_equal(json_array_size(json_object_get(command, "classes")), 5);
    assert_int_equal(json_array_size(shown), 3);
    assert_string_equal(text_at(json_array_get(shown, 0), "text"), "x\"y");
    assert_string_equal(text_at(json_array_get(shown, 1), "text"), "\\x00ff");
    assert_true(json_is_true(json_object_get(json_array_get(shown, 2), "null")));
    assert_string_equal(text_at(json_object_get(v, "you"), "why_not"), "no");
    assert_int_equal(json_array_size(json_object_get(v, "recent")), 1);
    assert_int_equal(json_array_size(json_object_get(v, "decisions")), 1);
    json_decref(v);
    buf_free(&frame);
}

static void
test_a_request_in_a_list_is_short(void **state)
{
    struct request r = a_request(STR(""));
    json_t *v = render(&(struct request_view){.request = &r, .console_url = STR("")});

    (void)state;
    assert_string_equal(text_at(json_object_get(v, "command"), "text"), "delete");
    assert_null(json_object_get(v, "preview"));
    assert_null(json_object_get(v, "you"));
    json_decref(v);
    r.kind = REQUEST_ACCESS;
    r.session = 0;
    v = render(&(struct request_view){.request = &r, .console_url = STR("")});
    assert_true(json_is_null(json_object_get(v, "command")));
    assert_true(json_is_null(json_object_get(v, "session")));
    json_decref(v);
}

static void
test_a_frame_that_is_broken_is_an_error(void **state)
{
    struct buf frame = a_frame(), out = buf_make(1 << 20);

    (void)state;
    for (size_t n = 1; n < frame.len; n++) {
        struct request r = a_request((struct str){frame.ptr, n});
        struct json j = json_to(&out);

        buf_reset(&out);
        assert_int_equal(
            request_json_write(
                &j, &(struct request_view){.request = &r, .console_url = STR(""), .whole = true}),
            ERR_PROTOCOL);
    }
    buf_free(&frame);
    buf_free(&out);
}

static bool
warns(struct str notes, const char *word)
{
    return memmem(notes.ptr, notes.len, word, strlen(word)) != NULL;
}

static void
test_risks_are_named(void **state)
{
    static const struct str prod[] = {STR_INIT("Prod")};
    static const struct rule_label labels[] = {{STR_INIT("env"), {prod, 1}}};
    struct config_resource resource = {.labels = labels, .n_labels = 1};
    struct buf frame = a_frame(), out = buf_make(1 << 16);
    struct record intent;
    size_t used;
    struct risk_facts facts = {.intent = &intent,
                               .resource = &resource,
                               .in_transaction = true,
                               .purpose = STR(""),
                               .preview = STR("{\"kind\":\"estimate\",\"rows\":4711}")};

    (void)state;
    assert_int_equal(record_read(buf_str(&frame), &intent, &used), OK);
    request_json_risk(&out, &facts);
    assert_true(warns(buf_str(&out), "no WHERE") && warns(buf_str(&out), "drops something"));
    assert_true(warns(buf_str(&out), "env: Prod") && warns(buf_str(&out), "4711 rows"));
    assert_true(warns(buf_str(&out), "locks are held") && warns(buf_str(&out), "first request"));
    assert_true(warns(buf_str(&out), "no purpose") && warns(buf_str(&out), "without its schema"));
    facts = (struct risk_facts){.asked_before = 1, .purpose = STR("x"), .preview = STR("")};
    buf_reset(&out);
    request_json_risk(&out, &facts);
    assert_true(str_is(buf_str(&out), "[]"));
    buf_free(&frame);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_begin_at_main_clauses),
        cmocka_unit_test(test_nothing_is_broken_within_literals_names_and_comments),
        cmocka_unit_test(test_formatting_only_inserts_line_breaks),
        cmocka_unit_test(test_tokens_are_the_text),
        cmocka_unit_test(test_tokens_have_kinds),
        cmocka_unit_test(test_a_preview_is_json_or_says_that_it_is_none),
        cmocka_unit_test(test_a_request_is_shown_whole),
        cmocka_unit_test(test_a_request_in_a_list_is_short),
        cmocka_unit_test(test_a_frame_that_is_broken_is_an_error),
        cmocka_unit_test(test_risks_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
