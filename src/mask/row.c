#include "base/cursor.h"
#include "mask/escape.h"
#include "mask/value.h"

/* PostgreSQL documentation, "Composite Type Input and Output Syntax": read strictly as record_out()
 * writes it. */

static const struct escape row_escape = {
    .before = {['"'] = '"', ['\\'] = '\\'},
    .special =
        {
            ['"'] = true,
            ['\\'] = true,
            ['('] = true,
            [')'] = true,
            [','] = true,
            [' '] = true,
            ['\t'] = true,
            ['\n'] = true,
            ['\v'] = true,
            ['\f'] = true,
            ['\r'] = true,
        },
};

/* From the opening quote; `*used` counts both. false without a closing one. */
static bool
read_quoted(struct str in, struct buf *plain, struct str *value, size_t *used)
{
    size_t i = 1;

    buf_reset(plain);
    for (;; i++) {
        if (i == in.len)
            return false;
        if (in.ptr[i] == '"' && (i + 1 == in.len || in.ptr[i + 1] != '"'))
            break;
        if ((in.ptr[i] == '"' || in.ptr[i] == '\\') && ++i == in.len)
            return false;
        buf_put_u8(plain, (uint8_t)in.ptr[i]);
    }
    *value = buf_str(plain);
    *used = i + 1;
    return !plain->failed;
}

static bool
read_unquoted(struct str in, struct str *value, size_t *used)
{
    size_t i = 0;

    while (i < in.len && in.ptr[i] != ',' && in.ptr[i] != ')') {
        if (row_escape.special[(unsigned char)in.ptr[i]])
            return false;
        i++;
    }
    *value = (struct str){in.ptr, i};
    *used = i;
    return true;
}

static void
put_field(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    size_t start = out->len;

    if (!mask_inside(plan, how, value, out))
        return; /* NULL is written as nothing */
    if (out->len == start || escape_needs_quotes(&row_escape, out, start))
        escape_from(&row_escape, out, start, '"');
}

/* `in` starts with the field; it is `*used` bytes long. */
static bool
take_field(const struct mask_plan *plan, struct masking how, struct str in, struct buf *plain,
           size_t *used, struct buf *out)
{
    bool quoted = in.len > 0 && in.ptr[0] == '"';
    struct str value;

    if (!(quoted ? read_quoted(in, plain, &value, used) : read_unquoted(in, &value, used)))
        return false;
    if (!quoted && value.len == 0)
        return true;
    if (plan->shape == MASK_SHAPE_PASS)
        buf_put(out, in.ptr, *used);
    else
        put_field(plan, how, value, out);
    return true;
}

static bool
walk_text(const struct mask_plan *plan, struct masking how, struct str in, struct buf *plain,
          struct buf *out)
{
    size_t start = out->len, used;

    if (in.len < 2 || in.ptr[0] != '(')
        return false;
    buf_put_u8(out, '(');
    in = str_skip(in, 1);
    for (size_t i = 0; i < plan->n_fields; i++) {
        if (!take_field(&plan->fields[i], how, in, plain, &used, out) ||
            mask_is_too_long(out, start))
            return false;
        in = str_skip(in, used);
        if (i + 1 < plan->n_fields) {
            if (in.len == 0 || in.ptr[0] != ',')
                return false;
            buf_put_u8(out, ',');
            in = str_skip(in, 1);
        }
    }
    buf_put_u8(out, ')');
    return str_is(in, ")");
}

/* record_send(): int32 number of fields; for each oid of its type, int32 length (-1: NULL), bytes.
 */
static bool
mask_binary_row(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    struct cursor c = cursor_make(value);
    size_t start = out->len;

    if (cursor_u32(&c) != plan->n_fields)
        return false;
    buf_put_u32(out, (uint32_t)plan->n_fields);
    for (size_t i = 0; i < plan->n_fields; i++) {
        uint32_t type = cursor_u32(&c), len = cursor_u32(&c);
        struct str field = cursor_bytes(&c, len == UINT32_MAX ? 0 : len);

        if (c.failed || mask_is_too_long(out, start))
            return false;
        buf_put_u32(out, type);
        if (len == UINT32_MAX)
            buf_put_u32(out, UINT32_MAX);
        else
            (void)mask_binary_field(&plan->fields[i], how, field, out);
    }
    return cursor_done(&c);
}

bool
mask_row(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    struct buf plain = buf_make(MASK_VALUE_MAX);
    bool ok;

    if (how.binary)
        return mask_binary_row(plan, how, value, out);
    ok = walk_text(plan, how, value, &plain, out);
    buf_free(&plain);
    return ok;
}
