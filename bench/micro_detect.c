/* How fast detectors are: compiling them, prose, long values, cells, many hits.
 * ninja -C build bench/micro_detect && build/bench/micro_detect [BUILT-IN ...] */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "mask/detect.h"

enum { MEGABYTE = 1 << 20, ROUNDS_US = 400000, NAMES_MAX = 16 };

static uint64_t seed = 88172645463325252U;

static unsigned
below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

static void
stop(enum err e)
{
    if (e == OK)
        return;
    (void)fprintf(stderr, "micro_detect: %s\n", err_text());
    exit(1);
}

static const char *const words[] = {
    "the",     "of",    "and",      "shipment", "arrived", "late",     "because", "a",
    "truck",   "broke", "down",     "near",     "Dresden", "customer", "asked",   "for",
    "refund",  "which", "we",       "declined", "after",   "checking", "records", "twice;",
    "service", "was",   "restored", "within",   "hours,",  "Monday.",  "(see",    "below)"};

static void
put_prose(struct buf *out, size_t bytes)
{
    for (size_t end = out->len + bytes; out->len < end;) {
        buf_put_text(out, words[below(sizeof(words) / sizeof(words[0]))]);
        buf_put_u8(out, below(14) == 0 ? '\n' : ' ');
        if (below(60) == 0)
            buf_printf(out, "%u ", below(100000));
    }
}

static void
put_hit(struct buf *out)
{
    switch (below(4)) {
    case 0:
        buf_printf(out, "john.smith%u@example.com ", below(1000));
        break;
    case 1:
        buf_printf(out, "4111 1111 1111 1111 ");
        break;
    case 2:
        buf_printf(out, "10.%u.%u.7 ", below(256), below(256));
        break;
    default:
        buf_printf(out, "(212) 555-%04u ", below(10000));
        break;
    }
    buf_put_text(out, words[below(20)]);
    buf_put_u8(out, ' ');
}

/* One after the other, each behind a byte that is its length. */
static void
put_cell(struct buf *out, bool mixed)
{
    char text[128];
    int n;

    switch (below(mixed ? 9 : 5)) {
    case 0:
        n = snprintf(text, sizeof(text), "%u", below(10000000));
        break;
    case 1:
        n = snprintf(text, sizeof(text), "%u.%02u", below(100000), below(100));
        break;
    case 2:
        n = snprintf(text, sizeof(text), "%s %s", words[below(30)], words[below(30)]);
        break;
    case 3:
        n = snprintf(text, sizeof(text), "2024-%02u-%02u", 1 + below(12), 1 + below(28));
        break;
    case 4:
        n = snprintf(text, sizeof(text), "%s", below(2) ? "t" : "in progress");
        break;
    case 5:
        n = snprintf(text, sizeof(text), "2024-%02u-%02u 11:%02u:%02u.%06u+00", 1 + below(12),
                     1 + below(28), below(60), below(60), below(1000000));
        break;
    case 6:
        n = snprintf(text, sizeof(text), "%08x-%04x-4%03x-a%03x-%06x%06x", below(~0U),
                     below(0xFFFF), below(0xFFF), below(0xFFF), below(0xFFFFFF), below(0xFFFFFF));
        break;
    case 7:
        n = snprintf(text, sizeof(text), "%s %s %s %s %s", words[below(30)], words[below(30)],
                     words[below(30)], words[below(30)], words[below(30)]);
        break;
    default:
        n = snprintf(text, sizeof(text), "ORD-%08u-%s", below(100000000), "eu-central");
        break;
    }
    buf_put_u8(out, (uint8_t)n);
    buf_put(out, text, (size_t)n);
}

static void
report(const char *what, uint64_t bytes, uint64_t calls, uint64_t found, int64_t us)
{
    printf("%-38s %8.0f MB/s %9.1f ns a call %9.4f found a call\n", what,
           (double)bytes / (double)us, (double)us * 1000 / (double)calls,
           (double)found / (double)calls);
}

/* Values of `size` bytes out of `text`, which is put back after each round. */
static void
measure_values(const char *what, struct detectors *d, const struct buf *text, size_t size)
{
    char *copy = malloc(text->len);
    uint64_t bytes = 0, calls = 0, found = 0;
    int64_t spent = 0;

    while (copy != NULL && spent < ROUNDS_US) {
        int64_t start;

        memcpy(copy, text->ptr, text->len);
        start = clock_monotonic_us();
        for (size_t at = 0; at + size <= text->len; at += size, calls++)
            found += detectors_redact(d, copy + at, size, NULL);
        spent += clock_monotonic_us() - start;
        bytes += text->len / size * size;
    }
    report(what, bytes, calls, found, spent);
    free(copy);
}

