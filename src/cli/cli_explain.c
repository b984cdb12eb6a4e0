#include "cli/cli.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/catalog_file.h"
#include "cli/explain_path.h"
#include "cli/explain_view.h"
#include "config/config.h"
#include "command/purpose.h"
#include "fiber/fiber.h"
#include "identity/jwt.h"
#include "identity/local.h"
#include "policy/policy.h"
#include "sql/facts.h"

enum {
    CLAIMS_BYTES_MAX = 256 << 10,
    ARENA_BYTES_MAX = 256 << 20,
    JSON_BYTES_MAX = 64 << 20,
};

static const char usage[] =
    "usage: bulkhead explain --as CLAIMS.json --resource NAME [--sql TEXT] [options]\n"
    "\n"
    "Says what an identity may do on a resource, and which rule says so. Nothing is run.\n"
    "\n"
    "  --as FILE        the claims of a token as JSON, taken at their word; - is standard input\n"
    "  --resource NAME  the resource, as the configuration names it\n"
    "  --sql TEXT       the statements to decide; without it: what is allowed there at all\n"
    "  --database NAME  where they would run; default: the resource's\n"
    "  --search-path P  the session's search_path; default: '\"$user\", public'\n"
    "  --catalog FILE   what names mean there, as bulkhead catalog --output saved it; default: "
    "asks\n"
    "                   the running gateway. Needed where columns are protected\n"
    "  --purpose TEXT   what the session says it does this for; default: nothing. What the\n"
    "                   statements say themselves counts first\n"
    "  --source IP      where the client is; default: 127.0.0.1\n"
    "  --at TIME        when, such as 2026-01-31T08:00:00Z; default: now\n"
    "  --issuer NAME    the issuer, as the configuration names it; default: by the claim iss\n"
    "  --config FILE    the configuration; default: $BULKHEAD_CONFIG, /etc/bulkhead/bulkhead.yaml\n"
    "  --json           the answer as JSON\n"
    "\n"
    "Exit status: 0 it may run (allow, modify), 1 it may not, or not yet: humans are asked first\n"
    "(step_up), or a purpose is (defer); 2 not known: the question could not be understood, or\n"
    "columns are protected and there is no catalog to judge by.\n";

/* What was asked. */
struct question {
    const char *claims, *resource, *sql, *database, *issuer, *config, *search_path, *catalog;
    const char *purpose;
    bool json;
    struct in6_addr source;
    int64_t wall_us;
};

/* What it means in this configuration; everything lives in `arena`. */
struct scene {
    struct arena *arena;
    struct config *config;
    const struct config_resource *resource;
    struct principal principal;
    struct str database;
    const struct policy_rule *connect; /* by which opening a session needs access; NULL: none */
    struct residual *residual;
};

/* --- the question ------------------------------------------------------------------------- */

static int
complain(const char *what)
{
    fprintf(stderr, "bulkhead explain: %s\n", what);
    return CLI_USAGE;
}

static enum err
parse_source(const char *text, struct in6_addr *out)
{
    struct in_addr v4;

    *out = (struct in6_addr){0};
    if (inet_pton(AF_INET, text, &v4) == 1) {
        out->s6_addr[10] = out->s6_addr[11] = 0xff;
        memcpy(&out->s6_addr[12], &v4, sizeof(v4));
        return OK;
    }
    return inet_pton(AF_INET6, text, out) == 1 ? OK
                                               : fail(ERR_INVALID, "\"%s\" is no address", text);
}

