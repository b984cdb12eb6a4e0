#include "recording/export.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "recording/film.h"
#include "recording/script.h"

enum { PIECE_MAX = 8 * RECORDING_EVENT_MAX, KEPT_BYTES = 256 << 10, COLUMNS = 120, ROWS = 40 };

bool
recording_format_by_name(struct str name, enum recording_format *out)
{
    static const char *const names[] = {
        [RECORDING_ASCIICAST] = "asciicast",
        [RECORDING_SQL] = "sql",
        [RECORDING_JSON] = "json",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_is(name, names[i])) {
            *out = (enum recording_format)i;
            return true;
        }
    return false;
}

struct exporter {
    enum err (*put)(void *arg, struct str bytes);
    void *arg;
    struct buf piece, text;
    uint64_t last_us;
};

static enum err
put_piece(struct exporter *x)
{
    enum err e = buf_ok(&x->piece);

    if (e == OK)
        e = x->put(x->arg, buf_str(&x->piece));
    if (x->piece.capacity > KEPT_BYTES)
        buf_free(&x->piece);
    else
        buf_reset(&x->piece);
    return e;
}

/* Gives each event to `each`. Damage is an error; a recording that is cut off is none. */
static enum err
for_each_event(struct recording_set *set, enum err (*each)(void *arg, struct str line), void *arg)
{
    struct str line;
    enum err e;

    while ((e = recording_set_next(set, &line)) == OK)
        if ((e = each(arg, line)) != OK)
            return e;
    return e == ERR_CLOSED ? OK : e;
}

static void
put_id(struct json *j, const char *key, uint64_t session)
{
    char id[17];

    (void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)session);
    json_field_text(j, key, id);
}

/* --- asciicast (docs.asciinema.org/manual/asciicast/v3)
 * ---------------------------------------------- */

/* A terminal's line ends are two characters. */
static void
put_terminal_text(struct exporter *x, struct str text)
{
    buf_reset(&x->text);
    while (text.len > 0) {
        size_t n = str_index(text, '\n');

        buf_put(&x->text, text.ptr, n);
        if (n < text.len)
            buf_put_text(&x->text, "\r\n");
        text = str_skip(text, n + 1);
    }
}

/* Each event carries the time since the one before it. */
static enum err
put_cast_event(struct exporter *x, uint64_t at_us, const char *code, struct str data)
{
    uint64_t interval = at_us > x->last_us ? at_us - x->last_us : 0;
    struct json j = json_to(&x->piece);

    buf_printf(&x->piece, "[%llu.%06llu, \"%s\", ", (unsigned long long)(interval / 1000000),
               (unsigned long long)(interval % 1000000), code);
    json_str(&j, data);
    buf_put_text(&x->piece, "]\n");
    x->last_us += interval;
    return put_piece(x);
}

static enum err
show_cast(void *arg, const struct film_frame *frame)
{
    struct exporter *x = arg;
    enum err e;

    put_terminal_text(x, frame->text);
    if ((e = buf_ok(&x->text)) != OK)
        return e;
    return put_cast_event(x, frame->at_us, "o", buf_str(&x->text));
}

struct cast {
    struct exporter *x;
    struct film *film;
};

static enum err
each_cast(void *arg, struct str line)
{
    struct cast *c = arg;

    return film_event(c->film, line, show_cast, c->x);
}

static enum err
put_cast_header(struct exporter *x, const struct recording_header *header)
{
    struct json j = json_to(&x->piece);

    json_open(&j, '{');
    json_field_uint(&j, "version", 3);
    json_key(&j, "term");
    json_open(&j, '{');
    json_field_uint(&j, "cols", COLUMNS);
    json_field_uint(&j, "rows", ROWS);
    json_field_text(&j, "type", "xterm-256color");
    json_close(&j, '}');
    json_field_uint(&j, "timestamp", (uint64_t)(header->started_us / 1000000));
    json_key(&j, "title");
    buf_reset(&x->text);
    buf_printf(&x->text, "session %016llx on %.*s", (unsigned long long)header->session,
               STR_ARG(header->resource));
    json_str(&j, buf_str(&x->text));
    json_close(&j, '}');
    buf_put_u8(&x->piece, '\n');
    return put_piece(x);
}

