/* protocol/postgres/startup.h - the client's side of a start: TLS, the StartupMessage, the token,
 * up to the grant (docs/protocol-postgres.md, "Start"). */
#ifndef PROTOCOL_POSTGRES_STARTUP_H
#define PROTOCOL_POSTGRES_STARTUP_H

#include "gate/door.h"
#include "protocol/postgres/settings.h"

struct pgstartup {
    bool long_keys; /* protocol 3.2: cancel keys of more than four bytes */
    struct pgsettings settings;
    struct grant grant;
    struct arena *arena; /* what `settings` points to; ends with pgstartup_free() */
};

/* [waits] Serves a client until it has a grant. On OK the gate is open and grant.target_fd is the
 * caller's. Otherwise the client was told and the refusal recorded. ERR_CLOSED: the connection
 * had another purpose (a cancel request) or ended; ERR_DENIED, ERR_PROTOCOL, ERR_TIMEOUT, … */
enum err pgstartup_accept(struct door *door, struct pgstartup *out);
void pgstartup_free(struct pgstartup *s);

/* [waits] Sends a FATAL ErrorResponse and lets the client read it before the connection ends. */
void pgstartup_farewell(struct stream *client, const struct pgwire_failure *failure);

/* The same with a message made before. */
void pgstartup_farewell_bytes(struct stream *client, struct str message);

#endif
