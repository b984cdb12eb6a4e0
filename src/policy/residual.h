/* policy/residual.h - the inside of a residual, for the files of this room and its tests.
 * A residual is its wire form plus an index over it. */
#ifndef POLICY_RESIDUAL_H
#define POLICY_RESIDUAL_H

#include "base/arena.h"
#include "policy/pattern.h"
#include "policy/policy.h"

/* What remains of a rule when who, where and from where are known to hold. */
struct residual_rule {
    enum verdict_kind verdict;
    bool keyed_by_name;     /* found by the exact names of its tables and functions */
    bool keyed_by_database; /* found by the exact names of its databases */
    bool has_limits;
    bool has_terms; /* limits, or something to be kept of the session */
    class_set classes;
    uint32_t order; /* its place in the configuration, among those of the residual */
    uint32_t step;  /* of a STEP_UP: equal for rules that want the same of the same humans */
    struct verdict_step held; /* of a STEP_UP; its `rule` is the name */
    struct str name;
    struct str message;
    struct limits limits;
    struct record_rule record;
    struct str tables_message; /* the refusal by limits.max_tables */
    const struct rule_time *times;
    size_t n_times;
    struct pattern_list databases;
    struct pattern_list schemas;
    struct object_pattern_list tables;
    struct object_pattern_list functions;
};

/* Finds rules by what they are about. Slots of ranks, ascending within each: 0 for rules about
 * every class, then one for each class, then `buckets` (0 or a power of two) for rules found by an
 * exact name. Slot s is ranks[starts[s]] up to ranks[starts[s + 1]]. */
struct residual_index {
    bool has_named, has_databases; /* rules keyed by name, by database */
    uint32_t buckets;
    const uint32_t *starts;
    const uint32_t *ranks;
};

struct residual {
    struct arena *arena;
    struct str wire;
    /* Strongest verdict first, within one the order of the configuration. A rule's place here is
     * its rank. */
    const struct residual_rule **ranked;
    uint32_t n;
    bool has_times;
    bool has_terms;
    struct residual_index all;
    struct residual_index terms; /* the rules with terms, if there are any */
};

/* The head and one rule of the wire form; the head's count is set with residual_wire_set_count()
 * when it is known. `step` is that of struct residual_rule. */
void residual_wire_begin(struct buf *out);
void residual_wire_set_count(struct buf *wire, size_t start, uint32_t count);
void residual_wire_put_rule(struct buf *out, const struct policy_rule *rule, uint32_t step);

/* Reads the rules of r->wire into r->arena, in the order of the configuration, and sets r->n.
 * ERR_PROTOCOL, ERR_LIMIT, ERR_NOMEM. */
enum err residual_wire_read(struct residual *r, struct residual_rule **out);

/* Whether one of the rule's windows holds, or it has none. */
bool residual_rule_is_in_time(const struct residual_rule *rule, struct rule_moment moment);

/* A rule that, while its window holds, applies to every command of its classes. */
static inline bool
residual_rule_is_broad(const struct residual_rule *rule)
{
    return rule->databases.n == 0 && rule->schemas.n == 0 && rule->tables.n == 0 &&
           rule->functions.n == 0;
}

/* residual_decide(); adds to `*visited` the rules that were looked at. */
void residual_decide_counting(const struct residual *r, const struct command *command,
                              const struct decision_context *context, struct verdict *verdict,
                              size_t *visited);

#endif
