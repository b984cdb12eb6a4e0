/* recording/reader.h - reads a recording back, from wherever its bytes are. Whatever they are, it
 * takes bounded memory (one chunk) and reads nothing out of bounds. */
#ifndef RECORDING_READER_H
#define RECORDING_READER_H

#include "recording/key.h"
#include "recording/seal.h"

/* Where the bytes are: reads up to `n` at `offset` into `to`; `*got` 0: the end. May block. */
struct recording_source {
    enum err (*read)(void *arg, uint64_t offset, size_t n, char *to, size_t *got);
    void *arg;
};

/* From a file; `*fd` must live as long as the source. */
struct recording_source recording_source_file(const int *fd);

/* From memory; `*bytes` likewise. */
struct recording_source recording_source_memory(const struct str *bytes);

enum recording_end {
    RECORDING_MORE,     /* not at the end yet */
    RECORDING_COMPLETE, /* the last chunk was read */
    RECORDING_CUT_OFF,  /* it ends without one: still being written, or its writer died */
};

struct recording_reader;

/* Reads the header. With `key` NULL only heads and hashes of chunks can be read. ERR_INVALID: it is
 * no recording; ERR_TRUNCATED: it ends within its header; ERR_DENIED: it is not for this key;
 * ERR_IO, ERR_NOMEM. */
enum err recording_reader_open(const struct recording_source *source,
                               const struct recording_key *key, struct recording_reader **out);
void recording_reader_close(struct recording_reader *r);

const struct recording_header *recording_reader_header(const struct recording_reader *r);

/* Reads the next chunk: its head, its hash as the ledger anchors it, and with a key its events.
 * ERR_CLOSED: there is none, recording_reader_end() says how it ended. ERR_DENIED, ERR_INVALID: it
 * is not what was written (err_text() says which chunk and what is wrong); what came before it is
 * good, nothing behind it is read. */
enum err recording_reader_next_chunk(struct recording_reader *r, struct recording_chunk *chunk,
                                     unsigned char hash[static RECORDING_HASH_BYTES]);

/* The next event of the present chunk, then of the next ones; a line without its end, valid until
 * the next call. Errors as above. */
enum err recording_reader_next(struct recording_reader *r, struct str *line);

/* Only the head of the next chunk, stepping over the rest. Errors as above. */
enum err recording_reader_next_head(struct recording_reader *r, struct recording_chunk *chunk);

void recording_reader_rewind(struct recording_reader *r);

/* Goes to the chunk that holds `from_us`, by the heads alone, without opening those before: its
 * first events may be earlier. Errors as above. */
enum err recording_reader_seek(struct recording_reader *r, uint64_t from_us);

enum recording_end recording_reader_end(const struct recording_reader *r);

/* Of the file, so far. */
uint64_t recording_reader_offset(const struct recording_reader *r);

#endif
