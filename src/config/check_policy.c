/* Policies: names that must exist, and rules that can never fire. */
#include "config/check.h"

#include "base/table.h"

/* Comparing every allow with every deny stops being worth it beyond this much work. */
enum { COMPARISONS_MAX = 20 * 1000 * 1000 };

/* The longest access that may be asked for, where a policy does not say. */
enum { CONNECT_VALID_SECONDS = 8 * 3600 };

static bool
any_matches(struct str_list patterns, struct str value)
{
    for (size_t i = 0; i < patterns.n; i++)
        if (str_glob(patterns.items[i], value))
            return true;
    return false;
}

static bool
contains(struct str_list list, struct str value)
{
    for (size_t i = 0; i < list.n; i++)
        if (str_equal(list.items[i], value))
            return true;
    return false;
}

static const struct rule_label *
find_label(const struct rule_label *labels, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        if (str_equal(labels[i].key, key))
            return &labels[i];
    return NULL;
}

static bool
has_label(const struct config_resource *resource, const struct rule_label *wanted)
{
    const struct rule_label *label = find_label(resource->labels, resource->n_labels, wanted->key);

    return label != NULL && label->values.n == 1 &&
           any_matches(wanted->values, label->values.items[0]);
}

static bool
selects(const struct policy_rule *rule, const struct config_resource *resource)
{
    if (rule->resources.n > 0 && !any_matches(rule->resources, resource->name))
        return false;
    if (rule->protocols.n > 0 && !contains(rule->protocols, resource->protocol))
        return false;
    for (size_t i = 0; i < rule->n_labels; i++)
        if (!has_label(resource, &rule->labels[i]))
            return false;
    return true;
}

/* Resources */

static void
check_names(struct problems *p, const struct config *c, const struct policy_rule *rule,
            const struct node *names)
{
    const struct node *node = NULL;

    for (size_t i = 0; i < rule->resources.n; i++) {
        struct str pattern = rule->resources.items[i];
        bool found = pattern.len == 0;

        node = node_next(names, node);
        for (size_t k = 0; k < c->n_resources && !found; k++)
            found = str_glob(pattern, c->resources[k].name);
        if (!found && node != NULL)
            problem_error(p, node->mark, check_resource_hint(p, c, pattern),
                          "no resource is called %s", problem_quote(p, pattern));
    }
}

static bool
some_resource_has(const struct config *c, struct str key, struct str pattern)
{
    const struct rule_label wanted = {key, {&pattern, 1}};

    for (size_t i = 0; i < c->n_resources; i++)
        if (has_label(&c->resources[i], &wanted))
            return true;
    return false;
}

static void
check_labels(struct problems *p, const struct config *c, const struct policy_rule *rule,
             const struct node *labels)
{
    const struct node *label = labels == NULL ? NULL : labels->first;

    for (size_t i = 0; i < rule->n_labels && label != NULL; i++, label = label->next) {
        struct str key = rule->labels[i].key;
        const struct node *value = NULL;

        if (key.len == 0)
            continue;
        if (!some_resource_has(c, key, STR("*"))) {
            problem_error(p, label->key_mark, NULL, "no resource has a label %s",
                          problem_quote(p, key));
            continue;
        }
        for (size_t k = 0; k < rule->labels[i].values.n; k++) {
            struct str pattern = rule->labels[i].values.items[k];

            value = node_next(label, value);
            if (value != NULL && pattern.len > 0 && !some_resource_has(c, key, pattern))
                problem_error(p, value->mark, NULL, "no resource has the label %.*s: %s",
                              STR_ARG(key), problem_quote(p, pattern));
        }
    }
}

/* Whether all entries could be read: those that could not are empty. */
static bool
is_read(struct str_list list)
{
    for (size_t i = 0; i < list.n; i++)
        if (list.items[i].len == 0)
            return false;
    return true;
}

static void
check_selection(struct problems *p, const struct config *c, const struct policy_rule *rule,
                const struct node *policy)
{
    const struct node *which = node_get(policy, "resources");
    unsigned errors = p->errors;

    if (which == NULL || c->n_resources == 0)
        return;
    check_names(p, c, rule, node_get(which, "names"));
    check_labels(p, c, rule, node_get(which, "labels"));
    for (size_t i = 0; i < c->n_resources; i++)
        if (selects(rule, &c->resources[i]))
            return;
    if (p->errors == errors && is_read(rule->protocols) && is_read(rule->resources))
        problem_error(p, which->key_mark, "all conditions must hold for one and the same resource",
                      "these conditions together match no resource: the policy can never apply");
}

