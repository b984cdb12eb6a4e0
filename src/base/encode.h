/* base/encode.h - hexadecimal and base64. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/buf.h"

/* Appends lower-case hexadecimal. */
void encode_hex(struct buf *out, struct str bytes);

/* The value of a hexadecimal digit of either case; -1 if `c` is none. */
int hex_digit(char c);

/* Appends the bytes of hexadecimal text of either case. ERR_INVALID; `out` may then hold a part. */
enum err decode_hex(struct buf *out, struct str text);

/* RFC 4648 §4 with padding, §5 without. */
void encode_base64(struct buf *out, struct str bytes);
void encode_base64url(struct buf *out, struct str bytes);

/* Strict: no white space, §4 needs its padding, §5 refuses padding, unused bits must be zero.
 * ERR_INVALID; `out` may then hold a part. */
enum err decode_base64(struct buf *out, struct str text);
enum err decode_base64url(struct buf *out, struct str text);

#endif
