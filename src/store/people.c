#include "store/people.h"

#include "store/row.h"

enum err
people_put(struct db *db, const struct person *p)
{
    struct arena *arena = arena_new(4 << 20);
    struct db_param groups;
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory");
    if (p->groups.n > STORE_GROUPS_MAX)
        e = fail(ERR_LIMIT, "a person with more than %d groups", STORE_GROUPS_MAX);
    else
        e = row_put_list(arena, p->groups, &groups);
    if (e == OK)
        e = db_exec(db,
                    "INSERT INTO people (issuer, subject, name, email, groups, seen_us)"
                    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (issuer, subject) DO UPDATE SET"
                    " name = excluded.name, email = excluded.email, groups = excluded.groups,"
                    " seen_us = excluded.seen_us",
                    DB_PARAMS(db_text(p->issuer), db_text(p->subject), db_text(p->name),
                              db_text(p->email), groups, db_int(p->seen_us)),
                    NULL, NULL, NULL);
    arena_free(arena);
    return e;
}

static enum err
read_person(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct person *p = out;

    p->issuer = row_text(&r);
    p->subject = row_text(&r);
    p->name = row_text(&r);
    p->email = row_text(&r);
    p->groups = row_list(&r, STORE_GROUPS_MAX);
    p->seen_us = row_int(&r);
    return r.e;
}

enum err
people_get(struct db *db, struct str issuer, struct str subject, struct arena *arena,
           struct person *out)
{
    struct row_list list = {
        .arena = arena, .read = read_person, .size = sizeof(struct person), .max = 1};
    enum err e = db_exec(db,
                         "SELECT issuer, subject, name, email, groups, seen_us FROM people"
                         " WHERE issuer = $1 AND subject = $2",
                         DB_PARAMS(db_text(issuer), db_text(subject)), row_list_add, &list, NULL);

    if (e != OK)
        return e;
    if (list.n == 0)
        return fail(ERR_NOT_FOUND, "nobody of that subject has logged in");
    memcpy(out, list.items, sizeof(*out));
    return OK;
}

struct email_search {
    struct str email;
    bool found;
};

static enum err
compare_email(void *arg, const struct db_row *row)
{
    struct email_search *search = arg;

    if (str_equal_nocase(db_row_text(row, 0), search->email))
        search->found = true;
    return OK;
}

enum err
people_subject_has_email(struct db *db, struct str subject, struct str email, bool *out)
{
    struct email_search search = {.email = email};
    enum err e = OK;

    if (email.len > 0)
        e = db_exec(db, "SELECT email FROM people WHERE subject = $1", DB_PARAMS(db_text(subject)),
                    compare_email, &search, NULL);
    *out = search.found;
    return e;
}
