/* Questions of the gateway's own: the test is the upstream fiber and, in a second fiber, the server
 * that answers what it is told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include "base/clock.h"
#include "protocol/postgres/ask.h"
#include "protocol/postgres/wait.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: failed: %s (%s)\n", __FILE__, __LINE__, #condition,      \
                          err_text());                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct stage {
    struct pgsession s;
    struct pgtarget target;
    struct door door;               /* records nothing */
    struct stream *client, *server; /* the test's ends */
    const char *expected;           /* types of the messages that the server waits for */
    struct buf answer;              /* what it then says */
    void (*play)(struct stage *t);
};

static int64_t
soon(void)
{
    return clock_monotonic_ms() + 20000;
}

static void
hear(struct stream *from, const char *types, struct buf *body)
{
    for (; *types != '\0'; types++) {
        struct str bytes;
        unsigned char type;
        uint32_t len;

        CHECK(stream_need(from, PGWIRE_HEADER_BYTES, soon(), &bytes) == OK);
        CHECK(pgwire_read_header((struct str){bytes.ptr, PGWIRE_HEADER_BYTES}, &type, &len) == OK);
        CHECK(stream_need(from, PGWIRE_HEADER_BYTES + len, soon(), &bytes) == OK);
        if (type != (unsigned char)*types)
            (void)fprintf(stderr, "expected '%c', got '%c'\n", *types, type);
        CHECK(type == (unsigned char)*types);
        if (body != NULL) {
            buf_reset(body);
            buf_put(body, bytes.ptr + PGWIRE_HEADER_BYTES, len);
        }
        stream_consume(from, PGWIRE_HEADER_BYTES + len);
    }
}

static void
server_fiber(void *arg)
{
    struct stage *t = arg;
    struct str all = buf_str(&t->answer);

    hear(t->server, t->expected, NULL);
    for (size_t i = 0; i < all.len; i++) { /* split at every byte */
        CHECK(stream_write(t->server, (struct str){all.ptr + i, 1}, soon()) == OK);
        fiber_yield();
        fiber_yield();
    }
    buf_reset(&t->answer);
}

static void
downstream_fiber(void *arg)
{
    struct stage *t = arg;

    err_ignore(pgdownstream_run(&t->s));
}

static void
stage_fiber(void *arg)
{
    struct stage *t = arg;
    struct fiber *downstream;
    int client[2], server[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, client) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, server) == 0);
    CHECK(stream_open(client[0], &t->client) == OK);
    CHECK(stream_open(client[1], &t->s.client) == OK);
    CHECK(stream_open(server[0], &t->server) == OK);
    CHECK(stream_open(server[1], &t->target.stream) == OK);
    t->s.target = &t->target;
    t->s.door = &t->door;
    t->s.up = pglane_make(t->s.client, t->target.stream);
    t->s.down = pglane_make(t->target.stream, t->s.client);
    t->s.segment = 1;
    t->s.farewell = buf_make(4096);
    t->s.statements = pgnames_new(10, 1000);
    t->s.portals = pgnames_new(10, 1000);
    t->s.cursors = pgnames_new(10, 1000);
    t->answer = buf_make(16 << 20);
    CHECK(fiber_start("downstream", downstream_fiber, t, &downstream) == OK);
    t->play(t);
    fiber_cancel(downstream);
    fiber_join(downstream);
    stream_close(t->client);
    stream_close(t->server);
    stream_close(t->s.client);
    stream_close(t->target.stream);
    pganswers_free(&t->s.answers);
    pgnames_free(t->s.statements);
    pgnames_free(t->s.portals);
    pgnames_free(t->s.cursors);
    pglane_free(&t->s.up);
    pglane_free(&t->s.down);
    buf_free(&t->s.farewell);
    buf_free(&t->answer);
}

static void
run(void (*play)(struct stage *t))
{
    static struct stage t;

    memset(&t, 0, sizeof(t));
    t.play = play;
    CHECK(fiber_main(stage_fiber, &t) == OK);
}

/* Asks `sql` while the server, once it has heard `expected`, says what is in t->answer. */
static enum err
ask(struct stage *t, const char *sql, const char *expected, struct pgask *question)
{
    struct fiber *server;
    enum err e;

    t->expected = expected;
    CHECK(fiber_start("server", server_fiber, t, &server) == OK);
    e = pgask(&t->s, str_from(sql), question);
    fiber_join(server);
    return e;
}

static void
plain(struct stage *t, const char *types)
{
    for (; *types != '\0'; types++)
        pgwire_put_plain(&t->answer, *types, STR(""));
}

static void
row(struct stage *t, const char *value)
{
    struct buf body = buf_make(256);

    buf_put_u16(&body, 2);
    buf_put_u32(&body, (uint32_t)strlen(value));
    buf_put_text(&body, value);
    buf_put_u32(&body, UINT32_MAX);
    pgwire_put_plain(&t->answer, 'D', buf_str(&body));
    buf_free(&body);
}

static void
server_error(struct stage *t, const char *sqlstate)
{
    struct pgwire_failure failure = {
        .severity = "ERROR", .sqlstate = sqlstate, .message = STR("the secret is 42")};

    pgwire_put_error(&t->answer, &failure);
}

static void
complete(struct stage *t, const char *tag)
{
    pgwire_put_string(&t->answer, 'C', str_from(tag));
}

static void
hear_nothing(struct stage *t)
{
    struct str bytes;

    CHECK(stream_peek(t->client, clock_monotonic_ms() + 20, &bytes) == ERR_TIMEOUT);
}

