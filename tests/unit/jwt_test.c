#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#undef fail

#include "base/encode.h"
#include "identity/jwt.h"

enum { NOW = 1800000000 };

static const struct str audiences[] = {STR_INIT("bulkhead"), STR_INIT("https://gw.example")};
static const struct str algorithms[] = {STR_INIT("RS256"), STR_INIT("ES256")};
static const struct str parties[] = {STR_INIT("planner")};

static struct config_issuer
issuer(void)
{
    return (struct config_issuer){.name = STR("corp"),
                                  .issuer = STR("https://idp.example"),
                                  .enabled = true,
                                  .audiences = {audiences, 2},
                                  .algorithms = {algorithms, 2},
                                  .groups_claim = STR("groups"),
                                  .max_lifetime_seconds = 3600,
                                  .leeway_seconds = 30};
}

/* The parts as given, encoded; the signature is 64 zero bytes unless `signature` is given. */
static struct str
join(struct str header, struct str payload, const char *signature, struct buf *out)
{
    static const char zeroes[64];

    buf_reset(out);
    encode_base64url(out, header);
    buf_put_u8(out, '.');
    encode_base64url(out, payload);
    buf_put_u8(out, '.');
    if (signature != NULL)
        buf_put_text(out, signature);
    else
        encode_base64url(out, (struct str){zeroes, sizeof(zeroes)});
    return buf_str(out);
}

static enum err
parse_bytes(struct str header, struct str payload)
{
    struct buf token = buf_make(1 << 20);
    struct arena *arena = arena_new(1 << 20);
    struct jwt jwt;
    enum err e = jwt_parse(join(header, payload, NULL, &token), arena, &jwt);

    arena_free(arena);
    buf_free(&token);
    return e;
}

static enum err
parse(const char *header, const char *payload)
{
    return parse_bytes(str_from(header), str_from(payload));
}

static enum err
parse_text(struct str token)
{
    struct arena *arena = arena_new(1 << 20);
    struct jwt jwt;
    enum err e = jwt_parse(token, arena, &jwt);

    arena_free(arena);
    return e;
}

#define GOOD_HEADER  "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k\"}"
#define GOOD_PAYLOAD "{\"iss\":\"https://idp.example\"}"

static void
test_a_good_token_is_taken_apart(void **state)
{
    struct buf token = buf_make(4096);
    struct arena *arena = arena_new(1 << 20);
    struct jwt jwt;

    (void)state;
    assert_int_equal(jwt_parse(join(STR("{\"alg\":\"ES256\",\"typ\":\"application/AT+JWT\"}"),
                                    STR(GOOD_PAYLOAD), NULL, &token),
                               arena, &jwt),
                     OK);
    assert_true(str_is(jwt.algorithm, "ES256"));
    assert_true(str_is(jwt.type, "at+jwt"));
    assert_true(str_is(jwt.issuer, "https://idp.example"));
    assert_null(jwt.key_id.ptr);
    assert_int_equal(jwt.signature.len, 64);
    arena_free(arena);
    buf_free(&token);
}

static void
test_bad_shapes_are_refused(void **state)
{
    struct buf good = buf_make(4096), bad = buf_make(1 << 20);
    size_t first_dot;

    (void)state;
    join(STR(GOOD_HEADER), STR(GOOD_PAYLOAD), NULL, &good);
    first_dot = str_index(buf_str(&good), '.');
    assert_int_equal(parse_text(buf_str(&good)), OK);
    assert_int_equal(parse_text(STR("")), ERR_DENIED);
    assert_int_equal(parse_text(STR("a.b")), ERR_DENIED);
    assert_int_equal(parse_text(STR("a.b.c.d")), ERR_DENIED);
    assert_int_equal(parse_text(STR("a.b.c.d.e")), ERR_DENIED);
    assert_int_equal(parse_text(STR("{\"payload\":\"x\",\"signatures\":[]}")), ERR_DENIED);
    for (const char *c = "=+/\n \t"; *c != '\0'; c++) {
        buf_reset(&bad);
        buf_put_str(&bad, buf_str(&good));
        bad.ptr[first_dot - 1] = *c;
        assert_int_equal(parse_text(buf_str(&bad)), ERR_DENIED);
    }
    buf_reset(&bad);
    buf_put(&bad, " ", 1);
    buf_put_str(&bad, buf_str(&good));
    assert_int_equal(parse_text(buf_str(&bad)), ERR_DENIED);
    buf_reset(&bad); /* the unused bits of 64 bytes in base64 are not zero */
    buf_put_str(&bad, buf_str(&good));
    bad.ptr[bad.len - 1] = 'B';
    assert_int_equal(parse_text(buf_str(&bad)), ERR_DENIED);
    for (int i = 0; i < 100000; i++)
        buf_put_u8(&bad, '.');
    assert_int_equal(parse_text(buf_str(&bad)), ERR_DENIED);
    assert_int_equal(parse_text((struct str){bad.ptr, TOKEN_BYTES_MAX + 1}), ERR_DENIED);
    buf_free(&good);
    buf_free(&bad);
}

