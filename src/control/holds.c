#include "control/holds.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "command/hash.h"
#include "control/control.h"
#include "control/request_json.h"
#include "ipc/record.h"

enum {
    COMMAND_ARENA_MAX = 32 << 20, /* 65,535 binds and 1,024 demands, as structs */
    ANSWER_ARENA_MAX = 256 << 10,
    LINK_BYTES_MAX = 1024,
    APPROVERS_BYTES_MAX = 1024,
};

/* A HOLD and what has come of its parts. */
struct incoming {
    uint64_t command;
    struct buf rule, policy_hash, purpose; /* the packet is used again meanwhile */
    unsigned char command_hash[COMMAND_HASH_BYTES];
    bool in_transaction;
    uint32_t wait_ms;
    uint64_t frame_bytes, preview_bytes;
    struct buf frame, preview;
    int64_t deadline_ms;
};

/* Lives as long as its fiber. */
struct hold_channel {
    struct control *control;
    uint64_t session;
    int channel;
    bool over;                 /* its session is gone, or has another channel */
    bool waiting;              /* `command` waits for humans */
    uint64_t command;          /* that waits */
    struct incoming *incoming; /* NULL: none is being received */
};

/* --- telling -------------------------------------------------------------------------------- */

/* The session sees the end of its channel, and refuses what it holds. */
static void
hang_up(struct hold_channel *h)
{
    (void)shutdown(h->channel, SHUT_RDWR);
}

