#include "protocol/postgres/errors.h"

#include "base/cursor.h"

enum { FIELD_MAX = 256 }; /* bytes of one that stays: names and numbers are shorter */

static const struct condition {
    char sqlstate[6];
    const char *name;
} conditions[] = {
#include "protocol/postgres/conditions.inc"
};

struct str
pgerrors_condition(struct str sqlstate)
{
    size_t low = 0, high = sizeof(conditions) / sizeof(conditions[0]);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(sqlstate, str_from(conditions[middle].sqlstate));

        if (order == 0)
            return str_from(conditions[middle].name);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return STR("");
}

static void
put_field(struct buf *out, char field, struct str value)
{
    buf_put_u8(out, (uint8_t)field);
    buf_put_str(out, value);
    buf_put_u8(out, 0);
}

static void
put_message(struct buf *out, struct str sqlstate)
{
    struct str condition = pgerrors_condition(sqlstate);

    buf_put_u8(out, 'M');
    if (condition.len > 0) {
        buf_put_str(out, condition);
    } else {
        buf_put_text(out, "SQLSTATE ");
        buf_put_str(out, sqlstate);
    }
    buf_put_text(out, " (details withheld: the statement reads protected data)");
    buf_put_u8(out, 0);
}

/* Severity, SQLSTATE, position; schema, table, column, constraint. */
static bool
stays(uint8_t field, struct str value)
{
    static const char plain[] = "SVCPstcn";

    return field != 0 && strchr(plain, field) != NULL && value.len <= FIELD_MAX;
}

void
pgerrors_put_sanitised(unsigned char type, struct str body, struct buf *out)
{
    struct cursor in = cursor_make(body);
    size_t start = out->len;
    struct str sqlstate = STR("");

    buf_put_u8(out, type);
    buf_put_u32(out, 0);
    for (;;) {
        uint8_t field = cursor_u8(&in);
        struct str value;

        if (in.failed || field == 0)
            break;
        value = cursor_cstr(&in);
        if (in.failed)
            break;
        if (stays(field, value))
            put_field(out, (char)field, value);
        if (field == 'C' && value.len <= FIELD_MAX)
            sqlstate = value;
    }
    put_message(out, sqlstate);
    buf_put_u8(out, 0);
    if (!out->failed)
        buf_set_u32(out, start + 1, (uint32_t)(out->len - start - 1));
}
