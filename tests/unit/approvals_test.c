/* The engine of approvals on SQLite and on PostgreSQL, with clocks that the tests move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include <malloc.h>

#include "control/access.h"
#include "store_stage.h"

#define POLICY "0123456789012345678901234567890123456789012345678901234567890123"
#define START  INT64_C(1769846400000000) /* 2026-01-31T08:00:00Z */

enum { ANSWERS_MAX = 2048, RULE_ONCE = 0, RULE_SESSION, RULE_TASK, RULE_TWO, RULE_ACCESS, RULES };

static struct stage sqlite, postgres;
static struct db *db;
static struct approvals *engine;
static struct arena *arena;
static int64_t wall_us, monotonic_ms;
static bool ledger_away;
static unsigned recorded[16]; /* by event, see on_record() */

/* What came of waits, by session modulo the size. */
static struct {
    bool answered;
    enum ipc_decision decision;
    char text[256], by[256];
} answers[ANSWERS_MAX];

static const struct str everyone[] = {STR_INIT("*")}, dba[] = {STR_INIT("dba")},
                        oncall[] = {STR_INIT("on-call")};

static struct policy_rule rules[RULES];
static struct config_resource resource = {.name = STR_INIT("analytics"),
                                          .protocol = STR_INIT("postgres")};
static struct config config = {.console = {.url = STR_INIT("https://gw:9443")},
                               .resources = &resource,
                               .n_resources = 1,
                               .policies = rules,
                               .n_policies = RULES};

static void
make_rules(void)
{
    static const char *const names[RULES] = {"once", "session", "task", "two", "access"};
    static const enum step_up_scope scopes[RULES] = {STEP_UP_ONCE, STEP_UP_FOR_SESSION,
                                                     STEP_UP_FOR_TASK, STEP_UP_ONCE, STEP_UP_ONCE};

    for (int i = 0; i < RULES; i++)
        rules[i] = (struct policy_rule){.name = str_from(names[i]),
                                        .verdict = VERDICT_STEP_UP,
                                        .on = i == RULE_ACCESS ? RULE_ON_CONNECT : RULE_ON_COMMAND,
                                        .resources = {everyone, 1},
                                        .classes = i == RULE_ACCESS ? 0 : CLASSES(DDL),
                                        .step_up = {.approver_groups = {dba, 1},
                                                    .break_glass_groups = {oncall, 1},
                                                    .approvals = i == RULE_TWO ? 2 : 1,
                                                    .wait_seconds = 600,
                                                    .wait_in_transaction_seconds = 60,
                                                    .valid_seconds = i == RULE_ACCESS ? 3600 : 300,
                                                    .scope = scopes[i]}};
}

/* --- hooks and clocks ----------------------------------------------------------------------- */

static int64_t
now_wall(void *arg)
{
    (void)arg;
    return wall_us;
}

static int64_t
now_monotonic(void *arg)
{
    (void)arg;
    return monotonic_ms;
}

static const struct approvals_clock test_clock = {now_wall, now_monotonic, NULL};

static void
pass(int64_t seconds)
{
    wall_us += seconds * 1000000;
    monotonic_ms += seconds * 1000;
}

static enum err
on_record(void *arg, const struct approvals_event *event)
{
    (void)arg;
    if (ledger_away)
        return fail(ERR_UNAVAILABLE, "the audit ledger is not available");
    recorded[(unsigned char)event->event[0] % 16]++;
    return OK;
}

static void
on_decided(void *arg, const struct approvals_answer *answer)
{
    size_t i = answer->session % ANSWERS_MAX;

    (void)arg;
    assert_false(answers[i].answered); /* once */
    answers[i].answered = true;
    answers[i].decision = answer->decision;
    (void)snprintf(answers[i].text, sizeof(answers[i].text), "%.*s", STR_ARG(answer->text));
    (void)snprintf(answers[i].by, sizeof(answers[i].by), "%.*s", STR_ARG(answer->by));
}

static char ended_access[64];

static void
on_access_ended(void *arg, struct str access, struct str reason)
{
    (void)arg;
    (void)reason;
    (void)snprintf(ended_access, sizeof(ended_access), "%.*s", STR_ARG(access));
}

static const struct approvals_hooks hooks = {
    .record = on_record, .decided = on_decided, .access_ended = on_access_ended};

