/* policy/limits.h - working with struct limits: combining, naming, describing. Pure. */
#ifndef POLICY_LIMITS_H
#define POLICY_LIMITS_H

#include "base/buf.h"
#include "policy/rule.h"

enum limit_unit { LIMIT_COUNT, LIMIT_BYTES, LIMIT_SECONDS };

/* One number of struct limits; the order is that of the wire form. */
struct limit_info {
    const char *name; /* as the configuration and records call it */
    size_t offset;    /* of a uint64_t in struct limits */
    enum limit_unit unit;
};

enum { LIMIT_NUMBERS = 6 };
extern const struct limit_info limit_infos[LIMIT_NUMBERS];

static inline uint64_t
limits_number(const struct limits *l, int i)
{
    uint64_t number;

    memcpy(&number, (const char *)l + limit_infos[i].offset, sizeof(number));
    return number;
}

static inline void
limits_set_number(struct limits *l, int i, uint64_t number)
{
    memcpy((char *)l + limit_infos[i].offset, &number, sizeof(number));
}

/* Whether there is any limit. */
bool limits_any(const struct limits *l);

/* Makes each limit of `*l` the smaller of both. */
void limits_tighten(struct limits *l, const struct limits *by);

/* Appends them as "rows_per_command 1000, require_where"; nothing if there are none. */
void limits_write(const struct limits *l, struct buf *out);

enum { LIMITS_TEXT_MAX = 320 };

#endif
