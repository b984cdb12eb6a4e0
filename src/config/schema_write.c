/* The tables as a JSON Schema and as the reference in Markdown. */
#include "config/schema.h"

#include "base/json.h"

#include <stdio.h>

enum { PATH_BYTES = 128, SCHEMA_BYTES_MAX = 4 << 20 };

static void write_field(struct json *j, const struct schema_field *f);
static void write_object(struct json *j, const struct schema_object *o);

static void
write_words(struct json *j, const char *const *words)
{
    json_key(j, "enum");
    json_open(j, '[');
    for (; *words != NULL; words++)
        json_str(j, str_from(*words));
    json_close(j, ']');
}

static void
write_scalar(struct json *j, const struct schema_field *f)
{
    if (f->type->json_type == NULL) {
        json_key(j, "type");
        json_raw(j, STR("[\"string\",\"number\",\"boolean\"]"));
        return;
    }
    json_field_text(j, "type", f->type->json_type);
    if (f->words != NULL)
        write_words(j, f->words);
    else if (f->type->pattern != NULL)
        json_field_text(j, "pattern", f->type->pattern);
    else if (strcmp(f->type->json_type, "string") == 0)
        json_field_uint(j, "minLength", 1);
    if (strcmp(f->type->json_type, "integer") == 0) {
        json_field_uint(j, "minimum", f->min);
        json_field_uint(j, "maximum", f->max);
    }
}

