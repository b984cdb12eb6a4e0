/* listener/listener.h - accepts connections, counts and paces those that are not authenticated
 * yet, and forks a session for each. Reads nothing from a client and holds no secret. */
#ifndef LISTENER_LISTENER_H
#define LISTENER_LISTENER_H

/* The process: takes its orders from the supervisor over `channel`. Returns the exit status. */
int listener_run(int channel);

#endif
