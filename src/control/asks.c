#include "control/asks.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/access.h"
#include "control/control.h"
#include "control/holds.h"
#include "control/live.h"

enum {
    SIGN_MS = 5000,
    ASKS_MAX = 256, /* that wait for an answer */
    ANSWER_ARENA_MAX = 64 << 10,
    LIST_BYTES_MAX = 8192,
};

/* A question that waits. Those for a signature are answered in their order, so one that is given up
 * stays until its answer has come. */
struct ask {
    struct ask *next;
    uint64_t number; /* of VERIFY */
    bool is_sign, answered, given_up;
    enum err result;
    char text[ERR_TEXT_MAX];
    struct arena *arena; /* of VERIFY, the asker's */
    struct verified *verified;
    struct buf *signature;
    struct fiber_condition changed;
};

struct keeper_asks {
    struct ask *first;
    size_t n;
    uint64_t last_number;
};

/* --- asking --------------------------------------------------------------------------------- */

static enum err
no_keeper(void)
{
    return fail(ERR_UNAVAILABLE, "the gateway's identity service is not available");
}

static enum err
tell_keeper(struct control *c, enum ipc_type type, const void *message)
{
    return c->keeper >= 0 && ipc_send(c->keeper, type, message, NULL, 0) == OK ? OK : no_keeper();
}

static void
unlink_ask(struct keeper_asks *asks, struct ask *a)
{
    struct ask **at = &asks->first;

    while (*at != NULL && *at != a)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = a->next;
    asks->n--;
}

static enum err
add_ask(struct control *c, struct ask **out)
{
    struct ask **at;

    if (c->asks == NULL && (c->asks = calloc(1, sizeof(*c->asks))) == NULL)
        return fail(ERR_NOMEM, "no memory for a question");
    if (c->asks->n == ASKS_MAX)
        return fail(ERR_UNAVAILABLE, "too many logins and connections at a time; try again");
    if ((*out = calloc(1, sizeof(**out))) == NULL)
        return fail(ERR_NOMEM, "no memory for a question");
    (*out)->number = ++c->asks->last_number;
    for (at = &c->asks->first; *at != NULL; at = &(*at)->next) {
    }
    *at = *out;
    c->asks->n++;
    return OK;
}

/* The answer is there, or never comes. */
static void
settle(struct control *c, struct ask *a, enum err result, struct str text)
{
    unlink_ask(c->asks, a);
    if (a->given_up) {
        free(a);
        return;
    }
    a->answered = true;
    a->result = result;
    (void)snprintf(a->text, sizeof(a->text), "%.*s",
                   text.len < ERR_TEXT_MAX ? (int)text.len : ERR_TEXT_MAX - 1, text.ptr);
    fiber_condition_signal(&a->changed);
}

/* [waits] Frees the question. */
static enum err
await(struct control *c, struct ask *a, int64_t deadline_ms)
{
    enum err e = OK;

    while (e == OK && !a->answered)
        e = fiber_condition_wait(&a->changed, deadline_ms);
    if (a->answered) {
        e = a->result == OK ? OK : fail(a->result, "%s", a->text);
        free(a);
        return e;
    }
    a->given_up = true; /* the asker's memory is not to be written to any more */
    if (!a->is_sign) {
        unlink_ask(c->asks, a);
        free(a);
    }
    return e == ERR_TIMEOUT ? fail(e, "the gateway's identity service does not answer") : e;
}

enum err
control_verify(struct control *c, struct str audience, struct str token, struct arena *arena,
               int64_t deadline_ms, struct verified *out)
{
    struct ipc_verify question = {.audience = audience, .token = token};
    struct ask *a;
    enum err e;

    if ((e = add_ask(c, &a)) != OK)
        return e;
    question.number = a->number;
    a->arena = arena;
    a->verified = out;
    if ((e = tell_keeper(c, IPC_TYPE_VERIFY, &question)) != OK) {
        unlink_ask(c->asks, a);
        free(a);
        return e;
    }
    return await(c, a, deadline_ms);
}

