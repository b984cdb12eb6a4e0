#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <pthread.h>
#undef fail /* ours is meant */

#include "control/access.h"
#include "store/outbox.h"
#include "store_stage.h"

/* --- what stands around the engine ---------------------------------------------------------------
 */

struct world {
    struct db *db;
    struct approvals *a;
    int64_t wall_us, mono_ms;
    struct approvals_clock clock;
    struct approvals_hooks hooks;
    bool ledger_away;
    unsigned recorded[8]; /* requested, approved, denied, overridden, expired, withdrawn, revoked */
    unsigned changes;
    struct {
        uint64_t session, command;
        enum ipc_decision decision;
        char by[128], text[256], request[17];
        unsigned char hash[32];
    } answers[2048];
    size_t n_answers;
    char ended[64], ended_why[256];
    unsigned n_ended;
};

static struct stage stage;
static struct arena *arena;
static struct world one, two; /* nodes that share a store */

static const char *const events[] = {"requested", "approved",  "denied", "overridden",
                                     "expired",   "withdrawn", "revoked"};

static int64_t
wall(void *arg)
{
    return ((struct world *)arg)->wall_us;
}

static int64_t
mono(void *arg)
{
    return ((struct world *)arg)->mono_ms;
}

static enum err
record(void *arg, const struct approvals_event *event)
{
    struct world *w = arg;

    if (w->ledger_away)
        return fail(ERR_UNAVAILABLE, "the audit ledger is not available");
    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
        w->recorded[i] += strcmp(event->event, events[i]) == 0;
    return OK;
}

static unsigned
times_recorded(const struct world *w, const char *event)
{
    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
        if (strcmp(event, events[i]) == 0)
            return w->recorded[i];
    return 0;
}

static void
copy(char *to, size_t size, struct str s)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;

    memcpy(to, s.ptr, n);
    to[n] = '\0';
}

static void
decided(void *arg, const struct approvals_answer *answer)
{
    struct world *w = arg;

    assert_true(w->n_answers < sizeof(w->answers) / sizeof(*w->answers));
    w->answers[w->n_answers].session = answer->session;
    w->answers[w->n_answers].command = answer->command;
    w->answers[w->n_answers].decision = answer->decision;
    copy(w->answers[w->n_answers].by, 128, answer->by);
    copy(w->answers[w->n_answers].text, 256, answer->text);
    copy(w->answers[w->n_answers].request, 17, answer->request);
    assert_int_equal(answer->command_hash.len, 32);
    memcpy(w->answers[w->n_answers++].hash, answer->command_hash.ptr, 32);
}

static void
changed(void *arg, struct str request, enum request_state state)
{
    (void)request;
    (void)state;
    ((struct world *)arg)->changes++;
}

static void
access_ended(void *arg, struct str access, struct str reason)
{
    struct world *w = arg;

    copy(w->ended, sizeof(w->ended), access);
    copy(w->ended_why, sizeof(w->ended_why), reason);
    w->n_ended++;
}

static void
pass(struct world *w, int64_t ms)
{
    w->mono_ms += ms;
    w->wall_us += ms * 1000;
}

/* --- the configuration ---------------------------------------------------------------------------
 */

static const struct str dba[] = {STR_INIT("dba-*")}, oncall[] = {STR_INIT("oncall")},
                        zoe[] = {STR_INIT("zoe")}, prod[] = {STR_INIT("prod")},
                        only_decisions[] = {STR_INIT("decision")};

#define STEP(needed, of, seconds, reason)                                                          \
    {                                                                                              \
        .approver_groups = {dba, 1}, .approver_subjects = {zoe, 1},                                \
        .break_glass_groups = {oncall, 1}, .approvals = (needed), .wait_seconds = 600,             \
        .wait_in_transaction_seconds = 60, .valid_seconds = (seconds),                             \
        .reason_required = (reason), .scope = (of)                                                 \
    }
#define RULE(called, ...)                                                                          \
    {                                                                                              \
        .name = STR_INIT(called), .verdict = VERDICT_STEP_UP, .message = STR_INIT("ask"),          \
        __VA_ARGS__                                                                                \
    }

static const struct policy_rule rules[] = {
    RULE("once", .step_up = STEP(1, STEP_UP_ONCE, 900, false)),
    RULE("two", .step_up = STEP(2, STEP_UP_ONCE, 900, false)),
    RULE("session", .step_up = STEP(1, STEP_UP_FOR_SESSION, 900, false)),
    RULE("task", .step_up = STEP(1, STEP_UP_FOR_TASK, 900, false)),
    RULE("reason", .step_up = STEP(1, STEP_UP_ONCE, 900, true)),
    RULE("session2", .step_up = STEP(1, STEP_UP_FOR_SESSION, 900, false)),
    RULE("jit", .on = RULE_ON_CONNECT, .step_up = STEP(1, STEP_UP_ONCE, 7200, false)),
    {.name = STR_INIT("plain"), .verdict = VERDICT_ALLOW},
};
static const struct rule_label labels[] = {{STR_INIT("env"), {prod, 1}}};
static const struct config_resource resources[] = {
    {.name = STR_INIT("analytics"),
     .protocol = STR_INIT("postgres"),
     .labels = labels,
     .n_labels = 1},
};
static const struct config_notification notifications[] = {
    {.name = STR_INIT("ops")},
    {.name = STR_INIT("quiet"), .events = {only_decisions, 1}},
};
static const struct config config = {
    .policies = rules,
    .n_policies = sizeof(rules) / sizeof(*rules),
    .resources = resources,
    .n_resources = 1,
    .notifications = notifications,
    .n_notifications = 2,
};

/* 64 digits each */
#define POLICY_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define POLICY_2 "2222222222222222222222222222222222222222222222222222222222222222"

static void
start(struct world *w, const char *node)
{
    w->clock = (struct approvals_clock){wall, mono, w};
    w->hooks = (struct approvals_hooks){w, record, decided, changed, access_ended};
    stage_must(approvals_open(w->db, node, &w->clock, &w->hooks, &w->a));
    approvals_configure(w->a, &config, STR(POLICY_1));
}

static void
begin_world(struct world *w, struct db *db, const char *node)
{
    *w = (struct world){.db = db, .wall_us = INT64_C(1800000000000000), .mono_ms = 5000};
    start(w, node);
}

static int
set_up(void **state)
{
    (void)state;
    begin_world(&one, stage_fresh(&stage), "one");
    begin_world(&two, stage_connect(&stage), "two");
    arena = arena_new(256 << 20);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    approvals_close(one.a);
    approvals_close(two.a);
    db_close(two.db);
    arena_free(arena);
    return 0;
}

/* --- who asks and who answers
 * --------------------------------------------------------------------- */

static const struct str chain[] = {STR_INIT("alice"), STR_INIT("planner"), STR_INIT("executor")};

