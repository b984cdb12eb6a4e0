/* Whole statements: what each answers, and what of it is hidden. */
#include "sql/lineage.h"

#include <pg_query.h>
#include <stdlib.h>

#include "sql/flow.h"
#include "sql/shield.h"

#define NODE(kind) PG_QUERY__NODE__NODE_##kind

enum { CURSOR_HOLD = 0x20 }; /* CURSOR_OPT_HOLD of PostgreSQL's parsenodes.h */

static const struct mask_rule redact = {.kind = MASK_REDACT};

/* What is known of one statement's answer, before it is kept. */
struct draft {
    enum sql_output_kind kind;
    struct str name;
    struct row row;
    bool declares, holds, prepares, closes, copy_binary, free_rows;
    struct mask_copy copy;
};

static struct draft statement(struct analysis *a, const PgQuery__Node *node);

/* Queries that run later, or that are only planned. */

static struct draft
rows(struct row row)
{
    return (struct draft){.kind = SQL_OUTPUT_ROWS, .row = row};
}

static struct draft
changes(struct row row, size_t n_returning)
{
    return (struct draft){.kind = n_returning > 0 ? SQL_OUTPUT_ROWS : SQL_OUTPUT_NONE, .row = row};
}

static struct draft
announced(struct analysis *a, const PgQuery__Node *query, const char *name)
{
    struct draft d = statement(a, query);

    d.declares = true;
    d.name = sql_str(name);
    return d;
}

static struct draft
explain(struct analysis *a, const PgQuery__Node *query)
{
    static const struct column plan = {.name = STR_INIT("QUERY PLAN")};
    struct draft inner = statement(a, query);

    (void)inner;
    return (struct draft){
        .kind = SQL_OUTPUT_ROWS, .row = {.columns = &plan, .n = 1}, .free_rows = true};
}

static struct draft
execute(struct analysis *a, const PgQuery__ExecuteStmt *s)
{
    const struct level l = {0};

    for (size_t i = 0; i < s->n_params; i++)
        compute_observe(a, &l, s->params[i], "EXECUTE");
    return (struct draft){.kind = SQL_OUTPUT_PREPARED, .name = sql_str(s->name)};
}

static void
observe_row(struct analysis *a, struct row row, const char *what)
{
    for (size_t i = 0; i < row.n; i++)
        flow_observe(a, row.columns[i].flow, what);
}

/* COPY. */

static bool
option_true(const PgQuery__Node *value)
{
    struct str text;

    if (value == NULL)
        return true;
    if (value->node_case == NODE(INTEGER))
        return value->integer->ival != 0;
    if (value->node_case == NODE(BOOLEAN))
        return value->boolean->boolval;
    return sql_constant(value, &text) && !str_equal_nocase(text, STR("false")) &&
           !str_equal_nocase(text, STR("off"));
}

static void
copy_option(struct analysis *a, const PgQuery__DefElem *o, struct draft *d, bool *format_known)
{
    struct str value = STR("");

    (void)sql_constant(o->arg, &value);
    if (strcmp(o->defname, "format") == 0) {
        *format_known = true;
        d->copy.csv = str_is(value, "csv");
        d->copy_binary = str_is(value, "binary");
    } else if (strcmp(o->defname, "header") == 0) {
        d->copy.header = option_true(o->arg);
    } else if (strcmp(o->defname, "delimiter") == 0 && value.len == 1) {
        d->copy.delimiter = value.ptr[0];
    } else if (strcmp(o->defname, "quote") == 0 && value.len == 1) {
        d->copy.quote = value.ptr[0];
    } else if (strcmp(o->defname, "escape") == 0 && value.len == 1) {
        d->copy.escape = value.ptr[0];
    } else if (strcmp(o->defname, "null") == 0) {
        d->copy.null = arena_str(a->arena, value);
        if (d->copy.null.len == 0)
            d->copy.null.ptr = "";
    } else if (strcmp(o->defname, "force_quote") != 0 && strcmp(o->defname, "encoding") != 0 &&
               strcmp(o->defname, "freeze") != 0) {
        d->kind = SQL_OUTPUT_NONE; /* an option that is not known: see copy_out() */
    } else if (strcmp(o->defname, "encoding") == 0 && !str_equal_nocase(value, STR("utf8")) &&
               !str_equal_nocase(value, STR("utf-8"))) {
        d->kind = SQL_OUTPUT_NONE;
    }
}

