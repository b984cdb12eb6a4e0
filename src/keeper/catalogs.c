#include "keeper/catalogs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fiber/fiber.h"

/* One database's. Questions are counted: a read answers those that were asked before it began. */
struct place {
    struct place *next;
    struct catalogs *all;
    struct str key;
    struct catalog_snapshot newest;
    struct catalog_user *users;
    uint64_t asked, begun, done;
    bool running; /* its fiber is there */
    enum err result;
    char reason[ERR_TEXT_MAX]; /* of the last read, if it failed */
    unsigned waiting;
    int64_t began_ms, ended_ms, used_ms;
    struct fiber_condition changed;
};

struct catalogs {
    struct catalogs_hooks hooks;
    void *arg;
    struct place *places;
    size_t n;
    unsigned reading;
    bool stopped;
    struct fiber_condition reader_free;
};

struct catalogs *
catalogs_new(const struct catalogs_hooks *hooks, void *arg)
{
    struct catalogs *c = calloc(1, sizeof(*c));

    if (c != NULL) {
        c->hooks = *hooks;
        c->arg = arg;
    }
    return c;
}

/* --- reading -------------------------------------------------------------------------------- */

/* The place has what was read, and the file before is closed; or keeps its file if nothing has
 * changed, so that all go on sharing the same memory. */
static void
keep_snapshot(struct place *p, const struct catalog_snapshot *read)
{
    struct catalog_snapshot old = p->newest;

    if (old.fd >= 0 && old.fingerprint == read->fingerprint && old.bytes == read->bytes) {
        close(read->fd);
        p->newest.took_ms = read->took_ms;
        return;
    }
    p->newest = *read;
    if (old.fd >= 0)
        close(old.fd);
    for (struct catalog_user *user = p->users, *next; user != NULL; user = next) {
        next = user->next;
        p->all->hooks.changed(p->all->arg, user, &p->newest);
    }
}

/* [waits] Until the place may be read again, and one of the few readers is free. */
static enum err
wait_for_turn(struct place *p)
{
    struct catalogs *c = p->all;
    int64_t at_ms = p->ended_ms + (p->result == OK ? CATALOG_PAUSE_MS : CATALOG_FAILURE_PAUSE_MS);
    enum err e = OK;

    if (p->ended_ms != 0 && at_ms > clock_monotonic_ms() &&
        (e = fiber_sleep_until(at_ms)) == ERR_TIMEOUT)
        e = OK;
    while (e == OK && c->reading >= CATALOG_READERS_MAX)
        e = fiber_condition_wait(&c->reader_free, FIBER_FOREVER);
    return e;
}

/* [waits] */
static void
read_once(struct place *p)
{
    struct catalogs *c = p->all;
    struct catalog_snapshot snapshot = {.fd = -1};

    p->begun = p->asked;
    p->began_ms = clock_monotonic_ms();
    c->reading++;
    p->result = c->stopped ? fail(ERR_UNAVAILABLE, "the gateway is shutting down")
                           : c->hooks.read(c->arg, p->key, p->users, &snapshot);
    c->reading--;
    fiber_condition_signal(&c->reader_free);
    if (p->result == OK)
        keep_snapshot(p, &snapshot);
    else
        (void)snprintf(p->reason, sizeof(p->reason), "%s", err_text());
    p->ended_ms = clock_monotonic_ms();
    p->done = p->begun;
    fiber_condition_signal(&p->changed);
}

static void
read_while_asked(void *arg)
{
    struct place *p = arg;

    while (p->done < p->asked && wait_for_turn(p) == OK)
        read_once(p);
    p->running = false;
}

/* Asks for one more read; `*question` is answered by the first that begins after this. */
static enum err
want_read(struct place *p, uint64_t *question)
{
    enum err e = OK;

    *question = ++p->asked;
    if (!p->running && (e = fiber_start("catalog", read_while_asked, p, NULL)) == OK)
        p->running = true;
    return e;
}

/* --- places --------------------------------------------------------------------------------- */