/* --- setting up ----------------------------------------------------------------------------- */

static struct approvals *
open_engine(struct db *on, const char *node)
{
    struct approvals *a = NULL;

    assert_int_equal(approvals_open(on, node, &test_clock, &hooks, &a), OK);
    approvals_configure(a, &config, STR(POLICY));
    return a;
}

static int
begin(void **state)
{
    struct stage *stage = *state;

    make_rules();
    wall_us = START;
    monotonic_ms = 1000;
    ledger_away = false;
    ended_access[0] = '\0';
    memset(answers, 0, sizeof(answers));
    db = stage_fresh(stage);
    arena = arena_new(64 << 20);
    engine = open_engine(db, "node");
    return 0;
}

static int
end(void **state)
{
    (void)state;
    approvals_close(engine);
    arena_free(arena);
    return 0;
}

/* --- asking and deciding -------------------------------------------------------------------- */

/* A question with everything usual; tests change what they are about. */
struct question {
    uint64_t session, command;
    int rule;
    const char *text, *subject, *human, *token, *task, *policy, *database;
    bool in_transaction;
    uint32_t wait_ms;
};

static struct question
usual(uint64_t session, int rule)
{
    return (struct question){.session = session,
                             .command = 1,
                             .rule = rule,
                             .text = "ALTER TABLE t ADD a int",
                             .subject = "maria",
                             .human = "maria",
                             .token = "token-1",
                             .task = "",
                             .policy = POLICY,
                             .database = "sales",
                             .wait_ms = 600000};
}

static enum err
ask_of(struct approvals *a, const struct question *q, struct approvals_pending *out)
{
    struct demand demand = {CLASSES(DDL) | CLASSES(ALTER), OBJECT_RELATION, STR("public"),
                            STR("t")};
    struct command command = {.text = str_from(q->text),
                              .database = str_from(q->database),
                              .demands = &demand,
                              .n_demands = 1};
    struct record_intent intent = {.command = q->command,
                                   .verdict = VERDICT_STEP_UP,
                                   .rule = rules[q->rule].name,
                                   .subject = &command};
    struct str chain[] = {str_from(q->human), STR("planner"), STR("executor")};
    struct approvals_session session = {.session = q->session,
                                        .issuer = STR("corp"),
                                        .subject = str_from(q->subject),
                                        .token_id = str_from(q->token),
                                        .task = str_from(q->task),
                                        .email = STR("maria@example.com"),
                                        .chain = {chain, 3},
                                        .resource = STR("analytics"),
                                        .protocol = STR("postgres")};
    unsigned char hash[32] = {0};
    struct buf frame = buf_make(RECORD_FRAME_MAX);
    struct approvals_ask question = {.session = &session,
                                     .command = q->command,
                                     .rule = rules[q->rule].name,
                                     .policy_hash = str_from(q->policy),
                                     .command_hash = {(const char *)hash, sizeof(hash)},
                                     .database = str_from(q->database),
                                     .in_transaction = q->in_transaction,
                                     .wait_ms = q->wait_ms};
    enum err e;

    /* Stands in for command/hash.h, which is tested by itself: other bytes, another hash. */
    for (size_t i = 0; q->text[i] != '\0'; i++)
        hash[i % sizeof(hash)] = (unsigned char)(hash[i % sizeof(hash)] * 31 + q->text[i]);
    record_put_intent(&frame, wall_us, &intent);
    question.frame = buf_str(&frame);
    e = approvals_ask(a, &question, arena, out);
    buf_free(&frame);
    return e;
}

static struct approvals_pending
ask(const struct question *q)
{
    struct approvals_pending pending;
    enum err e = ask_of(engine, q, &pending);

    if (e != OK)
        print_error("%s\n", err_text());
    assert_int_equal(e, OK);
    return pending;
}

struct who {
    const char *subject, *group, *email, *name;
    const char *actor; /* acts for the subject; NULL: nobody does */
};

static enum err
decide_by(struct approvals *a, struct str request, const struct who *who,
          enum decision_verdict verdict, const char *reason)
{
    struct str groups[] = {str_from(who->group)};
    struct str chain[] = {str_from(who->subject), str_from(who->actor ? who->actor : "")};
    struct approver by = {.person = {.issuer = STR("corp"),
                                     .subject = str_from(who->subject),
                                     .name = str_from(who->name ? who->name : who->subject),
                                     .email = str_from(who->email ? who->email : ""),
                                     .groups = {groups, 1}},
                          .chain = {chain, who->actor ? 2 : 1},
                          .token_id = STR("login"),
                          .channel = "api"};
    struct request out;

