#include "ipc/record.h"

#include "base/arena.h"

enum {
    VERSION = 3,
    VERSION_WITH_MASKS = 2, /* the first with them */
    VERSION_WITH_APPROVALS = 3,
    VERSION_FIRST = 1,
    LENGTH_BYTES = 4,
    HEADER_BYTES = 1 + 1 + 8, /* version, kind, time: after the length */
    BINDS_MAX = 65535,
    BIND_NULL = 1,
    BIND_BINARY = 2,
};

const char *
record_decision_name(enum record_decision_kind kind)
{
    static const char *const names[RECORD_DECISION_KIND_COUNT] = {
        [RECORD_APPROVED] = "approved", [RECORD_DENIED] = "denied",
        [RECORD_EXPIRED] = "expired",   [RECORD_WITHDRAWN] = "withdrawn",
        [RECORD_FAILED] = "failed",     [RECORD_POLICY_CHANGED] = "policy_changed",
    };

    return kind < RECORD_DECISION_KIND_COUNT ? names[kind] : "unknown";
}

static size_t
frame_begin(struct buf *out, enum record_kind kind, int64_t wall_us)
{
    size_t start = out->len;

    buf_put_u32(out, 0);
    buf_put_u8(out, VERSION);
    buf_put_u8(out, (uint8_t)kind);
    buf_put_u64(out, (uint64_t)wall_us);
    return start;
}

/* Sets the length; a frame that no reader would take is taken back and fails the buffer. */
static void
frame_end(struct buf *out, size_t start)
{
    size_t length = out->len - start;

    if (out->failed || length > RECORD_FRAME_MAX) {
        out->len = start;
        out->failed = true;
        return;
    }
    buf_set_u32(out, start, (uint32_t)(length - LENGTH_BYTES));
}

static void
put_string(struct buf *out, struct str s)
{
    if (s.len > RECORD_FRAME_MAX) {
        out->failed = true;
        return;
    }
    buf_put_u32(out, (uint32_t)s.len);
    buf_put_str(out, s);
}

static struct str
read_string(struct cursor *c)
{
    return cursor_bytes(c, cursor_u32(c));
}

static void
put_demand(struct buf *out, const struct demand *demand)
{
    buf_put_u64(out, demand->classes);
    buf_put_u8(out, (uint8_t)demand->kind);
    put_string(out, demand->schema);
    put_string(out, demand->name);
}

static struct record_demand
read_demand(struct cursor *c)
{
    struct record_demand demand;

    demand.classes = cursor_u64(c);
    demand.kind = (enum object_kind)cursor_u8(c);
    demand.schema = read_string(c);
    demand.name = read_string(c);
    return demand;
}

static void
put_bind(struct buf *out, const struct bind_value *bind, size_t *shown)
{
    size_t room = RECORD_BINDS_SHOWN_MAX - *shown;
    struct str bytes = bind->is_null ? (struct str){"", 0} : bind->bytes;
    size_t full = bind->full_length > bytes.len ? bind->full_length : bytes.len;

    buf_put_u8(out, (uint8_t)((bind->is_null ? BIND_NULL : 0) | (bind->binary ? BIND_BINARY : 0)));
    buf_put_u32(out, bind->type);
    buf_put_u32(out, full > UINT32_MAX ? UINT32_MAX : (uint32_t)full);
    if (bytes.len > room)
        bytes.len = room;
    *shown += bytes.len;
    put_string(out, bytes);
}

static struct record_bind
read_bind(struct cursor *c, bool *known_flags)
{
    uint8_t flags = cursor_u8(c);
    struct record_bind bind;

    *known_flags = (flags & ~(BIND_NULL | BIND_BINARY)) == 0;
    bind.is_null = (flags & BIND_NULL) != 0;
    bind.binary = (flags & BIND_BINARY) != 0;
    bind.type = cursor_u32(c);
    bind.full_length = cursor_u32(c);
    bind.bytes = read_string(c);
    return bind;
}

