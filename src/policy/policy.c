#include "policy/policy.h"

#include <stdlib.h>

#include "base/table.h"
#include "policy/limits.h"
#include "policy/residual.h"

enum {
    ARENA_BYTES_MAX = 256 << 20,
    SIEVE_WORDS = 16, /* 1,024 bits: groups of a principal by hash */
};

/* A condition on a claim or a label: the key's value must match one of the patterns. */
struct keyed_patterns {
    struct str key;
    struct pattern_list values;
};

/* One rule: whom and what it is about, and the rest in the residual's wire form. */
struct compiled_rule {
    struct pattern_list resources;
    struct pattern_list groups;
    struct pattern_list subjects;
    struct pattern_list issuers;
    struct pattern_list protocols;
    const struct keyed_patterns *labels;
    size_t n_labels;
    const struct keyed_patterns *claims;
    size_t n_claims;
    const struct rule_network *sources;
    size_t n_sources;
    struct str wire;
    /* Of a rule that is asked when a session is opened, which has no wire form. */
    bool on_connect;
    struct str name;
    const struct rule_time *times;
    size_t n_times;
};

struct policy {
    struct arena *arena;
    struct compiled_rule *rules;
    size_t n;
};

/* What compiling needs besides. */
struct compiling {
    struct arena *arena;
    struct buf scratch;
    struct table *steps; /* what STEP_UP rules want, as bytes, to a place in `numbers` */
    uint32_t *numbers;   /* of each rule's step */
    uint32_t at;         /* the rule being compiled */
};

/* --- compiling ---------------------------------------------------------------------------- */

static enum err
out_of_memory(void)
{
    return fail(ERR_NOMEM, "not enough memory for the policies");
}

static enum err
copy_patterns(struct arena *arena, struct str_list from, struct pattern (*make)(struct str),
              struct pattern_list *to)
{
    struct pattern *items;

    if (from.n == 0)
        return OK;
    if ((items = arena_array(arena, from.n, sizeof(*items))) == NULL)
        return out_of_memory();
    for (size_t i = 0; i < from.n; i++) {
        struct str text = arena_str(arena, from.items[i]);

        if (text.ptr == NULL)
            return out_of_memory();
        items[i] = make(text);
    }
    *to = (struct pattern_list){items, from.n};
    return OK;
}

static enum err
copy_keyed(struct arena *arena, struct str key, struct str_list values, struct keyed_patterns *to)
{
    if ((to->key = arena_str(arena, key)).ptr == NULL)
        return out_of_memory();
    return copy_patterns(arena, values, pattern_make, &to->values);
}

static enum err
copy_labels(struct arena *arena, const struct policy_rule *from, struct compiled_rule *to)
{
    struct keyed_patterns *labels;
    enum err e;

    if (from->n_labels == 0)
        return OK;
    if ((labels = arena_array(arena, from->n_labels, sizeof(*labels))) == NULL)
        return out_of_memory();
    for (size_t i = 0; i < from->n_labels; i++)
        if ((e = copy_keyed(arena, from->labels[i].key, from->labels[i].values, &labels[i])) != OK)
            return e;
    to->labels = labels;
    to->n_labels = from->n_labels;
    return OK;
}

static enum err
copy_claims(struct arena *arena, const struct policy_rule *from, struct compiled_rule *to)
{
    struct keyed_patterns *claims;
    enum err e;

    if (from->n_claims == 0)
        return OK;
    if ((claims = arena_array(arena, from->n_claims, sizeof(*claims))) == NULL)
        return out_of_memory();
    for (size_t i = 0; i < from->n_claims; i++)
        if ((e = copy_keyed(arena, from->claims[i].path, from->claims[i].values, &claims[i])) != OK)
            return e;
    to->claims = claims;
    to->n_claims = from->n_claims;
    return OK;
}

static enum err
copy_sources(struct arena *arena, const struct policy_rule *from, struct compiled_rule *to)
{
    struct rule_network *sources;

    if (from->n_sources == 0)
        return OK;
    if ((sources = arena_array(arena, from->n_sources, sizeof(*sources))) == NULL)
        return out_of_memory();
    memcpy(sources, from->sources, from->n_sources * sizeof(*sources));
    to->sources = sources;
    to->n_sources = from->n_sources;
    return OK;
}

