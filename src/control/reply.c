#include "control/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/events.h"

enum { HEADER_BYTES_MAX = 4096, DETAIL_BYTES_MAX = 8192 };

void
reply_init(struct reply *r)
{
    *r = (struct reply){.status = 204,
                        .body = buf_make(REPLY_BYTES_MAX),
                        .fd = -1,
                        .location = buf_make(HEADER_BYTES_MAX),
                        .filename = buf_make(HEADER_BYTES_MAX),
                        .etag = buf_make(HEADER_BYTES_MAX),
                        .asset_type = buf_make(HEADER_BYTES_MAX)};
    for (size_t i = 0; i < REPLY_COOKIES_MAX; i++)
        r->cookies[i] = buf_make(HEADER_BYTES_MAX);
}

void
reply_free(struct reply *r)
{
    buf_free_secret(&r->body); /* may hold rows, or a CSRF token */
    buf_free(&r->location);
    buf_free(&r->filename);
    buf_free(&r->etag);
    buf_free(&r->asset_type);
    for (size_t i = 0; i < REPLY_COOKIES_MAX; i++)
        buf_free_secret(&r->cookies[i]);
    if (r->fd >= 0)
        close(r->fd);
    if (r->stream != NULL)
        event_queue_close(r->stream);
    r->fd = -1;
    r->stream = NULL;
}

struct json
reply_json(struct reply *r, unsigned status)
{
    r->status = status;
    r->type = "application/json";
    buf_reset(&r->body);
    return json_to(&r->body);
}

static const char *
title_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        {400, "Bad request"},
        {401, "Not logged in"},
        {403, "Not allowed"},
        {404, "Not found"},
        {405, "Method not allowed"},
        {409, "Conflict"},
        {413, "Too large"},
        {415, "Not the right kind of content"},
        {429, "Too many requests"},
        {431, "Headers too large"},
        {500, "Internal error"},
        {501, "Not configured"},
        {502, "The identity provider failed"},
        {503, "Not available now"},
    };

    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

static void
put_problem(struct reply *r, unsigned status, const char *detail)
{
    struct json j;

    /* Whatever a handler had prepared does not go out with a failure. */
    if (r->stream != NULL)
        event_queue_close(r->stream);
    if (r->fd >= 0)
        close(r->fd);
    r->stream = NULL;
    r->fd = -1;
    r->asset = (struct str){NULL, 0};
    buf_reset(&r->location);
    buf_reset(&r->filename);
    buf_reset(&r->etag);
    buf_reset(&r->asset_type);
    j = reply_json(r, status);
    r->type = "application/problem+json";
    json_open(&j, '{');
    json_field_text(&j, "type", "about:blank");
    json_field_text(&j, "title", title_of(status));
    json_field_uint(&j, "status", status);
    json_field_text(&j, "detail", detail);
    json_close(&j, '}');
}

enum err
reply_problem(struct reply *r, unsigned status, const char *format, ...)
{
    char detail[DETAIL_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    put_problem(r, status, detail);
    return OK;
}

static unsigned
status_of(enum err e)
{
    switch (e) {
    case ERR_INVALID:
    case ERR_PROTOCOL:
        return 400;
    case ERR_DENIED:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_EXISTS:
        return 409;
    case ERR_LIMIT:
        return 413;
    case ERR_UNSUPPORTED:
        return 501;
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_CANCELED:
        return 503;
    default:
        return 500;
    }
}

enum err
reply_error(struct reply *r, enum err e)
{
    unsigned status = status_of(e);
    char detail[ERR_TEXT_MAX];

    (void)snprintf(detail, sizeof(detail), "%s", err_text());
    if (status == 500) {
        log_error("api_failed", "code=%s reason=%s", err_name(e), detail);
        (void)snprintf(detail, sizeof(detail),
                       "something failed in the gateway; its log says what");
    }
    put_problem(r, status, detail);
    return OK;
}

void
reply_put_time(struct json *j, const char *key, int64_t wall_us)
{
    char text[CLOCK_TEXT_BYTES];

    json_key(j, key);
    if (wall_us <= 0) {
        json_put_null(j);
        return;
    }
    json_str(j, (struct str){text, clock_format(wall_us, text)});
}

void
reply_put_session(struct json *j, const char *key, uint64_t session)
{
    char text[17];

    json_key(j, key);
    if (session == 0) {
        json_put_null(j);
        return;
    }
    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)session);
    json_str(j, str_from(text));
}
