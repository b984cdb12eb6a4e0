/* identity/identity.h - who is asking: issuers, their keys, tokens, principals. Lives in the
 * keeper; called from its fibers. */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

#include "base/arena.h"
#include "config/config.h"
#include "policy/policy.h"

struct identity;

enum {
    TOKEN_BYTES_MAX = 16384,
    PRINCIPAL_ACTORS_MAX = 8,
    PRINCIPAL_CHAIN_BYTES_MAX = 4096, /* of all its strings, each with a NUL */
    PRINCIPAL_TASK_BYTES_MAX = 256,
    PRINCIPAL_NAME_BYTES_MAX = 256,
    PRINCIPAL_EMAIL_BYTES_MAX = 320, /* RFC 5321 §4.5.3.1 */
    PRINCIPAL_NONCE_BYTES_MAX = 256,
};

struct principal {
    struct str subject;
    struct str issuer;   /* the configured name; "local" for the gateway's own */
    struct str token_id; /* `jti`; without one, "sha256:" and the token's digest */
    struct str_list groups;
    const struct claim_value *claims; /* every scalar claim by path */
    size_t n_claims;
    struct str_list resources; /* a local token may be bound to resources; empty: any */
    int64_t expires_us;        /* wall clock */

    /* On whose behalf (RFC 8693 §4.1): the subject first, then the actors, the one who acts now
     * last. Without `act` the subject alone. */
    struct str_list chain;
    struct str task; /* what for: the claim that the issuer's `task_claim` names; may be empty */

    /* For people; may be empty. */
    struct str name;  /* `name`, or else `preferred_username` */
    struct str email; /* unless the issuer says that it is not verified */
    struct str nonce; /* of an ID token */
};

/* Opens the issuers of `config`: keys are fetched in the background, so a fiber must call it.
 * `config` need not outlive the call. Creates the local issuer's key in the state directory if it
 * is enabled and has none. `*out` is the caller's. */
enum err identity_open(const struct config *config, struct identity **out);

/* No verification may be waiting. Fetches that are under way end soon after. */
void identity_close(struct identity *id);

/* Takes over another configuration; key sets of unchanged issuers are kept. On failure the old
 * one stays. */
enum err identity_reload(struct identity *id, const struct config *config);

/* [waits] Verifies a token at the present time; may wait for one fetch of keys. `*out` lives in
 * `arena`. ERR_DENIED: err_text() says why in words fit for the client (never key material);
 * ERR_UNAVAILABLE: the issuer's keys have never been had. */
enum err identity_verify(struct identity *id, struct str token, struct arena *arena,
                         struct principal *out);

/* [waits] The same for an ID token (OpenID Connect Core 1.0 §3.1.3.7) that an issuer of the
 * configuration gave to the console's own client `client_id`; the caller compares the nonce,
 * without which no token is accepted here. */
enum err identity_verify_login(struct identity *id, struct str token, struct str client_id,
                               struct arena *arena, struct principal *out);

/* Whether the token of this principal has been revoked since, or its issuer removed from the
 * configuration or disabled. */
bool identity_is_revoked(const struct identity *id, struct str issuer, struct str token_id);

/* A token of the local issuer, appended to `token`, and its id. ERR_DENIED (not enabled, ttl too
 * long), ERR_INVALID (a bad name, no ttl). */
struct token_request {
    struct str subject;
    struct str_list groups;
    struct str_list resources;
    unsigned ttl_seconds;
    struct str_list actors; /* who acts for the subject, in the order of `principal.chain` */
    struct str task;        /* may be empty */
    bool one_use;           /* accepted once */
};
enum err identity_issue(struct identity *id, const struct token_request *request, struct buf *token,
                        struct buf *token_id);

/* Revokes by token id, durably; of any issuer, for as long as a token may live. ERR_IO, ERR_LIMIT,
 * ERR_INVALID (no token id). Blocks for the disk. */
enum err identity_revoke(struct identity *id, struct str token_id);

/* The local issuer's public keys as a JWK set (RFC 7517 §5). */
void identity_jwks(const struct identity *id, struct buf *out);

#endif
