#include "fiber/fiber.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/context.h"

enum {
#ifdef CONTEXT_ASAN
    STACK_BYTES = 512 << 10,
#else
    STACK_BYTES = 256 << 10,
#endif
    STACK_KEPT_BYTES = 16 << 10, /* committed memory of a cached stack */
    CACHED_STACKS = 8,
    FIBERS_MAX = 8192,
    RESUMES_PER_POLL = 256, /* busy fibers do not keep others from their descriptors longer */
    NOT_POLLED = -1,
};

/* A fiber is running, in the ready queue, waiting (for at most one descriptor or condition, and
 * perhaps a deadline), or ended. */
struct fiber {
    struct context context;
    struct stack stack;
    fiber_fn *fn;
    void *arg;
    const char *name;
    struct fiber *next, **link; /* in the list of all fibers */
    struct fiber *next_ready;
    struct fiber *joiner; /* waits for the end of this one */

    bool waiting;
    bool cancelable; /* the present wait */
    bool canceled;
    bool detached;
    bool ended;
    enum err woken_by; /* the result of the last wait */

    int64_t deadline_ms;
    size_t heap_at; /* valid with a deadline */
    int poll_at;    /* index of its pollfd, or NOT_POLLED */
    struct fiber_condition *condition;
    struct fiber *condition_next, *condition_previous; /* a ring */

    struct err_slot error;
};

/* The scheduler. Arrays have room for every fiber, so that a wait never needs memory. */
static struct {
    bool running;
    struct context loop;
    struct err_slot *loop_error;
    struct fiber *self; /* NULL in the loop */
    struct fiber *all;
    size_t count;    /* fibers in `all`, with those that ended and were not joined yet */
    size_t alive;    /* fibers that have not ended */
    size_t capacity; /* of each array */
    struct fiber *ready, **ready_end;
    struct pollfd *polls;
    struct fiber **pollers; /* whose polls[i] is */
    int n_polls;
    struct fiber **heap; /* by deadline, the first one on top */
    size_t n_heap;
    struct stack stacks[CACHED_STACKS];
    size_t n_stacks;
    fiber_idle_fn *idle;
    void *idle_arg;
} sched;

/* Deadlines: a binary heap whose members know their place. */

static void
heap_set(size_t at, struct fiber *f)
{
    sched.heap[at] = f;
    f->heap_at = at;
}

