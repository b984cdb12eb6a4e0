#include "gate/gate.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "command/hash.h"
#include "fiber/fiber.h"
#include "gate/gate_open.h"
#include "gate/hold.h"
#include "ipc/record.h"

enum { POLICY_HASH_MAX = 64, END_TEXT_MAX = 512, FIRST_IN_FLIGHT = 16, IN_FLIGHT_MAX = 1 << 16, HOLD_TEXT_MAX = 16 << 10 };

/* Rules that were given to the gate, from the keeper's newest to those that still have users. */
struct edition {
    struct edition *older;
    uint64_t number;
    size_t in_flight; /* commands admitted under it, without an outcome */
    struct residual *residual;
    struct arena *home;
    const struct protection *protection;
    char hash[POLICY_HASH_MAX];
    size_t hash_len;
};

/* A command that was admitted and has no outcome yet. */
struct in_flight {
    uint64_t id; /* 0: free */
    int64_t started_us;
    struct edition *edition;
};

struct gate {
    struct edition *newest;   /* by which the next command is decided */
    struct edition *in_force; /* by which the last one was */
    struct ledger_link *ledger;
    uint64_t last_id;
    uint64_t rows;               /* delivered */
    struct in_flight *in_flight; /* by id modulo the size, a power of two */
    size_t n_in_flight;
    struct holds holds;
    struct gate_holder holder; /* all NULL: there is none */
    struct buf hold_text;      /* why the last one was refused */
    enum gate_end end;
    char end_text[END_TEXT_MAX];
    struct fiber_condition ended;
};

static bool
same_hash(const struct edition *a, const struct edition *b)
{
    return a->hash_len == b->hash_len && memcmp(a->hash, b->hash, a->hash_len) == 0;
}

static void
free_edition(struct edition *edition)
{
    residual_free(edition->residual);
    arena_free(edition->home);
    free(edition);
}

static enum err
add_edition(struct gate *g, const struct gate_rules *rules)
{
    static const struct protection nothing;
    struct edition *edition = calloc(1, sizeof(*edition));

    if (edition == NULL) {
        residual_free(rules->residual);
        arena_free(rules->home);
        return fail(ERR_NOMEM, "no memory for the rules of a session");
    }
    edition->residual = rules->residual;
    edition->home = rules->home;
    edition->protection = rules->protection != NULL ? rules->protection : &nothing;
    edition->hash_len = rules->policy_hash.len < POLICY_HASH_MAX ? rules->policy_hash.len
                                                                 : POLICY_HASH_MAX;
    memcpy(edition->hash, rules->policy_hash.ptr, edition->hash_len);
    edition->number = g->newest == NULL ? 1 : g->newest->number + 1;
    edition->older = g->newest;
    g->newest = edition;
    return OK;
}

/* Frees what was replaced and has no users any more. */
static void
drop_old_editions(struct gate *g)
{
    struct edition **link = &g->newest->older;

    while (*link != NULL) {
        struct edition *edition = *link;

        if (edition->in_flight > 0) {
            link = &edition->older;
            continue;
        }
        *link = edition->older;
        free_edition(edition);
    }
}

enum err
gate_open(const struct gate_rules *rules, struct ledger_link *ledger, struct gate **out)
{
    struct gate *g = calloc(1, sizeof(*g));

    if (g != NULL)
        g->in_flight = calloc(FIRST_IN_FLIGHT, sizeof(*g->in_flight));
    if (g == NULL || g->in_flight == NULL) {
        free(g);
        residual_free(rules->residual);
        arena_free(rules->home);
        return fail(ERR_NOMEM, "no memory for the gate");
    }
    if (add_edition(g, rules) != OK) {
        gate_close(g);
        return fail(ERR_NOMEM, "no memory for the gate");
    }
    g->in_force = g->newest;
    g->n_in_flight = FIRST_IN_FLIGHT;
    g->hold_text = buf_make(HOLD_TEXT_MAX);
    g->ledger = ledger;
    *out = g;
    return OK;
}

void
gate_close(struct gate *g)
{
    if (g == NULL)
        return;
    while (g->newest != NULL) {
        struct edition *edition = g->newest;

        g->newest = edition->older;
        free_edition(edition);
    }
    buf_free(&g->hold_text);
    free(g->in_flight);
    free(g);
}

