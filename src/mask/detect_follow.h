/* mask/detect_follow.h - the rest of a match that may be longer than any window. Of the room. */
#ifndef MASK_DETECT_FOLLOW_H
#define MASK_DETECT_FOLLOW_H

#include "mask/detect_builtin.h"

/* Goes on from `at`, where the match has come to, and says in `*to` where it ends. True: it goes
 * on beyond the window. `begins`: `at` is the first byte behind the expression's match. The window
 * must hold DETECT_CONTEXT_BYTES before `at`, or all of the match. */
bool detect_follow(enum detect_follow kind, struct str window, size_t at, bool begins, size_t *to);

#endif
