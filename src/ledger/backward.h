/* ledger/backward.h - a file's lines from the last to the first, in bounded memory. */
#ifndef LEDGER_BACKWARD_H
#define LEDGER_BACKWARD_H

#include "base/buf.h"

struct backward_reader {
    int fd;
    struct buf window; /* bytes of the file from `from` on; those before `left` are not passed */
    uint64_t from;
    size_t left;
    bool begun;
};

/* Reads from `fd`, which stays the caller's, what is before `end`; an incomplete line at the end is
 * passed over. */
struct backward_reader backward_from(int fd, uint64_t end);
void backward_free(struct backward_reader *r);

/* The line before, without its newline; valid until the next call. ERR_CLOSED at the beginning of
 * the file; ERR_LIMIT: longer than LINE_BYTES_MAX (do not go on); ERR_IO, ERR_NOMEM. */
enum err backward_previous(struct backward_reader *r, struct str *line);

/* In the file: where the line that was passed last begins. */
uint64_t backward_offset(const struct backward_reader *r);

#endif