/* What waits for an approval by other rules would not run any more: it is refused at once. */
enum err
gate_replace_rules(struct gate *g, const struct gate_rules *rules)
{
    enum err e = add_edition(g, rules);

    if (e == OK && !same_hash(g->newest, g->newest->older))
        (void)holds_end(&g->holds, HOLD_POLICY_CHANGED);
    return e;
}

const struct protection *
gate_protection(const struct gate *g)
{
    return g->newest->protection;
}

bool
gate_is_read_only(const struct gate *g)
{
    return residual_is_read_only(g->newest->residual);
}

uint64_t
gate_edition(const struct gate *g)
{
    return g->newest->number;
}

uint64_t
gate_rows_left(const struct gate *g, const struct limits *l)
{
    if (l->rows_per_session == 0)
        return UINT64_MAX;
    return l->rows_per_session > g->rows ? l->rows_per_session - g->rows : 0;
}

void
gate_count_rows(struct gate *g, uint64_t n)
{
    g->rows = n > UINT64_MAX - g->rows ? UINT64_MAX : g->rows + n;
}

void
gate_end(struct gate *g, enum gate_end why, struct str text)
{
    if (g->end != GATE_OPEN)
        return;
    g->end = why;
    (void)snprintf(g->end_text, sizeof(g->end_text), "%.*s", STR_ARG(text));
    fiber_condition_signal(&g->ended);
    (void)holds_end(&g->holds, HOLD_WITHDRAWN);
}

enum err
gate_wait_end(struct gate *g, int64_t deadline_ms, enum gate_end *end, struct str *text)
{
    enum err e = OK;

    while (e == OK && g->end == GATE_OPEN)
        e = fiber_condition_wait(&g->ended, deadline_ms);
    if (e != OK)
        return e;
    *end = g->end;
    *text = str_from(g->end_text);
    return OK;
}

/* Everything must stand before a command is even looked at. */
static enum err
check_open(struct gate *g)
{
    if (g->end != GATE_OPEN)
        return fail(ERR_UNAVAILABLE, "%s", g->end_text);
    g->in_force = g->newest;
    drop_old_editions(g);
    return OK;
}

static struct in_flight *
slot_of(const struct gate *g, uint64_t id)
{
    return &g->in_flight[id & (g->n_in_flight - 1)];
}

static enum err
grow_in_flight(struct gate *g)
{
    size_t n = g->n_in_flight, larger = 2 * n;
    struct in_flight *old = g->in_flight, *grown;

    if (larger > IN_FLIGHT_MAX)
        return fail(ERR_LIMIT, "more than %d commands wait for their results", IN_FLIGHT_MAX);
    if ((grown = calloc(larger, sizeof(*grown))) == NULL)
        return fail(ERR_NOMEM, "no memory for commands in flight");
    g->in_flight = grown;
    g->n_in_flight = larger;
    for (size_t i = 0; i < n; i++)
        if (old[i].id != 0)
            *slot_of(g, old[i].id) = old[i];
    free(old);
    return OK;
}

static enum err
remember_start(struct gate *g, uint64_t id)
{
    enum err e;

    while (slot_of(g, id)->id != 0)
        if ((e = grow_in_flight(g)) != OK)
            return e;
    *slot_of(g, id) = (struct in_flight){id, clock_monotonic_us(), g->in_force};
    g->in_force->in_flight++;
    return OK;
}

static int
index_of(const struct command *command, const struct demand *demand)
{
    return demand == NULL ? -1 : (int)(demand - command->demands);
}

/* The record of the decision about `command`. */
static struct record_intent
intent_of(const struct gate *g, const struct command *command, const struct admission *admission)
{
    const struct verdict *verdict = &admission->verdict;
    bool denied = verdict->kind == VERDICT_DENY;
    bool by_protect = denied && command->protected_use.len > 0 &&
                      verdict->message.ptr == command->protected_use.ptr;

    return (struct record_intent){
        .command = admission->id,
        .verdict = verdict->kind,
        .rule = verdict->rule,
        .message = verdict->message,
        .policy_hash = {g->in_force->hash, g->in_force->hash_len},
        .subject = command,
        .decisive = index_of(command, verdict->demand),
        .masked = denied ? STR("") : command->masked,
        .protected_column = by_protect ? command->protected_column : STR(""),
        .purpose = gate_purpose(g, command),
    };
}

