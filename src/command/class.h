/* command/class.h - what kinds of things a command does: the vocabulary that rules, facts and
 * records share. The table below is the only place that names a class; configuration, records
 * and docs/command-classes.md are made from it.
 *
 * An *effect* says what sort of power a command uses; every demand of a command has exactly one.
 * A *named class* is a narrower name for rules to point at; a demand may have several.
 * Allowing an effect allows every named class within it, unless another rule denies. */
#ifndef COMMAND_CLASS_H
#define COMMAND_CLASS_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* A set of classes: one bit each. */
typedef uint64_t class_set;

/* X(symbol, "name", "what it covers") */
#define COMMAND_EFFECTS(X)                                                                         \
    X(READ, "read", "Reading data: SELECT, COPY TO the client, SHOW.")                             \
    X(WRITE, "write", "Changing rows: INSERT, UPDATE, DELETE, MERGE, COPY FROM the client.")       \
    X(DDL, "ddl", "Creating, changing or dropping objects inside a database.")                     \
    X(GRANT, "grant", "Privileges, roles, ownership and row-security policies.")                   \
    X(SESSION, "session", "Transactions, cursors, prepared statements and harmless settings.")     \
    X(ADMIN, "admin", "The server itself: databases, files, settings of the server, backends.")    \
    X(CODE, "code", "Code that cannot be judged beforehand: DO, CALL, functions not known safe.")

