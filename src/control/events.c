#include "control/events.h"

#include <stdlib.h>

#include "base/json.h"
#include "fiber/fiber.h"

enum { OWNER_BYTES_MAX = 128 };

struct event_queue {
    struct buf bytes;
    size_t read;      /* of bytes, by the reader */
    bool over;        /* the writer has ended it, or it was too slow */
    bool writer_left; /* holders that have given it up */
    bool reader_left;
    bool failed;
    event_wake_fn *wake;
    void *wake_arg;
    event_wake_fn *closed;
    void *closed_arg;
    struct fiber_condition taken;
};

struct reader {
    struct event_queue *queue;
    char owner[OWNER_BYTES_MAX];
    size_t owner_len;
};

struct events {
    struct reader readers[EVENTS_READERS_MAX];
    size_t n;
};

/* --- queues ------------------------------------------------------------------------------------
 */

struct event_queue *
event_queue_new(size_t max)
{
    struct event_queue *q = calloc(1, sizeof(*q));

    if (q != NULL)
        q->bytes = buf_make(max);
    return q;
}

static void
leave(struct event_queue *q)
{
    if (!q->writer_left || !q->reader_left)
        return;
    buf_free_secret(&q->bytes); /* may hold rows */
    free(q);
}

static void
wake(struct event_queue *q)
{
    if (q->wake != NULL)
        q->wake(q->wake_arg);
}

/* What was read makes room before the queue is full. */
static void
compact(struct event_queue *q)
{
    if (q->read == 0)
        return;
    buf_consume(&q->bytes, q->read);
    q->read = 0;
}

/* Appends, or ends the queue of a reader that does not keep up. */
static bool
push(struct event_queue *q, struct str head, struct str data, struct str tail)
{
    size_t before;

    if (q->reader_left || q->over)
        return false;
    compact(q);
    before = q->bytes.len;
    buf_put_str(&q->bytes, head);
    buf_put_str(&q->bytes, data);
    buf_put_str(&q->bytes, tail);
    if (buf_ok(&q->bytes) != OK) {
        q->bytes.len = before; /* whole events only */
        q->over = true;
    }
    wake(q);
    return !q->over;
}

bool
event_queue_push(struct event_queue *q, const char *event, struct str data)
{
    struct buf head = buf_make(256);
    bool ok;

    buf_printf(&head, "event: %s\ndata: ", event);
    ok = buf_ok(&head) == OK && push(q, buf_str(&head), data, STR("\n\n"));
    buf_free(&head);
    return ok;
}

bool
event_queue_push_bytes(struct event_queue *q, struct str bytes)
{
    return push(q, STR(""), bytes, STR(""));
}

enum err
event_queue_drain(struct event_queue *q, size_t left, int64_t deadline_ms)
{
    enum err e = OK;

    while (e == OK && !q->reader_left && q->bytes.len - q->read > left)
        e = fiber_condition_wait(&q->taken, deadline_ms);
    return e == OK && q->reader_left ? fail(ERR_CLOSED, "the reader is gone") : e;
}

void
event_queue_on_close(struct event_queue *q, event_wake_fn *fn, void *arg)
{
    q->closed = fn;
    q->closed_arg = arg;
}

void
event_queue_end(struct event_queue *q)
{
    q->over = true;
    q->writer_left = true;
    if (!q->reader_left)
        wake(q);
    leave(q);
}

void
event_queue_fail(struct event_queue *q)
{
    q->failed = true;
}

bool
event_queue_has_failed(const struct event_queue *q)
{
    return q->failed;
}

size_t
event_queue_take(struct event_queue *q, char *out, size_t max)
{
    size_t n = q->bytes.len - q->read;

    n = n > max ? max : n;
    if (n > 0)
        memcpy(out, q->bytes.ptr + q->read, n);
    q->read += n;
    if (n > 0)
        fiber_condition_signal(&q->taken);
    return n;
}

bool
event_queue_is_over(const struct event_queue *q)
{
    return q->over && q->read == q->bytes.len;
}

void
event_queue_on_wake(struct event_queue *q, event_wake_fn *fn, void *arg)
{
    q->wake = fn;
    q->wake_arg = arg;
}

void
event_queue_close(struct event_queue *q)
{
    event_wake_fn *closed = q->closed;

    q->wake = NULL;
    q->closed = NULL;
    q->reader_left = true;
    fiber_condition_signal(&q->taken);
    /* The writer's end holds the queue; after its answer that may be nobody. */
    if (q->writer_left)
        leave(q);
    else if (closed != NULL)
        closed(q->closed_arg);
}

/* --- the hub ------------------------------------------------------------------------------------
 */

struct events *
events_new(void)
{
    return calloc(1, sizeof(struct events));
}

static void
drop(struct events *hub, size_t i)
{
    struct event_queue *q = hub->readers[i].queue;

    hub->readers[i] = hub->readers[--hub->n];
    event_queue_end(q);
}

void
events_free(struct events *hub)
{
    if (hub == NULL)
        return;
    while (hub->n > 0)
        drop(hub, hub->n - 1);
    free(hub);
}

enum err
events_subscribe(struct events *hub, struct str owner, struct event_queue **out)
{
    struct reader *r = &hub->readers[hub->n];

    if (hub->n == EVENTS_READERS_MAX)
        return fail(ERR_UNAVAILABLE, "%d readers follow the events already; try again later",
                    EVENTS_READERS_MAX);
    if (owner.len > sizeof(r->owner))
        return fail(ERR_LIMIT, "the owner of events has too long a name");
    if ((r->queue = event_queue_new(EVENT_QUEUE_BYTES_MAX)) == NULL)
        return fail(ERR_NOMEM, "no memory for events");
    memcpy(r->owner, owner.ptr, owner.len);
    r->owner_len = owner.len;
    hub->n++;
    *out = r->queue;
    return OK;
}

/* Backwards, because drop() moves the last one, told already, to the place of the dropped. */
static void
publish(struct events *hub, const char *event, struct str data)
{
    for (size_t i = hub->n; i-- > 0;)
        if (!event_queue_push(hub->readers[i].queue, event, data))
            drop(hub, i);
}

void
events_publish(struct events *hub, const char *event, struct str id, struct str state)
{
    struct buf data = buf_make(1024);
    struct json j = json_to(&data);

    json_open(&j, '{');
    json_field_str(&j, "id", id);
    json_field_str(&j, "state", state);
    json_close(&j, '}');
    if (buf_ok(&data) == OK)
        publish(hub, event, buf_str(&data));
    buf_free(&data);
}

void
events_beat(struct events *hub)
{
    for (size_t i = hub->n; i-- > 0;)
        if (!push(hub->readers[i].queue, STR(":"), STR(""), STR("\n\n")))
            drop(hub, i);
}

void
events_end_owner(struct events *hub, struct str owner)
{
    for (size_t i = hub->n; i-- > 0;)
        if (str_equal((struct str){hub->readers[i].owner, hub->readers[i].owner_len}, owner))
            drop(hub, i);
}
