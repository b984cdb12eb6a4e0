#include "identity/jwt.h"

#include <openssl/sha.h>

#include "base/encode.h"

/* RFC 7518 §3.4: an ECDSA signature is r and s, each as long as the curve's order. */
static const struct algorithm {
    const char *name;
    size_t signature_bytes; /* 0: as long as the key's modulus */
} algorithms[] = {{"RS256", 0}, {"PS256", 0}, {"ES256", 64}, {"ES384", 96}};

/* Header parameters that bring their own key or change what is signed; never needed here. */
static const char *const refused_parameters[] = {"crit", "b64", "zip", "enc",
                                                 "jwk",  "jku", "x5u", "x5c"};

/* Splits into exactly three parts, none with white space or padding (the decoder sees to that). */
static enum err
split(struct str token, struct str part[static 3])
{
    struct str rest = token;
    size_t dots = 0;

    if (token.len == 0)
        return fail(ERR_DENIED, "no token was given");
    if (token.len > TOKEN_BYTES_MAX)
        return fail(ERR_DENIED, "the token is longer than %d bytes", TOKEN_BYTES_MAX);
    for (size_t i = 0; i < token.len; i++)
        dots += token.ptr[i] == '.';
    if (dots == 4)
        return fail(ERR_DENIED, "the token is encrypted; a signed one (JWS) is needed");
    if (dots != 2)
        return fail(ERR_DENIED, "this is no signed token: it must have three parts with dots "
                                "between them");
    for (int i = 0; i < 3; i++)
        rest = str_cut(rest, '.', &part[i]);
    return OK;
}

static void
free_buf(void *buf)
{
    buf_free(buf);
}

static enum err
decode(struct str text, const char *what, size_t max, struct arena *arena, struct str *out)
{
    struct buf *b = arena_alloc(arena, sizeof(*b));
    enum err e;

    if (b == NULL)
        return fail(ERR_NOMEM, "no memory for a token");
    *b = buf_make(max);
    if ((e = arena_defer(arena, free_buf, b)) != OK)
        return e;
    if (text.len > max / 3 * 4 + 4)
        return fail(ERR_DENIED, "the token's %s is longer than %zu bytes", what, max);
    e = decode_base64url(b, text);
    if (e == ERR_LIMIT)
        return fail(ERR_DENIED, "the token's %s is longer than %zu bytes", what, max);
    if (e == ERR_INVALID)
        return fail(ERR_DENIED, "the token's %s is not base64url (RFC 7515 §2)", what);
    *out = buf_str(b);
    return e;
}

/* Bad JSON is the client's doing: the token is refused. */
static enum err
decode_object(struct str text, const char *what, size_t max, struct arena *arena, json_t **out)
{
    char name[64];
    struct str bytes;
    enum err e;

    if ((e = decode(text, what, max, arena, &bytes)) != OK)
        return e;
    snprintf(name, sizeof(name), "the token's %s", what);
    e = strictjson_object(bytes, name, arena, out);
    if (e == ERR_INVALID) {
        char reason[ERR_TEXT_MAX];

        snprintf(reason, sizeof(reason), "%s", err_text());
        return fail(ERR_DENIED, "%s", reason);
    }
    return e;
}

static const struct algorithm *
find_algorithm(struct str name)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
        if (str_is(name, algorithms[i].name))
            return &algorithms[i];
    return NULL;
}

/* "application/" may be left out of a media type in `typ` (RFC 7515 §4.1.9). */
static enum err
read_type(const json_t *header, struct arena *arena, struct str *out)
{
    const json_t *typ = json_object_get(header, "typ");
    struct str type;
    char *text;

    if (typ == NULL) {
        *out = STR("none");
        return OK;
    }
    if (!json_is_string(typ))
        return fail(ERR_DENIED, "the token's \"typ\" is not a string");
    type = strictjson_str(typ);
    if ((text = arena_text(arena, type)) == NULL)
        return fail(ERR_NOMEM, "no memory for a token");
    for (size_t i = 0; i < type.len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] + ('a' - 'A'));
    *out = (struct str){text, type.len};
    if (str_starts(*out, STR("application/")))
        *out = str_skip(*out, sizeof("application/") - 1);
    /* "none" is how a configuration names absence; nobody may claim it. */
    if (out->len == 0 || str_is(*out, "none"))
        return fail(ERR_DENIED, "the token's \"typ\" is not accepted");
    return OK;
}

