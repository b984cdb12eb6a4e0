/* control/search_live.h - control/search.h from control's fibers. */
#ifndef CONTROL_SEARCH_LIVE_H
#define CONTROL_SEARCH_LIVE_H

#include "control/state.h"

/* [waits] A control_recent (control/state.h): the last commands of a session from the ledger's
 * files, by a helper thread. ERR_NOT_FOUND (no ledger yet), ERR_LIMIT, ERR_IO, ERR_NOMEM. */
enum err search_live_recent(struct control *c, uint64_t session, size_t max, struct buf *json);

#endif
