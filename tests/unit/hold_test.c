/* Commands that are held for humans: the test is control at the other end of the channel, and the
 * protocol, and the keeper that makes the channel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include "base/arena.h"
#include "base/clock.h"
#include "command/hash.h"
#include "fiber/fiber.h"
#include "gate/control_link.h"
#include "gate/gate_open.h"
#include "ipc/record.h"

/* cmocka's checks leave by longjmp(), which must not cross stacks. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: failed: %s (%s)\n", __FILE__, __LINE__, #condition,      \
                          err_text());                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* In place of gate/ledger_link.c: frames stay here. */

static struct buf frames;
static bool ledger_is_gone;

struct buf *
ledger_link_frames(struct ledger_link *l)
{
    (void)l;
    return &frames;
}

enum err
ledger_link_flush(struct ledger_link *l)
{
    (void)l;
    return ledger_is_gone ? fail(ERR_UNAVAILABLE, "the ledger is gone") : OK;
}

void
ledger_link_flush_soon(struct ledger_link *l)
{
    (void)l;
}

/* In place of gate/keeper_link.c: it makes a channel, or says why not. */

static struct control_link *control;
static int their_end; /* of the channel: control's; -1: none */
static unsigned channels_made;
static const char *no_channel; /* why there is none */

static void
answer_wanted(void *arg)
{
    static struct ipc_packet packet;
    int ends[2];

    (void)arg;
    packet = (struct ipc_packet){.type = IPC_TYPE_CONTROL_READY};
    if (no_channel != NULL) {
        packet.message.control_ready.code = ERR_UNAVAILABLE;
        packet.message.control_ready.text = str_from(no_channel);
    } else {
        CHECK(ipc_pair(ends) == OK);
        packet.n_fds = 1;
        packet.fds[0] = ends[0];
        their_end = ends[1];
        channels_made++;
    }
    control_link_ready(control, &packet);
    ipc_packet_clear(&packet);
}

enum err
keeper_link_say(struct keeper_link *k, enum ipc_type type, const void *message)
{
    (void)k, (void)message;
    CHECK(type == IPC_TYPE_CONTROL_WANTED);
    return fiber_start("keeper", answer_wanted, NULL, NULL);
}

/* The stage. */

struct stage {
    struct gate *gate;
    struct command command;
    struct admission admission;
    const struct approval *approval; /* NULL: none */
    enum err result;
    bool done;
    struct fiber *session;
    /* What the protocol says and does. */
    bool in_transaction;
    enum err prepare_result, preview_result, held_result;
    unsigned n_prepared, n_previews, n_held;
    char held_request[64], held_approvers[64];
    enum err (*during_preview)(struct stage *t);
    /* What control got. */
    struct ipc_packet packet;
    char rule[64];
    struct buf frame, preview;
    unsigned char hash[COMMAND_HASH_BYTES];
    uint64_t wait_ms, in_transaction_said, held_command;
    struct record decision; /* the last one recorded */
    char texts[512];        /* behind it */
};

static int64_t
soon(void)
{
    return clock_monotonic_ms() + 20000;
}

static enum err
prepare(void *arg, const struct command *command, struct buf *context, bool *in_transaction)
{
    struct stage *t = arg;

    CHECK(command->context.len == 0);
    t->n_prepared++;
    buf_put_text(context, "role agent");
    *in_transaction = t->in_transaction;
    return t->prepare_result;
}

static enum err
preview(void *arg, const struct command *command, enum step_up_preview kind, struct buf *json)
{
    struct stage *t = arg;

    CHECK(str_is(command->context, "role agent"));
    CHECK(kind == PREVIEW_ESTIMATE);
    t->n_previews++;
    buf_put_text(json, "{\"kind\":\"estimate\",\"rows\":7}");
    if (t->during_preview != NULL)
        return t->during_preview(t);
    return t->preview_result;
}

static enum err
held(void *arg, const struct hold *hold, int64_t deadline_ms)
{
    struct stage *t = arg;

    CHECK(deadline_ms > clock_monotonic_ms());
    t->n_held++;
    (void)snprintf(t->held_request, sizeof(t->held_request), "%.*s", STR_ARG(hold->request));
    (void)snprintf(t->held_approvers, sizeof(t->held_approvers), "%.*s", STR_ARG(hold->approvers));
    return t->held_result;
}