static struct approvals_session
a_session(uint64_t id)
{
    return (struct approvals_session){
        .session = id,
        .issuer = STR("corp"),
        .subject = STR("alice"),
        .token_id = STR("jti-1"),
        .email = STR("alice@example.com"),
        .chain = {chain, 3},
        .resource = STR("analytics"),
        .protocol = STR("postgres"),
        .client = STR("psql"),
        .source = STR("::1"),
    };
}

static struct buf
a_frame(uint64_t number, struct str text)
{
    static const struct demand demands[] = {
        {CLASSES(DDL) | CLASSES(ALTER), OBJECT_RELATION, STR_INIT("public"), STR_INIT("orders")}};
    struct command command = {
        .text = text, .database = STR("sales"), .demands = demands, .n_demands = 1};
    struct record_intent intent = {.command = number,
                                   .verdict = VERDICT_STEP_UP,
                                   .rule = STR("once"),
                                   .policy_hash = STR(POLICY_1),
                                   .subject = &command,
                                   .decisive = 0};
    struct buf out = buf_make(RECORD_FRAME_MAX);

    record_put_intent(&out, 1, &intent);
    assert_int_equal(buf_ok(&out), OK);
    return out;
}

struct asked {
    struct approvals_session session;
    uint64_t command;
    struct str rule, policy, text, database, purpose;
    char hash; /* all 32 bytes */
    bool in_transaction;
    uint32_t wait_ms;
};

static struct asked
asking(const char *rule, uint64_t session, uint64_t command)
{
    return (struct asked){.session = a_session(session),
                          .command = command,
                          .rule = str_from(rule),
                          .policy = STR(POLICY_1),
                          .text = STR("ALTER TABLE orders ADD x int"),
                          .database = STR("sales"),
                          .purpose = STR(""),
                          .hash = 'h',
                          .wait_ms = 600000};
}

static enum err
ask(struct world *w, const struct asked *asked, struct approvals_pending *out)
{
    struct buf frame = a_frame(asked->command, asked->text);
    char hash[32];
    struct approvals_ask question = {
        .session = &asked->session,
        .command = asked->command,
        .rule = asked->rule,
        .policy_hash = asked->policy,
        .command_hash = {hash, sizeof(hash)},
        .database = asked->database,
        .purpose = asked->purpose,
        .in_transaction = asked->in_transaction,
        .wait_ms = asked->wait_ms,
        .frame = buf_str(&frame),
        .preview = STR("{\"kind\":\"estimate\",\"rows\":5}"),
    };
    enum err e;

    memset(hash, asked->hash, sizeof(hash));
    e = approvals_ask(w->a, &question, arena, out);
    buf_free(&frame);
    return e;
}

/* Asks; it must wait. Returns the request's id. */
static struct str
must_wait(struct world *w, struct asked asked)
{
    struct approvals_pending p;

    stage_must(ask(w, &asked, &p));
    assert_false(p.approved);
    assert_true(store_is_id(p.request));
    return p.request;
}

static struct approver
a_human(const char *subject, const char *group)
{
    struct str *groups = arena_array(arena, 1, sizeof(*groups));
    struct buf email = buf_make(256);
    struct approver by;

    buf_printf(&email, "%s@example.com", subject);
    groups[0] = str_from(group);
    by = (struct approver){.person = {.issuer = STR("corp"),
                                      .subject = str_from(subject),
                                      .name = str_from(subject),
                                      .email = arena_str(arena, buf_str(&email)),
                                      .groups = {groups, 1}},
                           .token_id = str_from(subject),
                           .channel = "console"};
    buf_free(&email);
    return by;
}

static enum err
say(struct world *w, struct str id, struct approver by, enum decision_verdict verdict,
    const char *reason)
{
    struct request out;

    return approvals_decide(w->a, id, &by, verdict, str_from(reason), arena, &out);
}

static enum err
approve(struct world *w, struct str id, const char *subject)
{
    return say(w, id, a_human(subject, "dba-eu"), DECISION_APPROVE, "");
}

static struct request
load(struct str id)
{
    struct request r;

    stage_must(requests_get(one.db, id, arena, &r));
    return r;
}

static void
assert_state(struct str id, enum request_state state)
{
    assert_string_equal(request_state_name(load(id).state), request_state_name(state));
}

static size_t
outbox_count(const char *event)
{
    struct outbox_list list;
    size_t n = 0;

    stage_must(outbox_claim(one.db, INT64_MAX / 2, 0, 500, arena, &list));
    for (size_t i = 0; i < list.n; i++)
        n += str_is(list.items[i].event, event);
    return n;
}

/* --- deciding
 * -------------------------------------------------------------------------------------- */

static void
test_an_approval_lets_the_command_go(void **state)
{
    struct str id = must_wait(&one, asking("once", 1, 7));

    (void)state;
    assert_int_equal(one.n_answers, 0);
    stage_must(say(&one, id, a_human("bob", "dba-eu"), DECISION_APPROVE, " fine "));
    assert_int_equal(one.n_answers, 1);
    assert_int_equal(one.answers[0].session, 1);
    assert_int_equal(one.answers[0].command, 7);
    assert_int_equal(one.answers[0].decision, IPC_DECISION_APPROVED);
    assert_string_equal(one.answers[0].by, "bob");
    assert_string_equal(one.answers[0].text, "fine");
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(one.answers[0].hash[i], 'h');
    assert_state(id, REQUEST_APPROVED);
    assert_int_equal(times_recorded(&one, "requested"), 1);
    assert_int_equal(times_recorded(&one, "approved"), 1);
    assert_int_equal(outbox_count("approval"), 1); /* "quiet" wants decisions only */
    assert_int_equal(outbox_count("decision"), 2);
    assert_int_equal(approvals_waiting(one.a), 0);
}

static void
test_one_denial_ends_it_with_its_words(void **state)
{
    struct str id = must_wait(&one, asking("two", 1, 7));

    (void)state;
    stage_must(approve(&one, id, "bob"));
    assert_int_equal(one.n_answers, 0);
    stage_must(say(&one, id, a_human("carol", "dba-eu"), DECISION_DENY, "not on a Friday"));
    assert_int_equal(one.answers[0].decision, IPC_DECISION_DENIED);
    assert_string_equal(one.answers[0].by, "carol");
    assert_string_equal(one.answers[0].text, "not on a Friday");
    assert_state(id, REQUEST_DENIED);
    assert_int_equal(approve(&one, id, "dave"), ERR_EXISTS);
    assert_int_equal(one.n_answers, 1);
}

static void
test_several_must_be_distinct_humans(void **state)
{
    struct str id = must_wait(&one, asking("two", 1, 7));
    struct approver other = a_human("bob2", "dba-eu");

    (void)state;
    stage_must(approve(&one, id, "bob"));
    assert_int_equal(approve(&one, id, "bob"), ERR_EXISTS);
    assert_int_equal(say(&one, id, a_human("bob", "dba-eu"), DECISION_DENY, ""), ERR_EXISTS);
    other.person.email = STR("BOB@example.com"); /* another account of the same human */
    assert_int_equal(say(&one, id, other, DECISION_APPROVE, ""), ERR_EXISTS);
    other = a_human("bob", "dba-eu");
    other.person.issuer = STR("elsewhere");
    other.person.email = STR("");
    assert_int_equal(say(&one, id, other, DECISION_APPROVE, ""), ERR_EXISTS);
    assert_state(id, REQUEST_PENDING);
    stage_must(approve(&one, id, "carol"));
    assert_string_equal(one.answers[0].by, "bob, carol");
    assert_state(id, REQUEST_APPROVED);
    assert_int_equal(times_recorded(&one, "approved"), 2);
}

