/* A PostgreSQL session between a client and a server that the test plays, with a door and a gate
 * of the test's own. */
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

/* The gate: DROP and DELETE are refused. */
struct gate {
    char admitted[TEXTS_MAX][TEXT_MAX];
    size_t n_binds[TEXTS_MAX];
    size_t n_admitted;
    char refused[TEXTS_MAX][TEXT_MAX];
    size_t n_refused;
    struct {
        uint64_t rows;
        char error[8];
        bool unknown;
    } outcomes[TEXTS_MAX];
    size_t n_outcomes;
    bool ended;
    struct fiber_condition end;
    struct limits limits; /* of everything that is allowed */
    struct protection protection;
    uint64_t rows; /* delivered */
};

static void
keep(char to[TEXT_MAX], struct str text)
{
    (void)snprintf(to, TEXT_MAX, "%.*s", text.len > 200 ? 200 : (int)text.len, text.ptr);
}

static void
decide(const struct command *command, struct verdict *verdict)
{
    *verdict = (struct verdict){.kind = command->n_demands == 0 ? VERDICT_DENY : VERDICT_ALLOW};
    for (size_t i = 0; i < command->n_demands; i++)
        if ((command->demands[i].classes & (CLASSES(DROP) | CLASSES(DELETE))) != 0)
            *verdict = (struct verdict){.kind = VERDICT_DENY,
                                        .rule = STR("never"),
                                        .message = STR("agents do not drop"),
                                        .demand = &command->demands[i]};
}

enum err
gate_admit(struct gate *g, const struct command *command, struct admission *out)
{
    decide(command, &out->verdict);
    if (out->verdict.kind != VERDICT_ALLOW) {
        keep(g->refused[g->n_refused++ % TEXTS_MAX], command->text);
        return OK;
    }
    g->n_binds[g->n_admitted % TEXTS_MAX] = command->n_binds;
    keep(g->admitted[g->n_admitted++ % TEXTS_MAX], command->text);
    out->id = g->n_admitted;
    return OK;
}

enum err
gate_decide(struct gate *g, const struct command *command, struct verdict *out)
{
    (void)g;
    decide(command, out);
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

const struct protection *
gate_protection(const struct gate *g)
{
    return &g->protection;
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

static unsigned cancels;

void
door_cancel(struct door *d, uint32_t cancel_id, struct str secret)
{
    (void)d, (void)cancel_id, (void)secret;
    cancels++;
}

enum err
door_wait_cancel(struct door *d, int64_t deadline_ms, int *target_fd)
{
    struct fiber_condition never = {0};
    enum err e = OK;

    (void)d, (void)target_fd;
    while (e == OK)
        e = fiber_condition_wait(&never, deadline_ms);
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

static int64_t
soon(void)
{
    return clock_monotonic_ms() + 20000; /* never reached unless something is broken */
}

static void
session_fiber(void *arg)
{
    struct stage *t = arg;

    t->result = pgsession_run(&t->door, &t->grant, &t->target);
    pgtarget_close(&t->target);
    stream_close(t->door.client);
    t->door.client = NULL;
}

static void
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

static struct stage *
run_split(void (*play)(struct stage *t), bool byte_by_byte)
{
    static struct stage t;

    memset(&t, 0, sizeof(t));
    t.play = play;
    t.byte_by_byte = byte_by_byte;
    CHECK(fiber_main(stage_fiber, &t) == OK);
    return &t;
}

static struct stage *
run(void (*play)(struct stage *t))
{
    return run_split(play, false);
}

/* Writes what is in t->out. */
static void
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

/* Reads one message, checks its type, keeps its body. */
static void
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

static void
hear_all(struct stage *t, struct stream *from, const char *types)
{
    for (; *types != '\0'; types++)
        hear(t, from, *types);
}

static void
hear_end(struct stream *from)
{
    struct str bytes;

    CHECK(stream_peek(from, soon(), &bytes) == ERR_CLOSED);
}

static void
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

static bool
body_has(struct stage *t, const char *text)
{
    return memmem(t->body.ptr, t->body.len, text, strlen(text)) != NULL;
}

static void
query(struct stage *t, const char *text)
{
    pgwire_put_query(&t->out, str_from(text));
}

static void
parse(struct stage *t, const char *name, const char *text)
{
    pgwire_put_parse(&t->out, str_from(name), str_from(text));
}

static void
bind_to(struct stage *t, const char *portal, const char *statement)
{
    char body[128];
    size_t p = strlen(portal) + 1, s = strlen(statement) + 1;

    memset(body, 0, sizeof(body));
    memcpy(body, portal, p);
    memcpy(body + p, statement, s);
    pgwire_put_plain(&t->out, 'B', (struct str){body, p + s + 6});
}

static void
execute(struct stage *t, const char *portal)
{
    char body[128];
    size_t p = strlen(portal) + 1;

    memset(body, 0, sizeof(body));
    memcpy(body, portal, p);
    pgwire_put_plain(&t->out, 'E', (struct str){body, p + 4});
}

static void
plain(struct stage *t, char type)
{
    pgwire_put_plain(&t->out, type, STR(""));
}

static void
complete(struct stage *t, const char *tag)
{
    pgwire_put_string(&t->out, 'C', str_from(tag));
}

static void
ready(struct stage *t, char status)
{
    pgwire_put_ready(&t->out, (enum pgwire_status)status);
}

static void
server_error(struct stage *t, const char *severity, const char *sqlstate)
{
    struct pgwire_failure failure = {
        .severity = severity, .sqlstate = sqlstate, .message = STR("the server's own")};

    pgwire_put_error(&t->out, &failure);
}

static void
leave(struct stage *t)
{
    plain(t, 'X');
    say(t, t->client);
    hear(t, t->server, 'X');
}

/* The tests. */

static void
play_simple(struct stage *t)
{
    query(t, "SELECT 1");
    say(t, t->client);
    hear(t, t->server, 'Q');
    CHECK(str_is(buf_str(&t->body), "SELECT 1") || t->body.len == 9);
    pgwire_put_plain(&t->out, 'T', STR("\0\0"));
    pgwire_put_plain(&t->out, 'D', STR("\0\0"));
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "TDCZ");
    leave(t);
}

static void
test_a_query_and_its_answer_pass(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_simple, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.n_admitted, 1);
        assert_string_equal(t->gate.admitted[0], "SELECT 1");
        assert_int_equal(t->gate.n_outcomes, 1);
        assert_int_equal(t->gate.outcomes[0].rows, 1);
    }
}

