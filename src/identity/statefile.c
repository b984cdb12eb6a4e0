#include "identity/statefile.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum err
statefile_sync_folder(const char *path)
{
    char folder[STATEFILE_PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    enum err e = OK;
    int fd;

    if (slash != NULL) {
        size_t len = slash == path ? 1 : (size_t)(slash - path);

        if (len >= sizeof(folder))
            return fail(ERR_LIMIT, "the name of %s's folder is too long", path);
        memcpy(folder, path, len);
        folder[len] = '\0';
    }
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        e = fail_errno(ERR_IO, "syncing %s", folder);
    if (fd >= 0)
        close(fd);
    return e;
}
