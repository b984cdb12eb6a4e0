/* keeper/catalogs.h - the newest snapshot of each database's catalog, and who waits for one. A
 * database's catalog is read by one reader at a time, for all that wait; few are read at once.
 * Knows neither sessions nor targets: how to read, and whom to tell, is told by hooks. */
#ifndef KEEPER_CATALOGS_H
#define KEEPER_CATALOGS_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum {
    CATALOGS_MAX = 1024,
    CATALOG_READERS_MAX = 4,
    CATALOG_REFRESH_MS = 60 * 1000, /* of one that a session uses */
    CATALOG_KEEP_MS = 600 * 1000,   /* one that nobody uses */
    CATALOG_FORGET_MS = 10 * 1000,  /* one that could not be read */
    CATALOG_PAUSE_MS = 200,         /* between two reads of a database; longer after a failure */
    CATALOG_FAILURE_PAUSE_MS = 1000,
};

struct catalog_snapshot {
    int fd; /* a sealed file, to read only; -1: none */
    uint64_t bytes, fingerprint;
    uint64_t relations, functions, took_ms; /* for people */
};

/* Whoever is told of newer snapshots; to be embedded. */
struct catalog_user {
    struct place *place;
    struct catalog_user *next, **link;
};

struct catalogs_hooks {
    /* [waits] Reads the catalog that `key` stands for; some user of it, or NULL, may help, until
     * the first wait. On OK the descriptor becomes ours. */
    enum err (*read)(void *arg, struct str key, const struct catalog_user *user,
                     struct catalog_snapshot *out);
    /* A snapshot differs from the one before. Must not wait; the descriptor is lent. */
    void (*changed)(void *arg, struct catalog_user *user, const struct catalog_snapshot *snapshot);
};

struct catalogs;

/* NULL without memory. */
struct catalogs *catalogs_new(const struct catalogs_hooks *hooks, void *arg);

/* No further read begins, and those who wait get ERR_UNAVAILABLE. */
void catalogs_stop(struct catalogs *c);

/* [waits] Gives a snapshot whose fingerprint is not `stale`; or else what a read says that began
 * after the call, which may be `stale` again. With `stale` 0 any will do. The descriptor is lent
 * until the caller's next wait. ERR_LIMIT (too many catalogs), ERR_TIMEOUT, and as the read. */
enum err catalogs_get(struct catalogs *c, struct str key, uint64_t stale, int64_t deadline_ms,
                      struct catalog_snapshot *out);

/* [waits] Reads in any case. */
enum err catalogs_read(struct catalogs *c, struct str key, int64_t deadline_ms,
                       struct catalog_snapshot *out);

/* As long as it has a user, a catalog is kept and read again now and then. ERR_LIMIT, ERR_NOMEM. */
enum err catalogs_join(struct catalogs *c, struct str key, struct catalog_user *user);
void catalogs_leave(struct catalog_user *user);

/* Begins reads that are due, drops what nobody used for long; called twice a second. */
void catalogs_sweep(struct catalogs *c, int64_t now_ms);

#endif
