#include "protocol/postgres/redact.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cursor.h"

/* pg_type.oid, where a type's binary form is not its text. */
enum {
    TYPE_BYTEA = 17,
    TYPE_CHAR = 18,
    TYPE_NAME = 19,
    TYPE_INT8 = 20,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_JSON = 114,
    TYPE_XML = 142,
    TYPE_CIDR = 650,
    TYPE_UNKNOWN = 705,
    TYPE_INET = 869,
    TYPE_BPCHAR = 1042,
    TYPE_VARCHAR = 1043,
    TYPE_NUMERIC = 1700,
    TYPE_RECORD = 2249,
    TYPE_CSTRING = 2275,
    TYPE_JSONB = 3802,
    TYPE_XML_ARRAY = 143,
    TYPE_JSON_ARRAY = 199,
    TYPE_NAME_ARRAY = 1003,
    TYPE_TEXT_ARRAY = 1009,
    TYPE_BPCHAR_ARRAY = 1014,
    TYPE_VARCHAR_ARRAY = 1015,
    TYPE_RECORD_ARRAY = 2287,
    TYPE_JSONB_ARRAY = 3807,
};

enum {
    DEPTH_MAX = 32,
    DIMENSIONS_MAX = 6,      /* PostgreSQL's MAXDIM */
    NUMERIC_DIGITS_MAX = 64, /* in base 10,000: longer numbers are looked at up to here */
};

static bool
is_text(uint32_t type)
{
    switch (type) {
    case TYPE_CHAR:
    case TYPE_NAME:
    case TYPE_TEXT:
    case TYPE_JSON:
    case TYPE_XML:
    case TYPE_UNKNOWN:
    case TYPE_BPCHAR:
    case TYPE_VARCHAR:
    case TYPE_CSTRING:
    case TYPE_JSONB: /* in binary a version number goes before */
        return true;
    default:
        return false;
    }
}

static bool
is_text_array(uint32_t type)
{
    switch (type) {
    case TYPE_XML_ARRAY:
    case TYPE_JSON_ARRAY:
    case TYPE_NAME_ARRAY:
    case TYPE_TEXT_ARRAY:
    case TYPE_BPCHAR_ARRAY:
    case TYPE_VARCHAR_ARRAY:
    case TYPE_JSONB_ARRAY:
        return true;
    default:
        return false;
    }
}

struct redaction {
    struct detectors *detectors;
    uint64_t *findings;
    int depth;
};

static size_t
redact(const struct redaction *r, char *value, size_t len)
{
    size_t n = len == 0 ? 0 : detectors_redact(r->detectors, value, len, NULL);

    *r->findings += n;
    return n;
}

/* A text made for the search alone. */
static bool
is_clean(const struct redaction *r, char *text, int len)
{
    return len <= 0 || redact(r, text, (size_t)len) == 0;
}

static bool
redact_integer(const struct redaction *r, struct cursor in, bool wide)
{
    char text[24];
    int64_t value = wide ? (int64_t)cursor_u64(&in) : (int32_t)cursor_u32(&in);

    return cursor_done(&in) && is_clean(r, text, snprintf(text, sizeof(text), "%" PRId64, value));
}

/* Digits in base 10,000, most significant first (PostgreSQL's numeric_send()). */
static bool
redact_numeric(const struct redaction *r, struct cursor in)
{
    char text[4 * NUMERIC_DIGITS_MAX + 8];
    unsigned n = cursor_u16(&in);
    int weight = (int16_t)cursor_u16(&in);
    int len = 0;

    (void)cursor_u32(&in); /* sign and scale */
    if (n > NUMERIC_DIGITS_MAX)
        n = NUMERIC_DIGITS_MAX;
    for (unsigned i = 0; i < n; i++, weight--) {
        if (weight == -1)
            text[len++] = '.';
        len += snprintf(text + len, sizeof(text) - (size_t)len, i == 0 ? "%u" : "%04u",
                        cursor_u16(&in) % 10000U);
    }
    /* Groups of zeroes at the end are not sent. */
    for (; weight >= 0 && len > 0 && (size_t)len + 5 < sizeof(text); weight--)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "0000");
    return !in.failed && is_clean(r, text, len);
}

