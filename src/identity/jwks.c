#include "identity/jwks.h"

#include <cjose/cjose.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "base/encode.h"

enum { KTY_RSA, KTY_EC };

struct jwk {
    struct str key_id;    /* .ptr is NULL if it has none */
    struct str algorithm; /* the only one it is for; empty: any that suits */
    int kty;
    size_t bytes;          /* of the modulus, or of a coordinate */
    struct str thumbprint; /* what makes it the key it is */
    bool ambiguous;        /* another key has the same id and kind */
    cjose_jwk_t *key;
};

struct jwks {
    struct arena *arena;
    struct jwk keys[JWKS_KEYS_MAX];
    size_t n;
};

static const struct suit {
    const char *algorithm;
    int kty;
    size_t bytes; /* of a coordinate; 0: any */
} suits[] = {
    {"RS256", KTY_RSA, 0}, {"PS256", KTY_RSA, 0}, {"ES256", KTY_EC, 32}, {"ES384", KTY_EC, 48}};

static bool
suits_algorithm(const struct jwk *key, struct str algorithm)
{
    if (key->algorithm.len > 0 && !str_equal(key->algorithm, algorithm))
        return false;
    for (size_t i = 0; i < sizeof(suits) / sizeof(suits[0]); i++)
        if (str_is(algorithm, suits[i].algorithm))
            return key->kty == suits[i].kty &&
                   (suits[i].bytes == 0 || suits[i].bytes == key->bytes);
    return false;
}

/* A member that is base64url of an unsigned number. */
static BIGNUM *
number(const json_t *jwk, const char *name, size_t *bytes)
{
    struct str text = strictjson_string(jwk, name);
    struct buf decoded = buf_make(JWKS_RSA_BITS_MAX / 8 + 16);
    BIGNUM *n = NULL;

    if (text.ptr != NULL && text.len > 0 && text.len <= decoded.max / 3 * 4 &&
        decode_base64url(&decoded, text) == OK && decoded.len > 0) {
        n = BN_bin2bn((const unsigned char *)decoded.ptr, (int)decoded.len, NULL);
        *bytes = decoded.len;
    }
    buf_free(&decoded);
    return n;
}

static enum err
check_rsa(const json_t *jwk, struct jwk *key)
{
    size_t n_bytes, e_bytes;
    BIGNUM *n = number(jwk, "n", &n_bytes), *e = number(jwk, "e", &e_bytes);
    enum err result = OK;
    int bits;

    if (n == NULL || e == NULL) {
        result = fail(ERR_INVALID, "its modulus or exponent is not readable");
    } else if ((bits = BN_num_bits(n)) < JWKS_RSA_BITS_MIN || bits > JWKS_RSA_BITS_MAX) {
        result = fail(ERR_INVALID, "RSA with %d bits; %d to %d are accepted", bits,
                      JWKS_RSA_BITS_MIN, JWKS_RSA_BITS_MAX);
    } else if (!BN_is_odd(n)) {
        result = fail(ERR_INVALID, "its modulus is even");
    } else if (!BN_is_odd(e) || BN_num_bits(e) > 32 || BN_get_word(e) < 65537) {
        result = fail(ERR_INVALID, "its exponent is not odd and from 65537 to 2^32");
    } else {
        key->bytes = ((size_t)bits + 7) / 8;
    }
    BN_free(n);
    BN_free(e);
    return result;
}

/* Whether the point is on the curve and of its order (EVP_PKEY_public_check). */
static bool
is_on_curve(const char *group, const unsigned char *point, size_t len)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *from = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL), *check = NULL;
    OSSL_PARAM *params = NULL;
    EVP_PKEY *pkey = NULL;
    bool ok;

    ok = build != NULL && from != NULL &&
         OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
         OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, len) == 1 &&
         (params = OSSL_PARAM_BLD_to_param(build)) != NULL && EVP_PKEY_fromdata_init(from) == 1 &&
         EVP_PKEY_fromdata(from, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1 &&
         (check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) != NULL &&
         EVP_PKEY_public_check(check) == 1;
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_free(pkey);
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(from);
    OSSL_PARAM_BLD_free(build);
    return ok;
}

