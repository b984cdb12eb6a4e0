#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "control/notify_payload.h"
#include "control/outbound.h"
#include "control/slack.h"

#define NOW_US INT64_C(1769846400123456) /* 2026-01-31T08:00:00.123456Z */

static const struct str chain[] = {STR_INIT("alice"), STR_INIT("planner"), STR_INIT("agent-a")};
static const struct str classes[] = {STR_INIT("ddl"), STR_INIT("alter")};
static const struct str objects[] = {STR_INIT("public.customers")};

static struct notification
an_approval(void)
{
    return (struct notification){
        .event = NOTIFY_APPROVAL,
        .id = STR("outboxid22222222"),
        .request = STR("abcdefgh234567ab"),
        .link = STR("https://gw.example.com:9443/#/approvals/abcdefgh234567ab"),
        .is_pending = true,
        .has_buttons = true,
        .state = "pending",
        .subject = STR("agent-a"),
        .chain = {chain, 3},
        .resource = STR("analytics"),
        .database = STR("sales"),
        .rule = STR("schema changes need a human"),
        .statement = STR("ALTER TABLE customers ADD COLUMN a int"),
        .classes = {classes, 2},
        .objects = {objects, 1},
        .purpose = STR("ticket 4711"),
        .approvers = STR("group dba"),
        .created_us = NOW_US,
        .expires_us = NOW_US + INT64_C(600000000)};
}

typedef void body_fn(const struct notification *n, struct buf *out);

