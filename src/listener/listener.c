#include "listener/listener.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "ipc/channel.h"
#include "listener/admission.h"
#include "net/tls.h"
#include "session/reader.h"
#include "session/session.h"

enum {
    SOCKETS_MAX = 256,
    TEXT_MAX = 256,
    ACCEPT_BATCH = 32,
    READERS_MAX = 16, /* more than the keeper wants at once */
    GRACE_MS = 2000,  /* a session that missed its own deadline by this much is killed */
};

/* A port. */
struct listening {
    int fd;
    const struct protocol *protocol;
    char resource[TEXT_MAX];
    size_t resource_len;
    bool cleartext_on_loopback;
};

/* A process that reads a catalog for the keeper; no connection is counted for it. */
struct reader {
    uint64_t id;
    pid_t pid;
};

struct listener {
    int supervisor, keeper, ledger, signals;
    bool started;
    struct listening listening[SOCKETS_MAX];
    size_t n_listening;
    struct connections connections;
    struct reader readers[READERS_MAX];
    size_t n_readers;
    unsigned handshake_seconds, handshake_bytes;
    SSL_CTX *tls;
    struct sandbox *sandbox;
    struct ipc_packet packet;
};

/* Its books must not miss a session, so we wait when it is behind; it never waits for us then. */
static enum err
tell_supervisor(const struct listener *l, enum ipc_type type, const void *message)
{
    enum err e;

    while ((e = ipc_send(l->supervisor, type, message, NULL, 0)) == ERR_UNAVAILABLE) {
        struct pollfd fd = {l->supervisor, POLLOUT, 0};

        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            return fail_errno(ERR_IO, "poll");
    }
    return e;
}

/* --- orders of the supervisor --------------------------------------------------------------- */

static enum err
set_up(struct listener *l, const struct ipc_listener_setup *setup)
{
    struct admission_limits limits = {
        .connections = (unsigned)setup->connections,
        .unauthenticated = (unsigned)setup->unauthenticated,
        .unauthenticated_per_source = (unsigned)setup->unauthenticated_per_source,
    };
    enum err e;

    log_setup("listener", setup->log_json != 0, (enum log_level)setup->log_level);
    l->handshake_seconds = (unsigned)setup->handshake_seconds;
    l->handshake_bytes = (unsigned)setup->handshake_bytes;
    tls_prepare(); /* sessions make contexts of their own, for targets */
    if (setup->certificate.len > 0 && tls_server_context(setup->certificate, &l->tls) != OK)
        return ERR_TLS;
    if ((e = connections_open(&l->connections, &limits)) == OK)
        l->connections.orphans = (unsigned)setup->orphans;
    return e;
}

static enum err
add_socket(struct listener *l, struct ipc_packet *packet)
{
    const struct ipc_listen *listen = &packet->message.listen;
    struct listening *s = &l->listening[l->n_listening];

    if (l->n_listening == SOCKETS_MAX)
        return fail(ERR_LIMIT, "more than %d listening sockets", SOCKETS_MAX);
    s->protocol = protocol_find(listen->protocol);
    s->fd = ipc_take_fd(packet, 0);
    if (s->protocol == NULL || s->fd < 0 || listen->resource.len > TEXT_MAX)
        return fail(ERR_INVALID, "unusable listening socket");
    memcpy(s->resource, listen->resource.ptr, listen->resource.len);
    s->resource_len = listen->resource.len;
    s->cleartext_on_loopback = listen->cleartext_on_loopback != 0;
    l->n_listening++;
    return OK;
}

static enum err
set_peer(struct listener *l, struct ipc_packet *packet)
{
    bool is_keeper = packet->message.peer.service == IPC_SERVICE_KEEPER;
    int *channel = is_keeper ? &l->keeper : &l->ledger;

    if (*channel >= 0)
        close(*channel);
    *channel = ipc_take_fd(packet, 0);
    return OK;
}

