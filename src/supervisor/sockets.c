#include "supervisor/sockets.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ipc/admin.h"

enum { BACKLOG = 1024 };

static enum err
bind_address(const struct addrinfo *a, int *out)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot make a socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        enum err e = fail_errno(ERR_IO, "cannot listen");

        close(fd);
        return e;
    }
    *out = fd;
    return OK;
}

static enum err
open_socket(const struct config_address *address, int *fd)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found;
    char host[256], port[8];
    int result;
    enum err e;

    (void)snprintf(host, sizeof(host), "%.*s", STR_ARG(address->host));
    (void)snprintf(port, sizeof(port), "%u", address->port);
    if ((result = getaddrinfo(host, port, &hints, &found)) != 0)
        return fail(ERR_IO, "cannot listen: %s", gai_strerror(result));
    e = bind_address(found, fd);
    freeaddrinfo(found);
    return e;
}

/* Index of the socket of that name, or s->n. */
static size_t
find(const struct sockets *s, const char *name)
{
    size_t i = 0;

    while (i < s->n && strcmp(s->items[i].name, name) != 0)
        i++;
    return i;
}

static void
close_unless_in(const struct sockets *s, const struct sockets *kept)
{
    for (size_t i = 0; i < s->n; i++)
        if (find(kept, s->items[i].name) == kept->n)
            close(s->items[i].fd);
}

static enum err
add(const struct sockets *old, const struct config_address *address, struct sockets *next)
{
    struct socket_entry *entry = &next->items[next->n];
    size_t i;
    enum err e = OK;

    if (next->n == SOCKETS_MAX)
        return fail(ERR_LIMIT, "more than %d listening sockets", SOCKETS_MAX);
    (void)snprintf(entry->name, sizeof(entry->name), "%.*s:%u", STR_ARG(address->host),
                   address->port);
    if ((i = find(old, entry->name)) < old->n)
        entry->fd = old->items[i].fd;
    else if ((e = open_socket(address, &entry->fd)) != OK)
        return fail(e, "%s: %s", entry->name, err_text());
    next->n++;
    return OK;
}

enum err
sockets_open(const struct sockets *now, const struct config *config, struct sockets *next)
{
    enum err e = OK;

    next->n = 0;
    for (size_t i = 0; i < config->n_listens && e == OK; i++)
        e = add(now, &config->listens[i].address, next);
    if (e == OK && config->console_listen.port != 0)
        e = add(now, &config->console_listen, next);
    if (e != OK)
        sockets_abandon(now, next);
    return e;
}

int
sockets_console(const struct sockets *s, const struct config *config)
{
    return config->console_listen.port != 0 && s->n > config->n_listens
               ? s->items[config->n_listens].fd
               : -1;
}

void
sockets_replace(struct sockets *now, const struct sockets *next)
{
    close_unless_in(now, next);
    *now = *next;
}

void
sockets_abandon(const struct sockets *now, struct sockets *next)
{
    close_unless_in(next, now);
    next->n = 0;
}

void
sockets_close(struct sockets *s)
{
    while (s->n > 0)
        close(s->items[--s->n].fd);
}

enum err
sockets_open_admin(struct str directory, int *out)
{
    struct sockaddr_un address;
    mode_t mask;
    int fd;
    enum err e;

    if ((e = ipc_admin_address(directory, &address)) != OK)
        return e;
    if ((fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
        return fail_errno(ERR_IO, "socket");
    (void)unlink(address.sun_path);
    mask = umask(0177);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 16) != 0)
        e = fail_errno(ERR_IO, "cannot listen on %s", address.sun_path);
    (void)umask(mask);
    if (e != OK)
        close(fd);
    else
        *out = fd;
    return e;
}
