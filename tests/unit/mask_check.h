/* What the tests of masks share: the rules, and a comparison of one masked value. */
#ifndef MASK_CHECK_H
#define MASK_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include "mask/mask.h"
#include "mask/typed.h"

static const unsigned char mask_key[] = "0123456789abcdef0123456789abcdef";

static const struct mask_rule redact = {.kind = MASK_REDACT};
static const struct mask_rule to_null = {.kind = MASK_NULL};
static const struct mask_rule keep4 = {.kind = MASK_PARTIAL, .keep = 4};
static const struct mask_rule hash = {.kind = MASK_HASH};
static const struct mask_rule email = {.kind = MASK_EMAIL};

static inline void
print_bytes(const char *what, struct str s)
{
    print_error("  %s:", what);
    for (size_t i = 0; i < s.len && i < 400; i++)
        print_error(s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f ? "%c" : "\\x%02x",
                    (unsigned char)s.ptr[i]);
    print_error("\n");
}

/* `expected.ptr` NULL: the value must become NULL. */
static inline void
check_bytes(const struct mask_plan *plan, bool binary, struct str in, struct str expected)
{
    struct buf out = buf_make((size_t)32 << 20);
    bool null, right;

    buf_put_text(&out, "before");
    assert_int_equal(mask_value(plan, mask_key, binary, in, &out, &null), OK);
    assert_memory_equal(out.ptr, "before", 6);
    right = null == (expected.ptr == NULL) &&
            str_equal(str_skip(buf_str(&out), 6), null ? STR("") : expected);
    if (!right) {
        print_bytes("in      ", in);
        print_bytes("expected", expected.ptr == NULL ? STR("NULL") : expected);
        print_bytes("got     ", null ? STR("NULL") : str_skip(buf_str(&out), 6));
    }
    assert_true(right);
    buf_free(&out);
}

static inline void
check_text(const struct mask_plan *plan, const char *in, const char *expected)
{
    check_bytes(plan, false, str_from(in),
                expected == NULL ? (struct str){NULL, 0} : str_from(expected));
}

/* Literals, which may have NULs in them. */
#define CHECK_BINARY(plan, in, expected) check_bytes(plan, true, STR(in), STR(expected))
#define CHECK_BINARY_NULL(plan, in)      check_bytes(plan, true, STR(in), (struct str){NULL, 0})

#define COUNT(array)                     (sizeof(array) / sizeof((array)[0]))

#endif
