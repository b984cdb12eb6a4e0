#include "protocol/postgres/record.h"

#include <stdio.h>
#include <stdlib.h>

#include "gate/recorder.h"
#include "protocol/postgres/session.h"

enum { KEPT_BYTES = 4 << 10, COLUMN_REST_BYTES = 6, NUMBER_BYTES = 32 };

void
pgrecord_free(struct pgrecord *r)
{
    buf_free(&r->body);
    *r = (struct pgrecord){0};
}

static void
forget(struct pgrecord *r)
{
    if (r->body.capacity > KEPT_BYTES)
        buf_free(&r->body);
    else
        buf_reset(&r->body);
    r->portal = NULL;
    r->sent = false;
}

/* Whether what was described is what the head answers. */
static bool
describes_head(const struct pgrecord *r, const struct pganswer *head)
{
    if (r->body.len == 0 || !head->admitted)
        return false;
    return head->kind == PGWIRE_OF_QUERY ||
           (head->kind == PGWIRE_OF_EXECUTE && head->portal != NULL && head->portal == r->portal);
}

struct column {
    struct str name;
    uint32_t type;
    bool binary;
};

static struct column
next_column(struct cursor *in)
{
    struct column column;

    column.name = cursor_cstr(in);
    (void)cursor_bytes(in, COLUMN_REST_BYTES); /* relation and attribute */
    column.type = cursor_u32(in);
    (void)cursor_bytes(in, COLUMN_REST_BYTES); /* size and modifier of the type */
    column.binary = cursor_u16(in) != 0;
    return column;
}

/* Tells the recording how the head's rows are described, once. */
static enum err
send_columns(struct pgsession *s, const struct pganswer *head)
{
    struct pgrecord *r = &s->record;
    struct cursor in = cursor_make(buf_str(&r->body));
    size_t n = cursor_u16(&in);
    struct record_column *columns;

    if (r->sent || !describes_head(r, head) || n > RECORD_COLUMNS_MAX)
        return OK;
    r->sent = true;
    if ((columns = calloc(n + 1, sizeof(*columns))) == NULL)
        return pgsession_fatal(s, fail(ERR_NOMEM, "no memory for a recording"), "53200");
    for (size_t i = 0; i < n; i++) {
        struct column column = next_column(&in);

        columns[i] = (struct record_column){column.name, column.type};
    }
    if (cursor_done(&in)) /* else the row's own checks refuse it */
        recorder_columns(s->door->recorder, head->command, columns, n);
    free(columns);
    return OK;
}

enum err
pgrecord_description(struct pgsession *s, unsigned char type, uint32_t body_len)
{
    struct pgrecord *r = &s->record;
    const struct pganswer *head;
    struct str body;
    enum err e;

    if (s->door->recorder == NULL)
        return OK;
    forget(r);
    if (type != 'T' || body_len > PGRECORD_DESCRIPTION_MAX)
        return OK;
    if ((e = pglane_body(&s->down, body_len, &body)) != OK)
        return e;
    r->body.max = PGRECORD_DESCRIPTION_MAX;
    buf_put_str(&r->body, body);
    if (buf_ok(&r->body) != OK)
        return pgsession_fatal(s, ERR_NOMEM, "53200");
    head = pganswers_head(&s->answers);
    r->portal = head->portal;
    return send_columns(s, head);
}

/* --- cells ---------------------------------------------------------------------------------------
 */

static bool
is_text_type(uint32_t type)
{
    switch (type) {
    case 18:   /* "char" */
    case 19:   /* name */
    case 25:   /* text */
    case 114:  /* json */
    case 142:  /* xml */
    case 705:  /* unknown */
    case 1042: /* char(n) */
    case 1043: /* varchar */
        return true;
    default:
        return false;
    }
}

static int64_t
signed_number(struct str bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes.len; i++)
        value = value << 8 | (unsigned char)bytes.ptr[i];
    switch (bytes.len) {
    case 2:
        return (int16_t)value;
    case 4:
        return (int32_t)value;
    default:
        return (int64_t)value;
    }
}

/* A binary value of a type that has a plain text form becomes text; others stay binary. */
static void
make_readable(struct record_cell *cell, uint32_t type, char digits[NUMBER_BYTES])
{
    size_t n = cell->bytes.len;
    int written = -1;

    if (is_text_type(type)) {
        cell->binary = false;
        return;
    }
    if (cell->cut)
        return;
    if ((type == 21 && n == 2) || (type == 23 && n == 4) || (type == 20 && n == 8))
        written = snprintf(digits, NUMBER_BYTES, "%lld", (long long)signed_number(cell->bytes));
    else if (type == 26 && n == 4) /* oid */
        written = snprintf(digits, NUMBER_BYTES, "%u", (uint32_t)signed_number(cell->bytes));
    else if (type == 16 && n == 1)
        written = snprintf(digits, NUMBER_BYTES, "%s", cell->bytes.ptr[0] != 0 ? "t" : "f");
    if (written > 0) {
        cell->bytes = (struct str){digits, (size_t)written};
        cell->binary = false;
    }
}

