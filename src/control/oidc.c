#include "control/oidc.h"

#include <curl/curl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/encode.h"
#include "control/http.h"
#include "identity/fetch.h"
#include "identity/strictjson.h"

enum { FORM_BYTES_MAX = 32 << 10, CONNECT_TIMEOUT_MS = 5 * 1000, ARENA_BYTES = 1 << 20 };

enum err
oidc_put_secret(struct buf *out)
{
    char bytes[32];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return fail_errno(ERR_IO, "no randomness");
    encode_base64url(out, (struct str){bytes, sizeof(bytes)});
    explicit_bzero(bytes, sizeof(bytes));
    return buf_ok(out);
}

/* --- the provider
 * --------------------------------------------------------------------------------- */

static enum err
take_url(const json_t *root, const char *key, char out[OIDC_URL_BYTES_MAX + 1])
{
    struct str url = strictjson_string(root, key);

    if (url.ptr == NULL || url.len > OIDC_URL_BYTES_MAX)
        return fail(ERR_INVALID, "the discovery document names no %s", key);
    if (fetch_check_url(url) != OK)
        return fail(ERR_DENIED, "the %s of the discovery document is not an https address", key);
    memcpy(out, url.ptr, url.len);
    out[url.len] = '\0';
    return OK;
}

/* Whether the array `key` holds `word`; `absent` if there is no array. */
static bool
lists(const json_t *root, const char *key, const char *word, bool absent)
{
    const json_t *list = json_object_get(root, key), *item;
    size_t i;

    if (!json_is_array(list))
        return absent;
    json_array_foreach((json_t *)list, i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), word) == 0)
            return true;
    }
    return false;
}

static enum err
read_provider(struct str document, struct str issuer, struct arena *arena,
              struct oidc_provider *out)
{
    json_t *root;
    struct str said;
    enum err e;

    if ((e = strictjson_object(document, "the discovery document", arena, &root)) != OK)
        return e;
    said = strictjson_string(root, "issuer");
    if (said.ptr == NULL || !str_equal(said, issuer))
        return fail(ERR_INVALID, "the discovery document is of another issuer");
    if ((e = take_url(root, "authorization_endpoint", out->authorization)) != OK ||
        (e = take_url(root, "token_endpoint", out->token)) != OK)
        return e;
    if (!lists(root, "code_challenge_methods_supported", "S256", true))
        return fail(ERR_UNSUPPORTED, "the provider does not do PKCE with S256");
    out->secret_in_body =
        !lists(root, "token_endpoint_auth_methods_supported", "client_secret_basic", true) &&
        lists(root, "token_endpoint_auth_methods_supported", "client_secret_post", false);
    out->names_itself =
        json_is_true(json_object_get(root, "authorization_response_iss_parameter_supported"));
    return OK;
}

enum err
oidc_read_provider(struct str document, struct str issuer, struct oidc_provider *out)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    enum err e;

    *out = (struct oidc_provider){0};
    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory for a discovery document");
    e = read_provider(document, issuer, arena, out);
    arena_free(arena);
    return e;
}

/* --- asking it
 * ------------------------------------------------------------------------------------ */

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct buf *body = arg;

    buf_put(body, bytes, size * n);
    return body->failed ? 0 : size * n;
}

static bool
set_options(CURL *curl, const char *url, const char *ca, struct buf *body)
{
    bool plain = strncmp(url, "http:", 5) == 0;

    return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)OIDC_TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)OIDC_DOCUMENT_BYTES_MAX) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "bulkhead/" BULKHEAD_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) == CURLE_OK &&
           /* What goes in clear stays on this machine. */
           (!plain || curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK) &&
           (ca[0] == '\0' || curl_easy_setopt(curl, CURLOPT_CAINFO, ca) == CURLE_OK);
}

static void
ignore_pipe(void)
{
    sigset_t pipe;

    /* curl keeps its hands off signals on a thread: a peer that closes must not kill us. */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
}

static enum err
perform(CURL *curl, const char *url, const struct buf *body, long *status)
{
    CURLcode code;

    ignore_pipe();
    code = curl_easy_perform(curl);
    if (code == CURLE_FILESIZE_EXCEEDED || body->failed)
        return fail(ERR_INVALID, "the answer of %s is larger than %d bytes", url,
                    OIDC_DOCUMENT_BYTES_MAX);
    if (code != CURLE_OK)
        return fail(ERR_UNAVAILABLE, "%s: %s", url, curl_easy_strerror(code));
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    return OK;
}

enum err
oidc_discover(const char *issuer, const char *ca, struct oidc_provider *out)
{
    struct buf url = buf_make(OIDC_URL_BYTES_MAX), body = buf_make(OIDC_DOCUMENT_BYTES_MAX);
    CURL *curl = curl_easy_init();
    long status = 0;
    enum err e;

    fetch_discovery_url(str_from(issuer), &url);
    if ((e = buf_ok(&url)) == OK && (e = fetch_check_url(buf_str(&url))) == OK) {
        buf_put_u8(&url, '\0');
        e = buf_ok(&url);
    }
    if (e == OK && (curl == NULL || !set_options(curl, url.ptr, ca, &body)))
        e = fail(ERR_NOMEM, "no memory to ask the provider");
    if (e == OK)
        e = perform(curl, url.ptr, &body, &status);
    if (e == OK && status != 200)
        e = fail(ERR_UNAVAILABLE, "%s answers with status %ld", url.ptr, status);
    if (e == OK)
        e = oidc_read_provider(buf_str(&body), str_from(issuer), out);
    curl_easy_cleanup(curl);
    buf_free(&url);
    buf_free(&body);
    return e;
}

