#include "config/check.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HINT_NAMES_MAX = 8, RECORDING_KEY_BITS_MIN = 3072, RECORDING_KEY_BITS_MAX = 8192 };

static bool
is_loopback(struct str host)
{
    return str_starts(host, STR("127.")) || str_is(host, "::1") || str_is(host, "localhost");
}

/* A name list as problem_did_you_mean() wants it; NULL without memory. */
static const char **
resource_names(struct problems *p, const struct config *c)
{
    const char **names = arena_array(p->arena, c->n_resources + 1, sizeof(*names));
    size_t n = 0;

    for (size_t i = 0; names != NULL && i < c->n_resources; i++)
        if (c->resources[i].name.len > 0)
            names[n++] = c->resources[i].name.ptr;
    return names;
}

const char *
check_resource_hint(struct problems *p, const struct config *c, struct str name)
{
    struct buf list = buf_make(PROBLEM_TEXT_MAX);
    const char **names, *hint;

    if (p->kept == PROBLEMS_MAX || (names = resource_names(p, c)) == NULL)
        return NULL;
    if ((hint = problem_did_you_mean(p, name, names)) != NULL || names[0] == NULL)
        return hint;
    for (size_t i = 0; i < HINT_NAMES_MAX && names[i] != NULL; i++)
        buf_printf(&list, "%s%s", i == 0 ? "" : ", ", names[i]);
    hint = problem_format(p, "resources: %.*s%s", STR_ARG(buf_str(&list)),
                          c->n_resources > HINT_NAMES_MAX ? ", …" : "");
    buf_free(&list);
    return hint;
}

/* Listeners */

struct listeners {
    struct problems *problems;
    struct config *config;
    bool has_tls;
    struct mark console; /* line 0: there is none yet */
    struct config_listen *items;
    struct mark *marks;
    size_t n;
};

static const char *
address_text(struct problems *p, const struct config_address *a)
{
    bool ipv6 = str_index(a->host, ':') < a->host.len;

    return problem_format(p, "%s%.*s%s:%u", ipv6 ? "[" : "", STR_ARG(a->host), ipv6 ? "]" : "",
                          a->port);
}

/* It is on no list: what listens there is no protocol of sessions. */
static void
set_console(struct listeners *l, const struct config_listen *new, const struct node *resource,
            struct mark at)
{
    if (l->config->console_listen.port != 0)
        problem_error(l->problems, at, NULL, "the console listens at one address only");
    if (resource != NULL)
        problem_error(l->problems, resource->mark, NULL, "the console leads to no resource");
    if (!l->has_tls)
        problem_error(l->problems, at, "add \"tls: {certificate: FILE, key: FILE}\"",
                      "the console is always HTTPS, but there is no 'tls'");
    l->config->console_listen = new->address;
}

static void
check_reachable(const struct listeners *l, const struct config_address *a, struct mark at)
{
    const char *address = address_text(l->problems, a);

    if (l->has_tls)
        return;
    if (!is_loopback(a->host))
        problem_error(
            l->problems, at,
            "clients send their token there: add \"tls: {certificate: FILE, key: FILE}\", "
            "or listen on 127.0.0.1",
            "%s can be reached by other machines, but there is no 'tls'", address);
    else if (!l->config->cleartext_on_loopback)
        problem_error(
            l->problems, at,
            "add 'tls', or, on a machine of your own, "
            "\"postgres: {cleartext_on_loopback: true}\"",
            "no client can use %s: there is no 'tls', and tokens in clear are not allowed",
            address);
}

static void
check_taken(const struct listeners *l, const struct config_address *new, struct mark at)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_equal(l->items[i].address.host, new->host) && l->items[i].address.port == new->port)
            problem_error(l->problems, at, NULL, "%s is taken already, on line %u",
                          address_text(l->problems, new), l->marks[i].line);
    if (l->console.line != 0 && str_equal(l->config->console_listen.host, new->host) &&
        l->config->console_listen.port == new->port)
        problem_error(l->problems, at, NULL, "%s is taken already, on line %u",
                      address_text(l->problems, new), l->console.line);
}

static void
add_listener(struct listeners *l, const struct config_listen *new, const struct node *resource,
             struct mark at)
{
    check_taken(l, &new->address, at);
    if (str_is(new->protocol, CONFIG_LISTEN_CONSOLE)) {
        set_console(l, new, resource, at);
        l->console = at;
        return;
    }
    check_reachable(l, &new->address, at);
    l->items[l->n] = *new;
    l->marks[l->n++] = at;
}

