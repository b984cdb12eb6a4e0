#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/admin_client.h"
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

static int
save(int from, const char *path)
{
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char bytes[4096];
    ssize_t n = -1;

    while (to >= 0 && (n = read(from, bytes, sizeof(bytes))) > 0)
        if (write(to, bytes, (size_t)n) != n) {
            n = -1;
            break;
        }
    if (n < 0)
        fprintf(stderr, "bulkhead catalog: cannot write %s: %m\n", path);
    if (to >= 0 && close(to) != 0)
        n = -1;
    return n < 0 ? CLI_FAILED : CLI_OK;
}

int
cli_catalog(int argc, char **argv)
{
    struct ipc_admin_request request = {.verb = STR_INIT("catalog")};
    const char *config = cli_default_config(), *output = NULL;
    int status, fd;

    if (!parse_options(argc, argv, &request, &output, &config, &status))
        return status;
    status = admin_client_ask_for_file(config, &request, print_field, NULL, &fd);
    if (status == CLI_OK && output != NULL)
        status = save(fd, output);
    if (fd >= 0)
        close(fd);
    return status;
}
