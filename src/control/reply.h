/* control/reply.h - what a request is answered with. */
#ifndef CONTROL_REPLY_H
#define CONTROL_REPLY_H

#include "base/buf.h"
#include "base/json.h"

struct event_queue;

enum { REPLY_BYTES_MAX = 32 << 20, REPLY_COOKIES_MAX = 2 };

struct reply {
    unsigned status;
    const char *type;           /* Content-Type; a literal */
    struct buf body;            /* unless one of the next three is set */
    struct str asset;           /* bytes that live as long as the process: console files */
    int fd;                     /* a regular file, whole, sent and closed; -1: none */
    struct event_queue *stream; /* server-sent events; the reply holds the reader's end */
    struct buf location;        /* 302 */
    struct buf cookies[REPLY_COOKIES_MAX]; /* Set-Cookie lines */
    struct buf filename;         /* Content-Disposition: attachment; plain characters only */
    struct buf etag, asset_type; /* of an asset */
    const char *encoding;        /* Content-Encoding of an asset */
    bool immutable;              /* an asset whose name changes with its contents */
    unsigned retry_seconds;      /* Retry-After */
    const char *challenge;       /* WWW-Authenticate */
    const char *allow;           /* Allow, of a 405 */
};

/* An empty answer of 204. */
void reply_init(struct reply *r);
void reply_free(struct reply *r);

/* Begins a JSON answer: write one value with the writer returned. */
struct json reply_json(struct reply *r, unsigned status);

/* RFC 9457: replaces whatever was there by {type, title, status, detail}. `detail` says what, which
 * rule, what is allowed, whom to ask. Always OK, so that a handler may return it. */
enum err reply_problem(struct reply *r, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The problem that stands for a failed call, with err_text() as its detail: ERR_DENIED 403,
 * ERR_NOT_FOUND 404, ERR_EXISTS 409, ERR_INVALID 400, ERR_LIMIT 429 or 413, ERR_UNAVAILABLE and
 * ERR_TIMEOUT 503, ERR_UNSUPPORTED 501; others 500, whose text goes to the log only. Always OK. */
enum err reply_error(struct reply *r, enum err e);

/* Members in the forms that the whole API has. */
void reply_put_time(struct json *j, const char *key, int64_t wall_us);     /* 0: null */
void reply_put_session(struct json *j, const char *key, uint64_t session); /* 0: null */

#endif
