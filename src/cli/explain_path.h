/* cli/explain_path.h - a search_path as an operator writes it. Pure. */
#ifndef CLI_EXPLAIN_PATH_H
#define CLI_EXPLAIN_PATH_H

#include "base/arena.h"
#include "sql/lineage.h"

/* The schemas that a server would search with search_path set to `text` (PostgreSQL documentation,
 * "Client Connection Defaults"): a list apart by commas, folded to lower case but for names in
 * double quotes; $user is the schema called `user`; pg_catalog comes first if it is not named; what
 * does not exist in `catalog` is passed over, and listed in `*missing`, "a, b". Both live in
 * `arena`. ERR_INVALID: that is no such list; ERR_NOMEM. */
enum err explain_path(struct str text, const struct catalog *catalog, struct str user,
                      struct arena *arena, struct sql_path *out, struct str *missing);

#endif
