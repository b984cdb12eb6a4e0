#include "control/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/approvals.h"
#include "control/asks.h"
#include "control/confine.h"
#include "control/holds.h"
#include "control/live.h"
#include "control/notify.h"
#include "control/recordings.h"
#include "control/search_live.h"
#include "control/server.h"
#include "net/tls.h"
#include "store/session_index.h"
#include "store/store.h"

enum {
    CONFIG_ARENA_MAX = 256 << 20,
    PROBLEMS_BYTES_MAX = 4096,
    INDEX_MS = 250,
    RECORDINGS_MS = 5 * 1000,
    NODE_FILE_BYTES_MAX = 64,
};

bool
control_is_needed(const struct config *config)
{
    for (size_t i = 0; i < config->n_policies; i++)
        if (config->policies[i].verdict == VERDICT_STEP_UP)
            return true;
    return config->console_listen.port != 0 || config->recordings.directory.len > 0;
}

/* --- sessions and changes ------------------------------------------------------------------- */

struct live_session *
control_session(const struct control *c, uint64_t id)
{
    return table_get(c->sessions, key_of_live(&id));
}

void
control_session_text(uint64_t id, char out[static 17])
{
    store_session_text(id, out);
}

bool
control_session_parse(struct str text, uint64_t *id)
{
    return store_session_number(text, id) == OK;
}

enum err
control_listen(struct control *c, control_listener *tell, void *arg)
{
    if (c->n_listeners == CONTROL_LISTENERS_MAX)
        return fail(ERR_LIMIT, "too many listen to changes");
    c->listeners[c->n_listeners].tell = tell;
    c->listeners[c->n_listeners++].arg = arg;
    return OK;
}

void
control_announce(struct control *c, enum control_topic topic, struct str id, struct str state)
{
    for (size_t i = 0; i < c->n_listeners; i++)
        c->listeners[i].tell(c->listeners[i].arg, topic, id, state);
}

const struct policy_rule *
control_rule(const struct control *c, struct str name)
{
    for (size_t i = 0; i < c->config->n_policies; i++)
        if (str_equal(c->config->policies[i].name, name))
            return &c->config->policies[i];
    return NULL;
}

/* --- the ledger ----------------------------------------------------------------------------- */

static struct str
cut(struct str text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max > 0 && ((unsigned char)text.ptr[max] & 0xc0) == 0x80) /* not within a character */
        max--;
    return (struct str){text.ptr, max};
}

static enum err
tell_ledger(struct control *c, enum ipc_type type, const void *message)
{
    if (c->ledger < 0 || ipc_send(c->ledger, type, message, NULL, 0) != OK)
        return fail(ERR_UNAVAILABLE, "the audit ledger is not available; nothing was done");
    return OK;
}

enum err
control_record_approval(struct control *c, const struct ipc_approval *approval)
{
    struct ipc_approval record = {
        .session = approval->session,
        .request = cut(approval->request, 64),
        .event = cut(approval->event, 32),
        .actor = cut(approval->actor, 1024),
        .rule = cut(approval->rule, 1024),
        .binding_hash = cut(approval->binding_hash, 64),
        .text = cut(approval->text, 4096),
    };

    return tell_ledger(c, IPC_TYPE_APPROVAL, &record);
}

enum err
control_record_admin(struct control *c, struct str actor, struct str action, struct str detail)
{
    struct ipc_admin_action record = {
        .actor = cut(actor, 256), .action = cut(action, 64), .detail = cut(detail, 4096)};

    log_info("console_action", "actor=%.*s action=%.*s %.*s", STR_ARG(record.actor),
             STR_ARG(record.action), STR_ARG(record.detail));
    return tell_ledger(c, IPC_TYPE_ADMIN_ACTION, &record);
}

enum err
control_watch(struct control *c, uint64_t session, bool on)
{
    struct ipc_watch message = {.session = session, .on = on};

    return tell_ledger(c, IPC_TYPE_WATCH, &message);
}

struct ledger_fiber {
    struct control *control;
    int channel;
};

