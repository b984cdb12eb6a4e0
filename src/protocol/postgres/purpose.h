/* protocol/postgres/purpose.h - what the session says that it does things for
 * (docs/protocol-postgres.md, "Purpose"): at its start, by setting "bulkhead.purpose", or in a
 * comment before a statement, which holds for that alone. For the upstream fiber. */
#ifndef PROTOCOL_POSTGRES_PURPOSE_H
#define PROTOCOL_POSTGRES_PURPOSE_H

#include "command/purpose.h"
#include "sql/purpose.h"

struct pgsession;
struct command;

struct pgpurpose_text {
    char bytes[PURPOSE_BYTES_MAX];
    size_t len;
};

struct pgpurpose {
    struct pgpurpose_text start;   /* of the connection */
    struct pgpurpose_text session; /* set last, but for SET LOCAL */
    bool local;                    /* the gate has that of a SET LOCAL */
};

/* The one that the gate has now is the connection's own. */
void pgpurpose_begin(struct pgsession *s);

/* [waits] Completes `command`: what it is for, if its own text did not say. ERR_CANCELED. */
enum err pgpurpose_complete(struct pgsession *s, struct command *command);

/* A string that changes the purpose goes on to the server. */
void pgpurpose_change(struct pgsession *s, const struct sql_purpose *change);

#endif
