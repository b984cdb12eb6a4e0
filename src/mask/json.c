#include "mask/scan.h"
#include "mask/text.h"
#include "mask/typed.h"
#include "mask/value.h"

/* One pass over the document. Bytes are copied in runs, from one masked value to the next; all but
 * the masked values stays byte for byte as it was. */
struct document {
    struct scan scan;
    const char *copied; /* up to here the document is in `out` */
    const struct mask_plan *plan;
    const unsigned char *key;
    struct buf *out;
    size_t start;
};

/* How far each path has come: bit i of at[p] says that the first i keys of path p lead here. There
 * may be several, since an array may stand for any number of keys or none. */
struct places {
    uint32_t at[MASK_PATHS_MAX];
    bool any;
};

_Static_assert((int)PROTECT_PATH_MAX <= 32 && (int)MASK_DEPTH_MAX <= 32, "a bit for each key");

static bool scan_value(struct document *d, const struct places *places, unsigned depth);

/* The key that the name of a member, or the place of an element, is compared with. */
struct step {
    const struct scan_text *name; /* NULL in an array */
    size_t index;
};

/* A key that counts from the end of an array may be any of its elements. */
static bool
names_index(struct str key, size_t index)
{
    uint64_t n;

    if (key.len > 0 && key.ptr[0] == '-')
        return str_to_uint(str_skip(key, 1), UINT64_MAX, &n);
    return str_to_uint(key, UINT64_MAX, &n) && n == index;
}

static bool
step_is(const struct step *step, struct str key)
{
    return step->name != NULL ? scan_text_is(step->name, key) : names_index(key, step->index);
}

/* One path, one step down from the places in `bits`. Returns the new places; `*ends` if the path
 * ends here. */
static uint32_t
follow(const struct mask_path *path, uint32_t bits, const struct step *step, bool *ends)
{
    uint32_t next = step->name == NULL ? bits : 0; /* an element is where its array is */

    *ends = false;
    for (; bits != 0; bits &= bits - 1) {
        size_t i = (size_t)__builtin_ctz(bits);

        if (!step_is(step, path->keys[i]))
            continue;
        if (i + 1 == path->n_keys)
            *ends = true;
        else
            next |= UINT32_C(2) << i;
    }
    return next;
}

/* The first path that ends at this step, NULL if none does; else `next` is where the others are. */
static const struct mask_path *
step_down(const struct document *d, const struct places *from, const struct step *step,
          struct places *next)
{
    next->any = false;
    for (size_t p = 0; p < d->plan->n_paths; p++) {
        bool ends;

        next->at[p] = 0;
        if (from->at[p] == 0)
            continue;
        next->at[p] = follow(&d->plan->paths[p], from->at[p], step, &ends);
        if (ends)
            return &d->plan->paths[p];
        next->any = next->any || next->at[p] != 0;
    }
    return NULL;
}

/* The text that partial, hash and email act on: of a string or a number. A string with escapes is
 * unescaped at the end of `out` for as long as it is needed. */
static bool
put_masked_text(struct document *d, const struct mask_rule *rule, struct str value)
{
    size_t start = d->out->len;
    struct str text = value;
    struct masked m;
    bool ok = true;

    if (value.ptr[0] == '"') {
        text = (struct str){value.ptr + 1, value.len - 2};
        if (str_index(text, '\\') < text.len) {
            ok = scan_unescape(text, d->out) && !d->out->failed;
            text = str_skip(buf_str(d->out), start);
        }
    }
    ok = ok && masked_make(rule, d->key, text, &m);
    d->out->len = start;
    if (ok)
        scan_put_string(d->out, m.stars, m.tail);
    return ok;
}

static void
put_masked(struct document *d, const struct mask_rule *rule, struct str value)
{
    bool is_text = value.ptr[0] == '"' || value.ptr[0] == '-' ||
                   (value.ptr[0] >= '0' && value.ptr[0] <= '9');

    if (rule->kind == MASK_NULL)
        buf_put_text(d->out, "null");
    else if (rule->kind == MASK_FIXED)
        scan_put_string(d->out, 0, rule->fixed);
    else if (rule->kind == MASK_REDACT || (!is_text && rule->kind != MASK_HASH) ||
             !put_masked_text(d, rule, value))
        scan_put_string(d->out, 0, mask_redacted);
}

/* The value at the end of a path: read through for its end, and replaced unless it is null. */
static bool
mask_here(struct document *d, const struct mask_path *path, unsigned depth)
{
    struct str value;

    scan_space(&d->scan);
    value.ptr = d->scan.at;
    if (path->rule == NULL || !scan_value(d, NULL, depth))
        return false;
    value.len = (size_t)(d->scan.at - value.ptr);
    if (str_equal(value, STR("null")))
        return true;
    buf_put(d->out, d->copied, (size_t)(value.ptr - d->copied));
    put_masked(d, path->rule, value);
    d->copied = d->scan.at;
    return !mask_is_too_long(d->out, d->start);
}

