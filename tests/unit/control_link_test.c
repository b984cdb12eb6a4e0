/* The two ends of the channel between keeper and control, in one process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/approvals.h"
#include "control/asks.h"
#include "control/control.h"
#include "control/live.h"
#include "keeper/control_link.h"
#include "keeper/sessions.h"
#include "store/grants.h"
#include "store/store.h"

enum { PATIENCE_MS = 10000, TOKENS = 40 };

static struct {
    struct keeper keeper;
    struct control control;
    struct config config;
    struct policy_rule rules[1];
    struct config_resource resources[1];
    struct approvals_hooks hooks;
    char folder[64], store[128];
    struct buf token;
    unsigned verified;
} stage;

static enum err
record(void *arg, const struct approvals_event *event)
{
    (void)arg;
    (void)event;
    return OK;
}

static void
decided(void *arg, const struct approvals_answer *answer)
{
    (void)arg;
    (void)answer;
}

static void
connect_both(void)
{
    int ends[2];

    assert_int_equal(ipc_pair(ends), OK);
    assert_int_equal(control_link_meet(&stage.keeper, ends[0]), OK);
    assert_int_equal(asks_meet_keeper(&stage.control, ends[1]), OK);
}

static void
set_up_config(void)
{
    static const struct str approvers[] = {STR_INIT("dba")};

    (void)snprintf(stage.store, sizeof(stage.store), "%s/control.db", stage.folder);
    stage.rules[0] =
        (struct policy_rule){.name = STR("by request"),
                             .verdict = VERDICT_STEP_UP,
                             .on = RULE_ON_CONNECT,
                             .step_up = {.approver_groups = {approvers, 1}, .approvals = 1}};
    stage.resources[0] = (struct config_resource){.name = STR("test"), .protocol = STR("postgres")};
    stage.config = (struct config){
        .state_directory = str_from(stage.folder),
        .local_issuer = {.enabled = true, .max_ttl_seconds = 3600},
        .policies = stage.rules,
        .n_policies = 1,
        .resources = stage.resources,
        .n_resources = 1,
        .store = {.path = str_from(stage.store)},
    };
}

static void
set_up(void)
{
    static const struct str actors[] = {STR_INIT("planner"), STR_INIT("executor")};
    static const struct str groups[] = {STR_INIT("dba"), STR_INIT("ops")};
    const struct token_request request = {
        .subject = STR("alice"), .groups = {groups, 2}, .actors = {actors, 2}, .ttl_seconds = 600};
    struct buf id = buf_make(256);
    struct control *c = &stage.control;
    struct keeper *k = &stage.keeper;

    memset(&stage, 0, sizeof(stage));
    stage.token = buf_make(TOKEN_BYTES_MAX);
    (void)snprintf(stage.folder, sizeof(stage.folder), "/tmp/control_link_test.XXXXXX");
    assert_non_null(mkdtemp(stage.folder));
    set_up_config();
    k->supervisor = k->listener = k->ledger = -1;
    assert_non_null(k->sessions = table_new(16));
    assert_int_equal(identity_open(&stage.config, &k->identity), OK);
    assert_int_equal(identity_issue(k->identity, &request, &stage.token, &id), OK);
    buf_free(&id);
    c->supervisor = c->keeper = c->ledger = c->console = -1;
    c->config = &stage.config;
    assert_non_null(c->sessions = table_new(16));
    assert_int_equal(store_open(&stage.config, &c->db), OK);
    stage.hooks = (struct approvals_hooks){.arg = c, .record = record, .decided = decided};
    assert_int_equal(
        approvals_open(c->db, "node", &approvals_real_clock, &stage.hooks, &c->approvals), OK);
    approvals_configure(c->approvals, c->config, STR("hash"));
}

static int
remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void
tear_down(void)
{
    if (stage.control.keeper >= 0)
        (void)shutdown(stage.control.keeper, SHUT_RDWR);
    while (stage.control.keeper >= 0 || stage.keeper.control != NULL)
        assert_int_equal(fiber_sleep_until(clock_monotonic_ms() + 1), ERR_TIMEOUT);
    approvals_close(stage.control.approvals);
    db_close(stage.control.db);
    table_free(stage.control.sessions);
    free(stage.control.asks);
    identity_close(stage.keeper.identity);
    table_free(stage.keeper.sessions);
    buf_free(&stage.token);
    assert_int_equal(nftw(stage.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void (*body)(void);

static void
run_body(void *arg)
{
    (void)arg;
    set_up();
    body();
    tear_down();
}

static void
on_fiber(void (*test)(void))
{
    body = test;
    assert_int_equal(fiber_main(run_body, NULL), OK);
}

static enum err
verify(struct str audience, struct str token, struct arena *arena, struct verified *out)
{
    return control_verify(&stage.control, audience, token, arena,
                          clock_monotonic_ms() + PATIENCE_MS, out);
}

/* --- tests ---------------------------------------------------------------------------------- */

