/* ledger/filter.h - which records of the ledger are wanted. Pure. */
#ifndef LEDGER_FILTER_H
#define LEDGER_FILTER_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/* Empty: any. Globs know `*` and `?`. */
struct ledger_filter {
    struct str session;
    struct str subject; /* or actor; a claimed one counts where none was verified */
    struct str resource, type, verdict;
    /* A relation that a command uses: "schema.name", or "name" in any schema, both globs. What a
     * command names without a schema may be in any. */
    struct str table;
    /* Part of any text of the record, the statement first of all; ASCII letters without case. */
    struct str text;
    struct str since, until; /* as ledger_time() makes them; until includes what begins with it */
};

enum { LEDGER_TIME_BYTES = 32 };

/* A time as people give it: RFC 3339 in UTC, as long or short as one likes ("2026-01-31"), or that
 * long before `now_us` ("90s", "15m", "2h", "1d"). ERR_INVALID. */
enum err ledger_time(struct str text, int64_t now_us, char out[LEDGER_TIME_BYTES]);

/* Moves such a time by so many seconds, after filling up what it leaves out: with the least, or
 * the most if `latest`. False if it cannot be read. */
bool ledger_time_shift(struct str time, bool latest, int64_t seconds, char out[LEDGER_TIME_BYTES]);

/* Whether the record is wanted. */
bool ledger_filter_matches(const struct ledger_filter *filter, const json_t *record);

/* Whether the line may be a wanted record, told from its bytes alone: true for all that are wanted
 * (if base/json.h wrote them), false for most others, and much quicker than reading JSON. Times are
 * not looked at. */
bool ledger_filter_may_match(const struct ledger_filter *filter, struct str line);

/* A member that is text; empty if it is not. */
struct str ledger_member(const json_t *record, const char *key);

/* Whom the record is about; may be empty. */
struct str ledger_subject(const json_t *record);

#endif