/* All that it says is what happens in sessions that are watched. */
static void
serve_ledger(void *arg)
{
    struct ledger_fiber *f = arg;
    struct control *c = f->control;
    struct ipc_packet *packet = calloc(1, sizeof(*packet));

    while (packet != NULL && ipc_receive_wait(f->channel, packet, FIBER_FOREVER) == OK &&
           packet->type == IPC_TYPE_LIVE_EVENT)
        if (c->live != NULL)
            c->live(c->live_arg, packet->message.live_event.session,
                    packet->message.live_event.json);
    if (packet != NULL)
        ipc_packet_clear(packet);
    free(packet);
    if (c->ledger == f->channel)
        c->ledger = -1;
    close(f->channel);
    free(f);
}

static enum err
meet_ledger(struct control *c, int channel)
{
    struct ledger_fiber *f = calloc(1, sizeof(*f));
    enum err e = f == NULL ? fail(ERR_NOMEM, "no memory for the ledger's channel") : OK;

    if (e == OK) {
        *f = (struct ledger_fiber){c, channel};
        e = fiber_start("ledger", serve_ledger, f, NULL);
    }
    if (e != OK) {
        close(channel);
        free(f);
        return e;
    }
    if (c->ledger >= 0)
        (void)shutdown(c->ledger, SHUT_RDWR); /* its fiber closes it */
    c->ledger = channel;
    return OK;
}

static enum err
meet(struct control *c, struct ipc_packet *packet)
{
    int channel = ipc_take_fd(packet, 0);

    if (channel < 0)
        return fail(ERR_PROTOCOL, "a peer without a channel");
    if (packet->message.peer.service == IPC_SERVICE_KEEPER)
        return asks_meet_keeper(c, channel);
    return meet_ledger(c, channel);
}

/* --- the engine of approvals ---------------------------------------------------------------- */

static enum err
record_event(void *arg, const struct approvals_event *event)
{
    const struct ipc_approval record = {
        .session = event->session,
        .request = event->request,
        .event = str_from(event->event),
        .actor = event->actor,
        .rule = event->rule,
        .binding_hash = event->binding_hash,
        .text = event->text,
    };

    return control_record_approval(arg, &record);
}

static void
decided(void *arg, const struct approvals_answer *answer)
{
    holds_decided(arg, answer);
}

static void
changed(void *arg, struct str request, enum request_state state)
{
    control_announce(arg, CONTROL_APPROVAL, request, str_from(request_state_name(state)));
}

static void
access_ended(void *arg, struct str access, struct str reason)
{
    if (control_revoke_access(arg, access, reason) != OK)
        log_error("access_end_unknown", "access=%.*s reason=%s", STR_ARG(access), err_text());
}

static enum err
open_approvals(struct control *c)
{
    static struct approvals_hooks hooks;
    enum err e;

    hooks = (struct approvals_hooks){.arg = c,
                                     .record = record_event,
                                     .decided = decided,
                                     .changed = changed,
                                     .access_ended = access_ended};
    if ((e = approvals_open(c->db, c->node, &approvals_real_clock, &hooks, &c->approvals)) == OK)
        approvals_configure(c->approvals, c->config, str_from(c->policy_hash));
    return e;
}

/* Requests that are new or decided may have put messages into the outbox. */
static void
wake_notify(void *arg, enum control_topic topic, struct str id, struct str state)
{
    struct control *c = arg;

    (void)id;
    (void)state;
    if (topic == CONTROL_APPROVAL)
        notify_wake(c->notify);
}

/* [waits] Its clock. */
static void
tick(void *arg)
{
    struct control *c = arg;

    for (;;) {
        int64_t next_ms;

        approvals_tick(c->approvals);
        next_ms = clock_monotonic_ms() + approvals_next_ms(c->approvals);
        err_ignore(fiber_condition_wait(&c->asked, next_ms));
    }
}

static void
index_sessions(void *arg)
{
    while (fiber_sleep_until(clock_monotonic_ms() + INDEX_MS) == ERR_TIMEOUT)
        live_index(arg);
}

/* --- configuration -------------------------------------------------------------------------- */

