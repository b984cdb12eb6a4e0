#include "identity/local.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/encode.h"
#include "base/json.h"
#include "identity/statefile.h"

enum {
    COORDINATE_BYTES = 32,
    KEY_FILE_BYTES_MAX = 16384,
    TOKEN_HEADER_AND_PAYLOAD_MAX = 12000, /* becomes a third longer, plus a signature */
};

struct local {
    EVP_PKEY *key;
    char x[48], y[48];   /* the public point, base64url */
    char thumbprint[48]; /* RFC 7638: the key's id */
};

static enum err
encode_text(struct str bytes, char out[static 48])
{
    struct buf text = buf_make(47);
    enum err e;

    encode_base64url(&text, bytes);
    if ((e = buf_ok(&text)) == OK) {
        memcpy(out, text.ptr, text.len);
        out[text.len] = '\0';
    }
    buf_free(&text);
    return e;
}

static enum err
encode_coordinate(const EVP_PKEY *key, const char *param, char out[static 48])
{
    unsigned char bytes[COORDINATE_BYTES];
    BIGNUM *n = NULL;
    enum err e;

    if (EVP_PKEY_get_bn_param(key, param, &n) != 1 || BN_bn2binpad(n, bytes, sizeof(bytes)) < 0)
        e = fail(ERR_INVALID, "the local issuer's key cannot be read");
    else
        e = encode_text((struct str){(const char *)bytes, sizeof(bytes)}, out);
    BN_free(n);
    return e;
}

/* RFC 7638 §3: the required members in order, without white space. */
static enum err
describe_key(struct local *l)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char group[32], text[256];
    enum err e;
    int n;

    if (EVP_PKEY_get_utf8_string_param(l->key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                       NULL) != 1 ||
        strcmp(group, "prime256v1") != 0)
        return fail(ERR_INVALID, "the local issuer's key is not on the curve P-256");
    if ((e = encode_coordinate(l->key, OSSL_PKEY_PARAM_EC_PUB_X, l->x)) != OK ||
        (e = encode_coordinate(l->key, OSSL_PKEY_PARAM_EC_PUB_Y, l->y)) != OK)
        return e;
    n = snprintf(text, sizeof(text), "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
                 l->x, l->y);
    SHA256((const unsigned char *)text, (size_t)n, digest);
    return encode_text((struct str){(const char *)digest, sizeof(digest)}, l->thumbprint);
}

/* A file that others can read or write is no secret and no authority. */
static enum err
check_file(int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return fail_errno(ERR_IO, "looking at %s", path);
    if (!S_ISREG(st.st_mode) || st.st_size > KEY_FILE_BYTES_MAX)
        return fail(ERR_INVALID, "%s is not a key file", path);
    if ((st.st_mode & 077) != 0)
        return fail(ERR_DENIED,
                    "%s can be read by others; chmod 600 it, or remove it to get a "
                    "new key",
                    path);
    if (st.st_uid != geteuid())
        return fail(ERR_DENIED, "%s belongs to another user", path);
    return OK;
}

static enum err
load(struct local *l, int fd, const char *path)
{
    FILE *file;
    enum err e = check_file(fd, path);

    if (e != OK || (file = fdopen(fd, "r")) == NULL) {
        close(fd);
        return e != OK ? e : fail_errno(ERR_IO, "reading %s", path);
    }
    /* Unbuffered: stdio would leave a copy of the key behind. An empty pass phrase, lest the
     * library asks a terminal. */
    setvbuf(file, NULL, _IONBF, 0);
    l->key = PEM_read_PrivateKey(file, NULL, NULL, (void *)(uintptr_t) "");
    fclose(file);
    if (l->key == NULL || !EVP_PKEY_is_a(l->key, "EC"))
        return fail(ERR_INVALID, "%s holds no elliptic-curve key in PEM", path);
    return OK;
}

/* Written whole beside its place and linked there, so that a crash leaves no half of a key and
 * nobody's key is replaced. */
