/* Random policies and commands, decided twice: by policy/, through compile, specialise, encode and
 * decode, and by a naive evaluator written from the words of policy/policy.h. BULKHEAD_SEED=N
 * repeats one run. */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

enum { ROUNDS = 10000, COMMANDS_A_ROUND = 4, RULES_MAX = 12, DEMANDS_MAX = 4, LIST_MAX = 3 };

/* --- the reference ------------------------------------------------------------------------ */

static bool
any_glob(struct str_list list, struct str s)
{
    for (size_t i = 0; i < list.n; i++)
        if (str_glob(list.items[i], s))
            return true;
    return false;
}

static bool
any_equal(struct str_list list, struct str s)
{
    for (size_t i = 0; i < list.n; i++)
        if (str_equal(list.items[i], s))
            return true;
    return false;
}

static bool
ref_bit(const struct in6_addr *a, unsigned i)
{
    return (a->s6_addr[i / 8] >> (7 - i % 8) & 1) != 0;
}

static bool
ref_is_from(const struct rule_network *network, const struct in6_addr *source)
{
    for (unsigned i = 0; i < network->prefix_bits; i++)
        if (ref_bit(&network->address, i) != ref_bit(source, i))
            return false;
    return true;
}

static bool
ref_concerns(const struct policy_rule *rule, const struct policy_request *who)
{
    bool held;

    if (rule->subjects.n != 0 && !any_glob(rule->subjects, who->subject))
        return false;
    if (rule->issuers.n != 0 && !any_equal(rule->issuers, who->issuer))
        return false;
    if (rule->resources.n != 0 && !any_glob(rule->resources, who->resource))
        return false;
    if (rule->protocols.n != 0 && !any_equal(rule->protocols, who->protocol))
        return false;
    held = rule->groups.n == 0;
    for (size_t i = 0; i < who->groups.n; i++)
        held |= any_glob(rule->groups, who->groups.items[i]);
    if (!held)
        return false;
    for (size_t i = 0; i < rule->n_claims; i++) {
        held = false;
        for (size_t c = 0; c < who->n_claims; c++)
            held |= str_equal(who->claims[c].path, rule->claims[i].path) &&
                    any_glob(rule->claims[i].values, who->claims[c].value);
        if (!held)
            return false;
    }
    for (size_t i = 0; i < rule->n_labels; i++) {
        held = false;
        for (size_t l = 0; l < who->n_labels; l++)
            held |= str_equal(who->labels[l].key, rule->labels[i].key) &&
                    any_glob(rule->labels[i].values, who->labels[l].values.items[0]);
        if (!held)
            return false;
    }
    held = rule->n_sources == 0;
    for (size_t i = 0; i < rule->n_sources; i++)
        held |= ref_is_from(&rule->sources[i], &who->source);
    return held;
}

/* By the C library's calendar. */
static bool
ref_in_time(const struct policy_rule *rule, int64_t wall_us)
{
    time_t now = (time_t)(wall_us / 1000000);
    struct tm tm;
    unsigned minute, today, yesterday;

    gmtime_r(&now, &tm);
    minute = (unsigned)(tm.tm_hour * 60 + tm.tm_min);
    today = tm.tm_wday == 0 ? 6 : (unsigned)tm.tm_wday - 1;
    yesterday = today == 0 ? 6 : today - 1;
    for (size_t i = 0; i < rule->n_times; i++) {
        const struct rule_time *w = &rule->times[i];
        bool on_today = w->days == 0 || (w->days & 1u << today) != 0;
        bool on_yesterday = w->days == 0 || (w->days & 1u << yesterday) != 0;
        /* The window on a line of minutes that starts with yesterday. */
        unsigned length = w->from_minute == w->to_minute  ? 1440
                          : w->to_minute > w->from_minute ? w->to_minute - w->from_minute
                                                          : w->to_minute + 1440 - w->from_minute;
        unsigned from = w->from_minute == w->to_minute ? 0 : w->from_minute;
        unsigned at = minute + 1440;

        if (on_today && at >= from + 1440 && at < from + 1440 + length)
            return true;
        if (on_yesterday && at >= from && at < from + length)
            return true;
    }
    return rule->n_times == 0;
}

