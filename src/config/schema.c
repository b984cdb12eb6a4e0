/* The tables: every key of the configuration file. */
#include "config/schema.h"

#include "base/log.h"
#include "command/command.h"
#include "mask/detect.h"

/* Where a value goes: a member, or the pointer and the count of a list. */
#define AT(type, member)                                                                           \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define LIST_AT(type, member, count, element)                                                      \
    .offset = offsetof(struct type, member), .count_offset = offsetof(struct type, count),         \
    .element_bytes = sizeof(element)
/* A struct str_list. */
#define STRINGS_AT(type, member) LIST_AT(type, member.items, member.n, struct str)
#define WORDS(...)               ((const char *const[]){__VA_ARGS__, NULL})
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }

#define SECOND    1
#define MINUTE    60
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define KIB       (1ULL << 10)
#define MIB       (1ULL << 20)
#define GIB       (1ULL << 30)
#define TIB       (1ULL << 40)

#define YEARS_MAX (3650 * DAY)

#define ROWS_MAX  1000000000000ULL

_Static_assert(LOG_LEVEL_DEBUG == 0 && LOG_LEVEL_ERROR == 3, "as log.level names them");
_Static_assert(CONFIG_TLS_OFF == 0 && CONFIG_TLS_VERIFY_FULL == 3,
               "as a resource's tls names them");
_Static_assert(COMMAND_CLASS_COUNT < 64, "one more bit for 'all'");

/* What else is known when a protocol is added: nothing here but its name. */
static const char *const protocols[] = {"postgres", NULL};
/* The gateway's own page listens beside them. */
static const char *const listener_protocols[] = {"postgres", CONFIG_LISTEN_CONSOLE, NULL};
static const char *const algorithms[] = {"RS256", "PS256", "ES256", "ES384", NULL};
/* In the order in which schema_types.c reads them. */
static const char *const masks[] = {"redact", "null", "hash", "email", NULL};
/* In the order of enum command_class; schema_read.c knows that "all" follows them. */
static const char *const classes[] = {
#define X(symbol, name, doc) name,
    COMMAND_EFFECTS(X) COMMAND_NAMED_CLASSES(X)
#undef X
        "all",
    NULL};

/* clang-format off */

/* Elements of lists; they fill the whole element. */
static const struct schema_field
    text_item     = {.name = "", .type = &type_text},
    glob_item     = {.name = "", .type = &type_glob},
    value_item    = {.name = "", .type = &type_value},
    name_item     = {.name = "", .type = &type_name},
    email_item    = {.name = "", .type = &type_email},
    network_item  = {.name = "", .type = &type_network},
    day_item      = {.name = "", .type = &type_day},
    protocol_item = {.name = "", .type = &type_word, .words = protocols, .noun = "protocol"},
    algorithm_item = {.name = "", .type = &type_word, .words = algorithms, .noun = "algorithm"},
    class_item    = {.name = "", .type = &type_class, .words = classes, .noun = "command class"};

/* listen: */

static const struct schema_object listen_entry = {
    .title = "a listener", .doc = "One port.",
    .fields = (const struct schema_field[]){
        {.name = "protocol", .type = &type_word, AT(config_listen, protocol), .required = true,
         .words = listener_protocols, .noun = "protocol", .example = "postgres",
         .doc = "What clients speak there. `console` is the console and the API, over HTTPS."},
        {.name = "address", .type = &type_listen, AT(config_listen, address), .required = true,
         .example = "0.0.0.0:5432", .doc = "Where to listen."},
        {.name = "resource", .type = &type_name, AT(config_listen, resource), .example = "analytics",
         .doc = "The port leads to this resource only, whatever user name the client sends. "
                "Without it the user name says which resource is meant."},
        END,
    },
};

static const struct schema_field
    listen_key = {.name = "", .type = &type_word, AT(config_listen, protocol), .words = listener_protocols, .noun = "protocol"},
    listen_address = {.name = "", .type = &type_listen, AT(config_listen, address)},
    listen_item = {.name = "", .type = &type_object, .object = &listen_entry},
    listen_mapping = {.name = "", .type = &type_mapping,
                      LIST_AT(config, listens, n_listens, struct config_listen),
                      .key = &listen_key, .item = &listen_address, .min = 1},
    listen_list = {.name = "", .type = &type_list,
                   LIST_AT(config, listens, n_listens, struct config_listen),
                   .item = &listen_item, .min = 1};

/* Small objects of the top level; they fill struct config itself. */

static const struct schema_object tls = {
    .title = "'tls'",
    .doc = "The gateway's own certificate, shown to clients. Needed for every listener that "
           "other machines can reach, because clients send their token there.",
    .fields = (const struct schema_field[]){
        {.name = "certificate", .type = &type_path, AT(config, tls_certificate), .required = true,
         .example = "tls/gateway.crt", .doc = "PEM file: the certificate, then those that lead to its root."},
        {.name = "key", .type = &type_key, AT(config, tls_key), .required = true,
         .example = "tls/gateway.key", .doc = "Its private key, PEM. Read by the keeper only."},
        END,
    },
};

static const struct schema_object local_issuer = {
    .title = "'local_issuer'",
    .doc = "The gateway's own issuer, called `local`, for quick starts and machines without an "
           "identity provider: `bulkhead token issue`.",
    .fields = (const struct schema_field[]){
        {.name = "enabled", .type = &type_boolean, AT(config, local_issuer.enabled), .fallback = "false",
         .example = "true", .doc = "Whether tokens of the local issuer are made and accepted."},
        {.name = "max_ttl", .type = &type_duration, AT(config, local_issuer.max_ttl_seconds),
         .min = SECOND, .max = 7 * DAY, .fallback = "1h", .example = "15m",
         .doc = "The longest life of a token that may be asked for."},
        END,
    },
};

static const struct schema_object ledger = {
    .title = "'ledger'", .doc = "The record of every command.",
    .fields = (const struct schema_field[]){
        {.name = "directory", .type = &type_path, AT(config, ledger_directory),
         .fallback = "/var/lib/bulkhead/ledger", .example = "/srv/bulkhead/ledger",
         .doc = "Where its files are."},
        {.name = "file_size", .type = &type_size, AT(config, ledger_file_bytes),
         .min = 64 * KIB, .max = TIB, .fallback = "256MiB", .example = "1GiB",
         .doc = "A file of the series is ended at this size, and the next one begun."},
        {.name = "min_free", .type = &type_size, AT(config, ledger_min_free_bytes),
         .min = 0, .max = TIB, .fallback = "256MiB", .example = "1GiB",
         .doc = "With less free space than this on its disk, commands are refused."},
        END,
    },
};

