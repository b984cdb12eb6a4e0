/* What detectors find and what they leave alone. In a case's text << and >> stand around what is
 * to be overwritten. */
#include "mask/detect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mask/detect_check.h"

enum { TEXT_MAX = 1 << 20, RULES_MAX = 32 };

#define JWT_HEADER "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
#define JWT_BODY   "eyJzdWIiOiIxMjM0NTY3ODkwIn0"
#define JWT_SIGN   "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
#define BODY       "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDK\n"

static const struct {
    const char *detector, *text;
} cases[] = {
    {"email", "<<john.smith@example.com>>"},
    {"email", "write to <<o'brien+x@mail.example.co.uk>>, or '<<a_b-c@x.io>>'."},
    {"email", "{\"email\":\"<<j@example.org>>\"}"},
    {"email", "<mailto:<<info@xn--mnchen-3ya.de>>>"},
    {"email", "<<git@github.com>>:a/b.git, <<1234567@qq.com>>;<<x@163.com>>"},
    {"email", "gr\xc3\xbc\xc3\x9f"
              "e@caf\xc3\xa9 und gr\xc3\xbc\xc3\x9f<<e@cafe.de>>"},
    {"email", "a@b, root@localhost, @john, john@, x@y., user@host/path @ 3.50"},
    {"email", "logo@2x.png icon@3x.jpg lodash@4.17.21 pkg@1.2.next react@18.2.0"},
    {"email", "a@@b.com a@b..com a@-b.com a@b.c a.@b.com"},

    {"phone", "<<+14155552671>> <<+44 20 7946 0958>>; <<+49 (0)30 901820>>, <<+33-1-42-68-53-00>>"},
    {"phone", "(<<(212) 555-0123>>) tel:<<212-555-0123>>, <<1-800-555-0199>> or <<212.555.0123>>"},
    {"phone", "<<+1 (212) 555-0123>> x5, <<(212)555-0123>>."},
    {"phone",
     "2024-05-17 11:33:10.123456+00, 1e+12345678, +12 +1234567 a+14155552671 ++14155552671"},
    {"phone", "112-555-0123 211-555-0123 212-911-0123 012-555-0123 212-555-01234 9212-555-0123"},
    {"phone", "555-0123, 12-212-555-0123, 212-555-0123-4, 2125550123, 123-45-6789, +0123456789"},

    {"us-ssn", "<<123-45-6789>> and <<078 05 1120>>, ssn:<<219-09-9999>>."},
    {"us-ssn",
     "{\"ssn\": \"<<219099999>>\"} SSN <<219099999>>; social security number: <<123456789>>"},
    {"us-ssn", "000-12-3456 666-12-3456 900-12-3456 999-99-9999 123-00-4567 123-45-0000"},
    {"us-ssn",
     "123456789 123-456-789 1123-45-6789 123-45-67890 123-45 6789 a123-45-6789 ssn: 12345678"},
    {"us-ssn", "1-123-45-6789 123-45-6789-1 123-45-6789.5 ssn 000456789 2019-123-45-6789"},

    {"card", "<<4111111111111111>> <<4111 1111 1111 1111>>,<<4111-1111-1111-1111>>"},
    {"card", "amex <<378282246310005>> <<3782 822463 10005>>; diners <<30569309025904>>"},
    {"card", "<<5555555555554444>> <<2223003122003222>> <<6011111111111117>> <<3530111333300000>>"},
    {"card", "<<6200000000000005>> visa13 <<4222222222222>> <<3056 930902 5904>> <<4000 0000 0000 "
             "0000 006>>"},
    {"card",
     "qty 1 <<4111111111111111>> 123, <<4111 1111 1111 1111>> 123 <<4111 1111 1111 1111>> 12/27"},
    {"card", "1234 <<4111 1111 1111 1111>> PAN-<<4111111111111111>>"},
    {"card", "AT58 5158 5695 0381 9065 AT58-5158-5695-0381-9065 AB58 <<5158 5695 0381 9065>>"},
    {"card", "4111111111111112 4111 1111 1111 1112 378282246310006 1111111111111117"},
    {"card", "41111111111111111 0.4111111111111111 4111111111111111.5 a4111111111111111"},
    {"card", "4111111111111111b 41 1111 1111 1111 11 4111  1111 1111 1111 9999999999999995"},
    {"card", "123e4567-e89b-12d3-a456-4222222222222 1715945590123456 1715945590123456789"},

    {"iban",
     "<<DE89370400440532013000>> <<DE89 3704 0044 0532 0130 00>>, <<GB82-WEST-1234-5698-7654-32>>"},
    {"iban", "<<GB82 WEST 1234 5698 7654 32>> for rent <<gb82west12345698765432>>. "
             "iban:<<NO9386011117947>>"},
    {"iban", "<<FR14 2004 1010 0505 0001 3M02 606>> <<MT84MALT011000012345MTLCAST001S>>"},
    {"iban",
     "DE88370400440532013000 DE8937040044053201300 DE893704004405320130001 XX89370400440532013000"},
    {"iban",
     "aDE89370400440532013000 DE89 3704 0044 0532 0130 0 DE89_3704_0044 US64SVBKUS6S3300958879"},

    {"jwt", "Bearer <<" JWT_HEADER "." JWT_BODY "." JWT_SIGN ">>."},
    {"jwt", "<<eyJhbGciOiJub25lIn0." JWT_BODY ".>>"},
    {"jwt", "{\"t\":\"<<eyAiYWxnIiA6ICJFUzI1NiIgfQ." JWT_BODY "." JWT_SIGN ">>\"}"},
    {"jwt", "<<" JWT_HEADER "." JWT_SIGN "." JWT_SIGN "." JWT_SIGN "." JWT_SIGN ">>"},
    {"jwt", JWT_HEADER "." JWT_BODY " " JWT_HEADER " eyJzdWIiOiIxMjM0NTY3ODkwIn0.e30.abc"},
    {"jwt",
     "x" JWT_HEADER "." JWT_BODY "." JWT_SIGN " eyJhbGciOi.JIUzI1.NiJ9 eyJhbGciOiJIUzI1NiIs.a.b"},

    {"private-key", "<<-----BEGIN PRIVATE KEY-----\n" BODY BODY "-----END PRIVATE KEY----->>\nend"},
    {"private-key", "a<<-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                    "DEK-Info: AES-256-CBC,2F\n\n" BODY "-----END RSA PRIVATE KEY----->>b"},
    {"private-key", "{\"k\":\"<<-----BEGIN EC PRIVATE KEY-----\\nMHcC\\n-----END EC PRIVATE "
                    "KEY----->>\\n\",\"id\":7}"},
    {"private-key", "<<-----BEGIN OPENSSH PRIVATE KEY-----\n" BODY BODY ">>"},
    {"private-key", "{\"k\":\"<<-----BEGIN PRIVATE KEY-----\\nMHcC>>\",\"id\":\"open\"}"},
    {"private-key", "<<---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n" BODY
                    "---- END SSH2 ENCRYPTED PRIVATE KEY ---->> x"},
    {"private-key",
     "<<-----BEGIN PGP PRIVATE KEY BLOCK-----\n" BODY "-----END PGP PRIVATE KEY BLOCK----->>;"},
    {"private-key", "<<-----BEGIN PRIVATE KEY-----\nA\n-----BEGIN PRIVATE KEY-----\nB\n"
                    "-----END PRIVATE KEY----->>!\n-----END PRIVATE KEY-----"},
    {"private-key", "<<-----BEGIN PRIVATE KEY-----MHcC-----END PRIVATE KEY----->>"
                    "<<-----BEGIN PRIVATE KEY-----MHcC-----END PRIVATE KEY----->>!"},
    {"private-key",
     "key: <<LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFcEFJQkFBS0NBUUVB>> end"},
    {"private-key", "-----BEGIN CERTIFICATE-----\n" BODY "-----END CERTIFICATE-----"},
    {"private-key",
     "-----BEGIN PUBLIC KEY-----\n" BODY "-----END PUBLIC KEY----- BEGIN PRIVATE KEY"},

    {"cloud-key", "<<AKIAIOSFODNN7EXAMPLE>> <<ASIAIOSFODNN7EXAMPLE>>,id=<<AKIAI44QH8DHBEXAMPLE>>"},
    {"cloud-key", "aws_secret_access_key = <<wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY>>\n"},
    {"cloud-key", "\"SecretAccessKey\": \"<<wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY>>\""},
    {"cloud-key", "key=<<AIzaSyA1234567890abcdefghijklmnopqrstuv>>&x=1"},
    {"cloud-key",
     "<<ghp_0123456789abcdefghijklmnopqrstuvwxyz>> <<gho_0123456789abcdefghijklmnopqrstuvwxyz>>"},
    {"cloud-key", "<<github_pat_11ABCDEFG0abcdefghijkl_0123456789abcdefghijklmnopqrstuvwxyz>>"},
    {"cloud-key",
     "<<xoxb-123456789012-1234567890123-abcdefghijklmnopqrstuvwx>> <<glpat-abcdefghij0123456789>>"},
    {"cloud-key", "AccountName=a;AccountKey=<<"
                  "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefgh"
                  "ijklmn==>>;E"},
    {"cloud-key", "SharedAccessKey=<<abcdefghijklmnopqrstuvwxyz0123456789abcdefg=>>;EntityPath=q"},
    {"cloud-key", "<<sk_live_4eC39HqLyjWDarjtT1zdp7dc>> <<rk_test_4eC39HqLyjWDarjtT1zdp7dc>>"},
    {"cloud-key", "<<sk-proj-abcdefghijklmnopqrstuvwxyz>>, <<hvs.abcdefghijklmnopqrstuvwxyz01>>"},
    {"cloud-key", "<<SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq>>"},
    {"cloud-key",
     "https://hooks.slack.com/services/<<T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX>>"},
    {"cloud-key", "abc <<Xyz8Q~abcdefghijklmnopqrstuvwxyz01234567>> def"},
    {"cloud-key",
     "AKIAIOSFODNN7EXAMPL AKIAIOSFODNN7EXAMPLES xAKIAIOSFODNN7EXAMPLE AIzaSy ghp_short sk_live_"},
    {"cloud-key",
     "xoxb-1 AccountKey=abc== sk-learn skip-list task-proj-x hv.s SG.x secret_access_key = none"},

    {"ipv4", "<<10.0.0.1>> <<192.168.255.254>>:8080, [<<8.8.8.8>>] https://<<1.1.1.1>>/x "
             "<<172.16.0.0>>/12."},
    {"ipv4",
     "256.1.1.1 1.2.3 1.2.3.4.5 v1.2.3.4 1.2.3.400 01.2.3.4 10.0.0.1.example.com version 1.2.3.4"},

    {"ipv6",
     "<<2001:db8::1>> <<fe80::1>>%eth0 [<<::1>>]:80 <<2001:db8::>>/32 <<::ffff:192.168.1.1>>."},
    {"ipv6",
     "<<2001:0db8:85a3:0000:0000:8a2e:0370:7334>>: up; <<1:2:3:4:5:6:7:8>>, addr:<<fe80::a>>"},
    {"ipv6", "<<0:0:0:0:0:ffff:10.1.2.3>> <<2001:DB8:0:0:8:800:200C:417A>>"},
    {"ipv6",
     "12:33:10 00:1a:2b:3c:4d:5e 00:1a:2b:ff:fe:3c:4d:5e std::dec a::b Cafe::Bad '5'::int x::date"},
    {"ipv6", "1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 2001:db8::1::2 :: ::: 12345::1 1::decimal"},
};
enum { N_CASES = sizeof(cases) / sizeof(cases[0]) };

/* --- helpers --- */

static size_t
all_builtins(struct detect_rule *rules)
{
    size_t n = 0;

    for (; detect_builtin[n] != NULL; n++)
        rules[n] = (struct detect_rule){.name = str_from(detect_builtin[n])};
    return n;
}

static struct detectors *
compile_one(const char *name, const char *pattern)
{
    struct detect_rule rule = {str_from(name), str_from(pattern)};
    struct detectors *d;

    assert_int_equal(detectors_compile(&rule, 1, &d), OK);
    return d;
}

static struct detectors *
compile_all(void)
{
    struct detect_rule rules[RULES_MAX];
    struct detectors *d;

    assert_int_equal(detectors_compile(rules, all_builtins(rules), &d), OK);
    return d;
}

/* The text without its marks, and what is to come of it. */
static void
unmark(const char *marked, struct buf *text, struct buf *expected)
{
    bool within = false;

    for (const char *at = marked; *at != '\0'; at++) {
        if (at[0] == '<' && at[1] == '<' && at[2] != '<') {
            within = true;
            at++;
        } else if (at[0] == '>' && at[1] == '>') {
            within = false;
            at++;
        } else {
            buf_put_u8(text, (uint8_t)*at);
            buf_put_u8(expected, within ? '*' : (uint8_t)*at);
        }
    }
    assert_int_equal(buf_ok(text), OK);
}

static struct buf
redacted(struct detectors *d, struct str text)
{
    struct buf copy = buf_make(TEXT_MAX * 4);

    buf_put_str(&copy, text);
    assert_int_equal(buf_ok(&copy), OK);
    if (copy.len > 0)
        (void)detectors_redact(d, copy.ptr, copy.len, NULL);
    return copy;
}

static void
expect(const char *what, struct str got, struct str expected)
{
    if (!str_equal(got, expected)) {
        print_error("%s\n got      %.*s\n expected %.*s\n", what, STR_ARG(got), STR_ARG(expected));
        fail_msg("%s", what);
    }
}

static void
feed(struct detect_scan *scan, struct str piece, struct buf *out)
{
    size_t before = out->len;

    assert_int_equal(detect_scan_feed(scan, piece, out, NULL), OK);
    assert_true(out->len >= before);
}

static void
expect_same_in_pieces(struct detectors *d, struct str text, struct str expected, size_t step)
{
    struct detect_scan *scan;
    struct buf out = buf_make(TEXT_MAX * 4);

    assert_int_equal(detect_scan_open(d, &scan), OK);
    for (size_t split = 0; split <= text.len; split += step) {
        buf_reset(&out);
        feed(scan, (struct str){text.ptr, split}, &out);
        assert_true(split - out.len <= DETECT_MATCH_MAX);
        feed(scan, str_skip(text, split), &out);
        assert_int_equal(detect_scan_end(scan, &out, NULL), OK);
        expect("in two pieces", buf_str(&out), expected);
    }
    buf_reset(&out);
    for (size_t i = 0; i < text.len; i++)
        feed(scan, (struct str){text.ptr + i, 1}, &out);
    assert_int_equal(detect_scan_end(scan, &out, NULL), OK);
    expect("byte by byte", buf_str(&out), expected);
    detect_scan_close(scan);
    buf_free(&out);
}

/* --- built-in detectors --- */

static void
test_each_detector_finds_its_own_and_no_more(void **state)
{
    (void)state;
    for (size_t b = 0; detect_builtin[b] != NULL; b++) {
        struct detectors *d = compile_one(detect_builtin[b], "");

        for (size_t i = 0; i < N_CASES; i++) {
            struct buf text = buf_make(TEXT_MAX), expected = buf_make(TEXT_MAX), got;

            if (strcmp(cases[i].detector, detect_builtin[b]) != 0)
                continue;
            unmark(cases[i].text, &text, &expected);
            got = redacted(d, buf_str(&text));
            expect(cases[i].detector, buf_str(&got), buf_str(&expected));
            expect_same_in_pieces(d, buf_str(&text), buf_str(&expected), 1);
            buf_free(&text);
            buf_free(&expected);
            buf_free(&got);
        }
        detectors_free(d);
    }
}

static void
test_all_detectors_together_split_anywhere(void **state)
{
    struct detectors *d = compile_all();

    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        struct buf text = buf_make(TEXT_MAX), ignored = buf_make(TEXT_MAX), whole;

        unmark(cases[i].text, &text, &ignored);
        whole = redacted(d, buf_str(&text));
        expect_same_in_pieces(d, buf_str(&text), buf_str(&whole), 1);
        buf_free(&text);
        buf_free(&ignored);
        buf_free(&whole);
    }
    detectors_free(d);
}

