/* listener/admission.h - who may open another connection: counts, no I/O. */
#ifndef LISTENER_ADMISSION_H
#define LISTENER_ADMISSION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct admission_limits {
    unsigned connections;
    unsigned unauthenticated;
    unsigned unauthenticated_per_source;
};

struct connection {
    uint64_t session;
    pid_t pid;
    struct in6_addr source; /* IPv6: the /64 */
    bool authenticated;
    int64_t deadline_ms; /* for authentication */
};

struct connections {
    struct admission_limits limits;
    struct connection *items;
    unsigned n;
    unsigned orphans; /* sessions of a listener before us; they count in the total */
};

/* Room for limits.connections. ERR_NOMEM. */
enum err connections_open(struct connections *c, const struct admission_limits *limits);
void connections_close(struct connections *c);

/* What counts as one source: an IPv4 address, or the /64 of an IPv6 one. */
struct in6_addr connections_source(const struct in6_addr *address);

/* Whether one more connection from `source` is within the limits. ERR_LIMIT, err_text() says
 * which one. */
enum err connections_check(const struct connections *c, const struct in6_addr *source);

/* Adds one; connections_check() was OK just before. */
void connections_add(struct connections *c, const struct connection *connection);

/* NULL if there is none. */
struct connection *connections_by_pid(struct connections *c, pid_t pid);
struct connection *connections_by_session(struct connections *c, uint64_t session);
void connections_remove(struct connections *c, struct connection *connection);

/* The next deadline of an unauthenticated connection; INT64_MAX if there is none. */
int64_t connections_next_deadline(const struct connections *c);

#endif
