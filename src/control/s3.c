#include "control/s3.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"

enum {
    URL_BYTES = 8192,
    ETAG_BYTES = 128,
    ANSWER_BYTES_MAX = 64 << 10,
    UPLOAD_ID_BYTES = 1024,
    PART_XML_BYTES = 512,
    CODE_BYTES = 64,
};

/* One request and what came of it. */
struct exchange {
    const struct s3 *s;
    const char *method;
    char url[URL_BYTES];
    struct str body;
    int to_fd; /* -1: the answer goes into `answer` */
    struct buf answer;
    char etag[ETAG_BYTES];
    long status;
    uint64_t length; /* of the object, as a HEAD says */
    bool has_length;
};

static void
prepare_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Characters that need no escape in a path: AWS's own list. */
static bool
is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

static void
put_escaped(struct buf *out, const char *text, bool keep_slashes)
{
    for (; *text != '\0'; text++) {
        if (is_plain(*text) || (keep_slashes && *text == '/'))
            buf_put_u8(out, (uint8_t)*text);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

/* Parameters of `query` are in the order of their names, as the signature wants them. */
static enum err
make_url(struct exchange *x, const char *name, const char *query)
{
    struct buf url = buf_make(URL_BYTES);
    size_t n = strlen(x->s->endpoint);

    while (n > 0 && x->s->endpoint[n - 1] == '/')
        n--;
    buf_put(&url, x->s->endpoint, n);
    buf_put_u8(&url, '/');
    put_escaped(&url, x->s->bucket, false);
    buf_put_u8(&url, '/');
    put_escaped(&url, x->s->prefix, true);
    put_escaped(&url, name, true);
    if (query[0] != '\0')
        buf_printf(&url, "?%s", query);
    buf_put_u8(&url, '\0');
    if (!url.failed)
        memcpy(x->url, url.ptr, url.len);
    n = url.failed;
    buf_free(&url);
    return n ? fail(ERR_LIMIT, "an object's address is too long") : OK;
}

static size_t
take_answer(char *bytes, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    size_t left = size * n;

    if (x->to_fd < 0) {
        buf_put(&x->answer, bytes, left);
        return x->answer.failed ? 0 : left;
    }
    for (size_t done = 0; done < left;) {
        ssize_t written = write(x->to_fd, bytes + done, left - done);

        if (written < 0 && errno != EINTR)
            return 0;
        done += written < 0 ? 0 : (size_t)written;
    }
    return left;
}

/* "ETag: ..." of the last answer; the quotes are part of it. */
static size_t
take_header(char *bytes, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    struct str name, value = str_cut((struct str){bytes, size * n}, ':', &name);

    value = str_trim(value);
    if (str_equal_nocase(name, STR("etag")) && value.len < ETAG_BYTES) {
        memcpy(x->etag, value.ptr, value.len);
        x->etag[value.len] = '\0';
    }
    if (str_equal_nocase(name, STR("content-length")))
        x->has_length = str_to_uint(value, INT64_MAX, &x->length);
    return size * n;
}

static int
watch_stop(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct exchange *x = arg;

    (void)a, (void)b, (void)c, (void)d;
    return x->s->stop != NULL && atomic_load(x->s->stop);
}

static CURLcode
set_options(CURL *c, struct exchange *x, struct curl_slist *headers, const char *sigv4,
            const char *credentials)
{
    CURLcode e = curl_easy_setopt(c, CURLOPT_URL, x->url);

    if (e == CURLE_OK)
        e = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https,http");
    if (e == CURLE_OK)
        e = curl_easy_setopt(c, CURLOPT_AWS_SIGV4, sigv4);
    if (e == CURLE_OK)
        e = curl_easy_setopt(c, CURLOPT_USERPWD, credentials);
    if (e == CURLE_OK && x->s->ca[0] != '\0')
        e = curl_easy_setopt(c, CURLOPT_CAINFO, x->s->ca);
    if (e == CURLE_OK)
        e = curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    if (e == CURLE_OK && strcmp(x->method, "HEAD") == 0)
        e = curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    if (e == CURLE_OK && (strcmp(x->method, "PUT") == 0 || strcmp(x->method, "POST") == 0)) {
        e = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.len);
        if (e == CURLE_OK)
            e = curl_easy_setopt(c, CURLOPT_POSTFIELDS, x->body.ptr);
    }
    if (e == CURLE_OK)
        e = curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST,
                             strcmp(x->method, "HEAD") == 0 ? NULL : x->method);
    return e;
}

