#include "sql/lexer.h"

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool
is_word(char c)
{
    return is_word_start(c) || is_digit(c) || c == '$';
}

static bool
is_newline(char c)
{
    return c == '\n' || c == '\r';
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\f' || is_newline(c);
}

static char
at_or_zero(struct str s, size_t i)
{
    return i < s.len ? s.ptr[i] : '\0';
}

/* Past a nested comment that starts at `i`; s.len + 1 if it never ends. */
static size_t
skip_comment(struct str s, size_t i)
{
    size_t depth = 0;

    while (i + 1 < s.len) {
        if (s.ptr[i] == '/' && s.ptr[i + 1] == '*') {
            depth++;
            i += 2;
        } else if (s.ptr[i] == '*' && s.ptr[i + 1] == '/') {
            i += 2;
            if (--depth == 0)
                return i;
        } else {
            i++;
        }
    }
    return s.len + 1;
}

/* Past white space and comments; s.len + 1 if a comment never ends. */
static size_t
skip_blank(struct str s, size_t i)
{
    while (i < s.len) {
        if (is_space(s.ptr[i])) {
            i++;
        } else if (s.ptr[i] == '-' && at_or_zero(s, i + 1) == '-') {
            while (i < s.len && !is_newline(s.ptr[i]))
                i++;
        } else if (s.ptr[i] == '/' && at_or_zero(s, i + 1) == '*') {
            i = skip_comment(s, i);
        } else {
            return i;
        }
    }
    return i;
}

/* Whether a string that ended at `i` goes on after a line break. Asked liberally: any quote that
 * follows blanks and comments with a line break among them. */
static bool
continues(struct str s, size_t i)
{
    size_t next = skip_blank(s, i);

    if (next >= s.len || s.ptr[next] != '\'')
        return false;
    for (; i < next; i++)
        if (is_newline(s.ptr[i]))
            return true;
    return false;
}

/* A quoted thing whose body starts at `i`: its end, or s.len + 1. */
static size_t
skip_quoted(struct str s, size_t i, char quote, bool escapes, bool *backslash)
{
    while (i < s.len) {
        char c = s.ptr[i];

        if (c == '\\') {
            *backslash = true;
            if (escapes)
                i++;
        } else if (c == quote) {
            if (at_or_zero(s, i + 1) != quote)
                return i + 1;
            i++;
        }
        i++;
    }
    return s.len + 1;
}

/* Past a dollar-quoted string that starts at `i`; `i` if there is none, s.len + 1 without end. */
static size_t
skip_dollar(struct str s, size_t i)
{
    size_t tag = i + 1;
    size_t n;

    if (tag < s.len && is_word_start(s.ptr[tag]))
        while (tag < s.len && is_word(s.ptr[tag]) && s.ptr[tag] != '$')
            tag++;
    if (at_or_zero(s, tag) != '$')
        return i;
    n = tag + 1 - i;
    for (size_t k = tag + 1; k + n <= s.len; k++)
        if (s.ptr[k] == '$' && memcmp(s.ptr + k, s.ptr + i, n) == 0)
            return k + n;
    return s.len + 1;
}

static bool
finish(struct str s, size_t *at, struct sql_token *t, enum sql_token_kind kind, size_t end)
{
    if (end > s.len) {
        kind = SQL_TOKEN_ODD;
        end = s.len;
    }
    if (kind == SQL_TOKEN_ODD)
        end = s.len;
    t->kind = kind;
    t->len = end - t->start;
    *at = end;
    return true;
}

static bool
lex_string(struct str s, size_t *at, struct sql_token *t, size_t body, bool escapes)
{
    bool backslash = false;
    size_t end = skip_quoted(s, body, '\'', escapes, &backslash);

    if (end <= s.len && continues(s, end))
        return finish(s, at, t, SQL_TOKEN_ODD, s.len);
    if (escapes)
        return finish(s, at, t, SQL_TOKEN_ESCAPE, end);
    return finish(s, at, t, backslash ? SQL_TOKEN_ESCAPE : SQL_TOKEN_STRING, end);
}