static void
test_hits_are_counted_by_rule(void **state)
{
    struct detect_rule rules[RULES_MAX];
    size_t n = all_builtins(rules);
    char text[] = "a@example.com b@example.com 10.0.0.1 x";
    uint64_t hits[RULES_MAX] = {0};
    struct detectors *d;

    (void)state;
    assert_int_equal(detectors_compile(rules, n, &d), OK);
    assert_int_equal(detectors_redact(d, text, strlen(text), hits), 3);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(hits[i], str_is(detectors_name(d, i), "email")  ? 2
                                  : str_is(detectors_name(d, i), "ipv4") ? 1
                                                                         : 0);
    assert_string_equal(text, "************* ************* ******** x");
    detectors_free(d);
}

static void
test_matches_of_several_detectors_may_overlap(void **state)
{
    const struct detect_rule rules[] = {{STR("email"), STR("")},
                                        {STR("word"), STR("secret@[a-z]+")},
                                        {STR("tail"), STR("com more")}};
    struct detectors *d;
    char text[] = "my.secret@example.com more";

    (void)state;
    assert_int_equal(detectors_compile(rules, 3, &d), OK);
    assert_int_equal(detectors_redact(d, text, strlen(text), NULL), 3);
    assert_string_equal(text, "**************************");
    detectors_free(d);
}

