/* protocol/postgres/lane.h - one direction of a session: frames are looked at in the read buffer
 * of one stream and passed on in place to the other, as many as possible in one write. One fiber
 * uses a lane. All calls marked [waits] write first what was passed, so that nothing is held back
 * while waiting. */
#ifndef PROTOCOL_POSTGRES_LANE_H
#define PROTOCOL_POSTGRES_LANE_H

#include "net/stream.h"

struct pglane {
    struct stream *from, *to;
    struct str view;      /* what is buffered, from the first byte not yet written on */
    size_t passed;        /* bytes of it that go on, not yet written */
    bool writing;         /* inside a write: what the peer has got is not known */
    bool within_frame;    /* the peer has got a part of a frame only */
    bool mute;            /* `to` is gone: what is passed is dropped */
    bool mute_on_failure; /* go on when `to` turns out to be gone */
};

struct pglane pglane_make(struct stream *from, struct stream *to);

/* [waits] The header of the next frame; `*whole` whether all of its body is buffered too.
 * ERR_PROTOCOL, and as stream_need(). */
enum err pglane_next(struct pglane *l, unsigned char *type, uint32_t *body_len, bool *whole);

/* [waits] The first `n` bytes of the body of the present frame. */
enum err pglane_body(struct pglane *l, size_t n, struct str *body);

/* [waits] The present frame goes on, whatever its size; or is dropped. */
enum err pglane_stream(struct pglane *l, size_t body_len);
enum err pglane_drop(struct pglane *l, size_t body_len);

/* [waits] Writes what was passed. */
enum err pglane_flush(struct pglane *l);

/* [waits] Writes what was passed and then `bytes`, whole frames of ours. */
enum err pglane_insert(struct pglane *l, struct str bytes);

/* Whether something was passed and not yet written. */
static inline bool
pglane_holds(const struct pglane *l)
{
    return l->passed > 0;
}

#endif
