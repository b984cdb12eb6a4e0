#include "ipc/admin.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/channel.h"

enum { ANSWER_TIMEOUT_MS = 15000 };

enum err
ipc_admin_address(struct str runtime_directory, struct sockaddr_un *out)
{
    int n;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = snprintf(out->sun_path, sizeof(out->sun_path), "%.*s/admin.sock",
                 STR_ARG(runtime_directory));
    if (n < 0 || (size_t)n >= sizeof(out->sun_path))
        return fail(ERR_LIMIT, "the runtime directory's path is too long for a socket");
    return OK;
}

/* Waits for the next message of the answer. */
static enum err
receive(int fd, struct ipc_packet *packet)
{
    enum err e;

    while ((e = ipc_receive(fd, packet)) == ERR_TIMEOUT) {
        struct pollfd readable = {fd, POLLIN, 0};

        if (poll(&readable, 1, ANSWER_TIMEOUT_MS) == 0)
            return fail(ERR_TIMEOUT, "the gateway does not answer");
    }
    if (e == ERR_CLOSED)
        return fail(ERR_UNAVAILABLE, "the gateway ended the conversation");
    return e;
}

static enum err
read_answer(int fd, void (*line)(struct str text, void *arg), void *arg, int *taken)
{
    struct ipc_packet *packet = calloc(1, sizeof(*packet));
    enum err e = packet == NULL ? fail(ERR_NOMEM, "no memory for the answer") : OK;

    while (e == OK && (e = receive(fd, packet)) == OK && packet->type == IPC_TYPE_ADMIN_LINE)
        line(packet->message.admin_line.text, arg);
    if (e == OK && packet->type != IPC_TYPE_ADMIN_END)
        e = fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(packet->type));
    if (e == OK && !packet->message.admin_end.ok)
        e = fail(ERR_DENIED, "%.*s", STR_ARG(packet->message.admin_end.text));
    if (taken != NULL)
        *taken = e == OK ? ipc_take_fd(packet, 0) : -1;
    if (packet != NULL)
        ipc_packet_clear(packet);
    free(packet);
    return e;
}

enum err
ipc_admin_ask(struct str runtime_directory, const struct ipc_admin_request *request,
              void (*line)(struct str text, void *arg), void *arg, int *taken)
{
    struct sockaddr_un address;
    int fd;
    enum err e;

    if (taken != NULL)
        *taken = -1;
    if ((e = ipc_admin_address(runtime_directory, &address)) != OK)
        return e;
    if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0)
        return fail_errno(ERR_IO, "socket");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
        e = fail_errno(ERR_UNAVAILABLE,
                       "cannot reach the gateway (does it run, with this configuration?) at %s",
                       address.sun_path);
    else if ((e = ipc_send(fd, IPC_TYPE_ADMIN_REQUEST, request, NULL, 0)) == OK)
        e = read_answer(fd, line, arg, taken);
    close(fd);
    return e;
}
