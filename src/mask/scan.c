#include "mask/scan.h"

#include "base/encode.h"

void
scan_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

static bool
is_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

/* Past the bytes of a string that need no look, eight at a time. */
static const char *
skip_plain(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t w;

    while ((size_t)(end - at) >= sizeof(w)) {
        uint64_t quote, backslash;

        memcpy(&w, at, sizeof(w));
        quote = w ^ (ones * '"');
        backslash = w ^ (ones * '\\');
        if (((((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
              ((w - ones * 0x20) & ~w)) &
             highs) != 0)
            break;
        at += sizeof(w);
    }
    while (at < end && is_plain(*at))
        at++;
    return at;
}

/* The four digits of a \u escape, -1 if they are not. */
static int32_t
read_unit(const char *at, const char *end)
{
    int32_t unit = 0;

    if (end - at < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

bool
scan_string(struct scan *s, struct scan_text *text)
{
    const char *start, *at;

    text->escaped = false;
    if (!scan_is(s, '"'))
        return false;
    start = s->at;
    for (at = skip_plain(start, s->end); at < s->end && *at == '\\'; at = skip_plain(at, s->end)) {
        text->escaped = true;
        if (s->end - at < 2 || at[1] == '\0' || strchr("\"\\/bfnrtu", at[1]) == NULL)
            return false;
        if (at[1] == 'u' && read_unit(at + 2, s->end) < 0)
            return false;
        at += at[1] == 'u' ? 6 : 2;
    }
    if (at == s->end || *at != '"')
        return false;
    text->raw = (struct str){start, (size_t)(at - start)};
    s->at = at + 1;
    return true;
}

static bool
scan_digits(struct scan *s)
{
    const char *start = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

bool
scan_number(struct scan *s)
{
    (void)scan_is(s, '-');
    if (!scan_is(s, '0') && !scan_digits(s))
        return false;
    if (scan_is(s, '.') && !scan_digits(s))
        return false;
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (!scan_is(s, '-'))
            (void)scan_is(s, '+');
        return scan_digits(s);
    }
    return true;
}

bool
scan_word(struct scan *s, struct str word)
{
    if (!str_starts((struct str){s->at, (size_t)(s->end - s->at)}, word))
        return false;
    s->at += word.len;
    return true;
}

static size_t
put_utf8(uint32_t c, char utf8[static 4])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = n; i-- > 1; c >>= 6)
        utf8[i] = (char)(0x80 | (c & 0x3f));
    utf8[0] = (char)(lead[n] | c);
    return n;
}

/* The character of the escape at `*at`, which scan_string() has looked at; moves past it. 0: half a
 * surrogate pair. */
static size_t
next_escape(const char **at, const char *end, char utf8[static 4])
{
    static const char letters[] = "bfnrt", controls[] = "\b\f\n\r\t";
    char c = (*at)[1];
    const char *letter = strchr(letters, c);
    int32_t high, low;

    *at += 2;
    if (c != 'u') {
        utf8[0] = letter != NULL && c != '\0' ? controls[letter - letters] : c;
        return 1;
    }
    high = read_unit(*at, end);
    *at += 4;
    if (high < 0xd800 || high > 0xdfff)
        return put_utf8((uint32_t)high, utf8);
    if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return 0;
    low = read_unit(*at + 2, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *at += 6;
    return put_utf8(0x10000 + ((uint32_t)(high - 0xd800) << 10 | (uint32_t)(low - 0xdc00)), utf8);
}

bool
scan_unescape(struct str raw, struct buf *out)
{
    const char *at = raw.ptr, *end = raw.ptr + raw.len;

    while (at < end) {
        size_t plain = str_index((struct str){at, (size_t)(end - at)}, '\\'), n;
        char utf8[4];

        if (out != NULL)
            buf_put(out, at, plain);
        at += plain;
        if (at == end)
            break;
        if ((n = next_escape(&at, end, utf8)) == 0)
            return false;
        if (out != NULL)
            buf_put(out, utf8, n);
    }
    return true;
}

bool
scan_text_is(const struct scan_text *text, struct str expected)
{
    const char *at = text->raw.ptr, *end = at + text->raw.len;

    if (!text->escaped)
        return str_equal(text->raw, expected);
    while (at < end) {
        char utf8[4] = {*at};
        size_t n = 1;

        if (*at == '\\')
            n = next_escape(&at, end, utf8);
        else
            at++;
        if (n == 0 || !str_starts(expected, (struct str){utf8, n}))
            return false;
        expected = str_skip(expected, n);
    }
    return expected.len == 0;
}

void
scan_put_string(struct buf *out, size_t stars, struct str tail)
{
    buf_put_u8(out, '"');
    if (stars > 0 && buf_reserve(out, stars) == OK) {
        memset(out->ptr + out->len, '*', stars);
        out->len += stars;
    }
    for (size_t i = 0; i < tail.len; i++) {
        char c = tail.ptr[i];

        if (is_plain(c)) {
            buf_put_u8(out, (uint8_t)c);
        } else if (c == '"' || c == '\\') {
            buf_put_u8(out, '\\');
            buf_put_u8(out, (uint8_t)c);
        } else {
            buf_printf(out, "\\u%04x", (unsigned)(unsigned char)c);
        }
    }
    buf_put_u8(out, '"');
}