/* Issuers */

enum issuer_state { ISSUER_UNKNOWN, ISSUER_DISABLED, ISSUER_ENABLED };

static enum issuer_state
find_issuer(const struct config *c, struct str name)
{
    if (str_is(name, "local"))
        return c->local_issuer.enabled ? ISSUER_ENABLED : ISSUER_DISABLED;
    for (size_t i = 0; i < c->n_issuers; i++)
        if (str_equal(c->issuers[i].name, name))
            return c->issuers[i].enabled ? ISSUER_ENABLED : ISSUER_DISABLED;
    return ISSUER_UNKNOWN;
}

static const char *
issuer_hint(struct problems *p, const struct config *c, struct str name)
{
    const char **names = arena_array(p->arena, c->n_issuers + 2, sizeof(*names));
    size_t n = 0;

    if (names == NULL)
        return NULL;
    for (size_t i = 0; i < c->n_issuers; i++)
        if (c->issuers[i].name.len > 0)
            names[n++] = c->issuers[i].name.ptr;
    names[n] = "local";
    return problem_did_you_mean(p, name, names);
}

void
check_issuer_name(struct problems *p, const struct config *c, struct str name,
                  const struct node *at)
{
    enum issuer_state state = find_issuer(c, name);

    if (state == ISSUER_UNKNOWN)
        problem_error(p, at->mark, issuer_hint(p, c, name), "there is no issuer %s",
                      problem_quote(p, name));
    else if (state == ISSUER_DISABLED) /* no error: an issuer may be shut off in an emergency */
        problem_warning(p, at->mark, NULL, "issuer %s is disabled", problem_quote(p, name));
}

static void
check_who_issuers(struct problems *p, const struct config *c, const struct policy_rule *rule,
                  const struct node *policy)
{
    const struct node *list = node_get(node_get(policy, "who"), "issuers"), *node = NULL;

    for (size_t i = 0; i < rule->issuers.n; i++) {
        struct str name = rule->issuers.items[i];

        if ((node = node_next(list, node)) != NULL && name.len > 0)
            check_issuer_name(p, c, name, node);
    }
}

/* Times */

static void
check_times(struct problems *p, const struct policy_rule *rule, const struct node *policy)
{
    struct rule_time *times = (struct rule_time *)rule->times;
    const struct node *list = node_get(policy, "when"), *node = NULL;

    for (size_t i = 0; i < rule->n_times; i++) {
        const struct node *from, *to;

        node = node_next(list, node);
        from = node_get(node, "from");
        to = node_get(node, "to");
        if (from != NULL && times[i].from_minute == 24 * 60)
            problem_error(p, from->mark, "write \"00:00\" and name the next day",
                          "a window cannot begin at 24:00");
        else if (from != NULL && to != NULL && times[i].from_minute == times[i].to_minute)
            problem_error(p, to->mark, "leave out both for the whole day",
                          "the window ends when it begins: it can never apply");
        times[i].to_minute %= 24 * 60; /* as rule.h wants it: the end of the day is 0 */
    }
}

/* A transaction has no table: `allow: [read, session]` with `tables` does not allow BEGIN. */
static void
check_session(struct problems *p, const struct policy_rule *rule, const struct node *policy)
{
    const class_set sessions = CLASSES(SESSION) | CLASSES(TRANSACTION);
    const struct node *allow = node_get(policy, "allow");

    if (allow == NULL && rule->verdict != VERDICT_DENY)
        allow = node_get(policy, "commands");
    if (allow != NULL && (rule->classes & sessions) != 0 &&
        (rule->tables.n > 0 || rule->schemas.n > 0 || rule->functions.n > 0))
        problem_warning(p, allow->mark, "write another policy without them that allows [session]",
                        "transactions and settings have no table, schema or function: this does "
                        "not allow them");
}

/* Approvals */