static void
play_refusal_order(struct stage *t)
{
    query(t, "SELECT 1");
    query(t, "DROP TABLE a");
    query(t, "SELECT 2");
    say(t, t->client);
    hear(t, t->server, 'Q');
    hear(t, t->server, 'Q');
    CHECK(body_has(t, pgrefusal_statement.ptr));
    CHECK(!body_has(t, "DROP"));
    hear(t, t->server, 'Q');
    complete(t, "SELECT 1");
    ready(t, 'T');
    server_error(t, "ERROR", "42601");
    ready(t, 'E');
    server_error(t, "ERROR", "25P02");
    ready(t, 'E');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    hear_error(t, "42501");
    CHECK(body_has(t, "agents do not drop"));
    CHECK(body_has(t, "rule \"never\""));
    CHECK(body_has(t, "allowed here: read; write"));
    hear(t, t->client, 'Z');
    CHECK(t->body.ptr[0] == 'E');
    hear_error(t, "25P02");
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_a_refusal_comes_in_its_place_with_the_true_state(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_refusal_order, split == 1);

        (void)state;
        assert_int_equal(t->gate.n_admitted, 2);
        assert_int_equal(t->gate.n_refused, 1);
        assert_string_equal(t->gate.outcomes[1].error, "25P02");
    }
}

static void
play_refused_parse(struct stage *t)
{
    parse(t, "", "SELECT 1");
    bind_to(t, "", "");
    execute(t, "");
    parse(t, "x", "DROP TABLE a");
    bind_to(t, "", "x");
    execute(t, "");
    plain(t, 'S');
    query(t, "SELECT 3");
    say(t, t->client);
    hear_all(t, t->server, "PBEP");
    CHECK(body_has(t, pgrefusal_statement.ptr));
    hear_all(t, t->server, "SQ");
    plain(t, '1');
    plain(t, '2');
    complete(t, "SELECT 7");
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "12C");
    hear_error(t, "42501");
    hear_all(t, t->client, "ZCZ");
    leave(t);
}

static void
test_after_a_refused_parse_all_is_skipped_until_sync(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_refused_parse, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.n_admitted, 2);
        assert_int_equal(t->gate.outcomes[0].rows, 7);
    }
}