static enum err
read_header(const json_t *header, struct arena *arena, struct jwt *out)
{
    const json_t *kid = json_object_get(header, "kid");
    const struct algorithm *algorithm;
    struct str name;

    for (size_t i = 0; i < sizeof(refused_parameters) / sizeof(refused_parameters[0]); i++)
        if (json_object_get(header, refused_parameters[i]) != NULL)
            return fail(ERR_DENIED, "the token's header has \"%s\", which is not accepted",
                        refused_parameters[i]);
    name = strictjson_string(header, "alg");
    if (name.ptr == NULL)
        return fail(ERR_DENIED, "the token names no signature algorithm");
    if ((algorithm = find_algorithm(name)) == NULL)
        return fail(ERR_DENIED, "the token's signature algorithm is not accepted; "
                                "RS256, PS256, ES256 and ES384 can be");
    out->algorithm = str_from(algorithm->name);
    if (out->signature.len == 0)
        return fail(ERR_DENIED, "the token is not signed");
    if (algorithm->signature_bytes != 0 && out->signature.len != algorithm->signature_bytes)
        return fail(ERR_DENIED, "the token's %s signature has a wrong length", algorithm->name);
    if (kid != NULL && (!json_is_string(kid) || json_string_length(kid) > JWT_KID_BYTES_MAX))
        return fail(ERR_DENIED, "the token's \"kid\" is not a string of at most %d bytes",
                    JWT_KID_BYTES_MAX);
    out->key_id = kid == NULL ? (struct str){NULL, 0} : strictjson_str(kid);
    return read_type(header, arena, &out->type);
}

enum err
jwt_parse(struct str token, struct arena *arena, struct jwt *out)
{
    struct str part[3];
    json_t *header;
    enum err e;

    *out = (struct jwt){.text = token};
    if ((e = split(token, part)) != OK)
        return e;
    if ((e = decode_object(part[0], "header", JWT_HEADER_BYTES_MAX, arena, &header)) != OK)
        return e;
    if ((e = decode(part[2], "signature", TOKEN_BYTES_MAX, arena, &out->signature)) != OK)
        return e;
    if ((e = read_header(header, arena, out)) != OK)
        return e;
    if ((e = decode_object(part[1], "payload", TOKEN_BYTES_MAX, arena, &out->claims)) != OK)
        return e;
    out->issuer = strictjson_string(out->claims, "iss");
    if (out->issuer.ptr == NULL || out->issuer.len == 0)
        return fail(ERR_DENIED, "the token's \"iss\" is missing or not a string");
    return OK;
}

static bool
is_listed(struct str value, struct str_list list)
{
    for (size_t i = 0; i < list.n; i++)
        if (str_equal(value, list.items[i]))
            return true;
    return false;
}

enum err
jwt_check_header(const struct jwt *t, const struct config_issuer *issuer)
{
    static const struct str default_types[] = {STR_INIT("at+jwt"), STR_INIT("jwt")};
    struct str_list types = issuer->types;

    if (types.n == 0)
        types = (struct str_list){default_types, 2};
    if (!is_listed(t->algorithm, issuer->algorithms))
        return fail(ERR_DENIED, "signature algorithm %.*s is not accepted from this issuer",
                    STR_ARG(t->algorithm));
    if (!is_listed(t->type, types))
        return fail(ERR_DENIED, "this type of token (\"typ\") is not accepted from this issuer");
    return OK;
}

/* An integer number of seconds; absent gives `*found` false. */
static enum err
read_time(const struct jwt *t, const char *claim, int64_t *out, bool *found)
{
    const json_t *value = json_object_get(t->claims, claim);

    *found = value != NULL;
    if (value == NULL)
        return OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > INT64_C(253402300799)) /* the year 9999 */
        return fail(ERR_DENIED, "the token's \"%s\" is not a time in whole seconds", claim);
    *out = json_integer_value(value);
    return OK;
}