static void
copy_format(struct analysis *a, const PgQuery__CopyStmt *s, struct draft *d)
{
    bool format_known = false;

    d->kind = SQL_OUTPUT_COPY;
    d->copy = (struct mask_copy){.null = {NULL, 0}};
    for (size_t i = 0; i < s->n_options; i++)
        if (s->options[i]->node_case == NODE(DEF_ELEM))
            copy_option(a, s->options[i]->def_elem, d, &format_known);
    if (d->copy.delimiter == '\0')
        d->copy.delimiter = d->copy.csv ? ',' : '\t';
    if (d->copy.quote == '\0')
        d->copy.quote = '"';
    if (d->copy.escape == '\0')
        d->copy.escape = d->copy.quote;
    if (d->copy.null.ptr == NULL)
        d->copy.null = d->copy.csv ? STR("") : STR("\\N");
}

/* The columns that a COPY of a table names, or all but the generated ones. */
static struct row
copied_columns(struct analysis *a, const struct item *item, const PgQuery__CopyStmt *s)
{
    size_t max = s->n_attlist > 0 ? s->n_attlist : item->row.n;
    struct column *columns = flow_alloc(a, max, sizeof(*columns));
    const struct catalog_relation *r = item->relation;
    size_t n = 0;

    if (columns == NULL)
        return (struct row){0};
    for (size_t i = 0; i < s->n_attlist; i++) {
        const struct column *c = row_find(&item->row, sql_node_text(s->attlist[i]));

        if (c == NULL) {
            flow_error(a, "42703", "column \"%.*s\" of relation \"%.*s\" does not exist",
                       STR_ARG(sql_node_text(s->attlist[i])), STR_ARG(item->name));
            a->unknown_name = true;
            return (struct row){0};
        }
        columns[n++] = *c;
    }
    for (uint32_t i = 0; s->n_attlist == 0 && i < item->row.n; i++)
        if (a->catalog->attributes[r->first_attribute + i].generated.len == 0)
            columns[n++] = item->row.columns[i];
    return (struct row){.columns = columns, .n = n};
}

static struct draft
copy(struct analysis *a, const PgQuery__CopyStmt *s)
{
    const struct level l = {0};
    struct draft d = {0};
    const struct item *item = NULL;

    if (s->is_program || s->filename[0] != '\0') {
        flow_refuse_because(a, "COPY with files or programs of the server can reach protected data "
                               "past the gateway's rules");
        return d;
    }
    if (s->relation != NULL && (item = from_relation(a, &l, s->relation)) == NULL)
        return d;
    if (s->is_from) {
        struct row row = item == NULL ? row_none : copied_columns(a, item, s);
        struct level at = {0};

        if (item == NULL || a->failed)
            return d;
        a->guarded = a->guarded || item->relation->has_triggers;
        for (size_t i = 0; i < row.n && !a->failed; i++)
            change_column(a, item, row.columns[i].name);
        at.names = names_of(a, item);
        compute_observe(a, &at, s->where_clause, "WHERE");
        return d;
    }
    copy_format(a, s, &d);
    d.row = item != NULL ? copied_columns(a, item, s) : query_node(a, &l, s->query);
    if (d.kind == SQL_OUTPUT_NONE) {
        observe_row(a, d.row, "COPY with options that the gateway does not mask");
        d.kind = SQL_OUTPUT_COPY;
    }
    return d;
}

/* Definitions. */

static bool
makes_table(const PgQuery__SelectStmt *s)
{
    while (s->larg != NULL)
        s = s->larg;
    return s->into_clause != NULL;
}

static struct draft
select_query(struct analysis *a, const PgQuery__Node *node)
{
    const struct level l = {0};
    struct row row = query_node(a, &l, node);

    if (!makes_table(node->select_stmt))
        return rows(row);
    observe_row(a, row, "SELECT INTO");
    return (struct draft){0};
}

/* What a view's definition hides would not be hidden in what other sessions still know of it. */
static void
create_view(struct analysis *a, const PgQuery__ViewStmt *s)
{
    struct draft d = statement(a, s->query);

    owner_check_relation(a, s->view);
    observe_row(a, d.row, "a view's definition");
}