/* At most PGRECORD_CELL_BYTES of a value of `length`, of which `there` are at hand. */
static struct record_cell
cell_of(struct str there, uint64_t length, bool binary)
{
    struct record_cell cell = {.binary = binary, .bytes = there};

    if (cell.bytes.len > PGRECORD_CELL_BYTES)
        cell.bytes.len = PGRECORD_CELL_BYTES;
    if (!binary) /* not in the middle of a character */
        while (cell.bytes.len > 0 && cell.bytes.len < length &&
               ((unsigned char)there.ptr[cell.bytes.len - 1] & 0xc0) == 0x80)
            cell.bytes.len--;
    if (cell.bytes.len < length) {
        cell.cut = true;
        cell.full_length = length;
    }
    return cell;
}

static void
put_cell(struct recorder *r, struct cursor *in, const struct column *column)
{
    static const struct record_cell unknown = {.cut = true, .full_length = UINT64_MAX},
                                    null = {.is_null = true};
    char digits[NUMBER_BYTES];
    struct record_cell cell;
    uint32_t length;
    size_t there;

    if (cursor_left(in) < 4) { /* the row was cut before it */
        (void)cursor_bytes(in, cursor_left(in));
        recorder_put_cell(r, &unknown);
        return;
    }
    length = cursor_u32(in);
    if (length == UINT32_MAX) {
        recorder_put_cell(r, &null);
        return;
    }
    there = length < cursor_left(in) ? length : cursor_left(in);
    cell = cell_of(cursor_bytes(in, there), length, column->binary);
    if (cell.binary)
        make_readable(&cell, column->type, digits);
    recorder_put_cell(r, &cell);
}

/* [waits] */
static enum err
end_row(struct pgsession *s)
{
    enum err e = recorder_end_row(s->door->recorder);

    return e == OK || e == ERR_CANCELED ? e : pgsession_fatal(s, e, "58000");
}

/* [waits] A DataRow, or its beginning. */
static enum err
record_row(struct pgsession *s, struct str body)
{
    const struct pganswer *head = pganswers_head(&s->answers);
    struct recorder *r = s->door->recorder;
    struct cursor in = cursor_make(body);
    struct cursor described = cursor_make(buf_str(&s->record.body));
    size_t n = cursor_u16(&in);
    bool known = describes_head(&s->record, head) && cursor_u16(&described) == n;
    enum err e;

    if ((e = send_columns(s, head)) != OK)
        return e;
    if (in.failed || n > RECORD_COLUMNS_MAX)
        return OK;
    recorder_begin_row(r, head->command, (uint32_t)n, false);
    for (size_t i = 0; i < n; i++) {
        struct column column = {0};

        if (known)
            column = next_column(&described);
        put_cell(r, &in, &column);
    }
    return end_row(s);
}

/* [waits] A CopyData, or its beginning: a line, whose end is left out, or a piece of binary data.
 */
static enum err
record_copied(struct pgsession *s, struct str bytes, uint64_t length)
{
    const struct pganswer *head = pganswers_head(&s->answers);
    struct record_cell cell;

    if (bytes.len == length && length > 0 && bytes.ptr[length - 1] == '\n')
        bytes.len = (size_t)--length;
    cell = cell_of(bytes, length, s->rows.kind == PGROWS_COPY_BINARY || !str_is_utf8(bytes));
    recorder_begin_row(s->door->recorder, head->command, 1, true);
    recorder_put_cell(s->door->recorder, &cell);
    return end_row(s);
}

static bool
is_wanted(struct pgsession *s)
{
    const struct pganswer *head = pganswers_head(&s->answers);

    return s->door->recorder != NULL && head != NULL && head->admitted && head->record_rows;
}

enum err
pgrecord_passing(struct pgsession *s, uint32_t body_len, bool copied)
{
    size_t n = body_len < PGRECORD_ROW_BYTES ? body_len : PGRECORD_ROW_BYTES;
    struct str body;
    enum err e;

    if (!is_wanted(s))
        return OK;
    if ((e = pglane_body(&s->down, n, &body)) != OK)
        return e;
    return copied ? record_copied(s, body, body_len) : record_row(s, body);
}

enum err
pgrecord_rewritten(struct pgsession *s, struct str body, bool copied)
{
    if (!is_wanted(s))
        return OK;
    return copied ? record_copied(s, body, body.len) : record_row(s, body);
}

enum err
pgrecord_unseen(struct pgsession *s, size_t columns)
{
    static const struct record_cell unknown = {.cut = true, .full_length = UINT64_MAX};
    const struct pganswer *head = pganswers_head(&s->answers);

    if (!is_wanted(s) || columns > RECORD_COLUMNS_MAX)
        return OK;
    recorder_begin_row(s->door->recorder, head->command, (uint32_t)columns, false);
    for (size_t i = 0; i < columns; i++)
        recorder_put_cell(s->door->recorder, &unknown);
    return end_row(s);
}

enum err
pgrecord_end(struct pgsession *s)
{
    const struct pganswer *head = pganswers_head(&s->answers);
    enum err e;

    if (s->door->recorder == NULL || head == NULL ||
        (head->kind != PGWIRE_OF_QUERY && head->kind != PGWIRE_OF_EXECUTE))
        return OK;
    if ((e = send_columns(s, head)) != OK)
        return e;
    forget(&s->record);
    if (!head->record_rows || (e = recorder_end_rows(s->door->recorder)) == OK)
        return OK;
    return pgsession_fatal(s, e, "58000");
}
