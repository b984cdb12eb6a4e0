/* The generic webhook: JSON, signed as the Standard Webhooks 1.0 say. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "control/notify_text.h"

enum { KEY_BYTES_MAX = 1024 };

static void
put_list(struct json *j, const char *key, struct str_list list)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < list.n && i < 10 * NOTIFY_LIST_MAX; i++)
        json_str(j, notify_cut(list.items[i], NOTIFY_TEXT_MAX));
    json_close(j, ']');
}

static void
put_optional(struct json *j, const char *key, struct str value)
{
    json_key(j, key);
    if (value.len == 0)
        json_put_null(j);
    else
        json_str(j, notify_cut(value, NOTIFY_TEXT_MAX));
}

static void
put_time(struct json *j, const char *key, int64_t wall_us)
{
    char text[CLOCK_TEXT_BYTES];

    (void)clock_format(wall_us, text);
    json_field_text(j, key, text);
}

void
notify_webhook_body(const struct notification *n, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    json_field_text(&j, "event", notify_event_name(n->event));
    json_field_str(&j, "id", n->id);
    json_key(&j, "request");
    json_open(&j, '{');
    json_field_str(&j, "id", n->request);
    json_field_text(&j, "kind", n->is_access ? "access" : "command");
    json_field_text(&j, "state", n->state);
    put_time(&j, "created", n->created_us);
    put_time(&j, "expires", n->expires_us);
    json_field_str(&j, "subject", notify_cut(n->subject, NOTIFY_TEXT_MAX));
    put_list(&j, "chain", n->chain);
    json_field_str(&j, "resource", notify_cut(n->resource, NOTIFY_TEXT_MAX));
    put_optional(&j, "database", n->database);
    json_field_str(&j, "rule", notify_cut(n->rule, NOTIFY_TEXT_MAX));
    put_list(&j, "classes", n->classes);
    put_list(&j, "objects", n->objects);
    if (n->is_access)
        json_field_uint(&j, "seconds", n->access_seconds);
    else
        json_field_str(&j, "statement", notify_cut(n->statement, NOTIFY_STATEMENT_MAX));
    put_optional(&j, "purpose", n->purpose);
    put_optional(&j, "reason", n->reason);
    put_optional(&j, "approvers", n->approvers);
    put_optional(&j, "decided_by", n->decided_by);
    put_optional(&j, "decided_text", n->decided_text);
    put_optional(&j, "link", n->link);
    json_close(&j, '}');
    json_close(&j, '}');
}

/* The key behind a configured secret. */
static enum err
read_key(struct str secret, struct buf *out)
{
    static const struct str prefix = STR_INIT("whsec_");
    enum err e;

    if (!str_starts(secret, prefix)) {
        buf_put_str(out, secret);
        return buf_ok(out);
    }
    if ((e = decode_base64(out, str_skip(secret, prefix.len))) == OK && out->len == 0)
        e = fail(ERR_INVALID, "the secret of a webhook is empty");
    return e;
}

enum err
notify_webhook_sign(struct str secret, struct str id, int64_t timestamp_s, struct str body,
                    char out[NOTIFY_SIGNATURE_BYTES])
{
    struct buf key = buf_make(KEY_BYTES_MAX), text = buf_make(body.len + 256);
    struct buf base64 = buf_make(NOTIFY_SIGNATURE_BYTES - sizeof("v1,"));
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    enum err e;

    buf_put_str(&text, id);
    buf_printf(&text, ".%lld.", (long long)timestamp_s);
    buf_put_str(&text, body);
    if ((e = read_key(secret, &key)) == OK && (e = buf_ok(&text)) == OK) {
        if (HMAC(EVP_sha256(), key.ptr == NULL ? "" : key.ptr, (int)key.len,
                 (const unsigned char *)text.ptr, text.len, digest, &n) == NULL)
            e = fail(ERR_NOMEM, "cannot sign a webhook");
    }
    if (e == OK) {
        encode_base64(&base64, (struct str){(const char *)digest, n});
        if ((e = buf_ok(&base64)) == OK)
            (void)snprintf(out, NOTIFY_SIGNATURE_BYTES, "v1,%.*s", STR_ARG(buf_str(&base64)));
    }
    buf_free_secret(&key);
    buf_free(&text);
    buf_free(&base64);
    return e;
}