static struct draft
create_as(struct analysis *a, const PgQuery__Node *query)
{
    struct draft d = statement(a, query);

    observe_row(a, d.row, "what is copied into a table");
    if (d.kind == SQL_OUTPUT_PREPARED)
        flow_refuse_because(a, "CREATE TABLE … AS EXECUTE is not followed");
    return (struct draft){0};
}

static struct draft
statement(struct analysis *a, const PgQuery__Node *node)
{
    PgQuery__Node call = {.node_case = NODE(FUNC_CALL)};
    const struct level l = {0};
    struct draft d = {0};
    struct row row;

    if (node == NULL || a->failed)
        return d;
    switch (node->node_case) {
    case NODE(SELECT_STMT):
        return select_query(a, node);
    case NODE(INSERT_STMT):
        row = query_node(a, &l, node);
        return changes(row, node->insert_stmt->n_returning_list);
    case NODE(UPDATE_STMT):
        row = query_node(a, &l, node);
        return changes(row, node->update_stmt->n_returning_list);
    case NODE(DELETE_STMT):
        row = query_node(a, &l, node);
        return changes(row, node->delete_stmt->n_returning_list);
    case NODE(MERGE_STMT):
        (void)query_node(a, &l, node);
        return d;
    case NODE(EXPLAIN_STMT):
        return explain(a, node->explain_stmt->query);
    case NODE(PREPARE_STMT):
        d = announced(a, node->prepare_stmt->query, node->prepare_stmt->name);
        d.prepares = true;
        return d;
    case NODE(DECLARE_CURSOR_STMT):
        d = announced(a, node->declare_cursor_stmt->query, node->declare_cursor_stmt->portalname);
        d.holds = (node->declare_cursor_stmt->options & CURSOR_HOLD) != 0;
        return d;
    case NODE(EXECUTE_STMT):
        return execute(a, node->execute_stmt);
    case NODE(FETCH_STMT):
        d.kind = node->fetch_stmt->ismove ? SQL_OUTPUT_NONE : SQL_OUTPUT_CURSOR;
        d.name = sql_str(node->fetch_stmt->portalname);
        return d;
    case NODE(CLOSE_PORTAL_STMT):
        return (struct draft){.name = sql_str(node->close_portal_stmt->portalname), .closes = true};
    case NODE(DISCARD_STMT):
        d.closes = node->discard_stmt->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL;
        return d;
    case NODE(COPY_STMT):
        return copy(a, node->copy_stmt);
    case NODE(CREATE_TABLE_AS_STMT):
        return create_as(a, node->create_table_as_stmt->query);
    case NODE(VIEW_STMT):
        create_view(a, node->view_stmt);
        return d;
    case NODE(VARIABLE_SHOW_STMT):
        return (struct draft){.kind = SQL_OUTPUT_ROWS, .row = {.open = true}, .free_rows = true};
    case NODE(CALL_STMT):
        call.func_call = node->call_stmt->funccall;
        (void)compute(a, &l, &call);
        return (struct draft){.kind = SQL_OUTPUT_ROWS, .row = {.open = true}};
    case NODE(DO_STMT):
        flow_refuse_because(a, "DO runs code that cannot be looked into, and column protection is "
                               "configured");
        return d;
    case NODE(TRANSACTION_STMT):
    case NODE(DEALLOCATE_STMT):
    case NODE(VARIABLE_SET_STMT):
    case NODE(CONSTRAINTS_SET_STMT):
    case NODE(LISTEN_STMT):
    case NODE(UNLISTEN_STMT):
    case NODE(NOTIFY_STMT):
    case NODE(LOCK_STMT):
    case NODE(TRUNCATE_STMT):
    case NODE(DROP_STMT):
    case NODE(COMMENT_STMT):
    case NODE(GRANT_STMT):
    case NODE(CHECK_POINT_STMT):
        return d;
    case NODE(VACUUM_STMT):
    case NODE(REINDEX_STMT):
    case NODE(REFRESH_MAT_VIEW_STMT):
        a->guarded = true; /* "key (…)=(…) is duplicated" */
        return d;
    case NODE(CREATE_FDW_STMT):
    case NODE(ALTER_FDW_STMT):
    case NODE(CREATE_FOREIGN_SERVER_STMT):
    case NODE(ALTER_FOREIGN_SERVER_STMT):
    case NODE(CREATE_FOREIGN_TABLE_STMT):
    case NODE(IMPORT_FOREIGN_SCHEMA_STMT):
    case NODE(CREATE_USER_MAPPING_STMT):
    case NODE(ALTER_USER_MAPPING_STMT):
    case NODE(CREATE_PUBLICATION_STMT):
    case NODE(ALTER_PUBLICATION_STMT):
    case NODE(CREATE_SUBSCRIPTION_STMT):
    case NODE(ALTER_SUBSCRIPTION_STMT):
    case NODE(CREATE_EVENT_TRIG_STMT):
    case NODE(LOAD_STMT):
    case NODE(ALTER_SYSTEM_STMT):
        flow_refuse_because(a, "this statement opens ways to data past the gateway, and column "
                               "protection is configured");
        return d;
    default:
        owner_check(a, node);
        return d;
    }
}

