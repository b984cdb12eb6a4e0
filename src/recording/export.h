/* recording/export.h - a recording in other people's formats. */
#ifndef RECORDING_EXPORT_H
#define RECORDING_EXPORT_H

#include "recording/set.h"

enum recording_format {
    RECORDING_ASCIICAST, /* version 3: what asciinema plays */
    RECORDING_SQL,       /* the commands that ran, as a script that can be run again */
    RECORDING_JSON,      /* one document: the header and all events */
};

/* "asciicast", "sql", "json"; false if it is none. */
bool recording_format_by_name(struct str name, enum recording_format *out);

/* Writes all that is left of `set` through `put`, piece by piece. A recording that is cut off is
 * exported as far as it goes, and says so. Errors of reading; else what `put` returned. */
enum err recording_export(struct recording_set *set, enum recording_format format,
                          enum err (*put)(void *arg, struct str bytes), void *arg);

#endif
