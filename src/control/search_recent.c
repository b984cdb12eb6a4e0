#include <stdio.h>

#include "base/json.h"
#include "control/search_walk.h"
#include "ledger/fields.h"

enum { TEXT_SHOWN_MAX = 2048, MEMORY_BYTES_MAX = 1 << 20 };

struct recent_command {
    struct str at, text, verdict, rule;
    uint64_t number;
};

struct recent {
    struct arena *arena;
    struct buf scratch;
    struct recent_command commands[SEARCH_RECENT_MAX]; /* newest first */
    unsigned n, limit;
    uint64_t before;
    struct buf mark; /* how the records of the session go on behind their type */
};

/* At most `max` bytes, not within a character. */
static struct str
cut(struct str s, size_t max)
{
    if (s.len <= max)
        return s;
    s.len = max;
    while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
        s.len--;
    return s;
}

static enum err
keep(struct recent *r, struct str value, struct str *out)
{
    struct str text;

    *out = (struct str){"", 0};
    if (!fields_text(value, &r->scratch, &text))
        return OK; /* null */
    *out = arena_str(r->arena, cut(text, TEXT_SHOWN_MAX));
    return out->ptr == NULL ? fail(ERR_NOMEM, "no memory for the last commands") : OK;
}

static enum err
take_intent(struct recent *r, struct str text, const struct line *line)
{
    struct recent_command *c = &r->commands[r->n];
    struct fields fields = fields_of(text);
    struct str key, value;
    enum err e = OK;

    *c = (struct recent_command){.at = arena_str(r->arena, line->time)};
    if (c->at.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for the last commands");
    while (e == OK && fields_next(&fields, &key, &value)) {
        if (str_is(key, "command") && !str_to_uint(value, UINT64_MAX, &c->number))
            return OK;
        if (str_is(key, "verdict"))
            e = keep(r, value, &c->verdict);
        if (str_is(key, "rule"))
            e = keep(r, value, &c->rule);
        if (str_is(key, "statement"))
            e = keep(r, value, &c->text);
    }
    if (e == OK && !fields.failed && (r->before == 0 || c->number < r->before))
        r->n++;
    return e;
}

static enum err
look_back(struct recent *r, struct walk *walk)
{
    struct search_budget budget = search_budget(SEARCH_RECENT_BUDGET_MS, NULL);
    struct str text;
    struct line line;
    enum err e = walk_to_end(walk);

    while (e == OK && r->n < r->limit && walk_bytes(walk) < SEARCH_RECENT_BYTES &&
           !search_spent(&budget, 1024) && (e = walk_previous(walk, &text, &line)) == OK) {
        if (!str_starts(line.rest, buf_str(&r->mark)))
            continue;
        if (str_is(line.type, "session_opened"))
            break;
        if (str_is(line.type, "command_intent"))
            e = take_intent(r, text, &line);
    }
    return e == ERR_CLOSED ? OK : e;
}

static void
write_commands(const struct recent *r, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '[');
    for (unsigned i = r->n; i > 0; i--) {
        const struct recent_command *c = &r->commands[i - 1];

        json_open(&j, '{');
        json_field_str(&j, "at", c->at);
        json_field_str(&j, "text", c->text);
        json_field_str(&j, "verdict", c->verdict);
        json_field_str(&j, "rule", c->rule);
        json_close(&j, '}');
    }
    json_close(&j, ']');
}

enum err
search_recent(const char *directory, uint64_t session, uint64_t before, unsigned n, struct buf *out)
{
    struct recent r = {.limit = n > SEARCH_RECENT_MAX ? SEARCH_RECENT_MAX : n, .before = before};
    struct walk *walk;
    enum err e;

    if ((e = walk_open(directory, &walk)) != OK)
        return e;
    r.arena = arena_new(MEMORY_BYTES_MAX);
    r.scratch = buf_make(LINE_BYTES_MAX);
    r.mark = buf_make(64);
    buf_printf(&r.mark, ",\"session\":\"%016llx\"", (unsigned long long)session);
    e = r.arena == NULL ? fail(ERR_NOMEM, "no memory for the last commands") : buf_ok(&r.mark);
    if (e == OK && (e = look_back(&r, walk)) == OK) {
        write_commands(&r, out);
        e = buf_ok(out);
    }
    buf_free(&r.mark);
    buf_free(&r.scratch);
    arena_free(r.arena);
    walk_close(walk);
    return e;
}
