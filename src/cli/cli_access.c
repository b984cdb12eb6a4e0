#include <stdio.h>
#include <string.h>

#include "cli/api_client.h"
#include "cli/approval_view.h"
#include "cli/cli.h"

static const char usage[] =
    "usage: bulkhead access list\n"
    "       bulkhead access revoke ID --reason TEXT\n"
    "\n"
    "Grants of access for a time. Revoking one ends the sessions that were opened under it.\n"
    "\n"
    "  --reason TEXT      your words: they are recorded, and whoever had it reads "
    "them\n" API_CLIENT_USAGE;

enum { PATH_BYTES = 256, ID_BYTES_MAX = 64 };

struct arguments {
    struct api_options api;
    const char *reason, *id;
};

static bool
parse(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {
        API_CLIENT_OPTIONS, {"reason", required_argument, NULL, 'r'}, {0}};
    int option;
    const char *verb;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'r')
            a->reason = optarg;
        else if (!api_options_take(&a->api, option, optarg))
            return false;
    }
    if (a->api.help)
        return true;
    verb = optind < argc ? argv[optind++] : "";
    if (strcmp(verb, "list") == 0)
        return optind == argc;
    a->id = optind < argc ? argv[optind++] : "";
    return strcmp(verb, "revoke") == 0 && optind == argc && a->reason != NULL && *a->id != '\0' &&
           strlen(a->id) <= ID_BYTES_MAX &&
           strspn(a->id, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(a->id);
}

static enum err
list(struct api_client *client, const struct arguments *a)
{
    json_t *answer;
    enum err e = api_client_call(client, "GET", "/v1/access", NULL, &answer);

    if (e != OK)
        return e;
    if (a->api.json)
        api_print_json(answer);
    else
        access_print_list(stdout, json_object_get(answer, "items"));
    json_decref(answer);
    return OK;
}

static enum err
revoke(struct api_client *client, const struct arguments *a)
{
    json_t *body = json_pack("{s:s}", "reason", a->reason), *answer = NULL;
    char path[PATH_BYTES];
    enum err e;

    (void)snprintf(path, sizeof(path), "/v1/access/%s/revoke", a->id);
    e = body == NULL ? fail(ERR_INVALID, "the reason must be UTF-8")
                     : api_client_call(client, "POST", path, body, &answer);
    if (e == OK && a->api.json)
        api_print_json(answer);
    else if (e == OK)
        printf("%s is revoked\n", a->id);
    json_decref(body);
    json_decref(answer);
    return e;
}

int
cli_access(int argc, char **argv)
{
    struct arguments a = {0};
    struct api_client *client;
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
        e = a.id == NULL ? list(client, &a) : revoke(client, &a);
        api_client_close(client);
    }
    if (e != OK)
        fprintf(stderr, "bulkhead: %s\n", err_text());
    return e == OK ? CLI_OK : CLI_FAILED;
}
