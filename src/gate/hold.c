#include "gate/hold.h"

#include <stdlib.h>

#include "base/clock.h"
#include "command/hash.h"
#include "fiber/fiber.h"
#include "gate/control_link.h"

enum {
    OPEN_MS = 10000,    /* for a channel to control */
    PENDING_MS = 10000, /* for control to take the question */
    SLACK_MS = 3000,    /* beyond the wait: control's clock decides, ours only if it does not */
    PART_BYTES = 16 << 10,
    TRIES = 2, /* the channel may have broken since it was used last */
};

enum stage {
    STAGE_BEFORE,  /* nobody was asked */
    STAGE_ASKED,   /* control has the question, or gets it */
    STAGE_PENDING, /* and has put it to humans */
    STAGE_OVER,
};

struct held {
    struct held *next;
    struct holds *all;
    uint64_t command;
    enum stage stage;
    bool sending;      /* the question: if the channel breaks, it is sent again */
    enum hold_end end; /* once it is over */
    struct fiber_condition changed;
    int64_t began_us, expires_us;
    unsigned char command_hash[COMMAND_HASH_BYTES]; /* of what control says was decided */
    size_t hash_len;
    struct buf texts; /* backs the strings below */
    struct str request, url, approvers, by, text;
};

enum { TEXTS_BYTES_MAX = 16 << 10 };

/* Strings in `texts`, kept as offsets while it grows, would be more code than this: it is given
 * its full size at once. */
static struct str
keep(struct held *h, struct str s)
{
    size_t at = h->texts.len;

    for (size_t i = 0; i < s.len; i++) { /* nothing that acts on a terminal */
        unsigned char c = (unsigned char)s.ptr[i];

        buf_put_u8(&h->texts, (c < 0x20 && c != '\n') || c == 0x7f ? '?' : c);
    }
    return h->texts.failed ? STR("") : (struct str){h->texts.ptr + at, h->texts.len - at};
}

static void
finish(struct held *h, enum hold_end end)
{
    if (h->stage == STAGE_OVER)
        return;
    h->stage = STAGE_OVER;
    h->end = end;
    fiber_condition_signal(&h->changed);
}

bool
holds_end(struct holds *hs, enum hold_end end)
{
    for (struct held *h = hs->first; h != NULL; h = h->next)
        if (h->stage != STAGE_OVER)
            finish(h, end);
        else if (h->end == HOLD_APPROVED) /* a moment ago: it has not gone on yet, and does not */
            h->end = end;
    return hs->first != NULL;
}

/* What control says. */

static struct held *
find(const struct holds *hs, uint64_t command)
{
    struct held *h = hs->first;

    while (h != NULL && h->command != command)
        h = h->next;
    return h;
}

static void
take_pending(struct held *h, const struct ipc_hold_pending *pending)
{
    if (h->stage != STAGE_ASKED)
        return;
    h->request = keep(h, pending->request);
    h->url = keep(h, pending->url);
    h->approvers = keep(h, pending->approvers);
    h->expires_us = (int64_t)pending->expires_us;
    h->stage = STAGE_PENDING;
    fiber_condition_signal(&h->changed);
}

static void
take_decided(struct held *h, const struct ipc_hold_decided *decided)
{
    static const enum hold_end ends[] = {
        [IPC_DECISION_APPROVED] = HOLD_APPROVED,
        [IPC_DECISION_DENIED] = HOLD_DENIED,
        [IPC_DECISION_EXPIRED] = HOLD_TIMED_OUT,
        [IPC_DECISION_FAILED] = HOLD_UNAVAILABLE,
    };

    if (h->stage != STAGE_ASKED && h->stage != STAGE_PENDING)
        return;
    if (h->stage == STAGE_ASKED)
        h->request = keep(h, decided->request);
    h->by = keep(h, decided->by);
    h->text = keep(h, decided->text);
    h->hash_len = decided->command_hash.len <= sizeof(h->command_hash) ? decided->command_hash.len
                                                                       : 0;
    memcpy(h->command_hash, decided->command_hash.ptr, h->hash_len);
    finish(h, decided->decision < sizeof(ends) / sizeof(ends[0]) ? ends[decided->decision]
                                                                 : HOLD_UNAVAILABLE);
}

/* Without control nothing that waits for its word can be approved. */
static void
lose_control(struct holds *hs)
{
    for (struct held *h = hs->first; h != NULL; h = h->next)
        if (!h->sending && (h->stage == STAGE_ASKED || h->stage == STAGE_PENDING)) {
            h->text = STR("the approval service of the gateway went away");
            finish(h, HOLD_UNAVAILABLE);
        }
}

