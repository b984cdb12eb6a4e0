#include "protocol/postgres/startup.h"

#include <stdio.h>

#include "base/clock.h"

enum {
    STARTUP_ARENA_BYTES = 128 << 10,
    FAREWELL_MS = 2000,
    LINGER_MS = 500,
    LINGER_BYTES = 1 << 20,
    ERROR_BYTES_MAX = 16 << 10,
    RESOURCE_NAME_MAX = 256,
    PROTOCOL_MINOR = 2, /* the newest that we speak */
    TLS_HANDSHAKE_RECORD = 0x16,
};

/* What a client may still do before its StartupMessage. */
struct opening {
    struct door *door;
    size_t bytes; /* sent by the client so far */
    bool asked_tls, asked_gss;
    struct pgwire_start start;
    struct str packet; /* copied: `start` borrows from it */
    struct arena *arena;
};

void
pgstartup_farewell_bytes(struct stream *client, struct str message)
{
    int64_t deadline = clock_monotonic_ms() + LINGER_MS;
    size_t dropped = 0;
    struct str bytes;

    if (stream_write(client, message, clock_monotonic_ms() + FAREWELL_MS) != OK)
        return;
    stream_shutdown(client);
    /* Closing with unread bytes would reset the connection and take our message with it. */
    while (dropped < LINGER_BYTES && stream_peek(client, deadline, &bytes) == OK) {
        dropped += bytes.len;
        stream_consume(client, bytes.len);
    }
}

void
pgstartup_farewell(struct stream *client, const struct pgwire_failure *failure)
{
    struct buf out = buf_make(ERROR_BYTES_MAX);

    pgwire_put_error(&out, failure);
    if (buf_ok(&out) == OK)
        pgstartup_farewell_bytes(client, buf_str(&out));
    buf_free(&out);
}

/* Tells the client, records the refusal, returns `code` with `message` as its text. */
static enum err
turn_away(struct opening *o, enum err code, const char *sqlstate, const char *message,
          const char *hint)
{
    struct pgwire_failure failure = {.severity = "FATAL",
                                     .sqlstate = sqlstate,
                                     .message = str_from(message),
                                     .hint = str_from(hint)};
    struct buf text = buf_make(ERR_TEXT_MAX);

    buf_put_text(&text, message); /* `message` may be err_text(), which the next call changes */
    buf_put_u8(&text, 0);
    if (buf_ok(&text) == OK)
        failure.message = (struct str){text.ptr, text.len - 1};
    door_refuse(o->door, failure.message);
    pgstartup_farewell(o->door->client, &failure);
    code = fail(code, "%.*s", STR_ARG(failure.message));
    buf_free(&text);
    return code;
}

/* The connection failed or its bytes are not PostgreSQL's. */
static enum err
give_up(struct opening *o, enum err e)
{
    switch (e) {
    case ERR_PROTOCOL:
    case ERR_LIMIT:
        return turn_away(o, e, "08P01", err_text(), NULL);
    case ERR_TIMEOUT:
        return turn_away(o, e, "08P01", "the start-up took too long", NULL);
    default:
        if (o->bytes > 0)
            door_refuse(o->door, str_from(err_text()));
        return e;
    }
}

/* [waits] `n` more bytes of the client within the limits of the start. */
static enum err
take(struct opening *o, size_t n, struct str *bytes)
{
    enum err e;

    if (o->bytes + n > o->door->handshake_bytes_max)
        return fail(ERR_LIMIT, "more than %zu bytes before authentication",
                    o->door->handshake_bytes_max);
    if ((e = stream_need(o->door->client, n, o->door->handshake_deadline_ms, bytes)) != OK)
        return e;
    bytes->len = n;
    return OK;
}

