#include "ledger/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/line.h"
#include "ledger/series.h"

enum { QUEUE_MAX = LINE_BYTES_MAX + (32 << 20), QUEUE_KEPT = 4 << 20 };

struct chain {
    int directory_fd;
    int fd; /* of the last file; -1: the next write begins one */
    uint64_t file_bytes, written;
    uint64_t next_seq;   /* of the next record to be begun */
    uint64_t queued_seq; /* of the first record in the queue */
    bool mid_line;       /* a write ended early: the file ends within a line */
    bool dirty;          /* written since the last sync */
    unsigned char last[LINE_HASH_BYTES];
    struct buf queue;
    size_t record_start;
    struct json json;
    struct line_hasher *hasher;
    int64_t time_us; /* what time_text says */
    char time_text[CLOCK_TEXT_BYTES];
    uint64_t cut_bytes;
    char cut_file[SERIES_NAME_BYTES];
};

/* Where the chain stands after a file. */
struct join {
    uint64_t next_seq;
    unsigned char last[LINE_HASH_BYTES];
};

static enum err
open_directory(struct chain *c, const char *directory)
{
    if (mkdir(directory, 0750) != 0 && errno != EEXIST)
        return fail_errno(ERR_IO, "cannot make the ledger's directory %s", directory);
    c->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->directory_fd < 0)
        return fail_errno(ERR_IO, "cannot open the ledger's directory %s", directory);
    if (flock(c->directory_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? fail(ERR_EXISTS, "another process writes the ledger in %s", directory)
                   : fail_errno(ERR_IO, "cannot lock the ledger's directory %s", directory);
    return OK;
}

/* Puts the file's name before what is wrong with it. */
static enum err
damaged(const struct series_file *file, uint64_t line)
{
    char why[ERR_TEXT_MAX];

    (void)memccpy(why, err_text(), '\0', sizeof(why));
    if (line == 0)
        return fail(ERR_INVALID, "the ledger is damaged: %s: %s", file->name, why);
    return fail(ERR_INVALID, "the ledger is damaged: %s:%llu: %s", file->name,
                (unsigned long long)line, why);
}

/* The first line of a file must follow what came before. */
static enum err
check_first(struct chain *c, struct str text, const struct series_file *file,
            const struct join *join)
{
    struct line line;
    enum err e;

    if (file->first_seq != join->next_seq)
        return fail(ERR_INVALID, "record %llu is missing before it",
                    (unsigned long long)join->next_seq);
    if ((e = line_read(text, &line)) != OK)
        return e;
    return line_check(c->hasher, &line, join->next_seq, join->last);
}

/* First and last record of a file that is not the last: enough to join it to its neighbours. */
static enum err
check_ends(struct chain *c, int fd, const struct series_file *file, struct join *join)
{
    struct series_reader reader = series_read_from(fd, 0);
    struct buf last = buf_make(LINE_BYTES_MAX + 4096);
    struct stat st;
    struct line line;
    struct str text;
    enum err e;

    if (fstat(fd, &st) != 0)
        e = fail_errno(ERR_IO, "cannot look at %s", file->name);
    else if ((e = series_next(&reader, &text)) == ERR_CLOSED)
        e = fail(ERR_INVALID, "it is empty, but not the last file");
    if (e == OK && (e = check_first(c, text, file, join)) == OK &&
        (e = series_last_line(fd, (uint64_t)st.st_size, &last)) == OK &&
        (e = line_read(buf_str(&last), &line)) == OK) {
        join->next_seq = line.seq + 1;
        memcpy(join->last, line.hash, sizeof(join->last));
    }
    series_reader_free(&reader);
    buf_free(&last);
    return e;
}

/* Every record of the last file. `*end` is where its whole lines end. */
static enum err
check_all(struct chain *c, int fd, const struct series_file *file, struct join *join, uint64_t *end)
{
    struct series_reader reader = series_read_from(fd, 0);
    uint64_t number = 0;
    struct line line;
    struct str text;
    enum err e;

    if (file->first_seq != join->next_seq) {
        e = fail(ERR_INVALID, "record %llu is missing before it",
                 (unsigned long long)join->next_seq);
        return damaged(file, 0);
    }
    while ((e = series_next(&reader, &text)) == OK) {
        number++;
        if ((e = line_read(text, &line)) != OK ||
            (e = line_check(c->hasher, &line, join->next_seq, join->last)) != OK)
            break;
        join->next_seq++;
        memcpy(join->last, line.hash, sizeof(join->last));
    }
    *end = reader.offset;
    series_reader_free(&reader);
    if (e == ERR_CLOSED || e == ERR_TRUNCATED)
        return OK;
    return e == ERR_INVALID || e == ERR_LIMIT ? damaged(file, number) : e;
}

/* Continues the last file: cuts a torn line, then appends. */
static enum err
take_up(struct chain *c, int fd, const struct series_file *file, uint64_t end)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return fail_errno(ERR_IO, "cannot look at %s", file->name);
    if ((uint64_t)st.st_size > end) {
        c->cut_bytes = (uint64_t)st.st_size - end;
        memcpy(c->cut_file, file->name, sizeof(c->cut_file));
        if (ftruncate(fd, (off_t)end) != 0 || fdatasync(fd) != 0)
            return fail_errno(ERR_IO, "cannot cut the torn end of %s", file->name);
    }
    c->written = end;
    c->fd = fd;
    return OK;
}

