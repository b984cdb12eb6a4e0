/* ledger/series.h - the files of a ledger: their names and order, and reading them line by line
 * in bounded memory. Reading only; writing is ledger/chain.h. */
#ifndef LEDGER_SERIES_H
#define LEDGER_SERIES_H

#include "base/buf.h"

enum { SERIES_NAME_BYTES = 32, SERIES_FILES_MAX = 1 << 20 };

struct series_file {
    uint64_t first_seq; /* what its name says */
    char name[SERIES_NAME_BYTES];
};

/* The files of the series in the open directory, in order; other names are passed over. The
 * array is the caller's (free()). ERR_IO, ERR_NOMEM, ERR_LIMIT. */
enum err series_list(int directory_fd, struct series_file **files, size_t *n);

/* The name of the file that begins with `seq`. */
void series_name(uint64_t seq, char out[SERIES_NAME_BYTES]);

/* Reads a file's lines in order. */
struct series_reader {
    int fd;
    struct buf window; /* bytes read and not yet passed */
    size_t passed;     /* of the window */
    uint64_t offset;   /* in the file: where the next line starts */
};

/* Reads from `fd`, which stays the caller's, at `offset`. */
struct series_reader series_read_from(int fd, uint64_t offset);
void series_reader_free(struct series_reader *r);

/* The next line without its newline; valid until the next call. ERR_CLOSED at the end of the
 * file; ERR_TRUNCATED: the file ends within a line (`*line` is its part; more may come, and may
 * be asked for again); ERR_LIMIT: longer than LINE_BYTES_MAX; ERR_IO, ERR_NOMEM. */
enum err series_next(struct series_reader *r, struct str *line);

/* The last whole line of a file of `size` bytes that ends with a newline, into `*out`.
 * ERR_INVALID if it does not, or has none; ERR_LIMIT, ERR_IO. */
enum err series_last_line(int fd, uint64_t size, struct buf *out);

#endif
