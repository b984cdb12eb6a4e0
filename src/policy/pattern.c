#include "policy/pattern.h"

uint32_t
pattern_hash(struct str s)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.ptr[i]) * 16777619u;
    return hash;
}

static enum pattern_kind
kind_of(struct str text)
{
    size_t stars = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '?')
            return PATTERN_GLOB;
        stars += text.ptr[i] == '*';
    }
    if (stars == 0)
        return PATTERN_EXACT;
    if (stars == text.len)
        return PATTERN_ANY;
    return stars == 1 && text.ptr[text.len - 1] == '*' ? PATTERN_PREFIX : PATTERN_GLOB;
}

struct pattern
pattern_make(struct str text)
{
    return (struct pattern){text, pattern_hash(text), kind_of(text)};
}

struct pattern
pattern_make_exact(struct str text)
{
    return (struct pattern){text, pattern_hash(text), PATTERN_EXACT};
}

struct object_pattern
object_pattern_make(struct str text)
{
    size_t dot = str_index(text, '.');

    if (dot == text.len)
        return (struct object_pattern){{.kind = PATTERN_ANY}, pattern_make(text)};
    return (struct object_pattern){
        pattern_make((struct str){text.ptr, dot}),
        pattern_make(str_skip(text, dot + 1)),
    };
}

bool
pattern_list_matches(struct pattern_list list, struct str s)
{
    for (size_t i = 0; i < list.n; i++)
        if (pattern_matches(&list.items[i], s))
            return true;
    return false;
}
