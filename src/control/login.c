#include "control/login.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "control/control.h"
#include "control/events.h"
#include "control/oidc.h"
#include "control/server.h"
#include "control/watch.h"
#include "fiber/fiber.h"
#include "store/logins.h"

enum {
    HASH_TEXT = 64,
    VERIFY_MS = 12 * 1000,
    TOKENS_KEPT = 64,
    TOKEN_ARENA_BYTES = 1 << 20,
    PROVIDER_MS = 5 * 60 * 1000, /* a discovery document is believed so long */
    REASON_BYTES = 200,
};

/* --- small things
 * ---------------------------------------------------------------------------------- */

static enum err
hash_text(struct str secret, struct buf *out)
{
    char digest[32];
    unsigned n;

    if (EVP_Digest(secret.ptr, secret.len, (unsigned char *)digest, &n, EVP_sha256(), NULL) != 1)
        return fail(ERR_TLS, "cannot hash");
    encode_hex(out, (struct str){digest, sizeof(digest)});
    return buf_ok(out);
}

static struct str
hash_in(struct arena *arena, struct str secret)
{
    struct buf text = buf_make(HASH_TEXT);
    struct str out = {NULL, 0};

    if (hash_text(secret, &text) == OK)
        out = arena_str(arena, buf_str(&text));
    buf_free(&text);
    return out;
}

static bool
matches_any(struct str_list groups, struct str_list globs)
{
    for (size_t i = 0; i < groups.n; i++)
        for (size_t k = 0; k < globs.n; k++)
            if (str_glob(globs.items[k], groups.items[i]))
                return true;
    return false;
}

static void
give_roles(const struct config *config, struct api_person *p)
{
    p->admin = matches_any(p->groups, config->console.admins);
    p->auditor = matches_any(p->groups, config->console.auditors);
    p->viewer = p->admin || p->auditor || matches_any(p->groups, config->console.viewers);
}

bool
login_has_role(const struct api_person *p, enum api_role role)
{
    switch (role) {
    case API_PUBLIC:
    case API_ANY:
        return true;
    case API_VIEWER:
        return p->viewer;
    case API_AUDITOR:
        return p->auditor;
    case API_ADMIN:
        return p->admin;
    }
    return false;
}

bool
login_is_delegated(const struct api_person *p)
{
    return p->chain.n > 1;
}

/* --- tokens that were good moments ago
 * ---------------------------------------------------------------- */

struct kept_token {
    char hash[HASH_TEXT];
    struct arena *arena; /* NULL: free */
    struct verified who;
    int64_t until_ms;
};
static struct kept_token kept[TOKENS_KEPT];

static void
forget(struct kept_token *k)
{
    arena_free(k->arena);
    *k = (struct kept_token){0};
}

static struct buf client_secret = {.max = 4096}; /* NUL-terminated; "": a public client */

enum err
login_prepare(const struct config *config)
{
    enum err e = OK;

    buf_free_secret(&client_secret);
    if (config->console.client_secret.source != SECRET_NONE)
        e = config_read_secret(&config->console.client_secret, &client_secret);
    buf_put_u8(&client_secret, '\0');
    return e != OK ? e : buf_ok(&client_secret);
}

void
login_forget(void)
{
    for (size_t i = 0; i < TOKENS_KEPT; i++)
        forget(&kept[i]);
    buf_free_secret(&client_secret);
}

static struct kept_token *
find_kept(struct str hash)
{
    int64_t now = clock_monotonic_ms();

    for (size_t i = 0; i < TOKENS_KEPT; i++) {
        if (kept[i].arena == NULL)
            continue;
        if (kept[i].until_ms <= now || kept[i].who.expires_us <= clock_wall_us())
            forget(&kept[i]);
        else if (str_equal((struct str){kept[i].hash, HASH_TEXT}, hash))
            return &kept[i];
    }
    return NULL;
}

