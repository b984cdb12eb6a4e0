/* identity/identity.h - who is asking: issuers, their keys, tokens, principals. Lives in the
 * keeper; called from its fibers. */
#ifndef IDENTITY_IDENTITY_H
#define IDENTITY_IDENTITY_H

#include "base/arena.h"
#include "config/config.h"
#include "policy/policy.h"

struct identity;

enum { TOKEN_BYTES_MAX = 16384 };

struct principal {
    struct str subject;
    struct str issuer;   /* the configured name; "local" for the gateway's own */
    struct str token_id; /* `jti`; without one, "sha256:" and the token's digest */
    struct str_list groups;
    const struct claim_value *claims; /* every scalar claim by path */
    size_t n_claims;
    struct str_list resources; /* a local token may be bound to resources; empty: any */
    int64_t expires_us;        /* wall clock */
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
};
enum err identity_issue(struct identity *id, const struct token_request *request, struct buf *token,
                        struct buf *token_id);

/* Revokes by token id, durably; of any issuer, for as long as a token may live. ERR_IO, ERR_LIMIT,
 * ERR_INVALID (no token id). Blocks for the disk. */
enum err identity_revoke(struct identity *id, struct str token_id);

/* The local issuer's public keys as a JWK set (RFC 7517 §5). */
void identity_jwks(const struct identity *id, struct buf *out);

#endif
