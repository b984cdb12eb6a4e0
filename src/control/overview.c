#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/table.h"
#include "control/search_walk.h"
#include "ledger/fields.h"

enum {
    BUCKETS_MAX = SEARCH_DAYS_MAX + 1,
    HOURLY_DAYS_MAX = 3,
    EDGES_MAX = 50000,
    EDGES_SHOWN_MAX = 500,
    BUDGET_MS = 10000,
    CACHE_ENTRIES = 4,
    CACHE_MS = 30000,
    DIRECTORY_BYTES = 4096,
    NAME_BYTES_MAX = 4096,
};

struct edge {
    struct str identity, resource;
    uint64_t commands, refused, rows;
};

struct bucket {
    uint64_t commands, refused, approvals;
};

struct overview {
    struct arena *arena;
    struct table *edges; /* by identity, NUL, resource */
    struct buf key, subject, resource;
    int64_t from_s; /* of the first bucket */
    unsigned bucket_s, n_buckets;
    struct bucket *buckets;
    char bucket_text[LEDGER_TIME_BYTES]; /* of the record before, to save arithmetic */
    size_t bucket;
    char from[LEDGER_TIME_BYTES];
    bool incomplete;
};

/* What a record says, as far as it matters here. */
struct said {
    struct str subject, resource, verdict, event; /* as written */
    uint64_t rows;
};

/* --- reading ----------------------------------------------------------------------------- */

static void
read_identity(struct str identity, struct said *said)
{
    struct fields fields = fields_of(identity);
    struct str key, value;

    while (fields_next(&fields, &key, &value))
        if (str_is(key, "subject")) {
            said->subject = value;
            return;
        }
}

/* Goes through the members until there is all that a record of its type has; a statement, which may
 * be long, comes after it. */
static void
read_record(struct str text, const struct line *line, struct said *said)
{
    bool intent = str_is(line->type, "command_intent");
    struct fields fields = fields_of(text);
    struct str key, value;

    *said = (struct said){0};
    while (fields_next(&fields, &key, &value)) {
        if (str_is(key, "identity"))
            read_identity(value, said);
        else if (str_is(key, "subject"))
            said->subject = value;
        else if (str_is(key, "resource"))
            said->resource = value;
        else if (str_is(key, "verdict"))
            said->verdict = value;
        else if (str_is(key, "event"))
            said->event = value;
        else if (str_is(key, "rows") && !str_to_uint(value, INT64_MAX, &said->rows))
            said->rows = 0;
        if ((intent && said->verdict.len > 0) || (!intent && str_is(key, "rows")))
            return;
    }
}

/* The bucket of a time; NULL if it lies before or after all. */
static struct bucket *
find_bucket(struct overview *o, struct str time)
{
    size_t shown = 13; /* "2026-01-31T08" */
    struct tm tm;
    int64_t at;

    if (time.len < shown)
        return NULL;
    if (!str_equal((struct str){time.ptr, shown}, str_from(o->bucket_text))) {
        char text[LEDGER_TIME_BYTES];

        (void)snprintf(o->bucket_text, sizeof(o->bucket_text), "%.*s", (int)shown, time.ptr);
        (void)snprintf(text, sizeof(text), "%s:00:00", o->bucket_text);
        o->bucket = SIZE_MAX;
        if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
            return NULL;
        at = (int64_t)timegm(&tm) - o->from_s;
        if (at >= 0)
            o->bucket = (size_t)at / o->bucket_s;
    }
    return o->bucket < o->n_buckets ? &o->buckets[o->bucket] : NULL;
}

static enum err
make_edge(struct overview *o, struct str subject, struct str resource, struct edge **out)
{
    struct edge *edge;

    if (table_count(o->edges) >= EDGES_MAX) {
        o->incomplete = true;
        *out = NULL;
        return OK;
    }
    if ((edge = arena_alloc(o->arena, sizeof(*edge))) == NULL ||
        (edge->identity = arena_str(o->arena, subject)).ptr == NULL ||
        (edge->resource = arena_str(o->arena, resource)).ptr == NULL)
        return fail(ERR_NOMEM, "no memory for an overview");
    *out = edge;
    return table_put(o->edges, buf_str(&o->key), edge, NULL);
}

/* The edge of a record; NULL if it names none. */
static enum err
find_edge(struct overview *o, const struct said *said, struct edge **out)
{
    struct str subject, resource;

    *out = NULL;
    buf_reset(&o->key);
    if (!fields_text(said->subject, &o->subject, &subject) ||
        !fields_text(said->resource, &o->resource, &resource) || subject.len == 0)
        return OK;
    buf_put_str(&o->key, subject);
    buf_put_u8(&o->key, '\0');
    buf_put_str(&o->key, resource);
    if (buf_ok(&o->key) != OK)
        return OK;
    *out = table_get(o->edges, buf_str(&o->key));
    return *out != NULL ? OK : make_edge(o, subject, resource, out);
}

