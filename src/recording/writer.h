/* recording/writer.h - writes one file of a recording. It only ever appends whole chunks, so that
 * whatever ends the process leaves a readable prefix. Holds nothing but the unfinished chunk. */
#ifndef RECORDING_WRITER_H
#define RECORDING_WRITER_H

#include "recording/key.h"
#include "recording/seal.h"

struct recording_writer;

/* What was written, for the ledger's anchor. */
struct recording_anchor {
    uint64_t chunk;
    uint64_t bytes; /* of the file so far */
    bool last;
    unsigned char hash[RECORDING_HASH_BYTES]; /* SHA-256 of the header's hash and the chunk */
};

/* Begins the file on `fd`, which is empty and stays the caller's to close, after the writer. Makes
 * its key; header->fingerprint and ->wrapped_key are set here. ERR_UNAVAILABLE (no room on the
 * disk), ERR_IO, ERR_NOMEM. */
enum err recording_writer_open(int fd, struct recording_sealer *sealer,
                               const struct recording_key *key,
                               const struct recording_header *header,
                               struct recording_writer **out);

/* Forgets the key. What was not ended with recording_writer_end_chunk() is lost. */
void recording_writer_close(struct recording_writer *w);

/* Adds an event: `line` is a JSON object without its end of line. Ends no chunk: ask
 * recording_writer_is_full() before. ERR_LIMIT, ERR_NOMEM; then nothing was added. */
enum err recording_writer_add(struct recording_writer *w, uint64_t at_us, bool rows,
                              struct str line);

/* Whether a chunk is to be ended before a line of that size is added: it has no room for it, or an
 * earlier one could not be written yet. */
bool recording_writer_is_full(const struct recording_writer *w, size_t line_bytes);

/* The most that rules ask for; goes into every later chunk. */
void recording_writer_retain(struct recording_writer *w, uint32_t seconds);

/* The lines of the chunk that is not ended yet. */
struct str recording_writer_open_lines(const struct recording_writer *w);

/* Ends the chunk, and with `last` the file. An empty chunk is written only as the last. `*anchor`
 * says what was written (bytes 0: nothing). ERR_UNAVAILABLE (no room), ERR_IO, ERR_NOMEM: to be
 * tried again. What was sealed once is then written as it is, for a nonce must never serve twice;
 * so an earlier chunk may be what was written: with `last`, go on until anchor->last. */
enum err recording_writer_end_chunk(struct recording_writer *w, bool last,
                                    struct recording_anchor *anchor);

/* Bytes in the file. */
uint64_t recording_writer_bytes(const struct recording_writer *w);

#endif
