#include "supervisor/children.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"

enum {
    STOP_TIMEOUT_MS = 5000,
    RESTART_MS = 1000, /* after a start that failed */
    CERTIFICATE_BYTES_MAX = 16384,
    OBEY_MS = 1400, /* with the keeper's half second: gone two seconds after revocation */
};

static enum err
send_event(struct supervisor *s, const struct service_event *event)
{
    struct ipc_service_event message = {.service = str_from(event->subject),
                                        .event = str_from(event->name),
                                        .detail = str_from(event->detail)};
    const struct service *ledger = service_of(s, IPC_SERVICE_LEDGER);

    if (ledger->channel < 0)
        return fail(ERR_UNAVAILABLE, "the ledger is not running");
    return ipc_send(ledger->channel, IPC_TYPE_SERVICE_EVENT, &message, NULL, 0);
}

void
children_tell(struct supervisor *s, const char *subject, const char *name, const char *detail)
{
    struct service_event event;

    if (strcmp(name, "configured") == 0)
        log_info(name, "config=%s policy=%s", subject, detail);
    else if (strcmp(name, "reload_failed") == 0)
        log_error(name, "reason=%s", detail);
    else
        log_info(name, "service=%s %s", subject, detail);
    (void)snprintf(event.subject, sizeof(event.subject), "%s", subject);
    (void)snprintf(event.name, sizeof(event.name), "%s", name);
    (void)snprintf(event.detail, sizeof(event.detail), "%s", detail);
    if (send_event(s, &event) != OK && s->n_untold < EVENTS_UNTOLD_MAX)
        s->untold[s->n_untold++] = event;
}

/* What happened while the ledger was not there, its own death first of all. */
static void
tell_the_untold(struct supervisor *s)
{
    for (size_t i = 0; i < s->n_untold; i++)
        err_ignore(send_event(s, &s->untold[i]));
    s->n_untold = 0;
}

/* --- sessions ------------------------------------------------------------------------------- */

static void
session_add(struct supervisor *s, const struct ipc_session_started *started)
{
    if (s->n_sessions < SESSIONS_MAX)
        s->sessions[s->n_sessions++] = (struct session_entry){
            .id = started->session, .pid = (pid_t)started->pid, .kill_at_ms = INT64_MAX};
}

/* Tells the ledger how the process ended, by which the session's records are closed. */
static void
report_end(struct supervisor *s, uint64_t id, int status)
{
    struct ipc_session_ended message = {.session = id, .wait_status = (uint64_t)status};
    const struct service *ledger = service_of(s, IPC_SERVICE_LEDGER);

    if (ledger->channel >= 0)
        err_ignore(ipc_send(ledger->channel, IPC_TYPE_SESSION_ENDED, &message, NULL, 0));
    if (!WIFSIGNALED(status))
        return;
    log_error("session_died", "session=%016llx signal=%d", (unsigned long long)id,
              WTERMSIG(status));
    /* Address layouts must not be there to be probed again: the next session's listener is a
     * fresh execution. Sessions that we killed ourselves (SIGKILL) showed nothing. */
    if (WTERMSIG(status) != SIGKILL)
        s->recycle_listener = true;
}

/* The listener in place counts the sessions of those before it. */
static void
tell_listener(struct supervisor *s, const struct session_entry *orphan)
{
    struct ipc_session_ended message = {.session = orphan->id};
    const struct service *listener = service_of(s, IPC_SERVICE_LISTENER);

    if (listener->channel >= 0)
        err_ignore(ipc_send(listener->channel, IPC_TYPE_SESSION_ENDED, &message, NULL, 0));
}

