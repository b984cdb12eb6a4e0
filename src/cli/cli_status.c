#include <getopt.h>
#include <stdio.h>

#include "cli/admin_client.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: bulkhead status [--config FILE]\n"
    "\n"
    "Shows whether the gateway of that configuration runs, its processes, and the policy in\n"
    "force. Exits with 1 if it does not run.\n";

static void
print_field(struct str line, void *arg)
{
    struct str name;
    struct str value = str_cut(line, '\t', &name);

    (void)arg;
    printf("%-14.*s %.*s\n", STR_ARG(name), STR_ARG(value));
}

int
cli_status(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct ipc_admin_request request = {.verb = STR_INIT("status")};
    const char *config = cli_default_config();
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'c') {
            config = optarg;
            continue;
        }
        fputs(usage, option == 'h' ? stdout : stderr);
        return option == 'h' ? CLI_OK : CLI_USAGE;
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    return admin_client_ask(config, &request, print_field, NULL);
}
