/* sql/facts.h - what a string of SQL would do, from PostgreSQL's own parse tree. Pure.
 * Nothing is judged by text patterns. What the analyser does not know it refuses. */
#ifndef SQL_FACTS_H
#define SQL_FACTS_H

#include "base/arena.h"
#include "command/command.h"
#include "sql/purpose.h"

enum {
    SQL_TEXT_MAX = 1 << 20, /* bytes of one query string */
    SQL_TOKENS_MAX = 32768, /* bounds the parser's stack (docs/architecture.md, "Deep recursion") */
    SQL_STATEMENTS_MAX = 1000,
};

/* What the session must keep track of, beyond deciding. */
enum sql_kind {
    SQL_OTHER,
    SQL_EMPTY,
    SQL_BEGIN,
    SQL_COMMIT,   /* COMMIT, END; AND CHAIN included */
    SQL_ROLLBACK, /* of the whole transaction */
    SQL_SAVEPOINT,
    SQL_ROLLBACK_TO,
    SQL_RELEASE,
    SQL_PREPARE,    /* name: the prepared statement */
    SQL_EXECUTE,    /* name: the prepared statement */
    SQL_DEALLOCATE, /* name; empty: ALL */
    SQL_DISCARD_ALL,
    SQL_COPY_IN,
    SQL_COPY_OUT,
    SQL_SET,     /* name: the setting; empty: RESET ALL */
    SQL_FETCH,   /* name: the cursor; MOVE included */
    SQL_DECLARE, /* name: the cursor */
    SQL_CLOSE,   /* name: the cursor; empty: ALL */
};

struct sql_statement {
    enum sql_kind kind;
    struct str name; /* as `kind` says, folded; else empty */
    struct str text; /* this statement's part of the string; for SQL_PREPARE of the inner one */
    const struct demand *demands;
    size_t n_demands;
};

struct sql_lineage;
struct sql_context;

struct sql_facts {
    const struct sql_statement *statements;
    size_t n_statements;
    /* All statements' demands, without repeats: a string is decided whole. */
    const struct demand *demands;
    size_t n_demands;
    /* Whether another string that differs only in literal values could have other facts. */
    bool depends_on_literals;
    /* Where the answers come from; NULL without a context. The cache's, or for the caller of
     * sql_analyze() to release. */
    const struct sql_lineage *lineage;
    struct sql_purpose purpose; /* what its statements make of it */
};

/* Analyses `text`, allocating from `arena`; `*out` borrows from `text` and `arena`. `context` (may
 * be NULL) adds the lineage. Must run on a big stack (fiber_call_deep). ERR_LIMIT (size, tokens,
 * statements, demands), ERR_PROTOCOL (not SQL that PostgreSQL 15's grammar accepts: err_text() says
 * where), ERR_UNSUPPORTED (a construct that the analyser does not know), ERR_INVALID (NUL, not
 * UTF-8), ERR_NOMEM. */
enum err sql_analyze(struct str text, const struct sql_context *context, struct arena *arena,
                     struct sql_facts *out);

/* The position that the text of such an ERR_PROTOCOL ends with, from 1 and in characters; 0: none.
 * `*message` is the rest: the parser's own words. */
int sql_error_position(struct str text, struct str *message);

#endif
