#include <getopt.h>
#include <stdio.h>

#include "cli/catalog_file.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: bulkhead catalog --resource R [--database D] [--output FILE] [--config FILE]\n"
    "\n"
    "Has the running gateway read the catalog of a target's database, as it does for sessions,\n"
    "and says what it found, or why it cannot.\n"
    "\n"
    "  --resource R    whose target\n"
    "  --database D    default: the resource's\n"
    "  --output FILE   keeps it, for bulkhead explain --catalog\n";

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
parse_options(int argc, char **argv, struct ipc_admin_request *request, const char **output,
              const char **config, int *status)
{
    static const struct option options[] = {
        {"resource", required_argument, NULL, 'r'}, {"database", required_argument, NULL, 'd'},
        {"output", required_argument, NULL, 'o'},   {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},           {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r') {
            request->subject = str_from(optarg);
        } else if (option == 'd') {
            request->database = str_from(optarg);
        } else if (option == 'o') {
            *output = optarg;
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
    struct ipc_admin_request request = {0};
    const char *config = cli_default_config(), *output = NULL;
    struct catalog_file file;
    enum err e;
    int status;

    if (!parse_options(argc, argv, &request, &output, &config, &status))
        return status;
    if (output == NULL) {
        request.verb = STR("catalog");
        return admin_client_ask(config, &request, print_field, NULL);
    }
    e = catalog_file_ask(&file, config, request.subject, request.database, print_field);
    if (e == OK)
        e = catalog_file_write(&file, output);
    if (e != OK)
        fprintf(stderr, "bulkhead catalog: %s\n", err_text());
    catalog_file_close(&file);
    return e == OK ? CLI_OK : CLI_FAILED;
}
