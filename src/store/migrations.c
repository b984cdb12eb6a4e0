#include "store/migrations.h"

#include "base/clock.h"
#include "store/db_backend.h"

/* One version: statements that both kinds of database take. Never change one that was released;
 * add another. */
static const char *const version_1[] = {
    "CREATE TABLE requests ("
    " id TEXT PRIMARY KEY, kind BIGINT NOT NULL, state BIGINT NOT NULL, version BIGINT NOT NULL,"
    " node TEXT NOT NULL, waiting BIGINT NOT NULL,"
    " created_us BIGINT NOT NULL, opened_us BIGINT NOT NULL, expires_us BIGINT NOT NULL,"
    " decided_us BIGINT NOT NULL, wait_ms BIGINT NOT NULL,"
    " session TEXT NOT NULL, command BIGINT NOT NULL,"
    " issuer TEXT NOT NULL, subject TEXT NOT NULL, token_id TEXT NOT NULL, task TEXT NOT NULL,"
    " email TEXT NOT NULL, chain TEXT NOT NULL,"
    " resource TEXT NOT NULL, protocol TEXT NOT NULL, database_name TEXT NOT NULL,"
    " client TEXT NOT NULL, source TEXT NOT NULL,"
    " purpose TEXT NOT NULL, reason TEXT NOT NULL, access_seconds BIGINT NOT NULL,"
    " rule TEXT NOT NULL, rule_text TEXT NOT NULL, policy_hash TEXT NOT NULL,"
    " approver_groups TEXT NOT NULL, approver_subjects TEXT NOT NULL,"
    " break_glass_groups TEXT NOT NULL, approvals BIGINT NOT NULL, wait_seconds BIGINT NOT NULL,"
    " wait_in_transaction_seconds BIGINT NOT NULL, valid_seconds BIGINT NOT NULL,"
    " reason_required BIGINT NOT NULL, scope BIGINT NOT NULL, preview_kind BIGINT NOT NULL,"
    " command_hash TEXT NOT NULL, binding_hash TEXT NOT NULL, scope_key TEXT NOT NULL,"
    " in_transaction BIGINT NOT NULL, summary TEXT NOT NULL, risk TEXT NOT NULL,"
    " decided_by TEXT NOT NULL, decided_text TEXT NOT NULL,"
    " frame BYTEA NOT NULL, preview TEXT NOT NULL)",
    "CREATE INDEX requests_by_state ON requests (state, created_us)",
    "CREATE INDEX requests_by_time ON requests (created_us, id)",
    "CREATE INDEX requests_by_scope ON requests (scope_key, created_us)",
    "CREATE INDEX requests_by_subject ON requests (issuer, subject, rule, resource)",
    "CREATE INDEX requests_by_session ON requests (session, created_us)",

    "CREATE TABLE decisions ("
    " request TEXT NOT NULL REFERENCES requests (id) ON DELETE CASCADE,"
    " issuer TEXT NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL,"
    " verdict BIGINT NOT NULL, reason TEXT NOT NULL, channel TEXT NOT NULL,"
    " binding_hash TEXT NOT NULL, at_us BIGINT NOT NULL,"
    " PRIMARY KEY (request, issuer, subject))",

    "CREATE TABLE grants ("
    " id TEXT PRIMARY KEY, kind BIGINT NOT NULL,"
    " request TEXT NOT NULL, scope_key TEXT NOT NULL, session TEXT NOT NULL,"
    " issuer TEXT NOT NULL, subject TEXT NOT NULL, chain TEXT NOT NULL,"
    " resource TEXT NOT NULL, rule TEXT NOT NULL, policy_hash TEXT NOT NULL,"
    " granted_by TEXT NOT NULL, reason TEXT NOT NULL,"
    " created_us BIGINT NOT NULL, expires_us BIGINT NOT NULL, revoked_us BIGINT NOT NULL,"
    " revoked_by TEXT NOT NULL, revoked_reason TEXT NOT NULL)",
    "CREATE UNIQUE INDEX grants_by_request ON grants (request, created_us)",
    "CREATE INDEX grants_by_scope ON grants (scope_key, expires_us)",
    "CREATE INDEX grants_by_subject ON grants (subject, resource, kind)",
    "CREATE INDEX grants_by_time ON grants (created_us)",
    "CREATE INDEX grants_by_end ON grants (expires_us)",

    "CREATE TABLE people ("
    " issuer TEXT NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL,"
    " groups TEXT NOT NULL, seen_us BIGINT NOT NULL,"
    " PRIMARY KEY (issuer, subject))",
    "CREATE INDEX people_by_subject ON people (subject)",

    "CREATE TABLE logins ("
    " cookie_hash TEXT PRIMARY KEY, csrf TEXT NOT NULL,"
    " issuer TEXT NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL,"
    " groups TEXT NOT NULL, chain TEXT NOT NULL, token_id TEXT NOT NULL,"
    " created_us BIGINT NOT NULL, expires_us BIGINT NOT NULL,"
    " FOREIGN KEY (issuer, subject) REFERENCES people (issuer, subject) ON DELETE CASCADE)",
    "CREATE INDEX logins_by_person ON logins (issuer, subject, created_us)",
    "CREATE INDEX logins_by_end ON logins (expires_us)",

    "CREATE TABLE outbox ("
    " id TEXT PRIMARY KEY, channel TEXT NOT NULL, event TEXT NOT NULL, request TEXT NOT NULL,"
    " payload TEXT NOT NULL, error TEXT NOT NULL, attempts BIGINT NOT NULL, state BIGINT NOT NULL,"
    " created_us BIGINT NOT NULL, next_us BIGINT NOT NULL, ended_us BIGINT NOT NULL,"
    " UNIQUE (channel, event, request))",
    "CREATE INDEX outbox_by_next ON outbox (state, next_us)",

    "CREATE TABLE sessions ("
    " session TEXT PRIMARY KEY, node TEXT NOT NULL,"
    " issuer TEXT NOT NULL, subject TEXT NOT NULL, token_id TEXT NOT NULL, task TEXT NOT NULL,"
    " chain TEXT NOT NULL, groups TEXT NOT NULL,"
    " resource TEXT NOT NULL, protocol TEXT NOT NULL, database_name TEXT NOT NULL,"
    " client TEXT NOT NULL, source TEXT NOT NULL, access TEXT NOT NULL,"
    " opened_us BIGINT NOT NULL, closed_us BIGINT NOT NULL, expires_us BIGINT NOT NULL,"
    " end_reason TEXT NOT NULL,"
    " commands BIGINT NOT NULL, refused BIGINT NOT NULL, delivered BIGINT NOT NULL)",
    "CREATE INDEX sessions_by_time ON sessions (opened_us, session)",
    "CREATE INDEX sessions_by_end ON sessions (closed_us, opened_us)",
    "CREATE INDEX sessions_by_access ON sessions (access, closed_us)",

    "CREATE TABLE recordings ("
    " session TEXT NOT NULL, path TEXT NOT NULL, bytes BIGINT NOT NULL, chunks BIGINT NOT NULL,"
    " delivered BIGINT NOT NULL, started_us BIGINT NOT NULL, ended_us BIGINT NOT NULL,"
    " retain_until_us BIGINT NOT NULL, legal_hold BIGINT NOT NULL, uploaded_us BIGINT NOT NULL,"
    " is_local BIGINT NOT NULL,"
    " PRIMARY KEY (session, path))",
    "CREATE INDEX recordings_by_end ON recordings (retain_until_us)",
    "CREATE INDEX recordings_by_upload ON recordings (uploaded_us, ended_us)",

    "CREATE TABLE one_use ("
    " kind TEXT NOT NULL, id TEXT NOT NULL, expires_us BIGINT NOT NULL,"
    " PRIMARY KEY (kind, id))",
    "CREATE INDEX one_use_by_end ON one_use (expires_us)",
    NULL,
};

