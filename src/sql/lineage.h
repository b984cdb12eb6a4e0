/* sql/lineage.h - where the columns of a statement's answer come from, and whether protected data
 * goes anywhere else (docs/masking.md). Pure.
 *
 * The rule is strict taint: a protected value may flow, as it is, into cells of the answer, where
 * it will be masked. Any other use is refused, because errors, order, counts and timing tell it. */
#ifndef SQL_LINEAGE_H
#define SQL_LINEAGE_H

#include "mask/mask.h"
#include "sql/catalog.h"
#include "sql/facts.h"

/* A catalog together with what is protected in it, and what was derived from both: which views,
 * generated columns, partitions and functions carry protected data on. */
struct shield;

/* Copies `protection`. `catalog`'s block must live until release(arg) is called, at the end of the
 * shield's last holder (on failure it is not called). ERR_NOMEM, ERR_LIMIT. */
enum err shield_make(const struct catalog *catalog, const struct protection *protection,
                     void (*release)(void *arg), void *arg, struct shield **out);
struct shield *shield_hold(struct shield *s);
void shield_free(struct shield *s); /* gives one hold back; NULL is allowed */
const struct catalog *shield_catalog(const struct shield *s);
const struct protection *shield_protection(const struct shield *s);

/* Whether a column that the server names as an answer's origin is protected, or not known. */
bool shield_is_protected(const struct shield *s, uint32_t relation, int16_t attribute);

/* How the server finds unqualified names. */
struct sql_path {
    const struct str *schemas; /* in order, pg_catalog (and pg_temp) among them where they count */
    size_t n;
};

/* What an analysis may rely on. */
struct sql_context {
    struct shield *shield;
    struct sql_path path;
    bool path_known;
    bool path_uncommitted; /* it, or the catalog, was changed in the transaction under way */
};

/* What is hidden of one output cell. */
enum sql_hiding { SQL_HIDE_NOTHING, SQL_HIDE_ALL, SQL_HIDE_JSON, SQL_HIDE_FIELDS };
struct sql_hidden {
    enum sql_hiding how;
    const struct mask_rule *rule;    /* SQL_HIDE_ALL */
    const struct mask_path *paths;   /* SQL_HIDE_JSON */
    const struct sql_hidden *fields; /* SQL_HIDE_FIELDS: of a row, in its columns' order */
    size_t n;                        /* of paths or fields */
};

struct sql_output_column {
    struct str name;
    uint32_t type;     /* oid, where it is known; 0 else */
    uint32_t relation; /* oid of the table that the server is to name; 0: not predicted */
    int16_t attribute;
    struct sql_hidden hidden;
    struct str from; /* protected columns that flow into it, for the record: "public.t.c, …" */
};

enum sql_output_kind {
    SQL_OUTPUT_NONE, /* no rows */
    SQL_OUTPUT_ROWS,
    SQL_OUTPUT_COPY,    /* COPY … TO STDOUT */
    SQL_OUTPUT_CURSOR,  /* FETCH: the rows of the cursor `name` */
    SQL_OUTPUT_PREPARED /* EXECUTE: what the prepared statement `name` answers */
};

/* What one statement answers. */
struct sql_output {
    enum sql_output_kind kind;
    struct str name;
    bool open;         /* more columns than these may follow; then nothing is hidden */
    bool catalog_only; /* reads system catalogs or nothing at all: rows are not counted */
    bool hides;        /* some column hides something */
    const struct sql_output_column *columns;
    size_t n;
    /* SQL_OUTPUT_COPY */
    bool copy_binary;
    struct mask_copy copy;
    /* DECLARE name CURSOR FOR …: the cursor that will give these rows; the answer itself has none
     */
    bool declares;
    bool holds;    /* WITH HOLD: it outlives its transaction */
    bool prepares; /* PREPARE name AS …: likewise */
    bool closes;   /* CLOSE name, or with an empty name all cursors */
};

/* Of a whole string. One block, shared by reference counts. */
struct sql_lineage {
    unsigned references;
    size_t bytes;
    struct shield *shield;            /* held: rules and types are its */
    const struct sql_output *outputs; /* one for each statement */
    size_t n_outputs;
    /* A protected column is used as it may not be; empty: none is. `refused` names the column. */
    struct str refusal, refused;
    struct str use;                          /* ends "may not be used in …"; with `refused` */
    const struct protect_rule *refused_rule; /* the shield's, that protects it; NULL: no column */
    struct str sqlstate; /* of a refusal that is the server's own error: 42P01, …; else empty */
    bool unknown_name;   /* the refusal may be due to a catalog that is out of date */
    bool guarded; /* reads tables with protected columns: errors and notices may hold values */
    const uint32_t *views, *functions; /* oids of what was looked into, with their versions */
    const uint32_t *view_versions, *function_versions;
    size_t n_views, n_functions;
    struct str masked; /* protected columns in the answers, for the record: "public.t.c, …" */
};

static inline const struct sql_lineage *
sql_lineage_hold(const struct sql_lineage *l)
{
    if (l != NULL)
        ((struct sql_lineage *)(uintptr_t)l)->references++;
    return l;
}
void sql_lineage_release(const struct sql_lineage *l); /* NULL is allowed */

/* Fills in `*plan` for a cell of this type; what it points at is in `arena`. */
enum err sql_mask_plan(const struct shield *s, const struct sql_hidden *hidden, uint32_t type,
                       struct arena *arena, struct mask_plan *plan);

#endif
