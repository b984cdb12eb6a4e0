#include "gate/control_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fiber/fiber.h"

enum { REASON_BYTES_MAX = 256 };

struct control_link {
    struct keeper_link *keeper;
    int channel;                   /* -1: none */
    bool asked;                    /* the keeper was asked for one and has not answered */
    bool connected;                /* `reader` reads; once it does not, whoever listens is told */
    char reason[REASON_BYTES_MAX]; /* why there is none */
    struct fiber *reader;          /* of the channel; NULL: none */
    struct fiber_condition changed;
    control_link_said *said;
    void *arg;
    struct ipc_packet *packet; /* while there is a channel */
};

/* The reader's fiber has ended, or never was: the channel is closed, and nobody reads it. */
static void
let_go(struct control_link *c)
{
    if (c->reader != NULL) {
        fiber_cancel(c->reader);
        fiber_join(c->reader);
        c->reader = NULL;
    }
    if (c->channel >= 0)
        close(c->channel);
    c->channel = -1;
    if (c->packet != NULL)
        ipc_packet_clear(c->packet);
    free(c->packet);
    c->packet = NULL;
}

/* Control is not there any more: whoever waits for its word must know. The descriptor is closed
 * when the next one is asked for. */
static void
set_broken(struct control_link *c)
{
    if (!c->connected)
        return;
    c->connected = false;
    fiber_condition_signal(&c->changed);
    if (c->said != NULL)
        c->said(c->arg, NULL);
}

static void
read_packets(void *arg)
{
    struct control_link *c = arg;

    while (c->connected && ipc_receive_wait(c->channel, c->packet, FIBER_FOREVER) == OK)
        if (c->said != NULL)
            c->said(c->arg, c->packet);
    set_broken(c);
}

enum err
control_link_new(struct keeper_link *keeper, struct control_link **out)
{
    struct control_link *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return fail(ERR_NOMEM, "no memory for the link to control");
    c->keeper = keeper;
    c->channel = -1;
    *out = c;
    return OK;
}

void
control_link_close(struct control_link *c)
{
    if (c == NULL)
        return;
    c->said = NULL; /* whoever listened may be gone */
    c->connected = false;
    let_go(c);
    free(c);
}

void
control_link_listen(struct control_link *c, control_link_said *said, void *arg)
{
    c->said = said;
    c->arg = arg;
}

void
control_link_ready(struct control_link *c, struct ipc_packet *packet)
{
    const struct ipc_control_ready *ready = &packet->message.control_ready;
    int fd = ready->code == OK ? ipc_take_fd(packet, 0) : -1;

    if (!c->asked) { /* nobody waits for it any more */
        if (fd >= 0)
            close(fd);
        return;
    }
    c->asked = false;
    c->channel = fd;
    (void)snprintf(c->reason, sizeof(c->reason), "%.*s", STR_ARG(ready->text));
    fiber_condition_signal(&c->changed);
}

/* What a client reads. */
static enum err
unavailable(const struct control_link *c)
{
    return fail(ERR_UNAVAILABLE, "the gateway's approval service is not available%s%s",
                c->reason[0] == '\0' ? "" : ": ", c->reason);
}

/* [waits] Has the keeper make a channel. */
static enum err
ask_for_channel(struct control_link *c, int64_t deadline_ms)
{
    struct ipc_control_wanted wanted = {};
    enum err e = OK;

    c->reason[0] = '\0';
    if (!c->asked && (e = keeper_link_say(c->keeper, IPC_TYPE_CONTROL_WANTED, &wanted)) != OK)
        return unavailable(c);
    c->asked = true;
    while (e == OK && c->asked)
        e = fiber_condition_wait(&c->changed, deadline_ms);
    if (e == ERR_TIMEOUT)
        return unavailable(c); /* a late answer is still taken */
    return e == OK && c->channel < 0 ? unavailable(c) : e;
}

static enum err
start_reading(struct control_link *c)
{
    if ((c->packet = calloc(1, sizeof(*c->packet))) == NULL)
        return fail(ERR_NOMEM, "no memory for the link to control");
    c->connected = true;
    return fiber_start("control-link", read_packets, c, &c->reader);
}

enum err
control_link_open(struct control_link *c, int64_t deadline_ms)
{
    enum err e;

    if (c->connected)
        return OK;
    if (c->reader != NULL)
        let_go(c);
    if (c->channel < 0 && (e = ask_for_channel(c, deadline_ms)) != OK)
        return e;
    if (c->connected) /* another fiber waited for the same */
        return OK;
    if ((e = start_reading(c)) != OK) {
        c->connected = false;
        let_go(c);
    }
    return e;
}

enum err
control_link_say(struct control_link *c, enum ipc_type type, const void *message,
                 int64_t deadline_ms)
{
    enum err e;

    for (;;) {
        if (!c->connected)
            return fail(ERR_CLOSED, "the channel to control broke");
        if ((e = ipc_send(c->channel, type, message, NULL, 0)) == ERR_CLOSED)
            set_broken(c);
        if (e != ERR_UNAVAILABLE)
            return e;
        if ((e = fiber_wait_writable(c->channel, deadline_ms)) != OK)
            return e;
    }
}

void
control_link_try_say(struct control_link *c, enum ipc_type type, const void *message)
{
    if (c->connected)
        err_ignore(ipc_send(c->channel, type, message, NULL, 0));
}