static json_t *
parsed(body_fn *body, const struct notification *n)
{
    struct buf out = buf_make(NOTIFY_BODY_BYTES_MAX);
    json_error_t error;
    json_t *root;

    body(n, &out);
    assert_int_equal(buf_ok(&out), OK);
    root = json_loadb(out.ptr, out.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        print_error("%s: %.*s\n", error.text, (int)out.len, out.ptr);
    assert_non_null(root);
    buf_free(&out);
    return root;
}

static void
expect_body(body_fn *body, const struct notification *n, const char *golden)
{
    struct buf out = buf_make(NOTIFY_BODY_BYTES_MAX);

    body(n, &out);
    buf_put_u8(&out, '\0');
    assert_int_equal(buf_ok(&out), OK);
    assert_string_equal(out.ptr, golden);
    buf_free(&out);
}

static void
test_a_webhook_says_what_is_needed_to_decide_where_to_look(void **state)
{
    struct notification n = an_approval();

    (void)state;
    expect_body(
        notify_webhook_body, &n,
        "{\"event\":\"approval\",\"id\":\"outboxid22222222\",\"request\":{\"id\":"
        "\"abcdefgh234567ab\","
        "\"kind\":\"command\",\"state\":\"pending\",\"created\":\"2026-01-31T08:00:00.123456Z\","
        "\"expires\":\"2026-01-31T08:10:00.123456Z\",\"subject\":\"agent-a\",\"chain\":[\"alice\","
        "\"planner\",\"agent-a\"],\"resource\":\"analytics\",\"database\":\"sales\","
        "\"rule\":\"schema changes need a human\",\"classes\":[\"ddl\",\"alter\"],"
        "\"objects\":[\"public.customers\"],\"statement\":\"ALTER TABLE customers ADD COLUMN a "
        "int\","
        "\"purpose\":\"ticket 4711\",\"reason\":null,\"approvers\":\"group dba\","
        "\"decided_by\":null,\"decided_text\":null,"
        "\"link\":\"https://gw.example.com:9443/#/approvals/abcdefgh234567ab\"}}");
}

static void
test_a_teams_card_shows_facts_and_a_link(void **state)
{
    struct notification n = an_approval();

    (void)state;
    n.event = NOTIFY_DECISION;
    n.is_pending = false;
    n.state = "approved";
    n.decided_by = STR("carol");
    n.decided_text = STR("[go](https://evil.example)");
    expect_body(
        notify_teams_body, &n,
        "{\"type\":\"message\",\"attachments\":[{\"contentType\":\"application/vnd.microsoft.card."
        "adaptive\",\"contentUrl\":null,\"content\":{\"$schema\":\"http://adaptivecards.io/schemas/"
        "adaptive-card.json\",\"type\":\"AdaptiveCard\",\"version\":\"1.4\",\"body\":[{\"type\":"
        "\"TextBlock\",\"text\":\"agent-a: command approved on analytics\",\"size\":\"Medium\","
        "\"weight\":\"Bolder\",\"wrap\":true},{\"type\":\"FactSet\",\"facts\":[{\"title\":\"Who\","
        "\"value\":\"alice → planner → agent-a\"},{\"title\":\"Resource\",\"value\":\"analytics, "
        "database sales\"},{\"title\":\"Rule\",\"value\":\"schema changes need a "
        "human\"},{\"title\":"
        "\"Purpose\",\"value\":\"ticket 4711\"},{\"title\":\"Does\",\"value\":\"ddl, alter\"},"
        "{\"title\":\"Objects\",\"value\":\"public.customers\"},{\"title\":\"State\",\"value\":"
        "\"approved by carol: \\\\[go\\\\]\\\\(https://evil.example\\\\)\"}]},{\"type\":"
        "\"RichTextBlock\",\"inlines\":[{\"type\":\"TextRun\",\"text\":\"ALTER TABLE customers ADD "
        "COLUMN a int\",\"fontType\":\"Monospace\"}]}],\"actions\":[{\"type\":\"Action.OpenUrl\","
        "\"title\":\"Open in Bulkhead\",\"url\":\"https://gw.example.com:9443/#/approvals/"
        "abcdefgh234567ab\"}]}}]}");
}

/* The text of a block's `text`. */
static const char *
block_text(const json_t *message, size_t i)
{
    const json_t *block = json_array_get(json_object_get(message, "blocks"), i);

    return json_string_value(json_object_get(json_object_get(block, "text"), "text"));
}

static void
test_a_slack_message_has_buttons_that_name_the_request(void **state)
{
    struct notification n = an_approval();
    json_t *message = parsed(notify_slack_body, &n);
    const json_t *blocks = json_object_get(message, "blocks"), *elements, *approve;

    (void)state;
    assert_int_equal(json_array_size(blocks), 4);
    assert_string_equal(block_text(message, 0), "agent-a asks to run a command on analytics");
    assert_string_equal(block_text(message, 2), "```ALTER TABLE customers ADD COLUMN a int```");
    elements = json_object_get(json_array_get(blocks, 3), "elements");
    assert_int_equal(json_array_size(elements), 3);
    approve = json_array_get(elements, 0);
    assert_string_equal(json_string_value(json_object_get(approve, "action_id")),
                        "bulkhead_approve");
    assert_string_equal(json_string_value(json_object_get(approve, "value")), "abcdefgh234567ab");
    json_decref(message);
}

static void
test_a_request_that_is_decided_has_no_buttons(void **state)
{
    struct notification n = an_approval();
    const json_t *elements;
    json_t *message;

    (void)state;
    n.is_pending = false;
    n.state = "denied";
    message = parsed(notify_slack_update, &n);
    assert_true(json_is_true(json_object_get(message, "replace_original")));
    elements = json_object_get(json_array_get(json_object_get(message, "blocks"), 3), "elements");
    assert_int_equal(json_array_size(elements), 1);
    json_decref(message);
}

/* An agent's statement cannot end its block of code, mention anybody or make a link. */
static void
test_hostile_text_stays_text_in_slack(void **state)
{
    struct notification n = an_approval();
    const char *text;
    json_t *message;

    (void)state;
    n.statement = STR("SELECT '```<!channel> <https://evil|ok> & \x1b[31m\xe2\x80\xae'");
    n.resource = STR("<@U1>");
    message = parsed(notify_slack_body, &n);
    text = block_text(message, 2);
    assert_string_equal(text, "```SELECT '`\xe2\x80\x8b`\xe2\x80\x8b`&lt;!channel&gt; "
                              "&lt;https://evil|ok&gt; &amp;  [31m '```");
    assert_string_equal(json_string_value(json_object_get(message, "text")),
                        "agent-a asks to run a command on &lt;@U1&gt;");
    json_decref(message);
}

/* Nothing but the limits of Block Kit bounds what an agent may say. */
static void
test_the_longest_texts_fit_the_limits_of_every_receiver(void **state)
{
    static char long_text[100000];
    struct str many[64];
    struct notification n = an_approval();
    struct buf out = buf_make(NOTIFY_BODY_BYTES_MAX);
    json_t *message;
    const json_t *field, *block;
    size_t i, k;

    (void)state;
    memset(long_text, '&', sizeof(long_text) - 1);
    for (i = 0; i < 64; i++)
        many[i] = str_from(long_text);
    n.subject = n.resource = n.database = n.rule = n.statement = n.purpose = n.approvers =
        str_from(long_text);
    n.chain = n.classes = n.objects = (struct str_list){many, 64};
    message = parsed(notify_slack_body, &n);
    json_array_foreach(json_object_get(message, "blocks"), i, block)
    {
        const char *text = block_text(message, i);

        if (text != NULL)
            assert_true(strlen(text) <= (i == 0 ? 150 : 3000));
        assert_true(json_array_size(json_object_get(block, "fields")) <= 10);
        json_array_foreach(json_object_get(block, "fields"), k, field)
        {
            assert_true(json_string_length(json_object_get(field, "text")) <= 2000);
        }
    }
    json_decref(message);
    notify_teams_body(&n, &out);
    assert_true(buf_ok(&out) == OK && out.len < 28 * 1024);
    buf_reset(&out);
    notify_webhook_body(&n, &out);
    assert_int_equal(buf_ok(&out), OK);
    buf_reset(&out);
    notify_email_message(&n, STR("gw@example.com"), (struct str_list){NULL, 0}, NOW_US, &out);
    assert_int_equal(buf_ok(&out), OK);
    buf_free(&out);
}

static void
test_a_statement_is_cut_between_characters(void **state)
{
    char text[NOTIFY_STATEMENT_MAX + 2];
    struct notification n = an_approval();
    json_t *message;
    const char *statement;

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text + NOTIFY_STATEMENT_MAX - 1, "\xc3\xa9", 2); /* across the limit */
    n.statement = (struct str){text, sizeof(text)};
    message = parsed(notify_webhook_body, &n);
    statement =
        json_string_value(json_object_get(json_object_get(message, "request"), "statement"));
    assert_int_equal(strlen(statement), NOTIFY_STATEMENT_MAX - 1);
    json_decref(message);
}

