#include "sql/catalog.h"

#include "sql/catalog_block.h"

const size_t catalog_part_sizes[CATALOG_PARTS] = {
    [CATALOG_NAMESPACES] = sizeof(struct catalog_namespace),
    [CATALOG_RELATIONS] = sizeof(struct catalog_relation),
    [CATALOG_ATTRIBUTES] = sizeof(struct catalog_attribute),
    [CATALOG_INHERITANCE] = sizeof(struct catalog_inheritance),
    [CATALOG_TYPES] = sizeof(struct catalog_type),
    [CATALOG_FUNCTIONS] = sizeof(struct catalog_function),
    [CATALOG_OPERATORS] = sizeof(struct catalog_operator),
    [CATALOG_CASTS] = sizeof(struct catalog_cast),
};

static enum err
malformed(void)
{
    return fail(ERR_PROTOCOL, "the catalog snapshot is malformed");
}

/* Where each part lies. */
static enum err
lay_out(struct str bytes, const struct catalog_header *header, const void *parts[CATALOG_PARTS],
        struct catalog *out)
{
    size_t at = sizeof(*header);

    for (int i = 0; i < CATALOG_PARTS; i++) {
        size_t size = header->counts[i] * catalog_part_sizes[i]; /* 32 bits by a small constant */

        size += -size % 8;
        if (size > bytes.len - at)
            return malformed();
        parts[i] = bytes.ptr + at;
        at += size;
    }
    if (bytes.len - at != header->n_texts)
        return malformed();
    out->texts = bytes.ptr + at;
    return OK;
}

static bool
text_fits(struct catalog_str s, uint32_t n)
{
    return s.at <= n && s.len <= n - s.at;
}

/* A list ends with a NUL, or is empty. */
static bool
list_fits(const struct catalog *c, struct catalog_str s, uint32_t n)
{
    return text_fits(s, n) && (s.len == 0 || c->texts[s.at + s.len - 1] == '\0');
}

static bool
in_order(const struct catalog *c, struct catalog_str a, struct catalog_str b)
{
    return str_compare(catalog_text(c, a), catalog_text(c, b)) <= 0;
}

static bool
check_relations(const struct catalog *c, uint32_t n_texts)
{
    for (uint32_t i = 0; i < c->n_relations; i++) {
        const struct catalog_relation *r = &c->relations[i];

        if (!text_fits(r->name, n_texts) || !text_fits(r->definition, n_texts) ||
            r->namespace >= c->n_namespaces || r->first_attribute > c->n_attributes ||
            r->n_attributes > c->n_attributes - r->first_attribute ||
            (i > 0 && !in_order(c, r[-1].name, r->name)))
            return false;
    }
    for (uint32_t i = 0; i < c->n_attributes; i++)
        if (!text_fits(c->attributes[i].name, n_texts) ||
            !text_fits(c->attributes[i].generated, n_texts))
            return false;
    for (uint32_t i = 0; i < c->n_inheritance; i++)
        if (c->inheritance[i].child >= c->n_relations || c->inheritance[i].parent >= c->n_relations)
            return false;
    return true;
}

static bool
check_functions(const struct catalog *c, uint32_t n_texts)
{
    for (uint32_t i = 0; i < c->n_functions; i++) {
        const struct catalog_function *f = &c->functions[i];

        if (!text_fits(f->name, n_texts) || !text_fits(f->source, n_texts) ||
            !list_fits(c, f->outputs, n_texts) || !list_fits(c, f->arguments, n_texts) ||
            f->namespace >= c->n_namespaces || f->body > CATALOG_BODY_OPAQUE ||
            (i > 0 && !in_order(c, f[-1].name, f->name)))
            return false;
    }
    for (uint32_t i = 0; i < c->n_operators; i++) {
        const struct catalog_operator *o = &c->operators[i];

        if (!text_fits(o->name, n_texts) || o->namespace >= c->n_namespaces ||
            (i > 0 && !in_order(c, o[-1].name, o->name)))
            return false;
    }
    return true;
}

static bool
check_types(const struct catalog *c, uint32_t n_texts)
{
    for (uint32_t i = 0; i < c->n_namespaces; i++)
        if (!text_fits(c->namespaces[i].name, n_texts))
            return false;
    for (uint32_t i = 0; i < c->n_types; i++)
        if (!text_fits(c->types[i].name, n_texts) || c->types[i].namespace >= c->n_namespaces ||
            (i > 0 && c->types[i - 1].oid >= c->types[i].oid))
            return false;
    return true;
}

