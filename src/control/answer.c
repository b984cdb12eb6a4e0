#include "control/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "control/console_assets.h"
#include "control/events.h"

enum { STREAM_BLOCK_BYTES = 16 << 10 };

/* --- streams
 * --------------------------------------------------------------------------------------- */

struct answer_stream {
    struct event_queue *queue;
    struct MHD_Connection *http;
    struct answer_waker waker;
    bool suspended;
    bool gone;
};

static void
wake_stream(void *arg)
{
    struct answer_stream *s = arg;

    if (!s->suspended)
        return;
    s->suspended = false;
    MHD_resume_connection(s->http);
    s->waker.resumed(s->waker.arg);
}

static ssize_t
read_stream(void *arg, uint64_t at, char *out, size_t max)
{
    struct answer_stream *s = arg;
    size_t n;

    (void)at;
    if (s->gone)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if ((n = event_queue_take(s->queue, out, max)) > 0)
        return (ssize_t)n;
    if (event_queue_is_over(s->queue))
        return event_queue_has_failed(s->queue) ? MHD_CONTENT_READER_END_WITH_ERROR
                                                : MHD_CONTENT_READER_END_OF_STREAM;
    s->suspended = true;
    MHD_suspend_connection(s->http);
    return 0;
}

static void
free_stream(void *arg)
{
    struct answer_stream *s = arg;

    event_queue_close(s->queue);
    free(s);
}

void
answer_stream_gone(struct answer_stream *s)
{
    s->gone = true;
    wake_stream(s);
}

static struct MHD_Response *
stream_response(struct MHD_Connection *http, struct reply *r, bool gone, struct answer_waker waker,
                struct answer_stream **stream)
{
    struct answer_stream *s = calloc(1, sizeof(*s));
    struct MHD_Response *response;

    if (s == NULL)
        return NULL;
    *s = (struct answer_stream){.queue = r->stream, .http = http, .waker = waker, .gone = gone};
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream,
                                                 s, free_stream);
    if (response == NULL) {
        free(s);
        return NULL;
    }
    event_queue_on_wake(s->queue, wake_stream, s);
    r->stream = NULL;
    *stream = s;
    return response;
}

/* --- bytes
 * ----------------------------------------------------------------------------------------- */

static void
free_body(void *arg)
{
    struct buf *body = arg;

    buf_free_secret(body);
    free(body);
}

static struct MHD_Response *
body_response(struct reply *r)
{
    struct buf *body = malloc(sizeof(*body));
    struct MHD_Response *response;

    if (body == NULL)
        return NULL;
    *body = r->body;
    r->body = buf_make(REPLY_BYTES_MAX);
    response = MHD_create_response_from_buffer_with_free_callback_cls(
        body->len, body->len == 0 ? (void *)body : body->ptr, free_body, body);
    if (response == NULL)
        free_body(body);
    return response;
}

static struct MHD_Response *
file_response(struct reply *r)
{
    struct MHD_Response *response;
    struct stat st;

    if (fstat(r->fd, &st) != 0 ||
        (response = MHD_create_response_from_fd64((uint64_t)st.st_size, r->fd)) == NULL)
        return NULL;
    r->fd = -1;
    return response;
}

static struct MHD_Response *
make_response(struct MHD_Connection *http, struct reply *r, bool gone, struct answer_waker waker,
              struct answer_stream **stream)
{
    *stream = NULL;
    if (r->stream != NULL)
        return stream_response(http, r, gone, waker, stream);
    if (r->fd >= 0)
        return file_response(r);
    if (r->asset.ptr != NULL)
        return MHD_create_response_from_buffer_with_free_callback_cls(
            r->asset.len, (void *)(uintptr_t)r->asset.ptr, NULL, NULL);
    return body_response(r);
}

/* --- headers
 * --------------------------------------------------------------------------------------- */

/* On everything, errors too: a page that is shown where none should be still does nothing. */
static const struct {
    const char *name, *value;
} always[] = {
    {"Content-Security-Policy", CONSOLE_CONTENT_SECURITY_POLICY},
    {"Strict-Transport-Security", "max-age=31536000"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Embedder-Policy", "require-corp"},
    {"Permissions-Policy", "accelerometer=(), camera=(), display-capture=(), geolocation=(), "
                           "gyroscope=(), microphone=(), midi=(), payment=(), usb=()"},
};

static bool
add(struct MHD_Response *response, const char *name, const char *value)
{
    return value == NULL || MHD_add_response_header(response, name, value) == MHD_YES;
}

/* A buffer as a header; empty: none. */
static bool
add_buf(struct MHD_Response *response, const char *name, const char *before, struct buf *value)
{
    struct buf text = buf_make(8192);
    bool ok;

    if (value->len == 0 && !value->failed)
        return true;
    buf_put_text(&text, before);
    buf_put_str(&text, buf_str(value));
    buf_put_u8(&text, '\0');
    ok = !value->failed && buf_ok(&text) == OK && add(response, name, text.ptr);
    buf_free_secret(&text);
    return ok;
}

static const char *
caching(const struct reply *r)
{
    if (r->etag.len == 0)
        return "no-store";
    return r->immutable ? "public, max-age=31536000, immutable" : "no-cache";
}

static bool
add_headers(struct MHD_Response *response, struct reply *r)
{
    char seconds[16];
    bool ok = true;

    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        ok = ok && add(response, always[i].name, always[i].value);
    (void)snprintf(seconds, sizeof(seconds), "%u", r->retry_seconds);
    ok = ok && add(response, "Content-Type", r->status == 204 ? NULL : r->type) &&
         add_buf(response, "Content-Type", "", &r->asset_type) &&
         add(response, "Cache-Control", caching(r)) && add_buf(response, "ETag", "", &r->etag) &&
         add(response, "Content-Encoding", r->encoding) &&
         add(response, "Vary", r->etag.len == 0 ? NULL : "Accept-Encoding") &&
         add(response, "WWW-Authenticate", r->challenge) && add(response, "Allow", r->allow) &&
         add(response, "Retry-After", r->retry_seconds == 0 ? NULL : seconds) &&
         /* Where a refused request ends may be in doubt: what follows is not taken for another. */
         add(response, "Connection", r->status >= 400 ? "close" : NULL) &&
         add_buf(response, "Location", "", &r->location) &&
         add_buf(response, "Content-Disposition", "attachment; filename=", &r->filename);
    for (size_t i = 0; i < REPLY_COOKIES_MAX; i++)
        ok = ok && add_buf(response, "Set-Cookie", "", &r->cookies[i]);
    return ok;
}

bool
answer_queue(struct MHD_Connection *http, struct reply *r, bool gone, struct answer_waker waker,
             struct answer_stream **stream)
{
    struct MHD_Response *response = make_response(http, r, gone, waker, stream);
    bool ok;

    if (response == NULL)
        return false;
    ok = add_headers(response, r) && MHD_queue_response(http, r->status, response) == MHD_YES;
    if (!ok)
        *stream = NULL;
    MHD_destroy_response(response);
    return ok;
}
