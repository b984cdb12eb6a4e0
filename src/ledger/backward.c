#include "ledger/backward.h"

#include <errno.h>
#include <unistd.h>

#include "ledger/line.h"

enum { READ_BYTES = 256 << 10 };

struct backward_reader
backward_from(int fd, uint64_t end)
{
    return (struct backward_reader){
        .fd = fd, .window = buf_make(2 * ((size_t)LINE_BYTES_MAX + READ_BYTES)), .from = end};
}

void
backward_free(struct backward_reader *r)
{
    buf_free(&r->window);
}

static enum err
read_exactly(int fd, char *to, size_t n, uint64_t from)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)from);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(ERR_IO, "cannot read");
        if (got == 0)
            return fail(ERR_IO, "a file became shorter while it was read");
        to += got;
        from += (uint64_t)got;
        n -= (size_t)got;
    }
    return OK;
}

/* Puts `*n` more bytes of the file before those that are left: as many again, so that a long line
 * is not moved often. */
static enum err
read_before(struct backward_reader *r, size_t *n)
{
    size_t more = r->left > READ_BYTES ? r->left : READ_BYTES;
    enum err e;

    if (more > r->from)
        more = (size_t)r->from;
    r->window.len = r->left;
    if ((e = buf_reserve(&r->window, more)) != OK)
        return e;
    memmove(r->window.ptr + more, r->window.ptr, r->left);
    if ((e = read_exactly(r->fd, r->window.ptr, more, r->from - more)) != OK)
        return e;
    r->window.len += more;
    r->left += more;
    r->from -= more;
    *n = more;
    return OK;
}

/* Takes the end of what is left, up to the newline before it (or the file's beginning), to
 * `*line`. What is left then ends with that newline. */
static enum err
take_back(struct backward_reader *r, struct str *line)
{
    size_t unknown = r->left, n = 0; /* the first bytes: not searched yet */
    enum err e;

    for (;;) {
        const char *newline = unknown == 0 ? NULL : memrchr(r->window.ptr, '\n', unknown);

        if (newline != NULL) {
            size_t start = (size_t)(newline - r->window.ptr) + 1;

            *line = (struct str){r->window.ptr + start, r->left - start};
            r->left = start;
            break;
        }
        if (r->left > LINE_BYTES_MAX)
            return fail(ERR_LIMIT, "a line of more than %d bytes", LINE_BYTES_MAX);
        if (r->from == 0) {
            *line = (struct str){r->left == 0 ? "" : r->window.ptr, r->left};
            r->left = 0;
            break;
        }
        if ((e = read_before(r, &n)) != OK)
            return e;
        unknown = n;
    }
    return line->len > LINE_BYTES_MAX ? fail(ERR_LIMIT, "a line of %zu bytes", line->len) : OK;
}

enum err
backward_previous(struct backward_reader *r, struct str *line)
{
    enum err e;

    if (!r->begun) { /* what follows the last newline is no line yet */
        if ((e = take_back(r, line)) != OK)
            return e;
        r->begun = true;
    }
    if (r->left == 0 && r->from == 0)
        return ERR_CLOSED;
    if (r->left > 0)
        r->left--; /* the newline */
    return take_back(r, line);
}

uint64_t
backward_offset(const struct backward_reader *r)
{
    return r->from + r->left;
}
