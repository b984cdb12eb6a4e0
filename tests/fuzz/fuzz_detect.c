/* A value keeps its length and stays UTF-8 if it was, and pieces of any size give what the whole
 * value gives. The first byte of the input is the size of the pieces. */
#include <stdlib.h>

#include "mask/detect.h"

enum { VALUE_MAX = 4096, RULES_MAX = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct detectors *
compile(void)
{
    struct detect_rule rules[RULES_MAX];
    struct detectors *d;
    size_t n = 0;

    for (; detect_builtin[n] != NULL; n++)
        rules[n] = (struct detect_rule){.name = str_from(detect_builtin[n])};
    rules[n++] = (struct detect_rule){STR("number"), STR("\\bEMP-\\d{6}\\b")};
    rules[n++] = (struct detect_rule){STR("text"), STR("\xc3\xa9.{2,5}\xc3\xa9")};
    rules[n++] = (struct detect_rule){STR("open"), STR("<x>[^<]*</x>")};
    rules[n++] = (struct detect_rule){STR("alone"), STR("([a-f])\\1\\1(?!z)")};
    if (detectors_compile(rules, n, &d) != OK)
        abort();
    return d;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct detectors *d;
    static struct detect_scan *scan;
    struct buf whole = buf_make(VALUE_MAX), pieces = buf_make(VALUE_MAX);
    struct str value;
    size_t step;

    if (size < 2 || size > VALUE_MAX)
        return 0;
    if (d == NULL && detect_scan_open(d = compile(), &scan) != OK)
        abort();
    step = (size_t)data[0] + 1;
    value = (struct str){(const char *)data + 1, size - 1};

    buf_put_str(&whole, value);
    (void)detectors_redact(d, whole.ptr, whole.len, NULL);
    for (size_t at = 0; at < value.len; at += step) {
        size_t n = value.len - at < step ? value.len - at : step;

        if (detect_scan_feed(scan, (struct str){value.ptr + at, n}, &pieces, NULL) != OK)
            abort();
    }
    if (detect_scan_end(scan, &pieces, NULL) != OK ||
        !str_equal(buf_str(&whole), buf_str(&pieces)) ||
        (str_is_utf8(value) && !str_is_utf8(buf_str(&whole))))
        abort();
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
