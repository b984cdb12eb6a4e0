/* One human's word: may it be said, what comes of it, and all of it in one transaction. */
#include <stdlib.h>

#include "base/log.h"
#include "control/approvals_state.h"

/* --- who may --------------------------------------------------------------------------------- */

static bool
matches_any(struct str_list globs, struct str s)
{
    for (size_t i = 0; i < globs.n; i++)
        if (str_glob(globs.items[i], s))
            return true;
    return false;
}

static bool
in_groups(struct str_list globs, struct str_list groups)
{
    for (size_t i = 0; i < groups.n; i++)
        if (matches_any(globs, groups.items[i]))
            return true;
    return false;
}

/* Whether `name`, an entry of the requesting chain, could be this person. Rather too often than too
 * seldom: issuers are not compared, nor is case. */
static enum err
is_person(struct approvals *a, struct str name, const struct approver *by, bool *out)
{
    const struct person *p = &by->person;

    *out = (name.len > 0 && (str_equal_nocase(name, p->subject) ||
                             str_equal_nocase(name, p->email) || str_equal_nocase(name, p->name)));
    for (size_t i = 0; !*out && i < by->chain.n; i++)
        *out = name.len > 0 && str_equal_nocase(name, by->chain.items[i]);
    if (*out || p->email.len == 0)
        return OK;
    return people_subject_has_email(a->db, name, p->email, out);
}

/* Whether the person is, or acts through, anybody on whose behalf the request is. */
static enum err
is_own(struct approvals *a, const struct request *r, const struct approver *by, bool *out)
{
    enum err e = is_person(a, r->subject, by, out);

    for (size_t i = 0; e == OK && !*out && i < r->chain.n; i++)
        e = is_person(a, r->chain.items[i], by, out);
    if (e != OK || *out)
        return e;
    *out = (r->email.len > 0 && str_equal_nocase(r->email, by->person.email)) ||
           (r->token_id.len > 0 && str_equal(r->token_id, by->token_id) &&
            str_equal(r->issuer, by->person.issuer));
    return OK;
}

/* Who has spoken on the request as it is bound now. A second account of the same human (its
 * subject at another issuer, or its e-mail address) is the same human. */
static bool
has_spoken(const struct request *r, const struct decision_list *decisions, const struct person *p)
{
    for (size_t i = 0; decisions != NULL && i < decisions->n; i++) {
        const struct decision *d = &decisions->items[i];

        if (!str_equal(d->binding_hash, r->binding_hash))
            continue;
        if (str_equal_nocase(d->subject, p->subject) ||
            (p->email.len > 0 && str_equal_nocase(d->email, p->email)))
            return true;
    }
    return false;
}

static void
put_chain(struct buf *out, struct str_list chain)
{
    for (size_t i = 0; i < chain.n; i++) {
        if (i > 0)
            buf_put_text(out, " → ");
        buf_put_str(out, chain.items[i]);
    }
}

static const struct step_up *
rule_of(const struct approvals *a, const struct request *r)
{
    const struct policy_rule *rule = approvals_rule(a, r->rule);

    return rule == NULL || rule->verdict != VERDICT_STEP_UP ? NULL : &rule->step_up;
}

/* Why this person may say nothing at all; nothing put: they may, if the rule names them. */
static enum err
why_not_at_all(struct approvals *a, const struct request *r, const struct decision_list *decisions,
               const struct approver *by, struct buf *why)
{
    bool own = false;
    enum err e = is_own(a, r, by, &own);

    if (e != OK)
        return e;
    if (own) {
        buf_put_text(why, "this is a request of your own, or on your behalf (");
        put_chain(why, r->chain);
        buf_put_text(why, "); somebody else must decide");
    } else if (by->person.subject.len == 0) {
        buf_put_text(why, "it is not known who you are");
    } else if (by->chain.n > 1) {
        buf_put_text(why, "decisions are made by humans themselves, and this token acts for "
                          "somebody (");
        put_chain(why, by->chain);
        buf_put_text(why, "); log in yourself");
    } else if (r->state != REQUEST_PENDING) {
        buf_printf(why, "it is %s already", request_state_name(r->state));
    } else if (r->expires_us <= now_us(a)) {
        buf_put_text(why, "it has expired");
    } else if (has_spoken(r, decisions, &by->person)) {
        buf_put_text(why, "you have decided on this request already");
    } else if (rule_of(a, r) == NULL) {
        buf_printf(why, "the rule \"%.*s\" is not in force any more", STR_ARG(r->rule));
    }
    return OK;
}

