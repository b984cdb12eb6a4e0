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
#include "command/hash.h"
#include "control/control.h"
#include "control/holds.h"
#include "control/live.h"
#include "ipc/record.h"
#include "store/store.h"

#define POLICY_HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

enum { SESSION = 0x1234, PATIENCE_MS = 10000, PART_BYTES = 1000 };

/* Control without the world: a store of its own, a ledger that counts, and sessions that are ends
 * of channels. */
static struct {
    struct control control;
    struct config config;
    struct policy_rule rules[1];
    struct approvals_hooks hooks;
    char folder[64];
    unsigned recorded;
    char last_request[65];
    enum request_state last_state;
} stage;

static struct ipc_packet packet; /* what the session got last */

static enum err
record(void *arg, const struct approvals_event *event)
{
    (void)arg;
    (void)event;
    stage.recorded++;
    return OK;
}

static void
decided(void *arg, const struct approvals_answer *answer)
{
    holds_decided(arg, answer);
}

static void
changed(void *arg, struct str request, enum request_state state)
{
    (void)arg;
    (void)snprintf(stage.last_request, sizeof(stage.last_request), "%.*s", STR_ARG(request));
    stage.last_state = state;
}

static void
set_up(void)
{
    static const struct str approvers[] = {STR_INIT("dba")};
    static char path[128];
    struct control *c = &stage.control;

    memset(&stage, 0, sizeof(stage));
    (void)snprintf(stage.folder, sizeof(stage.folder), "/tmp/holds_test.XXXXXX");
    assert_non_null(mkdtemp(stage.folder));
    (void)snprintf(path, sizeof(path), "%s/control.db", stage.folder);
    stage.rules[0] = (struct policy_rule){
        .name = STR("ddl asks"),
        .verdict = VERDICT_STEP_UP,
        .step_up = {.approver_groups = {approvers, 1},
                    .approvals = 1,
                    .wait_seconds = 600,
                    .wait_in_transaction_seconds = 60,
                    .valid_seconds = 3600},
    };
    stage.config = (struct config){
        .console = {.url = STR("https://gw.example:9443")},
        .policies = stage.rules,
        .n_policies = 1,
        .store = {.path = str_from(path)},
    };
    c->supervisor = c->keeper = c->ledger = c->console = -1;
    c->config = &stage.config;
    (void)snprintf(c->policy_hash, sizeof(c->policy_hash), "%s", POLICY_HASH);
    (void)snprintf(c->node, sizeof(c->node), "node");
    assert_non_null(c->sessions = table_new(CONTROL_SESSIONS_MAX));
    assert_int_equal(store_open(&stage.config, &c->db), OK);
    stage.hooks = (struct approvals_hooks){
        .arg = c, .record = record, .decided = decided, .changed = changed};
    assert_int_equal(
        approvals_open(c->db, c->node, &approvals_real_clock, &stage.hooks, &c->approvals), OK);
    approvals_configure(c->approvals, c->config, str_from(POLICY_HASH));
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
    struct control *c = &stage.control;

    live_clear(c);
    for (int i = 0; i < 10; i++)
        fiber_yield(); /* the channels' fibers end */
    live_index(c);
    assert_null(c->to_index);
    assert_int_equal(c->holding_bytes, 0);
    approvals_close(c->approvals);
    db_close(c->db);
    table_free(c->sessions);
    ipc_packet_clear(&packet);
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

/* --- a session ------------------------------------------------------------------------------ */

static void
open_session(uint64_t id)
{
    struct ipc_session_opened opened = {
        .session = id,
        .subject = STR("alice"),
        .issuer = STR("corp"),
        .token_id = STR("t1"),
        .groups = STR("agents\0"),
        .resource = STR("test"),
        .protocol = STR("postgres"),
        .database = STR("app"),
        .client = STR("psql"),
        .source = STR("127.0.0.1"),
        .policy_hash = STR(POLICY_HASH),
        .chain = STR("alice\0planner\0executor\0"),
        .opened_us = (uint64_t)clock_wall_us(),
        .expires_us = (uint64_t)clock_wall_us() + 1000000000,
    };

    assert_int_equal(live_opened(&stage.control, &opened), OK);
}

/* The session's end of a new channel. */
static int
channel_for(uint64_t session)
{
    int ends[2];

    assert_int_equal(ipc_pair(ends), OK);
    holds_begin(&stage.control, session, ends[0]);
    return ends[1];
}

static void
make_frame(uint64_t command, const char *text, struct buf *frame,
           unsigned char hash[static COMMAND_HASH_BYTES])
{
    static const struct demand demand = {.classes = CLASSES(DDL) | CLASSES(ALTER),
                                         .kind = OBJECT_RELATION,
                                         .schema = STR_INIT("public"),
                                         .name = STR_INIT("t")};
    const struct command subject = {
        .text = str_from(text), .database = STR("app"), .demands = &demand, .n_demands = 1};
    const struct record_intent intent = {.command = command,
                                         .verdict = VERDICT_STEP_UP,
                                         .rule = STR("ddl asks"),
                                         .policy_hash = STR(POLICY_HASH),
                                         .subject = &subject,
                                         .decisive = 0};

    record_put_intent(frame, clock_wall_us(), &intent);
    assert_int_equal(buf_ok(frame), OK);
    assert_int_equal(command_hash(&subject, hash), OK);
}

static void
say(int channel, enum ipc_type type, const void *message)
{
    enum err e;

    while ((e = ipc_send(channel, type, message, NULL, 0)) == ERR_UNAVAILABLE)
        assert_int_equal(fiber_wait_writable(channel, clock_monotonic_ms() + PATIENCE_MS), OK);
    /* The other end may have hung up on us already; then the next answer says so. */
    assert_true(e == OK || e == ERR_CLOSED);
}

static void
say_parts(int channel, uint64_t command, struct str bytes, size_t part_bytes)
{
    while (bytes.len > 0) {
        struct ipc_hold_part part = {
            .command = command,
            .bytes = {bytes.ptr, bytes.len < part_bytes ? bytes.len : part_bytes}};

        say(channel, IPC_TYPE_HOLD_PART, &part);
        bytes = str_skip(bytes, part.bytes.len);
    }
}

/* A HOLD as an honest session sends it, to be spoilt. */
static struct ipc_hold
hold_of(uint64_t command, const struct buf *frame,
        const unsigned char hash[static COMMAND_HASH_BYTES])
{
    return (struct ipc_hold){
        .command = command,
        .rule = STR("ddl asks"),
        .policy_hash = STR(POLICY_HASH),
        .command_hash = {(const char *)hash, COMMAND_HASH_BYTES},
        .purpose = STR("ticket 7"),
        .wait_ms = 600000,
        .frame_bytes = frame->len,
    };
}

static void
hold(int channel, uint64_t command, const char *text, struct str preview, size_t part_bytes)
{
    struct buf frame = buf_make(RECORD_FRAME_MAX);
    unsigned char hash[COMMAND_HASH_BYTES];
    struct ipc_hold message;

    make_frame(command, text, &frame, hash);
    message = hold_of(command, &frame, hash);
    message.preview_bytes = preview.len;
    say(channel, IPC_TYPE_HOLD, &message);
    say_parts(channel, command, buf_str(&frame), part_bytes);
    say_parts(channel, command, preview, part_bytes);
    buf_free(&frame);
}

static enum ipc_type
hear(int channel)
{
    assert_int_equal(ipc_receive_wait(channel, &packet, clock_monotonic_ms() + PATIENCE_MS), OK);
    return packet.type;
}

/* Control hangs up, and says nothing else before. */
static void
expect_hang_up(int channel)
{
    assert_int_equal(ipc_receive_wait(channel, &packet, clock_monotonic_ms() + PATIENCE_MS),
                     ERR_CLOSED);
    close(channel);
}

static struct str
pending_request(int channel, char id[static 65])
{
    assert_int_equal(hear(channel), IPC_TYPE_HOLD_PENDING);
    (void)snprintf(id, 65, "%.*s", STR_ARG(packet.message.hold_pending.request));
    return str_from(id);
}

static void
decide(struct str request, enum decision_verdict verdict, const char *reason)
{
    static const struct str groups[] = {STR_INIT("dba")};
    static const struct str chain[] = {STR_INIT("bob")};
    const struct approver bob = {
        .person = {.issuer = STR("corp"), .subject = STR("bob"), .groups = {groups, 1}},
        .chain = {chain, 1},
        .token_id = STR("b1"),
        .channel = "api",
    };
    struct arena *arena = arena_new(4 << 20);
    struct request after;
    enum err e = approvals_decide(stage.control.approvals, request, &bob, verdict, str_from(reason),
                                  arena, &after);

    if (e != OK)
        print_error("%s\n", err_text());
    assert_int_equal(e, OK);
    arena_free(arena);
}

static void
expect_state(struct str request, enum request_state state)
{
    int64_t deadline_ms = clock_monotonic_ms() + PATIENCE_MS;
    struct arena *arena = arena_new(16 << 20);
    struct request r = {.state = REQUEST_STATE_COUNT};

    do {
        fiber_yield();
        assert_int_equal(requests_get(stage.control.db, request, arena, &r), OK);
    } while (r.state != state && clock_monotonic_ms() < deadline_ms);
    assert_int_equal(r.state, state);
    arena_free(arena);
}

static size_t
count_requests(void)
{
    struct arena *arena = arena_new(16 << 20);
    const struct request_filter all = {.state = REQUESTS_ALL, .limit = STORE_LIST_MAX};
    struct request_list list;
    size_t n;

    assert_int_equal(requests_list(stage.control.db, &all, arena, &list), OK);
    n = list.n;
    arena_free(arena);
    return n;
}

/* --- tests ---------------------------------------------------------------------------------- */

static void
approved(void)
{
    unsigned char hash[COMMAND_HASH_BYTES];
    struct buf frame = buf_make(RECORD_FRAME_MAX);
    struct arena *arena = arena_new(16 << 20);
    struct request r;
    char id[65];
    int channel;

    open_session(SESSION);
    channel = channel_for(SESSION);
    hold(channel, 7, "alter table t add x int", STR("{\"kind\":\"none\"}"), PART_BYTES);
    assert_true(str_is(pending_request(channel, id), id));
    assert_non_null(memmem(packet.message.hold_pending.url.ptr, packet.message.hold_pending.url.len,
                           id, strlen(id)));
    assert_true(str_starts(packet.message.hold_pending.url, STR("https://gw.example:9443/")));
    assert_true(packet.message.hold_pending.command == 7);
    assert_non_null(memmem(packet.message.hold_pending.approvers.ptr,
                           packet.message.hold_pending.approvers.len, "dba", 3));
    assert_int_equal(requests_get(stage.control.db, str_from(id), arena, &r), OK);
    assert_true(str_is(r.subject, "alice")); /* the keeper's word */
    assert_int_equal(r.chain.n, 3);
    assert_true(str_is(r.chain.items[2], "executor"));
    assert_true(str_is(r.resource, "test"));
    assert_true(str_is(r.purpose, "ticket 7"));
    decide(str_from(id), DECISION_APPROVE, "fine");
    assert_int_equal(hear(channel), IPC_TYPE_HOLD_DECIDED);
    assert_true(packet.message.hold_decided.command == 7);
    assert_true(packet.message.hold_decided.decision == IPC_DECISION_APPROVED);
    assert_true(str_is(packet.message.hold_decided.by, "bob"));
    make_frame(7, "alter table t add x int", &frame, hash);
    assert_true(str_equal(packet.message.hold_decided.command_hash,
                          (struct str){(const char *)hash, sizeof(hash)}));
    /* The next command may be held over the same channel, in one part. */
    hold(channel, 8, "alter table t drop x", STR(""), 20000);
    decide(pending_request(channel, id), DECISION_DENY, "not on a Friday");
    assert_int_equal(hear(channel), IPC_TYPE_HOLD_DECIDED);
    assert_true(packet.message.hold_decided.decision == IPC_DECISION_DENIED);
    assert_non_null(memmem(packet.message.hold_decided.text.ptr,
                           packet.message.hold_decided.text.len, "Friday", 6));
    close(channel);
    arena_free(arena);
    buf_free(&frame);
}

static void
test_a_held_command_is_put_before_humans_and_their_word_comes_back(void **state)
{
    (void)state;
    on_fiber(approved);
}

static void
withdrawn(void)
{
    struct ipc_hold_withdraw message = {.command = 1};
    char first[65], second[65], third[65];
    int channel, other;

    open_session(SESSION);
    channel = channel_for(SESSION);
    hold(channel, 1, "drop table a", STR(""), PART_BYTES);
    (void)pending_request(channel, first);
    say(channel, IPC_TYPE_HOLD_WITHDRAW, &message);
    expect_state(str_from(first), REQUEST_WITHDRAWN);
    /* A channel that breaks withdraws too, */
    hold(channel, 2, "drop table b", STR(""), PART_BYTES);
    (void)pending_request(channel, second);
    close(channel);
    expect_state(str_from(second), REQUEST_WITHDRAWN);
    /* and one in whose place another comes, and the end of the session. */
    channel = channel_for(SESSION);
    hold(channel, 3, "drop table c", STR(""), PART_BYTES);
    (void)pending_request(channel, third);
    other = channel_for(SESSION);
    expect_state(str_from(third), REQUEST_WITHDRAWN);
    expect_hang_up(channel);
    hold(other, 4, "drop table d", STR(""), PART_BYTES);
    (void)pending_request(other, third);
    live_ended(&stage.control, SESSION);
    expect_state(str_from(third), REQUEST_WITHDRAWN);
    expect_hang_up(other);
}

static void
test_what_nobody_waits_for_is_withdrawn(void **state)
{
    (void)state;
    on_fiber(withdrawn);
}

static void
failures(void)
{
    struct buf frame = buf_make(RECORD_FRAME_MAX);
    unsigned char hash[COMMAND_HASH_BYTES];
    struct ipc_hold message;
    int channel;

    open_session(SESSION);
    channel = channel_for(SESSION);
    make_frame(1, "drop table a", &frame, hash);
    message = hold_of(1, &frame, hash);
    message.rule = STR("no such rule");
    say(channel, IPC_TYPE_HOLD, &message);
    say_parts(channel, 1, buf_str(&frame), PART_BYTES);
    assert_int_equal(hear(channel), IPC_TYPE_HOLD_DECIDED);
    assert_true(packet.message.hold_decided.decision == IPC_DECISION_FAILED);
    assert_true(packet.message.hold_decided.text.len > 0);
    assert_int_equal(count_requests(), 0);
    /* It is told when the process stops, and what it asked for stays. */
    hold(channel, 2, "drop table b", STR(""), PART_BYTES);
    assert_int_equal(hear(channel), IPC_TYPE_HOLD_PENDING);
    approvals_close(stage.control.approvals);
    stage.control.approvals = NULL;
    assert_int_equal(hear(channel), IPC_TYPE_HOLD_DECIDED);
    assert_true(packet.message.hold_decided.decision == IPC_DECISION_FAILED);
    assert_int_equal(approvals_open(stage.control.db, "node", &approvals_real_clock, &stage.hooks,
                                    &stage.control.approvals),
                     OK);
    assert_int_equal(count_requests(), 1);
    close(channel);
    buf_free(&frame);
}

static void
test_what_cannot_be_asked_fails_with_words(void **state)
{
    (void)state;
    on_fiber(failures);
}

/* Each breaks one thing of a HOLD that is else honest. */
static void
spoil_nothing_sent(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->frame_bytes = 0;
}
static void
spoil_size(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->frame_bytes = HOLD_FRAME_BYTES_MAX + 1;
}
static void
spoil_size_most(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->frame_bytes = UINT64_MAX;
}
static void
spoil_preview(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->preview_bytes = HOLD_PREVIEW_BYTES_MAX + 1;
}
static void
spoil_hash(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->command_hash = STR("0123456789abcdef0123456789abcdef");
}
static void
spoil_hash_length(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->command_hash.len--;
}
static void
spoil_policy(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->policy_hash = STR("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
}
static void
spoil_number(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->command++;
}
static void
spoil_flag(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->in_transaction = 2;
}
static void
spoil_wait(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->wait_ms = UINT64_C(1) << 32;
}
static void
spoil_rule(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->rule = STR("");
}
static void
spoil_short(struct ipc_hold *h, struct buf *frame)
{
    (void)frame;
    h->frame_bytes--; /* and one byte too many comes */
}
static void
spoil_text(struct ipc_hold *h, struct buf *frame)
{
    char *at = memmem(frame->ptr, frame->len, "drop table", 10);

    (void)h;
    assert_non_null(at);
    at[0] = 'D'; /* approvers would see what was not hashed */
}
static void
spoil_frame(struct ipc_hold *h, struct buf *frame)
{
    (void)h;
    frame->ptr[5] = 99; /* no such kind of record */
}
static void
spoil_verdict(struct ipc_hold *h, struct buf *frame)
{
    (void)h;
    frame->ptr[4 + 1 + 1 + 8 + 8] = VERDICT_ALLOW;
}
static void
spoil_tail(struct ipc_hold *h, struct buf *frame)
{
    buf_put_u8(frame, 'x'); /* more than one record */
    h->frame_bytes++;
}

static void
hostile(void)
{
    static void (*const spoil[])(struct ipc_hold * h, struct buf * frame) = {
        spoil_nothing_sent, spoil_size,        spoil_size_most, spoil_preview,
        spoil_hash,         spoil_hash_length, spoil_policy,    spoil_number,
        spoil_flag,         spoil_wait,        spoil_rule,      spoil_short,
        spoil_text,         spoil_frame,       spoil_verdict,   spoil_tail,
    };

    open_session(SESSION);
    for (size_t i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
        struct buf frame = buf_make(RECORD_FRAME_MAX);
        unsigned char hash[COMMAND_HASH_BYTES];
        int channel = channel_for(SESSION);
        struct ipc_hold message;

        make_frame(1, "drop table a", &frame, hash);
        message = hold_of(1, &frame, hash);
        spoil[i](&message, &frame);
        say(channel, IPC_TYPE_HOLD, &message);
        say_parts(channel, message.command, buf_str(&frame), PART_BYTES);
        expect_hang_up(channel);
        buf_free(&frame);
    }
    assert_int_equal(count_requests(), 0);
    assert_int_equal(stage.control.holding_bytes, 0);
}

static void
test_a_session_that_breaks_the_protocol_loses_its_channel(void **state)
{
    (void)state;
    on_fiber(hostile);
}

static void
out_of_order(void)
{
    struct ipc_hold_part part = {.command = 1, .bytes = STR("x")};
    struct ipc_kill other = {.session = SESSION};
    struct buf frame = buf_make(RECORD_FRAME_MAX);
    unsigned char hash[COMMAND_HASH_BYTES];
    struct ipc_hold message;
    char id[65];
    int channel;

    open_session(SESSION);
    channel = channel_for(SESSION); /* a part of nothing */
    say(channel, IPC_TYPE_HOLD_PART, &part);
    expect_hang_up(channel);
    channel = channel_for(SESSION); /* what only control may say to the keeper */
    say(channel, IPC_TYPE_KILL, &other);
    expect_hang_up(channel);
    channel = channel_for(SESSION); /* a second command while the first arrives */
    make_frame(1, "drop table a", &frame, hash);
    message = hold_of(1, &frame, hash);
    say(channel, IPC_TYPE_HOLD, &message);
    say(channel, IPC_TYPE_HOLD, &message);
    expect_hang_up(channel);
    channel = channel_for(SESSION); /* an empty part, which never would end */
    say(channel, IPC_TYPE_HOLD, &message);
    part.bytes = STR("");
    say(channel, IPC_TYPE_HOLD_PART, &part);
    expect_hang_up(channel);
    channel = channel_for(SESSION); /* a second while the first waits */
    hold(channel, 1, "drop table a", STR(""), PART_BYTES);
    (void)pending_request(channel, id);
    message.command = 2;
    say(channel, IPC_TYPE_HOLD, &message);
    expect_hang_up(channel);
    expect_state(str_from(id), REQUEST_WITHDRAWN);
    channel = channel_for(SESSION + 1); /* a session that the keeper never told of */
    expect_hang_up(channel);
    buf_free(&frame);
}

static void
test_messages_out_of_order_end_the_channel(void **state)
{
    (void)state;
    on_fiber(out_of_order);
}

/* Any bytes that are a message of ours, in any order: nothing breaks, nothing is left behind. */
static void
random_talk(void)
{
    unsigned seed = 20260131;

    open_session(SESSION);
    for (int round = 0; round < 300; round++) {
        struct buf frame = buf_make(RECORD_FRAME_MAX);
        unsigned char hash[COMMAND_HASH_BYTES];
        int channel = channel_for(SESSION);

        make_frame((uint64_t)round, "drop table a", &frame, hash);
        for (int i = 0; i < 8; i++) {
            struct ipc_hold h = hold_of((uint64_t)(round + rand_r(&seed) % 2), &frame, hash);
            struct ipc_hold_withdraw w = {.command = h.command};
            size_t n = (size_t)rand_r(&seed) % (frame.len + 1);
            struct ipc_hold_part p = {.command = h.command, .bytes = {frame.ptr, n}};

            if (rand_r(&seed) % 4 == 0)
                h.frame_bytes = (uint64_t)rand_r(&seed) % 300;
            if (rand_r(&seed) % 4 == 0 && n > 20)
                frame.ptr[(size_t)rand_r(&seed) % n] ^= (char)(1 << rand_r(&seed) % 8);
            switch (rand_r(&seed) % 4) {
            case 0:
                say(channel, IPC_TYPE_HOLD, &h);
                break;
            case 1:
                say(channel, IPC_TYPE_HOLD_WITHDRAW, &w);
                break;
            default:
                say(channel, IPC_TYPE_HOLD_PART, &p);
            }
            if (rand_r(&seed) % 2 == 0) /* the other end reads */
                assert_int_equal(fiber_sleep_until(clock_monotonic_ms()), ERR_TIMEOUT);
        }
        close(channel);
        buf_free(&frame);
    }
}

static void
test_random_talk_breaks_nothing(void **state)
{
    (void)state;
    on_fiber(random_talk);
}

static void
many(void)
{
    enum { N = 200 };
    int channels[N];
    char id[65];

    for (uint64_t i = 0; i < N; i++) {
        char text[64];

        open_session(SESSION + i);
        channels[i] = channel_for(SESSION + i);
        (void)snprintf(text, sizeof(text), "drop table t%d", (int)i);
        hold(channels[i], 1, text, STR(""), 20000);
    }
    for (int i = 0; i < N; i++)
        (void)pending_request(channels[i], id);
    assert_int_equal(approvals_waiting(stage.control.approvals), N);
    live_index(&stage.control);
    for (int i = 0; i < N; i += 2)
        close(channels[i]);
    while (approvals_waiting(stage.control.approvals) > N / 2)
        assert_int_equal(fiber_sleep_until(clock_monotonic_ms() + 1), ERR_TIMEOUT);
    decide(str_from(id), DECISION_APPROVE, "");
    assert_int_equal(hear(channels[N - 1]), IPC_TYPE_HOLD_DECIDED);
    for (int i = 1; i < N; i += 2)
        close(channels[i]);
}

static void
test_many_sessions_wait_each_for_its_own(void **state)
{
    (void)state;
    on_fiber(many);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_held_command_is_put_before_humans_and_their_word_comes_back),
        cmocka_unit_test(test_what_nobody_waits_for_is_withdrawn),
        cmocka_unit_test(test_what_cannot_be_asked_fails_with_words),
        cmocka_unit_test(test_a_session_that_breaks_the_protocol_loses_its_channel),
        cmocka_unit_test(test_messages_out_of_order_end_the_channel),
        cmocka_unit_test(test_random_talk_breaks_nothing),
        cmocka_unit_test(test_many_sessions_wait_each_for_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
