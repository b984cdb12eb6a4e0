#include "ledger/anchors.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/encode.h"
#include "ledger/verify.h"

enum { ID_BYTES = 17 };

struct anchor {
    unsigned segment;
    uint64_t chunk;
    unsigned char hash[RECORDING_HASH_BYTES];
    bool found;
};

struct check {
    char session[ID_BYTES];
    struct anchor *anchors;
    size_t n, capacity, at; /* `at`: where the next one is looked for first */
    struct anchors_result *result;
    bool whole; /* the set holds all segments from the first on */
};

static bool
read_hash(const json_t *value, unsigned char out[RECORDING_HASH_BYTES])
{
    struct buf bytes = buf_make(RECORDING_HASH_BYTES);
    bool good = json_is_string(value) &&
                decode_hex(&bytes, (struct str){json_string_value(value),
                                                json_string_length(value)}) == OK &&
                bytes.len == RECORDING_HASH_BYTES;

    if (good)
        memcpy(out, bytes.ptr, RECORDING_HASH_BYTES);
    buf_free(&bytes);
    return good;
}

static enum err
add_anchor(struct check *c, const json_t *record)
{
    const json_t *segment = json_object_get(record, "segment"),
                 *chunk = json_object_get(record, "chunk");
    struct anchor anchor = {0};

    if (!json_is_integer(segment) || !json_is_integer(chunk) ||
        !read_hash(json_object_get(record, "sha256"), anchor.hash))
        return fail(ERR_INVALID, "the ledger has a malformed record of the recording");
    anchor.segment = (unsigned)json_integer_value(segment);
    anchor.chunk = (uint64_t)json_integer_value(chunk);
    if (c->n == c->capacity) {
        size_t larger = c->capacity == 0 ? 64 : 2 * c->capacity;
        struct anchor *grown = larger > ANCHORS_MAX ? NULL
                                                    : realloc(c->anchors, larger * sizeof(*grown));

        if (grown == NULL)
            return fail(ERR_LIMIT, "a recording of too many chunks");
        c->anchors = grown;
        c->capacity = larger;
    }
    c->anchors[c->n++] = anchor;
    return OK;
}

static enum err
take_line(struct check *c, struct str text)
{
    struct line line;
    json_t *record;
    const char *session;
    enum err e;

    if ((e = line_read(text, &line)) != OK || !str_is(line.type, "recording"))
        return e;
    record = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL);
    session = json_string_value(json_object_get(record, "session"));
    if (session != NULL && strcmp(session, c->session) == 0)
        e = add_anchor(c, record);
    json_decref(record);
    return e;
}

static enum err
read_series_file(struct check *c, int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct series_reader reader;
    struct str line;
    enum err e;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot open %s", name);
    reader = series_read_from(fd, 0);
    while ((e = series_next(&reader, &line)) == OK)
        if ((e = take_line(c, line)) != OK)
            break;
    series_reader_free(&reader);
    close(fd);
    return e == ERR_CLOSED || e == ERR_TRUNCATED ? OK : e;
}

static enum err
read_anchors(struct check *c, const char *path)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct series_file *files = NULL;
    size_t n = 0;
    enum err e;

    if (directory < 0)
        return fail_errno(ERR_NOT_FOUND, "cannot open the ledger's directory %s", path);
    e = series_list(directory, &files, &n);
    for (size_t i = 0; e == OK && i < n; i++)
        e = read_series_file(c, directory, files[i].name);
    free(files);
    close(directory);
    if (e == OK && c->n == 0)
        return fail(ERR_NOT_FOUND, "the ledger knows nothing of a recording of session %s",
                    c->session);
    return e;
}

static struct anchor *
find(struct check *c, unsigned segment, uint64_t chunk)
{
    for (size_t i = 0; i < c->n; i++) {
        struct anchor *a = &c->anchors[(c->at + i) % c->n];

        if (a->segment == segment && a->chunk == chunk) {
            c->at = (c->at + i + 1) % c->n;
            return a;
        }
    }
    return NULL;
}

static enum err
check_chunk(void *arg, unsigned segment, const struct recording_chunk *chunk,
            const unsigned char hash[RECORDING_HASH_BYTES])
{
    struct check *c = arg;
    struct anchor *a = find(c, segment, chunk->index);

    if (a == NULL) {
        c->result->not_anchored++;
        return OK;
    }
    if (memcmp(a->hash, hash, RECORDING_HASH_BYTES) != 0)
        return fail(ERR_INVALID,
                    "chunk %llu of segment %u is not what the ledger says: it was "
                    "changed",
                    (unsigned long long)chunk->index, segment);
    a->found = true;
    c->result->anchored++;
    return OK;
}

/* What the ledger saw written must be there. */
static enum err
check_missing(const struct check *c, unsigned first, unsigned segments)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct anchor *a = &c->anchors[i];

        if (!a->found && a->segment >= first && (c->whole || a->segment < first + segments))
            return fail(ERR_INVALID,
                        "chunk %llu of segment %u is in the ledger, but missing here: "
                        "the recording was cut",
                        (unsigned long long)a->chunk, a->segment);
    }
    return OK;
}

enum err
anchors_check(const char *directory, struct recording_set *set, struct anchors_result *out)
{
    struct verify_result *verified = calloc(1, sizeof(*verified));
    struct check c = {.result = out};
    struct recording_summary sum;
    unsigned first = recording_set_header(set)->segment;
    enum err e;

    *out = (struct anchors_result){0};
    (void)snprintf(c.session, sizeof(c.session), "%016llx",
                   (unsigned long long)recording_set_header(set)->session);
    if (verified == NULL)
        return fail(ERR_NOMEM, "no memory to verify the ledger");
    c.whole = recording_set_is_whole(set);
    if ((e = verify_ledger(directory, verified)) == OK && (e = read_anchors(&c, directory)) == OK &&
        (e = recording_set_summarise(set, &sum)) == OK &&
        (e = recording_set_hashes(set, check_chunk, &c)) == OK)
        e = check_missing(&c, first, sum.segments);
    free(c.anchors);
    free(verified);
    return e;
}
