#include "control/live.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"
#include "control/holds.h"
#include "store/session_index.h"

enum {
    SESSION_ARENA_MAX = 256 << 10,
    INDEX_AT_ONCE = 500,      /* in one transaction */
    INDEX_WAITS_MAX = 100000, /* while the store is away */
};

/* --- texts ---------------------------------------------------------------------------------- */

static bool
copy(struct live_session *s, struct str *to, struct str from)
{
    *to = arena_str(s->arena, from);
    return to->ptr != NULL;
}

static bool
copy_list(struct live_session *s, struct str_list *to, struct str list, size_t max)
{
    struct str left = arena_str(s->arena, list), item;
    struct str *items;
    size_t n = 0;

    if (left.ptr == NULL)
        return false;
    for (struct str rest = left; n < max && ipc_list_next(&rest, &item);)
        n++;
    if ((items = arena_array(s->arena, n + 1, sizeof(*items))) == NULL)
        return false;
    *to = (struct str_list){items, n};
    for (size_t i = 0; i < n; i++)
        (void)ipc_list_next(&left, &items[i]);
    return true;
}

static bool
fill(struct live_session *s, const struct ipc_session_opened *o)
{
    s->id = o->session;
    s->expires_us = (int64_t)o->expires_us;
    s->opened_us = (int64_t)o->opened_us;
    return copy(s, &s->subject, o->subject) && copy(s, &s->issuer, o->issuer) &&
           copy(s, &s->token_id, o->token_id) && copy(s, &s->resource, o->resource) &&
           copy(s, &s->protocol, o->protocol) && copy(s, &s->database, o->database) &&
           copy(s, &s->target, o->target) && copy(s, &s->client, o->client) &&
           copy(s, &s->source, o->source) && copy(s, &s->policy_hash, o->policy_hash) &&
           copy(s, &s->task, o->task) && copy(s, &s->email, o->email) &&
           copy(s, &s->access, o->access) &&
           copy_list(s, &s->groups, o->groups, CONTROL_GROUPS_MAX) &&
           copy_list(s, &s->chain, o->chain, CONTROL_CHAIN_MAX);
}

static void
free_session(struct live_session *s)
{
    arena_free(s->arena);
    free(s);
}

/* --- the table ------------------------------------------------------------------------------ */

static void
queue(struct control *c, struct live_session *s)
{
    if (s->queued)
        return;
    s->queued = true;
    s->next = NULL;
    if (c->to_index == NULL)
        c->to_index_end = &c->to_index;
    *c->to_index_end = s;
    c->to_index_end = &s->next;
    c->n_to_index++;
}

static void
announce(struct control *c, uint64_t id, const char *state)
{
    char text[17];

    control_session_text(id, text);
    control_announce(c, CONTROL_SESSION, str_from(text), str_from(state));
}

enum err
live_opened(struct control *c, const struct ipc_session_opened *opened)
{
    struct live_session *s = calloc(1, sizeof(*s));
    enum err e;

    if (control_session(c, opened->session) != NULL) { /* said again while it was being said */
        free(s);
        return OK;
    }
    if (s == NULL || (s->arena = arena_new(SESSION_ARENA_MAX)) == NULL) {
        free(s);
        return fail(ERR_NOMEM, "no memory for a session");
    }
    if (!fill(s, opened) || s->chain.n == 0)
        e = fail(ERR_NOMEM, "no memory for a session, or it has no principal");
    else
        e = table_put(c->sessions, key_of_live(&s->id), s, NULL);
    if (e != OK) {
        free_session(s);
        return e;
    }
    queue(c, s);
    announce(c, s->id, "opened");
    return OK;
}

static void
end(struct control *c, struct live_session *s)
{
    holds_session_over(c, s);
    (void)table_remove(c->sessions, key_of_live(&s->id));
    s->closed_us = clock_wall_us();
    announce(c, s->id, "ended");
    if (!s->queued && c->n_to_index >= INDEX_WAITS_MAX) {
        log_error("session_not_indexed", "session=%016llx reason=the store is away for too long",
                  (unsigned long long)s->id);
        free_session(s);
        return;
    }
    queue(c, s); /* which owns it from now on */
}

void
live_ended(struct control *c, uint64_t session)
{
    struct live_session *s = control_session(c, session);

    if (s != NULL)
        end(c, s);
}

static void
take_any(struct str key, void *value, void *arg)
{
    struct live_session **out = arg;

    (void)key;
    *out = value;
}

void
live_clear(struct control *c)
{
    while (table_count(c->sessions) > 0) {
        struct live_session *s = NULL;

        table_each(c->sessions, take_any, &s);
        end(c, s);
    }
}

/* --- the index ------------------------------------------------------------------------------ */

static enum err
put(struct control *c, const struct live_session *s)
{
    const struct session_entry entry = {
        .session = s->id,
        .node = str_from(c->node),
        .issuer = s->issuer,
        .subject = s->subject,
        .token_id = s->token_id,
        .task = s->task,
        .chain = s->chain,
        .groups = s->groups,
        .resource = s->resource,
        .protocol = s->protocol,
        .database = s->database,
        .client = s->client,
        .source = s->source,
        .access = s->access,
        .opened_us = s->opened_us,
        .closed_us = s->closed_us,
        .expires_us = s->expires_us,
        .end = s->closed_us != 0 ? STR("ended") : STR(""),
    };

    return session_index_put(c->db, &entry);
}

/* The first `n` of the queue. */
static enum err
write_index(struct control *c, size_t n)
{
    struct live_session *s = c->to_index;
    enum err e;

    if ((e = db_begin(c->db)) != OK)
        return e;
    for (size_t i = 0; i < n && e == OK; i++, s = s->next)
        if ((e = put(c, s)) == ERR_INVALID ||
            e == ERR_LIMIT) { /* this one never fits: pass it by */
            log_error("session_not_indexed", "session=%016llx reason=%s", (unsigned long long)s->id,
                      err_text());
            e = OK;
        }
    if (e != OK) {
        db_rollback(c->db);
        return e;
    }
    return db_commit(c->db);
}

/* Takes it off the queue; one that is over goes. */
static void
indexed(struct control *c)
{
    struct live_session *s = c->to_index;

    c->to_index = s->next;
    c->n_to_index--;
    s->queued = false;
    if (s->closed_us != 0)
        free_session(s);
}

void
live_index(struct control *c)
{
    size_t n = 0;
    enum err e = OK;

    while (c->to_index != NULL && e == OK) {
        n = 0;
        for (struct live_session *s = c->to_index; s != NULL && n < INDEX_AT_ONCE; s = s->next)
            n++;
        if ((e = write_index(c, n)) == OK)
            for (size_t i = 0; i < n; i++)
                indexed(c);
    }
    if (e != OK)
        log_warning("index_waits", "sessions=%zu reason=%s", n, err_text());
}
