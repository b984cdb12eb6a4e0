#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* ours is meant */
#ifdef __x86_64__
#include <emmintrin.h>
#endif

#include "base/clock.h"
#include "fiber/context.h"
#include "fiber/fiber.h"

/* cmocka's checks leave by longjmp(), which must not cross stacks: inside fibers a failure ends
 * the process. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void
run(fiber_fn *fn, void *arg)
{
    assert_int_equal(fiber_main(fn, arg), OK);
}

static struct fiber *
start(fiber_fn *fn, const void *arg)
{
    struct fiber *f;

    CHECK(fiber_start("test", fn, (void *)arg, &f) == OK);
    return f;
}

static void
socket_pair(int fds[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
}

static void
close_pair(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* What fibers did, in order. */
static char trace[256];

static void
note(const char *what)
{
    strncat(trace, what, sizeof(trace) - strlen(trace) - 1);
}

static void
store_aligned(void *arg)
{
    int *sum = arg;
#ifdef __x86_64__
    volatile __m128i value;

    CHECK((uintptr_t)&value % 16 == 0);
    value = _mm_set1_epi32(7);
    *sum = _mm_cvtsi128_si32(value);
#else
    *sum = 7;
#endif
}

static void
test_a_new_fiber_has_an_aligned_stack(void **state)
{
    int sum = 0;

    (void)state;
    run(store_aligned, &sum);
    assert_int_equal(sum, 7);
}

static void
yield_three_times(void *arg)
{
    for (int i = 0; i < 3; i++) {
        note(arg);
        fiber_yield();
    }
}

static void
two_yielders(void *arg)
{
    struct fiber *a = start(yield_three_times, "a"), *b = start(yield_three_times, "b");

    (void)arg;
    note("m");
    fiber_join(a);
    fiber_join(b);
    note("e");
}

static void
test_yield_takes_turns_and_join_waits_for_the_end(void **state)
{
    (void)state;
    trace[0] = '\0';
    run(two_yielders, NULL);
    assert_string_equal(trace, "mabababe");
}

static void
join_ended(void *arg)
{
    struct fiber *f = start(yield_three_times, "x");

    (void)arg;
    for (int i = 0; i < 10; i++)
        fiber_yield();
    fiber_join(f);
}

static void
test_join_of_an_ended_fiber_returns(void **state)
{
    (void)state;
    run(join_ended, NULL);
}

static void
count_one(void *arg)
{
    fiber_yield();
    ++*(int *)arg;
}

static void
start_many(void *arg)
{
    for (int i = 0; i < 3000; i++)
        CHECK(fiber_start("one", count_one, arg, NULL) == OK);
}

static void
test_thousands_of_detached_fibers_all_run(void **state)
{
    int n = 0;

    (void)state;
    run(start_many, &n);
    assert_int_equal(n, 3000);
}

static void
start_too_many(void *arg)
{
    int n = 0;
    enum err e;

    while ((e = fiber_start("one", count_one, arg, NULL)) == OK)
        CHECK(++n < 10000);
    CHECK(e == ERR_LIMIT);
}

static void
test_the_number_of_fibers_is_limited(void **state)
{
    int n = 0;

    (void)state;
    run(start_too_many, &n);
    assert_true(n > 1000);
}

static void
sleep_until_deadline(void *arg)
{
    int64_t deadline = clock_monotonic_ms() + 3;

    (void)arg;
    CHECK(fiber_sleep_until(deadline) == ERR_TIMEOUT);
    CHECK(clock_monotonic_ms() >= deadline);
    CHECK(fiber_sleep_until(0) == ERR_TIMEOUT);
}

static void
test_sleep_ends_at_its_deadline(void **state)
{
    (void)state;
    run(sleep_until_deadline, NULL);
}

struct sleeper {
    int64_t deadline;
    int64_t *last;
};

static void
sleep_in_order(void *arg)
{
    const struct sleeper *s = arg;

    CHECK(fiber_sleep_until(s->deadline) == ERR_TIMEOUT);
    CHECK(s->deadline >= *s->last);
    *s->last = s->deadline;
}