static void
put_field(struct buf *form, const char *name, const char *value)
{
    if (form->len > 0)
        buf_put_u8(form, '&');
    buf_put_text(form, name);
    buf_put_u8(form, '=');
    http_put_encoded(form, str_from(value));
}

static void
put_form(const struct oidc_provider *p, const struct oidc_exchange *x, struct buf *form)
{
    put_field(form, "grant_type", "authorization_code");
    put_field(form, "code", x->code);
    put_field(form, "redirect_uri", x->redirect_uri);
    put_field(form, "code_verifier", x->verifier);
    if (x->client_secret[0] == '\0' || p->secret_in_body)
        put_field(form, "client_id", x->client_id);
    if (x->client_secret[0] != '\0' && p->secret_in_body)
        put_field(form, "client_secret", x->client_secret);
    buf_put_u8(form, '\0');
}

/* RFC 6749 §2.3.1: both are form-encoded before they are put together. */
static void
put_credentials(const struct oidc_exchange *x, struct buf *out)
{
    struct buf both = buf_make(4096);

    http_put_encoded(&both, str_from(x->client_id));
    buf_put_u8(&both, ':');
    http_put_encoded(&both, str_from(x->client_secret));
    buf_put_text(out, "Authorization: Basic ");
    encode_base64(out, buf_str(&both));
    buf_put_u8(out, '\0');
    buf_free_secret(&both);
}

static enum err
take_token(struct str document, long status, struct buf *id_token)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    json_t *root;
    struct str text;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory for the provider's answer")
                               : strictjson_object(document, "the provider's answer", arena, &root);

    if (e == OK && status != 200) {
        text = strictjson_string(root, "error");
        e = fail(ERR_DENIED, "the identity provider refused the login: %.*s (status %ld)",
                 text.ptr == NULL ? 1 : (int)(text.len > 100 ? 100 : text.len),
                 text.ptr == NULL ? "?" : text.ptr, status);
    } else if (e == OK) {
        text = strictjson_string(root, "id_token");
        if (text.ptr == NULL)
            e = fail(ERR_INVALID, "the identity provider gave no ID token; is \"openid\" among "
                                  "console.scopes?");
        else
            buf_put_str(id_token, text);
    } else if (e != ERR_NOMEM) {
        e = fail(ERR_UNAVAILABLE,
                 "the identity provider's token endpoint answers with status %ld "
                 "and no JSON",
                 status);
    }
    arena_free(arena);
    return e == OK ? buf_ok(id_token) : e;
}

enum err
oidc_exchange(const struct oidc_provider *p, const struct oidc_exchange *x, struct buf *id_token)
{
    struct buf form = buf_make(FORM_BYTES_MAX), body = buf_make(OIDC_DOCUMENT_BYTES_MAX),
               credentials = buf_make(FORM_BYTES_MAX);
    struct curl_slist *headers = NULL, *more;
    CURL *curl = curl_easy_init();
    long status = 0;
    bool basic = x->client_secret[0] != '\0' && !p->secret_in_body;
    enum err e = OK;

    put_form(p, x, &form);
    if (basic)
        put_credentials(x, &credentials);
    if (buf_ok(&form) != OK || buf_ok(&credentials) != OK || curl == NULL ||
        !set_options(curl, p->token, x->ca, &body) ||
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form.ptr) != CURLE_OK)
        e = fail(ERR_NOMEM, "no memory to ask the provider");
    if (e == OK && (headers = curl_slist_append(NULL, "Accept: application/json")) == NULL)
        e = fail(ERR_NOMEM, "no memory to ask the provider");
    if (e == OK && basic) {
        if ((more = curl_slist_append(headers, credentials.ptr)) == NULL)
            e = fail(ERR_NOMEM, "no memory to ask the provider");
        else
            headers = more;
    }
    if (e == OK && curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) != CURLE_OK)
        e = fail(ERR_NOMEM, "no memory to ask the provider");
    if (e == OK && (e = perform(curl, p->token, &body, &status)) == OK)
        e = take_token(buf_str(&body), status, id_token);
    for (struct curl_slist *h = headers; h != NULL; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    buf_free_secret(&form);
    buf_free_secret(&credentials);
    buf_free_secret(&body);
    return e;
}

/* --- the address for the browser
 * -------------------------------------------------------------------- */

static enum err
put_challenge(struct buf *out, struct str verifier)
{
    char digest[32];
    unsigned n;

    if (EVP_Digest(verifier.ptr, verifier.len, (unsigned char *)digest, &n, EVP_sha256(), NULL) !=
        1)
        return fail(ERR_TLS, "cannot hash");
    encode_base64url(out, (struct str){digest, sizeof(digest)});
    return buf_ok(out);
}

enum err
oidc_authorization_url(const struct oidc_provider *p, const struct oidc_authorization *a,
                       struct buf *out)
{
    const struct {
        const char *name;
        struct str value;
    } fields[] = {
        {"client_id", a->client_id}, {"redirect_uri", a->redirect_uri},
        {"scope", a->scopes},        {"state", a->state},
        {"nonce", a->nonce},
    };

    buf_put_text(out, p->authorization);
    buf_put_text(out, strchr(p->authorization, '?') == NULL ? "?" : "&");
    buf_put_text(out, "response_type=code&code_challenge_method=S256");
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        buf_printf(out, "&%s=", fields[i].name);
        http_put_encoded(out, fields[i].value);
    }
    buf_put_text(out, "&code_challenge=");
    return put_challenge(out, a->verifier);
}
