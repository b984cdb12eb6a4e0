#include "ledger/ledger_main.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/table.h"
#include "config/config.h"
#include "ipc/channel.h"
#include "ledger/ledger.h"
#include "ledger/feed.h"
#include "recording/key.h"
#include "sandbox/sandbox.h"

enum {
    CONFIG_ARENA_MAX = 256 << 20,
    PROBLEMS_BYTES_MAX = 4096,
    EVENTS = 64,
    GROUPS_MAX = 256,
    CHAIN_MAX = 16
};

/* The process's end of one session's channel. */
struct member {
    uint64_t session;
    int channel;
};

struct process {
    int supervisor, listener, keeper, control; /* channels; -1: not there */
    int poller;
    struct ledger *ledger;
    struct feed *feed;
    char *recordings;      /* their directory; NULL: sessions are not recorded */
    struct table *members; /* struct member by the 8 bytes of the session's id */
    bool stopping;
    struct ipc_packet packet;
};

static struct str
key_of(const uint64_t *session)
{
    return (struct str){(const char *)session, sizeof(*session)};
}

static enum err
watch(struct process *p, int fd, void *member)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = member};

    if (epoll_ctl(p->poller, EPOLL_CTL_ADD, fd, &event) != 0)
        return fail_errno(ERR_IO, "epoll_ctl");
    return OK;
}

/* --- sessions ------------------------------------------------------------------------------- */

static void
drop_member(struct process *p, struct member *m)
{
    (void)table_remove(p->members, key_of(&m->session));
    close(m->channel); /* leaves the poller with it */
    free(m);
}

static void
source_text(struct str address, char out[static INET6_ADDRSTRLEN])
{
    struct in6_addr in6;

    out[0] = '\0';
    if (address.len != sizeof(in6))
        return;
    memcpy(&in6, address.ptr, sizeof(in6));
    if (IN6_IS_ADDR_V4MAPPED(&in6))
        (void)inet_ntop(AF_INET, &in6.s6_addr[12], out, INET6_ADDRSTRLEN);
    else
        (void)inet_ntop(AF_INET6, &in6, out, INET6_ADDRSTRLEN);
}

static enum err
adopt_member(struct process *p, uint64_t session, int channel)
{
    struct member *m = calloc(1, sizeof(*m));
    enum err e;

    if (m == NULL)
        return fail(ERR_NOMEM, "no memory for a session");
    *m = (struct member){session, channel};
    if ((e = table_put(p->members, key_of(&session), m, NULL)) == OK &&
        (e = watch(p, channel, m)) != OK)
        (void)table_remove(p->members, key_of(&session));
    if (e != OK)
        free(m);
    return e;
}

/* Gives the session its spool. Without one the session's channel ends, and so does the session. */
static void
begin_session(struct process *p)
{
    const struct ipc_session_new *announced = &p->packet.message.session_new;
    struct ipc_spool message = {};
    char source[INET6_ADDRSTRLEN];
    int channel = ipc_take_fd(&p->packet, 0), spool = -1;
    enum err e;

    if (channel < 0)
        return;
    source_text(announced->source, source);
    if ((e = ledger_session_new(p->ledger, announced->session, str_from(source),
                                announced->protocol, &spool)) == OK &&
        (e = ipc_send(channel, IPC_TYPE_SPOOL, &message, &spool, 1)) == OK)
        e = adopt_member(p, announced->session, channel);
    if (spool >= 0)
        close(spool);
    if (e != OK) {
        log_error("session_refused", "reason=%s", err_text());
        if (spool >= 0)
            err_ignore(ledger_session_gone(p->ledger, announced->session, "failed", 0));
        close(channel);
    }
}

/* The supervisor says how a session's process ended. Its spool is read on until nobody holds it. */
static enum err
end_session(struct process *p, const struct ipc_session_ended *ended)
{
    int status = (int)ended->wait_status, signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const char *reason = signal == 0 ? "ended" : signal == SIGKILL ? "killed" : "crashed";

    return ledger_session_gone(p->ledger, ended->session, reason, signal);
}