static enum err
check_rule(const struct policy_rule *rule)
{
    if (rule->verdict > VERDICT_DENY || rule->classes >> COMMAND_CLASS_COUNT != 0)
        return fail(ERR_INVALID, "policy \"%.*s\" has an unknown verdict or class",
                    STR_ARG(rule->name));
    if (rule->verdict == VERDICT_DENY &&
        (limits_any(&rule->limits) || rule->record.rows || rule->record.retention_seconds != 0))
        return fail(ERR_INVALID, "policy \"%.*s\" denies and has limits or a record",
                    STR_ARG(rule->name));
    if (rule->on == RULE_ON_CONNECT && rule->verdict != VERDICT_STEP_UP)
        return fail(ERR_INVALID, "policy \"%.*s\" is asked on connecting, but asks nobody",
                    STR_ARG(rule->name));
    for (size_t i = 0; i < rule->n_sources; i++)
        if (rule->sources[i].prefix_bits > 128)
            return fail(ERR_INVALID, "policy \"%.*s\" has a network of more than 128 bits",
                        STR_ARG(rule->name));
    for (size_t i = 0; i < rule->n_times; i++)
        if (rule->times[i].days > 0x7f || rule->times[i].from_minute > 1440 ||
            rule->times[i].to_minute > 1440)
            return fail(ERR_INVALID, "policy \"%.*s\" has a time that is not of the day",
                        STR_ARG(rule->name));
    return OK;
}

static void
put_list(struct buf *out, struct str_list list)
{
    buf_put_u32(out, (uint32_t)list.n);
    for (size_t i = 0; i < list.n; i++) {
        buf_put_u32(out, (uint32_t)list.items[i].len);
        buf_put_str(out, list.items[i]);
    }
}

/* All that a rule wants of humans, in bytes that are equal if it is. */
static void
put_step(struct buf *out, const struct step_up *s)
{
    put_list(out, s->approver_groups);
    put_list(out, s->approver_subjects);
    put_list(out, s->break_glass_groups);
    buf_put_u32(out, s->approvals);
    buf_put_u32(out, s->wait_seconds);
    buf_put_u32(out, s->wait_in_transaction_seconds);
    buf_put_u32(out, s->valid_seconds);
    buf_put_u8(out, s->reason_required);
    buf_put_u8(out, (uint8_t)s->scope);
    buf_put_u8(out, (uint8_t)s->preview);
}

/* A number that rules share if they want the same of the same humans. */
static enum err
number_step(struct compiling *c, const struct policy_rule *rule, uint32_t *number)
{
    const uint32_t *known;
    enum err e;

    *number = 0;
    if (rule->verdict != VERDICT_STEP_UP)
        return OK;
    buf_reset(&c->scratch);
    put_step(&c->scratch, &rule->step_up);
    if ((e = buf_ok(&c->scratch)) != OK)
        return e;
    if ((known = table_get(c->steps, buf_str(&c->scratch))) != NULL) {
        *number = *known;
        return OK;
    }
    c->numbers[c->at] = *number = c->at;
    return table_put(c->steps, buf_str(&c->scratch), &c->numbers[c->at], NULL);
}

/* What is left to decide of a rule, once it is known to concern a session. */
static enum err
compile_rest(struct compiling *c, const struct policy_rule *from, struct compiled_rule *to)
{
    struct rule_time *times;
    uint32_t step;
    enum err e;

    if (from->on == RULE_ON_CONNECT) {
        to->on_connect = true;
        to->name = arena_str(c->arena, from->name);
        times = arena_array(c->arena, from->n_times + 1, sizeof(*times));
        if (to->name.ptr == NULL || times == NULL)
            return out_of_memory();
        if (from->n_times > 0)
            memcpy(times, from->times, from->n_times * sizeof(*times));
        to->times = times;
        to->n_times = from->n_times;
        return OK;
    }
    if ((e = number_step(c, from, &step)) != OK)
        return e;
    buf_reset(&c->scratch);
    residual_wire_put_rule(&c->scratch, from, step);
    if ((e = buf_ok(&c->scratch)) != OK)
        return e;
    to->wire = arena_str(c->arena, buf_str(&c->scratch));
    return to->wire.ptr == NULL ? out_of_memory() : OK;
}

