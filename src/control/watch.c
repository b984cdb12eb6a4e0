#include "control/watch.h"

#include <stdlib.h>

#include "control/control.h"

enum { OWNER_BYTES_MAX = 128 };

struct watcher {
    struct watch *watch; /* NULL: free */
    uint64_t session;
    struct event_queue *queue;
    char owner[OWNER_BYTES_MAX];
    size_t owner_len;
};

struct watch {
    struct control *control;
    struct watcher watchers[WATCHERS_MAX];
};

static bool
is_watched(const struct watch *w, uint64_t session)
{
    for (size_t i = 0; i < WATCHERS_MAX; i++)
        if (w->watchers[i].watch != NULL && w->watchers[i].session == session)
            return true;
    return false;
}

/* The writer's end of one; the ledger stops when the last has gone. */
static void
drop(struct watcher *one)
{
    struct watch *w = one->watch;
    struct event_queue *q = one->queue;
    uint64_t session = one->session;

    *one = (struct watcher){0};
    event_queue_on_close(q, NULL, NULL);
    event_queue_end(q);
    if (!is_watched(w, session))
        err_ignore(control_watch(w->control, session, false));
}

static void
on_close(void *arg)
{
    drop(arg);
}

static void
on_live(void *arg, uint64_t session, struct str json)
{
    struct watch *w = arg;

    for (size_t i = 0; i < WATCHERS_MAX; i++)
        if (w->watchers[i].watch != NULL && w->watchers[i].session == session &&
            !event_queue_push(w->watchers[i].queue, "event", json))
            drop(&w->watchers[i]);
}

static void
on_change(void *arg, enum control_topic topic, struct str id, struct str state)
{
    struct watch *w = arg;
    uint64_t session;

    if (topic != CONTROL_SESSION || !str_is(state, "ended") || !control_session_parse(id, &session))
        return;
    for (size_t i = 0; i < WATCHERS_MAX; i++)
        if (w->watchers[i].watch != NULL && w->watchers[i].session == session)
            drop(&w->watchers[i]);
}

struct watch *
watch_new(struct control *control)
{
    struct watch *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->control = control;
    if (control_listen(control, on_change, w) != OK) {
        free(w);
        return NULL;
    }
    control->live = on_live;
    control->live_arg = w;
    return w;
}

void
watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < WATCHERS_MAX; i++)
        if (w->watchers[i].watch != NULL)
            drop(&w->watchers[i]);
    w->control->live = NULL;
    watch_unlisten(w->control, on_change, w);
    free(w);
}

static struct watcher *
find_free(struct watch *w)
{
    for (size_t i = 0; i < WATCHERS_MAX; i++)
        if (w->watchers[i].watch == NULL)
            return &w->watchers[i];
    return NULL;
}

enum err
watch_begin(struct watch *w, uint64_t session, struct str owner, struct event_queue **out)
{
    struct watcher *one = find_free(w);
    bool first = !is_watched(w, session);
    enum err e;

    if (control_session(w->control, session) == NULL)
        return fail(ERR_NOT_FOUND, "the session is not open here; its recording can be replayed");
    if (one == NULL || owner.len > OWNER_BYTES_MAX)
        return fail(ERR_UNAVAILABLE, "%d people watch sessions already; try again later",
                    WATCHERS_MAX);
    if ((one->queue = event_queue_new(WATCH_QUEUE_BYTES)) == NULL)
        return fail(ERR_NOMEM, "no memory to watch a session");
    if (first && (e = control_watch(w->control, session, true)) != OK) {
        event_queue_close(one->queue);
        event_queue_end(one->queue);
        one->queue = NULL;
        return e;
    }
    one->watch = w;
    one->session = session;
    memcpy(one->owner, owner.ptr, owner.len);
    one->owner_len = owner.len;
    event_queue_on_close(one->queue, on_close, one);
    *out = one->queue;
    return OK;
}

void
watch_end_owner(struct watch *w, struct str owner)
{
    for (size_t i = 0; i < WATCHERS_MAX; i++)
        if (w->watchers[i].watch != NULL &&
            str_equal((struct str){w->watchers[i].owner, w->watchers[i].owner_len}, owner))
            drop(&w->watchers[i]);
}

void
watch_unlisten(struct control *c, control_listener *tell, void *arg)
{
    for (size_t i = 0; i < c->n_listeners; i++)
        if (c->listeners[i].tell == tell && c->listeners[i].arg == arg) {
            c->listeners[i] = c->listeners[--c->n_listeners];
            return;
        }
}
