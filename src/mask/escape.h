/* mask/escape.h - quoting what was just written at the end of a buffer, in place: masked values are
 * written plain, and only the few that need it are gone over again. */
#ifndef MASK_ESCAPE_H
#define MASK_ESCAPE_H

#include "base/buf.h"

struct escape {
    unsigned char before[256]; /* the byte to put before this one; 0: none */
    bool letters;              /* control bytes that are escaped are shown as b t n v f r */
    bool special[256];         /* a value with such a byte must be in quotes */
};

/* Whether any byte from `start` on is special. */
bool escape_needs_quotes(const struct escape *e, const struct buf *out, size_t start);

/* Escapes the bytes from `start` on and puts `quote` (0: nothing) at both ends. */
void escape_from(const struct escape *e, struct buf *out, size_t start, char quote);

#endif