enum err
catalog_open(struct str bytes, struct catalog *out)
{
    const void *parts[CATALOG_PARTS];
    struct catalog_header header;
    enum err e;

    if (bytes.len < sizeof(header) || ((uintptr_t)bytes.ptr & 7) != 0)
        return malformed();
    memcpy(&header, bytes.ptr, sizeof(header));
    if (header.magic != CATALOG_MAGIC || header.version != CATALOG_VERSION)
        return malformed();
    if ((e = lay_out(bytes, &header, parts, out)) != OK)
        return e;
    *out = (struct catalog){
        .texts = out->texts,
        .fingerprint = header.fingerprint,
        .database = header.database,
        .namespaces = parts[CATALOG_NAMESPACES],
        .relations = parts[CATALOG_RELATIONS],
        .attributes = parts[CATALOG_ATTRIBUTES],
        .inheritance = parts[CATALOG_INHERITANCE],
        .types = parts[CATALOG_TYPES],
        .functions = parts[CATALOG_FUNCTIONS],
        .operators = parts[CATALOG_OPERATORS],
        .casts = parts[CATALOG_CASTS],
        .n_namespaces = header.counts[CATALOG_NAMESPACES],
        .n_relations = header.counts[CATALOG_RELATIONS],
        .n_attributes = header.counts[CATALOG_ATTRIBUTES],
        .n_inheritance = header.counts[CATALOG_INHERITANCE],
        .n_types = header.counts[CATALOG_TYPES],
        .n_functions = header.counts[CATALOG_FUNCTIONS],
        .n_operators = header.counts[CATALOG_OPERATORS],
        .n_casts = header.counts[CATALOG_CASTS],
    };
    if (!check_types(out, header.n_texts) || !check_relations(out, header.n_texts) ||
        !check_functions(out, header.n_texts))
        return malformed();
    return OK;
}

const struct catalog_namespace *
catalog_namespace_named(const struct catalog *c, struct str name)
{
    for (uint32_t i = 0; i < c->n_namespaces; i++)
        if (str_equal(catalog_text(c, c->namespaces[i].name), name))
            return &c->namespaces[i];
    return NULL;
}

/* The first index in [0, n) whose name is not before `name`. */
#define FIRST_NAMED(c, array, n, wanted)                                                           \
    ({                                                                                             \
        uint32_t low_ = 0, high_ = (n);                                                            \
        while (low_ < high_) {                                                                     \
            uint32_t mid_ = low_ + (high_ - low_) / 2;                                             \
            if (str_compare(catalog_text((c), (array)[mid_].name), (wanted)) < 0)                  \
                low_ = mid_ + 1;                                                                   \
            else                                                                                   \
                high_ = mid_;                                                                      \
        }                                                                                          \
        low_;                                                                                      \
    })

uint32_t
catalog_first_relation(const struct catalog *c, struct str name)
{
    return FIRST_NAMED(c, c->relations, c->n_relations, name);
}

const struct catalog_relation *
catalog_relation_named(const struct catalog *c, uint32_t namespace, struct str name)
{
    uint32_t i = catalog_first_relation(c, name);

    for (; i < c->n_relations && str_equal(catalog_text(c, c->relations[i].name), name); i++)
        if (c->relations[i].namespace == namespace)
            return &c->relations[i];
    return NULL;
}

const struct catalog_relation *
catalog_relation_of(const struct catalog *c, uint32_t oid)
{
    for (uint32_t i = 0; i < c->n_relations; i++)
        if (c->relations[i].oid == oid)
            return &c->relations[i];
    return NULL;
}

const struct catalog_type *
catalog_type_of(const struct catalog *c, uint32_t oid)
{
    uint32_t low = 0, high = c->n_types;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (c->types[mid].oid < oid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < c->n_types && c->types[low].oid == oid ? &c->types[low] : NULL;
}

const struct catalog_function *
catalog_function_of(const struct catalog *c, uint32_t oid)
{
    for (uint32_t i = 0; i < c->n_functions; i++)
        if (c->functions[i].oid == oid)
            return &c->functions[i];
    return NULL;
}

const struct catalog_function *
catalog_functions_named(const struct catalog *c, struct str name, size_t *n)
{
    uint32_t i = FIRST_NAMED(c, c->functions, c->n_functions, name), end = i;

    while (end < c->n_functions && str_equal(catalog_text(c, c->functions[end].name), name))
        end++;
    *n = end - i;
    return end == i ? NULL : &c->functions[i];
}

const struct catalog_operator *
catalog_operators_named(const struct catalog *c, struct str name, size_t *n)
{
    uint32_t i = FIRST_NAMED(c, c->operators, c->n_operators, name), end = i;

    while (end < c->n_operators && str_equal(catalog_text(c, c->operators[end].name), name))
        end++;
    *n = end - i;
    return end == i ? NULL : &c->operators[i];
}