static void
add_listen_entries(struct listeners *l, const struct node *listen)
{
    const struct config *c = l->config;
    const struct node *entry = listen == NULL ? NULL : listen->first;

    for (size_t i = 0; i < c->n_listens && entry != NULL; i++, entry = entry->next) {
        const struct config_listen *item = &c->listens[i];
        const struct node *address = entry->kind == NODE_SCALAR ? entry
                                                                : node_get(entry, "address");
        const struct node *name = node_get(entry, "resource");
        const struct config_resource *resource;

        if (item->address.port != 0)
            add_listener(l, item, name, address == NULL ? entry->mark : address->mark);
        if (item->resource.len == 0 || name == NULL ||
            str_is(item->protocol, CONFIG_LISTEN_CONSOLE))
            continue;
        if ((resource = config_find_resource(c, item->resource)) == NULL)
            problem_error(l->problems, name->mark,
                          check_resource_hint(l->problems, c, item->resource),
                          "there is no resource %s", problem_quote(l->problems, item->resource));
        else if (item->protocol.len > 0 && resource->protocol.len > 0 &&
                 !str_equal(item->protocol, resource->protocol))
            problem_error(l->problems, name->mark, NULL, "%s speaks %.*s, not %.*s",
                          problem_quote(l->problems, item->resource), STR_ARG(resource->protocol),
                          STR_ARG(item->protocol));
    }
}

static void
add_resource_listeners(struct listeners *l, const struct node *resources)
{
    const struct config *c = l->config;
    const struct node *node = resources == NULL ? NULL : resources->first;

    for (size_t i = 0; i < c->n_resources && node != NULL; i++, node = node->next) {
        const struct config_resource *resource = &c->resources[i];
        const struct config_listen item = {resource->listen, resource->protocol, resource->name};

        if (resource->listen.port != 0)
            add_listener(l, &item, NULL, node_get(node, "listen")->mark);
    }
}

static void
check_listeners(struct problems *p, const struct node *root, struct config *c)
{
    struct listeners l = {.problems = p, .config = c, .has_tls = node_get(root, "tls") != NULL};
    const struct node *listen = node_get(root, "listen");
    size_t max = c->n_listens + c->n_resources;

    l.items = arena_array(p->arena, max, sizeof(*l.items));
    l.marks = arena_array(p->arena, max, sizeof(*l.marks));
    if (max > 0 && (l.items == NULL || l.marks == NULL)) {
        p->out_of_memory = true;
        return;
    }
    add_listen_entries(&l, listen);
    add_resource_listeners(&l, node_get(root, "resources"));
    c->listens = l.items;
    c->n_listens = l.n;
    if (l.n == 0 && listen == NULL && p->errors == 0)
        problem_error(p, root->mark, "for example \"listen: {postgres: 127.0.0.1:5432}\"",
                      "there is no listener: nobody could connect");
}

/* Issuers */

static struct str
lower_case(struct problems *p, struct str s)
{
    char *lower = arena_text(p->arena, s);

    if (lower == NULL) {
        p->out_of_memory = true;
        return s;
    }
    for (size_t i = 0; i < s.len; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] - 'A' + 'a');
    return (struct str){lower, s.len};
}

static void
check_same_issuers(struct problems *p, const struct config *c, size_t i, const struct node *node)
{
    const struct config_issuer *issuer = &c->issuers[i];

    for (size_t j = 0; j < i; j++) {
        if (issuer->name.len > 0 && str_equal(issuer->name, c->issuers[j].name))
            problem_error(p, node_get(node, "name")->mark, NULL, "a second issuer called %s",
                          problem_quote(p, issuer->name));
        if (issuer->issuer.len > 0 && str_equal(issuer->issuer, c->issuers[j].issuer))
            problem_error(p, node_get(node, "issuer")->mark, "one entry may have several audiences",
                          "%s is an issuer already: %s", problem_quote(p, issuer->issuer),
                          problem_quote(p, c->issuers[j].name));
    }
}

static void
check_issuers(struct problems *p, const struct node *root, struct config *c)
{
    const struct node *issuers = node_get(root, "issuers");
    const struct node *node = issuers == NULL ? NULL : issuers->first;
    size_t enabled = c->local_issuer.enabled ? 1 : 0;

    for (size_t i = 0; i < c->n_issuers && node != NULL; i++, node = node->next) {
        struct str *types = (struct str *)c->issuers[i].types.items;

        enabled += c->issuers[i].enabled;
        for (size_t k = 0; k < c->issuers[i].types.n; k++)
            types[k] = lower_case(p, types[k]);
        if (str_is(c->issuers[i].name, "local"))
            problem_error(p, node_get(node, "name")->mark, NULL,
                          "'local' is the name of the gateway's own issuer");
        check_same_issuers(p, c, i, node);
    }
    if (enabled == 0 && p->errors == 0) /* no error: all may be shut off in an emergency */
        problem_warning(p, issuers == NULL ? root->mark : issuers->key_mark,
                        "add an entry to 'issuers', or \"local_issuer: {enabled: true}\"",
                        "there is no enabled issuer: nobody can be authenticated");
}

