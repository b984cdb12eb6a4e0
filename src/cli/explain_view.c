#include "cli/explain_view.h"

#include <arpa/inet.h>

#include "base/clock.h"
#include "cli/audit_view.h"
#include "cli/step_up_view.h"
#include "policy/limits.h"

enum {
    EFFECT_WIDTH = 8,
    VERDICT_WIDTH = 8,
    RULE_WIDTH = 24,
    COLUMN_WIDTH_MIN = 12,
    COLUMN_WIDTH_MAX = 48,
    TEXT_BYTES_MAX = 64 << 10,
    TITLE_CHARACTERS = 60,
};

/* What both forms need. */

enum explain_outcome
explain_outcome(const struct explanation *x)
{
    if (x->verdict.kind == VERDICT_DENY)
        return EXPLAIN_REFUSED;
    if (x->of_sql && x->protection == EXPLAIN_NOT_CONSIDERED)
        return EXPLAIN_UNDECIDED;
    return x->verdict.kind == VERDICT_ALLOW || x->verdict.kind == VERDICT_MODIFY ? EXPLAIN_RUNS
                                                                                 : EXPLAIN_REFUSED;
}

const char *
explain_verdict_name(const struct explanation *x)
{
    return explain_outcome(x) == EXPLAIN_UNDECIDED ? "undecided"
                                                   : verdict_kind_name(x->verdict.kind);
}

bool
explain_is_by_protection(const struct explanation *x)
{
    return x->verdict.kind == VERDICT_DENY && x->lineage != NULL && x->lineage->refusal.len > 0 &&
           x->verdict.message.ptr == x->lineage->refusal.ptr;
}

void
explain_instead(const struct sql_lineage *l, const char *out[static EXPLAIN_INSTEAD_MAX])
{
    size_t n = 0;

    if (l != NULL && l->refused.len > 0) {
        out[n++] = "select it as it is: it is then masked";
        out[n++] = "ask IS NULL, IS NOT NULL or count(column)";
        if (l->refused_rule != NULL && l->refused_rule->lookup)
            out[n++] = "compare it by = with one whole value in WHERE";
        if (l->refused_rule != NULL && l->refused_rule->write)
            out[n++] = "write new values into it";
    }
    out[n] = NULL;
}

/* The relation behind a composite type, or an array of it. */
static const struct catalog_relation *
relation_of_type(const struct catalog *c, uint32_t type)
{
    for (int depth = 0; depth < 8; depth++) {
        const struct catalog_type *t = catalog_type_of(c, type);

        if (t == NULL || t->relation != 0)
            return t == NULL ? NULL : catalog_relation_of(c, t->relation);
        type = t->element != 0 ? t->element : t->base;
    }
    return NULL;
}

static const struct catalog_attribute *
field_of(const struct sql_lineage *l, uint32_t type, size_t i)
{
    const struct catalog *c = shield_catalog(l->shield);
    const struct catalog_relation *r = relation_of_type(c, type);

    return r == NULL || i >= r->n_attributes ? NULL : &c->attributes[r->first_attribute + i];
}

struct str
explain_field_name(const struct sql_lineage *l, uint32_t type, size_t i)
{
    const struct catalog_attribute *a = field_of(l, type, i);

    return a == NULL ? STR("") : catalog_text(shield_catalog(l->shield), a->name);
}

uint32_t
explain_field_type(const struct sql_lineage *l, uint32_t type, size_t i)
{
    const struct catalog_attribute *a = field_of(l, type, i);

    return a == NULL ? 0 : a->type;
}

static void
put_qualified(const struct catalog *c, uint32_t namespace, struct catalog_str name, struct buf *out)
{
    buf_put_str(out, catalog_text(c, c->namespaces[namespace].name));
    buf_put_u8(out, '.');
    buf_put_str(out, catalog_text(c, name));
}

void
explain_put_view(const struct sql_lineage *l, uint32_t oid, struct buf *out)
{
    const struct catalog *c = shield_catalog(l->shield);
    const struct catalog_relation *r = catalog_relation_of(c, oid);

    if (r != NULL && (r->kind == 'v' || r->kind == 'm'))
        put_qualified(c, r->namespace, r->name, out);
}

