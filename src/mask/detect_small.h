/* mask/detect_small.h - most cells of a result are a few bytes that no detector could want:
 * counting their characters, all kinds at once, is cheaper than any scan. Of the room.
 *
 * Eight counters of eight bits are added up in one word, so a value may have DETECT_SMALL_BYTES at
 * most; a need is met when no counter is below its own. */
#ifndef MASK_DETECT_SMALL_H
#define MASK_DETECT_SMALL_H

#include "mask/detect_builtin.h"

uint64_t detect_need_word(const struct detect_need *need);

/* Whether a value of at most DETECT_SMALL_BYTES meets any of the needs. */
bool detect_small_is_worth(struct str value, const uint64_t *needs, size_t n);

#endif