static enum err
parse(struct control *c, int fd, const struct ipc_configure *m, struct buf *problems)
{
    struct config_report report = {.text = problems};
    struct buf text = buf_make(CONFIG_BYTES_MAX);
    enum err e;

    if (m->hash.len != CONTROL_HASH_BYTES)
        return fail(ERR_PROTOCOL, "a configuration without its hash");
    memcpy(c->policy_hash, m->hash.ptr, CONTROL_HASH_BYTES);
    if ((e = ipc_read_shared(fd, &text)) == OK &&
        (c->config_text = arena_str(c->arena, buf_str(&text))).ptr == NULL)
        e = fail(ERR_NOMEM, "no memory for the configuration");
    buf_free_secret(&text);
    if (e == OK && (e = config_parse(c->config_text, m->path, c->arena, &report, &c->config)) == OK)
        e = policy_compile(c->config->policies, c->config->n_policies, &c->policy);
    return e;
}

/* Where SQLite's file is unless the configuration says otherwise. */
static enum err
place_store(struct control *c, struct str own_folder)
{
    struct buf path = buf_make(8192);
    enum err e;

    if (c->config->store.kind != CONFIG_STORE_SQLITE || c->config->store.path.len > 0)
        return OK;
    buf_printf(&path, "%.*s/control.db", STR_ARG(own_folder));
    if ((e = buf_ok(&path)) == OK &&
        (c->config->store.path = arena_str(c->arena, buf_str(&path))).ptr == NULL)
        e = fail(ERR_NOMEM, "no memory for a path");
    buf_free(&path);
    return e;
}

/* A name that stays: made at random once, and kept in a file. */
static enum err
name_node(struct control *c, struct str own_folder)
{
    char path[4096], name[STORE_ID_BYTES + 1];
    struct config_secret file = {SECRET_FILE, {path, 0}};
    struct buf text = buf_make(NODE_FILE_BYTES_MAX);
    int n = snprintf(path, sizeof(path), "%.*s/node", STR_ARG(own_folder)), fd;
    enum err e = n < 0 || (size_t)n >= sizeof(path) ? fail(ERR_LIMIT, "a path is too long") : OK;

    file.value.len = e == OK ? (size_t)n : 0;
    if (e == OK && config_read_secret(&file, &text) == OK && store_is_id(buf_str(&text))) {
        memcpy(c->node, text.ptr, text.len);
    } else if (e == OK && (e = store_new_id(name)) == OK) {
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, name, STORE_ID_BYTES) != STORE_ID_BYTES || fsync(fd) != 0)
            e = fail_errno(ERR_IO, "cannot write %s", path);
        if (fd >= 0)
            close(fd);
        memcpy(c->node, name, sizeof(name));
    }
    buf_free(&text);
    return e;
}

/* The console and the API, if there is a socket for them. */
static enum err
open_server(struct control *c)
{
    int fd = c->console;

    if (fd < 0)
        return OK;
    tls_prepare();
    tls_set_signer(true, control_sign, c);
    c->console = -1; /* the server's from now on */
    return server_open(c, fd, &c->server);
}

/* --- recordings ----------------------------------------------------------------------------- */

static enum err
record_own_act(void *arg, struct str action, struct str detail)
{
    return control_record_admin(arg, STR("bulkhead"), action, detail);
}

static bool
is_live(void *arg, uint64_t session)
{
    return control_session(arg, session) != NULL;
}

/* A secret as text; empty: there is none. */
static enum err
read_secret(const struct config_secret *secret, struct buf *out)
{
    enum err e = secret->source == SECRET_NONE ? OK : config_read_secret(secret, out);

    buf_put_u8(out, '\0');
    return e == OK ? buf_ok(out) : e;
}

static enum err
open_recordings(struct control *c)
{
    const struct config_recordings *config = &c->config->recordings;
    struct buf access = buf_make(4096), secret = buf_make(4096);
    struct recordings_options options = {
        .config = config, .db = c->db, .record = record_own_act, .is_live = is_live, .arg = c};
    enum err e;

    if (config->directory.len == 0)
        return OK;
    if ((e = read_secret(&config->s3.access_key, &access)) == OK &&
        (e = read_secret(&config->s3.secret_key, &secret)) == OK) {
        options.access_key = access.ptr;
        options.secret_key = secret.ptr;
        e = recordings_open(&options, &c->recordings);
    }
    buf_free_secret(&access);
    buf_free_secret(&secret);
    return e;
}

/* [waits] */
static void
sweep_recordings(void *arg)
{
    struct control *c = arg;

    do
        if (recordings_sweep(c->recordings, clock_wall_us()) != OK)
            log_warning("recordings_not_swept", "error=%s", err_text());
    while (fiber_sleep_until(clock_monotonic_ms() + RECORDINGS_MS) == ERR_TIMEOUT);
}