    return approvals_decide(a, request, &by, verdict, str_from(reason), arena, &out);
}

static enum err
decide(struct str request, const char *subject, enum decision_verdict verdict, const char *reason)
{
    const struct who who = {.subject = subject, .group = "dba"};

    return decide_by(engine, request, &who, verdict, reason);
}

static enum request_state
state_of(struct str request)
{
    struct request r;

    assert_int_equal(requests_get(db, request, arena, &r), OK);
    return r.state;
}

static void
expect_answer(uint64_t session, enum ipc_decision decision)
{
    assert_true(answers[session % ANSWERS_MAX].answered);
    assert_int_equal(answers[session % ANSWERS_MAX].decision, decision);
}

static void
expect_waiting(uint64_t session)
{
    assert_false(answers[session % ANSWERS_MAX].answered);
}

/* --- one decision --------------------------------------------------------------------------- */

static void
test_an_approval_lets_the_command_go_once(void **state)
{
    struct question q = usual(1, RULE_ONCE);
    struct approvals_pending first = ask(&q), second;

    (void)state;
    assert_false(first.approved);
    assert_int_equal(decide(first.request, "ada", DECISION_APPROVE, "fine"), OK);
    expect_answer(1, IPC_DECISION_APPROVED);
    assert_string_equal(answers[1].by, "ada");
    assert_string_equal(answers[1].text, "fine");
    answers[1].answered = false;
    q.command = 2;
    second = ask(&q); /* the identical command is another */
    assert_false(second.approved);
    assert_false(str_equal(first.request, second.request));
    assert_int_equal(decide(first.request, "grace", DECISION_APPROVE, ""), ERR_EXISTS);
    expect_waiting(1);
}

static void
test_one_denial_ends_it(void **state)
{
    struct question q = usual(1, RULE_TWO);
    struct str request = ask(&q).request;

    (void)state;
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), OK);
    expect_waiting(1);
    assert_int_equal(decide(request, "grace", DECISION_DENY, "not at noon"), OK);
    expect_answer(1, IPC_DECISION_DENIED);
    assert_string_equal(answers[1].text, "not at noon");
    assert_int_equal(state_of(request), REQUEST_DENIED);
}

static void
test_two_approvals_are_of_two_humans(void **state)
{
    struct question q = usual(1, RULE_TWO);
    struct str request = ask(&q).request;

    (void)state;
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), OK);
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), ERR_EXISTS);
    expect_waiting(1);
    assert_int_equal(decide(request, "grace", DECISION_APPROVE, ""), OK);
    expect_answer(1, IPC_DECISION_APPROVED);
}

/* --- who ------------------------------------------------------------------------------------ */

static void
test_nobody_of_the_chain_decides_by_any_route(void **state)
{
    static const struct who who[] = {
        {.subject = "maria", .group = "dba"},
        {.subject = "planner", .group = "dba"},
        {.subject = "executor", .group = "dba"},
        {.subject = "maria", .group = "on-call"},
        {.subject = "m.second", .group = "dba", .email = "maria@example.com"},
        {.subject = "m.second", .group = "dba", .email = "Maria@Example.com"},
        {.subject = "m.second", .group = "dba", .name = "maria"},
        {.subject = "ada", .group = "dba", .actor = "executor"}, /* an agent is no human */
        {.subject = "ada", .group = "dba", .actor = "other-agent"},
    };
    struct question q = usual(1, RULE_ONCE);
    struct str request = ask(&q).request;

    (void)state;
    for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
        assert_int_equal(decide_by(engine, request, &who[i], DECISION_APPROVE, "x"), ERR_DENIED);
        assert_int_equal(decide_by(engine, request, &who[i], DECISION_OVERRIDE, "x"), ERR_DENIED);
        assert_int_equal(decide_by(engine, request, &who[i], DECISION_DENY, "x"), ERR_DENIED);
    }
    expect_waiting(1);
    assert_int_equal(state_of(request), REQUEST_PENDING);
}

