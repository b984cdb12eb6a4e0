/* control/login.h - who asks: the cookie of a person who logged in, or a bearer token; and how
 * people log in (OpenID Connect authorization code with PKCE, or a token that is used up by it).
 *
 * The cookie is a random value of 256 bits; the store has its hash. What a login needs between the
 * redirect to the provider and the return from it (state, nonce, PKCE verifier) is in a second
 * cookie of the same browser, so that nobody can fill our memory by beginning logins. */
#ifndef CONTROL_LOGIN_H
#define CONTROL_LOGIN_H

#include "control/route.h"

#define LOGIN_COOKIE       "__Host-bulkhead"
#define LOGIN_BEGUN_COOKIE "__Host-bulkhead-login"

enum {
    LOGIN_TOKEN_CACHE_MS = 10 * 1000, /* a bearer token that was good is asked of again after */
    LOGIN_BEGUN_SECONDS = 600,        /* for a person to log in at the provider */
};

/* [waits] Who sends the cookie or the token. ERR_NOT_FOUND: nobody is logged in (no or an unknown
 * cookie); ERR_DENIED: the token is not good, err_text() says why; ERR_UNAVAILABLE. */
enum err login_person(struct control *control, struct db *db, const struct config *config,
                      struct str cookie_header, struct str authorization, struct arena *arena,
                      struct api_person *out);

/* Whether the person's groups make them one of the role's. */
bool login_has_role(const struct api_person *person, enum api_role role);

/* A token that acts for somebody else: its subject is not who holds it. */
bool login_is_delegated(const struct api_person *person);

/* Reads the client's secret, before the sandbox is entered. ERR_NOT_FOUND, ERR_IO, ERR_LIMIT. */
enum err login_prepare(const struct config *config);

/* Forgets the secret, and tokens that were good. */
void login_forget(void);

/* The handlers. */
enum err login_begin(struct api_request *q);      /* GET /login */
enum err login_callback(struct api_request *q);   /* GET /login/callback */
enum err login_with_token(struct api_request *q); /* POST /v1/login */
enum err login_end(struct api_request *q);        /* POST /v1/logout */
enum err login_me(struct api_request *q);         /* GET /v1/me */

#endif
