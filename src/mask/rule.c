#include "mask/rule.h"

#include "base/arena.h"
#include "base/cursor.h"

/* The wire form, network byte order:
 *     u32 version, the key,
 *     u32 number of protect rules, then for each
 *         string schema, string table, string column, u32 number of path keys and those strings,
 *         u8 mask, u8 keep (0 but for MASK_PARTIAL), string fixed (empty but for MASK_FIXED),
 *         u8 flags,
 *     u32 number of detect rules, then for each string name, string pattern,
 *     the detectors' own form as one string, which may be longer.
 * A string is its length as u32 and its bytes. One protection has one form only. */
enum {
    WIRE_VERSION = 0x424d0002, /* "BM", form 2 */
    STRING_BYTES_MIN = 4,
    PROTECT_BYTES_MIN = 4 * STRING_BYTES_MIN + 4 + 3,
    DETECT_BYTES_MIN = 2 * STRING_BYTES_MIN,
    FLAG_LOOKUP = 1,
    FLAG_WRITE = 2,
};

static const char *const kind_names[MASK_KIND_COUNT] = {
    [MASK_REDACT] = "redact", [MASK_NULL] = "null",   [MASK_PARTIAL] = "partial",
    [MASK_HASH] = "hash",     [MASK_EMAIL] = "email", [MASK_FIXED] = "fixed",
};

const char *
mask_kind_name(enum mask_kind kind)
{
    return (unsigned)kind < MASK_KIND_COUNT ? kind_names[kind] : "unknown";
}

static bool
put_string(struct buf *out, struct str s)
{
    if (s.len > PROTECT_TEXT_MAX)
        return false;
    buf_put_u32(out, (uint32_t)s.len);
    buf_put_str(out, s);
    return true;
}

/* A fixed text is written into columns of text: no NUL, and UTF-8. */
static bool
fixed_is_text(struct str fixed)
{
    return str_index(fixed, '\0') == fixed.len && str_is_utf8(fixed);
}

static bool
mask_is_sound(const struct mask_rule *mask)
{
    if ((unsigned)mask->kind >= MASK_KIND_COUNT)
        return false;
    if (mask->kind == MASK_PARTIAL && (mask->keep < 1 || mask->keep > MASK_KEEP_MAX))
        return false;
    return mask->kind != MASK_FIXED || fixed_is_text(mask->fixed);
}

static enum err
put_protect_rule(struct buf *out, const struct protect_rule *rule)
{
    const struct mask_rule *mask = &rule->mask;
    bool fits = rule->n_path <= PROTECT_PATH_MAX;

    if (!mask_is_sound(mask))
        return fail(ERR_INVALID, "a protect rule has no sound mask");
    fits = fits && put_string(out, rule->schema) && put_string(out, rule->table) &&
           put_string(out, rule->column);
    if (fits)
        buf_put_u32(out, (uint32_t)rule->n_path);
    for (size_t i = 0; fits && i < rule->n_path; i++)
        fits = put_string(out, rule->path[i]);
    if (!fits)
        return fail(ERR_LIMIT, "a protect rule has a name or path that is too long");
    buf_put_u8(out, (uint8_t)mask->kind);
    buf_put_u8(out, mask->kind == MASK_PARTIAL ? (uint8_t)mask->keep : 0);
    if (!put_string(out, mask->kind == MASK_FIXED ? mask->fixed : STR("")))
        return fail(ERR_LIMIT, "a fixed mask has more than %d bytes", PROTECT_TEXT_MAX);
    buf_put_u8(out, (uint8_t)((rule->lookup ? FLAG_LOOKUP : 0) | (rule->write ? FLAG_WRITE : 0)));
    return OK;
}

enum err
protection_encode(const struct protection *p, struct buf *out)
{
    size_t start = out->len;
    enum err e;

    if (p->n_protect > PROTECT_RULES_MAX || p->n_detect > DETECT_RULES_MAX)
        return fail(ERR_LIMIT, "more than %d protect or %d detect rules", PROTECT_RULES_MAX,
                    DETECT_RULES_MAX);
    buf_put_u32(out, WIRE_VERSION);
    buf_put(out, p->key, MASK_KEY_BYTES);
    buf_put_u32(out, (uint32_t)p->n_protect);
    for (size_t i = 0; i < p->n_protect; i++) {
        if ((e = put_protect_rule(out, &p->protect[i])) != OK) {
            out->len = start;
            return e;
        }
    }
    buf_put_u32(out, (uint32_t)p->n_detect);
    for (size_t i = 0; i < p->n_detect; i++) {
        if (!put_string(out, p->detect[i].name) || !put_string(out, p->detect[i].pattern)) {
            out->len = start;
            return fail(ERR_LIMIT, "a detector has more than %d bytes", PROTECT_TEXT_MAX);
        }
    }
    if (p->detectors.len > DETECTORS_BYTES_MAX) {
        out->len = start;
        return fail(ERR_LIMIT, "compiled detectors of more than %d bytes", DETECTORS_BYTES_MAX);
    }
    buf_put_u32(out, (uint32_t)p->detectors.len);
    buf_put_str(out, p->detectors);
    return buf_ok(out);
}

static enum err
read_string(struct cursor *c, struct str *s)
{
    uint32_t len = cursor_u32(c);

    if (len > PROTECT_TEXT_MAX)
        return fail(ERR_LIMIT, "protection: a string of %u bytes", len);
    *s = cursor_bytes(c, len);
    return c->failed ? fail(ERR_PROTOCOL, "protection: cut off") : OK;
}

