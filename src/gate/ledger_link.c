#include "gate/ledger_link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fiber/fiber.h"
#include "ipc/channel.h"
#include "ipc/record.h"

enum { LATER_MS = 5, KEEP_BYTES = 32 << 10 };

struct ledger_link {
    int channel;
    int spool;
    bool gone;
    int64_t flush_at_ms; /* FIBER_FOREVER: nothing waits */
    struct buf frames;
    struct fiber *watcher;
    void (*broken)(void *arg);
    void *arg;
};

/* The ledger says nothing after the spool: anything readable is its end. */
static void
watch(void *arg)
{
    struct ledger_link *l = arg;

    if (fiber_wait_readable(l->channel, FIBER_FOREVER) != OK)
        return;
    l->gone = true;
    l->broken(l->arg);
}

static int64_t
flush_when_idle(void *arg)
{
    struct ledger_link *l = arg;

    if (l->flush_at_ms != FIBER_FOREVER && clock_monotonic_ms() >= l->flush_at_ms)
        err_ignore(ledger_link_flush(l)); /* it marked the link as gone, the next flush fails */
    return l->flush_at_ms;
}

static enum err
receive_spool(int channel, int64_t deadline_ms, int *spool)
{
    struct ipc_packet *packet = calloc(1, sizeof(*packet));
    enum err e;

    if (packet == NULL)
        return fail(ERR_NOMEM, "no memory for a packet");
    if ((e = ipc_receive_wait(channel, packet, deadline_ms)) == OK &&
        (packet->type != IPC_TYPE_SPOOL || (*spool = ipc_take_fd(packet, 0)) < 0))
        e = ERR_PROTOCOL;
    ipc_packet_clear(packet);
    free(packet);
    if (e != OK)
        return fail(ERR_UNAVAILABLE, "the gateway's audit ledger is not available");
    return OK;
}

enum err
ledger_link_open(int channel, int64_t deadline_ms, void (*broken)(void *arg), void *arg,
                 struct ledger_link **out)
{
    struct ledger_link *l = calloc(1, sizeof(*l));
    enum err e = l == NULL ? fail(ERR_NOMEM, "no memory for the ledger link") : OK;
    int spool = -1;

    if (e == OK)
        e = receive_spool(channel, deadline_ms, &spool);
    if (e == OK) {
        *l = (struct ledger_link){.channel = channel,
                                  .spool = spool,
                                  .flush_at_ms = FIBER_FOREVER,
                                  .frames = buf_make(2 * RECORD_FRAME_MAX),
                                  .broken = broken,
                                  .arg = arg};
        e = fiber_start("ledger-link", watch, l, &l->watcher);
    }
    if (e != OK) {
        if (spool >= 0)
            close(spool);
        close(channel);
        free(l);
        return e;
    }
    fiber_set_idle_hook(flush_when_idle, l);
    *out = l;
    return OK;
}

void
ledger_link_close(struct ledger_link *l)
{
    if (l == NULL)
        return;
    err_ignore(ledger_link_flush(l));
    fiber_set_idle_hook(NULL, NULL);
    fiber_cancel(l->watcher);
    fiber_join(l->watcher);
    buf_free(&l->frames);
    close(l->spool);
    close(l->channel); /* last: its end tells the ledger that the spool is complete */
    free(l);
}

struct buf *
ledger_link_frames(struct ledger_link *l)
{
    return &l->frames;
}

enum err
ledger_link_flush(struct ledger_link *l)
{
    struct str left = buf_str(&l->frames);

    l->flush_at_ms = FIBER_FOREVER;
    if (l->gone || l->frames.failed)
        return fail(ERR_UNAVAILABLE, "the gateway's audit ledger is not available");
    while (left.len > 0) {
        ssize_t n = write(l->spool, left.ptr, left.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            l->gone = true;
            l->broken(l->arg);
            return fail(ERR_UNAVAILABLE, "the gateway's audit ledger cannot be written");
        }
        left = str_skip(left, (size_t)n);
    }
    if (l->frames.capacity > KEEP_BYTES)
        buf_free(&l->frames);
    else
        buf_reset(&l->frames);
    return OK;
}

void
ledger_link_flush_soon(struct ledger_link *l)
{
    if (l->flush_at_ms == FIBER_FOREVER && l->frames.len > 0)
        l->flush_at_ms = clock_monotonic_ms() + LATER_MS;
}

uint64_t
ledger_link_backlog(const struct ledger_link *l)
{
    enum { BLOCK_BYTES = 512 }; /* of st_blocks, whatever the file system's are */
    struct stat st;
    uint64_t held;

    if (fstat(l->spool, &st) != 0)
        return 0;
    held = (uint64_t)st.st_blocks * BLOCK_BYTES;
    return held < (uint64_t)st.st_size ? held : (uint64_t)st.st_size;
}