/* From here on nothing is opened any more. */
static enum err
start(struct listener *l)
{
    struct ipc_ready ready = {.ok = true};
    enum err e;

    if ((e = fiber_prepare_deep()) != OK || (e = sandbox_prepare(&l->sandbox)) != OK ||
        (e = sandbox_enter_listener()) != OK)
        return e;
    l->started = true;
    return ipc_send(l->supervisor, IPC_TYPE_READY, &ready, NULL, 0);
}

static void
stop_accepting(struct listener *l)
{
    while (l->n_listening > 0)
        close(l->listening[--l->n_listening].fd);
}

static enum err
obey(struct listener *l)
{
    enum err e;

    while ((e = ipc_receive(l->supervisor, &l->packet)) == OK) {
        switch (l->packet.type) {
        case IPC_TYPE_LISTENER_SETUP:
            e = set_up(l, &l->packet.message.listener_setup);
            break;
        case IPC_TYPE_LISTEN:
            e = add_socket(l, &l->packet);
            break;
        case IPC_TYPE_PEER:
            e = set_peer(l, &l->packet);
            break;
        case IPC_TYPE_START:
            e = start(l);
            break;
        case IPC_TYPE_DRAIN:
            stop_accepting(l);
            break;
        case IPC_TYPE_SESSION_ENDED: /* an orphan */
            if (l->connections.orphans > 0)
                l->connections.orphans--;
            break;
        default:
            e = fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(l->packet.type));
        }
        if (e != OK)
            return e;
    }
    return e == ERR_TIMEOUT ? OK : e;
}

/* --- connections ---------------------------------------------------------------------------- */

static void
turn_away(int client, struct str words)
{
    (void)send(client, words.ptr, words.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(client, SHUT_WR);
    close(client);
}

/* The peer's address in one form, and its text for the record. */
static struct in6_addr
source_of(const struct sockaddr_storage *address)
{
    struct in6_addr source = IN6ADDR_ANY_INIT;

    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof(in6));
        source = in6.sin6_addr;
    } else if (address->ss_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof(in));
        source.s6_addr[10] = source.s6_addr[11] = 0xff;
        memcpy(&source.s6_addr[12], &in.sin_addr, 4);
    }
    return source;
}

static bool
is_loopback(const struct in6_addr *source)
{
    return IN6_IS_ADDR_LOOPBACK(source) ||
           (IN6_IS_ADDR_V4MAPPED(source) && source->s6_addr[12] == 127);
}

/* Tells a service of the new session and gives it its end of a channel. */
static enum err
announce(int service, const struct ipc_session_new *session, int *our_end)
{
    int ends[2];
    enum err e;

    if (service < 0)
        return fail(ERR_UNAVAILABLE, "a service is not there");
    if ((e = ipc_pair(ends)) != OK)
        return e;
    e = ipc_send(service, IPC_TYPE_SESSION_NEW, session, &ends[1], 1);
    close(ends[1]);
    if (e != OK)
        close(ends[0]);
    else
        *our_end = ends[0];
    return e;
}

static enum err
fork_session(struct listener *l, const struct session_setup *setup)
{
    pid_t pid = fork();
    struct ipc_session_started started = {.session = setup->id, .pid = (uint64_t)pid};
    struct connection connection = {
        .session = setup->id,
        .pid = pid,
        .source = connections_source(&setup->source),
        .deadline_ms = clock_monotonic_ms() + l->handshake_seconds * INT64_C(1000) + GRACE_MS,
    };

    enum err e;

    if (pid == 0)
        session_run(setup);
    if (pid < 0)
        return fail_errno(ERR_UNAVAILABLE, "fork");
    connections_add(&l->connections, &connection);
    if ((e = tell_supervisor(l, IPC_TYPE_SESSION_STARTED, &started)) != OK)
        (void)kill(pid, SIGKILL); /* nobody would end it when its grant is over */
    return e;
}

