/* Commands that humans are asked about, from the verdict STEP_UP to what came of it. */
#include <stdio.h>

#include "base/clock.h"
#include "command/hash.h"
#include "gate/gate_private.h"

/* One of them. */
struct stepping {
    struct gate *g;
    struct command command; /* with its context */
    struct admission *out;
    struct edition *edition; /* by which it stepped up; it stays while it is waited for */
    unsigned char hash[COMMAND_HASH_BYTES];
    bool in_transaction;
    struct held *held;
    struct hold_answer answer; /* of the last who were asked */
    struct buf context, frame, preview;
};

/* Refuses in words of the gate's own, which stay until the next command. */
static void
refuse(struct gate *g, enum hold_end why, struct str rule, struct admission *out)
{
    size_t at = g->hold_text.len;

    buf_put_str(&g->hold_text, rule);
    out->held = why;
    out->verdict = (struct verdict){
        .kind = VERDICT_DENY,
        .message = {g->hold_text.ptr, at},
        .rule = {g->hold_text.ptr + at, g->hold_text.len - at},
    };
    if (g->hold_text.failed) /* never in practice: it has room for all that can be said */
        out->verdict.message = STR("this command was not approved");
}

/* Refuses before it was held: in one record. */
static enum err
refuse_unheld(struct stepping *s, enum hold_end why, const char *text)
{
    struct str rule = s->out->verdict.rule;
    const struct demand *demand = s->out->verdict.demand;

    buf_put_text(&s->g->hold_text, text);
    refuse(s->g, why, rule, s->out);
    s->out->verdict.demand = demand;
    return gate_hand_over_intent(s->g, &s->command, s->out);
}

/* Whether an approval of earlier is of this command, by the rules in force. */
static bool
is_approved(const struct stepping *s, const struct approval *approval)
{
    return approval != NULL && approval->edition != 0 &&
           approval->edition == s->g->in_force->number &&
           memcmp(approval->command_hash, s->hash, sizeof(s->hash)) == 0;
}

static size_t
bytes_of_binds(const struct command *command)
{
    size_t bytes = 0;

    for (size_t i = 0; i < command->n_binds; i++)
        bytes += command->binds[i].bytes.len;
    return bytes;
}

/* Whether the record shows all of the command to whoever is to judge it. */
static enum err
hash_whole(struct stepping *s)
{
    size_t binds = bytes_of_binds(&s->command);

    if (binds > RECORD_BINDS_SHOWN_MAX ||
        s->command.text.len + s->command.context.len + binds > HOLD_COMMAND_BYTES_MAX)
        return fail(ERR_LIMIT, "it is larger than %d MiB, or its values than %d",
                    HOLD_COMMAND_BYTES_MAX >> 20, RECORD_BINDS_SHOWN_MAX >> 20);
    return command_hash(&s->command, s->hash);
}

static void
record_answer(struct stepping *s, enum record_decision_kind kind)
{
    struct record_decision decision = {.command = s->out->id,
                                       .decision = kind,
                                       .request = s->answer.request,
                                       .by = s->answer.by,
                                       .text = s->answer.text,
                                       .waited_us = s->answer.waited_us};

    record_put_decision(ledger_link_frames(s->g->ledger), clock_wall_us(), &decision);
}

static enum record_decision_kind
kind_of_record(enum hold_end end)
{
    switch (end) {
    case HOLD_APPROVED:
        return RECORD_APPROVED;
    case HOLD_DENIED:
        return RECORD_DENIED;
    case HOLD_TIMED_OUT:
        return RECORD_EXPIRED;
    case HOLD_WITHDRAWN:
    case HOLD_LEFT:
        return RECORD_WITHDRAWN;
    case HOLD_POLICY_CHANGED:
        return RECORD_POLICY_CHANGED;
    default:
        return RECORD_FAILED;
    }
}

static void
keep_request(struct stepping *s, struct str request)
{
    size_t n = request.len < HOLD_REQUEST_MAX ? request.len : HOLD_REQUEST_MAX;

    if (n > 0)
        memcpy(s->out->approval.request, request.ptr, n);
    s->out->approval.request[n] = '\0';
    s->out->request = str_from(s->out->approval.request);
}

/* [waits] Asks the approvers of one rule. What they say is recorded, unless it is for nothing
 * because the rules are others now. */