static const struct demand DROP = {CLASSES(DDL) | CLASSES(DROP), OBJECT_RELATION, STR_INIT("a"),
                                   STR_INIT("t")};
static const struct demand DROP_GRANT[] = {
    {CLASSES(DDL) | CLASSES(DROP), OBJECT_RELATION, STR_INIT("a"), STR_INIT("t")},
    {CLASSES(GRANT), OBJECT_ROLE, STR_INIT(""), STR_INIT("r")}};
static const struct str dba = STR_INIT("dba"), sec = STR_INIT("security");

enum rule_set { RULES, RULES_DENY, RULES_ALLOW };

static struct gate_rules
make_rules(enum rule_set set, const char *hash)
{
    struct step_up asks = {.approver_groups = {&dba, 1},
                           .approvals = 1,
                           .wait_seconds = 600,
                           .wait_in_transaction_seconds = 60,
                           .preview = PREVIEW_ESTIMATE};
    struct step_up others = asks;
    struct policy_rule rules[] = {
        {.name = STR("schema changes"),
         .message = STR("ask a DBA"),
         .classes = CLASSES(DDL),
         .verdict = set == RULES        ? VERDICT_STEP_UP
                    : set == RULES_DENY ? VERDICT_DENY
                                        : VERDICT_ALLOW,
         .step_up = asks},
        {.name = STR("grants"), .classes = CLASSES(GRANT), .verdict = VERDICT_STEP_UP},
    };
    struct gate_rules out = {.policy_hash = str_from(hash)};
    struct policy_request nobody = {0};
    struct policy *policy;

    if (set == RULES_DENY)
        rules[0].message = STR("never again");
    others.approver_groups = (struct str_list){&sec, 1};
    others.wait_seconds = 30;
    rules[1].step_up = others;
    if (set != RULES)
        rules[0].step_up = (struct step_up){0};
    CHECK(policy_compile(rules, 2, &policy) == OK);
    CHECK(policy_specialise(policy, &nobody, &out.residual) == OK);
    policy_free(policy);
    return out;
}

static void
replace(struct stage *t, enum rule_set set, const char *hash)
{
    struct gate_rules rules = make_rules(set, hash);

    CHECK(gate_replace_rules(t->gate, &rules) == OK);
}

static void
session_fiber(void *arg)
{
    struct stage *t = arg;

    t->result = gate_admit_again(t->gate, &t->command, t->approval, &t->admission);
    t->done = true;
}

static void
begin(struct stage *t)
{
    t->done = false;
    CHECK(fiber_start("session", session_fiber, t, &t->session) == OK);
}

static void
finish(struct stage *t)
{
    fiber_join(t->session);
    CHECK(t->done);
}

/* Control's side. */

static void
hear(struct stage *t, enum ipc_type type)
{
    while (their_end < 0)
        fiber_yield();
    do /* what is withdrawn besides is of no interest */
        CHECK(ipc_receive_wait(their_end, &t->packet, soon()) == OK);
    while (t->packet.type == IPC_TYPE_HOLD_WITHDRAW && type != IPC_TYPE_HOLD_WITHDRAW);
    if (t->packet.type != type)
        (void)fprintf(stderr, "got %s\n", ipc_type_name(t->packet.type));
    CHECK(t->packet.type == type);
}

static void
hear_hold(struct stage *t)
{
    struct ipc_hold *hold = &t->packet.message.hold;
    uint64_t frame, rest;

    hear(t, IPC_TYPE_HOLD);
    t->held_command = hold->command;
    (void)snprintf(t->rule, sizeof(t->rule), "%.*s", STR_ARG(hold->rule));
    CHECK(hold->command_hash.len == sizeof(t->hash));
    memcpy(t->hash, hold->command_hash.ptr, sizeof(t->hash));
    t->wait_ms = hold->wait_ms;
    t->in_transaction_said = hold->in_transaction;
    frame = hold->frame_bytes;
    rest = frame + hold->preview_bytes;
    buf_reset(&t->frame);
    buf_reset(&t->preview);
    while (rest > 0) {
        struct str bytes;

        hear(t, IPC_TYPE_HOLD_PART);
        CHECK(t->packet.message.hold_part.command == t->held_command);
        bytes = t->packet.message.hold_part.bytes;
        CHECK(bytes.len > 0 && bytes.len <= rest);
        buf_put_str(t->frame.len < frame ? &t->frame : &t->preview, bytes);
        rest -= bytes.len;
    }
    CHECK(t->frame.len == frame);
}

