/* keeper/admin.h - administrative requests that need identities or sessions. */
#ifndef KEEPER_ADMIN_H
#define KEEPER_ADMIN_H

#include "keeper/state.h"

/* Serves one request of a local operator and answers on `client`, which is adopted. */
void admin_serve(struct keeper *k, const struct ipc_admin_request *request, int client);

#endif
