/* base/table.h - a hash table from byte strings to pointers, with a maximum of keys. A random
 * seed per table keeps peers from aiming collisions. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/err.h"
#include "base/str.h"

struct table;

/* A table for at most `max` keys; NULL without memory. */
struct table *table_new(size_t max);
void table_free(struct table *t); /* the values are the caller's */

/* NULL if there is none. */
void *table_get(const struct table *t, struct str key);

/* Adds or replaces; copies the key. `*old` (may be NULL) gets the replaced value or NULL.
 * ERR_LIMIT at the maximum, ERR_NOMEM. */
enum err table_put(struct table *t, struct str key, void *value, void **old);

/* Removes and returns the value; NULL if there was none. */
void *table_remove(struct table *t, struct str key);

size_t table_count(const struct table *t);

/* Calls `fn` for each entry in no order; `fn` must not change the table. */
void table_each(const struct table *t, void (*fn)(struct str key, void *value, void *arg),
                void *arg);

#endif
