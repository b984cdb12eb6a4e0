#include "base/cursor.h"
#include "mask/escape.h"
#include "mask/value.h"

/* PostgreSQL documentation, "COPY", "File Formats"; read strictly as COPY … TO writes them. */

struct row {
    const struct mask_copy *format;
    const struct mask_plan *plans;
    size_t n;
    const unsigned char *key;
    struct str rest; /* without the newline */
    struct buf *out;
    struct buf plain; /* a field without its escapes */
    struct escape escape;
};

/* One field as it stands in the row. */
struct field {
    struct str raw, value; /* value: without quotes and escapes */
    bool quoted, null;
};

static const char letters[] = "btnvfr"; /* of \b to \r, in this order */

static enum err
malformed(const char *what)
{
    return fail(ERR_PROTOCOL, "a row of COPY is malformed: %s", what);
}

static void
set_text_escapes(struct escape *e, const struct mask_copy *format)
{
    for (size_t c = '\b'; c <= '\r'; c++)
        e->before[c] = '\\';
    e->before['\\'] = '\\';
    e->before[(unsigned char)format->delimiter] = '\\';
    e->letters = true;
}

static void
set_csv_escapes(struct escape *e, const struct mask_copy *format)
{
    e->before[(unsigned char)format->quote] = (unsigned char)format->escape;
    e->before[(unsigned char)format->escape] = (unsigned char)format->escape;
    e->special[(unsigned char)format->delimiter] = true;
    e->special[(unsigned char)format->quote] = true;
    e->special['\n'] = true;
    e->special['\r'] = true;
}

/* Whether `rest` is NULL's text up to the end of the field. */
static bool
is_null_next(const struct row *r)
{
    struct str null = r->format->null;

    return str_starts(r->rest, null) &&
           (r->rest.len == null.len || r->rest.ptr[null.len] == r->format->delimiter);
}

/* Text format */

static enum err
unescape_text(struct row *r, struct field *f)
{
    f->value = f->raw;
    if (str_index(f->raw, '\\') == f->raw.len)
        return OK;
    for (size_t i = 0; i < f->raw.len; i++) {
        char c = f->raw.ptr[i];
        const char *letter;

        if (c == '\\') { /* something follows: the field was cut so */
            c = f->raw.ptr[++i];
            letter = c == '\0' ? NULL : strchr(letters, c);
            if (letter != NULL)
                c = (char)('\b' + (letter - letters));
            else if (c != '\\' && c != r->format->delimiter)
                return malformed("an escape that is never written");
        }
        buf_put_u8(&r->plain, (uint8_t)c);
    }
    f->value = buf_str(&r->plain);
    return OK;
}

static enum err
read_text_field(struct row *r, bool unescape, struct field *f)
{
    size_t i = 0;

    *f = (struct field){.null = is_null_next(r)};
    if (f->null) {
        f->raw = r->format->null;
        return OK;
    }
    for (; i < r->rest.len && r->rest.ptr[i] != r->format->delimiter; i++) {
        if (r->rest.ptr[i] == '\n')
            return malformed("a newline inside");
        if (r->rest.ptr[i] == '\\' && ++i == r->rest.len)
            return malformed("it ends in a backslash");
    }
    f->raw = (struct str){r->rest.ptr, i};
    return unescape ? unescape_text(r, f) : OK;
}

/* csv format */

/* From the opening quote. */
static enum err
read_quoted(struct row *r, struct field *f)
{
    char quote = r->format->quote, escape = r->format->escape;
    struct str in = r->rest;
    size_t i = 1, run = 1; /* the run of bytes up to `i` is not yet in `plain` */

    for (; i < in.len; i++) {
        char c = in.ptr[i], next = i + 1 < in.len ? in.ptr[i + 1] : '\0';

        if (c != quote && c != escape)
            continue;
        if (c == escape && i + 1 < in.len && (next == quote || next == escape)) {
            buf_put(&r->plain, in.ptr + run, i - run);
            run = ++i;
        } else if (c == quote) {
            break;
        } else {
            return malformed("an escape that is never written");
        }
    }
    if (i == in.len)
        return malformed("a quote that does not end");
    f->quoted = true;
    f->raw = (struct str){in.ptr, i + 1};
    f->value = (struct str){in.ptr + run, i - run};
    if (run > 1) {
        buf_put_str(&r->plain, f->value);
        f->value = buf_str(&r->plain);
    }
    return OK;
}

static enum err
read_csv_field(struct row *r, struct field *f)
{
    size_t i = 0;

    *f = (struct field){.null = is_null_next(r)};
    if (f->null) {
        f->raw = r->format->null;
        return OK;
    }
    if (r->rest.len > 0 && r->rest.ptr[0] == r->format->quote)
        return read_quoted(r, f);
    for (; i < r->rest.len && r->rest.ptr[i] != r->format->delimiter; i++) {
        char c = r->rest.ptr[i];

        if (c == '\n' || c == '\r' || c == r->format->quote)
            return malformed("what must be in quotes is not");
    }
    f->raw = f->value = (struct str){r->rest.ptr, i};
    return OK;
}

