#include "supervisor/candidate.h"

#include <openssl/evp.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "ipc/channel.h"

enum { CONFIG_ARENA_MAX = 256 << 20, PROBLEMS_BYTES_MAX = 1 << 20 };

static enum err
read_file(const char *path, struct buf *out)
{
    struct config_secret file = {SECRET_FILE, str_from(path)};

    return config_read_secret(&file, out);
}

static enum err
hash_text(struct str text, char out[static CANDIDATE_HASH_BYTES + 1])
{
    unsigned char digest[32];
    struct buf hex = buf_make(CANDIDATE_HASH_BYTES);

    if (EVP_Digest(text.ptr, text.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return fail(ERR_TLS, "cannot hash the configuration");
    encode_hex(&hex, (struct str){(const char *)digest, sizeof(digest)});
    memcpy(out, hex.ptr, CANDIDATE_HASH_BYTES);
    out[CANDIDATE_HASH_BYTES] = '\0';
    buf_free(&hex);
    return OK;
}

void
candidate_drop(struct candidate *c)
{
    arena_free(c->arena);
    if (c->fd >= 0)
        close(c->fd);
    *c = (struct candidate){.fd = -1};
}

static void
print_report(const struct buf *report)
{
    struct str left = buf_str(report), line;

    while (left.len > 0) {
        left = str_cut(left, '\n', &line);
        if (line.len > 0)
            log_warning("configuration", "%.*s", STR_ARG(line));
    }
}

enum err
candidate_load(const char *path, struct candidate *c)
{
    struct buf problems = buf_make(PROBLEMS_BYTES_MAX), text = buf_make(CONFIG_BYTES_MAX);
    struct config_report report = {.text = &problems};
    enum err e;

    *c = (struct candidate){.arena = arena_new(CONFIG_ARENA_MAX), .fd = -1};
    if (c->arena == NULL)
        return fail(ERR_NOMEM, "no memory for the configuration");
    e = config_load(path, c->arena, &report, &c->config);
    print_report(&problems);
    if (e == OK && (e = read_file(path, &text)) == OK &&
        (e = hash_text(buf_str(&text), c->hash)) == OK)
        e = ipc_share_bytes("configuration", buf_str(&text), &c->fd);
    buf_free(&problems);
    buf_free_secret(&text);
    if (e != OK)
        candidate_drop(c);
    return e;
}