static bool
only_stars(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '*')
            return false;
    return s.len != 0;
}

/* `sure`: whether the rule surely applies, else whether it may. */
static bool
ref_object(struct str pattern, const struct demand *d, bool sure)
{
    struct str schema, name = str_cut(pattern, '.', &schema);

    if (str_index(pattern, '.') == pattern.len)
        return str_glob(pattern, d->name);
    if (!str_glob(name, d->name))
        return false;
    if (d->schema.len != 0)
        return str_glob(schema, d->schema);
    return !sure || only_stars(schema);
}

static bool
ref_objects(const struct policy_rule *rule, const struct demand *d, bool sure)
{
    const struct str_list *list;

    if (rule->tables.n == 0 && rule->functions.n == 0)
        return true;
    if (d->kind == OBJECT_RELATION)
        list = &rule->tables;
    else if (d->kind == OBJECT_FUNCTION)
        list = &rule->functions;
    else
        return false;
    for (size_t i = 0; i < list->n; i++)
        if (ref_object(list->items[i], d, sure))
            return true;
    return false;
}

static bool
ref_schemas(const struct policy_rule *rule, const struct demand *d, bool sure)
{
    if (rule->schemas.n == 0)
        return true;
    if (d->kind == OBJECT_SCHEMA)
        return any_glob(rule->schemas, d->name);
    if (d->kind != OBJECT_RELATION && d->kind != OBJECT_FUNCTION && d->kind != OBJECT_OTHER)
        return false;
    if (d->schema.len != 0)
        return any_glob(rule->schemas, d->schema);
    if (!sure)
        return true;
    for (size_t i = 0; i < rule->schemas.n; i++)
        if (only_stars(rule->schemas.items[i]))
            return true;
    return false;
}

static bool
ref_applies(const struct policy_rule *rule, const struct policy_request *who,
            const struct command *command, const struct demand *d, int64_t wall_us, bool sure)
{
    return ref_concerns(rule, who) && ref_in_time(rule, wall_us) &&
           (rule->classes == 0 || (rule->classes & d->classes) != 0) &&
           (rule->databases.n == 0 || any_glob(rule->databases, command->database)) &&
           ref_objects(rule, d, sure) && ref_schemas(rule, d, sure);
}

struct question {
    const struct policy_rule *rules;
    size_t n_rules;
    const struct policy_request *who;
    const struct command *command;
    int64_t wall_us;
    bool has_purpose;
};

/* With a purpose, a DEFER rule is an ALLOW rule. */
static enum verdict_kind
ref_kind(const struct question *q, const struct policy_rule *rule)
{
    return rule->verdict == VERDICT_DEFER && q->has_purpose ? VERDICT_ALLOW : rule->verdict;
}

/* The first rule of `kind` that applies to the demand; NULL: none. */
static const struct policy_rule *
ref_first(const struct question *q, const struct demand *d, enum verdict_kind kind, bool sure)
{
    for (size_t i = 0; i < q->n_rules; i++)
        if (q->rules[i].on == RULE_ON_COMMAND && ref_kind(q, &q->rules[i]) == kind &&
            ref_applies(&q->rules[i], q->who, q->command, d, q->wall_us, sure))
            return &q->rules[i];
    return NULL;
}

static bool
ref_permitted(const struct question *q, const struct demand *d)
{
    for (int kind = VERDICT_ALLOW; kind < VERDICT_DENY; kind++)
        if (ref_first(q, d, (enum verdict_kind)kind, true) != NULL)
            return true;
    return false;
}

static struct verdict
ref_verdict(const struct policy_rule *rule, const struct demand *d)
{
    return (struct verdict){
        .kind = rule->verdict, .rule = rule->name, .message = rule->message, .demand = d};
}

static bool
ref_same_list(struct str_list a, struct str_list b)
{
    bool same = a.n == b.n;

    for (size_t i = 0; same && i < a.n; i++)
        same = str_equal(a.items[i], b.items[i]);
    return same;
}

static bool
ref_wants_the_same(const struct step_up *a, const struct step_up *b)
{
    return ref_same_list(a->approver_groups, b->approver_groups) &&
           ref_same_list(a->approver_subjects, b->approver_subjects) &&
           a->approvals == b->approvals && a->wait_seconds == b->wait_seconds;
}