static enum err
begin_session(struct listener *l, const struct listening *s, int client,
              const struct in6_addr *source)
{
    struct session_setup setup = {
        .client = client,
        .keeper_channel = -1,
        .ledger_channel = -1,
        .sandbox = l->sandbox,
        .protocol = s->protocol,
        .resource = {s->resource, s->resource_len},
        .source = *source,
        .cleartext_allowed = s->cleartext_on_loopback && is_loopback(source),
        .tls = l->tls,
        .handshake_seconds = l->handshake_seconds,
        .handshake_bytes = l->handshake_bytes,
    };
    struct ipc_session_new session = {
        .source = {(const char *)source, sizeof(*source)},
        .protocol = str_from(s->protocol->name),
        .resource = setup.resource,
    };
    enum err e;

    if (getrandom(&setup.id, sizeof(setup.id), 0) != sizeof(setup.id))
        return fail_errno(ERR_IO, "getrandom");
    session.session = setup.id;
    if ((e = announce(l->ledger, &session, &setup.ledger_channel)) == OK &&
        (e = announce(l->keeper, &session, &setup.keeper_channel)) == OK)
        e = fork_session(l, &setup);
    if (setup.ledger_channel >= 0)
        close(setup.ledger_channel);
    if (setup.keeper_channel >= 0)
        close(setup.keeper_channel);
    return e;
}

static void
accept_connections(struct listener *l, const struct listening *s)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage address = {};
        socklen_t len = sizeof(address);
        int client =
            accept4(s->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct in6_addr source, counted;

        if (client < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ECONNABORTED && errno != EINTR)
                log_warning("accept_failed", "errno=%d", errno);
            return;
        }
        source = source_of(&address);
        counted = connections_source(&source);
        if (connections_check(&l->connections, &counted) != OK) {
            log_warning("connection_refused", "reason=%s", err_text());
            turn_away(client, s->protocol->busy);
        } else if (begin_session(l, s, client, &source) != OK) {
            log_error("connection_refused", "reason=%s", err_text());
            turn_away(client, s->protocol->unavailable);
        } else {
            close(client);
        }
    }
}

/* Forgets a child and gives its id; 0 if it is none. */
static uint64_t
take_child(struct listener *l, pid_t pid)
{
    struct connection *connection = connections_by_pid(&l->connections, pid);
    uint64_t id = 0;

    if (connection != NULL) {
        id = connection->session;
        connections_remove(&l->connections, connection);
    }
    for (size_t i = 0; i < l->n_readers; i++)
        if (l->readers[i].pid == pid) {
            id = l->readers[i].id;
            l->readers[i] = l->readers[--l->n_readers];
        }
    return id;
}

static enum err
reap(struct listener *l)
{
    struct signalfd_siginfo ignored;
    int status;
    pid_t pid;

    while (read(l->signals, &ignored, sizeof(ignored)) > 0) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct ipc_session_ended ended = {.session = take_child(l, pid),
                                          .wait_status = (uint64_t)status};
        enum err e;

        if (ended.session != 0 && (e = tell_supervisor(l, IPC_TYPE_SESSION_ENDED, &ended)) != OK)
            return e;
    }
    return OK;
}

/* --- what the keeper wants ------------------------------------------------------------------ */

static void
note_authenticated(struct listener *l, const struct ipc_session_authenticated *message)
{
    struct connection *connection = connections_by_session(&l->connections, message->session);

    if (connection != NULL)
        connection->authenticated = true;
}

static enum err
fork_reader(struct listener *l, const struct reader_setup *setup)
{
    pid_t pid = fork();
    struct ipc_session_started started = {.session = setup->id, .pid = (uint64_t)pid};
    enum err e;

    if (pid == 0)
        reader_run(setup);
    if (pid < 0)
        return fail_errno(ERR_UNAVAILABLE, "fork");
    l->readers[l->n_readers++] = (struct reader){setup->id, pid};
    if ((e = tell_supervisor(l, IPC_TYPE_SESSION_STARTED, &started)) != OK)
        (void)kill(pid, SIGKILL);
    return e;
}

