#include <stdlib.h>

#include "keeper/state.h"

enum { CONFIG_ARENA_MAX = 256 << 20 };

static enum err
make(struct edition *e, struct str text, struct str path, struct buf *problems)
{
    struct config_report report = {.text = problems};
    enum err error;

    if ((error = config_parse(text, path, e->arena, &report, &e->config)) != OK ||
        (error = policy_compile(e->config->policies, e->config->n_policies, &e->policy)) != OK)
        return error;
    return secrets_load(e->config, &e->secrets);
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
