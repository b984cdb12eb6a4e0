/* recording/format.h - the file of a recording (docs/recordings.md): a header in clear, then chunks
 * of events, each compressed and sealed by itself. Pure codec of what is in clear.
 *
 *     "BHREC\r\n\x01"  u32 length  header (JSON)
 *     chunk:  u32 sealed length, u32 plain length, u64 index, u64 microseconds from the start,
 *             u32 retention, u8 flags; then the sealed bytes: AES-256-GCM of zstd of NDJSON
 *
 * All numbers are in network byte order. */
#ifndef RECORDING_FORMAT_H
#define RECORDING_FORMAT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    RECORDING_MAGIC_BYTES = 8,
    RECORDING_HEADER_MAX = 64 << 10, /* of the JSON */
    RECORDING_CHUNK_HEAD_BYTES = 29,
    RECORDING_CHUNK_BYTES = 256 << 10, /* a chunk is ended at this size, or after */
    RECORDING_CHUNK_MS = 1000,         /* this long behind its first event */
    RECORDING_EVENT_MAX = 64 << 20,    /* a larger one has a chunk of its own, up to here */
    RECORDING_PLAIN_MAX = RECORDING_EVENT_MAX + 1,
    RECORDING_SEALED_MAX = RECORDING_PLAIN_MAX + (1 << 20),
    RECORDING_TAG_BYTES = 16,
    RECORDING_KEY_BYTES = 32,
    RECORDING_HASH_BYTES = 32,
    RECORDING_SEGMENTS_MAX = 1000,
    RECORDING_NAME_BYTES = 32, /* with its NUL */
};

/* Bits of a chunk's flags. */
enum {
    RECORDING_LAST = 1, /* the session was over: the file ends behind it */
    RECORDING_ROWS = 2, /* it holds rows */
};

/* What is known of a recording without its key. Texts borrow. */
struct recording_header {
    uint64_t session;
    unsigned segment; /* 0; each later one of a session continues the one before */
    struct str resource, protocol;
    int64_t started_us;     /* of the session, wall clock: second 0 of its events */
    struct str fingerprint; /* of the public key: 64 hexadecimal digits */
    struct str wrapped_key; /* bytes: RSA-OAEP (SHA-256) of the recording's key */
};

struct recording_chunk {
    uint32_t sealed_bytes, plain_bytes;
    uint64_t index;
    uint64_t from_us;           /* of its first event, from the start */
    uint32_t retention_seconds; /* most that the rules have asked for so far; 0: nothing */
    uint8_t flags;
};

/* Appends magic, length and header. ERR_LIMIT. */
enum err recording_put_header(struct buf *out, const struct recording_header *header);

/* Reads them at the start of `bytes`; `*used` is what they took. Texts are put into `texts`, which
 * must outlive `*out`. ERR_TRUNCATED: more bytes are needed; ERR_INVALID: it is no recording. */
enum err recording_read_header(struct str bytes, struct buf *texts, struct recording_header *out,
                               size_t *used);

/* Exactly RECORDING_CHUNK_HEAD_BYTES. */
void recording_put_chunk(struct buf *out, const struct recording_chunk *chunk);

/* Reads one; ERR_TRUNCATED, ERR_INVALID (lengths or flags that no writer makes). */
enum err recording_read_chunk(struct str bytes, struct recording_chunk *out);

/* "0123456789abcdef-000.bhrec" and back; false if it is no such name. */
void recording_name(uint64_t session, unsigned segment, char out[RECORDING_NAME_BYTES]);
bool recording_parse_name(const char *name, uint64_t *session, unsigned *segment);

#endif
