#include "ledger/scribe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ledger/render.h"
#include "recording/event.h"
#include "recording/reader.h"
#include "recording/types.h"

enum {
    RETRY_MS = 200,
    LINE_KEPT = 1 << 20,
    ROWS_EVENT_BYTES = 12 << 10, /* an event of rows is ended at this size */
    NUMBERS_SHIFT = 40,          /* a later segment's numbers begin far behind the one before */
    PROTOCOL_BYTES = 32,
};

struct tape {
    uint64_t session;
    int fd; /* -1: no file yet */
    struct recording_writer *writer;
    char *resource, *opening; /* of what is to be written first; NULL: it was */
    char protocol[PROTOCOL_BYTES];
    bool resumed, watched, closing, ended;
    unsigned segment;
    int64_t started_us;
    uint64_t last_us, number;
    uint64_t frame; /* the last that was added */
    bool anchor_due;
    struct recording_anchor anchor;
    int64_t due_ms;            /* the chunk's end; -1: it is empty */
    struct tape *next, **link; /* in the list of those that are due, by time */
};

struct scribe {
    int directory_fd;
    struct recording_key *key;
    struct recording_sealer *sealer;
    struct scribe_options options;
    struct buf line;
    struct tape *due, **due_end;
    int64_t retry_ms; /* -1: nothing failed */
};

/* --- opening
 * -------------------------------------------------------------------------------------- */

static enum err
open_directory(struct scribe *s, const char *directory)
{
    if (mkdir(directory, 0750) != 0 && errno != EEXIST)
        return fail_errno(ERR_IO, "cannot make the directory of recordings %s", directory);
    s->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->directory_fd < 0)
        return fail_errno(ERR_IO, "cannot open the directory of recordings %s", directory);
    return OK;
}

