/* control/approvals_state.h - inside the engine of approvals only: what it keeps in memory. */
#ifndef CONTROL_APPROVALS_STATE_H
#define CONTROL_APPROVALS_STATE_H

#include "base/table.h"
#include "control/approvals.h"

enum {
    HASH_BYTES = 32,
    NODE_MAX = 255,
    GRANTS_SEEN_MAX = 65536,
    SYNC_REST_MS = 10000, /* between looks into a store that nobody waits for */
    PRUNE_MS = 3600 * 1000,
    PRUNE_AT_ONCE = 500,
    SCRATCH_BYTES = 64 << 20,
};

/* A command that waits here. */
struct waiter {
    uint64_t key[2]; /* session, command */
    int64_t deadline_ms;
    unsigned char command_hash[HASH_BYTES];
    struct pending *pending;
    struct waiter *next; /* of the same request */
};

/* A request that is pending in the store, as far as is known here. */
struct pending {
    char id[STORE_ID_BYTES + 1];
    char policy_hash[APPROVALS_HASH_TEXT];
    int64_t version, deadline_ms;
    enum request_kind kind;
    bool to_withdraw; /* the store was away when the last waiter went */
    unsigned seen;    /* the last look that found it */
    struct waiter *waiters;
};

/* A grant that this process has seen: for how long at most, whatever the wall clock does. */
struct grant_seen {
    int64_t deadline_ms;
    bool in_use; /* of access: sessions may have been opened under it */
    char id[STORE_ID_BYTES + 1];
};

struct approvals {
    struct db *db;
    const struct approvals_clock *clock;
    const struct approvals_hooks *hooks;
    const struct config *config;
    char policy_hash[APPROVALS_HASH_TEXT];
    char node[NODE_MAX + 1];
    struct table *pending; /* struct pending by id */
    struct table *waiters; /* struct waiter by key */
    struct table *grants;  /* struct grant_seen by id */
    bool look;             /* something is not known for sure: look into the store soon */
    unsigned looks;
    int64_t last_look_ms, last_grants_ms, next_prune_ms;
    size_t in_use; /* grants of access */
};

static inline int64_t
now_us(const struct approvals *a)
{
    return a->clock->wall_us(a->clock->arg);
}

static inline int64_t
now_ms(const struct approvals *a)
{
    return a->clock->monotonic_ms(a->clock->arg);
}

static inline struct str
id_of(const struct pending *p)
{
    return (struct str){p->id, STORE_ID_BYTES};
}

/* --- waits (approvals.c) --- */

/* The entry of a pending request, made if there is none. Its deadline is never moved away by the
 * wall clock. NULL: no room. */
struct pending *pending_know(struct approvals *a, const struct request_mark *mark,
                             struct str policy_hash);
void pending_forget(struct approvals *a, struct pending *p);
/* Answers everybody who waits for it. */
void pending_answer(struct approvals *a, struct pending *p, enum ipc_decision decision,
                    struct str by, struct str text);
void waiter_remove(struct approvals *a, struct waiter *w);
struct request_mark mark_of(const struct request *r);

/* Ends a request that nobody decided, in a transaction of its own, with its record. ERR_NOT_FOUND:
 * it has been decided meanwhile. */
enum err pending_end(struct approvals *a, struct str id, enum request_state state, struct str by,
                     struct str text);

/* --- grants (access.c) --- */

/* Whether the grant still serves by the monotonic clock. Remembers it. */
bool grant_holds(struct approvals *a, const struct grant *g, bool in_use);
void grants_tick(struct approvals *a);
/* For the approved request, within its transaction. */
enum err grant_make(struct approvals *a, const struct request *r, struct str by);

/* --- texts (approvals_text.c) --- */

/* What makes requests identical, for the rule's scope. */
enum err approvals_scope_key(const struct request *r, char out[APPROVALS_HASH_TEXT]);

/* Enqueues notifications of the event, within the transaction. `everybody`: whatever events they
 * want. */
enum err approvals_notify(struct approvals *a, const char *event, bool everybody,
                          const struct request *r, struct str by, struct str text);

enum err approvals_record(struct approvals *a, const struct request *r, const char *event,
                          struct str actor, struct str text);

const struct policy_rule *approvals_rule(const struct approvals *a, struct str name);

/* A new request for access or a command: checks how many there are, records, notifies, commits. */
enum err approvals_insert(struct approvals *a, struct request *r);

/* The request's own parts by the rule in force. */
void approvals_take_rule(struct request *r, const struct policy_rule *rule, struct str policy_hash);

void approvals_tell_change(struct approvals *a, struct str id, enum request_state state);

#endif
