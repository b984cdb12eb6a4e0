/* Any datagram is refused or decoded into texts that lie within it, and then encodes to itself. */
#include <stdlib.h>

#include "ipc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct buf again = buf_make(IPC_BYTES_MAX * 2);
    union ipc_message message;
    enum ipc_type type;

    if (size <= IPC_BYTES_MAX && ipc_decode(bytes, &type, &message) == OK)
        if (ipc_encode(type, &message, &again) != OK || !str_equal(buf_str(&again), bytes))
            abort();
    buf_free(&again);
    return 0;
}
