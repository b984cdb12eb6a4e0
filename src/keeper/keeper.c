#include "keeper/keeper.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "keeper/admin.h"
#include "keeper/catalog_asker.h"
#include "keeper/control_link.h"
#include "keeper/reader.h"
#include "keeper/sessions.h"
#include "keeper/state.h"
#include "sandbox/sandbox.h"

enum { SESSIONS_MAX = 65536, SWEEP_MS = 500, PROBLEMS_BYTES_MAX = 4096 };

/* --- the listener's channel ----------------------------------------------------------------- */

/* One for each listener that the supervisor introduces; ends with its channel. */
struct listener_fiber {
    struct keeper *keeper;
    int channel;
};

static void
serve_listener(void *arg)
{
    struct listener_fiber *f = arg;
    struct ipc_packet *packet = calloc(1, sizeof(*packet));

    while (packet != NULL && ipc_receive_wait(f->channel, packet, FIBER_FOREVER) == OK) {
        int channel = ipc_take_fd(packet, 0);

        if (packet->type != IPC_TYPE_SESSION_NEW || channel < 0) {
            log_error("listener_misbehaves", "message=%s", ipc_type_name(packet->type));
            break;
        }
        sessions_begin(f->keeper, &packet->message.session_new, channel);
    }
    if (packet != NULL)
        ipc_packet_clear(packet);
    free(packet);
    if (f->keeper->listener == f->channel)
        f->keeper->listener = -1;
    close(f->channel);
    free(f);
}

static enum err
meet_listener(struct keeper *k, int channel)
{
    struct listener_fiber *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return fail(ERR_NOMEM, "no memory for the listener's channel");
    *f = (struct listener_fiber){k, channel};
    k->listener = channel;
    return fiber_start("listener", serve_listener, f, NULL);
}

static enum err
meet(struct keeper *k, struct ipc_packet *packet)
{
    int channel = ipc_take_fd(packet, 0);

    if (channel < 0)
        return fail(ERR_PROTOCOL, "a peer without a channel");
    if (packet->message.peer.service == IPC_SERVICE_LISTENER)
        return meet_listener(k, channel);
    if (packet->message.peer.service == IPC_SERVICE_CONTROL)
        return control_link_meet(k, channel);
    if (k->ledger >= 0)
        close(k->ledger);
    k->ledger = channel;
    return OK;
}

/* --- configuration -------------------------------------------------------------------------- */

static void
confine(const struct config *config)
{
    char *state = strndup(config->state_directory.ptr, config->state_directory.len);
    const struct sandbox_path paths[] = {{"/", false}, {state, true}, {NULL, false}};

    if (state == NULL || sandbox_enter_keeper(paths) != OK) {
        log_error("sandbox_failed", "reason=%s", err_text());
        _exit(1);
    }
    free(state);
}

static enum err
first_configuration(struct keeper *k, struct edition *edition)
{
    const struct config *config = edition->config;

    log_setup("keeper", config->log_json, (enum log_level)config->log_level);
    k->edition = edition;
    confine(config);
    return identity_open(config, &k->identity);
}

static enum err
other_configuration(struct keeper *k, struct edition *edition)
{
    enum err e;

    if ((e = identity_reload(k->identity, edition->config)) != OK) {
        edition_release(edition);
        return e;
    }
    edition_release(k->edition);
    k->edition = edition;
    sessions_apply_policy(k);
    return OK;
}

/* Takes over a configuration and tells the supervisor whether that worked; the old one stays in
 * force if it did not. */
static enum err
configure(struct keeper *k, struct ipc_packet *packet)
{
    int fd = ipc_take_fd(packet, 0);
    struct buf problems = buf_make(PROBLEMS_BYTES_MAX);
    struct ipc_ready ready = {.ok = false};
    struct edition *edition = NULL;
    enum err e = edition_load(fd, &packet->message.configure, &edition, &problems);

    if (fd >= 0)
        close(fd);
    if (e == OK)
        e = k->edition == NULL ? first_configuration(k, edition) : other_configuration(k, edition);
    ready.ok = e == OK;
    if (e != OK)
        ready.text = problems.len > 0 ? buf_str(&problems) : str_from(err_text());
    e = ipc_send(k->supervisor, IPC_TYPE_READY, &ready, NULL, 0);
    buf_free(&problems);
    return e;
}

/* --- the process ---------------------------------------------------------------------------- */

static enum err
obey(struct keeper *k)
{
    struct ipc_packet *packet = &k->packet;
    enum err e;

    if ((e = ipc_receive_wait(k->supervisor, packet, FIBER_FOREVER)) != OK)
        return e;
    switch (packet->type) {
    case IPC_TYPE_CONFIGURE:
        return configure(k, packet);
    case IPC_TYPE_PEER:
        return meet(k, packet);
    case IPC_TYPE_ADMIN_REQUEST: {
        int client = ipc_take_fd(packet, 0);

        if (client >= 0)
            admin_serve(k, &packet->message.admin_request, client);
        return OK;
    }
    case IPC_TYPE_DRAIN:
        k->draining = true;
        sessions_end_all(k, GATE_SHUTDOWN, "the gateway is shutting down");
        catalogs_stop(k->catalogs);
        readers_stop(k);
        return OK;
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(packet->type));
    }
}

static void
sweep(void *arg)
{
    struct keeper *k = arg;

    while (fiber_sleep_until(clock_monotonic_ms() + SWEEP_MS) == ERR_TIMEOUT) {
        sessions_sweep(k);
        catalogs_sweep(k->catalogs, clock_monotonic_ms());
    }
}

static void
run(void *arg)
{
    struct keeper *k = arg;
    enum err e;

    k->sessions = table_new(SESSIONS_MAX);
    k->cancels = table_new(SESSIONS_MAX);
    k->catalogs = catalog_askers_prepare(k);
    if (k->sessions == NULL || k->cancels == NULL || k->catalogs == NULL ||
        fiber_start("sweep", sweep, k, NULL) != OK)
        _exit(1);
    do
        e = obey(k);
    while (e == OK);
    if (e != ERR_CLOSED)
        log_error("keeper_failed", "reason=%s", err_text());
    /* The other fibers and their sessions end with the process. */
    _exit(e == ERR_CLOSED ? 0 : 1);
}

int
keeper_run(int channel)
{
    static struct keeper k;

    k.supervisor = channel;
    k.listener = k.ledger = -1;
    if (secrets_prepare() != OK || fiber_main(run, &k) != OK) {
        log_error("keeper_failed", "reason=%s", err_text());
        return 1;
    }
    return 0;
}
