/* Whose question which reading answers, and what is kept how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail

#include "base/clock.h"
#include "fiber/fiber.h"
#include "keeper/catalog_asker.h"
#include "keeper/catalogs.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A target that answers when the test says so. */
static struct {
    unsigned begun, ended, at_once, most_at_once, allowed, told;
    uint64_t fingerprint, told_fingerprint;
    enum err result;
    struct fiber_condition go;
} world;

static enum err
read_world(void *arg, struct str key, const struct catalog_user *user, struct catalog_snapshot *out)
{
    unsigned mine = ++world.begun;

    (void)arg;
    (void)key;
    (void)user;
    if (++world.at_once > world.most_at_once)
        world.most_at_once = world.at_once;
    while (mine > world.allowed)
        CHECK(fiber_condition_wait(&world.go, clock_monotonic_ms() + 5000) == OK);
    world.at_once--;
    world.ended++;
    if (world.result != OK)
        return fail(world.result, "the world is not there");
    *out = (struct catalog_snapshot){
        .fd = dup(0), .bytes = 8, .fingerprint = world.fingerprint, .took_ms = 1};
    CHECK(out->fd >= 0);
    return OK;
}

static void
tell_world(void *arg, struct catalog_user *user, const struct catalog_snapshot *snapshot)
{
    (void)arg;
    (void)user;
    world.told++;
    world.told_fingerprint = snapshot->fingerprint;
}

static struct catalogs *
make_catalogs(void)
{
    static const struct catalogs_hooks hooks = {read_world, tell_world};
    struct catalogs *c = catalogs_new(&hooks, NULL);

    CHECK(c != NULL);
    world = (typeof(world)){.fingerprint = 1};
    return c;
}

static void
allow(unsigned reads)
{
    world.allowed += reads;
    fiber_condition_signal(&world.go);
}

struct asker {
    struct catalogs *catalogs;
    const char *key;
    uint64_t stale;
    struct catalog_snapshot got;
    enum err result;
    bool answered;
    struct fiber *fiber;
};

static void
ask(void *arg)
{
    struct asker *a = arg;

    a->result = catalogs_get(a->catalogs, str_from(a->key), a->stale, clock_monotonic_ms() + 10000,
                             &a->got);
    a->answered = true;
}

static void
begin(struct asker *a)
{
    CHECK(fiber_start("asker", ask, a, &a->fiber) == OK);
}

static void
settle(void)
{
    for (int i = 0; i < 20; i++)
        fiber_yield();
}

/* Past the pause between two readings. */
static void
wait_pause(int64_t ms)
{
    CHECK(fiber_sleep_until(clock_monotonic_ms() + ms + 50) == ERR_TIMEOUT);
}

static void
one_reading_for_all(void *arg)
{
    struct catalogs *c = make_catalogs();
    struct asker askers[50];

    (void)arg;
    for (int i = 0; i < 50; i++) {
        askers[i] = (struct asker){.catalogs = c, .key = "a"};
        begin(&askers[i]);
    }
    settle();
    CHECK(world.begun == 1);
    allow(1);
    for (int i = 0; i < 50; i++) {
        fiber_join(askers[i].fiber);
        CHECK(askers[i].result == OK && askers[i].got.fingerprint == 1);
    }
    askers[0] = (struct asker){.catalogs = c, .key = "a", .stale = 7};
    begin(&askers[0]);
    fiber_join(askers[0].fiber); /* at once: what is there is not the stale one */
    CHECK(askers[0].result == OK && world.begun == 1);
    catalogs_stop(c);
}

static void
test_all_who_wait_share_one_reading(void **state)
{
    (void)state;
    assert_int_equal(fiber_main(one_reading_for_all, NULL), OK);
}