/* Writes the decision down; when it returns OK the record is out of our hands. */
static enum err
hand_over_intent(struct gate *g, const struct command *command, const struct admission *admission)
{
    struct record_intent intent = intent_of(g, command, admission);

    record_put_intent(ledger_link_frames(g->ledger), clock_wall_us(), &intent);
    return ledger_link_flush(g->ledger);
}

static void
decide(const struct gate *g, const struct command *command, struct verdict *v)
{
    struct decision_context context = {.wall_us = clock_wall_us(),
                                       .has_purpose = gate_purpose(g, command).len > 0};

    residual_decide(g->in_force->residual, command, &context, v);
    verdict_protect(v, command);
}

/* What was decided goes on, or is refused: without asking anybody. */
static enum err
conclude(struct gate *g, const struct command *command, struct admission *out)
{
    enum err e;

    if (gate_runs(&out->verdict) && (e = remember_start(g, out->id)) != OK)
        return e;
    return hand_over_intent(g, command, out);
}

/* --- commands that humans are asked about ---------------------------------------------------- */

/* One of them, from the verdict STEP_UP to what came of it. */
struct stepping {
    struct gate *g;
    struct command command; /* with its context */
    struct admission *out;
    struct edition *edition; /* by which it stepped up; it stays while it is waited for */
    unsigned char hash[COMMAND_HASH_BYTES];
    bool in_transaction;
    struct held *held;
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
    return hand_over_intent(s->g, &s->command, s->out);
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
weight(const struct command *command)
{
    size_t bytes = command->text.len + command->context.len;

    for (size_t i = 0; i < command->n_binds; i++)
        bytes += command->binds[i].bytes.len;
    return bytes;
}

static size_t
weight_of_binds(const struct command *command)
{
    return weight(command) - command->text.len - command->context.len;
}

/* Whether the record shows all of the command to whoever is to judge it. */
static enum err
hash_whole(struct stepping *s)
{
    if (weight(&s->command) > HOLD_COMMAND_BYTES_MAX ||
        weight_of_binds(&s->command) > RECORD_BINDS_SHOWN_MAX)
        return fail(ERR_LIMIT, "it is larger than %d MiB, or its values than %d",
                    HOLD_COMMAND_BYTES_MAX >> 20, RECORD_BINDS_SHOWN_MAX >> 20);
    return command_hash(&s->command, s->hash);
}

static void
record_answer(struct stepping *s, enum record_decision_kind kind, const struct hold_answer *answer)
{
    struct record_decision decision = {.command = s->out->id,
                                       .decision = kind,
                                       .request = answer->request,
                                       .by = answer->by,
                                       .text = answer->text,
                                       .waited_us = answer->waited_us};

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

/* [waits] Asks the approvers of one rule. */
static enum err
ask_step(struct stepping *s, const struct verdict_step *step, struct str message,
         struct hold_answer *answer)
{
    struct gate *g = s->g;
    struct hold_question question = {
        .rule = step->rule,
        .message = message,
        .policy_hash = {s->edition->hash, s->edition->hash_len},
        .command_hash = s->hash,
        .purpose = gate_purpose(g, &s->command),
        .in_transaction = s->in_transaction,
        .wait_seconds =
            s->in_transaction ? step->wait_in_transaction_seconds : step->wait_seconds,
        .frame = buf_str(&s->frame),
        .preview = buf_str(&s->preview),
    };
    enum err e = held_ask(s->held, &question, &g->holder, answer);
    enum err flushed;

    if (g->end != GATE_OPEN && answer->end != HOLD_DENIED) {
        answer->end = HOLD_WITHDRAWN;
        answer->text = str_from(g->end_text);
    }
    record_answer(s, kind_of_record(answer->end), answer);
    flushed = ledger_link_flush(g->ledger);
    if (e != OK)
        return e;
    if (answer->end != HOLD_APPROVED) {
        hold_put_refusal(&question, answer, &g->hold_text);
        refuse(g, answer->end, step->rule, s->out);
    }
    return flushed;
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

static void
keep_request(struct approval *approval, struct str request)
{
    size_t n = request.len < HOLD_REQUEST_MAX ? request.len : HOLD_REQUEST_MAX;

    memcpy(approval->request, request.ptr, n);
    approval->request[n] = '\0';
}

/* [waits] The command is on record as held: has it looked at and asks all who must agree. */
static enum err
ask_all(struct stepping *s)
{
    const struct verdict verdict = s->out->verdict;
    enum step_up_preview kind = preview_of(&verdict);
    struct hold_answer answer = {.end = HOLD_NONE};
    enum err e;

    if (kind != PREVIEW_NONE &&
        (e = s->g->holder.preview(s->g->holder.arg, &s->command, kind, &s->preview)) != OK) {
        if (e == ERR_CANCELED) {
            record_answer(s, RECORD_WITHDRAWN, &answer);
            return e;
        }
        buf_reset(&s->preview);
    }
    for (size_t i = 0; i < verdict.n_steps; i++) {
        e = ask_step(s, verdict.steps[i], verdict.message, &answer);
        keep_request(&s->out->approval, answer.request);
        s->out->request = str_from(s->out->approval.request);
        if (e != OK || answer.end != HOLD_APPROVED)
            return e;
    }
    s->out->held = HOLD_APPROVED;
    return OK;
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

/* It was approved but may not run after all, for what has changed meanwhile: in the words of a rule
 * that denies it now, or else of ours. */
static enum err
refuse_late(struct stepping *s, const struct verdict *asked, const struct verdict *now)
{
    struct gate *g = s->g;
    struct hold_answer answer = {.end = HOLD_POLICY_CHANGED, .request = s->out->request};

    if (now->kind == VERDICT_DENY) {
        s->out->verdict = *now;
        s->out->held = HOLD_POLICY_CHANGED;
        answer.text = now->message;
    } else {
        hold_put_refusal(NULL, &answer, &g->hold_text);
        refuse(g, HOLD_POLICY_CHANGED, asked->steps[0]->rule, s->out);
    }
    record_answer(s, RECORD_POLICY_CHANGED, &answer);
    return ledger_link_flush(g->ledger);
}

/* Decides once more what was approved, by the newest rules. */
static enum err
decide_again(struct stepping *s, const struct verdict *asked)
{
    struct gate *g = s->g;
    struct verdict now;
    bool changed;
    enum err e;

    if ((e = check_open(g)) != OK)
        return e;
    changed = !same_hash(g->in_force, s->edition);
    decide(g, &s->command, &now);
    if (now.kind == VERDICT_DENY || changed ||
        !(gate_runs(&now) || same_steps(asked, &now)))
        return refuse_late(s, asked, &now);
    if (now.kind == VERDICT_STEP_UP) {
        verdict_approve(&now);
        verdict_protect(&now, &s->command);
    }
    s->out->verdict = now;
    s->out->approval.edition = g->in_force->number;
    memcpy(s->out->approval.command_hash, s->hash, sizeof(s->hash));
    return gate_runs(&now) ? remember_start(g, s->out->id) : refuse_late(s, asked, &now);
}

/* [waits] Holds it: from its record to what became of it. */
static enum err
hold(struct stepping *s)
{
    struct gate *g = s->g;
    const struct verdict asked = s->out->verdict;
    struct record_intent intent = intent_of(g, &s->command, s->out);
    enum err e;

    s->frame = buf_make(RECORD_FRAME_MAX);
    s->preview = buf_make(HOLD_PREVIEW_BYTES_MAX);
    record_put_intent(&s->frame, clock_wall_us(), &intent);
    buf_put_str(ledger_link_frames(g->ledger), buf_str(&s->frame));
    if ((e = buf_ok(&s->frame)) != OK || (e = ledger_link_flush(g->ledger)) != OK)
        return e;
    if ((s->held = held_begin(&g->holds, s->out->id)) == NULL)
        return fail(ERR_NOMEM, "no memory to hold a command");
    e = ask_all(s);
    held_free(s->held);
    buf_free(&s->preview);
    buf_free(&s->frame);
    if (g->end != GATE_OPEN)
        return fail(ERR_UNAVAILABLE, "%s", g->end_text);
    return e == OK && s->out->held == HOLD_APPROVED ? decide_again(s, &asked) : e;
}

/* The same command was approved a moment ago, and goes on. */
static enum err
run_approved(struct stepping *s, const struct approval *approval)
{
    struct hold_answer answer = {.text = STR("approved before, as the same command")};
    enum err e;

    s->out->approval = *approval;
    s->out->request = answer.request = str_from(s->out->approval.request);
    s->out->held = HOLD_APPROVED;
    verdict_approve(&s->out->verdict);
    verdict_protect(&s->out->verdict, &s->command);
    if ((e = conclude(s->g, &s->command, s->out)) != OK || !gate_runs(&s->out->verdict))
        return e;
    record_answer(s, RECORD_APPROVED, &answer);
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
        refuse(g, HOLD_SKIPPED, STR(""), s->out);
        return OK;
    }
    if (e != OK) {
        (void)snprintf(why, sizeof(why), "this command needs an approval, and what it means could "
                                         "not be found out: %s", err_text());
        return refuse_unheld(s, HOLD_UNAVAILABLE, why);
    }
    s->command.context = buf_str(&s->context);
    if (g->end != GATE_OPEN)
        return fail(ERR_UNAVAILABLE, "%s", g->end_text);
    if (!same_hash(g->newest, s->edition)) /* what was found out about it is not true any more */
        return refuse_unheld(s, HOLD_POLICY_CHANGED,
                             "the policy changed while this command was looked at; send it again");
    if ((e = hash_whole(s)) == ERR_LIMIT) {
        (void)snprintf(why, sizeof(why), "this command is too large to be judged by a human: %s",
                       err_text());
        return refuse_unheld(s, HOLD_TOO_LARGE, why);
    }
    if (e != OK)
        return e;
    return is_approved(s, approval) ? run_approved(s, approval) : hold(s);
}

/* [waits] The verdict is STEP_UP: asks humans. */
static enum err
admit_stepping(struct gate *g, const struct command *command, const struct approval *approval,
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

void
gate_set_control(struct gate *g, struct control_link *control)
{
    holds_set_control(&g->holds, control);
}

void
gate_set_holder(struct gate *g, const struct gate_holder *holder)
{
    g->holder = *holder;
}

bool
gate_withdraw(struct gate *g, bool left)
{
    return holds_end(&g->holds, left ? HOLD_LEFT : HOLD_WITHDRAWN);
}

enum err
gate_admit_again(struct gate *g, const struct command *command, const struct approval *approval,
                 struct admission *out)
{
    enum err e;

    if ((e = check_open(g)) != OK)
        return e;
    *out = (struct admission){.id = ++g->last_id};
    decide(g, command, &out->verdict);
    if (out->verdict.kind != VERDICT_STEP_UP)
        return conclude(g, command, out);
    buf_reset(&g->hold_text);
    return admit_stepping(g, command, approval, out);
}

enum err
gate_admit(struct gate *g, const struct command *command, struct admission *out)
{
    return gate_admit_again(g, command, NULL, out);
}

enum err
gate_decide(struct gate *g, const struct command *command, struct verdict *out)
{
    enum err e;

    if ((e = check_open(g)) != OK)
        return e;
    decide(g, command, out);
    return OK;
}

enum err
gate_refuse(struct gate *g, const struct command *command, struct str reason, struct admission *out)
{
    enum err e;

    if ((e = check_open(g)) != OK)
        return e;
    *out = (struct admission){.id = ++g->last_id,
                              .verdict = {.kind = VERDICT_DENY, .message = reason}};
    return hand_over_intent(g, command, out);
}

enum err
gate_outcome(struct gate *g, uint64_t id, const struct outcome *outcome)
{
    struct in_flight *slot = slot_of(g, id);
    struct record_outcome record = {
        .command = id,
        .rows = outcome->rows,
        .bytes = outcome->bytes,
        .error = outcome->error,
        .unknown = outcome->unknown,
        .limit = outcome->limit,
        .masked = outcome->masked,
        .detected = outcome->detected,
    };

    if (slot->id != id)
        return fail(ERR_INVALID, "no command %llu is in flight", (unsigned long long)id);
    record.duration_us = (uint64_t)(clock_monotonic_us() - slot->started_us);
    slot->id = 0;
    slot->edition->in_flight--;
    record_put_outcome(ledger_link_frames(g->ledger), clock_wall_us(), &record);
    ledger_link_flush_soon(g->ledger);
    return OK;
}

enum err
gate_note(struct gate *g, struct str event, struct str text)
{
    struct record_note note = {.event = event, .text = text};

    record_put_note(ledger_link_frames(g->ledger), clock_wall_us(), RECORD_EVENT, &note);
    return ledger_link_flush(g->ledger);
}

void
gate_describe(struct gate *g, struct buf *out)
{
    residual_describe(g->in_force->residual, clock_wall_us(), out);
}