static void
refuse(struct str id, struct approver by, const char *why)
{
    struct approvals_eligibility may;
    struct request r = load(id);
    struct decision_list none = {0};

    stage_must(approvals_may_decide(one.a, &r, &none, &by, arena, &may));
    assert_false(may.may_decide || may.may_override);
    assert_int_equal(say(&one, id, by, DECISION_APPROVE, "x"), ERR_DENIED);
    if (strstr(err_text(), why) == NULL)
        print_error("%s\n", err_text());
    assert_non_null(strstr(err_text(), why));
    assert_int_equal(say(&one, id, by, DECISION_OVERRIDE, "x"), ERR_DENIED);
    assert_int_equal(say(&one, id, by, DECISION_DENY, "x"), ERR_DENIED);
}

static void
test_nobody_decides_on_their_own_behalf_by_any_route(void **state)
{
    static const struct str both[] = {STR_INIT("dba-eu"), STR_INIT("oncall")};
    static const char *const subjects[] = {"alice", "planner", "executor", "ALICE"};
    static const struct str delegated[] = {STR_INIT("bob"), STR_INIT("bot")};
    struct str id = must_wait(&one, asking("once", 1, 7));
    struct person known = {.issuer = STR("corp"),
                           .subject = STR("planner"),
                           .name = STR(""),
                           .email = STR("paula@example.com")};
    struct approver by;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        by = a_human(subjects[i], "x");
        by.person.groups = (struct str_list){both, 2};
        by.person.email = STR("");
        refuse(id, by, "your own");
        by.person.issuer = STR("another"); /* the same name elsewhere */
        refuse(id, by, "your own");
    }
    by = a_human("bob", "x");
    by.person.groups = (struct str_list){both, 2};
    by.person.email = STR("Alice@Example.com"); /* of the session */
    refuse(id, by, "your own");
    by.person.email = STR("planner"); /* a chain of addresses */
    refuse(id, by, "your own");
    by.person.email = STR("bob@example.com");
    by.person.name = STR("Executor");
    refuse(id, by, "your own");
    by.person.name = STR("Bob");
    by.token_id = STR("jti-1"); /* the session's own token */
    refuse(id, by, "your own");
    by.token_id = STR("login");
    by.chain = (struct str_list){delegated, 2}; /* an agent of bob's */
    refuse(id, by, "humans themselves");
    by.chain = (struct str_list){chain, 1};
    refuse(id, by, "your own");
    by.chain = (struct str_list){0};
    stage_must(people_put(one.db, &known)); /* planner once logged in as paula */
    by.person.email = STR("Paula@example.com");
    refuse(id, by, "your own");
    by.person.subject = STR("");
    by.person.email = STR("");
    refuse(id, by, "not known who");
    refuse(id, a_human("root", "admins"), "not an approver");
    refuse(id, a_human("eve", "dba"), "not an approver"); /* the glob is dba-* */
    assert_state(id, REQUEST_PENDING);
    assert_int_equal(times_recorded(&one, "approved") + times_recorded(&one, "denied"), 0);
    stage_must(say(&one, id, a_human("zoe", "none"), DECISION_APPROVE, "")); /* by name */
}

static void
test_break_glass_needs_a_reason_and_pages_everyone(void **state)
{
    struct str id = must_wait(&one, asking("two", 1, 7));
    struct approver by = a_human("olga", "oncall");

    (void)state;
    assert_int_equal(say(&one, id, by, DECISION_APPROVE, "x"), ERR_DENIED);
    assert_int_equal(say(&one, id, by, DECISION_OVERRIDE, "  "), ERR_INVALID);
    assert_int_equal(say(&one, id, a_human("bob", "dba-eu"), DECISION_OVERRIDE, "x"), ERR_DENIED);
    stage_must(say(&one, id, by, DECISION_OVERRIDE, "site is down"));
    assert_int_equal(one.answers[0].decision, IPC_DECISION_APPROVED);
    assert_state(id, REQUEST_OVERRIDDEN);
    assert_int_equal(times_recorded(&one, "overridden"), 1);
    assert_int_equal(outbox_count("break-glass"), 2);
}

static void
test_an_override_makes_no_approval_for_later(void **state)
{
    struct str id = must_wait(&one, asking("session", 1, 7));

    (void)state;
    stage_must(say(&one, id, a_human("olga", "oncall"), DECISION_OVERRIDE, "down"));
    (void)must_wait(&one, asking("session", 1, 8));
}

static void
test_a_rule_may_want_reasons(void **state)
{
    struct str id = must_wait(&one, asking("reason", 1, 7));

    (void)state;
    assert_int_equal(approve(&one, id, "bob"), ERR_INVALID);
    stage_must(say(&one, id, a_human("bob", "dba-eu"), DECISION_APPROVE, "planned"));
}

static void
test_without_the_ledger_nothing_is_asked_or_decided(void **state)
{
    struct approvals_pending p;
    struct asked asked = asking("once", 1, 7);
    uint64_t n;

    (void)state;
    one.ledger_away = true;
    assert_int_equal(ask(&one, &asked, &p), ERR_UNAVAILABLE);
    stage_must(requests_count_pending(one.db, &n));
    assert_int_equal(n, 0);
    assert_int_equal(outbox_count("approval"), 0);
    one.ledger_away = false;
    struct str id = must_wait(&one, asked);
    one.ledger_away = true;
    assert_int_equal(approve(&one, id, "bob"), ERR_UNAVAILABLE);
    assert_int_equal(one.n_answers, 0);
    assert_state(id, REQUEST_PENDING);
    one.ledger_away = false;
    stage_must(approve(&one, id, "bob"));
}

static void
test_what_was_changed_in_the_store_is_not_approved(void **state)
{
    struct str id = must_wait(&one, asking("once", 1, 7));

    (void)state;
    stage_must(db_exec(one.db, "UPDATE requests SET resource = 'other' WHERE id = $1",
                       DB_PARAMS(db_text(id)), NULL, NULL, NULL));
    assert_int_equal(approve(&one, id, "bob"), ERR_DENIED);
    assert_int_equal(one.n_answers, 0);
}

/* --- what an approval serves
 * ----------------------------------------------------------------------- */

/* Whether this is approved at once. */
static bool
is_served(struct asked asked)
{
    static uint64_t number = 1000;
    struct approvals_pending p;
    enum err e;

    asked.command = number++;
    e = ask(&one, &asked, &p);
    if (e != OK)
        return false;
    if (!p.approved)
        approvals_withdraw(one.a, asked.session.session, asked.command);
    return p.approved;
}