static enum err
check_ec(const json_t *jwk, struct jwk *key)
{
    static const struct {
        const char *crv, *group;
        size_t bytes;
    } curves[] = {{"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}};
    struct str crv = strictjson_string(jwk, "crv");

    for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
        unsigned char point[1 + 2 * 48] = {POINT_CONVERSION_UNCOMPRESSED};
        size_t x_bytes = 0, y_bytes = 0, bytes = curves[i].bytes;
        BIGNUM *x, *y;
        bool ok;

        if (crv.ptr == NULL || !str_is(crv, curves[i].crv))
            continue;
        x = number(jwk, "x", &x_bytes);
        y = number(jwk, "y", &y_bytes);
        /* RFC 7518 §6.2.1.2: as long as the field, leading zeroes included. */
        ok = x != NULL && y != NULL && x_bytes == bytes && y_bytes == bytes &&
             BN_bn2binpad(x, point + 1, (int)bytes) == (int)bytes &&
             BN_bn2binpad(y, point + 1 + bytes, (int)bytes) == (int)bytes &&
             is_on_curve(curves[i].group, point, 1 + 2 * bytes);
        BN_free(x);
        BN_free(y);
        if (!ok)
            return fail(ERR_INVALID, "its point is not on the curve");
        key->bytes = bytes;
        return OK;
    }
    return fail(ERR_INVALID, "its curve is not P-256 or P-384");
}

/* RFC 7517 §4.2, §4.3: absent, or for verifying signatures. */
static enum err
check_use(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *item;
    bool verify = ops == NULL;
    size_t i;

    if (use != NULL && !(json_is_string(use) && str_is(strictjson_str(use), "sig")))
        return fail(ERR_INVALID, "its use is not sig");
    if (ops != NULL && !json_is_array(ops))
        return fail(ERR_INVALID, "its key_ops are no array");
    json_array_foreach(ops, i, item)
    {
        verify = verify || (json_is_string(item) && str_is(strictjson_str(item), "verify"));
    }
    return verify ? OK : fail(ERR_INVALID, "its key_ops lack verify");
}

/* Keeps only the members that make the public key, so that the library sees nothing else. Also
 * its thumbprint's input (RFC 7638 §3.2). */
static enum err
import_key(const json_t *jwk, struct arena *arena, struct jwk *key)
{
    static const char *const members[][4] = {{"e", "kty", "n", NULL}, {"crv", "kty", "x", "y"}};
    json_t *bare = json_object();
    enum err result = OK;
    cjose_err error;
    char *text;

    for (size_t i = 0; i < 4 && members[key->kty][i] != NULL; i++)
        if (json_object_set(bare, members[key->kty][i],
                            json_object_get(jwk, members[key->kty][i])) != 0)
            result = fail(ERR_NOMEM, "no memory for a key");
    text = json_dumps(bare, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(bare);
    if (result == OK && text == NULL)
        result = fail(ERR_NOMEM, "no memory for a key");
    if (result == OK && (key->thumbprint = arena_str(arena, str_from(text))).ptr == NULL)
        result = fail(ERR_NOMEM, "no memory for a key");
    if (result == OK && (key->key = cjose_jwk_import(text, strlen(text), &error)) == NULL)
        result = fail(ERR_INVALID, "it cannot be read");
    free(text);
    return result;
}

static enum err
copy_string(const json_t *jwk, const char *name, size_t max, struct arena *arena, struct str *out)
{
    const json_t *value = json_object_get(jwk, name);

    *out = (struct str){NULL, 0};
    if (value == NULL)
        return OK;
    if (!json_is_string(value) || json_string_length(value) > max)
        return fail(ERR_INVALID, "its %s is not a string of at most %zu bytes", name, max);
    *out = arena_str(arena, strictjson_str(value));
    return out->ptr == NULL ? fail(ERR_NOMEM, "no memory for a key") : OK;
}

static enum err
read_key(const json_t *jwk, struct arena *arena, struct jwk *key)
{
    struct str kty = strictjson_string(jwk, "kty");
    enum err e;

    *key = (struct jwk){0};
    if (kty.ptr == NULL || !(str_is(kty, "RSA") || str_is(kty, "EC")))
        return fail(ERR_INVALID, "its kty is not RSA or EC");
    key->kty = str_is(kty, "RSA") ? KTY_RSA : KTY_EC;
    if (json_object_get(jwk, "d") != NULL)
        return fail(ERR_INVALID, "its private half is published");
    if ((e = check_use(jwk)) != OK ||
        (e = copy_string(jwk, "kid", JWT_KID_BYTES_MAX, arena, &key->key_id)) != OK ||
        (e = copy_string(jwk, "alg", 16, arena, &key->algorithm)) != OK ||
        (e = key->kty == KTY_RSA ? check_rsa(jwk, key) : check_ec(jwk, key)) != OK)
        return e;
    return import_key(jwk, arena, key);
}

/* Two keys with one id and kind: the same key twice is harmless; otherwise neither can be meant. */
static bool
is_repeated(struct jwks *set, const struct jwk *key)
{
    for (size_t i = 0; i < set->n; i++) {
        struct jwk *other = &set->keys[i];

        if (key->key_id.ptr == NULL || other->key_id.ptr == NULL || key->kty != other->kty ||
            !str_equal(key->key_id, other->key_id))
            continue;
        if (str_equal(key->thumbprint, other->thumbprint) &&
            str_equal(key->algorithm, other->algorithm))
            return true;
        if (!str_equal(key->thumbprint, other->thumbprint))
            other->ambiguous = true;
    }
    return false;
}

static void
note(struct buf *notes, size_t index, const char *reason)
{
    if (notes != NULL)
        buf_printf(notes, "key %zu is not used: %s\n", index, reason);
}

static enum err
add_key(struct jwks *set, size_t index, const json_t *jwk, struct buf *notes)
{
    struct jwk key;
    enum err e = read_key(jwk, set->arena, &key);

    if (e == ERR_INVALID) {
        note(notes, index, err_text());
        return OK;
    }
    if (e != OK)
        return e;
    if (is_repeated(set, &key)) {
        cjose_jwk_release(key.key);
        return OK;
    }
    set->keys[set->n++] = key;
    return OK;
}

/* Marks the later one of two keys with the same id, as is_repeated() marked the earlier. */
static void
mark_ambiguous(struct jwks *set, struct buf *notes)
{
    for (size_t i = 0; i < set->n; i++) {
        for (size_t k = 0; k < i; k++)
            if (set->keys[k].ambiguous && set->keys[i].key_id.ptr != NULL &&
                set->keys[i].kty == set->keys[k].kty &&
                str_equal(set->keys[i].key_id, set->keys[k].key_id))
                set->keys[i].ambiguous = true;
        if (set->keys[i].ambiguous)
            note(notes, i, "another key has the same kid");
    }
}

enum err
jwks_parse(struct str text, struct buf *notes, struct jwks **out)
{
    struct arena *arena = NULL;
    struct jwks *set;
    const json_t *keys, *item;
    json_t *root;
    enum err e = OK;
    size_t i;

    if (text.len > JWKS_BYTES_MAX)
        return fail(ERR_LIMIT, "the key set is larger than %d bytes", JWKS_BYTES_MAX);
    if ((set = calloc(1, sizeof(*set))) == NULL || (set->arena = arena_new(1 << 20)) == NULL ||
        (arena = arena_new(1 << 20)) == NULL) {
        e = fail(ERR_NOMEM, "no memory for a key set");
        goto out;
    }
    if ((e = strictjson_object(text, "the key set", arena, &root)) != OK)
        goto out;
    keys = json_object_get(root, "keys");
    if (!json_is_array(keys))
        e = fail(ERR_INVALID, "the key set has no array \"keys\"");
    else if (json_array_size(keys) > JWKS_KEYS_MAX)
        e = fail(ERR_LIMIT, "the key set has more than %d keys", JWKS_KEYS_MAX);
    else
        json_array_foreach(keys, i, item) if ((e = add_key(set, i, item, notes)) != OK) break;
    if (e == OK)
        mark_ambiguous(set, notes);
out:
    arena_free(arena);
    if (e != OK) {
        jwks_free(set);
        return e;
    }
    *out = set;
    return OK;
}

void
jwks_free(struct jwks *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->n; i++)
        cjose_jwk_release(set->keys[i].key);
    arena_free(set->arena);
    free(set);
}

size_t
jwks_count(const struct jwks *set)
{
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++)
        n += !set->keys[i].ambiguous;
    return n;
}

