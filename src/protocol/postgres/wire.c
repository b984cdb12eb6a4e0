#include "protocol/postgres/wire.h"

#include <stdio.h>

enum {
    CODE_CANCEL = 80877102, /* 1234 5678 */
    CODE_SSL = 80877103,
    CODE_GSS = 80877104,
    MAJOR = 3,
    START_MIN = 8,
};

/* The order in which a client may send what (see docs/protocol-postgres.md). */
static const struct pgwire_rule frontend[128] = {
    ['B'] = {"Bind", PGWIRE_READY, PGWIRE_PREFIX_ONLY, 6, PGWIRE_BODY_MAX},
    ['C'] = {"Close", PGWIRE_READY, PGWIRE_WHOLE, 2, PGWIRE_SMALL_MAX},
    ['D'] = {"Describe", PGWIRE_READY, PGWIRE_WHOLE, 2, PGWIRE_SMALL_MAX},
    ['E'] = {"Execute", PGWIRE_READY, PGWIRE_WHOLE, 5, PGWIRE_SMALL_MAX},
    ['F'] = {"FunctionCall", PGWIRE_READY, PGWIRE_STREAM, 0, PGWIRE_BODY_MAX},
    ['H'] = {"Flush", PGWIRE_READY | PGWIRE_STRAY, PGWIRE_WHOLE, 0, 0},
    ['P'] = {"Parse", PGWIRE_READY, PGWIRE_WHOLE, 4, PGWIRE_BODY_MAX},
    ['Q'] = {"Query", PGWIRE_READY, PGWIRE_WHOLE, 1, PGWIRE_BODY_MAX},
    ['S'] = {"Sync", PGWIRE_READY | PGWIRE_STRAY, PGWIRE_WHOLE, 0, 0},
    ['X'] = {"Terminate", PGWIRE_READY | PGWIRE_COPY_IN, PGWIRE_WHOLE, 0, 0},
    ['c'] = {"CopyDone", PGWIRE_COPY_IN | PGWIRE_STRAY, PGWIRE_WHOLE, 0, 0},
    ['d'] = {"CopyData", PGWIRE_COPY_IN | PGWIRE_STRAY, PGWIRE_STREAM, 0, PGWIRE_BODY_MAX},
    ['f'] = {"CopyFail", PGWIRE_COPY_IN | PGWIRE_STRAY, PGWIRE_WHOLE, 1, PGWIRE_SMALL_MAX},
    ['p'] = {"PasswordMessage", PGWIRE_LOGIN, PGWIRE_WHOLE, 1, UINT16_MAX},
};

#define RUNNING  (PGWIRE_OF_QUERY | PGWIRE_OF_EXECUTE)
#define DESCRIBE (PGWIRE_OF_DESCRIBE_STATEMENT | PGWIRE_OF_DESCRIBE_PORTAL)

/* What a server may answer to what. FunctionCallResponse and CopyBothResponse are absent: what
 * they would answer is never forwarded. */
static const struct pgwire_rule backend[128] = {
    ['1'] = {"ParseComplete", PGWIRE_OF_PARSE, PGWIRE_WHOLE, 0, 0},
    ['2'] = {"BindComplete", PGWIRE_OF_BIND, PGWIRE_WHOLE, 0, 0},
    ['3'] = {"CloseComplete", PGWIRE_OF_CLOSE, PGWIRE_WHOLE, 0, 0},
    ['A'] = {"NotificationResponse", PGWIRE_OF_ANY, PGWIRE_STREAM, 6, PGWIRE_BODY_MAX},
    ['C'] = {"CommandComplete", RUNNING, PGWIRE_WHOLE, 1, 1024},
    ['D'] = {"DataRow", RUNNING, PGWIRE_STREAM, 2, PGWIRE_BODY_MAX},
    ['E'] = {"ErrorResponse", PGWIRE_OF_ANY | PGWIRE_OF_LOGIN, PGWIRE_PREFIX_ONLY, 1,
             PGWIRE_BODY_MAX},
    ['G'] = {"CopyInResponse", RUNNING, PGWIRE_WHOLE, 3, 3 + 2 * UINT16_MAX},
    ['H'] = {"CopyOutResponse", RUNNING, PGWIRE_WHOLE, 3, 3 + 2 * UINT16_MAX},
    ['I'] = {"EmptyQueryResponse", RUNNING, PGWIRE_WHOLE, 0, 0},
    ['K'] = {"BackendKeyData", PGWIRE_OF_LOGIN, PGWIRE_WHOLE, 8, 4 + PGWIRE_KEY_MAX},
    ['N'] = {"NoticeResponse", PGWIRE_OF_ANY | PGWIRE_OF_LOGIN, PGWIRE_STREAM, 1, PGWIRE_BODY_MAX},
    ['R'] = {"Authentication", PGWIRE_OF_LOGIN, PGWIRE_WHOLE, 4, PGWIRE_SMALL_MAX},
    ['S'] = {"ParameterStatus", PGWIRE_OF_ANY | PGWIRE_OF_LOGIN, PGWIRE_WHOLE, 2, 64 << 10},
    ['T'] = {"RowDescription", PGWIRE_OF_QUERY | DESCRIBE, PGWIRE_STREAM, 2, PGWIRE_BODY_MAX},
    ['Z'] = {"ReadyForQuery", PGWIRE_OF_QUERY | PGWIRE_OF_SYNC | PGWIRE_OF_LOGIN, PGWIRE_WHOLE, 1,
             1},
    ['c'] = {"CopyDone", RUNNING, PGWIRE_WHOLE, 0, 0},
    ['d'] = {"CopyData", RUNNING, PGWIRE_STREAM, 0, PGWIRE_BODY_MAX},
    ['n'] = {"NoData", DESCRIBE, PGWIRE_WHOLE, 0, 0},
    ['s'] = {"PortalSuspended", PGWIRE_OF_EXECUTE, PGWIRE_WHOLE, 0, 0},
    ['t'] = {"ParameterDescription", PGWIRE_OF_DESCRIBE_STATEMENT, PGWIRE_STREAM, 2,
             PGWIRE_BODY_MAX},
};

