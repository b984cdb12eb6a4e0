/* The table of subcommands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "supervisor/supervisor.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} subcommands[] = {
    {"serve", cli_serve, "run the gateway in the foreground"},
    {"check", cli_check, "check a configuration file"},
    {"explain", cli_explain, "say what an identity may do, and which rule says so"},
    {"token", cli_token, "issue and revoke tokens of the local issuer"},
    {"login-link", cli_login_link, "print a link that logs into the console once"},
    {"approvals", cli_approvals, "what agents wait for: list, show, approve, deny"},
    {"request", cli_request, "ask for access to a resource for a time"},
    {"access", cli_access, "list and revoke grants of access"},
    {"audit", cli_audit, "list, show, follow and verify the ledger"},
    {"status", cli_status, "show the state of a running gateway"},
    {"sessions", cli_sessions, "list the sessions of a running gateway"},
    {"replay", cli_replay, "show a recorded session in the terminal"},
    {"export", cli_export, "write a recorded session as asciicast, SQL or JSON"},
    {"recording-key", cli_recording_key, "make the keys of recordings"},
    {"kill", cli_kill, "end a session of a running gateway"},
    {"catalog", cli_catalog, "read the catalog of a target's database, and say what it holds"},
    {"schema", cli_schema, "print the configuration's schema or reference"},
};

static void
print_usage(FILE *to)
{
    fputs("usage: bulkhead COMMAND [OPTION]...\n\n", to);
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
        fprintf(to, "  %-13s %s\n", subcommands[i].name, subcommands[i].summary);
    fputs("\n'bulkhead COMMAND --help' describes a command; so does bulkhead(1).\n", to);
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("bulkhead " BULKHEAD_VERSION);
        return CLI_OK;
    }
    if (strcmp(argv[1], "service") == 0 && argc == 4) /* how the supervisor starts services */
        return supervisor_run_service(argv[2], atoi(argv[3]));
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "bulkhead: unknown command '%s'\n\n", argv[1]);
    print_usage(stderr);
    return CLI_USAGE;
}
