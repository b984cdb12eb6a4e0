/* A catalog together with what is protected in it. */
#include "sql/shield.h"

#include <stdlib.h>

enum { SHIELD_BYTES_MAX = 64 << 20, VIEW_DEPTH_MAX = 64 };

/* Finding what is protected: the rules' patterns, then what inherits, then what is generated. */

static bool
add_taint(struct shield *s, uint32_t relation, uint32_t attribute, const struct protect_rule *rule)
{
    struct taint *t;

    for (const struct taint *old = s->taints[attribute]; old != NULL; old = old->next)
        if (old->rule == rule || (!old->inside_json && rule->n_path == 0))
            return false; /* protected already; the first rule counts */
    if ((t = arena_alloc(s->arena, sizeof(*t))) == NULL) {
        s->out_of_memory = true;
        return false;
    }
    *t = (struct taint){.next = s->taints[attribute],
                        .rule = rule,
                        .relation = relation,
                        .attribute = attribute,
                        .path = rule->path,
                        .n_path = rule->n_path,
                        .inside_json = rule->n_path > 0};
    s->taints[attribute] = t;
    s->touched[relation] = true;
    return true;
}

static void
match_columns(struct shield *s, uint32_t relation, const struct protect_rule *rule)
{
    const struct catalog_relation *r = &s->catalog.relations[relation];

    for (uint32_t i = 0; i < r->n_attributes; i++) {
        uint32_t attribute = r->first_attribute + i;

        if (str_glob(rule->column,
                     catalog_text(&s->catalog, s->catalog.attributes[attribute].name)))
            (void)add_taint(s, relation, attribute, rule);
    }
}

static void
match_rules(struct shield *s)
{
    for (uint32_t i = 0; i < s->catalog.n_relations; i++) {
        const struct catalog_relation *r = &s->catalog.relations[i];
        struct str schema, table;

        if (r->oid < CATALOG_FIRST_USER_OID)
            continue;
        schema = shield_schema_name(s, r->namespace);
        table = catalog_text(&s->catalog, r->name);
        for (size_t k = 0; k < s->protection.n_protect; k++) {
            const struct protect_rule *rule = &s->protection.protect[k];

            if (str_glob(rule->schema, schema) && str_glob(rule->table, table))
                match_columns(s, i, rule);
        }
    }
}

/* What is protected in one is so in the column of the same name of the other. */
static bool
share_columns(struct shield *s, uint32_t from, uint32_t to)
{
    const struct catalog *c = &s->catalog;
    const struct catalog_relation *f = &c->relations[from], *t = &c->relations[to];
    bool changed = false;

    if (!s->touched[from])
        return false;
    for (uint32_t i = f->first_attribute; i < f->first_attribute + f->n_attributes; i++) {
        if (s->taints[i] == NULL)
            continue;
        for (uint32_t k = t->first_attribute; k < t->first_attribute + t->n_attributes; k++)
            if (str_equal(catalog_text(c, c->attributes[i].name),
                          catalog_text(c, c->attributes[k].name)))
                for (const struct taint *x = s->taints[i]; x != NULL; x = x->next)
                    changed = add_taint(s, to, k, x->rule) || changed;
    }
    return changed;
}

/* Rows of a child are seen through its parent, and a parent's rows may move to a child. */
static bool
inherit(struct shield *s)
{
    bool changed = false;

    for (uint32_t i = 0; i < s->catalog.n_inheritance; i++) {
        const struct catalog_inheritance *h = &s->catalog.inheritance[i];

        changed = share_columns(s, h->parent, h->child) || changed;
        changed = share_columns(s, h->child, h->parent) || changed;
    }
    return changed;
}

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

/* Words of a text, as PostgreSQL would read them as names: calls `fn` with each until it is true.
 * Where strings and comments begin and end is not told, so that what is between two quotes counts
 * as one name and as words too. */
typedef bool word_fn(const struct shield *s, struct str word, const void *arg);

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

static bool
any_word(const struct shield *s, struct str text, word_fn *fn, const void *arg)
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

struct generated {
    const struct catalog_relation *relation;
    const struct protect_rule **rule;
};

static bool
names_protected_column(const struct shield *s, struct str word, const void *arg)
{
    const struct generated *g = arg;

    for (uint32_t i = 0; i < g->relation->n_attributes; i++) {
        uint32_t attribute = g->relation->first_attribute + i;

        if (s->taints[attribute] != NULL &&
            str_equal(word, catalog_text(&s->catalog, s->catalog.attributes[attribute].name))) {
            *g->rule = s->taints[attribute]->rule;
            return true;
        }
    }
    return false;
}

/* A column generated from a protected one is protected, as a whole: what else it may be made of
 * is not looked at. */