static enum err
read_packet(struct opening *o)
{
    struct str bytes;
    size_t length;
    enum err e;

    if ((e = take(o, 4, &bytes)) != OK || (e = pgwire_start_length(bytes, &length)) != OK ||
        (e = take(o, length, &bytes)) != OK)
        return e;
    o->bytes += length;
    o->packet = arena_str(o->arena, bytes);
    stream_consume(o->door->client, length);
    if (o->packet.ptr == NULL)
        return fail(ERR_LIMIT, "too many start-up packets");
    return pgwire_read_start(o->packet, &o->start);
}

static enum err
accept_tls(struct opening *o)
{
    SSL *ssl;

    if ((ssl = SSL_new(o->door->tls)) == NULL)
        return fail(ERR_NOMEM, "no memory for TLS");
    return stream_accept_tls(o->door->client, ssl, o->door->handshake_deadline_ms);
}

/* A client that starts TLS at once must say by ALPN that it means PostgreSQL, so that no other
 * protocol's client can be led here. */
static enum err
accept_direct_tls(struct opening *o)
{
    const unsigned char *protocol;
    unsigned length;
    enum err e;

    o->asked_tls = true;
    if (o->door->tls == NULL)
        return fail(ERR_CLOSED, "TLS is not configured");
    if ((e = accept_tls(o)) != OK)
        return e;
    SSL_get0_alpn_selected(stream_tls(o->door->client), &protocol, &length);
    if (length == 0)
        return turn_away(o, ERR_PROTOCOL, "08P01", "direct TLS without ALPN protocol negotiation",
                         NULL);
    return OK;
}

/* [waits] Looks at the first byte without taking it: TLS must find it on the socket. */
static enum err
opens_with_tls(struct opening *o, bool *yes)
{
    unsigned char first = 0;
    enum err e = stream_sniff(o->door->client, o->door->handshake_deadline_ms, &first);

    *yes = e == OK && first == TLS_HANDSHAKE_RECORD;
    return e;
}

static enum err
reply(struct opening *o, const char *letter)
{
    if (stream_buffered(o->door->client).len > 0)
        return fail(ERR_PROTOCOL, "bytes in clear after a request for encryption");
    return stream_write(o->door->client, str_from(letter), o->door->handshake_deadline_ms);
}

static enum err
serve_encryption_request(struct opening *o)
{
    bool is_tls = o->start.kind == PGWIRE_SSL, *asked = is_tls ? &o->asked_tls : &o->asked_gss;
    enum err e;

    if (*asked || stream_tls(o->door->client) != NULL)
        return fail(ERR_PROTOCOL, "unexpected request for encryption");
    *asked = true;
    if (!is_tls || o->door->tls == NULL)
        return reply(o, "N");
    if ((e = reply(o, "S")) != OK)
        return e;
    return accept_tls(o);
}

static enum err
serve_cancel(struct opening *o)
{
    door_cancel(o->door, o->start.cancel_id, o->start.cancel_secret);
    return fail(ERR_CLOSED, "cancel request");
}

/* [waits] Up to and including the StartupMessage. */
static enum err
read_startup_message(struct opening *o)
{
    bool direct_tls = false;
    enum err e;

    if ((e = opens_with_tls(o, &direct_tls)) != OK)
        return give_up(o, e);
    if (direct_tls && (e = accept_direct_tls(o)) != OK)
        return e == ERR_PROTOCOL ? e : give_up(o, e);
    for (;;) {
        if ((e = read_packet(o)) != OK)
            return give_up(o, e);
        if (o->start.kind == PGWIRE_STARTUP)
            return OK;
        if (o->start.kind == PGWIRE_CANCEL)
            return serve_cancel(o);
        if ((e = serve_encryption_request(o)) != OK)
            return give_up(o, e);
    }
}

