/* recording/event.h - the lines of a recording: JSON objects that begin with their time from the
 * start in seconds, their number and their kind (docs/recordings.md). Pure. */
#ifndef RECORDING_EVENT_H
#define RECORDING_EVENT_H

#include "base/err.h"
#include "base/json.h"

/* Begins one; the caller adds the fields of the kind and closes the object. */
void recording_event_begin(struct json *j, uint64_t at_us, uint64_t number, const char *kind);

/* Reads the beginning back, without parsing the rest. ERR_INVALID. */
struct recording_event_head {
    uint64_t at_us, number;
    struct str kind;
};
enum err recording_event_head(struct str line, struct recording_event_head *out);

#endif