static void
play_earlier_error(struct stage *t)
{
    parse(t, "", "SELECT 1");
    bind_to(t, "", "");
    execute(t, "");
    parse(t, "x", "DROP TABLE a");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBEPS");
    plain(t, '1');
    server_error(t, "ERROR", "22P02");
    ready(t, 'I');
    say(t, t->server);
    hear(t, t->client, '1');
    hear_error(t, "22P02");
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_an_earlier_error_hides_a_refusal_as_it_would_any_error(void **state)
{
    struct stage *t = run(play_earlier_error);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_string_equal(t->gate.outcomes[0].error, "skipped");
}

static void
play_failed_parse_again(struct stage *t)
{
    parse(t, "x", "SELECT 'first'");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PS");
    plain(t, '1');
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "1Z");
    parse(t, "x", "SELECT 'second', 2");
    plain(t, 'S');
    bind_to(t, "", "x");
    execute(t, "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PS");
    server_error(t, "ERROR", "42P05");
    ready(t, 'I');
    say(t, t->server);
    hear_error(t, "42P05");
    hear(t, t->client, 'Z');
    hear_all(t, t->server, "BES");
    plain(t, '2');
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "2CZ");
    leave(t);
}

static void
test_a_name_means_what_the_server_confirmed(void **state)
{
    struct stage *t = run(play_failed_parse_again);

    (void)state;
    assert_int_equal(t->gate.n_admitted, 1);
    assert_string_equal(t->gate.admitted[0], "SELECT 'first'");
}

static void
refused_in_extended(struct stage *t, const char *sqlstate)
{
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PS");
    CHECK(sqlstate != NULL);
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    say(t, t->server);
    hear_error(t, sqlstate);
    hear(t, t->client, 'Z');
}

static void
play_unknown_names(struct stage *t)
{
    bind_to(t, "", "nothing");
    refused_in_extended(t, "26000");
    execute(t, "nothing");
    refused_in_extended(t, "34000");
    query(t, "EXECUTE nothing");
    say(t, t->client);
    hear(t, t->server, 'Q');
    CHECK(body_has(t, pgrefusal_statement.ptr));
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    say(t, t->server);
    hear_error(t, "26000");
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_unknown_names_are_refused(void **state)
{
    struct stage *t = run(play_unknown_names);

    (void)state;
    assert_int_equal(t->gate.n_admitted, 0);
    assert_int_equal(t->result, OK);
}

static void
play_sql_prepare(struct stage *t)
{
    query(t, "PREPARE p AS SELECT 1");
    query(t, "EXECUTE p");
    say(t, t->client);
    hear(t, t->server, 'Q');
    complete(t, "PREPARE");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    hear(t, t->server, 'Q');
    CHECK(body_has(t, "EXECUTE p"));
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    bind_to(t, "", "p");
    execute(t, "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "BES");
    plain(t, '2');
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "2CZ");
    query(t, "DEALLOCATE ALL");
    bind_to(t, "", "p");
    say(t, t->client);
    hear(t, t->server, 'Q');
    complete(t, "DEALLOCATE ALL");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    refused_in_extended(t, "26000");
    leave(t);
}

static void
test_sql_and_protocol_share_the_names_of_statements(void **state)
{
    struct stage *t = run(play_sql_prepare);

    (void)state;
    assert_int_equal(t->gate.n_admitted, 4);
    assert_int_equal(t->result, OK);
}

static void
expect_fatal(struct stage *t, const char *sqlstate)
{
    hear_error(t, sqlstate);
    CHECK(body_has(t, "FATAL"));
    hear_end(t->client);
}

static void
play_unknown_message(struct stage *t)
{
    plain(t, 'y');
    say(t, t->client);
    hear(t, t->server, 'X');
    expect_fatal(t, "08P01");
}

static void
test_an_unknown_message_ends_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_unknown_message)->result, ERR_PROTOCOL);
}

static void
play_bad_texts(struct stage *t)
{
    static char large[SQL_TEXT_MAX + 100];

    memset(large, ' ', sizeof(large) - 1);
    query(t, large);
    pgwire_put_plain(&t->out, 'Q', (struct str){"SELECT 1\0; DROP TABLE a", 24});
    query(t, "SELECT '\xff'");
    query(t, "SELEC");
    pgwire_put_plain(&t->out, 'F', STR("\0\0\0\1\0\0\0\0\0\0"));
    query(t, "SELECT 1");
    say(t, t->client);
    for (int i = 0; i < 5; i++) {
        static const char *const sqlstates[] = {"54000", "22021", "22021", "42601", "0A000"};

        hear(t, t->server, 'Q');
        CHECK(body_has(t, pgrefusal_statement.ptr));
        server_error(t, "ERROR", "42601");
        ready(t, 'I');
        say(t, t->server);
        hear_error(t, sqlstates[i]);
        hear(t, t->client, 'Z');
    }
    hear(t, t->server, 'Q');
    CHECK(body_has(t, "SELECT 1"));
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    leave(t);
}

