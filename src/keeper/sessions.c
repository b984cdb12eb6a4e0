#include "keeper/sessions.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "keeper/catalog_asker.h"
#include "keeper/control_link.h"
#include "keeper/dial.h"
#include "keeper/target.h"

enum {
    PRINCIPAL_ARENA_MAX = 1 << 20,
    CANCEL_SECRET_BYTES = 32,
    CANCEL_SECRET_BYTES_MIN = 4,
    OWN_CANCEL_PACE_MS = 100, /* from one to the next: each is a connection to the target */
    CONTROL_PACE_MS = 100,    /* from one channel to control to the next */
    TARGET_SHOWN_MAX = 4200,
    HINT_RESOURCES_MAX = 20,
    TEXT_SHOWN_MAX = 256,
};

struct keeper_session {
    struct keeper *keeper;
    uint64_t id;
    int channel;
    struct in6_addr source;
    struct str protocol;       /* in `arena`, as all texts here */
    struct str fixed_resource; /* the port's */
    struct arena *arena;

    /* Once authenticated: */
    bool authenticated;
    bool ended;     /* told to end; grants nothing any more */
    bool announced; /* control was told of it, or would have been */
    struct principal principal;
    struct target target; /* of the edition under which it connected */
    struct str database, client;
    struct str access;  /* the grant of access under which it was opened; empty: none was needed */
    int64_t expires_us; /* of the token or that grant, whichever is first */
    struct catalog_asker *catalogs; /* NULL before it asks for one */
    int64_t opened_us;
    uint32_t cancel_id;
    unsigned char cancel_secret[CANCEL_SECRET_BYTES];

    /* What a session may still ask for: a compromised one gets no more than an honest one needs. */
    unsigned server_signatures_left;
    unsigned cancels_left; /* with the keys of others */
    int64_t own_cancel_ms; /* when it last cancelled what it runs itself */
    int64_t control_ms;    /* when it last got a channel to control */
};

/* --- answers -------------------------------------------------------------------------------- */

static struct str
shortened(struct str text, size_t max)
{
    return text.len > max ? (struct str){text.ptr, max} : text;
}

static enum err
tell_ledger(struct keeper *k, enum ipc_type type, const void *message)
{
    if (k->ledger < 0 || ipc_send(k->ledger, type, message, NULL, 0) != OK)
        return fail(ERR_UNAVAILABLE, "the gateway's audit ledger is not available");
    return OK;
}

/* Records the refusal and tells the client; the last thing that happens to a session here. */
static void
refuse(struct keeper_session *s, struct str resource, enum err code, const char *text,
       struct str hint)
{
    struct ipc_session_refused record = {
        .session = s->id,
        .resource = shortened(resource, 256),
        .subject = shortened(s->principal.subject, 1024),
        .issuer = s->principal.issuer,
        .token_id = s->principal.token_id,
        .reason = str_from(text),
    };
    struct ipc_refused message = {.code = code, .text = str_from(text), .hint = hint};

    log_info("session_refused", "session=%016llx resource=%.*s reason=%s",
             (unsigned long long)s->id, STR_ARG(record.resource), text);
    err_ignore(tell_ledger(s->keeper, IPC_TYPE_SESSION_REFUSED, &record));
    err_ignore(ipc_send(s->channel, IPC_TYPE_REFUSED, &message, NULL, 0));
}

/* --- authentication ------------------------------------------------------------------------- */

static struct policy_request
request_for(const struct keeper_session *s, const struct config_resource *resource)
{
    return (struct policy_request){
        .subject = s->principal.subject,
        .issuer = s->principal.issuer,
        .groups = s->principal.groups,
        .claims = s->principal.claims,
        .n_claims = s->principal.n_claims,
        .resource = resource->name,
        .protocol = resource->protocol,
        .labels = resource->labels,
        .n_labels = resource->n_labels,
        .source = s->source,
    };
}

static bool
token_covers(const struct principal *principal, struct str resource)
{
    for (size_t i = 0; i < principal->resources.n; i++)
        if (str_equal(principal->resources.items[i], resource))
            return true;
    return principal->resources.n == 0;
}