static const char *const *const versions[] = {version_1};

unsigned
migrations_version(void)
{
    return sizeof(versions) / sizeof(*versions);
}

static enum err
version_row(void *arg, const struct db_row *row)
{
    int64_t *version = arg;

    *version = db_row_int(row, 0);
    return OK;
}

static enum err
read_version(struct db *db, int64_t *version)
{
    *version = 0;
    return db_exec(db, "SELECT COALESCE(MAX(version), 0) FROM schema_version", NULL, 0, version_row,
                   version, NULL);
}

/* One step; nothing to do if another process was faster. */
static enum err
step(struct db *db, int64_t from)
{
    const char *const *statement = versions[from];
    int64_t now;
    enum err e;

    if ((e = read_version(db, &now)) != OK || now != from)
        return e;
    for (; *statement != NULL; statement++)
        if ((e = db_exec_once(db, *statement)) != OK)
            return e;
    return db_exec(db, "INSERT INTO schema_version (version, at_us) VALUES ($1, $2)",
                   DB_PARAMS(db_int(from + 1), db_int(clock_wall_us())), NULL, NULL, NULL);
}

static enum err
first_table(struct db *db)
{
    return db_exec_once(db, "CREATE TABLE IF NOT EXISTS schema_version"
                            " (version BIGINT PRIMARY KEY, at_us BIGINT NOT NULL)");
}

static enum err
alone(struct db *db, enum err (*fn)(struct db *db, int64_t arg), int64_t arg)
{
    enum err e = db_begin_alone(db);

    if (e != OK)
        return e;
    if ((e = fn(db, arg)) != OK) {
        db_rollback(db);
        return e;
    }
    return db_commit(db);
}

static enum err
begin_with(struct db *db, int64_t unused)
{
    (void)unused;
    return first_table(db);
}

enum err
migrations_run(struct db *db)
{
    int64_t last = (int64_t)migrations_version();
    int64_t version;
    enum err e;

    if ((e = alone(db, begin_with, 0)) != OK)
        return e;
    for (;;) {
        if ((e = read_version(db, &version)) != OK)
            return e;
        if (version > last)
            return fail(ERR_UNSUPPORTED,
                        "the store is of version %lld, and this program knows versions up to %lld; "
                        "it was used by a newer one: install that, or restore a backup",
                        (long long)version, (long long)last);
        if (version == last)
            return OK;
        if ((e = alone(db, step, version)) != OK)
            return e;
    }
}
