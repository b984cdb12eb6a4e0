/* Server to client: answers are matched with what was asked, and passed on in place. */
#include "protocol/postgres/ask.h"
#include "protocol/postgres/deliver.h"
#include "protocol/postgres/errors.h"
#include "protocol/postgres/limit.h"
#include "protocol/postgres/redact.h"
#include "protocol/postgres/refusal.h"
#include "protocol/postgres/session.h"

/* One message of the server. */
struct response {
    struct pgsession *s;
    unsigned char type;
    uint32_t body_len;
};

static void
report_progress(struct pgsession *s)
{
    if (!s->progress_wanted)
        return;
    s->progress_wanted = false;
    fiber_condition_signal(&s->progress);
}

/* [waits] The server is not where it should be: nothing that follows can be trusted. What came
 * before it is the client's. */
static enum err
lose_track(struct response *r)
{
    const struct pgwire_rule *rule = pgwire_backend_rule(r->type);
    enum err e;

    if ((e = pglane_flush(&r->s->down)) != OK)
        return e;
    if (rule != NULL)
        err_ignore(fail(ERR_PROTOCOL, "the target broke the protocol: unexpected %s", rule->name));
    else
        err_ignore(fail(ERR_PROTOCOL, "the target broke the protocol: message type %u", r->type));
    return pgsession_fatal(r->s, ERR_PROTOCOL, "08P01");
}

/* [waits] */
static enum err
pass(struct response *r)
{
    return pglane_stream(&r->s->down, r->body_len);
}

/* [waits] */
static enum err
drop(struct response *r)
{
    return pglane_drop(&r->s->down, r->body_len);
}

/* The head is answered. */
static enum err
finish_head(struct pgsession *s, enum pgname_result result)
{
    const struct pganswer *head = pganswers_head(&s->answers);
    enum err e;

    if ((!head->ours || result != PGNAME_DONE) && /* what it described is about to come */
        (e = pgdeliver_end(s)) != OK)
        return e;
    if (head->delivered > 0)
        gate_count_rows(s->gate, head->delivered);
    e = pgsession_outcome(s, head, false);
    s->last_failed = head->failed;
    pganswers_pop(&s->answers, result);
    pglimit_begin(s);
    report_progress(s);
    return e;
}

static enum err
finish_and_pass(struct response *r)
{
    enum err e = finish_head(r->s, PGNAME_DONE);

    return e == OK ? pass(r) : e;
}

static enum err
finish_and_drop(struct response *r)
{
    enum err e = finish_head(r->s, PGNAME_DONE);

    return e == OK ? drop(r) : e;
}

/* The server ignores what follows an error of the extended protocol until Sync. */
static enum err
skip_to_sync(struct pgsession *s)
{
    struct pganswer *head;

    while ((head = pganswers_head(&s->answers)) != NULL && head->kind != PGWIRE_OF_SYNC) {
        struct outcome outcome = {.error = STR("skipped")};
        enum err e = OK;

        if (head->admitted)
            e = gate_outcome(s->gate, head->command, &outcome);
        if (head->ask != NULL)
            head->ask->skipped = true;
        pganswers_pop(&s->answers, PGNAME_FAILED);
        if (e != OK)
            return pgsession_fatal(s, e, "58000");
    }
    if (head == NULL)
        s->skipping = true;
    return OK;
}

/* [waits] A FATAL error: the server closes next. */
static enum err
serve_last_error(struct response *r, const struct pgwire_error *error)
{
    struct pganswer *head = pganswers_head(&r->s->answers);

    r->s->server_is_ending = true;
    if (head != NULL) {
        head->failed = true;
        memcpy(head->sqlstate, error->sqlstate.ptr, PGSQLSTATE_LEN);
    }
    return pass(r);
}

/* Whether the client has no part in an error of this entry. */
static bool
hides_error(const struct pgsession *s, const struct pganswer *head)
{
    return head->silent || head->stopped != NULL || (head->ask != NULL && head->ask->apart) ||
           (head->limited && s->write.exceeded);
}

static bool
sanitises(const struct pganswer *head)
{
    return head != NULL && (head->ask != NULL || (head->view != NULL && head->view->sanitise));
}

