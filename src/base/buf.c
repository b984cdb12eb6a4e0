#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

void
buf_free(struct buf *b)
{
    free(b->ptr);
    *b = buf_make(b->max);
}

void
buf_free_secret(struct buf *b)
{
    if (b->ptr != NULL)
        explicit_bzero(b->ptr, b->capacity);
    buf_free(b);
}

enum err
buf_reserve(struct buf *b, size_t n)
{
    size_t capacity = b->capacity;
    char *grown;

    if (n <= capacity - b->len)
        return OK;
    if (n > b->max || b->len > b->max - n) {
        b->failed = true;
        return fail(ERR_LIMIT, "more than %zu bytes", b->max);
    }
    if (capacity < FIRST_CAPACITY)
        capacity = FIRST_CAPACITY;
    while (capacity < b->len + n)
        capacity += capacity / 2;
    if (capacity > b->max)
        capacity = b->max;
    /* One spare byte beyond: buf_printf() ends its output with a NUL. */
    if ((grown = realloc(b->ptr, capacity + 1)) == NULL) {
        b->failed = true;
        return fail(ERR_NOMEM, "no memory for %zu bytes", capacity);
    }
    b->ptr = grown;
    b->capacity = capacity;
    return OK;
}

void
buf_put_slowly(struct buf *b, const void *bytes, size_t n)
{
    if (n == 0 || b->failed || buf_reserve(b, n) != OK)
        return;
    memcpy(b->ptr + b->len, bytes, n);
    b->len += n;
}

static void
store_u32(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> (24 - 8 * i));
}

void
buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0 && !b->failed && buf_reserve(b, (size_t)n) == OK) {
        (void)vsnprintf(b->ptr + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void
buf_set_u32(struct buf *b, size_t at, uint32_t value)
{
    if (at + 4 <= b->len)
        store_u32((unsigned char *)b->ptr + at, value);
}

void
buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->ptr, b->ptr + n, b->len - n);
    b->len -= n;
}

enum err
buf_ok(const struct buf *b)
{
    return b->failed ? fail(ERR_LIMIT, "more than %zu bytes", b->max) : OK;
}
