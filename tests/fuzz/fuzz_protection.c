/* What a resource protects, as it comes from the keeper: decode, encode again. */
#include <stdlib.h>

#include "base/arena.h"
#include "mask/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct arena *arena = arena_new((size_t)16 << 20);
    struct buf out = buf_make((size_t)16 << 20);
    struct protection p;

    if (protection_decode(bytes, arena, &p) == OK) {
        if (p.n_protect > PROTECT_RULES_MAX || p.n_detect > DETECT_RULES_MAX)
            abort();
        if (protection_encode(&p, &out) != OK || !str_equal(buf_str(&out), bytes))
            abort();
    } else if (p.n_protect != 0 || p.n_detect != 0) {
        abort();
    }
    buf_free(&out);
    arena_free(arena);
    return 0;
}
