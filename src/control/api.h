/* control/api.h - one request, taken off the wire, to its answer: the row of the table, who asks,
 * how often, the body, the handler. Knows no connection. */
#ifndef CONTROL_API_H
#define CONTROL_API_H

#include "control/rate.h"
#include "control/route.h"

/* A whole request as it came; texts borrowed. Absent headers are empty. */
struct api_incoming {
    struct str method, target, body;
    struct str authorization, cookie, content_type, csrf, origin, host, user_agent;
    struct str slack_timestamp, slack_signature, if_none_match, accept_encoding;
    struct str length, coding; /* Content-Length, Transfer-Encoding */
    bool ambiguous;            /* one of these was there twice, or both ways of saying a length */
    bool too_large;            /* the body was cut off */
    struct str address;
};

/* [waits] Answers it; `reply` is initialised, and always filled. */
void api_answer(struct control *control, struct server *server, struct rate *rate,
                const struct api_incoming *incoming, struct reply *reply);

/* How large a body may be, for the row that the target leads to: known before anybody is. */
size_t api_body_max(struct str method, struct str target);

#endif
