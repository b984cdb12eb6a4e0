/* ipc/admin.h - the administrative socket, from the operator's side. */
#ifndef IPC_ADMIN_H
#define IPC_ADMIN_H

#include <sys/un.h>

#include "ipc/message.h"

/* The address of the socket in a runtime directory. ERR_LIMIT: the path is too long. */
enum err ipc_admin_address(struct str runtime_directory, struct sockaddr_un *out);

/* Asks a running gateway, giving each line of the answer to `line`, and the descriptor that came
 * with its end, the caller's then, to `*fd` (may be NULL; -1: none came). ERR_UNAVAILABLE: no
 * gateway runs there, or we may not talk to it; ERR_DENIED: it refused, err_text() has its words.
 */
enum err ipc_admin_ask(struct str runtime_directory, const struct ipc_admin_request *request,
                       void (*line)(struct str text, void *arg), void *arg, int *fd);

#endif
