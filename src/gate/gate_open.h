/* gate/gate_open.h - making and feeding a gate; for gate/door.c alone. */
#ifndef GATE_GATE_OPEN_H
#define GATE_GATE_OPEN_H

#include "gate/gate.h"
#include "gate/ledger_link.h"

/* A gate deciding by `residual` (which it takes over, also on failure) under the policy of that
 * hash, recording through `ledger`, which must outlive it. ERR_NOMEM. */
enum err gate_open(struct residual *residual, struct str policy_hash, struct ledger_link *ledger,
                   struct gate **out);
void gate_close(struct gate *g);

/* Decides by `residual` (taken over) from the next command on. */
void gate_replace_policy(struct gate *g, struct residual *residual, struct str policy_hash);

/* Ends the grant: no command is admitted any more and gate_wait_end() returns. The first reason
 * stays. */
void gate_end(struct gate *g, enum gate_end why, struct str text);

#endif
