/* control/search.h - reading the ledger's directory for the API: search, one record, export,
 * verify, the last commands of a session, the overview, and dry runs of policies.
 *
 * Plain functions over a directory: no shared state but a small cache of overviews with a lock of
 * its own, so they may run on helper threads (fiber_offload()), several at once. All of them block.
 * Memory is bounded by the answer's limits and one record (64 MiB at most); time by a budget: what
 * is not done by then is said to be incomplete, and can be gone on with. The ledger is read as it
 * grows: an incomplete last line is passed over; a line that is not a record is counted as damaged,
 * never shown (verify says where it is). Answers are JSON as the API gives them. */
#ifndef CONTROL_SEARCH_H
#define CONTROL_SEARCH_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "ledger/filter.h"

enum {
    SEARCH_ITEMS_DEFAULT = 100,
    SEARCH_ITEMS_MAX = 1000,
    SEARCH_ANSWER_BYTES_MAX = 64 << 20, /* give buffers this maximum, or more */
    SEARCH_PAGE_BYTES = 8 << 20,        /* a page ends with the record that passes this */
    SEARCH_BUDGET_MS = 5000,
    SEARCH_RECENT_MAX = 50,
    SEARCH_RECENT_BUDGET_MS = 12,
    SEARCH_RECENT_BYTES = 48 << 20, /* how far back `recent` looks at most */
    SEARCH_DAYS_MAX = 400,
    SEARCH_DRY_RUN_EXAMPLES = 200,
    SEARCH_DRY_RUN_BUDGET_MS = 60000,
};

/* Becomes true: give up soon (ERR_CANCELED). May be NULL everywhere. */
typedef const atomic_bool search_stop;

/* --- GET /v1/ledger ---------------------------------------------------------------------- */

struct search_query {
    struct ledger_filter filter; /* zero: everything */
    uint64_t before;             /* records below this number; 0: from the newest */
    unsigned limit;              /* 0: SEARCH_ITEMS_DEFAULT */
};

/* Takes one decoded parameter of the query string; texts are copied into `arena`. Begin with a
 * zeroed query. from, to (RFC 3339 or a part of it, or "15m" ago, relative to `wall_us`), subject,
 * resource, table (`schema.name` or name), verdict, session, type (globs with * and ?), text (part
 * of the statement or of any text of the record, without case), limit, before. An empty value is as
 * if it were not there. ERR_INVALID: err_text() is for the user; ERR_NOT_FOUND: no such parameter;
 * ERR_NOMEM. */
enum err search_query_set(struct search_query *q, struct arena *arena, struct str key,
                          struct str value, int64_t wall_us);

/* Appends {"items":[Record],"next":"SEQ"|null,"incomplete":bool,"damaged":n}, newest first. A
 * Record is the ledger's own object, as in docs/ledger.md. `next`: the `before` of the next page,
 * null if there is none; with `incomplete` the budget ended before the page was full, and `next`
 * goes on from there. ERR_NOT_FOUND (no ledger), ERR_IO, ERR_NOMEM, ERR_LIMIT (of `out`),
 * ERR_CANCELED. */
enum err search_ledger(const char *directory, const struct search_query *q, search_stop *stop,
                       struct buf *out);

/* GET /v1/ledger/{sequence}: appends the record. ERR_NOT_FOUND, ERR_INVALID (it is damaged), and as
 * above. */
enum err search_record(const char *directory, uint64_t sequence, struct buf *out);

/* --- GET /v1/ledger/export --------------------------------------------------------------- */

/* Oldest first, one record a line (application/x-ndjson), to be read piece by piece; `q->limit` of
 * 0 is no limit, `q->before` ends it. One thread at a time. */
struct search_export;
enum err search_export_open(const char *directory, const struct search_query *q,
                            struct search_export **out);
/* Appends whole lines, some 256 KiB (or one longer line). ERR_CLOSED: that was all. Returns after
 * SEARCH_BUDGET_MS at the latest, perhaps with nothing: then call again. */
enum err search_export_read(struct search_export *e, search_stop *stop, struct buf *out);
void search_export_close(struct search_export *e); /* NULL is allowed */

/* --- POST /v1/ledger/verify -------------------------------------------------------------- */

/* Appends
 * {"ok":bool,"records":n,"files":n,"bytes":n,"head":"hash"|null,"first","last","admitted":n,
 * "without_outcome":n,"detail":text}. A broken ledger is an answer, not an error. No budget: reads
 * it all (some 100 MB/s). */
enum err search_verify(const char *directory, struct buf *out);

/* --- the last commands of a session, for approvers ---------------------------------------------
 */

/* Appends [{"at","text","verdict","rule"}], oldest first: at most `n` (SEARCH_RECENT_MAX) commands
 * of the session before its command number `before` (0: all), texts cut at 2 KiB. Quick rather than
 * complete: looks SEARCH_RECENT_BYTES back and for SEARCH_RECENT_BUDGET_MS. */
enum err search_recent(const char *directory, uint64_t session, uint64_t before, unsigned n,
                       struct buf *out);

/* --- GET /v1/overview --------------------------------------------------------------------------
 */

/* Appends {"nodes":[{"id","kind"}],"edges":[{"identity","resource","commands","refused","rows"}],
 * "series":[{"time","commands","refused","approvals"}],"incomplete":bool}: the last `days` (1 to
 * SEARCH_DAYS_MAX), in hours up to 3 days and in days beyond. `approvals`: requests for an
 * approval. At most 500 edges, those with the most commands. Answers are kept for half a minute. */
enum err search_overview(const char *directory, unsigned days, int64_t wall_us, search_stop *stop,
                         struct buf *out);

/* --- POST /v1/policies/dry-run -----------------------------------------------------------------
 */

struct search_dry_run {
    struct str config_text; /* the configuration in force, its YAML */
    struct str config_path; /* for relative paths in it */
    struct str policies;    /* YAML: "policies:" with its list, or the list alone */
    unsigned days;          /* 1 to SEARCH_DAYS_MAX */
    int64_t wall_us;
};

/* Decides the commands of the last days again. Appends
 * {"commands":n,"sessions":n,"changed":[{"record",
 * "time","subject","resource","statement","was","would","rule_was","rule_would","message"}],
 * "changed_total":n,"counts":{"allow to deny":n,…},"unknown":[text],"incomplete":bool}, newest
 * examples first, at most SEARCH_DRY_RUN_EXAMPLES. `unknown` says what the ledger does not hold and
 * was therefore not considered. ERR_INVALID: the policies have errors; `report` (may be NULL) has
 * them with line and column of what was given. Needs a stack of 256 KiB. */
enum err search_dry_run(const char *directory, const struct search_dry_run *run, search_stop *stop,
                        struct buf *report, struct buf *out);

#endif