static void
write_secret(struct json *j)
{
    static const char *const sources[] = {"file", "env", NULL};

    json_key(j, "anyOf");
    json_open(j, '[');
    json_raw(j, STR("{\"type\":\"string\",\"minLength\":1}"));
    for (const char *const *source = sources; *source != NULL; source++) {
        json_open(j, '{');
        json_field_text(j, "type", "object");
        json_key(j, "properties");
        json_open(j, '{');
        json_key(j, *source);
        json_raw(j, STR("{\"type\":\"string\",\"minLength\":1}"));
        json_close(j, '}');
        json_key(j, "required");
        json_open(j, '[');
        json_str(j, str_from(*source));
        json_close(j, ']');
        json_field_bool(j, "additionalProperties", false);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void
write_array(struct json *j, const struct schema_field *f)
{
    json_field_text(j, "type", "array");
    json_key(j, "items");
    write_field(j, f->item);
    if (f->min > 0)
        json_field_uint(j, "minItems", f->min);
}

static void
write_list(struct json *j, const struct schema_field *f)
{
    if (f->item->type->shape != SHAPE_SCALAR && f->item->type->shape != SHAPE_VARIANT) {
        write_array(j, f);
        return;
    }
    json_key(j, "anyOf");
    json_open(j, '[');
    if (f->item->type->shape == SHAPE_VARIANT) {
        json_open(j, '{');
        write_words(j, f->item->words);
        json_close(j, '}');
    } else {
        write_field(j, f->item);
    }
    json_open(j, '{');
    write_array(j, f);
    json_close(j, '}');
    json_close(j, ']');
}

static void
write_mapping(struct json *j, const struct schema_field *f)
{
    json_field_text(j, "type", "object");
    json_key(j, "propertyNames");
    write_field(j, f->key);
    json_key(j, "additionalProperties");
    write_field(j, f->item);
    if (f->min > 0)
        json_field_uint(j, "minProperties", f->min);
}

static void
write_either(struct json *j, const struct schema_field *f)
{
    json_key(j, "anyOf");
    json_open(j, '[');
    write_field(j, f->mapping);
    write_field(j, f->list);
    json_close(j, ']');
}

/* `null` as a word is what YAML takes for null, unless it is in quotes. */
static void
write_variant(struct json *j, const struct schema_field *f)
{
    bool null = false;

    json_key(j, "anyOf");
    json_open(j, '[');
    json_open(j, '{');
    write_words(j, f->words);
    json_close(j, '}');
    for (const char *const *word = f->words; *word != NULL; word++)
        null |= strcmp(*word, "null") == 0;
    if (null)
        json_raw(j, STR("{\"type\":\"null\"}"));
    json_open(j, '{');
    write_object(j, f->object);
    json_close(j, '}');
    json_close(j, ']');
}

static void
write_required(struct json *j, const struct schema_object *o)
{
    bool any = false;

    for (const struct schema_field *f = o->fields; f->name != NULL; f++) {
        if (!f->required)
            continue;
        if (!any) {
            json_key(j, "required");
            json_open(j, '[');
        }
        any = true;
        json_str(j, str_from(f->name));
    }
    if (any)
        json_close(j, ']');
}

/* {"required": [key]} */
static void
write_has_key(struct json *j, const char *key)
{
    json_open(j, '{');
    json_key(j, "required");
    json_open(j, '[');
    json_str(j, str_from(key));
    json_close(j, ']');
    json_close(j, '}');
}

static void
write_needs(struct json *j, const struct schema_need *need)
{
    json_key(j, "dependentSchemas");
    json_open(j, '{');
    for (; need->key != NULL; need++) {
        json_key(j, need->key);
        json_open(j, '{');
        json_key(j, "anyOf");
        json_open(j, '[');
        for (const char *const *key = need->needs; *key != NULL; key++)
            write_has_key(j, *key);
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, '}');
}

static void
write_key_rules(struct json *j, const struct schema_object *o)
{
    if (o->not_empty)
        json_field_uint(j, "minProperties", 1);
    if (o->exactly_one != NULL) {
        json_key(j, "oneOf");
        json_open(j, '[');
        for (const char *const *key = o->exactly_one; *key != NULL; key++)
            write_has_key(j, *key);
        json_close(j, ']');
    }
    if (o->needs != NULL)
        write_needs(j, o->needs);
}

static void
write_object(struct json *j, const struct schema_object *o)
{
    json_field_text(j, "type", "object");
    json_key(j, "properties");
    json_open(j, '{');
    for (const struct schema_field *f = o->fields; f->name != NULL; f++) {
        json_key(j, f->name);
        write_field(j, f);
    }
    json_close(j, '}');
    write_required(j, o);
    write_key_rules(j, o);
    json_field_bool(j, "additionalProperties", false);
}

static void
write_fallback(struct json *j, const struct schema_field *f)
{
    struct str item, rest = str_from(f->fallback);

    json_key(j, "default");
    if (f->type == &type_boolean || f->type == &type_integer) {
        json_raw(j, rest);
    } else if (f->type->shape == SHAPE_LIST) {
        json_open(j, '[');
        do {
            rest = str_trim(str_cut(rest, ',', &item));
            json_str(j, item);
        } while (rest.len > 0);
        json_close(j, ']');
    } else {
        json_str(j, rest);
    }
}

static void
write_shape(struct json *j, const struct schema_field *f)
{
    switch (f->type->shape) {
    case SHAPE_SCALAR:
        write_scalar(j, f);
        break;
    case SHAPE_SECRET:
        write_secret(j);
        break;
    case SHAPE_VARIANT:
        write_variant(j, f);
        break;
    case SHAPE_OBJECT:
        write_object(j, f->object);
        break;
    case SHAPE_LIST:
    case SHAPE_SET:
        write_list(j, f);
        break;
    case SHAPE_MAPPING:
        write_mapping(j, f);
        break;
    case SHAPE_EITHER:
        write_either(j, f);
        break;
    }
}

static void
write_field(struct json *j, const struct schema_field *f)
{
    json_open(j, '{');
    if (f->doc != NULL)
        json_field_text(j, "description", f->doc);
    write_shape(j, f);
    if (f->fallback != NULL)
        write_fallback(j, f);
    json_close(j, '}');
}

static void
new_line(struct buf *out, unsigned depth)
{
    buf_put_u8(out, '\n');
    while (depth-- > 0)
        buf_put_text(out, "  ");
}

/* Whether the list that starts `rest` holds only words, and so may stay on one line. */
static bool
is_flat_list(struct str rest)
{
    size_t end = str_index(rest, ']');

    return rest.ptr[0] == '[' && memchr(rest.ptr, '{', end) == NULL && end < 90;
}

/* One line of JSON → many, for people and for diffs. */
static void
indent(struct str json, struct buf *out)
{
    unsigned depth = 0, flat = 0;
    bool in_string = false;

    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        bool opens = !in_string && (c == '{' || c == '['),
             closes = !in_string && (c == '}' || c == ']');

        if (closes && flat == 0)
            new_line(out, --depth);
        buf_put_u8(out, (uint8_t)c);
        if (closes && flat > 0)
            flat--;
        else if (opens && (flat > 0 || is_flat_list(str_skip(json, i))))
            flat++;
        else if (opens || (!in_string && c == ',' && flat == 0))
            new_line(out, opens ? ++depth : depth);
        else if (!in_string && (c == ':' || c == ','))
            buf_put_u8(out, ' ');
        if (in_string && c == '\\' && i + 1 < json.len)
            buf_put_u8(out, (uint8_t)json.ptr[++i]);
        else if (c == '"')
            in_string = !in_string;
    }
    buf_put_u8(out, '\n');
}

void
config_write_json_schema(struct buf *out)
{
    struct buf line = buf_make(SCHEMA_BYTES_MAX);
    struct json j = json_to(&line);

    json_open(&j, '{');
    json_field_text(&j, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_field_text(&j, "title", "Bulkhead's configuration file");
    json_field_text(&j, "description", schema_config.doc);
    write_object(&j, &schema_config);
    json_close(&j, '}');
    if (buf_ok(&line) == OK)
        indent(buf_str(&line), out);
    else
        out->failed = true;
    buf_free(&line);
}

/* The reference */

static void
describe_words(struct buf *out, const char *const *words)
{
    for (const char *const *word = words; *word != NULL; word++)
        buf_printf(out, "%s`%s`", word == words ? "" : word[1] == NULL ? " or " : ", ", *word);
}

static void
describe_value(struct buf *out, const struct schema_field *f)
{
    char range[SCHEMA_RANGE_BYTES];
    const struct schema_field *item = f->item;

    switch (f->type->shape) {
    case SHAPE_LIST:
    case SHAPE_SET:
        buf_put_text(out, "list of ");
        if (item->type == &type_class)
            buf_put_text(out, "[command classes](command-classes.md)");
        else if (item->type->shape == SHAPE_OBJECT)
            buf_put_text(out, "mappings");
        else
            describe_value(out, item);
        return;
    case SHAPE_MAPPING:
        buf_printf(out, "mapping of %s to ", f->key->type->name);
        describe_value(out, item);
        return;
    default:
        if (f->words != NULL)
            describe_words(out, f->words);
        else
            buf_put_text(out, f->type->name);
        if (f->type->shape == SHAPE_VARIANT)
            buf_put_text(out, ", or a mapping");
        if (f->max != 0)
            buf_printf(out, ", %s", schema_range(f, range));
    }
}

/* A cell of a table: what would end it is escaped. */
static void
put_cell(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)*text);
    }
}

