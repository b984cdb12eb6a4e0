/* gate/gate.h - the choke point of a session: every command passes here, whatever its protocol.
 * Decide, write down, then forward: gate_admit() has handed the intent record over before it
 * returns, so a protocol may forward exactly when it says so. */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include "base/buf.h"
#include "command/command.h"
#include "mask/rule.h"
#include "policy/policy.h"

struct gate;

enum { PROTECTION_BYTES_MAX = 16 << 20 }; /* of the wire form of what a resource protects */

/* How the hold of a command ended that humans were to be asked about. */
enum hold_end {
    HOLD_NONE, /* it was not held */
    HOLD_APPROVED,
    HOLD_DENIED,
    HOLD_TIMED_OUT,
    HOLD_WITHDRAWN,      /* gate_withdraw() */
    HOLD_LEFT,           /* gate_withdraw(), because the client went away */
    HOLD_UNAVAILABLE,    /* nobody could be asked */
    HOLD_POLICY_CHANGED, /* while it waited */
    HOLD_TOO_LARGE,      /* to be judged by a human */
    HOLD_SKIPPED,        /* what came before it failed: it is not recorded, and must not run */
};

enum { HOLD_REQUEST_MAX = 64, HOLD_COMMAND_BYTES_MAX = 2 << 20 };

/* What was approved, by all who had to: for the same command once more, where a protocol has it
 * decided in two places (a portal that is bound, then executed). Zeroed: nothing. */
struct approval {
    uint64_t edition; /* of the rules by which it was asked for */
    unsigned char command_hash[32];
    char request[HOLD_REQUEST_MAX + 1];
};

/* What became of a request to run a command. */
struct admission {
    uint64_t id; /* names the command in the record; for gate_outcome() */
    struct verdict verdict;
    enum hold_end held;
    struct str request;       /* control's name of the request; empty: there is none */
    struct approval approval; /* if it was held and approved */
};

struct outcome {
    uint64_t rows;     /* returned or changed, as the target's protocol counts them */
    uint64_t bytes;    /* sent to the client for this command */
    struct str error;  /* the target's error code (SQLSTATE); empty: success */
    bool unknown;      /* the target went away before it answered */
    struct str limit;  /* the limit that ended it, as the configuration calls it; empty: none */
    uint64_t masked;   /* values that were masked */
    uint64_t detected; /* findings that were overwritten */
};

/* Whether what got this verdict may be forwarded: as it is, or with its answer changed. */
static inline bool
gate_runs(const struct verdict *v)
{
    return v->kind == VERDICT_ALLOW || v->kind == VERDICT_MODIFY;
}

/* [waits] Decides `command` and records the decision. What the policy does not deny is denied if
 * the command has a `protected_use`, by a rule called "protect"; what it allows becomes a MODIFY
 * if the command has columns to be `masked`. `*out` borrows from the gate and from
 * `command`, until the next call. Anything but OK means that nothing may run and the session is
 * to end: ERR_UNAVAILABLE (the ledger, the keeper, or a revoked grant; err_text() is fit for the
 * client), ERR_LIMIT, ERR_CANCELED. A refusal is OK with a verdict that is not
 * gate_runs().
 *
 * Where the verdict is STEP_UP, humans are asked, which may take minutes: the command is recorded
 * as held, and what they said as well; then it is decided again by the newest rules. What comes out
 * is a verdict that gate_runs(), or a DENY in words for the client, with `held` saying how it came
 * about. A protocol without a holder gets a DENY. `command` must stay as it is meanwhile. */
enum err gate_admit(struct gate *g, const struct command *command, struct admission *out);

/* [waits] The same, where the same command was approved before (NULL or zeroed: it was not): if it
 * is that very command and the rules are the same, nobody is asked again. */
enum err gate_admit_again(struct gate *g, const struct command *command,
                          const struct approval *approval, struct admission *out);

/* A request that waits for humans. */
struct hold {
    struct str request, url; /* control's; the URL may be empty */
    struct str approvers;    /* who may decide, for people */
    struct str rule, message;
    int64_t expires_us; /* wall clock */
};

/* What a hold needs of a protocol. All are called from within gate_admit(), on its fiber. */
struct gate_holder {
    void *arg;
    /* [waits] Comes to where the command would run next: what was asked before it is answered.
     * Appends its context (command/command.h), and says whether a transaction with locks is under
     * way. ERR_DENIED: something before it failed, so it will not run. ERR_CANCELED. Other errors:
     * the reason is recorded and the command refused. */
    enum err (*prepare)(void *arg, const struct command *command, struct buf *context,
                        bool *in_transaction);
    /* [waits] Appends what approvers are shown of its effect, as JSON (Request.preview in
     * docs/api.md); at most HOLD_PREVIEW_BYTES_MAX. What cannot be shown is said in there.
     * ERR_CANCELED. Any other error is no reason not to ask. `step_up_preview` as the rule says. */
    enum err (*preview)(void *arg, const struct command *command, enum step_up_preview kind,
                        struct buf *json);
    /* [waits] Tells the client that it waits, and for whom. ERR_CANCELED; other errors end the
     * session. */
    enum err (*held)(void *arg, const struct hold *hold, int64_t deadline_ms);
};
enum { HOLD_PREVIEW_BYTES_MAX = 128 << 10 };

/* `holder` is copied. */
void gate_set_holder(struct gate *g, const struct gate_holder *holder);

/* Withdraws what is held, because the agent says so (`left`: because it has gone): it will not run.
 * False if nothing was. */
bool gate_withdraw(struct gate *g, bool left);

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

/* What the resource protects, and a number that changes whenever that or the policy was replaced.
 * Never NULL; without protection the lists are empty. Both tell at once what the next decision
 * will go by, so a command is to be analysed with what holds when it is admitted:
 *
 *     do analyse, with gate_protection(); while (gate_edition() is not what it was before);
 *     gate_admit();
 *
 * A protection stays valid until the first decision after it was replaced, and as long as a command
 * that was admitted under it has no outcome: its answer may be masked by it to the end. What was
 * made from it and is kept longer (plans of prepared statements) is to be made anew when the
 * edition has changed. */
const struct protection *gate_protection(const struct gate *g);
uint64_t gate_edition(const struct gate *g);

/* Whether no command that writes can run: residual_is_read_only(). */
bool gate_is_read_only(const struct gate *g);

/* Sets what the session says that it does all of this for, until the next call; copied. Empty: no
 * purpose. A protocol calls it when the client says so, and knows how long that holds.
 * ERR_INVALID (purpose_is_fit() says no): it stays as it was. */
enum err gate_set_purpose(struct gate *g, struct str purpose);

/* What `command` (NULL: any that says nothing itself) is for: its own words, or else the session's.
 * Borrows from them; empty: nobody said. */
struct str gate_purpose(const struct gate *g, const struct command *command);

/* The budget of the whole session: how many rows may still be delivered under these limits,
 * UINT64_MAX if there is no such limit. A protocol counts rows as it delivers them, under whatever
 * limits. */
uint64_t gate_rows_left(const struct gate *g, const struct limits *l);
void gate_count_rows(struct gate *g, uint64_t n);

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
