#include "keeper/dial.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fiber/fiber.h"

/* [waits] */
static enum err
connect_to(const struct sockaddr *address, socklen_t len, int64_t deadline_ms, int *out)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    socklen_t error_len = sizeof(error);
    enum err e = OK;

    if (fd < 0)
        return fail_errno(ERR_UNAVAILABLE, "socket");
    if (connect(fd, address, len) != 0 && errno != EINPROGRESS)
        e = fail_errno(ERR_UNAVAILABLE, "cannot connect");
    else if ((e = fiber_wait_writable(fd, deadline_ms)) == OK &&
             getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) == 0 && error != 0) {
        errno = error;
        e = fail_errno(ERR_UNAVAILABLE, "cannot connect");
    } else if (e == ERR_TIMEOUT) {
        e = fail(ERR_TIMEOUT, "no answer in time");
    }
    if (e != OK)
        close(fd);
    else
        *out = fd;
    return e;
}

static enum err
dial_unix(struct str path, int64_t deadline_ms, int *fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (path.len >= sizeof(address.sun_path))
        return fail(ERR_UNAVAILABLE, "the socket's path is too long");
    memcpy(address.sun_path, path.ptr, path.len);
    return connect_to((const struct sockaddr *)&address, sizeof(address), deadline_ms, fd);
}

struct lookup {
    char host[256];
    char port[8];
    int result;
    struct addrinfo *found;
};

static void
look_up(void *arg)
{
    struct lookup *l = arg;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};

    l->result = getaddrinfo(l->host, l->port, &hints, &l->found);
}

enum err
dial(const struct config_address *address, int64_t deadline_ms, int *fd)
{
    struct lookup l = {0};
    enum err e;

    if (address->host.len > 0 && address->host.ptr[0] == '/')
        return dial_unix(address->host, deadline_ms, fd);
    if (address->host.len >= sizeof(l.host))
        return fail(ERR_UNAVAILABLE, "the host name is too long");
    memcpy(l.host, address->host.ptr, address->host.len);
    (void)snprintf(l.port, sizeof(l.port), "%u", address->port);
    if ((e = fiber_offload(look_up, &l)) != OK)
        return e;
    if (l.result != 0)
        return fail(ERR_UNAVAILABLE, "cannot resolve its name: %s", gai_strerror(l.result));
    e = fail(ERR_UNAVAILABLE, "its name has no address");
    for (const struct addrinfo *a = l.found; a != NULL && e != OK; a = a->ai_next)
        if ((e = connect_to(a->ai_addr, a->ai_addrlen, deadline_ms, fd)) == ERR_CANCELED)
            break;
    freeaddrinfo(l.found);
    return e;
}
