/* identity/local.h - the gateway's own issuer: for quick starts and machines without an identity
 * provider. One ES256 key in the state directory signs access tokens (RFC 9068). */
#ifndef IDENTITY_LOCAL_H
#define IDENTITY_LOCAL_H

#include "identity/jwks.h"

#define LOCAL_NAME          "local"
#define LOCAL_ISSUER        "urn:bulkhead:local"
#define LOCAL_AUDIENCE      "bulkhead"
/* Claims of our own: the token is accepted once; what it is for. */
#define LOCAL_ONE_USE_CLAIM "one_use"
#define LOCAL_TASK_CLAIM    "task"

struct local;

enum {
    LOCAL_LIST_MAX = 100,       /* groups, resources */
    LOCAL_NAME_BYTES_MAX = 256, /* each of them, and the subject */
    LOCAL_ID_BYTES = 16,        /* random bytes in a token's id */
};

/* Reads the key from `path` (PEM, P-256, ours alone to read), or makes it. `*out` is the
 * caller's. ERR_IO, ERR_INVALID (another kind of key), ERR_DENIED (others may read it),
 * ERR_NOMEM. */
enum err local_open(const char *path, struct local **out);
void local_close(struct local *l); /* NULL is allowed */

/* What the pipeline must know to accept these tokens. Valid for ever. */
const struct config_issuer *local_config(void);

/* Appends a token for `request`, issued at `now` (seconds since 1970), and its id.
 * ERR_INVALID (a name that is empty, too long or has control characters; too many), ERR_NOMEM. */
enum err local_issue(const struct local *l, const struct token_request *request, int64_t now,
                     struct buf *token, struct buf *token_id);

/* Appends the public key as a JWK set. */
void local_jwks(const struct local *l, struct buf *out);

#endif