static const struct pgwire_rule *
rule_of(const struct pgwire_rule table[static 128], unsigned char type)
{
    return type < 128 && table[type].name != NULL ? &table[type] : NULL;
}

const struct pgwire_rule *
pgwire_frontend_rule(unsigned char type)
{
    return rule_of(frontend, type);
}

const struct pgwire_rule *
pgwire_backend_rule(unsigned char type)
{
    return rule_of(backend, type);
}

enum err
pgwire_read_header(struct str header, unsigned char *type, uint32_t *body_len)
{
    struct cursor c = cursor_make(header);
    uint32_t length;

    *type = cursor_u8(&c);
    length = cursor_u32(&c);
    if (c.failed || length < 4 || length - 4 > PGWIRE_BODY_MAX)
        return fail(ERR_PROTOCOL, "invalid message length");
    *body_len = length - 4;
    return OK;
}

enum err
pgwire_start_length(struct str head, size_t *length)
{
    struct cursor c = cursor_make(head);
    uint32_t n = cursor_u32(&c);

    if (c.failed || n < START_MIN || n > PGWIRE_START_MAX)
        return fail(ERR_PROTOCOL, "invalid length of startup packet");
    *length = n;
    return OK;
}

bool
pgwire_parameter(const struct pgwire_start *start, const char *name, struct str *value)
{
    for (size_t i = 0; i < start->n_parameters; i++)
        if (str_is(start->parameters[i].name, name)) {
            *value = start->parameters[i].value;
            return true;
        }
    *value = STR("");
    return false;
}

static enum err
read_parameters(struct cursor *c, struct pgwire_start *out)
{
    for (;;) {
        struct pgwire_parameter p;

        p.name = cursor_cstr(c);
        if (c->failed)
            return fail(ERR_PROTOCOL, "startup packet is not terminated");
        if (p.name.len == 0)
            break;
        p.value = cursor_cstr(c);
        if (c->failed)
            return fail(ERR_PROTOCOL, "startup parameter without a value");
        if (!str_is_utf8(p.name) || !str_is_utf8(p.value))
            return fail(ERR_PROTOCOL, "startup parameter is not UTF-8");
        for (size_t i = 0; i < out->n_parameters; i++)
            if (str_equal_nocase(out->parameters[i].name, p.name))
                return fail(ERR_PROTOCOL, "startup parameter \"%.*s\" is given twice",
                            STR_ARG(p.name));
        if (out->n_parameters == PGWIRE_PARAMETERS_MAX)
            return fail(ERR_LIMIT, "more than %d startup parameters", PGWIRE_PARAMETERS_MAX);
        out->parameters[out->n_parameters++] = p;
    }
    if (!cursor_done(c))
        return fail(ERR_PROTOCOL, "bytes after the end of the startup packet");
    return OK;
}

static enum err
read_empty_request(const struct cursor *c, enum pgwire_start_kind kind, struct pgwire_start *out)
{
    out->kind = kind;
    if (!cursor_done(c))
        return fail(ERR_PROTOCOL, "invalid length of startup packet");
    return OK;
}

