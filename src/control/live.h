/* control/live.h - which sessions are open, as the keeper says, and the store's index of them. */
#ifndef CONTROL_LIVE_H
#define CONTROL_LIVE_H

#include "control/state.h"

/* A session was opened, or is open: the keeper repeats all of them to a control that is new. */
enum err live_opened(struct control *c, const struct ipc_session_opened *opened);

/* It is over. OK also if it is not known. */
void live_ended(struct control *c, uint64_t session);

/* The keeper is gone, and with it every session. */
void live_clear(struct control *c);

/* Writes what has changed into the store, many sessions in one transaction; what fails is tried
 * again at the next call. To be called a few times a second. */
void live_index(struct control *c);

#endif