static bool
generate(struct shield *s)
{
    bool changed = false;

    for (uint32_t i = 0; i < s->catalog.n_relations; i++) {
        const struct catalog_relation *r = &s->catalog.relations[i];

        for (uint32_t k = 0; s->touched[i] && k < r->n_attributes; k++) {
            uint32_t attribute = r->first_attribute + k;
            struct str text = catalog_text(&s->catalog, s->catalog.attributes[attribute].generated);
            const struct protect_rule *rule = NULL;
            struct generated g = {r, &rule};

            if (text.len > 0 && s->taints[attribute] == NULL &&
                any_word(s, text, names_protected_column, &g))
                changed = add_taint(s, i, attribute, rule->n_path == 0 ? rule : &s->redact) ||
                          changed;
        }
    }
    return changed;
}

static enum err
copy_protection(struct shield *s, const struct protection *protection)
{
    struct buf bytes = buf_make(SHIELD_BYTES_MAX);
    enum err e = protection_encode(protection, &bytes);
    struct str kept = {NULL, 0};

    if (e == OK && (kept = arena_str(s->arena, buf_str(&bytes))).ptr == NULL)
        e = fail(ERR_NOMEM, "no memory for what is protected");
    if (e == OK)
        e = protection_decode(kept, s->arena, &s->protection);
    buf_free(&bytes);
    return e;
}

static enum err
find_protected(struct shield *s)
{
    const struct catalog *c = &s->catalog;

    s->taints = arena_array(s->arena, (size_t)c->n_attributes + 1, sizeof(*s->taints));
    s->touched = arena_array(s->arena, (size_t)c->n_relations + 1, sizeof(*s->touched));
    s->views = arena_array(s->arena, (size_t)c->n_relations + 1, sizeof(*s->views));
    s->reaches = arena_array(s->arena, (size_t)c->n_relations + 1, sizeof(*s->reaches));
    s->walked = arena_array(s->arena, (size_t)c->n_relations + 1, sizeof(*s->walked));
    s->troubles = arena_array(s->arena, (size_t)c->n_functions + 1, sizeof(*s->troubles));
    if (s->taints == NULL || s->touched == NULL || s->views == NULL || s->reaches == NULL ||
        s->walked == NULL || s->troubles == NULL)
        return fail(ERR_NOMEM, "no memory for what is protected");
    match_rules(s);
    while (inherit(s) || generate(s)) {
    }
    return s->out_of_memory ? fail(ERR_NOMEM, "no memory for what is protected") : OK;
}

enum err
shield_make(const struct catalog *catalog, const struct protection *protection,
            void (*release)(void *arg), void *arg, struct shield **out)
{
    struct shield *s = calloc(1, sizeof(*s));
    enum err e = OK;

    if (s == NULL || (s->arena = arena_new(SHIELD_BYTES_MAX)) == NULL)
        e = fail(ERR_NOMEM, "no memory for what is protected");
    if (e == OK) {
        s->references = 1;
        s->catalog = *catalog;
        s->redact = (struct protect_rule){.mask = {.kind = MASK_REDACT}};
        if ((e = copy_protection(s, protection)) == OK)
            e = find_protected(s);
    }
    if (e != OK) {
        if (s != NULL)
            arena_free(s->arena);
        free(s);
        return e;
    }
    s->release = release;
    s->arg = arg;
    *out = s;
    return OK;
}

struct shield *
shield_hold(struct shield *s)
{
    if (s != NULL)
        s->references++;
    return s;
}

void
shield_free(struct shield *s)
{
    if (s == NULL || --s->references > 0)
        return;
    if (s->release != NULL)
        s->release(s->arg);
    arena_free(s->arena);
    free(s);
}

const struct catalog *
shield_catalog(const struct shield *s)
{
    return &s->catalog;
}

const struct protection *
shield_protection(const struct shield *s)
{
    return &s->protection;
}

struct str
shield_schema_name(const struct shield *s, uint32_t namespace)
{
    return catalog_text(&s->catalog, s->catalog.namespaces[namespace].name);
}

bool
shield_is_system(const struct shield *s, const struct catalog_relation *r)
{
    return sql_is_system_schema(shield_schema_name(s, r->namespace));
}

const struct taint *
shield_taint(const struct shield *s, uint32_t attribute)
{
    return s->taints[attribute];
}

static bool
is_view(const struct catalog_relation *r)
{
    return r->definition.len > 0;
}

/* What words reach. */

static bool
names_reaching_relation(const struct shield *s, struct str word, const void *arg)
{
    const struct catalog *c = &s->catalog;

    (void)arg;
    if (sql_is_secret(STR(""), word))
        return true;
    for (uint32_t i = catalog_first_relation(c, word);
         i < c->n_relations && str_equal(catalog_text(c, c->relations[i].name), word); i++)
        if (s->touched[i] || s->reaches[i])
            return true;
    return false;
}