static void
many_sleepers(void *arg)
{
    struct sleeper sleepers[200];
    struct fiber *fibers[200];
    int64_t now = clock_monotonic_ms(), last = 0;

    (void)arg;
    for (int i = 0; i < 200; i++) {
        sleepers[i] = (struct sleeper){now - 100 + i * 37 % 101, &last};
        fibers[i] = start(sleep_in_order, &sleepers[i]);
    }
    for (int i = 0; i < 200; i++)
        fiber_join(fibers[i]);
}

static void
test_deadlines_expire_in_their_order(void **state)
{
    (void)state;
    run(many_sleepers, NULL);
}

static void
wait_forever(void *arg)
{
    CHECK(fiber_wait_readable(*(int *)arg, FIBER_FOREVER) == ERR_CANCELED);
    CHECK(strcmp(err_text(), "canceled") == 0);
    CHECK(fiber_sleep_until(FIBER_FOREVER) == ERR_CANCELED);
    CHECK(fiber_wait_writable(*(int *)arg, FIBER_FOREVER) == ERR_CANCELED);
    note("c");
}

static void
cancel_waiting(void *arg)
{
    int fds[2];
    struct fiber *early, *late;

    (void)arg;
    socket_pair(fds);
    late = start(wait_forever, &fds[0]);
    fiber_yield();
    fiber_cancel(late);
    early = start(wait_forever, &fds[0]);
    fiber_cancel(early); /* before it ran at all */
    fiber_join(late);
    fiber_join(early);
    close_pair(fds);
}

static void
test_cancel_ends_the_present_and_all_later_waits(void **state)
{
    (void)state;
    trace[0] = '\0';
    run(cancel_waiting, NULL);
    assert_string_equal(trace, "cc");
}

static void
cancel_joiner(void *arg)
{
    struct fiber *f = start(yield_three_times, "y");

    (void)arg;
    fiber_cancel(fiber_self());
    fiber_join(f);
    note("j");
}

static void
test_join_is_not_cancelable(void **state)
{
    (void)state;
    trace[0] = '\0';
    run(cancel_joiner, NULL);
    assert_string_equal(trace, "yyyj");
}

static struct fiber_condition condition;

static void
wait_condition(void *arg)
{
    CHECK(fiber_condition_wait(&condition, FIBER_FOREVER) == OK);
    note(arg);
}

static void
wait_condition_briefly(void *arg)
{
    CHECK(fiber_condition_wait(&condition, 0) == ERR_TIMEOUT);
    note(arg);
}

static void
signal_waiters(void *arg)
{
    struct fiber *f[4] = {start(wait_condition, "1"), start(wait_condition_briefly, "t"),
                          start(wait_condition, "2"), start(wait_condition, "3")};

    (void)arg;
    fiber_join(f[1]);
    note("s");
    fiber_condition_signal(&condition);
    CHECK(condition.waiters == NULL);
    fiber_condition_signal(&condition);
    fiber_join(f[0]);
    fiber_join(f[2]);
    fiber_join(f[3]);
}

static void
test_a_signal_wakes_all_waiters_in_order(void **state)
{
    (void)state;
    trace[0] = '\0';
    run(signal_waiters, NULL);
    assert_string_equal(trace, "ts123");
}

static void
read_side(void *arg)
{
    const int *fds = arg;
    char byte;

    CHECK(fiber_wait_readable(fds[0], FIBER_FOREVER) == OK);
    CHECK(read(fds[0], &byte, 1) == 1);
    note("r");
}

static void
write_side(void *arg)
{
    const int *fds = arg;

    CHECK(fiber_wait_writable(fds[0], FIBER_FOREVER) == OK);
    note("w");
}

static void
fill_socket(int fd)
{
    static char zeros[4096];

    while (write(fd, zeros, sizeof(zeros)) > 0)
        ;
    CHECK(errno == EAGAIN);
}

static void
drain_socket(int fd)
{
    char bytes[4096];

    while (read(fd, bytes, sizeof(bytes)) > 0)
        ;
    CHECK(errno == EAGAIN);
}

static void
both_directions(void *arg)
{
    int fds[2];
    struct fiber *reader, *writer;

    (void)arg;
    socket_pair(fds);
    fill_socket(fds[0]);
    reader = start(read_side, fds);
    writer = start(write_side, fds);
    fiber_yield();
    drain_socket(fds[1]); /* the writer may go on; the reader has nothing */
    fiber_join(writer);
    fill_socket(fds[0]);
    writer = start(write_side, fds);
    CHECK(write(fds[1], "x", 1) == 1); /* now the other way round */
    fiber_join(reader);
    drain_socket(fds[1]);
    fiber_join(writer);
    close_pair(fds);
}