static void
test_a_token_of_4001_and_of_the_greatest_length_is_read(void **state)
{
    static const size_t lengths[] = {4001, TOKEN_BYTES_MAX, TOKEN_BYTES_MAX + 1};
    struct buf payload = buf_make(1 << 20), token = buf_make(1 << 20);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct str t = {"", 0};

        for (size_t n = 1; t.len < lengths[i]; n++) {
            buf_reset(&payload);
            buf_printf(&payload, "{\"iss\":\"x\",\"pad\":\"%0*d\"}",
                       (int)((lengths[i] - 200) * 3 / 4 + n), 0);
            t = join(STR(GOOD_HEADER), buf_str(&payload), NULL, &token);
        }
        assert_true(t.len <= lengths[i] + 1);
        if (t.len <= TOKEN_BYTES_MAX)
            assert_int_equal(parse_text(t), OK);
        else
            assert_int_equal(parse_text(t), ERR_DENIED);
    }
    buf_free(&payload);
    buf_free(&token);
}

static void
test_bad_json_is_refused(void **state)
{
    static const char *const payloads[] = {
        "",
        "[]",
        "\"iss\"",
        "null",
        "{\"iss\":\"x\"} ,",
        "{\"iss\":\"x\\u0000\"}",
        "{\"iss\":\"x\",\"a\\u0000b\":1}",
        "{\"iss\":\"x\",\"aud\":1,\"aud\":2}",
        "{\"iss\":\"x\",\"\\u0061ud\":1,\"aud\":2}",
        "{\"iss\":\"x\",\"o\":{\"a\":1,\"a\":2}}",
        "{\"iss\":\"x\",\"exp\":1e999}",
        "{\"iss\":\"x\",\"exp\":99999999999999999999999}",
        "{\"iss\":\"x\",\"s\":\"\xff\"}",
        "{\"iss\":\"x\",\"s\":\"\xed\xa0\x80\"}",
        "{\"iss\":\"x\",\"s\":\"\\ud800\"}",
        "\xef\xbb\xbf{\"iss\":\"x\"}",
        "{\"iss\":\"x\",\"d\":[[[[[[[[[1]]]]]]]]]}",
        "{\"iss\":[\"x\"]}",
        "{\"iss\":\"\"}",
        "{\"iss\":null}",
        "{}",
        "{'iss':'x'}",
        "{\"iss\":\"x\",}",
        "{\"iss\":\"x\"/**/}",
    };

    (void)state;
    assert_int_equal(parse(GOOD_HEADER, "{\"iss\":\"x\",\"d\":[[[[[[[[1]]]]]]]]}"), OK);
    assert_int_equal(parse(GOOD_HEADER, "{\"iss\":\"[[[[[[[[[[\\\"[[\"}"), OK);
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
        assert_int_equal(parse(GOOD_HEADER, payloads[i]), ERR_DENIED);
    assert_int_equal(parse_bytes(STR(GOOD_HEADER), STR("{\"iss\":\"x\"}\0")), ERR_DENIED);
}

