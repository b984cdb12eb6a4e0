#include "recording/film.h"

#include <jansson.h>
#include <stdlib.h>

#include "recording/event.h"
#include "recording/format.h"

enum { TEXT_MAX = 8 * RECORDING_EVENT_MAX, PROMPT_BYTES = 256, KEPT_BYTES = 256 << 10 };

enum colour { PLAIN, DIM, BOLD, RED, GREEN, YELLOW };
static const char *const colours[] = {
    [PLAIN] = "\033[0m", [DIM] = "\033[2m",    [BOLD] = "\033[1m",
    [RED] = "\033[31m",  [GREEN] = "\033[32m", [YELLOW] = "\033[33m",
};

struct film {
    bool colours;
    struct buf prompt, text;
};

enum err
film_new(bool with_colours, struct film **out)
{
    struct film *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return fail(ERR_NOMEM, "no memory for a film");
    f->colours = with_colours;
    f->prompt = buf_make(PROMPT_BYTES);
    f->text = buf_make(TEXT_MAX);
    buf_put_text(&f->prompt, "=> ");
    *out = f;
    return OK;
}

void
film_free(struct film *f)
{
    if (f == NULL)
        return;
    buf_free(&f->prompt);
    buf_free(&f->text);
    free(f);
}

/* --- text
 * ----------------------------------------------------------------------------------------- */

/* Code points that move or hide text: C0, DEL, C1, and what changes the direction of writing. */
static bool
is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static uint32_t
code_point(struct str s, size_t n)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)s.ptr[0] & masks[n];

    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)s.ptr[i] & 0x3f);
    return c;
}

