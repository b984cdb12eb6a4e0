/* ipc/message.h - what our processes say to each other: small, versioned messages, one datagram
 * each. The tables below are the only definition; structs, encoder and decoder are made from
 * them. A receiver trusts no field: lengths are checked against the table while decoding, and
 * everything else by whoever uses it. */
#ifndef IPC_MESSAGE_H
#define IPC_MESSAGE_H

#include "base/buf.h"
#include "base/str.h"

enum {
    IPC_VERSION = 1,
    IPC_BYTES_MAX = 24 << 10,
    IPC_FDS_MAX = 6,
};

/* NUMBER(name): uint64_t. TEXT(name, max): struct str of at most `max` bytes, which borrows from
 * the received datagram. A list of strings is a TEXT in which each is followed by a NUL. */

/* supervisor → services */
#define IPC_CONFIGURE(NUMBER, TEXT)                                                                \
    TEXT(path, 4096) TEXT(hash, 64)              /* fd: the sealed configuration text */
#define IPC_PEER(NUMBER, TEXT)   NUMBER(service) /* fd: a channel to that service */
#define IPC_LISTEN(NUMBER, TEXT)                 /* fd: a listening socket */                      \
    TEXT(protocol, 32) TEXT(resource, 256) NUMBER(cleartext_on_loopback)
#define IPC_LISTENER_SETUP(NUMBER, TEXT)                                                           \
    NUMBER(connections)                                                                            \
    NUMBER(unauthenticated)                                                                        \
    NUMBER(unauthenticated_per_source)                                                             \
    NUMBER(handshake_seconds)                                                                      \
    NUMBER(handshake_bytes)                                                                        \
    NUMBER(log_json) NUMBER(log_level) NUMBER(orphans) TEXT(certificate, 16384)
#define IPC_START(NUMBER, TEXT)
#define IPC_DRAIN(NUMBER, TEXT)
#define IPC_SERVICE_EVENT(NUMBER, TEXT)   TEXT(service, 4096) TEXT(event, 64) TEXT(detail, 4096)

/* services → supervisor; keeper → control: SESSION_ENDED when a session is over */
#define IPC_READY(NUMBER, TEXT)           NUMBER(ok) TEXT(text, 4096)
#define IPC_SESSION_STARTED(NUMBER, TEXT) NUMBER(session) NUMBER(pid)
#define IPC_SESSION_ENDED(NUMBER, TEXT)   NUMBER(session) NUMBER(wait_status)

/* listener → keeper and ledger; fd: their end of a channel to the session */
#define IPC_SESSION_NEW(NUMBER, TEXT)                                                              \
    NUMBER(session) TEXT(source, 16) TEXT(protocol, 32) TEXT(resource, 256)

/* keeper, ledger → supervisor: the session's process is to be gone shortly, by force if need be */
#define IPC_SESSION_OVER(NUMBER, TEXT)          NUMBER(session)

/* keeper → listener. A READER_NEW wants a process that reads a catalog; fd: its end of a channel to
 * the keeper. */
#define IPC_SESSION_AUTHENTICATED(NUMBER, TEXT) NUMBER(session)
#define IPC_READER_NEW(NUMBER, TEXT)            NUMBER(reader) TEXT(protocol, 32)

/* reader → keeper, besides PROVE and SIGN. READ_BEGIN is answered by a GRANTED that has an empty
 * file, for the catalog, in the residual's place. */
#define IPC_READ_BEGIN(NUMBER, TEXT)
#define IPC_READ_END(NUMBER, TEXT)                                                                 \
    NUMBER(code)                                                                                   \
    TEXT(text, 1024) NUMBER(bytes) NUMBER(fingerprint) NUMBER(relations) NUMBER(functions)

/* ledger → session; fd: the spool */
#define IPC_SPOOL(NUMBER, TEXT)

/* session → keeper, each answered before the next is asked */
#define IPC_AUTHENTICATE(NUMBER, TEXT)                                                             \
    TEXT(resource, 256) TEXT(database, 256) TEXT(client, 256) TEXT(token, 16640)
#define IPC_PROVE(NUMBER, TEXT)                                                                    \
    NUMBER(kind) TEXT(client_first, 1024) TEXT(server_first, 4096) TEXT(client_final, 4096)
#define IPC_SIGN(NUMBER, TEXT)   NUMBER(for_server) NUMBER(scheme) TEXT(content, 256)
#define IPC_CANCEL(NUMBER, TEXT) NUMBER(id) TEXT(secret, 64)

/* keeper → session, answers. A GRANTED carries, as its flags say, descriptors for: the target,
 * the residual policy, trusted certificates, the client certificate, the protection. */