static enum err
check_times(const struct jwt *t, const struct config_issuer *issuer, int64_t now)
{
    int64_t leeway = issuer->leeway_seconds < JWT_LEEWAY_SECONDS_MAX ? issuer->leeway_seconds
                                                                     : JWT_LEEWAY_SECONDS_MAX;
    int64_t ceiling = issuer->max_lifetime_seconds != 0 ? issuer->max_lifetime_seconds
                                                        : JWT_LIFETIME_SECONDS_DEFAULT;
    int64_t expires = 0, not_before = 0, issued = 0;
    bool has_exp, has_nbf, has_iat;
    enum err e;

    if ((e = read_time(t, "exp", &expires, &has_exp)) != OK ||
        (e = read_time(t, "nbf", &not_before, &has_nbf)) != OK ||
        (e = read_time(t, "iat", &issued, &has_iat)) != OK)
        return e;
    if (!has_exp)
        return fail(ERR_DENIED, "the token has no expiry (\"exp\")");
    if (expires <= now)
        return fail(ERR_DENIED, "the token has expired; get a new one");
    if (has_nbf && not_before > now + leeway)
        return fail(ERR_DENIED, "the token is not valid yet (\"nbf\")");
    if (has_iat && issued > now + leeway)
        return fail(ERR_DENIED, "the token was issued in the future (\"iat\"): check the clocks");
    if (expires - (has_iat ? issued : now) > ceiling)
        return fail(ERR_DENIED, "the token lives longer than this issuer may give: %lld seconds",
                    (long long)ceiling);
    return OK;
}

/* RFC 7519 §4.1.3: a string, or an array of strings. Ours must be there exactly. */
static enum err
check_audience(const struct jwt *t, struct str_list audiences)
{
    const json_t *aud = json_object_get(t->claims, "aud"), *item;
    bool ours = false;
    size_t i;

    if (json_is_string(aud)) {
        ours = is_listed(strictjson_str(aud), audiences);
    } else if (json_is_array(aud)) {
        json_array_foreach(aud, i, item)
        {
            if (!json_is_string(item))
                return fail(ERR_DENIED, "the token's \"aud\" holds something else than strings");
            ours = ours || is_listed(strictjson_str(item), audiences);
        }
    } else {
        return fail(ERR_DENIED, "the token's \"aud\" is missing or no string");
    }
    if (!ours)
        return fail(ERR_DENIED, "the token is for another audience (\"aud\"), not for this "
                                "gateway");
    return OK;
}

/* Each name under which issuers put the client must be one that the configuration lists. */
static enum err
check_party(const struct jwt *t, const struct config_issuer *issuer)
{
    static const char *const names[] = {"azp", "client_id", "appid"};
    bool found = false;

    if (issuer->authorized_parties.n == 0)
        return OK;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *value = json_object_get(t->claims, names[i]);

        if (value == NULL)
            continue;
        if (!json_is_string(value) || !is_listed(strictjson_str(value), issuer->authorized_parties))
            return fail(ERR_DENIED,
                        "the token was given to a client (\"%s\") which is not "
                        "accepted here",
                        names[i]);
        found = true;
    }
    if (!found)
        return fail(ERR_DENIED, "the token does not say which client it was given to (\"azp\" or "
                                "\"client_id\")");
    return OK;
}

/* Tokens that are about a login, not for access. Keycloak says which in its claim `typ`. */
static enum err
check_purpose(const struct jwt *t)
{
    static const char *const wrong_types[] = {"id", "logout", "refresh", "offline"};
    struct str type = strictjson_string(t->claims, "typ");

    if (json_object_get(t->claims, "events") != NULL)
        return fail(ERR_DENIED, "this is a logout or event token, not an access token");
    if (json_object_get(t->claims, "nonce") != NULL &&
        json_object_get(t->claims, "at_hash") != NULL)
        return fail(ERR_DENIED, "this is an ID token, not an access token");
    for (size_t i = 0; type.ptr != NULL && i < sizeof(wrong_types) / sizeof(wrong_types[0]); i++)
        if (str_equal_nocase(type, str_from(wrong_types[i])))
            return fail(ERR_DENIED, "this is an %s token, not an access token", wrong_types[i]);
    return OK;
}

