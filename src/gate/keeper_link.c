#include "gate/keeper_link.h"

#include <stdlib.h>
#include <unistd.h>

#include "fiber/fiber.h"

struct keeper_link {
    int channel;
    bool broken;
    bool asking;   /* somebody's question is out, or its answer in use */
    bool answered; /* `packet` holds the answer */
    struct fiber *reader;
    struct fiber_condition changed;
    keeper_link_pushed *pushed;
    void *arg;
    struct ipc_packet packet;
};

static void
set_broken(struct keeper_link *k)
{
    if (k->broken)
        return;
    k->broken = true;
    fiber_condition_signal(&k->changed);
    k->pushed(k->arg, NULL);
}

static bool
is_answer(enum ipc_type type)
{
    return type == IPC_TYPE_GRANTED || type == IPC_TYPE_REFUSED || type == IPC_TYPE_ANSWER;
}

/* Gives the packet to the asker and waits until it is free again. */
static enum err
deliver(struct keeper_link *k)
{
    enum err e = OK;

    if (!k->asking)
        return fail(ERR_PROTOCOL, "an answer without a question");
    k->answered = true;
    fiber_condition_signal(&k->changed);
    while (e == OK && k->answered)
        e = fiber_condition_wait(&k->changed, FIBER_FOREVER);
    return e;
}

static void
read_packets(void *arg)
{
    struct keeper_link *k = arg;
    enum err e;

    while (!k->broken && (e = ipc_receive_wait(k->channel, &k->packet, FIBER_FOREVER)) == OK) {
        if (!is_answer(k->packet.type))
            k->pushed(k->arg, &k->packet);
        else if (deliver(k) != OK)
            break;
    }
    set_broken(k);
}

enum err
keeper_link_open(int channel, keeper_link_pushed *pushed, void *arg, struct keeper_link **out)
{
    struct keeper_link *k = calloc(1, sizeof(*k));
    enum err e;

    if (k == NULL) {
        close(channel);
        return fail(ERR_NOMEM, "no memory for the keeper link");
    }
    k->channel = channel;
    k->pushed = pushed;
    k->arg = arg;
    if ((e = fiber_start("keeper-link", read_packets, k, &k->reader)) != OK) {
        close(channel);
        free(k);
        return e;
    }
    *out = k;
    return OK;
}

void
keeper_link_close(struct keeper_link *k)
{
    if (k == NULL)
        return;
    fiber_cancel(k->reader);
    fiber_join(k->reader);
    ipc_packet_clear(&k->packet);
    explicit_bzero(k->packet.bytes, sizeof(k->packet.bytes));
    close(k->channel);
    free(k);
}

static enum err
wait_for_answer(struct keeper_link *k, int64_t deadline_ms)
{
    enum err e = OK;

    while (e == OK && !k->answered && !k->broken)
        e = fiber_condition_wait(&k->changed, deadline_ms);
    if (e == OK && !k->answered)
        e = fail(ERR_UNAVAILABLE, "the gateway's identity service is not available");
    return e;
}

enum err
keeper_link_ask(struct keeper_link *k, enum ipc_type type, const void *question,
                int64_t deadline_ms, struct ipc_packet **answer)
{
    enum err e;

    while (k->asking && !k->broken)
        if ((e = fiber_condition_wait(&k->changed, deadline_ms)) != OK)
            return e;
    if (k->broken)
        return fail(ERR_UNAVAILABLE, "the gateway's identity service is not available");
    k->asking = true;
    if ((e = ipc_send(k->channel, type, question, NULL, 0)) == OK)
        e = wait_for_answer(k, deadline_ms);
    if (e != OK) {
        set_broken(k);
        return e;
    }
    *answer = &k->packet;
    return OK;
}

void
keeper_link_done(struct keeper_link *k)
{
    /* The packet may have held a password. */
    ipc_packet_clear(&k->packet);
    explicit_bzero(k->packet.bytes, k->packet.len);
    k->asking = false;
    k->answered = false;
    fiber_condition_signal(&k->changed);
}

enum err
keeper_link_say(struct keeper_link *k, enum ipc_type type, const void *message)
{
    if (k->broken)
        return fail(ERR_UNAVAILABLE, "the gateway's identity service is not available");
    return ipc_send(k->channel, type, message, NULL, 0);
}
