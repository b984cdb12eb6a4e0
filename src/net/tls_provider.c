#include "net/tls_provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The provider lives in a library context of its own, so that OpenSSL never takes it for ordinary
 * keys; the public half, and all arithmetic with it, is OpenSSL's in the default context. Keys
 * cannot be exported, which is what makes OpenSSL sign with the provider that has them. */

#define PROVIDER_NAME    "bulkhead-signer"
#define PARAM_FOR_SERVER "bulkhead-for-server"

enum { SIGNATURE_MAX = 1024 }; /* RSA of 8192 bits */

static const struct tls_scheme schemes[] = {
    {0x0403, "EC", "prime256v1", "SHA256"}, /* ecdsa_secp256r1_sha256 */
    {0x0503, "EC", "secp384r1", "SHA384"},  /* ecdsa_secp384r1_sha384 */
    {0x0603, "EC", "secp521r1", "SHA512"},  /* ecdsa_secp521r1_sha512 */
    {0x0804, "RSA", NULL, "SHA256"},        /* rsa_pss_rsae_sha256 */
    {0x0805, "RSA", NULL, "SHA384"},        {0x0806, "RSA", NULL, "SHA512"},
    {0x0807, "ED25519", NULL, NULL},
};

static struct {
    tls_sign_fn *sign;
    void *arg;
} signers[2]; /* of clients, of servers */
static bool off;

struct remote_key {
    const char *type;
    EVP_PKEY *public_key;
    bool for_server;
};

struct signing {
    const struct remote_key *key;
    char digest[16];
    bool pss;
};

const struct tls_scheme *
tls_scheme_find(uint16_t code)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (schemes[i].code == code)
            return &schemes[i];
    }
    return NULL;
}

bool
tls_scheme_fits(const struct tls_scheme *scheme, const EVP_PKEY *key)
{
    char group[32] = "";

    if (!EVP_PKEY_is_a(key, scheme->key))
        return false;
    return scheme->group == NULL ||
           (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
            strcmp(group, scheme->group) == 0);
}

void
tls_provider_set_signer(bool for_server, tls_sign_fn *sign, void *arg)
{
    signers[for_server].sign = sign;
    signers[for_server].arg = arg;
}

void
tls_provider_set_off(bool value)
{
    off = value;
}

/* --- keys --- */

static struct remote_key *
key_new(const char *type)
{
    struct remote_key *key = calloc(1, sizeof(*key));

    if (key != NULL)
        key->type = type;
    return key;
}

static void *
key_new_rsa(void *provider)
{
    (void)provider;
    return key_new("RSA");
}

static void *
key_new_ec(void *provider)
{
    (void)provider;
    return key_new("EC");
}

static void *
key_new_ed25519(void *provider)
{
    (void)provider;
    return key_new("ED25519");
}

static void
key_free(void *data)
{
    struct remote_key *key = data;

    if (key != NULL)
        EVP_PKEY_free(key->public_key);
    free(key);
}

static int
key_has(const void *data, int selection)
{
    const struct remote_key *key = data;

    (void)selection; /* the private half too, by its signer */
    return key != NULL && key->public_key != NULL;
}

static int
key_match(const void *one, const void *other, int selection)
{
    const struct remote_key *a = one, *b = other;

    (void)selection;
    return EVP_PKEY_eq(a->public_key, b->public_key) == 1;
}

static int
key_import(void *data, int selection, const OSSL_PARAM params[])
{
    struct remote_key *key = data;
    const OSSL_PARAM *for_server = OSSL_PARAM_locate_const(params, PARAM_FOR_SERVER);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, key->type, NULL);
    int value = 0;
    int ok = key->public_key == NULL && context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
             (for_server == NULL || OSSL_PARAM_get_int(for_server, &value) == 1) &&
             EVP_PKEY_fromdata(context, &key->public_key, EVP_PKEY_PUBLIC_KEY,
                               (OSSL_PARAM *)params) == 1;

    (void)selection;
    key->for_server = value != 0;
    EVP_PKEY_CTX_free(context);
    return ok;
}

static const OSSL_PARAM *
key_import_types(int selection)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_int(PARAM_FOR_SERVER, NULL),
        OSSL_PARAM_END,
    };

    (void)selection;
    return types;
}

