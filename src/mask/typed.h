/* mask/typed.h - masks of PostgreSQL types whose values are not any text: a mask must be a value of
 * the type, and is proven to be one before it is written. */
#ifndef MASK_TYPED_H
#define MASK_TYPED_H

#include "mask/text.h"

/* pg_type.oid of built-in types that masks know (PostgreSQL's pg_type.dat). */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_CHAR = 18, /* "char": one byte */
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_XML = 142,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_UNKNOWN = 705,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802,
};

/* All return false for NULL, and have then appended nothing that counts. */

/* The configured text as a value of `type`: the integers, float4 and float8, bool, date and uuid in
 * both formats, numeric and "char" in text. */
bool typed_put_fixed(uint32_t type, bool binary, struct str text, struct buf *out);

/* Under redact, partial and email the bytes of `***`; hash: 16 bytes, over the value's own bytes
 * whichever way they are written; fixed: the bytes of the text. */
bool typed_put_bytea(const struct mask_rule *rule, const unsigned char key[static MASK_KEY_BYTES],
                     bool binary, struct str value, struct buf *out);

/* Under hash another uuid (RFC 9562 version 8), else only a fixed text that is one. */
bool typed_put_uuid(const struct mask_rule *rule, const unsigned char key[static MASK_KEY_BYTES],
                    bool binary, struct str value, struct buf *out);

/* A mask's text, where it is well-formed content. */
bool typed_put_xml(const struct mask_rule *rule, const unsigned char key[static MASK_KEY_BYTES],
                   struct str value, struct buf *out);

#endif
