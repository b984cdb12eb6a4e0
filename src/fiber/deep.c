/* The process's big stack, for fiber_call_deep(). One is enough: what runs there does not wait. */
#include "fiber/fiber.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/log.h"
#include "fiber/context.h"

enum {
    DEEP_BYTES = 64 << 20,
    KEPT_BYTES = 1 << 20,  /* stays committed from call to call */
    PROBE_BYTES = 4 << 10, /* just below them: dirty after a call that went deeper */
};

static struct {
    struct stack stack;
    bool in_use;
} deep;

struct call {
    fiber_fn *fn;
    void *arg;
    struct context caller;
};

static void
run_call(void *arg)
{
    struct call *call = arg;

    call->fn(call->arg);
    context_leave(&call->caller);
}

enum err
fiber_prepare_deep(void)
{
    return deep.stack.base != NULL ? OK : stack_map(&deep.stack, DEEP_BYTES);
}

/* Whether the last call went below the kept part. A look at memory costs less than the system
 * call that it mostly saves; the price of a wrong "no" is memory held until the next "yes". */
__attribute__((no_sanitize_address)) static bool
went_deep(void)
{
    const char *end = deep.stack.base + deep.stack.guard_bytes + DEEP_BYTES - KEPT_BYTES;
    const unsigned long *word = (const unsigned long *)(const void *)(end - PROBE_BYTES);
    unsigned long any = 0;

    for (size_t i = 0; i < PROBE_BYTES / sizeof(*word); i++)
        any |= word[i];
    return any != 0;
}

void
fiber_call_deep(fiber_fn *fn, void *arg)
{
    struct call call = {.fn = fn, .arg = arg};
    struct context_start start = {run_call, &call};
    struct context context;

    if (deep.in_use) {
        fn(arg); /* we are on it */
        return;
    }
    if (fiber_prepare_deep() != OK) {
        log_error("no_deep_stack", "%s", err_text());
        abort();
    }
    deep.in_use = true;
    context_make(&context, &deep.stack);
    context_switch(&call.caller, &context, &start);
    deep.in_use = false;
    stack_recycle(&deep.stack, went_deep() ? KEPT_BYTES : DEEP_BYTES);
}
