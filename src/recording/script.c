#include "recording/script.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/encode.h"
#include "recording/event.h"
#include "recording/format.h"
#include "recording/types.h"

enum {
    PENDING_MAX = 65536,
    TEXT_MAX = 4 * RECORDING_EVENT_MAX,
    KEPT_BYTES = 256 << 10,
    TAG_MAX = 64,
};

/* A statement whose outcome has not come. */
struct pending {
    struct pending *next;
    uint64_t command;
    json_t *event;
};

struct script {
    enum err (*put)(void *arg, struct str bytes);
    void *arg;
    struct pending *first, **end;
    size_t n_pending;
    struct buf text;
};

enum err
script_new(enum err (*put)(void *arg, struct str bytes), void *arg, struct script **out)
{
    struct script *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for a script");
    *s = (struct script){.put = put, .arg = arg, .text = buf_make(TEXT_MAX)};
    s->end = &s->first;
    *out = s;
    return OK;
}

static struct pending *
take(struct script *s, struct pending **at)
{
    struct pending *p = *at;

    *at = p->next;
    if (s->end == &p->next)
        s->end = at;
    s->n_pending--;
    return p;
}

static void
free_pending(struct pending *p)
{
    json_decref(p->event);
    free(p);
}

void
script_free(struct script *s)
{
    if (s == NULL)
        return;
    while (s->first != NULL)
        free_pending(take(s, &s->first));
    buf_free(&s->text);
    free(s);
}

/* --- what may stand in a script
 * ----------------------------------------------------------------------- */

static bool
is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* Length of a dollar quote's opening tag at the start of `s`; 0 if there is none. */
static size_t
dollar_tag(struct str s)
{
    size_t n = 1;

    if (s.len > 1 && s.ptr[1] >= '0' && s.ptr[1] <= '9')
        return 0;
    while (n < s.len && n < TAG_MAX && is_word(s.ptr[n]))
        n++;
    return n < s.len && s.ptr[n] == '$' ? n + 1 : 0;
}

/* Behind the dollar-quoted string at `at`, whose tag has `tag` bytes; s.len + 1 if it does not end.
 */
static size_t
skip_dollar(struct str s, size_t at, size_t tag)
{
    struct str opening = {s.ptr + at, tag};

    for (at += tag; at < s.len; at++)
        if (s.ptr[at] == '$' && str_starts(str_skip(s, at), opening))
            return at + tag;
    return s.len + 1;
}

/* Behind the string or quoted name at `at`; s.len + 1 if it does not end. With `escapes` a
 * backslash takes the next byte. */
static size_t
skip_quoted(struct str s, size_t at, bool escapes)
{
    char quote = s.ptr[at++];

    while (at < s.len) {
        bool twice = s.ptr[at] == quote && at + 1 < s.len && s.ptr[at + 1] == quote;

        if (s.ptr[at] == quote && !twice)
            return at + 1;
        at += twice || (escapes && s.ptr[at] == '\\') ? 2 : 1;
    }
    return s.len + 1;
}

/* Behind the comment of either kind at `at`; `at` itself if there is none; s.len + 1 if it does not
 * end. */
static size_t
skip_comment(struct str s, size_t at)
{
    struct str rest = str_skip(s, at);
    size_t depth = 1;

    if (str_starts(rest, STR("--")))
        return at + str_index(rest, '\n');
    if (!str_starts(rest, STR("/*")))
        return at;
    for (at += 2; at < s.len && depth > 0; at++) {
        rest = str_skip(s, at);
        if (str_starts(rest, STR("*/")) || str_starts(rest, STR("/*"))) {
            depth += rest.ptr[0] == '/' ? 1 : (size_t)-1;
            at++;
        }
    }
    return depth > 0 ? s.len + 1 : at;
}

/* Walks the text with one meaning of backslashes. Unsafe also if it does not come out of its last
 * quote: then the script's next lines would be in it. */
static bool
is_unsafe_as(struct str s, bool escapes)
{
    size_t at = 0;

    while (at < s.len) {
        size_t next = skip_comment(s, at), tag;
        char c = s.ptr[at], before = at > 0 ? s.ptr[at - 1] : ' ';

        if (next == at && (c == '\\' || c == '\0'))
            return true;
        if (next == at && (c == '\'' || c == '"'))
            next = skip_quoted(s, at, c == '\'' && (escapes || before == 'e' || before == 'E'));
        else if (next == at && c == '$' && !is_word(before) &&
                 (tag = dollar_tag(str_skip(s, at))) > 0)
            next = skip_dollar(s, at, tag);
        at = next == at ? at + 1 : next;
    }
    return at > s.len;
}

