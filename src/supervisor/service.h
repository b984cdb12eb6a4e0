/* supervisor/service.h - one service process: a fresh execution of our own program, so that its
 * address layout is its own. */
#ifndef SUPERVISOR_SERVICE_H
#define SUPERVISOR_SERVICE_H

#include <sys/types.h>

#include "config/config.h"
#include "ipc/channel.h"

struct service {
    enum ipc_service kind;
    pid_t pid;             /* 0: not running */
    int channel;           /* -1: not running */
    int64_t started_ms;    /* monotonic */
    int64_t restart_at_ms; /* while not running; INT64_MAX: not at all */
    unsigned failures;     /* in quick succession */
};

/* Starts the process; `*s` says which. Of our environment it sees what it has to. ERR_IO. */
enum err service_start(struct service *s, const struct config *config);

/* Closes its channel, by which it ends. */
void service_release(struct service *s);

/* Notes that the process is gone and when to start it again: at once after a long life, later
 * and later after short ones. */
void service_gone(struct service *s);

/* Waits for its next message. ERR_TIMEOUT, ERR_CLOSED: it ended; ERR_PROTOCOL. */
enum err service_receive(struct service *s, struct ipc_packet *packet, int64_t deadline_ms);

/* Gives two running services a channel to each other. */
enum err service_introduce(const struct service *a, const struct service *b);

#endif
