#include "control/outbound.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* --- addresses ----------------------------------------------------------------------------------
 */

struct url {
    char *scheme, *host, *port, *user, *fragment;
};

static void
url_free(struct url *u)
{
    curl_free(u->scheme);
    curl_free(u->host);
    curl_free(u->port);
    curl_free(u->user);
    curl_free(u->fragment);
}

/* Read by the library that will use it, so that both see the same host. */
static bool
url_read(struct str text, struct url *out)
{
    char copy[OUTBOUND_URL_BYTES_MAX + 1];
    CURLU *u;
    bool ok;

    *out = (struct url){0};
    if (text.len == 0 || text.len > OUTBOUND_URL_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7f ||
            text.ptr[i] == '\\')
            return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if ((u = curl_url()) == NULL)
        return false;
    ok = curl_url_set(u, CURLUPART_URL, copy, 0) == CURLUE_OK &&
         curl_url_get(u, CURLUPART_SCHEME, &out->scheme, 0) == CURLUE_OK &&
         curl_url_get(u, CURLUPART_HOST, &out->host, 0) == CURLUE_OK &&
         curl_url_get(u, CURLUPART_PORT, &out->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (ok) {
        (void)curl_url_get(u, CURLUPART_USER, &out->user, 0);
        (void)curl_url_get(u, CURLUPART_FRAGMENT, &out->fragment, 0);
    }
    curl_url_cleanup(u);
    return ok;
}

static bool
is_loopback(const char *host)
{
    unsigned a, b, c, d;
    char end;

    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (sscanf(host, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &end) == 4 && a == 127);
}

static bool
is_allowed(enum outbound_kind kind, const struct url *u)
{
    if (kind == OUTBOUND_SMTP)
        return strcmp(u->scheme, "smtps") == 0 || strcmp(u->scheme, "smtp") == 0;
    return strcmp(u->scheme, "https") == 0 ||
           (strcmp(u->scheme, "http") == 0 && is_loopback(u->host));
}

enum err
outbound_check_url(enum outbound_kind kind, struct str url)
{
    struct url u;
    enum err e = OK;

    if (!url_read(url, &u))
        e = fail(ERR_DENIED, "its address is not readable");
    else if (u.user != NULL || u.fragment != NULL)
        e = fail(ERR_DENIED, "its address has a user name or a fragment");
    else if (!is_allowed(kind, &u))
        e = fail(ERR_DENIED, kind == OUTBOUND_SMTP ? "its address is not smtps:// or smtp://"
                                                   : "its address is not https");
    url_free(&u);
    return e;
}

void
outbound_origin(struct str url, struct buf *out)
{
    struct url u;

    if (url_read(url, &u))
        buf_printf(out, "%s://%s:%s", u.scheme, u.host, u.port);
    url_free(&u);
}

/* --- a transfer -------------------------------------------------------------------------- */

struct transfer {
    const struct outbound *o;
    CURL *curl;
    struct curl_slist *headers, *recipients;
    struct str unsent; /* of a message */
    size_t answer_bytes;
    bool smtp;
};

/* Answers say nothing that we need; a long one is not read to its end. */
static size_t
on_answer(char *bytes, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;

    (void)bytes;
    t->answer_bytes += size * n;
    return t->answer_bytes > OUTBOUND_ANSWER_BYTES_MAX ? 0 : size * n;
}

static size_t
on_upload(char *to, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t room = size * n, take = t->unsent.len < room ? t->unsent.len : room;

    if (take > 0)
        memcpy(to, t->unsent.ptr, take);
    t->unsent = str_skip(t->unsent, take);
    return take;
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *t = arg;

    (void)a, (void)b, (void)c, (void)d;
    return t->o->stop != NULL && atomic_load(t->o->stop);
}

static bool
append(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);

    if (longer == NULL)
        return false;
    *list = longer;
    return true;
}

#define SET(option, value) (curl_easy_setopt(t->curl, (option), (value)) == CURLE_OK)

static bool
set_common(struct transfer *t, bool plain)
{
    struct curl_blob ca = {(void *)(uintptr_t)t->o->ca.ptr, t->o->ca.len, CURL_BLOB_NOCOPY};

    return SET(CURLOPT_URL, t->o->url) && SET(CURLOPT_FOLLOWLOCATION, 0L) &&
           SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_TIMEOUT_MS, (long)OUTBOUND_TIMEOUT_MS) &&
           SET(CURLOPT_CONNECTTIMEOUT_MS, (long)OUTBOUND_CONNECT_TIMEOUT_MS) &&
           SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
           SET(CURLOPT_SSL_VERIFYPEER, 1L) && SET(CURLOPT_SSL_VERIFYHOST, 2L) &&
           SET(CURLOPT_NOPROGRESS, 0L) && SET(CURLOPT_XFERINFOFUNCTION, on_progress) &&
           SET(CURLOPT_XFERINFODATA, (void *)t) && SET(CURLOPT_WRITEFUNCTION, on_answer) &&
           SET(CURLOPT_WRITEDATA, (void *)t) && SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
           /* What goes in clear stays on this machine. */
           (!plain || SET(CURLOPT_PROXY, "")) &&
           (t->o->ca.len == 0 || SET(CURLOPT_CAINFO_BLOB, (void *)&ca));
}