/* Everything that takes files, before they are given up. */
static enum err
open_all(struct control *c)
{
    struct str folder;
    enum err e;

    if ((e = confine_own_folder(c, &folder)) != OK || (e = place_store(c, folder)) != OK ||
        (e = name_node(c, folder)) != OK || (e = store_open(c->config, &c->db)) != OK ||
        (e = session_index_close_node(c->db, str_from(c->node), clock_wall_us(),
                                      STR("the gateway was restarted"))) != OK ||
        (e = open_approvals(c)) != OK || (e = open_recordings(c)) != OK ||
        (e = notify_new(c->config, c->db, &c->notify)) != OK)
        return e;
    if ((e = open_server(c)) != OK)
        return e;
    return confine_enter(c, folder);
}

static enum err
start_all(struct control *c)
{
    enum err e;

    if ((e = fiber_start("approvals", tick, c, NULL)) != OK ||
        (e = fiber_start("index", index_sessions, c, NULL)) != OK ||
        (e = notify_start(c->notify)) != OK)
        return e;
    if (c->recordings != NULL && (e = fiber_start("recordings", sweep_recordings, c, NULL)) != OK)
        return e;
    c->recent = search_live_recent;
    if ((e = control_listen(c, wake_notify, c)) != OK)
        return e;
    return c->server == NULL ? OK : server_start(c->server);
}

/* Tells the supervisor whether we run; if not, we end. */
static enum err
configure(struct control *c, struct ipc_packet *packet)
{
    int fd = ipc_take_fd(packet, 0);
    struct buf problems = buf_make(PROBLEMS_BYTES_MAX);
    struct ipc_ready ready = {.ok = true};
    enum err e = c->config != NULL ? fail(ERR_PROTOCOL, "configured twice")
                                   : parse(c, fd, &packet->message.configure, &problems),
             sent;

    if (fd >= 0)
        close(fd);
    if (e == OK) {
        log_setup("control", c->config->log_json, (enum log_level)c->config->log_level);
        if ((e = open_all(c)) == OK)
            e = start_all(c);
    }
    if (e != OK)
        ready = (struct ipc_ready){.text = problems.len > 0 ? buf_str(&problems)
                                                            : str_from(err_text())};
    sent = ipc_send(c->supervisor, IPC_TYPE_READY, &ready, NULL, 0);
    buf_free(&problems);
    return e == OK ? sent : e;
}

/* --- the process ---------------------------------------------------------------------------- */

static enum err
obey(struct control *c)
{
    struct ipc_packet *packet = &c->packet;
    enum err e;

    if ((e = ipc_receive_wait(c->supervisor, packet, FIBER_FOREVER)) != OK)
        return e;
    switch (packet->type) {
    case IPC_TYPE_LISTEN: /* without a descriptor there is no console */
        c->console = ipc_take_fd(packet, 0);
        return OK;
    case IPC_TYPE_CONFIGURE:
        return configure(c, packet);
    case IPC_TYPE_PEER:
        return meet(c, packet);
    default:
        return fail(ERR_PROTOCOL, "unexpected message %s", ipc_type_name(packet->type));
    }
}

static void
run(void *arg)
{
    struct control *c = arg;
    enum err e;

    c->arena = arena_new(CONFIG_ARENA_MAX);
    c->sessions = table_new(CONTROL_SESSIONS_MAX);
    if (c->arena == NULL || c->sessions == NULL)
        _exit(1);
    do
        e = obey(c);
    while (e == OK);
    if (e != ERR_CLOSED)
        log_error("control_failed", "reason=%s", err_text());
    /* Who waits is told that it failed; what is pending stays so, and can be denied later. */
    approvals_close(c->approvals);
    recordings_stop(c->recordings);
    if (c->db != NULL)
        live_index(c);
    db_close(c->db);
    _exit(e == ERR_CLOSED ? 0 : 1);
}

int
control_run(int channel)
{
    static struct control c;

    c.supervisor = channel;
    c.keeper = c.ledger = c.console = -1;
    if (fiber_main(run, &c) != OK) {
        log_error("control_failed", "reason=%s", err_text());
        return 1;
    }
    return 0;
}
