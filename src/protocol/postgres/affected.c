#include "protocol/postgres/affected.h"

#include <stdlib.h>

#include "protocol/postgres/ask.h"
#include "protocol/postgres/limit.h"
#include "protocol/postgres/refusal.h"
#include "protocol/postgres/wait.h"

enum { COMPLETE_BYTES_MAX = 2048 };

bool
pgaffected_limits(const struct pganswer *answer)
{
    return answer->admitted && answer->writes && answer->view != NULL &&
           answer->view->limits.max_affected_rows != 0;
}

static enum err
wrap(struct pgsession *s, const char **refused, const char **sqlstate)
{
    struct pgask begin = {0};
    enum err e = pgask(s, STR("BEGIN"), &begin);

    if (e == ERR_DENIED) {
        *refused = "the gateway could not begin the transaction in which this write would be "
                   "limited";
        *sqlstate = "25000";
        return OK;
    }
    s->write.wrapped = e == OK;
    return e;
}

enum err
pgaffected_begin(struct pgsession *s, bool simple, struct pganswer *answer, const char **refused,
                 const char **sqlstate)
{
    enum err e = OK;

    *refused = NULL;
    if (simple && !pgwait_between_segments(s)) {
        *refused = "a limited write cannot follow messages of the extended protocol without Sync";
        *sqlstate = "0A000";
        return OK;
    }
    if (simple && (e = pgwait_idle(s)) != OK) /* then the state is known */
        return e;
    if (simple && s->status == PGWIRE_FAILED) /* it will fail by itself */
        return OK;
    s->write = (struct pgwrite){.simple = simple,
                                .max = answer->view->limits.max_affected_rows,
                                .complete = buf_make(COMPLETE_BYTES_MAX)};
    if (simple && s->status == PGWIRE_IDLE &&
        ((e = wrap(s, refused, sqlstate)) != OK || *refused != NULL))
        return e;
    s->write.under_way = answer->limited = true;
    s->write.view = pgview_hold(answer->view);
    s->write.entry = pgwait_next_entry(s);
    return OK;
}

void
pgaffected_free(struct pgsession *s)
{
    buf_free(&s->write.complete);
    pgview_release(s->write.view);
    s->write = (struct pgwrite){0};
}

/* Settling. */

static struct buf *
new_message(void)
{
    struct buf *message = malloc(sizeof(*message));

    if (message != NULL)
        *message = buf_make(COMPLETE_BYTES_MAX);
    return message;
}

/* The error of a write that changed too much. */
static struct buf *
excess_error(const struct pgwrite *w)
{
    struct buf *error = new_message();

    if (error != NULL)
        pglimit_put_error(w->view, "max_affected_rows", error);
    return error;
}

/* [waits] */
static enum err
send_entry(struct pgsession *s, struct pganswer *answer, struct str text)
{
    struct buf out = buf_make(512);
    enum err e;

    if ((e = pgwait_room(s, 1)) != OK) {
        pgrefusal_free(answer->refusal);
        pgrefusal_free(answer->replacement);
        pgview_release(answer->view);
        return e;
    }
    pganswers_push(&s->answers, answer);
    if (answer->kind == PGWIRE_OF_QUERY) {
        pgwire_put_query(&out, text);
        pgwait_begin_segment(s);
    } else {
        pgwire_put_parse(&out, pgrefusal_name, text);
    }
    if ((e = buf_ok(&out)) == OK)
        e = pglane_insert(&s->up, buf_str(&out));
    buf_free(&out);
    return e;
}

/* [waits] A statement that fails, and with it the transaction: the client gets our error for it. */
static enum err
make_it_fail(struct pgsession *s)
{
    struct pganswer answer = {.kind = s->write.simple ? PGWIRE_OF_QUERY : PGWIRE_OF_PARSE,
                              .refusal = excess_error(&s->write)};

    if (answer.refusal == NULL)
        return pgsession_fatal(s, fail(ERR_NOMEM, "no memory for a refusal"), "53200");
    s->skipping = !s->write.simple;
    return send_entry(s, &answer, pgrefusal_statement);
}

