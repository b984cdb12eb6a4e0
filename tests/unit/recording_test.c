/* The file of a recording: what is written is read back, and nothing else is. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#include "recording/event.h"
#include "recording/export.h"
#include "recording/film.h"
#include "recording/script.h"
#include "recording/set.h"
#include "recording/writer.h"

#undef fail
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct recording_key *public_key, *private_key, *other_key;
static struct recording_sealer *sealer;

static int
make_keys(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct buf secret = buf_make(RECORDING_PEM_MAX), open = buf_make(RECORDING_PEM_MAX);

        assert_int_equal(recording_key_make(&secret, &open), OK);
        assert_int_equal(
            recording_key_private(buf_str(&secret), i == 0 ? &private_key : &other_key), OK);
        if (i == 0)
            assert_int_equal(recording_key_public(buf_str(&open), &public_key), OK);
        buf_free_secret(&secret);
        buf_free(&open);
    }
    return recording_sealer_new(&sealer) == OK ? 0 : 1;
}

static int
free_keys(void **state)
{
    (void)state;
    recording_key_free(public_key);
    recording_key_free(private_key);
    recording_key_free(other_key);
    recording_sealer_free(sealer);
    return 0;
}

static const struct recording_header header = {
    .session = 0x0123456789abcdef,
    .resource = STR_INIT("shop"),
    .protocol = STR_INIT("postgres"),
    .started_us = 1700000000123456,
};

static void
add(struct recording_writer *w, uint64_t at_us, uint64_t number, const char *kind,
    const char *members)
{
    struct buf line = buf_make(RECORDING_EVENT_MAX);
    struct json j = json_to(&line);

    recording_event_begin(&j, at_us, number, kind);
    buf_put_text(&line, members);
    json_close(&j, '}');
    assert_int_equal(recording_writer_add(w, at_us, strcmp(kind, "rows") == 0, buf_str(&line)), OK);
    buf_free(&line);
}

static void
end_chunk(struct recording_writer *w, bool last, struct recording_anchor *anchor)
{
    assert_int_equal(recording_writer_end_chunk(w, last, anchor), OK);
    assert_true(anchor->bytes > 0);
}

/* Three chunks: at 0, 2 and 4 seconds. */
static int
write_sample(const struct recording_header *h, struct recording_anchor anchors[3])
{
    int fd = memfd_create("recording", 0);
    struct recording_writer *w;

    assert_true(fd >= 0);
    assert_int_equal(recording_writer_open(fd, sealer, public_key, h, &w), OK);
    add(w, 0, 1, "opened", ",\"subject\":\"anna\",\"resource\":\"shop\",\"database\":\"shop\"");
    add(w, 500000, 2, "statement",
        ",\"command\":1,\"text\":\"select 1\",\"binds\":[],\"verdict\":\"allow\"");
    end_chunk(w, false, &anchors[0]);
    recording_writer_retain(w, 86400);
    add(w, 2000000, 3, "rows", ",\"command\":1,\"rows\":[[\"1\"]]");
    end_chunk(w, false, &anchors[1]);
    add(w, 4000000, 4, "outcome", ",\"command\":1,\"rows\":1,\"bytes\":2,\"duration_ms\":1.5");
    add(w, 4500000, 5, "closed", ",\"reason\":\"ended\"");
    end_chunk(w, true, &anchors[2]);
    assert_true(anchors[2].last);
    recording_writer_close(w);
    return fd;
}

static struct buf
read_all(int fd)
{
    struct buf b = buf_make(64 << 20);
    off_t size = lseek(fd, 0, SEEK_END);

    assert_int_equal(buf_reserve(&b, (size_t)size + 1), OK);
    assert_int_equal(pread(fd, b.ptr, (size_t)size, 0), size);
    b.len = (size_t)size;
    return b;
}

