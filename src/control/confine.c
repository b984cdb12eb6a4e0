#include "control/confine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "sandbox/sandbox.h"

enum { PATHS_MAX = 64 + 2 * 64 };

struct paths {
    struct arena *arena;
    struct sandbox_path items[PATHS_MAX + 1];
    size_t n;
    bool failed;
};

enum err
confine_own_folder(struct control *c, struct str *out)
{
    struct buf path = buf_make(8192);
    const char *text;
    enum err e;

    buf_printf(&path, "%.*s/control", STR_ARG(c->config->state_directory));
    e = buf_ok(&path);
    if (e == OK && (out->ptr = text = arena_text(c->arena, buf_str(&path))) == NULL)
        e = fail(ERR_NOMEM, "no memory for a path");
    out->len = path.len;
    buf_free(&path);
    if (e == OK && mkdir(text, 0700) != 0 && errno != EEXIST)
        e = fail_errno(ERR_IO, "cannot make the directory %s", text);
    return e;
}

/* What is not there is no path to allow; whoever needs it says so. */
static void
add(struct paths *p, struct str path, bool writable)
{
    struct stat found;
    const char *text;

    if (path.len == 0 || path.ptr[0] != '/')
        return;
    if (p->n == PATHS_MAX || (text = arena_text(p->arena, path)) == NULL)
        p->failed = true;
    else if (stat(text, &found) == 0)
        p->items[p->n++] = (struct sandbox_path){text, writable};
}

static void
add_folder_of(struct paths *p, struct str path)
{
    size_t n = path.len;

    while (n > 0 && path.ptr[n - 1] != '/')
        n--;
    add(p, (struct str){path.ptr, n > 1 ? n - 1 : n}, true);
}

/* Certificates are read again whenever a connection is made. Secrets were read before. */
static void
add_certificates(struct paths *p, const struct config *c)
{
    add(p, c->tls_certificate, false);
    add(p, c->recordings.s3.ca, false);
    for (size_t i = 0; i < c->n_notifications; i++)
        add(p, c->notifications[i].ca, false);
    for (size_t i = 0; i < c->n_issuers; i++)
        if (str_equal(c->issuers[i].name, c->console.login_issuer))
            add(p, c->issuers[i].ca, false);
}

/* The value of `key` in a libpq connection string of "key=value" words, without quotes. */
static void
add_named_by(struct paths *p, struct str connection, const char *key)
{
    struct str word;

    while (connection.len > 0) {
        struct str name, value;

        connection = str_cut(connection, ' ', &word);
        value = str_cut(word, '=', &name);
        if (str_is(name, key))
            add(p, value, false);
    }
}

static void
add_store(struct paths *p, const struct config_store *store)
{
    static const char *const keys[] = {"sslrootcert", "sslcert", "sslkey", "sslcrl"};

    if (store->kind == CONFIG_STORE_SQLITE) /* and the log and the lock beside it */
        add_folder_of(p, store->path);
    for (size_t i = 0; store->kind == CONFIG_STORE_POSTGRESQL && i < 4; i++)
        add_named_by(p, store->connection, keys[i]);
}

enum err
confine_enter(struct control *c, struct str own_folder)
{
    struct paths *p = arena_alloc(c->arena, sizeof(*p));

    if (p == NULL)
        return fail(ERR_NOMEM, "no memory for the sandbox");
    p->arena = c->arena;
    add(p, own_folder, true);
    add(p, c->config->ledger_directory, false);
    add(p, c->config->recordings.directory, true);
    add_store(p, &c->config->store);
    add_certificates(p, c->config);
    if (p->failed)
        return fail(ERR_LIMIT, "the configuration names too many files for control's sandbox");
    return sandbox_enter_control(p->items);
}