static void
test_a_private_key_is_followed_over_many_pieces(void **state)
{
    struct detectors *d = compile_all();
    struct buf text = buf_make(TEXT_MAX), expected = buf_make(TEXT_MAX), whole;
    struct detect_scan *scan;
    size_t from;

    (void)state;
    buf_put_text(&text, "before\n");
    from = text.len;
    buf_put_text(&text, "-----BEGIN PRIVATE KEY-----\n");
    while (text.len < 200000)
        buf_put_text(&text, BODY);
    buf_put_text(&text, "-----END PRIVATE KEY-----");
    buf_put_str(&expected, buf_str(&text));
    memset(expected.ptr + from, '*', expected.len - from);
    buf_put_text(&text, "\nafter");
    buf_put_text(&expected, "\nafter");
    whole = redacted(d, buf_str(&text));
    expect("a long key", buf_str(&whole), buf_str(&expected));
    expect_same_in_pieces(d, buf_str(&text), buf_str(&expected), 40001);

    /* And no more of it is held back than of other text. */
    buf_reset(&whole);
    assert_int_equal(detect_scan_open(d, &scan), OK);
    feed(scan, (struct str){text.ptr, 1000}, &whole);
    assert_true(whole.len > 900);
    detect_scan_close(scan);
    buf_free(&text);
    buf_free(&expected);
    buf_free(&whole);
    detectors_free(d);
}