/* Reads all; `*n` events were good. */
static enum err
read_back(struct str bytes, const struct recording_key *key, size_t *n, enum recording_end *end)
{
    struct recording_source source = recording_source_memory(&bytes);
    struct recording_reader *r;
    struct str line;
    enum err e = recording_reader_open(&source, key, &r);

    *n = 0;
    *end = RECORDING_MORE;
    if (e != OK)
        return e;
    while ((e = recording_reader_next(r, &line)) == OK) {
        struct recording_event_head head;

        assert_int_equal(recording_event_head(line, &head), OK);
        assert_int_equal(head.number, ++*n);
    }
    *end = recording_reader_end(r);
    recording_reader_close(r);
    return e;
}

static void
test_what_was_written_is_read_back(void **state)
{
    struct recording_anchor anchors[3];
    int fd = write_sample(&header, anchors);
    struct buf bytes = read_all(fd);
    struct str view = buf_str(&bytes), line;
    struct recording_source source = recording_source_memory(&view);
    struct recording_reader *r;
    const struct recording_header *h;

    (void)state;
    assert_int_equal(recording_reader_open(&source, private_key, &r), OK);
    h = recording_reader_header(r);
    assert_int_equal(h->session, header.session);
    assert_int_equal(h->started_us, header.started_us);
    assert_true(str_is(h->resource, "shop"));
    assert_int_equal(recording_reader_next(r, &line), OK);
    assert_true(str_is(line, "{\"t\":0.000000,\"n\":1,\"kind\":\"opened\",\"subject\":\"anna\","
                             "\"resource\":\"shop\",\"database\":\"shop\"}"));
    for (int i = 0; i < 4; i++)
        assert_int_equal(recording_reader_next(r, &line), OK);
    assert_int_equal(recording_reader_next(r, &line), ERR_CLOSED);
    assert_int_equal(recording_reader_end(r), RECORDING_COMPLETE);
    recording_reader_close(r);
    buf_free(&bytes);
    close(fd);
}

static void
test_nothing_recorded_is_in_the_file_in_clear(void **state)
{
    struct recording_anchor anchors[3];
    int fd = write_sample(&header, anchors);
    struct buf bytes = read_all(fd);

    (void)state;
    assert_null(memmem(bytes.ptr, bytes.len, "select", 6));
    assert_null(memmem(bytes.ptr, bytes.len, "anna", 4));
    buf_free(&bytes);
    close(fd);
}

static void
test_cut_anywhere_the_prefix_is_read_and_the_cut_is_said(void **state)
{
    struct recording_anchor anchors[3];
    int fd = write_sample(&header, anchors);
    struct buf bytes = read_all(fd);
    size_t first, n;
    enum recording_end end;

    (void)state;
    assert_int_equal(read_back(buf_str(&bytes), private_key, &n, &end), ERR_CLOSED);
    assert_int_equal(n, 5);
    for (first = 0; first < bytes.len; first++)
        if (read_back((struct str){bytes.ptr, first}, private_key, &n, &end) != ERR_TRUNCATED)
            break; /* the header is whole */
    for (size_t cut = first; cut < bytes.len; cut++) {
        size_t expected = cut < anchors[0].bytes ? 0 : cut < anchors[1].bytes ? 2 : 3;

        /* of an exact size, so that a sanitizer sees any byte beyond it */
        char *copy = malloc(cut);

        memcpy(copy, bytes.ptr, cut);
        assert_int_equal(read_back((struct str){copy, cut}, private_key, &n, &end), ERR_CLOSED);
        assert_int_equal(n, expected);
        assert_int_equal(end, RECORDING_CUT_OFF);
        free(copy);
    }
    buf_free(&bytes);
    close(fd);
}

