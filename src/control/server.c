#include "control/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/answer.h"
#include "control/api.h"
#include "control/control.h"
#include "control/events.h"
#include "control/login.h"
#include "control/watch.h"
#include "fiber/fiber.h"
#include "net/stream.h"
#include "net/tls.h"

enum {
    BACKLOG_TURN = 32, /* connections accepted before others run */
    RELAY_BYTES = 16 << 10,
    RUNS_MAX = 32,
    TICK_MS = 5 * 1000,   /* how late a change of a connection's deadline is noticed */
    LINGER_MS = 2 * 1000, /* for the client to see the end before the socket is gone */
    LINGER_BYTES = 1 << 20,
    BUSY_MS = 100,           /* pause when there are no descriptors */
    HTTP_IDLE_SECONDS = 300, /* libmicrohttpd's own, behind ours */
    CERTIFICATE_BYTES_MAX = 1 << 20,
    PACE_KIND = 1000, /* the rate table's kind for connections */
};

static const struct rate_limit pace = {128, 1200};

/* One client. Two fibers: this one writes to the client, `inward` reads from it. */
struct connection {
    struct server *server;
    struct connection *next, **link;
    struct stream *outer;
    int inner;  /* our end of the pair */
    int theirs; /* libmicrohttpd's end; only to be compared */
    struct in6_addr source;
    char address[INET6_ADDRSTRLEN];
    int64_t deadline_ms; /* for the next request to be whole; FIBER_FOREVER while one is answered */
    struct exchange *exchange;
    bool client_left;
    struct fiber *inward;
};

enum exchange_state { EXCHANGE_READING, EXCHANGE_WORKING, EXCHANGE_READY, EXCHANGE_SENDING };

/* One request, from its first line to the end of its answer. */
struct exchange {
    struct connection *connection;
    struct MHD_Connection *http;
    enum exchange_state state;
    bool begun;
    struct buf target, body;
    struct api_incoming incoming;
    struct reply reply;
    struct answer_stream *stream; /* NULL: not one; see answer.h */
};

struct server {
    struct control *control;
    struct MHD_Daemon *http;
    SSL_CTX *tls;
    int fd;
    struct connection *connections;
    size_t n_connections;
    size_t working; /* handlers */
    struct rate *rate;
    struct events *events;
    struct watch *watch;
    struct fiber *accepting, *polling, *beating, *resuming;
    struct fiber_condition changed; /* a connection or a handler ended */
    struct fiber_condition resumed; /* a stream has something to send; see `resume_due` */
    bool resume_due;
    bool closing;
};

/* --- requests -----------------------------------------------------------------------------------
 */

static struct connection *
connection_of(struct server *s, struct MHD_Connection *http)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD);

    for (struct connection *c = s->connections; info != NULL && c != NULL; c = c->next)
        if (c->theirs == info->connect_fd)
            return c;
    return NULL;
}

/* The request line is there: its target as it came, before anybody decodes it. */
static void *
on_target(void *arg, const char *target, struct MHD_Connection *http)
{
    struct server *s = arg;
    struct exchange *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return NULL;
    x->http = http;
    x->target = buf_make(HTTP_TARGET_BYTES_MAX + 1);
    x->body = buf_make(API_BODY_BYTES_MAX);
    buf_put_text(&x->target, target);
    reply_init(&x->reply);
    x->connection = connection_of(s, http);
    if (x->connection != NULL)
        x->connection->exchange = x;
    return x;
}

struct header {
    const char *name;
    size_t offset; /* in struct api_incoming */
};

static const struct header headers[] = {
    {"Authorization", offsetof(struct api_incoming, authorization)},
    {"Cookie", offsetof(struct api_incoming, cookie)},
    {"Content-Type", offsetof(struct api_incoming, content_type)},
    {"X-CSRF-Token", offsetof(struct api_incoming, csrf)},
    {"Origin", offsetof(struct api_incoming, origin)},
    {"Host", offsetof(struct api_incoming, host)},
    {"User-Agent", offsetof(struct api_incoming, user_agent)},
    {"X-Slack-Request-Timestamp", offsetof(struct api_incoming, slack_timestamp)},
    {"X-Slack-Signature", offsetof(struct api_incoming, slack_signature)},
    {"If-None-Match", offsetof(struct api_incoming, if_none_match)},
    {"Accept-Encoding", offsetof(struct api_incoming, accept_encoding)},
    {"Content-Length", offsetof(struct api_incoming, length)},
    {"Transfer-Encoding", offsetof(struct api_incoming, coding)},
};

