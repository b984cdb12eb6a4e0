/* sandbox/sandbox.h - what a process of ours gives up, for good. */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sandbox; /* a prepared session sandbox: the compiled filter */

/* Prepares once (in the listener) what each session enters: compiles the seccomp allow-list. It
 * holds no descriptor, so that a session may close all that it inherits. `*out` is the caller's.
 * ERR_UNSUPPORTED if the kernel lacks seccomp; a kernel without Landlock is a warning (seccomp
 * alone already closes files). */
enum err sandbox_prepare(struct sandbox **out);
void sandbox_free(struct sandbox *s);

enum { SANDBOX_KEEP_MAX = 6 };

/* Enters the session sandbox: every descriptor closed but standard error and the `n` in `keep`,
 * no-new-privs, not dumpable, rlimits (no core, no new processes, few descriptors), Landlock with
 * nothing allowed, and the seccomp allow-list. From then on the process can open no file, no
 * socket and no program; attempts at a program, a socket, another process or tracing kill it,
 * others fail with EPERM. */
enum err sandbox_enter_session(const struct sandbox *s, const int *keep, size_t n);

/* For services, after they opened what they need. `paths` end with a NULL path. */
struct sandbox_path {
    const char *path;
    bool writable;
};
/* The keeper: files below `paths`, network, threads; no programs, no tracing. */
enum err sandbox_enter_keeper(const struct sandbox_path *paths);
/* The ledger: files below `paths`, no network sockets, no programs. */
enum err sandbox_enter_ledger(const struct sandbox_path *paths);
/* Control: files below `paths`, network, threads; no programs, no tracing. Unlike the keeper it may
 * read of the system only what resolving names and verifying certificates takes: what it serves is
 * open to the network. */
enum err sandbox_enter_control(const struct sandbox_path *paths);
/* The listener: accept and fork only, no files, no programs; its children enter their own. */
enum err sandbox_enter_listener(void);

#endif
