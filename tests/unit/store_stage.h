/* A store to test with: a SQLite file, or a schema of a PostgreSQL server that is started here, on
 * a Unix socket in a temporary folder. */
#ifndef STORE_STAGE_H
#define STORE_STAGE_H

#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/migrations.h"
#include "store/store.h"

#define STAGE_BIN "/usr/lib/postgresql/15/bin/"

struct stage {
    enum db_kind kind;
    char folder[64];
    pid_t server;
    unsigned n; /* of the store in use */
    char where[512];
    struct db *db;
};

/* OK, or the test fails with the reason. */
static inline void
stage_must(enum err e)
{
    if (e != OK)
        print_error("%s\n", err_text());
    assert_int_equal(e, OK);
}

static inline void
stage_pause(void)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

    (void)nanosleep(&pause, NULL);
}

/* PostgreSQL refuses to run as root. */
static inline void
stage_become_postgres(void)
{
    const struct passwd *postgres = getpwnam("postgres");

    if (geteuid() != 0)
        return;
    if (postgres == NULL || setgid(postgres->pw_gid) != 0 || setuid(postgres->pw_uid) != 0)
        _exit(126);
}

static inline pid_t
stage_spawn(const char *const argv[])
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    stage_become_postgres();
    (void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
    int null = open("/dev/null", O_RDWR);

    if (null < 0 || chdir("/") != 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
        _exit(126);
    (void)execv(argv[0], (char *const *)argv);
    _exit(127);
}

static inline void
stage_sql(const char *where, const char *sql)
{
    PGconn *link = PQconnectdb(where);
    PGresult *result = PQexec(link, sql);

    bool done = PQresultStatus(result) == PGRES_COMMAND_OK ||
                PQresultStatus(result) == PGRES_TUPLES_OK;

    if (!done)
        print_error("%s: %s\n", sql, PQerrorMessage(link));
    assert_true(done);
    PQclear(result);
    PQfinish(link);
}

static inline void
stage_start_postgres(struct stage *s)
{
    char data[96], ping[160];
    const char *const initdb[] = {
        STAGE_BIN "initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8",
        "--locale",         "C.UTF-8",   "-D", data,    NULL};
    const char *const server[] = {STAGE_BIN "postgres",
                                  "-D",
                                  data,
                                  "-k",
                                  s->folder,
                                  "-c",
                                  "listen_addresses=",
                                  "-c",
                                  "fsync=off",
                                  "-c",
                                  "shared_buffers=16MB",
                                  NULL};
    int64_t deadline_ms = clock_monotonic_ms() + 60000;
    int status;

    (void)snprintf(data, sizeof(data), "%s/data", s->folder);
    (void)snprintf(ping, sizeof(ping), "host=%s user=postgres dbname=postgres", s->folder);
    assert_int_equal(waitpid(stage_spawn(initdb), &status, 0) > 0 ? status : -1, 0);
    s->server = stage_spawn(server);
    while (PQping(ping) != PQPING_OK) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        assert_int_equal(waitpid(s->server, &status, WNOHANG), 0);
        stage_pause();
    }
}

static inline void
stage_begin(struct stage *s, enum db_kind kind)
{
    const struct passwd *postgres = getpwnam("postgres");

    *s = (struct stage){.kind = kind, .folder = "/tmp/bh-store-XXXXXX"};
    assert_non_null(mkdtemp(s->folder));
    if (kind != DB_POSTGRESQL)
        return;
    if (geteuid() == 0) {
        assert_non_null(postgres);
        assert_int_equal(chown(s->folder, postgres->pw_uid, postgres->pw_gid), 0);
    }
    stage_start_postgres(s);
}

static inline struct db *
stage_connect_to(struct stage *s, const char *where)
{
    struct db *db = NULL;
    enum err e = s->kind == DB_SQLITE
                     ? db_open_sqlite(str_from(where), &db)
                     : db_open_postgresql(str_from(where), (struct str){"", 0}, &db);

    stage_must(e);
    return db;
}

static inline struct db *
stage_connect(struct stage *s)
{
    return stage_connect_to(s, s->where);
}

/* An empty store, migrated; the last one's connection is closed. */
static inline struct db *
stage_fresh(struct stage *s)
{
    char sql[64];

    db_close(s->db);
    s->n++;
    if (s->kind == DB_SQLITE) {
        (void)snprintf(s->where, sizeof(s->where), "%s/%u.db", s->folder, s->n);
    } else {
        (void)snprintf(s->where, sizeof(s->where), "host=%s user=postgres dbname=postgres",
                       s->folder);
        (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA t%u", s->n);
        stage_sql(s->where, sql);
        (void)snprintf(s->where, sizeof(s->where),
                       "host=%s user=postgres dbname=postgres options=-csearch_path=t%u", s->folder,
                       s->n);
    }
    s->db = stage_connect(s);
    stage_must(migrations_run(s->db));
    return s->db;
}

static inline void
stage_end(struct stage *s)
{
    const char *const rm[] = {"/bin/rm", "-rf", s->folder, NULL};
    int status;

    db_close(s->db);
    if (s->server > 0) {
        (void)kill(s->server, SIGQUIT);
        (void)waitpid(s->server, &status, 0);
    }
    if (fork() == 0) {
        (void)execv(rm[0], (char *const *)rm);
        _exit(127);
    }
    (void)wait(&status);
}

#endif