static void
write_row(struct buf *out, const struct schema_field *f)
{
    buf_printf(out, "| `%s` | ", f->name);
    describe_value(out, f);
    if (f->required)
        buf_put_text(out, " | **required** | ");
    else if (f->fallback != NULL)
        buf_printf(out, " | `%s` | ", f->fallback);
    else
        buf_put_text(out, " | | ");
    put_cell(out, f->doc);
    if (f->example != NULL && f->type->shape != SHAPE_OBJECT && f->words == NULL &&
        f->type != &type_boolean) {
        buf_put_text(out, " Example: `");
        put_cell(out, f->example);
        buf_put_u8(out, '`');
    }
    buf_put_text(out, " |\n");
}

/* What the values of a list, mapping or either are, if they are objects. */
static const struct schema_object *
object_within(const struct schema_field *f)
{
    while (f->type->shape != SHAPE_OBJECT && f->type->shape != SHAPE_VARIANT) {
        f = f->type->shape == SHAPE_EITHER ? f->list : f->item;
        if (f == NULL)
            return NULL;
    }
    return f->object;
}

static void
write_key_rules_text(struct buf *out, const struct schema_object *o)
{
    if (o->exactly_one != NULL) {
        buf_put_text(out, "\nExactly one of ");
        describe_words(out, o->exactly_one);
        buf_put_text(out, " is required.");
    }
    for (const struct schema_need *need = o->needs; need != NULL && need->key != NULL; need++) {
        buf_printf(out, "%s`%s` needs ", need == o->needs && o->exactly_one == NULL ? "\n" : " ",
                   need->key);
        describe_words(out, need->needs);
        buf_put_text(out, " beside it.");
    }
    if (o->exactly_one != NULL || o->needs != NULL)
        buf_put_u8(out, '\n');
}

