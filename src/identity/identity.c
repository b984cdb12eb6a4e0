#include "identity/identity.h"

#include <errno.h>
#include <sys/stat.h>

#include <curl/curl.h>
#include <openssl/sha.h>

#include "base/clock.h"
#include "base/encode.h"
#include "identity/expiry.h"
#include "identity/issuer.h"
#include "identity/local.h"
#include "identity/statefile.h"

enum {
    REVOKED_MAX = 100000,
    USED_MAX = 100000,
    REVOCATION_SECONDS_MIN = 7 * 24 * 60 * 60,
    CONFIG_COPY_BYTES_MAX = 4 << 20,
    RELOADS_WAITED_OUT = 3,
};

/* One issuer as it is configured now. */
struct known {
    struct config_issuer config;
    struct issuer_keys *keys; /* NULL: disabled, or the local one */
};

/* All of them; replaced as a whole by a reload, while verifications that wait hold the old ones. */
struct issuers {
    unsigned holders;
    struct arena *arena;
    struct known *items;
    size_t n;
    bool local_enabled;
    struct config_issuer local;
    int64_t revocation_seconds; /* no accepted token lives longer */
};

struct identity {
    struct issuers *issuers;
    struct local *local; /* NULL: never enabled so far */
    struct jwks *local_keys;
    struct expiry_set *revoked; /* token ids */
    struct expiry_set *used;    /* digests of issuer and token id, for one-use issuers */
    char *state_directory;
};

static int64_t
wall_seconds(void)
{
    return clock_wall_us() / 1000000;
}

static void
issuers_release(struct issuers *s)
{
    if (s == NULL || --s->holders > 0)
        return;
    for (size_t i = 0; i < s->n; i++)
        issuer_keys_release(s->items[i].keys);
    arena_free(s->arena);
    free(s);
}

static bool
copy_str(struct arena *arena, struct str *s)
{
    *s = arena_str(arena, *s);
    return s->ptr != NULL;
}

static bool
copy_list(struct arena *arena, struct str_list *list)
{
    struct str *items = arena_array(arena, list->n + 1, sizeof(*items));

    if (items == NULL)
        return false;
    for (size_t i = 0; i < list->n; i++) {
        items[i] = list->items[i];
        if (!copy_str(arena, &items[i]))
            return false;
    }
    list->items = items;
    return true;
}

/* The configuration may be gone before the issuers are. */
static bool
copy_config(struct arena *arena, const struct config_issuer *from, struct config_issuer *to)
{
    *to = *from;
    return copy_str(arena, &to->name) && copy_str(arena, &to->issuer) &&
           copy_str(arena, &to->jwks_uri) && copy_str(arena, &to->ca) &&
           copy_list(arena, &to->audiences) && copy_list(arena, &to->algorithms) &&
           copy_list(arena, &to->types) && copy_list(arena, &to->authorized_parties) &&
           copy_str(arena, &to->groups_claim) && copy_str(arena, &to->subject_claim) &&
           copy_str(arena, &to->task_claim);
}

/* The keys that `old` has for this issuer, or new ones. */
static enum err
take_keys(const struct issuers *old, struct known *known)
{
    for (size_t i = 0; old != NULL && i < old->n; i++)
        if (old->items[i].keys != NULL && issuer_keys_fit(old->items[i].keys, &known->config)) {
            known->keys = issuer_keys_hold(old->items[i].keys);
            return OK;
        }
    return issuer_keys_open(&known->config, &known->keys);
}

static enum err
add_issuer(struct issuers *s, const struct config_issuer *config, const struct issuers *old)
{
    struct known *known = &s->items[s->n];
    int64_t lifetime = config->max_lifetime_seconds != 0 ? config->max_lifetime_seconds
                                                         : JWT_LIFETIME_SECONDS_DEFAULT;

    if (str_is(config->issuer, LOCAL_ISSUER) || str_is(config->name, LOCAL_NAME))
        return fail(ERR_INVALID, "\"%s\" and \"%s\" name the gateway's own issuer", LOCAL_NAME,
                    LOCAL_ISSUER);
    for (size_t i = 0; i < s->n; i++)
        if (str_equal(s->items[i].config.issuer, config->issuer))
            return fail(ERR_INVALID, "issuer %.*s is configured twice", STR_ARG(config->issuer));
    if (!copy_config(s->arena, config, &known->config))
        return fail(ERR_NOMEM, "no memory for the issuers");
    known->keys = NULL;
    s->n++;
    if (lifetime > s->revocation_seconds)
        s->revocation_seconds = lifetime;
    return config->enabled ? take_keys(old, known) : OK;
}

