/* protocol/postgres/postgres.h - the protocol's entry, for protocol/protocol.c. */
#ifndef PROTOCOL_POSTGRES_POSTGRES_H
#define PROTOCOL_POSTGRES_POSTGRES_H

#include "gate/door.h"

/* [waits] struct protocol's `serve`. */
enum err postgres_serve(struct door *door);

/* [waits] struct protocol's `read_catalog`. */
struct catalog_summary;
enum err postgres_read_catalog(struct door *door, const struct grant *grant, struct buf *out,
                               struct catalog_summary *summary);

#endif
