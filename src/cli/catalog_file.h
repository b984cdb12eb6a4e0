/* cli/catalog_file.h - a database's catalog: from a running gateway, or as it was saved. */
#ifndef CLI_CATALOG_FILE_H
#define CLI_CATALOG_FILE_H

#include "cli/admin_client.h"
#include "sql/catalog.h"

struct catalog_file {
    struct str bytes; /* mapped, to read only */
    struct catalog catalog;
};

/* Asks the gateway that runs with this configuration, which reads the catalog now; `line` as of
 * admin_client_ask(). What went wrong was said on standard error. ERR_UNAVAILABLE: there is no
 * gateway, or it cannot read it; ERR_PROTOCOL, ERR_IO. */
enum err catalog_file_ask(struct catalog_file *f, const char *config, struct str resource,
                          struct str database, void (*line)(struct str text, void *arg));

/* ERR_IO; ERR_PROTOCOL: it is no catalog, or not of this version. */
enum err catalog_file_read(struct catalog_file *f, const char *path);

/* Writes it to a file that only its owner may read: names and definitions are not for everybody.
 * ERR_IO. */
enum err catalog_file_write(const struct catalog_file *f, const char *path);

/* What was never opened may be closed if it is all zero. */
void catalog_file_close(struct catalog_file *f);

#endif