static const struct schema_object log_object = {
    .title = "'log'", .doc = "The operators' log, on standard error. It holds no secrets and no data.",
    .fields = (const struct schema_field[]){
        {.name = "format", .type = &type_enum, AT(config, log_json), .words = WORDS("text", "json"),
         .fallback = "text", .example = "json", .doc = "Lines for people, or one JSON object a line."},
        {.name = "level", .type = &type_enum, AT(config, log_level),
         .words = WORDS("debug", "info", "warning", "error"),
         .fallback = "info", .example = "warning", .doc = "Events below this level are left out."},
        END,
    },
};

static const struct schema_object limits = {
    .title = "'limits'", .doc = "What the gateway takes on, so that no client can exhaust it.",
    .fields = (const struct schema_field[]){
        {.name = "connections", .type = &type_integer, AT(config, limits.connections),
         .min = 1, .max = 8000, .fallback = "1000", .example = "200",
         .doc = "Sessions in all. Each is a process."},
        {.name = "unauthenticated", .type = &type_integer, AT(config, limits.unauthenticated),
         .min = 1, .max = 8000, .fallback = "128", .example = "64",
         .doc = "Connections that have not shown a valid token yet, in all."},
        {.name = "unauthenticated_per_source", .type = &type_integer, AT(config, limits.unauthenticated_per_source),
         .min = 1, .max = 8000, .fallback = "32", .example = "8",
         .doc = "The same from one IPv4 address or one IPv6 /64 network."},
        {.name = "handshake_time", .type = &type_duration, AT(config, limits.handshake_seconds),
         .min = SECOND, .max = 5 * MINUTE, .fallback = "15s", .example = "10s",
         .doc = "From the connection to a session that is open, TLS and the target's answer included."},
        {.name = "handshake_bytes", .type = &type_size, AT(config, limits.handshake_bytes),
         .min = 20 * KIB, .max = MIB, .fallback = "64KiB", .example = "32KiB",
         .doc = "All that a client may send before it is authenticated."},
        END,
    },
};

static const struct schema_object postgres = {
    .title = "'postgres'", .doc = "What holds for all PostgreSQL listeners.",
    .fields = (const struct schema_field[]){
        {.name = "cleartext_on_loopback", .type = &type_boolean, AT(config, cleartext_on_loopback),
         .fallback = "false", .example = "true",
         .doc = "Accept a token without TLS from clients on this machine itself."},
        END,
    },
};

/* console, store, recordings: they fill struct config too. */

static const struct schema_object console_login = {
    .title = "'login'",
    .doc = "How people log in: OpenID Connect, authorization code with PKCE. The provider has to know "
           "`URL/login/callback` as the address to return to.",
    .fields = (const struct schema_field[]){
        {.name = "issuer", .type = &type_name, AT(config, console.login_issuer), .required = true,
         .example = "corp", .doc = "The name of the issuer, among `issuers`."},
        {.name = "client_id", .type = &type_text, AT(config, console.client_id), .required = true,
         .example = "bulkhead-console", .doc = "The console as the provider knows it."},
        {.name = "client_secret", .type = &type_secret, AT(config, console.client_secret),
         .example = "{file: /run/secrets/console}", .doc = "Its secret. Default: a public client, which has none."},
        {.name = "scopes", .type = &type_text, AT(config, console.scopes), .fallback = "openid profile email",
         .example = "openid profile email groups", .doc = "What the provider is asked to tell; with `openid`."},
        END,
    },
};

static const struct schema_object console_roles = {
    .title = "'roles'",
    .doc = "What people may do besides deciding on what rules ask them for. Nobody approves because "
           "of a role.",
    .not_empty = "role",
    .fields = (const struct schema_field[]){
        {.name = "admin", .type = &type_list, STRINGS_AT(config, console.admins), .item = &glob_item, .min = 1,
         .example = "[platform-admins]",
         .doc = "Groups that end sessions, revoke access and place legal holds, and may what viewers may; patterns."},
        {.name = "auditor", .type = &type_list, STRINGS_AT(config, console.auditors), .item = &glob_item, .min = 1,
         .example = "[audit]",
         .doc = "Groups that read the ledger and watch recordings, and may what viewers may; patterns."},
        {.name = "viewer", .type = &type_list, STRINGS_AT(config, console.viewers), .item = &glob_item, .min = 1,
         .example = "[engineering]", .doc = "Groups that see sessions, resources and policies; patterns."},
        END,
    },
};

static const struct schema_object console = {
    .title = "'console'",
    .doc = "The web console and the API, where people approve, watch and search. `listen` says where: "
           "`listen: {console: \"0.0.0.0:9443\"}`. It is always HTTPS, with the certificate of `tls`.",
    .fields = (const struct schema_field[]){
        {.name = "url", .type = &type_url, AT(config, console.url), .required = true,
         .example = "\"https://gateway.example.com:9443\"",
         .doc = "How people reach it: links to requests begin so."},
        {.name = "login", .type = &type_object, .object = &console_login,
         .example = "{issuer: corp, client_id: bulkhead-console}",
         .doc = "How people log in. Default: with a token of an issuer, as machines do."},
        {.name = "roles", .type = &type_object, .object = &console_roles, .example = "{admin: [platform-admins]}",
         .doc = "What groups of people may do. Default: nothing but to decide where rules name them."},
        {.name = "session", .type = &type_duration, AT(config, console.session_seconds),
         .min = MINUTE, .max = 7 * DAY, .fallback = "8h", .example = "1h",
         .doc = "How long a login lasts."},
        END,
    },
};

static const struct schema_object store_postgresql = {
    .title = "'postgresql'", .doc = "A PostgreSQL database, version 14 or later.",
    .fields = (const struct schema_field[]){
        {.name = "connection", .type = &type_text, AT(config, store.connection), .required = true,
         .example = "\"host=db.internal dbname=bulkhead user=bulkhead sslmode=verify-full\"",
         .doc = "A connection string of libpq, without a password."},
        {.name = "password", .type = &type_secret, AT(config, store.password),
         .example = "{file: /run/secrets/store}", .doc = "The password, if it needs one."},
        END,
    },
};

