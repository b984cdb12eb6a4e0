#include "protocol/postgres/session.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/postgres/limit.h"
#include "protocol/postgres/postgres.h"
#include "protocol/postgres/startup.h"

enum {
    IDLE_MS = 1000,     /* without a byte of the client: memory is given back */
    BOUNDARY_MS = 500,  /* for the end of a frame, before a farewell */
    TERMINATE_MS = 200, /* for telling the server that we leave */
    CANCEL_MS = 10000,
    LAST_CANCEL_MS = 2000,
};

enum err
pgsession_end(struct pgsession *s, enum err code, const struct pgwire_failure *failure)
{
    if (!s->over) {
        s->over = true;
        s->result = code;
        (void)snprintf(s->result_text, sizeof(s->result_text), "%s", err_text());
        if (failure != NULL && !s->leaving)
            pgwire_put_error(&s->farewell, failure);
        fiber_condition_signal(&s->wake);
        fiber_condition_signal(&s->progress);
    }
    return code;
}

enum err
pgsession_fatal(struct pgsession *s, enum err code, const char *sqlstate)
{
    char text[ERR_TEXT_MAX];
    struct pgwire_failure failure = {.severity = "FATAL", .sqlstate = sqlstate};

    (void)snprintf(text, sizeof(text), "%s", err_text());
    failure.message = str_from(text);
    return pgsession_end(s, code, &failure);
}

enum err
pgsession_outcome(struct pgsession *s, const struct pganswer *answer, bool unknown)
{
    struct outcome outcome = {.rows = answer->stopped != NULL ? answer->delivered : answer->rows,
                              .bytes = answer->bytes,
                              .unknown = unknown,
                              .limit = str_from(answer->limit),
                              .masked = answer->masked,
                              .detected = answer->findings};
    enum err e;

    if (!answer->admitted)
        return OK;
    if (answer->failed && !unknown)
        outcome.error = (struct str){answer->sqlstate, PGSQLSTATE_LEN};
    if ((e = gate_outcome(s->gate, answer->command, &outcome)) != OK)
        return pgsession_fatal(s, e, "58000");
    return OK;
}

/* The fibers. */

static void
upstream_fiber(void *arg)
{
    struct pgsession *s = arg;

    err_ignore(pgupstream_run(s));
    s->up_done = true;
    fiber_condition_signal(&s->wake);
}

static void
downstream_fiber(void *arg)
{
    struct pgsession *s = arg;

    err_ignore(pgdownstream_run(s));
    s->down_done = true;
    fiber_condition_signal(&s->wake);
    fiber_condition_signal(&s->progress);
}

/* Token expiry, revocation, kill, shutdown. */
static void
end_fiber(void *arg)
{
    struct pgsession *s = arg;
    struct pgwire_failure failure = {.severity = "FATAL", .sqlstate = "57P01"};
    enum gate_end end;

    if (gate_wait_end(s->gate, FIBER_FOREVER, &end, &failure.message) != OK)
        return;
    s->grant_is_over = true;
    err_ignore(fail(ERR_DENIED, "%.*s", STR_ARG(failure.message)));
    err_ignore(pgsession_end(s, ERR_DENIED, &failure));
}

static void
drop_connection(int fd)
{
    struct stream *unused;

    if (stream_open(fd, &unused) == OK)
        stream_close(unused);
}

/* Cancel requests that somebody made with this session's key. */
static void
cancel_fiber(void *arg)
{
    struct pgsession *s = arg;
    int fd;

    while (door_wait_cancel(s->door, FIBER_FOREVER, &fd) == OK) {
        if (!s->cancelling && gate_withdraw(s->gate, false)) { /* the target knows nothing of it */
            drop_connection(fd);
            if (gate_note(s->gate, STR("cancel_request"), STR("withdrew what was held")) != OK)
                return;
            continue;
        }
        if (s->target->cancel_secret_len == 0) {
            drop_connection(fd);
            s->cancelling = false;
            continue;
        }
        if (gate_note(s->gate, STR("cancel_request"), STR("forwarded to the target")) != OK)
            return;
        if (pgtarget_cancel(s->door, s->grant, s->target, fd, clock_monotonic_ms() + CANCEL_MS) !=
            OK)
            log_warning("cancel_failed", "reason=\"%s\"", err_text());
        s->cancelling = false;
        fiber_condition_signal(&s->progress);
    }
}

enum { UPSTREAM, DOWNSTREAM, END, CANCEL, N_FIBERS };

static enum err
start_fibers(struct pgsession *s, struct fiber *fibers[N_FIBERS])
{
    static const struct {
        const char *name;
        fiber_fn *fn;
    } all[N_FIBERS] = {
        [UPSTREAM] = {"upstream", upstream_fiber},
        [DOWNSTREAM] = {"downstream", downstream_fiber},
        [END] = {"end", end_fiber},
        [CANCEL] = {"cancel", cancel_fiber},
    };
    enum err e;

    for (int i = 0; i < N_FIBERS; i++)
        if ((e = fiber_start(all[i].name, all[i].fn, s, &fibers[i])) != OK)
            return e;
    return OK;
}