/* What a rule asked on connecting has no use for. */
static void
check_on_connect(struct problems *p, const struct policy_rule *rule, const struct node *policy)
{
    static const char *const others[] = {"commands",  "databases", "schemas", "tables",
                                         "functions", "limits",    "record",  NULL};
    const struct node *step_up = node_get(policy, "step_up"), *on = node_get(policy, "on");
    const struct node *scope = node_get(step_up, "scope"), *other;

    if (rule->on != RULE_ON_CONNECT)
        return;
    if (step_up == NULL) {
        problem_error(p, on->mark,
                      "'who', 'resources', 'from' and 'when' of an allow say who may connect",
                      "'on: connect' is for policies with 'step_up'");
        return;
    }
    for (const char *const *key = others; *key != NULL; key++)
        if ((other = node_get(policy, *key)) != NULL)
            problem_error(p, other->key_mark, "write another policy for what is done then",
                          "with 'on: connect' there is no command yet that '%s' could be about",
                          *key);
    if (scope != NULL)
        problem_error(p, scope->key_mark, "'valid_for' is the longest access that may be asked for",
                      "a grant of access has no 'scope'");
}

static void
check_scope(struct problems *p, struct policy_rule *rule, const struct node *step_up)
{
    const struct node *scope = node_get(step_up, "scope"), *valid = node_get(step_up, "valid_for");

    if (rule->on == RULE_ON_CONNECT) {
        if (valid == NULL)
            rule->step_up.valid_seconds = CONNECT_VALID_SECONDS;
        return;
    }
    if (valid != NULL && rule->step_up.scope == STEP_UP_ONCE)
        problem_error(p, valid->key_mark, "add \"scope: for_session\" or \"scope: for_task\"",
                      "an approval of scope 'once' serves the waiting command only: 'valid_for' "
                      "has no meaning");
    if (valid == NULL && rule->step_up.scope != STEP_UP_ONCE && scope != NULL)
        problem_error(p, scope->mark, "for example \"valid_for: 15m\"",
                      "this scope needs 'valid_for': how long an approval serves");
}

/* Whether each entry names one person. */
static bool
is_plain(struct str_list list)
{
    for (size_t i = 0; i < list.n; i++)
        if (str_index(list.items[i], '*') < list.items[i].len ||
            str_index(list.items[i], '?') < list.items[i].len)
            return false;
    return list.n > 0;
}

static void
check_step_up(struct problems *p, const struct config *c, struct policy_rule *rule,
              const struct node *policy)
{
    const struct node *step_up = node_get(policy, "step_up");
    const struct step_up *s = &rule->step_up;
    const struct node *wait = node_get(step_up, "wait_in_transaction");

    check_on_connect(p, rule, policy);
    if (step_up == NULL || step_up->kind != NODE_MAPPING)
        return;
    check_scope(p, rule, step_up);
    if (wait != NULL && s->wait_in_transaction_seconds > s->wait_seconds && s->wait_seconds > 0)
        problem_error(p, wait->mark, "locks are held meanwhile: make it short",
                      "'wait_in_transaction' is longer than 'wait'");
    else if (s->wait_in_transaction_seconds > s->wait_seconds)
        rule->step_up.wait_in_transaction_seconds = s->wait_seconds;
    if (s->approver_groups.n == 0 && s->approvals > s->approver_subjects.n &&
        is_plain(s->approver_subjects))
        problem_error(p,
                      node_get(step_up, "approvals") == NULL ? step_up->key_mark
                                                             : node_get(step_up, "approvals")->mark,
                      NULL, "%u people must approve, but 'approvers' names only %zu", s->approvals,
                      s->approver_subjects.n);
    if (c->console_listen.port == 0 && c->console.url.len == 0)
        problem_error(
            p, step_up->key_mark,
            "add \"listen: {console: 0.0.0.0:9443}\" and \"console: {url: https://HOST:9443}\"",
            "approvals need the console: without it nobody could decide");
}

static void
check_record(struct problems *p, const struct config *c, const struct node *policy)
{
    const struct node *record = node_get(policy, "record");

    if (record != NULL && c->recordings.directory.len == 0)
        problem_error(p, record->key_mark,
                      "add \"recordings: {directory: DIRECTORY, public_key: FILE}\"",
                      "there are no recordings: 'record' has no meaning");
}

