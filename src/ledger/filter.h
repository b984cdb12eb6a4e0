/* ledger/filter.h - which records of the ledger are wanted. Pure. */
#ifndef LEDGER_FILTER_H
#define LEDGER_FILTER_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/* Empty: any. Globs know `*` and `?`. */
struct ledger_filter {
    struct str session;        /* glob */
    struct str subject;        /* glob; a claimed subject counts where none was verified */
    struct str resource;       /* glob */
    struct str type, verdict;  /* globs */
    struct str table;          /* globs "schema.name", or "name" in any schema, of what a command
                                * reads or writes; as a rule's `tables` */
    struct str text;           /* within the statement or another text of the record; ASCII letters
                                * without case */
    struct str since, until;   /* as ledger_time() makes them; until includes what begins with it */
};

enum { LEDGER_TIME_BYTES = 32 };

/* A time as people give it: RFC 3339 in UTC, as long or short as one likes ("2026-01-31"), or that
 * long before `now_us` ("90s", "15m", "2h", "1d"). NUL-terminated. ERR_INVALID. */
enum err ledger_time(struct str text, int64_t now_us, char out[LEDGER_TIME_BYTES]);

/* Whether the record is wanted. */
bool ledger_filter_matches(const struct ledger_filter *filter, const json_t *record);

/* Whether the line may be one of them, told from its bytes alone: true for all that are wanted, and
 * for few others. Much quicker than reading the JSON. */
bool ledger_filter_may_match(const struct ledger_filter *filter, struct str line);

/* A member that is text; empty if it is not. */
struct str ledger_member(const json_t *record, const char *key);

/* Whom the record is about. */
struct str ledger_subject(const json_t *record);

#endif