static const struct schema_object store = {
    .title = "'store'",
    .doc = "Where requests, decisions, grants of access, logins and unsent notifications are kept.",
    .exactly_one = WORDS("sqlite", "postgresql"),
    .fields = (const struct schema_field[]){
        {.name = "sqlite", .type = &type_path, AT(config, store.path), .example = "/var/lib/bulkhead/control.db",
         .doc = "A file of its own. Without `store` it is `control.db` in the folder of `state`."},
        {.name = "postgresql", .type = &type_object, .object = &store_postgresql,
         .example = "{connection: \"host=db.internal dbname=bulkhead user=bulkhead\"}",
         .doc = "A PostgreSQL database."},
        END,
    },
};

static const struct schema_object s3 = {
    .title = "'s3'",
    .doc = "An S3-compatible object store to which finished recordings are moved.",
    .fields = (const struct schema_field[]){
        {.name = "endpoint", .type = &type_url, AT(config, recordings.s3.endpoint), .required = true,
         .example = "\"https://s3.eu-central-1.amazonaws.com\"", .doc = "Where it is."},
        {.name = "bucket", .type = &type_text, AT(config, recordings.s3.bucket), .required = true,
         .example = "bulkhead-recordings", .doc = "The bucket."},
        {.name = "region", .type = &type_text, AT(config, recordings.s3.region), .fallback = "us-east-1",
         .example = "eu-central-1", .doc = "Its region, which requests are signed for."},
        {.name = "prefix", .type = &type_text, AT(config, recordings.s3.prefix), .example = "gateway-1/",
         .doc = "Begins the names of the objects. Default: none."},
        {.name = "ca", .type = &type_path, AT(config, recordings.s3.ca), .example = "tls/s3-ca.crt",
         .doc = "PEM file of the certificates to trust. Default: the system's."},
        {.name = "access_key", .type = &type_secret, AT(config, recordings.s3.access_key), .required = true,
         .example = "{file: /run/secrets/s3-access}", .doc = "The access key's name."},
        {.name = "secret_key", .type = &type_secret, AT(config, recordings.s3.secret_key), .required = true,
         .example = "{file: /run/secrets/s3-secret}", .doc = "The access key's secret."},
        END,
    },
};

static const struct schema_object recordings = {
    .title = "'recordings'",
    .doc = "A recording of every session, encrypted so that the gateway itself cannot read it back.",
    .fields = (const struct schema_field[]){
        {.name = "directory", .type = &type_path, AT(config, recordings.directory), .required = true,
         .example = "/var/lib/bulkhead/recordings", .doc = "Where they are written."},
        {.name = "public_key", .type = &type_path, AT(config, recordings.public_key), .required = true,
         .example = "recordings.pub", .doc = "PEM file of an RSA public key of at least 3072 bits, to which their keys are wrapped."},
        {.name = "private_key", .type = &type_path, AT(config, recordings.private_key), .example = "recordings.key",
         .doc = "PEM file of its private key, for viewing in the console. Read by control alone. Default: they are viewed elsewhere."},
        {.name = "retention", .type = &type_duration, AT(config, recordings.retention_seconds),
         .min = DAY, .max = YEARS_MAX, .fallback = "90d", .example = "365d",
         .doc = "How long they are kept, unless a policy says longer or there is a legal hold."},
        {.name = "s3", .type = &type_object, .object = &s3,
         .example = "{endpoint: \"https://s3.example.com\", bucket: recordings, access_key: {env: S3_ACCESS}, secret_key: {env: S3_SECRET}}",
         .doc = "Where finished ones are moved. Default: they stay in their folder."},
        END,
    },
};

/* notifications: */

static const struct schema_object webhook = {
    .title = "'webhook'", .doc = "A POST of JSON, signed.",
    .fields = (const struct schema_field[]){
        {.name = "url", .type = &type_url, AT(config_notification, url), .required = true,
         .example = "\"https://hooks.example.com/bulkhead\"", .doc = "Where it goes."},
        {.name = "secret", .type = &type_secret, AT(config_notification, secret), .required = true,
         .example = "{file: /run/secrets/webhook}", .doc = "What it is signed with (HMAC-SHA-256)."},
        {.name = "ca", .type = &type_path, AT(config_notification, ca), .example = "tls/hooks-ca.crt",
         .doc = "PEM file of the certificates to trust. Default: the system's."},
        END,
    },
};

static const struct schema_field
    chat_user_key = {.name = "", .type = &type_name, AT(config_chat_user, id)},
    chat_user_subject = {.name = "", .type = &type_text, AT(config_chat_user, subject)};

static const struct schema_object slack = {
    .title = "'slack'",
    .doc = "A message in Slack with buttons. Their answers have to be sent to `URL/v1/slack/actions` of the console.",
    .needs = (const struct schema_need[]){{"users", {"signing_secret"}}, {NULL, {NULL}}},
    .fields = (const struct schema_field[]){
        {.name = "url", .type = &type_url, AT(config_notification, url), .required = true,
         .example = "\"https://hooks.slack.com/services/T0/B0/x\"", .doc = "The incoming webhook."},
        {.name = "signing_secret", .type = &type_secret, AT(config_notification, secret),
         .example = "{file: /run/secrets/slack}",
         .doc = "What proves that an answer is Slack's. Without it there are links instead of buttons."},
        {.name = "users", .type = &type_mapping,
         LIST_AT(config_notification, users, n_users, struct config_chat_user),
         .key = &chat_user_key, .item = &chat_user_subject, .min = 1, .example = "{U024BE7LHV: anna@example.com}",
         .doc = "Who a member is at the console's issuer: the `sub` of each who may decide in Slack."},
        {.name = "ca", .type = &type_path, AT(config_notification, ca), .example = "tls/proxy-ca.crt",
         .doc = "PEM file of the certificates to trust. Default: the system's."},
        END,
    },
};

static const struct schema_object teams = {
    .title = "'teams'", .doc = "A card with a link in Microsoft Teams.",
    .fields = (const struct schema_field[]){
        {.name = "url", .type = &type_url, AT(config_notification, url), .required = true,
         .example = "\"https://example.webhook.office.com/webhookb2/x\"", .doc = "The incoming webhook."},
        {.name = "ca", .type = &type_path, AT(config_notification, ca), .example = "tls/proxy-ca.crt",
         .doc = "PEM file of the certificates to trust. Default: the system's."},
        END,
    },
};