static void
test_bad_headers_are_refused(void **state)
{
    static const char *const headers[] = {
        "[]",
        "{}",
        "{\"alg\":\"none\"}",
        "{\"alg\":\"nOnE\"}",
        "{\"alg\":256}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\" RS256\"}",
        "{\"alg\":\"rs256\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":\"RS512\"}",
        "{\"alg\":\"PBES2-HS256+A128KW\",\"p2c\":1000000000}",
        "{\"alg\":\"ES256\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"x\"],\"x\":1}",
        "{\"alg\":\"ES256\",\"crit\":[]}",
        "{\"alg\":\"ES256\",\"b64\":false}",
        "{\"alg\":\"ES256\",\"b64\":true}",
        "{\"alg\":\"ES256\",\"zip\":\"DEF\"}",
        "{\"alg\":\"ES256\",\"enc\":\"A128GCM\"}",
        "{\"alg\":\"ES256\",\"jwk\":{}}",
        "{\"alg\":\"ES256\",\"jku\":\"https://a\"}",
        "{\"alg\":\"ES256\",\"x5u\":\"https://a\"}",
        "{\"alg\":\"ES256\",\"x5c\":null}",
        "{\"alg\":\"ES256\",\"kid\":1}",
        "{\"alg\":\"ES256\",\"typ\":1}",
        "{\"alg\":\"ES256\",\"typ\":\"\"}",
        "{\"alg\":\"ES256\",\"typ\":\"None\"}",
        "{\"alg\":\"ES384\"}", /* its signature would have 96 bytes */
    };
    struct buf big = buf_make(4096);

    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        assert_int_equal(parse(headers[i], GOOD_PAYLOAD), ERR_DENIED);
    buf_printf(&big, "{\"alg\":\"ES256\",\"x\":\"%01100d\"}", 0);
    assert_int_equal(parse_bytes(buf_str(&big), STR(GOOD_PAYLOAD)), ERR_DENIED);
    buf_reset(&big);
    buf_printf(&big, "{\"alg\":\"ES256\",\"kid\":\"%0*d\"}", JWT_KID_BYTES_MAX + 1, 0);
    assert_int_equal(parse_bytes(buf_str(&big), STR(GOOD_PAYLOAD)), ERR_DENIED);
    buf_free(&big);
}

static void
test_a_signature_of_a_wrong_length_is_refused(void **state)
{
    struct buf token = buf_make(4096);

    (void)state;
    assert_int_equal(parse_text(join(STR(GOOD_HEADER), STR(GOOD_PAYLOAD), "", &token)), ERR_DENIED);
    assert_int_equal(parse_text(join(STR(GOOD_HEADER), STR(GOOD_PAYLOAD), "AAAA", &token)),
                     ERR_DENIED);
    assert_int_equal(parse_text(join(STR("{\"alg\":\"RS256\"}"), STR(GOOD_PAYLOAD), "", &token)),
                     ERR_DENIED);
    buf_free(&token);
}

/* Checks header and claims of a token with this payload (after `iss`) and typ. */
static enum err
check(const struct config_issuer *config, const char *typ, const char *claims)
{
    char header[128], payload[2048];
    struct buf token = buf_make(8192);
    struct arena *arena = arena_new(1 << 20);
    struct principal principal;
    struct jwt jwt;
    enum err e;

    snprintf(header, sizeof(header), "{\"alg\":\"ES256\"%s%s%s}", *typ ? ",\"typ\":\"" : "", typ,
             *typ ? "\"" : "");
    snprintf(payload, sizeof(payload), "{\"iss\":\"https://idp.example\",%s}", claims);
    e = jwt_parse(join(str_from(header), str_from(payload), NULL, &token), arena, &jwt);
    assert_int_equal(e, OK);
    if ((e = jwt_check_header(&jwt, config)) == OK &&
        (e = jwt_check_claims(&jwt, config, NOW)) == OK)
        e = jwt_principal(&jwt, config, arena, &principal);
    arena_free(arena);
    buf_free(&token);
    return e;
}

#define BASE     "\"sub\":\"agent\",\"exp\":1800000600"
#define AUDIENCE "\"aud\":\"bulkhead\","

