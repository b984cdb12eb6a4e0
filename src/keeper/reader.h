/* keeper/reader.h - one reading of a catalog: by a process of its own, which the listener forks,
 * and which gets the target and its proofs from us as a session does, and nothing else. */
#ifndef KEEPER_READER_H
#define KEEPER_READER_H

#include "keeper/catalogs.h"
#include "keeper/target.h"

enum { READER_MS = 60000 };

/* [waits] Reads the catalog of `database`. ERR_UNAVAILABLE, ERR_TIMEOUT, or what the reader says.
 */
enum err reader_read(struct keeper *k, struct target *target, struct str database,
                     struct catalog_snapshot *out);

/* Ends all readings. */
void readers_stop(struct keeper *k);

#endif
