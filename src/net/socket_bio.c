#include "net/socket_bio.h"

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

static int
fd_of(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static int
finish(BIO *bio, ssize_t n, int retry_flag, size_t *done)
{
    BIO_clear_retry_flags(bio);
    if (n > 0) {
        *done = (size_t)n;
        return 1;
    }
    *done = 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
    return n == 0 ? 0 : -1;
}

static int
bio_read(BIO *bio, char *to, size_t n, size_t *done)
{
    ssize_t got = recv(fd_of(bio), to, n, MSG_DONTWAIT);

    if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return finish(bio, got, BIO_FLAGS_READ, done);
}

static int
bio_write(BIO *bio, const char *from, size_t n, size_t *done)
{
    return finish(bio, send(fd_of(bio), from, n, MSG_NOSIGNAL | MSG_DONTWAIT), BIO_FLAGS_WRITE,
                  done);
}

static long
bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

/* Made once; lives as long as the process. */
static BIO_METHOD *
method(void)
{
    static BIO_METHOD *made;

    if (made == NULL &&
        (made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket")) != NULL) {
        BIO_meth_set_read_ex(made, bio_read);
        BIO_meth_set_write_ex(made, bio_write);
        BIO_meth_set_ctrl(made, bio_control);
    }
    return made;
}

BIO *
socket_bio_new(int fd)
{
    BIO_METHOD *socket_method = method();
    BIO *bio = socket_method == NULL ? NULL : BIO_new(socket_method);

    if (bio != NULL) {
        BIO_set_data(bio, (void *)(intptr_t)fd);
        BIO_set_init(bio, 1);
    }
    return bio;
}