static void
set_limits(CURL *c, struct exchange *x)
{
    (void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)S3_CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)S3_STALLED_SECONDS);
    (void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, watch_stop);
    (void)curl_easy_setopt(c, CURLOPT_XFERINFODATA, x);
    (void)curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
    (void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_answer);
    (void)curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
}

/* Performs it; any answer of the store is OK, x->status says which. */
static enum err
perform(struct exchange *x)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct curl_slist *headers = NULL, *more;
    char sigv4[256], credentials[1024];
    CURL *c;
    CURLcode code = CURLE_OUT_OF_MEMORY;

    (void)pthread_once(&once, prepare_curl);
    (void)snprintf(sigv4, sizeof(sigv4), "aws:amz:%s:s3",
                   x->s->region[0] == '\0' ? "us-east-1" : x->s->region);
    (void)snprintf(credentials, sizeof(credentials), "%s:%s", x->s->access_key, x->s->secret_key);
    c = curl_easy_init();
    headers = curl_slist_append(NULL, "Expect:");
    more = headers == NULL ? NULL
                           : curl_slist_append(headers, "Content-Type: application/octet-stream");
    if (c != NULL && more != NULL) {
        set_limits(c, x);
        if ((code = set_options(c, x, headers, sigv4, credentials)) == CURLE_OK)
            code = curl_easy_perform(c);
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &x->status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    explicit_bzero(credentials, sizeof(credentials));
    if (code == CURLE_OUT_OF_MEMORY)
        return fail(ERR_NOMEM, "no memory for the object store");
    if (code == CURLE_WRITE_ERROR)
        return fail(ERR_IO, "cannot keep what the object store sends");
    if (code != CURLE_OK)
        return fail(ERR_UNAVAILABLE, "the object store cannot be reached: %s",
                    curl_easy_strerror(code));
    return OK;
}

/* The text between <name> and </name>, if it is there and has no markup in it. */
static bool
find_element(struct str xml, const char *name, char *out, size_t size)
{
    char tag[64];
    int n = snprintf(tag, sizeof(tag), "<%s>", name);
    const char *at = xml.len == 0 ? NULL : memmem(xml.ptr, xml.len, tag, (size_t)n);
    size_t length;
    struct str rest;

    if (at == NULL)
        return false;
    rest = str_skip(xml, (size_t)(at - xml.ptr) + (size_t)n);
    length = str_index(rest, '<');
    if (length == rest.len || length == 0 || length >= size)
        return false;
    memcpy(out, rest.ptr, length);
    out[length] = '\0';
    return true;
}

/* What the store says is wrong, in its own word. */
static enum err
refused(const struct exchange *x)
{
    char code[CODE_BYTES] = "";

    (void)find_element(buf_str(&x->answer), "Code", code, sizeof(code));
    for (char *c = code; *c != '\0'; c++)
        if (!is_plain(*c))
            *c = '?';
    return fail(x->status == 404 ? ERR_NOT_FOUND : ERR_UNAVAILABLE,
                "the object store answered %ld %s", x->status, code);
}

static struct exchange *
exchange_new(const struct s3 *s, const char *method)
{
    struct exchange *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return NULL;
    x->s = s;
    x->method = method;
    x->to_fd = -1;
    x->body = STR("");
    x->answer = buf_make(ANSWER_BYTES_MAX);
    return x;
}

static void
exchange_free(struct exchange *x)
{
    if (x == NULL)
        return;
    buf_free(&x->answer);
    free(x);
}

/* A request that must be answered with a 2xx. `*out` is then the caller's to free. */
static enum err
ask(const struct s3 *s, const char *method, const char *name, const char *query, struct str body,
    struct exchange **out)
{
    struct exchange *x = exchange_new(s, method);
    enum err e;

    *out = NULL;
    if (x == NULL)
        return fail(ERR_NOMEM, "no memory for the object store");
    x->body = body;
    if ((e = make_url(x, name, query)) == OK && (e = perform(x)) == OK &&
        (x->status < 200 || x->status > 299))
        e = refused(x);
    if (e != OK) {
        exchange_free(x);
        return e;
    }
    *out = x;
    return OK;
}