static void
test_types_are_those_of_the_issuer(void **state)
{
    static const struct str only_at[] = {STR_INIT("at+jwt")}, absent[] = {STR_INIT("none")};
    struct config_issuer c = issuer();

    (void)state;
    assert_int_equal(check(&c, "at+jwt", AUDIENCE BASE), OK);
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE), OK);
    assert_int_equal(check(&c, "", AUDIENCE BASE), ERR_DENIED);
    assert_int_equal(check(&c, "logout+jwt", AUDIENCE BASE), ERR_DENIED);
    c.types = (struct str_list){only_at, 1};
    assert_int_equal(check(&c, "at+jwt", AUDIENCE BASE), OK);
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE), ERR_DENIED);
    c.types = (struct str_list){absent, 1};
    assert_int_equal(check(&c, "", AUDIENCE BASE), OK);
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE), ERR_DENIED);
}

static void
test_the_algorithm_is_one_of_the_issuer(void **state)
{
    static const struct str rs[] = {STR_INIT("RS256")};
    struct config_issuer c = issuer();

    (void)state;
    c.algorithms = (struct str_list){rs, 1};
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE), ERR_DENIED);
    c.algorithms = (struct str_list){NULL, 0};
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE), ERR_DENIED);
}

static void
test_the_issuer_is_compared_byte_by_byte(void **state)
{
    struct config_issuer c = issuer();

    (void)state;
    c.issuer = STR("https://idp.example/");
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE), ERR_DENIED);
    c.issuer = STR("https://IDP.example");
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE), ERR_DENIED);
}

static void
test_claims(void **state)
{
    static const struct {
        const char *claims;
        enum err result;
    } cases[] = {
        {AUDIENCE BASE, OK},
        {"\"aud\":[\"other\",\"https://gw.example\"]," BASE, OK},
        {BASE, ERR_DENIED},
        {"\"aud\":[]," BASE, ERR_DENIED},
        {"\"aud\":\"\"," BASE, ERR_DENIED},
        {"\"aud\":null," BASE, ERR_DENIED},
        {"\"aud\":{\"bulkhead\":1}," BASE, ERR_DENIED},
        {"\"aud\":[\"bulkhead\",1]," BASE, ERR_DENIED},
        {"\"aud\":[[\"bulkhead\"]]," BASE, ERR_DENIED},
        {"\"aud\":\"bulkhea\"," BASE, ERR_DENIED},
        {"\"aud\":\"bulkhead2\"," BASE, ERR_DENIED},
        {"\"aud\":\"Bulkhead\"," BASE, ERR_DENIED},
        {"\"aud\":\"other bulkhead\"," BASE, ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\"", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\",\"exp\":\"1800000600\"", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\",\"exp\":1800000600.5", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\",\"exp\":1e308", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\",\"exp\":-1", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\",\"exp\":9223372036854775807", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\",\"exp\":null", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\",\"exp\":1800000000", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\",\"exp\":1800000001", OK},
        {AUDIENCE "\"sub\":\"a\",\"exp\":1800003600", OK},
        {AUDIENCE "\"sub\":\"a\",\"exp\":1800003601", ERR_DENIED},
        {AUDIENCE BASE ",\"iat\":1799997000", OK},
        {AUDIENCE BASE ",\"iat\":1799996999", ERR_DENIED},
        {AUDIENCE BASE ",\"iat\":1800000030", OK},
        {AUDIENCE BASE ",\"iat\":1800000031", ERR_DENIED},
        {AUDIENCE BASE ",\"iat\":\"1800000000\"", ERR_DENIED},
        {AUDIENCE BASE ",\"nbf\":1800000030", OK},
        {AUDIENCE BASE ",\"nbf\":1800000031", ERR_DENIED},
        {AUDIENCE BASE ",\"nbf\":1.5", ERR_DENIED},
        {AUDIENCE BASE ",\"cnf\":{\"jkt\":\"x\"}", ERR_DENIED},
        {AUDIENCE BASE ",\"_claim_names\":{\"groups\":\"src1\"}", ERR_DENIED},
        {AUDIENCE BASE ",\"hasgroups\":true", ERR_DENIED},
        {AUDIENCE BASE ",\"hasgroups\":\"true\"", ERR_DENIED},
        {AUDIENCE BASE ",\"hasgroups\":false", OK},
        {AUDIENCE BASE ",\"events\":{}", ERR_DENIED},
        {AUDIENCE BASE ",\"nonce\":\"n\",\"at_hash\":\"h\"", ERR_DENIED},
        {AUDIENCE BASE ",\"typ\":\"ID\"", ERR_DENIED},
        {AUDIENCE BASE ",\"typ\":\"Bearer\"", OK},
        {AUDIENCE BASE ",\"groups\":\"admin\"", ERR_DENIED},
        {AUDIENCE BASE ",\"groups\":[\"admin\",1]", ERR_DENIED},
        {AUDIENCE BASE ",\"groups\":{\"admin\":true}", ERR_DENIED},
        {AUDIENCE BASE ",\"groups\":null", ERR_DENIED},
        {AUDIENCE BASE ",\"groups\":[]", OK},
        {AUDIENCE BASE ",\"jti\":7", ERR_DENIED},
        {AUDIENCE BASE ",\"jti\":\"a\\nb\"", ERR_DENIED},
        {AUDIENCE "\"exp\":1800000600", ERR_DENIED},
        {AUDIENCE "\"sub\":[\"a\"],\"exp\":1800000600", ERR_DENIED},
        {AUDIENCE "\"sub\":\"\",\"exp\":1800000600", ERR_DENIED},
        {AUDIENCE "\"sub\":\"a\\u001b[2J\",\"exp\":1800000600", ERR_DENIED},
    };
    struct config_issuer c = issuer();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum err e = check(&c, "at+jwt", cases[i].claims);

        if (e != cases[i].result)
            print_error("%s: %s\n", cases[i].claims, err_text());
        assert_int_equal(e, cases[i].result);
    }
}

