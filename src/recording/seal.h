/* recording/seal.h - one chunk, sealed and opened: zstd, then AES-256-GCM. Its nonce is its index,
 * its additional data the hash of the file's header and its own head, so that a chunk is good only
 * in its file, at its place, and as the last only if it was written as the last. */
#ifndef RECORDING_SEAL_H
#define RECORDING_SEAL_H

#include "recording/format.h"

/* What compresses and seals, for any number of files; not for two threads at once. */
struct recording_sealer;
enum err recording_sealer_new(struct recording_sealer **out);
void recording_sealer_free(struct recording_sealer *s);

/* SHA-256 of several pieces. */
enum err recording_hash(struct recording_sealer *s, const struct str *pieces, size_t n,
                        unsigned char out[static RECORDING_HASH_BYTES]);

/* Appends head and sealed bytes of the chunk; sets its two lengths. ERR_LIMIT, ERR_NOMEM. */
enum err recording_seal(struct recording_sealer *s, const unsigned char key[static 32],
                        const unsigned char header_hash[static 32], struct recording_chunk *chunk,
                        struct str plain, struct buf *out);

/* Appends the plain bytes of the chunk with this head. Not more than chunk->plain_bytes are ever
 * made of it. ERR_DENIED: it is not what was sealed (damaged, of another place or file, or another
 * key); ERR_INVALID: what was sealed is malformed; ERR_NOMEM, ERR_LIMIT. */
enum err recording_open_chunk(struct recording_sealer *s, const unsigned char key[static 32],
                              const unsigned char header_hash[static 32],
                              const struct recording_chunk *chunk, struct str sealed,
                              struct buf *out);

#endif