/* A number of things of at least `bytes_min` bytes each: no more than can still follow. */
static enum err
read_count(struct cursor *c, size_t max, size_t bytes_min, size_t *n)
{
    *n = cursor_u32(c);
    if (*n > max)
        return fail(ERR_LIMIT, "protection: %zu entries, %zu are allowed", *n, max);
    if (c->failed || *n > cursor_left(c) / bytes_min)
        return fail(ERR_PROTOCOL, "protection: cut off");
    return OK;
}

static enum err
read_path(struct cursor *c, struct arena *arena, struct protect_rule *rule)
{
    struct str *path;
    enum err e;

    if ((e = read_count(c, PROTECT_PATH_MAX, STRING_BYTES_MIN, &rule->n_path)) != OK)
        return e;
    if (rule->n_path == 0)
        return OK;
    if ((path = arena_array(arena, rule->n_path, sizeof(*path))) == NULL)
        return fail(ERR_NOMEM, "protection: no memory for a path");
    for (size_t i = 0; i < rule->n_path; i++)
        if ((e = read_string(c, &path[i])) != OK)
            return e;
    rule->path = path;
    return OK;
}

static enum err
read_mask(struct cursor *c, struct mask_rule *mask)
{
    enum err e;

    mask->kind = (enum mask_kind)cursor_u8(c);
    mask->keep = cursor_u8(c);
    if ((e = read_string(c, &mask->fixed)) != OK)
        return e;
    if (!mask_is_sound(mask) || (mask->kind != MASK_PARTIAL && mask->keep != 0) ||
        (mask->kind != MASK_FIXED && mask->fixed.len != 0))
        return fail(ERR_PROTOCOL, "protection: not a mask");
    return OK;
}

static enum err
read_protect_rule(struct cursor *c, struct arena *arena, struct protect_rule *rule)
{
    uint8_t flags;
    enum err e;

    if ((e = read_string(c, &rule->schema)) != OK || (e = read_string(c, &rule->table)) != OK ||
        (e = read_string(c, &rule->column)) != OK || (e = read_path(c, arena, rule)) != OK ||
        (e = read_mask(c, &rule->mask)) != OK)
        return e;
    flags = cursor_u8(c);
    if (c->failed || (flags & ~(FLAG_LOOKUP | FLAG_WRITE)) != 0)
        return fail(ERR_PROTOCOL, "protection: unknown flags");
    rule->lookup = (flags & FLAG_LOOKUP) != 0;
    rule->write = (flags & FLAG_WRITE) != 0;
    return OK;
}

static enum err
read_protect(struct cursor *c, struct arena *arena, struct protection *out)
{
    struct protect_rule *rules;
    enum err e;

    if ((e = read_count(c, PROTECT_RULES_MAX, PROTECT_BYTES_MIN, &out->n_protect)) != OK)
        return e;
    if (out->n_protect == 0)
        return OK;
    if ((rules = arena_array(arena, out->n_protect, sizeof(*rules))) == NULL)
        return fail(ERR_NOMEM, "protection: no memory for %zu rules", out->n_protect);
    for (size_t i = 0; i < out->n_protect; i++)
        if ((e = read_protect_rule(c, arena, &rules[i])) != OK)
            return e;
    out->protect = rules;
    return OK;
}

static enum err
read_detect(struct cursor *c, struct arena *arena, struct protection *out)
{
    struct detect_rule *rules;
    enum err e;

    if ((e = read_count(c, DETECT_RULES_MAX, DETECT_BYTES_MIN, &out->n_detect)) != OK)
        return e;
    if (out->n_detect == 0)
        return OK;
    if ((rules = arena_array(arena, out->n_detect, sizeof(*rules))) == NULL)
        return fail(ERR_NOMEM, "protection: no memory for %zu detectors", out->n_detect);
    for (size_t i = 0; i < out->n_detect; i++)
        if ((e = read_string(c, &rules[i].name)) != OK ||
            (e = read_string(c, &rules[i].pattern)) != OK)
            return e;
    out->detect = rules;
    return OK;
}

static enum err
read_protection(struct str bytes, struct arena *arena, struct protection *out)
{
    struct cursor c = cursor_make(bytes);
    uint32_t length;
    struct str key;
    enum err e;

    if (cursor_u32(&c) != WIRE_VERSION)
        return fail(ERR_PROTOCOL, "protection: not form %x", (unsigned)WIRE_VERSION);
    key = cursor_bytes(&c, MASK_KEY_BYTES);
    if (c.failed)
        return fail(ERR_PROTOCOL, "protection: cut off");
    memcpy(out->key, key.ptr, MASK_KEY_BYTES);
    if ((e = read_protect(&c, arena, out)) != OK || (e = read_detect(&c, arena, out)) != OK)
        return e;
    if ((length = cursor_u32(&c)) > DETECTORS_BYTES_MAX)
        return fail(ERR_PROTOCOL, "protection: compiled detectors that are too long");
    out->detectors = cursor_bytes(&c, length);
    return cursor_done(&c) ? OK : fail(ERR_PROTOCOL, "protection: more bytes than it has");
}

enum err
protection_decode(struct str bytes, struct arena *arena, struct protection *out)
{
    struct str copy = arena_str(arena, bytes); /* the strings of `*out` point into it */
    enum err e;

    *out = (struct protection){0};
    if (copy.ptr == NULL)
        return fail(ERR_NOMEM, "protection: no memory for %zu bytes", bytes.len);
    if ((e = read_protection(copy, arena, out)) != OK)
        *out = (struct protection){0};
    return e;
}
