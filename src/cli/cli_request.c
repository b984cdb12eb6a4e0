#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cli/api_client.h"
#include "cli/approval_view.h"
#include "cli/cli.h"
#include "cli/options.h"

static const char usage[] =
    "usage: bulkhead request --resource R --for TIME --reason TEXT [--wait]\n"
    "\n"
    "Asks for access to a resource for a time, such as 30m or 2h. Where a rule says so, sessions\n"
    "are opened only with such a grant.\n"
    "\n"
    "  --resource R       the resource\n"
    "  --for TIME         how long, from the moment of approval\n"
    "  --reason TEXT      what for: approvers read it\n"
    "  --wait             until somebody has decided; the status is 0 if it was "
    "granted\n" API_CLIENT_USAGE;

enum { PATH_BYTES = 256, POLL_MS = 500 };

struct arguments {
    struct api_options api;
    const char *resource, *reason;
    uint64_t seconds;
    bool wait;
};

static bool
parse(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {API_CLIENT_OPTIONS,
                                            {"resource", required_argument, NULL, 'R'},
                                            {"for", required_argument, NULL, 't'},
                                            {"reason", required_argument, NULL, 'r'},
                                            {"wait", no_argument, NULL, 'w'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'R')
            a->resource = optarg;
        else if (option == 'r')
            a->reason = optarg;
        else if (option == 'w')
            a->wait = true;
        else if (option == 't' ? !cli_duration(optarg, &a->seconds)
                               : !api_options_take(&a->api, option, optarg))
            return false;
    }
    return a->api.help ||
           (optind == argc && a->resource != NULL && a->reason != NULL && a->seconds > 0);
}

/* Asks again until it is decided. */
static enum err
wait_for_decision(struct api_client *client, json_t **request)
{
    enum err e = OK;

    while (e == OK && strcmp(api_text(*request, "state"), "pending") == 0) {
        char path[PATH_BYTES];

        (void)snprintf(path, sizeof(path), "/v1/approvals/%s", api_text(*request, "id"));
        (void)poll(NULL, 0, POLL_MS);
        json_decref(*request);
        e = api_client_call(client, "GET", path, NULL, request);
    }
    return e;
}

static enum err
ask(struct api_client *client, const struct arguments *a, bool *granted)
{
    json_t *body = json_pack("{s:s, s:I, s:s}", "resource", a->resource, "seconds",
                             (json_int_t)a->seconds, "reason", a->reason);
    json_t *request = NULL;
    enum err e = body == NULL ? fail(ERR_INVALID, "the texts must be UTF-8")
                              : api_client_call(client, "POST", "/v1/access", body, &request);

    if (e == OK && a->wait)
        e = wait_for_decision(client, &request);
    if (e == OK) {
        if (a->api.json)
            api_print_json(request);
        else
            approval_print_state(stdout, request);
        *granted = !a->wait || strcmp(api_text(request, "state"), "approved") == 0 ||
                   strcmp(api_text(request, "state"), "overridden") == 0;
    }
    json_decref(body);
    json_decref(request);
    return e;
}

int
cli_request(int argc, char **argv)
{
    struct arguments a = {0};
    struct api_client *client;
    bool granted = false;
    enum err e;

    if (!parse(argc, argv, &a)) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    if (a.api.help) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    if ((e = api_client_open(&a.api, &client)) == OK) {
        e = ask(client, &a, &granted);
        api_client_close(client);
    }
    if (e != OK)
        fprintf(stderr, "bulkhead: %s\n", err_text());
    return e == OK && granted ? CLI_OK : CLI_FAILED;
}