static void
test_two_fibers_wait_for_two_directions_of_one_descriptor(void **state)
{
    (void)state;
    trace[0] = '\0';
    run(both_directions, NULL);
    assert_string_equal(trace, "wrw");
}

static void
wait_outcomes(void *arg)
{
    int fds[2];

    (void)arg;
    socket_pair(fds);
    CHECK(fiber_wait_readable(fds[0], 0) == ERR_TIMEOUT);
    CHECK(fiber_wait_writable(fds[0], 0) == OK); /* ready wins over a deadline long past */
    CHECK(fiber_wait_readable(-1, FIBER_FOREVER) == ERR_IO);
    close(fds[1]);
    CHECK(fiber_wait_readable(fds[0], FIBER_FOREVER) == OK); /* a hang-up wakes */
    close(fds[0]);
    CHECK(fiber_wait_readable(fds[0], FIBER_FOREVER) == ERR_IO);
}

static void
test_a_wait_says_ready_late_or_not_open(void **state)
{
    (void)state;
    run(wait_outcomes, NULL);
}

static void
time_out_then_sleep(void *arg)
{
    const int *fds = arg;

    CHECK(fiber_wait_readable(fds[0], 0) == ERR_TIMEOUT);
    note("t");
    /* The descriptor becomes readable now; that must not end this other wait. */
    CHECK(fiber_condition_wait(&condition, FIBER_FOREVER) == OK);
    note("s");
}

static void
late_event(void *arg)
{
    int fds[2];
    struct fiber *f;

    (void)arg;
    socket_pair(fds);
    f = start(time_out_then_sleep, fds);
    while (strcmp(trace, "t") != 0)
        fiber_yield();
    CHECK(write(fds[1], "x", 1) == 1);
    for (int i = 0; i < 3; i++)
        CHECK(fiber_sleep_until(0) == ERR_TIMEOUT); /* each passes through poll() */
    CHECK(strcmp(trace, "t") == 0);
    fiber_condition_signal(&condition);
    fiber_join(f);
    close_pair(fds);
}

static void
test_an_event_after_the_end_of_a_wait_wakes_nobody(void **state)
{
    (void)state;
    trace[0] = '\0';
    run(late_event, NULL);
    assert_string_equal(trace, "ts");
}

static void
spin_until_done(void *arg)
{
    while (!*(volatile bool *)arg)
        fiber_yield();
}

static void
ready_beside_spinner(void *arg)
{
    bool done = false;
    struct fiber *spinner = start(spin_until_done, &done);
    int fds[2];

    (void)arg;
    socket_pair(fds);
    CHECK(fiber_wait_writable(fds[0], FIBER_FOREVER) == OK);
    CHECK(fiber_sleep_until(clock_monotonic_ms() + 1) == ERR_TIMEOUT);
    done = true;
    fiber_join(spinner);
    close_pair(fds);
}

static void
test_a_busy_fiber_does_not_starve_waits(void **state)
{
    (void)state;
    run(ready_beside_spinner, NULL);
}

static void
count_reader(void *arg)
{
    const int *fds = arg;

    CHECK(fiber_wait_readable(fds[0], FIBER_FOREVER) == OK);
}

static void
many_descriptors(void *arg)
{
    enum { N = 200 };
    int fds[N][2];
    struct fiber *fibers[N];

    (void)arg;
    for (int i = 0; i < N; i++) {
        socket_pair(fds[i]);
        fibers[i] = start(count_reader, fds[i]);
    }
    fiber_yield();
    for (int i = 0; i < N; i++) {
        int k = i * 77 % N;

        CHECK(write(fds[k][1], "x", 1) == 1);
        fiber_join(fibers[k]);
    }
    for (int i = 0; i < N; i++)
        close_pair(fds[i]);
}

static void
test_each_of_many_descriptors_wakes_its_own_fiber(void **state)
{
    (void)state;
    run(many_descriptors, NULL);
}

