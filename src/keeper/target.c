#include "keeper/target.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "keeper/dial.h"
#include "keeper/proof.h"
#include "net/tls.h"

static const char system_trust[] = "/etc/ssl/certs/ca-certificates.crt";

struct target
target_make(struct edition *edition, const struct config_resource *resource)
{
    return (struct target){
        .edition = edition_hold(edition),
        .resource = resource,
        .resource_index = (size_t)(resource - edition->config->resources),
        .proofs_left = 1,
        .client_signatures_left = 1,
    };
}

void
target_release(struct target *t)
{
    edition_release(t->edition);
    *t = (struct target){0};
}

/* --- opening -------------------------------------------------------------------------------- */

void
target_close_files(struct target_files *files)
{
    while (files->n > 0)
        close(files->fds[--files->n]);
}

/* Certificates by which the target is verified. */
static enum err
open_trust(const struct target *t, int *fd)
{
    char *path = t->resource->ca.len > 0 ? strndup(t->resource->ca.ptr, t->resource->ca.len)
                                         : strdup(system_trust);
    enum err e = OK;

    if (path == NULL)
        return fail(ERR_NOMEM, "no memory for a path");
    if ((*fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        e = fail_errno(ERR_UNAVAILABLE, "cannot open %s", path);
    free(path);
    return e;
}

/* What is needed to verify the target, and to be verified by it. */
static enum err
add_certificates(const struct target *t, struct target_files *files, uint64_t *flags)
{
    struct str certificate = secrets_client_certificate(t->edition->secrets, t->resource_index);
    enum err e;

    if (t->resource->tls >= CONFIG_TLS_VERIFY_CA) {
        if ((e = open_trust(t, &files->fds[files->n])) != OK)
            return e;
        files->n++;
        *flags |= IPC_GRANT_TRUST;
    }
    if (certificate.len > 0) {
        if ((e = ipc_share_bytes("certificate", certificate, &files->fds[files->n])) != OK)
            return e;
        files->n++;
        *flags |= IPC_GRANT_CERTIFICATE;
    }
    return OK;
}

enum err
target_open(const struct target *t, int second, struct target_files *files,
            struct ipc_granted *granted)
{
    const struct config_resource *r = t->resource;
    int64_t deadline_ms = clock_monotonic_ms() + r->connect_seconds * INT64_C(1000);
    enum err e;

    if ((e = dial(&r->address, deadline_ms, &files->fds[0])) != OK) {
        close(second);
        return e;
    }
    files->fds[1] = second;
    files->n = 2;
    granted->resource = r->name;
    granted->target_user = r->user;
    granted->target_host = r->server_name.len > 0 ? r->server_name : r->address.host;
    granted->target_tls = r->tls;
    if (r->address.port == 0)
        granted->flags |= IPC_GRANT_LOCAL;
    return add_certificates(t, files, &granted->flags);
}

/* --- proofs and signatures ------------------------------------------------------------------ */

enum err
target_answer(int channel, enum err code, struct str first, struct str second)
{
    struct ipc_answer message = {.code = code, .first = first, .second = second};

    if (code != OK)
        message.text = str_from(err_text());
    return ipc_send(channel, IPC_TYPE_ANSWER, &message, NULL, 0);
}

static bool
take_one(unsigned *left)
{
    return *left > 0 ? (*left)--, true : false;
}

/* A password in clear leaves the keeper only towards a verified server or within this host. */
static enum err
reveal_password(const struct target *t, struct str password, struct str *out)
{
    if (t->resource->tls < CONFIG_TLS_VERIFY_CA && t->resource->address.port != 0)
        return fail(ERR_DENIED, "the target asks for its password in clear; that needs "
                                "tls: verify-ca or verify-full on the resource");
    *out = password;
    return OK;
}

enum err
target_prove(struct target *t, bool due, int channel, const struct ipc_prove *question)
{
    unsigned char proof[PROOF_BYTES], server_signature[PROOF_BYTES];
    struct str password, first = STR(""), second = STR("");
    char md5[36];
    enum err e;

    if (!due || !take_one(&t->proofs_left))
        return target_answer(channel, fail(ERR_DENIED, "no proof is due"), first, second);
    if (!secrets_password(t->edition->secrets, t->resource_index, &password)) {
        e = fail(ERR_DENIED, "the target asks for a password, and the resource has none");
    } else if (question->kind == IPC_PROOF_SCRAM_SHA_256) {
        e = proof_scram_sha_256(password, question->client_first, question->server_first,
                                question->client_final, proof, server_signature);
        first = (struct str){(const char *)proof, sizeof(proof)};
        second = (struct str){(const char *)server_signature, sizeof(server_signature)};
    } else if (question->kind == IPC_PROOF_MD5) {
        e = proof_postgres_md5(password, t->resource->user, question->server_first, md5);
        first = (struct str){md5, 35};
    } else if (question->kind == IPC_PROOF_PASSWORD) {
        e = reveal_password(t, password, &first);
    } else {
        e = fail(ERR_PROTOCOL, "unknown kind of proof");
    }
    return e == OK ? target_answer(channel, OK, first, second)
                   : target_answer(channel, e, STR(""), STR(""));
}

enum err
target_sign_with(EVP_PKEY *key, int channel, const struct ipc_sign *question)
{
    struct buf signature = buf_make(8192);
    enum err e = key == NULL || question->scheme > UINT16_MAX
                     ? fail(ERR_DENIED, "nothing is to be signed here")
                     : tls_sign_certificate_verify(key, question->for_server != 0,
                                                   (uint16_t)question->scheme, question->content,
                                                   &signature);

    e = target_answer(channel, e, e == OK ? buf_str(&signature) : STR(""), STR(""));
    buf_free(&signature);
    return e;
}

enum err
target_sign(struct target *t, bool due, int channel, const struct ipc_sign *question)
{
    bool may = due && question->for_server == 0 && take_one(&t->client_signatures_left);

    return target_sign_with(may ? secrets_client_key(t->edition->secrets, t->resource_index) : NULL,
                            channel, question);
}
