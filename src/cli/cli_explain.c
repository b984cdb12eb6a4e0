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
#include "cli/explain_lineage.h"
#include "cli/options.h"
#include "config/config.h"
#include "fiber/fiber.h"
#include "identity/jwt.h"
#include "identity/local.h"
#include "policy/limits.h"
#include "policy/policy.h"
#include "sql/facts.h"

enum {
    CLAIMS_BYTES_MAX = 256 << 10,
    ARENA_BYTES_MAX = 256 << 20,
    EFFECT_WIDTH = 8,
    VERDICT_WIDTH = 8,
    RULE_WIDTH = 24,
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
    "  --search-path P  schemas apart by commas; default: public\n"
    "  --catalog FILE   what names mean there (bulkhead catalog --output); default: asks the\n"
    "                   running gateway. Needed where columns are protected\n"
    "  --source IP      where the client is; default: 127.0.0.1\n"
    "  --at TIME        when, such as 2026-01-31T08:00:00Z; default: now\n"
    "  --issuer NAME    the issuer, as the configuration names it; default: by the claim iss\n"
    "  --config FILE    the configuration; default: $BULKHEAD_CONFIG, /etc/bulkhead/bulkhead.yaml\n"
    "\n"
    "Exit status: 0 allowed, 1 refused, 2 the question could not be understood.\n";

/* What was asked. */
struct question {
    const char *claims, *resource, *sql, *database, *issuer, *config, *search_path, *catalog;
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
        case 'h':
            fputs(usage, stdout);
            *done = true;
            return CLI_OK;
        default:
            return complain("see bulkhead explain --help");
        }
    if (optind < argc || q->claims == NULL || q->resource == NULL)
        return complain("--as and --resource are needed; see bulkhead explain --help");
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
    struct policy *policy;
    enum err e;

