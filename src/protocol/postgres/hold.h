/* protocol/postgres/hold.h - a session while a command of it waits for humans: where it would run,
 * what the client is told, and who may take it back (docs/protocol-postgres.md, "Waiting for an
 * approval"). Meanwhile the target gets nothing of the command, and what it says goes on to the
 * client. */
#ifndef PROTOCOL_POSTGRES_HOLD_H
#define PROTOCOL_POSTGRES_HOLD_H

#include "gate/gate.h"

struct fiber;
struct pgsession;
struct pgstatement;

struct pghold {
    const struct pgstatement *statement; /* of the command being decided; NULL: nothing by name */
    struct fiber *watcher;               /* of the client's end; NULL: nothing waits */
};

/* Makes the session the gate's holder. */
void pghold_open(struct pgsession *s);

/* [waits] gate_admit(), for the upstream fiber: what it waits for is looked after. `statement` (may
 * be NULL) is what names of prepared statements are looked up by. `approval` (NULL: none) is what
 * the same command was approved with before; a new one takes its place. */
enum err pghold_admit(struct pgsession *s, const struct command *command,
                      const struct pgstatement *statement, struct approval *approval,
                      struct admission *out);

/* The whole ErrorResponse for a command that was not approved, or could not be: `*out` as from
 * pgrefusal_of_verdict(). ERR_NOMEM. */
enum err pghold_refusal(const struct admission *admission, struct buf **out);

#endif