/* [waits] An error or notice goes on without what could be data. */
static enum err
pass_sanitised(struct response *r)
{
    struct pgsession *s = r->s;
    size_t prefix = r->body_len < PGERRORS_BODY_MAX ? r->body_len : PGERRORS_BODY_MAX;
    struct buf out = buf_make(PGERRORS_BODY_MAX);
    struct str body;
    enum err e;

    if ((e = pglane_body(&s->down, prefix, &body)) != OK)
        return e;
    pgerrors_put_sanitised(r->type, body, &out);
    if (pganswers_head(&s->answers) != NULL)
        pganswers_head(&s->answers)->bytes += out.len;
    if ((e = buf_ok(&out)) == OK && (e = drop(r)) == OK)
        e = pglane_insert(&s->down, buf_str(&out));
    buf_free(&out);
    return e;
}

/* [waits] The server's error goes on, or ours in its place. */
static enum err
pass_error(struct response *r, struct pganswer *head)
{
    struct buf *refusal = head->refusal;
    enum err e;

    if (hides_error(r->s, head))
        return drop(r);
    if (refusal == NULL && sanitises(head))
        return pass_sanitised(r);
    if (refusal == NULL) {
        head->bytes += PGWIRE_HEADER_BYTES + r->body_len;
        return pass(r);
    }
    if ((e = drop(r)) != OK)
        return e;
    return pglane_insert(&r->s->down, buf_str(refusal));
}

/* Takes an error down where it will be asked for. */
static void
note_error(struct pgsession *s, struct pganswer *head, const struct pgwire_error *error,
           struct str body)
{
    if (head->stopped == NULL) { /* then its own counts */
        head->failed = true;
        memcpy(head->sqlstate, error->sqlstate.ptr, PGSQLSTATE_LEN);
    }
    if (head->limited)
        s->write.failed = true;
    if (head->ask == NULL)
        return;
    head->ask->failed = true;
    memcpy(head->ask->sqlstate, error->sqlstate.ptr, PGSQLSTATE_LEN);
    if (head->ask->message != NULL)
        head->ask->message(head->ask->arg, 'E', body);
}

static enum err
serve_error(struct response *r)
{
    struct pgsession *s = r->s;
    size_t prefix = r->body_len < PGWIRE_PREFIX ? r->body_len : PGWIRE_PREFIX;
    struct pganswer *head;
    struct pgwire_error error;
    struct str body;
    enum err e;

    if ((e = pglane_body(&s->down, prefix, &body)) != OK)
        return e;
    if (pgwire_read_error(body, &error) != OK)
        return lose_track(r);
    if (str_is(error.severity, "FATAL") || str_is(error.severity, "PANIC"))
        return serve_last_error(r, &error);
    if ((head = pganswers_head(&s->answers)) == NULL)
        return lose_track(r);
    note_error(s, head, &error, body);
    s->copy_in = s->copy_out = false;
    pganswers_no_copies(&s->answers);
    if ((e = pass_error(r, head)) != OK)
        return e;
    head = pganswers_head(&s->answers);
    if (head->kind != PGWIRE_OF_QUERY && head->kind != PGWIRE_OF_SYNC) {
        if ((e = finish_head(s, head->kind == PGWIRE_OF_PARSE && head->unnamed ? PGNAME_LOST
                                                                               : PGNAME_FAILED)) !=
                OK ||
            (e = skip_to_sync(s)) != OK)
            return e;
    }
    report_progress(s);
    return OK;
}

static enum sql_kind
change_of_tag(struct str tag)
{
    if (str_is(tag, "PREPARE"))
        return SQL_PREPARE;
    if (str_is(tag, "DEALLOCATE") || str_is(tag, "DEALLOCATE ALL"))
        return SQL_DEALLOCATE;
    return str_is(tag, "DISCARD ALL") ? SQL_DISCARD_ALL : SQL_OTHER;
}

/* Does what a confirmed PREPARE, DEALLOCATE or DISCARD ALL did. Upstream waits for it, so nothing
 * else is on its way. */