static enum err
ask_step(struct stepping *s, const struct verdict_step *step, struct str message)
{
    struct gate *g = s->g;
    struct hold_question question = {
        .rule = step->rule,
        .message = message,
        .policy_hash = {s->edition->hash, s->edition->hash_len},
        .command_hash = s->hash,
        .purpose = gate_purpose(g, &s->command),
        .in_transaction = s->in_transaction,
        .wait_seconds = s->in_transaction ? step->wait_in_transaction_seconds : step->wait_seconds,
        .frame = buf_str(&s->frame),
        .preview = buf_str(&s->preview),
    };
    enum err e = held_ask(s->held, &question, &g->holder, &s->answer), flushed;

    keep_request(s, s->answer.request);
    s->out->held = s->answer.end;
    if (e == OK && s->answer.end == HOLD_POLICY_CHANGED)
        return OK;
    if (g->end != GATE_OPEN && s->answer.end == HOLD_WITHDRAWN)
        s->answer.text = str_from(g->end_text);
    record_answer(s, kind_of_record(s->answer.end));
    flushed = ledger_link_flush(g->ledger);
    if (s->answer.end != HOLD_APPROVED) {
        hold_put_refusal(&question, &s->answer, &g->hold_text);
        refuse(g, s->answer.end, step->rule, s->out);
    }
    return e == OK ? flushed : e;
}

/* The fullest preview that one of the rules wants. */
static enum step_up_preview
preview_of(const struct verdict *v)
{
    enum step_up_preview most = PREVIEW_NONE;

    for (size_t i = 0; i < v->n_steps; i++)
        if (v->steps[i]->preview > most)
            most = v->steps[i]->preview;
    return most;
}

/* [waits] The command is on record as held: has it looked at and asks all who must agree. */
static enum err
ask_all(struct stepping *s)
{
    const struct verdict verdict = s->out->verdict;
    enum step_up_preview kind = preview_of(&verdict);
    struct gate *g = s->g;
    enum err e = OK;

    if (kind != PREVIEW_NONE)
        e = g->holder.preview(g->holder.arg, &s->command, kind, &s->preview);
    if (e == ERR_CANCELED) {
        record_answer(s, RECORD_WITHDRAWN);
        return e;
    }
    if (e != OK)
        buf_reset(&s->preview);
    e = OK;
    for (size_t i = 0; e == OK && i < verdict.n_steps; i++) {
        e = ask_step(s, verdict.steps[i], verdict.message);
        if (s->out->held != HOLD_APPROVED)
            break;
    }
    return e;
}

/* Whether it steps up for the same reasons as before. */
static bool
same_steps(const struct verdict *a, const struct verdict *b)
{
    if (b->kind != VERDICT_STEP_UP || a->n_steps != b->n_steps)
        return false;
    for (size_t i = 0; i < a->n_steps; i++)
        if (!str_equal(a->steps[i]->rule, b->steps[i]->rule))
            return false;
    return true;
}

/* It may not run after all, approved or not, for what has changed meanwhile: in the words of a rule
 * that denies it now, or else of ours. */
static enum err
refuse_late(struct stepping *s, const struct verdict *asked, const struct verdict *now)
{
    struct gate *g = s->g;

    s->answer.end = HOLD_POLICY_CHANGED;
    if (now->kind == VERDICT_DENY) {
        s->out->verdict = *now;
        s->out->held = HOLD_POLICY_CHANGED;
        s->answer.text = now->message;
    } else {
        hold_put_refusal(NULL, &s->answer, &g->hold_text);
        refuse(g, HOLD_POLICY_CHANGED, asked->steps[0]->rule, s->out);
        s->answer.text = s->out->verdict.message;
    }
    record_answer(s, RECORD_POLICY_CHANGED);
    return ledger_link_flush(g->ledger);
}

/* Decides once more, by the newest rules. */
static enum err
decide_again(struct stepping *s, const struct verdict *asked)
{
    struct gate *g = s->g;
    struct verdict now;
    bool changed;
    enum err e;

    if ((e = gate_check_open(g)) != OK)
        return e;
    changed = s->out->held != HOLD_APPROVED || !gate_same_rules(g->in_force, s->edition);
    gate_judge(g, &s->command, &now);
    if (now.kind == VERDICT_DENY || changed || !(gate_runs(&now) || same_steps(asked, &now)))
        return refuse_late(s, asked, &now);
    if (now.kind == VERDICT_STEP_UP) {
        verdict_approve(&now);
        verdict_protect(&now, &s->command);
    }
    s->out->verdict = now;
    s->out->approval.edition = g->in_force->number;
    memcpy(s->out->approval.command_hash, s->hash, sizeof(s->hash));
    return gate_runs(&now) ? gate_remember_start(g, s->out->id) : refuse_late(s, asked, &now);
}