static void
say_pending(struct stage *t)
{
    struct ipc_hold_pending pending = {.command = t->held_command,
                                       .request = STR("req1"),
                                       .url = STR("https://gw/approvals/req1"),
                                       .approvers = STR("group dba"),
                                       .expires_us = 1};

    CHECK(ipc_send(their_end, IPC_TYPE_HOLD_PENDING, &pending, NULL, 0) == OK);
}

static void
say_decided(struct stage *t, enum ipc_decision decision, const char *text)
{
    struct ipc_hold_decided decided = {.command = t->held_command,
                                       .decision = decision,
                                       .request = STR("req1"),
                                       .by = STR("alice"),
                                       .text = str_from(text),
                                       .command_hash = {(char *)t->hash, sizeof(t->hash)}};

    CHECK(ipc_send(their_end, IPC_TYPE_HOLD_DECIDED, &decided, NULL, 0) == OK);
}

static void
wait_until_held(struct stage *t, unsigned n)
{
    int64_t deadline = soon();

    while (t->n_held < n) {
        CHECK(clock_monotonic_ms() < deadline);
        (void)fiber_sleep_until(clock_monotonic_ms() + 1);
    }
}

/* The session asks, and control has it pending. */
static void
begin_pending(struct stage *t)
{
    unsigned n = t->n_held;

    begin(t);
    hear_hold(t);
    say_pending(t);
    wait_until_held(t, n + 1);
}

/* The kinds of records so far, a letter each: i intent, d decision. */
static const char *
recorded(struct stage *t)
{
    static char kinds[64];
    struct str rest = buf_str(&frames);
    struct record r;
    size_t used, n = 0;

    while (rest.len > 0) {
        CHECK(record_read(rest, &r, &used) == OK);
        rest = str_skip(rest, used);
        kinds[n++] = r.kind == RECORD_INTENT     ? 'i'
                     : r.kind == RECORD_DECISION ? 'd'
                     : r.kind == RECORD_OUTCOME  ? 'o'
                                                 : '?';
        if (r.kind == RECORD_DECISION)
            t->decision = r;
    }
    kinds[n] = '\0';
    return kinds;
}

static bool
says(struct str s, const char *part)
{
    return memmem(s.ptr, s.len, part, strlen(part)) != NULL;
}

static void
check_refused(struct stage *t, enum hold_end how, const char *part)
{
    finish(t);
    CHECK(t->result == OK);
    CHECK(t->admission.verdict.kind == VERDICT_DENY);
    if (t->admission.held != how || !says(t->admission.verdict.message, part))
        (void)fprintf(stderr, "%d: %.*s\n", (int)t->admission.held,
                      STR_ARG(t->admission.verdict.message));
    CHECK(t->admission.held == how);
    CHECK(says(t->admission.verdict.message, part));
    /* Nothing is in flight. */
    CHECK(gate_outcome(t->gate, t->admission.id, &(struct outcome){0}) == ERR_INVALID);
}

static struct stage *stage;
static void (*play)(struct stage *t);

static void
stage_fiber(void *arg)
{
    struct stage *t = arg;
    struct gate_rules rules = make_rules(RULES, "first");
    struct gate_holder holder = {t, prepare, preview, held};

    buf_reset(&frames);
    CHECK(gate_open(&rules, NULL, &t->gate) == OK);
    CHECK(control_link_new(NULL, &control) == OK);
    gate_set_control(t->gate, control);
    gate_set_holder(t->gate, &holder);
    play(t);
    control_link_close(control);
    gate_close(t->gate);
    if (their_end >= 0)
        close(their_end);
    ipc_packet_clear(&t->packet);
    buf_free(&t->frame);
    buf_free(&t->preview);
}

