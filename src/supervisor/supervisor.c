#include "supervisor/supervisor.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "config/config.h"
#include "keeper/keeper.h"
#include "ledger/ledger_main.h"
#include "listener/listener.h"
#include "supervisor/service.h"
#include "supervisor/sockets.h"

enum {
    CONFIG_ARENA_MAX = 256 << 20,
    READY_TIMEOUT_MS = 15000,
    STOP_TIMEOUT_MS = 5000,
    SESSIONS_MAX = 65536,
    ADMIN_CLIENTS_MAX = 16,
    ADMIN_TIMEOUT_MS = 5000,
    CERTIFICATE_BYTES_MAX = 16384,
};

struct session_entry {
    uint64_t id;
    pid_t pid;
};

struct admin_client {
    int fd;
    int64_t deadline_ms;
};

struct supervisor {
    const char *config_path;
    struct arena *arena; /* of `config` */
    struct config *config;
    int config_fd; /* its text, sealed */
    char config_hash[65];
    int signals, admin;
    struct sockets sockets;
    struct service services[IPC_SERVICE_COUNT];
    struct session_entry *sessions;
    size_t n_sessions;
    struct admin_client clients[ADMIN_CLIENTS_MAX];
    size_t n_clients;
    int64_t started_us;
    int64_t drain_until_ms; /* INT64_MAX: not draining */
    bool reload_asked, stop_asked, recycle_listener;
    struct ipc_packet packet;
};

static struct service *
service_of(struct supervisor *s, enum ipc_service kind)
{
    return &s->services[kind];
}

/* A line for operators and a record for auditors; without a ledger the line must do. */
static void
tell(struct supervisor *s, const char *service, const char *event, const char *detail)
{
    struct ipc_service_event message = {
        .service = str_from(service), .event = str_from(event), .detail = str_from(detail)};
    const struct service *ledger = service_of(s, IPC_SERVICE_LEDGER);

    log_info(event, "service=%s %s", service, detail);
    if (ledger->channel >= 0)
        err_ignore(ipc_send(ledger->channel, IPC_TYPE_SERVICE_EVENT, &message, NULL, 0));
}

/* --- configuration -------------------------------------------------------------------------- */

static enum err
read_file(const char *path, struct buf *out)
{
    struct config_secret file = {SECRET_FILE, str_from(path)};

    return config_read_secret(&file, out);
}

