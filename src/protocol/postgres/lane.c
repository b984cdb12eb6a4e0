#include "protocol/postgres/lane.h"

#include "fiber/fiber.h"
#include "protocol/postgres/wire.h"

enum { SMALL_FRAME = 4096 };

struct pglane
pglane_make(struct stream *from, struct stream *to)
{
    return (struct pglane){.from = from,
                           .to = to,
                           .out = buf_make(PGLANE_REWRITTEN_MAX),
                           .view = stream_buffered(from)};
}

void
pglane_free(struct pglane *l)
{
    buf_free(&l->out);
}

void
pglane_trim(struct pglane *l)
{
    if (l->out.len == 0)
        buf_free(&l->out);
}

static enum err
write_out(struct pglane *l, struct str bytes)
{
    enum err e;

    if (l->mute || bytes.len == 0)
        return OK;
    while (l->interjecting)
        if ((e = fiber_condition_wait(&l->turn, FIBER_FOREVER)) != OK)
            return e;
    l->writing = true;
    e = stream_write(l->to, bytes, FIBER_FOREVER);
    if (e != OK && e != ERR_CANCELED && l->mute_on_failure) {
        l->mute = true;
        return OK;
    }
    if (e == OK)
        l->writing = false;
    if (l->turn.waiters != NULL)
        fiber_condition_signal(&l->turn);
    return e;
}

enum err
pglane_interject(struct pglane *l, struct str bytes, int64_t deadline_ms)
{
    enum err e;

    while (l->writing || l->within_frame || l->interjecting)
        if ((e = fiber_condition_wait(&l->turn, deadline_ms)) != OK)
            return e;
    if (l->mute)
        return OK;
    l->interjecting = l->writing = true;
    e = stream_write(l->to, bytes, deadline_ms);
    l->interjecting = false;
    if (e == OK)
        l->writing = false;
    fiber_condition_signal(&l->turn);
    return e;
}

static void
consume(struct pglane *l, size_t n)
{
    stream_consume(l->from, n);
    l->view = stream_buffered(l->from);
}

/* What was passed is kept in `out`, so that what follows it in the read buffer can be consumed. */
static void
gather(struct pglane *l)
{
    if (l->passed == 0)
        return;
    buf_put(&l->out, l->view.ptr, l->passed);
    consume(l, l->passed);
    l->passed = 0;
}

static enum err
write_rewritten(struct pglane *l)
{
    enum err e;

    if ((e = buf_ok(&l->out)) != OK || (e = write_out(l, buf_str(&l->out))) != OK)
        return e;
    if (l->out.capacity > 4 * PGLANE_WRITE_BYTES) /* one large row needed it */
        buf_free(&l->out);
    buf_reset(&l->out);
    return OK;
}

enum err
pglane_flush(struct pglane *l)
{
    enum err e;

    if ((l->out.len > 0 || l->out.failed) && (e = write_rewritten(l)) != OK)
        return e;
    if (l->passed == 0)
        return OK;
    if ((e = write_out(l, (struct str){l->view.ptr, l->passed})) != OK)
        return e;
    consume(l, l->passed);
    l->passed = 0;
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

    /* A small frame behind rewritten ones shares their write. */
    if (l->out.len > 0 && left <= SMALL_FRAME && left <= l->view.len) {
        buf_put(&l->out, l->view.ptr, left);
        consume(l, left);
        return l->out.len >= PGLANE_WRITE_BYTES ? pglane_flush(l) : OK;
    }
    if (l->out.len > 0 && (e = pglane_flush(l)) != OK)
        return e;
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

    gather(l);
    for (;;) {
        size_t here = l->view.len < left ? l->view.len : left;

        consume(l, here);
        left -= here;
        if (left == 0)
            return l->out.len >= PGLANE_WRITE_BYTES ? pglane_flush(l) : OK;
        if ((e = pglane_flush(l)) != OK)
            return e;
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

struct buf *
pglane_rewrite(struct pglane *l)
{
    gather(l);
    return &l->out;
}

enum err
pglane_rewritten(struct pglane *l, size_t body_len)
{
    consume(l, PGWIRE_HEADER_BYTES + body_len);
    return l->out.len >= PGLANE_WRITE_BYTES ? pglane_flush(l) : OK;
}

enum err
pglane_take(struct pglane *l, size_t max, struct str *piece)
{
    enum err e;

    if (l->view.len == 0) {
        if ((e = pglane_flush(l)) != OK)
            return e;
        if ((e = stream_peek(l->from, FIBER_FOREVER, &l->view)) != OK)
            return e == ERR_CLOSED ? fail(ERR_TRUNCATED, "the connection ended within a message")
                                   : e;
    }
    *piece = (struct str){l->view.ptr, l->view.len < max ? l->view.len : max};
    consume(l, piece->len); /* the bytes stay until the next read */
    return OK;
}

enum err
pglane_rewritten_piece(struct pglane *l, bool last)
{
    enum err e;

    l->within_frame = true;
    if ((last || l->out.len >= PGLANE_WRITE_BYTES) && (e = pglane_flush(l)) != OK)
        return e;
    l->within_frame = !last;
    return OK;
}