/* Both */

static void
put_masked(struct row *r, const struct mask_plan *plan, const struct field *f)
{
    size_t start = r->out->len;
    struct str masked;

    if (!mask_inside(plan, (struct masking){.key = r->key}, f->value, r->out)) {
        buf_put_str(r->out, r->format->null);
        return;
    }
    if (!r->format->csv) {
        escape_from(&r->escape, r->out, start, '\0');
        return;
    }
    masked = str_skip(buf_str(r->out), start);
    if (f->quoted || str_equal(masked, r->format->null) || (r->n == 1 && str_is(masked, "\\.")) ||
        escape_needs_quotes(&r->escape, r->out, start))
        escape_from(&r->escape, r->out, start, r->format->quote);
}

static enum err
mask_field(struct row *r, const struct mask_plan *plan)
{
    bool pass = plan->shape == MASK_SHAPE_PASS;
    struct field f;
    enum err e;

    buf_reset(&r->plain);
    e = r->format->csv ? read_csv_field(r, &f) : read_text_field(r, !pass, &f);
    if (e != OK)
        return e;
    if (r->plain.failed) /* longer than any value that is masked */
        buf_put_str(r->out, pass ? f.raw : r->format->null);
    else if (f.null || pass)
        buf_put_str(r->out, f.raw);
    else
        put_masked(r, plan, &f);
    r->rest = str_skip(r->rest, f.raw.len);
    return OK;
}

static enum err
mask_fields(struct row *r)
{
    enum err e;

    for (size_t i = 0; i < r->n; i++) {
        if (i > 0) {
            if (r->rest.len == 0 || r->rest.ptr[0] != r->format->delimiter)
                return malformed("too few fields");
            buf_put_u8(r->out, (uint8_t)r->format->delimiter);
            r->rest = str_skip(r->rest, 1);
        }
        if ((e = mask_field(r, &r->plans[i])) != OK)
            return e;
    }
    if (r->rest.len > 0)
        return malformed("too many fields");
    buf_put_u8(r->out, '\n');
    return OK;
}

/* In the text format a field would swallow its delimiter after a NULL that ends in an escape. */
static bool
null_is_plain(const struct mask_copy *format)
{
    size_t n = 0;

    while (n < format->null.len && format->null.ptr[format->null.len - 1 - n] == '\\')
        n++;
    return format->csv || n % 2 == 0;
}

enum err
mask_copy_row(const struct mask_copy *format, const struct mask_plan *plans, size_t n,
              const unsigned char key[static MASK_KEY_BYTES], struct str row, struct buf *out)
{
    struct row r = {.format = format,
                    .plans = plans,
                    .n = n,
                    .key = key,
                    .out = out,
                    .plain = buf_make(MASK_VALUE_MAX)};
    size_t start = out->len;
    enum err e;

    if (row.len == 0 || row.ptr[row.len - 1] != '\n')
        return malformed("it does not end in a newline");
    if (!null_is_plain(format))
        return malformed("its text for NULL ends in an escape");
    r.rest = (struct str){row.ptr, row.len - 1};
    if (format->csv)
        set_csv_escapes(&r.escape, format);
    else
        set_text_escapes(&r.escape, format);
    e = mask_fields(&r);
    buf_free(&r.plain);
    if (e == OK)
        e = buf_ok(out);
    if (e != OK)
        out->len = start;
    return e;
}

static enum err
mask_tuple_fields(const struct mask_plan *plans, size_t n, const unsigned char *key,
                  struct cursor *c, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t len = cursor_u32(c);
        struct str field = cursor_bytes(c, len == UINT32_MAX ? 0 : len);

        if (c->failed)
            return malformed("cut off");
        if (len == UINT32_MAX)
            buf_put_u32(out, UINT32_MAX);
        else
            (void)mask_binary_field(&plans[i], (struct masking){.key = key, .binary = true}, field,
                                    out);
    }
    return cursor_done(c) ? buf_ok(out) : malformed("bytes after its fields");
}

enum err
mask_copy_tuple(const struct mask_plan *plans, size_t n,
                const unsigned char key[static MASK_KEY_BYTES], struct str tuple, struct buf *out)
{
    struct cursor c = cursor_make(tuple);
    size_t start = out->len;
    uint16_t count = cursor_u16(&c);
    enum err e;

    if (c.failed || count != n)
        return malformed("not as many fields as there are columns");
    buf_put_u16(out, count);
    if ((e = mask_tuple_fields(plans, n, key, &c, out)) != OK)
        out->len = start;
    return e;
}
