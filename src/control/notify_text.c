#include "control/notify_text.h"

#include "base/clock.h"

struct str
notify_cut(struct str s, size_t max)
{
    if (s.len <= max)
        return s;
    s.len = max;
    while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
        s.len--;
    return s;
}

static uint32_t
code_point(struct str sequence)
{
    unsigned char first = (unsigned char)sequence.ptr[0];
    uint32_t c = sequence.len == 1 ? first : first & (0x7fu >> sequence.len);

    for (size_t i = 1; i < sequence.len; i++)
        c = c << 6 | ((unsigned char)sequence.ptr[i] & 0x3fu);
    return c;
}

/* Whether it could act on a terminal or a mail reader, or disguise what is around it. */
static bool
is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xe0000 && c <= 0xe0fff);
}

void
notify_put_plain(struct buf *out, struct str s, size_t max, bool lines)
{
    bool whole = s.len <= max;

    s = notify_cut(s, max);
    while (s.len > 0) {
        size_t n = str_utf8_length(s);
        bool kept = lines && (s.ptr[0] == '\n' || s.ptr[0] == '\t');

        if (n == 0 || (is_unsafe(code_point((struct str){s.ptr, n})) && !kept))
            buf_put_u8(out, ' ');
        else
            buf_put(out, s.ptr, n);
        s = str_skip(s, n == 0 ? 1 : n);
    }
    if (!whole)
        buf_put_text(out, "…");
}

void
notify_put_chain(const struct notification *n, struct buf *out)
{
    size_t shown = n->chain.n < NOTIFY_LIST_MAX ? n->chain.n : NOTIFY_LIST_MAX;

    if (n->chain.n == 0)
        notify_put_plain(out, n->subject, NOTIFY_TEXT_MAX, false);
    for (size_t i = 0; i < shown; i++) {
        if (i > 0)
            buf_put_text(out, " → ");
        notify_put_plain(out, n->chain.items[i], NOTIFY_TEXT_MAX / 3, false);
    }
    if (shown < n->chain.n)
        buf_put_text(out, " → …");
}

void
notify_put_list(struct str_list list, struct buf *out)
{
    size_t shown = list.n < NOTIFY_LIST_MAX ? list.n : NOTIFY_LIST_MAX;

    for (size_t i = 0; i < shown; i++) {
        if (i > 0)
            buf_put_text(out, ", ");
        notify_put_plain(out, list.items[i], NOTIFY_TEXT_MAX / 3, false);
    }
    if (shown < list.n)
        buf_printf(out, " and %zu more", list.n - shown);
}

void
notify_put_time(int64_t wall_us, struct buf *out)
{
    char text[CLOCK_TEXT_BYTES];

    (void)clock_format(wall_us, text);
    buf_printf(out, "%.10s %.5s UTC", text, text + 11);
}

void
notify_put_state(const struct notification *n, struct buf *out)
{
    if (n->is_pending) {
        buf_put_text(out, "waits for ");
        notify_put_plain(out, n->approvers, NOTIFY_TEXT_MAX, false);
        buf_put_text(out, " until ");
        notify_put_time(n->expires_us, out);
        return;
    }
    buf_put_text(out, n->state);
    if (n->decided_by.len > 0) {
        buf_put_text(out, " by ");
        notify_put_plain(out, n->decided_by, NOTIFY_TEXT_MAX, false);
    }
    if (n->decided_text.len > 0) {
        buf_put_text(out, ": ");
        notify_put_plain(out, n->decided_text, NOTIFY_TEXT_MAX, false);
    }
}

void
notify_title(const struct notification *n, struct buf *out)
{
    notify_put_plain(out, n->subject, 80, false);
    if (n->event == NOTIFY_BREAK_GLASS)
        buf_put_text(out, n->is_access ? ": access without approval (break-glass) to "
                                       : ": command run without approval (break-glass) on ");
    else if (n->event == NOTIFY_DECISION)
        buf_printf(out, n->is_access ? ": access %s to " : ": command %s on ", n->state);
    else
        buf_put_text(out, n->is_access ? " asks for access to " : " asks to run a command on ");
    notify_put_plain(out, n->resource, 80, false);
}

static void
put_duration(uint64_t seconds, struct buf *out)
{
    if (seconds >= 3600)
        buf_printf(out, "%llu h %llu min", (unsigned long long)(seconds / 3600),
                   (unsigned long long)(seconds % 3600 / 60));
    else
        buf_printf(out, "%llu min", (unsigned long long)((seconds + 59) / 60));
}

void
notify_each_fact(const struct notification *n, notify_fact_fn *put, void *arg)
{
    struct buf text = buf_make(4096);
    const struct {
        const char *name;
        struct str value;
    } texts[] = {{"Rule", n->rule}, {"Purpose", n->purpose}, {"Reason", n->reason}};

    notify_put_chain(n, &text);
    put(arg, "Who", buf_str(&text));
    buf_reset(&text);
    notify_put_plain(&text, n->resource, NOTIFY_TEXT_MAX, false);
    if (n->database.len > 0) {
        buf_put_text(&text, ", database ");
        notify_put_plain(&text, n->database, NOTIFY_TEXT_MAX, false);
    }
    put(arg, "Resource", buf_str(&text));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].value.len > 0) {
            buf_reset(&text);
            notify_put_plain(&text, texts[i].value, NOTIFY_TEXT_MAX, false);
            put(arg, texts[i].name, buf_str(&text));
        }
    buf_reset(&text);
    if (n->is_access) {
        put_duration(n->access_seconds, &text);
        put(arg, "For", buf_str(&text));
    } else if (n->classes.n > 0) {
        notify_put_list(n->classes, &text);
        put(arg, "Does", buf_str(&text));
    }
    buf_reset(&text);
    if (n->objects.n > 0) {
        notify_put_list(n->objects, &text);
        put(arg, "Objects", buf_str(&text));
    }
    buf_reset(&text);
    notify_put_state(n, &text);
    put(arg, "State", buf_str(&text));
    buf_free(&text);
}
