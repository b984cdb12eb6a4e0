#include "mask/detect_check.h"

#include <arpa/inet.h>
#include <jansson.h>

#include "base/encode.h"

enum {
    CARD_DIGITS_MAX = 19,
    IBAN_BYTES_MAX = 34,
    IPV6_BYTES_MAX = 45,
    JWT_HEADER_BYTES_MAX = 4096,
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static char
upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* --- email --- */

/* `logo@2x.png` is a file, `lodash@4.17.x` a version. */
bool
detect_check_email(struct str value, size_t from, size_t *to)
{
    static const char *const files[] = {"png", "jpg",  "jpeg", "gif", "svg", "webp",
                                        "css", "html", "js",   "ts",  "json"};
    struct str domain = {value.ptr + from, *to - from};
    struct str last, first, rest;

    domain = str_skip(domain, str_index(domain, '@') + 1);
    rest = str_cut(domain, '.', &first);
    for (last = rest; str_index(last, '.') < last.len;)
        last = str_skip(last, str_index(last, '.') + 1);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (str_equal_nocase(last, str_from(files[i])))
            return false;
    (void)str_cut(rest, '.', &rest);
    return !(str_to_uint(first, UINT64_MAX, &(uint64_t){0}) &&
             str_to_uint(rest, UINT64_MAX, &(uint64_t){0}));
}

/* --- phone --- */

bool
detect_check_phone(struct str value, size_t from, size_t *to)
{
    size_t digits = 0;

    for (size_t i = from; i < *to; i++)
        digits += is_digit(value.ptr[i]);
    return value.ptr[from] == '+' ? digits >= 8 && digits <= 15 : digits == 10 || digits == 11;
}

/* --- countries of IBANs --- */

/* Lengths by country, of SWIFT's registry and of countries that use IBANs without being in it. */
static const struct iban_country {
    char code[3];
    unsigned char length;
} iban_countries[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AO", 25}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16},
    {"BF", 28}, {"BG", 22}, {"BH", 22}, {"BI", 27}, {"BJ", 28}, {"BR", 29}, {"BY", 28}, {"CF", 27},
    {"CG", 27}, {"CH", 21}, {"CI", 28}, {"CM", 27}, {"CR", 22}, {"CV", 25}, {"CY", 28}, {"CZ", 24},
    {"DE", 22}, {"DJ", 27}, {"DK", 18}, {"DO", 28}, {"DZ", 26}, {"EE", 20}, {"EG", 29}, {"ES", 24},
    {"FI", 18}, {"FK", 18}, {"FO", 18}, {"FR", 27}, {"GA", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23},
    {"GL", 18}, {"GQ", 27}, {"GR", 27}, {"GT", 28}, {"GW", 25}, {"HN", 28}, {"HR", 21}, {"HU", 28},
    {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IR", 26}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KM", 27},
    {"KW", 30}, {"KZ", 20}, {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21},
    {"LY", 25}, {"MA", 28}, {"MC", 27}, {"MD", 24}, {"ME", 22}, {"MG", 27}, {"MK", 19}, {"ML", 28},
    {"MN", 20}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"MZ", 25}, {"NE", 28}, {"NI", 28}, {"NL", 18},
    {"NO", 15}, {"OM", 23}, {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24},
    {"RS", 22}, {"RU", 33}, {"SA", 24}, {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24},
    {"SM", 27}, {"SN", 28}, {"SO", 23}, {"ST", 25}, {"SV", 28}, {"TD", 27}, {"TG", 28}, {"TL", 23},
    {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}, {"YE", 30},
};

static size_t
iban_length(char first, char second)
{
    for (size_t i = 0; i < sizeof(iban_countries) / sizeof(iban_countries[0]); i++)
        if (iban_countries[i].code[0] == upper(first) && iban_countries[i].code[1] == upper(second))
            return iban_countries[i].length;
    return 0;
}

/* --- payment cards --- */

bool
detect_luhn(const unsigned char *digits, size_t n)
{
    unsigned sum = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned digit = digits[n - 1 - i];

        if (i % 2 == 1)
            digit = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
        sum += digit;
    }
    return n > 0 && sum % 10 == 0;
}

/* Issuers' number ranges by their first six digits, and how long their numbers are. */
static const struct card_range {
    unsigned first, last;
    unsigned lengths; /* a bit each */
} card_ranges[] = {
    {400000, 499999, 1U << 13 | 1U << 16 | 1U << 19},                       /* Visa */
    {510000, 559999, 1U << 16},                                             /* Mastercard */
    {222100, 272099, 1U << 16},                                             /* Mastercard */
    {340000, 349999, 1U << 15},                                             /* American Express */
    {370000, 379999, 1U << 15},                                             /* American Express */
    {300000, 305999, 1U << 14 | 1U << 16},                                  /* Diners Club */
    {309500, 309599, 1U << 14 | 1U << 16},                                  /* Diners Club */
    {360000, 369999, 1U << 14 | 1U << 16 | 1U << 19},                       /* Diners Club */
    {380000, 399999, 1U << 14 | 1U << 16 | 1U << 19},                       /* Diners Club */
    {352800, 358999, 1U << 16 | 1U << 19},                                  /* JCB */
    {601100, 601199, 1U << 16 | 1U << 19},                                  /* Discover */
    {644000, 659999, 1U << 16 | 1U << 19},                                  /* Discover */
    {622126, 622925, 1U << 16 | 1U << 19},                                  /* Discover */
    {620000, 629999, 1U << 16 | 1U << 17 | 1U << 18 | 1U << 19},            /* UnionPay */
    {500000, 509999, 1U << 13 | 1U << 15 | 1U << 16 | 1U << 18 | 1U << 19}, /* Maestro */
    {560000, 599999, 1U << 13 | 1U << 15 | 1U << 16 | 1U << 18 | 1U << 19}, /* Maestro */
    {630000, 639999, 1U << 13 | 1U << 15 | 1U << 16 | 1U << 18 | 1U << 19}, /* Maestro */
    {670000, 679999, 1U << 13 | 1U << 15 | 1U << 16 | 1U << 18 | 1U << 19}, /* Maestro */
    {220000, 220499, 1U << 16 | 1U << 19},                                  /* Mir */
    {650000, 653199, 1U << 16},                                             /* RuPay */
};

