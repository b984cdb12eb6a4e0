#include <getopt.h>
#include <stdio.h>

#include "cli/cli.h"
#include "supervisor/supervisor.h"

static const char usage[] =
    "usage: bulkhead serve [--config FILE]\n"
    "\n"
    "Runs the gateway in the foreground, logging to standard error. SIGHUP reads the\n"
    "configuration again; SIGTERM ends it once its sessions have ended or the configured\n"
    "time is over, a second SIGTERM at once.\n"
    "\n"
    "  --config FILE   the configuration; default $BULKHEAD_CONFIG, else\n"
    "                  /etc/bulkhead/bulkhead.yaml\n";

int
cli_serve(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *config = cli_default_config();
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return CLI_OK;
        }
        if (option != 'c') {
            fputs(usage, stderr);
            return CLI_USAGE;
        }
        config = optarg;
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    return supervisor_run(config);
}