#define IPC_GRANTED(NUMBER, TEXT)                                                                  \
    TEXT(resource, 256)                                                                            \
    TEXT(subject, 1024)                                                                            \
    TEXT(database, 256)                                                                            \
    TEXT(target_user, 256)                                                                         \
    TEXT(target_host, 1024)                                                                        \
    NUMBER(target_tls) NUMBER(flags) NUMBER(cancel_id) TEXT(cancel_secret, 64) TEXT(policy_hash, 64)
#define IPC_REFUSED(NUMBER, TEXT) NUMBER(code) TEXT(text, 1024) TEXT(hint, 1024)
#define IPC_ANSWER(NUMBER, TEXT)  /* to PROVE, SIGN and CANCEL */                                  \
    NUMBER(code) TEXT(text, 1024) TEXT(first, 8192) TEXT(second, 1024)

/* keeper → session, at any time */
#define IPC_POLICY(NUMBER, TEXT)        TEXT(policy_hash, 64) /* fds: the residual, the protection */
#define IPC_END(NUMBER, TEXT)           NUMBER(reason) TEXT(text, 1024)
#define IPC_CANCEL_TARGET(NUMBER, TEXT) /* fd: a connection to the target */

/* session → keeper, beside its other questions: the catalog of its database, but not the one with
 * the fingerprint `stale` (0: any). Answered by the CATALOG_READY of that number, perhaps much
 * later; one with number 0 is newer than what the session has, and comes unasked. */
#define IPC_CATALOG(NUMBER, TEXT)       NUMBER(number) NUMBER(stale)
#define IPC_CATALOG_READY(NUMBER, TEXT) /* fd, if `code` is OK: the catalog */                     \
    NUMBER(number) NUMBER(code) TEXT(text, 1024) NUMBER(bytes)

/* keeper → ledger and control; control gets it again of every live session when it is started */
#define IPC_SESSION_OPENED(NUMBER, TEXT)                                                           \
    NUMBER(session)                                                                                \
    TEXT(subject, 1024)                                                                            \
    TEXT(issuer, 256)                                                                              \
    TEXT(token_id, 1024)                                                                           \
    TEXT(groups, 8192)                                                                             \
    TEXT(resource, 256)                                                                            \
    TEXT(database, 256)                                                                            \
    TEXT(target, 4200)                                                                             \
    TEXT(client, 256)                                                                              \
    TEXT(policy_hash, 64)                                                                          \
    NUMBER(expires_us)                                                                             \
    TEXT(chain, 4096) /* list: from the first principal to the acting one */                       \
    TEXT(task, 256)   /* what for, as the token says; may be empty */                              \
    TEXT(access, 64)  /* the grant of access under which it was opened; may be empty */            \
    TEXT(source, 64) TEXT(protocol, 32) NUMBER(opened_us) TEXT(email, 320)
#define IPC_SESSION_REFUSED(NUMBER, TEXT)                                                          \
    NUMBER(session)                                                                                \
    TEXT(resource, 256)                                                                            \
    TEXT(subject, 1024) TEXT(issuer, 256) TEXT(token_id, 1024) TEXT(reason, 1024)
#define IPC_ADMIN_ACTION(NUMBER, TEXT)   TEXT(actor, 256) TEXT(action, 64) TEXT(detail, 4096)

/* A session that must ask humans says so to the keeper, which gives it and control the ends of a
 * channel; again when that has broken, for control may have been restarted. */
#define IPC_CONTROL_WANTED(NUMBER, TEXT) /* session → keeper */
#define IPC_CONTROL_READY(NUMBER, TEXT)  /* keeper → session; fd, if `code` is OK */             \
    NUMBER(code) TEXT(text, 1024)
#define IPC_CONTROL_SESSION(NUMBER, TEXT) /* keeper → control; fd */ NUMBER(session)

/* session → control. A HOLD is followed by as many HOLD_PARTs as its sizes need: the intent's frame
 * (ipc/record.h), then the preview, a JSON text that may be empty. */
#define IPC_HOLD(NUMBER, TEXT)                                                                     \
    NUMBER(command)                                                                                \
    TEXT(rule, 1024)                                                                               \
    TEXT(policy_hash, 64)                                                                          \
    TEXT(command_hash, 32)                                                                         \
    TEXT(purpose, 1024)                                                                            \
    NUMBER(in_transaction) NUMBER(wait_ms) NUMBER(frame_bytes) NUMBER(preview_bytes)
#define IPC_HOLD_PART(NUMBER, TEXT)     NUMBER(command) TEXT(bytes, 20480)
#define IPC_HOLD_WITHDRAW(NUMBER, TEXT) NUMBER(command)
/* control → session. After a HOLD comes a HOLD_PENDING, unless it is decided at once. */
#define IPC_HOLD_PENDING(NUMBER, TEXT)                                                             \
    NUMBER(command) TEXT(request, 64) TEXT(url, 1024) TEXT(approvers, 1024) NUMBER(expires_us)
