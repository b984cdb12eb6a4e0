#include <stdlib.h>

#include "gate/gate.h"
#include "keeper/state.h"
#include "mask/detect.h"

enum { CONFIG_ARENA_MAX = 256 << 20 };

static enum err
encode_protection(const struct edition *e, size_t resource,
                  const unsigned char key[static MASK_KEY_BYTES], struct buf *out)
{
    const struct config_resource *r = &e->config->resources[resource];
    struct protection p = {
        .protect = r->protect,
        .n_protect = r->n_protect,
        .detect = r->detect,
        .n_detect = r->n_detect,
        .detectors = e->detectors[resource],
    };
    enum err error;

    memcpy(p.key, key, sizeof(p.key));
    error = protection_encode(&p, out);
    explicit_bzero(p.key, sizeof(p.key));
    return error;
}

/* How large it is; what is too large is to be known before a session is opened with it. */
static enum err
measure_protection(const struct edition *e, size_t resource, size_t *bytes)
{
    static const unsigned char no_key[MASK_KEY_BYTES];
    struct buf out = buf_make(PROTECTION_BYTES_MAX);
    enum err error = encode_protection(e, resource, no_key, &out);

    *bytes = out.len;
    buf_free(&out);
    return error;
}

enum err
edition_share_protection(const struct edition *e, size_t resource, int *fd)
{
    struct buf out = buf_make(PROTECTION_BYTES_MAX);
    unsigned char key[MASK_KEY_BYTES];
    size_t bytes;
    enum err error;

    secrets_mask_key(e->secrets, resource, key);
    if ((error = measure_protection(e, resource, &bytes)) == OK &&
        (error = buf_reserve(&out, bytes)) == OK && /* growing would leave copies of the key */
        (error = encode_protection(e, resource, key, &out)) == OK)
        error = ipc_share_bytes("protection", buf_str(&out), fd);
    explicit_bzero(key, sizeof(key));
    buf_free_secret(&out);
    return error;
}

/* Once for all sessions: it takes long. */
static enum err
compile_detectors(struct edition *e, size_t resource)
{
    const struct config_resource *r = &e->config->resources[resource];
    struct buf out = buf_make(DETECTORS_BYTES_MAX);
    struct detectors *detectors;
    enum err error;

    if (r->n_detect == 0)
        return OK;
    if ((error = detectors_compile(r->detect, r->n_detect, &detectors)) != OK)
        return error;
    if ((error = detectors_serialize(detectors, &out)) == OK &&
        (e->detectors[resource] = arena_str(e->arena, buf_str(&out))).ptr == NULL)
        error = fail(ERR_NOMEM, "no memory for detectors");
    detectors_free(detectors);
    buf_free(&out);
    return error;
}

static enum err
make_protections(struct edition *e)
{
    size_t n = e->config->n_resources, bytes;
    enum err error = OK;

    if ((e->detectors = arena_array(e->arena, n + 1, sizeof(*e->detectors))) == NULL)
        return fail(ERR_NOMEM, "no memory for detectors");
    for (size_t i = 0; i < n && error == OK; i++)
        if ((error = compile_detectors(e, i)) == OK)
            error = measure_protection(e, i, &bytes);
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
    return make_protections(e);
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
