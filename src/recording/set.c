#include "recording/set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct segment {
    int fd;
    struct recording_reader *reader; /* NULL: not opened yet */
};

struct recording_set {
    const struct recording_key *key;
    struct segment *segments;
    size_t n, at;
    bool whole;
    enum recording_end end;
};

void
recording_set_close(struct recording_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        recording_reader_close(s->segments[i].reader);
        close(s->segments[i].fd);
    }
    free(s->segments);
    free(s);
}

/* The reader of segment `i`, at its beginning if it is new. */
static enum err
open_segment(struct recording_set *s, size_t i)
{
    struct segment *segment = &s->segments[i];
    struct recording_source source = recording_source_file(&segment->fd);
    const struct recording_header *first, *header;
    enum err e;

    if (segment->reader != NULL)
        return OK;
    if ((e = recording_reader_open(&source, s->key, &segment->reader)) != OK || i == 0)
        return e;
    first = recording_reader_header(s->segments[0].reader);
    header = recording_reader_header(segment->reader);
    if (header->session != first->session || header->segment != first->segment + i)
        return fail(ERR_INVALID, "segment %zu of the recording is of another recording", i);
    return OK;
}

enum err
recording_set_open_files(const int *fds, size_t n, const struct recording_key *key,
                         struct recording_set **out)
{
    struct recording_set *s = calloc(1, sizeof(*s));
    struct segment *segments = calloc(n + 1, sizeof(*segments));
    enum err e;

    if (s == NULL || segments == NULL || n == 0) {
        for (size_t i = 0; i < n; i++)
            close(fds[i]);
        free(s);
        free(segments);
        return n == 0 ? fail(ERR_NOT_FOUND, "there is no such recording")
                      : fail(ERR_NOMEM, "no memory to read a recording");
    }
    for (size_t i = 0; i < n; i++)
        segments[i].fd = fds[i];
    s->segments = segments;
    s->n = n;
    s->key = key;
    if ((e = open_segment(s, 0)) != OK) {
        recording_set_close(s);
        return e;
    }
    *out = s;
    return OK;
}

enum err
recording_set_open(int directory_fd, uint64_t session, const struct recording_key *key,
                   struct recording_set **out)
{
    char name[RECORDING_NAME_BYTES];
    int fds[RECORDING_SEGMENTS_MAX];
    size_t n = 0;
    enum err e;

    while (n < RECORDING_SEGMENTS_MAX) {
        recording_name(session, (unsigned)n, name);
        if ((fds[n] = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
            break;
        n++;
    }
    if (n == 0)
        return errno == ENOENT ? fail(ERR_NOT_FOUND, "session %016llx has no recording here",
                                      (unsigned long long)session)
                               : fail_errno(ERR_IO, "cannot open %s", name);
    if ((e = recording_set_open_files(fds, n, key, out)) == OK)
        (*out)->whole = true;
    return e;
}

bool
recording_set_is_whole(const struct recording_set *s)
{
    return s->whole;
}

const struct recording_header *
recording_set_header(const struct recording_set *s)
{
    return recording_reader_header(s->segments[s->at].reader);
}

/* After the end of a segment: the next one, if there is one; else the end of all. */
static enum err
next_segment(struct recording_set *s, enum err e)
{
    if (e != ERR_CLOSED)
        return e;
    s->end = recording_reader_end(s->segments[s->at].reader);
    if (s->at + 1 == s->n)
        return e;
    if ((e = open_segment(s, s->at + 1)) != OK)
        return e;
    s->at++;
    recording_reader_rewind(s->segments[s->at].reader);
    return OK;
}

enum err
recording_set_next(struct recording_set *s, struct str *line)
{
    enum err e;

    while ((e = recording_reader_next(s->segments[s->at].reader, line)) != OK)
        if ((e = next_segment(s, e)) != OK)
            return e;
    return OK;
}

static void
rewind_all(struct recording_set *s)
{
    s->at = 0;
    s->end = RECORDING_MORE;
    recording_reader_rewind(s->segments[0].reader);
}

/* The last segment whose first chunk is not later. */
enum err
recording_set_seek(struct recording_set *s, uint64_t from_us)
{
    struct recording_chunk chunk;
    size_t found = 0;
    enum err e;

    rewind_all(s);
    for (size_t i = 1; i < s->n; i++) {
        if ((e = open_segment(s, i)) != OK)
            return e;
        recording_reader_rewind(s->segments[i].reader);
        if ((e = recording_reader_next_head(s->segments[i].reader, &chunk)) == ERR_CLOSED)
            continue;
        if (e != OK)
            return e;
        if (chunk.from_us > from_us)
            break;
        found = i;
    }
    s->at = found;
    return recording_reader_seek(s->segments[found].reader, from_us);
}

enum recording_end
recording_set_end(const struct recording_set *s)
{
    return s->end;
}

static void
add_up(struct recording_summary *sum, const struct recording_chunk *chunk)
{
    sum->chunks++;
    sum->last_us = chunk->from_us;
    if (chunk->retention_seconds > sum->retention_seconds)
        sum->retention_seconds = chunk->retention_seconds;
    sum->rows = sum->rows || (chunk->flags & RECORDING_ROWS) != 0;
}

enum err
recording_set_summarise(struct recording_set *s, struct recording_summary *out)
{
    struct recording_chunk chunk;
    enum err e = OK;

    *out = (struct recording_summary){.segments = (unsigned)s->n};
    for (size_t i = 0; i < s->n && e == OK; i++) {
        if ((e = open_segment(s, i)) != OK)
            break;
        recording_reader_rewind(s->segments[i].reader);
        while ((e = recording_reader_next_head(s->segments[i].reader, &chunk)) == OK)
            add_up(out, &chunk);
        out->bytes += recording_reader_offset(s->segments[i].reader);
        out->ended = recording_reader_end(s->segments[i].reader) == RECORDING_COMPLETE;
        e = e == ERR_CLOSED ? OK : e;
    }
    rewind_all(s);
    return e;
}

enum err
recording_set_hashes(struct recording_set *s,
                     enum err (*each)(void *arg, unsigned segment,
                                      const struct recording_chunk *chunk,
                                      const unsigned char hash[RECORDING_HASH_BYTES]),
                     void *arg)
{
    unsigned char hash[RECORDING_HASH_BYTES];
    struct recording_chunk chunk;
    enum err e = OK;

    for (size_t i = 0; i < s->n && e == OK; i++) {
        unsigned number;

        if ((e = open_segment(s, i)) != OK)
            break;
        number = recording_reader_header(s->segments[i].reader)->segment;
        recording_reader_rewind(s->segments[i].reader);
        while ((e = recording_reader_next_chunk(s->segments[i].reader, &chunk, hash)) == OK)
            if ((e = each(arg, number, &chunk, hash)) != OK)
                break;
        s->end = recording_reader_end(s->segments[i].reader);
        e = e == ERR_CLOSED ? OK : e;
    }
    if (e == OK)
        rewind_all(s);
    return e;
}
