/* Where each output column comes from, and what is refused. */
#include "sql/lineage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lineage_schema.h"
#include "lineage_text.h"
#include "sql/facts.h"
#include "sql_deep.h"

static struct buf block;
static struct shield *shield;
static struct arena *arena;

static int
set_up(void **state)
{
    struct catalog catalog;

    (void)state;
    block = ls_block();
    arena = arena_new((size_t)64 << 20);
    if (catalog_open(buf_str(&block), &catalog) != OK ||
        shield_make(&catalog, &ls_protection, NULL, NULL, &shield) != OK)
        return 1;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    shield_free(shield);
    arena_free(arena);
    buf_free(&block);
    return 0;
}

/* A search path of names parted by commas; "?": not known; "!" before it: the transaction under way
 * changed it, or the catalog. */
static struct sql_context
context_with(const char *path, struct str schemas[8])
{
    struct sql_context c = {.shield = shield, .path_known = path[0] != '?'};
    struct str rest = str_from(path), one;

    c.path_uncommitted = path[0] == '!';
    if (c.path_uncommitted)
        rest = str_skip(rest, 1);
    c.path.schemas = schemas;
    while (c.path_known && rest.len > 0) {
        rest = str_cut(rest, ',', &one);
        schemas[c.path.n++] = one;
    }
    if (c.path_known)
        schemas[c.path.n++] = STR("pg_catalog");
    return c;
}

/* "prefix: part" of a refusal: `part` may be anywhere in its text. */
static bool
agrees(struct str found, const char *expected)
{
    struct str part = str_from(expected), prefix;
    size_t colon;

    if (!str_starts(part, STR("refused")))
        return str_equal(found, part) ||
               (part.len == 5 && found.len > 6 && found.ptr[5] == ':' && str_starts(found, part));
    colon = str_index(part, ':');
    prefix = (struct str){part.ptr, colon};
    if (!str_starts(found, prefix) || found.len <= colon || found.ptr[colon] != ':')
        return false;
    part = str_trim(str_skip(part, colon + 1));
    return part.len == 0 || memmem(found.ptr, found.len, part.ptr, part.len) != NULL;
}

struct lineage_case {
    const char *path, *sql, *expected;
};

static void
describe(const struct lineage_case *c, struct buf *out)
{
    struct str schemas[10];
    struct sql_context context = context_with(c->path, schemas);
    struct sql_facts facts;
    enum err e;

    arena_reset(arena);
    e = sql_analyze(str_from(c->sql), &context, arena, &facts);
    if (e != OK) {
        buf_printf(out, "!%s %s", err_name(e), err_text());
        return;
    }
    put_lineage(out, facts.lineage);
    sql_lineage_release(facts.lineage);
}

static void
check_cases(const struct lineage_case *cases, size_t n)
{
    int wrong = 0;

    for (size_t i = 0; i < n; i++) {
        struct buf out = buf_make(1 << 16);

        describe(&cases[i], &out);
        if (!agrees(buf_str(&out), cases[i].expected)) {
            print_error("%s\n  expected %s\n  found    %.*s\n", cases[i].sql, cases[i].expected,
                        STR_ARG(buf_str(&out)));
            wrong++;
        }
        buf_free(&out);
    }
    assert_int_equal(wrong, 0);
}

#define CHECK(...)                                                                                 \
    do {                                                                                           \
        static const struct lineage_case cases_[] = {__VA_ARGS__};                                 \
        check_cases(cases_, sizeof(cases_) / sizeof(cases_[0]));                                   \
    } while (0)

#define P   "public"
#define SSN "refused public.customers.ssn: "

static void
test_columns_are_found_as_the_server_finds_them(void **state)
{
    (void)state;
    CHECK(
        {P, "SELECT id, ssn FROM customers", "id=- ssn=redact"},
        {P, "SELECT ID, SSN FROM Customers", "id=- ssn=redact"},
        {P, "SELECT customers.ssn, public.customers.ssn FROM customers", "ssn=redact ssn=redact"},
        {P, "SELECT db.public.customers.ssn FROM customers", "ssn=redact"},
        {P, "SELECT x.db.public.customers.ssn FROM customers", "42601"},
        {P, "SELECT public.c.ssn FROM customers c", "42P01"},
        {P, "SELECT crm.customers.ssn FROM customers", "42P01"},
        {P, "SELECT customers.ssn FROM customers c", "42P01"},
        {P, "SELECT c.ssn AS name FROM customers c", "name=redact"},
        {P, "SELECT ssn FROM customers c(a, b, d, e)", "42703"},
        {P, "SELECT a, b, d, e FROM customers c(a, b, d, e)", "a=- b=- d=email e=redact"},
        {P, "SELECT * FROM people p(ssn)", "ssn=- nick=hash"},
        {P, "SELECT * FROM people p(a, b, c)", "42P10"},
        {P, "SELECT nothing FROM customers", "42703"},
        {P, "SELECT c.nothing FROM customers c", "42703"}, {P, "SELECT id FROM nowhere", "42P01"},
        {P, "SELECT id FROM nowhere.customers", "42P01"},
        {P, "SELECT id FROM customers, orders", "42702"},
        {P, "SELECT a.id FROM customers a, orders a", "42P09"},
        {P, "SELECT id, id FROM orders", "id=- id=-"},
        {P, "SELECT \"Secret Word\", \"Id\" FROM \"Odd Table\"", "Secret Word=redact Id=-"},
        {P, "SELECT \"SSN\" FROM customers", "42703"},
        {P, "SELECT ctid, tableoid, xmin, cmax FROM customers", "ctid=- tableoid=- xmin=- cmax=-"},
        {P, "SELECT ctid FROM (SELECT id FROM orders) x", "42703"},
        {P, "SELECT FROM customers", ""}, {P, "TABLE people", "id=- nick=hash"});
}

static void
test_the_search_path_decides_what_a_name_means(void **state)
{
    (void)state;
    CHECK({"crm,public", "SELECT ssn FROM customers", "ssn=-"},
          {"public,crm", "SELECT ssn FROM customers", "ssn=redact"},
          {"crm", "SELECT ssn FROM customers", "ssn=-"}, {"crm", "SELECT id FROM orders", "42P01"},
          {"", "SELECT ssn FROM customers", "42P01"},
          {"", "SELECT ssn FROM public.customers", "ssn=redact"},
          {"nowhere,public", "SELECT ssn FROM customers", "ssn=redact"},
          {"pg_temp_3,public", "SELECT memo FROM scratch", "memo=-"},
          {"pg_temp_3,public", "SELECT memo FROM pg_temp.scratch", "memo=-"},
          {P, "SELECT memo FROM pg_temp.scratch", "42P01"},
          {P, "SELECT memo FROM scratch", "42P01"},
          /* Not known: only what one schema has. */
          {"?", "SELECT id FROM customers", "refused: search_path"},
          {"?", "SELECT ssn FROM public.customers", "ssn=redact"},
          {"?", "SELECT id FROM orders", "id=-"}, {"?", "SELECT id FROM nowhere", "42P01"},
          {"?", "SELECT safe_sql(1)", "refused: safe_sql()"});
}

static void
test_a_string_may_change_its_own_search_path(void **state)
{
    (void)state;
    CHECK(
        {P, "SET search_path = crm; SELECT ssn FROM customers", "none | ssn=-"},
        {"crm", "SET search_path TO 'public'; SELECT ssn FROM customers", "none | ssn=redact"},
        {"crm", "SET LOCAL search_path = public, crm; SELECT ssn FROM customers",
         "none | ssn=redact"},
        {P, "SET search_path = 'crm, public'; SELECT ssn FROM customers", "42P01"},
        {"pg_temp_3,public", "SET search_path = crm; SELECT memo FROM scratch", "none | memo=-"},
        {"pg_temp_3,pg_temp_4,pg_temp_5,pg_temp_6,pg_temp_7,pg_temp_8,public",
         "SET search_path = crm; SELECT memo, ssn FROM scratch, customers", "none | memo=- ssn=-"},
        {P, "SET search_path = DEFAULT; SELECT ssn FROM customers", "refused: search_path"},
        {P, "RESET search_path; SELECT ssn FROM customers", "refused: search_path"},
        {P, "RESET ALL; SELECT ssn FROM customers", "refused: search_path"},
        {P, "SET search_path = \"$user\", crm; SELECT ssn FROM customers", "refused: search_path"},
        {P, "SET search_path = pg_temp; SELECT ssn FROM customers", "refused: search_path"},
        {P, "SELECT set_config('search_path', 'crm', false); SELECT ssn FROM customers",
         "refused: search_path"},
        {P, "SET ROLE x; SELECT ssn FROM customers", "refused: search_path"},
        {P, "BEGIN; SELECT ssn FROM customers", "none | ssn=redact"},
        {P, "COMMIT; SELECT ssn FROM customers", "none | ssn=redact"},
        /* What was set is undone. */
        {P, "SET search_path = crm; ROLLBACK; SELECT ssn FROM customers", "refused: "},
        {P, "SET LOCAL search_path = crm; COMMIT; SELECT ssn FROM customers",
         "refused: search_path"},
        {P, "BEGIN; SET LOCAL search_path = crm; END; SELECT ssn FROM customers",
         "refused: search_path"},
        {P, "SAVEPOINT s; SET search_path = crm; ROLLBACK TO s; SELECT ssn FROM customers",
         "refused: "});
}