/* The demand that a STEP_UP rule holds first; NULL: none. */
static const struct demand *
ref_held(const struct question *q, const struct policy_rule *rule)
{
    for (size_t i = 0; i < q->command->n_demands; i++)
        if (rule->on == RULE_ON_COMMAND && rule->verdict == VERDICT_STEP_UP &&
            ref_applies(rule, q->who, q->command, &q->command->demands[i], q->wall_us, false))
            return &q->command->demands[i];
    return NULL;
}

/* The rules by which humans are asked, in the order of the configuration. */
static size_t
ref_steps(const struct question *q, const struct policy_rule *steps[RULES_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < q->n_rules; i++) {
        bool asked = false;

        if (ref_held(q, &q->rules[i]) == NULL)
            continue;
        for (size_t k = 0; k < n; k++)
            asked |= ref_wants_the_same(&steps[k]->step_up, &q->rules[i].step_up);
        if (!asked)
            steps[n++] = &q->rules[i];
    }
    return n;
}

static struct verdict
ref_decide_by_steps(const struct question *q)
{
    const struct policy_rule *steps[RULES_MAX];
    size_t n = ref_steps(q, steps);

    if (n > VERDICT_STEPS_MAX)
        return (struct verdict){.kind = VERDICT_DENY,
                                .rule = steps[VERDICT_STEPS_MAX]->name,
                                .demand = ref_held(q, steps[VERDICT_STEPS_MAX])};
    return ref_verdict(steps[0], ref_held(q, steps[0]));
}

static struct verdict
ref_decide_by_rules(const struct question *q)
{
    const struct command *c = q->command;
    const struct policy_rule *rule;

    for (size_t i = 0; i < c->n_demands; i++)
        if ((rule = ref_first(q, &c->demands[i], VERDICT_DENY, false)) != NULL)
            return ref_verdict(rule, &c->demands[i]);
    for (size_t i = 0; i < c->n_demands; i++)
        if (!ref_permitted(q, &c->demands[i]))
            return (struct verdict){.kind = VERDICT_DENY, .demand = &c->demands[i]};
    for (int kind = VERDICT_DEFER; kind > VERDICT_ALLOW; kind--)
        for (size_t i = 0; i < c->n_demands; i++)
            if ((rule = ref_first(q, &c->demands[i], (enum verdict_kind)kind, false)) != NULL)
                return kind == VERDICT_STEP_UP ? ref_decide_by_steps(q)
                                               : ref_verdict(rule, &c->demands[i]);
    if (c->n_demands == 0)
        return (struct verdict){.kind = VERDICT_DENY};
    rule = ref_first(q, &c->demands[0], VERDICT_ALLOW, true);
    if (rule->verdict == VERDICT_DEFER)
        return (struct verdict){.kind = VERDICT_ALLOW, .rule = rule->name};
    return ref_verdict(rule, NULL);
}

static bool
ref_bounds(const struct question *q, const struct policy_rule *rule)
{
    for (size_t i = 0; i < q->command->n_demands; i++)
        if (rule->on == RULE_ON_COMMAND && rule->verdict != VERDICT_DENY &&
            ref_applies(rule, q->who, q->command, &q->command->demands[i], q->wall_us, false))
            return true;
    return false;
}

static uint64_t
ref_get(const struct limits *l, int which)
{
    const uint64_t numbers[] = {l->rows_per_command,    l->bytes_per_command, l->rows_per_session,
                                l->seconds_per_command, l->max_affected_rows, l->max_tables,
                                l->require_where,       l->read_only};

    return numbers[which];
}

/* The smallest of a limit, and the first rule that has it: holds before allows. */
static uint64_t
ref_smallest(const struct question *q, int which, const struct policy_rule **by)
{
    uint64_t smallest = 0;

    for (int kind = VERDICT_DENY - 1; kind >= VERDICT_ALLOW; kind--)
        for (size_t i = 0; i < q->n_rules; i++) {
            uint64_t limit = ref_get(&q->rules[i].limits, which);

            if ((int)q->rules[i].verdict != kind || limit == 0 || !ref_bounds(q, &q->rules[i]) ||
                (smallest != 0 && limit >= smallest))
                continue;
            smallest = limit;
            *by = &q->rules[i];
        }
    return smallest;
}