/* Something changed after the first reading began: it may not know. */
static void
later_question(void *arg)
{
    struct catalogs *c = make_catalogs();
    struct asker first = {.catalogs = c, .key = "a"}, any = first, stale = first, late = first;

    (void)arg;
    allow(1);
    begin(&first);
    fiber_join(first.fiber);
    wait_pause(CATALOG_PAUSE_MS);
    stale.stale = late.stale = 1;
    begin(&stale);
    settle();
    CHECK(world.begun == 2);
    begin(&late); /* while the second is under way */
    begin(&any);
    settle();
    CHECK(any.answered && world.begun == 2);
    fiber_join(any.fiber);
    allow(1);
    fiber_join(stale.fiber);
    CHECK(stale.result == OK && stale.got.fingerprint == 1); /* read anew, and unchanged */
    settle();
    CHECK(!late.answered);
    world.fingerprint = 2;
    allow(1);
    fiber_join(late.fiber);
    CHECK(late.result == OK && late.got.fingerprint == 2 && world.begun == 3);
    catalogs_stop(c);
}

static void
test_a_reading_answers_only_earlier_questions(void **state)
{
    (void)state;
    assert_int_equal(fiber_main(later_question, NULL), OK);
}

static void
many_databases(void *arg)
{
    struct catalogs *c = make_catalogs();
    struct asker askers[12];
    char keys[12][4];

    (void)arg;
    for (int i = 0; i < 12; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%d", i);
        askers[i] = (struct asker){.catalogs = c, .key = keys[i]};
        begin(&askers[i]);
    }
    settle();
    CHECK(world.begun == CATALOG_READERS_MAX);
    allow(12);
    for (int i = 0; i < 12; i++) {
        fiber_join(askers[i].fiber);
        CHECK(askers[i].result == OK);
    }
    CHECK(world.most_at_once == CATALOG_READERS_MAX && world.ended == 12);
    catalogs_stop(c);
}

static void
test_few_databases_are_read_at_once(void **state)
{
    (void)state;
    assert_int_equal(fiber_main(many_databases, NULL), OK);
}

static void
failure(void *arg)
{
    struct catalogs *c = make_catalogs();
    struct asker first = {.catalogs = c, .key = "a"}, second = first;
    int64_t began_ms;

    (void)arg;
    world.result = ERR_UNAVAILABLE;
    allow(100);
    begin(&first);
    fiber_join(first.fiber);
    CHECK(first.result == ERR_UNAVAILABLE);
    world.result = OK;
    began_ms = clock_monotonic_ms();
    begin(&second);
    fiber_join(second.fiber);
    CHECK(second.result == OK && world.begun == 2);
    CHECK(clock_monotonic_ms() - began_ms >= CATALOG_FAILURE_PAUSE_MS - 50);
    catalogs_stop(c);
}

static void
test_a_failure_is_told_and_not_repeated_at_once(void **state)
{
    (void)state;
    assert_int_equal(fiber_main(failure, NULL), OK);
}

static void
giving_up(void *arg)
{
    struct catalogs *c = make_catalogs();
    struct catalog_snapshot got;

    (void)arg;
    CHECK(catalogs_get(c, STR("a"), 0, clock_monotonic_ms() + 20, &got) == ERR_TIMEOUT);
    CHECK(world.begun == 1);
    allow(1); /* it is not for nothing */
    settle();
    CHECK(catalogs_get(c, STR("a"), 0, clock_monotonic_ms() + 20, &got) == OK);
    CHECK(world.begun == 1);
    catalogs_stop(c);
    CHECK(catalogs_read(c, STR("b"), clock_monotonic_ms() + 1000, &got) == ERR_UNAVAILABLE);
}

static void
test_who_gives_up_does_not_stop_the_reading(void **state)
{
    (void)state;
    assert_int_equal(fiber_main(giving_up, NULL), OK);
}

