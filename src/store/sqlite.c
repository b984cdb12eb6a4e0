#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/db_backend.h"

struct kept {
    const char *sql;
    sqlite3_stmt *statement;
};

struct sqlite {
    struct db db;
    sqlite3 *handle;
    struct kept kept[DB_STATEMENTS_MAX];
    size_t n_kept;
    size_t evict; /* the next to give way when all places are taken */
};

static enum err
error_code(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_TIMEOUT;
    case SQLITE_CONSTRAINT:
        return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY
                   ? ERR_EXISTS
                   : ERR_INVALID;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

static enum err
failed(struct sqlite *s, const char *doing)
{
    enum err e = error_code(sqlite3_extended_errcode(s->handle));

    if (e == ERR_TIMEOUT)
        return fail(e, "store: %s: another process holds the database locked", doing);
    return fail(e, "store: %s: %s", doing, sqlite3_errmsg(s->handle));
}

static enum err
prepare(struct sqlite *s, const char *sql, bool keep, sqlite3_stmt **out)
{
    size_t at = s->n_kept;

    for (size_t i = 0; keep && i < s->n_kept; i++) {
        if (s->kept[i].sql == sql) {
            *out = s->kept[i].statement;
            return OK;
        }
    }
    if (sqlite3_prepare_v3(s->handle, sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, out, NULL) !=
        SQLITE_OK)
        return failed(s, "preparing a statement");
    if (!keep)
        return OK;
    if (at == DB_STATEMENTS_MAX) {
        at = s->evict++ % DB_STATEMENTS_MAX;
        sqlite3_finalize(s->kept[at].statement);
    } else {
        s->n_kept++;
    }
    s->kept[at] = (struct kept){sql, *out};
    return OK;
}

/* `$1` is a name to SQLite: its place is that of its first mention. */
static enum err
bind_param(struct sqlite *s, sqlite3_stmt *statement, size_t number, const struct db_param *p)
{
    char name[24];
    int at, code;

    (void)snprintf(name, sizeof(name), "$%zu", number);
    if ((at = sqlite3_bind_parameter_index(statement, name)) == 0)
        return fail(ERR_INVALID, "store: a statement has no parameter %s", name);
    switch (p->type) {
    case DB_INT:
        code = sqlite3_bind_int64(statement, at, p->number);
        break;
    case DB_TEXT:
        code = sqlite3_bind_text(statement, at, p->bytes.len == 0 ? "" : p->bytes.ptr,
                                 (int)p->bytes.len, SQLITE_STATIC);
        break;
    case DB_BLOB:
        code = sqlite3_bind_blob(statement, at, p->bytes.len == 0 ? "" : p->bytes.ptr,
                                 (int)p->bytes.len, SQLITE_STATIC);
        break;
    default:
        code = sqlite3_bind_null(statement, at);
    }
    return code == SQLITE_OK ? OK : failed(s, "binding a value");
}

static enum err
step_all(struct sqlite *s, sqlite3_stmt *statement, db_row_fn row, void *arg)
{
    const struct db_row r = {.db = &s->db, .answer = statement};
    enum err e;
    int code;

    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (row != NULL && (e = row(arg, &r)) != OK)
            return e;
    return code == SQLITE_DONE ? OK : failed(s, "running a statement");
}

static enum err
sqlite_exec(struct db *db, const char *sql, bool keep, const struct db_param *params, size_t n,
            db_row_fn row, void *arg, uint64_t *changed)
{
    struct sqlite *s = (struct sqlite *)db;
    sqlite3_stmt *statement = NULL;
    int64_t before = sqlite3_total_changes64(s->handle);
    enum err e = prepare(s, sql, keep, &statement);

    if (e != OK)
        return e;
    for (size_t i = 0; e == OK && i < n; i++)
        e = bind_param(s, statement, i + 1, &params[i]);
    if (e == OK)
        e = step_all(s, statement, row, arg);
    if (keep) {
        (void)sqlite3_reset(statement);
        (void)sqlite3_clear_bindings(statement);
    } else {
        (void)sqlite3_finalize(statement);
    }
    if (e == OK && changed != NULL) /* without what foreign keys took along */
        *changed = sqlite3_total_changes64(s->handle) == before
                       ? 0
                       : (uint64_t)sqlite3_changes64(s->handle);
    return e;
}

static enum err
sqlite_begin(struct db *db, bool alone)
{
    (void)alone; /* there is one writer at a time in any case */
    return sqlite_exec(db, "BEGIN IMMEDIATE", true, NULL, 0, NULL, NULL, NULL);
}

static void
sqlite_rollback(struct db *db)
{
    struct sqlite *s = (struct sqlite *)db;

    if (sqlite3_get_autocommit(s->handle) == 0) /* some errors have rolled back already */
        err_ignore(sqlite_exec(db, "ROLLBACK", true, NULL, 0, NULL, NULL, NULL));
}

static enum err
sqlite_commit(struct db *db)
{
    struct err_slot slot = {0}, *mine;
    enum err e = sqlite_exec(db, "COMMIT", true, NULL, 0, NULL, NULL, NULL);

    if (e == OK)
        return OK;
    mine = err_slot_switch(&slot); /* the reason is not to be lost */
    sqlite_rollback(db);
    (void)err_slot_switch(mine);
    return e;
}

static void
sqlite_close(struct db *db)
{
    struct sqlite *s = (struct sqlite *)db;

    for (size_t i = 0; i < s->n_kept; i++)
        (void)sqlite3_finalize(s->kept[i].statement);
    (void)sqlite3_close_v2(s->handle);
    free(s);
}

static int64_t
sqlite_row_int(const struct db_row *row, unsigned column)
{
    return sqlite3_column_int64(row->answer, (int)column);
}

static struct str
sqlite_row_bytes(const struct db_row *row, unsigned column)
{
    const void *bytes = sqlite3_column_blob(row->answer, (int)column);
    int n = sqlite3_column_bytes(row->answer, (int)column);

    return bytes == NULL ? (struct str){"", 0} : (struct str){bytes, (size_t)n};
}

static const struct db_ops sqlite_ops = {
    .exec = sqlite_exec,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .close = sqlite_close,
    .row_int = sqlite_row_int,
    .row_bytes = sqlite_row_bytes,
};

/* The file exists afterwards and is its owner's alone; SQLite gives its log the same mode. An
 * existing one is not opened: closing it again would drop the locks that other connections of this
 * process have on it. */
static enum err
make_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0) {
        (void)close(fd);
        return OK;
    }
    if (errno != EEXIST)
        return fail_errno(ERR_IO, "store: cannot make %s", path);
    if (stat(path, &st) != 0)
        return fail_errno(ERR_IO, "store: %s", path);
    if (!S_ISREG(st.st_mode))
        return fail(ERR_INVALID, "store: %s is not a file", path);
    if ((st.st_mode & 0077) != 0 && chmod(path, 0600) != 0)
        return fail_errno(ERR_IO, "store: cannot make %s private", path);
    return OK;
}

