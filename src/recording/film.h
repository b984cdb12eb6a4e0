/* recording/film.h - events as what a person at a terminal would have seen: a prompt, the statement
 * being typed, notices, tables of rows, counts and times. Every control character of the recorded
 * bytes is escaped: what was recorded cannot move the cursor of who watches it. Pure. */
#ifndef RECORDING_FILM_H
#define RECORDING_FILM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct film;

/* `colours`: with the escape sequences of a terminal, of our own making only. */
enum err film_new(bool colours, struct film **out);
void film_free(struct film *f);

/* One thing to be shown: `text` at `at_us` from the start; if `typed`, letter by letter. */
struct film_frame {
    uint64_t at_us;
    bool typed;
    struct str text;
};

/* Calls `show` for each frame that the event makes; frames borrow. ERR_INVALID: it is no event.
 * Else what `show` returned. */
enum err film_event(struct film *f, struct str line,
                    enum err (*show)(void *arg, const struct film_frame *frame), void *arg);

#endif
