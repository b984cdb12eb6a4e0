#include "gate/gate.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "fiber/fiber.h"
#include "gate/gate_open.h"
#include "ipc/record.h"

enum { POLICY_HASH_MAX = 64, END_TEXT_MAX = 512, FIRST_IN_FLIGHT = 16, IN_FLIGHT_MAX = 1 << 16 };

/* A command that was admitted and has no outcome yet. */
struct in_flight {
    uint64_t id; /* 0: free */
    int64_t started_us;
};

struct policy_in_force {
    struct residual *residual;
    char hash[POLICY_HASH_MAX];
    size_t hash_len;
};

struct gate {
    struct policy_in_force policy;
    struct policy_in_force next; /* residual NULL: none waits */
    struct ledger_link *ledger;
    uint64_t last_id;
    struct in_flight *in_flight; /* by id modulo the size, a power of two */
    size_t n_in_flight;
    enum gate_end end;
    char end_text[END_TEXT_MAX];
    struct fiber_condition ended;
};

static void
set_policy(struct policy_in_force *p, struct residual *residual, struct str hash)
{
    residual_free(p->residual);
    p->residual = residual;
    p->hash_len = hash.len < POLICY_HASH_MAX ? hash.len : POLICY_HASH_MAX;
    memcpy(p->hash, hash.ptr, p->hash_len);
}

enum err
gate_open(struct residual *residual, struct str policy_hash, struct ledger_link *ledger,
          struct gate **out)
{
    struct gate *g = calloc(1, sizeof(*g));

    if (g != NULL)
        g->in_flight = calloc(FIRST_IN_FLIGHT, sizeof(*g->in_flight));
    if (g == NULL || g->in_flight == NULL) {
        free(g);
        residual_free(residual);
        return fail(ERR_NOMEM, "no memory for the gate");
    }
    g->n_in_flight = FIRST_IN_FLIGHT;
    g->ledger = ledger;
    set_policy(&g->policy, residual, policy_hash);
    *out = g;
    return OK;
}

void
gate_close(struct gate *g)
{
    if (g == NULL)
        return;
    residual_free(g->policy.residual);
    residual_free(g->next.residual);
    free(g->in_flight);
    free(g);
}

void
gate_replace_policy(struct gate *g, struct residual *residual, struct str policy_hash)
{
    set_policy(&g->next, residual, policy_hash);
}

void
gate_end(struct gate *g, enum gate_end why, struct str text)
{
    if (g->end != GATE_OPEN)
        return;
    g->end = why;
    (void)snprintf(g->end_text, sizeof(g->end_text), "%.*s", STR_ARG(text));
    fiber_condition_signal(&g->ended);
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
    if (g->next.residual != NULL) {
        set_policy(&g->policy, g->next.residual, (struct str){g->next.hash, g->next.hash_len});
        g->next.residual = NULL;
    }
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
    *slot_of(g, id) = (struct in_flight){id, clock_monotonic_us()};
    return OK;
}

static int
index_of(const struct command *command, const struct demand *demand)
{
    return demand == NULL ? -1 : (int)(demand - command->demands);
}

/* Writes the decision down; when it returns OK the record is out of our hands. */
static enum err
hand_over_intent(struct gate *g, const struct command *command, const struct admission *admission)
{
    const struct verdict *verdict = &admission->verdict;
    struct record_intent intent = {
        .command = admission->id,
        .verdict = verdict->kind,
        .rule = verdict->rule,
        .message = verdict->message,
        .policy_hash = {g->policy.hash, g->policy.hash_len},
        .subject = command,
        .decisive = index_of(command, verdict->demand),
    };

    record_put_intent(ledger_link_frames(g->ledger), clock_wall_us(), &intent);
    return ledger_link_flush(g->ledger);
}

enum err
gate_admit(struct gate *g, const struct command *command, struct admission *out)
{
    enum err e;

    if ((e = check_open(g)) != OK)
        return e;
    out->id = ++g->last_id;
    residual_decide(g->policy.residual, command, clock_wall_us(), &out->verdict);
    if (out->verdict.kind == VERDICT_ALLOW && (e = remember_start(g, out->id)) != OK)
        return e;
    return hand_over_intent(g, command, out);
}

enum err
gate_decide(struct gate *g, const struct command *command, struct verdict *out)
{
    enum err e;

    if ((e = check_open(g)) != OK)
        return e;
    residual_decide(g->policy.residual, command, clock_wall_us(), out);
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
    };

    if (slot->id != id)
        return fail(ERR_INVALID, "no command %llu is in flight", (unsigned long long)id);
    record.duration_us = (uint64_t)(clock_monotonic_us() - slot->started_us);
    slot->id = 0;
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
    residual_describe(g->policy.residual, clock_wall_us(), out);
}
