#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include <stdlib.h>

#include "base/arena.h"
#include "command/hash.h"
#include "ipc/record.h"

static const struct demand demands[] = {
    {CLASSES(WRITE) | CLASSES(UPDATE), OBJECT_RELATION, STR_INIT("public"), STR_INIT("orders")},
    {CLASSES(SESSION), OBJECT_NONE, STR_INIT(""), STR_INIT("")},
};
static const struct bind_value binds[] = {
    {.type = 23, .bytes = STR_INIT("42")},
    {.type = 25, .is_null = true},
    {.type = 17, .binary = true, .bytes = STR_INIT("\0\1\2")},
};
static const struct command command = {
    .text = STR_INIT("update orders set x = $1"),
    .database = STR_INIT("sales"),
    .demands = demands,
    .n_demands = 2,
    .binds = binds,
    .n_binds = 3,
    .context = STR_INIT("role r"),
};
static const struct record_intent intent = {
    .command = 7,
    .verdict = VERDICT_DENY,
    .rule = STR_INIT("never"),
    .message = STR_INIT("no"),
    .policy_hash = STR_INIT("abc"),
    .subject = &command,
    .decisive = 1,
    .masked = STR_INIT("public.t.c, public.t.d"),
    .protected_column = STR_INIT("public.t.e"),
    .purpose = STR_INIT("ticket 12"),
};

static struct buf
an_intent(void)
{
    struct buf out = buf_make(RECORD_FRAME_MAX);

    record_put_intent(&out, 1234567, &intent);
    assert_int_equal(buf_ok(&out), OK);
    return out;
}