/* --- e-mail ------------------------------------------------------------------------------ */

static void
test_no_text_gets_into_a_header_of_a_mail(void **state)
{
    static const struct str to[] = {STR_INIT("sre@example.com"), STR_INIT("dba@example.com")};
    struct notification n = an_approval();
    struct buf out = buf_make(NOTIFY_BODY_BYTES_MAX);
    unsigned headers = 0;

    (void)state;
    n.subject = STR("x\r\nBcc: all@example.com\r\n\r\nhello");
    n.resource = STR("caf\xc3\xa9?= =?UTF-8?B?");
    n.purpose = STR("\r\n.\r\nMAIL FROM:<a@b>");
    notify_email_message(&n, STR("gw@example.com"), (struct str_list){to, 2}, NOW_US, &out);
    assert_int_equal(buf_ok(&out), OK);
    for (struct str rest = buf_str(&out), line; rest.len > 0;) {
        rest = str_cut(rest, '\n', &line);
        assert_true(line.len > 0 && line.ptr[line.len - 1] == '\r');
        assert_true(line.len <= 78);
        if (line.len == 1)
            break;
        assert_false(str_starts(line, STR("Bcc")));
        headers += line.ptr[0] != ' ';
    }
    assert_int_equal(headers, 10);
    assert_memory_equal(out.ptr, "Date: Sat, 31 Jan 2026 08:00:00 +0000\r\n", 39);
    for (size_t i = 0; i < out.len; i++)
        assert_true((unsigned char)out.ptr[i] < 0x7f);
    buf_free(&out);
}

