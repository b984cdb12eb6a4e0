#include "keeper/catalog_asker.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "keeper/reader.h"

enum {
    KEY_BYTES_MAX = 16 << 10,
    ANSWER_MS = 90000, /* then the asker has long given up */
    ALLOWANCE_MS = 1000,
};

struct catalog_asker {
    struct catalog_user user; /* first: found by it */
    struct keeper *keeper;
    struct edition *edition; /* held */
    struct buf key;
    int channel;        /* -1: the session has ended, and this goes with the last question */
    unsigned questions; /* that wait */
    uint64_t sent;      /* fingerprint of the last one that the session got */
    struct catalog_allowance allowance;
};

bool
catalog_allowance_take(struct catalog_allowance *a, int64_t now_ms)
{
    int64_t more = (now_ms - a->filled_ms) / ALLOWANCE_MS;

    if (more > 0) {
        a->left = more > CATALOG_ASKS_BURST - (int64_t)a->left ? CATALOG_ASKS_BURST
                                                               : a->left + (unsigned)more;
        a->filled_ms += more * ALLOWANCE_MS;
    }
    return a->left > 0 ? a->left--, true : false;
}

/* --- keys ----------------------------------------------------------------------------------- */

/* What tells one database of one target from others, whatever edition it is in: the resource's
 * name, the database, and where the target is and as whom we go there, each ended by a NUL. */
static enum err
put_key(struct buf *out, const struct config_resource *r, struct str database)
{
    const struct str parts[] = {r->name, database,       r->protocol,          r->address.host,
                                r->user, r->server_name, r->client_certificate};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        buf_put_str(out, parts[i]);
        buf_put_u8(out, '\0');
    }
    buf_printf(out, "%u %u", r->address.port, r->tls);
    return buf_ok(out);
}

/* The resource of `key` in an edition; NULL if that edition has another there. */
static const struct config_resource *
find_in(const struct edition *edition, struct str key)
{
    struct str name, database, rest = str_cut(str_cut(key, '\0', &name), '\0', &database);
    const struct config_resource *r = config_find_resource(edition->config, name);
    struct buf theirs = buf_make(KEY_BYTES_MAX);
    bool same;

    (void)rest;
    same = r != NULL && put_key(&theirs, r, database) == OK && str_equal(buf_str(&theirs), key);
    buf_free(&theirs);
    return same ? r : NULL;
}

/* --- hooks ---------------------------------------------------------------------------------- */

/* [waits] With the credential in force, where that leads to the same place. */
static enum err
read_catalog(void *arg, struct str key, const struct catalog_user *user,
             struct catalog_snapshot *out)
{
    const struct catalog_asker *asker = (const struct catalog_asker *)(const void *)user;
    struct keeper *k = arg;
    struct edition *edition = k->edition;
    const struct config_resource *resource = find_in(edition, key);
    struct str name, database, rest = str_cut(str_cut(key, '\0', &name), '\0', &database);
    struct target target;
    enum err e;

    (void)rest;
    if (resource == NULL && asker != NULL) {
        edition = asker->edition;
        resource = find_in(edition, key);
    }
    if (resource == NULL)
        return fail(ERR_UNAVAILABLE, "the resource has changed");
    target = target_make(edition, resource);
    e = reader_read(k, &target, database, out);
    target_release(&target);
    if (e != OK)
        log_warning("catalog_read_failed", "resource=%.*s database=\"%.*s\" reason=\"%s\"",
                    STR_ARG(name), STR_ARG(database), err_text());
    else
        log_info("catalog_read", "resource=%.*s database=\"%.*s\" bytes=%llu ms=%llu",
                 STR_ARG(name), STR_ARG(database), (unsigned long long)out->bytes,
                 (unsigned long long)out->took_ms);
    return e;
}

static enum err
send_snapshot(struct catalog_asker *a, uint64_t number, const struct catalog_snapshot *snapshot)
{
    struct ipc_catalog_ready message = {.number = number, .bytes = snapshot->bytes};
    enum err e = ipc_send(a->channel, IPC_TYPE_CATALOG_READY, &message, &snapshot->fd, 1);

    if (e == OK)
        a->sent = snapshot->fingerprint;
    return e;
}

