/* The stage of tests of whole PostgreSQL sessions: a session between a client and a server that the
 * test plays, with a door and a gate of the test's own. Included by one file of a test. */
#ifndef PGSTAGE_H
#define PGSTAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include "base/clock.h"
#include "fiber/fiber.h"
#include "protocol/postgres/refusal.h"
#include "protocol/postgres/session.h"

/* cmocka's checks leave by longjmp(), which must not cross stacks. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: failed: %s (%s)\n", __FILE__, __LINE__, #condition,      \
                          err_text());                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

enum { TEXTS_MAX = 64, TEXT_MAX = 256 };

/* The gate: DROP and DELETE are refused; ALTER, and whatever touches the table "held", waits for
 * humans, which are the test. */
struct gate {
    struct gate_holder holder;
    struct {
        bool waits, decided, withdrawn, left, in_transaction;
        unsigned n, asked; /* ALTERs that waited, and of how many that a human was asked */
        enum hold_end end;
        char context[512], preview[4096];
        struct fiber_condition changed;
    } hold;
    char admitted[TEXTS_MAX][TEXT_MAX];
    char purposes[TEXTS_MAX][TEXT_MAX]; /* of what was admitted */
    size_t n_binds[TEXTS_MAX];
    char purpose[TEXT_MAX];
    size_t n_admitted;
    char refused[TEXTS_MAX][TEXT_MAX];
    size_t n_refused;
    struct {
        uint64_t rows;
        char error[8];
        char limit[32];
        bool unknown;
    } outcomes[TEXTS_MAX];
    size_t n_outcomes;
    bool ended;
    struct fiber_condition end;
    struct limits limits; /* of everything that is allowed */
    enum step_up_preview preview;
    struct protection protection;
    uint64_t rows; /* delivered */
};

[[maybe_unused]] static void
keep(char to[TEXT_MAX], struct str text)
{
    (void)snprintf(to, TEXT_MAX, "%.*s", text.len > 200 ? 200 : (int)text.len, text.ptr);
}

[[maybe_unused]] static void
decide(const struct limits *limits, const struct command *command, struct verdict *verdict)
{
    *verdict = (struct verdict){.kind = command->n_demands == 0 ? VERDICT_DENY : VERDICT_ALLOW,
                                .rule = STR("some rule"),
                                .limits = *limits};
    for (size_t i = 0; i < command->n_demands; i++)
        if ((command->demands[i].classes & CLASSES(ALTER)) != 0 ||
            str_is(command->demands[i].name, "held"))
            *verdict = (struct verdict){.kind = VERDICT_STEP_UP, .rule = STR("schema changes")};
    for (size_t i = 0; i < command->n_demands; i++)
        if ((command->demands[i].classes & (CLASSES(DROP) | CLASSES(DELETE))) != 0)
            *verdict = (struct verdict){.kind = VERDICT_DENY,
                                        .rule = STR("never"),
                                        .message = STR("agents do not drop"),
                                        .demand = &command->demands[i]};
}

/* As the gate does it: asks what the protocol knows, tells it, waits. */
[[maybe_unused]] static enum err
hold(struct gate *g, const struct command *command, struct admission *out)
{
    struct hold pending = {.request = STR("req1"),
                           .url = STR("https://gw/approvals/req1"),
                           .approvers = STR("group dba"),
                           .rule = STR("schema changes"),
                           .expires_us = 1700000000000000};
    struct buf context = buf_make(4096), preview = buf_make(HOLD_PREVIEW_BYTES_MAX);
    struct command held = *command;
    enum err e;

    out->held = HOLD_SKIPPED;
    g->hold.n++;
    e = g->holder.prepare(g->holder.arg, command, &context, &g->hold.in_transaction);
    keep(g->hold.context, buf_str(&context));
    held.context = buf_str(&context);
    g->hold.decided = g->hold.withdrawn = g->hold.left = false;
    g->hold.waits = true;
    if (e == OK && g->preview != PREVIEW_NONE)
        e = g->holder.preview(g->holder.arg, &held, g->preview, &preview);
    (void)snprintf(g->hold.preview, sizeof(g->hold.preview), "%.*s", STR_ARG(buf_str(&preview)));
    if (e == OK) {
        g->hold.asked++;
        e = g->holder.held(g->holder.arg, &pending, clock_monotonic_ms() + 20000);
    }
    while (e == OK && !g->hold.decided && !g->hold.withdrawn)
        e = fiber_condition_wait(&g->hold.changed, clock_monotonic_ms() + 20000);
    g->hold.waits = false;
    buf_free(&context);
    buf_free(&preview);
    if (e == ERR_DENIED)
        return OK;
    if (e == OK)
        out->held = g->hold.withdrawn ? (g->hold.left ? HOLD_LEFT : HOLD_WITHDRAWN) : g->hold.end;
    if (e == OK && out->held == HOLD_APPROVED) {
        out->verdict.kind = VERDICT_ALLOW;
        out->approval.edition = 1;
    }
    out->verdict.message = STR("denied by alice: not today");
    out->request = STR("req1");
    return e;
}