void
explain_put_function(const struct sql_lineage *l, uint32_t oid, struct buf *out)
{
    const struct catalog *c = shield_catalog(l->shield);

    for (uint32_t i = 0; i < c->n_functions; i++)
        if (c->functions[i].oid == oid) {
            put_qualified(c, c->functions[i].namespace, c->functions[i].name, out);
            return;
        }
}

size_t
explain_made_by(const struct sql_lineage *l, size_t i)
{
    bool prepared = l->outputs[i].kind == SQL_OUTPUT_PREPARED;

    for (size_t k = i; k > 0; k--)
        if (l->outputs[k - 1].declares && l->outputs[k - 1].prepares == prepared &&
            str_equal(l->outputs[k - 1].name, l->outputs[i].name))
            return k;
    return 0;
}

void
explain_put_source(const struct explanation *x, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];

    if (IN6_IS_ADDR_V4MAPPED(&x->source))
        inet_ntop(AF_INET, &x->source.s6_addr[12], text, sizeof(text));
    else
        inet_ntop(AF_INET6, &x->source, text, sizeof(text));
    buf_put_text(out, text);
}

/* Texts of other people never reach the terminal as they are. */

static void
put(FILE *out, struct str text)
{
    audit_print_safe(out, text, false);
}

static int
characters(struct str text)
{
    int n = 0;

    for (; text.len > 0; n++) {
        size_t length = str_utf8_length(text);

        text = str_skip(text, length == 0 ? 1 : length);
    }
    return n;
}

static void
put_padded(FILE *out, struct str text, int width)
{
    int n = characters(text);

    put(out, text);
    fprintf(out, "%*s ", n < width ? width - n : 0, "");
}

static void
put_field(FILE *out, const char *name, struct str value)
{
    fprintf(out, "%-11s", name);
    put(out, value);
    fputc('\n', out);
}

/* What is asked, and what is decided. */

/* Before a session there is anything of this at all. */
static void
put_access(FILE *out, const struct explanation *x)
{
    struct buf text = buf_make(TEXT_BYTES_MAX);

    buf_put_text(&text, "opening a session needs access, by rule \"");
    buf_put_str(&text, x->connect->name);
    buf_put_text(&text, "\": granted by ");
    step_up_put_approvers(&text, &x->connect->step_up);
    buf_put_text(&text, ", ");
    step_up_put_terms(&text, x->connect);
    put_field(out, "access:", buf_str(&text));
    buf_reset(&text);
    buf_printf(&text, "bulkhead request --resource %.*s --for 1h --reason WHY",
               STR_ARG(x->resource->name));
    put_field(out, "ask:", buf_str(&text));
    buf_free(&text);
}

/* Whom a STEP_UP asks, in order. */
static void
put_steps(FILE *out, const struct explanation *x)
{
    struct buf text = buf_make(TEXT_BYTES_MAX);

    for (size_t i = 0; i < x->verdict.n_steps; i++) {
        buf_reset(&text);
        buf_put_text(&text, i == 0 ? "by " : "and then by ");
        step_up_put_approvers(&text, &x->steps[i]->step_up);
        buf_put_text(&text, ", for rule \"");
        buf_put_str(&text, x->steps[i]->name);
        buf_put_text(&text, "\"");
        put_field(out, i == 0 ? "approval:" : "", buf_str(&text));
        buf_reset(&text);
        step_up_put_terms(&text, x->steps[i]);
        put_field(out, "", buf_str(&text));
    }
    buf_free(&text);
}

static void
put_record(FILE *out, const struct record_rule *record)
{
    if (record->rows)
        put_field(out, "recorded:", STR("the rows that are delivered, after masking"));
}

static void
put_scene(FILE *out, const struct explanation *x)
{
    struct buf source = buf_make(TEXT_BYTES_MAX);
    char at[CLOCK_TEXT_BYTES];

    clock_format(x->wall_us, at);
    explain_put_source(x, &source);
    fputs("principal: ", out);
    put(out, x->principal->subject);
    fputs(" of issuer ", out);
    put(out, x->principal->issuer);
    for (size_t i = 0; i < x->principal->groups.n; i++) {
        fputs(i == 0 ? ", groups " : ", ", out);
        put(out, x->principal->groups.items[i]);
    }
    fputs("\nresource:  ", out);
    put(out, x->resource->name);
    if (x->database.len != 0) {
        fputs(", database ", out);
        put(out, x->database);
    }
    fprintf(out, "\nwhen:      %s from %.*s\n", at, STR_ARG(buf_str(&source)));
    if (x->purpose.len > 0)
        put_field(out, "purpose:", x->purpose);
    if (x->connect != NULL)
        put_access(out, x);
    buf_free(&source);
}