static const struct schema_object email = {
    .title = "'email'", .doc = "A message through a relay of yours.",
    .needs = (const struct schema_need[]){{"user", {"password"}}, {"password", {"user"}}, {NULL, {NULL}}},
    .fields = (const struct schema_field[]){
        {.name = "relay", .type = &type_relay, AT(config_notification, url), .required = true,
         .example = "\"smtp://mail.internal:587\"", .doc = "The relay."},
        {.name = "user", .type = &type_text, AT(config_notification, user), .example = "bulkhead",
         .doc = "Who the gateway is there. Default: it does not log in."},
        {.name = "password", .type = &type_secret, AT(config_notification, secret),
         .example = "{file: /run/secrets/relay}", .doc = "The password."},
        {.name = "from", .type = &type_email, AT(config_notification, from), .required = true,
         .example = "bulkhead@example.com", .doc = "Who it is from."},
        {.name = "to", .type = &type_list, STRINGS_AT(config_notification, to), .item = &email_item,
         .required = true, .min = 1, .example = "[oncall@example.com]", .doc = "Who gets it."},
        {.name = "ca", .type = &type_path, AT(config_notification, ca), .example = "tls/mail-ca.crt",
         .doc = "PEM file of the certificates to trust. Default: the system's."},
        END,
    },
};

static const struct schema_field
    notify_event_item = {.name = "", .type = &type_word, .noun = "event",
                         .words = WORDS("approval", "decision", "break-glass")};

static const struct schema_object notification = {
    .title = "an entry of 'notifications'",
    .doc = "Where it is said that somebody waits for an approval, and what became of it.",
    .exactly_one = WORDS("webhook", "slack", "teams", "email"),
    .fields = (const struct schema_field[]){
        {.name = "name", .type = &type_name, AT(config_notification, name), .required = true, .example = "oncall",
         .doc = "How records call it. Unique."},
        {.name = "webhook", .type = &type_object, .object = &webhook,
         .example = "{url: \"https://hooks.example.com/bulkhead\", secret: {file: /run/secrets/webhook}}",
         .doc = "A signed POST to a program of yours."},
        {.name = "slack", .type = &type_object, .object = &slack,
         .example = "{url: \"https://hooks.slack.com/services/T0/B0/x\"}", .doc = "A message in Slack."},
        {.name = "teams", .type = &type_object, .object = &teams,
         .example = "{url: \"https://example.webhook.office.com/webhookb2/x\"}",
         .doc = "A message in Microsoft Teams."},
        {.name = "email", .type = &type_object, .object = &email,
         .example = "{relay: \"smtp://mail.internal:587\", from: bulkhead@example.com, to: oncall@example.com}",
         .doc = "An e-mail."},
        {.name = "events", .type = &type_list, STRINGS_AT(config_notification, events),
         .item = &notify_event_item, .min = 1, .example = "[approval]",
         .doc = "What is told: `approval` (somebody waits), `decision` (what became of it), `break-glass` "
                "(an override: these are told to all, whatever stands here). Default: all."},
        END,
    },
};

static const struct schema_field
    notification_item = {.name = "", .type = &type_object, .object = &notification};

/* issuers: */

static const struct schema_object issuer = {
    .title = "an issuer",
    .doc = "Who may issue tokens, and what a token must be to be accepted. Keys are found by "
           "OpenID Connect discovery unless `jwks_uri` says where.",
    .fields = (const struct schema_field[]){
        {.name = "name", .type = &type_name, AT(config_issuer, name), .required = true, .example = "corp",
         .doc = "How policies and records call it. `local` is the gateway's own."},
        {.name = "issuer", .type = &type_url, AT(config_issuer, issuer), .required = true,
         .example = "\"https://idp.example.com\"",
         .doc = "The token's `iss`, compared byte by byte: a slash at its end matters."},
        {.name = "audience", .type = &type_list, STRINGS_AT(config_issuer, audiences), .item = &text_item,
         .required = true, .min = 1, .example = "bulkhead",
         .doc = "Values of `aud` that mean this gateway. A token must have one of them."},
        {.name = "enabled", .type = &type_boolean, AT(config_issuer, enabled), .fallback = "true",
         .example = "false", .doc = "With false, all of its tokens are refused."},
        {.name = "jwks_uri", .type = &type_url, AT(config_issuer, jwks_uri),
         .example = "\"https://idp.example.com/keys\"",
         .doc = "Where its keys are. Default: by discovery."},
        {.name = "ca", .type = &type_path, AT(config_issuer, ca), .example = "tls/idp-ca.crt",
         .doc = "PEM file of the certificates to trust when fetching. Default: the system's."},
        {.name = "algorithms", .type = &type_list, STRINGS_AT(config_issuer, algorithms),
         .item = &algorithm_item, .min = 1, .fallback = "RS256, PS256, ES256, ES384", .example = "[ES256]",
         .doc = "Signatures that are accepted."},
        {.name = "types", .type = &type_list, STRINGS_AT(config_issuer, types), .item = &text_item, .min = 1,
         .fallback = "at+jwt, jwt", .example = "[at+jwt]",
         .doc = "Accepted values of the token's `typ`, without regard to case; `none` accepts tokens without it."},
        {.name = "authorized_parties", .type = &type_list, STRINGS_AT(config_issuer, authorized_parties),
         .item = &text_item, .min = 1, .example = "[planner, executor]",
         .doc = "Clients that a token may have been issued to, its `azp` or `client_id`. Default: any."},
        {.name = "groups_claim", .type = &type_claim_path, AT(config_issuer, groups_claim),
         .example = "realm_access.roles",
         .doc = "The claim that holds the groups, with dots between nested members. Default: no groups."},
        {.name = "subject_claim", .type = &type_claim_path, AT(config_issuer, subject_claim),
         .fallback = "sub", .example = "oid", .doc = "The claim that names the principal."},
        {.name = "task_claim", .type = &type_claim_path, AT(config_issuer, task_claim), .example = "task_id",
         .doc = "The claim that names the task a token is for, which approvals with `scope: for_task` "
                "go by. Default: each token is a task of its own."},
        {.name = "max_lifetime", .type = &type_duration, AT(config_issuer, max_lifetime_seconds),
         .min = SECOND, .max = 365 * DAY, .fallback = "1d", .example = "1h",
         .doc = "The longest life of a token, from `iat` to `exp`."},
        {.name = "leeway", .type = &type_duration, AT(config_issuer, leeway_seconds),
         .min = 0, .max = MINUTE, .fallback = "30s", .example = "0s",
         .doc = "How far the issuer's clock may be off."},
        {.name = "one_use", .type = &type_boolean, AT(config_issuer, one_use), .fallback = "false",
         .example = "true", .doc = "Accept each token once only, by its `jti`."},
        END,
    },
};

/* resources: */