static void
test_any_changed_byte_is_found(void **state)
{
    struct recording_anchor anchors[3];
    int fd = write_sample(&header, anchors);
    struct buf bytes = read_all(fd);
    enum recording_end end;
    size_t n;

    (void)state;
    for (size_t i = 0; i < bytes.len; i++) {
        enum err e;

        bytes.ptr[i] = (char)(bytes.ptr[i] ^ (1 << i % 8));
        e = read_back(buf_str(&bytes), private_key, &n, &end);
        /* Never read to its end as if nothing had been: an error, or (a length) a cut. */
        assert_false(e == OK || end == RECORDING_COMPLETE);
        assert_true(n <= (i < anchors[0].bytes ? 0 : i < anchors[1].bytes ? 2 : 3));
        bytes.ptr[i] = (char)(bytes.ptr[i] ^ (1 << i % 8));
    }
    assert_int_equal(read_back(buf_str(&bytes), private_key, &n, &end), ERR_CLOSED);
    assert_int_equal(end, RECORDING_COMPLETE);
    buf_free(&bytes);
    close(fd);
}

static void
put_range(struct buf *out, const struct buf *from, uint64_t start, uint64_t end)
{
    buf_put(out, from->ptr + start, (size_t)(end - start));
}

static void
test_chunks_reordered_doubled_left_out_or_of_another_file_are_found(void **state)
{
    struct recording_anchor a[3], b[3];
    int fd = write_sample(&header, a), other_fd = write_sample(&header, b);
    struct buf bytes = read_all(fd), other = read_all(other_fd), made = buf_make(1 << 20);
    struct recording_source source;
    struct recording_chunk chunk;
    unsigned char hash[RECORDING_HASH_BYTES];
    struct recording_reader *r;
    enum recording_end end;
    struct str view;
    uint64_t start;
    size_t n;

    (void)state;
    view = buf_str(&bytes);
    source = recording_source_memory(&view);
    assert_int_equal(recording_reader_open(&source, NULL, &r), OK);
    start = recording_reader_offset(r);
    assert_int_equal(recording_reader_next_chunk(r, &chunk, hash), OK);
    assert_memory_equal(hash, a[0].hash, sizeof(hash));
    assert_int_equal(recording_reader_offset(r), a[0].bytes);
    recording_reader_close(r);

    put_range(&made, &bytes, 0, start); /* the second and the first changed places */
    put_range(&made, &bytes, a[0].bytes, a[1].bytes);
    put_range(&made, &bytes, start, a[0].bytes);
    put_range(&made, &bytes, a[1].bytes, a[2].bytes);
    assert_int_equal(read_back(buf_str(&made), private_key, &n, &end), ERR_INVALID);
    assert_int_equal(n, 0);

    buf_reset(&made); /* the first one twice */
    put_range(&made, &bytes, 0, a[0].bytes);
    put_range(&made, &bytes, start, a[0].bytes);
    assert_int_equal(read_back(buf_str(&made), private_key, &n, &end), ERR_INVALID);
    assert_int_equal(n, 2);

    buf_reset(&made); /* without the second */
    put_range(&made, &bytes, 0, a[0].bytes);
    put_range(&made, &bytes, a[1].bytes, a[2].bytes);
    assert_int_equal(read_back(buf_str(&made), private_key, &n, &end), ERR_INVALID);

    buf_reset(&made); /* the second of another recording, which says the same */
    put_range(&made, &bytes, 0, a[0].bytes);
    put_range(&made, &other, b[0].bytes, b[1].bytes);
    assert_int_equal(read_back(buf_str(&made), private_key, &n, &end), ERR_DENIED);
    assert_int_equal(n, 2);

    buf_reset(&made); /* something behind the end */
    put_range(&made, &bytes, 0, a[2].bytes);
    buf_put_u8(&made, 0);
    assert_int_equal(read_back(buf_str(&made), private_key, &n, &end), ERR_INVALID);
    assert_int_equal(n, 5);

    buf_free(&bytes);
    buf_free(&other);
    buf_free(&made);
    close(fd);
    close(other_fd);
}