static bool
is_card(const unsigned char *digits, size_t n)
{
    unsigned prefix = 0;
    bool issued = false;

    if (n < 13)
        return false;
    for (size_t i = 0; i < 6; i++)
        prefix = prefix * 10 + digits[i];
    for (size_t i = 0; i < sizeof(card_ranges) / sizeof(card_ranges[0]) && !issued; i++)
        issued = prefix >= card_ranges[i].first && prefix <= card_ranges[i].last &&
                 (card_ranges[i].lengths >> n & 1) != 0;
    return issued && detect_luhn(digits, n);
}

/* Four groups of four digits within an IBAN as it is printed: every tenth has Luhn's sum. */
static bool
is_within_iban(struct str value, size_t from)
{
    enum { GROUP = 5, GROUPS_MAX = 4 };

    for (size_t groups = 0; groups < GROUPS_MAX && from >= GROUP; groups++) {
        const char *group = value.ptr + (from -= GROUP);

        if (!is_digit(group[2]) || !is_digit(group[3]) || (group[4] != ' ' && group[4] != '-'))
            return false;
        if (is_letter(group[0]) && is_letter(group[1]))
            return iban_length(group[0], group[1]) != 0 &&
                   (from == 0 || !(is_letter(group[-1]) || is_digit(group[-1])));
        if (!is_digit(group[0]) || !is_digit(group[1]))
            return false;
    }
    return false;
}

/* What follows a number after a separator may be its security code: shorter ones count too. */
bool
detect_check_card(struct str value, size_t from, size_t *to)
{
    unsigned char digits[CARD_DIGITS_MAX];
    size_t n = 0, found = 0;

    if (is_within_iban(value, from))
        return false;
    for (size_t i = from; i <= *to; i++) {
        if (i < *to && is_digit(value.ptr[i])) {
            if (n == CARD_DIGITS_MAX)
                break;
            digits[n++] = (unsigned char)(value.ptr[i] - '0');
        } else if (is_card(digits, n)) {
            found = i;
        }
    }
    if (found != 0)
        *to = found;
    return found != 0;
}

/* --- IBAN --- */

/* The first four characters count last; a letter is two digits, A = 10. */
static bool
iban_sums_up(const char *characters, size_t n)
{
    unsigned rest = 0;

    for (size_t i = 0; i < n; i++) {
        char c = characters[(i + 4) % n];

        rest = is_digit(c) ? rest * 10 + (unsigned)(c - '0')
                           : rest * 100 + (unsigned)(upper(c) - 'A' + 10);
        rest %= 97;
    }
    return rest == 1;
}

bool
detect_check_iban(struct str value, size_t from, size_t *to)
{
    size_t length = iban_length(value.ptr[from], value.ptr[from + 1]);
    char characters[IBAN_BYTES_MAX];
    size_t n = 0, i;

    if (length == 0)
        return false;
    for (i = from; i < *to && n < length; i++)
        if (is_digit(value.ptr[i]) || is_letter(value.ptr[i]))
            characters[n++] = value.ptr[i];
    if (n < length || (i < value.len && (is_digit(value.ptr[i]) || is_letter(value.ptr[i]))))
        return false;
    *to = i;
    return iban_sums_up(characters, n);
}

/* --- JWT --- */

static bool
is_jose_header(struct str bytes)
{
    json_error_t error;
    json_t *header = json_loadb(bytes.ptr, bytes.len, 0, &error);
    bool has = json_is_object(header) && json_object_get(header, "alg") != NULL;

    json_decref(header);
    return has;
}

bool
detect_check_jwt(struct str value, size_t from, size_t *to)
{
    struct str token = {value.ptr + from, *to - from};
    struct buf bytes = buf_make(JWT_HEADER_BYTES_MAX);
    struct str header;
    bool is;

    (void)str_cut(token, '.', &header);
    is = decode_base64url(&bytes, header) == OK && is_jose_header(buf_str(&bytes));
    buf_free(&bytes);
    return is;
}

/* --- IPv6 --- */

/* A hardware address of eight bytes is not of eight groups of sixteen bits. */
static bool
is_eui64(struct str text)
{
    if (text.len != 23)
        return false;
    for (size_t i = 2; i < text.len; i += 3)
        if (text.ptr[i] != ':')
            return false;
    return true;
}

static bool
is_ipv6(struct str text)
{
    char copy[IPV6_BYTES_MAX + 1];
    struct in6_addr address;
    size_t digits = 0, colons = 0;

    if (text.len > IPV6_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        digits += is_digit(text.ptr[i]);
        colons += text.ptr[i] == ':';
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return (digits > 0 || colons >= 4) && !is_eui64(text) &&
           inet_pton(AF_INET6, copy, &address) == 1;
}

/* A full stop or a colon behind it is of the sentence. */
bool
detect_check_ipv6(struct str value, size_t from, size_t *to)
{
    size_t end = *to;

    while (end > from && value.ptr[end - 1] == '.')
        end--;
    if (end > from + 2 && value.ptr[end - 1] == ':' && value.ptr[end - 2] != ':')
        end--;
    if (!is_hex(value.ptr[from]) && value.ptr[from] != ':')
        return false;
    *to = end;
    return is_ipv6((struct str){value.ptr + from, end - from});
}