/* Claims that say that the others are not the whole story. */
static enum err
check_completeness(const struct jwt *t)
{
    const json_t *has_groups = json_object_get(t->claims, "hasgroups");

    if (json_object_get(t->claims, "cnf") != NULL)
        return fail(ERR_DENIED, "the token is bound to a key (\"cnf\") and its possession cannot "
                                "be proven here; get a bearer token");
    if (json_object_get(t->claims, "_claim_names") != NULL ||
        json_object_get(t->claims, "_claim_sources") != NULL ||
        (has_groups != NULL && !json_is_false(has_groups)))
        return fail(ERR_DENIED, "the token leaves out groups because there are too many; have the "
                                "issuer send only groups assigned to this application, or roles");
    return OK;
}

enum err
jwt_check_claims(const struct jwt *t, const struct config_issuer *issuer, int64_t now)
{
    enum err e;

    if (!str_equal(t->issuer, issuer->issuer))
        return fail(ERR_DENIED, "the token is of another issuer");
    if ((e = check_audience(t, issuer->audiences)) != OK || (e = check_party(t, issuer)) != OK ||
        (e = check_purpose(t)) != OK || (e = check_completeness(t)) != OK)
        return e;
    return check_times(t, issuer, now);
}

/* OpenID Connect Core 1.0 §3.1.3.7, items 4 and 5: with several audiences `azp` must say that the
 * token was issued to us; and if it is there at all, it must. */
static enum err
check_login_party(const struct jwt *t, struct str client_id)
{
    const json_t *azp = json_object_get(t->claims, "azp");
    const json_t *aud = json_object_get(t->claims, "aud");

    if (azp == NULL && json_array_size(aud) > 1)
        return fail(ERR_DENIED, "the ID token is for several audiences and does not say who it was "
                                "issued to (\"azp\")");
    if (azp != NULL && (!json_is_string(azp) || !str_equal(strictjson_str(azp), client_id)))
        return fail(ERR_DENIED, "the ID token was issued to another client (\"azp\")");
    return OK;
}

/* The nonce tells an ID token from all others, and this login's from others' (§3.1.3.7, item 11).
 */
static enum err
check_login_purpose(const struct jwt *t)
{
    static const char *const wrong_types[] = {"bearer", "logout", "refresh", "offline"};
    struct str type = strictjson_string(t->claims, "typ");

    if (json_object_get(t->claims, "events") != NULL)
        return fail(ERR_DENIED, "this is a logout or event token, not an ID token");
    if (strictjson_string(t->claims, "nonce").len == 0)
        return fail(ERR_DENIED, "the ID token has no \"nonce\"");
    for (size_t i = 0; type.ptr != NULL && i < sizeof(wrong_types) / sizeof(wrong_types[0]); i++)
        if (str_equal_nocase(type, str_from(wrong_types[i])))
            return fail(ERR_DENIED, "this is a token of type %s, not an ID token", wrong_types[i]);
    return OK;
}

enum err
jwt_check_login_claims(const struct jwt *t, const struct config_issuer *issuer,
                       struct str client_id, int64_t now)
{
    enum err e;

    if (!str_equal(t->issuer, issuer->issuer))
        return fail(ERR_DENIED, "the token is of another issuer");
    if ((e = check_audience(t, (struct str_list){&client_id, 1})) != OK ||
        (e = check_login_party(t, client_id)) != OK || (e = check_login_purpose(t)) != OK ||
        (e = check_completeness(t)) != OK)
        return e;
    return check_times(t, issuer, now);
}

static const json_t *
member(const json_t *object, struct str name)
{
    return json_is_object(object) ? json_object_getn(object, name.ptr, name.len) : NULL;
}