#define IPC_HOLD_DECIDED(NUMBER, TEXT)                                                             \
    NUMBER(command)                                                                                \
    NUMBER(decision)                                                                               \
    TEXT(request, 64) TEXT(by, 1024) TEXT(text, 4096) TEXT(command_hash, 32)

/* control → keeper; VERIFY is answered by the VERIFIED of that number. `audience`: of the console's
 * own client; empty: as the issuer's configuration says. */
#define IPC_VERIFY(NUMBER, TEXT)        NUMBER(number) TEXT(audience, 256) TEXT(token, 16640)
#define IPC_KILL(NUMBER, TEXT)          NUMBER(session) TEXT(actor, 256) TEXT(reason, 1024)
#define IPC_REVOKE_ACCESS(NUMBER, TEXT) TEXT(access, 64) TEXT(reason, 1024)
/* keeper → control */
#define IPC_VERIFIED(NUMBER, TEXT)                                                                 \
    NUMBER(number)                                                                                 \
    NUMBER(code)                                                                                   \
    TEXT(text, 1024)                                                                               \
    TEXT(subject, 1024)                                                                            \
    TEXT(issuer, 256)                                                                              \
    TEXT(token_id, 1024)                                                                           \
    TEXT(groups, 8192)                                                                             \
    TEXT(chain, 4096) TEXT(name, 256) TEXT(email, 320) TEXT(nonce, 256) NUMBER(expires_us)
/* keeper → control, answered by the ACCESS_ANSWER of that number: may this principal open a session
 * on the resource, which by `rule` needs a grant of access? */
#define IPC_ACCESS(NUMBER, TEXT)                                                                   \
    NUMBER(number)                                                                                 \
    TEXT(subject, 1024) TEXT(issuer, 256) TEXT(chain, 4096) TEXT(resource, 256) TEXT(rule, 1024)
#define IPC_ACCESS_ANSWER(NUMBER, TEXT)                                                            \
    NUMBER(number) NUMBER(code) TEXT(text, 1024) TEXT(access, 64) NUMBER(expires_us)

/* control → ledger: what humans decided, about a session (0: none) or a grant of access. */
#define IPC_APPROVAL(NUMBER, TEXT)                                                                 \
    NUMBER(session)                                                                                \
    TEXT(request, 64)                                                                              \
    TEXT(event, 32) /* requested, approved, denied, overridden, expired, withdrawn, revoked */     \
    TEXT(actor, 1024) TEXT(rule, 1024) TEXT(binding_hash, 64) TEXT(text, 4096)
/* control ↔ ledger: a session watched live */
#define IPC_WATCH(NUMBER, TEXT)      NUMBER(session) NUMBER(on)
#define IPC_LIVE_EVENT(NUMBER, TEXT) NUMBER(session) TEXT(json, 20480)

/* administrative socket: one request, then any number of lines, then the end */
#define IPC_ADMIN_REQUEST(NUMBER, TEXT)                                                            \
    TEXT(verb, 32)                                                                                 \
    TEXT(subject, 1024)                                                                            \
    TEXT(groups, 8192)                                                                             \
    TEXT(resources, 8192) TEXT(database, 256) NUMBER(ttl_seconds) TEXT(actors, 4096) TEXT(task, 256)
#define IPC_ADMIN_LINE(NUMBER, TEXT) TEXT(text, 20480)
#define IPC_ADMIN_END(NUMBER, TEXT)  NUMBER(ok) TEXT(text, 4096)