static void
test_a_string_that_changes_what_names_mean_reads_nothing_more(void **state)
{
    (void)state;
    CHECK({P,
           "CREATE TEMP VIEW orders AS SELECT ssn AS id FROM customers; SELECT max(id) FROM orders",
           "refused: "},
          {P,
           "CREATE OR REPLACE VIEW order_view AS SELECT ssn::int AS id FROM crm.customers;"
           " SELECT max(id) FROM order_view",
           "refused: "},
          {"crm,public", "DROP TABLE crm.customers; SELECT max(ssn) FROM customers", "refused: "},
          {P, "ALTER TABLE orders RENAME TO o; SELECT id FROM people", "refused: "},
          {P,
           "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM customers';"
           " SELECT f()",
           "refused: "},
          {P,
           "CREATE OR REPLACE FUNCTION safe_sql(int) RETURNS text LANGUAGE sql AS"
           " 'SELECT ssn FROM customers'; SELECT safe_sql(1)",
           "refused: "},
          {P, "ANALYZE orders; TRUNCATE orders; SELECT id FROM orders", "none | none | id=-"},
          {"!public", "COMMIT; SELECT total FROM order_view", "none | total=-"},
          {"!public", "ROLLBACK; SELECT max(total) FROM orders", "refused: "},
          {"!public", "COMMIT; SELECT ssn FROM customers", "refused: search_path"},
          {P, "ROLLBACK; SELECT max(total) FROM orders", "none | max=-"},
          {P, "CREATE TABLE x (a int); CREATE INDEX ON x (a); COMMENT ON TABLE x IS 'y'; SELECT 1",
           "none | none | none | ?column?=-"});
}

static void
test_stars_and_whole_rows(void **state)
{
    (void)state;
    CHECK({P, "SELECT * FROM people", "id=- nick=hash"},
          {P, "SELECT p.*, o.id FROM people p, orders o", "id=- nick=hash id=-"},
          {P, "SELECT public.people.* FROM people", "id=- nick=hash"},
          {P, "SELECT o.* FROM people", "42P01"}, {P, "SELECT p FROM people p", "p=(-,hash)"},
          {P, "SELECT people FROM people", "people=(-,hash)"},
          {P, "SELECT (p).nick, (p).id, (p).* FROM people p", "nick=hash id=- id=- nick=hash"},
          {P, "SELECT (p.*) FROM people p", "id=- nick=hash"},
          {P, "SELECT x FROM (SELECT nick FROM people) x", "refused public.people.nick: whole row"},
          {P, "SELECT nick FROM (SELECT nick FROM people) nick", "nick=hash"},
          {P, "SELECT p::text FROM people p", "refused public.people.nick: cast"},
          {P, "SELECT row_to_json(p) FROM people p", "refused public.people.nick: row_to_json"},
          {P, "SELECT to_jsonb(p.*) FROM people p", "refused public.people.nick: to_jsonb"},
          {P, "SELECT count(p) FROM people p", "count=-"},
          {P, "SELECT p IS NULL FROM people p", "?column?=-"},
          {P, "SELECT p = p FROM people p", "refused public.people.nick: operator ="},
          {P, "SELECT ROW(p.*) FROM people p", "refused public.people.nick: ROW"},
          {P, "SELECT ARRAY[p] FROM people p", "refused public.people.nick: ARRAY"},
          {P, "SELECT o FROM orders o", "o=-"},
          {P, "SELECT to_jsonb(o) FROM orders o", "to_jsonb=-"},
          {P, "SELECT (SELECT p FROM people p LIMIT 1)", "p=(-,hash)"},
          {P, "SELECT ((SELECT p FROM people p LIMIT 1)).nick", "nick=hash"},
          {P, "SELECT * FROM", "!protocol syntax error at end of input (at character 14)"});
}

static void
test_functional_notation(void **state)
{
    (void)state;
    CHECK({P, "SELECT nick(people) FROM people", "nick=hash"},
          {P, "SELECT p.row_to_json FROM people p", "refused public.people.nick: whole row"},
          {P, "SELECT p.opaque FROM people p", "refused: opaque()"},
          {P, "SELECT p.query_to_xml FROM people p", "42703"},
          {P, "SELECT o.row_to_json FROM orders o", "row_to_json=-"},
          {P, "SELECT (o).opaque FROM orders o", "refused: function"},
          {P, "SELECT u.opaque FROM unnest($1::orders[]) u", "refused: function"},
          {P, "SELECT u.id FROM unnest($1::orders[]) u", "id=-"},
          {P, "SELECT text(people) FROM people", "refused public.people.nick: text()"});
}

static void
test_composites_and_arrays(void **state)
{
    (void)state;
    CHECK(
        {P, "SELECT addr, (addr).city, (addr).* FROM customers",
         "addr=redact city=redact street=redact city=redact"},
        {P, "SELECT (c.addr).street FROM customers c", "street=redact"},
        {P, "SELECT (addr).nothing FROM customers", "refused public.customers.addr: field"},
        {P, "SELECT tags, tags[1], tags[1:2] FROM customers", "tags=hash tags=hash tags=hash"},
        {P, "SELECT (tags)[1] AS t FROM customers", "t=hash"},
        {P, "SELECT lines[(SELECT score FROM customers LIMIT 1)] FROM orders", "lines=-"},
        {P, "SELECT lines[(SELECT ssn FROM customers LIMIT 1)::int] FROM orders", SSN "cast"},
        {P, "SELECT array_length(tags, 1) FROM customers",
         "refused public.customers.tags: array_length"},
        {P, "SELECT unnest(tags) FROM customers", "refused public.customers.tags: unnest"},
        {P, "SELECT t FROM customers, unnest(tags) t", "refused public.customers.tags: unnest()"});
}

static void
test_ctes(void **state)
{
    (void)state;
    CHECK({P, "WITH c AS (SELECT ssn FROM customers) SELECT * FROM c", "ssn=redact"},
          {P, "WITH customers AS (SELECT 1 AS ssn) SELECT ssn FROM customers", "ssn=-"},
          {P, "WITH customers AS (SELECT 1 AS ssn) SELECT ssn FROM public.customers", "ssn=redact"},
          {P, "WITH customers AS (SELECT ssn AS id FROM customers) SELECT id FROM customers",
           "id=redact"},
          {P,
           "WITH a(x) AS (SELECT ssn FROM customers), b AS (SELECT x AS y FROM a) SELECT y FROM b",
           "y=redact"},
          {P,
           "WITH a AS (SELECT id FROM orders), orders AS (SELECT ssn AS id FROM customers)"
           " SELECT id FROM a",
           "id=-"},
          {P,
           "WITH a AS (SELECT 1 AS x) SELECT (WITH a AS (SELECT ssn AS x FROM customers)"
           " SELECT x FROM a LIMIT 1), a.x FROM a",
           "x=redact x=-"},
          {P, "WITH a(x, y) AS (SELECT 1) SELECT * FROM a", "42P10"},
          {P, "WITH a AS (SELECT 1) SELECT * FROM public.a", "42P01"},
          {P, "WITH a AS (SELECT ssn FROM customers) SELECT a FROM a", SSN "whole row"},
          {P, "WITH a AS (SELECT ssn FROM customers) SELECT max(ssn) FROM a", SSN "max()"},
          {P, "WITH a AS (SELECT id FROM customers WHERE ssn = 'x') SELECT 1", SSN "WHERE"},
          {P, "WITH d AS (DELETE FROM customers RETURNING *) SELECT id, ssn FROM d",
           "id=- ssn=redact"},
          {P,
           "WITH d AS (DELETE FROM customers RETURNING ssn) INSERT INTO orders (note) SELECT ssn "
           "FROM d",
           SSN "inserted"});
}