static enum err
judge(struct approvals *a, const struct request *r, const struct decision_list *decisions,
      const struct approver *by, struct buf *why, struct approvals_eligibility *out)
{
    const struct step_up *s = rule_of(a, r);
    enum err e = why_not_at_all(a, r, decisions, by, why);

    if (e != OK || why->len > 0)
        return e;
    out->may_override = in_groups(s->break_glass_groups, by->person.groups);
    out->may_decide = in_groups(s->approver_groups, by->person.groups) ||
                      matches_any(s->approver_subjects, by->person.subject);
    if (!out->may_decide) {
        buf_printf(why, "you are not an approver of the rule \"%.*s\": ", STR_ARG(r->rule));
        approvals_describe_approvers(s, why);
        buf_put_text(why, " may decide");
    }
    return OK;
}

enum err
approvals_may_decide(struct approvals *a, const struct request *r,
                     const struct decision_list *decisions, const struct approver *by,
                     struct arena *arena, struct approvals_eligibility *out)
{
    struct buf why = buf_make(16 << 10);
    enum err e;

    *out = (struct approvals_eligibility){.why_not = STR("")};
    if ((e = judge(a, r, decisions, by, &why, out)) == OK) {
        out->why_not = arena_str(arena, buf_str(&why));
        if (out->why_not.ptr == NULL)
            e = fail(ERR_NOMEM, "no memory");
    }
    buf_free(&why);
    if (e != OK)
        *out = (struct approvals_eligibility){.why_not = STR("")};
    return e;
}

/* --- deciding --------------------------------------------------------------------------------- */

/* A decision being made. */
struct act {
    struct approvals *a;
    const struct approver *by;
    enum decision_verdict verdict;
    struct str reason; /* cleaned */
    struct arena *arena;
    struct request r;
    struct decision_list before;
    enum request_state state; /* afterwards */
    unsigned agreed;
    struct str who; /* all who agreed, or the one who decided */
};

/* What was stored is still what was asked. */
static enum err
check_binding(struct act *act)
{
    char hash[APPROVALS_HASH_TEXT];
    enum err e = approvals_binding_hash(&act->r, hash);

    if (e != OK)
        return e;
    if (!str_equal(act->r.binding_hash, str_from(hash))) {
        log_error("approval_binding_broken", "request=%.*s", STR_ARG(act->r.id));
        return fail(ERR_DENIED, "the request in the store is not what was asked for; nothing was "
                                "decided");
    }
    return OK;
}

/* A held command needs somebody who holds it, unless the approval serves later ones too. */
static bool
is_waited_for(const struct act *act)
{
    const struct request *r = &act->r;
    const struct pending *p = table_get(act->a->pending, r->id);

    if (r->kind == REQUEST_ACCESS || r->step_up.scope != STEP_UP_ONCE)
        return true;
    if (!r->waiting)
        return false;
    return !str_equal(r->node, str_from(act->a->node)) || (p != NULL && p->waiters != NULL);
}

/* Over by the monotonic clock, wherever the wall clock went. */
static bool
is_overdue(const struct act *act)
{
    const struct pending *p = table_get(act->a->pending, act->r.id);

    return p != NULL && p->deadline_ms <= now_ms(act->a);
}

static enum err
check_state(struct act *act)
{
    const struct request *r = &act->r;
    enum err e;

    if (r->state != REQUEST_PENDING)
        return fail(ERR_EXISTS, "it is %s already", request_state_name(r->state));
    if (r->expires_us <= now_us(act->a) || is_overdue(act))
        return fail(ERR_EXISTS, "it has expired");
    if ((e = check_binding(act)) != OK)
        return e;
    if (act->verdict == DECISION_DENY)
        return OK;
    if (!str_equal(r->policy_hash, str_from(act->a->policy_hash)))
        return fail(ERR_EXISTS, "the policy has changed since this was asked; it must be asked "
                                "again, or can be denied");
    if (!is_waited_for(act))
        return fail(ERR_EXISTS, "nobody waits for this command any more; it can be denied, or "
                                "left to expire");
    return OK;
}

