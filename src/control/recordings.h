/* control/recordings.h - the recordings as control keeps them: an index in the store, reading and
 * decrypting for those who may, retention, legal holds, and the object store.
 *
 * The ledger writes the files; control finds them in their directory, reads what their headers and
 * heads of chunks say in clear, and moves or deletes them by the configuration. The private key is
 * read by control alone; without one recordings are kept, but only viewed offline.
 *
 * Whoever lets a person read, export, hold or watch writes that into the ledger *first*, with the
 * reason (ADMIN_ACTION); these functions do not. What control does by itself (deletion when the
 * retention is over, uploads) they record themselves, before they do it. */
#ifndef CONTROL_RECORDINGS_H
#define CONTROL_RECORDINGS_H

#include "base/buf.h"
#include "config/config.h"
#include "recording/export.h"

struct recordings;
struct db;

struct recordings_options {
    const struct config_recordings *config; /* borrowed until recordings_close() */
    const char *access_key, *secret_key;    /* of the object store; may be NULL */
    struct db *db;
    /* Writes an act of the gateway itself into the ledger and has it synced; anything but OK:
     * do not act. */
    enum err (*record)(void *arg, struct str action, struct str detail);
    bool (*is_live)(void *arg, uint64_t session); /* NULL: none is */
    void *arg;
};

/* Reads the private key, if one is configured. ERR_INVALID (err_text() says what to do), ERR_IO,
 * ERR_NOMEM. */
enum err recordings_open(const struct recordings_options *options, struct recordings **out);
void recordings_close(struct recordings *r);

/* What is on a thread is to end soon: before the process does. NULL is allowed. */
void recordings_stop(struct recordings *r);

/* [waits] One round of the jobs: looks for new and grown files, updates the index, uploads what is
 * complete, deletes what is past its retention and not held. To be called from a fiber every
 * minute or so. Failures of single recordings are logged and tried again in the next round. */
enum err recordings_sweep(struct recordings *r, int64_t now_us);

/* What is known of one. */
struct recordings_entry {
    uint64_t session;
    uint64_t bytes, chunks;
    bool ended, rows, legal_hold, uploaded;
    int64_t retain_until_us; /* wall clock; 0: no retention */
};
/* ERR_NOT_FOUND: the session has no recording (or no longer one). */
enum err recordings_find(struct recordings *r, uint64_t session, struct recordings_entry *out);

/* Whether recordings can be read here: a private key is configured. */
bool recordings_can_read(const struct recordings *r);

/* [waits] Appends to `out` a JSON array of up to `limit` events of the session from the time
 * `from_us` (from its start) on, skipping those with a number up to `after` (0: none). `*next_us`
 * and `*next_after` are what to go on with; `*more` false: there is no more for now. Decrypts on a
 * thread; from the object store if the file is there. ERR_NOT_FOUND, ERR_UNAVAILABLE (no private
 * key, the object store), ERR_DENIED (tampered with), ERR_INVALID, ERR_LIMIT (out->max; asks for
 * fewer). */
struct recordings_page {
    uint64_t from_us, after;
    size_t limit;
    uint64_t next_us, next_after; /* out */
    bool more;                    /* out */
    bool cut_off;                 /* out: it ends without its last chunk */
};
enum err recordings_read(struct recordings *r, uint64_t session, struct recordings_page *page,
                         struct buf *out);

/* [waits] Exports into `out`. Errors as above. */
enum err recordings_export(struct recordings *r, uint64_t session, enum recording_format format,
                           struct buf *out);

/* Keeps the recording whatever its retention, or no longer. ERR_NOT_FOUND, and the store's. */
enum err recordings_hold(struct recordings *r, uint64_t session, bool on);

#endif
