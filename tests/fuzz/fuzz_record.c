/* Frames of a spool: reads one after the other, as the ledger does. */
#include "base/arena.h"
#include "command/hash.h"
#include "ipc/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As control does with what a session holds. */
static void
take_command(const struct record *r)
{
    struct arena *arena = arena_new(16 << 20);
    unsigned char hash[COMMAND_HASH_BYTES];
    struct command command;

    if (arena == NULL)
        return;
    if (record_command(r, arena, &command) == OK)
        err_ignore(command_hash(&command, hash));
    arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct record r;
    size_t used;

    while (record_read(rest, &r, &used) == OK) {
        struct record_demand demand;
        struct record_bind bind;

        if (used == 0 || used > rest.len)
            __builtin_trap();
        for (size_t i = 0; r.kind == RECORD_INTENT && i < r.intent.n_demands; i++) {
            record_next_demand(&r, &demand);
            if (r.intent.demands.failed)
                __builtin_trap();
        }
        for (size_t i = 0; r.kind == RECORD_INTENT && i < r.intent.n_binds; i++) {
            record_next_bind(&r, &bind);
            if (r.intent.binds.failed)
                __builtin_trap();
        }
        if (r.kind == RECORD_INTENT)
            take_command(&r);
        rest = str_skip(rest, used);
    }
    return 0;
}