/* Has a session end: it sees the end of its channel, and the supervisor sees to it. */
static void
cut_off(struct process *p, struct member *m, const char *reason)
{
    struct ipc_session_over message = {.session = m->session};

    err_ignore(ledger_session_gone(p->ledger, m->session, reason, 0));
    err_ignore(ipc_send(p->supervisor, IPC_TYPE_SESSION_OVER, &message, NULL, 0));
    drop_member(p, m);
}

static void
drop_any(struct str key, void *value, void *arg)
{
    struct member **out = arg;

    (void)key;
    *out = value;
}

static void
drop_all_members(struct process *p)
{
    while (table_count(p->members) > 0) {
        struct member *m = NULL;

        table_each(p->members, drop_any, &m);
        cut_off(p, m, "ledger full");
    }
}

static void
cut_misbehaving(struct process *p)
{
    uint64_t session;
    const char *why;

    while (ledger_next_cut(p->ledger, &session, &why)) {
        struct member *m = table_get(p->members, key_of(&session));

        log_error("session_cut", "session=%016llx reason=%s", (unsigned long long)session, why);
        if (m != NULL)
            cut_off(p, m, "cut off");
    }
}

/* --- the keeper's channel ------------------------------------------------------------------- */

static enum err
identify(struct process *p, const struct ipc_session_opened *opened)
{
    struct str groups[GROUPS_MAX], list = opened->groups;
    struct str chain[CHAIN_MAX], chain_list = opened->chain;
    struct ledger_identity identity = {
        .subject = opened->subject,
        .issuer = opened->issuer,
        .token_id = opened->token_id,
        .groups = {.items = groups},
        .delegation = {.items = chain},
        .resource = opened->resource,
        .database = opened->database,
        .target = opened->target,
        .client = opened->client,
        .policy_hash = opened->policy_hash,
        .expires_us = (int64_t)opened->expires_us,
    };

    while (identity.groups.n < GROUPS_MAX && ipc_list_next(&list, &groups[identity.groups.n]))
        identity.groups.n++;
    while (identity.delegation.n < CHAIN_MAX &&
           ipc_list_next(&chain_list, &chain[identity.delegation.n]))
        identity.delegation.n++;
    return ledger_session_identify(p->ledger, opened->session, &identity);
}

static enum err
record_refusal(struct process *p, const struct ipc_session_refused *refused)
{
    struct ledger_refusal refusal = {
        .reason = STR("refused"),
        .text = refused->reason,
        .resource = refused->resource,
        .claimed_subject = refused->subject,
        .claimed_issuer = refused->issuer,
        .token_id = refused->token_id,
    };

    return ledger_session_refused(p->ledger, refused->session, &refusal);
}

static enum err
obey_keeper(struct process *p)
{
    const union ipc_message *m = &p->packet.message;

    switch (p->packet.type) {
    case IPC_TYPE_SESSION_OPENED:
        return identify(p, &m->session_opened);
    case IPC_TYPE_SESSION_REFUSED:
        return record_refusal(p, &m->session_refused);
    case IPC_TYPE_ADMIN_ACTION:
        return ledger_admin(p->ledger, m->admin_action.actor, m->admin_action.action, STR(""),
                            m->admin_action.detail);
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(p->packet.type));
    }
}

/* --- control's channel ---------------------------------------------------------------------- */

static enum err
record_approval(struct process *p, const struct ipc_approval *m)
{
    struct ledger_approval approval = {
        .session = m->session,
        .request = m->request,
        .event = m->event,
        .actor = m->actor,
        .rule = m->rule,
        .binding_hash = m->binding_hash,
        .text = m->text,
    };

    return ledger_approval(p->ledger, &approval);
}

