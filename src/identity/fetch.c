#include "identity/fetch.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>

/* What we look at in an address. */
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
    char copy[FETCH_URL_BYTES_MAX + 1];
    CURLU *u;
    bool ok;

    *out = (struct url){0};
    if (text.len == 0 || text.len > FETCH_URL_BYTES_MAX || str_index(text, '\0') < text.len)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7f)
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

enum err
fetch_check_url(struct str url)
{
    struct url u;
    enum err e = OK;

    if (!url_read(url, &u))
        e = fail(ERR_DENIED, "the address of the keys is not readable");
    else if (u.user != NULL || u.fragment != NULL)
        e = fail(ERR_DENIED, "the address of the keys has a user name or a fragment");
    else if (strcmp(u.scheme, "https") != 0 &&
             !(strcmp(u.scheme, "http") == 0 && is_loopback(u.host)))
        e = fail(ERR_DENIED, "the address of the keys is not https");
    url_free(&u);
    return e;
}

static bool
is_same_host(struct str a, struct str b)
{
    struct url x = {}, y = {};
    bool same = url_read(a, &x) && url_read(b, &y) && strcmp(x.scheme, y.scheme) == 0 &&
                str_equal_nocase(str_from(x.host), str_from(y.host)) && strcmp(x.port, y.port) == 0;

    url_free(&x);
    url_free(&y);
    return same;
}

void
fetch_discovery_url(struct str issuer, struct buf *out)
{
    if (issuer.len > 0 && issuer.ptr[issuer.len - 1] == '/')
        issuer.len--;
    buf_put_str(out, issuer);
    buf_put_text(out, "/.well-known/openid-configuration");
}

static enum err
read_discovery(struct str document, struct str issuer, struct arena *arena, struct buf *jwks_uri)
{
    struct str said, address;
    json_t *root;
    enum err e;

    if ((e = strictjson_object(document, "the discovery document", arena, &root)) != OK)
        return e;
    said = strictjson_string(root, "issuer");
    if (said.ptr == NULL || !str_equal(said, issuer))
        return fail(ERR_INVALID, "the discovery document is of another issuer");
    address = strictjson_string(root, "jwks_uri");
    if (address.ptr == NULL)
        return fail(ERR_INVALID, "the discovery document names no jwks_uri");
    if ((e = fetch_check_url(address)) != OK)
        return e;
    if (!is_same_host(address, issuer))
        return fail(ERR_DENIED, "the discovery document puts the keys on another host; set "
                                "jwks_uri in the configuration if that is right");
    buf_put_str(jwks_uri, address);
    return buf_ok(jwks_uri);
}

enum err
fetch_read_discovery(struct str document, struct str issuer, struct buf *jwks_uri)
{
    struct arena *arena = arena_new(1 << 16);
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory for a discovery document");
    e = read_discovery(document, issuer, arena, jwks_uri);
    arena_free(arena);
    return e;
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct buf *body = arg;

    buf_put(body, bytes, size * n);
    return body->failed ? 0 : size * n;
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct fetch *f = arg;

    (void)a, (void)b, (void)c, (void)d;
    return f->stop != NULL && atomic_load(f->stop);
}

static bool
set_options(CURL *curl, const struct fetch *f, const char *url, struct buf *body)
{
    bool plain = strncmp(url, "http:", 5) == 0;

    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)FETCH_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_TIMEOUT_MS) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)JWKS_BYTES_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "bulkhead/" BULKHEAD_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)f) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) == CURLE_OK &&
           /* What goes in clear stays on this machine. */
           (!plain || curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK) &&
           (f->ca[0] == '\0' || curl_easy_setopt(curl, CURLOPT_CAINFO, f->ca) == CURLE_OK);
}

static enum err
get(const struct fetch *f, const char *url, struct buf *body)
{
    CURL *curl = curl_easy_init();
    CURLcode code;
    long status = 0;
    enum err e = OK;

    if (curl == NULL || !set_options(curl, f, url, body)) {
        curl_easy_cleanup(curl);
        return fail(ERR_NOMEM, "no memory to fetch %s", url);
    }
    code = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        e = fail(ERR_CANCELED, "fetching %s was given up", url);
    else if (code == CURLE_FILESIZE_EXCEEDED || body->failed)
        e = fail(ERR_LIMIT, "the answer of %s is larger than %d bytes", url, JWKS_BYTES_MAX);
    else if (code != CURLE_OK)
        e = fail(ERR_UNAVAILABLE, "%s: %s", url, curl_easy_strerror(code));
    else if (status >= 300 && status < 400)
        e = fail(ERR_UNAVAILABLE, "%s answers with a redirect, which is not followed", url);
    else if (status != 200)
        e = fail(ERR_UNAVAILABLE, "%s answers with status %ld", url, status);
    return e;
}

static enum err
discover(const struct fetch *f, struct buf *body, struct buf *discovered)
{
    struct buf url = buf_make(FETCH_URL_BYTES_MAX);
    enum err e;

    fetch_discovery_url(str_from(f->issuer), &url);
    if ((e = buf_ok(&url)) == OK && (e = fetch_check_url(buf_str(&url))) == OK) {
        buf_put_u8(&url, '\0');
        if ((e = buf_ok(&url)) == OK)
            e = get(f, url.ptr, body);
    }
    buf_free(&url);
    if (e != OK)
        return e;
    buf_reset(discovered);
    e = fetch_read_discovery(buf_str(body), str_from(f->issuer), discovered);
    if (e != OK)
        buf_reset(discovered);
    buf_reset(body);
    return e;
}

enum err
fetch_keys(const struct fetch *f, bool rediscover, struct buf *discovered, struct buf *notes,
           struct jwks **out)
{
    struct buf body = buf_make(JWKS_BYTES_MAX);
    char url[FETCH_URL_BYTES_MAX + 1];
    struct str address = str_from(f->jwks_uri);
    sigset_t pipe;
    enum err e = OK;

    /* curl keeps its hands off signals on a thread: a peer that closes must not kill us. */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    if (address.len == 0) {
        if (discovered->len == 0 || rediscover)
            e = discover(f, &body, discovered);
        address = buf_str(discovered);
    }
    if (e == OK && (e = fetch_check_url(address)) == OK) {
        snprintf(url, sizeof(url), "%.*s", STR_ARG(address));
        if ((e = get(f, url, &body)) == OK)
            e = jwks_parse(buf_str(&body), notes, out);
    }
    buf_free(&body);
    return e;
}
