/* gate/gate_private.h - what a gate is made of: for gate.c and step_up.c. */
#ifndef GATE_GATE_PRIVATE_H
#define GATE_GATE_PRIVATE_H

#include "base/arena.h"
#include "command/purpose.h"
#include "fiber/fiber.h"
#include "gate/hold.h"
#include "gate/ledger_link.h"
#include "ipc/record.h"

enum { POLICY_HASH_MAX = 64, END_TEXT_MAX = 512 };

/* Rules that were given to the gate, from the keeper's newest to those that still have users. */
struct edition {
    struct edition *older;
    uint64_t number;
    size_t in_flight; /* commands admitted under it, without an outcome */
    struct residual *residual;
    struct arena *home;
    const struct protection *protection;
    char hash[POLICY_HASH_MAX];
    size_t hash_len;
};

/* A command that was admitted and has no outcome yet. */
struct in_flight {
    uint64_t id; /* 0: free */
    int64_t started_us;
    struct edition *edition;
};

struct gate {
    struct edition *newest;   /* by which the next command is decided */
    struct edition *in_force; /* by which the last one was */
    struct ledger_link *ledger;
    uint64_t last_id;
    uint64_t rows;               /* delivered */
    struct in_flight *in_flight; /* by id modulo the size, a power of two */
    size_t n_in_flight;
    struct holds holds;
    struct gate_holder holder; /* all NULL: there is none */
    struct buf hold_text;      /* why the last one was refused */
    char purpose[PURPOSE_BYTES_MAX];
    size_t purpose_len;
    enum gate_end end;
    char end_text[END_TEXT_MAX];
    struct fiber_condition ended;
};

/* Whether the two are of the same configuration. */
bool gate_same_rules(const struct edition *a, const struct edition *b);

/* Everything must stand before a command is even looked at; the newest rules come into force.
 * ERR_UNAVAILABLE. */
enum err gate_check_open(struct gate *g);

/* By the rules in force. */
void gate_judge(const struct gate *g, const struct command *command, struct verdict *v);

/* The command goes on: from now on it has no outcome. ERR_LIMIT, ERR_NOMEM. */
enum err gate_remember_start(struct gate *g, uint64_t id);

/* The record of what was decided about `command`. */
struct record_intent gate_intent_of(const struct gate *g, const struct command *command,
                                    const struct admission *admission);

/* Hands it over. ERR_UNAVAILABLE. */
enum err gate_hand_over_intent(struct gate *g, const struct command *command,
                               const struct admission *admission);

/* What was decided goes on, or is refused: without asking anybody. */
enum err gate_conclude(struct gate *g, const struct command *command, struct admission *out);

/* [waits] The verdict is STEP_UP: asks humans (gate/step_up.c). */
enum err gate_step_up(struct gate *g, const struct command *command,
                      const struct approval *approval, struct admission *out);

#endif
