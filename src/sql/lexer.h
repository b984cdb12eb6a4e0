/* sql/lexer.h - inside this room only: where PostgreSQL's tokens begin and end, without meaning.
 * Follows src/backend/parser/scan.l of PostgreSQL 15; what it is not sure of it says so. */
#ifndef SQL_LEXER_H
#define SQL_LEXER_H

#include "base/str.h"

enum sql_token_kind {
    SQL_TOKEN_WORD,    /* identifier or keyword */
    SQL_TOKEN_QUOTED,  /* "…" */
    SQL_TOKEN_STRING,  /* '…' without a backslash or a continuation */
    SQL_TOKEN_INTEGER, /* decimal, one to nine digits, standing by itself */
    SQL_TOKEN_NUMBER,  /* any other number */
    SQL_TOKEN_DOLLAR,  /* $tag$…$tag$ */
    SQL_TOKEN_ESCAPE,  /* E'…', and '…' with a backslash */
    SQL_TOKEN_OTHER,   /* one byte of punctuation or of an operator; $1 gives two tokens */
    SQL_TOKEN_ODD,     /* not certain: the rest of the text is not to be trusted */
};

struct sql_token {
    enum sql_token_kind kind;
    size_t start;
    size_t len;
};

/* The next token from `*at` on, white space and comments skipped; false at the end.
 * After SQL_TOKEN_ODD, `*at` is the end. */
bool sql_lex(struct str text, size_t *at, struct sql_token *t);

/* What is inside the next comment from `*at` on, before the next token; false if there is none, or
 * if it never ends. `*at` moves behind it. */
bool sql_lex_comment(struct str text, size_t *at, struct str *inside);

/* At least the number of tokens that PostgreSQL sees in `text`. */
size_t sql_token_bound(struct str text);

#endif
