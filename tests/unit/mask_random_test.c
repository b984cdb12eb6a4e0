/* Random plans and values that fit them, with a secret in each hidden place: whatever is done to
 * the value, no five characters of the secret in a row come out. */
#include "mask_check.h"

enum { ROUNDS = 20000, SECRET_BYTES = 12, RUN_BYTES = 5, PLANS_MAX = 128, TEXT_MAX = 1 << 20 };

static uint64_t seed = 20240229;
static char secret[SECRET_BYTES + 1];

static size_t
below(size_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(seed >> 33) % n;
}

/* Letters and digits by turns: no mask has such a run by itself. */
static void
new_secret(void)
{
    for (size_t i = 0; i < SECRET_BYTES; i += 2) {
        secret[i] = (char)('G' + below(20));
        secret[i + 1] = (char)('0' + below(10));
    }
}

static bool
is_leaked(struct str out)
{
    for (size_t i = 0; i + RUN_BYTES <= SECRET_BYTES; i++)
        if (memmem(out.ptr, out.len, secret + i, RUN_BYTES) != NULL)
            return true;
    return false;
}

static void
put_noise(struct buf *out)
{
    static const char noise[] = "abc xyz,;{}()[]\"'\\\n\t|é:NULL@.-";

    for (size_t n = below(6); n > 0; n--) {
        size_t at = below(sizeof(noise) - 1);

        if (((unsigned char)noise[at] & 0x80) == 0)
            buf_put_u8(out, (uint8_t)noise[at]);
        else
            buf_put_text(out, "é");
    }
}

static void
put_secret(struct buf *out)
{
    put_noise(out);
    buf_put(out, secret, SECRET_BYTES);
    if (below(3) == 0)
        buf_put_text(out, "@example.com");
    else
        put_noise(out);
}

/* Plans */

static struct mask_plan plans[PLANS_MAX];
static size_t n_plans;

static const struct mask_rule *
any_rule(void)
{
    static const struct mask_rule fixed = {.kind = MASK_FIXED, .fixed = STR_INIT("a \"b\\{(,")};
    static const struct mask_rule *const rules[] = {&redact, &to_null, &keep4,
                                                    &hash,   &email,   &fixed};

    return rules[below(COUNT(rules))];
}

/* With `all` nothing passes. */
static void
fill_plan(struct mask_plan *plan, const struct mask_rule *rule, unsigned depth, bool all)
{
    static const uint32_t types[] = {OID_TEXT, OID_VARCHAR, OID_BPCHAR, OID_NAME};
    size_t shape = depth == 0 || n_plans + 8 > PLANS_MAX ? 2 + below(3) : below(5);

    *plan = (struct mask_plan){.delimiter = ',', .type = types[below(COUNT(types))]};
    if (shape == 0) {
        struct mask_plan *element = &plans[n_plans++];

        plan->shape = MASK_SHAPE_ARRAY;
        plan->element = element;
        fill_plan(element, rule, depth - 1, all);
    } else if (shape == 1) {
        struct mask_plan *fields = &plans[n_plans];

        plan->shape = MASK_SHAPE_ROW;
        plan->fields = fields;
        plan->n_fields = 1 + below(4);
        n_plans += plan->n_fields;
        for (size_t i = 0; i < plan->n_fields; i++)
            fill_plan(&fields[i], rule, depth - 1, all);
    } else if (shape == 2 && !all) {
        plan->shape = MASK_SHAPE_PASS;
    } else {
        plan->shape = MASK_SHAPE_VALUE;
        plan->rule = rule != NULL ? rule : any_rule();
    }
}

static struct mask_plan
any_plan(const struct mask_rule *rule, bool all)
{
    struct mask_plan plan;

    n_plans = 0;
    fill_plan(&plan, rule, 4, all);
    return plan;
}

/* Values */

static void make_value(const struct mask_plan *plan, bool binary, struct buf *out);

static void
put_quoted(struct buf *out, struct str s, char before_quote)
{
    buf_put_u8(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"')
            buf_put_u8(out, (uint8_t)before_quote);
        if (s.ptr[i] == '\\')
            buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)s.ptr[i]);
    }
    buf_put_u8(out, '"');
}

static void
put_inner(const struct mask_plan *plan, bool binary, char before_quote, struct buf *out)
{
    struct buf inner = buf_make(TEXT_MAX);
    bool null = below(6) == 0;

    make_value(plan, binary, &inner);
    if (binary) {
        buf_put_u32(out, null ? UINT32_MAX : (uint32_t)inner.len);
        if (!null)
            buf_put_str(out, buf_str(&inner));
    } else if (!null) {
        put_quoted(out, buf_str(&inner), before_quote);
    } else if (before_quote == '\\') {
        buf_put_text(out, "NULL");
    }
    buf_free(&inner);
}

