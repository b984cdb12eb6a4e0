/* Protected columns and detectors: entries as they were written become rules. */
#include "config/check.h"

#include "mask/detect.h"

enum { PATTERN_BYTES_MAX = 1024, PARTS_MAX = 3, PATH_KEYS_MAX = PROTECT_PATH_MAX };

/* A text of parts with dots between them, of which some may be in double quotes. */
struct parts {
    struct str items[PATH_KEYS_MAX];
    size_t n;
};

/* What is read, and where it stands. */
struct place {
    struct problems *problems;
    struct mark at;
    struct str text;
    const char *rules; /* what it must be */
    size_t max;        /* parts */
};

static bool
refuse(const struct place *p, const char *hint, const char *why)
{
    problem_error(p->problems, p->at, hint, "%s %s", problem_quote(p->problems, p->text), why);
    return false;
}

static bool
end_part(const struct place *p, struct parts *out, struct str part)
{
    if (part.len == 0)
        return refuse(p, p->rules, "has an empty part");
    if (out->n == p->max)
        return refuse(p, "a name with a dot in it needs double quotes",
                      problem_format(p->problems, "has more than %zu parts", p->max));
    out->items[out->n++] = part;
    return true;
}

/* The part in quotes at the start of `*rest`, which then begins behind it. */
static bool
take_quoted(const struct place *p, struct str *rest, struct str *part)
{
    char *text = arena_text(p->problems->arena, *rest);
    size_t n = 0;

    if (text == NULL) {
        p->problems->out_of_memory = true;
        return false;
    }
    for (size_t i = 1; i < rest->len; i++) {
        if (rest->ptr[i] != '"') {
            text[n++] = rest->ptr[i];
        } else if (i + 1 < rest->len && rest->ptr[i + 1] == '"') {
            text[n++] = '"';
            i++;
        } else {
            *rest = str_skip(*rest, i + 1);
            *part = (struct str){text, n};
            return true;
        }
    }
    return refuse(p, "a quote within a name is written twice", "has no closing double quote");
}

static bool
take_plain(const struct place *p, struct str *rest, struct str *part)
{
    size_t n = str_index(*rest, '.');

    *part = (struct str){rest->ptr, n};
    *rest = str_skip(*rest, n);
    for (size_t i = 0; i < n; i++)
        if (part->ptr[i] == '"' || part->ptr[i] == ' ')
            return refuse(p,
                          "write it as 'schema.\"My Table\".column': quotes around the whole part",
                          "has a space or a quote in a part without quotes");
    return true;
}

static bool
split_parts(const struct place *p, struct parts *out)
{
    struct str rest = p->text, part;

    out->n = 0;
    if (rest.len > PATTERN_BYTES_MAX)
        return refuse(p, NULL,
                      problem_format(p->problems, "is longer than %d bytes", PATTERN_BYTES_MAX));
    for (;;) {
        bool quoted = rest.len > 0 && rest.ptr[0] == '"';

        if (!(quoted ? take_quoted(p, &rest, &part) : take_plain(p, &rest, &part)) ||
            !end_part(p, out, part))
            return false;
        if (rest.len == 0)
            return true;
        if (rest.ptr[0] != '.')
            return refuse(p, p->rules, "has something behind a closing double quote");
        rest = str_skip(rest, 1);
    }
}

static bool
read_column(struct problems *p, const struct node *n, struct protect_rule *rule)
{
    struct place place = {.problems = p,
                          .at = n->mark,
                          .text = n->value,
                          .rules = "a pattern is column, table.column or schema.table.column",
                          .max = PARTS_MAX};
    struct parts parts;

    if (!split_parts(&place, &parts))
        return false;
    rule->column = parts.items[parts.n - 1];
    rule->table = parts.n > 1 ? parts.items[parts.n - 2] : STR("*");
    rule->schema = parts.n > 2 ? parts.items[parts.n - 3] : STR("*");
    return true;
}

static bool
read_path(struct problems *p, const struct node *n, struct protect_rule *rule)
{
    struct place place = {.problems = p,
                          .at = n->mark,
                          .text = n->value,
                          .rules = "a path is keys with dots between, such as card.number",
                          .max = PATH_KEYS_MAX};
    struct parts parts;
    struct str *keys;

    if (!split_parts(&place, &parts))
        return false;
    if ((keys = arena_array(p->arena, parts.n, sizeof(*keys))) == NULL) {
        p->out_of_memory = true;
        return false;
    }
    memcpy(keys, parts.items, parts.n * sizeof(*keys));
    rule->path = keys;
    rule->n_path = parts.n;
    return true;
}

/* The kind of a mask written as a mapping is in its key. */
static void
complete_mask(struct problems *p, const struct config_resource *resource, const struct node *entry,
              struct mask_rule *mask)
{
    const struct node *written = node_get(entry, "mask"), *fixed = node_get(written, "fixed");

    if (node_get(written, "partial") != NULL)
        mask->kind = MASK_PARTIAL;
    else if (fixed != NULL)
        mask->kind = MASK_FIXED;
    if (fixed != NULL && fixed->value.len > PATTERN_BYTES_MAX)
        problem_error(p, fixed->mark, NULL, "'fixed' is longer than %d bytes", PATTERN_BYTES_MAX);
    if (mask->kind == MASK_HASH && resource->mask_key.source == SECRET_NONE)
        problem_error(p, written->mark, "add \"mask_key: {file: /path/of/it}\" to the resource",
                      "mask 'hash' needs a 'mask_key'");
}

