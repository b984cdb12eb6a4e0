#include "policy/residual.h"

#include <stdlib.h>

#include "policy/limits.h"

enum {
    /* Of one residual in memory: the index is larger than the bytes. */
    ARENA_BYTES_MAX = 8 * RESIDUAL_BYTES_MAX,

    SLOT_EVERY_CLASS = 0,
    SLOT_CLASSES = 1,
    SLOT_BUCKETS = SLOT_CLASSES + COMMAND_CLASS_COUNT,
};

#define RANK_NONE UINT32_MAX

/* What a name in a bucket is the name of. */
enum key_kind { KEY_TABLE, KEY_FUNCTION, KEY_DATABASE };

static uint32_t
bucket_slot(const struct residual_index *x, enum key_kind kind, uint32_t name_hash)
{
    uint32_t mixed = (name_hash ^ (uint32_t)kind * 0x9e3779b9u) * 0x85ebca6bu;

    return SLOT_BUCKETS + ((mixed ^ mixed >> 15) & (x->buckets - 1));
}

/* --- building ----------------------------------------------------------------------------- */

static bool
names_are_exact(struct object_pattern_list list)
{
    for (size_t i = 0; i < list.n; i++)
        if (list.items[i].name.kind != PATTERN_EXACT)
            return false;
    return true;
}

static bool
patterns_are_exact(struct pattern_list list)
{
    for (size_t i = 0; i < list.n; i++)
        if (list.items[i].kind != PATTERN_EXACT)
            return false;
    return true;
}

/* Chooses how each rule is found. */
static void
choose_keys(struct residual *r, struct residual_rule *rules)
{
    for (uint32_t i = 0; i < r->n; i++) {
        struct residual_rule *rule = &rules[i];

        r->has_times |= rule->n_times != 0;
        r->has_terms |= rule->has_terms;
        rule->keyed_by_name = rule->tables.n + rule->functions.n != 0 &&
                              names_are_exact(rule->tables) && names_are_exact(rule->functions);
        rule->keyed_by_database = !rule->keyed_by_name && rule->databases.n != 0 &&
                                  patterns_are_exact(rule->databases);
    }
}

static enum err
rank_rules(struct residual *r, struct residual_rule *rules)
{
    uint32_t rank = 0;

    if ((r->ranked = arena_array(r->arena, r->n, sizeof(struct residual_rule *))) == NULL &&
        r->n != 0)
        return fail(ERR_NOMEM, "not enough memory for the rules of a session");
    for (int kind = VERDICT_DENY; kind >= VERDICT_ALLOW; kind--)
        for (uint32_t i = 0; i < r->n; i++)
            if ((int)rules[i].verdict == kind)
                r->ranked[rank++] = &rules[i];
    return OK;
}

/* Counts (ranks == NULL) or fills in `at`, which has a place for each slot. */
static void
put_in_slot(uint32_t *at, uint32_t *ranks, size_t slot, uint32_t rank)
{
    uint32_t place = at[slot]++;

    if (ranks != NULL)
        ranks[place] = rank;
}

static void
put_in_slots(const struct residual *r, const struct residual_index *x, uint32_t rank, uint32_t *at,
             uint32_t *ranks)
{
    const struct residual_rule *rule = r->ranked[rank];

    if (rule->keyed_by_name) {
        for (size_t i = 0; i < rule->tables.n; i++)
            put_in_slot(at, ranks, bucket_slot(x, KEY_TABLE, rule->tables.items[i].name.hash),
                        rank);
        for (size_t i = 0; i < rule->functions.n; i++)
            put_in_slot(at, ranks, bucket_slot(x, KEY_FUNCTION, rule->functions.items[i].name.hash),
                        rank);
    } else if (rule->keyed_by_database) {
        for (size_t i = 0; i < rule->databases.n; i++)
            put_in_slot(at, ranks, bucket_slot(x, KEY_DATABASE, rule->databases.items[i].hash),
                        rank);
    } else if (rule->classes == 0) {
        put_in_slot(at, ranks, SLOT_EVERY_CLASS, rank);
    } else {
        for (class_set left = rule->classes; left != 0; left &= left - 1)
            put_in_slot(at, ranks, SLOT_CLASSES + (size_t)__builtin_ctzll(left), rank);
    }
}