static enum err
obey_control(struct process *p)
{
    const union ipc_message *m = &p->packet.message;

    switch (p->packet.type) {
    case IPC_TYPE_APPROVAL:
        return record_approval(p, &m->approval);
    case IPC_TYPE_ADMIN_ACTION:
        return ledger_admin(p->ledger, m->admin_action.actor, m->admin_action.action, STR(""),
                            m->admin_action.detail);
    case IPC_TYPE_WATCH:
        return ledger_watch(p->ledger, m->watch.session, m->watch.on != 0);
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(p->packet.type));
    }
}

static void
queue_live(void *arg, uint64_t session, struct str event)
{
    struct process *p = arg;

    if (p->control >= 0)
        feed_put(p->feed, session, event);
}

/* Reads a channel until it would block, giving each message to `serve`; forgets it at its end. */
static void
read_channel(struct process *p, int *channel, enum err (*serve)(struct process *p))
{
    enum err e = OK;

    while (*channel >= 0 && (e = ipc_receive(*channel, &p->packet)) == OK)
        if ((e = serve(p)) != OK && e != ERR_NOT_FOUND)
            log_warning("record_failed", "message=%s reason=%s", ipc_type_name(p->packet.type),
                        err_text());
    if (*channel >= 0 && e != ERR_TIMEOUT) {
        close(*channel);
        *channel = -1;
    }
}

static void
catch_up(void *arg)
{
    struct process *p = arg;

    read_channel(p, &p->keeper, obey_keeper);
    read_channel(p, &p->control, obey_control);
}

/* --- the listener's and the supervisor's channel --------------------------------------------- */

static enum err
obey_listener(struct process *p)
{
    if (p->packet.type != IPC_TYPE_SESSION_NEW)
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(p->packet.type));
    begin_session(p);
    return OK;
}

static enum err
parse_configuration(struct process *p, struct arena *arena, struct config **config)
{
    int fd = ipc_take_fd(&p->packet, 0);
    struct buf text = buf_make(CONFIG_BYTES_MAX), problems = buf_make(PROBLEMS_BYTES_MAX);
    struct config_report report = {.text = &problems};
    enum err e = ipc_read_shared(fd, &text);

    if (fd >= 0)
        close(fd);
    if (e == OK)
        e = config_parse(buf_str(&text), p->packet.message.configure.path, arena, &report, config);
    buf_free_secret(&text);
    buf_free(&problems);
    return e;
}

/* Appends the public key of recordings. */
static enum err
read_key(const struct config *config, struct arena *arena, struct buf *pem)
{
    const char *path = arena_text(arena, config->recordings.public_key);
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    enum err e;

    if (fd < 0)
        return fail_errno(ERR_INVALID, "recordings: cannot open the public key %.*s",
                          STR_ARG(config->recordings.public_key));
    e = ipc_read_shared(fd, pem);
    close(fd);
    return e;
}

/* Recordings are as they were when the ledger started, but for the key of those that begin later.
 */
static enum err
reconfigure_recordings(struct process *p, const struct config *config, struct arena *arena)
{
    struct buf pem = buf_make(RECORDING_PEM_MAX);
    enum err e;

    if (!str_is(config->recordings.directory, p->recordings == NULL ? "" : p->recordings))
        return fail(ERR_INVALID, "recordings.directory can only change with a restart");
    if (p->recordings == NULL)
        return OK;
    if ((e = read_key(config, arena, &pem)) == OK)
        e = ledger_set_recording_key(p->ledger, buf_str(&pem));
    buf_free(&pem);
    return e;
}

static enum err
open_ledger(struct process *p, const struct config *config, const char *directory,
            struct ledger_recording *recording, const char *key_path)
{
    struct ledger_options options = {
        .directory = directory,
        .file_bytes = config->ledger_file_bytes,
        .min_free_bytes = config->ledger_min_free_bytes,
        .recording = recording,
    };
    struct sandbox_path paths[] = {{directory, true}, {NULL, false}, {NULL, false}, {NULL, false}};
    enum err e;

