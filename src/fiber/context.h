/* fiber/context.h - stacks, and switching between them with Boost.Context's fcontext.
 * Knows nothing of scheduling. Sanitizers are told of every switch. */
#ifndef FIBER_CONTEXT_H
#define FIBER_CONTEXT_H

#include <stddef.h>

#include "base/err.h"

#if defined(__SANITIZE_ADDRESS__)
#define CONTEXT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONTEXT_ASAN 1
#endif
#endif

struct stack {
    char *base; /* the guard page; NULL: no stack */
    size_t guard_bytes;
    size_t bytes; /* usable, above the guard */
};

/* Maps a stack of `bytes` (whole pages) above a guard page. Memory is committed as it is touched.
 * ERR_NOMEM. */
enum err stack_map(struct stack *s, size_t bytes);
void stack_unmap(struct stack *s);

/* The stack may serve another context: gives the memory below the uppermost `keep` bytes back. */
void stack_recycle(const struct stack *s, size_t keep);

/* A thread of control that is not running: where it is to continue. */
struct context {
    void *at;
    const void *bottom; /* of its stack, for sanitizers */
    size_t bytes;
    void *fake_stack;
};

/* Makes `c` begin with entry(arg) on `s` when first switched to. `entry` must never return: it
 * ends with context_leave(). The pair (entry, arg) must live until the switch. */
struct context_start {
    void (*entry)(void *arg);
    void *arg;
};
void context_make(struct context *c, const struct stack *s);

/* Saves the caller in `from` and continues `to`; returns when something switches to `from`.
 * `start` is for the first switch to a made context, else NULL. */
void context_switch(struct context *from, struct context *to, const struct context_start *start);

/* Continues `to` and never returns: the running stack may be freed or reused then. */
_Noreturn void context_leave(struct context *to);

#endif
