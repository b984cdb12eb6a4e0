/* control/watch.h - sessions that somebody watches live: what the ledger's process says of them, to
 * each who watches. */
#ifndef CONTROL_WATCH_H
#define CONTROL_WATCH_H

#include "control/events.h"
#include "control/state.h"

enum { WATCHERS_MAX = 64, WATCH_QUEUE_BYTES = 4 << 20 };

struct watch;

/* Takes over control->live and listens for the ends of sessions. NULL without memory. */
struct watch *watch_new(struct control *control);
void watch_free(struct watch *w); /* ends every reader; NULL is allowed */

/* Begins to watch; the caller holds the reader's end. The queue ends with the session, and with the
 * login (`owner`). ERR_NOT_FOUND (it is not open here), ERR_LIMIT, ERR_UNAVAILABLE, ERR_NOMEM. */
enum err watch_begin(struct watch *w, uint64_t session, struct str owner, struct event_queue **out);

/* The watchers of this owner end: their login is over. */
void watch_end_owner(struct watch *w, struct str owner);

/* Takes back a control_listen(). */
void watch_unlisten(struct control *control, control_listener *tell, void *arg);

#endif
