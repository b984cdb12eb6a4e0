#include "policy/residual.h"

#include <inttypes.h>

#include "base/cursor.h"
#include "policy/limits.h"

/* The wire form, network byte order:
 *     u32 version, u32 number of rules, then for each rule
 *     u8 verdict, u64 classes, string name, string message,
 *     u8 which limits (a bit for each number, then those of enum limit_flag), u64 for each number,
 *     u8 whether rows are recorded, u32 seconds of retention,
 *     of a STEP_UP: u32 step, u32 seconds of waiting, u32 the same in a transaction, u8 preview,
 *     u32 number of windows and for each u8 days, u16 from, u16 to,
 *     four lists (databases, schemas, tables, functions): u32 number and that many strings.
 * A string is its length as u32 and its bytes. */
enum {
    WIRE_VERSION = 0x42480003, /* "BH", form 3 */
    RULE_BYTES_MIN = 1 + 8 + 4 + 4 + 1 + 1 + 4 + 4 + 4 * 4,
    TIME_BYTES = 5,
    STRING_BYTES_MIN = 4,
};

enum limit_flag { LIMIT_REQUIRE_WHERE = 1 << LIMIT_NUMBERS, LIMIT_READ_ONLY = 2 << LIMIT_NUMBERS };

_Static_assert(LIMIT_READ_ONLY <= 0x80, "the bits of limits fill a byte");

static void
put_string(struct buf *out, struct str s)
{
    buf_put_u32(out, (uint32_t)s.len);
    buf_put_str(out, s);
}

static void
put_list(struct buf *out, struct str_list list)
{
    buf_put_u32(out, (uint32_t)list.n);
    for (size_t i = 0; i < list.n; i++)
        put_string(out, list.items[i]);
}

void
residual_wire_begin(struct buf *out)
{
    buf_put_u32(out, WIRE_VERSION);
    buf_put_u32(out, 0);
}

void
residual_wire_set_count(struct buf *wire, size_t start, uint32_t count)
{
    buf_set_u32(wire, start + 4, count);
}

static void
put_limits(struct buf *out, const struct limits *limits)
{
    unsigned bits = (limits->require_where ? LIMIT_REQUIRE_WHERE : 0) |
                    (limits->read_only ? LIMIT_READ_ONLY : 0);

    for (int i = 0; i < LIMIT_NUMBERS; i++)
        bits |= limits_number(limits, i) != 0 ? 1U << i : 0;
    buf_put_u8(out, (uint8_t)bits);
    for (int i = 0; i < LIMIT_NUMBERS; i++)
        if (limits_number(limits, i) != 0)
            buf_put_u64(out, limits_number(limits, i));
}

void
residual_wire_put_rule(struct buf *out, const struct policy_rule *rule, uint32_t step)
{
    buf_put_u8(out, (uint8_t)rule->verdict);
    buf_put_u64(out, rule->classes);
    put_string(out, rule->name);
    put_string(out, rule->message);
    put_limits(out, &rule->limits);
    buf_put_u8(out, rule->record.rows);
    buf_put_u32(out, rule->record.retention_seconds);
    if (rule->verdict == VERDICT_STEP_UP) {
        buf_put_u32(out, step);
        buf_put_u32(out, rule->step_up.wait_seconds);
        buf_put_u32(out, rule->step_up.wait_in_transaction_seconds);
        buf_put_u8(out, (uint8_t)rule->step_up.preview);
    }
    buf_put_u32(out, (uint32_t)rule->n_times);
    for (size_t i = 0; i < rule->n_times; i++) {
        buf_put_u8(out, (uint8_t)rule->times[i].days);
        buf_put_u16(out, (uint16_t)rule->times[i].from_minute);
        buf_put_u16(out, (uint16_t)rule->times[i].to_minute);
    }
    put_list(out, rule->databases);
    put_list(out, rule->schemas);
    put_list(out, rule->tables);
    put_list(out, rule->functions);
}

/* Reading: the cursor fails on bytes that are missing; memory and values fail here. */

static struct str
read_string(struct cursor *c)
{
    uint32_t n = cursor_u32(c);

    return cursor_bytes(c, n);
}

/* How many items of at least `item_bytes` follow; no more than can be there. */
static size_t
read_count(struct cursor *c, size_t item_bytes)
{
    uint32_t n = cursor_u32(c);

    if (n > cursor_left(c) / item_bytes) {
        c->failed = true;
        return 0;
    }
    return n;
}

static enum err
out_of_memory(void)
{
    return fail(ERR_NOMEM, "not enough memory for the rules of a session");
}

static enum err
read_times(struct cursor *c, struct arena *arena, struct residual_rule *rule)
{
    struct rule_time *times;

    if ((rule->n_times = read_count(c, TIME_BYTES)) == 0)
        return OK;
    if ((times = arena_array(arena, rule->n_times, sizeof(*times))) == NULL)
        return out_of_memory();
    for (size_t i = 0; i < rule->n_times; i++) {
        times[i].days = cursor_u8(c);
        times[i].from_minute = cursor_u16(c);
        times[i].to_minute = cursor_u16(c);
        if (times[i].days > 0x7f || times[i].from_minute > 1440 || times[i].to_minute > 1440)
            return fail(ERR_PROTOCOL, "a rule's window of the day is out of range");
    }
    rule->times = times;
    return OK;
}

static enum err
read_patterns(struct cursor *c, struct arena *arena, struct pattern_list *list)
{
    struct pattern *items;

    if ((list->n = read_count(c, STRING_BYTES_MIN)) == 0)
        return OK;
    if ((items = arena_array(arena, list->n, sizeof(*items))) == NULL)
        return out_of_memory();
    for (size_t i = 0; i < list->n; i++)
        items[i] = pattern_make(read_string(c));
    list->items = items;
    return OK;
}

