/* keeper/state.h - what the parts of the keeper share. */
#ifndef KEEPER_STATE_H
#define KEEPER_STATE_H

#include "base/table.h"
#include "config/config.h"
#include "identity/identity.h"
#include "ipc/channel.h"
#include "keeper/secrets.h"
#include "policy/policy.h"

enum { POLICY_HASH_BYTES = 64 }; /* hexadecimal SHA-256 */

/* One configuration with what was made from it; replaced as a whole, and kept while a session
 * still uses it. */
struct edition {
    unsigned users;
    struct arena *arena;
    struct config *config;
    struct policy *policy;
    struct secrets *secrets;
    struct str *detectors; /* compiled, of each resource */
    char policy_hash[POLICY_HASH_BYTES];
};

struct catalogs;
struct reading;
struct control_link;

struct keeper {
    int supervisor, listener, ledger; /* channels; -1: not there */
    struct control_link *control;     /* NULL: not there */
    struct edition *edition;          /* the one in force */
    struct identity *identity;
    struct table *sessions; /* struct keeper_session by the 8 bytes of its id */
    struct table *cancels;  /* the same by the 4 bytes of its cancel id */
    struct catalogs *catalogs;
    struct reading *readings; /* of catalogs, under way */
    bool draining;
    struct ipc_packet packet; /* of the supervisor's fiber */
};

/* Reads a configuration with everything that it refers to. ERR_INVALID: the report, which is
 * appended to `problems`, says why. */
enum err edition_load(int config_fd, const struct ipc_configure *configure, struct edition **out,
                      struct buf *problems);
struct edition *edition_hold(struct edition *e);
void edition_release(struct edition *e); /* frees it with its last user; NULL is allowed */

/* A memory file of what the resource with that index protects, the caller's. ERR_LIMIT, ERR_IO. */
enum err edition_share_protection(const struct edition *e, size_t resource, int *fd);

/* The bytes of an id as a table's key; valid as long as `*id`. */
static inline struct str
key_of_session(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}
static inline struct str
key_of_cancel(const uint32_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

#endif
