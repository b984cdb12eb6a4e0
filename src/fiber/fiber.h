/* fiber/fiber.h - straight-line code that waits: cooperative fibers over one poll loop.
 * A process has one scheduler. A call marked [waits] may switch fibers: others run meanwhile, so
 * re-read shared state afterwards. Every wait has a deadline; cancellation arrives as
 * ERR_CANCELED from the wait. Deadlines are clock_monotonic_ms() values; FIBER_FOREVER has none. */
#ifndef FIBER_FIBER_H
#define FIBER_FIBER_H

#include <stdint.h>

#include "base/err.h"

struct fiber;

#define FIBER_FOREVER INT64_MAX

typedef void fiber_fn(void *arg);

/* Runs `fn` as the first fiber and returns when every fiber has ended. ERR_NOMEM. */
enum err fiber_main(fiber_fn *fn, void *arg);

/* In a child of fork(), before any other call of this header: forgets all fibers of the parent, so
 * that fiber_main() may start afresh. The code that calls this, a fiber or not, goes on as plain
 * code of the child; it must not return from the fiber's function. */
void fiber_after_fork(void);

/* Starts a fiber; it runs at the caller's next wait. `name` is for diagnostics and must outlive
 * it. `*out` (may be NULL: detached) must be given to fiber_join() once. ERR_NOMEM, ERR_LIMIT. */
enum err fiber_start(const char *name, fiber_fn *fn, void *arg, struct fiber **out);

/* [waits] Until `f` has ended, then frees it. Not cancelable. */
void fiber_join(struct fiber *f);

/* Every wait of `f`, the present one and all later ones, returns ERR_CANCELED. */
void fiber_cancel(struct fiber *f);
struct fiber *fiber_self(void);

/* [waits] Lets the other runnable fibers run. */
void fiber_yield(void);

/* [waits] ERR_TIMEOUT at the deadline is the normal end. ERR_CANCELED. */
enum err fiber_sleep_until(int64_t deadline_ms);

/* [waits] Until `fd` is readable / writable, or has an error or hang-up pending (then OK too: the
 * next call on the fd says what). ERR_TIMEOUT, ERR_CANCELED, ERR_IO. One fiber may wait for each
 * direction of an fd at a time. */
enum err fiber_wait_readable(int fd, int64_t deadline_ms);
enum err fiber_wait_writable(int fd, int64_t deadline_ms);

/* [waits] Until the peer of the socket will send nothing more, whatever it sent before and is still
 * unread: it closed, or shut its writing side down. Another fiber may wait for the same fd. */
enum err fiber_wait_hangup(int fd, int64_t deadline_ms);

/* A condition to wait for. Zero-initialise; no destruction. */
struct fiber_condition {
    struct fiber *waiters;
};
/* [waits] Until signalled. ERR_TIMEOUT, ERR_CANCELED. Re-check the state: wakes may be early. */
enum err fiber_condition_wait(struct fiber_condition *c, int64_t deadline_ms);
void fiber_condition_signal(struct fiber_condition *c); /* all waiters */

/* Runs fn(arg) on the process's big stack (64 MiB, committed as used; what is above 1 MiB is given
 * back afterwards): for deep recursion. `fn` must not wait. Usable outside fibers too. Ends the
 * process if the stack was not prepared and cannot be mapped. */
void fiber_call_deep(fiber_fn *fn, void *arg);

/* Maps the big stack ahead of its first use; children of fork() have it too. ERR_NOMEM. */
enum err fiber_prepare_deep(void);

/* [waits] Runs fn(arg) on a helper thread: for blocking library calls. Not for sandboxed
 * sessions (they may not make threads). Not cancelable: returns when fn has. ERR_NOMEM. */
enum err fiber_offload(fiber_fn *fn, void *arg);

/* Runs `fn` before each blocking poll of the loop, on the scheduler's stack; it must not wait.
 * It returns a deadline at which it wants to run again (FIBER_FOREVER: none). One hook; for
 * batched hand-over. NULL removes it. */
typedef int64_t fiber_idle_fn(void *arg);
void fiber_set_idle_hook(fiber_idle_fn *fn, void *arg);

#endif