static enum err
compile_rule(struct compiling *c, const struct policy_rule *from, struct compiled_rule *to)
{
    struct arena *arena = c->arena;
    enum err e;

    if ((e = check_rule(from)) != OK ||
        (e = copy_patterns(arena, from->resources, pattern_make, &to->resources)) != OK ||
        (e = copy_patterns(arena, from->groups, pattern_make, &to->groups)) != OK ||
        (e = copy_patterns(arena, from->subjects, pattern_make, &to->subjects)) != OK ||
        (e = copy_patterns(arena, from->issuers, pattern_make_exact, &to->issuers)) != OK ||
        (e = copy_patterns(arena, from->protocols, pattern_make_exact, &to->protocols)) != OK ||
        (e = copy_labels(arena, from, to)) != OK || (e = copy_claims(arena, from, to)) != OK ||
        (e = copy_sources(arena, from, to)) != OK)
        return e;
    return compile_rest(c, from, to);
}

static enum err
compile_rules(struct policy *p, const struct policy_rule *rules, size_t n)
{
    struct compiling c = {.arena = p->arena,
                          .scratch = buf_make(RESIDUAL_BYTES_MAX),
                          .steps = table_new(n + 1),
                          .numbers = calloc(n + 1, sizeof(*c.numbers))};
    enum err e = c.steps == NULL || c.numbers == NULL ? out_of_memory() : OK;

    for (; e == OK && p->n < n; p->n++, c.at++)
        e = compile_rule(&c, &rules[p->n], &p->rules[p->n]);
    buf_free(&c.scratch);
    table_free(c.steps);
    free(c.numbers);
    return e;
}

enum err
policy_compile(const struct policy_rule *rules, size_t n, struct policy **out)
{
    struct policy *p;
    enum err e;

    if (n > POLICY_RULES_MAX)
        return fail(ERR_LIMIT, "there are %zu policies, more than %d", n, POLICY_RULES_MAX);
    if ((p = calloc(1, sizeof(*p))) == NULL)
        return out_of_memory();
    if ((p->arena = arena_new(ARENA_BYTES_MAX)) == NULL ||
        (n != 0 && (p->rules = arena_array(p->arena, n, sizeof(*p->rules))) == NULL))
        e = out_of_memory();
    else
        e = compile_rules(p, rules, n);
    if (e != OK) {
        policy_free(p);
        return e;
    }
    *out = p;
    return OK;
}

void
policy_free(struct policy *p)
{
    if (p == NULL)
        return;
    arena_free(p->arena);
    free(p);
}

/* --- specialising ------------------------------------------------------------------------- */

/* The request with what would otherwise be computed again for each rule. */
struct prepared {
    const struct policy_request *request;
    uint32_t subject, issuer, resource, protocol; /* hashes */
    uint64_t groups[SIEVE_WORDS];
};

static struct prepared
prepare(const struct policy_request *request)
{
    struct prepared p = {
        .request = request,
        .subject = pattern_hash(request->subject),
        .issuer = pattern_hash(request->issuer),
        .resource = pattern_hash(request->resource),
        .protocol = pattern_hash(request->protocol),
    };

    for (size_t i = 0; i < request->groups.n; i++) {
        uint32_t hash = pattern_hash(request->groups.items[i]);

        p.groups[hash / 64 % SIEVE_WORDS] |= (uint64_t)1 << hash % 64;
    }
    return p;
}

static bool
list_holds(struct pattern_list list, struct str s, uint32_t hash)
{
    for (size_t i = 0; i < list.n; i++)
        if (pattern_matches_hashed(&list.items[i], s, hash))
            return true;
    return list.n == 0;
}

