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

static void
decide_each(const struct residual *r)
{
    const struct command all = {.database = STR("sales"),
                                .demands = demands,
                                .n_demands = sizeof(demands) / sizeof(*demands)};
    struct verdict v;

    residual_decide(r, &all, &(struct decision_context){.wall_us = 1795435200000000}, &v);
    for (size_t i = 0; i < sizeof(demands) / sizeof(demands[0]); i++) {
        struct command command = {.database = STR("sales"), .demands = &demands[i], .n_demands = 1};

        residual_decide(r, &command, &(struct decision_context){.wall_us = 1795435200000000}, &v);
        if (v.kind == VERDICT_ALLOW && !residual_allows_anything(r))
            __builtin_trap();
    }
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
