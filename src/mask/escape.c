#include "mask/escape.h"

bool
escape_needs_quotes(const struct escape *e, const struct buf *out, size_t start)
{
    for (size_t i = start; i < out->len; i++)
        if (e->special[(unsigned char)out->ptr[i]])
            return true;
    return false;
}

static char
shown(const struct escape *e, unsigned char c)
{
    return e->letters && c >= '\b' && c <= '\r' && e->before[c] != 0 ? "btnvfr"[c - '\b'] : (char)c;
}

void
escape_from(const struct escape *e, struct buf *out, size_t start, char quote)
{
    size_t more = quote != '\0' ? 2 : 0, from = out->len, to;

    for (size_t i = start; i < out->len; i++)
        more += e->before[(unsigned char)out->ptr[i]] != 0;
    if (more == 0 || out->failed || buf_reserve(out, more) != OK)
        return;
    to = out->len += more;
    if (quote != '\0')
        out->ptr[--to] = quote;
    while (from > start) { /* backwards: each byte moves towards the end */
        unsigned char c = (unsigned char)out->ptr[--from];

        out->ptr[--to] = shown(e, c);
        if (e->before[c] != 0)
            out->ptr[--to] = (char)e->before[c];
    }
    if (quote != '\0')
        out->ptr[--to] = quote;
}