static void
tell(struct hold_channel *h, enum ipc_type type, const void *message)
{
    if (ipc_send(h->channel, type, message, NULL, 0) != OK)
        hang_up(h);
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

static void
tell_decision(struct hold_channel *h, uint64_t command, enum ipc_decision decision,
              struct str request, struct str by, struct str text, struct str command_hash)
{
    struct ipc_hold_decided message = {
        .command = command,
        .decision = decision,
        .request = cut(request, 64),
        .by = cut(by, 1024),
        .text = cut(text, 4096),
        .command_hash = command_hash,
    };

    h->waiting = false;
    tell(h, IPC_TYPE_HOLD_DECIDED, &message);
}

static void
tell_failure(struct hold_channel *h, uint64_t command, const char *text)
{
    tell_decision(h, command, IPC_DECISION_FAILED, STR(""), STR(""), str_from(text), STR(""));
}

void
holds_decided(struct control *c, const struct approvals_answer *answer)
{
    struct live_session *s = control_session(c, answer->session);
    struct hold_channel *h = s == NULL ? NULL : s->channel;

    if (h == NULL || !h->waiting || h->command != answer->command)
        return; /* withdrawn meanwhile */
    tell_decision(h, answer->command, answer->decision, answer->request, answer->by, answer->text,
                  answer->command_hash);
}

static void
tell_pending(struct hold_channel *h, uint64_t command, const struct approvals_pending *p)
{
    struct buf link = buf_make(LINK_BYTES_MAX);
    struct ipc_hold_pending message = {
        .command = command,
        .request = cut(p->request, 64),
        .approvers = cut(p->approvers, APPROVERS_BYTES_MAX),
        .expires_us = (uint64_t)p->expires_us,
    };

    request_json_link(&link, h->control->config->console.url, p->request);
    if (buf_ok(&link) == OK)
        message.url = buf_str(&link);
    h->waiting = true;
    tell(h, IPC_TYPE_HOLD_PENDING, &message);
    buf_free(&link);
}

/* --- receiving ------------------------------------------------------------------------------ */

static void
drop_incoming(struct hold_channel *h)
{
    struct incoming *in = h->incoming;

    if (in == NULL)
        return;
    h->incoming = NULL;
    h->control->holding_bytes -= in->frame_bytes + in->preview_bytes;
    buf_free(&in->rule);
    buf_free(&in->policy_hash);
    buf_free(&in->purpose);
    buf_free(&in->frame);
    buf_free(&in->preview);
    free(in);
}

static enum err
check_hold(const struct hold_channel *h, const struct ipc_hold *m)
{
    if (h->waiting || h->incoming != NULL)
        return fail(ERR_PROTOCOL, "a command is held while another is");
    if (m->frame_bytes == 0 || m->frame_bytes > HOLD_FRAME_BYTES_MAX ||
        m->preview_bytes > HOLD_PREVIEW_BYTES_MAX)
        return fail(ERR_PROTOCOL, "a held command of an impossible size");
    if (m->command_hash.len != COMMAND_HASH_BYTES || m->policy_hash.len != CONTROL_HASH_BYTES ||
        m->rule.len == 0 || m->in_transaction > 1 || m->wait_ms > UINT32_MAX)
        return fail(ERR_PROTOCOL, "a held command that is not described");
    return OK;
}

/* Room is counted by what is announced, and taken as it comes. */
static enum err
begin_incoming(struct hold_channel *h, const struct ipc_hold *m)
{
    struct incoming *in = calloc(1, sizeof(*in));

    if (in == NULL)
        return fail(ERR_NOMEM, "no memory for a held command");
    h->control->holding_bytes += m->frame_bytes + m->preview_bytes;
    *in = (struct incoming){
        .command = m->command,
        .rule = buf_make(m->rule.len + 1),
        .policy_hash = buf_make(m->policy_hash.len + 1),
        .purpose = buf_make(m->purpose.len + 1),
        .in_transaction = m->in_transaction != 0,
        .wait_ms = (uint32_t)m->wait_ms,
        .frame_bytes = m->frame_bytes,
        .preview_bytes = m->preview_bytes,
        .frame = buf_make(m->frame_bytes),
        .preview = buf_make(m->preview_bytes + 1),
        .deadline_ms = clock_monotonic_ms() + HOLD_RECEIVE_MS,
    };
    h->incoming = in;
    memcpy(in->command_hash, m->command_hash.ptr, COMMAND_HASH_BYTES);
    buf_put_str(&in->rule, m->rule);
    buf_put_str(&in->policy_hash, m->policy_hash);
    buf_put_str(&in->purpose, m->purpose);
    return in->rule.failed || in->policy_hash.failed || in->purpose.failed
               ? fail(ERR_NOMEM, "no memory for a held command")
               : OK;
}

/* The frame first, then the preview; a part belongs to one of them. */
static enum err
take_part(struct hold_channel *h, const struct ipc_hold_part *m)
{
    struct incoming *in = h->incoming;
    bool to_frame;
    struct buf *to;
    size_t room;

    if (in == NULL || m->command != in->command || m->bytes.len == 0)
        return fail(ERR_PROTOCOL, "a part of nothing");
    to_frame = in->frame.len < in->frame_bytes;
    to = to_frame ? &in->frame : &in->preview;
    room = (to_frame ? in->frame_bytes : in->preview_bytes) - to->len;
    if (m->bytes.len > room)
        return fail(ERR_PROTOCOL, "a held command is larger than it was said to be");
    buf_put_str(to, m->bytes);
    return to->failed ? fail(ERR_NOMEM, "no memory for a held command") : OK;
}

static bool
is_complete(const struct incoming *in)
{
    return in->frame.len == in->frame_bytes && in->preview.len == in->preview_bytes;
}

/* --- asking --------------------------------------------------------------------------------- */

/* Whether the frame is what the HOLD says of it; and that its digest is our own of it, so that what
 * approvers see is what their approval is bound to. Its rule is the first of those that ask for an
 * approval; the HOLD's is the one that asks now. */
static enum err
check_frame(const struct incoming *in, struct record *r)
{
    struct arena *arena = arena_new(COMMAND_ARENA_MAX);
    unsigned char hash[COMMAND_HASH_BYTES];
    struct command command;
    size_t used;
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory for a held command");
    e = record_read(buf_str(&in->frame), r, &used);
    if (e == ERR_TRUNCATED || (e == OK && used != in->frame.len))
        e = fail(ERR_PROTOCOL, "a held command whose record is not one");
    if (e == OK && (r->kind != RECORD_INTENT || r->intent.command != in->command ||
                    r->intent.verdict != VERDICT_STEP_UP ||
                    !str_equal(r->intent.policy_hash, buf_str(&in->policy_hash))))
        e = fail(ERR_PROTOCOL, "a held command whose record says something else");
    if (e == OK && (e = record_command(r, arena, &command)) == OK &&
        (e = command_hash(&command, hash)) == OK &&
        memcmp(hash, in->command_hash, COMMAND_HASH_BYTES) != 0)
        e = fail(ERR_PROTOCOL, "a held command whose digest is of another");
    arena_free(arena);
    return e;
}

static void
describe_session(const struct live_session *s, struct approvals_session *out)
{
    *out = (struct approvals_session){
        .session = s->id,
        .issuer = s->issuer,
        .subject = s->subject,
        .token_id = s->token_id,
        .task = s->task,
        .email = s->email,
        .chain = s->chain,
        .resource = s->resource,
        .protocol = s->protocol,
        .client = s->client,
        .source = s->source,
    };
}

static enum err
ask_engine(struct hold_channel *h, const struct live_session *s, const struct record *r,
           struct arena *arena, struct approvals_pending *out)
{
    const struct incoming *in = h->incoming;
    struct approvals_session session;
    struct approvals_ask ask = {
        .session = &session,
        .command = in->command,
        .rule = buf_str(&in->rule),
        .policy_hash = buf_str(&in->policy_hash),
        .command_hash = {(const char *)in->command_hash, COMMAND_HASH_BYTES},
        .database = r->intent.database,
        .purpose = buf_str(&in->purpose),
        .in_transaction = in->in_transaction,
        .wait_ms = in->wait_ms,
        .frame = buf_str(&in->frame),
        .preview = buf_str(&in->preview),
    };

    describe_session(s, &session);
    return approvals_ask(h->control->approvals, &ask, arena, out);
}

/* The whole command is there. A failure that is not the session's fault is told to it. */
static enum err
submit(struct hold_channel *h, const struct live_session *s)
{
    struct incoming *in = h->incoming;
    struct str hash = {(const char *)in->command_hash, COMMAND_HASH_BYTES};
    struct arena *arena = arena_new(ANSWER_ARENA_MAX);
    struct approvals_pending pending = {0};
    uint64_t command = in->command;
    struct record r;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory for a held command")
                               : check_frame(in, &r);

    h->command = command;
    if (e == OK)
        e = ask_engine(h, s, &r, arena, &pending);
    if (e == OK && pending.approved)
        tell_decision(h, command, IPC_DECISION_APPROVED, pending.request, pending.by, STR(""),
                      hash);
    else if (e == OK)
        tell_pending(h, command, &pending);
    else if (e != ERR_PROTOCOL)
        tell_failure(h, command, err_text());
    arena_free(arena);
    drop_incoming(h);
    fiber_condition_signal(&h->control->asked);
    return e == ERR_PROTOCOL ? e : OK;
}

/* --- the channel ---------------------------------------------------------------------------- */

static void
withdraw(struct hold_channel *h)
{
    if (h->waiting)
        approvals_withdraw(h->control->approvals, h->session, h->command);
    h->waiting = false;
}

static enum err
take_hold(struct hold_channel *h, const struct ipc_hold *m)
{
    enum err e = check_hold(h, m);

    if (e != OK)
        return e;
    if (h->control->holding_bytes + m->frame_bytes + m->preview_bytes > HOLDS_RECEIVING_BYTES_MAX)
        return fail(ERR_LIMIT, "too many commands are being held at once");
    return begin_incoming(h, m);
}

static void
take_withdrawal(struct hold_channel *h, const struct ipc_hold_withdraw *m)
{
    if (h->incoming != NULL && h->incoming->command == m->command)
        drop_incoming(h);
    else if (h->waiting && h->command == m->command)
        withdraw(h); /* else it was decided meanwhile */
}

static enum err
serve_message(struct hold_channel *h, const struct live_session *s, struct ipc_packet *packet)
{
    enum err e;

    switch (packet->type) {
    case IPC_TYPE_HOLD:
        return take_hold(h, &packet->message.hold);
    case IPC_TYPE_HOLD_PART:
        if ((e = take_part(h, &packet->message.hold_part)) != OK || !is_complete(h->incoming))
            return e;
        return submit(h, s);
    case IPC_TYPE_HOLD_WITHDRAW:
        take_withdrawal(h, &packet->message.hold_withdraw);
        return OK;
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(packet->type));
    }
}

