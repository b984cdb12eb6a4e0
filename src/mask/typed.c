#include "mask/typed.h"

#include <math.h>
#include <stdlib.h>

#include "base/encode.h"

enum { NUMBER_MAX = 63, UUID_BYTES = 16, UUID_TEXT_BYTES = 36 };

/* Numbers */

static size_t
count_digits(struct str s)
{
    size_t n = 0;

    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n;
}

/* Plain decimal: -1, 0.5; `exponent` allows 1e-3 too. */
static bool
is_number(struct str s, bool exponent)
{
    size_t n;

    if (s.len > NUMBER_MAX)
        return false;
    if (s.len > 0 && s.ptr[0] == '-')
        s = str_skip(s, 1);
    if ((n = count_digits(s)) == 0)
        return false;
    s = str_skip(s, n);
    if (s.len > 0 && s.ptr[0] == '.') {
        if ((n = count_digits(str_skip(s, 1))) == 0)
            return false;
        s = str_skip(s, n + 1);
    }
    if (!exponent || s.len == 0)
        return s.len == 0;
    if (s.ptr[0] != 'e' && s.ptr[0] != 'E')
        return false;
    s = str_skip(s, s.len > 1 && (s.ptr[1] == '-' || s.ptr[1] == '+') ? 2 : 1);
    return s.len > 0 && count_digits(s) == s.len;
}

/* `max` is that of the type; its minimum is -max - 1, or 0 for an unsigned one. */
static bool
put_integer(struct str text, size_t bytes, uint64_t max, bool is_signed, bool binary,
            struct buf *out)
{
    bool negative = is_signed && text.len > 0 && text.ptr[0] == '-';
    uint64_t n;

    if (!str_to_uint(negative ? str_skip(text, 1) : text, negative ? max + 1 : max, &n))
        return false;
    if (!binary) {
        buf_printf(out, "%s%llu", negative && n != 0 ? "-" : "", (unsigned long long)n);
        return true;
    }
    if (negative)
        n = -n;
    if (bytes == 2)
        buf_put_u16(out, (uint16_t)n);
    else if (bytes == 4)
        buf_put_u32(out, (uint32_t)n);
    else
        buf_put_u64(out, n);
    return true;
}

static bool
put_float(struct str text, bool is_double, bool binary, struct buf *out)
{
    char copy[NUMBER_MAX + 1];
    double value;
    float narrow;

    if (!is_number(text, true))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    value = strtod(copy, NULL); /* this program never leaves the C locale */
    narrow = strtof(copy, NULL);
    if (!isfinite(value) || (!is_double && !isfinite(narrow)))
        return false;
    if (!binary) {
        buf_put_str(out, text);
    } else if (is_double) {
        uint64_t bits;

        memcpy(&bits, &value, sizeof(bits));
        buf_put_u64(out, bits);
    } else {
        uint32_t bits;

        memcpy(&bits, &narrow, sizeof(bits));
        buf_put_u32(out, bits);
    }
    return true;
}

/* Others with few values */

static bool
put_bool(struct str text, bool binary, struct buf *out)
{
    bool yes = str_is(text, "true") || str_is(text, "t");

    if (!yes && !str_is(text, "false") && !str_is(text, "f"))
        return false;
    if (binary)
        buf_put_u8(out, yes);
    else
        buf_put_u8(out, yes ? 't' : 'f');
    return true;
}

/* Days from 2000-01-01 in the Gregorian calendar; `year` from 1 on. */
static int32_t
days_since_2000(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1; /* years begin in March: the leap day comes last */
    int in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return (y * 365 + y / 4 - y / 100 + y / 400 + in_year) - 730425;
}

static bool
read_date(struct str s, int *year, int *month, int *day)
{
    static const char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t y, m, d;
    bool leap;

    if (s.len != 10 || s.ptr[4] != '-' || s.ptr[7] != '-' ||
        !str_to_uint((struct str){s.ptr, 4}, 9999, &y) ||
        !str_to_uint((struct str){s.ptr + 5, 2}, 12, &m) ||
        !str_to_uint((struct str){s.ptr + 8, 2}, 31, &d) || y == 0 || m == 0 || d == 0)
        return false;
    leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    *year = (int)y;
    *month = (int)m;
    *day = (int)d;
    return d <= (uint64_t)lengths[m - 1] + (m == 2 && leap);
}

/* ISO 8601 text: what other settings of DateStyle make of it is the client's matter. */
static bool
put_date(struct str text, bool binary, struct buf *out)
{
    int year, month, day;

    if (!read_date(text, &year, &month, &day))
        return false;
    if (binary)
        buf_put_u32(out, (uint32_t)days_since_2000(year, month, day));
    else
        buf_put_str(out, text);
    return true;
}

/* uuid */

static bool
read_uuid(struct str text, unsigned char uuid[static UUID_BYTES])
{
    size_t n = 0; /* digits so far */

    if (text.len != UUID_TEXT_BYTES)
        return false;
    for (size_t i = 0; i < UUID_TEXT_BYTES; i++) {
        int digit = hex_digit(text.ptr[i]);

        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text.ptr[i] != '-')
                return false;
            continue;
        }
        if (digit < 0)
            return false;
        uuid[n / 2] = (unsigned char)(n % 2 == 0 ? digit << 4 : uuid[n / 2] | digit);
        n++;
    }
    return true;
}

static void
uuid_text(const unsigned char uuid[static UUID_BYTES], char text[static UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0, at = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        text[at++] = digits[uuid[i] >> 4];
        text[at++] = digits[uuid[i] & 15];
    }
}

static bool
put_uuid(const unsigned char uuid[static UUID_BYTES], bool binary, struct buf *out)
{
    char text[UUID_TEXT_BYTES];

    if (binary) {
        buf_put(out, uuid, UUID_BYTES);
        return true;
    }
    uuid_text(uuid, text);
    buf_put(out, text, sizeof(text));
    return true;
}

