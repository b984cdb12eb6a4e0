#include "mask/detect.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "mask/detect_find.h"
#include "mask/detect_scan.h"
#include "mask/detect_small.h"

enum {
    PATTERN_BYTES_MAX = 4096,
    MATCH_LIMIT = 200000, /* steps from one place on: some milliseconds */
    DEPTH_LIMIT = 2000,
    HEAP_LIMIT_KIB = 4096,
    SERIAL_MAGIC = 0x64657431, /* "det1" */
    SERIAL_BYTES_MAX = 64 << 20,
};

/* What is compiled, as vectorscan wants it. */
struct triggers {
    const char *texts[DETECT_TRIGGERS_MAX + DETECT_RULES_MAX];
    unsigned flags[DETECT_TRIGGERS_MAX + DETECT_RULES_MAX];
    unsigned ids[DETECT_TRIGGERS_MAX + DETECT_RULES_MAX];
    unsigned n;
    char *own; /* operators' patterns, NUL-terminated */
    size_t own_len;
};

static struct detect_scan *
long_values_of(struct detectors *d)
{
    if (d->long_values == NULL)
        err_ignore(detect_scan_open(d, &d->long_values));
    return d->long_values;
}

void
detectors_free(struct detectors *d)
{
    if (d == NULL || --d->references > 0)
        return;
    detect_scan_close(d->long_values);
    for (size_t i = 0; i < d->n_patterns; i++)
        pcre2_code_free(d->patterns[i].code);
    pcre2_match_context_free(d->limits);
    pcre2_match_data_free(d->match);
    if (d->scratch != NULL)
        (void)hs_free_scratch(d->scratch);
    if (d->database != NULL)
        (void)hs_free_database(d->database);
    for (size_t i = 0; d->names != NULL && i < d->n_rules; i++)
        free((char *)d->names[i].ptr);
    free(d->names);
    free(d->patterns);
    free(d->of_trigger);
    free(d->needs);
    free(d->cursors);
    free(d->ranges);
    free(d);
}

struct detectors *
detectors_hold(struct detectors *d)
{
    if (d != NULL)
        d->references++;
    return d;
}

struct str
detectors_name(const struct detectors *d, size_t rule)
{
    return rule < d->n_rules ? d->names[rule] : STR("");
}

uint64_t
detectors_work(const struct detectors *d)
{
    return d->work;
}

/* --- PCRE2 --- */

static enum err
compile_expression(struct str name, struct str text, uint32_t options, pcre2_code **out)
{
    char message[128];
    PCRE2_SIZE offset;
    int error;

    *out = pcre2_compile((PCRE2_SPTR)text.ptr, text.len,
                         options | PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C, &error,
                         &offset, NULL);
    if (*out != NULL)
        return OK;
    if (error == PCRE2_ERROR_NOMEMORY)
        return fail(ERR_NOMEM, "no memory for a detector");
    (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof(message));
    return fail(ERR_INVALID, "detector \"%.*s\": %s at offset %zu of its pattern", STR_ARG(name),
                message, offset);
}

static enum err
check_own(struct str name, const pcre2_code *code)
{
    uint32_t empty = 1, behind = 0;

    (void)pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &empty);
    (void)pcre2_pattern_info(code, PCRE2_INFO_MAXLOOKBEHIND, &behind);
    if (empty != 0)
        return fail(ERR_INVALID, "detector \"%.*s\": its pattern can match the empty string",
                    STR_ARG(name));
    if (behind > DETECT_CONTEXT_CHARACTERS)
        return fail(ERR_INVALID, "detector \"%.*s\": its pattern looks back further than %d",
                    STR_ARG(name), DETECT_CONTEXT_CHARACTERS);
    return OK;
}

/* --- patterns of the rules --- */

static enum err
add_builtin(struct detectors *d, size_t rule)
{
    bool known = false;
    enum err e;

    for (size_t i = 0; i < detect_n_shapes; i++) {
        const struct detect_shape *shape = &detect_shapes[i];
        struct detect_pattern *p = &d->patterns[d->n_patterns];

        if (!str_is(d->names[rule], shape->detector))
            continue;
        known = true;
        *p = (struct detect_pattern){.rule = rule, .shape = shape, .back = shape->back};
        if ((e = compile_expression(d->names[rule], str_from(shape->expression), 0, &p->code)) !=
            OK)
            return e;
        d->n_patterns++;
    }
    return known
               ? OK
               : fail(ERR_INVALID, "there is no built-in detector \"%.*s\", and it has no pattern",
                      STR_ARG(d->names[rule]));
}

