/* mask/scan.h - the tokens of JSON (RFC 8259), read strictly and without memory of its own. The
 * bytes must be UTF-8. */
#ifndef MASK_SCAN_H
#define MASK_SCAN_H

#include "base/buf.h"

struct scan {
    const char *at, *end;
};

/* What stands between the quotes of a string. */
struct scan_text {
    struct str raw;
    bool escaped; /* there are escapes in it */
};

void scan_space(struct scan *s);

/* Takes `c` if it is next. */
static inline bool
scan_is(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* Each stands at the first byte of its token and moves past it; false: it is malformed. */
bool scan_string(struct scan *s, struct scan_text *text);
bool scan_number(struct scan *s);
bool scan_word(struct scan *s, struct str word);

/* Appends the text itself; without `out` it only looks. false: half a surrogate pair, which is no
 * character. */
bool scan_unescape(struct str raw, struct buf *out);

bool scan_text_is(const struct scan_text *text, struct str expected);

/* Appends a JSON string of `stars` times '*' and `tail`. */
void scan_put_string(struct buf *out, size_t stars, struct str tail);

#endif
