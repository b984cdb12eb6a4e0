/* sql/flow.h - inside this room only: what is known of a value while a statement's lineage is
 * worked out. Everything is immutable and lives in the analysis's arena. */
#ifndef SQL_FLOW_H
#define SQL_FLOW_H

#include <pg_query/pg_query.pb-c.h>

#include "sql/lineage.h"
#include "sql/tree.h"

/* A protected column that is in a value. */
struct taint {
    const struct taint *next;
    const struct protect_rule *rule;
    uint32_t relation, attribute; /* indexes in the catalog: where it is kept */
    const struct str *path;       /* keys from this value to the protected one, inside json */
    size_t n_path;
    bool inside_json; /* only what `path` leads to is protected */
    bool derived;     /* no longer the value as it is kept */
};

struct flow {
    const struct taint *taint; /* NULL: free */
    const struct row *row;     /* a whole row; NULL: any other value */
    uint32_t type;             /* oid; 0: not known */
    uint32_t relation;         /* the table column that the server will name as its origin; 0 */
    int16_t attribute;
};

struct column {
    struct str name;
    struct flow flow;
    bool unlisted; /* not among those of a star */
};

struct row {
    const struct catalog_relation *relation; /* its type's; NULL: an anonymous record */
    const struct column *columns;
    size_t n;
    bool open; /* may have more columns, all of them free */
};

static const struct row row_none;

/* Something in FROM. */
struct item {
    struct str name; /* alias; empty: none */
    bool has_alias;
    const struct catalog_relation *relation; /* a table or view itself */
    struct row row;
};

/* What names may mean at one place of a query: PostgreSQL's namespace. */
struct visible {
    const struct item *item;
    bool by_name;     /* item.column, and the item's own name */
    bool its_columns; /* column alone, and the star */
};
struct names {
    const struct visible *items;
    size_t n;
};

struct cte {
    const struct cte *next;
    struct str name;
    struct row row;
    size_t n_extra; /* columns at the end that SEARCH and CYCLE add */
};

struct level {
    const struct level *outer;
    struct names names;
    const struct cte *ctes; /* innermost first, those of outer levels behind */
};

struct oid_list {
    uint32_t *oids, *versions;
    size_t n, capacity;
};

struct analysis {
    struct arena *arena;
    struct shield *shield;
    const struct catalog *catalog;
    struct sql_path path;
    bool path_known;

    bool owner;                   /* a definition of the owner's: uses are noted, not refused */
    const struct taint *implicit; /* owner: what decides which rows there are */
    const char *clause;           /* where we are, for refusals; NULL: nowhere in particular */
    bool lookup;                  /* a comparison here may be a lookup */

    bool failed; /* refused; what follows does not matter any more */
    struct str refusal, refused, use, sqlstate;
    const struct protect_rule *refused_rule;
    bool unknown_name;

    bool path_changed; /* by an earlier statement of the string */
    bool stale;        /* one changed what names mean: the catalog is that of before */

    bool depends; /* on literals */
    bool guarded;
    bool reads_user, reads_system, generates;
    const struct taint *seen;
    struct oid_list views, functions;
    unsigned steps;
};

