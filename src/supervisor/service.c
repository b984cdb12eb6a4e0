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

/* What services may see of our environment: the keeper everything, for it reads secrets from it;
 * the others only what steers sanitizers. */
static char **
environment_for(enum ipc_service kind, char *few[static 4])
{
    static const char *const passed[] = {"ASAN_OPTIONS=", "UBSAN_OPTIONS=", "LSAN_OPTIONS="};
    size_t n = 0;

    if (kind == IPC_SERVICE_KEEPER)
        return environ;
    for (char **e = environ; *e != NULL; e++)
        for (size_t i = 0; i < 3; i++)
            if (strncmp(*e, passed[i], strlen(passed[i])) == 0 && n < 3)
                few[n++] = *e;
    few[n] = NULL;
    return few;
}

static void
become(enum ipc_service kind, int channel)
{
    char name[16], fd[4], program[] = "bulkhead", verb[] = "service", *few[4];
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
    execve("/proc/self/exe", argv, environment_for(kind, few));
    _exit(1);
}

enum err
service_start(struct service *s)
{
    int ends[2];
    enum err e;

    if ((e = ipc_pair(ends)) != OK)
        return e;
    s->pid = fork();
    if (s->pid == 0)
        become(s->kind, ends[1]);
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
