/* Two texts, parted by a NUL: analysed, and asked of one cache; the cache must say what the
 * analysis says. The key is the part that an agent could aim at. */
#include <stdio.h>
#include <stdlib.h>

#include "command/purpose.h"
#include "sql/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1500 }; /* the parser recurses: this fits the program's stack under ASan */

static bool
same_demands(const struct demand *a, size_t na, const struct demand *b, size_t nb)
{
    if (na != nb)
        return false;
    for (size_t i = 0; i < na; i++)
        if (a[i].classes != b[i].classes || a[i].kind != b[i].kind ||
            !str_equal(a[i].name, b[i].name) || !str_equal(a[i].schema, b[i].schema))
            return false;
    return true;
}

static bool
same_purpose(const struct sql_purpose *a, const struct sql_purpose *b)
{
    return a->change == b->change && str_equal(a->value, b->value) && a->mistake == b->mistake;
}

static void
check(struct sql_cache *cache, struct str text)
{
    struct arena *arena = arena_new((size_t)16 << 20);
    const struct sql_facts *cached;
    struct sql_facts facts;
    struct str purpose;
    bool exact;
    enum err e = sql_analyze(text, NULL, arena, &facts);

    if (sql_cache_facts(cache, text, &cached, &exact) != e)
        abort();
    if (sql_commented_purpose(text, &purpose) == OK && !purpose_is_fit(purpose))
        abort();
    if (e == OK) {
        if (!same_purpose(&facts.purpose, &cached->purpose) || !purpose_is_fit(facts.purpose.value))
            abort();
        if (facts.n_demands == 0 || cached->n_statements != facts.n_statements ||
            !same_demands(facts.demands, facts.n_demands, cached->demands, cached->n_demands))
            abort();
        for (size_t i = 0; i < facts.n_demands; i++)
            if (__builtin_popcountll(facts.demands[i].classes & CLASS_EFFECTS_MASK) != 1)
                abort();
    }
    arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size > TEXT_MAX ? TEXT_MAX : size};
    struct sql_cache *cache = sql_cache_new(1 << 16, NULL);
    size_t first = str_index(text, '\0');

    check(cache, (struct str){text.ptr, first});
    if (first < text.len)
        check(cache, str_skip(text, first + 1));
    check(cache, (struct str){text.ptr, first});
    sql_cache_free(cache);
    return 0;
}