static void
test_an_approval_of_once_serves_nothing_else(void **state)
{
    (void)state;
    stage_must(approve(&one, must_wait(&one, asking("once", 1, 7)), "bob"));
    assert_false(is_served(asking("once", 1, 8)));
}

static void
test_an_approval_for_a_session_serves_nothing_but_the_same_there(void **state)
{
    static const struct str other_chain[] = {STR_INIT("alice"), STR_INIT("executor")};
    struct asked base = asking("session", 1, 7), other;

    (void)state;
    assert_false(is_served(base));
    stage_must(approve(&one, must_wait(&one, base), "bob"));
    assert_true(is_served(base));
    other = base;
    other.session.session = 2;
    assert_false(is_served(other));
    other = base;
    other.hash = 'i'; /* other bytes, or other binds */
    assert_false(is_served(other));
    other = base;
    other.session.subject = STR("mallory");
    other.session.chain = (struct str_list){0};
    assert_false(is_served(other));
    other = base;
    other.session.chain = (struct str_list){other_chain, 2};
    assert_false(is_served(other));
    other = base;
    other.session.issuer = STR("other");
    assert_false(is_served(other));
    other = base;
    other.session.token_id = STR("jti-2");
    assert_false(is_served(other));
    other = base;
    other.session.resource = STR("billing");
    assert_false(is_served(other));
    other = base;
    other.database = STR("hr");
    assert_false(is_served(other));
    other = base;
    other.purpose = STR("something else");
    assert_false(is_served(other));
    other = base;
    other.rule = STR("session2");
    assert_false(is_served(other));
    other = base;
    other.policy = STR(POLICY_2);
    assert_false(is_served(other));
    assert_true(is_served(base));
    approvals_configure(one.a, &config, STR(POLICY_2));
    assert_false(is_served(base));
    assert_false(is_served(other));
}

static void
test_an_approval_for_a_task_serves_its_sessions(void **state)
{
    struct asked base = asking("task", 1, 7), other;

    (void)state;
    base.session.task = STR("ticket-7");
    stage_must(approve(&one, must_wait(&one, base), "bob"));
    other = base;
    other.session.session = 2;
    other.session.token_id = STR("jti-2");
    assert_true(is_served(other));
    other.session.task = STR("ticket-8");
    assert_false(is_served(other));
    other.session.task = STR("");
    assert_false(is_served(other));
    other = base;
    other.hash = 'x';
    assert_false(is_served(other));
}

static void
test_without_a_task_the_token_is_the_task(void **state)
{
    struct asked base = asking("task", 1, 7), other;

    (void)state;
    stage_must(approve(&one, must_wait(&one, base), "bob"));
    other = base;
    other.session.session = 2;
    assert_true(is_served(other));
    other.session.token_id = STR("jti-2");
    assert_false(is_served(other));
}

static void
test_an_approval_ends_when_it_should_whatever_the_clock_does(void **state)
{
    struct asked base = asking("session", 1, 7);

    (void)state;
    stage_must(approve(&one, must_wait(&one, base), "bob"));
    pass(&one, 899000);
    assert_true(is_served(base));
    one.wall_us -= INT64_C(800000000); /* back, but not before it began */
    one.mono_ms += 500;
    assert_true(is_served(base));
    one.mono_ms += 500;
    assert_false(is_served(base)); /* 900 s have passed */
    approvals_tick(one.a);
    one.wall_us += 1000000; /* and it is not revived later */
    assert_false(is_served(base));
}

static void
test_an_approval_from_the_future_serves_nothing(void **state)
{
    struct asked base = asking("session", 1, 7);

    (void)state;
    stage_must(approve(&one, must_wait(&one, base), "bob"));
    one.wall_us -= 1000000;
    assert_false(is_served(base));
}

/* --- collapsing, reopening
 * --------------------------------------------------------------------------- */

static void
test_identical_requests_are_one_and_all_are_answered(void **state)
{
    struct asked first = asking("task", 1, 7), second = asking("task", 2, 3);
    struct str id = must_wait(&one, first);

    (void)state;
    assert_true(str_equal(id, must_wait(&one, second)));
    assert_true(str_equal(id, must_wait(&two, asking("task", 3, 1)))); /* also elsewhere */
    assert_int_equal(outbox_count("approval"), 1);
    approvals_withdraw(one.a, 1, 7);
    assert_state(id, REQUEST_PENDING);
    stage_must(approve(&one, id, "bob"));
    assert_int_equal(one.n_answers, 1);
    assert_int_equal(one.answers[0].session, 2);
    pass(&two, 10000);
    approvals_tick(two.a);
    assert_int_equal(two.n_answers, 1);
    assert_int_equal(two.answers[0].decision, IPC_DECISION_APPROVED);
    assert_string_equal(two.answers[0].by, "bob");
}

static void
test_requests_of_once_stay_apart(void **state)
{
    struct str first = must_wait(&one, asking("once", 1, 7));
    struct str second = must_wait(&one, asking("once", 1, 8));

    (void)state;
    assert_false(str_equal(first, second));
    stage_must(approve(&one, first, "bob"));
    assert_int_equal(one.n_answers, 1);
    assert_int_equal(one.answers[0].command, 7);
}

static void
test_the_same_command_cannot_wait_twice(void **state)
{
    struct asked asked = asking("once", 1, 7);
    struct approvals_pending p;

    (void)state;
    (void)must_wait(&one, asked);
    assert_int_equal(ask(&one, &asked, &p), ERR_EXISTS);
}

static void
test_one_that_was_withdrawn_is_reopened_for_a_while(void **state)
{
    struct str id = must_wait(&one, asking("two", 1, 7)), other;

    (void)state;
    stage_must(approve(&one, id, "bob"));
    approvals_withdraw(one.a, 1, 7);
    assert_state(id, REQUEST_WITHDRAWN);
    assert_int_equal(approve(&one, id, "carol"), ERR_EXISTS);
    pass(&one, 119000);
    other = must_wait(&one, asking("two", 1, 8));
    assert_true(str_equal(id, other));
    assert_int_equal(outbox_count("approval"), 1); /* not a second time */
    stage_must(approve(&one, id, "carol"));
    assert_state(id, REQUEST_PENDING); /* bob's word was on what is past */
    stage_must(approve(&one, id, "bob"));
    assert_state(id, REQUEST_APPROVED);
    other = must_wait(&one, asking("two", 1, 9));
    assert_false(str_equal(id, other)); /* decided is decided */
    approvals_withdraw(one.a, 1, 9);
    pass(&one, 121000);
    assert_false(str_equal(other, must_wait(&one, asking("two", 1, 10))));
}

static void
test_a_session_that_ends_withdraws_what_it_holds(void **state)
{
    struct str a = must_wait(&one, asking("once", 1, 7)), b = must_wait(&one, asking("once", 1, 8)),
               c = must_wait(&one, asking("once", 2, 1));

    (void)state;
    approvals_session_ended(one.a, 1);
    assert_state(a, REQUEST_WITHDRAWN);
    assert_state(b, REQUEST_WITHDRAWN);
    assert_state(c, REQUEST_PENDING);
    assert_int_equal(one.n_answers, 0);
    assert_int_equal(times_recorded(&one, "withdrawn"), 2);
}

