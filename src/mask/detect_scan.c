#include "mask/detect_scan.h"

#include <stdlib.h>

#include "mask/detect_find.h"

enum {
    STEP_BYTES = 16 << 10, /* taken at once: keeps the window in the nearest caches */
    HELD_MAX = DETECT_CONTEXT_BYTES + DETECT_MATCH_MAX + STEP_BYTES + 8,
    CONTEXT_MIN = DETECT_CONTEXT_BYTES,
};

/* `seen` holds the window as it came, `clean` the same with what was found overwritten; the first
 * `sent` bytes are out already and stay as context. */
struct detect_scan {
    struct detectors *d;
    struct detect_cursor *cursors;
    struct buf seen, clean;
    size_t sent;
    bool begun; /* bytes of the value were dropped: the window is not its beginning */
};

static void
start_over(struct detect_scan *s)
{
    detect_begin(s->d, s->cursors);
    buf_reset(&s->seen);
    buf_reset(&s->clean);
    s->sent = 0;
    s->begun = false;
}

enum err
detect_scan_open(struct detectors *d, struct detect_scan **out)
{
    struct detect_scan *s = calloc(1, sizeof(*s));

    *out = NULL;
    if (s == NULL || (s->cursors = calloc(d->n_patterns + 1, sizeof(*s->cursors))) == NULL) {
        free(s);
        return fail(ERR_NOMEM, "no memory to scan a value");
    }
    s->d = d;
    s->seen = buf_make(HELD_MAX);
    s->clean = buf_make(HELD_MAX);
    start_over(s);
    *out = s;
    return OK;
}

void
detect_scan_close(struct detect_scan *s)
{
    if (s == NULL)
        return;
    buf_free(&s->seen);
    buf_free(&s->clean);
    free(s->cursors);
    free(s);
}

/* Keeps what is not sent and the context before it. */
static void
drop_sent(struct detect_scan *s)
{
    size_t drop = s->sent > CONTEXT_MIN ? s->sent - CONTEXT_MIN : 0;

    /* Not in the middle of a character. */
    for (size_t i = 0; i < 3 && drop > 0; i++, drop--)
        if (((unsigned char)s->seen.ptr[drop] & 0xC0) != 0x80)
            break;
    if (drop == 0)
        return;
    buf_consume(&s->seen, drop);
    buf_consume(&s->clean, drop);
    s->sent -= drop;
    s->begun = true;
    for (size_t i = 0; i < s->d->n_patterns; i++)
        s->cursors[i].tried -= s->cursors[i].tried < drop ? s->cursors[i].tried : drop;
}

static enum err
step(struct detect_scan *s, bool last, struct buf *out, uint64_t *hits, size_t *found)
{
    struct detect_window w = {.d = s->d,
                              .bytes = buf_str(&s->seen),
                              .first = !s->begun,
                              .last = last,
                              .cursors = s->cursors,
                              .hits = hits};
    size_t decided;

    for (size_t i = 0; i < s->d->n_patterns; i++)
        s->cursors[i].waiting = false;
    detect_find(&w);
    detect_overwrite(&w, s->clean.ptr);
    *found += w.found;
    decided = detect_decided(&w);
    if (decided > s->sent) {
        buf_put(out, s->clean.ptr + s->sent, decided - s->sent);
        s->sent = decided;
    }
    if (w.overflow)
        for (size_t i = 0; i < s->d->n_patterns; i++)
            s->cursors[i] = (struct detect_cursor){.tried = w.bytes.len};
    drop_sent(s);
    return buf_ok(out);
}

static enum err
feed(struct detect_scan *s, struct str piece, struct buf *out, uint64_t *hits, size_t *found)
{
    while (piece.len > 0) {
        size_t n = piece.len < STEP_BYTES ? piece.len : STEP_BYTES;
        enum err e;

        buf_put(&s->seen, piece.ptr, n);
        buf_put(&s->clean, piece.ptr, n);
        if ((e = buf_ok(&s->seen)) != OK || (e = buf_ok(&s->clean)) != OK ||
            (e = step(s, false, out, hits, found)) != OK)
            return e;
        piece = str_skip(piece, n);
    }
    return OK;
}

static enum err
end(struct detect_scan *s, struct buf *out, uint64_t *hits, size_t *found)
{
    enum err e = s->seen.len == 0 ? OK : step(s, true, out, hits, found);

    start_over(s);
    return e;
}

enum err
detect_scan_feed(struct detect_scan *s, struct str piece, struct buf *out, uint64_t *hits)
{
    return feed(s, piece, out, hits, &(size_t){0});
}

enum err
detect_scan_end(struct detect_scan *s, struct buf *out, uint64_t *hits)
{
    return end(s, out, hits, &(size_t){0});
}

size_t
detect_scan_in_place(struct detect_scan *s, char *value, size_t len, uint64_t *hits)
{
    struct buf out = buf_make(HELD_MAX);
    size_t done = 0, found = 0;
    enum err e = OK;

    for (size_t at = 0; at < len && e == OK;) {
        size_t n = len - at < STEP_BYTES ? len - at : STEP_BYTES;

        e = feed(s, (struct str){value + at, n}, &out, hits, &found);
        at += n;
        if (e == OK && at == len)
            e = end(s, &out, hits, &found);
        if (e == OK && out.len > 0) {
            memcpy(value + done, out.ptr, out.len);
            done += out.len;
            buf_reset(&out);
        }
    }
    if (e != OK) {
        memset(value + done, '*', len - done);
        start_over(s);
    }
    buf_free(&out);
    return found;
}