static void
give_memory_back(struct pgsession *s)
{
    stream_trim(s->client);
    stream_trim(s->target->stream);
    pganswers_trim(&s->answers);
    pglane_trim(&s->up);
    pglane_trim(&s->down);
    (void)malloc_trim(0);
}

/* [waits] What runs too long is stopped, and what was stopped is cancelled: with the session's own
 * key, so that it goes the way of every cancel request. */
static void
enforce_limits(struct pgsession *s)
{
    enum err e;

    if ((e = pglimit_check_time(s)) != OK)
        err_ignore(pgsession_fatal(s, e, "53200"));
    if (!s->cancel_wanted)
        return;
    s->cancel_wanted = false;
    door_cancel(s->door, s->grant->cancel_id, s->grant->cancel_secret);
}

/* [waits] Until the session is over. Meanwhile one look a second at a session that works, none at
 * one that sleeps. */
static void
wait_for_end(struct pgsession *s)
{
    while (!s->over && !s->down_done) {
        int64_t look = clock_monotonic_ms() + IDLE_MS, deadline = pglimit_deadline(s);
        enum err e;

        s->active = false;
        e = fiber_condition_wait(&s->wake, look < deadline ? look : deadline);
        enforce_limits(s);
        if (e != ERR_TIMEOUT || s->active || s->answers.count > 0)
            continue;
        give_memory_back(s);
        s->asleep = true;
        while (s->asleep && !s->over && !s->down_done)
            if (fiber_condition_wait(&s->wake, FIBER_FOREVER) != OK)
                break;
    }
}

/* [waits] Lets a write to the client that is under way come to the end of a frame, shortly. */
static void
wait_for_boundary(struct pgsession *s)
{
    int64_t deadline = clock_monotonic_ms() + BOUNDARY_MS;

    while (s->farewell.len > 0 && (s->down.writing || s->down.within_frame) && !s->down_done)
        if (fiber_condition_wait(&s->wake, deadline) != OK)
            break;
}

static void
stop_fibers(struct fiber *fibers[N_FIBERS])
{
    for (int i = 0; i < N_FIBERS; i++)
        if (fibers[i] != NULL)
            fiber_cancel(fibers[i]);
    for (int i = 0; i < N_FIBERS; i++)
        if (fibers[i] != NULL)
            fiber_join(fibers[i]);
}

/* [waits] The last words to both sides. */
static void
say_farewell(struct pgsession *s)
{
    struct buf terminate = buf_make(16);

    if (!s->up.writing && !s->up.within_frame && !s->leaving) {
        pgwire_put_plain(&terminate, 'X', STR(""));
        err_ignore(stream_write(s->target->stream, buf_str(&terminate),
                                clock_monotonic_ms() + TERMINATE_MS));
    }
    buf_free(&terminate);
    /* The server hears of the end before a slow client does. */
    stream_shutdown(s->target->stream);
    if (s->farewell.len > 0 && !s->down.writing && !s->down.within_frame)
        pgstartup_farewell_bytes(s->client, buf_str(&s->farewell));
}

/* [waits] A server does not notice that its client has gone while it works: what the grant no
 * longer covers is cancelled, as the client itself could have done. */
static void
cancel_what_runs(struct pgsession *s)
{
    int fd;

    if (!s->grant_is_over || s->answers.count == 0 || s->target->cancel_secret_len == 0)
        return;
    door_cancel(s->door, s->grant->cancel_id, s->grant->cancel_secret);
    if (door_wait_cancel(s->door, clock_monotonic_ms() + LAST_CANCEL_MS, &fd) != OK) {
        log_warning("cancel_failed", "reason=\"%s\"", err_text());
        return;
    }
    err_ignore(gate_note(s->gate, STR("cancel_request"), STR("the grant is over")));
    if (pgtarget_cancel(s->door, s->grant, s->target, fd, clock_monotonic_ms() + LAST_CANCEL_MS) !=
        OK)
        log_warning("cancel_failed", "reason=\"%s\"", err_text());
}

/* What the server never answered. */
static void
close_answers(struct pgsession *s)
{
    struct pganswer *head;

    while ((head = pganswers_head(&s->answers)) != NULL) {
        err_ignore(pgsession_outcome(s, head, true));
        pganswers_pop(&s->answers, PGNAME_FAILED);
    }
    err_ignore(pgsession_outcome(s, &s->write.rest, true)); /* neither committed nor rolled back */
}

