#include "store/grants.h"

#include "store/row.h"

#define COLUMNS                                                                                    \
    "id, kind, request, scope_key, session, issuer, subject, chain, resource, rule, policy_hash,"  \
    " granted_by, reason, created_us, expires_us, revoked_us, revoked_by, revoked_reason"

static enum err
read_grant(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct grant *g = out;

    g->id = row_text(&r);
    g->kind = (enum grant_kind)row_int(&r);
    g->request = row_text(&r);
    g->scope_key = row_text(&r);
    g->session = row_session(&r);
    g->issuer = row_text(&r);
    g->subject = row_text(&r);
    g->chain = row_list(&r, STORE_CHAIN_MAX);
    g->resource = row_text(&r);
    g->rule = row_text(&r);
    g->policy_hash = row_text(&r);
    g->by = row_text(&r);
    g->reason = row_text(&r);
    g->created_us = row_int(&r);
    g->expires_us = row_int(&r);
    g->revoked_us = row_int(&r);
    g->revoked_by = row_text(&r);
    g->revoked_reason = row_text(&r);
    return r.e;
}

static struct row_list
grants_in(struct arena *arena, size_t max)
{
    return (struct row_list){
        .arena = arena, .read = read_grant, .size = sizeof(struct grant), .max = max};
}

static enum err
only(enum err e, const struct row_list *list, struct grant *out)
{
    if (e != OK)
        return e;
    if (list->n == 0)
        return fail(ERR_NOT_FOUND, "there is no such grant");
    memcpy(out, list->items, sizeof(*out));
    return OK;
}

enum err
grants_insert(struct db *db, const struct grant *g)
{
    struct arena *arena = arena_new(1 << 20);
    struct db_param chain;
    char session[17] = "";
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory");
    if (g->session != 0)
        store_session_text(g->session, session);
    if ((e = row_put_list(arena, g->chain, &chain)) == OK)
        e = db_exec(db,
                    "INSERT INTO grants (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
                    " $10, $11, $12, $13, $14, $15, 0, '', '')",
                    DB_PARAMS(db_text(g->id), db_int(g->kind), db_text(g->request),
                              db_text(g->scope_key), db_text(str_from(session)), db_text(g->issuer),
                              db_text(g->subject), chain, db_text(g->resource), db_text(g->rule),
                              db_text(g->policy_hash), db_text(g->by), db_text(g->reason),
                              db_int(g->created_us), db_int(g->expires_us)),
                    NULL, NULL, NULL);
    arena_free(arena);
    return e;
}

enum err
grants_get(struct db *db, struct str id, struct arena *arena, struct grant *out)
{
    struct row_list list = grants_in(arena, 1);

    if (!store_is_id(id))
        return fail(ERR_NOT_FOUND, "there is no such grant");
    return only(db_exec(db, "SELECT " COLUMNS " FROM grants WHERE id = $1", DB_PARAMS(db_text(id)),
                        row_list_add, &list, NULL),
                &list, out);
}

enum err
grants_find(struct db *db, struct str scope_key, int64_t now_us, struct arena *arena,
            struct grant *out)
{
    struct row_list list = grants_in(arena, 1);

    return only(db_exec(db,
                        "SELECT " COLUMNS " FROM grants WHERE scope_key = $1 AND created_us <= $2"
                        " AND expires_us > $2 AND revoked_us = 0"
                        " ORDER BY expires_us DESC LIMIT 1",
                        DB_PARAMS(db_text(scope_key), db_int(now_us)), row_list_add, &list, NULL),
                &list, out);
}

enum err
grants_of_access(struct db *db, struct str issuer, struct str subject, struct str resource,
                 struct str rule, int64_t now_us, struct arena *arena, struct grant_list *out)
{
    struct row_list list = grants_in(arena, STORE_LIST_MAX);
    enum err e = db_exec(db,
                         "SELECT " COLUMNS " FROM grants WHERE kind = 2 AND issuer = $1"
                         " AND subject = $2 AND resource = $3 AND rule = $4 AND created_us <= $5"
                         " AND expires_us > $5 AND revoked_us = 0"
                         " ORDER BY expires_us DESC LIMIT $6",
                         DB_PARAMS(db_text(issuer), db_text(subject), db_text(resource),
                                   db_text(rule), db_int(now_us), db_int(STORE_LIST_MAX)),
                         row_list_add, &list, NULL);

    *out = (struct grant_list){(const struct grant *)(void *)list.items, list.n};
    return e;
}
_Static_assert(GRANT_ACCESS == 2, "statements name this kind");

enum err
grants_list(struct db *db, const struct grant_filter *f, struct arena *arena,
            struct grant_list *out)
{
    struct row_list list = grants_in(arena, STORE_LIST_MAX);
    int64_t limit = f->limit > STORE_LIST_MAX ? STORE_LIST_MAX : f->limit;
    int64_t before = f->before_us == 0 ? INT64_MAX : f->before_us;
    int64_t ends_after = f->live ? f->now_us : INT64_MIN;
    int64_t revoked = f->live ? 0 : INT64_MAX;
    enum err e = db_exec(db,
                         "SELECT " COLUMNS
                         " FROM grants WHERE kind = 2 AND ($1 = '' OR subject = $1)"
                         " AND ($2 = '' OR issuer = $2) AND created_us < $3 AND expires_us > $4"
                         " AND revoked_us <= $5 ORDER BY created_us DESC, id LIMIT $6",
                         DB_PARAMS(db_text(f->subject), db_text(f->issuer), db_int(before),
                                   db_int(ends_after), db_int(revoked), db_int(limit)),
                         row_list_add, &list, NULL);

    *out = (struct grant_list){(const struct grant *)(void *)list.items, list.n};
    return e;
}

enum err
grants_revoked(struct db *db, int64_t now_us, struct arena *arena, struct grant_list *out)
{
    struct row_list list = grants_in(arena, STORE_LIST_MAX);
    enum err e = db_exec(db,
                         "SELECT " COLUMNS " FROM grants WHERE kind = 2 AND revoked_us <> 0"
                         " AND expires_us > $1 ORDER BY revoked_us DESC LIMIT $2",
                         DB_PARAMS(db_int(now_us), db_int(STORE_LIST_MAX)), row_list_add, &list,
                         NULL);

    *out = (struct grant_list){(const struct grant *)(void *)list.items, list.n};
    return e;
}

enum err
grants_revoke(struct db *db, struct str id, int64_t now_us, struct str by, struct str reason)
{
    return row_change(db, "the grant is over already",
                      "UPDATE grants SET revoked_us = $2, revoked_by = $3, revoked_reason = $4"
                      " WHERE id = $1 AND revoked_us = 0 AND expires_us > $2",
                      DB_PARAMS(db_text(id), db_int(now_us), db_text(by), db_text(reason)));
}

enum err
grants_close(struct db *db, struct str id, int64_t now_us)
{
    return db_exec(db,
                   "UPDATE grants SET revoked_us = $2, revoked_reason = 'expired' WHERE id = $1"
                   " AND revoked_us = 0",
                   DB_PARAMS(db_text(id), db_int(now_us)), NULL, NULL, NULL);
}

enum err
grants_prune(struct db *db, int64_t before_us, unsigned max, uint64_t *removed)
{
    return db_exec(db,
                   "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires_us < $1"
                   " LIMIT $2)",
                   DB_PARAMS(db_int(before_us), db_int(max)), NULL, NULL, removed);
}