static void
assert_str(struct str s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

static void
test_an_intent_is_read_back_as_it_was_put(void **state)
{
    struct buf out = an_intent();
    struct record r;
    struct record_demand demand;
    struct record_bind bind;
    size_t used;

    (void)state;
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    assert_int_equal(used, out.len);
    assert_int_equal(r.kind, RECORD_INTENT);
    assert_int_equal(r.wall_us, 1234567);
    assert_int_equal(r.intent.command, 7);
    assert_int_equal(r.intent.verdict, VERDICT_DENY);
    assert_int_equal(r.intent.decisive, 1);
    assert_str(r.intent.rule, "never");
    assert_str(r.intent.message, "no");
    assert_str(r.intent.policy_hash, "abc");
    assert_str(r.intent.text, "update orders set x = $1");
    assert_str(r.intent.database, "sales");
    assert_int_equal(r.intent.n_demands, 2);
    record_next_demand(&r, &demand);
    assert_true(demand.classes == demands[0].classes);
    assert_int_equal(demand.kind, OBJECT_RELATION);
    assert_str(demand.schema, "public");
    assert_str(demand.name, "orders");
    record_next_demand(&r, &demand);
    assert_int_equal(demand.kind, OBJECT_NONE);
    assert_int_equal(r.intent.n_binds, 3);
    record_next_bind(&r, &bind);
    assert_int_equal(bind.type, 23);
    assert_str(bind.bytes, "42");
    record_next_bind(&r, &bind);
    assert_true(bind.is_null);
    record_next_bind(&r, &bind);
    assert_true(bind.binary);
    assert_int_equal(bind.full_length, 3);
    assert_memory_equal(bind.bytes.ptr, "\0\1\2", 3);
    assert_str(r.intent.masked, "public.t.c, public.t.d");
    assert_str(r.intent.protected_column, "public.t.e");
    assert_str(r.intent.purpose, "ticket 12");
    assert_str(r.intent.context, "role r");
    buf_free(&out);
}

static void
test_the_command_of_a_frame_is_the_one_that_was_put(void **state)
{
    struct buf out = an_intent();
    struct arena *arena = arena_new(1 << 16);
    unsigned char put[COMMAND_HASH_BYTES], read[COMMAND_HASH_BYTES];
    struct record_demand demand;
    struct command back;
    struct record r;
    size_t used;

    (void)state;
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    record_next_demand(&r, &demand); /* however far it was read */
    assert_int_equal(record_command(&r, arena, &back), OK);
    assert_int_equal(back.n_demands, 2);
    assert_str(back.demands[0].name, "orders");
    assert_int_equal(back.n_binds, 3);
    assert_str(back.binds[0].bytes, "42");
    assert_true(back.binds[1].is_null);
    assert_int_equal(command_hash(&command, put), OK);
    assert_int_equal(command_hash(&back, read), OK);
    assert_memory_equal(put, read, sizeof(put));
    back.context = STR("role s");
    assert_int_equal(command_hash(&back, read), OK);
    assert_memory_not_equal(put, read, sizeof(put));
    arena_free(arena);
    buf_free(&out);
}

static void
test_the_command_of_a_frame_that_was_cut_has_no_hash(void **state)
{
    static char large[RECORD_BINDS_SHOWN_MAX + 1];
    struct bind_value bind = {.bytes = {large, sizeof(large)}};
    struct command whole = {.text = STR("select $1"), .binds = &bind, .n_binds = 1};
    struct record_intent of = {.subject = &whole, .decisive = -1};
    struct buf out = buf_make(RECORD_FRAME_MAX);
    struct arena *arena = arena_new(1 << 16);
    unsigned char hash[COMMAND_HASH_BYTES];
    struct command back;
    struct record r;
    size_t used;

    (void)state;
    record_put_intent(&out, 1, &of);
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    assert_int_equal(record_command(&r, arena, &back), OK);
    assert_int_equal(command_hash(&back, hash), ERR_LIMIT);
    arena_free(arena);
    buf_free(&out);
}

static void
test_decisions_are_read_back(void **state)
{
    struct record_decision decision = {.command = 8,
                                       .decision = RECORD_POLICY_CHANGED,
                                       .request = STR_INIT("req"),
                                       .by = STR_INIT("alice"),
                                       .text = STR_INIT("why"),
                                       .waited_us = 77};
    struct buf out = buf_make(4096);
    struct record r;
    size_t used;

    (void)state;
    record_put_decision(&out, 5, &decision);
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    assert_int_equal(r.kind, RECORD_DECISION);
    assert_int_equal(r.decision.command, 8);
    assert_int_equal(r.decision.decision, RECORD_POLICY_CHANGED);
    assert_string_equal(record_decision_name(r.decision.decision), "policy_changed");
    assert_str(r.decision.request, "req");
    assert_str(r.decision.by, "alice");
    assert_str(r.decision.text, "why");
    assert_int_equal(r.decision.waited_us, 77);
    for (size_t n = 0; n < out.len; n++)
        assert_int_equal(record_read((struct str){out.ptr, n}, &r, &used), ERR_TRUNCATED);
    out.ptr[4 + 2 + 8 + 8] = RECORD_DECISION_KIND_COUNT;
    assert_int_equal(record_read(buf_str(&out), &r, &used), ERR_PROTOCOL);
    out.ptr[4 + 2 + 8 + 8] = 0;
    out.ptr[4] = 2; /* which knew of none */
    assert_int_equal(record_read(buf_str(&out), &r, &used), ERR_PROTOCOL);
    buf_free(&out);
}

static void
test_frames_of_the_second_version_are_read(void **state)
{
    struct record_intent old_intent = intent;
    struct command old_command = command;
    struct buf out = buf_make(RECORD_FRAME_MAX);
    struct record r;
    size_t used;

    (void)state;
    old_command.context = old_intent.purpose = STR("");
    old_intent.subject = &old_command;
    record_put_intent(&out, 1, &old_intent);
    buf_set_u32(&out, 0, (uint32_t)(out.len - 4 - 2 * 4));
    out.ptr[4] = 2;
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    assert_str(r.intent.masked, "public.t.c, public.t.d");
    assert_int_equal(r.intent.purpose.len + r.intent.context.len, 0);
    buf_free(&out);
}

static void
test_outcomes_and_notes_are_read_back(void **state)
{
    struct record_outcome outcome = {
        9, 10, 11, 12, STR_INIT("42P01"), true, STR_INIT("rows_per_command"), 13, 14};
    struct record_note note = {STR_INIT("cancel"), STR_INIT("text"), 5, 6};
    struct buf out = buf_make(4096);
    struct record r;
    size_t used;

    (void)state;
    record_put_outcome(&out, -1, &outcome);
    record_put_note(&out, 2, RECORD_CLOSED, &note);
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    assert_int_equal(r.kind, RECORD_OUTCOME);
    assert_int_equal(r.wall_us, -1);
    assert_int_equal(r.outcome.command, 9);
    assert_int_equal(r.outcome.rows, 10);
    assert_int_equal(r.outcome.bytes, 11);
    assert_int_equal(r.outcome.duration_us, 12);
    assert_true(r.outcome.unknown);
    assert_str(r.outcome.error, "42P01");
    assert_str(r.outcome.limit, "rows_per_command");
    assert_int_equal(r.outcome.masked, 13);
    assert_int_equal(r.outcome.detected, 14);
    assert_int_equal(record_read(str_skip(buf_str(&out), used), &r, &used), OK);
    assert_int_equal(r.kind, RECORD_CLOSED);
    assert_str(r.note.event, "cancel");
    assert_str(r.note.text, "text");
    assert_int_equal(r.note.bytes_in, 5);
    assert_int_equal(r.note.bytes_out, 6);
    buf_free(&out);
}

/* What a gateway of an earlier version left in its spools: frames without the last fields. */
static void
test_frames_of_the_first_version_are_read(void **state)
{
    struct record_intent old_intent = intent;
    struct record_outcome outcome = {.command = 9, .rows = 10, .error = STR_INIT("42P01")};
    struct command old_command = command;
    struct buf out = buf_make(RECORD_FRAME_MAX);
    struct record r;
    size_t used, added = 4 * 4;

    (void)state;
    old_command.context = old_intent.purpose = STR("");
    old_intent.subject = &old_command;
    old_intent.masked = old_intent.protected_column = (struct str){"", 0};
    record_put_intent(&out, 1, &old_intent);
    buf_set_u32(&out, 0, (uint32_t)(out.len - 4 - added));
    out.ptr[4] = 1;
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    assert_int_equal(used, out.len - added);
    assert_str(r.intent.rule, "never");
    assert_int_equal(r.intent.n_binds, 3);
    assert_int_equal(r.intent.masked.len + r.intent.protected_column.len, 0);
    buf_reset(&out);
    record_put_outcome(&out, 1, &outcome);
    added = 4 + 8 + 8;
    buf_set_u32(&out, 0, (uint32_t)(out.len - 4 - added));
    out.ptr[4] = 1;
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    assert_str(r.outcome.error, "42P01");
    assert_int_equal(r.outcome.limit.len, 0);
    assert_int_equal(r.outcome.masked + r.outcome.detected, 0);
    for (unsigned version = 0; version < 256; version++) { /* later ones have more fields */
        out.ptr[4] = (char)version;
        assert_int_equal(record_read(buf_str(&out), &r, &used), version == 1 ? OK : ERR_PROTOCOL);
    }
    buf_free(&out);
}

/* Every prefix, in memory of just its size so that a read beyond it is seen. */
static void
test_a_frame_cut_at_any_byte_is_truncated_not_wrong(void **state)
{
    struct buf out = an_intent();

    (void)state;
    for (size_t n = 0; n < out.len; n++) {
        char *copy = malloc(n == 0 ? 1 : n);
        struct record r;
        size_t used;

        memcpy(copy, out.ptr, n);
        assert_int_equal(record_read((struct str){copy, n}, &r, &used), ERR_TRUNCATED);
        free(copy);
    }
    buf_free(&out);
}

/* The length says less than the fields need, or more. */
static void
test_a_frame_whose_length_lies_is_refused(void **state)
{
    struct buf out = an_intent();
    struct record r;
    size_t used;

    (void)state;
    for (uint32_t n = 0; n < (uint32_t)out.len - 4; n++) {
        buf_set_u32(&out, 0, n);
        assert_int_equal(record_read(buf_str(&out), &r, &used), ERR_PROTOCOL);
    }
    buf_set_u32(&out, 0, (uint32_t)out.len - 4 + 1);
    buf_put_u8(&out, 0);
    assert_int_equal(record_read(buf_str(&out), &r, &used), ERR_PROTOCOL);
    buf_set_u32(&out, 0, RECORD_FRAME_MAX - 3);
    assert_int_equal(record_read(buf_str(&out), &r, &used), ERR_PROTOCOL);
    buf_set_u32(&out, 0, UINT32_MAX);
    assert_int_equal(record_read(buf_str(&out), &r, &used), ERR_PROTOCOL);
    buf_free(&out);
}

/* Each four bytes in turn become a huge number: some are lengths and counts, some are not. */
static void
test_hostile_numbers_anywhere_never_read_out_of_bounds(void **state)
{
    static const uint32_t hostile[] = {UINT32_MAX, 0x7fffffff, 0x00ffffff, 65536, 1025};
    struct buf out = an_intent();

    (void)state;
    for (size_t at = 4; at + 4 <= out.len; at++)
        for (size_t k = 0; k < sizeof(hostile) / sizeof(hostile[0]); k++) {
            char *copy = malloc(out.len);
            struct buf changed = {copy, out.len, out.len, out.len, false};
            struct record r;
            size_t used;
            enum err e;

            memcpy(copy, out.ptr, out.len);
            buf_set_u32(&changed, at, hostile[k]);
            e = record_read(buf_str(&changed), &r, &used);
            assert_true(e == OK || e == ERR_PROTOCOL);
            free(copy);
        }
    buf_free(&out);
}

static void
test_unsound_demands_and_kinds_are_refused(void **state)
{
    static const class_set bad[] = {0, CLASSES(READ) | CLASSES(WRITE), CLASSES(INSERT),
                                    CLASSES(READ) | (class_set)1 << 63};
    struct record r;
    size_t used;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct demand demand = {bad[i], OBJECT_NONE, STR_INIT(""), STR_INIT("")};
        struct command c = {.demands = &demand, .n_demands = 1};
        struct record_intent in = {.subject = &c, .decisive = -1};
        struct buf out = buf_make(4096);

        record_put_intent(&out, 0, &in);
        assert_int_equal(record_read(buf_str(&out), &r, &used), ERR_PROTOCOL);
        buf_free(&out);
    }
    for (unsigned kind = 0; kind < 256; kind++) {
        struct record_note note = {STR_INIT(""), STR_INIT(""), 0, 0};
        struct buf out = buf_make(4096);
        bool fine = kind == RECORD_REFUSED || kind == RECORD_EVENT || kind == RECORD_CLOSED;

        record_put_note(&out, 0, (enum record_kind)kind, &note);
        assert_int_equal(record_read(buf_str(&out), &r, &used), fine ? OK : ERR_PROTOCOL);
        buf_free(&out);
    }
}

