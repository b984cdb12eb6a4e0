/* A catalog of one table, public.people (id int4, name text, ssn text), whose ssn is protected; and
 * the lineage of SELECT id, name, ssn FROM people. */
#ifndef PGPEOPLE_H
#define PGPEOPLE_H

#include <stdlib.h>

#include "sql/lineage.h"

enum { PEOPLE_OID = 20000, PEOPLE_FINGERPRINT = 7 };

static const struct protect_rule people_protect[] = {{.schema = STR_INIT("public"),
                                                      .table = STR_INIT("people"),
                                                      .column = STR_INIT("ssn"),
                                                      .mask = {.kind = MASK_REDACT}}};

struct people_row {
    int query;
    size_t n;
    struct str fields[CATALOG_FIELDS_MAX];
};

/* The block of the catalog; aborts without memory. */
static struct buf
people_block(void)
{
    enum { META, NAMESPACES, RELATIONS, ATTRIBUTES, INHERITANCE, TYPES };
#define F(literal) STR_INIT(literal)
    static const struct people_row rows[] = {
        {META, 2, {F("5"), F("7")}},
        {NAMESPACES, 2, {F("11"), F("pg_catalog")}},
        {NAMESPACES, 2, {F("2200"), F("public")}},
        {RELATIONS,
         9,
         {F("20000"),
          F("2200"),
          F("people"),
          F("20001"),
          F("1"),
          F("r"),
          {NULL, 0},
          F("f"),
          F("f")}},
        {ATTRIBUTES, 5, {F("20000"), F("1"), F("id"), F("23"), {NULL, 0}}},
        {ATTRIBUTES, 5, {F("20000"), F("2"), F("name"), F("25"), {NULL, 0}}},
        {ATTRIBUTES, 5, {F("20000"), F("3"), F("ssn"), F("25"), {NULL, 0}}},
        {TYPES, 8, {F("23"), F("11"), F("int4"), F("0"), F("0"), F("0"), F("b"), F(",")}},
        {TYPES, 8, {F("25"), F("11"), F("text"), F("0"), F("0"), F("0"), F("b"), F(",")}},
        {TYPES,
         8,
         {F("20001"), F("2200"), F("people"), F("20000"), F("0"), F("0"), F("c"), F(",")}},
    };
#undef F
    struct catalog_builder *b = catalog_builder_new();
    struct buf out = buf_make(1 << 20);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (b == NULL || catalog_build_row(b, rows[i].query, rows[i].fields, rows[i].n) != OK)
            abort();
    if (catalog_build_end(b, &out) != OK)
        abort();
    catalog_builder_free(b);
    return out;
}

static inline struct shield *
people_shield(const struct buf *block)
{
    static const struct protection protection = {.protect = people_protect, .n_protect = 1};
    struct catalog catalog;
    struct shield *shield;

    if (catalog_open(buf_str(block), &catalog) != OK ||
        shield_make(&catalog, &protection, NULL, NULL, &shield) != OK)
        abort();
    return shield;
}

static const struct sql_output_column people_columns[] = {
    {.name = STR_INIT("id"), .type = 23, .relation = PEOPLE_OID, .attribute = 1},
    {.name = STR_INIT("name"), .type = 25, .relation = PEOPLE_OID, .attribute = 2},
    {.name = STR_INIT("ssn"),
     .type = 25,
     .relation = PEOPLE_OID,
     .attribute = 3,
     .hidden = {.how = SQL_HIDE_ALL, .rule = &people_protect[0].mask}},
};

/* It lives for ever: nobody's release ends it. */
static inline struct sql_lineage
people_lineage(struct shield *shield, const struct sql_output *output)
{
    return (struct sql_lineage){
        .references = 1, .shield = shield, .outputs = output, .n_outputs = 1, .guarded = true};
}

#endif