/* Takes the first member's name off `path`; returns what is left after the dot. `*more` says
 * whether there was one. */
static struct str
next_member(struct str path, struct str *name, bool *more)
{
    if (path.len >= 2 && path.ptr[0] == '"') {
        struct str inside = str_skip(path, 1);
        size_t end = str_index(inside, '"');
        struct str after = str_skip(inside, end + 1);

        if (end < inside.len && (after.len == 0 || after.ptr[0] == '.')) {
            *name = (struct str){inside.ptr, end};
            *more = after.len > 0;
            return str_skip(after, 1);
        }
    }
    *more = str_index(path, '.') < path.len;
    return str_cut(path, '.', name);
}

const json_t *
jwt_claim(const struct jwt *t, struct str path)
{
    const json_t *value = member(t->claims, path);
    bool more = true;

    if (value != NULL)
        return value;
    value = t->claims;
    while (more && value != NULL) {
        struct str name;

        path = next_member(path, &name, &more);
        value = member(value, name);
    }
    return value;
}

enum err
jwt_string_list(const struct jwt *t, struct str path, struct arena *arena, struct str_list *out)
{
    const json_t *list = path.len == 0 ? NULL : jwt_claim(t, path), *item;
    struct str *items;
    size_t i;

    *out = (struct str_list){NULL, 0};
    if (list == NULL)
        return OK;
    if (!json_is_array(list))
        return fail(ERR_DENIED, "the token's \"%.*s\" is not an array of strings", STR_ARG(path));
    items = arena_array(arena, json_array_size(list), sizeof(*items));
    if (items == NULL && json_array_size(list) > 0)
        return fail(ERR_NOMEM, "no memory for a token's \"%.*s\"", STR_ARG(path));
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item))
            return fail(ERR_DENIED, "the token's \"%.*s\" is not an array of strings",
                        STR_ARG(path));
        items[i] = strictjson_str(item); /* NOLINT(clang-analyzer-core.NullDereference) */
    }
    *out = (struct str_list){items, json_array_size(list)};
    return OK;
}