static const struct schema_object credential = {
    .title = "'credential'",
    .doc = "What the gateway shows to the target. Agents never see it.",
    .fields = (const struct schema_field[]){
        {.name = "user", .type = &type_text, AT(config_resource, user), .required = true,
         .example = "bulkhead_ro", .doc = "The user's name at the target."},
        {.name = "password", .type = &type_secret, AT(config_resource, password),
         .example = "{file: /run/secrets/analytics}", .doc = "Its password, if it has one."},
        {.name = "certificate", .type = &type_path, AT(config_resource, client_certificate),
         .example = "tls/client.crt", .doc = "PEM file of a client certificate."},
        {.name = "key", .type = &type_key, AT(config_resource, client_key), .example = "tls/client.key",
         .doc = "The client certificate's private key, PEM."},
        END,
    },
    .needs = (const struct schema_need[]){{"certificate", {"key"}}, {"key", {"certificate"}}, {NULL, {NULL}}},
};

static const struct schema_field
    label_key = {.name = "", .type = &type_name, AT(rule_label, key)},
    label_value = {.name = "", .type = &type_one_value, AT(rule_label, values)},
    label_values = {.name = "", .type = &type_list, STRINGS_AT(rule_label, values), .item = &value_item, .min = 1};

static const struct schema_object mask = {
    .title = "'mask'", .doc = "A mask that needs to know more.",
    .exactly_one = WORDS("partial", "fixed"),
    .fields = (const struct schema_field[]){
        {.name = "partial", .type = &type_integer, AT(mask_rule, keep), .min = 1, .max = MASK_KEEP_MAX,
         .example = "4", .doc = "Hides all but so many characters at the end."},
        {.name = "fixed", .type = &type_text, AT(mask_rule, fixed), .example = "\"(hidden)\"",
         .doc = "Shows this text instead."},
        END,
    },
};

static const struct schema_field
    column_item = {.name = "", .type = &type_column},
    key_path_item = {.name = "", .type = &type_key_path};

static const struct schema_object protect = {
    .title = "an entry of 'protect'",
    .doc = "Columns whose values agents may not see. They are masked in answers; a command that "
           "uses them in another way is refused.",
    .fields = (const struct schema_field[]){
        {.name = "columns", .type = &type_list, STRINGS_AT(config_protect, columns), .item = &column_item,
         .required = true, .min = 1, .example = "[public.customers.ssn, \"*.email\"]",
         .doc = "Patterns of one to three parts; parts that are left out are `*`. Names are those "
                "that the database has: `ssn`, not `SSN`. In double quotes a part may hold dots and "
                "spaces: `'public.\"Customer Notes\".\"SSN Copy\"'`."},
        {.name = "paths", .type = &type_list, STRINGS_AT(config_protect, paths), .item = &key_path_item, .min = 1,
         .example = "[card.number]",
         .doc = "Keys to the values inside the column's JSON documents. Default: the whole column."},
        {.name = "mask", .type = &type_mask, AT(config_protect, mask), .words = masks, .object = &mask,
         .fallback = "redact", .example = "{partial: 4}",
         .doc = "What is shown instead: a fixed sign, NULL, a keyed hash that keeps equal values equal "
                "(needs `mask_key`), or an address with its first letter and top-level domain."},
        {.name = "lookup", .type = &type_enum, AT(config_protect, lookup), .words = WORDS("none", "equality"),
         .fallback = "none", .example = "equality",
         .doc = "`equality` lets `WHERE` compare the column for equality with one whole value."},
        {.name = "write", .type = &type_boolean, AT(config_protect, write), .fallback = "false", .example = "true",
         .doc = "Whether new values may be written into the columns."},
        END,
    },
};

static const struct schema_object detector = {
    .title = "a detector", .doc = "A detector of your own.",
    .fields = (const struct schema_field[]){
        {.name = "name", .type = &type_name, AT(detect_rule, name), .required = true, .example = "ticket",
         .doc = "How records call it."},
        {.name = "pattern", .type = &type_regex, AT(detect_rule, pattern), .required = true,
         .example = "'TKT-[0-9]{6}'", .doc = "What it finds."},
        END,
    },
};

static const struct schema_field
    protect_item = {.name = "", .type = &type_object, .object = &protect},
    detect_item = {.name = "", .type = &type_detector, .words = detect_builtin, .noun = "detector",
                   .object = &detector};

static const struct schema_object resource = {
    .title = "a resource", .doc = "A target that agents reach through the gateway.",
    .fields = (const struct schema_field[]){
        {.name = "protocol", .type = &type_word, AT(config_resource, protocol), .required = true,
         .words = protocols, .noun = "protocol", .example = "postgres", .doc = "What it speaks."},
        {.name = "address", .type = &type_address, AT(config_resource, address), .required = true,
         .example = "db.internal:5432", .doc = "Where it is: host and port, or the path of a Unix "
         "socket such as `/run/postgresql/.s.PGSQL.5432`."},
        {.name = "tls", .type = &type_enum, AT(config_resource, tls),
         .words = WORDS("off", "require", "verify-ca", "verify-full"), .fallback = "verify-full",
         .example = "verify-full",
         .doc = "`verify-full` checks the server's certificate and name, `verify-ca` its certificate "
                "alone, `require` only encrypts. A Unix socket is always `off`."},
        {.name = "ca", .type = &type_path, AT(config_resource, ca), .example = "tls/db-ca.crt",
         .doc = "PEM file of the certificates to trust. Default: the system's."},
        {.name = "server_name", .type = &type_text, AT(config_resource, server_name), .example = "db.example.com",
         .doc = "The name that its certificate must have. Default: the host of `address`."},
        {.name = "credential", .type = &type_object, .object = &credential, .required = true,
         .example = "{user: bulkhead_ro, password: {file: /run/secrets/analytics}}",
         .doc = "What the gateway shows to the target."},
        {.name = "database", .type = &type_text, AT(config_resource, database), .example = "sales",
         .doc = "The database for clients that name none. Default: the target decides."},
        {.name = "connect_timeout", .type = &type_duration, AT(config_resource, connect_seconds),
         .min = SECOND, .max = 5 * MINUTE, .fallback = "10s", .example = "5s",
         .doc = "How long a connection to it may take."},
        {.name = "labels", .type = &type_mapping, LIST_AT(config_resource, labels, n_labels, struct rule_label),
         .key = &label_key, .item = &label_value, .min = 1, .example = "{env: prod, data: personal}",
         .doc = "What policies may select it by."},
        {.name = "contact", .type = &type_text, AT(config_resource, contact), .example = "data-platform@example.com",
         .doc = "Whom to ask for access; refusals say so."},
        {.name = "listen", .type = &type_listen, AT(config_resource, listen), .example = "127.0.0.1:6432",
         .doc = "A port of its own, for clients whose user name is fixed."},
        {.name = "protect", .type = &type_list,
         LIST_AT(config_resource, protect_entries, n_protect_entries, struct config_protect),
         .item = &protect_item, .min = 1, .example = "[{columns: [public.customers.ssn], mask: redact}]",
         .doc = "Columns whose values agents may not see."},
        {.name = "detect", .type = &type_list, LIST_AT(config_resource, detect, n_detect, struct detect_rule),
         .item = &detect_item, .min = 1, .example = "[email, card, {name: ticket, pattern: 'TKT-[0-9]{6}'}]",
         .doc = "What is overwritten wherever it is found in an answer."},
        {.name = "mask_key", .type = &type_secret, AT(config_resource, mask_key),
         .example = "{file: /run/secrets/analytics-mask}",
         .doc = "The secret of its hash masks, at least 16 bytes. Read by the keeper only."},
        END,
    },
};

