/* From what is hidden of a cell to how it is masked, once its type is known. */
#include "sql/shield.h"

enum { DEPTH_MAX = 16, TYPE_RECORD = 2249 };

static const struct mask_rule null_rule = {.kind = MASK_NULL};

struct planning {
    const struct catalog *catalog;
    struct arena *arena;
    int depth;
};

static enum err plan(struct planning *p, const struct sql_hidden *hidden, uint32_t type,
                     struct mask_plan *out);

static uint32_t
base_type(const struct catalog *c, uint32_t type, const struct catalog_type **found)
{
    *found = catalog_type_of(c, type);
    for (int i = 0; i < DEPTH_MAX && *found != NULL && (*found)->base != 0; i++) {
        type = (*found)->base;
        *found = catalog_type_of(c, type);
    }
    return type;
}

/* Each field of a composite value that is hidden as a whole. */
static enum err
plan_fields(struct planning *p, const struct sql_hidden *hidden, const struct catalog_relation *r,
            const struct sql_hidden *each, struct mask_plan *out)
{
    struct mask_plan *fields = arena_array(p->arena, (size_t)r->n_attributes + 1, sizeof(*fields));
    enum err e;

    if (fields == NULL)
        return fail(ERR_NOMEM, "no memory for a mask");
    out->shape = MASK_SHAPE_ROW;
    out->fields = fields;
    out->n_fields = r->n_attributes;
    for (uint32_t i = 0; i < r->n_attributes; i++)
        if ((e = plan(p, each != NULL ? &each[i] : hidden,
                      p->catalog->attributes[r->first_attribute + i].type, &fields[i])) != OK)
            return e;
    return OK;
}

static enum err
plan_elements(struct planning *p, const struct sql_hidden *hidden, const struct catalog_type *array,
              struct mask_plan *out)
{
    struct mask_plan *element = arena_alloc(p->arena, sizeof(*element));
    const struct catalog_type *type = catalog_type_of(p->catalog, array->element);

    if (element == NULL)
        return fail(ERR_NOMEM, "no memory for a mask");
    out->shape = MASK_SHAPE_ARRAY;
    out->element = element;
    out->delimiter = type != NULL ? (char)type->delimiter : ',';
    return plan(p, hidden, array->element, element);
}

static enum err
plan_all(struct planning *p, const struct sql_hidden *hidden, uint32_t type, struct mask_plan *out)
{
    const struct catalog_relation *r = NULL;
    const struct catalog_type *t;

    type = base_type(p->catalog, type, &t);
    *out = (struct mask_plan){.shape = MASK_SHAPE_VALUE, .type = type, .rule = hidden->rule};
    if (t != NULL && t->element != 0)
        return plan_elements(p, hidden, t, out);
    if (t != NULL && t->relation != 0)
        r = catalog_relation_of(p->catalog, t->relation);
    if (r != NULL)
        return plan_fields(p, hidden, r, NULL, out);
    return OK;
}

static enum err
plan(struct planning *p, const struct sql_hidden *hidden, uint32_t type, struct mask_plan *out)
{
    const struct catalog_relation *r = NULL;
    const struct catalog_type *t;
    enum err e = OK;

    if (++p->depth > DEPTH_MAX)
        return fail(ERR_LIMIT, "a masked value is nested too deeply");
    switch (hidden->how) {
    case SQL_HIDE_NOTHING:
        *out = (struct mask_plan){.shape = MASK_SHAPE_PASS, .type = type};
        break;
    case SQL_HIDE_ALL:
        e = plan_all(p, hidden, type, out);
        break;
    case SQL_HIDE_JSON:
        type = base_type(p->catalog, type, &t);
        *out = (struct mask_plan){
            .shape = MASK_SHAPE_JSON, .type = type, .paths = hidden->paths, .n_paths = hidden->n};
        break;
    case SQL_HIDE_FIELDS:
        t = catalog_type_of(p->catalog, type);
        if (t != NULL && t->relation != 0)
            r = catalog_relation_of(p->catalog, t->relation);
        *out = (struct mask_plan){.shape = MASK_SHAPE_VALUE, .rule = &null_rule};
        if (r != NULL && r->n_attributes == hidden->n)
            e = plan_fields(p, hidden, r, hidden->fields, out);
        break;
    }
    p->depth--;
    return e;
}

enum err
sql_mask_plan(const struct shield *s, const struct sql_hidden *hidden, uint32_t type,
              struct arena *arena, struct mask_plan *out)
{
    struct planning p = {&s->catalog, arena, 0};

    return plan(&p, hidden, type, out);
}
