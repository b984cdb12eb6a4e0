/* control/search_walk.h - what the parts of control/search.h share. */
#ifndef CONTROL_SEARCH_WALK_H
#define CONTROL_SEARCH_WALK_H

#include "control/search.h"
#include "ledger/walk.h"

/* How long something may go on. */
struct search_budget {
    int64_t until_us;
    search_stop *stop;
    unsigned lines;
    size_t bytes;
    bool spent, canceled;
};
struct search_budget search_budget(int64_t ms, search_stop *stop);

/* Whether it is time to end; `bytes` were looked at since the last call. Looks at the clock now and
 * then only. */
bool search_spent(struct search_budget *b, size_t bytes);

/* The record of a line, the caller's; NULL: it is damaged. */
json_t *search_parse(struct str text, const struct line *line);

enum search_match { SEARCH_OTHER, SEARCH_WANTED, SEARCH_DAMAGED };
enum search_match search_match(const struct ledger_filter *filter, struct str text,
                               const struct line *line);

#endif