static void
control_said(void *arg, const struct ipc_packet *packet)
{
    struct holds *hs = arg;
    struct held *h;

    if (packet == NULL)
        lose_control(hs);
    else if (packet->type == IPC_TYPE_HOLD_PENDING &&
             (h = find(hs, packet->message.hold_pending.command)) != NULL)
        take_pending(h, &packet->message.hold_pending);
    else if (packet->type == IPC_TYPE_HOLD_DECIDED &&
             (h = find(hs, packet->message.hold_decided.command)) != NULL)
        take_decided(h, &packet->message.hold_decided);
}

void
holds_set_control(struct holds *hs, struct control_link *control)
{
    hs->control = control;
    if (control != NULL)
        control_link_listen(control, control_said, hs);
}

/* One hold. */

struct held *
held_begin(struct holds *hs, uint64_t command)
{
    struct held *h = calloc(1, sizeof(*h));

    if (h == NULL)
        return NULL;
    h->texts = buf_make(TEXTS_BYTES_MAX);
    if (buf_reserve(&h->texts, TEXTS_BYTES_MAX) != OK) {
        free(h);
        return NULL;
    }
    h->request = h->url = h->approvers = h->by = h->text = STR("");
    h->command = command;
    h->all = hs;
    h->next = hs->first;
    hs->first = h;
    return h;
}

void
held_free(struct held *h)
{
    struct held **link;

    if (h == NULL)
        return;
    for (link = &h->all->first; *link != h;)
        link = &(*link)->next;
    *link = h->next;
    buf_free(&h->texts);
    free(h);
}

bool
held_is_over(const struct held *h)
{
    return h->stage == STAGE_OVER && h->end != HOLD_APPROVED;
}

/* [waits] The bytes of frame and preview, one behind the other. */
static enum err
say_parts(struct held *h, struct str bytes, int64_t deadline_ms)
{
    enum err e = OK;

    while (e == OK && bytes.len > 0 && h->stage != STAGE_OVER) {
        struct ipc_hold_part part = {
            .command = h->command,
            .bytes = {bytes.ptr, bytes.len < PART_BYTES ? bytes.len : PART_BYTES}};

        e = control_link_say(h->all->control, IPC_TYPE_HOLD_PART, &part, deadline_ms);
        bytes = str_skip(bytes, part.bytes.len);
    }
    return e;
}

/* [waits] */
static enum err
say_question(struct held *h, const struct hold_question *q)
{
    struct ipc_hold hold = {
        .command = h->command,
        .rule = q->rule,
        .policy_hash = q->policy_hash,
        .command_hash = {(const char *)q->command_hash, COMMAND_HASH_BYTES},
        .purpose = q->purpose,
        .in_transaction = q->in_transaction,
        .wait_ms = (uint64_t)q->wait_seconds * 1000,
        .frame_bytes = q->frame.len,
        .preview_bytes = q->preview.len,
    };
    int64_t deadline_ms = clock_monotonic_ms() + OPEN_MS;
    enum err e = ERR_CLOSED;

    if (h->all->control == NULL)
        return fail(ERR_UNAVAILABLE, "the gateway's approval service is not available");
    h->sending = true;
    for (int i = 0; e == ERR_CLOSED && h->stage == STAGE_ASKED && i < TRIES; i++)
        if ((e = control_link_open(h->all->control, deadline_ms)) == OK &&
            (e = control_link_say(h->all->control, IPC_TYPE_HOLD, &hold, deadline_ms)) == OK &&
            (e = say_parts(h, q->frame, deadline_ms)) == OK)
            e = say_parts(h, q->preview, deadline_ms);
    h->sending = false;
    return e;
}

/* [waits] Until the stage is another, or over. ERR_TIMEOUT, ERR_CANCELED. */
static enum err
wait_beyond(struct held *h, enum stage stage, int64_t deadline_ms)
{
    enum err e = OK;

    while (e == OK && h->stage <= stage)
        e = fiber_condition_wait(&h->changed, deadline_ms);
    return e;
}

static void
fail_with(struct held *h, const char *text)
{
    if (h->stage == STAGE_OVER)
        return;
    h->text = keep(h, str_from(text));
    finish(h, HOLD_UNAVAILABLE);
}

static enum err
tell_holder(struct held *h, const struct hold_question *q, const struct gate_holder *holder,
            int64_t deadline_ms)
{
    struct hold hold = {.request = h->request,
                        .url = h->url,
                        .approvers = h->approvers,
                        .rule = q->rule,
                        .message = q->message,
                        .expires_us = h->expires_us};

    return holder->held(holder->arg, &hold, deadline_ms);
}