enum err
scribe_open(const struct scribe_options *options, struct scribe **out)
{
    struct scribe *s = calloc(1, sizeof(*s));
    enum err e;

    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for recordings");
    s->directory_fd = -1;
    s->options = *options;
    s->line = buf_make(RECORDING_EVENT_MAX);
    s->due_end = &s->due;
    s->retry_ms = -1;
    if ((e = recording_key_public(options->public_key, &s->key)) != OK ||
        (e = recording_sealer_new(&s->sealer)) != OK ||
        (e = open_directory(s, options->directory)) != OK) {
        scribe_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void
scribe_close(struct scribe *s)
{
    if (s == NULL)
        return;
    recording_key_free(s->key);
    recording_sealer_free(s->sealer);
    buf_free_secret(&s->line);
    if (s->directory_fd >= 0)
        close(s->directory_fd);
    free(s);
}

enum err
scribe_set_key(struct scribe *s, struct str pem)
{
    struct recording_key *key;
    enum err e;

    if ((e = recording_key_public(pem, &key)) != OK)
        return e;
    recording_key_free(s->key);
    s->key = key;
    return OK;
}

int
scribe_directory(const struct scribe *s)
{
    return s->directory_fd;
}

bool
scribe_is_stuck(const struct scribe *s)
{
    return s->retry_ms >= 0;
}

/* --- the list of the due
 * ---------------------------------------------------------------------------- */

/* All have the same time to live, so the newest is the last. */
static void
put_due(struct scribe *s, struct tape *t)
{
    if (t->link != NULL)
        return;
    t->due_ms = clock_monotonic_ms() + RECORDING_CHUNK_MS;
    t->next = NULL;
    t->link = s->due_end;
    *s->due_end = t;
    s->due_end = &t->next;
}

static void
take_due(struct scribe *s, struct tape *t)
{
    if (t->link == NULL)
        return;
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    else
        s->due_end = t->link;
    t->link = NULL;
}

/* --- chunks
 * ------------------------------------------------------------------------------------------ */

/* Remembers what cannot be written now. */
static enum err
result(struct scribe *s, enum err e)
{
    if (e == ERR_UNAVAILABLE) {
        if (s->retry_ms < 0)
            log_error("recording_stuck", "error=%s", err_text());
        s->retry_ms = clock_monotonic_ms() + RETRY_MS;
    }
    return e;
}

static enum err
put_anchor(struct scribe *s, struct tape *t)
{
    enum err e;

    if (!t->anchor_due)
        return OK;
    e = s->options.anchor(s->options.arg, t->session, t->segment, &t->anchor);
    if (e == OK)
        t->anchor_due = false;
    return e;
}

/* Writes one chunk and its anchor. `last` only once all earlier ones are written. */
static enum err
end_chunk(struct scribe *s, struct tape *t, bool last)
{
    struct recording_anchor anchor;
    enum err e;

    if ((e = put_anchor(s, t)) != OK ||
        (e = recording_writer_end_chunk(t->writer, last, &anchor)) != OK)
        return result(s, e);
    if (anchor.bytes > 0) {
        t->anchor = anchor;
        t->anchor_due = true;
        t->ended = anchor.last;
    }
    if (recording_writer_open_lines(t->writer).len == 0)
        take_due(s, t);
    return result(s, put_anchor(s, t));
}

/* --- files
 * -------------------------------------------------------------------------------------------- */

/* When the session began, as the first segment says. */
static void
take_start(struct scribe *s, struct tape *t)
{
    char name[RECORDING_NAME_BYTES];
    struct recording_source source;
    struct recording_reader *r;
    int fd;

    recording_name(t->session, 0, name);
    if ((fd = openat(s->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
        return;
    source = recording_source_file(&fd);
    if (recording_reader_open(&source, NULL, &r) == OK) {
        const struct recording_header *first = recording_reader_header(r);

        t->started_us = first->started_us;
        (void)snprintf(t->protocol, sizeof(t->protocol), "%.*s", STR_ARG(first->protocol));
        recording_reader_close(r);
    }
    close(fd);
}

/* A new file: the first name that is free. A header that could not be written whole leaves none. */
static enum err
make_file(struct scribe *s, struct tape *t)
{
    char name[RECORDING_NAME_BYTES];
    struct recording_header header;
    enum err e;

    while (t->fd < 0) {
        recording_name(t->session, t->segment, name);
        t->fd = openat(s->directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        if (t->fd < 0 && errno == EEXIST && t->segment + 1 < RECORDING_SEGMENTS_MAX)
            t->segment++;
        else if (t->fd < 0)
            return fail_errno(errno == ENOSPC || errno == EDQUOT || errno == EMFILE ||
                                      errno == ENFILE
                                  ? ERR_UNAVAILABLE
                                  : ERR_IO,
                              "cannot make the recording %s", name);
    }
    if (t->segment > 0)
        take_start(s, t);
    if (t->started_us == 0)
        t->started_us = clock_wall_us();
    header = (struct recording_header){
        .session = t->session,
        .segment = t->segment,
        .resource = str_from(t->resource),
        .protocol = str_from(t->protocol),
        .started_us = t->started_us,
    };
    if ((e = recording_writer_open(t->fd, s->sealer, s->key, &header, &t->writer)) == OK) {
        t->number = (uint64_t)t->segment << NUMBERS_SHIFT;
        return OK;
    }
    (void)unlinkat(s->directory_fd, name, 0);
    close(t->fd);
    t->fd = -1;
    return e;
}

/* --- events
 * -------------------------------------------------------------------------------------------- */

static struct json
begin_event(struct scribe *s, struct tape *t, int64_t wall_us, const char *kind)
{
    struct json j = json_to(&s->line);
    int64_t at = wall_us - t->started_us;

    buf_reset(&s->line);
    if (at > 0 && (uint64_t)at > t->last_us) /* a clock that went back does not take it along */
        t->last_us = (uint64_t)at;
    recording_event_begin(&j, t->last_us, t->number + 1, kind);
    return j;
}

/* Adds the event in s->line. */
static enum err
add(struct scribe *s, struct tape *t, bool rows)
{
    enum err e;

    if ((e = buf_ok(&s->line)) != OK)
        return e;
    while (recording_writer_is_full(t->writer, s->line.len))
        if ((e = end_chunk(s, t, false)) != OK)
            return e;
    if ((e = recording_writer_add(t->writer, t->last_us, rows, buf_str(&s->line))) != OK)
        return e;
    t->number++;
    put_due(s, t);
    if (t->watched)
        s->options.live(s->options.arg, t->session, buf_str(&s->line));
    return OK;
}

static enum err
end_event(struct scribe *s, struct tape *t, struct json *j, bool rows)
{
    enum err e;

    json_close(j, '}');
    e = add(s, t, rows);
    if (s->line.capacity > LINE_KEPT)
        buf_free_secret(&s->line);
    return e;
}

static enum err
add_opening(struct scribe *s, struct tape *t)
{
    struct json j = begin_event(s, t, t->resumed ? clock_wall_us() : t->started_us, "opened");
    enum err e;

    if (t->resumed)
        json_field_bool(&j, "resumed", true);
    json_raw(&j, str_from(t->opening));
    if ((e = end_event(s, t, &j, false)) != OK)
        return e;
    free(t->opening);
    t->opening = NULL;
    return OK;
}

/* What comes before the first event. */
static enum err
prepare(struct scribe *s, struct tape *t)
{
    enum err e;

    if (t->writer == NULL && (e = make_file(s, t)) != OK)
        return result(s, e);
    return t->opening == NULL ? OK : add_opening(s, t);
}

enum err
scribe_begin(struct scribe *s, uint64_t session, struct str resource, struct str protocol,
             int64_t started_us, bool resumed, struct str members, struct tape **out)
{
    struct tape *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return fail(ERR_NOMEM, "no memory for a recording");
    t->fd = -1;
    t->session = session;
    t->started_us = started_us;
    t->resumed = resumed;
    t->resource = strndup(resource.ptr, resource.len);
    t->opening = strndup(members.ptr, members.len);
    (void)snprintf(t->protocol, sizeof(t->protocol), "%.*s", STR_ARG(protocol));
    if (t->resource == NULL || t->opening == NULL) {
        scribe_free(s, t);
        return fail(ERR_NOMEM, "no memory for a recording");
    }
    *out = t;
    if (!resumed)                  /* else not before there is something to add */
        err_ignore(prepare(s, t)); /* is tried again with the first frame */
    return OK;
}

static void
put_classes(struct json *j, const struct record *r)
{
    struct record copy = *r;
    struct record_demand demand;
    class_set all = 0;

    for (size_t i = 0; i < copy.intent.n_demands; i++) {
        record_next_demand(&copy, &demand);
        all |= demand.classes;
    }
    json_key(j, "classes");
    json_open(j, '[');
    for (; all != 0; all &= all - 1)
        json_str(j, str_from(class_infos[__builtin_ctzll(all)].name));
    json_close(j, ']');
}

static enum err
add_statement(struct scribe *s, struct tape *t, const struct record *r)
{
    struct json j = begin_event(s, t, r->wall_us, "statement");
    struct record copy = *r;
    struct record_bind bind;

    render_count(&j, "command", r->intent.command);
    render_text(&j, "text", "text_base64", r->intent.text);
    render_optional(&j, "database", r->intent.database);
    json_field_text(&j, "verdict", verdict_kind_name(r->intent.verdict));
    render_optional(&j, "rule", r->intent.rule);
    render_optional(&j, "message", r->intent.message);
    if (r->intent.purpose.len > 0)
        json_field_str(&j, "purpose", r->intent.purpose);
    if (r->intent.masked.len > 0)
        json_field_str(&j, "masked", r->intent.masked);
    put_classes(&j, r);
    json_key(&j, "binds");
    json_open(&j, '[');
    for (size_t i = 0; i < copy.intent.n_binds; i++) {
        record_next_bind(&copy, &bind);
        render_bind(&j, &bind);
    }
    json_close(&j, ']');
    return end_event(s, t, &j, false);
}

static void
put_ms(struct json *j, const char *key, uint64_t us)
{
    json_key(j, key);
    buf_printf(j->out, "%llu.%03llu", (unsigned long long)(us / 1000),
               (unsigned long long)(us % 1000));
    j->comma = true;
}

static enum err
add_decision(struct scribe *s, struct tape *t, const struct record *r)
{
    struct json j = begin_event(s, t, r->wall_us, "decision");

    render_count(&j, "command", r->decision.command);
    json_field_text(&j, "decision", record_decision_name(r->decision.decision));
    render_optional(&j, "request", r->decision.request);
    render_optional(&j, "by", r->decision.by);
    render_optional(&j, "text", r->decision.text);
    put_ms(&j, "waited_ms", r->decision.waited_us);
    return end_event(s, t, &j, false);
}

static enum err
add_outcome(struct scribe *s, struct tape *t, const struct record *r)
{
    const struct record_outcome *o = &r->outcome;
    struct json j = begin_event(s, t, r->wall_us, "outcome");

    render_count(&j, "command", o->command);
    render_count(&j, "rows", o->rows);
    render_count(&j, "bytes", o->bytes);
    put_ms(&j, "duration_ms", o->duration_us);
    render_optional(&j, "error", o->error);
    if (o->unknown)
        json_field_bool(&j, "unknown", true);
    if (o->limit.len > 0)
        json_field_str(&j, "limit", o->limit);
    if (o->masked > 0)
        render_count(&j, "masked", o->masked);
    if (o->detected > 0)
        render_count(&j, "detected", o->detected);
    return end_event(s, t, &j, false);
}

static enum err
add_note(struct scribe *s, struct tape *t, const struct record *r)
{
    struct json j = begin_event(s, t, r->wall_us, "note");

    json_field_str(&j, "event", r->note.event);
    json_field_str(&j, "text", r->note.text);
    return end_event(s, t, &j, false);
}

static enum err
add_columns(struct scribe *s, struct tape *t, const struct record *r)
{
    struct json j = begin_event(s, t, r->wall_us, "columns");
    struct record copy = *r;
    struct record_column column;

    render_count(&j, "command", r->columns.command);
    json_key(&j, "columns");
    json_open(&j, '[');
    for (size_t i = 0; i < r->columns.n; i++) {
        const char *name;

        record_next_column(&copy, &column);
        name = recording_type_name(column.type);
        json_open(&j, '{');
        json_field_str(&j, "name", column.name);
        if (name != NULL)
            json_field_text(&j, "type", name);
        json_field_uint(&j, "oid", column.type);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    return end_event(s, t, &j, false);
}

/* A string, null, or an object for what JSON cannot show or was left out. */
static void
put_cell(struct json *j, const struct record_cell *cell)
{
    bool text = !cell->binary && str_is_utf8(cell->bytes);

    if (cell->is_null) {
        json_put_null(j);
        return;
    }
    if (text && !cell->cut) {
        json_str(j, cell->bytes);
        return;
    }
    json_open(j, '{');
    if (text)
        json_field_str(j, "text", cell->bytes);
    else
        render_base64(j, "base64", cell->bytes);
    if (cell->cut && cell->full_length <= INT64_MAX) {
        json_field_uint(j, "full_length", cell->full_length);
    } else if (cell->cut) {
        json_key(j, "full_length");
        json_put_null(j);
    }
    json_close(j, '}');
}

/* One event, or several where they are many. */
static enum err
add_rows(struct scribe *s, struct tape *t, const struct record *r)
{
    struct record copy = *r;
    struct record_cell cell;
    struct json j;
    uint32_t row = 0;
    enum err e = OK;

    while (e == OK && row < r->rows.rows) {
        j = begin_event(s, t, r->wall_us, "rows");
        render_count(&j, "command", r->rows.command);
        if (r->rows.lines)
            json_field_bool(&j, "copy", true);
        json_key(&j, "rows");
        json_open(&j, '[');
        do {
            json_open(&j, '[');
            for (uint32_t i = 0; i < r->rows.columns; i++) {
                record_next_cell(&copy, &cell);
                put_cell(&j, &cell);
            }
            json_close(&j, ']');
        } while (++row < r->rows.rows && s->line.len < ROWS_EVENT_BYTES);
        json_close(&j, ']');
        e = end_event(s, t, &j, true);
    }
    return e;
}

static enum err
add_frame(struct scribe *s, struct tape *t, const struct record *r)
{
    switch (r->kind) {
    case RECORD_INTENT:
        return add_statement(s, t, r);
    case RECORD_DECISION:
        return add_decision(s, t, r);
    case RECORD_OUTCOME:
        return add_outcome(s, t, r);
    case RECORD_COLUMNS:
        return add_columns(s, t, r);
    case RECORD_ROWS:
        return add_rows(s, t, r);
    case RECORD_REFUSED:
    case RECORD_EVENT:
        return add_note(s, t, r);
    case RECORD_KEEP:
        recording_writer_retain(t->writer, r->keep_seconds);
        return OK;
    case RECORD_CLOSED: /* the ledger's own last word says more */
        return OK;
    }
    return OK;
}

/* A frame is at most 8 MiB, so its event fits; and a chunk that cannot be written is found out
 * here, before anything of the frame was added. */
static enum err
make_room(struct scribe *s, struct tape *t)
{
    enum err e = prepare(s, t);

    while (e == OK && (t->anchor_due || recording_writer_is_full(t->writer, 0)))
        e = end_chunk(s, t, false);
    return e;
}

enum err
scribe_frame(struct scribe *s, struct tape *t, uint64_t frame, const struct record *r)
{
    enum err e;

    if (frame <= t->frame)
        return OK;
    if ((e = make_room(s, t)) != OK || (e = add_frame(s, t, r)) != OK)
        return e == ERR_LIMIT ? ERR_UNAVAILABLE : e;
    t->frame = frame;
    return OK;
}

enum err
scribe_end(struct scribe *s, struct tape *t, struct str members)
{
    enum err e;

    if ((e = make_room(s, t)) != OK)
        return e;
    if (!t->closing) {
        struct json j = begin_event(s, t, clock_wall_us(), "closed");

        json_raw(&j, members);
        if ((e = end_event(s, t, &j, false)) != OK)
            return e;
        t->closing = true;
    }
    while (!t->ended || t->anchor_due)
        if ((e = end_chunk(s, t, true)) != OK)
            return e;
    return OK;
}

void
scribe_free(struct scribe *s, struct tape *t)
{
    if (t == NULL)
        return;
    if (t->writer != NULL && !t->ended && recording_writer_open_lines(t->writer).len > 0)
        err_ignore(end_chunk(s, t, false)); /* a failure was logged */
    take_due(s, t);
    recording_writer_close(t->writer);
    if (t->fd >= 0)
        close(t->fd);
    free(t->resource);
    free(t->opening);
    free(t);
}

void
scribe_watch(struct scribe *s, struct tape *t, bool on)
{
    struct str rest = t->writer == NULL ? STR("") : recording_writer_open_lines(t->writer), line;
    bool new = on && !t->watched;

    t->watched = on;
    while (new &&rest.len > 0) {
        rest = str_cut(rest, '\n', &line);
        s->options.live(s->options.arg, t->session, line);
    }
}

/* --- the loop
 * --------------------------------------------------------------------------------------------- */

int
scribe_timeout_ms(const struct scribe *s)
{
    int64_t at = s->due == NULL ? -1 : s->due->due_ms, left;

    if (s->retry_ms >= 0 && (at < 0 || s->retry_ms > at))
        at = s->retry_ms;
    if (at < 0)
        return -1;
    left = at - clock_monotonic_ms();
    return left < 0 ? 0 : left > RECORDING_CHUNK_MS ? RECORDING_CHUNK_MS : (int)left;
}

enum err
scribe_round(struct scribe *s)
{
    int64_t now = clock_monotonic_ms();
    enum err e = OK;

    if (s->retry_ms > now)
        return OK;
    s->retry_ms = -1;
    while (s->due != NULL && s->due->due_ms <= now && e == OK)
        e = end_chunk(s, s->due, false);
    return e == ERR_UNAVAILABLE ? OK : e;
}
