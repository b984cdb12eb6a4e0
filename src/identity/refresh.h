/* identity/refresh.h - when keys may and should be fetched: decisions only, no clock, no I/O.
 * Times are clock_monotonic_ms() values. */
#ifndef IDENTITY_REFRESH_H
#define IDENTITY_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    REFRESH_EVERY_MS = 10 * 60 * 1000,
    REFRESH_JITTER_MS = 60 * 1000, /* a fetch may be due this much earlier, so that gateways part */
    REFRESH_ASK_EVERY_MS = 30 * 1000,
    REFRESH_KEEP_MS = 24 * 60 * 60 * 1000, /* a set may be used this long */
    REFRESH_FIRST_RETRY_MS = 1000,         /* without any set yet; doubled up to the next */
    REFRESH_RETRY_MS = 30 * 1000,
};

struct refresh {
    bool running; /* a fetch is under way */
    bool ever;    /* one has succeeded */
    bool ever_asked;
    unsigned failures;    /* in a row */
    int64_t succeeded_ms; /* end of the last success */
    int64_t asked_ms;     /* when a token last caused a fetch */
    int64_t due_ms;       /* when the background should fetch */
};

/* A fetch is due at once. */
void refresh_init(struct refresh *r, int64_t now_ms);

/* Whether the set may be used. */
bool refresh_is_usable(const struct refresh *r, int64_t now_ms);

/* Whether a token with an unknown key may cause a fetch now. If so, it is recorded and a fetch is
 * due at once; if not, nothing changes. */
bool refresh_ask(struct refresh *r, int64_t now_ms);

void refresh_started(struct refresh *r);

/* `random` is any number: spreads the next fetch. */
void refresh_ended(struct refresh *r, bool success, int64_t now_ms, uint32_t random);

#endif