static enum err
take_record(struct overview *o, struct str text, const struct line *line)
{
    bool intent = str_is(line->type, "command_intent");
    bool outcome = str_is(line->type, "command_outcome");
    bool approval = str_is(line->type, "approval"), refused;
    struct bucket *bucket;
    struct edge *edge;
    struct said said;
    enum err e;

    if ((!intent && !outcome && !approval) || str_compare(line->time, str_from(o->from)) < 0 ||
        (bucket = find_bucket(o, line->time)) == NULL)
        return OK;
    read_record(text, line, &said);
    if (approval) {
        bucket->approvals += str_is(said.event, "\"requested\"");
        return OK;
    }
    if ((e = find_edge(o, &said, &edge)) != OK)
        return e;
    refused = intent && str_is(said.verdict, "\"deny\"");
    bucket->commands += intent;
    bucket->refused += refused;
    if (edge != NULL) {
        edge->commands += intent;
        edge->refused += refused;
        edge->rows += said.rows;
    }
    return OK;
}

static enum err
read_ledger(struct overview *o, const char *directory, search_stop *stop)
{
    struct search_budget budget = search_budget(BUDGET_MS, stop);
    struct walk *walk;
    struct str text;
    struct line line;
    enum err e;

    if ((e = walk_open(directory, &walk)) != OK)
        return e;
    /* From the newest back, so that what a spent budget leaves out is the oldest. */
    e = walk_to_end(walk);
    while (e == OK && (e = walk_previous(walk, &text, &line)) == OK) {
        char oldest[LEDGER_TIME_BYTES];

        if (str_compare(line.time, str_from(o->from)) < 0 &&
            ledger_time_shift(str_from(o->from), false, -WALK_CLOCK_STEP_SECONDS, oldest) &&
            str_compare(line.time, str_from(oldest)) < 0)
            break;
        e = take_record(o, text, &line);
        if (e == OK && search_spent(&budget, text.len)) {
            o->incomplete = true;
            break;
        }
    }
    walk_close(walk);
    if (budget.canceled)
        return fail(ERR_CANCELED, "the overview was given up");
    return e == ERR_CLOSED ? OK : e;
}

/* --- writing ----------------------------------------------------------------------------- */

struct edge_list {
    struct edge **items;
    size_t n;
};

static void
list_edge(struct str key, void *value, void *arg)
{
    struct edge_list *list = arg;

    (void)key;
    list->items[list->n++] = value;
}

static int
by_commands(const void *a, const void *b)
{
    const struct edge *x = *(struct edge *const *)a, *y = *(struct edge *const *)b;
    int order;

    if (x->commands != y->commands)
        return x->commands > y->commands ? -1 : 1;
    order = str_compare(x->identity, y->identity);
    return order != 0 ? order : str_compare(x->resource, y->resource);
}

/* Each name once. */
static enum err
write_nodes(const struct edge_list *list, struct json *j)
{
    struct table *seen = table_new(2 * EDGES_SHOWN_MAX);
    static char mark;
    enum err e = seen == NULL ? fail(ERR_NOMEM, "no memory for an overview") : OK;

    for (size_t i = 0; e == OK && i < 2 * list->n; i++) {
        const struct edge *edge = list->items[i / 2];
        bool identity = i % 2 == 0;
        struct buf key = buf_make(NAME_BYTES_MAX + 1);

        buf_put_u8(&key, identity ? 'i' : 'r');
        buf_put_str(&key, identity ? edge->identity : edge->resource);
        if (table_get(seen, buf_str(&key)) == NULL &&
            (e = table_put(seen, buf_str(&key), &mark, NULL)) == OK) {
            json_open(j, '{');
            json_field_str(j, "id", identity ? edge->identity : edge->resource);
            json_field_text(j, "kind", identity ? "identity" : "resource");
            json_close(j, '}');
        }
        buf_free(&key);
    }
    table_free(seen);
    return e;
}

static void
write_edges(const struct edge_list *list, struct json *j)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct edge *edge = list->items[i];

        json_open(j, '{');
        json_field_str(j, "identity", edge->identity);
        json_field_str(j, "resource", edge->resource);
        json_field_uint(j, "commands", edge->commands);
        json_field_uint(j, "refused", edge->refused);
        json_field_uint(j, "rows", edge->rows);
        json_close(j, '}');
    }
}

static void
write_series(const struct overview *o, struct json *j)
{
    for (size_t i = 0; i < o->n_buckets; i++) {
        char time[CLOCK_TEXT_BYTES];

        (void)clock_format((o->from_s + (int64_t)(i * o->bucket_s)) * 1000000, time);
        json_open(j, '{');
        json_field_text(j, "time", time);
        json_field_uint(j, "commands", o->buckets[i].commands);
        json_field_uint(j, "refused", o->buckets[i].refused);
        json_field_uint(j, "approvals", o->buckets[i].approvals);
        json_close(j, '}');
    }
}