/* A message of the client's that upstream forwarded before. */
static void
forward(struct stage *t, enum pgwire_expected kind)
{
    struct pganswer answer = {.kind = kind};

    CHECK(pgwait_room(&t->s, 1) == OK);
    pganswers_push(&t->s.answers, &answer);
}

static void
play_rows(struct stage *t)
{
    struct arena *arena = arena_new(1 << 20);
    struct pgask_rows rows;
    struct fiber *server;
    char sqlstate[6];

    pgwire_put_plain(&t->answer, 'T', STR("\0\0"));
    pgwire_put_plain(&t->answer, 'N', STR("CABCDE\0\0"));
    row(t, "one");
    row(t, "two");
    complete(t, "SELECT 2");
    pgwire_put_ready(&t->answer, PGWIRE_IN_TRANSACTION);
    t->expected = "Q";
    CHECK(fiber_start("server", server_fiber, t, &server) == OK);
    CHECK(pgask_for_rows(&t->s, STR("SELECT 1"), 2, arena, &rows, sqlstate) == OK);
    fiber_join(server);
    CHECK(rows.n_rows == 2 && rows.n_columns == 2);
    CHECK(str_is(rows.fields[0], "one") && str_is(rows.fields[2], "two"));
    CHECK(rows.fields[1].ptr == NULL && rows.fields[3].ptr == NULL);
    CHECK(t->s.status == PGWIRE_IN_TRANSACTION);
    hear_nothing(t);
    arena_free(arena);
}

static void
test_an_answer_is_collected_and_the_client_hears_nothing(void **state)
{
    (void)state;
    run(play_rows);
}

static void
play_simple_failure(struct stage *t)
{
    struct pgask question = {0};

    server_error(t, "42P01");
    pgwire_put_ready(&t->answer, PGWIRE_IDLE);
    CHECK(ask(t, "SELECT 1", "Q", &question) == ERR_DENIED);
    CHECK(question.failed && strcmp(question.sqlstate, "42P01") == 0);
    CHECK(!t->s.skipping && pgwait_between_segments(&t->s));
    hear_nothing(t);
}

static void
test_a_failure_between_segments_is_the_askers_alone(void **state)
{
    (void)state;
    run(play_simple_failure);
}

static void
free_object(struct pgobject *object)
{
    (void)object;
}

static void
play_unnamed(struct stage *t)
{
    static struct pgobject object = {1, 10, free_object};
    struct pgask question = {0};

    CHECK(pgnames_set(t->s.statements, STR(""), &object) == OK);
    plain(t, "12");
    complete(t, "SELECT 0");
    plain(t, "33");
    pgwire_put_ready(&t->answer, PGWIRE_IDLE);
    CHECK(ask(t, "SELECT 1", "PBECCS", &question) == OK);
    CHECK(pgnames_get(t->s.statements, STR("")) == &object);
    server_error(t, "42P01");
    pgwire_put_ready(&t->answer, PGWIRE_IDLE);
    question = (struct pgask){0};
    CHECK(ask(t, "SELECT 1", "PBECCS", &question) == ERR_DENIED);
    CHECK(question.failed && !t->s.skipping);
    hear_nothing(t);
}

static void
test_the_clients_unnamed_statement_survives_a_question(void **state)
{
    (void)state;
    run(play_unnamed);
}

static void
play_within(struct stage *t)
{
    struct pgask question = {0};

    forward(t, PGWIRE_OF_PARSE);
    plain(t, "112");
    complete(t, "SELECT 0");
    plain(t, "33");
    CHECK(ask(t, "SELECT 1", "PBECCH", &question) == OK);
    hear(t->client, "1", NULL);
    hear_nothing(t);
}

static void
test_within_a_segment_a_question_does_not_end_it(void **state)
{
    (void)state;
    run(play_within);
}

static void
play_failure_within(struct stage *t)
{
    struct pgask question = {0};
    struct buf body = buf_make(4096);

    forward(t, PGWIRE_OF_PARSE);
    plain(t, "112");
    server_error(t, "22012");
    CHECK(ask(t, "SELECT 1", "PBECCH", &question) == ERR_DENIED);
    CHECK(question.failed && strcmp(question.sqlstate, "22012") == 0);
    CHECK(t->s.skipping && t->s.answers.count == 0);
    hear(t->client, "1E", &body);
    CHECK(memmem(body.ptr, body.len, "22012", 5) != NULL);
    buf_free(&body);
}

static void
test_a_failure_within_a_segment_is_the_clients_too(void **state)
{
    (void)state;
    run(play_failure_within);
}

static void
play_skipped(struct stage *t)
{
    struct pgask question = {0};

    forward(t, PGWIRE_OF_PARSE);
    server_error(t, "42601");
    CHECK(ask(t, "SELECT 1", "PBECCH", &question) == ERR_DENIED);
    CHECK(question.skipped && !question.failed && t->s.skipping);
    hear(t->client, "E", NULL);
}

static void
test_after_an_error_of_the_clients_nothing_is_asked(void **state)
{
    (void)state;
    run(play_skipped);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_is_collected_and_the_client_hears_nothing),
        cmocka_unit_test(test_a_failure_between_segments_is_the_askers_alone),
        cmocka_unit_test(test_the_clients_unnamed_statement_survives_a_question),
        cmocka_unit_test(test_within_a_segment_a_question_does_not_end_it),
        cmocka_unit_test(test_a_failure_within_a_segment_is_the_clients_too),
        cmocka_unit_test(test_after_an_error_of_the_clients_nothing_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
