#include "gate/door.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "fiber/fiber.h"
#include "gate/control_link.h"
#include "gate/door_open.h"
#include "gate/gate_open.h"
#include "gate/keeper_link.h"
#include "gate/ledger_link.h"
#include "gate/recorder.h"
#include "ipc/record.h"
#include "net/tls.h"

enum {
    ANSWER_TIMEOUT_MS = 30000, /* a proof or a signature; never expected to take this long */
    ARENA_BYTES_MAX = 1 << 20,
    TRUST_BYTES_MAX = 4 << 20,
    CERTIFICATE_BYTES_MAX = 64 << 10,
    PROTECTION_ARENA_MAX = 4 * PROTECTION_BYTES_MAX, /* what was read is larger than the bytes */
};

/* A file of the keeper's; -1: none. */
struct catalog_file {
    int fd;
    size_t bytes;
};

/* The question for a catalog that is out, one at a time, and what came of it. */
struct catalog_question {
    uint64_t number; /* counts them */
    bool asked;      /* and not answered, or its answer not taken */
    bool answered;
    enum err code;
    char text[ERR_TEXT_MAX];
    struct catalog_file file;
};

struct door_private {
    struct keeper_link *keeper;
    struct ledger_link *ledger;   /* NULL for a reader */
    struct control_link *control; /* NULL for a reader */
    struct fiber *reader;         /* NULL for a session */
    struct arena *arena;          /* texts of the grant */
    int trust_fd;                 /* certificates to verify the target by; -1: none */
    int certificate_fd;           /* our client certificate for the target; -1: none */
    int cancel_fd; /* a connection for the cancel that somebody asked for; -1: none */
    struct fiber_condition cancel_asked;
    struct catalog_question catalog;
    struct catalog_file pushed_catalog;
    struct fiber_condition catalog_changed;
    bool broken;
};

static void
break_off(struct door *d)
{
    struct door_private *p = d->private;

    p->broken = true;
    fiber_condition_signal(&p->cancel_asked);
    fiber_condition_signal(&p->catalog_changed);
    if (p->reader != NULL)
        fiber_cancel(p->reader);
    if (d->gate != NULL)
        gate_end(d->gate, GATE_BROKEN, STR("a service of the gateway is not available; try again"));
}

static void
ledger_is_gone(void *arg)
{
    break_off(arg);
}

static void
close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static enum err
read_residual(int fd, struct residual **out)
{
    struct buf bytes = buf_make(RESIDUAL_BYTES_MAX + 1);
    enum err e = ipc_read_shared(fd, &bytes);

    if (e == OK)
        e = residual_decode(buf_str(&bytes), out);
    buf_free(&bytes);
    return e;
}

static enum err
decode_protection(struct str bytes, struct gate_rules *rules)
{
    struct protection *protection;
    enum err e;

    if ((rules->home = arena_new(PROTECTION_ARENA_MAX)) == NULL ||
        (protection = arena_alloc(rules->home, sizeof(*protection))) == NULL)
        e = fail(ERR_NOMEM, "no memory for what the resource protects");
    else if ((e = protection_decode(bytes, rules->home, protection)) == OK)
        rules->protection = protection;
    if (e != OK)
        arena_free(rules->home);
    return e;
}

static enum err
read_protection(int fd, struct gate_rules *rules)
{
    struct buf bytes = buf_make(PROTECTION_BYTES_MAX + 1);
    enum err e;

    if ((e = ipc_read_shared(fd, &bytes)) == OK)
        e = decode_protection(buf_str(&bytes), rules);
    buf_free_secret(&bytes); /* it holds a key */
    return e;
}

/* The rules from two descriptors of a message; on OK they are the caller's. */
static enum err
take_rules(struct ipc_packet *packet, size_t residual_at, size_t protection_at,
           struct gate_rules *rules)
{
    int residual = ipc_take_fd(packet, residual_at);
    int protection = ipc_take_fd(packet, protection_at);
    enum err e = residual < 0 || protection < 0 ? fail(ERR_PROTOCOL, "rules that are not whole")
                                                : read_residual(residual, &rules->residual);

    if (e == OK && (e = read_protection(protection, rules)) != OK)
        residual_free(rules->residual);
    close_if_open(residual);
    close_if_open(protection);
    return e;
}

