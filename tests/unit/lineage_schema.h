/* A small database to work lineages out in: its catalog, as the rows a server would send, and what
 * is protected in it. */
#ifndef LINEAGE_SCHEMA_H
#define LINEAGE_SCHEMA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/lineage.h"

enum {
    LS_CATALOG = 11,
    LS_PUBLIC = 2200,
    LS_INFORMATION = 13000,
    LS_TEMPORARY = 16390,
    LS_CRM = 16391,
    LS_RECORD = 2249,
    LS_VOID = 2278,
};

/* Columns are "name type [= expression];…"; the row type's oid is the relation's plus one, that of
 * the array of it plus two. */
struct ls_relation {
    uint32_t oid, namespace;
    const char *name, *kind, *columns, *definition;
    const char *rules, *triggers;
};

static const struct ls_relation ls_relations[] = {
    {20000, LS_PUBLIC, "customers", "r",
     "id int4;name text;email varchar;ssn text;phone bpchar;born date;salary numeric;tags _text;"
     "addr address_t;profile jsonb;score int4;label text = (('\"'::text || ssn) || '\"'::text)",
     NULL, "f", "f"},
    {20010, LS_PUBLIC, "orders", "r",
     "id int4;customer_id int4;total numeric;note text;lines _int4;payload jsonb", NULL, "f", "f"},
    {20020, LS_PUBLIC, "payments", "p", "id int4;card text;amount numeric", NULL, "f", "f"},
    {20030, LS_PUBLIC, "payments_2024", "r", "id int4;card text;amount numeric", NULL, "f", "f"},
    {20040, LS_PUBLIC, "people", "r", "id int4;nick text", NULL, "f", "f"},
    {20050, LS_PUBLIC, "staff", "r", "id int4;nick text;room text", NULL, "f", "f"},
    {20060, LS_PUBLIC, "subscribers", "r", "id int4;email text;plan text", NULL, "f", "f"},
    {20070, LS_PUBLIC, "places", "r", "id int4;areas _box;home email_d;homes emails_d;docs _jsonb",
     NULL, "f", "f"},
    {20080, LS_PUBLIC, "ruled", "r", "id int4", NULL, "t", "f"},
    {20090, LS_PUBLIC, "triggered", "r", "id int4", NULL, "f", "t"},
    {20100, LS_PUBLIC, "address_t", "c", "street text;city text", NULL, "f", "f"},
    {20110, LS_PUBLIC, "pair_t", "c", "a int4;b text", NULL, "f", "f"},
    {20120, LS_CRM, "customers", "r", "id int4;ssn text;segment text", NULL, "f", "f"},
    {20130, LS_CRM, "only_crm", "r", "id int4;ssn text", NULL, "f", "f"},
    {20140, LS_TEMPORARY, "scratch", "r", "id int4;memo text", NULL, "f", "f"},
    {20150, LS_PUBLIC, "Odd Table", "r", "Id int4;Secret Word text;select text", NULL, "f", "f"},
    {20200, LS_PUBLIC, "customer_view", "v", "id int4;name text;ssn text;profile jsonb",
     " SELECT customers.id, customers.name, customers.ssn, customers.profile"
     " FROM public.customers;",
     "f", "f"},
    {20210, LS_PUBLIC, "second_view", "v", "id int4;number text",
     " SELECT v.id, v.ssn AS number FROM public.customer_view v;", "f", "f"},
    {20220, LS_PUBLIC, "rich", "v", "id int4;name text",
     " SELECT customers.id, customers.name FROM public.customers"
     " WHERE (customers.salary > (100)::numeric);",
     "f", "f"},
    {20230, LS_PUBLIC, "order_view", "v", "id int4;total numeric",
     " SELECT orders.id, orders.total FROM public.orders;", "f", "f"},
    {20240, LS_PUBLIC, "ssn_copy", "m", "id int4;digits text;n int8",
     " SELECT customers.id, max(\"substring\"(customers.ssn, 1, 3)) AS digits, count(*) AS n"
     " FROM public.customers GROUP BY customers.id;",
     "f", "f"},
    {20250, LS_PUBLIC, "opaque_view", "v", "x text", " SELECT public.opaque(1) AS x;", "f", "f"},
    {20260, LS_PUBLIC, "leaky_view", "v", "x text", " SELECT public.reads_sql() AS x;", "f", "f"},
    {20270, LS_PUBLIC, "quoting_view", "v", "q text;ssn text",
     " SELECT '\"'::text AS q, customers.ssn FROM public.customers"
     " WHERE (customers.name <> '\"'::text);",
     "f", "f"},
    {20280, LS_PUBLIC, "union_view", "v", "kind text;value text",
     " SELECT 'c'::text AS kind, customers.email AS value FROM public.customers UNION ALL"
     " SELECT 's'::text AS kind, customers.ssn AS value FROM public.customers;",
     "f", "f"},
    {20290, LS_PUBLIC, "broken_view", "v", "x text", " SELECT FROM WHERE;", "f", "f"},
    {1259, LS_CATALOG, "pg_class", "r", "oid oid;relname name;relnamespace oid", NULL, "f", "f"},
    {2619, LS_CATALOG, "pg_statistic", "r", "starelid oid", NULL, "f", "f"},
    {12000, LS_CATALOG, "pg_stats", "v", "tablename name", NULL, "f", "f"},
    {13010, LS_INFORMATION, "tables", "v", "table_schema name;table_name name", NULL, "f", "f"},
};

