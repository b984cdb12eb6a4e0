#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/table.h"
#include "config/config.h"
#include "control/dry_run_text.h"
#include "control/search_walk.h"
#include "policy/policy.h"

enum {
    CONFIG_ARENA_MAX = 512 << 20,
    REPORT_BYTES_MAX = 1 << 20,
    SITUATIONS_MAX = 4096, /* kept at a time */
    SITUATION_KEY_BYTES = 64 << 10,
    SESSIONS_MAX = 65536, /* whose source is kept */
    RECORD_ARENA_MAX = 8 << 20,
    STATEMENT_SHOWN_MAX = 2048,
    GROUPS_MAX = 4096,
    POLICIES_BYTES_MAX = 1 << 20,
};

/* A configuration with its policies compiled. */
struct side {
    struct config *config;
    struct policy *policy;
};

/* What is left of both for one principal on one resource from one place. */
struct situation {
    struct residual *now, *then;
};

struct example {
    struct arena *arena; /* of the texts; NULL: an empty place */
    uint64_t record;
    struct str time, subject, resource, statement, message, rule_was, rule_would;
    enum verdict_kind was, would;
    char recorded[16];
};

struct dry_run {
    struct arena *arena;  /* of both configurations */
    struct arena *record; /* emptied for each */
    struct side now, then;
    struct table *situations; /* by who, where and whence */
    struct table *sources;    /* of sessions: text of the caller's, by their id */
    struct buf key;
    char from[LEDGER_TIME_BYTES];

    struct example examples[SEARCH_DRY_RUN_EXAMPLES]; /* a ring */
    uint64_t commands, sessions, changed, damaged;
    uint64_t counts[VERDICT_DENY + 1][VERDICT_DENY + 1];
    uint64_t no_source, no_resource, no_identity, drifted;
    bool incomplete;
};

/* --- the two sides ----------------------------------------------------------------------- */

static enum err
parse_side(struct str text, struct str path, struct dry_run *d, struct buf *report,
           struct side *out)
{
    struct config_report problems = {.text = report};
    enum err e = config_parse(text, path, d->arena, &problems, &out->config);

    if (e == OK)
        e = policy_compile(out->config->policies, out->config->n_policies, &out->policy);
    return e;
}

static unsigned
count_lines(struct str text)
{
    unsigned n = 1;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

static enum err
parse_changed(struct dry_run *d, const struct search_dry_run *run, struct buf *report)
{
    struct buf text = buf_make(CONFIG_BYTES_MAX + POLICIES_BYTES_MAX + 64);
    struct buf raw = buf_make(REPORT_BYTES_MAX);
    unsigned shift = 0;
    enum err e;

    if (run->policies.len > POLICIES_BYTES_MAX)
        e = fail(ERR_INVALID, "policies of more than %d bytes", POLICIES_BYTES_MAX);
    else if ((e = dry_run_text(run->config_text, run->policies, &text, &shift)) == OK)
        e = parse_side(buf_str(&text), STR("policies"), d, &raw, &d->then);
    if (report != NULL)
        dry_run_report(buf_str(&raw), STR("policies"), shift, count_lines(run->policies), report);
    buf_free_secret(&text);
    buf_free(&raw);
    return e;
}

static enum err
parse_both(struct dry_run *d, const struct search_dry_run *run, struct buf *report)
{
    struct buf ignored = buf_make(REPORT_BYTES_MAX);
    enum err e = parse_side(run->config_text, run->config_path, d, &ignored, &d->now);

    buf_free(&ignored);
    return e != OK ? e : parse_changed(d, run, report);
}

/* --- who, where, whence ------------------------------------------------------------------ */

static void
free_situation(struct str key, void *value, void *arg)
{
    struct situation *s = value;

    (void)key;
    (void)arg;
    residual_free(s->now);
    residual_free(s->then);
    free(s);
}

static enum err
forget_situations(struct dry_run *d)
{
    table_each(d->situations, free_situation, NULL);
    table_free(d->situations);
    d->situations = table_new(SITUATIONS_MAX);
    return d->situations == NULL ? fail(ERR_NOMEM, "no memory for a dry run") : OK;
}

/* The principal and the place of a recorded command. */
struct scene {
    struct policy_request request;
    const struct config_resource *now, *then; /* the resource; NULL: not (any more) there */
};

/* The groups of an identity, in the record's arena. */
static enum err
read_groups(struct dry_run *d, const json_t *identity, struct str_list *out)
{
    const json_t *groups = json_object_get(identity, "groups"), *group;
    struct str *items;
    size_t i;

    *out = (struct str_list){0};
    if (json_array_size(groups) > GROUPS_MAX)
        return fail(ERR_INVALID, "an identity with more than %d groups", GROUPS_MAX);
    if ((items = arena_array(d->record, json_array_size(groups) + 1, sizeof(*items))) == NULL)
        return fail(ERR_NOMEM, "no memory for a dry run");
    json_array_foreach(groups, i, group)
    {
        if (json_is_string(group))
            items[out->n++] = (struct str){json_string_value(group), json_string_length(group)};
    }
    out->items = items;
    return OK;
}

static bool
read_source(const struct dry_run *d, struct str session, struct in6_addr *out)
{
    const char *text = table_get(d->sources, session);
    struct in_addr v4;

    *out = (struct in6_addr){0};
    if (text == NULL)
        return false;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        out->s6_addr[10] = out->s6_addr[11] = 0xff;
        memcpy(&out->s6_addr[12], &v4, sizeof(v4));
        return true;
    }
    return inet_pton(AF_INET6, text, out) == 1;
}

