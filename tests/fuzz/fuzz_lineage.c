/* SQL, analysed in a small database; its first byte chooses the search path. What is found must
 * not hang on what was asked before, and every cell must have a mask. */
#include "../unit/lineage_schema.h"
#include "../unit/lineage_text.h"
#include "sql/facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1500 }; /* the parser recurses: this fits the program's stack under ASan */

static struct buf block;
static struct catalog catalog;
static struct shield *kept;

static void
set_up(void)
{
    block = ls_block();
    if (catalog_open(buf_str(&block), &catalog) != OK ||
        shield_make(&catalog, &ls_protection, NULL, NULL, &kept) != OK)
        abort();
}

static struct sql_path
path_of(uint8_t choice)
{
    static const struct str schemas[] = {STR_INIT("pg_temp_3"), STR_INIT("pg_catalog"),
                                         STR_INIT("public"), STR_INIT("crm"), STR_INIT("public")};
    size_t first = choice & 1U ? 0 : 1, n = choice & 2U ? 3 : 2;

    return (struct sql_path){schemas + first + (choice & 4U ? 1 : 0), n};
}

static void
check_masks(const struct sql_output *o, struct arena *arena)
{
    static const uint32_t types[] = {0, 25, 114, 3802, 1009, LS_RECORD, 16501, 20001, 20041, 20042};

    for (size_t i = 0; i < o->n; i++) {
        const struct sql_output_column *c = &o->columns[i];
        struct mask_plan plan;

        if (c->hidden.how != SQL_HIDE_NOTHING && (!o->hides || c->from.len == 0 || o->open))
            abort();
        if (sql_mask_plan(kept, &c->hidden, c->type, arena, &plan) != OK)
            abort();
        for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++)
            if (sql_mask_plan(kept, &c->hidden, types[k], arena, &plan) != OK ||
                (plan.shape == MASK_SHAPE_PASS) != (c->hidden.how == SQL_HIDE_NOTHING))
                abort();
    }
}

static void
check_lineage(const struct sql_facts *facts, struct arena *arena)
{
    const struct sql_lineage *l = facts->lineage;

    if (l->refusal.len == 0 && facts->statements[0].kind != SQL_EMPTY &&
        l->n_outputs != facts->n_statements)
        abort();
    if (l->refusal.len == 0 && (l->refused.len > 0 || l->sqlstate.len > 0 || l->unknown_name))
        abort();
    if (l->sqlstate.len != 0 && l->sqlstate.len != 5)
        abort();
    for (size_t i = 0; l->refusal.len == 0 && i < l->n_outputs; i++)
        check_masks(&l->outputs[i], arena);
}

/* The lineage in words, or nothing. */
static struct buf
analyse(struct shield *shield, struct str sql, uint8_t choice)
{
    struct sql_context context = {.shield = shield,
                                  .path = path_of(choice),
                                  .path_known = (choice & 8U) == 0,
                                  .path_uncommitted = (choice & 16U) != 0};
    struct arena *arena = arena_new((size_t)64 << 20);
    struct buf out = buf_make(1 << 20);
    struct sql_facts facts;

    if (sql_analyze(sql, &context, arena, &facts) == OK) {
        check_lineage(&facts, arena);
        put_lineage(&out, facts.lineage);
        sql_lineage_release(facts.lineage);
    }
    arena_free(arena);
    return out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf first, second;
    struct shield *fresh;
    struct str sql;

    if (kept == NULL)
        set_up();
    if (size < 2)
        return 0;
    sql = (struct str){(const char *)data + 1, size - 1 > TEXT_MAX ? TEXT_MAX : size - 1};
    if (shield_make(&catalog, &ls_protection, NULL, NULL, &fresh) != OK)
        abort();
    first = analyse(kept, sql, data[0]);
    second = analyse(fresh, sql, data[0]);
    if (!str_equal(buf_str(&first), buf_str(&second)))
        abort();
    buf_free(&first);
    buf_free(&second);
    shield_free(fresh);
    return 0;
}