/* Notes what rules there are, and returns how many entries the buckets need. */
static size_t
count_entries(const struct residual *r, bool terms, struct residual_index *x)
{
    size_t entries = 0;

    for (uint32_t rank = 0; rank < r->n; rank++) {
        const struct residual_rule *rule = r->ranked[rank];

        if (terms && !rule->has_terms)
            continue;
        if (rule->keyed_by_name)
            entries += rule->tables.n + rule->functions.n;
        else if (rule->keyed_by_database)
            entries += rule->databases.n;
        x->has_named |= rule->keyed_by_name;
        x->has_databases |= rule->keyed_by_database;
    }
    return entries;
}

/* The index of all rules, or of those with terms. */
static enum err
build_index(const struct residual *r, bool terms, struct residual_index *x)
{
    size_t entries = count_entries(r, terms, x), slots;
    uint32_t *starts, *at, *ranks, total = 0;

    for (x->buckets = entries == 0 ? 0 : 1; x->buckets < entries;)
        x->buckets *= 2;
    slots = SLOT_BUCKETS + x->buckets;
    if ((starts = arena_array(r->arena, slots + 1, sizeof(*starts))) == NULL ||
        (at = arena_array(r->arena, slots, sizeof(*at))) == NULL)
        return fail(ERR_NOMEM, "not enough memory for the rules of a session");

    for (uint32_t rank = 0; rank < r->n; rank++)
        if (!terms || r->ranked[rank]->has_terms)
            put_in_slots(r, x, rank, at, NULL);
    for (size_t slot = 0; slot < slots; slot++) {
        starts[slot] = total;
        total += at[slot];
        at[slot] = starts[slot];
    }
    starts[slots] = total;
    if ((ranks = arena_array(r->arena, total + 1u, sizeof(*ranks))) == NULL)
        return fail(ERR_NOMEM, "not enough memory for the rules of a session");
    for (uint32_t rank = 0; rank < r->n; rank++)
        if (!terms || r->ranked[rank]->has_terms)
            put_in_slots(r, x, rank, at, ranks);
    x->starts = starts;
    x->ranks = ranks;
    return OK;
}

static enum err
build_indexes(struct residual *r, struct residual_rule *rules)
{
    enum err e;

    choose_keys(r, rules);
    if ((e = rank_rules(r, rules)) != OK || (e = build_index(r, false, &r->all)) != OK)
        return e;
    return r->has_terms ? build_index(r, true, &r->terms) : OK;
}

enum err
residual_decode(struct str bytes, struct residual **out)
{
    struct residual_rule *rules;
    struct residual *r;
    enum err e;

    if (bytes.len > RESIDUAL_BYTES_MAX)
        return fail(ERR_LIMIT, "the rules of a session need more than %d bytes",
                    RESIDUAL_BYTES_MAX);
    if ((r = calloc(1, sizeof(*r))) == NULL)
        return fail(ERR_NOMEM, "not enough memory for the rules of a session");
    if ((r->arena = arena_new(ARENA_BYTES_MAX)) == NULL ||
        (r->wire = arena_str(r->arena, bytes)).ptr == NULL)
        e = fail(ERR_NOMEM, "not enough memory for the rules of a session");
    else if ((e = residual_wire_read(r, &rules)) == OK && (e = build_indexes(r, rules)) == OK) {
        *out = r;
        return OK;
    }
    residual_free(r);
    return e;
}

enum err
residual_encode(const struct residual *r, struct buf *out)
{
    buf_put_str(out, r->wire);
    return buf_ok(out);
}

void
residual_free(struct residual *r)
{
    if (r == NULL)
        return;
    arena_free(r->arena);
    free(r);
}

