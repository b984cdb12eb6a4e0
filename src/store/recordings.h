/* store/recordings.h - which recordings there are, where, and how long they must be kept. One row a
 * file: a session has several if the ledger was restarted. */
#ifndef STORE_RECORDINGS_H
#define STORE_RECORDINGS_H

#include "store/store.h"

struct recording {
    uint64_t session;
    struct str path; /* within the directory or the bucket */
    uint64_t bytes, chunks, rows;
    int64_t started_us, ended_us;
    int64_t retain_until_us;
    bool legal_hold;
    int64_t uploaded_us; /* to the object store */
    bool local;          /* the file is (also) in the directory */
};

struct recording_list {
    const struct recording *items;
    size_t n;
};

/* Adds, or replaces all but legal_hold, which a new file takes over from the session's others. */
enum err recordings_put(struct db *db, const struct recording *r);
/* Of a session, oldest first. */
enum err recordings_of(struct db *db, uint64_t session, struct arena *arena,
                       struct recording_list *out);
/* Of all files of the session; ERR_NOT_FOUND if there are none. */
enum err recordings_set_legal_hold(struct db *db, uint64_t session, bool on);
enum err recordings_set_uploaded(struct db *db, uint64_t session, struct str path, int64_t at_us,
                                 bool local);
/* Ended, past their time and without legal hold; ended and not uploaded. At most `limit`. */
enum err recordings_due(struct db *db, int64_t now_us, unsigned limit, struct arena *arena,
                        struct recording_list *out);
enum err recordings_to_upload(struct db *db, unsigned limit, struct arena *arena,
                              struct recording_list *out);
/* ERR_DENIED: there is a legal hold (again). */
enum err recordings_delete(struct db *db, uint64_t session, struct str path);

#endif
