/* policy/pattern.h - globs that were looked at once, so that the common ones cost a comparison. */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include "base/str.h"

enum pattern_kind {
    PATTERN_ANY,    /* only stars: every string */
    PATTERN_EXACT,  /* no wildcard */
    PATTERN_PREFIX, /* one star, at the end */
    PATTERN_GLOB,
};

struct pattern {
    struct str text; /* borrowed */
    uint32_t hash;   /* pattern_hash() of the text */
    enum pattern_kind kind;
};

/* `schema.name` or `name` (any schema); the first dot divides. */
struct object_pattern {
    struct pattern schema; /* PATTERN_ANY without a schema part */
    struct pattern name;
};

struct pattern_list {
    const struct pattern *items;
    size_t n;
};

struct object_pattern_list {
    const struct object_pattern *items;
    size_t n;
};

/* Not for keys that a peer may choose freely. */
uint32_t pattern_hash(struct str s);

struct pattern pattern_make(struct str text);
/* The text as it is, wildcards not being any. */
struct pattern pattern_make_exact(struct str text);
struct object_pattern object_pattern_make(struct str text);

static inline bool
pattern_matches(const struct pattern *p, struct str s)
{
    switch (p->kind) {
    case PATTERN_ANY:
        return true;
    case PATTERN_EXACT:
        return str_equal(p->text, s);
    case PATTERN_PREFIX:
        return str_starts(s, (struct str){p->text.ptr, p->text.len - 1});
    case PATTERN_GLOB:
        break;
    }
    return str_glob(p->text, s);
}

/* The same, with the hash of `s` known: most mismatches touch no text. */
static inline bool
pattern_matches_hashed(const struct pattern *p, struct str s, uint32_t hash)
{
    if (p->kind == PATTERN_EXACT && p->hash != hash)
        return false;
    return pattern_matches(p, s);
}

/* Whether any of the list matches; an empty list matches nothing. */
bool pattern_list_matches(struct pattern_list list, struct str s);

#endif