/* RFC 3339 §5.6, whole seconds. */
static enum err
parse_time(const char *text, int64_t *wall_us)
{
    struct tm tm = {0}, again;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int hours = 0, minutes = 0, used = 0;
    char sign = '+';
    time_t at;

    again = tm;
    at = timegm(&again);
    if (rest == NULL || again.tm_mday != tm.tm_mday || at == (time_t)-1)
        return fail(ERR_INVALID, "\"%s\" is no time such as 2026-01-31T08:00:00Z", text);
    if (strcmp(rest, "Z") != 0 &&
        (sscanf(rest, "%c%2d:%2d%n", &sign, &hours, &minutes, &used) != 3 || rest[used] != '\0' ||
         (sign != '+' && sign != '-') || hours > 23 || minutes > 59 || hours < 0 || minutes < 0))
        return fail(ERR_INVALID, "\"%s\" has no time zone such as Z or +01:00", text);
    at -= (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    *wall_us = (int64_t)at * 1000000;
    return OK;
}

/* CLI_OK with a question to answer; `*done` if all is said already. */
static int
read_question(int argc, char **argv, struct question *q, bool *done)
{
    static const struct option options[] = {
        {"as", required_argument, NULL, 'a'},
        {"resource", required_argument, NULL, 'r'},
        {"sql", required_argument, NULL, 's'},
        {"database", required_argument, NULL, 'd'},
        {"source", required_argument, NULL, 'f'},
        {"at", required_argument, NULL, 't'},
        {"issuer", required_argument, NULL, 'i'},
        {"config", required_argument, NULL, 'c'},
        {"search-path", required_argument, NULL, 'p'},
        {"catalog", required_argument, NULL, 'g'},
        {"purpose", required_argument, NULL, 'w'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *source = "127.0.0.1", *at = NULL;
    int option;

    *q = (struct question){.wall_us = clock_wall_us()};
    *done = false;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'a':
            q->claims = optarg;
            break;
        case 'r':
            q->resource = optarg;
            break;
        case 's':
            q->sql = optarg;
            break;
        case 'd':
            q->database = optarg;
            break;
        case 'f':
            source = optarg;
            break;
        case 't':
            at = optarg;
            break;
        case 'i':
            q->issuer = optarg;
            break;
        case 'c':
            q->config = optarg;
            break;
        case 'p':
            q->search_path = optarg;
            break;
        case 'g':
            q->catalog = optarg;
            break;
        case 'w':
            q->purpose = optarg;
            break;
        case 'j':
            q->json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            *done = true;
            return CLI_OK;
        default:
            return complain("see bulkhead explain --help");
        }
    if (optind < argc || q->claims == NULL || q->resource == NULL)
        return complain("--as and --resource are needed; see bulkhead explain --help");
    if (q->purpose != NULL && !purpose_is_fit(str_from(q->purpose)))
        return complain(purpose_unfit);
    if (parse_source(source, &q->source) != OK || (at && parse_time(at, &q->wall_us) != OK))
        return complain(err_text());
    if (q->config == NULL)
        q->config = cli_default_config();
    return CLI_OK;
}

/* --- the scene ---------------------------------------------------------------------------- */

static enum err
read_whole(const char *path, struct buf *out)
{
    bool given = strcmp(path, "-") == 0;
    int fd = given ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    enum err e = OK;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot open %s", path);
    do {
        if ((e = buf_reserve(out, 4096)) != OK)
            break;
        n = read(fd, out->ptr + out->len, 4096);
        out->len += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (e == OK && n < 0)
        e = fail_errno(ERR_IO, "cannot read %s", path);
    if (!given)
        close(fd);
    return e;
}

static enum err
find_issuer(const struct question *q, const struct config *config, const json_t *claims,
            struct config_issuer *out)
{
    struct str iss = strictjson_string(claims, "iss"), name = str_from(q->issuer);

    for (size_t i = 0; i < config->n_issuers; i++)
        if (q->issuer != NULL ? str_equal(config->issuers[i].name, name)
                              : iss.ptr != NULL && str_equal(config->issuers[i].issuer, iss)) {
            *out = config->issuers[i];
            return OK;
        }
    if (q->issuer == NULL && iss.ptr == NULL)
        return fail(ERR_NOT_FOUND, "the claims have no \"iss\"; give it, or --issuer NAME");
    if (q->issuer != NULL ? !str_is(name, LOCAL_NAME) : !str_is(iss, LOCAL_ISSUER)) {
        name = q->issuer != NULL ? name : iss;
        return fail(ERR_NOT_FOUND, "no issuer \"%.*s\" is configured; see --issuer", STR_ARG(name));
    }
    *out = (struct config_issuer){
        .name = STR(LOCAL_NAME), .groups_claim = STR("groups"), .subject_claim = STR("sub")};
    return OK;
}

static enum err
load_principal(const struct question *q, struct scene *scene)
{
    struct buf text = buf_make(CLAIMS_BYTES_MAX);
    struct config_issuer issuer;
    struct jwt token = {0};
    enum err e;

    if ((e = read_whole(q->claims, &text)) == OK &&
        (e = strictjson_object(buf_str(&text), q->claims, scene->arena, &token.claims)) == OK &&
        (e = find_issuer(q, scene->config, token.claims, &issuer)) == OK &&
        (e = jwt_principal(&token, &issuer, scene->arena, &scene->principal)) == OK &&
        str_is(issuer.name, LOCAL_NAME))
        e = jwt_string_list(&token, STR("resources"), scene->arena, &scene->principal.resources);
    buf_free(&text);
    return e;
}

static enum err
load_config(const char *path, struct scene *scene)
{
    struct buf text = buf_make(1 << 20);
    struct config_report report = {.text = &text};
    enum err e = config_read(path, scene->arena, &report, &scene->config);

    if (e != OK)
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&text)));
    buf_free(&text);
    return e;
}

