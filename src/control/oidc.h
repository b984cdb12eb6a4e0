/* control/oidc.h - the console as a client of an OpenID provider: authorization code with PKCE
 * (OpenID Connect Core 1.0 §3.1, RFC 7636, RFC 9700). The calls that block are for a helper thread
 * (fiber_offload()); they touch nothing but their arguments. The ID token that comes of it is
 * verified elsewhere (by the keeper). */
#ifndef CONTROL_OIDC_H
#define CONTROL_OIDC_H

#include "base/buf.h"

enum {
    OIDC_URL_BYTES_MAX = 2048,
    OIDC_DOCUMENT_BYTES_MAX = 64 << 10,
    OIDC_TIMEOUT_MS = 10 * 1000,
    OIDC_SECRET_TEXT = 43, /* 256 random bits in base64url: state, nonce, verifier */
};

/* What the provider's discovery document says. NUL-terminated. */
struct oidc_provider {
    char authorization[OIDC_URL_BYTES_MAX + 1];
    char token[OIDC_URL_BYTES_MAX + 1];
    bool secret_in_body; /* client_secret_post, because it does not know client_secret_basic */
    bool names_itself;   /* the callback has `iss` (RFC 9207 §2.3) */
};

struct oidc_exchange {
    const char *issuer;
    const char *ca;                                       /* file; "": the system's */
    const char *client_id, *client_secret, *redirect_uri; /* client_secret "": a public client */
    const char *code, *verifier;
};

/* Blocks. Fetches and reads the discovery document. ERR_UNAVAILABLE, ERR_INVALID, ERR_DENIED. */
enum err oidc_discover(const char *issuer, const char *ca, struct oidc_provider *out);

/* Reads one. Pure. */
enum err oidc_read_provider(struct str document, struct str issuer, struct oidc_provider *out);

/* Blocks. Gives the code and gets the ID token, appended. ERR_DENIED (the provider refused;
 * err_text() has its word), ERR_UNAVAILABLE, ERR_INVALID. */
enum err oidc_exchange(const struct oidc_provider *p, const struct oidc_exchange *x,
                       struct buf *id_token);

/* Appends the address to send the browser to. */
struct oidc_authorization {
    struct str client_id, redirect_uri, scopes, state, nonce, verifier;
};
enum err oidc_authorization_url(const struct oidc_provider *p, const struct oidc_authorization *a,
                                struct buf *out);

/* Appends 256 random bits as text. ERR_IO. */
enum err oidc_put_secret(struct buf *out);

#endif
