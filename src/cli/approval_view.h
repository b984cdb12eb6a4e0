/* cli/approval_view.h - requests for approval and grants of access as people read them in a
 * terminal. What agents wrote never reaches it raw. */
#ifndef CLI_APPROVAL_VIEW_H
#define CLI_APPROVAL_VIEW_H

#include <jansson.h>
#include <stdio.h>

/* A table with a line for each request of a list; a word instead if there is none. */
void approval_print_list(FILE *out, const json_t *items);

/* One request, so that it can be judged in ten seconds. */
void approval_print_whole(FILE *out, const json_t *request);

/* What became of it, in one line. */
void approval_print_state(FILE *out, const json_t *request);

/* The same table for grants of access. */
void access_print_list(FILE *out, const json_t *items);

#endif