static bool
lex_number(struct str s, size_t *at, struct sql_token *t)
{
    size_t i = t->start;
    size_t digits;
    char before = t->start > 0 ? s.ptr[t->start - 1] : ' ';
    char next;

    while (i < s.len && is_digit(s.ptr[i]))
        i++;
    digits = i - t->start;
    next = at_or_zero(s, i);
    if (is_word(next) || next == '\'' || next == '"') /* 1e5, 0x1F, junk: versions differ */
        return finish(s, at, t, SQL_TOKEN_ODD, s.len);
    if (next == '.' || before == '.' || before == '$' || before == ':' || digits > 9)
        return finish(s, at, t, SQL_TOKEN_NUMBER, i);
    return finish(s, at, t, SQL_TOKEN_INTEGER, i);
}

static bool
lex_word(struct str s, size_t *at, struct sql_token *t)
{
    size_t i = t->start;
    char c = s.ptr[i];
    char next = at_or_zero(s, i + 1);

    if ((c == 'e' || c == 'E') && next == '\'')
        return lex_string(s, at, t, i + 2, true);
    if (next == '\'' && strchr("bBxXnN", c) != NULL)
        return finish(s, at, t, SQL_TOKEN_ODD, s.len);
    if ((c == 'u' || c == 'U') && next == '&' &&
        (at_or_zero(s, i + 2) == '\'' || at_or_zero(s, i + 2) == '"'))
        return finish(s, at, t, SQL_TOKEN_ODD, s.len);
    while (i < s.len && is_word(s.ptr[i]))
        i++;
    return finish(s, at, t, SQL_TOKEN_WORD, i);
}

bool
sql_lex(struct str s, size_t *at, struct sql_token *t)
{
    size_t i = skip_blank(s, *at);
    bool backslash = false;
    size_t end;

    t->start = i;
    if (i > s.len) {
        t->start = *at;
        return finish(s, at, t, SQL_TOKEN_ODD, s.len);
    }
    if (i == s.len)
        return false;
    if (is_digit(s.ptr[i]))
        return lex_number(s, at, t);
    if (is_word_start(s.ptr[i]))
        return lex_word(s, at, t);
    switch (s.ptr[i]) {
    case '\'':
        return lex_string(s, at, t, i + 1, false);
    case '"':
        return finish(s, at, t, SQL_TOKEN_QUOTED, skip_quoted(s, i + 1, '"', false, &backslash));
    case '$':
        end = skip_dollar(s, i);
        if (end != i)
            return finish(s, at, t, SQL_TOKEN_DOLLAR, end);
        return finish(s, at, t, is_digit(at_or_zero(s, i + 1)) ? SQL_TOKEN_OTHER : SQL_TOKEN_ODD,
                      i + 1);
    default:
        return finish(s, at, t, SQL_TOKEN_OTHER, i + 1);
    }
}

/* Counts every punctuation byte and every change between letters and digits: more than the
 * scanner ever makes of the same bytes, and needs no understanding of quotes. */
static size_t
crude_bound(struct str s)
{
    size_t n = 0;
    int last = 0;

    for (size_t i = 0; i < s.len; i++) {
        int class = is_space(s.ptr[i])        ? 0
                    : is_digit(s.ptr[i])      ? 1
                    : is_word_start(s.ptr[i]) ? 2
                                              : 3;

        if (class == 3 || (class != 0 && class != last))
            n++;
        last = class;
    }
    return n;
}

size_t
sql_token_bound(struct str text)
{
    struct sql_token t;
    size_t at = 0;
    size_t n = 0;

    while (sql_lex(text, &at, &t)) {
        if (t.kind == SQL_TOKEN_ODD)
            return n + crude_bound((struct str){text.ptr + t.start, t.len});
        n++;
    }
    return n;
}

bool
sql_lex_comment(struct str text, size_t *at, struct str *inside)
{
    size_t i = *at, end;

    while (i < text.len && is_space(text.ptr[i]))
        i++;
    if (at_or_zero(text, i) == '-' && at_or_zero(text, i + 1) == '-') {
        for (end = i; end < text.len && !is_newline(text.ptr[end]); end++)
            continue;
        *inside = (struct str){text.ptr + i + 2, end - i - 2};
    } else if (at_or_zero(text, i) == '/' && at_or_zero(text, i + 1) == '*' &&
               (end = skip_comment(text, i)) <= text.len) {
        *inside = (struct str){text.ptr + i + 2, end - i - 4};
    } else {
        return false;
    }
    *at = end;
    return true;
}
