/* recording/key.h - the keys of recordings. Each file has a random key of its own, which is wrapped
 * (RSA-OAEP with SHA-256) to one public key: who writes recordings cannot read them back. */
#ifndef RECORDING_KEY_H
#define RECORDING_KEY_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct recording_key; /* a public key, or a private one with its public part */

enum {
    RECORDING_RSA_BITS = 3072,     /* of a new key, and the least of any */
    RECORDING_RSA_BITS_MAX = 8192, /* larger ones are refused */
    RECORDING_FINGERPRINT_BYTES = 65,
    RECORDING_PEM_MAX = 64 << 10,
};

/* From PEM. ERR_INVALID: no such key, not RSA, or of another size; ERR_NOMEM. The caller's. */
enum err recording_key_public(struct str pem, struct recording_key **out);
enum err recording_key_private(struct str pem, struct recording_key **out);
void recording_key_free(struct recording_key *k);

/* A new pair, as PEM: PKCS #8, and SubjectPublicKeyInfo. ERR_NOMEM. */
enum err recording_key_make(struct buf *private_pem, struct buf *public_pem);

/* Hexadecimal SHA-256 of the public key's DER, NUL-terminated. */
const char *recording_key_fingerprint(const struct recording_key *k);

/* Appends the wrapped key. ERR_INVALID, ERR_NOMEM. */
enum err recording_key_wrap(const struct recording_key *k, const unsigned char key[static 32],
                            struct buf *out);

/* ERR_DENIED: it was not wrapped to this key (or is damaged: the two cannot be told apart). */
enum err recording_key_unwrap(const struct recording_key *k, struct str wrapped,
                              unsigned char key[static 32]);

#endif
