/* SQL for people's eyes: where its tokens are and what kind they are, and line breaks before its
 * main clauses. A view: nothing is decided by it. */
#include "control/request_json.h"
#include "sql/lexer.h"

struct word {
    const char *text;
    bool clause; /* begins a line */
};

/* What is shown as a keyword; PostgreSQL has more, but these are what readers look for. */
static const struct word words[] = {
    {"select", true},     {"from", true},          {"where", true},      {"group", true},
    {"having", true},     {"order", true},         {"limit", true},      {"offset", true},
    {"union", true},      {"intersect", true},     {"except", true},     {"values", true},
    {"set", true},        {"returning", true},     {"using", true},      {"with", true},
    {"insert", true},     {"update", true},        {"delete", true},     {"merge", true},
    {"when", true},       {"join", true},          {"left", true},       {"right", true},
    {"inner", true},      {"full", true},          {"cross", true},      {"window", true},
    {"fetch", true},      {"for", false},          {"on", false},        {"and", false},
    {"or", false},        {"not", false},          {"in", false},        {"is", false},
    {"null", false},      {"as", false},           {"by", false},        {"into", false},
    {"create", false},    {"alter", false},        {"drop", false},      {"table", false},
    {"column", false},    {"index", false},        {"view", false},      {"schema", false},
    {"add", false},       {"constraint", false},   {"primary", false},   {"foreign", false},
    {"key", false},       {"references", false},   {"unique", false},    {"check", false},
    {"default", false},   {"cascade", false},      {"restrict", false},  {"if", false},
    {"exists", false},    {"begin", false},        {"commit", false},    {"rollback", false},
    {"truncate", false},  {"grant", false},        {"revoke", false},    {"to", false},
    {"distinct", false},  {"all", false},          {"case", false},      {"then", false},
    {"else", false},      {"end", false},          {"between", false},   {"like", false},
    {"ilike", false},     {"asc", false},          {"desc", false},      {"conflict", false},
    {"do", false},        {"nothing", false},      {"outer", false},     {"lateral", false},
    {"recursive", false}, {"materialized", false}, {"function", false},  {"role", false},
    {"user", false},      {"database", false},     {"extension", false}, {"type", false},
    {"true", false},      {"false", false},        {"only", false},      {"rename", false},
    {"owner", false},     {"explain", false},      {"analyze", false},   {"copy", false},
    {"vacuum", false},    {"lock", false},         {"call", false},      {"execute", false},
};

static const struct word *
find_word(struct str s)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (str_equal_nocase(s, str_from(words[i].text)))
            return &words[i];
    return NULL;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool
is_blank(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_space(s.ptr[i]))
            return false;
    return true;
}

static struct str
part(struct str text, size_t start, size_t len)
{
    return (struct str){text.ptr + start, len};
}

/* --- line breaks -------------------------------------------------------------------------------
 */

enum { INDENT = 4, INDENT_MAX = 8, LINES_MAX = 2000 };

static void
put_break(struct buf *out, size_t depth)
{
    buf_put_u8(out, '\n');
    for (size_t i = 0; i < depth && i < INDENT_MAX; i++)
        buf_put(out, "    ", INDENT);
}

/* Whether a line begins at this word. One that follows another clause word belongs to it: LEFT
 * JOIN, GROUP BY, DELETE FROM. */
static bool
begins_line(struct str text, const struct sql_token *t, bool after_clause)
{
    const struct word *word;

    if (t->kind != SQL_TOKEN_WORD || after_clause)
        return false;
    word = find_word(part(text, t->start, t->len));
    return word != NULL && word->clause;
}

void
request_json_format(struct str text, struct buf *out)
{
    struct sql_token t;
    size_t at = 0, done = 0, depth = 0, lines = 0;
    bool after_clause = true; /* nothing before the first word */

    while (sql_lex(text, &at, &t) && t.kind != SQL_TOKEN_ODD && lines < LINES_MAX) {
        struct str gap = part(text, done, t.start - done);
        char c = text.ptr[t.start];

        buf_put_str(out, gap);
        if (gap.len > 0 && is_blank(gap) && memchr(gap.ptr, '\n', gap.len) == NULL &&
            begins_line(text, &t, after_clause)) {
            put_break(out, depth);
            lines++;
        }
        if (t.kind == SQL_TOKEN_OTHER && c == '(')
            depth++;
        else if (t.kind == SQL_TOKEN_OTHER && c == ')' && depth > 0)
            depth--;
        after_clause = begins_line(text, &t, false) || (t.kind == SQL_TOKEN_OTHER && c == ';');
        buf_put(out, text.ptr + t.start, t.len);
        done = t.start + t.len;
    }
    buf_put_str(out, str_skip(text, done));
}

/* --- tokens ------------------------------------------------------------------------------------
 */

struct token_writer {
    struct json *j;
    size_t n;
};

static void
put_token(struct token_writer *w, const char *kind, struct str text)
{
    if (text.len == 0)
        return;
    json_open(w->j, '{');
    json_field_text(w->j, "kind", kind);
    json_field_str(w->j, "text", text);
    json_close(w->j, '}');
    w->n++;
}

static const char *
kind_of(struct str text, const struct sql_token *t)
{
    switch (t->kind) {
    case SQL_TOKEN_WORD:
        return find_word(part(text, t->start, t->len)) != NULL ? "keyword" : "name";
    case SQL_TOKEN_QUOTED:
        return "name";
    case SQL_TOKEN_STRING:
    case SQL_TOKEN_DOLLAR:
    case SQL_TOKEN_ESCAPE:
        return "string";
    case SQL_TOKEN_INTEGER:
    case SQL_TOKEN_NUMBER:
        return "number";
    case SQL_TOKEN_OTHER:
        return "operator";
    default:
        return "other";
    }
}

/* What is between tokens: white space, or comments with white space around. */
static void
put_gap(struct token_writer *w, struct str gap)
{
    size_t start = 0, end = gap.len;

    while (start < gap.len && is_space(gap.ptr[start]))
        start++;
    while (end > start && is_space(gap.ptr[end - 1]))
        end--;
    put_token(w, "space", part(gap, 0, start));
    put_token(w, "comment", part(gap, start, end - start));
    put_token(w, "space", str_skip(gap, end));
}

void
request_json_tokens(struct json *j, struct str text)
{
    struct token_writer w = {.j = j};
    struct sql_token t;
    size_t at = 0, done = 0;

    json_open(j, '[');
    while (w.n < REQUEST_TOKENS_MAX && sql_lex(text, &at, &t)) {
        put_gap(&w, part(text, done, t.start - done));
        put_token(&w, kind_of(text, &t), part(text, t.start, t.len));
        done = t.start + t.len;
    }
    if (w.n < REQUEST_TOKENS_MAX)
        put_gap(&w, str_skip(text, done));
    else
        put_token(&w, "other", str_skip(text, done));
    json_close(j, ']');
}
