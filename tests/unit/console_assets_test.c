/* The console's files in the program: found by their paths, whole, and what the policy that they
 * are sent with allows. */
#include "control/console_assets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool
contains(struct str text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* The value of the first attribute `name="…"` of the page that begins with `prefix`. */
static struct str
attribute(struct str page, const char *start)
{
    const char *at = memmem(page.ptr, page.len, start, strlen(start));

    assert_non_null(at);
    struct str rest = {at + strlen(start) - 1,
                       page.len - (size_t)(at - page.ptr) - strlen(start) + 1};
    return (struct str){rest.ptr, str_index(rest, '"')};
}

static void
test_the_page_is_found_and_has_nothing_inline(void **state)
{
    const struct console_asset *page = console_asset_index();

    (void)state;
    assert_ptr_equal(page, console_asset_find(STR("/index.html")));
    assert_true(str_is(page->content_type, "text/html; charset=utf-8"));
    assert_false(page->immutable);
    assert_true(contains(page->bytes, "<script type=\"module\""));
    assert_false(contains(page->bytes, "style="));
    assert_false(contains(page->bytes, "http://"));
    assert_false(contains(page->bytes, "https://"));
}

static void
test_what_the_page_names_is_there_and_may_be_kept_for_ever(void **state)
{
    const char *starts[] = {"src=\"/", "href=\"/assets/"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct str path = attribute(console_asset_index()->bytes, starts[i]);
        if (i == 1)
            path = (struct str){path.ptr - strlen("/assets"), path.len + strlen("/assets")};
        const struct console_asset *asset = console_asset_find(path);
        assert_non_null(asset);
        assert_true(asset->immutable);
        assert_true(asset->bytes.len > 1000);
        assert_true(asset->gzip.len > 20 && asset->gzip.len < asset->bytes.len);
        assert_memory_equal(asset->gzip.ptr, "\x1f\x8b\x08", 3);
        assert_true(str_starts(asset->etag, STR("W/\"")));
    }
}

static void
test_other_paths_are_not_found(void **state)
{
    const char *paths[] = {"",        "/",        "/index.htm",     "/index.html/", "/INDEX.HTML",
                           "/assets", "/assets/", "/../index.html", "index.html",   "/approvals"};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_null(console_asset_find(str_from(paths[i])));
}

static void
test_the_policy_allows_nothing_inline(void **state)
{
    struct str policy = STR(CONSOLE_CONTENT_SECURITY_POLICY);

    (void)state;
    assert_true(str_starts(policy, STR("default-src 'none';")));
    assert_false(contains(policy, "unsafe"));
    assert_false(contains(policy, "*"));
    assert_true(contains(policy, "frame-ancestors 'none'"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_is_found_and_has_nothing_inline),
        cmocka_unit_test(test_what_the_page_names_is_there_and_may_be_kept_for_ever),
        cmocka_unit_test(test_other_paths_are_not_found),
        cmocka_unit_test(test_the_policy_allows_nothing_inline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
