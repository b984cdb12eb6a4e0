/* Client to server: every message is judged before it goes on (docs/protocol-postgres.md). */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "policy/limits.h"
#include "gate/recorder.h"
#include "protocol/postgres/ask.h"
#include "protocol/postgres/hold.h"
#include "protocol/postgres/limit.h"
#include "protocol/postgres/refusal.h"
#include "protocol/postgres/session.h"
#include "protocol/postgres/wait.h"

enum {
    EXECUTE_DEPTH_MAX = 8,
    PARSE_OVERHEAD_MAX = 64 + 2 + 2 + 4 * UINT16_MAX,
};

/* One message being judged. */
struct request {
    struct pgsession *s;
    unsigned char type;
    uint32_t body_len;
    bool unnamed_parse;
};

/* [waits] Until it is known whether a COPY FROM STDIN that was forwarded has begun, since that
 * decides what the next message means. */
static enum err
wait_for_copy(struct pgsession *s)
{
    enum err e = OK;

    while (e == OK && s->answers.copies > 0 && !s->copy_in && !s->skipping)
        e = pgwait_progress(s);
    return e;
}

/* Whether what `name` means depends on an answer that is still to come: a change of an earlier
 * segment, or the end of a transaction (portals) or a Query (the unnamed ones) that took it away.
 */
static bool
is_in_doubt(const struct pgsession *s, const struct pgnames *names, struct str name)
{
    if (pgnames_in_doubt(names, name, s->segment))
        return true;
    return (names == s->portals || name.len == 0) && s->answers.removed < s->boundary &&
           pgnames_is_older(names, name, s->segment);
}

/* [waits] What a message of this segment means by `name`. */
static enum err
look_up(struct pgsession *s, struct pgnames *names, struct str name, struct pgobject **out)
{
    enum err e = OK;

    while (e == OK && is_in_doubt(s, names, name))
        e = pgwait_progress(s);
    *out = e == OK ? pgnames_get(names, name) : NULL;
    return e;
}

/* Forwarding. */

/* The message will not reach the server: gives back what `answer` holds. */
static enum err
abandon(struct pgsession *s, struct pganswer *answer)
{
    struct outcome outcome = {.error = STR("skipped")};

    if (answer->names != NULL)
        pgnames_settle(answer->names, &answer->change, PGNAME_FAILED);
    if (answer->statement != NULL)
        pgobject_release(&answer->statement->object);
    pgview_release(answer->view);
    return answer->admitted ? gate_outcome(s->gate, answer->command, &outcome) : OK;
}

/* [waits] The present message goes to the server, which will answer as `answer` says. */
static enum err
forward(struct request *r, struct pganswer *answer)
{
    struct pgsession *s = r->s;
    enum err e;

    if (s->skipping) { /* since this message was looked at, an earlier one failed */
        e = abandon(s, answer);
        return e == OK ? pglane_drop(&s->up, r->body_len) : e;
    }
    if (answer->kind == PGWIRE_OF_EXECUTE)
        s->executed = s->segment;
    pganswers_push(&s->answers, answer);
    pglimit_begin(s);
    if (answer->kind == PGWIRE_OF_QUERY || answer->kind == PGWIRE_OF_SYNC)
        pgwait_begin_segment(s);
    return pglane_stream(&s->up, r->body_len);
}

/* Refusing. */

/* [waits] In place of the present message the server gets one that fails, so that its state is
 * what the client will be told; `refusal` (taken over) replaces its error. */
static enum err
refuse(struct request *r, struct buf *refusal)
{
    struct pgsession *s = r->s;
    bool simple = r->type == 'Q' || r->type == 'F';
    struct pganswer answer = {.kind = simple ? PGWIRE_OF_QUERY : PGWIRE_OF_PARSE,
                              .unnamed = r->unnamed_parse,
                              .refusal = refusal};
    struct buf out = buf_make(256);
    enum err e;

    if ((e = pglane_drop(&s->up, r->body_len)) != OK || s->skipping) {
        pgrefusal_free(refusal);
        return e;
    }
    if (r->unnamed_parse) { /* the server forgets it at once */
        if ((e = pgnames_begin(s->statements, STR(""), NULL, s->segment, &answer.change)) != OK) {
            pgrefusal_free(refusal);
            return e;
        }
        answer.names = s->statements;
    }
    if (simple)
        pgwire_put_query(&out, pgrefusal_statement);
    else
        pgwire_put_parse(&out, r->unnamed_parse ? STR("") : pgrefusal_name, pgrefusal_statement);
    pganswers_push(&s->answers, &answer);
    if (simple)
        pgwait_begin_segment(s);
    else
        s->skipping = true;
    if ((e = buf_ok(&out)) == OK)
        e = pglane_insert(&s->up, buf_str(&out));
    buf_free(&out);
    return e;
}

/* [waits] Refuses for a reason that lies in the bytes, not in policy; on the record if there is a
 * statement to record. */
static enum err
refuse_because(struct request *r, const char *sqlstate, struct str text, struct str reason)
{
    struct pgsession *s = r->s;
    struct pgwire_failure failure = {.severity = "ERROR", .sqlstate = sqlstate, .message = reason};
    struct command command = {.text = text, .database = s->grant->database};
    struct admission admission;
    struct buf *refusal;
    enum err e;

    if (text.len > 0 && (e = gate_refuse(s->gate, &command, reason, &admission)) != OK)
        return pgsession_fatal(s, e, "57P01");
    if (strcmp(sqlstate, "42601") == 0) /* as the server itself would say it */
        failure.position = sql_error_position(reason, &failure.message);
    if ((e = pgrefusal_of_failure(&failure, &refusal)) != OK)
        return pgsession_fatal(s, e, "53200");
    return refuse(r, refusal);
}

/* [waits] What was not admitted, whether by a rule or by a human. */
static enum err
refuse_admission(struct request *r, const struct admission *admission)
{
    struct buf *refusal;
    enum err e;

    if (admission->held != HOLD_NONE)
        e = pghold_refusal(admission, &refusal);
    else
        e = pgrefusal_of_verdict(r->s->gate, &admission->verdict, &refusal);
    if (e != OK)
        return pgsession_fatal(r->s, e, "53200");
    return refuse(r, refusal);
}

