/* Resources: what there is, whether the person may use it, and how to connect with usual clients.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/pages.h"
#include "policy/policy.h"

enum { LINE_BYTES_MAX = 2048 };

/* Where clients reach the resource: the console's host, and the listener's port. */
struct way {
    struct str host;
    uint16_t port; /* 0: nothing listens for it */
    bool own_port; /* the user name does not matter there */
};

static struct str
host_of_url(struct str url)
{
    struct str host;
    size_t at;

    if (str_starts(url, STR("https://")))
        url = str_skip(url, strlen("https://"));
    (void)str_cut(url, '/', &host);
    if (host.len > 0 && host.ptr[0] == '[') { /* [::1]:9443 */
        at = str_index(host, ']');
        return (struct str){host.ptr + 1, at > 0 ? at - 1 : 0};
    }
    (void)str_cut(host, ':', &host);
    return host;
}

static struct way
find_way(const struct config *config, const struct config_resource *r)
{
    struct way way = {.host = host_of_url(config->console.url)};

    if (r->listen.port != 0) {
        way.port = r->listen.port;
        way.own_port = true;
        return way;
    }
    for (size_t i = 0; i < config->n_listens && way.port == 0; i++)
        if (config->listens[i].resource.len == 0 &&
            str_equal(config->listens[i].protocol, r->protocol))
            way.port = config->listens[i].address.port;
    return way;
}

/* --- may the person?
 * ------------------------------------------------------------------------------ */

static struct in6_addr
address_of(struct str text)
{
    struct in6_addr out = {0};
    struct in_addr v4;
    char copy[INET6_ADDRSTRLEN] = "";

    if (text.len >= sizeof(copy))
        return out;
    memcpy(copy, text.ptr, text.len);
    if (inet_pton(AF_INET, copy, &v4) == 1) {
        out.s6_addr[10] = out.s6_addr[11] = 0xff;
        memcpy(&out.s6_addr[12], &v4, sizeof(v4));
    } else if (inet_pton(AF_INET6, copy, &out) != 1) {
        return (struct in6_addr){0};
    }
    return out;
}

static enum err
write_you(struct api_request *q, struct json *j, const struct config_resource *r)
{
    struct policy_request request = {.subject = q->person->subject,
                                     .issuer = q->person->issuer,
                                     .groups = q->person->groups,
                                     .resource = r->name,
                                     .protocol = r->protocol,
                                     .labels = r->labels,
                                     .n_labels = r->n_labels,
                                     .source = address_of(q->address)};
    struct buf text = buf_make(RESIDUAL_DESCRIPTION_MAX);
    struct policy_connect connect;
    struct residual *residual;
    int64_t now = clock_wall_us();
    bool asks = policy_connect(q->control->policy, &request, now, &connect);
    enum err e = policy_specialise(q->control->policy, &request, &residual);

    if (e != OK)
        return e;
    residual_describe(residual, now, &text);
    json_key(j, "you");
    json_open(j, '{');
    json_field_bool(j, "allowed", residual_allows_anything(residual));
    json_field_str(j, "text", text.len > 0 ? buf_str(&text) : STR("nothing"));
    json_key(j, "access_rule"); /* opening a session needs a grant of access by this rule */
    if (asks)
        json_str(j, connect.rule);
    else
        json_put_null(j);
    json_close(j, '}');
    residual_free(residual);
    buf_free(&text);
    return OK;
}

/* --- how to connect
 * --------------------------------------------------------------------------------- */

static void
put_line(struct json *j, const char *client, struct buf *line)
{
    if (buf_ok(line) == OK) {
        json_open(j, '{');
        json_field_text(j, "client", client);
        json_field_str(j, "line", buf_str(line));
        json_close(j, '}');
    }
    buf_reset(line);
}

static void
write_postgres_lines(struct json *j, const struct config_resource *r, const struct way *way)
{
    struct buf line = buf_make(LINE_BYTES_MAX);
    struct str database = r->database.len > 0 ? r->database : STR("DATABASE"), host = way->host,
               user = r->name;
    unsigned port = way->port;
    const char *open = str_index(host, ':') < host.len ? "[" : "", *close = *open ? "]" : "";

    buf_printf(&line,
               "PGPASSWORD=$TOKEN psql \"host=%.*s port=%u user=%.*s dbname=%.*s "
               "sslmode=verify-full sslrootcert=system\"",
               STR_ARG(host), port, STR_ARG(user), STR_ARG(database));
    put_line(j, "psql", &line);
    buf_printf(&line, "postgresql://%.*s@%s%.*s%s:%u/%.*s?sslmode=verify-full", STR_ARG(user), open,
               STR_ARG(host), close, port, STR_ARG(database));
    put_line(j, "URI (password: the token)", &line);
    buf_printf(&line,
               "psycopg.connect(host=\"%.*s\", port=%u, user=\"%.*s\", dbname=\"%.*s\", "
               "password=token, sslmode=\"verify-full\")",
               STR_ARG(host), port, STR_ARG(user), STR_ARG(database));
    put_line(j, "psycopg", &line);
    buf_printf(&line, "jdbc:postgresql://%s%.*s%s:%u/%.*s?user=%.*s&sslmode=verify-full", open,
               STR_ARG(host), close, port, STR_ARG(database), STR_ARG(user));
    put_line(j, "JDBC (password: the token)", &line);
    buf_printf(&line,
               "new pg.Client({host: \"%.*s\", port: %u, user: \"%.*s\", database: \"%.*s\", "
               "password: token, ssl: true})",
               STR_ARG(host), port, STR_ARG(user), STR_ARG(database));
    put_line(j, "node-postgres", &line);
    buf_free(&line);
}

static enum err
write_resource(struct api_request *q, struct json *j, const struct config_resource *r)
{
    struct way way = find_way(q->config, r);
    enum err e;

    json_open(j, '{');
    json_field_str(j, "name", r->name);
    json_field_str(j, "protocol", r->protocol);
    json_key(j, "labels");
    json_open(j, '[');
    for (size_t i = 0; i < r->n_labels; i++) {
        json_open(j, '{');
        json_field_str(j, "key", r->labels[i].key);
        json_field_str(j, "value",
                       r->labels[i].values.n > 0 ? r->labels[i].values.items[0] : STR(""));
        json_close(j, '}');
    }
    json_close(j, ']');
    json_field_str(j, "contact", r->contact);
    json_field_str(j, "host", way.host);
    json_key(j, "port");
    if (way.port != 0)
        json_uint(j, way.port);
    else
        json_put_null(j);
    json_field_str(j, "database", r->database);
    json_field_uint(j, "protected_columns", r->n_protect);
    if ((e = write_you(q, j, r)) != OK)
        return e;
    json_key(j, "connect");
    json_open(j, '[');
    if (way.port != 0 && str_is(r->protocol, "postgres"))
        write_postgres_lines(j, r, &way);
    json_close(j, ']');
    json_close(j, '}');
    return OK;
}

enum err
api_resources(struct api_request *q)
{
    struct json j = reply_json(q->reply, 200);
    enum err e;

    json_open(&j, '{');
    json_key(&j, "items");
    json_open(&j, '[');
    for (size_t i = 0; i < q->config->n_resources; i++)
        if ((e = write_resource(q, &j, &q->config->resources[i])) != OK)
            return e;
    json_close(&j, ']');
    json_close(&j, '}');
    return OK;
}
