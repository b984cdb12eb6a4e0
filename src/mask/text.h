/* mask/text.h - what a mask makes of a text, before any type or quoting. */
#ifndef MASK_TEXT_H
#define MASK_TEXT_H

#include "mask/mask.h"

enum {
    MASK_HASH_BYTES = 16, /* of the HMAC; written as twice as many digits */
    MASK_TAIL_BYTES = 4 * MASK_KEEP_MAX,
};

/* `stars` times '*', then `tail`, which points into `store`, at a constant or into the rule: never
 * into the value. Not to be copied. */
struct masked {
    size_t stars;
    struct str tail;
    char store[MASK_TAIL_BYTES];
};

extern const struct str mask_redacted; /* "***" */

/* false: it is to be NULL. */
bool masked_make(const struct mask_rule *rule, const unsigned char key[static MASK_KEY_BYTES],
                 struct str value, struct masked *m);

void masked_put(const struct masked *m, struct buf *out);

/* The first bytes of HMAC-SHA256. false: there is no hash. */
bool mask_hash(const unsigned char key[static MASK_KEY_BYTES], struct str value,
               unsigned char hash[static MASK_HASH_BYTES]);

#endif