static void
take_policy(struct door *d, struct ipc_packet *packet)
{
    struct gate_rules rules = {.policy_hash = packet->message.policy.policy_hash};

    if (d->gate == NULL || take_rules(packet, 0, 1, &rules) != OK ||
        gate_replace_rules(d->gate, &rules) != OK)
        break_off(d); /* the rules in force are unknown: fail closed */
}

static void
take_end(struct door *d, const struct ipc_end *end)
{
    enum gate_end why = end->reason > GATE_OPEN && end->reason <= GATE_BROKEN
                            ? (enum gate_end)end->reason
                            : GATE_BROKEN;

    if (d->gate != NULL)
        gate_end(d->gate, why, end->text);
    else
        break_off(d);
}

static void
take_cancel(struct door_private *p, struct ipc_packet *packet)
{
    if (p->cancel_fd >= 0)
        close(p->cancel_fd);
    p->cancel_fd = ipc_take_fd(packet, 0);
    fiber_condition_signal(&p->cancel_asked);
}

/* The answer to the question that is out, or a newer catalog for whoever wants it. */
static void
take_catalog(struct door_private *p, struct ipc_packet *packet)
{
    const struct ipc_catalog_ready *ready = &packet->message.catalog_ready;
    struct catalog_question *q = &p->catalog;
    struct catalog_file file = {.fd = ready->code == OK ? ipc_take_fd(packet, 0) : -1,
                                .bytes = ready->bytes};

    if (file.fd >= 0 && p->pushed_catalog.fd >= 0) { /* this one is no older */
        close(p->pushed_catalog.fd);
        p->pushed_catalog.fd = -1;
    }
    if (q->asked && !q->answered && ready->number == q->number) {
        q->answered = true;
        q->code = ready->code <= ERR_TLS ? (enum err)ready->code : ERR_UNAVAILABLE;
        (void)snprintf(q->text, sizeof(q->text), "%.*s", STR_ARG(ready->text));
        q->file = file;
        fiber_condition_signal(&p->catalog_changed);
    } else if (file.fd >= 0) {
        p->pushed_catalog = file;
    }
}

static void
keeper_pushed(void *arg, struct ipc_packet *packet)
{
    struct door *d = arg;

    if (packet == NULL) {
        break_off(d);
        return;
    }
    switch (packet->type) {
    case IPC_TYPE_POLICY:
        take_policy(d, packet);
        break;
    case IPC_TYPE_END:
        take_end(d, &packet->message.end);
        break;
    case IPC_TYPE_CANCEL_TARGET:
        take_cancel(d->private, packet);
        break;
    case IPC_TYPE_CATALOG_READY:
        take_catalog(d->private, packet);
        break;
    case IPC_TYPE_CONTROL_READY:
        if (d->private->control != NULL)
            control_link_ready(d->private->control, packet);
        break;
    default:
        break_off(d);
    }
}

/* The error that the keeper sent as a number; only what a peer may mean by it. */
static enum err
answer_error(uint64_t code, struct str text)
{
    enum err e = code > OK && code <= ERR_TLS ? (enum err)code : ERR_UNAVAILABLE;

    return fail(e, "%.*s", STR_ARG(text));
}

/* A question whose answer is an ANSWER; on OK keeper_link_done() is due. */
static enum err
ask(struct door *d, enum ipc_type type, const void *question, struct ipc_answer *out)
{
    struct ipc_packet *packet;
    enum err e;

    if ((e = keeper_link_ask(d->private->keeper, type, question,
                             clock_monotonic_ms() + ANSWER_TIMEOUT_MS, &packet)) != OK)
        return e;
    if (packet->type != IPC_TYPE_ANSWER)
        e = fail(ERR_PROTOCOL, "unexpected answer %s", ipc_type_name(packet->type));
    else if (packet->message.answer.code != OK)
        e = answer_error(packet->message.answer.code, packet->message.answer.text);
    if (e != OK) {
        keeper_link_done(d->private->keeper);
        return e;
    }
    *out = packet->message.answer;
    return OK;
}

