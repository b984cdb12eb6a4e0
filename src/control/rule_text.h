/* control/rule_text.h - a rule of the policy as YAML, as an author would write it: for people who
 * decide under it. Pure. */
#ifndef CONTROL_RULE_TEXT_H
#define CONTROL_RULE_TEXT_H

#include "base/buf.h"
#include "policy/rule.h"

void rule_text_put(const struct policy_rule *rule, struct buf *out);

#endif
