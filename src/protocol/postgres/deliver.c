#include "protocol/postgres/deliver.h"

#include "protocol/postgres/limit.h"

/* Stopping. */

/* [waits] The present message is dropped, the answer stopped, the client told. */
static enum err
drop_and_tell(struct pgsession *s, uint32_t body_len, enum err stopped)
{
    enum err e = stopped;

    if (e != OK)
        return pgsession_fatal(s, e, "53200");
    if ((e = pglane_drop(&s->down, body_len)) != OK)
        return e;
    return pglimit_tell(s);
}

/* [waits] What the server sends is not what its statement was judged to answer. */
static enum err
refuse_answer(struct pgsession *s, uint32_t body_len, const char *why)
{
    static const struct pgwire_failure failure = {
        .severity = "ERROR",
        .sqlstate = "42501",
        .message = STR_INIT("the answer does not come from where the gateway expected; the catalog "
                            "is being read again, try again")};
    enum err e;

    s->context.catalog_due = s->context.fresh_due = true;
    if ((e = gate_note(s->gate, STR("answer_refused"), str_from(why))) != OK)
        return pgsession_fatal(s, e, "58000");
    return drop_and_tell(s, body_len, pglimit_stop(s, &failure, NULL));
}

/* [waits] */
static enum err
refuse_size(struct pgsession *s, uint32_t body_len)
{
    static const struct pgwire_failure failure = {
        .severity = "ERROR",
        .sqlstate = "54000",
        .message = STR_INIT("a row with protected columns is too large to be masked"),
        .hint = STR_INIT("Leave out large columns, or cut them with substr().")};

    return drop_and_tell(s, body_len, pglimit_stop(s, &failure, NULL));
}

static enum err
stop_for_limit(struct pgsession *s, uint32_t body_len, const char *limit)
{
    return drop_and_tell(s, body_len, pglimit_stop_for(s, limit));
}

/* The server's rows break their own description: `e` as pgrows_put_…() gave it. */
static enum err
refuse_row(struct pgsession *s, uint32_t body_len, enum err e)
{
    if (e == ERR_NOMEM)
        return pgsession_fatal(s, e, "53200");
    return e == ERR_LIMIT ? refuse_size(s, body_len) : refuse_answer(s, body_len, err_text());
}

/* Descriptions. */

static struct pgview_part
part_of(const struct pganswer *head)
{
    return pgview_part(head->view, head->statement_at);
}

/* [waits] The message goes on, unless it answers a question of our own. */
static enum err
pass_described(struct pgsession *s, uint32_t body_len)
{
    return pganswers_head(&s->answers)->ours ? pglane_drop(&s->down, body_len)
                                             : pglane_stream(&s->down, body_len);
}

/* A contradiction is told in place of the first row. */
static enum err
note_description(struct pgsession *s, unsigned char type, struct str body)
{
    struct pganswer *head = pganswers_head(&s->answers);
    struct pgview_part part = part_of(head);
    enum err e;

    pgrows_forget(&s->rows);
    if (type == 'n')
        return OK;
    if ((e = pgrows_describe(&s->rows, head->view, &part, body)) == OK)
        return OK;
    pgrows_forget(&s->rows);
    s->rows_refused = true;
    return e == ERR_NOMEM ? pgsession_fatal(s, e, "53200") : OK;
}

enum err
pgdeliver_description(struct pgsession *s, unsigned char type, uint32_t body_len)
{
    const struct pganswer *head;
    struct str body;
    enum err e;

    s->rows_refused = false;
    if ((e = pgrecord_description(s, type, body_len)) != OK)
        return e;
    head = pganswers_head(&s->answers);
    if (head->view == NULL)
        return pass_described(s, body_len);
    if (body_len > PGROWS_DESCRIPTION_MAX) {
        s->rows_refused = true;
        return pass_described(s, body_len);
    }
    if ((e = pglane_body(&s->down, body_len, &body)) != OK ||
        (e = note_description(s, type, body)) != OK)
        return e;
    if (s->rows_refused && !pganswers_head(&s->answers)->ours)
        return refuse_answer(s, body_len, err_text());
    return pass_described(s, body_len);
}

/* Rows. */

enum err
pgdeliver_end(struct pgsession *s)
{
    struct pganswer *head = pganswers_head(&s->answers);

    head->masked += s->rows.masked;
    head->findings += s->rows.findings;
    pgrows_forget(&s->rows);
    s->rows_refused = false;
    return pgrecord_end(s);
}