/* X(symbol, struct suffix): numbered in this order; append only. */
#define IPC_MESSAGES(X)                                                                            \
    X(CONFIGURE, configure)                                                                        \
    X(PEER, peer)                                                                                  \
    X(LISTEN, listen)                                                                              \
    X(LISTENER_SETUP, listener_setup)                                                              \
    X(START, start)                                                                                \
    X(DRAIN, drain)                                                                                \
    X(SERVICE_EVENT, service_event)                                                                \
    X(READY, ready)                                                                                \
    X(SESSION_STARTED, session_started)                                                            \
    X(SESSION_ENDED, session_ended)                                                                \
    X(SESSION_NEW, session_new)                                                                    \
    X(SESSION_AUTHENTICATED, session_authenticated)                                                \
    X(SPOOL, spool)                                                                                \
    X(AUTHENTICATE, authenticate)                                                                  \
    X(PROVE, prove)                                                                                \
    X(SIGN, sign)                                                                                  \
    X(CANCEL, cancel)                                                                              \
    X(GRANTED, granted)                                                                            \
    X(REFUSED, refused)                                                                            \
    X(ANSWER, answer)                                                                              \
    X(POLICY, policy)                                                                              \
    X(END, end)                                                                                    \
    X(CANCEL_TARGET, cancel_target)                                                                \
    X(SESSION_OPENED, session_opened)                                                              \
    X(SESSION_REFUSED, session_refused)                                                            \
    X(ADMIN_ACTION, admin_action)                                                                  \
    X(ADMIN_REQUEST, admin_request)                                                                \
    X(ADMIN_LINE, admin_line)                                                                      \
    X(ADMIN_END, admin_end)                                                                        \
    X(SESSION_OVER, session_over)                                                                  \
    X(READER_NEW, reader_new)                                                                      \
    X(READ_BEGIN, read_begin)                                                                      \
    X(READ_END, read_end)                                                                          \
    X(CATALOG, catalog)                                                                            \
    X(CATALOG_READY, catalog_ready)                                                                \
    X(CONTROL_WANTED, control_wanted)                                                              \
    X(CONTROL_READY, control_ready)                                                                \
    X(CONTROL_SESSION, control_session)                                                            \
    X(HOLD, hold)                                                                                  \
    X(HOLD_PART, hold_part)                                                                        \
    X(HOLD_WITHDRAW, hold_withdraw)                                                                \
    X(HOLD_PENDING, hold_pending)                                                                  \
    X(HOLD_DECIDED, hold_decided)                                                                  \
    X(VERIFY, verify)                                                                              \
    X(KILL, kill)                                                                                  \
    X(REVOKE_ACCESS, revoke_access)                                                                \
    X(VERIFIED, verified)                                                                          \
    X(ACCESS, access)                                                                              \
    X(ACCESS_ANSWER, access_answer)                                                                \
    X(APPROVAL, approval)                                                                          \
    X(WATCH, watch)                                                                                \
    X(LIVE_EVENT, live_event)

enum ipc_type {
    IPC_TYPE_NONE,
#define X(symbol, suffix) IPC_TYPE_##symbol,
    IPC_MESSAGES(X)
#undef X
        IPC_TYPE_COUNT
};

#define IPC_NUMBER_MEMBER(name)    uint64_t name;
#define IPC_TEXT_MEMBER(name, max) struct str name;
#define X(symbol, suffix)                                                                          \
    struct ipc_##suffix {                                                                          \
        IPC_##symbol(IPC_NUMBER_MEMBER, IPC_TEXT_MEMBER)                                           \
    };
IPC_MESSAGES(X)
#undef X

/* Any message; the type says which member. */
union ipc_message {
#define X(symbol, suffix) struct ipc_##suffix suffix;
    IPC_MESSAGES(X)
#undef X
};

/* Values of IPC_PROVE.kind. */
enum ipc_proof { IPC_PROOF_SCRAM_SHA_256, IPC_PROOF_MD5, IPC_PROOF_PASSWORD };

/* Values of IPC_HOLD_DECIDED.decision. */
enum ipc_decision {
    IPC_DECISION_APPROVED,
    IPC_DECISION_DENIED,  /* by a human, whose words `text` is */
    IPC_DECISION_EXPIRED, /* nobody decided in time */
    IPC_DECISION_FAILED,  /* it could not be asked; `text` says why */
};

/* Bits of IPC_GRANTED.flags. */
enum ipc_grant_flag {
    IPC_GRANT_TRUST = 1,       /* a descriptor of trusted certificates follows the residual's */
    IPC_GRANT_CERTIFICATE = 2, /* and then one of the client certificate */
    IPC_GRANT_LOCAL = 4,       /* the target is a Unix socket */
    IPC_GRANT_PROTECTION = 8,  /* and then one of what the resource protects: always */
    IPC_GRANT_RECORD = 16,     /* sessions are recorded */
};

/* Values of IPC_PEER.service, and the processes' names in logs. */
enum ipc_service {
    IPC_SERVICE_LISTENER,
    IPC_SERVICE_KEEPER,
    IPC_SERVICE_LEDGER,
    IPC_SERVICE_CONTROL, /* runs only if the configuration needs it */
    IPC_SERVICE_COUNT
};
const char *ipc_service_name(enum ipc_service service);

/* The message's name ("session_new"), for logs. */
const char *ipc_type_name(enum ipc_type type);

/* Appends the datagram of `*message`, which is the struct of `type`. ERR_LIMIT: a text is longer
 * than its maximum, or all of it than IPC_BYTES_MAX. */
enum err ipc_encode(enum ipc_type type, const void *message, struct buf *out);

/* Reads a datagram; texts borrow from `bytes`. ERR_PROTOCOL. */
enum err ipc_decode(struct str bytes, enum ipc_type *type, union ipc_message *out);

/* The next string of a list held in a TEXT; false at its end. */
bool ipc_list_next(struct str *list, struct str *item);

#endif
