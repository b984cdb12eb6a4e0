/* control/holds.h - sessions that hold a command and ask for an approval: their channels, what
 * they may send, and what they are told. Who they are is the keeper's word (struct live_session),
 * never theirs. */
#ifndef CONTROL_HOLDS_H
#define CONTROL_HOLDS_H

#include "control/approvals.h"
#include "control/state.h"

enum {
    HOLD_FRAME_BYTES_MAX = (4 << 20) + (256 << 10),
    HOLD_PREVIEW_BYTES_MAX = 256 << 10,
    HOLD_RECEIVE_MS = 30000,               /* from a HOLD to the last of its parts */
    HOLDS_RECEIVING_BYTES_MAX = 256 << 20, /* of all sessions together */
};

struct hold_channel;

/* Serves the channel that the keeper made for a session, in the place of an earlier one; adopted.
 * A session that is not known has it closed. A session that breaks the protocol, or whose command
 * is not what it says, loses the channel; then, as at its end, what it holds is withdrawn. */
void holds_begin(struct control *c, uint64_t session, int channel);

/* Ends the channel of a session that is over: what it holds is withdrawn. */
void holds_session_over(struct control *c, struct live_session *session);

/* The engine's hook: tells the session that waits. Must not wait. */
void holds_decided(struct control *c, const struct approvals_answer *answer);

#endif
