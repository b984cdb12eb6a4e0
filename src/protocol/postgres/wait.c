#include "protocol/postgres/wait.h"

#include "base/clock.h"

enum { CANCEL_WAIT_MS = 10000 };

enum err
pgwait_progress(struct pgsession *s)
{
    enum err e;

    if ((e = pglane_flush(&s->up)) != OK)
        return e;
    if (s->over || s->down_done)
        return fail(ERR_CANCELED, "the session is over");
    s->progress_wanted = true;
    return fiber_condition_wait(&s->progress, FIBER_FOREVER);
}

enum err
pgwait_answer(struct pgsession *s, uint64_t entry)
{
    enum err e = OK;

    while (e == OK && s->answers.removed <= entry)
        e = pgwait_progress(s);
    return e;
}

enum err
pgwait_idle(struct pgsession *s)
{
    enum err e = OK;

    while (e == OK && s->answers.count > 0)
        e = pgwait_progress(s);
    return e;
}

enum err
pgwait_flush(struct pgsession *s)
{
    struct buf out = buf_make(16);
    enum err e = OK;

    if (pgwait_between_segments(s))
        return OK;
    pgwire_put_plain(&out, 'H', STR(""));
    e = pglane_insert(&s->up, buf_str(&out));
    buf_free(&out);
    return e;
}

enum err
pgwait_room(struct pgsession *s, size_t n)
{
    enum err e;

    while ((e = pganswers_reserve(&s->answers, n)) == ERR_LIMIT)
        if ((e = pgwait_progress(s)) != OK)
            return e;
    return e;
}

void
pgwait_begin_segment(struct pgsession *s)
{
    s->segment++;
    s->boundary = pgwait_next_entry(s);
}

enum err
pgwait_cancel(struct pgsession *s)
{
    int64_t deadline = clock_monotonic_ms() + CANCEL_WAIT_MS;
    enum err e = OK;

    if (s->cancelling && (e = pglane_flush(&s->up)) != OK)
        return e;
    while (e == OK && s->cancelling) {
        if (s->over || s->down_done)
            return fail(ERR_CANCELED, "the session is over");
        e = fiber_condition_wait(&s->progress, deadline);
    }
    if (e == ERR_TIMEOUT) {
        s->cancelling = false;
        e = OK;
    }
    return e;
}