static struct record_rule
ref_record(const struct question *q)
{
    struct record_rule most = {0};

    for (size_t i = 0; i < q->n_rules; i++) {
        const struct record_rule *own = &q->rules[i].record;

        if (!ref_bounds(q, &q->rules[i]))
            continue;
        most.rows |= own->rows;
        if (own->retention_seconds > most.retention_seconds)
            most.retention_seconds = own->retention_seconds;
    }
    return most;
}

static bool
ref_same_table(const struct demand *a, const struct demand *b)
{
    return str_equal(a->schema, b->schema) && str_equal(a->name, b->name);
}

static const struct demand *
ref_table_beyond(const struct command *c, uint64_t max)
{
    const struct demand *seen[DEMANDS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < c->n_demands; i++) {
        const struct demand *d = &c->demands[i];
        bool known = d->kind != OBJECT_RELATION || str_is(d->schema, "pg_catalog");

        for (size_t k = 0; k < n; k++)
            known |= ref_same_table(seen[k], d);
        if (known)
            continue;
        if (n == max)
            return d;
        seen[n++] = d;
    }
    return NULL;
}

static struct verdict
ref_decide(const struct question *q)
{
    struct verdict v = ref_decide_by_rules(q), refusal = {.kind = VERDICT_DENY};
    const struct policy_rule *tables = NULL, *where = NULL, *only = NULL, *any = NULL;
    const struct command *c = q->command;
    struct limits l;

    if (v.kind == VERDICT_DENY)
        return v;
    l = (struct limits){ref_smallest(q, 0, &any),   ref_smallest(q, 1, &any),
                        ref_smallest(q, 2, &any),   ref_smallest(q, 3, &any),
                        ref_smallest(q, 4, &any),   ref_smallest(q, 5, &tables),
                        ref_smallest(q, 6, &where), ref_smallest(q, 7, &only)};
    v.limits = l;
    v.record = ref_record(q);
    for (size_t i = 0; i < c->n_demands && only != NULL; i++)
        if ((c->demands[i].classes & (CLASSES(READ) | CLASSES(SESSION))) == 0) {
            refusal.rule = only->name;
            refusal.demand = &c->demands[i];
            return refusal;
        }
    for (size_t i = 0; i < c->n_demands && where != NULL; i++)
        if ((c->demands[i].classes & CLASSES(MASS_WRITE)) != 0) {
            refusal.rule = where->name;
            refusal.demand = &c->demands[i];
            return refusal;
        }
    if (tables != NULL && (refusal.demand = ref_table_beyond(c, l.max_tables)) != NULL) {
        refusal.rule = tables->name;
        return refusal;
    }
    return v;
}

/* --- the generator ------------------------------------------------------------------------ */

static uint64_t seed;

static unsigned
below(unsigned n)
{
    seed ^= seed << 13; /* xorshift64 */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % n);
}

static bool
chance(unsigned percent)
{
    return below(100) < percent;
}

static const char *const words[] = {"a", "b", "ab", "abc", "ba", "c"};
static const char *const globs[] = {"a", "b", "ab", "a*", "*b", "*", "?", "a?c", "**", "c", ""};
static const char *const objects[] = {"a",   "b",   "a*",  "*",    "a.b",  "b.a", "*.a",
                                      "a.*", "*.*", "?.b", "a*.b", "ab.c", ".a",  "a."};

#define PICK(array) str_from((array)[below((unsigned)(sizeof(array) / sizeof((array)[0])))])

/* Everything one round is made of. */
struct round {
    struct policy_rule rules[RULES_MAX];
    struct str items[4096];
    size_t n_items;
    struct rule_claim claims[RULES_MAX][2];
    struct rule_label labels[RULES_MAX][2];
    struct rule_network networks[RULES_MAX][2];
    struct rule_time times[RULES_MAX][2];
    struct claim_value own_claims[3];
    struct rule_label own_labels[2];
    struct policy_request who;
    struct demand demands[DEMANDS_MAX];
    unsigned often; /* a rule allows, in percent */
};

