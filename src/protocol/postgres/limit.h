/* protocol/postgres/limit.h - the limits that hold while an answer streams, and what is done to an
 * answer that passes one: the client gets an error in its place, the server a cancel request, and
 * whatever the server still says of it is dropped. */
#ifndef PROTOCOL_POSTGRES_LIMIT_H
#define PROTOCOL_POSTGRES_LIMIT_H

#include "protocol/postgres/session.h"

/* For the downstream fiber. */

/* The head is about to deliver rows: which limit that would pass; NULL: none, and they are counted.
 * `part` is what it answers. */
const char *pglimit_passed(struct pgsession *s, const struct pgview_part *part, uint64_t rows,
                           uint64_t bytes);

/* Stops the head's answer: the client will get `failure`, an "ERROR", from pglimit_tell(). `limit`
 * (NULL: none) goes into the record. Only the first counts. ERR_NOMEM. */
enum err pglimit_stop(struct pgsession *s, const struct pgwire_failure *failure, const char *limit);
/* The same because of one of struct limits. */
enum err pglimit_stop_for(struct pgsession *s, const char *limit);

/* [waits] Gives the client the error of a stopped head, once. */
enum err pglimit_tell(struct pgsession *s);

/* The server completed what was stopped, before the cancel request came, and the head has been
 * popped: nothing of the rest of its segment is for the client, who waits for Sync. If something
 * in it has run, the client could not know, so the session ends. */
enum err pglimit_silence_segment(struct pgsession *s);

/* Appends an error that says which limit of the view was passed. */
void pglimit_put_error(const struct pgview *v, const char *limit, struct buf *out);

/* For any fiber. */

/* Notes when the head began, if its time is limited. */
void pglimit_begin(struct pgsession *s);
/* When the head's time is over; FIBER_FOREVER: never. */
int64_t pglimit_deadline(const struct pgsession *s);
/* Stops it, if so. */
enum err pglimit_check_time(struct pgsession *s);

#endif
