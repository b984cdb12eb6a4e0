/* Where the columns of an answer come from, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include "fiber/fiber.h"
#include "lineage_schema.h"

static struct buf block;
static struct shield *shield;
static const struct str usual_path[] = {STR_INIT("pg_catalog"), STR_INIT("public")};
static const struct str crm_path[] = {STR_INIT("pg_catalog"), STR_INIT("crm")};

static int
set_up(void **state)
{
    (void)state;
    block = schema_block();
    shield = schema_shield(&block);
    return shield == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
    (void)state;
    shield_free(shield);
    buf_free(&block);
    return 0;
}

static void
put_hidden(struct buf *out, const struct sql_hidden *h)
{
    switch (h->how) {
    case SQL_HIDE_NOTHING:
        buf_put_text(out, "-");
        break;
    case SQL_HIDE_ALL:
        buf_put_text(out, mask_kind_name(h->rule->kind));
        break;
    case SQL_HIDE_JSON:
        buf_put_text(out, "json");
        for (size_t i = 0; i < h->paths[0].n_keys; i++) {
            buf_put_text(out, ".");
            buf_put_str(out, h->paths[0].keys[i]);
        }
        break;
    case SQL_HIDE_FIELDS:
        buf_put_text(out, "(");
        for (size_t i = 0; i < h->n; i++) {
            buf_put_text(out, i == 0 ? "" : ",");
            put_hidden(out, &h->fields[i]);
        }
        buf_put_text(out, ")");
        break;
    }
}

/* "id=- ssn=partial" for each statement that answers, apart by "; ". */
static void
render(const struct sql_lineage *l, struct buf *out)
{
    if (l->refusal.len > 0) {
        buf_put_text(out, l->sqlstate.len > 0 ? "error " : "refused ");
        buf_put_str(out, l->sqlstate.len > 0 ? l->sqlstate : l->refusal);
        return;
    }
    for (size_t i = 0; i < l->n_outputs; i++) {
        const struct sql_output *o = &l->outputs[i];

        buf_put_text(out, i == 0 ? "" : "; ");
        if (o->kind == SQL_OUTPUT_CURSOR || o->kind == SQL_OUTPUT_PREPARED)
            buf_printf(out, "of %.*s", STR_ARG(o->name));
        for (size_t k = 0; k < o->n; k++) {
            buf_printf(out, "%s%.*s=", k == 0 ? "" : " ", STR_ARG(o->columns[k].name));
            put_hidden(out, &o->columns[k].hidden);
        }
        if (o->open)
            buf_put_text(out, o->n == 0 ? "…" : " …");
    }
}

struct analysis_call {
    struct str sql;
    struct sql_context context;
    struct arena *arena;
    struct sql_facts facts;
    enum err e;
};

static void
analyze(void *arg)
{
    struct analysis_call *c = arg;

    c->e = sql_analyze(c->sql, &c->context, c->arena, &c->facts);
}

/* What the lineage of `sql` is, as text; the caller frees it. */
static struct buf
lineage_of(const char *sql, struct sql_path path, bool known)
{
    struct analysis_call c = {.sql = str_from(sql),
                              .context = {.shield = shield, .path = path, .path_known = known},
                              .arena = arena_new(16 << 20)};
    struct buf out = buf_make(4096);

    fiber_call_deep(analyze, &c);
    if (c.e != OK)
        buf_printf(&out, "not analysed: %s", err_text());
    else
        render(c.facts.lineage, &out);
    if (c.e == OK)
        sql_lineage_release(c.facts.lineage);
    arena_free(c.arena);
    buf_put_u8(&out, '\0');
    return out;
}

struct expectation {
    const char *sql;
    const char *expected; /* all of it, or with "refused" what it begins with and holds */
};

static void
check(const struct expectation *all, size_t n, struct sql_path path, bool known)
{
    size_t wrong = 0;

    for (size_t i = 0; i < n; i++) {
        struct buf got = lineage_of(all[i].sql, path, known);
        bool refusal = strncmp(all[i].expected, "refused", 7) == 0;
        bool ok = refusal ? strncmp(got.ptr, "refused", 7) == 0 &&
                                strstr(got.ptr, all[i].expected + 7) != NULL
                          : strcmp(got.ptr, all[i].expected) == 0;

        if (!ok) {
            print_message("%s\n    expected %s\n    but got  %s\n", all[i].sql, all[i].expected,
                          got.ptr);
            wrong++;
        }
        buf_free(&got);
    }
    assert_int_equal(wrong, 0);
}

#define CHECK(all)                                                                                 \
    check((all), sizeof(all) / sizeof((all)[0]), (struct sql_path){usual_path, 2}, true)

