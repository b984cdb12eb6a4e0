#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"

enum { SCHEMA_BYTES_MAX = 8 << 20 };

static const char usage[] =
    "usage: bulkhead schema --json | --markdown\n"
    "\n"
    "Prints what a configuration file may hold: as a JSON Schema for editors, or as the\n"
    "reference for people.\n";

int
cli_schema(int argc, char **argv)
{
    struct buf text = buf_make(SCHEMA_BYTES_MAX);
    bool done;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    if (argc == 2 && strcmp(argv[1], "--json") == 0) {
        config_write_json_schema(&text);
    } else if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
        config_write_reference(&text);
    } else {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    done = buf_ok(&text) == OK && fwrite(text.ptr, 1, text.len, stdout) == text.len &&
           fflush(stdout) == 0;
    buf_free(&text);
    if (!done)
        fputs("bulkhead: cannot write the schema\n", stderr);
    return done ? CLI_OK : CLI_FAILED;
}