static enum err
issuers_make(const struct config *config, const struct issuers *old, struct issuers **out)
{
    struct issuers *s = calloc(1, sizeof(*s));
    enum err e = OK;

    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for the issuers");
    s->holders = 1;
    s->arena = arena_new(CONFIG_COPY_BYTES_MAX);
    s->local_enabled = config->local_issuer.enabled;
    s->local = *local_config();
    s->local.max_lifetime_seconds = config->local_issuer.max_ttl_seconds;
    s->revocation_seconds = REVOCATION_SECONDS_MIN;
    if (s->local.max_lifetime_seconds > s->revocation_seconds)
        s->revocation_seconds = s->local.max_lifetime_seconds;
    if (s->arena == NULL ||
        (s->items = arena_array(s->arena, config->n_issuers + 1, sizeof(*s->items))) == NULL)
        e = fail(ERR_NOMEM, "no memory for the issuers");
    for (size_t i = 0; e == OK && i < config->n_issuers; i++)
        e = add_issuer(s, &config->issuers[i], old);
    if (e != OK) {
        issuers_release(s);
        return e;
    }
    *out = s;
    return OK;
}

static enum err
state_path(const struct identity *id, const char *name, char path[static STATEFILE_PATH_MAX])
{
    if (snprintf(path, STATEFILE_PATH_MAX, "%s/%s", id->state_directory, name) >=
        STATEFILE_PATH_MAX)
        return fail(ERR_LIMIT, "the state directory's name is too long");
    return OK;
}

/* Makes the local issuer ready when it is first enabled. */
static enum err
open_local(struct identity *id)
{
    struct buf keys = buf_make(4096);
    char path[STATEFILE_PATH_MAX];
    enum err e;

    if (id->local != NULL)
        return OK;
    if ((e = state_path(id, "local-issuer.key", path)) != OK ||
        (e = local_open(path, &id->local)) != OK)
        return e;
    local_jwks(id->local, &keys);
    if ((e = buf_ok(&keys)) == OK)
        e = jwks_parse(buf_str(&keys), NULL, &id->local_keys);
    buf_free(&keys);
    if (e != OK) {
        local_close(id->local);
        id->local = NULL;
    }
    return e;
}

static enum err
open_lists(struct identity *id)
{
    char path[STATEFILE_PATH_MAX];
    enum err e;

    if (mkdir(id->state_directory, 0700) != 0 && errno != EEXIST)
        return fail_errno(ERR_IO, "making the state directory %s", id->state_directory);
    if ((e = state_path(id, "revoked", path)) != OK ||
        (e = expiry_open(path, REVOKED_MAX, true, wall_seconds(), &id->revoked)) != OK)
        return e;
    if ((e = state_path(id, "used", path)) != OK)
        return e;
    return expiry_open(path, USED_MAX, false, wall_seconds(), &id->used);
}

enum err
identity_open(const struct config *config, struct identity **out)
{
    struct identity *id;
    enum err e = OK;

    if (config->state_directory.len == 0)
        return fail(ERR_INVALID, "no state directory is configured");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return fail(ERR_NOMEM, "the HTTPS library cannot be started");
    if ((id = calloc(1, sizeof(*id))) == NULL)
        return fail(ERR_NOMEM, "no memory for the issuers");
    id->state_directory = strndup(config->state_directory.ptr, config->state_directory.len);
    if (id->state_directory == NULL)
        e = fail(ERR_NOMEM, "no memory for the issuers");
    else
        e = open_lists(id);
    if (e == OK)
        e = identity_reload(id, config);
    if (e != OK) {
        identity_close(id);
        return e;
    }
    *out = id;
    return OK;
}

void
identity_close(struct identity *id)
{
    if (id == NULL)
        return;
    issuers_release(id->issuers);
    jwks_free(id->local_keys);
    local_close(id->local);
    expiry_close(id->revoked);
    expiry_close(id->used);
    free(id->state_directory);
    free(id);
}

