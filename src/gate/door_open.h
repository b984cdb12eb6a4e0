/* gate/door_open.h - making a door: for the session's process. */
#ifndef GATE_DOOR_OPEN_H
#define GATE_DOOR_OPEN_H

#include "gate/door.h"

/* [waits] Fills in `d`, whose public members the caller has set, with links over the channels to
 * the keeper and the ledger, which it adopts also on failure. ERR_UNAVAILABLE, ERR_NOMEM. */
enum err door_open(struct door *d, int keeper_channel, int ledger_channel);

/* [waits] Records how the session ended and closes all but the client's stream. */
void door_close(struct door *d, struct str how);

#endif
