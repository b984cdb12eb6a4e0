/* cli/explain_lineage.h - the catalog that `bulkhead explain` judges by, and lineage for people. */
#ifndef CLI_EXPLAIN_LINEAGE_H
#define CLI_EXPLAIN_LINEAGE_H

#include "config/config.h"
#include "sql/lineage.h"

struct explain_catalog {
    struct str bytes; /* mapped */
    struct catalog catalog;
    struct shield *shield; /* NULL: there is none */
    struct str *schemas;
    struct sql_context context;
};

/* From `file`, or with NULL from the gateway that runs with this configuration. `search_path` is a
 * list apart by commas; NULL: public. ERR_UNAVAILABLE, ERR_IO, ERR_PROTOCOL, ERR_NOMEM. */
enum err explain_catalog_open(struct explain_catalog *c, const char *file, const char *config,
                              const struct config_resource *resource, struct str database,
                              const char *search_path, struct arena *arena);
void explain_catalog_close(struct explain_catalog *c);

/* What each statement's columns show, and what they come from. */
void explain_print_lineage(const struct sql_lineage *l);

#endif
