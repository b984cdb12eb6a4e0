/* base/buf.h - owned, growable bytes with a maximum.
 * Appending never fails half way: on failure the buffer keeps what it had and remembers that it
 * failed, so that a run of appends may be checked once with buf_ok(). */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <endian.h>

#include "base/err.h"
#include "base/str.h"

struct buf {
    char *ptr;
    size_t len;
    size_t capacity;
    size_t max;
    bool failed;
};

/* An empty buffer that may grow to `max` bytes; ends with buf_free(). */
static inline struct buf
buf_make(size_t max)
{
    return (struct buf){.max = max};
}

/* Frees the bytes; the buffer is then empty and usable. */
void buf_free(struct buf *b);

/* As buf_free(), the bytes zeroed first: for secrets. */
void buf_free_secret(struct buf *b);

/* Makes room for `n` more bytes after len. ERR_LIMIT beyond max, ERR_NOMEM. */
enum err buf_reserve(struct buf *b, size_t n);

/* What buf_put() does when there is no room yet. */
void buf_put_slowly(struct buf *b, const void *bytes, size_t n);

/* In line, because records are made of many small pieces. */
static inline void
buf_put(struct buf *b, const void *bytes, size_t n)
{
    if (n == 0 || b->failed || n > b->capacity - b->len) {
        buf_put_slowly(b, bytes, n);
        return;
    }
    memcpy(b->ptr + b->len, bytes, n);
    b->len += n;
}

static inline void
buf_put_str(struct buf *b, struct str s)
{
    buf_put(b, s.ptr, s.len);
}

static inline void
buf_put_text(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

static inline void
buf_put_u8(struct buf *b, uint8_t value)
{
    buf_put(b, &value, 1);
}

/* Network byte order. */
static inline void
buf_put_u16(struct buf *b, uint16_t value)
{
    value = htobe16(value);
    buf_put(b, &value, sizeof(value));
}

static inline void
buf_put_u32(struct buf *b, uint32_t value)
{
    value = htobe32(value);
    buf_put(b, &value, sizeof(value));
}

static inline void
buf_put_u64(struct buf *b, uint64_t value)
{
    value = htobe64(value);
    buf_put(b, &value, sizeof(value));
}

void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Overwrites four bytes at `at` (already written), network byte order. */
void buf_set_u32(struct buf *b, size_t at, uint32_t value);

/* Removes the first `n` bytes. */
void buf_consume(struct buf *b, size_t n);

/* ERR_LIMIT if any append since the last reset did not fit. */
enum err buf_ok(const struct buf *b);

/* Empties, keeps the memory, forgets the failure. */
static inline void
buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

static inline struct str
buf_str(const struct buf *b)
{
    return (struct str){b->len == 0 ? "" : b->ptr, b->len};
}

#endif
