/* protocol/postgres/context.h - what the statements of a session are analysed by, beside the rules:
 * the catalog of its database, what is protected in it, and the search path of the moment. All of
 * it may change under way, by the session itself or by others; whatever may have changed is asked
 * of the server before the next statement is judged (docs/masking.md, "What is observed").
 * For the upstream fiber. */
#ifndef PROTOCOL_POSTGRES_CONTEXT_H
#define PROTOCOL_POSTGRES_CONTEXT_H

#include "mask/detect.h"
#include "protocol/postgres/statement.h"
#include "protocol/postgres/view.h"
#include "sql/cache.h"

struct pgsession;
struct pgcursor;

struct pgcontext {
    uint64_t edition;            /* of the gate's rules that this was made by; 0: none yet */
    struct sql_context sql;      /* shield NULL: no column is protected */
    uint64_t generation;         /* counts what came into force */
    struct detectors *detectors; /* NULL: none */
    struct arena *path;          /* of sql.path */
    bool path_due, catalog_due;  /* may have changed: to be asked */
    bool fresh_due;              /* the catalog, by a reading that begins now */
    bool uncommitted;            /* they were changed by the transaction under way */
    bool guarded;                /* that read protected data: its end may tell of them, too */
    struct pgcursor *cursors;    /* newest first */
    size_t n_cursors;
};

void pgcontext_close(struct pgcontext *c);

/* [waits] The facts of `text`, with the lineage that holds at this moment. `*facts` stays valid
 * until the next call for the same session. Errors as sql_cache_facts(), and ERR_UNAVAILABLE (the
 * catalog cannot be read), ERR_CANCELED. */
enum err pgcontext_facts(struct pgsession *s, struct str text, const struct sql_facts **facts,
                         bool *exact);

/* [waits] Analyses a statement again that was analysed under what no longer holds. As
 * pgcontext_facts(). */
enum err pgcontext_renew(struct pgsession *s, struct pgstatement *statement);

/* Whether what is forwarded now may change what the next statement means: nothing else may be
 * judged until the server has answered. */
bool pgcontext_is_changed_by(const struct pgcontext *c, const struct pgfacts_summary *summary);

/* It has answered. */
void pgcontext_note_change(struct pgcontext *c, const struct pgfacts_summary *summary);

/* Cursors: what FETCH of a name will show. A name may have had several meanings in a transaction;
 * as long as it is not certain which one holds, there is none. */

/* Notes the cursors that a string, which the server has run, declared, and forgets those that it
 * closed. ERR_LIMIT, ERR_NOMEM. */
enum err pgcontext_note_cursors(struct pgcontext *c, struct pgview *view);
/* Statement number `*statement` of the view declared it; NULL: none did, or more than one. */
struct pgview *pgcontext_cursor(const struct pgcontext *c, struct str name, size_t *statement);

#endif
