#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/options.h"

static const char usage[] =
    "usage: bulkhead token issue --subject S [--group G]... [--resource R]... [--ttl 15m]\n"
    "                            [--actor A]... [--task T]\n"
    "       bulkhead token revoke TOKEN-ID\n"
    "       bulkhead token keys\n"
    "\n"
    "issue prints a token of the gateway's local issuer, for quick starts and for machines\n"
    "without an identity provider. revoke ends a token, of whatever issuer, and the sessions\n"
    "that it opened. keys prints the local issuer's public keys (a JWK set).\n"
    "\n"
    "  --subject S     who the agent is\n"
    "  --group G       a group that it is in; may be repeated\n"
    "  --resource R    the token is for this resource alone; may be repeated\n"
    "  --actor A       who acts for S; repeated, each acts for the one before, and the last one\n"
    "                  holds the token (RFC 8693 'act')\n"
    "  --task T        the task that the token is for: approvals can be good for all of it\n"
    "  --ttl TIME      how long it is valid: 90s, 15m, 8h; default 15m\n"
    "  --config FILE   the running gateway's configuration; default: $BULKHEAD_CONFIG,\n"
    "                  /etc/bulkhead/bulkhead.yaml\n"
    "\n"
    "TOKEN-ID is the token's 'jti' claim; 'bulkhead audit list --type session_opened' shows\n"
    "it for every session.\n";

enum { LIST_BYTES_MAX = 8192, ACTORS_BYTES_MAX = 4096, DEFAULT_TTL_SECONDS = 15 * 60 };

struct arguments {
    struct ipc_admin_request request;
    const char *config;
    bool help;
    struct buf groups;
    struct buf resources;
    struct buf actors;
};

static void
add_item(struct buf *list, const char *item)
{
    buf_put(list, item, strlen(item) + 1);
}

static bool
parse_options(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {{"subject", required_argument, NULL, 's'},
                                            {"group", required_argument, NULL, 'g'},
                                            {"resource", required_argument, NULL, 'r'},
                                            {"actor", required_argument, NULL, 'a'},
                                            {"task", required_argument, NULL, 'k'},
                                            {"ttl", required_argument, NULL, 't'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            a->request.subject = str_from(optarg);
        else if (option == 'g')
            add_item(&a->groups, optarg);
        else if (option == 'r')
            add_item(&a->resources, optarg);
        else if (option == 'a')
            add_item(&a->actors, optarg);
        else if (option == 'k')
            a->request.task = str_from(optarg);
        else if (option == 'c')
            a->config = optarg;
        else if (option == 'h')
            a->help = true;
        else if (option != 't' || !cli_duration(optarg, &a->request.ttl_seconds))
            return false;
    }
    a->request.groups = buf_str(&a->groups);
    a->request.resources = buf_str(&a->resources);
    a->request.actors = buf_str(&a->actors);
    if (buf_ok(&a->groups) != OK || buf_ok(&a->resources) != OK || buf_ok(&a->actors) != OK) {
        fputs("the groups, resources or actors are too many or too long\n", stderr);
        return false;
    }
    return true;
}

/* What is left after the options must be just this many words. */
static bool
complete(struct arguments *a, const char *verb, char **words, int n_words)
{
    if (strcmp(verb, "issue") == 0) {
        a->request.verb = STR("token-issue");
        return n_words == 0 && a->request.subject.len > 0;
    }
    if (strcmp(verb, "revoke") == 0 && n_words == 1) {
        a->request.verb = STR("token-revoke");
        a->request.subject = str_from(words[0]);
        return true;
    }
    a->request.verb = STR("token-keys");
    return strcmp(verb, "keys") == 0 && n_words == 0;
}

int
cli_token(int argc, char **argv)
{
    struct arguments a = {
        .request = {.ttl_seconds = DEFAULT_TTL_SECONDS},
        .config = cli_default_config(),
        .groups = buf_make(LIST_BYTES_MAX),
        .resources = buf_make(LIST_BYTES_MAX),
        .actors = buf_make(ACTORS_BYTES_MAX),
    };
    int status = CLI_USAGE;

    bool understood;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    understood = argc >= 2 && parse_options(argc - 1, argv + 1, &a);
    if (understood && a.help) {
        fputs(usage, stdout);
        status = CLI_OK;
    } else if (understood && complete(&a, argv[1], argv + 1 + optind, argc - 1 - optind)) {
        status = admin_client_ask(a.config, &a.request, admin_client_print, NULL);
    } else {
        fputs(usage, stderr);
    }
    buf_free(&a.groups);
    buf_free(&a.resources);
    buf_free(&a.actors);
    return status;
}
