/* identity/jwks.h - a set of public keys (RFC 7517 §5) and verifying signatures with them.
 * Pure: no clock, no I/O. */
#ifndef IDENTITY_JWKS_H
#define IDENTITY_JWKS_H

#include "identity/jwt.h"

enum {
    JWKS_BYTES_MAX = 256 * 1024,
    JWKS_KEYS_MAX = 50,
    JWKS_RSA_BITS_MIN = 2048,
    JWKS_RSA_BITS_MAX = 8192,
};

struct jwks;
struct jwk;

/* Reads a set. A key that we must not or cannot use is left out, and appended to `notes` (may be
 * NULL) as words for the log, one line each: it makes no difference to the others. `*out` is the
 * caller's, to be ended with jwks_free(). ERR_INVALID (no key set), ERR_LIMIT, ERR_NOMEM. */
enum err jwks_parse(struct str text, struct buf *notes, struct jwks **out);
void jwks_free(struct jwks *set); /* NULL is allowed */

/* The number of usable keys. */
size_t jwks_count(const struct jwks *set);

/* The key for `key_id` and `algorithm`; without a key id (.ptr NULL) the only one that suits the
 * algorithm. NULL if there is none. Lives as long as the set. */
const struct jwk *jwks_find(const struct jwks *set, struct str key_id, struct str algorithm);

/* Whether some key has this id, whatever it is for: then fetching anew would not help. */
bool jwks_has_key_id(const struct jwks *set, struct str key_id);

/* Verifies the signature of a parsed token. `key` came from jwks_find() with its algorithm.
 * ERR_DENIED, ERR_NOMEM. */
enum err jwks_verify(const struct jwk *key, const struct jwt *token);

#endif
