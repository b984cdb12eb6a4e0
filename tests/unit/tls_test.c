/* TLS contexts whose keys are a signer's, and what the signer refuses to sign. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#undef fail

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/tls.h"
#include "sandbox/sandbox.h"

enum { HOUR = 3600 };

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char pem[8192];
};

static struct identity ca, other_ca, server_rsa, server_p256, server_p384, server_ed25519, expired,
    client_p256;

static void
add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void
make_identity(struct identity *id, EVP_PKEY *key, const char *name, const char *alternative,
              const struct identity *issuer, const EVP_MD *digest, long until)
{
    static long serial;
    X509 *c = X509_new();
    X509_NAME *subject = X509_get_subject_name(c);
    BIO *bio = BIO_new(BIO_s_mem());
    int n;

    assert_non_null(key);
    X509_set_version(c, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c), -10 * HOUR);
    X509_gmtime_adj(X509_getm_notAfter(c), until);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(c, issuer ? X509_get_subject_name(issuer->certificate) : subject);
    X509_set_pubkey(c, key);
    if (issuer == NULL)
        add_extension(c, NID_basic_constraints, "critical,CA:TRUE");
    if (alternative != NULL)
        add_extension(c, NID_subject_alt_name, alternative);
    assert_true(X509_sign(c, issuer ? issuer->key : key, digest) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, c), 1);
    n = BIO_read(bio, id->pem, sizeof(id->pem) - 1);
    assert_true(n > 0);
    id->pem[n] = '\0';
    BIO_free(bio);
    id->key = key;
    id->certificate = c;
}

static int
set_up(void **state)
{
    const EVP_MD *sha256 = EVP_sha256();

    (void)state;
    make_identity(&ca, EVP_EC_gen("P-256"), "CA", NULL, NULL, sha256, HOUR);
    make_identity(&other_ca, EVP_EC_gen("P-256"), "other CA", NULL, NULL, sha256, HOUR);
    make_identity(&server_rsa, EVP_RSA_gen(2048), "rsa", "DNS:db.test,IP:127.0.0.1", &ca, sha256,
                  HOUR);
    make_identity(&server_p256, EVP_EC_gen("P-256"), "p256", "DNS:db.test,IP:::1", &ca, sha256,
                  HOUR);
    make_identity(&server_p384, EVP_EC_gen("P-384"), "p384", "DNS:*.db.test", &ca, EVP_sha384(),
                  HOUR);
    make_identity(&server_ed25519, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "ed", "DNS:db.test",
                  &ca, sha256, HOUR);
    make_identity(&expired, EVP_EC_gen("P-256"), "old", "DNS:db.test", &ca, sha256, -HOUR);
    make_identity(&client_p256, EVP_EC_gen("P-256"), "agent", NULL, &ca, sha256, HOUR);
    return 0;
}

static int
tear_down(void **state)
{
    struct identity *const all[] = {&ca,          &other_ca,       &server_rsa, &server_p256,
                                    &server_p384, &server_ed25519, &expired,    &client_p256};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        EVP_PKEY_free(all[i]->key);
        X509_free(all[i]->certificate);
    }
    return 0;
}

/* --- the signer, as the keeper is one --- */

struct keeper {
    EVP_PKEY *key;
    bool for_server;
    int calls;
    uint16_t scheme;
};

static enum err
keeper_sign(void *arg, uint16_t scheme, struct str content, struct buf *signature)
{
    struct keeper *k = arg;

    k->calls++;
    k->scheme = scheme;
    return tls_sign_certificate_verify(k->key, k->for_server, scheme, content, signature);
}

static enum err
keeper_refuses(void *arg, uint16_t scheme, struct str content, struct buf *signature)
{
    (void)arg;
    (void)scheme;
    (void)content;
    (void)signature;
    return fail(ERR_UNAVAILABLE, "the keeper is away");
}

