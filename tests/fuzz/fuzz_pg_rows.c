/* A server's description of an answer and its rows, or COPY data, for a statement that reads a
 * protected column: whatever comes, nothing of a hidden cell goes out. The first byte chooses; each
 * message follows its length of two bytes. */
#include <stdlib.h>

#include "../unit/pgpeople.h"
#include "base/cursor.h"
#include "protocol/postgres/errors.h"
#include "protocol/postgres/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COPY = 1, BINARY = 2, CSV = 4, HEADER = 8, DETECT = 16, OPEN = 32 };

static struct shield *shield;
static struct detectors *detectors;

static void
set_up(void)
{
    static const struct detect_rule rules[] = {{.name = STR_INIT("email")},
                                               {.name = STR_INIT("card")}};
    static struct buf block;

    if (shield != NULL)
        return;
    block = people_block();
    shield = people_shield(&block);
    if (detectors_compile(rules, 2, &detectors) != OK)
        abort();
}

static struct sql_output
output_of(unsigned choice)
{
    struct sql_output output = {.kind = choice & COPY ? SQL_OUTPUT_COPY : SQL_OUTPUT_ROWS,
                                .hides = (choice & OPEN) == 0,
                                .open = (choice & OPEN) != 0,
                                .columns = people_columns,
                                .n = choice & OPEN ? 0 : 3,
                                .copy_binary = (choice & BINARY) != 0};

    output.copy.header = (choice & HEADER) != 0;
    output.copy.csv = (choice & CSV) != 0;
    output.copy.delimiter = choice & CSV ? ',' : '\t';
    output.copy.quote = output.copy.escape = '"';
    output.copy.null = choice & CSV ? STR("") : STR("\\N");
    return output;
}

/* The last of the three cells, in text or binary, is `***` or NULL. */
static void
check_row(struct str body)
{
    struct cursor in = cursor_make(body);
    struct str cell = {NULL, 0};

    if (cursor_u16(&in) != 3)
        abort();
    for (int i = 0; i < 3; i++) {
        uint32_t length = cursor_u32(&in);

        cell = length == UINT32_MAX ? (struct str){NULL, 0} : cursor_bytes(&in, length);
    }
    if (!cursor_done(&in) || (cell.ptr != NULL && !str_is(cell, "***")))
        abort();
}

static void
put(struct pgrows *rows, bool copy, struct str body, struct buf *out)
{
    uint64_t n = 1;
    enum err e;

    buf_reset(out);
    e = copy ? pgrows_put_copy(rows, body, out, &n) : pgrows_put_row(rows, body, out);
    if (e != OK && out->len > 0)
        abort();
    if (e == OK && !copy && rows->hides && rows->columns[2].type == 25)
        check_row(str_skip(buf_str(out), PGWIRE_HEADER_BYTES));
}

static struct str
next(struct cursor *in)
{
    size_t n = cursor_u16(in);

    return cursor_bytes(in, n < cursor_left(in) ? n : cursor_left(in));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_make((struct str){(const char *)data, size});
    unsigned choice = cursor_u8(&in);
    struct sql_output output = output_of(choice);
    struct sql_lineage lineage;
    struct pgrows rows = {0};
    struct buf out = buf_make((size_t)32 << 20);
    struct pgview_part part;
    struct pgview *view;
    struct str first;
    enum err e;

    set_up();
    lineage = people_lineage(shield, &output);
    if ((view = pgview_new(&lineage)) == NULL)
        abort();
    view->detectors = choice & DETECT ? detectors_hold(detectors) : NULL;
    part = pgview_part(view, 0);
    first = next(&in);
    pgerrors_put_sanitised('E', first, &out);
    e = choice & COPY ? pgrows_describe_copy(&rows, view, &part, first)
                      : pgrows_describe(&rows, view, &part, first);
    while (e == OK && rows.rewrites && !in.failed && cursor_left(&in) > 0)
        put(&rows, (choice & COPY) != 0, next(&in), &out);
    pgrows_free(&rows);
    pgview_release(view);
    buf_free(&out);
    return 0;
}
