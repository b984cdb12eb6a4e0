/* control/route.h - every route of the API and the console as a row of one table: who may, how
 * often, and what is called. The server (server.h) asks it for a request's row, proves who asks,
 * and only then calls the handler. tests/unit/api_test.c holds the table against openapi.json. */
#ifndef CONTROL_ROUTE_H
#define CONTROL_ROUTE_H

#include <jansson.h>

#include "base/arena.h"
#include "config/config.h"
#include "control/http.h"
#include "control/reply.h"

struct control;
struct db;
struct server;

enum api_role {             /* what a route demands; an admin is a viewer, an auditor is one */
                API_PUBLIC, /* nobody needs to be known */
                API_ANY,    /* whoever is logged in */
                API_VIEWER,
                API_AUDITOR,
                API_ADMIN,
};
const char *api_role_name(enum api_role role);

/* How often: buckets of a person and of an address (rate.h). */
enum api_rate {
    API_RATE_PAGE,
    API_RATE_READ,
    API_RATE_ACT,
    API_RATE_HEAVY,
    API_RATE_LOGIN,
    API_RATES
};

enum api_flag {
    API_DELEGATES = 1, /* a token that acts for someone (RFC 8693 `act`) may use it too */
    API_FORM = 2,      /* the body is a form, as it came in request.body; not JSON */
    API_LARGE = 4,     /* the body may have API_LARGE_BODY_BYTES_MAX */
    API_STREAM = 8,    /* answers with server-sent events */
    API_PAGE = 16,     /* of the console: errors as text, no CSRF */
};
enum {
    API_BODY_BYTES_MAX = 64 << 10,
    API_LARGE_BODY_BYTES_MAX = 1 << 20,
    API_ARENA_BYTES_MAX = 64 << 20,
    API_PARAMETERS_MAX = 2,
};

/* Who asks, as the identity provider said when they logged in or as their token says now. */
struct api_person {
    struct str subject, issuer, name, email, token_id;
    struct str_list groups,
        chain; /* chain: root human first, executor last; one entry: themselves */
    bool viewer, auditor, admin;
    bool by_cookie;   /* a browser: CSRF is checked */
    struct str login; /* of a cookie: the hash it is known by; of a token: its hash */
    struct str csrf;  /* of a cookie */
    int64_t expires_us;
    const char *channel; /* "console", "api", for records of decisions */
};

struct api_request {
    struct control *control;
    struct db *db; /* the store */
    struct server *server;
    const struct config *config; /* of the time when the request came */
    struct arena *arena;         /* of the request */
    const struct route *route;
    struct str parameters[API_PARAMETERS_MAX]; /* of {…} in the pattern, in order */
    struct str path;
    struct http_query query;
    struct str body;    /* as it came */
    json_t *json;       /* of an unsafe route without API_FORM: an object, {} without a body */
    struct str address; /* the client's, as text */
    const struct api_person *person; /* NULL for API_PUBLIC routes */
    struct str cookie_header, user_agent;
    struct str slack_timestamp, slack_signature; /* X-Slack-Request-Timestamp, X-Slack-Signature */
    struct str if_none_match, accept_encoding;
    struct reply *reply;
};

/* [waits] Fills request->reply. What is not OK is answered by reply_error(). */
typedef enum err api_handler(struct api_request *request);

struct route {
    const char *method;
    const char *pattern; /* "/v1/sessions/{id}/kill"; a last segment "*" takes the rest */
    enum api_role role;
    enum api_rate rate;
    unsigned flags;
    api_handler *handler;
};

/* The row for a method and a path. HEAD is GET's. ERR_NOT_FOUND; ERR_UNSUPPORTED: the path is there
 * with other methods only, listed in `*allow` (a literal). */
enum err route_find(struct str method, struct str path, const struct route **out,
                    struct str parameters[static API_PARAMETERS_MAX], const char **allow);

/* Row `i`, NULL at the end. */
const struct route *route_at(size_t i);

/* Whether the method changes anything (not GET or HEAD). */
bool route_is_unsafe(const struct route *r);

/* --- for handlers --- */

/* The string member `key` of the body. ERR_INVALID: it is absent (if required), no string, or
 * longer than `max` bytes; absent and not required gives an empty one. */
enum err request_string(const struct api_request *q, const char *key, size_t max, bool required,
                        struct str *out);
enum err request_uint(const struct api_request *q, const char *key, uint64_t max, uint64_t *out);
enum err request_strings(const struct api_request *q, const char *key, size_t max,
                         struct str_list *out);

/* A parameter of the query; ERR_INVALID with words for the client. `*out` keeps its value if it is
 * absent. */
enum err request_query(const struct api_request *q, const char *key, size_t max, struct str *out);
enum err request_query_uint(const struct api_request *q, const char *key, uint64_t max,
                            uint64_t *out);
enum err request_query_time(const struct api_request *q, const char *key, int64_t *wall_us);

/* The session of {id} number `i`: 16 hexadecimal digits. ERR_NOT_FOUND otherwise. */
enum err request_session(const struct api_request *q, size_t i, uint64_t *session);

/* Writes down in the ledger what this person is about to do; it is done only if this is OK.
 * `action` is a word of ours ("session_killed"). ERR_UNAVAILABLE: the ledger is not there. */
enum err request_audit(const struct api_request *q, const char *action, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