static bool
redact_address(const struct redaction *r, struct cursor in)
{
    char text[INET6_ADDRSTRLEN];
    struct str address;

    (void)cursor_u16(&in); /* family, bits */
    (void)cursor_u8(&in);  /* whether it is a cidr */
    address = cursor_bytes(&in, cursor_u8(&in));
    if (in.failed || (address.len != 4 && address.len != 16))
        return false;
    if (inet_ntop(address.len == 4 ? AF_INET : AF_INET6, address.ptr, text, sizeof(text)) == NULL)
        return false;
    return is_clean(r, text, (int)strlen(text));
}

static bool redact_binary(struct redaction *r, uint32_t type, struct cursor in);

/* A part of an array or a row; NULL has no bytes. */
static bool
redact_part(struct redaction *r, uint32_t type, struct cursor *in)
{
    uint32_t length = cursor_u32(in);
    struct str part;

    if (length == UINT32_MAX)
        return true;
    part = cursor_bytes(in, length);
    return !in->failed && redact_binary(r, type, cursor_make(part));
}

static bool
redact_array(struct redaction *r, struct cursor in)
{
    uint32_t dimensions = cursor_u32(&in), type;

    (void)cursor_u32(&in); /* whether it has NULLs */
    type = cursor_u32(&in);
    if (in.failed || dimensions > DIMENSIONS_MAX)
        return false;
    (void)cursor_bytes(&in, 8 * (size_t)dimensions);
    while (!in.failed && cursor_left(&in) > 0)
        if (!redact_part(r, type, &in))
            return false;
    return cursor_done(&in);
}

static bool
redact_record(struct redaction *r, struct cursor in)
{
    uint32_t fields = cursor_u32(&in);

    for (uint32_t i = 0; i < fields && !in.failed; i++) {
        uint32_t type = cursor_u32(&in);

        if (!redact_part(r, type, &in))
            return false;
    }
    return cursor_done(&in);
}

/* The bytes are ours to write: the cursor only reads them. */
static size_t
redact_bytes(const struct redaction *r, struct cursor in)
{
    return redact(r, (char *)(uintptr_t)in.at, cursor_left(&in));
}

static bool
redact_binary(struct redaction *r, uint32_t type, struct cursor in)
{
    bool fits;

    if (is_text(type) || type == TYPE_BYTEA) {
        (void)redact_bytes(r, in);
        return true;
    }
    if (++r->depth > DEPTH_MAX)
        return false;
    switch (type) {
    case TYPE_INT4:
    case TYPE_INT8:
        fits = redact_integer(r, in, type == TYPE_INT8);
        break;
    case TYPE_NUMERIC:
        fits = redact_numeric(r, in);
        break;
    case TYPE_INET:
    case TYPE_CIDR:
        fits = redact_address(r, in);
        break;
    case TYPE_RECORD:
        fits = redact_record(r, in);
        break;
    default:
        if (is_text_array(type) || type == TYPE_RECORD_ARRAY)
            fits = redact_array(r, in);
        else /* of a type that is not known here: its bytes may be text */
            fits = redact_bytes(r, in) == 0;
    }
    r->depth--;
    return fits;
}

bool
pgredact_cell(struct detectors *d, uint32_t type, bool binary, char *value, size_t len,
              uint64_t *findings)
{
    struct redaction r = {d, findings, 0};

    if (binary)
        return redact_binary(&r, type, cursor_make((struct str){value, len}));
    return redact(&r, value, len) == 0 || is_text(type) || is_text_array(type) ||
           type == TYPE_RECORD;
}
