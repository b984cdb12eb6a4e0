/* ledger/scribe.h - writes the recordings of sessions (docs/recordings.md) from what the ledger
 * reads of them. A chunk is in the file before it is anchored in the chain; what cannot be written
 * stops the gateway as the ledger's own full disk does. */
#ifndef LEDGER_SCRIBE_H
#define LEDGER_SCRIBE_H

#include "ipc/record.h"
#include "ledger/ledger.h"
#include "recording/writer.h"

struct scribe;
struct tape; /* of one session */

struct scribe_options {
    const char *directory; /* made with mode 0750 if it is not there */
    struct str public_key; /* PEM */
    /* Puts the anchor of a chunk into the chain. ERR_UNAVAILABLE: to be tried again. */
    enum err (*anchor)(void *arg, uint64_t session, unsigned segment,
                       const struct recording_anchor *anchor);
    /* An event of a session that is watched. */
    void (*live)(void *arg, uint64_t session, struct str line);
    void *arg;
};

/* ERR_INVALID (the key), ERR_IO, ERR_NOMEM. */
enum err scribe_open(const struct scribe_options *options, struct scribe **out);

/* After all tapes; NULL is allowed. */
void scribe_close(struct scribe *s);

/* Another key for sessions that begin from now on. ERR_INVALID, ERR_NOMEM: the old one stays. */
enum err scribe_set_key(struct scribe *s, struct str pem);

/* The open directory. */
int scribe_directory(const struct scribe *s);

/* Whether something could not be written, and still cannot. */
bool scribe_is_stuck(const struct scribe *s);

/* Begins a session's recording. `members` are the JSON members of its first event, copied. Its file
 * is made with the first event, or is the next segment of what is there: after a restart of the
 * ledger, where `resumed`. `protocol` is copied. ERR_NOMEM. */
enum err scribe_begin(struct scribe *s, uint64_t session, struct str resource, struct str protocol,
                      int64_t started_us, bool resumed, struct str members, struct tape **out);

/* Adds what a frame says; `frame` is its number: the same frame again adds nothing. Leaves the
 * cursors of `*r` alone. ERR_UNAVAILABLE (nothing was added: to be tried again), ERR_IO, ERR_NOMEM.
 */
enum err scribe_frame(struct scribe *s, struct tape *t, uint64_t frame, const struct record *r);

/* Ends the recording; `members` are those of its last event. To be called again after
 * ERR_UNAVAILABLE. */
enum err scribe_end(struct scribe *s, struct tape *t, struct str members);

/* Frees; what was not ended stays cut off, but what there is of the present chunk is written. NULL
 * is allowed. */
void scribe_free(struct scribe *s, struct tape *t);

/* Whether its events are to be given to `live`; those of the present chunk are given at once. */
void scribe_watch(struct scribe *s, struct tape *t, bool on);

/* Milliseconds until scribe_round() has work; -1: none. */
int scribe_timeout_ms(const struct scribe *s);

/* Ends the chunks that are due. ERR_UNAVAILABLE is not among its errors: scribe_is_stuck(). */
enum err scribe_round(struct scribe *s);

#endif
