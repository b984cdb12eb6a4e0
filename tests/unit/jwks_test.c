#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#include "forge.h"
#include "identity/jwks.h"

static EVP_PKEY *rsa, *other_rsa, *p256, *p384;

static int
make_keys(void **state)
{
    (void)state;
    rsa = forge_rsa(2048);
    other_rsa = forge_rsa(2048);
    p256 = forge_ec("P-256");
    p384 = forge_ec("P-384");
    return rsa == NULL || other_rsa == NULL || p256 == NULL || p384 == NULL;
}

static int
free_keys(void **state)
{
    (void)state;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(p256);
    EVP_PKEY_free(p384);
    return 0;
}

static struct jwks *
parse(const char *text)
{
    struct jwks *set = NULL;

    assert_int_equal(jwks_parse(str_from(text), NULL, &set), OK);
    return set;
}

/* A set of one key. */
static struct jwks *
set_of(EVP_PKEY *key, const char *kid, const char *extra)
{
    struct buf text = buf_make(8192);
    struct jwks *set = NULL;

    buf_put_text(&text, "{\"keys\":[");
    forge_jwk(key, kid, extra, &text);
    buf_put_text(&text, "]}");
    assert_int_equal(jwks_parse(buf_str(&text), NULL, &set), OK);
    buf_free(&text);
    return set;
}

static size_t
usable(EVP_PKEY *key, const char *extra)
{
    struct jwks *set = set_of(key, "k", extra);
    size_t n = jwks_count(set);

    jwks_free(set);
    return n;
}

static enum err
verify_with(EVP_PKEY *signer, const char *alg, const struct jwks *set, const char *tamper)
{
    char header[64];
    struct buf token = buf_make(8192);
    struct arena *arena = arena_new(1 << 20);
    const struct jwk *key;
    struct jwt jwt;
    enum err e;

    snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"k\"}", alg);
    forge_token(signer, alg, header, "{\"iss\":\"x\"}", &token);
    if (tamper != NULL) { /* another payload of the same length under the same signature */
        struct buf payload = buf_make(64);

        encode_base64url(&payload, str_from(tamper));
        memcpy(token.ptr + str_index(buf_str(&token), '.') + 1, payload.ptr, payload.len);
        buf_free(&payload);
    }
    e = jwt_parse(buf_str(&token), arena, &jwt);
    if (e == OK) {
        key = jwks_find(set, jwt.key_id, jwt.algorithm);
        e = key == NULL ? ERR_NOT_FOUND : jwks_verify(key, &jwt);
    }
    arena_free(arena);
    buf_free(&token);
    return e;
}

static void
test_each_algorithm_verifies_with_its_key_and_no_other(void **state)
{
    struct jwks *r = set_of(rsa, "k", ""), *e2 = set_of(p256, "k", ""),
                *e3 = set_of(p384, "k", ",\"use\":\"sig\"");

    (void)state;
    assert_int_equal(verify_with(rsa, "RS256", r, NULL), OK);
    assert_int_equal(verify_with(rsa, "PS256", r, NULL), OK);
    assert_int_equal(verify_with(p256, "ES256", e2, NULL), OK);
    assert_int_equal(verify_with(p384, "ES384", e3, NULL), OK);
    assert_int_equal(verify_with(other_rsa, "RS256", r, NULL), ERR_DENIED);
    assert_int_equal(verify_with(rsa, "RS256", r, "{\"iss\":\"y\"}"), ERR_DENIED);
    assert_int_equal(verify_with(p256, "ES256", e2, "{\"iss\":\"y\"}"), ERR_DENIED);
    assert_int_equal(verify_with(rsa, "RS256", e2, NULL), ERR_NOT_FOUND);
    assert_int_equal(verify_with(p256, "ES256", e3, NULL), ERR_NOT_FOUND);
    assert_int_equal(verify_with(p256, "ES256", r, NULL), ERR_NOT_FOUND);
    jwks_free(r);
    jwks_free(e2);
    jwks_free(e3);
}

static void
test_a_key_for_one_algorithm_serves_no_other(void **state)
{
    struct jwks *set = set_of(rsa, "k", ",\"alg\":\"RS256\"");

    (void)state;
    assert_int_equal(verify_with(rsa, "RS256", set, NULL), OK);
    assert_int_equal(verify_with(rsa, "PS256", set, NULL), ERR_NOT_FOUND);
    jwks_free(set);
}

static void
test_unfit_keys_are_left_out(void **state)
{
    EVP_PKEY *small = forge_rsa(1024);
    struct jwks *set;

    (void)state;
    assert_int_equal(usable(rsa, ""), 1);
    assert_int_equal(usable(rsa, ",\"use\":\"sig\",\"key_ops\":[\"verify\"]"), 1);
    assert_int_equal(usable(small, ""), 0);
    assert_int_equal(usable(rsa, ",\"use\":\"enc\""), 0);
    assert_int_equal(usable(rsa, ",\"use\":1"), 0);
    assert_int_equal(usable(rsa, ",\"key_ops\":[\"encrypt\"]"), 0);
    assert_int_equal(usable(rsa, ",\"key_ops\":\"verify\""), 0);
    assert_int_equal(usable(rsa, ",\"d\":\"AQAB\""), 0);
    assert_int_equal(usable(p256, ",\"alg\":5"), 0);
    set = parse("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"k\"},7,"
                "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"},{}]}");
    assert_int_equal(jwks_count(set), 0);
    jwks_free(set);
    EVP_PKEY_free(small);
}