static int
key_get_params(void *data, OSSL_PARAM params[])
{
    const struct remote_key *key = data;

    return EVP_PKEY_get_params(key->public_key, params);
}

static const OSSL_PARAM *
key_gettable_params(void *provider)
{
    static const OSSL_PARAM gettable[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)provider;
    return gettable;
}

static const char *
key_operation_ec(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define FUNCTION(id, fn)                                                                           \
    {                                                                                              \
        (id), (void (*)(void))(fn)                                                                 \
    }
#define KEY_FUNCTIONS(constructor)                                                                 \
    FUNCTION(OSSL_FUNC_KEYMGMT_NEW, constructor), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),      \
        FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has), FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),    \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                            \
        FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),                                \
        FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                    \
        FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params)

static const OSSL_DISPATCH rsa_keys[] = {KEY_FUNCTIONS(key_new_rsa), {0, NULL}};
static const OSSL_DISPATCH ed25519_keys[] = {KEY_FUNCTIONS(key_new_ed25519), {0, NULL}};
static const OSSL_DISPATCH ec_keys[] = {
    KEY_FUNCTIONS(key_new_ec),
    FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_ec),
    {0, NULL},
};

/* --- signatures --- */

static void *
signing_new(void *provider, const char *properties)
{
    (void)provider;
    (void)properties;
    return calloc(1, sizeof(struct signing));
}

static int
signing_set_params(void *data, const OSSL_PARAM params[])
{
    struct signing *s = data;
    const OSSL_PARAM *mode = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
    int number;

    /* The salt is always as long as the digest, RFC 8446 §4.2.3; TLS asks for nothing else. */
    if (mode == NULL)
        return 1;
    if (mode->data_type == OSSL_PARAM_UTF8_STRING)
        s->pss = mode->data != NULL && strcasecmp(mode->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
    else
        s->pss = OSSL_PARAM_get_int(mode, &number) == 1 && number == RSA_PKCS1_PSS_PADDING;
    return 1;
}

static const OSSL_PARAM *
signing_settable_params(void *data, void *provider)
{
    static const OSSL_PARAM settable[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)data;
    (void)provider;
    return settable;
}

static int
signing_init(void *data, const char *digest, void *key, const OSSL_PARAM params[])
{
    struct signing *s = data;

    s->key = key;
    s->digest[0] = '\0';
    if (digest != NULL && strlen(digest) < sizeof(s->digest))
        memcpy(s->digest, digest, strlen(digest) + 1);
    return key != NULL && (params == NULL || signing_set_params(s, params));
}

/* "SHA2-256" is "SHA256". */
static bool
same_digest(const char *name, const char *digest)
{
    if (digest == NULL)
        return name[0] == '\0';
    if (strncasecmp(name, "SHA2-", 5) == 0)
        return strcmp(name + 5, digest + 3) == 0;
    return strcasecmp(name, digest) == 0;
}

static const struct tls_scheme *
signing_scheme(const struct signing *s)
{
    bool rsa = strcmp(s->key->type, "RSA") == 0;

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (same_digest(s->digest, schemes[i].digest) &&
            tls_scheme_fits(&schemes[i], s->key->public_key))
            return rsa && !s->pss ? NULL : &schemes[i];
    }
    return NULL;
}

static enum err
ask_signer(const struct signing *s, struct str content, struct buf *signature)
{
    const struct tls_scheme *scheme = signing_scheme(s);
    bool for_server = s->key->for_server;
    enum err e;

    if (scheme == NULL)
        return fail(ERR_UNSUPPORTED, "no TLS 1.3 signature scheme for %s with %s", s->key->type,
                    s->digest);
    if (off || signers[for_server].sign == NULL)
        return fail(ERR_UNAVAILABLE, "there is no signer");
    e = signers[for_server].sign(signers[for_server].arg, scheme->code, content, signature);
    return e == OK ? buf_ok(signature) : e;
}