static enum err
hash_text(struct str text, char out[static 65])
{
    unsigned char digest[32];
    struct buf hex = buf_make(64);

    if (EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return fail(ERR_TLS, "cannot hash the configuration");
    encode_hex(&hex, (struct str){(const char *)digest, sizeof(digest)});
    memcpy(out, hex.ptr, 64);
    out[64] = '\0';
    buf_free(&hex);
    return OK;
}

/* A configuration as it was read: checked, and as a file for the services to share. */
struct candidate {
    struct arena *arena;
    struct config *config;
    int fd;
    char hash[65];
};

static void
candidate_drop(struct candidate *c)
{
    arena_free(c->arena);
    if (c->fd >= 0)
        close(c->fd);
}

static void
print_report(const struct buf *report)
{
    struct str left = buf_str(report), line;

    while (left.len > 0) {
        left = str_cut(left, '\n', &line);
        if (line.len > 0)
            log_warning("configuration", "%.*s", STR_ARG(line));
    }
}

static enum err
candidate_load(const char *path, struct candidate *c)
{
    struct buf problems = buf_make(1 << 20), text = buf_make(CONFIG_BYTES_MAX);
    struct config_report report = {.text = &problems};
    enum err e;

    *c = (struct candidate){.arena = arena_new(CONFIG_ARENA_MAX), .fd = -1};
    if (c->arena == NULL)
        return fail(ERR_NOMEM, "no memory for the configuration");
    e = config_load(path, c->arena, &report, &c->config);
    print_report(&problems);
    if (e == OK && (e = read_file(path, &text)) == OK &&
        (e = hash_text(buf_str(&text), c->hash)) == OK)
        e = ipc_share_bytes("configuration", buf_str(&text), &c->fd);
    buf_free(&problems);
    buf_free_secret(&text);
    if (e != OK)
        candidate_drop(c);
    return e;
}

static void
candidate_accept(struct supervisor *s, struct candidate *c)
{
    arena_free(s->arena);
    if (s->config_fd >= 0)
        close(s->config_fd);
    s->arena = c->arena;
    s->config = c->config;
    s->config_fd = c->fd;
    memcpy(s->config_hash, c->hash, sizeof(c->hash));
    log_setup("supervisor", s->config->log_json, (enum log_level)s->config->log_level);
}

/* --- starting services ---------------------------------------------------------------------- */

static enum err
configure_service(struct supervisor *s, enum ipc_service kind, int config_fd)
{
    struct service *service = service_of(s, kind);
    struct ipc_configure message = {.path = str_from(s->config_path)};
    enum err e;

    if ((e = ipc_send(service->channel, IPC_TYPE_CONFIGURE, &message, &config_fd, 1)) != OK)
        return e;
    return service_wait_ready(service, &s->packet, READY_TIMEOUT_MS, NULL);
}

static enum err
set_up_listener(struct supervisor *s)
{
    const struct config *c = s->config;
    struct service *listener = service_of(s, IPC_SERVICE_LISTENER);
    struct buf certificate = buf_make(CERTIFICATE_BYTES_MAX);
    struct ipc_listener_setup setup = {
        .connections = c->limits.connections,
        .unauthenticated = c->limits.unauthenticated,
        .unauthenticated_per_source = c->limits.unauthenticated_per_source,
        .handshake_seconds = c->limits.handshake_seconds,
        .handshake_bytes = c->limits.handshake_bytes,
        .log_json = c->log_json,
        .log_level = c->log_level,
    };
    enum err e = OK;

    if (c->tls_certificate.len > 0) {
        struct config_secret file = {SECRET_FILE, c->tls_certificate};

        e = config_read_secret(&file, &certificate);
        setup.certificate = buf_str(&certificate);
    }
    if (e == OK)
        e = ipc_send(listener->channel, IPC_TYPE_LISTENER_SETUP, &setup, NULL, 0);
    buf_free(&certificate);
    return e;
}

static enum err
hand_over_sockets(struct supervisor *s)
{
    const struct service *listener = service_of(s, IPC_SERVICE_LISTENER);
    enum err e = OK;

    for (size_t i = 0; e == OK && i < s->sockets.n; i++) {
        struct ipc_listen message = {
            .protocol = s->config->listens[i].protocol,
            .resource = s->config->listens[i].resource,
            .cleartext_on_loopback = s->config->cleartext_on_loopback,
        };

        e = ipc_send(listener->channel, IPC_TYPE_LISTEN, &message, &s->sockets.items[i].fd, 1);
    }
    return e;
}

static enum err
introduce_all(struct supervisor *s, enum ipc_service kind)
{
    enum err e = OK;

    for (int other = 0; e == OK && other < IPC_SERVICE_COUNT; other++)
        if (other != (int)kind)
            e = service_introduce(service_of(s, kind), &s->services[other]);
    return e;
}

/* Before the listener accepts anything it must know both others; they may be started later. */
static enum err
prepare_listener(struct supervisor *s)
{
    struct service *listener = service_of(s, IPC_SERVICE_LISTENER);
    struct ipc_start message = {};
    enum err e;

    if ((e = set_up_listener(s)) != OK || (e = hand_over_sockets(s)) != OK ||
        (e = introduce_all(s, IPC_SERVICE_LISTENER)) != OK ||
        (e = ipc_send(listener->channel, IPC_TYPE_START, &message, NULL, 0)) != OK)
        return e;
    return service_wait_ready(listener, &s->packet, READY_TIMEOUT_MS, NULL);
}

static enum err
start(struct supervisor *s, enum ipc_service kind)
{
    struct service *service = service_of(s, kind);
    char detail[64];
    enum err e;

    if ((e = service_start(service)) != OK)
        return e;
    if (kind == IPC_SERVICE_LISTENER)
        e = prepare_listener(s);
    else if ((e = configure_service(s, kind, s->config_fd)) == OK)
        e = introduce_all(s, kind);
    if (e != OK) {
        log_error("service_failed", "service=%s reason=%s", ipc_service_name(kind), err_text());
        service_release(service); /* it ends, is reaped, and tried again */
        return e;
    }
    (void)snprintf(detail, sizeof(detail), "pid=%ld", (long)service->pid);
    tell(s, ipc_service_name(kind), "started", detail);
    return OK;
}

/* --- sessions ------------------------------------------------------------------------------- */

static void
session_add(struct supervisor *s, const struct ipc_session_started *started)
{
    if (s->n_sessions < SESSIONS_MAX)
        s->sessions[s->n_sessions++] =
            (struct session_entry){started->session, (pid_t)started->pid};
}

static void
report_end(struct supervisor *s, uint64_t id, int status)
{
    struct ipc_session_ended message = {.session = id, .wait_status = (uint64_t)status};
    const struct service *ledger = service_of(s, IPC_SERVICE_LEDGER);

    if (!WIFSIGNALED(status))
        return;
    log_error("session_died", "session=%016llx signal=%d", (unsigned long long)id,
              WTERMSIG(status));
    if (ledger->channel >= 0)
        err_ignore(ipc_send(ledger->channel, IPC_TYPE_SESSION_ENDED, &message, NULL, 0));
    /* Address layouts must not be there to be probed again: the next session's listener is a
     * fresh execution. Sessions that we killed ourselves (SIGKILL) showed nothing. */
    if (WTERMSIG(status) != SIGKILL)
        s->recycle_listener = true;
}

static void
session_end(struct supervisor *s, uint64_t id, int status)
{
    for (size_t i = 0; i < s->n_sessions; i++)
        if (s->sessions[i].id == id) {
            s->sessions[i] = s->sessions[--s->n_sessions];
            report_end(s, id, status);
            return;
        }
}

/* A session whose listener is gone is our own child. */
static bool
session_end_by_pid(struct supervisor *s, pid_t pid, int status)
{
    for (size_t i = 0; i < s->n_sessions; i++)
        if (s->sessions[i].pid == pid) {
            session_end(s, s->sessions[i].id, status);
            return true;
        }
    return false;
}

static void
kill_sessions(struct supervisor *s)
{
    for (size_t i = 0; i < s->n_sessions; i++)
        (void)kill(s->sessions[i].pid, SIGKILL);
}

/* What the listener says; its end is handled when it is reaped. */
static void
hear_listener(struct supervisor *s)
{
    struct service *listener = service_of(s, IPC_SERVICE_LISTENER);
    enum err e;

    while (listener->channel >= 0 && (e = ipc_receive(listener->channel, &s->packet)) == OK) {
        const union ipc_message *m = &s->packet.message;

        if (s->packet.type == IPC_TYPE_SESSION_STARTED)
            session_add(s, &m->session_started);
        else if (s->packet.type == IPC_TYPE_SESSION_ENDED)
            session_end(s, m->session_ended.session, (int)m->session_ended.wait_status);
    }
    if (listener->channel >= 0 && e != ERR_TIMEOUT)
        service_release(listener);
}

/* --- children ------------------------------------------------------------------------------- */

static void
describe_status(int status, char out[static 32])
{
    if (WIFSIGNALED(status))
        (void)snprintf(out, 32, "signal=%d", WTERMSIG(status));
    else
        (void)snprintf(out, 32, "status=%d", WEXITSTATUS(status));
}

static void
service_ended(struct supervisor *s, struct service *service, int status)
{
    char detail[32];

    if (service->kind == IPC_SERVICE_LISTENER)
        hear_listener(s); /* what it said before */
    describe_status(status, detail);
    service_gone(service);
    tell(s, ipc_service_name(service->kind), "died", detail);
}

static void
reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    hear_listener(s); /* a session's start is known before its end */
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        bool is_service = false;

        for (int i = 0; i < IPC_SERVICE_COUNT; i++)
            if (s->services[i].pid == pid) {
                service_ended(s, &s->services[i], status);
                is_service = true;
            }
        if (!is_service)
            (void)session_end_by_pid(s, pid, status);
    }
}