static void
session_end(struct supervisor *s, uint64_t id, int status)
{
    for (size_t i = 0; i < s->n_sessions; i++)
        if (s->sessions[i].id == id) {
            if (s->sessions[i].orphan)
                tell_listener(s, &s->sessions[i]);
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

void
children_kill_sessions(struct supervisor *s)
{
    for (size_t i = 0; i < s->n_sessions; i++)
        (void)kill(s->sessions[i].pid, SIGKILL);
}

/* By now its process should have gone by itself, or does so shortly. */
static void
expect_end(struct session_entry *entry)
{
    int64_t at_ms = clock_monotonic_ms() + OBEY_MS;

    if (at_ms < entry->kill_at_ms)
        entry->kill_at_ms = at_ms;
}

static void
session_over(struct supervisor *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_sessions; i++)
        if (s->sessions[i].id == id)
            expect_end(&s->sessions[i]);
}

void
children_kill_overdue(struct supervisor *s)
{
    int64_t now_ms = clock_monotonic_ms();

    for (size_t i = 0; i < s->n_sessions; i++) {
        struct session_entry *entry = &s->sessions[i];

        if (entry->kill_at_ms > now_ms)
            continue;
        log_error("session_killed", "session=%016llx reason=it did not end when it had to",
                  (unsigned long long)entry->id);
        (void)kill(entry->pid, SIGKILL);
        entry->kill_at_ms = INT64_MAX;
    }
}

static void
announce_start(struct supervisor *s, const struct service *service)
{
    char detail[64];

    (void)snprintf(detail, sizeof(detail), "pid=%ld", (long)service->pid);
    children_tell(s, ipc_service_name(service->kind), "started", detail);
}

/* Control says whether it runs; nobody waits for that, for its store may be far away. */
static enum err
take_ready(struct supervisor *s, struct service *service, const struct ipc_ready *ready)
{
    if (service->kind != IPC_SERVICE_CONTROL)
        return fail(ERR_PROTOCOL, "the %s is ready unasked", ipc_service_name(service->kind));
    if (!ready->ok)
        return fail(ERR_INVALID, "%.*s", STR_ARG(ready->text)); /* it ends, and is tried again */
    announce_start(s, service);
    return OK;
}

/* Unasked, services speak of sessions only. */
static enum err
take_message(struct supervisor *s, struct service *service)
{
    const union ipc_message *m = &s->packet.message;

    switch (s->packet.type) {
    case IPC_TYPE_READY:
        return take_ready(s, service, &m->ready);
    case IPC_TYPE_SESSION_STARTED:
        session_add(s, &m->session_started);
        return OK;
    case IPC_TYPE_SESSION_ENDED:
        session_end(s, m->session_ended.session, (int)m->session_ended.wait_status);
        return OK;
    case IPC_TYPE_SESSION_OVER:
        session_over(s, m->session_over.session);
        return OK;
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(s->packet.type));
    }
}

/* What a service says; its end is handled when it is reaped. */
static void
hear(struct supervisor *s, enum ipc_service kind)
{
    struct service *service = service_of(s, kind);
    enum err e = OK;

    while (service->channel >= 0 && e == OK)
        if ((e = ipc_receive(service->channel, &s->packet)) == OK)
            e = take_message(s, service);
    if (service->channel < 0 || e == ERR_TIMEOUT)
        return;
    if (e != ERR_CLOSED)
        log_error("service_failed", "service=%s reason=%s", ipc_service_name(kind), err_text());
    service_release(service);
}

/* --- starting services ---------------------------------------------------------------------- */

/* Waits for its READY. */
static enum err
wait_ready(struct supervisor *s, struct service *service)
{
    int64_t deadline_ms = clock_monotonic_ms() + READY_TIMEOUT_MS;
    const struct ipc_ready *ready = &s->packet.message.ready;
    enum err e;

    while ((e = service_receive(service, &s->packet, deadline_ms)) == OK &&
           s->packet.type != IPC_TYPE_READY)
        if ((e = take_message(s, service)) != OK)
            return e;
    if (e == OK && !ready->ok)
        e = fail(ERR_INVALID, "the %s refuses: %.*s", ipc_service_name(service->kind),
                 STR_ARG(ready->text));
    return e;
}