static void
test_only_the_rules_approvers_decide(void **state)
{
    const struct who admin = {.subject = "root", .group = "admins"};
    struct question q = usual(1, RULE_ONCE);
    struct str request = ask(&q).request;

    (void)state;
    assert_int_equal(decide_by(engine, request, &admin, DECISION_APPROVE, "x"), ERR_DENIED);
    assert_int_equal(decide_by(engine, request, &admin, DECISION_DENY, "x"), ERR_DENIED);
    assert_int_equal(decide_by(engine, request, &admin, DECISION_OVERRIDE, "x"), ERR_DENIED);
    assert_int_equal(decide(request, "ada", DECISION_OVERRIDE, "x"), ERR_DENIED);
    expect_waiting(1);
}

static void
test_break_glass_decides_alone_with_a_reason(void **state)
{
    const struct who olga = {.subject = "olga", .group = "on-call"};
    struct question q = usual(1, RULE_TWO);
    struct str request = ask(&q).request;

    (void)state;
    assert_int_equal(decide_by(engine, request, &olga, DECISION_APPROVE, "x"), ERR_DENIED);
    assert_int_equal(decide_by(engine, request, &olga, DECISION_OVERRIDE, ""), ERR_INVALID);
    assert_int_equal(decide_by(engine, request, &olga, DECISION_OVERRIDE, "the shop is down"), OK);
    expect_answer(1, IPC_DECISION_APPROVED);
    assert_int_equal(state_of(request), REQUEST_OVERRIDDEN);
}

static void
test_without_a_ledger_nothing_is_decided(void **state)
{
    struct question q = usual(1, RULE_ONCE), other = usual(2, RULE_ONCE);
    struct approvals_pending unused;
    struct str request = ask(&q).request;

    (void)state;
    ledger_away = true;
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), ERR_UNAVAILABLE);
    expect_waiting(1);
    assert_int_equal(state_of(request), REQUEST_PENDING);
    other.text = "DROP TABLE t";
    assert_int_equal(ask_of(engine, &other, &unused), ERR_UNAVAILABLE);
    ledger_away = false;
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), OK);
    expect_answer(1, IPC_DECISION_APPROVED);
}

/* --- what an approval serves ------------------------------------------------------------------ */

/* Whether the approval of `rule` that session 1 got serves `q` too. */
static bool
is_served(const struct question *q)
{
    struct approvals_pending pending = ask(q);

    if (!pending.approved)
        approvals_withdraw(engine, q->session, q->command);
    return pending.approved;
}

static void
test_an_approval_of_the_session_serves_identical_commands_there_alone(void **state)
{
    struct question q = usual(1, RULE_SESSION), other;

    (void)state;
    assert_int_equal(decide(ask(&q).request, "ada", DECISION_APPROVE, ""), OK);
    q.command = 2;
    assert_true(is_served(&q));
    other = q, other.session = 2;
    assert_false(is_served(&other));
    other = q, other.text = "ALTER TABLE t ADD b int";
    assert_false(is_served(&other));
    other = q, other.database = "other";
    assert_false(is_served(&other));
    other = q, other.rule = RULE_TASK;
    assert_false(is_served(&other));
    other = q, other.subject = other.human = "marta";
    assert_false(is_served(&other));
    pass(299);
    assert_true(is_served(&q));
    pass(2);
    assert_false(is_served(&q));
}

static void
test_an_approval_of_the_task_serves_its_sessions_until_the_task_changes(void **state)
{
    struct question q = usual(1, RULE_TASK), other;

    (void)state;
    q.task = "deploy-7";
    assert_int_equal(decide(ask(&q).request, "ada", DECISION_APPROVE, ""), OK);
    other = q, other.session = 2, other.token = "token-2";
    assert_true(is_served(&other));
    other.task = "deploy-8";
    assert_false(is_served(&other));
    other.task = ""; /* without one the token is the task */
    assert_false(is_served(&other));
    other = q, other.session = 3, other.human = "marta";
    assert_false(is_served(&other));
}

static void
test_another_policy_is_not_asked_under(void **state)
{
    struct question q = usual(1, RULE_ONCE), old = usual(2, RULE_ONCE);
    struct approvals_pending unused;
    struct str request = ask(&q).request;

    (void)state;
    old.policy = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
    assert_int_equal(ask_of(engine, &old, &unused), ERR_DENIED);
    approvals_configure(engine, &config, str_from(old.policy)); /* now that one is in force */
    expect_answer(1, IPC_DECISION_FAILED);
    assert_int_not_equal(decide(request, "ada", DECISION_APPROVE, ""), OK);
}