/* The rules left over for this session on `resource`; ERR_DENIED if none allows anything. */
static enum err
specialise(const struct keeper_session *s, const struct edition *edition,
           const struct config_resource *resource, struct residual **out)
{
    struct policy_request request = request_for(s, resource);
    enum err e;

    if (!token_covers(&s->principal, resource->name))
        return fail(ERR_DENIED, "this token is not for resource \"%.*s\"", STR_ARG(resource->name));
    if ((e = policy_specialise(edition->policy, &request, out)) != OK)
        return e;
    if (residual_allows_anything(*out))
        return OK;
    residual_free(*out);
    *out = NULL;
    return fail(ERR_DENIED, "no rule lets %.*s use resource \"%.*s\"",
                STR_ARG(shortened(s->principal.subject, TEXT_SHOWN_MAX)), STR_ARG(resource->name));
}

/* What this identity may use instead, and whom to ask. */
static void
advise(const struct keeper_session *s, const struct config_resource *asked, struct buf *hint)
{
    const struct config *config = s->keeper->edition->config;
    int shown = 0;

    for (size_t i = 0; i < config->n_resources && shown < HINT_RESOURCES_MAX; i++) {
        struct residual *residual;

        if (specialise(s, s->keeper->edition, &config->resources[i], &residual) != OK)
            continue;
        residual_free(residual);
        buf_printf(hint, "%s%.*s", shown++ == 0 ? "This identity may use: " : ", ",
                   STR_ARG(config->resources[i].name));
    }
    buf_put_text(hint, shown == 0 ? "This identity may use no resource." : ".");
    if (asked != NULL && asked->contact.len > 0)
        buf_printf(hint, " Ask %.*s for access.", STR_ARG(asked->contact));
}

/* Verifies the token and finds what it may do on the resource. On failure `asked` may be set. */
static enum err
authorise(struct keeper_session *s, const struct ipc_authenticate *question,
          const struct config_resource **asked, struct residual **residual)
{
    struct edition *edition;
    enum err e;

    if ((e = identity_verify(s->keeper->identity, question->token, s->arena, &s->principal)) != OK)
        return e;
    edition = s->keeper->edition; /* after the wait: a reload may have replaced it */
    *asked = config_find_resource(edition->config, question->resource);
    if (*asked == NULL || !str_equal((*asked)->protocol, s->protocol))
        return fail(ERR_NOT_FOUND, "there is no resource \"%.*s\"",
                    STR_ARG(shortened(question->resource, TEXT_SHOWN_MAX)));
    if (s->fixed_resource.len > 0 && !str_equal(s->fixed_resource, (*asked)->name))
        return fail(ERR_DENIED, "this port serves another resource");
    if ((e = specialise(s, edition, *asked, residual)) != OK)
        return e;
    s->target = target_make(edition, *asked);
    return OK;
}

static enum err
share_residual(const struct residual *residual, int *fd)
{
    struct buf bytes = buf_make(RESIDUAL_BYTES_MAX);
    enum err e = residual_encode(residual, &bytes);

    if (e == OK)
        e = ipc_share_bytes("policy", buf_str(&bytes), fd);
    buf_free(&bytes);
    return e;
}

/* A key under which the session can be cancelled, not in use by another. */
static enum err
make_cancel_key(struct keeper_session *s)
{
    do {
        if (getrandom(&s->cancel_id, sizeof(s->cancel_id), 0) != sizeof(s->cancel_id) ||
            getrandom(s->cancel_secret, sizeof(s->cancel_secret), 0) != sizeof(s->cancel_secret))
            return fail_errno(ERR_IO, "getrandom");
    } while (s->cancel_id == 0 || table_get(s->keeper->cancels, key_of_cancel(&s->cancel_id)));
    return table_put(s->keeper->cancels, key_of_cancel(&s->cancel_id), s, NULL);
}