static bool
groups_hold(struct pattern_list list, const struct prepared *p)
{
    for (size_t i = 0; i < list.n; i++) {
        const struct pattern *pattern = &list.items[i];

        if (pattern->kind == PATTERN_EXACT &&
            (p->groups[pattern->hash / 64 % SIEVE_WORDS] >> pattern->hash % 64 & 1) == 0)
            continue;
        for (size_t g = 0; g < p->request->groups.n; g++)
            if (pattern_matches(pattern, p->request->groups.items[g]))
                return true;
    }
    return list.n == 0;
}

static bool
labels_hold(const struct compiled_rule *rule, const struct policy_request *request)
{
    for (size_t i = 0; i < rule->n_labels; i++) {
        const struct keyed_patterns *wanted = &rule->labels[i];
        bool held = false;

        for (size_t l = 0; l < request->n_labels && !held; l++)
            for (size_t v = 0; v < request->labels[l].values.n && !held; v++)
                held = str_equal(wanted->key, request->labels[l].key) &&
                       (wanted->values.n == 0 ||
                        pattern_list_matches(wanted->values, request->labels[l].values.items[v]));
        if (!held)
            return false;
    }
    return true;
}

static bool
claims_hold(const struct compiled_rule *rule, const struct policy_request *request)
{
    for (size_t i = 0; i < rule->n_claims; i++) {
        const struct keyed_patterns *wanted = &rule->claims[i];
        bool held = false;

        for (size_t c = 0; c < request->n_claims && !held; c++)
            held = str_equal(wanted->key, request->claims[c].path) &&
                   (wanted->values.n == 0 ||
                    pattern_list_matches(wanted->values, request->claims[c].value));
        if (!held)
            return false;
    }
    return true;
}

static bool
sources_hold(const struct compiled_rule *rule, const struct in6_addr *source)
{
    for (size_t i = 0; i < rule->n_sources; i++)
        if (rule_network_contains(&rule->sources[i], source))
            return true;
    return rule->n_sources == 0;
}

static bool
rule_concerns(const struct compiled_rule *rule, const struct prepared *p)
{
    const struct policy_request *request = p->request;

    return list_holds(rule->resources, request->resource, p->resource) &&
           groups_hold(rule->groups, p) &&
           list_holds(rule->subjects, request->subject, p->subject) &&
           list_holds(rule->protocols, request->protocol, p->protocol) &&
           list_holds(rule->issuers, request->issuer, p->issuer) && labels_hold(rule, request) &&
           claims_hold(rule, request) && sources_hold(rule, &request->source);
}

static bool
is_in_time(const struct compiled_rule *rule, struct rule_moment moment)
{
    for (size_t i = 0; i < rule->n_times; i++)
        if (rule_time_holds(&rule->times[i], moment))
            return true;
    return rule->n_times == 0;
}

bool
policy_connect(const struct policy *p, const struct policy_request *request, int64_t wall_us,
               struct policy_connect *out)
{
    struct prepared prepared = prepare(request);
    struct rule_moment moment = rule_moment_at(wall_us);

    for (size_t i = 0; i < p->n; i++)
        if (p->rules[i].on_connect && is_in_time(&p->rules[i], moment) &&
            rule_concerns(&p->rules[i], &prepared)) {
            out->rule = p->rules[i].name;
            return true;
        }
    return false;
}

enum err
policy_specialise(const struct policy *p, const struct policy_request *request,
                  struct residual **out)
{
    struct buf wire = buf_make(RESIDUAL_BYTES_MAX);
    struct prepared prepared = prepare(request);
    uint32_t count = 0;
    enum err e;

    residual_wire_begin(&wire);
    for (size_t i = 0; i < p->n; i++)
        if (!p->rules[i].on_connect && rule_concerns(&p->rules[i], &prepared)) {
            buf_put_str(&wire, p->rules[i].wire);
            count++;
        }
    if ((e = buf_ok(&wire)) == OK) {
        residual_wire_set_count(&wire, 0, count);
        e = residual_decode(buf_str(&wire), out);
    }
    buf_free(&wire);
    return e;
}
