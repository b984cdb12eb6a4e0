/* Policies: the rules in force, what they say to a statement of somebody, and what other rules
 * would have said to what was done. */
#include <stdio.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/pages.h"
#include "control/rule_text.h"
#include "control/search.h"
#include "fiber/fiber.h"
#include "policy/limits.h"
#include "sql/facts.h"

enum { GROUPS_MAX = 512, REPORT_BYTES_MAX = 64 << 10, RULE_BYTES_MAX = 1 << 20 };

/* --- the rules
 * ------------------------------------------------------------------------------------ */

static void
write_classes(struct json *j, const char *key, class_set classes)
{
    json_key(j, key);
    json_open(j, '[');
    for (int c = 0; c < COMMAND_CLASS_COUNT; c++)
        if ((classes & CLASS_BIT(c)) != 0)
            json_str(j, str_from(class_infos[c].name));
    json_close(j, ']');
}

static void
write_rule(struct json *j, const struct policy_rule *r)
{
    struct buf text = buf_make(RULE_BYTES_MAX);

    rule_text_put(r, &text);
    json_open(j, '{');
    json_field_str(j, "name", r->name);
    json_field_text(j, "verdict", verdict_kind_name(r->verdict));
    json_field_text(j, "on", r->on == RULE_ON_CONNECT ? "connect" : "command");
    json_key(j, "who");
    json_open(j, '{');
    api_put_list(j, "subjects", r->subjects);
    api_put_list(j, "groups", r->groups);
    api_put_list(j, "issuers", r->issuers);
    json_close(j, '}');
    api_put_list(j, "resources", r->resources);
    write_classes(j, "commands", r->classes);
    json_field_str(j, "text", buf_str(&text));
    json_close(j, '}');
    buf_free(&text);
}

enum err
api_policies(struct api_request *q)
{
    struct json j = reply_json(q->reply, 200);

    json_open(&j, '{');
    json_field_text(&j, "hash", q->control->policy_hash);
    json_key(&j, "rules");
    json_open(&j, '[');
    for (size_t i = 0; i < q->config->n_policies; i++)
        write_rule(&j, &q->config->policies[i]);
    json_close(&j, ']');
    json_close(&j, '}');
    return OK;
}

/* --- explain
 * --------------------------------------------------------------------------------------- */

struct asked {
    struct str subject, issuer, database, sql;
    struct str_list groups;
    const struct config_resource *resource;
    bool has_purpose;
    struct sql_facts facts;
    struct arena *arena;
    enum err e;
};

static enum err
read_asked(const struct api_request *q, struct asked *a)
{
    const json_t *purpose = json_object_get(q->json, "purpose");
    struct str resource;
    enum err e;

    if ((e = request_string(q, "subject", 1024, true, &a->subject)) != OK ||
        (e = request_strings(q, "groups", GROUPS_MAX, &a->groups)) != OK ||
        (e = request_string(q, "issuer", 256, false, &a->issuer)) != OK ||
        (e = request_string(q, "resource", 256, true, &resource)) != OK ||
        (e = request_string(q, "database", 256, false, &a->database)) != OK ||
        (e = request_string(q, "sql", SQL_TEXT_MAX, true, &a->sql)) != OK)
        return e;
    if ((a->resource = config_find_resource(q->config, resource)) == NULL)
        return fail(ERR_INVALID, "no resource \"%.*s\" is configured", STR_ARG(resource));
    if (a->issuer.len == 0)
        a->issuer = q->person->issuer;
    if (a->database.len == 0)
        a->database = a->resource->database;
    a->has_purpose = json_is_string(purpose) && json_string_length(purpose) > 0;
    a->arena = q->arena;
    return OK;
}

static void
analyze(void *arg)
{
    struct asked *a = arg;

    a->e = sql_analyze(a->sql, NULL, a->arena, &a->facts);
}

