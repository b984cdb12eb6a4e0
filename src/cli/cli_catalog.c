#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: bulkhead catalog --resource R [--database D] [--config FILE]\n"
    "\n"
    "Has the running gateway read the catalog of a target's database, as it does for sessions,\n"
    "and says what it found, or why it cannot.\n"
    "\n"
    "  --resource R    whose target\n"
    "  --database D    default: the resource's\n";

static void
print_field(struct str line, void *arg)
{
    struct str name;
    struct str value = str_cut(line, '\t', &name);

    (void)arg;
    if (line.len > 0) /* an empty one only says that it takes longer */
        printf("%-12.*s %.*s\n", STR_ARG(name), STR_ARG(value));
}

/* False: `*status` is the exit status. */
static bool
parse_options(int argc, char **argv, struct ipc_admin_request *request, const char **config,
              int *status)
{
    static const struct option options[] = {{"resource", required_argument, NULL, 'r'},
                                            {"database", required_argument, NULL, 'd'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r') {
            request->subject = str_from(optarg);
        } else if (option == 'd') {
            request->database = str_from(optarg);
        } else if (option == 'c') {
            *config = optarg;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            *status = option == 'h' ? CLI_OK : CLI_USAGE;
            return false;
        }
    }
    if (optind == argc && request->subject.len > 0)
        return true;
    fputs(usage, stderr);
    *status = CLI_USAGE;
    return false;
}

int
cli_catalog(int argc, char **argv)
{
    struct ipc_admin_request request = {.verb = STR_INIT("catalog")};
    const char *config = cli_default_config();
    int status;

    if (!parse_options(argc, argv, &request, &config, &status))
        return status;
    return admin_client_ask(config, &request, print_field, NULL);
}