static enum err
check_file(struct chain *c, const struct series_file *file, bool is_last, struct join *join)
{
    int flags = is_last ? O_RDWR | O_APPEND : O_RDONLY;
    int fd = openat(c->directory_fd, file->name, flags | O_CLOEXEC | O_NOFOLLOW);
    uint64_t end = 0;
    enum err e;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot open %s", file->name);
    if (is_last) {
        if ((e = check_all(c, fd, file, join, &end)) == OK && (e = take_up(c, fd, file, end)) == OK)
            return OK;
        close(fd);
        return e;
    }
    e = check_ends(c, fd, file, join);
    close(fd);
    return e == ERR_INVALID || e == ERR_TRUNCATED || e == ERR_LIMIT ? damaged(file, 0) : e;
}

static enum err
check_series(struct chain *c)
{
    struct join join = {.next_seq = 1};
    struct series_file *files;
    size_t n;
    enum err e;

    if ((e = series_list(c->directory_fd, &files, &n)) != OK)
        return e;
    for (size_t i = 0; i < n && e == OK; i++)
        e = check_file(c, &files[i], i + 1 == n, &join);
    free(files);
    c->next_seq = c->queued_seq = join.next_seq;
    memcpy(c->last, join.last, sizeof(c->last));
    return e;
}

enum err
chain_open(const char *directory, uint64_t file_bytes, struct chain **out)
{
    struct chain *c = calloc(1, sizeof(*c));
    enum err e;

    if (c == NULL)
        return fail(ERR_NOMEM, "no memory for the ledger");
    c->directory_fd = c->fd = -1;
    c->file_bytes = file_bytes;
    c->queue = buf_make(QUEUE_MAX);
    c->time_us = -1;
    if ((c->hasher = line_hasher_new()) == NULL)
        e = fail(ERR_NOMEM, "SHA-256 is not available");
    else if ((e = open_directory(c, directory)) == OK)
        e = check_series(c);
    if (e != OK) {
        chain_close(c);
        return e;
    }
    *out = c;
    return OK;
}

void
chain_close(struct chain *c)
{
    if (c == NULL)
        return;
    if (c->fd >= 0)
        close(c->fd);
    if (c->directory_fd >= 0)
        close(c->directory_fd);
    buf_free(&c->queue);
    line_hasher_free(c->hasher);
    free(c);
}

void
chain_set_file_bytes(struct chain *c, uint64_t file_bytes)
{
    c->file_bytes = file_bytes;
}

int
chain_directory(const struct chain *c)
{
    return c->directory_fd;
}

uint64_t
chain_cut(const struct chain *c, const char **file)
{
    *file = c->cut_file;
    return c->cut_bytes;
}

