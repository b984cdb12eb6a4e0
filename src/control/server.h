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
#include "config/config.h"

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

/* Serves on the listening socket `fd`, which it adopts, from fibers that it starts: to be called
 * from a fiber. `config` (its console and tls_certificate) is borrowed until server_reconfigure().
 * tls_set_signer() must have been called. `*out` is the caller's. ERR_TLS, ERR_NOMEM, ERR_IO. */
enum err server_open(struct control *control, const struct config *config, int fd,
                     struct server **out);

/* Another configuration, borrowed from now on; handshakes from now on present its certificate. On
 * failure the old one stays. */
enum err server_reconfigure(struct server *s, const struct config *config);

/* [waits] Ends every connection. NULL is allowed. */
void server_close(struct server *s);

/* Where other parts say that something changed: control/events.h. */
struct events *server_events(struct server *s);

#endif
