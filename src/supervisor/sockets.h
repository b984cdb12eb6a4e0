/* supervisor/sockets.h - listening sockets, which outlive any listener process. */
#ifndef SUPERVISOR_SOCKETS_H
#define SUPERVISOR_SOCKETS_H

#include "config/config.h"

enum { SOCKETS_MAX = 256, SOCKET_NAME_MAX = 320 };

/* A bound socket; its name is its address as configured. */
struct socket_entry {
    char name[SOCKET_NAME_MAX];
    int fd;
};

struct sockets {
    struct socket_entry items[SOCKETS_MAX];
    size_t n;
};

/* Makes `s` hold a listening socket for every `listen` of `config`, in that order; those already
 * open are kept, others closed. On failure `s` is as before. ERR_IO: the address cannot be bound;
 * ERR_LIMIT. */
enum err sockets_apply(struct sockets *s, const struct config *config);
void sockets_close(struct sockets *s);

/* The administrative socket in `directory`. ERR_IO, ERR_LIMIT. */
enum err sockets_open_admin(struct str directory, int *fd);

#endif
