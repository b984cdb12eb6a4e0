/* sandbox/landlock.h - Landlock by raw system calls: which files, ports and peers a process may
 * still reach. Of the room; others use sandbox.h. */
#ifndef SANDBOX_LANDLOCK_H
#define SANDBOX_LANDLOCK_H

#include "sandbox/sandbox.h"

/* What a rule set refuses besides files; a kernel that cannot is not an error. */
enum landlock_scope {
    LANDLOCK_FILES_ONLY = 0,
    LANDLOCK_NO_TCP_BIND = 1,
    LANDLOCK_NO_TCP_CONNECT = 2,
    LANDLOCK_NO_OUTSIDE = 4, /* no signals and no abstract Unix sockets to processes outside */
    LANDLOCK_ALL = 7,
};

/* The kernel's Landlock version; 0 without Landlock. */
int landlock_version(void);

/* A rule set that allows no file, and refuses what `scope` says. `*fd` is the caller's, -1 on a
 * kernel without Landlock. ERR_IO. */
enum err landlock_create(enum landlock_scope scope, int *fd);

/* Allows `path` and what is below it. With `optional` a path that is not there is skipped,
 * otherwise it is ERR_NOT_FOUND. Nothing happens when `fd` is -1. ERR_IO. */
enum err landlock_allow(int fd, const char *path, bool writable, bool optional);

/* Enters the rule set for good; no-new-privs must be set. Nothing happens when `fd` is -1.
 * ERR_IO. */
enum err landlock_enter(int fd);

#endif