void
record_put_intent(struct buf *out, int64_t wall_us, const struct record_intent *intent)
{
    const struct command *subject = intent->subject;
    size_t start = frame_begin(out, RECORD_INTENT, wall_us);
    size_t shown = 0;

    buf_put_u64(out, intent->command);
    buf_put_u8(out, (uint8_t)intent->verdict);
    buf_put_u32(out, (uint32_t)(int32_t)intent->decisive);
    put_string(out, intent->rule);
    put_string(out, intent->message);
    put_string(out, intent->policy_hash);
    put_string(out, subject->text);
    put_string(out, subject->database);
    if (subject->n_demands > COMMAND_DEMANDS_MAX || subject->n_binds > BINDS_MAX)
        out->failed = true;
    buf_put_u32(out, (uint32_t)subject->n_demands);
    for (size_t i = 0; i < subject->n_demands && !out->failed; i++)
        put_demand(out, &subject->demands[i]);
    buf_put_u32(out, (uint32_t)subject->n_binds);
    for (size_t i = 0; i < subject->n_binds && !out->failed; i++)
        put_bind(out, &subject->binds[i], &shown);
    put_string(out, intent->masked);
    put_string(out, intent->protected_column);
    put_string(out, intent->purpose);
    put_string(out, subject->context);
    frame_end(out, start);
}

void
record_put_outcome(struct buf *out, int64_t wall_us, const struct record_outcome *outcome)
{
    size_t start = frame_begin(out, RECORD_OUTCOME, wall_us);

    buf_put_u64(out, outcome->command);
    buf_put_u64(out, outcome->rows);
    buf_put_u64(out, outcome->bytes);
    buf_put_u64(out, outcome->duration_us);
    buf_put_u8(out, outcome->unknown);
    put_string(out, outcome->error);
    put_string(out, outcome->limit);
    buf_put_u64(out, outcome->masked);
    buf_put_u64(out, outcome->detected);
    frame_end(out, start);
}

void
record_put_decision(struct buf *out, int64_t wall_us, const struct record_decision *decision)
{
    size_t start = frame_begin(out, RECORD_DECISION, wall_us);

    buf_put_u64(out, decision->command);
    buf_put_u8(out, (uint8_t)decision->decision);
    put_string(out, decision->request);
    put_string(out, decision->by);
    put_string(out, decision->text);
    buf_put_u64(out, decision->waited_us);
    frame_end(out, start);
}

void
record_put_note(struct buf *out, int64_t wall_us, enum record_kind kind,
                const struct record_note *note)
{
    size_t start = frame_begin(out, kind, wall_us);

    put_string(out, note->event);
    put_string(out, note->text);
    buf_put_u64(out, note->bytes_in);
    buf_put_u64(out, note->bytes_out);
    frame_end(out, start);
}

static bool
demand_is_sound(const struct record_demand *demand)
{
    class_set effect = demand->classes & CLASS_EFFECTS_MASK;

    return effect != 0 && (effect & (effect - 1)) == 0 &&
           (demand->classes >> (COMMAND_CLASS_COUNT - 1) >> 1) == 0 &&
           demand->kind < OBJECT_KIND_COUNT;
}

static bool
bind_is_sound(const struct record_bind *bind)
{
    if (bind->is_null)
        return bind->bytes.len == 0 && bind->full_length == 0;
    return bind->bytes.len <= bind->full_length;
}

/* Points `*demands` and `*binds` at their first element and checks every one. */
static bool
read_lists(struct cursor *c, struct record *out)
{
    bool known_flags = true;

    out->intent.n_demands = cursor_u32(c);
    if (out->intent.n_demands > COMMAND_DEMANDS_MAX)
        return false;
    out->intent.demands = out->intent.all_demands = *c;
    for (size_t i = 0; i < out->intent.n_demands; i++) {
        struct record_demand demand = read_demand(c);

        if (c->failed || !demand_is_sound(&demand))
            return false;
    }
    out->intent.n_binds = cursor_u32(c);
    if (out->intent.n_binds > BINDS_MAX)
        return false;
    out->intent.binds = out->intent.all_binds = *c;
    for (size_t i = 0; i < out->intent.n_binds; i++) {
        struct record_bind bind = read_bind(c, &known_flags);

        if (c->failed || !known_flags || !bind_is_sound(&bind))
            return false;
    }
    return true;
}

