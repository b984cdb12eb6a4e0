#include "control/api.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"
#include "control/login.h"
#include "identity/strictjson.h"

/* Of a person and of an address; an address may be a whole office. */
static const struct rate_limit person_limits[API_RATES] = {
    [API_RATE_PAGE] = {600, 1200}, [API_RATE_READ] = {300, 900}, [API_RATE_ACT] = {60, 120},
    [API_RATE_HEAVY] = {10, 20},   [API_RATE_LOGIN] = {20, 30},
};
static const struct rate_limit address_limits[API_RATES] = {
    [API_RATE_PAGE] = {1200, 2400}, [API_RATE_READ] = {900, 2700}, [API_RATE_ACT] = {180, 360},
    [API_RATE_HEAVY] = {30, 60},    [API_RATE_LOGIN] = {20, 30},
};

static const struct str forms = STR_INIT("application/x-www-form-urlencoded");

/* false: too often; `reply` says so. */
static bool
take_rate(struct rate *rate, struct str key, const struct rate_limit *limits, enum api_rate kind,
          unsigned salt, struct reply *reply)
{
    unsigned wait = rate_take(rate, key, salt + kind, &limits[kind], clock_monotonic_ms());

    if (wait == 0)
        return true;
    err_ignore(reply_problem(reply, 429,
                             "too many requests of this kind from you: %u at once and %u a minute "
                             "are allowed; try again in %u s",
                             limits[kind].burst, limits[kind].per_minute, wait));
    reply->retry_seconds = wait;
    return false;
}

/* --- who -------------------------------------------------------------------------------------- */

static enum err
refuse_unknown(struct api_request *q, enum err e)
{
    if (e == ERR_NOT_FOUND)
        err_ignore(reply_problem(q->reply, 401,
                                 "nobody is logged in: log in at /login, or send a token as "
                                 "\"Authorization: Bearer TOKEN\""));
    else if (e == ERR_DENIED)
        err_ignore(reply_problem(q->reply, 401, "the token was refused: %s", err_text()));
    else
        return reply_error(q->reply, e);
    q->reply->challenge = "Bearer realm=\"bulkhead\"";
    return OK;
}

static const char *
groups_key(enum api_role role)
{
    return role == API_ADMIN     ? "console.roles.admin"
           : role == API_AUDITOR ? "console.roles.auditor"
                                 : "console.roles.viewer";
}

/* false: may not; the reply says which role is needed, and where it comes from. */
static bool
check_role(struct api_request *q)
{
    enum api_role role = q->route->role;

    if (login_is_delegated(q->person) && (q->route->flags & API_DELEGATES) == 0) {
        err_ignore(reply_problem(q->reply, 403,
                                 "this token acts for %.*s and is held by %.*s: only people do "
                                 "this, with a token of their own",
                                 STR_ARG(q->person->chain.items[0]),
                                 STR_ARG(q->person->chain.items[q->person->chain.n - 1])));
        return false;
    }
    if (login_has_role(q->person, role))
        return true;
    err_ignore(reply_problem(q->reply, 403,
                             "%.*s is no %s: that needs one of the groups in %s of the gateway's "
                             "configuration; ask whoever runs the gateway",
                             STR_ARG(q->person->subject), api_role_name(role), groups_key(role)));
    return false;
}

/* Whether a browser says that a page of ours made this request, as far as it says anything. */
static bool
is_own_origin(const struct api_incoming *in)
{
    struct str rest;

    if (in->origin.len == 0)
        return true;
    if (!str_starts(in->origin, STR("https://")))
        return false;
    rest = str_skip(in->origin, strlen("https://"));
    return str_equal_nocase(rest, in->host);
}

/* A page elsewhere can have a browser send our cookie, but not read the value of this header. */
static bool
check_csrf(struct api_request *q, const struct api_incoming *in)
{
    if (!route_is_unsafe(q->route) || (q->route->flags & API_PAGE) != 0)
        return true;
    if (in->origin.len > 0 && (q->person == NULL || q->person->by_cookie) && !is_own_origin(in)) {
        err_ignore(reply_problem(q->reply, 403, "this request comes from a page elsewhere"));
        return false;
    }
    if (q->person == NULL || !q->person->by_cookie)
        return true;
    if (q->person->csrf.len > 0 && str_equal_secret(q->person->csrf, in->csrf))
        return true;
    err_ignore(reply_problem(q->reply, 403,
                             "the header X-CSRF-Token is absent or wrong: its value is \"csrf\" of "
                             "GET /v1/me"));
    return false;
}

/* --- the body -----------------------------------------------------------------------------------
 */

