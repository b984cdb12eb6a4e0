/* The same answer as JSON; its keys are promised in bulkhead(1). */
#include "base/clock.h"
#include "base/json.h"
#include "cli/explain_view.h"
#include "cli/step_up_view.h"
#include "policy/limits.h"

enum { NAME_BYTES_MAX = 4096 };

static void
field_or_null(struct json *j, const char *key, struct str value)
{
    json_key(j, key);
    if (value.len > 0)
        json_str(j, value);
    else
        json_put_null(j);
}

static void
put_strings(struct json *j, const char *key, const struct str *items, size_t n)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        json_str(j, items[i]);
    json_close(j, ']');
}

/* "a, b" as it is kept for records. */
static void
put_list(struct json *j, const char *key, struct str list)
{
    json_key(j, key);
    json_open(j, '[');
    while (list.len > 0) {
        struct str item;

        list = str_cut(list, ',', &item);
        json_str(j, str_trim(item));
    }
    json_close(j, ']');
}

static void
put_scene(struct json *j, const struct explanation *x)
{
    struct buf source = buf_make(NAME_BYTES_MAX);
    char at[CLOCK_TEXT_BYTES];

    clock_format(x->wall_us, at);
    explain_put_source(x, &source);
    json_key(j, "principal");
    json_open(j, '{');
    json_field_str(j, "subject", x->principal->subject);
    json_field_str(j, "issuer", x->principal->issuer);
    put_strings(j, "groups", x->principal->groups.items, x->principal->groups.n);
    json_close(j, '}');
    json_field_str(j, "resource", x->resource->name);
    field_or_null(j, "database", x->database);
    json_field_text(j, "time", at);
    json_field_str(j, "source", buf_str(&source));
    field_or_null(j, "purpose", x->purpose);
    json_key(j, "access");
    if (x->connect != NULL) {
        json_open(j, '{');
        step_up_put_json(j, x->connect);
        json_close(j, '}');
    } else {
        json_put_null(j);
    }
    buf_free(&source);
}

