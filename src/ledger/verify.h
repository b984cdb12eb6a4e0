/* ledger/verify.h - checks a whole ledger offline: reads every byte once, needs no lock, no
 * configuration and little memory. */
#ifndef LEDGER_VERIFY_H
#define LEDGER_VERIFY_H

#include "ledger/line.h"
#include "ledger/series.h"

/* Intents whose outcome is awaited while reading; beyond it they are no longer counted. */
enum { VERIFY_OPEN_INTENTS_MAX = 1 << 20, VERIFY_TIME_BYTES = 40 };

struct verify_result {
    uint64_t records, files, bytes;
    char first_time[VERIFY_TIME_BYTES], last_time[VERIFY_TIME_BYTES]; /* "" without records */
    unsigned char last_hash[LINE_HASH_BYTES];
    uint64_t torn_bytes;       /* an incomplete last line: being written, or a crash's */
    uint64_t intents;          /* admitted commands */
    uint64_t without_outcome;  /* of those: how they ended is not known */
    bool outcomes_not_counted; /* too many at once */
    /* Where the first break is. */
    char file[SERIES_NAME_BYTES];
    uint64_t line;
};

/* Verifies the ledger in `directory`. ERR_INVALID: broken; result->file and ->line say where (line
 * 0: the file as a whole), err_text() how. ERR_NOT_FOUND: no ledger there; ERR_IO, ERR_NOMEM. */
enum err verify_ledger(const char *directory, struct verify_result *result);

/* One record: its JSON is well formed, has no member twice, and its head says what it parsed to.
 * ERR_INVALID. */
enum err verify_json(struct str text, const struct line *line);

#endif
