#include "config/node.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reading {
    struct problems *problems;
    yaml_parser_t parser;
    struct node *open[NODE_DEPTH_MAX]; /* the lists and mappings around the next node */
    size_t depth;
    struct node *root;
    unsigned documents;
    size_t nodes;
    /* A key that waits for its value. */
    bool have_key;
    struct str key;
    struct mark key_mark;
};

static struct mark
mark_of(yaml_mark_t m)
{
    return (struct mark){(unsigned)m.line + 1, (unsigned)m.column + 1};
}

static enum err
refuse(struct reading *r, struct mark at, const char *hint, const char *text)
{
    problem_error(r->problems, at, hint, "%s", text);
    return fail(ERR_INVALID, "line %u: %s", at.line, text);
}

static int
compare_keys(const void *a, const void *b)
{
    const struct node *x = *(const struct node *const *)a;
    const struct node *y = *(const struct node *const *)b;
    int order = str_compare(x->key, y->key);

    if (order != 0)
        return order;
    if (x->key_mark.line != y->key_mark.line)
        return x->key_mark.line < y->key_mark.line ? -1 : 1;
    return x->key_mark.column < y->key_mark.column ? -1 : 1;
}

static enum err
find_duplicates(struct reading *r, const struct node *mapping)
{
    const struct node **sorted = calloc(mapping->n + 1, sizeof(const struct node *));
    size_t n = 0;

    if (sorted == NULL)
        return fail(ERR_NOMEM, "no memory for %zu keys", mapping->n);
    for (const struct node *child = mapping->first; child != NULL; child = child->next)
        sorted[n++] = child;
    qsort(sorted, n, sizeof(const struct node *), compare_keys);
    for (size_t i = 1; i < n; i++)
        if (str_equal(sorted[i]->key, sorted[i - 1]->key))
            problem_error(r->problems, sorted[i]->key_mark, NULL,
                          "duplicate key %s; it is on line %u already",
                          problem_quote(r->problems, sorted[i]->key), sorted[i - 1]->key_mark.line);
    free(sorted);
    return OK;
}

static enum err
add_node(struct reading *r, enum node_kind kind, struct mark at, struct node **out)
{
    struct node *parent = r->depth == 0 ? NULL : r->open[r->depth - 1];
    struct node *n;

    if (++r->nodes > NODES_MAX)
        return refuse(r, at, NULL, "the file has too many values");
    if (parent != NULL && parent->kind == NODE_MAPPING && !r->have_key)
        return refuse(r, at, NULL, "a key must be a word, not a list or mapping");
    if ((n = arena_alloc(r->problems->arena, sizeof(*n))) == NULL)
        return fail(ERR_NOMEM, "no memory for the configuration's tree");

    *n = (struct node){.kind = kind, .mark = at, .key_mark = at, .value = STR("")};
    if (r->have_key) {
        n->key = r->key;
        n->key_mark = r->key_mark;
        r->have_key = false;
    }
    if (parent == NULL) {
        r->root = n;
    } else {
        *(parent->first == NULL ? &parent->first : &parent->last->next) = n;
        parent->last = n;
        parent->n++;
    }
    *out = n;
    return OK;
}

static enum err
open_node(struct reading *r, enum node_kind kind, struct mark at)
{
    struct node *n;
    enum err e;

    if (r->depth == NODE_DEPTH_MAX)
        return refuse(r, at, NULL, "nested too deeply");
    if ((e = add_node(r, kind, at, &n)) == OK)
        r->open[r->depth++] = n;
    return e;
}

static enum err
read_scalar(struct reading *r, const yaml_event_t *event)
{
    struct str value = {(const char *)event->data.scalar.value, event->data.scalar.length};
    const struct node *parent = r->depth == 0 ? NULL : r->open[r->depth - 1];
    struct mark at = mark_of(event->start_mark);
    struct node *n;
    enum err e;

    if (str_index(value, '\0') < value.len)
        return refuse(r, at, NULL, "a value holds a NUL byte");
    value = arena_str(r->problems->arena, value);
    if (value.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for the configuration's text");
    if (parent != NULL && parent->kind == NODE_MAPPING && !r->have_key) {
        r->have_key = true;
        r->key = value;
        r->key_mark = at;
        return OK;
    }
    if ((e = add_node(r, NODE_SCALAR, at, &n)) != OK)
        return e;
    n->value = value;
    n->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return OK;
}

static bool
has_anchor_or_tag(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL;
    default:
        return event->type == YAML_ALIAS_EVENT;
    }
}

static enum err
read_event(struct reading *r, const yaml_event_t *event)
{
    struct mark at = mark_of(event->start_mark);

    if (has_anchor_or_tag(event))
        return refuse(r, at, "write the value out where it is used",
                      "anchors (&), aliases (*) and tags (!) are not used here");
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->documents++ > 0)
            return refuse(r, at, NULL, "a second document; the file holds one only");
        return OK;
    case YAML_SCALAR_EVENT:
        return read_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(r, NODE_LIST, at);
    case YAML_MAPPING_START_EVENT:
        return open_node(r, NODE_MAPPING, at);
    case YAML_SEQUENCE_END_EVENT:
        r->depth--;
        return OK;
    case YAML_MAPPING_END_EVENT:
        return find_duplicates(r, r->open[--r->depth]);
    default:
        return OK;
    }
}