/* Whom a STEP_UP asks, in order. */
static void
put_steps(struct json *j, const struct explanation *x)
{
    json_key(j, "approvals");
    json_open(j, '[');
    for (size_t i = 0; i < x->verdict.n_steps; i++) {
        json_open(j, '{');
        step_up_put_json(j, x->steps[i]);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void
put_refused(struct json *j, const struct explanation *x)
{
    const struct sql_lineage *l = x->lineage;
    const char *instead[EXPLAIN_INSTEAD_MAX];

    json_key(j, "refused");
    if (!explain_is_by_protection(x) || l->refused.len == 0) {
        json_put_null(j);
        return;
    }
    json_open(j, '{');
    json_field_str(j, "column", l->refused);
    json_field_str(j, "use", l->use);
    explain_instead(l, instead);
    json_key(j, "instead");
    json_open(j, '[');
    for (size_t i = 0; instead[i] != NULL; i++)
        json_str(j, str_from(instead[i]));
    json_close(j, ']');
    json_close(j, '}');
}

static void
put_limits(struct json *j, const struct limits *limits)
{
    json_key(j, "limits");
    json_open(j, '{');
    for (int i = 0; i < LIMIT_NUMBERS; i++)
        if (limits_number(limits, i) != 0)
            json_field_uint(j, limit_infos[i].name, limits_number(limits, i));
    if (limits->require_where)
        json_field_bool(j, "require_where", true);
    if (limits->read_only)
        json_field_bool(j, "read_only", true);
    json_close(j, '}');
}

static void
put_verdict(struct json *j, const struct explanation *x)
{
    static const char *const protections[] = {[EXPLAIN_PROTECTS_NOTHING] = "none",
                                              [EXPLAIN_CONSIDERED] = "considered",
                                              [EXPLAIN_NOT_CONSIDERED] = "not considered"};
    static const struct limits no_limits;
    const struct sql_lineage *l = x->lineage;
    bool denied = x->verdict.kind == VERDICT_DENY;

    json_field_text(j, "verdict", explain_verdict_name(x));
    field_or_null(j, "rule", x->verdict.rule);
    json_field_str(j, "reason", x->reason);
    put_steps(j, x);
    json_field_text(j, "protection", protections[x->protection]);
    put_refused(j, x);
    field_or_null(j, "sqlstate", l != NULL ? l->sqlstate : STR(""));
    put_list(j, "masked", l != NULL && !denied ? l->masked : STR(""));
    put_limits(j, denied ? &no_limits : &x->verdict.limits);
    json_field_bool(j, "records_rows", !denied && x->verdict.record.rows);
    field_or_null(j, "allowed", x->allowed);
    json_key(j, "detectors");
    json_open(j, '[');
    for (size_t i = 0; i < x->resource->n_detect; i++)
        json_str(j, x->resource->detect[i].name);
    json_close(j, ']');
}

static void
put_demand(struct json *j, const struct demand *d, const struct verdict *alone)
{
    class_set effect = d->classes & CLASS_EFFECTS_MASK;

    json_open(j, '{');
    field_or_null(j, "effect",
                  str_from(effect == 0 ? "" : class_infos[__builtin_ctzll(effect)].name));
    json_key(j, "classes");
    json_open(j, '[');
    for (class_set left = d->classes & ~CLASS_EFFECTS_MASK; left != 0; left &= left - 1)
        json_str(j, str_from(class_infos[__builtin_ctzll(left)].name));
    json_close(j, ']');
    json_field_text(j, "verdict", verdict_kind_name(alone->kind));
    field_or_null(j, "rule", alone->rule);
    json_key(j, "object");
    if (d->kind == OBJECT_NONE) {
        json_put_null(j);
    } else {
        json_open(j, '{');
        json_field_text(j, "kind", object_kind_name(d->kind));
        field_or_null(j, "schema", d->schema);
        json_field_str(j, "name", d->name);
        json_close(j, '}');
    }
    json_close(j, '}');
}

static void
put_mask(struct json *j, const struct mask_rule *rule)
{
    json_key(j, "mask");
    json_open(j, '{');
    json_field_text(j, "kind", mask_kind_name(rule->kind));
    if (rule->kind == MASK_PARTIAL)
        json_field_uint(j, "keep", rule->keep);
    if (rule->kind == MASK_FIXED)
        json_field_str(j, "text", rule->fixed);
    json_close(j, '}');
}

static void
put_hidden(struct json *j, const struct sql_lineage *l, const struct sql_hidden *h, uint32_t type)
{
    static const char *const shown[] = {[SQL_HIDE_NOTHING] = "as it is",
                                        [SQL_HIDE_ALL] = "masked",
                                        [SQL_HIDE_JSON] = "json",
                                        [SQL_HIDE_FIELDS] = "fields"};

    json_field_text(j, "shown", shown[h->how]);
    if (h->how == SQL_HIDE_ALL)
        put_mask(j, h->rule);
    if (h->how != SQL_HIDE_JSON && h->how != SQL_HIDE_FIELDS)
        return;
    json_key(j, h->how == SQL_HIDE_JSON ? "paths" : "fields");
    json_open(j, '[');
    for (size_t i = 0; i < h->n; i++) {
        json_open(j, '{');
        if (h->how == SQL_HIDE_JSON) {
            put_strings(j, "path", h->paths[i].keys, h->paths[i].n_keys);
            put_mask(j, h->paths[i].rule);
        } else {
            json_field_str(j, "name", explain_field_name(l, type, i));
            put_hidden(j, l, &h->fields[i], explain_field_type(l, type, i));
        }
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void
put_output(struct json *j, const struct sql_lineage *l, size_t i)
{
    static const char *const kinds[] = {[SQL_OUTPUT_NONE] = "none",
                                        [SQL_OUTPUT_ROWS] = "rows",
                                        [SQL_OUTPUT_COPY] = "copy",
                                        [SQL_OUTPUT_CURSOR] = "cursor",
                                        [SQL_OUTPUT_PREPARED] = "prepared"};
    const struct sql_output *o = &l->outputs[i];
    bool follows = o->kind == SQL_OUTPUT_CURSOR || o->kind == SQL_OUTPUT_PREPARED;

    json_field_text(j, "answer", kinds[o->kind]);
    if (o->kind == SQL_OUTPUT_COPY)
        json_field_text(j, "format", o->copy_binary ? "binary" : o->copy.csv ? "csv" : "text");
    if (o->declares)
        json_field_text(j, "makes", o->prepares ? "prepared" : "cursor");
    if (o->declares || follows)
        json_field_str(j, "name", o->name);
    if (follows && explain_made_by(l, i) > 0)
        json_field_uint(j, "made_by", explain_made_by(l, i));
    json_field_bool(j, "more_columns", o->open);
    json_key(j, "columns");
    json_open(j, '[');
    for (size_t k = 0; k < o->n; k++) {
        const struct sql_output_column *c = &o->columns[k];

        json_open(j, '{');
        json_field_str(j, "name", c->name);
        put_hidden(j, l, &c->hidden, c->type);
        put_list(j, "from", c->from);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void
put_statements(struct json *j, const struct explanation *x)
{
    const struct sql_lineage *l = x->lineage;

    json_key(j, "statements");
    json_open(j, '[');
    for (size_t i = 0; x->facts != NULL && i < x->facts->n_statements; i++) {
        json_open(j, '{');
        json_field_str(j, "text", str_trim(x->facts->statements[i].text));
        if (l != NULL && l->refusal.len == 0 && i < l->n_outputs)
            put_output(j, l, i);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void
put_looked_into(struct json *j, const char *key, const struct sql_lineage *l, const uint32_t *oids,
                size_t n,
                void (*put_name)(const struct sql_lineage *l, uint32_t oid, struct buf *out))
{
    struct buf name = buf_make(NAME_BYTES_MAX);

    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < n; i++) {
        buf_reset(&name);
        put_name(l, oids[i], &name);
        if (name.len > 0)
            json_str(j, buf_str(&name));
    }
    json_close(j, ']');
    buf_free(&name);
}

static void
put_sql(struct json *j, const struct explanation *x)
{
    const struct sql_lineage *l = x->lineage;

    json_key(j, "demands");
    json_open(j, '[');
    for (size_t i = 0; x->facts != NULL && i < x->facts->n_demands; i++)
        put_demand(j, &x->facts->demands[i], &x->alone[i]);
    json_close(j, ']');
    put_statements(j, x);
    if (l == NULL)
        return;
    put_looked_into(j, "views", l, l->views, l->n_views, explain_put_view);
    put_looked_into(j, "functions", l, l->functions, l->n_functions, explain_put_function);
    put_strings(j, "search_path", x->path.schemas, x->path.n);
    put_list(j, "missing_schemas", x->missing_schemas);
}

void
explain_write_json(const struct explanation *x, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    put_scene(&j, x);
    if (x->of_sql || x->verdict.kind == VERDICT_DENY)
        put_verdict(&j, x);
    else
        field_or_null(&j, "allowed", x->allowed);
    if (x->of_sql)
        put_sql(&j, x);
    json_close(&j, '}');
    buf_put_u8(out, '\n');
}