static void
run(void (*what)(struct stage *t))
{
    static struct stage t;

    memset(&t, 0, sizeof(t));
    t.command = (struct command){
        .text = STR("drop table t"), .database = STR("db"), .demands = &DROP, .n_demands = 1};
    t.frame = buf_make(RECORD_FRAME_MAX);
    t.preview = buf_make(1 << 20);
    stage = &t;
    their_end = -1;
    channels_made = 0;
    no_channel = NULL;
    ledger_is_gone = false;
    play = what;
    CHECK(fiber_main(stage_fiber, &t) == OK);
}

/* The tests. */

static void
play_approved(struct stage *t)
{
    struct arena *arena = arena_new(1 << 20);
    unsigned char hash[COMMAND_HASH_BYTES];
    struct command shown;
    struct record r;
    size_t used;

    begin_pending(t);
    CHECK(str_is(str_from(recorded(t)), "i")); /* on record before anybody was asked */
    CHECK(str_is(str_from(t->rule), "schema changes"));
    CHECK(t->wait_ms == 600000 && t->in_transaction_said == 0);
    CHECK(str_is(buf_str(&t->preview), "{\"kind\":\"estimate\",\"rows\":7}"));
    CHECK(str_is(str_from(t->held_request), "req1"));
    CHECK(str_is(str_from(t->held_approvers), "group dba"));
    CHECK(record_read(buf_str(&t->frame), &r, &used) == OK && r.intent.verdict == VERDICT_STEP_UP);
    CHECK(record_command(&r, arena, &shown) == OK && command_hash(&shown, hash) == OK);
    CHECK(memcmp(hash, t->hash, sizeof(hash)) == 0); /* control finds the same */
    CHECK(str_is(shown.context, "role agent"));
    CHECK(!t->done);
    say_decided(t, IPC_DECISION_APPROVED, "fine");
    finish(t);
    CHECK(t->result == OK && gate_runs(&t->admission.verdict));
    CHECK(t->admission.verdict.kind == VERDICT_ALLOW);
    CHECK(t->admission.held == HOLD_APPROVED && str_is(t->admission.request, "req1"));
    CHECK(str_is(str_from(recorded(t)), "id"));
    CHECK(t->decision.decision.decision == RECORD_APPROVED);
    CHECK(t->decision.decision.command == t->admission.id);
    CHECK(str_is(t->decision.decision.by, "alice") && str_is(t->decision.decision.text, "fine"));
    CHECK(gate_outcome(t->gate, t->admission.id, &(struct outcome){0}) == OK);
    CHECK(str_is(str_from(recorded(t)), "ido"));
    arena_free(arena);
}

static void
test_an_approved_command_runs(void **state)
{
    (void)state;
    run(play_approved);
}

static void
play_duration(struct stage *t)
{
    struct str rest;
    struct record r;
    size_t used;

    begin_pending(t);
    (void)fiber_sleep_until(clock_monotonic_ms() + 300);
    say_decided(t, IPC_DECISION_APPROVED, "");
    finish(t);
    CHECK(gate_outcome(t->gate, t->admission.id, &(struct outcome){0}) == OK);
    (void)recorded(t);
    CHECK(t->decision.decision.waited_us >= 250000);
    for (rest = buf_str(&frames); rest.len > 0; rest = str_skip(rest, used))
        CHECK(record_read(rest, &r, &used) == OK);
    CHECK(r.kind == RECORD_OUTCOME && r.outcome.duration_us < 200000);
}

static void
test_the_wait_is_no_part_of_the_duration(void **state)
{
    (void)state;
    run(play_duration);
}

static void
play_masked(struct stage *t)
{
    t->command.masked = STR("a.t.c");
    begin_pending(t);
    say_decided(t, IPC_DECISION_APPROVED, "");
    finish(t);
    CHECK(t->admission.verdict.kind == VERDICT_MODIFY);
    t->command.protected_use = STR("ssn may not be compared");
    begin(t);
    check_refused(t, HOLD_NONE, "ssn may not"); /* never approvable: nobody is asked */
    CHECK(str_is(str_from(recorded(t)), "idi"));
}

