/* gate/keeper_link.h - a session's conversation with the keeper: questions that are answered one
 * at a time, and what the keeper says unasked. */
#ifndef GATE_KEEPER_LINK_H
#define GATE_KEEPER_LINK_H

#include "ipc/channel.h"

struct keeper_link;

/* What the keeper says unasked or later (POLICY, END, CANCEL_TARGET, CATALOG_READY, CONTROL_READY),
 * and once, with NULL, when the channel is gone. Must not wait; may take the packet's descriptors.
 */
typedef void keeper_link_pushed(void *arg, struct ipc_packet *packet);

/* Adopts `channel` and starts the reading fiber. `*out` is the caller's. ERR_NOMEM. */
enum err keeper_link_open(int channel, keeper_link_pushed *pushed, void *arg,
                          struct keeper_link **out);

/* [waits] Ends the fiber and closes the channel; NULL is allowed. */
void keeper_link_close(struct keeper_link *k);

/* [waits] Asks and gives the answer, which stays valid until keeper_link_done(), to be called
 * after every OK. Concurrent askers take turns. ERR_UNAVAILABLE: the keeper is gone;
 * ERR_TIMEOUT; ERR_CANCELED. After ERR_TIMEOUT or ERR_CANCELED the link is broken for good, lest
 * a late answer be taken for another's. */
enum err keeper_link_ask(struct keeper_link *k, enum ipc_type type, const void *question,
                         int64_t deadline_ms, struct ipc_packet **answer);
void keeper_link_done(struct keeper_link *k);

/* Says something that is not answered, or later by what is pushed. ERR_UNAVAILABLE, ERR_LIMIT,
 * ERR_CLOSED, ERR_IO. */
enum err keeper_link_say(struct keeper_link *k, enum ipc_type type, const void *message);

#endif
