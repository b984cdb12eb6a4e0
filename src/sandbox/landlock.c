#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's interface is written out here: the system's headers are older than the kernels
 * that we run on, and each version only adds to it. */
enum {
    VERSION_REFER = 2,
    VERSION_TRUNCATE = 3,
    VERSION_TCP = 4,
    VERSION_IOCTL = 5,
    VERSION_SCOPE = 6
};

#define FS_EXECUTE          (1ULL << 0)
#define FS_WRITE_FILE       (1ULL << 1)
#define FS_READ_FILE        (1ULL << 2)
#define FS_READ_DIR         (1ULL << 3)
#define FS_REMOVE_DIR       (1ULL << 4)
#define FS_REMOVE_FILE      (1ULL << 5)
#define FS_MAKE_DIR         (1ULL << 7)
#define FS_MAKE_REG         (1ULL << 8)
#define FS_MAKE_SOCK        (1ULL << 9)
#define FS_VERSION_1        ((1ULL << 13) - 1)
#define FS_REFER            (1ULL << 13)
#define FS_TRUNCATE         (1ULL << 14)
#define FS_IOCTL_DEV        (1ULL << 15)

#define NET_BIND_TCP        (1ULL << 0)
#define NET_CONNECT_TCP     (1ULL << 1)

#define SCOPE_ABSTRACT_UNIX (1ULL << 0)
#define SCOPE_SIGNAL        (1ULL << 1)

#define RIGHTS_READ         (FS_READ_FILE | FS_READ_DIR)
#define RIGHTS_WRITE                                                                               \
    (FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG |    \
     FS_MAKE_SOCK | FS_REFER)
#define RIGHTS_OF_A_FILE (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE)

enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };

struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct path_beneath_attr {
    uint64_t allowed_access;
    int32_t parent_fd;
} __attribute__((packed));

int
landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

    return version < 0 ? 0 : (int)version;
}

static uint64_t
file_rights(int version)
{
    return FS_VERSION_1 | (version >= VERSION_REFER ? FS_REFER : 0) |
           (version >= VERSION_TRUNCATE ? FS_TRUNCATE : 0) |
           (version >= VERSION_IOCTL ? FS_IOCTL_DEV : 0);
}

enum err
landlock_create(enum landlock_scope scope, int *fd)
{
    int version = landlock_version();
    struct ruleset_attr attr = {.handled_access_fs = file_rights(version)};
    size_t size = sizeof(attr.handled_access_fs); /* the first version's */

    *fd = -1;
    if (version == 0)
        return OK;
    if (version >= VERSION_TCP) {
        attr.handled_access_net = ((scope & LANDLOCK_NO_TCP_BIND) ? NET_BIND_TCP : 0) |
                                  ((scope & LANDLOCK_NO_TCP_CONNECT) ? NET_CONNECT_TCP : 0);
        size += sizeof(attr.handled_access_net);
    }
    if (version >= VERSION_SCOPE) {
        attr.scoped = (scope & LANDLOCK_NO_OUTSIDE) ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0;
        size += sizeof(attr.scoped);
    }
    *fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    return *fd < 0 ? fail_errno(ERR_IO, "cannot create a Landlock rule set") : OK;
}

enum err
landlock_allow(int fd, const char *path, bool writable, bool optional)
{
    struct path_beneath_attr rule = {.allowed_access = RIGHTS_READ | (writable ? RIGHTS_WRITE : 0)};
    struct stat status;
    long result;

    if (fd < 0)
        return OK;
    if ((rule.parent_fd = open(path, O_PATH | O_CLOEXEC)) < 0)
        return optional ? OK : fail_errno(ERR_NOT_FOUND, "cannot open %s", path);
    if (fstat(rule.parent_fd, &status) < 0 || !S_ISDIR(status.st_mode))
        rule.allowed_access &= RIGHTS_OF_A_FILE;
    rule.allowed_access &= file_rights(landlock_version());
    result = syscall(SYS_landlock_add_rule, fd, RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
    return result < 0 ? fail_errno(ERR_IO, "cannot allow %s in a Landlock rule set", path) : OK;
}

enum err
landlock_enter(int fd)
{
    if (fd >= 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        return fail_errno(ERR_IO, "cannot enter a Landlock rule set");
    return OK;
}
