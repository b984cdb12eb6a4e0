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

#define SECOND   1
#define MINUTE   60
#define HOUR     (60 * MINUTE)
#define DAY      (24 * HOUR)
#define KIB      (1ULL << 10)
#define MIB      (1ULL << 20)
#define GIB      (1ULL << 30)
#define TIB      (1ULL << 40)

#define ROWS_MAX 1000000000000ULL

_Static_assert(LOG_LEVEL_DEBUG == 0 && LOG_LEVEL_ERROR == 3, "as log.level names them");
_Static_assert(CONFIG_TLS_OFF == 0 && CONFIG_TLS_VERIFY_FULL == 3,
               "as a resource's tls names them");
_Static_assert(COMMAND_CLASS_COUNT < 64, "one more bit for 'all'");

/* What else is known when a protocol is added: nothing here but its name. */
static const char *const protocols[] = {"postgres", NULL};
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
         .words = protocols, .noun = "protocol", .example = "postgres",
         .doc = "What clients speak there."},
        {.name = "address", .type = &type_listen, AT(config_listen, address), .required = true,
         .example = "0.0.0.0:5432", .doc = "Where to listen."},
        {.name = "resource", .type = &type_name, AT(config_listen, resource), .example = "analytics",
         .doc = "The port leads to this resource only, whatever user name the client sends. "
                "Without it the user name says which resource is meant."},
        END,
    },
};

static const struct schema_field
    listen_key = {.name = "", .type = &type_word, AT(config_listen, protocol), .words = protocols, .noun = "protocol"},
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
    .needs = (const struct schema_need[]){{"certificate", "key"}, {"key", "certificate"}, {NULL, NULL}},
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

static const struct schema_field when_item = {.name = "", .type = &type_object, .object = &when};

static const struct schema_object policy = {
    .title = "a policy",
    .doc = "A rule. It applies where all of its conditions hold; within one condition any entry may "
           "match. Nothing is allowed unless a policy allows it, and an explicit deny wins over "
           "every allow.",
    .exactly_one = WORDS("allow", "deny"),
    .needs = (const struct schema_need[]){{"commands", "deny"}, {"limits", "allow"}, {NULL, NULL}},
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
        {.name = "commands", .type = &type_set, AT(policy_rule, classes), .item = &class_item, .min = 1,
         .example = "[drop-database]", .doc = "The command classes that `deny` is about. Default: all."},
        {.name = "limits", .type = &type_object, .object = &rule_limits, .example = "{rows_per_command: 10000}",
         .doc = "What bounds that which `allow` allows. Default: nothing."},
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
                "A resource may also have its own `listen`."},
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