struct row
analysis_of_text(struct analysis *a, struct str text)
{
    const char *sql = arena_text(a->arena, text);
    PgQueryProtobufParseResult parsed;
    PgQuery__ParseResult *tree = NULL;
    struct row row = {.open = true};

    if (sql == NULL)
        return row;
    parsed = pg_query_parse_protobuf(sql);
    if (parsed.error == NULL)
        tree = pg_query__parse_result__unpack(NULL, parsed.parse_tree.len,
                                              (const uint8_t *)parsed.parse_tree.data);
    pg_query_free_protobuf_parse_result(parsed);
    if (tree == NULL)
        return row;
    if (tree->n_stmts == 1 && tree->stmts[0]->stmt != NULL &&
        tree->stmts[0]->stmt->node_case == NODE(SELECT_STMT)) {
        const struct level l = {0};

        row = query_select(a, &l, tree->stmts[0]->stmt->select_stmt);
    }
    /* Names of columns borrow from the tree, but the view's own names are used. */
    pg_query__parse_result__free_unpacked(tree, NULL);
    return row;
}

/* What is hidden. */

static const struct mask_rule *
mask_of(const struct taint *list)
{
    const struct mask_rule *rule = &list->rule->mask;
    bool same = true, derived = false;

    for (const struct taint *t = list; t != NULL; t = t->next) {
        const struct mask_rule *r = &t->rule->mask;

        derived = derived || t->derived || t->inside_json;
        same = same && r->kind == rule->kind && r->keep == rule->keep &&
               str_equal(r->fixed, rule->fixed);
    }
    if (!same || (derived && rule->kind != MASK_NULL && rule->kind != MASK_FIXED))
        return &redact;
    return rule;
}

static bool
wholly(const struct taint *list)
{
    for (; list != NULL; list = list->next)
        if (!list->inside_json)
            return true;
    return false;
}

static struct sql_hidden
hidden_paths(struct analysis *a, const struct taint *list)
{
    struct sql_hidden h = {.how = SQL_HIDE_JSON};
    struct mask_path *paths;

    for (const struct taint *t = list; t != NULL; t = t->next)
        h.n++;
    if ((paths = flow_alloc(a, h.n, sizeof(*paths))) == NULL)
        return (struct sql_hidden){.how = SQL_HIDE_ALL, .rule = &redact};
    h.paths = paths;
    for (const struct taint *t = list; t != NULL; t = t->next)
        *paths++ = (struct mask_path){t->path, t->n_path, &t->rule->mask};
    return h;
}

static struct sql_hidden
hidden_of(struct analysis *a, struct flow f)
{
    const struct taint *all = flow_taint(a, f);
    struct sql_hidden h = {.how = SQL_HIDE_FIELDS}, *fields;

    if (all == NULL)
        return (struct sql_hidden){.how = SQL_HIDE_NOTHING};
    if (f.row == NULL || f.taint != NULL)
        return wholly(all) || f.row != NULL
                   ? (struct sql_hidden){.how = SQL_HIDE_ALL, .rule = mask_of(all)}
                   : hidden_paths(a, all);
    if (f.row->relation == NULL || f.row->open || f.row->n != f.row->relation->n_attributes) {
        flow_refuse(a, all, "a whole row of a query (name the columns)");
        return h;
    }
    if ((fields = flow_alloc(a, f.row->n, sizeof(*fields))) == NULL)
        return h;
    for (size_t i = 0; i < f.row->n; i++)
        fields[i] = hidden_of(a, f.row->columns[i].flow);
    h.fields = fields;
    h.n = f.row->n;
    return h;
}

