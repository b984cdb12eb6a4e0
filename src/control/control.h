/* control/control.h - the process of people: approvals, the API and the console, notifications,
 * the index of recordings. It decides nothing by itself and lets no command through: a session
 * that cannot ask it refuses. What others in this room need of the rest of the gateway is here. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "control/state.h"

/* The process: takes its orders from the supervisor over `channel`. Returns the exit status. */
int control_run(int channel);

/* Whether a configuration needs the process: it has a console, or a rule that steps up. */
bool control_is_needed(const struct config *config);

/* --- of the keeper -------------------------------------------------------------------------- */

/* Who a token speaks of. All texts in the caller's arena. */
struct verified {
    struct str subject, issuer, token_id; /* issuer: its configured name */
    struct str_list groups;
    struct str_list chain; /* from the first principal to the acting one; at least one */
    struct str name;       /* may be empty, as the rest here */
    struct str email;      /* empty unless the issuer vouches for it */
    struct str nonce;      /* of an ID token */
    int64_t expires_us;
};

/* [waits] Has a token verified. `audience` empty: an access token for the gateway, as agents use
 * them; else an ID token that was issued to that client of the console's. One-use tokens are used
 * up. ERR_DENIED (err_text() is fit for the client), ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_CANCELED,
 * ERR_LIMIT, ERR_NOMEM. */
enum err control_verify(struct control *c, struct str audience, struct str token,
                        struct arena *arena, int64_t deadline_ms, struct verified *out);

/* [waits] A tls_sign_fn (net/tls.h) whose `arg` is the struct control: the keeper signs with the
 * gateway's key. */
enum err control_sign(void *c, uint16_t scheme, struct str content, struct buf *signature);

/* Ends a live session: its client reads "ended by ACTOR: REASON". To be recorded first.
 * ERR_NOT_FOUND, ERR_UNAVAILABLE. */
enum err control_kill(struct control *c, uint64_t session, struct str actor, struct str reason);

/* Ends the live sessions that were opened under a grant of access. To be recorded first.
 * ERR_UNAVAILABLE. */
enum err control_revoke_access(struct control *c, struct str access, struct str reason);

/* --- of the ledger -------------------------------------------------------------------------- */

/* Hand a record to the ledger. What it is about is done only after OK. ERR_UNAVAILABLE: "the audit
 * ledger is not available". Texts that are too long are cut. */
enum err control_record_approval(struct control *c, const struct ipc_approval *approval);
enum err control_record_admin(struct control *c, struct str actor, struct str action,
                              struct str detail);

/* Asks the ledger to send, or no longer to send, what happens in a session; it comes to `c->live`.
 * ERR_UNAVAILABLE. */
enum err control_watch(struct control *c, uint64_t session, bool on);

/* --- sessions and changes ------------------------------------------------------------------- */

/* NULL: it is not open. */
struct live_session *control_session(const struct control *c, uint64_t id);

/* As the ledger writes ids: 16 hexadecimal digits. Parsing accepts nothing else. */
void control_session_text(uint64_t id, char out[static 17]);
bool control_session_parse(struct str text, uint64_t *id);

/* Begins to tell `tell` of every change. ERR_LIMIT. */
enum err control_listen(struct control *c, control_listener *tell, void *arg);

/* Tells all listeners. */
void control_announce(struct control *c, enum control_topic topic, struct str id, struct str state);

/* The rule of that name in the configuration; NULL: there is none. */
const struct policy_rule *control_rule(const struct control *c, struct str name);

#endif
