/* What a string of SQL says of its purpose: in a comment before it, or by setting it. */
#include "sql/purpose.h"

#include "command/purpose.h"
#include "sql/lexer.h"
#include "sql/tree.h"

static const char comment_word[] = "purpose:";

enum err
sql_commented_purpose(struct str text, struct str *out)
{
    size_t at = 0, word = sizeof(comment_word) - 1;
    struct str comment;

    *out = STR("");
    while (sql_lex_comment(text, &at, &comment)) {
        comment = str_trim(comment);
        if (comment.len < word ||
            !str_equal_nocase((struct str){comment.ptr, word}, str_from(comment_word)))
            continue;
        comment = str_trim(str_skip(comment, word));
        if (!purpose_is_fit(comment))
            return fail(ERR_INVALID, "%s", purpose_unfit);
        *out = comment;
        return OK;
    }
    return OK;
}

/* A later one replaces an earlier one; but what was said in the string stays said for it. */
static void
change(struct sql_purpose *p, enum sql_purpose_change what, struct str value)
{
    p->change = what;
    if (what != SQL_PURPOSE_RESET)
        p->value = value;
}

static bool
is_purpose(struct str setting)
{
    return str_equal_nocase(setting, STR(PURPOSE_SETTING));
}

enum err
sql_purpose_set(struct sql_walk *w, struct str setting, const struct str *value, bool local)
{
    struct str copy;

    if (!is_purpose(setting))
        return OK;
    if (value == NULL || !purpose_is_fit(*value)) {
        w->purpose.mistake = value == NULL ? "bulkhead.purpose must be set to one constant text"
                                           : purpose_unfit;
        return OK;
    }
    copy = arena_str(w->arena, *value);
    if (copy.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for the facts of a statement");
    change(&w->purpose, local ? SQL_PURPOSE_SET_LOCAL : SQL_PURPOSE_SET, copy);
    return OK;
}

void
sql_purpose_reset(struct sql_walk *w, struct str setting)
{
    if (setting.len == 0 || is_purpose(setting))
        change(&w->purpose, SQL_PURPOSE_RESET, STR(""));
}

void
sql_purpose_add(struct sql_purpose *all, const struct sql_purpose *more)
{
    if (all->mistake == NULL)
        all->mistake = more->mistake;
    if (more->change == SQL_PURPOSE_KEPT)
        return;
    all->change = more->change;
    if (more->value.len > 0 || more->change != SQL_PURPOSE_RESET)
        all->value = more->value;
}
