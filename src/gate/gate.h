/* gate/gate.h - the choke point of a session: every command passes here, whatever its protocol.
 * Decide, write down, then forward: gate_admit() has handed the intent record over before it
 * returns, so a protocol may forward exactly when it says so. */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include "base/buf.h"
#include "command/command.h"
#include "policy/policy.h"

struct gate;

/* What became of a request to run a command. */
struct admission {
    uint64_t id; /* names the command in the record; for gate_outcome() */
    struct verdict verdict;
};

struct outcome {
    uint64_t rows;    /* returned or changed, as the target's protocol counts them */
    uint64_t bytes;   /* sent to the client for this command */
    struct str error; /* the target's error code (SQLSTATE); empty: success */
    bool unknown;     /* the target went away before it answered */
};

/* [waits] Decides `command` and records the decision. `*out` borrows from the gate and from
 * `command`, until the next call. Anything but OK means that nothing may run and the session is
 * to end: ERR_UNAVAILABLE (the ledger, the keeper, or a revoked grant; err_text() is fit for the
 * client), ERR_LIMIT. A refusal by policy is OK with a verdict other than ALLOW. */
enum err gate_admit(struct gate *g, const struct command *command, struct admission *out);

/* Decides `command` without a record: nothing may run on its strength. For what announces a command
 * (a PostgreSQL Parse), so that it is refused early; gate_admit() decides again when it runs.
 * `*out` borrows as from gate_admit(). ERR_UNAVAILABLE. */
enum err gate_decide(struct gate *g, const struct command *command, struct verdict *out);

/* Refuses a command that could not be understood: records it like gate_admit() with a DENY whose
 * message is `reason` and no rule. Errors as gate_admit(). */
enum err gate_refuse(struct gate *g, const struct command *command, struct str reason,
                     struct admission *out);

/* Records how an admitted command ended; handed over at the latest before the session sleeps. */
enum err gate_outcome(struct gate *g, uint64_t id, const struct outcome *outcome);

/* Records something else worth keeping, such as a cancel request: a stable event name and words
 * for people. ERR_UNAVAILABLE. */
enum err gate_note(struct gate *g, struct str event, struct str text);

/* Appends what the rules allow here, for the HINT of a refusal. */
void gate_describe(struct gate *g, struct buf *out);

/* Why the grant is over. */
enum gate_end {
    GATE_OPEN,
    GATE_EXPIRED,  /* the token */
    GATE_REVOKED,  /* the token, or the policy no longer admits this principal */
    GATE_KILLED,   /* by an operator */
    GATE_SHUTDOWN, /* the gateway stops */
    GATE_BROKEN,   /* a service of the gateway is gone: fail closed */
};

/* [waits] Until the grant is over (then `*text` says why, for the client) or ERR_TIMEOUT,
 * ERR_CANCELED. A protocol keeps a fiber here that ends the session. */
enum err gate_wait_end(struct gate *g, int64_t deadline_ms, enum gate_end *end, struct str *text);

#endif