/* [waits] The packet is large, and sessions that wait are many: it lives for one message. */
static enum err
serve_next(struct hold_channel *h)
{
    int64_t deadline_ms = h->incoming == NULL ? FIBER_FOREVER : h->incoming->deadline_ms;
    const struct live_session *s;
    struct ipc_packet *packet;
    enum err e;

    if ((e = fiber_wait_readable(h->channel, deadline_ms)) != OK)
        return e == ERR_TIMEOUT ? fail(ERR_PROTOCOL, "a held command does not arrive") : e;
    if (h->over || (s = control_session(h->control, h->session)) == NULL)
        return ERR_CLOSED;
    if ((packet = calloc(1, sizeof(*packet))) == NULL)
        return fail(ERR_NOMEM, "no memory for a packet");
    if ((e = ipc_receive(h->channel, packet)) == OK)
        e = serve_message(h, s, packet);
    else if (e == ERR_TIMEOUT)
        e = OK;
    ipc_packet_clear(packet);
    free(packet);
    return e;
}

static void
serve(void *arg)
{
    struct hold_channel *h = arg;
    struct live_session *s;
    enum err e = OK;

    while (e == OK)
        e = serve_next(h);
    if (e != ERR_CLOSED)
        log_error("session_channel_failed", "session=%016llx reason=%s",
                  (unsigned long long)h->session, err_text());
    s = h->over ? NULL : control_session(h->control, h->session);
    if (s != NULL && s->channel == h) {
        withdraw(h);
        s->channel = NULL;
    }
    drop_incoming(h);
    close(h->channel);
    free(h);
}

void
holds_session_over(struct control *c, struct live_session *s)
{
    struct hold_channel *h = s->channel;

    (void)c;
    if (h == NULL)
        return;
    withdraw(h);
    s->channel = NULL;
    h->over = true;
    hang_up(h); /* its fiber frees it */
}

void
holds_begin(struct control *c, uint64_t session, int channel)
{
    struct live_session *s = control_session(c, session);
    struct hold_channel *h = s == NULL ? NULL : calloc(1, sizeof(*h));

    if (h == NULL) {
        log_warning("session_channel_refused", "session=%016llx reason=it is not known",
                    (unsigned long long)session);
        close(channel);
        return;
    }
    holds_session_over(c, s);
    *h = (struct hold_channel){.control = c, .session = session, .channel = channel};
    if (fiber_start("hold", serve, h, NULL) != OK) {
        close(channel);
        free(h);
        return;
    }
    s->channel = h;
}