enum err
children_configure(struct supervisor *s, enum ipc_service kind, const struct candidate *c)
{
    struct service *service = service_of(s, kind);
    struct ipc_configure message = {.path = c->config->path, .hash = str_from(c->hash)};
    enum err e;

    if ((e = ipc_send(service->channel, IPC_TYPE_CONFIGURE, &message, &c->fd, 1)) != OK)
        return e;
    return wait_ready(s, service);
}

/* Tells a fresh listener what it needs to know, also how many sessions others left. */
static enum err
set_up_listener(struct supervisor *s)
{
    const struct config *c = s->in_force.config;
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
        .orphans = s->n_sessions,
    };
    enum err e = OK;

    for (size_t i = 0; i < s->n_sessions; i++)
        s->sessions[i].orphan = true;
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

    for (size_t i = 0; e == OK && i < s->in_force.config->n_listens && i < s->sockets.n; i++) {
        struct ipc_listen message = {
            .protocol = s->in_force.config->listens[i].protocol,
            .resource = s->in_force.config->listens[i].resource,
            .cleartext_on_loopback = s->in_force.config->cleartext_on_loopback,
        };

        e = ipc_send(listener->channel, IPC_TYPE_LISTEN, &message, &s->sockets.items[i].fd, 1);
    }
    return e;
}

/* Control has nothing to do with the listener, which parses what strangers send. */
static bool
know_each_other(enum ipc_service a, enum ipc_service b)
{
    bool control = a == IPC_SERVICE_CONTROL || b == IPC_SERVICE_CONTROL;
    bool listener = a == IPC_SERVICE_LISTENER || b == IPC_SERVICE_LISTENER;

    return a != b && !(control && listener);
}

static enum err
introduce_all(struct supervisor *s, enum ipc_service kind)
{
    enum err e = OK;

    for (int other = 0; e == OK && other < IPC_SERVICE_COUNT; other++)
        if (know_each_other(kind, (enum ipc_service)other))
            e = service_introduce(service_of(s, kind), &s->services[other]);
    return e;
}

/* The console's listening socket, or word that there is none. */
static enum err
hand_over_console(struct supervisor *s)
{
    const struct service *control = service_of(s, IPC_SERVICE_CONTROL);
    int fd = sockets_console(&s->sockets, s->in_force.config);
    struct ipc_listen message = {};

    return ipc_send(control->channel, IPC_TYPE_LISTEN, &message, &fd, fd >= 0 ? 1 : 0);
}

/* It opens what it needs before it confines itself, so the socket comes first. */
static enum err
prepare_control(struct supervisor *s)
{
    const struct candidate *c = &s->in_force;
    struct ipc_configure message = {.path = c->config->path, .hash = str_from(c->hash)};
    enum err e;

    if ((e = hand_over_console(s)) != OK)
        return e;
    if ((e = ipc_send(service_of(s, IPC_SERVICE_CONTROL)->channel, IPC_TYPE_CONFIGURE, &message,
                      &c->fd, 1)) != OK)
        return e;
    return introduce_all(s, IPC_SERVICE_CONTROL);
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
    return wait_ready(s, listener);
}

enum err
children_start(struct supervisor *s, enum ipc_service kind)
{
    struct service *service = service_of(s, kind);
    enum err e;

    if ((e = service_start(service, s->in_force.config)) != OK)
        return e;
    if (kind == IPC_SERVICE_LISTENER)
        e = prepare_listener(s);
    else if (kind == IPC_SERVICE_CONTROL)
        e = prepare_control(s);
    else if ((e = children_configure(s, kind, &s->in_force)) == OK)
        e = introduce_all(s, kind);
    if (e != OK) {
        log_error("service_failed", "service=%s reason=%s", ipc_service_name(kind), err_text());
        service_release(service); /* it ends, is reaped, and tried again */
        return e;
    }
    if (kind == IPC_SERVICE_LEDGER)
        tell_the_untold(s);
    if (kind != IPC_SERVICE_CONTROL) /* which says so itself */
        announce_start(s, service);
    return OK;
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

    hear(s, service->kind); /* what it said before */
    /* Without keeper or ledger, sessions fail closed; without control only what needs it does. */
    if (service->kind == IPC_SERVICE_KEEPER || service->kind == IPC_SERVICE_LEDGER)
        for (size_t i = 0; i < s->n_sessions; i++)
            expect_end(&s->sessions[i]);
    describe_status(status, detail);
    service_gone(service);
    children_tell(s, ipc_service_name(service->kind), "died", detail);
}