static void
refresh(void *arg)
{
    struct catalogs *c = make_catalogs();
    struct catalog_user users[3];
    struct catalog_snapshot got;
    int64_t now_ms = clock_monotonic_ms();

    (void)arg;
    allow(100);
    for (int i = 0; i < 3; i++)
        CHECK(catalogs_join(c, STR("a"), &users[i]) == OK);
    CHECK(catalogs_get(c, STR("a"), 0, now_ms + 1000, &got) == OK);
    CHECK(world.told == 3);
    catalogs_leave(&users[1]);
    catalogs_sweep(c, now_ms + CATALOG_REFRESH_MS / 2);
    settle();
    CHECK(world.begun == 1);
    catalogs_sweep(c, now_ms + CATALOG_REFRESH_MS + 1000); /* unchanged: nobody is told */
    wait_pause(CATALOG_PAUSE_MS);
    CHECK(world.begun == 2 && world.told == 3);
    world.fingerprint = 5;
    catalogs_sweep(c, clock_monotonic_ms() + CATALOG_REFRESH_MS + 1000);
    wait_pause(CATALOG_PAUSE_MS);
    CHECK(world.begun == 3 && world.told == 5 && world.told_fingerprint == 5);
    catalogs_leave(&users[0]);
    catalogs_leave(&users[2]);
    catalogs_sweep(c, clock_monotonic_ms() + CATALOG_KEEP_MS / 2); /* unused, yet kept */
    settle();
    CHECK(catalogs_get(c, STR("a"), 0, clock_monotonic_ms() + 1000, &got) == OK);
    CHECK(world.begun == 3);
    catalogs_sweep(c, clock_monotonic_ms() + CATALOG_KEEP_MS + 1000); /* forgotten */
    CHECK(catalogs_get(c, STR("a"), 0, clock_monotonic_ms() + 1000, &got) == OK);
    CHECK(world.begun == 4);
    catalogs_stop(c);
}

static void
test_what_is_used_is_read_again_and_what_is_not_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(fiber_main(refresh, NULL), OK);
}

static void
too_many(void *arg)
{
    struct catalogs *c = make_catalogs();
    static struct catalog_user users[CATALOGS_MAX + 1];
    char key[16];

    (void)arg;
    for (int i = 0; i < CATALOGS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        CHECK(catalogs_join(c, str_from(key), &users[i]) == OK);
    }
    CHECK(catalogs_join(c, STR("one more"), &users[CATALOGS_MAX]) == ERR_LIMIT);
    for (int i = 0; i < CATALOGS_MAX; i++)
        catalogs_leave(&users[i]);
    catalogs_sweep(c, clock_monotonic_ms() + CATALOG_FORGET_MS + 1000);
    CHECK(catalogs_join(c, STR("one more"), &users[0]) == OK);
}

static void
test_there_is_a_limit_of_databases(void **state)
{
    (void)state;
    assert_int_equal(fiber_main(too_many, NULL), OK);
}

static void
test_a_session_asks_in_a_burst_and_then_once_a_second(void **state)
{
    struct catalog_allowance a = {CATALOG_ASKS_BURST, 5000};

    (void)state;
    for (int i = 0; i < CATALOG_ASKS_BURST; i++)
        assert_true(catalog_allowance_take(&a, 5000 + i));
    assert_false(catalog_allowance_take(&a, 5999));
    assert_true(catalog_allowance_take(&a, 6000));
    assert_false(catalog_allowance_take(&a, 6999));
    assert_true(catalog_allowance_take(&a, 1000000)); /* a long time gives no more than a burst */
    for (int i = 1; i < CATALOG_ASKS_BURST; i++)
        assert_true(catalog_allowance_take(&a, 1000000));
    assert_false(catalog_allowance_take(&a, 1000000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_who_wait_share_one_reading),
        cmocka_unit_test(test_a_reading_answers_only_earlier_questions),
        cmocka_unit_test(test_few_databases_are_read_at_once),
        cmocka_unit_test(test_a_failure_is_told_and_not_repeated_at_once),
        cmocka_unit_test(test_who_gives_up_does_not_stop_the_reading),
        cmocka_unit_test(test_what_is_used_is_read_again_and_what_is_not_is_dropped),
        cmocka_unit_test(test_there_is_a_limit_of_databases),
        cmocka_unit_test(test_a_session_asks_in_a_burst_and_then_once_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