static void
test_recursive_ctes(void **state)
{
    (void)state;
    CHECK(
        {P,
         "WITH RECURSIVE r(n, s) AS (SELECT 1, ssn FROM customers UNION ALL SELECT n + 1, s"
         " FROM r) SELECT * FROM r",
         "n=- s=redact"},
        {P,
         "WITH RECURSIVE r(a, b, c) AS (SELECT id, name, ssn FROM customers UNION ALL"
         " SELECT a, c, b FROM r) SELECT * FROM r",
         "a=- b=redact c=redact"},
        {P,
         "WITH RECURSIVE r(a, b, c, d) AS (SELECT '', '', '', ssn FROM customers UNION ALL"
         " SELECT b, c, d, a FROM r) SELECT a FROM r",
         "a=redact"},
        {P,
         "WITH RECURSIVE r(s) AS (SELECT ssn FROM customers UNION SELECT s FROM r) SELECT * FROM r",
         SSN "UNION without ALL"},
        {P,
         "WITH RECURSIVE r(s) AS (SELECT ssn FROM customers UNION ALL SELECT s || 'x' FROM r)"
         " SELECT * FROM r",
         SSN "operator ||"},
        {P,
         "WITH RECURSIVE r(n, s) AS (SELECT 1, ssn FROM customers UNION ALL SELECT n, s FROM r)"
         " SEARCH DEPTH FIRST BY n SET o SELECT * FROM r",
         "n=- s=redact o=-"},
        {P,
         "WITH RECURSIVE r(n, s) AS (SELECT 1, ssn FROM customers UNION ALL SELECT n, s FROM r)"
         " SEARCH BREADTH FIRST BY s SET o SELECT * FROM r",
         SSN "SEARCH"},
        {P,
         "WITH RECURSIVE r(n, s) AS (SELECT 1, ssn FROM customers UNION ALL SELECT n, s FROM r)"
         " CYCLE n SET m USING p SELECT * FROM r",
         "n=- s=redact m=- p=-"},
        {P,
         "WITH RECURSIVE r(n, s) AS (SELECT 1, ssn FROM customers UNION ALL SELECT n, s FROM r)"
         " CYCLE s SET m USING p SELECT n FROM r",
         SSN "CYCLE"},
        /* Those that come later are seen too, and hide tables of their name. */
        {P,
         "WITH RECURSIVE a AS (SELECT id FROM orders), orders AS (SELECT ssn AS id FROM customers)"
         " SELECT id FROM a",
         "id=redact"},
        {P,
         "WITH RECURSIVE a AS (SELECT id FROM orders), orders AS (SELECT ssn AS id FROM customers)"
         " SELECT max(id) FROM a",
         SSN "max()"},
        {P,
         "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM c), c AS (SELECT ssn FROM"
         " customers) SELECT * FROM a",
         "ssn=redact"},
        {P, "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM a",
         "refused: "},
        {P,
         "WITH RECURSIVE a AS (SELECT (SELECT max(id) FROM orders) AS m), orders AS (SELECT ssn AS "
         "id"
         " FROM customers) SELECT m FROM a",
         SSN "max()"},
        {P, "WITH RECURSIVE a AS (SELECT 1 AS x) SELECT x FROM a", "x=-"});
}

static void
test_joins(void **state)
{
    (void)state;
    CHECK({P, "SELECT c.ssn, o.total FROM customers c JOIN orders o ON o.customer_id = c.id",
           "ssn=redact total=-"},
          {P, "SELECT 1 FROM customers c JOIN orders o ON o.note = c.ssn", SSN "ON"},
          {P, "SELECT * FROM orders JOIN people USING (id)",
           "id=- customer_id=- total=- note=- lines=- payload=- nick=hash"},
          {P, "SELECT * FROM people JOIN orders USING (id)",
           "id=- nick=hash customer_id=- total=- note=- lines=- payload=-"},
          {P, "SELECT * FROM people a JOIN people b USING (nick)",
           "refused public.people.nick: join"},
          {P, "SELECT * FROM people a NATURAL JOIN people b", "refused public.people.nick: join"},
          {P, "SELECT * FROM people NATURAL JOIN order_view", "id=- nick=hash total=-"},
          {P, "SELECT 1 FROM people JOIN orders USING (nothing)", "42703"},
          {P, "SELECT id FROM people JOIN orders USING (id)", "id=-"},
          {P, "SELECT people.id, orders.id FROM people JOIN orders USING (id)", "id=- id=-"},
          {P, "SELECT j.nick FROM (people JOIN orders USING (id)) AS j", "nick=hash"},
          {P, "SELECT j.x, j.y FROM (people JOIN orders USING (id)) AS j(x, y)", "x=- y=hash"},
          {P, "SELECT people.id FROM (people JOIN orders USING (id)) AS j", "42P01"},
          {P, "SELECT j.id, people.nick FROM people JOIN orders USING (id) AS j", "id=- nick=hash"},
          {P, "SELECT j.nick FROM people JOIN orders USING (id) AS j", "42703"},
          {P, "SELECT * FROM people JOIN orders USING (id) AS j",
           "id=- nick=hash customer_id=- total=- note=- lines=- payload=-"},
          /* ON sees its own two sides and no more. */
          {P, "SELECT 1 FROM orders o, people p JOIN customers c ON c.id = o.id", "42P01"},
          {P, "SELECT 1 FROM people p JOIN (customers c JOIN orders o ON o.id = p.id) ON true",
           "42P01"},
          {P, "SELECT 1 FROM people p LEFT JOIN customers c ON p.id = c.id WHERE c.ssn IS NULL",
           "?column?=-"},
          {P, "SELECT * FROM people CROSS JOIN order_view", "id=- nick=hash id=- total=-"},
          {P, "SELECT p.*, * FROM people p", "id=- nick=hash id=- nick=hash"});
}

static void
test_subqueries_and_lateral(void **state)
{
    (void)state;
    CHECK({P, "SELECT x.s FROM (SELECT ssn AS s FROM customers) x", "s=redact"},
          {P, "SELECT s FROM (SELECT ssn FROM customers) x(s)", "s=redact"},
          {P, "SELECT (SELECT ssn FROM customers LIMIT 1)", "ssn=redact"},
          {P, "SELECT (SELECT c.ssn) FROM customers c", "ssn=redact"},
          {P, "SELECT (SELECT ssn FROM crm.customers LIMIT 1) FROM customers", "ssn=-"},
          {P, "SELECT (SELECT phone FROM crm.customers LIMIT 1) FROM customers", "phone=partial"},
          {P, "SELECT 1 FROM orders o WHERE EXISTS (SELECT FROM customers c WHERE c.id = o.id)",
           "?column?=-"},
          {P, "SELECT 1 FROM orders o WHERE EXISTS (SELECT FROM customers c WHERE c.ssn = o.note)",
           SSN "WHERE"},
          {P, "SELECT EXISTS (SELECT ssn FROM customers)", "exists=-"},
          {P, "SELECT ARRAY(SELECT ssn FROM customers)", SSN "ARRAY"},
          {P, "SELECT 1 WHERE 'x' IN (SELECT ssn FROM customers)", SSN "subquery"},
          {P, "SELECT 1 FROM customers WHERE ssn IN (SELECT note FROM orders)", SSN "subquery"},
          {P, "SELECT 1 WHERE 'x' = ANY (SELECT ssn FROM customers)", SSN "subquery"},
          {P, "SELECT 1 WHERE (1, 'x') = (SELECT id, ssn FROM customers)", SSN "subquery"},
          {P, "SELECT x.s FROM customers c, (SELECT c.ssn AS s) x", "42P01"},
          {P, "SELECT x.s FROM customers c, LATERAL (SELECT c.ssn AS s) x", "s=redact"},
          {P, "SELECT x.s FROM customers c CROSS JOIN LATERAL (SELECT ssn AS s) x", "s=redact"},
          {P, "SELECT x.s FROM LATERAL (SELECT c.ssn AS s) x, customers c", "42P01"},
          {P, "SELECT g FROM customers, generate_series(1, score) g", "g=-"},
          {P, "SELECT g FROM customers, generate_series(1, length(ssn)) g", SSN "length()"},
          {P, "SELECT 1 FROM customers c WHERE (SELECT count(*) FROM orders WHERE note = ssn) > 0",
           SSN "operator ="},
          {P, "SELECT (SELECT id FROM orders ORDER BY c.ssn LIMIT 1) FROM customers c",
           SSN "ORDER BY"},
          {P, "SELECT (SELECT id FROM orders LIMIT c.salary::int) FROM customers c",
           "refused public.customers.salary: "});
}