static void
apply_change(struct pgsession *s, const struct pgname_use *use)
{
    if (use->kind == SQL_PREPARE) {
        /* Beyond the limit the name stays unknown here, and is refused when used. */
        err_ignore(pgnames_set(s->statements, use->name, &use->prepared->object));
    } else if (use->kind == SQL_DEALLOCATE && use->name.len > 0) {
        err_ignore(pgnames_set(s->statements, use->name, NULL));
    } else {
        pgnames_forget_all(s->statements);
        if (use->kind == SQL_DISCARD_ALL)
            pgnames_forget_all(s->portals);
    }
}

static bool
changes_names(enum sql_kind kind)
{
    return kind == SQL_PREPARE || kind == SQL_DEALLOCATE || kind == SQL_DISCARD_ALL;
}

/* A cursor of that name is another one from now on: its rows count from its declaration. */
static void
note_cursor(struct pgsession *s, const struct pganswer *head, struct str tag)
{
    const struct pgstatement *statement = head->statement;

    if (statement == NULL || !str_is(tag, "DECLARE CURSOR"))
        return;
    for (size_t i = 0; i < statement->n_uses; i++)
        if (statement->uses[i].kind == SQL_DECLARE && statement->uses[i].at == head->statement_at)
            err_ignore(pgnames_set(s->cursors, statement->uses[i].name,
                                   head->view == NULL ? NULL : &head->view->object));
}

/* False if the server did another change than the one that is next. */
static bool
confirm_change(struct pgsession *s, struct pganswer *head, struct str tag)
{
    enum sql_kind kind = change_of_tag(tag);
    const struct pgstatement *statement = head->statement;

    if (kind == SQL_OTHER)
        return true;
    if (statement == NULL)
        return false;
    while (head->changes_done < statement->n_uses &&
           !changes_names(statement->uses[head->changes_done].kind))
        head->changes_done++;
    if (head->changes_done == statement->n_uses || statement->uses[head->changes_done].kind != kind)
        return false;
    apply_change(s, &statement->uses[head->changes_done++]);
    return true;
}

/* [waits] The server completed what was stopped, before it heard of that. */
static enum err
outlive(struct response *r)
{
    struct pgsession *s = r->s;
    struct pganswer *head = pganswers_head(&s->answers);
    enum err e;

    if (head->limited)
        s->write.failed = true;
    if (head->kind == PGWIRE_OF_QUERY) {
        head->outlived = true;
        return drop(r);
    }
    if ((e = finish_and_drop(r)) != OK)
        return e;
    return pglimit_silence_segment(s);
}

/* [waits] Of a limited write: kept until it is settled, or dropped if it changed too much. What was
 * kept before is not the last of its string, and goes on. */
static enum err
keep_complete(struct response *r)
{
    struct pgsession *s = r->s;
    struct buf *kept = &s->write.complete;
    struct str body;
    enum err e;

    if (pganswers_expected(&s->answers) == PGWIRE_OF_EXECUTE) {
        (void)pgaffected_takes_over(s);
        return finish_and_drop(r);
    }
    if (!s->write.exceeded) {
        if (kept->len > 0 && (e = pglane_insert(&s->down, buf_str(kept))) != OK)
            return e;
        buf_reset(kept);
        if ((e = pglane_body(&s->down, r->body_len, &body)) != OK)
            return e;
        pgwire_put_plain(kept, 'C', body);
    }
    return drop(r);
}

/* [waits] The end of a transaction of ours. */
static enum err
replace_complete(struct response *r, struct str tag)
{
    struct pgsession *s = r->s;
    const struct pganswer *head = pganswers_head(&s->answers);
    struct buf *replacement = head->replacement;
    enum err e;

    if (head->commits && !str_is(tag, "COMMIT"))
        return lose_track(r);
    if ((e = drop(r)) != OK)
        return e;
    return replacement->len > 0 ? pglane_insert(&s->down, buf_str(replacement)) : OK;
}