    log_setup("ledger", config->log_json, (enum log_level)config->log_level);
    if (recording != NULL) {
        paths[1] = (struct sandbox_path){recording->directory, true};
        paths[2] = (struct sandbox_path){key_path, false};
    }
    if ((e = ledger_open(&options, &p->ledger)) != OK || (e = sandbox_enter_ledger(paths)) != OK)
        return e;
    return OK;
}

static enum err
start(struct process *p, const struct config *config, struct arena *arena)
{
    struct ledger_recording recording = {.live = queue_live, .arg = p};
    const char *directory = arena_text(arena, config->ledger_directory),
               *key_path = arena_text(arena, config->recordings.public_key);
    bool records = config->recordings.directory.len > 0;
    struct buf pem = buf_make(RECORDING_PEM_MAX);
    enum err e = OK;

    if (records) {
        p->recordings = strndup(config->recordings.directory.ptr, config->recordings.directory.len);
        recording.directory = p->recordings;
    }
    if (directory == NULL || key_path == NULL || (records && p->recordings == NULL))
        e = fail(ERR_NOMEM, "no memory for a path");
    if (e == OK && records && (e = read_key(config, arena, &pem)) == OK)
        recording.public_key = buf_str(&pem);
    if (e == OK)
        e = open_ledger(p, config, directory, records ? &recording : NULL, key_path);
    buf_free(&pem);
    return e;
}

static enum err
configure(struct process *p)
{
    struct arena *arena = arena_new(CONFIG_ARENA_MAX);
    struct ipc_ready ready = {.ok = false};
    struct config *config;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory for the configuration")
                               : parse_configuration(p, arena, &config);

    if (e == OK && p->ledger == NULL) {
        e = start(p, config, arena);
    } else if (e == OK && (e = reconfigure_recordings(p, config, arena)) == OK) {
        ledger_reconfigure(p->ledger, config->ledger_file_bytes, config->ledger_min_free_bytes);
    }
    ready.ok = e == OK;
    if (e != OK)
        ready.text = str_from(err_text());
    arena_free(arena);
    return ipc_send(p->supervisor, IPC_TYPE_READY, &ready, NULL, 0);
}

static enum err
meet(struct process *p)
{
    uint64_t peer = p->packet.message.peer.service;
    int *channel = peer == IPC_SERVICE_KEEPER    ? &p->keeper
                   : peer == IPC_SERVICE_CONTROL ? &p->control
                                                 : &p->listener;
    int next = ipc_take_fd(&p->packet, 0);

    /* What is left of the old one; overwrites the packet. */
    read_channel(p, channel,
                 peer == IPC_SERVICE_KEEPER    ? obey_keeper
                 : peer == IPC_SERVICE_CONTROL ? obey_control
                                               : obey_listener);
    if (*channel >= 0)
        close(*channel);
    *channel = next;
    if (peer == IPC_SERVICE_CONTROL) { /* what the one before watched it must ask for again */
        feed_clear(p->feed);
        if (p->ledger != NULL)
            ledger_watch_none(p->ledger);
    }
    return next < 0 ? fail(ERR_PROTOCOL, "a peer without a channel") : OK;
}

static enum err
record_service_event(struct process *p, const struct ipc_service_event *m)
{
    if (str_is(m->event, "started"))
        return ledger_service_event(p->ledger, LEDGER_SERVICE_STARTED, m->service, m->detail);
    if (str_is(m->event, "stopped"))
        return ledger_service_event(p->ledger, LEDGER_SERVICE_STOPPED, m->service, m->detail);
    if (str_is(m->event, "died"))
        return ledger_service_event(p->ledger, LEDGER_SERVICE_DIED, m->service, m->detail);
    if (str_is(m->event, "configured"))
        return ledger_configuration_loaded(p->ledger, m->service, m->detail, m->detail);
    return ledger_note(p->ledger, 0, m->event, m->detail);
}

