#include <stdio.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/options.h"

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
    struct ipc_admin_request request = {.verb = STR_INIT("status")};
    const char *config;
    int status = cli_options(argc, argv, usage, 0, &config, NULL);

    return status != CLI_GO_ON ? status : admin_client_ask(config, &request, print_field, NULL);
}
