/* mask/value.h - how the parts of this room call each other: a value inside a value. */
#ifndef MASK_VALUE_H
#define MASK_VALUE_H

#include "mask/mask.h"

/* What stays the same all the way down into one value. */
struct masking {
    const unsigned char *key; /* MASK_KEY_BYTES */
    bool binary;
    unsigned depth; /* plans around this one */
};

/* Appends the masked form of `value`. false: it is NULL, and nothing was appended. That `out` is
 * full shows in buf_ok() only. */
bool mask_inside(const struct mask_plan *plan, struct masking how, struct str value,
                 struct buf *out);

/* One for each shape, for mask_inside() only; on false they may have appended a part. */
bool mask_array(const struct mask_plan *plan, struct masking how, struct str value,
                struct buf *out);
bool mask_row(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out);
bool mask_json(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out);

/* A binary value inside another: length and bytes, as an int32 length of -1 for NULL. */
bool mask_binary_field(const struct mask_plan *plan, struct masking how, struct str value,
                       struct buf *out);

/* Whether more was appended since `start` than one value may have. */
static inline bool
mask_is_too_long(const struct buf *out, size_t start)
{
    return out->len - start > MASK_RESULT_MAX;
}

#endif
