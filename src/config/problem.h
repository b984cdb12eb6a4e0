/* config/problem.h - what is wrong with a configuration file, each with its place. Problems are
 * collected in any order and written sorted by place. */
#ifndef CONFIG_PROBLEM_H
#define CONFIG_PROBLEM_H

#include "base/arena.h"
#include "config/config.h"

enum {
    PROBLEMS_MAX = 500,      /* kept; more are only counted */
    PROBLEM_TEXT_MAX = 1024, /* longer texts are cut */
};

/* A place in the file, counted from 1; columns count characters. */
struct mark {
    unsigned line;
    unsigned column;
};

struct problems {
    struct arena *arena;
    struct problem *newest;
    unsigned kept;
    unsigned errors;
    unsigned warnings;
    bool out_of_memory;
};

/* Adds an error or a warning. `hint` says what to do, and may be NULL. */
void problem_error(struct problems *p, struct mark at, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void problem_warning(struct problems *p, struct mark at, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Text in the arena; "" without memory. */
const char *problem_format(struct problems *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A value from the file in quotes, fit for a message: control characters are replaced, a long
 * one is cut. */
const char *problem_quote(struct problems *p, struct str value);

/* "did you mean 'x'?" if one of `words` (ended by NULL) is near to `value`; else NULL. */
const char *problem_did_you_mean(struct problems *p, struct str value, const char *const *words);

/* Whether `word` could be what the author of `value` meant: few edits apart for its length. */
bool problem_is_near(struct str value, struct str word);

/* Appends all to the report, sorted by place, and counts them there. */
void problems_write(const struct problems *p, struct str path, struct config_report *report);

#endif