static enum err
find_place(struct catalogs *c, struct str key, struct place **out)
{
    struct place *p = c->places;

    while (p != NULL && !str_equal(p->key, key))
        p = p->next;
    if (p == NULL) {
        if (c->n == CATALOGS_MAX)
            return fail(ERR_LIMIT, "the catalogs of %d databases are in use", CATALOGS_MAX);
        if ((p = calloc(1, sizeof(*p) + key.len)) == NULL)
            return fail(ERR_NOMEM, "no memory for a catalog");
        memcpy(p + 1, key.ptr, key.len);
        p->key = (struct str){(const char *)(p + 1), key.len};
        p->all = c;
        p->newest.fd = -1;
        p->next = c->places;
        c->places = p;
        c->n++;
    }
    p->used_ms = clock_monotonic_ms();
    *out = p;
    return OK;
}

static void
free_place(struct place *p)
{
    if (p->newest.fd >= 0)
        close(p->newest.fd);
    p->all->n--;
    free(p);
}

/* --- asking --------------------------------------------------------------------------------- */

/* [waits] */
static enum err
wait_for_read(struct place *p, uint64_t question, int64_t deadline_ms, struct catalog_snapshot *out)
{
    enum err e = OK;

    p->waiting++;
    while (e == OK && p->done < question && !p->all->stopped)
        e = fiber_condition_wait(&p->changed, deadline_ms);
    p->waiting--;
    p->used_ms = clock_monotonic_ms();
    if (e == ERR_TIMEOUT)
        return fail(e, "the catalog of the target was not read in time");
    if (e == OK && p->done < question)
        return fail(ERR_UNAVAILABLE, "the gateway is shutting down");
    if (e == OK && p->result != OK)
        return fail(p->result, "%s", p->reason);
    *out = p->newest;
    return e;
}

enum err
catalogs_read(struct catalogs *c, struct str key, int64_t deadline_ms, struct catalog_snapshot *out)
{
    struct place *p;
    uint64_t question;
    enum err e;

    if ((e = find_place(c, key, &p)) != OK || (e = want_read(p, &question)) != OK)
        return e;
    return wait_for_read(p, question, deadline_ms, out);
}

enum err
catalogs_get(struct catalogs *c, struct str key, uint64_t stale, int64_t deadline_ms,
             struct catalog_snapshot *out)
{
    struct place *p;
    enum err e;

    if ((e = find_place(c, key, &p)) != OK)
        return e;
    if (p->newest.fd >= 0 && (stale == 0 || p->newest.fingerprint != stale)) {
        *out = p->newest;
        return OK;
    }
    if (stale == 0 && p->begun > p->done) /* under way, and any will do */
        return wait_for_read(p, p->begun, deadline_ms, out);
    return catalogs_read(c, key, deadline_ms, out);
}

enum err
catalogs_join(struct catalogs *c, struct str key, struct catalog_user *user)
{
    struct place *p;
    enum err e;

    if ((e = find_place(c, key, &p)) != OK)
        return e;
    *user = (struct catalog_user){.place = p, .next = p->users, .link = &p->users};
    if (user->next != NULL)
        user->next->link = &user->next;
    p->users = user;
    return OK;
}

void
catalogs_leave(struct catalog_user *user)
{
    *user->link = user->next;
    if (user->next != NULL)
        user->next->link = user->link;
    user->place->used_ms = clock_monotonic_ms();
}

/* --- time ----------------------------------------------------------------------------------- */

static bool
is_forgotten(const struct place *p, int64_t now_ms)
{
    int64_t keep_ms = p->newest.fd >= 0 ? CATALOG_KEEP_MS : CATALOG_FORGET_MS;

    return p->users == NULL && p->waiting == 0 && !p->running && now_ms - p->used_ms > keep_ms;
}

void
catalogs_sweep(struct catalogs *c, int64_t now_ms)
{
    for (struct place **at = &c->places; *at != NULL;) {
        struct place *p = *at;
        uint64_t question;

        if (is_forgotten(p, now_ms)) {
            *at = p->next;
            free_place(p);
            continue;
        }
        if (p->users != NULL && !p->running && now_ms - p->began_ms > CATALOG_REFRESH_MS &&
            !c->stopped)
            err_ignore(want_read(p, &question)); /* or the next time */
        at = &p->next;
    }
}

void
catalogs_stop(struct catalogs *c)
{
    c->stopped = true;
    for (struct place *p = c->places; p != NULL; p = p->next)
        fiber_condition_signal(&p->changed);
}
