#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/admin_client.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: bulkhead login-link [--subject S] [--group G]...\n"
    "\n"
    "Prints a link that logs into the console once, within five minutes: for quick starts and for\n"
    "operators whose identity provider is away. Whoever opens it is S in these groups, as a token\n"
    "of the gateway's local issuer says, which must be enabled. That it was made is recorded.\n"
    "\n"
    "  --subject S     who logs in; default: operator\n"
    "  --group G       a group that S is in; may be repeated\n"
    "  --config FILE   the running gateway's configuration; default: $BULKHEAD_CONFIG,\n"
    "                  /etc/bulkhead/bulkhead.yaml\n";

enum { LIST_BYTES_MAX = 8192 };

struct arguments {
    struct ipc_admin_request request;
    const char *config;
    bool help;
    struct buf groups;
};

static bool
parse_options(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {{"subject", required_argument, NULL, 's'},
                                            {"group", required_argument, NULL, 'g'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            a->request.subject = str_from(optarg);
        else if (option == 'g')
            buf_put(&a->groups, optarg, strlen(optarg) + 1);
        else if (option == 'c')
            a->config = optarg;
        else if (option == 'h')
            a->help = true;
        else
            return false;
    }
    a->request.groups = buf_str(&a->groups);
    return optind == argc && buf_ok(&a->groups) == OK;
}

int
cli_login_link(int argc, char **argv)
{
    struct arguments a = {
        .request = {.verb = STR_INIT("login-link"), .subject = STR_INIT("operator")},
        .config = cli_default_config(),
        .groups = buf_make(LIST_BYTES_MAX),
    };
    bool understood = parse_options(argc, argv, &a);
    int status = CLI_USAGE;

    if (understood && !a.help) {
        status = admin_client_ask(a.config, &a.request, admin_client_print, NULL);
    } else {
        fputs(usage, understood ? stdout : stderr);
        status = understood ? CLI_OK : CLI_USAGE;
    }
    buf_free(&a.groups);
    return status;
}