static enum err
keeper_is_wrong(void *arg, uint16_t scheme, struct str content, struct buf *signature)
{
    (void)arg;
    (void)scheme;
    (void)content;
    buf_put_text(signature, "not a signature");
    return OK;
}

/* --- a connection in memory --- */

struct connection {
    SSL *client, *server;
    bool client_done, server_done;
};

static void
connect_in_memory(struct connection *c, SSL *client, SSL *server)
{
    BIO *here, *there;

    *c = (struct connection){client, server, false, false};
    assert_int_equal(BIO_new_bio_pair(&here, 1 << 16, &there, 1 << 16), 1);
    SSL_set_bio(client, here, here);
    SSL_set_bio(server, there, there);
}

static bool
step(SSL *ssl, int (*handshake)(SSL *ssl), bool *done)
{
    int result = handshake(ssl);

    *done = result == 1;
    return result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
}

/* Until both have ended or one failed; returns the one that failed first, whose error is still in
 * OpenSSL's queue. */
static SSL *
handshake(struct connection *c)
{
    while (!c->client_done || !c->server_done) {
        ERR_clear_error();
        if (!step(c->client, SSL_connect, &c->client_done))
            return c->client;
        ERR_clear_error();
        if (!step(c->server, SSL_accept, &c->server_done))
            return c->server;
    }
    return NULL;
}

static void
connection_free(struct connection *c)
{
    SSL_free(c->client);
    SSL_free(c->server);
    ERR_clear_error();
}

static void
give_up(void)
{
    print_error("%s\n", err_text());
    assert_true(false);
}

static SSL_CTX *
server_context(const struct identity *id)
{
    SSL_CTX *context;

    if (tls_server_context(str_from(id->pem), &context) != OK)
        give_up();
    return context;
}

static SSL_CTX *
client_context(const struct identity *authority, const struct identity *own)
{
    SSL_CTX *context;

    if (tls_client_context(str_from(authority ? authority->pem : NULL), authority != NULL,
                           str_from(own ? own->pem : NULL), &context) != OK)
        give_up();
    return context;
}

static SSL *
client_connection(SSL_CTX *context, const char *host, bool verify_host)
{
    SSL *ssl;

    if (tls_client_connection(context, host, verify_host, &ssl) != OK)
        give_up();
    return ssl;
}

/* A client that checks chain and, with `host_checked`, `host`; "" is success, or why it failed. */
static const char *
outcome(const struct identity *server, const struct identity *authority, const char *host,
        bool host_checked)
{
    struct keeper keeper = {server->key, true, 0, 0};
    SSL_CTX *ours = server_context(server), *theirs = client_context(authority, NULL);
    struct connection c;
    SSL *failed;
    const char *text = "";

    tls_set_signer(true, keeper_sign, &keeper);
    connect_in_memory(&c, client_connection(theirs, host, host_checked), SSL_new(ours));
    if ((failed = handshake(&c)) != NULL) {
        assert_ptr_equal(failed, c.client);
        assert_int_equal(tls_explain_failure(failed, "handshake"), ERR_TLS);
        text = err_text();
    } else {
        assert_int_equal(keeper.calls, 1);
    }
    connection_free(&c);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
    return text;
}

static void
test_handshakes_with_keys_that_only_the_signer_has(void **state)
{
    (void)state;
    assert_string_equal(outcome(&server_rsa, &ca, "db.test", true), "");
    assert_string_equal(outcome(&server_p256, &ca, "db.test", true), "");
    assert_string_equal(outcome(&server_p384, &ca, "a.db.test", true), "");
    assert_string_equal(outcome(&server_ed25519, &ca, "db.test", true), "");
    assert_string_equal(outcome(&server_rsa, &ca, "127.0.0.1", true), "");
    assert_string_equal(outcome(&server_p256, &ca, "::1", true), "");
}

