/* protocol/postgres/ask.h - a question of the gateway's own to the server, within a session: the
 * client sees nothing of it. For the upstream fiber, between or inside the judging of messages. */
#ifndef PROTOCOL_POSTGRES_ASK_H
#define PROTOCOL_POSTGRES_ASK_H

#include "base/arena.h"
#include "protocol/postgres/answers.h"

enum {
    PGASK_BODY_MAX = 4 << 20, /* of one message of the answer */
    PGASK_ENTRIES_MAX = 6,    /* answers that one question makes the server owe */
};

struct pgsession;

/* What the server is given as name of a question's statement and portal. A client may not use it.
 */
extern const struct str pgask_name;

struct pgask {
    /* Gets every RowDescription, DataRow, CommandComplete, EmptyQueryResponse and ErrorResponse,
     * from the downstream fiber; must not wait. NULL: nobody wants them. */
    void (*message)(void *arg, unsigned char type, struct str body);
    void *arg;
    bool one; /* the text is not ours: the server refuses more than one statement in it */

    /* What became of it. */
    bool failed;   /* with `sqlstate` */
    bool skipped;  /* not run: an earlier message of the client's failed */
    bool too_long; /* a message of the answer was longer than PGASK_BODY_MAX */
    char sqlstate[PGSQLSTATE_LEN + 1];

    /* Within: */
    bool apart;       /* in a segment of its own: an error of it is not the client's */
    unsigned entries; /* answers still owed */
};

/* [waits] Asks `sql`, one statement, and returns when it is answered. Between segments it is a
 * segment of its own. Within one it is run in the middle: if it fails then, the server skips the
 * rest of the segment, so the client gets that error, its details withheld, and s->skipping is set:
 * the present message is to be dropped, which forward() and refuse() do. The body of the present
 * message stays valid. ERR_DENIED (`failed` or `skipped`; err_text() names the SQLSTATE),
 * ERR_LIMIT (`too_long`), ERR_CANCELED (the session is over), ERR_NOMEM, and as stream_write(). */
enum err pgask(struct pgsession *s, struct str sql, struct pgask *ask);

/* Rows of text; .ptr NULL is NULL. */
struct pgask_rows {
    const struct str *fields; /* n_rows * n_columns, row by row */
    size_t n_rows, n_columns;
};

/* [waits] The same, collecting rows of `n_columns` columns into `arena`. Also ERR_PROTOCOL (other
 * columns). The SQLSTATE of ERR_DENIED is copied to `sqlstate` (NULL: not wanted), "" if skipped.
 */
enum err pgask_for_rows(struct pgsession *s, struct str sql, size_t n_columns, struct arena *arena,
                        struct pgask_rows *out, char sqlstate[PGSQLSTATE_LEN + 1]);

/* [waits] The same of a text that is not ours: as pgask.one says. */
enum err pgask_for_rows_of_one(struct pgsession *s, struct str sql, size_t n_columns,
                               struct arena *arena, struct pgask_rows *out,
                               char sqlstate[PGSQLSTATE_LEN + 1]);

#endif