/* --- time
 * --------------------------------------------------------------------------------------------- */

static void
test_a_wait_ends_and_the_request_with_it(void **state)
{
    struct asked asked = asking("once", 1, 7);
    struct str id;

    (void)state;
    asked.in_transaction = true; /* 60 s by the rule */
    id = must_wait(&one, asked);
    approvals_tick(one.a);
    assert_true(approvals_next_ms(one.a) <= 60000);
    pass(&one, 59999);
    approvals_tick(one.a);
    assert_int_equal(one.n_answers, 0);
    pass(&one, 1);
    assert_int_equal(approvals_next_ms(one.a), 0);
    approvals_tick(one.a);
    assert_int_equal(one.n_answers, 1);
    assert_int_equal(one.answers[0].decision, IPC_DECISION_EXPIRED);
    assert_state(id, REQUEST_EXPIRED);
    assert_int_equal(times_recorded(&one, "expired"), 1);
    assert_int_equal(approve(&one, id, "bob"), ERR_EXISTS);
    assert_true(str_equal(id, must_wait(&one, asked))); /* asked again at once: the same */
}

static void
test_a_clock_that_jumps_back_prolongs_no_wait(void **state)
{
    struct str id = must_wait(&one, asking("once", 1, 7));

    (void)state;
    one.wall_us -= INT64_C(86400000000);
    one.mono_ms += 600000;
    assert_int_equal(approve(&one, id, "bob"), ERR_EXISTS);
    approvals_tick(one.a);
    assert_int_equal(one.answers[0].decision, IPC_DECISION_EXPIRED);
    assert_state(id, REQUEST_EXPIRED);
}

static void
test_a_clock_that_jumps_forward_expires(void **state)
{
    struct str id = must_wait(&one, asking("once", 1, 7));

    (void)state;
    one.wall_us += INT64_C(86400000000);
    assert_int_equal(approve(&one, id, "bob"), ERR_EXISTS);
    assert_int_equal(one.n_answers, 0);
    one.mono_ms += 600000;
    approvals_tick(one.a);
    assert_int_equal(one.n_answers, 1);
    assert_int_equal(one.answers[0].decision, IPC_DECISION_EXPIRED);
}

/* --- restarts, reloads, several nodes
 * ------------------------------------------------------------------ */