/* [waits] Has humans asked, and does what they say. */
static enum err
hold(struct stepping *s)
{
    const struct verdict asked = s->out->verdict;
    enum err e;

    if ((s->held = held_begin(&s->g->holds, s->out->id)) == NULL)
        return fail(ERR_NOMEM, "no memory to hold a command");
    e = ask_all(s);
    if (e == OK && s->g->end != GATE_OPEN)
        e = fail(ERR_UNAVAILABLE, "%s", s->g->end_text);
    if (e == OK && (s->out->held == HOLD_APPROVED || s->out->held == HOLD_POLICY_CHANGED))
        e = decide_again(s, &asked);
    held_free(s->held);
    return e;
}

/* [waits] Puts it on record as held, and holds it. */
static enum err
record_and_hold(struct stepping *s)
{
    struct record_intent intent = gate_intent_of(s->g, &s->command, s->out);
    enum err e;

    s->frame = buf_make(RECORD_FRAME_MAX);
    s->preview = buf_make(HOLD_PREVIEW_BYTES_MAX);
    record_put_intent(&s->frame, clock_wall_us(), &intent);
    buf_put_str(ledger_link_frames(s->g->ledger), buf_str(&s->frame));
    if ((e = buf_ok(&s->frame)) == OK && (e = ledger_link_flush(s->g->ledger)) == OK)
        e = hold(s);
    buf_free(&s->preview);
    buf_free(&s->frame);
    return e;
}

/* The same command was approved a moment ago, and goes on. */
static enum err
run_approved(struct stepping *s, const struct approval *approval)
{
    enum err e;

    s->out->approval = *approval;
    s->out->request = str_from(s->out->approval.request);
    s->out->held = HOLD_APPROVED;
    s->answer = (struct hold_answer){.request = s->out->request,
                                     .text = STR("approved before, as the same command")};
    verdict_approve(&s->out->verdict);
    verdict_protect(&s->out->verdict, &s->command);
    if ((e = gate_conclude(s->g, &s->command, s->out)) != OK || !gate_runs(&s->out->verdict))
        return e;
    record_answer(s, RECORD_APPROVED);
    return ledger_link_flush(s->g->ledger);
}

/* [waits] Once it is known where the command would run. */
static enum err
step_up(struct stepping *s, const struct approval *approval)
{
    char why[ERR_TEXT_MAX + 128];
    struct gate *g = s->g;
    enum err e;

    e = g->holder.prepare(g->holder.arg, &s->command, &s->context, &s->in_transaction);
    if (e == ERR_CANCELED)
        return e;
    if (e == ERR_DENIED) {
        buf_put_text(&g->hold_text, "what came before this command failed");
        refuse(g, HOLD_SKIPPED, STR(""), s->out);
        return OK;
    }
    if (e != OK) {
        (void)snprintf(why, sizeof(why),
                       "this command needs an approval, and what it means could "
                       "not be found out: %s",
                       err_text());
        return refuse_unheld(s, HOLD_UNAVAILABLE, why);
    }
    s->command.context = buf_str(&s->context);
    if (g->end != GATE_OPEN)
        return fail(ERR_UNAVAILABLE, "%s", g->end_text);
    if (!gate_same_rules(g->newest,
                         s->edition)) /* what was found out about it is not true any more */
        return refuse_unheld(s, HOLD_POLICY_CHANGED,
                             "the policy changed while this command was looked at; send it again");
    if ((e = hash_whole(s)) == ERR_LIMIT) {
        (void)snprintf(why, sizeof(why), "this command is too large to be judged by a human: %s",
                       err_text());
        return refuse_unheld(s, HOLD_TOO_LARGE, why);
    }
    if (e != OK)
        return e;
    return is_approved(s, approval) ? run_approved(s, approval) : record_and_hold(s);
}

/* [waits] The verdict is STEP_UP: asks humans. */
enum err
gate_step_up(struct gate *g, const struct command *command, const struct approval *approval,
             struct admission *out)
{
    struct stepping s = {.g = g,
                         .command = *command,
                         .out = out,
                         .edition = g->in_force,
                         .context = buf_make(HOLD_COMMAND_BYTES_MAX)};
    enum err e;

    if (g->holder.held == NULL)
        return refuse_unheld(&s, HOLD_UNAVAILABLE,
                             "this command needs an approval, which cannot be asked for here");
    s.edition->in_flight++;
    e = step_up(&s, approval);
    s.edition->in_flight--;
    buf_free(&s.context);
    return e;
}
