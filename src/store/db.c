#include "store/db.h"

#include <assert.h>

#include "store/db_backend.h"

static enum err
check_param(const struct db_param *p)
{
    if (p->bytes.len > DB_VALUE_MAX)
        return fail(ERR_LIMIT, "a value of %zu bytes is too long for the store", p->bytes.len);
    if (p->type != DB_TEXT)
        return OK;
    if (!str_is_utf8(p->bytes) || str_index(p->bytes, '\0') != p->bytes.len)
        return fail(ERR_INVALID, "a text for the store is not UTF-8, or has a NUL");
    return OK;
}

static enum err
exec(struct db *db, const char *sql, bool keep, const struct db_param *params, size_t n,
     db_row_fn row, void *arg, uint64_t *changed)
{
    enum err e = OK;

    assert(n <= DB_PARAMS_MAX);
    assert(!db->in_transaction || !db->failed);
    for (size_t i = 0; e == OK && i < n; i++)
        e = check_param(&params[i]);
    if (e == OK)
        e = db->ops->exec(db, sql, keep, params, n, row, arg, changed);
    if (e != OK)
        db->failed = true;
    return e;
}

enum err
db_exec(struct db *db, const char *sql, const struct db_param *params, size_t n, db_row_fn row,
        void *arg, uint64_t *changed)
{
    return exec(db, sql, true, params, n, row, arg, changed);
}

enum err
db_exec_once(struct db *db, const char *sql)
{
    return exec(db, sql, false, NULL, 0, NULL, NULL, NULL);
}

static enum err
begin(struct db *db, bool alone)
{
    enum err e;

    assert(!db->in_transaction);
    if ((e = db->ops->begin(db, alone)) != OK)
        return e;
    db->in_transaction = true;
    db->failed = false;
    return OK;
}

enum err
db_begin(struct db *db)
{
    return begin(db, false);
}

enum err
db_begin_alone(struct db *db)
{
    return begin(db, true);
}

enum err
db_commit(struct db *db)
{
    assert(db->in_transaction && !db->failed);
    db->in_transaction = false;
    return db->ops->commit(db);
}

void
db_rollback(struct db *db)
{
    if (!db->in_transaction)
        return;
    db->in_transaction = false;
    db->ops->rollback(db);
}

bool
db_in_transaction(const struct db *db)
{
    return db->in_transaction;
}

enum db_kind
db_kind(const struct db *db)
{
    return db->kind;
}

void
db_close(struct db *db)
{
    if (db == NULL)
        return;
    db_rollback(db);
    db->ops->close(db);
}

int64_t
db_row_int(const struct db_row *row, unsigned column)
{
    return row->db->ops->row_int(row, column);
}

struct str
db_row_text(const struct db_row *row, unsigned column)
{
    return row->db->ops->row_bytes(row, column);
}

struct str
db_row_blob(const struct db_row *row, unsigned column)
{
    return row->db->ops->row_bytes(row, column);
}