static const struct schema_field
    issuer_item = {.name = "", .type = &type_object, .object = &issuer},
    resource_key = {.name = "", .type = &type_name, AT(config_resource, name)},
    resource_item = {.name = "", .type = &type_object, .object = &resource};

/* policies: */

static const struct schema_field
    claim_key = {.name = "", .type = &type_claim_path, AT(rule_claim, path)},
    claim_values = {.name = "", .type = &type_list, STRINGS_AT(rule_claim, values), .item = &value_item, .min = 1};

static const struct schema_object who = {
    .title = "'who'", .doc = "To whom the policy applies. Conditions that are left out hold for everyone.",
    .not_empty = "condition",
    .fields = (const struct schema_field[]){
        {.name = "subjects", .type = &type_list, STRINGS_AT(policy_rule, subjects), .item = &glob_item, .min = 1,
         .example = "[\"agent-*\"]", .doc = "Names of principals; patterns."},
        {.name = "groups", .type = &type_list, STRINGS_AT(policy_rule, groups), .item = &glob_item, .min = 1,
         .example = "[analytics-agents]", .doc = "Groups of the principal; patterns."},
        {.name = "issuers", .type = &type_list, STRINGS_AT(policy_rule, issuers), .item = &name_item, .min = 1,
         .example = "[corp]", .doc = "Names of issuers; `local` is the gateway's own."},
        {.name = "claims", .type = &type_mapping, LIST_AT(policy_rule, claims, n_claims, struct rule_claim),
         .key = &claim_key, .item = &claim_values, .min = 1, .example = "{department: [sales, finance]}",
         .doc = "Claims of the token by path, each with its accepted values; patterns. All must hold."},
        END,
    },
};

static const struct schema_object which = {
    .title = "'resources'", .doc = "On which resources. Conditions that are left out hold for all of them.",
    .not_empty = "condition",
    .fields = (const struct schema_field[]){
        {.name = "names", .type = &type_list, STRINGS_AT(policy_rule, resources), .item = &glob_item, .min = 1,
         .example = "[analytics, \"test-*\"]", .doc = "Names of resources; patterns."},
        {.name = "protocols", .type = &type_list, STRINGS_AT(policy_rule, protocols), .item = &protocol_item, .min = 1,
         .example = "[postgres]", .doc = "Protocols of resources."},
        {.name = "labels", .type = &type_mapping, LIST_AT(policy_rule, labels, n_labels, struct rule_label),
         .key = &label_key, .item = &label_values, .min = 1, .example = "{env: [test, staging]}",
         .doc = "Labels of resources, each with its accepted values; patterns. All must hold."},
        END,
    },
};

static const struct schema_object when = {
    .title = "a window in 'when'", .doc = "A window of time, UTC.", .not_empty = "condition",
    .fields = (const struct schema_field[]){
        {.name = "days", .type = &type_set, AT(rule_time, days), .item = &day_item, .min = 1,
         .example = "[mon-fri]", .doc = "The days on which the window begins. Default: every day."},
        {.name = "from", .type = &type_time, AT(rule_time, from_minute), .example = "\"08:00\"",
         .doc = "When it begins. Default: \"00:00\"."},
        {.name = "to", .type = &type_time, AT(rule_time, to_minute), .example = "\"18:00\"",
         .doc = "When it ends; earlier than `from` means on the next day. Default: \"24:00\"."},
        END,
    },
};

static const struct schema_object rule_limits = {
    .title = "'limits'",
    .doc = "What bounds the commands that the policy allows. Where several policies apply to a "
           "command, the smallest of each limit counts.",
    .not_empty = "limit",
    .fields = (const struct schema_field[]){
        {.name = "rows_per_command", .type = &type_integer, AT(policy_rule, limits.rows_per_command),
         .min = 1, .max = ROWS_MAX, .example = "10000", .doc = "Rows that one command may deliver."},
        {.name = "bytes_per_command", .type = &type_size, AT(policy_rule, limits.bytes_per_command),
         .min = 1, .max = TIB, .example = "10MiB", .doc = "Bytes of rows that one command may deliver."},
        {.name = "rows_per_session", .type = &type_integer, AT(policy_rule, limits.rows_per_session),
         .min = 1, .max = ROWS_MAX, .example = "100000",
         .doc = "Rows that all commands of a session together may deliver."},
        {.name = "seconds_per_command", .type = &type_duration, AT(policy_rule, limits.seconds_per_command),
         .min = SECOND, .max = DAY, .example = "30s", .doc = "How long one command may run."},
        {.name = "max_affected_rows", .type = &type_integer, AT(policy_rule, limits.max_affected_rows),
         .min = 1, .max = ROWS_MAX, .example = "100",
         .doc = "Rows that one command may change; one that changes more is rolled back."},
        {.name = "max_tables", .type = &type_integer, AT(policy_rule, limits.max_tables),
         .min = 1, .max = COMMAND_DEMANDS_MAX, .example = "5",
         .doc = "Tables that one command may name, the system's catalogs not counted."},
        {.name = "require_where", .type = &type_boolean, AT(policy_rule, limits.require_where), .example = "true",
         .doc = "Refuses what is of class `mass-write`: UPDATE and DELETE need a WHERE that narrows."},
        {.name = "read_only", .type = &type_boolean, AT(policy_rule, limits.read_only), .example = "true",
         .doc = "Refuses every effect but `read` and `session`."},
        END,
    },
};