static const struct ls_type {
    uint32_t oid, namespace;
    const char *name;
    uint32_t element, base;
    const char *kind, *delimiter;
} ls_types[] = {
    {16, LS_CATALOG, "bool", 0, 0, "b", ","},
    {17, LS_CATALOG, "bytea", 0, 0, "b", ","},
    {19, LS_CATALOG, "name", 0, 0, "b", ","},
    {20, LS_CATALOG, "int8", 0, 0, "b", ","},
    {23, LS_CATALOG, "int4", 0, 0, "b", ","},
    {25, LS_CATALOG, "text", 0, 0, "b", ","},
    {26, LS_CATALOG, "oid", 0, 0, "b", ","},
    {114, LS_CATALOG, "json", 0, 0, "b", ","},
    {603, LS_CATALOG, "box", 0, 0, "b", ";"},
    {1007, LS_CATALOG, "_int4", 23, 0, "b", ","},
    {1009, LS_CATALOG, "_text", 25, 0, "b", ","},
    {1020, LS_CATALOG, "_box", 603, 0, "b", ";"},
    {1042, LS_CATALOG, "bpchar", 0, 0, "b", ","},
    {1043, LS_CATALOG, "varchar", 0, 0, "b", ","},
    {1082, LS_CATALOG, "date", 0, 0, "b", ","},
    {1184, LS_CATALOG, "timestamptz", 0, 0, "b", ","},
    {1700, LS_CATALOG, "numeric", 0, 0, "b", ","},
    {LS_RECORD, LS_CATALOG, "record", 0, 0, "p", ","},
    {LS_VOID, LS_CATALOG, "void", 0, 0, "p", ","},
    {3802, LS_CATALOG, "jsonb", 0, 0, "b", ","},
    {3807, LS_CATALOG, "_jsonb", 3802, 0, "b", ","},
    {16500, LS_PUBLIC, "email_d", 0, 25, "d", ","},
    {16501, LS_PUBLIC, "emails_d", 0, 1009, "d", ","},
    {16502, LS_PUBLIC, "code_t", 0, 0, "b", ","},
    {16503, LS_PUBLIC, "code_d", 0, 16502, "d", ","},
};