enum err
gate_admit_again(struct gate *g, const struct command *command, const struct approval *approval,
                 struct admission *out)
{
    enum err e;

    *out = (struct admission){0};
    decide(&g->limits, command, &out->verdict);
    if (out->verdict.kind == VERDICT_STEP_UP && approval != NULL && approval->edition != 0)
        out->verdict.kind = VERDICT_ALLOW;
    if (out->verdict.kind == VERDICT_STEP_UP && (e = hold(g, command, out)) != OK)
        return e;
    if (out->verdict.kind != VERDICT_ALLOW) {
        keep(g->refused[g->n_refused++ % TEXTS_MAX], command->text);
        return OK;
    }
    g->n_binds[g->n_admitted % TEXTS_MAX] = command->n_binds;
    keep(g->purposes[g->n_admitted % TEXTS_MAX], command->purpose);
    keep(g->admitted[g->n_admitted++ % TEXTS_MAX], command->text);
    out->id = g->n_admitted;
    return OK;
}

enum err
gate_admit(struct gate *g, const struct command *command, struct admission *out)
{
    return gate_admit_again(g, command, NULL, out);
}

void
gate_set_holder(struct gate *g, const struct gate_holder *holder)
{
    g->holder = *holder;
}

bool
gate_withdraw(struct gate *g, bool left)
{
    if (!g->hold.waits)
        return false;
    g->hold.withdrawn = true;
    g->hold.left = left;
    fiber_condition_signal(&g->hold.changed);
    return true;
}

enum err
gate_decide(struct gate *g, const struct command *command, struct verdict *out)
{
    decide(&g->limits, command, out);
    return OK;
}

enum err
gate_refuse(struct gate *g, const struct command *command, struct str reason, struct admission *out)
{
    (void)reason;
    keep(g->refused[g->n_refused++ % TEXTS_MAX], command->text);
    *out = (struct admission){.verdict.kind = VERDICT_DENY};
    return OK;
}

enum err
gate_outcome(struct gate *g, uint64_t id, const struct outcome *outcome)
{
    size_t i = (id - 1) % TEXTS_MAX;

    g->n_outcomes++;
    g->outcomes[i].rows = outcome->rows;
    g->outcomes[i].unknown = outcome->unknown;
    (void)snprintf(g->outcomes[i].error, sizeof(g->outcomes[i].error), "%.*s",
                   STR_ARG(outcome->error));
    (void)snprintf(g->outcomes[i].limit, sizeof(g->outcomes[i].limit), "%.*s",
                   STR_ARG(outcome->limit));
    return OK;
}

enum err
gate_note(struct gate *g, struct str event, struct str text)
{
    (void)g;
    (void)event;
    (void)text;
    return OK;
}

enum err
gate_set_purpose(struct gate *g, struct str purpose)
{
    keep(g->purpose, purpose);
    return OK;
}

struct str
gate_purpose(const struct gate *g, const struct command *command)
{
    return command != NULL && command->purpose.len > 0 ? command->purpose : str_from(g->purpose);
}

const struct protection *
gate_protection(const struct gate *g)
{
    return &g->protection;
}

bool
gate_is_read_only(const struct gate *g)
{
    (void)g;
    return false;
}

uint64_t
gate_edition(const struct gate *g)
{
    (void)g;
    return 1;
}

uint64_t
gate_rows_left(const struct gate *g, const struct limits *l)
{
    return l->rows_per_session == 0 ? UINT64_MAX : l->rows_per_session - g->rows;
}

void
gate_count_rows(struct gate *g, uint64_t n)
{
    g->rows += n;
}

void
gate_describe(struct gate *g, struct buf *out)
{
    (void)g;
    buf_put_text(out, "read; write");
}

enum err
gate_wait_end(struct gate *g, int64_t deadline_ms, enum gate_end *end, struct str *text)
{
    enum err e = OK;

    while (e == OK && !g->ended)
        e = fiber_condition_wait(&g->end, deadline_ms);
    *end = GATE_REVOKED;
    *text = STR("the token was revoked");
    return e;
}

enum err
door_authenticate(struct door *d, const struct door_credentials *credentials, struct grant *grant,
                  struct buf *hint)
{
    (void)d, (void)credentials, (void)grant, (void)hint;
    return fail(ERR_DENIED, "not in this test");
}

void
door_refuse(struct door *d, struct str reason)
{
    (void)d, (void)reason;
}

