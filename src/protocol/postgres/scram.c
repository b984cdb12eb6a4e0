#include "protocol/postgres/scram.h"

#include "base/encode.h"

enum err
pgscram_begin(struct pgscram *s, enum pgscram_binding binding,
              const unsigned char nonce[static PGSCRAM_NONCE_BYTES])
{
    static const char *const headers[] = {
        [PGSCRAM_UNBOUND] = "n,,",
        [PGSCRAM_NOT_OFFERED] = "y,,",
        [PGSCRAM_END_POINT] = "p=tls-server-end-point,,",
    };

    *s = (struct pgscram){.client_first = buf_make(PGSCRAM_MAX),
                          .final_bare = buf_make(PGSCRAM_MAX),
                          .server_first = buf_make(PGSCRAM_MAX)};
    buf_put_text(&s->client_first, headers[binding]);
    s->gs2_len = s->client_first.len;
    /* PostgreSQL takes the user from the start-up packet. */
    buf_put_text(&s->client_first, "n=,r=");
    encode_base64(&s->client_first, (struct str){(const char *)nonce, PGSCRAM_NONCE_BYTES});
    return buf_ok(&s->client_first);
}

void
pgscram_free(struct pgscram *s)
{
    buf_free(&s->client_first);
    buf_free(&s->final_bare);
    buf_free(&s->server_first);
}

struct str
pgscram_client_first(const struct pgscram *s)
{
    return buf_str(&s->client_first);
}

struct str
pgscram_client_first_bare(const struct pgscram *s)
{
    return str_skip(buf_str(&s->client_first), s->gs2_len);
}

enum err
pgscram_continue(struct pgscram *s, struct str server_first, struct str end_point)
{
    struct str bare = pgscram_client_first_bare(s), ours = str_skip(bare, sizeof("n=,r=") - 1);
    struct str nonce, rest = str_cut(server_first, ',', &nonce);
    struct buf binding = buf_make(PGSCRAM_MAX);

    if (server_first.len > PGSCRAM_MAX / 2 || !str_starts(nonce, STR("r=")) ||
        !str_starts(rest, STR("s=")))
        return fail(ERR_PROTOCOL, "malformed SCRAM message");
    nonce = str_skip(nonce, 2);
    if (!str_starts(nonce, ours) || nonce.len == ours.len)
        return fail(ERR_PROTOCOL, "SCRAM nonce is not an extension of ours");
    buf_put(&binding, s->client_first.ptr, s->gs2_len);
    buf_put_str(&binding, end_point);
    buf_put_text(&s->final_bare, "c=");
    encode_base64(&s->final_bare, buf_str(&binding));
    buf_put_text(&s->final_bare, ",r=");
    buf_put_str(&s->final_bare, nonce);
    buf_put_str(&s->server_first, server_first);
    buf_free(&binding);
    return s->final_bare.failed ? buf_ok(&s->final_bare) : buf_ok(&s->server_first);
}

void
pgscram_put_final(const struct pgscram *s, const unsigned char proof[static 32], struct buf *out)
{
    buf_put_str(out, buf_str(&s->final_bare));
    buf_put_text(out, ",p=");
    encode_base64(out, (struct str){(const char *)proof, PGSCRAM_HASH_BYTES});
}

enum err
pgscram_check_final(struct str server_final, const unsigned char signature[static 32])
{
    struct buf theirs = buf_make(PGSCRAM_MAX);
    struct str value;
    bool same;

    (void)str_cut(server_final, ',', &value);
    if (!str_starts(value, STR("v=")) || decode_base64(&theirs, str_skip(value, 2)) != OK) {
        buf_free(&theirs);
        return fail(ERR_PROTOCOL, "malformed SCRAM message");
    }
    same = str_equal_secret(buf_str(&theirs),
                            (struct str){(const char *)signature, PGSCRAM_HASH_BYTES});
    buf_free(&theirs);
    return same ? OK : fail(ERR_DENIED, "the server does not prove that it knows the password");
}
