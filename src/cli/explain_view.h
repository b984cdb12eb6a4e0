/* cli/explain_view.h - an answer of `bulkhead explain`, for people and as JSON (bulkhead(1)). */
#ifndef CLI_EXPLAIN_VIEW_H
#define CLI_EXPLAIN_VIEW_H

#include <stdio.h>

#include "config/config.h"
#include "identity/identity.h"
#include "policy/policy.h"
#include "sql/lineage.h"

enum explain_protection {
    EXPLAIN_PROTECTS_NOTHING, /* the resource has no protected columns */
    EXPLAIN_CONSIDERED,
    EXPLAIN_NOT_CONSIDERED, /* there is no catalog: whether the statement may run is not known */
};

/* All of it borrowed. */
struct explanation {
    const struct principal *principal;
    const struct config_resource *resource;
    struct str database;
    struct in6_addr source;
    int64_t wall_us;
    struct str purpose;                /* of the statement; empty: none was said */
    const struct policy_rule *connect; /* by which opening a session needs access; NULL: none */

    bool
        of_sql; /* else what is allowed at all, and of the rest only `verdict` if it is a refusal */
    struct verdict verdict; /* the gate's, as far as protection was considered */
    const struct policy_rule *steps[VERDICT_STEPS_MAX]; /* those of the verdict, in full */
    struct str reason;
    struct str allowed; /* what rules allow here, for a refusal of theirs */
    enum explain_protection protection;

    /* Empty where the text was not understood. */
    const struct sql_facts *facts;
    const struct verdict *alone; /* what the rules say of each demand by itself */

    /* NULL unless protection was considered. */
    const struct sql_lineage *lineage;
    struct sql_path path;
    struct str missing_schemas; /* named in the path, and not there */
};

/* Whether the statement may run: EXPLAIN_UNDECIDED is neither. */
enum explain_outcome { EXPLAIN_RUNS, EXPLAIN_REFUSED, EXPLAIN_UNDECIDED };
enum explain_outcome explain_outcome(const struct explanation *x);

void explain_print(FILE *out, const struct explanation *x);
void explain_write_json(const struct explanation *x, struct buf *out);

/* For the two above. */

/* The verdict's name, "undecided" where it is not known. */
const char *explain_verdict_name(const struct explanation *x);

/* Whether the refusal is protection's, and no rule's. */
bool explain_is_by_protection(const struct explanation *x);

/* What may be done with the column instead of a use that was refused; ended by NULL. */
enum { EXPLAIN_INSTEAD_MAX = 5 };
void explain_instead(const struct sql_lineage *l, const char *out[static EXPLAIN_INSTEAD_MAX]);

/* The name of field `i` of a composite value; empty if it is not known. */
struct str explain_field_name(const struct sql_lineage *l, uint32_t type, size_t i);
/* The type of that field; 0: not known. */
uint32_t explain_field_type(const struct sql_lineage *l, uint32_t type, size_t i);

/* Appends "schema.name" of a view or function by its oid; nothing for what is none. (A lineage
 * lists the versions of the tables behind its views too.) */
void explain_put_view(const struct sql_lineage *l, uint32_t oid, struct buf *out);
void explain_put_function(const struct sql_lineage *l, uint32_t oid, struct buf *out);

/* Which statement of the same string made what number `i` shows (FETCH, EXECUTE), from 1; 0: none
 * did. */
size_t explain_made_by(const struct sql_lineage *l, size_t i);

/* The source's address. */
void explain_put_source(const struct explanation *x, struct buf *out);

#endif
