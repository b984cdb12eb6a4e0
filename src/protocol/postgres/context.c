#include "protocol/postgres/context.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "protocol/postgres/ask.h"
#include "protocol/postgres/session.h"
#include "protocol/postgres/wait.h"

enum {
    CATALOG_WAIT_MS = 60000,
    ROUNDS_MAX = 3, /* of analysing again because something changed meanwhile */
    CURSORS_MAX = 1024,
    ANSWER_BYTES_MAX = 1 << 20,
    PRIVATE_BYTES_MAX = CATALOG_BYTES_MAX,
    VERSION_QUERY_MAX = 64 << 10,
};

struct pgcursor {
    struct pgcursor *next;
    struct pgview *view; /* held */
    size_t statement;    /* which of its statements declared it */
};

typedef bool cursor_test(const struct sql_output *declared, struct str name);
static cursor_test is_named, ends_with_transaction;
static void forget_cursors(struct pgcontext *c, cursor_test *wanted, struct str name);

/* What came into force is another than before: what was analysed is analysed again. */
static void
put_into_force(struct pgsession *s)
{
    struct pgcontext *c = &s->context;

    c->generation++;
    c->sql.path_known = !c->path_due;
    c->sql.path_uncommitted = c->uncommitted;
    sql_cache_set_context(s->cache, c->sql.shield != NULL ? &c->sql : NULL);
}

void
pgcontext_close(struct pgcontext *c)
{
    forget_cursors(c, is_named, STR(""));
    shield_free(c->sql.shield);
    detectors_free(c->detectors);
    arena_free(c->path);
}

/* Catalogs. */

/* The block of a shield: mapped from the keeper, or of our own. */
struct block {
    struct str mapped;
    struct buf owned;
};

static void
release_block(void *arg)
{
    struct block *b = arg;

    if (b->mapped.len > 0)
        door_catalog_release(b->mapped);
    buf_free(&b->owned);
    free(b);
}

/* Puts the catalog in `b` (taken over) into force. */
static enum err
use_catalog(struct pgsession *s, struct block *b)
{
    struct pgcontext *c = &s->context;
    struct catalog catalog;
    struct shield *shield;
    enum err e = catalog_open(b->mapped.len > 0 ? b->mapped : buf_str(&b->owned), &catalog);

    if (e == OK)
        e = shield_make(&catalog, gate_protection(s->gate), release_block, b, &shield);
    if (e != OK) {
        release_block(b);
        return e;
    }
    shield_free(c->sql.shield);
    c->sql.shield = shield;
    put_into_force(s);
    return OK;
}

static enum err
use_mapped(struct pgsession *s, struct str bytes)
{
    struct block *b = calloc(1, sizeof(*b));

    if (b == NULL) {
        door_catalog_release(bytes);
        return fail(ERR_NOMEM, "no memory for a catalog");
    }
    b->mapped = bytes;
    return use_catalog(s, b);
}

/* [waits] The keeper's, but not the one with the fingerprint `stale`. */
static enum err
fetch_catalog(struct pgsession *s, uint64_t stale)
{
    struct str bytes;
    enum err e = door_catalog(s->door, stale, clock_monotonic_ms() + CATALOG_WAIT_MS, &bytes);

    return e == OK ? use_mapped(s, bytes) : e;
}

/* Whether a question was not answered for a reason that lies in the session's own state, which its
 * client will hear of: an error of the segment or the transaction. */
static bool
was_refused(const struct pgsession *s, enum err e)
{
    return e == ERR_DENIED || (e == OK && s->skipping);
}

/* [waits] One value of one row; `*value` is in `arena`. */
static enum err
ask_value(struct pgsession *s, struct str sql, struct arena *arena, struct str *value)
{
    struct pgask_rows rows;
    enum err e = pgask_for_rows(s, sql, 1, arena, &rows, NULL);

    if (e == OK && (rows.n_rows != 1 || rows.fields[0].ptr == NULL))
        e = fail(ERR_PROTOCOL, "the target gave no answer to the gateway's own question");
    if (e == OK)
        *value = rows.fields[0];
    return e;
}

