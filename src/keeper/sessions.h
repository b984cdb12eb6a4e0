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

/* Appends one line of JSON, ended by a newline, for each authenticated session. */
void sessions_list(struct keeper *k, struct buf *out);

#endif
