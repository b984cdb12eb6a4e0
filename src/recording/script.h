/* recording/script.h - events as an SQL script that can be run again: what ran without an error, in
 * the order in which it ended. Parameters become those of a PREPARE and EXECUTE. What cannot be run
 * again (data of a COPY, values that were not recorded whole) is left in as a comment that says
 * why. Nothing recorded can become a command of psql's own. */
#ifndef RECORDING_SCRIPT_H
#define RECORDING_SCRIPT_H

#include "base/err.h"
#include "base/str.h"

struct script;

/* Pieces of the script go to `put`. */
enum err script_new(enum err (*put)(void *arg, struct str bytes), void *arg, struct script **out);
void script_free(struct script *s);

/* Takes one event. ERR_INVALID; else what `put` returned. */
enum err script_event(struct script *s, struct str line);

/* No more events come: what had no outcome is named. */
enum err script_end(struct script *s);

/* Whether a script reader such as psql would take something in `sql` for a command of its own: a
 * backslash that is not within quotes or a comment, with whatever meaning backslashes have in
 * strings. */
bool script_is_unsafe(struct str sql);

#endif
