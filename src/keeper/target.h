/* keeper/target.h - a resource's target, for one session or reader: dials it, and computes what a
 * login there needs of the credential. A compromised process gets no more of that than an honest
 * one needs. */
#ifndef KEEPER_TARGET_H
#define KEEPER_TARGET_H

#include <openssl/evp.h>

#include "keeper/state.h"

struct target {
    struct edition *edition;                /* held; its credential is used; NULL: no target yet */
    const struct config_resource *resource; /* in `edition` */
    size_t resource_index;
    unsigned proofs_left, client_signatures_left;
};

/* Holds the edition. */
struct target target_make(struct edition *edition, const struct config_resource *resource);
void target_release(struct target *t);

/* Descriptors of a grant in their order; ends with target_close_files(). */
struct target_files {
    int fds[IPC_FDS_MAX];
    size_t n;
};
void target_close_files(struct target_files *files);

/* [waits] Connects to the target and puts what belongs into `granted` and `files` about it, after
 * the connection `second`, which is taken over also on failure. ERR_UNAVAILABLE, ERR_TIMEOUT,
 * ERR_IO, ERR_NOMEM. */
enum err target_open(const struct target *t, int second, struct target_files *files,
                     struct ipc_granted *granted);

/* Sends an ANSWER; the text is err_text() unless `code` is OK. */
enum err target_answer(int channel, enum err code, struct str first, struct str second);

/* Answer a question if `due`, and if one is left; anything but OK ends the channel. */
enum err target_prove(struct target *t, bool due, int channel, const struct ipc_prove *question);
enum err target_sign(struct target *t, bool due, int channel, const struct ipc_sign *question);
/* The same with any key; NULL refuses. */
enum err target_sign_with(EVP_PKEY *key, int channel, const struct ipc_sign *question);

#endif
