#include "store/session_index.h"

#include "store/row.h"

#define COLUMNS                                                                                    \
    "session, node, issuer, subject, token_id, task, chain, groups, resource, protocol,"           \
    " database_name, client, source, access, opened_us, closed_us, expires_us, end_reason,"        \
    " commands, refused, delivered"

static enum err
read_session(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct session_entry *s = out;

    s->session = row_session(&r);
    s->node = row_text(&r);
    s->issuer = row_text(&r);
    s->subject = row_text(&r);
    s->token_id = row_text(&r);
    s->task = row_text(&r);
    s->chain = row_list(&r, STORE_CHAIN_MAX);
    s->groups = row_list(&r, STORE_GROUPS_MAX);
    s->resource = row_text(&r);
    s->protocol = row_text(&r);
    s->database = row_text(&r);
    s->client = row_text(&r);
    s->source = row_text(&r);
    s->access = row_text(&r);
    s->opened_us = row_int(&r);
    s->closed_us = row_int(&r);
    s->expires_us = row_int(&r);
    s->end = row_text(&r);
    s->commands = (uint64_t)row_int(&r);
    s->refused = (uint64_t)row_int(&r);
    s->rows = (uint64_t)row_int(&r);
    return r.e;
}

static struct row_list
sessions_in(struct arena *arena, size_t max)
{
    return (struct row_list){
        .arena = arena, .read = read_session, .size = sizeof(struct session_entry), .max = max};
}