static bool
is_listed(struct str list, struct str name)
{
    while (list.len > 0) {
        struct str item;

        list = str_cut(list, ',', &item);
        if (str_equal(str_trim(item), name))
            return true;
    }
    return false;
}

/* Names of protected columns, each once. */
static void
put_names(struct analysis *a, struct buf *out, const struct taint *list)
{
    for (; list != NULL; list = list->next) {
        struct str name = taint_name(a, list);

        if (is_listed(buf_str(out), name))
            continue;
        if (out->len > 0)
            buf_put_text(out, ", ");
        buf_put_str(out, name);
    }
}

enum { NAMES_MAX = 2048 };

static struct sql_output_column
output_column(struct analysis *a, const struct column *c, struct buf *masked)
{
    const struct taint *taint = flow_taint(a, c->flow);
    struct sql_output_column out = {.name = c->name,
                                    .type = c->flow.row != NULL && c->flow.row->relation != NULL
                                                ? c->flow.row->relation->type
                                                : c->flow.type,
                                    .relation = c->flow.relation,
                                    .attribute = c->flow.attribute,
                                    .hidden = hidden_of(a, c->flow)};
    struct buf from = buf_make(NAMES_MAX);

    put_names(a, &from, taint);
    put_names(a, masked, taint);
    out.from = arena_str(a->arena, buf_str(&from));
    buf_free(&from);
    return out;
}

static struct sql_output
output_of(struct analysis *a, const struct draft *d, struct buf *masked)
{
    struct sql_output out = {.kind = d->kind,
                             .name = d->name,
                             .open = d->row.open,
                             .declares = d->declares,
                             .holds = d->holds,
                             .prepares = d->prepares,
                             .closes = d->closes,
                             .copy_binary = d->copy_binary,
                             .copy = d->copy,
                             .catalog_only = d->free_rows ||
                                             (a->reads_system && !a->reads_user && !a->generates)};
    struct sql_output_column *columns = flow_alloc(a, d->row.n, sizeof(*columns));

    if (columns == NULL || (d->kind == SQL_OUTPUT_NONE && !d->declares))
        return out;
    for (size_t i = 0; i < d->row.n && !a->failed; i++) {
        columns[i] = output_column(a, &d->row.columns[i], masked);
        out.hides = out.hides || columns[i].hidden.how != SQL_HIDE_NOTHING;
    }
    if (out.hides && out.open)
        flow_refuse_because(a, "a protected column beside columns that are not all known; name the "
                               "columns instead of *");
    out.columns = columns;
    out.n = d->row.n;
    return out;
}

/* Keeping it: one block, measured and then filled by the same code. */

struct block {
    char *at; /* NULL: measuring */
    size_t size;
};

static void *
keep_array(struct block *b, const void *items, size_t n, size_t size)
{
    void *place = b->at;
    size_t bytes = n * size, padded = bytes + -bytes % sizeof(void *);

    b->size += padded;
    if (b->at == NULL)
        return NULL;
    if (bytes > 0)
        memcpy(place, items, bytes);
    b->at += padded;
    return place;
}

static struct str
keep_str(struct block *b, struct str s)
{
    const char *place = keep_array(b, s.ptr, s.len, 1);

    return (struct str){place == NULL ? "" : place, s.len};
}

static struct sql_hidden
keep_hidden(struct block *b, struct sql_hidden h)
{
    if (h.how == SQL_HIDE_JSON) {
        h.paths = keep_array(b, h.paths, h.n, sizeof(*h.paths));
    } else if (h.how == SQL_HIDE_FIELDS) {
        struct sql_hidden *fields = keep_array(b, h.fields, h.n, sizeof(*fields));

        for (size_t i = 0; i < h.n; i++) {
            struct sql_hidden kept = keep_hidden(b, h.fields[i]);

            if (fields != NULL)
                fields[i] = kept;
        }
        h.fields = fields;
    }
    return h;
}

