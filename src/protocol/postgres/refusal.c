#include "protocol/postgres/refusal.h"

#include <stdlib.h>

#include "command/purpose.h"

enum { REFUSAL_BYTES_MAX = 32 << 10, PART_BYTES_MAX = 8 << 10 };

const struct str pgrefusal_statement = STR_INIT("bulkhead refused this command");
const struct str pgrefusal_name = STR_INIT("bulkhead refused this command");

enum err
pgrefusal_of_failure(const struct pgwire_failure *failure, struct buf **out)
{
    struct buf *refusal = malloc(sizeof(*refusal));
    enum err e;

    if (refusal == NULL)
        return fail(ERR_NOMEM, "no memory for a refusal");
    *refusal = buf_make(REFUSAL_BYTES_MAX);
    pgwire_put_error(refusal, failure);
    if ((e = buf_ok(refusal)) != OK) {
        pgrefusal_free(refusal);
        return e;
    }
    *out = refusal;
    return OK;
}

void
pgrefusal_free(struct buf *refusal)
{
    if (refusal == NULL)
        return;
    buf_free(refusal);
    free(refusal);
}

/* "ddl, drop, drop-table on relation public.customers" */
static void
put_demand(struct buf *out, const struct demand *d)
{
    bool first = true;

    for (int c = 0; c < COMMAND_CLASS_COUNT; c++)
        if ((d->classes & CLASS_BIT(c)) != 0) {
            buf_put_text(out, first ? "" : ", ");
            buf_put_text(out, class_infos[c].name);
            first = false;
        }
    if (d->kind == OBJECT_NONE)
        return;
    buf_printf(out, " on %s ", object_kind_name(d->kind));
    if (d->schema.len > 0) {
        buf_put_str(out, d->schema);
        buf_put_text(out, ".");
    }
    buf_put_str(out, d->name);
}

static void
put_message(struct buf *out, const struct verdict *v)
{
    if (v->message.len > 0) {
        buf_put_str(out, v->message);
        return;
    }
    buf_put_text(out, v->kind == VERDICT_DEFER ? "a purpose is needed first" : "refused by policy");
    if (v->demand != NULL) {
        buf_put_text(out, ": ");
        put_demand(out, v->demand);
    }
}

/* What a rule's own text does not show: rules with schemas or tables miss these demands. */
static void
put_why_no_rule(struct buf *out, const struct demand *d)
{
    if (d->kind == OBJECT_NONE && (d->classes & CLASSES(READ)) != 0)
        buf_put_text(out, " that names no table; rules with schemas or tables do not cover it");
    else if (d->schema.len == 0 && (d->kind == OBJECT_RELATION || d->kind == OBJECT_FUNCTION))
        buf_put_text(out, " in every schema; write the name with its schema");
}

static void
put_detail(struct buf *out, const struct verdict *v)
{
    if (v->rule.len > 0) {
        buf_put_text(out, "rule \"");
        buf_put_str(out, v->rule);
        buf_put_text(out, v->demand != NULL ? "\" decided on " : "\" decided");
    } else {
        buf_put_text(out, v->demand != NULL ? "no rule allows " : "no rule allows this");
    }
    if (v->demand != NULL)
        put_demand(out, v->demand);
    if (v->rule.len == 0 && v->demand != NULL)
        put_why_no_rule(out, v->demand);
    buf_put_text(out, ".");
}

/* Exactly what to send, for one who reads nothing else. */
static void
put_how_to_say(struct buf *out)
{
    buf_put_text(out, "say what this is for, then send it again: SET " PURPOSE_SETTING
                      " = 'why'; or begin the statement with /* purpose: why */; or connect with "
                      "options='-c " PURPOSE_SETTING "=why'");
}

static void
put_what_is_allowed(struct buf *out, struct gate *gate)
{
    struct buf allowed = buf_make(PART_BYTES_MAX);

    gate_describe(gate, &allowed);
    if (allowed.len > 0) {
        buf_put_text(out, "allowed here: ");
        buf_put_str(out, buf_str(&allowed));
    } else {
        buf_put_text(out, "no rule allows anything here now");
    }
    buf_free(&allowed);
}

enum err
pgrefusal_of_verdict(struct gate *gate, const struct verdict *verdict, struct buf **out)
{
    struct buf message = buf_make(PART_BYTES_MAX), detail = buf_make(PART_BYTES_MAX),
               hint = buf_make(PART_BYTES_MAX);
    bool defer = verdict->kind == VERDICT_DEFER;
    struct pgwire_failure failure = {.severity = "ERROR", .sqlstate = defer ? "55000" : "42501"};
    enum err e;

    put_message(&message, verdict);
    put_detail(&detail, verdict);
    if (defer)
        put_how_to_say(&hint);
    else
        put_what_is_allowed(&hint, gate);
    /* A part that does not fit is cut, never dropped: buffers keep what they had. */
    failure.message = buf_str(&message);
    failure.detail = buf_str(&detail);
    failure.hint = buf_str(&hint);
    e = pgrefusal_of_failure(&failure, out);
    buf_free(&message);
    buf_free(&detail);
    buf_free(&hint);
    return e;
}