static bool
set_http(struct transfer *t)
{
    if (!append(&t->headers, "Content-Type: application/json") || !append(&t->headers, "Expect:"))
        return false;
    for (size_t i = 0; i < OUTBOUND_HEADERS_MAX && t->o->headers[i] != NULL; i++)
        if (!append(&t->headers, t->o->headers[i]))
            return false;
    return SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_POST, 1L) &&
           SET(CURLOPT_POSTFIELDS, t->o->body.ptr) &&
           SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->o->body.len) &&
           SET(CURLOPT_HTTPHEADER, t->headers) &&
           SET(CURLOPT_USERAGENT, "bulkhead/" BULKHEAD_VERSION);
}

static bool
set_smtp(struct transfer *t, bool loopback)
{
    /* On this machine in clear, unless a certificate is configured that says otherwise. */
    long tls = loopback && t->o->ca.len == 0 ? CURLUSESSL_NONE : CURLUSESSL_ALL;

    for (size_t i = 0; i <= OUTBOUND_RECIPIENTS_MAX && t->o->to[i] != NULL; i++)
        if (!append(&t->recipients, t->o->to[i]))
            return false;
    t->unsent = t->o->body;
    return SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps") && SET(CURLOPT_USE_SSL, tls) &&
           SET(CURLOPT_MAIL_FROM, t->o->from) && SET(CURLOPT_MAIL_RCPT, t->recipients) &&
           /* One address that is no more does not keep the others from being told. */
           SET(CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L) && SET(CURLOPT_UPLOAD, 1L) &&
           SET(CURLOPT_READFUNCTION, on_upload) && SET(CURLOPT_READDATA, (void *)t) &&
           (t->o->user == NULL || SET(CURLOPT_USERNAME, t->o->user)) &&
           (t->o->password == NULL || SET(CURLOPT_PASSWORD, t->o->password));
}

static bool
set_options(struct transfer *t)
{
    struct url u;
    bool ok = url_read(str_from(t->o->url), &u);

    if (ok) {
        t->smtp = strncmp(u.scheme, "smtp", 4) == 0;
        ok = is_allowed(t->smtp ? OUTBOUND_SMTP : OUTBOUND_HTTP, &u) &&
             set_common(t, strcmp(u.scheme, "http") == 0 || (t->smtp && is_loopback(u.host))) &&
             (t->smtp ? set_smtp(t, is_loopback(u.host)) : set_http(t));
    }
    url_free(&u);
    return ok;
}

/* 408 and 429 say "later", 401 to 404 and 410 that the channel is not set up (any more), which one
 * message cannot mend; the rest of 4xx is about this one. */
static enum outbound_result
judge_http(long status)
{
    if (status >= 200 && status < 300)
        return OUTBOUND_SENT;
    if (status >= 400 && status < 500 && status != 401 && status != 403 && status != 404 &&
        status != 408 && status != 410 && status != 429)
        return OUTBOUND_REFUSED;
    return OUTBOUND_UNAVAILABLE;
}

static enum outbound_result
judge(struct transfer *t, CURLcode code, unsigned *retry_after_s, char why[static 128])
{
    curl_off_t after = 0;
    long status = 0;

    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &after);
    *retry_after_s = after > 0 ? (unsigned)(after < 3600 ? after : 3600) : 0;
    if (!t->smtp && (code == CURLE_OK || (code == CURLE_WRITE_ERROR && status >= 200))) {
        (void)snprintf(why, 128, "answers with status %ld", status);
        return judge_http(status);
    }
    if (code == CURLE_OK)
        return OUTBOUND_SENT;
    (void)snprintf(why, 128, t->smtp && status > 0 ? "%s (the relay said %ld)" : "%s",
                   curl_easy_strerror(code), status);
    return t->smtp && status >= 500 && code != CURLE_LOGIN_DENIED ? OUTBOUND_REFUSED
                                                                  : OUTBOUND_UNAVAILABLE;
}

enum outbound_result
outbound_send(const struct outbound *o, unsigned *retry_after_s, char why[static 128])
{
    struct transfer t = {.o = o, .curl = curl_easy_init()};
    enum outbound_result result = OUTBOUND_UNAVAILABLE;
    sigset_t pipe;

    /* curl keeps its hands off signals on a thread: a peer that closes must not kill us. */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    *retry_after_s = 0;
    why[0] = '\0';
    if (t.curl == NULL || !set_options(&t))
        (void)snprintf(why, 128, "the transfer cannot be set up");
    else
        result = judge(&t, curl_easy_perform(t.curl), retry_after_s, why);
    curl_easy_cleanup(t.curl);
    curl_slist_free_all(t.headers);
    curl_slist_free_all(t.recipients);
    return result;
}