static void
tokens(void)
{
    struct arena *arena = arena_new(1 << 20);
    struct verified v;

    assert_int_equal(verify(STR(""), buf_str(&stage.token), arena, &v), ERR_UNAVAILABLE);
    connect_both();
    assert_int_equal(verify(STR(""), buf_str(&stage.token), arena, &v), OK);
    assert_true(str_is(v.subject, "alice") && str_is(v.issuer, "local"));
    assert_true(v.groups.n == 2 && str_is(v.groups.items[1], "ops"));
    assert_int_equal(v.chain.n, 3);
    assert_true(str_is(v.chain.items[0], "alice") && str_is(v.chain.items[2], "executor"));
    assert_true(v.token_id.len > 0 && v.expires_us > clock_wall_us());
    assert_int_equal(verify(STR(""), STR("no token"), arena, &v), ERR_DENIED);
    assert_true(strlen(err_text()) > 10);
    assert_int_equal(verify(STR("console"), buf_str(&stage.token), arena, &v), ERR_DENIED);
    arena_free(arena);
}

static void
test_a_token_is_verified_by_the_keeper(void **state)
{
    (void)state;
    on_fiber(tokens);
}

static void
verify_one(void *arg)
{
    struct arena *arena = arena_new(1 << 20);
    struct verified v;
    struct buf none = buf_make(16);
    size_t i = (size_t)(uintptr_t)arg;

    if (i % 4 == 3) /* a signature between them: nothing is to be signed without a key */
        assert_int_equal(control_sign(&stage.control, 0x0804, STR("x"), &none), ERR_DENIED);
    else
        assert_int_equal(verify(STR(""), i % 4 == 0 ? STR("x") : buf_str(&stage.token), arena, &v),
                         i % 4 == 0 ? ERR_DENIED : OK);
    assert_int_equal(none.len, 0);
    stage.verified++;
    arena_free(arena);
}

static void
at_once(void)
{
    struct fiber *fibers[TOKENS];

    connect_both();
    for (size_t i = 0; i < TOKENS; i++)
        assert_int_equal(fiber_start("verify", verify_one, (void *)(uintptr_t)i, &fibers[i]), OK);
    for (size_t i = 0; i < TOKENS; i++)
        fiber_join(fibers[i]);
    assert_int_equal(stage.verified, TOKENS);
}

static void
test_many_questions_get_each_its_own_answer(void **state)
{
    (void)state;
    on_fiber(at_once);
}

static enum err lost;

static void
verify_and_lose(void *arg)
{
    struct arena *arena = arena_new(1 << 20);
    struct verified v;

    (void)arg;
    lost = verify(STR(""), buf_str(&stage.token), arena, &v);
    arena_free(arena);
}

static void
keeper_goes(void)
{
    struct fiber *fiber;
    int ends[2];

    assert_int_equal(ipc_pair(ends), OK); /* a keeper that never answers */
    assert_int_equal(asks_meet_keeper(&stage.control, ends[1]), OK);
    assert_int_equal(fiber_start("verify", verify_and_lose, NULL, &fiber), OK);
    fiber_yield();
    close(ends[0]);
    fiber_join(fiber);
    assert_int_equal(lost, ERR_UNAVAILABLE);
    connect_both(); /* another comes */
    assert_int_equal(fiber_start("verify", verify_and_lose, NULL, &fiber), OK);
    fiber_join(fiber);
    assert_int_equal(lost, OK);
}

static void
test_questions_end_with_the_keeper(void **state)
{
    (void)state;
    on_fiber(keeper_goes);
}

