/* The table of routes, what it is described as, and the parts of a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#include <jansson.h>
#include <stdio.h>

#include "control/api.h"
#include "control/openapi.h"
#include "control/rate.h"
#include "control/route.h"

/* --- the table and openapi.json --------------------------------------------------------------- */

/* A last segment "*" is the parameter {rest} there. */
static const char *
described_path(const struct route *r, char out[static 128])
{
    size_t len = strlen(r->pattern);

    if (r->pattern[len - 1] == '*')
        (void)snprintf(out, 128, "%.*s{rest}", (int)len - 1, r->pattern);
    else
        (void)snprintf(out, 128, "%s", r->pattern);
    return out;
}

static json_t *
read_document(void)
{
    json_t *document = json_loadb(openapi_json, openapi_json_len, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(document);
    return document;
}

static const json_t *
operation_of(const json_t *document, const struct route *r)
{
    char path[128];
    const json_t *item =
        json_object_get(json_object_get(document, "paths"), described_path(r, path));
    const json_t *operation = json_object_get(item, strcmp(r->method, "GET") == 0 ? "get" : "post");

    if (operation == NULL)
        print_error("%s %s is not described\n", r->method, path);
    assert_non_null(operation);
    return operation;
}

static void
test_every_route_is_described_and_nothing_else(void **state)
{
    json_t *document = read_document();
    size_t routes = 0, described = 0;
    const char *path;
    json_t *item;

    (void)state;
    for (; route_at(routes) != NULL; routes++)
        (void)operation_of(document, route_at(routes));
    json_object_foreach(json_object_get(document, "paths"), path, item)
        described += json_object_size(item);
    assert_int_equal(described, routes);
    json_decref(document);
}

static void
test_roles_and_delegates_are_described_as_they_are(void **state)
{
    json_t *document = read_document();

    (void)state;
    for (size_t i = 0; route_at(i) != NULL; i++) {
        const struct route *r = route_at(i);
        const json_t *operation = operation_of(document, r);

        assert_string_equal(json_string_value(json_object_get(operation, "x-bulkhead-role")),
                            api_role_name(r->role));
        assert_int_equal(json_is_true(json_object_get(operation, "x-bulkhead-delegates")),
                         (r->flags & API_DELEGATES) != 0);
        assert_int_equal(json_is_array(json_object_get(operation, "security")) &&
                             json_array_size(json_object_get(operation, "security")) == 0,
                         r->role == API_PUBLIC);
        /* What is refused for want of a login or of a role is described. */
        assert_int_equal(json_object_get(json_object_get(operation, "responses"), "401") != NULL ||
                             r->role == API_PUBLIC,
                         true);
    }
    json_decref(document);
}

/* --- finding a route -------------------------------------------------------------------------- */

static enum err
find(const char *method, const char *path, const struct route **out, const char **allow)
{
    struct str parameters[API_PARAMETERS_MAX];

    return route_find(str_from(method), str_from(path), out, parameters, allow);
}

static void
test_a_path_leads_to_its_route(void **state)
{
    struct str parameters[API_PARAMETERS_MAX];
    const struct route *r;
    const char *allow;

    (void)state;
    assert_int_equal(
        route_find(STR("POST"), STR("/v1/sessions/0123456789abcdef/kill"), &r, parameters, &allow),
        OK);
    assert_string_equal(r->pattern, "/v1/sessions/{id}/kill");
    assert_true(str_is(parameters[0], "0123456789abcdef"));
    assert_int_equal(find("GET", "/v1/ledger/export", &r, &allow), OK);
    assert_string_equal(r->pattern, "/v1/ledger/export");
    assert_int_equal(find("HEAD", "/v1/ledger/7", &r, &allow), OK);
    assert_string_equal(r->pattern, "/v1/ledger/{id}");
    assert_int_equal(find("GET", "/approvals/x/y", &r, &allow), OK);
    assert_string_equal(r->pattern, "/*");
    assert_int_equal(find("GET", "/", &r, &allow), OK);
    assert_string_equal(r->pattern, "/*");
}

static void
test_what_is_not_there_is_not_found(void **state)
{
    static const char *const paths[] = {"/v1",          "/v1/",
                                        "/v1/none",     "/v1/approvals/x/approve/y",
                                        "/v1/sessions", "/v1/approvals//approve"};
    const struct route *r;
    const char *allow;

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (strcmp(paths[i], "/v1/sessions") != 0)
            assert_int_equal(find("GET", paths[i], &r, &allow), ERR_NOT_FOUND);
    assert_int_equal(find("POST", "/v1/sessions", &r, &allow), ERR_UNSUPPORTED);
    assert_string_equal(allow, "GET, HEAD");
    assert_int_equal(find("GET", "/v1/logout", &r, &allow), ERR_UNSUPPORTED);
    assert_string_equal(allow, "POST");
    assert_int_equal(find("DELETE", "/v1/access", &r, &allow), ERR_UNSUPPORTED);
    assert_string_equal(allow, "GET, HEAD, POST");
    assert_int_equal(find("get", "/v1/me", &r, &allow), ERR_UNSUPPORTED);
}

/* --- targets ---------------------------------------------------------------------------------- */

static void
test_odd_targets_are_refused(void **state)
{
    static const char *const odd[] = {
        "",         "v1/me",     "http://x/v1/me", "//v1/me", "/v1//me",
        "/v1/./me", "/v1/../me", "/v1/%2e/me",     "/v1/me/", "/v1/m\te",
        "/v1/me#",  "/v1/me;x",  "/v1\\me",        "*",       "/a/b/c/d/e/f/g/h/i",
    };
    struct str path, query;

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        assert_int_equal(http_target(str_from(odd[i]), &path, &query), ERR_INVALID);
    assert_int_equal(http_target(STR("/v1/me?a=/../b"), &path, &query), OK);
    assert_true(str_is(path, "/v1/me"));
    assert_true(str_is(query, "a=/../b"));
    assert_int_equal(http_target(STR("/"), &path, &query), OK);
}

static void
test_a_target_cut_anywhere_is_a_target_or_refused(void **state)
{
    struct str whole = STR("/v1/sessions/0123456789abcdef/replay?from=12.5&limit=7&x=%41+%c3%a4");
    struct str path, query;

    (void)state;
    for (size_t n = 0; n <= whole.len; n++) {
        struct str cut = {whole.ptr, n};
        struct arena *arena = arena_new(1 << 16);
        struct http_query q;

        if (http_target(cut, &path, &query) == OK) {
            assert_true(path.ptr == whole.ptr && path.len <= n);
            assert_true(query.len == 0 ||
                        (query.ptr > path.ptr && query.ptr + query.len == whole.ptr + n));
            err_ignore(http_query_read(query, arena, &q));
        }
        arena_free(arena);
    }
}

/* --- queries ---------------------------------------------------------------------------------- */

static enum err
read_query(struct arena *arena, const char *text, struct http_query *out)
{
    return http_query_read(str_from(text), arena, out);
}

static void
test_a_query_is_decoded_once(void **state)
{
    struct arena *arena = arena_new(1 << 16);
    struct http_query q;

    (void)state;
    assert_int_equal(read_query(arena, "a=%2541&b=c+d%2B&&e&f=", &q), OK);
    assert_int_equal(q.n, 4);
    assert_true(str_is(http_query_get(&q, "a"), "%41"));
    assert_true(str_is(http_query_get(&q, "b"), "c d+"));
    assert_true(str_is(http_query_get(&q, "e"), ""));
    assert_non_null(http_query_get(&q, "f").ptr);
    assert_null(http_query_get(&q, "g").ptr);
    arena_free(arena);
}

static void
test_odd_queries_are_refused(void **state)
{
    static const char *const odd[] = {"a=%",   "a=%4",  "a=%zz", "a=%00",  "a=1&a=2", "a=1&%61=2",
                                      "a=%ff", "a=%c3", "%=1",   "a=\xff", "a=%C0%80"};
    struct arena *arena = arena_new(1 << 16);
    struct http_query q;
    char many[512] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        assert_int_equal(read_query(arena, odd[i], &q), ERR_INVALID);
    for (int i = 0; i <= HTTP_QUERY_FIELDS_MAX; i++)
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "k%d=&", i);
    assert_int_equal(read_query(arena, many, &q), ERR_LIMIT);
    arena_free(arena);
}

