#include "cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "cli/cli.h"

const char *
cli_default_config(void)
{
    const char *path = getenv("BULKHEAD_CONFIG");

    return path != NULL && path[0] != '\0' ? path : "/etc/bulkhead/bulkhead.yaml";
}

int
cli_options(int argc, char **argv, const char *usage, int n_words, const char **config, bool *json)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;

    *config = cli_default_config();
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'c') {
            *config = optarg;
        } else if (option == 'j' && json != NULL) {
            *json = true;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? CLI_OK : CLI_USAGE;
        }
    }
    if (optind + n_words != argc) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    return CLI_GO_ON;
}

bool
cli_duration(const char *text, uint64_t *seconds)
{
    static const struct {
        char unit;
        unsigned factor;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct str digits = str_from(text);
    unsigned factor = 1;

    for (size_t i = 0; digits.len > 0 && i < sizeof(units) / sizeof(units[0]); i++)
        if (digits.ptr[digits.len - 1] == units[i].unit) {
            factor = units[i].factor;
            digits.len--;
            break;
        }
    if (!str_to_uint(digits, UINT32_MAX / 86400, seconds))
        return false;
    *seconds *= factor;
    return *seconds > 0;
}
