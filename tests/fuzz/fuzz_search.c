/* A query of the ledger as people type it ("key=value" lines), against a line that follows an empty
 * one: what the quick look says must be what the whole look says. */
#include <stdlib.h>

#include "base/json.h"
#include "control/search.h"
#include "ledger/fields.h"
#include "ledger/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_query(struct str text, struct arena *arena, struct search_query *q)
{
    while (text.len > 0) {
        struct str line, key;

        text = str_cut(text, '\n', &line);
        line = str_cut(line, '=', &key);
        err_ignore(search_query_set(q, arena, key, line, INT64_C(1769846400000000)));
    }
}

/* A line of ours that says what the input says, as base/json.h writes it. */
static void
write_line(struct str text, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    json_field_text(&j, "time", "2026-01-31T08:00:00.000000Z");
    json_field_str(&j, "type", text);
    json_field_str(&j, "session", text);
    json_field_str(&j, "subject", text);
    json_field_str(&j, "resource", text);
    json_field_str(&j, "verdict", text);
    json_field_str(&j, "statement", text);
    json_key(&j, "facts");
    json_open(&j, '[');
    json_open(&j, '{');
    json_field_text(&j, "kind", "relation");
    json_field_str(&j, "schema", text);
    json_field_str(&j, "name", text);
    json_close(&j, '}');
    json_close(&j, ']');
    json_close(&j, '}');
}

/* Goes through members as far as they can be read. */
static void
read_members(struct str text)
{
    struct fields fields = fields_of(text);
    struct buf scratch = buf_make(1 << 16);
    struct str key, value, element, decoded;

    while (fields_next(&fields, &key, &value)) {
        if (value.ptr < text.ptr || value.ptr + value.len > text.ptr + text.len)
            abort();
        (void)fields_text(value, &scratch, &decoded);
        for (struct str rest = value; fields_next_element(&rest, &element);)
            (void)fields_text(element, &scratch, &decoded);
    }
    buf_free(&scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size}, query = input, said;
    struct arena *arena = arena_new(1 << 20);
    struct buf line = buf_make(1 << 24);
    struct search_query q = {0};
    json_t *record;

    if (arena == NULL)
        abort();
    for (size_t i = 0; i + 1 < size; i++)
        if (input.ptr[i] == '\n' && input.ptr[i + 1] == '\n') {
            query.len = i;
            break;
        }
    said = str_skip(input, query.len + 2);
    read_query(query, arena, &q);
    read_members(said);
    write_line(said, &line);
    record = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, NULL);
    if (record == NULL)
        abort();
    if (ledger_filter_matches(&q.filter, record) &&
        !ledger_filter_may_match(&q.filter, buf_str(&line)))
        abort();
    json_decref(record);
    buf_free(&line);
    arena_free(arena);
    return 0;
}
