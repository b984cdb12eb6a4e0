/* Makes keys, key sets and tokens for tests, good and bad, with nothing but OpenSSL: what the
 * code under test uses must not be what it is tested with. Include it in one .c per program. */
#ifndef TESTS_FORGE_H
#define TESTS_FORGE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/encode.h"

static inline EVP_PKEY *
forge_rsa(unsigned bits)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
}

static inline EVP_PKEY *
forge_ec(const char *curve)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
}

static inline void
forge_number(EVP_PKEY *key, const char *param, int width, struct buf *out)
{
    unsigned char bytes[1024];
    BIGNUM *n = NULL;
    int len;

    if (EVP_PKEY_get_bn_param(key, param, &n) != 1)
        abort();
    len = width > 0 ? BN_bn2binpad(n, bytes, width) : BN_bn2bin(n, bytes);
    encode_base64url(out, (struct str){(const char *)bytes, (size_t)len});
    BN_free(n);
}

/* One JWK; `extra` is more members, such as ,"use":"sig". */
static inline void
forge_jwk(EVP_PKEY *key, const char *kid, const char *extra, struct buf *out)
{
    if (EVP_PKEY_is_a(key, "RSA")) {
        buf_put_text(out, "{\"kty\":\"RSA\",\"n\":\"");
        forge_number(key, OSSL_PKEY_PARAM_RSA_N, 0, out);
        buf_put_text(out, "\",\"e\":\"");
        forge_number(key, OSSL_PKEY_PARAM_RSA_E, 0, out);
    } else {
        int width = (EVP_PKEY_get_bits(key) + 7) / 8;

        buf_printf(out, "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"", EVP_PKEY_get_bits(key));
        forge_number(key, OSSL_PKEY_PARAM_EC_PUB_X, width, out);
        buf_put_text(out, "\",\"y\":\"");
        forge_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, width, out);
    }
    buf_put_text(out, "\"");
    if (kid != NULL)
        buf_printf(out, ",\"kid\":\"%s\"", kid);
    buf_printf(out, "%s}", extra);
}

/* DER to r‖s (RFC 7518 §3.4). */
static inline size_t
forge_raw_ecdsa(const unsigned char *der, size_t len, size_t width, unsigned char *raw)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);

    if (sig == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)width) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + width, (int)width) < 0)
        abort();
    ECDSA_SIG_free(sig);
    return 2 * width;
}

/* The signature of `text` as `alg` wants it; `der` leaves ECDSA's in DER. */
static inline size_t
forge_signature(EVP_PKEY *key, const char *alg, struct str text, bool der, unsigned char *out)
{
    const EVP_MD *md = strstr(alg, "384") != NULL ? EVP_sha384() : EVP_sha256();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *params;
    unsigned char sig[1200];
    size_t len = sizeof(sig);

    if (EVP_DigestSignInit(ctx, &params, md, NULL, key) != 1 ||
        (alg[0] == 'P' &&
         (EVP_PKEY_CTX_set_rsa_padding(params, RSA_PKCS1_PSS_PADDING) != 1 ||
          EVP_PKEY_CTX_set_rsa_pss_saltlen(params, RSA_PSS_SALTLEN_DIGEST) != 1)) ||
        EVP_DigestSign(ctx, sig, &len, (const unsigned char *)text.ptr, text.len) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(key, "EC") && !der)
        return forge_raw_ecdsa(sig, len, (size_t)(EVP_PKEY_get_bits(key) + 7) / 8, out);
    memcpy(out, sig, len);
    return len;
}

/* A token of any header and payload (bytes, not necessarily JSON), signed as `alg`. */
static inline struct str
forge_token_bytes(EVP_PKEY *key, const char *alg, struct str header, struct str payload,
                  struct buf *out)
{
    unsigned char sig[1200];
    size_t len;

    buf_reset(out);
    encode_base64url(out, header);
    buf_put_u8(out, '.');
    encode_base64url(out, payload);
    len = forge_signature(key, alg, buf_str(out), false, sig);
    buf_put_u8(out, '.');
    encode_base64url(out, (struct str){(const char *)sig, len});
    return buf_str(out);
}

static inline struct str
forge_token(EVP_PKEY *key, const char *alg, const char *header, const char *payload,
            struct buf *out)
{
    return forge_token_bytes(key, alg, str_from(header), str_from(payload), out);
}

#endif
