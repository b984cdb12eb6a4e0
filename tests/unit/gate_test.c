/* The gate: what it makes of verdicts and protected columns, what it records, and how long what
 * it lent stays valid when its rules are replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include "command/purpose.h"
#include "gate/gate_open.h"
#include "ipc/record.h"

/* In place of gate/ledger_link.c: frames stay here. */

static struct buf frames;
static bool ledger_is_gone;

struct buf *
ledger_link_frames(struct ledger_link *l)
{
    (void)l;
    return &frames;
}

enum err
ledger_link_flush(struct ledger_link *l)
{
    (void)l;
    return ledger_is_gone ? fail(ERR_UNAVAILABLE, "the ledger is gone") : OK;
}

void
ledger_link_flush_soon(struct ledger_link *l)
{
    (void)l;
}

/* The last frame; what was there is forgotten with the next call. */
static struct record
last_record(void)
{
    struct str rest = buf_str(&frames);
    struct record r = {0};
    size_t used;

    while (rest.len > 0) {
        assert_int_equal(record_read(rest, &r, &used), OK);
        rest = str_skip(rest, used);
    }
    return r;
}

static const struct policy_rule read_rules[] = {
    {.name = STR_INIT("read"), .classes = CLASSES(READ)},
    {.name = STR_INIT("no more"), .classes = CLASSES(WRITE), .verdict = VERDICT_DENY},
    {.name = STR_INIT("why"), .classes = CLASSES(DDL), .verdict = VERDICT_DEFER},
};

/* Rules that allow reading and protect `n` columns. */
static struct gate_rules
make_rules(size_t n, const char *hash)
{
    struct gate_rules rules = {.home = arena_new(1 << 16), .policy_hash = str_from(hash)};
    struct protection *protection = arena_alloc(rules.home, sizeof(*protection));
    struct policy_request nobody = {0};
    struct policy *policy;

    assert_int_equal(policy_compile(read_rules, 3, &policy), OK);
    assert_int_equal(policy_specialise(policy, &nobody, &rules.residual), OK);
    policy_free(policy);
    protection->protect = arena_array(rules.home, n + 1, sizeof(*protection->protect));
    protection->n_protect = n;
    rules.protection = protection;
    return rules;
}

static struct gate *
open_gate(size_t n)
{
    struct gate_rules rules = make_rules(n, "first");
    struct gate *g;

    buf_reset(&frames);
    ledger_is_gone = false;
    assert_int_equal(gate_open(&rules, NULL, &g), OK);
    return g;
}

static void
replace(struct gate *g, size_t n, const char *hash)
{
    struct gate_rules rules = make_rules(n, hash);

    assert_int_equal(gate_replace_rules(g, &rules), OK);
}

static const struct demand READ = {CLASSES(READ), OBJECT_RELATION, STR_INIT("a"), STR_INIT("t")};
static const struct demand WRITE = {CLASSES(WRITE), OBJECT_RELATION, STR_INIT("a"), STR_INIT("t")};