/* Resources */

static void
check_no_effect(struct problems *p, const struct node *n)
{
    if (n != NULL)
        problem_warning(p, n->key_mark, NULL, "'%.*s' has no effect without TLS to the target",
                        STR_ARG(n->key));
}

static void
check_target_tls(struct problems *p, struct config_resource *resource, const struct node *node)
{
    const struct node *tls = node_get(node, "tls");
    bool is_socket = resource->address.port == 0 && resource->address.host.len > 0;
    bool is_near = is_socket || is_loopback(resource->address.host);
    struct mark at = tls == NULL ? node->mark : tls->mark;

    if (is_socket) {
        if (tls != NULL && resource->tls != CONFIG_TLS_OFF)
            problem_error(p, at, "leave it out", "there is no TLS over a Unix socket");
        resource->tls = CONFIG_TLS_OFF;
    }
    if (resource->tls == CONFIG_TLS_OFF && !is_socket &&
        (tls == NULL || !str_is(tls->value, "off")))
        return; /* it could not be read, and only looks like off */
    if (resource->tls == CONFIG_TLS_OFF) {
        check_no_effect(p, node_get(node, "ca"));
        check_no_effect(p, node_get(node, "server_name"));
        check_no_effect(p, node_get(node_get(node, "credential"), "certificate"));
    }
    if (is_near || resource->address.host.len == 0)
        return;
    if (resource->tls == CONFIG_TLS_OFF)
        problem_warning(p, at, "use \"tls: verify-full\"",
                        "data crosses the network to %s in clear",
                        problem_quote(p, resource->address.host));
    else if (resource->tls == CONFIG_TLS_REQUIRE)
        problem_warning(p, at, "use \"tls: verify-full\"",
                        "the certificate of %s is not verified: anyone in between could read along",
                        problem_quote(p, resource->address.host));
}

static void
check_resources(struct problems *p, const struct node *root, struct config *c)
{
    const struct node *resources = node_get(root, "resources");
    const struct node *node = resources == NULL ? NULL : resources->first;

    for (size_t i = 0; i < c->n_resources && node != NULL; i++, node = node->next) {
        check_target_tls(p, (struct config_resource *)&c->resources[i], node);
        check_protection(p, (struct config_resource *)&c->resources[i], node);
    }
}

void
check_config(struct problems *p, const struct node *root, struct config *c)
{
    check_resources(p, root, c);
    check_listeners(p, root, c);
    check_policies(p, root, c);
    check_issuers(p, root, c);
    check_people(p, root, c);
}

/* Files */

static void
check_file(struct problems *p, const struct node *n, struct str path, bool is_private)
{
    struct stat status;
    char *name;

    if (n == NULL || path.len == 0)
        return;
    n = n->kind == NODE_MAPPING && n->first != NULL ? n->first : n;
    if ((name = arena_text(p->arena, path)) == NULL) {
        p->out_of_memory = true;
        return;
    }
    if (stat(name, &status) != 0 || access(name, R_OK) != 0)
        problem_error(p, n->mark, NULL, "cannot read %s: %s", problem_quote(p, path),
                      strerror(errno));
    else if (!S_ISREG(status.st_mode))
        problem_error(p, n->mark, NULL, "%s is not a file", problem_quote(p, path));
    else if (is_private && (status.st_mode & (S_IROTH | S_IWOTH)) != 0)
        problem_warning(p, n->mark, problem_format(p, "chmod o-rwx %.*s", STR_ARG(path)),
                        "every user of this machine can read %s", problem_quote(p, path));
}

static void
check_secret(struct problems *p, const struct node *n, const struct config_secret *secret)
{
    char *name;

    if (secret->source == SECRET_FILE)
        check_file(p, n, secret->value, true);
    if (secret->source != SECRET_ENV || n == NULL || n->first == NULL)
        return;
    if ((name = arena_text(p->arena, secret->value)) == NULL)
        p->out_of_memory = true;
    else if (getenv(name) == NULL)
        problem_warning(p, n->first->mark, "the gateway needs it where it is started",
                        "there is no environment variable %s here",
                        problem_quote(p, secret->value));
}

