#include "cli/catalog_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

/* Maps what is behind `fd` and closes that. */
static enum err
open_mapped(struct catalog_file *f, int fd)
{
    struct stat status;
    void *bytes = MAP_FAILED;

    if (fstat(fd, &status) == 0 && status.st_size > 0 && status.st_size <= CATALOG_BYTES_MAX)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return fail(ERR_PROTOCOL, "it is empty, too large, or no file");
    f->bytes = (struct str){bytes, (size_t)status.st_size};
    return catalog_open(f->bytes, &f->catalog);
}

enum err
catalog_file_ask(struct catalog_file *f, const char *config, struct str resource,
                 struct str database, void (*line)(struct str text, void *arg))
{
    struct ipc_admin_request request = {
        .verb = STR_INIT("catalog"), .subject = resource, .database = database};
    int fd;

    *f = (struct catalog_file){0};
    if (admin_client_ask_for_file(config, &request, line, NULL, &fd) != CLI_OK)
        return fail(ERR_UNAVAILABLE, "no running gateway gave a catalog");
    return fd < 0 ? fail(ERR_PROTOCOL, "the gateway is of another version: it gave no catalog")
                  : open_mapped(f, fd);
}

enum err
catalog_file_read(struct catalog_file *f, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    *f = (struct catalog_file){0};
    if (fd < 0)
        return fail_errno(ERR_IO, "cannot open %s", path);
    if (open_mapped(f, fd) != OK)
        return fail(ERR_PROTOCOL, "%s is no catalog that this version of bulkhead saved", path);
    return OK;
}

enum err
catalog_file_write(const struct catalog_file *f, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    struct str left = f->bytes;
    ssize_t n;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot write %s", path);
    while (left.len > 0) {
        if ((n = write(fd, left.ptr, left.len)) < 0 && errno != EINTR) {
            enum err e = fail_errno(ERR_IO, "cannot write %s", path);

            close(fd);
            return e;
        }
        left = str_skip(left, n > 0 ? (size_t)n : 0);
    }
    return close(fd) == 0 ? OK : fail_errno(ERR_IO, "cannot write %s", path);
}

void
catalog_file_close(struct catalog_file *f)
{
    if (f->bytes.len > 0)
        (void)munmap((void *)(uintptr_t)f->bytes.ptr, f->bytes.len);
    *f = (struct catalog_file){0};
}