static void
test_every_named_party_must_be_accepted(void **state)
{
    struct config_issuer c = issuer();

    (void)state;
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE ",\"azp\":\"anyone\""), OK);
    c.authorized_parties = (struct str_list){parties, 1};
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE ",\"azp\":\"planner\""), OK);
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE ",\"client_id\":\"planner\""), OK);
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE), ERR_DENIED);
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE ",\"azp\":\"other\""), ERR_DENIED);
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE ",\"azp\":[\"planner\"]"), ERR_DENIED);
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE ",\"azp\":\"planner\",\"client_id\":\"other\""),
                     ERR_DENIED);
}

static void
test_a_zero_lifetime_in_the_configuration_is_not_endless(void **state)
{
    struct config_issuer c = issuer();

    (void)state;
    c.max_lifetime_seconds = 0;
    assert_int_equal(check(&c, "JWT", AUDIENCE "\"sub\":\"a\",\"exp\":1800086401"), ERR_DENIED);
    c.leeway_seconds = 100000; /* the leeway has a ceiling, too */
    assert_int_equal(check(&c, "JWT", AUDIENCE BASE ",\"nbf\":1800000061"), ERR_DENIED);
}

static struct str
claim(const struct principal *p, const char *path, size_t nth)
{
    for (size_t i = 0; i < p->n_claims; i++)
        if (str_is(p->claims[i].path, path) && nth-- == 0)
            return p->claims[i].value;
    return (struct str){NULL, 0};
}