/* `outputs` and `arguments` are joined with \1; NULL: none. */
static const struct ls_function {
    uint32_t oid, namespace;
    const char *name, *source, *outputs, *arguments;
    uint32_t result;
    const char *n, *language, *extension, *kind, *set;
} ls_functions[] = {
    {3219, LS_CATALOG, "jsonb_each", NULL, "key\1value", NULL, LS_RECORD, "1", "internal", NULL,
     "f", "t"},
    {30000, LS_PUBLIC, "safe_sql", " SELECT 1 ", NULL, NULL, 23, "1", "sql", NULL, "f", "f"},
    {30001, LS_PUBLIC, "safe_plpgsql", "BEGIN RETURN lower($1); END", NULL, "x", 25, "1", "plpgsql",
     NULL, "f", "f"},
    {30002, LS_PUBLIC, "reads_sql", "SELECT ssn FROM public.customers LIMIT 1", NULL, NULL, 25, "0",
     "sql", NULL, "f", "f"},
    {30003, LS_PUBLIC, "reads_folded", "BEGIN RETURN (SELECT Ssn FROM Public.CUSTOMERS); END", NULL,
     NULL, 25, "0", "plpgsql", NULL, "f", "f"},
    {30004, LS_PUBLIC, "dynamic", "BEGIN EXECUTE q; RETURN 1; END", NULL, "q", 23, "1", "plpgsql",
     NULL, "f", "f"},
    {30005, LS_PUBLIC, "opaque", "opaque", NULL, "x", 25, "1", "c", "odd_extension", "f", "f"},
    {30006, LS_PUBLIC, "calls_reads", "SELECT public.reads_sql()", NULL, NULL, 25, "0", "sql", NULL,
     "f", "f"},
    {30007, LS_PUBLIC, "ping", "BEGIN PERFORM pong(); RETURN (SELECT ssn FROM customers); END",
     NULL, NULL, 25, "0", "plpgsql", NULL, "f", "f"},
    {30008, LS_PUBLIC, "pong", "BEGIN RETURN ping(); END", NULL, NULL, 25, "0", "plpgsql", NULL,
     "f", "f"},
    {30009, LS_PUBLIC, "tick", "BEGIN RETURN tock(); END", NULL, NULL, 25, "0", "plpgsql", NULL,
     "f", "f"},
    {30010, LS_PUBLIC, "tock", "BEGIN RETURN tick(); END", NULL, NULL, 25, "0", "plpgsql", NULL,
     "f", "f"},
    {30011, LS_PUBLIC, "reads_view", "SELECT number FROM public.second_view", NULL, NULL, 25, "0",
     "sql", NULL, "f", "f"},
    {30012, LS_PUBLIC, "reads_leaky_view", "SELECT x FROM public.leaky_view", NULL, NULL, 25, "0",
     "sql", NULL, "f", "f"},
    {30013, LS_PUBLIC, "reads_between_quotes",
     "SELECT '\"' || ssn FROM public.customers WHERE name <> '\"'", NULL, NULL, 25, "0", "sql",
     NULL, "f", "f"},
    {30014, LS_PUBLIC, "reads_after_comment",
     "BEGIN -- a 5\" disk\n RETURN (SELECT ssn FROM customers); END", NULL, NULL, 25, "0",
     "plpgsql", NULL, "f", "f"},
    {30015, LS_PUBLIC, "reads_escaped", "SELECT ssn FROM U&\"\\0063ustomers\"", NULL, NULL, 25, "0",
     "sql", NULL, "f", "f"},
    {30016, LS_PUBLIC, "reads_quoted", "SELECT \"Secret Word\" FROM \"Odd Table\"", NULL, NULL, 25,
     "0", "sql", NULL, "f", "f"},
    {30017, LS_PUBLIC, "order_rows", "SELECT * FROM public.orders", NULL, NULL, 20011, "0", "sql",
     NULL, "f", "t"},
    {30018, LS_PUBLIC, "make_customers", "SELECT NULL", NULL, NULL, 20001, "0", "sql", NULL, "f",
     "t"},
    {30019, LS_PUBLIC, "two_outputs", "SELECT 1, 2", "a\1b", "x\1a\1b", LS_RECORD, "1", "sql", NULL,
     "f", "f"},
    {30020, LS_PUBLIC, "overloaded", "SELECT 1", NULL, NULL, 23, "1", "sql", NULL, "f", "f"},
    {30021, LS_PUBLIC, "overloaded", "SELECT ssn FROM public.customers", NULL, NULL, 25, "1", "sql",
     NULL, "f", "f"},
    {30022, LS_PUBLIC, "similarity", "similarity", NULL, NULL, 701, "2", "c", "pg_trgm", "f", "f"},
    {30023, LS_CRM, "safe_sql", "SELECT ssn FROM public.customers", NULL, NULL, 25, "1", "sql",
     NULL, "f", "f"},
    {30024, LS_CRM, "in_crm", "SELECT 1", NULL, NULL, 23, "0", "sql", NULL, "f", "f"},
    {30025, LS_PUBLIC, "change", "BEGIN UPDATE orders SET total = 0; END", NULL, NULL, LS_VOID, "0",
     "plpgsql", NULL, "p", "f"},
    {30026, LS_PUBLIC, "reads_large", "SELECT lo_get(1)", NULL, NULL, 17, "0", "sql", NULL, "f",
     "f"},
    {30027, LS_PUBLIC, "python", "return 1", NULL, NULL, 23, "0", "plpython3u", NULL, "f", "f"},
    {30028, LS_PUBLIC, "reads_stats", "SELECT most_common_vals FROM pg_stats", NULL, NULL, 25, "0",
     "sql", NULL, "f", "f"},
    {30029, LS_PUBLIC, "unsafe_compare", "SELECT ssn FROM customers", NULL, NULL, 16, "2", "sql",
     NULL, "f", "f"},
    {30030, LS_PUBLIC, "to_code", "to_code", NULL, NULL, 16502, "1", "c", "odd_extension", "f",
     "f"},
};

static const struct ls_operator {
    const char *name;
    uint32_t namespace, function;
} ls_operators[] = {
    {"%", LS_PUBLIC, 30022},
    {"===", LS_PUBLIC, 30029},
};