static void
test_verification_says_which_check_failed(void **state)
{
    (void)state;
    assert_non_null(strstr(outcome(&server_p256, &ca, "other.test", true),
                           "does not name other.test (host mismatch)"));
    assert_non_null(
        strstr(outcome(&server_p384, &ca, "a.b.db.test", true), "does not name a.b.db.test"));
    assert_non_null(
        strstr(outcome(&server_rsa, &ca, "127.0.0.2", true), "does not name 127.0.0.2"));
    assert_non_null(strstr(outcome(&server_rsa, &other_ca, "db.test", true), "unknown CA"));
    assert_non_null(strstr(outcome(&expired, &ca, "db.test", true), "has expired"));
    assert_non_null(strstr(outcome(&other_ca, &ca, "db.test", true), "unknown CA"));
}

static void
test_verify_ca_ignores_the_name_and_require_ignores_all(void **state)
{
    (void)state;
    assert_string_equal(outcome(&server_p256, &ca, "other.test", false), "");
    assert_non_null(strstr(outcome(&server_p256, &other_ca, "db.test", false), "unknown CA"));
    assert_string_equal(outcome(&expired, NULL, "db.test", false), "");
}

static void
test_host_check_without_chain_check_is_an_error(void **state)
{
    SSL_CTX *context = client_context(NULL, NULL);
    SSL *ssl;

    (void)state;
    assert_int_equal(tls_client_connection(context, "db.test", true, &ssl), ERR_TLS);
    SSL_CTX_free(context);
    assert_int_equal(tls_client_context(STR(""), true, STR(""), &context), ERR_TLS);
}

static void
refused_by_signer(tls_sign_fn *sign, void *arg, const char *words)
{
    SSL_CTX *ours = server_context(&server_p256), *theirs = client_context(&ca, NULL);
    struct connection c;
    SSL *failed;

    tls_set_signer(true, sign, arg);
    connect_in_memory(&c, client_connection(theirs, "db.test", true), SSL_new(ours));
    failed = handshake(&c);
    assert_non_null(failed);
    assert_int_equal(tls_explain_failure(failed, "handshake"), ERR_TLS);
    assert_non_null(strstr(err_text(), words));
    assert_false(c.client_done && c.server_done);
    connection_free(&c);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
}

static void
test_a_signer_that_fails_fails_the_handshake(void **state)
{
    struct keeper wrong_key = {server_p384.key, true, 0, 0};
    struct keeper for_clients = {server_p256.key, false, 0, 0};

    (void)state;
    refused_by_signer(keeper_refuses, NULL, "the keeper is away");
    refused_by_signer(NULL, NULL, "there is no signer");
    refused_by_signer(keeper_sign, &wrong_key, "is not for this key");
    refused_by_signer(keeper_sign, &for_clients, "not a TLS 1.3 client's handshake");
    refused_by_signer(keeper_is_wrong, NULL, "bad signature");
}

static void
test_client_certificate_is_signed_by_its_own_signer(void **state)
{
    struct keeper keeper = {server_rsa.key, true, 0, 0}, own = {client_p256.key, false, 0, 0};
    SSL_CTX *ours = server_context(&server_rsa), *theirs = client_context(&ca, &client_p256);
    struct connection c;

    (void)state;
    tls_set_signer(true, keeper_sign, &keeper);
    tls_set_signer(false, keeper_sign, &own);
    SSL_CTX_set_verify(ours, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ours), ca.certificate);
    connect_in_memory(&c, client_connection(theirs, "db.test", true), SSL_new(ours));
    assert_null(handshake(&c));
    assert_int_equal(keeper.calls, 1);
    assert_int_equal(keeper.scheme, 0x0804);
    assert_int_equal(own.calls, 1);
    assert_int_equal(own.scheme, 0x0403);
    connection_free(&c);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
}

