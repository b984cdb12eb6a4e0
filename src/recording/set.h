/* recording/set.h - all of a session's recording: its segments in a directory, in order, as one
 * stream of events; and its check against what the ledger says of it. */
#ifndef RECORDING_SET_H
#define RECORDING_SET_H

#include "recording/reader.h"

struct recording_set;

/* What is known of the whole without its key. */
struct recording_summary {
    uint64_t bytes, chunks;
    unsigned segments;
    uint64_t last_us;           /* of the last chunk's first event */
    uint32_t retention_seconds; /* the most of any */
    bool rows;
    bool ended; /* the last segment has its last chunk */
};

/* Opens the segments of `session` in the directory `directory_fd` (which stays the caller's).
 * ERR_NOT_FOUND; else as recording_reader_open(). The key must outlive the set. */
enum err recording_set_open(int directory_fd, uint64_t session, const struct recording_key *key,
                            struct recording_set **out);
/* The same of `n` files, taken over whatever happens: the segments in order. */
enum err recording_set_open_files(const int *fds, size_t n, const struct recording_key *key,
                                  struct recording_set **out);
/* Whether it was opened as all that a session has, not as single files. */
bool recording_set_is_whole(const struct recording_set *s);
void recording_set_close(struct recording_set *s);

/* Of the present segment. */
const struct recording_header *recording_set_header(const struct recording_set *s);

/* The next event, as recording_reader_next(). ERR_CLOSED at the end of all segments. */
enum err recording_set_next(struct recording_set *s, struct str *line);

/* Begins again at the chunk that holds `from_us`. */
enum err recording_set_seek(struct recording_set *s, uint64_t from_us);

/* How the last segment that was read to its end ended. */
enum recording_end recording_set_end(const struct recording_set *s);

/* Walks the heads of all chunks, without the key: what a set was opened with does not matter, and
 * it then stands at its beginning. ERR_INVALID: a head that no writer makes; ERR_IO. */
enum err recording_set_summarise(struct recording_set *s, struct recording_summary *out);

/* Calls `each` with the hash of every chunk, in order; needs no key. Then as above. What `each`
 * returned, or as recording_reader_next_chunk(). */
enum err recording_set_hashes(struct recording_set *s,
                              enum err (*each)(void *arg, unsigned segment,
                                               const struct recording_chunk *chunk,
                                               const unsigned char hash[RECORDING_HASH_BYTES]),
                              void *arg);

#endif