/* [waits] Refuses what the analyser did not accept, for the reason of the last fail(). */
static enum err
refuse_analysis(struct request *r, enum err code, struct str text)
{
    char reason[ERR_TEXT_MAX + 128];
    const char *sqlstate = code == ERR_PROTOCOL  ? "42601"
                           : code == ERR_INVALID ? "22021"
                           : code == ERR_LIMIT   ? "54000"
                                                 : "42501";

    if (code == ERR_NOMEM)
        return pgsession_fatal(r->s, code, "53200");
    if (code == ERR_UNAVAILABLE || code == ERR_TIMEOUT) {
        (void)snprintf(reason, sizeof(reason), "%s", err_text());
        return refuse_because(r, "57P03", text, str_from(reason));
    }
    if (code == ERR_PROTOCOL || code == ERR_INVALID || code == ERR_LIMIT)
        (void)snprintf(reason, sizeof(reason), "%s", err_text());
    else
        (void)snprintf(reason, sizeof(reason),
                       "Bulkhead could not understand this statement and therefore refuses it: %s",
                       err_text());
    return refuse_because(r, sqlstate, text, str_from(reason));
}

static enum err
refuse_long_text(struct request *r)
{
    char reason[96];

    (void)snprintf(reason, sizeof(reason), "a statement may have %d bytes at most", SQL_TEXT_MAX);
    return refuse_because(r, "54000", STR("(too long to be read)"), str_from(reason));
}

static enum err
refuse_missing(struct request *r, const char *what, const char *sqlstate, struct str name)
{
    char reason[160];

    /* In the server's own words, for drivers that look at them. */
    if (name.len == 0 && strcmp(sqlstate, "26000") == 0)
        (void)snprintf(reason, sizeof(reason), "unnamed prepared statement does not exist");
    else
        (void)snprintf(reason, sizeof(reason), "%s \"%.*s\" does not exist", what,
                       name.len > 64 ? 64 : (int)name.len, name.ptr);
    return refuse_because(r, sqlstate, STR(""), str_from(reason));
}

/* Judging. */

/* What a command demands, once the statements that it runs by name are looked up. */
struct demands {
    const struct demand *items; /* those of the text, or `owned` */
    size_t n;
    struct demand *owned;
    struct str missing; /* the name that stands for nothing; .ptr NULL: none */
};

static enum err
add_demands(struct demands *d, const struct demand *more, size_t n)
{
    struct demand *grown;

    if (d->n + n > COMMAND_DEMANDS_MAX)
        return fail(ERR_LIMIT, "a command may touch %d objects at most", COMMAND_DEMANDS_MAX);
    if ((grown = realloc(d->owned, (d->n + n) * sizeof(*grown) + 1)) == NULL)
        return fail(ERR_NOMEM, "no memory for demands");
    if (d->owned == NULL && d->n > 0)
        memcpy(grown, d->items, d->n * sizeof(*grown));
    if (n > 0)
        memcpy(grown + d->n, more, n * sizeof(*grown));
    d->items = d->owned = grown;
    d->n += n;
    return OK;
}

/* Whether an earlier statement of the same string settles what use number `i` means: its demands
 * are then among the string's own, or the server will not find the name. */
static bool
settled_before(const struct pgstatement *statement, size_t i)
{
    struct str name = statement->uses[i].name;

    while (i-- > 0) {
        const struct pgname_use *use = &statement->uses[i];

        if (use->kind == SQL_DISCARD_ALL || (use->kind == SQL_DEALLOCATE && use->name.len == 0) ||
            ((use->kind == SQL_PREPARE || use->kind == SQL_DEALLOCATE) &&
             str_equal(use->name, name)))
            return true;
    }
    return false;
}

/* [waits] Adds the demands of the prepared statements that `statement` runs by SQL's EXECUTE. */
static enum err
resolve(struct pgsession *s, const struct pgstatement *statement, int depth, struct demands *d)
{
    enum err e = OK;

    if (depth > EXECUTE_DEPTH_MAX)
        return fail(ERR_LIMIT, "EXECUTE of EXECUTE, more than %d deep", EXECUTE_DEPTH_MAX);
    for (size_t i = 0; e == OK && i < statement->n_uses; i++) {
        struct pgobject *object;
        struct pgstatement *meant;

        if (statement->uses[i].kind != SQL_EXECUTE || settled_before(statement, i))
            continue;
        if ((e = look_up(s, s->statements, statement->uses[i].name, &object)) != OK)
            return e;
        if ((meant = (struct pgstatement *)object) == NULL) {
            d->missing = statement->uses[i].name;
            return OK;
        }
        if (meant->changes_names || meant->declares || meant->fetches ||
            meant->summary.n_copies_in > 0)
            return fail(ERR_UNSUPPORTED, "EXECUTE of a statement that is itself COPY, PREPARE, "
                                         "DEALLOCATE, DECLARE or FETCH");
        pgobject_hold(object);
        if ((e = add_demands(d, meant->demands, meant->n_demands)) == OK)
            e = resolve(s, meant, depth + 1, d);
        pgobject_release(object);
    }
    return e;
}

enum judgement { JUDGED_ALLOWED, JUDGED_REFUSED };

/* The limits that the rules set go with the view of the answer. */
static enum err
limit_view(struct pgview **view, const struct verdict *verdict)
{
    if (*view == NULL && !limits_any(&verdict->limits))
        return OK;
    if (*view == NULL && (*view = pgview_new(NULL)) == NULL)
        return fail(ERR_NOMEM, "no memory for an answer");
    pgview_limit(*view, &verdict->limits);
    return OK;
}

static bool
writes(const struct command *command)
{
    for (size_t i = 0; i < command->n_demands; i++)
        if ((command->demands[i].classes & CLASSES(WRITE)) != 0)
            return true;
    return false;
}

/* [waits] Decides `command`, whose statement is known in full, and records the decision. If it is
 * refused that is done here. `approval` as for pghold_admit(). */