/* Whoever waits for an answer gets it by that. */
static void
push(void *arg, struct catalog_user *user, const struct catalog_snapshot *snapshot)
{
    struct catalog_asker *a = (struct catalog_asker *)(void *)user;

    (void)arg;
    if (a->questions == 0 && a->sent != 0 && a->sent != snapshot->fingerprint)
        err_ignore(send_snapshot(a, 0, snapshot)); /* a full queue: it asks when it must */
}

struct catalogs *
catalog_askers_prepare(struct keeper *k)
{
    static const struct catalogs_hooks hooks = {.read = read_catalog, .changed = push};

    return catalogs_new(&hooks, k);
}

/* --- sessions ------------------------------------------------------------------------------- */

struct catalog_asker *
catalog_asker_new(struct keeper *k, const struct target *target, struct str database, int channel)
{
    struct catalog_asker *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return NULL;
    *a = (struct catalog_asker){
        .keeper = k,
        .key = buf_make(KEY_BYTES_MAX),
        .channel = channel,
        .allowance = {CATALOG_ASKS_BURST, clock_monotonic_ms()},
    };
    if (put_key(&a->key, target->resource, database) != OK ||
        catalogs_join(k->catalogs, buf_str(&a->key), &a->user) != OK) {
        buf_free(&a->key);
        free(a);
        return NULL;
    }
    a->edition = edition_hold(target->edition);
    return a;
}

static void
free_if_over(struct catalog_asker *a)
{
    if (a->channel >= 0 || a->questions > 0)
        return;
    edition_release(a->edition);
    buf_free(&a->key);
    free(a);
}

void
catalog_asker_end(struct catalog_asker *a)
{
    if (a == NULL)
        return;
    catalogs_leave(&a->user);
    a->channel = -1;
    free_if_over(a);
}

static enum err
refuse(const struct catalog_asker *a, uint64_t number, enum err code)
{
    struct ipc_catalog_ready message = {
        .number = number, .code = code, .text = str_from(err_text())};

    return ipc_send(a->channel, IPC_TYPE_CATALOG_READY, &message, NULL, 0);
}

/* One question, which may wait while the session asks for other things. */
struct question {
    struct catalog_asker *asker;
    uint64_t number, stale;
};

static void
answer_question(void *arg)
{
    struct question *q = arg;
    struct catalog_asker *a = q->asker;
    struct catalog_snapshot snapshot;
    enum err e = catalogs_get(a->keeper->catalogs, buf_str(&a->key), q->stale,
                              clock_monotonic_ms() + ANSWER_MS, &snapshot);

    a->questions--;
    if (a->channel >= 0)
        err_ignore(e == OK ? send_snapshot(a, q->number, &snapshot) : refuse(a, q->number, e));
    free_if_over(a);
    free(q);
}

enum err
catalog_asker_ask(struct catalog_asker *a, const struct ipc_catalog *question)
{
    struct question *q;
    enum err e;

    if (question->number == 0)
        return fail(ERR_PROTOCOL, "a question without a number");
    if (a->questions >= CATALOG_ASKS_AT_ONCE ||
        !catalog_allowance_take(&a->allowance, clock_monotonic_ms()))
        return refuse(a, question->number,
                      fail(ERR_LIMIT, "the catalog of the target is asked for too often"));
    if ((q = malloc(sizeof(*q))) == NULL)
        return fail(ERR_NOMEM, "no memory for a question");
    *q = (struct question){a, question->number, question->stale};
    if ((e = fiber_start("catalog-answer", answer_question, q, NULL)) != OK)
        free(q);
    else
        a->questions++;
    return e;
}

/* --- operators ------------------------------------------------------------------------------ */

enum err
catalog_read_now(struct keeper *k, struct str resource, struct str database, int64_t deadline_ms,
                 struct catalog_snapshot *out)
{
    const struct config_resource *r = config_find_resource(k->edition->config, resource);
    struct buf key = buf_make(KEY_BYTES_MAX);
    enum err e;

    if (r == NULL)
        return fail(ERR_NOT_FOUND, "there is no resource \"%.*s\"", STR_ARG(resource));
    if ((e = put_key(&key, r, database.len > 0 ? database : r->database)) == OK)
        e = catalogs_read(k->catalogs, buf_str(&key), deadline_ms, out);
    buf_free(&key);
    return e;
}
