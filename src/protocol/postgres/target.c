#include "protocol/postgres/target.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/log.h"
#include "fiber/fiber.h"
#include "net/tls.h"
#include "protocol/postgres/scram.h"

enum { MESSAGE_MAX = 128 << 10, PASSWORD_MAX = 64 << 10, LOGIN_MESSAGES_MAX = 1000 };

/* A login under way. */
struct login {
    struct door *door;
    const struct grant *grant;
    struct pgtarget *target;
    int64_t deadline_ms;
    struct buf out;
    struct pgscram scram;
    bool scram_begun, scram_continued, scram_verified;
    unsigned char server_signature[PGSCRAM_HASH_BYTES];
    bool authenticated;
};

static void
set_reason(struct pgtarget *t, const char *sqlstate, const char *format, struct str detail)
{
    (void)snprintf(t->sqlstate, sizeof(t->sqlstate), "%s", sqlstate);
    if (detail.len > PGTARGET_REASON_MAX)
        detail.len = PGTARGET_REASON_MAX;
    (void)snprintf(t->reason, sizeof(t->reason), format, STR_ARG(detail));
}

/* [waits] Asks for TLS and starts it, before any other byte. */
static enum err
secure(struct door *door, const struct grant *grant, struct stream *stream, int64_t deadline_ms)
{
    struct buf request = buf_make(16);
    struct str answer;
    char letter;
    enum err e;

    if (grant->target_tls == TARGET_TLS_OFF)
        return OK;
    pgwire_put_ssl_request(&request);
    e = stream_write(stream, buf_str(&request), deadline_ms);
    buf_free(&request);
    if (e != OK || (e = stream_need(stream, 1, deadline_ms, &answer)) != OK)
        return e;
    letter = answer.ptr[0];
    stream_consume(stream, 1);
    if (letter != 'S')
        return fail(ERR_TLS, "the target does not offer TLS, which its resource requires");
    if (stream_buffered(stream).len > 0)
        return fail(ERR_PROTOCOL, "the target sent bytes in clear after it agreed to TLS");
    return door_secure_target(door, grant, stream, deadline_ms);
}

static enum err
send_out(struct login *l)
{
    enum err e;

    if ((e = buf_ok(&l->out)) == OK)
        e = stream_write(l->target->stream, buf_str(&l->out), l->deadline_ms);
    if (l->out.len > 0)
        explicit_bzero(l->out.ptr, l->out.len);
    buf_reset(&l->out);
    return e;
}

static enum err
send_startup(struct login *l, const struct pgsettings *settings)
{
    struct pgwire_parameter all[PGSETTINGS_MAX + 5] = {
        {STR("user"), l->grant->target_user},
        {STR("client_encoding"), STR("UTF8")},
        {STR("standard_conforming_strings"), STR("on")},
    };
    size_t n = 3;

    if (l->grant->database.len > 0)
        all[n++] = (struct pgwire_parameter){STR("database"), l->grant->database};
    for (size_t i = 0; i < settings->n; i++)
        all[n++] = settings->items[i];
    if (l->door->gate != NULL && gate_is_read_only(l->door->gate)) /* the last one counts */
        all[n++] = (struct pgwire_parameter){STR("default_transaction_read_only"), STR("on")};
    pgwire_put_startup(&l->out, all, n);
    return send_out(l);
}

static enum err
answer_cleartext(struct login *l)
{
    struct buf password = buf_make(PASSWORD_MAX);
    enum err e = door_password(l->door, &password);

    if (e == OK)
        pgwire_put_string(&l->out, 'p', buf_str(&password));
    buf_free_secret(&password);
    return e == OK ? send_out(l) : e;
}

static enum err
answer_md5(struct login *l, struct str salt)
{
    char answer[36];
    enum err e;

    if (salt.len != 4)
        return fail(ERR_PROTOCOL, "invalid MD5 salt");
    if ((e = door_md5(l->door, (const unsigned char *)salt.ptr, answer)) != OK)
        return e;
    pgwire_put_string(&l->out, 'p', (struct str){answer, strnlen(answer, sizeof(answer))});
    return send_out(l);
}

