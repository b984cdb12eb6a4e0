#include "protocol/postgres/catalog.h"

#include <stdio.h>

#include "base/clock.h"
#include "protocol/postgres/postgres.h"
#include "protocol/protocol.h"

enum { TERMINATE_MS = 200 };

/* One state of the catalog for all queries. What is set makes definitions name everything in full,
 * in one form whatever the role's defaults are, and keeps us from waiting behind a migration. */
static const char prologue[] = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                               " SET LOCAL search_path = '';"
                               " SET LOCAL quote_all_identifiers = off;"
                               " SET LOCAL lock_timeout = '10s';"
                               " SET LOCAL statement_timeout = '60s'";

/* --- the answers ---------------------------------------------------------------------------- */

enum err
pgcatalog_feed_make(struct pgcatalog_feed *f)
{
    *f = (struct pgcatalog_feed){.builder = catalog_builder_new(), .query = PGCATALOG_NO_ROWS};
    return f->builder == NULL ? fail(ERR_NOMEM, "no memory for a catalog") : OK;
}

void
pgcatalog_feed_free(struct pgcatalog_feed *f)
{
    catalog_builder_free(f->builder);
    f->builder = NULL;
}

void
pgcatalog_feed_begin(struct pgcatalog_feed *f, int query)
{
    f->query = query;
    f->sqlstate[0] = '\0';
}

static enum err
take_row(struct pgcatalog_feed *f, struct str body)
{
    struct str fields[CATALOG_FIELDS_MAX];
    struct cursor c = cursor_make(body);
    size_t n = cursor_u16(&c);

    if (f->query == PGCATALOG_NO_ROWS || n > CATALOG_FIELDS_MAX)
        return fail(ERR_PROTOCOL, "the target sent rows that nobody asked for");
    for (size_t i = 0; i < n; i++) {
        uint32_t len = cursor_u32(&c);

        fields[i] = len == UINT32_MAX ? (struct str){NULL, 0} : cursor_bytes(&c, len);
    }
    if (!cursor_done(&c))
        return fail(ERR_PROTOCOL, "the target sent a malformed row");
    return catalog_build_row(f->builder, f->query, fields, n);
}

static enum err
take_error(struct pgcatalog_feed *f, struct str body)
{
    struct pgwire_error error;
    enum err e;

    if ((e = pgwire_read_error(body, &error)) != OK)
        return e;
    (void)snprintf(f->sqlstate, sizeof(f->sqlstate), "%.*s", STR_ARG(error.sqlstate));
    (void)snprintf(f->reason, sizeof(f->reason), "%.*s",
                   error.message.len < PGCATALOG_REASON_MAX ? (int)error.message.len
                                                            : PGCATALOG_REASON_MAX,
                   error.message.ptr);
    return OK;
}

static enum err
take_ready(struct pgcatalog_feed *f, struct str body, bool *ready)
{
    enum pgwire_status status;
    enum err e;

    if ((e = pgwire_read_ready(body, &status)) != OK)
        return e;
    *ready = true;
    if (f->sqlstate[0] != '\0')
        return fail(ERR_UNAVAILABLE, "the target does not show its catalog: %s (SQLSTATE %s)",
                    f->reason, f->sqlstate);
    return OK;
}

enum err
pgcatalog_feed_message(struct pgcatalog_feed *f, unsigned char type, struct str body, bool *ready)
{
    struct pgwire_parameter parameter;
    enum err e;

    switch (type) {
    case 'D':
        return f->sqlstate[0] == '\0' ? take_row(f, body)
                                      : fail(ERR_PROTOCOL, "the target sent rows after an error");
    case 'E':
        return take_error(f, body);
    case 'Z':
        return take_ready(f, body, ready);
    case 'S':
        return (e = pgwire_read_parameter(body, &parameter)) == OK
                   ? pgtarget_check_parameter(&parameter)
                   : e;
    case 'T': /* the values are texts, and their number is checked row by row */
    case 'C':
    case 'N':
    case 'A':
        return OK;
    default:
        return fail(ERR_PROTOCOL, "the target sent '%c' in answer to a query",
                    type >= ' ' && type < 127 ? type : '?');
    }
}

/* Length of the message at the beginning of `bytes`, as far as it is known; its type. */
static enum err
look_at_header(struct str bytes, unsigned char *type, size_t *length)
{
    const struct pgwire_rule *rule;
    uint32_t body_len;
    enum err e;

    *length = PGWIRE_HEADER_BYTES;
    if (bytes.len < PGWIRE_HEADER_BYTES)
        return OK;
    bytes.len = PGWIRE_HEADER_BYTES;
    if ((e = pgwire_read_header(bytes, type, &body_len)) != OK)
        return e;
    rule = pgwire_backend_rule(*type);
    if (rule == NULL || (rule->when & PGWIRE_OF_QUERY) == 0 || body_len < rule->body_min ||
        body_len > rule->body_max)
        return fail(ERR_PROTOCOL, "the target sent something that answers no query");
    if (body_len > PGCATALOG_MESSAGE_MAX)
        return fail(ERR_LIMIT, "a definition in the target's catalog is larger than %d bytes",
                    PGCATALOG_MESSAGE_MAX);
    *length += body_len;
    return OK;
}

