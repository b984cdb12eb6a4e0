#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/encode.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/table.h"

/* Fails the test after saying which of many cases it was. */
#define reject(...)                                                                                \
    do {                                                                                           \
        print_error(__VA_ARGS__);                                                                  \
        print_error("\n");                                                                         \
        assert_true(false);                                                                        \
    } while (0)

static void
assert_str(struct str s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.ptr, expected, s.len);
}

/* err */

static void
test_fail_may_quote_the_last_failure(void **state)
{
    (void)state;
    assert_int_equal(fail(ERR_IO, "Address already in use"), ERR_IO);
    assert_int_equal(fail(ERR_IO, "%s: %s", "127.0.0.1:5432", err_text()), ERR_IO);
    assert_string_equal(err_text(), "127.0.0.1:5432: Address already in use");
    errno = ENOENT;
    assert_int_equal(fail_errno(ERR_IO, "again: %s", err_text()), ERR_IO);
    assert_string_equal(err_text(),
                        "again: 127.0.0.1:5432: Address already in use: No such file or directory");
}

static void
test_fail_keeps_code_text_and_place(void **state)
{
    struct err_slot slot = {0}, *before = err_slot_switch(&slot);

    (void)state;
    assert_int_equal(fail(ERR_LIMIT, "more than %d", 3), ERR_LIMIT);
    assert_string_equal(err_text(), "more than 3");
    assert_int_equal(slot.code, ERR_LIMIT);
    assert_non_null(strstr(slot.file, "base_test.c"));
    assert_ptr_equal(err_slot_switch(before), &slot);
    assert_string_equal(slot.text, "more than 3");
}

static void
test_an_overlong_error_text_is_cut(void **state)
{
    char text[2 * ERR_TEXT_MAX];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_ignore(fail_errno(ERR_IO, "%s", text));
    assert_int_equal(strlen(err_text()), ERR_TEXT_MAX - 1);
    assert_string_equal(err_name(ERR_TLS), "tls");
    assert_string_equal(err_name((enum err)99), "unknown");
}

/* buf */

static void
test_buf_grows_to_its_maximum_and_no_further(void **state)
{
    struct buf b = buf_make(100);

    (void)state;
    for (int i = 0; i < 100; i++)
        buf_put_u8(&b, (uint8_t)i);
    assert_int_equal(buf_ok(&b), OK);
    assert_int_equal(b.len, 100);
    buf_put_u8(&b, 1);
    assert_int_equal(buf_ok(&b), ERR_LIMIT);
    assert_int_equal(b.len, 100); /* keeps what it had */
    buf_consume(&b, 50);
    buf_put_u8(&b, 1); /* and remembers the failure */
    assert_int_equal(buf_ok(&b), ERR_LIMIT);
    assert_int_equal(b.len, 50);
    assert_int_equal(b.ptr[0], 50);
    buf_reset(&b);
    buf_put_text(&b, "again");
    assert_int_equal(buf_ok(&b), OK);
    assert_str(buf_str(&b), "again");
    buf_consume(&b, 99);
    assert_str(buf_str(&b), "");
    assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_LIMIT);
    buf_free_secret(&b);
    assert_int_equal(b.max, 100);
}

static void
test_buf_writes_numbers_in_network_order(void **state)
{
    static const unsigned char expected[] = {1, 2,    3,    4,    5,    6,    7,    8,
                                             9, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32};
    struct buf b = buf_make(64);

    (void)state;
    buf_put_u8(&b, 1);
    buf_put_u16(&b, 0x0203);
    buf_put_u32(&b, 0);
    buf_set_u32(&b, 3, 0x04050607);
    buf_put_u64(&b, 0x0809fedcba987654);
    buf_put_u8(&b, 0x32);
    buf_set_u32(&b, b.len - 3, 0); /* would reach beyond the end: nothing */
    assert_int_equal(b.len, sizeof(expected));
    assert_memory_equal(b.ptr, expected, sizeof(expected));
    buf_free(&b);
}

static void
test_buf_printf_may_fill_the_buffer_exactly(void **state)
{
    struct buf b = buf_make(8);

    (void)state;
    buf_printf(&b, "%s", "");
    buf_printf(&b, "%d-%s", 1234, "abc");
    assert_int_equal(buf_ok(&b), OK);
    assert_str(buf_str(&b), "1234-abc");
    buf_printf(&b, "%c", 'x');
    assert_int_equal(buf_ok(&b), ERR_LIMIT);
    assert_str(buf_str(&b), "1234-abc");
    buf_free(&b);
}