/* Handing the rows over. */

static inline void
ls_row(struct catalog_builder *b, int query, const char *const *texts, size_t n)
{
    struct str fields[CATALOG_FIELDS_MAX];

    for (size_t i = 0; i < n; i++)
        fields[i] = texts[i] == NULL ? (struct str){NULL, 0} : str_from(texts[i]);
    if (catalog_build_row(b, query, fields, n) != OK)
        abort();
}

#define LS_ROW(b, query, ...)                                                                      \
    ls_row((b), (query), (const char *const[]){__VA_ARGS__},                                       \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

struct ls_number {
    char text[16];
};

static inline struct ls_number
ls_number(uint32_t n)
{
    struct ls_number number;

    (void)snprintf(number.text, sizeof(number.text), "%u", n);
    return number;
}

enum {
    LS_N_RELATIONS = sizeof(ls_relations) / sizeof(ls_relations[0]),
    LS_N_TYPES = sizeof(ls_types) / sizeof(ls_types[0]),
    LS_N_FUNCTIONS = sizeof(ls_functions) / sizeof(ls_functions[0]),
};

static inline uint32_t
ls_type_named(const char *name)
{
    for (size_t i = 0; i < LS_N_TYPES; i++)
        if (strcmp(ls_types[i].name, name) == 0)
            return ls_types[i].oid;
    for (size_t i = 0; i < LS_N_RELATIONS; i++)
        if (strcmp(ls_relations[i].name, name) == 0)
            return ls_relations[i].oid + 1;
    abort();
}

/* The columns of one relation. */
static inline void
ls_columns(struct catalog_builder *b, const struct ls_relation *r)
{
    char *copy = strdup(r->columns), *rest = copy, *column;

    for (uint32_t number = 1; (column = strsep(&rest, ";")) != NULL; number++) {
        char *expression = strstr(column, " = ");
        char *type;

        if (expression != NULL) {
            *expression = '\0';
            expression += 3;
        }
        type = strrchr(column, ' ');
        *type++ = '\0';
        LS_ROW(b, 3, ls_number(r->oid).text, ls_number(number).text, column,
               ls_number(ls_type_named(type)).text, expression);
    }
    free(copy);
}

static inline int
ls_by_name(const void *x, const void *y)
{
    const struct ls_relation *a = x, *b = y;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : (a->oid > b->oid) - (a->oid < b->oid);
}

static inline int
ls_by_function_name(const void *x, const void *y)
{
    const struct ls_function *a = x, *b = y;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : (a->oid > b->oid) - (a->oid < b->oid);
}

static inline int
ls_by_oid(const void *x, const void *y)
{
    const struct ls_relation *a = x, *b = y;

    return (a->oid > b->oid) - (a->oid < b->oid);
}

static inline void
ls_all_types(struct catalog_builder *b)
{
    struct ls_relation sorted[LS_N_RELATIONS];

    for (size_t i = 0; i < LS_N_TYPES; i++) {
        const struct ls_type *t = &ls_types[i];

        LS_ROW(b, 5, ls_number(t->oid).text, ls_number(t->namespace).text, t->name, "0",
               ls_number(t->element).text, ls_number(t->base).text, t->kind, t->delimiter);
    }
    memcpy(sorted, ls_relations, sizeof(sorted));
    qsort(sorted, LS_N_RELATIONS, sizeof(sorted[0]), ls_by_oid);
    for (size_t i = 0; i < LS_N_RELATIONS; i++) {
        const struct ls_relation *r = &sorted[i];
        char array[80];

        if (r->oid < CATALOG_FIRST_USER_OID)
            continue;
        (void)snprintf(array, sizeof(array), "_%s", r->name);
        LS_ROW(b, 5, ls_number(r->oid + 1).text, ls_number(r->namespace).text, r->name,
               ls_number(r->oid).text, "0", "0", "c", ",");
        LS_ROW(b, 5, ls_number(r->oid + 2).text, ls_number(r->namespace).text, array, "0",
               ls_number(r->oid + 1).text, "0", "b", ",");
    }
}

static inline void
ls_all_relations(struct catalog_builder *b)
{
    struct ls_relation sorted[LS_N_RELATIONS];

    memcpy(sorted, ls_relations, sizeof(sorted));
    qsort(sorted, LS_N_RELATIONS, sizeof(sorted[0]), ls_by_name);
    for (size_t i = 0; i < LS_N_RELATIONS; i++) {
        const struct ls_relation *r = &sorted[i];

        LS_ROW(b, 2, ls_number(r->oid).text, ls_number(r->namespace).text, r->name,
               ls_number(r->oid + 1).text, ls_number(r->oid % 7).text, r->kind, r->definition,
               r->rules, r->triggers);
    }
    for (size_t i = 0; i < LS_N_RELATIONS; i++)
        ls_columns(b, &sorted[i]);
    LS_ROW(b, 4, "20030", "20020");
    LS_ROW(b, 4, "20050", "20040");
}

static inline void
ls_all_functions(struct catalog_builder *b)
{
    struct ls_function sorted[LS_N_FUNCTIONS];

    memcpy(sorted, ls_functions, sizeof(sorted));
    qsort(sorted, LS_N_FUNCTIONS, sizeof(sorted[0]), ls_by_function_name);
    for (size_t i = 0; i < LS_N_FUNCTIONS; i++) {
        const struct ls_function *f = &sorted[i];

        LS_ROW(b, 6, ls_number(f->oid).text, ls_number(f->namespace).text, f->name, f->source,
               f->outputs, f->arguments, ls_number(f->result).text, "7", f->n, f->language,
               f->extension, f->kind, f->set);
    }
    for (size_t i = 0; i < sizeof(ls_operators) / sizeof(ls_operators[0]); i++)
        LS_ROW(b, 7, ls_operators[i].name, ls_number(ls_operators[i].namespace).text,
               ls_number(ls_operators[i].function).text);
    LS_ROW(b, 8, "25", "16502", "30030");
}

/* The whole block; the caller's. */
static inline struct buf
ls_block(void)
{
    struct catalog_builder *b = catalog_builder_new();
    struct buf block = buf_make(CATALOG_BYTES_MAX);

    LS_ROW(b, 0, "5", "-77");
    LS_ROW(b, 1, "11", "pg_catalog");
    LS_ROW(b, 1, "99", "pg_toast");
    LS_ROW(b, 1, "2200", "public");
    LS_ROW(b, 1, "13000", "information_schema");
    LS_ROW(b, 1, "16390", "pg_temp_3");
    LS_ROW(b, 1, "16391", "crm");
    ls_all_types(b);
    ls_all_relations(b);
    ls_all_functions(b);
    if (catalog_build_end(b, &block) != OK)
        abort();
    catalog_builder_free(b);
    return block;
}

#define LS_RULE(t, c, ...)                                                                         \
    {                                                                                              \
        .schema = STR_INIT("public"), .table = STR_INIT(t), .column = STR_INIT(c), .mask = {       \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct str ls_phone_path[] = {STR_INIT("contact"), STR_INIT("phone")};
static const struct str ls_pin_path[] = {STR_INIT("pin")};

static const struct protect_rule ls_rules[] = {
    LS_RULE("customers", "ssn", .kind = MASK_REDACT),
    LS_RULE("customers", "email", .kind = MASK_EMAIL),
    LS_RULE("customers", "phone", .kind = MASK_PARTIAL, .keep = 4),
    LS_RULE("customers", "born", .kind = MASK_NULL),
    LS_RULE("customers", "salary", .kind = MASK_FIXED, .fixed = STR_INIT("0")),
    LS_RULE("customers", "tags", .kind = MASK_HASH),
    LS_RULE("customers", "addr", .kind = MASK_REDACT),
    {.schema = STR_INIT("public"),
     .table = STR_INIT("customers"),
     .column = STR_INIT("profile"),
     .path = ls_phone_path,
     .n_path = 2,
     .mask = {.kind = MASK_REDACT}},
    {.schema = STR_INIT("public"),
     .table = STR_INIT("customers"),
     .column = STR_INIT("profile"),
     .path = ls_pin_path,
     .n_path = 1,
     .mask = {.kind = MASK_NULL}},
    {.schema = STR_INIT("public"),
     .table = STR_INIT("payments"),
     .column = STR_INIT("card"),
     .mask = {.kind = MASK_PARTIAL, .keep = 4},
     .lookup = true},
    LS_RULE("people", "nick", .kind = MASK_HASH),
    {.schema = STR_INIT("public"),
     .table = STR_INIT("subscribers"),
     .column = STR_INIT("email"),
     .mask = {.kind = MASK_EMAIL},
     .lookup = true,
     .write = true},
    LS_RULE("places", "areas", .kind = MASK_REDACT),
    LS_RULE("places", "home*", .kind = MASK_EMAIL),
    LS_RULE("places", "docs", .kind = MASK_REDACT),
    LS_RULE("Odd Table", "Secret*", .kind = MASK_REDACT),
};

static const struct protection ls_protection = {
    .protect = ls_rules, .n_protect = sizeof(ls_rules) / sizeof(ls_rules[0])};

#endif