/* If that fails the keeper sees the end of the channel. */
static enum err
begin_reader(struct listener *l, struct ipc_packet *packet)
{
    const struct ipc_reader_new *message = &packet->message.reader_new;
    struct reader_setup setup = {
        .id = message->reader,
        .keeper_channel = ipc_take_fd(packet, 0),
        .sandbox = l->sandbox,
        .protocol = protocol_find(message->protocol),
    };
    enum err e;

    if (setup.keeper_channel < 0)
        return fail(ERR_PROTOCOL, "a reader without a channel");
    if (!l->started || l->n_readers == READERS_MAX)
        e = fail(ERR_LIMIT, "no reader can be started now");
    else if (setup.protocol == NULL || setup.protocol->read_catalog == NULL)
        e = fail(ERR_UNSUPPORTED, "protocol \"%.*s\" has no catalogs", STR_ARG(message->protocol));
    else
        e = fork_reader(l, &setup);
    close(setup.keeper_channel);
    return e;
}

static void
hear_keeper(struct listener *l)
{
    while (l->keeper >= 0) {
        enum err e = ipc_receive(l->keeper, &l->packet);

        if (e == ERR_TIMEOUT)
            return;
        if (e == OK && l->packet.type == IPC_TYPE_SESSION_AUTHENTICATED) {
            note_authenticated(l, &l->packet.message.session_authenticated);
        } else if (e == OK && l->packet.type == IPC_TYPE_READER_NEW) {
            if (begin_reader(l, &l->packet) != OK)
                log_error("reader_failed", "reason=%s", err_text());
        } else {
            close(l->keeper); /* the supervisor brings another */
            l->keeper = -1;
        }
    }
}

static void
kill_late_sessions(struct listener *l)
{
    int64_t now_ms = clock_monotonic_ms();

    for (unsigned i = 0; i < l->connections.n; i++) {
        struct connection *c = &l->connections.items[i];

        if (c->authenticated || c->deadline_ms > now_ms)
            continue;
        log_warning("session_killed", "pid=%ld reason=handshake overdue", (long)c->pid);
        (void)kill(c->pid, SIGKILL);
        c->deadline_ms = INT64_MAX;
    }
}

/* --- the loop ------------------------------------------------------------------------------- */

static int
poll_timeout(const struct listener *l)
{
    int64_t next_ms = connections_next_deadline(&l->connections), left;

    if (next_ms == INT64_MAX)
        return -1;
    left = next_ms - clock_monotonic_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left + 1;
}

static enum err
loop_once(struct listener *l)
{
    enum { SUPERVISOR, KEEPER, SIGNALS, FIXED };
    struct pollfd fds[FIXED + SOCKETS_MAX] = {
        [SUPERVISOR] = {l->supervisor, POLLIN, 0},
        [KEEPER] = {l->keeper, POLLIN, 0},
        [SIGNALS] = {l->signals, POLLIN, 0},
    };
    size_t n = l->started ? l->n_listening : 0;
    enum err e = OK;

    for (size_t i = 0; i < n; i++)
        fds[FIXED + i] = (struct pollfd){l->listening[i].fd, POLLIN, 0};
    if (poll(fds, FIXED + n, poll_timeout(l)) < 0)
        return errno == EINTR ? OK : fail_errno(ERR_IO, "poll");
    if (fds[SIGNALS].revents != 0)
        e = reap(l);
    if (fds[KEEPER].revents != 0)
        hear_keeper(l);
    for (size_t i = 0; e == OK && i < n; i++)
        if (fds[FIXED + i].revents != 0)
            accept_connections(l, &l->listening[i]);
    if (e == OK && fds[SUPERVISOR].revents != 0)
        e = obey(l);
    kill_late_sessions(l);
    return e;
}

static int
child_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int
listener_run(int channel)
{
    static struct listener l;
    enum err e = OK;

    l.supervisor = channel;
    l.keeper = l.ledger = -1;
    l.signals = child_signals();
    while (e == OK)
        e = loop_once(&l);
    if (e == ERR_CLOSED)
        return 0; /* the supervisor let go of us; our sessions go on under it */
    log_error("listener_failed", "reason=%s", err_text());
    return 1;
}
