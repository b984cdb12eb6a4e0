/* policy/policy.h - compile → specialise → decide; pure functions, no I/O, no clock.
 *
 * The keeper compiles the rules once, specialises them to one principal on one resource, and
 * hands the residual to the session as bytes. A session only ever decides.
 *
 * What a rule means (docs/policy.md says the same for users):
 *
 * A rule *applies* to a demand if its time window holds, its classes are 0 or share one with the
 * demand's, its `databases` match the command's database, and its conditions on objects hold:
 *   - `tables` hold for OBJECT_RELATION only, `functions` for OBJECT_FUNCTION only; in a rule with
 *     both, either may hold. A rule with one of them applies to no other kind of object.
 *   - `schemas` hold for relations, functions and other objects by their schema, for
 *     OBJECT_SCHEMA by its name, and never for the kinds that have no schema.
 *   - Patterns compare bytes; the names of a demand are folded already. The first dot of a table
 *     or function pattern ends its schema.
 * A demand whose schema is empty could mean any schema. There a rule *may* apply (its name
 * matches, some schema could) or *surely* applies (its pattern accepts every schema: no schema
 * part, or `*`). With the schema given, what may apply surely does.
 *
 * A demand is *refused* by a DENY, *held* by a DEFER, STEP_UP or MODIFY that may apply, and
 * *permitted* by an ALLOW, DEFER, STEP_UP or MODIFY that surely applies: an approval stands in for
 * an allow, but only within the names it was written for. Over all demands: any refused → DENY;
 * else any not permitted → DENY without a rule; else the strongest hold; else ALLOW. A DEFER is
 * the strongest hold: what something is for is said first, and then humans are asked. Once it is
 * said (decision_context.has_purpose), a DEFER rule is an ALLOW rule.
 *
 * All STEP_UP rules that may apply to any demand hold the command, each by itself: nobody gets
 * easier approvers by adding a demand, or by what else the same demand is. They are listed in the
 * order of the configuration, and the approvals are sought one after the other. Rules that want the
 * very same of humans (an equal `struct step_up`) count as one, the first. More than
 * VERDICT_STEPS_MAX are a DENY by the first that is beyond.
 *
 * What is not denied is *limited* by every rule with limits that may apply to any of its demands:
 * the smallest of each limit counts. Three of them are decided beforehand and make it a DENY by
 * the rule with that limit, an approval notwithstanding: `read_only` (a demand has another effect
 * than read or session), `require_where` (one is of class mass-write), `max_tables` (demands name
 * more relations outside pg_catalog, information_schema and pg_toast; written with and without a
 * schema they are different ones). */
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

/* What a session must know of a STEP_UP rule. Who the approvers are it does not: control looks that
 * up, by the rule's name. */
struct verdict_step {
    struct str rule;
    unsigned wait_seconds;
    unsigned wait_in_transaction_seconds;
    enum step_up_preview preview;
};

enum { VERDICT_STEPS_MAX = 8 };

struct verdict {
    enum verdict_kind kind;
    struct str rule;    /* the rule that decided; empty: no rule allows it */
    struct str message; /* the rule's own words; may be empty */
    /* The demand that was decisive, NULL if all were allowed. */
    const struct demand *demand;
    struct limits limits;      /* unless denied */
    struct record_rule record; /* unless denied: the most that a rule which may apply asks for */
    /* Of a STEP_UP: the rules whose approvers must agree, all of them, in this order. */
    const struct verdict_step *steps[VERDICT_STEPS_MAX];
    size_t n_steps;
};

/* What a decision depends on besides the rules and the command. */
struct decision_context {
    int64_t wall_us;
    bool has_purpose; /* it was said what the command is for */
};

/* The rule by which a session needs a grant of access before it may be opened. */
struct policy_connect {
    struct str rule; /* its name; borrows from the policy */
};

/* Copies what it needs. `*out` is the caller's, to be ended with policy_free().
 * ERR_LIMIT, ERR_NOMEM; ERR_INVALID (a prefix, minute or verdict out of range, a DENY
 * with limits or a record, a rule of RULE_ON_CONNECT that is not a STEP_UP). */
enum err policy_compile(const struct policy_rule *rules, size_t n, struct policy **out);
void policy_free(struct policy *p);

/* Whether opening this session at `wall_us` needs a grant of access; `*out` is then the first such
 * rule that applies, in the order of the configuration. Of a rule of RULE_ON_CONNECT only who,
 * where, from where and when count. */
bool policy_connect(const struct policy *p, const struct policy_request *request, int64_t wall_us,
                    struct policy_connect *out);

/* The rules about commands that can apply to `request`, without those that cannot.
 * `*out` is the caller's, to be ended with residual_free(). It borrows nothing. ERR_LIMIT (beyond
 * RESIDUAL_BYTES_MAX), ERR_NOMEM. */
enum err policy_specialise(const struct policy *p, const struct policy_request *request,
                           struct residual **out);

/* Appends the residual's wire form, versioned; or reads it (untrusted bytes are safe, and are
 * copied). Encoding what was decoded gives the same bytes.
 * ERR_PROTOCOL, ERR_LIMIT, ERR_NOMEM. */
enum err residual_encode(const struct residual *r, struct buf *out);
enum err residual_decode(struct str bytes, struct residual **out);
void residual_free(struct residual *r);

/* Whether any rule could allow anything: if not, the principal has no access to the resource.
 * A deny without further conditions leaves nothing. */
bool residual_allows_anything(const struct residual *r);

/* Whether no command that writes can run: a rule without further conditions says read_only for
 * every class, or none allows more than reading and one says read_only. For telling the target too.
 */
bool residual_is_read_only(const struct residual *r);

/* Decides one command, as described above. A command without demands is denied.
 * The verdict names the first rule, in the order of the configuration, of the decisive kind on
 * the decisive demand; for a STEP_UP the first of its steps, and the first demand that it holds;
 * for ALLOW the one that permits the first demand; for a DENY by a limit the
 * first of those with the smallest, holds before allows. Allocates nothing; the cost does not grow
 * with rules for other classes, objects or databases, nor with limits where there are none.
 * `verdict` borrows from `r` and `command`. */
void residual_decide(const struct residual *r, const struct command *command,
                     const struct decision_context *context, struct verdict *verdict);

/* What a STEP_UP becomes when all of its steps were agreed to: an ALLOW, with the same rule and
 * limits; and then verdict_protect() is due. */
void verdict_approve(struct verdict *verdict);

/* What column protection makes of a verdict of the rules (docs/masking.md): what they do not deny
 * is denied if the command uses a protected column as it may not, by a rule called "protect"; what
 * they allow becomes a MODIFY if something of its answer is masked. */
void verdict_protect(struct verdict *verdict, const struct command *command);

enum { RESIDUAL_DESCRIPTION_MAX = 400 };

/* Appends one line for people, at most RESIDUAL_DESCRIPTION_MAX bytes: what the rules allow here
 * at `wall_us`, such as "read on public.*; session, except drop-table". Empty if nothing. */
void residual_describe(const struct residual *r, int64_t wall_us, struct buf *out);

#endif
