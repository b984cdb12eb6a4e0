/* protocol/postgres/affected.h - writes that may change so many rows only: what changes more is
 * rolled back. For the upstream fiber, which holds back what follows until the write is settled.
 *
 * A string outside of a transaction is put between BEGIN and COMMIT, and its last CommandComplete
 * waits for the COMMIT. Inside of one, and in a segment of the extended protocol, a write that
 * changed too much is followed by a statement that fails, so that nothing of the transaction can
 * be committed. Counted is what CommandComplete counts: of a SELECT whose WITH changes rows it
 * counts the rows of the SELECT, so those changes are not limited. */
#ifndef PROTOCOL_POSTGRES_AFFECTED_H
#define PROTOCOL_POSTGRES_AFFECTED_H

#include "protocol/postgres/answers.h"

struct pgsession;

struct pgwrite {
    bool under_way;
    bool simple;      /* a Query, else an Execute */
    bool wrapped;     /* between a BEGIN and a COMMIT of ours */
    bool awaits_copy; /* its COPY data are to come from the client */
    bool abandoned;   /* that COPY failed: a transaction of ours is to be rolled back */
    uint64_t entry;   /* in `answers` */
    uint64_t max;
    struct pgview *view; /* held */
    /* From downstream: */
    uint64_t changed;
    bool failed;          /* the server had an error, which the client got */
    bool exceeded;        /* too many rows */
    struct buf complete;  /* the last CommandComplete */
    struct pganswer rest; /* of the wrapped one: what its outcome says, once it is known */
};

/* Whether the command of `answer` is such a write. */
bool pgaffected_limits(const struct pganswer *answer);

/* [waits] Before it is forwarded: sees to the transaction and marks `answer`. `*refused` (NULL: it
 * may go on) says why it cannot be limited, with the SQLSTATE in `*sqlstate`. */
enum err pgaffected_begin(struct pgsession *s, bool simple, struct pganswer *answer,
                          const char **refused, const char **sqlstate);

/* [waits] After it was forwarded, and after each message of the client that ends its COPY data:
 * until it holds or is rolled back, or the server wants COPY data. */
enum err pgaffected_settle(struct pgsession *s);

/* [waits] Before the client's next message: ends the transaction of a COPY that failed while its
 * data were awaited. */
enum err pgaffected_roll_back(struct pgsession *s);

void pgaffected_free(struct pgsession *s);

/* For the downstream fiber, about the head, which is limited. */

/* A CommandComplete: counts. Afterwards s->write.exceeded may be true. */
void pgaffected_count(struct pgsession *s, struct str tag, uint64_t rows);
/* The server is done with a Query: whether its ReadyForQuery is to be dropped, as another follows;
 * takes the head's outcome over if so. */
bool pgaffected_takes_over(struct pgsession *s);

#endif
