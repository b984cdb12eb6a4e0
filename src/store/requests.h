/* store/requests.h - requests for approval and what humans said to them, as rows. What they mean
 * and who may change them is control/approvals.h's: only it writes. */
#ifndef STORE_REQUESTS_H
#define STORE_REQUESTS_H

#include "ipc/record.h"
#include "store/store.h"

enum request_kind { REQUEST_COMMAND, REQUEST_ACCESS };

enum request_state {
    REQUEST_PENDING,
    REQUEST_APPROVED,
    REQUEST_DENIED,
    REQUEST_EXPIRED,    /* nobody decided in time */
    REQUEST_WITHDRAWN,  /* by whoever asked, or its session ended */
    REQUEST_OVERRIDDEN, /* break-glass */
    REQUEST_STATE_COUNT
};

/* "command", "access"; "pending", "approved", … */
const char *request_kind_name(enum request_kind kind);
const char *request_state_name(enum request_state state);

enum { REQUEST_SUMMARY_MAX = 2000, REQUEST_PREVIEW_MAX = 1 << 20, REQUEST_REASON_MAX = 2000 };

struct request {
    struct str id;
    enum request_kind kind;
    enum request_state state;
    int64_t version; /* grows with every change */
    struct str node; /* the one whose session waits */
    bool waiting;    /* a session holds the command, or a person waits for access */
    int64_t created_us, expires_us, decided_us;
    uint32_t wait_ms;  /* from `opened_us` to `expires_us` */
    int64_t opened_us; /* when it was asked last: reopening moves it */

    /* who asks */
    uint64_t session; /* 0 for access */
    uint64_t command; /* its number in the session */
    struct str issuer, subject, token_id, task, email;
    struct str_list chain;
    struct str resource, protocol, database, client, source;
    struct str purpose;
    struct str reason; /* of a request for access */
    int64_t access_seconds;

    /* under which rule, as it was */
    struct str rule, rule_text, policy_hash;
    struct step_up step_up;

    /* what */
    struct str command_hash, binding_hash, scope_key; /* hexadecimal SHA-256 */
    bool in_transaction;
    struct str summary; /* of the statement, cut at REQUEST_SUMMARY_MAX */
    struct str frame;   /* the intent (ipc/record.h); empty in lists and for access */
    struct str preview; /* JSON; empty in lists, and if there is none */
    struct str risk;    /* JSON array of texts */

    /* how it ended */
    struct str decided_by, decided_text;
};

enum decision_verdict { DECISION_APPROVE, DECISION_DENY, DECISION_OVERRIDE };
const char *decision_verdict_name(enum decision_verdict verdict);

struct decision {
    struct str request;
    struct str issuer, subject, name, email;
    enum decision_verdict verdict;
    struct str reason, channel; /* "console", "cli", "api", "slack" */
    struct str binding_hash;
    int64_t at_us;
};

struct request_list {
    const struct request *items;
    size_t n;
};
struct decision_list {
    const struct decision *items;
    size_t n;
};

enum request_filter_state { REQUESTS_PENDING, REQUESTS_DECIDED, REQUESTS_ALL };
struct request_filter {
    enum request_filter_state state;
    struct str session;   /* hexadecimal; empty: any */
    struct str subject;   /* of whoever asked; empty: any */
    int64_t before_us;    /* created before; 0: any. With `before_id`, for going on after a row: */
    struct str before_id; /* of those created at the same time, only with a smaller id */
    unsigned limit;       /* at most STORE_LIST_MAX */
};

/* ERR_EXISTS: the id is taken. */
enum err requests_insert(struct db *db, const struct request *r);

/* ERR_NOT_FOUND. */
enum err requests_get(struct db *db, struct str id, struct arena *arena, struct request *out);

/* Newest first, without frames and previews. */
enum err requests_list(struct db *db, const struct request_filter *filter, struct arena *arena,
                       struct request_list *out);

/* The newest with that scope key that is pending, or that was withdrawn or expired at `since_us` or
 * later; without frame and preview. ERR_NOT_FOUND. */
enum err requests_find_same(struct db *db, struct str scope_key, int64_t since_us,
                            struct arena *arena, struct request *out);

/* Locks a pending request within a transaction, so that one only decides at a time: ERR_NOT_FOUND
 * if it is not pending (any more). */
enum err requests_lock(struct db *db, struct str id);

/* Ends a pending request. The one place where a state changes: ERR_NOT_FOUND if it is not pending,
 * so that of any number who try one succeeds. */
enum err requests_end(struct db *db, struct str id, enum request_state state, int64_t now_us,
                      struct str by, struct str text);

/* A withdrawn or expired one is pending again, or a pending one waited for again, with what of `r`
 * may have changed: waiting, node, session, command, opened, expires, wait_ms, binding_hash,
 * in_transaction. ERR_NOT_FOUND if it is decided. */
enum err requests_reopen(struct db *db, const struct request *r);

/* Nobody waits any more for this one; or for any of the node. */
enum err requests_unwait(struct db *db, struct str id);
enum err requests_unwait_node(struct db *db, struct str node);

/* Ids and versions of all that are pending, oldest first. */
struct request_mark {
    char id[STORE_ID_BYTES + 1];
    enum request_kind kind;
    int64_t version, created_us, opened_us, expires_us;
    uint32_t wait_ms;
};
enum err requests_marks(struct db *db, unsigned max, struct arena *arena,
                        const struct request_mark **out, size_t *n);

/* How many there are of this identity for the rule and resource; of all that are pending; that are
 * pending of this identity. */
enum err requests_count_before(struct db *db, struct str issuer, struct str subject,
                               struct str rule, struct str resource, uint64_t *out);
enum err requests_count_pending(struct db *db, uint64_t *out);
enum err requests_count_pending_of(struct db *db, struct str issuer, struct str subject,
                                   uint64_t *out);

/* A human's word. ERR_EXISTS: has spoken already on this request as it is bound now. */
enum err decisions_put(struct db *db, const struct decision *d);
/* Forgets what was said on this binding. */
enum err decisions_forget(struct db *db, struct str request, struct str binding_hash);
/* Oldest first. */
enum err decisions_of(struct db *db, struct str request, struct arena *arena,
                      struct decision_list *out);

/* Removes requests that ended before `before_us`, with their decisions; at most `max`. */
enum err requests_prune(struct db *db, int64_t before_us, unsigned max, uint64_t *removed);

#endif
