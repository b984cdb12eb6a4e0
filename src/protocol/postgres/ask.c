#include "protocol/postgres/ask.h"

#include "protocol/postgres/wait.h"

enum { OVERHEAD_BYTES = 512 }; /* of all messages of a question */

const struct str pgask_name = STR_INIT("bulkhead asks this");

/* Takes the entries of an asker that has gone. */
static struct pgask nobody;

static void
push(struct pgsession *s, struct pgask *ask, enum pgwire_expected kind)
{
    struct pganswer answer = {.kind = kind, .ask = ask};

    pganswers_push(&s->answers, &answer);
    ask->entries++;
}

static void
put_simply(struct pgsession *s, struct pgask *ask, struct str sql, struct buf *out)
{
    pgwire_put_query(out, sql);
    push(s, ask, PGWIRE_OF_QUERY);
    pgwait_begin_segment(s);
}

/* As a statement and a portal of reserved names, which leaves the client's own ones alone. */
static void
put_extended(struct pgsession *s, struct pgask *ask, struct str sql, struct buf *out)
{
    pgwire_put_parse(out, pgask_name, sql);
    push(s, ask, PGWIRE_OF_PARSE);
    pgwire_put_bind(out, pgask_name, pgask_name);
    push(s, ask, PGWIRE_OF_BIND);
    pgwire_put_execute(out, pgask_name);
    push(s, ask, PGWIRE_OF_EXECUTE);
    pgwire_put_target(out, 'C', 'P', pgask_name);
    push(s, ask, PGWIRE_OF_CLOSE);
    pgwire_put_target(out, 'C', 'S', pgask_name);
    push(s, ask, PGWIRE_OF_CLOSE);
    if (!ask->apart) {
        pgwire_put_plain(out, 'H', STR(""));
        return;
    }
    pgwire_put_plain(out, 'S', STR(""));
    push(s, ask, PGWIRE_OF_SYNC);
    pgwait_begin_segment(s);
}

/* A simple Query would take the client's unnamed statement and portal away. */
static bool
has_unnamed(const struct pgsession *s)
{
    return pgnames_get(s->statements, STR("")) != NULL || pgnames_get(s->portals, STR("")) != NULL;
}

static enum err
send_question(struct pgsession *s, struct str sql, struct pgask *ask)
{
    struct buf out = buf_make(sql.len + OVERHEAD_BYTES);
    enum err e;

    ask->apart = pgwait_between_segments(s);
    if (ask->apart && !ask->one && !has_unnamed(s))
        put_simply(s, ask, sql, &out);
    else
        put_extended(s, ask, sql, &out);
    if ((e = buf_ok(&out)) == OK)
        e = pglane_insert(&s->up, buf_str(&out));
    buf_free(&out);
    return e;
}

enum err
pgask(struct pgsession *s, struct str sql, struct pgask *ask)
{
    enum err e;

    if ((e = pgwait_room(s, PGASK_ENTRIES_MAX + 1)) != OK)
        return e;
    if ((ask->skipped = s->skipping)) /* nothing would run */
        return fail(ERR_DENIED, "an earlier message failed");
    e = send_question(s, sql, ask);
    while (e == OK && ask->entries > 0)
        e = pgwait_progress(s);
    if (e == OK)
        e = pgwait_room(s, 1); /* for the present message, as before */
    if (e != OK) {
        pganswers_redirect(&s->answers, ask, &nobody);
        return e;
    }
    if (ask->failed)
        return fail(ERR_DENIED, "SQLSTATE %s", ask->sqlstate);
    if (ask->skipped)
        return fail(ERR_DENIED, "an earlier message failed");
    return ask->too_long ? fail(ERR_LIMIT, "an answer of more than %d bytes", PGASK_BODY_MAX) : OK;
}

/* Rows into an arena. */

struct row {
    struct row *next;
    struct str fields[];
};

struct collection {
    struct arena *arena;
    struct row *first, **last;
    size_t n_rows, n_columns;
    enum err result;
};

static enum err
read_fields(struct collection *c, struct cursor *body, struct row *row)
{
    for (size_t i = 0; i < c->n_columns; i++) {
        uint32_t length = cursor_u32(body);

        if (length == UINT32_MAX)
            continue;
        row->fields[i] = arena_str(c->arena, cursor_bytes(body, length));
        if (row->fields[i].ptr == NULL)
            return fail(ERR_LIMIT, "an answer that is too large");
    }
    return cursor_done(body) ? OK : fail(ERR_PROTOCOL, "invalid DataRow");
}

static void
collect(void *arg, unsigned char type, struct str bytes)
{
    struct collection *c = arg;
    struct cursor body = cursor_make(bytes);
    struct row *row;

    if (type != 'D' || c->result != OK)
        return;
    if (cursor_u16(&body) != c->n_columns) {
        c->result = fail(ERR_PROTOCOL, "an answer with other columns");
        return;
    }
    row = arena_alloc(c->arena, sizeof(*row) + c->n_columns * sizeof(row->fields[0]));
    if (row == NULL) {
        c->result = fail(ERR_LIMIT, "an answer that is too large");
        return;
    }
    if ((c->result = read_fields(c, &body, row)) != OK)
        return;
    *c->last = row;
    c->last = &row->next;
    c->n_rows++;
}

static enum err
lay_out(const struct collection *c, struct pgask_rows *out)
{
    struct str *fields = arena_array(c->arena, c->n_rows * c->n_columns + 1, sizeof(*fields));

    if (fields == NULL)
        return fail(ERR_LIMIT, "an answer that is too large");
    *out = (struct pgask_rows){fields, c->n_rows, c->n_columns};
    for (const struct row *row = c->first; row != NULL; row = row->next) {
        memcpy(fields, row->fields, c->n_columns * sizeof(*fields));
        fields += c->n_columns;
    }
    return OK;
}

static enum err
ask_for_rows(struct pgsession *s, struct str sql, bool one, size_t n_columns, struct arena *arena,
             struct pgask_rows *out, char sqlstate[PGSQLSTATE_LEN + 1])
{
    struct collection c = {.arena = arena, .n_columns = n_columns, .last = &c.first};
    struct pgask ask = {.message = collect, .arg = &c, .one = one};
    enum err e = pgask(s, sql, &ask);

    *out = (struct pgask_rows){0};
    if (sqlstate != NULL)
        memcpy(sqlstate, ask.sqlstate, sizeof(ask.sqlstate));
    if (e == OK && c.result != OK)
        e = c.result == ERR_PROTOCOL ? fail(ERR_PROTOCOL, "an answer with other columns")
                                     : fail(ERR_LIMIT, "an answer that is too large");
    return e == OK ? lay_out(&c, out) : e;
}

enum err
pgask_for_rows(struct pgsession *s, struct str sql, size_t n_columns, struct arena *arena,
               struct pgask_rows *out, char sqlstate[PGSQLSTATE_LEN + 1])
{
    return ask_for_rows(s, sql, false, n_columns, arena, out, sqlstate);
}

enum err
pgask_for_rows_of_one(struct pgsession *s, struct str sql, size_t n_columns, struct arena *arena,
                      struct pgask_rows *out, char sqlstate[PGSQLSTATE_LEN + 1])
{
    return ask_for_rows(s, sql, true, n_columns, arena, out, sqlstate);
}
