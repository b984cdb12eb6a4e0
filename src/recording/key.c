#include "recording/key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/encode.h"

enum { KEY_BYTES = 32, WRAPPED_MAX = RECORDING_RSA_BITS_MAX / 8 };

struct recording_key {
    EVP_PKEY *pkey;
    char fingerprint[RECORDING_FINGERPRINT_BYTES];
};

/* Never ask a terminal for a password. */
static int
no_password(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

static enum err
set_fingerprint(struct recording_key *k)
{
    unsigned char *der = NULL, hash[32];
    int n = i2d_PUBKEY(k->pkey, &der);
    struct buf text = buf_make(RECORDING_FINGERPRINT_BYTES);
    bool good = n > 0 && EVP_Digest(der, (size_t)n, hash, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    if (good) {
        encode_hex(&text, (struct str){(const char *)hash, sizeof(hash)});
        buf_put_u8(&text, '\0');
    }
    good = good && !text.failed;
    if (good)
        memcpy(k->fingerprint, text.ptr, sizeof(k->fingerprint));
    buf_free(&text);
    return good ? OK : fail(ERR_NOMEM, "no memory for a key");
}

static enum err
check(const struct recording_key *k)
{
    if (EVP_PKEY_get_base_id(k->pkey) != EVP_PKEY_RSA)
        return fail(ERR_INVALID, "the key of recordings must be an RSA key");
    if (EVP_PKEY_get_bits(k->pkey) < RECORDING_RSA_BITS ||
        EVP_PKEY_get_bits(k->pkey) > RECORDING_RSA_BITS_MAX)
        return fail(ERR_INVALID,
                    "the key of recordings has %d bits; %d to %d are allowed (make one with "
                    "'bulkhead recording-key')",
                    EVP_PKEY_get_bits(k->pkey), RECORDING_RSA_BITS, RECORDING_RSA_BITS_MAX);
    return OK;
}

static enum err
load(struct str pem, bool private, struct recording_key **out)
{
    struct recording_key *k = calloc(1, sizeof(*k));
    BIO *bio = pem.len > RECORDING_PEM_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    enum err e = OK;

    if (k != NULL && bio != NULL)
        k->pkey = private ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL)
                          : PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (k == NULL)
        return fail(ERR_NOMEM, "no memory for a key");
    if (k->pkey == NULL)
        e = private ? fail(ERR_INVALID, "no private key in PEM without a password")
                    : fail(ERR_INVALID, "no public key in PEM");
    if (e != OK || (e = check(k)) != OK || (e = set_fingerprint(k)) != OK) {
        recording_key_free(k);
        return e;
    }
    *out = k;
    return OK;
}

enum err
recording_key_public(struct str pem, struct recording_key **out)
{
    return load(pem, false, out);
}

enum err
recording_key_private(struct str pem, struct recording_key **out)
{
    return load(pem, true, out);
}

void
recording_key_free(struct recording_key *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

const char *
recording_key_fingerprint(const struct recording_key *k)
{
    return k->fingerprint;
}

static void
take_pem(BIO *bio, struct buf *out)
{
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);

    if (n > 0)
        buf_put(out, text, (size_t)n);
}

enum err
recording_key_make(struct buf *private_pem, struct buf *public_pem)
{
    EVP_PKEY *pkey = EVP_RSA_gen(RECORDING_RSA_BITS);
    BIO *secret = BIO_new(BIO_s_secmem()), *open = BIO_new(BIO_s_mem());
    bool good = pkey != NULL && secret != NULL && open != NULL &&
                PEM_write_bio_PKCS8PrivateKey(secret, pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
                PEM_write_bio_PUBKEY(open, pkey) == 1;

    if (good) {
        take_pem(secret, private_pem);
        take_pem(open, public_pem);
    }
    BIO_free(secret);
    BIO_free(open);
    EVP_PKEY_free(pkey);
    if (!good || private_pem->failed || public_pem->failed)
        return fail(ERR_NOMEM, "cannot make a key");
    return OK;
}

static EVP_PKEY_CTX *
oaep(const struct recording_key *k, bool wrap)
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k->pkey, NULL);

    if (c != NULL && (wrap ? EVP_PKEY_encrypt_init(c) : EVP_PKEY_decrypt_init(c)) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()) == 1 &&
        EVP_PKEY_CTX_set_rsa_mgf1_md(c, EVP_sha256()) == 1)
        return c;
    EVP_PKEY_CTX_free(c);
    return NULL;
}

enum err
recording_key_wrap(const struct recording_key *k, const unsigned char key[static 32],
                   struct buf *out)
{
    unsigned char wrapped[WRAPPED_MAX];
    size_t n = sizeof(wrapped);
    EVP_PKEY_CTX *c = oaep(k, true);
    bool good = c != NULL && EVP_PKEY_encrypt(c, wrapped, &n, key, KEY_BYTES) == 1;

    EVP_PKEY_CTX_free(c);
    ERR_clear_error();
    if (!good)
        return fail(ERR_INVALID, "the public key of recordings cannot wrap a key");
    buf_put(out, wrapped, n);
    return buf_ok(out);
}

enum err
recording_key_unwrap(const struct recording_key *k, struct str wrapped,
                     unsigned char key[static 32])
{
    unsigned char bytes[WRAPPED_MAX];
    size_t n = sizeof(bytes);
    EVP_PKEY_CTX *c = oaep(k, false);
    bool good = c != NULL && wrapped.len > 0 && wrapped.len <= WRAPPED_MAX &&
                EVP_PKEY_decrypt(c, bytes, &n, (const unsigned char *)wrapped.ptr, wrapped.len) ==
                    1 &&
                n == KEY_BYTES;

    EVP_PKEY_CTX_free(c);
    ERR_clear_error();
    if (good)
        memcpy(key, bytes, KEY_BYTES);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    if (!good)
        return fail(ERR_DENIED, "the recording cannot be read with the private key %.16s…",
                    k->fingerprint);
    return OK;
}