static void
fail_and_yield(void *arg)
{
    err_ignore(fail(ERR_INVALID, "%s", (const char *)arg));
    fiber_yield();
    CHECK(strcmp(err_text(), arg) == 0);
}

static void
two_failures(void *arg)
{
    struct fiber *a = start(fail_and_yield, "first"), *b = start(fail_and_yield, "second");

    (void)arg;
    err_ignore(fail(ERR_IO, "main"));
    fiber_join(a);
    fiber_join(b);
    CHECK(strcmp(err_text(), "main") == 0);
}

static void
test_each_fiber_keeps_its_own_error(void **state)
{
    (void)state;
    err_ignore(fail(ERR_IO, "outside"));
    run(two_failures, NULL);
    assert_string_equal(err_text(), "outside");
}

static void
blocking_work(void *arg)
{
    char byte;

    CHECK(read(*(int *)arg, &byte, 1) == 1); /* blocks the thread until the main fiber writes */
    err_ignore(fail(ERR_IO, "from the thread"));
}

static void
offload_work(void *arg)
{
    CHECK(fiber_offload(blocking_work, arg) == OK);
    CHECK(strcmp(err_text(), "from the thread") == 0);
    note("o");
}

static void
offload_beside_others(void *arg)
{
    int fds[2];
    struct fiber *f;

    (void)arg;
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    f = start(offload_work, &fds[0]);
    for (int i = 0; i < 100; i++)
        fiber_yield();
    fiber_cancel(f); /* does not end it */
    note("m");
    CHECK(write(fds[1], "x", 1) == 1);
    fiber_join(f);
    close_pair(fds);
}

static void
test_offloaded_work_blocks_only_its_fiber(void **state)
{
    (void)state;
    trace[0] = '\0';
    run(offload_beside_others, NULL);
    assert_string_equal(trace, "mo");
}

/* Takes at least 1 KiB of stack a level. */
static __attribute__((noinline)) long
recurse(long depth)
{
    volatile char frame[1024];

    frame[0] = (char)depth;
    frame[1023] = 1;
    return depth == 0 ? 0 : recurse(depth - 1) + frame[1023];
}

static void
recurse_deeply(void *arg)
{
    long *depth = arg;

    CHECK(recurse(*depth) == *depth);
}

static void
call_deep(void *arg)
{
    for (int i = 0; i < 3; i++)
        fiber_call_deep(recurse_deeply, arg);
}

static void
test_recursion_of_megabytes_runs_on_the_big_stack(void **state)
{
    long depth = 20 << 10, shallow = 100;

    (void)state;
    run(call_deep, &depth);
    run(call_deep, &shallow);
    call_deep(&depth); /* outside fibers too */
}

#ifndef CONTEXT_ASAN
static long
resident_pages(void)
{
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
    (void)fclose(f);
    return resident;
}

static void
test_the_big_stack_gives_memory_back(void **state)
{
    long depth = 40 << 10, shallow = 1, before;

    (void)state;
    fiber_call_deep(recurse_deeply, &shallow);
    before = resident_pages();
    fiber_call_deep(recurse_deeply, &depth);
    assert_in_range(resident_pages() - before + 1000, 0, 1000 + (2 << 20) / 4096);
}
#endif

static void
nest_deep(void *arg)
{
    fiber_call_deep(recurse_deeply, arg);
}

static void
test_a_deep_call_within_a_deep_call_is_a_plain_call(void **state)
{
    long depth = 2 << 10;

    (void)state;
    fiber_call_deep(nest_deep, &depth);
}

/* Runs `fn` in a child; returns the signal that ended it, or 0. */
static int
signal_of_child(void (*fn)(void))
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
touch_guard_page(void)
{
    struct stack s;

    CHECK(stack_map(&s, 64 << 10) == OK);
    s.base[s.guard_bytes] = 1; /* the lowest usable byte */
    (void)signal(SIGSEGV, SIG_DFL);
    *(volatile char *)(s.base + s.guard_bytes - 1) = 1;
}

static void
test_the_page_below_a_stack_is_a_guard(void **state)
{
    (void)state;
    assert_int_equal(signal_of_child(touch_guard_page), SIGSEGV);
}

static void
wait_in_vain(void *arg)
{
    (void)arg;
    err_ignore(fiber_condition_wait(&condition, FIBER_FOREVER));
}