static void
test_tls_1_2_clients_are_refused(void **state)
{
    SSL_CTX *ours = server_context(&server_p256), *theirs = client_context(&ca, NULL);
    struct connection c;
    SSL *failed;

    (void)state;
    SSL_CTX_set_max_proto_version(theirs, TLS1_2_VERSION);
    connect_in_memory(&c, client_connection(theirs, "db.test", true), SSL_new(ours));
    failed = handshake(&c);
    assert_ptr_equal(failed, c.server);
    assert_int_equal(tls_explain_failure(failed, "handshake"), ERR_TLS);
    assert_non_null(strstr(err_text(), "unsupported protocol"));
    connection_free(&c);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
}

/* What a client that offers `protocols` gets: "" without ALPN, NULL when refused. */
static const char *
negotiated(const char *protocols)
{
    static char name[32];
    struct keeper keeper = {server_p256.key, true, 0, 0};
    SSL_CTX *ours = server_context(&server_p256), *theirs = client_context(&ca, NULL);
    SSL *client = client_connection(theirs, "db.test", true);
    struct connection c;
    const unsigned char *chosen;
    unsigned int len;
    bool ok;

    tls_set_signer(true, keeper_sign, &keeper);
    if (protocols[0] != '\0')
        SSL_set_alpn_protos(client, (const unsigned char *)protocols,
                            (unsigned int)strlen(protocols));
    connect_in_memory(&c, client, SSL_new(ours));
    ok = handshake(&c) == NULL;
    SSL_get0_alpn_selected(c.server, &chosen, &len);
    (void)snprintf(name, sizeof(name), "%.*s", (int)len, (const char *)chosen);
    connection_free(&c);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
    return ok ? name : NULL;
}

static void
test_alpn_offers_must_name_postgresql(void **state)
{
    (void)state;
    assert_string_equal(negotiated(""), "");
    assert_string_equal(negotiated("\012postgresql"), "postgresql");
    assert_string_equal(negotiated("\002h2\012postgresql"), "postgresql");
    assert_null(negotiated("\002h2\010http/1.1"));
    assert_null(negotiated("\011postgresq"));
}

static void
test_sessions_cannot_be_resumed(void **state)
{
    struct keeper keeper = {server_p256.key, true, 0, 0};
    SSL_CTX *ours = server_context(&server_p256), *theirs = client_context(&ca, NULL);
    struct connection c;
    char bytes[4];

    (void)state;
    tls_set_signer(true, keeper_sign, &keeper);
    connect_in_memory(&c, client_connection(theirs, "db.test", true), SSL_new(ours));
    assert_null(handshake(&c));
    assert_int_equal(SSL_write(c.server, "ping", 4), 4);
    assert_int_equal(SSL_read(c.client, bytes, 4), 4);
    assert_false(SSL_SESSION_is_resumable(SSL_get0_session(c.client)));
    connection_free(&c);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
}

static void
end_point_is(const struct identity *server, const EVP_MD *digest)
{
    struct keeper keeper = {server->key, true, 0, 0};
    SSL_CTX *ours = server_context(server), *theirs = client_context(NULL, NULL);
    struct buf out = buf_make(64);
    struct connection c;
    unsigned char expected[EVP_MAX_MD_SIZE];
    unsigned int len;

    tls_set_signer(true, keeper_sign, &keeper);
    connect_in_memory(&c, client_connection(theirs, NULL, false), SSL_new(ours));
    assert_null(handshake(&c));
    assert_int_equal(tls_server_end_point(c.client, &out), OK);
    assert_int_equal(X509_digest(server->certificate, digest, expected, &len), 1);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.ptr, expected, len);
    buf_free(&out);
    connection_free(&c);
    SSL_CTX_free(ours);
    SSL_CTX_free(theirs);
}

static void
test_server_end_point_takes_the_certificates_digest(void **state)
{
    (void)state;
    end_point_is(&server_rsa, EVP_sha256());
    end_point_is(&server_p384, EVP_sha384());
}

/* --- content --- */

