#include "keeper/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "identity/local.h"
#include "keeper/catalog_asker.h"
#include "keeper/reader.h"
#include "keeper/sessions.h"

enum {
    LIST_MAX = LOCAL_LIST_MAX + 1, /* one more, so that too many are refused and not cut */
    ACTOR_BYTES = 64,
    DETAIL_BYTES = 1024,
    SLOW_READER_MS = 5000,
    STILL_READING_MS = 10000, /* before the client takes us for dead */
    CATALOG_MS = 2 * READER_MS,
    LISTING_BYTES_MAX = 64 << 20,
    LOGIN_LINK_SECONDS = 5 * 60,
    LOGIN_URL_BYTES_MAX = 4096,
};

struct request {
    struct keeper *keeper;
    const struct ipc_admin_request *message;
    int client; /* -1: somebody else answers it */
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
finish_with(const struct request *r, enum err e, int fd)
{
    struct ipc_admin_end message = {.ok = e == OK, .text = str_from(e == OK ? "" : err_text())};

    err_ignore(ipc_send(r->client, IPC_TYPE_ADMIN_END, &message, &fd, fd >= 0 ? 1 : 0));
}

static void
finish(const struct request *r, enum err e)
{
    finish_with(r, e, -1);
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
list_sessions(struct request *r)
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
kill_session(struct request *r)
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
issue_token(struct request *r)
{
    struct str groups[LIST_MAX], resources[LIST_MAX], actors[LIST_MAX];
    struct token_request request = {
        .subject = r->message->subject,
        .groups = read_list(r->message->groups, groups),
        .resources = read_list(r->message->resources, resources),
        .actors = read_list(r->message->actors, actors),
        .task = r->message->task,
        .ttl_seconds = (unsigned)r->message->ttl_seconds,
    };
    struct buf token = buf_make(TOKEN_BYTES_MAX), id = buf_make(256);
    char detail[DETAIL_BYTES];
    enum err e = identity_issue(r->keeper->identity, &request, &token, &id);

    (void)snprintf(detail, sizeof(detail), "token_id=%.*s subject=%.*s actors=%zu ttl=%us",
                   STR_ARG(buf_str(&id)), STR_ARG(request.subject), request.actors.n,
                   request.ttl_seconds);
    if (e == OK && (e = record(r, "token_issue", detail)) == OK)
        e = send_line(r, buf_str(&token));
    buf_free_secret(&token);
    buf_free(&id);
    return e;
}

/* A link that logs into the console once: for operators without an identity provider, and demos.
 * What comes after # stays in the browser until the page posts it. */
static enum err
make_login_link(struct request *r)
{
    struct str groups[LIST_MAX], url = r->keeper->edition->config->console.url;
    struct token_request request = {
        .subject = r->message->subject,
        .groups = read_list(r->message->groups, groups),
        .ttl_seconds = LOGIN_LINK_SECONDS,
        .one_use = true,
    };
    struct buf link = buf_make(TOKEN_BYTES_MAX + LOGIN_URL_BYTES_MAX), id = buf_make(256);
    char detail[DETAIL_BYTES];
    enum err e;

    if (url.len == 0)
        return fail(ERR_INVALID, "there is no console (console: {url: \"https://...\"})");
    if (r->message->ttl_seconds > 0 && r->message->ttl_seconds < LOGIN_LINK_SECONDS)
        request.ttl_seconds = (unsigned)r->message->ttl_seconds;
    buf_printf(&link, "%.*s/login/token#", STR_ARG(url));
    e = identity_issue(r->keeper->identity, &request, &link, &id);
    (void)snprintf(detail, sizeof(detail), "token_id=%.*s subject=%.*s ttl=%us",
                   STR_ARG(buf_str(&id)), STR_ARG(request.subject), request.ttl_seconds);
    if (e == OK && (e = record(r, "login_link", detail)) == OK)
        e = send_line(r, buf_str(&link));
    buf_free_secret(&link);
    buf_free(&id);
    return e;
}

static enum err
revoke_token(struct request *r)
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
show_keys(struct request *r)
{
    struct buf jwks = buf_make(16 << 10);

    enum err e;

    identity_jwks(r->keeper->identity, &jwks);
    e = send_line(r, buf_str(&jwks));
    buf_free(&jwks);
    return e;
}

/* --- catalogs, by a fiber of their own because that takes long --- */

struct catalog_request {
    struct keeper *keeper;
    int client;
    struct str resource, database; /* behind this */
    bool done;
    struct fiber_condition changed;
};

static enum err
send_catalog(const struct request *r, const struct catalog_snapshot *c)
{
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {{"relations", c->relations},
               {"functions", c->functions},
               {"bytes", c->bytes},
               {"milliseconds", c->took_ms}};
    char line[64];
    enum err e = OK;

    for (size_t i = 0; e == OK && i < sizeof(all) / sizeof(all[0]); i++) {
        (void)snprintf(line, sizeof(line), "%s\t%llu", all[i].name,
                       (unsigned long long)all[i].value);
        e = send_line(r, str_from(line));
    }
    (void)snprintf(line, sizeof(line), "fingerprint\t%016llx", (unsigned long long)c->fingerprint);
    return e == OK ? send_line(r, str_from(line)) : e;
}

/* An empty line now and then says that we are still at it. */
static void
say_still_reading(void *arg)
{
    struct catalog_request *c = arg;
    struct request r = {.keeper = c->keeper, .client = c->client};

    while (!c->done && fiber_condition_wait(&c->changed, clock_monotonic_ms() + STILL_READING_MS) ==
                           ERR_TIMEOUT)
        err_ignore(send_line(&r, STR("")));
}

static void
read_for_operator(void *arg)
{
    struct catalog_request *c = arg;
    struct request r = {.keeper = c->keeper, .client = c->client};
    struct catalog_snapshot snapshot = {.fd = -1};
    struct fiber *saying = NULL;
    enum err e;

    err_ignore(fiber_start("catalog-wait", say_still_reading, c, &saying));
    if ((e = catalog_read_now(c->keeper, c->resource, c->database,
                              clock_monotonic_ms() + CATALOG_MS, &snapshot)) == OK)
        e = send_catalog(&r, &snapshot);
    c->done = true;
    fiber_condition_signal(&c->changed);
    if (saying != NULL)
        fiber_join(saying);
    finish_with(&r, e, e == OK ? snapshot.fd : -1);
    close(c->client);
    free(c);
}

static enum err
read_catalog(struct request *r)
{
    struct str resource = r->message->subject, database = r->message->database;
    struct catalog_request *c;
    char detail[DETAIL_BYTES], *texts;
    enum err e;

    (void)snprintf(detail, sizeof(detail), "resource=%.*s database=%.*s",
                   resource.len > 256 ? 256 : (int)resource.len, resource.ptr, STR_ARG(database));
    if ((e = record(r, "catalog_read", detail)) != OK)
        return e;
    if ((c = calloc(1, sizeof(*c) + resource.len + database.len)) == NULL)
        return fail(ERR_NOMEM, "no memory for a request");
    texts = (char *)(c + 1);
    memcpy(texts, resource.ptr, resource.len);
    memcpy(texts + resource.len, database.ptr, database.len);
    c->keeper = r->keeper;
    c->client = r->client;
    c->resource = (struct str){texts, resource.len};
    c->database = (struct str){texts + resource.len, database.len};
    if ((e = fiber_start("catalog-operator", read_for_operator, c, NULL)) != OK)
        free(c);
    else
        r->client = -1;
    return e;
}

static const struct {
    const char *verb;
    enum err (*serve)(struct request *r);
} verbs[] = {
    {"sessions", list_sessions},     {"kill", kill_session},    {"token-issue", issue_token},
    {"token-revoke", revoke_token},  {"token-keys", show_keys}, {"catalog", read_catalog},
    {"login-link", make_login_link},
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
    if (r.client < 0)
        return;
    finish(&r, e);
    close(client);
}
