/* control/slack.h - what Slack sends when somebody presses Approve or Deny under a message of ours
 * (POST /v1/slack/actions; docs/notifications.md). */
#ifndef CONTROL_SLACK_H
#define CONTROL_SLACK_H

#include "base/arena.h"
#include "base/buf.h"

struct approvals;
struct db;
struct notify;

enum {
    SLACK_BODY_BYTES_MAX = 256 << 10,
    SLACK_AGE_SECONDS_MAX = 300, /* of a request, in either direction */
    SLACK_LOGIN_SECONDS_MAX = 12 * 3600,
};

/* --- reading: pure ----------------------------------------------------------------------- */

enum slack_verb { SLACK_APPROVE, SLACK_DENY, SLACK_LINK /* the link button: nothing to do */ };

/* A press of a button. Texts live in the arena. */
struct slack_press {
    enum slack_verb verb;
    struct str request;      /* id of the request */
    struct str user;         /* Slack's id: "U024BE7LHV" */
    struct str user_name;    /* as Slack shows it; for texts only */
    struct str response_url; /* may be empty */
};

/* Whether `signature` ("v0=" and 64 digits) is HMAC-SHA256 with `secret` over
 * "v0:TIMESTAMP:BODY", in constant time, and the timestamp within SLACK_AGE_SECONDS_MAX of
 * `wall_us`. ERR_DENIED. */
enum err slack_verify(struct str secret, struct str timestamp, struct str signature,
                      struct str body, int64_t wall_us);

/* Reads the form-encoded body with its payload. ERR_INVALID, ERR_LIMIT, ERR_NOMEM; ERR_UNSUPPORTED:
 * well formed, but no press of a button of ours. */
enum err slack_read(struct str body, struct arena *arena, struct slack_press *out);

/* Whether answers may be sent to this address: https and Slack's host for that, or
 * `extra_origin` ("http://127.0.0.1:4711", the channel's own; empty: none). */
bool slack_may_answer(struct str response_url, struct str extra_origin);

/* --- acting ------------------------------------------------------------------------------ */

struct slack_control {
    struct db *db;
    struct approvals *approvals;
    struct notify *notify; /* has the channels, and sends the answers */
};

struct slack_request {
    struct str timestamp, signature; /* headers X-Slack-Request-Timestamp and X-Slack-Signature */
    struct str body;                 /* as it came, to the byte */
};

/* What to answer the HTTP request with. Slack shows people nothing of it; what they see is sent to
 * the message's response_url by notify's fibers. */
struct slack_result {
    unsigned
        status; /* 200; 400 unreadable; 401 not signed by Slack, or too old, or sent before; 503 */
    const char *text; /* plain; static */
};

/* Verifies, finds who it is, and decides by the approvals engine over channel "slack". Who is not
 * known, has not logged in within SLACK_LOGIN_SECONDS_MAX, or may not decide is told so in Slack,
 * and nothing is decided. Never waits for Slack. `*out` is always set. */
void slack_action(const struct slack_control *control, const struct slack_request *request,
                  int64_t wall_us, struct slack_result *out);

#endif