static void
measure_cells(const char *what, struct detectors *d, const struct buf *cells)
{
    uint64_t bytes = 0, calls = 0, found = 0;
    int64_t start = clock_monotonic_us(), spent = 0;

    while (spent < ROUNDS_US) {
        for (size_t at = 0; at < cells->len; calls++) {
            size_t n = (unsigned char)cells->ptr[at];

            found += detectors_redact(d, cells->ptr + at + 1, n, NULL);
            bytes += n;
            at += 1 + n;
        }
        spent = clock_monotonic_us() - start;
    }
    report(what, bytes, calls, found, spent);
}

static void
measure_stream(const char *what, struct detectors *d, const struct buf *text, size_t piece)
{
    struct buf out = buf_make(4 * MEGABYTE);
    uint64_t bytes = 0, calls = 0;
    int64_t start = clock_monotonic_us(), spent = 0;
    struct detect_scan *scan;

    stop(detect_scan_open(d, &scan));
    while (spent < ROUNDS_US) {
        for (size_t at = 0; at + piece <= text->len; at += piece, calls++) {
            stop(detect_scan_feed(scan, (struct str){text->ptr + at, piece}, &out, NULL));
            buf_reset(&out);
        }
        stop(detect_scan_end(scan, &out, NULL));
        buf_reset(&out);
        bytes += text->len / piece * piece;
        spent = clock_monotonic_us() - start;
    }
    report(what, bytes, calls, 0, spent);
    detect_scan_close(scan);
    buf_free(&out);
}

static size_t
heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

int
main(int argc, char **argv)
{
    struct detect_rule rules[NAMES_MAX] = {0};
    struct buf prose = buf_make(8 * MEGABYTE), hits = buf_make(8 * MEGABYTE),
               small = buf_make(8 * MEGABYTE), mixed = buf_make(8 * MEGABYTE),
               bytes = buf_make(64 * MEGABYTE);
    struct detectors *compiled, *d;
    size_t n = 0, heap;
    int64_t start;

    for (int i = 1; i < argc && n < NAMES_MAX; i++)
        rules[n++].name = str_from(argv[i]);
    for (size_t i = 0; argc == 1 && detect_builtin[i] != NULL; i++)
        rules[n++].name = str_from(detect_builtin[i]);

    heap = heap_bytes();
    start = clock_monotonic_us();
    stop(detectors_compile(rules, n, &compiled));
    printf("compile     %8.1f ms, keeps %zu KiB\n", (double)(clock_monotonic_us() - start) / 1000,
           (heap_bytes() - heap) / 1024);
    stop(detectors_serialize(compiled, &bytes));
    detectors_free(compiled);
    heap = heap_bytes();
    start = clock_monotonic_us();
    stop(detectors_deserialize(buf_str(&bytes), rules, n, &d));
    printf("deserialize %8.1f ms, keeps %zu KiB, from %zu KiB\n",
           (double)(clock_monotonic_us() - start) / 1000, (heap_bytes() - heap) / 1024,
           bytes.len / 1024);

    put_prose(&prose, MEGABYTE);
    while (hits.len < MEGABYTE)
        put_hit(&hits);
    while (small.len < MEGABYTE)
        put_cell(&small, false);
    while (mixed.len < MEGABYTE)
        put_cell(&mixed, true);
    measure_values("prose, values of 1 MiB", d, &prose, MEGABYTE);
    measure_values("prose, values of 16 KiB", d, &prose, 16 << 10);
    measure_values("prose, values of 1 KiB", d, &prose, 1 << 10);
    measure_values("prose, values of 200 bytes", d, &prose, 200);
    measure_stream("prose, pieces of 8 KiB", d, &prose, 8 << 10);
    measure_stream("prose, pieces of 100 bytes", d, &prose, 100);
    measure_cells("small cells", d, &small);
    measure_cells("small cells, timestamps, UUIDs, texts", d, &mixed);
    measure_values("dense hits, values of 16 KiB", d, &hits, 16 << 10);

    detectors_free(d);
    buf_free(&prose);
    buf_free(&hits);
    buf_free(&small);
    buf_free(&mixed);
    buf_free(&bytes);
    return 0;
}
