#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/api_client.h"
#include "cli/approval_view.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: bulkhead approvals list [--state pending|decided|all]\n"
    "       bulkhead approvals show ID\n"
    "       bulkhead approvals approve ID [--reason TEXT]\n"
    "       bulkhead approvals deny ID --reason TEXT\n"
    "       bulkhead approvals override ID --reason TEXT\n"
    "\n"
    "What agents wait for, and the word that lets it go or ends it. Who may decide is the rule's\n"
    "to say; override is for its break-glass group, and pages everyone.\n"
    "\n"
    "  --reason TEXT      your words; the agent reads those of a denial\n"
    "  --state STATE      default: pending\n" API_CLIENT_USAGE;

enum { PATH_BYTES = 256, ID_BYTES_MAX = 64 };

struct arguments {
    struct api_options api;
    const char *reason, *state, *verb, *id;
};

static bool
parse(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {API_CLIENT_OPTIONS,
                                            {"reason", required_argument, NULL, 'r'},
                                            {"state", required_argument, NULL, 's'},
                                            {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r')
            a->reason = optarg;
        else if (option == 's')
            a->state = optarg;
        else if (!api_options_take(&a->api, option, optarg))
            return false;
    }
    if (a->api.help)
        return true;
    a->verb = optind < argc ? argv[optind++] : "";
    a->id = optind < argc ? argv[optind++] : NULL;
    return optind == argc && (strcmp(a->verb, "list") == 0) == (a->id == NULL);
}

/* Ids are words: nothing that could change the path. */
static bool
is_id(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= ID_BYTES_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") == len;
}

static bool
is_state(const char *text)
{
    return strcmp(text, "pending") == 0 || strcmp(text, "decided") == 0 || strcmp(text, "all") == 0;
}

static enum err
list(struct api_client *client, const struct arguments *a)
{
    char path[PATH_BYTES];
    json_t *answer;
    enum err e;

    (void)snprintf(path, sizeof(path), "/v1/approvals?limit=200&state=%s", a->state);
    if ((e = api_client_call(client, "GET", path, NULL, &answer)) != OK)
        return e;
    if (a->api.json)
        api_print_json(answer);
    else
        approval_print_list(stdout, json_object_get(answer, "items"));
    json_decref(answer);
    return OK;
}

static enum err
one(struct api_client *client, const struct arguments *a)
{
    bool show = strcmp(a->verb, "show") == 0;
    json_t *body = json_object(), *answer = NULL;
    char path[PATH_BYTES];
    enum err e;

    if (a->reason != NULL)
        (void)json_object_set_new(body, "reason", json_string(a->reason));
    (void)snprintf(path, sizeof(path), "/v1/approvals/%s%s%s", a->id, show ? "" : "/",
                   show ? "" : a->verb);
    e = api_client_call(client, show ? "GET" : "POST", path, show ? NULL : body, &answer);
    if (e == OK) {
        if (a->api.json)
            api_print_json(answer);
        else if (show)
            approval_print_whole(stdout, answer);
        else
            approval_print_state(stdout, answer);
    }
    json_decref(body);
    json_decref(answer);
    return e;
}

int
cli_approvals(int argc, char **argv)
{
    static const char *const verbs[] = {"show", "approve", "deny", "override"};
    struct arguments a = {.state = "pending"};
    struct api_client *client;
    bool known;
    enum err e;

    if (parse(argc, argv, &a) && a.api.help) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    known = a.verb != NULL && a.id == NULL && strcmp(a.verb, "list") == 0 && is_state(a.state);
    for (size_t i = 0; a.id != NULL && i < sizeof(verbs) / sizeof(verbs[0]); i++)
        known = known || (strcmp(a.verb, verbs[i]) == 0 && is_id(a.id));
    if (!known) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    if ((e = api_client_open(&a.api, &client)) == OK) {
        e = a.id == NULL ? list(client, &a) : one(client, &a);
        api_client_close(client);
    }
    if (e != OK)
        fprintf(stderr, "bulkhead: %s\n", err_text());
    return e == OK ? CLI_OK : CLI_FAILED;
}
