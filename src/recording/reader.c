#include "recording/reader.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEP_BYTES = 1 << 20, KEPT_BYTES = 1 << 20, PREFIX_BYTES = RECORDING_MAGIC_BYTES + 4 };

struct recording_reader {
    struct recording_source source;
    struct recording_sealer *sealer;
    bool has_key;
    unsigned char key[RECORDING_KEY_BYTES];
    unsigned char header_hash[RECORDING_HASH_BYTES];
    struct recording_header header;
    struct buf texts;       /* of the header */
    uint64_t first;         /* offset of the first chunk */
    uint64_t offset, index; /* of the next one */
    enum recording_end end;
    struct buf sealed, plain;
    size_t at; /* in the plain bytes */
};

/* --- sources ------------------------------------------------------------------------------------
 */

static enum err
read_file(void *arg, uint64_t offset, size_t n, char *to, size_t *got)
{
    const int *fd = arg;
    ssize_t done;

    if (offset > INT64_MAX) {
        *got = 0;
        return OK;
    }
    do
        done = pread(*fd, to, n, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return fail_errno(ERR_IO, "cannot read a recording");
    *got = (size_t)done;
    return OK;
}

struct recording_source
recording_source_file(const int *fd)
{
    return (struct recording_source){read_file, (void *)(uintptr_t)fd};
}

static enum err
read_memory(void *arg, uint64_t offset, size_t n, char *to, size_t *got)
{
    const struct str *bytes = arg;
    struct str left = offset > bytes->len ? STR("") : str_skip(*bytes, (size_t)offset);

    *got = n < left.len ? n : left.len;
    memcpy(to, left.ptr, *got);
    return OK;
}

struct recording_source
recording_source_memory(const struct str *bytes)
{
    return (struct recording_source){read_memory, (void *)(uintptr_t)bytes};
}

/* Appends the `n` bytes at `offset`, fewer at the end. Room is made as they come: a length that
 * the file only claims costs nothing. */
static enum err
fetch(struct recording_reader *r, uint64_t offset, size_t n, struct buf *out)
{
    while (n > 0) {
        size_t step = n < STEP_BYTES ? n : STEP_BYTES, got = 0;
        enum err e;

        if ((e = buf_reserve(out, step)) != OK ||
            (e = r->source.read(r->source.arg, offset, step, out->ptr + out->len, &got)) != OK)
            return e;
        if (got == 0)
            return OK;
        out->len += got;
        offset += got;
        n -= got;
    }
    return OK;
}

/* --- opening -------------------------------------------------------------------------------------
 */

static enum err
read_header(struct recording_reader *r)
{
    struct buf *bytes = &r->sealed;
    struct str hashed;
    size_t used;
    enum err e;

    if ((e = fetch(r, 0, PREFIX_BYTES + RECORDING_HEADER_MAX, bytes)) != OK ||
        (e = recording_read_header(buf_str(bytes), &r->texts, &r->header, &used)) != OK)
        return e;
    hashed = (struct str){bytes->ptr, used};
    if ((e = recording_hash(r->sealer, &hashed, 1, r->header_hash)) != OK)
        return e;
    r->first = r->offset = used;
    buf_reset(bytes);
    return OK;
}

static enum err
take_key(struct recording_reader *r, const struct recording_key *key)
{
    enum err e;

    if (!str_is(r->header.fingerprint, recording_key_fingerprint(key)))
        return fail(ERR_DENIED,
                    "the recording is for the key %.16s…, and the private key given is %.16s…",
                    r->header.fingerprint.ptr, recording_key_fingerprint(key));
    if ((e = recording_key_unwrap(key, r->header.wrapped_key, r->key)) != OK)
        return e;
    r->has_key = true;
    return OK;
}

enum err
recording_reader_open(const struct recording_source *source, const struct recording_key *key,
                      struct recording_reader **out)
{
    struct recording_reader *r = calloc(1, sizeof(*r));
    enum err e;

    if (r == NULL)
        return fail(ERR_NOMEM, "no memory to read a recording");
    r->source = *source;
    r->texts = buf_make(2 * RECORDING_HEADER_MAX);
    r->sealed = buf_make(RECORDING_SEALED_MAX + STEP_BYTES);
    r->plain = buf_make(RECORDING_PLAIN_MAX + 1);
    if ((e = recording_sealer_new(&r->sealer)) == OK && (e = read_header(r)) == OK && key != NULL)
        e = take_key(r, key);
    if (e != OK) {
        recording_reader_close(r);
        return e;
    }
    *out = r;
    return OK;
}

void
recording_reader_close(struct recording_reader *r)
{
    if (r == NULL)
        return;
    recording_sealer_free(r->sealer);
    buf_free(&r->texts);
    buf_free(&r->sealed);
    buf_free_secret(&r->plain);
    OPENSSL_cleanse(r, sizeof(*r));
    free(r);
}

const struct recording_header *
recording_reader_header(const struct recording_reader *r)
{
    return &r->header;
}

/* --- chunks
 * --------------------------------------------------------------------------------------- */

static enum err
cut_off(struct recording_reader *r)
{
    r->end = RECORDING_CUT_OFF;
    return fail(ERR_CLOSED, "the recording ends without its last chunk");
}

/* Nothing may follow the last chunk. */
static enum err
at_last(struct recording_reader *r)
{
    char byte;
    size_t got;
    enum err e;

    if ((e = r->source.read(r->source.arg, r->offset, 1, &byte, &got)) != OK)
        return e;
    if (got > 0)
        return fail(ERR_INVALID, "something was added behind the recording's last chunk");
    return fail(ERR_CLOSED, "the recording's end");
}

/* The head of the next chunk. */
static enum err
read_head(struct recording_reader *r, struct recording_chunk *chunk)
{
    enum err e;

    if (r->end == RECORDING_COMPLETE)
        return at_last(r);
    buf_reset(&r->sealed);
    if ((e = fetch(r, r->offset, RECORDING_CHUNK_HEAD_BYTES, &r->sealed)) != OK)
        return e;
    if (r->sealed.len < RECORDING_CHUNK_HEAD_BYTES)
        return cut_off(r);
    if ((e = recording_read_chunk(buf_str(&r->sealed), chunk)) != OK)
        return e;
    if (chunk->index != r->index)
        return fail(ERR_INVALID, "chunk %llu stands where chunk %llu must be",
                    (unsigned long long)chunk->index, (unsigned long long)r->index);
    return OK;
}

static void
step_over(struct recording_reader *r, const struct recording_chunk *chunk)
{
    r->offset += RECORDING_CHUNK_HEAD_BYTES + chunk->sealed_bytes;
    r->index++;
    r->end = (chunk->flags & RECORDING_LAST) != 0 ? RECORDING_COMPLETE : RECORDING_MORE;
}

enum err
recording_reader_next_chunk(struct recording_reader *r, struct recording_chunk *chunk,
                            unsigned char hash[static RECORDING_HASH_BYTES])
{
    struct str hashed[2] = {{(const char *)r->header_hash, sizeof(r->header_hash)}};
    enum err e;

    r->at = 0;
    if (r->plain.capacity > KEPT_BYTES)
        buf_free_secret(&r->plain);
    buf_reset(&r->plain);
    if (r->sealed.capacity > KEPT_BYTES)
        buf_free(&r->sealed);
    if ((e = read_head(r, chunk)) != OK || (e = fetch(r, r->offset + RECORDING_CHUNK_HEAD_BYTES,
                                                      chunk->sealed_bytes, &r->sealed)) != OK)
        return e;
    if (r->sealed.len < (size_t)RECORDING_CHUNK_HEAD_BYTES + chunk->sealed_bytes)
        return cut_off(r);
    hashed[1] = buf_str(&r->sealed);
    if ((e = recording_hash(r->sealer, hashed, 2, hash)) != OK)
        return e;
    if (r->has_key && (e = recording_open_chunk(r->sealer, r->key, r->header_hash, chunk,
                                                str_skip(hashed[1], RECORDING_CHUNK_HEAD_BYTES),
                                                &r->plain)) != OK)
        return e;
    step_over(r, chunk);
    return OK;
}

enum err
recording_reader_next(struct recording_reader *r, struct str *line)
{
    unsigned char hash[RECORDING_HASH_BYTES];
    struct recording_chunk chunk;
    struct str rest;
    size_t n;
    enum err e;

    while (r->at >= r->plain.len)
        if ((e = recording_reader_next_chunk(r, &chunk, hash)) != OK)
            return e;
    rest = str_skip(buf_str(&r->plain), r->at);
    n = str_index(rest, '\n');
    if (n == rest.len)
        return fail(ERR_INVALID, "chunk %llu ends within an event",
                    (unsigned long long)(r->index - 1));
    *line = (struct str){rest.ptr, n};
    r->at += n + 1;
    return OK;
}

/* Whether all of the chunk is there. */
static enum err
is_whole(struct recording_reader *r, const struct recording_chunk *chunk)
{
    uint64_t last = r->offset + RECORDING_CHUNK_HEAD_BYTES + chunk->sealed_bytes - 1;
    char byte;
    size_t got;
    enum err e = r->source.read(r->source.arg, last, 1, &byte, &got);

    return e == OK && got == 0 ? cut_off(r) : e;
}

enum err
recording_reader_next_head(struct recording_reader *r, struct recording_chunk *chunk)
{
    enum err e;

    if ((e = read_head(r, chunk)) != OK || (e = is_whole(r, chunk)) != OK)
        return e;
    step_over(r, chunk);
    return OK;
}

void
recording_reader_rewind(struct recording_reader *r)
{
    r->offset = r->first;
    r->index = 0;
    r->end = RECORDING_MORE;
    r->at = 0;
    buf_reset(&r->plain);
}

enum err
recording_reader_seek(struct recording_reader *r, uint64_t from_us)
{
    uint64_t offset = r->first, index = 0, before, before_index;
    struct recording_chunk chunk;
    enum err e = OK;

    recording_reader_rewind(r);
    do {
        before = offset;
        before_index = index;
        offset = r->offset;
        index = r->index;
    } while ((e = recording_reader_next_head(r, &chunk)) == OK && chunk.from_us <= from_us);
    if (e != OK && e != ERR_CLOSED)
        return e;
    /* The one at `offset` begins later, or is none: the one before it holds the time. */
    recording_reader_rewind(r);
    r->offset = before;
    r->index = before_index;
    return OK;
}

enum recording_end
recording_reader_end(const struct recording_reader *r)
{
    return r->end;
}

uint64_t
recording_reader_offset(const struct recording_reader *r)
{
    return r->offset;
}