/* [waits] The end of a transaction of ours: its ReadyForQuery is the client's, and in place of its
 * CommandComplete goes that of the write, or our error; nothing if the client has had the server's.
 */
static enum err
end_wrapped(struct pgsession *s)
{
    struct pgwrite *w = &s->write;
    bool commit = !w->failed && !w->exceeded;
    struct pganswer answer = w->rest;

    answer.kind = PGWIRE_OF_QUERY;
    answer.view = pgview_hold(w->view);
    answer.commits = commit;
    answer.replacement = w->exceeded ? excess_error(w) : new_message();
    if (answer.replacement == NULL)
        return pgsession_fatal(s, fail(ERR_NOMEM, "no memory for a transaction"), "53200");
    if (commit)
        buf_put_str(answer.replacement, buf_str(&w->complete));
    w->rest = (struct pganswer){0};
    return send_entry(s, &answer, commit ? STR("COMMIT") : STR("ROLLBACK"));
}

/* [waits] COPY data of a later statement, after the write was found to change too much. */
static enum err
refuse_copy(struct pgsession *s)
{
    struct buf out = buf_make(64);
    enum err e;

    pgwire_put_string(&out, 'f', STR("a limit was passed"));
    s->copy_in = false;
    e = pglane_insert(&s->up, buf_str(&out));
    buf_free(&out);
    return e;
}

enum err
pgaffected_settle(struct pgsession *s)
{
    struct pgwrite *w = &s->write;
    enum err e;

    if (!w->under_way)
        return OK;
    w->awaits_copy = false;
    if ((e = pgwait_flush(s)) != OK)
        return e;
    while (s->answers.removed <= w->entry) {
        if (s->copy_in && !w->exceeded) {
            w->awaits_copy = true;
            return OK;
        }
        if (s->copy_in && (e = refuse_copy(s)) != OK)
            return e;
        if ((e = pgwait_progress(s)) != OK)
            return e;
    }
    w->under_way = false;
    if (w->wrapped)
        e = end_wrapped(s);
    else if (w->exceeded)
        e = make_it_fail(s);
    buf_free(&w->complete);
    pgview_release(w->view);
    w->view = NULL;
    return e;
}

enum err
pgaffected_roll_back(struct pgsession *s)
{
    struct pgask rollback = {0};

    if (!s->write.abandoned)
        return OK;
    pgaffected_free(s);
    return pgask(s, STR("ROLLBACK"), &rollback);
}

/* Downstream. */

void
pgaffected_count(struct pgsession *s, struct str tag, uint64_t rows)
{
    static const char *const tags[] = {"INSERT ", "UPDATE ", "DELETE ", "MERGE ", "COPY "};
    struct pgwrite *w = &s->write;
    bool to_client = s->rows.kind == PGROWS_COPY_TEXT || s->rows.kind == PGROWS_COPY_BINARY;

    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
        if (str_starts(tag, str_from(tags[i])) && !(to_client && tags[i][0] == 'C'))
            w->changed += rows;
    if (w->changed > w->max)
        w->exceeded = true;
}

bool
pgaffected_takes_over(struct pgsession *s)
{
    struct pganswer *head = pganswers_head(&s->answers);
    struct pgwrite *w = &s->write;

    if (w->exceeded) {
        head->failed = true;
        head->limit = "max_affected_rows";
        memcpy(head->sqlstate, "54000", PGSQLSTATE_LEN);
    }
    if (!w->wrapped)
        return w->exceeded;
    if (w->failed && w->awaits_copy) { /* the upstream fiber waits for the client */
        w->under_way = false;
        w->abandoned = true;
        return false;
    }
    w->rest = (struct pganswer){.admitted = head->admitted,
                                .command = head->command,
                                .rows = head->rows,
                                .bytes = head->bytes,
                                .masked = head->masked,
                                .findings = head->findings,
                                .limit = head->limit,
                                .failed = head->failed};
    memcpy(w->rest.sqlstate, head->sqlstate, PGSQLSTATE_LEN);
    head->admitted = false;
    return true;
}