static enum err
check_encrypted(struct opening *o)
{
    if (stream_tls(o->door->client) != NULL || o->door->cleartext_allowed)
        return OK;
    if (o->door->tls == NULL)
        return turn_away(o, ERR_DENIED, "28000",
                         "the gateway has no TLS certificate, and takes tokens in clear from "
                         "nobody here",
                         "the operator has to configure tls: in the gateway");
    return turn_away(o, ERR_DENIED, "28000", "TLS is required: use sslmode=require",
                     "psql \"... sslmode=require\", or PGSSLMODE=require");
}

static enum err
check_version(struct opening *o)
{
    struct str value;
    char text[96];

    if (o->start.major != 3) {
        (void)snprintf(text, sizeof(text),
                       "unsupported frontend protocol %u.%u: the gateway speaks 3.0 and 3.2",
                       o->start.major, o->start.minor);
        return turn_away(o, ERR_UNSUPPORTED, "0A000", text, NULL);
    }
    if (pgwire_parameter(&o->start, "replication", &value) && !str_is(value, "false") &&
        !str_is(value, "off") && !str_is(value, "no") && !str_is(value, "0"))
        return turn_away(o, ERR_UNSUPPORTED, "0A000",
                         "replication connections do not pass through the gateway", NULL);
    return OK;
}

static enum err
read_settings(struct opening *o, struct pgstartup *out)
{
    enum err e = pgsettings_read(&o->start, o->arena, &out->settings);

    switch (e) {
    case OK:
        return OK;
    case ERR_INVALID:
        return turn_away(o, e, "22023", err_text(),
                         strstr(err_text(), "client_encoding") == NULL
                             ? NULL
                             : "set PGCLIENTENCODING=UTF8 or client_encoding=UTF8");
    case ERR_DENIED:
        return turn_away(o, e, "42501", err_text(),
                         "docs/protocol-postgres.md lists the settings that are; others can be "
                         "SET after the start as far as policy allows");
    default:
        return turn_away(o, e, "08P01", err_text(), NULL);
    }
}

/* [waits] Protocol 3.2 is new and libpq's tests send 3.9999: name what we speak. */
static enum err
negotiate(struct opening *o, struct pgstartup *out)
{
    struct buf message = buf_make(PGWIRE_START_MAX + 64);
    uint16_t minor = o->start.minor >= PROTOCOL_MINOR ? PROTOCOL_MINOR : 0;
    bool options = false;
    enum err e = OK;

    out->long_keys = minor == PROTOCOL_MINOR;
    for (size_t i = 0; i < o->start.n_parameters; i++)
        if (str_starts(o->start.parameters[i].name, STR("_pq_.")))
            options = true;
    if (!options && minor == o->start.minor)
        return OK;
    pgwire_put_negotiate(&message, minor, &o->start);
    if ((e = buf_ok(&message)) == OK)
        e = stream_write(o->door->client, buf_str(&message), o->door->handshake_deadline_ms);
    buf_free(&message);
    return e;
}

/* [waits] The token, as cleartext password. `*token` is in the stream's buffer. */
static enum err
ask_token(struct opening *o, struct str *token, size_t *length)
{
    struct buf request = buf_make(16);
    const struct pgwire_rule *rule;
    unsigned char type;
    uint32_t body_len;
    struct str bytes;
    enum err e;

    pgwire_put_authentication(&request, PGWIRE_AUTH_CLEARTEXT);
    e = stream_write(o->door->client, buf_str(&request), o->door->handshake_deadline_ms);
    buf_free(&request);
    if (e != OK)
        return e;
    if ((e = take(o, PGWIRE_HEADER_BYTES, &bytes)) != OK ||
        (e = pgwire_read_header(bytes, &type, &body_len)) != OK)
        return e;
    rule = pgwire_frontend_rule(type);
    if (rule == NULL || (rule->when & PGWIRE_LOGIN) == 0)
        return fail(ERR_PROTOCOL, "expected the password");
    if (body_len < rule->body_min || body_len > rule->body_max)
        return fail(ERR_PROTOCOL, "invalid length of the password");
    *length = PGWIRE_HEADER_BYTES + body_len;
    if ((e = take(o, *length, &bytes)) != OK)
        return e;
    o->bytes += *length;
    return pgwire_read_string(str_skip(bytes, PGWIRE_HEADER_BYTES), token);
}

