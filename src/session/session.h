/* session/session.h - the process of one client connection: seals itself, then serves the
 * client by its protocol's handler. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <netinet/in.h>
#include <openssl/ssl.h>

#include "protocol/protocol.h"
#include "sandbox/sandbox.h"

enum { SESSION_TEXT_BYTES = 17 }; /* 16 hexadecimal digits and a NUL */

struct session_setup {
    uint64_t id;
    int client;
    int keeper_channel;
    int ledger_channel;
    const struct sandbox *sandbox;
    const struct protocol *protocol;
    struct str resource; /* the port serves this one; empty: the user name says */
    struct in6_addr source;
    bool cleartext_allowed;
    SSL_CTX *tls;
    unsigned handshake_seconds;
    unsigned handshake_bytes;
};

/* Runs in a freshly forked process; never returns. */
void session_run(const struct session_setup *setup) __attribute__((noreturn));

/* Makes a freshly forked process what a session or a reader is, for good: named, in its sandbox,
 * with the `n` descriptors in `keep`. Ends it on failure. */
void session_seal(const char *name, uint64_t session, const struct sandbox *sandbox,
                  const int *keep, size_t n);

/* The session's id as logs, records and commands show it. */
void session_id_text(uint64_t id, char out[SESSION_TEXT_BYTES]);

#endif
