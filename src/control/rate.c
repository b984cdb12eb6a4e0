#include "control/rate.h"

#include <stdlib.h>
#include <sys/random.h>

enum { TOKEN = 60 * 1000 }; /* one request, in request-milliseconds a minute */

struct bucket {
    uint64_t key; /* 0: free */
    int64_t used_ms;
    int64_t tokens;
};

struct rate {
    uint64_t seed;
    struct bucket buckets[RATE_BUCKETS];
};

struct rate *
rate_new(void)
{
    struct rate *r = calloc(1, sizeof(*r));

    if (r != NULL && getrandom(&r->seed, sizeof(r->seed), 0) != sizeof(r->seed)) {
        free(r);
        return NULL;
    }
    return r;
}

void
rate_free(struct rate *r)
{
    free(r);
}

/* FNV-1a with a finish, from a random start: nobody outside knows which keys meet. */
static uint64_t
hash(const struct rate *r, struct str key, unsigned kind)
{
    uint64_t h = r->seed ^ UINT64_C(0xcbf29ce484222325) ^ kind;

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.ptr[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 29;
    return h == 0 ? 1 : h;
}

/* The key's bucket; a new one in the place of the set's oldest. */
static struct bucket *
find(struct rate *r, uint64_t key, const struct rate_limit *limit, int64_t now_ms)
{
    struct bucket *set = &r->buckets[key % (RATE_BUCKETS / RATE_WAYS) * RATE_WAYS], *oldest = set;

    for (size_t i = 0; i < RATE_WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].key == 0 || (oldest->key != 0 && set[i].used_ms < oldest->used_ms))
            oldest = &set[i];
    }
    *oldest = (struct bucket){key, now_ms, (int64_t)limit->burst * TOKEN};
    return oldest;
}

unsigned
rate_take(struct rate *r, struct str key, unsigned kind, const struct rate_limit *limit,
          int64_t now_ms)
{
    struct bucket *b = find(r, hash(r, key, kind), limit, now_ms);
    int64_t full = (int64_t)limit->burst * TOKEN, passed = now_ms - b->used_ms;

    if (passed > 0) {
        int64_t filled = passed > full ? full : passed * limit->per_minute;

        b->tokens = b->tokens + filled > full ? full : b->tokens + filled;
    }
    b->used_ms = now_ms;
    if (b->tokens >= TOKEN) {
        b->tokens -= TOKEN;
        return 0;
    }
    return (unsigned)((TOKEN - b->tokens) / ((int64_t)limit->per_minute * 1000)) + 1;
}