/* tls_sign_fn: the keeper signs our handshakes. */
static enum err
sign(struct door *d, bool for_server, uint16_t scheme, struct str content, struct buf *signature)
{
    struct ipc_sign question = {.for_server = for_server, .scheme = scheme, .content = content};
    struct ipc_answer answer;
    enum err e;

    if ((e = ask(d, IPC_TYPE_SIGN, &question, &answer)) != OK)
        return e;
    buf_put_str(signature, answer.first);
    keeper_link_done(d->private->keeper);
    return buf_ok(signature);
}

static enum err
sign_as_server(void *arg, uint16_t scheme, struct str content, struct buf *signature)
{
    return sign(arg, true, scheme, content, signature);
}

static enum err
sign_as_client(void *arg, uint16_t scheme, struct str content, struct buf *signature)
{
    return sign(arg, false, scheme, content, signature);
}

static enum err
make_private(struct door *d)
{
    struct door_private *p = calloc(1, sizeof(*p));

    if (p == NULL || (p->arena = arena_new(ARENA_BYTES_MAX)) == NULL) {
        free(p);
        return fail(ERR_NOMEM, "no memory for a session");
    }
    p->trust_fd = p->certificate_fd = p->cancel_fd = -1;
    p->catalog.file.fd = p->pushed_catalog.fd = -1;
    d->private = p;
    d->gate = NULL;
    return OK;
}

static void
free_private(struct door *d)
{
    struct door_private *p = d->private;

    keeper_link_close(p->keeper);
    recorder_close(d->recorder); /* before what it writes through */
    control_link_close(p->control);
    ledger_link_close(p->ledger);
    gate_close(d->gate);
    close_if_open(p->trust_fd);
    close_if_open(p->certificate_fd);
    close_if_open(p->cancel_fd);
    close_if_open(p->catalog.file.fd);
    close_if_open(p->pushed_catalog.fd);
    arena_free(p->arena);
    free(p);
    d->private = NULL;
    d->gate = NULL;
}

enum err
door_open(struct door *d, int keeper_channel, int ledger_channel)
{
    enum err e;

    if ((e = make_private(d)) != OK) {
        close(keeper_channel);
        close(ledger_channel);
        return e;
    }
    if ((e = keeper_link_open(keeper_channel, keeper_pushed, d, &d->private->keeper)) != OK)
        close(ledger_channel);
    else
        e = ledger_link_open(ledger_channel, d->handshake_deadline_ms, ledger_is_gone, d,
                             &d->private->ledger);
    if (e == OK)
        e = control_link_new(d->private->keeper, &d->private->control);
    if (e != OK) {
        free_private(d);
        return e;
    }
    tls_set_signer(true, sign_as_server, d);
    tls_set_signer(false, sign_as_client, d);
    return OK;
}

void
door_close(struct door *d, struct str how)
{
    struct record_note note = {.event = STR("closed"),
                               .text = how,
                               .bytes_in = stream_received(d->client),
                               .bytes_out = stream_sent(d->client)};

    record_put_note(ledger_link_frames(d->private->ledger), clock_wall_us(), RECORD_CLOSED, &note);
    free_private(d);
}

void
door_refuse(struct door *d, struct str reason)
{
    struct record_note note = {.event = STR("refused"), .text = reason};

    record_put_note(ledger_link_frames(d->private->ledger), clock_wall_us(), RECORD_REFUSED, &note);
    err_ignore(ledger_link_flush(d->private->ledger)); /* the connection ends in any case */
}

static enum err
keep_text(struct door_private *p, struct str *text)
{
    *text = arena_str(p->arena, *text);
    return text->ptr == NULL ? fail(ERR_NOMEM, "no memory for the grant") : OK;
}

static enum err
copy_grant(struct door_private *p, const struct ipc_granted *granted, struct grant *out)
{
    enum err e;

    *out = (struct grant){
        .resource = granted->resource,
        .subject = granted->subject,
        .database = granted->database,
        .target_user = granted->target_user,
        .target_tls = (enum target_tls)granted->target_tls,
        .target_host = granted->target_host,
        .target_has_certificate = (granted->flags & IPC_GRANT_CERTIFICATE) != 0,
        .target_is_local = (granted->flags & IPC_GRANT_LOCAL) != 0,
        .cancel_id = (uint32_t)granted->cancel_id,
        .cancel_secret = granted->cancel_secret,
        .target_fd = -1,
    };
    if (granted->target_tls > TARGET_TLS_VERIFY_FULL)
        return fail(ERR_PROTOCOL, "unknown TLS mode");
    if ((e = keep_text(p, &out->resource)) != OK || (e = keep_text(p, &out->subject)) != OK ||
        (e = keep_text(p, &out->database)) != OK || (e = keep_text(p, &out->target_user)) != OK ||
        (e = keep_text(p, &out->target_host)) != OK)
        return e;
    return keep_text(p, &out->cancel_secret);
}

