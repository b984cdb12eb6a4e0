#include "ledger/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ledger/backward.h"
#include "ledger/filter.h"

enum {
    HEAD_BYTES = 512,           /* holds any head of a record */
    SCAN_BYTES = 16 << 10,      /* read at a time to find the end of a line */
    BISECT_BYTES_MIN = 32 << 10 /* less than this is read through */
};

enum walk_mode { WALK_RESTING, WALK_FORWARD, WALK_BACKWARD };

struct walk {
    int directory_fd;
    struct series_file *files;
    size_t n_files;
    size_t at;       /* the file */
    uint64_t offset; /* in it, while resting: the next line begins there */
    bool at_end;     /* instead of `offset`: behind its last line */
    enum walk_mode mode;
    int fd; /* of the file, unless resting */
    struct series_reader forward;
    struct backward_reader backward;
    uint64_t damaged, bytes;
};

enum err
walk_open(const char *directory, struct walk **out)
{
    struct walk *w = calloc(1, sizeof(*w));
    enum err e;

    if (w == NULL)
        return fail(ERR_NOMEM, "no memory to read the ledger");
    w->fd = -1;
    w->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->directory_fd < 0)
        e = fail_errno(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open the ledger");
    else if ((e = series_list(w->directory_fd, &w->files, &w->n_files)) == OK && w->n_files == 0)
        e = fail(ERR_NOT_FOUND, "there is no ledger yet");
    if (e != OK)
        walk_close(w);
    else
        *out = w;
    return e;
}

/* Leaves the file; the place is where the reader was. */
static void
rest(struct walk *w)
{
    if (w->mode == WALK_FORWARD) {
        w->offset = w->forward.offset;
        w->at_end = false;
        series_reader_free(&w->forward);
    } else if (w->mode == WALK_BACKWARD) {
        w->offset = backward_offset(&w->backward);
        w->at_end = false;
        backward_free(&w->backward);
    }
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->mode = WALK_RESTING;
}

void
walk_close(struct walk *w)
{
    if (w == NULL)
        return;
    rest(w);
    free(w->files);
    if (w->directory_fd >= 0)
        close(w->directory_fd);
    free(w);
}

static enum err
open_file(const struct walk *w, size_t i, int *fd, uint64_t *size)
{
    struct stat status;

    *fd = openat(w->directory_fd, w->files[i].name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0 || fstat(*fd, &status) != 0) {
        enum err e = fail_errno(ERR_IO, "cannot open %s", w->files[i].name);

        if (*fd >= 0)
            close(*fd);
        return e;
    }
    *size = (uint64_t)status.st_size;
    return OK;
}

static enum err
read_as(struct walk *w, enum walk_mode mode)
{
    uint64_t size;
    enum err e;

    if (w->mode == mode)
        return OK;
    rest(w);
    if ((e = open_file(w, w->at, &w->fd, &size)) != OK)
        return e;
    if (mode == WALK_FORWARD)
        w->forward = series_read_from(w->fd, w->at_end ? size : w->offset);
    else
        w->backward = backward_from(w->fd, w->at_end ? size : w->offset);
    w->mode = mode;
    return OK;
}

/* To the neighbouring file; false if there is none. */
static bool
turn_page(struct walk *w, int direction)
{
    if (direction < 0 ? w->at == 0 : w->at + 1 >= w->n_files)
        return false;
    rest(w);
    w->at = direction < 0 ? w->at - 1 : w->at + 1;
    w->offset = 0;
    w->at_end = direction < 0;
    return true;
}

/* ERR_CLOSED at the file's end. */
static enum err
read_line(struct walk *w, enum walk_mode mode, struct str *text)
{
    enum err e = read_as(w, mode);

    if (e != OK)
        return e;
    e = mode == WALK_FORWARD ? series_next(&w->forward, text)
                             : backward_previous(&w->backward, text);
    if (e == ERR_LIMIT) { /* nothing of the file can be told behind it */
        w->damaged++;
        return ERR_CLOSED;
    }
    return e == ERR_TRUNCATED ? ERR_CLOSED : e;
}

static enum err
step(struct walk *w, enum walk_mode mode, struct str *text, struct line *line)
{
    enum err e;

    for (;;) {
        if ((e = read_line(w, mode, text)) == ERR_CLOSED) {
            if (!turn_page(w, mode == WALK_FORWARD ? 1 : -1))
                return ERR_CLOSED;
            continue;
        }
        if (e != OK)
            return e;
        w->bytes += text->len + 1;
        if (line_read_head(*text, line) == OK)
            return OK;
        w->damaged++;
    }
}

enum err
walk_next(struct walk *w, struct str *text, struct line *line)
{
    return step(w, WALK_FORWARD, text, line);
}

enum err
walk_previous(struct walk *w, struct str *text, struct line *line)
{
    return step(w, WALK_BACKWARD, text, line);
}