void
children_reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    hear(s, IPC_SERVICE_LISTENER); /* a session's start is known before its end */
    hear(s, IPC_SERVICE_KEEPER);
    hear(s, IPC_SERVICE_LEDGER);
    hear(s, IPC_SERVICE_CONTROL);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        bool is_service = false;

        for (int i = 0; i < IPC_SERVICE_COUNT; i++)
            if (s->services[i].pid == pid) {
                service_ended(s, &s->services[i], status);
                is_service = true;
            }
        if (!is_service && !session_end_by_pid(s, pid, status)) {
            hear(s, IPC_SERVICE_LISTENER); /* it died right after it had told of the session */
            (void)session_end_by_pid(s, pid, status);
        }
    }
}

void
children_restart(struct supervisor *s)
{
    int64_t now_ms = clock_monotonic_ms();

    if (is_draining(s))
        return;
    for (int i = 0; i < IPC_SERVICE_COUNT; i++)
        if (s->services[i].pid == 0 && s->services[i].restart_at_ms <= now_ms &&
            children_start(s, (enum ipc_service)i) != OK)
            /* When it is reaped that is set again; one that could not even fork never is. */
            s->services[i].restart_at_ms = now_ms + RESTART_MS;
}

/* Lets go of a listener, and hears it to its end: a session that it began meanwhile must not stay
 * unknown, for then nobody would end its process. */
static void
hear_the_last(struct supervisor *s, struct service *listener)
{
    int64_t deadline_ms = clock_monotonic_ms() + STOP_TIMEOUT_MS;

    if (listener->channel >= 0)
        (void)shutdown(listener->channel, SHUT_WR); /* by which it ends */
    while (listener->channel >= 0 && clock_monotonic_ms() < deadline_ms) {
        struct pollfd fd = {listener->channel, POLLIN, 0};

        (void)poll(&fd, 1, 100);
        hear(s, IPC_SERVICE_LISTENER);
    }
    if (listener->channel >= 0)
        (void)kill(listener->pid, SIGKILL);
    service_release(listener);
}

void
children_recycle_listener(struct supervisor *s)
{
    struct service *listener = service_of(s, IPC_SERVICE_LISTENER);
    pid_t old = listener->pid;

    s->recycle_listener = false;
    if (old == 0 || is_draining(s))
        return;
    hear_the_last(s, listener);
    (void)waitpid(old, NULL, 0);
    listener->pid = 0;
    if (children_start(s, IPC_SERVICE_LISTENER) != OK)
        listener->restart_at_ms = clock_monotonic_ms() + RESTART_MS;
}

/* --- stopping ------------------------------------------------------------------------------- */

void
children_stop(struct supervisor *s, enum ipc_service kind)
{
    struct service *service = service_of(s, kind);
    int64_t deadline_ms = clock_monotonic_ms() + STOP_TIMEOUT_MS;
    int status = 0;

    if (service->pid == 0)
        return;
    children_tell(s, ipc_service_name(kind), "stopped", "");
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

void
children_renew_control(struct supervisor *s)
{
    struct service *control = service_of(s, IPC_SERVICE_CONTROL);

    children_stop(s, IPC_SERVICE_CONTROL);
    control->restart_at_ms = INT64_MAX;
    if (control_is_needed(s->in_force.config) && children_start(s, IPC_SERVICE_CONTROL) != OK)
        control->restart_at_ms = clock_monotonic_ms() + RESTART_MS;
}