static enum err
create(struct local *l, const char *path)
{
    char temporary[STATEFILE_PATH_MAX];
    enum err e = OK;
    FILE *file;
    int fd;

    if ((l->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")) == NULL)
        return fail(ERR_NOMEM, "the local issuer's key cannot be made");
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
        return fail(ERR_LIMIT, "the state directory's name is too long");
    (void)unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_errno(ERR_IO, "creating %s", temporary);
    if ((file = fdopen(fd, "w")) == NULL) {
        close(fd);
        return fail_errno(ERR_IO, "creating %s", temporary);
    }
    setvbuf(file, NULL, _IONBF, 0);
    if (PEM_write_PrivateKey(file, l->key, NULL, NULL, 0, NULL, NULL) != 1 || fsync(fd) != 0 ||
        link(temporary, path) != 0)
        e = fail_errno(ERR_IO, "writing %s", path);
    fclose(file);
    (void)unlink(temporary);
    return e == OK ? statefile_sync_folder(path) : e;
}

enum err
local_open(const char *path, struct local **out)
{
    struct local *l = calloc(1, sizeof(*l));
    enum err e;
    int fd;

    if (l == NULL)
        return fail(ERR_NOMEM, "no memory for the local issuer");
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        e = load(l, fd, path);
    else if (errno == ENOENT)
        e = create(l, path);
    else
        e = fail_errno(ERR_IO, "opening %s", path);
    if (e == OK)
        e = describe_key(l);
    if (e != OK) {
        local_close(l);
        return e;
    }
    *out = l;
    return OK;
}

void
local_close(struct local *l)
{
    if (l == NULL)
        return;
    EVP_PKEY_free(l->key);
    free(l);
}

const struct config_issuer *
local_config(void)
{
    static const struct str audiences[] = {STR_INIT(LOCAL_AUDIENCE)};
    static const struct str algorithms[] = {STR_INIT("ES256")};
    static const struct str types[] = {STR_INIT("at+jwt")};
    static const struct config_issuer config = {
        .name = STR_INIT(LOCAL_NAME),
        .issuer = STR_INIT(LOCAL_ISSUER),
        .enabled = true,
        .audiences = {audiences, 1},
        .algorithms = {algorithms, 1},
        .types = {types, 1},
        .groups_claim = STR_INIT("groups"),
        .subject_claim = STR_INIT("sub"),
        .task_claim = STR_INIT(LOCAL_TASK_CLAIM),
        /* The lifetime was decided when the token was issued. */
        .max_lifetime_seconds = UINT32_MAX,
    };

    return &config;
}

static enum err
check_name(struct str name, const char *what)
{
    if (name.len == 0 || name.len > LOCAL_NAME_BYTES_MAX)
        return fail(ERR_INVALID, "a %s must have 1 to %d bytes", what, LOCAL_NAME_BYTES_MAX);
    if (!str_is_utf8(name))
        return fail(ERR_INVALID, "a %s must be UTF-8", what);
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return fail(ERR_INVALID, "a %s must not have control characters", what);
    return OK;
}

static enum err
check_request(const struct token_request *r)
{
    enum err e;

    if ((e = check_name(r->subject, "subject")) != OK)
        return e;
    if (r->groups.n > LOCAL_LIST_MAX || r->resources.n > LOCAL_LIST_MAX)
        return fail(ERR_INVALID, "a token can have at most %d groups and %d resources",
                    LOCAL_LIST_MAX, LOCAL_LIST_MAX);
    if (r->actors.n > PRINCIPAL_ACTORS_MAX)
        return fail(ERR_INVALID, "a token can have at most %d actors", PRINCIPAL_ACTORS_MAX);
    for (size_t i = 0; i < r->actors.n; i++)
        if ((e = check_name(r->actors.items[i], "actor")) != OK)
            return e;
    if (r->task.len > 0 && (e = check_name(r->task, "task")) != OK)
        return e;
    for (size_t i = 0; i < r->groups.n; i++)
        if ((e = check_name(r->groups.items[i], "group")) != OK)
            return e;
    for (size_t i = 0; i < r->resources.n; i++)
        if ((e = check_name(r->resources.items[i], "resource")) != OK)
            return e;
    return OK;
}

static void
write_list(struct json *j, const char *name, struct str_list list)
{
    json_key(j, name);
    json_open(j, '[');
    for (size_t i = 0; i < list.n; i++)
        json_str(j, list.items[i]);
    json_close(j, ']');
}

/* RFC 8693 §4.1: the one who acts now outside, the first who acted innermost. */
static void
write_actors(struct json *j, struct str_list actors)
{
    for (size_t i = actors.n; i > 0; i--) {
        json_key(j, "act");
        json_open(j, '{');
        json_field_str(j, "sub", actors.items[i - 1]);
    }
    for (size_t i = 0; i < actors.n; i++)
        json_close(j, '}');
}

static void
write_payload(const struct token_request *r, struct str id, int64_t now, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    json_field_text(&j, "iss", LOCAL_ISSUER);
    json_field_text(&j, "aud", LOCAL_AUDIENCE);
    json_field_str(&j, "sub", r->subject);
    write_list(&j, "groups", r->groups);
    if (r->resources.n > 0)
        write_list(&j, "resources", r->resources);
    write_actors(&j, r->actors);
    if (r->task.len > 0)
        json_field_str(&j, LOCAL_TASK_CLAIM, r->task);
    if (r->one_use)
        json_field_bool(&j, LOCAL_ONE_USE_CLAIM, true);
    json_field_str(&j, "jti", id);
    json_field_uint(&j, "iat", (uint64_t)now);
    json_field_uint(&j, "exp", (uint64_t)now + r->ttl_seconds);
    json_close(&j, '}');
}

/* Appends the signature of `text` as r‖s (RFC 7518 §3.4). */
static enum err
sign(const struct local *l, struct str text, unsigned char raw[static 2 * COORDINATE_BYTES])
{
    unsigned char der[128];
    const unsigned char *at = der;
    size_t len = sizeof(der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ECDSA_SIG *sig = NULL;
    bool ok;

    ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, l->key) == 1 &&
         EVP_DigestSign(ctx, der, &len, (const unsigned char *)text.ptr, text.len) == 1 &&
         (sig = d2i_ECDSA_SIG(NULL, &at, (long)len)) != NULL &&
         BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, COORDINATE_BYTES) == COORDINATE_BYTES &&
         BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + COORDINATE_BYTES, COORDINATE_BYTES) ==
             COORDINATE_BYTES;
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    return ok ? OK : fail(ERR_NOMEM, "the token cannot be signed");
}

