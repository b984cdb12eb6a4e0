/* The ledger: search, one record, verification, export, and what is counted from it. All of it
 * reads files, on helper threads (search.h). */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/events.h"
#include "control/pages.h"
#include "control/search.h"
#include "fiber/fiber.h"

enum {
    EXPORT_BLOCK_BYTES = 80 << 20, /* one record may be so long */
    EXPORT_AHEAD_BYTES = 1 << 20,
    EXPORT_STALL_MS = 30 * 1000,
    DAYS_DEFAULT = 7,
};

enum err
api_ledger_directory(const struct api_request *q, char **out)
{
    *out = arena_text(q->arena, q->config->ledger_directory);
    return *out == NULL ? fail(ERR_NOMEM, "no memory for a path") : OK;
}

/* One question for a helper thread; it looks at nothing else. */
struct question {
    const char *directory;
    struct search_query query;
    uint64_t sequence;
    unsigned days;
    int64_t wall_us;
    struct search_export *export;
    struct buf *out;
    enum err e;
};

static enum err
ask(struct question *w, fiber_fn *fn, struct api_request *q)
{
    char *directory;
    enum err e;

    if ((e = api_ledger_directory(q, &directory)) != OK)
        return e;
    w->directory = directory;
    w->wall_us = clock_wall_us();
    w->out = &q->reply->body;
    (void)reply_json(q->reply, 200);
    q->reply->body.max = SEARCH_ANSWER_BYTES_MAX + (1 << 20);
    return (e = fiber_offload(fn, w)) != OK ? e : w->e;
}

static void
do_search(void *arg)
{
    struct question *w = arg;

    w->e = search_ledger(w->directory, &w->query, NULL, w->out);
}

static void
do_record(void *arg)
{
    struct question *w = arg;

    w->e = search_record(w->directory, w->sequence, w->out);
}

static void
do_verify(void *arg)
{
    struct question *w = arg;

    w->e = search_verify(w->directory, w->out);
}

static void
do_overview(void *arg)
{
    struct question *w = arg;

    w->e = search_overview(w->directory, w->days, w->wall_us, NULL, w->out);
}

static enum err
read_query(const struct api_request *q, struct search_query *out)
{
    int64_t now = clock_wall_us();
    enum err e;

    for (size_t i = 0; i < q->query.n; i++) {
        struct str name = q->query.fields[i].name;

        e = search_query_set(out, q->arena, name, q->query.fields[i].value, now);
        if (e == ERR_NOT_FOUND)
            return fail(ERR_INVALID, "there is no parameter \"%.*s\" here",
                        (int)(name.len > 64 ? 64 : name.len), name.ptr);
        if (e != OK)
            return e;
    }
    return OK;
}

enum err
api_ledger_search(struct api_request *q)
{
    struct question w = {0};
    enum err e = read_query(q, &w.query);

    return e == OK ? ask(&w, do_search, q) : e;
}

enum err
api_ledger_record(struct api_request *q)
{
    struct question w = {0};

    if (!str_to_uint(q->parameters[0], UINT64_MAX, &w.sequence))
        return fail(ERR_NOT_FOUND, "a record has a number");
    return ask(&w, do_record, q);
}

enum err
api_ledger_verify(struct api_request *q)
{
    struct question w = {0};
    enum err e = request_audit(q, "ledger_verified", "asked for a verification");

    return e == OK ? ask(&w, do_verify, q) : e;
}

enum err
api_overview(struct api_request *q)
{
    struct question w = {0};
    uint64_t days = DAYS_DEFAULT;
    enum err e = request_query_uint(q, "days", SEARCH_DAYS_MAX, &days);

    w.days = days == 0 ? 1 : (unsigned)days;
    return e == OK ? ask(&w, do_overview, q) : e;
}

/* --- export --------------------------------------------------------------------------------------
 */

struct exporting {
    struct arena *arena; /* of the query's texts; ours */
    struct question question;
    struct event_queue *queue; /* the writer's end */
    struct buf block;
};

static void
do_open_export(void *arg)
{
    struct question *w = arg;

    w->e = search_export_open(w->directory, &w->query, &w->export);
}

static void
do_read_export(void *arg)
{
    struct question *w = arg;

    w->e = search_export_read(w->export, NULL, w->out);
}

static void
exporting_free(struct exporting *x)
{
    search_export_close(x->question.export);
    if (x->queue != NULL)
        event_queue_end(x->queue);
    buf_free_secret(&x->block);
    arena_free(x->arena);
    free(x);
}

/* A fiber: reads on as fast as the client takes it. An export that fails ends in the middle of a
 * line's absence: clients see the connection end without its last chunk. */
static void
export_all(void *arg)
{
    struct exporting *x = arg;
    enum err e;

    do {
        buf_reset(&x->block);
        x->question.out = &x->block;
        if ((e = fiber_offload(do_read_export, &x->question)) == OK)
            e = x->question.e;
        if ((e == OK || e == ERR_CLOSED) && x->block.len > 0 &&
            !event_queue_push_bytes(x->queue, buf_str(&x->block)))
            break;
        if (e == OK)
            e = event_queue_drain(x->queue, EXPORT_AHEAD_BYTES,
                                  clock_monotonic_ms() + EXPORT_STALL_MS);
    } while (e == OK);
    if (e != OK && e != ERR_CLOSED)
        event_queue_fail(x->queue);
    exporting_free(x);
}

static enum err
open_export(struct api_request *q, struct exporting *x)
{
    char *directory;
    enum err e;

    if ((x->arena = arena_new(1 << 20)) == NULL ||
        (x->queue = event_queue_new(EXPORT_BLOCK_BYTES + EXPORT_AHEAD_BYTES)) == NULL)
        return fail(ERR_NOMEM, "no memory for an export");
    q->reply->stream = x->queue;
    if ((directory = arena_text(x->arena, q->config->ledger_directory)) == NULL)
        return fail(ERR_NOMEM, "no memory for an export");
    x->question.directory = directory;
    for (size_t i = 0; i < q->query.n; i++) {
        e = search_query_set(&x->question.query, x->arena, q->query.fields[i].name,
                             q->query.fields[i].value, clock_wall_us());
        if (e != OK)
            return e == ERR_NOT_FOUND ? fail(ERR_INVALID, "there is no such parameter here") : e;
    }
    if ((e = request_audit(q, "ledger_exported", "%zu filters", q->query.n)) != OK ||
        (e = fiber_offload(do_open_export, &x->question)) != OK || (e = x->question.e) != OK)
        return e;
    return fiber_start("export", export_all, x, NULL);
}

enum err
api_ledger_export(struct api_request *q)
{
    struct exporting *x = calloc(1, sizeof(*x));
    enum err e;

    if (x == NULL)
        return fail(ERR_NOMEM, "no memory for an export");
    x->block = buf_make(EXPORT_BLOCK_BYTES);
    if ((e = open_export(q, x)) != OK) {
        exporting_free(x);
        return e;
    }
    q->reply->status = 200;
    q->reply->type = "application/x-ndjson";
    buf_put_text(&q->reply->filename, "ledger.ndjson");
    return OK;
}