/* A name that will be shown to people and written to lines of logs. */
static bool
is_plain_name(struct str s)
{
    if (s.len == 0 || s.len > JWT_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* Collects every scalar claim under its path. */
struct flattening {
    const struct jwt *token;
    struct arena *arena;
    struct claim_value *items;
    size_t n;
};

enum { PATH_BYTES_MAX = 512 };

static enum err
add_scalar(struct flattening *f, struct str path, const json_t *value)
{
    char text[40];
    struct str s;

    if (json_is_null(value))
        return OK;
    if (json_is_string(value)) {
        s = strictjson_str(value);
    } else {
        if (json_is_integer(value))
            snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
        else if (json_is_real(value))
            snprintf(text, sizeof(text), "%.17g", json_real_value(value));
        else
            snprintf(text, sizeof(text), "%s", json_is_true(value) ? "true" : "false");
        if ((s = arena_str(f->arena, str_from(text))).ptr == NULL)
            return fail(ERR_NOMEM, "no memory for a token's claims");
    }
    if (f->n == JWT_CLAIMS_MAX)
        return fail(ERR_DENIED, "the token has more than %d claims", JWT_CLAIMS_MAX);
    f->items[f->n++] = (struct claim_value){path, s};
    return OK;
}

/* The path of `name` below `prefix`, as jwt_claim() reads it. */
static enum err
join(struct flattening *f, struct str prefix, const char *name, struct str *out)
{
    const char *quote = strchr(name, '.') != NULL ? "\"" : "";
    char text[PATH_BYTES_MAX + 1];
    int n;

    if (prefix.len == 0)
        n = snprintf(text, sizeof(text), "%s", name);
    else
        n = snprintf(text, sizeof(text), "%.*s.%s%s%s", STR_ARG(prefix), quote, name, quote);
    if (n < 0 || n > PATH_BYTES_MAX)
        return fail(ERR_DENIED, "the token has a claim with a name longer than %d bytes",
                    PATH_BYTES_MAX);
    if ((*out = arena_str(f->arena, str_from(text))).ptr == NULL)
        return fail(ERR_NOMEM, "no memory for a token's claims");
    return OK;
}

/* Recursion is bounded by STRICTJSON_DEPTH_MAX. */
static enum err
flatten(struct flattening *f, struct str path, json_t *value)
{
    enum err e = OK;
    const char *name;
    json_t *item;
    size_t i;

    if (json_is_object(value)) {
        json_object_foreach(value, name, item)
        {
            struct str below;

            if ((e = join(f, path, name, &below)) != OK)
                return e;
            /* A claim of exactly this name hides a nested one, here as in jwt_claim(). */
            if (path.len > 0 && member(f->token->claims, below) != NULL)
                continue;
            if ((e = flatten(f, below, item)) != OK)
                return e;
        }
        return OK;
    }
    if (json_is_array(value)) {
        json_array_foreach(value, i, item) if ((e = flatten(f, path, item)) != OK) return e;
        return OK;
    }
    return add_scalar(f, path, value);
}

static size_t
count_scalars(json_t *value)
{
    size_t n = 0, i;
    const char *name;
    json_t *item;

    if (json_is_object(value)) {
        json_object_foreach(value, name, item) n += count_scalars(item);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, item) n += count_scalars(item);
    } else {
        n = 1;
    }
    return n;
}

static enum err
flatten_claims(const struct jwt *t, struct arena *arena, struct principal *out)
{
    struct flattening f = {.token = t, .arena = arena};
    size_t n = count_scalars(t->claims);
    enum err e;

    if (n > JWT_CLAIMS_MAX)
        return fail(ERR_DENIED, "the token has more than %d claims", JWT_CLAIMS_MAX);
    if ((f.items = arena_array(arena, n, sizeof(*f.items))) == NULL)
        return fail(ERR_NOMEM, "no memory for a token's claims");
    if ((e = flatten(&f, STR(""), t->claims)) != OK)
        return e;
    out->claims = f.items;
    out->n_claims = f.n;
    return OK;
}

/* `jti`, or the digest of what was signed: the signature is left out because an ECDSA one can
 * be changed into another valid one, which must not make a new token of a revoked one. */
static enum err
token_id(const struct jwt *t, struct arena *arena, struct str *out)
{
    const json_t *jti = json_object_get(t->claims, "jti");
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct buf text = buf_make(128);
    size_t signed_bytes = t->text.len;

    if (jti != NULL) {
        if (!json_is_string(jti) || !is_plain_name(strictjson_str(jti)))
            return fail(ERR_DENIED, "the token's \"jti\" is not a string of at most %d characters",
                        JWT_NAME_BYTES_MAX);
        *out = strictjson_str(jti);
        return OK;
    }
    while (signed_bytes > 0 && t->text.ptr[signed_bytes - 1] != '.')
        signed_bytes--;
    SHA256((const unsigned char *)t->text.ptr, signed_bytes, digest);
    buf_put_text(&text, "sha256:");
    encode_hex(&text, (struct str){(const char *)digest, sizeof(digest)});
    *out = buf_ok(&text) == OK ? arena_str(arena, buf_str(&text)) : (struct str){NULL, 0};
    buf_free(&text);
    return out->ptr == NULL ? fail(ERR_NOMEM, "no memory for a token's digest") : OK;
}

/* RFC 8693 §4.1: `act` says who acts, and its own `act` for whom it acts in turn; the innermost
 * acted first. What is not understood is refused: a chain that is cut would hide somebody. */
static enum err
read_chain(const struct jwt *t, struct arena *arena, struct principal *out)
{
    const json_t *act = json_object_get(t->claims, "act");
    struct str actors[PRINCIPAL_ACTORS_MAX], *items;
    size_t n = 0, bytes = out->subject.len + 1;

    for (; act != NULL; act = json_object_get(act, "act")) {
        const json_t *sub = json_object_get(act, "sub");

        if (n == PRINCIPAL_ACTORS_MAX)
            return fail(ERR_DENIED, "the token has more than %d actors (\"act\")",
                        PRINCIPAL_ACTORS_MAX);
        if (!json_is_object(act) || !json_is_string(sub) || !is_plain_name(strictjson_str(sub)))
            return fail(ERR_DENIED, "the token's \"act\" does not say who acts (RFC 8693 §4.1)");
        actors[n] = strictjson_str(sub);
        bytes += actors[n++].len + 1;
    }
    if (bytes > PRINCIPAL_CHAIN_BYTES_MAX)
        return fail(ERR_DENIED, "the names of the token's actors (\"act\") are too long");
    if ((items = arena_array(arena, n + 1, sizeof(*items))) == NULL)
        return fail(ERR_NOMEM, "no memory for a token's actors");
    items[0] = out->subject;
    for (size_t i = 0; i < n; i++)
        items[1 + i] = actors[n - 1 - i];
    out->chain = (struct str_list){items, n + 1};
    return OK;
}

/* An approval may be good for a whole task: what names it must be beyond doubt. */
static enum err
read_task(const struct jwt *t, const struct config_issuer *issuer, struct principal *out)
{
    const json_t *task = issuer->task_claim.len == 0 ? NULL : jwt_claim(t, issuer->task_claim);

    if (task == NULL)
        return OK;
    if (!json_is_string(task) || !is_plain_name(strictjson_str(task)) ||
        json_string_length(task) > PRINCIPAL_TASK_BYTES_MAX)
        return fail(ERR_DENIED, "the token's \"%.*s\" is not a string of at most %d characters",
                    STR_ARG(issuer->task_claim), PRINCIPAL_TASK_BYTES_MAX);
    out->task = strictjson_str(task);
    return OK;
}

/* A text for people; what cannot be one is left out. */
static struct str
shown(const struct jwt *t, const char *claim, size_t max)
{
    struct str text = strictjson_string(t->claims, claim);

    return text.ptr != NULL && text.len <= max && is_plain_name(text) ? text : STR("");
}

static void
read_person(const struct jwt *t, struct principal *out)
{
    const json_t *verified = json_object_get(t->claims, "email_verified");

    out->name = shown(t, "name", PRINCIPAL_NAME_BYTES_MAX);
    if (out->name.len == 0)
        out->name = shown(t, "preferred_username", PRINCIPAL_NAME_BYTES_MAX);
    /* Some issuers write it as a string. */
    if (!json_is_false(verified) &&
        !(json_is_string(verified) && !str_is(strictjson_str(verified), "true")))
        out->email = shown(t, "email", PRINCIPAL_EMAIL_BYTES_MAX);
    out->nonce = shown(t, "nonce", PRINCIPAL_NONCE_BYTES_MAX);
}

enum err
jwt_principal(const struct jwt *t, const struct config_issuer *issuer, struct arena *arena,
              struct principal *out)
{
    struct str subject_path = issuer->subject_claim.len > 0 ? issuer->subject_claim : STR("sub");
    const json_t *subject = jwt_claim(t, subject_path), *sub = json_object_get(t->claims, "sub");
    enum err e;

    *out = (struct principal){.issuer = arena_str(arena, issuer->name)};
    if (out->issuer.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for a token's claims");
    if (sub != NULL && !json_is_string(sub))
        return fail(ERR_DENIED, "the token's \"sub\" is not a string");
    if (!json_is_string(subject) || !is_plain_name(strictjson_str(subject)))
        return fail(ERR_DENIED, "the token names no subject (\"%.*s\")", STR_ARG(subject_path));
    out->subject = strictjson_str(subject);
    out->expires_us = json_integer_value(json_object_get(t->claims, "exp")) * 1000000;
    if ((e = token_id(t, arena, &out->token_id)) != OK)
        return e;
    if ((e = jwt_string_list(t, issuer->groups_claim, arena, &out->groups)) != OK ||
        (e = read_chain(t, arena, out)) != OK || (e = read_task(t, issuer, out)) != OK)
        return e;
    read_person(t, out);
    return flatten_claims(t, arena, out);
}
