/* control/state.h - what the parts of the control process share. One thread runs all fibers, so
 * that between two waits nothing changes; threads of fiber_offload() may touch none of this. */
#ifndef CONTROL_STATE_H
#define CONTROL_STATE_H

#include "base/arena.h"
#include "base/table.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "fiber/fiber.h"
#include "policy/policy.h"

enum {
    CONTROL_HASH_BYTES = 64, /* hexadecimal SHA-256 of the configuration: the "policy hash" */
    CONTROL_SESSIONS_MAX = 65536,
    CONTROL_CHAIN_MAX = 9,     /* a principal and at most eight actors */
    CONTROL_GROUPS_MAX = 4096, /* in one list of the keeper's */
};

/* A session that the keeper says is open. All texts in `arena`; it goes when the session ends, so
 * after a wait it is to be found again by its id (control_session()). */
struct live_session {
    uint64_t id;
    struct arena *arena;
    struct str subject, issuer, token_id, resource, protocol, database, target, client, source;
    struct str policy_hash, task;
    struct str email;  /* that the issuer vouches for; may be empty */
    struct str access; /* the grant under which it was opened; empty: none was needed */
    struct str_list groups;
    struct str_list chain; /* from the first principal to the acting one; at least one */
    int64_t opened_us, expires_us;
    struct hold_channel *channel; /* NULL: it has none */

    /* Of live.c: what is to be written into the store's index. */
    bool queued;
    int64_t closed_us;
    struct live_session *next;
};

struct db;
struct approvals;
struct server;
struct notify;
struct recordings;
struct control;

enum control_topic { CONTROL_APPROVAL, CONTROL_SESSION };

/* Told that the thing with this id is in this state now ("pending", "approved", …; "opened",
 * "ended"). Must not wait. */
typedef void control_listener(void *arg, enum control_topic topic, struct str id, struct str state);
enum { CONTROL_LISTENERS_MAX = 8 };

/* What the ledger's process says of a session that is watched (IPC_LIVE_EVENT). Must not wait. */
typedef void control_live(void *arg, uint64_t session, struct str json);

/* [waits] Appends a JSON array of the last `max` commands of a session: {at, text, verdict, rule},
 * oldest first. ERR_UNAVAILABLE, ERR_LIMIT. */
typedef enum err control_recent(struct control *c, uint64_t session, size_t max, struct buf *json);

struct control {
    int supervisor, keeper, ledger; /* channels; -1: not there */
    int console;                    /* listening socket, the control process's own; -1: none */
    /* The configuration, the same for the life of the process: a reload starts another one, whose
     * sandbox and environment are made for what that configuration names. */
    struct arena *arena;
    struct config *config;
    struct str config_text; /* YAML */
    struct policy *policy;
    char policy_hash[CONTROL_HASH_BYTES + 1];
    struct table *sessions;   /* struct live_session by the 8 bytes of its id */
    struct keeper_asks *asks; /* questions to the keeper that wait for an answer */
    struct live_session *to_index, **to_index_end; /* the store's index does not know it yet */
    size_t n_to_index;
    struct db *db;
    char node[32];                /* this gateway's name among those that share the store */
    size_t holding_bytes;         /* of holds that are being received */
    struct fiber_condition asked; /* something waits for the engine's clock */
    struct approvals *approvals;
    struct server *server;
    struct notify *notify;
    struct recordings *recordings;
    control_recent *recent; /* NULL: nothing can tell */
    control_live *live;     /* NULL: nobody watches */
    void *live_arg;
    struct {
        control_listener *tell;
        void *arg;
    } listeners[CONTROL_LISTENERS_MAX];
    size_t n_listeners;
    struct ipc_packet packet; /* of the supervisor's fiber */
};

/* The bytes of an id as a table's key; valid as long as `*id`. */
static inline struct str
key_of_live(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

#endif
