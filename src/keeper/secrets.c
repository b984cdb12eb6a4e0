#include "keeper/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LOCKED_BYTES = 1 << 20, /* within the usual limit on locked memory */
    LOCKED_MIN_BYTES = 64,
    CERTIFICATE_BYTES_MAX = 64 << 10,
    KEY_BYTES_MAX = 64 << 10,
    MASK_KEY_BYTES_MIN = 16, /* a shorter one could be found by trying */
};

struct resource_secrets {
    char *password; /* locked memory; NULL: none */
    size_t password_len;
    EVP_PKEY *client_key;
    struct buf client_certificate;
    unsigned char *mask_key; /* locked memory; NULL: none */
};

struct secrets {
    EVP_PKEY *server_key;
    size_t n;
    struct resource_secrets items[];
};

enum err
secrets_prepare(void)
{
    if (CRYPTO_secure_malloc_init(LOCKED_BYTES, LOCKED_MIN_BYTES) == 0)
        return fail(ERR_NOMEM, "cannot set up locked memory for secrets");
    return OK;
}

/* A key in a PEM file must not ask a terminal for a pass phrase. */
static int
no_passphrase(char *buffer, int size, int for_writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)for_writing;
    (void)arg;
    return -1;
}

static enum err
load_key(const struct config_secret *source, EVP_PKEY **out)
{
    struct buf pem = buf_make(KEY_BYTES_MAX);
    enum err e = config_read_secret(source, &pem);
    BIO *bio = NULL;

    if (e == OK && (bio = BIO_new_mem_buf(pem.ptr, (int)pem.len)) == NULL)
        e = fail(ERR_NOMEM, "no memory for a key");
    if (e == OK && (*out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)) == NULL)
        e = fail(ERR_INVALID, "%.*s: not a private key in PEM without a pass phrase",
                 source->source == SECRET_FILE ? (int)source->value.len : 0, source->value.ptr);
    BIO_free(bio);
    buf_free_secret(&pem);
    return e;
}

static enum err
load_password(const struct config_secret *source, struct resource_secrets *s)
{
    struct buf text = buf_make(KEY_BYTES_MAX);
    enum err e = config_read_secret(source, &text);

    if (e == OK && (s->password = OPENSSL_secure_zalloc(text.len + 1)) == NULL)
        e = fail(ERR_NOMEM, "no locked memory for a password");
    if (e == OK) {
        memcpy(s->password, text.ptr, text.len);
        s->password_len = text.len;
    }
    buf_free_secret(&text);
    return e;
}

static enum err
load_certificate(struct str path, struct buf *out)
{
    struct config_secret source = {SECRET_FILE, path};

    return config_read_secret(&source, out);
}

/* HMAC-SHA256(mask_key, "bulkhead mask key " NAME). */
static enum err
derive_mask_key(struct str secret, struct str resource, unsigned char out[static MASK_KEY_BYTES])
{
    struct buf label = buf_make(512);
    unsigned n = 0;
    enum err e;

    buf_printf(&label, "bulkhead mask key %.*s", STR_ARG(resource));
    if ((e = buf_ok(&label)) == OK &&
        (HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (const unsigned char *)label.ptr,
              label.len, out, &n) == NULL ||
         n != MASK_KEY_BYTES))
        e = fail(ERR_NOMEM, "cannot derive a mask key");
    buf_free(&label);
    return e;
}

static enum err
load_mask_key(const struct config_resource *resource, struct resource_secrets *s)
{
    struct buf text = buf_make(KEY_BYTES_MAX);
    enum err e = config_read_secret(&resource->mask_key, &text);

    if (e == OK && text.len < MASK_KEY_BYTES_MIN)
        e = fail(ERR_INVALID, "the mask_key of resource %.*s has fewer than %d bytes",
                 STR_ARG(resource->name), MASK_KEY_BYTES_MIN);
    if (e == OK && (s->mask_key = OPENSSL_secure_zalloc(MASK_KEY_BYTES)) == NULL)
        e = fail(ERR_NOMEM, "no locked memory for a mask key");
    if (e == OK)
        e = derive_mask_key(buf_str(&text), resource->name, s->mask_key);
    buf_free_secret(&text);
    return e;
}

static enum err
load_resource(const struct config_resource *resource, struct resource_secrets *s)
{
    enum err e = OK;

    s->client_certificate = buf_make(CERTIFICATE_BYTES_MAX);
    if (resource->password.source != SECRET_NONE)
        e = load_password(&resource->password, s);
    if (e == OK && resource->client_certificate.len > 0)
        if ((e = load_certificate(resource->client_certificate, &s->client_certificate)) == OK)
            e = load_key(&resource->client_key, &s->client_key);
    if (e == OK && resource->mask_key.source != SECRET_NONE)
        e = load_mask_key(resource, s);
    return e;
}

enum err
secrets_load(const struct config *config, struct secrets **out)
{
    struct secrets *s = calloc(1, sizeof(*s) + config->n_resources * sizeof(s->items[0]));
    enum err e = OK;

    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for secrets");
    s->n = config->n_resources;
    if (config->tls_certificate.len > 0)
        e = load_key(&config->tls_key, &s->server_key);
    for (size_t i = 0; e == OK && i < s->n; i++)
        e = load_resource(&config->resources[i], &s->items[i]);
    if (e != OK)
        secrets_free(s);
    else
        *out = s;
    return e;
}

void
secrets_free(struct secrets *s)
{
    if (s == NULL)
        return;
    EVP_PKEY_free(s->server_key);
    for (size_t i = 0; i < s->n; i++) {
        OPENSSL_secure_clear_free(s->items[i].password, s->items[i].password_len + 1);
        EVP_PKEY_free(s->items[i].client_key);
        buf_free(&s->items[i].client_certificate);
        OPENSSL_secure_clear_free(s->items[i].mask_key, MASK_KEY_BYTES);
    }
    free(s);
}

EVP_PKEY *
secrets_server_key(const struct secrets *s)
{
    return s->server_key;
}

EVP_PKEY *
secrets_client_key(const struct secrets *s, size_t resource)
{
    return s->items[resource].client_key;
}

struct str
secrets_client_certificate(const struct secrets *s, size_t resource)
{
    return buf_str(&s->items[resource].client_certificate);
}

bool
secrets_password(const struct secrets *s, size_t resource, struct str *password)
{
    const struct resource_secrets *r = &s->items[resource];

    *password = (struct str){r->password, r->password_len};
    return r->password != NULL;
}

void
secrets_mask_key(const struct secrets *s, size_t resource, unsigned char key[static MASK_KEY_BYTES])
{
    memset(key, 0, MASK_KEY_BYTES);
    if (s->items[resource].mask_key != NULL)
        memcpy(key, s->items[resource].mask_key, MASK_KEY_BYTES);
}