static void
test_order_group_and_distinct(void **state)
{
    (void)state;
    CHECK(
        {P, "SELECT ssn FROM customers ORDER BY id", "ssn=redact"},
        {P, "SELECT ssn FROM customers ORDER BY ssn", SSN "ORDER BY"},
        {P, "SELECT id FROM customers ORDER BY ssn", SSN "ORDER BY"},
        {P, "SELECT id, ssn FROM customers ORDER BY 2", SSN "ORDER BY"},
        {P, "SELECT id, ssn FROM customers ORDER BY 1", "id=- ssn=redact"},
        {P, "SELECT ssn AS x FROM customers ORDER BY x", SSN "ORDER BY"},
        /* ORDER BY prefers output columns, GROUP BY those of FROM. */
        {P, "SELECT name AS ssn FROM customers ORDER BY ssn", "ssn=-"},
        {P, "SELECT ssn AS name FROM customers ORDER BY name", SSN "ORDER BY"},
        {P, "SELECT ssn AS name FROM customers GROUP BY name", "name=redact"},
        {P, "SELECT id AS ssn FROM customers GROUP BY ssn", SSN "GROUP BY"},
        {P, "SELECT ssn AS x FROM customers GROUP BY x", SSN "GROUP BY"},
        {P, "SELECT ssn AS name FROM customers ORDER BY name || ''", "name=redact"},
        {P, "SELECT name AS ssn FROM customers ORDER BY ssn || ''", SSN "operator ||"},
        {P, "SELECT * FROM people ORDER BY 2", "refused public.people.nick: ORDER BY"},
        {P, "SELECT id FROM customers ORDER BY id USING <", "id=-"},
        {P, "SELECT id FROM customers ORDER BY id USING ===", "refused: operator"},
        {P, "SELECT ssn, count(*) FROM customers GROUP BY ssn", SSN "GROUP BY"},
        {P, "SELECT ssn FROM customers GROUP BY 1", SSN "GROUP BY"},
        {P, "SELECT count(*) FROM customers GROUP BY GROUPING SETS ((id), (ssn))", SSN "GROUP BY"},
        {P, "SELECT count(*) FROM customers GROUP BY ROLLUP (id, ssn)", SSN "GROUP BY"},
        {P, "SELECT count(*) FROM customers GROUP BY CUBE ((id, ssn))", SSN "GROUP BY"},
        {P, "SELECT count(*) FROM customers GROUP BY (id, ssn)", SSN "GROUP BY"},
        {P, "SELECT id FROM customers GROUP BY id HAVING max(ssn) > 'x'", SSN "max()"},
        {P, "SELECT DISTINCT id FROM customers", "id=-"},
        {P, "SELECT DISTINCT ssn FROM customers", SSN "DISTINCT"},
        {P, "SELECT DISTINCT ON (id) id, ssn FROM customers", "id=- ssn=redact"},
        {P, "SELECT DISTINCT ON (ssn) id FROM customers", SSN "DISTINCT ON"},
        {P, "SELECT DISTINCT ON (2) id, ssn FROM customers", SSN "DISTINCT ON"},
        {P, "SELECT DISTINCT ON (x) ssn AS x FROM customers", SSN "DISTINCT ON"},
        {P, "SELECT ssn, row_number() OVER (ORDER BY ssn) FROM customers", SSN "window"},
        {P, "SELECT count(*) OVER w FROM customers WINDOW w AS (PARTITION BY ssn)",
         SSN "PARTITION BY"},
        {P, "SELECT first_value(ssn) OVER () FROM customers", SSN "first_value()"},
        {P, "SELECT count(*) OVER (ORDER BY id ROWS salary PRECEDING) FROM customers",
         "refused public.customers.salary: frame"},
        {P, "SELECT id FROM customers LIMIT 1 OFFSET 2", "id=-"},
        {P, "SELECT ssn FROM customers FOR UPDATE", "ssn=redact"},
        {P, "SELECT ssn FROM customers TABLESAMPLE system (10) REPEATABLE (1)", "ssn=redact"});
}

static void
test_set_operations_and_values(void **state)
{
    (void)state;
    CHECK({P, "SELECT id, ssn FROM customers UNION ALL SELECT id, note FROM orders",
           "id=- ssn=redact"},
          {P, "SELECT id, note FROM orders UNION ALL SELECT id, ssn FROM customers",
           "id=- note=redact"},
          {P, "SELECT email FROM customers UNION ALL SELECT ssn FROM customers", "email=redact"},
          {P, "SELECT ssn FROM customers UNION SELECT note FROM orders", SSN "UNION without ALL"},
          {P, "SELECT note FROM orders INTERSECT ALL SELECT ssn FROM customers", SSN "INTERSECT"},
          {P, "SELECT note FROM orders EXCEPT SELECT ssn FROM customers", SSN "EXCEPT"},
          {P, "SELECT id FROM customers EXCEPT SELECT id FROM orders", "id=-"},
          {P, "SELECT 1 UNION ALL SELECT 1, 2", "42601"},
          {P, "SELECT ssn FROM customers UNION ALL SELECT '' ORDER BY 1", SSN "ORDER BY"},
          {P, "SELECT ssn FROM customers UNION ALL SELECT '' ORDER BY ssn", SSN "ORDER BY"},
          {P, "(SELECT ssn FROM customers ORDER BY id LIMIT 1) UNION ALL SELECT 'x'", "ssn=redact"},
          {P, "SELECT p FROM people p UNION ALL SELECT q FROM people q",
           "refused public.people.nick: whole rows"},
          {P, "SELECT profile FROM customers UNION ALL SELECT payload FROM orders",
           "profile=json[pin][contact.phone]"},
          {P, "VALUES (1, 'a'), (2, 'b')", "column1=- column2=-"},
          {P, "VALUES (1,2,3,4,5,6,7,8,9)",
           "column1=- column2=- column3=- column4=- column5=- column6=- column7=- column8=- "
           "column9=-"},
          {P, "VALUES (1), (2, 3)", "42601"},
          {P, "VALUES ('a'), ((SELECT ssn FROM customers LIMIT 1))", "column1=redact"},
          {P, "SELECT v.b FROM (VALUES (1, 'x'), (2, (SELECT ssn FROM customers LIMIT 1))) v(a, b)",
           "b=redact"},
          {P, "SELECT x.s FROM customers c, LATERAL (VALUES (c.ssn), (c.name)) x(s)", "s=redact"});
}

static void
test_a_protected_value_is_only_passed_on(void **state)
{
    (void)state;
    CHECK(
        {P, "SELECT 1 FROM customers WHERE ssn = '1'", SSN "WHERE"},
        {P, "SELECT ssn || 'x' FROM customers", SSN "operator ||"},
        {P, "SELECT lower(ssn) FROM customers", SSN "an argument of lower()"},
        {P, "SELECT coalesce(ssn, 'x') FROM customers", SSN "COALESCE"},
        {P, "SELECT nullif(ssn, 'x') FROM customers", SSN "operator ="},
        {P, "SELECT greatest(ssn, 'x') FROM customers", SSN "GREATEST"},
        {P, "SELECT CASE WHEN ssn = '1' THEN 1 END FROM customers", SSN "operator ="},
        {P, "SELECT CASE ssn WHEN '1' THEN 1 END FROM customers", SSN "CASE"},
        {P, "SELECT CASE WHEN true THEN ssn END FROM customers", SSN "CASE"},
        {P, "SELECT ssn IS DISTINCT FROM 'x' FROM customers", SSN "operator"},
        {P, "SELECT ssn LIKE '1%' FROM customers", SSN "operator ~~"},
        {P, "SELECT ssn BETWEEN 'a' AND 'b' FROM customers", SSN "operator BETWEEN"},
        {P, "SELECT ssn IN ('a', 'b') FROM customers", SSN "operator ="},
        {P, "SELECT ssn = ANY ('{a}') FROM customers", SSN "operator ="},
        {P, "SELECT ssn COLLATE \"C\" FROM customers", SSN "COLLATE"},
        {P, "SELECT (ssn = 'a') IS TRUE FROM customers", SSN "operator ="},
        {P, "SELECT ROW(ssn) FROM customers", SSN "ROW"},
        {P, "SELECT ARRAY[ssn] FROM customers", SSN "ARRAY"},
        {P, "SELECT xmlelement(name a, ssn) FROM customers", SSN "XML"},
        {P, "SELECT xmlelement(name a, xmlattributes(ssn AS b)) FROM customers", SSN "XML"},
        {P, "SELECT string_agg(ssn, ',') FROM customers", SSN "string_agg()"},
        {P, "SELECT string_agg(name, ',' ORDER BY ssn) FROM customers", SSN "aggregate"},
        {P, "SELECT count(*) FILTER (WHERE ssn = '1') FROM customers", SSN "FILTER"},
        {P, "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY salary) FROM customers",
         "refused public.customers.salary: aggregate"},
        {P, "SELECT NOT (ssn = '1') FROM customers", SSN "operator ="},
        {P, "SELECT make_interval(days => salary::int) FROM customers",
         "refused public.customers.salary: cast"},
        {P, "SELECT grouping(ssn) FROM customers", SSN "GROUPING"},
        {P, "SELECT x FROM customers, XMLTABLE('/' PASSING (ssn::xml) COLUMNS x text)", SSN "cast"},
        /* Generated from it. */
        {P, "SELECT label FROM customers", "label=redact"},
        {P, "SELECT 1 FROM customers WHERE label = 'x'", "refused public.customers.label: "},
        /* Partitions and children. */
        {P, "SELECT card FROM payments_2024", "card=partial"},
        {P, "SELECT nick FROM staff", "nick=hash"},
        {P, "SELECT max(nick) FROM staff", "refused public.staff.nick: max()"});
}

static void
test_what_a_protected_value_may_tell(void **state)
{
    (void)state;
    CHECK({P, "SELECT count(ssn), count(*), count(1) FROM customers", "count=- count=- count=-"},
          {P, "SELECT pg_catalog.count(ssn) FROM customers", "count=-"},
          {P, "SELECT count(DISTINCT ssn) FROM customers", SSN "count()"},
          {P, "SELECT count(ssn ORDER BY ssn) FROM customers", SSN "aggregate"},
          {P, "SELECT count(ssn || '') FROM customers", SSN "operator"},
          {P, "SELECT 1 FROM customers WHERE ssn IS NULL OR email IS NOT NULL", "?column?=-"},
          {P, "SELECT ssn IS NULL FROM customers", "?column?=-"},
          {P, "SELECT (ssn = 'x') IS NULL FROM customers", SSN "operator ="});
}