static bool
read_intent(struct cursor *c, uint8_t version, struct record *out)
{
    uint8_t verdict;

    out->intent.command = cursor_u64(c);
    verdict = cursor_u8(c);
    out->intent.verdict = (enum verdict_kind)verdict;
    out->intent.decisive = (int)(int32_t)cursor_u32(c);
    out->intent.rule = read_string(c);
    out->intent.message = read_string(c);
    out->intent.policy_hash = read_string(c);
    out->intent.text = read_string(c);
    out->intent.database = read_string(c);
    if (verdict > VERDICT_DENY || !read_lists(c, out))
        return false;
    out->intent.masked = version >= VERSION_WITH_MASKS ? read_string(c) : STR("");
    out->intent.protected_column = version >= VERSION_WITH_MASKS ? read_string(c) : STR("");
    out->intent.purpose = version >= VERSION_WITH_APPROVALS ? read_string(c) : STR("");
    out->intent.context = version >= VERSION_WITH_APPROVALS ? read_string(c) : STR("");
    return out->intent.decisive >= -1 &&
           (out->intent.decisive == -1 || (size_t)out->intent.decisive < out->intent.n_demands);
}

static bool
read_outcome(struct cursor *c, uint8_t version, struct record *out)
{
    uint8_t unknown;

    out->outcome.command = cursor_u64(c);
    out->outcome.rows = cursor_u64(c);
    out->outcome.bytes = cursor_u64(c);
    out->outcome.duration_us = cursor_u64(c);
    unknown = cursor_u8(c);
    out->outcome.unknown = unknown != 0;
    out->outcome.error = read_string(c);
    out->outcome.limit = version >= VERSION_WITH_MASKS ? read_string(c) : STR("");
    out->outcome.masked = version >= VERSION_WITH_MASKS ? cursor_u64(c) : 0;
    out->outcome.detected = version >= VERSION_WITH_MASKS ? cursor_u64(c) : 0;
    return unknown <= 1;
}

static bool
read_decision(struct cursor *c, struct record *out)
{
    uint8_t kind;

    out->decision.command = cursor_u64(c);
    kind = cursor_u8(c);
    out->decision.decision = (enum record_decision_kind)kind;
    out->decision.request = read_string(c);
    out->decision.by = read_string(c);
    out->decision.text = read_string(c);
    out->decision.waited_us = cursor_u64(c);
    return kind < RECORD_DECISION_KIND_COUNT;
}

static bool
read_note(struct cursor *c, struct record *out)
{
    out->note.event = read_string(c);
    out->note.text = read_string(c);
    out->note.bytes_in = cursor_u64(c);
    out->note.bytes_out = cursor_u64(c);
    return true;
}

/* --- for the recording only ------------------------------------------------------------------- */

enum { CELL_NULL = 1, CELL_BINARY = 2, CELL_CUT = 4, CELL_BYTES_MIN = 1, COLUMN_BYTES_MIN = 8 };

void
record_put_columns(struct buf *out, int64_t wall_us, uint64_t command,
                   const struct record_column *columns, size_t n)
{
    size_t start = frame_begin(out, RECORD_COLUMNS, wall_us);

    if (n > RECORD_COLUMNS_MAX)
        out->failed = true;
    buf_put_u64(out, command);
    buf_put_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n && !out->failed; i++) {
        put_string(out, columns[i].name);
        buf_put_u32(out, columns[i].type);
    }
    frame_end(out, start);
}

void
record_put_keep(struct buf *out, int64_t wall_us, uint32_t seconds)
{
    size_t start = frame_begin(out, RECORD_KEEP, wall_us);

    buf_put_u32(out, seconds);
    frame_end(out, start);
}

enum { ROWS_COUNT_AT = LENGTH_BYTES + HEADER_BYTES + 8 + 4 + 1 };