static void
keep_output(struct block *b, const struct sql_output *from, struct sql_output *to)
{
    struct sql_output_column *columns = keep_array(b, from->columns, from->n, sizeof(*columns));
    struct sql_output kept = *from;

    for (size_t i = 0; i < from->n; i++) {
        struct sql_output_column column = from->columns[i];

        column.name = keep_str(b, column.name);
        column.from = keep_str(b, column.from);
        column.hidden = keep_hidden(b, column.hidden);
        if (columns != NULL)
            columns[i] = column;
    }
    kept.columns = columns;
    kept.name = keep_str(b, from->name);
    kept.copy.null = keep_str(b, from->copy.null);
    if (to != NULL)
        *to = kept;
}

static struct sql_lineage
keep_lineage(struct block *b, const struct sql_lineage *from)
{
    struct sql_lineage kept = *from;
    struct sql_output *outputs = keep_array(b, from->outputs, from->n_outputs, sizeof(*outputs));

    for (size_t i = 0; i < from->n_outputs; i++)
        keep_output(b, &from->outputs[i], outputs == NULL ? NULL : &outputs[i]);
    kept.outputs = outputs;
    kept.refusal = keep_str(b, from->refusal);
    kept.refused = keep_str(b, from->refused);
    kept.use = keep_str(b, from->use);
    kept.sqlstate = keep_str(b, from->sqlstate);
    kept.masked = keep_str(b, from->masked);
    kept.views = keep_array(b, from->views, from->n_views, sizeof(uint32_t));
    kept.view_versions = keep_array(b, from->view_versions, from->n_views, sizeof(uint32_t));
    kept.functions = keep_array(b, from->functions, from->n_functions, sizeof(uint32_t));
    kept.function_versions =
        keep_array(b, from->function_versions, from->n_functions, sizeof(uint32_t));
    return kept;
}

static enum err
freeze(const struct sql_lineage *from, const struct sql_lineage **out)
{
    struct block measure = {NULL, 0}, fill;
    struct sql_lineage *kept;

    (void)keep_lineage(&measure, from);
    if ((kept = malloc(sizeof(*kept) + measure.size)) == NULL)
        return fail(ERR_NOMEM, "no memory for a statement's lineage");
    fill = (struct block){(char *)(kept + 1), 0};
    *kept = keep_lineage(&fill, from);
    kept->references = 1;
    kept->bytes = sizeof(*kept) + measure.size;
    kept->shield = shield_hold(from->shield);
    *out = kept;
    return OK;
}

void
sql_lineage_release(const struct sql_lineage *l)
{
    struct sql_lineage *owned = (struct sql_lineage *)(uintptr_t)l;

    if (owned == NULL || --owned->references > 0)
        return;
    shield_free(owned->shield);
    free(owned);
}

/* The search path within a string. */

static bool
set_path(struct analysis *a, const PgQuery__VariableSetStmt *s)
{
    struct str *schemas = flow_alloc(a, s->n_args + 2, sizeof(*schemas));
    bool has_catalog = false;
    size_t n = 0;

    if (s->kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE || schemas == NULL)
        return false;
    for (size_t i = 0; n == 0 && i < a->path.n; i++)
        if (str_starts(a->path.schemas[i], STR("pg_temp_")))
            schemas[n++] = a->path.schemas[i];
    for (size_t i = 0; i < s->n_args; i++) {
        struct str name;

        if (!sql_constant(s->args[i], &name) || str_is(name, "$user") ||
            str_starts(name, STR("pg_temp")) || n > s->n_args)
            return false;
        has_catalog = has_catalog || str_is(name, "pg_catalog");
        schemas[n++] = name;
    }
    if (!has_catalog) { /* searched first */
        size_t at = n > s->n_args ? n - s->n_args : 0;

        memmove(schemas + at + 1, schemas + at, (n - at) * sizeof(*schemas));
        schemas[at] = STR("pg_catalog");
        n++;
    }
    a->path = (struct sql_path){schemas, n};
    return true;
}