/* Ends the analysis: a protected column is used as it may not be. */
void flow_refuse(struct analysis *a, const struct taint *taint, const char *what);
/* Ends it: this cannot be shown to be safe. */
void flow_refuse_because(struct analysis *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Ends it with an error that the server would give. */
void flow_error(struct analysis *a, const char *sqlstate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* All protected columns in a value, those in its fields included; NULL: none. */
const struct taint *flow_taint(struct analysis *a, struct flow f);
const struct taint *taint_union(struct analysis *a, const struct taint *x, const struct taint *y);
const struct taint *taint_derived(struct analysis *a, const struct taint *t);

/* A value that decides something (which rows, in what order): refused if protected. `what` ends
 * "may not be used in …". */
void flow_observe(struct analysis *a, struct flow f, const char *what);
/* A value that another is computed from: likewise; the owner's results carry it on. */
void flow_mix(struct analysis *a, struct flow *into, struct flow f, const char *what);

/* "schema.table.column" of a taint. */
struct str taint_name(struct analysis *a, const struct taint *t);

void *flow_alloc(struct analysis *a, size_t n, size_t size);

/* Whether a type called `text` is the server's own, not one of a schema that is searched before. */
bool flow_is_text(const struct analysis *a, const PgQuery__TypeName *t);

/* Names mean what the catalog says; false after a refusal: they may not any more. */
bool flow_may_resolve(struct analysis *a);

/* Whether `fn` is true of a message of a parse tree or of one below it. */
typedef bool flow_node_fn(const ProtobufCMessage *m, void *arg);
bool flow_any_node(const ProtobufCMessage *m, flow_node_fn *fn, void *arg);

/* shield.c */
/* What is protected in a column of a table, as the rules say (not of a view). */
const struct taint *shield_taint(const struct shield *s, uint32_t attribute);
/* Whether anything in the table is. */
bool shield_touches(const struct shield *s, const struct catalog_relation *r);
/* The columns of a relation as a query sees them; of a view, what flows into each. */
struct row shield_row(struct analysis *a, const struct catalog_relation *r);
/* Whether the function may be called: NULL, or why not. */
const char *shield_function_trouble(struct shield *s, const struct catalog_function *f);
struct str shield_schema_name(const struct shield *s, uint32_t namespace);
bool shield_is_system(const struct shield *s, const struct catalog_relation *r);

/* names.c */
const struct cte *names_find_cte(const struct level *l, struct str name);
const struct catalog_relation *names_find_relation(struct analysis *a, struct str schema,
                                                   struct str name);
/* `qualifiers` are the fields before the column, 0 to 3 of them. */
struct flow names_column(struct analysis *a, const struct level *l, PgQuery__Node **fields,
                         size_t n);
/* A column of this level alone; false if there is none. */
bool names_local_column(struct analysis *a, const struct level *l, struct str name,
                        struct flow *out);
/* The item that a qualified star means; NULL after an error. */
const struct item *names_item(struct analysis *a, const struct level *l, PgQuery__Node **fields,
                              size_t n);
const struct column *row_find(const struct row *row, struct str name);

/* from.c */
struct names from_clause(struct analysis *a, struct level *l, PgQuery__Node **items, size_t n);
const struct item *from_relation(struct analysis *a, const struct level *l,
                                 const PgQuery__RangeVar *rv);
struct names names_of(struct analysis *a, const struct item *item);
struct names names_join(struct analysis *a, struct names x, struct names y);

/* query.c */
struct row query_select(struct analysis *a, const struct level *outer,
                        const PgQuery__SelectStmt *s);
/* SELECT, VALUES, INSERT, UPDATE, DELETE, MERGE; a row without columns if it returns none. */
struct row query_node(struct analysis *a, const struct level *outer, const PgQuery__Node *node);
void query_with(struct analysis *a, struct level *l, const PgQuery__WithClause *with);
struct row query_targets(struct analysis *a, const struct level *l, PgQuery__Node **targets,
                         size_t n);

/* change.c */
struct row change_insert(struct analysis *a, const struct level *outer,
                         const PgQuery__InsertStmt *s);
struct row change_update(struct analysis *a, const struct level *outer,
                         const PgQuery__UpdateStmt *s);
struct row change_delete(struct analysis *a, const struct level *outer,
                         const PgQuery__DeleteStmt *s);
struct row change_merge(struct analysis *a, const struct level *outer, const PgQuery__MergeStmt *s);
/* New values go into these columns of the relation. */
void change_column(struct analysis *a, const struct item *target, struct str name);

/* compute.c */
struct flow compute(struct analysis *a, const struct level *l, const PgQuery__Node *node);
/* The columns that a node with a star at its end gives; `*is_star` false: it has none. */
struct row compute_star(struct analysis *a, const struct level *l, const PgQuery__Node *node,
                        bool *is_star);
void compute_observe(struct analysis *a, const struct level *l, const PgQuery__Node *node,
                     const char *clause);
/* The name that PostgreSQL gives an output column without one. */
struct str compute_name(const PgQuery__Node *node);
/* Check a call, an operator, by name; false after a refusal. */
bool compute_may_operate(struct analysis *a, PgQuery__Node **names, size_t n_names);
bool compute_may_compare(struct analysis *a); /* by the operator = that is not written */
bool compute_may_call(struct analysis *a, struct str schema, struct str name);
/* Likewise, of functions in the catalog alone; `*found`: there are such. */
bool compute_may_run(struct analysis *a, struct str schema, struct str name, bool *found);
/* A whole row as it leaves the place where its columns may have other names. */
struct flow compute_leaves(struct analysis *a, struct flow f);
/* Whether `x.name` can only be a field: a call would be of a function that is not harmless. */
bool compute_may_be_field(struct analysis *a, struct str name);

/* owner.c */
/* A definition: nothing protected is copied or used by it, and no table that holds such changed. */
void owner_check(struct analysis *a, const PgQuery__Node *statement);
void owner_check_relation(struct analysis *a, const PgQuery__RangeVar *rv);

/* jsonpath.c */
/* sql_constant(), also where it is cast to what is text on this search path. */
bool json_constant(const struct analysis *a, const PgQuery__Node *node, struct str *out);
/* What `keys` lead to in a value. */
struct flow json_follow(struct analysis *a, struct flow document, const struct str *keys, size_t n,
                        bool as_text);
/* A json operator or function with constant keys; false if it is none on a protected document. */
bool json_operator(struct analysis *a, struct str name, struct flow left,
                   const PgQuery__Node *right, struct flow *out);
bool json_function(struct analysis *a, struct str name, struct flow first,
                   const PgQuery__FuncCall *c, struct flow *out);

/* resolve.c */
/* Qualifies names as the search path, which is known, would; drops what only names harmless
 * functions of extensions. Names then borrow from the context. */
void sql_resolve_demands(const struct sql_context *c, struct demand *demands, size_t *n);

/* lineage.c */
/* Of a parsed string, whose facts are known; `*depends` is set if it hangs on literal values.
 * `*out` is the caller's. ERR_NOMEM, ERR_LIMIT. */
enum err sql_lineage_of(const struct sql_context *context, const PgQuery__ParseResult *tree,
                        const struct sql_facts *facts, struct arena *arena, bool *depends,
                        const struct sql_lineage **out);

#endif
