/* protocol/postgres/refusal.h - the ErrorResponse of a refusal, and the statement that makes the
 * server fail in the same place. */
#ifndef PROTOCOL_POSTGRES_REFUSAL_H
#define PROTOCOL_POSTGRES_REFUSAL_H

#include "gate/gate.h"
#include "protocol/postgres/wire.h"

/* What the server is given in place of a refused command. No grammar of PostgreSQL accepts it, so
 * it fails in every state and changes nothing but what an error changes. */
extern const struct str pgrefusal_statement;
/* The statement name used in place of a refused one that has a name. It never comes to exist. */
extern const struct str pgrefusal_name;

/* The whole ErrorResponse for a command that policy refused. `*out` is the caller's, to be freed
 * with its buffer. ERR_NOMEM. */
enum err pgrefusal_of_verdict(struct gate *gate, const struct verdict *verdict, struct buf **out);

/* The same for anything else. ERR_NOMEM. */
enum err pgrefusal_of_failure(const struct pgwire_failure *failure, struct buf **out);

void pgrefusal_free(struct buf *refusal);

#endif