bool
residual_allows_anything(const struct residual *r)
{
    bool any = false;

    for (uint32_t rank = 0; rank < r->n; rank++) {
        const struct residual_rule *rule = r->ranked[rank];

        if (rule->verdict != VERDICT_DENY)
            any = true;
        else if (rule->classes == 0 && rule->n_times == 0 && residual_rule_is_broad(rule))
            return false;
    }
    return any;
}

/* What read_only leaves. */
#define ONLY_READS (CLASSES(READ) | CLASSES(SESSION))

bool
residual_is_read_only(const struct residual *r)
{
    bool only_reads = true, says_so = false;

    for (uint32_t rank = 0; rank < r->n; rank++) {
        const struct residual_rule *rule = r->ranked[rank];

        if (rule->verdict == VERDICT_DENY)
            continue;
        if (rule->limits.read_only && rule->classes == 0 && rule->n_times == 0 &&
            residual_rule_is_broad(rule))
            return true;
        only_reads = only_reads && rule->classes != 0 && (rule->classes & ~ONLY_READS) == 0;
        says_so = says_so || rule->limits.read_only;
    }
    return only_reads && says_so;
}

/* --- deciding ----------------------------------------------------------------------------- */

/* How a rule stands to a demand (policy.h, "What a rule means"). */
enum fit { FIT_NOT, FIT_MAY, FIT_SURELY };

/* The smallest of each limit, the most of what is kept, and the rules (by rank) that name the
 * limits decided beforehand. */
struct gathered {
    struct limits limits;
    struct record_rule record;
    uint32_t by_max_tables, by_require_where, by_read_only;
};

/* The STEP_UP rules that hold the command, in the order of the configuration; one more than a
 * verdict has room for. */
struct steps {
    const struct residual_rule *rules[VERDICT_STEPS_MAX + 1];
    const struct demand *demands[VERDICT_STEPS_MAX + 1]; /* the first that each holds */
    size_t n;
};

/* What the rules say to one demand. */
struct finding {
    const struct residual *r;
    const struct command *command;
    const struct demand *demand;
    struct rule_moment moment;
    bool has_purpose;
    /* By verdict: the first rule that may apply, for ALLOW that surely does; or RANK_NONE. */
    uint32_t first[VERDICT_DENY + 1];
    bool permitted;
    struct steps steps;       /* of all demands */
    struct gathered gathered; /* for all demands */
    size_t visited;
};

bool
residual_rule_is_in_time(const struct residual_rule *rule, struct rule_moment moment)
{
    for (size_t i = 0; i < rule->n_times; i++)
        if (rule_time_holds(&rule->times[i], moment))
            return true;
    return rule->n_times == 0;
}

static enum fit
fit_objects(struct object_pattern_list list, const struct demand *demand)
{
    enum fit fit = FIT_NOT;

    for (size_t i = 0; i < list.n && fit != FIT_SURELY; i++) {
        const struct object_pattern *p = &list.items[i];

        if (!pattern_matches(&p->name, demand->name))
            continue;
        if (p->schema.kind == PATTERN_ANY)
            return FIT_SURELY;
        if (demand->schema.len == 0)
            fit = FIT_MAY;
        else if (pattern_matches(&p->schema, demand->schema))
            return FIT_SURELY;
    }
    return fit;
}

static enum fit
fit_schemas(struct pattern_list list, const struct demand *demand)
{
    switch (demand->kind) {
    case OBJECT_SCHEMA:
        return pattern_list_matches(list, demand->name) ? FIT_SURELY : FIT_NOT;
    case OBJECT_RELATION:
    case OBJECT_FUNCTION:
    case OBJECT_OTHER:
        break;
    default:
        return FIT_NOT;
    }
    if (demand->schema.len != 0)
        return pattern_list_matches(list, demand->schema) ? FIT_SURELY : FIT_NOT;
    for (size_t i = 0; i < list.n; i++)
        if (list.items[i].kind == PATTERN_ANY)
            return FIT_SURELY;
    return FIT_MAY;
}