static enum err
try_to_sign(const struct identity *id, bool for_server, uint16_t scheme,
            const char *spaces_and_text, size_t zero_and_hash)
{
    struct buf content = buf_make(1024), signature = buf_make(1024);
    enum err e;

    buf_put_text(&content, spaces_and_text);
    for (size_t i = 0; i < zero_and_hash; i++)
        buf_put_u8(&content, (uint8_t)i);
    e = tls_sign_certificate_verify(id->key, for_server, scheme, buf_str(&content), &signature);
    assert_int_equal(signature.len > 0, e == OK);
    buf_free(&content);
    buf_free(&signature);
    return e;
}

#define SPACES_63 "                                                               "
#define SERVER    SPACES_63 " TLS 1.3, server CertificateVerify"
#define CLIENT    SPACES_63 " TLS 1.3, client CertificateVerify"

static void
test_the_keeper_signs_handshakes_only(void **state)
{
    const struct identity *id = &server_p256;

    (void)state;
    assert_int_equal(try_to_sign(id, true, 0x0403, SERVER, 33), OK);
    assert_int_equal(try_to_sign(id, true, 0x0403, SERVER, 49), OK);
    assert_int_equal(try_to_sign(id, false, 0x0403, CLIENT, 33), OK);
    assert_int_equal(try_to_sign(id, true, 0x0403, CLIENT, 33), ERR_DENIED);
    assert_int_equal(try_to_sign(id, false, 0x0403, SERVER, 33), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, SERVER, 32), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, SERVER, 34), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, SERVER, 65), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, SERVER, 0), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, SERVER "x", 33), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, SERVER + 1, 33), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, SPACES_63, 0), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, "", 33), ERR_DENIED);
    assert_int_equal(try_to_sign(id, true, 0x0403, "{\"alg\":\"ES256\"}", 33), ERR_DENIED);
}

static void
test_the_keeper_signs_by_schemes_of_the_key_only(void **state)
{
    static const uint16_t rsa[] = {0x0804, 0x0805, 0x0806},
                          all[] = {0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(try_to_sign(&server_rsa, true, rsa[i], SERVER, 33), OK);
    assert_int_equal(try_to_sign(&server_p384, true, 0x0503, SERVER, 49), OK);
    assert_int_equal(try_to_sign(&server_ed25519, true, 0x0807, SERVER, 33), OK);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] != 0x0403)
            assert_int_equal(try_to_sign(&server_p256, true, all[i], SERVER, 33), ERR_DENIED);
    }
    assert_int_equal(try_to_sign(&server_rsa, true, 0x0401, SERVER, 33), ERR_DENIED); /* PKCS #1 */
    assert_int_equal(try_to_sign(&server_rsa, true, 0, SERVER, 33), ERR_DENIED);
}

static void
test_bad_certificates_are_refused(void **state)
{
    SSL_CTX *context;
    static char broken[9000];

    (void)state;
    assert_int_equal(tls_server_context(STR(""), &context), ERR_TLS);
    assert_int_equal(tls_server_context(STR("hello"), &context), ERR_TLS);
    (void)snprintf(broken, sizeof(broken), "%s%.200s", server_rsa.pem, ca.pem);
    assert_int_equal(tls_server_context(str_from(broken), &context), ERR_TLS);
    assert_null(context);
    assert_int_equal(tls_client_context(STR("hello"), true, STR(""), &context), ERR_TLS);
}

/* --- what a forked session costs --- */

static long
own_kib(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long total = 0, value;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "Private_Clean: %ld", &value) == 1 ||
            sscanf(line, "Private_Dirty: %ld", &value) == 1)
            total += value;
    }
    if (f != NULL)
        (void)fclose(f);
    return total;
}

