/* docs/command-classes.md says what command/class.h says. Run with BULKHEAD_REWRITE_DOCS=1 to write
 * it anew. */
#include "base/buf.h"
#include "command/class.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define FILE_NAME BULKHEAD_SOURCE_ROOT "/docs/command-classes.md"

static void
write_rows(struct buf *out, int from, int to)
{
    buf_put_text(out, "| class | what it covers |\n|---|---|\n");
    for (int i = from; i < to; i++)
        buf_printf(out, "| `%s` | %s |\n", class_infos[i].name, class_infos[i].doc);
}

static void
write_document(struct buf *out)
{
    buf_put_text(
        out,
        "# Command classes\n\n"
        "What rules may allow and deny ([policy.md](policy.md)). This page is made from the table\n"
        "in `src/command/class.h`; do not edit it by hand.\n\n"
        "## Effects\n\n"
        "Everything that a command does to one object is exactly one of these. Allowing an effect\n"
        "allows every named class within it, unless another rule denies that class.\n\n");
    write_rows(out, 0, COMMAND_EFFECT_COUNT);
    buf_put_text(out,
                 "\n## Named classes\n\n"
                 "Narrower names. Something that a command does may be of several, or none.\n\n");
    write_rows(out, COMMAND_EFFECT_COUNT, COMMAND_CLASS_COUNT);
}

static void
read_file(struct buf *out)
{
    FILE *f = fopen(FILE_NAME, "r");
    char chunk[4096];
    size_t n;

    if (f == NULL)
        fail_msg("cannot read %s", FILE_NAME);
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        buf_put(out, chunk, n);
    fclose(f);
}

static void
rewrite_file(struct str text)
{
    FILE *f = fopen(FILE_NAME, "w");

    if (f == NULL || fwrite(text.ptr, 1, text.len, f) != text.len || fclose(f) != 0)
        fail_msg("cannot write %s", FILE_NAME);
}

static void
test_the_page_of_command_classes_is_made_from_the_table(void **state)
{
    struct buf expected = buf_make(1 << 20), found = buf_make(1 << 20);

    (void)state;
    write_document(&expected);
    assert_int_equal(buf_ok(&expected), OK);
    if (getenv("BULKHEAD_REWRITE_DOCS") != NULL)
        rewrite_file(buf_str(&expected));
    read_file(&found);
    if (!str_equal(buf_str(&expected), buf_str(&found)))
        fail_msg("%s is out of date: run this test with BULKHEAD_REWRITE_DOCS=1", FILE_NAME);
    buf_free(&expected);
    buf_free(&found);
}

static void
test_a_class_is_found_by_its_name_only(void **state)
{
    enum command_class found;

    (void)state;
    for (int i = 0; i < COMMAND_CLASS_COUNT; i++) {
        assert_int_equal(class_find(str_from(class_infos[i].name), &found), OK);
        assert_int_equal(found, i);
    }
    assert_int_equal(class_find(STR("READ"), &found), ERR_NOT_FOUND);
    assert_int_equal(class_find(STR(""), &found), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_of_command_classes_is_made_from_the_table),
        cmocka_unit_test(test_a_class_is_found_by_its_name_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