/* --- putting
 * -------------------------------------------------------------------------------------- */

struct mapping {
    void *start;
    size_t length;
    struct str bytes;
};

/* Bytes of the file; `size` may be 0. `offset` is a multiple of the page size. */
static enum err
map_part(int fd, uint64_t offset, size_t size, struct mapping *out)
{
    *out = (struct mapping){.bytes = STR("")};
    if (size == 0)
        return OK;
    out->start = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)offset);
    if (out->start == MAP_FAILED) {
        out->start = NULL;
        return fail_errno(ERR_IO, "cannot read a recording");
    }
    out->length = size;
    out->bytes = (struct str){out->start, size};
    return OK;
}

static void
unmap(struct mapping *m)
{
    if (m->start != NULL)
        munmap(m->start, m->length);
}

/* Sends bytes of the file; `etag` gets what the store calls them. */
static enum err
put_part(const struct s3 *s, const char *name, const char *query, int fd, uint64_t offset,
         size_t size, char etag[ETAG_BYTES])
{
    struct exchange *x = NULL;
    struct mapping m;
    enum err e;

    if ((e = map_part(fd, offset, size, &m)) != OK)
        return e;
    if ((e = ask(s, "PUT", name, query, m.bytes, &x)) == OK && x->etag[0] == '\0')
        e = fail(ERR_UNAVAILABLE, "the object store gave no entity tag");
    if (e == OK)
        memcpy(etag, x->etag, ETAG_BYTES);
    exchange_free(x);
    unmap(&m);
    return e;
}

/* Whether the store has what was sent. */
static enum err
confirm(const struct s3 *s, const char *name, uint64_t size, const char *etag)
{
    struct exchange *x = NULL;
    enum err e = ask(s, "HEAD", name, "", STR(""), &x);

    if (e == OK && (!x->has_length || x->length != size || strcmp(x->etag, etag) != 0))
        e = fail(ERR_UNAVAILABLE, "the object store does not have what was sent to it");
    exchange_free(x);
    return e == ERR_NOT_FOUND ? ERR_UNAVAILABLE : e;
}

static enum err
begin_parts(const struct s3 *s, const char *name, char escaped[3 * UPLOAD_ID_BYTES])
{
    struct buf out = buf_make(3 * UPLOAD_ID_BYTES);
    char id[UPLOAD_ID_BYTES];
    struct exchange *x = NULL;
    enum err e;

    if ((e = ask(s, "POST", name, "uploads=", STR(""), &x)) == OK &&
        !find_element(buf_str(&x->answer), "UploadId", id, sizeof(id)))
        e = fail(ERR_UNAVAILABLE, "the object store gave no upload id");
    exchange_free(x);
    if (e == OK) {
        put_escaped(&out, id, false);
        buf_put_u8(&out, '\0');
        if ((e = buf_ok(&out)) == OK)
            memcpy(escaped, out.ptr, out.len);
    }
    buf_free(&out);
    return e;
}

static void
put_part_xml(struct buf *xml, unsigned number, const char *etag)
{
    buf_printf(xml, "<Part><PartNumber>%u</PartNumber><ETag>", number);
    for (; *etag != '\0'; etag++) {
        if (*etag == '"')
            buf_put_text(xml, "&quot;");
        else if (*etag == '<' || *etag == '&')
            xml->failed = true;
        else
            buf_put_u8(xml, (uint8_t)*etag);
    }
    buf_put_text(xml, "</ETag></Part>");
}

static enum err
put_all_parts(const struct s3 *s, const char *name, const char *id, int fd, uint64_t size,
              struct buf *xml)
{
    char query[3 * UPLOAD_ID_BYTES + 64], etag[ETAG_BYTES];
    uint64_t part = S3_PART_BYTES;
    unsigned number = 0;
    enum err e = OK;

    while (part * S3_PARTS_MAX < size)
        part *= 2;
    buf_put_text(xml, "<CompleteMultipartUpload>");
    for (uint64_t at = 0; e == OK && at < size; at += part) {
        size_t n = size - at < part ? (size_t)(size - at) : (size_t)part;

        (void)snprintf(query, sizeof(query), "partNumber=%u&uploadId=%s", ++number, id);
        if ((e = put_part(s, name, query, fd, at, n, etag)) == OK)
            put_part_xml(xml, number, etag);
    }
    buf_put_text(xml, "</CompleteMultipartUpload>");
    return e == OK ? buf_ok(xml) : e;
}

