/* protocol/postgres/names.h - what the names of prepared statements and portals stand for, at the
 * server, although answers come later than the messages that change them.
 *
 * Every change is begun when it is forwarded and settled when the server has answered. Between,
 * a name has a settled and a latest meaning. Within one segment (up to a Sync) the latest counts:
 * if the change fails the server skips the rest of the segment. Across segments an unsettled name
 * is in doubt, and its user waits. Pure. */
#ifndef PROTOCOL_POSTGRES_NAMES_H
#define PROTOCOL_POSTGRES_NAMES_H

#include "base/table.h"

/* What names point at; shared by reference counts. Embed it first. */
struct pgobject {
    unsigned references;
    size_t bytes;
    void (*destroy)(struct pgobject *object);
};

static inline struct pgobject *
pgobject_hold(struct pgobject *o)
{
    if (o != NULL)
        o->references++;
    return o;
}

static inline void
pgobject_release(struct pgobject *o)
{
    if (o != NULL && --o->references == 0)
        o->destroy(o);
}

struct pgnames;
struct pgname;

/* At most `max` names whose objects hold `max_bytes`. NULL without memory. */
struct pgnames *pgnames_new(size_t max, size_t max_bytes);
void pgnames_free(struct pgnames *n);

/* A change on its way to the server. */
struct pgname_change {
    struct pgname *name;     /* NULL: none */
    struct pgobject *object; /* NULL: the name goes away */
    unsigned generation;
};

enum pgname_result {
    PGNAME_DONE,   /* the server did it */
    PGNAME_FAILED, /* the server refused it: as before */
    PGNAME_LOST,   /* the server refused it and the old meaning is gone too (unnamed Parse) */
};

/* Begins to set `name` to `object` (NULL: to close it), forwarded in `segment`. Holds `object`.
 * ERR_LIMIT, ERR_NOMEM: nothing was begun. */
enum err pgnames_begin(struct pgnames *n, struct str name, struct pgobject *object,
                       uint64_t segment, struct pgname_change *out);
/* Ends what was begun. Each change is settled once, in the order of their beginning. */
void pgnames_settle(struct pgnames *n, struct pgname_change *change, enum pgname_result result);

/* Whether `name` is unsettled since before `segment`. */
bool pgnames_in_doubt(const struct pgnames *n, struct str name, uint64_t segment);

/* Whether `name` stands for something that it got before `segment`. */
bool pgnames_is_older(const struct pgnames *n, struct str name, uint64_t segment);

/* What a message of the current segment means by `name`: borrowed; NULL if nothing. */
struct pgobject *pgnames_get(const struct pgnames *n, struct str name);

/* Sets or closes a name at once: for a change that the server has confirmed. `object` is held. */
enum err pgnames_set(struct pgnames *n, struct str name, struct pgobject *object);

/* Forgets all settled meanings (the end of a transaction, for portals). */
void pgnames_forget_settled(struct pgnames *n);
/* Forgets all but the unnamed one, which SQL cannot reach; changes on their way will have no effect
 * either. */
void pgnames_forget_all(struct pgnames *n);

/* Forgets the settled meaning of the unnamed one: a simple Query uses it up. */
void pgnames_forget_unnamed(struct pgnames *n);

size_t pgnames_count(const struct pgnames *n);

#endif
