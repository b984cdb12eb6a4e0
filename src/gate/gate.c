#include "gate/gate.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fiber/fiber.h"
#include "gate/gate_open.h"
#include "gate/gate_private.h"

enum { FIRST_IN_FLIGHT = 16, IN_FLIGHT_MAX = 1 << 16, HOLD_TEXT_MAX = 16 << 10 };

bool
gate_same_rules(const struct edition *a, const struct edition *b)
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

    if (e == OK && !gate_same_rules(g->newest, g->newest->older))
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

enum err
gate_set_purpose(struct gate *g, struct str purpose)
{
    if (!purpose_is_fit(purpose))
        return fail(ERR_INVALID, "%s", purpose_unfit);
    if (purpose.len > 0)
        memmove(g->purpose, purpose.ptr, purpose.len);
    g->purpose_len = purpose.len;
    return OK;
}

struct str
gate_purpose(const struct gate *g, const struct command *command)
{
    if (command != NULL && command->purpose.len > 0)
        return command->purpose;
    return (struct str){g->purpose, g->purpose_len};
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
enum err
gate_check_open(struct gate *g)
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

enum err
gate_remember_start(struct gate *g, uint64_t id)
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
struct record_intent
gate_intent_of(const struct gate *g, const struct command *command,
               const struct admission *admission)
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
enum err
gate_hand_over_intent(struct gate *g, const struct command *command,
                      const struct admission *admission)
{
    struct record_intent intent = gate_intent_of(g, command, admission);

    record_put_intent(ledger_link_frames(g->ledger), clock_wall_us(), &intent);
    return ledger_link_flush(g->ledger);
}

void
gate_judge(const struct gate *g, const struct command *command, struct verdict *v)
{
    struct decision_context context = {.wall_us = clock_wall_us(),
                                       .has_purpose = gate_purpose(g, command).len > 0};

    residual_decide(g->in_force->residual, command, &context, v);
    verdict_protect(v, command);
}

/* What was decided goes on, or is refused: without asking anybody. */
enum err
gate_conclude(struct gate *g, const struct command *command, struct admission *out)
{
    enum err e;

    if (gate_runs(&out->verdict) && (e = gate_remember_start(g, out->id)) != OK)
        return e;
    return gate_hand_over_intent(g, command, out);
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

    if ((e = gate_check_open(g)) != OK)
        return e;
    *out = (struct admission){.id = ++g->last_id};
    gate_judge(g, command, &out->verdict);
    if (out->verdict.kind != VERDICT_STEP_UP)
        return gate_conclude(g, command, out);
    buf_reset(&g->hold_text);
    return gate_step_up(g, command, approval, out);
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

    if ((e = gate_check_open(g)) != OK)
        return e;
    gate_judge(g, command, out);
    return OK;
}

enum err
gate_refuse(struct gate *g, const struct command *command, struct str reason, struct admission *out)
{
    enum err e;

    if ((e = gate_check_open(g)) != OK)
        return e;
    *out = (struct admission){.id = ++g->last_id,
                              .verdict = {.kind = VERDICT_DENY, .message = reason}};
    return gate_hand_over_intent(g, command, out);
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
