#include "keeper/control_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "keeper/sessions.h"
#include "keeper/target.h"

enum {
    NEWS_MAX = 2 * 65536 + 8192, /* each session once, its end, and some */
    VERIFYING_MAX = 64,          /* tokens at a time */
    VERIFY_ARENA_MAX = 1 << 20,
    WORDS_MAX = 1000, /* of IPC_END.text */
};

/* A session that control is to hear of; what there is to say is looked up when it is its turn. */
struct news {
    struct news *next;
    uint64_t session;
    bool ended;
};

/* A session that is being opened waits for word of its grant of access. */
struct access_wait {
    struct access_wait *next;
    uint64_t number;
    bool answered;
    enum err code;
    char text[ERR_TEXT_MAX];
    struct arena *arena;
    struct control_access *out;
    struct fiber_condition changed;
};

struct control_link {
    struct keeper *keeper;
    int channel;
    bool over;
    unsigned users; /* fibers */
    unsigned verifying;
    struct news *first, **last;
    size_t n_news;
    struct fiber_condition changed; /* news, or it is over */
    struct access_wait *waits;
    uint64_t last_number;
};

static void
release(struct control_link *l)
{
    if (--l->users > 0)
        return;
    close(l->channel);
    free(l);
}

static enum err
no_control(void)
{
    return fail(ERR_UNAVAILABLE, "the gateway's approval service is not available");
}

/* What was asked over it has no answer any more. Its fibers see that, and the last frees it. */
static void
end_link(struct control_link *l)
{
    struct news *n;

    if (l->over)
        return;
    l->over = true;
    if (l->keeper->control == l)
        l->keeper->control = NULL;
    (void)shutdown(l->channel, SHUT_RDWR);
    while ((n = l->first) != NULL) {
        l->first = n->next;
        free(n);
    }
    l->last = &l->first;
    fiber_condition_signal(&l->changed);
    for (struct access_wait *w = l->waits; w != NULL; w = w->next)
        fiber_condition_signal(&w->changed);
}

/* --- news of sessions ----------------------------------------------------------------------- */

static void
add_news(struct control_link *l, uint64_t session, bool ended)
{
    struct news *n = l->n_news < NEWS_MAX ? calloc(1, sizeof(*n)) : NULL;

    if (n == NULL) { /* it would believe what is not so: it has to start anew */
        log_error("control_dropped", "reason=it does not keep up with sessions");
        end_link(l);
        return;
    }
    *n = (struct news){.session = session, .ended = ended};
    *l->last = n;
    l->last = &n->next;
    l->n_news++;
    fiber_condition_signal(&l->changed);
}

void
control_link_opened(struct keeper *k, uint64_t session)
{
    if (k->control != NULL)
        add_news(k->control, session, false);
}

void
control_link_ended(struct keeper *k, uint64_t session)
{
    if (k->control != NULL)
        add_news(k->control, session, true);
}

static enum err
send_opened(void *arg, const struct ipc_session_opened *opened)
{
    const struct control_link *l = arg;

    return ipc_send(l->channel, IPC_TYPE_SESSION_OPENED, opened, NULL, 0);
}