static void
test_plain_output_is_masked_however_it_is_written(void **state)
{
    static const struct expectation all[] = {
        {"SELECT id, ssn FROM customers", "id=- ssn=partial"},
        {"SELECT ssn AS id, id AS ssn FROM customers", "id=partial ssn=-"},
        {"SELECT c.* FROM customers c",
         "id=- name=- email=redact ssn=partial dob=redact mails=redact home=- bank=redact "
         "email_key=redact"},
        {"TABLE contact", "id=- addr=redact"},
        {"SELECT x FROM (SELECT ssn FROM public.customers) s(x)", "x=partial"},
        {"WITH orders AS (SELECT email FROM customers) SELECT * FROM orders", "email=redact"},
        {"WITH a AS (SELECT ssn FROM customers), b(z) AS (SELECT * FROM a) SELECT z FROM b",
         "z=partial"},
        {"SELECT (SELECT ssn FROM customers WHERE id = 1)", "ssn=partial"},
        {"VALUES (1, (SELECT ssn FROM customers LIMIT 1))", "column1=- column2=partial"},
        {"SELECT o.id, x.v FROM orders o, LATERAL (SELECT email AS v FROM customers c WHERE c.id = "
         "o.customer_id) x",
         "id=- v=redact"},
        {"SELECT id, email FROM crm.customers UNION ALL SELECT id, email FROM public.customers",
         "id=- email=redact"},
        {"WITH RECURSIVE t(n, v) AS (SELECT 1, email FROM customers UNION ALL SELECT n + 1, v FROM "
         "t "
         "WHERE n < 3) SELECT n, v FROM t",
         "n=- v=redact"},
        {"SELECT customers.id, email FROM orders JOIN customers ON customers.id = customer_id",
         "id=- email=redact"},
        {"SELECT id, email FROM orders JOIN customers USING (id)", "id=- email=redact"},
        {"SELECT * FROM orders NATURAL JOIN contact", "id=- customer_id=- total=- addr=redact"},
        {"SELECT j.id FROM (orders JOIN customers USING (id)) AS j", "id=-"},
        {"SELECT ssn::text FROM customers", "ssn=partial"},
        {"SELECT email COLLATE \"C\" FROM customers", "refused COLLATE"},
        {"SELECT c FROM customers c", "c=(-,-,redact,partial,redact,redact,-,redact,redact)"},
        {"SELECT ssn(c) FROM customers c", "ssn=partial"},
        {"SELECT mails[1], mails FROM customers", "mails=redact mails=redact"},
        {"SELECT (bank).total, (home).total FROM customers", "total=redact total=-"},
        {"SELECT ctid, tableoid, xmin FROM customers", "ctid=- tableoid=- xmin=-"},
        {"SELECT email FROM regional", "email=redact"},
        {"SELECT * FROM regional", "email=redact id=-"},
        {"SELECT email_key FROM customers", "email_key=redact"},
        {"SELECT \"ssn\", SSN FROM \"customers\"", "ssn=partial ssn=partial"},
        {"SELECT 1; SELECT dob FROM customers", "?column?=-; dob=redact"},
    };

    (void)state;
    CHECK(all);
}