enum err
pgwire_read_start(struct str packet, struct pgwire_start *out)
{
    struct cursor c = cursor_make(packet);
    size_t length;
    uint32_t code;
    enum err e;

    memset(out, 0, sizeof(*out));
    if ((e = pgwire_start_length(packet, &length)) != OK)
        return e;
    if (length != packet.len)
        return fail(ERR_PROTOCOL, "invalid length of startup packet");
    (void)cursor_u32(&c);
    code = cursor_u32(&c);
    if (code == CODE_SSL)
        return read_empty_request(&c, PGWIRE_SSL, out);
    if (code == CODE_GSS)
        return read_empty_request(&c, PGWIRE_GSS, out);
    if (code == CODE_CANCEL) {
        out->kind = PGWIRE_CANCEL;
        out->cancel_id = cursor_u32(&c);
        out->cancel_secret = cursor_bytes(&c, cursor_left(&c));
        if (c.failed || out->cancel_secret.len < 4 || out->cancel_secret.len > PGWIRE_KEY_MAX)
            return fail(ERR_PROTOCOL, "invalid length of cancel request");
        return OK;
    }
    out->kind = PGWIRE_STARTUP;
    out->major = (uint16_t)(code >> 16);
    out->minor = (uint16_t)code;
    return out->major == MAJOR ? read_parameters(&c, out) : OK;
}

enum err
pgwire_read_string(struct str body, struct str *text)
{
    struct cursor c = cursor_make(body);

    *text = cursor_cstr(&c);
    return cursor_done(&c) ? OK : fail(ERR_PROTOCOL, "message is not one terminated string");
}

enum err
pgwire_read_parse(struct str body, struct pgwire_parse *out)
{
    struct cursor c = cursor_make(body);

    out->name = cursor_cstr(&c);
    out->text = cursor_cstr(&c);
    out->types = cursor_bytes(&c, 4 * (size_t)cursor_u16(&c));
    return cursor_done(&c) ? OK : fail(ERR_PROTOCOL, "invalid Parse message");
}

static enum err
check_values(struct cursor *c, const struct pgwire_bind *bind)
{
    size_t n_formats = bind->formats.len / 2;

    for (unsigned i = 0; i < bind->n_values; i++) {
        uint32_t length = cursor_u32(c);

        if (length != UINT32_MAX)
            (void)cursor_bytes(c, length);
        if (c->failed)
            return fail(ERR_PROTOCOL, "invalid value in Bind message");
    }
    (void)cursor_bytes(c, 2 * (size_t)cursor_u16(c));
    if (!cursor_done(c))
        return fail(ERR_PROTOCOL, "invalid Bind message");
    if (n_formats > 1 && n_formats != bind->n_values)
        return fail(ERR_PROTOCOL, "Bind message has %zu formats but %u values", n_formats,
                    bind->n_values);
    return OK;
}

enum err
pgwire_read_bind(struct str body, bool whole, struct pgwire_bind *out)
{
    struct cursor c = cursor_make(body);

    out->portal = cursor_cstr(&c);
    out->statement = cursor_cstr(&c);
    out->formats = cursor_bytes(&c, 2 * (size_t)cursor_u16(&c));
    out->n_values = cursor_u16(&c);
    if (c.failed)
        return fail(ERR_PROTOCOL, "invalid Bind message");
    out->values = c;
    return whole ? check_values(&c, out) : OK;
}

void
pgwire_next_value(struct pgwire_bind *bind, unsigned i, struct bind_value *out)
{
    size_t n_formats = bind->formats.len / 2, left;
    uint32_t length = cursor_u32(&bind->values);

    memset(out, 0, sizeof(*out));
    out->bytes = STR("");
    if (n_formats > 0 && (n_formats == 1 || i < n_formats))
        out->binary = bind->formats.ptr[n_formats == 1 ? 1 : 2 * i + 1] != 0;
    if (bind->values.failed) {
        out->full_length = UINT32_MAX;
        return;
    }
    if (length == UINT32_MAX) {
        out->is_null = true;
        return;
    }
    left = cursor_left(&bind->values);
    out->bytes = cursor_bytes(&bind->values, length < left ? length : left);
    if (length > left) {
        out->full_length = length;
        bind->values.failed = true; /* what follows is not here */
    }
}

enum err
pgwire_read_target(struct str body, struct pgwire_target *out)
{
    struct cursor c = cursor_make(body);

    out->kind = (char)cursor_u8(&c);
    out->name = cursor_cstr(&c);
    if (!cursor_done(&c) || (out->kind != 'S' && out->kind != 'P'))
        return fail(ERR_PROTOCOL, "invalid Describe or Close message");
    return OK;
}