static void
test_another_key_reads_nothing(void **state)
{
    struct recording_anchor anchors[3];
    int fd = write_sample(&header, anchors);
    struct buf bytes = read_all(fd);
    enum recording_end end;
    size_t n;

    (void)state;
    assert_int_equal(read_back(buf_str(&bytes), other_key, &n, &end), ERR_DENIED);
    assert_non_null(strstr(err_text(), "key"));
    assert_int_equal(read_back(buf_str(&bytes), public_key, &n, &end), ERR_DENIED);
    buf_free(&bytes);
    close(fd);
}

/* A writer who has the public key alone can seal anything; what it claims must not cost memory. */
static void
test_a_chunk_that_unpacks_to_more_than_it_says_is_refused(void **state)
{
    unsigned char key[32] = {1}, hash[32] = {2};
    struct recording_chunk chunk = {.index = 0};
    struct buf plain = buf_make(32 << 20), out = buf_make(32 << 20), opened = buf_make(32 << 20);
    struct str sealed;

    (void)state;
    for (int i = 0; i < 1 << 20; i++)
        buf_put(&plain, "aaaaaaaaaaaaaaaa", 16);
    assert_int_equal(recording_seal(sealer, key, hash, &chunk, buf_str(&plain), &out), OK);
    sealed = str_skip(buf_str(&out), RECORDING_CHUNK_HEAD_BYTES);
    assert_int_equal(recording_open_chunk(sealer, key, hash, &chunk, sealed, &opened), OK);
    assert_int_equal(opened.len, plain.len);
    buf_free(&opened);
    chunk.plain_bytes = 100;
    assert_int_not_equal(recording_open_chunk(sealer, key, hash, &chunk, sealed, &opened), OK);
    assert_true(opened.capacity < 4096);
    buf_free(&plain);
    buf_free(&out);
    buf_free(&opened);
}

static void
test_seek_goes_to_the_chunk_that_holds_the_time(void **state)
{
    static const struct {
        uint64_t at_us, number;
    } cases[] = {{0, 1}, {1999999, 1}, {2000000, 3}, {3999999, 3}, {4000000, 4}, {99000000, 4}};
    struct recording_anchor anchors[3];
    int fd = write_sample(&header, anchors);
    struct recording_set *set;
    struct recording_summary sum;

    (void)state;
    assert_int_equal(recording_set_open_files(&fd, 1, private_key, &set), OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct recording_event_head head;
        struct str line;

        assert_int_equal(recording_set_seek(set, cases[i].at_us), OK);
        assert_int_equal(recording_set_next(set, &line), OK);
        assert_int_equal(recording_event_head(line, &head), OK);
        assert_int_equal(head.number, cases[i].number);
    }
    assert_int_equal(recording_set_summarise(set, &sum), OK);
    assert_int_equal(sum.chunks, 3);
    assert_int_equal(sum.bytes, anchors[2].bytes);
    assert_int_equal(sum.retention_seconds, 86400);
    assert_true(sum.rows && sum.ended);
    recording_set_close(set);
}

static void
test_segments_are_one_stream_and_only_of_one_session(void **state)
{
    struct recording_header second = header, stranger = header;
    struct recording_anchor anchors[3];
    struct recording_set *set;
    struct str line;
    int fds[2];
    size_t n = 0;
    enum err e;

    (void)state;
    second.segment = 1;
    stranger.segment = 1;
    stranger.session = 5;
    fds[0] = write_sample(&header, anchors);
    fds[1] = write_sample(&second, anchors);
    assert_int_equal(recording_set_open_files(fds, 2, private_key, &set), OK);
    while ((e = recording_set_next(set, &line)) == OK)
        n++;
    assert_int_equal(e, ERR_CLOSED);
    assert_int_equal(n, 10);
    assert_int_equal(recording_set_end(set), RECORDING_COMPLETE);
    recording_set_close(set);

    fds[0] = write_sample(&header, anchors);
    fds[1] = write_sample(&stranger, anchors);
    assert_int_equal(recording_set_open_files(fds, 2, private_key, &set), OK);
    for (n = 0; (e = recording_set_next(set, &line)) == OK; n++)
        ;
    assert_int_equal(e, ERR_INVALID);
    assert_int_equal(n, 5);
    recording_set_close(set);
}

