/* policy/policy.h - compile → specialise → decide; pure functions, no I/O, no clock.
 *
 * The keeper compiles the rules once, specialises them to one principal on one resource, and
 * hands the residual to the session as bytes. A session only ever decides. */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "base/buf.h"
#include "command/command.h"
#include "policy/rule.h"

struct policy;   /* all rules, compiled */
struct residual; /* the rules left over for one principal on one resource */

enum {
    POLICY_RULES_MAX = 100000,
    RESIDUAL_BYTES_MAX = 16 << 20,
};

/* One claim value of a principal; an array claim gives one entry per element. */
struct claim_value {
    struct str path;
    struct str value;
};

/* Who asks, for what, from where. Borrowed for the call only. */
struct policy_request {
    struct str subject;
    struct str issuer; /* the issuer's configured name */
    struct str_list groups;
    const struct claim_value *claims;
    size_t n_claims;
    struct str resource;
    struct str protocol;
    const struct rule_label *labels; /* the resource's own: one value each */
    size_t n_labels;
    struct in6_addr source;
};

struct verdict {
    enum verdict_kind kind;
    struct str rule;    /* the rule that decided; empty: no rule allows it */
    struct str message; /* the rule's own words; may be empty */
    /* The demand that was decisive, NULL if all were allowed. */
    const struct demand *demand;
};

/* Copies what it needs. `*out` is the caller's, to be ended with policy_free().
 * ERR_LIMIT, ERR_NOMEM. */
enum err policy_compile(const struct policy_rule *rules, size_t n, struct policy **out);
void policy_free(struct policy *p);

/* The rules that can apply to `request`, without those that cannot.
 * `*out` is the caller's, to be ended with residual_free(). ERR_NOMEM. */
enum err policy_specialise(const struct policy *p, const struct policy_request *request,
                           struct residual **out);

/* Appends the residual's wire form, versioned; or reads it (untrusted bytes are safe).
 * ERR_PROTOCOL, ERR_LIMIT, ERR_NOMEM. */
enum err residual_encode(const struct residual *r, struct buf *out);
enum err residual_decode(struct str bytes, struct residual **out);
void residual_free(struct residual *r);

/* Whether any rule could allow anything: if not, the principal has no access to the resource. */
bool residual_allows_anything(const struct residual *r);

/* Decides one command at `wall_us`. An explicit deny of any demand wins, then step-up, defer,
 * modify; a command is allowed only if every demand is. A command without demands is denied.
 *
 * Names: a demand whose schema is empty could mean any schema, so a refusing rule matches it by
 * name alone, and an allowing rule only if its pattern accepts every schema. The same holds for
 * conditions on `schemas`. `verdict` borrows from `r` and `command`. */
void residual_decide(const struct residual *r, const struct command *command, int64_t wall_us,
                     struct verdict *verdict);

/* Appends one line for people: what the rules allow here at `wall_us`, such as
 * "read on public.*; session". Empty if nothing. */
void residual_describe(const struct residual *r, int64_t wall_us, struct buf *out);

#endif
