#include "base/cursor.h"
#include "mask/escape.h"
#include "mask/value.h"

/* PostgreSQL documentation, "Array Input and Output Syntax": read strictly as array_out() writes
 * it, which has no blanks and quotes all that could be taken for something else. */

enum { DIMENSIONS_MAX = 6 }; /* MAXDIM */

struct walk {
    const struct mask_plan *element;
    struct masking how;
    struct str in;
    size_t at;
    char delimiter;
    unsigned level, leaf_level; /* braces open; braces around each element, once one was seen */
    struct buf *out;
    struct buf plain; /* an element without its escapes */
};

static const struct escape array_escape = {
    .before = {['"'] = '\\', ['\\'] = '\\'},
    .special =
        {
            ['"'] = true,
            ['\\'] = true,
            ['{'] = true,
            ['}'] = true,
            [' '] = true,
            ['\t'] = true,
            ['\n'] = true,
            ['\v'] = true,
            ['\f'] = true,
            ['\r'] = true,
        },
};

static char
peek(const struct walk *w)
{
    return w->at < w->in.len ? w->in.ptr[w->at] : '\0';
}

static void
copy_byte(struct walk *w)
{
    buf_put_u8(w->out, (uint8_t)w->in.ptr[w->at++]);
}

static void
put_element(struct walk *w, struct str value)
{
    size_t start = w->out->len;
    struct str masked;

    if (!mask_inside(w->element, w->how, value, w->out)) {
        buf_put_text(w->out, "NULL");
        return;
    }
    masked = str_skip(buf_str(w->out), start);
    if (masked.len == 0 || str_index(masked, w->delimiter) < masked.len ||
        str_equal_nocase(masked, STR("NULL")) || escape_needs_quotes(&array_escape, w->out, start))
        escape_from(&array_escape, w->out, start, '"');
}

/* From the opening quote; false without a closing one. */
static bool
read_quoted(struct walk *w, struct str *value)
{
    size_t start = ++w->at;
    bool escaped = false;

    buf_reset(&w->plain);
    while (w->at < w->in.len && peek(w) != '"') {
        if (peek(w) == '\\') {
            if (!escaped)
                buf_put(&w->plain, w->in.ptr + start, w->at - start);
            escaped = true;
            if (++w->at == w->in.len)
                return false;
        }
        if (escaped)
            buf_put_u8(&w->plain, (uint8_t)peek(w));
        w->at++;
    }
    if (w->at == w->in.len || w->plain.failed)
        return false;
    *value = escaped ? buf_str(&w->plain) : (struct str){w->in.ptr + start, w->at - start};
    w->at++;
    return true;
}

static bool
read_unquoted(struct walk *w, struct str *value)
{
    size_t start = w->at;

    while (w->at < w->in.len && peek(w) != w->delimiter && peek(w) != '}') {
        if (array_escape.special[(unsigned char)peek(w)])
            return false;
        w->at++;
    }
    *value = (struct str){w->in.ptr + start, w->at - start};
    return value->len > 0;
}

static bool
take_element(struct walk *w)
{
    bool quoted = peek(w) == '"';
    size_t start = w->at;
    struct str value;

    if (w->level == 0 || (w->leaf_level != 0 && w->leaf_level != w->level))
        return false;
    w->leaf_level = w->level;
    if (!(quoted ? read_quoted(w, &value) : read_unquoted(w, &value)))
        return false;
    if ((!quoted && str_equal_nocase(value, STR("NULL"))) || w->element->shape == MASK_SHAPE_PASS)
        buf_put(w->out, w->in.ptr + start, w->at - start);
    else
        put_element(w, value);
    return true;
}

/* A bound: an int32, so no more than ten digits. */
static bool
copy_bound(struct walk *w)
{
    size_t n = 0;

    if (peek(w) == '-')
        copy_byte(w);
    while (peek(w) >= '0' && peek(w) <= '9' && n++ < 10)
        copy_byte(w);
    return n > 0;
}