static enum err
read_objects(struct cursor *c, struct arena *arena, struct object_pattern_list *list)
{
    struct object_pattern *items;

    if ((list->n = read_count(c, STRING_BYTES_MIN)) == 0)
        return OK;
    if ((items = arena_array(arena, list->n, sizeof(*items))) == NULL)
        return out_of_memory();
    for (size_t i = 0; i < list->n; i++)
        items[i] = object_pattern_make(read_string(c));
    list->items = items;
    return OK;
}

static enum err
read_limits(struct cursor *c, struct arena *arena, struct residual_rule *rule)
{
    struct buf text = buf_make(128);
    unsigned bits = cursor_u8(c);

    rule->has_limits = bits != 0;
    if (rule->has_limits && rule->verdict == VERDICT_DENY)
        return fail(ERR_PROTOCOL, "a rule that denies has limits");
    rule->limits.require_where = (bits & LIMIT_REQUIRE_WHERE) != 0;
    rule->limits.read_only = (bits & LIMIT_READ_ONLY) != 0;
    for (int i = 0; i < LIMIT_NUMBERS; i++) {
        uint64_t number = (bits >> i & 1) != 0 ? cursor_u64(c) : 0;

        if ((bits >> i & 1) != 0 && number == 0)
            return fail(ERR_PROTOCOL, "a rule has a limit of nothing");
        limits_set_number(&rule->limits, i, number);
    }
    if (rule->limits.max_tables == 0)
        return OK;
    buf_printf(&text, "limit \"max_tables\": one command may name at most %" PRIu64 " table%s",
               rule->limits.max_tables, rule->limits.max_tables == 1 ? "" : "s");
    rule->tables_message = arena_str(arena, buf_str(&text));
    buf_free(&text);
    return rule->tables_message.ptr == NULL ? out_of_memory() : OK;
}

static enum err
read_record(struct cursor *c, struct residual_rule *rule)
{
    uint8_t rows = cursor_u8(c);

    rule->record = (struct record_rule){rows == 1, cursor_u32(c)};
    rule->has_terms = rule->has_limits || rows == 1 || rule->record.retention_seconds != 0;
    if (rows > 1 || (rule->has_terms && rule->verdict == VERDICT_DENY))
        return fail(ERR_PROTOCOL, "a rule records what it cannot");
    return OK;
}

static enum err
read_step(struct cursor *c, struct residual_rule *rule)
{
    uint8_t preview;

    if (rule->verdict != VERDICT_STEP_UP)
        return OK;
    rule->step = cursor_u32(c);
    rule->held = (struct verdict_step){.rule = rule->name, .wait_seconds = cursor_u32(c)};
    rule->held.wait_in_transaction_seconds = cursor_u32(c);
    if ((preview = cursor_u8(c)) > PREVIEW_DRY_RUN)
        return fail(ERR_PROTOCOL, "a rule has the unknown preview %u", preview);
    rule->held.preview = (enum step_up_preview)preview;
    return OK;
}

static enum err
read_rule(struct cursor *c, struct arena *arena, struct residual_rule *rule)
{
    uint8_t verdict = cursor_u8(c);
    enum err e;

    if (verdict > VERDICT_DENY)
        return fail(ERR_PROTOCOL, "a rule has the unknown verdict %u", verdict);
    rule->verdict = (enum verdict_kind)verdict;
    rule->classes = cursor_u64(c);
    if (rule->classes >> COMMAND_CLASS_COUNT != 0)
        return fail(ERR_PROTOCOL, "a rule has unknown classes");
    rule->name = read_string(c);
    rule->message = read_string(c);
    if ((e = read_limits(c, arena, rule)) != OK || (e = read_record(c, rule)) != OK ||
        (e = read_step(c, rule)) != OK || (e = read_times(c, arena, rule)) != OK ||
        (e = read_patterns(c, arena, &rule->databases)) != OK ||
        (e = read_patterns(c, arena, &rule->schemas)) != OK ||
        (e = read_objects(c, arena, &rule->tables)) != OK ||
        (e = read_objects(c, arena, &rule->functions)) != OK)
        return e;
    return c->failed ? fail(ERR_PROTOCOL, "the rules of a session end in the middle") : OK;
}

enum err
residual_wire_read(struct residual *r, struct residual_rule **out)
{
    struct cursor c = cursor_make(r->wire);
    struct residual_rule *rules;
    enum err e;

    if (cursor_u32(&c) != WIRE_VERSION)
        return fail(ERR_PROTOCOL, "the rules of a session are in an unknown form");
    r->n = (uint32_t)read_count(&c, RULE_BYTES_MIN);
    if (c.failed)
        return fail(ERR_PROTOCOL, "the rules of a session end in the middle");
    if (r->n > POLICY_RULES_MAX)
        return fail(ERR_LIMIT, "a session has %u rules, more than %d", r->n, POLICY_RULES_MAX);
    if ((rules = arena_array(r->arena, r->n, sizeof(*rules))) == NULL && r->n != 0)
        return out_of_memory();
    for (uint32_t i = 0; i < r->n; i++) {
        rules[i].order = i;
        if ((e = read_rule(&c, r->arena, &rules[i])) != OK)
            return e;
    }
    if (!cursor_done(&c))
        return fail(ERR_PROTOCOL, "bytes follow the rules of a session");
    *out = rules;
    return OK;
}
