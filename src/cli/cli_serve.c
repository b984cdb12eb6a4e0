#include <stddef.h>

#include "cli/cli.h"
#include "cli/options.h"
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
    const char *config;
    int status = cli_options(argc, argv, usage, 0, &config, NULL);

    return status != CLI_GO_ON ? status : supervisor_run(config);
}
