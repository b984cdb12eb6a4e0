#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 4096 };

struct block {
    struct block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) char bytes[];
};

struct deferred {
    struct deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

struct arena {
    struct block *blocks; /* newest first */
    struct deferred *deferred;
    size_t max;
    size_t used;
};

struct arena *
arena_new(size_t max)
{
    struct arena *a = calloc(1, sizeof(*a));

    if (a != NULL)
        a->max = max;
    return a;
}

static void
run_deferred(struct arena *a)
{
    while (a->deferred != NULL) {
        struct deferred *d = a->deferred;

        a->deferred = d->next;
        d->fn(d->arg);
    }
}

static void
free_blocks(struct block *b)
{
    while (b != NULL) {
        struct block *next = b->next;

        free(b);
        b = next;
    }
}

void
arena_free(struct arena *a)
{
    if (a == NULL)
        return;
    run_deferred(a);
    free_blocks(a->blocks);
    free(a);
}

void
arena_reset(struct arena *a)
{
    run_deferred(a);
    a->used = 0;
    if (a->blocks == NULL)
        return;
    free_blocks(a->blocks->next);
    a->blocks->next = NULL;
    a->blocks->used = 0;
    if (a->blocks->size > BLOCK_BYTES) {
        free(a->blocks);
        a->blocks = NULL;
    }
}

static struct block *
add_block(struct arena *a, size_t n)
{
    size_t size = n > BLOCK_BYTES ? n : BLOCK_BYTES;
    struct block *b = malloc(sizeof(*b) + size);

    if (b == NULL)
        return NULL;
    b->size = size;
    b->used = 0;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *
arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    struct block *b = a->blocks;
    char *p;

    if (n > a->max || a->used > a->max - n || n > SIZE_MAX / 2)
        return NULL;
    n = (n + align - 1) / align * align;
    if (b == NULL || n > b->size - b->used)
        if ((b = add_block(a, n)) == NULL)
            return NULL;
    p = b->bytes + b->used;
    b->used += n;
    a->used += n;
    return memset(p, 0, n);
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return arena_alloc(a, bytes);
}

struct str
arena_str(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len + 1);

    if (copy == NULL)
        return (struct str){NULL, 0};
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return (struct str){copy, s.len};
}

char *
arena_text(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len + 1);

    if (copy != NULL && s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

enum err
arena_defer(struct arena *a, void (*fn)(void *arg), void *arg)
{
    struct deferred *d = arena_alloc(a, sizeof(*d));

    if (d == NULL) {
        fn(arg);
        return fail(ERR_NOMEM, "no memory for a deferred call");
    }
    *d = (struct deferred){a->deferred, fn, arg};
    a->deferred = d;
    return OK;
}

size_t
arena_used(const struct arena *a)
{
    return a->used;
}
