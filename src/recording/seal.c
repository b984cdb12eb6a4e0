#include "recording/seal.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 3, NONCE_BYTES = 12, PACKED_KEPT = 1 << 20 };

struct recording_sealer {
    ZSTD_CCtx *compressor; /* each made when it is first needed */
    ZSTD_DCtx *decompressor;
    EVP_CIPHER *cipher;
    EVP_MD *md;
    EVP_CIPHER_CTX *cipher_ctx;
    EVP_MD_CTX *md_ctx;
    struct buf packed, head;
};

enum err
recording_sealer_new(struct recording_sealer **out)
{
    struct recording_sealer *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for recordings");
    s->packed = buf_make(RECORDING_SEALED_MAX);
    s->head = buf_make(RECORDING_CHUNK_HEAD_BYTES);
    s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    s->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    s->cipher_ctx = EVP_CIPHER_CTX_new();
    s->md_ctx = EVP_MD_CTX_new();
    if (s->cipher == NULL || s->md == NULL || s->cipher_ctx == NULL || s->md_ctx == NULL) {
        recording_sealer_free(s);
        return fail(ERR_NOMEM, "AES-256-GCM and SHA-256 are not available");
    }
    *out = s;
    return OK;
}

void
recording_sealer_free(struct recording_sealer *s)
{
    if (s == NULL)
        return;
    ZSTD_freeCCtx(s->compressor);
    ZSTD_freeDCtx(s->decompressor);
    EVP_CIPHER_CTX_free(s->cipher_ctx);
    EVP_MD_CTX_free(s->md_ctx);
    EVP_CIPHER_free(s->cipher);
    EVP_MD_free(s->md);
    buf_free_secret(&s->packed);
    buf_free(&s->head);
    free(s);
}

enum err
recording_hash(struct recording_sealer *s, const struct str *pieces, size_t n,
               unsigned char out[static RECORDING_HASH_BYTES])
{
    bool good = EVP_DigestInit_ex2(s->md_ctx, s->md, NULL) == 1;

    for (size_t i = 0; good && i < n; i++)
        good = EVP_DigestUpdate(s->md_ctx, pieces[i].ptr, pieces[i].len) == 1;
    if (!good || EVP_DigestFinal_ex(s->md_ctx, out, NULL) != 1)
        return fail(ERR_NOMEM, "SHA-256 failed");
    return OK;
}

/* Sets key and nonce, and has the header's hash and the chunk's head authenticated. */
static bool
begin(struct recording_sealer *s, const unsigned char *key, const unsigned char *header_hash,
      const struct recording_chunk *chunk, bool sealing)
{
    unsigned char nonce[NONCE_BYTES] = {0};
    uint64_t index = htobe64(chunk->index);
    int n;

    memcpy(nonce + NONCE_BYTES - sizeof(index), &index, sizeof(index));
    buf_reset(&s->head);
    recording_put_chunk(&s->head, chunk);
    return !s->head.failed &&
           EVP_CipherInit_ex2(s->cipher_ctx, s->cipher, key, nonce, sealing ? 1 : 0, NULL) == 1 &&
           EVP_CipherUpdate(s->cipher_ctx, NULL, &n, header_hash, RECORDING_HASH_BYTES) == 1 &&
           EVP_CipherUpdate(s->cipher_ctx, NULL, &n, (const unsigned char *)s->head.ptr,
                            (int)s->head.len) == 1;
}

/* The context keeps no key longer than it needs it. */
static void
end(struct recording_sealer *s)
{
    (void)EVP_CIPHER_CTX_reset(s->cipher_ctx);
    if (s->packed.capacity > PACKED_KEPT)
        buf_free_secret(&s->packed);
}

static enum err
compress(struct recording_sealer *s, struct str plain)
{
    size_t bound = ZSTD_compressBound(plain.len), n;
    enum err e;

    if (s->compressor == NULL && (s->compressor = ZSTD_createCCtx()) == NULL)
        return fail(ERR_NOMEM, "no memory for compression");
    buf_reset(&s->packed);
    if ((e = buf_reserve(&s->packed, bound)) != OK)
        return e;
    n = ZSTD_compressCCtx(s->compressor, s->packed.ptr, bound, plain.ptr, plain.len, LEVEL);
    if (ZSTD_isError(n))
        return fail(ERR_NOMEM, "compression failed: %s", ZSTD_getErrorName(n));
    s->packed.len = n;
    return OK;
}