static int
signing_sign(void *data, unsigned char *out, size_t *out_len, size_t out_max,
             const unsigned char *content, size_t len)
{
    const struct signing *s = data;
    struct buf signature = buf_make(SIGNATURE_MAX);
    int ok = 0;

    if (out == NULL) {
        *out_len = (size_t)EVP_PKEY_get_size(s->key->public_key);
        return 1;
    }
    if (ask_signer(s, (struct str){(const char *)content, len}, &signature) != OK) {
        ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "%s", err_text());
    } else if (signature.len == 0 || signature.len > out_max) {
        ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "a signature of %zu bytes",
                       signature.len);
    } else {
        memcpy(out, signature.ptr, signature.len);
        *out_len = signature.len;
        ok = 1;
    }
    buf_free(&signature);
    return ok;
}

static const OSSL_DISPATCH signatures[] = {
    FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
    FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, free),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_init),
    FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
    FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
    FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
    {0, NULL},
};

/* --- the provider --- */

static const OSSL_ALGORITHM *
provider_query(void *provider, int operation, int *no_cache)
{
    static const char properties[] = "provider=" PROVIDER_NAME;
    static const OSSL_ALGORITHM keys[] = {
        {"RSA:rsaEncryption:1.2.840.113549.1.1.1", properties, rsa_keys, NULL},
        {"EC:id-ecPublicKey:1.2.840.10045.2.1", properties, ec_keys, NULL},
        {"ED25519:1.3.101.112", properties, ed25519_keys, NULL},
        {NULL, NULL, NULL, NULL},
    };
    static const OSSL_ALGORITHM signers_of_keys[] = {
        {"RSA:rsaEncryption:1.2.840.113549.1.1.1", properties, signatures, NULL},
        {"ECDSA", properties, signatures, NULL},
        {"ED25519:1.3.101.112", properties, signatures, NULL},
        {NULL, NULL, NULL, NULL},
    };

    (void)provider;
    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT     ? keys
           : operation == OSSL_OP_SIGNATURE ? signers_of_keys
                                            : NULL;
}

static int
provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
              void **provider)
{
    static const OSSL_DISPATCH functions[] = {
        FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
        {0, NULL},
    };

    (void)in;
    *out = functions;
    *provider = (void *)core;
    return 1;
}

/* Made once and kept: the keys of every context are in it. */
static OSSL_LIB_CTX *
provider_library(void)
{
    static OSSL_LIB_CTX *library;

    if (library == NULL && (library = OSSL_LIB_CTX_new()) != NULL &&
        (OSSL_PROVIDER_add_builtin(library, PROVIDER_NAME, provider_init) != 1 ||
         OSSL_PROVIDER_load(library, PROVIDER_NAME) == NULL)) {
        OSSL_LIB_CTX_free(library);
        library = NULL;
    }
    return library;
}

void
tls_provider_prepare(void)
{
    (void)provider_library();
}

static const char *
key_type(const EVP_PKEY *key)
{
    static const char *const types[] = {"RSA", "EC", "ED25519"};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (EVP_PKEY_is_a(key, types[i]))
            return types[i];
    }
    return NULL;
}

enum err
tls_provider_key(EVP_PKEY *public_key, bool for_server, EVP_PKEY **out)
{
    const char *type = key_type(public_key);
    int flag = for_server;
    OSSL_PARAM role[] = {OSSL_PARAM_construct_int(PARAM_FOR_SERVER, &flag),
                         OSSL_PARAM_construct_end()};
    OSSL_PARAM *parts = NULL, *params = NULL;
    EVP_PKEY_CTX *context = NULL;
    bool ok;

    *out = NULL;
    if (type == NULL)
        return fail(ERR_UNSUPPORTED, "a certificate's key must be RSA, EC or Ed25519");
    ok = EVP_PKEY_todata(public_key, EVP_PKEY_PUBLIC_KEY, &parts) == 1 &&
         (params = OSSL_PARAM_merge(parts, role)) != NULL &&
         (context = EVP_PKEY_CTX_new_from_name(provider_library(), type, NULL)) != NULL &&
         EVP_PKEY_fromdata_init(context) == 1 &&
         EVP_PKEY_fromdata(context, out, EVP_PKEY_PUBLIC_KEY, params) == 1;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_free(parts);
    if (!ok)
        return fail(ERR_TLS, "cannot make a key that the signer stands for (%s)", type);
    return OK;
}