static void
make_array(const struct mask_plan *plan, bool binary, struct buf *out)
{
    size_t n = 1 + below(3);

    if (binary) {
        const uint32_t head[] = {1, 1, OID_TEXT, (uint32_t)n, 1};

        for (size_t i = 0; i < COUNT(head); i++)
            buf_put_u32(out, head[i]);
        for (size_t i = 0; i < n; i++)
            put_inner(plan->element, true, 0, out);
        return;
    }
    buf_put_text(out, below(4) == 0 ? "[-1:1]={" : "{");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_put_u8(out, ',');
        put_inner(plan->element, false, '\\', out);
    }
    buf_put_u8(out, '}');
}

static void
make_row(const struct mask_plan *plan, bool binary, struct buf *out)
{
    if (binary)
        buf_put_u32(out, (uint32_t)plan->n_fields);
    else
        buf_put_u8(out, '(');
    for (size_t i = 0; i < plan->n_fields; i++) {
        if (binary)
            buf_put_u32(out, OID_TEXT);
        else if (i > 0)
            buf_put_u8(out, ',');
        put_inner(&plan->fields[i], binary, '"', out);
    }
    if (!binary)
        buf_put_u8(out, ')');
}

static void
make_value(const struct mask_plan *plan, bool binary, struct buf *out)
{
    if (plan->shape == MASK_SHAPE_ARRAY)
        make_array(plan, binary, out);
    else if (plan->shape == MASK_SHAPE_ROW)
        make_row(plan, binary, out);
    else if (plan->shape == MASK_SHAPE_VALUE)
        put_secret(out);
    else
        put_noise(out);
}

static void
damage(struct buf *b, size_t from, size_t to)
{
    static const char bytes[] = "{}()[],\"\\\n\t N\x00\x01\x7f\xff:=";

    for (size_t n = 1 + below(3); n > 0 && to > from; n--) {
        size_t at = from + below(to - from);

        b->ptr[at] = bytes[below(sizeof(bytes) - 1)];
    }
    if (below(3) == 0)
        b->len = below(b->len + 1);
}

static void
check_hidden(const struct mask_plan *plan, bool binary, struct str in, bool *null, struct buf *out)
{
    assert_int_equal(mask_value(plan, mask_key, binary, in, out, null), OK);
    assert_true(!*null || out->len == 0);
    if (is_leaked(buf_str(out))) {
        print_bytes("in ", in);
        print_bytes("out", buf_str(out));
        assert_true(false);
    }
}

static void
test_no_secret_survives_in_values_arrays_and_rows(void **state)
{
    struct buf in = buf_make(TEXT_MAX), out = buf_make(TEXT_MAX);
    bool null;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        bool damaged = below(2) == 0, binary = below(2) == 0;
        struct mask_plan plan = any_plan(NULL, damaged);

        new_secret();
        buf_reset(&in);
        buf_reset(&out);
        make_value(&plan, binary, &in);
        if (damaged)
            damage(&in, 0, in.len);
        check_hidden(&plan, binary, buf_str(&in), &null, &out);
        assert_true(damaged || !null || plan.rule == &to_null);
    }
    buf_free(&in);
    buf_free(&out);
}

static void
test_a_redacted_value_is_read_again_and_stays_as_it_is(void **state)
{
    struct buf in = buf_make(TEXT_MAX), out = buf_make(TEXT_MAX), again = buf_make(TEXT_MAX);
    bool null;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        static const struct mask_rule fixed = {.kind = MASK_FIXED, .fixed = STR_INIT("a \"b\\{(,")};
        bool binary = below(2) == 0;
        struct mask_plan plan = any_plan(below(2) == 0 ? &redact : &fixed, false);

        new_secret();
        buf_reset(&in);
        buf_reset(&out);
        buf_reset(&again);
        make_value(&plan, binary, &in);
        check_hidden(&plan, binary, buf_str(&in), &null, &out);
        assert_false(null);
        check_hidden(&plan, binary, buf_str(&out), &null, &again);
        assert_false(null);
        assert_true(str_equal(buf_str(&out), buf_str(&again)));
    }
    buf_free(&in);
    buf_free(&out);
    buf_free(&again);
}

/* Documents */

static void
put_json_text(struct buf *out, bool hidden)
{
    struct buf text = buf_make(TEXT_MAX);

    if (hidden)
        put_secret(&text);
    else
        put_noise(&text);
    buf_put_u8(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c < 0x20 || (c < 0x80 && below(8) == 0))
            buf_printf(out, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else
            buf_put_u8(out, c);
    }
    buf_put_u8(out, '"');
    buf_free(&text);
}

