/* `bulkhead explain`: how a search path is read, and what is shown of lineage. */
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

#include <jansson.h>

#include "cli/explain_path.h"
#include "cli/explain_view.h"
#include "fiber/fiber.h"
#include "lineage_schema.h"

static struct buf block;
static struct shield *shield;

static int
set_up(void **state)
{
    struct catalog catalog;

    (void)state;
    block = ls_block();
    return catalog_open(buf_str(&block), &catalog) == OK &&
                   shield_make(&catalog, &ls_protection, NULL, NULL, &shield) == OK
               ? 0
               : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    shield_free(shield);
    buf_free(&block);
    return 0;
}

/* --- search paths --- */

/* "schemas; what is missing" of a path, or "error". */
static void
assert_path(const char *text, const char *expected)
{
    struct arena *arena = arena_new(1 << 20);
    struct buf out = buf_make(1 << 16);
    struct sql_path path;
    struct str missing;

    if (explain_path(str_from(text), shield_catalog(shield), STR("crm"), arena, &path, &missing) !=
        OK) {
        buf_put_text(&out, "error");
    } else {
        for (size_t i = 0; i < path.n; i++)
            buf_printf(&out, "%s%.*s", i == 0 ? "" : " ", STR_ARG(path.schemas[i]));
        buf_printf(&out, "; %.*s", STR_ARG(missing));
    }
    buf_put_u8(&out, '\0');
    assert_string_equal(out.ptr, expected);
    buf_free(&out);
    arena_free(arena);
}

static void
test_a_search_path_is_read_as_the_server_does(void **state)
{
    (void)state;
    assert_path("public", "pg_catalog public; ");
    assert_path("  crm ,\tPUBLIC ", "pg_catalog crm public; ");
    assert_path("public, pg_catalog", "public pg_catalog; ");
    assert_path("\"$user\", public", "pg_catalog crm public; ");
    assert_path("$user", "pg_catalog crm; ");
    assert_path("\"Public\", public", "pg_catalog public; Public");
    assert_path("\"a \"\"b\"\", c\", nowhere", "pg_catalog; a \"b\", c, nowhere");
    assert_path("pg_temp, public", "pg_catalog public; ");
    assert_path("", "pg_catalog; ");
    assert_path(" ", "pg_catalog; ");
}

static void
test_what_is_no_search_path_is_refused(void **state)
{
    (void)state;
    assert_path(",", "error");
    assert_path("public,", "error");
    assert_path(",public", "error");
    assert_path("public crm", "error");
    assert_path("\"public", "error");
    assert_path("\"\"", "error");
    assert_path("public\"x\"", "error");
}

/* --- what is shown --- */

struct asked {
    struct str sql;
    struct sql_context context;
    struct arena *arena;
    struct sql_facts facts;
    enum err e;
};

static void
analyze(void *arg)
{
    struct asked *a = arg;

    a->e = sql_analyze(a->sql, &a->context, a->arena, &a->facts);
}

/* The answer to a statement that the rules allow, in one of both forms; to be freed. */
static char *
explain(const char *sql, bool as_json)
{
    static const struct str schemas[] = {STR_INIT("pg_catalog"), STR_INIT("public")};
    static const struct verdict alone[16];
    const struct principal principal = {.subject = STR("agent-7"), .issuer = STR("local")};
    const struct config_resource resource = {.name = STR("hr")};
    struct asked a = {.sql = str_from(sql),
                      .context = {.shield = shield, .path = {schemas, 2}, .path_known = true},
                      .arena = arena_new(16 << 20)};
    struct explanation x = {.principal = &principal,
                            .resource = &resource,
                            .of_sql = true,
                            .verdict = {.kind = VERDICT_MODIFY, .rule = STR("r")},
                            .reason = STR("because"),
                            .protection = EXPLAIN_CONSIDERED,
                            .path = {schemas, 2},
                            .alone = alone};
    struct buf json = buf_make(1 << 20);
    char *text = NULL;
    size_t len;
    FILE *out;

    fiber_call_deep(analyze, &a);
    assert_int_equal(a.e, OK);
    assert_in_range(a.facts.n_demands, 0, 16);
    x.facts = &a.facts;
    x.lineage = a.facts.lineage;
    if (a.facts.lineage->refusal.len > 0)
        x.verdict = (struct verdict){.kind = VERDICT_DENY, .message = a.facts.lineage->refusal};
    assert_non_null(out = open_memstream(&text, &len));
    if (as_json) {
        explain_write_json(&x, &json);
        assert_int_equal(buf_ok(&json), OK);
        fwrite(json.ptr, 1, json.len, out);
    } else {
        explain_print(out, &x);
    }
    fclose(out);
    buf_free(&json);
    sql_lineage_release(a.facts.lineage);
    arena_free(a.arena);
    return text;
}

static void
assert_shows(const char *sql, const char *expected)
{
    char *text = explain(sql, false);

    if (strstr(text, expected) == NULL) {
        print_error("no \"%s\" in the answer to %s:\n%s", expected, sql, text);
        assert_true(false);
    }
    free(text);
}

static void
test_each_column_says_how_it_is_shown_and_where_it_comes_from(void **state)
{
    (void)state;
    assert_shows("SELECT id, phone AS number, email FROM customers",
                 "  NAME         SHOWN AS          FROM\n"
                 "  id           as it is          -\n"
                 "  number       masked: partial 4 public.customers.phone\n"
                 "  email        masked: email     public.customers.email\n");
    assert_shows("SELECT salary FROM customers", "masked: fixed \"0\"");
    assert_shows("SELECT profile FROM customers", "json paths ");
    assert_shows("SELECT profile FROM customers", "contact.phone masked: redact");
    assert_shows("SELECT profile FROM customers", "pin masked: null");
    assert_shows("SELECT p FROM payments p", "fields (card masked: partial 4)");
}