    if ((e = policy_compile(scene->config->policies, scene->config->n_policies, &policy)) != OK)
        return e;
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

/* --- the answer --------------------------------------------------------------------------- */

static void
print_field(const char *name, struct str value)
{
    printf("%-11s", name);
    cli_print_padded(value, 0);
    putchar('\n');
}

static void
print_scene(const struct question *q, const struct scene *scene)
{
    char at[CLOCK_TEXT_BYTES], source[INET6_ADDRSTRLEN];

    clock_format(q->wall_us, at);
    if (IN6_IS_ADDR_V4MAPPED(&q->source))
        inet_ntop(AF_INET, &q->source.s6_addr[12], source, sizeof(source));
    else
        inet_ntop(AF_INET6, &q->source, source, sizeof(source));
    printf("principal: ");
    cli_print_padded(scene->principal.subject, 0);
    printf(" of issuer ");
    cli_print_padded(scene->principal.issuer, 0);
    for (size_t i = 0; i < scene->principal.groups.n; i++) {
        printf(i == 0 ? ", groups " : ", ");
        cli_print_padded(scene->principal.groups.items[i], 0);
    }
    printf("\nresource:  ");
    cli_print_padded(scene->resource->name, 0);
    if (scene->database.len != 0) {
        printf(", database ");
        cli_print_padded(scene->database, 0);
    }
    printf("\nwhen:      %s from %s\n", at, source);
}

static bool
could_be_any_schema(const struct demand *d)
{
    return d != NULL && d->schema.len == 0 &&
           (d->kind == OBJECT_RELATION || d->kind == OBJECT_FUNCTION);
}

static void
print_verdict(const struct verdict *v)
{
    const char *reason = "a rule allows everything that the command does";

    print_field("verdict:", str_from(verdict_kind_name(v->kind)));
    print_field("rule:", v->rule.len != 0 ? v->rule : STR("none"));
    if (v->rule.len == 0 && v->demand == NULL)
        reason = "the command does nothing that could be allowed";
    else if (v->rule.len == 0 && could_be_any_schema(v->demand))
        reason = "no rule allows this name in every schema; name its schema";
    else if (v->rule.len == 0)
        reason = "no rule allows it";
    else if (v->kind == VERDICT_MODIFY)
        reason = "rules allow it, and protected columns in the answer are masked";
    else if (v->kind != VERDICT_ALLOW)
        reason = "the rule is about what the command does";
    print_field("reason:",
                v->message.len != 0 && v->kind != VERDICT_ALLOW ? v->message : str_from(reason));
}

static void
print_limits(const struct limits *limits)
{
    struct buf text = buf_make(LIMITS_TEXT_MAX);

    limits_write(limits, &text);
    if (text.len != 0)
        print_field("limits:", buf_str(&text));
    buf_free(&text);
}

static void
print_object(const struct demand *d)
{
    if (d->kind == OBJECT_NONE) {
        putchar('-');
        return;
    }
    printf("%s ", object_kind_name(d->kind));
    if (d->schema.len != 0) {
        cli_print_padded(d->schema, 0);
        putchar('.');
    }
    cli_print_padded(d->name, 0);
}

/* One line: the effect, what the rules say to this demand alone, the object, narrower classes. */
static void
print_demand(const struct question *q, const struct scene *scene, const struct demand *d)
{
    struct command alone = {.database = scene->database, .demands = d, .n_demands = 1};
    class_set effect = d->classes & CLASS_EFFECTS_MASK, named = d->classes & ~CLASS_EFFECTS_MASK;
    struct verdict v;

    residual_decide(scene->residual, &alone, q->wall_us, &v);
    printf("  %-*s %-*s ", EFFECT_WIDTH,
           effect == 0 ? "-" : class_infos[__builtin_ctzll(effect)].name, VERDICT_WIDTH,
           verdict_kind_name(v.kind));
    cli_print_padded(v.rule.len != 0 ? v.rule : STR("-"), RULE_WIDTH);
    print_object(d);
    for (const char *before = " ("; named != 0; named &= named - 1, before = ", ")
        printf("%s%s%s", before, class_infos[__builtin_ctzll(named)].name,
               (named & (named - 1)) == 0 ? ")" : "");
    putchar('\n');
}

static void
print_demands(const struct question *q, const struct scene *scene, const struct command *command)
{
    if (command->n_demands != 0)
        printf("\n  %-*s %-*s %-*s %s\n", EFFECT_WIDTH, "EFFECT", VERDICT_WIDTH, "VERDICT",
               RULE_WIDTH, "RULE", "OBJECT (CLASSES)");
    for (size_t i = 0; i < command->n_demands; i++)
        print_demand(q, scene, &command->demands[i]);
}

static void
print_allowed(const struct question *q, const struct scene *scene)
{
    struct buf text = buf_make(RESIDUAL_DESCRIPTION_MAX);

    residual_describe(scene->residual, q->wall_us, &text);
    print_field("allowed:", text.len != 0 ? buf_str(&text) : STR("nothing"));
    buf_free(&text);
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

/* What is wrong with the statement itself: as far as rules do not come into it. */
static int
refuse_statement(struct str why)
{
    print_field("verdict:", STR("deny"));
    print_field("rule:", STR("none"));
    print_field("reason:", why);
    return CLI_FAILED;
}

static int
print_decision(const struct question *q, const struct scene *scene, const struct analysis *a)
{
    const struct sql_lineage *l = a->facts.lineage;
    struct command command = {.text = a->text,
                              .database = scene->database,
                              .demands = a->facts.demands,
                              .n_demands = a->facts.n_demands};
    struct verdict v;

    if (l != NULL && l->sqlstate.len > 0)
        return refuse_statement(l->refusal);
    if (l != NULL) {
        command.protected_use = l->refusal;
        command.masked = l->masked;
    }
    residual_decide(scene->residual, &command, q->wall_us, &v);
    verdict_protect(&v, &command);
    print_verdict(&v);
    if (v.kind == VERDICT_MODIFY)
        print_field("masked:", command.masked);
    print_limits(&v.limits);
    if (v.kind != VERDICT_ALLOW && v.kind != VERDICT_MODIFY)
        print_allowed(q, scene);
    print_demands(q, scene, &command);
    if (l != NULL && l->refusal.len == 0)
        explain_print_lineage(l);
    return v.kind == VERDICT_ALLOW || v.kind == VERDICT_MODIFY ? CLI_OK : CLI_FAILED;
}

/* Where columns are protected nothing is called allowed without the catalog. */
static int
explain_sql(const struct question *q, const struct scene *scene)
{
    struct analysis a = {.text = str_from(q->sql), .arena = scene->arena};
    struct explain_catalog catalog = {0};
    bool needs_catalog = scene->resource->n_protect > 0, has_catalog = false;
    int status;

    if (needs_catalog) {
        has_catalog = explain_catalog_open(&catalog, q->catalog, q->config, scene->resource,
                                           scene->database, q->search_path, scene->arena) == OK;
        if (has_catalog)
            a.context = &catalog.context;
        else
            print_field("protection:", str_from(err_text()));
    }
    fiber_call_deep(analyze, &a);
    status = a.e != OK ? refuse_statement(str_from(err_text())) : print_decision(q, scene, &a);
    if (needs_catalog && !has_catalog) {
        printf("\nColumns are protected here, and what that means for this statement was not "
               "considered.\nStart the gateway, or give --catalog FILE.\n");
        status = CLI_FAILED;
    }
    if (a.e == OK)
        sql_lineage_release(a.facts.lineage);
    explain_catalog_close(&catalog);
    return status;
}

static int
answer(const struct question *q, const struct scene *scene)
{
    print_scene(q, scene);
    if (!token_covers(scene) || !residual_allows_anything(scene->residual)) {
        print_field("verdict:", STR("deny"));
        print_field("rule:", STR("none"));
        print_field("reason:", token_covers(scene)
                                   ? STR("no rule lets this principal use the resource")
                                   : STR("the token is bound to other resources"));
        return CLI_FAILED;
    }
    if (q->sql != NULL)
        return explain_sql(q, scene);
    print_allowed(q, scene);
    return CLI_OK;
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
