#include "protocol/postgres/lane.h"

#include "fiber/fiber.h"
#include "protocol/postgres/wire.h"

struct pglane
pglane_make(struct stream *from, struct stream *to)
{
    return (struct pglane){.from = from, .to = to, .view = stream_buffered(from)};
}

static enum err
write_out(struct pglane *l, struct str bytes)
{
    enum err e;

    if (l->mute || bytes.len == 0)
        return OK;
    l->writing = true;
    e = stream_write(l->to, bytes, FIBER_FOREVER);
    if (e != OK && e != ERR_CANCELED && l->mute_on_failure) {
        l->mute = true;
        return OK;
    }
    if (e == OK)
        l->writing = false;
    return e;
}

enum err
pglane_flush(struct pglane *l)
{
    enum err e;

    if (l->passed == 0)
        return OK;
    if ((e = write_out(l, (struct str){l->view.ptr, l->passed})) != OK)
        return e;
    stream_consume(l->from, l->passed);
    l->passed = 0;
    l->view = stream_buffered(l->from);
    return OK;
}

/* At least `n` bytes in view after what was passed. */
static enum err
need(struct pglane *l, size_t n)
{
    enum err e;

    if (l->view.len - l->passed >= n)
        return OK;
    if ((e = pglane_flush(l)) != OK)
        return e;
    return stream_need(l->from, n, FIBER_FOREVER, &l->view);
}

enum err
pglane_next(struct pglane *l, unsigned char *type, uint32_t *body_len, bool *whole)
{
    enum err e;

    if ((e = need(l, PGWIRE_HEADER_BYTES)) != OK)
        return e;
    e = pgwire_read_header((struct str){l->view.ptr + l->passed, PGWIRE_HEADER_BYTES}, type,
                           body_len);
    *whole = l->view.len - l->passed >= PGWIRE_HEADER_BYTES + (size_t)*body_len;
    return e;
}

enum err
pglane_body(struct pglane *l, size_t n, struct str *body)
{
    enum err e;

    if ((e = need(l, PGWIRE_HEADER_BYTES + n)) != OK)
        return e == ERR_CLOSED ? fail(ERR_TRUNCATED, "the connection ended within a message") : e;
    *body = (struct str){l->view.ptr + l->passed + PGWIRE_HEADER_BYTES, n};
    return OK;
}

enum err
pglane_stream(struct pglane *l, size_t body_len)
{
    size_t left = PGWIRE_HEADER_BYTES + body_len;
    enum err e;

    for (;;) {
        size_t here = l->view.len - l->passed;

        if (here >= left) {
            l->passed += left;
            /* The end of a long frame is written at once, so that the peer has it whole. */
            if (l->within_frame && (e = pglane_flush(l)) != OK)
                return e;
            l->within_frame = false;
            return OK;
        }
        l->passed += here;
        left -= here;
        if (here > 0)
            l->within_frame = true;
        if ((e = pglane_flush(l)) != OK)
            return e;
        if ((e = stream_peek(l->from, FIBER_FOREVER, &l->view)) != OK)
            return e == ERR_CLOSED ? fail(ERR_TRUNCATED, "the connection ended within a message")
                                   : e;
    }
}

enum err
pglane_drop(struct pglane *l, size_t body_len)
{
    size_t left = PGWIRE_HEADER_BYTES + body_len;
    enum err e;

    if ((e = pglane_flush(l)) != OK)
        return e;
    for (;;) {
        size_t here = l->view.len < left ? l->view.len : left;

        stream_consume(l->from, here);
        l->view = stream_buffered(l->from);
        left -= here;
        if (left == 0)
            return OK;
        if ((e = stream_peek(l->from, FIBER_FOREVER, &l->view)) != OK)
            return e == ERR_CLOSED ? fail(ERR_TRUNCATED, "the connection ended within a message")
                                   : e;
    }
}

enum err
pglane_insert(struct pglane *l, struct str bytes)
{
    enum err e;

    if ((e = pglane_flush(l)) != OK)
        return e;
    return write_out(l, bytes);
}