static void
test_bad_texts_are_refused_and_the_session_goes_on(void **state)
{
    struct stage *t = run(play_bad_texts);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.n_refused, 5);
}

static void
play_copy_in(struct stage *t)
{
    query(t, "COPY a FROM STDIN");
    pgwire_put_plain(&t->out, 'd', STR("1\n"));
    say(t, t->client);
    hear(t, t->server, 'Q');
    pgwire_put_plain(&t->out, 'G', STR("\0\0\0"));
    say(t, t->server);
    hear(t, t->client, 'G');
    plain(t, 'S'); /* ignored, as PostgreSQL does */
    plain(t, 'c');
    pgwire_put_plain(&t->out, 'd', STR("stray\n"));
    say(t, t->client);
    hear_all(t, t->server, "dc");
    complete(t, "COPY 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    leave(t);
}

static void
test_copy_data_pass_while_the_server_wants_them(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_copy_in, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.outcomes[0].rows, 1);
    }
}

static void
play_copy_abandoned(struct stage *t)
{
    query(t, "COPY a FROM STDIN");
    say(t, t->client);
    hear(t, t->server, 'Q');
    pgwire_put_plain(&t->out, 'G', STR("\0\0\0"));
    say(t, t->server);
    hear(t, t->client, 'G');
    pgwire_put_plain(&t->out, 'd', STR("1\n"));
    say(t, t->client);
    stream_close(t->client);
    t->client = NULL;
    hear_all(t, t->server, "dfX");
    server_error(t, "ERROR", "57014");
    ready(t, 'I');
    say(t, t->server);
}

static void
test_a_client_gone_in_copy_fails_the_copy(void **state)
{
    struct stage *t = run(play_copy_abandoned);

    (void)state;
    assert_int_equal(t->gate.n_outcomes, 1);
    assert_string_equal(t->gate.outcomes[0].error, "57014");
    assert_false(t->gate.outcomes[0].unknown);
}

static void
play_target_gone(struct stage *t)
{
    query(t, "SELECT 1");
    say(t, t->client);
    hear(t, t->server, 'Q');
    pgwire_put_plain(&t->out, 'T', STR("\0\0"));
    say(t, t->server);
    stream_close(t->server);
    t->server = NULL;
    hear(t, t->client, 'T');
    expect_fatal(t, "08006");
}

static void
test_a_target_gone_in_a_result_is_told_and_the_outcome_unknown(void **state)
{
    struct stage *t = run(play_target_gone);

    (void)state;
    assert_int_equal(t->result, ERR_UNAVAILABLE);
    assert_int_equal(t->gate.n_outcomes, 1);
    assert_true(t->gate.outcomes[0].unknown);
}

static void
play_strings(struct stage *t)
{
    pgwire_put_plain(&t->out, 'S', STR("standard_conforming_strings\0off\0"));
    say(t, t->server);
    hear(t, t->server, 'X');
    expect_fatal(t, "08P01");
}

static void
test_other_string_rules_end_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_strings)->result, ERR_UNSUPPORTED);
}

static void
play_end(struct stage *t)
{
    t->gate.ended = true;
    fiber_condition_signal(&t->gate.end);
    hear(t, t->server, 'X');
    expect_fatal(t, "57P01");
    CHECK(body_has(t, "revoked"));
}

static void
test_the_end_of_the_grant_ends_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_end)->result, ERR_DENIED);
}

static void
play_out_of_place(struct stage *t)
{
    complete(t, "SELECT 1");
    say(t, t->server);
    hear(t, t->server, 'X');
    expect_fatal(t, "08P01");
}

static void
test_an_answer_to_nothing_ends_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_out_of_place)->result, ERR_PROTOCOL);
}

static void
answering_server(void *arg)
{
    struct stage *t = arg;
    struct buf out = buf_make(1 << 20);

    for (int i = 0; i < 20001; i++) {
        hear(t, t->server, i == 20000 ? 'S' : 'P');
        if (i == 20000)
            pgwire_put_ready(&out, PGWIRE_IDLE);
        else
            pgwire_put_plain(&out, '1', STR(""));
        if (out.len > 8192 || i == 20000) {
            CHECK(stream_write(t->server, buf_str(&out), soon()) == OK);
            buf_reset(&out);
        }
    }
    buf_free(&out);
}

