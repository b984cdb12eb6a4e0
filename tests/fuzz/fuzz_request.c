/* What approvers are shown of a held command: its first byte says as what the rest is read. */
#include <jansson.h>

#include "control/request_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
show_sql(struct str text)
{
    struct buf formatted = buf_make(8 << 20), tokens = buf_make(64 << 20);
    struct json j = json_to(&tokens);
    json_t *value;

    request_json_format(text, &formatted);
    if (buf_ok(&formatted) != OK || formatted.len < text.len)
        __builtin_trap();
    request_json_tokens(&j, buf_str(&formatted));
    value = json_loadb(tokens.ptr, tokens.len, JSON_ALLOW_NUL, NULL);
    if (buf_ok(&tokens) == OK && !json_is_array(value))
        __builtin_trap();
    json_decref(value);
    buf_free(&formatted);
    buf_free(&tokens);
}

static void
show_preview(struct str text)
{
    struct buf out = buf_make(REQUEST_PREVIEW_MAX);
    json_t *value;

    request_json_check_preview(text, &out);
    value = json_loadb(out.ptr, out.len, JSON_ALLOW_NUL, NULL);
    if (text.len > 0 && !json_is_object(value))
        __builtin_trap();
    json_decref(value);
    buf_free(&out);
}

static void
show_request(struct str frame)
{
    struct request r = {.id = STR("abcdefghijklmnop"), .frame = frame, .resource = STR("")};
    struct request_view view = {.request = &r, .console_url = STR(""), .whole = true};
    struct buf out = buf_make(64 << 20);
    struct json j = json_to(&out);
    struct record intent;
    size_t used;
    json_t *value;

    if (request_json_write(&j, &view) == OK && buf_ok(&out) == OK) {
        value = json_loadb(out.ptr, out.len, JSON_ALLOW_NUL, NULL);
        if (!json_is_object(value))
            __builtin_trap();
        json_decref(value);
        buf_reset(&out);
        if (record_read(frame, &intent, &used) == OK)
            request_json_risk(&out, &(struct risk_facts){.intent = &intent, .preview = STR("")});
    }
    buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data + 1, size - 1};

    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        show_sql(rest);
        break;
    case 1:
        show_preview(rest);
        break;
    default:
        show_request(rest);
    }
    return 0;
}
