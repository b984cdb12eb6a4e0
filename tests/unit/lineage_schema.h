/* A small database for tests of lineage: what a catalog's queries would answer, and what is
 * protected in it. */
#ifndef TESTS_LINEAGE_SCHEMA_H
#define TESTS_LINEAGE_SCHEMA_H

#include <stdlib.h>

#include "sql/lineage.h"

enum schema_query {
    Q_META,
    Q_NAMESPACES,
    Q_RELATIONS,
    Q_ATTRIBUTES,
    Q_INHERITANCE,
    Q_TYPES,
    Q_FUNCTIONS,
    Q_OPERATORS,
    Q_CASTS
};

struct schema_row {
    int query;
    const char *fields[13];
};

#define NAMESPACE(oid, name)                                                                       \
    {                                                                                              \
        Q_NAMESPACES,                                                                              \
        {                                                                                          \
            oid, name                                                                              \
        }                                                                                          \
    }
/* Tables and views, by name; the columns of each behind it in the same order. */
#define TABLE(oid, ns, name, type)                                                                 \
    {                                                                                              \
        Q_RELATIONS,                                                                               \
        {                                                                                          \
            oid, ns, name, type, "1", "r", NULL, "f", "f"                                          \
        }                                                                                          \
    }
#define VIEW(oid, name, definition)                                                                \
    {                                                                                              \
        Q_RELATIONS,                                                                               \
        {                                                                                          \
            oid, "2200", name, "0", "1", "v", definition, "f", "f"                                 \
        }                                                                                          \
    }
#define COLUMN(relation, n, name, type)                                                            \
    {                                                                                              \
        Q_ATTRIBUTES,                                                                              \
        {                                                                                          \
            relation, n, name, type, NULL                                                          \
        }                                                                                          \
    }
#define GENERATED(relation, n, name, ex)                                                           \
    {                                                                                              \
        Q_ATTRIBUTES,                                                                              \
        {                                                                                          \
            relation, n, name, "25", ex                                                            \
        }                                                                                          \
    }
#define TYPE(oid, name, rel, elem, base, kind)                                                     \
    {                                                                                              \
        Q_TYPES,                                                                                   \
        {                                                                                          \
            oid, "11", name, rel, elem, base, kind, ","                                            \
        }                                                                                          \
    }
#define FUNCTION(oid, name, source, outputs, result, language)                                     \
    {                                                                                              \
        Q_FUNCTIONS,                                                                               \
        {                                                                                          \
            oid, "2200", name, source, outputs, NULL, result, "1", "1", language, NULL, "f", "f"   \
        }                                                                                          \
    }

