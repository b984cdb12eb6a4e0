/* What people use: the console, its store, recordings, notifications. */
#include "config/check.h"

#include "base/table.h"

/* console */

static void
check_login(struct problems *p, const struct config *c, const struct node *login)
{
    const struct node *name = node_get(login, "issuer"), *scopes = node_get(login, "scopes");
    struct str scope, rest = c->console.scopes;
    bool openid = false;

    if (name != NULL && c->console.login_issuer.len > 0) {
        if (str_is(c->console.login_issuer, "local"))
            problem_error(p, name->mark, "people log in with its tokens without this",
                          "'local' is the gateway's own issuer, which has no login page");
        else
            check_issuer_name(p, c, c->console.login_issuer, name);
    }
    while (rest.len > 0) {
        rest = str_trim(str_cut(rest, ' ', &scope));
        openid = openid || str_is(scope, "openid");
    }
    if (scopes != NULL && c->console.scopes.len > 0 && !openid)
        problem_error(p, scopes->mark, "add openid",
                      "without 'openid' the provider does not say who logs in");
}

/* Links are made from it, and cookies hold for all of a host. */
static void
check_url(struct problems *p, struct config *c, const struct node *node)
{
    struct str url = c->console.url, host, path;

    if (node == NULL || url.len == 0)
        return;
    if (str_starts(url, STR("http://"))) {
        problem_error(p, node->mark, "write https://", "the console is reached by HTTPS only");
        return;
    }
    path = str_cut(str_skip(url, strlen("https://")), '/', &host);
    if (path.len > 0)
        problem_error(p, node->mark, problem_format(p, "write \"https://%.*s\"", STR_ARG(host)),
                      "the console has a host and a port of its own, without a path");
    c->console.url.len = strlen("https://") + host.len;
}

static void
check_console(struct problems *p, const struct node *root, struct config *c)
{
    const struct node *console = node_get(root, "console"), *listen = node_get(root, "listen");

    check_url(p, c, node_get(console, "url"));
    check_login(p, c, node_get(console, "login"));
    if (console != NULL && c->console_listen.port == 0 && p->errors == 0)
        problem_error(p, console->key_mark, "add \"console: 0.0.0.0:9443\" to 'listen'",
                      "there is a 'console', but nothing listens for it");
    if (console == NULL && c->console_listen.port != 0)
        problem_error(p, listen->key_mark,
                      "add \"console: {url: https://HOST:PORT}\", as people reach it",
                      "the console listens, but there is no 'console'");
}

/* store */

static void
check_store(struct problems *p, const struct node *root, struct config *c)
{
    const struct node *store = node_get(root, "store");
    const struct node *connection = node_get(node_get(store, "postgresql"), "connection");
    struct str text = c->store.connection;

    if (node_get(store, "postgresql") != NULL)
        c->store.kind = CONFIG_STORE_POSTGRESQL;
    for (size_t i = 0; connection != NULL && i + 8 <= text.len; i++)
        if (str_equal_nocase((struct str){text.ptr + i, 8}, STR("password"))) {
            problem_error(p, connection->mark, "write it as \"password: {file: FILE}\" beside it",
                          "a connection string does not hold the password");
            return;
        }
}

/* notifications */

static const struct node *
channel_of(const struct node *entry, enum config_notify_kind *kind)
{
    static const char *const kinds[] = {[NOTIFY_WEBHOOK] = "webhook",
                                        [NOTIFY_SLACK] = "slack",
                                        [NOTIFY_TEAMS] = "teams",
                                        [NOTIFY_EMAIL] = "email"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (node_get(entry, kinds[i]) != NULL) {
            *kind = (enum config_notify_kind)i;
            return node_get(entry, kinds[i]);
        }
    return NULL;
}

/* Two people at the provider cannot be one member of a chat. */
static void
check_chat_users(struct problems *p, const struct config_notification *n,
                 const struct node *channel)
{
    const struct node *users = node_get(channel, "users");
    const struct node *user = users == NULL ? NULL : users->first;

    for (size_t i = 0; i < n->n_users && user != NULL; i++, user = user->next)
        for (size_t k = 0; k < i; k++)
            if (n->users[i].subject.len > 0 &&
                str_equal(n->users[i].subject, n->users[k].subject)) {
                problem_warning(p, user->mark, NULL, "%s may decide as two members of the chat",
                                problem_quote(p, n->users[i].subject));
                break;
            }
}

static void
check_notifications(struct problems *p, const struct node *root, struct config *c)
{
    const struct node *list = node_get(root, "notifications"), *entry = NULL;

    for (size_t i = 0; i < c->n_notifications; i++) {
        struct config_notification *n = (struct config_notification *)&c->notifications[i];
        const struct node *channel;

        if ((entry = node_next(list, entry)) == NULL)
            break;
        if ((channel = channel_of(entry, &n->kind)) != NULL && n->kind == NOTIFY_SLACK)
            check_chat_users(p, n, channel);
        for (size_t k = 0; k < i; k++)
            if (n->name.len > 0 && str_equal(n->name, c->notifications[k].name))
                problem_error(p, node_get(entry, "name")->mark, NULL,
                              "a second notification called %s", problem_quote(p, n->name));
    }
    if (list != NULL && c->console_listen.port == 0 && p->errors == 0)
        problem_error(p, list->key_mark, "add \"listen: {console: ADDRESS}\" and 'console'",
                      "notifications lead to the console, and there is none");
}

void
check_people(struct problems *p, const struct node *root, struct config *c)
{
    check_console(p, root, c);
    check_store(p, root, c);
    check_notifications(p, root, c);
}