static enum fit
fit_rule(const struct residual_rule *rule, const struct finding *f)
{
    const struct demand *demand = f->demand;
    enum fit fit = FIT_SURELY;

    if (rule->classes != 0 && (rule->classes & demand->classes) == 0)
        return FIT_NOT;
    if (rule->tables.n != 0 || rule->functions.n != 0) {
        if (demand->kind == OBJECT_RELATION)
            fit = fit_objects(rule->tables, demand);
        else if (demand->kind == OBJECT_FUNCTION)
            fit = fit_objects(rule->functions, demand);
        else
            fit = FIT_NOT;
        if (fit == FIT_NOT)
            return FIT_NOT;
    }
    if (rule->schemas.n != 0) {
        enum fit schemas = fit_schemas(rule->schemas, demand);

        fit = schemas < fit ? schemas : fit;
        if (fit == FIT_NOT)
            return FIT_NOT;
    }
    if (rule->databases.n != 0 && !pattern_list_matches(rule->databases, f->command->database))
        return FIT_NOT;
    return residual_rule_is_in_time(rule, f->moment) ? fit : FIT_NOT;
}

/* Adds a rule that may apply, unless what it wants of humans is wanted already. */
static void
add_step(struct steps *steps, const struct residual_rule *rule, const struct demand *demand)
{
    size_t i = 0, last = steps->n;

    for (size_t k = 0; k < steps->n; k++)
        if (steps->rules[k]->step == rule->step) {
            if (steps->rules[k]->order <= rule->order)
                return;
            last = k; /* its place is taken by this one, which comes earlier */
        }
    while (i < last && steps->rules[i]->order < rule->order)
        i++;
    if (i > VERDICT_STEPS_MAX)
        return;
    if (last == steps->n && steps->n <= VERDICT_STEPS_MAX)
        steps->n++;
    else if (last == steps->n)
        last--;
    memmove(&steps->rules[i + 1], &steps->rules[i], (last - i) * sizeof(steps->rules[0]));
    memmove(&steps->demands[i + 1], &steps->demands[i], (last - i) * sizeof(steps->demands[0]));
    steps->rules[i] = rule;
    steps->demands[i] = demand;
}

/* What a rule is when it is known whether there is a purpose. */
static enum verdict_kind
kind_of(const struct finding *f, const struct residual_rule *rule)
{
    return rule->verdict == VERDICT_DEFER && f->has_purpose ? VERDICT_ALLOW : rule->verdict;
}

/* Of two rules that permit, the earlier one in the configuration. */
static bool
is_earlier(const struct finding *f, uint32_t rank)
{
    uint32_t first = f->first[VERDICT_ALLOW];

    return first == RANK_NONE || f->r->ranked[rank]->order < f->r->ranked[first]->order;
}

/* Takes note of a rule that fits the demand. */
static void
note_rule(struct finding *f, uint32_t rank, enum verdict_kind kind, enum fit fit)
{
    if (kind == VERDICT_ALLOW ? is_earlier(f, rank) : rank < f->first[kind])
        f->first[kind] = rank;
    if (kind == VERDICT_STEP_UP)
        add_step(&f->steps, f->r->ranked[rank], f->demand);
    if (fit == FIT_SURELY && kind != VERDICT_DENY)
        f->permitted = true;
}

/* Whether a rule that fits could still change the finding. */
static bool
matters(const struct finding *f, uint32_t rank, enum verdict_kind kind)
{
    if (kind == VERDICT_ALLOW)
        return is_earlier(f, rank);
    return kind == VERDICT_STEP_UP || rank < f->first[kind] || !f->permitted;
}