enum err
door_scram(struct door *d, struct str client_first_bare, struct str server_first,
           struct str client_final_bare, unsigned char proof[static 32],
           unsigned char server_signature[static 32])
{
    (void)d, (void)client_first_bare, (void)server_first, (void)client_final_bare;
    (void)proof, (void)server_signature;
    return fail(ERR_DENIED, "not in this test");
}

enum err
door_md5(struct door *d, const unsigned char salt[static 4], char answer[static 36])
{
    (void)d, (void)salt, (void)answer;
    return fail(ERR_DENIED, "not in this test");
}

enum err
door_password(struct door *d, struct buf *password)
{
    (void)d, (void)password;
    return fail(ERR_DENIED, "not in this test");
}

enum err
door_secure_target(struct door *d, const struct grant *grant, struct stream *target,
                   int64_t deadline_ms)
{
    (void)d, (void)grant, (void)target, (void)deadline_ms;
    return fail(ERR_DENIED, "not in this test");
}

enum err
door_catalog(struct door *d, uint64_t stale_fingerprint, int64_t deadline_ms, struct str *bytes)
{
    (void)d, (void)stale_fingerprint, (void)deadline_ms, (void)bytes;
    return fail(ERR_UNAVAILABLE, "not in this test");
}

bool
door_take_pushed_catalog(struct door *d, struct str *bytes)
{
    (void)d, (void)bytes;
    return false;
}

void
door_catalog_release(struct str bytes)
{
    (void)bytes;
}

/* Cancel requests: the session asks for one with its own key and gets a connection to send it. */
static struct {
    unsigned asked;
    int session_end, server_end; /* -1: none */
    struct fiber_condition come;
} cancels = {.session_end = -1, .server_end = -1};

void
door_cancel(struct door *d, uint32_t cancel_id, struct str secret)
{
    int ends[2];

    (void)d, (void)cancel_id, (void)secret;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    cancels.asked++;
    cancels.session_end = ends[0];
    cancels.server_end = ends[1];
    fiber_condition_signal(&cancels.come);
}

enum err
door_wait_cancel(struct door *d, int64_t deadline_ms, int *target_fd)
{
    enum err e = OK;

    (void)d;
    while (e == OK && cancels.session_end < 0)
        e = fiber_condition_wait(&cancels.come, deadline_ms);
    if (e == OK) {
        *target_fd = cancels.session_end;
        cancels.session_end = -1;
    }
    return e;
}

/* The stage. */

struct stage {
    struct door door;
    struct gate gate;
    struct grant grant;
    struct pgtarget target;
    struct stream *client, *server; /* the test's ends */
    enum err result;
    struct buf body; /* of the last message read */
    struct buf out;
    void (*play)(struct stage *t);
    bool byte_by_byte;
};

[[maybe_unused]] static int64_t
soon(void)
{
    return clock_monotonic_ms() + 20000; /* never reached unless something is broken */
}

[[maybe_unused]] static void
session_fiber(void *arg)
{
    struct stage *t = arg;

    t->result = pgsession_run(&t->door, &t->grant, &t->target);
    pgtarget_close(&t->target);
    stream_close(t->door.client);
    t->door.client = NULL;
}

[[maybe_unused]] static void
stage_fiber(void *arg)
{
    struct stage *t = arg;
    struct fiber *session;
    int client[2], server[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, client) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, server) == 0);
    CHECK(stream_open(client[0], &t->client) == OK);
    CHECK(stream_open(client[1], &t->door.client) == OK);
    CHECK(stream_open(server[0], &t->server) == OK);
    CHECK(stream_open(server[1], &t->target.stream) == OK);
    t->door.gate = &t->gate;
    t->grant.database = STR("db");
    t->target.status = PGWIRE_IDLE;
    t->body = buf_make(8 << 20);
    t->out = buf_make(64 << 20);
    CHECK(fiber_start("session", session_fiber, t, &session) == OK);
    t->play(t);
    stream_close(t->client);
    stream_close(t->server);
    fiber_join(session);
    buf_free(&t->body);
    buf_free(&t->out);
}

[[maybe_unused]] static struct stage *
run_split(void (*play)(struct stage *t), bool byte_by_byte)
{
    static struct stage t;

    memset(&t, 0, sizeof(t));
    cancels.asked = 0;
    t.play = play;
    t.byte_by_byte = byte_by_byte;
    CHECK(fiber_main(stage_fiber, &t) == OK);
    return &t;
}

[[maybe_unused]] static struct stage *
run(void (*play)(struct stage *t))
{
    return run_split(play, false);
}

/* Writes what is in t->out. */
[[maybe_unused]] static void
say(struct stage *t, struct stream *to)
{
    struct str bytes = buf_str(&t->out);

    CHECK(buf_ok(&t->out) == OK);
    for (size_t i = 0; t->byte_by_byte && i < bytes.len; i++) {
        CHECK(stream_write(to, (struct str){bytes.ptr + i, 1}, soon()) == OK);
        fiber_yield();
        fiber_yield();
    }
    if (!t->byte_by_byte)
        CHECK(stream_write(to, bytes, soon()) == OK);
    buf_reset(&t->out);
}