static void
test_identical_requests_of_a_task_are_one(void **state)
{
    struct question first = usual(1, RULE_TASK), second = usual(2, RULE_TASK);
    struct str request = ask(&first).request;

    (void)state;
    assert_true(str_equal(ask(&second).request, request));
    assert_int_equal(approvals_waiting(engine), 2);
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), OK);
    expect_answer(1, IPC_DECISION_APPROVED);
    expect_answer(2, IPC_DECISION_APPROVED);
}

static void
test_what_was_withdrawn_a_moment_ago_is_reopened_under_its_id(void **state)
{
    struct question q = usual(1, RULE_ONCE);
    struct str request = ask(&q).request;

    (void)state;
    approvals_withdraw(engine, 1, 1);
    assert_int_equal(state_of(request), REQUEST_WITHDRAWN);
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), ERR_EXISTS);
    q.command = 2;
    assert_true(str_equal(ask(&q).request, request));
    assert_int_equal(state_of(request), REQUEST_PENDING);
    approvals_withdraw(engine, 1, 2);
    pass(APPROVALS_REOPEN_SECONDS + 1);
    q.command = 3;
    assert_false(str_equal(ask(&q).request, request));
}

/* --- time ----------------------------------------------------------------------------------- */

static void
test_nobody_answering_ends_the_wait(void **state)
{
    struct question q = usual(1, RULE_ONCE), locked = usual(2, RULE_ONCE);
    struct str request, request_locked;

    (void)state;
    locked.in_transaction = true;
    locked.text = "DROP TABLE t";
    request = ask(&q).request;
    request_locked = ask(&locked).request;
    pass(61);
    approvals_tick(engine);
    expect_answer(2, IPC_DECISION_EXPIRED);
    expect_waiting(1);
    pass(600);
    approvals_tick(engine);
    expect_answer(1, IPC_DECISION_EXPIRED);
    assert_int_equal(state_of(request), REQUEST_EXPIRED);
    assert_int_equal(decide(request_locked, "ada", DECISION_APPROVE, ""), ERR_EXISTS);
}

static void
test_a_decision_comes_too_late_even_before_the_tick(void **state)
{
    struct question q = usual(1, RULE_ONCE);
    struct str request = ask(&q).request;

    (void)state;
    pass(601);
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), ERR_EXISTS);
    approvals_tick(engine);
    expect_answer(1, IPC_DECISION_EXPIRED);
}

static void
test_a_clock_that_jumps_prolongs_nothing(void **state)
{
    struct question q = usual(1, RULE_ONCE), kept = usual(2, RULE_SESSION);

    (void)state;
    (void)ask(&q);
    assert_int_equal(decide(ask(&kept).request, "ada", DECISION_APPROVE, ""), OK);
    wall_us -= INT64_C(3600) * 1000000; /* an hour back */
    monotonic_ms += 601 * 1000;
    approvals_tick(engine);
    expect_answer(1, IPC_DECISION_EXPIRED);
    kept.command = 2;
    assert_false(is_served(&kept)); /* its 300 s are over by the other clock */
}

static void
test_a_clock_that_jumps_ahead_ends_what_waits(void **state)
{
    struct question q = usual(1, RULE_ONCE);
    struct str request = ask(&q).request;

    (void)state;
    wall_us += INT64_C(86400) * 1000000;
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), ERR_EXISTS);
    approvals_tick(engine);
    expect_answer(1, IPC_DECISION_EXPIRED);
}

/* --- many, and several ----------------------------------------------------------------------- */

static void
test_a_thousand_wait_at_little_cost(void **state)
{
    enum { MANY = 1000 };
    struct approvals_pending *pending = calloc(MANY, sizeof(*pending));
    size_t before = mallinfo2().uordblks, each;

    (void)state;
    assert_non_null(pending);
    for (uint64_t i = 0; i < MANY; i++) {
        struct question q = usual(i + 1, RULE_ONCE);

        pending[i] = ask(&q);
    }
    each = (mallinfo2().uordblks - before) / MANY;
    print_message("%zu bytes for each request that waits, its texts for the test included\n", each);
    assert_true(each < 20 << 10);
    assert_int_equal(approvals_waiting(engine), MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(
            decide(pending[i].request, "ada", i % 2 == 0 ? DECISION_APPROVE : DECISION_DENY, "x"),
            OK);
        expect_answer(i + 1, i % 2 == 0 ? IPC_DECISION_APPROVED : IPC_DECISION_DENIED);
    }
    assert_int_equal(approvals_waiting(engine), 0);
    free(pending);
}