static void
test_every_other_use_is_refused(void **state)
{
    static const struct expectation all[] = {
        {"SELECT 1 FROM customers WHERE email LIKE 'a%'", "refused(WHERE)"},
        {"SELECT 1 FROM customers WHERE id IN (SELECT dob FROM customers)", "refusedsubquery"},
        {"SELECT id FROM customers ORDER BY email", "refusedORDER BY"},
        {"SELECT ssn AS x FROM customers ORDER BY x", "refusedORDER BY"},
        {"SELECT id, ssn FROM customers ORDER BY 2", "refusedORDER BY"},
        {"SELECT ssn AS name FROM customers ORDER BY name", "refusedORDER BY"},
        {"SELECT name AS ssn FROM customers ORDER BY ssn", "ssn=-"},
        {"SELECT count(*) FROM customers GROUP BY email", "refusedGROUP BY"},
        {"SELECT name AS email FROM customers GROUP BY email", "refusedGROUP BY"},
        {"SELECT count(*) FROM customers GROUP BY ROLLUP (email)", "refusedGROUP BY"},
        {"SELECT DISTINCT email FROM customers", "refusedDISTINCT"},
        {"SELECT DISTINCT ON (email) id FROM customers", "refusedDISTINCT ON"},
        {"SELECT count(*) FROM customers HAVING max(email) > 'a'", "refused"},
        {"SELECT upper(email) FROM customers", "refusedupper()"},
        {"SELECT email || 'x' FROM customers", "refusedoperator ||"},
        {"SELECT dob::timestamp FROM customers", "refuseda cast"},
        {"SELECT CASE WHEN id = 1 THEN email END FROM customers", "refusedCASE"},
        {"SELECT coalesce(email, 'x') FROM customers", "refusedCOALESCE"},
        {"SELECT ROW(email) FROM customers", "refusedROW"},
        {"SELECT ARRAY(SELECT email FROM customers)", "refusedARRAY"},
        {"SELECT row_to_json(c) FROM customers c", "refusedrow_to_json()"},
        {"SELECT count(DISTINCT email) FROM customers", "refusedcount()"},
        {"SELECT count(*) FILTER (WHERE email > 'm') FROM customers", "refused(FILTER)"},
        {"SELECT row_number() OVER (ORDER BY email) FROM customers", "refusedORDER BY of a window"},
        {"SELECT row_number() OVER w FROM customers WINDOW w AS (PARTITION BY email)",
         "refusedPARTITION BY"},
        {"SELECT id FROM customers LIMIT (SELECT length(email) FROM customers LIMIT 1)", "refused"},
        {"SELECT email FROM customers UNION SELECT 'x'", "refusedUNION without ALL"},
        {"SELECT email FROM customers EXCEPT SELECT 'x'", "refusedINTERSECT or EXCEPT"},
        {"SELECT 1 FROM crm.customers JOIN customers USING (email)", "refuseda join"},
        {"SELECT 1 FROM crm.customers a JOIN customers b ON a.email = b.email", "refused(ON)"},
        {"SELECT EXISTS (SELECT 1 FROM customers WHERE email = 'x')", "refused(WHERE)"},
        {"SELECT 1 FROM contact WHERE addr = 'x'", "refusedpublic.customers.email"},
        {"SELECT x.email FROM (SELECT * FROM customers) x WHERE x.email > ''", "refused(WHERE)"},
        {"SELECT o.id FROM orders o WHERE EXISTS (SELECT 1 FROM customers c WHERE c.dob = now())",
         "refused"},
        {"SELECT s FROM (SELECT id, email FROM customers) s", "refusedwhole row"},
        {"INSERT INTO tickets SELECT id, email FROM customers", "refusedwhat is inserted"},
        {"UPDATE tickets SET subject = (SELECT email FROM customers LIMIT 1)", "refused"},
        {"UPDATE customers SET email = 'x' WHERE id = 1", "refuseda write"},
        {"INSERT INTO customers (id, ssn) VALUES (1, 'x')", "refuseda write"},
        {"INSERT INTO customers (id) VALUES (1) ON CONFLICT (email) DO NOTHING",
         "refusedON CONFLICT"},
        {"CREATE TABLE t AS SELECT email FROM customers", "refusedcopied into a table"},
        {"SELECT email INTO t FROM customers", "refusedSELECT INTO"},
        {"ALTER TABLE customers RENAME COLUMN ssn TO x", "refusedits owner only"},
        {"CREATE INDEX ON customers (lower(email))", "refusedits owner only"},
        {"DO 'BEGIN END'", "refusedDO"},
        {"SELECT set_config('a.b', email, false) FROM customers", "refusedset_config()"},
        {"COPY customers TO '/tmp/x'", "refusedfiles or programs"},
        {"SELECT * FROM pg_stats", "error 42P01"},
        {"SELECT query_to_xml('select 1', true, true, '')", "refusedquery_to_xml"},
        {"SELECT 1 FROM customers a, customers b WHERE a === b", "refused==="},
    };

    (void)state;
    CHECK(all);
}

static void
test_what_tells_nothing_is_allowed(void **state)
{
    static const struct expectation all[] = {
        {"SELECT id FROM customers WHERE email IS NOT NULL", "id=-"},
        {"SELECT count(email) FROM customers", "count=-"},
        {"SELECT id FROM customers WHERE ssn = '123' AND id > 1", "id=-"},
        {"SELECT id FROM customers WHERE $1 = ssn", "id=-"},
        {"SELECT id FROM customers WHERE ssn = '1' OR id = 1", "refusedoperator ="},
        {"SELECT id FROM customers WHERE ssn = name", "refusedoperator ="},
        {"SELECT id FROM customers WHERE ssn > '1'", "refusedoperator >"},
        {"UPDATE customers SET mails = '{}' WHERE id = 1", ""},
        {"UPDATE customers SET name = 'x' WHERE id = 1 RETURNING id, email", "id=- email=redact"},
        {"DELETE FROM customers WHERE id = 1 RETURNING *",
         "id=- name=- email=redact ssn=partial dob=redact mails=redact home=- bank=redact "
         "email_key=redact"},
        {"SELECT email FROM crm.customers WHERE email LIKE 'x%' ORDER BY email", "email=-"},
        {"EXPLAIN SELECT email FROM customers", "QUERY PLAN=-"},
        {"SELECT relname FROM pg_class ORDER BY 1", "relname=-"},
    };

    (void)state;
    CHECK(all);
}

