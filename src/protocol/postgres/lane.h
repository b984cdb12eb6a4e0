/* protocol/postgres/lane.h - one direction of a session: frames are looked at in the read buffer
 * of one stream and passed on in place to the other, as many as possible in one write. Frames may
 * be rewritten on the way. One fiber uses a lane. No call marked [waits] waits for bytes before it
 * has written what was passed, so that nothing is held back while waiting. */
#ifndef PROTOCOL_POSTGRES_LANE_H
#define PROTOCOL_POSTGRES_LANE_H

#include "base/buf.h"
#include "fiber/fiber.h"
#include "net/stream.h"

enum {
    PGLANE_WRITE_BYTES = 64 << 10,   /* rewritten frames are written from this many on */
    PGLANE_REWRITTEN_MAX = 16 << 20, /* of one frame, and those before it */
};

struct pglane {
    struct stream *from, *to;
    struct buf out;       /* rewritten frames, not yet written: they come before what is passed */
    struct str view;      /* what is buffered, from the first byte not yet written on */
    size_t passed;        /* bytes of it that go on, not yet written */
    bool writing;         /* inside a write: what the peer has got is not known */
    bool within_frame;    /* the peer has got a part of a frame only */
    bool mute;            /* `to` is gone: what is passed is dropped */
    bool mute_on_failure; /* go on when `to` turns out to be gone */
    bool interjecting;    /* another fiber writes */
    struct fiber_condition turn;
};

struct pglane pglane_make(struct stream *from, struct stream *to);
void pglane_free(struct pglane *l);
/* Returns memory after a burst. */
void pglane_trim(struct pglane *l);

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

/* [waits] From another fiber than the lane's: writes `bytes`, whole frames of ours, between two of
 * the lane's, which does not write meanwhile. What the lane has looked at but not passed on yet
 * comes after. One fiber at a time. ERR_TIMEOUT: nothing was written, or not all of it, and then
 * the peer's framing is lost (`writing` stays). */
enum err pglane_interject(struct pglane *l, struct str bytes, int64_t deadline_ms);

/* In place of the present frame, which is buffered whole, goes what is appended to the result:
 * whole frames. First pglane_rewrite(), which never waits, then the appending, then
 * pglane_rewritten(), which [waits] only to write. Bytes of the frame are valid in between. Whoever
 * appends checks buf_ok() or takes back what was appended. */
struct buf *pglane_rewrite(struct pglane *l);
enum err pglane_rewritten(struct pglane *l, size_t body_len);

/* The same for a frame of any size, piece by piece: after pglane_rewrite() the header and body are
 * read with pglane_take() [waits], 1 to `max` bytes at a time, valid until the next call here;
 * pglane_rewritten_piece() [waits] after what was appended for a piece, `last` after the last. */
enum err pglane_take(struct pglane *l, size_t max, struct str *piece);
enum err pglane_rewritten_piece(struct pglane *l, bool last);

#endif
