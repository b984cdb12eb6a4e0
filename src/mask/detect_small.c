#include "mask/detect_small.h"

enum {
    AT_DIGITS = 0,
    AT_ALNUMS = 8,
    AT_ATS = 16,
    AT_DOTS = 24,
    AT_COLONS = 32,
    AT_DASHES = 40,
    AT_PLUSES = 48,
    AT_LETTERS = 56,
};

#define ONE(at)    (UINT64_C(1) << (at))
#define EVERY_HIGH UINT64_C(0x8080808080808080)

static const uint64_t counts_as[256] = {
    ['0' ... '9'] = ONE(AT_DIGITS) | ONE(AT_ALNUMS),
    ['A' ... 'Z'] = ONE(AT_ALNUMS) | ONE(AT_LETTERS),
    ['a' ... 'z'] = ONE(AT_ALNUMS) | ONE(AT_LETTERS),
    ['@'] = ONE(AT_ATS),
    ['.'] = ONE(AT_DOTS),
    [':'] = ONE(AT_COLONS),
    ['-'] = ONE(AT_DASHES),
    ['+'] = ONE(AT_PLUSES),
};

uint64_t
detect_need_word(const struct detect_need *need)
{
    return need->digits * ONE(AT_DIGITS) | need->letters * ONE(AT_LETTERS) |
           need->alnums * ONE(AT_ALNUMS) | need->ats * ONE(AT_ATS) | need->dots * ONE(AT_DOTS) |
           need->colons * ONE(AT_COLONS) | need->dashes * ONE(AT_DASHES) |
           need->pluses * ONE(AT_PLUSES);
}

bool
detect_small_is_worth(struct str value, const uint64_t *needs, size_t n)
{
    const unsigned char *bytes = (const unsigned char *)value.ptr;
    uint64_t counted = 0;

    for (size_t i = 0; i < value.len; i++)
        counted += counts_as[bytes[i]];
    counted |= EVERY_HIGH; /* counters have seven bits: the eighth is borrowed from where too few */
    for (size_t i = 0; i < n; i++)
        if (((counted - needs[i]) & EVERY_HIGH) == EVERY_HIGH)
            return true;
    return false;
}