/* Binds to the server's certificate where both sides can. */
static enum pgscram_binding
choose_binding(struct login *l, struct str mechanisms)
{
    struct buf end_point = buf_make(256);
    SSL *ssl = stream_tls(l->target->stream);
    enum pgscram_binding binding = PGSCRAM_UNBOUND;

    if (ssl != NULL && !pgwire_offers(mechanisms, "SCRAM-SHA-256-PLUS"))
        binding = PGSCRAM_NOT_OFFERED;
    else if (ssl != NULL && tls_server_end_point(ssl, &end_point) == OK)
        binding = PGSCRAM_END_POINT;
    buf_free(&end_point);
    return binding;
}

static enum err
begin_scram(struct login *l, struct str mechanisms)
{
    enum pgscram_binding binding = choose_binding(l, mechanisms);
    unsigned char nonce[PGSCRAM_NONCE_BYTES];
    const char *mechanism = binding == PGSCRAM_END_POINT ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
    enum err e;

    if (l->scram_begun)
        return fail(ERR_PROTOCOL, "the target started SASL twice");
    if (!pgwire_offers(mechanisms, mechanism))
        return fail(ERR_UNSUPPORTED, "the target offers no SASL mechanism that we know");
    if (getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
        return fail_errno(ERR_IO, "getrandom");
    l->scram_begun = true;
    if ((e = pgscram_begin(&l->scram, binding, nonce)) != OK)
        return e;
    pgwire_put_sasl_initial(&l->out, str_from(mechanism), pgscram_client_first(&l->scram));
    return send_out(l);
}

static enum err
continue_scram(struct login *l, struct str server_first)
{
    struct buf end_point = buf_make(256), final = buf_make(PGSCRAM_MAX);
    unsigned char proof[PGSCRAM_HASH_BYTES];
    enum err e = OK;

    if (!l->scram_begun || l->scram_continued)
        return fail(ERR_PROTOCOL, "unexpected SASL message");
    l->scram_continued = true;
    if (str_starts(pgscram_client_first(&l->scram), STR("p=")))
        e = tls_server_end_point(stream_tls(l->target->stream), &end_point);
    if (e == OK)
        e = pgscram_continue(&l->scram, server_first, buf_str(&end_point));
    if (e == OK)
        e = door_scram(l->door, pgscram_client_first_bare(&l->scram),
                       buf_str(&l->scram.server_first), buf_str(&l->scram.final_bare), proof,
                       l->server_signature);
    if (e == OK) {
        pgscram_put_final(&l->scram, proof, &final);
        pgwire_put_plain(&l->out, 'p', buf_str(&final));
        e = send_out(l);
    }
    explicit_bzero(proof, sizeof(proof));
    buf_free(&end_point);
    buf_free(&final);
    return e;
}

static enum err
finish_scram(struct login *l, struct str server_final)
{
    enum err e;

    if (!l->scram_continued || l->scram_verified)
        return fail(ERR_PROTOCOL, "unexpected SASL message");
    if ((e = pgscram_check_final(server_final, l->server_signature)) == OK)
        l->scram_verified = true;
    return e;
}

static enum err
serve_authentication(struct login *l, struct str body)
{
    struct str data;
    uint32_t code;
    enum err e;

    if ((e = pgwire_read_authentication(body, &code, &data)) != OK)
        return e;
    if (l->authenticated)
        return fail(ERR_PROTOCOL, "the target asks for authentication twice");
    switch (code) {
    case PGWIRE_AUTH_OK:
        if (l->scram_begun && !l->scram_verified)
            return fail(ERR_DENIED, "the target does not prove that it knows the password");
        l->authenticated = true;
        return OK;
    case PGWIRE_AUTH_CLEARTEXT:
        return l->scram_begun ? fail(ERR_PROTOCOL, "unexpected password request")
                              : answer_cleartext(l);
    case PGWIRE_AUTH_MD5:
        return l->scram_begun ? fail(ERR_PROTOCOL, "unexpected password request")
                              : answer_md5(l, data);
    case PGWIRE_AUTH_SASL:
        return begin_scram(l, data);
    case PGWIRE_AUTH_SASL_CONTINUE:
        return continue_scram(l, data);
    case PGWIRE_AUTH_SASL_FINAL:
        return finish_scram(l, data);
    default:
        return fail(ERR_UNSUPPORTED, "the target asks for authentication method %u", code);
    }
}

/* Which of the server's errors a client may see as they are: they speak of what the client asked
 * for, or of the server's state; others may speak of the gateway's own credential. */
static bool
is_for_client(struct str sqlstate)
{
    return str_is(sqlstate, "3D000") || str_is(sqlstate, "53300") || str_is(sqlstate, "57P03") ||
           str_starts(sqlstate, STR("22"));
}

static enum err
serve_error(struct login *l, struct str body)
{
    struct pgwire_error error;
    char sqlstate[6] = "08006";
    enum err e;

    if ((e = pgwire_read_error(body, &error)) != OK)
        return e;
    log_warning("target_login_refused", "sqlstate=%.*s message=\"%.*s\"", STR_ARG(error.sqlstate),
                error.message.len > 200 ? 200 : (int)error.message.len, error.message.ptr);
    memcpy(sqlstate, error.sqlstate.ptr, 5);
    if (is_for_client(error.sqlstate)) {
        set_reason(l->target, sqlstate, "the target refused the connection: %.*s", error.message);
    } else {
        set_reason(l->target, "08006",
                   "the target refused the gateway's login (SQLSTATE %.*s); the operator has to "
                   "look at the resource's credential",
                   error.sqlstate);
    }
    return fail(ERR_UNAVAILABLE, "%s", l->target->reason);
}

static enum err
serve_parameter(struct login *l, struct str frame)
{
    struct pgwire_parameter p;
    enum err e;

    if ((e = pgwire_read_parameter(str_skip(frame, PGWIRE_HEADER_BYTES), &p)) != OK ||
        (e = pgtarget_check_parameter(&p)) != OK)
        return e;
    buf_put_str(&l->target->parameters, frame);
    return buf_ok(&l->target->parameters);
}

static enum err
serve_key(struct login *l, struct str body)
{
    struct str secret;
    enum err e;

    if ((e = pgwire_read_key(body, &l->target->cancel_id, &secret)) != OK)
        return e;
    memcpy(l->target->cancel_secret, secret.ptr, secret.len);
    l->target->cancel_secret_len = secret.len;
    return OK;
}

static enum err
serve_message(struct login *l, unsigned char type, struct str frame, bool *ready)
{
    struct str body = str_skip(frame, PGWIRE_HEADER_BYTES);

    if (type == 'R')
        return serve_authentication(l, body);
    if (type == 'E')
        return serve_error(l, body);
    if (type == 'N')
        return OK;
    if (!l->authenticated)
        return fail(ERR_PROTOCOL, "the target sent '%c' before authentication",
                    type >= ' ' && type < 127 ? type : '?');
    if (type == 'S')
        return serve_parameter(l, frame);
    if (type == 'K')
        return serve_key(l, body);
    *ready = true; /* 'Z': the only other one allowed here */
    return pgwire_read_ready(body, &l->target->status);
}

/* [waits] One message of the server. */
static enum err
read_message(struct login *l, bool *ready)
{
    struct stream *stream = l->target->stream;
    const struct pgwire_rule *rule;
    unsigned char type;
    uint32_t body_len;
    struct str bytes;
    enum err e;

    if ((e = stream_need(stream, PGWIRE_HEADER_BYTES, l->deadline_ms, &bytes)) != OK ||
        (e = pgwire_read_header((struct str){bytes.ptr, PGWIRE_HEADER_BYTES}, &type, &body_len)) !=
            OK)
        return e;
    rule = pgwire_backend_rule(type);
    if (rule == NULL || (rule->when & PGWIRE_OF_LOGIN) == 0 || body_len < rule->body_min ||
        body_len > rule->body_max || body_len > MESSAGE_MAX)
        return fail(ERR_PROTOCOL, "the target does not speak PostgreSQL's protocol");
    bytes.len = PGWIRE_HEADER_BYTES + body_len;
    if ((e = stream_need(stream, bytes.len, l->deadline_ms, &bytes)) != OK)
        return e;
    bytes.len = PGWIRE_HEADER_BYTES + body_len;
    e = serve_message(l, type, bytes, ready);
    stream_consume(stream, bytes.len);
    return e;
}

static enum err
log_in(struct login *l, const struct pgsettings *settings)
{
    bool ready = false;
    enum err e;

    if ((e = secure(l->door, l->grant, l->target->stream, l->deadline_ms)) != OK ||
        (e = send_startup(l, settings)) != OK)
        return e;
    for (int i = 0; !ready; i++) {
        if (i == LOGIN_MESSAGES_MAX)
            return fail(ERR_PROTOCOL, "the target's login does not end");
        if ((e = read_message(l, &ready)) != OK)
            return e;
    }
    return OK;
}

enum err
pgtarget_open(struct door *door, const struct grant *grant, const struct pgsettings *settings,
              struct pgtarget *out)
{
    struct login l = {.door = door,
                      .grant = grant,
                      .target = out,
                      .deadline_ms = door->handshake_deadline_ms,
                      .out = buf_make(MESSAGE_MAX)};
    enum err e;

    *out = (struct pgtarget){.parameters = buf_make(PGTARGET_PARAMETERS_BYTES_MAX)};
    if ((e = stream_open(grant->target_fd, &out->stream)) == OK)
        e = log_in(&l, settings);
    if (e != OK && out->reason[0] == '\0') {
        log_warning("target_login_failed", "error=%s reason=\"%s\"", err_name(e), err_text());
        set_reason(out, "08006", "the gateway cannot log in to the target: %.*s",
                   str_from(e == ERR_CLOSED || e == ERR_TRUNCATED
                                ? "the target closed the connection"
                            : e == ERR_TIMEOUT ? "the target did not answer in time"
                                               : err_text()));
    }
    buf_free_secret(&l.out);
    pgscram_free(&l.scram);
    return e;
}

void
pgtarget_close(struct pgtarget *t)
{
    stream_close(t->stream);
    t->stream = NULL;
    buf_free(&t->parameters);
    explicit_bzero(t->cancel_secret, sizeof(t->cancel_secret));
}

enum err
pgtarget_cancel(struct door *door, const struct grant *grant, const struct pgtarget *t, int fd,
                int64_t deadline_ms)
{
    struct buf request = buf_make(PGWIRE_KEY_MAX + 16);
    struct stream *stream;
    struct str bytes;
    enum err e;

    if ((e = stream_open(fd, &stream)) != OK)
        return e;
    pgwire_put_cancel(&request, t->cancel_id,
                      (struct str){(const char *)t->cancel_secret, t->cancel_secret_len});
    if ((e = secure(door, grant, stream, deadline_ms)) == OK &&
        (e = stream_write(stream, buf_str(&request), deadline_ms)) == OK)
        /* The server closes once the signal is sent; there is no answer. */
        err_ignore(stream_peek(stream, deadline_ms, &bytes));
    buf_free_secret(&request);
    stream_close(stream);
    return e;
}

enum err
pgtarget_check_parameter(const struct pgwire_parameter *p)
{
    if (str_is(p->name, "client_encoding") && !pgsettings_is_utf8(p->value))
        return fail(ERR_UNSUPPORTED, "the target changed client_encoding to something but UTF8");
    /* In another encoding the server could fold or cut a name otherwise than our facts say. */
    if (str_is(p->name, "server_encoding") && !pgsettings_is_utf8(p->value) &&
        !str_is(p->value, "SQL_ASCII"))
        return fail(ERR_UNSUPPORTED,
                    "the database's encoding is %.*s; only UTF8 (or SQL_ASCII) can be judged",
                    STR_ARG(p->value));
    if (str_is(p->name, "standard_conforming_strings") && !str_is(p->value, "on"))
        return fail(ERR_UNSUPPORTED, "the target switched standard_conforming_strings off");
    return OK;
}