static void
test_lookups(void **state)
{
    (void)state;
    CHECK({P, "SELECT card FROM payments WHERE card = '4111'", "card=partial"},
          {P, "SELECT card FROM payments WHERE '4111' = card AND id = 1", "card=partial"},
          {P, "SELECT card FROM payments p WHERE p.card = $1::text", "card=partial"},
          {P, "SELECT 1 FROM payments_2024 WHERE card = '4111'", "?column?=-"},
#define CARD "refused public.payments.card: "
          {P, "SELECT 1 FROM payments WHERE card = '4111' OR card = '4112'", CARD "WHERE"},
          {P, "SELECT 1 FROM payments WHERE NOT card = '4111'", CARD "WHERE"},
          {P, "SELECT 1 FROM payments WHERE card <> '4111'", CARD "operator <>"},
          {P, "SELECT 1 FROM payments WHERE card > '4111'", CARD "operator >"},
          {P, "SELECT 1 FROM payments WHERE card LIKE '4%'", CARD "operator ~~"},
          {P, "SELECT 1 FROM payments WHERE card IN ('1', '2')", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE card = ANY ($1)", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE card = substr('x', 1)", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE card = id::text", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE substr(card, 1, 1) = '4'", CARD "substr()"},
          {P, "SELECT 1 FROM payments WHERE card::text = '4'", CARD "operator ="},
          {P, "SELECT card = '4111' FROM payments", CARD "operator ="},
          {P, "SELECT 1 FROM payments JOIN orders ON card = '4111'", CARD "ON"},
          {P, "SELECT 1 FROM payments WHERE (card = '4111') = false", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE CASE WHEN card = '1' THEN true ELSE card = '2' END",
           CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE coalesce(card = '1', card = '2')", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE (card = '1') IS NOT TRUE", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE num_nulls(card = '1') = 0", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE (card = '1') IN (SELECT true)", CARD "operator ="},
          {P, "SELECT 1 FROM payments WHERE id IN (SELECT id FROM payments WHERE card = '1')",
           "?column?=-"},
          {P, "SELECT 1 FROM customers WHERE ssn = '1'", SSN "WHERE"});
}

static void
test_casts(void **state)
{
    (void)state;
    CHECK({P, "SELECT ssn::text, email::text, phone::varchar FROM customers",
           "ssn=redact email=email phone=partial"},
          {P, "SELECT salary::text, born::text FROM customers", "salary=fixed born=null"},
          {P, "SELECT tags::text FROM customers", "tags=redact"},
          {P, "SELECT ssn::int FROM customers", SSN "cast"},
          {P, "SELECT ssn::varchar(3) FROM customers", SSN "cast"},
          {P, "SELECT ssn::text[] FROM customers", SSN "cast"},
          {P, "SELECT ssn::public.text FROM customers", SSN "cast"},
          {P, "SELECT profile::text FROM customers", "refused public.customers.profile: cast"},
          {P, "SELECT id::text FROM customers", "id=-"},
          {P, "SELECT 'x'::code_t", "refused: a cast to code_t"},
          {P, "SELECT CAST('x' AS public.code_t[])", "refused: a cast to code_t"},
          {P, "SELECT 'x'::text::code_d", "refused: a cast to code_d"});
}

static void
test_json_paths(void **state)
{
    (void)state;
#define PROFILE "refused public.customers.profile: "
    CHECK(
        {P, "SELECT profile FROM customers", "profile=json[pin][contact.phone]"},
        {P, "SELECT profile->'contact' FROM customers", "?column?=json[phone]"},
        {P, "SELECT profile->'contact'->'phone' FROM customers", "?column?=redact"},
        {P, "SELECT profile->'contact'->>'phone' AS p FROM customers", "p=redact"},
        {P, "SELECT profile->>'contact' AS p FROM customers", "p=json[phone]"},
        {P, "SELECT profile->'contact'->'phone'->'more' AS p FROM customers",
         PROFILE "operator ->"},
        {P, "SELECT profile->'other' FROM customers WHERE profile->>'other' = 'x'", "?column?=-"},
        {P, "SELECT 1 FROM customers WHERE profile->>'pin' = 'x'", PROFILE "WHERE"},
        {P, "SELECT profile->>'pin' AS pin FROM customers", "pin=null"},
        {P, "SELECT profile#>'{contact,phone}' AS a, profile#>>'{contact}' AS b FROM customers",
         "a=redact b=json[phone]"},
        {P, "SELECT profile#>ARRAY['contact', 'fax'] AS a FROM customers", "a=-"},
        {P, "SELECT profile#>'{\"contact\",fax}' AS a FROM customers", PROFILE "operator #>"},
        {P, "SELECT profile->0->'pin' AS a FROM customers", "a=null"},
        {P, "SELECT profile->'0'->'pin' AS a FROM customers", "a=null"},
        {P, "SELECT profile->$1 FROM customers", PROFILE "operator ->"},
        {P, "SELECT profile->name FROM customers", PROFILE "operator ->"},
        {P,
         "SELECT profile['contact'] AS a, profile['contact']['phone'] AS b, profile['x'] AS c"
         " FROM customers",
         "a=json[phone] b=redact c=-"},
        {P, "SELECT profile[name] FROM customers", PROFILE "subscript"},
        {P, "SELECT profile ? 'pin' FROM customers", PROFILE "operator ?"},
        {P, "SELECT profile @> '{}' FROM customers", PROFILE "operator @>"},
        {P, "SELECT profile - 'pin' FROM customers", PROFILE "operator -"},
        {P, "SELECT jsonb_extract_path(profile, 'contact', 'phone') AS a FROM customers",
         "a=redact"},
        {P, "SELECT jsonb_extract_path_text(profile, 'contact') AS a FROM customers",
         "a=json[phone]"},
        {P, "SELECT jsonb_path_query_first(profile, '$.contact.fax') AS a FROM customers", "a=-"},
        {P, "SELECT jsonb_path_query(profile, '$.\"contact\".phone') AS a FROM customers",
         "a=redact"},
        {P, "SELECT jsonb_path_query(profile, '$.*') FROM customers", PROFILE "jsonb_path_query()"},
        {P, "SELECT jsonb_path_query(profile, 'strict $.x') FROM customers",
         PROFILE "jsonb_path_query()"},
        {P, "SELECT jsonb_pretty(profile) FROM customers", PROFILE "jsonb_pretty()"},
        {P, "SELECT jsonb_agg(profile) FROM customers", PROFILE "jsonb_agg()"},
        {P, "SELECT key FROM customers, jsonb_each(profile)", PROFILE "jsonb_each()"},
        {P, "SELECT key FROM orders, jsonb_each(payload)", "key=-"},
        {P, "SELECT profile->'contact' FROM customer_view", "?column?=json[phone]"},
        {P, "SELECT docs, docs[1] FROM places", "docs=redact docs=redact"},
        {P, "SELECT count(profile) FROM customers", "count=-"},
        {P, "SELECT DISTINCT profile FROM customers", PROFILE "DISTINCT"});
}

static void
test_writes(void **state)
{
    (void)state;
    CHECK({P, "INSERT INTO orders (id) VALUES (1) RETURNING *",
           "id=- customer_id=- total=- note=- lines=- payload=-"},
          {P, "INSERT INTO orders DEFAULT VALUES", "none"},
          {P, "INSERT INTO orders (nothing) VALUES (1)", "42703"},
          {P, "INSERT INTO customers (id, ssn) VALUES (1, 'x')", SSN "write"},
          {P, "INSERT INTO customers VALUES (1, 'x', 'y', 'z')",
           "refused public.customers.email: write"},
          {P, "INSERT INTO customers (id, name) VALUES (1, 'x') RETURNING id, ssn",
           "id=- ssn=redact"},
          {P, "INSERT INTO customers VALUES (1, 'x')", "none"},
          {P, "INSERT INTO subscribers VALUES (1, 'x') RETURNING email", "email=email"},
          {P, "INSERT INTO orders (note) SELECT ssn FROM customers", SSN "inserted"},
          {P, "INSERT INTO orders (note) VALUES ((SELECT ssn FROM customers LIMIT 1))",
           SSN "inserted"},
          {P, "INSERT INTO orders (lines[(SELECT length(ssn) FROM customers LIMIT 1)]) VALUES (1)",
           SSN "length()"},
          {P, "INSERT INTO orders (lines[1:(SELECT salary FROM customers LIMIT 1)]) VALUES ('{1}')",
           "refused public.customers.salary: subscript"},
          {P, "INSERT INTO subscribers VALUES (1, 'x') ON CONFLICT (id) DO NOTHING", "none"},
          {P, "INSERT INTO subscribers VALUES (1, 'x') ON CONFLICT (email) DO NOTHING",
           "refused public.subscribers.email: ON CONFLICT"},
          {P,
           "INSERT INTO subscribers VALUES (1, 'x') ON CONFLICT (id) WHERE email = 'x' DO NOTHING",
           "refused public.subscribers.email: ON CONFLICT"},
          {P,
           "INSERT INTO subscribers VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET plan = "
           "excluded.email",
           "refused public.subscribers.email: assignment"},
          {P,
           "INSERT INTO subscribers VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET email = 'y'"
           " WHERE subscribers.email = 'x'",
           "refused public.subscribers.email: WHERE"},
          {P,
           "INSERT INTO subscribers VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET email = 'y'"
           " RETURNING *",
           "id=- email=email plan=-"},
          {P,
           "INSERT INTO subscribers VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET plan = 'y'"
           " RETURNING excluded.email",
           "42P01"},
          {P, "UPDATE orders SET note = 'x' RETURNING note", "note=-"},
          {P, "UPDATE customers SET ssn = 'x'", SSN "write"},
          {P, "UPDATE customers SET name = ssn", SSN "assignment"},
          {P, "UPDATE customers SET (name, score) = (SELECT ssn, 1 FROM customers)",
           SSN "assignment"},
          {P, "UPDATE customers SET (name, score) = ROW(ssn, 1)", SSN "assignment"},
          {P, "UPDATE customers SET name = 'x' WHERE ssn = 'y'", SSN "WHERE"},
          {P, "UPDATE customers SET name = 'x' WHERE id = 1 RETURNING ssn", "ssn=redact"},
          {P, "UPDATE orders SET note = c.ssn FROM customers c", SSN "assignment"},
          {P, "UPDATE orders o SET note = 'x' FROM people p WHERE p.id = o.id RETURNING p.*",
           "id=- nick=hash"},
          {P, "UPDATE people p SET id = 1 FROM order_view v RETURNING *",
           "id=- nick=hash id=- total=-"},
          {P, "UPDATE orders SET lines[(SELECT ssn FROM customers)::int] = 1", SSN "cast"},
          {P, "UPDATE customers SET addr.city = 'x'", "refused public.customers.addr: write"},
          {P, "UPDATE subscribers SET email = 'x'", "none"},
          {P, "UPDATE customer_view SET ssn = 'x'", SSN "write"},
          {P, "UPDATE ruled SET id = 1", "refused: rewrite rules"},
          {P, "UPDATE triggered SET id = 1", "none"},
          {P, "DELETE FROM customers WHERE ssn = 'x'", SSN "WHERE"},
          {P, "DELETE FROM customers c USING orders o WHERE o.id = c.id RETURNING c.ssn, o.note",
           "ssn=redact note=-"},
          {P, "DELETE FROM people USING order_view RETURNING *", "id=- nick=hash id=- total=-"},
          {P, "WITH customers AS (SELECT 1) DELETE FROM customers RETURNING ssn", "ssn=redact"});
}