static void
test_a_jwt_longer_than_a_window_is_overwritten_to_its_end(void **state)
{
    struct detectors *d = compile_all();
    struct buf text = buf_make(TEXT_MAX), got;

    (void)state;
    buf_put_text(&text, JWT_HEADER ".");
    while (text.len < 30000)
        buf_put_text(&text, JWT_SIGN);
    buf_put_text(&text, "." JWT_SIGN " after");
    got = redacted(d, buf_str(&text));
    for (size_t i = 0; i < got.len - 6; i++)
        assert_int_equal(got.ptr[i], '*');
    assert_memory_equal(got.ptr + got.len - 6, " after", 6);
    expect_same_in_pieces(d, buf_str(&text), buf_str(&got), 1009);
    buf_free(&text);
    buf_free(&got);
    detectors_free(d);
}

static void
test_ordinary_text_is_sent_on_at_once(void **state)
{
    struct detectors *d = compile_all();
    struct buf out = buf_make(TEXT_MAX);
    struct detect_scan *scan;

    (void)state;
    assert_int_equal(detect_scan_open(d, &scan), OK);
    feed(scan, STR("drwxr-xr-x 2 root root 4096 May 17 11:33 etc\n"), &out);
    assert_int_equal(out.len, strlen("drwxr-xr-x 2 root root 4096 May 17 11:33 etc\n"));
    buf_reset(&out);
    feed(scan, STR("$ mail -s hello john.smith"), &out);
    expect("only the last word is held", buf_str(&out), STR("$ mail -s hello "));
    feed(scan, STR("@example.com\n"), &out);
    expect("until it is known", buf_str(&out), STR("$ mail -s hello **********************\n"));
    detect_scan_close(scan);
    buf_free(&out);
    detectors_free(d);
}

