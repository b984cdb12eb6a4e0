/* cli/admin_client.h - what the subcommands that talk to a running gateway share. */
#ifndef CLI_ADMIN_CLIENT_H
#define CLI_ADMIN_CLIENT_H

#include "ipc/admin.h"

/* Asks the gateway of `config_path` and gives each line of the answer to `line`. Says on standard
 * error what went wrong. Returns the exit status. */
int admin_client_ask(const char *config_path, const struct ipc_admin_request *request,
                     void (*line)(struct str text, void *arg), void *arg);
/* The same, and the descriptor that came with the answer: ipc_admin_ask(). */
int admin_client_ask_for_file(const char *config_path, const struct ipc_admin_request *request,
                              void (*line)(struct str text, void *arg), void *arg, int *fd);

/* Writes a line to standard output, control characters shown as '?'. For `line` above. */
void admin_client_print(struct str text, void *arg);

#endif
