#include "ledger/line.h"

#include <openssl/evp.h>
#include <stdlib.h>

struct line_hasher {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};

/* Consumes `text` at the start of `*s`. */
static bool
skip(struct str *s, struct str text)
{
    if (!str_starts(*s, text))
        return false;
    *s = str_skip(*s, text.len);
    return true;
}

/* A string without escapes or quotes, and its closing quote. */
static bool
skip_word(struct str *s, struct str *word)
{
    size_t n = str_index(*s, '"');

    if (n == s->len || n == 0 || memchr(s->ptr, '\\', n) != NULL)
        return false;
    *word = (struct str){s->ptr, n};
    *s = str_skip(*s, n + 1);
    return true;
}

static bool
skip_number(struct str *s, uint64_t *number)
{
    size_t n = 0;

    while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9')
        n++;
    if (n == 0 || (n > 1 && s->ptr[0] == '0') ||
        !str_to_uint((struct str){s->ptr, n}, UINT64_MAX, number))
        return false;
    *s = str_skip(*s, n);
    return true;
}

static int
digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Lower case only: there is one way to write a record. */
static bool
skip_hash(struct str *s, unsigned char hash[LINE_HASH_BYTES])
{
    if (s->len < LINE_HEX_BYTES)
        return false;
    for (size_t i = 0; i < LINE_HASH_BYTES; i++) {
        int high = digit_value(s->ptr[2 * i]), low = digit_value(s->ptr[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        hash[i] = (unsigned char)(high << 4 | low);
    }
    *s = str_skip(*s, LINE_HEX_BYTES);
    return true;
}

enum err
line_read_head(struct str text, struct line *out)
{
    struct str rest = text;

    if (!skip(&rest, STR("{\"seq\":")) || !skip_number(&rest, &out->seq) ||
        !skip(&rest, STR(",\"time\":\"")) || !skip_word(&rest, &out->time) ||
        !skip(&rest, STR(",\"type\":\"")) || !skip_word(&rest, &out->type))
        return fail(ERR_INVALID, "not a record: it does not begin with seq, time and type");
    out->rest = rest;
    return OK;
}

enum err
line_read(struct str text, struct line *out)
{
    static const struct str prev_key = STR_INIT(",\"prev\":\"");
    static const struct str hash_key = STR_INIT("\",\"hash\":\"");
    static const struct str end = STR_INIT("\"}");
    size_t tail_bytes = prev_key.len + hash_key.len + end.len + 2 * LINE_HEX_BYTES;
    struct str tail;
    enum err e = line_read_head(text, out);

    if (e != OK)
        return e;
    if (out->rest.len < tail_bytes)
        return fail(ERR_INVALID, "record %llu has no hashes", (unsigned long long)out->seq);
    tail = str_skip(out->rest, out->rest.len - tail_bytes);
    if (!skip(&tail, prev_key) || !skip_hash(&tail, out->prev) || !skip(&tail, hash_key) ||
        !skip_hash(&tail, out->hash) || !skip(&tail, end))
        return fail(ERR_INVALID, "record %llu does not end with prev and hash",
                    (unsigned long long)out->seq);
    out->hashed = (struct str){text.ptr, text.len - (hash_key.len - 1) - LINE_HEX_BYTES - end.len};
    return OK;
}

struct line_hasher *
line_hasher_new(void)
{
    struct line_hasher *h = calloc(1, sizeof(*h));

    if (h == NULL)
        return NULL;
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();
    if (h->md == NULL || h->ctx == NULL) {
        line_hasher_free(h);
        return NULL;
    }
    return h;
}

void
line_hasher_free(struct line_hasher *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    free(h);
}

enum err
line_hash(struct line_hasher *h, const unsigned char prev[LINE_HASH_BYTES], struct str hashed,
          unsigned char out[LINE_HASH_BYTES])
{
    if (EVP_DigestInit_ex2(h->ctx, h->md, NULL) != 1 ||
        EVP_DigestUpdate(h->ctx, prev, LINE_HASH_BYTES) != 1 ||
        EVP_DigestUpdate(h->ctx, hashed.ptr, hashed.len) != 1 ||
        EVP_DigestFinal_ex(h->ctx, out, NULL) != 1)
        return fail(ERR_NOMEM, "SHA-256 failed");
    return OK;
}

enum err
line_check(struct line_hasher *h, const struct line *line, uint64_t seq,
           const unsigned char prev[LINE_HASH_BYTES])
{
    unsigned char hash[LINE_HASH_BYTES];
    enum err e;

    if (line->seq != seq)
        return fail(ERR_INVALID, "record %llu stands where %llu must be",
                    (unsigned long long)line->seq, (unsigned long long)seq);
    if (memcmp(line->prev, prev, LINE_HASH_BYTES) != 0)
        return fail(ERR_INVALID, "record %llu does not follow the record before it (prev differs)",
                    (unsigned long long)seq);
    if ((e = line_hash(h, prev, line->hashed, hash)) != OK)
        return e;
    if (memcmp(line->hash, hash, LINE_HASH_BYTES) != 0)
        return fail(ERR_INVALID, "record %llu was changed (its hash differs)",
                    (unsigned long long)seq);
    return OK;
}

void
line_put_hash(struct buf *out, const unsigned char hash[LINE_HASH_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char text[LINE_HEX_BYTES];

    for (size_t i = 0; i < LINE_HASH_BYTES; i++) {
        text[2 * i] = digits[hash[i] >> 4];
        text[2 * i + 1] = digits[hash[i] & 15];
    }
    buf_put(out, text, sizeof(text));
}
