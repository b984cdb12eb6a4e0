#include "cli/recording_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/encode.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "ledger/anchors.h"

enum { ARENA_BYTES_MAX = 512 << 20, REPORT_BYTES_MAX = 1 << 20, ID_DIGITS = 16 };

static bool
parse_session(const char *text, uint64_t *id)
{
    uint64_t value = 0;
    int n = 0;

    for (; text[n] != '\0'; n++) {
        if (n >= ID_DIGITS || hex_digit(text[n]) < 0)
            return false;
        value = value << 4 | (uint64_t)hex_digit(text[n]);
    }
    *id = value;
    return n == ID_DIGITS;
}

static enum err
load_key(const char *path, struct recording_key **out)
{
    struct buf pem = buf_make(RECORDING_PEM_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err e = fd < 0 ? fail_errno(ERR_NOT_FOUND, "cannot open the private key %s", path)
                        : ipc_read_shared(fd, &pem);

    if (e == OK)
        e = recording_key_private(buf_str(&pem), out);
    if (fd >= 0)
        close(fd);
    buf_free_secret(&pem);
    return e;
}

/* What was not said on the command line. */
static enum err
fill_in(struct recording_request *r, bool wants_directory, struct arena *arena)
{
    struct buf problems = buf_make(REPORT_BYTES_MAX);
    struct config_report report = {.text = &problems};
    struct config *config;
    enum err e = config_load(r->config, arena, &report, &config);

    buf_free(&problems);
    if (e != OK)
        return fail(ERR_INVALID,
                    "the configuration %s cannot be read ('bulkhead check' says why); "
                    "say --key%s",
                    r->config, wants_directory ? " and --recordings" : "");
    if (r->key == NULL && config->recordings.private_key.len > 0)
        r->key = arena_text(arena, config->recordings.private_key);
    if (r->directory == NULL && config->recordings.directory.len > 0)
        r->directory = arena_text(arena, config->recordings.directory);
    if (r->key == NULL)
        return fail(ERR_INVALID, "the configuration names no private key of recordings; say --key");
    if (wants_directory && r->directory == NULL)
        return fail(ERR_INVALID, "the configuration names no directory of recordings");
    return OK;
}

static enum err
open_set(const struct recording_request *r, bool by_session, uint64_t session,
         struct recording_opened *out)
{
    int fd = open(by_session ? r->directory : r->which, O_RDONLY | O_CLOEXEC);
    enum err e;

    if (fd < 0)
        return fail_errno(ERR_NOT_FOUND, "cannot open %s", by_session ? r->directory : r->which);
    if (!by_session)
        return recording_set_open_files(&fd, 1, out->key, &out->set);
    e = recording_set_open(fd, session, out->key, &out->set);
    close(fd);
    return e;
}

static enum err
check(const struct recording_request *r, struct recording_opened *o)
{
    struct anchors_result result;
    enum err e;

    if (r->ledger == NULL)
        return OK;
    if ((e = anchors_check(r->ledger, o->set, &result)) != OK)
        return e;
    fprintf(stderr, "verified: %llu chunks are as the ledger says",
            (unsigned long long)result.anchored);
    if (result.not_anchored > 0)
        fprintf(stderr, ", %llu are not in the ledger", (unsigned long long)result.not_anchored);
    fputc('\n', stderr);
    return OK;
}

enum err
recording_file_open(const struct recording_request *request, struct recording_opened *out)
{
    struct recording_request r = *request;
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    uint64_t session = 0;
    bool by_session = parse_session(r.which, &session);
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory") : OK;

    *out = (struct recording_opened){0};
    if (e == OK && (r.key == NULL || (by_session && r.directory == NULL)))
        e = fill_in(&r, by_session, arena);
    if (e == OK && (e = load_key(r.key, &out->key)) == OK &&
        (e = open_set(&r, by_session, session, out)) == OK)
        e = check(&r, out);
    arena_free(arena);
    if (e == OK)
        return OK;
    fprintf(stderr, "bulkhead: %s\n", err_text());
    recording_file_close(out);
    return e;
}

void
recording_file_close(struct recording_opened *o)
{
    recording_set_close(o->set);
    recording_key_free(o->key);
    *o = (struct recording_opened){0};
}