static void
restart_what_is_due(struct supervisor *s)
{
    int64_t now_ms = clock_monotonic_ms();

    if (s->drain_until_ms != INT64_MAX)
        return;
    for (int i = 0; i < IPC_SERVICE_COUNT; i++)
        if (s->services[i].pid == 0 && s->services[i].restart_at_ms <= now_ms &&
            start(s, (enum ipc_service)i) != OK)
            s->services[i].restart_at_ms = INT64_MAX; /* set again when it is reaped */
}

/* Replaces the listener by a fresh execution; live sessions become ours and go on. */
static void
recycle_listener(struct supervisor *s)
{
    struct service *listener = service_of(s, IPC_SERVICE_LISTENER);
    pid_t old = listener->pid;

    s->recycle_listener = false;
    if (old == 0 || s->drain_until_ms != INT64_MAX)
        return;
    hear_listener(s);
    service_release(listener); /* by which it ends */
    (void)waitpid(old, NULL, 0);
    listener->pid = 0;
    if (start(s, IPC_SERVICE_LISTENER) != OK)
        listener->restart_at_ms = clock_monotonic_ms() + 1000;
}

/* --- reload --------------------------------------------------------------------------------- */

static bool
same(struct str a, struct str b, const char *key)
{
    if (str_equal(a, b))
        return true;
    log_warning("configuration", "%s changes only with a restart", key);
    return false;
}