static void
put_refused_use(FILE *out, const struct sql_lineage *l)
{
    const char *instead[EXPLAIN_INSTEAD_MAX];

    put_field(out, "column:", l->refused);
    put_field(out, "use:", l->use);
    explain_instead(l, instead);
    for (size_t i = 0; instead[i] != NULL; i++)
        put_field(out, i == 0 ? "instead:" : "", str_from(instead[i]));
}

static void
put_limits(FILE *out, const struct limits *limits)
{
    struct buf text = buf_make(LIMITS_TEXT_MAX);

    limits_write(limits, &text);
    if (text.len != 0)
        put_field(out, "limits:", buf_str(&text));
    buf_free(&text);
}

static void
put_verdict(FILE *out, const struct explanation *x)
{
    const struct verdict *v = &x->verdict;

    if (explain_outcome(x) == EXPLAIN_UNDECIDED)
        fprintf(out,
                "verdict:   undecided: column protection was not considered, the rules alone say "
                "%s\n",
                verdict_kind_name(v->kind));
    else
        put_field(out, "verdict:", str_from(verdict_kind_name(v->kind)));
    put_field(out, "rule:", v->rule.len != 0 ? v->rule : STR("none"));
    put_field(out, "reason:", x->reason);
    put_steps(out, x);
    if (x->lineage != NULL && x->lineage->sqlstate.len > 0)
        put_field(out, "sqlstate:", x->lineage->sqlstate);
    if (explain_is_by_protection(x) && x->lineage->refused.len > 0)
        put_refused_use(out, x->lineage);
    if (v->kind == VERDICT_MODIFY && x->lineage != NULL)
        put_field(out, "masked:", x->lineage->masked);
    if (v->kind != VERDICT_DENY) {
        put_limits(out, &v->limits);
        put_record(out, &v->record);
    }
    if (x->allowed.len > 0)
        put_field(out, "allowed:", x->allowed);
    for (size_t i = 0; x->of_sql && v->kind != VERDICT_DENY && i < x->resource->n_detect; i++) {
        fputs(i == 0 ? "detectors: " : ", ", out);
        put(out, x->resource->detect[i].name);
        fputs(i + 1 == x->resource->n_detect ? " (what they find is overwritten)\n" : "", out);
    }
}

/* What the statement does. */

static void
put_object(FILE *out, const struct demand *d)
{
    if (d->kind == OBJECT_NONE) {
        fputc('-', out);
        return;
    }
    fprintf(out, "%s ", object_kind_name(d->kind));
    if (d->schema.len != 0) {
        put(out, d->schema);
        fputc('.', out);
    }
    put(out, d->name);
}

/* One line: the effect, what the rules say to this demand alone, the object, narrower classes. */
static void
put_demand(FILE *out, const struct demand *d, const struct verdict *alone)
{
    class_set effect = d->classes & CLASS_EFFECTS_MASK, named = d->classes & ~CLASS_EFFECTS_MASK;

    fprintf(out, "  %-*s %-*s ", EFFECT_WIDTH,
            effect == 0 ? "-" : class_infos[__builtin_ctzll(effect)].name, VERDICT_WIDTH,
            verdict_kind_name(alone->kind));
    put_padded(out, alone->rule.len != 0 ? alone->rule : STR("-"), RULE_WIDTH);
    put_object(out, d);
    for (const char *before = " ("; named != 0; named &= named - 1, before = ", ")
        fprintf(out, "%s%s%s", before, class_infos[__builtin_ctzll(named)].name,
                (named & (named - 1)) == 0 ? ")" : "");
    fputc('\n', out);
}

static void
put_demands(FILE *out, const struct explanation *x)
{
    if (x->facts->n_demands != 0)
        fprintf(out, "\n  %-*s %-*s %-*s %s\n", EFFECT_WIDTH, "EFFECT", VERDICT_WIDTH, "VERDICT",
                RULE_WIDTH, "RULE", "OBJECT (CLASSES)");
    for (size_t i = 0; i < x->facts->n_demands; i++)
        put_demand(out, &x->facts->demands[i], &x->alone[i]);
}

