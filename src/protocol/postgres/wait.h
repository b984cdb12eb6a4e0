/* protocol/postgres/wait.h - the upstream fiber's waits for the server's answers. Whatever was
 * passed is written first. ERR_CANCELED: the session is over. */
#ifndef PROTOCOL_POSTGRES_WAIT_H
#define PROTOCOL_POSTGRES_WAIT_H

#include "protocol/postgres/session.h"

/* [waits] For any progress: an answer, COPY begun or ended. */
enum err pgwait_progress(struct pgsession *s);

/* [waits] Until the server has answered all up to entry number `entry`. */
enum err pgwait_answer(struct pgsession *s, uint64_t entry);

/* [waits] Until the server owes nothing. */
enum err pgwait_idle(struct pgsession *s);

/* [waits] Has the server answer what it was given: within a segment it does so only when told. */
enum err pgwait_flush(struct pgsession *s);

/* [waits] Until a cancel request of the gateway's own is done with, lest it hit what comes next. */
enum err pgwait_cancel(struct pgsession *s);

/* [waits] Room for `n` more answers. */
enum err pgwait_room(struct pgsession *s, size_t n);

/* Begins a new segment after what was just forwarded. */
void pgwait_begin_segment(struct pgsession *s);

/* The number of the entry that is pushed next. */
static inline uint64_t
pgwait_next_entry(const struct pgsession *s)
{
    return s->answers.removed + s->answers.count;
}

/* Whether nothing was forwarded since the last Sync or Query. */
static inline bool
pgwait_between_segments(const struct pgsession *s)
{
    return pgwait_next_entry(s) == s->boundary;
}

#endif