void
record_begin_rows(struct buf *out, uint64_t command, uint32_t columns, bool lines)
{
    (void)frame_begin(out, RECORD_ROWS, 0);
    buf_put_u64(out, command);
    buf_put_u32(out, columns);
    buf_put_u8(out, lines);
    buf_put_u32(out, 0);
}

void
record_put_cell(struct buf *out, const struct record_cell *cell)
{
    buf_put_u8(out, (uint8_t)((cell->is_null ? CELL_NULL : 0) | (cell->binary ? CELL_BINARY : 0) |
                              (cell->cut ? CELL_CUT : 0)));
    if (cell->cut)
        buf_put_u64(out, cell->full_length);
    if (!cell->is_null)
        put_string(out, cell->bytes);
}

void
record_end_rows(struct buf *out, int64_t wall_us, uint32_t rows)
{
    uint64_t time = htobe64((uint64_t)wall_us);

    if (!out->failed) {
        memcpy(out->ptr + LENGTH_BYTES + 2, &time, sizeof(time));
        buf_set_u32(out, ROWS_COUNT_AT, rows);
    }
    frame_end(out, 0);
}

static struct record_column
read_column(struct cursor *c)
{
    struct record_column column;

    column.name = read_string(c);
    column.type = cursor_u32(c);
    return column;
}

static bool
read_columns(struct cursor *c, struct record *out)
{
    out->columns.command = cursor_u64(c);
    out->columns.n = cursor_u32(c);
    if (out->columns.n > RECORD_COLUMNS_MAX || cursor_left(c) < out->columns.n * COLUMN_BYTES_MIN)
        return false;
    out->columns.items = *c;
    for (size_t i = 0; i < out->columns.n; i++)
        (void)read_column(c);
    return true;
}

static bool
read_cell(struct cursor *c, struct record_cell *out)
{
    uint8_t flags = cursor_u8(c);

    out->is_null = (flags & CELL_NULL) != 0;
    out->binary = (flags & CELL_BINARY) != 0;
    out->cut = (flags & CELL_CUT) != 0;
    out->full_length = out->cut ? cursor_u64(c) : 0;
    out->bytes = out->is_null ? STR("") : read_string(c);
    return (flags & ~(CELL_NULL | CELL_BINARY | CELL_CUT)) == 0 &&
           (!out->is_null || flags == CELL_NULL) &&
           (!out->cut || out->bytes.len <= out->full_length);
}

static bool
read_rows(struct cursor *c, struct record *out)
{
    struct record_cell cell;
    uint64_t n;
    uint8_t lines;

    out->rows.command = cursor_u64(c);
    out->rows.columns = cursor_u32(c);
    lines = cursor_u8(c);
    out->rows.rows = cursor_u32(c);
    out->rows.lines = lines != 0;
    n = (uint64_t)out->rows.columns * out->rows.rows;
    /* a row without columns has no cell that would bound their number */
    if (lines > 1 || out->rows.columns > RECORD_COLUMNS_MAX ||
        (lines == 1 && out->rows.columns != 1) || out->rows.rows > RECORD_FRAME_MAX ||
        cursor_left(c) / CELL_BYTES_MIN < n)
        return false;
    out->rows.cells = *c;
    for (uint64_t i = 0; i < n; i++)
        if (!read_cell(c, &cell) || c->failed)
            return false;
    return true;
}

void
record_next_column(struct record *r, struct record_column *out)
{
    *out = read_column(&r->columns.items);
}

void
record_next_cell(struct record *r, struct record_cell *out)
{
    (void)read_cell(&r->rows.cells, out);
}

static bool
read_keep(struct cursor *c, struct record *out)
{
    out->keep_seconds = cursor_u32(c);
    return true;
}

static bool
read_fields(struct cursor *c, uint8_t version, struct record *out)
{
    switch (out->kind) {
    case RECORD_INTENT:
        return read_intent(c, version, out);
    case RECORD_OUTCOME:
        return read_outcome(c, version, out);
    case RECORD_DECISION:
        return read_decision(c, out);
    case RECORD_REFUSED:
    case RECORD_EVENT:
    case RECORD_CLOSED:
        return read_note(c, out);
    case RECORD_COLUMNS:
        return read_columns(c, out);
    case RECORD_ROWS:
        return read_rows(c, out);
    case RECORD_KEEP:
        return read_keep(c, out);
    }
    return false;
}

