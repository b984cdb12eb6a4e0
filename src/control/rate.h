/* control/rate.h - token buckets: how often a person or an address may ask. A bounded table; where
 * it is full the bucket that was used longest ago makes room, so that many addresses cannot cost
 * memory. Pure: the clock is given. */
#ifndef CONTROL_RATE_H
#define CONTROL_RATE_H

#include "base/str.h"

enum { RATE_BUCKETS = 4096, RATE_WAYS = 8 };

struct rate_limit {
    unsigned burst;      /* at once */
    unsigned per_minute; /* and then */
};

struct rate; /* NULL without memory */
struct rate *rate_new(void);
void rate_free(struct rate *r);

/* Takes one from the bucket of `key` for `kind`. 0: taken; else the seconds to wait. */
unsigned rate_take(struct rate *r, struct str key, unsigned kind, const struct rate_limit *limit,
                   int64_t now_ms);

#endif
