/* sql/purpose.h - what a string of SQL says of its purpose, the setting "bulkhead.purpose". Pure.
 */
#ifndef SQL_PURPOSE_H
#define SQL_PURPOSE_H

#include "base/err.h"
#include "base/str.h"

enum sql_purpose_change {
    SQL_PURPOSE_KEPT,
    SQL_PURPOSE_SET,
    SQL_PURPOSE_SET_LOCAL, /* until the transaction ends */
    SQL_PURPOSE_RESET,     /* to what it was at the start of the session */
};

struct sql_purpose {
    enum sql_purpose_change change; /* the last in the string */
    struct str value;               /* what it is set to last; empty: to nothing, or not at all */
    const char *mistake;            /* why it cannot be set so; NULL: it can */
};

/* The purpose that a comment before the first token states: "purpose: …" within it. Empty: none
 * does. Borrows from `text`. ERR_INVALID: it is not fit. */
enum err sql_commented_purpose(struct str text, struct str *out);

/* For this room: notes that a statement sets `setting` (`value` NULL: it is not known), or resets
 * it (empty: every setting), if it is the purpose. */
struct sql_walk;
enum err sql_purpose_set(struct sql_walk *w, struct str setting, const struct str *value,
                         bool local);
void sql_purpose_reset(struct sql_walk *w, struct str setting);
/* What a statement does after others of the same string. */
void sql_purpose_add(struct sql_purpose *all, const struct sql_purpose *more);

#endif
