/* gate/door_open.h - making a door: for the session's process. */
#ifndef GATE_DOOR_OPEN_H
#define GATE_DOOR_OPEN_H

#include "gate/door.h"

/* [waits] Fills in `d`, whose public members the caller has set, with links over the channels to
 * the keeper and the ledger, which it adopts also on failure. ERR_UNAVAILABLE, ERR_NOMEM. */
enum err door_open(struct door *d, int keeper_channel, int ledger_channel);

/* [waits] Records how the session ended and closes all but the client's stream. */
void door_close(struct door *d, struct str how);

/* A door without a client, a ledger and a gate, for the process that reads a target's catalog
 * (docs/architecture.md). `protocol` and `handshake_deadline_ms` are set by the caller. */

/* [waits] Adopts the channel and gives the grant, and the file for the catalog. When the keeper
 * goes, the calling fiber is cancelled. On failure nothing is left to be closed. ERR_UNAVAILABLE,
 * ERR_NOMEM, and why the target cannot be reached. */
enum err door_open_reader(struct door *d, int keeper_channel, struct grant *grant, int *file);

/* Says what came of it. */
struct ipc_read_end;
enum err door_end_reading(struct door *d, const struct ipc_read_end *end);

void door_close_reader(struct door *d); /* [waits] */

#endif