static enum MHD_Result
on_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct api_incoming *in = arg;

    (void)kind;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct str *to = (struct str *)(void *)((char *)in + headers[i].offset);

        if (!str_equal_nocase(str_from(name), str_from(headers[i].name)))
            continue;
        if (to->ptr != NULL)
            in->ambiguous = true;
        *to = str_from(value);
    }
    return MHD_YES;
}

static void
read_headers(struct exchange *x, const char *method)
{
    struct api_incoming *in = &x->incoming;

    *in = (struct api_incoming){.method = str_from(method), .target = buf_str(&x->target)};
    (void)MHD_get_connection_values(x->http, MHD_HEADER_KIND, on_header, in);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct str *at = (struct str *)(void *)((char *)in + headers[i].offset);

        if (at->ptr == NULL)
            *at = STR("");
    }
    /* RFC 9112 §6.3: whoever is before us may have taken the other for the length. */
    if (in->coding.len > 0 && (in->length.len > 0 || !str_equal_nocase(in->coding, STR("chunked"))))
        in->ambiguous = true;
    in->address = str_from(x->connection->address);
    x->body.max = api_body_max(in->method, in->target);
}

/* Without looking at the rest: too much was announced, the target is too long, or it is not sure
 * where the request ends. */
static bool
is_hopeless(struct exchange *x)
{
    struct str length = x->incoming.length;
    uint64_t announced = 0;

    if (buf_ok(&x->target) != OK)
        err_ignore(reply_problem(&x->reply, 414, "the address is longer than %d bytes",
                                 HTTP_TARGET_BYTES_MAX));
    else if (x->incoming.ambiguous)
        err_ignore(reply_problem(&x->reply, 400,
                                 "a header is there twice, or the body's length is said in two "
                                 "ways"));
    else if (length.len > 0 &&
             (!str_to_uint(length, UINT64_MAX, &announced) || announced > x->body.max))
        err_ignore(reply_problem(&x->reply, 413, "the body is larger than %zu bytes", x->body.max));
    else
        return false;
    return true;
}

/* The poll does not notice that a connection was resumed. */
static void
on_resumed(void *arg)
{
    struct server *s = arg;

    s->resume_due = true;
    fiber_condition_signal(&s->resumed);
}

static enum MHD_Result
send_answer(struct exchange *x)
{
    struct answer_waker waker = {on_resumed, x->connection->server};

    x->state = EXCHANGE_SENDING;
    return answer_queue(x->http, &x->reply, x->connection->client_left, waker, &x->stream) ? MHD_YES
                                                                                           : MHD_NO;
}

/* As often as there is something to do at once: one run may only bring a connection to where the
 * next one goes on. */
static void
run_http(struct server *s)
{
    MHD_UNSIGNED_LONG_LONG left = 0;

    for (int i = 0; i < RUNS_MAX && left == 0; i++) {
        (void)MHD_run(s->http);
        if (MHD_get_timeout(s->http, &left) != MHD_YES)
            return;
    }
}

/* A fiber: answers the request, which is off libmicrohttpd meanwhile. */
static void
work(void *arg)
{
    struct exchange *x = arg;
    struct server *s = x->connection->server;

    api_answer(s->control, s, s->rate, &x->incoming, &x->reply);
    x->state = EXCHANGE_READY;
    s->working--;
    fiber_condition_signal(&s->changed);
    MHD_resume_connection(x->http);
    run_http(s); /* nothing else tells it; it is never within MHD_run() when we run */
}