/* [waits] Runs one of the catalog's queries and gives its rows to the builder. */
static enum err
build_from(struct pgsession *s, int query, struct catalog_builder *builder)
{
    struct arena *arena = arena_new(PRIVATE_BYTES_MAX);
    struct pgask_rows rows;
    size_t n;
    const char *text = catalog_query(query, &n);
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory for a catalog")
                               : pgask_for_rows(s, str_from(text), n, arena, &rows, NULL);

    for (size_t i = 0; e == OK && i < rows.n_rows; i++)
        e = catalog_build_row(builder, query, &rows.fields[i * n], n);
    arena_free(arena);
    return e;
}

static enum err
say(struct pgsession *s, const char *sql)
{
    struct pgask ask = {0};

    return pgask(s, str_from(sql), &ask);
}

/* [waits] The catalog as this transaction sees it, with what it changed itself. Definitions are to
 * name everything in full, so the path is set aside meanwhile. */
static enum err
read_privately(struct pgsession *s)
{
    struct catalog_builder *builder = catalog_builder_new();
    struct block *b = calloc(1, sizeof(*b));
    enum err e = builder == NULL || b == NULL ? fail(ERR_NOMEM, "no memory for a catalog") : OK,
             end;

    if (e == OK)
        b->owned = buf_make(CATALOG_BYTES_MAX);
    if (e == OK && (e = say(s, "SAVEPOINT \"bulkhead asks this\"")) == OK) {
        e = say(s, "SET LOCAL search_path = ''");
        for (int i = 0; e == OK && i < CATALOG_QUERIES; i++)
            e = build_from(s, i, builder);
        end = say(s, "ROLLBACK TO SAVEPOINT \"bulkhead asks this\"");
        if (end == OK)
            end = say(s, "RELEASE SAVEPOINT \"bulkhead asks this\"");
        e = e == OK ? end : e;
    }
    if (e == OK)
        e = catalog_build_end(builder, &b->owned);
    catalog_builder_free(builder);
    if (e != OK && b != NULL)
        release_block(b);
    return e == OK ? use_catalog(s, b) : e;
}

static bool
has_fingerprint(const struct pgcontext *c, struct str text)
{
    char own[32];

    (void)snprintf(own, sizeof(own), "%lld", (long long)shield_catalog(c->sql.shield)->fingerprint);
    return str_is(text, own);
}

/* [waits] Asks whether the catalog still holds, and gets the one that does. */
static enum err
check_catalog(struct pgsession *s)
{
    struct pgcontext *c = &s->context;
    struct arena *arena = arena_new(ANSWER_BYTES_MAX);
    struct str fingerprint;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory for an answer") : OK;

    if (e == OK)
        e = ask_value(s, str_from(catalog_fingerprint_query), arena, &fingerprint);
    if (e == OK && (c->fresh_due || !has_fingerprint(c, fingerprint))) {
        e = fetch_catalog(s, shield_catalog(c->sql.shield)->fingerprint);
        if (e == OK && !has_fingerprint(c, fingerprint) && s->status == PGWIRE_IN_TRANSACTION)
            e = read_privately(s);
    }
    if (e == OK)
        c->catalog_due = c->fresh_due = false;
    arena_free(arena);
    return e;
}

/* The search path. */

/* The items of an array of names in text form; quoted where need be. */
static enum err
split_array(struct arena *arena, struct str text, struct sql_path *out)
{
    struct str *names = arena_array(arena, text.len + 1, sizeof(*names));
    size_t i = 1;

    *out = (struct sql_path){names, 0};
    if (names == NULL || text.len < 2 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}')
        return fail(ERR_PROTOCOL, "the target's search path is not understood");
    while (i < text.len - 1) {
        char *name = arena_alloc(arena, text.len);
        bool quoted = text.ptr[i] == '"';
        size_t n = 0;

        if (name == NULL)
            return fail(ERR_NOMEM, "no memory for the search path");
        i += quoted;
        while (i < text.len - 1 && text.ptr[i] != (quoted ? '"' : ',')) {
            if (quoted && text.ptr[i] == '\\')
                i++;
            name[n++] = text.ptr[i++];
        }
        i += quoted;
        if (i < text.len - 1 && text.ptr[i] != ',')
            return fail(ERR_PROTOCOL, "the target's search path is not understood");
        i++;
        names[out->n++] = (struct str){name, n};
    }
    return OK;
}

