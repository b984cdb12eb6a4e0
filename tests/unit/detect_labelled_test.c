/* Precision and recall of each built-in detector over a generated, labelled set: what is looked
 * for in the forms in which it is written, and what only looks like it, in ordinary surroundings.
 * The generator knows nothing of the detectors' code: it makes its own check digits. Sets are the
 * same in every run. */
#include "mask/detect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/encode.h"

enum { POSITIVES = 1000, NEGATIVES = 12000, TEXT_MAX = 8192 };

static uint64_t seed = 0x9E3779B97F4A7C15U;

static unsigned
below(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 16) % n);
}

#define PICK(list) ((list)[below(sizeof(list) / sizeof((list)[0]))])

static const char DIGITS[] = "0123456789";
static const char UPPER[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char HEX[] = "0123456789abcdef";
static const char ALNUM[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char BASE64[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/";
static const char URL64[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

static const char *const words[] = {
    "the",    "invoice", "of",    "March", "was",    "paid",   "by",    "customer", "and",
    "ticket", "closed",  "after", "call",  "with",   "server", "moved", "see",      "note",
    "order",  "shipped", "to",    "depot", "refund", "please", "check", "again",    "today"};
static const char *const names[] = {"john", "mary",  "li",   "ahmed",  "olga",   "jose",
                                    "anna", "smith", "chen", "garcia", "muller", "kim"};
static const char *const domains[] = {"example.com", "mail.example.org",  "corp.example.co.uk",
                                      "gmail.com",   "163.com",           "uni-berlin.example.de",
                                      "x.io",        "startup.technology"};

static void
put_some(struct buf *out, const char *alphabet, unsigned n)
{
    unsigned size = (unsigned)strlen(alphabet);

    for (unsigned i = 0; i < n; i++)
        buf_put_u8(out, (uint8_t)alphabet[below(size)]);
}

/* --- check digits --- */

static unsigned
luhn_sum(const char *digits, size_t n, bool double_last)
{
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(digits[n - 1 - i] - '0');

        if ((i % 2 == 0) == double_last)
            d *= 2;
        sum += d / 10 + d % 10;
    }
    return sum;
}

static char
luhn_digit(const char *digits, size_t n)
{
    return (char)('0' + (10 - luhn_sum(digits, n, true) % 10) % 10);
}

/* The two check digits of country code and account. */
static unsigned
iban_digits(const char *country, const char *account)
{
    char all[64], *at = all;
    unsigned rest = 0;

    at = stpcpy(stpcpy(stpcpy(at, account), country), "00");
    for (const char *c = all; c < at; c++)
        rest = *c <= '9' ? (rest * 10 + (unsigned)(*c - '0')) % 97
                         : (rest * 100 + (unsigned)(*c - 'A') + 10) % 97;
    return 98 - rest;
}

/* --- what is looked for --- */

static void
put_email(struct buf *out)
{
    static const char *const between[] = {".", "_", "-", "", "+"};

    buf_put_text(out, PICK(names));
    buf_put_text(out, PICK(between));
    buf_put_text(out, PICK(names));
    if (below(2) == 0)
        buf_printf(out, "%u", below(2000));
    buf_printf(out, "@%s", PICK(domains));
}

static void
put_nanp(struct buf *out, const char *first, const char *second, const char *third)
{
    unsigned area = 200 + below(800), exchange = 200 + below(800);

    area += area % 100 == 11;
    exchange += exchange % 100 == 11;
    buf_printf(out, "%s%03u%s%03u%s%04u", first, area, second, exchange, third, below(10000));
}

/* One in ten has neither a plus nor separators, or is of another country's plan. */
static void
put_phone(struct buf *out)
{
    switch (below(10)) {
    case 0:
        put_nanp(out, "", "-", "-");
        break;
    case 1:
        put_nanp(out, "(", ") ", "-");
        break;
    case 2:
        put_nanp(out, "", ".", ".");
        break;
    case 3:
        put_nanp(out, "+1 ", " ", " ");
        break;
    case 4:
        put_nanp(out, "1-", "-", "-");
        break;
    case 5:
        put_nanp(out, "+1", "", "");
        break;
    case 6:
        buf_printf(out, "+44 20 %04u %04u", 1000 + below(9000), below(10000));
        break;
    case 7:
        buf_printf(out, "+49 (0)%u %u", 30 + below(60), 100000 + below(9000000));
        break;
    case 8:
        buf_printf(out, "+33 %u %02u %02u %02u %02u", 1 + below(6), below(100), below(100),
                   below(100), below(100));
        break;
    default:
        if (below(2) == 0)
            put_nanp(out, "", "", "");
        else
            buf_printf(out, "020 %04u %04u", 1000 + below(9000), below(10000));
    }
}

static void
put_ssn(struct buf *out)
{
    unsigned area = 1 + below(899);
    const char *between = below(4) == 0 ? " " : "-";

    area += area == 666;
    buf_printf(out, "%03u%s%02u%s%04u", area, between, 1 + below(99), between, 1 + below(9999));
}

/* A number of `n` digits, of which the last is `off` more than it should be. */
static void
make_card(const char *prefix, size_t n, unsigned off, char *out)
{
    size_t at = strlen(prefix);

    memcpy(out, prefix, at);
    for (; at < n - 1; at++)
        out[at] = DIGITS[below(10)];
    out[n - 1] = (char)('0' + ((unsigned)(luhn_digit(out, n - 1) - '0') + off) % 10);
    out[n] = '\0';
}

static void
put_grouped(struct buf *out, const char *digits, const char *between)
{
    bool amex = strlen(digits) == 15;

    for (size_t i = 0; digits[i] != '\0'; i++) {
        if (i > 0 && (amex ? i == 4 || i == 10 : i % 4 == 0))
            buf_put_text(out, between);
        buf_put_u8(out, (uint8_t)digits[i]);
    }
}

static void
put_card_off(struct buf *out, unsigned off)
{
    static const struct {
        const char *prefix;
        size_t n;
    } brands[] = {{"4", 16},    {"4", 16},    {"51", 16},   {"55", 16}, {"2221", 16},
                  {"2720", 16}, {"34", 15},   {"37", 15},   {"36", 14}, {"6011", 16},
                  {"65", 16},   {"3530", 16}, {"6221", 16}, {"4", 13}};
    static const char *const between[] = {"", "", " ", "-"};
    unsigned i = below(sizeof(brands) / sizeof(brands[0]));
    char digits[32];

    make_card(brands[i].prefix, brands[i].n, off, digits);
    put_grouped(out, digits, brands[i].n == 15 || brands[i].n == 16 ? PICK(between) : "");
}

static void
put_card(struct buf *out)
{
    put_card_off(out, 0);
}

static void
put_iban_off(struct buf *out, unsigned off)
{
    static const struct {
        const char *code;
        unsigned letters, digits;
    } countries[] = {{"DE", 0, 18}, {"GB", 4, 14}, {"FR", 0, 23}, {"NL", 4, 10},
                     {"ES", 0, 20}, {"CH", 0, 17}, {"NO", 0, 11}, {"PL", 0, 24},
                     {"IE", 4, 14}, {"BE", 0, 12}, {"AT", 0, 16}, {"SE", 0, 20}};
    unsigned i = below(sizeof(countries) / sizeof(countries[0]));
    struct buf account = buf_make(64), text = buf_make(128);

    put_some(&account, UPPER, countries[i].letters);
    put_some(&account, DIGITS, countries[i].digits);
    buf_put_u8(&account, 0);
    buf_printf(&text, "%s%02u%s", countries[i].code,
               (iban_digits(countries[i].code, account.ptr) + off) % 100, account.ptr);
    buf_put_u8(&text, 0);
    if (below(3) == 0)
        for (size_t k = 0; k < text.len; k++)
            if (text.ptr[k] >= 'A' && text.ptr[k] <= 'Z' && off == 0)
                text.ptr[k] = (char)(text.ptr[k] + 'a' - 'A');
    put_grouped(out, text.ptr, below(2) == 0 && text.len != 16 ? " " : "");
    buf_free(&account);
    buf_free(&text);
}

static void
put_iban(struct buf *out)
{
    put_iban_off(out, 0);
}

static void
put_jwt(struct buf *out)
{
    static const char *const headers[] = {
        "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"7\"}",
        "{ \"alg\": \"ES256\" }", "{\"kid\":\"a-b\",\"alg\":\"EdDSA\"}", "{\"alg\":\"none\"}"};
    struct buf body = buf_make(512);
    const char *header = PICK(headers);

    buf_printf(&body, "{\"sub\":\"%u\",\"exp\":%u}", below(100000), below(2000000000));
    encode_base64url(out, str_from(header));
    buf_put_u8(out, '.');
    encode_base64url(out, buf_str(&body));
    buf_put_u8(out, '.');
    put_some(out, URL64, 43);
    buf_free(&body);
}

static void
put_pem(struct buf *out, const char *label)
{
    buf_printf(out, "-----BEGIN %s-----\n", label);
    for (unsigned lines = 2 + below(20); lines > 0; lines--) {
        put_some(out, BASE64, 64);
        buf_put_u8(out, '\n');
    }
    buf_printf(out, "-----END %s-----", label);
}

static void
put_private_key(struct buf *out)
{
    static const char *const labels[] = {"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY",
                                         "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"};

    put_pem(out, PICK(labels));
}

static void
put_cloud_key(struct buf *out)
{
    static const struct {
        const char *prefix, *alphabet;
        unsigned n;
    } keys[] = {{"AKIA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16},
                {"ASIA", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16},
                {"AIza", ALNUM, 35},
                {"ghp_", ALNUM, 36},
                {"gho_", ALNUM, 36},
                {"github_pat_", ALNUM, 82},
                {"xoxb-", ALNUM, 48},
                {"xoxp-", ALNUM, 60},
                {"sk_live_", ALNUM, 24},
                {"rk_live_", ALNUM, 24},
                {"glpat-", ALNUM, 20},
                {"npm_", ALNUM, 36},
                {"hvs.", ALNUM, 24}};
    unsigned i = below(sizeof(keys) / sizeof(keys[0]));

    buf_put_text(out, keys[i].prefix);
    put_some(out, keys[i].alphabet, keys[i].n);
}

static void
put_ipv4(struct buf *out)
{
    buf_printf(out, "%u.%u.%u.%u", 1 + below(255), below(256), below(256), below(256));
}

static void
put_ipv6(struct buf *out)
{
    switch (below(4)) {
    case 0:
        buf_printf(out, "2001:db8::%x", 1 + below(0xFFFE));
        break;
    case 1:
        buf_printf(out, "fe80::%x:%xff:fe%02x:%x", below(0xFFFF), below(256), below(256),
                   below(0xFFFF));
        break;
    case 2:
        buf_printf(out, "2a02:%x:%x::%x:%x", below(0xFFFF), below(0xFFFF), below(0xFFFF),
                   below(0xFFFF));
        break;
    default:
        buf_printf(out, "2001:%04x:%04x:%04x:%04x:%04x:%04x:%04x", below(0xFFFF), below(0xFFFF),
                   below(0xFFFF), below(0xFFFF), below(0xFFFF), below(0xFFFF), below(0xFFFF));
    }
}

/* Recall and precision that must be reached. Phones are incomplete by design: see put_phone(). */
static const struct kind {
    const char *name;
    void (*put)(struct buf *out);
    double recall, precision;
} kinds[] = {
    {"email", put_email, 0.99, 0.99},       {"phone", put_phone, 0.88, 0.98},
    {"us-ssn", put_ssn, 0.99, 0.99},        {"card", put_card, 0.99, 0.99},
    {"iban", put_iban, 0.99, 0.99},         {"jwt", put_jwt, 0.99, 0.99},
    {"private-key", put_private_key, 1, 1}, {"cloud-key", put_cloud_key, 0.99, 0.99},
    {"ipv4", put_ipv4, 0.99, 0.98},         {"ipv6", put_ipv6, 0.99, 0.99},
};
enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* --- what only looks like it --- */

static void
put_uuid(struct buf *out)
{
    put_some(out, HEX, 8);
    for (unsigned i = 0; i < 3; i++) {
        buf_put_u8(out, '-');
        put_some(out, HEX, 4);
    }
    buf_put_u8(out, '-');
    put_some(out, HEX, 12);
}

static void
put_time(struct buf *out)
{
    buf_printf(out, "20%02u-%02u-%02u%s%02u:%02u:%02u", below(30), 1 + below(12), 1 + below(28),
               below(2) == 0 ? " " : "T", below(24), below(60), below(60));
    if (below(2) == 0)
        buf_printf(out, ".%06u", below(1000000));
    buf_put_text(out, below(2) == 0 ? "+00" : "Z");
}

static void
put_number(struct buf *out)
{
    switch (below(6)) {
    case 0:
        buf_printf(out, "17%014llu", (unsigned long long)below(1U << 31) * 40000 % 100000000000000);
        break;
    case 1: /* a snowflake */
        buf_put_u8(out, '1');
        put_some(out, DIGITS, 17);
        break;
    case 2:
        put_some(out, DIGITS, 1 + below(9));
        break;
    case 3:
        buf_printf(out, "%u.%02u", below(1000000), below(100));
        break;
    case 4:
        buf_printf(out, "-%u.%09u", below(180), below(1000000000));
        break;
    default:
        put_some(out, DIGITS, 10 + below(3));
    }
}

static void
put_identifier(struct buf *out)
{
    switch (below(7)) {
    case 0:
        buf_printf(out, "ORD-20%02u-%06u", below(30), below(1000000));
        break;
    case 1:
        buf_printf(out, "SKU %04u-%05u-%02u", below(10000), below(100000), below(100));
        break;
    case 2: /* a part number, a case number */
        buf_printf(out, "%03u-%04u-%03u", below(1000), below(10000), below(1000));
        break;
    case 3: /* a number that was never given out as one */
        buf_printf(out, "9%02u-%02u-%04u", below(100), below(100), below(10000));
        break;
    case 4: /* an ISBN */
        buf_printf(out, "978-%u-%04u-%04u-%u", below(10), below(10000), below(10000), below(10));
        break;
    case 5:
        put_some(out, UPPER, 2);
        put_some(out, DIGITS, 12);
        break;
    default: /* a container */
        put_some(out, UPPER, 4);
        put_some(out, DIGITS, 7);
    }
}

static void
put_version(struct buf *out)
{
    switch (below(4)) {
    case 0:
        buf_printf(out, "%u.%u.%u", below(30), below(30), below(1000));
        break;
    case 1:
        buf_printf(out, "v%u.%u.%u.%u", below(30), below(30), below(30), below(30));
        break;
    case 2:
        buf_printf(out, "version %u.%u.%u.%u", below(30), below(30), below(30), below(30));
        break;
    default:
        buf_printf(out, "%u.%u.%u.%u.%u", below(30), below(30), below(30), below(30), below(30));
    }
}

static void
put_blob(struct buf *out)
{
    static const unsigned hex_lengths[] = {32, 40, 64};

    switch (below(4)) {
    case 0:
        put_some(out, HEX, PICK(hex_lengths));
        break;
    case 1:
        put_some(out, BASE64, 24 + below(400));
        break;
    case 2:
        put_some(out, URL64, 20 + below(60));
        break;
    default: /* something else in JSON, in base64url */
        buf_put_text(out, "eyJ");
        put_some(out, URL64, 20 + below(60));
        buf_put_u8(out, '.');
        put_some(out, URL64, 27);
    }
}

static void
put_colons(struct buf *out)
{
    static const char *const code[] = {"std::vector", "Foo::Bar::baz", "DBD::Pg",   "'5'::int4",
                                       "a::text",     "now()::date",   "key::value"};
    unsigned n = below(2) == 0 ? 6 : 16;

    if (below(3) == 0) {
        buf_put_text(out, PICK(code));
        return;
    }
    for (unsigned i = 0; i < n; i++)
        buf_printf(out, "%s%02x", i == 0 ? "" : ":", below(256));
}

static void
put_almost_email(struct buf *out)
{
    static const char *const almost[] = {"@mary",      "root@localhost",  "logo@2x.png",
                                         "3 @ 4.50",   "user@host:/path", "lodash@4.17.21",
                                         "icon@3x.jpg"};

    buf_put_text(out, PICK(almost));
}

static void
put_almost_key(struct buf *out)
{
    switch (below(4)) {
    case 0:
        put_pem(out, "CERTIFICATE");
        break;
    case 1:
        put_pem(out, "PUBLIC KEY");
        break;
    case 2:
        buf_put_text(out, "AKIA");
        put_some(out, UPPER, 6 + below(8));
        break;
    default:
        buf_put_text(out, "sk_live_ ghp_TOKEN xoxb-... AIza");
    }
}

/* Off by one to nine: never right by chance. */
static void
put_almost_card(struct buf *out)
{
    put_card_off(out, 1 + below(9));
}

/* Off by less than what makes 97 whole. */
static void
put_almost_iban(struct buf *out)
{
    put_iban_off(out, 1 + below(90));
}

static void (*const negatives[])(struct buf *) = {
    put_uuid,   put_time,         put_number,     put_identifier,  put_version,    put_blob,
    put_colons, put_almost_email, put_almost_key, put_almost_card, put_almost_iban};

/* --- samples --- */

struct sample {
    struct buf text;
    size_t from, to; /* of what is to be found */
};

static void
put_words(struct buf *out)
{
    for (unsigned n = below(7); n > 0; n--)
        buf_printf(out, "%s ", PICK(words));
}

/* A value alone, in prose, in JSON, in a log line, among others. */
static struct sample
make_sample(void (*put)(struct buf *))
{
    static const struct {
        const char *before, *after;
    } around[] = {{"", ""},           {"{\"value\":\"", "\"}"}, {"value=", "; done"}, {"(", ")"},
                  {"'", "', 'next'"}, {"ref ", ", then"},       {"see: ", ". "},      {"\t", "\t2"},
                  {"[", "] ok"},      {"<td>", "</td>"}};
    struct sample s = {.text = buf_make(TEXT_MAX)};
    bool prose = below(2) == 0;
    unsigned i = below(sizeof(around) / sizeof(around[0]));

    if (prose)
        put_words(&s.text);
    buf_put_text(&s.text, around[i].before);
    s.from = s.text.len;
    put(&s.text);
    s.to = s.text.len;
    buf_put_text(&s.text, around[i].after);
    if (prose) {
        buf_put_u8(&s.text, ' ');
        put_words(&s.text);
    }
    assert_int_equal(buf_ok(&s.text), OK);
    return s;
}

struct counts {
    unsigned right, missed, wrong;
    char example[160]; /* of what was wrong or missed */
};

static void
keep_example(struct counts *c, const struct sample *s)
{
    (void)snprintf(c->example, sizeof(c->example), "%.*s", (int)s->text.len, s->text.ptr);
}

/* What is overwritten of a sample against what should be: all of the match, nothing beside it. */
static void
judge(struct detectors *d, const struct sample *s, bool wanted, struct counts *c)
{
    struct buf copy = buf_make(TEXT_MAX);
    bool all = true, beside = false;

    buf_put_str(&copy, buf_str(&s->text));
    (void)detectors_redact(d, copy.ptr, copy.len, NULL);
    for (size_t i = 0; i < copy.len; i++) {
        bool hidden = copy.ptr[i] != s->text.ptr[i];

        if (wanted && i >= s->from && i < s->to)
            all &= hidden;
        else
            beside |= hidden;
    }
    c->right += wanted && all;
    c->missed += wanted && !all;
    c->wrong += beside;
    if ((wanted && !all) || beside)
        keep_example(c, s);
    buf_free(&copy);
}

static void
measure(const struct kind *kind, struct counts *c)
{
    struct detect_rule rule = {.name = str_from(kind->name)};
    struct detectors *d;

    assert_int_equal(detectors_compile(&rule, 1, &d), OK);
    seed = 0x9E3779B97F4A7C15U;
    for (size_t k = 0; k < N_KINDS; k++)
        for (size_t i = 0; i < POSITIVES; i++) {
            struct sample s = make_sample(kinds[k].put);

            judge(d, &s, kind == &kinds[k], c);
            buf_free(&s.text);
        }
    for (size_t i = 0; i < NEGATIVES; i++) {
        struct sample s = make_sample(negatives[i % (sizeof(negatives) / sizeof(negatives[0]))]);

        judge(d, &s, false, c);
        buf_free(&s.text);
    }
    detectors_free(d);
}

static void
test_precision_and_recall_on_a_labelled_set(void **state)
{
    bool good = true;

    (void)state;
    print_message("%-12s %6s %6s %6s  %9s  %6s\n", "detector", "found", "missed", "wrong",
                  "precision", "recall");
    for (size_t k = 0; k < N_KINDS; k++) {
        struct counts c = {0};
        double precision, recall;

        measure(&kinds[k], &c);
        precision = c.right == 0 ? 0 : (double)c.right / (c.right + c.wrong);
        recall = (double)c.right / POSITIVES;
        print_message("%-12s %6u %6u %6u  %9.4f  %6.4f  %s\n", kinds[k].name, c.right, c.missed,
                      c.wrong, precision, recall, c.example);
        good &= precision >= kinds[k].precision && recall >= kinds[k].recall;
    }
    assert_true(good);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precision_and_recall_on_a_labelled_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
