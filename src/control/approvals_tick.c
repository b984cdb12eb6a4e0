/* What time brings: waits that end, decisions of other nodes, old things to forget. */
#include <stdlib.h>

#include "base/log.h"
#include "control/approvals_state.h"

/* --- waits that end ----------------------------------------------------------------------------
 */

struct due {
    int64_t now_ms, next_ms;
    struct waiter **items;
    size_t n, max;
};

static void
find_due(struct str key, void *value, void *arg)
{
    struct waiter *w = value;
    struct due *due = arg;

    (void)key;
    if (w->deadline_ms > due->now_ms) {
        if (w->deadline_ms < due->next_ms)
            due->next_ms = w->deadline_ms;
    } else if (due->n < due->max) {
        due->items[due->n++] = w;
    }
}

static enum ipc_decision
decision_of(enum request_state state)
{
    switch (state) {
    case REQUEST_APPROVED:
    case REQUEST_OVERRIDDEN:
        return IPC_DECISION_APPROVED;
    case REQUEST_DENIED:
        return IPC_DECISION_DENIED;
    case REQUEST_WITHDRAWN:
        return IPC_DECISION_FAILED;
    default:
        return IPC_DECISION_EXPIRED;
    }
}

/* It is not pending any more, and not by this process: by another node, or by a commit whose end
 * was not seen. Serves whoever waits, if it is the same request as they wait for. */
static enum err
notice(struct approvals *a, struct pending *p, bool *gone)
{
    struct arena *arena = arena_new(SCRATCH_BYTES);
    struct request r;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory")
                               : requests_get(a->db, id_of(p), arena, &r);

    if (e == ERR_NOT_FOUND) {
        r = (struct request){.state = REQUEST_WITHDRAWN,
                             .decided_by = STR(""),
                             .decided_text = STR("the request is no longer in the store")};
        e = OK;
    }
    if (e == OK && r.state != REQUEST_PENDING) {
        enum ipc_decision decision = decision_of(r.state);

        if (p->policy_hash[0] != '\0' && decision == IPC_DECISION_APPROVED &&
            strcmp(p->policy_hash, a->policy_hash) != 0)
            decision = IPC_DECISION_FAILED;
        pending_answer(a, p, decision, r.decided_by, r.decided_text);
        approvals_tell_change(a, id_of(p), r.state);
        pending_forget(a, p);
        *gone = true;
    }
    arena_free(arena);
    return e;
}

/* One wait is over. With the last one, the request is: if it can be said in the store. */
static void
expire_waiter(struct approvals *a, struct waiter *w)
{
    struct pending *p = w->pending;
    const struct approvals_answer answer = {
        .session = w->key[0],
        .command = w->key[1],
        .decision = IPC_DECISION_EXPIRED,
        .request = id_of(p),
        .by = STR(""),
        .text = STR("nobody decided in time"),
        .command_hash = {(const char *)w->command_hash, HASH_BYTES},
    };
    enum err e = OK;
    bool gone = false;

    if (w->next == NULL && p->waiters == w) { /* the last: may have been decided this moment */
        e = pending_end(a, id_of(p), REQUEST_EXPIRED, STR(""), STR("nobody decided in time"));
        if (e == ERR_NOT_FOUND && notice(a, p, &gone) == OK && gone)
            return;
    }
    a->hooks->decided(a->hooks->arg, &answer);
    waiter_remove(a, w);
    if (p->waiters != NULL)
        return;
    if (e == OK || e == ERR_NOT_FOUND) {
        pending_forget(a, p);
    } else {
        log_warning("request_not_expired", "request=%s error=%s", p->id, err_text());
        a->look = true;
    }
}

static void
expire_waiters(struct approvals *a)
{
    struct due due = {.now_ms = now_ms(a), .next_ms = INT64_MAX, .max = table_count(a->waiters)};

    if (due.max == 0 || (due.items = calloc(due.max, sizeof(struct waiter *))) == NULL)
        return;
    table_each(a->waiters, find_due, &due);
    for (size_t i = 0; i < due.n; i++)
        expire_waiter(a, due.items[i]);
    free(due.items);
}

/* --- looking into the store ---------------------------------------------------------------------
 */

static enum err
expire_mark(struct approvals *a, struct pending *p)
{
    enum err e;

    e = p->to_withdraw
            ? pending_end(a, id_of(p), REQUEST_WITHDRAWN, STR(""),
                          STR("nobody waits for it any more"))
            : pending_end(a, id_of(p), REQUEST_EXPIRED, STR(""), STR("nobody decided in time"));
    if (e == ERR_NOT_FOUND && p->waiters != NULL)
        return OK; /* it has ended otherwise: notice_gone() sees how */
    if (e == OK || e == ERR_NOT_FOUND) {
        if (p->waiters != NULL)
            pending_answer(a, p, IPC_DECISION_EXPIRED, STR(""), STR("nobody decided in time"));
        pending_forget(a, p);
        return OK;
    }
    return e;
}