static enum err
admit(struct request *r, struct command *command, const struct pgstatement *statement,
      struct approval *approval, struct pganswer *answer, enum judgement *judgement)
{
    struct demands demands = {.items = command->demands, .n = command->n_demands};
    struct admission admission;
    enum err e = OK;

    *judgement = JUDGED_REFUSED;
    if ((e = pgpurpose_complete(r->s, command)) == OK && statement != NULL && statement->n_uses > 0)
        e = resolve(r->s, statement, 1, &demands);
    if (e == ERR_CANCELED) {
        free(demands.owned);
        return e;
    }
    if (e != OK) {
        e = refuse_analysis(r, e, command->text);
    } else if (demands.missing.ptr != NULL) {
        e = refuse_missing(r, "prepared statement", "26000", demands.missing);
    } else {
        command->demands = demands.items;
        command->n_demands = demands.n;
        if ((e = pghold_admit(r->s, command, statement, approval, &admission)) != OK) {
            e = e == ERR_CANCELED ? e : pgsession_fatal(r->s, e, "57P01");
        } else if (!gate_runs(&admission.verdict)) {
            e = refuse_admission(r, &admission);
        } else {
            *judgement = JUDGED_ALLOWED;
            answer->admitted = true;
            answer->command = admission.id;
            answer->writes = writes(command);
            if (r->s->door->recorder != NULL) {
                recorder_keep(r->s->door->recorder, admission.verdict.record.retention_seconds);
                answer->record_rows = admission.verdict.record.rows;
            }
            if (limit_view(&answer->view, &admission.verdict) != OK)
                e = pgsession_fatal(r->s, ERR_NOMEM, "53200");
        }
    }
    free(demands.owned);
    return e;
}

/* Bookkeeping for what was admitted and goes on now. */
static void
note_effects(struct pgsession *s, struct pgstatement *statement,
             const struct pgfacts_summary *summary, struct pganswer *answer)
{
    if (summary->changes_cursors) /* DECLARE and CLOSE may give a portal's name another meaning */
        pgnames_forget_all(s->portals);
    if (statement != NULL && (statement->changes_names || statement->declares)) {
        pgobject_hold(&statement->object);
        answer->statement = statement;
    }
}

/* [waits] After a statement that changes names: nothing else is judged until the server has
 * answered. */
static enum err
wait_for_names(struct pgsession *s, uint64_t entry)
{
    enum err e = pgwait_flush(s);

    return e == OK ? pgwait_answer(s, entry) : e;
}

/* Whether the string itself declares the cursor that use number `i` fetches from. */
static bool
declared_before(const struct pgstatement *statement, size_t i)
{
    struct str name = statement->uses[i].name;

    while (i-- > 0)
        if (statement->uses[i].kind == SQL_DECLARE && str_equal(statement->uses[i].name, name))
            return true;
    return false;
}

/* [waits] The rows of a cursor are one command's, over all that fetch them. Where lineage says
 * which cursor is meant the view has its tally already. */
static enum err
count_together(struct pgsession *s, const struct pgstatement *statement, struct pgview *view)
{
    enum err e;

    if (statement == NULL || !statement->fetches || view == NULL || view->lineage != NULL)
        return OK;
    if ((e = pgwait_idle(s)) != OK) /* what the names mean is known then */
        return e;
    for (size_t i = 0; e == OK && i < statement->n_uses; i++) {
        const struct pgname_use *use = &statement->uses[i];
        struct pgobject *cursor = pgnames_get(s->cursors, use->name);
        struct pgportal *portal = (struct pgportal *)pgnames_get(s->portals, use->name);

        if (use->kind != SQL_FETCH || declared_before(statement, i))
            continue;
        if (cursor == NULL && portal != NULL)
            cursor = portal->view == NULL ? NULL : &portal->view->object;
        if (cursor != NULL && cursor != &view->object)
            e = pgview_follow(view, use->at, (struct pgview *)cursor, 0);
        else if (cursor == NULL)
            e = pgnames_set(s->cursors, use->name, &view->object);
    }
    return e == OK ? OK : pgsession_fatal(s, e, "53200");
}

/* [waits] Sees to what a write whose changes are limited needs before it goes on. If that cannot be
 * it is refused here, and `answer` is given back. */
static enum err
limit_write(struct request *r, const struct pgfacts_summary *summary, struct pganswer *answer,
            enum judgement *judgement)
{
    bool simple = answer->kind == PGWIRE_OF_QUERY;
    const char *refused, *sqlstate;
    enum err e;

    if (!pgaffected_limits(answer))
        return OK;
    if (simple && summary->controls_transactions) { /* it could make the write last uncounted */
        refused = "a write whose rows are limited cannot share its string with BEGIN, COMMIT or "
                  "ROLLBACK; send them one by one";
        sqlstate = "0A000";
    } else if ((e = pgaffected_begin(r->s, simple, answer, &refused, &sqlstate)) != OK) {
        return e;
    }
    if (refused == NULL)
        return OK;
    *judgement = JUDGED_REFUSED;
    if ((e = abandon(r->s, answer)) != OK)
        return e;
    return refuse_because(r, sqlstate, STR(""), str_from(refused));
}

/* [waits] Until the server has answered entry number `entry`, if that decides what comes next. */
static enum err
wait_for_effects(struct pgsession *s, const struct pganswer *answer, uint64_t entry, bool changes)
{
    if (s->skipping) {
        if (answer->limited)
            pgaffected_free(s);
        return OK;
    }
    if (answer->limited)
        return pgaffected_settle(s);
    return changes ? wait_for_names(s, entry) : OK;
}

/* [waits] Forwards what was admitted; if it may change what the next statement means, nothing else
 * is judged until the server has answered. */
static enum err
run(struct request *r, struct pgstatement *statement, const struct pgfacts_summary *summary,
    struct pganswer *answer)
{
    struct pgsession *s = r->s;
    bool changes_names = statement != NULL && statement->changes_names;
    bool changes_context = pgcontext_is_changed_by(&s->context, summary);
    enum judgement judgement = JUDGED_ALLOWED;
    struct pgview *view;
    uint64_t entry;
    enum err e;

