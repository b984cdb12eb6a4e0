/* mask/detect_check.h - what no expression can say: checksums, lengths by country or brand, real
 * parsers. Pure. Each says whether value[from, *to), which has the right shape already, is the
 * real thing, and may make it shorter. */
#ifndef MASK_DETECT_CHECK_H
#define MASK_DETECT_CHECK_H

#include "base/str.h"

bool detect_check_email(struct str value, size_t from, size_t *to);
/* 8 to 15 digits after a plus (E.164), 10 or 11 otherwise (NANP). */
bool detect_check_phone(struct str value, size_t from, size_t *to);
/* ISO/IEC 7812: prefixes and lengths of the brands, Luhn's sum. */
bool detect_check_card(struct str value, size_t from, size_t *to);
/* ISO 13616: the country's length, mod 97. */
bool detect_check_iban(struct str value, size_t from, size_t *to);
/* RFC 7519: the first part is base64url of a JSON object that has "alg". */
bool detect_check_jwt(struct str value, size_t from, size_t *to);
/* RFC 4291 §2.2; not EUI-64 addresses, not `A::B` of a programming language. */
bool detect_check_ipv6(struct str value, size_t from, size_t *to);

/* Luhn's sum of `n` decimal digits (values, not characters). */
bool detect_luhn(const unsigned char *digits, size_t n);

#endif