static enum err
serve_complete(struct response *r)
{
    struct pgsession *s = r->s;
    struct pganswer *head;
    struct str body, tag;
    uint64_t rows;
    enum err e;

    if ((e = pglane_body(&s->down, r->body_len, &body)) != OK)
        return e;
    head = pganswers_head(&s->answers);
    if (pgwire_read_complete(body, &tag, &rows) != OK || !confirm_change(s, head, tag))
        return lose_track(r);
    if (head->replacement != NULL)
        return replace_complete(r, tag);
    note_cursor(s, head, tag);
    if (head->limited)
        pgaffected_count(s, tag, rows);
    if ((e = pgdeliver_end(s)) != OK)
        return e;
    head->statement_at++;
    head->rows += rows;
    s->copy_out = false;
    if (head->stopped != NULL)
        return outlive(r);
    head->bytes += PGWIRE_HEADER_BYTES + r->body_len;
    if (head->limited && (s->write.wrapped || s->write.exceeded))
        return keep_complete(r);
    return head->kind == PGWIRE_OF_EXECUTE ? finish_and_pass(r) : pass(r);
}

/* [waits] The transaction that failed is not the client's. */
static enum err
finish_outside(struct response *r)
{
    struct buf ready = buf_make(16);
    enum err e = finish_and_drop(r);

    pgwire_put_ready(&ready, PGWIRE_IDLE);
    if (e == OK && (e = buf_ok(&ready)) == OK)
        e = pglane_insert(&r->s->down, buf_str(&ready));
    buf_free(&ready);
    return e;
}

static enum err
serve_ready(struct response *r)
{
    struct pgsession *s = r->s;
    enum pgwire_status status;
    struct pganswer *head;
    struct str body;
    enum err e;

    if ((e = pglane_body(&s->down, r->body_len, &body)) != OK)
        return e;
    head = pganswers_head(&s->answers);
    if (pgwire_read_ready(body, &status) != OK || (head->refusal != NULL && !head->failed))
        return lose_track(r);
    s->copy_in = s->copy_out = false;
    if (head->kind == PGWIRE_OF_QUERY) { /* it used them itself */
        pgnames_forget_unnamed(s->statements);
        pgnames_forget_unnamed(s->portals);
    }
    if (status == PGWIRE_IDLE) /* portals live as long as their transaction */
        pgnames_forget_settled(s->portals);
    s->status = status;
    if (head->ask != NULL || (head->limited && pgaffected_takes_over(s)))
        return finish_and_drop(r);
    return s->write.abandoned ? finish_outside(r) : finish_and_pass(r);
}

static enum err
serve_description(struct response *r)
{
    struct pgsession *s = r->s;
    struct pganswer *head = pganswers_head(&s->answers);
    enum err e;

    if (r->type == 't') {
        head->described = true;
        return pass(r);
    }
    if (head->kind == PGWIRE_OF_QUERY) {
        head->bytes += PGWIRE_HEADER_BYTES + r->body_len;
        return pgdeliver_description(s, r->type, r->body_len);
    }
    if (head->kind == PGWIRE_OF_DESCRIBE_STATEMENT && !head->described)
        return lose_track(r);
    if (!head->ours) {
        if (head->kind == PGWIRE_OF_DESCRIBE_PORTAL &&
            (e = pgrecord_description(s, r->type, r->body_len)) != OK)
            return e;
        return finish_and_pass(r);
    }
    if ((e = pgdeliver_description(s, r->type, r->body_len)) != OK)
        return e;
    return finish_head(s, PGNAME_DONE);
}

/* [waits] The server wants COPY data. */
static enum err
serve_copy_in(struct response *r)
{
    struct pgsession *s = r->s;
    struct pganswer *head = pganswers_head(&s->answers);

    if (head->copies_left == 0) /* nothing that we know of copies from the client */
        return lose_track(r);
    head->bytes += PGWIRE_HEADER_BYTES + r->body_len;
    pganswers_copy_started(&s->answers);
    s->copy_in = true;
    report_progress(s);
    return hides_error(s, head) ? drop(r) : pass(r);
}

static enum err
serve_copy_out(struct response *r)
{
    struct pgsession *s = r->s;

    if (r->type == 'H') {
        s->copy_out = true;
        return pgdeliver_copy_begin(s, r->body_len);
    }
    if (!s->copy_out)
        return lose_track(r);
    if (r->type == 'd')
        return pgdeliver_copy_data(s, r->body_len);
    s->copy_out = false;
    return pass(r);
}