static enum MHD_Result
begin_work(struct exchange *x)
{
    struct server *s = x->connection->server;

    x->incoming.body = buf_str(&x->body);
    if (s->closing) {
        err_ignore(reply_problem(&x->reply, 503, "the gateway is stopping"));
        return send_answer(x);
    }
    if (fiber_start("request", work, x, NULL) != OK) {
        err_ignore(reply_problem(&x->reply, 503, "the gateway is busy; try again"));
        return send_answer(x);
    }
    x->state = EXCHANGE_WORKING;
    x->connection->deadline_ms = FIBER_FOREVER;
    s->working++;
    MHD_suspend_connection(x->http);
    return MHD_YES;
}

/* libmicrohttpd calls it once with the headers, then with pieces of the body, then with none. */
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *http, const char *url, const char *method,
           const char *version, const char *upload, size_t *upload_bytes, void **context)
{
    struct exchange *x = *context;

    (void)arg, (void)http, (void)url, (void)version;
    if (x == NULL || x->connection == NULL)
        return MHD_NO;
    if (!x->begun) {
        x->begun = true;
        read_headers(x, method);
        return is_hopeless(x) ? send_answer(x) : MHD_YES;
    }
    if (*upload_bytes > 0) {
        buf_put(&x->body, upload, *upload_bytes);
        if (x->body.failed)
            x->incoming.too_large = true;
        *upload_bytes = 0;
        return MHD_YES;
    }
    switch (x->state) {
    case EXCHANGE_READING:
        return begin_work(x);
    case EXCHANGE_READY:
        return send_answer(x);
    case EXCHANGE_WORKING:
    case EXCHANGE_SENDING:
        break;
    }
    return MHD_NO;
}

/* The answer is out, or never will be. */
static void
on_completed(void *arg, struct MHD_Connection *http, void **context,
             enum MHD_RequestTerminationCode how)
{
    struct exchange *x = *context;

    (void)arg, (void)http, (void)how;
    if (x == NULL)
        return;
    if (x->connection != NULL) {
        x->connection->exchange = NULL;
        fiber_condition_signal(&x->connection->server->changed);
        x->connection->deadline_ms = clock_monotonic_ms() + SERVER_REQUEST_MS;
    }
    reply_free(&x->reply);
    buf_free_secret(&x->target);
    buf_free_secret(&x->body);
    free(x);
    *context = NULL;
}

/* Targets are decoded by http.c, from what came. */
static size_t
leave_escaped(void *arg, struct MHD_Connection *http, char *text)
{
    (void)arg, (void)http;
    return strlen(text);
}

static void
on_log(void *arg, const char *format, va_list arguments)
{
    char text[512];

    (void)arg;
    (void)vsnprintf(text, sizeof(text), format, arguments);
    log_debug("http", "%s", text);
}

/* A fiber: runs libmicrohttpd whenever a stream has something to send. */
static void
run_resumed(void *arg)
{
    struct server *s = arg;

    for (;;) {
        while (!s->resume_due)
            if (fiber_condition_wait(&s->resumed, FIBER_FOREVER) == ERR_CANCELED)
                return;
        s->resume_due = false;
        run_http(s);
    }
}

/* A fiber: runs libmicrohttpd whenever something is there for it. */
static void
poll_http(void *arg)
{
    struct server *s = arg;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->http, MHD_DAEMON_INFO_EPOLL_FD);
    int epoll = info->epoll_fd;
    enum err e = OK;

    while (e == OK || e == ERR_TIMEOUT) {
        MHD_UNSIGNED_LONG_LONG left;
        int64_t now;

        (void)MHD_run(s->http);
        now = clock_monotonic_ms();
        if (MHD_get_timeout(s->http, &left) != MHD_YES || left > TICK_MS)
            left = TICK_MS;
        if (left == 0)
            fiber_yield();
        else
            e = fiber_wait_readable(epoll, now + (int64_t)left);
    }
}

/* --- the relay
 * ------------------------------------------------------------------------------------- */

/* Whoever waits for the answer as a stream learns that its client is gone. */
static void
client_left(struct connection *c)
{
    c->client_left = true;
    if (c->exchange != NULL && c->exchange->stream != NULL)
        answer_stream_gone(c->exchange->stream);
}

