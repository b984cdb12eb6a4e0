/* store/db_backend.h - inside this room only: what a kind of database must be able to do. db.c has
 * checked parameters and the order of calls before. */
#ifndef STORE_DB_BACKEND_H
#define STORE_DB_BACKEND_H

#include "store/db.h"

struct db_ops {
    /* `keep`: prepare once; else the text is used once. */
    enum err (*exec)(struct db *db, const char *sql, bool keep, const struct db_param *params,
                     size_t n, db_row_fn row, void *arg, uint64_t *changed);
    enum err (*begin)(struct db *db, bool alone);
    enum err (*commit)(struct db *db);
    void (*rollback)(struct db *db);
    void (*close)(struct db *db);
    int64_t (*row_int)(const struct db_row *row, unsigned column);
    struct str (*row_bytes)(const struct db_row *row, unsigned column);
};

/* The beginning of each backend's own struct. */
struct db {
    const struct db_ops *ops;
    enum db_kind kind;
    bool in_transaction;
    bool failed; /* something in the transaction failed: only a rollback may follow */
};

struct db_row {
    const struct db *db;
    void *answer;
    int number;
};

/* db_exec() of a text that is used once. */
enum err db_exec_once(struct db *db, const char *sql);

#endif
