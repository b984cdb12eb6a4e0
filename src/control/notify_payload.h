/* control/notify_payload.h - what is sent to each kind of channel. Pure: bytes from a description
 * of what happened. Everything in it that an agent or a token said is hostile: it is cut, and
 * written so that it stays text (docs/notifications.md). */
#ifndef CONTROL_NOTIFY_PAYLOAD_H
#define CONTROL_NOTIFY_PAYLOAD_H

#include "base/buf.h"
#include "control/notify.h"

enum {
    NOTIFY_STATEMENT_MAX = 2048, /* bytes of the statement that are sent */
    NOTIFY_TEXT_MAX = 300,       /* of any other text */
    NOTIFY_LIST_MAX = 10,        /* entries of a list */
    NOTIFY_BODY_BYTES_MAX = 64 << 10,
    NOTIFY_SIGNATURE_BYTES = 64, /* "v1,", base64 of 32 bytes, NUL */
};

/* What happened. All borrowed. */
struct notification {
    enum notify_event event;
    struct str id;      /* of the message: the same each time it is sent */
    struct str request; /* id of the request */
    struct str link;    /* to it in the console; empty: there is no console */
    bool is_access;     /* for access to the resource, and not for one command */
    bool is_pending;    /* it can be decided still */
    bool has_buttons;   /* the channel can take an answer */
    const char *state;  /* "pending", "approved", … */
    struct str subject;
    struct str_list chain; /* from the first principal to the acting one */
    struct str resource, database, rule;
    struct str statement; /* of a command */
    struct str_list classes, objects;
    struct str purpose; /* may be empty */
    struct str reason;  /* of a request for access */
    uint64_t access_seconds;
    struct str approvers;                /* whose word is asked for, in words */
    struct str decided_by, decided_text; /* once decided */
    int64_t created_us, expires_us;
};

/* One line, such as "agent-a asks to run a command on analytics". */
void notify_title(const struct notification *n, struct buf *out);

/* Each appends a whole body; at most NOTIFY_BODY_BYTES_MAX, given such a buffer. */
void notify_webhook_body(const struct notification *n, struct buf *out);
void notify_slack_body(const struct notification *n, struct buf *out);
void notify_teams_body(const struct notification *n, struct buf *out);

/* A whole message (RFC 5322). `from` and `to` are addresses that notify_is_address() takes. */
void notify_email_message(const struct notification *n, struct str from, struct str_list to,
                          int64_t wall_us, struct buf *out);

/* Whether it is a bare address without anything that could end a header or an SMTP command:
 * "sre@example.com", ASCII. */
bool notify_is_address(struct str address);

/* The webhook-signature of the Standard Webhooks: HMAC-SHA256 over "ID.TIMESTAMP.BODY". `secret` is
 * the key itself, or "whsec_" and its base64. ERR_INVALID (bad base64), ERR_NOMEM. */
enum err notify_webhook_sign(struct str secret, struct str id, int64_t timestamp_s, struct str body,
                             char out[NOTIFY_SIGNATURE_BYTES]);

/* --- answers in Slack -------------------------------------------------------------------- */

/* To replace the message by one without buttons: the request as it is now. */
void notify_slack_update(const struct notification *n, struct buf *out);
/* Seen by the one who pressed a button only. `text` is of ours or was said by a person. */
void notify_slack_whisper(struct str text, struct buf *out);

#endif
