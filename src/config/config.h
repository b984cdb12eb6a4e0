/* config/config.h - the configuration file, parsed and checked. One definition (config/schema.c)
 * validates, and makes the JSON Schema and docs/configuration.md. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "mask/rule.h"
#include "policy/rule.h"

enum { CONFIG_BYTES_MAX = 16 << 20 };

/* Where a secret is; read only by the keeper, and those of the console, the store and what it
 * reports to by control. */
enum secret_source { SECRET_NONE, SECRET_FILE, SECRET_ENV, SECRET_LITERAL };
struct config_secret {
    enum secret_source source;
    struct str value; /* the path, the variable's name, or the secret itself */
};

struct config_address {
    struct str host; /* name, IPv4, IPv6 without brackets, or the absolute path of a Unix socket */
    uint16_t port;   /* 0 for a Unix socket */
};

struct config_listen {
    struct config_address address;
    struct str protocol;
    struct str resource; /* a port of its own for one resource; empty: by user name */
};

struct config_limits {
    unsigned connections;                /* sessions in all */
    unsigned unauthenticated;            /* connections not yet authenticated, in all */
    unsigned unauthenticated_per_source; /* the same from one address (IPv6: one /64) */
    unsigned handshake_seconds;
    unsigned handshake_bytes;
};

struct config_issuer {
    struct str name;
    struct str issuer; /* compared byte by byte */
    bool enabled;
    struct str jwks_uri; /* empty: by discovery */
    struct str ca;       /* file of trusted certificates for fetching; empty: the system's */
    struct str_list audiences;
    struct str_list algorithms;         /* of RS256, PS256, ES256, ES384 */
    struct str_list types;              /* accepted `typ`, lower case; "none" accepts absence */
    struct str_list authorized_parties; /* accepted `azp` or `client_id`; empty: any */
    struct str groups_claim;            /* path, dots between members; empty: no groups */
    struct str subject_claim;           /* default "sub" */
    struct str task_claim;              /* path of the claim naming the task; empty: none */
    unsigned max_lifetime_seconds;      /* exp - iat */
    unsigned leeway_seconds;
    bool one_use; /* every `jti` is accepted once */
};

struct config_local_issuer {
    bool enabled;
    unsigned max_ttl_seconds;
};

enum config_tls_mode { /* as gate/door.h's enum target_tls */
                       CONFIG_TLS_OFF,
                       CONFIG_TLS_REQUIRE,
                       CONFIG_TLS_VERIFY_CA,
                       CONFIG_TLS_VERIFY_FULL,
};

/* One entry of `protect`, as it was written. */
struct config_protect {
    struct str_list columns; /* patterns of one to three parts */
    struct str_list paths;   /* keys with dots between */
    struct mask_rule mask;
    bool lookup, write;
};

struct config_resource {
    struct str name;
    struct str protocol;
    struct config_address address;
    enum config_tls_mode tls;
    struct str ca;                 /* file; empty: the system's */
    struct str server_name;        /* to verify instead of the address's host */
    struct str client_certificate; /* file; empty: none */
    struct config_secret client_key;
    struct str user;
    struct config_secret password;
    struct str database; /* the default; empty: the target decides */
    unsigned connect_seconds;
    const struct rule_label *labels; /* one value each */
    size_t n_labels;
    struct str contact;           /* whom to ask for access; shown in refusals; may be empty */
    struct config_address listen; /* a port of its own, among config.listens too; port 0: none */
    const struct config_protect *protect_entries;
    size_t n_protect_entries;
    const struct protect_rule *protect; /* one for each column and path of the entries */
    size_t n_protect;
    const struct detect_rule *detect;
    size_t n_detect;
    struct config_secret mask_key;
};

/* How people reach the console and prove who they are. */
struct config_console {
    struct str url;                     /* "https://gw.example.com:9443": begins links */
    struct str login_issuer;            /* name of an issuer; empty: no login by OIDC */
    struct str client_id;               /* of the console there */
    struct config_secret client_secret; /* read by control; NONE: a public client */
    struct str scopes;                  /* "openid profile email" */
    struct str_list admins;             /* groups, globs: kill, revoke, legal holds */
    struct str_list auditors;           /* groups, globs: ledger, recordings */
    struct str_list viewers;            /* groups, globs: sessions, resources, policies */
    unsigned session_seconds;           /* of a login */
};

