/* Frames of a spool: reads one after the other, as the ledger does. */
#include "ipc/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
        rest = str_skip(rest, used);
    }
    return 0;
}