static enum err
read_scene(struct dry_run *d, const json_t *record, struct scene *out)
{
    const json_t *identity = json_object_get(record, "identity");
    struct policy_request *r = &out->request;

    *out = (struct scene){0};
    r->subject = ledger_member(identity, "subject");
    r->issuer = ledger_member(identity, "issuer");
    r->resource = ledger_member(record, "resource");
    out->now = config_find_resource(d->now.config, r->resource);
    out->then = config_find_resource(d->then.config, r->resource);
    d->no_identity += r->subject.len == 0;
    d->no_resource += r->subject.len > 0 && out->then == NULL;
    d->no_source += !read_source(d, ledger_member(record, "session"), &r->source);
    return read_groups(d, identity, &r->groups);
}

static void
put_key(struct buf *key, const struct policy_request *r)
{
    buf_reset(key);
    buf_put_str(key, r->subject);
    buf_put_u8(key, '\0');
    buf_put_str(key, r->issuer);
    buf_put_u8(key, '\0');
    buf_put_str(key, r->resource);
    buf_put_u8(key, '\0');
    buf_put(key, &r->source, sizeof(r->source));
    for (size_t i = 0; i < r->groups.n; i++) {
        buf_put_str(key, r->groups.items[i]);
        buf_put_u8(key, '\0');
    }
}

static enum err
specialise(const struct side *side, const struct config_resource *resource,
           struct policy_request request, struct residual **out)
{
    request.protocol = resource->protocol;
    request.labels = resource->labels;
    request.n_labels = resource->n_labels;
    return policy_specialise(side->policy, &request, out);
}

static enum err
find_situation(struct dry_run *d, const struct scene *scene, struct situation **out)
{
    struct situation *s;
    enum err e;

    put_key(&d->key, &scene->request);
    if ((e = buf_ok(&d->key)) != OK)
        return e;
    if ((*out = table_get(d->situations, buf_str(&d->key))) != NULL)
        return OK;
    if (table_count(d->situations) >= SITUATIONS_MAX && (e = forget_situations(d)) != OK)
        return e;
    if ((s = calloc(1, sizeof(*s))) == NULL)
        return fail(ERR_NOMEM, "no memory for a dry run");
    if ((e = specialise(&d->now, scene->now, scene->request, &s->now)) != OK ||
        (e = specialise(&d->then, scene->then, scene->request, &s->then)) != OK ||
        (e = table_put(d->situations, buf_str(&d->key), s, NULL)) != OK) {
        free_situation((struct str){"", 0}, s, NULL);
        return e;
    }
    *out = s;
    return OK;
}

/* --- what -------------------------------------------------------------------------------- */

static class_set
read_classes(const json_t *fact)
{
    const json_t *classes = json_object_get(fact, "classes"), *name;
    enum command_class found;
    class_set set = 0;
    size_t i;

    if (class_find(ledger_member(fact, "effect"), &found) == OK)
        set |= CLASS_BIT(found);
    json_array_foreach(classes, i, name)
    {
        if (json_is_string(name) && class_find(str_from(json_string_value(name)), &found) == OK)
            set |= CLASS_BIT(found);
    }
    return set;
}

static enum object_kind
read_kind(struct str name)
{
    for (int kind = 0; kind < OBJECT_KIND_COUNT; kind++)
        if (str_is(name, object_kind_name((enum object_kind)kind)))
            return (enum object_kind)kind;
    return OBJECT_OTHER;
}

