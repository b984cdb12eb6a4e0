#include "store/logins.h"

#include "store/row.h"

static enum err
insert_login(struct db *db, const struct login *l, struct arena *arena)
{
    const struct person *p = &l->person;
    struct db_param groups, chain;
    enum err e;

    if ((e = row_put_list(arena, p->groups, &groups)) != OK ||
        (e = row_put_list(arena, l->chain, &chain)) != OK)
        return e;
    return db_exec(db,
                   "INSERT INTO logins (cookie_hash, csrf, issuer, subject, name, email, groups,"
                   " chain, token_id, created_us, expires_us)"
                   " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                   DB_PARAMS(db_text(l->cookie_hash), db_text(l->csrf), db_text(p->issuer),
                             db_text(p->subject), db_text(p->name), db_text(p->email), groups,
                             chain, db_text(l->token_id), db_int(l->created_us),
                             db_int(l->expires_us)),
                   NULL, NULL, NULL);
}

static enum err
remove_oldest(struct db *db, const struct person *p)
{
    return db_exec(db,
                   "DELETE FROM logins WHERE issuer = $1 AND subject = $2 AND cookie_hash NOT IN"
                   " (SELECT cookie_hash FROM logins WHERE issuer = $1 AND subject = $2"
                   " ORDER BY created_us DESC, cookie_hash LIMIT $3)",
                   DB_PARAMS(db_text(p->issuer), db_text(p->subject), db_int(LOGINS_OF_ONE_MAX)),
                   NULL, NULL, NULL);
}

static enum err
insert_all(struct db *db, void *arg)
{
    const struct login *l = arg;
    struct arena *arena = arena_new(4 << 20);
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory");
    if ((e = people_put(db, &l->person)) == OK && (e = insert_login(db, l, arena)) == OK)
        e = remove_oldest(db, &l->person);
    arena_free(arena);
    return e;
}

enum err
logins_insert(struct db *db, const struct login *l)
{
    struct login copy = *l;

    return row_together(db, insert_all, &copy);
}

static enum err
read_login(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct login *l = out;

    l->cookie_hash = row_text(&r);
    l->csrf = row_text(&r);
    l->person.issuer = row_text(&r);
    l->person.subject = row_text(&r);
    l->person.name = row_text(&r);
    l->person.email = row_text(&r);
    l->person.groups = row_list(&r, STORE_GROUPS_MAX);
    l->chain = row_list(&r, STORE_CHAIN_MAX);
    l->token_id = row_text(&r);
    l->created_us = row_int(&r);
    l->expires_us = row_int(&r);
    l->person.seen_us = l->created_us;
    return r.e;
}

enum err
logins_get(struct db *db, struct str cookie_hash, int64_t now_us, struct arena *arena,
           struct login *out)
{
    struct row_list list = {
        .arena = arena, .read = read_login, .size = sizeof(struct login), .max = 1};
    enum err e = db_exec(db,
                         "SELECT cookie_hash, csrf, issuer, subject, name, email, groups, chain,"
                         " token_id, created_us, expires_us FROM logins WHERE cookie_hash = $1"
                         " AND expires_us > $2",
                         DB_PARAMS(db_text(cookie_hash), db_int(now_us)), row_list_add, &list,
                         NULL);

    if (e != OK)
        return e;
    if (list.n == 0)
        return fail(ERR_NOT_FOUND, "not logged in");
    memcpy(out, list.items, sizeof(*out));
    return OK;
}

enum err
logins_delete(struct db *db, struct str cookie_hash)
{
    return db_exec(db, "DELETE FROM logins WHERE cookie_hash = $1", DB_PARAMS(db_text(cookie_hash)),
                   NULL, NULL, NULL);
}

enum err
logins_delete_person(struct db *db, struct str issuer, struct str subject)
{
    return db_exec(db, "DELETE FROM logins WHERE issuer = $1 AND subject = $2",
                   DB_PARAMS(db_text(issuer), db_text(subject)), NULL, NULL, NULL);
}

enum err
logins_prune(struct db *db, int64_t now_us)
{
    return db_exec(db, "DELETE FROM logins WHERE expires_us <= $1", DB_PARAMS(db_int(now_us)), NULL,
                   NULL, NULL);
}