/* Allows that a deny covers. Each function says whether a condition of the deny holds wherever
 * that of the allow does; in doubt it says no. */

static bool
pattern_covers(struct str wide, struct str narrow)
{
    bool comparable = str_index(wide, '?') == wide.len || str_index(narrow, '*') == narrow.len;

    return str_equal(wide, narrow) || (comparable && str_glob(wide, narrow));
}

static bool
list_covers(struct str_list wide, struct str_list narrow)
{
    if (wide.n == 0)
        return true;
    for (size_t i = 0; i < narrow.n; i++) {
        bool covered = false;

        for (size_t k = 0; k < wide.n && !covered; k++)
            covered = pattern_covers(wide.items[k], narrow.items[i]);
        if (!covered)
            return false;
    }
    return narrow.n > 0;
}

static bool
claims_cover(const struct policy_rule *wide, const struct policy_rule *narrow)
{
    for (size_t i = 0; i < wide->n_claims; i++) {
        bool covered = false;

        for (size_t k = 0; k < narrow->n_claims && !covered; k++)
            covered = str_equal(wide->claims[i].path, narrow->claims[k].path) &&
                      list_covers(wide->claims[i].values, narrow->claims[k].values);
        if (!covered)
            return false;
    }
    return true;
}

static bool
network_covers(const struct rule_network *wide, const struct rule_network *narrow)
{
    unsigned bits = wide->prefix_bits, whole = bits / 8;
    uint8_t mask = (uint8_t)(0xff00 >> (bits % 8));

    if (bits > narrow->prefix_bits || memcmp(&wide->address, &narrow->address, whole) != 0)
        return false;
    return bits % 8 == 0 ||
           ((wide->address.s6_addr[whole] ^ narrow->address.s6_addr[whole]) & mask) == 0;
}

static bool
sources_cover(const struct policy_rule *wide, const struct policy_rule *narrow)
{
    for (size_t i = 0; i < narrow->n_sources; i++) {
        bool covered = wide->n_sources == 0;

        for (size_t k = 0; k < wide->n_sources && !covered; k++)
            covered = network_covers(&wide->sources[k], &narrow->sources[i]);
        if (!covered)
            return false;
    }
    return wide->n_sources == 0 || narrow->n_sources > 0;
}

static bool
times_cover(const struct policy_rule *wide, const struct policy_rule *narrow)
{
    if (wide->n_times == 0)
        return true;
    if (wide->n_times != narrow->n_times)
        return false;
    for (size_t i = 0; i < wide->n_times; i++) {
        const struct rule_time *a = &wide->times[i], *b = &narrow->times[i];

        if (a->days != b->days || a->from_minute != b->from_minute || a->to_minute != b->to_minute)
            return false;
    }
    return true;
}

static bool
classes_cover(class_set wide, class_set narrow)
{
    return wide == 0 || (narrow != 0 && (narrow & ~wide) == 0);
}

static bool
selection_covers(const struct config *c, const struct policy_rule *wide,
                 const struct policy_rule *narrow)
{
    for (size_t i = 0; i < c->n_resources; i++)
        if (selects(narrow, &c->resources[i]) && !selects(wide, &c->resources[i]))
            return false;
    return true;
}

static bool
covers(const struct config *c, const struct policy_rule *wide, const struct policy_rule *narrow)
{
    return classes_cover(wide->classes, narrow->classes) &&
           list_covers(wide->subjects, narrow->subjects) &&
           list_covers(wide->groups, narrow->groups) &&
           list_covers(wide->issuers, narrow->issuers) && claims_cover(wide, narrow) &&
           sources_cover(wide, narrow) && times_cover(wide, narrow) &&
           list_covers(wide->databases, narrow->databases) &&
           list_covers(wide->schemas, narrow->schemas) &&
           list_covers(wide->tables, narrow->tables) &&
           list_covers(wide->functions, narrow->functions) && selection_covers(c, wide, narrow);
}

