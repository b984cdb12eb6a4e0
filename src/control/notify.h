/* control/notify.h - tells people what waits for them: takes rows of the store's outbox and sends
 * each to its channel (configuration: `notifications`; docs/notifications.md).
 *
 * The approvals engine puts the rows into the outbox in the transaction that changes a request, one
 * for each channel, event and request: notify_wants() says for which channels. A row stays until
 * its receiver has accepted it, or a day has passed: nothing is lost with a process or a
 * connection. What was accepted while the answer got lost is sent again, under the same id, so that
 * a receiver can tell. A notification decides nothing; to approve twice is refused by the engine.
 *
 * Everything here but what says "blocks" is for control's one thread. */
#ifndef CONTROL_NOTIFY_H
#define CONTROL_NOTIFY_H

#include "config/config.h"

struct db; /* store/db.h */
struct notify;

enum notify_event { NOTIFY_APPROVAL, NOTIFY_DECISION, NOTIFY_BREAK_GLASS, NOTIFY_EVENT_COUNT };

enum {
    NOTIFY_CHANNELS_MAX = 64,
    NOTIFY_SENDS_MAX = 8, /* at a time; of these at most one for each channel */
    NOTIFY_GIVE_UP_SECONDS = 24 * 3600,
};

/* "approval", "decision", "break-glass": as the outbox and the configuration name them. */
const char *notify_event_name(enum notify_event event);
/* ERR_NOT_FOUND. */
enum err notify_event_find(struct str name, enum notify_event *out);

/* Whether the channel is told of the event. A break-glass pages every channel, whatever its
 * `events` say. Pure. */
bool notify_wants(const struct config_notification *channel, enum notify_event event);

/* Reads the channels' secrets, and the certificates that they trust, so that the process may give
 * up its files afterwards; keeps nothing of `config`. `db` must outlive it. `*out` is the caller's.
 * ERR_NOT_FOUND, ERR_IO (a secret that cannot be read), ERR_INVALID, ERR_DENIED (an address that
 * must not be used): err_text() names the channel, never a secret; ERR_LIMIT, ERR_NOMEM. */
enum err notify_new(const struct config *config, struct db *db, struct notify **out);

/* [waits] Ends the fibers (a transfer that is under way is given up) and frees all. NULL is
 * allowed. */
void notify_free(struct notify *n);

/* Another configuration; on an error the old one stays in force. Rows of a channel that is no more
 * are done with, and logged. Errors as notify_new(). */
enum err notify_reload(struct notify *n, const struct config *config);

/* Starts the fiber that looks into the outbox. ERR_NOMEM. */
enum err notify_start(struct notify *n);

/* To be called after a transaction that put rows into the outbox: they go out now and not at the
 * next look, a second later. Never waits. */
void notify_wake(struct notify *n);

/* What is there for operators. */
struct notify_counts {
    uint64_t sent, failed_attempts, given_up;
};
struct notify_counts notify_counts(const struct notify *n);

#endif
