#include "session/session.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "gate/door_open.h"

void
session_id_text(uint64_t id, char out[SESSION_TEXT_BYTES])
{
    (void)snprintf(out, SESSION_TEXT_BYTES, "%016llx", (unsigned long long)id);
}

/* The end comes from the keeper, never by a signal that the whole process group gets. */
static void
ignore_group_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGPIPE};
    sigset_t none;

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
serve(const struct session_setup *setup, struct stream *client)
{
    struct door door = {
        .client = client,
        .protocol = str_from(setup->protocol->name),
        .fixed_resource = setup->resource,
        .source = setup->source,
        .cleartext_allowed = setup->cleartext_allowed,
        .tls = setup->tls,
        .handshake_deadline_ms = clock_monotonic_ms() + setup->handshake_seconds * INT64_C(1000),
        .handshake_bytes_max = setup->handshake_bytes,
    };
    char how[ERR_TEXT_MAX];
    enum err e;

    if ((e = door_open(&door, setup->keeper_channel, setup->ledger_channel)) != OK) {
        log_warning("session_refused", "reason=%s", err_text());
        err_ignore(stream_write(client, setup->protocol->unavailable, clock_monotonic_ms() + 1000));
        return;
    }
    e = setup->protocol->serve(&door);
    (void)snprintf(how, sizeof(how), "%s", e == OK ? "ended" : err_text());
    log_debug("session_ended", "how=%s", how);
    door_close(&door, str_from(how));
}

static void
run(void *arg)
{
    const struct session_setup *setup = arg;
    struct stream *client;

    if (stream_open(setup->client, &client) != OK) {
        log_error("session_failed", "reason=%s", err_text());
        return;
    }
    serve(setup, client);
    stream_close(client);
}

void
session_seal(const char *name, uint64_t session, const struct sandbox *sandbox, const int *keep,
             size_t n)
{
    char id[SESSION_TEXT_BYTES];

    session_id_text(session, id);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
    (void)setsid(); /* where the scheduler groups by it, one session gets as much as any other */
    log_set_process(name);
    log_set_session(id);
    ignore_group_signals();
    if (sandbox_enter_session(sandbox, keep, n) != OK) {
        log_error("sandbox_failed", "reason=%s", err_text());
        _exit(1);
    }
}

void
session_run(const struct session_setup *setup)
{
    const int keep[] = {setup->client, setup->keeper_channel, setup->ledger_channel};

    session_seal("session", setup->id, setup->sandbox, keep, sizeof(keep) / sizeof(keep[0]));
    if (fiber_main(run, (void *)(uintptr_t)setup) != OK) {
        log_error("session_failed", "reason=%s", err_text());
        _exit(1);
    }
    _exit(0);
}