/* The command as the record has it; in the record's arena, and borrowing from it. */
static enum err
read_command(struct dry_run *d, const json_t *record, struct command *out)
{
    const json_t *facts = json_object_get(record, "facts"), *fact;
    struct demand *demands;
    size_t i;

    *out = (struct command){.text = ledger_member(record, "statement"),
                            .database = ledger_member(record, "database"),
                            .purpose = ledger_member(record, "purpose"),
                            .masked = ledger_member(record, "masked"),
                            .protected_column = ledger_member(record, "protected")};
    if (out->protected_column.len > 0)
        out->protected_use = ledger_member(record, "message");
    if (json_array_size(facts) > COMMAND_DEMANDS_MAX)
        return fail(ERR_INVALID, "a command with more than %d facts", COMMAND_DEMANDS_MAX);
    demands = arena_array(d->record, json_array_size(facts) + 1, sizeof(*demands));
    if (demands == NULL)
        return fail(ERR_NOMEM, "no memory for a dry run");
    json_array_foreach(facts, i, fact)
    {
        demands[out->n_demands++] = (struct demand){.classes = read_classes(fact),
                                                    .kind = read_kind(ledger_member(fact, "kind")),
                                                    .schema = ledger_member(fact, "schema"),
                                                    .name = ledger_member(fact, "name")};
    }
    out->demands = demands;
    return OK;
}

/* As the gate does. */
static void
decide(const struct residual *residual, const struct command *command, int64_t wall_us,
       struct verdict *out)
{
    const struct decision_context context = {.wall_us = wall_us,
                                             .has_purpose = command->purpose.len > 0};

    residual_decide(residual, command, &context, out);
    verdict_protect(out, command);
}

static int64_t
read_time(struct str time)
{
    char text[LEDGER_TIME_BYTES];
    struct tm tm;

    (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(time));
    if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
        return 0;
    return (int64_t)timegm(&tm) * 1000000;
}

/* --- what changes ------------------------------------------------------------------------ */

static struct str
shorten(struct str s)
{
    if (s.len <= STATEMENT_SHOWN_MAX)
        return s;
    s.len = STATEMENT_SHOWN_MAX;
    while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
        s.len--;
    return s;
}

static enum err
keep_example(struct dry_run *d, const json_t *record, const struct line *line,
             const struct verdict *was, const struct verdict *would)
{
    struct example *x = &d->examples[d->changed % SEARCH_DRY_RUN_EXAMPLES];
    const struct {
        struct str *to, from;
    } texts[] = {{&x->time, line->time},
                 {&x->subject, ledger_subject(record)},
                 {&x->resource, ledger_member(record, "resource")},
                 {&x->statement, shorten(ledger_member(record, "statement"))},
                 {&x->message, would->message},
                 {&x->rule_was, was->rule},
                 {&x->rule_would, would->rule}};

    if (x->arena == NULL && (x->arena = arena_new(64 << 10)) == NULL)
        return fail(ERR_NOMEM, "no memory for a dry run");
    arena_reset(x->arena);
    x->record = line->seq;
    x->was = was->kind;
    x->would = would->kind;
    (void)snprintf(x->recorded, sizeof(x->recorded), "%.*s",
                   STR_ARG(ledger_member(record, "verdict")));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if ((*texts[i].to = arena_str(x->arena, texts[i].from)).ptr == NULL)
            return fail(ERR_NOMEM, "no memory for a dry run");
    return OK;
}

static enum err
take_intent(struct dry_run *d, const json_t *record, const struct line *line)
{
    struct verdict was, would;
    struct situation *situation;
    struct command command;
    struct scene scene;
    enum err e;

    arena_reset(d->record);
    d->commands++;
    if ((e = read_scene(d, record, &scene)) != OK || (e = read_command(d, record, &command)) != OK)
        return e;
    if (scene.request.subject.len == 0 || scene.now == NULL || scene.then == NULL)
        return OK;
    if ((e = find_situation(d, &scene, &situation)) != OK)
        return e;
    decide(situation->now, &command, read_time(line->time), &was);
    decide(situation->then, &command, read_time(line->time), &would);
    d->drifted += !str_is(ledger_member(record, "verdict"), verdict_kind_name(was.kind));
    if (was.kind == would.kind)
        return OK;
    d->counts[was.kind][would.kind]++;
    e = keep_example(d, record, line, &was, &would);
    d->changed++;
    return e;
}