static enum err
add_own(struct detectors *d, size_t rule, struct str text)
{
    struct detect_pattern *p = &d->patterns[d->n_patterns];
    enum err e;

    if (text.len > PATTERN_BYTES_MAX)
        return fail(ERR_INVALID, "detector \"%.*s\": its pattern has more than %d bytes",
                    STR_ARG(d->names[rule]), PATTERN_BYTES_MAX);
    if (memchr(text.ptr, 0, text.len) != NULL)
        return fail(ERR_INVALID, "detector \"%.*s\": its pattern holds a NUL",
                    STR_ARG(d->names[rule]));
    *p = (struct detect_pattern){.rule = rule, .back = DETECT_MATCH_MAX};
    if ((e = compile_expression(d->names[rule], text, PCRE2_UTF, &p->code)) != OK)
        return e;
    d->n_patterns++;
    d->has_own = true;
    return check_own(d->names[rule], p->code);
}

static enum err
add_rules(struct detectors *d, const struct detect_rule *rules, size_t n)
{
    enum err e = OK;

    for (size_t i = 0; i < n && e == OK; i++) {
        char *name = malloc(rules[i].name.len + 1);

        if (name == NULL)
            return fail(ERR_NOMEM, "no memory for detectors");
        memcpy(name, rules[i].name.len == 0 ? "" : rules[i].name.ptr, rules[i].name.len);
        d->names[i] = (struct str){name, rules[i].name.len};
        d->n_rules = i + 1;
        for (size_t j = 0; j < i; j++)
            if (rules[j].pattern.len == 0 && str_equal(d->names[j], d->names[i]))
                return fail(ERR_INVALID, "detector \"%.*s\" is there twice", STR_ARG(d->names[i]));
        e = rules[i].pattern.len == 0 ? add_builtin(d, i) : add_own(d, i, rules[i].pattern);
    }
    return e;
}

/* --- vectorscan --- */

static enum err
hold_triggers(const struct detectors *d, const struct detect_rule *rules, struct triggers *t)
{
    size_t bytes = 1;

    for (size_t i = 0; i < d->n_patterns; i++)
        bytes += d->patterns[i].shape == NULL ? rules[d->patterns[i].rule].pattern.len + 1 : 0;
    return (t->own = calloc(1, bytes)) == NULL ? fail(ERR_NOMEM, "no memory for detectors") : OK;
}

static void
add_trigger(struct detectors *d, struct triggers *t, size_t pattern, const char *text,
            unsigned flags)
{
    t->texts[t->n] = text;
    t->flags[t->n] = flags;
    t->ids[t->n] = t->n;
    d->of_trigger[t->n++] = (unsigned short)pattern;
}

/* All expressions but of patterns that vectorscan is known not to take. */
static void
list_triggers(struct detectors *d, const struct detect_rule *rules, struct triggers *t)
{
    t->n = 0;
    t->own_len = 0;
    for (size_t i = 0; i < d->n_patterns; i++) {
        const struct detect_pattern *p = &d->patterns[i];

        for (size_t j = 0; p->shape != NULL && p->shape->triggers[j] != NULL; j++)
            add_trigger(d, t, i, p->shape->triggers[j], 0);
        if (p->shape == NULL && !p->alone) {
            struct str text = rules[p->rule].pattern;

            memcpy(t->own + t->own_len, text.ptr, text.len);
            t->own[t->own_len + text.len] = '\0';
            add_trigger(d, t, i, t->own + t->own_len, HS_FLAG_PREFILTER | HS_FLAG_UTF8);
            t->own_len += text.len + 1;
        }
    }
    d->n_triggers = t->n;
}

/* Gives up on the pattern that was the trouble, or on all of the operators'; false if it was
 * none of those. */
static bool
leave_alone(struct detectors *d, int expression)
{
    bool left = false;

    for (size_t i = 0; i < d->n_patterns; i++) {
        struct detect_pattern *p = &d->patterns[i];

        if (p->shape == NULL && !p->alone && (expression < 0 || d->of_trigger[expression] == i)) {
            p->alone = true;
            d->has_alone = true;
            left = true;
        }
    }
    return left;
}

static enum err
compile_triggers(struct detectors *d, const struct detect_rule *rules, struct triggers *t)
{
    for (;;) {
        hs_compile_error_t *error = NULL;
        int culprit;

        list_triggers(d, rules, t);
        if (t->n == 0 || hs_compile_multi(t->texts, t->flags, t->ids, t->n, HS_MODE_BLOCK, NULL,
                                          &d->database, &error) == HS_SUCCESS)
            return OK;
        culprit = error == NULL ? -1 : error->expression;
        if (!leave_alone(d, culprit)) {
            enum err e = fail(ERR_UNSUPPORTED, "vectorscan cannot compile the detectors: %s",
                              error == NULL ? "no reason given" : error->message);

            (void)hs_free_compile_error(error);
            return e;
        }
        (void)hs_free_compile_error(error);
    }
}

