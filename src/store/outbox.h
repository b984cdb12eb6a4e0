/* store/outbox.h - notifications to be sent: written in the transaction of what they tell, kept
 * until a worker says that they arrived. */
#ifndef STORE_OUTBOX_H
#define STORE_OUTBOX_H

#include "store/store.h"

enum { OUTBOX_PAYLOAD_MAX = 64 << 10 };

struct outbox_entry {
    struct str id;
    struct str channel; /* the notification's name in the configuration */
    struct str event;   /* "approval", "decision", "break-glass" */
    struct str request;
    struct str payload; /* JSON */
    struct str error;   /* of the last attempt */
    int64_t attempts;   /* this one included, once claimed */
    int64_t created_us, next_us;
};

struct outbox_list {
    const struct outbox_entry *items;
    size_t n;
};

/* OK also if there is one of this channel, event and request already: nothing is sent twice. */
enum err outbox_put(struct db *db, struct str channel, const char *event, struct str request,
                    struct str payload, int64_t now_us);

/* Takes up to `limit` that are due; nobody else gets them before `now_us + lease_us`. */
enum err outbox_claim(struct db *db, int64_t now_us, int64_t lease_us, unsigned limit,
                      struct arena *arena, struct outbox_list *out);
/* Arrived; or to be tried again at `next_us`; or given up. `attempts` is the claim's: ERR_NOT_FOUND
 * if somebody else has claimed it since. */
enum err outbox_done(struct db *db, struct str id, int64_t attempts, int64_t now_us);
enum err outbox_retry(struct db *db, struct str id, int64_t attempts, int64_t next_us,
                      struct str error);
enum err outbox_abandon(struct db *db, struct str id, int64_t attempts, int64_t now_us,
                        struct str error);
/* When the next is due; 0: none is waiting. */
enum err outbox_next(struct db *db, int64_t *next_us);
/* Forgets those done or given up before `before_us`. */
enum err outbox_prune(struct db *db, int64_t before_us);

#endif
