#include "ledger/series.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ledger/line.h"

enum { READ_BYTES = 256 << 10, DIGITS_MIN = 10 };

void
series_name(uint64_t seq, char out[SERIES_NAME_BYTES])
{
    (void)snprintf(out, SERIES_NAME_BYTES, "%0*llu.jsonl", DIGITS_MIN, (unsigned long long)seq);
}

/* Only names that series_name() makes. */
static bool
parse_name(const char *name, struct series_file *out)
{
    struct str digits, rest = str_cut(str_from(name), '.', &digits);

    if (!str_is(rest, "jsonl") || digits.len > 20 ||
        !str_to_uint(digits, UINT64_MAX, &out->first_seq))
        return false;
    series_name(out->first_seq, out->name);
    return strcmp(out->name, name) == 0;
}

static int
by_seq(const void *a, const void *b)
{
    uint64_t x = ((const struct series_file *)a)->first_seq;
    uint64_t y = ((const struct series_file *)b)->first_seq;

    return x < y ? -1 : x > y;
}

static enum err
read_names(DIR *dir, struct buf *out)
{
    struct dirent *entry;
    struct series_file file;

    while (errno = 0, (entry = readdir(dir)) != NULL)
        if (parse_name(entry->d_name, &file))
            buf_put(out, &file, sizeof(file));
    if (errno != 0)
        return fail_errno(ERR_IO, "cannot read the ledger's directory");
    return buf_ok(out);
}

enum err
series_list(int directory_fd, struct series_file **files, size_t *n)
{
    struct buf found = buf_make((size_t)SERIES_FILES_MAX * sizeof(**files));
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    enum err e;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return fail_errno(ERR_IO, "cannot read the ledger's directory");
    }
    e = read_names(dir, &found);
    closedir(dir);
    if (e != OK) {
        buf_free(&found);
        return e;
    }
    *files = (struct series_file *)(void *)found.ptr;
    *n = found.len / sizeof(**files);
    if (*n > 1)
        qsort(*files, *n, sizeof(**files), by_seq);
    return OK;
}

struct series_reader
series_read_from(int fd, uint64_t offset)
{
    return (struct series_reader){
        .fd = fd, .window = buf_make(LINE_BYTES_MAX + READ_BYTES), .offset = offset};
}

void
series_reader_free(struct series_reader *r)
{
    buf_free(&r->window);
}

/* Appends the next bytes of the file; `*n` is 0 at its end. */
static enum err
read_more(struct series_reader *r, size_t *n)
{
    uint64_t from;
    ssize_t got;
    enum err e;

    buf_consume(&r->window, r->passed);
    r->passed = 0;
    from = r->offset + r->window.len;
    if ((e = buf_reserve(&r->window, READ_BYTES)) != OK)
        return e;
    do
        got = pread(r->fd, r->window.ptr + r->window.len, READ_BYTES, (off_t)from);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail_errno(ERR_IO, "cannot read");
    r->window.len += (size_t)got;
    *n = (size_t)got;
    return OK;
}

enum err
series_next(struct series_reader *r, struct str *line)
{
    size_t looked = 0, n = 0;
    enum err e;

    for (;;) {
        struct str rest = str_skip(buf_str(&r->window), r->passed);
        size_t at = looked + str_index(str_skip(rest, looked), '\n');

        if (at < rest.len) {
            *line = (struct str){rest.ptr, at};
            r->passed += at + 1;
            r->offset += at + 1;
            return at > LINE_BYTES_MAX ? fail(ERR_LIMIT, "a line of %zu bytes", at) : OK;
        }
        if (rest.len > LINE_BYTES_MAX)
            return fail(ERR_LIMIT, "a line of more than %d bytes", LINE_BYTES_MAX);
        looked = rest.len;
        if ((e = read_more(r, &n)) != OK)
            return e;
        if (n > 0)
            continue;
        *line = buf_str(&r->window);
        if (line->len == 0)
            return ERR_CLOSED;
        return fail(ERR_TRUNCATED, "the file ends within a line");
    }
}

static enum err
read_exactly(int fd, char *to, size_t n, uint64_t from)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)from);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fail_errno(ERR_IO, "cannot read");
        to += got;
        from += (uint64_t)got;
        n -= (size_t)got;
    }
    return OK;
}

enum err
series_last_line(int fd, uint64_t size, struct buf *out)
{
    enum err e;

    /* Looks at an end that grows until it holds a whole line. */
    for (uint64_t end = 4096;; end *= 8) {
        size_t n = (size_t)(end < size ? end : size);
        size_t start;

        buf_reset(out);
        if ((e = buf_reserve(out, n)) != OK || (e = read_exactly(fd, out->ptr, n, size - n)) != OK)
            return e;
        out->len = n;
        if (n == 0 || out->ptr[n - 1] != '\n')
            return fail(ERR_INVALID, "it does not end with a whole line");
        for (start = n - 1; start > 0 && out->ptr[start - 1] != '\n';)
            start--;
        if (start > 0 || n == size) {
            buf_consume(out, start);
            out->len--;
            return OK;
        }
        if (n > LINE_BYTES_MAX)
            return fail(ERR_LIMIT, "a line of more than %d bytes", LINE_BYTES_MAX);
    }
}