/* A count as the database takes it. */
static struct db_param
db_count(uint64_t n)
{
    return db_int(n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

static enum err
put(struct db *db, const struct session_entry *s, struct arena *arena)
{
    struct db_param chain, groups;
    char id[17];
    enum err e;

    store_session_text(s->session, id);
    if ((e = row_put_list(arena, s->chain, &chain)) != OK ||
        (e = row_put_list(arena, s->groups, &groups)) != OK)
        return e;
    return db_exec(
        db,
        "INSERT INTO sessions (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
        " $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) ON CONFLICT (session) DO UPDATE SET"
        " node = excluded.node, issuer = excluded.issuer, subject = excluded.subject,"
        " token_id = excluded.token_id, task = excluded.task, chain = excluded.chain,"
        " groups = excluded.groups, resource = excluded.resource, protocol = excluded.protocol,"
        " database_name = excluded.database_name, client = excluded.client,"
        " source = excluded.source, access = excluded.access, opened_us = excluded.opened_us,"
        " closed_us = excluded.closed_us, expires_us = excluded.expires_us,"
        " end_reason = excluded.end_reason, commands = excluded.commands,"
        " refused = excluded.refused, delivered = excluded.delivered",
        DB_PARAMS(db_text(str_from(id)), db_text(s->node), db_text(s->issuer), db_text(s->subject),
                  db_text(s->token_id), db_text(s->task), chain, groups, db_text(s->resource),
                  db_text(s->protocol), db_text(s->database), db_text(s->client),
                  db_text(s->source), db_text(s->access), db_int(s->opened_us),
                  db_int(s->closed_us), db_int(s->expires_us), db_text(s->end),
                  db_count(s->commands), db_count(s->refused), db_count(s->rows)),
        NULL, NULL, NULL);
}

enum err
session_index_put(struct db *db, const struct session_entry *s)
{
    struct arena *arena = arena_new(4 << 20);
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory") : put(db, s, arena);

    arena_free(arena);
    return e;
}

enum err
session_index_close(struct db *db, uint64_t session, int64_t now_us, struct str why)
{
    char id[17];

    store_session_text(session, id);
    return db_exec(db,
                   "UPDATE sessions SET closed_us = $2, end_reason = $3 WHERE session = $1"
                   " AND closed_us = 0",
                   DB_PARAMS(db_text(str_from(id)), db_int(now_us), db_text(why)), NULL, NULL,
                   NULL);
}

enum err
session_index_close_node(struct db *db, struct str node, int64_t now_us, struct str why)
{
    return db_exec(db,
                   "UPDATE sessions SET closed_us = $2, end_reason = $3 WHERE node = $1"
                   " AND closed_us = 0",
                   DB_PARAMS(db_text(node), db_int(now_us), db_text(why)), NULL, NULL, NULL);
}

enum err
session_index_count(struct db *db, uint64_t session, uint64_t commands, uint64_t refused,
                    uint64_t rows)
{
    char id[17];

    store_session_text(session, id);
    return db_exec(
        db,
        "UPDATE sessions SET commands = $2, refused = $3, delivered = $4"
        " WHERE session = $1",
        DB_PARAMS(db_text(str_from(id)), db_count(commands), db_count(refused), db_count(rows)),
        NULL, NULL, NULL);
}

enum err
session_index_get(struct db *db, uint64_t session, struct arena *arena, struct session_entry *out)
{
    struct row_list list = sessions_in(arena, 1);
    char id[17];
    enum err e;

    store_session_text(session, id);
    e = db_exec(db, "SELECT " COLUMNS " FROM sessions WHERE session = $1",
                DB_PARAMS(db_text(str_from(id))), row_list_add, &list, NULL);
    if (e != OK)
        return e;
    if (list.n == 0)
        return fail(ERR_NOT_FOUND, "there is no such session");
    memcpy(out, list.items, sizeof(*out));
    return OK;
}

/* `text` anywhere, as LIKE wants it: lower case, its own wildcards escaped by '!'. */
static struct str
like(struct arena *arena, struct str text)
{
    char *pattern;
    size_t n = 0;

    if (text.len == 0)
        return STR("%");
    if ((pattern = arena_alloc(arena, text.len * 2 + 2)) == NULL)
        return (struct str){NULL, 0};
    pattern[n++] = '%';
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '%' || c == '_' || c == '!')
            pattern[n++] = '!';
        pattern[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    pattern[n++] = '%';
    return (struct str){pattern, n};
}

enum err
session_index_list(struct db *db, const struct session_filter *f, struct arena *arena,
                   struct session_list *out)
{
    struct row_list list = sessions_in(arena, STORE_LIST_MAX);
    struct str pattern = like(arena, f->text);
    int64_t before = f->before_us == 0 ? INT64_MAX : f->before_us;
    int64_t low = f->state == SESSIONS_CLOSED ? 1 : 0;
    int64_t high = f->state == SESSIONS_LIVE ? 0 : INT64_MAX;
    char id[17];
    enum err e;

    if (pattern.ptr == NULL)
        return fail(ERR_NOMEM, "no memory");
    store_session_text(f->before_session, id);
    e = db_exec(db,
                "SELECT " COLUMNS " FROM sessions WHERE closed_us >= $1 AND closed_us <= $2"
                " AND (opened_us < $3 OR (opened_us = $3 AND session < $4))"
                " AND ($5 = '' OR subject = $5)"
                " AND (lower(subject) LIKE $6 ESCAPE '!' OR lower(chain) LIKE $6 ESCAPE '!'"
                " OR lower(resource) LIKE $6 ESCAPE '!' OR lower(database_name) LIKE $6 ESCAPE '!'"
                " OR lower(client) LIKE $6 ESCAPE '!' OR session LIKE $6 ESCAPE '!')"
                " ORDER BY opened_us DESC, session DESC LIMIT $7",
                DB_PARAMS(db_int(low), db_int(high), db_int(before), db_text(str_from(id)),
                          db_text(f->subject), db_text(pattern),
                          db_int(f->limit > STORE_LIST_MAX ? STORE_LIST_MAX : f->limit)),
                row_list_add, &list, NULL);
    *out = (struct session_list){(const struct session_entry *)(void *)list.items, list.n};
    return e;
}

enum err
session_index_of_access(struct db *db, struct str access, struct arena *arena,
                        struct session_list *out)
{
    struct row_list list = sessions_in(arena, STORE_LIST_MAX);
    enum err e = db_exec(db,
                         "SELECT " COLUMNS " FROM sessions WHERE access = $1 AND closed_us = 0"
                         " ORDER BY opened_us LIMIT $2",
                         DB_PARAMS(db_text(access), db_int(STORE_LIST_MAX)), row_list_add, &list,
                         NULL);

    *out = (struct session_list){(const struct session_entry *)(void *)list.items, list.n};
    return e;
}

enum err
session_index_prune(struct db *db, int64_t before_us, unsigned max, uint64_t *removed)
{
    return db_exec(db,
                   "DELETE FROM sessions WHERE session IN (SELECT session FROM sessions"
                   " WHERE closed_us <> 0 AND closed_us < $1 LIMIT $2)",
                   DB_PARAMS(db_int(before_us), db_int(max)), NULL, NULL, removed);
}