static void
test_exponent_one_and_even_and_huge_are_left_out(void **state)
{
    static const char *const exponents[] = {"AQ", "Aw", "AQAA", "AQAAAAAB", "", "A"};

    (void)state;
    for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
        struct buf text = buf_make(8192);
        struct jwks *set = NULL;

        buf_put_text(&text, "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"");
        forge_number(rsa, OSSL_PKEY_PARAM_RSA_N, 0, &text);
        buf_printf(&text, "\",\"e\":\"%s\"}]}", exponents[i]);
        assert_int_equal(jwks_parse(buf_str(&text), NULL, &set), OK);
        assert_int_equal(jwks_count(set), 0);
        jwks_free(set);
        buf_free(&text);
    }
}

static void
test_a_point_off_the_curve_is_left_out(void **state)
{
    struct buf text = buf_make(8192), notes = buf_make(1024);
    struct jwks *set = NULL;

    (void)state;
    buf_put_text(&text, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\",\"x\":\"");
    forge_number(p256, OSSL_PKEY_PARAM_EC_PUB_X, 32, &text);
    buf_put_text(&text, "\",\"y\":\"");
    forge_number(p256, OSSL_PKEY_PARAM_EC_PUB_X, 32, &text);
    buf_put_text(&text, "\"}]}");
    assert_int_equal(jwks_parse(buf_str(&text), &notes, &set), OK);
    assert_int_equal(jwks_count(set), 0);
    buf_put_u8(&notes, 0);
    assert_non_null(strstr(notes.ptr, "not on the curve"));
    jwks_free(set);
    buf_free(&text);
    buf_free(&notes);
}

static void
test_two_keys_with_one_id_are_neither_used(void **state)
{
    struct buf text = buf_make(16384);
    struct jwks *set = NULL;

    (void)state;
    buf_put_text(&text, "{\"keys\":[");
    forge_jwk(rsa, "k", "", &text);
    buf_put_text(&text, ",");
    forge_jwk(other_rsa, "k", "", &text);
    buf_put_text(&text, ",");
    forge_jwk(p256, "k", "", &text);
    buf_put_text(&text, ",");
    forge_jwk(p256, "k", "", &text);
    buf_put_text(&text, "]}");
    assert_int_equal(jwks_parse(buf_str(&text), NULL, &set), OK);
    assert_int_equal(jwks_count(set), 1);
    assert_int_equal(verify_with(rsa, "RS256", set, NULL), ERR_NOT_FOUND);
    assert_int_equal(verify_with(other_rsa, "RS256", set, NULL), ERR_NOT_FOUND);
    assert_int_equal(verify_with(p256, "ES256", set, NULL), OK);
    assert_true(jwks_has_key_id(set, STR("k")));
    jwks_free(set);
    buf_free(&text);
}

static void
test_a_token_without_key_id_needs_a_single_suitable_key(void **state)
{
    struct buf text = buf_make(16384);
    struct jwks *set = set_of(rsa, NULL, "");

    (void)state;
    assert_non_null(jwks_find(set, (struct str){NULL, 0}, STR("RS256")));
    assert_null(jwks_find(set, STR("k"), STR("RS256")));
    jwks_free(set);
    buf_put_text(&text, "{\"keys\":[");
    forge_jwk(rsa, "a", "", &text);
    buf_put_text(&text, ",");
    forge_jwk(other_rsa, "b", "", &text);
    buf_put_text(&text, "]}");
    assert_int_equal(jwks_parse(buf_str(&text), NULL, &set), OK);
    assert_null(jwks_find(set, (struct str){NULL, 0}, STR("RS256")));
    assert_non_null(jwks_find(set, STR("b"), STR("RS256")));
    assert_null(jwks_find(set, STR("c"), STR("RS256")));
    jwks_free(set);
    buf_free(&text);
}

static void
test_what_is_no_key_set_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"keys\":{}}",
                                      "{\"keys\":[],\"keys\":[]}",
                                      "{\"keys\":[]} x",
                                      "{\"keys\":[[[[[[[[[]]]]]]]]]}"};
    struct buf text = buf_make(1 << 20);
    struct jwks *set = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(jwks_parse(str_from(bad[i]), NULL, &set), ERR_INVALID);
    buf_put_text(&text, "{\"keys\":[{}");
    for (int i = 0; i < JWKS_KEYS_MAX; i++)
        buf_put_text(&text, ",{}");
    buf_put_text(&text, "]}");
    assert_int_equal(jwks_parse(buf_str(&text), NULL, &set), ERR_LIMIT);
    while (text.len <= JWKS_BYTES_MAX)
        buf_put_u8(&text, ' ');
    assert_int_equal(jwks_parse(buf_str(&text), NULL, &set), ERR_LIMIT);
    buf_free(&text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_algorithm_verifies_with_its_key_and_no_other),
        cmocka_unit_test(test_a_key_for_one_algorithm_serves_no_other),
        cmocka_unit_test(test_unfit_keys_are_left_out),
        cmocka_unit_test(test_exponent_one_and_even_and_huge_are_left_out),
        cmocka_unit_test(test_a_point_off_the_curve_is_left_out),
        cmocka_unit_test(test_two_keys_with_one_id_are_neither_used),
        cmocka_unit_test(test_a_token_without_key_id_needs_a_single_suitable_key),
        cmocka_unit_test(test_what_is_no_key_set_is_refused),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