enum err
control_sign(void *arg, uint16_t scheme, struct str content, struct buf *signature)
{
    struct control *c = arg;
    struct ipc_sign question = {.for_server = 1, .scheme = scheme, .content = content};
    struct ask *a;
    enum err e;

    if ((e = add_ask(c, &a)) != OK)
        return e;
    a->is_sign = true;
    a->signature = signature;
    if ((e = tell_keeper(c, IPC_TYPE_SIGN, &question)) != OK) {
        unlink_ask(c->asks, a);
        free(a);
        return e;
    }
    return await(c, a, clock_monotonic_ms() + SIGN_MS);
}

static struct str
cut(struct str text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && ((unsigned char)text.ptr[max] & 0xc0) == 0x80) /* not within a character */
        max--;
    return (struct str){text.ptr, max};
}

enum err
control_kill(struct control *c, uint64_t session, struct str actor, struct str reason)
{
    struct ipc_kill message = {
        .session = session, .actor = cut(actor, 256), .reason = cut(reason, 1024)};

    if (control_session(c, session) == NULL)
        return fail(ERR_NOT_FOUND, "there is no live session %016llx", (unsigned long long)session);
    return tell_keeper(c, IPC_TYPE_KILL, &message);
}

enum err
control_revoke_access(struct control *c, struct str access, struct str reason)
{
    struct ipc_revoke_access message = {.access = access, .reason = cut(reason, 1024)};

    return tell_keeper(c, IPC_TYPE_REVOKE_ACCESS, &message);
}

/* --- answers -------------------------------------------------------------------------------- */

static bool
copy(struct arena *arena, struct str from, struct str *to)
{
    *to = arena_str(arena, from);
    return to->ptr != NULL;
}

static bool
copy_list(struct arena *arena, struct str list, struct str_list *to)
{
    struct str left = arena_str(arena, list), item;
    struct str *items;
    size_t n = 0;

    if (left.ptr == NULL)
        return false;
    for (struct str rest = left; ipc_list_next(&rest, &item);)
        n++;
    if ((items = arena_array(arena, n + 1, sizeof(*items))) == NULL)
        return false;
    *to = (struct str_list){items, n};
    for (size_t i = 0; i < n; i++)
        (void)ipc_list_next(&left, &items[i]);
    return true;
}

static bool
copy_verified(struct arena *arena, const struct ipc_verified *m, struct verified *out)
{
    *out = (struct verified){.expires_us = (int64_t)m->expires_us};
    return copy(arena, m->subject, &out->subject) && copy(arena, m->issuer, &out->issuer) &&
           copy(arena, m->token_id, &out->token_id) && copy(arena, m->name, &out->name) &&
           copy(arena, m->email, &out->email) && copy(arena, m->nonce, &out->nonce) &&
           copy_list(arena, m->groups, &out->groups) && copy_list(arena, m->chain, &out->chain);
}

static enum err
take_verified(struct control *c, const struct ipc_verified *m)
{
    struct ask *a = c->asks == NULL ? NULL : c->asks->first;
    enum err code = m->code > ERR_TLS ? ERR_PROTOCOL : (enum err)m->code;

    while (a != NULL && (a->is_sign || a->number != m->number))
        a = a->next;
    if (a == NULL)
        return OK; /* given up meanwhile */
    if (code == OK && !copy_verified(a->arena, m, a->verified))
        settle(c, a, ERR_NOMEM, STR("no memory for an identity"));
    else
        settle(c, a, code, m->text);
    return OK;
}

static enum err
take_signature(struct control *c, const struct ipc_answer *m)
{
    struct ask *a = c->asks == NULL ? NULL : c->asks->first;
    enum err code = m->code > ERR_TLS ? ERR_PROTOCOL : (enum err)m->code;

    while (a != NULL && !a->is_sign)
        a = a->next;
    if (a == NULL)
        return fail(ERR_PROTOCOL, "an answer without a question");
    if (code == OK && !a->given_up)
        buf_put_str(a->signature, m->first);
    settle(c, a, code, m->text);
    return OK;
}