/* What the answer shows. */

static void
put_mask(struct buf *out, const struct mask_rule *rule)
{
    buf_put_text(out, mask_kind_name(rule->kind));
    if (rule->kind == MASK_PARTIAL)
        buf_printf(out, " %u", rule->keep);
    if (rule->kind == MASK_FIXED) {
        buf_put_text(out, " \"");
        buf_put_str(out, rule->fixed);
        buf_put_u8(out, '"');
    }
}

static void
put_paths(struct buf *out, const struct sql_hidden *h)
{
    buf_put_text(out, h->n == 1 ? "json path " : "json paths ");
    for (size_t i = 0; i < h->n; i++) {
        buf_put_text(out, i == 0 ? "" : ", ");
        if (h->paths[i].n_keys == 0)
            buf_put_text(out, "(all)");
        for (size_t k = 0; k < h->paths[i].n_keys; k++) {
            buf_put_text(out, k == 0 ? "" : ".");
            buf_put_str(out, h->paths[i].keys[k]);
        }
        buf_put_text(out, " masked: ");
        put_mask(out, h->paths[i].rule);
    }
}

static void
put_shown(struct buf *out, const struct sql_lineage *l, const struct sql_hidden *h, uint32_t type)
{
    const char *before = "";

    switch (h->how) {
    case SQL_HIDE_NOTHING:
        buf_put_text(out, "as it is");
        break;
    case SQL_HIDE_ALL:
        buf_put_text(out, "masked: ");
        put_mask(out, h->rule);
        break;
    case SQL_HIDE_JSON:
        put_paths(out, h);
        break;
    case SQL_HIDE_FIELDS:
        buf_put_text(out, "fields (");
        for (size_t i = 0; i < h->n; i++) {
            if (h->fields[i].how == SQL_HIDE_NOTHING)
                continue;
            buf_put_text(out, before);
            buf_put_str(out, explain_field_name(l, type, i));
            buf_put_text(out, " ");
            put_shown(out, l, &h->fields[i], explain_field_type(l, type, i));
            before = ", ";
        }
        buf_put_text(out, ")");
        break;
    }
}

static int
wider(int width, struct str text)
{
    int n = characters(text);

    return n > COLUMN_WIDTH_MAX ? COLUMN_WIDTH_MAX : n > width ? n : width;
}

static void
put_columns(FILE *out, const struct sql_lineage *l, const struct sql_output *o)
{
    int name_width = COLUMN_WIDTH_MIN, shown_width = COLUMN_WIDTH_MIN;
    struct buf shown = buf_make(TEXT_BYTES_MAX);

    for (size_t i = 0; i < o->n; i++) {
        buf_reset(&shown);
        put_shown(&shown, l, &o->columns[i].hidden, o->columns[i].type);
        name_width = wider(name_width, o->columns[i].name);
        shown_width = wider(shown_width, buf_str(&shown));
    }
    fprintf(out, "  %-*s %-*s %s\n", name_width, "NAME", shown_width, "SHOWN AS", "FROM");
    for (size_t i = 0; i < o->n; i++) {
        const struct sql_output_column *c = &o->columns[i];

        buf_reset(&shown);
        put_shown(&shown, l, &c->hidden, c->type);
        fputs("  ", out);
        put_padded(out, c->name, name_width);
        put_padded(out, buf_str(&shown), shown_width);
        put(out, c->from.len > 0 ? c->from : STR("-"));
        fputc('\n', out);
    }
    buf_free(&shown);
}

static void
put_note(FILE *out, const char *before, struct str name, const char *behind)
{
    fprintf(out, "  %s", before);
    put(out, name);
    fprintf(out, "%s\n", behind);
}

/* FETCH and EXECUTE. */
static void
put_followed(FILE *out, const struct sql_lineage *l, size_t i)
{
    const struct sql_output *o = &l->outputs[i];
    size_t by = explain_made_by(l, i);
    char behind[96];

    if (by > 0)
        (void)snprintf(behind, sizeof(behind), " shows, see statement %zu", by);
    else
        (void)snprintf(behind, sizeof(behind),
                       " shows, which was decided when it was %s: not in this text",
                       o->kind == SQL_OUTPUT_CURSOR ? "declared" : "prepared");
    put_note(out, o->kind == SQL_OUTPUT_CURSOR ? "shows what cursor " : "shows what statement ",
             o->name, behind);
}

