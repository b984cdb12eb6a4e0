#include "protocol/postgres/hold.h"

#include <stdio.h>

#include "base/clock.h"
#include "protocol/postgres/ask.h"
#include "protocol/postgres/preview.h"
#include "protocol/postgres/refusal.h"
#include "protocol/postgres/session.h"
#include "protocol/postgres/wait.h"

enum {
    NOTICE_BYTES_MAX = 8 << 10,
    PART_BYTES_MAX = 6 << 10,
    CONTEXT_ARENA_BYTES = 64 << 10,
    LEFT_LOOK_MS = 20,
    EXECUTE_DEPTH_MAX = 8,
};

/* The client's end. */

/* Nobody waits for the answer any more once the client has closed, or can say nothing more: not
 * even that it takes the command back. A client that only shuts its writing side down after its
 * last message still reads that the command was withdrawn. */
static void
watch_client(void *arg)
{
    struct pgsession *s = arg;
    enum err e = fiber_wait_hangup(stream_fd(s->client), FIBER_FOREVER);

    while (e == OK && !gate_withdraw(s->gate, true)) /* not held yet: soon */
        if (fiber_sleep_until(clock_monotonic_ms() + LEFT_LOOK_MS) != ERR_TIMEOUT)
            return;
}

static void
stop_watching(struct pgsession *s)
{
    if (s->hold.watcher == NULL)
        return;
    fiber_cancel(s->hold.watcher);
    fiber_join(s->hold.watcher);
    s->hold.watcher = NULL;
}

/* Where the command would run. */

/* What SQL's EXECUTE stands for, as long as that is known. */
static void
put_prepared(struct pgsession *s, const struct pgstatement *statement, int depth, struct buf *out)
{
    if (statement == NULL || depth > EXECUTE_DEPTH_MAX)
        return;
    for (size_t i = 0; i < statement->n_uses; i++) {
        const struct pgname_use *use = &statement->uses[i];
        const struct pgstatement *meant;

        if (use->kind != SQL_EXECUTE)
            continue;
        meant = (const struct pgstatement *)pgnames_get(s->statements, use->name);
        if (meant == NULL)
            continue;
        buf_put_text(out, "\nEXECUTE ");
        buf_put_str(out, use->name);
        buf_put_text(out, " is: ");
        buf_put_str(out, meant->text);
        put_prepared(s, meant, depth + 1, out);
    }
}

/* [waits] By whom and where names are looked up. */
static enum err
put_context(struct pgsession *s, struct buf *out)
{
    struct arena *arena = arena_new(CONTEXT_ARENA_BYTES);
    struct pgask_rows rows;
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory for a question");
    e = pgask_for_rows(s,
                       STR("SELECT pg_catalog.current_setting('role'), CURRENT_USER, "
                           "pg_catalog.current_setting('search_path')"),
                       3, arena, &rows, NULL);
    if (e == OK && rows.n_rows != 1)
        e = fail(ERR_PROTOCOL, "an answer with other rows");
    if (e == OK) {
        buf_put_text(out, "role ");
        buf_put_str(out, rows.fields[1]);
        buf_put_text(out, "; search_path ");
        buf_put_str(out, rows.fields[2]);
    }
    arena_free(arena);
    return e;
}

static bool
ends_transaction(const struct command *command)
{
    for (size_t i = 0; i < command->n_demands; i++)
        if ((command->demands[i].classes & CLASSES(TRANSACTION)) != 0)
            return true;
    return false;
}

/* [waits] All that was asked before it is answered, so that the client is told in order, and so
 * that what it means and whether it would run at all is known. */
static enum err
come_to_it(struct pgsession *s)
{
    enum err e;

    if ((e = pgwait_flush(s)) != OK || (e = pgwait_idle(s)) != OK || (e = pgwait_cancel(s)) != OK)
        return e;
    return s->skipping ? fail(ERR_DENIED, "an earlier message failed") : OK;
}

static enum err
prepare(void *arg, const struct command *command, struct buf *context, bool *in_transaction)
{
    struct pgsession *s = arg;
    enum err e;

    if (s->hold.watcher == NULL &&
        (e = fiber_start("client-watch", watch_client, s, &s->hold.watcher)) != OK)
        return e;
    if ((e = come_to_it(s)) != OK)
        return e;
    *in_transaction = s->status != PGWIRE_IDLE || s->executed == s->segment;
    if (s->status == PGWIRE_FAILED && !ends_transaction(command))
        return fail(ERR_DENIED, "the transaction has failed");
    if (s->status != PGWIRE_FAILED && (e = put_context(s, context)) != OK)
        return e;
    put_prepared(s, s->hold.statement, 1, context);
    return buf_ok(context) == OK ? OK : fail(ERR_LIMIT, "its prepared statements are too large");
}