enum err
pgcatalog_feed_bytes(struct pgcatalog_feed *f, struct str bytes, size_t *used, size_t *needed,
                     bool *ready)
{
    *used = 0;
    *ready = false;
    while (!*ready) {
        struct str left = str_skip(bytes, *used);
        unsigned char type;
        enum err e;

        if ((e = look_at_header(left, &type, needed)) != OK)
            return e;
        if (left.len < *needed || left.len < PGWIRE_HEADER_BYTES)
            break;
        left.len = *needed;
        *used += *needed;
        if ((e = pgcatalog_feed_message(f, type, str_skip(left, PGWIRE_HEADER_BYTES), ready)) != OK)
            return e;
    }
    return OK;
}

enum err
pgcatalog_feed_end(struct pgcatalog_feed *f, struct buf *out)
{
    return catalog_build_end(f->builder, out);
}

/* --- the connection ------------------------------------------------------------------------- */

/* [waits] */
static enum err
send_query(struct pgtarget *target, const char *text, int64_t deadline_ms)
{
    struct buf message = buf_make(64 << 10);
    enum err e;

    pgwire_put_query(&message, str_from(text));
    if ((e = buf_ok(&message)) == OK)
        e = stream_write(target->stream, buf_str(&message), deadline_ms);
    buf_free(&message);
    return e;
}

/* [waits] */
static enum err
run_query(struct pgtarget *target, struct pgcatalog_feed *f, const char *text, int64_t deadline_ms)
{
    size_t used, needed = PGWIRE_HEADER_BYTES;
    bool ready = false;
    struct str bytes;
    enum err e;

    if ((e = send_query(target, text, deadline_ms)) != OK)
        return e;
    while (!ready) {
        if ((e = stream_need(target->stream, needed, deadline_ms, &bytes)) != OK)
            return e;
        e = pgcatalog_feed_bytes(f, bytes, &used, &needed, &ready);
        stream_consume(target->stream, used);
        if (e != OK)
            return e;
    }
    return OK;
}

/* [waits] */
static enum err
run_queries(struct pgtarget *target, struct pgcatalog_feed *f, int64_t deadline_ms)
{
    enum err e;

    pgcatalog_feed_begin(f, PGCATALOG_NO_ROWS);
    e = run_query(target, f, prologue, deadline_ms);
    for (int i = 0; e == OK && i < CATALOG_QUERIES; i++) {
        size_t n_fields;

        pgcatalog_feed_begin(f, i);
        e = run_query(target, f, catalog_query(i, &n_fields), deadline_ms);
    }
    if (e == ERR_CLOSED || e == ERR_TRUNCATED)
        return fail(ERR_UNAVAILABLE, "the target closed the connection");
    if (e == ERR_TIMEOUT)
        return fail(e, "the target did not show its catalog in time");
    return e;
}

enum err
pgcatalog_read(struct pgtarget *target, int64_t deadline_ms, struct buf *out)
{
    struct pgcatalog_feed feed;
    enum err e;

    if ((e = pgcatalog_feed_make(&feed)) == OK &&
        (e = run_queries(target, &feed, deadline_ms)) == OK)
        e = pgcatalog_feed_end(&feed, out);
    pgcatalog_feed_free(&feed);
    return e;
}

/* [waits] */
static void
say_goodbye(struct pgtarget *target)
{
    struct buf terminate = buf_make(16);

    pgwire_put_plain(&terminate, 'X', STR(""));
    err_ignore(
        stream_write(target->stream, buf_str(&terminate), clock_monotonic_ms() + TERMINATE_MS));
    buf_free(&terminate);
}

enum err
postgres_read_catalog(struct door *door, const struct grant *grant, struct buf *out,
                      struct catalog_summary *summary)
{
    struct pgsettings settings = {.items = {{STR("application_name"), STR("bulkhead")}}, .n = 1};
    struct pgtarget target;
    struct catalog catalog;
    enum err e;

    if (pgtarget_open(door, grant, &settings, &target) != OK)
        e = fail(ERR_UNAVAILABLE, "%s", target.reason);
    else if ((e = pgcatalog_read(&target, door->handshake_deadline_ms, out)) == OK)
        say_goodbye(&target);
    pgtarget_close(&target);
    if (e == OK && (e = catalog_open(buf_str(out), &catalog)) == OK)
        *summary = (struct catalog_summary){
            .fingerprint = catalog.fingerprint,
            .relations = catalog.n_relations,
            .functions = catalog.n_functions,
        };
    return e;
}