static const struct policy_rule *
find_rule(const struct config *config, struct str name)
{
    for (size_t i = 0; i < config->n_policies; i++)
        if (str_equal(config->policies[i].name, name))
            return &config->policies[i];
    return NULL;
}

static enum err
specialise(const struct question *q, struct scene *scene)
{
    struct policy_request request = {
        .subject = scene->principal.subject,
        .issuer = scene->principal.issuer,
        .groups = scene->principal.groups,
        .claims = scene->principal.claims,
        .n_claims = scene->principal.n_claims,
        .resource = scene->resource->name,
        .protocol = scene->resource->protocol,
        .labels = scene->resource->labels,
        .n_labels = scene->resource->n_labels,
        .source = q->source,
    };
    struct policy_connect connect;
    struct policy *policy;
    enum err e;

    if ((e = policy_compile(scene->config->policies, scene->config->n_policies, &policy)) != OK)
        return e;
    if (policy_connect(policy, &request, q->wall_us, &connect))
        scene->connect = find_rule(scene->config, connect.rule);
    e = policy_specialise(policy, &request, &scene->residual);
    policy_free(policy);
    return e;
}

static enum err
set_scene(const struct question *q, struct scene *scene)
{
    enum err e;

    if ((scene->arena = arena_new(ARENA_BYTES_MAX)) == NULL)
        return fail(ERR_NOMEM, "not enough memory");
    if ((e = load_config(q->config, scene)) != OK)
        return e;
    if ((scene->resource = config_find_resource(scene->config, str_from(q->resource))) == NULL)
        return fail(ERR_NOT_FOUND, "no resource \"%s\" is configured", q->resource);
    scene->database = q->database != NULL ? str_from(q->database) : scene->resource->database;
    if ((e = load_principal(q, scene)) != OK)
        return e;
    return specialise(q, scene);
}

/* --- what the statement's names mean ------------------------------------------------------- */

/* Of a resource that protects columns. */
struct names {
    struct catalog_file file;
    struct sql_context context; /* its shield is ours */
    struct str missing_schemas;
};

static void
ignore_line(struct str line, void *arg)
{
    (void)line;
    (void)arg;
}

/* The masks' key is the keeper's: what is masked can be told without it. */
static enum err
read_names(const struct question *q, const struct scene *scene, struct names *n)
{
    const struct config_resource *r = scene->resource;
    const struct protection protection = {.protect = r->protect, .n_protect = r->n_protect};
    struct str path = q->search_path != NULL ? str_from(q->search_path) : STR("\"$user\", public");
    enum err e;

    e = explain_path(path, &n->file.catalog, r->user, scene->arena, &n->context.path,
                     &n->missing_schemas);
    n->context.path_known = true;
    return e == OK ? shield_make(&n->file.catalog, &protection, NULL, NULL, &n->context.shield) : e;
}

static enum err
find_catalog(const struct question *q, const struct scene *scene, struct names *n)
{
    return q->catalog != NULL ? catalog_file_read(&n->file, q->catalog)
                              : catalog_file_ask(&n->file, q->config, scene->resource->name,
                                                 scene->database, ignore_line);
}

static void
forget_names(struct names *n)
{
    shield_free(n->context.shield);
    catalog_file_close(&n->file);
}

/* --- the answer --------------------------------------------------------------------------- */

static bool
could_be_any_schema(const struct demand *d)
{
    return d != NULL && d->schema.len == 0 &&
           (d->kind == OBJECT_RELATION || d->kind == OBJECT_FUNCTION);
}