static void
test_what_was_pending_survives_a_restart_and_can_be_denied(void **state)
{
    struct question q = usual(1, RULE_ONCE);
    struct str request = ask(&q).request;

    (void)state;
    approvals_close(engine);
    expect_answer(1, IPC_DECISION_FAILED);
    engine = open_engine(db, "node");
    assert_int_equal(state_of(request), REQUEST_PENDING);
    assert_int_equal(decide(request, "ada", DECISION_APPROVE, ""), ERR_EXISTS); /* nobody waits */
    assert_int_equal(decide(request, "ada", DECISION_DENY, "no"), OK);
    assert_int_equal(state_of(request), REQUEST_DENIED);
}

static void
test_a_session_that_ends_withdraws(void **state)
{
    struct question q = usual(1, RULE_ONCE);
    struct str request = ask(&q).request;

    (void)state;
    approvals_session_ended(engine, 1);
    assert_int_equal(state_of(request), REQUEST_WITHDRAWN);
    assert_int_equal(approvals_waiting(engine), 0);
    expect_waiting(1); /* nobody is called back */
}

static void
test_a_decision_of_another_node_reaches_who_waits(void **state)
{
    struct stage *stage = *state;
    struct question q = usual(1, RULE_ONCE);
    struct str request = ask(&q).request;
    struct db *other_db = stage_connect(stage);
    struct approvals *other = open_engine(other_db, "other-node");
    const struct who ada = {.subject = "ada", .group = "dba"};

    assert_int_equal(decide_by(other, request, &ada, DECISION_APPROVE, "from afar"), OK);
    pass(2);
    approvals_tick(engine);
    expect_answer(1, IPC_DECISION_APPROVED);
    assert_string_equal(answers[1].text, "from afar");
    approvals_close(other);
    db_close(other_db);
}

static void
test_of_approval_denial_withdrawal_and_timeout_in_any_order_one_wins(void **state)
{
    unsigned seed = 20260131;

    (void)state;
    for (uint64_t round = 1; round <= 200; round++) {
        struct question q = usual(round, RULE_ONCE);
        struct str request;
        unsigned ends = 0;

        request = ask(&q).request;
        for (int step = 0; step < 4; step++) {
            enum request_state was = state_of(request);
            enum err e = OK;

            switch (rand_r(&seed) % 4) {
            case 0:
                e = decide(request, "ada", DECISION_APPROVE, "");
                break;
            case 1:
                e = decide(request, "grace", DECISION_DENY, "no");
                break;
            case 2:
                approvals_withdraw(engine, round, 1);
                break;
            default:
                pass(601);
                approvals_tick(engine);
            }
            if (was != REQUEST_PENDING) {
                assert_true(e == OK || e == ERR_EXISTS);
                assert_int_equal(state_of(request), was); /* what has ended stays so */
            } else if (state_of(request) != REQUEST_PENDING) {
                ends++;
            }
        }
        assert_true(ends <= 1);
        if (state_of(request) == REQUEST_APPROVED)
            expect_answer(round, IPC_DECISION_APPROVED);
        else if (answers[round % ANSWERS_MAX].answered)
            assert_int_not_equal(answers[round % ANSWERS_MAX].decision, IPC_DECISION_APPROVED);
        approvals_withdraw(engine, round, 1);
    }
}

/* --- access --------------------------------------------------------------------------------- */

static struct approver
agent(void)
{
    static const struct str chain[] = {STR_INIT("maria")};

    return (struct approver){
        .person = {.issuer = STR("corp"), .subject = STR("maria"), .name = STR("maria")},
        .chain = {chain, 1},
        .token_id = STR("token-1"),
        .channel = "api"};
}

static enum err
look_up(struct grant *out)
{
    static const struct str chain[] = {STR_INIT("maria")};

    return access_lookup(engine, STR("corp"), STR("maria"), (struct str_list){chain, 1},
                         STR("analytics"), STR("access"), arena, out);
}