/* The key to which those of recordings are wrapped. */
static void
check_public_key(struct problems *p, const struct node *n, struct str path)
{
    char *name = arena_text(p->arena, path);
    unsigned errors = p->errors;
    EVP_PKEY *key;
    FILE *file;

    check_file(p, n, path, false);
    if (n == NULL || name == NULL || p->errors > errors || (file = fopen(name, "re")) == NULL)
        return;
    key = PEM_read_PUBKEY(file, NULL, NULL, NULL);
    fclose(file);
    ERR_clear_error();
    if (key == NULL || !EVP_PKEY_is_a(key, "RSA"))
        problem_error(p, n->mark,
                      "make a pair: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 "
                      "-out recordings.key; openssl pkey -in recordings.key -pubout -out "
                      "recordings.pub",
                      "%s is not the public key of an RSA pair, in PEM", problem_quote(p, path));
    else if (EVP_PKEY_get_bits(key) < RECORDING_KEY_BITS_MIN ||
             EVP_PKEY_get_bits(key) > RECORDING_KEY_BITS_MAX)
        problem_error(p, n->mark, NULL, "the key in %s has %d bits; recordings need %d to %d",
                      problem_quote(p, path), EVP_PKEY_get_bits(key), RECORDING_KEY_BITS_MIN,
                      RECORDING_KEY_BITS_MAX);
    EVP_PKEY_free(key);
}

static void
check_files_of_recordings(struct problems *p, const struct node *node,
                          const struct config_recordings *r)
{
    const struct node *s3 = node_get(node, "s3"), *private = node_get(node, "private_key");
    const struct config_secret private_key = {SECRET_FILE, r->private_key};

    check_public_key(p, node_get(node, "public_key"), r->public_key);
    if (private != NULL && r->private_key.len > 0)
        check_secret(p, private, &private_key);
    check_file(p, node_get(s3, "ca"), r->s3.ca, false);
    check_secret(p, node_get(s3, "access_key"), &r->s3.access_key);
    check_secret(p, node_get(s3, "secret_key"), &r->s3.secret_key);
}

static void
check_files_of_notifications(struct problems *p, const struct node *list, const struct config *c)
{
    static const char *const kinds[] = {"webhook", "slack", "teams", "email"};
    static const char *const secrets[] = {"secret", "signing_secret", "secret", "password"};
    const struct node *entry = NULL;

    for (size_t i = 0; i < c->n_notifications && (entry = node_next(list, entry)) != NULL; i++) {
        const struct config_notification *n = &c->notifications[i];
        const struct node *channel = node_get(entry, kinds[n->kind]);

        check_file(p, node_get(channel, "ca"), n->ca, false);
        check_secret(p, node_get(channel, secrets[n->kind]), &n->secret);
    }
}

/* Those of control alone. */
static void
check_files_of_people(struct problems *p, const struct node *root, const struct config *c)
{
    const struct node *login = node_get(node_get(root, "console"), "login");
    const struct node *postgresql = node_get(node_get(root, "store"), "postgresql");

    check_secret(p, node_get(login, "client_secret"), &c->console.client_secret);
    check_secret(p, node_get(postgresql, "password"), &c->store.password);
    check_files_of_recordings(p, node_get(root, "recordings"), &c->recordings);
    check_files_of_notifications(p, node_get(root, "notifications"), c);
}

void
check_files(struct problems *p, const struct node *root, const struct config *c)
{
    const struct node *tls = node_get(root, "tls");
    const struct node *issuers = node_get(root, "issuers");
    const struct node *resources = node_get(root, "resources");
    const struct node *node;

    check_file(p, node_get(tls, "certificate"), c->tls_certificate, false);
    check_secret(p, node_get(tls, "key"), &c->tls_key);
    node = issuers == NULL ? NULL : issuers->first;
    for (size_t i = 0; i < c->n_issuers && node != NULL; i++, node = node->next)
        check_file(p, node_get(node, "ca"), c->issuers[i].ca, false);
    node = resources == NULL ? NULL : resources->first;
    for (size_t i = 0; i < c->n_resources && node != NULL; i++, node = node->next) {
        const struct config_resource *resource = &c->resources[i];
        const struct node *credential = node_get(node, "credential");

        check_file(p, node_get(node, "ca"), resource->ca, false);
        check_file(p, node_get(credential, "certificate"), resource->client_certificate, false);
        check_secret(p, node_get(credential, "key"), &resource->client_key);
        check_secret(p, node_get(credential, "password"), &resource->password);
        check_secret(p, node_get(node, "mask_key"), &resource->mask_key);
    }
    check_files_of_people(p, root, c);
}
