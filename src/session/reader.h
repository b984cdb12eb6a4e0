/* session/reader.h - the process that reads the catalog of one database: sealed as a session is, it
 * has the target, the keeper, and a file for what it reads; neither a client nor the ledger. */
#ifndef SESSION_READER_H
#define SESSION_READER_H

#include "protocol/protocol.h"
#include "sandbox/sandbox.h"

struct reader_setup {
    uint64_t id;
    int keeper_channel;
    const struct sandbox *sandbox;
    const struct protocol *protocol; /* that has a read_catalog */
};

/* Runs in a freshly forked process; never returns. */
void reader_run(const struct reader_setup *setup) __attribute__((noreturn));

#endif