static void
test_claims_are_flattened_and_paths_found(void **state)
{
    struct config_issuer c = issuer();
    struct buf token = buf_make(8192);
    struct arena *arena = arena_new(1 << 20);
    struct str_list list;
    struct principal p;
    struct jwt jwt;

    (void)state;
    assert_int_equal(
        jwt_parse(join(STR(GOOD_HEADER),
                       STR("{\"iss\":\"i\",\"sub\":\"s\",\"exp\":1800000600,\"n\":-5,\"t\":true,"
                           "\"z\":null,\"groups\":[\"a\",\"b\"],"
                           "\"realm_access\":{\"roles\":[\"r\"],\"x.y\":\"q\"},"
                           "\"https://e.com/roles\":[\"u\"],"
                           "\"deep.name\":\"top\",\"deep\":{\"name\":\"nested\"},"
                           "\"resource_access\":{\"my.app\":{\"roles\":[\"w\"]}}}"),
                       NULL, &token),
                  arena, &jwt),
        OK);
    assert_int_equal(jwt_principal(&jwt, &c, arena, &p), OK);
    assert_true(str_is(p.subject, "s"));
    assert_true(str_is(p.issuer, "corp"));
    assert_true(p.expires_us == INT64_C(1800000600000000));
    assert_true(str_starts(p.token_id, STR("sha256:")));
    assert_int_equal(p.token_id.len, 7 + 64);
    assert_int_equal(p.groups.n, 2);
    assert_true(str_is(claim(&p, "n", 0), "-5"));
    assert_true(str_is(claim(&p, "t", 0), "true"));
    assert_null(claim(&p, "z", 0).ptr);
    assert_true(str_is(claim(&p, "groups", 1), "b"));
    assert_true(str_is(claim(&p, "realm_access.roles", 0), "r"));
    assert_true(str_is(claim(&p, "realm_access.\"x.y\"", 0), "q"));
    assert_true(str_is(claim(&p, "https://e.com/roles", 0), "u"));
    assert_true(str_is(claim(&p, "deep.name", 0), "top"));
    assert_null(claim(&p, "deep.name", 1).ptr);
    assert_int_equal(jwt_string_list(&jwt, STR("realm_access.roles"), arena, &list), OK);
    assert_int_equal(list.n, 1);
    assert_int_equal(jwt_string_list(&jwt, STR("https://e.com/roles"), arena, &list), OK);
    assert_true(list.n == 1 && str_is(list.items[0], "u"));
    assert_int_equal(jwt_string_list(&jwt, STR("resource_access.\"my.app\".roles"), arena, &list),
                     OK);
    assert_true(list.n == 1 && str_is(list.items[0], "w"));
    assert_int_equal(jwt_string_list(&jwt, STR("realm_access.none"), arena, &list), OK);
    assert_int_equal(list.n, 0);
    assert_int_equal(jwt_string_list(&jwt, STR("sub.roles"), arena, &list), OK);
    assert_int_equal(list.n, 0);
    assert_int_equal(jwt_string_list(&jwt, STR("sub"), arena, &list), ERR_DENIED);
    c.subject_claim = STR("realm_access.\"x.y\"");
    assert_int_equal(jwt_principal(&jwt, &c, arena, &p), OK);
    assert_true(str_is(p.subject, "q"));
    arena_free(arena);
    buf_free(&token);
}

/* Parses a token with these claims besides the least, and reads the principal. */
static enum err
principal_of(const struct config_issuer *c, const char *claims, struct arena *arena,
             struct principal *out)
{
    struct buf token = buf_make(1 << 20), payload = buf_make(1 << 16);
    struct jwt jwt;
    enum err e;

    buf_printf(&payload, "{\"iss\":\"i\",\"sub\":\"alice\",\"exp\":1800000600%s}", claims);
    e = jwt_parse(join(STR(GOOD_HEADER), buf_str(&payload), NULL, &token), arena, &jwt);
    if (e == OK)
        e = jwt_principal(&jwt, c, arena, out);
    buf_free(&token);
    buf_free(&payload);
    return e;
}

static void
test_the_chain_goes_from_the_subject_to_who_acts_now(void **state)
{
    struct config_issuer c = issuer();
    struct arena *arena = arena_new(1 << 20);
    struct principal p;

    (void)state;
    assert_int_equal(principal_of(&c, "", arena, &p), OK);
    assert_int_equal(p.chain.n, 1);
    assert_true(str_is(p.chain.items[0], "alice"));
    assert_int_equal(principal_of(&c,
                                  ",\"act\":{\"sub\":\"executor\",\"iss\":\"x\","
                                  "\"act\":{\"sub\":\"planner\",\"act\":{\"sub\":\"portal\"}}}",
                                  arena, &p),
                     OK);
    assert_true(str_is(p.subject, "alice"));
    assert_int_equal(p.chain.n, 4);
    assert_true(str_is(p.chain.items[0], "alice"));
    assert_true(str_is(p.chain.items[1], "portal"));
    assert_true(str_is(p.chain.items[2], "planner"));
    assert_true(str_is(p.chain.items[3], "executor"));
    arena_free(arena);
}

