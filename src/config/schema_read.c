/* Reading a tree by the tables: validates and fills in one go. */
#include "config/schema.h"

#include <inttypes.h>
#include <stdio.h>

static void read_object(struct schema_reader *r, const struct schema_object *o,
                        const struct node *n, void *base);

void
schema_refuse(struct schema_reader *r, const struct schema_field *f, const struct node *n,
              const char *hint)
{
    const char *found = n->kind == NODE_LIST      ? "a list"
                        : n->kind == NODE_MAPPING ? "a mapping"
                        : n->value.len == 0       ? "empty"
                                                  : problem_quote(r->problems, n->value);

    problem_error(r->problems, n->mark, hint, "%s must be %s, not %s", r->label, f->type->expects,
                  found);
}

static void
append_quantity(char *out, size_t size, const struct schema_type *type, uint64_t value)
{
    static const struct {
        uint64_t factor;
        const char *name;
    } times[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}},
      sizes[] = {
          {1ULL << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}, {1, "B"}};
    size_t i = 0;

    if (type == &type_duration) {
        while (times[i].factor > 1 && (value < times[i].factor || value % times[i].factor != 0))
            i++;
        snprintf(out, size, "%" PRIu64 "%s", value / times[i].factor, times[i].name);
    } else if (type == &type_size) {
        while (sizes[i].factor > 1 && (value < sizes[i].factor || value % sizes[i].factor != 0))
            i++;
        snprintf(out, size, "%" PRIu64 "%s", value / sizes[i].factor, sizes[i].name);
    } else {
        snprintf(out, size, "%" PRIu64, value);
    }
}

const char *
schema_range(const struct schema_field *f, char out[SCHEMA_RANGE_BYTES])
{
    char min[24], max[24];

    if (f->max == 0)
        return NULL;
    append_quantity(min, sizeof(min), f->type, f->min);
    append_quantity(max, sizeof(max), f->type, f->max);
    snprintf(out, SCHEMA_RANGE_BYTES, "from %s to %s", min, max);
    return out;
}

static void *
new_elements(struct schema_reader *r, const struct schema_field *f, size_t n, void *base)
{
    void *elements = arena_array(r->problems->arena, n, f->element_bytes);

    if (elements == NULL) {
        r->problems->out_of_memory = true;
        return NULL;
    }
    *(void **)((char *)base + f->offset) = elements;
    *(size_t *)((char *)base + f->count_offset) = n;
    return elements;
}

static bool
has_enough(struct schema_reader *r, const struct schema_field *f, const struct node *n,
           size_t count)
{
    if (count >= f->min)
        return true;
    problem_error(r->problems, n->mark, "name at least one", "%s is empty", r->label);
    return false;
}

/* A list; or one value where a list of scalars is expected. */
static const struct node *
list_of(struct schema_reader *r, const struct schema_field *f, const struct node *n)
{
    enum schema_shape shape = f->item->type->shape;

    if (n->kind == NODE_LIST ||
        (n->kind == NODE_SCALAR && (shape == SHAPE_SCALAR || shape == SHAPE_VARIANT)))
        return n;
    schema_refuse(r, f, n, NULL);
    return NULL;
}

static void
read_list(struct schema_reader *r, const struct schema_field *f, const struct node *n, void *base)
{
    size_t count = n->kind == NODE_LIST ? n->n : 1;
    char *element;

    if (list_of(r, f, n) == NULL || !has_enough(r, f, n, count) || count == 0 ||
        (element = new_elements(r, f, count, base)) == NULL)
        return;
    for (const struct node *item = NULL; (item = node_next(n, item)) != NULL;) {
        schema_read_field(r, f->item, item, element);
        element += f->element_bytes;
    }
}

/* "all" stands after the last class, and says that anything matches: no bit at all. */
static uint64_t
read_all(struct schema_reader *r, const struct schema_field *f, const struct node *n, uint64_t set)
{
    uint64_t all = (uint64_t)1 << COMMAND_CLASS_COUNT;

    if (f->item->type != &type_class || (set & all) == 0)
        return set;
    if (set != all)
        problem_error(r->problems, n->mark, "leave out either 'all' or the others",
                      "'all' stands beside other command classes");
    return 0;
}

static void
read_set(struct schema_reader *r, const struct schema_field *f, const struct node *n, void *base)
{
    uint64_t set = 0;

    if (list_of(r, f, n) == NULL || !has_enough(r, f, n, n->kind == NODE_LIST ? n->n : 1))
        return;
    for (const struct node *item = NULL; (item = node_next(n, item)) != NULL;)
        schema_read_field(r, f->item, item, &set);
    set = read_all(r, f, n, set);
    if (f->size == sizeof(unsigned))
        *(unsigned *)((char *)base + f->offset) = (unsigned)set;
    else
        *(uint64_t *)((char *)base + f->offset) = set;
}