/* A member's or element's value; `next` is room of the caller's. */
static bool
scan_child(struct document *d, const struct places *places, const struct step *step,
           struct places *next, unsigned depth)
{
    const struct mask_path *path;

    if (places == NULL)
        return scan_value(d, NULL, depth);
    if ((path = step_down(d, places, step, next)) != NULL)
        return mask_here(d, path, depth);
    return scan_value(d, next->any ? next : NULL, depth);
}

/* A name with half a surrogate pair may be any other in another reader's eyes. */
static bool
scan_name(struct document *d, struct scan_text *name)
{
    scan_space(&d->scan);
    if (!scan_string(&d->scan, name) || (name->escaped && !scan_unescape(name->raw, NULL)))
        return false;
    scan_space(&d->scan);
    return scan_is(&d->scan, ':');
}

static bool
scan_object(struct document *d, const struct places *places, unsigned depth)
{
    struct places next;
    struct scan_text name;
    const struct step step = {.name = &name};

    scan_space(&d->scan);
    if (scan_is(&d->scan, '}'))
        return true;
    do {
        if (!scan_name(d, &name) || !scan_child(d, places, &step, &next, depth))
            return false;
        scan_space(&d->scan);
    } while (scan_is(&d->scan, ','));
    return scan_is(&d->scan, '}');
}

static bool
scan_array(struct document *d, const struct places *places, unsigned depth)
{
    struct places next;
    struct step step = {0};

    scan_space(&d->scan);
    if (scan_is(&d->scan, ']'))
        return true;
    do {
        if (!scan_child(d, places, &step, &next, depth))
            return false;
        step.index++;
        scan_space(&d->scan);
    } while (scan_is(&d->scan, ','));
    return scan_is(&d->scan, ']');
}

/* Any value; `depth` containers are around it; without `places` no path leads into it. */
static bool
scan_value(struct document *d, const struct places *places, unsigned depth)
{
    struct scan_text text;

    scan_space(&d->scan);
    if (d->scan.at == d->scan.end)
        return false;
    switch (*d->scan.at) {
    case '{':
        d->scan.at++;
        return depth < MASK_DEPTH_MAX && scan_object(d, places, depth + 1);
    case '[':
        d->scan.at++;
        return depth < MASK_DEPTH_MAX && scan_array(d, places, depth + 1);
    case '"':
        return scan_string(&d->scan, &text);
    case 't':
        return scan_word(&d->scan, STR("true"));
    case 'f':
        return scan_word(&d->scan, STR("false"));
    case 'n':
        return scan_word(&d->scan, STR("null"));
    default:
        return scan_number(&d->scan);
    }
}

/* All paths at their first key; or the one without keys. false: there are none, or they are more or
 * longer than can be followed. */
static bool
first_places(const struct mask_plan *plan, struct places *places, const struct mask_path **whole)
{
    *whole = NULL;
    places->any = true;
    if (plan->n_paths == 0 || plan->n_paths > MASK_PATHS_MAX)
        return false;
    for (size_t p = 0; p < plan->n_paths; p++) {
        places->at[p] = 1;
        if (plan->paths[p].n_keys > PROTECT_PATH_MAX)
            return false;
        if (plan->paths[p].n_keys == 0 && *whole == NULL)
            *whole = &plan->paths[p];
    }
    return true;
}

static bool
mask_document(const struct mask_plan *plan, struct masking how, struct str text, struct buf *out)
{
    struct document d = {.scan = {text.ptr, text.ptr + text.len},
                         .copied = text.ptr,
                         .plan = plan,
                         .key = how.key,
                         .out = out,
                         .start = out->len};
    struct places places;
    const struct mask_path *whole;
    bool ok;

    if (!first_places(plan, &places, &whole) || !str_is_utf8(text))
        return false;
    ok = whole != NULL ? mask_here(&d, whole, 0) : scan_value(&d, &places, 0);
    scan_space(&d.scan);
    if (!ok || d.scan.at != d.scan.end)
        return false;
    buf_put(out, d.copied, (size_t)(d.scan.end - d.copied));
    return true;
}

bool
mask_json(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    switch (plan->type) {
    case OID_JSONB:
        if (how.binary) { /* jsonb_send(): a version, then text */
            if (value.len == 0 || value.ptr[0] != 1)
                return false;
            buf_put_u8(out, 1);
            value = str_skip(value, 1);
        }
        break;
    case OID_JSON:
    case OID_TEXT:
    case OID_VARCHAR:
    case OID_BPCHAR:
        break;
    default:
        return false;
    }
    return mask_document(plan, how, value, out);
}