    if ((e = count_together(s, statement, answer->view)) != OK ||
        (e = limit_write(r, summary, answer, &judgement)) != OK || judgement == JUDGED_REFUSED)
        return e;
    view = changes_context ? pgview_hold(answer->view) : NULL;
    note_effects(s, statement, summary, answer);
    entry = pgwait_next_entry(s);
    if ((e = forward(r, answer)) == OK && !s->skipping)
        pgpurpose_change(s, &summary->purpose);
    if (e == OK)
        e = wait_for_effects(s, answer, entry, changes_names || changes_context);
    if (e == OK && changes_context) {
        pgcontext_note_change(&s->context, summary);
        if (view != NULL && !s->last_failed && !s->skipping &&
            pgcontext_note_cursors(&s->context, view) != OK)
            e = pgsession_fatal(s, ERR_LIMIT, "54000");
    }
    pgview_release(view);
    return e;
}

/* Views. */

/* What an earlier statement of the same string made: the last before number `i`; `i` if none did.
 */
static size_t
made_before(const struct sql_lineage *l, size_t i, bool prepares, struct str name)
{
    for (size_t k = i; k-- > 0;)
        if (l->outputs[k].declares && l->outputs[k].prepares == prepares &&
            str_equal(l->outputs[k].name, name))
            return k;
    return i;
}

/* Statement number `i` shows what statement number `of` of `lineage` would. */
static enum err
follow_lineage(struct pgview *view, size_t i, const struct sql_lineage *lineage, size_t of)
{
    struct pgview *source = pgview_new(lineage);
    enum err e = source == NULL ? fail(ERR_NOMEM, "no memory for an answer")
                                : pgview_follow(view, i, source, of);

    pgview_release(source);
    return e;
}

/* [waits] FETCH: a cursor of SQL's, or a portal of the protocol's. */
static enum err
follow_cursor(struct pgsession *s, struct pgview *view, size_t i, struct str *missing)
{
    struct str name = view->lineage->outputs[i].name;
    size_t of = made_before(view->lineage, i, false, name);
    struct pgview *cursor;
    struct pgobject *object;
    enum err e;

    if (of < i)
        return follow_lineage(view, i, view->lineage, of);
    if ((cursor = pgcontext_cursor(&s->context, name, &of)) != NULL)
        return pgview_follow(view, i, cursor, of);
    if ((e = look_up(s, s->portals, name, &object)) != OK)
        return e;
    if (object != NULL && ((struct pgportal *)object)->view != NULL)
        return pgview_follow(view, i, ((struct pgportal *)object)->view, 0);
    *missing = name;
    return OK;
}

/* [waits] EXECUTE: what was prepared, as it would be understood now. */
static enum err
follow_prepared(struct pgsession *s, struct pgview *view, size_t i, struct command *command)
{
    struct str name = view->lineage->outputs[i].name;
    size_t of = made_before(view->lineage, i, true, name);
    struct pgstatement *meant;
    struct pgobject *object;
    enum err e;

    if (of < i)
        return follow_lineage(view, i, view->lineage, of);
    if ((e = look_up(s, s->statements, name, &object)) != OK || object == NULL)
        return e; /* that it is missing is told by resolve() */
    meant = (struct pgstatement *)pgobject_hold(object);
    if ((e = pgcontext_renew(s, meant)) == OK && meant->lineage != NULL) {
        if (meant->lineage->refusal.len > 0) {
            command->protected_use = meant->lineage->refusal; /* lives with the view */
            command->protected_column = meant->lineage->refused;
        }
        e = follow_lineage(view, i, meant->lineage, meant->output);
    }
    pgobject_release(object);
    return e;
}

/* [waits] What may be seen of the answer to a command with this lineage (NULL: there is none).
 * `*missing`: the cursor that stands for nothing. */
static enum err
make_view(struct pgsession *s, const struct sql_lineage *lineage, struct command *command,
          struct pgview **out, struct str *missing)
{
    enum err e = OK;

    *missing = (struct str){NULL, 0};
    if (lineage == NULL && s->context.detectors == NULL)
        return OK;
    if ((*out = pgview_new(lineage)) == NULL)
        return fail(ERR_NOMEM, "no memory for an answer");
    (*out)->detectors = detectors_hold(s->context.detectors);
    if (lineage != NULL && lineage->guarded)
        s->context.guarded = true;
    if (s->context.guarded) /* deferred constraints are checked at the end */
        (*out)->sanitise = true;
    for (size_t i = 0; e == OK && lineage != NULL && i < lineage->n_outputs; i++) {
        if (lineage->outputs[i].kind == SQL_OUTPUT_CURSOR)
            e = follow_cursor(s, *out, i, missing);
        else if (lineage->outputs[i].kind == SQL_OUTPUT_PREPARED)
            e = follow_prepared(s, *out, i, command);
    }
    return e;
}

static void
describe_protection(const struct sql_lineage *lineage, struct command *command)
{
    if (lineage == NULL)
        return;
    command->protected_use = lineage->refusal;
    command->protected_column = lineage->refused;
    command->masked = lineage->masked;
}

/* Whether the server itself would refuse the statement, as the catalog tells. */
static bool
is_mistaken(const struct sql_lineage *lineage)
{
    return lineage != NULL && lineage->sqlstate.len > 0;
}

static enum err
refuse_mistake(struct request *r, const struct sql_lineage *lineage, struct str text)
{
    char sqlstate[PGSQLSTATE_LEN + 1];

    (void)snprintf(sqlstate, sizeof(sqlstate), "%.*s", STR_ARG(lineage->sqlstate));
    return refuse_because(r, sqlstate, text, lineage->refusal);
}

/* What `command` says itself that it is for: in a comment, or by setting the session's purpose. */
static enum err
state_purpose(struct command *command, const struct sql_purpose *set)
{
    enum err e = sql_commented_purpose(command->text, &command->purpose);

    if (e == OK && set->mistake != NULL)
        return fail(ERR_INVALID, "%s", set->mistake);
    if (e == OK && command->purpose.len == 0)
        command->purpose = set->value;
    return e;
}

