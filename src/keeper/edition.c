#include <stdlib.h>

#include "gate/gate.h"
#include "keeper/state.h"

enum { CONFIG_ARENA_MAX = 256 << 20 };

static enum err
encode_protection(const struct config_resource *r, const unsigned char key[static MASK_KEY_BYTES],
                  struct buf *out)
{
    struct protection p = {
        .protect = r->protect,
        .n_protect = r->n_protect,
        .detect = r->detect,
        .n_detect = r->n_detect,
    };
    enum err error;

    memcpy(p.key, key, sizeof(p.key));
    error = protection_encode(&p, out);
    explicit_bzero(p.key, sizeof(p.key));
    return error;
}

/* How large it is; what is too large is to be known before a session is opened with it. */
static enum err
measure_protection(const struct config_resource *r, size_t *bytes)
{
    static const unsigned char no_key[MASK_KEY_BYTES];
    struct buf out = buf_make(PROTECTION_BYTES_MAX);
    enum err error = encode_protection(r, no_key, &out);

    *bytes = out.len;
    buf_free(&out);
    return error;
}

enum err
edition_share_protection(const struct edition *e, size_t resource, int *fd)
{
    const struct config_resource *r = &e->config->resources[resource];
    struct buf out = buf_make(PROTECTION_BYTES_MAX);
    unsigned char key[MASK_KEY_BYTES];
    size_t bytes;
    enum err error;

    secrets_mask_key(e->secrets, resource, key);
    if ((error = measure_protection(r, &bytes)) == OK &&
        (error = buf_reserve(&out, bytes)) == OK && /* growing would leave copies of the key */
        (error = encode_protection(r, key, &out)) == OK)
        error = ipc_share_bytes("protection", buf_str(&out), fd);
    explicit_bzero(key, sizeof(key));
    buf_free_secret(&out);
    return error;
}

static enum err
check_protections(const struct config *config)
{
    enum err error = OK;
    size_t bytes;

    for (size_t i = 0; i < config->n_resources && error == OK; i++)
        error = measure_protection(&config->resources[i], &bytes);
    return error;
}

static enum err
make(struct edition *e, struct str text, struct str path, struct buf *problems)
{
    struct config_report report = {.text = problems};
    enum err error;

    if ((error = config_parse(text, path, e->arena, &report, &e->config)) != OK ||
        (error = policy_compile(e->config->policies, e->config->n_policies, &e->policy)) != OK)
        return error;
    if ((error = secrets_load(e->config, &e->secrets)) != OK)
        return error;
    return check_protections(e->config);
}

enum err
edition_load(int config_fd, const struct ipc_configure *configure, struct edition **out,
             struct buf *problems)
{
    struct edition *e = calloc(1, sizeof(*e));
    struct buf text = buf_make(CONFIG_BYTES_MAX);
    enum err error = OK;

    if (configure->hash.len != POLICY_HASH_BYTES) {
        free(e);
        return fail(ERR_PROTOCOL, "a configuration without its hash");
    }
    if (e == NULL || (e->arena = arena_new(CONFIG_ARENA_MAX)) == NULL) {
        free(e);
        return fail(ERR_NOMEM, "no memory for a configuration");
    }
    e->users = 1;
    memcpy(e->policy_hash, configure->hash.ptr, configure->hash.len);
    if ((error = ipc_read_shared(config_fd, &text)) == OK)
        error = make(e, buf_str(&text), configure->path, problems);
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