static void
write_demands(struct json *j, const struct asked *a, const struct residual *residual, int64_t now)
{
    const struct decision_context context = {.wall_us = now, .has_purpose = a->has_purpose};

    json_key(j, "demands");
    json_open(j, '[');
    for (size_t i = 0; i < a->facts.n_demands; i++) {
        const struct demand *d = &a->facts.demands[i];
        struct command one = {.database = a->database, .demands = d, .n_demands = 1};
        struct verdict alone;

        residual_decide(residual, &one, &context, &alone);
        json_open(j, '{');
        write_classes(j, "classes", d->classes);
        json_field_text(j, "kind", object_kind_name(d->kind));
        json_field_str(j, "schema", d->schema);
        json_field_str(j, "name", d->name);
        json_field_text(j, "verdict", verdict_kind_name(alone.kind));
        json_field_str(j, "rule", alone.rule);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static struct str
message_of(const struct verdict *v)
{
    if (v->message.len > 0)
        return v->message;
    if (v->kind == VERDICT_DENY)
        return v->rule.len == 0 ? STR("no rule allows it") : STR("the rule denies it");
    if (v->kind == VERDICT_STEP_UP)
        return STR("people must approve it");
    return STR("rules allow everything that the command does");
}

/* The verdict, what it is about, and its text for people. */
static void
write_verdict(struct api_request *q, const struct asked *a, const struct verdict *v,
              const char *name, struct str message, const struct residual *residual, int64_t now)
{
    struct buf limits = buf_make(LIMITS_TEXT_MAX), text = buf_make(16 << 10);
    struct json j = reply_json(q->reply, 200);

    limits_write(&v->limits, &limits);
    buf_printf(&text, "%s: %.*s", name, STR_ARG(message));
    if (v->rule.len > 0)
        buf_printf(&text, " (rule \"%.*s\")", STR_ARG(v->rule));
    json_open(&j, '{');
    json_field_text(&j, "verdict", name);
    json_field_str(&j, "rule", v->rule);
    json_field_str(&j, "message", message);
    write_demands(&j, a, residual, now);
    json_key(&j, "approvals");
    json_open(&j, '[');
    for (size_t i = 0; i < v->n_steps; i++)
        json_str(&j, v->steps[i]->rule);
    json_close(&j, ']');
    json_field_str(&j, "limits", buf_str(&limits));
    json_field_bool(&j, "protection_considered", a->resource->n_protect == 0);
    json_field_str(&j, "text", buf_str(&text));
    json_close(&j, '}');
    buf_free(&limits);
    buf_free(&text);
}

/* Where columns are protected the catalog decides too, which is not here: the command line asks the
 * running gateway for it (bulkhead explain). */
static void
decide(struct api_request *q, const struct asked *a, const struct residual *residual)
{
    const struct decision_context context = {.wall_us = clock_wall_us(),
                                             .has_purpose = a->has_purpose};
    struct command command = {.text = a->sql,
                              .database = a->database,
                              .demands = a->facts.demands,
                              .n_demands = a->facts.n_demands};
    struct verdict v = {.kind = VERDICT_DENY};
    bool undecided;

    if (a->e != OK) {
        write_verdict(q, a, &v, "deny", str_from(err_text()), residual, context.wall_us);
        return;
    }
    residual_decide(residual, &command, &context, &v);
    undecided = v.kind != VERDICT_DENY && a->resource->n_protect > 0;
    write_verdict(q, a, &v, undecided ? "undecided" : verdict_kind_name(v.kind),
                  undecided
                      ? STR("the rules do not refuse it; columns are protected here, and what "
                            "that makes of it needs the catalog: bulkhead explain")
                      : message_of(&v),
                  residual, context.wall_us);
}

enum err
api_policies_explain(struct api_request *q)
{
    struct asked *a = arena_alloc(q->arena, sizeof(*a));
    struct policy_request request;
    struct residual *residual;
    enum err e;

    if (a == NULL)
        return fail(ERR_NOMEM, "no memory for a question");
    if ((e = read_asked(q, a)) != OK)
        return e;
    request = (struct policy_request){
        .subject = a->subject,
        .issuer = a->issuer,
        .groups = a->groups,
        .resource = a->resource->name,
        .protocol = a->resource->protocol,
        .labels = a->resource->labels,
        .n_labels = a->resource->n_labels,
        .source = {.s6_addr = {[10] = 0xff, 0xff, 127, 0, 0, 1}},
    };
    if ((e = policy_specialise(q->control->policy, &request, &residual)) != OK)
        return e;
    fiber_call_deep(analyze, a);
    decide(q, a, residual);
    residual_free(residual);
    return OK;
}

/* --- dry run
 * ------------------------------------------------------------------------------------------ */

struct trial {
    const char *directory;
    struct search_dry_run run;
    struct buf report;
    struct buf *out;
    enum err e;
};

static void
do_trial(void *arg)
{
    struct trial *t = arg;

    t->e = search_dry_run(t->directory, &t->run, NULL, &t->report, t->out);
}

enum err
api_policies_dry_run(struct api_request *q)
{
    struct trial *t = arena_alloc(q->arena, sizeof(*t));
    char *directory;
    uint64_t days;
    enum err e;

    if (t == NULL)
        return fail(ERR_NOMEM, "no memory for a trial");
    *t = (struct trial){.report = buf_make(REPORT_BYTES_MAX), .out = &q->reply->body};
    if ((e = api_ledger_directory(q, &directory)) != OK ||
        (e = request_string(q, "policies", API_LARGE_BODY_BYTES_MAX, true, &t->run.policies)) !=
            OK ||
        (e = request_uint(q, "days", SEARCH_DAYS_MAX, &days)) != OK)
        return e;
    if (days == 0)
        return fail(ERR_INVALID, "\"days\" is at least 1");
    t->directory = directory;
    t->run.config_text = q->control->config_text;
    t->run.config_path = q->config->path;
    t->run.days = (unsigned)days;
    t->run.wall_us = clock_wall_us();
    (void)reply_json(q->reply, 200);
    q->reply->body.max = SEARCH_ANSWER_BYTES_MAX + (1 << 20);
    if ((e = fiber_offload(do_trial, t)) == OK)
        e = t->e;
    if (e == ERR_INVALID && t->report.len > 0)
        e = reply_problem(q->reply, 400, "the policies have errors:\n%.*s",
                          STR_ARG(buf_str(&t->report)));
    buf_free(&t->report);
    return e;
}
