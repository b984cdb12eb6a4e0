/* gate/hold.h - commands that wait for humans: asks control and waits for what they say. Knows no
 * rules and writes no records; for gate/gate.c. */
#ifndef GATE_HOLD_H
#define GATE_HOLD_H

#include "gate/gate.h"

struct control_link;
struct held; /* one command that is held */

/* All that a session holds. Zero-initialise. */
struct holds {
    struct control_link *control; /* NULL: nobody can be asked */
    struct held *first;
};

/* From now on control is asked by `control`, which must outlive `hs`. */
void holds_set_control(struct holds *hs, struct control_link *control);

/* Ends all that is held, in this way; false if nothing was. */
bool holds_end(struct holds *hs, enum hold_end end);

/* Begins a hold: from now on it may be ended. NULL without memory. */
struct held *held_begin(struct holds *hs, uint64_t command);
void held_free(struct held *h);

/* Whether it is over before anybody was asked, or after one of several was. */
bool held_is_over(const struct held *h);

struct hold_question {
    struct str rule, message;
    struct str policy_hash;
    const unsigned char *command_hash; /* COMMAND_HASH_BYTES */
    struct str purpose;
    bool in_transaction;
    unsigned wait_seconds;
    struct str frame;   /* of the intent */
    struct str preview; /* JSON; empty: none */
};

/* What came of it. Texts are the hold's, until the next question. */
struct hold_answer {
    enum hold_end end;
    struct str request, approvers;
    struct str by, text;
    uint64_t waited_us;
};

/* [waits] Asks, tells `holder` when the question is pending, and waits for the end, which control
 * is told of unless it is its own. ERR_CANCELED and whatever the holder's held() failed with: the
 * answer is then HOLD_WITHDRAWN. */
enum err held_ask(struct held *h, const struct hold_question *question,
                  const struct gate_holder *holder, struct hold_answer *answer);

/* Appends why the command does not run, for the client. */
void hold_put_refusal(const struct hold_question *question, const struct hold_answer *answer,
                      struct buf *out);

#endif