#define COMMAND_NAMED_CLASSES(X)                                                                   \
    X(INSERT, "insert", "INSERT.")                                                                 \
    X(UPDATE, "update", "UPDATE, and ON CONFLICT DO UPDATE.")                                      \
    X(DELETE, "delete", "DELETE.")                                                                 \
    X(MERGE, "merge", "MERGE.")                                                                    \
    X(COPY_OUT, "copy-out", "COPY … TO STDOUT.")                                                   \
    X(COPY_IN, "copy-in", "COPY … FROM STDIN.")                                                    \
    X(MASS_WRITE, "mass-write",                                                                    \
      "UPDATE or DELETE without WHERE or with one that does not narrow, TRUNCATE.")                \
    X(TRUNCATE, "truncate", "TRUNCATE.")                                                           \
    X(ROW_LOCK, "row-lock", "SELECT … FOR UPDATE, SHARE and their kin: a write.")                  \
    X(TABLE_LOCK, "table-lock", "LOCK TABLE: a read in ACCESS SHARE mode, else a write.")          \
    X(CREATE, "create", "CREATE of any object, CREATE … AS and SELECT INTO included.")             \
    X(ALTER, "alter", "ALTER of any object, and COMMENT.")                                         \
    X(DROP, "drop", "DROP of any object.")                                                         \
    X(DROP_TABLE, "drop-table", "DROP TABLE.")                                                     \
    X(DROP_SCHEMA, "drop-schema", "DROP SCHEMA.")                                                  \
    X(DROP_DATABASE, "drop-database", "DROP DATABASE.")                                            \
    X(CREATE_DATABASE, "create-database", "CREATE DATABASE.")                                      \
    X(EXTENSION, "extension",                                                                      \
      "CREATE, ALTER or DROP EXTENSION; the first two also need effect code.")                     \
    X(DEFINE_CODE, "define-code",                                                                  \
      "Functions, procedures, triggers, rules, operators, casts, languages: creating or changing " \
      "one also needs effect code, for it runs later.")                                            \
    X(TEMPORARY, "temporary", "Temporary tables, views and sequences.")                            \
    X(ROLE_CHANGE, "role-change",                                                                  \
      "CREATE, ALTER or DROP ROLE, SET ROLE, SET SESSION AUTHORIZATION, REASSIGN OWNED.")          \
    X(PRIVILEGE_CHANGE, "privilege-change",                                                        \
      "GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, ALTER … OWNER TO, policies, SECURITY LABEL.")      \
    X(TRANSACTION, "transaction", "BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their kin.")             \
    X(TWO_PHASE, "two-phase",                                                                      \
      "PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED (effect admin).")                   \
    X(SET, "set", "SET, RESET and set_config() of harmless settings.")                             \
    X(CURSOR, "cursor", "DECLARE, FETCH, MOVE, CLOSE.")                                            \
    X(PREPARED, "prepared", "PREPARE, EXECUTE, DEALLOCATE.")                                       \
    X(LISTEN_NOTIFY, "listen-notify", "LISTEN, UNLISTEN, NOTIFY, pg_notify().")                    \
    X(EXPLAIN, "explain",                                                                          \
      "EXPLAIN of what is only read or planned; what ANALYZE runs counts as run.")                 \
    X(LARGE_OBJECT, "large-object",                                                                \
      "Large objects: lo_*(), loread(), lowrite(), but for lo_import() and lo_export().")          \
    X(SERVER_FILES, "server-files",                                                                \
      "Files of the server: COPY to or from a file, pg_read_file(), lo_import(), file_fdw.")       \
    X(COPY_PROGRAM, "copy-program", "COPY to or from a PROGRAM.")                                  \
    X(FOREIGN, "foreign",                                                                          \
      "Other servers: foreign servers and tables, user mappings, dblink, subscriptions.")          \
    X(DYNAMIC_SQL, "dynamic-sql",                                                                  \
      "Functions that run SQL text: query_to_xml(), ts_stat(), crosstab() and their kin.")         \
    X(ANONYMOUS_CODE, "anonymous-code", "DO.")                                                     \
    X(CALL, "call", "CALL.")                                                                       \
    X(UNKNOWN_FUNCTION, "unknown-function", "A function that is not known to be safe.")            \
    X(BACKEND_CONTROL, "backend-control",                                                          \
      "Other sessions: pg_terminate_backend(), pg_cancel_backend().")                              \
    X(SERVER_SETTINGS, "server-settings",                                                          \
      "ALTER SYSTEM, pg_reload_conf(), SET of a setting that lowers a guard.")                     \
    X(MAINTENANCE, "maintenance",                                                                  \
      "VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, REFRESH MATERIALIZED VIEW.")                 \
    X(REPLICATION, "replication", "Publications, subscriptions, replication slots and origins.")   \
    X(SECRETS, "secrets",                                                                          \
      "Catalogs that hold secrets or other sessions' data: pg_authid, pg_shadow, pg_statistic, "   \
      "pg_stats, pg_largeobject, pg_user_mappings, pg_stat_activity and their kin.")               \
    X(ADVISORY_LOCK, "advisory-lock", "pg_advisory_lock() and its kin.")                           \
    X(CATALOG_WRITE, "catalog-write", "Writing to system catalogs directly.")

enum command_class {
#define X(symbol, name, doc) CLASS_##symbol,
    COMMAND_EFFECTS(X) COMMAND_EFFECT_COUNT,
    CLASS_BEFORE_NAMED_ = COMMAND_EFFECT_COUNT - 1,
    COMMAND_NAMED_CLASSES(X) COMMAND_CLASS_COUNT
#undef X
};

_Static_assert(COMMAND_CLASS_COUNT <= 64, "a class_set has 64 bits");

#define CLASS_BIT(c)       ((class_set)1 << (c))
/* The set of one class: CLASSES(READ). */
#define CLASSES(symbol)    CLASS_BIT(CLASS_##symbol)
#define CLASS_EFFECTS_MASK (CLASS_BIT(COMMAND_EFFECT_COUNT) - 1)

struct class_info {
    const char *name;
    const char *doc;
};

/* Indexed by enum command_class. */
extern const struct class_info class_infos[COMMAND_CLASS_COUNT];

/* The class called `name`. ERR_NOT_FOUND. */
enum err class_find(struct str name, enum command_class *out);

#endif