static enum err
apply(struct supervisor *s, struct candidate *c)
{
    enum err e;

    if (!same(s->config->ledger_directory, c->config->ledger_directory, "ledger.directory") ||
        !same(s->config->state_directory, c->config->state_directory, "state") ||
        !same(s->config->runtime_directory, c->config->runtime_directory, "runtime"))
        return fail(ERR_INVALID, "a directory changed; restart for that");
    if ((e = configure_service(s, IPC_SERVICE_LEDGER, c->fd)) != OK ||
        (e = configure_service(s, IPC_SERVICE_KEEPER, c->fd)) != OK)
        return e;
    return sockets_apply(&s->sockets, c->config);
}

static void
reload(struct supervisor *s)
{
    struct candidate c;

    s->reload_asked = false;
    if (service_of(s, IPC_SERVICE_KEEPER)->channel < 0 ||
        service_of(s, IPC_SERVICE_LEDGER)->channel < 0) {
        log_error("reload_failed", "reason=a service is not running");
        return;
    }
    if (candidate_load(s->config_path, &c) != OK) {
        tell(s, "supervisor", "reload_failed", err_text());
        return;
    }
    if (apply(s, &c) != OK) {
        tell(s, "supervisor", "reload_failed", err_text());
        candidate_drop(&c);
        return;
    }
    candidate_accept(s, &c);
    tell(s, s->config_path, "configured", s->config_hash);
    recycle_listener(s);
}

/* --- administrative socket ------------------------------------------------------------------ */

