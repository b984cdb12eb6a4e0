#include "identity/refresh.h"

void
refresh_init(struct refresh *r, int64_t now_ms)
{
    *r = (struct refresh){.due_ms = now_ms};
}

bool
refresh_is_usable(const struct refresh *r, int64_t now_ms)
{
    return r->ever && now_ms - r->succeeded_ms <= REFRESH_KEEP_MS;
}

bool
refresh_ask(struct refresh *r, int64_t now_ms)
{
    if (r->running || (r->ever_asked && now_ms - r->asked_ms < REFRESH_ASK_EVERY_MS))
        return false;
    r->ever_asked = true;
    r->asked_ms = now_ms;
    r->due_ms = now_ms;
    return true;
}

void
refresh_started(struct refresh *r)
{
    r->running = true;
}

/* Doubles from the first value to the last. */
static int64_t
back_off(int64_t from_ms, int64_t to_ms, unsigned failures)
{
    for (unsigned i = 1; i < failures && from_ms < to_ms; i++)
        from_ms *= 2;
    return from_ms < to_ms ? from_ms : to_ms;
}

void
refresh_ended(struct refresh *r, bool success, int64_t now_ms, uint32_t random)
{
    r->running = false;
    if (success) {
        r->ever = true;
        r->failures = 0;
        r->succeeded_ms = now_ms;
        r->due_ms = now_ms + REFRESH_EVERY_MS - random % REFRESH_JITTER_MS;
        return;
    }
    r->failures++;
    r->due_ms = now_ms + (r->ever
                              ? back_off(REFRESH_RETRY_MS, REFRESH_EVERY_MS, r->failures)
                              : back_off(REFRESH_FIRST_RETRY_MS, REFRESH_RETRY_MS, r->failures));
}