static void
heap_up(size_t at, struct fiber *f)
{
    while (at > 0 && sched.heap[(at - 1) / 2]->deadline_ms > f->deadline_ms) {
        heap_set(at, sched.heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(at, f);
}

static void
heap_down(size_t at, struct fiber *f)
{
    for (size_t child; (child = 2 * at + 1) < sched.n_heap; at = child) {
        if (child + 1 < sched.n_heap &&
            sched.heap[child + 1]->deadline_ms < sched.heap[child]->deadline_ms)
            child++;
        if (f->deadline_ms <= sched.heap[child]->deadline_ms)
            break;
        heap_set(at, sched.heap[child]);
    }
    heap_set(at, f);
}

static void
deadline_add(struct fiber *f)
{
    if (f->deadline_ms != FIBER_FOREVER)
        heap_up(sched.n_heap++, f);
}

static void
deadline_remove(struct fiber *f)
{
    struct fiber *last;
    size_t at = f->heap_at;

    if (f->deadline_ms == FIBER_FOREVER)
        return;
    last = sched.heap[--sched.n_heap];
    if (last == f)
        return;
    if (at > 0 && sched.heap[(at - 1) / 2]->deadline_ms > last->deadline_ms)
        heap_up(at, last);
    else
        heap_down(at, last);
}

/* Descriptors: one pollfd a waiting fiber; one in both directions of an fd is there twice. */

static void
poll_add(struct fiber *f, int fd, short events)
{
    sched.polls[sched.n_polls] = (struct pollfd){.fd = fd, .events = events};
    sched.pollers[sched.n_polls] = f;
    f->poll_at = sched.n_polls++;
}

static void
poll_remove(struct fiber *f)
{
    int at = f->poll_at;

    if (at == NOT_POLLED)
        return;
    sched.n_polls--;
    sched.polls[at] = sched.polls[sched.n_polls];
    sched.pollers[at] = sched.pollers[sched.n_polls];
    sched.pollers[at]->poll_at = at;
    f->poll_at = NOT_POLLED;
}

/* Conditions: a ring of waiters, the first come first. */

static void
condition_add(struct fiber_condition *c, struct fiber *f)
{
    struct fiber *first = c->waiters;

    f->condition = c;
    if (first == NULL) {
        c->waiters = f->condition_next = f->condition_previous = f;
        return;
    }
    f->condition_next = first;
    f->condition_previous = first->condition_previous;
    first->condition_previous->condition_next = f;
    first->condition_previous = f;
}

static void
condition_remove(struct fiber *f)
{
    struct fiber_condition *c = f->condition;

    if (c == NULL)
        return;
    if (f->condition_next == f) {
        c->waiters = NULL;
    } else {
        f->condition_previous->condition_next = f->condition_next;
        f->condition_next->condition_previous = f->condition_previous;
        if (c->waiters == f)
            c->waiters = f->condition_next;
    }
    f->condition = NULL;
}

/* Running and waiting. */

static void
make_ready(struct fiber *f)
{
    f->next_ready = NULL;
    *sched.ready_end = f;
    sched.ready_end = &f->next_ready;
}

/* Ends the wait of `f`, wherever it is registered. */
static void
wake(struct fiber *f, enum err why)
{
    assert(f->waiting);
    poll_remove(f);
    deadline_remove(f);
    condition_remove(f);
    f->waiting = false;
    f->woken_by = why;
    make_ready(f);
}

/* Lets the loop go on until something makes `self` ready and it is its turn. */
static void
leave_to_loop(struct fiber *self)
{
    context_switch(&self->context, &sched.loop, NULL);
}

/* The running fiber waits; the caller registered what for. */
static enum err
suspend(int64_t deadline_ms, bool cancelable)
{
    struct fiber *self = sched.self;

    self->waiting = true;
    self->cancelable = cancelable;
    self->deadline_ms = deadline_ms;
    deadline_add(self);
    leave_to_loop(self);
    return cancelable && self->canceled ? ERR_CANCELED : self->woken_by;
}

/* Whether the running fiber may begin a cancelable wait. */
static bool
may_wait(void)
{
    assert(sched.self != NULL); /* only fibers wait */
    return !sched.self->canceled;
}

static enum err
explain(enum err e)
{
    switch (e) {
    case OK:
        return OK;
    case ERR_TIMEOUT:
        return fail(e, "the deadline passed");
    case ERR_CANCELED:
        return fail(e, "canceled");
    default:
        return fail(e, "the descriptor is not open");
    }
}

/* The life of a fiber. */

static enum err
take_stack(struct stack *s)
{
    if (sched.n_stacks == 0)
        return stack_map(s, STACK_BYTES);
    *s = sched.stacks[--sched.n_stacks];
    return OK;
}

static void
give_stack(struct stack *s)
{
    if (sched.n_stacks == CACHED_STACKS) {
        stack_unmap(s);
        return;
    }
    stack_recycle(s, STACK_KEPT_BYTES);
    sched.stacks[sched.n_stacks++] = *s;
    *s = (struct stack){0};
}

static void
fiber_free(struct fiber *f)
{
    *f->link = f->next;
    if (f->next != NULL)
        f->next->link = f->link;
    sched.count--;
    free(f);
}

static void
run_fiber(void *arg)
{
    struct fiber *self = arg;

    self->fn(self->arg);
    self->ended = true;
    context_leave(&sched.loop);
}

/* Switches from the loop to `f` until it waits or ends. */
static void
resume(struct fiber *f, const struct context_start *start)
{
    sched.self = f;
    (void)err_slot_switch(&f->error);
    context_switch(&sched.loop, &f->context, start);
    (void)err_slot_switch(sched.loop_error);
    sched.self = NULL;
}

static void
run_ready(struct fiber *f)
{
    struct context_start start = {run_fiber, f};

    if (f->context.at == NULL)
        context_make(&f->context, &f->stack);
    resume(f, &start);
    if (!f->ended)
        return;
    give_stack(&f->stack);
    sched.alive--;
    if (f->joiner != NULL)
        wake(f->joiner, OK);
    else if (f->detached)
        fiber_free(f);
}

/* Makes room in each array for `n` fibers. */
static enum err
reserve(size_t n)
{
    size_t capacity = sched.capacity == 0 ? 16 : sched.capacity;
    void *grown;

    if (n <= sched.capacity)
        return OK;
    while (capacity < n)
        capacity *= 2;
    if ((grown = reallocarray(sched.polls, capacity, sizeof(*sched.polls))) == NULL)
        goto no_memory;
    sched.polls = grown;
    if ((grown = reallocarray(sched.pollers, capacity, sizeof(struct fiber *))) == NULL)
        goto no_memory;
    sched.pollers = grown;
    if ((grown = reallocarray(sched.heap, capacity, sizeof(struct fiber *))) == NULL)
        goto no_memory;
    sched.heap = grown;
    sched.capacity = capacity;
    return OK;
no_memory:
    return fail(ERR_NOMEM, "no memory for %zu fibers", capacity);
}

enum err
fiber_start(const char *name, fiber_fn *fn, void *arg, struct fiber **out)
{
    struct fiber *f;
    enum err e;

    assert(sched.running);
    if (sched.count >= FIBERS_MAX)
        return fail(ERR_LIMIT, "more than %d fibers", FIBERS_MAX);
    if ((e = reserve(sched.count + 1)) != OK)
        return e;
    if ((f = calloc(1, sizeof(*f))) == NULL)
        return fail(ERR_NOMEM, "no memory for a fiber");
    if ((e = take_stack(&f->stack)) != OK) {
        free(f);
        return e;
    }
    f->fn = fn;
    f->arg = arg;
    f->name = name;
    f->detached = out == NULL;
    f->poll_at = NOT_POLLED;
    f->deadline_ms = FIBER_FOREVER;
    f->link = &sched.all;
    f->next = sched.all;
    if (f->next != NULL)
        f->next->link = &f->next;
    sched.all = f;
    sched.count++;
    sched.alive++;
    make_ready(f);
    if (out != NULL)
        *out = f;
    return OK;
}

void
fiber_join(struct fiber *f)
{
    assert(sched.self != NULL && f != sched.self && !f->detached && f->joiner == NULL);
    if (!f->ended) {
        f->joiner = sched.self;
        (void)suspend(FIBER_FOREVER, false);
    }
    fiber_free(f);
}

void
fiber_cancel(struct fiber *f)
{
    f->canceled = true;
    if (f->waiting && f->cancelable)
        wake(f, ERR_CANCELED);
}

struct fiber *
fiber_self(void)
{
    return sched.self;
}

/* Waits. */

void
fiber_yield(void)
{
    assert(sched.self != NULL);
    make_ready(sched.self);
    leave_to_loop(sched.self);
}

enum err
fiber_sleep_until(int64_t deadline_ms)
{
    enum err e = may_wait() ? suspend(deadline_ms, true) : ERR_CANCELED;

    return e == ERR_TIMEOUT ? e : explain(e); /* no text for the normal end */
}

static enum err
wait_for_fd(int fd, short events, int64_t deadline_ms)
{
    if (!may_wait())
        return explain(ERR_CANCELED);
    if (fd < 0)
        return explain(ERR_IO);
    poll_add(sched.self, fd, events);
    return explain(suspend(deadline_ms, true));
}

enum err
fiber_wait_readable(int fd, int64_t deadline_ms)
{
    return wait_for_fd(fd, POLLIN, deadline_ms);
}

enum err
fiber_wait_writable(int fd, int64_t deadline_ms)
{
    return wait_for_fd(fd, POLLOUT, deadline_ms);
}

enum err
fiber_wait_hangup(int fd, int64_t deadline_ms)
{
    return wait_for_fd(fd, POLLRDHUP, deadline_ms);
}

enum err
fiber_condition_wait(struct fiber_condition *c, int64_t deadline_ms)
{
    if (!may_wait())
        return explain(ERR_CANCELED);
    condition_add(c, sched.self);
    return explain(suspend(deadline_ms, true));
}

void
fiber_condition_signal(struct fiber_condition *c)
{
    while (c->waiters != NULL)
        wake(c->waiters, OK);
}

/* Helper threads. */

struct offload {
    fiber_fn *fn;
    void *arg;
    struct err_slot *error; /* the waiting fiber's */
    int done;               /* an eventfd */
};

static void *
run_offload(void *arg)
{
    struct offload *o = arg;

    (void)err_slot_switch(o->error);
    o->fn(o->arg);
    (void)eventfd_write(o->done, 1);
    return NULL;
}

/* Signals stay with the process's own thread. */
static int
start_thread(pthread_t *thread, struct offload *o)
{
    sigset_t every, before;
    int error;

    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    error = pthread_create(thread, NULL, run_offload, o);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

enum err
fiber_offload(fiber_fn *fn, void *arg)
{
    struct offload o = {fn, arg, NULL, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_t thread;

    assert(sched.self != NULL);
    if (o.done < 0)
        return fail_errno(ERR_NOMEM, "cannot make an event descriptor");
    o.error = &sched.self->error;
    if ((errno = start_thread(&thread, &o)) != 0) {
        enum err e = fail_errno(ERR_NOMEM, "cannot start a thread");

        close(o.done);
        return e;
    }
    poll_add(sched.self, o.done, POLLIN);
    (void)suspend(FIBER_FOREVER, false);
    pthread_join(thread, NULL);
    close(o.done);
    return OK;
}

/* The loop. */

void
fiber_set_idle_hook(fiber_idle_fn *fn, void *arg)
{
    sched.idle = fn;
    sched.idle_arg = arg;
}

/* Fibers that wait for each other only will never run again: a bug of ours. */
_Noreturn static void
report_deadlock(void)
{
    for (const struct fiber *f = sched.all; f != NULL; f = f->next)
        if (!f->ended)
            log_error("fiber_deadlock", "fiber=%s", f->name);
    abort();
}

/* How long poll() may take: 0, a number of milliseconds, -1 for ever. */
static int
poll_timeout(void)
{
    int64_t until = FIBER_FOREVER, left;

    if (sched.ready != NULL)
        return 0;
    if (sched.idle != NULL)
        until = sched.idle(sched.idle_arg);
    if (sched.ready != NULL)
        return 0;
    if (sched.n_heap > 0 && sched.heap[0]->deadline_ms < until)
        until = sched.heap[0]->deadline_ms;
    if (until == FIBER_FOREVER) {
        if (sched.n_polls == 0)
            report_deadlock();
        return -1;
    }
    left = until - clock_monotonic_ms();
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* Backwards, because wake() moves the last pollfd, seen already, to the place of the removed. */
static void
wake_polled(int n_events)
{
    for (int i = sched.n_polls - 1; i >= 0 && n_events > 0; i--) {
        short events = sched.polls[i].revents;

        if (events == 0)
            continue;
        n_events--;
        wake(sched.pollers[i], events & POLLNVAL ? ERR_IO : OK);
    }
}

static void
poll_once(void)
{
    int timeout = poll_timeout();
    int n = poll(sched.polls, (nfds_t)sched.n_polls, timeout);

    if (n < 0 && errno != EINTR) {
        err_ignore(fail_errno(ERR_IO, "poll of %d", sched.n_polls));
        log_error("poll_failed", "%s", err_text());
        abort();
    }
    if (n > 0)
        wake_polled(n);
    if (sched.n_heap == 0)
        return;
    for (int64_t now = clock_monotonic_ms(); sched.n_heap > 0 && sched.heap[0]->deadline_ms <= now;)
        wake(sched.heap[0], ERR_TIMEOUT);
}

static void
run_loop(void)
{
    while (sched.alive > 0) {
        size_t budget = RESUMES_PER_POLL + sched.alive;

        while (sched.ready != NULL && budget-- > 0) {
            struct fiber *f = sched.ready;

            if ((sched.ready = f->next_ready) == NULL)
                sched.ready_end = &sched.ready;
            run_ready(f);
        }
        if (sched.alive > 0)
            poll_once();
    }
}

/* Frees what the scheduler holds but cached stacks. */
static void
forget_all(void)
{
    while (sched.all != NULL)
        fiber_free(sched.all); /* unlinks it: NOLINT(clang-analyzer-unix.Malloc) */
    free(sched.polls);
    free(sched.pollers);
    free(sched.heap);
    sched.polls = NULL;
    sched.pollers = sched.heap = NULL;
    sched.capacity = sched.n_heap = sched.alive = 0;
    sched.n_polls = 0;
    sched.idle = NULL;
    sched.self = NULL;
    sched.running = false;
}

enum err
fiber_main(fiber_fn *fn, void *arg)
{
    enum err e;

    assert(!sched.running);
    sched.running = true;
    sched.ready = NULL;
    sched.ready_end = &sched.ready;
    sched.loop_error = err_slot_switch(NULL);
    (void)err_slot_switch(sched.loop_error);
    if ((e = fiber_start("main", fn, arg, NULL)) == OK)
        run_loop();
    forget_all();
    while (sched.n_stacks > 0)
        stack_unmap(&sched.stacks[--sched.n_stacks]);
    return e;
}

void
fiber_after_fork(void)
{
    if (!sched.running)
        return;
    /* The stack under our feet stays, as this process's own. */
    for (struct fiber *f = sched.all; f != NULL; f = f->next)
        if (f != sched.self && !f->ended)
            stack_unmap(&f->stack);
    if (sched.self != NULL)
        (void)err_slot_switch(NULL);
    forget_all();
}
