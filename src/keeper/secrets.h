/* keeper/secrets.h - the secrets of a configuration, read once, in locked memory that is zeroed
 * when it is freed. */
#ifndef KEEPER_SECRETS_H
#define KEEPER_SECRETS_H

#include <openssl/evp.h>

#include "config/config.h"

struct secrets;

/* Sets up locked memory; once, before anything else here. */
enum err secrets_prepare(void);

/* Reads every secret and certificate that `config` names. ERR_INVALID, ERR_NOT_FOUND, ERR_IO:
 * err_text() says which one. */
enum err secrets_load(const struct config *config, struct secrets **out);
void secrets_free(struct secrets *s);

/* The gateway's own TLS key; NULL without TLS. */
EVP_PKEY *secrets_server_key(const struct secrets *s);

/* Of the resource with that index in the configuration. */
EVP_PKEY *secrets_client_key(const struct secrets *s, size_t resource); /* NULL: none */
struct str secrets_client_certificate(const struct secrets *s, size_t resource);
bool secrets_password(const struct secrets *s, size_t resource, struct str *password);

/* The key of its hash masks, derived from its `mask_key` and its name, so that equal values of two
 * resources do not look equal; zeroes if it has none. */
void secrets_mask_key(const struct secrets *s, size_t resource,
                      unsigned char key[static MASK_KEY_BYTES]);

#endif
