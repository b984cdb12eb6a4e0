/* A lineage in words: each output column with what is hidden of it, or the refusal. */
#ifndef LINEAGE_TEXT_H
#define LINEAGE_TEXT_H

#include "sql/lineage.h"

static inline void
put_hidden(struct buf *out, const struct sql_hidden *h)
{
    switch (h->how) {
    case SQL_HIDE_NOTHING:
        buf_put_text(out, "-");
        break;
    case SQL_HIDE_ALL:
        buf_put_text(out, mask_kind_name(h->rule->kind));
        break;
    case SQL_HIDE_JSON:
        buf_put_text(out, "json");
        for (size_t i = 0; i < h->n; i++) {
            buf_put_text(out, "[");
            for (size_t k = 0; k < h->paths[i].n_keys; k++)
                buf_printf(out, "%s%.*s", k == 0 ? "" : ".", STR_ARG(h->paths[i].keys[k]));
            buf_put_text(out, "]");
        }
        break;
    case SQL_HIDE_FIELDS:
        for (size_t i = 0; i < h->n; i++) {
            buf_put_text(out, i == 0 ? "(" : ",");
            put_hidden(out, &h->fields[i]);
        }
        buf_put_text(out, ")");
        break;
    }
}

static inline void
put_output(struct buf *out, const struct sql_output *o)
{
    static const char *const kinds[] = {[SQL_OUTPUT_NONE] = "none",
                                        [SQL_OUTPUT_ROWS] = "",
                                        [SQL_OUTPUT_COPY] = "copy ",
                                        [SQL_OUTPUT_CURSOR] = "cursor ",
                                        [SQL_OUTPUT_PREPARED] = "prepared "};

    buf_put_text(out, kinds[o->kind]);
    if (o->declares)
        buf_printf(out, "%s%s", o->prepares ? "prepares " : "declares ", o->holds ? "held " : "");
    if (o->closes)
        buf_put_text(out, " closes ");
    buf_put_str(out, o->name);
    for (size_t i = 0; i < o->n; i++) {
        if (i > 0 || o->name.len > 0)
            buf_put_text(out, " ");
        buf_printf(out, "%.*s=", STR_ARG(o->columns[i].name));
        put_hidden(out, &o->columns[i].hidden);
    }
    if (o->open)
        buf_put_text(out, "...");
}

static inline void
put_lineage(struct buf *out, const struct sql_lineage *l)
{
    if (l->refusal.len > 0) {
        if (l->sqlstate.len > 0)
            buf_printf(out, "%.*s: ", STR_ARG(l->sqlstate));
        else if (l->refused.len > 0)
            buf_printf(out, "refused %.*s: ", STR_ARG(l->refused));
        else
            buf_put_text(out, "refused: ");
        buf_put_str(out, l->refusal);
        return;
    }
    for (size_t i = 0; i < l->n_outputs; i++) {
        if (i > 0)
            buf_put_text(out, " | ");
        put_output(out, &l->outputs[i]);
    }
}

#endif