static enum err
refuse_purpose(struct request *r, struct str text)
{
    char reason[ERR_TEXT_MAX];

    (void)snprintf(reason, sizeof(reason), "%s", err_text());
    return refuse_because(r, "22023", text, str_from(reason));
}

/* The messages. */

/* [waits] A string of statements whose facts are known. */
static enum err
run_query(struct request *r, struct command *command, struct pgstatement *statement,
          const struct sql_lineage *lineage, const struct pgfacts_summary *summary)
{
    struct pganswer answer = {.kind = PGWIRE_OF_QUERY, .copies_left = summary->n_copies_in};
    enum judgement judgement = JUDGED_ALLOWED;
    struct str missing;
    enum err e;

    if (is_mistaken(lineage))
        return refuse_mistake(r, lineage, command->text);
    describe_protection(lineage, command);
    if ((e = make_view(r->s, lineage, command, &answer.view, &missing)) == OK &&
        missing.ptr != NULL)
        e = refuse_missing(r, "cursor", "34000", missing), judgement = JUDGED_REFUSED;
    else if (e == OK && !summary->empty)
        e = admit(r, command, statement, NULL, &answer, &judgement);
    if (e == OK && judgement == JUDGED_ALLOWED)
        return run(r, statement, summary, &answer);
    pgview_release(answer.view);
    return e;
}

static enum err
serve_query(struct request *r)
{
    struct pgsession *s = r->s;
    struct command command = {.database = s->grant->database};
    struct pgstatement *statement = NULL;
    const struct sql_lineage *lineage;
    const struct sql_facts *facts;
    struct pgfacts_summary summary;
    struct str body;
    bool exact;
    enum err e;

    if (r->body_len > SQL_TEXT_MAX + 1)
        return refuse_long_text(r);
    if ((e = pglane_body(&s->up, r->body_len, &body)) != OK)
        return e;
    if (pgwire_read_string(body, &command.text) != OK)
        return refuse_because(r, "22021", body, STR("a statement is one string, without NUL"));
    if ((e = pgcontext_facts(s, command.text, &facts, &exact)) != OK)
        return e == ERR_CANCELED ? e : refuse_analysis(r, e, command.text);
    pgfacts_summarise(facts, &summary);
    command.demands = facts->demands;
    command.n_demands = facts->n_demands;
    if (summary.n_uses > 0 || summary.purpose.change != SQL_PURPOSE_KEPT) {
        /* looking up what it runs may need the cache for other statements */
        statement = pgstatement_new(facts, command.text, STR(""), s->context.generation);
        if (statement == NULL)
            return pgsession_fatal(s, fail(ERR_NOMEM, "no memory for a statement"), "53200");
        command.demands = statement->demands;
        summary.purpose = statement->summary.purpose;
    }
    lineage = sql_lineage_hold(facts->lineage);
    if (state_purpose(&command, &summary.purpose) == OK)
        e = run_query(r, &command, statement, lineage, &summary);
    else
        e = refuse_purpose(r, command.text);
    sql_lineage_release(lineage);
    if (statement != NULL)
        pgobject_release(&statement->object);
    return e;
}

/* [waits] Decides a Parse: nothing runs yet, so only a refusal is recorded, and humans are asked
 * when it is known with which values it is to run. */
static enum err
judge_parse(struct request *r, const struct command *command, enum judgement *judgement)
{
    struct admission admission;
    struct pganswer skipped = {.admitted = true};
    struct verdict verdict;
    enum err e;

    *judgement = JUDGED_ALLOWED;
    if ((e = gate_decide(r->s->gate, command, &verdict)) != OK)
        return pgsession_fatal(r->s, e, "57P01");
    if (gate_runs(&verdict) || verdict.kind == VERDICT_STEP_UP)
        return OK;
    if ((e = pghold_admit(r->s, command, NULL, NULL, &admission)) != OK)
        return e == ERR_CANCELED ? e : pgsession_fatal(r->s, e, "57P01");
    if (gate_runs(&admission.verdict)) { /* the policy was replaced between the two */
        skipped.command = admission.id;
        return abandon(r->s, &skipped);
    }
    *judgement = JUDGED_REFUSED;
    return refuse_admission(r, &admission);
}

static enum err
forward_parse(struct request *r, const struct pgwire_parse *parse, struct pgstatement *statement)
{
    struct pganswer answer = {.kind = PGWIRE_OF_PARSE, .unnamed = r->unnamed_parse};
    enum err e;

    e = pgnames_begin(r->s->statements, parse->name, &statement->object, r->s->segment,
                      &answer.change);
    if (e == ERR_LIMIT)
        return refuse_because(r, "54000", parse->text, STR("too many prepared statements"));
    if (e != OK)
        return pgsession_fatal(r->s, e, "53200");
    answer.names = r->s->statements;
    return forward(r, &answer);
}

