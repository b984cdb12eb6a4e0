/* gate/recorder.h - what a session adds to its recording beyond what is in the ledger: how answers
 * are described and, where a rule says so, their rows as the client got them. It goes the same way
 * as the records do. */
#ifndef GATE_RECORDER_H
#define GATE_RECORDER_H

#include "gate/ledger_link.h"
#include "ipc/record.h"

struct recorder;

enum {
    RECORDER_FRAME_BYTES = 16 << 10,   /* rows are handed over when there are that many bytes */
    RECORDER_BACKLOG_BYTES = 16 << 20, /* a session that records rows waits for the ledger then */
    RECORDER_WAIT_MS = 10000,
};

/* Through `link`, which must outlive it. ERR_NOMEM. */
enum err recorder_open(struct ledger_link *link, struct recorder **out);
/* Hands over what is left; NULL is allowed. */
void recorder_close(struct recorder *r);

/* How the rows of the command's answer are described. */
void recorder_columns(struct recorder *r, uint64_t command, const struct record_column *columns,
                      size_t n);

/* A rule wants the recording to be kept that long; of several the longest counts. */
void recorder_keep(struct recorder *r, uint32_t seconds);

/* One row: its cells, as many as `columns`, between the two calls. recorder_end_row() [waits] if
 * the ledger is far behind. ERR_UNAVAILABLE (the ledger), ERR_CANCELED. */
void recorder_begin_row(struct recorder *r, uint64_t command, uint32_t columns, bool lines);
void recorder_put_cell(struct recorder *r, const struct record_cell *cell);
enum err recorder_end_row(struct recorder *r);

/* The rows so far are all of this answer. */
enum err recorder_end_rows(struct recorder *r);

#endif