static enum err
refuse_credentials(struct opening *o, enum err code, struct str hint)
{
    const char *sqlstate = code == ERR_DENIED      ? "28000"
                           : code == ERR_NOT_FOUND ? "3D000"
                           : code == ERR_LIMIT     ? "53300"
                           : code == ERR_INVALID   ? "28P01"
                                                   : "57P03";
    struct pgwire_failure failure = {.severity = "FATAL", .sqlstate = sqlstate, .hint = hint};
    struct str text = arena_str(o->arena, str_from(err_text()));

    failure.message = text.ptr == NULL ? STR("not authenticated") : text;
    pgstartup_farewell(o->door->client, &failure);
    return fail(code, "%.*s", STR_ARG(failure.message));
}

/* What the server itself makes of a long name: it is cut, but never within a character. */
static struct str
cut_name(struct str name)
{
    if (name.len <= PGWIRE_NAME_MAX)
        return name;
    name.len = PGWIRE_NAME_MAX;
    while (name.len > 0 && ((unsigned char)name.ptr[name.len] & 0xc0) == 0x80)
        name.len--;
    return name;
}

/* [waits] Token to grant. */
static enum err
authenticate(struct opening *o, struct pgstartup *out)
{
    struct door_credentials credentials = {0};
    struct buf hint = buf_make(4096);
    size_t token_length = 0;
    enum err e;

    (void)pgwire_parameter(&o->start, "user", &credentials.resource);
    (void)pgwire_parameter(&o->start, "database", &credentials.database);
    (void)pgwire_parameter(&o->start, "application_name", &credentials.client);
    credentials.client = cut_name(credentials.client);
    if (credentials.resource.len == 0 || credentials.resource.len > RESOURCE_NAME_MAX)
        return turn_away(o, ERR_INVALID, "28000",
                         "no resource named: the user name is the resource",
                         "psql \"user=RESOURCE ...\"");
    /* The server would cut it, and enter another database than rules saw. */
    if (credentials.database.len > PGWIRE_NAME_MAX)
        return turn_away(o, ERR_INVALID, "3D000", "the name of the database is too long", NULL);
    /* psql takes the database from the user name if none is given. */
    if (str_equal(credentials.database, credentials.resource))
        credentials.database = STR("");
    if ((e = ask_token(o, &credentials.token, &token_length)) != OK)
        return give_up(o, e);
    e = door_authenticate(o->door, &credentials, &out->grant, &hint);
    explicit_bzero((char *)credentials.token.ptr, credentials.token.len);
    stream_consume(o->door->client, token_length);
    if (e != OK)
        e = refuse_credentials(o, e, buf_str(&hint));
    buf_free(&hint);
    return e;
}

enum err
pgstartup_accept(struct door *door, struct pgstartup *out)
{
    struct opening *o;
    enum err e;

    memset(out, 0, sizeof(*out));
    if ((out->arena = arena_new(STARTUP_ARENA_BYTES)) == NULL ||
        (o = arena_alloc(out->arena, sizeof(*o))) == NULL) {
        pgstartup_free(out);
        return fail(ERR_NOMEM, "no memory for the start-up");
    }
    o->door = door;
    o->arena = out->arena;
    if ((e = read_startup_message(o)) == OK && (e = check_version(o)) == OK &&
        (e = check_encrypted(o)) == OK && (e = read_settings(o, out)) == OK) {
        if ((e = negotiate(o, out)) != OK)
            e = give_up(o, e);
        else
            e = authenticate(o, out);
    }
    if (e != OK)
        pgstartup_free(out);
    return e;
}

void
pgstartup_free(struct pgstartup *s)
{
    arena_free(s->arena);
    s->arena = NULL;
}
