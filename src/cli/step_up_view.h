/* cli/step_up_view.h - who must agree to something, for people and as JSON. */
#ifndef CLI_STEP_UP_VIEW_H
#define CLI_STEP_UP_VIEW_H

#include "base/json.h"
#include "policy/rule.h"

/* Appends "2 of groups oncall or subjects anna". */
void step_up_put_approvers(struct buf *out, const struct step_up *s);

/* Appends the rest, for a command or for opening a session: "waits 10m, 1m in a transaction; an
 * approval serves once; …". */
void step_up_put_terms(struct buf *out, const struct policy_rule *rule);

/* Writes the members of an object: the rule's name and all that it wants. */
void step_up_put_json(struct json *j, const struct policy_rule *rule);

#endif