/* Looks through one slot; stops where nothing later in it can change the finding. */
static void
look_in_slot(struct finding *f, size_t slot)
{
    const struct residual *r = f->r;

    for (uint32_t i = r->all.starts[slot]; i < r->all.starts[slot + 1]; i++) {
        uint32_t rank = r->all.ranks[i];
        const struct residual_rule *rule = r->ranked[rank];
        enum verdict_kind kind = kind_of(f, rule);
        bool final = rule->verdict == VERDICT_DENY || rule->verdict == VERDICT_ALLOW;
        enum fit fit;

        if (final && (kind == VERDICT_ALLOW ? !is_earlier(f, rank) : rank >= f->first[kind]))
            return;
        f->visited++;
        if (!matters(f, rank, kind))
            continue;
        fit = fit_rule(rule, f);
        if (fit == FIT_NOT || (fit == FIT_MAY && kind == VERDICT_ALLOW))
            continue;
        note_rule(f, rank, kind, fit);
        if (final)
            return;
    }
}

/* Looks through the slots of `x` in which there can be rules about the demand. */
static void
look_in_slots(struct finding *f, const struct residual_index *x,
              void (*look)(struct finding *f, size_t slot))
{
    const struct demand *demand = f->demand;

    look(f, SLOT_EVERY_CLASS);
    for (class_set left = demand->classes & (CLASS_BIT(COMMAND_CLASS_COUNT) - 1); left != 0;
         left &= left - 1)
        look(f, SLOT_CLASSES + (size_t)__builtin_ctzll(left));
    if (x->has_databases)
        look(f, bucket_slot(x, KEY_DATABASE, pattern_hash(f->command->database)));
    if (x->has_named && (demand->kind == OBJECT_RELATION || demand->kind == OBJECT_FUNCTION))
        look(f, bucket_slot(x, demand->kind == OBJECT_RELATION ? KEY_TABLE : KEY_FUNCTION,
                            pattern_hash(demand->name)));
}

static void
look_up_demand(struct finding *f)
{
    f->permitted = false;
    for (int kind = 0; kind <= VERDICT_DENY; kind++)
        f->first[kind] = RANK_NONE;
    look_in_slots(f, &f->r->all, look_in_slot);
}

static void
set_verdict(struct verdict *v, const struct residual *r, uint32_t rank, const struct demand *demand)
{
    v->kind = r->ranked[rank]->verdict;
    v->rule = r->ranked[rank]->name;
    v->message = r->ranked[rank]->message;
    v->demand = demand;
}

/* The strongest hold on the demand; RANK_NONE: none. */
static uint32_t
strongest_hold(const struct finding *f)
{
    for (int kind = VERDICT_DEFER; kind > VERDICT_ALLOW; kind--)
        if (f->first[kind] != RANK_NONE)
            return f->first[kind];
    return RANK_NONE;
}

/* All that hold it must agree. */
static void
set_steps(const struct steps *steps, struct verdict *v)
{
    size_t n = steps->n > VERDICT_STEPS_MAX ? VERDICT_STEPS_MAX : steps->n;

    if (steps->n > VERDICT_STEPS_MAX) {
        *v = (struct verdict){.kind = VERDICT_DENY,
                              .rule = steps->rules[n]->name,
                              .message = STR("more rules want approvals of this command than can "
                                             "be asked for; split it"),
                              .demand = steps->demands[n]};
        return;
    }
    v->rule = steps->rules[0]->name;
    v->message = steps->rules[0]->message;
    v->demand = steps->demands[0];
    for (size_t i = 0; i < n; i++)
        v->steps[i] = &steps->rules[i]->held;
    v->n_steps = n;
}