static enum err
serve_parse(struct request *r)
{
    struct pgsession *s = r->s;
    struct command command = {.database = s->grant->database};
    enum judgement judgement = JUDGED_ALLOWED;
    struct pgfacts_summary summary;
    const struct sql_facts *facts;
    struct pgstatement *statement;
    struct pgwire_parse parse;
    struct str body;
    bool exact;
    enum err e;

    if (r->body_len > SQL_TEXT_MAX + PARSE_OVERHEAD_MAX)
        return refuse_long_text(r);
    if ((e = pglane_body(&s->up, r->body_len, &body)) != OK)
        return e;
    if (pgwire_read_parse(body, &parse) != OK)
        return refuse_because(r, "08P01", STR("(malformed Parse)"), STR("invalid Parse message"));
    r->unnamed_parse = parse.name.len == 0;
    if (parse.name.len > PGWIRE_NAME_MAX)
        return refuse_because(r, "42622", parse.text, STR("the statement's name is too long"));
    if (str_equal(parse.name, pgask_name))
        return refuse_because(r, "42602", parse.text, STR("the statement's name is reserved"));
    if (parse.text.len > SQL_TEXT_MAX)
        return refuse_long_text(r);
    if ((e = pgcontext_facts(s, parse.text, &facts, &exact)) != OK)
        return e == ERR_CANCELED ? e : refuse_analysis(r, e, parse.text);
    if (is_mistaken(facts->lineage))
        return refuse_mistake(r, facts->lineage, parse.text);
    statement = pgstatement_new(facts, parse.text, parse.types, s->context.generation);
    if (statement == NULL)
        return pgsession_fatal(s, fail(ERR_NOMEM, "no memory for a statement"), "53200");
    pgfacts_summarise(facts, &summary);
    describe_protection(statement->lineage, &command);
    command.text = parse.text;
    command.demands = statement->demands;
    command.n_demands = statement->n_demands;
    if (state_purpose(&command, &statement->summary.purpose) != OK)
        e = refuse_purpose(r, command.text), judgement = JUDGED_REFUSED;
    else if (!summary.empty && (e = pgpurpose_complete(s, &command)) == OK)
        e = judge_parse(r, &command, &judgement);
    if (e == OK && judgement == JUDGED_ALLOWED)
        e = forward_parse(r, &parse, statement);
    pgobject_release(&statement->object);
    return e;
}

/* A portal with copies of the values that are in the prefix of the Bind. */
static struct pgportal *
portal_of(struct pgwire_bind *bind, struct pgstatement *statement)
{
    struct cursor types = cursor_make(statement->types);
    struct pgportal *portal;
    char *room;

    portal = pgportal_new(statement, bind->n_values, cursor_left(&bind->values), &room);
    if (portal == NULL)
        return NULL;
    for (unsigned i = 0; i < bind->n_values; i++) {
        struct bind_value *value = &portal->values[i];

        pgwire_next_value(bind, i, value);
        value->type = cursor_u32(&types);
        if (value->bytes.len > 0)
            memcpy(room, value->bytes.ptr, value->bytes.len);
        value->bytes.ptr = room;
        room += value->bytes.len;
    }
    return portal;
}

static struct command
command_of(const struct pgsession *s, const struct pgportal *portal)
{
    struct command command = {.text = portal->statement->text,
                              .database = s->grant->database,
                              .demands = portal->statement->demands,
                              .n_demands = portal->statement->n_demands,
                              .binds = portal->values,
                              .n_binds = portal->n_values};

    describe_protection(portal->view != NULL ? portal->view->lineage : portal->statement->lineage,
                        &command);
    err_ignore(
        state_purpose(&command, &portal->statement->summary.purpose)); /* Parse had it right */
    return command;
}

/* Whether something may run once a portal is made: SQL's FETCH may run a named one, and the
 * planner runs functions that say of themselves that they are immutable or stable. */
static bool
may_run_early(struct str name, const struct pgstatement *statement)
{
    for (size_t i = 0; i < statement->n_demands; i++)
        if (statement->demands[i].kind == OBJECT_FUNCTION)
            return true;
    return name.len > 0 && !statement->summary.empty;
}

/* [waits] Such a portal is decided and recorded when it is made; another only by Execute. */
static enum err
forward_bind(struct request *r, struct str name, struct pgportal *portal)
{
    struct pgsession *s = r->s;
    struct command command = command_of(s, portal);
    struct pganswer answer = {.kind = PGWIRE_OF_BIND};
    enum judgement judgement;
    enum err e;

    if ((may_run_early(name, portal->statement) || command.protected_use.len > 0) &&
        ((e = admit(r, &command, portal->statement, &portal->approval, &answer, &judgement)) !=
             OK ||
         judgement == JUDGED_REFUSED))
        return e;
    e = pgnames_begin(s->portals, name, &portal->object, s->segment, &answer.change);
    if (e == ERR_LIMIT) {
        if ((e = abandon(s, &answer)) != OK)
            return e;
        return refuse_because(r, "54000", STR(""), STR("too many portals"));
    }
    if (e != OK)
        return pgsession_fatal(s, e, "53200");
    answer.names = s->portals;
    return forward(r, &answer);
}

/* Whether SQL's PREPARE made it: the string that it stands in answers something else. */
static bool
is_of_prepare(const struct pgstatement *statement)
{
    return statement->lineage != NULL && statement->output < statement->lineage->n_outputs &&
           statement->lineage->outputs[statement->output].prepares;
}

/* [waits] What may be seen of a portal of this statement. */
static enum err
make_portal_view(struct pgsession *s, const struct pgstatement *statement, struct pgview **out)
{
    struct command unused = {0};
    struct str missing;

    if (!is_of_prepare(statement)) /* what a missing cursor means is found out when it runs */
        return make_view(s, statement->lineage, &unused, out, &missing);
    if ((*out = pgview_new(statement->lineage)) == NULL)
        return fail(ERR_NOMEM, "no memory for an answer");
    (*out)->detectors = detectors_hold(s->context.detectors);
    return follow_lineage(*out, 0, statement->lineage, statement->output);
}

/* [waits] From now on the portal means what its statement means now: the server plans it. */
static enum err
bind_portal(struct request *r, struct str name, struct pgportal *portal)
{
    struct pgstatement *statement = portal->statement;
    enum err e;

    if ((e = pgcontext_renew(r->s, statement)) == ERR_CANCELED)
        return e;
    if (e != OK)
        return refuse_analysis(r, e, statement->text);
    if (is_mistaken(statement->lineage))
        return refuse_mistake(r, statement->lineage, statement->text);
    if ((e = make_portal_view(r->s, statement, &portal->view)) != OK)
        return e;
    return forward_bind(r, name, portal);
}