/* Over the text form, as PostgreSQL writes it, in both formats. */
static bool
put_hashed_uuid(const unsigned char *key, bool binary, struct str value, struct buf *out)
{
    unsigned char uuid[UUID_BYTES], hash[MASK_HASH_BYTES];
    char text[UUID_TEXT_BYTES];

    _Static_assert((int)UUID_BYTES == (int)MASK_HASH_BYTES, "a uuid is made of one hash");
    if (binary) {
        if (value.len != UUID_BYTES)
            return false;
        memcpy(uuid, value.ptr, UUID_BYTES);
    } else if (!read_uuid(value, uuid)) {
        return false;
    }
    uuid_text(uuid, text);
    if (!mask_hash(key, (struct str){text, sizeof(text)}, hash))
        return false;
    hash[6] = (unsigned char)((hash[6] & 0x0f) | 0x80);
    hash[8] = (unsigned char)((hash[8] & 0x3f) | 0x80);
    return put_uuid(hash, binary, out);
}

bool
typed_put_uuid(const struct mask_rule *rule, const unsigned char key[static MASK_KEY_BYTES],
               bool binary, struct str value, struct buf *out)
{
    if (rule->kind == MASK_HASH)
        return put_hashed_uuid(key, binary, value, out);
    return rule->kind == MASK_FIXED && typed_put_fixed(OID_UUID, binary, rule->fixed, out);
}

bool
typed_put_fixed(uint32_t type, bool binary, struct str text, struct buf *out)
{
    unsigned char uuid[UUID_BYTES];

    switch (type) {
    case OID_INT2:
        return put_integer(text, 2, INT16_MAX, true, binary, out);
    case OID_INT4:
        return put_integer(text, 4, INT32_MAX, true, binary, out);
    case OID_INT8:
        return put_integer(text, 8, INT64_MAX, true, binary, out);
    case OID_OID:
        return put_integer(text, 4, UINT32_MAX, false, binary, out);
    case OID_FLOAT4:
        return put_float(text, false, binary, out);
    case OID_FLOAT8:
        return put_float(text, true, binary, out);
    case OID_BOOL:
        return put_bool(text, binary, out);
    case OID_DATE:
        return put_date(text, binary, out);
    case OID_UUID:
        return read_uuid(text, uuid) && put_uuid(uuid, binary, out);
    case OID_NUMERIC:
        if (binary || !is_number(text, false))
            return false;
        break;
    case OID_CHAR:
        if (binary || text.len != 1 || (unsigned char)text.ptr[0] >= 0x80)
            return false;
        break;
    default:
        return false;
    }
    buf_put_str(out, text);
    return true;
}

/* bytea */

/* The bytes of bytea's escape form (PostgreSQL documentation, "bytea Escape Format"). */
static bool
read_escaped(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c != '\\') {
            buf_put_u8(out, (uint8_t)c);
        } else if (i + 1 < text.len && text.ptr[i + 1] == '\\') {
            buf_put_u8(out, '\\');
            i++;
        } else {
            unsigned value = 0;

            if (text.len - i < 4 || text.ptr[i + 1] > '3')
                return false;
            for (size_t k = 1; k <= 3; k++) {
                if (text.ptr[i + k] < '0' || text.ptr[i + k] > '7')
                    return false;
                value = value * 8 + (unsigned)(text.ptr[i + k] - '0');
            }
            buf_put_u8(out, (uint8_t)value);
            i += 3;
        }
    }
    return !out->failed;
}

static bool
hash_bytea(const unsigned char *key, bool binary, struct str value,
           unsigned char hash[static MASK_HASH_BYTES])
{
    struct buf bytes = buf_make(MASK_VALUE_MAX);
    bool ok;

    if (binary)
        return mask_hash(key, value, hash);
    if (str_starts(value, STR("\\x")))
        ok = decode_hex(&bytes, str_skip(value, 2)) == OK;
    else
        ok = read_escaped(value, &bytes);
    ok = ok && mask_hash(key, buf_str(&bytes), hash);
    buf_free(&bytes);
    return ok;
}

bool
typed_put_bytea(const struct mask_rule *rule, const unsigned char key[static MASK_KEY_BYTES],
                bool binary, struct str value, struct buf *out)
{
    unsigned char hash[MASK_HASH_BYTES];
    struct str bytes = mask_redacted;

    if (rule->kind == MASK_NULL)
        return false;
    if (rule->kind == MASK_FIXED)
        bytes = rule->fixed;
    if (rule->kind == MASK_HASH) {
        if (!hash_bytea(key, binary, value, hash))
            return false;
        bytes = (struct str){(const char *)hash, sizeof(hash)};
    }
    if (binary) {
        buf_put_str(out, bytes);
        return true;
    }
    buf_put_text(out, "\\x");
    encode_hex(out, bytes);
    return true;
}

/* xml */

/* Character data without markup: content that is well-formed wherever it stands. */
static bool
is_xml_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c == '<' || c == '&' || c == '>' || c == 0x7f || (c < 0x20 && c != '\t' && c != '\n'))
            return false;
    }
    return str_is_utf8(s);
}

bool
typed_put_xml(const struct mask_rule *rule, const unsigned char key[static MASK_KEY_BYTES],
              struct str value, struct buf *out)
{
    struct masked m;

    /* The binary format has a declaration before the content, which the text format leaves out. */
    if (str_starts(value, STR("<?xml"))) {
        size_t end = str_index(value, '>');

        value = str_skip(value, end + 1);
    }
    if (!masked_make(rule, key, value, &m) || !is_xml_text(m.tail))
        return false;
    masked_put(&m, out);
    return true;
}