static void
test_long_bind_values_are_cut_and_their_length_is_kept(void **state)
{
    size_t n = RECORD_BINDS_SHOWN_MAX / 2 + 10;
    char *bytes = calloc(1, n);
    struct bind_value long_binds[] = {
        {.bytes = {bytes, n}}, {.bytes = {bytes, n}}, {.bytes = {bytes, n}}};
    struct command c = {.binds = long_binds, .n_binds = 3};
    struct record_intent in = {.subject = &c, .decisive = -1};
    struct buf out = buf_make(RECORD_FRAME_MAX);
    struct record_bind bind;
    struct record r;
    size_t used;

    (void)state;
    record_put_intent(&out, 0, &in);
    assert_int_equal(record_read(buf_str(&out), &r, &used), OK);
    record_next_bind(&r, &bind);
    assert_int_equal(bind.bytes.len, n);
    record_next_bind(&r, &bind);
    assert_int_equal(bind.bytes.len, n - 20);
    assert_int_equal(bind.full_length, n);
    record_next_bind(&r, &bind);
    assert_int_equal(bind.bytes.len, 0);
    assert_int_equal(bind.full_length, n);
    buf_free(&out);
    free(bytes);
}

static void
test_a_frame_beyond_the_maximum_is_not_put(void **state)
{
    char *bytes = calloc(1, RECORD_FRAME_MAX);
    struct command c = {.text = {bytes, RECORD_FRAME_MAX}};
    struct record_intent in = {.subject = &c, .decisive = -1};
    struct record_note note = {STR_INIT("event"), STR_INIT("text"), 0, 0};
    struct buf out = buf_make((size_t)4 * RECORD_FRAME_MAX);
    size_t before;

    (void)state;
    record_put_note(&out, 0, RECORD_EVENT, &note);
    before = out.len;
    record_put_intent(&out, 0, &in);
    assert_int_equal(out.len, before);
    assert_int_not_equal(buf_ok(&out), OK);
    buf_free(&out);
    free(bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_intent_is_read_back_as_it_was_put),
        cmocka_unit_test(test_the_command_of_a_frame_is_the_one_that_was_put),
        cmocka_unit_test(test_the_command_of_a_frame_that_was_cut_has_no_hash),
        cmocka_unit_test(test_outcomes_and_notes_are_read_back),
        cmocka_unit_test(test_decisions_are_read_back),
        cmocka_unit_test(test_frames_of_the_second_version_are_read),
        cmocka_unit_test(test_frames_of_the_first_version_are_read),
        cmocka_unit_test(test_a_frame_cut_at_any_byte_is_truncated_not_wrong),
        cmocka_unit_test(test_a_frame_whose_length_lies_is_refused),
        cmocka_unit_test(test_hostile_numbers_anywhere_never_read_out_of_bounds),
        cmocka_unit_test(test_unsound_demands_and_kinds_are_refused),
        cmocka_unit_test(test_long_bind_values_are_cut_and_their_length_is_kept),
        cmocka_unit_test(test_a_frame_beyond_the_maximum_is_not_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
