/* sql/tree.h - inside this room only: walking the parse tree and noting what it demands.
 *
 * The walk goes by protobuf-c's descriptors, so it visits every message below a node whether or
 * not anyone thought of the field. Each kind of node has an entry in one table (tree.c); a kind
 * without one is refused. */
#ifndef SQL_TREE_H
#define SQL_TREE_H

#include <pg_query/pg_query.pb-c.h>

#include "sql/facts.h"

/* The CTEs that a query may name, innermost WITH first. */
struct sql_scope {
    const struct sql_scope *parent;
    PgQuery__Node **ctes;
    size_t n;
};

/* A function in FROM: by its alias it may be an argument (expression.c, "Fields that are calls").
 */
struct sql_source {
    const struct sql_source *next;
    const PgQuery__RangeFunction *function;
    struct str alias; /* empty: any */
};

struct sql_walk {
    struct arena *arena; /* for what outlives the analysis */

    /* the statement */
    enum sql_kind kind;
    struct str name;
    struct str text;
    struct demand *demands;
    size_t n_demands, capacity;
    struct sql_purpose purpose;
    bool depends;       /* on literals */
    bool resolved;      /* names are looked up in a catalog too, fields among them */
    unsigned n_bounded; /* queries that where.c looked into, repeats included */

    /* where the walk is */
    const struct sql_scope *scope;
    class_set extra;                  /* named classes that every demand gets: EXPLAIN, COPY OUT */
    bool plan_only;                   /* EXPLAIN without ANALYZE: writes are only planned */
    struct str pg_settings_name;      /* … FROM pg_settings WHERE name = '…' */
    struct str subscription;          /* what a query calls pg_subscription */
    const struct sql_source *sources; /* functions in FROM so far, wherever they stand */
};

typedef enum err sql_handler(struct sql_walk *w, const ProtobufCMessage *m);

/* A string of the tree, which is never NULL. */
static inline struct str
sql_str(const char *text)
{
    return str_from(text);
}

/* Walks one node or message (NULL is allowed), all messages below `m`, or those in an array. */
enum err sql_walk_node(struct sql_walk *w, const PgQuery__Node *node);
enum err sql_walk_message(struct sql_walk *w, const ProtobufCMessage *m);
enum err sql_walk_children(struct sql_walk *w, const ProtobufCMessage *m);
/* The same without the children `skip` and `skip2` (may be NULL). */
enum err sql_walk_others(struct sql_walk *w, const ProtobufCMessage *m, const void *skip,
                         const void *skip2);
enum err sql_walk_nodes(struct sql_walk *w, PgQuery__Node **nodes, size_t n);

/* Notes a demand, once. Names are copied. */
enum err sql_demand(struct sql_walk *w, class_set classes, enum object_kind kind, struct str schema,
                    struct str name);
enum err sql_demand_none(struct sql_walk *w, class_set classes);
/* A relation, with its schema if it is a system catalog; reading secrets and writing to catalogs
 * become effect admin. */
enum err sql_demand_relation(struct sql_walk *w, class_set classes, const PgQuery__RangeVar *rv);
/* An object by its list of name parts. */
enum err sql_demand_names(struct sql_walk *w, class_set classes, enum object_kind kind,
                          PgQuery__Node **names, size_t n);

/* The text of a String node; "" otherwise. */
struct str sql_node_text(const PgQuery__Node *node);
/* Splits [catalog.][schema.]name. */
void sql_names(PgQuery__Node **names, size_t n, struct str *schema, struct str *name);

/* The CTE that an unqualified relation name stands for; NULL if it is a relation.
 * `*where` (may be NULL) gets the WITH that defines it. */
const PgQuery__CommonTableExpr *sql_find_cte(const struct sql_scope *scope, struct str name,
                                             const struct sql_scope **where);

bool sql_is_system_schema(struct str schema);

/* handlers: expression.c */
sql_handler sql_on_relation, sql_on_function, sql_on_operator, sql_on_sublink, sql_on_sort,
    sql_on_sample, sql_on_range_function, sql_on_column, sql_on_indirection, sql_on_select,
    sql_on_exclusion;
/* write.c */
sql_handler sql_on_insert, sql_on_update, sql_on_delete, sql_on_merge, sql_on_copy, sql_on_truncate,
    sql_on_lock;
/* session.c */
sql_handler sql_on_transaction, sql_on_prepare, sql_on_execute, sql_on_deallocate, sql_on_discard,
    sql_on_declare, sql_on_fetch, sql_on_close, sql_on_explain, sql_on_set, sql_on_show,
    sql_on_constraints, sql_on_listen;
/* define.c */
sql_handler sql_on_create_table, sql_on_create_as, sql_on_create_foreign_table, sql_on_view,
    sql_on_index, sql_on_sequence, sql_on_alter_sequence, sql_on_schema, sql_on_define,
    sql_on_create_type, sql_on_alter_table, sql_on_drop, sql_on_rename, sql_on_object_statement,
    sql_on_code_object, sql_on_named, sql_on_create_function, sql_on_trigger, sql_on_rule,
    sql_on_refresh, sql_on_vacuum, sql_on_cluster, sql_on_reindex, sql_on_statistics;
/* power.c */
sql_handler sql_on_grant, sql_on_grant_role, sql_on_default_privileges, sql_on_role, sql_on_policy,
    sql_on_owner, sql_on_owned, sql_on_database, sql_on_server, sql_on_do, sql_on_call,
    sql_on_foreign, sql_on_publication, sql_on_extension;

/* A call of `schema`.`name`, from anywhere in SQL. `call` may be NULL. */
enum err sql_call(struct sql_walk *w, struct str schema, struct str name,
                  const PgQuery__FuncCall *call);

/* A change of a setting. `value` is NULL if it is not known; `reset`: back to the default.
 * `function`: through set_config(). ERR_UNSUPPORTED for what would change how SQL is read. */
enum err sql_change_setting(struct sql_walk *w, struct str name, const struct str *value,
                            bool reset);

/* The text of a constant, also as pg_catalog.text or varchar; false if it is none. */
bool sql_constant(const PgQuery__Node *node, struct str *out);

/* where.c: whether the condition restricts the rows of `target` in a way that is plain from its
 * structure. `sources`: the FROM or USING items beside the target. May set w->depends. */
bool sql_where_narrows(struct sql_walk *w, const PgQuery__RangeVar *target, PgQuery__Node **sources,
                       size_t n_sources, const PgQuery__Node *where);

/* The children of `m` but for `skip`, in the scope of its WITH clause (may be NULL). */
enum err sql_walk_with(struct sql_walk *w, const ProtobufCMessage *m,
                       const PgQuery__WithClause *with, const void *skip);

/* Notes the functions among FROM or USING items, before any column is looked at. */
enum err sql_note_functions(struct sql_walk *w, PgQuery__Node **items, size_t n);

/* The table that SELECT INTO or CREATE … AS makes. */
enum err sql_walk_into(struct sql_walk *w, const PgQuery__IntoClause *into);

/* builtin.c */
bool sql_is_catalog(struct str relation);
bool sql_is_secret(struct str schema, struct str relation);
bool sql_is_safe_function(struct str name);
bool sql_is_builtin_field(struct str name);
bool sql_is_builtin_operator(struct str name);
bool sql_is_harmless_setting(struct str name);
/* The classes of a built-in (or of a well-known extension's) function that is not safe; 0. */
class_set sql_function_classes(struct str name, bool builtin);

#endif
