#include "control/search.h"

#include "base/clock.h"
#include "base/json.h"
#include "control/search_walk.h"
#include "ledger/verify.h"

/* --- a query ------------------------------------------------------------------------------------
 */

enum { VALUE_BYTES_MAX = 512 };

static enum err
set_time(struct str *out, struct arena *arena, struct str value, int64_t wall_us)
{
    char text[LEDGER_TIME_BYTES], probe[LEDGER_TIME_BYTES];
    enum err e = ledger_time(value, wall_us, text);

    if (e != OK)
        return e;
    if (!ledger_time_shift(str_from(text), false, 0, probe))
        return fail(ERR_INVALID, "%.*s is no time: 2026-01-31T08:00:00Z, 2026-01-31 or 15m",
                    STR_ARG(value));
    *out = arena_str(arena, str_from(text));
    return out->ptr == NULL ? fail(ERR_NOMEM, "no memory for a query") : OK;
}

static enum err
set_number(struct search_query *q, struct str key, struct str value)
{
    uint64_t number;

    if (str_is(key, "limit")) {
        if (!str_to_uint(value, SEARCH_ITEMS_MAX, &number) || number == 0)
            return fail(ERR_INVALID, "limit takes a number from 1 to %d", SEARCH_ITEMS_MAX);
        q->limit = (unsigned)number;
        return OK;
    }
    if (!str_to_uint(value, INT64_MAX, &number) || number == 0)
        return fail(ERR_INVALID, "before takes the number of a record");
    q->before = number;
    return OK;
}

enum err
search_query_set(struct search_query *q, struct arena *arena, struct str key, struct str value,
                 int64_t wall_us)
{
    struct ledger_filter *f = &q->filter;
    const struct {
        const char *name;
        struct str *to;
    } texts[] = {{"subject", &f->subject}, {"resource", &f->resource}, {"table", &f->table},
                 {"verdict", &f->verdict}, {"session", &f->session},   {"type", &f->type},
                 {"text", &f->text}};

    if (value.len > VALUE_BYTES_MAX)
        return fail(ERR_INVALID, "a filter has at most %d bytes", VALUE_BYTES_MAX);
    if (str_is(key, "limit") || str_is(key, "before"))
        return value.len == 0 ? OK : set_number(q, key, value);
    if (str_is(key, "from"))
        return value.len == 0 ? OK : set_time(&f->since, arena, value, wall_us);
    if (str_is(key, "to"))
        return value.len == 0 ? OK : set_time(&f->until, arena, value, wall_us);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (str_is(key, texts[i].name)) {
            *texts[i].to = arena_str(arena, value);
            return texts[i].to->ptr == NULL ? fail(ERR_NOMEM, "no memory for a query") : OK;
        }
    return fail(ERR_NOT_FOUND, "there is no such filter; there are from, to, subject, resource, "
                               "table, verdict, session, type, text, limit and before");
}

/* --- shared -------------------------------------------------------------------------------------
 */

json_t *
search_parse(struct str text, const struct line *line)
{
    json_t *record = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    const json_t *seq = json_object_get(record, "seq");

    if (json_is_integer(seq) && (uint64_t)json_integer_value(seq) == line->seq)
        return record;
    json_decref(record);
    return NULL;
}

enum search_match
search_match(const struct ledger_filter *filter, struct str text, const struct line *line)
{
    json_t *record;
    bool wanted;

    if ((filter->type.len > 0 && !str_glob(filter->type, line->type)) ||
        !ledger_filter_may_match(filter, text))
        return SEARCH_OTHER;
    if ((record = search_parse(text, line)) == NULL)
        return SEARCH_DAMAGED;
    wanted = ledger_filter_matches(filter, record);
    json_decref(record);
    return wanted ? SEARCH_WANTED : SEARCH_OTHER;
}

struct search_budget
search_budget(int64_t ms, search_stop *stop)
{
    return (struct search_budget){.until_us = clock_monotonic_us() + ms * 1000, .stop = stop};
}

bool
search_spent(struct search_budget *b, size_t bytes)
{
    enum { LOOK_BYTES = 128 << 10, LOOK_LINES = 64 };

    b->bytes += bytes;
    if (++b->lines < LOOK_LINES && b->bytes < LOOK_BYTES)
        return b->spent;
    b->lines = 0;
    b->bytes = 0;
    b->canceled = b->stop != NULL && atomic_load(b->stop);
    b->spent = b->canceled || clock_monotonic_us() >= b->until_us;
    return b->spent;
}

/* --- a page -------------------------------------------------------------------------------------
 */

struct page {
    const struct search_query *q;
    struct walk *walk;
    struct json json;
    unsigned n, limit;
    size_t bytes;
    uint64_t last; /* number of the record that was looked at last */
    bool more;     /* there may be */
    bool incomplete;
    uint64_t damaged;
    char stop_at[LEDGER_TIME_BYTES]; /* nothing wanted is older, whatever clocks did; "" */
};

static enum err
go_to_begin(struct page *p)
{
    const struct search_query *q = p->q;

    if (q->filter.since.len > 0 &&
        !ledger_time_shift(q->filter.since, false, -WALK_CLOCK_STEP_SECONDS, p->stop_at))
        return fail(ERR_INVALID, "%.*s is no time", STR_ARG(q->filter.since));
    if (q->before > 0)
        return walk_to(p->walk, q->before);
    return q->filter.until.len > 0 ? walk_to_time(p->walk, q->filter.until, true)
                                   : walk_to_end(p->walk);
}

