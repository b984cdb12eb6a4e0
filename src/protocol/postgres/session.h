/* protocol/postgres/session.h - one authenticated session: a fiber for each direction, one that
 * waits for the grant's end and one for cancel requests (docs/protocol-postgres.md). */
#ifndef PROTOCOL_POSTGRES_SESSION_H
#define PROTOCOL_POSTGRES_SESSION_H

#include "fiber/fiber.h"
#include "gate/door.h"
#include "protocol/postgres/affected.h"
#include "protocol/postgres/answers.h"
#include "protocol/postgres/context.h"
#include "protocol/postgres/hold.h"
#include "protocol/postgres/lane.h"
#include "protocol/postgres/purpose.h"
#include "protocol/postgres/record.h"
#include "protocol/postgres/rows.h"
#include "protocol/postgres/statement.h"
#include "protocol/postgres/target.h"
#include "sql/cache.h"

enum {
    PGSTATEMENTS_MAX = 10000,
    PGPORTALS_MAX = 10000,
    PGSTATEMENTS_BYTES_MAX = 32 << 20,
    PGPORTALS_BYTES_MAX = 32 << 20,
    PGSQL_CACHE_BYTES = 256 << 10,
    PGERROR_BYTES_MAX = 32 << 10,
};

struct pgsession {
    struct door *door;
    struct gate *gate;
    const struct grant *grant;
    struct pgtarget *target;
    struct stream *client;

    struct pglane up;   /* client to server */
    struct pglane down; /* server to client */
    struct pganswers answers;
    struct pgnames *statements; /* of struct pgstatement */
    struct pgnames *portals;    /* of struct pgportal */
    struct pgnames *cursors;    /* of struct pgview: on whose tallies their rows count */
    struct sql_cache *cache;
    struct pgcontext context; /* what statements are analysed by */
    struct pgpurpose purpose; /* what they are for */

    enum pgwire_status status; /* as the server said last */
    uint64_t segment;          /* counts Syncs and Queries forwarded: what fails together */
    uint64_t executed;         /* the last segment in which an Execute was forwarded */
    uint64_t boundary;         /* number of the entry after the last Sync or Query forwarded */
    bool skipping; /* after an error of the extended protocol, until Sync: as the server */
    bool copy_in;  /* the server waits for COPY data */
    bool copy_out;
    bool leaving;          /* the client said goodbye: what is under way ends, nothing new begins */
    bool copy_failed;      /* the client left in the middle of a COPY */
    bool server_is_ending; /* it sent a FATAL error */
    bool last_failed;      /* what the server answered last was an error */
    bool grant_is_over;    /* expired, revoked, killed: nothing may go on running */
    bool up_done, down_done;

    /* Of the head's answer */
    struct pgrows rows; /* what its rows are, as the server described them */
    bool rows_refused;  /* that was not what was expected */
    struct pgrecord record;

    bool cancel_wanted;   /* what runs passed a limit: the main fiber is to have it cancelled */
    bool cancelling;      /* until that is done nothing new is forwarded */
    bool must_fail;       /* the client was told of an error in this segment that the server must be
                             made to have, before Sync */
    struct pgwrite write; /* the limited write under way */
    struct pghold hold;   /* the command that waits for humans */

    bool active; /* bytes of the client since the last look (memory of idle sessions) */
    bool asleep; /* the main fiber wants to know of the next activity */

    struct fiber_condition progress; /* answers came, or copy_in changed */
    bool progress_wanted;
    struct fiber_condition wake; /* of the main fiber */

    bool over;
    enum err result;
    char result_text[ERR_TEXT_MAX];
    struct buf farewell; /* a FATAL ErrorResponse; empty: none */
};

/* [waits] Serves until the end of either side. `target` has logged in, and the gate knows what the
 * client said that the session is for. */
enum err pgsession_run(struct door *door, const struct grant *grant, struct pgtarget *target);

/* Ends the session, once: `failure` (NULL: nothing) is told to the client if its framing allows.
 * Returns `code`, whose text becomes the session's result. */
enum err pgsession_end(struct pgsession *s, enum err code, const struct pgwire_failure *failure);
/* The same with the text of the last fail(). */
enum err pgsession_fatal(struct pgsession *s, enum err code, const char *sqlstate);

/* [waits] The two directions, until the connection or the session ends. */
enum err pgupstream_run(struct pgsession *s);
enum err pgdownstream_run(struct pgsession *s);

/* Records how an admitted command ended. */
enum err pgsession_outcome(struct pgsession *s, const struct pganswer *answer, bool unknown);

#endif
