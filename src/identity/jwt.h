/* identity/jwt.h - a JSON Web Token (RFC 7519, RFC 7515 §3.1) taken apart and checked, without
 * its signature: no key, no clock, no I/O. The order of checks is the caller's (identity.c).
 * Error texts are fit for the client: they never quote the token. */
#ifndef IDENTITY_JWT_H
#define IDENTITY_JWT_H

#include "identity/identity.h"
#include "identity/strictjson.h"

enum {
    JWT_HEADER_BYTES_MAX = 1024,
    JWT_KID_BYTES_MAX = 256,
    JWT_NAME_BYTES_MAX = 1024, /* subject, token id */
    JWT_CLAIMS_MAX = 4096,     /* scalar claims, array elements counted one by one */
    JWT_LEEWAY_SECONDS_MAX = 60,
    JWT_LIFETIME_SECONDS_DEFAULT = 24 * 60 * 60, /* where the configuration says 0 */
};

struct jwt {
    struct str text;      /* the whole token */
    struct str algorithm; /* one that we know */
    struct str key_id;    /* .ptr is NULL if there is none */
    struct str type;      /* lower case, without "application/"; "none" if there is none */
    struct str issuer;    /* not verified: only selects the configuration */
    struct str signature; /* decoded; of a length that fits an algorithm with ECDSA */
    json_t *claims;
};

/* Takes the token apart. Refuses whatever is not a compact JWS with a strict header and payload.
 * All memory is in `arena`. ERR_DENIED, ERR_NOMEM. */
enum err jwt_parse(struct str token, struct arena *arena, struct jwt *out);

/* Algorithm and type against the issuer's lists. ERR_DENIED. */
enum err jwt_check_header(const struct jwt *t, const struct config_issuer *issuer);

/* Every claim that decides about acceptance, at `now` (seconds since 1970). ERR_DENIED. The
 * leeway covers only clocks that are behind (`nbf`, `iat`): `exp` is never extended. */
enum err jwt_check_claims(const struct jwt *t, const struct config_issuer *issuer, int64_t now);

/* The same for an ID token of the client `client_id`: another audience, and a nonce. */
enum err jwt_check_login_claims(const struct jwt *t, const struct config_issuer *issuer,
                                struct str client_id, int64_t now);

/* Who the (checked) token speaks of. ERR_DENIED (no subject, groups of a wrong type, `act` or the
 * task's claim malformed), ERR_NOMEM. */
enum err jwt_principal(const struct jwt *t, const struct config_issuer *issuer, struct arena *arena,
                       struct principal *out);

/* The array of strings in claim `path`; empty if the claim is absent. ERR_DENIED if it is
 * anything else: a single string is no list. */
enum err jwt_string_list(const struct jwt *t, struct str path, struct arena *arena,
                         struct str_list *out);

/* The claim at `path`, NULL if there is none. A claim of exactly this name wins; otherwise dots
 * separate members, and a member with dots in its name is put in double quotes:
 * `resource_access."my.app".roles`. */
const json_t *jwt_claim(const struct jwt *t, struct str path);

#endif