static bool
same_path(struct sql_path x, struct sql_path y)
{
    if (x.n != y.n)
        return false;
    for (size_t i = 0; i < x.n; i++)
        if (!str_equal(x.schemas[i], y.schemas[i]))
            return false;
    return true;
}

/* [waits] */
static enum err
ask_path(struct pgsession *s)
{
    struct pgcontext *c = &s->context;
    struct arena *arena = arena_new(ANSWER_BYTES_MAX);
    struct sql_path path;
    struct str text;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory for an answer") : OK;

    if (e == OK &&
        (e = ask_value(s, STR("SELECT pg_catalog.current_schemas(true)"), arena, &text)) == OK)
        e = split_array(arena, text, &path);
    if (e != OK) {
        arena_free(arena);
        return e;
    }
    c->path_due = false;
    if (c->sql.path_known && c->sql.path_uncommitted == c->uncommitted &&
        same_path(c->sql.path, path)) {
        arena_free(arena);
        return OK;
    }
    arena_free(c->path);
    c->path = arena;
    c->sql.path = path;
    put_into_force(s);
    return OK;
}

/* Keeping up. */

/* [waits] The rules, and with them what is protected, may have been replaced. */
static enum err
follow_rules(struct pgsession *s)
{
    struct pgcontext *c = &s->context;
    uint64_t edition = gate_edition(s->gate);
    const struct protection *p = gate_protection(s->gate);
    struct detectors *detectors = NULL;
    enum err e;

    if (p->n_detect > 0 &&
        (e = detectors_deserialize(p->detectors, p->detect, p->n_detect, &detectors)) != OK)
        return e;
    detectors_free(c->detectors);
    c->detectors = detectors;
    if (p->n_protect > 0) {
        if ((e = fetch_catalog(s, 0)) != OK)
            return e;
        c->catalog_due = true;
        c->path_due = c->path_due || c->path == NULL;
    } else {
        shield_free(c->sql.shield);
        c->sql.shield = NULL;
        put_into_force(s);
    }
    c->edition = edition;
    return OK;
}

/* [waits] Where the transaction under way changed what names mean, nothing is judged before the
 * server has answered all that was sent; and its end may take the changes back. */
static enum err
follow_transaction(struct pgsession *s)
{
    struct pgcontext *c = &s->context;
    enum err e = OK;

    if (c->uncommitted && s->answers.count > 0 && (e = pgwait_flush(s)) == OK)
        e = pgwait_idle(s);
    if (e == OK && s->status == PGWIRE_IDLE && s->answers.count == 0) {
        forget_cursors(c, ends_with_transaction, STR(""));
        c->guarded = false;
        if (c->uncommitted) {
            c->uncommitted = false;
            c->path_due = c->catalog_due = true;
        }
    }
    return e;
}

/* [waits] Brings everything up to date, as far as the server may be asked now. */
static enum err
keep_up(struct pgsession *s)
{
    struct pgcontext *c = &s->context;
    struct str pushed;
    enum err e = OK;

    if (c->edition != gate_edition(s->gate) && (e = follow_rules(s)) != OK)
        return e;
    if (c->sql.shield == NULL)
        return OK;
    if (door_take_pushed_catalog(s->door, &pushed) && (e = use_mapped(s, pushed)) != OK)
        return e;
    if ((e = follow_transaction(s)) != OK)
        return e;
    if (c->catalog_due && s->status != PGWIRE_FAILED && !s->skipping)
        e = check_catalog(s);
    if (e == OK && c->path_due && s->status != PGWIRE_FAILED && !s->skipping)
        e = ask_path(s);
    if (was_refused(s, e))
        e = OK; /* the message will be dropped, or fails like every other */
    if (e == OK && c->sql.path_known && c->path_due)
        put_into_force(s); /* it is not known any more */
    return e;
}

