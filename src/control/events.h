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

/* Something changed: never waits, never fails. `event` is a word of ours: "approval", "session".
 * The server publishes what control_announce() says; others need not. */
void events_publish(struct events *hub, const char *event, struct str id, struct str state);

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
/* Bytes as they are, of a stream that is no events. */
bool event_queue_push_bytes(struct event_queue *q, struct str bytes);
void event_queue_end(struct event_queue *q);
/* What is in it is not all: the reader sees event_queue_has_failed() at the end. */
void event_queue_fail(struct event_queue *q);
bool event_queue_has_failed(const struct event_queue *q);
/* [waits] Until at most `left` bytes are unread. ERR_CLOSED: the reader is gone; ERR_TIMEOUT,
 * ERR_CANCELED. For writers that can wait; others just lose a reader that is too slow. */
enum err event_queue_drain(struct event_queue *q, size_t left, int64_t deadline_ms);
/* Calls fn(arg) when the reader gives it up; NULL takes that back. It may end the queue. */
void event_queue_on_close(struct event_queue *q, event_wake_fn *fn, void *arg);

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
