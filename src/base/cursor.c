#include "base/cursor.h"

struct str
cursor_bytes(struct cursor *c, size_t n)
{
    struct str bytes = {(const char *)c->at, n};

    if (c->failed || n > cursor_left(c)) {
        c->failed = true;
        return (struct str){"", 0};
    }
    c->at += n;
    return bytes;
}

struct str
cursor_cstr(struct cursor *c)
{
    struct str rest = {(const char *)c->at, cursor_left(c)};
    size_t n = str_index(rest, '\0');

    if (c->failed || n == rest.len) {
        c->failed = true;
        return (struct str){"", 0};
    }
    c->at += n + 1;
    return (struct str){rest.ptr, n};
}

static uint64_t
number(struct cursor *c, size_t n)
{
    struct str bytes = cursor_bytes(c, n);
    uint64_t value = 0;

    for (size_t i = 0; i < bytes.len; i++)
        value = value << 8 | (unsigned char)bytes.ptr[i];
    return value;
}

uint8_t
cursor_u8(struct cursor *c)
{
    return (uint8_t)number(c, 1);
}

uint16_t
cursor_u16(struct cursor *c)
{
    return (uint16_t)number(c, 2);
}

uint32_t
cursor_u32(struct cursor *c)
{
    return (uint32_t)number(c, 4);
}

uint64_t
cursor_u64(struct cursor *c)
{
    return number(c, 8);
}
