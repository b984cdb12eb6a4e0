#include "control/search_live.h"

#include <stdlib.h>

#include "control/search.h"
#include "fiber/fiber.h"

/* What a helper thread needs: nothing that the process shares. */
struct question {
    char *directory;
    uint64_t session;
    unsigned n;
    struct buf *out;
    enum err e;
};

static void
look_on_thread(void *arg)
{
    struct question *q = arg;

    q->e = search_recent(q->directory, q->session, 0, q->n, q->out);
}

enum err
search_live_recent(struct control *c, uint64_t session, size_t max, struct buf *json)
{
    struct str directory = c->config->ledger_directory;
    struct question q = {.directory = strndup(directory.ptr, directory.len),
                         .session = session,
                         .n = (unsigned)(max < SEARCH_RECENT_MAX ? max : SEARCH_RECENT_MAX),
                         .out = json};
    enum err e;

    if (q.directory == NULL)
        return fail(ERR_NOMEM, "no memory for the last commands of a session");
    e = fiber_offload(look_on_thread, &q);
    free(q.directory);
    return e != OK ? e : q.e;
}
