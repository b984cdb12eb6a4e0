/* What a server may send: a run of messages; and the SCRAM messages inside some of them. */
#include "protocol/postgres/scram.h"
#include "protocol/postgres/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
scram(struct str data)
{
    static const unsigned char nonce[PGSCRAM_NONCE_BYTES] = "aaaaaaaaaaaaaaaaaa";
    static const unsigned char signature[32];
    struct pgscram s;

    if (pgscram_begin(&s, PGSCRAM_UNBOUND, nonce) == OK) {
        (void)!pgscram_continue(&s, data, STR("binding"));
        (void)!pgscram_check_final(data, signature);
    }
    pgscram_free(&s);
}

static void
message(unsigned char type, struct str body)
{
    struct pgwire_error error;
    struct pgwire_parameter parameter;
    enum pgwire_status status;
    struct str tag, data;
    uint64_t rows;
    uint32_t code;

    switch (type) {
    case 'E':
        if (pgwire_read_error(body, &error) == OK && error.sqlstate.len != 5)
            __builtin_trap();
        break;
    case 'S':
        (void)!pgwire_read_parameter(body, &parameter);
        break;
    case 'Z':
        (void)!pgwire_read_ready(body, &status);
        break;
    case 'C':
        (void)!pgwire_read_complete(body, &tag, &rows);
        break;
    case 'K':
        if (pgwire_read_key(body, &code, &data) == OK && data.len > PGWIRE_KEY_MAX)
            __builtin_trap();
        break;
    case 'R':
        if (pgwire_read_authentication(body, &code, &data) != OK)
            break;
        (void)pgwire_offers(data, "SCRAM-SHA-256");
        scram(data);
        break;
    default:
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};

    while (rest.len >= PGWIRE_HEADER_BYTES) {
        const struct pgwire_rule *rule;
        unsigned char type;
        uint32_t len;

        if (pgwire_read_header((struct str){rest.ptr, PGWIRE_HEADER_BYTES}, &type, &len) != OK)
            break;
        rest = str_skip(rest, PGWIRE_HEADER_BYTES);
        if (len > rest.len || (rule = pgwire_backend_rule(type)) == NULL)
            break;
        if (len >= rule->body_min && len <= rule->body_max)
            message(type, (struct str){rest.ptr, len});
        rest = str_skip(rest, len);
    }
    return 0;
}