enum err
identity_reload(struct identity *id, const struct config *config)
{
    struct issuers *fresh;
    enum err e;

    if (config->local_issuer.enabled && (e = open_local(id)) != OK)
        return e;
    if ((e = issuers_make(config, id->issuers, &fresh)) != OK)
        return e;
    issuers_release(id->issuers);
    id->issuers = fresh;
    return OK;
}

/* The issuer that the token names, if it may be used. `*keys` is NULL for the local one. */
static enum err
select_issuer(const struct issuers *s, const struct jwt *t, const struct config_issuer **config,
              struct issuer_keys **keys)
{
    if (str_is(t->issuer, LOCAL_ISSUER)) {
        if (!s->local_enabled)
            return fail(ERR_DENIED, "the gateway's own issuer is not enabled");
        *config = &s->local;
        *keys = NULL;
        return OK;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (!str_equal(s->items[i].config.issuer, t->issuer))
            continue;
        if (!s->items[i].config.enabled)
            return fail(ERR_DENIED, "the token's issuer is disabled here");
        *config = &s->items[i].config;
        *keys = s->items[i].keys;
        return OK;
    }
    return fail(ERR_DENIED, "the token's issuer (\"iss\") is not known here");
}

/* A token that is being verified. */
struct question {
    struct jwt token;
    struct str client_id; /* an ID token, given to this client; empty: an access token */
};

/* An ID token has no type of its own (RFC 7519 §5.1): an issuer's `types` are about access tokens.
 */
static enum err
check_header(const struct question *q, const struct config_issuer *config)
{
    static const struct str types[] = {STR_INIT("jwt"), STR_INIT("none")};
    struct config_issuer login = *config;

    login.types = (struct str_list){types, 2};
    return jwt_check_header(&q->token, q->client_id.len > 0 ? &login : config);
}

/* Accepts each token of a one-use issuer once. */
static enum err
use_once(struct identity *id, const struct jwt *t, const struct principal *p)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct buf name = buf_make(4096);
    enum err e;

    if (json_object_get(t->claims, "jti") == NULL)
        return fail(ERR_DENIED, "the token has no \"jti\", which one-use tokens must have");
    buf_put_str(&name, p->issuer);
    buf_put_u8(&name, '\0');
    buf_put_str(&name, p->token_id);
    SHA256((const unsigned char *)name.ptr, name.len, digest);
    e = buf_ok(&name);
    buf_reset(&name);
    encode_hex(&name, (struct str){(const char *)digest, sizeof(digest)});
    if (e == OK && (e = buf_ok(&name)) == OK)
        e = expiry_add(id->used, buf_str(&name), p->expires_us / 1000000, wall_seconds());
    buf_free(&name);
    if (e == ERR_EXISTS)
        return fail(ERR_DENIED, "the token was used before; get a new one for each connection");
    if (e == ERR_LIMIT)
        return fail(ERR_DENIED, "too many one-use tokens are in use at present; try again later");
    return e == OK ? OK : fail(ERR_UNAVAILABLE, "one-use tokens cannot be recorded at present");
}

/* Whether the local issuer marked the token to be accepted once (a link for a login). */
static bool
is_marked_one_use(const struct jwt *t, const struct config_issuer *config)
{
    return str_is(config->name, LOCAL_NAME) &&
           json_is_true(json_object_get(t->claims, LOCAL_ONE_USE_CLAIM));
}

/* All after the key is found: does not wait. An ID token is used up by its nonce, which the console
 * made for one login; it need not have a `jti`. */
static enum err
accept_token(struct identity *id, const struct question *q, const struct config_issuer *config,
             const struct jwk *key, struct arena *arena, struct principal *out)
{
    const struct jwt *t = &q->token;
    struct principal principal;
    enum err e;

    if ((e = jwks_verify(key, t)) != OK ||
        (e = q->client_id.len > 0 ? jwt_check_login_claims(t, config, q->client_id, wall_seconds())
                                  : jwt_check_claims(t, config, wall_seconds())) != OK ||
        (e = jwt_principal(t, config, arena, &principal)) != OK)
        return e;
    /* What `resources` means is ours to say only in our own tokens. */
    if (str_is(config->name, LOCAL_NAME) &&
        (e = jwt_string_list(t, STR("resources"), arena, &principal.resources)) != OK)
        return e;
    if (expiry_has(id->revoked, principal.token_id))
        return fail(ERR_DENIED, "the token has been revoked");
    if (((config->one_use && q->client_id.len == 0) || is_marked_one_use(t, config)) &&
        (e = use_once(id, t, &principal)) != OK)
        return e;
    *out = principal;
    return OK;
}