bool
script_is_unsafe(struct str sql)
{
    return is_unsafe_as(sql, false) || is_unsafe_as(sql, true);
}

/* --- writing
 * --------------------------------------------------------------------------------------------- */

static enum err
flush(struct script *s)
{
    enum err e = buf_ok(&s->text);

    if (e == OK)
        e = s->put(s->arg, buf_str(&s->text));
    if (s->text.capacity > KEPT_BYTES)
        buf_free(&s->text);
    else
        buf_reset(&s->text);
    return e;
}

/* Every line behind "-- "; other control characters are no ends of lines to anybody. */
static void
put_comment(struct buf *out, struct str text)
{
    while (text.len > 0) {
        struct str line;

        text = str_cut(text, '\n', &line);
        buf_put_text(out, "-- ");
        for (size_t i = 0; i < line.len; i++)
            buf_put_u8(out, line.ptr[i] == '\r' ? ' ' : (uint8_t)line.ptr[i]);
        buf_put_u8(out, '\n');
    }
}

static struct str
text_of(const json_t *event, const char *key)
{
    const json_t *value = json_object_get(event, key);

    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : (struct str){"", 0};
}

static uint64_t
number_of(const json_t *event, const char *key)
{
    const json_t *value = json_object_get(event, key);

    return json_is_integer(value) && json_integer_value(value) > 0
               ? (uint64_t)json_integer_value(value)
               : 0;
}

static enum err
put_not_run(struct script *s, struct str text, const char *why)
{
    buf_printf(&s->text, "-- not to be run again: %s\n", why);
    put_comment(&s->text, text);
    buf_put_u8(&s->text, '\n');
    return flush(s);
}

static const char *
type_name(uint64_t oid)
{
    const char *name = recording_type_name(oid);

    return name != NULL ? name : "unknown";
}

static void
put_literal(struct buf *out, struct str text)
{
    bool escapes = memchr(text.ptr, '\\', text.len) != NULL;

    buf_put_text(out, escapes ? " E'" : "'");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'' || text.ptr[i] == '\\')
            buf_put_u8(out, (uint8_t)text.ptr[i]);
        buf_put_u8(out, (uint8_t)text.ptr[i]);
    }
    buf_put_u8(out, '\'');
}

/* A number of the wire as text. */
static bool
put_binary(struct buf *out, uint64_t type, struct str base64)
{
    struct buf bytes = buf_make(64 << 10);
    int64_t value = 0;
    bool good = decode_base64(&bytes, base64) == OK && !bytes.failed;

    if (good && type == 17) { /* bytea */
        buf_put_text(out, "'\\x");
        encode_hex(out, buf_str(&bytes));
        buf_put_u8(out, '\'');
        buf_free(&bytes);
        return true;
    }
    good = good && ((type == 16 && bytes.len == 1) || (type == 21 && bytes.len == 2) ||
                    (type == 23 && bytes.len == 4) || (type == 20 && bytes.len == 8));
    for (size_t i = 0; good && i < bytes.len; i++)
        value = (int64_t)((uint64_t)value << 8 | (unsigned char)bytes.ptr[i]);
    if (good && type == 16)
        buf_put_text(out, value != 0 ? "true" : "false");
    else if (good)
        buf_printf(out, "'%lld'",
                   (long long)(type == 21   ? (int16_t)value
                               : type == 23 ? (int32_t)value
                                            : value));
    buf_free(&bytes);
    return good;
}

/* False: it was not recorded whole, or is of a type only the server can read. */
static bool
put_bind(struct buf *out, const json_t *bind)
{
    struct str text = text_of(bind, "text");
    const json_t *base64 = json_object_get(bind, "base64");

    if (json_object_get(bind, "full_length") != NULL)
        return false;
    if (json_is_true(json_object_get(bind, "null"))) {
        buf_put_text(out, "NULL");
        return true;
    }
    if (base64 != NULL)
        return put_binary(out, number_of(bind, "type"), text_of(bind, "base64"));
    if (memchr(text.ptr, '\0', text.len) != NULL)
        return false;
    put_literal(out, text);
    return true;
}

static enum err
put_prepared(struct script *s, struct str text, const json_t *binds, uint64_t command)
{
    size_t start = s->text.len, i;
    json_t *bind;

    buf_printf(&s->text, "PREPARE bulkhead_%llu(", (unsigned long long)command);
    json_array_foreach(binds, i, bind)
        buf_printf(&s->text, "%s%s", i > 0 ? ", " : "", type_name(number_of(bind, "type")));
    buf_put_text(&s->text, ") AS\n");
    buf_put_str(&s->text, text);
    buf_printf(&s->text, "\n;\nEXECUTE bulkhead_%llu(", (unsigned long long)command);
    json_array_foreach(binds, i, bind)
    {
        buf_put_text(&s->text, i > 0 ? ", " : "");
        if (!put_bind(&s->text, bind)) {
            s->text.len = start;
            return put_not_run(s, text,
                               "a parameter was not recorded whole, or only in binary form");
        }
    }
    buf_printf(&s->text, ");\nDEALLOCATE bulkhead_%llu;\n\n", (unsigned long long)command);
    return flush(s);
}

