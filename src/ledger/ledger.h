/* ledger/ledger.h - the audit ledger: sessions' spools in, one hash chain out.
 *
 * Pure of messages: the process (ledger/ledger_main.c) turns channel messages into these calls.
 * Single-threaded; nothing here waits but ledger_open() and the disk. The loop of its owner:
 *
 *     for (;;) {
 *         poll({channels…, ledger_poll_fd(l)}, ledger_timeout_ms(l));
 *         if (the ledger's descriptor is readable)
 *             ledger_woken(l);
 *         … read channels, call ledger_session_…() …
 *         if ((e = ledger_round(l, read_keeper_until_it_would_block, arg)) != OK)
 *             stop: the disk cannot be trusted any more;
 *         tell every session whether ledger_accepting(l), if that changed;
 *         while (ledger_next_cut(l, &id, &why))
 *             close that session's channel, have the listener end it;
 *     }
 *
 * Why a round cannot give a record to the wrong identity: it first notes how far each spool
 * reaches and which sessions are gone, then has the keeper's channel read to its end, then reads
 * the spools up to the noted sizes. The keeper says who a session is before it answers the
 * session, so whatever a session wrote as somebody lies behind that message. A spool whose
 * session is not identified waits for the next round, unless its session is gone. */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include "base/err.h"
#include "base/str.h"
#include "policy/rule.h"

struct ledger;

enum {
    LEDGER_SESSIONS_MAX = 65536,
    LEDGER_BACKLOG_MAX = 64 << 20, /* of one spool not yet read; beyond it its session is cut off */
    LEDGER_BATCH_MS = 3,
    LEDGER_BUSY_BATCH_MS = 20, /* while a round finds more than LEDGER_BUSY_FRAMES */
    LEDGER_BUSY_FRAMES = 32,
    LEDGER_SYNC_MS = 200,
    LEDGER_SESSION_TEXT_BYTES = 17, /* 16 hexadecimal digits and a NUL */
};

/* Sessions are recorded (docs/recordings.md). */
struct ledger_recording {
    const char *directory; /* made with mode 0750 if it is not there */
    struct str public_key; /* PEM */
    /* Gets the events of sessions that are watched, each a JSON object; must not wait. */
    void (*live)(void *arg, uint64_t session, struct str event);
    void *arg;
};

struct ledger_options {
    const char *directory;   /* of the files; made with mode 0750 if it is not there */
    uint64_t file_bytes;     /* a file of the series is ended at this size */
    uint64_t min_free_bytes; /* below this on its disk ledger_accepting() says no */
    const struct ledger_recording *recording; /* NULL: sessions are not recorded */
};

/* Opens or begins the series in `directory`: checks it, cuts a torn last line, takes over spools
 * that an earlier gateway left. `*out` is the caller's. ERR_EXISTS: another process writes this
 * series; ERR_INVALID: the files are damaged (err_text() says where; nothing was changed);
 * ERR_IO, ERR_NOMEM. */
enum err ledger_open(const struct ledger_options *options, struct ledger **out);

/* Ends: drains what the spools hold, writes and syncs everything, keeps the spools of sessions
 * that are still there (the next ledger_open() takes them over). NULL is allowed. */
void ledger_close(struct ledger *l);

/* Other limits from now on; the directory is fixed. */
void ledger_reconfigure(struct ledger *l, uint64_t file_bytes, uint64_t min_free_bytes);

/* Another key for recordings that begin from now on. ERR_INVALID: the old one stays;
 * ERR_UNSUPPORTED: nothing is recorded. */
enum err ledger_set_recording_key(struct ledger *l, struct str pem);

/* Whether what happens in a session is given to the `live` of its recording, and first what its
 * present chunk holds. ERR_NOT_FOUND: it is over, or is not recorded. */
enum err ledger_watch(struct ledger *l, uint64_t session, bool on);
void ledger_watch_none(struct ledger *l);

/* --- the loop ------------------------------------------------------------------------------ */

/* To be polled for reading; -1 (which poll() ignores) while a batch is being gathered. Ask again
 * before each poll(). */
int ledger_poll_fd(const struct ledger *l);

/* The descriptor was readable: a round is due LEDGER_BATCH_MS from now, or LEDGER_BUSY_BATCH_MS
 * under load: rounds are fewer then, and their cost is less a record. */
void ledger_woken(struct ledger *l);

/* Milliseconds until ledger_round() has work; 0: now; -1: not before a wake-up or a call. */
int ledger_timeout_ms(const struct ledger *l);

/* Does what is due, nothing if nothing is. `catch_up(arg)` must read the keeper's channel until
 * it would block; it may call ledger_session_…(). NULL if there is no keeper. A full disk is not
 * an error (the ledger stops accepting and tries again). ERR_IO: what was written may not be on
 * the disk; end the process and let the next start check. */
enum err ledger_round(struct ledger *l, void (*catch_up)(void *arg), void *arg);

