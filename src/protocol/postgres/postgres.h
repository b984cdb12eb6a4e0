/* protocol/postgres/postgres.h - the protocol's entry, for protocol/protocol.c. */
#ifndef PROTOCOL_POSTGRES_POSTGRES_H
#define PROTOCOL_POSTGRES_POSTGRES_H

#include "gate/door.h"

/* [waits] struct protocol's `serve`. */
enum err postgres_serve(struct door *door);

#endif