static enum err
look_at_mark(struct approvals *a, const struct request_mark *mark)
{
    struct str id = {mark->id, STORE_ID_BYTES};
    struct pending *p = table_get(a->pending, id);
    bool changed = p == NULL || p->version != mark->version;

    if ((p = pending_know(a, mark, STR(""))) == NULL)
        return OK; /* no room: it stays as it is in the store */
    p->seen = a->looks;
    if (changed)
        approvals_tell_change(a, id, REQUEST_PENDING);
    if (p->waiters != NULL) /* they end by the other clock, unless this one has jumped */
        return mark->expires_us <= now_us(a) ? expire_mark(a, p) : OK;
    if (p->to_withdraw || p->deadline_ms <= now_ms(a) || mark->expires_us <= now_us(a))
        return expire_mark(a, p);
    return OK;
}

struct gone {
    unsigned looks;
    struct pending **items;
    size_t n, max;
};

static void
find_gone(struct str key, void *value, void *arg)
{
    struct pending *p = value;
    struct gone *gone = arg;

    (void)key;
    if (p->seen != gone->looks && gone->n < gone->max)
        gone->items[gone->n++] = p;
}

static enum err
notice_gone(struct approvals *a)
{
    struct gone gone = {.looks = a->looks, .max = table_count(a->pending)};
    enum err e = OK;

    if (gone.max == 0)
        return OK;
    if ((gone.items = calloc(gone.max, sizeof(struct pending *))) == NULL)
        return fail(ERR_NOMEM, "no memory");
    table_each(a->pending, find_gone, &gone);
    for (size_t i = 0; e == OK && i < gone.n; i++) {
        bool forgotten;

        e = notice(a, gone.items[i], &forgotten);
    }
    free(gone.items);
    return e;
}

static enum err
look(struct approvals *a)
{
    struct arena *arena = arena_new(SCRATCH_BYTES);
    const struct request_mark *marks;
    size_t n;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory")
                               : requests_marks(a->db, APPROVALS_PENDING_MAX, arena, &marks, &n);

    if (e == OK) {
        a->looks++;
        for (size_t i = 0; e == OK && i < n; i++)
            e = look_at_mark(a, &marks[i]);
        if (e == OK)
            e = notice_gone(a);
    }
    arena_free(arena);
    return e;
}

static bool
is_shared(const struct approvals *a)
{
    return db_kind(a->db) == DB_POSTGRESQL;
}

/* While others may decide what is waited for, often; else seldom. */
static int64_t
rest_ms(const struct approvals *a)
{
    bool awaited = table_count(a->waiters) > 0;

    return a->look || (awaited && is_shared(a)) ? APPROVALS_POLL_MS : SYNC_REST_MS;
}

static void
look_if_due(struct approvals *a)
{
    int64_t now = now_ms(a);
    enum err e;

    if (a->config == NULL || now < a->last_look_ms + rest_ms(a))
        return;
    a->look = false;
    if ((e = look(a)) != OK) {
        log_warning("approvals_look_failed", "error=%s", err_text());
        a->look = true;
    }
    a->last_look_ms = now;
}

static void
prune_if_due(struct approvals *a)
{
    int64_t before_us = now_us(a) - (int64_t)APPROVALS_KEEP_DAYS * 86400 * 1000000;
    uint64_t removed = 0;
    enum err e;

    if (now_ms(a) < a->next_prune_ms)
        return;
    e = requests_prune(a->db, before_us, PRUNE_AT_ONCE, &removed);
    if (e == OK)
        e = grants_prune(a->db, before_us, PRUNE_AT_ONCE, &removed);
    if (e != OK)
        log_warning("approvals_prune_failed", "error=%s", err_text());
    a->next_prune_ms = now_ms(a) + PRUNE_MS;
}

void
approvals_tick(struct approvals *a)
{
    expire_waiters(a);
    look_if_due(a);
    grants_tick(a);
    prune_if_due(a);
}

int
approvals_next_ms(const struct approvals *a)
{
    int64_t now = now_ms(a);
    struct due due = {.now_ms = now, .next_ms = now + 60000};
    int64_t look_ms = a->last_look_ms + rest_ms(a);

    if (a->config != NULL && look_ms < due.next_ms)
        due.next_ms = look_ms;
    if (a->in_use > 0 && now + APPROVALS_POLL_MS < due.next_ms)
        due.next_ms = now + APPROVALS_POLL_MS;
    due.now_ms = INT64_MIN; /* only the next one is wanted */
    table_each(a->waiters, find_due, &due);
    return due.next_ms <= now ? 0 : (int)(due.next_ms - now);
}