static enum err
export_cast(struct exporter *x, struct recording_set *set)
{
    struct cast c = {.x = x};
    enum err e;

    if ((e = film_new(true, &c.film)) != OK)
        return e;
    if ((e = put_cast_header(x, recording_set_header(set))) == OK)
        e = for_each_event(set, each_cast, &c);
    film_free(c.film);
    if (e != OK)
        return e;
    if (recording_set_end(set) == RECORDING_CUT_OFF) {
        buf_put_text(&x->piece, "# the recording is cut off here\n");
        return put_piece(x);
    }
    return put_cast_event(x, x->last_us, "x", STR("0"));
}

/* --- SQL
 * -------------------------------------------------------------------------------------------- */

static enum err
each_sql(void *arg, struct str line)
{
    return script_event(arg, line);
}

static enum err
export_sql(struct exporter *x, struct recording_set *set)
{
    const struct recording_header *header = recording_set_header(set);
    char time[CLOCK_TEXT_BYTES];
    struct script *script;
    enum err e;

    (void)clock_format(header->started_us, time);
    buf_printf(&x->piece,
               "-- Session %016llx of %s: the commands that ran without an error, in the order "
               "in which they ended.\n",
               (unsigned long long)header->session, time);
    if ((e = put_piece(x)) != OK || (e = script_new(x->put, x->arg, &script)) != OK)
        return e;
    if ((e = for_each_event(set, each_sql, script)) == OK)
        e = script_end(script);
    script_free(script);
    if (e == OK && recording_set_end(set) == RECORDING_CUT_OFF)
        return x->put(x->arg, STR("-- The recording is cut off here.\n"));
    return e;
}

/* --- JSON
 * ------------------------------------------------------------------------------------------- */

static enum err
each_json(void *arg, struct str line)
{
    struct exporter *x = arg;
    enum err e;

    if (x->last_us > 0 && (e = x->put(x->arg, STR(",\n"))) != OK)
        return e;
    x->last_us = 1;
    return x->put(x->arg, line);
}

static enum err
export_json(struct exporter *x, struct recording_set *set)
{
    const struct recording_header *header = recording_set_header(set);
    struct json j = json_to(&x->piece);
    char time[CLOCK_TEXT_BYTES];
    enum err e;

    (void)clock_format(header->started_us, time);
    json_open(&j, '{');
    put_id(&j, "session", header->session);
    json_field_str(&j, "resource", header->resource);
    json_field_str(&j, "protocol", header->protocol);
    json_field_text(&j, "started", time);
    json_key(&j, "events");
    buf_put_text(&x->piece, "[\n");
    if ((e = put_piece(x)) != OK || (e = for_each_event(set, each_json, x)) != OK)
        return e;
    return x->put(x->arg, recording_set_end(set) == RECORDING_COMPLETE
                              ? STR("\n],\"complete\":true}\n")
                              : STR("\n],\"complete\":false}\n"));
}

enum err
recording_export(struct recording_set *set, enum recording_format format,
                 enum err (*put)(void *arg, struct str bytes), void *arg)
{
    struct exporter x = {
        .put = put,
        .arg = arg,
        .piece = buf_make(PIECE_MAX),
        .text = buf_make(PIECE_MAX),
    };
    enum err e = OK;

    switch (format) {
    case RECORDING_ASCIICAST:
        e = export_cast(&x, set);
        break;
    case RECORDING_SQL:
        e = export_sql(&x, set);
        break;
    case RECORDING_JSON:
        e = export_json(&x, set);
        break;
    }
    buf_free(&x.piece);
    buf_free(&x.text);
    return e;
}