/* Marks the views, and theirs, whose text names a table with protected columns. */
static void
find_reaching(struct shield *s)
{
    bool changed = true;

    if (s->reaches_known)
        return;
    s->reaches_known = true;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < s->catalog.n_relations; i++) {
            const struct catalog_relation *r = &s->catalog.relations[i];

            if (!is_view(r) || s->reaches[i] ||
                !any_word(s, catalog_text(&s->catalog, r->definition), names_reaching_relation,
                          NULL))
                continue;
            s->reaches[i] = changed = true;
        }
    }
}

bool
shield_touches(const struct shield *s, const struct catalog_relation *r)
{
    uint32_t i = (uint32_t)(r - s->catalog.relations);

    find_reaching((struct shield *)(uintptr_t)s);
    return s->touched[i] || s->reaches[i];
}

/* Functions: the words of the body tell, since static SQL must name what it reads; EXECUTE, and
 * whatever runs SQL text or reads storage, makes it unknowable. */

#define BODY_DANGERS                                                                               \
    (CLASSES(DYNAMIC_SQL) | CLASSES(FOREIGN) | CLASSES(SERVER_FILES) | CLASSES(SECRETS) |          \
     CLASSES(REPLICATION) | CLASSES(LARGE_OBJECT))

static bool is_dangerous_view(struct shield *s, struct str name);

static bool
is_dangerous_word(const struct shield *s, struct str word, const void *arg)
{
    struct shield *changing = (struct shield *)(uintptr_t)s;
    const struct catalog_function *f;
    size_t n;

    (void)arg;
    if (str_is(word, "execute") || str_is(word, "set_config") ||
        (sql_function_classes(word, true) & BODY_DANGERS) != 0)
        return true;
    if (names_reaching_relation(s, word, NULL))
        return true;
    f = catalog_functions_named(&s->catalog, word, &n);
    for (size_t i = 0; i < n; i++)
        if (f[i].body != CATALOG_BODY_INTERNAL && shield_function_trouble(changing, &f[i]) != NULL)
            return true;
    return is_dangerous_view(changing, word);
}

static const char no_trouble[] = "none";
static const char supposed[] = "none yet"; /* none, if all that is looked into with it has none */

/* A view calls functions too. */
static bool
is_dangerous_view(struct shield *s, struct str name)
{
    const struct catalog *c = &s->catalog;

    for (uint32_t i = catalog_first_relation(c, name);
         i < c->n_relations && str_equal(catalog_text(c, c->relations[i].name), name); i++) {
        if (!is_view(&c->relations[i]) || s->walked[i])
            continue;
        s->walked[i] = true;
        if (any_word(s, catalog_text(c, c->relations[i].definition), is_dangerous_word, NULL))
            return true;
    }
    return false;
}

static const char *
look_into(struct shield *s, const struct catalog_function *f)
{
    struct str source = catalog_text(&s->catalog, f->source);

    if (f->body == CATALOG_BODY_INTERNAL)
        return no_trouble;
    if (f->body == CATALOG_BODY_OPAQUE)
        return "cannot be looked into";
    if (memmem(source.ptr, source.len, "&\"", 2) != NULL)
        return "names things in a way that is not followed";
    find_reaching(s);
    if (any_word(s, source, is_dangerous_word, NULL))
        return "may read protected data or run SQL that is not known";
    return no_trouble;
}

/* What was supposed holds if the first that was asked about has no trouble; else those that led to
 * the trouble have it, and the others are open again. */
static void
settle(struct shield *s, bool holds)
{
    for (uint32_t i = 0; i < s->catalog.n_functions; i++)
        if (s->troubles[i] == supposed)
            s->troubles[i] = holds ? no_trouble : NULL;
    for (uint32_t i = 0; !holds && i < s->catalog.n_relations; i++)
        s->walked[i] = false;
}

const char *
shield_function_trouble(struct shield *s, const struct catalog_function *f)
{
    size_t i = (size_t)(f - s->catalog.functions);
    bool first = !s->judging;
    const char *trouble;

    if (s->troubles[i] == NULL) {
        s->judging = true;
        s->troubles[i] = supposed;
        if ((trouble = look_into(s, f)) != no_trouble)
            s->troubles[i] = trouble;
        if (first) {
            settle(s, trouble == no_trouble);
            s->judging = false;
        }
    }
    return s->troubles[i] == no_trouble || s->troubles[i] == supposed ? NULL : s->troubles[i];
}

/* Relations as queries see them. */