static struct str *
new_items(struct round *r, size_t n)
{
    r->n_items += n;
    assert_true(r->n_items <= sizeof(r->items) / sizeof(r->items[0]));
    return &r->items[r->n_items - n];
}

enum words_from { FROM_WORDS, FROM_GLOBS, FROM_OBJECTS };

static struct str_list
random_list(struct round *r, enum words_from from, unsigned percent)
{
    size_t n = chance(percent) ? 1 + below(LIST_MAX) : 0;
    struct str *items = new_items(r, n);

    for (size_t i = 0; i < n; i++)
        items[i] = from == FROM_WORDS   ? PICK(words)
                   : from == FROM_GLOBS ? PICK(globs)
                                        : PICK(objects);
    return (struct str_list){items, n};
}

static struct in6_addr
random_address(void)
{
    struct in6_addr a = {0};

    if (chance(70))
        a.s6_addr[10] = a.s6_addr[11] = 0xff;
    else
        a.s6_addr[0] = 0x20;
    a.s6_addr[12] = (uint8_t)(below(2) * 10);
    a.s6_addr[15] = (uint8_t)below(4);
    return a;
}

static struct limits
random_limits(void)
{
    return (struct limits){
        .rows_per_command = below(4),
        .bytes_per_command = chance(50) ? (uint64_t)1 << below(64) : 0,
        .rows_per_session = below(4),
        .seconds_per_command = below(4),
        .max_affected_rows = below(4),
        .max_tables = chance(40) ? below(4) : 0,
        .require_where = chance(20),
        .read_only = chance(20),
    };
}

/* One effect, and perhaps narrower ones, as demands have them. */
static class_set
random_demand_classes(void)
{
    class_set classes = CLASS_BIT(chance(70) ? below(3) : below(COMMAND_EFFECT_COUNT));

    if (chance(20))
        classes |= CLASSES(MASS_WRITE);
    if (chance(40))
        classes |=
            CLASS_BIT(COMMAND_EFFECT_COUNT + below(COMMAND_CLASS_COUNT - COMMAND_EFFECT_COUNT));
    return classes;
}

static class_set
random_classes(void)
{
    class_set classes = 0;

    for (unsigned n = 1 + below(2); n > 0; n--)
        classes |= CLASS_BIT(chance(70) ? below(3) : below(COMMAND_CLASS_COUNT));
    return classes;
}

static void
random_conditions(struct round *r, size_t i, struct policy_rule *rule)
{
    rule->n_claims = chance(15) ? 1 + below(2) : 0;
    for (size_t k = 0; k < rule->n_claims; k++)
        r->claims[i][k] = (struct rule_claim){PICK(words), random_list(r, FROM_GLOBS, 100)};
    rule->claims = r->claims[i];
    rule->n_labels = chance(15) ? 1 + below(2) : 0;
    for (size_t k = 0; k < rule->n_labels; k++)
        r->labels[i][k] = (struct rule_label){PICK(words), random_list(r, FROM_GLOBS, 100)};
    rule->labels = r->labels[i];
    rule->n_sources = chance(15) ? 1 + below(2) : 0;
    for (size_t k = 0; k < rule->n_sources; k++)
        r->networks[i][k] = (struct rule_network){random_address(), below(129)};
    rule->sources = r->networks[i];
    rule->n_times = chance(20) ? 1 + below(2) : 0;
    for (size_t k = 0; k < rule->n_times; k++)
        r->times[i][k] =
            (struct rule_time){chance(50) ? 0 : below(128), below(25) * 60, below(25) * 60};
    rule->times = r->times[i];
}

static void
random_step_up(struct round *r, struct policy_rule *rule)
{
    rule->step_up = (struct step_up){
        .approver_groups = random_list(r, FROM_WORDS, 50),
        .approver_subjects = random_list(r, FROM_WORDS, 10),
        .approvals = 1 + below(2),
        .wait_seconds = 60 * (1 + below(2)),
        .wait_in_transaction_seconds = 30,
        .preview = PREVIEW_ESTIMATE,
    };
    if (chance(15))
        rule->on = RULE_ON_CONNECT;
}

