#include "store/row.h"

int64_t
row_int(struct row_reader *r)
{
    return db_row_int(r->row, r->column++);
}

bool
row_bool(struct row_reader *r)
{
    return row_int(r) != 0;
}

struct str
row_text(struct row_reader *r)
{
    struct str s = arena_str(r->arena, db_row_text(r->row, r->column++));

    if (s.ptr == NULL) {
        r->e = fail(ERR_NOMEM, "no memory");
        return (struct str){"", 0};
    }
    return s;
}

struct str_list
row_list(struct row_reader *r, size_t max)
{
    struct str_list list = {0};
    enum err e = store_read_list(db_row_text(r->row, r->column++), max, r->arena, &list);

    if (e != OK)
        r->e = e;
    return list;
}

uint64_t
row_session(struct row_reader *r)
{
    struct str text = db_row_text(r->row, r->column++);
    uint64_t session = 0;
    enum err e = text.len == 0 ? OK : store_session_number(text, &session);

    if (e != OK)
        r->e = e;
    return session;
}

enum err
row_list_add(void *arg, const struct db_row *row)
{
    struct row_list *list = arg;

    if (list->n == list->max)
        return fail(ERR_LIMIT, "more than %zu rows", list->max);
    if (list->n == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        char *items = arena_array(list->arena, capacity, list->size);

        if (items == NULL)
            return fail(ERR_NOMEM, "no memory");
        if (list->n > 0)
            memcpy(items, list->items, list->n * list->size);
        list->items = items;
        list->capacity = capacity;
    }
    return list->read(list->arena, row, list->items + list->n++ * list->size);
}

enum err
row_number(void *arg, const struct db_row *row)
{
    int64_t *number = arg;

    *number = db_row_int(row, 0);
    return OK;
}

enum err
row_put_list(struct arena *arena, struct str_list list, struct db_param *out)
{
    struct buf text = buf_make(1 << 20);
    struct str copy;
    enum err e;

    store_put_list(&text, list);
    if ((e = buf_ok(&text)) == OK) {
        copy = arena_str(arena, buf_str(&text));
        *out = db_text(copy);
        if (copy.ptr == NULL)
            e = fail(ERR_NOMEM, "no memory");
    }
    buf_free(&text);
    return e;
}

enum err
row_change(struct db *db, const char *what, const char *sql, const struct db_param *params,
           size_t n)
{
    uint64_t changed = 0;
    enum err e = db_exec(db, sql, params, n, NULL, NULL, &changed);

    if (e == OK && changed == 0)
        return fail(ERR_NOT_FOUND, "%s", what);
    return e;
}

enum err
row_together(struct db *db, enum err (*fn)(struct db *db, void *arg), void *arg)
{
    enum err e;

    if (db_in_transaction(db))
        return fn(db, arg);
    if ((e = db_begin(db)) != OK)
        return e;
    if ((e = fn(db, arg)) != OK) {
        db_rollback(db);
        return e;
    }
    return db_commit(db);
}