static void
put_output(FILE *out, const struct sql_lineage *l, size_t i)
{
    const struct sql_output *o = &l->outputs[i];

    if (o->kind == SQL_OUTPUT_CURSOR || o->kind == SQL_OUTPUT_PREPARED) {
        put_followed(out, l, i);
        return;
    }
    if (o->n > 0)
        put_columns(out, l, o);
    if (o->open)
        put_note(out, o->n > 0 ? "and columns that are not known here" : "columns not known here",
                 STR(""), ", as they are");
    else if (o->n == 0)
        put_note(out, "answers no rows", STR(""), "");
    if (o->kind == SQL_OUTPUT_COPY)
        put_note(out, "copies to the client: COPY ",
                 o->copy_binary ? STR("binary")
                 : o->copy.csv  ? STR("csv")
                                : STR("text"),
                 "");
    if (o->declares)
        put_note(out, o->prepares ? "prepares statement " : "declares cursor ", o->name,
                 o->holds ? ", which outlives its transaction" : "");
}

static void
put_looked_into(FILE *out, const struct sql_lineage *l, const char *what, const uint32_t *oids,
                size_t n,
                void (*put_name)(const struct sql_lineage *l, uint32_t oid, struct buf *out))
{
    struct buf names = buf_make(TEXT_BYTES_MAX), name = buf_make(TEXT_BYTES_MAX);

    for (size_t i = 0; i < n; i++) {
        buf_reset(&name);
        put_name(l, oids[i], &name);
        if (name.len == 0)
            continue;
        buf_put_text(&names, names.len > 0 ? ", " : "");
        buf_put_str(&names, buf_str(&name));
    }
    if (names.len > 0)
        put_note(out, what, buf_str(&names), "");
    buf_free(&name);
    buf_free(&names);
}

static void
put_notes(FILE *out, const struct explanation *x)
{
    const struct sql_lineage *l = x->lineage;

    fputc('\n', out);
    put_looked_into(out, l, "views looked into: ", l->views, l->n_views, explain_put_view);
    put_looked_into(out, l, "functions looked into: ", l->functions, l->n_functions,
                    explain_put_function);
    if (l->guarded && l->refusal.len == 0)
        put_note(out, "errors and notices of the target are told without values", STR(""), "");
    fputs("  names without a schema are looked for in ", out);
    for (size_t i = 0; i < x->path.n; i++) {
        fputs(i == 0 ? "" : ", ", out);
        put(out, x->path.schemas[i]);
    }
    fputc('\n', out);
    if (x->missing_schemas.len > 0)
        put_note(out, "not in this database: schema ", x->missing_schemas, "");
}

/* The beginning of a statement's text. */
static struct str
title(struct str text)
{
    struct str rest = text = str_trim(text);

    for (int n = 0; rest.len > 0 && n < TITLE_CHARACTERS; n++) {
        size_t length = str_utf8_length(rest);

        rest = str_skip(rest, length == 0 ? 1 : length);
    }
    return (struct str){text.ptr, text.len - rest.len};
}

static void
put_lineage(FILE *out, const struct explanation *x)
{
    const struct sql_lineage *l = x->lineage;

    for (size_t i = 0; l->refusal.len == 0 && i < l->n_outputs; i++) {
        fputc('\n', out);
        if (l->n_outputs > 1 && i < x->facts->n_statements) {
            struct str text = str_trim(x->facts->statements[i].text), begin = title(text);

            fprintf(out, "  statement %zu: ", i + 1);
            put(out, begin);
            fputs(begin.len < text.len ? " …\n" : "\n", out);
        }
        put_output(out, l, i);
    }
    put_notes(out, x);
}

void
explain_print(FILE *out, const struct explanation *x)
{
    put_scene(out, x);
    if (!x->of_sql && x->verdict.kind != VERDICT_DENY) {
        put_field(out, "allowed:", x->allowed);
        return;
    }
    put_verdict(out, x);
    if (x->facts == NULL)
        return;
    put_demands(out, x);
    if (x->lineage != NULL)
        put_lineage(out, x);
}