static void
play_many_parses(struct stage *t)
{
    struct fiber *server;
    struct str bytes;
    size_t total = 0;

    CHECK(fiber_start("server", answering_server, t, &server) == OK);
    for (int i = 0; i < 20000; i++)
        parse(t, "", "SELECT 1");
    plain(t, 'S');
    say(t, t->client);
    fiber_join(server);
    while (total < 20000 * 5 + 6) {
        CHECK(stream_peek(t->client, soon(), &bytes) == OK);
        total += bytes.len;
        stream_consume(t->client, bytes.len);
    }
    leave(t);
}

static void
test_many_pipelined_parses(void **state)
{
    (void)state;
    assert_int_equal(run(play_many_parses)->result, OK);
}

static void
play_named_portal(struct stage *t)
{
    query(t, "BEGIN");
    parse(t, "", "SELECT 1");
    bind_to(t, "c", "");
    execute(t, "c");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "QPBES");
    complete(t, "BEGIN");
    ready(t, 'T');
    plain(t, '1');
    plain(t, '2');
    plain(t, 's');
    ready(t, 'T');
    say(t, t->server);
    hear_all(t, t->client, "CZ12sZ");
    execute(t, "c");
    plain(t, 'S');
    query(t, "COMMIT");
    say(t, t->client);
    hear_all(t, t->server, "ESQ");
    complete(t, "SELECT 1");
    ready(t, 'T');
    complete(t, "COMMIT");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZCZ");
    execute(t, "c");
    refused_in_extended(t, "34000");
    leave(t);
}

static void
test_portals_end_with_their_transaction(void **state)
{
    struct stage *t = run(play_named_portal);

    (void)state;
    /* BEGIN, Bind of the named portal, two Executes, COMMIT */
    assert_int_equal(t->gate.n_admitted, 5);
    assert_int_equal(t->gate.n_outcomes, 5);
}

static void
play_planned_functions(struct stage *t)
{
    parse(t, "", "SELECT mine(1)");
    bind_to(t, "", "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBS");
    CHECK(t->gate.n_admitted == 1);
    plain(t, '1');
    plain(t, '2');
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "12Z");
    leave(t);
}

static void
test_what_the_planner_may_run_is_recorded_at_bind(void **state)
{
    struct stage *t = run(play_planned_functions);

    (void)state;
    assert_int_equal(t->gate.n_outcomes, 1);
}

static void
play_idle(struct stage *t)
{
    for (int i = 0; i < 2; i++) {
        CHECK(fiber_sleep_until(clock_monotonic_ms() + 1200) == ERR_TIMEOUT);
        query(t, "SELECT 1");
        say(t, t->client);
        hear(t, t->server, 'Q');
        complete(t, "SELECT 1");
        ready(t, 'I');
        say(t, t->server);
        hear_all(t, t->client, "CZ");
    }
    leave(t);
}

static void
test_an_idle_session_gives_memory_back_and_goes_on(void **state)
{
    (void)state;
    assert_int_equal(run(play_idle)->result, OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_query_and_its_answer_pass),
        cmocka_unit_test(test_a_refusal_comes_in_its_place_with_the_true_state),
        cmocka_unit_test(test_after_a_refused_parse_all_is_skipped_until_sync),
        cmocka_unit_test(test_an_earlier_error_hides_a_refusal_as_it_would_any_error),
        cmocka_unit_test(test_a_name_means_what_the_server_confirmed),
        cmocka_unit_test(test_unknown_names_are_refused),
        cmocka_unit_test(test_sql_and_protocol_share_the_names_of_statements),
        cmocka_unit_test(test_an_unknown_message_ends_the_session),
        cmocka_unit_test(test_bad_texts_are_refused_and_the_session_goes_on),
        cmocka_unit_test(test_copy_data_pass_while_the_server_wants_them),
        cmocka_unit_test(test_a_client_gone_in_copy_fails_the_copy),
        cmocka_unit_test(test_a_target_gone_in_a_result_is_told_and_the_outcome_unknown),
        cmocka_unit_test(test_other_string_rules_end_the_session),
        cmocka_unit_test(test_the_end_of_the_grant_ends_the_session),
        cmocka_unit_test(test_an_answer_to_nothing_ends_the_session),
        cmocka_unit_test(test_many_pipelined_parses),
        cmocka_unit_test(test_portals_end_with_their_transaction),
        cmocka_unit_test(test_what_the_planner_may_run_is_recorded_at_bind),
        cmocka_unit_test(test_an_idle_session_gives_memory_back_and_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