static void
test_a_chain_that_is_not_understood_is_refused(void **state)
{
    static const char *const bad[] = {
        ",\"act\":null",
        ",\"act\":\"executor\"",
        ",\"act\":[]",
        ",\"act\":[{\"sub\":\"executor\"}]",
        ",\"act\":{}",
        ",\"act\":{\"sub\":null}",
        ",\"act\":{\"sub\":\"\"}",
        ",\"act\":{\"sub\":7}",
        ",\"act\":{\"sub\":[\"a\"]}",
        ",\"act\":{\"sub\":\"a\\nb\"}",
        ",\"act\":{\"client_id\":\"executor\"}",
        ",\"act\":{\"sub\":\"a\",\"act\":{}}",
        ",\"act\":{\"sub\":\"a\",\"act\":null}",
        ",\"act\":{\"sub\":\"a\",\"act\":\"b\"}",
    };
    struct config_issuer c = issuer();
    struct arena *arena = arena_new(4 << 20);
    struct buf deep = buf_make(1 << 16);
    struct principal p;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(principal_of(&c, bad[i], arena, &p), ERR_DENIED);
    for (int n = PRINCIPAL_ACTORS_MAX; n <= PRINCIPAL_ACTORS_MAX + 1; n++) {
        buf_reset(&deep);
        for (int i = 0; i < n; i++)
            buf_printf(&deep, "%s\"act\":{\"sub\":\"a%d\"", ",", i);
        for (int i = 0; i < n; i++)
            buf_put_u8(&deep, '}');
        buf_put_u8(&deep, '\0');
        assert_int_equal(principal_of(&c, deep.ptr, arena, &p),
                         n == PRINCIPAL_ACTORS_MAX ? OK : ERR_DENIED);
    }
    buf_reset(&deep); /* names that no message of ours has room for */
    for (int i = 0; i < 5; i++)
        buf_printf(&deep, ",\"act\":{\"sub\":\"%0900d\"", i);
    buf_put_text(&deep, "}}}}}");
    buf_put_u8(&deep, '\0');
    assert_int_equal(principal_of(&c, deep.ptr, arena, &p), ERR_DENIED);
    arena_free(arena);
    buf_free(&deep);
}

static void
test_the_task_is_the_claim_of_the_configuration(void **state)
{
    struct config_issuer c = issuer();
    struct arena *arena = arena_new(1 << 20);
    struct principal p;

    (void)state;
    assert_int_equal(principal_of(&c, ",\"task\":\"T-1\"", arena, &p), OK);
    assert_int_equal(p.task.len, 0);
    c.task_claim = STR("work.task");
    assert_int_equal(principal_of(&c, ",\"work\":{\"task\":\"T-1\"}", arena, &p), OK);
    assert_true(str_is(p.task, "T-1"));
    assert_int_equal(principal_of(&c, "", arena, &p), OK);
    assert_int_equal(p.task.len, 0);
    assert_int_equal(principal_of(&c, ",\"work\":{\"task\":7}", arena, &p), ERR_DENIED);
    assert_int_equal(principal_of(&c, ",\"work\":{\"task\":\"\"}", arena, &p), ERR_DENIED);
    assert_int_equal(principal_of(&c, ",\"work\":{\"task\":\"a\\tb\"}", arena, &p), ERR_DENIED);
    arena_free(arena);
}

static void
test_names_are_for_people_and_addresses_are_vouched_for(void **state)
{
    static const struct {
        const char *claims, *name, *email;
    } cases[] = {
        {"", "", ""},
        {",\"name\":\"Alice\",\"preferred_username\":\"al\"", "Alice", ""},
        {",\"preferred_username\":\"al\"", "al", ""},
        {",\"name\":7,\"preferred_username\":\"al\"", "al", ""},
        {",\"name\":\"a\\u001bb\"", "", ""},
        {",\"email\":\"a@b\"", "", "a@b"},
        {",\"email\":\"a@b\",\"email_verified\":true", "", "a@b"},
        {",\"email\":\"a@b\",\"email_verified\":\"true\"", "", "a@b"},
        {",\"email\":\"a@b\",\"email_verified\":false", "", ""},
        {",\"email\":\"a@b\",\"email_verified\":\"false\"", "", ""},
    };
    struct config_issuer c = issuer();
    struct arena *arena = arena_new(1 << 20);
    struct principal p;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(principal_of(&c, cases[i].claims, arena, &p), OK);
        assert_true(str_is(p.name, cases[i].name));
        assert_true(str_is(p.email, cases[i].email));
    }
    arena_free(arena);
}