static struct str
reason_of(const struct verdict *v)
{
    if (v->message.len != 0 && v->kind != VERDICT_ALLOW)
        return v->message;
    if (v->rule.len == 0 && v->demand == NULL)
        return STR("the command does nothing that could be allowed");
    if (v->rule.len == 0 && could_be_any_schema(v->demand))
        return STR("no rule allows this name in every schema; name its schema");
    if (v->rule.len == 0)
        return STR("no rule allows it");
    if (v->kind == VERDICT_STEP_UP)
        return STR("humans are asked first, and it runs when they agree");
    if (v->kind == VERDICT_DEFER)
        return STR("the session has to say first what this is for");
    if (v->kind == VERDICT_MODIFY)
        return STR("rules allow it, and protected columns in the answer are masked");
    if (v->kind != VERDICT_ALLOW)
        return STR("the rule is about what the command does");
    return STR("a rule allows everything that the command does");
}

static enum err
describe_allowed(const struct scene *scene, struct explanation *x)
{
    struct buf text = buf_make(RESIDUAL_DESCRIPTION_MAX);

    residual_describe(scene->residual, x->wall_us, &text);
    x->allowed = arena_str(scene->arena, text.len != 0 ? buf_str(&text) : STR("nothing"));
    buf_free(&text);
    return x->allowed.ptr != NULL ? OK : fail(ERR_NOMEM, "not enough memory");
}

static bool
token_covers(const struct scene *scene)
{
    const struct str_list *bound = &scene->principal.resources;

    for (size_t i = 0; i < bound->n; i++)
        if (str_equal(bound->items[i], scene->resource->name))
            return true;
    return bound->n == 0;
}

static void
refuse(struct explanation *x, struct str reason)
{
    x->verdict = (struct verdict){.kind = VERDICT_DENY};
    x->reason = reason;
}

struct analysis {
    struct str text;
    const struct sql_context *context;
    struct arena *arena;
    struct sql_facts facts;
    enum err e;
};

static void
analyze(void *arg)
{
    struct analysis *a = arg;

    a->e = sql_analyze(a->text, a->context, a->arena, &a->facts);
}

/* What the statements say that they are for; else it stays. */
static enum err
find_purpose(const struct analysis *a, struct str *purpose)
{
    struct str said;
    enum err e = sql_commented_purpose(a->text, &said);

    if (e == OK && a->facts.purpose.mistake != NULL)
        e = fail(ERR_INVALID, "%s", a->facts.purpose.mistake);
    if (e == OK && said.len == 0)
        said = a->facts.purpose.value;
    if (e == OK && said.len > 0)
        *purpose = said;
    return e;
}

/* What the rules say of each demand by itself. */
static enum err
decide_alone(const struct scene *scene, struct explanation *x)
{
    size_t n = x->facts->n_demands;
    struct verdict *alone = arena_array(scene->arena, n + 1, sizeof(*alone));
    struct decision_context context = {.wall_us = x->wall_us, .has_purpose = x->purpose.len > 0};

    if (alone == NULL)
        return fail(ERR_NOMEM, "not enough memory");
    for (size_t i = 0; i < n; i++) {
        struct command one = {
            .database = scene->database, .demands = &x->facts->demands[i], .n_demands = 1};

        residual_decide(scene->residual, &one, &context, &alone[i]);
    }
    x->alone = alone;
    return OK;
}

/* As the gate does: the rules, and then what protection makes of it. A mistake that the catalog
 * shows is refused before that. */
static enum err
decide(const struct scene *scene, const struct analysis *a, struct explanation *x)
{
    const struct sql_lineage *l = a->facts.lineage;
    struct command command = {.text = a->text,
                              .database = scene->database,
                              .demands = a->facts.demands,
                              .n_demands = a->facts.n_demands};
    struct decision_context context = {.wall_us = x->wall_us, .has_purpose = x->purpose.len > 0};
    enum err e;

    x->facts = &a->facts;
    x->lineage = l;
    if ((e = decide_alone(scene, x)) != OK)
        return e;
    if (l != NULL && l->sqlstate.len > 0) {
        refuse(x, l->refusal);
        return OK;
    }
    if (l != NULL) {
        command.protected_use = l->refusal;
        command.protected_column = l->refused;
        command.masked = l->masked;
    }
    residual_decide(scene->residual, &command, &context, &x->verdict);
    verdict_protect(&x->verdict, &command);
    for (size_t i = 0; i < x->verdict.n_steps; i++)
        x->steps[i] = find_rule(scene->config, x->verdict.steps[i]->rule);
    x->reason = reason_of(&x->verdict);
    /* Where protection refused, what the rules allow does not help. */
    return explain_outcome(x) == EXPLAIN_REFUSED && !explain_is_by_protection(x)
               ? describe_allowed(scene, x)
               : OK;
}