static enum err
write_overview(struct overview *o, struct buf *out)
{
    struct edge_list list = {0};
    struct json j = json_to(out);
    enum err e;

    list.items = arena_array(o->arena, table_count(o->edges) + 1, sizeof(struct edge *));
    if (list.items == NULL)
        return fail(ERR_NOMEM, "no memory for an overview");
    table_each(o->edges, list_edge, &list);
    qsort(list.items, list.n, sizeof(struct edge *), by_commands);
    if (list.n > EDGES_SHOWN_MAX)
        list.n = EDGES_SHOWN_MAX;
    json_open(&j, '{');
    json_key(&j, "nodes");
    json_open(&j, '[');
    e = write_nodes(&list, &j);
    json_close(&j, ']');
    json_key(&j, "edges");
    json_open(&j, '[');
    write_edges(&list, &j);
    json_close(&j, ']');
    json_key(&j, "series");
    json_open(&j, '[');
    write_series(o, &j);
    json_close(&j, ']');
    json_field_bool(&j, "incomplete", o->incomplete);
    json_close(&j, '}');
    return e != OK ? e : buf_ok(out);
}

/* --- the whole --------------------------------------------------------------------------- */

static enum err
begin(struct overview *o, unsigned days, int64_t wall_us)
{
    int64_t now_s = wall_us / 1000000;
    char from[CLOCK_TEXT_BYTES];

    o->bucket_s = days <= HOURLY_DAYS_MAX ? 3600 : 86400;
    o->from_s = now_s - (int64_t)days * 86400;
    (void)clock_format(o->from_s * 1000000, from);
    (void)snprintf(o->from, sizeof(o->from), "%s", from);
    o->from_s -= o->from_s % o->bucket_s;
    o->n_buckets = (unsigned)((now_s - o->from_s) / o->bucket_s) + 1;
    o->arena = arena_new(128 << 20);
    o->edges = table_new(EDGES_MAX);
    o->key = buf_make(2 * NAME_BYTES_MAX + 1);
    o->subject = buf_make(NAME_BYTES_MAX);
    o->resource = buf_make(NAME_BYTES_MAX);
    if (o->arena == NULL || o->edges == NULL ||
        (o->buckets = arena_array(o->arena, o->n_buckets, sizeof(*o->buckets))) == NULL)
        return fail(ERR_NOMEM, "no memory for an overview");
    return OK;
}

static void
end(struct overview *o)
{
    table_free(o->edges);
    arena_free(o->arena);
    buf_free(&o->key);
    buf_free(&o->subject);
    buf_free(&o->resource);
}

static enum err
make(const char *directory, unsigned days, int64_t wall_us, search_stop *stop, struct buf *out)
{
    struct overview o = {0};
    enum err e;

    if ((e = begin(&o, days, wall_us)) == OK && (e = read_ledger(&o, directory, stop)) == OK)
        e = write_overview(&o, out);
    end(&o);
    return e;
}

/* Answers of the last half minute. One making at a time: who comes meanwhile takes its result. */
static struct {
    pthread_mutex_t lock;
    struct {
        char directory[DIRECTORY_BYTES];
        unsigned days;
        int64_t until_ms;
        struct buf answer;
    } entries[CACHE_ENTRIES];
    size_t next;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool
take_cached(const char *directory, unsigned days, struct buf *out)
{
    int64_t now_ms = clock_monotonic_ms();

    for (size_t i = 0; i < CACHE_ENTRIES; i++)
        if (cache.entries[i].days == days && cache.entries[i].until_ms > now_ms &&
            strcmp(cache.entries[i].directory, directory) == 0) {
            buf_put_str(out, buf_str(&cache.entries[i].answer));
            return true;
        }
    return false;
}

static void
keep_cached(const char *directory, unsigned days, struct str answer)
{
    size_t i = cache.next++ % CACHE_ENTRIES;

    buf_free(&cache.entries[i].answer);
    cache.entries[i].days = 0;
    if (strlen(directory) >= DIRECTORY_BYTES)
        return;
    cache.entries[i].answer = buf_make(SEARCH_ANSWER_BYTES_MAX);
    buf_put_str(&cache.entries[i].answer, answer);
    if (buf_ok(&cache.entries[i].answer) != OK)
        return;
    (void)snprintf(cache.entries[i].directory, DIRECTORY_BYTES, "%s", directory);
    cache.entries[i].days = days;
    cache.entries[i].until_ms = clock_monotonic_ms() + CACHE_MS;
}

enum err
search_overview(const char *directory, unsigned days, int64_t wall_us, search_stop *stop,
                struct buf *out)
{
    size_t begun = out->len;
    enum err e = OK;

    if (days == 0 || days > SEARCH_DAYS_MAX)
        return fail(ERR_INVALID, "days takes a number from 1 to %d", SEARCH_DAYS_MAX);
    pthread_mutex_lock(&cache.lock);
    if (!take_cached(directory, days, out) && (e = make(directory, days, wall_us, stop, out)) == OK)
        keep_cached(directory, days, str_skip(buf_str(out), begun));
    pthread_mutex_unlock(&cache.lock);
    return e != OK ? e : buf_ok(out);
}