static void
test_after_a_restart_what_is_pending_can_be_denied(void **state)
{
    struct str once = must_wait(&one, asking("once", 1, 7)),
               again = must_wait(&one, asking("once", 1, 9)),
               session = must_wait(&one, asking("session", 1, 8)), reopened;

    (void)state;
    approvals_close(one.a);
    assert_int_equal(one.n_answers, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(one.answers[i].decision, IPC_DECISION_FAILED);
    start(&one, "one");
    approvals_tick(one.a);
    assert_state(once, REQUEST_PENDING);
    assert_int_equal(approve(&one, once, "bob"), ERR_EXISTS); /* nobody waits */
    assert_non_null(strstr(err_text(), "nobody waits"));
    stage_must(say(&one, once, a_human("bob", "dba-eu"), DECISION_DENY, "no"));
    assert_state(once, REQUEST_DENIED);
    stage_must(approve(&one, session, "bob"));
    assert_true(is_served(asking("session", 1, 10)));
    reopened = must_wait(&one, asking("once", 1, 11)); /* what was left is taken up */
    assert_true(str_equal(again, reopened));
    assert_int_equal(one.n_answers, 3);
    stage_must(approve(&one, again, "bob"));
    assert_int_equal(one.n_answers, 4);
}

static void
test_what_nobody_waits_for_expires_too(void **state)
{
    struct str id = must_wait(&one, asking("once", 1, 7));

    (void)state;
    approvals_close(one.a);
    start(&one, "one");
    approvals_tick(one.a);
    one.wall_us -= INT64_C(3600000000); /* whatever the clock says */
    one.mono_ms += 611000;
    approvals_tick(one.a);
    assert_state(id, REQUEST_EXPIRED);
}

static void
test_another_policy_ends_what_waits(void **state)
{
    struct str id = must_wait(&one, asking("once", 1, 7)), left;

    (void)state;
    left = must_wait(&two, asking("once", 2, 1));
    approvals_configure(one.a, &config, STR(POLICY_2));
    assert_int_equal(one.n_answers, 1);
    assert_int_equal(one.answers[0].decision, IPC_DECISION_FAILED);
    assert_non_null(strstr(one.answers[0].text, "policy changed"));
    assert_state(id, REQUEST_WITHDRAWN);
    assert_int_equal(approve(&one, left, "bob"), ERR_EXISTS); /* of a node with the old policy */
    stage_must(say(&one, left, a_human("bob", "dba-eu"), DECISION_DENY, ""));
}

static void
test_a_decision_elsewhere_is_noticed(void **state)
{
    struct str id = must_wait(&one, asking("once", 1, 7));

    (void)state;
    approvals_tick(one.a);
    stage_must(approve(&two, id, "bob"));
    assert_int_equal(one.n_answers, 0);
    if (stage.kind == DB_POSTGRESQL)
        assert_true(approvals_next_ms(one.a) <= APPROVALS_POLL_MS);
    pass(&one, approvals_next_ms(one.a));
    approvals_tick(one.a);
    assert_int_equal(one.n_answers, 1);
    assert_int_equal(one.answers[0].decision, IPC_DECISION_APPROVED);
    assert_string_equal(one.answers[0].by, "bob");
    approvals_tick(one.a);
    assert_int_equal(one.n_answers, 1);
}

static void
test_decided_elsewhere_in_the_moment_of_the_timeout_is_decided(void **state)
{
    struct str id = must_wait(&one, asking("once", 1, 7));

    (void)state;
    stage_must(approve(&two, id, "bob"));
    pass(&one, 600000);
    approvals_tick(one.a);
    assert_int_equal(one.n_answers, 1);
    assert_int_equal(one.answers[0].decision, IPC_DECISION_APPROVED);
}

/* --- races
 * ---------------------------------------------------------------------------------------------- */

enum { RACES = 40 };

struct racer {
    struct world *w;
    char ids[RACES][17];
    const char *subject;
    enum decision_verdict verdict;
    unsigned won, lost, odd;
    struct arena *arena;
};

static void *
race(void *arg)
{
    static const struct str groups[] = {STR_INIT("dba-eu")};
    struct racer *r = arg;
    struct approver by = {.person = {.issuer = STR("corp"),
                                     .subject = str_from(r->subject),
                                     .name = STR(""),
                                     .email = STR(""),
                                     .groups = {groups, 1}},
                          .token_id = STR(""),
                          .channel = "cli"};

    for (size_t i = 0; i < RACES; i++) {
        struct request out;
        enum err e = approvals_decide(r->w->a, str_from(r->ids[i]), &by, r->verdict, STR("r"),
                                      r->arena, &out);

        r->won += e == OK;
        r->lost += e == ERR_EXISTS;
        r->odd += e != OK && e != ERR_EXISTS;
    }
    return NULL;
}

static void *
withdraw_all(void *arg)
{
    struct world *w = arg;

    for (uint64_t i = 0; i < RACES; i++)
        approvals_withdraw(w->a, 1, i);
    return NULL;
}

static void *
expire_all(void *arg)
{
    struct world *w = arg;

    w->mono_ms += 600000;
    approvals_tick(w->a);
    return NULL;
}

/* Requests of node one are decided on node two while `other` happens on node one. */
static struct racer *
race_with(void *(*other)(void *), void *arg)
{
    struct racer *r = calloc(1, sizeof(*r));
    pthread_t thread;

    assert_non_null(r);
    r->w = &two;
    r->subject = "bob";
    r->arena = arena_new(64 << 20);
    for (uint64_t i = 0; i < RACES; i++)
        copy(r->ids[i], 17, must_wait(&one, asking("once", 1, i)));
    if (arg != NULL)
        memcpy(((struct racer *)arg)->ids, r->ids, sizeof(r->ids));
    assert_int_equal(pthread_create(&thread, NULL, race, r), 0);
    (void)other(arg == NULL ? (void *)&one : arg);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(r->odd, 0);
    arena_free(r->arena);
    return r;
}

static unsigned
count_state(const struct racer *r, enum request_state state)
{
    unsigned n = 0;

    for (size_t i = 0; i < RACES; i++)
        n += load(str_from(r->ids[i])).state == state;
    return n;
}

static void
test_of_two_who_decide_at_once_one_does(void **state)
{
    struct racer rival = {.w = &one, .subject = "carol", .verdict = DECISION_DENY};
    struct racer *r;

    (void)state;
    rival.arena = arena_new(64 << 20);
    r = race_with(race, &rival);
    arena_free(rival.arena);
    assert_int_equal(rival.odd, 0);
    assert_int_equal(r->won + rival.won, RACES);
    assert_int_equal(count_state(r, REQUEST_APPROVED), r->won);
    assert_int_equal(count_state(r, REQUEST_DENIED), rival.won);
    assert_int_equal(times_recorded(&two, "approved"), r->won);
    pass(&one, 10000);
    approvals_tick(one.a);
    assert_int_equal(one.n_answers, RACES);
    free(r);
}

static void
test_an_approval_and_a_withdrawal_race_and_one_wins(void **state)
{
    struct racer *r = race_with(withdraw_all, NULL);

    (void)state;
    assert_int_equal(count_state(r, REQUEST_APPROVED), r->won);
    assert_int_equal(count_state(r, REQUEST_WITHDRAWN), RACES - r->won);
    assert_int_equal(one.n_answers, 0); /* who withdrew waits no more */
    assert_int_equal(approvals_waiting(one.a), 0);
    free(r);
}

static void
test_an_approval_and_a_timeout_race_and_the_waiter_hears_which(void **state)
{
    struct racer *r = race_with(expire_all, NULL);
    unsigned approved = 0;

    (void)state;
    for (size_t i = 0; i < one.n_answers; i++)
        approved += one.answers[i].decision == IPC_DECISION_APPROVED;
    assert_int_equal(one.n_answers, RACES);
    assert_int_equal(approved, r->won);
    assert_int_equal(count_state(r, REQUEST_APPROVED), r->won);
    assert_int_equal(count_state(r, REQUEST_EXPIRED), RACES - r->won);
    free(r);
}

/* --- many
 * ------------------------------------------------------------------------------------------------
 */

static void
test_many_wait_and_cost_little(void **state)
{
    enum { MANY = 1000 };
    size_t before = 0, after;
    struct str last = STR("");
    struct request_filter filter = {.state = REQUESTS_PENDING, .limit = STORE_LIST_MAX};
    struct request_list list;

    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        if (i == 10) /* after what is made once */
            before = mallinfo2().uordblks;
        arena_reset(arena);
        last = must_wait(&one, asking("once", i + 1, 7));
    }
    arena_reset(arena);
    after = mallinfo2().uordblks;
    if (before > 0 && after > before)
        assert_true((after - before) / (MANY - 10) < 20 << 10);
    stage_must(requests_list(one.db, &filter, arena, &list));
    assert_int_equal(list.n, STORE_LIST_MAX);
    last = list.items[0].id;
    stage_must(approve(&one, last, "bob"));
    assert_int_equal(one.n_answers, 1);
    pass(&one, 600000);
    approvals_tick(one.a);
    assert_int_equal(one.n_answers, MANY);
    assert_int_equal(approvals_waiting(one.a), 0);
}

static void
test_one_session_cannot_take_all_places(void **state)
{
    struct approvals_pending p;
    struct asked asked;

    (void)state;
    for (uint64_t i = 0; i < APPROVALS_SESSION_WAITERS_MAX; i++)
        (void)must_wait(&one, asking("once", 1, i));
    asked = asking("once", 1, 9999);
    assert_int_equal(ask(&one, &asked, &p), ERR_LIMIT);
    (void)must_wait(&one, asking("once", 2, 1));
}

static void
test_what_cannot_be_asked_is_refused(void **state)
{
    struct asked asked = asking("nothing", 1, 7);
    struct approvals_pending p;

    (void)state;
    assert_int_equal(ask(&one, &asked, &p), ERR_NOT_FOUND);
    asked = asking("plain", 1, 7);
    assert_int_equal(ask(&one, &asked, &p), ERR_DENIED);
    asked = asking("once", 1, 7);
    asked.policy = STR(POLICY_2);
    assert_int_equal(ask(&one, &asked, &p), ERR_DENIED);
    asked = asking("once", 1, 7);
    asked.purpose = STR("\xff\0x"); /* shown as far as it can be */
    assert_true(load(must_wait(&one, asked)).purpose.len == 3);
    assert_int_equal(approve(&one, STR("aaaaaaaaaaaaaaaa"), "bob"), ERR_NOT_FOUND);
    assert_int_equal(approve(&one, STR("' OR 1=1 --"), "bob"), ERR_NOT_FOUND);
}

static void
test_a_long_statement_is_kept_whole(void **state)
{
    static char text[900000];
    struct asked asked = asking("once", 1, 7);
    struct str id;
    struct record intent;
    size_t used;

    (void)state;
    memset(text, 'x', sizeof(text));
    asked.text = (struct str){text, sizeof(text)};
    id = must_wait(&one, asked);
    assert_int_equal(record_read(load(id).frame, &intent, &used), OK);
    assert_int_equal(intent.intent.text.len, sizeof(text));
    assert_int_equal(load(id).summary.len, REQUEST_SUMMARY_MAX);
}

/* --- access
 * ------------------------------------------------------------------------------------------------
 */

