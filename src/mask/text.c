#include "mask/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

/* docs/masking.md names this sign. */
const struct str mask_redacted = STR_INIT("***");

enum {
    ADDRESS_MAX = 254, /* RFC 5321 §4.5.3.1.3, without the angle brackets */
    TOP_LEVEL_MAX = 24,
};

bool
mask_hash(const unsigned char key[static MASK_KEY_BYTES], struct str value,
          unsigned char hash[static MASK_HASH_BYTES])
{
    unsigned char whole[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (HMAC(EVP_sha256(), key, MASK_KEY_BYTES, (const unsigned char *)value.ptr, value.len, whole,
             &len) == NULL ||
        len < MASK_HASH_BYTES)
        return false;
    memcpy(hash, whole, MASK_HASH_BYTES);
    return true;
}

static bool
make_hash(const unsigned char *key, struct str value, struct masked *m)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[MASK_HASH_BYTES];

    if (!mask_hash(key, value, hash))
        return false;
    for (size_t i = 0; i < MASK_HASH_BYTES; i++) {
        m->store[2 * i] = digits[hash[i] >> 4];
        m->store[2 * i + 1] = digits[hash[i] & 15];
    }
    m->tail = (struct str){m->store, (size_t)2 * MASK_HASH_BYTES};
    return true;
}

static bool
starts_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* A value that is no longer than what would be kept is hidden whole, and so is one that is not
 * UTF-8, whose characters cannot be told. */
static void
make_partial(struct str value, unsigned keep, struct masked *m)
{
    size_t from = value.len, kept = 0, n = 0;

    m->tail = STR("");
    m->stars = value.len;
    if (!str_is_utf8(value))
        return;
    for (size_t i = 0; i < value.len; i++)
        n += starts_character(value.ptr[i]);
    m->stars = n;
    if (n <= keep || keep > MASK_KEEP_MAX)
        return;
    while (kept < keep)
        kept += starts_character(value.ptr[--from]);
    memcpy(m->store, value.ptr + from, value.len - from);
    m->tail = (struct str){m->store, value.len - from};
    m->stars = n - keep;
}

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 5321 §4.1.2 Dot-string, and RFC 6531's letters; no quoted ones. */
static bool
is_local_part(struct str s)
{
    if (s.len == 0 || (!is_letter(s.ptr[0]) && !is_digit(s.ptr[0]) && str_utf8_length(s) < 2))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!is_letter(c) && !is_digit(c) && (unsigned char)c < 0x80 &&
            (c == '\0' || strchr(".!#$%&'*+-/=?^_`{|}~", c) == NULL))
            return false;
    }
    return true;
}

/* At least two labels; the last one, letters only, is `*top`. */
static bool
is_domain(struct str s, struct str *top)
{
    size_t label = 0, labels = 0;

    *top = STR("");
    for (size_t i = 0; i <= s.len; i++) {
        if (i == s.len || s.ptr[i] == '.') {
            if (i == label)
                return false;
            *top = (struct str){s.ptr + label, i - label};
            labels++;
            label = i + 1;
        } else if (!is_letter(s.ptr[i]) && !is_digit(s.ptr[i]) && s.ptr[i] != '-' &&
                   (unsigned char)s.ptr[i] < 0x80) {
            return false;
        }
    }
    for (size_t i = 0; i < top->len; i++)
        if (!is_letter(top->ptr[i]))
            return false;
    return labels >= 2 && top->len >= 2 && top->len <= TOP_LEVEL_MAX;
}

static void
make_email(struct str value, struct masked *m)
{
    static const struct str middle = STR_INIT("***@***.");
    struct str local, top, domain;
    size_t first;

    m->tail = mask_redacted;
    if (value.len > ADDRESS_MAX || !str_is_utf8(value))
        return;
    domain = str_cut(value, '@', &local);
    if (!is_local_part(local) || !is_domain(domain, &top))
        return;
    first = str_utf8_length(local);
    memcpy(m->store, local.ptr, first);
    memcpy(m->store + first, middle.ptr, middle.len);
    memcpy(m->store + first + middle.len, top.ptr, top.len);
    m->tail = (struct str){m->store, first + middle.len + top.len};
}

bool
masked_make(const struct mask_rule *rule, const unsigned char key[static MASK_KEY_BYTES],
            struct str value, struct masked *m)
{
    m->stars = 0;
    switch (rule->kind) {
    case MASK_REDACT:
        m->tail = mask_redacted;
        return true;
    case MASK_PARTIAL:
        make_partial(value, rule->keep, m);
        return true;
    case MASK_HASH:
        return make_hash(key, value, m);
    case MASK_EMAIL:
        make_email(value, m);
        return true;
    case MASK_FIXED:
        m->tail = rule->fixed;
        return true;
    case MASK_NULL:
    case MASK_KIND_COUNT:
        break;
    }
    return false;
}

void
masked_put(const struct masked *m, struct buf *out)
{
    if (m->stars > 0) {
        if (buf_reserve(out, m->stars) != OK)
            return;
        memset(out->ptr + out->len, '*', m->stars);
        out->len += m->stars;
    }
    buf_put_str(out, m->tail);
}
