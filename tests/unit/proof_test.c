#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail

#include "base/buf.h"
#include "base/encode.h"
#include "keeper/proof.h"

/* The example exchange of RFC 7677 §3. */
static const char client_first[] = "n=user,r=rOprNGfwEbeRWgbNEkqO";
static const char server_first[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                   "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
static const char client_final[] = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

static enum err
scram(const char *first_from_server, unsigned char proof[32], unsigned char signature[32])
{
    return proof_scram_sha_256(STR("pencil"), str_from(client_first), str_from(first_from_server),
                               str_from(client_final), proof, signature);
}

static void
expect_base64(const unsigned char bytes[32], const char *expected)
{
    struct buf text = buf_make(64);

    encode_base64(&text, (struct str){(const char *)bytes, 32});
    assert_true(str_is(buf_str(&text), expected));
    buf_free(&text);
}

static void
test_scram_gives_the_proof_of_the_standards_example(void **state)
{
    unsigned char proof[32], signature[32];

    (void)state;
    assert_int_equal(scram(server_first, proof, signature), OK);
    expect_base64(proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    expect_base64(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

static void
test_scram_refuses_what_a_server_must_not_say(void **state)
{
    static const struct {
        const char *server_first;
        enum err expected;
    } cases[] = {
        {"", ERR_PROTOCOL},
        {"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ERR_PROTOCOL},
        {"r=another-nonce-altogether,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ERR_PROTOCOL},
        {"m=ext,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ERR_PROTOCOL},
        {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==", ERR_PROTOCOL},
        {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096", ERR_INVALID},
        {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0", ERR_LIMIT},
        {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095", ERR_LIMIT},
        {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1", ERR_LIMIT},
        {"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999", ERR_LIMIT},
    };
    unsigned char proof[32], signature[32];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(scram(cases[i].server_first, proof, signature), cases[i].expected);
}

static void
test_md5_is_the_answer_that_postgresql_expects(void **state)
{
    char answer[36];

    (void)state;
    /* md5(md5("secretbob") followed by the salt) */
    assert_int_equal(proof_postgres_md5(STR("secret"), STR("bob"), STR("\x01\x02\x03\x04"), answer),
                     OK);
    assert_string_equal(answer, "md5f21dfe33ff3a9e03dbc3e008251fe5cc");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scram_gives_the_proof_of_the_standards_example),
        cmocka_unit_test(test_scram_refuses_what_a_server_must_not_say),
        cmocka_unit_test(test_md5_is_the_answer_that_postgresql_expects),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
