#include "command/purpose.h"

const char purpose_unfit[] = "bulkhead.purpose must be text of at most 1000 bytes without line "
                             "breaks and control characters";

_Static_assert(PURPOSE_BYTES_MAX == 1000, "as the text says");

static bool
has_bytes(struct str text, size_t at, unsigned char first, unsigned char second)
{
    return at + 1 < text.len && (unsigned char)text.ptr[at] == first &&
           (unsigned char)text.ptr[at + 1] == second;
}

/* U+202A to U+202E and U+2066 to U+2069, in UTF-8. */
static bool
reverses(struct str text, size_t at)
{
    unsigned char last = at + 2 < text.len ? (unsigned char)text.ptr[at + 2] : 0;

    return (has_bytes(text, at, 0xe2, 0x80) && last >= 0xaa && last <= 0xae) ||
           (has_bytes(text, at, 0xe2, 0x81) && last >= 0xa6 && last <= 0xa9);
}

/* U+0000 to U+001F, U+007F to U+009F. */
static bool
is_control(struct str text, size_t at)
{
    unsigned char c = (unsigned char)text.ptr[at];

    return c < 0x20 || c == 0x7f ||
           (c == 0xc2 && at + 1 < text.len && (unsigned char)text.ptr[at + 1] < 0xa0);
}

bool
purpose_is_fit(struct str text)
{
    if (text.len > PURPOSE_BYTES_MAX || !str_is_utf8(text))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (is_control(text, i) || reverses(text, i))
            return false;
    return true;
}
