#include "cli/cli.h"
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

#include "cli/audit_view.h"
#include "cli/step_up_view.h"
#include "config/config.h"

enum { REPORT_BYTES_MAX = 4 << 20, ARENA_BYTES_MAX = 512 << 20 };

static const char usage[] =
    "usage: bulkhead check [--config FILE]\n"
    "\n"
    "Says all that is wrong with the configuration: the file's form, names that do not exist,\n"
    "policies that can never apply, patterns that are none, and files that it names but cannot be\n"
    "read. Run it as the gateway's user. Exit status: 0 if there are no errors (there may be\n"
    "warnings), else 1.\n"
    "\n"
    "  --config FILE   the configuration; default: $BULKHEAD_CONFIG, else\n"
    "                  /etc/bulkhead/bulkhead.yaml\n";

static const char *
plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void
print_summary(const struct config *c, const struct config_report *report)
{
    size_t issuers = c->local_issuer.enabled ? 1 : 0;

    for (size_t i = 0; i < c->n_issuers; i++)
        issuers += c->issuers[i].enabled;
    printf("ok: %zu resource%s, %zu polic%s, %zu issuer%s", c->n_resources, plural(c->n_resources),
           c->n_policies, c->n_policies == 1 ? "y" : "ies", issuers, plural(issuers));
    if (report->warnings > 0)
        printf(" (%u warning%s)", report->warnings, plural(report->warnings));
    putchar('\n');
}

/* What is not decided by the rules alone: who is asked, and for what. */
static void
print_humans(const struct config *c)
{
    struct buf text = buf_make(REPORT_BYTES_MAX);

    for (size_t i = 0; i < c->n_policies; i++) {
        const struct policy_rule *rule = &c->policies[i];

        if (rule->verdict != VERDICT_STEP_UP && rule->verdict != VERDICT_DEFER)
            continue;
        buf_reset(&text);
        buf_put_text(&text, "policy \"");
        buf_put_str(&text, rule->name);
        buf_put_text(&text, rule->verdict == VERDICT_DEFER ? "\": needs a purpose"
                            : rule->on == RULE_ON_CONNECT  ? "\": opening a session needs access "
                                                             "granted by "
                                                           : "\": needs the approval of ");
        if (rule->verdict == VERDICT_STEP_UP) {
            step_up_put_approvers(&text, &rule->step_up);
            buf_put_text(&text, ", ");
            step_up_put_terms(&text, rule);
        }
        audit_print_safe(stdout, buf_str(&text), false);
        putchar('\n');
    }
    buf_free(&text);
}

static int
check(const char *path)
{
    struct buf text = buf_make(REPORT_BYTES_MAX);
    struct config_report report = {.text = &text};
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct config *config = NULL;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory")
                               : config_load(path, arena, &report, &config);

    fwrite(buf_str(&text).ptr, 1, text.len, stdout);
    if (e == OK)
        print_summary(config, &report), print_humans(config);
    else if (report.errors == 0)
        fprintf(stderr, "bulkhead: %s: %s\n", path, err_text());
    else
        printf("%u error%s, %u warning%s\n", report.errors, plural(report.errors), report.warnings,
               plural(report.warnings));
    arena_free(arena);
    buf_free(&text);
    return e == OK ? CLI_OK : CLI_FAILED;
}

int
cli_check(int argc, char **argv)
{
    const char *path;
    int status = cli_options(argc, argv, usage, 0, &path, NULL);

    return status != CLI_GO_ON ? status : check(path);
}
