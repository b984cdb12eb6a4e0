/* protocol/postgres/view.h - what a client may see of an answer, and how much of it. Upstream makes
 * one for a command and gives it to the entries in `answers` that stand for it; downstream shows
 * the answer through it. Pure. */
#ifndef PROTOCOL_POSTGRES_VIEW_H
#define PROTOCOL_POSTGRES_VIEW_H

#include "mask/detect.h"
#include "policy/rule.h"
#include "protocol/postgres/names.h"
#include "sql/lineage.h"

/* What a command has delivered so far: shared by all batches of a portal or cursor. */
struct pgtally {
    unsigned references;
    uint64_t rows, bytes;
};

struct pgview {
    struct pgobject object; /* first */
    /* Held; NULL: the statements were not looked into, so nothing is hidden. A statement without an
     * output in it may answer no rows. */
    const struct sql_lineage *lineage;
    struct detectors *detectors; /* held; NULL: none */
    bool sanitise;               /* errors and notices lose what could be data */
    struct limits limits;
    struct pgtally *tally; /* held */
    struct pgview_source *sources;
    size_t n_sources;
};

/* With one reference, the caller's; holds `lineage`, has a tally of its own, no limits and no
 * detectors, and sanitises if the lineage is guarded. NULL without memory. */
struct pgview *pgview_new(const struct sql_lineage *lineage);

void pgview_limit(struct pgview *v, const struct limits *limits);

/* Statement number `statement` of the string answers what `of` would for its statement number
 * `of_statement`: FETCH of a cursor that it declared, EXECUTE of what it prepared. A cursor's rows
 * count on `of`'s tally. Holds `of`. ERR_NOMEM. */
enum err pgview_follow(struct pgview *v, size_t statement, struct pgview *of, size_t of_statement);

static inline struct pgview *
pgview_hold(struct pgview *v)
{
    if (v != NULL)
        v->object.references++;
    return v;
}

static inline void
pgview_release(struct pgview *v)
{
    if (v != NULL)
        pgobject_release(&v->object);
}

/* What one statement of the string may answer. */
struct pgview_part {
    bool judged;                     /* else anything: there is no lineage */
    const struct sql_output *output; /* NULL: no rows */
    const struct sql_lineage *lineage;
    struct pgtally *tally;
};
struct pgview_part pgview_part(const struct pgview *v, size_t statement);

/* Whether rows can be shown only if the server has described them: before an Execute the gateway
 * then asks for a description itself. */
bool pgview_wants_description(const struct pgview *v);

#endif