/* Where a session comes from stands only in its first record. */
static void
take_session(struct dry_run *d, const json_t *record)
{
    struct str source = ledger_member(record, "source");
    void *old = NULL;
    char *text;

    d->sessions++;
    if (table_count(d->sources) >= SESSIONS_MAX || (text = strndup(source.ptr, source.len)) == NULL)
        return;
    if (table_put(d->sources, ledger_member(record, "session"), text, &old) != OK)
        free(text);
    free(old);
}

static enum err
take_record(struct dry_run *d, struct str text, const struct line *line)
{
    bool intent = str_is(line->type, "command_intent");
    bool opened = str_is(line->type, "session_opened");
    bool closed = str_is(line->type, "session_closed");
    json_t *record;
    enum err e = OK;

    if ((!intent && !opened && !closed) ||
        (intent && str_compare(line->time, str_from(d->from)) < 0))
        return OK;
    if ((record = search_parse(text, line)) == NULL) {
        d->damaged++;
        return OK;
    }
    if (opened)
        take_session(d, record);
    else if (closed)
        free(table_remove(d->sources, ledger_member(record, "session")));
    else if ((e = take_intent(d, record, line)) == ERR_INVALID) {
        d->damaged++;
        e = OK;
    }
    json_decref(record);
    return e;
}

static enum err
read_ledger(struct dry_run *d, const char *directory, search_stop *stop)
{
    struct search_budget budget = search_budget(SEARCH_DRY_RUN_BUDGET_MS, stop);
    struct walk *walk;
    struct str text;
    struct line line;
    enum err e;

    if ((e = walk_open(directory, &walk)) != OK)
        return e;
    e = walk_to_time(walk, str_from(d->from), false);
    while (e == OK && (e = walk_next(walk, &text, &line)) == OK) {
        e = take_record(d, text, &line);
        if (e == OK && search_spent(&budget, text.len)) {
            d->incomplete = true;
            break;
        }
    }
    d->damaged += walk_damaged(walk);
    walk_close(walk);
    if (budget.canceled)
        return fail(ERR_CANCELED, "the dry run was given up");
    return e == ERR_CLOSED ? OK : e;
}

/* --- the answer -------------------------------------------------------------------------- */

static void
write_examples(const struct dry_run *d, struct json *j)
{
    uint64_t n = d->changed < SEARCH_DRY_RUN_EXAMPLES ? d->changed : SEARCH_DRY_RUN_EXAMPLES;

    for (uint64_t i = 0; i < n; i++) {
        const struct example *x = &d->examples[(d->changed - 1 - i) % SEARCH_DRY_RUN_EXAMPLES];

        json_open(j, '{');
        json_field_uint(j, "record", x->record);
        json_field_str(j, "time", x->time);
        json_field_str(j, "subject", x->subject);
        json_field_str(j, "resource", x->resource);
        json_field_str(j, "statement", x->statement);
        json_field_text(j, "recorded", x->recorded);
        json_field_text(j, "was", verdict_kind_name(x->was));
        json_field_text(j, "would", verdict_kind_name(x->would));
        json_field_str(j, "rule_was", x->rule_was);
        json_field_str(j, "rule_would", x->rule_would);
        json_field_str(j, "message", x->message);
        json_close(j, '}');
    }
}

static void
write_counts(const struct dry_run *d, struct json *j)
{
    for (int was = 0; was <= VERDICT_DENY; was++)
        for (int would = 0; would <= VERDICT_DENY; would++)
            if (d->counts[was][would] > 0) {
                char key[64];

                (void)snprintf(key, sizeof(key), "%s to %s",
                               verdict_kind_name((enum verdict_kind)was),
                               verdict_kind_name((enum verdict_kind)would));
                json_field_uint(j, key, d->counts[was][would]);
            }
}

struct mentions {
    bool claims, sources, connect, counted_limits;
};

/* What rules ask for that the ledger does not tell. */
static void
look_for_mentions(const struct side *side, struct mentions *m)
{
    for (size_t i = 0; i < side->config->n_policies; i++) {
        const struct policy_rule *rule = &side->config->policies[i];

        m->claims |= rule->n_claims > 0;
        m->sources |= rule->n_sources > 0;
        m->connect |= rule->on == RULE_ON_CONNECT;
        m->counted_limits |= rule->limits.rows_per_command > 0 ||
                             rule->limits.rows_per_session > 0 ||
                             rule->limits.bytes_per_command > 0 ||
                             rule->limits.seconds_per_command > 0 ||
                             rule->limits.max_affected_rows > 0;
    }
}

