/* A plan chosen by the first bytes, and a value, a row or a tuple for it. What comes out is NULL or
 * bounded, a redacted value is one of few, and what was masked is read again and stays. */
#include <stdlib.h>

#include "mask/mask.h"
#include "mask/typed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const unsigned char key[MASK_KEY_BYTES] = "fuzz";

static const struct mask_rule rules[] = {
    {.kind = MASK_REDACT},
    {.kind = MASK_NULL},
    {.kind = MASK_PARTIAL, .keep = 4},
    {.kind = MASK_HASH},
    {.kind = MASK_EMAIL},
    {.kind = MASK_FIXED, .fixed = STR_INIT("7")},
    {.kind = MASK_FIXED, .fixed = STR_INIT("a \"b\\{(,\n")},
};

static const uint32_t types[] = {
    OID_TEXT, OID_BPCHAR,  OID_NAME, OID_JSON, OID_JSONB,  OID_XML,  OID_BYTEA, OID_UUID,
    OID_BOOL, OID_NUMERIC, OID_INT2, OID_INT8, OID_FLOAT8, OID_DATE, OID_CHAR,  0,
};

static const struct str a[] = {STR_INIT("a")};
static const struct str a_b[] = {STR_INIT("a"), STR_INIT("b")};
static const struct str one[] = {STR_INIT("1"), STR_INIT("é")};

static const struct mask_copy formats[] = {
    {.delimiter = '\t', .null = STR_INIT("\\N")},
    {.delimiter = '|', .null = STR_INIT("")},
    {.csv = true, .delimiter = ',', .quote = '"', .escape = '"'},
    {.csv = true, .delimiter = ';', .quote = '\'', .escape = '\\', .null = STR_INIT("NULL")},
};

struct choice {
    unsigned shape, rule, type, binary;
};

/* All plans there are; `plan` is the one that was chosen. */
struct plans {
    struct mask_plan plan, value, array, row, json, fields[3];
    struct mask_path paths[3];
};

static void
choose(struct plans *p, const struct choice *c)
{
    const struct mask_rule *rule = &rules[c->rule % COUNT(rules)];
    uint32_t type = types[c->type % COUNT(types)];

    p->value = (struct mask_plan){.shape = MASK_SHAPE_VALUE, .type = type, .rule = rule};
    p->paths[0] = (struct mask_path){a_b, 2, rule};
    p->paths[1] = (struct mask_path){one, c->shape & 0x40 ? 2 : 1, rule};
    p->paths[2] = (struct mask_path){a, c->shape & 0x80 ? 1 : 0, rule};
    p->json = (struct mask_plan){.shape = MASK_SHAPE_JSON,
                                 .type = type,
                                 .paths = p->paths,
                                 .n_paths = c->shape & 0x20 ? 2 : 3};
    p->fields[0] = (struct mask_plan){.shape = MASK_SHAPE_PASS};
    p->fields[1] = p->value;
    p->fields[2] = p->json;
    p->row = (struct mask_plan){.shape = MASK_SHAPE_ROW, .fields = p->fields, .n_fields = 3};
    p->array = (struct mask_plan){.shape = MASK_SHAPE_ARRAY,
                                  .element = c->shape & 0x20 ? &p->row : &p->value,
                                  .delimiter = c->shape & 0x40 ? ';' : ','};
    if (c->shape & 0x80)
        p->fields[0] = p->array;
    switch (c->shape % 4) {
    case 0:
        p->plan = p->value;
        break;
    case 1:
        p->plan = p->array;
        break;
    case 2:
        p->plan = p->row;
        break;
    default:
        p->plan = p->json;
    }
    if (c->shape & 0x80 && c->shape & 0x20) /* arrays in rows in arrays have an end */
        p->fields[0] = p->value;
}

static void
check_redacted(const struct mask_plan *plan, struct str out)
{
    static const char *const known[] = {"***",         "\\x2a2a2a", "\"***\"",
                                        "\x01\"***\"", "null",      "\x01null"};
    struct str s = str_trim(out);

    if (plan->type == OID_JSONB && out.len > 0 && out.ptr[0] == 1)
        s = str_trim(str_skip(out, 1));
    for (size_t i = 0; i < COUNT(known); i++)
        if (str_is(s, known[i]))
            return;
    abort();
}

static void
check_value(const struct plans *p, const struct choice *c, struct str value)
{
    const struct mask_rule *rule = &rules[c->rule % COUNT(rules)];
    struct buf out = buf_make((size_t)32 << 20), again = buf_make((size_t)32 << 20);
    bool binary = c->binary & 1, null;

    if (mask_value(&p->plan, key, binary, value, &out, &null) != OK)
        abort();
    if (out.len > MASK_RESULT_MAX || (null && out.len > 0))
        abort();
    if (!null && rule->kind == MASK_REDACT && p->plan.shape == MASK_SHAPE_VALUE)
        check_redacted(&p->plan, buf_str(&out));
    if (!null && rule->kind == MASK_REDACT) {
        if (mask_value(&p->plan, key, binary, buf_str(&out), &again, &null) != OK || null ||
            !str_equal(buf_str(&out), buf_str(&again)))
            abort();
    }
    buf_free(&out);
    buf_free(&again);
}

static void
check_copy(const struct plans *p, const struct choice *c, struct str row)
{
    static const struct mask_plan pass[3];
    const struct mask_copy *format = &formats[c->binary / 4 % COUNT(formats)];
    struct buf out = buf_make((size_t)32 << 20), again = buf_make((size_t)32 << 20);
    bool binary = c->binary & 1;
    enum err e = binary ? mask_copy_tuple(p->fields, 3, key, row, &out)
                        : mask_copy_row(format, p->fields, 3, key, row, &out);

    if (e == OK) {
        struct str masked = buf_str(&out);

        e = binary ? mask_copy_tuple(pass, 3, key, masked, &again)
                   : mask_copy_row(format, pass, 3, key, masked, &again);
        if (e != OK || !str_equal(masked, buf_str(&again)))
            abort();
    } else if (out.len != 0) {
        abort();
    }
    buf_free(&out);
    buf_free(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choice c;
    struct plans p = {0};
    struct str value;

    if (size < 4)
        return 0;
    c = (struct choice){data[0], data[1], data[2], data[3]};
    value = (struct str){(const char *)data + 4, size - 4};
    choose(&p, &c);
    if (c.binary & 2)
        check_copy(&p, &c, value);
    else
        check_value(&p, &c, value);
    return 0;
}
