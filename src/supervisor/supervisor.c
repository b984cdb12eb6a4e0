#include "supervisor/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"
#include "keeper/keeper.h"
#include "ledger/ledger_main.h"
#include "listener/listener.h"
#include "supervisor/admin.h"
#include "supervisor/children.h"

enum { SESSIONS_END_MS = 5000 };

/* --- reload --------------------------------------------------------------------------------- */

static bool
same(struct str a, struct str b, const char *key)
{
    if (str_equal(a, b))
        return true;
    log_warning("configuration", "%s changes only with a restart", key);
    return false;
}

/* The keeper goes back to the configuration in force: by taking it, or by a fresh start with it. */
static void
take_back(struct supervisor *s)
{
    char reason[ERR_TEXT_MAX]; /* why it has to; the caller's to tell */

    (void)snprintf(reason, sizeof(reason), "%s", err_text());
    if (children_configure(s, IPC_SERVICE_KEEPER, &s->in_force) != OK)
        service_release(service_of(s, IPC_SERVICE_KEEPER));
    err_ignore(fail(ERR_INVALID, "%s", reason));
}

/* What can fail most easily comes first: the keeper takes a configuration as a whole or not at
 * all, and the ledger only its limits. */
static enum err
apply(struct supervisor *s, struct candidate *c)
{
    static struct sockets next; /* large */
    enum err e;

    if (!same(s->in_force.config->ledger_directory, c->config->ledger_directory,
              "ledger.directory") ||
        !same(s->in_force.config->state_directory, c->config->state_directory, "state") ||
        !same(s->in_force.config->runtime_directory, c->config->runtime_directory, "runtime"))
        return fail(ERR_INVALID, "a directory changed; restart for that");
    if ((e = sockets_open(&s->sockets, c->config, &next)) != OK)
        return e;
    if ((e = children_configure(s, IPC_SERVICE_KEEPER, c)) == OK &&
        (e = children_configure(s, IPC_SERVICE_LEDGER, c)) != OK)
        take_back(s);
    if (e == OK)
        sockets_replace(&s->sockets, &next);
    else
        sockets_abandon(&s->sockets, &next);
    return e;
}

static void
accept_configuration(struct supervisor *s, struct candidate *c)
{
    candidate_drop(&s->in_force);
    s->in_force = *c;
    log_setup("supervisor", c->config->log_json, (enum log_level)c->config->log_level);
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
        children_tell(s, "supervisor", "reload_failed", err_text());
        return;
    }
    if (apply(s, &c) != OK) {
        children_tell(s, "supervisor", "reload_failed", err_text());
        candidate_drop(&c);
        return;
    }
    accept_configuration(s, &c);
    children_tell(s, s->config_path, "configured", s->in_force.hash);
    children_renew_control(s);
    children_recycle_listener(s);
}

/* --- the end -------------------------------------------------------------------------------- */

static void
begin_drain(struct supervisor *s)
{
    struct service *listener = service_of(s, IPC_SERVICE_LISTENER);
    struct ipc_drain message = {};

    s->stop_asked = false;
    if (is_draining(s)) {
        s->drain_until_ms = 0; /* asked twice: at once */
        return;
    }
    s->drain_until_ms = clock_monotonic_ms() + s->in_force.config->drain_seconds * INT64_C(1000);
    log_info("draining", "connections=%zu seconds=%u", s->n_sessions,
             s->in_force.config->drain_seconds);
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
        children_reap(s);
    }
}

/* Sessions first, the ledger last: it has the last word. Control goes before the keeper, who signs
 * for its console. */