static void
test_views_and_functions_carry_protection_on(void **state)
{
    static const struct expectation all[] = {
        {"SELECT * FROM contact", "id=- addr=redact"},
        {"SELECT * FROM vip", "id=- loud=redact"},
        {"SELECT * FROM cards", "id=- pan=redact brand=-"},
        {"SELECT id, name FROM adults", "id=redact name=redact"},
        {"SELECT order_total(1)", "order_total=-"},
        {"SELECT * FROM recent(1)", "id=- total=-"},
        {"SELECT order_total(1), email FROM customers", "order_total=- email=redact"},
        {"SELECT get_customer(1)", "refusedget_customer()"},
        {"SELECT by_city('x')", "refusedby_city()"},
        {"SELECT in_c('x')", "refusedcannot be looked into"},
        {"SELECT order_total(length(email)) FROM customers", "refused"},
        {"SELECT no_such(1)", "error 42883"},
    };

    (void)state;
    CHECK(all);
}

static void
test_documents_are_protected_by_path(void **state)
{
    static const struct expectation all[] = {
        {"SELECT details FROM payments", "details=json.card.number"},
        {"SELECT details -> 'card' FROM payments", "?column?=json.number"},
        {"SELECT details -> 'card' ->> 'number' FROM payments", "?column?=redact"},
        {"SELECT details #>> '{card,brand}' FROM payments", "?column?=-"},
        {"SELECT (details -> 'amount')::int FROM payments ORDER BY 1", "int4=-"},
        {"SELECT details['card']['number'] FROM payments", "details=redact"},
        {"SELECT jsonb_extract_path_text(details, 'card', 'number') FROM payments",
         "jsonb_extract_path_text=redact"},
        {"SELECT jsonb_path_query_first(details, '$.bill.city') FROM payments",
         "jsonb_path_query_first=-"},
        {"SELECT details -> lower('CARD') FROM payments", "refusedoperator ->"},
        {"SELECT details::text FROM payments", "refuseda cast"},
        {"SELECT 1 FROM payments WHERE details @> '{}'", "refusedoperator @>"},
        {"SELECT 1 FROM payments WHERE details ->> 'currency' = 'EUR'", "?column?=-"},
        {"SELECT 1 FROM payments WHERE details -> 'card' ->> 'number' = '4'", "refusedoperator ="},
    };

    (void)state;
    CHECK(all);
}

static void
test_names_are_found_as_the_server_finds_them(void **state)
{
    static const struct expectation all[] = {
        {"SELECT nope FROM customers", "error 42703"},
        {"SELECT id FROM nope", "error 42P01"},
        {"SELECT x.id FROM customers", "error 42P01"},
        {"SELECT id FROM customers, orders", "error 42702"},
        {"SELECT customers.email FROM customers c", "error 42P01"},
        {"SELECT public.customers.email FROM customers", "email=redact"},
        {"SELECT crm.customers.email FROM crm.customers, public.customers c", "email=-"},
        {"SELECT email FROM (SELECT id AS email FROM customers) x", "email=-"},
        {"SELECT email FROM customers AS c(a, b, email)", "email=redact"},
        {"SELECT id FROM customers AS c(email)", "error 42703"},
        {"SELECT (SELECT email) FROM customers", "email=redact"},
        {"SELECT (SELECT email FROM crm.customers LIMIT 1) FROM customers", "email=-"},
        {"SELECT 1 FROM orders, customers JOIN contact ON orders.id = contact.id", "error 42P01"},
        {"SELECT f FROM generate_series(1, 3) f", "f=-"},
        {"SELECT * FROM generate_series(1, 3) WITH ORDINALITY AS t(a, b)", "a=- b=-"},
        {"SELECT * FROM jsonb_to_record('{}') AS r(a int, b text)", "a=- b=-"},
        {"DECLARE c CURSOR FOR SELECT email FROM customers", "email=redact"},
        {"FETCH ALL FROM c", "of c"},
        {"PREPARE p AS SELECT email FROM customers", "email=redact"},
        {"EXECUTE p(1)", "of p"},
        {"COPY customers (id, email) TO STDOUT", "id=- email=redact"},
        {"COPY (SELECT email FROM customers) TO STDOUT (FORMAT csv)", "email=redact"},
        {"SET search_path = crm; SELECT email FROM customers", "; email=-"},
        {"SET search_path = crm, public; SELECT email FROM customers", "; email=-"},
        {"SET LOCAL search_path = public; SELECT email FROM customers", "; email=redact"},
        {"SELECT set_config('search_path', 'crm', false); SELECT email FROM customers",
         "refusedsearch_path that is not known"},
    };

    (void)state;
    CHECK(all);
}

