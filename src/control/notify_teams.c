/* Microsoft Teams: an Adaptive Card 1.4 for a workflow "when a webhook request is received". At
 * most 28 KB. It has a link and no button that decides. */
#include "base/json.h"
#include "control/notify_text.h"

/* In facts and titles Teams reads some Markdown: what could make a link or a style is escaped. */
static void
put_escaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (memchr("\\`*_[]()~<>#", s.ptr[i], 12) != NULL)
            buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)s.ptr[i]);
    }
}

static void
put_fact(void *arg, const char *name, struct str value)
{
    struct buf text = buf_make(8192);
    struct json *j = arg;

    put_escaped(&text, value);
    json_open(j, '{');
    json_field_text(j, "title", name);
    json_field_str(j, "value", buf_str(&text));
    json_close(j, '}');
    buf_free(&text);
}

static void
put_title(const struct notification *n, struct json *j)
{
    struct buf title = buf_make(1024), text = buf_make(2048);

    notify_title(n, &title);
    put_escaped(&text, buf_str(&title));
    json_open(j, '{');
    json_field_text(j, "type", "TextBlock");
    json_field_str(j, "text", buf_str(&text));
    json_field_text(j, "size", "Medium");
    json_field_text(j, "weight", "Bolder");
    json_field_bool(j, "wrap", true);
    if (n->event == NOTIFY_BREAK_GLASS)
        json_field_text(j, "color", "Attention");
    json_close(j, '}');
    buf_free(&title);
    buf_free(&text);
}

/* As a run of text, in which nothing is Markdown. */
static void
put_statement(const struct notification *n, struct json *j)
{
    struct buf text = buf_make(2 * NOTIFY_STATEMENT_MAX);

    notify_put_plain(&text, n->statement, NOTIFY_STATEMENT_MAX, true);
    json_open(j, '{');
    json_field_text(j, "type", "RichTextBlock");
    json_key(j, "inlines");
    json_open(j, '[');
    json_open(j, '{');
    json_field_text(j, "type", "TextRun");
    json_field_str(j, "text", buf_str(&text));
    json_field_text(j, "fontType", "Monospace");
    json_close(j, '}');
    json_close(j, ']');
    json_close(j, '}');
    buf_free(&text);
}

static void
put_card(const struct notification *n, struct json *j)
{
    json_open(j, '{');
    json_field_text(j, "$schema", "http://adaptivecards.io/schemas/adaptive-card.json");
    json_field_text(j, "type", "AdaptiveCard");
    json_field_text(j, "version", "1.4");
    json_key(j, "body");
    json_open(j, '[');
    put_title(n, j);
    json_open(j, '{');
    json_field_text(j, "type", "FactSet");
    json_key(j, "facts");
    json_open(j, '[');
    notify_each_fact(n, put_fact, j);
    json_close(j, ']');
    json_close(j, '}');
    if (n->statement.len > 0)
        put_statement(n, j);
    json_close(j, ']');
    if (n->link.len > 0) {
        json_key(j, "actions");
        json_open(j, '[');
        json_open(j, '{');
        json_field_text(j, "type", "Action.OpenUrl");
        json_field_text(j, "title", n->is_pending ? "Decide in Bulkhead" : "Open in Bulkhead");
        json_field_str(j, "url", n->link);
        json_close(j, '}');
        json_close(j, ']');
    }
    json_close(j, '}');
}

void
notify_teams_body(const struct notification *n, struct buf *out)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    json_field_text(&j, "type", "message");
    json_key(&j, "attachments");
    json_open(&j, '[');
    json_open(&j, '{');
    json_field_text(&j, "contentType", "application/vnd.microsoft.card.adaptive");
    json_key(&j, "contentUrl");
    json_put_null(&j);
    json_key(&j, "content");
    put_card(n, &j);
    json_close(&j, '}');
    json_close(&j, ']');
    json_close(&j, '}');
}
