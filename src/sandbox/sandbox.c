#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/filter.h"
#include "sandbox/landlock.h"

enum { SESSION_DESCRIPTORS_MAX = 64, SESSION_LOCKED_BYTES_MAX = 64 << 10 };

struct sandbox {
    struct filter filter;
};

/* What the keeper's libraries read: the resolver's and the CA's files, libraries loaded late. The
 * whole of /etc, because such files are replaced, and a rule for a file ends with the file. */
static const char *const system_paths[] = {
    "/etc",
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/lib64",
    "/usr/share",
    "/usr/local/share",
    "/usr/local/lib",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/urandom",
    "/dev/null",
    "/sys/devices/system/cpu",
};

/* The same for control, which must not read what else lies in /etc: our own secrets often do. That
 * a file among these is replaced while we run is the price; the resolver's usually lie in /run. */
static const char *const control_paths[] = {
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/gnutls",
    "/etc/krb5.conf",
    "/etc/ldap",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/lib64",
    "/usr/share",
    "/usr/local/share",
    "/usr/local/lib",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/urandom",
    "/dev/null",
    "/sys/devices/system/cpu",
};

#if SANDBOX_SANITIZED
/* The leak check at exit stops the process by ptrace(2), which the sandbox refuses. */
static bool entered;
int __lsan_is_turned_off(void);
int
__lsan_is_turned_off(void)
{
    return entered;
}
#endif

static void
warn_without_landlock(void)
{
    if (landlock_version() == 0)
        log_warning("sandbox_without_landlock", "this kernel has no Landlock; seccomp alone");
}

enum err
sandbox_prepare(struct sandbox **out)
{
    struct sandbox *s = calloc(1, sizeof(*s));
    enum err e;

    *out = NULL;
    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for the sandbox");
    if ((e = filter_compile(FILTER_SESSION, &s->filter)) != OK) {
        sandbox_free(s);
        return e;
    }
    warn_without_landlock();
    *out = s;
    return OK;
}

void
sandbox_free(struct sandbox *s)
{
    free(s);
}

static enum err
limit(__rlimit_resource_t resource, rlim_t value)
{
    struct rlimit now;

    if (getrlimit(resource, &now) < 0)
        return fail_errno(ERR_IO, "cannot read resource limit %d", (int)resource);
    if (now.rlim_max < value)
        value = now.rlim_max;
    if (setrlimit(resource, &(struct rlimit){value, value}) < 0)
        return fail_errno(ERR_IO, "cannot set resource limit %d", (int)resource);
    return OK;
}

/* No core with secrets, no privileges by exec, nobody looks in. */
static enum err
give_up_privileges(void)
{
#if SANDBOX_SANITIZED
    entered = true;
#endif
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail_errno(ERR_UNSUPPORTED, "cannot set no-new-privs");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return fail_errno(ERR_IO, "cannot become undumpable");
    return limit(RLIMIT_CORE, 0);
}

/* Root's powers, where we run as root: in a container, for a port below 1024. */
static enum err
drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capset, &header, none) < 0)
        return fail_errno(ERR_IO, "cannot drop capabilities");
    return OK;
}

