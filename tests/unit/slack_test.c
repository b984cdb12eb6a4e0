#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "control/approvals.h"
#include "control/notify.h"
#include "control/slack.h"
#include "fiber/fiber.h"
#include "store/outbox.h"
#include "store/people.h"

#define SECRET "8f742231b10e8888abcd99yyyzzz85a5"
#define HASH   "0123456789012345678901234567890101234567890123456789012345678901"

static char path[64];
static struct db *db;
static struct approvals *approvals;
static struct notify *notify;
static unsigned recorded;
static bool ledger_away;

/* --- a gateway's worth of configuration ---------------------------------------------------------
 */

static const struct str dba[] = {STR_INIT("dba")};
static const struct str channel_resources[] = {STR_INIT("*")};
static const struct config_chat_user users[] = {{STR_INIT("U1"), STR_INIT("carol")},
                                                {STR_INIT("U2"), STR_INIT("alice")},
                                                {STR_INIT("U3"), STR_INIT("dave")},
                                                {STR_INIT("U4"), STR_INIT("old")}};
static struct config_notification channels[] = {{.name = STR_INIT("chat"),
                                                 .kind = NOTIFY_SLACK,
                                                 .url = STR_INIT("http://127.0.0.1:1/x"),
                                                 .secret = {SECRET_LITERAL, STR_INIT(SECRET)},
                                                 .users = users,
                                                 .n_users = 4}};
static struct policy_rule rules[] = {{.name = STR_INIT("schema changes"),
                                      .verdict = VERDICT_STEP_UP,
                                      .resources = {channel_resources, 1},
                                      .classes = CLASSES(DDL),
                                      .step_up = {.approver_groups = {dba, 1},
                                                  .approvals = 1,
                                                  .wait_seconds = 600,
                                                  .wait_in_transaction_seconds = 60,
                                                  .valid_seconds = 600}}};
static struct config config = {
    .console = {.url = STR_INIT("https://gw.example.com:9443"), .login_issuer = STR_INIT("corp")},
    .policies = rules,
    .n_policies = 1,
    .notifications = channels,
    .n_notifications = 1};

static enum err
on_record(void *arg, const struct approvals_event *event)
{
    (void)arg;
    (void)event;
    recorded++;
    return ledger_away ? fail(ERR_UNAVAILABLE, "the audit ledger is not available") : OK;
}

static void
on_decided(void *arg, const struct approvals_answer *answer)
{
    (void)arg;
    (void)answer;
}

static const struct approvals_hooks hooks = {.record = on_record, .decided = on_decided};

static void
add_person(const char *subject, const char *group, int64_t seen_us)
{
    struct str groups[] = {str_from(group)};
    struct person person = {.issuer = STR("corp"),
                            .subject = str_from(subject),
                            .name = str_from(subject),
                            .groups = {groups, 1},
                            .seen_us = seen_us};

    assert_int_equal(people_put(db, &person), OK);
}

static int
setup(void **state)
{
    int64_t now_us = clock_wall_us();

    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/slack_test.XXXXXX");
    close(mkstemp(path));
    config.store.path = str_from(path);
    assert_int_equal(store_open(&config, &db), OK);
    assert_int_equal(approvals_open(db, "node", &approvals_real_clock, &hooks, &approvals), OK);
    approvals_configure(approvals, &config, STR(HASH));
    assert_int_equal(notify_new(&config, db, &notify), OK);
    add_person("carol", "dba", now_us - 1000000);
    add_person("alice", "dba", now_us - 1000000);
    add_person("dave", "interns", now_us - 1000000);
    add_person("old", "dba", now_us - INT64_C(13) * 3600 * 1000000);
    ledger_away = false;
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    notify_free(notify);
    approvals_close(approvals);
    db_close(db);
    unlink(path);
    return 0;
}

