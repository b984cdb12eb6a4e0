#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "net/tls_provider.h"

enum { CERTIFICATES_MAX = 1000, PEM_MAX = 4 << 20 };

void
tls_set_signer(bool for_server, tls_sign_fn *sign, void *arg)
{
    tls_provider_set_signer(for_server, sign, arg);
}

/* --- why it failed --- */

static const char *
openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason != NULL ? reason : "unknown reason";
}

/* fail() with OpenSSL's reason, which is then forgotten. */
static enum err
fail_openssl(const char *what)
{
    enum err e = fail(ERR_TLS, "%s: %s", what, openssl_reason());

    ERR_clear_error();
    return e;
}

static const char *
verify_reason(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "the server's certificate, or one of its CAs', has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "the server's certificate, or one of its CAs', is not valid yet (clock?)";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "the server's certificate is from an unknown CA: none of the trusted ones signed it";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "the server's certificate is self-signed and not among the trusted ones (unknown "
               "CA)";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return "the server's certificate is from an unknown CA: the root it sent is not a trusted "
               "one";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "the server's certificate's signature is wrong";
    case X509_V_ERR_CERT_REVOKED:
        return "the server's certificate is revoked";
    case X509_V_ERR_INVALID_PURPOSE:
        return "the server's certificate is not meant for servers (extended key usage)";
    case X509_V_ERR_INVALID_CA:
        return "the server's certificate was signed by a certificate that is not a CA";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return "the server's certificate has a weak key or signature";
    default:
        return X509_verify_cert_error_string(result);
    }
}

static enum err
fail_verify(SSL *ssl, const char *what, long result)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
    char *address = result == X509_V_ERR_IP_ADDRESS_MISMATCH ? X509_VERIFY_PARAM_get1_ip_asc(param)
                                                             : NULL;
    enum err e;

    if (result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH)
        e = fail(ERR_TLS, "TLS %s: the server's certificate does not name %s (host mismatch)", what,
                 address != NULL ? address
                 : host != NULL  ? host
                                 : "the host");
    else
        e = fail(ERR_TLS, "TLS %s: %s", what, verify_reason(result));
    OPENSSL_free(address);
    return e;
}

/* The signer's own words, if it was the signer that failed. */
static bool
find_signer_error(char *text, size_t size)
{
    const char *data;
    unsigned long code;
    bool found = false;

    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, NULL)) != 0) {
        if (ERR_GET_LIB(code) == ERR_LIB_USER && !found) {
            OPENSSL_strlcpy(text, data, size);
            found = true;
        }
    }
    return found;
}

enum err
tls_explain_failure(SSL *ssl, const char *what)
{
    char signer[ERR_TEXT_MAX];
    unsigned long code = ERR_peek_last_error();
    const char *reason = openssl_reason();
    long result = SSL_get_verify_result(ssl);
    bool alert = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET;

    if (find_signer_error(signer, sizeof(signer))) /* empties the queue; `reason` is static */
        return fail(ERR_TLS, "TLS %s: the handshake could not be signed: %s", what, signer);
    if (result != X509_V_OK && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0)
        return fail_verify(ssl, what, result);
    return fail(ERR_TLS, "TLS %s: %s%s", what, alert ? "the peer refused it: " : "", reason);
}

/* --- contexts --- */

void
tls_prepare(void)
{
    static bool done;

    if (!done) {
        OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
                             OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS |
                             OPENSSL_INIT_LOAD_CONFIG,
                         NULL);
        SSL_CTX_free(SSL_CTX_new(TLS_method())); /* looks up every cipher and digest */
        tls_provider_prepare();
        ERR_clear_error();
        done = true;
    }
}