/* --- headers ---------------------------------------------------------------------------------- */

static void
test_a_cookie_that_is_there_twice_is_nobodys(void **state)
{
    (void)state;
    assert_true(str_is(http_cookie(STR("a=1; __Host-b=x; c=3"), "__Host-b"), "x"));
    assert_true(str_is(http_cookie(STR("__Host-b="), "__Host-b"), ""));
    assert_null(http_cookie(STR("__Host-b=x; __Host-b=y"), "__Host-b").ptr);
    assert_null(http_cookie(STR("x__Host-b=x; __host-b=x"), "__Host-b").ptr);
    assert_null(http_cookie(STR(";;=;"), "__Host-b").ptr);
    assert_null(http_cookie(STR(""), "__Host-b").ptr);
}

static void
test_only_a_bearer_token_is_one(void **state)
{
    (void)state;
    assert_true(str_is(http_bearer(STR("bearer a.b-c_~+/=")), "a.b-c_~+/="));
    assert_null(http_bearer(STR("Basic abc")).ptr);
    assert_null(http_bearer(STR("Bearer")).ptr);
    assert_null(http_bearer(STR("Bearer ")).ptr);
    assert_null(http_bearer(STR("Bearer a b")).ptr);
    assert_null(http_bearer(STR("Bearer a,b")).ptr);
    assert_null(http_bearer(STR("Bearer a\"b")).ptr);
}

