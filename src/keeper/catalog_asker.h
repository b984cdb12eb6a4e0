/* keeper/catalog_asker.h - catalogs for sessions and operators: which a session may have, how
 * often it may ask, and how it gets them. */
#ifndef KEEPER_CATALOG_ASKER_H
#define KEEPER_CATALOG_ASKER_H

#include "keeper/catalogs.h"
#include "keeper/target.h"

enum {
    CATALOG_ASKS_BURST = 8, /* at once; then one a second */
    CATALOG_ASKS_AT_ONCE = 4,
};

/* How often somebody may ask. Pure. */
struct catalog_allowance {
    unsigned left;
    int64_t filled_ms;
};
bool catalog_allowance_take(struct catalog_allowance *a, int64_t now_ms);

/* The catalogs of the keeper; NULL without memory. */
struct catalogs *catalog_askers_prepare(struct keeper *k);

/* A session that asks, as long as it has its grant. */
struct catalog_asker;

/* Of `target` the edition is held; `channel` is lent until catalog_asker_end(). NULL without
 * memory, or with too many catalogs. */
struct catalog_asker *catalog_asker_new(struct keeper *k, const struct target *target,
                                        struct str database, int channel);
void catalog_asker_end(struct catalog_asker *a); /* NULL is allowed */

/* Answers now or later. Anything but OK ends the session's channel. */
enum err catalog_asker_ask(struct catalog_asker *a, const struct ipc_catalog *question);

/* [waits] Reads the catalog of a resource's database (empty: the default) for an operator.
 * ERR_NOT_FOUND, and as catalogs_read(). */
enum err catalog_read_now(struct keeper *k, struct str resource, struct str database,
                          int64_t deadline_ms, struct catalog_snapshot *out);

#endif
