/* ledger/fields.h - the members of a record's JSON object one by one, without building it: for
 * going through millions of records when a few members are wanted. Sees what a JSON parser would
 * for text that is JSON; of what is not, it stays within the bytes. Pure. */
#ifndef LEDGER_FIELDS_H
#define LEDGER_FIELDS_H

#include "base/buf.h"

struct fields {
    struct str rest;
    bool failed; /* not an object, or not JSON so far */
};

/* The members of the object at the start of `text`. */
struct fields fields_of(struct str text);

/* The next member: its key between the quotes, and its value as written. False at the end, or if
 * `failed`. */
bool fields_next(struct fields *f, struct str *key, struct str *value);

/* The elements of an array as written. `*rest` begins as the array's text, and is read on with. */
bool fields_next_element(struct str *rest, struct str *value);

/* The text of a string as written. What has escapes is decoded into `scratch`, which is emptied
 * first, and lives until its next use. False: not a string, or too long for `scratch`. */
bool fields_text(struct str value, struct buf *scratch, struct str *out);

#endif
