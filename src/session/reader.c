#include "session/reader.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "gate/door_open.h"
#include "ipc/message.h"
#include "session/session.h"
#include "sql/catalog.h"

enum { READ_MS = 60000 };

static enum err
write_file(int file, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(file, bytes.ptr, bytes.len);

        if (n < 0 && errno != EINTR)
            return fail_errno(ERR_IO, "cannot write the catalog");
        if (n > 0)
            bytes = str_skip(bytes, (size_t)n);
    }
    return OK;
}

/* [waits] Reads, writes, and says what came of it. */
static void
read_and_tell(const struct reader_setup *setup, struct door *door, const struct grant *grant,
              int file)
{
    struct buf block = buf_make(CATALOG_BYTES_MAX);
    struct catalog_summary summary = {0};
    struct ipc_read_end end;
    enum err e;

    if ((e = setup->protocol->read_catalog(door, grant, &block, &summary)) == OK)
        e = write_file(file, buf_str(&block));
    end = (struct ipc_read_end){
        .code = e,
        .bytes = block.len,
        .fingerprint = summary.fingerprint,
        .relations = summary.relations,
        .functions = summary.functions,
    };
    if (e != OK)
        end.text = str_from(err_text());
    if (door_end_reading(door, &end) != OK)
        log_warning("reader_failed", "reason=%s", err_text());
    buf_free(&block);
}

static void
run(void *arg)
{
    const struct reader_setup *setup = arg;
    struct door door = {
        .protocol = str_from(setup->protocol->name),
        .handshake_deadline_ms = clock_monotonic_ms() + READ_MS,
    };
    struct grant grant;
    int file;

    if (door_open_reader(&door, setup->keeper_channel, &grant, &file) != OK) {
        log_debug("reader_failed", "reason=%s", err_text());
        return;
    }
    read_and_tell(setup, &door, &grant, file);
    close(file);
    door_close_reader(&door);
}

void
reader_run(const struct reader_setup *setup)
{
    const int keep[] = {setup->keeper_channel};

    session_seal("reader", setup->id, setup->sandbox, keep, 1);
    if (fiber_main(run, (void *)(uintptr_t)setup) != OK) {
        log_error("reader_failed", "reason=%s", err_text());
        _exit(1);
    }
    _exit(0);
}
