#include "cli/api_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/config.h"

enum {
    TOKEN_HEADER_BYTES_MAX = 20 << 10,
    URL_BYTES_MAX = 8 << 10,
    ANSWER_BYTES_MAX = 64 << 20,
    CONNECT_TIMEOUT_MS = 10 * 1000,
    TIMEOUT_MS = 120 * 1000,
};

struct api_client {
    CURL *curl;
    struct curl_slist *headers; /* with the token */
    const char *url;
    const char *ca; /* NULL: the system's */
};

bool
api_options_take(struct api_options *o, int option, const char *value)
{
    switch (option) {
    case 'u':
        o->url = value;
        return true;
    case 'c':
        o->ca = value;
        return true;
    case 'f':
        o->token_file = value;
        return true;
    case 'j':
        return o->json = true;
    case 'h':
        return o->help = true;
    default:
        return false;
    }
}

/* --- opening -------------------------------------------------------------------------------- */

static enum err
read_token(const struct api_options *options, struct buf *out)
{
    struct config_secret secret = {
        .source = options->token_file != NULL ? SECRET_FILE : SECRET_ENV,
        .value = str_from(options->token_file != NULL ? options->token_file : "BULKHEAD_TOKEN"),
    };

    if (options->token_file == NULL && getenv("BULKHEAD_TOKEN") == NULL)
        return fail(ERR_INVALID, "no token: give --token-file or set BULKHEAD_TOKEN");
    return config_read_secret(&secret, out);
}

static enum err
set_token(struct api_client *c, const struct api_options *options)
{
    struct buf token = buf_make(TOKEN_HEADER_BYTES_MAX), header = buf_make(TOKEN_HEADER_BYTES_MAX);
    enum err e = read_token(options, &token);

    if (e == OK) {
        buf_put_text(&header, "Authorization: Bearer ");
        buf_put_str(&header, str_trim(buf_str(&token)));
        buf_put_u8(&header, '\0');
        e = buf_ok(&header);
    }
    if (e == OK) {
        c->headers = curl_slist_append(NULL, header.ptr);
        if (c->headers == NULL ||
            curl_slist_append(c->headers, "Content-Type: application/json") == NULL)
            e = fail(ERR_NOMEM, "no memory for the token");
    }
    buf_free_secret(&token);
    buf_free_secret(&header);
    return e;
}

enum err
api_client_open(const struct api_options *options, struct api_client **out)
{
    struct api_client *c = calloc(1, sizeof(*c));
    enum err e;

    if (c == NULL || (c->curl = curl_easy_init()) == NULL) {
        free(c);
        return fail(ERR_NOMEM, "no memory for the connection");
    }
    c->url = options->url != NULL ? options->url : getenv("BULKHEAD_URL");
    c->ca = options->ca != NULL ? options->ca : getenv("BULKHEAD_CA");
    if (c->url == NULL)
        e = fail(ERR_INVALID, "no address: give --url or set BULKHEAD_URL, such as "
                              "https://gateway.example.com:9443");
    else if (strncmp(c->url, "https://", 8) != 0)
        e = fail(ERR_INVALID, "the address must begin with https://");
    else
        e = set_token(c, options);
    if (e == OK)
        *out = c;
    else
        api_client_close(c);
    return e;
}

void
api_client_close(struct api_client *c)
{
    if (c == NULL)
        return;
    for (struct curl_slist *h = c->headers; h != NULL; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(c->headers);
    curl_easy_cleanup(c->curl);
    free(c);
}

/* --- calling -------------------------------------------------------------------------------- */

static size_t
take(char *bytes, size_t size, size_t n, void *arg)
{
    struct buf *answer = arg;

    buf_put(answer, bytes, size * n);
    return buf_ok(answer) == OK ? size * n : 0;
}

static void
prepare(struct api_client *c, const char *method, const char *url, const char *body,
        struct buf *answer)
{
    curl_easy_reset(c->curl);
    (void)curl_easy_setopt(c->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "https");
    (void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    (void)curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "bulkhead-cli/" BULKHEAD_VERSION);
    (void)curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, answer);
    if (c->ca != NULL)
        (void)curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->ca);
    if (strcmp(method, "POST") == 0)
        (void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body != NULL ? body : "{}");
}

static enum err
perform(struct api_client *c, long *status)
{
    CURLcode code = curl_easy_perform(c->curl);

    if (code != CURLE_OK)
        return fail(ERR_UNAVAILABLE, "%s cannot be asked: %s", c->url, curl_easy_strerror(code));
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, status);
    return OK;
}

/* RFC 9457: the words are in `detail`. */
static enum err
read_answer(struct str bytes, long status, json_t **out)
{
    json_t *answer = bytes.len == 0 ? NULL : json_loadb(bytes.ptr, bytes.len, 0, NULL);

    if (status >= 200 && status < 300 && (bytes.len == 0 || answer != NULL)) {
        *out = answer;
        return OK;
    }
    if (answer == NULL)
        return fail(ERR_PROTOCOL, "an answer with status %ld that is not the API's", status);
    err_ignore(
        fail(ERR_DENIED, "%s",
             *api_text(answer, "detail") ? api_text(answer, "detail") : api_text(answer, "title")));
    json_decref(answer);
    return ERR_DENIED;
}

enum err
api_client_call(struct api_client *c, const char *method, const char *path, const json_t *body,
                json_t **out)
{
    struct buf url = buf_make(URL_BYTES_MAX), answer = buf_make(ANSWER_BYTES_MAX);
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    size_t len = strlen(c->url);
    long status = 0;
    enum err e;

    while (len > 0 && c->url[len - 1] == '/')
        len--;
    buf_printf(&url, "%.*s%s", (int)len, c->url, path);
    buf_put_u8(&url, '\0');
    *out = NULL;
    if ((e = buf_ok(&url)) == OK) {
        prepare(c, method, url.ptr, text, &answer);
        if ((e = perform(c, &status)) == OK)
            e = read_answer(buf_str(&answer), status, out);
    }
    free(text);
    buf_free(&url);
    buf_free(&answer);
    return e;
}

const char *
api_text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value == NULL ? "" : value;
}

void
api_print_json(const json_t *answer)
{
    (void)json_dumpf(answer, stdout, JSON_INDENT(2));
    putchar('\n');
}