static bool
copy_if(struct walk *w, char c)
{
    if (w->at == w->in.len || peek(w) != c)
        return false;
    copy_byte(w);
    return true;
}

/* `[1:2][0:1]=`, or nothing. */
static bool
copy_bounds(struct walk *w)
{
    unsigned n = 0;

    while (copy_if(w, '[')) {
        if (++n > DIMENSIONS_MAX || !copy_bound(w) || !copy_if(w, ':') || !copy_bound(w) ||
            !copy_if(w, ']'))
            return false;
    }
    return n == 0 || copy_if(w, '=');
}

static bool
open_braces(struct walk *w)
{
    while (peek(w) == '{') {
        if (++w->level > DIMENSIONS_MAX)
            return false;
        copy_byte(w);
    }
    return true;
}

/* false: an array that does not end where its text ends. */
static bool
walk_text(struct walk *w, size_t start)
{
    if (!copy_bounds(w) || !open_braces(w))
        return false;
    if (w->level == 1 && peek(w) == '}') { /* {} */
        copy_byte(w);
        return w->at == w->in.len;
    }
    for (;;) {
        if (!take_element(w) || mask_is_too_long(w->out, start))
            return false;
        while (w->level > 0 && peek(w) == '}') {
            w->level--;
            copy_byte(w);
        }
        if (w->level == 0)
            return w->at == w->in.len;
        if (!copy_if(w, w->delimiter) || !open_braces(w))
            return false;
    }
}

static bool
mask_text_array(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    struct walk w = {.element = plan->element,
                     .how = how,
                     .in = value,
                     .delimiter = plan->delimiter != '\0' ? plan->delimiter : ',',
                     .out = out,
                     .plain = buf_make(MASK_VALUE_MAX)};
    bool ok = walk_text(&w, out->len);

    buf_free(&w.plain);
    return ok;
}

/* array_send(): int32 dimensions, int32 flags (1: has NULLs), oid of the elements' type, for each
 * dimension int32 size and int32 lower bound; for each element int32 length (-1: NULL) and bytes.
 */
static bool
copy_binary_head(struct cursor *c, struct buf *out, size_t *n)
{
    uint32_t n_dimensions = cursor_u32(c), flags = cursor_u32(c);

    if (c->failed || n_dimensions > DIMENSIONS_MAX || flags > 1)
        return false;
    buf_put_u32(out, n_dimensions);
    buf_put_u32(out, flags);
    buf_put_u32(out, cursor_u32(c));
    *n = n_dimensions > 0;
    for (uint32_t i = 0; i < n_dimensions; i++) {
        uint32_t size = cursor_u32(c);

        buf_put_u32(out, size);
        buf_put_u32(out, cursor_u32(c));
        if (size > MASK_VALUE_MAX || (*n *= size) > MASK_VALUE_MAX)
            return false;
    }
    return !c->failed && *n <= cursor_left(c) / 4;
}

static bool
mask_binary_array(const struct mask_plan *plan, struct masking how, struct str value,
                  struct buf *out)
{
    struct cursor c = cursor_make(value);
    size_t start = out->len, n;

    if (!copy_binary_head(&c, out, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint32_t len = cursor_u32(&c);
        bool null = len == UINT32_MAX;
        struct str element = cursor_bytes(&c, null ? 0 : len);

        if (c.failed || mask_is_too_long(out, start))
            return false;
        if (null)
            buf_put_u32(out, UINT32_MAX);
        else
            null = !mask_binary_field(plan->element, how, element, out);
        if (null)
            buf_set_u32(out, start + 4, 1);
    }
    return cursor_done(&c);
}

bool
mask_array(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    if (plan->element == NULL)
        return false;
    if (how.binary)
        return mask_binary_array(plan, how, value, out);
    return mask_text_array(plan, how, value, out);
}
