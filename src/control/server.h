/* control/server.h - the HTTPS server of the console and the API: connections, TLS, HTTP.
 *
 *     client ── TLS (net/stream, key in the keeper) ── relay ── socket pair ── libmicrohttpd
 *
 * libmicrohttpd never sees the network: a relay of two fibers a connection does TLS 1.3, counts and
 * paces connections and ends those that are slow. libmicrohttpd runs in external-poll mode on one
 * fiber. A whole request is taken off it (its connection suspended) and answered by a fiber of its
 * own, which may wait; see route.h for what it then does. */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include "base/err.h"

struct control; /* control/state.h: what handlers reach by it */
struct server;

enum {
    SERVER_CONNECTIONS_MAX = 256,
    SERVER_CONNECTIONS_PER_SOURCE_MAX = 64, /* an IPv4 address or an IPv6 /64 */
    SERVER_HEADER_BYTES_MAX = 64 << 10,     /* request line and headers */
    SERVER_HANDSHAKE_MS = 10 * 1000,
    SERVER_REQUEST_MS = 30 * 1000, /* from the answer before to the last byte of a request */
    SERVER_WRITE_MS = 20 * 1000,   /* for a client to take what it is sent */
};

/* A server for the listening socket `fd`, which it adopts. Reads what files it needs (certificate,
 * client secret), so it comes before the sandbox. tls_set_signer() must have been called. `*out` is
 * the caller's. ERR_INVALID (no certificate), ERR_NOT_FOUND, ERR_TLS, ERR_NOMEM, ERR_IO. */
enum err server_open(struct control *control, int fd, struct server **out);

/* Begins to serve, by fibers that it starts. ERR_NOMEM, ERR_LIMIT. */
enum err server_start(struct server *s);

/* [waits] Ends every connection. NULL is allowed. */
void server_close(struct server *s);

/* Who listens to changes, and who watches sessions. */
struct events *server_events(struct server *s);
struct watch *server_watch(struct server *s);

#endif
