/* cli/options.h - the options of the simple subcommands. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { CLI_GO_ON = -1 };

/* Reads --config FILE into `*config` (else the default), --json into `*json` (NULL: there is no
 * such option) and answers --help with `usage`; then exactly `n_words` words must be left, at
 * argv[optind]. Returns CLI_GO_ON, or the exit status. */
int cli_options(int argc, char **argv, const char *usage, int n_words, const char **config,
                bool *json);

/* Reads a time as 30s, 15m, 2h or 1d. False: it is none. */
bool cli_duration(const char *text, uint64_t *seconds);

#endif
