#include "protocol/postgres/rows.h"

#include "protocol/postgres/redact.h"

enum {
    ARENA_BYTES = 16 << 20,
    COLUMN_BYTES_MIN = 19, /* of a RowDescription: a name of no bytes */
    COPY_SIGNATURE_BYTES = 11,
    COPY_TRAILER = UINT16_MAX,
};

static const char copy_signature[] = "PGCOPY\n\377\r\n"; /* its NUL belongs to it */

/* Descriptions. */

static enum err
contradiction(const char *what)
{
    return fail(ERR_DENIED, "%s", what);
}

/* Whether the statement was to answer with that many columns, in that way. */
static enum err
check_kind(const struct pgview_part *part, enum pgrows_kind kind, size_t n)
{
    const struct sql_output *output = part->output;

    if (!part->judged)
        return OK;
    if (output == NULL)
        return contradiction("the statement was to answer no rows");
    if ((output->kind == SQL_OUTPUT_COPY) != (kind != PGROWS_TABLE))
        return contradiction("another kind of answer was expected");
    if (n < output->n || (n > output->n && !output->open))
        return contradiction("the answer has another number of columns");
    return OK;
}

static enum err
begin(struct pgrows *r, enum pgrows_kind kind, const struct pgview *v,
      const struct pgview_part *part, size_t n)
{
    enum err e;

    pgrows_forget(r);
    if ((e = check_kind(part, kind, n)) != OK)
        return e;
    if (r->arena == NULL && (r->arena = arena_new(ARENA_BYTES)) == NULL)
        return fail(ERR_NOMEM, "no memory for a description");
    r->columns = arena_array(r->arena, n + 1, sizeof(*r->columns));
    r->plans = arena_array(r->arena, n + 1, sizeof(*r->plans));
    if (r->columns == NULL || r->plans == NULL)
        return fail(ERR_LIMIT, "a description that is too large");
    r->kind = kind;
    r->n = n;
    r->detectors = v->detectors;
    r->rewrites = v->detectors != NULL;
    if (part->lineage != NULL)
        r->key = shield_protection(part->lineage->shield)->key;
    return OK;
}

/* What is known of column number `i`; NULL: nothing, and nothing of it is hidden. */
static const struct sql_output_column *
column_of(const struct pgview_part *part, size_t i)
{
    return part->output != NULL && i < part->output->n ? &part->output->columns[i] : NULL;
}

static enum err
plan_column(struct pgrows *r, const struct pgview_part *part, size_t i)
{
    const struct sql_output_column *known = column_of(part, i);
    struct pgcolumn *column = &r->columns[i];
    enum err e;

    if (known == NULL || known->hidden.how == SQL_HIDE_NOTHING)
        return OK;
    if ((e = sql_mask_plan(part->lineage->shield, &known->hidden, column->type, r->arena,
                           &column->plan)) != OK)
        return e;
    r->plans[i] = column->plan;
    r->n_hidden++;
    column->hidden = r->hides = r->rewrites = true;
    return OK;
}

/* Whether the server says that a column comes from where the lineage says. */
static enum err
check_origin(const struct pgview_part *part, size_t i, uint32_t relation, int16_t attribute)
{
    const struct sql_output_column *known = column_of(part, i);
    bool hidden = known != NULL && known->hidden.how != SQL_HIDE_NOTHING;

    if (known != NULL && known->relation != 0 &&
        (relation != known->relation || attribute != known->attribute))
        return contradiction("a column comes from elsewhere");
    if (!hidden && part->judged && relation != 0 &&
        shield_is_protected(part->lineage->shield, relation, attribute))
        return contradiction("a column was not known to be protected");
    return OK;
}

enum err
pgrows_describe(struct pgrows *r, const struct pgview *v, const struct pgview_part *part,
                struct str body)
{
    struct cursor in = cursor_make(body);
    size_t n = cursor_u16(&in);
    enum err e;

    if (cursor_left(&in) < n * COLUMN_BYTES_MIN)
        return fail(ERR_PROTOCOL, "invalid RowDescription");
    if ((e = begin(r, PGROWS_TABLE, v, part, n)) != OK)
        return e;
    for (size_t i = 0; i < n && !in.failed; i++) {
        uint32_t relation;
        int16_t attribute;

        (void)cursor_cstr(&in); /* the name */
        relation = cursor_u32(&in);
        attribute = (int16_t)cursor_u16(&in);
        r->columns[i].type = cursor_u32(&in);
        (void)cursor_bytes(&in, 6); /* size and modifier of the type */
        r->columns[i].binary = cursor_u16(&in) != 0;
        if (!in.failed && ((e = check_origin(part, i, relation, attribute)) != OK ||
                           (e = plan_column(r, part, i)) != OK))
            return e;
    }
    return cursor_done(&in) ? OK : fail(ERR_PROTOCOL, "invalid RowDescription");
}