static enum err
preview(void *arg, const struct command *command, enum step_up_preview kind, struct buf *json)
{
    return pgpreview(arg, command, kind, json);
}

/* What the client is told. */

static void
put_notice(struct buf *out, const struct hold *hold)
{
    struct buf message = buf_make(PART_BYTES_MAX), detail = buf_make(PART_BYTES_MAX),
               hint = buf_make(PART_BYTES_MAX);
    struct pgwire_failure notice = {.severity = "NOTICE", .sqlstate = "00000"};
    char until[CLOCK_TEXT_BYTES];

    (void)clock_format(hold->expires_us, until);
    buf_put_text(&message, "this command waits for an approval");
    if (hold->approvers.len > 0) {
        buf_put_text(&message, " by ");
        buf_put_str(&message, hold->approvers);
    }
    buf_printf(&message, ": request %.*s, until %.19sZ", STR_ARG(hold->request), until);
    buf_put_text(&detail, "rule \"");
    buf_put_str(&detail, hold->rule);
    buf_put_text(&detail, "\"");
    if (hold->message.len > 0) {
        buf_put_text(&detail, ": ");
        buf_put_str(&detail, hold->message);
    }
    if (hold->url.len > 0) {
        buf_put_text(&hint, "decide at ");
        buf_put_str(&hint, hold->url);
        buf_put_text(&hint, "; ");
    }
    buf_put_text(&hint, "cancel the statement to withdraw the request");
    notice.message = buf_str(&message);
    notice.detail = buf_str(&detail);
    notice.hint = buf_str(&hint);
    pgwire_put_notice(out, &notice);
    buf_free(&message);
    buf_free(&detail);
    buf_free(&hint);
}

/* [waits] At once, between two messages of the server: it may say something at any time. */
static enum err
held(void *arg, const struct hold *hold, int64_t deadline_ms)
{
    struct pgsession *s = arg;
    struct buf out = buf_make(4 * NOTICE_BYTES_MAX);
    enum err e;

    put_notice(&out, hold);
    if ((e = buf_ok(&out)) == OK)
        e = pglane_interject(&s->down, buf_str(&out), deadline_ms);
    buf_free(&out);
    return e;
}

void
pghold_open(struct pgsession *s)
{
    struct gate_holder holder = {s, prepare, preview, held};

    gate_set_holder(s->gate, &holder);
}

enum err
pghold_admit(struct pgsession *s, const struct command *command,
             const struct pgstatement *statement, struct approval *approval, struct admission *out)
{
    enum err e;

    s->hold.statement = statement;
    e = gate_admit_again(s->gate, command, approval, out);
    s->hold.statement = NULL;
    stop_watching(s);
    if (e == OK && approval != NULL && out->held == HOLD_APPROVED)
        *approval = out->approval;
    return e;
}

/* Refusals. */

static const struct {
    const char *sqlstate, *hint;
} refusals[] = {
    [HOLD_DENIED] = {"42501", "talk to whoever denied it before you ask again"},
    [HOLD_TIMED_OUT] = {"42501", "send it again to ask again, when somebody is there to decide"},
    [HOLD_WITHDRAWN] = {"57014", "nothing of it reached the target"},
    [HOLD_LEFT] = {"57014", "nothing of it reached the target"},
    [HOLD_UNAVAILABLE] = {"57P03", "nothing of it reached the target; try again, and tell an "
                                   "operator if it happens again"},
    [HOLD_POLICY_CHANGED] = {"42501", "nothing of it reached the target"},
    [HOLD_TOO_LARGE] = {"54000", "split it, or load the data in another way"},
    [HOLD_SKIPPED] = {"25P02", "end the transaction block"},
};

enum err
pghold_refusal(const struct admission *admission, struct buf **out)
{
    const struct verdict *v = &admission->verdict;
    struct buf detail = buf_make(PART_BYTES_MAX);
    struct pgwire_failure failure = {.severity = "ERROR",
                                     .sqlstate = refusals[admission->held].sqlstate,
                                     .message = v->message,
                                     .hint = str_from(refusals[admission->held].hint)};
    enum err e;

    if (admission->held == HOLD_SKIPPED)
        failure.message = STR("current transaction is aborted, commands ignored until end of "
                              "transaction block");
    if (v->rule.len > 0) {
        buf_put_text(&detail, "rule \"");
        buf_put_str(&detail, v->rule);
        buf_put_text(&detail, "\"");
        if (admission->request.len > 0) {
            buf_put_text(&detail, "; request ");
            buf_put_str(&detail, admission->request);
        }
        buf_put_text(&detail, ".");
    }
    failure.detail = buf_str(&detail);
    e = pgrefusal_of_failure(&failure, out);
    buf_free(&detail);
    return e;
}
