#include <openssl/evp.h>
#include <stdlib.h>

#include "base/encode.h"
#include "keeper/state.h"

enum { CONFIG_ARENA_MAX = 256 << 20 };

/* The hash that records carry: of the whole configuration text, so that it names the rules and
 * everything they refer to. */
static enum err
hash_text(struct str text, char out[POLICY_HASH_BYTES])
{
    unsigned char digest[32];
    struct buf hex = buf_make(POLICY_HASH_BYTES);

    if (EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return fail(ERR_TLS, "cannot hash the configuration");
    encode_hex(&hex, (struct str){(const char *)digest, sizeof(digest)});
    if (hex.len == POLICY_HASH_BYTES)
        memcpy(out, hex.ptr, POLICY_HASH_BYTES);
    buf_free(&hex);
    return OK;
}

static enum err
make(struct edition *e, struct str text, struct str path, struct buf *problems)
{
    struct config_report report = {.text = problems};
    enum err error;

    if ((error = config_parse(text, path, e->arena, &report, &e->config)) != OK ||
        (error = policy_compile(e->config->policies, e->config->n_policies, &e->policy)) != OK ||
        (error = secrets_load(e->config, &e->secrets)) != OK)
        return error;
    return hash_text(text, e->policy_hash);
}

enum err
edition_load(int config_fd, struct str path, struct edition **out, struct buf *problems)
{
    struct edition *e = calloc(1, sizeof(*e));
    struct buf text = buf_make(CONFIG_BYTES_MAX);
    enum err error = OK;

    if (e == NULL || (e->arena = arena_new(CONFIG_ARENA_MAX)) == NULL) {
        free(e);
        return fail(ERR_NOMEM, "no memory for a configuration");
    }
    e->users = 1;
    if ((error = ipc_read_shared(config_fd, &text)) == OK)
        error = make(e, buf_str(&text), path, problems);
    buf_free_secret(&text);
    if (error != OK)
        edition_release(e);
    else
        *out = e;
    return error;
}

struct edition *
edition_hold(struct edition *e)
{
    e->users++;
    return e;
}

void
edition_release(struct edition *e)
{
    if (e == NULL || --e->users > 0)
        return;
    secrets_free(e->secrets);
    policy_free(e->policy);
    arena_free(e->arena);
    free(e);
}