static bool
demands_any(const struct sql_statement *s, class_set classes)
{
    for (size_t i = 0; i < s->n_demands; i++)
        if ((s->demands[i].classes & classes) != 0)
            return true;
    return false;
}

/* Definitions; not those that only look after what there is. */
static bool
changes_meanings(const struct sql_statement *s)
{
    static const class_set meanings = CLASSES(DDL) | CLASSES(DEFINE_CODE) | CLASSES(TEMPORARY);

    for (size_t i = 0; i < s->n_demands; i++)
        if ((s->demands[i].classes & meanings) != 0 &&
            (s->demands[i].classes & CLASSES(MAINTENANCE)) == 0)
            return true;
    return false;
}

static bool
has_temporary(const struct analysis *a)
{
    for (size_t i = 0; i < a->path.n; i++)
        if (str_starts(a->path.schemas[i], STR("pg_temp_")))
            return true;
    return false;
}

/* What names mean after a statement of the string. What the end of a transaction undoes is not
 * followed. */
static void
after_statement(struct analysis *a, const struct sql_context *context, const PgQuery__Node *node,
                const struct sql_statement *s)
{
    static const class_set settings = CLASSES(SET) | CLASSES(CODE) | CLASSES(ADMIN) |
                                      CLASSES(TEMPORARY) | CLASSES(ROLE_CHANGE);
    bool undoes = s->kind == SQL_ROLLBACK || s->kind == SQL_ROLLBACK_TO;
    bool ends = undoes || s->kind == SQL_COMMIT || demands_any(s, CLASSES(TWO_PHASE));

    a->stale = a->stale || (undoes && context->path_uncommitted) || changes_meanings(s) ||
               node->node_case == NODE(DISCARD_STMT) ||
               (ends && has_temporary(a)); /* ON COMMIT DROP */
    if (node->node_case == NODE(VARIABLE_SET_STMT) &&
        strcmp(node->variable_set_stmt->name, "search_path") == 0) {
        a->path_known = set_path(a, node->variable_set_stmt);
        a->path_changed = true;
    } else if (ends) {
        a->path_known = a->path_known && !context->path_uncommitted && !a->path_changed;
    } else if (demands_any(s, settings) || s->kind == SQL_EXECUTE || s->kind == SQL_FETCH) {
        /* a prepared query, or a cursor's, may call set_config() */
        a->path_known = false;
        a->path_changed = true;
    }
}

static void
take_refusal(struct analysis *a, struct sql_lineage *l)
{
    if (!a->failed)
        return;
    l->refusal = a->refusal;
    l->refused = a->refused;
    l->use = a->use;
    l->refused_rule = a->refused_rule;
    l->sqlstate = a->sqlstate;
    l->unknown_name = a->unknown_name;
}

enum err
sql_lineage_of(const struct sql_context *context, const PgQuery__ParseResult *tree,
               const struct sql_facts *facts, struct arena *arena, bool *depends,
               const struct sql_lineage **out)
{
    struct analysis a = {.arena = arena,
                         .shield = context->shield,
                         .catalog = shield_catalog(context->shield),
                         .path = context->path,
                         .path_known = context->path_known};
    struct sql_output *outputs = flow_alloc(&a, tree->n_stmts, sizeof(*outputs));
    struct sql_lineage l = {.shield = context->shield, .outputs = outputs};
    struct buf masked = buf_make(NAMES_MAX);
    enum err e;

    for (size_t i = 0; i < tree->n_stmts && !a.failed; i++) {
        struct draft d;

        a.reads_user = a.reads_system = a.generates = false;
        d = statement(&a, tree->stmts[i]->stmt);
        if (!a.failed)
            outputs[l.n_outputs++] = output_of(&a, &d, &masked);
        after_statement(&a, context, tree->stmts[i]->stmt, &facts->statements[i]);
    }
    take_refusal(&a, &l);
    l.guarded = a.guarded;
    l.views = a.views.oids;
    l.view_versions = a.views.versions;
    l.n_views = a.views.n;
    l.functions = a.functions.oids;
    l.function_versions = a.functions.versions;
    l.n_functions = a.functions.n;
    l.masked = buf_str(&masked);
    *depends = *depends || a.depends;
    e = freeze(&l, out);
    buf_free(&masked);
    return e;
}