static const struct schema_object approvers = {
    .title = "'approvers'", .doc = "Who may approve: whoever is in a group or is named. Never the one who asks, nor anybody for whom "
           "it acts.",
    .not_empty = "condition",
    .fields = (const struct schema_field[]){
        {.name = "groups", .type = &type_list, STRINGS_AT(policy_rule, step_up.approver_groups), .item = &glob_item,
         .min = 1, .example = "[oncall]", .doc = "Groups, as the identity provider says at the login; patterns."},
        {.name = "subjects", .type = &type_list, STRINGS_AT(policy_rule, step_up.approver_subjects), .item = &glob_item,
         .min = 1, .example = "[anna@example.com]", .doc = "Names of people; patterns."},
        END,
    },
};

static const struct schema_object break_glass = {
    .title = "'break_glass'", .doc = "Who may override in an emergency: alone, with a reason, and everybody is told.",
    .fields = (const struct schema_field[]){
        {.name = "groups", .type = &type_list, STRINGS_AT(policy_rule, step_up.break_glass_groups), .item = &glob_item,
         .required = true, .min = 1, .example = "[incident-commanders]", .doc = "Groups; patterns."},
        END,
    },
};

static const struct schema_object step_up = {
    .title = "'step_up'",
    .doc = "Humans are asked first: the command waits in the session, and runs when they agree. Where several "
           "policies with `step_up` apply to a command, the approvers of each must agree.",
    .fields = (const struct schema_field[]){
        {.name = "approvers", .type = &type_object, .object = &approvers, .required = true,
         .example = "{groups: [oncall]}", .doc = "Who may approve."},
        {.name = "approvals", .type = &type_integer, AT(policy_rule, step_up.approvals),
         .min = 1, .max = 20, .fallback = "1", .example = "2",
         .doc = "How many different people must approve. One who denies ends it."},
        {.name = "wait", .type = &type_duration, AT(policy_rule, step_up.wait_seconds),
         .min = SECOND, .max = DAY, .fallback = "10m", .example = "30m",
         .doc = "How long a command waits for them, and then fails."},
        {.name = "wait_in_transaction", .type = &type_duration, AT(policy_rule, step_up.wait_in_transaction_seconds),
         .min = SECOND, .max = DAY, .fallback = "1m", .example = "30s",
         .doc = "The same inside a transaction, which holds locks meanwhile."},
        {.name = "reason_required", .type = &type_boolean, AT(policy_rule, step_up.reason_required),
         .fallback = "false", .example = "true", .doc = "Whether approvers must say why."},
        {.name = "scope", .type = &type_enum, AT(policy_rule, step_up.scope),
         .words = WORDS("once", "for_session", "for_task"), .fallback = "once", .example = "for_session",
         .doc = "What an approval is good for: the command that waits; or for `valid_for` also for the "
                "same command again, of the same session or the same task."},
        {.name = "valid_for", .type = &type_duration, AT(policy_rule, step_up.valid_seconds),
         .min = SECOND, .max = 30 * DAY, .example = "15m",
         .doc = "How long an approval of another scope than `once` is good for. With `on: connect` the "
                "longest access that may be asked for; there the default is 8h."},
        {.name = "preview", .type = &type_enum, AT(policy_rule, step_up.preview),
         .words = WORDS("none", "estimate", "dry_run"), .fallback = "estimate", .example = "dry_run",
         .doc = "What approvers see of the effect: nothing, what the target's planner expects, or what came of "
                "running it in a transaction that was rolled back."},
        {.name = "break_glass", .type = &type_object, .object = &break_glass,
         .example = "{groups: [incident-commanders]}", .doc = "Who may override. Default: nobody."},
        END,
    },
};

static const struct schema_object record_object = {
    .title = "'record'",
    .doc = "What is kept of a session beyond its commands. Where several policies apply to its commands, "
           "the most counts.",
    .not_empty = "key",
    .fields = (const struct schema_field[]){
        {.name = "rows", .type = &type_boolean, AT(policy_rule, record.rows), .fallback = "false", .example = "true",
         .doc = "Whether the recording holds the rows that were delivered, after masking."},
        {.name = "retention", .type = &type_duration, AT(policy_rule, record.retention_seconds),
         .min = DAY, .max = YEARS_MAX, .example = "365d",
         .doc = "How long the recording is kept. Default: as `recordings` says."},
        END,
    },
};

static const struct schema_field when_item = {.name = "", .type = &type_object, .object = &when};

