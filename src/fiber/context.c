#include "fiber/context.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef CONTEXT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

/* The interface of libboost_context, which has no C header. */
struct transfer {
    void *context;
    void *data;
};
void *make_fcontext(void *top, size_t bytes, void (*entry)(struct transfer));
struct transfer jump_fcontext(void *to, void *data);

enum { HUGE_PAGE_BYTES = 2 << 20 };

/* What goes along with a jump. */
struct passage {
    struct context *from; /* NULL: it is not to be continued */
    const struct context_start *start;
};

enum err
stack_map(struct stack *s, size_t bytes)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *base = mmap(NULL, guard + bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED)
        return fail_errno(ERR_NOMEM, "cannot reserve a stack of %zu bytes", bytes);
    if (mmap(base + guard, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED) {
        enum err e = fail_errno(ERR_NOMEM, "cannot map a stack of %zu bytes", bytes);

        (void)munmap(base, guard + bytes);
        return e;
    }
    if (bytes >= HUGE_PAGE_BYTES) /* the first byte touched must not commit megabytes */
        (void)madvise(base + guard, bytes, MADV_NOHUGEPAGE);
    *s = (struct stack){base, guard, bytes};
#ifdef CONTEXT_ASAN
    /* Pointers that only a waiting fiber holds are no leaks if the process exits then. */
    __lsan_register_root_region(base + guard, bytes);
#endif
    return OK;
}

void
stack_unmap(struct stack *s)
{
    if (s->base == NULL)
        return;
#ifdef CONTEXT_ASAN
    __asan_unpoison_memory_region(s->base + s->guard_bytes, s->bytes);
    __lsan_unregister_root_region(s->base + s->guard_bytes, s->bytes);
#endif
    (void)munmap(s->base, s->guard_bytes + s->bytes);
    *s = (struct stack){0};
}

void
stack_recycle(const struct stack *s, size_t keep)
{
#ifdef CONTEXT_ASAN
    /* The frames that were left by a last jump, all at the top, never removed their red zones. */
    enum { TOP_BYTES = 16 << 10 };

    __asan_unpoison_memory_region(s->base + s->guard_bytes + s->bytes - TOP_BYTES, TOP_BYTES);
#endif
    if (keep < s->bytes)
        (void)madvise(s->base + s->guard_bytes, s->bytes - keep, MADV_DONTNEED);
}

/* The first half of a switch; `from` is NULL if its stack ends. */
static void
announce_switch(struct context *from, const struct context *to)
{
#ifdef CONTEXT_ASAN
    __sanitizer_start_switch_fiber(from == NULL ? NULL : &from->fake_stack, to->bottom, to->bytes);
#else
    (void)from;
    (void)to;
#endif
}

/* The second half, on the new stack, of which `self` is NULL the first time. */
static void
arrive(struct context *self, const struct passage *passage, void *from_at)
{
    struct context *from = passage->from;

#ifdef CONTEXT_ASAN
    const void *bottom;
    size_t bytes;

    __sanitizer_finish_switch_fiber(self == NULL ? NULL : self->fake_stack, &bottom, &bytes);
    if (from != NULL) {
        from->bottom = bottom; /* how the thread's own stack becomes known */
        from->bytes = bytes;
    }
#else
    (void)self;
#endif
    if (from != NULL)
        from->at = from_at;
}

static void
begin(struct transfer t)
{
    const struct passage *passage = t.data;
    struct context_start start = *passage->start;

    arrive(NULL, passage, t.context);
    start.entry(start.arg);
    abort(); /* entry returned: there is nothing to return to */
}

void
context_make(struct context *c, const struct stack *s)
{
    char *bottom = s->base + s->guard_bytes;

    *c = (struct context){
        .at = make_fcontext(bottom + s->bytes, s->bytes, begin),
        .bottom = bottom,
        .bytes = s->bytes,
    };
}

void
context_switch(struct context *from, struct context *to, const struct context_start *start)
{
    struct passage passage = {from, start};
    struct transfer t;

    announce_switch(from, to);
    t = jump_fcontext(to->at, &passage);
    arrive(from, t.data, t.context);
}

void
context_leave(struct context *to)
{
    struct passage passage = {NULL, NULL};

    announce_switch(NULL, to);
    (void)jump_fcontext(to->at, &passage);
    abort(); /* someone continued a context that had ended */
}