static enum err
wal_row(void *arg, const struct db_row *row)
{
    bool *wal = arg;

    *wal = str_is(db_row_text(row, 0), "wal");
    return OK;
}

static enum err
set_up(struct sqlite *s)
{
    static const char *const pragmas[] = {
        "PRAGMA synchronous = FULL",   "PRAGMA foreign_keys = ON",
        "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON",
        "PRAGMA temp_store = MEMORY",  "PRAGMA journal_size_limit = 16777216",
    };
    bool wal = false;
    enum err e;

    if (sqlite3_busy_timeout(s->handle, DB_WAIT_MS) != SQLITE_OK ||
        sqlite3_extended_result_codes(s->handle, 1) != SQLITE_OK ||
        sqlite3_db_config(s->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK)
        return failed(s, "opening");
    (void)sqlite3_limit(s->handle, SQLITE_LIMIT_LENGTH, DB_VALUE_MAX + (1 << 20));
    (void)sqlite3_limit(s->handle, SQLITE_LIMIT_ATTACHED, 0);
    if ((e = sqlite_exec(&s->db, "PRAGMA journal_mode = WAL", false, NULL, 0, wal_row, &wal,
                         NULL)) != OK)
        return e;
    if (!wal)
        return fail(ERR_IO, "store: the file system does not allow SQLite's write-ahead log");
    for (size_t i = 0; i < sizeof(pragmas) / sizeof(*pragmas); i++)
        if ((e = db_exec_once(&s->db, pragmas[i])) != OK)
            return e;
    return OK;
}

enum err
db_open_sqlite(struct str path, struct db **out)
{
    struct sqlite *s = calloc(1, sizeof(*s));
    char *name = calloc(1, path.len + 1);
    enum err e = s == NULL || name == NULL ? fail(ERR_NOMEM, "no memory") : OK;

    if (e == OK) {
        memcpy(name, path.ptr, path.len);
        e = make_file(name);
    }
    if (e == OK) {
        s->db = (struct db){.ops = &sqlite_ops, .kind = DB_SQLITE};
        if (sqlite3_open_v2(name, &s->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK)
            e = s->handle == NULL ? fail(ERR_NOMEM, "no memory") : failed(s, name);
        else
            e = set_up(s);
    }
    free(name);
    if (e == OK)
        *out = &s->db;
    else if (s != NULL)
        sqlite_close(&s->db);
    return e;
}
