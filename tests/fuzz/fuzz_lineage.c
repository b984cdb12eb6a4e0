/* SQL text analysed in a small database: whatever the lineage says must be whole, and be turned
 * into masks. The same text with a damaged catalog must be refused or survive. */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/lineage_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1500 }; /* the parser recurses: this fits the program's stack under ASan */

static void
check_outputs(struct shield *shield, const struct sql_lineage *l, struct arena *arena)
{
    for (size_t i = 0; i < l->n_outputs; i++) {
        const struct sql_output *o = &l->outputs[i];

        if (o->hides && o->open)
            abort();
        for (size_t k = 0; k < o->n; k++) {
            struct mask_plan plan;

            if (sql_mask_plan(shield, &o->columns[k].hidden, o->columns[k].type, arena, &plan) ==
                    OK &&
                o->columns[k].hidden.how != SQL_HIDE_NOTHING && plan.shape == MASK_SHAPE_PASS)
                abort();
        }
    }
}

static void
analyze(struct shield *shield, struct str text, bool path_known)
{
    static const struct str path[] = {STR_INIT("pg_catalog"), STR_INIT("public")};
    const struct sql_context context = {
        .shield = shield, .path = {path, 2}, .path_known = path_known};
    struct arena *arena = arena_new((size_t)64 << 20);
    struct sql_facts facts;

    if (sql_analyze(text, &context, arena, &facts) == OK) {
        if (facts.lineage == NULL ||
            (facts.lineage->refusal.len == 0 && facts.lineage->n_outputs != facts.n_statements &&
             facts.statements[0].kind != SQL_EMPTY))
            abort();
        check_outputs(shield, facts.lineage, arena);
        sql_lineage_release(facts.lineage);
    }
    arena_free(arena);
}

/* The first byte says what is done, two more which byte of the block is damaged and how. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct buf block;
    struct shield *shield;
    struct str text;

    if (size < 4)
        return 0;
    if (block.len == 0)
        block = schema_block();
    text = (struct str){(const char *)data + 4, size - 4 > TEXT_MAX ? TEXT_MAX : size - 4};
    if ((data[0] & 2) != 0) {
        size_t at = (size_t)(data[1] | data[2] << 8) % block.len;
        char kept = block.ptr[at];

        block.ptr[at] = (char)data[3];
        if ((shield = schema_shield(&block)) != NULL)
            analyze(shield, text, true);
        shield_free(shield);
        block.ptr[at] = kept;
    }
    if ((shield = schema_shield(&block)) == NULL)
        abort();
    analyze(shield, text, (data[0] & 1) != 0);
    shield_free(shield);
    return 0;
}