static void status_line(int client, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void
status_line(int client, const char *format, ...)
{
    char text[512];
    struct ipc_admin_line line;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    line.text = str_from(text);
    err_ignore(ipc_send(client, IPC_TYPE_ADMIN_LINE, &line, NULL, 0));
}

static void
answer_status(struct supervisor *s, int client)
{
    struct ipc_admin_end end = {.ok = true};
    char since[CLOCK_TEXT_BYTES];

    clock_format(s->started_us, since);
    status_line(client, "version\t%s", BULKHEAD_VERSION);
    status_line(client, "state\t%s", s->drain_until_ms == INT64_MAX ? "running" : "draining");
    status_line(client, "started\t%s", since);
    status_line(client, "configuration\t%s", s->config_path);
    status_line(client, "policy\t%s", s->config_hash);
    for (int i = 0; i < IPC_SERVICE_COUNT; i++)
        if (s->services[i].pid != 0)
            status_line(client, "%s\trunning, pid %ld", ipc_service_name((enum ipc_service)i),
                        (long)s->services[i].pid);
        else
            status_line(client, "%s\tnot running", ipc_service_name((enum ipc_service)i));
    for (size_t i = 0; i < s->sockets.n; i++)
        status_line(client, "listening\t%s", s->sockets.items[i].name);
    status_line(client, "connections\t%zu", s->n_sessions);
    err_ignore(ipc_send(client, IPC_TYPE_ADMIN_END, &end, NULL, 0));
}

static bool
may_administer(int client)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static void
pass_to_keeper(struct supervisor *s, int client)
{
    struct ipc_admin_end end = {.text = STR_INIT("the keeper is not running; try again")};
    const struct service *keeper = service_of(s, IPC_SERVICE_KEEPER);

    if (keeper->channel < 0 || ipc_send(keeper->channel, IPC_TYPE_ADMIN_REQUEST,
                                        &s->packet.message.admin_request, &client, 1) != OK)
        err_ignore(ipc_send(client, IPC_TYPE_ADMIN_END, &end, NULL, 0));
}

/* Serves the request of a client if it is there; true when the client is done with. */
static bool
serve_admin(struct supervisor *s, int client)
{
    enum err e = ipc_receive(client, &s->packet);

    if (e == ERR_TIMEOUT)
        return false;
    if (e != OK || s->packet.type != IPC_TYPE_ADMIN_REQUEST || !may_administer(client))
        return true;
    if (str_is(s->packet.message.admin_request.verb, "status"))
        answer_status(s, client);
    else
        pass_to_keeper(s, client);
    return true;
}

static void
accept_admin(struct supervisor *s)
{
    int fd;

    while (s->n_clients < ADMIN_CLIENTS_MAX &&
           (fd = accept4(s->admin, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        s->clients[s->n_clients++] =
            (struct admin_client){fd, clock_monotonic_ms() + ADMIN_TIMEOUT_MS};
}

static void
serve_admins(struct supervisor *s)
{
    int64_t now_ms = clock_monotonic_ms();

    for (size_t i = 0; i < s->n_clients;) {
        if (serve_admin(s, s->clients[i].fd) || s->clients[i].deadline_ms <= now_ms) {
            close(s->clients[i].fd);
            s->clients[i] = s->clients[--s->n_clients];
        } else {
            i++;
        }
    }
}

/* --- the end -------------------------------------------------------------------------------- */

static void
begin_drain(struct supervisor *s)
{
    struct service *listener = service_of(s, IPC_SERVICE_LISTENER);
    struct ipc_drain message = {};

    s->stop_asked = false;
    if (s->drain_until_ms != INT64_MAX) {
        s->drain_until_ms = 0; /* asked twice: at once */
        return;
    }
    s->drain_until_ms = clock_monotonic_ms() + s->config->drain_seconds * INT64_C(1000);
    log_info("draining", "connections=%zu seconds=%u", s->n_sessions, s->config->drain_seconds);
    sockets_close(&s->sockets);
    if (listener->channel >= 0)
        err_ignore(ipc_send(listener->channel, IPC_TYPE_DRAIN, &message, NULL, 0));
}

/* Waits until no session is left or the time is over, reaping meanwhile. */
static void
await_sessions(struct supervisor *s, int timeout_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;

    while (s->n_sessions > 0 && clock_monotonic_ms() < deadline_ms) {
        struct pollfd fds[2] = {
            {s->signals, POLLIN, 0},
            {service_of(s, IPC_SERVICE_LISTENER)->channel, POLLIN, 0},
        };
        struct signalfd_siginfo ignored;

        (void)poll(fds, 2, 100);
        while (read(s->signals, &ignored, sizeof(ignored)) > 0) {
        }
        reap(s);
    }
}

static void
stop_service(struct supervisor *s, enum ipc_service kind)
{
    struct service *service = service_of(s, kind);
    int64_t deadline_ms = clock_monotonic_ms() + STOP_TIMEOUT_MS;
    int status = 0;

    if (service->pid == 0)
        return;
    tell(s, ipc_service_name(kind), "stopped", "");
    service_release(service);
    while (waitpid(service->pid, &status, WNOHANG) == 0) {
        struct pollfd child = {s->signals, POLLIN, 0};
        struct signalfd_siginfo ignored;

        if (clock_monotonic_ms() >= deadline_ms)
            (void)kill(service->pid, SIGKILL);
        (void)poll(&child, 1, 100);
        while (read(s->signals, &ignored, sizeof(ignored)) > 0) {
        }
    }
    service->pid = 0;
}

/* Sessions first, the ledger last: it has the last word. */
static void
shut_down(struct supervisor *s)
{
    struct ipc_drain message = {};
    const struct service *keeper = service_of(s, IPC_SERVICE_KEEPER);

    if (s->n_sessions > 0 && keeper->channel >= 0)
        err_ignore(ipc_send(keeper->channel, IPC_TYPE_DRAIN, &message, NULL, 0));
    await_sessions(s, STOP_TIMEOUT_MS);
    kill_sessions(s);
    await_sessions(s, STOP_TIMEOUT_MS);
    stop_service(s, IPC_SERVICE_LISTENER);
    stop_service(s, IPC_SERVICE_KEEPER);
    stop_service(s, IPC_SERVICE_LEDGER);
    log_info("exited", "config=%s", s->config_path);
}

/* --- the loop ------------------------------------------------------------------------------- */

static void
read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            s->reload_asked = true;
        else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            s->stop_asked = true;
    }
}

static int
poll_timeout(const struct supervisor *s)
{
    int64_t next_ms = s->drain_until_ms, left;

    for (int i = 0; i < IPC_SERVICE_COUNT; i++)
        if (s->services[i].pid == 0 && s->services[i].restart_at_ms < next_ms)
            next_ms = s->services[i].restart_at_ms;
    for (size_t i = 0; i < s->n_clients; i++)
        if (s->clients[i].deadline_ms < next_ms)
            next_ms = s->clients[i].deadline_ms;
    if (next_ms == INT64_MAX)
        return -1;
    left = next_ms - clock_monotonic_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left + 1;
}

static void
wait_for_work(struct supervisor *s)
{
    enum { SIGNALS, LISTENER, ADMIN, FIXED };
    struct pollfd fds[FIXED + ADMIN_CLIENTS_MAX] = {
        [SIGNALS] = {s->signals, POLLIN, 0},
        [LISTENER] = {service_of(s, IPC_SERVICE_LISTENER)->channel, POLLIN, 0},
        [ADMIN] = {s->admin, POLLIN, 0},
    };

    for (size_t i = 0; i < s->n_clients; i++)
        fds[FIXED + i] = (struct pollfd){s->clients[i].fd, POLLIN, 0};
    (void)poll(fds, FIXED + s->n_clients, poll_timeout(s));
}

static void
loop(struct supervisor *s)
{
    for (;;) {
        wait_for_work(s);
        read_signals(s);
        reap(s);
        if (s->stop_asked)
            begin_drain(s);
        if (s->drain_until_ms != INT64_MAX &&
            (s->n_sessions == 0 || clock_monotonic_ms() >= s->drain_until_ms))
            return;
        if (s->reload_asked)
            reload(s);
        if (s->recycle_listener)
            recycle_listener(s);
        restart_what_is_due(s);
        accept_admin(s);
        serve_admins(s);
    }
}

/* --- start-up ------------------------------------------------------------------------------- */

static int
our_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Two descriptors for each session pass through the keeper and the ledger. */
static void
raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Makes a directory of ours if it is not there. */
static enum err
make_directory(struct supervisor *s, struct str path)
{
    char *text = arena_text(s->arena, path);

    if (text == NULL)
        return fail(ERR_NOMEM, "no memory for a path");
    if (mkdir(text, 0700) != 0 && errno != EEXIST)
        return fail_errno(ERR_IO, "cannot make the directory %s", text);
    return OK;
}

static enum err
start_all(struct supervisor *s)
{
    struct candidate c;
    enum err e;

    if ((e = candidate_load(s->config_path, &c)) != OK)
        return e;
    candidate_accept(s, &c);
    if ((e = make_directory(s, s->config->state_directory)) != OK ||
        (e = make_directory(s, s->config->runtime_directory)) != OK ||
        (e = sockets_apply(&s->sockets, s->config)) != OK ||
        (e = sockets_open_admin(s->config->runtime_directory, &s->admin)) != OK ||
        (e = start(s, IPC_SERVICE_LEDGER)) != OK)
        return e;
    tell(s, s->config_path, "configured", s->config_hash);
    if ((e = start(s, IPC_SERVICE_KEEPER)) != OK || (e = start(s, IPC_SERVICE_LISTENER)) != OK)
        return e;
    log_info("ready", "config=%s", s->config_path);
    return OK;
}

int
supervisor_run(const char *config_path)
{
    static struct supervisor s;
    bool started;

    s.config_path = config_path;
    s.config_fd = s.admin = -1;
    s.drain_until_ms = INT64_MAX;
    s.started_us = clock_wall_us();
    s.sessions = calloc(SESSIONS_MAX, sizeof(*s.sessions));
    for (int i = 0; i < IPC_SERVICE_COUNT; i++)
        s.services[i] = (struct service){
            .kind = (enum ipc_service)i, .channel = -1, .restart_at_ms = INT64_MAX};
    log_setup("supervisor", false, LOG_LEVEL_INFO);
    s.signals = our_signals();
    if (s.sessions == NULL || s.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return 1;
    raise_descriptor_limit();
    started = start_all(&s) == OK;
    if (started)
        loop(&s);
    else
        log_error("start_failed", "reason=%s", err_text());
    sockets_close(&s.sockets);
    shut_down(&s);
    return started ? 0 : 1;
}

int
supervisor_run_service(const char *name, int channel)
{
    static const struct {
        enum ipc_service kind;
        int (*run)(int channel);
    } services[] = {
        {IPC_SERVICE_LISTENER, listener_run},
        {IPC_SERVICE_KEEPER, keeper_run},
        {IPC_SERVICE_LEDGER, ledger_run},
    };

    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if (strcmp(name, ipc_service_name(services[i].kind)) == 0) {
            log_setup(name, false, LOG_LEVEL_INFO);
            (void)prctl(PR_SET_NAME, name, 0, 0, 0);
            (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            return services[i].run(channel);
        }
    return 2;
}