static void
test_the_search_path_decides(void **state)
{
    static const struct expectation crm[] = {
        {"SELECT email FROM customers", "email=-"},
        {"SELECT email FROM public.customers", "email=redact"},
        {"SELECT id FROM orders", "error 42P01"},
    };
    static const struct expectation unknown[] = {
        {"SELECT email FROM customers", "refusednot known here"},
        {"SELECT email FROM public.customers", "email=redact"},
        {"SELECT id FROM orders", "id=-"},
    };

    (void)state;
    check(crm, 3, (struct sql_path){crm_path, 2}, true);
    check(unknown, 3, (struct sql_path){usual_path, 2}, false);
}

static void
test_a_damaged_block_is_refused_or_safe(void **state)
{
    struct buf copy = buf_make(1 << 20);

    (void)state;
    buf_put_str(&copy, buf_str(&block));
    for (size_t n = 0; n < block.len; n++) {
        struct catalog c;

        assert_int_not_equal(catalog_open((struct str){copy.ptr, n}, &c), OK);
    }
    for (size_t i = 0; i < block.len; i++) {
        struct catalog c;
        size_t n;

        copy.ptr[i] = (char)~block.ptr[i];
        if (catalog_open(buf_str(&copy), &c) == OK) {
            (void)catalog_relation_named(&c, 1, STR("customers"));
            (void)catalog_functions_named(&c, STR("recent"), &n);
            (void)catalog_operators_named(&c, STR("==="), &n);
            (void)catalog_type_of(&c, 20011);
            for (uint32_t k = 0; k < c.n_relations; k++)
                (void)catalog_text(&c, c.relations[k].definition);
        }
        copy.ptr[i] = block.ptr[i];
    }
    buf_free(&copy);
}

static void
test_hidden_values_are_planned_by_their_types(void **state)
{
    static const struct mask_rule redact = {.kind = MASK_REDACT};
    const struct sql_hidden all = {.how = SQL_HIDE_ALL, .rule = &redact};
    struct arena *arena = arena_new(1 << 20);
    struct mask_plan plan;

    (void)state;
    assert_int_equal(sql_mask_plan(shield, &all, 20030, arena, &plan), OK);
    assert_int_equal(plan.shape, MASK_SHAPE_VALUE);
    assert_int_equal(plan.type, 25); /* a domain's base */
    assert_int_equal(sql_mask_plan(shield, &all, 1009, arena, &plan), OK);
    assert_int_equal(plan.shape, MASK_SHAPE_ARRAY);
    assert_int_equal(plan.element->type, 25);
    assert_int_equal(sql_mask_plan(shield, &all, 20011, arena, &plan), OK);
    assert_int_equal(plan.shape, MASK_SHAPE_ROW);
    assert_int_equal(plan.n_fields, 9);
    assert_int_equal(sql_mask_plan(shield, &all, 99999, arena, &plan), OK);
    assert_int_equal(plan.shape, MASK_SHAPE_VALUE);
    arena_free(arena);
}

static void
test_what_the_server_names_is_known_to_be_protected(void **state)
{
    (void)state;
    assert_true(shield_is_protected(shield, 20010, 4));
    assert_false(shield_is_protected(shield, 20010, 2));
    assert_true(shield_is_protected(shield, 20018, 1));
    assert_true(shield_is_protected(shield, 29999, 1)); /* newer than the catalog */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_output_is_masked_however_it_is_written),
        cmocka_unit_test(test_every_other_use_is_refused),
        cmocka_unit_test(test_what_tells_nothing_is_allowed),
        cmocka_unit_test(test_views_and_functions_carry_protection_on),
        cmocka_unit_test(test_documents_are_protected_by_path),
        cmocka_unit_test(test_names_are_found_as_the_server_finds_them),
        cmocka_unit_test(test_the_search_path_decides),
        cmocka_unit_test(test_a_damaged_block_is_refused_or_safe),
        cmocka_unit_test(test_hidden_values_are_planned_by_their_types),
        cmocka_unit_test(test_what_the_server_names_is_known_to_be_protected),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
