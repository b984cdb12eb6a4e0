/* cli/audit_view.h - which records of the ledger to show, and showing them to a person. Whatever
 * was recorded, no control character of it reaches the terminal. */
#ifndef CLI_AUDIT_VIEW_H
#define CLI_AUDIT_VIEW_H

#include <jansson.h>
#include <stdio.h>

#include "base/err.h"
#include "base/str.h"

struct audit_filter {                                          /* NULL: any */
    const char *session, *subject, *resource, *type, *verdict; /* globs, the session whole */
    const char *since, *until;                                 /* as audit_time() makes them */
};

enum { AUDIT_TIME_BYTES = 32 };

/* A time as --since takes it: RFC 3339 in UTC, as long or short as one likes ("2026-01-31"), or
 * that long ago ("90s", "15m", "2h", "1d"). ERR_INVALID. */
enum err audit_time(const char *text, char out[AUDIT_TIME_BYTES]);

bool audit_matches(const struct audit_filter *filter, const json_t *record);

/* One record on one line, in columns. */
void audit_print_line(FILE *out, const json_t *record);

/* One record with all its fields. */
void audit_print_whole(FILE *out, const json_t *record);

/* Text with each control or direction-changing character shown as an escape; newlines are kept
 * if `newlines`. */
void audit_print_safe(FILE *out, struct str text, bool newlines);

#endif