static void
test_merge(void **state)
{
    (void)state;
    CHECK(
        {P,
         "MERGE INTO orders o USING customers c ON o.customer_id = c.id WHEN MATCHED THEN"
         " UPDATE SET note = 'x' WHEN NOT MATCHED THEN INSERT (id) VALUES (c.id)",
         "none"},
        {P, "MERGE INTO orders o USING customers c ON o.note = c.ssn WHEN MATCHED THEN DELETE",
         SSN "ON"},
        {P,
         "MERGE INTO orders o USING customers c ON true WHEN MATCHED AND c.ssn = 'x' THEN DELETE",
         SSN "WHEN"},
        {P,
         "MERGE INTO orders o USING customers c ON true WHEN MATCHED THEN UPDATE SET note = c.ssn",
         SSN "assignment"},
        {P,
         "MERGE INTO orders o USING customers c ON true WHEN NOT MATCHED THEN INSERT (note)"
         " VALUES (c.ssn)",
         SSN "inserted"},
        {P,
         "MERGE INTO orders o USING people c ON true WHEN NOT MATCHED THEN INSERT"
         " (lines[(SELECT length(ssn) FROM customers LIMIT 1)]) VALUES (1)",
         SSN "length()"},
        {P, "MERGE INTO customers c USING orders o ON true WHEN MATCHED THEN UPDATE SET ssn = 'x'",
         SSN "write"},
        {P,
         "MERGE INTO customers c USING orders o ON true WHEN NOT MATCHED THEN INSERT (ssn) VALUES "
         "('x')",
         SSN "write"},
        {P, "MERGE INTO customers c USING orders o ON true WHEN MATCHED THEN DO NOTHING", "none"});
}

static void
test_copy(void **state)
{
    (void)state;
    CHECK({P, "COPY people TO STDOUT", "copy id=- nick=hash"},
          {P, "COPY people (nick) TO STDOUT (FORMAT csv)", "copy nick=hash"},
          {P, "COPY (SELECT id, ssn FROM customers) TO STDOUT", "copy id=- ssn=redact"},
          {P, "COPY (DELETE FROM people RETURNING *) TO STDOUT", "copy id=- nick=hash"},
          {P, "COPY people (nothing) TO STDOUT", "42703"},
          {P, "COPY customers TO STDOUT",
           "copy id=- name=- email=email ssn=redact phone=partial born=null salary=fixed tags=hash"
           " addr=redact profile=json[pin][contact.phone] score=-"},
          {P, "COPY people TO '/tmp/x'", "refused: files"},
          {P, "COPY people TO PROGRAM 'cat'", "refused: files"},
          {P, "COPY people TO STDOUT (DELIMITER 'ab')", "refused public.people.nick: options"},
          {P, "COPY people TO STDOUT (strange)", "refused public.people.nick: options"},
          {P, "COPY people FROM STDIN", "refused public.people.nick: write"},
          {P, "COPY people (id) FROM STDIN", "none"},
          {P, "COPY subscribers FROM STDIN WHERE email = 'x'",
           "refused public.subscribers.email: WHERE"});
}

static void
test_what_runs_later(void **state)
{
    (void)state;
    CHECK({P, "DECLARE c CURSOR FOR SELECT ssn FROM customers", "declares c ssn=redact"},
          {P, "DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM customers",
           "declares held c ssn=redact"},
          {P, "DECLARE c CURSOR FOR SELECT 1 FROM customers WHERE ssn = 'x'", SSN "WHERE"},
          {P, "FETCH 5 FROM c", "cursor c"}, {P, "MOVE 5 IN c", "nonec"},
          {P, "CLOSE c", "none closes c"}, {P, "CLOSE ALL", "none closes "},
          {P, "DISCARD ALL", "none closes "},
          {P, "PREPARE p AS SELECT ssn FROM customers WHERE id = $1", "prepares p ssn=redact"},
          {P, "PREPARE p AS SELECT max(ssn) FROM customers", SSN "max()"},
          {P, "EXECUTE p(1)", "prepared p"},
          {P, "EXECUTE p((SELECT ssn FROM customers))", SSN "EXECUTE"},
          {P, "EXPLAIN SELECT ssn FROM customers", "QUERY PLAN=-"},
          {P, "EXPLAIN ANALYZE SELECT 1 FROM customers WHERE ssn > 'x'", SSN "operator >"},
          {P, "EXPLAIN DELETE FROM customers WHERE ssn > 'x'", SSN "operator >"},
          {P, "CREATE TABLE x AS SELECT id FROM customers", "none"},
          {P, "CREATE TABLE x AS SELECT ssn FROM customers", SSN "copied"},
          {P, "CREATE MATERIALIZED VIEW x AS SELECT ssn FROM customers", SSN "copied"},
          {P, "CREATE TABLE x AS EXECUTE p", "refused: EXECUTE"},
          {P, "SELECT ssn INTO x FROM customers", SSN "INTO"},
          {P, "SELECT id INTO x FROM customers", "none"},
          {P, "CREATE VIEW x AS SELECT ssn FROM customers", "none"},
          {P, "CREATE VIEW x AS SELECT 1 FROM customers WHERE ssn = 'x'", SSN "WHERE"},
          {P, "SHOW search_path", "..."}, {P, "SET work_mem = '1MB'", "none"});
}

static void
test_views(void **state)
{
    (void)state;
    CHECK({P, "SELECT id, name, ssn FROM customer_view", "id=- name=- ssn=redact"},
          {P, "SELECT * FROM second_view", "id=- number=redact"},
          {P, "SELECT 1 FROM second_view WHERE number = 'x'", SSN "WHERE"},
          {P, "SELECT * FROM order_view", "id=- total=-"},
          {P, "SELECT * FROM rich", "id=fixed name=fixed"},
          {P, "SELECT max(id) FROM rich", "refused public.customers.salary: max()"},
          {P, "SELECT * FROM ssn_copy", "id=- digits=redact n=-"},
          {P, "SELECT max(digits) FROM ssn_copy", SSN "max()"},
          {P, "SELECT kind, value FROM union_view", "kind=- value=redact"},
          {P, "SELECT ssn FROM quoting_view", "ssn=redact"},
          {P, "SELECT v FROM second_view v", "v=(-,redact)"},
          {P, "SELECT * FROM opaque_view", "refused: not understood"},
          {P, "SELECT * FROM leaky_view", "refused: not understood"},
          {P, "SELECT * FROM broken_view", "refused: not understood"},
          {P, "SELECT relname FROM pg_class", "relname=-"},
          {P, "SELECT table_name FROM information_schema.tables", "table_name=-"},
          {P, "SELECT * FROM pg_stats", "refused: pg_stats"},
          {P, "SELECT * FROM pg_catalog.pg_statistic", "refused: pg_statistic"});
}

