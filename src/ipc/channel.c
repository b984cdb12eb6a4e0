#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fiber/fiber.h"

enum err
ipc_pair(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno(ERR_IO, "socketpair");
    return OK;
}

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(IPC_FDS_MAX * sizeof(int))];
};

static enum err
send_bytes(int channel, struct str bytes, const int *fds, size_t n_fds)
{
    struct iovec part = {(void *)(uintptr_t)bytes.ptr, bytes.len};
    union control control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (n_fds > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    while (sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return fail(ERR_UNAVAILABLE, "the peer's queue is full");
        if (errno == EPIPE || errno == ECONNRESET)
            return fail(ERR_CLOSED, "the peer is gone");
        return fail_errno(ERR_IO, "sendmsg");
    }
    return OK;
}

enum err
ipc_send(int channel, enum ipc_type type, const void *message, const int *fds, size_t n_fds)
{
    struct buf datagram = buf_make(IPC_BYTES_MAX);
    enum err e = n_fds > IPC_FDS_MAX ? fail(ERR_LIMIT, "too many descriptors")
                                     : ipc_encode(type, message, &datagram);

    if (e == OK)
        e = send_bytes(channel, buf_str(&datagram), fds, n_fds);
    buf_free_secret(&datagram);
    return e;
}

void
ipc_packet_clear(struct ipc_packet *packet)
{
    for (size_t i = 0; i < packet->n_fds; i++)
        if (packet->fds[i] >= 0)
            close(packet->fds[i]);
    packet->n_fds = 0;
}

int
ipc_take_fd(struct ipc_packet *packet, size_t i)
{
    int fd = i < packet->n_fds ? packet->fds[i] : -1;

    if (fd >= 0)
        packet->fds[i] = -1;
    return fd;
}

static void
adopt_descriptors(struct ipc_packet *packet, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        size_t n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (packet->n_fds < IPC_FDS_MAX)
                packet->fds[packet->n_fds++] = fd;
            else
                close(fd);
        }
    }
}

enum err
ipc_receive(int channel, struct ipc_packet *packet)
{
    struct iovec part = {packet->bytes, sizeof(packet->bytes)};
    union control control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    ipc_packet_clear(packet);
    while ((n = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return fail(ERR_TIMEOUT, "no message");
        if (errno == ECONNRESET)
            return fail(ERR_CLOSED, "the peer is gone");
        return fail_errno(ERR_IO, "recvmsg");
    }
    adopt_descriptors(packet, &message);
    if (n == 0)
        return fail(ERR_CLOSED, "the peer is gone");
    packet->len = (size_t)n;
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return fail(ERR_PROTOCOL, "truncated message");
    return ipc_decode((struct str){packet->bytes, packet->len}, &packet->type, &packet->message);
}

enum err
ipc_receive_wait(int channel, struct ipc_packet *packet, int64_t deadline_ms)
{
    enum err e;

    while ((e = ipc_receive(channel, packet)) == ERR_TIMEOUT)
        if ((e = fiber_wait_readable(channel, deadline_ms)) != OK)
            return e;
    return e;
}

static enum err
write_whole(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno != EINTR)
            return fail_errno(ERR_IO, "write");
        if (n > 0)
            bytes = str_skip(bytes, (size_t)n);
    }
    return OK;
}

enum err
ipc_share_bytes(const char *name, struct str bytes, int *fd)
{
    enum err e;

    if ((*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)
        return fail_errno(ERR_IO, "memfd_create");
    if ((e = write_whole(*fd, bytes)) == OK &&
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        e = fail_errno(ERR_IO, "sealing a memory file");
    if (e != OK) {
        close(*fd);
        *fd = -1;
    }
    return e;
}

enum err
ipc_read_shared(int fd, struct buf *out)
{
    enum { CHUNK = 16 << 10 };
    off_t at = 0; /* not the file's own position, which all holders share */
    ssize_t n;

    do {
        size_t room = out->max - out->len < CHUNK ? out->max - out->len : CHUNK;
        enum err e;

        if (room == 0)
            return fail(ERR_LIMIT, "more than %zu bytes", out->max);
        if ((e = buf_reserve(out, room)) != OK)
            return e;
        if ((n = pread(fd, out->ptr + out->len, room, at)) > 0) {
            out->len += (size_t)n;
            at += n;
        }
        if (n < 0 && errno != EINTR)
            return fail_errno(ERR_IO, "reading a shared file");
    } while (n != 0);
    return OK;
}
