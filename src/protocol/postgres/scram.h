/* protocol/postgres/scram.h - the client's side of SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677,
 * channel binding RFC 5929 §4) without the password: proofs come from elsewhere. Pure. */
#ifndef PROTOCOL_POSTGRES_SCRAM_H
#define PROTOCOL_POSTGRES_SCRAM_H

#include "base/buf.h"

enum { PGSCRAM_MAX = 4096, PGSCRAM_NONCE_BYTES = 18, PGSCRAM_HASH_BYTES = 32 };

enum pgscram_binding {
    PGSCRAM_UNBOUND,     /* no TLS: "n" */
    PGSCRAM_NOT_OFFERED, /* TLS, but the server does not offer -PLUS: "y" */
    PGSCRAM_END_POINT,   /* "p=tls-server-end-point" */
};

struct pgscram {
    struct buf client_first; /* with the GS2 header */
    size_t gs2_len;
    struct buf final_bare; /* client-final-message-without-proof */
    struct buf server_first;
};

/* The first message, with `nonce` (random bytes). `*s` ends with pgscram_free(), also on failure.
 */
enum err pgscram_begin(struct pgscram *s, enum pgscram_binding binding,
                       const unsigned char nonce[static PGSCRAM_NONCE_BYTES]);
void pgscram_free(struct pgscram *s);

struct str pgscram_client_first(const struct pgscram *s);
struct str pgscram_client_first_bare(const struct pgscram *s);

/* Takes the server's first message: it must extend our nonce. `end_point` is the binding's data.
 * Makes `final_bare`. ERR_PROTOCOL. */
enum err pgscram_continue(struct pgscram *s, struct str server_first, struct str end_point);

/* Appends the client's final message. */
void pgscram_put_final(const struct pgscram *s, const unsigned char proof[static 32],
                       struct buf *out);

/* Whether the server's final message proves that it knows the password. ERR_DENIED, ERR_PROTOCOL.
 */
enum err pgscram_check_final(struct str server_final, const unsigned char signature[static 32]);

#endif
