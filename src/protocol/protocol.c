#include "protocol/protocol.h"

#include "protocol/postgres/postgres.h"

/* A whole FATAL ErrorResponse; `length` is an octal escape of what follows the type. */
#define FATAL(length, sqlstate, text) "E\0\0\0" length "SFATAL\0VFATAL\0C" sqlstate "\0M" text "\0"

static const char busy[] = FATAL("\104", "53300", "too many connections through the gateway");
static const char unavailable[] = FATAL(
    "\146", "57P03", "the gateway is not ready: a service is starting, or its ledger has no room");

/* With the NUL that ends the literal as the message's last byte. */
_Static_assert(sizeof(busy) == 1 + 0104, "length of ErrorResponse");
_Static_assert(sizeof(unavailable) == 1 + 0146, "length of ErrorResponse");

static const struct protocol protocols[] = {
    {"postgres",
     postgres_serve,
     {busy, sizeof(busy)},
     {unavailable, sizeof(unavailable)},
     postgres_read_catalog},
};

const struct protocol *
protocol_find(struct str name)
{
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
        if (str_is(name, protocols[i].name))
            return &protocols[i];
    return NULL;
}
