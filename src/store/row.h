/* store/row.h - inside this room only: gathering rows into arenas. */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include "store/store.h"

/* Reads columns one after the other into an arena. A failure is kept in `e`. */
struct row_reader {
    const struct db_row *row;
    struct arena *arena;
    unsigned column;
    enum err e;
};

int64_t row_int(struct row_reader *r);
bool row_bool(struct row_reader *r);
struct str row_text(struct row_reader *r);
struct str_list row_list(struct row_reader *r, size_t max);
/* 16 hexadecimal digits; empty: 0. */
uint64_t row_session(struct row_reader *r);

/* Rows of `size` bytes each, at most `max`, read by `read`. */
struct row_list {
    struct arena *arena;
    enum err (*read)(struct arena *arena, const struct db_row *row, void *out);
    size_t size, max, n, capacity;
    char *items;
};

/* A db_row_fn; `arg` is the struct row_list. Rows beyond `max` are ERR_LIMIT. */
enum err row_list_add(void *arg, const struct db_row *row);

/* A db_row_fn for a number: `arg` is the int64_t. */
enum err row_number(void *arg, const struct db_row *row);

/* A parameter that is the JSON text of a list; the text is made in `arena`. */
enum err row_put_list(struct arena *arena, struct str_list list, struct db_param *out);

/* A statement that must change a row: ERR_NOT_FOUND with `what` if it did not. */
enum err row_change(struct db *db, const char *what, const char *sql, const struct db_param *params,
                    size_t n);

/* Runs fn(db, arg) in a transaction, or as part of the one that there is. */
enum err row_together(struct db *db, enum err (*fn)(struct db *db, void *arg), void *arg);

#endif
