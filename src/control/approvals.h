/* control/approvals.h - the engine of approvals: who asks, who may decide, what a decision serves.
 *
 * No sockets and no messages: others hand in what sessions ask and what humans decide, and are
 * called back. The truth is in the store (store/requests.h); in memory is only who waits. A
 * decision is made by one conditional UPDATE, so of two approvers, a timeout and a withdrawal one
 * wins, also over several nodes. It is written to the ledger (hooks.record) before it is committed,
 * and acted upon (hooks.decided) after.
 *
 * Time: requests and grants expire by the wall clock, and waits by the monotonic one; whichever
 * comes first. A clock that jumps back prolongs nothing: waits and the grants seen by this process
 * have a monotonic deadline as well, and a grant from the future serves nobody.
 *
 * One thread; everything may block as the store does. Callbacks must not call back into the
 * engine. */
#ifndef CONTROL_APPROVALS_H
#define CONTROL_APPROVALS_H

#include "ipc/message.h"
#include "store/grants.h"
#include "store/people.h"
#include "store/requests.h"

struct approvals;

enum {
    APPROVALS_PENDING_MAX = 10000,      /* in the store; more are refused */
    APPROVALS_WAITERS_MAX = 10000,      /* on this node */
    APPROVALS_SESSION_WAITERS_MAX = 64, /* of one session */
    APPROVALS_ACCESS_PENDING_MAX = 20,  /* requests for access of one identity */
    APPROVALS_REOPEN_SECONDS = 120,     /* for so long an ended one is reopened under its id */
    APPROVALS_POLL_MS = 1000,           /* for decisions of other nodes, while something waits */
    APPROVALS_KEEP_DAYS = 90,           /* of ended requests */
};

struct approvals_clock {
    int64_t (*wall_us)(void *arg);
    int64_t (*monotonic_ms)(void *arg);
    void *arg;
};
/* The machine's. */
extern const struct approvals_clock approvals_real_clock;

/* What goes to the ledger: as IPC_APPROVAL. Borrowed for the call. */
struct approvals_event {
    uint64_t session; /* 0: none */
    struct str request;
    const char *event; /* requested, approved, denied, overridden, expired, withdrawn, revoked */
    struct str actor;  /* subject of the human, or of whoever asked */
    struct str rule, binding_hash, text;
};

/* How a wait ended. Borrowed for the call. */
struct approvals_answer {
    uint64_t session, command;
    enum ipc_decision decision;
    struct str request;      /* id */
    struct str by;           /* subjects of those who decided: "alice, bob"; may be empty */
    struct str text;         /* their words, or why it failed */
    struct str command_hash; /* 32 bytes: what the decision is for */
};

struct approvals_hooks {
    void *arg;
    /* Hands the event to the ledger before it is acted upon. A failure refuses a human's decision
     * and a new request; what only takes away (expired, withdrawn) happens all the same. */
    enum err (*record)(void *arg, const struct approvals_event *event);
    /* A waiter's wait has ended. */
    void (*decided)(void *arg, const struct approvals_answer *answer);
    /* A request is new, or something about it has changed (for live views; may be NULL). */
    void (*changed)(void *arg, struct str request, enum request_state state);
    /* A grant of access was revoked or has expired: its live sessions are to end. */
    void (*access_ended)(void *arg, struct str access, struct str reason);
};

/* Borrows `db`, `hooks` and `clock` for its life. `node` names this gateway among those that share
 * the store, the same after a restart. What was pending here is not waited for any more. `*out` is
 * the caller's, to be ended with approvals_close(). */
enum err approvals_open(struct db *db, const char *node, const struct approvals_clock *clock,
                        const struct approvals_hooks *hooks, struct approvals **out);

/* Every wait ends as failed; what is pending stays so. NULL is allowed. */
void approvals_close(struct approvals *a);

/* The configuration in force, borrowed until the next call, and its policies' hash as sessions know
 * it. Whoever waits under another policy is told that it changed, and to try again. Before the
 * first call nothing can be asked or decided. */
void approvals_configure(struct approvals *a, const struct config *config, struct str policy_hash);

/* A session, as the keeper described it. Borrowed for the call. */
struct approvals_session {
    uint64_t session;
    struct str issuer, subject, token_id, task; /* task: of the token; may be empty */
    struct str email;                           /* if known */
    struct str_list chain;                      /* empty: the subject alone */
    struct str resource, protocol, client, source;
};