static const struct schema_row schema_rows[] = {
    {Q_META, {"5", "42"}},
    NAMESPACE("11", "pg_catalog"),
    NAMESPACE("2200", "public"),
    NAMESPACE("20000", "crm"),
    /* by name, as bytes */
    VIEW("20040", "adults",
         " SELECT customers.id,\n    customers.name\n   FROM public.customers\n"
         "  WHERE customers.dob < '2000-01-01'::date;"),
    VIEW("20041", "cards",
         " SELECT payments.id,\n    (payments.details #>> '{card,number}'::text[]) "
         "AS pan,\n    (payments.details #>> '{card,brand}'::text[]) AS brand\n"
         "   FROM public.payments;"),
    VIEW("20042", "contact",
         " SELECT customers.id,\n    customers.email AS addr\n"
         "   FROM public.customers;"),
    TABLE("20010", "2200", "customers", "20011"),
    TABLE("20012", "20000", "customers", "20013"),
    TABLE("20014", "2200", "orders", "20015"),
    TABLE("20016", "2200", "payments", "20017"),
    TABLE("1259", "11", "pg_class", "83"),
    TABLE("20018", "2200", "regional", "20019"),
    TABLE("20020", "2200", "tickets", "20021"),
    VIEW("20043", "vip",
         " SELECT contact.id,\n    upper(contact.addr) AS loud\n"
         "   FROM public.contact;"),
    COLUMN("20040", "1", "id", "23"),
    COLUMN("20040", "2", "name", "25"),
    COLUMN("20041", "1", "id", "23"),
    COLUMN("20041", "2", "pan", "25"),
    COLUMN("20041", "3", "brand", "25"),
    COLUMN("20042", "1", "id", "23"),
    COLUMN("20042", "2", "addr", "25"),
    COLUMN("20010", "1", "id", "23"),
    COLUMN("20010", "2", "name", "25"),
    COLUMN("20010", "3", "email", "25"),
    COLUMN("20010", "4", "ssn", "20030"),
    COLUMN("20010", "5", "dob", "1082"),
    COLUMN("20010", "6", "mails", "1009"),
    COLUMN("20010", "7", "home", "20032"),
    COLUMN("20010", "8", "bank", "20032"),
    GENERATED("20010", "9", "email_key", "lower(email)"),
    COLUMN("20012", "1", "id", "23"),
    COLUMN("20012", "2", "email", "25"),
    COLUMN("20014", "1", "id", "23"),
    COLUMN("20014", "2", "customer_id", "23"),
    COLUMN("20014", "3", "total", "1700"),
    COLUMN("20016", "1", "id", "23"),
    COLUMN("20016", "2", "details", "3802"),
    COLUMN("1259", "1", "oid", "26"),
    COLUMN("1259", "2", "relname", "19"),
    COLUMN("20018", "1", "email", "25"), /* a child with its columns in another order */
    COLUMN("20018", "2", "id", "23"),
    COLUMN("20020", "1", "id", "23"),
    COLUMN("20020", "2", "subject", "25"),
    COLUMN("20043", "1", "id", "23"),
    COLUMN("20043", "2", "loud", "25"),
    {Q_INHERITANCE, {"20018", "20010"}},
    TYPE("23", "int4", "0", "0", "0", "b"),
    TYPE("25", "text", "0", "0", "0", "b"),
    TYPE("1009", "_text", "0", "25", "0", "b"),
    TYPE("1082", "date", "0", "0", "0", "b"),
    TYPE("3802", "jsonb", "0", "0", "0", "b"),
    TYPE("20011", "customers", "20010", "0", "0", "c"),
    TYPE("20030", "us_ssn", "0", "0", "25", "d"),
    TYPE("20032", "place", "20014", "0", "0", "c"),
    FUNCTION("20050", "by_city", "BEGIN RETURN QUERY EXECUTE p; END", NULL, "25", "plpgsql"),
    FUNCTION("20051", "get_customer", "SELECT * FROM customers WHERE id = p", NULL, "20011", "sql"),
    FUNCTION("20052", "in_c", "in_c", NULL, "25", "c"),
    FUNCTION("20053", "order_total", "SELECT sum(total) FROM orders", NULL, "1700", "sql"),
    FUNCTION("20054", "recent", "SELECT id, total FROM orders", "id\1total", "2249", "sql"),
    {Q_OPERATORS, {"===", "2200", "20050"}},
};

static const struct protect_rule schema_protect[] = {
    {.schema = STR_INIT("public"), .table = STR_INIT("customers"), .column = STR_INIT("email")},
    {.schema = STR_INIT("public"),
     .table = STR_INIT("customers"),
     .column = STR_INIT("ssn"),
     .mask = {.kind = MASK_PARTIAL, .keep = 4},
     .lookup = true},
    {.schema = STR_INIT("*"), .table = STR_INIT("customers"), .column = STR_INIT("dob")},
    {.schema = STR_INIT("public"),
     .table = STR_INIT("customers"),
     .column = STR_INIT("mails"),
     .write = true},
    {.schema = STR_INIT("public"), .table = STR_INIT("customers"), .column = STR_INIT("bank")},
    {.schema = STR_INIT("public"),
     .table = STR_INIT("payments"),
     .column = STR_INIT("details"),
     .path = (const struct str[]){STR_INIT("card"), STR_INIT("number")},
     .n_path = 2},
};

/* The block of the catalog; the caller's. */
static struct buf
schema_block(void)
{
    struct catalog_builder *b = catalog_builder_new();
    struct buf out = buf_make(1 << 20);

    for (size_t i = 0; i < sizeof(schema_rows) / sizeof(schema_rows[0]); i++) {
        struct str fields[13];
        size_t n;

        (void)catalog_query(schema_rows[i].query, &n);
        for (size_t k = 0; k < n; k++)
            fields[k] = schema_rows[i].fields[k] == NULL ? (struct str){NULL, 0}
                                                         : str_from(schema_rows[i].fields[k]);
        if (catalog_build_row(b, schema_rows[i].query, fields, n) != OK)
            abort();
    }
    if (catalog_build_end(b, &out) != OK)
        abort();
    catalog_builder_free(b);
    return out;
}

/* A shield over the block. */
static struct shield *
schema_shield(const struct buf *block)
{
    const struct protection protection = {
        .protect = schema_protect, .n_protect = sizeof(schema_protect) / sizeof(schema_protect[0])};
    struct catalog catalog;
    struct shield *shield;

    if (catalog_open(buf_str(block), &catalog) != OK ||
        shield_make(&catalog, &protection, NULL, NULL, &shield) != OK)
        return NULL;
    return shield;
}

#endif
