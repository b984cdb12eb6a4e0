/* control/http.h - the parts of a request taken apart: target, query, cookies, bearer, form. Pure
 * functions over untrusted bytes. What is odd is refused, not repaired. */
#ifndef CONTROL_HTTP_H
#define CONTROL_HTTP_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    HTTP_TARGET_BYTES_MAX = 8 << 10,
    HTTP_QUERY_FIELDS_MAX = 32,
    HTTP_SEGMENTS_MAX = 8,
};

/* `name=value` pairs, decoded: of a query or a form (application/x-www-form-urlencoded). */
struct http_query {
    struct {
        struct str name, value;
    } fields[HTTP_QUERY_FIELDS_MAX];
    size_t n;
};

/* Splits an origin-form target (RFC 9112 §3.2.1) into path and query, which borrow from it. The
 * path is plain: begins with '/', has no empty, "." or ".." segment, no percent-encoding and only
 * characters that our paths have (letters, digits, - . _ ~). ERR_INVALID, ERR_LIMIT. */
enum err http_target(struct str target, struct str *path, struct str *query);

/* Decodes a query or form. A name twice, bad percent-encoding, NUL or what is not UTF-8 is
 * ERR_INVALID; ERR_LIMIT; ERR_NOMEM. */
enum err http_query_read(struct str text, struct arena *arena, struct http_query *out);

/* The value of a name; .ptr NULL if it is absent. */
struct str http_query_get(const struct http_query *q, const char *name);

/* The value of cookie `name` in a Cookie header (RFC 6265 §4.2.1); .ptr NULL if it is absent, or
 * there more than once: then nobody knows whose it is. */
struct str http_cookie(struct str header, const char *name);

/* The token of an Authorization header of the scheme Bearer (RFC 6750 §2.1); .ptr NULL otherwise.
 */
struct str http_bearer(struct str header);

/* Whether `text` is one media type `type` (parameters ignored), as "application/json". */
bool http_is_type(struct str text, const char *type);

/* Appends percent-encoded (RFC 3986 unreserved characters stay). */
void http_put_encoded(struct buf *out, struct str text);

/* RFC 3339 with a zone, seconds with up to six decimals; ERR_INVALID. */
enum err http_time(struct str text, int64_t *wall_us);

#endif
