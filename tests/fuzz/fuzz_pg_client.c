/* What a client may send: the start-up packet (if the first byte is 0), else a run of messages. */
#include "base/arena.h"
#include "protocol/postgres/settings.h"
#include "protocol/postgres/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
start(struct str packet)
{
    static struct pgwire_start s;
    static struct pgsettings settings;
    struct arena *arena;

    if (pgwire_read_start(packet, &s) != OK || s.kind != PGWIRE_STARTUP)
        return;
    if ((arena = arena_new(1 << 20)) == NULL)
        return;
    if (pgsettings_read(&s, arena, &settings) == OK)
        for (size_t i = 0; i < settings.n; i++)
            if (!pgsettings_harmless(settings.items[i].name))
                __builtin_trap();
    arena_free(arena);
}

static void
message(unsigned char type, struct str body)
{
    struct pgwire_parse parse;
    struct pgwire_bind bind, prefix;
    struct pgwire_target target;
    struct pgwire_execute execute;
    struct bind_value value;
    struct str text;

    switch (type) {
    case 'Q':
    case 'p':
    case 'f':
        if (pgwire_read_string(body, &text) == OK && text.len + 1 != body.len)
            __builtin_trap();
        break;
    case 'P':
        (void)!pgwire_read_parse(body, &parse);
        break;
    case 'B':
        if (pgwire_read_bind(body, true, &bind) == OK)
            for (unsigned i = 0; i < bind.n_values; i++) {
                pgwire_next_value(&bind, i, &value);
                if (bind.values.failed)
                    __builtin_trap();
            }
        body.len -= body.len / 3;
        if (pgwire_read_bind(body, false, &prefix) == OK)
            for (unsigned i = 0; i < prefix.n_values; i++)
                pgwire_next_value(&prefix, i, &value);
        break;
    case 'D':
    case 'C':
        (void)!pgwire_read_target(body, &target);
        break;
    case 'E':
        (void)!pgwire_read_execute(body, &execute);
        break;
    default:
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};

    if (size > 0 && data[0] == 0) {
        start(rest);
        return 0;
    }
    while (rest.len >= PGWIRE_HEADER_BYTES) {
        const struct pgwire_rule *rule;
        unsigned char type;
        uint32_t len;

        if (pgwire_read_header((struct str){rest.ptr, PGWIRE_HEADER_BYTES}, &type, &len) != OK)
            break;
        rest = str_skip(rest, PGWIRE_HEADER_BYTES);
        if (len > rest.len || (rule = pgwire_frontend_rule(type)) == NULL)
            break;
        if (len >= rule->body_min && len <= rule->body_max)
            message(type, (struct str){rest.ptr, len});
        rest = str_skip(rest, len);
    }
    return 0;
}
