/* control/outbound.h - one message out by HTTP or SMTP. For a helper thread: it blocks, and touches
 * nothing but its arguments. No redirect is followed; certificates are verified; neither addresses
 * nor secrets are in its texts, for an address may be a secret itself. */
#ifndef CONTROL_OUTBOUND_H
#define CONTROL_OUTBOUND_H

#include <stdatomic.h>

#include "base/buf.h"

enum {
    OUTBOUND_TIMEOUT_MS = 15 * 1000,
    OUTBOUND_CONNECT_TIMEOUT_MS = 5 * 1000,
    OUTBOUND_URL_BYTES_MAX = 3000,
    OUTBOUND_ANSWER_BYTES_MAX = 4096, /* of an answer; the rest is not read */
    OUTBOUND_HEADERS_MAX = 8,
    OUTBOUND_RECIPIENTS_MAX = 100,
};

struct outbound {
    const char *url;
    struct str ca;                             /* trusted certificates, PEM; empty: the system's */
    const atomic_bool *stop;                   /* becomes true: give up soon; may be NULL */
    struct str body;                           /* HTTP: JSON; SMTP: the message */
    const char *headers[OUTBOUND_HEADERS_MAX]; /* HTTP, besides the content's type: "name: value" */
    const char *user, *password;               /* SMTP; NULL: none */
    const char *from;                          /* SMTP */
    const char *to[OUTBOUND_RECIPIENTS_MAX + 1];
};

enum outbound_result {
    OUTBOUND_SENT,
    OUTBOUND_REFUSED,     /* this message: 4xx, or a relay's 5xx */
    OUTBOUND_UNAVAILABLE, /* the receiver: no connection, no answer in time, 5xx, 401, 403, 404, 429
                           */
};

/* Sends. `*retry_after_s`: when to come again, as the receiver said; 0: it did not. `why` gets a
 * short text without addresses. */
enum outbound_result outbound_send(const struct outbound *o, unsigned *retry_after_s,
                                   char why[static 128]);

enum outbound_kind { OUTBOUND_HTTP, OUTBOUND_SMTP };

/* Whether messages may go to `url`: https or smtps or smtp, and http only to this machine itself;
 * no user name and no fragment in it. What goes by smtp off this machine is under TLS all the same
 * (STARTTLS, or nothing is sent). ERR_DENIED. */
enum err outbound_check_url(enum outbound_kind kind, struct str url);

/* "https://host:port" of an address; nothing if it cannot be read. */
void outbound_origin(struct str url, struct buf *out);

#endif