static enum err
check_person(struct act *act)
{
    struct approvals_eligibility may;
    enum err e;

    if (has_spoken(&act->r, &act->before, &act->by->person))
        return fail(ERR_EXISTS, "you have decided on this request already");
    e = approvals_may_decide(act->a, &act->r, &act->before, act->by, act->arena, &may);
    if (e != OK)
        return e;
    if (act->verdict == DECISION_OVERRIDE ? may.may_override : may.may_decide)
        return OK;
    if (act->verdict == DECISION_OVERRIDE && may.may_decide)
        may.why_not = STR("");
    if (act->verdict == DECISION_OVERRIDE && may.why_not.len == 0)
        return fail(ERR_DENIED, "you are not in a break-glass group of the rule \"%.*s\"",
                    STR_ARG(act->r.rule));
    return fail(ERR_DENIED, "%.*s", STR_ARG(may.why_not));
}

static enum err
check_reason(struct act *act)
{
    const struct step_up *s = rule_of(act->a, &act->r);

    if (act->reason.len == 0 && act->verdict == DECISION_OVERRIDE)
        return fail(ERR_INVALID, "an override needs a reason");
    if (act->reason.len == 0 && s != NULL && s->reason_required)
        return fail(ERR_INVALID, "the rule \"%.*s\" wants a reason for each decision",
                    STR_ARG(act->r.rule));
    return OK;
}

/* Who agreed before, and this one. */
static enum err
count_agreed(struct act *act)
{
    struct buf names = buf_make(16 << 10);
    enum err e;

    for (size_t i = 0; i < act->before.n && act->verdict == DECISION_APPROVE; i++) {
        const struct decision *d = &act->before.items[i];

        if (d->verdict != DECISION_APPROVE || !str_equal(d->binding_hash, act->r.binding_hash))
            continue;
        buf_put_str(&names, d->subject);
        buf_put_text(&names, ", ");
        act->agreed++;
    }
    buf_put_str(&names, act->by->person.subject);
    act->agreed++;
    if ((e = buf_ok(&names)) == OK) {
        act->who = arena_str(act->arena, buf_str(&names));
        if (act->who.ptr == NULL)
            e = fail(ERR_NOMEM, "no memory");
    }
    buf_free(&names);
    return e;
}

static enum request_state
state_after(const struct act *act)
{
    switch (act->verdict) {
    case DECISION_DENY:
        return REQUEST_DENIED;
    case DECISION_OVERRIDE:
        return REQUEST_OVERRIDDEN;
    default:
        return act->agreed >= act->r.step_up.approvals ? REQUEST_APPROVED : REQUEST_PENDING;
    }
}

static enum err
put_decision(struct act *act)
{
    const struct person *p = &act->by->person;
    const struct decision d = {
        .request = act->r.id,
        .issuer = p->issuer,
        .subject = p->subject,
        .name = p->name,
        .email = p->email,
        .verdict = act->verdict,
        .reason = act->reason,
        .channel = str_from(act->by->channel),
        .binding_hash = act->r.binding_hash,
        .at_us = now_us(act->a),
    };

    return decisions_put(act->a->db, &d);
}

static enum err
record_decision(struct act *act)
{
    const char *event = act->verdict == DECISION_DENY       ? "denied"
                        : act->verdict == DECISION_OVERRIDE ? "overridden"
                                                            : "approved";
    struct buf text = buf_make(4096);
    enum err e;

    if (act->verdict == DECISION_APPROVE && act->r.step_up.approvals > 1)
        buf_printf(&text, "%u of %u%s", act->agreed, act->r.step_up.approvals,
                   act->reason.len > 0 ? ": " : "");
    buf_put_str(&text, act->reason);
    e = approvals_record(act->a, &act->r, event, act->by->person.subject, buf_str(&text));
    buf_free(&text);
    return e;
}

/* An override serves what waits, and makes no approval for later commands. */
static bool
makes_grant(const struct act *act)
{
    if (act->r.kind == REQUEST_ACCESS)
        return act->state == REQUEST_APPROVED || act->state == REQUEST_OVERRIDDEN;
    return act->state == REQUEST_APPROVED && act->r.step_up.scope != STEP_UP_ONCE;
}

