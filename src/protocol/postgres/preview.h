/* protocol/postgres/preview.h - what approvers are shown of a command's effect before it runs,
 * found out on the session's own connection: what the planner expects, what came of running it in a
 * transaction that is rolled back, or what depends on the objects that it defines. */
#ifndef PROTOCOL_POSTGRES_PREVIEW_H
#define PROTOCOL_POSTGRES_PREVIEW_H

#include "base/buf.h"
#include "command/command.h"
#include "policy/rule.h"

struct pgsession;

/* [waits] Appends it as a JSON object (docs/protocol-postgres.md, "What approvers see"); what
 * cannot be shown is said in its `error`. All that was asked before is answered. The transaction
 * under way stays as it is. ERR_CANCELED, ERR_NOMEM. */
enum err pgpreview(struct pgsession *s, const struct command *command, enum step_up_preview kind,
                   struct buf *json);

#endif