static void
test_protection_holds_whatever_is_approved(void **state)
{
    (void)state;
    run(play_masked);
}

static void
play_denied(struct stage *t)
{
    begin_pending(t);
    say_decided(t, IPC_DECISION_DENIED, "not on a Friday \x1b[31m");
    check_refused(t, HOLD_DENIED, "denied by alice: not on a Friday ?[31m");
    CHECK(str_is(t->admission.verdict.rule, "schema changes"));
    CHECK(str_is(str_from(recorded(t)), "id"));
    CHECK(t->decision.decision.decision == RECORD_DENIED);
    begin_pending(t);
    say_decided(t, IPC_DECISION_EXPIRED, "");
    check_refused(t, HOLD_TIMED_OUT, "within 10 minutes; it waited for group dba");
    (void)recorded(t);
    CHECK(t->decision.decision.decision == RECORD_EXPIRED);
    hear(t, IPC_TYPE_HOLD_WITHDRAW);
    begin(t);
    hear_hold(t);
    say_decided(t, IPC_DECISION_FAILED, "the policy changed; try again");
    check_refused(t, HOLD_UNAVAILABLE, "the policy changed; try again");
    CHECK(t->n_held == 2); /* decided at once: the client does not hear of it */
    CHECK(channels_made == 1);
}

static void
test_refusals_are_told_in_the_humans_words(void **state)
{
    (void)state;
    run(play_denied);
}

static void
play_wrong_hash(struct stage *t)
{
    begin_pending(t);
    t->hash[3] ^= 1;
    say_decided(t, IPC_DECISION_APPROVED, "");
    check_refused(t, HOLD_UNAVAILABLE, "what was approved is not this command");
    (void)recorded(t);
    CHECK(t->decision.decision.decision == RECORD_FAILED);
    begin_pending(t);
    say_decided(t, 77, "");
    check_refused(t, HOLD_UNAVAILABLE, "nobody could be asked");
    hear(t, IPC_TYPE_HOLD_WITHDRAW);
    t->held_command = 0;
    say_decided(t, IPC_DECISION_APPROVED, ""); /* of nothing that is held */
    begin_pending(t);
    t->held_command--;
    say_decided(t, IPC_DECISION_APPROVED, "");
    say_pending(t);
    t->held_command++;
    say_decided(t, IPC_DECISION_DENIED, "no");
    check_refused(t, HOLD_DENIED, "no");
}

static void
test_an_approval_of_something_else_is_none(void **state)
{
    (void)state;
    run(play_wrong_hash);
}

static void
play_withdrawn(struct stage *t)
{
    CHECK(!gate_withdraw(t->gate, false));
    begin_pending(t);
    CHECK(gate_withdraw(t->gate, false));
    check_refused(t, HOLD_WITHDRAWN, "canceling statement due to user request");
    hear(t, IPC_TYPE_HOLD_WITHDRAW);
    CHECK(t->packet.message.hold_withdraw.command == t->held_command);
    (void)recorded(t);
    CHECK(t->decision.decision.decision == RECORD_WITHDRAWN);
    begin_pending(t);
    CHECK(gate_withdraw(t->gate, true));
    check_refused(t, HOLD_LEFT, "the client has gone");
    hear(t, IPC_TYPE_HOLD_WITHDRAW);
    CHECK(!gate_withdraw(t->gate, false));
}

static void
test_a_withdrawn_command_does_not_run(void **state)
{
    (void)state;
    run(play_withdrawn);
}

static void
play_race(struct stage *t)
{
    for (int i = 0; i < 20; i++) {
        bool withdrawn;

        begin_pending(t);
        say_decided(t, IPC_DECISION_APPROVED, "");
        for (int k = 0; k < i % 10 && !t->done; k++)
            fiber_yield();
        withdrawn = gate_withdraw(t->gate, false);
        finish(t);
        CHECK(t->result == OK);
        CHECK(gate_runs(&t->admission.verdict) == !withdrawn);
        (void)recorded(t);
        CHECK((t->decision.decision.decision == RECORD_APPROVED) == !withdrawn);
        if (withdrawn)
            hear(t, IPC_TYPE_HOLD_WITHDRAW);
    }
}