static enum err
send_inner(struct connection *c, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(c->inner, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            bytes = str_skip(bytes, (size_t)n);
        } else if (n < 0 && errno == EAGAIN) {
            enum err e = fiber_wait_writable(c->inner, clock_monotonic_ms() + TICK_MS);

            /* A client may send its next request while the first is answered: then we wait. */
            if (e == ERR_TIMEOUT && clock_monotonic_ms() < c->deadline_ms)
                continue;
            if (e != OK)
                return e;
        } else if (errno != EINTR) {
            return fail(ERR_CLOSED, "the request was ended");
        }
    }
    return OK;
}

/* A fiber: from the client to libmicrohttpd, until the client leaves or is too slow. */
static void
relay_inward(void *arg)
{
    struct connection *c = arg;
    struct str bytes;
    enum err e = OK;
    bool late = false;

    while (e == OK || (e == ERR_TIMEOUT && !late)) {
        int64_t now = clock_monotonic_ms(),
                until = c->deadline_ms < now + TICK_MS ? c->deadline_ms : now + TICK_MS;

        e = stream_peek(c->outer, until, &bytes);
        late = c->deadline_ms <= clock_monotonic_ms();
        if (e != OK)
            continue;
        if ((e = send_inner(c, bytes)) == OK)
            stream_consume(c->outer, bytes.len);
    }
    /* At a clean end what was asked is still answered; a client that is too slow is not. */
    (void)shutdown(c->inner, e == ERR_CLOSED ? SHUT_WR : SHUT_RDWR);
    if (e != ERR_CANCELED)
        client_left(c);
}

/* From libmicrohttpd to the client, until it says that this was all. */
static void
relay_outward(struct connection *c)
{
    char bytes[RELAY_BYTES / 4];
    enum err e = OK;

    while (e == OK) {
        ssize_t n = recv(c->inner, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (n > 0)
            e = stream_write(c->outer, (struct str){bytes, (size_t)n},
                             clock_monotonic_ms() + SERVER_WRITE_MS);
        else if (n < 0 && errno == EAGAIN)
            e = fiber_wait_readable(c->inner, FIBER_FOREVER);
        else if (n == 0 || errno != EINTR)
            break;
    }
    (void)shutdown(c->inner, SHUT_RDWR);
}

/* A socket that is closed with bytes unread resets the connection, and the client may lose the end
 * of its answer: reads on for a moment. */
static void
linger(struct connection *c)
{
    int64_t until = clock_monotonic_ms() + LINGER_MS;
    size_t read = 0;
    struct str bytes;

    stream_shutdown(c->outer);
    while (read < LINGER_BYTES && stream_peek(c->outer, until, &bytes) == OK) {
        read += bytes.len;
        stream_consume(c->outer, bytes.len);
    }
}

/* Gives libmicrohttpd its end of a pair. */
static enum err
introduce(struct connection *c)
{
    struct sockaddr_storage nobody = {
        .ss_family = AF_UNIX}; /* the client's address is ours to know */
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return fail_errno(ERR_IO, "cannot make a socket pair");
    c->inner = ends[0];
    c->theirs = ends[1];
    if (MHD_add_connection(c->server->http, ends[1], (struct sockaddr *)&nobody,
                           sizeof(sa_family_t)) != MHD_YES)
        return fail(ERR_NOMEM, "the HTTP server takes no connection");
    return OK;
}

static enum err
handshake(struct connection *c)
{
    SSL *ssl = SSL_new(c->server->tls);

    if (ssl == NULL)
        return fail(ERR_NOMEM, "no memory for TLS");
    return stream_accept_tls(c->outer, ssl, clock_monotonic_ms() + SERVER_HANDSHAKE_MS);
}

static void
connection_free(struct connection *c)
{
    struct server *s = c->server;

    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    s->n_connections--;
    stream_close(c->outer);
    if (c->inner >= 0)
        close(c->inner);
    if (c->exchange != NULL)
        c->exchange->connection = NULL;
    free(c);
    fiber_condition_signal(&s->changed);
}

/* A fiber: one client, from its handshake to its end. */
static void
serve_client(void *arg)
{
    struct connection *c = arg;
    enum err e;

    if ((e = handshake(c)) == OK && (e = introduce(c)) == OK) {
        c->deadline_ms = clock_monotonic_ms() + SERVER_REQUEST_MS;
        e = fiber_start("console in", relay_inward, c, &c->inward);
    }
    if (e == OK) {
        relay_outward(c);
        fiber_cancel(c->inward);
        fiber_join(c->inward);
        client_left(c);
        /* What libmicrohttpd still does for this connection ends before the connection is gone. */
        while (c->exchange != NULL)
            if (fiber_condition_wait(&c->server->changed, clock_monotonic_ms() + BUSY_MS) ==
                ERR_CANCELED)
                break;
        linger(c);
    } else {
        log_debug("console_connection", "source=%s reason=%s", c->address, err_text());
    }
    connection_free(c);
}

/* --- accepting
 * ------------------------------------------------------------------------------------ */

static void
read_source(const struct sockaddr_storage *from, struct connection *c)
{
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;

        c->source.s6_addr[10] = c->source.s6_addr[11] = 0xff;
        memcpy(&c->source.s6_addr[12], &v4->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        c->source = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    }
    if (IN6_IS_ADDR_V4MAPPED(&c->source))
        (void)inet_ntop(AF_INET, &c->source.s6_addr[12], c->address, sizeof(c->address));
    else
        (void)inet_ntop(AF_INET6, &c->source, c->address, sizeof(c->address));
}

/* The bytes of an address that count as one source: IPv6 networks are given by the /64. */
static struct str
source_key(const struct connection *c)
{
    return (struct str){(const char *)&c->source, IN6_IS_ADDR_V4MAPPED(&c->source) ? 16 : 8};
}

/* false: there are too many, or they come too fast. */
static bool
is_welcome(struct server *s, const struct connection *c)
{
    struct str key = source_key(c);
    size_t same = 0;

    if (s->n_connections >= SERVER_CONNECTIONS_MAX)
        return false;
    for (const struct connection *other = s->connections; other != NULL; other = other->next)
        same += str_equal(source_key(other), key);
    return same < SERVER_CONNECTIONS_PER_SOURCE_MAX &&
           rate_take(s->rate, key, PACE_KIND, &pace, clock_monotonic_ms()) == 0;
}

static void
welcome(struct server *s, int fd, const struct sockaddr_storage *from)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        close(fd);
        return;
    }
    *c = (struct connection){.server = s, .inner = -1, .theirs = -1};
    read_source(from, c);
    if (!is_welcome(s, c)) {
        log_warning("console_refused", "source=%s reason=too many connections", c->address);
        close(fd);
        free(c);
        return;
    }
    if (stream_open(fd, &c->outer) != OK) {
        free(c);
        return;
    }
    c->link = &s->connections;
    c->next = s->connections;
    if (c->next != NULL)
        c->next->link = &c->next;
    s->connections = c;
    s->n_connections++;
    if (fiber_start("console client", serve_client, c, NULL) != OK)
        connection_free(c);
}