/* --- operators' patterns --- */

static void
test_own_patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
    } own[] = {
        {"EMP-\\d{6}", "EMP-12345 <<EMP-123456>>7 <<EMP-654321>>"},
        {"\\bEMP-\\d{6}\\b", "EMP-1234567 <<EMP-654321>>"},
        {"(?i)projekt (gr\xc3\xbcn|blau)", "das <<PROJEKT GR\xc3\x9cN>>, <<Projekt Blau>>"},
        {"\xc3\xa9.\xc3\xa9", "<<\xc3\xa9\xe2\x82\xac\xc3\xa9>> \xc3\xa9\xe2\x82 \xc3\xa9"},
        {"(?<=id=)\\w+(?=;)", "id=<<abc>>; id=abc id=;"},
        {"([a-z])\\1\\1", "abc <<aaa>>a <<bbb>>"},
        {"^root", "<<root>>root root"},
        {"end$", "end <<end>>"},
        {"x.*y", "<<x1y2y>>3 \n<<xy>>"},
        {"pass=\\K\\S+", "pass=<<abc>> pass= x"},
        {"a(?!b)", "ab <<a>>c <<a>>"},
        {"([a-f])\\1\\1(?!z)", "<<aaa>>\xa0 bbbz <<ccc>>\xff<<ddd>>\xe2\x82<<eee>>\xc3"},
        {"\\bx.y\\b", "\xff<<x\xe2\x82\xacy>>\xff x\xffy x\xe2\x82y <<xzy>>\xe2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        struct detectors *d = compile_one("own", own[i].pattern);
        struct buf text = buf_make(TEXT_MAX), expected = buf_make(TEXT_MAX), got;

        unmark(own[i].text, &text, &expected);
        got = redacted(d, buf_str(&text));
        expect(own[i].pattern, buf_str(&got), buf_str(&expected));
        expect_same_in_pieces(d, buf_str(&text), buf_str(&expected), 1);
        assert_int_equal(str_is_utf8(buf_str(&text)), str_is_utf8(buf_str(&got)));
        buf_free(&text);
        buf_free(&expected);
        buf_free(&got);
        detectors_free(d);
    }
}