static void
read_mapping(struct schema_reader *r, const struct schema_field *f, const struct node *n,
             void *base)
{
    const char *label = r->label;
    char *element;

    if (n->kind != NODE_MAPPING) {
        schema_refuse(r, f, n, NULL);
        return;
    }
    if (!has_enough(r, f, n, n->n) || n->n == 0 ||
        (element = new_elements(r, f, n->n, base)) == NULL)
        return;
    for (const struct node *child = n->first; child != NULL; child = child->next) {
        const struct node key = {
            .kind = NODE_SCALAR, .quoted = true, .value = child->key, .mark = child->key_mark};

        r->label = problem_format(r->problems, "a key of %s", label);
        schema_read_field(r, f->key, &key, element);
        r->label = problem_quote(r->problems, child->key);
        schema_read_field(r, f->item, child, element);
        element += f->element_bytes;
    }
    r->label = label;
}

static void
read_either(struct schema_reader *r, const struct schema_field *f, const struct node *n, void *base)
{
    if (n->kind == NODE_SCALAR)
        schema_refuse(r, f, n, NULL);
    else
        schema_read_field(r, n->kind == NODE_MAPPING ? f->mapping : f->list, n, base);
}

static void
read_scalar(struct schema_reader *r, const struct schema_field *f, const struct node *n, void *to)
{
    const char *hint = NULL;

    if (n->kind == NODE_SCALAR || (n->kind == NODE_MAPPING && f->type->shape == SHAPE_SECRET)) {
        f->type->read(r, f, n, to);
        return;
    }
    if (n->kind == NODE_LIST && (f->type == &type_address || f->type == &type_listen))
        hint = "put an IPv6 address in quotes: \"[::1]:5432\"";
    schema_refuse(r, f, n, hint);
}

static void
read_variant(struct schema_reader *r, const struct schema_field *f, const struct node *n, void *to)
{
    if (n->kind == NODE_LIST)
        schema_refuse(r, f, n, NULL);
    else if (n->kind == NODE_MAPPING)
        read_object(r, f->object, n, to);
    else
        f->type->read(r, f, n, to);
}

static void
read_value(struct schema_reader *r, const struct schema_field *f, const struct node *n, void *base)
{
    switch (f->type->shape) {
    case SHAPE_SCALAR:
    case SHAPE_SECRET:
        read_scalar(r, f, n, (char *)base + f->offset);
        break;
    case SHAPE_VARIANT:
        read_variant(r, f, n, (char *)base + f->offset);
        break;
    case SHAPE_OBJECT:
        if (n->kind != NODE_MAPPING)
            schema_refuse(r, f, n, NULL);
        else
            read_object(r, f->object, n, (char *)base + f->offset);
        break;
    case SHAPE_LIST:
        read_list(r, f, n, base);
        break;
    case SHAPE_SET:
        read_set(r, f, n, base);
        break;
    case SHAPE_MAPPING:
        read_mapping(r, f, n, base);
        break;
    case SHAPE_EITHER:
        read_either(r, f, n, base);
        break;
    }
}

/* The default, as if it stood in the file. */
static void
read_fallback(struct schema_reader *r, const struct schema_field *f, void *base)
{
    struct node items[16], list = {.kind = NODE_LIST, .value = STR("")};
    struct str item, rest = str_from(f->fallback);

    if (f->type->shape != SHAPE_LIST) {
        list = (struct node){.kind = NODE_SCALAR, .value = rest};
        read_value(r, f, &list, base);
        return;
    }
    do {
        rest = str_trim(str_cut(rest, ',', &item));
        items[list.n] = (struct node){.kind = NODE_SCALAR, .value = item};
        *(list.n == 0 ? &list.first : &list.last->next) = &items[list.n];
        list.last = &items[list.n++];
    } while (rest.len > 0 && list.n < sizeof(items) / sizeof(items[0]));
    read_value(r, f, &list, base);
}

void
schema_read_field(struct schema_reader *r, const struct schema_field *f, const struct node *n,
                  void *base)
{
    if (n != NULL)
        read_value(r, f, n, base);
    else if (f->fallback != NULL)
        read_fallback(r, f, base);
    else if (f->type->shape == SHAPE_OBJECT)
        read_object(r, f->object, NULL, (char *)base + f->offset);
}