enum err
chain_each_recent(struct chain *c, void (*fn)(void *arg, struct str line), void *arg)
{
    struct series_reader reader;
    struct str line;
    enum err e;

    if (c->fd < 0)
        return OK;
    reader = series_read_from(c->fd, 0);
    while ((e = series_next(&reader, &line)) == OK)
        fn(arg, line);
    series_reader_free(&reader);
    return e == ERR_CLOSED ? OK : e;
}

struct json *
chain_begin(struct chain *c, int64_t wall_us, const char *type)
{
    c->record_start = c->queue.len;
    c->json = json_to(&c->queue);
    if (wall_us != c->time_us) {
        (void)clock_format(wall_us, c->time_text);
        c->time_us = wall_us;
    }
    json_open(&c->json, '{');
    json_field_uint(&c->json, "seq", c->next_seq);
    json_field_text(&c->json, "time", c->time_text);
    json_field_text(&c->json, "type", type);
    return &c->json;
}

enum err
chain_end(struct chain *c)
{
    unsigned char hash[LINE_HASH_BYTES];
    struct str hashed;
    enum err e;

    buf_put_text(&c->queue, ",\"prev\":\"");
    line_put_hash(&c->queue, c->last);
    buf_put_text(&c->queue, "\"");
    hashed = str_skip(buf_str(&c->queue), c->record_start);
    if ((e = buf_ok(&c->queue)) == OK)
        e = line_hash(c->hasher, c->last, hashed, hash);
    buf_put_text(&c->queue, ",\"hash\":\"");
    line_put_hash(&c->queue, hash);
    buf_put_text(&c->queue, "\"}\n");
    if (e == OK)
        e = buf_ok(&c->queue);
    if (e == OK && c->queue.len - c->record_start > LINE_BYTES_MAX)
        e = fail(ERR_LIMIT, "a record of more than %d bytes", LINE_BYTES_MAX);
    if (e != OK) {
        c->queue.len = c->record_start;
        c->queue.failed = false;
        return e;
    }
    memcpy(c->last, hash, sizeof(c->last));
    c->next_seq++;
    return OK;
}

size_t
chain_pending(const struct chain *c)
{
    return c->queue.len;
}

static bool
is_full(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* Ends the present file, if there is one, and begins the one that starts with the queue. */
static enum err
begin_file(struct chain *c)
{
    char name[SERIES_NAME_BYTES];
    enum err e;
    int fd;

    if (c->fd >= 0 && (e = chain_sync(c)) != OK)
        return e;
    series_name(c->queued_seq, name);
    fd = openat(c->directory_fd, name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return fail_errno(is_full(errno) ? ERR_UNAVAILABLE : ERR_IO, "cannot begin %s", name);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = fd;
    c->written = 0;
    if (fsync(c->directory_fd) != 0)
        return fail_errno(ERR_IO, "cannot sync the ledger's directory");
    return OK;
}

enum err
chain_write(struct chain *c)
{
    enum err e;

    if (c->queue.len == 0)
        return OK;
    if ((c->fd < 0 || (c->written >= c->file_bytes && c->written > 0)) && !c->mid_line &&
        (e = begin_file(c)) != OK)
        return e;
    while (c->queue.len > 0) {
        ssize_t n = write(c->fd, c->queue.ptr, c->queue.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(is_full(errno) ? ERR_UNAVAILABLE : ERR_IO, "cannot write the ledger");
        c->dirty = true;
        c->written += (uint64_t)n;
        buf_consume(&c->queue, (size_t)n);
        c->mid_line = c->queue.len > 0;
    }
    c->queued_seq = c->next_seq;
    if (c->queue.capacity > QUEUE_KEPT)
        buf_free(&c->queue);
    return OK;
}

enum err
chain_sync(struct chain *c)
{
    if (!c->dirty)
        return OK;
    if (fdatasync(c->fd) != 0)
        return fail_errno(ERR_IO, "cannot sync the ledger");
    c->dirty = false;
    return OK;
}