/* [waits] The row goes on as it is. */
static enum err
pass_row(struct pgsession *s, uint32_t body_len, uint64_t rows)
{
    struct pganswer *head = pganswers_head(&s->answers);
    struct pgview_part part = part_of(head);
    const char *limit = pglimit_passed(s, &part, rows, PGWIRE_HEADER_BYTES + (uint64_t)body_len);
    enum err e;

    if (limit != NULL)
        return stop_for_limit(s, body_len, limit);
    if ((e = pgrecord_passing(s, body_len,
                              s->rows.kind == PGROWS_COPY_TEXT ||
                                  s->rows.kind == PGROWS_COPY_BINARY)) != OK)
        return e;
    head = pganswers_head(&s->answers);
    head->bytes += PGWIRE_HEADER_BYTES + (uint64_t)body_len;
    return pglane_stream(&s->down, body_len);
}

/* [waits] The row, of a DataRow or CopyData, goes on rewritten. */
static enum err
rewrite_row(struct pgsession *s, uint32_t body_len)
{
    struct pganswer *head;
    struct pgview_part part;
    struct buf *out;
    const char *limit;
    struct str body;
    uint64_t rows = 1;
    size_t start;
    enum err e;

    if ((e = pglane_body(&s->down, body_len, &body)) != OK)
        return e;
    out = pglane_rewrite(&s->down);
    start = out->len;
    e = s->rows.kind == PGROWS_TABLE ? pgrows_put_row(&s->rows, body, out)
                                     : pgrows_put_copy(&s->rows, body, out, &rows);
    if (e != OK)
        return refuse_row(s, body_len, e);
    head = pganswers_head(&s->answers);
    part = part_of(head);
    if ((limit = pglimit_passed(s, &part, rows, out->len - start)) != NULL) {
        out->len = start;
        return stop_for_limit(s, body_len, limit);
    }
    head->bytes += out->len - start;
    e = pgrecord_rewritten(s, str_skip(buf_str(out), start + PGWIRE_HEADER_BYTES),
                           s->rows.kind != PGROWS_TABLE);
    return e == OK ? pglane_rewritten(&s->down, body_len) : e;
}

/* Rows that are too large for one piece: nothing in them is hidden, so lengths stay and detectors
 * overwrite bytes on their way. */

struct large_row {
    struct pgsession *s;
    struct detect_scan *scan;
    struct buf *out;
    size_t left; /* of the message */
};

/* [waits] */
static enum err
take_exactly(struct large_row *l, size_t n, unsigned char *to)
{
    while (n > 0) {
        struct str piece;
        enum err e;

        if ((e = pglane_take(&l->s->down, n, &piece)) != OK)
            return e;
        memcpy(to, piece.ptr, piece.len);
        buf_put_str(l->out, piece);
        to += piece.len;
        n -= piece.len;
    }
    return OK;
}

/* [waits] The next `n` bytes are one value. */
static enum err
scan_value(struct large_row *l, size_t n)
{
    uint64_t hits[DETECT_RULES_MAX] = {0};
    enum err e;

    while (n > 0) {
        struct str piece;

        if ((e = pglane_take(&l->s->down, n, &piece)) != OK ||
            (e = detect_scan_feed(l->scan, piece, l->out, hits)) != OK ||
            (e = pglane_rewritten_piece(&l->s->down, false)) != OK)
            return e;
        n -= piece.len;
    }
    if ((e = detect_scan_end(l->scan, l->out, hits)) != OK)
        return e;
    for (size_t i = 0; i < sizeof(hits) / sizeof(hits[0]); i++)
        l->s->rows.findings += hits[i];
    return OK;
}

/* [waits] */
static enum err
scan_cells(struct large_row *l, uint16_t columns)
{
    enum err e = OK;

    if (columns != l->s->rows.n)
        return fail(ERR_PROTOCOL, "a row is not what was described");
    l->left -= 2;
    for (size_t i = 0; e == OK && i < l->s->rows.n; i++) {
        unsigned char bytes[4];
        struct cursor c = cursor_make((struct str){(const char *)bytes, sizeof(bytes)});
        uint32_t length;

        if (l->left < sizeof(bytes))
            return fail(ERR_PROTOCOL, "a row is not what was described");
        if ((e = take_exactly(l, sizeof(bytes), bytes)) != OK)
            return e;
        l->left -= sizeof(bytes);
        length = cursor_u32(&c);
        if (length == UINT32_MAX)
            continue;
        if (length > l->left)
            return fail(ERR_PROTOCOL, "a row is not what was described");
        l->left -= length;
        e = scan_value(l, length);
    }
    if (e == OK && l->left > 0)
        return fail(ERR_PROTOCOL, "a row is not what was described");
    return e;
}

