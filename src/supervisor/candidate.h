/* supervisor/candidate.h - a configuration as it was read: checked, and as a sealed file for the
 * services to share. */
#ifndef SUPERVISOR_CANDIDATE_H
#define SUPERVISOR_CANDIDATE_H

#include "config/config.h"

enum { CANDIDATE_HASH_BYTES = 64 }; /* hexadecimal SHA-256 of the text */

struct candidate {
    struct arena *arena; /* of `config` */
    struct config *config;
    int fd;
    char hash[CANDIDATE_HASH_BYTES + 1];
};

/* Reads and checks the file; its problems go to the log. On failure there is nothing to drop. */
enum err candidate_load(const char *path, struct candidate *c);
void candidate_drop(struct candidate *c);

#endif
