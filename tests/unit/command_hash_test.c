#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#include "command/hash.h"

static void
hash(const struct command *command, unsigned char out[static COMMAND_HASH_BYTES])
{
    assert_int_equal(command_hash(command, out), OK);
}

/* Computed from the description in the header, by other means. */
static void
test_the_form_is_the_one_that_is_described(void **state)
{
    static const unsigned char expected[COMMAND_HASH_BYTES] = {
        0x4c, 0xbf, 0x8f, 0x06, 0xdd, 0xb6, 0xcb, 0x49, 0xf0, 0x0e, 0x8e,
        0xed, 0x62, 0xac, 0xcd, 0xf7, 0x1e, 0x6e, 0x97, 0x3a, 0xda, 0xd7,
        0x01, 0x5f, 0xcb, 0xcd, 0x16, 0x19, 0xaa, 0xfa, 0x30, 0x3e};
    const struct bind_value binds[] = {{.type = 23, .bytes = STR_INIT("42")},
                                       {.is_null = true, .binary = true}};
    const struct command command = {.text = STR("delete from t where id = $1 and x = $2"),
                                    .database = STR("app"),
                                    .binds = binds,
                                    .n_binds = 2};
    unsigned char found[COMMAND_HASH_BYTES];

    (void)state;
    hash(&command, found);
    assert_memory_equal(found, expected, sizeof(found));
}

/* What an approval must not be carried over to. */
static void
test_whatever_differs_in_what_would_run_differs_in_the_hash(void **state)
{
    const struct bind_value one[] = {{.bytes = STR_INIT("1")}}, two[] = {{.bytes = STR_INIT("2")}},
                            binary[] = {{.binary = true, .bytes = STR_INIT("1")}},
                            typed[] = {{.type = 23, .bytes = STR_INIT("1")}},
                            null[] = {{.is_null = true}}, empty[] = {{.bytes = STR_INIT("")}},
                            pair[] = {{.bytes = STR_INIT("1")}, {.bytes = STR_INIT("")}};
    const struct command all[] = {
        {.text = STR_INIT("select 1"), .database = STR_INIT("app")},
        {.text = STR_INIT("select 1 "), .database = STR_INIT("app")},
        {.text = STR_INIT("SELECT 1"), .database = STR_INIT("app")},
        {.text = STR_INIT("select 1"), .database = STR_INIT("ap")},
        {.text = STR_INIT("pselect 1"),
         .database = STR_INIT("ap")}, /* bytes moved between fields */
        {.text = STR_INIT("select 1"), .database = STR_INIT("app"), .context = STR_INIT("role x")},
        {.text = STR_INIT("select 1"), .database = STR_INIT("app"), .binds = one, .n_binds = 1},
        {.text = STR_INIT("select 1"), .database = STR_INIT("app"), .binds = two, .n_binds = 1},
        {.text = STR_INIT("select 1"), .database = STR_INIT("app"), .binds = binary, .n_binds = 1},
        {.text = STR_INIT("select 1"), .database = STR_INIT("app"), .binds = typed, .n_binds = 1},
        {.text = STR_INIT("select 1"), .database = STR_INIT("app"), .binds = null, .n_binds = 1},
        {.text = STR_INIT("select 1"), .database = STR_INIT("app"), .binds = empty, .n_binds = 1},
        {.text = STR_INIT("select 1"), .database = STR_INIT("app"), .binds = pair, .n_binds = 2},
        {.text = STR_INIT(""), .database = STR_INIT("")},
    };
    enum { N = sizeof(all) / sizeof(all[0]) };
    unsigned char hashes[N][COMMAND_HASH_BYTES];

    (void)state;
    for (size_t i = 0; i < N; i++) {
        hash(&all[i], hashes[i]);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(hashes[i], hashes[j], COMMAND_HASH_BYTES);
    }
}

static void
test_what_we_found_out_about_a_command_is_not_part_of_it(void **state)
{
    const struct demand demand = {.classes = CLASSES(READ)};
    struct command command = {.text = STR("select 1"), .database = STR("app")};
    unsigned char before[COMMAND_HASH_BYTES], after[COMMAND_HASH_BYTES];

    (void)state;
    hash(&command, before);
    command.demands = &demand;
    command.n_demands = 1;
    command.masked = STR("public.t.c");
    hash(&command, after);
    assert_memory_equal(before, after, sizeof(before));
}

static void
test_a_command_that_is_known_in_part_cannot_be_bound(void **state)
{
    const struct bind_value cut[] = {{.bytes = STR_INIT("1"), .full_length = 2}};
    const struct bind_value unknown[] = {{.bytes = STR_INIT("1"), .full_length = UINT32_MAX}};
    struct command command = {.text = STR("select $1"), .binds = cut, .n_binds = 1};
    unsigned char out[COMMAND_HASH_BYTES];

    (void)state;
    assert_int_equal(command_hash(&command, out), ERR_LIMIT);
    command.binds = unknown;
    assert_int_equal(command_hash(&command, out), ERR_LIMIT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_form_is_the_one_that_is_described),
        cmocka_unit_test(test_whatever_differs_in_what_would_run_differs_in_the_hash),
        cmocka_unit_test(test_what_we_found_out_about_a_command_is_not_part_of_it),
        cmocka_unit_test(test_a_command_that_is_known_in_part_cannot_be_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