static void
shut_down(struct supervisor *s)
{
    struct ipc_drain message = {};
    const struct service *keeper = service_of(s, IPC_SERVICE_KEEPER);

    if (s->n_sessions > 0 && keeper->channel >= 0)
        err_ignore(ipc_send(keeper->channel, IPC_TYPE_DRAIN, &message, NULL, 0));
    await_sessions(s, SESSIONS_END_MS);
    children_kill_sessions(s);
    await_sessions(s, SESSIONS_END_MS);
    children_stop(s, IPC_SERVICE_LISTENER);
    children_stop(s, IPC_SERVICE_CONTROL);
    children_stop(s, IPC_SERVICE_KEEPER);
    children_stop(s, IPC_SERVICE_LEDGER);
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
    for (size_t i = 0; i < s->n_sessions; i++)
        if (s->sessions[i].kill_at_ms < next_ms)
            next_ms = s->sessions[i].kill_at_ms;
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
    enum { SIGNALS, LISTENER, KEEPER, LEDGER, CONTROL, ADMIN, FIXED };
    struct pollfd fds[FIXED + ADMIN_CLIENTS_MAX] = {
        [SIGNALS] = {s->signals, POLLIN, 0},
        [LISTENER] = {service_of(s, IPC_SERVICE_LISTENER)->channel, POLLIN, 0},
        [KEEPER] = {service_of(s, IPC_SERVICE_KEEPER)->channel, POLLIN, 0},
        [LEDGER] = {service_of(s, IPC_SERVICE_LEDGER)->channel, POLLIN, 0},
        [CONTROL] = {service_of(s, IPC_SERVICE_CONTROL)->channel, POLLIN, 0},
        [ADMIN] = {s->n_clients < ADMIN_CLIENTS_MAX ? s->admin : -1, POLLIN, 0},
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
        children_reap(s);
        if (s->stop_asked)
            begin_drain(s);
        if (is_draining(s) && (s->n_sessions == 0 || clock_monotonic_ms() >= s->drain_until_ms))
            return;
        if (s->reload_asked)
            reload(s);
        if (s->recycle_listener)
            children_recycle_listener(s);
        children_kill_overdue(s);
        children_restart(s);
        admin_serve_all(s);
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

/* Makes a directory of ours if it is not there; one that is there must be ours alone to write. */
static enum err
make_directory(struct supervisor *s, struct str path)
{
    char *text = arena_text(s->in_force.arena, path);
    struct stat found;

    if (text == NULL)
        return fail(ERR_NOMEM, "no memory for a path");
    if (mkdir(text, 0700) != 0 && errno != EEXIST)
        return fail_errno(ERR_IO, "cannot make the directory %s", text);
    if (lstat(text, &found) != 0 || !S_ISDIR(found.st_mode))
        return fail(ERR_IO, "%s is not a directory", text);
    if ((found.st_uid != geteuid() && found.st_uid != 0) || (found.st_mode & 022) != 0)
        return fail(ERR_DENIED, "%s can be written by others; make it ours alone (mode 0700)",
                    text);
    return OK;
}

static enum err
bind_sockets(struct supervisor *s)
{
    static struct sockets none, all; /* large */
    enum err e;

    if ((e = sockets_open(&none, s->in_force.config, &all)) == OK)
        sockets_replace(&s->sockets, &all);
    return e;
}

static enum err
start_all(struct supervisor *s)
{
    struct candidate c;
    enum err e;

    if ((e = candidate_load(s->config_path, &c)) != OK)
        return e;
    accept_configuration(s, &c);
    if ((e = make_directory(s, s->in_force.config->state_directory)) != OK ||
        (e = make_directory(s, s->in_force.config->runtime_directory)) != OK ||
        (e = bind_sockets(s)) != OK ||
        (e = sockets_open_admin(s->in_force.config->runtime_directory, &s->admin)) != OK ||
        (e = children_start(s, IPC_SERVICE_LEDGER)) != OK)
        return e;
    children_tell(s, s->config_path, "configured", s->in_force.hash);
    if ((e = children_start(s, IPC_SERVICE_KEEPER)) != OK)
        return e;
    children_renew_control(s);
    if ((e = children_start(s, IPC_SERVICE_LISTENER)) != OK)
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
    s.in_force.fd = s.admin = -1;
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
        {IPC_SERVICE_CONTROL, control_run},
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