static void
test_access_is_for_a_time_and_can_be_revoked(void **state)
{
    struct approver who = agent(), ada = agent();
    struct access_ask wanted = {
        .who = &who, .resource = STR("analytics"), .seconds = 3600, .reason = STR("ticket 42")};
    struct request request;
    struct grant grant;

    (void)state;
    ada.person.subject = ada.person.name = STR("ada");
    assert_int_equal(look_up(&grant), ERR_DENIED);
    assert_int_equal(access_request(engine, &wanted, arena, &request), OK);
    assert_int_equal(decide(request.id, "maria", DECISION_APPROVE, ""), ERR_DENIED);
    assert_int_equal(decide(request.id, "ada", DECISION_APPROVE, ""), OK);
    assert_int_equal(look_up(&grant), OK);
    pass(1800);
    assert_int_equal(look_up(&grant), OK);
    assert_int_equal(access_revoke(engine, grant.id, &ada, STR("done"), arena, &grant), OK);
    assert_true(str_is(grant.id, ended_access));
    assert_int_equal(look_up(&grant), ERR_DENIED);

    assert_int_equal(access_request(engine, &wanted, arena, &request), OK);
    assert_int_equal(decide(request.id, "ada", DECISION_APPROVE, ""), OK);
    assert_int_equal(look_up(&grant), OK);
    pass(3601);
    assert_int_equal(look_up(&grant), ERR_DENIED);
}

/* --- both stores ---------------------------------------------------------------------------- */

#define EACH(X)                                                                                    \
    X(test_an_approval_lets_the_command_go_once)                                                   \
    X(test_one_denial_ends_it)                                                                     \
    X(test_two_approvals_are_of_two_humans)                                                        \
    X(test_nobody_of_the_chain_decides_by_any_route)                                               \
    X(test_only_the_rules_approvers_decide)                                                        \
    X(test_break_glass_decides_alone_with_a_reason)                                                \
    X(test_without_a_ledger_nothing_is_decided)                                                    \
    X(test_an_approval_of_the_session_serves_identical_commands_there_alone)                       \
    X(test_an_approval_of_the_task_serves_its_sessions_until_the_task_changes)                     \
    X(test_another_policy_is_not_asked_under)                                                      \
    X(test_identical_requests_of_a_task_are_one)                                                   \
    X(test_what_was_withdrawn_a_moment_ago_is_reopened_under_its_id)                               \
    X(test_nobody_answering_ends_the_wait)                                                         \
    X(test_a_decision_comes_too_late_even_before_the_tick)                                         \
    X(test_a_clock_that_jumps_prolongs_nothing)                                                    \
    X(test_a_clock_that_jumps_ahead_ends_what_waits)                                               \
    X(test_a_thousand_wait_at_little_cost)                                                         \
    X(test_what_was_pending_survives_a_restart_and_can_be_denied)                                  \
    X(test_a_session_that_ends_withdraws)                                                          \
    X(test_a_decision_of_another_node_reaches_who_waits)                                           \
    X(test_of_approval_denial_withdrawal_and_timeout_in_any_order_one_wins)                        \
    X(test_access_is_for_a_time_and_can_be_revoked)

static int
begin_stages(void **state)
{
    (void)state;
    stage_begin(&sqlite, DB_SQLITE);
    stage_begin(&postgres, DB_POSTGRESQL);
    return 0;
}

static int
end_stages(void **state)
{
    (void)state;
    stage_end(&sqlite);
    stage_end(&postgres);
    return 0;
}

int
main(void)
{
#define ON_SQLITE(test)                                                                            \
    {.name = #test " on SQLite",                                                                   \
     .test_func = test,                                                                            \
     .setup_func = begin,                                                                          \
     .teardown_func = end,                                                                         \
     .initial_state = &sqlite},
#define ON_POSTGRESQL(test)                                                                        \
    {.name = #test " on PostgreSQL",                                                               \
     .test_func = test,                                                                            \
     .setup_func = begin,                                                                          \
     .teardown_func = end,                                                                         \
     .initial_state = &postgres},
    const struct CMUnitTest tests[] = {EACH(ON_SQLITE) EACH(ON_POSTGRESQL)};

    return cmocka_run_group_tests(tests, begin_stages, end_stages);
}