static void
random_rule(struct round *r, size_t i)
{
    static const char *const names[] = {"r0", "r1", "r2", "r3", "r4",  "r5",
                                        "r6", "r7", "r8", "r9", "r10", "r11"};
    struct policy_rule *rule = &r->rules[i];

    *rule = (struct policy_rule){
        .name = str_from(names[i]),
        .verdict = chance(r->often) ? VERDICT_ALLOW : (enum verdict_kind)below(VERDICT_DENY + 1),
        .message = PICK(words),
        .subjects = random_list(r, FROM_GLOBS, 15),
        .groups = random_list(r, FROM_GLOBS, 15),
        .issuers = random_list(r, FROM_WORDS, 10),
        .resources = random_list(r, FROM_GLOBS, 15),
        .protocols = random_list(r, FROM_WORDS, 10),
        .classes = chance(50) ? 0 : random_classes(),
        .databases = random_list(r, FROM_GLOBS, 15),
        .schemas = random_list(r, FROM_GLOBS, 20),
        .tables = random_list(r, FROM_OBJECTS, 30),
        .functions = random_list(r, FROM_OBJECTS, 20),
    };
    if (rule->verdict != VERDICT_DENY && chance(25))
        rule->limits = random_limits();
    if (rule->verdict != VERDICT_DENY && chance(25))
        rule->record = (struct record_rule){chance(50), below(3)};
    if (rule->verdict == VERDICT_STEP_UP)
        random_step_up(r, rule);
    random_conditions(r, i, rule);
}

static void
random_request(struct round *r)
{
    for (size_t i = 0; i < 3; i++)
        r->own_claims[i] = (struct claim_value){PICK(words), PICK(words)};
    for (size_t i = 0; i < 2; i++)
        r->own_labels[i] = (struct rule_label){PICK(words), {new_items(r, 1), 1}};
    for (size_t i = 0; i < 2; i++)
        *(struct str *)(uintptr_t)r->own_labels[i].values.items = PICK(words);
    r->who = (struct policy_request){
        .subject = PICK(words),
        .issuer = PICK(words),
        .groups = random_list(r, FROM_WORDS, 80),
        .claims = r->own_claims,
        .n_claims = below(4),
        .resource = PICK(words),
        .protocol = PICK(words),
        .labels = r->own_labels,
        .n_labels = below(3),
        .source = random_address(),
    };
}

static struct command
random_command(struct round *r)
{
    size_t n = chance(3) ? 0 : 1 + below(DEMANDS_MAX);

    for (size_t i = 0; i < n; i++) {
        enum object_kind kind = chance(50) ? OBJECT_RELATION
                                           : (enum object_kind)below(OBJECT_KIND_COUNT);

        r->demands[i] = (struct demand){
            .classes = random_demand_classes(),
            .kind = kind,
            .schema = kind == OBJECT_NONE || chance(40) ? STR("")
                      : chance(10)                      ? STR("pg_catalog")
                                                        : PICK(words),
            .name = kind == OBJECT_NONE ? STR("") : PICK(words),
        };
    }
    return (struct command){
        .database = chance(5) ? STR("") : PICK(words), .demands = r->demands, .n_demands = n};
}

/* --- comparing ---------------------------------------------------------------------------- */

static struct residual *
through_the_wire(const struct question *q)
{
    struct buf wire = buf_make(RESIDUAL_BYTES_MAX);
    struct residual *first, *second;
    struct policy *p;

    assert_int_equal(policy_compile(q->rules, q->n_rules, &p), OK);
    assert_int_equal(policy_specialise(p, q->who, &first), OK);
    policy_free(p);
    assert_int_equal(residual_encode(first, &wire), OK);
    residual_free(first);
    assert_int_equal(residual_decode(buf_str(&wire), &second), OK);
    buf_free(&wire);
    return second;
}

static bool
limits_are_equal(const struct limits *a, const struct limits *b)
{
    for (int which = 0; which < 8; which++)
        if (ref_get(a, which) != ref_get(b, which))
            return false;
    return true;
}

/* What a verdict is counted as: its kind, denied by default, by a limit, held by several rules,
 * allowed with limits. */
enum { BY_DEFAULT = VERDICT_DENY + 1, BY_LIMIT, BY_SEVERAL, WITH_LIMITS, COUNTS };

