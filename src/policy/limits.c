#include "policy/limits.h"

#include <inttypes.h>
#include <stddef.h>

const struct limit_info limit_infos[LIMIT_NUMBERS] = {
    {"rows_per_command", offsetof(struct limits, rows_per_command), LIMIT_COUNT},
    {"bytes_per_command", offsetof(struct limits, bytes_per_command), LIMIT_BYTES},
    {"rows_per_session", offsetof(struct limits, rows_per_session), LIMIT_COUNT},
    {"seconds_per_command", offsetof(struct limits, seconds_per_command), LIMIT_SECONDS},
    {"max_affected_rows", offsetof(struct limits, max_affected_rows), LIMIT_COUNT},
    {"max_tables", offsetof(struct limits, max_tables), LIMIT_COUNT},
};

bool
limits_any(const struct limits *l)
{
    for (int i = 0; i < LIMIT_NUMBERS; i++)
        if (limits_number(l, i) != 0)
            return true;
    return l->require_where || l->read_only;
}

void
limits_tighten(struct limits *l, const struct limits *by)
{
    for (int i = 0; i < LIMIT_NUMBERS; i++) {
        uint64_t old = limits_number(l, i), new = limits_number(by, i);

        if (new != 0 && (old == 0 || new < old))
            limits_set_number(l, i, new);
    }
    l->require_where |= by->require_where;
    l->read_only |= by->read_only;
}

/* The value with the largest unit that divides it. */
static void
write_number(enum limit_unit unit, uint64_t value, struct buf *out)
{
    static const char *const sizes[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;

    if (unit == LIMIT_COUNT) {
        buf_printf(out, "%" PRIu64, value);
        return;
    }
    if (unit == LIMIT_SECONDS) {
        buf_printf(out, "%" PRIu64 "s", value);
        return;
    }
    for (; value % 1024 == 0 && i + 1 < sizeof(sizes) / sizeof(sizes[0]); i++)
        value /= 1024;
    buf_printf(out, "%" PRIu64 "%s", value, sizes[i]);
}

void
limits_write(const struct limits *l, struct buf *out)
{
    const char *before = "";

    for (int i = 0; i < LIMIT_NUMBERS; i++) {
        if (limits_number(l, i) == 0)
            continue;
        buf_printf(out, "%s%s ", before, limit_infos[i].name);
        write_number(limit_infos[i].unit, limits_number(l, i), out);
        before = ", ";
    }
    if (l->require_where)
        buf_printf(out, "%srequire_where", before), before = ", ";
    if (l->read_only)
        buf_printf(out, "%sread_only", before);
}