/* str */

static void
test_str_cut_trim_and_compare(void **state)
{
    struct str head, rest = str_cut(STR("a=b=c"), '=', &head);

    (void)state;
    assert_str(head, "a");
    assert_str(rest, "b=c");
    rest = str_cut(STR("none"), '=', &head);
    assert_str(head, "none");
    assert_str(rest, "");
    rest = str_cut(STR("last="), '=', &head);
    assert_str(head, "last");
    assert_str(rest, "");
    assert_str(str_trim(STR(" \t\r\n\v\fa b \n")), "a b");
    assert_str(str_trim(STR("  ")), "");
    assert_true(str_compare(STR("ab"), STR("abc")) < 0);
    assert_true(str_compare(STR("b"), STR("abc")) > 0);
    assert_true(str_compare(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_compare(STR(""), str_from(NULL)), 0);
    assert_true(str_equal_nocase(STR("SeLect"), STR("sElECT")));
    assert_false(str_equal_nocase(STR("["), STR("{")));
    assert_true(str_starts(STR("abc"), STR("ab")) && str_starts(STR("a"), STR("")));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_equal_secret(STR("x"), STR("x")) && !str_equal_secret(STR("x"), STR("y")));
    assert_false(str_equal_secret(STR("x"), STR("xx")));
    assert_int_equal(str_index(STR("abc"), 'z'), 3);
}

static void
test_str_glob(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "abc", true},
        {"a*", "abc", true},
        {"a*", "ba", false},
        {"*c", "abc", true},
        {"*c", "abcd", false},
        {"a*c", "ac", true},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXcYb", false},
        {"?", "", false},
        {"?", "a", true},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"**", "x", true},
        {"*?", "", false},
        {"*?", "x", true},
        {"*ab", "aab", true},
        {"*aab", "aaab", true},
        {"prod-*", "prod", false},
        {"a", "A", false},
        {"[a]", "a", false},
        {"*\\*", "x*", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (str_glob(str_from(cases[i].pattern), str_from(cases[i].text)) != cases[i].matches)
            reject("pattern %s, text %s", cases[i].pattern, cases[i].text);
}

static void
test_str_glob_takes_no_exponential_time(void **state)
{
    char text[4096];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_false(str_glob(STR("*a*a*a*a*a*a*a*a*a*a*a*a*b"), (struct str){text, sizeof(text)}));
}