static enum err
seal_packed(struct recording_sealer *s, const unsigned char *key, const unsigned char *header_hash,
            const struct recording_chunk *chunk, struct buf *out)
{
    size_t start = out->len;
    unsigned char *to;
    int n = 0, more = 0;
    enum err e;

    if ((e = buf_reserve(out, RECORDING_CHUNK_HEAD_BYTES + chunk->sealed_bytes)) != OK)
        return e;
    recording_put_chunk(out, chunk);
    to = (unsigned char *)out->ptr + out->len;
    if (!begin(s, key, header_hash, chunk, true) ||
        EVP_CipherUpdate(s->cipher_ctx, to, &n, (const unsigned char *)s->packed.ptr,
                         (int)s->packed.len) != 1 ||
        EVP_CipherFinal_ex(s->cipher_ctx, to + n, &more) != 1 ||
        EVP_CIPHER_CTX_ctrl(s->cipher_ctx, EVP_CTRL_AEAD_GET_TAG, RECORDING_TAG_BYTES,
                            to + n + more) != 1) {
        out->len = start;
        return fail(ERR_NOMEM, "AES-256-GCM failed");
    }
    out->len += chunk->sealed_bytes;
    return OK;
}

enum err
recording_seal(struct recording_sealer *s, const unsigned char key[static 32],
               const unsigned char header_hash[static 32], struct recording_chunk *chunk,
               struct str plain, struct buf *out)
{
    enum err e;

    if (plain.len > RECORDING_PLAIN_MAX)
        return fail(ERR_LIMIT, "a chunk of %zu bytes", plain.len);
    if ((e = compress(s, plain)) == OK) {
        chunk->plain_bytes = (uint32_t)plain.len;
        chunk->sealed_bytes = (uint32_t)(s->packed.len + RECORDING_TAG_BYTES);
        e = seal_packed(s, key, header_hash, chunk, out);
    }
    end(s);
    return e;
}

static enum err
open_packed(struct recording_sealer *s, const unsigned char *key, const unsigned char *header_hash,
            const struct recording_chunk *chunk, struct str sealed)
{
    size_t packed = sealed.len - RECORDING_TAG_BYTES;
    unsigned char tag[RECORDING_TAG_BYTES];
    int n = 0, more = 0;
    enum err e;

    buf_reset(&s->packed);
    if ((e = buf_reserve(&s->packed, packed)) != OK)
        return e;
    memcpy(tag, sealed.ptr + packed, sizeof(tag));
    if (!begin(s, key, header_hash, chunk, false) ||
        EVP_CIPHER_CTX_ctrl(s->cipher_ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1 ||
        EVP_CipherUpdate(s->cipher_ctx, (unsigned char *)s->packed.ptr, &n,
                         (const unsigned char *)sealed.ptr, (int)packed) != 1 ||
        EVP_CipherFinal_ex(s->cipher_ctx, (unsigned char *)s->packed.ptr + n, &more) != 1)
        return fail(ERR_DENIED,
                    "chunk %llu is not what was written (changed, moved, or of another "
                    "recording)",
                    (unsigned long long)chunk->index);
    s->packed.len = packed;
    return OK;
}

/* Into exactly as many bytes as the head says: whatever a frame claims, no more are made. */
static enum err
decompress(struct recording_sealer *s, const struct recording_chunk *chunk, struct buf *out)
{
    size_t n;
    enum err e;

    if (s->decompressor == NULL && (s->decompressor = ZSTD_createDCtx()) == NULL)
        return fail(ERR_NOMEM, "no memory for decompression");
    if ((e = buf_reserve(out, (size_t)chunk->plain_bytes + 1)) != OK)
        return e;
    n = ZSTD_decompressDCtx(s->decompressor, out->ptr + out->len, chunk->plain_bytes, s->packed.ptr,
                            s->packed.len);
    if (ZSTD_isError(n) || n != chunk->plain_bytes)
        return fail(ERR_INVALID, "chunk %llu does not hold what its head says",
                    (unsigned long long)chunk->index);
    out->len += n;
    return OK;
}

enum err
recording_open_chunk(struct recording_sealer *s, const unsigned char key[static 32],
                     const unsigned char header_hash[static 32],
                     const struct recording_chunk *chunk, struct str sealed, struct buf *out)
{
    enum err e;

    if (sealed.len != chunk->sealed_bytes || sealed.len <= RECORDING_TAG_BYTES ||
        sealed.len > RECORDING_SEALED_MAX || chunk->plain_bytes > RECORDING_PLAIN_MAX)
        return fail(ERR_INVALID, "chunk %llu has an impossible size",
                    (unsigned long long)chunk->index);
    if ((e = open_packed(s, key, header_hash, chunk, sealed)) == OK)
        e = decompress(s, chunk, out);
    end(s);
    return e;
}
