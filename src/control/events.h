/* control/events.h - server-sent events: what changed, to every browser and tool that listens.
 * Nothing here waits for a reader: each has a bounded queue, and one that lets it fill is dropped
 * (it connects again and asks for what it missed). */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include "base/buf.h"

struct events;      /* the hub: GET /v1/events */
struct event_queue; /* one reader's, of the hub or by itself (a session watched live) */

enum {
    EVENTS_READERS_MAX = 256,
    EVENT_QUEUE_BYTES_MAX = 1 << 20,
    EVENTS_HEARTBEAT_MS = 15 * 1000,
};

/* A hub; NULL without memory. Starts no fiber: its owner calls events_beat(). */
struct events *events_new(void);
void events_free(struct events *hub); /* ends every reader */

/* Something changed: never waits, never fails. `event` and `state` are words of ours. */
void events_approval(struct events *hub, struct str request, const char *state);
void events_session(struct events *hub, uint64_t session, const char *state);

/* A comment to every reader, so that whatever is between us keeps the connection. */
void events_beat(struct events *hub);

/* Ends the readers of this owner: their login is over. */
void events_end_owner(struct events *hub, struct str owner);

/* --- queues --- */

/* Called when there is something to read, or the queue has ended: it must not wait. */
typedef void event_wake_fn(void *arg);

/* A queue of at most `max` bytes, read by one reader and written by others. It has two holders:
 * each gives it up once, with event_queue_end() (writer) or event_queue_close() (reader). NULL
 * without memory. */
struct event_queue *event_queue_new(size_t max);

/* The writer's: one event, `data` in one line (JSON). false: the reader is gone or was dropped
 * because it is too slow; then event_queue_end() is all that is left to do. */
bool event_queue_push(struct event_queue *q, const char *event, struct str data);
void event_queue_end(struct event_queue *q);

/* The reader's: takes up to `max` bytes of the stream as it goes out. 0: nothing now; see
 * event_queue_is_over(). */
size_t event_queue_take(struct event_queue *q, char *out, size_t max);
bool event_queue_is_over(const struct event_queue *q);
void event_queue_on_wake(struct event_queue *q, event_wake_fn *wake, void *arg);
void event_queue_close(struct event_queue *q);

/* A reader of the hub, ended by events_end_owner(owner) or when its queue is full. The caller holds
 * the reader's end. ERR_LIMIT, ERR_NOMEM. */
enum err events_subscribe(struct events *hub, struct str owner, struct event_queue **out);

#endif