static void
test_of_cancel_and_approval_one_wins_and_it_is_recorded(void **state)
{
    (void)state;
    run(play_race);
}

static enum err
withdraw_now(struct stage *t)
{
    CHECK(gate_withdraw(t->gate, false));
    return OK;
}

static void
play_withdrawn_early(struct stage *t)
{
    t->during_preview = withdraw_now;
    begin(t);
    check_refused(t, HOLD_WITHDRAWN, "user request");
    CHECK(channels_made == 0); /* nobody was bothered */
    CHECK(str_is(str_from(recorded(t)), "id"));
}

static void
test_a_withdrawal_during_the_preview_asks_nobody(void **state)
{
    (void)state;
    run(play_withdrawn_early);
}

static void
play_control_dies(struct stage *t)
{
    begin_pending(t);
    close(their_end);
    their_end = -1;
    check_refused(t, HOLD_UNAVAILABLE, "went away");
    begin_pending(t); /* a new channel */
    CHECK(channels_made == 2);
    say_decided(t, IPC_DECISION_APPROVED, "");
    finish(t);
    CHECK(gate_runs(&t->admission.verdict));
    close(their_end); /* while nothing is held */
    their_end = -1;
    begin_pending(t);
    CHECK(channels_made == 3);
    say_decided(t, IPC_DECISION_DENIED, "");
    check_refused(t, HOLD_DENIED, "denied by alice");
    close(their_end);
    their_end = -1;
    fiber_yield();
    no_channel = "it is being restarted";
    begin(t);
    check_refused(t, HOLD_UNAVAILABLE, "not available: it is being restarted");
}

static void
test_without_control_nothing_is_approved(void **state)
{
    (void)state;
    run(play_control_dies);
}

static void
play_policy(struct stage *t)
{
    begin_pending(t);
    replace(t, RULES, "first"); /* nothing changed */
    fiber_yield();
    CHECK(!t->done);
    say_decided(t, IPC_DECISION_APPROVED, "");
    finish(t);
    CHECK(gate_runs(&t->admission.verdict));
    CHECK(gate_outcome(t->gate, t->admission.id, &(struct outcome){0}) == OK);
    begin_pending(t);
    replace(t, RULES, "second");
    check_refused(t, HOLD_POLICY_CHANGED, "ask again");
    hear(t, IPC_TYPE_HOLD_WITHDRAW);
    (void)recorded(t);
    CHECK(t->decision.decision.decision == RECORD_POLICY_CHANGED);
    begin_pending(t);
    say_decided(t, IPC_DECISION_APPROVED, ""); /* it arrives, and then the rules do */
    replace(t, RULES_DENY, "third");
    check_refused(t, HOLD_POLICY_CHANGED, "never again");
    CHECK(str_is(t->admission.verdict.rule, "schema changes"));
    (void)recorded(t);
    CHECK(t->decision.decision.decision == RECORD_POLICY_CHANGED);
    CHECK(str_is(t->decision.decision.text, "never again"));
    replace(t, RULES, "fourth");
    begin_pending(t);
    replace(t, RULES_ALLOW, "fifth");
    check_refused(t, HOLD_POLICY_CHANGED, "ask again");
}

static void
test_a_change_of_the_policy_ends_the_wait_and_a_deny_wins(void **state)
{
    (void)state;
    run(play_policy);
}

static void
play_end(struct stage *t)
{
    begin_pending(t);
    gate_end(t->gate, GATE_KILLED, STR("ended by an operator"));
    finish(t);
    CHECK(t->result == ERR_UNAVAILABLE);
    CHECK(str_is(str_from(recorded(t)), "id"));
    CHECK(t->decision.decision.decision == RECORD_WITHDRAWN);
    CHECK(str_is(t->decision.decision.text, "ended by an operator"));
    hear(t, IPC_TYPE_HOLD_WITHDRAW);
}