static enum err
serve_parameter(struct response *r)
{
    struct pgwire_parameter p;
    struct str body;
    enum err e;

    if ((e = pglane_body(&r->s->down, r->body_len, &body)) != OK)
        return e;
    if (pgwire_read_parameter(body, &p) != OK)
        return lose_track(r);
    if ((e = pgtarget_check_parameter(&p)) != OK)
        return pgsession_fatal(r->s, e, "08P01");
    return pass(r);
}

/* Channel and payload, which end in a NUL each. */
static void
redact_notification(struct detectors *d, char *body, size_t len, uint64_t *findings)
{
    for (size_t at = 4; at < len;) {
        size_t n = str_index((struct str){body + at, len - at}, '\0');

        (void)pgredact_cell(d, 0, false, body + at, n, findings);
        at += n + 1;
    }
}

/* [waits] The payload comes from another session. */
static enum err
serve_notification(struct response *r)
{
    struct pgsession *s = r->s;
    uint64_t findings = 0;
    struct str body;
    struct buf *out;
    enum err e;

    if (s->context.detectors == NULL)
        return pass(r);
    if (r->body_len > PGWIRE_SMALL_MAX) /* PostgreSQL's are below 8,000 bytes */
        return lose_track(r);
    if ((e = pglane_body(&s->down, r->body_len, &body)) != OK)
        return e;
    out = pglane_rewrite(&s->down);
    pgwire_put_plain(out, 'A', body);
    if ((e = buf_ok(out)) != OK)
        return e;
    redact_notification(s->context.detectors, out->ptr + out->len - body.len, body.len, &findings);
    return pglane_rewritten(&s->down, r->body_len);
}

/* Gives a message to whoever asked. */
static enum err
hand_over(struct response *r)
{
    struct pgask *ask = pganswers_head(&r->s->answers)->ask;
    struct str body;
    enum err e;

    if (r->body_len > PGASK_BODY_MAX) {
        ask->too_long = true;
        return OK;
    }
    if ((e = pglane_body(&r->s->down, r->body_len, &body)) != OK)
        return e;
    ask = pganswers_head(&r->s->answers)->ask; /* perhaps the asker has gone */
    if (ask->message != NULL)
        ask->message(ask->arg, r->type, body);
    return OK;
}

/* While an answer is not delivered: what the server may say at any time; `rest` serves the rest. */
static enum err
serve_aside(struct response *r, enum err (*rest)(struct response *))
{
    switch (r->type) {
    case 'E':
        return serve_error(r);
    case 'N':
        return drop(r);
    case 'S':
        return serve_parameter(r);
    case 'A':
        return serve_notification(r);
    default:
        return rest(r);
    }
}

/* An answer to a question of the gateway's own. */
static enum err
serve_asked(struct response *r)
{
    enum err e;

    switch (r->type) {
    case 'T':
    case 'D':
        return (e = hand_over(r)) == OK ? drop(r) : e;
    case 'C':
    case 'I':
        if ((e = hand_over(r)) != OK)
            return e;
        return pganswers_expected(&r->s->answers) == PGWIRE_OF_EXECUTE ? finish_and_drop(r)
                                                                       : drop(r);
    case '1':
    case '2':
    case '3':
        return finish_and_drop(r);
    case 'Z':
        return serve_ready(r);
    default:
        return serve_aside(r, lose_track);
    }
}

/* What the server does although the client was told of an error before. */
static enum err
serve_silent(struct response *r)
{
    if (r->type == 't') {
        pganswers_head(&r->s->answers)->described = true;
        return drop(r);
    }
    return serve_aside(r, finish_and_drop);
}

/* Of an answer that was stopped. */
static enum err
serve_rest(struct response *r)
{
    if (pganswers_head(&r->s->answers)->outlived) {
        err_ignore(fail(ERR_LIMIT, "a command was stopped, but what follows it ran already"));
        return pgsession_fatal(r->s, ERR_LIMIT, "54000");
    }
    if (r->type == 'C')
        return serve_complete(r);
    if (r->type == 'G')
        return serve_copy_in(r);
    return r->type == 's' || r->type == 'I' ? outlive(r) : drop(r);
}

