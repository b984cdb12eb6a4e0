#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/recording_file.h"
#include "recording/export.h"

static const char usage[] =
    "usage: bulkhead export SESSION|FILE --format FORMAT [OPTION]...\n"
    "\n"
    "Writes a recorded session to standard output in another format:\n"
    "\n"
    "  asciicast  version 3, for asciinema and other players\n"
    "  sql        the commands that ran without an error, as a script that can be run again\n"
    "  json       one document with all events\n"
    "\n"
    "  --key FILE        the private key of recordings\n"
    "  --recordings DIR  the directory of recordings\n"
    "  --ledger DIR      check the recording against the ledger there first\n"
    "  --config FILE     where the first two are looked up otherwise; default: $BULKHEAD_CONFIG,\n"
    "                    /etc/bulkhead/bulkhead.yaml\n";

static enum err
print(void *arg, struct str bytes)
{
    if (fwrite(bytes.ptr, 1, bytes.len, arg) != bytes.len)
        return fail_errno(ERR_IO, "cannot write");
    return OK;
}

static int export(const struct recording_request *request, enum recording_format format)
{
    struct recording_opened opened;
    enum err e;

    if (recording_file_open(request, &opened) != OK)
        return CLI_FAILED;
    e = recording_export(opened.set, format, print, stdout);
    if (e == OK && fflush(stdout) != 0)
        e = fail_errno(ERR_IO, "cannot write");
    if (e != OK)
        fprintf(stderr, "bulkhead: %s\n", err_text());
    else if (recording_set_end(opened.set) == RECORDING_CUT_OFF)
        fputs("bulkhead: the recording is cut off: the session goes on, or its recorder died\n",
              stderr);
    recording_file_close(&opened);
    return e == OK ? CLI_OK : CLI_FAILED;
}

int
cli_export(int argc, char **argv)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"recordings", required_argument, NULL, 'r'},
                                            {"ledger", required_argument, NULL, 'l'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct recording_request request = {.config = cli_default_config()};
    const char *name = NULL;
    enum recording_format format;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **to = option == 'f'   ? &name
                          : option == 'k' ? &request.key
                          : option == 'r' ? &request.directory
                          : option == 'l' ? &request.ledger
                          : option == 'c' ? &request.config
                                          : NULL;

        if (to == NULL) {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? CLI_OK : CLI_USAGE;
        }
        *to = optarg;
    }
    if (optind + 1 != argc || name == NULL || !recording_format_by_name(str_from(name), &format)) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    request.which = argv[optind];
    return export(&request, format);
}
