/* sql/shield.h - inside this room only: what a shield is made of. */
#ifndef SQL_SHIELD_H
#define SQL_SHIELD_H

#include "sql/flow.h"

struct shield {
    unsigned references;
    struct arena *arena;
    struct catalog catalog;
    struct protection protection; /* in `arena` */
    struct protect_rule redact;   /* for what is only derived */
    void (*release)(void *arg);
    void *arg;

    const struct taint **taints; /* by attribute: of tables, and of views named by a rule */
    bool *touched;               /* by relation: it has such columns */
    struct row **views;          /* by relation: worked out when first asked for */
    bool *reaches;               /* by relation: a view whose text leads to protected columns */
    bool reaches_known;
    bool *walked;          /* by relation: a view whose calls were looked into */
    const char **troubles; /* by function: NULL unknown yet */
    bool judging;
    const struct mentions **mentions_of_views, **mentions_of_functions; /* NULL: unknown yet */
    unsigned view_depth;
    bool out_of_memory;
};

/* The columns that the query in `text` answers with; a->failed if it is not understood. */
struct row analysis_of_text(struct analysis *a, struct str text);

static inline bool
shield_is_view(const struct catalog_relation *r)
{
    return r->definition.len > 0;
}

/* mention.c */
/* Words of a text, as PostgreSQL would read them as names: calls `fn` with each until it is true.
 * Where strings and comments begin and end is not told, so that what is between two quotes counts
 * as one name and as words too. */
typedef bool shield_word_fn(const struct shield *s, struct str word, void *arg);
bool shield_any_word(const struct shield *s, struct str text, shield_word_fn *fn, void *arg);
/* The functions behind the owner's operators whose names are in the text. */
typedef bool shield_operator_fn(const struct shield *s, const struct catalog_function *f,
                                void *arg);
bool shield_any_operator(const struct shield *s, struct str text, shield_operator_fn *fn,
                         void *arg);
/* The statement relies on its version, and on those of what it names. */
void shield_note_relation(struct analysis *a, const struct catalog_relation *r);
void shield_note_function(struct analysis *a, const struct catalog_function *f);

#endif
