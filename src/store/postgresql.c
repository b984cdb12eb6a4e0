/* libpq, but never its blocking calls after connecting: a server that stopped answering must not
 * stop control for longer than DB_WAIT_MS. */
#include <endian.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/db_backend.h"

enum {
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_TEXT = 25,
    SERVER_MIN = 140000,
    GRACE_MS = 500, /* beyond the server's own statement_timeout */
    REST_MS = 500,  /* after a failed attempt to connect, calls fail at once */
    XID_MAX = 24,
    MIGRATION_LOCK = 0x62756c6b, /* any number; the same in every program that shares the store */
};

struct kept {
    const char *sql;
    unsigned generation; /* of the connection that has it prepared */
};

struct postgresql {
    struct db db;
    char *connection, *password;
    PGconn *link; /* NULL: not connected */
    unsigned generation;
    int64_t rest_until_ms;
    struct kept kept[DB_STATEMENTS_MAX];
    size_t n_kept;
};

static void
disconnect(struct postgresql *p)
{
    PQfinish(p->link);
    p->link = NULL;
}

/* libpq's texts end with a line break and may have several lines. */
static enum err
failed_text(enum err code, const char *doing, const char *text)
{
    struct str line;

    (void)str_cut(str_trim(str_from(text)), '\n', &line);
    return fail(code, "store: %s: %.*s", doing, STR_ARG(line));
}

static enum err
lost(struct postgresql *p, const char *doing)
{
    enum err e = failed_text(ERR_UNAVAILABLE, doing, PQerrorMessage(p->link));

    disconnect(p);
    return e;
}

/* --- one exchange with the server ----------------------------------------------------------- */