enum err
pgrows_describe_copy(struct pgrows *r, const struct pgview *v, const struct pgview_part *part,
                     struct str body)
{
    struct cursor in = cursor_make(body);
    bool binary = cursor_u8(&in) != 0;
    size_t n = cursor_u16(&in);
    enum err e;

    if (in.failed || cursor_left(&in) != 2 * n)
        return fail(ERR_PROTOCOL, "invalid CopyOutResponse");
    if ((e = begin(r, binary ? PGROWS_COPY_BINARY : PGROWS_COPY_TEXT, v, part, n)) != OK)
        return e;
    if (part->output != NULL) {
        if (part->output->copy_binary != binary)
            return contradiction("another format of COPY was expected");
        r->copy = part->output->copy;
    }
    /* Its tuples are counted as they are read: the trailer is none. */
    if (binary && (v->limits.rows_per_command != 0 || v->limits.rows_per_session != 0))
        r->rewrites = true;
    for (size_t i = 0; i < n; i++) {
        const struct sql_output_column *known = column_of(part, i);

        r->columns[i].binary = binary;
        r->columns[i].type = known != NULL ? known->type : 0;
        if ((e = plan_column(r, part, i)) != OK)
            return e;
    }
    return OK;
}

void
pgrows_forget(struct pgrows *r)
{
    struct arena *arena = r->arena;

    if (r->kind == PGROWS_UNKNOWN && r->columns == NULL)
        return;
    arena_reset(arena);
    *r = (struct pgrows){.arena = arena};
}

void
pgrows_free(struct pgrows *r)
{
    arena_free(r->arena);
    *r = (struct pgrows){0};
}

/* Cells. */

/* Of a cell that was appended at `at`, its length before it. */
static void
redact_put_cell(struct pgrows *r, const struct pgcolumn *column, struct buf *out, size_t at)
{
    if (r->detectors == NULL || out->failed)
        return;
    if (!pgredact_cell(r->detectors, column->type, column->binary, out->ptr + at + 4,
                       out->len - at - 4, &r->findings)) {
        out->len = at + 4;
        buf_set_u32(out, at, UINT32_MAX);
    }
}

static enum err
put_masked_cell(struct pgrows *r, const struct pgcolumn *column, struct str value, struct buf *out)
{
    size_t at = out->len;
    bool is_null = false;
    enum err e;

    buf_put_u32(out, UINT32_MAX);
    if ((e = mask_value(&column->plan, r->key, column->binary, value, out, &is_null)) != OK)
        return e;
    r->masked++;
    if (is_null || out->failed)
        return OK;
    buf_set_u32(out, at, (uint32_t)(out->len - at - 4));
    redact_put_cell(r, column, out, at);
    return OK;
}

static struct str
between(const unsigned char *from, const unsigned char *to)
{
    return (struct str){(const char *)from, (size_t)(to - from)};
}

/* All cells of a row: runs of those that stay are copied at once. */
static enum err
put_cells(struct pgrows *r, struct cursor *in, struct buf *out)
{
    const unsigned char *run = in->at;
    enum err e;

    for (size_t i = 0; i < r->n; i++) {
        const struct pgcolumn *column = &r->columns[i];
        const unsigned char *cell = in->at;
        uint32_t length = cursor_u32(in);
        struct str value;

        if (length == UINT32_MAX)
            continue;
        value = cursor_bytes(in, length);
        if (in->failed)
            break;
        if (column->hidden) {
            buf_put_str(out, between(run, cell));
            run = in->at;
            if ((e = put_masked_cell(r, column, value, out)) != OK)
                return e;
        } else if (r->detectors != NULL) {
            size_t at;

            buf_put_str(out, between(run, cell));
            at = out->len;
            run = in->at;
            buf_put_str(out, between(cell, in->at));
            redact_put_cell(r, column, out, at);
        }
    }
    if (in->failed)
        return fail(ERR_PROTOCOL, "a row is not what was described");
    buf_put_str(out, between(run, in->at));
    return buf_ok(out);
}

