/* Tokens as clients send them: taken apart, checked and verified with fixed keys at a fixed time.
 * Input that starts with a brace is a header and a payload, a line each, which are encoded first:
 * so the fuzzer can work on the JSON. Input that starts with a bracket is, behind it, what an
 * issuer answers: a key set, or a discovery document. */
#include <stdlib.h>

#include "base/encode.h"
#include "identity/fetch.h"
#include "identity/jwks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1800000010 };

/* clang-format off */
static const char keys[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"qiw7VPBv4sEo5e8HPE1_Hp8IKGJhat7UG_h-a1KGt-9Wpn7z"
    "1izbR9JG30HS5b5PX8NO9GQFpdmYyfEPoNnorlKm40O3HjovhifyLgzvxmzVBYeUNLjvugj78BljS1KQvmCx"
    "KkH7y3Yv3da2aoygFDrG87IKN1BRfnTerDdwMcc2Qp3G6LmjJGgoSzdKJk6NJ3IQBO_d2r3ME0yu88HANieV"
    "BBvbi6G6qVDQxPLDnfkU6e6u4xP2yx1sJdNOe5e_tPPQVNGLuZI4x_i9dVF3jiW54qnN7N6W9cluMBDmxmUr"
    "XQzR_nxmrazKaeY3zAKcg6O-F6HH_GCdNPCyerfugQ\",\"e\":\"AQAB\",\"kid\":\"r\"},{\"kty\":"
    "\"EC\",\"crv\":\"P-256\",\"x\":\"EYWYbl2OyZbbFqzFYYskx0LhUxQGakWu08fhs3W7UoY\",\"y\""
    ":\"DLPSgEYiVM8lEX9SFt7oZaiJaf7wzcsHmXDfcWG8CwI\",\"kid\":\"e\",\"use\":\"sig\"},{\"k"
    "ty\":\"EC\",\"crv\":\"P-384\",\"x\":\"T7ePTCwQrYS13bvN7J0_Cbw669uJtCuhD5HGT9krvIObPq"
    "LrhA9ZGNBvnwaxslSv\",\"y\":\"mEk9HXnZFvpaX76GsC_DKezheHzUdwV0F210K-hsXHvuIMpWg_KYpKp"
    "PQYvCO6cV\",\"kid\":\"e3\",\"alg\":\"ES384\"}]}";
/* clang-format on */

static const struct str audiences[] = {STR_INIT("bulkhead")};
static const struct str types[] = {STR_INIT("at+jwt"), STR_INIT("jwt"), STR_INIT("none")};
static const struct str algorithms[] = {STR_INIT("RS256"), STR_INIT("PS256"), STR_INIT("ES256"),
                                        STR_INIT("ES384")};
static const struct config_issuer issuer = {
    .name = STR_INIT("i"),
    .issuer = STR_INIT("https://i"),
    .enabled = true,
    .audiences = {audiences, 1},
    .algorithms = {algorithms, 4},
    .types = {types, 3},
    .groups_claim = STR_INIT("groups"),
    .subject_claim = STR_INIT("sub"),
    .task_claim = STR_INIT("task"),
};

/* What the checks promise of a principal. */
static void
check(const struct principal *p)
{
    if (p->subject.len == 0 || p->token_id.len == 0 || p->expires_us <= NOW * INT64_C(1000000))
        abort();
    if (!str_is_utf8(p->subject) || p->n_claims > JWT_CLAIMS_MAX)
        abort();
    if (p->chain.n == 0 || p->chain.n > PRINCIPAL_ACTORS_MAX + 1 ||
        !str_equal(p->chain.items[0], p->subject) || p->task.len > PRINCIPAL_TASK_BYTES_MAX ||
        p->name.len > PRINCIPAL_NAME_BYTES_MAX || p->email.len > PRINCIPAL_EMAIL_BYTES_MAX)
        abort();
    for (size_t i = 0; i < p->chain.n; i++)
        if (p->chain.items[i].len == 0 || !str_is_utf8(p->chain.items[i]))
            abort();
}

static void
try_token(const struct jwks *set, struct str token)
{
    struct arena *arena = arena_new(32 << 20);
    const struct jwk *key;
    struct str_list list;
    struct principal p;
    struct jwt t;

    if (jwt_parse(token, arena, &t) == OK) {
        if (jwt_check_header(&t, &issuer) == OK && jwt_check_claims(&t, &issuer, NOW) == OK &&
            jwt_principal(&t, &issuer, arena, &p) == OK)
            check(&p);
        if (jwt_check_login_claims(&t, &issuer, STR("console"), NOW) == OK &&
            jwt_principal(&t, &issuer, arena, &p) == OK)
            check(&p);
        err_ignore(jwt_string_list(&t, STR("realm_access.\"x.y\".roles"), arena, &list));
        if ((key = jwks_find(set, t.key_id, t.algorithm)) != NULL)
            err_ignore(jwks_verify(key, &t));
    }
    arena_free(arena);
}

static void
try_json(const struct jwks *set, struct str text)
{
    static const char zeroes[64] = {1};
    struct buf token = buf_make(1 << 20);
    struct str header;

    text = str_cut(text, '\n', &header);
    encode_base64url(&token, header);
    buf_put_u8(&token, '.');
    encode_base64url(&token, text);
    buf_put_u8(&token, '.');
    encode_base64url(&token, (struct str){zeroes, sizeof(zeroes)});
    try_token(set, buf_str(&token));
    buf_free(&token);
}

static void
try_answer(struct str text)
{
    struct buf notes = buf_make(4096), address = buf_make(FETCH_URL_BYTES_MAX);
    struct jwks *set;

    if (jwks_parse(text, &notes, &set) == OK) {
        if (jwks_count(set) > JWKS_KEYS_MAX)
            abort();
        (void)jwks_find(set, (struct str){NULL, 0}, STR("RS256"));
        jwks_free(set);
    }
    if (fetch_read_discovery(text, STR("https://i"), &address) == OK &&
        fetch_check_url(buf_str(&address)) != OK)
        abort();
    buf_free(&notes);
    buf_free(&address);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwks *set;
    struct str text = {(const char *)data, size};

    if (set == NULL && (jwks_parse(str_from(keys), NULL, &set) != OK || jwks_count(set) != 3))
        abort();
    if (size > 0 && data[0] == '{')
        try_json(set, text);
    else if (size > 0 && data[0] == '[')
        try_answer(str_skip(text, 1));
    else
        try_token(set, text);
    return 0;
}