/* The grant's texts and its descriptors, but the second and those from `*next` on. */
static enum err
take_target(struct door_private *p, struct ipc_packet *packet, struct grant *grant, size_t *next)
{
    const struct ipc_granted *granted = &packet->message.granted;
    enum err e;

    *next = 2;
    if ((e = copy_grant(p, granted, grant)) != OK)
        return e;
    if ((granted->flags & IPC_GRANT_TRUST) != 0)
        p->trust_fd = ipc_take_fd(packet, (*next)++);
    if ((granted->flags & IPC_GRANT_CERTIFICATE) != 0)
        p->certificate_fd = ipc_take_fd(packet, (*next)++);
    if ((grant->target_fd = ipc_take_fd(packet, 0)) < 0)
        return fail(ERR_PROTOCOL, "a grant without its target");
    return OK;
}

static enum err
take_grant(struct door *d, struct ipc_packet *packet, struct grant *grant)
{
    const struct ipc_granted *granted = &packet->message.granted;
    struct gate_rules rules = {.policy_hash = granted->policy_hash};
    size_t next;
    enum err e;

    if (d->gate != NULL)
        return fail(ERR_PROTOCOL, "a second grant");
    if ((granted->flags & IPC_GRANT_PROTECTION) == 0)
        return fail(ERR_PROTOCOL, "a grant without what the resource protects");
    if ((granted->flags & IPC_GRANT_RECORD) != 0 &&
        (e = recorder_open(d->private->ledger, &d->recorder)) != OK)
        return e;
    if ((e = take_target(d->private, packet, grant, &next)) != OK ||
        (e = take_rules(packet, 1, next, &rules)) != OK)
        return e;
    if ((e = gate_open(&rules, d->private->ledger, &d->gate)) == OK)
        gate_set_control(d->gate, d->private->control);
    return e;
}

/* The keeper was not asked, or did not answer: the record is ours to make. */
static enum err
refuse_unasked(struct door *d, enum err code)
{
    struct str why = arena_str(d->private->arena, str_from(err_text()));

    if (why.ptr == NULL)
        why = STR("not authenticated");
    door_refuse(d, why);
    return fail(code, "%.*s", STR_ARG(why));
}

enum err
door_authenticate(struct door *d, const struct door_credentials *credentials, struct grant *grant,
                  struct buf *hint)
{
    struct keeper_link *keeper = d->private->keeper;
    struct ipc_authenticate question = {
        .resource = d->fixed_resource.len > 0 ? d->fixed_resource : credentials->resource,
        .database = credentials->database,
        .client = credentials->client,
        .token = credentials->token,
    };
    struct ipc_packet *packet;
    enum err e;

    if ((e = keeper_link_ask(keeper, IPC_TYPE_AUTHENTICATE, &question, d->handshake_deadline_ms,
                             &packet)) != OK)
        return refuse_unasked(d, e);
    if (packet->type == IPC_TYPE_GRANTED) {
        e = take_grant(d, packet, grant);
    } else if (packet->type == IPC_TYPE_REFUSED) {
        if (hint != NULL)
            buf_put_str(hint, packet->message.refused.hint);
        e = answer_error(packet->message.refused.code, packet->message.refused.text);
    } else {
        e = fail(ERR_PROTOCOL, "unexpected answer %s", ipc_type_name(packet->type));
    }
    keeper_link_done(keeper);
    return e;
}