void
sessions_put_list(struct buf *out, struct str_list list)
{
    for (size_t i = 0; i < list.n && out->len + list.items[i].len + 1 <= out->max; i++) {
        buf_put_str(out, list.items[i]);
        buf_put_u8(out, '\0');
    }
}

static void
put_address(struct buf *out, const struct config_address *address)
{
    buf_put_str(out, address->host);
    if (address->port != 0)
        buf_printf(out, ":%u", address->port);
}

static const char *
source_text(const struct in6_addr *source, char out[static INET6_ADDRSTRLEN])
{
    if (IN6_IS_ADDR_V4MAPPED(source))
        return inet_ntop(AF_INET, &source->s6_addr[12], out, INET6_ADDRSTRLEN);
    return inet_ntop(AF_INET6, source, out, INET6_ADDRSTRLEN);
}

static enum err
describe(const struct keeper_session *s,
         enum err (*tell)(void *arg, const struct ipc_session_opened *opened), void *arg)
{
    struct buf groups = buf_make(SESSION_GROUPS_BYTES_MAX), target = buf_make(TARGET_SHOWN_MAX);
    struct buf chain = buf_make(PRINCIPAL_CHAIN_BYTES_MAX);
    char source[INET6_ADDRSTRLEN] = "";
    struct ipc_session_opened record = {
        .session = s->id,
        .subject = s->principal.subject,
        .issuer = s->principal.issuer,
        .token_id = s->principal.token_id,
        .resource = s->target.resource->name,
        .database = s->database,
        .client = s->client,
        .policy_hash = {s->target.edition->policy_hash, POLICY_HASH_BYTES},
        .expires_us = (uint64_t)s->expires_us,
        .task = s->principal.task,
        .access = s->access,
        .source = str_from(source_text(&s->source, source)),
        .protocol = s->protocol,
        .opened_us = (uint64_t)s->opened_us,
        .email = s->principal.email,
    };
    enum err e;

    sessions_put_list(&groups, s->principal.groups);
    record.groups = buf_str(&groups);
    sessions_put_list(&chain, s->principal.chain);
    record.chain = buf_str(&chain);
    put_address(&target, &s->target.resource->address);
    record.target = buf_str(&target);
    e = tell(arg, &record);
    buf_free(&chain);
    buf_free(&target);
    buf_free(&groups);
    return e;
}

static enum err
record_opened(void *arg, const struct ipc_session_opened *opened)
{
    return tell_ledger(arg, IPC_TYPE_SESSION_OPENED, opened);
}

static enum err
add_protection(struct keeper_session *s, struct target_files *files, struct ipc_granted *granted)
{
    enum err e = edition_share_protection(s->target.edition, s->target.resource_index,
                                          &files->fds[files->n]);

    if (e != OK)
        return e;
    files->n++;
    granted->flags |= IPC_GRANT_PROTECTION;
    if (s->target.edition->config->recordings.directory.len > 0)
        granted->flags |= IPC_GRANT_RECORD;
    return OK;
}

static enum err
send_grant(struct keeper_session *s, struct ipc_granted *granted, const struct target_files *files)
{
    granted->subject = s->principal.subject;
    granted->database = s->database;
    granted->cancel_id = s->cancel_id;
    granted->cancel_secret = (struct str){(const char *)s->cancel_secret, CANCEL_SECRET_BYTES};
    granted->policy_hash = (struct str){s->target.edition->policy_hash, POLICY_HASH_BYTES};
    return ipc_send(s->channel, IPC_TYPE_GRANTED, granted, files->fds, files->n);
}

static void renew_rules(struct keeper_session *s);
static void end_session(struct keeper_session *s, enum gate_end why, const char *text);

