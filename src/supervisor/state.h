/* supervisor/state.h - what the parts of the supervisor share. */
#ifndef SUPERVISOR_STATE_H
#define SUPERVISOR_STATE_H

#include "supervisor/candidate.h"
#include "supervisor/service.h"
#include "supervisor/sockets.h"

enum {
    SESSIONS_MAX = 65536,
    ADMIN_CLIENTS_MAX = 16,
    EVENTS_UNTOLD_MAX = 16,
    READY_TIMEOUT_MS = 15000,
};

/* Something that the ledger is to record. */
struct service_event {
    char subject[4096];
    char name[64];
    char detail[512];
};

struct session_entry {
    uint64_t id;
    pid_t pid;
    bool orphan;        /* its listener is gone */
    int64_t kill_at_ms; /* INT64_MAX: it may stay */
};

struct admin_client {
    int fd;
    int64_t deadline_ms;
};

struct supervisor {
    const char *config_path;
    struct candidate in_force; /* the configuration */
    int signals, admin;
    struct sockets sockets;
    struct service services[IPC_SERVICE_COUNT];
    struct session_entry *sessions;
    size_t n_sessions;
    struct admin_client clients[ADMIN_CLIENTS_MAX];
    size_t n_clients;
    struct service_event untold[EVENTS_UNTOLD_MAX]; /* the ledger was not there */
    size_t n_untold;
    int64_t started_us;
    int64_t drain_until_ms; /* INT64_MAX: not draining */
    bool reload_asked, stop_asked, recycle_listener;
    struct ipc_packet packet;
};

static inline struct service *
service_of(struct supervisor *s, enum ipc_service kind)
{
    return &s->services[kind];
}

static inline bool
is_draining(const struct supervisor *s)
{
    return s->drain_until_ms != INT64_MAX;
}

#endif
