#include "supervisor/admin.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/control.h"

enum { ADMIN_TIMEOUT_MS = 5000 };

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
    status_line(client, "state\t%s", is_draining(s) ? "draining" : "running");
    status_line(client, "started\t%s", since);
    status_line(client, "configuration\t%s", s->config_path);
    status_line(client, "policy\t%s", s->in_force.hash);
    for (int i = 0; i < IPC_SERVICE_COUNT; i++)
        if (s->services[i].pid != 0)
            status_line(client, "%s\trunning, pid %ld", ipc_service_name((enum ipc_service)i),
                        (long)s->services[i].pid);
        else
            status_line(client, "%s\t%s", ipc_service_name((enum ipc_service)i),
                        i == IPC_SERVICE_CONTROL && !control_is_needed(s->in_force.config)
                            ? "not needed"
                            : "not running");
    for (size_t i = 0; i < s->sockets.n; i++)
        status_line(client, "%s\t%s", i < s->in_force.config->n_listens ? "listening" : "console",
                    s->sockets.items[i].name);
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
serve(struct supervisor *s, int client)
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
accept_clients(struct supervisor *s)
{
    int fd;

    while (s->n_clients < ADMIN_CLIENTS_MAX &&
           (fd = accept4(s->admin, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        s->clients[s->n_clients++] =
            (struct admin_client){fd, clock_monotonic_ms() + ADMIN_TIMEOUT_MS};
}

void
admin_serve_all(struct supervisor *s)
{
    int64_t now_ms = clock_monotonic_ms();

    accept_clients(s);
    for (size_t i = 0; i < s->n_clients;) {
        if (serve(s, s->clients[i].fd) || s->clients[i].deadline_ms <= now_ms) {
            close(s->clients[i].fd);
            s->clients[i] = s->clients[--s->n_clients];
        } else {
            i++;
        }
    }
}
