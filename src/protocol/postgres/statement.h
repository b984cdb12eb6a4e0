/* protocol/postgres/statement.h - what is kept of an analysed statement (or string of them) after
 * its message has gone: for prepared statements, portals and changes of their names. Pure. */
#ifndef PROTOCOL_POSTGRES_STATEMENT_H
#define PROTOCOL_POSTGRES_STATEMENT_H

#include "gate/gate.h"
#include "protocol/postgres/names.h"
#include "protocol/postgres/view.h"
#include "sql/facts.h"

/* A statement that uses or changes the names of prepared statements, or of cursors. */
struct pgname_use {
    enum sql_kind kind; /* SQL_PREPARE, SQL_EXECUTE, SQL_DEALLOCATE, SQL_DISCARD_ALL; SQL_DECLARE,
                           SQL_FETCH */
    size_t at;          /* its number in the string */
    struct str name;
    struct pgstatement *prepared; /* SQL_PREPARE: what the name will stand for; held */
};

/* What a look at the facts says, without a copy. */
struct pgfacts_summary {
    uint32_t n_copies_in;
    size_t n_uses;
    bool changes_cursors;  /* DECLARE, CLOSE: SQL's side of portals */
    bool changes_path;     /* settings that say what names mean, or code that may change them */
    bool changes_catalog;  /* definitions */
    bool ends_transaction; /* or goes back in it */
    bool controls_transactions; /* begins, ends or prepares one */
    bool empty;                 /* no statement at all: nothing would run */
    struct sql_purpose
        purpose; /* of the session; borrowed from the facts, or the statement's own */
};
void pgfacts_summarise(const struct sql_facts *facts, struct pgfacts_summary *out);

struct pgstatement {
    struct pgobject object; /* first */
    struct str text;        /* the whole string; of SQL's PREPARE too */
    struct str types;       /* of its parameters as far as Parse gave them, four bytes each */
    const struct demand *demands;
    size_t n_demands;
    struct pgname_use *uses;
    size_t n_uses;
    struct pgfacts_summary summary;
    bool changes_names; /* PREPARE, DEALLOCATE, DISCARD ALL */
    bool declares;      /* DECLARE */
    bool fetches;       /* FETCH, MOVE */
    /* Where its answer comes from: output number `output` of the string's lineage, under that
     * generation of the session's context. Held; NULL without column protection. */
    const struct sql_lineage *lineage;
    size_t output;
    uint64_t generation;
};

/* A copy with one reference, the caller's. NULL without memory. */
struct pgstatement *pgstatement_new(const struct sql_facts *facts, struct str text,
                                    struct str types, uint64_t generation);

/* Holds `lineage`, which may be NULL. */
void pgstatement_set_lineage(struct pgstatement *s, const struct sql_lineage *lineage,
                             uint64_t generation);

/* One Bind: a statement and the values for the record. */
struct pgportal {
    struct pgobject object;        /* first */
    struct pgstatement *statement; /* held */
    struct pgview *view;           /* held: of the answer; NULL: it is passed on as it is */
    struct bind_value *values;
    size_t n_values;
    struct approval approval; /* what humans said of it: of all its batches */
};

/* A portal of `statement` (held) with room for `n_values` values of `bytes` bytes in all, which
 * the caller fills; the room for their bytes is `*room`. One reference. NULL without memory. */
struct pgportal *pgportal_new(struct pgstatement *statement, size_t n_values, size_t bytes,
                              char **room);

#endif