/* How far before its end a match begins. */
static void
measure_own(struct detectors *d, const struct triggers *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct detect_pattern *p = &d->patterns[d->of_trigger[i]];
        hs_compile_error_t *error = NULL;
        hs_expr_info_t *info = NULL;

        if (p->shape != NULL)
            continue;
        if (hs_expression_info(t->texts[i], t->flags[i], &info, &error) == HS_SUCCESS &&
            info->max_width < DETECT_MATCH_MAX)
            p->back = info->max_width;
        free(info);
        (void)hs_free_compile_error(error);
    }
}

static enum err
compile_database(struct detectors *d, const struct detect_rule *rules)
{
    struct triggers *t = calloc(1, sizeof(*t));
    enum err e;

    if (t == NULL)
        return fail(ERR_NOMEM, "no memory for detectors");
    if ((e = hold_triggers(d, rules, t)) == OK && (e = compile_triggers(d, rules, t)) == OK)
        measure_own(d, t);
    free(t->own);
    free(t);
    return e;
}

/* --- what small values need --- */

static void
add_need(struct detectors *d, const struct detect_need *need)
{
    size_t bytes = detect_need_bytes(need);

    if (bytes == 0)
        return;
    d->needs[d->n_needs++] = detect_need_word(need);
    if (bytes < d->shortest)
        d->shortest = bytes;
}

static void
list_needs(struct detectors *d)
{
    d->shortest = SIZE_MAX;
    for (size_t i = 0; i < d->n_patterns; i++) {
        const struct detect_shape *shape = d->patterns[i].shape;
        uint32_t characters = 1;

        if (shape != NULL) {
            add_need(d, &shape->needs[0]);
            add_need(d, &shape->needs[1]);
            continue;
        }
        (void)pcre2_pattern_info(d->patterns[i].code, PCRE2_INFO_MINLENGTH, &characters);
        if (characters == 0)
            characters = 1;
        if (characters < d->shortest)
            d->shortest = characters;
    }
}

/* --- all together --- */