static enum err
read_body(struct api_request *q, const struct api_incoming *in)
{
    bool form = (q->route->flags & API_FORM) != 0;

    q->body = in->body;
    if (!route_is_unsafe(q->route))
        return in->body.len == 0 ? OK : fail(ERR_INVALID, "a %s has no body", q->route->method);
    if (form)
        return http_is_type(in->content_type, forms.ptr)
                   ? OK
                   : fail(ERR_INVALID, "the body must be %s", forms.ptr);
    if (in->body.len == 0) {
        q->json = json_object();
        return q->json == NULL ? fail(ERR_NOMEM, "no memory for a body")
                               : arena_defer(q->arena, (void (*)(void *))json_decref, q->json);
    }
    return strictjson_object(in->body, "the body", q->arena, &q->json);
}

/* --- the whole way
 * -------------------------------------------------------------------------------- */

static enum err
find_route(struct api_request *q, const struct api_incoming *in)
{
    struct str query;
    enum err e;

    if (in->ambiguous)
        return reply_problem(q->reply, 400,
                             "a header is there twice, or the body's length is said in two "
                             "ways");
    if ((e = http_target(in->target, &q->path, &query)) != OK)
        return reply_error(q->reply, e);
    e = route_find(in->method, q->path, &q->route, q->parameters, &q->reply->allow);
    if (e == ERR_UNSUPPORTED)
        return reply_problem(q->reply, 405, "%.*s does not take %.*s, only %s", STR_ARG(q->path),
                             STR_ARG(in->method), q->reply->allow);
    if (e != OK)
        return reply_problem(q->reply, 404, "there is no %.*s here; /v1/openapi.json says what is",
                             STR_ARG(q->path));
    if ((e = http_query_read(query, q->arena, &q->query)) != OK) {
        q->route = NULL;
        return reply_error(q->reply, e == ERR_LIMIT ? ERR_INVALID : e);
    }
    return OK;
}

/* false: it is answered already. */
static bool
admit(struct api_request *q, struct api_person *person, struct rate *rate,
      const struct api_incoming *in)
{
    enum err e;

    if (q->route->role != API_PUBLIC) {
        e = login_person(q->control, q->db, q->config, in->cookie, in->authorization, q->arena,
                         person);
        if (e != OK) {
            err_ignore(refuse_unknown(q, e));
            return false;
        }
        q->person = person;
        if (!take_rate(rate, person->subject, person_limits, q->route->rate, 100, q->reply) ||
            !check_role(q))
            return false;
    }
    if (!check_csrf(q, in))
        return false;
    if (in->too_large) {
        err_ignore(reply_problem(q->reply, 413, "the body is larger than %zu bytes",
                                 api_body_max(in->method, in->target)));
        return false;
    }
    if (route_is_unsafe(q->route) && (q->route->flags & API_FORM) == 0 && in->body.len > 0 &&
        !http_is_type(in->content_type, "application/json")) {
        err_ignore(reply_problem(q->reply, 415, "the body must be application/json"));
        return false;
    }
    if ((e = read_body(q, in)) != OK) {
        err_ignore(reply_error(q->reply, e));
        return false;
    }
    return true;
}

static void
answer(struct api_request *q, struct rate *rate, const struct api_incoming *in)
{
    struct api_person person = {0};
    enum err e;

    err_ignore(find_route(q, in));
    if (q->route == NULL ||
        !take_rate(rate, in->address, address_limits, q->route->rate, 0, q->reply) ||
        !admit(q, &person, rate, in))
        return;
    if ((e = q->route->handler(q)) != OK)
        err_ignore(reply_error(q->reply, e));
    if (buf_ok(&q->reply->body) != OK)
        err_ignore(reply_problem(q->reply, 413,
                                 "the answer would be larger than %d bytes; ask for less",
                                 REPLY_BYTES_MAX));
}

void
api_answer(struct control *control, struct server *server, struct rate *rate,
           const struct api_incoming *in, struct reply *reply)
{
    struct api_request q = {.control = control,
                            .db = control->db,
                            .server = server,
                            .config = control->config,
                            .arena = arena_new(API_ARENA_BYTES_MAX),
                            .address = in->address,
                            .cookie_header = in->cookie,
                            .user_agent = in->user_agent,
                            .slack_timestamp = in->slack_timestamp,
                            .slack_signature = in->slack_signature,
                            .if_none_match = in->if_none_match,
                            .accept_encoding = in->accept_encoding,
                            .reply = reply};

    if (q.arena == NULL)
        err_ignore(reply_problem(reply, 503, "the gateway has no memory for the request now"));
    else
        answer(&q, rate, in);
    arena_free(q.arena);
}

size_t
api_body_max(struct str method, struct str target)
{
    struct str parameters[API_PARAMETERS_MAX], path, query;
    const struct route *route;
    const char *allow;

    return http_target(target, &path, &query) == OK &&
                   route_find(method, path, &route, parameters, &allow) == OK &&
                   (route->flags & API_LARGE) != 0
               ? API_LARGE_BODY_BYTES_MAX
               : API_BODY_BYTES_MAX;
}