/* The place of a byte in the text. */
static struct mark
mark_of_byte(struct str text, size_t at)
{
    struct mark m = {1, 1};

    for (size_t i = 0; i < at && i < text.len; i++) {
        if (text.ptr[i] == '\n')
            m = (struct mark){m.line + 1, 1};
        else if (((unsigned char)text.ptr[i] & 0xc0) != 0x80)
            m.column++;
    }
    return m;
}

static enum err
refuse_syntax(struct reading *r, struct str text)
{
    const yaml_parser_t *parser = &r->parser;
    const char *what = parser->problem == NULL ? "not YAML" : parser->problem;
    const char *hint = NULL;

    if (parser->error == YAML_MEMORY_ERROR)
        return fail(ERR_NOMEM, "no memory to parse YAML");
    if (parser->error == YAML_READER_ERROR)
        return refuse(r, mark_of_byte(text, parser->problem_offset), NULL, what);
    if (strstr(what, "cannot start any token") != NULL)
        hint = "YAML indents with spaces, not tabs; quote a value that begins with @, ` or %";
    return refuse(r, mark_of(parser->problem_mark), hint,
                  problem_format(r->problems, "%s%s%s", what, parser->context == NULL ? "" : " ",
                                 parser->context == NULL ? "" : parser->context));
}

static enum err
read_events(struct reading *r, struct str text)
{
    for (;;) {
        yaml_event_t event;
        bool end;
        enum err e;

        if (!yaml_parser_parse(&r->parser, &event))
            return refuse_syntax(r, text);
        end = event.type == YAML_STREAM_END_EVENT;
        e = read_event(r, &event);
        yaml_event_delete(&event);
        if (end || e != OK)
            return e;
    }
}

static size_t
utf8_prefix(struct str text)
{
    size_t at = 0, len;

    while (at < text.len && (len = str_utf8_length(str_skip(text, at))) > 0)
        at += len;
    return at;
}

enum err
node_read(struct str text, struct problems *problems, struct node **root)
{
    struct reading r = {.problems = problems};
    size_t valid = utf8_prefix(text);
    enum err e;

    *root = NULL;
    if (valid < text.len)
        return refuse(&r, mark_of_byte(text, valid), NULL, "the file is not UTF-8");
    if (!yaml_parser_initialize(&r.parser))
        return fail(ERR_NOMEM, "no memory to parse YAML");
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.len == 0 ? "" : text.ptr),
                                 text.len);
    e = read_events(&r, text);
    yaml_parser_delete(&r.parser);

    if (e == OK && r.root == NULL)
        e = refuse(&r, (struct mark){1, 1}, NULL, "the file is empty");
    if (e == OK)
        *root = r.root;
    return e;
}

static bool
is_one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (str_is(s, *words))
            return true;
    return false;
}

static size_t
skip_digits(struct str s, size_t at)
{
    while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
        at++;
    return at;
}

/* YAML 1.2 §10.3.2: decimal integers and floats, 0x and 0o. */
static bool
is_number(struct str s)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
    size_t at, digits;

    if (s.len > 2 && s.ptr[0] == '0' && (s.ptr[1] == 'x' || s.ptr[1] == 'o')) {
        for (at = 2; at < s.len; at++)
            if (memchr(s.ptr[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567", s.ptr[at],
                       s.ptr[1] == 'x' ? 22 : 8) == NULL)
                return false;
        return true;
    }
    at = s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+') ? 1 : 0;
    if (is_one_of(str_skip(s, at), words))
        return true;
    digits = skip_digits(s, at) - at;
    at += digits;
    if (at < s.len && s.ptr[at] == '.') {
        size_t end = skip_digits(s, at + 1);

        digits += end - at - 1;
        at = end;
    }
    if (digits > 0 && at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        at++;
        if (at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+'))
            at++;
        if (skip_digits(s, at) == at)
            return false;
        at = skip_digits(s, at);
    }
    return digits > 0 && at == s.len;
}

enum scalar_type
node_scalar_type(const struct node *n)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const booleans[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};

    if (n->quoted)
        return SCALAR_TEXT;
    if (is_one_of(n->value, nulls))
        return SCALAR_NULL;
    if (is_one_of(n->value, booleans))
        return SCALAR_BOOLEAN;
    return is_number(n->value) ? SCALAR_NUMBER : SCALAR_TEXT;
}

const struct node *
node_get(const struct node *n, const char *key)
{
    if (n == NULL || n->kind != NODE_MAPPING)
        return NULL;
    for (const struct node *child = n->first; child != NULL; child = child->next)
        if (str_is(child->key, key))
            return child;
    return NULL;
}

const struct node *
node_next(const struct node *n, const struct node *previous)
{
    if (n == NULL)
        return NULL;
    if (n->kind != NODE_LIST)
        return previous == NULL ? n : NULL;
    return previous == NULL ? n->first : previous->next;
}