static enum err
grant(struct keeper_session *s, const struct ipc_authenticate *question,
      const struct residual *residual)
{
    struct ipc_session_authenticated authenticated = {.session = s->id};
    struct target_files files = {0};
    struct ipc_granted granted = {};
    int policy;
    enum err e;

    s->database = arena_str(s->arena, question->database.len > 0 ? question->database
                                                                 : s->target.resource->database);
    s->client = arena_str(s->arena, question->client);
    s->opened_us = clock_wall_us();
    if (s->database.ptr == NULL || s->client.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for a session");
    if ((e = share_residual(residual, &policy)) == OK &&
        (e = target_open(&s->target, policy, &files, &granted)) == OK &&
        (e = add_protection(s, &files, &granted)) == OK && (e = make_cancel_key(s)) == OK &&
        (e = describe(s, record_opened, s->keeper)) == OK &&
        (e = send_grant(s, &granted, &files)) == OK) {
        s->authenticated = s->announced = true;
        control_link_opened(s->keeper, s->id);
        if (s->keeper->listener >= 0)
            err_ignore(ipc_send(s->keeper->listener, IPC_TYPE_SESSION_AUTHENTICATED, &authenticated,
                                NULL, 0)); /* else it is not counted, that is all */
    }
    target_close_files(&files);
    /* What came while the target was dialled passed this session by. */
    if (e == OK && s->target.edition != s->keeper->edition)
        renew_rules(s);
    if (e == OK && s->keeper->draining)
        end_session(s, GATE_SHUTDOWN, "the gateway is shutting down");
    return e;
}

/* Words for a client whose target cannot be reached: they name the resource, not the address. */
static const char *
target_trouble(const struct keeper_session *s, char out[static ERR_TEXT_MAX])
{
    (void)snprintf(out, ERR_TEXT_MAX, "the target of \"%.*s\" cannot be reached: %.300s",
                   STR_ARG(s->target.resource->name), err_text());
    return out;
}

/* [waits] A rule may ask for a grant of access before any session is opened. It ends the session
 * when it does itself. */
static enum err
find_access(struct keeper_session *s)
{
    struct policy_request request = request_for(s, s->target.resource);
    struct buf chain = buf_make(PRINCIPAL_CHAIN_BYTES_MAX);
    struct control_access access;
    struct policy_connect needed;
    struct ipc_access question = {
        .subject = s->principal.subject,
        .issuer = s->principal.issuer,
        .resource = s->target.resource->name,
    };
    enum err e;

    s->expires_us = s->principal.expires_us;
    if (!policy_connect(s->target.edition->policy, &request, clock_wall_us(), &needed))
        return OK;
    question.rule = needed.rule;
    sessions_put_list(&chain, s->principal.chain);
    question.chain = buf_str(&chain);
    if ((e = control_link_ask_access(s->keeper, &question, s->arena, &access)) == OK) {
        s->access = access.access;
        if (access.expires_us < s->expires_us)
            s->expires_us = access.expires_us;
    }
    buf_free(&chain);
    return e;
}

/* How to get the grant that is missing. */
static void
advise_access(const struct keeper_session *s, struct buf *hint)
{
    const struct config *config = s->keeper->edition->config;

    buf_printf(hint, "Ask for access: bulkhead request --resource %.*s --for 1h --reason \"...\"",
               STR_ARG(s->target.resource->name));
    if (config->console.url.len > 0)
        buf_printf(hint, "; or at %.*s", STR_ARG(config->console.url));
    if (s->target.resource->contact.len > 0)
        buf_printf(hint, ". Contact: %.*s", STR_ARG(s->target.resource->contact));
}

/* [waits] */
static void
authenticate(struct keeper_session *s, const struct ipc_authenticate *question)
{
    const struct config_resource *asked = NULL;
    struct residual *residual = NULL;
    struct buf hint = buf_make(1024);
    char text[ERR_TEXT_MAX];
    enum err e;

    if (s->keeper->draining) {
        refuse(s, question->resource, ERR_UNAVAILABLE, "the gateway is shutting down", STR(""));
        return;
    }
    if ((e = authorise(s, question, &asked, &residual)) != OK) {
        (void)snprintf(text, sizeof(text), "%s", err_text());
        if (s->principal.subject.len > 0)
            advise(s, asked, &hint);
        refuse(s, question->resource, e, text, buf_str(&hint));
    } else if ((e = find_access(s)) != OK) {
        (void)snprintf(text, sizeof(text), "%s", err_text());
        if (e == ERR_DENIED)
            advise_access(s, &hint);
        refuse(s, question->resource, e, text, buf_str(&hint));
    } else if ((e = grant(s, question, residual)) != OK) {
        refuse(s, question->resource, ERR_UNAVAILABLE, target_trouble(s, text), STR(""));
    }
    residual_free(residual);
    buf_free(&hint);
}

/* --- proofs, signatures, cancels ------------------------------------------------------------ */

static bool
take_one(unsigned *left)
{
    return *left > 0 ? (*left)--, true : false;
}

/* One handshake with the client, before it is authenticated; one with the target, and one for
 * each cancel request towards it. */
static enum err
sign(struct keeper_session *s, const struct ipc_sign *question)
{
    if (question->for_server == 0)
        return target_sign(&s->target, s->authenticated && !s->ended, s->channel, question);
    return target_sign_with(!s->authenticated && take_one(&s->server_signatures_left)
                                ? secrets_server_key(s->keeper->edition->secrets)
                                : NULL,
                            s->channel, question);
}

/* [waits] The owner of the key, not the asker, gets a connection to cancel over. */
static void
cancel_owner(struct keeper_session *owner)
{
    uint64_t id = owner->id;
    struct keeper *k = owner->keeper;
    struct edition *edition =
        edition_hold(owner->target.edition); /* holds the address while we wait */
    const struct config_resource *resource = owner->target.resource;
    struct ipc_cancel_target message = {};
    int fd;

    if (dial(&resource->address, clock_monotonic_ms() + resource->connect_seconds * INT64_C(1000),
             &fd) == OK) {
        if (table_get(k->sessions, key_of_session(&id)) == owner) { /* it may have gone meanwhile */
            owner->target.client_signatures_left = 1;
            err_ignore(ipc_send(owner->channel, IPC_TYPE_CANCEL_TARGET, &message, &fd, 1));
        }
        close(fd);
    }
    edition_release(edition);
}

/* [waits] A session cancels what it runs itself as often as a limit is passed, but not faster than
 * that. Others are cancelled once, so that keys cannot be tried out. */
static bool
may_cancel(struct keeper_session *s, const struct keeper_session *owner)
{
    if (owner != s)
        return take_one(&s->cancels_left);
    if (s->own_cancel_ms != 0)
        err_ignore(fiber_sleep_until(s->own_cancel_ms + OWN_CANCEL_PACE_MS));
    s->own_cancel_ms = clock_monotonic_ms();
    return true;
}

/* [waits] */
static enum err
cancel(struct keeper_session *s, const struct ipc_cancel *question)
{
    uint32_t id = (uint32_t)question->id;
    struct keeper_session *owner = table_get(s->keeper->cancels, key_of_cancel(&id));
    size_t n = question->secret.len;

    /* A session whose grant is over may still cancel what it left running, and only that. */
    if (may_cancel(s, owner) && owner != NULL && (!owner->ended || owner == s) &&
        n >= CANCEL_SECRET_BYTES_MIN && n <= CANCEL_SECRET_BYTES &&
        str_equal_secret(question->secret, (struct str){(const char *)owner->cancel_secret, n}))
        cancel_owner(owner);
    return target_answer(s->channel, OK, STR(""), STR(""));
}

/* --- catalogs ------------------------------------------------------------------------------- */

static enum err
ask_for_catalog(struct keeper_session *s, const struct ipc_catalog *question)
{
    if (!s->authenticated)
        return fail(ERR_PROTOCOL, "a session without a grant asked for a catalog");
    if (s->ended)
        return OK;
    if (s->catalogs == NULL)
        s->catalogs = catalog_asker_new(s->keeper, &s->target, s->database, s->channel);
    if (s->catalogs == NULL)
        return fail(ERR_NOMEM, "no memory for a question");
    return catalog_asker_ask(s->catalogs, question);
}

/* --- control -------------------------------------------------------------------------------- */

/* [waits] A compromised session must not make control begin anew all the time. */
static enum err
introduce_to_control(struct keeper_session *s)
{
    struct ipc_control_ready message = {.code = OK};
    int fd = -1;
    enum err e;

    if (!s->authenticated)
        return fail(ERR_PROTOCOL, "a session without a grant asked for control");
    if (s->control_ms != 0)
        err_ignore(fiber_sleep_until(s->control_ms + CONTROL_PACE_MS));
    s->control_ms = clock_monotonic_ms();
    if (s->ended)
        e = fail(ERR_DENIED, "this session has ended");
    else
        e = control_link_introduce(s->keeper, s->id, &fd);
    message.code = e;
    if (e != OK)
        message.text = str_from(err_text());
    e = ipc_send(s->channel, IPC_TYPE_CONTROL_READY, &message, &fd, fd >= 0 ? 1 : 0);
    if (fd >= 0)
        close(fd);
    return e;
}

/* --- the session's fiber -------------------------------------------------------------------- */

/* [waits] Serves one message; anything but OK ends the session's channel. */
static enum err
serve_message(struct keeper_session *s, struct ipc_packet *packet)
{
    enum err e;

    if ((e = ipc_receive(s->channel, packet)) != OK)
        return e == ERR_TIMEOUT ? OK : e;
    switch (packet->type) {
    case IPC_TYPE_AUTHENTICATE:
        if (s->authenticated)
            return fail(ERR_PROTOCOL, "a session asked to be authenticated twice");
        authenticate(s, &packet->message.authenticate);
        return s->authenticated ? OK : ERR_DENIED;
    case IPC_TYPE_PROVE:
        return target_prove(&s->target, s->authenticated && !s->ended, s->channel,
                            &packet->message.prove);
    case IPC_TYPE_SIGN:
        return sign(s, &packet->message.sign);
    case IPC_TYPE_CANCEL:
        return cancel(s, &packet->message.cancel);
    case IPC_TYPE_CATALOG:
        return ask_for_catalog(s, &packet->message.catalog);
    case IPC_TYPE_CONTROL_WANTED:
        return introduce_to_control(s);
    default:
        return fail(ERR_PROTOCOL, "a session sent %s", ipc_type_name(packet->type));
    }
}

/* [waits] The packet is large, and idle sessions are many: it lives for one message. */
static enum err
serve_next(struct keeper_session *s)
{
    struct ipc_packet *packet;
    enum err e;

    if ((e = fiber_wait_readable(s->channel, FIBER_FOREVER)) != OK)
        return e;
    if ((packet = calloc(1, sizeof(*packet))) == NULL)
        return fail(ERR_NOMEM, "no memory for a packet");
    e = serve_message(s, packet);
    ipc_packet_clear(packet);
    explicit_bzero(packet, sizeof(*packet)); /* it held a token */
    free(packet);
    return e;
}

/* A session that has no grant (any more) must not stay: a compromised one would not leave. */
static void
say_over(const struct keeper_session *s)
{
    struct ipc_session_over message = {.session = s->id};

    if (ipc_send(s->keeper->supervisor, IPC_TYPE_SESSION_OVER, &message, NULL, 0) != OK)
        log_error("session_end_unknown", "session=%016llx reason=%s", (unsigned long long)s->id,
                  err_text());
}

/* Control is told once, when the grant ends or else when the session goes. */
static void
say_ended(struct keeper_session *s)
{
    if (s->announced)
        control_link_ended(s->keeper, s->id);
    s->announced = false;
}

static void
forget(struct keeper_session *s)
{
    say_over(s);
    say_ended(s);
    (void)table_remove(s->keeper->sessions, key_of_session(&s->id));
    if (s->cancel_id != 0)
        (void)table_remove(s->keeper->cancels, key_of_cancel(&s->cancel_id));
    catalog_asker_end(s->catalogs);
    close(s->channel);
    target_release(&s->target);
    arena_free(s->arena);
    free(s);
}

static void
serve_session(void *arg)
{
    struct keeper_session *s = arg;
    enum err e = OK;

    while (e == OK)
        e = serve_next(s);
    if (e == ERR_PROTOCOL)
        log_error("session_misbehaves", "session=%016llx reason=%s", (unsigned long long)s->id,
                  err_text());
    forget(s);
}

void
sessions_begin(struct keeper *k, const struct ipc_session_new *announced, int channel)
{
    struct keeper_session *s = calloc(1, sizeof(*s));

    if (s != NULL && (s->arena = arena_new(PRINCIPAL_ARENA_MAX)) != NULL) {
        s->keeper = k;
        s->id = announced->session;
        s->channel = channel;
        s->server_signatures_left = s->cancels_left = 1;
        s->protocol = arena_str(s->arena, announced->protocol);
        s->fixed_resource = arena_str(s->arena, announced->resource);
        if (announced->source.len == sizeof(s->source))
            memcpy(&s->source, announced->source.ptr, sizeof(s->source));
        if (s->protocol.ptr != NULL && s->fixed_resource.ptr != NULL &&
            table_put(k->sessions, key_of_session(&s->id), s, NULL) == OK) {
            if (fiber_start("session", serve_session, s, NULL) == OK)
                return;
            (void)table_remove(k->sessions, key_of_session(&s->id));
        }
        arena_free(s->arena);
    }
    log_error("session_failed", "session=%016llx reason=no memory or too many sessions",
              (unsigned long long)announced->session);
    free(s);
    close(channel);
}

/* --- ends and changes ----------------------------------------------------------------------- */

static void
end_session(struct keeper_session *s, enum gate_end why, const char *text)
{
    struct ipc_end message = {.reason = why, .text = str_from(text)};

    if (!s->authenticated || s->ended)
        return;
    s->ended = true;
    log_info("session_ends", "session=%016llx reason=%s", (unsigned long long)s->id, text);
    say_over(s);
    say_ended(s);
    if (ipc_send(s->channel, IPC_TYPE_END, &message, NULL, 0) != OK)
        (void)shutdown(s->channel, SHUT_RDWR); /* it sees the end of the channel instead */
}

static void
sweep_one(struct str key, void *value, void *arg)
{
    struct keeper_session *s = value;
    const int64_t *now_us = arg;

    (void)key;
    if (!s->authenticated || s->ended)
        return;
    if (s->principal.expires_us <= *now_us)
        end_session(s, GATE_EXPIRED, "the token has expired; connect again with a new one");
    else if (s->expires_us <= *now_us)
        end_session(s, GATE_EXPIRED, "the time for which access was granted is over");
    else if (identity_is_revoked(s->keeper->identity, s->principal.issuer, s->principal.token_id))
        end_session(s, GATE_REVOKED, "the token was revoked");
}

void
sessions_sweep(struct keeper *k)
{
    int64_t now_us = clock_wall_us();

    table_each(k->sessions, sweep_one, &now_us);
}

/* The rules of the edition in force take the place of what the session has. */
static void
renew_rules(struct keeper_session *s)
{
    const struct edition *edition = s->keeper->edition;
    struct ipc_policy message = {.policy_hash = {edition->policy_hash, POLICY_HASH_BYTES}};
    const struct config_resource *resource;
    struct residual *residual;
    int fds[2] = {-1, -1};

    if (!s->authenticated || s->ended)
        return;
    resource = config_find_resource(edition->config, s->target.resource->name);
    if (resource == NULL || specialise(s, edition, resource, &residual) != OK) {
        end_session(s, GATE_REVOKED, "the policy no longer lets this identity use the resource");
        return;
    }
    if (share_residual(residual, &fds[0]) != OK ||
        edition_share_protection(edition, (size_t)(resource - edition->config->resources),
                                 &fds[1]) != OK ||
        ipc_send(s->channel, IPC_TYPE_POLICY, &message, fds, 2) != OK)
        end_session(s, GATE_BROKEN, "the new policy could not be delivered; connect again");
    for (size_t i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    residual_free(residual);
}

static void
renew_rules_of(struct str key, void *value, void *arg)
{
    (void)key;
    (void)arg;
    renew_rules(value);
}

void
sessions_apply_policy(struct keeper *k)
{
    table_each(k->sessions, renew_rules_of, NULL);
}

struct ending {
    enum gate_end why;
    const char *text;
};

static void
end_one(struct str key, void *value, void *arg)
{
    const struct ending *ending = arg;

    (void)key;
    end_session(value, ending->why, ending->text);
}

void
sessions_end_all(struct keeper *k, enum gate_end why, const char *text)
{
    struct ending ending = {why, text};

    table_each(k->sessions, end_one, &ending);
}

enum err
sessions_end(struct keeper *k, uint64_t id, enum gate_end why, const char *text)
{
    struct keeper_session *s = table_get(k->sessions, key_of_session(&id));

    if (s == NULL || !s->authenticated || s->ended)
        return fail(ERR_NOT_FOUND, "there is no session %016llx", (unsigned long long)id);
    end_session(s, why, text);
    return OK;
}

struct access_ending {
    struct str access;
    struct ending ending;
};

static void
end_if_of_access(struct str key, void *value, void *arg)
{
    const struct access_ending *a = arg;
    struct keeper_session *s = value;

    (void)key;
    if (str_equal(s->access, a->access))
        end_session(s, a->ending.why, a->ending.text);
}

void
sessions_end_access(struct keeper *k, struct str access, enum gate_end why, const char *text)
{
    struct access_ending a = {access, {why, text}};

    if (access.len > 0)
        table_each(k->sessions, end_if_of_access, &a);
}

/* --- describing ----------------------------------------------------------------------------- */

struct each {
    void (*fn)(uint64_t session, void *arg);
    void *arg;
};

static void
call_if_live(struct str key, void *value, void *arg)
{
    const struct each *each = arg;
    const struct keeper_session *s = value;

    (void)key;
    if (s->authenticated && !s->ended)
        each->fn(s->id, each->arg);
}

void
sessions_each(struct keeper *k, void (*fn)(uint64_t session, void *arg), void *arg)
{
    struct each each = {fn, arg};

    table_each(k->sessions, call_if_live, &each);
}

enum err
sessions_describe(struct keeper *k, uint64_t session,
                  enum err (*tell)(void *arg, const struct ipc_session_opened *opened), void *arg)
{
    const struct keeper_session *s = table_get(k->sessions, key_of_session(&session));

    if (s == NULL || !s->authenticated || s->ended)
        return fail(ERR_NOT_FOUND, "there is no session %016llx", (unsigned long long)session);
    return describe(s, tell, arg);
}

/* --- listing -------------------------------------------------------------------------------- */

static void
put_source(struct json *j, const struct in6_addr *source)
{
    char text[INET6_ADDRSTRLEN];

    json_field_text(j, "source", source_text(source, text));
}

static void
put_time(struct json *j, const char *key, int64_t wall_us)
{
    char text[CLOCK_TEXT_BYTES];

    clock_format(wall_us, text);
    json_field_text(j, key, text);
}

static void
list_one(struct str key, void *value, void *arg)
{
    const struct keeper_session *s = value;
    struct buf *out = arg;
    struct json j = json_to(out);
    char id[17];

    (void)key;
    if (!s->authenticated)
        return;
    (void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)s->id);
    json_open(&j, '{');
    json_field_text(&j, "session", id);
    json_field_str(&j, "subject", s->principal.subject);
    json_field_str(&j, "issuer", s->principal.issuer);
    json_field_str(&j, "resource", s->target.resource->name);
    json_field_str(&j, "database", s->database);
    put_source(&j, &s->source);
    put_time(&j, "opened", s->opened_us);
    put_time(&j, "expires", s->expires_us);
    json_close(&j, '}');
    buf_put_u8(out, '\n');
}

void
sessions_list(struct keeper *k, struct buf *out)
{
    table_each(k->sessions, list_one, out);
}
