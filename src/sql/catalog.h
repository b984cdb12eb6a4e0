/* sql/catalog.h - a snapshot of one database's catalog: what names mean there. One block of bytes
 * without pointers, so that one process can read it from the server and all sessions share it.
 * Pure.
 *
 * Making one: run each of catalog_query(0 …) and give every row to catalog_build_row(). Whoever
 * runs them has set search_path to '' first, so that definitions name everything in full. */
#ifndef SQL_CATALOG_H
#define SQL_CATALOG_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    CATALOG_BYTES_MAX = 256 << 20,
    CATALOG_QUERIES = 9,
    CATALOG_FIELDS_MAX = 16,
    CATALOG_FIRST_USER_OID = 16384,
};

/* The text of query number `i`, below CATALOG_QUERIES, and how many columns its rows have. */
const char *catalog_query(int i, size_t *n_fields);

/* One row whose single value tells this state of the catalog from any other; cheap enough to ask
 * before a statement is judged. */
extern const char catalog_fingerprint_query[];

/* Appends a query that gives `kind` ('r' or 'f'), oid and version of these relations and functions
 * as they are now; fewer rows if some are gone. */
void catalog_put_version_query(const uint32_t *relations, size_t n_relations,
                               const uint32_t *functions, size_t n_functions, struct buf *out);

struct catalog_builder;
struct catalog_builder *catalog_builder_new(void); /* NULL without memory */
void catalog_builder_free(struct catalog_builder *b);
/* Values in text format; .ptr NULL is NULL. ERR_PROTOCOL (not what the query answers), ERR_LIMIT,
 * ERR_NOMEM. */
enum err catalog_build_row(struct catalog_builder *b, int query, const struct str *fields,
                           size_t n);
/* Appends the block. */
enum err catalog_build_end(struct catalog_builder *b, struct buf *out);

/* Texts inside the block. */
struct catalog_str {
    uint32_t at, len;
};

struct catalog_namespace {
    uint32_t oid;
    struct catalog_str name;
};

enum catalog_function_body {
    CATALOG_BODY_INTERNAL, /* of the server itself, or of an extension known to be harmless */
    CATALOG_BODY_SQL,
    CATALOG_BODY_TEXT,   /* PL/pgSQL and others: judged by the words in it */
    CATALOG_BODY_OPAQUE, /* C, or anything else that cannot be looked into */
};

struct catalog_relation {
    uint32_t oid, namespace; /* index */
    struct catalog_str name;
    uint32_t type;                          /* pg_type.oid of its rows; 0: none */
    uint32_t version;                       /* differs once its name, its columns or its query do */
    uint32_t first_attribute, n_attributes; /* live ones, by number */
    struct catalog_str definition;          /* of a view or materialized view: its query */
    uint8_t kind;                           /* pg_class.relkind */
    uint8_t has_rules;                      /* rules other than a view's own */
    uint8_t has_triggers;
};

struct catalog_attribute {
    struct catalog_str name;
    struct catalog_str generated; /* its expression; empty: none */
    uint32_t type;
    int16_t number;
};

struct catalog_inheritance { /* partitions included */
    uint32_t child, parent;  /* indexes of relations */
};

struct catalog_type {
    uint32_t oid, namespace;
    struct catalog_str name;
    uint32_t relation; /* oid, of a composite type */
    uint32_t element;  /* oid, of an array */
    uint32_t base;     /* oid, of a domain */
    uint8_t kind;      /* pg_type.typtype */
    uint8_t delimiter;
};

struct catalog_function {
    uint32_t oid, namespace;
    struct catalog_str name;
    struct catalog_str source;    /* text of the body, then of default arguments */
    struct catalog_str outputs;   /* names of the OUT columns, each ended by a NUL */
    struct catalog_str arguments; /* names of the IN arguments, each ended by a NUL */
    uint32_t result;              /* oid of the type */
    uint32_t version;
    uint16_t n_arguments;
    uint8_t body; /* enum catalog_function_body */
    uint8_t kind; /* pg_proc.prokind */
    uint8_t returns_set;
};

struct catalog_operator { /* those that are not the server's own */
    struct catalog_str name;
    uint32_t namespace;
    uint32_t function; /* oid */
};

struct catalog_cast {                  /* those by a function that is not the server's own */
    uint32_t source, target, function; /* oids */
};

/* An opened block; everything in it was checked to lie within. Arrays are sorted: namespaces,
 * types (by oid); relations, functions, operators (by name, bytes). */
struct catalog {
    const char *texts;
    uint64_t fingerprint;
    uint32_t database;
    const struct catalog_namespace *namespaces;
    const struct catalog_relation *relations;
    const struct catalog_attribute *attributes;
    const struct catalog_inheritance *inheritance;
    const struct catalog_type *types;
    const struct catalog_function *functions;
    const struct catalog_operator *operators;
    const struct catalog_cast *casts;
    uint32_t n_namespaces, n_relations, n_attributes, n_inheritance, n_types, n_functions,
        n_operators, n_casts;
};

/* `bytes` is 8-byte aligned and outlives `*out`. ERR_PROTOCOL: nothing of it is to be used. */
enum err catalog_open(struct str bytes, struct catalog *out);

static inline struct str
catalog_text(const struct catalog *c, struct catalog_str s)
{
    return (struct str){c->texts + s.at, s.len};
}

/* NULL if there is none. */
const struct catalog_namespace *catalog_namespace_named(const struct catalog *c, struct str name);
const struct catalog_relation *catalog_relation_named(const struct catalog *c, uint32_t namespace,
                                                      struct str name);
const struct catalog_relation *catalog_relation_of(const struct catalog *c, uint32_t oid);
const struct catalog_type *catalog_type_of(const struct catalog *c, uint32_t oid);
/* The index of the first relation of that name in any namespace, or of what follows it. */
uint32_t catalog_first_relation(const struct catalog *c, struct str name);
const struct catalog_function *catalog_function_of(const struct catalog *c, uint32_t oid);
/* The first function (operator) of that name in any namespace; the others follow it. */
const struct catalog_function *catalog_functions_named(const struct catalog *c, struct str name,
                                                       size_t *n);
const struct catalog_operator *catalog_operators_named(const struct catalog *c, struct str name,
                                                       size_t *n);

#endif