static bool
wait_socket(struct postgresql *p, short events, int64_t deadline_ms)
{
    struct pollfd fd = {.fd = PQsocket(p->link), .events = events};

    for (;;) {
        int64_t left = deadline_ms - clock_monotonic_ms();
        int n = left <= 0 ? 0 : poll(&fd, 1, (int)left);

        if (n > 0)
            return true;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

static enum err
flush(struct postgresql *p, int64_t deadline_ms)
{
    int n;

    while ((n = PQflush(p->link)) > 0) {
        if (!wait_socket(p, POLLIN | POLLOUT, deadline_ms)) {
            disconnect(p);
            return fail(ERR_UNAVAILABLE, "store: PostgreSQL takes nothing");
        }
        if (PQconsumeInput(p->link) == 0)
            return lost(p, "PostgreSQL");
    }
    return n == 0 ? OK : lost(p, "PostgreSQL");
}

/* The last result of what was sent; NULL and an error if the connection is no more. */
static enum err
receive(struct postgresql *p, PGresult **out)
{
    int64_t deadline_ms = clock_monotonic_ms() + DB_WAIT_MS + GRACE_MS;
    PGresult *result = NULL, *next;
    enum err e = flush(p, deadline_ms);

    while (e == OK) {
        while (e == OK && PQisBusy(p->link)) {
            if (!wait_socket(p, POLLIN, deadline_ms)) {
                disconnect(p);
                e = fail(ERR_UNAVAILABLE, "store: PostgreSQL does not answer");
            } else if (PQconsumeInput(p->link) == 0) {
                e = lost(p, "PostgreSQL");
            }
        }
        if (e != OK || (next = PQgetResult(p->link)) == NULL)
            break;
        PQclear(result);
        result = next;
    }
    if (e == OK && result == NULL)
        e = lost(p, "PostgreSQL");
    if (e != OK) {
        PQclear(result);
        result = NULL;
    }
    *out = result;
    return e;
}

static enum err
error_code(const char *state)
{
    static const struct {
        const char *prefix;
        enum err code;
    } codes[] = {
        {"23505", ERR_EXISTS},      {"23", ERR_INVALID},        {"22", ERR_INVALID},
        {"57014", ERR_TIMEOUT},     {"55P03", ERR_TIMEOUT},     {"40", ERR_TIMEOUT},
        {"08", ERR_UNAVAILABLE},    {"57P", ERR_UNAVAILABLE},   {"53", ERR_UNAVAILABLE},
        {"25006", ERR_UNAVAILABLE}, {"25P03", ERR_UNAVAILABLE}, {"26", ERR_UNAVAILABLE},
    };

    for (size_t i = 0; state != NULL && i < sizeof(codes) / sizeof(*codes); i++)
        if (strncmp(state, codes[i].prefix, strlen(codes[i].prefix)) == 0)
            return codes[i].code;
    return state == NULL ? ERR_UNAVAILABLE : ERR_IO;
}

/* Judges a result, which is freed unless OK. A connection that is of no more use (a server going
 * down, one that became read-only, statements that are gone) is ended. */
static enum err
judge(struct postgresql *p, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    const char *text;
    enum err e;

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return OK;
    text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    e = error_code(PQresultErrorField(result, PG_DIAG_SQLSTATE));
    if (e == ERR_TIMEOUT)
        e = fail(e, "store: PostgreSQL took too long, or others hold a lock");
    else
        e = failed_text(e, "PostgreSQL", text != NULL ? text : PQresultErrorMessage(result));
    PQclear(result);
    if (e == ERR_UNAVAILABLE)
        disconnect(p);
    return e;
}

/* A text without parameters. `*out` (may be NULL) is the caller's to clear. */
static enum err
simple(struct postgresql *p, const char *sql, PGresult **out)
{
    PGresult *result = NULL;
    enum err e;

    if (PQsendQuery(p->link, sql) == 0)
        return lost(p, "PostgreSQL");
    if ((e = receive(p, &result)) != OK || (e = judge(p, result)) != OK)
        return e;
    if (out != NULL)
        *out = result;
    else
        PQclear(result);
    return OK;
}

/* --- connecting ----------------------------------------------------------------------------- */

static void
no_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

/* Later words win over earlier ones; `dbname` stands for all of the configured string. */
static PGconn *
start_connection(struct postgresql *p)
{
    const char *keys[] = {"target_session_attrs",
                          "dbname",
                          "connect_timeout",
                          "keepalives_idle",
                          "keepalives_interval",
                          "keepalives_count",
                          "tcp_user_timeout",
                          "client_encoding",
                          "application_name",
                          p->password == NULL ? NULL : "password",
                          NULL};
    const char *values[] = {"read-write", p->connection, "2",        "5",         "2", "2",
                            "2000",       "UTF8",        "bulkhead", p->password, NULL};

    return PQconnectdbParams(keys, values, 1);
}

static enum err
set_up(struct postgresql *p)
{
    static const char settings[] =
        "SELECT set_config('statement_timeout', '2000', false), "
        "set_config('lock_timeout', '2000', false), "
        "set_config('idle_in_transaction_session_timeout', '10000', false), "
        "set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN "
        "('off', 'local') THEN 'on' ELSE current_setting('synchronous_commit') END, false)";

    if (PQserverVersion(p->link) < SERVER_MIN) {
        disconnect(p);
        return fail(ERR_UNSUPPORTED, "store: PostgreSQL is older than version 14");
    }
    (void)PQsetNoticeReceiver(p->link, no_notice, NULL);
    if (PQsetnonblocking(p->link, 1) != 0)
        return lost(p, "PostgreSQL");
    return simple(p, settings, NULL);
}

static enum err
connect_now(struct postgresql *p)
{
    enum err e;

    if (clock_monotonic_ms() < p->rest_until_ms)
        return fail(ERR_UNAVAILABLE, "store: PostgreSQL cannot be reached");
    p->generation++;
    if ((p->link = start_connection(p)) == NULL)
        return fail(ERR_NOMEM, "no memory");
    if (PQstatus(p->link) != CONNECTION_OK)
        e = lost(p, "cannot connect to PostgreSQL");
    else
        e = set_up(p);
    if (e != OK && p->link != NULL)
        disconnect(p);
    if (e != OK)
        p->rest_until_ms = clock_monotonic_ms() + REST_MS;
    return e;
}

/* Connected, as far as can be told without asking: a server that went away says so by closing. */
static enum err
be_connected(struct postgresql *p)
{
    if (p->link != NULL && PQconsumeInput(p->link) != 0 && PQstatus(p->link) == CONNECTION_OK)
        return OK;
    if (p->link != NULL)
        disconnect(p);
    return connect_now(p);
}

/* --- statements ----------------------------------------------------------------------------- */

struct wire_params {
    Oid types[DB_PARAMS_MAX];
    const char *values[DB_PARAMS_MAX];
    int lengths[DB_PARAMS_MAX];
    int formats[DB_PARAMS_MAX];
    char numbers[DB_PARAMS_MAX][24];
};

static enum err
to_wire(const struct db_param *params, size_t n, struct wire_params *w, struct buf *texts)
{
    size_t all = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        all += params[i].type == DB_TEXT ? params[i].bytes.len + 1 : 0;
    if (buf_reserve(texts, all) != OK) /* once, so that pointers into it stay */
        return fail(ERR_NOMEM, "no memory");
    for (size_t i = 0; i < n; i++) {
        struct str bytes = params[i].bytes;

        switch (params[i].type) {
        case DB_INT:
            w->types[i] = OID_INT8;
            (void)snprintf(w->numbers[i], sizeof(w->numbers[i]), "%lld",
                           (long long)params[i].number);
            w->values[i] = w->numbers[i];
            break;
        case DB_TEXT:
            w->types[i] = OID_TEXT;
            buf_put_str(texts, bytes);
            buf_put_u8(texts, 0);
            w->values[i] = texts->ptr + at;
            at = texts->len;
            break;
        case DB_BLOB:
            w->types[i] = OID_BYTEA;
            w->formats[i] = 1;
            w->values[i] = bytes.len == 0 ? "" : bytes.ptr;
            w->lengths[i] = (int)bytes.len;
            break;
        default:
            break;
        }
    }
    return OK;
}

/* The name under which the statement is prepared on this connection; prepares it if it is not. */
static enum err
prepare(struct postgresql *p, const char *sql, const struct wire_params *w, size_t n, char name[16])
{
    PGresult *result = NULL;
    size_t at = 0;
    enum err e;

    while (at < p->n_kept && p->kept[at].sql != sql)
        at++;
    if (at == DB_STATEMENTS_MAX)
        return fail(ERR_LIMIT, "store: more than %d statements", DB_STATEMENTS_MAX);
    if (at == p->n_kept)
        p->kept[p->n_kept++] = (struct kept){.sql = sql};
    (void)snprintf(name, 16, "s%zu", at);
    if (p->kept[at].generation == p->generation)
        return OK;
    if (PQsendPrepare(p->link, name, sql, (int)n, w->types) == 0)
        return lost(p, "PostgreSQL");
    if ((e = receive(p, &result)) != OK || (e = judge(p, result)) != OK)
        return e;
    PQclear(result);
    p->kept[at].generation = p->generation;
    return OK;
}

static enum err
send_and_receive(struct postgresql *p, const char *sql, bool keep, const struct wire_params *w,
                 size_t n, PGresult **out)
{
    char name[16];
    int sent;
    enum err e;

    if (keep && (e = prepare(p, sql, w, n, name)) != OK)
        return e;
    if (keep)
        sent = PQsendQueryPrepared(p->link, name, (int)n, w->values, w->lengths, w->formats, 1);
    else
        sent =
            PQsendQueryParams(p->link, sql, (int)n, w->types, w->values, w->lengths, w->formats, 1);
    if (sent == 0)
        return lost(p, "PostgreSQL");
    if ((e = receive(p, out)) != OK)
        return e;
    return judge(p, *out);
}

static enum err
give_rows(struct postgresql *p, PGresult *result, db_row_fn row, void *arg)
{
    int n = PQntuples(result);
    enum err e = OK;

    for (int i = 0; row != NULL && e == OK && i < n; i++)
        e = row(arg, &(struct db_row){.db = &p->db, .answer = result, .number = i});
    return e;
}

static uint64_t
count_changed(PGresult *result)
{
    return strtoull(PQcmdTuples(result), NULL, 10);
}

/* Only reads are repeated by themselves: of anything else it is not known whether it was done. */
static bool
may_repeat(const struct db *db, const char *sql)
{
    return !db->in_transaction && strncmp(sql, "SELECT", 6) == 0;
}

static enum err
postgresql_exec(struct db *db, const char *sql, bool keep, const struct db_param *params, size_t n,
                db_row_fn row, void *arg, uint64_t *changed)
{
    struct postgresql *p = (struct postgresql *)db;
    struct wire_params w = {0};
    struct buf texts = buf_make((size_t)DB_VALUE_MAX * 2);
    PGresult *result = NULL;
    enum err e = to_wire(params, n, &w, &texts);

    if (e == OK && db->in_transaction && p->link == NULL)
        e = fail(ERR_UNAVAILABLE, "store: the connection to PostgreSQL broke");
    if (e == OK && !db->in_transaction)
        e = be_connected(p);
    if (e == OK)
        e = send_and_receive(p, sql, keep, &w, n, &result);
    if (e == ERR_UNAVAILABLE && may_repeat(db, sql) && connect_now(p) == OK)
        e = send_and_receive(p, sql, keep, &w, n, &result);
    buf_free(&texts);
    if (e != OK)
        return e;
    if (changed != NULL)
        *changed = count_changed(result);
    e = give_rows(p, result, row, arg);
    PQclear(result);
    return e;
}

/* --- transactions --------------------------------------------------------------------------- */

static enum err
postgresql_begin(struct db *db, bool alone)
{
    struct postgresql *p = (struct postgresql *)db;
    char lock[64];
    enum err e = be_connected(p);

    if (e == OK && (e = simple(p, "BEGIN ISOLATION LEVEL READ COMMITTED", NULL)) == ERR_UNAVAILABLE)
        if ((e = connect_now(p)) == OK)
            e = simple(p, "BEGIN ISOLATION LEVEL READ COMMITTED", NULL);
    if (e != OK || !alone)
        return e;
    (void)snprintf(lock, sizeof(lock), "SELECT pg_advisory_xact_lock(%d)", MIGRATION_LOCK);
    if ((e = simple(p, lock, NULL)) != OK && p->link != NULL)
        disconnect(p);
    return e;
}

static void
postgresql_rollback(struct db *db)
{
    struct postgresql *p = (struct postgresql *)db;
    struct err_slot slot = {0}, *mine;

    if (p->link == NULL)
        return;
    mine = err_slot_switch(&slot); /* the reason for going back is not to be lost */
    if (simple(p, "ROLLBACK", NULL) != OK && p->link != NULL)
        disconnect(p);
    (void)err_slot_switch(mine);
}

/* The transaction's number, by which it can be asked about later; empty if it wrote nothing. */
static enum err
read_xid(struct postgresql *p, char xid[XID_MAX])
{
    PGresult *result = NULL;
    enum err e = simple(p, "SELECT pg_current_xact_id_if_assigned()::text", &result);

    if (e != OK)
        return e;
    (void)snprintf(xid, XID_MAX, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return OK;
}

static enum err
read_fate(struct postgresql *p, const char *xid, char fate[16])
{
    char sql[96];
    PGresult *result = NULL;
    enum err e = be_connected(p);

    (void)snprintf(sql, sizeof(sql), "SELECT pg_xact_status('%s'::xid8)", xid);
    if (e != OK || (e = simple(p, sql, &result)) != OK)
        return e;
    (void)snprintf(fate, 16, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return OK;
}

/* The connection broke while committing. Whether it was done is known to the server. */
static enum err
learn_fate(struct postgresql *p, const char *xid)
{
    int64_t deadline_ms = clock_monotonic_ms() + DB_WAIT_MS;
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    char fate[16] = "";

    if (xid[0] == '\0')
        return OK;
    do {
        if (read_fate(p, xid, fate) == OK && strcmp(fate, "committed") == 0)
            return OK;
        if (strcmp(fate, "aborted") == 0)
            return fail(ERR_UNAVAILABLE, "store: the connection to PostgreSQL broke; nothing was "
                                         "changed");
        (void)nanosleep(&pause, NULL);
    } while (clock_monotonic_ms() < deadline_ms);
    return fail(ERR_CANCELED, "store: the connection to PostgreSQL broke while it committed; it is "
                              "not known whether that was done");
}

static enum err
postgresql_commit(struct db *db)
{
    struct postgresql *p = (struct postgresql *)db;
    char xid[XID_MAX] = "";
    PGresult *result = NULL;
    bool done;
    enum err e;

    if (p->link == NULL)
        return fail(ERR_UNAVAILABLE, "store: the connection to PostgreSQL broke");
    if ((e = read_xid(p, xid)) != OK) {
        if (p->link != NULL)
            disconnect(p);
        return e;
    }
    if ((e = simple(p, "COMMIT", &result)) == ERR_UNAVAILABLE)
        return learn_fate(p, xid);
    if (e != OK) {
        if (p->link != NULL)
            disconnect(p);
        return e;
    }
    done = strcmp(PQcmdStatus(result), "COMMIT") == 0;
    PQclear(result);
    return done ? OK : fail(ERR_IO, "store: PostgreSQL rolled the transaction back");
}

static void
postgresql_close(struct db *db)
{
    struct postgresql *p = (struct postgresql *)db;

    disconnect(p);
    if (p->password != NULL)
        explicit_bzero(p->password, strlen(p->password));
    free(p->password);
    free(p->connection);
    free(p);
}

/* --- rows: in binary, so that bytes need no unescaping -------------------------------------- */

static struct str
postgresql_row_bytes(const struct db_row *row, unsigned column)
{
    if (PQgetisnull(row->answer, row->number, (int)column))
        return (struct str){"", 0};
    return (struct str){PQgetvalue(row->answer, row->number, (int)column),
                        (size_t)PQgetlength(row->answer, row->number, (int)column)};
}

static int64_t
postgresql_row_int(const struct db_row *row, unsigned column)
{
    struct str s = postgresql_row_bytes(row, column);
    uint64_t wide;
    uint32_t narrow;

    switch (s.len) {
    case 8:
        memcpy(&wide, s.ptr, sizeof(wide));
        return (int64_t)be64toh(wide);
    case 4:
        memcpy(&narrow, s.ptr, sizeof(narrow));
        return (int32_t)be32toh(narrow);
    default:
        return 0;
    }
}

static const struct db_ops postgresql_ops = {
    .exec = postgresql_exec,
    .begin = postgresql_begin,
    .commit = postgresql_commit,
    .rollback = postgresql_rollback,
    .close = postgresql_close,
    .row_int = postgresql_row_int,
    .row_bytes = postgresql_row_bytes,
};

enum err
db_open_postgresql(struct str connection, struct str password, struct db **out)
{
    struct postgresql *p = calloc(1, sizeof(*p));
    enum err e;

    if (p == NULL)
        return fail(ERR_NOMEM, "no memory");
    p->db = (struct db){.ops = &postgresql_ops, .kind = DB_POSTGRESQL};
    p->connection = strndup(connection.ptr, connection.len);
    p->password = password.len == 0 ? NULL : strndup(password.ptr, password.len);
    if (p->connection == NULL || (password.len > 0 && p->password == NULL))
        e = fail(ERR_NOMEM, "no memory");
    else
        e = connect_now(p);
    if (e == OK)
        *out = &p->db;
    else
        postgresql_close(&p->db);
    return e;
}
