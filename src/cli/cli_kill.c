#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/options.h"

static const char usage[] = "usage: bulkhead kill SESSION [--config FILE]\n"
                            "\n"
                            "Ends a session at once; its client is told. 'bulkhead sessions' lists "
                            "their ids.\n";

int
cli_kill(int argc, char **argv)
{
    struct ipc_admin_request request = {.verb = STR_INIT("kill")};
    const char *config;
    int status = cli_options(argc, argv, usage, 1, &config, NULL);

    if (status != CLI_GO_ON)
        return status;
    request.subject = str_from(argv[optind]);
    return admin_client_ask(config, &request, admin_client_print, NULL);
}
