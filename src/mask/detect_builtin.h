/* mask/detect_builtin.h - the shapes of what the built-in detectors look for. Of the room; others
 * use detect.h. A shape has triggers, short expressions for vectorscan that cost little and miss
 * nothing, an exact PCRE2 expression, and a check of what no expression can say. */
#ifndef MASK_DETECT_BUILTIN_H
#define MASK_DETECT_BUILTIN_H

#include "base/str.h"

/* How a match that has no end in sight goes on. */
enum detect_follow {
    DETECT_FOLLOW_NONE,
    DETECT_FOLLOW_TOKEN,  /* while there are letters, digits, '-', '_', '.' */
    DETECT_FOLLOW_BASE64, /* while there are characters of base64 */
    DETECT_FOLLOW_PEM,    /* to the line that ends the block, or to what no PEM holds */
};

/* Kinds of bytes, for detect_shape.within. */
enum detect_byte {
    DETECT_DIGIT = 1,
    DETECT_HEX = 2, /* letters a to f */
    DETECT_LETTER = 4,
    DETECT_DASH = 8,
    DETECT_DOT = 16,
    DETECT_UNDERSCORE = 32,
    DETECT_SPACE = 64,
    DETECT_COLON = 128,
    DETECT_DIAL = 256,   /* + ( ) */
    DETECT_MAIL = 512,   /* % + ' @ */
    DETECT_SLASH = 1024, /* / */
    DETECT_TILDE = 2048, /* ~ */
};
extern const unsigned short detect_bytes[256];

/* What a value of a few bytes must hold, at least, to be worth a look; each at most 127. */
struct detect_need {
    unsigned char digits, letters, alnums, ats, dots, colons, dashes, pluses;
};

struct detect_shape {
    const char *detector;
    const char *const *triggers; /* ended by NULL; each match holds an end of one of them */
    const char *expression;      /* PCRE2, bytes */
    unsigned back;   /* a match begins at most so many bytes before the end of its first trigger */
    unsigned within; /* kinds of bytes between these two places; 0: any */
    enum detect_follow follow;
    struct detect_need needs[2]; /* either is enough; the second may be all zero for none */
    /* Whether value[from, *to) is what it looks like; may make it shorter. NULL: always. */
    bool (*check)(struct str value, size_t from, size_t *to);
};

extern const struct detect_shape detect_shapes[];
extern const size_t detect_n_shapes;

enum { DETECT_SHAPES_MAX = 16, DETECT_TRIGGERS_MAX = 64 };

/* Where a match may begin whose first trigger ends at `end`. */
size_t detect_shape_reach(const struct detect_shape *shape, struct str value, size_t end);

/* The shortest value that `need` allows. */
size_t detect_need_bytes(const struct detect_need *need);

#endif
