/* cli/cli.h - the subcommands of bulkhead, one file each (cli/cli_NAME.c).
 * Each gets argv from its own name on and returns the exit status: CLI_OK, CLI_FAILED (it was
 * asked properly, and the answer is no or something broke), CLI_USAGE. Results go to standard
 * output, everything else to standard error. `--help` is answered with the usage text. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_schema(int argc, char **argv);
int cli_token(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_approvals(int argc, char **argv);
int cli_request(int argc, char **argv);
int cli_access(int argc, char **argv);
int cli_login_link(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_sessions(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_recording_key(int argc, char **argv);
int cli_kill(int argc, char **argv);
int cli_catalog(int argc, char **argv);

/* The configuration file that a subcommand uses when it is not told: $BULKHEAD_CONFIG, else
 * /etc/bulkhead/bulkhead.yaml. */
const char *cli_default_config(void);

#endif