/* The server gets a cancel request. */
[[maybe_unused]] static void
hear_cancel(void)
{
    struct stream *stream;
    struct str bytes;

    while (cancels.server_end < 0)
        CHECK(fiber_condition_wait(&cancels.come, soon()) == OK);
    CHECK(stream_open(cancels.server_end, &stream) == OK);
    cancels.server_end = -1;
    CHECK(stream_need(stream, 16, soon(), &bytes) == OK);
    CHECK(bytes.len == 16 && memcmp(bytes.ptr + 4, "\x04\xd2\x16\x2e", 4) == 0);
    stream_close(stream);
}

/* Reads one message, checks its type, keeps its body. */
[[maybe_unused]] static void
hear(struct stage *t, struct stream *from, char expected)
{
    struct str bytes;
    unsigned char type;
    uint32_t len;

    CHECK(stream_need(from, PGWIRE_HEADER_BYTES, soon(), &bytes) == OK);
    CHECK(pgwire_read_header((struct str){bytes.ptr, PGWIRE_HEADER_BYTES}, &type, &len) == OK);
    CHECK(stream_need(from, PGWIRE_HEADER_BYTES + len, soon(), &bytes) == OK);
    buf_reset(&t->body);
    buf_put(&t->body, bytes.ptr + PGWIRE_HEADER_BYTES, len);
    buf_put_u8(&t->body, 0);
    t->body.len--;
    stream_consume(from, PGWIRE_HEADER_BYTES + len);
    if (type != (unsigned char)expected) {
        (void)fprintf(stderr, "expected '%c', got '%c': %.*s\n", expected, type, (int)len,
                      t->body.ptr);
        abort();
    }
}

[[maybe_unused]] static void
hear_all(struct stage *t, struct stream *from, const char *types)
{
    for (; *types != '\0'; types++)
        hear(t, from, *types);
}

[[maybe_unused]] static void
hear_end(struct stream *from)
{
    struct str bytes;

    CHECK(stream_peek(from, soon(), &bytes) == ERR_CLOSED);
}

[[maybe_unused]] static void
hear_error(struct stage *t, const char *sqlstate)
{
    struct pgwire_error error;

    hear(t, t->client, 'E');
    CHECK(pgwire_read_error(buf_str(&t->body), &error) == OK);
    if (!str_is(error.sqlstate, sqlstate))
        (void)fprintf(stderr, "error: %.*s %.*s\n", STR_ARG(error.sqlstate),
                      STR_ARG(error.message));
    CHECK(str_is(error.sqlstate, sqlstate));
}

[[maybe_unused]] static bool
body_has(struct stage *t, const char *text)
{
    return memmem(t->body.ptr, t->body.len, text, strlen(text)) != NULL;
}

[[maybe_unused]] static void
query(struct stage *t, const char *text)
{
    pgwire_put_query(&t->out, str_from(text));
}

[[maybe_unused]] static void
parse(struct stage *t, const char *name, const char *text)
{
    pgwire_put_parse(&t->out, str_from(name), str_from(text));
}

[[maybe_unused]] static void
bind_to(struct stage *t, const char *portal, const char *statement)
{
    char body[128];
    size_t p = strlen(portal) + 1, s = strlen(statement) + 1;

    memset(body, 0, sizeof(body));
    memcpy(body, portal, p);
    memcpy(body + p, statement, s);
    pgwire_put_plain(&t->out, 'B', (struct str){body, p + s + 6});
}

[[maybe_unused]] static void
execute(struct stage *t, const char *portal)
{
    char body[128];
    size_t p = strlen(portal) + 1;

    memset(body, 0, sizeof(body));
    memcpy(body, portal, p);
    pgwire_put_plain(&t->out, 'E', (struct str){body, p + 4});
}

[[maybe_unused]] static void
plain(struct stage *t, char type)
{
    pgwire_put_plain(&t->out, type, STR(""));
}

[[maybe_unused]] static void
complete(struct stage *t, const char *tag)
{
    pgwire_put_string(&t->out, 'C', str_from(tag));
}

[[maybe_unused]] static void
ready(struct stage *t, char status)
{
    pgwire_put_ready(&t->out, (enum pgwire_status)status);
}

[[maybe_unused]] static void
server_error(struct stage *t, const char *severity, const char *sqlstate)
{
    struct pgwire_failure failure = {
        .severity = severity, .sqlstate = sqlstate, .message = STR("the server's own")};

    pgwire_put_error(&t->out, &failure);
}

[[maybe_unused]] static void
leave(struct stage *t)
{
    plain(t, 'X');
    say(t, t->client);
    hear(t, t->server, 'X');
}

#endif
