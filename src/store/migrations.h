/* store/migrations.h - the tables, version by version; only forward. */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include "store/db.h"

/* The version that this program's migrations lead to. */
unsigned migrations_version(void);

/* Brings the database to migrations_version(), each step in a transaction of its own, one process
 * at a time. ERR_UNSUPPORTED: the database is newer than this program (nothing is changed); what
 * db_exec() gives. */
enum err migrations_run(struct db *db);

#endif
