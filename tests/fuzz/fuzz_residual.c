/* The rules of a session, as they come from the keeper: decode, decide, describe, encode again. */
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct demand demands[] = {
    {CLASSES(READ), OBJECT_RELATION, STR_INIT("public"), STR_INIT("customers")},
    {CLASSES(READ), OBJECT_RELATION, STR_INIT(""), STR_INIT("orders")},
    {CLASSES(CODE) | CLASSES(UNKNOWN_FUNCTION), OBJECT_FUNCTION, STR_INIT("app"), STR_INIT("f")},
    {CLASSES(DDL), OBJECT_SCHEMA, STR_INIT(""), STR_INIT("public")},
    {CLASSES(SESSION) | CLASSES(TRANSACTION), OBJECT_NONE, STR_INIT(""), STR_INIT("")},
    {CLASSES(WRITE) | CLASSES(MASS_WRITE), OBJECT_RELATION, STR_INIT("a"), STR_INIT("b")},
};

static struct verdict
decide(const struct residual *r, const struct demand *items, size_t n, bool has_purpose)
{
    const struct command command = {.database = STR("sales"), .demands = items, .n_demands = n};
    const struct decision_context context = {1795435200000000, has_purpose};
    struct verdict v;

    residual_decide(r, &command, &context, &v);
    if ((v.kind == VERDICT_STEP_UP) != (v.n_steps > 0) || v.n_steps > VERDICT_STEPS_MAX ||
        (v.kind == VERDICT_DEFER && has_purpose))
        __builtin_trap();
    if (v.n_steps > 0 && !str_equal(v.rule, v.steps[0]->rule))
        __builtin_trap();
    return v;
}

/* A purpose lifts a DEFER and nothing else: what was denied for its demands stays denied, and who
 * was asked is asked. */
static void
decide_both(const struct residual *r, const struct demand *items, size_t n)
{
    struct verdict without = decide(r, items, n, false), with = decide(r, items, n, true);

    if (without.kind == VERDICT_STEP_UP && without.n_steps != with.n_steps)
        __builtin_trap();
    if (without.kind == VERDICT_DENY && (with.kind == VERDICT_ALLOW || with.kind == VERDICT_MODIFY))
        __builtin_trap();
    if (with.kind == VERDICT_ALLOW && !residual_allows_anything(r))
        __builtin_trap();
}

static void
decide_each(const struct residual *r)
{
    decide_both(r, demands, sizeof(demands) / sizeof(*demands));
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++)
        decide_both(r, &demands[i], 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct buf out = buf_make(RESIDUAL_BYTES_MAX);
    struct residual *r;

    if (residual_decode(bytes, &r) != OK)
        return 0;
    decide_each(r);
    residual_describe(r, 1795435200000000, &out);
    if (out.len > RESIDUAL_DESCRIPTION_MAX)
        __builtin_trap();
    buf_reset(&out);
    if (residual_encode(r, &out) != OK || !str_equal(buf_str(&out), bytes))
        __builtin_trap();
    buf_free(&out);
    residual_free(r);
    return 0;
}
