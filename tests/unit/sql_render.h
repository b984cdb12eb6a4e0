/* Facts as text, for tests: "effect,class,… kind schema.name; …". */
#ifndef SQL_RENDER_H
#define SQL_RENDER_H

#include "base/buf.h"
#include "command/command.h"

static inline void
render_demand(const struct demand *d, struct buf *out)
{
    bool first = true;

    for (int i = 0; i < COMMAND_CLASS_COUNT; i++)
        if ((d->classes & CLASS_BIT(i)) != 0) {
            buf_put_text(out, first ? "" : ",");
            buf_put_text(out, class_infos[i].name);
            first = false;
        }
    if (d->kind == OBJECT_NONE)
        return;
    buf_printf(out, " %s ", object_kind_name(d->kind));
    if (d->schema.len > 0)
        buf_printf(out, "%.*s.", STR_ARG(d->schema));
    buf_put_str(out, d->name);
}

static inline void
render_demands(const struct demand *demands, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_put_text(out, "; ");
        render_demand(&demands[i], out);
    }
}

#endif
