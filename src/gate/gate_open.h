/* gate/gate_open.h - making and feeding a gate; for gate/door.c alone. */
#ifndef GATE_GATE_OPEN_H
#define GATE_GATE_OPEN_H

#include "base/arena.h"
#include "gate/gate.h"
#include "gate/ledger_link.h"

/* What a gate decides by. */
struct gate_rules {
    struct residual *residual;
    struct arena *home;                  /* of `protection` */
    const struct protection *protection; /* NULL: nothing is protected */
    struct str policy_hash;              /* copied */
};

/* A gate deciding by `rules` (whose residual and arena it takes over, also on failure), recording
 * through `ledger`, which must outlive it. ERR_NOMEM. */
enum err gate_open(const struct gate_rules *rules, struct ledger_link *ledger, struct gate **out);
void gate_close(struct gate *g);

/* By which humans are asked; NULL: they cannot be. Must outlive the gate. */
struct control_link;
void gate_set_control(struct gate *g, struct control_link *control);

/* Decides by `rules` (taken over, also on failure) from the next command on. ERR_NOMEM: the old
 * ones stay, and the grant is to end. */
enum err gate_replace_rules(struct gate *g, const struct gate_rules *rules);

/* Ends the grant: no command is admitted any more and gate_wait_end() returns. The first reason
 * stays. */
void gate_end(struct gate *g, enum gate_end why, struct str text);

#endif