static void
test_str_utf8_is_rfc_3629(void **state)
{
    static const char *const good[] = {"",
                                       "ascii",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x9f\xbf",
                                      "\xe1\x80",
                                      "\xe1\x80\x41",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf0\x90\x80",
                                      "\xf0\x90\x80\xc0",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xfe",
                                      "\xff"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(str_is_utf8(str_from(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (str_is_utf8(str_from(bad[i])))
            reject("bad sequence %zu passed", i);
    assert_int_equal(str_utf8_length(STR("\xe2\x82\xac and more")), 3);
}

static void
test_str_to_uint_knows_its_limits(void **state)
{
    uint64_t n = 7;

    (void)state;
    assert_true(str_to_uint(STR("0"), 0, &n) && n == 0);
    assert_true(str_to_uint(STR("00012"), 12, &n) && n == 12);
    assert_true(str_to_uint(STR("18446744073709551615"), UINT64_MAX, &n) && n == UINT64_MAX);
    assert_false(str_to_uint(STR("18446744073709551616"), UINT64_MAX, &n));
    assert_false(str_to_uint(STR("99999999999999999999999"), UINT64_MAX, &n));
    assert_true(str_to_uint(STR("65535"), 65535, &n));
    assert_false(str_to_uint(STR("65536"), 65535, &n));
    assert_false(str_to_uint(STR("9"), 5, &n));
    assert_false(str_to_uint(STR(""), 5, &n));
    assert_false(str_to_uint(STR("-1"), 5, &n));
    assert_false(str_to_uint(STR("+1"), 5, &n));
    assert_false(str_to_uint(STR(" 1"), 5, &n));
    assert_false(str_to_uint(STR("1 "), 5, &n));
    assert_false(str_to_uint(STR("0x1"), 500, &n));
    assert_int_equal(n, 65535); /* untouched by failures */
}

/* cursor */

static void
test_cursor_reads_what_is_there_and_fails_for_good(void **state)
{
    struct cursor c = cursor_make(STR("\x01\x02\x03\x04\x05\x06\x07name\0\xff"));

    (void)state;
    assert_int_equal(cursor_u8(&c), 1);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u32(&c), 0x04050607);
    assert_str(cursor_cstr(&c), "name");
    assert_false(cursor_done(&c));
    assert_int_equal(cursor_left(&c), 1);
    assert_int_equal(cursor_u16(&c), 0); /* one byte short */
    assert_true(c.failed);
    assert_int_equal(cursor_u8(&c), 0); /* the byte that is left is not read either */
    assert_str(cursor_cstr(&c), "");
    assert_str(cursor_bytes(&c, 0), "");
    assert_false(cursor_done(&c));

    c = cursor_make(STR("\xff\xff\xff\xff\xff\xff\xff\xfe"));
    assert_true(cursor_u64(&c) == UINT64_MAX - 1);
    assert_true(cursor_done(&c));
    c = cursor_make(STR("no end"));
    assert_str(cursor_cstr(&c), "");
    assert_true(c.failed);
    c = cursor_make(STR("ab"));
    assert_str(cursor_bytes(&c, SIZE_MAX), "");
    assert_true(c.failed);
    c = cursor_make((struct str){0});
    assert_true(cursor_done(&c));
    assert_str(cursor_cstr(&c), "");
    assert_true(c.failed);
}

/* arena */

static void
add_letter(void *arg)
{
    struct buf *b = arg;

    buf_put_u8(b, (uint8_t)('a' + b->len));
}

static void
clear_letters(void *arg)
{
    buf_put_u8(arg, '.');
}

static void
test_arena_hands_out_zeroed_aligned_memory_up_to_its_maximum(void **state)
{
    struct arena *a = arena_new(20000);
    char *p;

    (void)state;
    for (size_t n = 1; n < 100; n++) {
        p = arena_alloc(a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    assert_non_null(arena_alloc(a, 10000)); /* larger than a block */
    assert_null(arena_alloc(a, 20000));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 3));
    assert_null(arena_array(a, SIZE_MAX / 2, 3));
    arena_reset(a);
    assert_int_equal(arena_used(a), 0);
    p = arena_alloc(a, 64);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(p[i], 0); /* zeroed when reused, too */
    assert_str(arena_str(a, STR("copy")), "copy");
    assert_string_equal(arena_text(a, STR("text")), "text");
    assert_string_equal(arena_text(a, (struct str){0}), "");
    arena_free(a);
    arena_free(NULL);
}

static void
test_arena_with_no_maximum_survives_absurd_sizes(void **state)
{
    struct arena *a = arena_new(SIZE_MAX);

    (void)state;
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 8));
    arena_free(a);
}

static void
test_arena_runs_deferred_calls_newest_first(void **state)
{
    struct arena *a = arena_new(1000), *full = arena_new(0);
    struct buf b = buf_make(10);

    (void)state;
    assert_int_equal(arena_defer(a, add_letter, &b), OK);
    assert_int_equal(arena_defer(a, clear_letters, &b), OK);
    arena_reset(a);
    assert_str(buf_str(&b), ".b");
    arena_reset(a); /* once only */
    assert_str(buf_str(&b), ".b");
    assert_int_equal(arena_defer(a, add_letter, &b), OK);
    arena_free(a);
    assert_str(buf_str(&b), ".bc");
    assert_int_equal(arena_defer(full, add_letter, &b), ERR_NOMEM); /* ran at once */
    assert_str(buf_str(&b), ".bcd");
    arena_free(full);
    buf_free(&b);
}

/* table */

static struct str
number_key(char text[16], int i)
{
    return (struct str){text, (size_t)snprintf(text, 16, "key-%d", i)};
}

static void
count_entry(struct str key, void *value, void *arg)
{
    assert_memory_equal(key.ptr, "key-", 4);
    assert_non_null(value);
    ++*(int *)arg;
}

static void
test_table_keeps_thousands_of_keys(void **state)
{
    enum { N = 5000 };
    struct table *t = table_new(N);
    static int values[N];
    void *old = &old;
    int n = 0;
    char text[16];

    (void)state;
    for (int i = 0; i < N; i++)
        assert_int_equal(table_put(t, number_key(text, i), &values[i], &old), OK);
    assert_null(old);
    assert_int_equal(table_put(t, STR("one more"), &values[0], NULL), ERR_LIMIT);
    assert_int_equal(table_put(t, STR("key-7"), &values[8], &old), OK); /* replacing is no growth */
    assert_ptr_equal(old, &values[7]);
    assert_ptr_equal(table_get(t, STR("key-7")), &values[8]);
    for (int i = 8; i < N; i++)
        assert_ptr_equal(table_get(t, number_key(text, i)), &values[i]);
    table_each(t, count_entry, &n);
    assert_int_equal(n, N);
    for (int i = 0; i < N; i += 2)
        assert_non_null(table_remove(t, number_key(text, i)));
    assert_null(table_remove(t, STR("key-0")));
    assert_int_equal(table_count(t), N / 2);
    for (int i = 0; i < N; i++)
        assert_true((table_get(t, number_key(text, i)) != NULL) == (i % 2 == 1));
    table_free(t);
    table_free(NULL);
}

static void
test_table_keys_are_bytes(void **state)
{
    struct table *t = table_new(10);
    int a, b, c;

    (void)state;
    assert_int_equal(table_put(t, STR(""), &a, NULL), OK);
    assert_int_equal(table_put(t, STR("\0"), &b, NULL), OK);
    assert_int_equal(table_put(t, STR("\0\0"), &c, NULL), OK);
    assert_ptr_equal(table_get(t, (struct str){0}), &a);
    assert_ptr_equal(table_get(t, STR("\0")), &b);
    assert_ptr_equal(table_get(t, STR("\0\0")), &c);
    assert_null(table_get(t, STR("\0\0\0")));
    table_free(t);
}

/* json */

static void
test_json_escapes_and_repairs_strings(void **state)
{
    static const struct {
        struct str in;
        const char *out;
    } cases[] = {
        {STR_INIT(""), "\"\""},
        {STR_INIT("plain"), "\"plain\""},
        {STR_INIT("\"\\\n\r\t"), "\"\\\"\\\\\\n\\r\\t\""},
        {STR_INIT("\0\x1f\x7f"), "\"\\u0000\\u001f\\u007f\""},
        {STR_INIT("\xe2\x82\xac"), "\"\xe2\x82\xac\""},
        {STR_INIT("a\xff"
                  "b"),
         "\"a\xef\xbf\xbd"
         "b\""},
        {STR_INIT("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {STR_INIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {STR_INIT("</script>"), "\"</script>\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b = buf_make(100);
        struct json j = json_to(&b);

        json_str(&j, cases[i].in);
        assert_str(buf_str(&b), cases[i].out);
        buf_free(&b);
    }
}

static void
test_json_of_any_byte_is_read_back_by_another_library(void **state)
{
    struct buf b = buf_make(10000);
    struct json j = json_to(&b);
    json_t *parsed;
    char bytes[2];

    (void)state;
    json_open(&j, '[');
    for (int i = 0; i < 256; i++) {
        bytes[0] = (char)i;
        bytes[1] = '"';
        json_str(&j, (struct str){bytes, 2});
    }
    json_close(&j, ']');
    assert_int_equal(buf_ok(&b), OK);
    parsed = json_loadb(b.ptr, b.len, JSON_ALLOW_NUL, NULL);
    assert_non_null(parsed);
    assert_int_equal(json_array_size(parsed), 256);
    assert_string_equal(json_string_value(json_array_get(parsed, 'x')), "x\"");
    json_decref(parsed);
    buf_free(&b);
}

static void
test_json_puts_commas_and_numbers(void **state)
{
    struct buf b = buf_make(1000);
    struct json j = json_to(&b);

    (void)state;
    json_open(&j, '{');
    json_field_text(&j, "a", "x");
    json_key(&j, "b");
    json_open(&j, '[');
    json_int(&j, 0);
    json_int(&j, -1);
    json_int(&j, INT64_MIN);
    json_uint(&j, UINT64_MAX);
    json_bool(&j, true);
    json_put_null(&j);
    json_open(&j, '{');
    json_close(&j, '}');
    json_open(&j, '[');
    json_close(&j, ']');
    json_close(&j, ']');
    json_field_bool(&j, "c", false);
    json_field_uint(&j, "d", 10);
    json_field_text(&j, "e", NULL);
    json_close(&j, '}');
    assert_str(buf_str(&b), "{\"a\":\"x\",\"b\":[0,-1,-9223372036854775808,18446744073709551615,"
                            "true,null,{},[]],\"c\":false,\"d\":10,\"e\":\"\"}");
    buf_free(&b);
}

/* encode */

static void
check_decoding(enum err (*decode)(struct buf *out, struct str text), const char *text,
               const char *expected)
{
    struct buf b = buf_make(100);
    enum err e = decode(&b, str_from(text));

    if (e != (expected == NULL ? ERR_INVALID : OK))
        reject("%s: %s", text, err_name(e));
    if (expected != NULL)
        assert_str(buf_str(&b), expected);
    buf_free(&b);
}

static void
test_hex_both_ways(void **state)
{
    struct buf b = buf_make(100);

    (void)state;
    encode_hex(&b, STR("\x00\x7f\x80\xff"));
    assert_str(buf_str(&b), "007f80ff");
    buf_free(&b);
    check_decoding(decode_hex, "", "");
    check_decoding(decode_hex, "6A6b", "jk");
    check_decoding(decode_hex, "6", NULL);
    check_decoding(decode_hex, "6g", NULL);
    check_decoding(decode_hex, "0x", NULL);
    check_decoding(decode_hex, " 6", NULL);
}

static void
test_base64_vectors_of_rfc_4648(void **state)
{
    static const struct {
        const char *plain, *padded, *bare;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf b = buf_make(100);

        encode_base64(&b, str_from(cases[i].plain));
        assert_str(buf_str(&b), cases[i].padded);
        buf_reset(&b);
        encode_base64url(&b, str_from(cases[i].plain));
        assert_str(buf_str(&b), cases[i].bare);
        buf_free(&b);
        check_decoding(decode_base64, cases[i].padded, cases[i].plain);
        check_decoding(decode_base64url, cases[i].bare, cases[i].plain);
    }
}

static void
test_base64_is_strict(void **state)
{
    static const char *const bad[] = {"Zg",   "Zg=",   "Zh==", "Zm9=",     "Z===", "====",
                                      "Zm 9", "Zm9\n", "Zm9-", "Zg==Zg==", "=Zg=", "Zm9vY==="};
    static const char *const bad_url[] = {"Z",    "Zg==", "Zh",     "Zm9",
                                          "Zm9+", "Zm/v", "Zm9v\n", "Zm9vY"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_decoding(decode_base64, bad[i], NULL);
    for (size_t i = 0; i < sizeof(bad_url) / sizeof(bad_url[0]); i++)
        check_decoding(decode_base64url, bad_url[i], NULL);
}

/* clock */

static void
test_clock_format_is_rfc_3339(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {-1, "1970-01-01T00:00:00.000000Z"},
        {951782400000001, "2000-02-29T00:00:00.000001Z"},
        {1767225599999999, "2025-12-31T23:59:59.999999Z"},
        {253402300799999999, "9999-12-31T23:59:59.999999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999999Z"},
    };
    char text[CLOCK_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(clock_format(cases[i].us, text), CLOCK_TEXT_BYTES - 1);
        assert_string_equal(text, cases[i].text);
    }
    assert_true(clock_monotonic_us() / 1000 <= clock_monotonic_ms());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_keeps_code_text_and_place),
        cmocka_unit_test(test_fail_may_quote_the_last_failure),
        cmocka_unit_test(test_an_overlong_error_text_is_cut),
        cmocka_unit_test(test_buf_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(test_buf_writes_numbers_in_network_order),
        cmocka_unit_test(test_buf_printf_may_fill_the_buffer_exactly),
        cmocka_unit_test(test_str_cut_trim_and_compare),
        cmocka_unit_test(test_str_glob),
        cmocka_unit_test(test_str_glob_takes_no_exponential_time),
        cmocka_unit_test(test_str_utf8_is_rfc_3629),
        cmocka_unit_test(test_str_to_uint_knows_its_limits),
        cmocka_unit_test(test_cursor_reads_what_is_there_and_fails_for_good),
        cmocka_unit_test(test_arena_hands_out_zeroed_aligned_memory_up_to_its_maximum),
        cmocka_unit_test(test_arena_with_no_maximum_survives_absurd_sizes),
        cmocka_unit_test(test_arena_runs_deferred_calls_newest_first),
        cmocka_unit_test(test_table_keeps_thousands_of_keys),
        cmocka_unit_test(test_table_keys_are_bytes),
        cmocka_unit_test(test_json_escapes_and_repairs_strings),
        cmocka_unit_test(test_json_of_any_byte_is_read_back_by_another_library),
        cmocka_unit_test(test_json_puts_commas_and_numbers),
        cmocka_unit_test(test_hex_both_ways),
        cmocka_unit_test(test_base64_vectors_of_rfc_4648),
        cmocka_unit_test(test_base64_is_strict),
        cmocka_unit_test(test_clock_format_is_rfc_3339),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
