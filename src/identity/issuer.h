/* identity/issuer.h - the keys of one issuer, kept fresh by a fiber of their own. A slow issuer
 * holds up nobody but those who wait for its keys. */
#ifndef IDENTITY_ISSUER_H
#define IDENTITY_ISSUER_H

#include "identity/jwks.h"

struct issuer_keys;

enum { ISSUER_WAIT_MS = 2 * 10 * 1000 + 2000 }; /* for two fetches and a little */

/* Starts to fetch in the background. Copies what it needs of `config`. `*out` is the caller's, to
 * be given to issuer_keys_release() once. ERR_NOMEM. */
enum err issuer_keys_open(const struct config_issuer *config, struct issuer_keys **out);

/* Counts another holder. */
struct issuer_keys *issuer_keys_hold(struct issuer_keys *k);

/* The last holder ends the fetching, soon; never waits. NULL is allowed. */
void issuer_keys_release(struct issuer_keys *k);

/* Whether `config` would fetch the same keys in the same way. */
bool issuer_keys_fit(const struct issuer_keys *k, const struct config_issuer *config);

/* [waits] The key with which to verify `token`; an unknown one may cause one fetch, for which all
 * who ask wait together. Valid until the caller's next wait. ERR_DENIED (no such key),
 * ERR_UNAVAILABLE (no keys, or none fresh enough), ERR_CANCELED. */
enum err issuer_keys_find(struct issuer_keys *k, const struct jwt *token, const struct jwk **out);

#endif