/* All rules of one entry: each column with each path. Appends to the `*n` of at most `max`. */
static void
expand_entry(struct problems *p, const struct config_protect *entry, const struct node *node,
             struct protect_rule *rules, size_t max, size_t *n)
{
    const struct node *columns = node_get(node, "columns"), *paths = node_get(node, "paths");

    for (const struct node *column = NULL; (column = node_next(columns, column)) != NULL;) {
        struct protect_rule rule = {
            .mask = entry->mask, .lookup = entry->lookup, .write = entry->write};

        if (column->kind != NODE_SCALAR || column->value.len == 0 || !read_column(p, column, &rule))
            continue;
        if (paths == NULL && *n < max)
            rules[(*n)++] = rule;
        for (const struct node *path = NULL; (path = node_next(paths, path)) != NULL;)
            if (path->kind == NODE_SCALAR && path->value.len > 0 && *n < max &&
                read_path(p, path, &rule))
                rules[(*n)++] = rule;
    }
}

/* How many rules the entries become; false: too many. */
static bool
count_rules(struct problems *p, const struct config_resource *resource, const struct node *list,
            size_t *max)
{
    *max = 0;
    for (size_t i = 0; i < resource->n_protect_entries; i++) {
        const struct config_protect *entry = &resource->protect_entries[i];

        if (entry->columns.n > PROTECT_RULES_MAX || entry->paths.n > PROTECT_RULES_MAX)
            *max = PROTECT_RULES_MAX + 1;
        else
            *max += entry->columns.n * (entry->paths.n == 0 ? 1 : entry->paths.n);
        if (*max > PROTECT_RULES_MAX) {
            problem_error(p, list->key_mark, "a pattern may stand for many columns",
                          "'protect' has more than %d columns and paths", PROTECT_RULES_MAX);
            return false;
        }
    }
    return true;
}

static void
check_protect(struct problems *p, struct config_resource *resource, const struct node *node)
{
    const struct node *list = node_get(node, "protect"), *entry = NULL;
    struct config_protect *entries = (struct config_protect *)resource->protect_entries;
    struct protect_rule *rules = NULL;
    bool hashes = false;
    size_t max, n = 0;

    if (!count_rules(p, resource, list, &max))
        return;
    if (max > 0 && (rules = arena_array(p->arena, max, sizeof(*rules))) == NULL) {
        p->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < resource->n_protect_entries; i++) {
        entry = node_next(list, entry);
        complete_mask(p, resource, entry, &entries[i].mask);
        hashes |= entries[i].mask.kind == MASK_HASH;
        if (max > 0)
            expand_entry(p, &entries[i], entry, rules, max, &n);
    }
    if (n > 0)
        resource->protect = rules;
    resource->n_protect = n;
    if (resource->mask_key.source != SECRET_NONE && !hashes)
        problem_warning(p, node_get(node, "mask_key")->key_mark, NULL,
                        "'mask_key' has no effect without \"mask: hash\"");
}

/* Detectors */

static bool
is_builtin(struct str name)
{
    size_t i = 0;

    while (detect_builtin[i] != NULL && !str_is(name, detect_builtin[i]))
        i++;
    return detect_builtin[i] != NULL;
}

/* Whether the pattern is one is seen here, where the file and the line are known. */
static void
check_pattern(struct problems *p, const struct detect_rule *rule, const struct node *pattern)
{
    struct detectors *compiled = NULL;
    enum err e = detectors_compile(rule, 1, &compiled);

    if (e == ERR_NOMEM)
        p->out_of_memory = true;
    else if (e != OK)
        problem_error(p, pattern->mark, NULL, "%s", err_text());
    detectors_free(compiled);
}

static void
check_own_detector(struct problems *p, const struct detect_rule *rule, const struct node *node)
{
    const struct node *name = node_get(node, "name"), *pattern = node_get(node, "pattern");

    if (name != NULL && is_builtin(rule->name))
        problem_error(p, name->mark, "give yours another name",
                      "%s is the name of a built-in detector", problem_quote(p, rule->name));
    if (pattern != NULL && rule->pattern.len > 0)
        check_pattern(p, rule, pattern);
}

static void
check_detect(struct problems *p, const struct config_resource *resource, const struct node *node)
{
    const struct node *list = node_get(node, "detect"), *item = NULL;

    if (resource->n_detect > DETECT_RULES_MAX)
        problem_error(p, list->key_mark, NULL, "'detect' has more than %d entries",
                      DETECT_RULES_MAX);
    for (size_t i = 0; i < resource->n_detect && i < DETECT_RULES_MAX; i++) {
        const struct detect_rule *rule = &resource->detect[i];

        if ((item = node_next(list, item)) == NULL)
            return;
        if (item->kind == NODE_MAPPING)
            check_own_detector(p, rule, item);
        for (size_t k = 0; k < i && rule->name.len > 0; k++)
            if (str_equal(rule->name, resource->detect[k].name)) {
                problem_error(p, item->mark, NULL, "a second detector called %s",
                              problem_quote(p, rule->name));
                break;
            }
    }
}

void
check_protection(struct problems *p, struct config_resource *resource, const struct node *node)
{
    check_protect(p, resource, node);
    check_detect(p, resource, node);
}