static enum err
serve_bind(struct request *r)
{
    struct pgsession *s = r->s;
    bool whole = r->body_len <= PGWIRE_BIND_PREFIX;
    struct pgwire_bind bind;
    struct pgobject *object;
    struct pgportal *portal;
    struct str body;
    enum err e;

    if ((e = pglane_body(&s->up, whole ? r->body_len : PGWIRE_BIND_PREFIX, &body)) != OK)
        return e;
    if (pgwire_read_bind(body, whole, &bind) != OK)
        return refuse_because(r, "08P01", STR(""), STR("invalid Bind message"));
    if (bind.portal.len > PGWIRE_NAME_MAX)
        return refuse_because(r, "42622", STR(""), STR("the portal's name is too long"));
    if (str_equal(bind.portal, pgask_name))
        return refuse_because(r, "42602", STR(""), STR("the portal's name is reserved"));
    if ((e = look_up(s, s->statements, bind.statement, &object)) != OK)
        return e;
    if (object == NULL)
        return refuse_missing(r, "prepared statement", "26000", bind.statement);
    if ((portal = portal_of(&bind, (struct pgstatement *)object)) == NULL)
        return pgsession_fatal(s, fail(ERR_NOMEM, "no memory for a portal"), "53200");
    e = bind_portal(r, bind.portal, portal);
    pgobject_release(&portal->object);
    return e;
}

/* [waits] What FETCH and EXECUTE show is known when they run. */
static enum err
renew_view(struct pgsession *s, struct pgportal *portal, struct command *command,
           struct str *missing)
{
    const struct sql_lineage *lineage = portal->view == NULL ? NULL : portal->view->lineage;
    struct pgview *view = NULL;
    enum err e;

    *missing = (struct str){NULL, 0};
    if (lineage == NULL || lineage->n_outputs != 1 ||
        (lineage->outputs[0].kind != SQL_OUTPUT_CURSOR &&
         lineage->outputs[0].kind != SQL_OUTPUT_PREPARED))
        return OK;
    e = make_view(s, lineage, command, &view, missing);
    if (e != OK) {
        pgview_release(view);
        return e;
    }
    pgview_release(portal->view);
    portal->view = view;
    return OK;
}

/* [waits] So that the rows that follow are described, whether the client asks for that or not:
 * to be masked, or to be recorded. */
static enum err
describe_portal(struct request *r, struct str name, const struct pgportal *portal,
                const struct pganswer *execute)
{
    struct pgsession *s = r->s;
    struct pganswer answer = {.kind = PGWIRE_OF_DESCRIBE_PORTAL, .ours = true, .portal = portal};
    struct buf out = buf_make(256);
    enum err e;

    if (!execute->record_rows &&
        (execute->view == NULL || !pgview_wants_description(execute->view)))
        return OK;
    if ((e = pgwait_room(s, 2)) != OK || s->skipping)
        return e;
    pgwire_put_target(&out, 'D', 'P', name);
    answer.view = pgview_hold(execute->view);
    pganswers_push(&s->answers, &answer);
    if ((e = buf_ok(&out)) == OK)
        e = pglane_insert(&s->up, buf_str(&out));
    buf_free(&out);
    return e;
}

/* [waits] The portal `name`. */
static enum err
run_portal(struct request *r, struct str name, struct pgportal *portal)
{
    struct pgsession *s = r->s;
    struct pgstatement *statement = portal->statement;
    struct command command = command_of(s, portal);
    struct pganswer answer = {
        .kind = PGWIRE_OF_EXECUTE, .portal = portal, .copies_left = statement->summary.n_copies_in};
    enum judgement judgement = JUDGED_ALLOWED;
    struct str missing;
    enum err e;

    if ((e = renew_view(s, portal, &command, &missing)) != OK)
        return e;
    if (missing.ptr != NULL)
        return refuse_missing(r, "cursor", "34000", missing);
    answer.view = pgview_hold(portal->view);
    if (!statement->summary.empty)
        e = admit(r, &command, statement, &portal->approval, &answer, &judgement);
    if (e == OK && judgement == JUDGED_ALLOWED && portal->view == NULL)
        portal->view = pgview_hold(answer.view); /* its batches count together */
    if (e == OK && judgement == JUDGED_ALLOWED)
        e = describe_portal(r, name, portal, &answer);
    if (e == OK && judgement == JUDGED_ALLOWED)
        return run(r, statement, &statement->summary, &answer);
    pgview_release(answer.view);
    return e;
}

static enum err
serve_execute(struct request *r)
{
    struct pgsession *s = r->s;
    struct pgwire_execute execute;
    struct pgobject *object;
    struct str body;
    enum err e;

    if ((e = pglane_body(&s->up, r->body_len, &body)) != OK)
        return e;
    if (pgwire_read_execute(body, &execute) != OK)
        return refuse_because(r, "08P01", STR(""), STR("invalid Execute message"));
    if ((e = look_up(s, s->portals, execute.portal, &object)) != OK)
        return e;
    if (object == NULL)
        return refuse_missing(r, "portal", "34000", execute.portal);
    pgobject_hold(object);
    e = run_portal(r, execute.portal, (struct pgportal *)object);
    pgobject_release(object);
    return e;
}

static enum err
serve_describe(struct request *r)
{
    struct pganswer answer = {0};
    struct pgwire_target target;
    struct pgobject *object;
    struct str body;
    enum err e;

    if ((e = pglane_body(&r->s->up, r->body_len, &body)) != OK)
        return e;
    if (pgwire_read_target(body, &target) != OK)
        return refuse_because(r, "08P01", STR(""), STR("invalid Describe message"));
    answer.kind = target.kind == 'S' ? PGWIRE_OF_DESCRIBE_STATEMENT : PGWIRE_OF_DESCRIBE_PORTAL;
    if (target.kind == 'P') {
        if ((e = look_up(r->s, r->s->portals, target.name, &object)) != OK)
            return e;
        if (object != NULL)
            answer.view = pgview_hold(((struct pgportal *)object)->view);
        answer.portal = object;
    }
    return forward(r, &answer);
}

static enum err
serve_close(struct request *r)
{
    struct pgsession *s = r->s;
    struct pganswer answer = {.kind = PGWIRE_OF_CLOSE};
    struct pgwire_target target;
    struct str body;
    enum err e;

    if ((e = pglane_body(&s->up, r->body_len, &body)) != OK)
        return e;
    if (pgwire_read_target(body, &target) != OK || target.name.len > PGWIRE_NAME_MAX)
        return refuse_because(r, "08P01", STR(""), STR("invalid Close message"));
    answer.names = target.kind == 'S' ? s->statements : s->portals;
    if ((e = pgnames_begin(answer.names, target.name, NULL, s->segment, &answer.change)) != OK)
        return pgsession_fatal(s, e, "53200");
    return forward(r, &answer);
}