/* Takes over `arena`, in which `who` lives. */
static struct kept_token *
keep(struct str hash, struct arena *arena, const struct verified *who)
{
    struct kept_token *k = &kept[0];

    for (size_t i = 0; i < TOKENS_KEPT; i++)
        if (kept[i].arena == NULL || kept[i].until_ms < k->until_ms) {
            k = &kept[i];
            if (k->arena == NULL)
                break;
        }
    forget(k);
    memcpy(k->hash, hash.ptr, HASH_TEXT);
    k->arena = arena;
    k->who = *who;
    k->until_ms = clock_monotonic_ms() + LOGIN_TOKEN_CACHE_MS;
    return k;
}

/* --- who asks
 * -------------------------------------------------------------------------------------- */

static enum err
copy_list(struct arena *arena, struct str_list list, struct str_list *out)
{
    struct str *items = arena_array(arena, list.n + 1, sizeof(*items));

    if (items == NULL)
        return fail(ERR_NOMEM, "no memory for a list");
    for (size_t i = 0; i < list.n; i++)
        if ((items[i] = arena_str(arena, list.items[i])).ptr == NULL)
            return fail(ERR_NOMEM, "no memory for a list");
    *out = (struct str_list){items, list.n};
    return OK;
}

/* A copy, because what is kept may be forgotten while the request waits. */
static enum err
person_of_token(const struct verified *v, struct str hash, struct arena *arena,
                struct api_person *out)
{
    const struct str *from[] = {&v->subject, &v->issuer, &v->name, &v->email, &v->token_id};
    struct str *to[] = {&out->subject, &out->issuer, &out->name, &out->email, &out->token_id};
    enum err e;

    for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++)
        if ((*to[i] = arena_str(arena, *from[i])).ptr == NULL)
            return fail(ERR_NOMEM, "no memory for a person");
    if ((e = copy_list(arena, v->groups, &out->groups)) != OK ||
        (e = copy_list(arena, v->chain, &out->chain)) != OK)
        return e;
    out->login = hash;
    out->expires_us = v->expires_us;
    out->channel = "api";
    return OK;
}

static enum err
person_by_token(struct control *control, struct str token, struct arena *arena,
                struct api_person *out)
{
    struct str hash = hash_in(arena, token);
    struct kept_token *k = hash.ptr == NULL ? NULL : find_kept(hash);
    struct arena *own;
    struct verified who;
    enum err e;

