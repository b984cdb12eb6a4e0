/* identity/fetch.h - fetching an issuer's keys over HTTPS. The calls that block are for a helper
 * thread (fiber_offload()); they touch nothing but their arguments. */
#ifndef IDENTITY_FETCH_H
#define IDENTITY_FETCH_H

#include <stdatomic.h>

#include "identity/jwks.h"

enum {
    FETCH_TIMEOUT_MS = 10 * 1000,
    FETCH_CONNECT_TIMEOUT_MS = 5 * 1000,
    FETCH_URL_BYTES_MAX = 2048,
};

struct fetch {
    const char *issuer;
    const char *jwks_uri;    /* as configured; "": ask the issuer's discovery document */
    const char *ca;          /* file of trusted certificates; "": the system's */
    const atomic_bool *stop; /* becomes true: give up soon */
};

/* Blocks. Finds the address of the keys and gets them. `discovered` (empty at the first call) keeps
 * the address for the next time; `rediscover` asks again. `notes` as for jwks_parse(). `*out` is
 * the caller's. ERR_DENIED (an address that we must not use), ERR_UNAVAILABLE, ERR_INVALID (a bad
 * answer), ERR_LIMIT, ERR_CANCELED, ERR_NOMEM. */
enum err fetch_keys(const struct fetch *f, bool rediscover, struct buf *discovered,
                    struct buf *notes, struct jwks **out);

/* Whether keys may be fetched from `url`: https, or http to this machine itself; no user name, no
 * fragment. ERR_DENIED. */
enum err fetch_check_url(struct str url);

/* Appends the address of the issuer's discovery document (OpenID Connect Discovery 1.0 §4.1). */
void fetch_discovery_url(struct str issuer, struct buf *out);

/* Reads a discovery document (§4.2): its `issuer` must be ours to the byte, and its `jwks_uri` on
 * the issuer's own host. Appends that address. ERR_INVALID, ERR_DENIED. */
enum err fetch_read_discovery(struct str document, struct str issuer, struct buf *jwks_uri);

#endif