enum config_store_kind { CONFIG_STORE_SQLITE, CONFIG_STORE_POSTGRESQL };
struct config_store {
    enum config_store_kind kind;
    struct str path;       /* of the SQLite file; empty: "control.db" in the state directory */
    struct str connection; /* libpq's, without a password */
    struct config_secret password;
};

struct config_s3 {
    struct str endpoint; /* "https://s3.example.com"; empty: recordings stay in their directory */
    struct str bucket, region, prefix;
    struct str ca; /* file; empty: the system's */
    struct config_secret access_key, secret_key;
};

struct config_recordings {
    struct str directory;   /* empty: nothing is recorded */
    struct str public_key;  /* file, PEM: keys of recordings are wrapped to it */
    struct str private_key; /* file, PEM, read by control alone; empty: viewing is offline */
    unsigned retention_seconds;
    struct config_s3 s3;
};

enum config_notify_kind { NOTIFY_WEBHOOK, NOTIFY_SLACK, NOTIFY_TEAMS, NOTIFY_EMAIL };

/* A user of a chat who may decide there as a person of the identity provider. */
struct config_chat_user {
    struct str id;      /* the chat's: "U024BE7LHV" */
    struct str subject; /* the provider's */
};

struct config_notification {
    struct str name;
    enum config_notify_kind kind;
    struct str url; /* webhook, slack, teams; for email "smtp://host:25" or "smtps://" */
    struct str ca;  /* file; empty: the system's */
    struct config_secret
        secret;             /* signs webhooks; verifies what Slack sends; the relay's password */
    struct str user;        /* at the relay */
    struct str from;        /* address */
    struct str_list to;     /* addresses */
    struct str_list events; /* of "approval", "decision", "break-glass"; empty: all */
    const struct config_chat_user *users;
    size_t n_users;
};

struct config {
    struct str path; /* of the file; relative paths in it were made relative to its folder */
    struct str state_directory;   /* keeper: local issuer's key, revocations */
    struct str runtime_directory; /* the administrative socket */
    struct str ledger_directory;
    uint64_t ledger_file_bytes;     /* a file of the series is ended at this size */
    uint64_t ledger_min_free_bytes; /* below this on its disk, commands stop */
    bool log_json;
    unsigned log_level; /* enum log_level */
    bool cleartext_on_loopback;
    struct str tls_certificate; /* file, PEM chain; empty: no TLS */
    struct config_secret tls_key;
    unsigned drain_seconds;
    struct config_limits limits;
    struct config_local_issuer local_issuer;
    const struct config_listen *listens;
    size_t n_listens;
    const struct config_issuer *issuers;
    size_t n_issuers;
    const struct config_resource *resources;
    size_t n_resources;
    const struct policy_rule *policies;
    size_t n_policies;
    struct config_address console_listen; /* port 0: no console and no API */
    struct config_console console;
    struct config_store store;
    struct config_recordings recordings;
    const struct config_notification *notifications;
    size_t n_notifications;
};

/* Collects what is wrong, as "file:line:column: error: text" lines with a hint each. */
struct config_report {
    struct buf *text;
    unsigned errors;
    unsigned warnings;
};

/* Parses and validates `text`; `path` is for messages and relative paths. No file is read or
 * opened. On ERR_INVALID the report says why (all errors, not only the first). `*out` lives in
 * `arena`. ERR_NOMEM, ERR_LIMIT. */
enum err config_parse(struct str text, struct str path, struct arena *arena,
                      struct config_report *report, struct config **out);

/* Reads the file, then config_parse(), then checks what only the file system can tell
 * (referenced files exist and can be read; a key file that others can read is a warning).
 * A file that cannot be read is in the report too: ERR_NOT_FOUND, ERR_IO, ERR_LIMIT. The path in
 * `*out` is absolute. */
enum err config_load(const char *path, struct arena *arena, struct config_report *report,
                     struct config **out);

/* As config_load(), without looking at the files that the configuration names: for subcommands
 * that only need to know where things are, run by people who may not read secrets. */
enum err config_read(const char *path, struct arena *arena, struct config_report *report,
                     struct config **out);

const struct config_resource *config_find_resource(const struct config *c, struct str name);

/* The value of a secret, read now. A file's trailing newline is cut. ERR_NOT_FOUND, ERR_IO,
 * ERR_LIMIT: more than fits into `out`. End `out` with buf_free_secret(). */
enum err config_read_secret(const struct config_secret *secret, struct buf *out);

/* JSON Schema (draft 2020-12) for editors, and the reference in Markdown. */
void config_write_json_schema(struct buf *out);
void config_write_reference(struct buf *out);

#endif