static void
test_the_end_of_the_session_ends_the_wait(void **state)
{
    (void)state;
    run(play_end);
}

static void
play_canceled(struct stage *t)
{
    begin_pending(t);
    fiber_cancel(t->session);
    finish(t);
    CHECK(t->result == ERR_CANCELED);
    (void)recorded(t);
    CHECK(t->decision.decision.decision == RECORD_WITHDRAWN);
    hear(t, IPC_TYPE_HOLD_WITHDRAW);
}

static void
test_a_canceled_fiber_withdraws(void **state)
{
    (void)state;
    run(play_canceled);
}

static void
play_in_transaction(struct stage *t)
{
    t->in_transaction = true;
    begin_pending(t);
    CHECK(t->wait_ms == 60000 && t->in_transaction_said == 1);
    say_decided(t, IPC_DECISION_EXPIRED, "");
    check_refused(t, HOLD_TIMED_OUT, "60 seconds");
}

static void
test_in_a_transaction_it_waits_less(void **state)
{
    (void)state;
    run(play_in_transaction);
}

static void
play_two_rules(struct stage *t)
{
    t->command.demands = DROP_GRANT;
    t->command.n_demands = 2;
    begin_pending(t);
    CHECK(str_is(str_from(t->rule), "schema changes"));
    say_decided(t, IPC_DECISION_APPROVED, "");
    hear_hold(t);
    CHECK(str_is(str_from(t->rule), "grants"));
    CHECK(t->wait_ms == 30000);
    say_pending(t);
    wait_until_held(t, 2);
    CHECK(!t->done);
    say_decided(t, IPC_DECISION_APPROVED, "");
    finish(t);
    CHECK(gate_runs(&t->admission.verdict));
    CHECK(t->n_previews == 1);
    CHECK(str_is(str_from(recorded(t)), "idd"));
    begin_pending(t);
    say_decided(t, IPC_DECISION_APPROVED, "");
    hear_hold(t);
    say_pending(t);
    wait_until_held(t, 4);
    say_decided(t, IPC_DECISION_DENIED, "no");
    check_refused(t, HOLD_DENIED, "no");
    CHECK(str_is(t->admission.verdict.rule, "grants"));
    begin_pending(t); /* withdrawn while the first approval arrives: the second is never asked */
    say_decided(t, IPC_DECISION_APPROVED, "");
    CHECK(gate_withdraw(t->gate, false));
    check_refused(t, HOLD_WITHDRAWN, "user request");
}

static void
test_all_rules_that_hold_it_must_agree(void **state)
{
    (void)state;
    run(play_two_rules);
}

static void
play_again(struct stage *t)
{
    struct approval approval;

    begin_pending(t);
    say_decided(t, IPC_DECISION_APPROVED, "");
    finish(t);
    approval = t->admission.approval;
    t->approval = &approval;
    begin(t);
    finish(t); /* nobody is asked */
    CHECK(t->result == OK && gate_runs(&t->admission.verdict));
    CHECK(t->admission.held == HOLD_APPROVED && str_is(t->admission.request, "req1"));
    CHECK(str_is(str_from(recorded(t)), "idid"));
    t->command.text = STR("drop table u"); /* another command is another question */
    begin_pending(t);
    say_decided(t, IPC_DECISION_DENIED, "");
    check_refused(t, HOLD_DENIED, "denied");
    t->command.text = STR("drop table t");
    replace(t, RULES, "second"); /* and so it is under other rules */
    begin_pending(t);
    say_decided(t, IPC_DECISION_DENIED, "");
    check_refused(t, HOLD_DENIED, "denied");
}

static void
test_an_approval_serves_the_same_command_again_and_no_other(void **state)
{
    (void)state;
    run(play_again);
}