static unsigned
count_as(const struct verdict *v)
{
    if (v->kind == VERDICT_DENY)
        return v->rule.len == 0                          ? BY_DEFAULT
               : str_starts(v->message, STR("limit \"")) ? BY_LIMIT
                                                         : VERDICT_DENY;
    if (v->n_steps > 1)
        return BY_SEVERAL;
    return limits_are_equal(&v->limits, &(struct limits){0}) ? v->kind : WITH_LIMITS;
}

static bool
says_too_many(const struct verdict *v)
{
    return v->kind == VERDICT_DENY && str_starts(v->message, STR("more rules want approvals"));
}

/* Whether the verdict's steps are those of the reference, with what a session needs of each. */
static bool
has_steps(const struct question *q, const struct verdict *v)
{
    const struct policy_rule *steps[RULES_MAX];
    size_t n = v->kind == VERDICT_STEP_UP ? ref_steps(q, steps) : 0;

    if (v->n_steps != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!str_equal(v->steps[i]->rule, steps[i]->name) ||
            v->steps[i]->wait_seconds != steps[i]->step_up.wait_seconds ||
            v->steps[i]->wait_in_transaction_seconds != 30 ||
            v->steps[i]->preview != PREVIEW_ESTIMATE)
            return false;
    return true;
}

static void
compare(const struct question *q, const struct residual *r, uint64_t round_seed, unsigned counts[])
{
    const struct decision_context context = {.wall_us = q->wall_us, .has_purpose = q->has_purpose};
    struct verdict expected = ref_decide(q), got;

    residual_decide(r, q->command, &context, &got);
    counts[count_as(&got)]++;
    if (got.kind == expected.kind && str_equal(got.rule, expected.rule) &&
        (count_as(&got) == BY_LIMIT || says_too_many(&got) ||
         str_equal(got.message, expected.message)) &&
        got.demand == expected.demand && limits_are_equal(&got.limits, &expected.limits) &&
        got.record.rows == expected.record.rows &&
        got.record.retention_seconds == expected.record.retention_seconds && has_steps(q, &got))
        return;
    fail_msg("BULKHEAD_SEED=%llu: expected %s by \"%.*s\", got %s by \"%.*s\"",
             (unsigned long long)round_seed, verdict_kind_name(expected.kind),
             STR_ARG(expected.rule), verdict_kind_name(got.kind), STR_ARG(got.rule));
}

static void
run_round(uint64_t round_seed, unsigned counts[])
{
    static struct round r;
    struct command command;
    struct question q = {.rules = r.rules, .who = &r.who, .command = &command};
    struct residual *residual;

    seed = round_seed;
    r.n_items = 0;
    r.often = chance(70) ? 60 : 20;
    q.n_rules = below(RULES_MAX + 1);
    for (size_t i = 0; i < q.n_rules; i++)
        random_rule(&r, i);
    random_request(&r);
    residual = through_the_wire(&q);
    for (int i = 0; i < COMMANDS_A_ROUND; i++) {
        command = random_command(&r);
        q.wall_us = (int64_t)below(4000000) * 1000 * 1000000 / 7;
        q.has_purpose = chance(50);
        compare(&q, residual, round_seed, counts);
    }
    residual_free(residual);
}

static void
test_random_policies_are_decided_as_the_reference_decides(void **state)
{
    const char *given = getenv("BULKHEAD_SEED");
    uint64_t start = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003;
    unsigned counts[COUNTS] = {0};

    (void)state;
    if (given != NULL) {
        run_round(start, counts);
        return;
    }
    for (uint64_t i = 0; i < ROUNDS; i++)
        run_round((start + i) * 2654435761u | 1, counts);
    print_message(
        "allow %u, modify %u, step_up %u, defer %u, deny %u, by default %u, by a limit %u, "
        "by several approvals %u, with limits %u\n",
        counts[0], counts[1], counts[2], counts[3], counts[4], counts[BY_DEFAULT], counts[BY_LIMIT],
        counts[BY_SEVERAL], counts[WITH_LIMITS]);
    /* A generator that never reaches a verdict would prove nothing. */
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        assert_true(counts[i] > ROUNDS / 100);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_policies_are_decided_as_the_reference_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