enum err
pgwire_read_execute(struct str body, struct pgwire_execute *out)
{
    struct cursor c = cursor_make(body);

    out->portal = cursor_cstr(&c);
    out->max_rows = cursor_u32(&c);
    return cursor_done(&c) ? OK : fail(ERR_PROTOCOL, "invalid Execute message");
}

enum err
pgwire_read_error(struct str body, struct pgwire_error *out)
{
    struct cursor c = cursor_make(body);

    out->severity = out->sqlstate = out->message = STR("");
    for (;;) {
        uint8_t field = cursor_u8(&c);
        struct str value;

        if (c.failed || field == 0)
            break;
        value = cursor_cstr(&c);
        if (c.failed)
            break;
        if (field == 'V' || (field == 'S' && out->severity.len == 0))
            out->severity = value;
        else if (field == 'C')
            out->sqlstate = value;
        else if (field == 'M')
            out->message = value;
    }
    if (out->sqlstate.len != 5)
        return fail(ERR_PROTOCOL, "ErrorResponse without a SQLSTATE");
    return OK;
}

enum err
pgwire_read_ready(struct str body, enum pgwire_status *out)
{
    char status = body.len == 1 ? body.ptr[0] : 0;

    if (status != PGWIRE_IDLE && status != PGWIRE_IN_TRANSACTION && status != PGWIRE_FAILED)
        return fail(ERR_PROTOCOL, "invalid ReadyForQuery message");
    *out = (enum pgwire_status)status;
    return OK;
}

enum err
pgwire_read_parameter(struct str body, struct pgwire_parameter *out)
{
    struct cursor c = cursor_make(body);

    out->name = cursor_cstr(&c);
    out->value = cursor_cstr(&c);
    return cursor_done(&c) ? OK : fail(ERR_PROTOCOL, "invalid ParameterStatus message");
}

enum err
pgwire_read_complete(struct str body, struct str *tag, uint64_t *rows)
{
    size_t digits;
    enum err e;

    if ((e = pgwire_read_string(body, tag)) != OK)
        return e;
    digits = tag->len;
    while (digits > 0 && tag->ptr[digits - 1] >= '0' && tag->ptr[digits - 1] <= '9')
        digits--;
    if (!str_to_uint(str_skip(*tag, digits), UINT64_MAX, rows))
        *rows = 0;
    return OK;
}

enum err
pgwire_read_authentication(struct str body, uint32_t *code, struct str *data)
{
    struct cursor c = cursor_make(body);

    *code = cursor_u32(&c);
    *data = cursor_bytes(&c, cursor_left(&c));
    return c.failed ? fail(ERR_PROTOCOL, "invalid Authentication message") : OK;
}

bool
pgwire_offers(struct str mechanisms, const char *mechanism)
{
    struct cursor c = cursor_make(mechanisms);

    for (;;) {
        struct str name = cursor_cstr(&c);

        if (c.failed || name.len == 0)
            return false;
        if (str_is(name, mechanism))
            return true;
    }
}

enum err
pgwire_read_key(struct str body, uint32_t *id, struct str *secret)
{
    struct cursor c = cursor_make(body);

    *id = cursor_u32(&c);
    *secret = cursor_bytes(&c, cursor_left(&c));
    if (c.failed || secret->len < 4 || secret->len > PGWIRE_KEY_MAX)
        return fail(ERR_PROTOCOL, "invalid BackendKeyData message");
    return OK;
}

/* Building. */

static size_t
begin(struct buf *out, char type)
{
    if (type != 0)
        buf_put_u8(out, (uint8_t)type);
    buf_put_u32(out, 0);
    return out->len - 4;
}

static void
end(struct buf *out, size_t at)
{
    if (!out->failed)
        buf_set_u32(out, at, (uint32_t)(out->len - at));
}

/* Text and its NUL; a NUL inside would end it early. */
static void
put_cstr(struct buf *out, struct str text)
{
    while (text.len > 0) {
        size_t n = str_index(text, '\0');

        buf_put(out, text.ptr, n);
        if (n < text.len)
            buf_put_u8(out, '?');
        text = str_skip(text, n + 1);
    }
    buf_put_u8(out, 0);
}

static void
put_field(struct buf *out, char field, struct str text)
{
    if (text.len == 0)
        return;
    buf_put_u8(out, (uint8_t)field);
    put_cstr(out, text);
}

