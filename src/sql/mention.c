/* What the texts of views and functions name: words, and the views and functions that a statement
 * relies on through them. */
#include "sql/shield.h"

static bool
is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static char
folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

enum { NAME_BYTES = 63 }; /* longer names are cut to that, between two characters */

struct word {
    char bytes[NAME_BYTES + 1];
    size_t n;
};

static void
put_byte(struct word *w, char c)
{
    if (w->n < sizeof(w->bytes))
        w->bytes[w->n++] = c;
}

static struct str
cut_word(const struct word *w)
{
    size_t n = w->n;

    if (n > NAME_BYTES)
        for (n = NAME_BYTES; n > 0 && ((unsigned char)w->bytes[n] & 0xc0) == 0x80; n--) {
        }
    return (struct str){w->bytes, n};
}

static struct word
quoted_word(struct str text, size_t i)
{
    struct word w = {.n = 0};

    for (i++; i < text.len && w.n < sizeof(w.bytes); i++) {
        if (text.ptr[i] == '"' && (i + 1 == text.len || text.ptr[i + 1] != '"'))
            break;
        if (text.ptr[i] == '"')
            i++;
        put_byte(&w, text.ptr[i]);
    }
    return w;
}

bool
shield_any_word(const struct shield *s, struct str text, shield_word_fn *fn, void *arg)
{
    size_t i = 0;

    while (i < text.len) {
        struct word w = {.n = 0};

        if (text.ptr[i] == '"')
            w = quoted_word(text, i++);
        else if (!is_name_byte(text.ptr[i]))
            i++;
        else
            for (; i < text.len && is_name_byte(text.ptr[i]); i++)
                put_byte(&w, folded(text.ptr[i]));
        if (w.n > 0 && fn(s, cut_word(&w), arg))
            return true;
    }
    return false;
}

/* What one text names. */
struct mentions {
    uint32_t *relations, *functions; /* indexes: views and what is protected; those with a body */
    size_t n_relations, n_functions;
};

static void
put_index(struct buf *list, uint32_t index)
{
    const char *at = list->ptr;

    for (size_t i = 0; i < list->len; i += sizeof(index))
        if (memcmp(at + i, &index, sizeof(index)) == 0)
            return;
    buf_put(list, &index, sizeof(index));
}

struct collecting {
    struct buf relations, functions;
};

static bool
collect_word(const struct shield *s, struct str word, void *arg)
{
    const struct catalog *c = &s->catalog;
    struct collecting *into = arg;
    const struct catalog_function *f;
    size_t n;

    for (uint32_t i = catalog_first_relation(c, word);
         i < c->n_relations && str_equal(catalog_text(c, c->relations[i].name), word); i++)
        if (s->touched[i] ||
            (shield_is_view(&c->relations[i]) && c->relations[i].oid >= CATALOG_FIRST_USER_OID))
            put_index(&into->relations, i);
    f = catalog_functions_named(c, word, &n);
    for (size_t i = 0; i < n; i++)
        if (f[i].body != CATALOG_BODY_INTERNAL)
            put_index(&into->functions, (uint32_t)(&f[i] - c->functions));
    return false;
}

bool
shield_any_operator(const struct shield *s, struct str text, shield_operator_fn *fn, void *arg)
{
    const struct catalog *c = &s->catalog;

    for (uint32_t i = 0; i < c->n_operators; i++) {
        struct str name = catalog_text(c, c->operators[i].name);
        const struct catalog_function *f = catalog_function_of(c, c->operators[i].function);

        if (f != NULL && f->body != CATALOG_BODY_INTERNAL &&
            memmem(text.ptr, text.len, name.ptr, name.len) != NULL && fn(s, f, arg))
            return true;
    }
    return false;
}

static bool
collect_function(const struct shield *s, const struct catalog_function *f, void *arg)
{
    struct collecting *into = arg;

    put_index(&into->functions, (uint32_t)(f - s->catalog.functions));
    return false;
}

static uint32_t *
kept(struct shield *s, struct buf *list, size_t *n)
{
    uint32_t *copy = arena_array(s->arena, list->len / sizeof(*copy) + 1, sizeof(*copy));

    if (copy != NULL && buf_ok(list) == OK && list->len > 0)
        memcpy(copy, list->ptr, list->len);
    *n = copy != NULL && buf_ok(list) == OK ? list->len / sizeof(*copy) : 0;
    s->out_of_memory = s->out_of_memory || copy == NULL || buf_ok(list) != OK;
    buf_free(list);
    return copy;
}

enum { MENTIONS_BYTES = 16 << 20 };

static const struct mentions *
mentions_in(struct analysis *a, struct str text, const struct mentions **known)
{
    struct collecting into = {buf_make(MENTIONS_BYTES), buf_make(MENTIONS_BYTES)};
    struct shield *s = a->shield;
    struct mentions *m;

    if (*known != NULL)
        return *known;
    if ((m = arena_alloc(s->arena, sizeof(*m))) != NULL) {
        (void)shield_any_word(s, text, collect_word, &into);
        (void)shield_any_operator(s, text, collect_function, &into);
        m->relations = kept(s, &into.relations, &m->n_relations);
        m->functions = kept(s, &into.functions, &m->n_functions);
    }
    if (m == NULL || s->out_of_memory)
        flow_refuse_because(a, "there is no memory to look into what the statement uses");
    else
        *known = m;
    return *known;
}

/* Versions. */

static void
note(struct analysis *a, struct oid_list *list, uint32_t oid, uint32_t version)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity == 0 ? 8 : 2 * list->capacity;
        uint32_t *oids = flow_alloc(a, capacity, sizeof(*oids));
        uint32_t *versions = flow_alloc(a, capacity, sizeof(*versions));

        if (oids == NULL || versions == NULL)
            return;
        if (list->n > 0) {
            memcpy(oids, list->oids, list->n * sizeof(*oids));
            memcpy(versions, list->versions, list->n * sizeof(*versions));
        }
        *list = (struct oid_list){oids, versions, list->n, capacity};
    }
    list->oids[list->n] = oid;
    list->versions[list->n++] = version;
}

static bool
is_noted(const struct oid_list *list, uint32_t oid)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->oids[i] == oid)
            return true;
    return false;
}

/* What is below counts too: the definitions there may change. */
static void
note_mentions(struct analysis *a, const struct mentions *m)
{
    for (size_t i = 0; m != NULL && i < m->n_relations; i++)
        shield_note_relation(a, &a->catalog->relations[m->relations[i]]);
    for (size_t i = 0; m != NULL && i < m->n_functions; i++)
        shield_note_function(a, &a->catalog->functions[m->functions[i]]);
}

void
shield_note_function(struct analysis *a, const struct catalog_function *f)
{
    size_t i = (size_t)(f - a->catalog->functions);

    if (f->body == CATALOG_BODY_INTERNAL || is_noted(&a->functions, f->oid))
        return;
    note(a, &a->functions, f->oid, f->version);
    note_mentions(a, mentions_in(a, catalog_text(a->catalog, f->source),
                                 &a->shield->mentions_of_functions[i]));
}

void
shield_note_relation(struct analysis *a, const struct catalog_relation *r)
{
    size_t i = (size_t)(r - a->catalog->relations);

    if (is_noted(&a->views, r->oid))
        return;
    note(a, &a->views, r->oid, r->version);
    if (shield_is_view(r))
        note_mentions(a, mentions_in(a, catalog_text(a->catalog, r->definition),
                                     &a->shield->mentions_of_views[i]));
}