/* Versions: what views and functions were when they were looked into. */

static bool
version_is(const uint32_t *oids, const uint32_t *versions, size_t n, struct str oid,
           struct str version)
{
    char text[16];

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(text, sizeof(text), "%u", oids[i]);
        if (!str_is(oid, text))
            continue;
        (void)snprintf(text, sizeof(text), "%d", (int)versions[i]);
        return str_is(version, text);
    }
    return false;
}

static bool
all_hold(const struct sql_lineage *l, const struct pgask_rows *rows)
{
    if (rows->n_rows != l->n_views + l->n_functions)
        return false;
    for (size_t i = 0; i < rows->n_rows; i++) {
        const struct str *row = &rows->fields[i * 3];
        bool relation = str_is(row[0], "r");

        if (relation
                ? !version_is(l->views, l->view_versions, l->n_views, row[1], row[2])
                : !version_is(l->functions, l->function_versions, l->n_functions, row[1], row[2]))
            return false;
    }
    return true;
}

/* A transaction that keeps its first snapshot would be told of the past: then only a catalog that
 * was read since will do. */
static enum err
check_isolation(struct pgsession *s, struct arena *arena, bool *current)
{
    struct str isolation;
    enum err e;

    if (s->status != PGWIRE_IN_TRANSACTION)
        return OK;
    e = ask_value(s, STR("SELECT pg_catalog.current_setting('transaction_isolation')"), arena,
                  &isolation);
    if (e == OK && !str_is(isolation, "read committed") && !str_is(isolation, "read uncommitted"))
        *current = false;
    return e;
}

/* [waits] Whether the views and functions that the statement uses are what they were. */
static enum err
check_versions(struct pgsession *s, const struct sql_lineage *l, bool *current)
{
    struct arena *arena = arena_new(ANSWER_BYTES_MAX);
    struct buf query = buf_make(VERSION_QUERY_MAX);
    struct pgask_rows rows;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory for an answer") : OK;

    *current = true;
    catalog_put_version_query(l->views, l->n_views, l->functions, l->n_functions, &query);
    if (e == OK && (e = buf_ok(&query)) == OK &&
        (e = pgask_for_rows(s, buf_str(&query), 3, arena, &rows, NULL)) == OK) {
        *current = all_hold(l, &rows);
        if (*current)
            e = check_isolation(s, arena, current);
    }
    if (was_refused(s, e))
        e = OK;
    buf_free(&query);
    arena_free(arena);
    return e;
}

/* [waits] Whether a lineage holds now; if not, it is seen to that the next one does. */
static enum err
check_lineage(struct pgsession *s, const struct sql_lineage *l, int round, bool *holds)
{
    struct pgcontext *c = &s->context;
    enum err e = OK;

    *holds = true;
    if (l == NULL || s->skipping || s->status == PGWIRE_FAILED)
        return OK;
    if (l->unknown_name && round == 0) {
        c->catalog_due = true;
        *holds = false;
    } else if (l->refusal.len == 0 && l->n_views + l->n_functions > 0) {
        if ((e = check_versions(s, l, holds)) != OK || *holds)
            return e;
        if (round > 0 && !c->catalog_due) {
            *holds = true; /* it was read since the statement began */
            return OK;
        }
        c->catalog_due = c->fresh_due = true;
    }
    return e;
}

enum err
pgcontext_facts(struct pgsession *s, struct str text, const struct sql_facts **facts, bool *exact)
{
    bool holds;
    enum err e;

    for (int round = 0; round < ROUNDS_MAX; round++) {
        if ((e = keep_up(s)) != OK || (e = sql_cache_facts(s->cache, text, facts, exact)) != OK ||
            (e = check_lineage(s, (*facts)->lineage, round, &holds)) != OK || holds)
            return e;
    }
    return fail(ERR_UNAVAILABLE, "the definitions of this database change while the statement is "
                                 "judged; try again");
}

