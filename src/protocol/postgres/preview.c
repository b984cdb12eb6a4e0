#include "protocol/postgres/preview.h"

enum err
pgpreview(struct pgsession *s, const struct command *command, enum step_up_preview kind,
          struct buf *json)
{
    (void)s, (void)command, (void)kind, (void)json;
    return fail(ERR_UNSUPPORTED, "no preview");
}