struct approvals_ask {
    const struct approvals_session *session;
    uint64_t command;
    struct str rule, policy_hash;
    struct str command_hash; /* 32 bytes; the caller has checked it against the frame */
    struct str database;
    struct str purpose;
    bool in_transaction;
    uint32_t wait_ms;   /* what the session is willing to wait; the rule's wait bounds it */
    struct str frame;   /* whole, of kind RECORD_INTENT */
    struct str preview; /* JSON of the session, not trusted; may be empty */
};

/* What became of a question. */
struct approvals_pending {
    bool approved; /* at once: an approval of the session or task serves it too */
    struct str request;
    struct str by;        /* if approved */
    struct str approvers; /* for people: "group dba (2 of them)" */
    int64_t expires_us;
    uint32_t wait_ms;
};

/* A command asks to be approved. Collapses into an identical pending request of the rule's scope,
 * reopens one that ended moments ago, or makes a new one and enqueues its notifications. If not
 * `approved`, hooks.decided() will be called once for (session, command), not before this returns,
 * unless approvals_withdraw() comes first. Texts live in `arena`.
 * ERR_NOT_FOUND (no such rule), ERR_DENIED (another policy, or not a rule that steps up),
 * ERR_EXISTS (this command waits already), ERR_LIMIT (too many wait), ERR_INVALID, ERR_UNAVAILABLE
 * (store or ledger; nothing waits): err_text() is for the client. */
enum err approvals_ask(struct approvals *a, const struct approvals_ask *ask, struct arena *arena,
                       struct approvals_pending *out);

/* The client does not want it any more. If it was the last to wait, the request is withdrawn.
 * Nothing is called back for it. OK also if it does not wait. */
void approvals_withdraw(struct approvals *a, uint64_t session, uint64_t command);

/* The session has ended: withdraws whatever of it waits. */
void approvals_session_ended(struct approvals *a, uint64_t session);

/* How many wait on this node. */
size_t approvals_waiting(const struct approvals *a);

/* A human at the console, an API token, a chat. Borrowed for the call. */
struct approver {
    struct person person;
    struct str_list chain; /* of the token or login; of more than one entry: not a human */
    struct str token_id;
    const char *channel; /* "console", "cli", "api", "slack" */
};

struct approvals_eligibility {
    bool may_decide;    /* approve and deny */
    bool may_override;  /* break-glass */
    struct str why_not; /* for people; empty if may_decide */
};

/* May this person decide this request (as it stands now), and if not, why not. `decisions` are the
 * request's. Texts live in `arena`. ERR_UNAVAILABLE, ERR_NOMEM. */
enum err approvals_may_decide(struct approvals *a, const struct request *r,
                              const struct decision_list *decisions, const struct approver *by,
                              struct arena *arena, struct approvals_eligibility *out);

/* One human's word. `*out` is the request afterwards: pending still if more must agree.
 * ERR_NOT_FOUND; ERR_DENIED (not an approver, own request, …); ERR_EXISTS (decided or expired
 * already, or by this person already, or nobody waits for it any more); ERR_INVALID (a reason is
 * required, or too long); ERR_UNAVAILABLE (store or ledger: nothing was decided); ERR_CANCELED (the
 * store's connection broke: it is not known whether it was decided; look again). */
enum err approvals_decide(struct approvals *a, struct str id, const struct approver *by,
                          enum decision_verdict verdict, struct str reason, struct arena *arena,
                          struct request *out);

/* Whoever asked for access takes it back. ERR_NOT_FOUND, ERR_DENIED (not theirs), ERR_EXISTS. */
enum err approvals_cancel(struct approvals *a, struct str id, const struct approver *by,
                          struct arena *arena);

/* Does what is due: expires, notices decisions of other nodes, forgets what is old. Call it when
 * approvals_next_ms() has passed, and whenever convenient. */
void approvals_tick(struct approvals *a);

/* Milliseconds until approvals_tick() has something to do; at most 60,000. */
int approvals_next_ms(const struct approvals *a);

/* The hash that an approval is bound to: SHA-256, in hexadecimal, over the length-prefixed issuer,
 * chain, token id, session, resource, database, command hash, rule, policy hash and expiry of `r`
 * (for access the seconds in place of the command). ERR_NOMEM. */
enum { APPROVALS_HASH_TEXT = 65 };
enum err approvals_binding_hash(const struct request *r, char out[APPROVALS_HASH_TEXT]);

/* "group dba or alice (2 of them must agree)", for people. */
void approvals_describe_approvers(const struct step_up *s, struct buf *out);

#endif
