/* cli/recording_file.h - what the subcommands that read recordings share: finding one by a
 * session's id or a path, its private key, and the check against the ledger. */
#ifndef CLI_RECORDING_FILE_H
#define CLI_RECORDING_FILE_H

#include "recording/set.h"

struct recording_request {
    const char *which;     /* a session's id, or a file */
    const char *key;       /* private key; NULL: as the configuration says */
    const char *directory; /* of the recordings; NULL: as the configuration says */
    const char *ledger;    /* its directory; NULL: no check */
    const char *config;
};

struct recording_opened {
    struct recording_set *set;
    struct recording_key *key;
};

/* Opens it and, if that is wanted, checks it against the ledger: tells on standard error what came
 * of it. An error is told as well; then nothing is open. */
enum err recording_file_open(const struct recording_request *request, struct recording_opened *out);
void recording_file_close(struct recording_opened *o);

#endif