static void
assert_str(struct str s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

static void
test_masked_columns_make_an_allow_a_modify(void **state)
{
    struct gate *g = open_gate(1);
    struct command command = {.demands = &READ, .n_demands = 1, .masked = STR("a.t.c")};
    struct admission admission;
    struct verdict verdict;
    struct record r;

    (void)state;
    assert_int_equal(gate_decide(g, &command, &verdict), OK);
    assert_int_equal(verdict.kind, VERDICT_MODIFY);
    assert_int_equal(gate_admit(g, &command, &admission), OK);
    assert_int_equal(admission.verdict.kind, VERDICT_MODIFY);
    assert_true(gate_runs(&admission.verdict));
    assert_str(admission.verdict.rule, "read");
    r = last_record();
    assert_int_equal(r.intent.verdict, VERDICT_MODIFY);
    assert_str(r.intent.masked, "a.t.c");
    assert_int_equal(
        gate_outcome(
            g, admission.id,
            &(struct outcome){.limit = STR("rows_per_command"), .masked = 3, .detected = 4}),
        OK);
    r = last_record();
    assert_str(r.outcome.limit, "rows_per_command");
    assert_int_equal(r.outcome.masked, 3);
    assert_int_equal(r.outcome.detected, 4);
    assert_int_equal(gate_outcome(g, admission.id, &(struct outcome){0}), ERR_INVALID);
    gate_close(g);
}

static void
test_a_use_of_a_protected_column_is_refused_by_protect(void **state)
{
    struct gate *g = open_gate(1);
    struct command command = {.demands = &READ,
                              .n_demands = 1,
                              .masked = STR("a.t.d"),
                              .protected_use = STR("ssn may not be compared"),
                              .protected_column = STR("a.t.ssn")};
    struct admission admission;
    struct verdict verdict;
    struct record r;

    (void)state;
    assert_int_equal(gate_decide(g, &command, &verdict), OK);
    assert_int_equal(verdict.kind, VERDICT_DENY);
    assert_int_equal(gate_admit(g, &command, &admission), OK);
    assert_int_equal(admission.verdict.kind, VERDICT_DENY);
    assert_false(gate_runs(&admission.verdict));
    assert_str(admission.verdict.rule, "protect");
    assert_str(admission.verdict.message, "ssn may not be compared");
    r = last_record();
    assert_str(r.intent.rule, "protect");
    assert_str(r.intent.protected_column, "a.t.ssn");
    assert_str(r.intent.masked, "");
    gate_close(g);
}

static void
test_a_purpose_is_said_by_the_session_or_by_the_command(void **state)
{
    static const struct demand ddl = {CLASSES(DDL), OBJECT_RELATION, STR_INIT("a"), STR_INIT("t")};
    struct gate *g = open_gate(0);
    struct command command = {.demands = &ddl, .n_demands = 1};
    char long_text[PURPOSE_BYTES_MAX + 1];
    struct verdict verdict;

    (void)state;
    assert_int_equal(gate_decide(g, &command, &verdict), OK);
    assert_int_equal(verdict.kind, VERDICT_DEFER);
    assert_false(gate_runs(&verdict));
    command.purpose = STR("ticket 7");
    assert_int_equal(gate_decide(g, &command, &verdict), OK);
    assert_int_equal(verdict.kind, VERDICT_ALLOW);
    command.purpose = STR("");
    assert_int_equal(gate_set_purpose(g, STR("ticket 8")), OK);
    assert_str(gate_purpose(g, &command), "ticket 8");
    assert_int_equal(gate_decide(g, &command, &verdict), OK);
    assert_int_equal(verdict.kind, VERDICT_ALLOW);
    /* What is not fit changes nothing. */
    memset(long_text, 'x', sizeof(long_text));
    assert_int_equal(gate_set_purpose(g, (struct str){long_text, sizeof(long_text)}), ERR_INVALID);
    assert_int_equal(gate_set_purpose(g, STR("a\nb")), ERR_INVALID);
    assert_str(gate_purpose(g, NULL), "ticket 8");
    assert_int_equal(gate_set_purpose(g, gate_purpose(g, NULL)), OK);
    assert_str(gate_purpose(g, NULL), "ticket 8");
    assert_int_equal(gate_set_purpose(g, STR("")), OK);
    assert_int_equal(gate_decide(g, &command, &verdict), OK);
    assert_int_equal(verdict.kind, VERDICT_DEFER);
    gate_close(g);
}

static void
test_the_policys_own_refusal_comes_first(void **state)
{
    struct gate *g = open_gate(1);
    struct command command = {.demands = &WRITE,
                              .n_demands = 1,
                              .masked = STR("a.t.d"),
                              .protected_use = STR("no"),
                              .protected_column = STR("a.t.ssn")};
    struct admission admission;
    struct record r;

    (void)state;
    assert_int_equal(gate_admit(g, &command, &admission), OK);
    assert_str(admission.verdict.rule, "no more");
    r = last_record();
    assert_str(r.intent.protected_column, "");
    assert_str(r.intent.masked, "");
    gate_close(g);
}

static void
test_a_session_has_a_budget_of_rows(void **state)
{
    struct gate *g = open_gate(0);
    struct limits none = {0}, some = {.rows_per_session = 10};

    (void)state;
    assert_true(gate_rows_left(g, &none) == UINT64_MAX);
    assert_int_equal(gate_rows_left(g, &some), 10);
    gate_count_rows(g, 4);
    assert_int_equal(gate_rows_left(g, &some), 6);
    gate_count_rows(g, 7);
    assert_int_equal(gate_rows_left(g, &some), 0);
    gate_count_rows(g, UINT64_MAX);
    assert_int_equal(gate_rows_left(g, &some), 0);
    assert_true(gate_rows_left(g, &none) == UINT64_MAX);
    gate_close(g);
}

static void
test_without_protection_the_lists_are_empty(void **state)
{
    struct gate_rules rules = make_rules(0, "x");
    struct gate *g;

    (void)state;
    arena_free(rules.home);
    rules.home = NULL;
    rules.protection = NULL;
    assert_int_equal(gate_open(&rules, NULL, &g), OK);
    assert_int_equal(gate_protection(g)->n_protect, 0);
    assert_int_equal(gate_protection(g)->n_detect, 0);
    gate_close(g);
}

static void
test_replaced_rules_are_told_at_once_and_hold_from_the_next_command(void **state)
{
    struct gate *g = open_gate(1);
    struct command command = {.demands = &READ, .n_demands = 1};
    const struct protection *first = gate_protection(g);
    uint64_t edition = gate_edition(g);
    struct admission admission;

    (void)state;
    assert_int_equal(gate_admit(g, &command, &admission), OK);
    assert_str(last_record().intent.policy_hash, "first");
    assert_int_equal(gate_edition(g), edition);
    replace(g, 2, "second");
    assert_int_not_equal(gate_edition(g), edition);
    assert_int_equal(gate_protection(g)->n_protect, 2);
    assert_int_equal(first->n_protect, 1); /* its command is still in flight */
    assert_str(admission.verdict.rule, "read");
    assert_int_equal(gate_outcome(g, admission.id, &(struct outcome){0}), OK);
    assert_int_equal(gate_admit(g, &command, &admission), OK);
    assert_str(last_record().intent.policy_hash, "second");
    gate_close(g);
}

/* ASan sees a use of what was freed, and what was never freed. */
static void
test_a_protection_lives_as_long_as_it_is_used(void **state)
{
    struct gate *g = open_gate(1);
    struct command command = {.demands = &READ, .n_demands = 1};
    const struct protection *first = gate_protection(g), *second, *third;
    struct admission long_one, other;

    (void)state;
    assert_int_equal(gate_admit(g, &command, &long_one), OK);
    replace(g, 2, "second");
    second = gate_protection(g);
    replace(g, 3, "third");
    third = gate_protection(g);
    /* The second was never in force, but an analysis may have begun with it. */
    assert_int_equal(second->n_protect, 2);
    assert_int_equal(gate_admit(g, &command, &other), OK);
    assert_int_equal(gate_outcome(g, other.id, &(struct outcome){0}), OK);
    for (int i = 4; i < 10; i++) {
        replace(g, (size_t)i, "more");
        assert_int_equal(gate_admit(g, &command, &other), OK);
        assert_int_equal(first->n_protect, 1);
        if (i == 4)
            assert_int_equal(gate_outcome(g, other.id, &(struct outcome){0}), OK);
    }
    (void)third; /* freed */
    assert_int_equal(gate_outcome(g, long_one.id, &(struct outcome){0}), OK);
    assert_int_equal(gate_decide(g, &command, &other.verdict), OK);
    assert_int_equal(gate_protection(g)->n_protect, 9);
    gate_close(g);
}

static void
test_without_the_ledger_nothing_runs(void **state)
{
    struct gate *g = open_gate(0);
    struct command command = {.demands = &READ, .n_demands = 1};
    struct admission admission;

    (void)state;
    ledger_is_gone = true;
    assert_int_equal(gate_admit(g, &command, &admission), ERR_UNAVAILABLE);
    gate_end(g, GATE_REVOKED, STR("revoked"));
    ledger_is_gone = false;
    assert_int_equal(gate_admit(g, &command, &admission), ERR_UNAVAILABLE);
    assert_int_equal(gate_decide(g, &command, &admission.verdict), ERR_UNAVAILABLE);
    gate_close(g);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masked_columns_make_an_allow_a_modify),
        cmocka_unit_test(test_a_use_of_a_protected_column_is_refused_by_protect),
        cmocka_unit_test(test_a_purpose_is_said_by_the_session_or_by_the_command),
        cmocka_unit_test(test_the_policys_own_refusal_comes_first),
        cmocka_unit_test(test_a_session_has_a_budget_of_rows),
        cmocka_unit_test(test_without_protection_the_lists_are_empty),
        cmocka_unit_test(test_replaced_rules_are_told_at_once_and_hold_from_the_next_command),
        cmocka_unit_test(test_a_protection_lives_as_long_as_it_is_used),
        cmocka_unit_test(test_without_the_ledger_nothing_runs),
    };
    int failed;

    frames = buf_make(1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&frames);
    return failed;
}