/* Without leading white space and comments. */
static struct str
first_word(struct str s)
{
    size_t at = 0, n = 0;

    while (at < s.len) {
        size_t next = skip_comment(s, at);

        if (next == at && strchr(" \t\r\n\f\v", s.ptr[at]) == NULL)
            break;
        at = next == at ? at + 1 : next;
    }
    s = str_skip(s, at);
    while (n < s.len && is_word(s.ptr[n]))
        n++;
    return (struct str){s.ptr, n};
}

static bool
mentions_stdin(struct str s)
{
    for (size_t i = 0; i + 5 <= s.len; i++)
        if (str_equal_nocase((struct str){s.ptr + i, 5}, STR("stdin")))
            return true;
    return false;
}

static enum err
put_statement(struct script *s, const json_t *event)
{
    struct str text = text_of(event, "text");
    const json_t *binds = json_object_get(event, "binds");

    if (json_object_get(event, "text_base64") != NULL)
        return put_not_run(s, text, "it is not UTF-8");
    if (text.len == 0 || first_word(text).len == 0)
        return OK;
    if (script_is_unsafe(text))
        return put_not_run(s, text, "it holds a backslash that a script's reader would obey");
    if (str_equal_nocase(first_word(text), STR("copy")) && mentions_stdin(text))
        return put_not_run(s, text, "the data of a COPY is not recorded");
    if (json_array_size(binds) > 0)
        return put_prepared(s, text, binds, number_of(event, "command"));
    buf_put_str(&s->text, text);
    buf_put_text(&s->text, "\n;\n\n"); /* on a line of its own: the text may end in a comment */
    return flush(s);
}

/* --- events
 * ---------------------------------------------------------------------------------------------- */

static struct pending **
find(struct script *s, uint64_t command)
{
    struct pending **at = &s->first;

    while (*at != NULL && (*at)->command != command)
        at = &(*at)->next;
    return at;
}

/* Those that were not forwarded have no outcome, unless people approved them. */
static enum err
remember(struct script *s, json_t *event)
{
    struct pending *p;

    if (str_is(text_of(event, "verdict"), "deny"))
        return OK;
    if (s->n_pending >= PENDING_MAX)
        return fail(ERR_LIMIT, "more than %d commands without an outcome", PENDING_MAX);
    if ((p = calloc(1, sizeof(*p))) == NULL)
        return fail(ERR_NOMEM, "no memory for a command");
    p->command = number_of(event, "command");
    p->event = json_incref(event);
    *s->end = p;
    s->end = &p->next;
    s->n_pending++;
    return OK;
}

static enum err
finish(struct script *s, const json_t *outcome)
{
    struct pending **at = find(s, number_of(outcome, "command")), *p;
    bool ran = text_of(outcome, "error").len == 0 && text_of(outcome, "limit").len == 0 &&
               !json_is_true(json_object_get(outcome, "unknown"));
    enum err e = OK;

    if (*at == NULL)
        return OK;
    p = take(s, at);
    if (ran)
        e = put_statement(s, p->event);
    free_pending(p);
    return e;
}

/* A held command that was not let through has no outcome. */
static void
decide(struct script *s, const json_t *decision)
{
    struct pending **at = find(s, number_of(decision, "command"));

    if (*at != NULL && !str_is(text_of(decision, "decision"), "approved"))
        free_pending(take(s, at));
}

enum err
script_event(struct script *s, struct str line)
{
    struct recording_event_head head;
    json_t *event;
    enum err e;

    if ((e = recording_event_head(line, &head)) != OK)
        return e;
    if (!str_is(head.kind, "statement") && !str_is(head.kind, "outcome") &&
        !str_is(head.kind, "decision"))
        return OK;
    event = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(event))
        e = fail(ERR_INVALID, "an event of a recording is no JSON object");
    else if (str_is(head.kind, "statement"))
        e = remember(s, event);
    else if (str_is(head.kind, "outcome"))
        e = finish(s, event);
    else
        decide(s, event);
    json_decref(event);
    return e;
}

enum err
script_end(struct script *s)
{
    enum err e = OK;

    while (e == OK && s->first != NULL) {
        struct pending *p = take(s, &s->first);

        e = put_not_run(s, text_of(p->event, "text"), "how it ended was not recorded");
        free_pending(p);
    }
    return e;
}
