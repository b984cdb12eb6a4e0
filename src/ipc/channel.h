/* ipc/channel.h - messages over a SOCK_SEQPACKET socket pair, with descriptors. */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "ipc/message.h"

/* A received message. The texts in it borrow from `bytes`; the descriptors belong to the receiver
 * until it takes them with ipc_take_fd(). Large: keep it static or on the heap, not on a stack. */
struct ipc_packet {
    enum ipc_type type;
    union ipc_message message;
    size_t n_fds;
    int fds[IPC_FDS_MAX];
    size_t len;
    char bytes[IPC_BYTES_MAX + 1];
};

/* A pair of connected, non-blocking, close-on-exec ends. ERR_IO. */
enum err ipc_pair(int ends[2]);

/* Sends without waiting; descriptors are duplicated into the receiver and stay the caller's.
 * ERR_CLOSED: the peer is gone; ERR_UNAVAILABLE: its queue is full, which a healthy peer never
 * lets happen; ERR_LIMIT; ERR_IO. */
enum err ipc_send(int channel, enum ipc_type type, const void *message, const int *fds,
                  size_t n_fds);

/* Receives without waiting. The packet's earlier descriptors, if any were not taken, are closed.
 * ERR_TIMEOUT: nothing is there; ERR_CLOSED; ERR_PROTOCOL; ERR_IO. */
enum err ipc_receive(int channel, struct ipc_packet *packet);

/* [waits] Receives; ERR_TIMEOUT at the deadline, ERR_CANCELED, else as ipc_receive(). */
enum err ipc_receive_wait(int channel, struct ipc_packet *packet, int64_t deadline_ms);

/* Takes descriptor `i` out of the packet; -1 if it has none (any more). */
int ipc_take_fd(struct ipc_packet *packet, size_t i);

/* Closes the descriptors that nobody took. */
void ipc_packet_clear(struct ipc_packet *packet);

/* A sealed, close-on-exec memory file holding `bytes`: for what is too large for a message.
 * ERR_IO. */
enum err ipc_share_bytes(const char *name, struct str bytes, int *fd);

/* Appends the contents of such a file, or of any regular file, less than out->max bytes. ERR_IO,
 * ERR_LIMIT. */
enum err ipc_read_shared(int fd, struct buf *out);

#endif