static void
too_late(void)
{
    struct arena *arena = arena_new(1 << 20);
    struct ipc_packet *packet = calloc(1, sizeof(*packet));
    struct ipc_verified answer = {.code = OK, .subject = STR("late"), .chain = STR("late\0")};
    struct ipc_answer signature = {.code = OK, .first = STR("late")};
    struct verified v = {.subject = STR("untouched")};
    struct buf signed_by = buf_make(64);
    int ends[2];

    assert_non_null(packet);
    assert_int_equal(ipc_pair(ends), OK);
    assert_int_equal(asks_meet_keeper(&stage.control, ends[1]), OK);
    assert_int_equal(
        control_verify(&stage.control, STR(""), STR("t"), arena, clock_monotonic_ms() + 10, &v),
        ERR_TIMEOUT);
    assert_int_equal(ipc_receive(ends[0], packet), OK);
    answer.number = packet->message.verify.number;
    assert_int_equal(ipc_send(ends[0], IPC_TYPE_VERIFIED, &answer, NULL, 0), OK);
    /* An answer to nothing is passed over, and the next question gets its own. */
    assert_int_equal(ipc_send(ends[0], IPC_TYPE_ANSWER, &signature, NULL, 0), OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(fiber_sleep_until(clock_monotonic_ms()), ERR_TIMEOUT);
    assert_true(str_is(v.subject, "untouched"));
    assert_int_equal(signed_by.len, 0);
    close(ends[0]);
    free(packet);
    arena_free(arena);
}

static void
test_an_answer_that_comes_too_late_is_nobodys(void **state)
{
    (void)state;
    on_fiber(too_late);
}

static void
access_of(const char *subject, enum err expected, struct control_access *out)
{
    static const char chain[] = "alice\0executor";
    struct arena *arena = arena_new(1 << 16);
    struct ipc_access question = {.subject = str_from(subject),
                                  .issuer = STR("local"),
                                  .chain = {chain, sizeof(chain)},
                                  .resource = STR("test"),
                                  .rule = STR("by request")};
    enum err e = control_link_ask_access(&stage.keeper, &question, arena, out);

    if (e != expected)
        print_error("%s\n", err_text());
    assert_int_equal(e, expected);
    arena_free(arena);
}

static void
grants(void)
{
    static const struct str alice[] = {STR_INIT("alice")};
    int64_t now_us = clock_wall_us();
    struct grant g = {
        .id = STR("abcdefghijklmnop"),
        .kind = GRANT_ACCESS,
        .request = STR("abcdefghijklmnop"),
        .scope_key = STR("k"),
        .issuer = STR("local"),
        .subject = STR("alice"),
        .chain = {alice, 1},
        .resource = STR("test"),
        .rule = STR("by request"),
        .policy_hash = STR("hash"),
        .by = STR("bob"),
        .reason = STR("release"),
        .created_us = now_us - 1000000,
        .expires_us = now_us + 3600000000,
    };
    struct control_access access;

    access_of("alice", ERR_UNAVAILABLE, &access); /* no control: no */
    assert_non_null(strstr(err_text(), "not available"));
    connect_both();
    access_of("alice", ERR_DENIED, &access);
    assert_int_equal(grants_insert(stage.control.db, &g), OK);
    access_of("alice", OK, &access);
    assert_true(access.expires_us == g.expires_us);
    access_of("mallory", ERR_DENIED, &access);
}

static void
test_a_grant_of_access_is_asked_of_control(void **state)
{
    (void)state;
    on_fiber(grants);
}

static void
killing(void)
{
    connect_both();
    assert_int_equal(control_kill(&stage.control, 7, STR("bob"), STR("why")), ERR_NOT_FOUND);
    assert_int_equal(control_revoke_access(&stage.control, STR("abc"), STR("why")), OK);
    assert_int_equal(control_record_admin(&stage.control, STR("bob"), STR("kill"), STR("")),
                     ERR_UNAVAILABLE); /* no ledger: nothing is done */
}

static void
test_what_is_not_there_cannot_be_ended(void **state)
{
    (void)state;
    on_fiber(killing);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_verified_by_the_keeper),
        cmocka_unit_test(test_many_questions_get_each_its_own_answer),
        cmocka_unit_test(test_questions_end_with_the_keeper),
        cmocka_unit_test(test_an_answer_that_comes_too_late_is_nobodys),
        cmocka_unit_test(test_a_grant_of_access_is_asked_of_control),
        cmocka_unit_test(test_what_is_not_there_cannot_be_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
