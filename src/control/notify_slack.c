/* Slack: messages in Block Kit, within its limits: texts of sections 3,000 characters, fields 10 of
 * 2,000, headers 150, values of buttons 2,000, addresses 3,000. */
#include "base/json.h"
#include "control/notify_text.h"

enum { HEADER_MAX = 140, FIELD_MAX = 1900, CODE_MAX = 2900, URL_MAX = 3000, WHISPER_MAX = 2900 };

/* What Slack would read as a control sequence (&, <, >) is escaped; at most `max` bytes come out. A
 * run of backticks cannot end a block of code: they are parted by a zero-width space. */
static void
put_escaped(struct buf *out, struct str s, size_t max)
{
    size_t begun = out->len;
    unsigned backticks = 0;

    for (size_t i = 0; i < s.len;) {
        size_t n = str_utf8_length(str_skip(s, i));

        if (out->len - begun + 8 > max) {
            buf_put_text(out, "…");
            return;
        }
        backticks = s.ptr[i] == '`' ? backticks + 1 : 0;
        if (backticks > 1)
            buf_put_text(out, "\xe2\x80\x8b");
        if (s.ptr[i] == '&')
            buf_put_text(out, "&amp;");
        else if (s.ptr[i] == '<')
            buf_put_text(out, "&lt;");
        else if (s.ptr[i] == '>')
            buf_put_text(out, "&gt;");
        else
            buf_put(out, s.ptr + i, n == 0 ? 1 : n);
        i += n == 0 ? 1 : n;
    }
}

static void
put_text(struct json *j, const char *type, struct str text)
{
    json_open(j, '{');
    json_field_text(j, "type", type);
    json_field_str(j, "text", text);
    if (strcmp(type, "mrkdwn") == 0)
        json_field_bool(j, "verbatim", true); /* names and addresses make no links */
    else
        json_field_bool(j, "emoji", false);
    json_close(j, '}');
}

static void
begin_block(struct json *j, const char *type)
{
    json_open(j, '{');
    json_field_text(j, "type", type);
}

static void
put_fact(void *arg, const char *name, struct str value)
{
    struct buf text = buf_make(FIELD_MAX + 64);

    buf_printf(&text, "*%s*\n", name);
    put_escaped(&text, value, FIELD_MAX);
    put_text(arg, "mrkdwn", buf_str(&text));
    buf_free(&text);
}

static void
put_header(const struct notification *n, struct json *j)
{
    struct buf title = buf_make(1024);

    notify_title(n, &title);
    begin_block(j, "header");
    json_key(j, "text");
    put_text(j, "plain_text", notify_cut(buf_str(&title), HEADER_MAX));
    json_close(j, '}');
    buf_free(&title);
}

static void
put_statement(const struct notification *n, struct json *j)
{
    struct buf plain = buf_make(2 * NOTIFY_STATEMENT_MAX), text = buf_make(CODE_MAX + 64);

    notify_put_plain(&plain, n->statement, NOTIFY_STATEMENT_MAX, true);
    buf_put_text(&text, "```");
    put_escaped(&text, buf_str(&plain), CODE_MAX);
    buf_put_text(&text, "```");
    begin_block(j, "section");
    json_key(j, "text");
    put_text(j, "mrkdwn", buf_str(&text));
    json_close(j, '}');
    buf_free(&plain);
    buf_free(&text);
}

static void
put_button(struct json *j, const char *text, const char *action, const char *style)
{
    begin_block(j, "button");
    json_key(j, "text");
    put_text(j, "plain_text", str_from(text));
    json_field_text(j, "action_id", action);
    if (style != NULL)
        json_field_text(j, "style", style);
}

static void
put_actions(const struct notification *n, bool buttons, struct json *j)
{
    bool link = n->link.len > 0 && n->link.len <= URL_MAX;

    if (!buttons && !link)
        return;
    begin_block(j, "actions");
    json_key(j, "elements");
    json_open(j, '[');
    if (buttons) {
        put_button(j, "Approve", "bulkhead_approve", "primary");
        json_field_str(j, "value", n->request);
        json_close(j, '}');
        put_button(j, "Deny", "bulkhead_deny", "danger");
        json_field_str(j, "value", n->request);
        json_close(j, '}');
    }
    if (link) {
        put_button(j, "Open", "bulkhead_open", NULL);
        json_field_str(j, "url", n->link);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

static void
put_blocks(const struct notification *n, bool buttons, struct json *j)
{
    json_key(j, "blocks");
    json_open(j, '[');
    put_header(n, j);
    begin_block(j, "section");
    json_key(j, "fields");
    json_open(j, '[');
    notify_each_fact(n, put_fact, j);
    json_close(j, ']');
    json_close(j, '}');
    if (n->statement.len > 0)
        put_statement(n, j);
    put_actions(n, buttons, j);
    json_close(j, ']');
}

/* What notifications on a phone show. */
static void
put_summary(const struct notification *n, struct json *j)
{
    struct buf title = buf_make(1024), text = buf_make(4096);

    notify_title(n, &title);
    put_escaped(&text, buf_str(&title), 1000);
    json_field_str(j, "text", buf_str(&text));
    buf_free(&title);
    buf_free(&text);
}

void
notify_slack_body(const struct notification *n, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    put_summary(n, &j);
    put_blocks(n, n->event == NOTIFY_APPROVAL && n->is_pending && n->has_buttons, &j);
    json_close(&j, '}');
}

void
notify_slack_update(const struct notification *n, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    json_field_bool(&j, "replace_original", true);
    put_summary(n, &j);
    put_blocks(n, n->is_pending, &j);
    json_close(&j, '}');
}

void
notify_slack_whisper(struct str text, struct buf *out)
{
    struct buf plain = buf_make(2 * WHISPER_MAX), escaped = buf_make(2 * WHISPER_MAX);
    struct json j = json_to(out);

    notify_put_plain(&plain, text, WHISPER_MAX / 2, true);
    put_escaped(&escaped, buf_str(&plain), WHISPER_MAX);
    json_open(&j, '{');
    json_field_text(&j, "response_type", "ephemeral");
    json_field_bool(&j, "replace_original", false);
    json_field_str(&j, "text", buf_str(&escaped));
    json_close(&j, '}');
    buf_free(&plain);
    buf_free(&escaped);
}