    if (hash.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for a token");
    if (k != NULL)
        return person_of_token(&k->who, hash, arena, out);
    if ((own = arena_new(TOKEN_ARENA_BYTES)) == NULL)
        return fail(ERR_NOMEM, "no memory for a token");
    if ((e = control_verify(control, STR(""), token, own, clock_monotonic_ms() + VERIFY_MS,
                            &who)) != OK) {
        arena_free(own);
        return e;
    }
    if ((k = find_kept(hash)) != NULL) { /* another request was quicker */
        arena_free(own);
        return person_of_token(&k->who, hash, arena, out);
    }
    return person_of_token(&keep(hash, own, &who)->who, hash, arena, out);
}

static enum err
person_by_cookie(struct db *db, struct str cookie, struct arena *arena, struct api_person *out)
{
    struct str hash = hash_in(arena, cookie);
    struct login login;
    enum err e;

    if (hash.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for a login");
    if ((e = logins_get(db, hash, clock_wall_us(), arena, &login)) != OK)
        return e;
    *out = (struct api_person){.subject = login.person.subject,
                               .issuer = login.person.issuer,
                               .name = login.person.name,
                               .email = login.person.email,
                               .token_id = login.token_id,
                               .groups = login.person.groups,
                               .chain = login.chain,
                               .by_cookie = true,
                               .login = hash,
                               .csrf = login.csrf,
                               .expires_us = login.expires_us,
                               .channel = "console"};
    return OK;
}

/* A bearer token is what a program says on purpose; a cookie comes by itself. */
enum err
login_person(struct control *control, struct db *db, const struct config *config,
             struct str cookie_header, struct str authorization, struct arena *arena,
             struct api_person *out)
{
    struct str token, cookie;
    enum err e;

    *out = (struct api_person){0};
    if (authorization.len > 0) {
        token = http_bearer(authorization);
        if (token.ptr == NULL)
            return fail(ERR_DENIED, "the Authorization header is not \"Bearer TOKEN\"");
        e = person_by_token(control, token, arena, out);
    } else {
        cookie = http_cookie(cookie_header, LOGIN_COOKIE);
        if (cookie.ptr == NULL || cookie.len != OIDC_SECRET_TEXT)
            return fail(ERR_NOT_FOUND, "nobody is logged in");
        e = person_by_cookie(db, cookie, arena, out);
    }
    if (e == OK)
        give_roles(config, out);
    return e;
}

/* --- cookies
 * ---------------------------------------------------------------------------------------- */

static void
put_cookie(struct buf *out, const char *name, struct str value, const char *same_site,
           int64_t seconds)
{
    buf_printf(out, "%s=%.*s; Path=/; Secure; HttpOnly; SameSite=%s; Max-Age=%lld", name,
               STR_ARG(value), same_site, (long long)seconds);
}

/* Begins a login of `person`: a cookie for the browser, its hash for the store. */
static enum err
open_login(struct api_request *q, const struct verified *who, int64_t token_until_us)
{
    struct buf cookie = buf_make(OIDC_SECRET_TEXT), csrf = buf_make(OIDC_SECRET_TEXT);
    int64_t now = clock_wall_us(), seconds = q->config->console.session_seconds;
    struct login login = {
        .person = {.issuer = who->issuer,
                   .subject = who->subject,
                   .name = who->name,
                   .email = who->email,
                   .groups = who->groups,
                   .seen_us = now},
        .chain = who->chain,
        .token_id = who->token_id,
        .created_us = now,
    };
    enum err e;

    if (token_until_us > 0 && token_until_us - now < seconds * 1000000)
        seconds = (token_until_us - now) / 1000000;
    login.expires_us = now + seconds * 1000000;
    if ((e = oidc_put_secret(&cookie)) == OK && (e = oidc_put_secret(&csrf)) == OK) {
        login.csrf = buf_str(&csrf);
        login.cookie_hash = hash_in(q->arena, buf_str(&cookie));
        e = login.cookie_hash.ptr == NULL ? fail(ERR_NOMEM, "no memory for a login")
                                          : logins_insert(q->db, &login);
    }
    if (e == OK)
        put_cookie(&q->reply->cookies[0], LOGIN_COOKIE, buf_str(&cookie), "Strict", seconds);
    buf_free_secret(&cookie);
    buf_free_secret(&csrf);
    return e;
}

/* Who acts for another is not who its subject says. */
static enum err
check_human(const struct verified *who)
{
    if (who->chain.n <= 1)
        return OK;
    return fail(ERR_DENIED, "this token acts for %.*s: people log in with a token of their own",
                STR_ARG(who->subject));
}

static enum err
record_login(struct api_request *q, const struct verified *who, const char *how)
{
    struct buf detail = buf_make(2048);
    enum err e;

    buf_printf(&detail, "from %.*s by %s, issuer %.*s", STR_ARG(q->address), how,
               STR_ARG(who->issuer));
    e = control_record_admin(q->control, who->subject, STR("console_login"), buf_str(&detail));
    buf_free(&detail);
    return e;
}

/* --- the provider
 * ------------------------------------------------------------------------------------ */

static struct {
    char issuer[OIDC_URL_BYTES_MAX + 1];
    struct oidc_provider provider;
    int64_t until_ms; /* 0: not known */
} known;

struct talk { /* for a helper thread: copies, because a reload may free the configuration */
    char issuer[OIDC_URL_BYTES_MAX + 1], ca[4097];
    struct oidc_provider provider;
    struct oidc_exchange exchange;
    struct buf id_token;
    enum err e;
};

static const struct config_issuer *
login_issuer(const struct config *config)
{
    if (config->console.login_issuer.len == 0)
        return NULL;
    for (size_t i = 0; i < config->n_issuers; i++)
        if (str_equal(config->issuers[i].name, config->console.login_issuer))
            return &config->issuers[i];
    return NULL;
}

static bool
copy_text(char *out, size_t size, struct str s)
{
    if (s.len >= size || str_index(s, '\0') < s.len)
        return false;
    if (s.len > 0)
        memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

static void
discover(void *arg)
{
    struct talk *t = arg;

    t->e = oidc_discover(t->issuer, t->ca, &t->provider);
}

static void
give_code(void *arg)
{
    struct talk *t = arg;

    t->e = oidc_exchange(&t->provider, &t->exchange, &t->id_token);
}

/* [waits] The provider, asked every few minutes. Its answer in `t`. */
static enum err
find_provider(const struct api_request *q, struct talk *t)
{
    const struct config_issuer *issuer = login_issuer(q->config);
    enum err e;

    if (issuer == NULL)
        return fail(ERR_UNSUPPORTED,
                    "no login by an identity provider is configured (console.login_issuer); log in "
                    "with a token");
    if (!copy_text(t->issuer, sizeof(t->issuer), issuer->issuer) ||
        !copy_text(t->ca, sizeof(t->ca), issuer->ca))
        return fail(ERR_LIMIT, "the issuer's address is too long");
    if (known.until_ms > clock_monotonic_ms() && strcmp(known.issuer, t->issuer) == 0) {
        t->provider = known.provider;
        return OK;
    }
    if ((e = fiber_offload(discover, t)) != OK || (e = t->e) != OK)
        return e;
    memcpy(known.issuer, t->issuer, sizeof(known.issuer));
    known.provider = t->provider;
    known.until_ms = clock_monotonic_ms() + PROVIDER_MS;
    return OK;
}

static struct talk *
talk_new(struct arena *arena)
{
    return arena_alloc(arena, sizeof(struct talk));
}

static enum err
redirect_uri(const struct api_request *q, struct str *out)
{
    struct buf text = buf_make(OIDC_URL_BYTES_MAX);
    struct str base = q->config->console.url;

    while (base.len > 0 && base.ptr[base.len - 1] == '/')
        base.len--;
    buf_put_str(&text, base);
    buf_put_text(&text, "/login/callback");
    *out = buf_ok(&text) == OK ? arena_str(q->arena, buf_str(&text)) : (struct str){NULL, 0};
    buf_free(&text);
    return out->ptr == NULL ? fail(ERR_LIMIT, "console.url is too long") : OK;
}

static void
redirect(struct reply *r, struct str where)
{
    r->status = 302;
    buf_reset(&r->location);
    buf_put_str(&r->location, where);
}

/* --- GET /login
 * --------------------------------------------------------------------------------------- */

enum err
login_begin(struct api_request *q)
{
    struct buf secrets = buf_make(3 * OIDC_SECRET_TEXT + 2);
    struct oidc_authorization a = {.client_id = q->config->console.client_id,
                                   .scopes = q->config->console.scopes};
    struct talk *t = talk_new(q->arena);
    enum err e;

    if (t == NULL)
        return fail(ERR_NOMEM, "no memory for a login");
    if ((e = find_provider(q, t)) != OK)
        return e;
    for (int i = 0; i < 3 && e == OK; i++) {
        if (i > 0)
            buf_put_u8(&secrets, '.');
        e = oidc_put_secret(&secrets);
    }
    if (e == OK && (e = redirect_uri(q, &a.redirect_uri)) == OK) {
        a.state = (struct str){secrets.ptr, OIDC_SECRET_TEXT};
        a.nonce = (struct str){secrets.ptr + OIDC_SECRET_TEXT + 1, OIDC_SECRET_TEXT};
        a.verifier = (struct str){secrets.ptr + 2 * (OIDC_SECRET_TEXT + 1), OIDC_SECRET_TEXT};
        q->reply->status = 302;
        e = oidc_authorization_url(&t->provider, &a, &q->reply->location);
        /* Lax: the return from the provider is a navigation from elsewhere. */
        put_cookie(&q->reply->cookies[0], LOGIN_BEGUN_COOKIE, buf_str(&secrets), "Lax",
                   LOGIN_BEGUN_SECONDS);
    }
    buf_free_secret(&secrets);
    return e;
}

/* --- GET /login/callback
 * -------------------------------------------------------------------------------- */

/* What this browser began with. */
struct begun {
    struct str state, nonce, verifier;
};

static bool
read_begun(const struct api_request *q, struct begun *out)
{
    struct str rest = http_cookie(q->cookie_header, LOGIN_BEGUN_COOKIE);

    if (rest.ptr == NULL)
        return false;
    rest = str_cut(rest, '.', &out->state);
    rest = str_cut(rest, '.', &out->nonce);
    out->verifier = rest;
    return out->state.len == OIDC_SECRET_TEXT && out->nonce.len == OIDC_SECRET_TEXT &&
           out->verifier.len == OIDC_SECRET_TEXT;
}

static enum err
check_callback(const struct api_request *q, const struct talk *t, struct begun *begun)
{
    struct str state = http_query_get(&q->query, "state"), iss = http_query_get(&q->query, "iss"),
               error = http_query_get(&q->query, "error");

    if (!read_begun(q, begun) || state.ptr == NULL || !str_equal_secret(state, begun->state))
        return fail(ERR_DENIED,
                    "this login was not begun in this browser, or more than %d minutes "
                    "ago: begin again at /login",
                    LOGIN_BEGUN_SECONDS / 60);
    if (iss.ptr != NULL ? !str_is(iss, t->issuer) : t->provider.names_itself)
        return fail(ERR_DENIED, "the answer is of another identity provider (RFC 9207)");
    if (error.ptr != NULL)
        return fail(ERR_DENIED, "the identity provider refused the login: %.*s",
                    (int)(error.len > 100 ? 100 : error.len), error.ptr);
    return OK;
}

static enum err
give_code_for_token(struct api_request *q, struct talk *t, const struct begun *begun)
{
    struct str code = http_query_get(&q->query, "code"), uri;
    char *texts[4];
    enum err e;

    if (code.ptr == NULL || code.len == 0 || code.len > 4096)
        return fail(ERR_INVALID, "the identity provider gave no code");
    if ((e = redirect_uri(q, &uri)) != OK)
        return e;
    texts[0] = arena_text(q->arena, q->config->console.client_id);
    texts[1] = arena_text(q->arena, uri);
    texts[2] = arena_text(q->arena, code);
    texts[3] = arena_text(q->arena, begun->verifier);
    t->exchange = (struct oidc_exchange){.issuer = t->issuer,
                                         .ca = t->ca,
                                         .client_id = texts[0],
                                         .client_secret = client_secret.ptr,
                                         .redirect_uri = texts[1],
                                         .code = texts[2],
                                         .verifier = texts[3]};
    if (texts[0] == NULL || texts[1] == NULL || texts[2] == NULL || texts[3] == NULL)
        e = fail(ERR_NOMEM, "no memory for a login");
    else if ((e = fiber_offload(give_code, t)) == OK)
        e = t->e;
    return e;
}

static enum err
finish_login(struct api_request *q, struct talk *t, const struct begun *begun)
{
    struct verified who;
    enum err e;

    if ((e = control_verify(q->control, q->config->console.client_id, buf_str(&t->id_token),
                            q->arena, clock_monotonic_ms() + VERIFY_MS, &who)) != OK)
        return e;
    if (!str_equal(who.issuer, q->config->console.login_issuer))
        return fail(ERR_DENIED, "the ID token is of another issuer");
    if (!str_equal_secret(who.nonce, begun->nonce))
        return fail(ERR_DENIED, "the ID token is of another login (nonce)");
    if ((e = check_human(&who)) != OK || (e = record_login(q, &who, "identity provider")) != OK)
        return e;
    /* An ID token says who somebody was when they logged in; its expiry is not the login's. */
    return open_login(q, &who, 0);
}

enum err
login_callback(struct api_request *q)
{
    struct talk *t = talk_new(q->arena);
    struct begun begun;
    enum err e;

    if (t == NULL)
        return fail(ERR_NOMEM, "no memory for a login");
    t->id_token = buf_make(OIDC_DOCUMENT_BYTES_MAX);
    put_cookie(&q->reply->cookies[1], LOGIN_BEGUN_COOKIE, STR(""), "Lax", 0); /* used up */
    if ((e = find_provider(q, t)) == OK && (e = check_callback(q, t, &begun)) == OK &&
        (e = give_code_for_token(q, t, &begun)) == OK)
        e = finish_login(q, t, &begun);
    buf_free_secret(&t->id_token);
    if (e == OK)
        redirect(q->reply, STR("/"));
    else
        log_warning("login_failed", "source=%.*s reason=%s", STR_ARG(q->address), err_text());
    return e;
}

/* --- POST /v1/login
 * ---------------------------------------------------------------------------------------- */

static enum err
take_once(struct api_request *q, const struct verified *who)
{
    enum err e = one_use_take(q->db, "login", who->token_id, clock_wall_us(), who->expires_us);

    if (e == ERR_EXISTS)
        return fail(ERR_DENIED, "this token has been used to log in already: each serves once");
    return e;
}

enum err
login_with_token(struct api_request *q)
{
    struct verified who;
    struct str token;
    struct json j;
    enum err e;

    if ((e = request_string(q, "token", 16384, true, &token)) != OK)
        return e;
    e = control_verify(q->control, STR(""), token, q->arena, clock_monotonic_ms() + VERIFY_MS,
                       &who);
    if (e == OK && (e = check_human(&who)) == OK && (e = take_once(q, &who)) == OK &&
        (e = record_login(q, &who, "token")) == OK)
        e = open_login(q, &who, who.expires_us);
    if (e == ERR_DENIED) {
        log_warning("login_failed", "source=%.*s reason=%s", STR_ARG(q->address), err_text());
        err_ignore(reply_problem(q->reply, 401, "the token was refused: %s", err_text()));
        q->reply->challenge = "Bearer realm=\"bulkhead\"";
        return OK;
    }
    if (e != OK)
        return e;
    j = reply_json(q->reply, 200);
    json_open(&j, '{');
    json_field_str(&j, "subject", who.subject);
    json_close(&j, '}');
    return OK;
}

/* --- POST /v1/logout, GET /v1/me
 * ------------------------------------------------------------------------------ */

enum err
login_end(struct api_request *q)
{
    enum err e;

    if (!q->person->by_cookie)
        return fail(ERR_INVALID, "a token is not logged in; it ends when it expires or is revoked");
    if ((e = logins_delete(q->db, q->person->login)) != OK)
        return e;
    events_end_owner(server_events(q->server), q->person->login);
    watch_end_owner(server_watch(q->server), q->person->login);
    put_cookie(&q->reply->cookies[0], LOGIN_COOKIE, STR(""), "Strict", 0);
    /* It takes rights away, so it is not refused where the ledger is not there. */
    err_ignore(request_audit(q, "console_logout", "logged out"));
    return OK;
}

static void
put_list(struct json *j, const char *key, struct str_list list)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < list.n; i++)
        json_str(j, list.items[i]);
    json_close(j, ']');
}

static void
put_roles(struct json *j, const struct api_person *p)
{
    json_key(j, "roles");
    json_open(j, '[');
    for (enum api_role role = API_ANY; role <= API_ADMIN; role++)
        if (role != API_ANY && login_has_role(p, role))
            json_str(j, str_from(api_role_name(role)));
    json_close(j, ']');
}

static bool
is_push_configured(const struct config *config)
{
    for (size_t i = 0; i < config->n_notifications; i++)
        if (config->notifications[i].kind != NOTIFY_EMAIL)
            return true;
    return false;
}

enum err
login_me(struct api_request *q)
{
    const struct api_person *p = q->person;
    struct json j = reply_json(q->reply, 200);

    json_open(&j, '{');
    json_field_str(&j, "subject", p->subject);
    json_field_str(&j, "issuer", p->issuer);
    json_field_str(&j, "name", p->name);
    json_field_str(&j, "email", p->email);
    put_list(&j, "groups", p->groups);
    put_list(&j, "chain", p->chain);
    put_roles(&j, p);
    json_key(&j, "csrf");
    if (p->by_cookie)
        json_str(&j, p->csrf);
    else
        json_put_null(&j);
    reply_put_time(&j, "expires", p->expires_us);
    json_field_bool(&j, "push_configured", is_push_configured(q->config));
    json_close(&j, '}');
    return OK;
}
