/* supervisor/children.h - the supervisor's child processes: services, which it keeps running, and
 * sessions, whose ends it reports. */
#ifndef SUPERVISOR_CHILDREN_H
#define SUPERVISOR_CHILDREN_H

#include "supervisor/state.h"

/* A line for operators and a record for auditors; without a ledger the record is made later. */
void children_tell(struct supervisor *s, const char *subject, const char *event,
                   const char *detail);

/* Starts a service and introduces it to those that run. */
enum err children_start(struct supervisor *s, enum ipc_service kind);

/* Gives a running service another configuration, in which it may find fault. */
enum err children_configure(struct supervisor *s, enum ipc_service kind, const struct candidate *c);

/* Ends control, and starts it if the configuration in force needs it. A fresh process, because its
 * sandbox and environment hold what one configuration names; who waited for it asks again. It may
 * fail to start: that is tried again, and sessions do not depend on it. */
void children_renew_control(struct supervisor *s);

/* Takes note of every end since the last call, and of what the listener says of its sessions. */
void children_reap(struct supervisor *s);

/* Starts again what died, when it is due; while draining nothing is. */
void children_restart(struct supervisor *s);

/* Replaces the listener by a fresh execution; live sessions become ours and go on. */
void children_recycle_listener(struct supervisor *s);

/* Ends a service in order, by force if it takes too long. */
void children_stop(struct supervisor *s, enum ipc_service kind);

/* Ends the processes of sessions that should have ended by themselves: a compromised session must
 * not keep its connection to the target. */
void children_kill_overdue(struct supervisor *s);

/* Ends every session's process at once. */
void children_kill_sessions(struct supervisor *s);

#endif
