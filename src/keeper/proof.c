#include "keeper/proof.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/encode.h"

enum { SALT_BYTES_MAX = 1024, MESSAGE_BYTES_MAX = 16 << 10 };

/* The value of attribute `name` at the start of `*list`; false if another stands there. */
static bool
next_attribute(struct str *list, char name, struct str *value)
{
    struct str item;

    *list = str_cut(*list, ',', &item);
    if (item.len < 2 || item.ptr[0] != name || item.ptr[1] != '=')
        return false;
    *value = str_skip(item, 2);
    return true;
}

struct challenge {
    struct buf salt;
    int iterations;
};

static enum err
read_challenge(struct str client_first_bare, struct str server_first, struct challenge *out)
{
    struct str user, client_nonce, nonce, salt, count;
    uint64_t iterations;

    if (!next_attribute(&client_first_bare, 'n', &user) ||
        !next_attribute(&client_first_bare, 'r', &client_nonce) || client_nonce.len < 16)
        return fail(ERR_PROTOCOL, "malformed SCRAM client-first message");
    if (!next_attribute(&server_first, 'r', &nonce) || !next_attribute(&server_first, 's', &salt) ||
        !next_attribute(&server_first, 'i', &count))
        return fail(ERR_PROTOCOL, "malformed SCRAM server-first message");
    if (!str_starts(nonce, client_nonce) || nonce.len == client_nonce.len)
        return fail(ERR_PROTOCOL, "the server's SCRAM nonce does not extend ours");
    if (!str_to_uint(count, PROOF_ITERATIONS_MAX, &iterations) || iterations < PROOF_ITERATIONS_MIN)
        return fail(ERR_LIMIT, "the server asks for an unacceptable number of SCRAM iterations");
    out->iterations = (int)iterations;
    return decode_base64(&out->salt, salt);
}

static bool
hmac(const unsigned char key[static PROOF_BYTES], struct str data,
     unsigned char out[static PROOF_BYTES])
{
    unsigned n = 0;

    return HMAC(EVP_sha256(), key, PROOF_BYTES, (const unsigned char *)data.ptr, data.len, out,
                &n) != NULL &&
           n == PROOF_BYTES;
}

/* RFC 5802 §3, in its own names. */
static bool
compute(struct str password, const struct challenge *challenge, struct str auth_message,
        unsigned char proof[static PROOF_BYTES], unsigned char server_signature[static PROOF_BYTES])
{
    unsigned char salted[PROOF_BYTES], client_key[PROOF_BYTES], stored_key[PROOF_BYTES];
    unsigned char client_signature[PROOF_BYTES], server_key[PROOF_BYTES];
    bool ok = PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len,
                                (const unsigned char *)challenge->salt.ptr,
                                (int)challenge->salt.len, challenge->iterations, EVP_sha256(),
                                PROOF_BYTES, salted) == 1 &&
              hmac(salted, STR("Client Key"), client_key) &&
              EVP_Digest(client_key, PROOF_BYTES, stored_key, NULL, EVP_sha256(), NULL) == 1 &&
              hmac(stored_key, auth_message, client_signature) &&
              hmac(salted, STR("Server Key"), server_key) &&
              hmac(server_key, auth_message, server_signature);

    for (int i = 0; ok && i < PROOF_BYTES; i++)
        proof[i] = client_key[i] ^ client_signature[i];
    explicit_bzero(salted, sizeof(salted));
    explicit_bzero(client_key, sizeof(client_key));
    explicit_bzero(server_key, sizeof(server_key));
    return ok;
}

enum err
proof_scram_sha_256(struct str password, struct str client_first_bare, struct str server_first,
                    struct str client_final_bare, unsigned char proof[static PROOF_BYTES],
                    unsigned char server_signature[static PROOF_BYTES])
{
    struct challenge challenge = {.salt = buf_make(SALT_BYTES_MAX)};
    struct buf auth_message = buf_make(MESSAGE_BYTES_MAX);
    enum err e = read_challenge(client_first_bare, server_first, &challenge);

    if (e == OK) {
        buf_put_str(&auth_message, client_first_bare);
        buf_put_u8(&auth_message, ',');
        buf_put_str(&auth_message, server_first);
        buf_put_u8(&auth_message, ',');
        buf_put_str(&auth_message, client_final_bare);
        e = buf_ok(&auth_message);
    }
    if (e == OK && !compute(password, &challenge, buf_str(&auth_message), proof, server_signature))
        e = fail(ERR_TLS, "cannot compute a SCRAM proof");
    buf_free(&challenge.salt);
    buf_free(&auth_message);
    return e;
}

/* Appends the hexadecimal MD5 of `a` followed by `b`. */
static enum err
md5_hex(struct str a, struct str b, struct buf *out)
{
    unsigned char digest[16];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = context != NULL && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
              EVP_DigestUpdate(context, a.ptr, a.len) == 1 &&
              EVP_DigestUpdate(context, b.ptr, b.len) == 1 &&
              EVP_DigestFinal_ex(context, digest, NULL) == 1;

    EVP_MD_CTX_free(context);
    if (!ok)
        return fail(ERR_TLS, "cannot compute an MD5 answer");
    encode_hex(out, (struct str){(const char *)digest, sizeof(digest)});
    return buf_ok(out);
}

enum err
proof_postgres_md5(struct str password, struct str user, struct str salt, char answer[static 36])
{
    struct buf inner = buf_make(32), outer = buf_make(35);
    enum err e = md5_hex(password, user, &inner);

    if (e == OK) {
        buf_put_text(&outer, "md5");
        e = md5_hex(buf_str(&inner), salt, &outer);
    }
    if (e == OK) {
        memcpy(answer, outer.ptr, 35);
        answer[35] = '\0';
    }
    buf_free_secret(&inner);
    buf_free_secret(&outer);
    return e;
}