static void
test_functions_are_judged_by_their_words(void **state)
{
    (void)state;
    CHECK({P, "SELECT safe_sql(1), safe_plpgsql('x'), tick(), similarity('a', 'b')",
           "safe_sql=- safe_plpgsql=- tick=- similarity=-"},
          {P, "SELECT safe_plpgsql(ssn) FROM customers", SSN "safe_plpgsql()"},
          {P, "SELECT reads_sql()", "refused: may read protected data"},
          {P, "SELECT public.reads_folded()", "refused: may read protected data"},
          {P, "SELECT dynamic('x')", "refused: may read protected data"},
          {P, "SELECT opaque(1)", "refused: cannot be looked into"},
          {P, "SELECT python()", "refused: cannot be looked into"},
          {P, "SELECT calls_reads()", "refused: may read protected data"},
          {P, "SELECT ping()", "refused: may read protected data"},
          {P, "SELECT pong()", "refused: may read protected data"},
          {P, "SELECT reads_view()", "refused: may read protected data"},
          {P, "SELECT reads_leaky_view()", "refused: may read protected data"},
          {P, "SELECT reads_between_quotes()", "refused: may read protected data"},
          {P, "SELECT reads_after_comment()", "refused: may read protected data"},
          {P, "SELECT reads_escaped()", "refused: names things in a way"},
          {P, "SELECT reads_quoted()", "refused: may read protected data"},
          {P, "SELECT reads_large()", "refused: may read protected data"},
          {P, "SELECT reads_stats()", "refused: may read protected data"},
          {P, "SELECT overloaded(1)", "refused: may read protected data"},
          {P, "SELECT crm.safe_sql(1)", "refused: may read protected data"},
          {"public,crm", "SELECT safe_sql(1)", "refused: may read protected data"},
          {P, "SELECT crm.in_crm()", "in_crm=-"}, {P, "SELECT in_crm()", "42883"},
          {P, "SELECT nowhere()", "42883"}, {P, "SELECT public.lower('x')", "42883"},
          {P, "SELECT 1 WHERE reads_sql() = 'x'", "refused: reads_sql()"},
          {P, "CALL change()", "..."}, {P, "CALL reads_sql()", "refused: reads_sql()"},
          {P, "SELECT 'a' % 'b'", "?column?=-"}, {P, "SELECT 1 === 2", "refused: operator ==="},
          {P, "SELECT 1 OPERATOR(public.===) 2", "refused: operator ==="},
          {"crm", "SELECT 1 === 2", "?column?=-"},
          {P, "SELECT 1 WHERE 1 === ANY (SELECT 2)", "refused: operator ==="},
          {P, "SELECT * FROM order_rows()", "id=- customer_id=- total=- note=- lines=- payload=-"},
          {P, "SELECT * FROM make_customers()", "refused: rows of a table with protected columns"},
          {P, "SELECT * FROM two_outputs(1)", "a=- b=-"},
          {P, "SELECT t.b FROM two_outputs(1) t", "b=-"}, {P, "SELECT x FROM safe_sql(1) x", "x=-"},
          {P, "SELECT * FROM tick()", "tick=-"}, {P, "SELECT * FROM safe_sql(1)", "..."},
          {P, "SELECT * FROM generate_series(1, 2) WITH ORDINALITY AS g(a, b)", "a=- b=-"},
          {P, "SELECT * FROM ROWS FROM (tick(), two_outputs(2)) AS r", "tick=- a=- b=-"},
          {P, "SELECT * FROM json_to_record('{}') AS r(x int, y text)", "x=- y=-"},
          {P, "SELECT u.*, c.ssn FROM customers c, unnest($1::orders[]) u",
           "refused: not all known"});
}

