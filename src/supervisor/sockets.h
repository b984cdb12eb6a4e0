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

/* Makes `*next` the listening sockets of `config`, one for every `listen`, in that order, and then
 * that of the console if there is one: those of `now` where they are the same, others opened. Ends
 * with sockets_replace() or sockets_abandon(). On failure nothing was opened. ERR_IO: an address
 * cannot be bound; ERR_LIMIT. */
enum err sockets_open(const struct sockets *now, const struct config *config, struct sockets *next);

/* That of the console; -1: there is none. */
int sockets_console(const struct sockets *s, const struct config *config);

/* Makes `next` the sockets in use, and closes those that it does not have. */
void sockets_replace(struct sockets *now, const struct sockets *next);

/* Closes those of `next` that are not in use. */
void sockets_abandon(const struct sockets *now, struct sockets *next);

void sockets_close(struct sockets *s);

/* The administrative socket in `directory`. ERR_IO, ERR_LIMIT. */
enum err sockets_open_admin(struct str directory, int *fd);

#endif
