#include "recording/writer.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEPT_BYTES = 8 << 10 };

struct recording_writer {
    int fd;
    struct recording_sealer *sealer;
    unsigned char key[RECORDING_KEY_BYTES];
    unsigned char header_hash[RECORDING_HASH_BYTES];
    uint64_t bytes;   /* of the file */
    uint64_t chunks;  /* sealed so far */
    uint64_t from_us; /* of the first line; the last one's time if there is none */
    uint64_t last_us;
    uint32_t retention_seconds;
    bool rows, ended;
    struct buf lines;
    struct buf sealed; /* a chunk that is not in the file yet; empty: none */
    bool sealed_last;
    size_t written; /* of it */
};

static bool
is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* What is left of w->sealed. */
static enum err
write_sealed(struct recording_writer *w)
{
    while (w->written < w->sealed.len) {
        ssize_t n = pwrite(w->fd, w->sealed.ptr + w->written, w->sealed.len - w->written,
                           (off_t)(w->bytes + w->written));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(is_full(errno) ? ERR_UNAVAILABLE : ERR_IO,
                              "cannot write a recording");
        w->written += (size_t)n;
    }
    w->bytes += w->sealed.len;
    w->written = 0;
    return OK;
}

static void
shrink(struct buf *b)
{
    if (b->capacity > KEPT_BYTES)
        buf_free_secret(b);
    else
        buf_reset(b);
}

static enum err
begin(struct recording_writer *w, const struct recording_key *key,
      const struct recording_header *header)
{
    struct recording_header whole = *header;
    struct buf wrapped = buf_make(RECORDING_RSA_BITS_MAX / 8);
    struct str hashed;
    enum err e;

    if (RAND_priv_bytes(w->key, sizeof(w->key)) != 1)
        return fail(ERR_UNAVAILABLE, "no random bytes for a recording's key");
    if ((e = recording_key_wrap(key, w->key, &wrapped)) == OK) {
        whole.fingerprint = str_from(recording_key_fingerprint(key));
        whole.wrapped_key = buf_str(&wrapped);
        e = recording_put_header(&w->sealed, &whole);
    }
    buf_free(&wrapped);
    if (e != OK)
        return e;
    hashed = buf_str(&w->sealed);
    if ((e = recording_hash(w->sealer, &hashed, 1, w->header_hash)) != OK)
        return e;
    e = write_sealed(w);
    shrink(&w->sealed);
    return e;
}

enum err
recording_writer_open(int fd, struct recording_sealer *sealer, const struct recording_key *key,
                      const struct recording_header *header, struct recording_writer **out)
{
    struct recording_writer *w = calloc(1, sizeof(*w));
    enum err e;

    if (w == NULL)
        return fail(ERR_NOMEM, "no memory for a recording");
    w->fd = fd;
    w->sealer = sealer;
    w->lines = buf_make(RECORDING_PLAIN_MAX);
    w->sealed = buf_make(RECORDING_CHUNK_HEAD_BYTES + RECORDING_SEALED_MAX);
    if ((e = begin(w, key, header)) != OK) {
        recording_writer_close(w);
        return e;
    }
    *out = w;
    return OK;
}

void
recording_writer_close(struct recording_writer *w)
{
    if (w == NULL)
        return;
    buf_free_secret(&w->lines);
    buf_free(&w->sealed);
    OPENSSL_cleanse(w, sizeof(*w));
    free(w);
}

bool
recording_writer_is_full(const struct recording_writer *w, size_t line_bytes)
{
    return w->sealed.len > 0 ||
           (w->lines.len > 0 && w->lines.len + line_bytes + 1 > RECORDING_CHUNK_BYTES);
}

enum err
recording_writer_add(struct recording_writer *w, uint64_t at_us, bool rows, struct str line)
{
    enum err e;

    if (w->ended)
        return fail(ERR_INVALID, "the recording has ended");
    if (line.len > RECORDING_EVENT_MAX)
        return fail(ERR_LIMIT, "an event of %zu bytes", line.len);
    if ((e = buf_reserve(&w->lines, line.len + 1)) != OK)
        return e;
    if (at_us > w->last_us)
        w->last_us = at_us;
    if (w->lines.len == 0) {
        w->from_us = w->last_us;
        w->rows = false;
    }
    w->rows = w->rows || rows;
    buf_put_str(&w->lines, line);
    buf_put_u8(&w->lines, '\n');
    return OK;
}

void
recording_writer_retain(struct recording_writer *w, uint32_t seconds)
{
    if (seconds > w->retention_seconds)
        w->retention_seconds = seconds;
}

struct str
recording_writer_open_lines(const struct recording_writer *w)
{
    return buf_str(&w->lines);
}

static enum err
seal(struct recording_writer *w, bool last)
{
    bool empty = w->lines.len == 0;
    struct recording_chunk chunk = {
        .index = w->chunks,
        .from_us = empty ? w->last_us : w->from_us,
        .retention_seconds = w->retention_seconds,
        .flags = (uint8_t)((last ? RECORDING_LAST : 0) | (w->rows && !empty ? RECORDING_ROWS : 0)),
    };
    enum err e =
        recording_seal(w->sealer, w->key, w->header_hash, &chunk, buf_str(&w->lines), &w->sealed);

    if (e != OK) {
        shrink(&w->sealed);
        return e;
    }
    w->chunks++;
    w->sealed_last = last;
    shrink(&w->lines);
    return OK;
}

enum err
recording_writer_end_chunk(struct recording_writer *w, bool last, struct recording_anchor *anchor)
{
    struct str hashed[2] = {{(const char *)w->header_hash, sizeof(w->header_hash)}};
    enum err e;

    *anchor = (struct recording_anchor){.last = w->ended};
    if (w->sealed.len == 0) {
        if (w->ended || (w->lines.len == 0 && !last))
            return OK;
        if ((e = seal(w, last)) != OK)
            return e;
    }
    hashed[1] = buf_str(&w->sealed);
    if ((e = recording_hash(w->sealer, hashed, 2, anchor->hash)) != OK ||
        (e = write_sealed(w)) != OK)
        return e;
    anchor->chunk = w->chunks - 1;
    anchor->bytes = w->bytes;
    anchor->last = w->ended = w->sealed_last;
    shrink(&w->sealed);
    return OK;
}

uint64_t
recording_writer_bytes(const struct recording_writer *w)
{
    return w->bytes;
}