/* `top`: no object is around it, so that a member "a" of it is hidden. */
static void
put_json(struct buf *out, bool hidden, bool top, unsigned depth)
{
    static const char *const names[] = {"a", "\\u0061", "b", "aa", "A"};
    size_t kind = depth == 0 ? 2 + below(2) : below(4), n = below(4);

    if (kind == 3) {
        buf_put_text(out, below(2) == 0 ? "null" : " -1.5e3");
    } else if (kind == 2) {
        put_json_text(out, hidden);
    } else {
        buf_put_u8(out, kind == 0 ? '{' : '[');
        for (size_t i = 0; i < n; i++) {
            size_t name = below(COUNT(names));

            buf_put_text(out, i > 0 ? ", " : " ");
            if (kind == 0)
                buf_printf(out, "\"%s\" :", names[name]);
            put_json(out, hidden || (kind == 0 && top && name < 2), top && kind != 0, depth - 1);
        }
        buf_put_u8(out, kind == 0 ? '}' : ']');
    }
}

static void
test_no_secret_survives_in_documents(void **state)
{
    static const struct str keys[] = {STR_INIT("a")};
    struct buf in = buf_make(TEXT_MAX), out = buf_make(TEXT_MAX);
    bool null;

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        bool damaged = below(2) == 0;
        struct mask_path path = {keys, damaged ? 0 : 1, any_rule()};
        struct mask_plan plan = {
            .shape = MASK_SHAPE_JSON, .type = OID_JSONB, .paths = &path, .n_paths = 1};

        new_secret();
        buf_reset(&in);
        buf_reset(&out);
        put_json(&in, damaged, true, 5);
        if (damaged)
            damage(&in, 0, in.len);
        check_hidden(&plan, false, buf_str(&in), &null, &out);
        assert_true(damaged || !null);
        if (!null && path.rule == &redact) {
            struct buf again = buf_make(TEXT_MAX);

            check_hidden(&plan, false, buf_str(&out), &null, &again);
            assert_true(!null && str_equal(buf_str(&out), buf_str(&again)));
            buf_free(&again);
        }
    }
    buf_free(&in);
    buf_free(&out);
}

/* COPY */

static void
put_copy_field(const struct mask_copy *format, struct str value, struct buf *out)
{
    if (format->csv)
        buf_put_u8(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (format->csv && c == '"')
            buf_put_u8(out, '"');
        if (!format->csv && (c == '\\' || c == '\t' || c == '\n'))
            buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)(format->csv || (c != '\n' && c != '\t') ? c
                                  : c == '\n'                             ? 'n'
                                                                          : 't'));
    }
    if (format->csv)
        buf_put_u8(out, '"');
}

static void
test_no_secret_survives_in_rows_of_copy(void **state)
{
    static const struct mask_copy formats[] = {
        {.delimiter = '\t', .null = STR_INIT("\\N")},
        {.csv = true, .delimiter = ',', .quote = '"', .escape = '"'},
    };
    struct buf in = buf_make(TEXT_MAX), out = buf_make(TEXT_MAX), value = buf_make(TEXT_MAX);

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const struct mask_copy *format = &formats[below(2)];
        bool damaged = below(2) == 0;
        struct mask_plan columns[3];
        enum err e;

        new_secret();
        buf_reset(&in);
        buf_reset(&out);
        n_plans = 0;
        for (size_t k = 0; k < COUNT(columns); k++) {
            fill_plan(&columns[k], NULL, 3, damaged);
            buf_reset(&value);
            make_value(&columns[k], false, &value);
            if (k > 0)
                buf_put_u8(&in, (uint8_t)format->delimiter);
            put_copy_field(format, buf_str(&value), &in);
        }
        buf_put_u8(&in, '\n');
        if (damaged)
            damage(&in, 0, in.len);
        e = mask_copy_row(format, columns, COUNT(columns), mask_key, buf_str(&in), &out);
        assert_false(is_leaked(buf_str(&out)));
        assert_true(e == OK || (damaged && e == ERR_PROTOCOL && out.len == 0));
        if (e == OK) { /* it has as many fields as before */
            struct mask_plan all_pass[3] = {0};
            struct buf again = buf_make(TEXT_MAX);

            assert_int_equal(mask_copy_row(format, all_pass, 3, mask_key, buf_str(&out), &again),
                             OK);
            assert_true(str_equal(buf_str(&out), buf_str(&again)));
            buf_free(&again);
        }
    }
    buf_free(&in);
    buf_free(&out);
    buf_free(&value);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_secret_survives_in_values_arrays_and_rows),
        cmocka_unit_test(test_a_redacted_value_is_read_again_and_stays_as_it_is),
        cmocka_unit_test(test_no_secret_survives_in_documents),
        cmocka_unit_test(test_no_secret_survives_in_rows_of_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