static void
test_a_forked_session_costs_little_memory(void **state)
{
    struct keeper keeper = {server_p256.key, true, 0, 0};
    SSL_CTX *ours = server_context(&server_p256);
    int fds[2], status;
    pid_t child;

    (void)state;
    tls_set_signer(true, keeper_sign, &keeper);
    assert_int_equal(pipe(fds), 0);
    if ((child = fork()) == 0) {
        SSL_CTX *theirs = client_context(&ca, NULL);
        struct connection c;
        long before = own_kib(), after;
        bool ok;

        connect_in_memory(&c, client_connection(theirs, "db.test", true), SSL_new(ours));
        ok = handshake(&c) == NULL;
        after = own_kib() - before;
        if (write(fds[1], &after, sizeof(after)) != sizeof(after))
            ok = false;
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    {
        long kib;

        assert_int_equal(read(fds[0], &kib, sizeof(kib)), sizeof(kib));
        print_message("client, server, and their bytes in one process: %ld KiB\n", kib);
#ifndef __SANITIZE_ADDRESS__
        assert_true(kib < 700);
#endif
    }
    close(fds[0]);
    close(fds[1]);
    SSL_CTX_free(ours);
}

/* In a sandboxed child: ends it with a number that says where. */
static void
check(bool ok, int where)
{
    if (!ok)
        _exit(where);
}

static void
be_a_session(SSL_CTX *ours)
{
    SSL_CTX *theirs;
    struct buf end_point = buf_make(64);
    struct connection c;
    SSL *client, *failed;

    check(tls_client_context(str_from(ca.pem), true, str_from(client_p256.pem), &theirs) == OK, 8);
    check(tls_client_connection(theirs, "db.test", true, &client) == OK, 10);
    connect_in_memory(&c, client, SSL_new(ours));
    check(handshake(&c) == NULL, 11);
    check(tls_server_end_point(c.client, &end_point) == OK, 12);
    connection_free(&c);
    check(tls_client_connection(theirs, "other.test", true, &client) == OK, 13);
    connect_in_memory(&c, client, SSL_new(ours));
    failed = handshake(&c);
    check(failed == c.client && tls_explain_failure(failed, "handshake") == ERR_TLS, 14);
    check(strstr(err_text(), "host mismatch") != NULL, 15);
    connection_free(&c);
    buf_free(&end_point);
    _exit(0);
}

static void
test_contexts_work_in_the_session_sandbox(void **state)
{
    const struct identity *servers[] = {&server_rsa, &server_p256};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct keeper keeper = {servers[i]->key, true, 0, 0};
        SSL_CTX *ours = server_context(servers[i]);
        struct sandbox *sandbox;
        int status;
        pid_t child;

        tls_set_signer(true, keeper_sign, &keeper);
        assert_int_equal(sandbox_prepare(&sandbox), OK);
        if ((child = fork()) == 0) {
            check(sandbox_enter_session(sandbox, NULL, 0) == OK, 9);
            be_a_session(ours);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        sandbox_free(sandbox);
        SSL_CTX_free(ours);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshakes_with_keys_that_only_the_signer_has),
        cmocka_unit_test(test_verification_says_which_check_failed),
        cmocka_unit_test(test_verify_ca_ignores_the_name_and_require_ignores_all),
        cmocka_unit_test(test_host_check_without_chain_check_is_an_error),
        cmocka_unit_test(test_a_signer_that_fails_fails_the_handshake),
        cmocka_unit_test(test_client_certificate_is_signed_by_its_own_signer),
        cmocka_unit_test(test_tls_1_2_clients_are_refused),
        cmocka_unit_test(test_alpn_offers_must_name_postgresql),
        cmocka_unit_test(test_sessions_cannot_be_resumed),
        cmocka_unit_test(test_server_end_point_takes_the_certificates_digest),
        cmocka_unit_test(test_the_keeper_signs_handshakes_only),
        cmocka_unit_test(test_the_keeper_signs_by_schemes_of_the_key_only),
        cmocka_unit_test(test_bad_certificates_are_refused),
        cmocka_unit_test(test_contexts_work_in_the_session_sandbox),
        cmocka_unit_test(test_a_forked_session_costs_little_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