/* What the server still says once an answer was stopped. */
static enum err
serve_stopped(struct response *r)
{
    enum err e = pglimit_tell(r->s);

    if (e != OK)
        return e;
    return r->type == 'Z' ? serve_ready(r) : serve_aside(r, serve_rest);
}

/* [waits] A limited write goes on: what its last CommandComplete hides, and what comes after one
 * that changed too much. `*served`: there is nothing else to do. */
static enum err
serve_limited(struct response *r, bool *served)
{
    struct pgwrite *w = &r->s->write;
    enum err e = OK;

    *served = false;
    if (strchr("TDCInHdc", r->type) != NULL && w->exceeded) {
        *served = true;
        return drop(r);
    }
    if (strchr("TDIEnHGdc", r->type) != NULL && w->complete.len > 0 && !w->exceeded) {
        e = pglane_insert(&r->s->down, buf_str(&w->complete));
        buf_reset(&w->complete);
    }
    return e;
}

/* A message for the client. */
static enum err
serve_client(struct response *r)
{
    switch (r->type) {
    case 'D':
        return pgdeliver_row(r->s, r->body_len);
    case 'C':
        return serve_complete(r);
    case 'Z':
        return serve_ready(r);
    case '1':
    case '2':
    case '3':
    case 's':
        return finish_and_pass(r);
    case 'I':
        return pganswers_expected(&r->s->answers) == PGWIRE_OF_EXECUTE ? finish_and_pass(r)
                                                                       : pass(r);
    case 'T':
    case 't':
    case 'n':
        return serve_description(r);
    case 'E':
        return serve_error(r);
    case 'G':
        return serve_copy_in(r);
    case 'H':
    case 'c':
    case 'd':
        return serve_copy_out(r);
    case 'S':
        return serve_parameter(r);
    case 'N':
        return sanitises(pganswers_head(&r->s->answers)) ? pass_sanitised(r) : pass(r);
    case 'A':
        return serve_notification(r);
    default:
        return lose_track(r);
    }
}

static enum err
serve_response(struct response *r)
{
    const struct pganswer *head = pganswers_head(&r->s->answers);
    bool served;
    enum err e;

    if (head == NULL)
        return serve_client(r);
    if (head->ask != NULL)
        return serve_asked(r);
    if (head->silent)
        return serve_silent(r);
    if (head->stopped != NULL)
        return serve_stopped(r);
    if (head->limited && ((e = serve_limited(r, &served)) != OK || served))
        return e;
    return serve_client(r);
}

/* A refused command has no answer but an error. */
static bool
is_expected(struct response *r, const struct pgwire_rule *rule)
{
    const struct pganswer *head = pganswers_head(&r->s->answers);

    if (rule == NULL || (rule->when & pganswers_expected(&r->s->answers)) == 0 ||
        r->body_len < rule->body_min || r->body_len > rule->body_max)
        return false;
    if (head == NULL || head->refusal == NULL)
        return true;
    return r->type == 'E' || r->type == 'Z' || (rule->when & PGWIRE_OF_NOTHING) != 0;
}

/* The stream from the server failed, or that to the client. */
static enum err
end_downstream(struct pgsession *s, enum err e)
{
    if (s->over || e == ERR_CANCELED)
        return e;
    if (s->down.writing)
        return pgsession_end(s, ERR_CLOSED, NULL);
    if (s->leaving)
        return pgsession_end(s, OK, NULL);
    if (s->server_is_ending) {
        err_ignore(fail(ERR_CLOSED, "the target ended the session"));
        return pgsession_end(s, ERR_CLOSED, NULL);
    }
    if (e != ERR_PROTOCOL && e != ERR_LIMIT && e != ERR_NOMEM)
        e = fail(ERR_UNAVAILABLE, "the target closed the connection");
    return pgsession_fatal(s, e, "08006");
}

enum err
pgdownstream_run(struct pgsession *s)
{
    enum err e = OK;

    while (e == OK && !s->over) {
        struct response r = {.s = s};
        bool whole;

        if ((e = pglane_next(&s->down, &r.type, &r.body_len, &whole)) != OK)
            break;
        e = is_expected(&r, pgwire_backend_rule(r.type)) ? serve_response(&r) : lose_track(&r);
    }
    return e == OK ? OK : end_downstream(s, e);
}