/* May a session be opened under a rule that asks for a grant? */
static enum err
answer_access(struct control *c, const struct ipc_access *m)
{
    struct arena *arena = arena_new(ANSWER_ARENA_MAX);
    struct ipc_access_answer answer = {.number = m->number};
    struct str_list chain = {0};
    struct grant grant = {0};
    enum err e;

    if (arena == NULL || !copy_list(arena, m->chain, &chain))
        e = fail(ERR_NOMEM, "no memory for a question about access");
    else
        e = access_lookup(c->approvals, m->issuer, m->subject, chain, m->resource, m->rule, arena,
                          &grant);
    answer.code = e;
    if (e == OK) {
        answer.access = grant.id;
        answer.expires_us = (uint64_t)grant.expires_us;
    } else {
        answer.text = str_from(err_text());
    }
    e = tell_keeper(c, IPC_TYPE_ACCESS_ANSWER, &answer);
    arena_free(arena);
    return e;
}

static enum err
serve_keeper_message(struct control *c, struct ipc_packet *packet)
{
    const union ipc_message *m = &packet->message;
    int fd;

    switch (packet->type) {
    case IPC_TYPE_SESSION_OPENED:
        return live_opened(c, &m->session_opened);
    case IPC_TYPE_SESSION_ENDED:
        live_ended(c, m->session_ended.session);
        return OK;
    case IPC_TYPE_CONTROL_SESSION:
        if ((fd = ipc_take_fd(packet, 0)) < 0)
            return fail(ERR_PROTOCOL, "a session without a channel");
        holds_begin(c, m->control_session.session, fd);
        return OK;
    case IPC_TYPE_VERIFIED:
        return take_verified(c, &m->verified);
    case IPC_TYPE_ANSWER:
        return take_signature(c, &m->answer);
    case IPC_TYPE_ACCESS:
        return answer_access(c, &m->access);
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(packet->type));
    }
}

/* --- the channel ---------------------------------------------------------------------------- */

struct keeper_fiber {
    struct control *control;
    int channel;
};

/* Nothing that was asked over it is answered any more, and no session outlives it. */
static void
lose_keeper(struct control *c)
{
    c->keeper = -1;
    while (c->asks != NULL && c->asks->first != NULL)
        settle(c, c->asks->first, ERR_UNAVAILABLE,
               STR("the gateway's identity service is not available"));
    live_clear(c);
}

static void
serve_keeper(void *arg)
{
    struct keeper_fiber *f = arg;
    struct control *c = f->control;
    struct ipc_packet *packet = calloc(1, sizeof(*packet));

    while (packet != NULL && c->keeper == f->channel &&
           ipc_receive_wait(f->channel, packet, FIBER_FOREVER) == OK) {
        if (c->keeper != f->channel)
            break;
        if (serve_keeper_message(c, packet) != OK)
            log_error("keeper_message_failed", "message=%s reason=%s", ipc_type_name(packet->type),
                      err_text());
        explicit_bzero(packet->bytes, packet->len); /* it may hold who somebody is */
    }
    if (packet != NULL)
        ipc_packet_clear(packet);
    free(packet);
    if (c->keeper == f->channel)
        lose_keeper(c);
    close(f->channel);
    free(f);
}

enum err
asks_meet_keeper(struct control *c, int channel)
{
    struct keeper_fiber *f = calloc(1, sizeof(*f));
    int old = c->keeper;
    enum err e;

    if (f == NULL) {
        close(channel);
        return fail(ERR_NOMEM, "no memory for the keeper's channel");
    }
    if (old >= 0) {
        lose_keeper(c);
        (void)shutdown(old, SHUT_RDWR); /* its fiber closes it */
    }
    *f = (struct keeper_fiber){c, channel};
    c->keeper = channel;
    if ((e = fiber_start("keeper", serve_keeper, f, NULL)) != OK) {
        c->keeper = -1;
        close(channel);
        free(f);
    }
    return e;
}