static void
write_section(struct buf *out, const char *path, const struct schema_object *o)
{
    char below[PATH_BYTES];

    buf_printf(out, "\n## %s%s%s\n\n%s\n\n", path[0] == '\0' ? "The file" : "`", path,
               path[0] == '\0' ? "" : "`", o->doc);
    buf_put_text(out, "| key | value | default | meaning |\n|---|---|---|---|\n");
    for (const struct schema_field *f = o->fields; f->name != NULL; f++)
        write_row(out, f);
    write_key_rules_text(out, o);
    for (const struct schema_field *f = o->fields; f->name != NULL; f++) {
        const struct schema_object *within = object_within(f);

        if (within == NULL)
            continue;
        snprintf(below, sizeof(below), "%s%s%s%s", path, path[0] == '\0' ? "" : ".", f->name,
                 f->type->shape == SHAPE_OBJECT    ? ""
                 : f->type->shape == SHAPE_VARIANT ? ""
                 : f->type->shape == SHAPE_MAPPING ? ".NAME"
                                                   : "[]");
        write_section(out, below, within);
    }
}

/* The kinds of values, in the words in which errors describe them. */
static void
write_types(struct buf *out)
{
    static const struct schema_type *const types[] = {
        &type_name,     &type_address, &type_listen, &type_url,   &type_duration,
        &type_size,     &type_network, &type_time,   &type_day,   &type_claim_path,
        &type_glob,     &type_value,   &type_secret, &type_key,   &type_column,
        &type_key_path, &type_regex,   &type_relay,  &type_email,
    };

    buf_put_text(out, "\n## Values\n\n| value | written as |\n|---|---|\n");
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        buf_printf(out, "| %s | ", types[i]->name);
        put_cell(out, types[i]->expects);
        buf_put_text(out, " |\n");
    }
    buf_put_text(
        out,
        "\nIn a pattern `*` stands for any characters, also none, and `?` for one. Text that looks "
        "like a number, or like\n`true`, `false` or `null`, needs quotes. A secret that is "
        "written out gives a warning.\n");
}

void
config_write_reference(struct buf *out)
{
    buf_put_text(
        out, "# Configuration reference\n\n"
             "Made by `bulkhead schema --markdown` from the same table that validates; do not "
             "edit it by hand.\n"
             "`bulkhead schema --json` writes a JSON Schema for editors "
             "([bulkhead.schema.json](bulkhead.schema.json)); with it as the first line of the "
             "file, many editors\ncomplete and check while you type:\n\n"
             "    # yaml-language-server: $schema=/usr/share/doc/bulkhead/bulkhead.schema.json\n\n"
             "`bulkhead check --config FILE` says all that is wrong with a file, with line, "
             "column and a hint.\n");
    write_section(out, "", &schema_config);
    write_types(out);
}
