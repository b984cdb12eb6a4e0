/* cli/audit_view.h - showing records of the ledger to a person. Whatever was recorded, no control
 * character of it reaches the terminal. */
#ifndef CLI_AUDIT_VIEW_H
#define CLI_AUDIT_VIEW_H

#include <jansson.h>
#include <stdio.h>

#include "base/str.h"

/* One record on one line, in columns. */
void audit_print_line(FILE *out, const json_t *record);

/* One record with all its fields. */
void audit_print_whole(FILE *out, const json_t *record);

/* Text with each control or direction-changing character shown as an escape; newlines are kept
 * if `newlines`. */
void audit_print_safe(FILE *out, struct str text, bool newlines);

#endif