/* agent-a, sent by alice, asks; the request's id. */
static void
ask(char id[STORE_ID_BYTES + 1])
{
    static const struct str chain[] = {STR_INIT("alice"), STR_INIT("agent-a")};
    static uint64_t number;
    struct demand demand = {CLASSES(DDL) | CLASSES(ALTER), OBJECT_RELATION, STR("public"),
                            STR("t")};
    struct command command = {.text = STR("ALTER TABLE t ADD a int"),
                              .database = STR("sales"),
                              .demands = &demand,
                              .n_demands = 1};
    struct record_intent intent = {.command = ++number,
                                   .verdict = VERDICT_STEP_UP,
                                   .rule = STR("schema changes"),
                                   .subject = &command};
    struct approvals_session session = {.session = number,
                                        .issuer = STR("corp"),
                                        .subject = STR("agent-a"),
                                        .token_id = STR("t"),
                                        .chain = {chain, 2},
                                        .resource = STR("analytics"),
                                        .protocol = STR("postgres")};
    struct buf frame = buf_make(RECORD_FRAME_MAX);
    struct approvals_ask question = {.session = &session,
                                     .command = number,
                                     .rule = STR("schema changes"),
                                     .policy_hash = STR(HASH),
                                     .command_hash = STR("01234567890123456789012345678901"),
                                     .database = STR("sales"),
                                     .wait_ms = 600000};
    struct approvals_pending pending;
    struct arena *arena = arena_new(1 << 20);
    enum err e;

    record_put_intent(&frame, clock_wall_us(), &intent);
    question.frame = buf_str(&frame);
    e = approvals_ask(approvals, &question, arena, &pending);
    if (e != OK)
        print_error("%s\n", err_text());
    assert_int_equal(e, OK);
    assert_int_equal(pending.request.len, STORE_ID_BYTES);
    memcpy(id, pending.request.ptr, STORE_ID_BYTES);
    id[STORE_ID_BYTES] = '\0';
    arena_free(arena);
    buf_free(&frame);
}

/* --- pressing ---------------------------------------------------------------------------- */

struct signed_press {
    char timestamp[24], signature[80];
    struct buf body;
};

static void
sign(struct signed_press *p, const char *user, const char *verb, const char *request, int64_t at_us)
{
    static unsigned presses; /* Slack's trigger_id: no two presses are the same */
    char payload[1024];
    struct buf text = buf_make(8192), hex = buf_make(80);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n;

    (void)snprintf(payload, sizeof(payload),
                   "{\"type\":\"block_actions\",\"trigger_id\":\"%u\",\"user\":{\"id\":\"%s\"},"
                   "\"actions\":[{\"action_id\":\"bulkhead_%s\",\"value\":\"%s\"}]}",
                   ++presses, user, verb, request);
    p->body = buf_make(8192);
    buf_put_text(&p->body, "payload=");
    for (const char *c = payload; *c != '\0'; c++)
        buf_printf(&p->body, "%%%02x", (unsigned char)*c);
    (void)snprintf(p->timestamp, sizeof(p->timestamp), "%lld", (long long)(at_us / 1000000));
    buf_printf(&text, "v0:%s:", p->timestamp);
    buf_put_str(&text, buf_str(&p->body));
    (void)HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (const unsigned char *)text.ptr, text.len,
               digest, &n);
    encode_hex(&hex, (struct str){(const char *)digest, n});
    (void)snprintf(p->signature, sizeof(p->signature), "v0=%.*s", (int)hex.len, hex.ptr);
    buf_free(&text);
    buf_free(&hex);
}

static unsigned
send_press(const struct signed_press *p)
{
    struct slack_control control = {db, approvals, notify};
    struct slack_request request = {str_from(p->timestamp), str_from(p->signature),
                                    buf_str(&p->body)};
    struct slack_result result = {0};

    slack_action(&control, &request, clock_wall_us(), &result);
    return result.status;
}

static unsigned
press(const char *user, const char *verb, const char *request)
{
    struct signed_press p;
    unsigned status;

    sign(&p, user, verb, request, clock_wall_us());
    status = send_press(&p);
    buf_free(&p.body);
    return status;
}

static enum request_state
state_of(const char *id)
{
    struct arena *arena = arena_new(32 << 20);
    enum request_state state;
    struct request r;

    assert_int_equal(requests_get(db, str_from(id), arena, &r), OK);
    state = r.state;
    arena_free(arena);
    return state;
}

