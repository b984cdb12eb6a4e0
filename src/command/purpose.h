/* command/purpose.h - what an agent says that it does something for: words for a record and for
 * approvers. They prove nothing; they are what the agent can be held to. Pure. */
#ifndef COMMAND_PURPOSE_H
#define COMMAND_PURPOSE_H

#include "base/str.h"

enum { PURPOSE_BYTES_MAX = 1000 };

/* As a setting, a connection option and a comment call it. */
#define PURPOSE_SETTING "bulkhead.purpose"

/* Whether `text` can be shown as it is: at most PURPOSE_BYTES_MAX bytes of UTF-8 without control
 * characters, and nothing that reverses the order of what is read (U+202A to U+202E, U+2066 to
 * U+2069). Empty is fit, and means no purpose. */
bool purpose_is_fit(struct str text);

/* What a purpose that is not fit is refused with. */
extern const char purpose_unfit[];

#endif
