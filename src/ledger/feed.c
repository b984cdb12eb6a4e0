#include "ledger/feed.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "ipc/channel.h"
#include "recording/event.h"

enum { TEXT_SHOWN_BYTES = 3000, HEAD_BYTES = 8 + 4 };

struct feed {
    struct buf queue; /* of: u64 session, u32 length, event */
    size_t at;        /* sent before */
    struct buf cut;
    uint64_t left_out, left_out_of; /* events, and the session of the last */
};

struct feed *
feed_new(void)
{
    struct feed *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    l->queue = buf_make(FEED_QUEUE_BYTES);
    l->cut = buf_make(FEED_EVENT_BYTES);
    return l;
}

void
feed_clear(struct feed *l)
{
    buf_free(&l->queue);
    l->at = 0;
    l->left_out = 0;
}

void
feed_free(struct feed *l)
{
    if (l == NULL)
        return;
    feed_clear(l);
    buf_free(&l->cut);
    free(l);
}

bool
feed_is_empty(const struct feed *l)
{
    return l->at == l->queue.len;
}

/* The beginning of a text, not in the middle of a character. */
static struct str
beginning_of(const char *text)
{
    struct str s = str_from(text);

    if (s.len <= TEXT_SHOWN_BYTES)
        return s;
    s.len = TEXT_SHOWN_BYTES;
    while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
        s.len--;
    return s;
}

/* In l->cut. */
static enum err
cut_event(struct feed *l, struct str event)
{
    struct json j = json_to(&l->cut);
    struct recording_event_head head;
    char kind[32] = "";
    json_t *whole;
    enum err e;

    if ((e = recording_event_head(event, &head)) != OK)
        return e;
    if (head.kind.len < sizeof(kind))
        memcpy(kind, head.kind.ptr, head.kind.len);
    buf_reset(&l->cut);
    recording_event_begin(&j, head.at_us, head.number, kind);
    whole = json_loadb(event.ptr, event.len, JSON_ALLOW_NUL, NULL);
    if (json_is_integer(json_object_get(whole, "command")))
        json_field_uint(&j, "command",
                        (uint64_t)json_integer_value(json_object_get(whole, "command")));
    if (json_is_string(json_object_get(whole, "text")))
        json_field_str(&j, "text", beginning_of(json_string_value(json_object_get(whole, "text"))));
    if (json_is_string(json_object_get(whole, "verdict")))
        json_field_str(&j, "verdict",
                       beginning_of(json_string_value(json_object_get(whole, "verdict"))));
    json_decref(whole);
    json_field_bool(&j, "cut", true);
    json_field_uint(&j, "bytes", event.len);
    json_close(&j, '}');
    return buf_ok(&l->cut);
}

static bool
queue(struct feed *l, uint64_t session, struct str event)
{
    if (l->queue.len + HEAD_BYTES + event.len > FEED_QUEUE_BYTES && l->at > 0) {
        buf_consume(&l->queue, l->at);
        l->at = 0;
    }
    if (l->queue.len + HEAD_BYTES + event.len > FEED_QUEUE_BYTES ||
        buf_reserve(&l->queue, HEAD_BYTES + event.len) != OK)
        return false;
    buf_put_u64(&l->queue, session);
    buf_put_u32(&l->queue, (uint32_t)event.len);
    buf_put_str(&l->queue, event);
    return true;
}

/* Says, before the next event that fits, that others did not. */
static bool
queue_gap(struct feed *l, struct str event)
{
    struct recording_event_head head;
    struct json j = json_to(&l->cut);

    if (l->left_out == 0)
        return true;
    if (recording_event_head(event, &head) != OK)
        return false;
    buf_reset(&l->cut);
    recording_event_begin(&j, head.at_us, head.number, "note");
    json_field_text(&j, "event", "live_gap");
    json_key(&j, "text");
    buf_printf(&l->cut, "\"%llu events came too fast to be shown live; the recording has them\"",
               (unsigned long long)l->left_out);
    j.comma = true;
    json_close(&j, '}');
    if (!queue(l, l->left_out_of, buf_str(&l->cut)))
        return false;
    l->left_out = 0;
    return true;
}

void
feed_put(struct feed *l, uint64_t session, struct str event)
{
    bool queued = queue_gap(l, event);

    if (queued && event.len > FEED_EVENT_BYTES) {
        if (cut_event(l, event) != OK)
            queued = false;
        else
            event = buf_str(&l->cut);
    }
    if (queued && queue(l, session, event))
        return;
    l->left_out++;
    l->left_out_of = session;
}

enum err
feed_send(struct feed *l, int channel)
{
    while (!feed_is_empty(l)) {
        struct cursor c = cursor_make(str_skip(buf_str(&l->queue), l->at));
        struct ipc_live_event message = {.session = cursor_u64(&c)};
        enum err e;

        message.json = cursor_bytes(&c, cursor_u32(&c));
        e = ipc_send(channel, IPC_TYPE_LIVE_EVENT, &message, NULL, 0);
        if (e == ERR_UNAVAILABLE)
            return OK; /* its queue is full: later */
        if (e == ERR_CLOSED || e == ERR_IO) {
            feed_clear(l);
            return ERR_CLOSED;
        }
        l->at += HEAD_BYTES + message.json.len;
    }
    buf_free(&l->queue);
    l->at = 0;
    return OK;
}