/* Calls use(arg, certificate) for each certificate of the text, at least one. */
static enum err
each_certificate(struct str pem, bool (*use)(void *arg, size_t i, X509 *certificate), void *arg)
{
    BIO *bio = pem.len > PEM_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *certificate;
    size_t n = 0;
    bool ok = bio != NULL;

    ERR_clear_error();
    while (ok && n < CERTIFICATES_MAX &&
           (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        ok = use(arg, n++, certificate);
        X509_free(certificate);
    }
    BIO_free(bio);
    if (ok && n > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
        ERR_clear_error(); /* the end of the text */
        return OK;
    }
    return fail_openssl(n == 0 ? "there is no certificate in the PEM text"
                               : "a certificate of the PEM text is not usable");
}

static bool
present(void *arg, size_t i, X509 *certificate)
{
    SSL_CTX *context = arg;

    return i == 0 ? SSL_CTX_use_certificate(context, certificate) == 1
                  : SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

static bool
trust(void *arg, size_t i, X509 *certificate)
{
    (void)i;
    return X509_STORE_add_cert(arg, certificate) == 1;
}

/* The chain, and the signer for its key. */
static enum err
use_certificate(SSL_CTX *context, struct str pem, bool for_server)
{
    EVP_PKEY *public_key, *key;
    enum err e;

    if ((e = each_certificate(pem, present, context)) != OK)
        return e;
    if ((public_key = X509_get0_pubkey(SSL_CTX_get0_certificate(context))) == NULL)
        return fail_openssl("the certificate's key is not usable");
    if ((e = tls_provider_key(public_key, for_server, &key)) != OK)
        return e;
    if (SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1)
        e = fail_openssl("the certificate's key cannot be used");
    EVP_PKEY_free(key);
    return e;
}

static SSL_CTX *
new_context(const SSL_METHOD *method)
{
    SSL_CTX *context;

    tls_prepare();
    if ((context = SSL_CTX_new(method)) == NULL)
        return NULL;
    /* Sessions are processes of their own: there is nothing to resume. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

/* RFC 7301: a client that offers protocols must offer PostgreSQL's (direct TLS has to). */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                const unsigned char *offered, unsigned int len, void *arg)
{
    static const unsigned char name[] = "postgresql";
    unsigned int size = sizeof(name) - 1;

    (void)ssl;
    (void)arg;
    for (unsigned int at = 0; at < len && offered[at] < len - at; at += 1U + offered[at]) {
        if (offered[at] == size && memcmp(offered + at + 1, name, size) == 0) {
            *out = offered + at + 1;
            *out_len = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Lets OpenSSL look up what a handshake needs, up to the signature, so that forked sessions share
 * the result instead of each keeping its own. Whether it works does not matter. */
static void
warm_up(SSL_CTX *context)
{
    SSL_CTX *client_context = SSL_CTX_new(TLS_client_method());
    SSL *client = client_context == NULL ? NULL : SSL_new(client_context);
    SSL *server = SSL_new(context);
    BIO *here, *there;

    if (client != NULL && server != NULL && BIO_new_bio_pair(&here, 0, &there, 0) == 1) {
        SSL_set_bio(client, here, here);
        SSL_set_bio(server, there, there);
        tls_provider_set_off(true);
        (void)SSL_connect(client);
        (void)SSL_accept(server);
        tls_provider_set_off(false);
    }
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(client_context);
    ERR_clear_error();
}

enum err
tls_server_context(struct str certificate_pem, SSL_CTX **out)
{
    SSL_CTX *context = new_context(TLS_server_method());
    enum err e;

    *out = NULL;
    if (context == NULL)
        return fail_openssl("cannot make a TLS context");
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    if (SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(context, 0) != 1) {
        e = fail_openssl("cannot restrict TLS to 1.3");
    } else {
        e = use_certificate(context, certificate_pem, true);
    }
    if (e != OK) {
        SSL_CTX_free(context);
        return e;
    }
    warm_up(context);
    *out = context;
    return OK;
}

static enum err
set_trust(SSL_CTX *context, struct str ca_pem)
{
    if (ca_pem.len == 0)
        return fail(ERR_TLS, "a target that is verified needs CA certificates");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return each_certificate(ca_pem, trust, SSL_CTX_get_cert_store(context));
}

enum err
tls_client_context(struct str ca_pem, bool verify, struct str certificate_pem, SSL_CTX **out)
{
    SSL_CTX *context = new_context(TLS_client_method());
    bool has_certificate = certificate_pem.len > 0;
    enum err e = OK;

    *out = NULL;
    if (context == NULL)
        return fail_openssl("cannot make a TLS context");
    if (SSL_CTX_set_min_proto_version(context, has_certificate ? TLS1_3_VERSION : TLS1_2_VERSION) !=
            1 ||
        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1)
        e = fail_openssl("cannot restrict TLS to 1.2 and later");
    if (e == OK && verify)
        e = set_trust(context, ca_pem);
    if (e == OK && has_certificate)
        e = use_certificate(context, certificate_pem, false);
    if (e != OK) {
        SSL_CTX_free(context);
        return e;
    }
    *out = context;
    return OK;
}

static bool
is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool
expect_host(SSL *ssl, const char *host)
{
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1;
}

enum err
tls_client_connection(SSL_CTX *context, const char *host, bool verify_host, SSL **out)
{
    SSL *ssl;

    *out = NULL;
    if (verify_host && (SSL_CTX_get_verify_mode(context) & SSL_VERIFY_PEER) == 0)
        return fail(ERR_TLS, "a host name is checked only with its certificate chain");
    if (verify_host && (host == NULL || host[0] == '\0'))
        return fail(ERR_TLS, "there is no host name to check");
    if ((ssl = SSL_new(context)) == NULL)
        return fail_openssl("cannot make a TLS connection");
    if ((host != NULL && host[0] != '\0' && !is_address(host) &&
         SSL_set_tlsext_host_name(ssl, host) != 1) ||
        (verify_host && !expect_host(ssl, host))) {
        SSL_free(ssl);
        return fail_openssl("cannot use the host name for TLS");
    }
    *out = ssl;
    return OK;
}

/* --- the keeper's side --- */

/* RFC 8446 §4.4.3: 64 spaces, who signs and what for, a zero, the hash of the handshake so far.
 * Nothing else that a key may ever sign looks like that. */
static enum err
check_content(bool for_server, struct str content)
{
    static const struct str contexts[] = {
        STR_INIT("TLS 1.3, client CertificateVerify"),
        STR_INIT("TLS 1.3, server CertificateVerify"),
    };
    struct str rest = content;

    for (size_t i = 0; i < 64; i++) {
        if (i >= content.len || content.ptr[i] != ' ')
            return fail(ERR_DENIED, "refused to sign: not a TLS 1.3 handshake");
    }
    rest = str_skip(rest, 64);
    if (!str_starts(rest, contexts[for_server]))
        return fail(ERR_DENIED, "refused to sign: not a TLS 1.3 %s's handshake",
                    for_server ? "server" : "client");
    rest = str_skip(rest, contexts[for_server].len);
    if ((rest.len != 1 + 32 && rest.len != 1 + 48) || rest.ptr[0] != '\0')
        return fail(ERR_DENIED, "refused to sign: not the hash of a TLS 1.3 handshake");
    return OK;
}

static bool
sign(EVP_MD_CTX *context, EVP_PKEY *key, const struct tls_scheme *scheme, struct str content,
     struct buf *signature)
{
    EVP_PKEY_CTX *options;
    size_t len = (size_t)EVP_PKEY_get_size(key);

    if (EVP_DigestSignInit_ex(context, &options, scheme->digest, NULL, NULL, key, NULL) != 1)
        return false;
    if (EVP_PKEY_is_a(key, "RSA") &&
        (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1))
        return false;
    if (buf_reserve(signature, len) != OK ||
        EVP_DigestSign(context, (unsigned char *)signature->ptr + signature->len, &len,
                       (const unsigned char *)content.ptr, content.len) != 1)
        return false;
    signature->len += len;
    return true;
}

enum err
tls_sign_certificate_verify(EVP_PKEY *key, bool for_server, uint16_t scheme, struct str content,
                            struct buf *signature)
{
    const struct tls_scheme *found = tls_scheme_find(scheme);
    EVP_MD_CTX *context;
    bool ok;
    enum err e;

    if ((e = check_content(for_server, content)) != OK)
        return e;
    if (found == NULL || !tls_scheme_fits(found, key))
        return fail(ERR_DENIED, "refused to sign: signature scheme 0x%04x is not for this key",
                    scheme);
    context = EVP_MD_CTX_new();
    ok = context != NULL && sign(context, key, found, content, signature);
    EVP_MD_CTX_free(context);
    return ok ? OK : fail_openssl("cannot sign");
}

/* The digest of the certificate's signature, but SHA-256 in place of MD5 and SHA-1. */
static const EVP_MD *
end_point_digest(X509 *certificate)
{
    int nid = NID_undef;

    if (X509_get_signature_info(certificate, &nid, NULL, NULL, NULL) != 1)
        return NULL;
    if (nid == NID_md5 || nid == NID_sha1)
        nid = NID_sha256;
    return nid == NID_undef ? NULL : EVP_get_digestbynid(nid);
}

enum err
tls_server_end_point(SSL *ssl, struct buf *out)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int len;
    const EVP_MD *digest;

    if (certificate == NULL)
        return fail(ERR_TLS, "the server sent no certificate to bind to");
    if ((digest = end_point_digest(certificate)) == NULL)
        return fail(ERR_TLS, "channel binding is not defined for the server's certificate");
    if (X509_digest(certificate, digest, hash, &len) != 1)
        return fail_openssl("cannot hash the server's certificate");
    buf_put(out, hash, len);
    return buf_ok(out);
}