/* Whether frames of that version know the kind. */
static bool
is_kind(uint8_t version, uint8_t kind)
{
    return kind >= RECORD_REFUSED &&
           kind <= (version >= VERSION_WITH_APPROVALS ? RECORD_KEEP : RECORD_CLOSED);
}

enum err
record_read(struct str bytes, struct record *out, size_t *used)
{
    struct cursor c = cursor_make(bytes);
    uint32_t length = cursor_u32(&c);
    uint8_t version, kind;

    if (c.failed)
        return fail(ERR_TRUNCATED, "the frame's length is not whole");
    if (length < HEADER_BYTES || length > RECORD_FRAME_MAX - LENGTH_BYTES)
        return fail(ERR_PROTOCOL, "a frame of %u bytes", length);
    /* What is wrong from the start is said at once, not when eight megabytes have arrived. */
    if (cursor_left(&c) >= 1 && (c.at[0] < VERSION_FIRST || c.at[0] > VERSION))
        return fail(ERR_PROTOCOL, "a frame of version %u", c.at[0]);
    if (cursor_left(&c) >= 2 && !is_kind(c.at[0], c.at[1]))
        return fail(ERR_PROTOCOL, "a frame of kind %u", c.at[1]);
    if (cursor_left(&c) < length)
        return fail(ERR_TRUNCATED, "the frame is not whole yet");

    c.end = c.at + length;
    version = cursor_u8(&c);
    kind = cursor_u8(&c);
    out->kind = (enum record_kind)kind;
    out->wall_us = (int64_t)cursor_u64(&c);
    if (!read_fields(&c, version, out) || !cursor_done(&c))
        return fail(ERR_PROTOCOL, "a frame of kind %u that breaks its form", kind);
    *used = LENGTH_BYTES + (size_t)length;
    return OK;
}

void
record_next_demand(struct record *r, struct record_demand *out)
{
    *out = read_demand(&r->intent.demands);
}

void
record_next_bind(struct record *r, struct record_bind *out)
{
    bool known_flags;

    *out = read_bind(&r->intent.binds, &known_flags);
}

static bool
copy_demands(struct cursor *from, struct arena *arena, size_t n, struct command *out)
{
    struct demand *demands = arena_array(arena, n + 1, sizeof(*demands));

    if (demands == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct record_demand read = read_demand(from);

        demands[i] = (struct demand){read.classes, read.kind, read.schema, read.name};
    }
    out->demands = demands;
    out->n_demands = n;
    return true;
}

static bool
copy_binds(struct cursor *from, struct arena *arena, size_t n, struct command *out)
{
    struct bind_value *binds = arena_array(arena, n + 1, sizeof(*binds));
    bool known_flags;

    if (binds == NULL)
        return false;
    for (size_t i = 0; i < n; i++) {
        struct record_bind read = read_bind(from, &known_flags);

        binds[i] = (struct bind_value){
            .is_null = read.is_null,
            .binary = read.binary,
            .type = read.type,
            .bytes = read.bytes,
            .full_length = read.full_length > read.bytes.len ? read.full_length : 0,
        };
    }
    out->binds = binds;
    out->n_binds = n;
    return true;
}

enum err
record_command(const struct record *r, struct arena *arena, struct command *out)
{
    struct cursor demands = r->intent.all_demands, binds = r->intent.all_binds;

    *out = (struct command){
        .text = r->intent.text,
        .database = r->intent.database,
        .purpose = r->intent.purpose,
        .context = r->intent.context,
        .masked = r->intent.masked,
        .protected_column = r->intent.protected_column,
    };
    if (!copy_demands(&demands, arena, r->intent.n_demands, out) ||
        !copy_binds(&binds, arena, r->intent.n_binds, out))
        return fail(ERR_NOMEM, "no memory for a command");
    return OK;
}
