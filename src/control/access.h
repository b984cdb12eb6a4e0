/* control/access.h - access for a time: asked for by a person or an agent, approved by humans as
 * any request (control/approvals.h decides it), and then a grant that the keeper asks about when a
 * session is opened under a rule that says `on: connect` and `step_up`.
 *
 * A grant is for one identity (issuer and subject) on one resource by one rule. Asked for with a
 * token that itself acts for somebody (a chain of several), it serves that chain only; asked for by
 * a principal itself, it serves it and whoever acts for it. */
#ifndef CONTROL_ACCESS_H
#define CONTROL_ACCESS_H

#include "control/approvals.h"

enum {
    ACCESS_SECONDS_MIN = 60,
    ACCESS_WAIT_SECONDS = 24 * 3600, /* a request for access waits so long at most */
};

struct access_ask {
    const struct approver *who; /* asks, for itself */
    struct str resource;
    struct str rule; /* empty: the first rule of the configuration that may ask for it */
    uint64_t seconds;
    struct str reason; /* required */
};

/* Asks. An identical pending one of the same identity is returned instead. `*out` lives in `arena`.
 * ERR_NOT_FOUND (no such resource, or no rule asks for access there), ERR_INVALID (no reason, too
 * long: the rule's valid_for is the most), ERR_LIMIT, ERR_UNAVAILABLE. */
enum err access_request(struct approvals *a, const struct access_ask *ask, struct arena *arena,
                        struct request *out);

/* The keeper's question. OK: `*out` is the grant (the one that lasts longest). ERR_DENIED: there is
 * none; err_text() tells the client how to ask. ERR_UNAVAILABLE: closed. */
enum err access_lookup(struct approvals *a, struct str issuer, struct str subject,
                       struct str_list chain, struct str resource, struct str rule,
                       struct arena *arena, struct grant *out);

/* Revokes; hooks.access_ended() is called after. Who may is the caller's to check (admins, and the
 * grant's own identity). ERR_NOT_FOUND, ERR_EXISTS (over already), ERR_INVALID (no reason),
 * ERR_UNAVAILABLE (ledger or store: nothing was done). */
enum err access_revoke(struct approvals *a, struct str id, const struct approver *by,
                       struct str reason, struct arena *arena, struct grant *out);

/* The rule that would ask for access of this person on the resource: `on: connect`, step_up, its
 * conditions on who, resource, protocol and labels hold (claims, sources and times are not known
 * here and count as held). NULL: none. */
const struct policy_rule *access_find_rule(const struct config *config, const struct person *who,
                                           const struct config_resource *resource);

#endif
