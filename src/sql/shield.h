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
    unsigned view_depth;
    bool out_of_memory;
};

/* The columns that the query in `text` answers with; a->failed if it is not understood. */
struct row analysis_of_text(struct analysis *a, struct str text);

void shield_note_function(struct analysis *a, const struct catalog_function *f);

#endif