struct analysis {
    struct str text;
    const struct sql_context *context;
    struct arena *arena;
    struct sql_facts *out;
    enum err result;
};

static void
deep_analysis(void *arg)
{
    struct analysis *a = arg;

    a->result = sql_analyze(a->text, a->context, a->arena, a->out);
}

/* The parser recurses: it runs on the process's big stack. */
static enum err
analyze(struct str text, const struct sql_context *context, struct arena *arena,
        struct sql_facts *out)
{
    struct analysis a = {text, context, arena, out, OK};

    fiber_call_deep(deep_analysis, &a);
    return a.result;
}

static enum err
prepare(struct pgsession *s)
{
    s->statements = pgnames_new(PGSTATEMENTS_MAX, PGSTATEMENTS_BYTES_MAX);
    s->portals = pgnames_new(PGPORTALS_MAX, PGPORTALS_BYTES_MAX);
    s->cursors = pgnames_new(PGPORTALS_MAX, PGPORTALS_BYTES_MAX);
    s->cache = sql_cache_new(PGSQL_CACHE_BYTES, analyze);
    if (s->statements == NULL || s->portals == NULL || s->cursors == NULL || s->cache == NULL)
        return fail(ERR_NOMEM, "no memory for the session");
    return OK;
}

static void
release(struct pgsession *s)
{
    pganswers_free(&s->answers);
    pgaffected_free(s);
    pgrows_free(&s->rows);
    pgrecord_free(&s->record);
    pglane_free(&s->up);
    pglane_free(&s->down);
    pgnames_free(s->cursors);
    pgnames_free(s->portals);
    pgnames_free(s->statements);
    if (s->cache != NULL)
        sql_cache_free(s->cache);
    pgcontext_close(&s->context);
    buf_free(&s->farewell);
}

enum err
pgsession_run(struct door *door, const struct grant *grant, struct pgtarget *target)
{
    struct pgsession s = {.door = door,
                          .gate = door->gate,
                          .grant = grant,
                          .target = target,
                          .client = door->client,
                          .up = pglane_make(door->client, target->stream),
                          .down = pglane_make(target->stream, door->client),
                          .status = target->status,
                          .segment = 1,
                          .farewell = buf_make(PGERROR_BYTES_MAX)};
    struct fiber *fibers[N_FIBERS] = {0};
    enum err e;

    pgpurpose_begin(&s);
    pghold_open(&s);
    if ((e = prepare(&s)) == OK && (e = start_fibers(&s, fibers)) == OK)
        wait_for_end(&s);
    else
        err_ignore(pgsession_fatal(&s, e, "53200"));
    wait_for_boundary(&s);
    stop_fibers(fibers);
    say_farewell(&s);
    cancel_what_runs(&s);
    close_answers(&s);
    e = s.result;
    if (e != OK)
        err_ignore(fail(e, "%s", s.result_text));
    release(&s);
    return e;
}

/* The story of one connection. */

/* [waits] Tells the client that it is in: what the server said of itself, and our own key. */
static enum err
welcome(struct door *door, const struct pgstartup *start, const struct pgtarget *target)
{
    struct buf out = buf_make(PGTARGET_PARAMETERS_BYTES_MAX + 512);
    struct str secret = start->grant.cancel_secret;
    enum err e;

    if (!start->long_keys && secret.len > 4)
        secret.len = 4;
    pgwire_put_authentication(&out, PGWIRE_AUTH_OK);
    buf_put_str(&out, buf_str(&target->parameters));
    pgwire_put_key(&out, start->grant.cancel_id, secret);
    pgwire_put_ready(&out, target->status);
    if ((e = buf_ok(&out)) == OK)
        e = stream_write(door->client, buf_str(&out), door->handshake_deadline_ms);
    buf_free(&out);
    return e;
}

/* [waits] With a grant: the target, then the session. */
static enum err
serve_granted(struct door *door, struct pgstartup *start)
{
    struct pgtarget target;
    enum err e;

    e = pgtarget_open(door, &start->grant, &start->settings, &target);
    if (e != OK) {
        struct pgwire_failure failure = {
            .severity = "FATAL", .sqlstate = target.sqlstate, .message = str_from(target.reason)};

        pgstartup_farewell(door->client, &failure);
        err_ignore(fail(e, "%s", target.reason));
    } else if ((e = gate_set_purpose(door->gate, pgsettings_purpose(&start->settings))) == OK &&
               (e = welcome(door, start, &target)) == OK) {
        buf_free(&target.parameters);
        e = pgsession_run(door, &start->grant, &target);
    }
    pgtarget_close(&target);
    return e;
}

enum err
postgres_serve(struct door *door)
{
    struct pgstartup start;
    enum err e;

    if ((e = pgstartup_accept(door, &start)) != OK)
        return e;
    e = serve_granted(door, &start);
    pgstartup_free(&start);
    return e;
}
