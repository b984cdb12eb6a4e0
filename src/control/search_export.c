#include <stdlib.h>

#include "control/search_walk.h"

enum { PIECE_BYTES = 256 << 10 };

struct search_export {
    struct arena *arena;
    struct search_query q;
    struct walk *walk;
    uint64_t n;
    char stop_at[LEDGER_TIME_BYTES]; /* nothing wanted is newer, whatever clocks did; "" */
};

static enum err
copy_query(struct search_export *x, const struct search_query *q)
{
    struct str *const texts[] = {&x->q.filter.session, &x->q.filter.subject, &x->q.filter.resource,
                                 &x->q.filter.type,    &x->q.filter.verdict, &x->q.filter.table,
                                 &x->q.filter.text,    &x->q.filter.since,   &x->q.filter.until};

    x->q = *q;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i]->len > 0 && (*texts[i] = arena_str(x->arena, *texts[i])).ptr == NULL)
            return fail(ERR_NOMEM, "no memory for an export");
    return OK;
}

static enum err
begin(struct search_export *x, const char *directory, const struct search_query *q)
{
    enum err e;

    if ((e = copy_query(x, q)) != OK || (e = walk_open(directory, &x->walk)) != OK)
        return e;
    if (q->filter.until.len > 0 &&
        !ledger_time_shift(q->filter.until, true, WALK_CLOCK_STEP_SECONDS, x->stop_at))
        return fail(ERR_INVALID, "%.*s is no time", STR_ARG(q->filter.until));
    return q->filter.since.len > 0 ? walk_to_time(x->walk, q->filter.since, false) : OK;
}

enum err
search_export_open(const char *directory, const struct search_query *q, struct search_export **out)
{
    struct search_export *x = calloc(1, sizeof(*x));
    enum err e;

    if (x == NULL || (x->arena = arena_new(64 << 10)) == NULL) {
        free(x);
        return fail(ERR_NOMEM, "no memory for an export");
    }
    if ((e = begin(x, directory, q)) != OK)
        search_export_close(x);
    else
        *out = x;
    return e;
}

/* Whether nothing from here on is wanted. */
static bool
is_over(const struct search_export *x, const struct line *line)
{
    return (x->q.before > 0 && line->seq >= x->q.before) ||
           (x->stop_at[0] != '\0' && str_compare(line->time, str_from(x->stop_at)) > 0);
}

enum err
search_export_read(struct search_export *x, search_stop *stop, struct buf *out)
{
    struct search_budget budget = search_budget(SEARCH_BUDGET_MS, stop);
    size_t begun = out->len;
    struct str text;
    struct line line;
    enum err e = OK;

    while (out->len - begun < PIECE_BYTES && !search_spent(&budget, 1024)) {
        if (x->q.limit > 0 && x->n >= x->q.limit)
            e = ERR_CLOSED;
        else if ((e = walk_next(x->walk, &text, &line)) == OK && is_over(x, &line))
            e = ERR_CLOSED;
        if (e != OK)
            break;
        if (search_match(&x->q.filter, text, &line) != SEARCH_WANTED)
            continue;
        buf_put_str(out, text);
        buf_put_u8(out, '\n');
        x->n++;
    }
    if (budget.canceled)
        return fail(ERR_CANCELED, "the export was given up");
    if (e == OK || (e == ERR_CLOSED && out->len > begun))
        return buf_ok(out);
    return e;
}

void
search_export_close(struct search_export *x)
{
    if (x == NULL)
        return;
    walk_close(x->walk);
    arena_free(x->arena);
    free(x);
}
