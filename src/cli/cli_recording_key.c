#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "recording/key.h"

enum { PATH_BYTES = 2048 };

static const char usage[] =
    "usage: bulkhead recording-key --out DIR\n"
    "\n"
    "Makes the pair of keys of recordings (RSA, 3072 bits) in DIR: recording-public.pem, for\n"
    "recordings.public_key of the configuration, and recording-private.pem, with which alone\n"
    "recordings can be viewed. Keep the private key away from the gateway, or name it in\n"
    "recordings.private_key to view recordings in the console. Existing files are left alone.\n";

static enum err
write_file(const char *path, struct str text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    enum err e = OK;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot make %s", path);
    if (write(fd, text.ptr, text.len) != (ssize_t)text.len || fsync(fd) != 0)
        e = fail_errno(ERR_IO, "cannot write %s", path);
    close(fd);
    if (e != OK)
        (void)unlink(path);
    return e;
}

static enum err
make(const char *directory)
{
    struct buf secret = buf_make(RECORDING_PEM_MAX), open_text = buf_make(RECORDING_PEM_MAX);
    char private_path[PATH_BYTES], public_path[PATH_BYTES];
    struct recording_key *key = NULL;
    enum err e;

    (void)snprintf(private_path, sizeof(private_path), "%s/recording-private.pem", directory);
    (void)snprintf(public_path, sizeof(public_path), "%s/recording-public.pem", directory);
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        e = fail_errno(ERR_IO, "cannot make %s", directory);
    else if ((e = recording_key_make(&secret, &open_text)) == OK &&
             (e = recording_key_public(buf_str(&open_text), &key)) == OK &&
             (e = write_file(private_path, buf_str(&secret), 0600)) == OK &&
             (e = write_file(public_path, buf_str(&open_text), 0644)) != OK)
        (void)unlink(private_path);
    if (e == OK)
        printf("private key  %s\npublic key   %s\nfingerprint  %s\n", private_path, public_path,
               recording_key_fingerprint(key));
    recording_key_free(key);
    buf_free_secret(&secret);
    buf_free(&open_text);
    return e;
}

int
cli_recording_key(int argc, char **argv)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *directory = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'o') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? CLI_OK : CLI_USAGE;
        }
        directory = optarg;
    }
    if (directory == NULL || optind != argc) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    if (make(directory) == OK)
        return CLI_OK;
    fprintf(stderr, "bulkhead: %s\n", err_text());
    return CLI_FAILED;
}
