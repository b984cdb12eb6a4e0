#include "keeper/reader.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "sql/catalog.h"

struct reading {
    struct reading *next;
    struct keeper *keeper;
    struct target *target;
    struct str database;
    uint64_t id;
    int channel;
    int file; /* that the reader writes; -1 before it began */
    bool ended;
    struct catalog_snapshot snapshot;
    struct ipc_packet packet;
};

/* --- the file ------------------------------------------------------------------------------- */

/* As large as a catalog may be, and no larger: the kernel keeps a reader from writing more. */
static enum err
make_file(int *fd)
{
    if ((*fd = memfd_create("catalog", MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)
        return fail_errno(ERR_IO, "memfd_create");
    if (ftruncate(*fd, CATALOG_BYTES_MAX) != 0 || fcntl(*fd, F_ADD_SEALS, F_SEAL_GROW) != 0)
        return fail_errno(ERR_IO, "cannot prepare the file of a catalog");
    return OK;
}

/* From here on nobody can change it, the reader, which still has its descriptor, included; and
 * sessions get one that was opened only to read. */
static enum err
seal_file(int file, uint64_t bytes, int *fd)
{
    char path[32];

    if (bytes == 0 || bytes > CATALOG_BYTES_MAX)
        return fail(ERR_PROTOCOL, "the reader's catalog has an impossible size");
    if (ftruncate(file, (off_t)bytes) != 0 ||
        fcntl(file, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return fail_errno(ERR_IO, "cannot seal a catalog");
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if ((*fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return fail_errno(ERR_IO, "cannot open a catalog to read");
    return OK;
}

/* --- what the reader says ------------------------------------------------------------------- */

/* [waits] */
static enum err
begin(struct reading *r)
{
    struct ipc_granted granted = {.database = r->database};
    struct target_files files = {0};
    int second;
    enum err e;

    if (r->file >= 0)
        return fail(ERR_PROTOCOL, "a reader began twice");
    if ((e = make_file(&r->file)) != OK)
        return e;
    if ((second = fcntl(r->file, F_DUPFD_CLOEXEC, 0)) < 0)
        return fail_errno(ERR_IO, "fcntl");
    if ((e = target_open(r->target, second, &files, &granted)) == OK)
        e = ipc_send(r->channel, IPC_TYPE_GRANTED, &granted, files.fds, files.n);
    target_close_files(&files);
    return e;
}

static enum err
end(struct reading *r, const struct ipc_read_end *result)
{
    enum err code = result->code > OK && result->code <= ERR_TLS ? (enum err)result->code
                                                                 : ERR_UNAVAILABLE;

    r->ended = true;
    if (result->code != OK)
        return fail(code, "%.*s", STR_ARG(result->text));
    r->snapshot = (struct catalog_snapshot){
        .bytes = result->bytes,
        .fingerprint = result->fingerprint,
        .relations = result->relations,
        .functions = result->functions,
    };
    return seal_file(r->file, result->bytes, &r->snapshot.fd);
}

/* [waits] */
static enum err
serve_message(struct reading *r)
{
    bool due = r->file >= 0;

    switch (r->packet.type) {
    case IPC_TYPE_READ_BEGIN:
        return begin(r);
    case IPC_TYPE_PROVE:
        return target_prove(r->target, due, r->channel, &r->packet.message.prove);
    case IPC_TYPE_SIGN:
        return target_sign(r->target, due, r->channel, &r->packet.message.sign);
    case IPC_TYPE_READ_END:
        return due ? end(r, &r->packet.message.read_end)
                   : fail(ERR_PROTOCOL, "a reader ended before it began");
    default:
        return fail(ERR_PROTOCOL, "a reader sent %s", ipc_type_name(r->packet.type));
    }
}

/* [waits] Until it has ended. */
static enum err
serve(struct reading *r)
{
    int64_t deadline_ms = clock_monotonic_ms() + READER_MS;
    enum err e = OK;

    while (e == OK && !r->ended) {
        e = ipc_receive_wait(r->channel, &r->packet, deadline_ms);
        if (e == ERR_TIMEOUT)
            return fail(e, "it was not read within %d seconds", READER_MS / 1000);
        if (e != OK)
            return fail(ERR_UNAVAILABLE, "the process that reads it ended");
        if ((e = serve_message(r)) == ERR_PROTOCOL && !r->ended)
            log_error("reader_misbehaves", "reader=%016llx reason=%s", (unsigned long long)r->id,
                      err_text());
    }
    return e;
}

/* --- the process ---------------------------------------------------------------------------- */

/* Has the listener fork a reader, and gives it its end of a channel. */
static enum err
start(struct reading *r)
{
    struct ipc_reader_new message = {.protocol = r->target->resource->protocol};
    int ends[2];
    enum err e;

    if (r->keeper->draining || r->keeper->listener < 0)
        return fail(ERR_UNAVAILABLE, "a service of the gateway is not there");
    if (getrandom(&r->id, sizeof(r->id), 0) != sizeof(r->id))
        return fail_errno(ERR_IO, "getrandom");
    if ((e = ipc_pair(ends)) != OK)
        return e;
    message.reader = r->id;
    e = ipc_send(r->keeper->listener, IPC_TYPE_READER_NEW, &message, &ends[1], 1);
    close(ends[1]);
    if (e != OK)
        close(ends[0]);
    else
        r->channel = ends[0];
    return e;
}

/* It ends by itself when its channel does; if not, it is made to. */
static void
finish(struct reading *r)
{
    struct ipc_session_over over = {.session = r->id};

    close(r->channel);
    if (ipc_send(r->keeper->supervisor, IPC_TYPE_SESSION_OVER, &over, NULL, 0) != OK)
        log_error("session_end_unknown", "reader=%016llx reason=%s", (unsigned long long)r->id,
                  err_text());
}

static void
list(struct reading *r)
{
    r->next = r->keeper->readings;
    r->keeper->readings = r;
}

static void
unlist(struct reading *r)
{
    struct reading **at = &r->keeper->readings;

    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
}

/* [waits] `r` is listed, its channel open. */
static enum err
run(struct reading *r, struct catalog_snapshot *out)
{
    int64_t began_ms = clock_monotonic_ms();
    char reason[ERR_TEXT_MAX];
    enum err e;

    list(r);
    e = serve(r);
    unlist(r);
    (void)snprintf(reason, sizeof(reason), "%s", err_text());
    finish(r);
    if (r->file >= 0)
        close(r->file);
    if (e != OK)
        return fail(e, "%s", reason);
    r->snapshot.took_ms = (uint64_t)(clock_monotonic_ms() - began_ms);
    *out = r->snapshot;
    return OK;
}

enum err
reader_read(struct keeper *k, struct target *target, struct str database,
            struct catalog_snapshot *out)
{
    struct reading *r = calloc(1, sizeof(*r));
    enum err e;

    if (r == NULL)
        return fail(ERR_NOMEM, "no memory for a reader");
    r->keeper = k;
    r->target = target;
    r->database = database;
    r->file = r->snapshot.fd = -1;
    if ((e = start(r)) == OK)
        e = run(r, out);
    ipc_packet_clear(&r->packet);
    free(r);
    return e;
}

void
readers_stop(struct keeper *k)
{
    for (struct reading *r = k->readings; r != NULL; r = r->next)
        (void)shutdown(r->channel, SHUT_RDWR);
}
