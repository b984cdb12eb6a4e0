/* keeper/control_link.h - the keeper's conversation with the control process: it hears of every
 * session, gets channels to those that hold commands, has tokens verified and the console's
 * handshakes signed, and says whether somebody has a grant of access. It is trusted as a service of
 * ours, but it may not be there; then whatever needs it is refused. */
#ifndef KEEPER_CONTROL_LINK_H
#define KEEPER_CONTROL_LINK_H

#include "keeper/state.h"

enum { CONTROL_ACCESS_MS = 5000 };

struct control_link;

/* Serves a channel to control, adopted, in the place of an earlier one, and tells it of every live
 * session. ERR_NOMEM. */
enum err control_link_meet(struct keeper *k, int channel);

/* Says that a session was opened or is over, in the order of the calls. Without control nothing is
 * said, for it is told of all when it comes. */
void control_link_opened(struct keeper *k, uint64_t session);
void control_link_ended(struct keeper *k, uint64_t session);

/* Makes a channel between control and a live session; `*fd` is the session's end, the caller's.
 * ERR_UNAVAILABLE: err_text() is for the client. */
enum err control_link_introduce(struct keeper *k, uint64_t session, int *fd);

/* [waits] Whether there is a grant of access: `question`, but for its number. OK: `*out` says
 * which, and until when; its text lives in `arena`. ERR_DENIED: there is none. ERR_UNAVAILABLE:
 * control is not there, or does not answer. err_text() is for the client. */
struct control_access {
    struct str access;
    int64_t expires_us;
};
enum err control_link_ask_access(struct keeper *k, struct ipc_access *question, struct arena *arena,
                                 struct control_access *out);

#endif