static enum err
finish(struct act *act)
{
    struct approvals *a = act->a;
    enum err e;

    if (act->state == REQUEST_PENDING)
        return OK;
    if ((e = requests_end(a->db, act->r.id, act->state, now_us(a), act->who, act->reason)) != OK)
        return e;
    act->r.state = act->state;
    if (makes_grant(act) && (e = grant_make(a, &act->r, act->who)) != OK)
        return e;
    if (act->state == REQUEST_OVERRIDDEN &&
        (e = approvals_notify(a, "break-glass", true, &act->r, act->who, act->reason)) != OK)
        return e;
    return approvals_notify(a, "decision", false, &act->r, act->who, act->reason);
}

/* All within the transaction, the record last but for the commit: what the ledger says was decided
 * is undone only if the store fails then. */
static enum err
run(struct act *act, struct str id)
{
    struct db *db = act->a->db;
    enum err e;

    if ((e = requests_lock(db, id)) != OK && e != ERR_NOT_FOUND)
        return e;
    if ((e = requests_get(db, id, act->arena, &act->r)) != OK ||
        (e = decisions_of(db, id, act->arena, &act->before)) != OK)
        return e;
    if ((e = check_state(act)) != OK || (e = check_person(act)) != OK ||
        (e = check_reason(act)) != OK)
        return e;
    if ((e = put_decision(act)) != OK || (e = count_agreed(act)) != OK)
        return e;
    act->state = state_after(act);
    if ((e = finish(act)) != OK)
        return e;
    return record_decision(act);
}

static enum ipc_decision
answer_of(enum request_state state)
{
    return state == REQUEST_DENIED ? IPC_DECISION_DENIED : IPC_DECISION_APPROVED;
}

static void
act_upon(struct act *act)
{
    struct approvals *a = act->a;
    struct pending *p = table_get(a->pending, act->r.id);

    if (act->state != REQUEST_PENDING && p != NULL) {
        pending_answer(a, p, answer_of(act->state), act->who, act->reason);
        pending_forget(a, p);
    }
    approvals_tell_change(a, act->r.id, act->state);
}

static enum err
decide(struct act *act, struct str id)
{
    struct approvals *a = act->a;
    enum err e;

    if ((e = db_begin(a->db)) != OK)
        return e;
    if ((e = run(act, id)) != OK) {
        db_rollback(a->db);
        return e;
    }
    if ((e = db_commit(a->db)) != OK) {
        a->look = true; /* what became of it is seen then, by those who wait as well */
        return e;
    }
    act_upon(act);
    return OK;
}

enum err
approvals_decide(struct approvals *a, struct str id, const struct approver *by,
                 enum decision_verdict verdict, struct str reason, struct arena *arena,
                 struct request *out)
{
    struct act act = {.a = a, .by = by, .verdict = verdict};
    enum err e;

    if (a->config == NULL)
        return fail(ERR_UNAVAILABLE, "approvals are not ready; try again");
    if (!store_is_id(id))
        return fail(ERR_NOT_FOUND, "there is no such request");
    if (reason.len > REQUEST_REASON_MAX)
        return fail(ERR_INVALID, "a reason has at most %d bytes", REQUEST_REASON_MAX);
    if ((act.arena = arena_new(SCRATCH_BYTES)) == NULL)
        return fail(ERR_NOMEM, "no memory");
    act.reason = store_clean(act.arena, str_trim(reason), REQUEST_REASON_MAX);
    e = act.reason.ptr == NULL ? fail(ERR_NOMEM, "no memory") : decide(&act, id);
    arena_free(act.arena);
    if (e != OK)
        return e;
    return requests_get(a->db, id, arena, out);
}

enum err
approvals_cancel(struct approvals *a, struct str id, const struct approver *by, struct arena *arena)
{
    struct request r;
    struct pending *p;
    enum err e;

    if ((e = requests_get(a->db, id, arena, &r)) != OK)
        return e;
    if (r.kind != REQUEST_ACCESS || !str_equal(r.issuer, by->person.issuer) ||
        !str_equal(r.subject, by->person.subject))
        return fail(ERR_DENIED, "only whoever asked for access may take it back");
    e = pending_end(a, id, REQUEST_WITHDRAWN, by->person.subject, STR("taken back"));
    if (e == ERR_NOT_FOUND)
        return fail(ERR_EXISTS, "it is decided already");
    if (e == OK && (p = table_get(a->pending, id)) != NULL)
        pending_forget(a, p);
    return e;
}