static const struct schema_object policy = {
    .title = "a policy",
    .doc = "A rule. It applies where all of its conditions hold; within one condition any entry may "
           "match. Nothing is allowed unless a policy allows it, and an explicit deny wins over "
           "every allow.",
    .exactly_one = WORDS("allow", "deny", "step_up", "defer"),
    .needs = (const struct schema_need[]){{"commands", {"deny", "step_up", "defer"}},
                                          {"limits", {"allow", "step_up", "defer"}},
                                          {"record", {"allow", "step_up", "defer"}},
                                          {NULL, {NULL}}},
    .fields = (const struct schema_field[]){
        {.name = "name", .type = &type_text, AT(policy_rule, name), .required = true, .example = "analysts read",
         .doc = "Shown in refusals and records. Unique."},
        {.name = "who", .type = &type_object, .object = &who, .example = "{groups: [analytics-agents]}",
         .doc = "To whom it applies. Default: everyone."},
        {.name = "resources", .type = &type_object, .object = &which, .example = "{labels: {env: prod}}",
         .doc = "On which resources. Default: all."},
        {.name = "from", .type = &type_list, LIST_AT(policy_rule, sources, n_sources, struct rule_network),
         .item = &network_item, .min = 1, .example = "[10.0.0.0/8, \"2001:db8::/32\"]",
         .doc = "Networks or addresses of the client. Default: anywhere."},
        {.name = "when", .type = &type_list, LIST_AT(policy_rule, times, n_times, struct rule_time),
         .item = &when_item, .min = 1, .example = "[{days: [mon-fri], from: \"08:00\", to: \"18:00\"}]",
         .doc = "Windows of time, UTC. Default: always."},
        {.name = "databases", .type = &type_list, STRINGS_AT(policy_rule, databases), .item = &glob_item, .min = 1,
         .example = "[sales]", .doc = "Databases; patterns. Default: all."},
        {.name = "schemas", .type = &type_list, STRINGS_AT(policy_rule, schemas), .item = &glob_item, .min = 1,
         .example = "[public]", .doc = "Schemas of the objects; patterns. Default: all."},
        {.name = "tables", .type = &type_list, STRINGS_AT(policy_rule, tables), .item = &glob_item, .min = 1,
         .example = "[public.orders, \"report_*\"]",
         .doc = "Tables as `schema.name`, or `name` in any schema; patterns. Default: all."},
        {.name = "functions", .type = &type_list, STRINGS_AT(policy_rule, functions), .item = &glob_item, .min = 1,
         .example = "[app.refresh_totals]",
         .doc = "Functions as `schema.name`, or `name` in any schema; patterns. Default: all."},
        {.name = "allow", .type = &type_set, AT(policy_rule, classes), .item = &class_item, .min = 1,
         .example = "[read, session]", .doc = "Allows commands of these classes; `all` for every one."},
        {.name = "deny", .type = &type_message, AT(policy_rule, message),
         .example = "\"dropping a database is never done by an agent\"",
         .doc = "Denies, in these words to the agent: every command, or those that `commands` names."},
        {.name = "step_up", .type = &type_object, .object = &step_up, .example = "{approvers: {groups: [oncall]}}",
         .doc = "Allows after humans agreed: every command, or those that `commands` names."},
        {.name = "defer", .type = &type_message, AT(policy_rule, message),
         .example = "\"say which ticket this is for\"",
         .doc = "Allows once the session has said its purpose, and asks for that in these words: for every "
                "command, or those that `commands` names."},
        {.name = "commands", .type = &type_set, AT(policy_rule, classes), .item = &class_item, .min = 1,
         .example = "[drop-database]",
         .doc = "The command classes that `deny`, `step_up` or `defer` is about. Default: all."},
        {.name = "on", .type = &type_enum, AT(policy_rule, on), .words = WORDS("command", "connect"),
         .fallback = "command", .example = "connect",
         .doc = "When it is asked. `connect`: of a `step_up`, once, for opening a session: only with a grant of access, "
                "which is asked for before (`bulkhead request`). It allows no command."},
        {.name = "limits", .type = &type_object, .object = &rule_limits, .example = "{rows_per_command: 10000}",
         .doc = "What bounds that which the policy allows. Default: nothing."},
        {.name = "record", .type = &type_object, .object = &record_object, .example = "{rows: true}",
         .doc = "What is kept of a session with such commands."},
        END,
    },
};

static const struct schema_field policy_item = {.name = "", .type = &type_object, .object = &policy};

/* The file. */

const struct schema_object schema_config = {
    .title = "the file",
    .doc = "One YAML file. Unknown and duplicate keys are errors; anchors, aliases and tags are not "
           "used. Relative paths start at the file's folder. Where a list of words is expected, one "
           "word will do.",
    .fields = (const struct schema_field[]){
        {.name = "listen", .type = &type_either, .mapping = &listen_mapping, .list = &listen_list,
         .example = "{postgres: \"0.0.0.0:5432\"}",
         .doc = "Where clients connect: one address for each protocol, or a list of listeners. "
                "A resource may also have its own `listen`. `console` is the web console and the API."},
        {.name = "tls", .type = &type_object, .object = &tls, .example = "{certificate: tls/gateway.crt, key: tls/gateway.key}",
         .doc = "The gateway's own certificate and key."},
        {.name = "issuers", .type = &type_list, LIST_AT(config, issuers, n_issuers, struct config_issuer),
         .item = &issuer_item, .min = 1,
         .example = "[{name: corp, issuer: \"https://idp.example.com\", audience: bulkhead}]",
         .doc = "Whose tokens are accepted."},
        {.name = "local_issuer", .type = &type_object, .object = &local_issuer, .example = "{enabled: true}",
         .doc = "The gateway's own issuer."},
        {.name = "resources", .type = &type_mapping, LIST_AT(config, resources, n_resources, struct config_resource),
         .key = &resource_key, .item = &resource_item, .min = 1, .required = true,
         .example = "{analytics: {protocol: postgres, address: \"db.internal:5432\", credential: {user: app}}}",
         .doc = "The targets, by name. The name is what clients give as their user name."},
        {.name = "policies", .type = &type_list, LIST_AT(config, policies, n_policies, struct policy_rule),
         .item = &policy_item, .example = "[{name: read, allow: [read, session]}]",
         .doc = "Who may do what. Without any, nothing is allowed."},
        {.name = "console", .type = &type_object, .object = &console,
         .example = "{url: \"https://gateway.example.com:9443\", login: {issuer: corp, client_id: bulkhead-console}}",
         .doc = "Where people approve, watch and search."},
        {.name = "store", .type = &type_object, .object = &store,
         .example = "{postgresql: {connection: \"host=db.internal dbname=bulkhead user=bulkhead\"}}",
         .doc = "Where requests, decisions and grants of access are kept. Default: a file of its own."},
        {.name = "recordings", .type = &type_object, .object = &recordings,
         .example = "{directory: /var/lib/bulkhead/recordings, public_key: recordings.pub}",
         .doc = "Recordings of sessions. Default: none."},
        {.name = "notifications", .type = &type_list,
         LIST_AT(config, notifications, n_notifications, struct config_notification),
         .item = &notification_item, .min = 1,
         .example = "[{name: oncall, teams: {url: \"https://example.webhook.office.com/webhookb2/x\"}}]",
         .doc = "Who is told that an approval is wanted. Default: only the console shows it."},
        {.name = "state", .type = &type_path, AT(config, state_directory), .fallback = "/var/lib/bulkhead/state",
         .example = "/srv/bulkhead/state", .doc = "Folder for the local issuer's key and revoked tokens."},
        {.name = "runtime", .type = &type_path, AT(config, runtime_directory), .fallback = "/run/bulkhead",
         .example = "/run/bulkhead", .doc = "Folder for the administrative socket."},
        {.name = "ledger", .type = &type_object, .object = &ledger, .example = "{file_size: 1GiB}",
         .doc = "The record of every command."},
        {.name = "log", .type = &type_object, .object = &log_object, .example = "{format: json}",
         .doc = "The operators' log."},
        {.name = "limits", .type = &type_object, .object = &limits, .example = "{connections: 200}",
         .doc = "What the gateway takes on."},
        {.name = "drain", .type = &type_duration, AT(config, drain_seconds), .max = HOUR, .fallback = "30s",
         .example = "5m", .doc = "How long live sessions may go on after the gateway was told to stop."},
        {.name = "postgres", .type = &type_object, .object = &postgres, .example = "{cleartext_on_loopback: false}",
         .doc = "What holds for all PostgreSQL listeners."},
        END,
    },
};
/* clang-format on */
