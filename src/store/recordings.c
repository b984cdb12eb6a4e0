#include "store/recordings.h"

#include "store/row.h"

#define COLUMNS                                                                                    \
    "session, path, bytes, chunks, delivered, started_us, ended_us, retain_until_us, legal_hold,"  \
    " uploaded_us, is_local"

static enum err
read_recording(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct recording *c = out;

    c->session = row_session(&r);
    c->path = row_text(&r);
    c->bytes = (uint64_t)row_int(&r);
    c->chunks = (uint64_t)row_int(&r);
    c->rows = (uint64_t)row_int(&r);
    c->started_us = row_int(&r);
    c->ended_us = row_int(&r);
    c->retain_until_us = row_int(&r);
    c->legal_hold = row_bool(&r);
    c->uploaded_us = row_int(&r);
    c->local = row_bool(&r);
    return r.e;
}

static struct row_list
recordings_in(struct arena *arena)
{
    return (struct row_list){.arena = arena,
                             .read = read_recording,
                             .size = sizeof(struct recording),
                             .max = STORE_LIST_MAX};
}

static enum err
give(enum err e, const struct row_list *list, struct recording_list *out)
{
    *out = (struct recording_list){(const struct recording *)(void *)list->items, list->n};
    return e;
}

enum err
recordings_put(struct db *db, const struct recording *r)
{
    char id[17];

    store_session_text(r->session, id);
    return db_exec(
        db,
        "INSERT INTO recordings (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8,"
        " CASE WHEN $9 <> 0 THEN 1 ELSE"
        " (SELECT COALESCE(MAX(legal_hold), 0) FROM recordings WHERE session = $1) END, $10, $11)"
        " ON CONFLICT (session, path) DO UPDATE SET bytes = excluded.bytes,"
        " chunks = excluded.chunks, delivered = excluded.delivered,"
        " started_us = excluded.started_us, ended_us = excluded.ended_us,"
        " retain_until_us = excluded.retain_until_us, uploaded_us = excluded.uploaded_us,"
        " is_local = excluded.is_local",
        DB_PARAMS(db_text(str_from(id)), db_text(r->path), db_int((int64_t)r->bytes),
                  db_int((int64_t)r->chunks), db_int((int64_t)r->rows), db_int(r->started_us),
                  db_int(r->ended_us), db_int(r->retain_until_us), db_int(r->legal_hold),
                  db_int(r->uploaded_us), db_int(r->local)),
        NULL, NULL, NULL);
}

enum err
recordings_of(struct db *db, uint64_t session, struct arena *arena, struct recording_list *out)
{
    struct row_list list = recordings_in(arena);
    char id[17];

    store_session_text(session, id);
    return give(db_exec(db,
                        "SELECT " COLUMNS " FROM recordings WHERE session = $1"
                        " ORDER BY started_us, path LIMIT $2",
                        DB_PARAMS(db_text(str_from(id)), db_int(STORE_LIST_MAX)), row_list_add,
                        &list, NULL),
                &list, out);
}

enum err
recordings_set_legal_hold(struct db *db, uint64_t session, bool on)
{
    char id[17];

    store_session_text(session, id);
    return row_change(db, "there is no recording of that session",
                      "UPDATE recordings SET legal_hold = $2 WHERE session = $1",
                      DB_PARAMS(db_text(str_from(id)), db_int(on)));
}

enum err
recordings_set_uploaded(struct db *db, uint64_t session, struct str path, int64_t at_us, bool local)
{
    char id[17];

    store_session_text(session, id);
    return row_change(
        db, "there is no such recording",
        "UPDATE recordings SET uploaded_us = $3, is_local = $4 WHERE session = $1"
        " AND path = $2",
        DB_PARAMS(db_text(str_from(id)), db_text(path), db_int(at_us), db_int(local)));
}

enum err
recordings_due(struct db *db, int64_t now_us, unsigned limit, struct arena *arena,
               struct recording_list *out)
{
    struct row_list list = recordings_in(arena);

    return give(
        db_exec(db,
                "SELECT " COLUMNS " FROM recordings WHERE ended_us <> 0"
                " AND retain_until_us <= $1 AND legal_hold = 0"
                " ORDER BY retain_until_us LIMIT $2",
                DB_PARAMS(db_int(now_us), db_int(limit > STORE_LIST_MAX ? STORE_LIST_MAX : limit)),
                row_list_add, &list, NULL),
        &list, out);
}

enum err
recordings_to_upload(struct db *db, unsigned limit, struct arena *arena, struct recording_list *out)
{
    struct row_list list = recordings_in(arena);

    return give(db_exec(db,
                        "SELECT " COLUMNS " FROM recordings WHERE uploaded_us = 0 AND ended_us <> 0"
                        " ORDER BY ended_us LIMIT $1",
                        DB_PARAMS(db_int(limit > STORE_LIST_MAX ? STORE_LIST_MAX : limit)),
                        row_list_add, &list, NULL),
                &list, out);
}

enum err
recordings_delete(struct db *db, uint64_t session, struct str path)
{
    uint64_t changed = 0;
    char id[17];
    enum err e;

    store_session_text(session, id);
    e = db_exec(db, "DELETE FROM recordings WHERE session = $1 AND path = $2 AND legal_hold = 0",
                DB_PARAMS(db_text(str_from(id)), db_text(path)), NULL, NULL, &changed);
    if (e == OK && changed == 0)
        return fail(ERR_DENIED, "the recording is under a legal hold, or there is none");
    return e;
}