static struct request
ask_access(struct approver who, uint64_t seconds)
{
    struct access_ask question = {.who = &who,
                                  .resource = STR("analytics"),
                                  .rule = STR(""),
                                  .seconds = seconds,
                                  .reason = STR("incident 7")};
    struct request r;

    stage_must(access_request(one.a, &question, arena, &r));
    return r;
}

static enum err
may_open(struct world *w, const char *subject, struct str_list by, struct grant *out)
{
    return access_lookup(w->a, STR("corp"), str_from(subject), by, STR("analytics"), STR("jit"),
                         arena, out);
}

static void
test_access_is_asked_for_approved_and_used(void **state)
{
    static const struct str agent[] = {STR_INIT("dora"), STR_INIT("bot")};
    struct approver dora = a_human("dora", "dba-eu");
    struct str_list alone = {0}, through = {agent, 2};
    struct request r, again;
    struct grant g;

    (void)state;
    assert_int_equal(may_open(&one, "dora", alone, &g), ERR_DENIED);
    assert_non_null(strstr(err_text(), "bulkhead request"));
    r = ask_access(dora, 3600);
    again = ask_access(dora, 3600);
    assert_true(str_equal(r.id, again.id));
    assert_int_equal(outbox_count("approval"), 1);
    assert_int_equal(say(&one, r.id, dora, DECISION_APPROVE, ""), ERR_DENIED); /* own */
    stage_must(approve(&one, r.id, "bob"));
    assert_int_equal(one.n_answers, 0);
    stage_must(may_open(&one, "dora", alone, &g));
    assert_int_equal(g.expires_us, one.wall_us + INT64_C(3600000000));
    stage_must(may_open(&one, "dora", through, &g)); /* whoever acts for her */
    assert_int_equal(may_open(&one, "bob", alone, &g), ERR_DENIED);
    assert_int_equal(access_lookup(one.a, STR("other"), STR("dora"), alone, STR("analytics"),
                                   STR("jit"), arena, &g),
                     ERR_DENIED);
    assert_int_equal(access_lookup(one.a, STR("corp"), STR("dora"), alone, STR("billing"),
                                   STR("jit"), arena, &g),
                     ERR_DENIED);
    pass(&one, 3600000);
    assert_int_equal(may_open(&one, "dora", alone, &g), ERR_DENIED);
    approvals_tick(one.a);
    assert_int_equal(one.n_ended, 1);
}

static void
test_access_asked_for_by_an_agent_is_that_agents(void **state)
{
    static const struct str agent[] = {STR_INIT("dora"), STR_INIT("bot")};
    struct approver bot = a_human("dora", "none");
    struct request r;
    struct grant g;

    (void)state;
    bot.chain = (struct str_list){agent, 2};
    r = ask_access(bot, 3600);
    stage_must(approve(&one, r.id, "bob"));
    stage_must(may_open(&one, "dora", bot.chain, &g));
    assert_int_equal(may_open(&one, "dora", (struct str_list){agent, 1}, &g), ERR_DENIED);
}

static void
test_access_that_cannot_be_granted_is_refused(void **state)
{
    struct approver dora = a_human("dora", "x");
    struct access_ask question = {.who = &dora,
                                  .resource = STR("analytics"),
                                  .rule = STR(""),
                                  .seconds = 7201,
                                  .reason = STR("why")};
    struct approver other = a_human("eve", "dba-eu");
    struct request r, more;

    (void)state;
    assert_int_equal(access_request(one.a, &question, arena, &r), ERR_INVALID);
    question.seconds = 59;
    assert_int_equal(access_request(one.a, &question, arena, &r), ERR_INVALID);
    question.seconds = 60;
    question.reason = STR(" ");
    assert_int_equal(access_request(one.a, &question, arena, &r), ERR_INVALID);
    question.reason = STR("why");
    question.resource = STR("nothing");
    assert_int_equal(access_request(one.a, &question, arena, &r), ERR_NOT_FOUND);
    question.resource = STR("analytics");
    question.rule = STR("once"); /* not on connect */
    assert_int_equal(access_request(one.a, &question, arena, &r), ERR_NOT_FOUND);
    question.rule = STR("");
    for (unsigned i = 0; i < APPROVALS_ACCESS_PENDING_MAX; i++) {
        question.seconds = 60 + i;
        stage_must(access_request(one.a, &question, arena, &r));
    }
    question.seconds = 5000;
    assert_int_equal(access_request(one.a, &question, arena, &more), ERR_LIMIT);
    assert_int_equal(approvals_cancel(one.a, r.id, &other, arena), ERR_DENIED);
    stage_must(approvals_cancel(one.a, r.id, &dora, arena));
    assert_state(r.id, REQUEST_WITHDRAWN);
    assert_int_equal(approvals_cancel(one.a, r.id, &dora, arena), ERR_EXISTS);
}

static void
test_revoked_access_ends_sessions_on_every_node(void **state)
{
    struct approver dora = a_human("dora", "x"), bob = a_human("bob", "dba-eu");
    struct request r = ask_access(dora, 3600);
    struct str_list alone = {0};
    struct grant g, here, out;

    (void)state;
    stage_must(approve(&one, r.id, "bob"));
    stage_must(may_open(&one, "dora", alone, &g));
    stage_must(may_open(&two, "dora", alone, &here));
    assert_int_equal(access_revoke(one.a, g.id, &bob, STR(""), arena, &out), ERR_INVALID);
    one.ledger_away = true;
    assert_int_equal(access_revoke(one.a, g.id, &bob, STR("over"), arena, &out), ERR_UNAVAILABLE);
    assert_int_equal(one.n_ended, 0);
    one.ledger_away = false;
    stage_must(access_revoke(one.a, g.id, &bob, STR("over"), arena, &out));
    assert_int_equal(one.n_ended, 1);
    assert_string_equal(one.ended_why, "over");
    assert_int_equal(times_recorded(&one, "revoked"), 1);
    assert_int_equal(access_revoke(one.a, g.id, &bob, STR("over"), arena, &out), ERR_EXISTS);
    assert_int_equal(may_open(&one, "dora", alone, &g), ERR_DENIED);
    assert_int_equal(may_open(&two, "dora", alone, &g), ERR_DENIED);
    if (stage.kind != DB_POSTGRESQL)
        return; /* one node */
    assert_true(approvals_next_ms(two.a) <= APPROVALS_POLL_MS);
    pass(&two, APPROVALS_POLL_MS);
    approvals_tick(two.a);
    assert_int_equal(two.n_ended, 1);
    assert_string_equal(two.ended, one.ended);
}

static void
test_a_clock_that_jumps_back_prolongs_no_access(void **state)
{
    struct request r = ask_access(a_human("dora", "x"), 600);
    struct str_list alone = {0};
    struct grant g;

    (void)state;
    stage_must(approve(&one, r.id, "bob"));
    stage_must(may_open(&one, "dora", alone, &g));
    pass(&one, 500000);
    one.wall_us -= INT64_C(400000000);
    one.mono_ms += 100000;
    assert_int_equal(may_open(&one, "dora", alone, &g), ERR_DENIED);
    approvals_tick(one.a);
    assert_int_equal(one.n_ended, 1);
    approvals_close(one.a); /* not even after a restart */
    start(&one, "one");
    assert_int_equal(may_open(&one, "dora", alone, &g), ERR_DENIED);
}