/* A deny of every command is how an incident is stopped: it must take effect, not be refused. */
static void
report_covered(struct problems *p, struct mark at, const struct policy_rule *deny)
{
    static const char hint[] =
        "an explicit deny always wins; remove this policy or narrow the other";
    const char *name = problem_quote(p, deny->name);

    if (deny->classes == 0)
        problem_warning(p, at, NULL, "policy %s stops everything that this allows", name);
    else
        problem_error(p, at, hint, "this can never allow anything: policy %s denies all of it",
                      name);
}

/* The key that says what a policy does. */
static const struct node *
decision_key(const struct node *policy)
{
    static const char *const keys[] = {"allow", "step_up", "defer", "deny"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (node_get(policy, keys[i]) != NULL)
            return node_get(policy, keys[i]);
    return policy;
}

static void
check_covered(struct problems *p, const struct config *c, const struct node *policies)
{
    size_t denies = 0;
    const struct node *node = NULL;

    for (size_t i = 0; i < c->n_policies; i++)
        denies += c->policies[i].verdict == VERDICT_DENY;
    if (denies * (c->n_policies - denies) > COMPARISONS_MAX / (c->n_resources + 1))
        return;
    for (size_t i = 0; i < c->n_policies; i++) {
        const struct policy_rule *rule = &c->policies[i];

        node = node_next(policies, node);
        for (size_t k = 0; k < c->n_policies && rule->verdict != VERDICT_DENY; k++) {
            if (rule->on != RULE_ON_COMMAND || c->policies[k].verdict != VERDICT_DENY ||
                !covers(c, &c->policies[k], rule))
                continue;
            report_covered(p, decision_key(node)->key_mark, &c->policies[k]);
            break;
        }
    }
}

static void
check_unreachable_resources(struct problems *p, const struct config *c, const struct node *root)
{
    const struct node *node = node_get(root, "resources")->first;

    for (size_t i = 0; i < c->n_resources && node != NULL; i++, node = node->next) {
        bool allowed = false;

        for (size_t k = 0; k < c->n_policies && !allowed; k++)
            allowed = c->policies[k].verdict != VERDICT_DENY &&
                      c->policies[k].on == RULE_ON_COMMAND &&
                      selects(&c->policies[k], &c->resources[i]);
        if (!allowed)
            problem_warning(p, node->key_mark, "add a policy with 'allow' for it",
                            "no policy allows anything on resource %s",
                            problem_quote(p, c->resources[i].name));
    }
}

static void
check_unique_name(struct problems *p, struct table *seen, struct str name,
                  const struct node *policy)
{
    const struct node *node = node_get(policy, "name"), *first;

    if (name.len == 0 || node == NULL)
        return;
    if (str_is(name, "protect"))
        problem_error(p, node->mark, NULL,
                      "'protect' is what records name when a column's protection refuses");
    if ((first = table_get(seen, name)) != NULL)
        problem_error(p, node->mark, NULL, "a second policy called %s; the first is on line %u",
                      problem_quote(p, name), first->mark.line);
    else if (table_put(seen, name, (void *)node, NULL) != OK)
        p->out_of_memory = true;
}

static enum verdict_kind
verdict_of(const struct node *policy)
{
    return node_get(policy, "deny") != NULL      ? VERDICT_DENY
           : node_get(policy, "step_up") != NULL ? VERDICT_STEP_UP
           : node_get(policy, "defer") != NULL   ? VERDICT_DEFER
                                                 : VERDICT_ALLOW;
}

void
check_policies(struct problems *p, const struct node *root, struct config *c)
{
    const struct node *policies = node_get(root, "policies"), *node = NULL;
    struct policy_rule *rules = (struct policy_rule *)c->policies;
    struct table *seen = table_new(c->n_policies + 1);

    if (seen == NULL) {
        p->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < c->n_policies; i++) {
        if ((node = node_next(policies, node)) == NULL)
            break;
        rules[i].verdict = verdict_of(node);
        check_unique_name(p, seen, rules[i].name, node);
        check_selection(p, c, &rules[i], node);
        check_who_issuers(p, c, &rules[i], node);
        check_times(p, &rules[i], node);
        check_session(p, &rules[i], node);
        check_step_up(p, c, &rules[i], node);
        check_record(p, c, node);
    }
    table_free(seen);
    /* A condition that could not be read would look like none. */
    if (p->errors > 0)
        return;
    check_covered(p, c, policies);
    check_unreachable_resources(p, c, root);
}
