/* net/tls.h - TLS contexts whose private key is in another process: the handshake's signature is
 * asked of a signer. Servers speak TLS 1.3 only, so that all a signer ever has to sign is the
 * CertificateVerify content of RFC 8446 §4.4.3, which it can recognise. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/ssl.h>

#include "base/buf.h"

/* [waits] Signs `content` with SignatureScheme `scheme` (RFC 8446 §4.2.3), appending the raw
 * signature. Called in the middle of a handshake, on the handshaking fiber. */
typedef enum err tls_sign_fn(void *arg, uint16_t scheme, struct str content, struct buf *signature);

/* The process's signer for contexts made below; `for_server` tells the two keys apart. */
void tls_set_signer(bool for_server, tls_sign_fn *sign, void *arg);

/* Loads what OpenSSL would otherwise load late, from files too: before a sandbox is entered in
 * which contexts are made. May be called again. */
void tls_prepare(void);

/* A server context presenting the PEM chain; its key is the signer's. ERR_TLS. */
enum err tls_server_context(struct str certificate_pem, SSL_CTX **out);

/* A client context trusting the PEM certificates `ca_pem` (empty with `verify` false), with an
 * optional client certificate (PEM chain, key of the signer). TLS 1.2 or later; 1.3 with a client
 * certificate, because only there the signer can tell what it signs. ERR_TLS. */
enum err tls_client_context(struct str ca_pem, bool verify, struct str certificate_pem,
                            SSL_CTX **out);

/* A connection of a client context to `host` (SNI unless it is an IP address); with `verify_host`
 * the certificate must name it. ERR_TLS. */
enum err tls_client_connection(SSL_CTX *context, const char *host, bool verify_host, SSL **out);

/* Says in words why the handshake or I/O of `ssl` failed just now: `what` is "handshake". Empties
 * OpenSSL's error queue. Always ERR_TLS. */
enum err tls_explain_failure(SSL *ssl, const char *what);

/* The keeper's side: signs `content` with `key` after checking that it is a CertificateVerify
 * content for a server (or a client). ERR_DENIED if it is not, ERR_TLS. */
enum err tls_sign_certificate_verify(EVP_PKEY *key, bool for_server, uint16_t scheme,
                                     struct str content, struct buf *signature);

/* RFC 5929 §4.1 tls-server-end-point of the peer's certificate, for SCRAM channel binding.
 * ERR_TLS. */
enum err tls_server_end_point(SSL *ssl, struct buf *out);

#endif