/* DataRow's body, or one tuple of a binary COPY: they are the same. */
static enum err
put_tuple(struct pgrows *r, struct cursor *in, struct buf *out)
{
    uint16_t n = cursor_u16(in);

    if (in->failed || n != r->n)
        return fail(ERR_PROTOCOL, "a row has other columns than were described");
    buf_put_u16(out, n);
    return put_cells(r, in, out);
}

/* Messages. */

static size_t
begin_message(char type, struct buf *out)
{
    size_t start = out->len;

    buf_put_u8(out, (uint8_t)type);
    buf_put_u32(out, 0);
    return start;
}

static enum err
end_message(struct buf *out, size_t start, enum err e)
{
    if (e == OK)
        e = buf_ok(out);
    if (e == OK) {
        buf_set_u32(out, start + 1, (uint32_t)(out->len - start - 1));
        return OK;
    }
    out->len = start;
    out->failed = false;
    return e;
}

enum err
pgrows_put_row(struct pgrows *r, struct str body, struct buf *out)
{
    struct cursor in = cursor_make(body);
    size_t start = begin_message('D', out);
    enum err e;

    e = put_tuple(r, &in, out);
    if (e == OK && !cursor_done(&in))
        e = fail(ERR_PROTOCOL, "a row has other columns than were described");
    return end_message(out, start, e);
}

/* COPY. */

/* The row's end is left alone, whatever a detector makes of it. */
static void
redact_line(struct pgrows *r, struct buf *out, size_t at)
{
    size_t end = out->len;

    while (end > at && (out->ptr[end - 1] == '\n' || out->ptr[end - 1] == '\r'))
        end--;
    if (end > at)
        r->findings += detectors_redact(r->detectors, out->ptr + at, end - at, NULL);
}

static enum err
put_line(struct pgrows *r, struct str row, struct buf *out)
{
    size_t at = out->len;
    enum err e = OK;

    if (!r->begun && r->copy.header) { /* names of columns, no data */
        r->begun = true;
        buf_put_str(out, row);
        return OK;
    }
    r->begun = true;
    r->masked += r->n_hidden;
    if (r->hides)
        e = mask_copy_row(&r->copy, r->plans, r->n, r->key, row, out);
    else
        buf_put_str(out, row);
    if (e == OK && !out->failed && r->detectors != NULL)
        redact_line(r, out, at);
    return e;
}

static enum err
put_copy_header(struct pgrows *r, struct cursor *in, struct buf *out)
{
    const unsigned char *start = in->at;
    struct str signature = cursor_bytes(in, COPY_SIGNATURE_BYTES);
    uint32_t flags = cursor_u32(in);

    (void)cursor_bytes(in, cursor_u32(in)); /* the extension */
    if (in->failed || memcmp(signature.ptr, copy_signature, COPY_SIGNATURE_BYTES) != 0 ||
        flags != 0)
        return fail(ERR_PROTOCOL, "a binary COPY does not begin with its signature");
    r->begun = true;
    buf_put_str(out, between(start, in->at));
    return OK;
}

static enum err
put_tuples(struct pgrows *r, struct cursor *in, struct buf *out, uint64_t *rows)
{
    enum err e;

    if (!r->begun && (e = put_copy_header(r, in, out)) != OK)
        return e;
    while (cursor_left(in) > 0) {
        struct cursor ahead = *in;

        if (r->ended)
            return fail(ERR_PROTOCOL, "a binary COPY goes on after its trailer");
        if (cursor_u16(&ahead) == COPY_TRAILER && !ahead.failed) {
            *in = ahead;
            r->ended = true;
            buf_put_u16(out, COPY_TRAILER);
            continue;
        }
        if ((e = put_tuple(r, in, out)) != OK)
            return e;
        (*rows)++;
    }
    return OK;
}

enum err
pgrows_put_copy(struct pgrows *r, struct str body, struct buf *out, uint64_t *rows)
{
    struct cursor in = cursor_make(body);
    size_t start = begin_message('d', out);
    bool header = r->kind == PGROWS_COPY_TEXT && !r->begun && r->copy.header;

    *rows = 0;
    if (r->kind == PGROWS_COPY_BINARY)
        return end_message(out, start, put_tuples(r, &in, out, rows));
    *rows = header ? 0 : 1;
    return end_message(out, start, put_line(r, body, out));
}