static void
put_failure(struct buf *out, char type, const struct pgwire_failure *failure)
{
    size_t at = begin(out, type);
    char position[16];

    put_field(out, 'S', str_from(failure->severity));
    put_field(out, 'V', str_from(failure->severity));
    put_field(out, 'C', str_from(failure->sqlstate));
    put_field(out, 'M', failure->message.len > 0 ? failure->message : STR("unknown error"));
    put_field(out, 'D', failure->detail);
    put_field(out, 'H', failure->hint);
    if (failure->position > 0) {
        (void)snprintf(position, sizeof(position), "%d", failure->position);
        put_field(out, 'P', str_from(position));
    }
    buf_put_u8(out, 0);
    end(out, at);
}

void
pgwire_put_error(struct buf *out, const struct pgwire_failure *failure)
{
    put_failure(out, 'E', failure);
}

void
pgwire_put_notice(struct buf *out, const struct pgwire_failure *notice)
{
    put_failure(out, 'N', notice);
}

void
pgwire_put_ready(struct buf *out, enum pgwire_status status)
{
    char c = (char)status;

    pgwire_put_plain(out, 'Z', (struct str){&c, 1});
}

void
pgwire_put_authentication(struct buf *out, enum pgwire_auth code)
{
    size_t at = begin(out, 'R');

    buf_put_u32(out, (uint32_t)code);
    end(out, at);
}

void
pgwire_put_key(struct buf *out, uint32_t id, struct str secret)
{
    size_t at = begin(out, 'K');

    buf_put_u32(out, id);
    buf_put_str(out, secret);
    end(out, at);
}

void
pgwire_put_negotiate(struct buf *out, uint16_t minor, const struct pgwire_start *start)
{
    size_t at = begin(out, 'v'), count_at;
    uint32_t count = 0;

    buf_put_u32(out, (uint32_t)MAJOR << 16 | minor);
    count_at = out->len;
    buf_put_u32(out, 0);
    for (size_t i = 0; i < start->n_parameters; i++)
        if (str_starts(start->parameters[i].name, STR("_pq_."))) {
            put_cstr(out, start->parameters[i].name);
            count++;
        }
    if (!out->failed)
        buf_set_u32(out, count_at, count);
    end(out, at);
}

void
pgwire_put_startup(struct buf *out, const struct pgwire_parameter *parameters, size_t n)
{
    size_t at = begin(out, 0);

    buf_put_u32(out, (uint32_t)MAJOR << 16);
    for (size_t i = 0; i < n; i++) {
        put_cstr(out, parameters[i].name);
        put_cstr(out, parameters[i].value);
    }
    buf_put_u8(out, 0);
    end(out, at);
}

void
pgwire_put_ssl_request(struct buf *out)
{
    buf_put_u32(out, 8);
    buf_put_u32(out, CODE_SSL);
}

void
pgwire_put_cancel(struct buf *out, uint32_t id, struct str secret)
{
    size_t at = begin(out, 0);

    buf_put_u32(out, CODE_CANCEL);
    buf_put_u32(out, id);
    buf_put_str(out, secret);
    end(out, at);
}

void
pgwire_put_query(struct buf *out, struct str text)
{
    pgwire_put_string(out, 'Q', text);
}

void
pgwire_put_parse(struct buf *out, struct str name, struct str text)
{
    size_t at = begin(out, 'P');

    put_cstr(out, name);
    put_cstr(out, text);
    buf_put_u16(out, 0);
    end(out, at);
}

void
pgwire_put_bind(struct buf *out, struct str portal, struct str statement)
{
    size_t at = begin(out, 'B');

    put_cstr(out, portal);
    put_cstr(out, statement);
    buf_put_u16(out, 0);
    buf_put_u16(out, 0);
    buf_put_u16(out, 0);
    end(out, at);
}

void
pgwire_put_execute(struct buf *out, struct str portal)
{
    size_t at = begin(out, 'E');

    put_cstr(out, portal);
    buf_put_u32(out, 0);
    end(out, at);
}

void
pgwire_put_target(struct buf *out, char type, char kind, struct str name)
{
    size_t at = begin(out, type);

    buf_put_u8(out, (uint8_t)kind);
    put_cstr(out, name);
    end(out, at);
}

void
pgwire_put_plain(struct buf *out, char type, struct str body)
{
    size_t at = begin(out, type);

    buf_put_str(out, body);
    end(out, at);
}

void
pgwire_put_string(struct buf *out, char type, struct str text)
{
    size_t at = begin(out, type);

    put_cstr(out, text);
    end(out, at);
}

void
pgwire_put_sasl_initial(struct buf *out, struct str mechanism, struct str first)
{
    size_t at = begin(out, 'p');

    put_cstr(out, mechanism);
    buf_put_u32(out, (uint32_t)first.len);
    buf_put_str(out, first);
    end(out, at);
}
