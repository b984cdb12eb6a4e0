/* protocol/postgres/rows.h - rows of an answer as the client may see them: hidden cells masked,
 * findings overwritten. Bytes to bytes, message by message. Pure. */
#ifndef PROTOCOL_POSTGRES_ROWS_H
#define PROTOCOL_POSTGRES_ROWS_H

#include "base/arena.h"
#include "protocol/postgres/view.h"
#include "protocol/postgres/wire.h"

enum {
    PGROWS_DESCRIPTION_MAX = 1 << 20, /* of a RowDescription: PostgreSQL has at most 1664 columns */
    PGROWS_ROW_MAX = 4 << 20,         /* of a row that is rewritten in one piece */
};

struct pgcolumn {
    bool hidden, binary;
    uint32_t type; /* 0: not known */
    struct mask_plan plan;
};

enum pgrows_kind {
    PGROWS_UNKNOWN, /* nothing was described */
    PGROWS_TABLE,   /* DataRow */
    PGROWS_COPY_TEXT,
    PGROWS_COPY_BINARY,
};

struct pgrows {
    enum pgrows_kind kind;
    bool hides;    /* some column */
    bool rewrites; /* hides, or has detectors */
    struct pgcolumn *columns;
    size_t n, n_hidden;
    const unsigned char *key;
    struct detectors *detectors; /* NULL: none */
    /* Of COPY */
    struct mask_copy copy;
    struct mask_plan *plans; /* of all columns */
    bool begun, ended;       /* the binary header, the trailer, or text's row of names has come */

    uint64_t masked, findings; /* so far */
    struct arena *arena;
};

/* Takes the server's description of what follows: the body of a RowDescription, or of a
 * CopyOutResponse. ERR_DENIED: it contradicts what `part` says of the statement (err_text() says
 * how), so no row may be shown; ERR_PROTOCOL; ERR_LIMIT; ERR_NOMEM. */
enum err pgrows_describe(struct pgrows *r, const struct pgview *v, const struct pgview_part *part,
                         struct str body);
enum err pgrows_describe_copy(struct pgrows *r, const struct pgview *v,
                              const struct pgview_part *part, struct str body);

/* Appends the whole message that stands for a DataRow, or a CopyData, with this body; `*rows` is
 * how many rows are in it. ERR_PROTOCOL: it is not what was described; ERR_LIMIT: too large. After
 * an error nothing was appended. */
enum err pgrows_put_row(struct pgrows *r, struct str body, struct buf *out);
enum err pgrows_put_copy(struct pgrows *r, struct str body, struct buf *out, uint64_t *rows);

/* Forgets the description, keeps the memory. */
void pgrows_forget(struct pgrows *r);
void pgrows_free(struct pgrows *r);

#endif
