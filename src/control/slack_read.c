#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "base/encode.h"
#include "control/outbound.h"
#include "control/slack.h"

enum { ID_BYTES = 16, USER_BYTES_MAX = 64, NAME_BYTES_MAX = 256, URL_BYTES_MAX = 2048 };

/* --- who sent it ------------------------------------------------------------------------- */

static enum err
sign(struct str secret, struct str timestamp, struct str body, struct buf *out)
{
    struct buf text = buf_make(SLACK_BODY_BYTES_MAX + 256);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    enum err e;

    buf_put_text(&text, "v0:");
    buf_put_str(&text, timestamp);
    buf_put_u8(&text, ':');
    buf_put_str(&text, body);
    if ((e = buf_ok(&text)) == OK &&
        HMAC(EVP_sha256(), secret.ptr, (int)secret.len, (const unsigned char *)text.ptr, text.len,
             digest, &n) == NULL)
        e = fail(ERR_NOMEM, "cannot verify what Slack sent");
    buf_free(&text);
    if (e != OK)
        return e;
    buf_put_text(out, "v0=");
    encode_hex(out, (struct str){(const char *)digest, n});
    return buf_ok(out);
}

enum err
slack_verify(struct str secret, struct str timestamp, struct str signature, struct str body,
             int64_t wall_us)
{
    struct buf ours = buf_make(80);
    uint64_t sent_s;
    int64_t age_s;
    bool same;

    if (secret.len == 0 || timestamp.len > 12 || !str_to_uint(timestamp, INT64_MAX, &sent_s))
        return fail(ERR_DENIED, "not signed by Slack");
    if (sign(secret, timestamp, body, &ours) != OK) {
        buf_free(&ours);
        return fail(ERR_DENIED, "not signed by Slack");
    }
    same = str_equal_secret(buf_str(&ours), signature);
    buf_free(&ours);
    if (!same)
        return fail(ERR_DENIED, "not signed by Slack");
    age_s = wall_us / 1000000 - (int64_t)sent_s;
    if (age_s > SLACK_AGE_SECONDS_MAX || age_s < -SLACK_AGE_SECONDS_MAX)
        return fail(ERR_DENIED, "signed by Slack, but not now");
    return OK;
}

bool
slack_may_answer(struct str response_url, struct str extra_origin)
{
    struct buf origin = buf_make(OUTBOUND_URL_BYTES_MAX);
    bool allowed = false;

    if (response_url.len <= URL_BYTES_MAX &&
        outbound_check_url(OUTBOUND_HTTP, response_url) == OK) {
        outbound_origin(response_url, &origin);
        allowed = str_is(buf_str(&origin), "https://hooks.slack.com:443") ||
                  (extra_origin.len > 0 && str_equal(buf_str(&origin), extra_origin));
    }
    buf_free(&origin);
    return allowed;
}

/* --- what it says ------------------------------------------------------------------------ */

/* application/x-www-form-urlencoded: one value. */
static enum err
decode_form(struct str s, struct arena *arena, struct str *out)
{
    char *to = arena_alloc(arena, s.len + 1);
    size_t n = 0;

    if (to == NULL)
        return fail(ERR_NOMEM, "no memory for a form");
    for (size_t i = 0; i < s.len; i++) {
        int high, low;

        if (s.ptr[i] != '%') {
            to[n++] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
            continue;
        }
        if (s.len - i < 3 || (high = hex_digit(s.ptr[i + 1])) < 0 ||
            (low = hex_digit(s.ptr[i + 2])) < 0)
            return fail(ERR_INVALID, "the form is not encoded as one");
        to[n++] = (char)(high << 4 | low);
        i += 2;
    }
    *out = (struct str){to, n};
    return OK;
}

/* The one field `payload`, decoded. */
static enum err
find_payload(struct str body, struct arena *arena, struct str *out)
{
    bool found = false;
    enum err e;

    while (body.len > 0) {
        struct str field, name;

        body = str_cut(body, '&', &field);
        field = str_cut(field, '=', &name);
        if (!str_is(name, "payload"))
            continue;
        if (found)
            return fail(ERR_INVALID, "the form has two payloads");
        found = true;
        if ((e = decode_form(field, arena, out)) != OK)
            return e;
    }
    return found ? OK : fail(ERR_INVALID, "the form has no payload");
}

static enum err
text_of(const json_t *object, const char *key, size_t max, struct arena *arena, struct str *out)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return fail(ERR_INVALID, "the payload has no %s", key);
    if (json_string_length(value) > max)
        return fail(ERR_LIMIT, "the payload's %s is too long", key);
    *out = arena_str(arena, (struct str){json_string_value(value), json_string_length(value)});
    return out->ptr == NULL ? fail(ERR_NOMEM, "no memory for a payload") : OK;
}

/* As store_is_id(): the form of an id of a request. */
static bool
is_id(struct str id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!((id.ptr[i] >= 'a' && id.ptr[i] <= 'z') || (id.ptr[i] >= '2' && id.ptr[i] <= '7')))
            return false;
    return id.len == ID_BYTES;
}

static enum err
read_action(const json_t *action, struct arena *arena, struct slack_press *out)
{
    struct str id;
    enum err e = text_of(action, "action_id", NAME_BYTES_MAX, arena, &id);

    if (e != OK)
        return e;
    if (str_is(id, "bulkhead_open")) {
        out->verb = SLACK_LINK;
        return OK;
    }
    if (!str_is(id, "bulkhead_approve") && !str_is(id, "bulkhead_deny"))
        return fail(ERR_UNSUPPORTED, "not a button of ours");
    out->verb = str_is(id, "bulkhead_approve") ? SLACK_APPROVE : SLACK_DENY;
    if ((e = text_of(action, "value", ID_BYTES, arena, &out->request)) != OK)
        return e;
    return is_id(out->request) ? OK : fail(ERR_INVALID, "the button names no request");
}

static enum err
read_payload(const json_t *payload, struct arena *arena, struct slack_press *out)
{
    const json_t *user = json_object_get(payload, "user");
    const json_t *actions = json_object_get(payload, "actions");
    struct str type;
    enum err e;

    if ((e = text_of(payload, "type", NAME_BYTES_MAX, arena, &type)) != OK)
        return e;
    if (!str_is(type, "block_actions"))
        return fail(ERR_UNSUPPORTED, "not the press of a button");
    if (json_array_size(actions) != 1)
        return fail(ERR_INVALID, "the payload has not one action");
    if ((e = read_action(json_array_get(actions, 0), arena, out)) != OK ||
        (e = text_of(user, "id", USER_BYTES_MAX, arena, &out->user)) != OK)
        return e;
    if (text_of(user, "username", NAME_BYTES_MAX, arena, &out->user_name) != OK)
        out->user_name = out->user;
    if (json_object_get(payload, "response_url") == NULL)
        return OK;
    return text_of(payload, "response_url", URL_BYTES_MAX, arena, &out->response_url);
}

enum err
slack_read(struct str body, struct arena *arena, struct slack_press *out)
{
    struct str text = {"", 0};
    json_t *payload;
    enum err e;

    *out = (struct slack_press){.request = {"", 0}, .response_url = {"", 0}};
    if (body.len > SLACK_BODY_BYTES_MAX)
        return fail(ERR_LIMIT, "the form has more than %d bytes", SLACK_BODY_BYTES_MAX);
    if ((e = find_payload(body, arena, &text)) != OK)
        return e;
    payload = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    e = json_is_object(payload) ? read_payload(payload, arena, out)
                                : fail(ERR_INVALID, "the payload is not JSON");
    json_decref(payload);
    return e;
}
