#include "base/table.h"

#include <stdlib.h>
#include <sys/random.h>

struct entry {
    struct entry *next;
    void *value;
    uint64_t hash;
    size_t key_len;
    char key[];
};

struct table {
    struct entry **slots;
    size_t n_slots; /* a power of two */
    size_t count;
    size_t max;
    uint64_t seed;
};

enum { FIRST_SLOTS = 16 };

struct table *
table_new(size_t max)
{
    struct table *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->max = max;
    t->n_slots = FIRST_SLOTS;
    t->slots = calloc(t->n_slots, sizeof(struct entry *));
    if (t->slots == NULL || getrandom(&t->seed, sizeof(t->seed), 0) != sizeof(t->seed)) {
        free(t->slots);
        free(t);
        return NULL;
    }
    return t;
}

void
table_free(struct table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n_slots; i++)
        while (t->slots[i] != NULL) {
            struct entry *e = t->slots[i];

            t->slots[i] = e->next;
            free(e);
        }
    free(t->slots);
    free(t);
}

/* Multiply-and-fold of eight bytes at a time, seeded. */
static uint64_t
hash(uint64_t seed, struct str key)
{
    uint64_t h = seed ^ key.len;

    while (key.len > 0) {
        size_t n = key.len < 8 ? key.len : 8;
        uint64_t word = 0;
        unsigned __int128 product;

        memcpy(&word, key.ptr, n);
        product = (unsigned __int128)(h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h = (uint64_t)product ^ (uint64_t)(product >> 64) ^ seed;
        key = str_skip(key, n);
    }
    return h ^ h >> 29;
}

/* The link that points at the entry of `key`, or at the NULL that ends its chain. */
static struct entry **
find(const struct table *t, struct str key, uint64_t h)
{
    struct entry **link = &t->slots[h & (t->n_slots - 1)];

    while (*link != NULL &&
           ((*link)->hash != h || !str_equal((struct str){(*link)->key, (*link)->key_len}, key)))
        link = &(*link)->next;
    return link;
}

void *
table_get(const struct table *t, struct str key)
{
    struct entry *e = *find(t, key, hash(t->seed, key));

    return e == NULL ? NULL : e->value;
}

static void
grow(struct table *t)
{
    size_t n_slots = t->n_slots * 2;
    struct entry **slots = calloc(n_slots, sizeof(struct entry *));

    if (slots == NULL)
        return; /* chains get longer; nothing is lost */
    for (size_t i = 0; i < t->n_slots; i++)
        while (t->slots[i] != NULL) {
            struct entry *e = t->slots[i];
            struct entry **to = &slots[e->hash & (n_slots - 1)];

            t->slots[i] = e->next;
            e->next = *to;
            *to = e;
        }
    free(t->slots);
    t->slots = slots;
    t->n_slots = n_slots;
}

enum err
table_put(struct table *t, struct str key, void *value, void **old)
{
    uint64_t h = hash(t->seed, key);
    struct entry **link = find(t, key, h);
    struct entry *e = *link;

    if (old != NULL)
        *old = e == NULL ? NULL : e->value;
    if (e != NULL) {
        e->value = value;
        return OK;
    }
    if (t->count >= t->max)
        return fail(ERR_LIMIT, "more than %zu entries", t->max);
    if ((e = malloc(sizeof(*e) + key.len)) == NULL)
        return fail(ERR_NOMEM, "no memory for an entry");
    *e = (struct entry){.value = value, .hash = h, .key_len = key.len};
    if (key.len > 0)
        memcpy(e->key, key.ptr, key.len);
    *link = e;
    if (++t->count > t->n_slots)
        grow(t);
    return OK;
}

void *
table_remove(struct table *t, struct str key)
{
    struct entry **link = find(t, key, hash(t->seed, key));
    struct entry *e = *link;
    void *value;

    if (e == NULL)
        return NULL;
    value = e->value;
    *link = e->next;
    free(e);
    t->count--;
    return value;
}

size_t
table_count(const struct table *t)
{
    return t->count;
}

void
table_each(const struct table *t, void (*fn)(struct str key, void *value, void *arg), void *arg)
{
    for (size_t i = 0; i < t->n_slots; i++)
        for (const struct entry *e = t->slots[i]; e != NULL; e = e->next)
            fn((struct str){e->key, e->key_len}, e->value, arg);
}