static enum err
end_parts(const struct s3 *s, const char *name, const char *id, struct str xml,
          char etag[ETAG_BYTES])
{
    char query[3 * UPLOAD_ID_BYTES + 64], quoted[ETAG_BYTES];
    struct exchange *x = NULL;
    enum err e;

    (void)snprintf(query, sizeof(query), "uploadId=%s", id);
    /* An error may come with the status 200, for the store may work for long. */
    if ((e = ask(s, "POST", name, query, xml, &x)) == OK &&
        !find_element(buf_str(&x->answer), "ETag", quoted, sizeof(quoted)))
        e = fail(ERR_UNAVAILABLE, "the object store did not put the parts together");
    exchange_free(x);
    if (e == OK) {
        struct str text = str_from(quoted);

        if (str_starts(text, STR("&quot;")) && text.len > 12)
            text = (struct str){text.ptr + 6, text.len - 12};
        else if (str_starts(text, STR("&#34;")) && text.len > 10)
            text = (struct str){text.ptr + 5, text.len - 10};
        else if (str_starts(text, STR("\"")) && text.len > 2)
            text = (struct str){text.ptr + 1, text.len - 2};
        (void)snprintf(etag, ETAG_BYTES, "\"%.*s\"", (int)(text.len < 120 ? text.len : 120),
                       text.ptr);
    }
    return e;
}

/* What is there of an upload that failed would cost for ever. The failure stays the caller's. */
static void
abandon_parts(const struct s3 *s, const char *name, const char *id)
{
    char why[ERR_TEXT_MAX];
    struct buf query = buf_make(3 * UPLOAD_ID_BYTES + 64);
    struct exchange *x = NULL;
    enum err e = OK;

    (void)snprintf(why, sizeof(why), "%s", err_text());
    buf_printf(&query, "uploadId=%s", id);
    buf_put_u8(&query, '\0');
    if ((e = buf_ok(&query)) == OK)
        e = ask(s, "DELETE", name, query.ptr, STR(""), &x);
    err_ignore(e);
    exchange_free(x);
    buf_free(&query);
    err_ignore(fail(ERR_IO, "%s", why));
}

static enum err
put_in_parts(const struct s3 *s, const char *name, int fd, uint64_t size, char etag[ETAG_BYTES])
{
    struct buf xml = buf_make((size_t)S3_PARTS_MAX * PART_XML_BYTES);
    char *id = calloc(3, UPLOAD_ID_BYTES);
    enum err e = id == NULL ? fail(ERR_NOMEM, "no memory for an upload") : begin_parts(s, name, id);

    if (e == OK) {
        if ((e = put_all_parts(s, name, id, fd, size, &xml)) == OK)
            e = end_parts(s, name, id, buf_str(&xml), etag);
        if (e != OK)
            abandon_parts(s, name, id);
    }
    buf_free(&xml);
    free(id);
    return e;
}

enum err
s3_put(const struct s3 *s, const char *name, int fd, uint64_t size)
{
    char etag[ETAG_BYTES] = "";
    enum err e = size <= S3_PART_BYTES ? put_part(s, name, "", fd, 0, (size_t)size, etag)
                                       : put_in_parts(s, name, fd, size, etag);

    return e == OK ? confirm(s, name, size, etag) : e;
}

/* --- the rest
 * ------------------------------------------------------------------------------------- */

enum err
s3_get(const struct s3 *s, const char *name, int fd)
{
    struct exchange *x = exchange_new(s, "GET");
    enum err e;

    if (x == NULL)
        return fail(ERR_NOMEM, "no memory for the object store");
    x->to_fd = fd;
    if ((e = make_url(x, name, "")) == OK && (e = perform(x)) == OK && x->status != 200)
        e = refused(x);
    exchange_free(x);
    return e;
}

enum err
s3_delete(const struct s3 *s, const char *name)
{
    struct exchange *x = NULL;
    enum err e = ask(s, "DELETE", name, "", STR(""), &x);

    exchange_free(x);
    return e == ERR_NOT_FOUND ? OK : e;
}