static enum err
check_login(const char *claims)
{
    struct config_issuer c = issuer();
    struct buf token = buf_make(1 << 16), payload = buf_make(1 << 16);
    struct arena *arena = arena_new(1 << 20);
    struct jwt jwt;
    enum err e;

    buf_printf(&payload, "{\"iss\":\"https://idp.example\",\"sub\":\"a\",\"exp\":1800000600%s}",
               claims);
    assert_int_equal(
        jwt_parse(join(STR(GOOD_HEADER), buf_str(&payload), NULL, &token), arena, &jwt), OK);
    e = jwt_check_login_claims(&jwt, &c, STR("console"), 1800000010);
    arena_free(arena);
    buf_free(&token);
    buf_free(&payload);
    return e;
}

static void
test_an_id_token_is_for_the_client_and_has_a_nonce(void **state)
{
    (void)state;
    assert_int_equal(check_login(",\"aud\":\"console\",\"nonce\":\"n\""), OK);
    assert_int_equal(
        check_login(",\"aud\":\"console\",\"nonce\":\"n\",\"at_hash\":\"x\",\"typ\":\"ID\""), OK);
    assert_int_equal(check_login(",\"aud\":[\"console\"],\"nonce\":\"n\""), OK);
    assert_int_equal(
        check_login(",\"aud\":[\"x\",\"console\"],\"azp\":\"console\",\"nonce\":\"n\""), OK);
    assert_int_equal(check_login(",\"aud\":\"console\""), ERR_DENIED);
    assert_int_equal(check_login(",\"aud\":\"console\",\"nonce\":\"\""), ERR_DENIED);
    assert_int_equal(check_login(",\"aud\":\"console\",\"nonce\":7"), ERR_DENIED);
    assert_int_equal(check_login(",\"aud\":\"https://gw.example\",\"nonce\":\"n\""), ERR_DENIED);
    assert_int_equal(check_login(",\"nonce\":\"n\""), ERR_DENIED);
    assert_int_equal(check_login(",\"aud\":[\"x\",\"console\"],\"nonce\":\"n\""), ERR_DENIED);
    assert_int_equal(check_login(",\"aud\":\"console\",\"azp\":\"other\",\"nonce\":\"n\""),
                     ERR_DENIED);
    assert_int_equal(check_login(",\"aud\":\"console\",\"nonce\":\"n\",\"typ\":\"Refresh\""),
                     ERR_DENIED);
    assert_int_equal(check_login(",\"aud\":\"console\",\"nonce\":\"n\",\"events\":{}"), ERR_DENIED);
    assert_int_equal(check_login(",\"aud\":\"console\",\"nonce\":\"n\",\"nbf\":1800000600"),
                     ERR_DENIED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_token_is_taken_apart),
        cmocka_unit_test(test_bad_shapes_are_refused),
        cmocka_unit_test(test_a_token_of_4001_and_of_the_greatest_length_is_read),
        cmocka_unit_test(test_bad_json_is_refused),
        cmocka_unit_test(test_bad_headers_are_refused),
        cmocka_unit_test(test_a_signature_of_a_wrong_length_is_refused),
        cmocka_unit_test(test_types_are_those_of_the_issuer),
        cmocka_unit_test(test_the_algorithm_is_one_of_the_issuer),
        cmocka_unit_test(test_the_issuer_is_compared_byte_by_byte),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_every_named_party_must_be_accepted),
        cmocka_unit_test(test_a_zero_lifetime_in_the_configuration_is_not_endless),
        cmocka_unit_test(test_claims_are_flattened_and_paths_found),
        cmocka_unit_test(test_the_chain_goes_from_the_subject_to_who_acts_now),
        cmocka_unit_test(test_a_chain_that_is_not_understood_is_refused),
        cmocka_unit_test(test_the_task_is_the_claim_of_the_configuration),
        cmocka_unit_test(test_names_are_for_people_and_addresses_are_vouched_for),
        cmocka_unit_test(test_an_id_token_is_for_the_client_and_has_a_nonce),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
