#include "config/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUOTE_MAX = 80, WORD_MAX = 64 };

struct problem {
    struct problem *older;
    struct mark at;
    unsigned order;
    bool is_error;
    const char *text;
    const char *hint;
};

static const char *
format_text(struct problems *p, const char *format, va_list args)
{
    char text[PROBLEM_TEXT_MAX];
    char *copy;

    vsnprintf(text, sizeof(text), format, args);
    if ((copy = arena_text(p->arena, str_from(text))) == NULL) {
        p->out_of_memory = true;
        return "";
    }
    return copy;
}

const char *
problem_format(struct problems *p, const char *format, ...)
{
    va_list args;
    const char *text;

    va_start(args, format);
    text = format_text(p, format, args);
    va_end(args);
    return text;
}

static void
add(struct problems *p, struct mark at, bool is_error, const char *hint, const char *format,
    va_list args)
{
    struct problem *new;

    *(is_error ? &p->errors : &p->warnings) += 1;
    if (p->kept == PROBLEMS_MAX)
        return;
    if ((new = arena_alloc(p->arena, sizeof(*new))) == NULL) {
        p->out_of_memory = true;
        return;
    }
    *new = (struct problem){p->newest, at, p->kept++, is_error, "", hint};
    new->text = format_text(p, format, args);
    p->newest = new;
}

void
problem_error(struct problems *p, struct mark at, const char *hint, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(p, at, true, hint, format, args);
    va_end(args);
}

void
problem_warning(struct problems *p, struct mark at, const char *hint, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(p, at, false, hint, format, args);
    va_end(args);
}

const char *
problem_quote(struct problems *p, struct str value)
{
    char text[QUOTE_MAX + 8];
    size_t n = 0;

    while (value.len > 0) {
        size_t len = str_utf8_length(value);
        bool plain = len > 0 && (unsigned char)value.ptr[0] >= 0x20 && value.ptr[0] != 0x7f &&
                     !(len == 2 && value.ptr[0] == '\xc2' && (unsigned char)value.ptr[1] < 0xa0);

        len = len == 0 ? 1 : len;
        if (n + len > QUOTE_MAX)
            break;
        if (plain)
            memcpy(text + n, value.ptr, len);
        n += plain ? len : 1;
        if (!plain)
            text[n - 1] = '?';
        value = str_skip(value, len);
    }
    return problem_format(p, "'%.*s%s'", (int)n, text, value.len > 0 ? "…" : "");
}

static unsigned
least(unsigned a, unsigned b, unsigned c)
{
    unsigned least_of_two = a < b ? a : b;

    return least_of_two < c ? least_of_two : c;
}

/* Levenshtein's distance, where swapping two neighbours counts as one edit. */
static unsigned
edit_distance(struct str a, struct str b)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    for (unsigned j = 0; j <= b.len; j++)
        above[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *oldest = before;

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = a.ptr[i - 1] == b.ptr[j - 1];

            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1));
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                row[j] = least(row[j], before[j - 2] + 1, row[j]);
        }
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.len];
}

bool
problem_is_near(struct str value, struct str word)
{
    size_t longest = value.len > word.len ? value.len : word.len;

    if (longest > WORD_MAX || value.len < 2)
        return false;
    return edit_distance(value, word) <= (longest <= 4 ? 1 : longest <= 7 ? 2 : 3);
}

const char *
problem_did_you_mean(struct problems *p, struct str value, const char *const *words)
{
    const char *nearest = NULL;
    unsigned nearest_distance = 0;

    if (p->kept == PROBLEMS_MAX)
        return NULL;
    for (; *words != NULL; words++) {
        struct str word = str_from(*words);
        unsigned distance;

        if (!problem_is_near(value, word))
            continue;
        distance = edit_distance(value, word);
        if (nearest == NULL || distance < nearest_distance) {
            nearest = *words;
            nearest_distance = distance;
        }
    }
    return nearest == NULL ? NULL : problem_format(p, "did you mean '%s'?", nearest);
}

static int
compare_places(const void *a, const void *b)
{
    const struct problem *x = *(const struct problem *const *)a;
    const struct problem *y = *(const struct problem *const *)b;

    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    if (x->at.column != y->at.column)
        return x->at.column < y->at.column ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

void
problems_write(const struct problems *p, struct str path, struct config_report *report)
{
    const struct problem *sorted[PROBLEMS_MAX] = {NULL};
    unsigned n = 0;

    for (const struct problem *each = p->newest; each != NULL; each = each->older)
        sorted[n++] = each;
    qsort(sorted, n, sizeof(sorted[0]), compare_places);

    for (unsigned i = 0; i < n; i++) {
        buf_printf(report->text, "%.*s:%u:%u: %s: %s\n", STR_ARG(path), sorted[i]->at.line,
                   sorted[i]->at.column, sorted[i]->is_error ? "error" : "warning",
                   sorted[i]->text);
        if (sorted[i]->hint != NULL)
            buf_printf(report->text, "    hint: %s\n", sorted[i]->hint);
    }
    if (p->errors + p->warnings > p->kept)
        buf_printf(report->text, "%.*s: %u more problems are not shown\n", STR_ARG(path),
                   p->errors + p->warnings - p->kept);
    report->errors += p->errors;
    report->warnings += p->warnings;
}
