/* ledger/walk.h - going through a ledger's records in either direction from any place, in bounded
 * memory, while the ledger may be growing. Reading only; the order of numbers and, but for steps of
 * the clock, of times is used to find places quickly. What is not a record is counted and passed
 * over: whether the chain is whole is ledger/verify.h's question. */
#ifndef LEDGER_WALK_H
#define LEDGER_WALK_H

#include "ledger/line.h"
#include "ledger/series.h"

/* A clock that was set back by this much at most between records hides none from walk_to_time(). */
enum { WALK_CLOCK_STEP_SECONDS = 3600 };

struct walk;

/* Takes a list of the files as they are now; begins before the first record. `*out` is the
 * caller's. ERR_NOT_FOUND: no ledger there; ERR_IO, ERR_NOMEM, ERR_LIMIT. */
enum err walk_open(const char *directory, struct walk **out);
void walk_close(struct walk *w); /* NULL is allowed */

/* Go to: before the first record numbered `seq` or above; to the end. ERR_IO, ERR_NOMEM. */
enum err walk_to(struct walk *w, uint64_t seq);
enum err walk_to_end(struct walk *w);

/* Before the first record of `time` (ledger/filter.h) or later, or further back: by the clock step;
 * or, if `behind`, behind the last record of `time` or earlier, or further on. ERR_INVALID, ERR_IO,
 * ERR_NOMEM. */
enum err walk_to_time(struct walk *w, struct str time, bool behind);

/* The next record, or the one before, with its head (line_read_head()); moves behind, or before,
 * it.
 * `*text` is the whole line and lives, with `*line`, until the next call. ERR_CLOSED: there is
 * none; ERR_IO, ERR_NOMEM. */
enum err walk_next(struct walk *w, struct str *text, struct line *line);
enum err walk_previous(struct walk *w, struct str *text, struct line *line);

/* Lines so far that were not records; bytes that were read. */
uint64_t walk_damaged(const struct walk *w);
uint64_t walk_bytes(const struct walk *w);

#endif