/* [waits] The client was told of an error where the server had none: it gets one now, so that what
 * the segment did is rolled back and the state that the client is told is true. */
static enum err
fail_segment(struct pgsession *s)
{
    struct pganswer answer = {.kind = PGWIRE_OF_PARSE, .silent = true};
    struct buf out = buf_make(256);
    enum err e;

    s->must_fail = false;
    if ((e = pgwait_room(s, 2)) != OK)
        return e;
    pgwire_put_parse(&out, pgrefusal_name, pgrefusal_statement);
    pganswers_push(&s->answers, &answer);
    if ((e = buf_ok(&out)) == OK)
        e = pglane_insert(&s->up, buf_str(&out));
    buf_free(&out);
    return e;
}

static enum err
serve_sync(struct request *r)
{
    struct pganswer answer = {.kind = PGWIRE_OF_SYNC};
    enum err e;

    if (r->s->must_fail && (e = fail_segment(r->s)) != OK)
        return e;
    r->s->skipping = false;
    return forward(r, &answer);
}

static enum err
serve_function_call(struct request *r)
{
    return refuse_because(r, "0A000", STR("(FunctionCall)"),
                          STR("the function-call protocol does not pass through the gateway; "
                              "call the function in a statement"));
}

static enum err
serve_copy(struct request *r)
{
    enum err e = pglane_stream(&r->s->up, r->body_len);

    if (r->type != 'd')
        r->s->copy_in = false;
    return e == OK && r->type != 'd' ? pgaffected_settle(r->s) : e;
}

/* [waits] The client goes, in order or not: what it had asked for goes on to its end, as with a
 * server of its own; a COPY under way fails. */
static enum err
leave(struct pgsession *s)
{
    struct buf out = buf_make(64);
    enum err e;

    if (s->up.within_frame) {
        err_ignore(fail(ERR_TRUNCATED, "the client closed the connection within a message"));
        return pgsession_end(s, ERR_TRUNCATED, NULL);
    }
    if (s->copy_in) {
        pgwire_put_string(&out, 'f', STR("the client closed the connection"));
        s->copy_failed = s->down.mute_on_failure = true;
    }
    pgwire_put_plain(&out, 'X', STR(""));
    s->leaving = true;
    e = pglane_insert(&s->up, buf_str(&out));
    buf_free(&out);
    return e;
}

static enum err
break_off(struct pgsession *s, const char *why, unsigned char type)
{
    const struct pgwire_rule *rule = pgwire_frontend_rule(type);

    if (rule != NULL)
        err_ignore(fail(ERR_PROTOCOL, "%s: %s", why, rule->name));
    else
        err_ignore(fail(ERR_PROTOCOL, "%s: type %u", why, type));
    return pgsession_fatal(s, ERR_PROTOCOL, "08P01");
}

static enum err
serve_command(struct request *r)
{
    switch (r->type) {
    case 'Q':
        return serve_query(r);
    case 'P':
        return serve_parse(r);
    case 'B':
        return serve_bind(r);
    case 'D':
        return serve_describe(r);
    case 'E':
        return serve_execute(r);
    case 'C':
        return serve_close(r);
    case 'S':
        return serve_sync(r);
    case 'H':
        return pglane_stream(&r->s->up, r->body_len);
    case 'F':
        return serve_function_call(r);
    default:
        return break_off(r->s, "unexpected message", r->type);
    }
}

/* [waits] One message: first whether it may come now at all. */
static enum err
serve_message(struct request *r, const struct pgwire_rule *rule)
{
    struct pgsession *s = r->s;
    enum err e;

    if (r->body_len < rule->body_min || r->body_len > rule->body_max)
        return break_off(s, "invalid length of message", r->type);
    if (r->type == 'X')
        return leave(s);
    if ((e = wait_for_copy(s)) != OK)
        return e;
    if (s->copy_in && (rule->when & PGWIRE_COPY_IN) != 0)
        return serve_copy(r);
    if (s->copy_in || (rule->when & PGWIRE_READY) == 0) {
        if ((rule->when & PGWIRE_STRAY) != 0)
            return pglane_drop(&s->up, r->body_len);
        return break_off(s, s->copy_in ? "unexpected message during COPY" : "unexpected message",
                         r->type);
    }
    if ((e = pgwait_cancel(s)) != OK || (e = pgaffected_roll_back(s)) != OK ||
        (e = pgwait_room(s, 1)) != OK)
        return e;
    if (s->skipping && r->type != 'S')
        return pglane_drop(&s->up, r->body_len);
    return serve_command(r);
}

/* [waits] The stream from the client failed, or that to the server. */
static enum err
end_upstream(struct pgsession *s, enum err e)
{
    if (s->over || e == ERR_CANCELED)
        return e;
    if (s->up.writing) /* the server is gone: the other direction reads its last words */
        return e;
    if (e == ERR_PROTOCOL || e == ERR_LIMIT || e == ERR_NOMEM)
        return pgsession_fatal(s, e, e == ERR_NOMEM ? "53200" : "08P01");
    return leave(s);
}

enum err
pgupstream_run(struct pgsession *s)
{
    enum err e = OK;

    while (e == OK && !s->leaving && !s->over) {
        struct request r = {.s = s};
        const struct pgwire_rule *rule;
        bool whole;

        if ((e = pglane_next(&s->up, &r.type, &r.body_len, &whole)) != OK)
            break;
        s->active = true;
        if (s->asleep) {
            s->asleep = false;
            fiber_condition_signal(&s->wake);
        }
        if ((rule = pgwire_frontend_rule(r.type)) == NULL)
            return break_off(s, "unknown message", r.type);
        e = serve_message(&r, rule);
    }
    return e == OK ? OK : end_upstream(s, e);
}