static void
refuse(const char *name, const char *pattern, const char *reason)
{
    struct detect_rule rule = {str_from(name), str_from(pattern)};
    struct detectors *d;

    assert_int_equal(detectors_compile(&rule, 1, &d), ERR_INVALID);
    assert_null(d);
    if (strstr(err_text(), reason) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err_text(), reason);
}

static void
test_bad_patterns_are_refused_with_the_reason(void **state)
{
    (void)state;
    refuse("x", "", "no built-in detector \"x\"");
    refuse("x", "a(b", "missing closing parenthesis");
    refuse("x", "a*", "can match the empty string");
    refuse("x", "(?=abc)", "can match the empty string");
    refuse("x", "a|", "can match the empty string");
    refuse("x", "\\Ca", "\\C");
    refuse("x", "(?<=a{40})b", "looks back");
}

static void
test_a_pattern_that_works_too_hard_overwrites_the_value(void **state)
{
    struct detectors *d = compile_one("slow", "(a+)+(b\\1|c\\1)x");
    struct buf text = buf_make(TEXT_MAX);

    (void)state;
    for (size_t i = 0; i < 40; i++)
        buf_put_text(&text, "a");
    buf_put_text(&text, "baaax");
    text.ptr[text.len - 3] = 'c';
    (void)detectors_redact(d, text.ptr, text.len, NULL);
    for (size_t i = 0; i < text.len; i++)
        assert_int_equal(text.ptr[i], '*');
    buf_free(&text);
    detectors_free(d);
}

