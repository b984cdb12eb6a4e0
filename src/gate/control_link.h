/* gate/control_link.h - a session's channel to control, for asking humans. It is made when it is
 * first needed, by way of the keeper, which tells control whose it is; and again when it has
 * broken, since control may have been restarted. */
#ifndef GATE_CONTROL_LINK_H
#define GATE_CONTROL_LINK_H

#include "gate/keeper_link.h"

struct control_link;

/* What control says, and NULL once whenever the channel broke. Must not wait. */
typedef void control_link_said(void *arg, const struct ipc_packet *packet);

/* Nothing is opened yet. `keeper` must outlive it. `*out` is the caller's. ERR_NOMEM. */
enum err control_link_new(struct keeper_link *keeper, struct control_link **out);

/* [waits] Ends the fiber and closes the channel; NULL is allowed. */
void control_link_close(struct control_link *c);

/* Who listens. */
void control_link_listen(struct control_link *c, control_link_said *said, void *arg);

/* The keeper's CONTROL_READY, whose descriptor is taken. Never waits. */
void control_link_ready(struct control_link *c, struct ipc_packet *packet);

/* [waits] Until there is a channel, asking for one if need be. ERR_UNAVAILABLE (err_text() is fit
 * for the client), ERR_TIMEOUT, ERR_CANCELED. */
enum err control_link_open(struct control_link *c, int64_t deadline_ms);

/* [waits] Says something, once there is room. ERR_CLOSED: the channel broke; control_link_open()
 * would make a new one. ERR_TIMEOUT, ERR_CANCELED, ERR_LIMIT. */
enum err control_link_say(struct control_link *c, enum ipc_type type, const void *message,
                          int64_t deadline_ms);

/* Says something if that needs no waiting and there is a channel. */
void control_link_try_say(struct control_link *c, enum ipc_type type, const void *message);

#endif