/* --- anything, against a model
 * ------------------------------------------------------------------------------ */

enum { COMMANDS = 6, STEPS = 1500 };

/* What should be so of a command that was asked for under the rule "two". */
struct model {
    bool waits;
    char id[17];
    unsigned agreed; /* bits of who approved since it was asked */
    int64_t deadline_ms;
};

static unsigned seed;

static unsigned
roll(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

static void
expect_answer(struct model *m, size_t i, size_t before, enum ipc_decision decision)
{
    assert_int_equal(one.n_answers, before + 1);
    assert_int_equal(one.answers[before].command, i);
    assert_int_equal(one.answers[before].decision, decision);
    m->waits = false;
}

static void
do_decide(struct model *m, size_t i)
{
    static const char *const people[] = {"bob", "carol", "dave", "alice"};
    unsigned who = roll(4);
    bool deny = roll(5) == 0;
    size_t before = one.n_answers;
    enum err e = say(&one, str_from(m->id), a_human(people[who], "dba-eu"),
                     deny ? DECISION_DENY : DECISION_APPROVE, "");

    if (!m->waits || one.mono_ms >= m->deadline_ms) {
        assert_true(e == ERR_EXISTS || (who == 3 && e == ERR_DENIED));
        assert_int_equal(one.n_answers, before);
    } else if (who == 3) {
        assert_int_equal(e, ERR_DENIED);
    } else if ((m->agreed & 1u << who) != 0) {
        assert_int_equal(e, ERR_EXISTS);
    } else {
        stage_must(e);
        m->agreed |= 1u << who;
        if (deny)
            expect_answer(m, i, before, IPC_DECISION_DENIED);
        else if (__builtin_popcount(m->agreed) == 2)
            expect_answer(m, i, before, IPC_DECISION_APPROVED);
        else
            assert_int_equal(one.n_answers, before);
    }
}

static void
do_time(struct model *m)
{
    size_t before = one.n_answers, due = 0;

    pass(&one, roll(120000));
    one.wall_us -= roll(3) == 0 ? (int64_t)roll(30000) * 1000 : 0;
    approvals_tick(one.a);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (m[i].waits && one.mono_ms >= m[i].deadline_ms) {
            m[i].waits = false;
            due++;
        }
    }
    assert_int_equal(one.n_answers, before + due);
    for (size_t i = before; i < one.n_answers; i++)
        assert_int_equal(one.answers[i].decision, IPC_DECISION_EXPIRED);
}

static void
do_step(struct model *m)
{
    size_t i = roll(COMMANDS);
    struct asked asked = asking("two", 1, i);

    asked.hash = (char)('a' + (int)i);
    switch (roll(4)) {
    case 0:
        if (m[i].waits)
            break;
        copy(m[i].id, 17, must_wait(&one, asked));
        m[i].waits = true;
        m[i].agreed = 0;
        m[i].deadline_ms = one.mono_ms + 600000;
        break;
    case 1:
        approvals_withdraw(one.a, 1, i);
        m[i].waits = false;
        break;
    case 2:
        do_time(m);
        break;
    default:
        if (m[i].id[0] != '\0')
            do_decide(&m[i], i);
    }
}

static void
test_any_sequence_does_what_the_model_says(void **state)
{
    struct model m[COMMANDS] = {0};

    (void)state;
    seed = (unsigned)clock_wall_us();
    print_message("seed %u\n", seed);
    for (unsigned i = 0; i < STEPS; i++) {
        size_t waits = 0;

        do_step(m);
        for (size_t k = 0; k < COMMANDS; k++)
            waits += m[k].waits;
        assert_int_equal(approvals_waiting(one.a), waits);
        if (one.n_answers > 1000)
            one.n_answers = 0;
        arena_reset(arena);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    T(test_an_approval_lets_the_command_go),
    T(test_one_denial_ends_it_with_its_words),
    T(test_several_must_be_distinct_humans),
    T(test_nobody_decides_on_their_own_behalf_by_any_route),
    T(test_break_glass_needs_a_reason_and_pages_everyone),
    T(test_an_override_makes_no_approval_for_later),
    T(test_a_rule_may_want_reasons),
    T(test_without_the_ledger_nothing_is_asked_or_decided),
    T(test_what_was_changed_in_the_store_is_not_approved),
    T(test_an_approval_of_once_serves_nothing_else),
    T(test_an_approval_for_a_session_serves_nothing_but_the_same_there),
    T(test_an_approval_for_a_task_serves_its_sessions),
    T(test_without_a_task_the_token_is_the_task),
    T(test_an_approval_ends_when_it_should_whatever_the_clock_does),
    T(test_an_approval_from_the_future_serves_nothing),
    T(test_identical_requests_are_one_and_all_are_answered),
    T(test_requests_of_once_stay_apart),
    T(test_the_same_command_cannot_wait_twice),
    T(test_one_that_was_withdrawn_is_reopened_for_a_while),
    T(test_a_session_that_ends_withdraws_what_it_holds),
    T(test_a_wait_ends_and_the_request_with_it),
    T(test_a_clock_that_jumps_back_prolongs_no_wait),
    T(test_a_clock_that_jumps_forward_expires),
    T(test_after_a_restart_what_is_pending_can_be_denied),
    T(test_what_nobody_waits_for_expires_too),
    T(test_another_policy_ends_what_waits),
    T(test_a_decision_elsewhere_is_noticed),
    T(test_decided_elsewhere_in_the_moment_of_the_timeout_is_decided),
    T(test_of_two_who_decide_at_once_one_does),
    T(test_an_approval_and_a_withdrawal_race_and_one_wins),
    T(test_an_approval_and_a_timeout_race_and_the_waiter_hears_which),
    T(test_many_wait_and_cost_little),
    T(test_one_session_cannot_take_all_places),
    T(test_what_cannot_be_asked_is_refused),
    T(test_a_long_statement_is_kept_whole),
    T(test_access_is_asked_for_approved_and_used),
    T(test_access_asked_for_by_an_agent_is_that_agents),
    T(test_access_that_cannot_be_granted_is_refused),
    T(test_revoked_access_ends_sessions_on_every_node),
    T(test_a_clock_that_jumps_back_prolongs_no_access),
    T(test_any_sequence_does_what_the_model_says),
};

int
main(void)
{
    int failed;

    stage_begin(&stage, DB_SQLITE);
    failed = cmocka_run_group_tests_name("approvals on SQLite", tests, NULL, NULL);
    stage_end(&stage);
    stage_begin(&stage, DB_POSTGRESQL);
    failed += cmocka_run_group_tests_name("approvals on PostgreSQL", tests, NULL, NULL);
    stage_end(&stage);
    return failed;
}