/* A full disk: what was sealed is kept as it is, nothing is lost, nothing is there twice. */
static void
test_a_full_disk_loses_nothing(void **state)
{
    char path[] = "/tmp/recording-test-XXXXXX";
    int fd = mkstemp(path);
    struct rlimit before, small;
    struct recording_writer *w;
    struct recording_anchor anchor;
    enum recording_end end;
    struct buf bytes;
    size_t n;

    (void)state;
    unlink(path);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(recording_writer_open(fd, sealer, public_key, &header, &w), OK);
    add(w, 1, 1, "note", ",\"event\":\"one\",\"text\":\"\"");
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){(rlim_t)recording_writer_bytes(w) + 10, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(recording_writer_end_chunk(w, false, &anchor), ERR_UNAVAILABLE);
    assert_true(recording_writer_is_full(w, 1));
    add(w, 2, 2, "note", ",\"event\":\"two\",\"text\":\"\"");
    assert_int_equal(recording_writer_end_chunk(w, true, &anchor), ERR_UNAVAILABLE);
    setrlimit(RLIMIT_FSIZE, &before);
    end_chunk(w, true, &anchor);
    assert_false(anchor.last); /* that was the first one */
    assert_int_equal(anchor.chunk, 0);
    end_chunk(w, true, &anchor);
    assert_true(anchor.last);
    recording_writer_close(w);
    bytes = read_all(fd);
    assert_int_equal(read_back(buf_str(&bytes), private_key, &n, &end), ERR_CLOSED);
    assert_int_equal(n, 2);
    assert_int_equal(end, RECORDING_COMPLETE);
    buf_free(&bytes);
    close(fd);
}

static void
test_keys_that_are_too_weak_or_none_are_refused(void **state)
{
    static const char small[] = "-----BEGIN PUBLIC KEY-----\n"
                                "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf\n"
                                "9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n"
                                "-----END PUBLIC KEY-----\n";
    struct recording_key *k;

    (void)state;
    assert_int_equal(recording_key_public(STR("nothing"), &k), ERR_INVALID);
    assert_int_equal(recording_key_public(str_from(small), &k), ERR_INVALID);
    assert_non_null(strstr(err_text(), "3072"));
    assert_int_equal(recording_key_private(str_from(small), &k), ERR_INVALID);
}

static void
test_names_are_read_back_and_nothing_else_is_one(void **state)
{
    static const char *const wrong[] = {
        "",
        "0123456789abcdef-000.bhrec2",
        "0123456789ABCDEF-000.bhrec",
        "0123456789abcdef-00.bhrec",
        "0123456789abcdef_000.bhrec",
        "../0123456789abcdef-000.bhrec",
        "0123456789abcdef",
    };
    char name[RECORDING_NAME_BYTES];
    uint64_t session;
    unsigned segment;

    (void)state;
    recording_name(0x0123456789abcdef, 7, name);
    assert_string_equal(name, "0123456789abcdef-007.bhrec");
    assert_true(recording_parse_name(name, &session, &segment));
    assert_int_equal(session, 0x0123456789abcdef);
    assert_int_equal(segment, 7);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(recording_parse_name(wrong[i], &session, &segment));
}

/* --- film and exports
 * ----------------------------------------------------------------------------- */

static enum err
collect(void *arg, struct str bytes)
{
    buf_put_str(arg, bytes);
    return OK;
}

static enum err
collect_frame(void *arg, const struct film_frame *frame)
{
    buf_put_str(arg, frame->text);
    return OK;
}