static void
test_only_bare_addresses_are_addresses(void **state)
{
    static const char *const good[] = {"a@b", "sre+bulkhead@example.com", "o'neil@example.com"};
    static const char *const bad[] = {"",        "a",         "@b",      "a@",
                                      "a@b@c",   "a@b\r\nX:", "a b@c",   "<a@b>",
                                      "a@b,c@d", "a@b;c",     "\"a\"@b", "caf\xc3\xa9@b",
                                      "-oX@b",   "a@b>",      "a:b@c"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(notify_is_address(str_from(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(notify_is_address(str_from(bad[i])));
    assert_false(notify_is_address((struct str){"a\0@b", 4}));
}

/* --- signatures -------------------------------------------------------------------------- */

/* The example of the Standard Webhooks' own libraries. */
static void
test_a_webhook_is_signed_as_the_standard_says(void **state)
{
    char signature[NOTIFY_SIGNATURE_BYTES], raw[NOTIFY_SIGNATURE_BYTES];

    (void)state;
    assert_int_equal(notify_webhook_sign(STR("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
                                         STR("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
                                         STR("{\"test\": 2432232314}"), signature),
                     OK);
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_int_equal(
        notify_webhook_sign(STR("not base64 and no prefix"), STR("a"), 1, STR("b"), raw), OK);
    assert_int_equal(notify_webhook_sign(STR("whsec_"), STR("a"), 1, STR("b"), raw), ERR_INVALID);
    assert_int_equal(notify_webhook_sign(STR("whsec_!!"), STR("a"), 1, STR("b"), raw), ERR_INVALID);
}

/* The example of Slack's documentation. */
#define SLACK_SECRET    STR("8f742231b10e8888abcd99yyyzzz85a5")
#define SLACK_TIME      STR("1531420618")
#define SLACK_NOW_US    (INT64_C(1531420618) * 1000000)
#define SLACK_SIGNATURE STR("v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")
#define SLACK_BODY                                                                                 \
    STR("token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id="     \
        "G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-" \
        "collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%"         \
        "2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."           \
        "803a0bc887a14d10d2c447fce8b6703c")

static void
test_slack_s_own_example_verifies(void **state)
{
    (void)state;
    assert_int_equal(
        slack_verify(SLACK_SECRET, SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY, SLACK_NOW_US), OK);
}

static void
test_what_slack_did_not_sign_now_is_refused(void **state)
{
    static const int64_t second = 1000000;
    struct str body = SLACK_BODY;

    (void)state;
    assert_int_equal(slack_verify(SLACK_SECRET, SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY,
                                  SLACK_NOW_US + 300 * second),
                     OK);
    assert_int_equal(slack_verify(SLACK_SECRET, SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY,
                                  SLACK_NOW_US + 301 * second),
                     ERR_DENIED);
    assert_int_equal(slack_verify(SLACK_SECRET, SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY,
                                  SLACK_NOW_US - 301 * second),
                     ERR_DENIED);
    assert_int_equal(
        slack_verify(STR("other"), SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY, SLACK_NOW_US),
        ERR_DENIED);
    assert_int_equal(slack_verify(STR(""), SLACK_TIME, SLACK_SIGNATURE, SLACK_BODY, SLACK_NOW_US),
                     ERR_DENIED);
    assert_int_equal(
        slack_verify(SLACK_SECRET, STR("1531420619"), SLACK_SIGNATURE, SLACK_BODY, SLACK_NOW_US),
        ERR_DENIED);
    assert_int_equal(
        slack_verify(SLACK_SECRET, STR("-1531420618"), SLACK_SIGNATURE, SLACK_BODY, SLACK_NOW_US),
        ERR_DENIED);
    assert_int_equal(slack_verify(SLACK_SECRET, SLACK_TIME, STR(""), SLACK_BODY, SLACK_NOW_US),
                     ERR_DENIED);
    assert_int_equal(slack_verify(SLACK_SECRET, SLACK_TIME, str_skip(SLACK_SIGNATURE, 3),
                                  SLACK_BODY, SLACK_NOW_US),
                     ERR_DENIED);
    body.len--;
    assert_int_equal(slack_verify(SLACK_SECRET, SLACK_TIME, SLACK_SIGNATURE, body, SLACK_NOW_US),
                     ERR_DENIED);
}

/* --- what Slack sends -------------------------------------------------------------------- */

#define PRESS(action, value)                                                                       \
    "{\"type\":\"block_actions\",\"user\":{\"id\":\"U024BE7LHV\",\"username\":\"carol\"},"         \
    "\"response_url\":\"https://hooks.slack.com/actions/T1/2/"                                     \
    "x\",\"actions\":[{\"action_id\":\"" action "\",\"block_id\":\"b\",\"value\":\"" value "\"}]}"

static enum err
read_press(const char *payload, struct arena *arena, struct slack_press *out)
{
    struct buf body = buf_make(SLACK_BODY_BYTES_MAX);
    enum err e;

    buf_put_text(&body, "payload=");
    for (const char *c = payload; *c != '\0'; c++)
        buf_printf(&body, "%%%02X", (unsigned char)*c);
    e = slack_read(buf_str(&body), arena, out);
    buf_free(&body);
    return e;
}

static void
test_a_press_of_a_button_is_read(void **state)
{
    struct arena *arena = arena_new(1 << 20);
    struct slack_press press;

    (void)state;
    assert_int_equal(read_press(PRESS("bulkhead_approve", "abcdefgh234567ab"), arena, &press), OK);
    assert_int_equal(press.verb, SLACK_APPROVE);
    assert_true(str_is(press.request, "abcdefgh234567ab"));
    assert_true(str_is(press.user, "U024BE7LHV"));
    assert_true(str_is(press.user_name, "carol"));
    assert_true(str_is(press.response_url, "https://hooks.slack.com/actions/T1/2/x"));
    assert_int_equal(read_press(PRESS("bulkhead_deny", "abcdefgh234567ab"), arena, &press), OK);
    assert_int_equal(press.verb, SLACK_DENY);
    assert_int_equal(read_press(PRESS("bulkhead_open", ""), arena, &press), OK);
    assert_int_equal(press.verb, SLACK_LINK);
    arena_free(arena);
}

static void
test_what_is_no_press_of_ours_is_refused(void **state)
{
    static const struct {
        const char *payload;
        enum err e;
    } cases[] = {
        {PRESS("other_app", "abcdefgh234567ab"), ERR_UNSUPPORTED},
        {"{\"type\":\"view_submission\"}", ERR_UNSUPPORTED},
        {PRESS("bulkhead_approve", "short"), ERR_INVALID},
        {PRESS("bulkhead_approve", "abcdefgh234567a!"), ERR_INVALID},
        {PRESS("bulkhead_approve", "abcdefgh234567abcdefgh"), ERR_LIMIT},
        {"{\"type\":\"block_actions\",\"user\":{\"id\":\"U1\"},\"actions\":[]}", ERR_INVALID},
        {"{\"type\":\"block_actions\",\"actions\":[{\"action_id\":\"bulkhead_deny\",\"value\":"
         "\"abcdefgh234567ab\"}]}",
         ERR_INVALID},
        {"{\"type\":\"block_actions\",\"type\":\"x\"}", ERR_INVALID},
        {"[1]", ERR_INVALID},
        {"", ERR_INVALID},
    };
    struct arena *arena = arena_new(1 << 20);
    struct slack_press press;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(read_press(cases[i].payload, arena, &press), cases[i].e);
    assert_int_equal(slack_read(STR(""), arena, &press), ERR_INVALID);
    assert_int_equal(slack_read(STR("payload=%7"), arena, &press), ERR_INVALID);
    assert_int_equal(slack_read(STR("payload=%zz"), arena, &press), ERR_INVALID);
    assert_int_equal(slack_read(STR("payload={}&payload={}"), arena, &press), ERR_INVALID);
    arena_free(arena);
}

/* However the body is cut, it is no press, and nothing is read beyond it. */
static void
test_a_body_cut_anywhere_is_no_press(void **state)
{
    static const char body[] =
        "a=1&payload=%7B%22type%22%3A%22block_actions%22%2C%22user%22%3A%7B%22id%22%3A%22U1%22%7D%"
        "2C"
        "%22actions%22%3A%5B%7B%22action_id%22%3A%22bulkhead_deny%22%2C%22value%22%3A%22"
        "abcdefgh234567ab%22%7D%5D%7D";
    struct arena *arena = arena_new(1 << 20);
    struct slack_press press;

    (void)state;
    for (size_t n = 0; n <= sizeof(body) - 1; n++) {
        char *copy = malloc(n + 1);
        enum err e;

        memcpy(copy, body, n);
        arena_reset(arena);
        e = slack_read((struct str){copy, n}, arena, &press);
        assert_int_equal(e == OK, n == sizeof(body) - 1);
        free(copy);
    }
    arena_free(arena);
}

static void
test_answers_go_to_slack_alone(void **state)
{
    static const char *const bad[] = {"http://hooks.slack.com/x",
                                      "https://hooks.slack.com.evil.example/x",
                                      "https://hooks.slack.com@evil.example/x",
                                      "https://evil.example/#https://hooks.slack.com",
                                      "https://evil.example/hooks.slack.com",
                                      "https://hooks.slack.com:8443/x",
                                      "https://hooks.slack.com\\@evil.example/",
                                      "file:///etc/passwd",
                                      "https://hooks.slack.com/x y",
                                      "",
                                      "http://127.0.0.1:4712/x"};

    (void)state;
    assert_true(slack_may_answer(STR("https://hooks.slack.com/actions/x"), STR("")));
    assert_true(slack_may_answer(STR("http://127.0.0.1:4711/x"), STR("http://127.0.0.1:4711")));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(slack_may_answer(str_from(bad[i]), STR("http://127.0.0.1:4711")));
}

static void
test_messages_go_over_tls_or_to_this_machine(void **state)
{
    static const char *const good[] = {"https://a.example/x?y=1", "http://127.0.0.1:1/x",
                                       "http://localhost/", "http://[::1]:80/"};
    static const char *const bad[] = {"http://a.example/",
                                      "ftp://a.example/",
                                      "https://u@a.example",
                                      "https://a.example/#f",
                                      "https://",
                                      "smtp://a.example",
                                      "http://127.0.0.1.evil.example/",
                                      "https://a.example/\r\nX: y"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(outbound_check_url(OUTBOUND_HTTP, str_from(good[i])), OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(outbound_check_url(OUTBOUND_HTTP, str_from(bad[i])), ERR_DENIED);
    assert_int_equal(outbound_check_url(OUTBOUND_SMTP, STR("smtp://mail.example:25")), OK);
    assert_int_equal(outbound_check_url(OUTBOUND_SMTP, STR("smtps://mail.example")), OK);
    assert_int_equal(outbound_check_url(OUTBOUND_SMTP, STR("https://mail.example")), ERR_DENIED);
}

static void
test_a_break_glass_pages_everyone(void **state)
{
    static const struct str events[] = {STR_INIT("decision")};
    struct config_notification some = {.events = {events, 1}}, all = {0};

    (void)state;
    assert_true(notify_wants(&some, NOTIFY_DECISION));
    assert_false(notify_wants(&some, NOTIFY_APPROVAL));
    assert_true(notify_wants(&some, NOTIFY_BREAK_GLASS));
    assert_true(notify_wants(&all, NOTIFY_APPROVAL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_webhook_says_what_is_needed_to_decide_where_to_look),
        cmocka_unit_test(test_a_teams_card_shows_facts_and_a_link),
        cmocka_unit_test(test_a_slack_message_has_buttons_that_name_the_request),
        cmocka_unit_test(test_a_request_that_is_decided_has_no_buttons),
        cmocka_unit_test(test_hostile_text_stays_text_in_slack),
        cmocka_unit_test(test_the_longest_texts_fit_the_limits_of_every_receiver),
        cmocka_unit_test(test_a_statement_is_cut_between_characters),
        cmocka_unit_test(test_no_text_gets_into_a_header_of_a_mail),
        cmocka_unit_test(test_only_bare_addresses_are_addresses),
        cmocka_unit_test(test_a_webhook_is_signed_as_the_standard_says),
        cmocka_unit_test(test_slack_s_own_example_verifies),
        cmocka_unit_test(test_what_slack_did_not_sign_now_is_refused),
        cmocka_unit_test(test_a_press_of_a_button_is_read),
        cmocka_unit_test(test_what_is_no_press_of_ours_is_refused),
        cmocka_unit_test(test_a_body_cut_anywhere_is_no_press),
        cmocka_unit_test(test_answers_go_to_slack_alone),
        cmocka_unit_test(test_messages_go_over_tls_or_to_this_machine),
        cmocka_unit_test(test_a_break_glass_pages_everyone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
