/* store/session_index.h - which sessions there are and were, for lists and search. The ledger has
 * the truth. */
#ifndef STORE_SESSION_INDEX_H
#define STORE_SESSION_INDEX_H

#include "store/store.h"

struct session_entry {
    uint64_t session;
    struct str node;
    struct str issuer, subject, token_id, task;
    struct str_list chain;
    struct str_list groups;
    struct str resource, protocol, database, client, source;
    struct str access; /* the grant of access under which it was opened; may be empty */
    int64_t opened_us, closed_us, expires_us;
    struct str end; /* why it ended */
    uint64_t commands, refused, rows;
};

struct session_list {
    const struct session_entry *items;
    size_t n;
};

enum session_filter_state { SESSIONS_LIVE, SESSIONS_CLOSED, SESSIONS_ALL };
struct session_filter {
    enum session_filter_state state;
    struct str text;    /* part of the subject, chain, resource, database or client; empty: any */
    struct str subject; /* exact; empty: any */
    int64_t before_us;  /* opened before; 0: any. As in struct request_filter: */
    uint64_t before_session;
    unsigned limit;
};

/* Adds or replaces. */
enum err session_index_put(struct db *db, const struct session_entry *s);
/* OK also if there is none, or it is closed already. */
enum err session_index_close(struct db *db, uint64_t session, int64_t now_us, struct str end);
/* All that were live at this node: it starts anew. */
enum err session_index_close_node(struct db *db, struct str node, int64_t now_us, struct str end);
enum err session_index_count(struct db *db, uint64_t session, uint64_t commands, uint64_t refused,
                             uint64_t rows);
/* ERR_NOT_FOUND. */
enum err session_index_get(struct db *db, uint64_t session, struct arena *arena,
                           struct session_entry *out);
/* Newest first. */
enum err session_index_list(struct db *db, const struct session_filter *filter, struct arena *arena,
                            struct session_list *out);
/* Live sessions opened under the grant of access. */
enum err session_index_of_access(struct db *db, struct str access, struct arena *arena,
                                 struct session_list *out);
enum err session_index_prune(struct db *db, int64_t before_us, unsigned max, uint64_t *removed);

#endif