static void
test_what_was_recorded_cannot_move_the_watchers_cursor(void **state)
{
    static const char line[] =
        "{\"t\":1.000000,\"n\":1,\"kind\":\"statement\",\"command\":1,\"database\":\"shop\","
        "\"text\":\"select \\u001b[2J \\u009b31m \\u202e x\\r\\u0000\",\"binds\":[],"
        "\"verdict\":\"allow\"}";
    struct buf out = buf_make(1 << 16);
    struct film *f;

    (void)state;
    assert_int_equal(film_new(false, &f), OK);
    assert_int_equal(film_event(f, str_from(line), collect_frame, &out), OK);
    assert_true(str_is(buf_str(&out), "shop=> select \\x1b[2J \\x9b31m \\u202e x\\x0d\\x00\n"));
    film_free(f);
    buf_free(&out);
}

static void
test_backslashes_that_a_script_reader_would_obey_are_unsafe(void **state)
{
    static const char *const safe[] = {
        "select 1",
        "select '\\! ls'",
        "select $$\\! ls$$, $x$ \\q $x$",
        "select E'a\\\\b'",
        "-- \\! ls\nselect 1",
        "select \"a\\b\"",
        "select /* \\q /* nested */ \\q */ 1",
        "select 'it''s \\ fine'",
        "select a[1:2], b::text",
    };
    static const char *const unsafe[] = {
        "select 1 \\! ls",
        "\\! ls",
        "select 'a\\', '\\! ls",
        "select 'open",
        "select $$ open",
        "select \"open",
        "/* open",
        "select E'a\\'' \\! ls",
        "select 'a\\'' \\! ls --'",
        "select $1$\\!$1$",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        if (script_is_unsafe(str_from(safe[i])))
            fail_msg("unsafe: %s", safe[i]);
    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        if (!script_is_unsafe(str_from(unsafe[i])))
            fail_msg("safe: %s", unsafe[i]);
}

static void
test_a_script_holds_what_ran_and_says_what_it_leaves_out(void **state)
{
    static const char *const lines[] = {
        "{\"t\":0.000000,\"n\":1,\"kind\":\"statement\",\"command\":1,\"text\":\"insert into t "
        "values ($1, $2, $3)\",\"binds\":[{\"type\":25,\"text\":\"it's\"},{\"type\":23,\"base64\":"
        "\"AAAAKg==\"},{\"type\":25,\"null\":true}],\"verdict\":\"allow\"}",
        "{\"t\":0.000000,\"n\":2,\"kind\":\"outcome\",\"command\":1,\"rows\":1,\"error\":null}",
        "{\"t\":0.000000,\"n\":3,\"kind\":\"statement\",\"command\":2,\"text\":\"drop table "
        "t\",\"binds\":[],\"verdict\":\"deny\"}",
        "{\"t\":0.000000,\"n\":4,\"kind\":\"statement\",\"command\":3,\"text\":\"select "
        "bad\",\"binds\":[],\"verdict\":\"allow\"}",
        "{\"t\":0.000000,\"n\":5,\"kind\":\"outcome\",\"command\":3,\"rows\":0,\"error\":"
        "\"42703\"}",
        "{\"t\":0.000000,\"n\":6,\"kind\":\"statement\",\"command\":4,\"text\":\"select 1 -- "
        "end\",\"binds\":[],\"verdict\":\"allow\"}",
        "{\"t\":0.000000,\"n\":7,\"kind\":\"outcome\",\"command\":4,\"rows\":1,\"error\":null}",
        "{\"t\":0.000000,\"n\":8,\"kind\":\"statement\",\"command\":5,\"text\":\"select "
        "$1\",\"binds\":[{\"type\":25,\"text\":\"x\",\"full_length\":9}],\"verdict\":\"allow\"}",
        "{\"t\":0.000000,\"n\":9,\"kind\":\"outcome\",\"command\":5,\"rows\":1,\"error\":null}",
        "{\"t\":0.000000,\"n\":10,\"kind\":\"statement\",\"command\":6,\"text\":\"select "
        "2\",\"binds\":[],\"verdict\":\"step_up\"}",
        "{\"t\":0.000000,\"n\":11,\"kind\":\"decision\",\"command\":6,\"decision\":\"denied\"}",
    };
    struct buf out = buf_make(1 << 16);
    struct script *s;

    (void)state;
    assert_int_equal(script_new(collect, &out, &s), OK);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(script_event(s, str_from(lines[i])), OK);
    assert_int_equal(script_end(s), OK);
    script_free(s);
    buf_put_u8(&out, 0);
    assert_string_equal(
        out.ptr,
        "PREPARE bulkhead_1(text, integer, text) AS\ninsert into t values ($1, $2, $3)\n;\n"
        "EXECUTE bulkhead_1('it''s', '42', NULL);\nDEALLOCATE bulkhead_1;\n\n"
        "select 1 -- end\n;\n\n"
        "-- not to be run again: a parameter was not recorded whole, or only in binary form\n"
        "-- select $1\n\n");
    buf_free(&out);
}

static void
test_every_export_of_a_recording_is_well_formed(void **state)
{
    struct recording_anchor anchors[3];
    struct buf out = buf_make(1 << 20);
    struct recording_set *set;
    json_t *document;
    struct str line, rest;
    size_t lines = 0;
    int fd = write_sample(&header, anchors);

    (void)state;
    assert_int_equal(recording_set_open_files(&fd, 1, private_key, &set), OK);
    assert_int_equal(recording_export(set, RECORDING_JSON, collect, &out), OK);
    document = json_loadb(out.ptr, out.len, 0, NULL);
    assert_non_null(document);
    assert_int_equal(json_array_size(json_object_get(document, "events")), 5);
    assert_true(json_is_true(json_object_get(document, "complete")));
    json_decref(document);

    buf_reset(&out);
    assert_int_equal(recording_set_seek(set, 0), OK);
    assert_int_equal(recording_export(set, RECORDING_ASCIICAST, collect, &out), OK);
    for (rest = buf_str(&out); rest.len > 0; lines++) {
        json_t *value;

        rest = str_cut(rest, '\n', &line);
        value = json_loadb(line.ptr, line.len, 0, NULL);
        assert_non_null(value);
        assert_true(lines == 0 ? json_integer_value(json_object_get(value, "version")) == 3
                               : json_array_size(value) == 3);
        json_decref(value);
    }
    assert_true(lines > 5);

    buf_reset(&out);
    assert_int_equal(recording_set_seek(set, 0), OK);
    assert_int_equal(recording_export(set, RECORDING_SQL, collect, &out), OK);
    assert_non_null(memmem(out.ptr, out.len, "\nselect 1\n;\n", 12));
    buf_free(&out);
    recording_set_close(set);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read_back),
        cmocka_unit_test(test_nothing_recorded_is_in_the_file_in_clear),
        cmocka_unit_test(test_cut_anywhere_the_prefix_is_read_and_the_cut_is_said),
        cmocka_unit_test(test_any_changed_byte_is_found),
        cmocka_unit_test(test_chunks_reordered_doubled_left_out_or_of_another_file_are_found),
        cmocka_unit_test(test_another_key_reads_nothing),
        cmocka_unit_test(test_a_chunk_that_unpacks_to_more_than_it_says_is_refused),
        cmocka_unit_test(test_seek_goes_to_the_chunk_that_holds_the_time),
        cmocka_unit_test(test_segments_are_one_stream_and_only_of_one_session),
        cmocka_unit_test(test_a_full_disk_loses_nothing),
        cmocka_unit_test(test_keys_that_are_too_weak_or_none_are_refused),
        cmocka_unit_test(test_names_are_read_back_and_nothing_else_is_one),
        cmocka_unit_test(test_what_was_recorded_cannot_move_the_watchers_cursor),
        cmocka_unit_test(test_backslashes_that_a_script_reader_would_obey_are_unsafe),
        cmocka_unit_test(test_a_script_holds_what_ran_and_says_what_it_leaves_out),
        cmocka_unit_test(test_every_export_of_a_recording_is_well_formed),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