static void
take_record(struct page *p, struct str text, const struct line *line)
{
    enum search_match match = search_match(&p->q->filter, text, line);

    p->damaged += match == SEARCH_DAMAGED;
    if (match != SEARCH_WANTED)
        return;
    json_raw(&p->json, text);
    p->n++;
    p->bytes += text.len;
}

static enum err
fill_page(struct page *p, struct search_budget *budget)
{
    struct str text;
    struct line line;
    enum err e;

    while ((e = walk_previous(p->walk, &text, &line)) == OK) {
        if (p->stop_at[0] != '\0' && str_compare(line.time, str_from(p->stop_at)) < 0)
            return OK;
        take_record(p, text, &line);
        p->last = line.seq;
        p->more = p->n == p->limit || p->bytes >= SEARCH_PAGE_BYTES;
        if (p->more)
            break;
        if (search_spent(budget, text.len)) {
            p->more = p->incomplete = true;
            break;
        }
    }
    p->more = p->more && p->last > 1;
    return e == ERR_CLOSED ? OK : e;
}

enum err
search_ledger(const char *directory, const struct search_query *q, search_stop *stop,
              struct buf *out)
{
    struct search_budget budget = search_budget(SEARCH_BUDGET_MS, stop);
    struct page p = {
        .q = q, .json = json_to(out), .limit = q->limit == 0 ? SEARCH_ITEMS_DEFAULT : q->limit};
    enum err e;

    if ((e = walk_open(directory, &p.walk)) != OK)
        return e;
    json_open(&p.json, '{');
    json_key(&p.json, "items");
    json_open(&p.json, '[');
    if ((e = go_to_begin(&p)) == OK)
        e = fill_page(&p, &budget);
    json_close(&p.json, ']');
    json_key(&p.json, "next");
    if (p.more) {
        char next[24];

        (void)snprintf(next, sizeof(next), "%llu", (unsigned long long)p.last);
        json_str(&p.json, str_from(next));
    } else {
        json_put_null(&p.json);
    }
    json_field_bool(&p.json, "incomplete", p.incomplete);
    json_field_uint(&p.json, "damaged", p.damaged + walk_damaged(p.walk));
    json_close(&p.json, '}');
    walk_close(p.walk);
    if (budget.canceled)
        return fail(ERR_CANCELED, "the search was given up");
    return e != OK ? e : buf_ok(out);
}

/* --- one record -------------------------------------------------------------------------- */

enum err
search_record(const char *directory, uint64_t sequence, struct buf *out)
{
    struct walk *walk;
    struct line line;
    struct str text;
    json_t *record;
    enum err e;

    if ((e = walk_open(directory, &walk)) != OK)
        return e;
    if ((e = walk_to(walk, sequence)) == OK)
        e = walk_next(walk, &text, &line);
    if (e == ERR_CLOSED || (e == OK && line.seq != sequence))
        e = fail(ERR_NOT_FOUND, "the ledger has no record %llu", (unsigned long long)sequence);
    if (e == OK && (record = search_parse(text, &line)) == NULL)
        e = fail(ERR_INVALID, "record %llu is damaged; bulkhead audit verify says how",
                 (unsigned long long)sequence);
    else if (e == OK) {
        json_decref(record);
        buf_put_str(out, text);
        e = buf_ok(out);
    }
    walk_close(walk);
    return e;
}

/* --- verify ------------------------------------------------------------------------------ */

static void
put_detail(struct buf *out, const struct verify_result *r, enum err e, const char *why)
{
    if (e != OK && r->line > 0)
        buf_printf(out, "broken at %s, line %llu: %s", r->file, (unsigned long long)r->line, why);
    else if (e != OK)
        buf_printf(out, "broken at %s: %s", r->file, why);
    else
        buf_printf(out, "%llu records in %llu files are whole and in order",
                   (unsigned long long)r->records, (unsigned long long)r->files);
    if (e == OK && r->torn_bytes > 0)
        buf_printf(out, "; a last one is being written, or was cut off by a crash");
}

enum err
search_verify(const char *directory, struct buf *out)
{
    struct verify_result r;
    enum err e = verify_ledger(directory, &r);
    struct buf text = buf_make(4096);
    struct json j = json_to(out);

    if (e != OK && e != ERR_INVALID)
        return e;
    put_detail(&text, &r, e, err_text());
    json_open(&j, '{');
    json_field_bool(&j, "ok", e == OK);
    json_field_uint(&j, "records", r.records);
    json_field_uint(&j, "files", r.files);
    json_field_uint(&j, "bytes", r.bytes);
    json_key(&j, "head");
    if (r.records == 0) {
        json_put_null(&j);
    } else {
        struct buf head = buf_make(LINE_HEX_BYTES);

        line_put_hash(&head, r.last_hash);
        json_str(&j, buf_str(&head));
        buf_free(&head);
    }
    json_field_text(&j, "first", r.first_time);
    json_field_text(&j, "last", r.last_time);
    json_field_uint(&j, "admitted", r.intents);
    json_field_uint(&j, "without_outcome", r.without_outcome);
    json_field_str(&j, "detail", buf_str(&text));
    json_close(&j, '}');
    buf_free(&text);
    return buf_ok(out);
}