static void
test_an_approver_known_from_a_login_approves(void **state)
{
    struct arena *arena = arena_new(1 << 20);
    struct decision_list decisions;
    char id[STORE_ID_BYTES + 1];

    (void)state;
    ask(id);
    assert_int_equal(press("U1", "approve", id), 200);
    assert_int_equal(state_of(id), REQUEST_APPROVED);
    assert_int_equal(decisions_of(db, str_from(id), arena, &decisions), OK);
    assert_int_equal(decisions.n, 1);
    assert_true(str_is(decisions.items[0].subject, "carol"));
    assert_true(str_is(decisions.items[0].channel, "slack"));
    arena_free(arena);
}

static void
test_an_approver_denies(void **state)
{
    char id[STORE_ID_BYTES + 1];

    (void)state;
    ask(id);
    assert_int_equal(press("U1", "deny", id), 200);
    assert_int_equal(state_of(id), REQUEST_DENIED);
    assert_int_equal(press("U1", "approve", id), 200); /* too late: told so, and nothing changes */
    assert_int_equal(state_of(id), REQUEST_DENIED);
}

static void
test_who_may_not_decide_decides_nothing(void **state)
{
    /* alice is in the chain of who asks, dave in no group of approvers, old logged in 13 hours ago,
     * U9 is nobody here. */
    static const char *const others[] = {"U2", "U3", "U4", "U9", "carol", ""};
    char id[STORE_ID_BYTES + 1];

    (void)state;
    ask(id);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(press(others[i], "approve", id), 200);
        assert_int_equal(press(others[i], "deny", id), 200);
        assert_int_equal(state_of(id), REQUEST_PENDING);
    }
}

static void
test_a_press_sent_twice_counts_once(void **state)
{
    struct signed_press p;
    char id[STORE_ID_BYTES + 1];
    unsigned before;

    (void)state;
    ask(id);
    sign(&p, "U1", "approve", id, clock_wall_us());
    assert_int_equal(send_press(&p), 200);
    before = recorded;
    assert_int_equal(send_press(&p), 401);
    assert_int_equal(recorded, before);
    buf_free(&p.body);
}

static void
test_what_is_forged_or_old_is_refused(void **state)
{
    struct signed_press p;
    char id[STORE_ID_BYTES + 1];

    (void)state;
    ask(id);
    sign(&p, "U1", "approve", id, clock_wall_us() - INT64_C(301000000));
    assert_int_equal(send_press(&p), 401);
    buf_free(&p.body);
    sign(&p, "U1", "approve", id, clock_wall_us());
    p.signature[10] = p.signature[10] == '0' ? '1' : '0';
    assert_int_equal(send_press(&p), 401);
    buf_free(&p.body);
    sign(&p, "U1", "deny", id, clock_wall_us());
    p.body.ptr[p.body.len - 1] ^= 1;
    assert_int_equal(send_press(&p), 401);
    buf_free(&p.body);
    assert_int_equal(state_of(id), REQUEST_PENDING);
}

static void
test_without_the_ledger_nothing_is_decided(void **state)
{
    char id[STORE_ID_BYTES + 1];

    (void)state;
    ask(id);
    ledger_away = true;
    assert_int_equal(press("U1", "approve", id), 200);
    assert_int_equal(state_of(id), REQUEST_PENDING);
    ledger_away = false;
    assert_int_equal(press("U1", "approve", id), 200);
    assert_int_equal(state_of(id), REQUEST_APPROVED);
}

static void
test_a_request_that_is_not_there_is_not_decided(void **state)
{
    (void)state;
    assert_int_equal(press("U1", "approve", "abcdefgh234567ab"), 200);
    assert_int_equal(press("U1", "approve", "nonsense"), 400);
    assert_int_equal(press("U1", "open", ""), 200);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_approver_known_from_a_login_approves, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_approver_denies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_may_not_decide_decides_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_press_sent_twice_counts_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_forged_or_old_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_the_ledger_nothing_is_decided, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_request_that_is_not_there_is_not_decided, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