static void
test_notes_say_what_else_there_is_to_know(void **state)
{
    (void)state;
    assert_shows("SELECT * FROM customer_view", "views looked into: public.customer_view\n");
    assert_shows("SELECT safe_sql(1)", "functions looked into: public.safe_sql\n");
    assert_shows("COPY customers (id) TO STDOUT (FORMAT csv)", "copies to the client: COPY csv\n");
    assert_shows("DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM customers",
                 "declares cursor c, which outlives its transaction\n");
    assert_shows("DECLARE c CURSOR FOR SELECT ssn FROM customers; FETCH c",
                 "shows what cursor c shows, see statement 1\n");
    assert_shows("FETCH c", "shows what cursor c shows, which was decided when it was declared");
    assert_shows("BEGIN", "answers no rows\n");
    assert_shows("SELECT 1", "names without a schema are looked for in pg_catalog, public\n");
}

static void
test_several_statements_are_told_apart(void **state)
{
    (void)state;
    assert_shows("SELECT id FROM orders;  SELECT ssn FROM customers",
                 "  statement 2: SELECT ssn FROM customers\n");
}

static void
test_a_refusal_names_column_use_and_what_is_allowed_instead(void **state)
{
    (void)state;
    assert_shows("SELECT 1 FROM subscribers WHERE email > '5'",
                 "column:    public.subscribers.email\n"
                 "use:       operator > (WHERE)\n"
                 "instead:   select it as it is: it is then masked\n"
                 "           ask IS NULL, IS NOT NULL or count(column)\n"
                 "           compare it by = with one whole value in WHERE\n"
                 "           write new values into it\n");
    assert_shows("SELECT 1 FROM customers ORDER BY email", "use:       ORDER BY");
}

static void
test_a_hostile_name_does_not_reach_the_terminal(void **state)
{
    char *text = explain("SELECT id AS \"a\x1b[2J\xc2\x9b\" FROM orders", false);

    (void)state;
    assert_null(strchr(text, '\x1b'));
    assert_null(strstr(text, "\xc2\x9b"));
    assert_non_null(strstr(text, "a\\u001b[2J\\u009b"));
    free(text);
}

/* --- JSON --- */

/* The value at a path such as "statements.0.columns.1.mask.kind", as JSON. */
static void
assert_json(const char *sql, const char *path, const char *expected)
{
    char *text = explain(sql, true), *found, *next, part[64];
    json_t *root = json_loads(text, 0, NULL), *at = root;

    assert_non_null(root);
    for (; at != NULL && *path != '\0'; path = next) {
        size_t n = strcspn(path, ".");

        (void)snprintf(part, sizeof(part), "%.*s", (int)n, path);
        at = json_is_array(at) ? json_array_get(at, strtoul(part, NULL, 10))
                               : json_object_get(at, part);
        next = (char *)(uintptr_t)path + n + (path[n] == '.');
    }
    found = at == NULL ? strdup("(nothing)")
                       : json_dumps(at, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    if (strcmp(found, expected) != 0) {
        print_error("%s: %s, not %s, in\n%s", sql, found, expected, text);
        assert_true(false);
    }
    free(found);
    free(text);
    json_decref(root);
}

static void
test_json_has_the_same_answer(void **state)
{
    static const char plain[] = "SELECT id, phone FROM customers";

    (void)state;
    assert_json(plain, "verdict", "\"modify\"");
    assert_json(plain, "masked", "[\"public.customers.phone\"]");
    assert_json(plain, "refused", "null");
    assert_json(plain, "search_path", "[\"pg_catalog\",\"public\"]");
    assert_json(plain, "statements.0.answer", "\"rows\"");
    assert_json(plain, "statements.0.columns.0",
                "{\"from\":[],\"name\":\"id\",\"shown\":\"as it is\"}");
    assert_json(plain, "statements.0.columns.1.mask", "{\"keep\":4,\"kind\":\"partial\"}");
    assert_json("SELECT profile FROM customers", "statements.0.columns.0.shown", "\"json\"");
    assert_json(
        "SELECT p FROM payments p", "statements.0.columns.0.fields.1",
        "{\"mask\":{\"keep\":4,\"kind\":\"partial\"},\"name\":\"card\",\"shown\":\"masked\"}");
    assert_json("SELECT * FROM customer_view", "views", "[\"public.customer_view\"]");
    assert_json("SELECT safe_sql(1)", "functions", "[\"public.safe_sql\"]");
    assert_json("SELECT 1 FROM customers ORDER BY email", "refused.column",
                "\"public.customers.email\"");
    assert_json("SELECT 1 FROM customers ORDER BY email", "verdict", "\"deny\"");
    assert_json("SELECT nope FROM customers", "sqlstate", "\"42703\"");
    assert_json("PREPARE p AS SELECT ssn FROM customers; EXECUTE p", "statements.1.made_by", "1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_search_path_is_read_as_the_server_does),
        cmocka_unit_test(test_what_is_no_search_path_is_refused),
        cmocka_unit_test(test_each_column_says_how_it_is_shown_and_where_it_comes_from),
        cmocka_unit_test(test_notes_say_what_else_there_is_to_know),
        cmocka_unit_test(test_several_statements_are_told_apart),
        cmocka_unit_test(test_a_refusal_names_column_use_and_what_is_allowed_instead),
        cmocka_unit_test(test_a_hostile_name_does_not_reach_the_terminal),
        cmocka_unit_test(test_json_has_the_same_answer),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
