#include "supervisor/service.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum { CHANNEL_FD = 3, SHORT_LIFE_MS = 10000, FIRST_DELAY_MS = 100, LAST_DELAY_MS = 5000 };

static bool
is_named(const char *variable, const char *const *names)
{
    for (; *names != NULL; names++)
        if (strncmp(variable, *names, strlen(*names)) == 0 && variable[strlen(*names)] == '=')
            return true;
    return false;
}

static bool
is_secret(const char *variable, const struct config_secret *secret)
{
    return secret->source == SECRET_ENV && str_starts(str_from(variable), secret->value) &&
           variable[secret->value.len] == '=';
}

/* Secrets that control uses, and no others: it must not hold those of targets. */
static bool
is_secret_of_control(const char *variable, const struct config *c)
{
    for (size_t i = 0; i < c->n_notifications; i++)
        if (is_secret(variable, &c->notifications[i].secret))
            return true;
    return is_secret(variable, &c->console.client_secret) ||
           is_secret(variable, &c->store.password) ||
           is_secret(variable, &c->recordings.s3.access_key) ||
           is_secret(variable, &c->recordings.s3.secret_key);
}

/* What services may see of our environment: the keeper everything, for it reads secrets from it;
 * control its own secrets and the way to the Internet; all others only what steers sanitizers. */
static bool
may_see(enum ipc_service kind, const char *variable, const struct config *config)
{
    static const char *const all[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", NULL};
    static const char *const of_control[] = {
        "http_proxy", "https_proxy", "HTTPS_PROXY",   "all_proxy",    "ALL_PROXY",
        "no_proxy",   "NO_PROXY",    "SSL_CERT_FILE", "SSL_CERT_DIR", NULL,
    };

    if (kind == IPC_SERVICE_KEEPER || is_named(variable, all))
        return true;
    return kind == IPC_SERVICE_CONTROL &&
           (is_named(variable, of_control) || is_secret_of_control(variable, config));
}

/* NULL without memory. */
static char **
environment_for(enum ipc_service kind, const struct config *config)
{
    size_t n = 0, kept = 0;
    char **out;

    while (environ[n] != NULL)
        n++;
    if ((out = calloc(n + 1, sizeof(*out))) == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (may_see(kind, environ[i], config))
            out[kept++] = environ[i];
    return out;
}

static void
become(enum ipc_service kind, int channel, char **environment)
{
    char name[16], fd[4], program[] = "bulkhead", verb[] = "service";
    char *argv[] = {program, verb, name, fd, NULL};
    sigset_t none;

    (void)snprintf(name, sizeof(name), "%s", ipc_service_name(kind));
    (void)snprintf(fd, sizeof(fd), "%d", CHANNEL_FD);
    if (channel == CHANNEL_FD ? fcntl(channel, F_SETFD, 0) != 0 : dup2(channel, CHANNEL_FD) < 0)
        _exit(1);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* A signal that the whole process group gets is the supervisor's to act on. */
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    execve("/proc/self/exe", argv, environment);
    _exit(1);
}

enum err
service_start(struct service *s, const struct config *config)
{
    char **environment = environment_for(s->kind, config);
    int ends[2];
    enum err e;

    if (environment == NULL)
        return fail(ERR_NOMEM, "no memory for an environment");
    if ((e = ipc_pair(ends)) != OK) {
        free(environment);
        return e;
    }
    s->pid = fork();
    if (s->pid == 0)
        become(s->kind, ends[1], environment);
    free(environment);
    close(ends[1]);
    if (s->pid < 0) {
        close(ends[0]);
        s->pid = 0;
        return fail_errno(ERR_IO, "fork");
    }
    s->channel = ends[0];
    s->started_ms = clock_monotonic_ms();
    s->restart_at_ms = INT64_MAX;
    return OK;
}

void
service_release(struct service *s)
{
    if (s->channel >= 0)
        close(s->channel);
    s->channel = -1;
}

void
service_gone(struct service *s)
{
    int64_t now_ms = clock_monotonic_ms(), delay_ms = 0;

    service_release(s);
    s->pid = 0;
    s->failures = now_ms - s->started_ms < SHORT_LIFE_MS ? s->failures + 1 : 0;
    if (s->failures > 1) {
        delay_ms = FIRST_DELAY_MS << (s->failures < 8 ? s->failures - 2 : 6);
        if (delay_ms > LAST_DELAY_MS)
            delay_ms = LAST_DELAY_MS;
    }
    s->restart_at_ms = now_ms + delay_ms;
}

enum err
service_receive(struct service *s, struct ipc_packet *packet, int64_t deadline_ms)
{
    enum err e;

    while ((e = ipc_receive(s->channel, packet)) == ERR_TIMEOUT) {
        struct pollfd fd = {s->channel, POLLIN, 0};
        int64_t left = deadline_ms - clock_monotonic_ms();

        if (left <= 0)
            return fail(ERR_TIMEOUT, "the %s does not answer", ipc_service_name(s->kind));
        if (poll(&fd, 1, (int)left) < 0 && errno != EINTR)
            return fail_errno(ERR_IO, "poll");
    }
    return e == ERR_CLOSED ? fail(ERR_CLOSED, "the %s ended", ipc_service_name(s->kind)) : e;
}

enum err
service_introduce(const struct service *a, const struct service *b)
{
    struct ipc_peer to_a = {.service = b->kind}, to_b = {.service = a->kind};
    int ends[2];
    enum err e;

    if (a->channel < 0 || b->channel < 0)
        return OK; /* whoever is started later is introduced then */
    if ((e = ipc_pair(ends)) != OK)
        return e;
    if ((e = ipc_send(a->channel, IPC_TYPE_PEER, &to_a, &ends[0], 1)) == OK)
        e = ipc_send(b->channel, IPC_TYPE_PEER, &to_b, &ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    return e;
}
