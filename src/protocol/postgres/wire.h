/* protocol/postgres/wire.h - the PostgreSQL frontend/backend protocol, versions 3.0 and 3.2: bytes
 * to structs and back (PostgreSQL documentation, "Message Formats"). Pure: no I/O, no waiting.
 * What is read borrows from the bytes it was read from. */
#ifndef PROTOCOL_POSTGRES_WIRE_H
#define PROTOCOL_POSTGRES_WIRE_H

#include "base/buf.h"
#include "base/cursor.h"
#include "command/command.h"

enum {
    PGWIRE_HEADER_BYTES = 5,         /* type and length */
    PGWIRE_BODY_MAX = (1 << 30) - 1, /* PostgreSQL's own limit of one message */
    PGWIRE_SMALL_MAX = 10000,        /* PostgreSQL's limit of messages without bulk */
    PGWIRE_START_MAX = 10000,        /* PostgreSQL's limit of a start-up packet */
    PGWIRE_PARAMETERS_MAX = 64,      /* parameters of one StartupMessage */
    PGWIRE_NAME_MAX = 63,            /* bytes of a statement's or portal's name: NAMEDATALEN */
    PGWIRE_BIND_PREFIX = 256 << 10,  /* of a Bind: what is looked at; the rest streams */
    PGWIRE_KEY_MAX = 256,            /* bytes of a cancel key (3.2) */
    PGWIRE_PREFIX = 4096,            /* of an ErrorResponse: what is looked at */
};

/* Start-up: packets without a type. */

enum pgwire_start_kind { PGWIRE_STARTUP, PGWIRE_SSL, PGWIRE_GSS, PGWIRE_CANCEL };

struct pgwire_parameter {
    struct str name, value;
};

struct pgwire_start {
    enum pgwire_start_kind kind;
    uint16_t major, minor;                                     /* PGWIRE_STARTUP */
    struct pgwire_parameter parameters[PGWIRE_PARAMETERS_MAX]; /* of major 3 */
    size_t n_parameters;
    uint32_t cancel_id; /* PGWIRE_CANCEL */
    struct str cancel_secret;
};

/* Length of the start-up packet whose first four bytes are `head`, these four included.
 * ERR_PROTOCOL unless it is between 8 and PGWIRE_START_MAX. */
enum err pgwire_start_length(struct str head, size_t *length);

/* Reads a whole start-up packet. Parameters of major versions other than 3 are not read.
 * ERR_PROTOCOL (framing, a name twice, not UTF-8), ERR_LIMIT (too many parameters). */
enum err pgwire_read_start(struct str packet, struct pgwire_start *out);

/* The value of a parameter; false if it is absent. */
bool pgwire_parameter(const struct pgwire_start *start, const char *name, struct str *value);

/* Frames. */

/* How a message is handled, by type: the permitted order as data. */
enum pgwire_handling {
    PGWIRE_WHOLE,       /* parsed, so it must fit body_max */
    PGWIRE_PREFIX_ONLY, /* its beginning is parsed, the rest streams */
    PGWIRE_STREAM,      /* passed on unread */
};

/* When a message may come. For messages of a client: the phases of a session. */
enum pgwire_phase {
    PGWIRE_LOGIN = 1 << 0,   /* the gateway asked for the password */
    PGWIRE_READY = 1 << 1,   /* commands */
    PGWIRE_COPY_IN = 1 << 2, /* the server asked for COPY data */
    PGWIRE_STRAY = 1 << 3,   /* out of place, but ignored by PostgreSQL too: dropped */
};

/* For messages of a server: what they answer (the oldest unanswered message). */
enum pgwire_expected {
    PGWIRE_OF_NOTHING = 1 << 0,
    PGWIRE_OF_QUERY = 1 << 1,
    PGWIRE_OF_PARSE = 1 << 2,
    PGWIRE_OF_BIND = 1 << 3,
    PGWIRE_OF_DESCRIBE_STATEMENT = 1 << 4,
    PGWIRE_OF_DESCRIBE_PORTAL = 1 << 5,
    PGWIRE_OF_EXECUTE = 1 << 6,
    PGWIRE_OF_CLOSE = 1 << 7,
    PGWIRE_OF_SYNC = 1 << 8,
    PGWIRE_OF_ANY = (1 << 9) - 1,
    PGWIRE_OF_LOGIN = 1 << 9,
};

struct pgwire_rule {
    const char *name; /* NULL: no such message */
    unsigned when;    /* pgwire_phase or pgwire_expected bits */
    uint8_t handling; /* enum pgwire_handling */
    uint32_t body_min, body_max;
};

/* NULL for types that are unknown or never allowed. */
const struct pgwire_rule *pgwire_frontend_rule(unsigned char type);
const struct pgwire_rule *pgwire_backend_rule(unsigned char type);

/* Splits a header of PGWIRE_HEADER_BYTES. ERR_PROTOCOL if the length is below 4 or above
 * PGWIRE_BODY_MAX. */
enum err pgwire_read_header(struct str header, unsigned char *type, uint32_t *body_len);

