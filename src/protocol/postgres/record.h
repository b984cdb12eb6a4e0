/* protocol/postgres/record.h - the session's recording: how answers are described and, where a rule
 * says so, their rows as they go to the client. For the downstream fiber. Without a recorder none
 * of this costs more than a look at a pointer. */
#ifndef PROTOCOL_POSTGRES_RECORD_H
#define PROTOCOL_POSTGRES_RECORD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct pgsession;

enum {
    PGRECORD_DESCRIPTION_MAX = 64 << 10,
    PGRECORD_ROW_BYTES = 256 << 10, /* of a row that goes on as it is: the rest is left out */
    PGRECORD_CELL_BYTES = 32 << 10, /* of a cell */
};

/* The last description that came, for the answer that follows it. */
struct pgrecord {
    struct buf body;    /* of the RowDescription; empty: none */
    const void *portal; /* that it describes, to be compared only; NULL: the Query at the head */
    bool sent;          /* to the recording, for the command at the head */
};

/* [waits] The present message is a RowDescription or NoData with this body. */
enum err pgrecord_description(struct pgsession *s, unsigned char type, uint32_t body_len);

/* [waits] The present message of the server, a DataRow or (`copied`) a CopyData with this body,
 * goes to the client as it is. Does nothing unless the head's rows are recorded. */
enum err pgrecord_passing(struct pgsession *s, uint32_t body_len, bool copied);

/* [waits] The same of one that was rewritten; `body` as it goes to the client. */
enum err pgrecord_rewritten(struct pgsession *s, struct str body, bool copied);

/* [waits] A row of `columns` went to the client in pieces that nobody kept. */
enum err pgrecord_unseen(struct pgsession *s, size_t columns);

/* The rows of a statement are over. */
enum err pgrecord_end(struct pgsession *s);

void pgrecord_free(struct pgrecord *r);

#endif