static int
print(const struct question *q, const struct explanation *x)
{
    static const int statuses[] = {
        [EXPLAIN_RUNS] = CLI_OK, [EXPLAIN_REFUSED] = CLI_FAILED, [EXPLAIN_UNDECIDED] = CLI_USAGE};
    struct buf json = buf_make(JSON_BYTES_MAX);

    if (q->json)
        explain_write_json(x, &json);
    else
        explain_print(stdout, x);
    if (buf_ok(&json) != OK) {
        buf_free(&json);
        return complain(err_text());
    }
    fwrite(buf_str(&json).ptr, 1, json.len, stdout);
    buf_free(&json);
    return statuses[explain_outcome(x)];
}

/* Sets `names` up if that is needed; false: the question is wrong. */
static bool
consider_protection(const struct question *q, const struct scene *scene, struct names *names,
                    struct explanation *x)
{
    if (scene->resource->n_protect == 0) {
        if (q->catalog != NULL || q->search_path != NULL)
            fprintf(stderr, "bulkhead explain: this resource protects no columns: lineage, "
                            "--catalog and --search-path say nothing here\n");
        return true;
    }
    x->protection = EXPLAIN_NOT_CONSIDERED;
    if (find_catalog(q, scene, names) != OK) {
        if (q->catalog != NULL)
            fprintf(stderr, "bulkhead explain: %s\n", err_text());
        fprintf(stderr, "bulkhead explain: columns are protected here: lineage needs the running "
                        "gateway or --catalog FILE, and was not considered\n");
        return true;
    }
    if (read_names(q, scene, names) != OK)
        return false;
    x->protection = EXPLAIN_CONSIDERED;
    x->path = names->context.path;
    x->missing_schemas = names->missing_schemas;
    return true;
}

static int
explain_sql(const struct question *q, const struct scene *scene, const struct explanation *asked)
{
    struct explanation x = *asked;
    struct analysis a = {.text = str_from(q->sql), .arena = scene->arena};
    struct names names = {0};
    int status;

    if (!consider_protection(q, scene, &names, &x)) {
        forget_names(&names);
        return complain(err_text());
    }
    a.context = x.protection == EXPLAIN_CONSIDERED ? &names.context : NULL;
    fiber_call_deep(analyze, &a);
    if (a.e == OK && (a.e = find_purpose(&a, &x.purpose)) != OK)
        sql_lineage_release(a.facts.lineage);
    if (a.e != OK)
        refuse(&x, str_from(err_text()));
    status = a.e == OK && decide(scene, &a, &x) != OK ? complain(err_text()) : print(q, &x);
    if (a.e == OK)
        sql_lineage_release(a.facts.lineage);
    forget_names(&names);
    return status;
}

static int
answer(const struct question *q, const struct scene *scene)
{
    struct explanation x = {.principal = &scene->principal,
                            .resource = scene->resource,
                            .database = scene->database,
                            .source = q->source,
                            .wall_us = q->wall_us,
                            .purpose = q->purpose != NULL ? str_from(q->purpose) : STR(""),
                            .connect = scene->connect,
                            .of_sql = q->sql != NULL};

    if (!token_covers(scene) || !residual_allows_anything(scene->residual)) {
        refuse(&x, token_covers(scene) ? STR("no rule lets this principal use the resource")
                                       : STR("the token is bound to other resources"));
        return print(q, &x);
    }
    if (q->sql != NULL)
        return explain_sql(q, scene, &x);
    return describe_allowed(scene, &x) == OK ? print(q, &x) : complain(err_text());
}

int
cli_explain(int argc, char **argv)
{
    struct scene scene = {0};
    struct question q;
    bool done;
    int status = read_question(argc, argv, &q, &done);

    if (status != CLI_OK || done)
        return status;
    status = set_scene(&q, &scene) == OK ? answer(&q, &scene) : complain(err_text());
    residual_free(scene.residual);
    arena_free(scene.arena);
    return status;
}