/* [waits] With the issuers as they are now; `*changed`: they are others by the time the key is
 * there, and nothing was decided. */
static enum err
verify_once(struct identity *id, const struct question *q, struct arena *arena,
            struct principal *out, bool *changed)
{
    const struct jwt *t = &q->token;
    const struct config_issuer *config = NULL;
    const struct jwk *key = NULL;
    struct issuers *issuers = id->issuers;
    struct issuer_keys *keys = NULL;
    enum err e;

    *changed = false;
    if ((e = select_issuer(issuers, t, &config, &keys)) != OK ||
        (e = check_header(q, config)) != OK)
        return e;
    if (keys == NULL && q->client_id.len > 0)
        return fail(ERR_DENIED, "the gateway's own issuer gives no ID tokens");
    if (keys == NULL) {
        if ((key = jwks_find(id->local_keys, t->key_id, t->algorithm)) == NULL)
            return fail(ERR_DENIED, "the token's key is not the gateway's own");
        return accept_token(id, q, config, key, arena, out);
    }
    issuers->holders++;
    e = issuer_keys_find(keys, t, &key);
    *changed = issuers != id->issuers;
    if (e == OK && !*changed)
        e = accept_token(id, q, config, key, arena, out);
    issuers_release(issuers);
    return e;
}

static enum err
verify(struct identity *id, struct question *q, struct str token, struct arena *arena,
       struct principal *out)
{
    bool changed = true;
    enum err e;

    if ((e = jwt_parse(token, arena, &q->token)) != OK)
        return e;
    for (int i = 0; changed && i < RELOADS_WAITED_OUT; i++)
        if ((e = verify_once(id, q, arena, out, &changed)) == ERR_CANCELED)
            return e;
    if (changed)
        return fail(ERR_UNAVAILABLE, "the configuration of issuers keeps changing; try again");
    return e;
}

enum err
identity_verify(struct identity *id, struct str token, struct arena *arena, struct principal *out)
{
    struct question q = {.client_id = STR("")};

    return verify(id, &q, token, arena, out);
}

enum err
identity_verify_login(struct identity *id, struct str token, struct str client_id,
                      struct arena *arena, struct principal *out)
{
    struct question q = {.client_id = client_id};

    if (client_id.len == 0)
        return fail(ERR_INVALID, "no client is configured for logins");
    return verify(id, &q, token, arena, out);
}

bool
identity_is_revoked(const struct identity *id, struct str issuer, struct str token_id)
{
    const struct issuers *s = id->issuers;

    if (expiry_has(id->revoked, token_id))
        return true;
    if (str_is(issuer, LOCAL_NAME))
        return !s->local_enabled;
    for (size_t i = 0; i < s->n; i++)
        if (str_equal(s->items[i].config.name, issuer))
            return !s->items[i].config.enabled;
    return true;
}

enum err
identity_issue(struct identity *id, const struct token_request *request, struct buf *token,
               struct buf *token_id)
{
    const struct issuers *s = id->issuers;

    if (!s->local_enabled)
        return fail(ERR_DENIED, "the local issuer is not enabled (local_issuer: {enabled: true})");
    if (request->ttl_seconds == 0)
        return fail(ERR_INVALID, "a token must live at least one second");
    if (request->ttl_seconds > s->local.max_lifetime_seconds)
        return fail(ERR_DENIED, "a token may live %u seconds at most (local_issuer.max_ttl)",
                    s->local.max_lifetime_seconds);
    return local_issue(id->local, request, wall_seconds(), token, token_id);
}

enum err
identity_revoke(struct identity *id, struct str token_id)
{
    int64_t now = wall_seconds();
    enum err e = expiry_add(id->revoked, token_id, now + id->issuers->revocation_seconds, now);

    return e == ERR_EXISTS ? OK : e;
}

void
identity_jwks(const struct identity *id, struct buf *out)
{
    if (id->local != NULL && id->issuers->local_enabled)
        local_jwks(id->local, out);
    else
        buf_put_text(out, "{\"keys\":[]}");
}
