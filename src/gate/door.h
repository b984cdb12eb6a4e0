/* gate/door.h - what a protocol handler has of the world besides its own bytes: the client's
 * stream, the gateway's TLS, and the keeper, which verifies the agent, opens the target and
 * computes every proof that needs a secret. */
#ifndef GATE_DOOR_H
#define GATE_DOOR_H

#include <netinet/in.h>
#include <openssl/ssl.h>

#include "gate/gate.h"
#include "net/stream.h"

enum target_tls {
    TARGET_TLS_OFF,
    TARGET_TLS_REQUIRE,    /* encrypted, the server unverified */
    TARGET_TLS_VERIFY_CA,  /* its certificate chains to `ca` */
    TARGET_TLS_VERIFY_FULL /* and names the host */
};

/* Read-only for protocols. */
struct door {
    struct stream *client; /* closed by the session's process, after the handler returned */
    struct str protocol;
    struct str fixed_resource;     /* the port serves this one; empty: the user name says */
    struct in6_addr source;        /* IPv4-mapped for IPv4 */
    bool cleartext_allowed;        /* token in clear: loopback peer, and configured so */
    SSL_CTX *tls;                  /* server side; NULL if no certificate is configured */
    int64_t handshake_deadline_ms; /* all of start-up, authentication included */
    size_t handshake_bytes_max;    /* all that a client may send before it is authenticated */
    struct gate *gate;             /* NULL before door_authenticate() */
    struct recorder *recorder;     /* NULL: before that, or sessions are not recorded */
    struct door_private *private;
};

/* What the agent presented. */
struct door_credentials {
    struct str resource; /* ignored where the door has a fixed one */
    struct str token;
    struct str database; /* as asked for; empty: the resource's default */
    struct str client;   /* what the client calls itself (application_name); for the record */
};

/* What the keeper granted. Borrowed from the door. */
struct grant {
    struct str resource;
    struct str subject;
    struct str database; /* where to go: as asked, or the resource's default; may be empty */
    struct str target_user;
    enum target_tls target_tls;
    struct str target_host;      /* for certificate verification and SNI */
    bool target_has_certificate; /* a client certificate is configured */
    bool target_is_local;        /* Unix socket: cleartext proofs never leave the host */
    uint32_t cancel_id;          /* our own, unguessable together with the secret */
    struct str cancel_secret;    /* 32 random bytes; protocols may cut it */
    int target_fd;               /* connected, non-blocking; the caller's */
};

/* [waits] Presents the credentials. On OK the gate is open. Otherwise nothing was connected and
 * the refusal is recorded; err_text() is fit for the client (says what, and whom to ask):
 * ERR_DENIED (token or policy), ERR_NOT_FOUND (resource: only told to those with a valid token),
 * ERR_UNAVAILABLE (target or service), ERR_TIMEOUT. `hint` (may be NULL) gets advice. */
enum err door_authenticate(struct door *d, const struct door_credentials *credentials,
                           struct grant *grant, struct buf *hint);

/* Records a connection that ended before authentication because of its bytes. `reason` is for
 * people; never the bytes themselves. */
void door_refuse(struct door *d, struct str reason);

/* [waits] SCRAM-SHA-256 for the target's password (RFC 5802 §3). `client_first_bare` and
 * `server_first` as exchanged, `client_final_bare` without its proof. Gives 32 bytes each.
 * ERR_DENIED, ERR_PROTOCOL (server-first malformed), ERR_UNAVAILABLE. */
enum err door_scram(struct door *d, struct str client_first_bare, struct str server_first,
                    struct str client_final_bare, unsigned char proof[static 32],
                    unsigned char server_signature[static 32]);

/* [waits] PostgreSQL's MD5 answer: "md5" and 32 hexadecimal digits. */
enum err door_md5(struct door *d, const unsigned char salt[static 4], char answer[static 36]);

/* [waits] The password itself, the one exception; the keeper refuses it (ERR_DENIED) unless the
 * resource's tls verifies the server or the target is a Unix socket. Zero it after use. */
enum err door_password(struct door *d, struct buf *password);

/* [waits] TLS towards the target as the grant says, over `target`. Client certificate and
 * verification included. ERR_TLS (err_text() says which check failed), ERR_TIMEOUT. */
enum err door_secure_target(struct door *d, const struct grant *grant, struct stream *target,
                            int64_t deadline_ms);

/* [waits] A cancel request of another connection: wakes the session whose key it is, if any. The
 * caller learns nothing. `secret` is as much as its protocol carries. */
void door_cancel(struct door *d, uint32_t cancel_id, struct str secret);

/* [waits] For the owner of the key: until somebody cancels; gives a fresh connection to the same
 * target (the caller's fd) over which to send the target's own cancel message. ERR_TIMEOUT,
 * ERR_CANCELED, ERR_UNAVAILABLE. */
enum err door_wait_cancel(struct door *d, int64_t deadline_ms, int *target_fd);

/* [waits] What names mean in the granted database (sql/catalog.h), but not the snapshot with the
 * fingerprint `stale` (0: any): one that the keeper has, or that it has read since it was asked,
 * which may turn out to be `stale` again. `*bytes` is read-only memory shared with other sessions,
 * to be given to door_catalog_release(); validate it with catalog_open(). ERR_LIMIT (asked too
 * often), ERR_UNAVAILABLE and others (cannot be read; err_text() is fit for the client),
 * ERR_TIMEOUT, ERR_CANCELED. */
enum err door_catalog(struct door *d, uint64_t stale, int64_t deadline_ms, struct str *bytes);
void door_catalog_release(struct str bytes);

/* A newer snapshot that the keeper sent of its own accord, since the last call; false if there is
 * none. It comes only to those who have asked once. `*bytes` as above. */
bool door_take_pushed_catalog(struct door *d, struct str *bytes);

#endif
