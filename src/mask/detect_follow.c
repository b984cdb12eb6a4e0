#include "mask/detect_follow.h"

enum { PEM_LABEL_MAX = 64, PEM_DASHES_MAX = 5, PEM_DASHES_MIN = 4 };

enum class {
    CLASS_TOKEN = 1,
    CLASS_DOT = 2,
    CLASS_BASE64 = 4, /* of both alphabets, and the ends of lines */
    CLASS_PEM = 8,    /* base64, headers, white space, and "\n" as JSON writes it */
    CLASS_LABEL = 16,
};

#define ALNUM (CLASS_TOKEN | CLASS_BASE64 | CLASS_PEM)
static const unsigned char classes[256] = {
    ['0' ... '9'] = ALNUM | CLASS_LABEL,
    ['A' ... 'Z'] = ALNUM | CLASS_LABEL,
    ['a' ... 'z'] = ALNUM,
    ['-'] = ALNUM,
    ['_'] = ALNUM,
    ['.'] = CLASS_DOT | CLASS_PEM,
    ['+'] = CLASS_BASE64 | CLASS_PEM,
    ['/'] = CLASS_BASE64 | CLASS_PEM,
    ['='] = CLASS_BASE64 | CLASS_PEM,
    ['\r'] = CLASS_BASE64 | CLASS_PEM,
    ['\n'] = CLASS_BASE64 | CLASS_PEM,
    ['\t'] = CLASS_PEM,
    [' '] = CLASS_PEM | CLASS_LABEL,
    ['\\'] = CLASS_PEM,
    [':'] = CLASS_PEM,
    [','] = CLASS_PEM,
    ['('] = CLASS_PEM,
    [')'] = CLASS_PEM,
    ['@'] = CLASS_PEM,
    ['<'] = CLASS_PEM,
    ['>'] = CLASS_PEM,
};

static bool
is(char c, unsigned wanted)
{
    return (classes[(unsigned char)c] & wanted) != 0;
}

static size_t
dashes_before(struct str window, size_t end)
{
    size_t n = 0;

    while (n < PEM_DASHES_MAX && n < end && window.ptr[end - 1 - n] == '-')
        n++;
    return n;
}

/* Whether the byte before `end` closes an "-----END … -----", with as many dashes as began it. */
static bool
closes_pem(struct str window, size_t end)
{
    size_t closing = dashes_before(window, end);
    size_t label = end - closing, from = label;
    struct str text;

    while (from > 0 && label - from < PEM_LABEL_MAX && is(window.ptr[from - 1], CLASS_LABEL))
        from--;
    if (closing < PEM_DASHES_MIN || dashes_before(window, from) != closing)
        return false;
    text = str_trim((struct str){window.ptr + from, label - from});
    return str_starts(text, STR("END "));
}

static bool
follow_pem(struct str window, size_t at, size_t *to)
{
    for (; at < window.len && is(window.ptr[at], CLASS_PEM); at++)
        if (window.ptr[at] == '-' && closes_pem(window, at + 1)) {
            *to = at + 1;
            return false;
        }
    *to = at;
    return at == window.len;
}

static bool
follow_class(struct str window, size_t at, unsigned wanted, size_t *to)
{
    while (at < window.len && is(window.ptr[at], wanted))
        at++;
    *to = at;
    return at == window.len;
}

bool
detect_follow(enum detect_follow kind, struct str window, size_t at, bool begins, size_t *to)
{
    *to = at;
    switch (kind) {
    case DETECT_FOLLOW_NONE:
        break;
    case DETECT_FOLLOW_TOKEN: /* the expression stopped before the token did */
        if (begins && (at >= window.len || !is(window.ptr[at], CLASS_TOKEN)))
            return false;
        return follow_class(window, at, CLASS_TOKEN | CLASS_DOT, to);
    case DETECT_FOLLOW_BASE64:
        return follow_class(window, at, CLASS_BASE64, to);
    case DETECT_FOLLOW_PEM:
        return follow_pem(window, at, to);
    }
    return false;
}