static struct row
table_row(struct analysis *a, const struct catalog_relation *r)
{
    const struct catalog *c = a->catalog;
    struct column *columns = flow_alloc(a, r->n_attributes, sizeof(*columns));
    struct row row = {.relation = r, .columns = columns, .n = r->n_attributes};

    if (columns == NULL)
        return (struct row){0};
    for (uint32_t i = 0; i < r->n_attributes; i++) {
        const struct catalog_attribute *attribute = &c->attributes[r->first_attribute + i];

        columns[i].name = catalog_text(c, attribute->name);
        columns[i].flow = (struct flow){.taint = a->shield->taints[r->first_attribute + i],
                                        .type = attribute->type,
                                        .relation = r->oid,
                                        .attribute = attribute->number};
    }
    return row;
}

/* What flows into a view's columns. What decides its rows is in all of them. */
static struct row *
view_row(struct shield *s, const struct catalog_relation *r)
{
    struct analysis inner = {.arena = s->arena,
                             .shield = s,
                             .catalog = &s->catalog,
                             .path = {.schemas = &(const struct str){"pg_catalog", 10}, .n = 1},
                             .path_known = true,
                             .owner = true};
    struct row *row = arena_alloc(s->arena, sizeof(*row));
    struct row answer = {0};

    if (row == NULL)
        return NULL;
    if (s->view_depth >= VIEW_DEPTH_MAX)
        return NULL;
    s->view_depth++;
    answer = analysis_of_text(&inner, catalog_text(&s->catalog, r->definition));
    s->view_depth--;
    *row = table_row(&inner, r);
    if (inner.failed || answer.open || answer.n != row->n) {
        row->open = true; /* not understood: shield_row() refuses */
        return row;
    }
    for (size_t i = 0; i < row->n; i++) {
        struct column *column = (struct column *)(uintptr_t)&row->columns[i];

        column->flow.taint = taint_union(&inner, flow_taint(&inner, answer.columns[i].flow),
                                         taint_union(&inner, inner.implicit, column->flow.taint));
    }
    return row;
}

static void
note(struct analysis *a, struct oid_list *list, uint32_t oid, uint32_t version)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->oids[i] == oid)
            return;
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

void
shield_note_function(struct analysis *a, const struct catalog_function *f)
{
    if (f->body != CATALOG_BODY_INTERNAL)
        note(a, &a->functions, f->oid, f->version);
}

/* The views below a view count too: their definitions may change. */
static void note_relations(struct analysis *a, const struct catalog_relation *r);

static bool
note_named(const struct shield *s, struct str word, const void *arg)
{
    struct analysis *a = (struct analysis *)(uintptr_t)arg;
    const struct catalog *c = &s->catalog;

    for (uint32_t i = catalog_first_relation(c, word);
         i < c->n_relations && str_equal(catalog_text(c, c->relations[i].name), word); i++)
        if (s->touched[i] || is_view(&c->relations[i]))
            note_relations(a, &c->relations[i]);
    return false;
}

static void
note_relations(struct analysis *a, const struct catalog_relation *r)
{
    for (size_t i = 0; i < a->views.n; i++)
        if (a->views.oids[i] == r->oid)
            return;
    note(a, &a->views, r->oid, r->version);
    if (is_view(r))
        (void)any_word(a->shield, catalog_text(a->catalog, r->definition), note_named, a);
}

struct row
shield_row(struct analysis *a, const struct catalog_relation *r)
{
    struct shield *s = a->shield;
    size_t i = (size_t)(r - a->catalog->relations);

    if (r->oid < CATALOG_FIRST_USER_OID)
        return table_row(a, r);
    if (!a->owner && (is_view(r) || s->touched[i]))
        note_relations(a, r);
    if (s->touched[i] || (is_view(r) && shield_touches(s, r)))
        a->guarded = true;
    if (!is_view(r))
        return table_row(a, r);
    if (s->views[i] == NULL)
        s->views[i] = view_row(s, r);
    if (s->views[i] == NULL || s->views[i]->open) {
        flow_refuse_because(a, "the definition of view \"%.*s\" is not understood",
                            STR_ARG(catalog_text(a->catalog, r->name)));
        return (struct row){0};
    }
    return *s->views[i];
}

bool
shield_is_protected(const struct shield *s, uint32_t relation, int16_t attribute)
{
    const struct catalog_relation *r = catalog_relation_of(&s->catalog, relation);
    size_t i;

    if (r == NULL)
        return relation >= CATALOG_FIRST_USER_OID; /* newer than the catalog: nothing is known */
    i = (size_t)(r - s->catalog.relations);
    for (uint32_t k = 0; k < r->n_attributes; k++) {
        if (s->catalog.attributes[r->first_attribute + k].number != attribute)
            continue;
        if (is_view(r) && r->oid >= CATALOG_FIRST_USER_OID)
            return s->views[i] == NULL || s->views[i]->open ||
                   s->views[i]->columns[k].flow.taint != NULL ||
                   s->views[i]->columns[k].flow.row != NULL;
        return s->taints[r->first_attribute + k] != NULL;
    }
    return attribute > 0 && r->oid >= CATALOG_FIRST_USER_OID;
}
