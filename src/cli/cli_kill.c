#include <getopt.h>
#include <stdio.h>

#include "cli/admin_client.h"
#include "cli/cli.h"

static const char usage[] = "usage: bulkhead kill SESSION [--config FILE]\n"
                            "\n"
                            "Ends a session at once; its client is told. 'bulkhead sessions' lists "
                            "their ids.\n";

int
cli_kill(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct ipc_admin_request request = {.verb = STR_INIT("kill")};
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
    if (optind + 1 != argc) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    request.subject = str_from(argv[optind]);
    return admin_client_ask(config, &request, admin_client_print, NULL);
}
