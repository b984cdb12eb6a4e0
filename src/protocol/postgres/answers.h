/* protocol/postgres/answers.h - what the server still owes: one entry for each message that it
 * answers, in the order in which they were forwarded. Pure. */
#ifndef PROTOCOL_POSTGRES_ANSWERS_H
#define PROTOCOL_POSTGRES_ANSWERS_H

#include "base/buf.h"
#include "protocol/postgres/names.h"
#include "protocol/postgres/wire.h"

enum {
    PGANSWERS_MAX = 16384, /* entries; the client waits beyond */
    PGREFUSALS_MAX = 64,   /* of them, refusals whose text is kept */
    PGSQLSTATE_LEN = 5,
};

struct pgask;
struct pgstatement;
struct pgview;

struct pganswer {
    enum pgwire_expected kind;
    bool admitted;         /* `command` wants an outcome */
    bool failed;           /* an ErrorResponse came; sqlstate says which */
    bool unnamed;          /* a Parse of the unnamed statement */
    bool described;        /* the ParameterDescription of a Describe came */
    uint32_t copies_left;  /* COPY FROM STDIN that it may still start */
    uint32_t changes_done; /* of `statement`: changes of names that the server has confirmed */
    char sqlstate[PGSQLSTATE_LEN];
    uint64_t command;
    uint64_t rows, bytes;

    struct pgview *view;   /* through which the client sees it; held; NULL: all of it */
    uint32_t statement_at; /* of a Query: the statement of the string that is being answered */
    uint64_t delivered;    /* rows to the client, as limits count them */
    uint64_t masked, findings;
    int64_t began_ms;    /* if its time is limited and it is the head */
    const char *limit;   /* that it passed */
    struct buf *stopped; /* an ErrorResponse of ours that ended it; NULL: none (limit.h) */
    bool told;           /* the client has got that */
    bool outlived;       /* the server completed it all the same */

    bool ours;          /* a Describe of the gateway's own: its answer is not for the client */
    bool silent;        /* nor is any of this one, not even an error */
    bool limited;       /* a write that may change so many rows only (affected.h) */
    bool writes;        /* it changes rows, for all that is known */
    bool record_rows;   /* what it delivers goes into the session's recording */
    const void *portal; /* of a Describe or Execute; only to be compared */
    /* Whole messages in place of its CommandComplete, which is that of a COMMIT if it `commits`;
     * NULL: as it comes. */
    struct buf *replacement;
    bool commits;

    /* A question of the gateway's own, which gets the answer (ask.h); NULL: the client's. */
    struct pgask *ask;
    /* A refusal of ours, a whole ErrorResponse that replaces the server's; NULL: none. */
    struct buf *refusal;
    struct pgstatement *statement; /* held if it changes names; else NULL */
    struct pgnames *names;         /* with `change` */
    struct pgname_change change;
};

struct pganswers {
    struct pganswer *ring;
    size_t capacity, first, count; /* capacity is a power of two */
    uint64_t removed;              /* since the start: entry number removed + i is the i-th */
    size_t copies, refusals, syncs;
};

void pganswers_free(struct pganswers *a);

/* Makes room for `n` more. ERR_LIMIT when full, ERR_NOMEM. */
enum err pganswers_reserve(struct pganswers *a, size_t n);
/* Adds an entry, for which room was made; takes over what it holds. */
void pganswers_push(struct pganswers *a, const struct pganswer *entry);

/* The oldest, NULL if the server owes nothing. Valid until the next push. */
static inline struct pganswer *
pganswers_head(struct pganswers *a)
{
    return a->count == 0 ? NULL : &a->ring[a->first];
}

/* Removes the oldest; releases what it holds, after settling its change as `result`. */
void pganswers_pop(struct pganswers *a, enum pgname_result result);

/* Gives the answers that `from` waits for to `to`. */
void pganswers_redirect(struct pganswers *a, const struct pgask *from, struct pgask *to);

/* The i-th oldest, below count. */
static inline struct pganswer *
pganswers_at(struct pganswers *a, size_t i)
{
    return &a->ring[(a->first + i) & (a->capacity - 1)];
}

/* The head may start one COPY FROM STDIN less; or none any more. */
void pganswers_copy_started(struct pganswers *a);
void pganswers_no_copies(struct pganswers *a);

/* Returns memory after a burst. */
void pganswers_trim(struct pganswers *a);

/* What the head means for pgwire_backend_rule(). */
static inline unsigned
pganswers_expected(const struct pganswers *a)
{
    return a->count == 0 ? PGWIRE_OF_NOTHING : a->ring[a->first].kind;
}

#endif
