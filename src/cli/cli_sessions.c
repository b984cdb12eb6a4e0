#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/options.h"

static const char usage[] = "usage: bulkhead sessions [--json] [--config FILE]\n"
                            "\n"
                            "Lists the sessions of a running gateway, one a line.\n"
                            "\n"
                            "  --json   each as a line of JSON, with every field\n";

static const char *
field(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value == NULL ? "" : value;
}

static void
print_row(struct str line, void *arg)
{
    json_t *object = json_loadb(line.ptr, line.len, 0, NULL);
    char row[1024];

    (void)arg;
    if (object == NULL)
        return;
    (void)snprintf(row, sizeof(row), "%-16s  %-28s  %-16s  %-12s  %-15s  %.19sZ",
                   field(object, "session"), field(object, "subject"), field(object, "resource"),
                   field(object, "database"), field(object, "source"), field(object, "opened"));
    admin_client_print(str_from(row), NULL);
    json_decref(object);
}

int
cli_sessions(int argc, char **argv)
{
    struct ipc_admin_request request = {.verb = STR_INIT("sessions")};
    bool json = false;
    const char *config;
    int status = cli_options(argc, argv, usage, 0, &config, &json);

    if (status != CLI_GO_ON)
        return status;
    if (!json)
        printf("%-16s  %-28s  %-16s  %-12s  %-15s  %s\n", "SESSION", "SUBJECT", "RESOURCE",
               "DATABASE", "SOURCE", "OPENED");
    return admin_client_ask(config, &request, json ? admin_client_print : print_row, NULL);
}
