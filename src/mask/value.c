#include "mask/value.h"

#include "mask/typed.h"

enum { NAME_BYTES_MAX = 63 };

static bool
put_text(const struct mask_rule *rule, struct masking how, struct str value, struct buf *out)
{
    struct masked m;

    if (!masked_make(rule, how.key, value, &m))
        return false;
    masked_put(&m, out);
    return true;
}

/* Cut off as PostgreSQL cuts names: between characters. */
static bool
put_name(const struct mask_rule *rule, struct masking how, struct str value, struct buf *out)
{
    size_t start = out->len;

    if (!put_text(rule, how, value, out))
        return false;
    if (out->len - start > NAME_BYTES_MAX) {
        size_t end = start + NAME_BYTES_MAX;

        while (end > start && ((unsigned char)out->ptr[end] & 0xc0) == 0x80)
            end--;
        out->len = end;
    }
    return true;
}

/* char(n) comes filled up with blanks that are no part of the value. */
static struct str
without_blanks(struct str value)
{
    while (value.len > 0 && value.ptr[value.len - 1] == ' ')
        value.len--;
    return value;
}

/* A whole document is the value at a path of no keys. */
static bool
put_document(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    const struct mask_path path = {.rule = plan->rule};
    const struct mask_plan whole = {
        .shape = MASK_SHAPE_JSON, .type = plan->type, .paths = &path, .n_paths = 1};

    return mask_json(&whole, how, value, out);
}

static bool
put_typed(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    const struct mask_rule *rule = plan->rule;

    switch (plan->type) {
    case OID_BPCHAR:
        return put_text(rule, how, without_blanks(value), out);
    case OID_NAME:
        return put_name(rule, how, value, out);
    case OID_JSON:
    case OID_JSONB:
        return put_document(plan, how, value, out);
    case OID_XML:
        return typed_put_xml(rule, how.key, value, out);
    case OID_BYTEA:
        return typed_put_bytea(rule, how.key, how.binary, value, out);
    case OID_UUID:
        return typed_put_uuid(rule, how.key, how.binary, value, out);
    default: /* of a type that is not known nothing may be guessed */
        return rule->kind == MASK_FIXED &&
               typed_put_fixed(plan->type, how.binary, rule->fixed, out);
    }
}

/* Here go most cells, so what is most common comes first. */
static bool
mask_whole(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    const struct mask_rule *rule = plan->rule;

    if (rule == NULL || rule->kind == MASK_NULL)
        return false;
    if (plan->type == OID_TEXT || plan->type == OID_VARCHAR || plan->type == OID_UNKNOWN) {
        if (rule->kind != MASK_REDACT)
            return put_text(rule, how, value, out);
        buf_put_str(out, mask_redacted);
        return true;
    }
    return put_typed(plan, how, value, out);
}

static bool
mask_shape(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    switch (plan->shape) {
    case MASK_SHAPE_VALUE:
        return mask_whole(plan, how, value, out);
    case MASK_SHAPE_ARRAY:
        return mask_array(plan, how, value, out);
    case MASK_SHAPE_ROW:
        return mask_row(plan, how, value, out);
    case MASK_SHAPE_JSON:
        return mask_json(plan, how, value, out);
    case MASK_SHAPE_PASS:
        break;
    }
    return false;
}

bool
mask_inside(const struct mask_plan *plan, struct masking how, struct str value, struct buf *out)
{
    size_t start = out->len;

    if (plan->shape == MASK_SHAPE_PASS) {
        buf_put_str(out, value);
        return true;
    }
    if (value.len > MASK_VALUE_MAX || ++how.depth > MASK_DEPTH_MAX)
        return false;
    if (!mask_shape(plan, how, value, out) || mask_is_too_long(out, start)) {
        out->len = start;
        return false;
    }
    return true;
}

bool
mask_binary_field(const struct mask_plan *plan, struct masking how, struct str value,
                  struct buf *out)
{
    size_t start = out->len;

    buf_put_u32(out, 0);
    if (out->failed)
        return true;
    if (!mask_inside(plan, how, value, out)) {
        buf_set_u32(out, start, UINT32_MAX);
        return false;
    }
    buf_set_u32(out, start, (uint32_t)(out->len - start - 4));
    return true;
}

enum err
mask_value(const struct mask_plan *plan, const unsigned char key[static MASK_KEY_BYTES],
           bool binary, struct str value, struct buf *out, bool *is_null)
{
    size_t start = out->len;

    *is_null = !mask_inside(plan, (struct masking){.key = key, .binary = binary}, value, out);
    if (!out->failed)
        return OK;
    out->len = start;
    return buf_ok(out);
}
