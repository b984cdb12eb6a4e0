/* Catalogs at a session's door, before a keeper played by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail

#include "base/clock.h"
#include "fiber/fiber.h"
#include "gate/door_open.h"
#include "ipc/channel.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct scene {
    struct door door;
    int keeper, ledger; /* our ends */
    struct ipc_packet packet;
};

static int64_t
in(int64_t ms)
{
    return clock_monotonic_ms() + ms;
}

static struct scene *
open_scene(void)
{
    struct scene *s = calloc(1, sizeof(*s));
    struct ipc_spool spool = {};
    int keeper[2], ledger[2], file = dup(STDERR_FILENO), client[2];

    CHECK(s != NULL && file >= 0 && ipc_pair(keeper) == OK && ipc_pair(ledger) == OK);
    CHECK(ipc_pair(client) == OK && stream_open(client[0], &s->door.client) == OK);
    close(client[1]);
    s->keeper = keeper[0];
    s->ledger = ledger[0];
    s->door.handshake_deadline_ms = in(5000);
    CHECK(ipc_send(s->ledger, IPC_TYPE_SPOOL, &spool, &file, 1) == OK);
    close(file);
    CHECK(door_open(&s->door, keeper[1], ledger[1]) == OK);
    return s;
}

static void
close_scene(struct scene *s)
{
    if (s->keeper >= 0)
        close(s->keeper);
    stream_close(s->door.client);
    ipc_packet_clear(&s->packet);
    free(s);
}

/* The number of the next question. */
static uint64_t
hear(struct scene *s, uint64_t stale)
{
    CHECK(ipc_receive_wait(s->keeper, &s->packet, in(5000)) == OK);
    CHECK(s->packet.type == IPC_TYPE_CATALOG && s->packet.message.catalog.stale == stale);
    CHECK(s->packet.message.catalog.number != 0);
    return s->packet.message.catalog.number;
}

static void
give(struct scene *s, uint64_t number, const char *text)
{
    struct ipc_catalog_ready ready = {.number = number, .bytes = strlen(text)};
    int fd;

    CHECK(ipc_share_bytes("catalog", str_from(text), &fd) == OK);
    CHECK(ipc_send(s->keeper, IPC_TYPE_CATALOG_READY, &ready, &fd, 1) == OK);
    close(fd);
}

struct asker {
    struct scene *scene;
    uint64_t stale;
    int64_t wait_ms;
    enum err result;
    char text[ERR_TEXT_MAX];
    struct str bytes;
    bool answered;
    struct fiber *fiber;
};

static void
ask(void *arg)
{
    struct asker *a = arg;

    a->result = door_catalog(&a->scene->door, a->stale, in(a->wait_ms), &a->bytes);
    (void)snprintf(a->text, sizeof(a->text), "%s", a->result == OK ? "" : err_text());
    a->answered = true;
}

static struct asker
begin(struct scene *s, uint64_t stale, int64_t wait_ms)
{
    return (struct asker){.scene = s, .stale = stale, .wait_ms = wait_ms};
}

static void
start(struct asker *a)
{
    CHECK(fiber_start("asker", ask, a, &a->fiber) == OK);
}

static void
settle(void)
{
    CHECK(fiber_sleep_until(in(20)) == ERR_TIMEOUT);
}

static bool
took(struct scene *s, const char *text)
{
    struct str bytes;
    bool same;

    if (!door_take_pushed_catalog(&s->door, &bytes))
        return false;
    same = str_is(bytes, text);
    door_catalog_release(bytes);
    return same;
}

static void
questions(void *arg)
{
    struct scene *s = open_scene();
    struct asker first = begin(s, 7, 5000), second = begin(s, 8, 5000);
    struct ipc_catalog_ready refusal = {.code = ERR_LIMIT, .text = STR_INIT("too often")};

    (void)arg;
    start(&first);
    start(&second); /* takes its turn */
    give(s, hear(s, 7), "one");
    fiber_join(first.fiber);
    CHECK(first.result == OK && str_is(first.bytes, "one"));
    refusal.number = hear(s, 8);
    settle();
    CHECK(!second.answered);
    CHECK(ipc_send(s->keeper, IPC_TYPE_CATALOG_READY, &refusal, NULL, 0) == OK);
    fiber_join(second.fiber);
    CHECK(second.result == ERR_LIMIT && strcmp(second.text, "too often") == 0);
    CHECK(!took(s, "one"));
    CHECK(str_is(first.bytes, "one"));
    door_catalog_release(first.bytes);
    close_scene(s);
    _exit(0); /* the door's fibers wait for ever */
}

static void
pushes(void *arg)
{
    struct scene *s = open_scene();
    struct asker late = begin(s, 0, 30), next = begin(s, 0, 5000);
    uint64_t number;

    (void)arg;
    give(s, 0, "pushed");
    give(s, 0, "newer");
    settle();
    CHECK(took(s, "newer") && !took(s, "newer"));
    start(&late);
    number = hear(s, 0);
    fiber_join(late.fiber);
    CHECK(late.result == ERR_TIMEOUT);
    give(s, number, "late"); /* nobody waits for it; it is a newer one all the same */
    settle();
    CHECK(took(s, "late"));
    give(s, 0, "older");
    settle();
    start(&next);
    give(s, hear(s, 0), "answer");
    fiber_join(next.fiber);
    CHECK(next.result == OK && str_is(next.bytes, "answer") && !took(s, "older"));
    door_catalog_release(next.bytes);
    close_scene(s);
    _exit(0);
}

static void
ends(void *arg)
{
    struct scene *s = open_scene();
    struct asker one = begin(s, 0, 5000), other = begin(s, 0, 5000);

    (void)arg;
    start(&one);
    start(&other);
    (void)hear(s, 0);
    close(s->keeper);
    s->keeper = -1;
    fiber_join(one.fiber);
    fiber_join(other.fiber);
    CHECK(one.result == ERR_UNAVAILABLE && other.result == ERR_UNAVAILABLE);
    close_scene(s);
    _exit(0);
}

/* In a process of its own, which the door's fibers end with. */
static void
play(fiber_fn *story)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(fiber_main(story, NULL) == OK ? 1 : 2);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_questions_take_turns_and_get_their_answers(void **state)
{
    (void)state;
    play(questions);
}

static void
test_the_newest_that_was_pushed_is_taken_once(void **state)
{
    (void)state;
    play(pushes);
}

static void
test_without_a_keeper_nobody_waits(void **state)
{
    (void)state;
    play(ends);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions_take_turns_and_get_their_answers),
        cmocka_unit_test(test_the_newest_that_was_pushed_is_taken_once),
        cmocka_unit_test(test_without_a_keeper_nobody_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
