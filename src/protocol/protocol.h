/* protocol/protocol.h - what the session's process knows of a protocol. */
#ifndef PROTOCOL_PROTOCOL_H
#define PROTOCOL_PROTOCOL_H

#include "gate/door.h"

/* Of a catalog that was read. */
struct catalog_summary {
    uint64_t fingerprint;
    uint64_t relations, functions; /* for people */
};

struct protocol {
    const char *name; /* as in `listen:` and in a resource's `protocol:` */
    /* [waits] Serves one client until it leaves or the grant ends. The result is for the log and
     * for the ledger's session_closed; the client has been told already. */
    enum err (*serve)(struct door *door);
    /* Written to a client that is turned away before anything was read from it: too many
     * connections, or a service of the gateway is not there. */
    struct str busy;
    struct str unavailable;
    /* [waits] Logs in to the target and appends the catalog of the granted database
     * (sql/catalog.h), until door->handshake_deadline_ms. err_text() is fit for clients. NULL:
     * there are none. */
    enum err (*read_catalog)(struct door *door, const struct grant *grant, struct buf *out,
                             struct catalog_summary *summary);
};

/* NULL if there is none of that name. */
const struct protocol *protocol_find(struct str name);

#endif
