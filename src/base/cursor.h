/* base/cursor.h - bounds-checked reading of a byte range, network byte order.
 * The first read beyond the end fails the cursor; it then yields zeroes and stays failed, so
 * that a whole message may be read and checked once. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/str.h"

struct cursor {
    const unsigned char *at;
    const unsigned char *end;
    bool failed;
};

static inline struct cursor
cursor_make(struct str bytes)
{
    const unsigned char *start = (const unsigned char *)bytes.ptr;

    return (struct cursor){start, start + bytes.len, false};
}

static inline size_t
cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

/* The next `n` bytes; empty and failed if there are fewer. */
struct str cursor_bytes(struct cursor *c, size_t n);

/* Bytes up to a NUL, which is consumed and not returned; failed without a NUL. */
struct str cursor_cstr(struct cursor *c);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);

/* Whether every read so far fitted and nothing is left. */
static inline bool
cursor_done(const struct cursor *c)
{
    return !c->failed && c->at == c->end;
}

#endif
