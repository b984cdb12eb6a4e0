/* mask/detect_find.h - finding matches in one window of a value: vectorscan says where to look,
 * PCRE2 and the checks what is there. Of the room; others use detect.h.
 *
 * A window is a whole value, or a part of one that arrives in pieces. Of a part that is not the
 * last, what more bytes could change stays undecided: the next window must begin early enough to
 * hold it (detect_decided()) and DETECT_CONTEXT_BYTES before it. */
#ifndef MASK_DETECT_FIND_H
#define MASK_DETECT_FIND_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include <hs.h>
#include <pcre2.h>

#include "mask/detect.h"
#include "mask/detect_builtin.h"

enum {
    DETECT_CONTEXT_BYTES = 128,     /* what is looked at before a match */
    DETECT_CONTEXT_CHARACTERS = 31, /* at most in an operator's own pattern */
    DETECT_WINDOW_MAX = 64 << 10,
    DETECT_SMALL_BYTES = 127, /* values whose characters are counted first */
    DETECT_PATTERNS_MAX = DETECT_RULES_MAX + DETECT_SHAPES_MAX,
};

/* A shape of a built-in detector, or an operator's pattern. */
struct detect_pattern {
    size_t rule;
    const struct detect_shape *shape; /* NULL: the operator's */
    pcre2_code *code;
    size_t back; /* as in struct detect_shape; an operator's trigger is the end of a match */
    bool alone;  /* vectorscan does not take it: PCRE2 reads everything */
};

/* How far one pattern has come in a window. */
struct detect_cursor {
    size_t tried;   /* no match begins before that is not found yet */
    bool waiting;   /* for more bytes: what begins at `tried` may become a match */
    bool following; /* the last match goes on */
};

struct detect_range {
    size_t from, to;
};

struct detectors {
    unsigned references;
    struct str *names;
    size_t n_rules;
    struct detect_pattern *patterns;
    size_t n_patterns;
    bool has_own; /* operators' patterns: their window must be UTF-8 for vectorscan */
    bool has_alone;

    unsigned short *of_trigger; /* which pattern an expression of vectorscan belongs to */
    size_t n_triggers;
    hs_database_t *database; /* NULL without triggers */
    hs_scratch_t *scratch;

    uint64_t *needs; /* see detect_small.h */
    size_t n_needs;
    size_t shortest; /* no match has fewer bytes */

    pcre2_match_context *limits;
    pcre2_match_data *match;
    struct detect_cursor *cursors; /* of values scanned at once */
    struct detect_range *ranges;   /* of the current window */
    size_t n_ranges, ranges_capacity;
    struct detect_scan *long_values; /* made when the first one comes */

    uint64_t work; /* calls of PCRE2 */
};

struct detect_window {
    struct detectors *d;
    struct str bytes;
    bool first, last; /* of the value */
    struct detect_cursor *cursors;
    uint64_t *hits; /* by rule; may be NULL */
    size_t found;

    size_t characters; /* where the last whole UTF-8 sequence ends; of the last window, its end */
    bool text;         /* valid UTF-8 up to there */
    struct detect_range piece; /* valid UTF-8 too: what PCRE2 is shown for an operator's pattern */
    bool overflow;             /* no memory for ranges: all of it is to be overwritten */
};

/* Finds what there is; d->ranges then says what to overwrite. The cursors, relative to the
 * window, are taken and left as they are to go on with. */
void detect_find(struct detect_window *w);

/* Cursors for the beginning of a value. */
void detect_begin(const struct detectors *d, struct detect_cursor *cursors);

/* How many bytes of the window are decided. */
size_t detect_decided(const struct detect_window *w);

/* Overwrites what detect_find() found in `bytes`, a copy of the window or the window itself. */
void detect_overwrite(const struct detect_window *w, char *bytes);

#endif