/* ERR_UNAVAILABLE: there is no room in the channel. A session that is over has no opening. */
static enum err
tell(struct control_link *l, const struct news *n)
{
    struct ipc_session_ended ended = {.session = n->session};
    enum err e;

    if (n->ended)
        return ipc_send(l->channel, IPC_TYPE_SESSION_ENDED, &ended, NULL, 0);
    e = sessions_describe(l->keeper, n->session, send_opened, l);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* [waits] for room in the channel, which nobody else in the keeper does. */
static void
tell_news(void *arg)
{
    struct control_link *l = arg;
    enum err e = OK;

    while (!l->over && (e == OK || e == ERR_UNAVAILABLE)) {
        struct news *n = l->first;

        if (n == NULL) {
            e = fiber_condition_wait(&l->changed, FIBER_FOREVER);
        } else if ((e = tell(l, n)) == OK) {
            if ((l->first = n->next) == NULL)
                l->last = &l->first;
            l->n_news--;
            free(n);
        } else if (e == ERR_UNAVAILABLE && fiber_wait_writable(l->channel, FIBER_FOREVER) != OK) {
            e = ERR_IO;
        }
    }
    end_link(l);
    release(l);
}

static void
add_session(uint64_t session, void *arg)
{
    struct control_link *l = arg;

    if (!l->over)
        add_news(l, session, false);
}

enum err
control_link_introduce(struct keeper *k, uint64_t session, int *fd)
{
    struct ipc_control_session message = {.session = session};
    struct control_link *l = k->control;
    int ends[2];
    enum err e;

    if (l == NULL)
        return no_control();
    if ((e = ipc_pair(ends)) != OK)
        return e;
    /* Its opening may still be among the news; to say that twice does no harm. */
    if (sessions_describe(k, session, send_opened, l) != OK ||
        ipc_send(l->channel, IPC_TYPE_CONTROL_SESSION, &message, &ends[0], 1) != OK) {
        e = no_control();
        close(ends[1]);
    } else {
        *fd = ends[1];
    }
    close(ends[0]);
    return e;
}

/* --- grants of access ----------------------------------------------------------------------- */

static void
unlink_wait(struct control_link *l, const struct access_wait *w)
{
    struct access_wait **at = &l->waits;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

static void
take_access_answer(struct control_link *l, const struct ipc_access_answer *m)
{
    struct access_wait *w = l->waits;

    while (w != NULL && w->number != m->number)
        w = w->next;
    if (w == NULL)
        return; /* given up meanwhile */
    w->answered = true;
    w->code = m->code > ERR_TLS ? ERR_PROTOCOL : (enum err)m->code;
    (void)snprintf(w->text, sizeof(w->text), "%.*s",
                   m->text.len < ERR_TEXT_MAX ? (int)m->text.len : ERR_TEXT_MAX - 1, m->text.ptr);
    *w->out = (struct control_access){arena_str(w->arena, m->access), (int64_t)m->expires_us};
    if (w->code == OK && (w->out->access.ptr == NULL || m->access.len == 0))
        w->code = ERR_PROTOCOL;
    fiber_condition_signal(&w->changed);
}

/* [waits] */
static enum err
await_access(struct control_link *l, struct access_wait *w)
{
    int64_t deadline_ms = clock_monotonic_ms() + CONTROL_ACCESS_MS;
    enum err e = OK;

    while (e == OK && !w->answered && !l->over)
        e = fiber_condition_wait(&w->changed, deadline_ms);
    unlink_wait(l, w);
    if (w->answered)
        return w->code == OK ? OK : fail(w->code, "%s", w->text);
    return e == ERR_CANCELED ? e : no_control();
}

enum err
control_link_ask_access(struct keeper *k, struct ipc_access *question, struct arena *arena,
                        struct control_access *out)
{
    struct control_link *l = k->control;
    struct access_wait w = {.arena = arena, .out = out};
    enum err e;

    if (l == NULL)
        return no_control();
    question->number = w.number = ++l->last_number;
    if (ipc_send(l->channel, IPC_TYPE_ACCESS, question, NULL, 0) != OK)
        return no_control();
    w.next = l->waits;
    l->waits = &w;
    l->users++; /* it must not go while we wait */
    e = await_access(l, &w);
    release(l);
    return e;
}

/* --- tokens --------------------------------------------------------------------------------- */

struct verification {
    struct control_link *link;
    struct arena *arena;
    uint64_t number;
    struct str token, audience;
};

static void
answer_verified(const struct verification *v, enum err code, const struct principal *p)
{
    struct ipc_verified message = {.number = v->number, .code = code};
    struct buf groups = buf_make(SESSION_GROUPS_BYTES_MAX),
               chain = buf_make(PRINCIPAL_CHAIN_BYTES_MAX);

    if (code == OK) {
        sessions_put_list(&groups, p->groups);
        sessions_put_list(&chain, p->chain);
        message.subject = p->subject;
        message.issuer = p->issuer;
        message.token_id = p->token_id;
        message.groups = buf_str(&groups);
        message.chain = buf_str(&chain);
        message.name = p->name;
        message.email = p->email;
        message.nonce = p->nonce;
        message.expires_us = (uint64_t)p->expires_us;
    } else {
        message.text = str_from(err_text());
    }
    if (!v->link->over && ipc_send(v->link->channel, IPC_TYPE_VERIFIED, &message, NULL, 0) != OK)
        log_error("control_dropped", "reason=%s", err_text());
    buf_free(&groups);
    buf_free(&chain);
}

/* A list of groups that is not all of them would be another identity. */
static enum err
check_groups(const struct principal *p)
{
    size_t bytes = 0;

    for (size_t i = 0; i < p->groups.n; i++)
        bytes += p->groups.items[i].len + 1;
    return bytes <= SESSION_GROUPS_BYTES_MAX
               ? OK
               : fail(ERR_DENIED, "the token has too many groups for the console; have the issuer "
                                  "send only groups assigned to this application");
}

static void
verify(void *arg)
{
    struct verification *v = arg;
    struct identity *identity = v->link->keeper->identity;
    struct principal p = {0};
    enum err e = v->audience.len > 0
                     ? identity_verify_login(identity, v->token, v->audience, v->arena, &p)
                     : identity_verify(identity, v->token, v->arena, &p);

    if (e == OK)
        e = check_groups(&p);
    answer_verified(v, e, &p);
    v->link->verifying--;
    release(v->link);
    explicit_bzero((void *)(uintptr_t)v->token.ptr, v->token.len);
    arena_free(v->arena);
}

/* Keys may have to be fetched: each token has a fiber. */
static enum err
begin_verification(struct control_link *l, const struct ipc_verify *m)
{
    struct arena *arena = arena_new(VERIFY_ARENA_MAX);
    struct verification *v = arena == NULL ? NULL : arena_alloc(arena, sizeof(*v));
    enum err e = OK;

    if (v == NULL) {
        arena_free(arena);
        return fail(ERR_NOMEM, "no memory for a token");
    }
    *v = (struct verification){.link = l,
                               .arena = arena,
                               .number = m->number,
                               .token = arena_str(arena, m->token),
                               .audience = arena_str(arena, m->audience)};
    if (l->verifying == VERIFYING_MAX || l->keeper->identity == NULL)
        e = fail(ERR_UNAVAILABLE, "too many logins at a time; try again");
    else if (v->token.ptr == NULL || v->audience.ptr == NULL)
        e = fail(ERR_NOMEM, "no memory for a token");
    else if ((e = fiber_start("verify", verify, v, NULL)) == OK) {
        l->users++;
        l->verifying++;
        return OK;
    }
    answer_verified(v, e, NULL);
    arena_free(arena);
    return OK;
}

/* --- what control says ---------------------------------------------------------------------- */

/* A human ended it, and the client is told who and why. */
static void
kill_session(struct control_link *l, const struct ipc_kill *m)
{
    char text[WORDS_MAX];

    (void)snprintf(text, sizeof(text), "ended by %.*s%s%.*s", STR_ARG(m->actor),
                   m->reason.len > 0 ? ": " : "", STR_ARG(m->reason));
    if (sessions_end(l->keeper, m->session, GATE_KILLED, text) != OK)
        log_info("session_ends", "session=%016llx reason=it has ended already",
                 (unsigned long long)m->session);
}

static void
revoke_access(struct control_link *l, const struct ipc_revoke_access *m)
{
    char text[WORDS_MAX];

    (void)snprintf(text, sizeof(text), "the access was revoked%s%.*s",
                   m->reason.len > 0 ? ": " : "", STR_ARG(m->reason));
    sessions_end_access(l->keeper, m->access, GATE_REVOKED, text);
}

/* Only what a TLS server signs in a handshake, as for sessions; a service of ours may do it often.
 */
static enum err
sign(struct control_link *l, const struct ipc_sign *m)
{
    const struct edition *edition = l->keeper->edition;
    bool may = m->for_server != 0 && edition != NULL;

    return target_sign_with(may ? secrets_server_key(edition->secrets) : NULL, l->channel, m);
}

static enum err
serve_message(struct control_link *l, const struct ipc_packet *packet)
{
    const union ipc_message *m = &packet->message;

    switch (packet->type) {
    case IPC_TYPE_VERIFY:
        return begin_verification(l, &m->verify);
    case IPC_TYPE_SIGN:
        return sign(l, &m->sign);
    case IPC_TYPE_KILL:
        kill_session(l, &m->kill);
        return OK;
    case IPC_TYPE_REVOKE_ACCESS:
        revoke_access(l, &m->revoke_access);
        return OK;
    case IPC_TYPE_ACCESS_ANSWER:
        take_access_answer(l, &m->access_answer);
        return OK;
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(packet->type));
    }
}

static void
serve(void *arg)
{
    struct control_link *l = arg;
    struct ipc_packet *packet = calloc(1, sizeof(*packet));
    enum err e = packet == NULL ? ERR_NOMEM : OK;

    while (e == OK && !l->over && (e = ipc_receive_wait(l->channel, packet, FIBER_FOREVER)) == OK) {
        if ((e = serve_message(l, packet)) != OK)
            log_error("control_misbehaves", "reason=%s", err_text());
        explicit_bzero(packet->bytes, packet->len); /* it may hold a token */
    }
    if (packet != NULL)
        ipc_packet_clear(packet);
    free(packet);
    end_link(l);
    release(l);
}

enum err
control_link_meet(struct keeper *k, int channel)
{
    struct control_link *l = calloc(1, sizeof(*l));
    enum err e;

    if (l == NULL) {
        close(channel);
        return fail(ERR_NOMEM, "no memory for control's channel");
    }
    if (k->control != NULL)
        end_link(k->control);
    *l = (struct control_link){.keeper = k, .channel = channel, .users = 1, .last = NULL};
    l->last = &l->first;
    if ((e = fiber_start("control", serve, l, NULL)) != OK) {
        close(channel);
        free(l);
        return e;
    }
    k->control = l;
    l->users++;
    if ((e = fiber_start("control-news", tell_news, l, NULL)) != OK) {
        l->users--;
        end_link(l);
        return e;
    }
    sessions_each(k, add_session, l);
    return OK;
}