uint64_t
walk_damaged(const struct walk *w)
{
    return w->damaged;
}

uint64_t
walk_bytes(const struct walk *w)
{
    return w->bytes;
}

/* --- finding a place ---------------------------------------------------------------------------
 */

/* What is looked for: the first record that is not before it. */
struct place {
    bool by_time;
    uint64_t seq;
    struct str time;
    bool behind; /* records of just this time are before it, too */
};

static bool
is_before(const struct place *place, const struct line *line)
{
    int order;

    if (!place->by_time)
        return line->seq < place->seq;
    order = str_compare(line->time, place->time);
    return order < 0 || (order == 0 && place->behind);
}

static size_t
read_some(int fd, uint64_t from, char *to, size_t n)
{
    ssize_t got;

    do
        got = pread(fd, to, n, (off_t)from);
    while (got < 0 && errno == EINTR);
    return got < 0 ? 0 : (size_t)got;
}

/* Where the first line behind `from` begins, before `end`; UINT64_MAX: none does. */
static uint64_t
next_line_start(int fd, uint64_t from, uint64_t end, char *scratch)
{
    while (from < end) {
        size_t n = read_some(fd, from, scratch, SCAN_BYTES);
        size_t at = str_index((struct str){scratch, n}, '\n');

        if (n == 0)
            break;
        from += at + 1;
        if (at < n)
            return from < end ? from : UINT64_MAX;
        from--;
    }
    return UINT64_MAX;
}

/* Where the file's first line begins that is not before the place; its size if all are. Whatever
 * the file holds, it ends; where lines are no records, it stays before them. */
static uint64_t
bisect(int fd, uint64_t size, const struct place *place, char *scratch)
{
    uint64_t low = 0, high = size; /* all before low is before the place; high is not */

    while (high - low > BISECT_BYTES_MIN) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t start = next_line_start(fd, middle, high, scratch);
        struct line line;

        if (start == UINT64_MAX) {
            high = middle;
            continue;
        }
        if (line_read_head((struct str){scratch, read_some(fd, start, scratch, HEAD_BYTES)},
                           &line) != OK)
            break;
        if (is_before(place, &line))
            low = start;
        else
            high = start;
    }
    return low;
}

/* Whether the file's first record is before the place. */
static bool
begins_before(const struct walk *w, size_t i, const struct place *place, char *scratch)
{
    struct line line;
    uint64_t size;
    bool before;
    int fd;

    if (!place->by_time)
        return w->files[i].first_seq < place->seq;
    if (open_file(w, i, &fd, &size) != OK)
        return false;
    before = line_read_head((struct str){scratch, read_some(fd, 0, scratch, HEAD_BYTES)}, &line) ==
                 OK &&
             is_before(place, &line);
    close(fd);
    return before;
}

/* Reads on to the place itself. */
static enum err
go_on_to(struct walk *w, const struct place *place)
{
    struct str text;
    struct line line;
    enum err e;

    for (;;) {
        uint64_t damaged = w->damaged, bytes = w->bytes;

        e = walk_next(w, &text, &line);
        w->damaged = damaged; /* whoever reads from here counts them */
        w->bytes = bytes;
        if (e != OK)
            return e == ERR_CLOSED ? OK : e;
        if (!is_before(place, &line)) {
            rest(w);
            w->offset -= text.len + 1;
            return OK;
        }
    }
}

static enum err
go_to(struct walk *w, const struct place *place)
{
    char *scratch = malloc(SCAN_BYTES);
    size_t low = 0, high = w->n_files; /* the file is the last that begins before the place */
    uint64_t size;
    enum err e;
    int fd;

    if (scratch == NULL)
        return fail(ERR_NOMEM, "no memory to read the ledger");
    rest(w);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (begins_before(w, middle, place, scratch))
            low = middle;
        else
            high = middle;
    }
    w->at = low;
    w->at_end = false;
    if ((e = open_file(w, low, &fd, &size)) == OK) {
        w->offset = bisect(fd, size, place, scratch);
        close(fd);
        e = go_on_to(w, place);
    }
    free(scratch);
    return e;
}

enum err
walk_to(struct walk *w, uint64_t seq)
{
    return go_to(w, &(struct place){.seq = seq});
}

enum err
walk_to_end(struct walk *w)
{
    rest(w);
    w->at = w->n_files - 1;
    w->at_end = true;
    return OK;
}

enum err
walk_to_time(struct walk *w, struct str time, bool behind)
{
    char shifted[LEDGER_TIME_BYTES];

    if (!ledger_time_shift(time, behind,
                           behind ? WALK_CLOCK_STEP_SECONDS : -WALK_CLOCK_STEP_SECONDS, shifted))
        return fail(ERR_INVALID, "%.*s is no time", STR_ARG(time));
    return go_to(w, &(struct place){.by_time = true, .time = str_from(shifted), .behind = behind});
}
