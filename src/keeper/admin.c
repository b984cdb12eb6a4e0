#include "keeper/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "identity/local.h"
#include "keeper/sessions.h"

enum {
    LIST_MAX = LOCAL_LIST_MAX + 1, /* one more, so that too many are refused and not cut */
    ACTOR_BYTES = 64,
    DETAIL_BYTES = 1024,
    SLOW_READER_MS = 5000,
    LISTING_BYTES_MAX = 64 << 20
};

struct request {
    struct keeper *keeper;
    const struct ipc_admin_request *message;
    int client;
    char actor[ACTOR_BYTES];
};

/* [waits] for a slow reader, not for ever. */
static enum err
send_line(const struct request *r, struct str line)
{
    struct ipc_admin_line message = {.text = line};
    int64_t deadline_ms = clock_monotonic_ms() + SLOW_READER_MS;
    enum err e;

    while ((e = ipc_send(r->client, IPC_TYPE_ADMIN_LINE, &message, NULL, 0)) == ERR_UNAVAILABLE)
        if ((e = fiber_wait_writable(r->client, deadline_ms)) != OK)
            return e;
    return e;
}

static void
finish(const struct request *r, enum err e)
{
    struct ipc_admin_end message = {.ok = e == OK, .text = str_from(e == OK ? "" : err_text())};

    err_ignore(ipc_send(r->client, IPC_TYPE_ADMIN_END, &message, NULL, 0));
}

/* An act is recorded before it is done; without a record it is not done. */
static enum err
record(const struct request *r, const char *action, const char *detail)
{
    struct ipc_admin_action message = {
        .actor = str_from(r->actor), .action = str_from(action), .detail = str_from(detail)};

    log_info("admin_action", "actor=%s action=%s %s", r->actor, action, detail);
    if (r->keeper->ledger < 0 ||
        ipc_send(r->keeper->ledger, IPC_TYPE_ADMIN_ACTION, &message, NULL, 0) != OK)
        return fail(ERR_UNAVAILABLE, "the audit ledger is not available");
    return OK;
}

static enum err
list_sessions(const struct request *r)
{
    struct buf lines = buf_make(LISTING_BYTES_MAX);
    struct str left, line;
    enum err e;

    sessions_list(r->keeper, &lines);
    left = buf_str(&lines);
    e = buf_ok(&lines);
    while (e == OK && left.len > 0) {
        left = str_cut(left, '\n', &line);
        e = send_line(r, line);
    }
    buf_free(&lines);
    return e;
}

static enum err
kill_session(const struct request *r)
{
    char id[32], *end;
    uint64_t session;
    enum err e;

    (void)snprintf(id, sizeof(id), "%.*s", STR_ARG(r->message->subject));
    session = strtoull(id, &end, 16);
    if (id[0] == '\0' || *end != '\0')
        return fail(ERR_INVALID, "\"%s\" is not the id of a session", id);
    if ((e = record(r, "session_kill", id)) != OK)
        return e;
    return sessions_end(r->keeper, session, GATE_KILLED, "an operator ended this session");
}

/* The items of a list field; at most LIST_MAX. */
static struct str_list
read_list(struct str text, struct str items[static LIST_MAX])
{
    struct str_list list = {.items = items};

    while (list.n < LIST_MAX && ipc_list_next(&text, &items[list.n]))
        list.n++;
    return list;
}

static enum err
issue_token(const struct request *r)
{
    struct str groups[LIST_MAX], resources[LIST_MAX];
    struct token_request request = {
        .subject = r->message->subject,
        .groups = read_list(r->message->groups, groups),
        .resources = read_list(r->message->resources, resources),
        .ttl_seconds = (unsigned)r->message->ttl_seconds,
    };
    struct buf token = buf_make(TOKEN_BYTES_MAX), id = buf_make(256);
    char detail[DETAIL_BYTES];
    enum err e = identity_issue(r->keeper->identity, &request, &token, &id);

    (void)snprintf(detail, sizeof(detail), "token_id=%.*s subject=%.*s ttl=%us",
                   STR_ARG(buf_str(&id)), STR_ARG(request.subject), request.ttl_seconds);
    if (e == OK && (e = record(r, "token_issue", detail)) == OK)
        e = send_line(r, buf_str(&token));
    buf_free_secret(&token);
    buf_free(&id);
    return e;
}

static enum err
revoke_token(const struct request *r)
{
    char detail[DETAIL_BYTES];
    enum err e;

    (void)snprintf(detail, sizeof(detail), "token_id=%.*s", STR_ARG(r->message->subject));
    if ((e = record(r, "token_revoke", detail)) != OK ||
        (e = identity_revoke(r->keeper->identity, r->message->subject)) != OK)
        return e;
    sessions_sweep(r->keeper);
    return OK;
}

static enum err
show_keys(const struct request *r)
{
    struct buf jwks = buf_make(16 << 10);

    enum err e;

    identity_jwks(r->keeper->identity, &jwks);
    e = send_line(r, buf_str(&jwks));
    buf_free(&jwks);
    return e;
}

static const struct {
    const char *verb;
    enum err (*serve)(const struct request *r);
} verbs[] = {
    {"sessions", list_sessions},    {"kill", kill_session},    {"token-issue", issue_token},
    {"token-revoke", revoke_token}, {"token-keys", show_keys},
};

static void
name_actor(struct request *r)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof(peer);

    (void)getsockopt(r->client, SOL_SOCKET, SO_PEERCRED, &peer, &len);
    (void)snprintf(r->actor, sizeof(r->actor), "uid:%u", peer.uid);
}

void
admin_serve(struct keeper *k, const struct ipc_admin_request *message, int client)
{
    struct request r = {.keeper = k, .message = message, .client = client};
    enum err e = ERR_NOT_FOUND;
    size_t i = 0;

    name_actor(&r);
    while (i < sizeof(verbs) / sizeof(verbs[0]) && !str_is(message->verb, verbs[i].verb))
        i++;
    e = i < sizeof(verbs) / sizeof(verbs[0])
            ? verbs[i].serve(&r)
            : fail(ERR_NOT_FOUND, "unknown request %.*s", STR_ARG(message->verb));
    finish(&r, e);
    close(client);
}
