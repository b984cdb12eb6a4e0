#include "listener/admission.h"

#include <stdlib.h>
#include <string.h>

enum err
connections_open(struct connections *c, const struct admission_limits *limits)
{
    *c = (struct connections){.limits = *limits};
    if ((c->items = calloc(limits->connections, sizeof(*c->items))) == NULL)
        return fail(ERR_NOMEM, "no memory for %u connections", limits->connections);
    return OK;
}

void
connections_close(struct connections *c)
{
    free(c->items);
    *c = (struct connections){0};
}

struct in6_addr
connections_source(const struct in6_addr *address)
{
    struct in6_addr source = *address;

    if (!IN6_IS_ADDR_V4MAPPED(address))
        memset(&source.s6_addr[8], 0, 8);
    return source;
}

enum err
connections_check(const struct connections *c, const struct in6_addr *source)
{
    unsigned unauthenticated = 0, of_source = 0;

    if (c->n + c->orphans >= c->limits.connections)
        return fail(ERR_LIMIT, "%u connections are open", c->n + c->orphans);
    for (unsigned i = 0; i < c->n; i++) {
        if (c->items[i].authenticated)
            continue;
        unauthenticated++;
        if (memcmp(&c->items[i].source, source, sizeof(*source)) == 0)
            of_source++;
    }
    if (unauthenticated >= c->limits.unauthenticated)
        return fail(ERR_LIMIT, "%u connections are not authenticated yet", unauthenticated);
    if (of_source >= c->limits.unauthenticated_per_source)
        return fail(ERR_LIMIT, "%u connections of this source are not authenticated yet",
                    of_source);
    return OK;
}

void
connections_add(struct connections *c, const struct connection *connection)
{
    if (c->n < c->limits.connections)
        c->items[c->n++] = *connection;
}

struct connection *
connections_by_pid(struct connections *c, pid_t pid)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->items[i].pid == pid)
            return &c->items[i];
    return NULL;
}

struct connection *
connections_by_session(struct connections *c, uint64_t session)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->items[i].session == session)
            return &c->items[i];
    return NULL;
}

void
connections_remove(struct connections *c, struct connection *connection)
{
    *connection = c->items[--c->n];
}

int64_t
connections_next_deadline(const struct connections *c)
{
    int64_t next = INT64_MAX;

    for (unsigned i = 0; i < c->n; i++)
        if (!c->items[i].authenticated && c->items[i].deadline_ms < next)
            next = c->items[i].deadline_ms;
    return next;
}