/* A fiber. */
static void
accept_clients(void *arg)
{
    struct server *s = arg;

    while (fiber_wait_readable(s->fd, FIBER_FOREVER) == OK) {
        for (int i = 0; i < BACKLOG_TURN; i++) {
            struct sockaddr_storage from = {0};
            socklen_t len = sizeof(from);
            int fd = accept4(s->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

            if (fd >= 0) {
                welcome(s, fd, &from);
                continue;
            }
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                err_ignore(fiber_sleep_until(clock_monotonic_ms() + BUSY_MS));
            break;
        }
        fiber_yield();
    }
}

/* A fiber. */
static void
beat(void *arg)
{
    struct server *s = arg;

    while (fiber_sleep_until(clock_monotonic_ms() + EVENTS_HEARTBEAT_MS) == ERR_TIMEOUT)
        events_beat(s->events);
}

/* --- the server
 * ------------------------------------------------------------------------------------ */

/* RFC 7301: browsers offer HTTP/2 as well. */
static int
choose_http(SSL *ssl, const unsigned char **out, unsigned char *out_len,
            const unsigned char *offered, unsigned int len, void *arg)
{
    static const unsigned char name[] = "http/1.1";
    unsigned int size = sizeof(name) - 1;

    (void)ssl, (void)arg;
    for (unsigned int at = 0; at < len && offered[at] < len - at; at += 1U + offered[at])
        if (offered[at] == size && memcmp(offered + at + 1, name, size) == 0) {
            *out = offered + at + 1;
            *out_len = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* The chain is read now, because the sandbox comes; a key that changes comes with a reload, and
 * that with another process. */
static enum err
make_tls(const struct control *control, SSL_CTX **out)
{
    const struct config_secret file = {SECRET_FILE, control->config->tls_certificate};
    struct buf chain = buf_make(CERTIFICATE_BYTES_MAX);
    enum err e;

    if (file.value.len == 0)
        return fail(ERR_INVALID, "the console needs TLS: set tls.certificate and tls.key");
    if ((e = config_read_secret(&file, &chain)) == OK)
        e = tls_server_context(buf_str(&chain), out);
    buf_free(&chain);
    if (e == OK)
        SSL_CTX_set_alpn_select_cb(*out, choose_http, NULL);
    return e;
}

static void
on_change(void *arg, enum control_topic topic, struct str id, struct str state)
{
    struct server *s = arg;

    events_publish(s->events, topic == CONTROL_APPROVAL ? "approval" : "session", id, state);
}

static enum err
start_http(struct server *s)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_ERROR_LOG;

    s->http = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)SERVER_HEADER_BYTES_MAX,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)SERVER_CONNECTIONS_MAX + 8,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_SECONDS, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped,
        NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_END);
    return s->http == NULL ? fail(ERR_NOMEM, "the HTTP server cannot be started") : OK;
}

