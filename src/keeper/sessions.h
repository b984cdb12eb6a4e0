/* keeper/sessions.h - sessions as the keeper knows them: who each is, what it was granted, and
 * when that ends. */
#ifndef KEEPER_SESSIONS_H
#define KEEPER_SESSIONS_H

#include "gate/gate.h"
#include "keeper/state.h"

/* Begins to serve the session that the listener announced; `channel` is adopted. */
void sessions_begin(struct keeper *k, const struct ipc_session_new *announced, int channel);

/* Ends the grants of all that are expired or revoked; called twice a second. */
void sessions_sweep(struct keeper *k);

/* Gives every session the rules of the edition in force, and ends those that may not stay. */
void sessions_apply_policy(struct keeper *k);

/* Ends every session. */
void sessions_end_all(struct keeper *k, enum gate_end why, const char *text);

/* Ends one. ERR_NOT_FOUND. */
enum err sessions_end(struct keeper *k, uint64_t id, enum gate_end why, const char *text);

/* Ends those that were opened under a grant of access. */
void sessions_end_access(struct keeper *k, struct str access, enum gate_end why, const char *text);

/* Calls `fn` for each live session; it must not wait. */
void sessions_each(struct keeper *k, void (*fn)(uint64_t session, void *arg), void *arg);

/* Gives the description of a live session, as ledger and control get it, to `tell`, which must not
 * wait. ERR_NOT_FOUND: it is over; else what `tell` says. */
enum err sessions_describe(struct keeper *k, uint64_t session,
                           enum err (*tell)(void *arg, const struct ipc_session_opened *opened),
                           void *arg);

enum { SESSION_GROUPS_BYTES_MAX = 8192 };

/* Appends each string and a NUL, as long as it fits. */
void sessions_put_list(struct buf *out, struct str_list list);

/* Appends one line of JSON, ended by a newline, for each authenticated session. */
void sessions_list(struct keeper *k, struct buf *out);

#endif