enum err
door_scram(struct door *d, struct str client_first_bare, struct str server_first,
           struct str client_final_bare, unsigned char proof[static 32],
           unsigned char server_signature[static 32])
{
    struct ipc_prove question = {.kind = IPC_PROOF_SCRAM_SHA_256,
                                 .client_first = client_first_bare,
                                 .server_first = server_first,
                                 .client_final = client_final_bare};
    struct ipc_answer answer;
    enum err e;

    if ((e = ask(d, IPC_TYPE_PROVE, &question, &answer)) != OK)
        return e;
    if (answer.first.len == 32 && answer.second.len == 32) {
        memcpy(proof, answer.first.ptr, 32);
        memcpy(server_signature, answer.second.ptr, 32);
    } else {
        e = fail(ERR_PROTOCOL, "malformed proof");
    }
    keeper_link_done(d->private->keeper);
    return e;
}

enum err
door_md5(struct door *d, const unsigned char salt[static 4], char result[static 36])
{
    struct ipc_prove question = {.kind = IPC_PROOF_MD5, .server_first = {(const char *)salt, 4}};
    struct ipc_answer answer;
    enum err e;

    if ((e = ask(d, IPC_TYPE_PROVE, &question, &answer)) != OK)
        return e;
    if (answer.first.len == 35)
        memcpy(result, answer.first.ptr, 35), result[35] = '\0';
    else
        e = fail(ERR_PROTOCOL, "malformed proof");
    keeper_link_done(d->private->keeper);
    return e;
}

enum err
door_password(struct door *d, struct buf *password)
{
    struct ipc_prove question = {.kind = IPC_PROOF_PASSWORD};
    struct ipc_answer answer;
    enum err e;

    if ((e = ask(d, IPC_TYPE_PROVE, &question, &answer)) != OK)
        return e;
    buf_put_str(password, answer.first);
    keeper_link_done(d->private->keeper);
    return buf_ok(password);
}

static enum err
target_context(struct door_private *p, enum target_tls mode, SSL_CTX **out)
{
    struct buf trust = buf_make(TRUST_BYTES_MAX), certificate = buf_make(CERTIFICATE_BYTES_MAX);
    enum err e = OK;

    if (p->trust_fd >= 0)
        e = ipc_read_shared(p->trust_fd, &trust);
    if (e == OK && p->certificate_fd >= 0)
        e = ipc_read_shared(p->certificate_fd, &certificate);
    if (e == OK)
        e = tls_client_context(buf_str(&trust), mode >= TARGET_TLS_VERIFY_CA, buf_str(&certificate),
                               out);
    buf_free(&trust);
    buf_free(&certificate);
    return e;
}

enum err
door_secure_target(struct door *d, const struct grant *grant, struct stream *target,
                   int64_t deadline_ms)
{
    SSL_CTX *context;
    SSL *ssl;
    char *host;
    enum err e;

    if ((host = arena_text(d->private->arena, grant->target_host)) == NULL)
        return fail(ERR_NOMEM, "no memory for a host name");
    if ((e = target_context(d->private, grant->target_tls, &context)) != OK)
        return e;
    if ((e = tls_client_connection(context, host, grant->target_tls == TARGET_TLS_VERIFY_FULL,
                                   &ssl)) == OK)
        e = stream_connect_tls(target, ssl, deadline_ms);
    SSL_CTX_free(context);
    return e;
}

void
door_cancel(struct door *d, uint32_t cancel_id, struct str secret)
{
    struct ipc_cancel question = {.id = cancel_id, .secret = secret};
    struct ipc_answer answer;

    /* Whether it cancelled anything is nobody's to know. */
    if (ask(d, IPC_TYPE_CANCEL, &question, &answer) == OK)
        keeper_link_done(d->private->keeper);
}

enum err
door_wait_cancel(struct door *d, int64_t deadline_ms, int *target_fd)
{
    struct door_private *p = d->private;
    enum err e = OK;

    while (e == OK && p->cancel_fd < 0 && !p->broken)
        e = fiber_condition_wait(&p->cancel_asked, deadline_ms);
    if (e != OK)
        return e;
    if (p->cancel_fd < 0)
        return fail(ERR_UNAVAILABLE, "a service of the gateway is not available");
    *target_fd = p->cancel_fd;
    p->cancel_fd = -1;
    return OK;
}

/* --- catalogs ------------------------------------------------------------------------------- */

