#include "protocol/postgres/statement.h"

#include <stdlib.h>

static bool
uses_names(enum sql_kind kind)
{
    return kind == SQL_PREPARE || kind == SQL_EXECUTE || kind == SQL_DEALLOCATE ||
           kind == SQL_DISCARD_ALL || kind == SQL_DECLARE || kind == SQL_FETCH;
}

/* DECLARE and CLOSE, wherever they stand. */
static bool
changes_cursors(const struct sql_statement *s)
{
    if (s->kind == SQL_FETCH)
        return false;
    for (size_t i = 0; i < s->n_demands; i++)
        if ((s->demands[i].classes & CLASSES(CURSOR)) != 0)
            return true;
    return false;
}

/* Settings by which the server finds names; RESET ALL has no name. */
static bool
is_about_names(const struct demand *d)
{
    return d->kind != OBJECT_SETTING || str_is(d->name, "search_path") || str_is(d->name, "role") ||
           str_is(d->name, "session_authorization");
}

static void
summarise_changes(const struct sql_statement *s, struct pgfacts_summary *out)
{
    static const class_set code = CLASSES(CODE) | CLASSES(ADMIN);

    out->ends_transaction = out->ends_transaction || s->kind == SQL_COMMIT ||
                            s->kind == SQL_ROLLBACK || s->kind == SQL_ROLLBACK_TO;
    /* a prepared query, or that of a cursor or portal, may call set_config() */
    out->changes_path = out->changes_path || s->kind == SQL_DISCARD_ALL || s->kind == SQL_EXECUTE ||
                        s->kind == SQL_FETCH;
    out->controls_transactions = out->controls_transactions || s->kind == SQL_BEGIN ||
                                 s->kind == SQL_COMMIT || s->kind == SQL_ROLLBACK;
    for (size_t i = 0; i < s->n_demands; i++) {
        const struct demand *d = &s->demands[i];

        if ((d->classes & (code | CLASSES(TEMPORARY) | CLASSES(ROLE_CHANGE))) != 0 ||
            ((d->classes & CLASSES(SET)) != 0 && is_about_names(d)))
            out->changes_path = true;
        if ((d->classes & (code | CLASSES(DDL))) != 0)
            out->changes_catalog = true;
        if ((d->classes & CLASSES(TWO_PHASE)) != 0)
            out->controls_transactions = true;
    }
}

void
pgfacts_summarise(const struct sql_facts *facts, struct pgfacts_summary *out)
{
    *out = (struct pgfacts_summary){.empty = facts->n_demands == 0, .purpose = facts->purpose};
    for (size_t i = 0; i < facts->n_statements; i++) {
        if (facts->statements[i].kind != SQL_EMPTY)
            out->empty = false;
        out->n_copies_in += facts->statements[i].kind == SQL_COPY_IN;
        out->n_uses += uses_names(facts->statements[i].kind);
        if (changes_cursors(&facts->statements[i]))
            out->changes_cursors = true;
        summarise_changes(&facts->statements[i], out);
    }
}

static void
destroy_statement(struct pgobject *object)
{
    struct pgstatement *s = (struct pgstatement *)object;

    for (size_t i = 0; i < s->n_uses; i++)
        if (s->uses[i].prepared != NULL)
            pgobject_release(&s->uses[i].prepared->object);
    sql_lineage_release(s->lineage);
    free(s);
}

static struct str
copy(char **room, struct str text)
{
    struct str result = {*room, text.len};

    if (text.len > 0)
        memcpy(*room, text.ptr, text.len);
    *room += text.len;
    return result;
}