static int
by_number(const void *a, const void *b)
{
    const int *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Closes every descriptor but standard error and those to keep; -1 among them stands for none. */
static enum err
close_all_but(const int *keep, size_t n)
{
    int kept[SANDBOX_KEEP_MAX + 1] = {STDERR_FILENO};
    unsigned first = 0;

    if (n > SANDBOX_KEEP_MAX)
        return fail(ERR_LIMIT, "too many descriptors to keep");
    for (size_t i = 0; i < n; i++)
        kept[1 + i] = keep[i];
    qsort(kept, n + 1, sizeof(kept[0]), by_number);
    for (size_t i = 0; i < n + 1; i++) {
        if (kept[i] < 0)
            continue;
        if (first < (unsigned)kept[i] &&
            syscall(SYS_close_range, first, (unsigned)kept[i] - 1, 0) != 0)
            return fail_errno(ERR_IO, "cannot close descriptors");
        first = (unsigned)kept[i] + 1;
    }
    return syscall(SYS_close_range, first, ~0u, 0) != 0
               ? fail_errno(ERR_IO, "cannot close descriptors")
               : OK;
}

/* Landlock: no file, no port, no process outside. */
static enum err
reach_nothing(void)
{
    int ruleset;
    enum err e;

    if ((e = landlock_create(LANDLOCK_ALL, &ruleset)) != OK)
        return e;
    e = landlock_enter(ruleset);
    if (ruleset >= 0)
        close(ruleset);
    return e;
}

enum err
sandbox_enter_session(const struct sandbox *s, const int *keep, size_t n)
{
    struct filter filter = s->filter; /* completed with this process's id */
    enum err e;

    filter_set_process(&filter);
    if ((e = close_all_but(keep, n)) != OK || (e = give_up_privileges()) != OK ||
        (e = drop_capabilities()) != OK || (e = limit(RLIMIT_NPROC, 0)) != OK ||
        (e = limit(RLIMIT_NOFILE, SESSION_DESCRIPTORS_MAX)) != OK ||
        (e = limit(RLIMIT_MEMLOCK, SESSION_LOCKED_BYTES_MAX)) != OK || (e = reach_nothing()) != OK)
        return e;
    return filter_enter(&filter);
}

static enum err
enter_service(enum filter_kind kind, int ruleset)
{
    struct filter filter;
    enum err e;

    if ((e = filter_compile(kind, &filter)) != OK || (e = give_up_privileges()) != OK ||
        (e = landlock_enter(ruleset)) != OK)
        return e;
    return filter_enter(&filter);
}

static enum err
allow_paths(int ruleset, const struct sandbox_path *paths)
{
    enum err e;

    for (; paths != NULL && paths->path != NULL; paths++) {
        if ((e = landlock_allow(ruleset, paths->path, paths->writable, false)) != OK)
            return e;
    }
    return OK;
}

/* A service that talks to the world. */
static enum err
enter_online_service(enum filter_kind kind, const struct sandbox_path *paths,
                     const char *const *system, size_t n_system)
{
    int ruleset;
    enum err e;

    warn_without_landlock();
    if ((e = landlock_create(LANDLOCK_NO_TCP_BIND | LANDLOCK_NO_OUTSIDE, &ruleset)) != OK)
        return e;
    e = allow_paths(ruleset, paths);
    for (size_t i = 0; e == OK && i < n_system; i++)
        e = landlock_allow(ruleset, system[i], false, true);
    if (e == OK)
        e = enter_service(kind, ruleset);
    if (ruleset >= 0)
        close(ruleset);
    return e;
}

enum err
sandbox_enter_keeper(const struct sandbox_path *paths)
{
    return enter_online_service(FILTER_KEEPER, paths, system_paths,
                                sizeof(system_paths) / sizeof(system_paths[0]));
}

enum err
sandbox_enter_control(const struct sandbox_path *paths)
{
    return enter_online_service(FILTER_CONTROL, paths, control_paths,
                                sizeof(control_paths) / sizeof(control_paths[0]));
}

enum err
sandbox_enter_ledger(const struct sandbox_path *paths)
{
    int ruleset;
    enum err e;

    warn_without_landlock();
    if ((e = landlock_create(LANDLOCK_ALL, &ruleset)) != OK)
        return e;
    if ((e = allow_paths(ruleset, paths)) == OK)
        e = enter_service(FILTER_LEDGER, ruleset);
    if (ruleset >= 0)
        close(ruleset);
    return e;
}

enum err
sandbox_enter_listener(void)
{
    int ruleset;
    enum err e;

    if ((e = landlock_create(LANDLOCK_ALL, &ruleset)) != OK)
        return e;
    if ((e = drop_capabilities()) == OK)
        e = enter_service(FILTER_LISTENER, ruleset);
    if (ruleset >= 0)
        close(ruleset);
    return e;
}
