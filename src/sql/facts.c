#include "sql/facts.h"

#include <malloc.h>
#include <pg_query.h>

#include "sql/flow.h"
#include "sql/lexer.h"
#include "sql/tree.h"

enum {
    TREE_BYTES_MAX = 256 << 20,
    TRIM_BYTES = 256 << 10, /* trees above this are given back to the system */
};

static void *
tree_alloc(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void
tree_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

static enum err
check_text(struct str text)
{
    if (text.len > SQL_TEXT_MAX)
        return fail(ERR_LIMIT, "the statement has %zu bytes; at most %d can be analysed", text.len,
                    SQL_TEXT_MAX);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        return fail(ERR_INVALID, "the statement holds a NUL byte");
    if (!str_is_utf8(text))
        return fail(ERR_INVALID, "the statement is not UTF-8");
    if (text.len > SQL_TOKENS_MAX && sql_token_bound(text) > SQL_TOKENS_MAX)
        return fail(ERR_LIMIT, "the statement has more than %d tokens; send it in parts",
                    SQL_TOKENS_MAX);
    return OK;
}

static enum err
parse_error(const PgQueryError *error)
{
    if (error->cursorpos > 0)
        return fail(ERR_PROTOCOL, "%.300s (at character %d)", error->message, error->cursorpos);
    return fail(ERR_PROTOCOL, "%.300s", error->message);
}

int
sql_error_position(struct str text, struct str *message)
{
    static const struct str before = STR_INIT(" (at character ");
    int position = 0, factor = 1;
    size_t i = text.len;

    *message = text;
    if (i == 0 || text.ptr[--i] != ')')
        return 0;
    for (; i > 0 && text.ptr[i - 1] >= '0' && text.ptr[i - 1] <= '9'; i--) {
        if (factor > SQL_TEXT_MAX * 10)
            return 0;
        position += (text.ptr[i - 1] - '0') * factor;
        factor *= 10;
    }
    if (position == 0 || i < before.len ||
        memcmp(text.ptr + i - before.len, before.ptr, before.len) != 0)
        return 0;
    message->len = i - before.len;
    return position;
}

/* The tree lives in `tree` alone; the parser's own memory is given back at once. */
static enum err
parse(struct str text, struct arena *tree, PgQuery__ParseResult **out)
{
    ProtobufCAllocator allocator = {tree_alloc, tree_free, tree};
    const char *sql = arena_text(tree, text);
    PgQueryProtobufParseResult parsed;
    enum err e = OK;

    if (sql == NULL)
        return fail(ERR_NOMEM, "no memory to parse a statement");
    parsed = pg_query_parse_protobuf(sql);
    if (parsed.error != NULL) {
        e = parse_error(parsed.error);
    } else {
        *out = pg_query__parse_result__unpack(&allocator, parsed.parse_tree.len,
                                              (const uint8_t *)parsed.parse_tree.data);
        if (*out == NULL)
            e = fail(ERR_LIMIT, "the parse tree of the statement is too large");
    }
    pg_query_free_protobuf_parse_result(parsed);
    return e;
}

static bool
is_about_rows(const PgQuery__Node *n)
{
    return n->node_case == PG_QUERY__NODE__NODE_SELECT_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_INSERT_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_DELETE_STMT ||
           n->node_case == PG_QUERY__NODE__NODE_MERGE_STMT;
}

static struct str
statement_text(struct str text, const PgQuery__RawStmt *raw)
{
    size_t start = raw->stmt_location > 0 ? (size_t)raw->stmt_location : 0;
    struct str rest = str_skip(text, start);

    if (raw->stmt_len > 0 && (size_t)raw->stmt_len < rest.len)
        rest.len = (size_t)raw->stmt_len;
    return str_trim(rest);
}

static enum err
analyze_statement(struct str text, const struct sql_context *context, bool path_known,
                  struct arena *arena, const PgQuery__RawStmt *raw, struct sql_statement *out,
                  bool *depends, struct sql_purpose *purpose)
{
    struct sql_walk w = {
        .arena = arena, .kind = SQL_OTHER, .name = sql_str(""), .resolved = context != NULL};
    enum err e;

    if (raw->stmt == NULL)
        return fail(ERR_UNSUPPORTED, "the gateway cannot analyse the statement");
    w.text = statement_text(text, raw);
    w.depends = !is_about_rows(raw->stmt);
    if ((e = sql_walk_node(&w, raw->stmt)) != OK)
        return e;
    if (context != NULL && path_known)
        sql_resolve_demands(context, w.demands, &w.n_demands);
    if (w.n_demands == 0 && (e = sql_demand_none(&w, CLASSES(READ))) != OK)
        return e; /* SELECT 1 */
    *out = (struct sql_statement){w.kind, w.name, w.text, w.demands, w.n_demands};
    *depends = *depends || w.depends;
    sql_purpose_add(purpose, &w.purpose);
    return OK;
}

static enum err
collect(struct sql_walk *all, const struct sql_statement *s)
{
    enum err e;

    for (size_t i = 0; i < s->n_demands; i++) {
        const struct demand *d = &s->demands[i];

        if ((e = sql_demand(all, d->classes, d->kind, d->schema, d->name)) != OK)
            return e;
    }
    return OK;
}

/* Nothing but blanks, comments and semicolons: the server answers without doing anything. */
static enum err
empty_facts(struct str text, struct arena *arena, struct sql_facts *out)
{
    struct sql_walk w = {.arena = arena};
    struct sql_statement *s = arena_alloc(arena, sizeof(*s));
    enum err e;

    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for the facts of a statement");
    if ((e = sql_demand_none(&w, CLASSES(READ))) != OK)
        return e;
    *s = (struct sql_statement){SQL_EMPTY, sql_str(""), text, w.demands, w.n_demands};
    *out = (struct sql_facts){
        .statements = s, .n_statements = 1, .demands = w.demands, .n_demands = w.n_demands};
    return OK;
}

/* Whether names behind a statement of the string still mean what they did. */
static bool
keeps_meanings(const struct sql_statement *s, const struct sql_context *context)
{
    static const class_set changes = CLASSES(SET) | CLASSES(ROLE_CHANGE) | CLASSES(CODE) |
                                     CLASSES(ADMIN) | CLASSES(DDL) | CLASSES(TEMPORARY);
    bool ends = s->kind == SQL_ROLLBACK || s->kind == SQL_ROLLBACK_TO || s->kind == SQL_COMMIT;

    /* a prepared query, or a cursor's, may call set_config() */
    if (s->kind == SQL_EXECUTE || s->kind == SQL_FETCH || s->kind == SQL_SET ||
        s->kind == SQL_DISCARD_ALL || (ends && context->path_uncommitted))
        return false;
    for (size_t i = 0; i < s->n_demands; i++)
        if ((s->demands[i].classes & changes) != 0 &&
            (s->demands[i].classes & CLASSES(MAINTENANCE)) == 0)
            return false;
    return true;
}

static enum err
analyze_tree(struct str text, const struct sql_context *context, struct arena *arena,
             const PgQuery__ParseResult *tree, struct sql_facts *out)
{
    struct sql_walk all = {.arena = arena};
    bool path_known = context != NULL && context->path_known;
    struct sql_statement *statements;
    struct sql_purpose purpose = {.value = STR("")};
    bool depends = false;
    enum err e;

    if (tree->n_stmts == 0)
        return empty_facts(text, arena, out);
    if (tree->n_stmts > SQL_STATEMENTS_MAX)
        return fail(ERR_LIMIT, "the string has more than %d statements", SQL_STATEMENTS_MAX);
    if ((statements = arena_array(arena, tree->n_stmts, sizeof(*statements))) == NULL)
        return fail(ERR_NOMEM, "no memory for the facts of a statement");
    for (size_t i = 0; i < tree->n_stmts; i++) {
        if ((e = analyze_statement(text, context, path_known, arena, tree->stmts[i], &statements[i],
                                   &depends, &purpose)) != OK)
            return e;
        path_known = path_known && keeps_meanings(&statements[i], context);
    }
    *out = (struct sql_facts){.statements = statements,
                              .n_statements = tree->n_stmts,
                              .demands = statements[0].demands,
                              .n_demands = statements[0].n_demands,
                              .depends_on_literals = depends,
                              .purpose = purpose};
    if (tree->n_stmts == 1)
        return OK;
    for (size_t i = 0; i < tree->n_stmts; i++)
        if ((e = collect(&all, &statements[i])) != OK)
            return e;
    out->demands = all.demands;
    out->n_demands = all.n_demands;
    return OK;
}

enum err
sql_analyze(struct str text, const struct sql_context *context, struct arena *arena,
            struct sql_facts *out)
{
    PgQuery__ParseResult *parsed = NULL;
    struct arena *tree;
    bool large;
    enum err e;

    if ((e = check_text(text)) != OK)
        return e;
    if ((tree = arena_new(TREE_BYTES_MAX)) == NULL)
        return fail(ERR_NOMEM, "no memory to parse a statement");
    if ((e = parse(text, tree, &parsed)) == OK)
        e = analyze_tree(text, context, arena, parsed, out);
    if (e == OK && context != NULL)
        e = sql_lineage_of(context, parsed, out, arena, &out->depends_on_literals, &out->lineage);
    large = arena_used(tree) > TRIM_BYTES;
    arena_free(tree);
    if (large)
        malloc_trim(0);
    return e;
}