static void
test_what_never_runs(void **state)
{
    (void)state;
    CHECK(
        {P, "DO 'BEGIN END'", "refused: DO"},
        {P, "SELECT query_to_xml('SELECT 1', true, true, '')", "refused: past"},
        {P, "SELECT pg_read_file('x')", "refused: past"},
        {P, "SELECT ts_stat('SELECT 1')", "refused: past"},
        {P, "SELECT * FROM dblink('x', 'y') AS t(a int)", "refused: past"},
        {P, "SELECT pg_relation_filepath('x')", "pg_relation_filepath=-"},
        {P, "LOAD 'x'", "refused: ways"}, {P, "ALTER SYSTEM SET work_mem = 1", "refused: ways"},
        {P, "CREATE PUBLICATION p FOR ALL TABLES", "refused: ways"},
        {P, "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "refused: ways"},
        {P, "CREATE EXTENSION postgres_fdw", "none"},
        {P, "CREATE SERVER s FOREIGN DATA WRAPPER w", "refused: ways"},
        {P, "IMPORT FOREIGN SCHEMA s FROM SERVER x INTO public", "refused: ways"},
        {P, "CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION f()", "refused: ways"},
        {P, "ALTER TABLE customers ADD x int", "refused: its owner only"},
        {P, "ALTER TABLE customers RENAME ssn TO x", "refused: its owner only"},
        {P, "ALTER TABLE public.customer_view RENAME TO x", "refused: its owner only"},
        {P, "ALTER TABLE crm.only_crm ADD x int", "none"},
        {P, "CREATE INDEX ON customers (name)", "refused: its owner only"},
        {P, "CREATE TABLE x (LIKE customers INCLUDING ALL)", "refused: its owner only"},
        {P, "CREATE TABLE x () INHERITS (people)", "refused: its owner only"},
        {P, "CREATE TABLE x PARTITION OF payments DEFAULT", "refused: its owner only"},
        {P,
         "CREATE RULE r AS ON INSERT TO orders DO ALSO INSERT INTO orders SELECT id FROM customers",
         "refused: its owner only"},
        {P, "CREATE TRIGGER t AFTER UPDATE ON customers EXECUTE FUNCTION f()",
         "refused: its owner only"},
        {P, "CREATE POLICY p ON orders USING (note IN (SELECT ssn FROM customers))",
         "refused: its owner only"},
        {P, "CREATE TABLE x (a text DEFAULT reads_sql())", "refused: reads_sql()"},
        {P, "CREATE INDEX ON orders (opaque(id))", "refused: opaque()"},
        {P, "ALTER TABLE orders ALTER note SET DEFAULT public.reads_sql()", "refused: reads_sql()"},
        {P, "CREATE DOMAIN d AS text CHECK (VALUE <> reads_sql())", "refused: reads_sql()"},
        {P, "CREATE TABLE x (a text DEFAULT lower('x'), b int DEFAULT safe_sql(1))", "none"},
        {P, "CREATE TRIGGER t AFTER UPDATE ON orders EXECUTE FUNCTION reads_sql()",
         "refused: reads_sql()"},
        {P, "TRUNCATE customers", "none"});
}

/* What the gateway does to the cells. */

static void
put_plan(struct buf *out, const struct mask_plan *p)
{
    switch (p->shape) {
    case MASK_SHAPE_PASS:
        buf_put_text(out, "pass");
        break;
    case MASK_SHAPE_VALUE:
        buf_printf(out, "%s/%u", mask_kind_name(p->rule->kind), p->type);
        break;
    case MASK_SHAPE_ARRAY:
        buf_printf(out, "[%c ", p->delimiter);
        put_plan(out, p->element);
        buf_put_text(out, "]");
        break;
    case MASK_SHAPE_ROW:
        for (size_t i = 0; i < p->n_fields; i++) {
            buf_put_text(out, i == 0 ? "(" : ",");
            put_plan(out, &p->fields[i]);
        }
        buf_put_text(out, ")");
        break;
    case MASK_SHAPE_JSON:
        buf_printf(out, "json/%u:%zu", p->type, p->n_paths);
        break;
    }
}

/* `sql` has one output column; `type` 0: as predicted. */
static void
check_plan(const char *sql, uint32_t type, const char *expected)
{
    struct buf out = buf_make(4096);
    struct str schemas[10];
    struct sql_context context = context_with(P, schemas);
    const struct sql_output_column *column;
    struct sql_facts facts;
    struct mask_plan plan;

    arena_reset(arena);
    assert_int_equal(sql_analyze(str_from(sql), &context, arena, &facts), OK);
    assert_int_equal(facts.lineage->outputs[0].n, 1);
    column = &facts.lineage->outputs[0].columns[0];
    assert_int_equal(
        sql_mask_plan(shield, &column->hidden, type != 0 ? type : column->type, arena, &plan), OK);
    put_plan(&out, &plan);
    if (!str_is(buf_str(&out), expected))
        fail_msg("%s: expected %s, found %.*s", sql, expected, STR_ARG(buf_str(&out)));
    sql_lineage_release(facts.lineage);
    buf_free(&out);
}

static void
test_a_cell_is_masked_by_its_types_make_up(void **state)
{
    (void)state;
    check_plan("SELECT id FROM customers", 0, "pass");
    check_plan("SELECT ssn FROM customers", 0, "redact/25");
    check_plan("SELECT salary FROM customers", 0, "fixed/1700");
    check_plan("SELECT salary::text FROM customers", 0, "fixed/25");
    check_plan("SELECT tags FROM customers", 0, "[, hash/25]");
    check_plan("SELECT tags[1] FROM customers", 0, "hash/25");
    check_plan("SELECT addr FROM customers", 0, "(redact/25,redact/25)");
    check_plan("SELECT (addr).city FROM customers", 0, "redact/25");
    check_plan("SELECT areas FROM places", 0, "[; redact/603]");
    check_plan("SELECT home FROM places", 0, "email/25");
    check_plan("SELECT homes FROM places", 0, "[, email/25]");
    check_plan("SELECT docs FROM places", 0, "[, redact/3802]");
    check_plan("SELECT profile FROM customers", 0, "json/3802:2");
    check_plan("SELECT profile->>'contact' FROM customers", 0, "json/25:1");
    check_plan("SELECT p FROM people p", 0, "(pass,hash/25)");
    check_plan("SELECT c FROM customers c", 0,
               "(pass,pass,email/1043,redact/25,partial/1042,null/1082,fixed/1700,[, hash/25],"
               "(redact/25,redact/25),json/3802:2,pass,redact/25)");
    check_plan("SELECT p FROM places p", 0,
               "(pass,[; redact/603],email/25,[, email/25],[, redact/3802])");
    /* Of a type that was not expected: nothing gets through. */
    check_plan("SELECT p FROM people p", LS_RECORD, "null/0");
    check_plan("SELECT p FROM people p", 20011, "null/0");
    check_plan("SELECT p FROM people p", 25, "null/0");
    check_plan("SELECT ssn FROM customers", LS_RECORD, "redact/2249");
    check_plan("SELECT ssn FROM customers", 4000000000, "redact/4000000000");
}

static void
test_columns_are_known_by_what_the_server_calls_their_origin(void **state)
{
    (void)state;
    assert_true(shield_is_protected(shield, 20000, 4));
    assert_false(shield_is_protected(shield, 20000, 1));
    assert_true(shield_is_protected(shield, 20030, 2));
    assert_false(shield_is_protected(shield, 20120, 2));
    assert_true(shield_is_protected(shield, 4000000, 1)); /* newer than the catalog */
    assert_true(shield_is_protected(shield, 20000, 99));
    assert_false(shield_is_protected(shield, 1259, 99));
}

/* The snapshot as bytes. */

static void
test_a_cut_catalog_is_refused(void **state)
{
    struct buf copy = buf_make(CATALOG_BYTES_MAX);
    struct catalog c;

    (void)state;
    buf_put_str(&copy, buf_str(&block));
    assert_int_equal(catalog_open(buf_str(&copy), &c), OK);
    for (size_t n = 0; n < block.len; n++)
        assert_int_equal(catalog_open((struct str){copy.ptr, n}, &c), ERR_PROTOCOL);
    buf_put_u8(&copy, 0);
    assert_int_equal(catalog_open(buf_str(&copy), &c), ERR_PROTOCOL);
    assert_int_equal(catalog_open((struct str){copy.ptr + 1, block.len}, &c), ERR_PROTOCOL);
    buf_free(&copy);
}

/* Whatever is in it lies within. */
static void
read_all(const struct catalog *c)
{
    unsigned sum = 0;
    size_t n;

    for (uint32_t i = 0; i < c->n_relations; i++) {
        const struct catalog_relation *r = &c->relations[i];
        struct str name = catalog_text(c, r->name);

        for (uint32_t k = 0; k < r->n_attributes; k++)
            sum += (unsigned)catalog_text(c, c->attributes[r->first_attribute + k].name).len;
        sum += name.len > 0 ? (unsigned char)name.ptr[name.len - 1] : 0U;
        sum += (unsigned)catalog_text(c, c->namespaces[r->namespace].name).len;
        (void)catalog_relation_named(c, r->namespace, name);
        (void)catalog_type_of(c, r->type);
    }
    for (uint32_t i = 0; i < c->n_functions; i++) {
        struct str source = catalog_text(c, c->functions[i].source);

        sum += source.len > 0 ? (unsigned char)source.ptr[source.len - 1] : 0U;
        (void)catalog_functions_named(c, catalog_text(c, c->functions[i].name), &n);
    }
    assert_true(sum > 0);
}

static void
test_a_catalog_with_any_byte_changed_is_refused_or_safe(void **state)
{
    static const uint8_t flips[] = {0x01, 0x80, 0xff};
    struct buf copy = buf_make(CATALOG_BYTES_MAX);
    struct str schemas[10];
    struct sql_facts facts;
    struct catalog c;

    (void)state;
    buf_put_str(&copy, buf_str(&block));
    for (size_t i = 0; i < 3 * block.len; i++) {
        struct sql_context context = context_with(P, schemas);
        uint8_t flip = flips[i % 3];

        copy.ptr[i / 3] = (char)(copy.ptr[i / 3] ^ flip);
        if (catalog_open(buf_str(&copy), &c) == OK) {
            read_all(&c);
            if (i % 97 < 3 && shield_make(&c, &ls_protection, NULL, NULL, &context.shield) == OK) {
                arena_reset(arena);
                if (sql_analyze(STR("SELECT *, calls_reads() FROM second_view, customers c"),
                                &context, arena, &facts) == OK)
                    sql_lineage_release(facts.lineage);
                shield_free(context.shield);
            }
        }
        copy.ptr[i / 3] = (char)(copy.ptr[i / 3] ^ flip);
    }
    buf_free(&copy);
}

/* What a statement demands, with the catalog's help. */

static void
check_demands(const char *path, const char *sql, const char *expected)
{
    struct buf out = buf_make(4096);
    struct str schemas[10];
    struct sql_context context = context_with(path, schemas);
    struct sql_facts facts;

    arena_reset(arena);
    assert_int_equal(sql_analyze(str_from(sql), &context, arena, &facts), OK);
    for (size_t i = 0; i < facts.n_demands; i++) {
        const struct demand *d = &facts.demands[i];

        buf_printf(&out, "%s%.*s%s%.*s", i == 0 ? "" : " ", STR_ARG(d->schema),
                   d->schema.len > 0 ? "." : "", STR_ARG(d->name));
    }
    if (!str_is(buf_str(&out), expected))
        fail_msg("%s: expected %s, found %.*s", sql, expected, STR_ARG(buf_str(&out)));
    sql_lineage_release(facts.lineage);
    buf_free(&out);
}

static void
test_demands_name_what_the_server_will_find(void **state)
{
    (void)state;
    check_demands(P, "SELECT id FROM customers", "public.customers");
    check_demands("crm,public", "SELECT id FROM customers", "crm.customers");
    check_demands("crm,public", "SELECT id FROM orders", "public.orders");
    check_demands("crm,public", "SELECT id FROM public.customers", "public.customers");
    check_demands("?", "SELECT id FROM customers", "customers");
    check_demands(P, "SELECT id FROM nowhere", "nowhere");
    check_demands(P, "SELECT 1; SELECT id FROM customers", " public.customers");
    /* What an earlier statement of the string may have changed. */
    check_demands(P, "SET search_path = crm; SELECT id FROM customers", "search_path customers");
    check_demands(P, "SELECT set_config('search_path', 'crm', true); SELECT id FROM customers",
                  "search_path customers");
    check_demands(P, "SET ROLE x; SELECT id FROM customers", "x customers");
    check_demands(P, "CREATE TEMP TABLE fresh (id int); SELECT id FROM customers",
                  "fresh customers");
    check_demands(P, "ROLLBACK; SELECT id FROM customers", " public.customers");
    check_demands("!public", "ROLLBACK; SELECT id FROM customers", " customers");
    check_demands("crm,public", "DROP TABLE crm.customers; SELECT id FROM customers",
                  "crm.customers customers");
    check_demands("pg_temp_3,public", "SELECT id FROM scratch", "pg_temp_3.scratch");
    check_demands(P, "SELECT relname FROM pg_class", "pg_catalog.pg_class");
    check_demands(P, "UPDATE orders SET id = 1", "public.orders");
    check_demands(P, "SELECT safe_plpgsql('x')", "public.safe_plpgsql");
    check_demands("public,crm", "SELECT safe_sql(1)", "safe_sql");
    check_demands(P, "SELECT crm.safe_sql(1)", "crm.safe_sql");
    /* Of an extension that only computes. */
    check_demands(P, "SELECT similarity('a', note) FROM orders WHERE note % 'x'", "public.orders");
    check_demands(P, "SELECT opaque(1)", "public.opaque");
    check_demands("crm", "SELECT similarity('a', 'b')", "similarity");
}

static int
run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_found_as_the_server_finds_them),
        cmocka_unit_test(test_the_search_path_decides_what_a_name_means),
        cmocka_unit_test(test_a_string_may_change_its_own_search_path),
        cmocka_unit_test(test_a_string_that_changes_what_names_mean_reads_nothing_more),
        cmocka_unit_test(test_stars_and_whole_rows),
        cmocka_unit_test(test_functional_notation),
        cmocka_unit_test(test_composites_and_arrays),
        cmocka_unit_test(test_ctes),
        cmocka_unit_test(test_recursive_ctes),
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_subqueries_and_lateral),
        cmocka_unit_test(test_order_group_and_distinct),
        cmocka_unit_test(test_set_operations_and_values),
        cmocka_unit_test(test_a_protected_value_is_only_passed_on),
        cmocka_unit_test(test_what_a_protected_value_may_tell),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_casts),
        cmocka_unit_test(test_json_paths),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_what_runs_later),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_functions_are_judged_by_their_words),
        cmocka_unit_test(test_what_never_runs),
        cmocka_unit_test(test_a_cell_is_masked_by_its_types_make_up),
        cmocka_unit_test(test_columns_are_known_by_what_the_server_calls_their_origin),
        cmocka_unit_test(test_a_cut_catalog_is_refused),
        cmocka_unit_test(test_a_catalog_with_any_byte_changed_is_refused_or_safe),
        cmocka_unit_test(test_demands_name_what_the_server_will_find),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

int
main(void)
{
    return run_deep(run);
}