static void
test_times_have_a_zone(void **state)
{
    int64_t us;

    (void)state;
    assert_int_equal(http_time(STR("2026-01-31T08:00:00.25Z"), &us), OK);
    assert_int_equal(us % 1000000, 250000);
    assert_int_equal(http_time(STR("1970-01-01T01:00:00+01:00"), &us), OK);
    assert_int_equal(us, 0);
    assert_int_equal(http_time(STR("2026-02-30T08:00:00Z"), &us), ERR_INVALID);
    assert_int_equal(http_time(STR("2026-01-31T08:00:00"), &us), ERR_INVALID);
    assert_int_equal(http_time(STR("2026-01-31T08:00:00.Z"), &us), ERR_INVALID);
    assert_int_equal(http_time(STR("2026-01-31T08:00:00+99:00"), &us), ERR_INVALID);
    assert_int_equal(http_time(STR("yesterday"), &us), ERR_INVALID);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static void
test_only_some_routes_take_large_bodies(void **state)
{
    (void)state;
    assert_int_equal(api_body_max(STR("POST"), STR("/v1/policies/dry-run")),
                     API_LARGE_BODY_BYTES_MAX);
    assert_int_equal(api_body_max(STR("POST"), STR("/v1/login")), API_BODY_BYTES_MAX);
    assert_int_equal(api_body_max(STR("POST"), STR("/nowhere")), API_BODY_BYTES_MAX);
    assert_int_equal(api_body_max(STR("POST"), STR("/v1/../v1/policies/dry-run")),
                     API_BODY_BYTES_MAX);
}

/* --- rates ------------------------------------------------------------------------------------ */

static void
test_a_bucket_is_emptied_and_fills_again(void **state)
{
    static const struct rate_limit limit = {3, 60};
    struct rate *r = rate_new();

    (void)state;
    assert_non_null(r);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rate_take(r, STR("a"), 1, &limit, 1000), 0);
    assert_int_equal(rate_take(r, STR("a"), 1, &limit, 1000), 1 + 1);
    assert_int_equal(rate_take(r, STR("b"), 1, &limit, 1000), 0);
    assert_int_equal(rate_take(r, STR("a"), 2, &limit, 1000), 0);
    assert_int_equal(rate_take(r, STR("a"), 1, &limit, 2000), 0);
    assert_true(rate_take(r, STR("a"), 1, &limit, 2000) > 0);
    assert_true(rate_take(r, STR("a"), 1, &limit, 0) > 0); /* a clock that jumps back gives none */
    rate_free(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route_is_described_and_nothing_else),
        cmocka_unit_test(test_roles_and_delegates_are_described_as_they_are),
        cmocka_unit_test(test_a_path_leads_to_its_route),
        cmocka_unit_test(test_what_is_not_there_is_not_found),
        cmocka_unit_test(test_odd_targets_are_refused),
        cmocka_unit_test(test_a_target_cut_anywhere_is_a_target_or_refused),
        cmocka_unit_test(test_a_query_is_decoded_once),
        cmocka_unit_test(test_odd_queries_are_refused),
        cmocka_unit_test(test_a_cookie_that_is_there_twice_is_nobodys),
        cmocka_unit_test(test_only_a_bearer_token_is_one),
        cmocka_unit_test(test_times_have_a_zone),
        cmocka_unit_test(test_only_some_routes_take_large_bodies),
        cmocka_unit_test(test_a_bucket_is_emptied_and_fills_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