static struct pgstatement *
new_statement(struct str text, struct str types, const struct demand *demands, size_t n_demands,
              size_t n_uses, size_t name_bytes, char **room)
{
    size_t size = sizeof(struct pgstatement) + n_demands * sizeof(*demands) +
                  n_uses * sizeof(struct pgname_use) + name_bytes + text.len + types.len;
    struct demand *copies;
    struct pgstatement *s;

    for (size_t i = 0; i < n_demands; i++)
        size += demands[i].schema.len + demands[i].name.len;
    if ((s = calloc(1, size)) == NULL)
        return NULL;
    s->object = (struct pgobject){1, size, destroy_statement};
    copies = (struct demand *)(s + 1);
    s->uses = (struct pgname_use *)(copies + n_demands);
    *room = (char *)(s->uses + n_uses);
    s->text = copy(room, text);
    s->types = copy(room, types);
    for (size_t i = 0; i < n_demands; i++) {
        copies[i] = demands[i];
        copies[i].schema = copy(room, demands[i].schema);
        copies[i].name = copy(room, demands[i].name);
    }
    s->demands = copies;
    s->n_demands = n_demands;
    return s;
}

/* `i` is its number in the string. */
static bool
add_use(struct pgstatement *s, const struct sql_statement *statement, size_t i, char **room)
{
    struct pgname_use *use = &s->uses[s->n_uses++];
    char *unused;

    use->kind = statement->kind;
    use->at = i;
    use->name = copy(room, statement->name);
    s->declares = s->declares || use->kind == SQL_DECLARE;
    s->fetches = s->fetches || use->kind == SQL_FETCH;
    if (use->kind != SQL_EXECUTE && use->kind != SQL_DECLARE && use->kind != SQL_FETCH)
        s->changes_names = true;
    if (use->kind != SQL_PREPARE)
        return true;
    use->prepared =
        new_statement(s->text, STR(""), statement->demands, statement->n_demands, 0, 0, &unused);
    if (use->prepared == NULL)
        return false;
    pgstatement_set_lineage(use->prepared, s->lineage, s->generation);
    use->prepared->output = i;
    s->object.bytes += use->prepared->object.bytes;
    return true;
}

void
pgstatement_set_lineage(struct pgstatement *s, const struct sql_lineage *lineage,
                        uint64_t generation)
{
    const struct sql_lineage *old = s->lineage;

    s->lineage = sql_lineage_hold(lineage);
    s->generation = generation;
    sql_lineage_release(old);
}

struct pgstatement *
pgstatement_new(const struct sql_facts *facts, struct str text, struct str types,
                uint64_t generation)
{
    struct pgfacts_summary summary;
    struct pgstatement *s;
    size_t name_bytes;
    char *room;

    pgfacts_summarise(facts, &summary);
    name_bytes = summary.purpose.value.len;
    for (size_t i = 0; summary.n_uses > 0 && i < facts->n_statements; i++)
        if (uses_names(facts->statements[i].kind))
            name_bytes += facts->statements[i].name.len;
    s = new_statement(text, types, facts->demands, facts->n_demands, summary.n_uses, name_bytes,
                      &room);
    if (s == NULL)
        return NULL;
    s->summary = summary;
    s->summary.purpose.value = copy(&room, summary.purpose.value);
    pgstatement_set_lineage(s, facts->lineage, generation);
    for (size_t i = 0; summary.n_uses > 0 && i < facts->n_statements; i++)
        if (uses_names(facts->statements[i].kind) && !add_use(s, &facts->statements[i], i, &room)) {
            pgobject_release(&s->object);
            return NULL;
        }
    return s;
}

static void
destroy_portal(struct pgobject *object)
{
    struct pgportal *p = (struct pgportal *)object;

    pgobject_release(&p->statement->object);
    pgview_release(p->view);
    free(p);
}

struct pgportal *
pgportal_new(struct pgstatement *statement, size_t n_values, size_t bytes, char **room)
{
    size_t size = sizeof(struct pgportal) + n_values * sizeof(struct bind_value) + bytes;
    struct pgportal *p = malloc(size);

    if (p == NULL)
        return NULL;
    p->object = (struct pgobject){1, size, destroy_portal};
    p->values = (struct bind_value *)(p + 1);
    p->n_values = n_values;
    p->view = NULL;
    p->approval = (struct approval){0};
    *room = (char *)(p->values + n_values);
    pgobject_hold(&statement->object);
    p->statement = statement;
    return p;
}