enum err
pgcontext_renew(struct pgsession *s, struct pgstatement *statement)
{
    const struct sql_facts *facts;
    bool exact;
    enum err e;

    if ((e = keep_up(s)) != OK || s->context.sql.shield == NULL)
        return e;
    if (statement->generation == s->context.generation &&
        (statement->lineage == NULL ||
         statement->lineage->n_views + statement->lineage->n_functions == 0))
        return OK;
    if ((e = pgcontext_facts(s, statement->text, &facts, &exact)) == OK)
        pgstatement_set_lineage(statement, facts->lineage, s->context.generation);
    return e;
}

/* Changes. */

bool
pgcontext_is_changed_by(const struct pgcontext *c, const struct pgfacts_summary *summary)
{
    return c->sql.shield != NULL &&
           (summary->changes_path || summary->changes_catalog || summary->changes_cursors ||
            (summary->ends_transaction && c->uncommitted));
}

void
pgcontext_note_change(struct pgcontext *c, const struct pgfacts_summary *summary)
{
    if (summary->changes_path || (summary->ends_transaction && c->uncommitted))
        c->path_due = true;
    if (summary->changes_catalog || (summary->ends_transaction && c->uncommitted))
        c->catalog_due = true;
    if (summary->changes_path || summary->changes_catalog)
        c->uncommitted = true; /* until the transaction is seen to have ended */
}

/* Cursors. */

static const struct sql_output *
declaration(const struct pgcursor *cursor)
{
    return &cursor->view->lineage->outputs[cursor->statement];
}

static void
forget_cursors(struct pgcontext *c, cursor_test *wanted, struct str name)
{
    struct pgcursor **at = &c->cursors;

    while (*at != NULL) {
        struct pgcursor *cursor = *at;

        if (!wanted(declaration(cursor), name)) {
            at = &cursor->next;
            continue;
        }
        *at = cursor->next;
        pgview_release(cursor->view);
        free(cursor);
        c->n_cursors--;
    }
}

static bool
is_named(const struct sql_output *declared, struct str name)
{
    return name.len == 0 || str_equal(declared->name, name);
}

static bool
ends_with_transaction(const struct sql_output *declared, struct str name)
{
    (void)name;
    return !declared->holds;
}

static enum err
add_cursor(struct pgcontext *c, struct pgview *view, size_t statement)
{
    struct pgcursor *cursor;

    if (c->n_cursors >= CURSORS_MAX)
        return fail(ERR_LIMIT, "more than %d cursors in one transaction", CURSORS_MAX);
    if ((cursor = malloc(sizeof(*cursor))) == NULL)
        return fail(ERR_NOMEM, "no memory for a cursor");
    *cursor = (struct pgcursor){c->cursors, pgview_hold(view), statement};
    c->cursors = cursor;
    c->n_cursors++;
    return OK;
}

enum err
pgcontext_note_cursors(struct pgcontext *c, struct pgview *view)
{
    enum err e = OK;

    for (size_t i = 0; e == OK && view->lineage != NULL && i < view->lineage->n_outputs; i++) {
        const struct sql_output *output = &view->lineage->outputs[i];

        if (output->closes)
            forget_cursors(c, is_named, output->name);
        else if (output->declares && !output->prepares)
            e = add_cursor(c, view, i);
    }
    return e;
}

struct pgview *
pgcontext_cursor(const struct pgcontext *c, struct str name, size_t *statement)
{
    const struct pgcursor *found = NULL;

    for (const struct pgcursor *cursor = c->cursors; cursor != NULL; cursor = cursor->next) {
        if (!str_equal(declaration(cursor)->name, name))
            continue;
        if (found != NULL)
            return NULL;
        found = cursor;
    }
    if (found == NULL)
        return NULL;
    *statement = found->statement;
    return found->view;
}