static void
play_unready(struct stage *t)
{
    t->prepare_result = ERR_DENIED;
    begin(t);
    check_refused(t, HOLD_SKIPPED, "failed");
    CHECK(frames.len == 0);
    t->prepare_result = fail(ERR_TIMEOUT, "the target does not answer");
    begin(t);
    check_refused(t, HOLD_UNAVAILABLE, "could not be found out");
    t->prepare_result = OK;
    t->preview_result = ERR_LIMIT; /* is no reason not to ask */
    begin_pending(t);
    CHECK(t->preview.len == 0);
    t->preview_result = OK;
    say_decided(t, IPC_DECISION_APPROVED, "");
    finish(t);
    CHECK(gate_runs(&t->admission.verdict));
    t->held_result = ERR_CLOSED; /* the client cannot be told */
    begin(t);
    hear_hold(t);
    say_pending(t);
    finish(t);
    CHECK(t->result == ERR_CLOSED);
    hear(t, IPC_TYPE_HOLD_WITHDRAW);
    t->held_result = OK;
    ledger_is_gone = true;
    begin(t);
    finish(t);
    CHECK(t->result == ERR_UNAVAILABLE);
}

static void
test_what_the_protocol_cannot_do_fails_closed(void **state)
{
    (void)state;
    run(play_unready);
}

static void
play_large(struct stage *t)
{
    static char large[HOLD_COMMAND_BYTES_MAX];
    struct bind_value binds[] = {{.bytes = {large, 600 << 10}}, {.bytes = {large, 600 << 10}}};

    memset(large, 'x', sizeof(large));
    t->command.text = (struct str){large, sizeof(large)};
    begin(t);
    check_refused(t, HOLD_TOO_LARGE, "too large to be judged by a human");
    t->command.text = STR("drop table t");
    t->command.binds = binds;
    t->command.n_binds = 2; /* the record would show them cut */
    begin(t);
    check_refused(t, HOLD_TOO_LARGE, "too large to be judged by a human");
    binds[1] = (struct bind_value){.bytes = {large, 10}, .full_length = 11};
    begin(t);
    check_refused(t, HOLD_TOO_LARGE, "too large to be judged by a human");
    CHECK(channels_made == 0);
    binds[1].full_length = 0;
    t->command.text = (struct str){large, 1 << 20}; /* many parts: it waits for room */
    begin_pending(t);
    say_decided(t, IPC_DECISION_APPROVED, "");
    finish(t);
    CHECK(gate_runs(&t->admission.verdict));
}

static void
test_what_nobody_could_read_is_not_asked_about(void **state)
{
    (void)state;
    run(play_large);
}

static void
play_no_holder(struct stage *t)
{
    gate_set_holder(t->gate, &(struct gate_holder){0});
    begin(t);
    check_refused(t, HOLD_UNAVAILABLE, "cannot be asked for here");
    CHECK(str_is(str_from(recorded(t)), "i"));
}

static void
test_a_protocol_that_cannot_wait_is_refused(void **state)
{
    (void)state;
    run(play_no_holder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_approved_command_runs),
        cmocka_unit_test(test_the_wait_is_no_part_of_the_duration),
        cmocka_unit_test(test_protection_holds_whatever_is_approved),
        cmocka_unit_test(test_refusals_are_told_in_the_humans_words),
        cmocka_unit_test(test_an_approval_of_something_else_is_none),
        cmocka_unit_test(test_a_withdrawn_command_does_not_run),
        cmocka_unit_test(test_of_cancel_and_approval_one_wins_and_it_is_recorded),
        cmocka_unit_test(test_a_withdrawal_during_the_preview_asks_nobody),
        cmocka_unit_test(test_without_control_nothing_is_approved),
        cmocka_unit_test(test_a_change_of_the_policy_ends_the_wait_and_a_deny_wins),
        cmocka_unit_test(test_the_end_of_the_session_ends_the_wait),
        cmocka_unit_test(test_a_canceled_fiber_withdraws),
        cmocka_unit_test(test_in_a_transaction_it_waits_less),
        cmocka_unit_test(test_all_rules_that_hold_it_must_agree),
        cmocka_unit_test(test_an_approval_serves_the_same_command_again_and_no_other),
        cmocka_unit_test(test_what_the_protocol_cannot_do_fails_closed),
        cmocka_unit_test(test_what_nobody_could_read_is_not_asked_about),
        cmocka_unit_test(test_a_protocol_that_cannot_wait_is_refused),
    };
    int failed;

    frames = buf_make(32 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&frames);
    return failed;
}
