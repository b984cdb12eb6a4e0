#include "policy/limits.h"
#include "policy/residual.h"

enum {
    EXCEPT_MAX = 140,      /* bytes for what is denied */
    RULES_LOOKED_AT = 256, /* merging compares each with each */
};

/* A line that stops at its maximum and remembers where it was last complete. */
struct line {
    char text[RESIDUAL_DESCRIPTION_MAX];
    size_t len, max, complete;
    bool full;
};

static void
put(struct line *line, struct str s)
{
    if (line->full || s.len > line->max - line->len) {
        line->full = true;
        return;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        line->text[line->len++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
}

static void
put_text(struct line *line, const char *text)
{
    put(line, str_from(text));
}

/* Goes back to the last complete part, and says that there was more. */
static void
close_line(struct line *line, const char *more)
{
    if (!line->full)
        return;
    line->len = line->complete;
    line->full = false;
    line->max += strlen(more);
    put_text(line, more);
}

static void
put_classes(struct line *line, class_set classes)
{
    const char *separator = "";

    if (classes == 0)
        put_text(line, "anything");
    for (class_set left = classes; left != 0; left &= left - 1) {
        put_text(line, separator);
        put_text(line, class_infos[__builtin_ctzll(left)].name);
        separator = ", ";
    }
}

static void
put_patterns(struct line *line, const char *before, struct pattern_list list)
{
    for (size_t i = 0; i < list.n; i++) {
        put_text(line, i == 0 ? before : ", ");
        put(line, list.items[i].text);
    }
}

static const char *
put_objects(struct line *line, const char *before, struct object_pattern_list list,
            const char *after)
{
    for (size_t i = 0; i < list.n; i++) {
        put_text(line, before);
        if (list.items[i].schema.text.len != 0) {
            put(line, list.items[i].schema.text);
            put_text(line, ".");
        }
        put(line, list.items[i].name.text);
        put_text(line, after);
        before = ", ";
    }
    return before;
}

static bool
patterns_are_equal(struct pattern_list a, struct pattern_list b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (!str_equal(a.items[i].text, b.items[i].text))
            return false;
    return true;
}

static bool
objects_are_equal(struct object_pattern_list a, struct object_pattern_list b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (!str_equal(a.items[i].schema.text, b.items[i].schema.text) ||
            !str_equal(a.items[i].name.text, b.items[i].name.text))
            return false;
    return true;
}

static bool
limits_are_equal(const struct limits *a, const struct limits *b)
{
    for (int i = 0; i < LIMIT_NUMBERS; i++)
        if (limits_number(a, i) != limits_number(b, i))
            return false;
    return a->require_where == b->require_where && a->read_only == b->read_only;
}

/* Whether two rules differ in nothing but their classes, as far as the line tells. */
static bool
is_same_but_classes(const struct residual_rule *a, const struct residual_rule *b)
{
    return a->verdict == b->verdict && patterns_are_equal(a->databases, b->databases) &&
           patterns_are_equal(a->schemas, b->schemas) && objects_are_equal(a->tables, b->tables) &&
           objects_are_equal(a->functions, b->functions) &&
           limits_are_equal(&a->limits, &b->limits);
}

/* Where there is room: that something is allowed says more than how much. */
static void
put_limits(struct line *line, const struct limits *limits)
{
    struct buf text = buf_make(LIMITS_TEXT_MAX);

    buf_put_text(&text, " (");
    limits_write(limits, &text);
    buf_put_text(&text, ")");
    if (text.len <= line->max - line->len)
        put(line, buf_str(&text));
    buf_free(&text);
}

static void
put_rule(struct line *line, const struct residual_rule *rule, class_set classes)
{
    const char *before = " on ";

    put_classes(line, classes);
    before = put_objects(line, before, rule->tables, "");
    put_objects(line, before, rule->functions, "()");
    put_patterns(line, " in schema ", rule->schemas);
    put_patterns(line, " in database ", rule->databases);
    if (rule->verdict == VERDICT_STEP_UP)
        put_text(line, " (after approval)");
    else if (rule->verdict == VERDICT_DEFER)
        put_text(line, " (with a purpose)");
    else if (rule->verdict == VERDICT_MODIFY)
        put_text(line, " (with changes)");
    if (rule->has_limits)
        put_limits(line, &rule->limits);
}

/* The rules that are told, weakest verdict first as people read them. */
struct told {
    const struct residual_rule *rules[RULES_LOOKED_AT];
    size_t n;
    bool more;
};

static void
choose_rules(const struct residual *r, struct rule_moment moment, struct told *told)
{
    told->n = 0;
    told->more = false;
    for (int kind = VERDICT_ALLOW; kind < VERDICT_DENY; kind++)
        for (uint32_t rank = 0; rank < r->n && !told->more; rank++) {
            const struct residual_rule *rule = r->ranked[rank];

            if ((int)rule->verdict != kind || !residual_rule_is_in_time(rule, moment))
                continue;
            if (told->n == RULES_LOOKED_AT)
                told->more = true;
            else
                told->rules[told->n++] = rule;
        }
}

static void
put_rules(struct line *line, const struct told *told)
{
    bool merged[RULES_LOOKED_AT] = {false};

    for (size_t i = 0; i < told->n && !line->full; i++) {
        class_set classes = told->rules[i]->classes;
        bool everything = classes == 0;

        if (merged[i])
            continue;
        for (size_t k = i + 1; k < told->n; k++)
            if (!merged[k] && is_same_but_classes(told->rules[i], told->rules[k])) {
                merged[k] = true;
                classes |= told->rules[k]->classes;
                everything |= told->rules[k]->classes == 0;
            }
        if (i != 0)
            put_text(line, "; ");
        put_rule(line, told->rules[i], everything ? 0 : classes);
        if (!line->full)
            line->complete = line->len;
    }
    line->full |= told->more;
}

/* What is denied whatever the object. False: everything is. */
static bool
find_denied(const struct residual *r, struct rule_moment moment, class_set *denied)
{
    *denied = 0;
    for (uint32_t rank = 0; rank < r->n && r->ranked[rank]->verdict == VERDICT_DENY; rank++) {
        const struct residual_rule *rule = r->ranked[rank];

        if (!residual_rule_is_broad(rule) || !residual_rule_is_in_time(rule, moment))
            continue;
        if (rule->classes == 0)
            return false;
        *denied |= rule->classes;
    }
    return true;
}

static void
put_except(struct line *line, class_set denied)
{
    for (const char *before = ", except "; denied != 0; denied &= denied - 1) {
        put_text(line, before);
        put_text(line, class_infos[__builtin_ctzll(denied)].name);
        if (!line->full)
            line->complete = line->len;
        before = ", ";
    }
}

void
residual_describe(const struct residual *r, int64_t wall_us, struct buf *out)
{
    static const char more_rules[] = "; …", more_classes[] = ", …";
    struct line rules = {.max = RESIDUAL_DESCRIPTION_MAX - EXCEPT_MAX - (sizeof(more_rules) - 1)};
    struct line except = {.max = EXCEPT_MAX - (sizeof(more_classes) - 1)};
    struct rule_moment moment = rule_moment_at(wall_us);
    struct told told;
    class_set denied;

    choose_rules(r, moment, &told);
    if (told.n == 0 || !find_denied(r, moment, &denied))
        return;
    put_rules(&rules, &told);
    close_line(&rules, rules.complete == 0 ? "…" : more_rules);
    put_except(&except, denied);
    close_line(&except, more_classes);
    buf_put(out, rules.text, rules.len);
    buf_put(out, except.text, except.len);
}