static enum err
obey_supervisor(struct process *p)
{
    switch (p->packet.type) {
    case IPC_TYPE_SESSION_ENDED:
        return end_session(p, &p->packet.message.session_ended);
    case IPC_TYPE_CONFIGURE:
        return configure(p);
    case IPC_TYPE_PEER:
        return meet(p);
    case IPC_TYPE_SERVICE_EVENT:
        return record_service_event(p, &p->packet.message.service_event);
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(p->packet.type));
    }
}

/* --- the loop ------------------------------------------------------------------------------- */

static void
serve_ended_members(struct process *p)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(p->poller, events, EVENTS, 0);

    for (int i = 0; i < n; i++)
        drop_member(p, events[i].data.ptr); /* its channel carries nothing: readable is ended */
}

static enum err
loop_once(struct process *p)
{
    enum { SUPERVISOR, LISTENER, KEEPER, CONTROL, MEMBERS, SPOOLS, N };
    struct pollfd fds[N] = {
        [SUPERVISOR] = {p->supervisor, POLLIN, 0},
        [LISTENER] = {p->listener, POLLIN, 0},
        [KEEPER] = {p->keeper, POLLIN, 0},
        [CONTROL] = {p->control, (short)(POLLIN | (feed_is_empty(p->feed) ? 0 : POLLOUT)), 0},
        [MEMBERS] = {p->poller, POLLIN, 0},
        [SPOOLS] = {p->ledger == NULL ? -1 : ledger_poll_fd(p->ledger), POLLIN, 0},
    };
    enum err e;

    if (poll(fds, N, p->ledger == NULL ? -1 : ledger_timeout_ms(p->ledger)) < 0)
        return errno == EINTR ? OK : fail_errno(ERR_IO, "poll");
    if (fds[SPOOLS].revents != 0)
        ledger_woken(p->ledger);
    if (fds[LISTENER].revents != 0)
        read_channel(p, &p->listener, obey_listener);
    if (fds[KEEPER].revents != 0)
        read_channel(p, &p->keeper, obey_keeper);
    if ((fds[CONTROL].revents & ~POLLOUT) != 0)
        read_channel(p, &p->control, obey_control);
    if (fds[MEMBERS].revents != 0)
        serve_ended_members(p);
    if (fds[SUPERVISOR].revents != 0)
        read_channel(p, &p->supervisor, obey_supervisor);
    if (p->supervisor < 0)
        return ERR_CLOSED;
    if (p->ledger == NULL)
        return OK;
    if ((e = ledger_round(p->ledger, catch_up, p)) != OK)
        return e;
    if (p->control >= 0)
        err_ignore(feed_send(p->feed, p->control)); /* its end is seen by reading it */
    cut_misbehaving(p);
    if (!ledger_accepting(p->ledger) && table_count(p->members) > 0) {
        log_error("ledger_stops", "reason=%s", ledger_refusal(p->ledger));
        drop_all_members(p); /* fail closed: every session ends */
    }
    return OK;
}

int
ledger_run(int channel)
{
    static struct process p;
    enum err e = OK;

    p.supervisor = channel;
    p.listener = p.keeper = p.control = -1;
    p.members = table_new(LEDGER_SESSIONS_MAX);
    p.poller = epoll_create1(EPOLL_CLOEXEC);
    p.feed = feed_new();
    if (p.members == NULL || p.poller < 0 || p.feed == NULL)
        return 1;
    while (e == OK)
        e = loop_once(&p);
    if (e == ERR_CLOSED) {
        if (p.ledger != NULL)
            e = ledger_drain(p.ledger, catch_up, &p);
        ledger_close(p.ledger);
        if (e == OK || e == ERR_CLOSED)
            return 0;
    }
    log_error("ledger_failed", "reason=%s", err_text());
    return 1;
}