static void
test_compiled_detectors_survive_their_wire_form(void **state)
{
    struct detect_rule rules[RULES_MAX];
    size_t n = all_builtins(rules);
    struct buf bytes = buf_make(TEXT_MAX);
    char text[] = "a@example.com EMP-123456 aaa";
    struct detectors *d, *again;

    (void)state;
    rules[n++] = (struct detect_rule){STR("employee"), STR("EMP-\\d{6}")};
    rules[n++] = (struct detect_rule){STR("backreference"), STR("([a-z])\\1\\1")};
    assert_int_equal(detectors_compile(rules, n, &d), OK);
    assert_int_equal(detectors_serialize(d, &bytes), OK);
    detectors_free(d);
    assert_int_equal(detectors_deserialize(buf_str(&bytes), rules, n, &again), OK);
    assert_int_equal(detectors_redact(again, text, strlen(text), NULL), 3);
    assert_string_equal(text, "************* ********** ***");
    detectors_free(again);
    assert_int_equal(detectors_deserialize(buf_str(&bytes), rules, n - 1, &again), ERR_INVALID);
    for (size_t i = 0; i < bytes.len; i += 1 + i / 8)
        assert_int_equal(detectors_deserialize((struct str){bytes.ptr, i}, rules, n, &again),
                         ERR_INVALID);
    buf_free(&bytes);
}

static void
test_no_rules_find_nothing(void **state)
{
    struct detectors *d;
    char text[] = "a@example.com";

    (void)state;
    assert_int_equal(detectors_compile(NULL, 0, &d), OK);
    assert_int_equal(detectors_redact(d, text, strlen(text), NULL), 0);
    assert_string_equal(text, "a@example.com");
    expect_same_in_pieces(d, STR("a@example.com"), STR("a@example.com"), 1);
    detectors_free(d);
}

/* --- bounded work --- */