/* Maps a catalog and closes its file. */
static enum err
map_catalog(struct catalog_file *file, struct str *bytes)
{
    void *at = file->fd < 0 ? MAP_FAILED
                            : mmap(NULL, file->bytes, PROT_READ, MAP_SHARED, file->fd, 0);

    close_if_open(file->fd);
    file->fd = -1;
    if (at == MAP_FAILED)
        return fail(ERR_IO, "the catalog cannot be mapped");
    *bytes = (struct str){at, file->bytes};
    return OK;
}

/* [waits] */
static enum err
wait_for_catalog(struct door_private *p, int64_t deadline_ms)
{
    struct catalog_question *q = &p->catalog;
    enum err e = OK;

    while (e == OK && !q->answered && !p->broken)
        e = fiber_condition_wait(&p->catalog_changed, deadline_ms);
    if (e == ERR_TIMEOUT)
        return fail(e, "the catalog of the target was not read in time");
    if (e == OK && !q->answered)
        e = fail(ERR_UNAVAILABLE, "a service of the gateway is not available");
    return e == OK && q->code != OK ? fail(q->code, "%s", q->text) : e;
}

enum err
door_catalog(struct door *d, uint64_t stale, int64_t deadline_ms, struct str *bytes)
{
    struct door_private *p = d->private;
    struct catalog_question *q = &p->catalog;
    struct ipc_catalog question = {.stale = stale};
    enum err e;

    while (q->asked && !p->broken)
        if ((e = fiber_condition_wait(&p->catalog_changed, deadline_ms)) != OK)
            return e;
    *q = (struct catalog_question){.number = q->number + 1, .asked = true, .file = {.fd = -1}};
    question.number = q->number;
    if ((e = keeper_link_say(p->keeper, IPC_TYPE_CATALOG, &question)) == OK)
        e = wait_for_catalog(p, deadline_ms);
    if (e == OK)
        e = map_catalog(&q->file, bytes);
    else
        close_if_open(q->file.fd);
    q->file.fd = -1;
    q->asked = false;
    fiber_condition_signal(&p->catalog_changed);
    return e;
}

void
door_catalog_release(struct str bytes)
{
    if (bytes.len > 0)
        (void)munmap((void *)(uintptr_t)bytes.ptr, bytes.len);
}

bool
door_take_pushed_catalog(struct door *d, struct str *bytes)
{
    struct catalog_file *file = &d->private->pushed_catalog;

    return file->fd >= 0 && map_catalog(file, bytes) == OK;
}

/* --- readers -------------------------------------------------------------------------------- */

static enum err
begin_reading(struct door *d, struct grant *grant, int *file)
{
    struct ipc_read_begin question = {};
    struct ipc_packet *packet;
    size_t next;
    enum err e;

    if ((e = keeper_link_ask(d->private->keeper, IPC_TYPE_READ_BEGIN, &question,
                             d->handshake_deadline_ms, &packet)) != OK)
        return e;
    if (packet->type == IPC_TYPE_GRANTED)
        e = take_target(d->private, packet, grant, &next);
    else
        e = fail(ERR_PROTOCOL, "unexpected answer %s", ipc_type_name(packet->type));
    if (e == OK && (*file = ipc_take_fd(packet, 1)) < 0) {
        close(grant->target_fd);
        e = fail(ERR_PROTOCOL, "a grant without its file");
    }
    keeper_link_done(d->private->keeper);
    return e;
}

enum err
door_open_reader(struct door *d, int keeper_channel, struct grant *grant, int *file)
{
    enum err e;

    if ((e = make_private(d)) != OK) {
        close(keeper_channel);
        return e;
    }
    d->private->reader = fiber_self();
    if ((e = keeper_link_open(keeper_channel, keeper_pushed, d, &d->private->keeper)) == OK)
        e = begin_reading(d, grant, file);
    if (e != OK) {
        free_private(d);
        return e;
    }
    tls_set_signer(false, sign_as_client, d);
    return OK;
}

enum err
door_end_reading(struct door *d, const struct ipc_read_end *end)
{
    return keeper_link_say(d->private->keeper, IPC_TYPE_READ_END, end);
}

void
door_close_reader(struct door *d)
{
    d->private->reader = NULL; /* it goes on */
    free_private(d);
}
