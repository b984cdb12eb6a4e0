/* supervisor/supervisor.h - starts, watches and restarts the services; holds the configuration
 * and the listening sockets; serves the administrative socket. */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

/* Runs in the foreground until SIGTERM or SIGINT. Returns the exit status. */
int supervisor_run(const char *config_path);

/* Runs as one of the services ("keeper") over the inherited channel; the other half of how the
 * supervisor starts itself again. Returns the exit status; 2 for an unknown name. */
int supervisor_run_service(const char *name, int channel);

#endif
