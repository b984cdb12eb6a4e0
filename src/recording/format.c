#include "recording/format.h"

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/encode.h"
#include "base/json.h"

enum { VERSION = 1, ID_DIGITS = 16, LENGTH_BYTES = 4, FINGERPRINT_DIGITS = 64 };

static const char magic[RECORDING_MAGIC_BYTES] = {'B', 'H', 'R', 'E', 'C', '\r', '\n', 1};

enum err
recording_put_header(struct buf *out, const struct recording_header *header)
{
    char time[CLOCK_TEXT_BYTES];
    size_t start = out->len, at;
    struct json j = json_to(out);

    (void)clock_format(header->started_us, time);
    buf_put(out, magic, sizeof(magic));
    at = out->len;
    buf_put_u32(out, 0);
    json_open(&j, '{');
    json_field_uint(&j, "version", VERSION);
    json_key(&j, "session");
    buf_printf(out, "\"%0*llx\"", ID_DIGITS, (unsigned long long)header->session);
    j.comma = true;
    json_field_uint(&j, "segment", header->segment);
    json_field_str(&j, "resource", header->resource);
    json_field_str(&j, "protocol", header->protocol);
    json_field_text(&j, "started", time);
    json_key(&j, "started_us");
    json_int(&j, header->started_us);
    json_field_text(&j, "compression", "zstd");
    json_field_text(&j, "cipher", "AES-256-GCM");
    json_field_text(&j, "key_wrap", "RSA-OAEP-SHA256");
    json_field_str(&j, "key_fingerprint", header->fingerprint);
    json_key(&j, "wrapped_key");
    buf_put_u8(out, '"');
    encode_base64(out, header->wrapped_key);
    buf_put_u8(out, '"');
    json_close(&j, '}');
    if (!out->failed && out->len - at - LENGTH_BYTES <= RECORDING_HEADER_MAX) {
        buf_set_u32(out, at, (uint32_t)(out->len - at - LENGTH_BYTES));
        return OK;
    }
    out->len = start;
    return fail(ERR_LIMIT, "the header of a recording is too large");
}

/* --- reading a header ------------------------------------------------------------------------ */

/* Its text, put into `texts`, which has room for all of them. */
static bool
take_text(const json_t *object, const char *key, struct buf *texts, struct str *out)
{
    const json_t *value = json_object_get(object, key);
    size_t at = texts->len;

    if (!json_is_string(value))
        return false;
    buf_put(texts, json_string_value(value), json_string_length(value));
    *out = (struct str){texts->ptr + at, texts->len - at};
    return !texts->failed;
}

static bool
is_text(const json_t *object, const char *key, const char *expected)
{
    const json_t *value = json_object_get(object, key);

    return json_is_string(value) && strcmp(json_string_value(value), expected) == 0;
}

static bool
take_number(const json_t *object, const char *key, json_int_t max, int64_t *out)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
        return false;
    *out = (int64_t)json_integer_value(value);
    return true;
}

