#include "control/dry_run_text.h"

#include <yaml.h>

enum { NOT_FOUND = -1 };

/* Lines [first, end) of a text, from 0. */
struct lines {
    long first, end;
};

static void
begin(yaml_parser_t *parser, struct str text)
{
    yaml_parser_set_input_string(parser, (const unsigned char *)text.ptr, text.len);
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
}

/* Follows the events of one value; `*end` is the mark behind it. False on an error. */
static bool
skip_value(yaml_parser_t *parser, yaml_mark_t *end)
{
    unsigned depth = 0;

    do {
        yaml_event_t event;

        if (!yaml_parser_parse(parser, &event))
            return false;
        if (event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT)
            depth++;
        if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT)
            depth--;
        *end = event.end_mark;
        yaml_event_delete(&event);
    } while (depth > 0);
    return true;
}

/* Skips to the first value of the document. */
static bool
next_root(yaml_parser_t *parser, yaml_event_t *event)
{
    for (;;) {
        if (!yaml_parser_parse(parser, event))
            return false;
        if (event->type != YAML_STREAM_START_EVENT && event->type != YAML_DOCUMENT_START_EVENT)
            return true;
        yaml_event_delete(event);
    }
}

static bool
is_key(const yaml_event_t *event, struct str key)
{
    return event->type == YAML_SCALAR_EVENT &&
           str_equal(
               (struct str){(const char *)event->data.scalar.value, event->data.scalar.length},
               key);
}

/* The lines of the root's member `policies`. */
static enum err
find_in_root(yaml_parser_t *parser, struct lines *out)
{
    yaml_event_t event;
    yaml_mark_t end;

    while (yaml_parser_parse(parser, &event)) {
        bool found = is_key(&event, STR("policies"));
        bool over = event.type == YAML_MAPPING_END_EVENT || event.type == YAML_STREAM_END_EVENT;
        long first = (long)event.start_mark.line;

        yaml_event_delete(&event);
        if (over)
            return OK;
        if (!skip_value(parser, &end))
            break;
        if (found) {
            *out = (struct lines){first, (long)end.line + (end.column > 0)};
            return OK;
        }
    }
    return fail(ERR_INVALID, "the configuration in force cannot be read");
}

static enum err
find_policies(struct str config, struct lines *out)
{
    yaml_parser_t parser;
    yaml_event_t root;
    enum err e;

    *out = (struct lines){NOT_FOUND, NOT_FOUND};
    if (!yaml_parser_initialize(&parser))
        return fail(ERR_NOMEM, "no memory to read YAML");
    begin(&parser, config);
    if (!next_root(&parser, &root)) {
        e = fail(ERR_INVALID, "the configuration in force cannot be read");
    } else {
        if (root.type == YAML_MAPPING_START_EVENT &&
            root.data.mapping_start.style == YAML_FLOW_MAPPING_STYLE)
            e = fail(ERR_UNSUPPORTED, "the configuration in force is one {…}: its policies cannot "
                                      "be replaced for a dry run");
        else
            e = find_in_root(&parser, out);
        yaml_event_delete(&root);
    }
    yaml_parser_delete(&parser);
    return e;
}

/* Whether the text is a list and not a mapping. */
static bool
is_list(struct str policies)
{
    yaml_parser_t parser;
    yaml_event_t root;
    bool list = false;

    if (!yaml_parser_initialize(&parser))
        return false;
    begin(&parser, policies);
    if (next_root(&parser, &root)) {
        list = root.type == YAML_SEQUENCE_START_EVENT;
        yaml_event_delete(&root);
    }
    yaml_parser_delete(&parser);
    return list;
}

/* Where a document begins: not again in the middle of ours. */
static bool
is_document_mark(struct str line)
{
    return str_starts(line, STR("---")) || str_starts(line, STR("...")) ||
           str_starts(line, STR("%"));
}

static void
put_without(struct str text, const struct lines *cut, bool marks, struct buf *out)
{
    for (long number = 0; text.len > 0; number++) {
        struct str line;

        text = str_cut(text, '\n', &line);
        if (number >= cut->first && number < cut->end)
            continue;
        if (marks || !is_document_mark(line))
            buf_put_str(out, line);
        buf_put_u8(out, '\n');
    }
}

enum err
dry_run_text(struct str config, struct str policies, struct buf *out, unsigned *shift)
{
    static const struct lines nothing = {NOT_FOUND, NOT_FOUND};
    struct lines cut;
    enum err e;

    if ((e = find_policies(config, &cut)) != OK)
        return e;
    *shift = is_list(policies);
    if (*shift > 0)
        buf_put_text(out, "policies:\n");
    put_without(policies, &nothing, false, out);
    put_without(config, &cut, false, out);
    return buf_ok(out);
}

void
dry_run_report(struct str report, struct str name, unsigned shift, unsigned lines, struct buf *out)
{
    while (report.len > 0) {
        struct str line, head, rest;
        uint64_t number;

        report = str_cut(report, '\n', &line);
        rest = str_skip(line, name.len + 1);
        if (str_starts(line, name) && line.len > name.len && line.ptr[name.len] == ':') {
            rest = str_cut(rest, ':', &head);
            if (str_to_uint(head, UINT32_MAX, &number) && number > shift) {
                buf_put_str(out, name);
                if (number > lines + shift)
                    buf_put_text(out, " (in the rest of the configuration): ");
                else
                    buf_printf(out, ":%llu:", (unsigned long long)number - shift);
                buf_put_str(out, rest);
                buf_put_u8(out, '\n');
                continue;
            }
        }
        buf_put_str(out, line);
        buf_put_u8(out, '\n');
    }
}