bool
jwks_has_key_id(const struct jwks *set, struct str key_id)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->keys[i].key_id.ptr != NULL && str_equal(set->keys[i].key_id, key_id))
            return true;
    return false;
}

const struct jwk *
jwks_find(const struct jwks *set, struct str key_id, struct str algorithm)
{
    const struct jwk *found = NULL;

    for (size_t i = 0; i < set->n; i++) {
        const struct jwk *key = &set->keys[i];

        if (!suits_algorithm(key, algorithm))
            continue;
        if (key_id.ptr != NULL) {
            if (!key->ambiguous && key->key_id.ptr != NULL && str_equal(key->key_id, key_id))
                return key;
            continue;
        }
        if (found != NULL)
            return NULL;
        found = key;
    }
    return found;
}

static bool
is_zero(struct str bytes)
{
    unsigned char any = 0;

    for (size_t i = 0; i < bytes.len; i++)
        any |= (unsigned char)bytes.ptr[i];
    return any == 0;
}

enum err
jwks_verify(const struct jwk *key, const struct jwt *token)
{
    struct str signature = token->signature;
    cjose_err error;
    cjose_jws_t *jws;
    bool ok;

    if (!suits_algorithm(key, token->algorithm))
        return fail(ERR_DENIED, "the token's key is not for its signature algorithm");
    if (signature.len != (key->kty == KTY_RSA ? key->bytes : 2 * key->bytes))
        return fail(ERR_DENIED, "the token's signature has a wrong length");
    if (key->kty == KTY_EC && (is_zero((struct str){signature.ptr, key->bytes}) ||
                               is_zero(str_skip(signature, key->bytes))))
        return fail(ERR_DENIED, "the token's signature is wrong");
    if ((jws = cjose_jws_import(token->text.ptr, token->text.len, &error)) == NULL)
        return fail(ERR_DENIED, "the token's signature cannot be read");
    ok = cjose_jws_verify(jws, key->key, &error);
    cjose_jws_release(jws);
    return ok ? OK : fail(ERR_DENIED, "the token's signature is wrong");
}
