#include "protocol/postgres/names.h"

#include <stdlib.h>

struct pgname {
    struct pgname *next, *previous; /* of the list of all named ones */
    struct pgobject *settled, *latest;
    unsigned unsettled;
    uint64_t segment; /* of the latest change */
    size_t key_len;
    char key[];
};

struct pgnames {
    struct table *table;
    struct pgname *first;
    struct pgname *unnamed; /* always there: it changes with every query of many drivers */
    size_t bytes, max_bytes;
    unsigned generation;
};

static struct pgname *
new_name(struct str key)
{
    struct pgname *name = calloc(1, sizeof(*name) + key.len);

    if (name == NULL)
        return NULL;
    name->key_len = key.len;
    if (key.len > 0)
        memcpy(name->key, key.ptr, key.len);
    return name;
}

struct pgnames *
pgnames_new(size_t max, size_t max_bytes)
{
    struct pgnames *n = calloc(1, sizeof(*n));

    if (n == NULL)
        return NULL;
    n->max_bytes = max_bytes;
    n->table = table_new(max);
    n->unnamed = new_name(STR(""));
    if (n->table == NULL || n->unnamed == NULL) {
        pgnames_free(n);
        return NULL;
    }
    return n;
}

/* Points `*slot` at `object`, counting its bytes. */
static void
point(struct pgnames *n, struct pgobject **slot, struct pgobject *object)
{
    struct pgobject *old = *slot;

    if (object != NULL)
        n->bytes += object->bytes;
    *slot = pgobject_hold(object);
    if (old != NULL)
        n->bytes -= old->bytes;
    pgobject_release(old);
}

static void
clear(struct pgnames *n, struct pgname *name)
{
    point(n, &name->settled, NULL);
    point(n, &name->latest, NULL);
}

static void
remove_name(struct pgnames *n, struct pgname *name)
{
    (void)table_remove(n->table, (struct str){name->key, name->key_len});
    if (name->previous != NULL)
        name->previous->next = name->next;
    else
        n->first = name->next;
    if (name->next != NULL)
        name->next->previous = name->previous;
    clear(n, name);
    free(name);
}

static void
remove_if_unused(struct pgnames *n, struct pgname *name)
{
    if (name != n->unnamed && name->unsettled == 0 && name->settled == NULL)
        remove_name(n, name);
}

void
pgnames_free(struct pgnames *n)
{
    if (n == NULL)
        return;
    while (n->first != NULL)
        remove_name(n, n->first);
    if (n->unnamed != NULL)
        clear(n, n->unnamed);
    free(n->unnamed);
    table_free(n->table);
    free(n);
}

static struct pgname *
find(const struct pgnames *n, struct str key)
{
    return key.len == 0 ? n->unnamed : table_get(n->table, key);
}

static enum err
find_or_add(struct pgnames *n, struct str key, struct pgname **out)
{
    enum err e;

    if ((*out = find(n, key)) != NULL)
        return OK;
    if ((*out = new_name(key)) == NULL)
        return fail(ERR_NOMEM, "no memory for a name");
    if ((e = table_put(n->table, key, *out, NULL)) != OK) {
        free(*out);
        return e;
    }
    (*out)->next = n->first;
    if (n->first != NULL)
        n->first->previous = *out;
    n->first = *out;
    return OK;
}

enum err
pgnames_begin(struct pgnames *n, struct str key, struct pgobject *object, uint64_t segment,
              struct pgname_change *out)
{
    struct pgname *name;
    enum err e;

    if (object != NULL && n->bytes + object->bytes > n->max_bytes)
        return fail(ERR_LIMIT, "prepared statements and portals hold more than %zu bytes",
                    n->max_bytes);
    if ((e = find_or_add(n, key, &name)) != OK)
        return e;
    point(n, &name->latest, object);
    name->unsettled++;
    name->segment = segment;
    *out = (struct pgname_change){name, pgobject_hold(object), n->generation};
    return OK;
}

void
pgnames_settle(struct pgnames *n, struct pgname_change *change, enum pgname_result result)
{
    struct pgname *name = change->name;

    if (name == NULL)
        return;
    if (change->generation != n->generation && name != n->unnamed)
        result = PGNAME_FAILED;
    if (result != PGNAME_FAILED)
        point(n, &name->settled, result == PGNAME_DONE ? change->object : NULL);
    pgobject_release(change->object);
    if (--name->unsettled == 0)
        point(n, &name->latest, name->settled);
    remove_if_unused(n, name);
    *change = (struct pgname_change){0};
}

bool
pgnames_in_doubt(const struct pgnames *n, struct str key, uint64_t segment)
{
    const struct pgname *name = find(n, key);

    return name != NULL && name->unsettled > 0 && name->segment != segment;
}

bool
pgnames_is_older(const struct pgnames *n, struct str key, uint64_t segment)
{
    const struct pgname *name = find(n, key);

    return name != NULL && name->latest != NULL && name->segment != segment;
}

struct pgobject *
pgnames_get(const struct pgnames *n, struct str key)
{
    const struct pgname *name = find(n, key);

    return name == NULL ? NULL : name->latest;
}

enum err
pgnames_set(struct pgnames *n, struct str key, struct pgobject *object)
{
    struct pgname_change change;
    enum err e;

    if ((e = pgnames_begin(n, key, object, 0, &change)) != OK)
        return e;
    pgnames_settle(n, &change, PGNAME_DONE);
    return OK;
}

void
pgnames_forget_settled(struct pgnames *n)
{
    struct pgname *next;

    for (struct pgname *name = n->first; name != NULL; name = next) {
        next = name->next;
        point(n, &name->settled, NULL);
        remove_if_unused(n, name);
    }
    pgnames_forget_unnamed(n);
}

void
pgnames_forget_unnamed(struct pgnames *n)
{
    point(n, &n->unnamed->settled, NULL);
    if (n->unnamed->unsettled == 0)
        point(n, &n->unnamed->latest, NULL);
}

void
pgnames_forget_all(struct pgnames *n)
{
    struct pgname *next;

    n->generation++;
    for (struct pgname *name = n->first; name != NULL; name = next) {
        next = name->next;
        clear(n, name);
        remove_if_unused(n, name);
    }
}

size_t
pgnames_count(const struct pgnames *n)
{
    return table_count(n->table);
}