/* By the rules alone, whatever their limits. */
static void
decide_by_rules(struct finding *f, struct verdict *verdict)
{
    const struct residual *r = f->r;
    const struct command *command = f->command;
    const struct demand *not_permitted = NULL;
    uint32_t hold = RANK_NONE, own;

    *verdict = (struct verdict){.kind = VERDICT_DENY, .rule = STR(""), .message = STR("")};
    for (size_t i = 0; i < command->n_demands; i++) {
        f->demand = &command->demands[i];
        look_up_demand(f);
        if (f->first[VERDICT_DENY] != RANK_NONE) {
            set_verdict(verdict, r, f->first[VERDICT_DENY], f->demand);
            return;
        }
        if (!f->permitted && not_permitted == NULL)
            not_permitted = f->demand;
        own = strongest_hold(f);
        if (own != RANK_NONE &&
            (hold == RANK_NONE || r->ranked[hold]->verdict < r->ranked[own]->verdict)) {
            hold = own;
            set_verdict(verdict, r, hold, f->demand);
        }
        if (i == 0 && hold == RANK_NONE && f->permitted) {
            set_verdict(verdict, r, f->first[VERDICT_ALLOW], NULL);
            if (verdict->kind == VERDICT_DEFER)
                verdict_approve(verdict);
        }
    }
    if (not_permitted != NULL)
        *verdict = (struct verdict){
            .kind = VERDICT_DENY, .rule = STR(""), .message = STR(""), .demand = not_permitted};
    else if (verdict->kind == VERDICT_STEP_UP)
        set_steps(&f->steps, verdict);
}

/* --- limits ------------------------------------------------------------------------------- */

/* Whether a limit with this value, of the rule with this rank, takes the place of another. */
static bool
is_tighter(uint64_t new, uint32_t new_rank, uint64_t old, uint32_t old_rank)
{
    return new != 0 && (old == 0 || new < old || (new == old &&new_rank < old_rank));
}

/* Whether the rule would change anything in what was gathered. */
static bool
tightens(const struct gathered *g, const struct residual_rule *rule, uint32_t rank)
{
    const struct limits *new = &rule->limits, *old = &g->limits;

    for (int i = 0; i < LIMIT_NUMBERS; i++)
        if (is_tighter(limits_number(new, i), 0, limits_number(old, i), 0))
            return true;
    if ((rule->record.rows && !g->record.rows) ||
        rule->record.retention_seconds > g->record.retention_seconds)
        return true;
    return is_tighter(new->max_tables, rank, old->max_tables, g->by_max_tables) ||
           is_tighter(new->require_where, rank, old->require_where, g->by_require_where) ||
           is_tighter(new->read_only, rank, old->read_only, g->by_read_only);
}

static void
tighten(struct gathered *g, const struct residual_rule *rule, uint32_t rank)
{
    const struct limits *new = &rule->limits, *old = &g->limits;

    if (is_tighter(new->max_tables, rank, old->max_tables, g->by_max_tables))
        g->by_max_tables = rank;
    if (is_tighter(new->require_where, rank, old->require_where, g->by_require_where))
        g->by_require_where = rank;
    if (is_tighter(new->read_only, rank, old->read_only, g->by_read_only))
        g->by_read_only = rank;
    limits_tighten(&g->limits, new);
    g->record.rows = g->record.rows || rule->record.rows;
    if (rule->record.retention_seconds > g->record.retention_seconds)
        g->record.retention_seconds = rule->record.retention_seconds;
}

static void
gather_from_slot(struct finding *f, size_t slot)
{
    const struct residual_index *x = &f->r->terms;

    for (uint32_t i = x->starts[slot]; i < x->starts[slot + 1]; i++) {
        uint32_t rank = x->ranks[i];
        const struct residual_rule *rule = f->r->ranked[rank];

        f->visited++;
        if (tightens(&f->gathered, rule, rank) && fit_rule(rule, f) != FIT_NOT)
            tighten(&f->gathered, rule, rank);
    }
}

static void
gather_terms(struct finding *f)
{
    for (size_t i = 0; i < f->command->n_demands; i++) {
        f->demand = &f->command->demands[i];
        look_in_slots(f, &f->r->terms, gather_from_slot);
    }
}

static void
refuse(struct verdict *v, const struct residual_rule *rule, struct str message,
       const struct demand *demand)
{
    *v = (struct verdict){
        .kind = VERDICT_DENY, .rule = rule->name, .message = message, .demand = demand};
}