static enum err
allocate(size_t n, struct detectors **out)
{
    struct detectors *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return fail(ERR_NOMEM, "no memory for detectors");
    d->references = 1;
    *out = d;
    d->names = calloc(n + 1, sizeof(*d->names));
    d->patterns = calloc(n + DETECT_SHAPES_MAX, sizeof(*d->patterns));
    d->of_trigger = calloc(DETECT_TRIGGERS_MAX + DETECT_RULES_MAX, sizeof(*d->of_trigger));
    d->needs = calloc(2 * DETECT_SHAPES_MAX, sizeof(*d->needs));
    d->cursors = calloc(n + DETECT_SHAPES_MAX, sizeof(*d->cursors));
    d->match = pcre2_match_data_create(1, NULL);
    d->limits = pcre2_match_context_create(NULL);
    if (d->names == NULL || d->patterns == NULL || d->of_trigger == NULL || d->needs == NULL ||
        d->cursors == NULL || d->match == NULL || d->limits == NULL)
        return fail(ERR_NOMEM, "no memory for detectors");
    (void)pcre2_set_match_limit(d->limits, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(d->limits, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(d->limits, HEAP_LIMIT_KIB);
    return OK;
}

static enum err
begin(const struct detect_rule *rules, size_t n, struct detectors **d)
{
    enum err e;

    if (n > DETECT_RULES_MAX)
        return fail(ERR_INVALID, "more than %d detectors", DETECT_RULES_MAX);
    if ((e = allocate(n, d)) != OK || (e = add_rules(*d, rules, n)) != OK)
        return e;
    list_needs(*d);
    return OK;
}

static enum err
finish(enum err e, struct detectors *d, struct detectors **out)
{
    if (e == OK && d->database != NULL && hs_alloc_scratch(d->database, &d->scratch) != HS_SUCCESS)
        e = fail(ERR_NOMEM, "no memory for the detectors' scratch space");
    if (e != OK) {
        detectors_free(d);
        d = NULL;
    }
    *out = d;
    return e;
}

enum err
detectors_compile(const struct detect_rule *rules, size_t n, struct detectors **out)
{
    struct detectors *d = NULL;
    enum err e;

    if ((e = begin(rules, n, &d)) == OK)
        e = compile_database(d, rules);
    return finish(e, d, out);
}

/* --- the compiled form: magic, patterns (back, alone), triggers, vectorscan's own --- */

static void
put_database(const struct detectors *d, const char *bytes, size_t n, struct buf *out)
{
    buf_put_u32(out, SERIAL_MAGIC);
    buf_put_u32(out, (uint32_t)d->n_patterns);
    for (size_t i = 0; i < d->n_patterns; i++) {
        buf_put_u32(out, (uint32_t)d->patterns[i].back);
        buf_put_u8(out, d->patterns[i].alone);
    }
    buf_put_u32(out, (uint32_t)d->n_triggers);
    for (size_t i = 0; i < d->n_triggers; i++)
        buf_put_u16(out, d->of_trigger[i]);
    buf_put_u32(out, (uint32_t)n);
    buf_put(out, bytes, n);
}

enum err
detectors_serialize(const struct detectors *d, struct buf *out)
{
    char *bytes = NULL;
    size_t n = 0;

    if (d->database != NULL && hs_serialize_database(d->database, &bytes, &n) != HS_SUCCESS)
        return fail(ERR_NOMEM, "no memory for the compiled detectors");
    put_database(d, bytes, n, out);
    free(bytes);
    return buf_ok(out);
}

static bool
get_patterns(struct detectors *d, struct cursor *c)
{
    if (cursor_u32(c) != SERIAL_MAGIC || cursor_u32(c) != d->n_patterns)
        return false;
    for (size_t i = 0; i < d->n_patterns; i++) {
        struct detect_pattern *p = &d->patterns[i];

        p->back = cursor_u32(c);
        p->alone = cursor_u8(c) != 0;
        d->has_alone |= p->alone;
        if (p->back > DETECT_MATCH_MAX)
            return false;
    }
    return !c->failed;
}

static bool
get_triggers(struct detectors *d, struct cursor *c)
{
    d->n_triggers = cursor_u32(c);
    if (d->n_triggers > DETECT_TRIGGERS_MAX + DETECT_RULES_MAX)
        return false;
    for (size_t i = 0; i < d->n_triggers; i++)
        if ((d->of_trigger[i] = cursor_u16(c)) >= d->n_patterns)
            return false;
    return !c->failed;
}

static enum err
get_database(struct detectors *d, struct str bytes)
{
    struct cursor c = cursor_make(bytes);
    struct str database;

    if (!get_patterns(d, &c) || !get_triggers(d, &c))
        return fail(ERR_INVALID, "the compiled detectors are of other rules");
    database = cursor_bytes(&c, cursor_u32(&c));
    if (!cursor_done(&c) || (database.len == 0) != (d->n_triggers == 0))
        return fail(ERR_INVALID, "the compiled detectors are damaged");
    if (database.len > 0 &&
        hs_deserialize_database(database.ptr, database.len, &d->database) != HS_SUCCESS)
        return fail(ERR_INVALID, "the compiled detectors are of another vectorscan or processor");
    return OK;
}

enum err
detectors_deserialize(struct str bytes, const struct detect_rule *rules, size_t n,
                      struct detectors **out)
{
    struct detectors *d = NULL;
    enum err e;

    if ((e = begin(rules, n, &d)) == OK)
        e = get_database(d, bytes);
    return finish(e, d, out);
}

/* --- values --- */

static size_t
redact_at_once(struct detectors *d, char *value, size_t len, uint64_t *hits)
{
    struct detect_window w = {.d = d,
                              .bytes = {value, len},
                              .first = true,
                              .last = true,
                              .cursors = d->cursors,
                              .hits = hits};

    detect_begin(d, d->cursors);
    detect_find(&w);
    if (w.overflow || d->n_ranges > 0)
        detect_overwrite(&w, value);
    return w.overflow && w.found == 0 ? 1 : w.found;
}

/* Through a scan, so that memory is bounded; what comes out has its place in what went in. */
static size_t
redact_long(struct detectors *d, char *value, size_t len, uint64_t *hits)
{
    struct detect_scan *scan = long_values_of(d);
    size_t found = scan == NULL ? 0 : detect_scan_in_place(scan, value, len, hits);

    if (scan == NULL) {
        memset(value, '*', len);
        return 1;
    }
    return found;
}

size_t
detectors_redact(struct detectors *d, char *value, size_t len, uint64_t *hits)
{
    if (len < d->shortest || d->n_patterns == 0)
        return 0;
    if (len <= DETECT_SMALL_BYTES && !d->has_own &&
        !detect_small_is_worth((struct str){value, len}, d->needs, d->n_needs))
        return 0;
    return len <= DETECT_WINDOW_MAX ? redact_at_once(d, value, len, hits)
                                    : redact_long(d, value, len, hits);
}