static void
write_unknown(const struct dry_run *d, struct json *j)
{
    struct mentions m = {0};
    char text[256];

    look_for_mentions(&d->now, &m);
    look_for_mentions(&d->then, &m);
    if (m.claims)
        json_str(j, STR("Claims of tokens are not recorded: rules with `claims` were taken not to "
                        "apply to anybody."));
    if (m.sources && d->no_source > 0) {
        (void)snprintf(text, sizeof(text),
                       "Where %llu commands came from is not known, for their sessions were opened "
                       "earlier: rules with `sources` were taken not to apply to them.",
                       (unsigned long long)d->no_source);
        json_str(j, str_from(text));
    }
    if (m.connect)
        json_str(j, STR("Rules with `on: connect` are asked when a session is opened: not "
                        "considered."));
    if (m.counted_limits)
        json_str(j, STR("Limits that count while a command runs (rows, bytes, seconds) were not "
                        "considered; require_where, max_tables and read_only were."));
    json_str(j, STR("What was refused has no recorded lineage: whether masking would let it run is "
                    "not known."));
    if (d->no_resource > 0 || d->no_identity > 0) {
        (void)snprintf(
            text, sizeof(text),
            "%llu commands were left out: their resource is not in the configuration any "
            "more, or who sent them is not recorded.",
            (unsigned long long)(d->no_resource + d->no_identity));
        json_str(j, str_from(text));
    }
    if (d->drifted > 0) {
        (void)snprintf(text, sizeof(text),
                       "%llu commands were decided otherwise at the time than the policy in force "
                       "would now: `recorded` says how. Compared is with the policy in force.",
                       (unsigned long long)d->drifted);
        json_str(j, str_from(text));
    }
}

static enum err
write_answer(const struct dry_run *d, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    json_field_uint(&j, "commands", d->commands);
    json_field_uint(&j, "sessions", d->sessions);
    json_field_uint(&j, "changed_total", d->changed);
    json_key(&j, "changed");
    json_open(&j, '[');
    write_examples(d, &j);
    json_close(&j, ']');
    json_key(&j, "counts");
    json_open(&j, '{');
    write_counts(d, &j);
    json_close(&j, '}');
    json_key(&j, "unknown");
    json_open(&j, '[');
    write_unknown(d, &j);
    json_close(&j, ']');
    json_field_bool(&j, "incomplete", d->incomplete);
    json_field_uint(&j, "damaged", d->damaged);
    json_close(&j, '}');
    return buf_ok(out);
}

static void
free_text(struct str key, void *value, void *arg)
{
    (void)key;
    (void)arg;
    free(value);
}

static void
end(struct dry_run *d)
{
    if (d->situations != NULL)
        table_each(d->situations, free_situation, NULL);
    table_free(d->situations);
    if (d->sources != NULL)
        table_each(d->sources, free_text, NULL);
    table_free(d->sources);
    for (size_t i = 0; i < SEARCH_DRY_RUN_EXAMPLES; i++)
        arena_free(d->examples[i].arena);
    policy_free(d->now.policy);
    policy_free(d->then.policy);
    buf_free(&d->key);
    arena_free(d->record);
    arena_free(d->arena);
    free(d);
}

enum err
search_dry_run(const char *directory, const struct search_dry_run *run, search_stop *stop,
               struct buf *report, struct buf *out)
{
    struct dry_run *d;
    char from[CLOCK_TEXT_BYTES];
    enum err e;

    if (run->days == 0 || run->days > SEARCH_DAYS_MAX)
        return fail(ERR_INVALID, "days takes a number from 1 to %d", SEARCH_DAYS_MAX);
    if ((d = calloc(1, sizeof(*d))) == NULL)
        return fail(ERR_NOMEM, "no memory for a dry run");
    (void)clock_format(run->wall_us - (int64_t)run->days * 86400 * 1000000, from);
    (void)snprintf(d->from, sizeof(d->from), "%s", from);
    d->arena = arena_new(CONFIG_ARENA_MAX);
    d->record = arena_new(RECORD_ARENA_MAX);
    d->situations = table_new(SITUATIONS_MAX);
    d->sources = table_new(SESSIONS_MAX);
    d->key = buf_make(SITUATION_KEY_BYTES);
    if (d->arena == NULL || d->record == NULL || d->situations == NULL || d->sources == NULL)
        e = fail(ERR_NOMEM, "no memory for a dry run");
    else if ((e = parse_both(d, run, report)) == OK && (e = read_ledger(d, directory, stop)) == OK)
        e = write_answer(d, out);
    end(d);
    return e;
}