static enum err
prepare(struct server *s)
{
    enum err e;

    if ((e = make_tls(s->control, &s->tls)) != OK || (e = start_http(s)) != OK)
        return e;
    if ((s->rate = rate_new()) == NULL || (s->events = events_new()) == NULL ||
        (s->watch = watch_new(s->control)) == NULL)
        return fail(ERR_NOMEM, "no memory for the console's server");
    return control_listen(s->control, on_change, s);
}

enum err
server_start(struct server *s)
{
    enum err e;

    if ((e = fiber_start("console http", poll_http, s, &s->polling)) != OK ||
        (e = fiber_start("console streams", run_resumed, s, &s->resuming)) != OK ||
        (e = fiber_start("console events", beat, s, &s->beating)) != OK)
        return e;
    return fiber_start("console accept", accept_clients, s, &s->accepting);
}

enum err
server_open(struct control *control, int fd, struct server **out)
{
    struct server *s = calloc(1, sizeof(*s));
    enum err e;

    if (s == NULL) {
        close(fd);
        return fail(ERR_NOMEM, "no memory for the console's server");
    }
    s->control = control;
    s->fd = fd;
    if ((e = login_prepare(control->config)) != OK || (e = prepare(s)) != OK) {
        server_close(s);
        return e;
    }
    *out = s;
    return OK;
}

static void
end(struct fiber **f)
{
    if (*f == NULL)
        return;
    fiber_cancel(*f);
    fiber_join(*f);
    *f = NULL;
}

void
server_close(struct server *s)
{
    if (s == NULL)
        return;
    s->closing = true;
    end(&s->accepting);
    end(&s->beating);
    watch_unlisten(s->control, on_change, s);
    watch_free(s->watch); /* ends the streams */
    events_free(s->events);
    s->watch = NULL;
    s->events = NULL;
    for (struct connection *c = s->connections; c != NULL; c = c->next)
        if (c->inner >= 0)
            (void)shutdown(c->inner, SHUT_RDWR);
        else
            (void)shutdown(stream_fd(c->outer), SHUT_RDWR);
    while (s->n_connections > 0 || s->working > 0)
        if (fiber_condition_wait(&s->changed, clock_monotonic_ms() + TICK_MS) == ERR_CANCELED)
            break;
    end(&s->resuming);
    end(&s->polling);
    if (s->http != NULL)
        MHD_stop_daemon(s->http);
    SSL_CTX_free(s->tls);
    rate_free(s->rate);
    if (s->fd >= 0)
        close(s->fd);
    login_forget();
    free(s);
}

struct events *
server_events(struct server *s)
{
    return s->events;
}

struct watch *
server_watch(struct server *s)
{
    return s->watch;
}
