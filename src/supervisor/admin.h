/* supervisor/admin.h - the administrative socket: the supervisor answers for the processes, and
 * passes on what concerns identities and sessions. */
#ifndef SUPERVISOR_ADMIN_H
#define SUPERVISOR_ADMIN_H

#include "supervisor/state.h"

/* Takes new clients, serves those that have asked, and lets go of those that never do. */
void admin_serve_all(struct supervisor *s);

#endif