static void
test_work_grows_with_the_value_alone(void **state)
{
    static const char *const units[] = {
        "1",
        "4",
        "@",
        "a@",
        "a@b.",
        "1 ",
        "12 ",
        "4111 ",
        "4111111111111111 ",
        "1.",
        "10.0.0.",
        "a:",
        "::1",
        "f::",
        "+1",
        "+1(",
        "(212) 555-",
        "123-45-",
        "DE89 ",
        "DE89",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.",
        "-----BEGIN PRIVATE KEY----- ",
        "-----BEGIN ",
        "----",
        "AKIA",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_",
        "sig=",
        "&sig=",
        "8Q~",
        "ssn ",
        "ssn 123456789",
        "a.a@b.c-",
        "secret_access_key=",
        "LS0tLS1CRUdJTi",
        "%'+",
        "xoxb-1",
        "sk-",
        "SG.",
        "[a@b.co]",
    };
    struct detectors *d = compile_all();

    (void)state;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t work[2];

        for (size_t size = 0; size < 2; size++) {
            struct buf text = buf_make(TEXT_MAX), whole;

            while (text.len < (size_t)20000 << size)
                buf_put_text(&text, units[i]);
            work[size] = detectors_work(d);
            whole = redacted(d, buf_str(&text));
            work[size] = detectors_work(d) - work[size];
            if (size == 0)
                expect_same_in_pieces(d, buf_str(&text), buf_str(&whole), 4999);
            buf_free(&text);
            buf_free(&whole);
        }
        if (work[1] > work[0] * 2 + 64 || work[1] > 40000 * 4)
            fail_msg("\"%s\": %llu calls, then %llu", units[i], (unsigned long long)work[0],
                     (unsigned long long)work[1]);
    }
    detectors_free(d);
}

static void
test_a_value_without_candidates_never_reaches_pcre2(void **state)
{
    struct detectors *d = compile_all();
    char text[] = "Order 12345 of 2024-05-17 was shipped at 11:33:10 to warehouse 7, "
                  "price 1234.50 EUR, id 123e4567-e89b-12d3-a456-426614174000, v1.2.3 (ok).";

    (void)state;
    assert_int_equal(detectors_redact(d, text, strlen(text), NULL), 0);
    assert_int_equal(detectors_work(d), 0);
    detectors_free(d);
}

static void
test_random_mixtures_are_the_same_in_pieces(void **state)
{
    struct detectors *d = compile_all();
    uint64_t seed = 42;

    (void)state;
    for (size_t round = 0; round < 60; round++) {
        struct buf text = buf_make(TEXT_MAX), ignored = buf_make(TEXT_MAX), whole;

        while (text.len < 600) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            unmark(cases[(seed >> 33) % N_CASES].text, &text, &ignored);
            if ((seed >> 20 & 3) == 0)
                text.len -= (seed >> 22) % 30 < text.len ? (seed >> 22) % 30 : 0;
        }
        whole = redacted(d, buf_str(&text));
        assert_int_equal(whole.len, text.len);
        expect_same_in_pieces(d, buf_str(&text), buf_str(&whole), 7);
        buf_free(&text);
        buf_free(&ignored);
        buf_free(&whole);
    }
    detectors_free(d);
}

static void
test_luhn(void **state)
{
    static const unsigned char good[] = {7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3};
    static const unsigned char bad[] = {7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 0};

    (void)state;
    assert_true(detect_luhn(good, sizeof(good)));
    assert_false(detect_luhn(bad, sizeof(bad)));
    assert_false(detect_luhn(good, 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_detector_finds_its_own_and_no_more),
        cmocka_unit_test(test_all_detectors_together_split_anywhere),
        cmocka_unit_test(test_hits_are_counted_by_rule),
        cmocka_unit_test(test_matches_of_several_detectors_may_overlap),
        cmocka_unit_test(test_a_private_key_is_followed_over_many_pieces),
        cmocka_unit_test(test_a_jwt_longer_than_a_window_is_overwritten_to_its_end),
        cmocka_unit_test(test_ordinary_text_is_sent_on_at_once),
        cmocka_unit_test(test_own_patterns),
        cmocka_unit_test(test_bad_patterns_are_refused_with_the_reason),
        cmocka_unit_test(test_a_pattern_that_works_too_hard_overwrites_the_value),
        cmocka_unit_test(test_compiled_detectors_survive_their_wire_form),
        cmocka_unit_test(test_no_rules_find_nothing),
        cmocka_unit_test(test_work_grows_with_the_value_alone),
        cmocka_unit_test(test_a_value_without_candidates_never_reaches_pcre2),
        cmocka_unit_test(test_random_mixtures_are_the_same_in_pieces),
        cmocka_unit_test(test_luhn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
