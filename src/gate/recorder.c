#include "gate/recorder.h"

#include <stdlib.h>

#include "base/clock.h"
#include "fiber/fiber.h"

enum { LOOK_BYTES = 1 << 20, PAUSE_MS = 2 };

struct recorder {
    struct ledger_link *link;
    struct buf rows; /* the frame that is being made; empty: none */
    uint64_t command;
    uint32_t columns, n_rows;
    bool lines;
    uint32_t keep_seconds;
    size_t since_look; /* bytes handed over since the last look at the backlog */
};

enum err
recorder_open(struct ledger_link *link, struct recorder **out)
{
    struct recorder *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return fail(ERR_NOMEM, "no memory for a recording");
    *r = (struct recorder){.link = link, .rows = buf_make(RECORD_FRAME_MAX)};
    *out = r;
    return OK;
}

void
recorder_close(struct recorder *r)
{
    if (r == NULL)
        return;
    err_ignore(recorder_end_rows(r)); /* the rest of an answer that was broken off */
    buf_free(&r->rows);
    free(r);
}

void
recorder_columns(struct recorder *r, uint64_t command, const struct record_column *columns,
                 size_t n)
{
    record_put_columns(ledger_link_frames(r->link), clock_wall_us(), command, columns, n);
    ledger_link_flush_soon(r->link);
}

void
recorder_keep(struct recorder *r, uint32_t seconds)
{
    if (seconds <= r->keep_seconds)
        return;
    r->keep_seconds = seconds;
    record_put_keep(ledger_link_frames(r->link), clock_wall_us(), seconds);
    ledger_link_flush_soon(r->link);
}

enum err
recorder_end_rows(struct recorder *r)
{
    if (r->rows.len == 0)
        return OK;
    record_end_rows(&r->rows, clock_wall_us(), r->n_rows);
    r->since_look += r->rows.len;
    if (r->rows.failed)
        ledger_link_frames(r->link)->failed = true; /* no frame may be left out unseen */
    else
        buf_put_str(ledger_link_frames(r->link), buf_str(&r->rows));
    if (r->rows.capacity > 4 * RECORDER_FRAME_BYTES)
        buf_free(&r->rows);
    else
        buf_reset(&r->rows);
    return ledger_link_flush(r->link);
}

void
recorder_begin_row(struct recorder *r, uint64_t command, uint32_t columns, bool lines)
{
    if (r->rows.len > 0 && (r->command != command || r->columns != columns || r->lines != lines))
        err_ignore(recorder_end_rows(r)); /* the link stays failed, and says so at the next call */
    if (r->rows.len == 0) {
        r->command = command;
        r->columns = columns;
        r->lines = lines;
        r->n_rows = 0;
        record_begin_rows(&r->rows, command, columns, lines);
    }
    r->n_rows++;
}

void
recorder_put_cell(struct recorder *r, const struct record_cell *cell)
{
    record_put_cell(&r->rows, cell);
}

/* [waits] A client could otherwise be sent rows faster than they can be recorded, until the ledger
 * cuts the session off. */
static enum err
let_ledger_catch_up(struct recorder *r)
{
    int64_t until = clock_monotonic_ms() + RECORDER_WAIT_MS;
    enum err e = OK;

    while (e == OK && ledger_link_backlog(r->link) > RECORDER_BACKLOG_BYTES &&
           clock_monotonic_ms() < until)
        if ((e = fiber_sleep_until(clock_monotonic_ms() + PAUSE_MS)) == ERR_TIMEOUT)
            e = OK;
    return e;
}

enum err
recorder_end_row(struct recorder *r)
{
    enum err e;

    if (r->rows.len < RECORDER_FRAME_BYTES)
        return OK;
    if ((e = recorder_end_rows(r)) != OK || r->since_look < LOOK_BYTES)
        return e;
    r->since_look = 0;
    return let_ledger_catch_up(r);
}