static void
deadlock(void)
{
    err_ignore(fiber_main(wait_in_vain, NULL));
}

static void
test_a_deadlock_of_all_fibers_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(signal_of_child(deadlock), SIGABRT);
}

struct idle {
    int calls;
    int64_t deadline;
    bool signal;
};

static int64_t
on_idle(void *arg)
{
    struct idle *idle = arg;

    idle->calls++;
    if (idle->signal)
        fiber_condition_signal(&condition);
    return idle->deadline;
}

static void
idle_with_waits(void *arg)
{
    struct idle *idle = arg;

    fiber_set_idle_hook(on_idle, idle);
    for (int i = 0; i < 10; i++)
        fiber_yield();
    CHECK(idle->calls == 0); /* never while something is runnable */
    CHECK(fiber_sleep_until(0) == ERR_TIMEOUT);
    CHECK(idle->calls == 1);
    idle->signal = true;
    CHECK(fiber_condition_wait(&condition, FIBER_FOREVER) == OK);
    CHECK(idle->calls == 2);
    idle->signal = false;
    idle->deadline = 0; /* always again at once */
    CHECK(fiber_sleep_until(clock_monotonic_ms() + 2) == ERR_TIMEOUT);
    CHECK(idle->calls > 3);
    fiber_set_idle_hook(NULL, NULL);
}

static void
test_the_idle_hook_runs_before_each_blocking_poll(void **state)
{
    struct idle idle = {.deadline = FIBER_FOREVER};

    (void)state;
    run(idle_with_waits, &idle);
}

static void
fork_inside_fibers(void *arg)
{
    int *status = arg;
    struct fiber *other = start(yield_three_times, "p");
    pid_t child;

    fiber_yield();
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        trace[0] = '\0';
        fiber_after_fork();
        CHECK(fiber_self() == NULL);
        CHECK(fiber_main(two_yielders, NULL) == OK);
        _exit(strcmp(trace, "mabababe") == 0 ? 23 : 1);
    }
    fiber_join(other);
    CHECK(waitpid(child, status, 0) == child);
}

static void
test_a_forked_child_starts_afresh(void **state)
{
    int status = 0;

    (void)state;
    trace[0] = '\0';
    run(fork_inside_fibers, &status);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 23);
    assert_string_equal(trace, "ppp");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_fiber_has_an_aligned_stack),
        cmocka_unit_test(test_yield_takes_turns_and_join_waits_for_the_end),
        cmocka_unit_test(test_join_of_an_ended_fiber_returns),
        cmocka_unit_test(test_thousands_of_detached_fibers_all_run),
        cmocka_unit_test(test_the_number_of_fibers_is_limited),
        cmocka_unit_test(test_sleep_ends_at_its_deadline),
        cmocka_unit_test(test_deadlines_expire_in_their_order),
        cmocka_unit_test(test_cancel_ends_the_present_and_all_later_waits),
        cmocka_unit_test(test_join_is_not_cancelable),
        cmocka_unit_test(test_a_signal_wakes_all_waiters_in_order),
        cmocka_unit_test(test_two_fibers_wait_for_two_directions_of_one_descriptor),
        cmocka_unit_test(test_a_wait_says_ready_late_or_not_open),
        cmocka_unit_test(test_an_event_after_the_end_of_a_wait_wakes_nobody),
        cmocka_unit_test(test_a_busy_fiber_does_not_starve_waits),
        cmocka_unit_test(test_each_of_many_descriptors_wakes_its_own_fiber),
        cmocka_unit_test(test_each_fiber_keeps_its_own_error),
        cmocka_unit_test(test_offloaded_work_blocks_only_its_fiber),
        cmocka_unit_test(test_recursion_of_megabytes_runs_on_the_big_stack),
#ifndef CONTEXT_ASAN
        cmocka_unit_test(test_the_big_stack_gives_memory_back),
#endif
        cmocka_unit_test(test_a_deep_call_within_a_deep_call_is_a_plain_call),
        cmocka_unit_test(test_the_page_below_a_stack_is_a_guard),
        cmocka_unit_test(test_a_deadlock_of_all_fibers_ends_the_process),
        cmocka_unit_test(test_the_idle_hook_runs_before_each_blocking_poll),
        cmocka_unit_test(test_a_forked_child_starts_afresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
