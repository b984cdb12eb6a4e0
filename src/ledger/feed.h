/* ledger/feed.h - events of watched sessions on their way to control: a bounded queue before its
 * channel, for the ledger waits for nobody. What does not fit is left out, and that is said. */
#ifndef LEDGER_FEED_H
#define LEDGER_FEED_H

#include "base/err.h"
#include "base/str.h"

struct feed;

enum {
    FEED_QUEUE_BYTES = 2 << 20,
    FEED_EVENT_BYTES = 20000, /* a larger one is cut: see feed_put() */
};

/* NULL without memory. */
struct feed *feed_new(void);
void feed_free(struct feed *l);

/* Queues an event, a JSON object of recording/event.h. A large one becomes an object with the same
 * beginning and "command", "cut": true, "bytes", and the beginning of its "text". */
void feed_put(struct feed *l, uint64_t session, struct str event);

bool feed_is_empty(const struct feed *l);

/* Sends what the channel takes now. ERR_CLOSED: it is gone; all is forgotten. */
enum err feed_send(struct feed *l, int channel);

/* Forgets what is queued. */
void feed_clear(struct feed *l);

#endif