/* The text, its control characters escaped; lines may end if `lines`. */
static void
put_safe(struct buf *out, struct str s, bool lines)
{
    while (s.len > 0 && !out->failed) {
        size_t n = str_utf8_length(s);
        uint32_t c = n == 0 ? (unsigned char)s.ptr[0] : code_point(s, n);

        if (n == 0)
            buf_printf(out, "\\x%02x", c);
        else if (lines && c == '\n')
            buf_put_u8(out, '\n');
        else if (lines && c == '\t')
            buf_put_text(out, "    ");
        else if (is_unsafe(c))
            buf_printf(out, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
        else
            buf_put(out, s.ptr, n);
        s = str_skip(s, n == 0 ? 1 : n);
    }
}

static void
put_colour(struct film *f, enum colour colour)
{
    if (f->colours)
        buf_put_text(&f->text, colours[colour]);
}

static struct str
text_of(const json_t *event, const char *key)
{
    const json_t *value = json_object_get(event, key);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : (struct str){"", 0};
}

static uint64_t
number_of(const json_t *event, const char *key)
{
    const json_t *value = json_object_get(event, key);

    return json_is_integer(value) && json_integer_value(value) > 0
               ? (uint64_t)json_integer_value(value)
               : 0;
}

/* "LABEL: text" on a line of its own; nothing without text. */
static void
put_line(struct film *f, enum colour colour, const char *label, struct str text)
{
    if (text.len == 0)
        return;
    put_colour(f, colour);
    buf_put_text(&f->text, label);
    put_safe(&f->text, text, true);
    put_colour(f, PLAIN);
    buf_put_u8(&f->text, '\n');
}

/* --- kinds
 * ----------------------------------------------------------------------------------------- */

static void
set_prompt(struct film *f, struct str database)
{
    if (database.len == 0)
        return;
    buf_reset(&f->prompt);
    put_safe(&f->prompt, (struct str){database.ptr, database.len < 60 ? database.len : 60}, false);
    buf_put_text(&f->prompt, "=> ");
}

static void
put_opened(struct film *f, const json_t *event)
{
    const json_t *chain = json_object_get(event, "chain");
    size_t i;
    json_t *item;

    set_prompt(f, text_of(event, "database"));
    put_colour(f, DIM);
    buf_put_text(&f->text, "-- ");
    json_array_foreach(chain, i, item)
    {
        if (i > 0)
            buf_put_text(&f->text, " -> ");
        if (json_is_string(item))
            put_safe(&f->text, (struct str){json_string_value(item), json_string_length(item)},
                     false);
    }
    if (!json_is_array(chain) || json_array_size(chain) == 0)
        put_safe(&f->text, text_of(event, "subject"), false);
    buf_put_text(&f->text, " on ");
    put_safe(&f->text, text_of(event, "resource"), false);
    if (text_of(event, "client").len > 0) {
        buf_put_text(&f->text, " with ");
        put_safe(&f->text, text_of(event, "client"), false);
    }
    if (text_of(event, "time").len > 0) {
        buf_put_text(&f->text, ", ");
        put_safe(&f->text, text_of(event, "time"), false);
    }
    put_colour(f, PLAIN);
    buf_put_u8(&f->text, '\n');
}

static void
put_bind(struct film *f, size_t number, const json_t *bind)
{
    struct str text = text_of(bind, "text"), base64 = text_of(bind, "base64");

    put_colour(f, DIM);
    buf_printf(&f->text, "-- $%zu = ", number);
    if (json_is_true(json_object_get(bind, "null"))) {
        buf_put_text(&f->text, "NULL");
    } else if (json_object_get(bind, "base64") != NULL) {
        buf_put_text(&f->text, "(binary) ");
        put_safe(&f->text, base64, false);
    } else {
        buf_put_u8(&f->text, '\'');
        put_safe(&f->text, text, false);
        buf_put_u8(&f->text, '\'');
    }
    if (json_object_get(bind, "full_length") != NULL)
        buf_put_text(&f->text, " (cut)");
    put_colour(f, PLAIN);
    buf_put_u8(&f->text, '\n');
}

/* What the policy said, where that is more than yes. */
static void
put_verdict(struct film *f, const json_t *event)
{
    struct str verdict = text_of(event, "verdict"), rule = text_of(event, "rule");
    bool denied = str_is(verdict, "deny");

    if (str_is(verdict, "allow") || verdict.len == 0)
        return;
    put_colour(f, denied ? RED : YELLOW);
    buf_put_text(&f->text, denied ? "REFUSED" : "-- ");
    if (!denied)
        put_safe(&f->text, verdict, false);
    if (rule.len > 0) {
        buf_put_text(&f->text, " by rule ");
        put_safe(&f->text, rule, false);
    }
    if (text_of(event, "message").len > 0) {
        buf_put_text(&f->text, ": ");
        put_safe(&f->text, text_of(event, "message"), true);
    }
    put_colour(f, PLAIN);
    buf_put_u8(&f->text, '\n');
}

/* The prompt is there before the statement is typed. */
static enum err
show_statement(struct film *f, const json_t *event, uint64_t at_us,
               enum err (*show)(void *arg, const struct film_frame *frame), void *arg)
{
    struct film_frame frame = {.at_us = at_us};
    const json_t *binds = json_object_get(event, "binds");
    json_t *bind;
    size_t i;
    enum err e;

    set_prompt(f, text_of(event, "database"));
    put_colour(f, BOLD);
    buf_put_str(&f->text, buf_str(&f->prompt));
    put_colour(f, PLAIN);
    frame.text = buf_str(&f->text);
    if ((e = buf_ok(&f->text)) != OK || (e = show(arg, &frame)) != OK)
        return e;
    buf_reset(&f->text);
    put_safe(&f->text, text_of(event, "text"), true);
    frame.typed = true;
    frame.text = buf_str(&f->text);
    if ((e = buf_ok(&f->text)) != OK || (e = show(arg, &frame)) != OK)
        return e;
    buf_reset(&f->text);
    buf_put_u8(&f->text, '\n');
    json_array_foreach(binds, i, bind) put_bind(f, i + 1, bind);
    put_line(f, DIM, "-- purpose: ", text_of(event, "purpose"));
    put_verdict(f, event);
    return OK;
}

static void
put_decision(struct film *f, const json_t *event)
{
    struct str decision = text_of(event, "decision");
    bool good = str_is(decision, "approved");

    put_colour(f, good ? GREEN : RED);
    buf_put_text(&f->text, "-- ");
    put_safe(&f->text, decision, false);
    if (text_of(event, "by").len > 0) {
        buf_put_text(&f->text, " by ");
        put_safe(&f->text, text_of(event, "by"), false);
    }
    if (text_of(event, "request").len > 0) {
        buf_put_text(&f->text, " (request ");
        put_safe(&f->text, text_of(event, "request"), false);
        buf_put_u8(&f->text, ')');
    }
    if (text_of(event, "text").len > 0) {
        buf_put_text(&f->text, ": ");
        put_safe(&f->text, text_of(event, "text"), true);
    }
    put_colour(f, PLAIN);
    buf_put_u8(&f->text, '\n');
}

static void
put_columns(struct film *f, const json_t *event)
{
    const json_t *columns = json_object_get(event, "columns");
    size_t i;
    json_t *column;

    if (!json_is_array(columns) || json_array_size(columns) == 0)
        return;
    put_colour(f, BOLD);
    json_array_foreach(columns, i, column)
    {
        if (i > 0)
            buf_put_text(&f->text, " | ");
        put_safe(&f->text, text_of(column, "name"), false);
    }
    put_colour(f, PLAIN);
    buf_put_u8(&f->text, '\n');
}

static void
put_cell(struct film *f, const json_t *cell)
{
    if (json_is_string(cell)) {
        put_safe(&f->text, (struct str){json_string_value(cell), json_string_length(cell)}, false);
    } else if (json_is_object(cell)) {
        if (text_of(cell, "base64").len > 0)
            buf_put_text(&f->text, "(binary) ");
        put_safe(&f->text, text_of(cell, "base64"), false);
        put_safe(&f->text, text_of(cell, "text"), false);
        if (json_object_get(cell, "full_length") != NULL)
            buf_put_text(&f->text, "...");
    } else {
        put_colour(f, DIM);
        buf_put_text(&f->text, "NULL");
        put_colour(f, PLAIN);
    }
}

static void
put_rows(struct film *f, const json_t *event)
{
    const json_t *rows = json_object_get(event, "rows");
    size_t i, k;
    json_t *row, *cell;

    json_array_foreach(rows, i, row)
    {
        json_array_foreach(row, k, cell)
        {
            if (k > 0)
                buf_put_text(&f->text, " | ");
            put_cell(f, cell);
        }
        buf_put_u8(&f->text, '\n');
    }
}

static void
put_outcome(struct film *f, const json_t *event)
{
    struct str error = text_of(event, "error"), limit = text_of(event, "limit");
    const json_t *duration = json_object_get(event, "duration_ms");
    uint64_t rows = number_of(event, "rows"), masked = number_of(event, "masked"),
             detected = number_of(event, "detected");
    bool good = error.len == 0 && limit.len == 0 &&
                !json_is_true(json_object_get(event, "unknown"));

    if (error.len > 0)
        put_line(f, RED, "ERROR ", error);
    if (limit.len > 0)
        put_line(f, RED, "stopped by the limit ", limit);
    if (json_is_true(json_object_get(event, "unknown")))
        put_line(f, RED, "", STR("the connection was lost before the answer"));
    put_colour(f, good ? GREEN : DIM);
    buf_printf(&f->text, "(%llu row%s", (unsigned long long)rows, rows == 1 ? "" : "s");
    if (masked > 0)
        buf_printf(&f->text, ", %llu masked", (unsigned long long)masked);
    if (detected > 0)
        buf_printf(&f->text, ", %llu found and overwritten", (unsigned long long)detected);
    if (json_is_number(duration))
        buf_printf(&f->text, ", %.3f ms", json_number_value(duration));
    buf_put_text(&f->text, ")");
    put_colour(f, PLAIN);
    buf_put_text(&f->text, "\n\n");
}

static void
put_note(struct film *f, const json_t *event)
{
    put_colour(f, YELLOW);
    buf_put_text(&f->text, "-- ");
    put_safe(&f->text, text_of(event, "event"), false);
    if (text_of(event, "text").len > 0)
        buf_put_text(&f->text, ": ");
    put_safe(&f->text, text_of(event, "text"), true);
    put_colour(f, PLAIN);
    buf_put_u8(&f->text, '\n');
}

static void
put_closed(struct film *f, const json_t *event)
{
    put_colour(f, DIM);
    buf_put_text(&f->text, "-- closed: ");
    put_safe(&f->text, text_of(event, "reason"), false);
    if (text_of(event, "text").len > 0) {
        buf_put_text(&f->text, ": ");
        put_safe(&f->text, text_of(event, "text"), true);
    }
    put_colour(f, PLAIN);
    buf_put_u8(&f->text, '\n');
}

static enum err
show_event(struct film *f, const json_t *event, const struct recording_event_head *head,
           enum err (*show)(void *arg, const struct film_frame *frame), void *arg)
{
    static const struct {
        const char *kind;
        void (*put)(struct film *f, const json_t *event);
    } kinds[] = {
        {"opened", put_opened}, {"decision", put_decision}, {"columns", put_columns},
        {"rows", put_rows},     {"outcome", put_outcome},   {"note", put_note},
        {"closed", put_closed},
    };
    struct film_frame frame = {.at_us = head->at_us};
    enum err e;

    buf_reset(&f->text);
    if (str_is(head->kind, "statement")) {
        if ((e = show_statement(f, event, head->at_us, show, arg)) != OK)
            return e;
    } else {
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
            if (str_is(head->kind, kinds[i].kind))
                kinds[i].put(f, event);
    }
    if ((e = buf_ok(&f->text)) != OK || f->text.len == 0)
        return e;
    frame.text = buf_str(&f->text);
    return show(arg, &frame);
}

enum err
film_event(struct film *f, struct str line,
           enum err (*show)(void *arg, const struct film_frame *frame), void *arg)
{
    struct recording_event_head head;
    json_t *event;
    enum err e;

    if ((e = recording_event_head(line, &head)) != OK)
        return e;
    event = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, NULL);
    e = json_is_object(event) ? show_event(f, event, &head, show, arg)
                              : fail(ERR_INVALID, "an event of a recording is no JSON object");
    json_decref(event);
    if (f->text.capacity > KEPT_BYTES)
        buf_free(&f->text);
    return e;
}