/* Messages of a client, by body. All: ERR_PROTOCOL. */

/* Query, PasswordMessage, CopyFail: one string. */
enum err pgwire_read_string(struct str body, struct str *text);

struct pgwire_parse {
    struct str name, text;
    struct str types; /* four bytes each */
};
enum err pgwire_read_parse(struct str body, struct pgwire_parse *out);

struct pgwire_bind {
    struct str portal, statement;
    struct str formats; /* two bytes each: none, one for all, or one per value */
    uint16_t n_values;
    struct cursor values; /* for pgwire_next_value() */
};
/* `body` is whole, or (`whole` false) its first PGWIRE_BIND_PREFIX bytes. If whole, everything in
 * it was checked. */
enum err pgwire_read_bind(struct str body, bool whole, struct pgwire_bind *out);
/* Value number `i`; call with 0, 1, … n_values - 1. A value cut by the prefix is cut here, those
 * after it are empty. */
void pgwire_next_value(struct pgwire_bind *bind, unsigned i, struct bind_value *out);

struct pgwire_target { /* Describe, Close */
    char kind;         /* 'S' statement, 'P' portal */
    struct str name;
};
enum err pgwire_read_target(struct str body, struct pgwire_target *out);

struct pgwire_execute {
    struct str portal;
    uint32_t max_rows;
};
enum err pgwire_read_execute(struct str body, struct pgwire_execute *out);

/* Messages of a server, by body. All: ERR_PROTOCOL. */

struct pgwire_error {    /* ErrorResponse, NoticeResponse */
    struct str severity; /* not localised if the server sends it (9.6 and later) */
    struct str sqlstate, message;
};
/* A prefix will do; fields beyond it stay empty. ERR_PROTOCOL without a SQLSTATE of five bytes. */
enum err pgwire_read_error(struct str body, struct pgwire_error *out);

enum pgwire_status { PGWIRE_IDLE = 'I', PGWIRE_IN_TRANSACTION = 'T', PGWIRE_FAILED = 'E' };
enum err pgwire_read_ready(struct str body, enum pgwire_status *out);

enum err pgwire_read_parameter(struct str body, struct pgwire_parameter *out);

/* The tag and the rows it counts (0 if it counts none). */
enum err pgwire_read_complete(struct str body, struct str *tag, uint64_t *rows);

enum pgwire_auth {
    PGWIRE_AUTH_OK = 0,
    PGWIRE_AUTH_CLEARTEXT = 3,
    PGWIRE_AUTH_MD5 = 5,
    PGWIRE_AUTH_SASL = 10,
    PGWIRE_AUTH_SASL_CONTINUE = 11,
    PGWIRE_AUTH_SASL_FINAL = 12,
};
/* `data` is what follows the code: the salt, the mechanisms, the SASL bytes. */
enum err pgwire_read_authentication(struct str body, uint32_t *code, struct str *data);
/* Whether `mechanisms` (of AuthenticationSASL) names `mechanism`. */
bool pgwire_offers(struct str mechanisms, const char *mechanism);

enum err pgwire_read_key(struct str body, uint32_t *id, struct str *secret);

/* Messages of ours. NULs inside texts become '?'. */

struct pgwire_failure {
    const char *severity; /* "ERROR" or "FATAL" */
    const char *sqlstate;
    struct str message;
    struct str detail, hint; /* may be empty */
    int position;            /* of a syntax error in the statement, in characters; 0: none */
};
void pgwire_put_error(struct buf *out, const struct pgwire_failure *failure);
/* A NoticeResponse; severity "NOTICE" or "WARNING". */
void pgwire_put_notice(struct buf *out, const struct pgwire_failure *notice);
void pgwire_put_ready(struct buf *out, enum pgwire_status status);
void pgwire_put_authentication(struct buf *out, enum pgwire_auth code);
void pgwire_put_key(struct buf *out, uint32_t id, struct str secret);
/* NegotiateProtocolVersion naming each parameter of `start` that begins with "_pq_.". */
void pgwire_put_negotiate(struct buf *out, uint16_t minor, const struct pgwire_start *start);

void pgwire_put_startup(struct buf *out, const struct pgwire_parameter *parameters, size_t n);
void pgwire_put_ssl_request(struct buf *out);
void pgwire_put_cancel(struct buf *out, uint32_t id, struct str secret);
void pgwire_put_query(struct buf *out, struct str text);
void pgwire_put_parse(struct buf *out, struct str name, struct str text);
/* A Bind without values, all results in text format. */
void pgwire_put_bind(struct buf *out, struct str portal, struct str statement);
void pgwire_put_execute(struct buf *out, struct str portal); /* to its end */
/* Describe ('D') or Close ('C') of a statement ('S') or portal ('P'). */
void pgwire_put_target(struct buf *out, char type, char kind, struct str name);
/* A message whose body is `body` as it stands, or one string. */
void pgwire_put_plain(struct buf *out, char type, struct str body);
void pgwire_put_string(struct buf *out, char type, struct str text);
void pgwire_put_sasl_initial(struct buf *out, struct str mechanism, struct str first);

#endif