static enum err
write_token(const struct local *l, const struct token_request *request, struct str id, int64_t now,
            struct buf *token)
{
    unsigned char raw[2 * COORDINATE_BYTES];
    struct buf part = buf_make(TOKEN_HEADER_AND_PAYLOAD_MAX);
    size_t start = token->len;
    enum err e;

    buf_printf(&part, "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", l->thumbprint);
    encode_base64url(token, buf_str(&part));
    buf_put_u8(token, '.');
    buf_reset(&part);
    write_payload(request, id, now, &part);
    if ((e = buf_ok(&part)) == OK) {
        encode_base64url(token, buf_str(&part));
        if ((e = buf_ok(token)) == OK)
            e = sign(l, str_skip(buf_str(token), start), raw);
    } else {
        e = fail(ERR_INVALID, "the subject, groups and resources do not fit into a token");
    }
    buf_free(&part);
    if (e != OK)
        return e;
    buf_put_u8(token, '.');
    encode_base64url(token, (struct str){(const char *)raw, sizeof(raw)});
    return buf_ok(token);
}

enum err
local_issue(const struct local *l, const struct token_request *request, int64_t now,
            struct buf *token, struct buf *token_id)
{
    unsigned char random[LOCAL_ID_BYTES];
    size_t start = token_id->len;
    enum err e;

    if ((e = check_request(request)) != OK)
        return e;
    if (RAND_bytes(random, sizeof(random)) != 1)
        return fail(ERR_NOMEM, "no random numbers for a token");
    encode_hex(token_id, (struct str){(const char *)random, sizeof(random)});
    if ((e = buf_ok(token_id)) != OK)
        return e;
    return write_token(l, request, str_skip(buf_str(token_id), start), now, token);
}

void
local_jwks(const struct local *l, struct buf *out)
{
    buf_printf(out,
               "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\","
               "\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":\"%s\"}]}",
               l->x, l->y, l->thumbprint);
}
