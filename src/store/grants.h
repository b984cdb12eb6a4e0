/* store/grants.h - what was approved for more than one held command: identical commands of a
 * session or a task, or opening sessions on a resource. Only control/approvals.h and
 * control/access.h write. */
#ifndef STORE_GRANTS_H
#define STORE_GRANTS_H

#include "store/store.h"

enum grant_kind { GRANT_SESSION, GRANT_TASK, GRANT_ACCESS };

struct grant {
    struct str id;
    enum grant_kind kind;
    struct str request; /* that was approved */
    struct str scope_key;
    uint64_t session; /* of GRANT_SESSION, else 0 */
    struct str issuer, subject;
    struct str_list chain;
    struct str resource, rule, policy_hash;
    struct str by, reason; /* who approved, and the words of the request for access */
    int64_t created_us, expires_us, revoked_us;
    struct str revoked_by, revoked_reason; /* revoked by nobody: expired */
};

struct grant_list {
    const struct grant *items;
    size_t n;
};

struct grant_filter {
    struct str subject; /* empty: any */
    struct str issuer;
    bool live; /* only those neither expired at `now_us` nor revoked */
    int64_t now_us;
    int64_t before_us; /* created before; 0: any */
    unsigned limit;
};

enum err grants_insert(struct db *db, const struct grant *g);
enum err grants_get(struct db *db, struct str id, struct arena *arena,
                    struct grant *out); /* ERR_NOT_FOUND */

/* The one with this scope key that lasts longest, neither expired nor revoked, nor made after
 * `now_us` (the clock went back). ERR_NOT_FOUND. */
enum err grants_find(struct db *db, struct str scope_key, int64_t now_us, struct arena *arena,
                     struct grant *out);
/* The live grants of access of this identity on the resource, by this rule. */
enum err grants_of_access(struct db *db, struct str issuer, struct str subject, struct str resource,
                          struct str rule, int64_t now_us, struct arena *arena,
                          struct grant_list *out);
/* Grants of access, newest first. */
enum err grants_list(struct db *db, const struct grant_filter *filter, struct arena *arena,
                     struct grant_list *out);
/* Those of access that were revoked and would not have expired yet. */
enum err grants_revoked(struct db *db, int64_t now_us, struct arena *arena, struct grant_list *out);
/* ERR_NOT_FOUND if it is revoked or expired already. */
enum err grants_revoke(struct db *db, struct str id, int64_t now_us, struct str by,
                       struct str reason);
/* It has expired, whatever the wall clock will say. OK also if it is over already. */
enum err grants_close(struct db *db, struct str id, int64_t now_us);
/* Those that ended by `before_us`. */
enum err grants_prune(struct db *db, int64_t before_us, unsigned max, uint64_t *removed);

#endif
