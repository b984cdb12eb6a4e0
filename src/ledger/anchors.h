/* ledger/anchors.h - checks a recording against what the ledger says of its chunks. Offline, needs
 * no key. */
#ifndef LEDGER_ANCHORS_H
#define LEDGER_ANCHORS_H

#include "recording/set.h"

enum { ANCHORS_MAX = 1 << 22 }; /* chunks of one session */

struct anchors_result {
    uint64_t anchored;     /* chunks that are what the ledger says */
    uint64_t not_anchored; /* written, but the ledger ended before it could say so */
};

/* Verifies the ledger in `directory`, then that each of its anchors of the set's session is of a
 * chunk in the set. ERR_INVALID: err_text() says what is changed, or missing; ERR_NOT_FOUND: no
 * ledger, or it knows nothing of the recording; else as recording_set_hashes(). */
enum err anchors_check(const char *directory, struct recording_set *set,
                       struct anchors_result *out);

#endif
