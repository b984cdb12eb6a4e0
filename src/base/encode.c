#include "base/encode.h"

static const char hex_digits[] = "0123456789abcdef";
static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void
encode_hex(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        char pair[2] = {hex_digits[c >> 4], hex_digits[c & 15]};

        buf_put(out, pair, 2);
    }
}

int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum err
decode_hex(struct buf *out, struct str text)
{
    if (text.len % 2 != 0)
        return fail(ERR_INVALID, "hexadecimal text of odd length");
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_digit(text.ptr[i]), low = hex_digit(text.ptr[i + 1]);

        if (high < 0 || low < 0)
            return fail(ERR_INVALID, "not a hexadecimal digit at byte %zu", i);
        buf_put_u8(out, (uint8_t)(high << 4 | low));
    }
    return buf_ok(out);
}

static void
encode_64(struct buf *out, struct str bytes, const char alphabet[static 64], bool pad)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t group = 0;
        char quad[4];

        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < n ? (unsigned char)bytes.ptr[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            quad[k] = k <= n ? alphabet[group >> (18 - 6 * k) & 63] : '=';
        buf_put(out, quad, pad ? 4 : n + 1);
    }
}

void
encode_base64(struct buf *out, struct str bytes)
{
    encode_64(out, bytes, standard, true);
}

void
encode_base64url(struct buf *out, struct str bytes)
{
    encode_64(out, bytes, url_safe, false);
}

/* Text without padding. */
static enum err
decode_64(struct buf *out, struct str text, const char alphabet[static 64])
{
    uint32_t bits = 0;
    int n = 0;

    if (text.len % 4 == 1)
        return fail(ERR_INVALID, "base64 text of impossible length");
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.ptr[i] == '\0' ? NULL : strchr(alphabet, text.ptr[i]);

        if (at == NULL)
            return fail(ERR_INVALID, "not a base64 digit at byte %zu", i);
        bits = bits << 6 | (uint32_t)(at - alphabet);
        n += 6;
        if (n >= 8) {
            n -= 8;
            buf_put_u8(out, (uint8_t)(bits >> n));
            bits &= (1u << n) - 1;
        }
    }
    if (bits != 0)
        return fail(ERR_INVALID, "unused bits of base64 text are not zero");
    return buf_ok(out);
}

enum err
decode_base64(struct buf *out, struct str text)
{
    if (text.len % 4 != 0)
        return fail(ERR_INVALID, "base64 text without its padding");
    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    return decode_64(out, text, standard);
}

enum err
decode_base64url(struct buf *out, struct str text)
{
    return decode_64(out, text, url_safe);
}
