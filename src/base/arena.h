/* base/arena.h - memory that is freed all at once, and things to be ended with it. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/err.h"
#include "base/str.h"

struct arena;

/* A new arena which may hand out `max` bytes in all; NULL without memory. */
struct arena *arena_new(size_t max);

/* Runs the deferred calls, newest first, and frees all; NULL is allowed. */
void arena_free(struct arena *a);

/* Runs the deferred calls and forgets every allocation; keeps one block for reuse. */
void arena_reset(struct arena *a);

/* `n` zeroed bytes, aligned for any type; NULL beyond the maximum or without memory. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc));

/* An array of `n` elements of `size` bytes; NULL also if the product overflows. */
void *arena_array(struct arena *a, size_t n, size_t size) __attribute__((malloc));

/* A copy of `s`, followed by a NUL; .ptr is NULL on failure. */
struct str arena_str(struct arena *a, struct str s);

/* The same as a C string; NULL on failure. */
char *arena_text(struct arena *a, struct str s);

/* Calls fn(arg) when the arena is reset or freed. ERR_NOMEM: fn(arg) was called at once. */
enum err arena_defer(struct arena *a, void (*fn)(void *arg), void *arg);

/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *a);

#endif
