/* net/tls_provider.h - an OpenSSL provider of keys whose private half is in another process: a key
 * knows its public half and asks the process's signer for signatures. Of the room; others use
 * tls.h. */
#ifndef NET_TLS_PROVIDER_H
#define NET_TLS_PROVIDER_H

#include <openssl/evp.h>

#include "net/tls.h"

/* A signature scheme of TLS 1.3 that we can use, RFC 8446 §4.2.3. */
struct tls_scheme {
    uint16_t code;
    const char *key;    /* as EVP_PKEY_is_a() */
    const char *group;  /* as EVP_PKEY_get_group_name(); NULL: any key */
    const char *digest; /* as EVP_MD_is_a(); NULL: the algorithm's own */
};

/* NULL if there is none. */
const struct tls_scheme *tls_scheme_find(uint16_t code);

/* Whether `key` can sign by `scheme`. */
bool tls_scheme_fits(const struct tls_scheme *scheme, const EVP_PKEY *key);

/* Makes the provider now instead of with the first key. */
void tls_provider_prepare(void);

/* As tls_set_signer(). */
void tls_provider_set_signer(bool for_server, tls_sign_fn *sign, void *arg);

/* Signatures fail at once while `off`: for handshakes that only warm up. */
void tls_provider_set_off(bool off);

/* A key with the public half of `public_key` (RSA, EC or Ed25519). `*out` is the caller's.
 * ERR_UNSUPPORTED, ERR_TLS. */
enum err tls_provider_key(EVP_PKEY *public_key, bool for_server, EVP_PKEY **out);

#endif