/* The same at once, whether due or not, until every spool is empty, and synced: for tests and
 * before an orderly stop. */
enum err ledger_drain(struct ledger *l, void (*catch_up)(void *arg), void *arg);

/* Whether sessions may go on; checked at most once a second. */
bool ledger_accepting(const struct ledger *l);

/* Why not, fit for a client: "the audit ledger's disk is full". Empty while accepting. */
const char *ledger_refusal(const struct ledger *l);

/* Takes the next session that must end because of what it wrote (or how much); false if none. */
bool ledger_next_cut(struct ledger *l, uint64_t *session, const char **why);

/* --- sessions ------------------------------------------------------------------------------ */

/* Begins a session: makes its spool and returns a descriptor that can only append to it. The
 * caller passes the descriptor on and closes its own copy: the ledger takes a session to be over
 * when it was told so *and* nobody holds the descriptor any more. `source` ("192.0.2.1:5555") and
 * `protocol` are copied. ERR_EXISTS (the id was used), ERR_LIMIT, ERR_UNAVAILABLE (not accepting),
 * ERR_IO. */
enum err ledger_session_new(struct ledger *l, uint64_t session, struct str source,
                            struct str protocol, int *spool_fd);

struct ledger_identity {
    struct str subject, issuer, token_id;
    struct str_list groups;
    struct str_list delegation; /* from the first principal to the acting one; today one entry */
    struct str resource;
    struct str database;    /* as asked for; each intent carries the one it ran in */
    struct str target;      /* "db.internal:5432"; may be empty */
    struct str client;      /* what the client calls itself; may be empty */
    struct str policy_hash; /* may be empty */
    int64_t expires_us;     /* wall clock; 0: not known */
};

/* The keeper accepted the session's token: writes session_opened. Once a session; ERR_NOT_FOUND
 * (unknown or over: harmless), ERR_EXISTS, ERR_NOMEM. Copies all. */
enum err ledger_session_identify(struct ledger *l, uint64_t session,
                                 const struct ledger_identity *identity);

/* The keeper (or the listener) refused the session: writes session_refused. What the token only
 * claims goes to `claimed_…`; any of these may be empty. A session that is not known is written
 * all the same (a connection refused before it had a session: `session` 0). */
struct ledger_refusal {
    struct str reason; /* a stable word: "token_expired" */
    struct str text;
    struct str resource;
    struct str claimed_subject, claimed_issuer, token_id;
    struct str source, protocol; /* only for a session that is not known */
};
enum err ledger_session_refused(struct ledger *l, uint64_t session,
                                const struct ledger_refusal *refusal);

/* The session's process is over; what its spool still holds is read first, then session_closed is
 * written. `reason` is a stable word ("ended", "crashed", "killed", "revoked", …), copied;
 * `signal` 0 if it ended by itself. ERR_NOT_FOUND is harmless. */
enum err ledger_session_gone(struct ledger *l, uint64_t session, const char *reason, int signal);

/* Sessions that are not over. */
size_t ledger_session_count(const struct ledger *l);

/* --- other records ------------------------------------------------------------------------- */

enum ledger_event {
    LEDGER_SERVICE_STARTED,
    LEDGER_SERVICE_STOPPED,
    LEDGER_SERVICE_DIED,
};

/* A service of the gateway started, stopped or died; `detail` ("signal 11") may be empty. */
enum err ledger_service_event(struct ledger *l, enum ledger_event event, struct str service,
                              struct str detail);

/* A configuration took effect; `digest` is the hexadecimal SHA-256 of its text. */
enum err ledger_configuration_loaded(struct ledger *l, struct str path, struct str digest,
                                     struct str policy_hash);

/* An administrative act ("session_kill", "token_issue", "token_revoke", …), written and synced
 * before this returns: call it before acting. ERR_UNAVAILABLE: could not be written, do not act. */
enum err ledger_admin(struct ledger *l, struct str actor, struct str action, struct str target,
                      struct str detail);

/* What humans did about a request: record type "approval". Written and synced before this returns,
 * so that it is recorded before it has an effect. `event` is one of "requested", "approved",
 * "denied", "overridden", "expired", "withdrawn", "revoked". Texts may be empty. ERR_UNAVAILABLE:
 * could not be written, do not act. */
struct ledger_approval {
    uint64_t session; /* whose command it is about; 0: of none */
    struct str request, event, actor, rule;
    struct str binding_hash; /* its bytes, or hexadecimal digits: shown as digits */
    struct str text;
};
enum err ledger_approval(struct ledger *l, const struct ledger_approval *approval);

/* Anything else worth keeping; `session` 0: of none. */
enum err ledger_note(struct ledger *l, uint64_t session, struct str event, struct str text);

/* Writes what is pending to the file, and with `sync` to the disk. */
enum err ledger_flush(struct ledger *l, bool sync);

/* The session's id as the records show it. */
void ledger_session_text(uint64_t session, char out[LEDGER_SESSION_TEXT_BYTES]);

#endif