static bool
is_system_schema(struct str schema)
{
    return str_is(schema, "pg_catalog") || str_is(schema, "information_schema") ||
           str_is(schema, "pg_toast");
}

static bool
is_counted(const struct demand *d)
{
    return d->kind == OBJECT_RELATION && !is_system_schema(d->schema);
}

static bool
is_first_of_its_name(const struct command *command, size_t at)
{
    const struct demand *d = &command->demands[at];

    for (size_t i = 0; i < at; i++)
        if (is_counted(&command->demands[i]) && str_equal(command->demands[i].name, d->name) &&
            str_equal(command->demands[i].schema, d->schema))
            return false;
    return true;
}

/* The demand that names one table too many; NULL if there is none. */
static const struct demand *
find_table_beyond(const struct command *command, uint64_t max)
{
    uint64_t n = 0;

    for (size_t i = 0; i < command->n_demands; i++)
        if (is_counted(&command->demands[i]) && is_first_of_its_name(command, i) && ++n > max)
            return &command->demands[i];
    return NULL;
}

static const struct demand *
find_demand(const struct command *command, class_set classes)
{
    for (size_t i = 0; i < command->n_demands; i++)
        if ((command->demands[i].classes & classes) != 0)
            return &command->demands[i];
    return NULL;
}

/* The limits that can be decided before anything runs. */
static void
decide_by_limits(const struct finding *f, struct verdict *v)
{
    const class_set changes = CLASS_EFFECTS_MASK & ~(CLASSES(READ) | CLASSES(SESSION));
    const struct gathered *g = &f->gathered;
    const struct residual_rule *const *ranked = f->r->ranked;
    const struct demand *d;

    v->limits = g->limits;
    v->record = g->record;
    if (g->limits.read_only && (d = find_demand(f->command, changes)) != NULL)
        refuse(v, ranked[g->by_read_only], STR("limit \"read_only\": nothing may be changed"), d);
    else if (g->limits.require_where && (d = find_demand(f->command, CLASSES(MASS_WRITE))) != NULL)
        refuse(v, ranked[g->by_require_where],
               (d->classes & CLASSES(TRUNCATE)) != 0
                   ? STR("limit \"require_where\": TRUNCATE takes all rows")
                   : STR("limit \"require_where\": UPDATE and DELETE need a WHERE that narrows"),
               d);
    else if (g->limits.max_tables != 0 &&
             (d = find_table_beyond(f->command, g->limits.max_tables)) != NULL)
        refuse(v, ranked[g->by_max_tables], ranked[g->by_max_tables]->tables_message, d);
}

void
residual_decide_counting(const struct residual *r, const struct command *command,
                         const struct decision_context *context, struct verdict *verdict,
                         size_t *visited)
{
    struct finding f = {.r = r, .command = command, .has_purpose = context->has_purpose};

    if (r->has_times)
        f.moment = rule_moment_at(context->wall_us);
    decide_by_rules(&f, verdict);
    if (r->has_terms && verdict->kind != VERDICT_DENY) {
        gather_terms(&f);
        decide_by_limits(&f, verdict);
    }
    *visited += f.visited;
}

void
residual_decide(const struct residual *r, const struct command *command,
                const struct decision_context *context, struct verdict *verdict)
{
    size_t visited = 0;

    residual_decide_counting(r, command, context, verdict, &visited);
}

void
verdict_approve(struct verdict *verdict)
{
    verdict->kind = VERDICT_ALLOW;
    verdict->message = STR("");
    verdict->demand = NULL;
    verdict->n_steps = 0;
}

void
verdict_protect(struct verdict *verdict, const struct command *command)
{
    if (verdict->kind == VERDICT_DENY)
        return;
    if (command->protected_use.len > 0)
        *verdict = (struct verdict){
            .kind = VERDICT_DENY, .rule = STR("protect"), .message = command->protected_use};
    else if (verdict->kind == VERDICT_ALLOW && command->masked.len > 0)
        verdict->kind = VERDICT_MODIFY;
}