static const struct schema_field *
find_field(const struct schema_object *o, struct str name)
{
    for (const struct schema_field *f = o->fields; f->name != NULL; f++)
        if (str_is(name, f->name))
            return f;
    return NULL;
}

static void
refuse_unknown(struct schema_reader *r, const struct schema_object *o, const struct node *n)
{
    enum { WORDS_MAX = 48 };
    const char *names[WORDS_MAX + 1];
    struct buf known = buf_make(PROBLEM_TEXT_MAX);
    const char *hint;
    size_t count = 0;

    for (const struct schema_field *f = o->fields; f->name != NULL && count < WORDS_MAX; f++) {
        buf_printf(&known, "%s%s", count == 0 ? "" : ", ", f->name);
        names[count++] = f->name;
    }
    names[count] = NULL;
    if ((hint = problem_did_you_mean(r->problems, n->key, names)) == NULL)
        hint = problem_format(r->problems, "known keys: %.*s", STR_ARG(buf_str(&known)));
    buf_free(&known);
    problem_error(r->problems, n->key_mark, hint, "unknown key %s in %s",
                  problem_quote(r->problems, n->key), o->title);
}

static bool
has_one(const struct node *n, const char *const *keys)
{
    for (; *keys != NULL; keys++)
        if (node_get(n, *keys) != NULL)
            return true;
    return false;
}

static void
put_choices(struct buf *out, const char *const *keys)
{
    for (const char *const *key = keys; *key != NULL; key++)
        buf_printf(out, "%s'%s'", key == keys ? "" : key[1] == NULL ? " or " : ", ", *key);
}

static void
check_needs(struct schema_reader *r, const struct schema_object *o, const struct node *n)
{
    for (const struct schema_need *need = o->needs; need != NULL && need->key != NULL; need++) {
        struct buf choices = buf_make(PROBLEM_TEXT_MAX);

        put_choices(&choices, need->needs);
        if (node_get(n, need->key) != NULL && !has_one(n, need->needs))
            problem_error(r->problems, node_get(n, need->key)->key_mark, NULL,
                          "'%s' needs %.*s beside it", need->key, STR_ARG(buf_str(&choices)));
        buf_free(&choices);
    }
}

/* What the keys of an object demand of each other. */
static void
check_keys(struct schema_reader *r, const struct schema_object *o, const struct node *n)
{
    struct buf choices = buf_make(PROBLEM_TEXT_MAX);
    unsigned found = 0;

    if (o->not_empty != NULL && n->n == 0)
        problem_error(r->problems, n->mark,
                      problem_format(r->problems, "name at least one %s", o->not_empty),
                      "%s is empty", r->label);
    for (const char *const *key = o->exactly_one; key != NULL && *key != NULL; key++)
        found += node_get(n, *key) != NULL;
    if (o->exactly_one != NULL)
        put_choices(&choices, o->exactly_one);
    if (o->exactly_one != NULL && found != 1)
        problem_error(r->problems, n->mark, NULL, "%s needs %s %.*s", o->title,
                      found == 0 ? "one of" : "only one of", STR_ARG(buf_str(&choices)));
    buf_free(&choices);
    check_needs(r, o, n);
}

static const char *
example(struct schema_reader *r, const struct schema_field *f)
{
    return f->example == NULL
               ? NULL
               : problem_format(r->problems, "for example \"%s: %s\"", f->name, f->example);
}

static void
read_object(struct schema_reader *r, const struct schema_object *o, const struct node *n,
            void *base)
{
    const char *label = r->label;

    for (const struct node *child = n == NULL ? NULL : n->first; child != NULL; child = child->next)
        if (find_field(o, child->key) == NULL)
            refuse_unknown(r, o, child);
    if (n != NULL)
        check_keys(r, o, n);
    for (const struct schema_field *f = o->fields; f->name != NULL; f++) {
        const struct node *child = node_get(n, f->name);

        if (child != NULL)
            r->label = problem_format(r->problems, "'%s'", f->name);
        else if (n != NULL && f->required)
            problem_error(r->problems, n->mark, example(r, f), "%s needs '%s'", o->title, f->name);
        schema_read_field(r, f, child, base);
    }
    r->label = label;
}

void
schema_read(struct schema_reader *r, const struct node *root, struct config *config)
{
    r->label = "the file";
    if (root->kind == NODE_MAPPING)
        read_object(r, &schema_config, root, config);
    else
        problem_error(r->problems, root->mark, NULL,
                      "the file must be a mapping of keys to values, such as 'listen:'");
}