/* [waits] A DataRow, or one line of COPY. */
static enum err
scan_large_row(struct pgsession *s, uint32_t body_len)
{
    bool table = s->rows.kind == PGROWS_TABLE;
    struct large_row l = {.s = s, .out = pglane_rewrite(&s->down), .left = body_len};
    unsigned char head[PGWIRE_HEADER_BYTES + 2];
    enum err e;

    if ((e = detect_scan_open(s->rows.detectors, &l.scan)) != OK)
        return pgsession_fatal(s, e, "53200");
    e = take_exactly(&l, table ? sizeof(head) : PGWIRE_HEADER_BYTES, head);
    if (e == OK)
        e = table ? scan_cells(&l, (uint16_t)(head[PGWIRE_HEADER_BYTES] << 8 |
                                              head[PGWIRE_HEADER_BYTES + 1]))
                  : scan_value(&l, body_len);
    detect_scan_close(l.scan);
    if (e == OK)
        e = pglane_rewritten_piece(&s->down, true);
    if (e == ERR_PROTOCOL) /* a part of it is with the client */
        return pgsession_fatal(s, e, "08P01");
    return e;
}

/* [waits] */
static enum err
serve_large_row(struct pgsession *s, uint32_t body_len)
{
    struct pganswer *head = pganswers_head(&s->answers);
    struct pgview_part part = part_of(head);
    const char *limit;
    enum err e;

    if (s->rows.hides || s->rows.kind == PGROWS_COPY_BINARY || s->rows.detectors == NULL)
        return refuse_size(s, body_len);
    limit = pglimit_passed(s, &part, 1, PGWIRE_HEADER_BYTES + (uint64_t)body_len);
    if (limit != NULL)
        return stop_for_limit(s, body_len, limit);
    head->bytes += PGWIRE_HEADER_BYTES + (uint64_t)body_len;
    if ((e = pgrecord_unseen(s, s->rows.kind == PGROWS_TABLE ? s->rows.n : 1)) != OK)
        return e;
    return scan_large_row(s, body_len);
}

enum err
pgdeliver_row(struct pgsession *s, uint32_t body_len)
{
    struct pganswer *head = pganswers_head(&s->answers);
    enum err e;

    if (head->view == NULL) {
        if ((e = pgrecord_passing(s, body_len, false)) != OK)
            return e;
        head = pganswers_head(&s->answers);
        head->delivered++;
        head->bytes += PGWIRE_HEADER_BYTES + (uint64_t)body_len;
        return pglane_stream(&s->down, body_len);
    }
    if (s->rows_refused || (s->rows.kind != PGROWS_TABLE && pgview_wants_description(head->view)))
        return refuse_answer(s, body_len, "rows without a description that fits");
    if (!s->rows.rewrites)
        return pass_row(s, body_len, 1);
    return body_len <= PGROWS_ROW_MAX ? rewrite_row(s, body_len) : serve_large_row(s, body_len);
}

/* COPY. */

enum err
pgdeliver_copy_begin(struct pgsession *s, uint32_t body_len)
{
    const struct pganswer *head = pganswers_head(&s->answers);
    struct pgview_part part;
    struct str body;
    enum err e;

    if (head->view == NULL)
        return pglane_stream(&s->down, body_len);
    if ((e = pglane_body(&s->down, body_len, &body)) != OK)
        return e;
    head = pganswers_head(&s->answers);
    part = part_of(head);
    if ((e = pgrows_describe_copy(&s->rows, head->view, &part, body)) != OK)
        return refuse_row(s, body_len, e);
    return pglane_stream(&s->down, body_len);
}

enum err
pgdeliver_copy_data(struct pgsession *s, uint32_t body_len)
{
    struct pganswer *head = pganswers_head(&s->answers);
    bool names = s->rows.kind == PGROWS_COPY_TEXT && !s->rows.begun && s->rows.copy.header;
    enum err e;

    if (head->view == NULL) {
        if ((e = pgrecord_passing(s, body_len, true)) != OK)
            return e;
        head = pganswers_head(&s->answers);
        head->delivered++;
        head->bytes += PGWIRE_HEADER_BYTES + (uint64_t)body_len;
        return pglane_stream(&s->down, body_len);
    }
    if (!s->rows.rewrites) {
        s->rows.begun = true;
        return pass_row(s, body_len, names ? 0 : 1);
    }
    return body_len <= PGROWS_ROW_MAX ? rewrite_row(s, body_len) : serve_large_row(s, body_len);
}