static bool
parse_id(const char *text, size_t n, uint64_t *out)
{
    uint64_t value = 0;

    if (n < ID_DIGITS)
        return false;
    for (int i = 0; i < ID_DIGITS; i++) {
        char c = text[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        value = value << 4 | (uint64_t)hex_digit(c);
    }
    *out = value;
    return true;
}

static bool
take_wrapped_key(const json_t *object, struct buf *texts, struct str *out)
{
    const json_t *value = json_object_get(object, "wrapped_key");
    size_t at = texts->len;
    struct str text;

    if (!json_is_string(value))
        return false;
    text = (struct str){json_string_value(value), json_string_length(value)};
    if (decode_base64(texts, text) != OK || texts->failed)
        return false;
    *out = (struct str){texts->ptr + at, texts->len - at};
    return true;
}

static bool
take_fields(const json_t *object, struct buf *texts, struct recording_header *out)
{
    struct str session;
    int64_t version, segment;

    if (!take_number(object, "version", VERSION, &version) || version != VERSION ||
        !is_text(object, "compression", "zstd") || !is_text(object, "cipher", "AES-256-GCM") ||
        !is_text(object, "key_wrap", "RSA-OAEP-SHA256") ||
        !take_text(object, "session", texts, &session) || session.len != ID_DIGITS ||
        !parse_id(session.ptr, session.len, &out->session) ||
        !take_number(object, "segment", RECORDING_SEGMENTS_MAX - 1, &segment) ||
        !take_text(object, "resource", texts, &out->resource) ||
        !take_text(object, "protocol", texts, &out->protocol) ||
        !take_number(object, "started_us", INT64_MAX, &out->started_us) ||
        !take_text(object, "key_fingerprint", texts, &out->fingerprint) ||
        out->fingerprint.len != FINGERPRINT_DIGITS ||
        !take_wrapped_key(object, texts, &out->wrapped_key))
        return false;
    out->segment = (unsigned)segment;
    return true;
}

enum err
recording_read_header(struct str bytes, struct buf *texts, struct recording_header *out,
                      size_t *used)
{
    struct cursor c = cursor_make(bytes);
    size_t known = bytes.len < sizeof(magic) ? bytes.len : sizeof(magic);
    struct str text;
    uint32_t length;
    json_t *object;
    bool good;
    enum err e;

    if (known > 0 && memcmp(bytes.ptr, magic, known) != 0)
        return fail(ERR_INVALID, "this is not a recording");
    (void)cursor_bytes(&c, sizeof(magic));
    length = cursor_u32(&c);
    if (c.failed)
        return fail(ERR_TRUNCATED, "the recording ends within its header");
    if (length > RECORDING_HEADER_MAX)
        return fail(ERR_INVALID, "the recording's header claims %u bytes", length);
    text = cursor_bytes(&c, length);
    if (c.failed)
        return fail(ERR_TRUNCATED, "the recording ends within its header");
    /* What is taken from the text is never longer than the text; so nothing moves. */
    if ((e = buf_reserve(texts, (size_t)length + 1)) != OK)
        return e;
    object = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    good = json_is_object(object) && take_fields(object, texts, out);
    json_decref(object);
    if (!good)
        return fail(ERR_INVALID, "the recording's header is damaged, or of another version");
    *used = sizeof(magic) + LENGTH_BYTES + length;
    return OK;
}

/* --- chunks ------------------------------------------------------------------------------------
 */

void
recording_put_chunk(struct buf *out, const struct recording_chunk *chunk)
{
    buf_put_u32(out, chunk->sealed_bytes);
    buf_put_u32(out, chunk->plain_bytes);
    buf_put_u64(out, chunk->index);
    buf_put_u64(out, chunk->from_us);
    buf_put_u32(out, chunk->retention_seconds);
    buf_put_u8(out, chunk->flags);
}

enum err
recording_read_chunk(struct str bytes, struct recording_chunk *out)
{
    struct cursor c = cursor_make(bytes);

    out->sealed_bytes = cursor_u32(&c);
    out->plain_bytes = cursor_u32(&c);
    out->index = cursor_u64(&c);
    out->from_us = cursor_u64(&c);
    out->retention_seconds = cursor_u32(&c);
    out->flags = cursor_u8(&c);
    if (c.failed)
        return fail(ERR_TRUNCATED, "the recording ends within the head of a chunk");
    if (out->sealed_bytes <= RECORDING_TAG_BYTES || out->sealed_bytes > RECORDING_SEALED_MAX ||
        out->plain_bytes > RECORDING_PLAIN_MAX || out->from_us > INT64_MAX ||
        (out->flags & ~(RECORDING_LAST | RECORDING_ROWS)) != 0)
        return fail(ERR_INVALID, "the head of a chunk is damaged");
    return OK;
}

/* --- names -------------------------------------------------------------------------------------
 */

void
recording_name(uint64_t session, unsigned segment, char out[RECORDING_NAME_BYTES])
{
    (void)snprintf(out, RECORDING_NAME_BYTES, "%0*llx-%03u.bhrec", ID_DIGITS,
                   (unsigned long long)session, segment % RECORDING_SEGMENTS_MAX);
}

bool
recording_parse_name(const char *name, uint64_t *session, unsigned *segment)
{
    char again[RECORDING_NAME_BYTES];
    size_t n = strlen(name);
    uint64_t number;

    if (!parse_id(name, n, session) || n < ID_DIGITS + 4 ||
        !str_to_uint((struct str){name + ID_DIGITS + 1, 3}, RECORDING_SEGMENTS_MAX - 1, &number))
        return false;
    *segment = (unsigned)number;
    recording_name(*session, *segment, again);
    return strcmp(name, again) == 0;
}