/* [waits] From the question to its end. */
static enum err
wait_for_humans(struct held *h, const struct hold_question *q, const struct gate_holder *holder)
{
    int64_t deadline_ms = clock_monotonic_ms() + (int64_t)q->wait_seconds * 1000 + SLACK_MS;
    enum err e;

    h->stage = STAGE_ASKED;
    if ((e = say_question(h, q)) == ERR_CANCELED)
        return e;
    if (e != OK) {
        fail_with(h, e == ERR_UNAVAILABLE ? err_text()
                                          : "the approval service of the gateway does not answer");
        return OK;
    }
    if ((e = wait_beyond(h, STAGE_ASKED, clock_monotonic_ms() + PENDING_MS)) == ERR_TIMEOUT) {
        fail_with(h, "the approval service of the gateway does not answer");
        return OK;
    }
    if (e == OK && h->stage == STAGE_PENDING)
        e = tell_holder(h, q, holder, deadline_ms);
    if (e == OK && (e = wait_beyond(h, STAGE_PENDING, deadline_ms)) == ERR_TIMEOUT) {
        finish(h, HOLD_TIMED_OUT);
        return OK;
    }
    return e;
}

/* An approval of anything else than what we hold is none. */
static void
check_hash(struct held *h, const struct hold_question *q)
{
    if (h->end != HOLD_APPROVED)
        return;
    if (h->hash_len == COMMAND_HASH_BYTES &&
        memcmp(h->command_hash, q->command_hash, COMMAND_HASH_BYTES) == 0)
        return;
    h->end = HOLD_UNAVAILABLE;
    h->text = STR("what was approved is not this command");
}

enum err
held_ask(struct held *h, const struct hold_question *question, const struct gate_holder *holder,
         struct hold_answer *answer)
{
    struct ipc_hold_withdraw withdraw = {.command = h->command};
    bool by_control;
    enum err e = OK;

    if (!held_is_over(h)) { /* perhaps an earlier question was answered */
        h->stage = STAGE_BEFORE;
        h->request = h->url = h->approvers = h->by = h->text = STR("");
        h->hash_len = 0;
        buf_reset(&h->texts);
        h->began_us = clock_monotonic_us();
        e = wait_for_humans(h, question, holder);
    }
    if (e != OK) {
        finish(h, HOLD_WITHDRAWN);
        h->end = HOLD_WITHDRAWN;
    }
    by_control = h->end == HOLD_APPROVED || h->end == HOLD_DENIED;
    check_hash(h, question);
    if (!by_control && h->all->control != NULL)
        control_link_try_say(h->all->control, IPC_TYPE_HOLD_WITHDRAW, &withdraw);
    *answer = (struct hold_answer){.end = h->end,
                                   .request = h->request,
                                   .approvers = h->approvers,
                                   .by = h->by,
                                   .text = h->text};
    if (h->began_us != 0)
        answer->waited_us = (uint64_t)(clock_monotonic_us() - h->began_us);
    return e;
}

/* Words for the client. */

static void
put_duration(struct buf *out, unsigned seconds)
{
    if (seconds >= 120 && seconds % 60 == 0)
        buf_printf(out, "%u minutes", seconds / 60);
    else
        buf_printf(out, "%u seconds", seconds);
}

static void
put_quoted_if_any(struct buf *out, const char *before, struct str text)
{
    if (text.len == 0)
        return;
    buf_put_text(out, before);
    buf_put_str(out, text);
}

void
hold_put_refusal(const struct hold_question *question, const struct hold_answer *answer,
                 struct buf *out)
{
    switch (answer->end) {
    case HOLD_DENIED:
        buf_put_text(out, "denied");
        put_quoted_if_any(out, " by ", answer->by);
        put_quoted_if_any(out, ": ", answer->text);
        break;
    case HOLD_TIMED_OUT:
        buf_put_text(out, "nobody approved this command within ");
        put_duration(out, question->wait_seconds);
        put_quoted_if_any(out, "; it waited for ", answer->approvers);
        break;
    case HOLD_WITHDRAWN:
        buf_put_text(out, "canceling statement due to user request");
        break;
    case HOLD_LEFT:
        buf_put_text(out, "the request for approval was withdrawn: the client has gone");
        break;
    case HOLD_POLICY_CHANGED:
        buf_put_text(out, "the policy changed while this command waited for an approval; send it "
                          "again to ask again");
        break;
    default:
        buf_put_text(out, "this command needs an approval, and nobody could be asked");
        put_quoted_if_any(out, ": ", answer->text);
    }
}
