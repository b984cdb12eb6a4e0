/* protocol/postgres/catalog.h - reading a database's catalog (sql/catalog.h) from the server. */
#ifndef PROTOCOL_POSTGRES_CATALOG_H
#define PROTOCOL_POSTGRES_CATALOG_H

#include "protocol/postgres/target.h"
#include "sql/catalog.h"

enum {
    PGCATALOG_MESSAGE_MAX = 64 << 20,
    PGCATALOG_REASON_MAX = 200,
    PGCATALOG_NO_ROWS = -1, /* in place of a query's number: a statement that has none */
};

/* What the server answers to one query after the other becomes a catalog. Pure: it does not
 * matter whose connection that is, nor what else is said there before and afterwards. Ends with
 * pgcatalog_feed_free(), whatever failed. */
struct pgcatalog_feed {
    struct catalog_builder *builder;
    int query;                         /* whose answer comes */
    char sqlstate[6];                  /* of the server's error; empty: none so far */
    char reason[PGCATALOG_REASON_MAX]; /* its words */
};

/* ERR_NOMEM. */
enum err pgcatalog_feed_make(struct pgcatalog_feed *f);
void pgcatalog_feed_free(struct pgcatalog_feed *f);

/* From here on the answer to that query is expected. */
void pgcatalog_feed_begin(struct pgcatalog_feed *f, int query);

/* One whole message of the server; `*ready` is set with its ReadyForQuery. Only with that comes
 * ERR_UNAVAILABLE: the server refused the query. ERR_PROTOCOL, ERR_LIMIT, ERR_NOMEM: nothing more
 * of this connection can be understood. */
enum err pgcatalog_feed_message(struct pgcatalog_feed *f, unsigned char type, struct str body,
                                bool *ready);

/* All whole messages at the beginning of `bytes`, `*used` of them, but none after ReadyForQuery.
 * `*needed`: so many bytes, used ones not counted, are there with the end of the next. Else as
 * above. */
enum err pgcatalog_feed_bytes(struct pgcatalog_feed *f, struct str bytes, size_t *used,
                              size_t *needed, bool *ready);

/* Appends the block, once all queries are answered. As catalog_build_end(). */
enum err pgcatalog_feed_end(struct pgcatalog_feed *f, struct buf *out);

/* [waits] Reads it over an idle connection in one transaction that changes nothing, and which
 * stays open: the connection is for nothing else. ERR_UNAVAILABLE (refused, or the server went
 * away), ERR_TIMEOUT, ERR_PROTOCOL, ERR_LIMIT, ERR_NOMEM. */
enum err pgcatalog_read(struct pgtarget *target, int64_t deadline_ms, struct buf *out);

#endif
