/* store/db.h - one connection to the database that keeps control's state: SQLite, or PostgreSQL
 * for several nodes. The same SQL goes to both: `$1` parameters, RETURNING, ON CONFLICT, columns
 * BIGINT, TEXT and BYTEA. Everything here blocks, for seconds at most (DB_WAIT_MS for each
 * statement); a connection is used by one thread. The typed functions of this room are built on it;
 * other rooms only pass it on, and use transactions where several of them must hold together. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include "base/err.h"
#include "base/str.h"

struct db;

enum {
    DB_WAIT_MS = 2000,       /* for a connection, an answer, or a lock that another holds */
    DB_PARAMS_MAX = 64,      /* of one statement */
    DB_VALUE_MAX = 9 << 20,  /* bytes of one value, read or written */
    DB_STATEMENTS_MAX = 160, /* prepared and kept */
};

enum db_kind { DB_SQLITE, DB_POSTGRESQL };

enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BLOB };
struct db_param {
    enum db_type type;
    int64_t number;
    struct str bytes; /* a TEXT is UTF-8 without NUL */
};

static inline struct db_param
db_int(int64_t number)
{
    return (struct db_param){.type = DB_INT, .number = number};
}

static inline struct db_param
db_text(struct str text)
{
    return (struct db_param){.type = DB_TEXT, .bytes = text};
}

static inline struct db_param
db_blob(struct str bytes)
{
    return (struct db_param){.type = DB_BLOB, .bytes = bytes};
}

static inline struct db_param
db_null(void)
{
    return (struct db_param){.type = DB_NULL};
}

/* A row of an answer. What it gives is borrowed until the callback returns; a NULL reads as 0 or
 * as the empty string. */
struct db_row;
int64_t db_row_int(const struct db_row *row, unsigned column);
struct str db_row_text(const struct db_row *row, unsigned column);
struct str db_row_blob(const struct db_row *row, unsigned column);

/* Called for each row; a failure ends the statement and is its result. It must not use the
 * connection. */
typedef enum err (*db_row_fn)(void *arg, const struct db_row *row);

/* Opens or creates the file with mode 0600, write-ahead log, synchronous=FULL. `*out` is the
 * caller's, to be ended with db_close(). ERR_IO, ERR_INVALID (not a database), ERR_NOMEM. */
enum err db_open_sqlite(struct str path, struct db **out);

/* Connects; `connection` is libpq's string, `password` (may be empty) is copied and zeroed at the
 * end. ERR_UNAVAILABLE, ERR_INVALID, ERR_NOMEM. A connection that breaks later is made again by
 * itself; see db_exec(). */
enum err db_open_postgresql(struct str connection, struct str password, struct db **out);

/* NULL is allowed. What is not committed is not kept. */
void db_close(struct db *db);

enum db_kind db_kind(const struct db *db);

/* Runs one statement. `sql` is a text of the program that never changes: it is prepared once. `row`
 * may be NULL; `*changed` (may be NULL) gets the number of rows that it wrote.
 * ERR_EXISTS (a unique key), ERR_INVALID (another constraint, a text that is not UTF-8 or has a
 * NUL), ERR_LIMIT (a value beyond DB_VALUE_MAX), ERR_TIMEOUT (locked by another for too long),
 * ERR_UNAVAILABLE (no connection: outside a transaction it is not known whether a statement that
 * writes was done; within one nothing of it is kept, and only db_rollback() may follow), ERR_IO,
 * ERR_NOMEM. After any failure within a transaction: db_rollback(). */
enum err db_exec(struct db *db, const char *sql, const struct db_param *params, size_t n,
                 db_row_fn row, void *arg, uint64_t *changed);

/* `params, n` of db_exec(), written in place: DB_PARAMS(db_int(1), db_text(id)). */
#define DB_PARAMS(...)                                                                             \
    (const struct db_param[]){__VA_ARGS__},                                                        \
        sizeof((const struct db_param[]){__VA_ARGS__}) / sizeof(struct db_param)

/* A transaction that writes; not nested. ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_IO. */
enum err db_begin(struct db *db);

/* The same, excluding everybody else who begins so (migrations). */
enum err db_begin_alone(struct db *db);

/* OK: it is on the disk. ERR_UNAVAILABLE: nothing was kept. If the connection broke while
 * committing, a new one asks what became of it; ERR_CANCELED: that could not be learnt, so look
 * into the database before acting on either. Ends the transaction in every case. */
enum err db_commit(struct db *db);

/* Ends the transaction, if there is one; nothing of it is kept. */
void db_rollback(struct db *db);

bool db_in_transaction(const struct db *db);

#endif
