/* Recordings: watching live, replay, export, legal holds. Who looks says why, and that is in the
 * ledger before they see anything. */
#include <stdio.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/pages.h"
#include "control/recordings.h"
#include "control/server.h"
#include "control/watch.h"

enum {
    REASON_MAX = 1000,
    EVENTS_DEFAULT = 500,
    EVENTS_MAX = 5000,
    PAGE_BYTES_MAX = 16 << 20,
    VIEWINGS = 128,
    VIEWING_MS = 30 * 60 * 1000,
};

/* --- live
 * ------------------------------------------------------------------------------------------ */

enum err
api_session_live(struct api_request *q)
{
    uint64_t session;
    enum err e;

    if ((e = request_session(q, 0, &session)) != OK)
        return e;
    if (control_session(q->control, session) == NULL)
        return fail(ERR_NOT_FOUND, "session %.*s is not open here; its recording can be replayed",
                    STR_ARG(q->parameters[0]));
    if ((e = request_audit(q, "session_watched", "session %.*s", STR_ARG(q->parameters[0]))) != OK)
        return e;
    if ((e = watch_begin(server_watch(q->server), session, q->person->login, &q->reply->stream)) !=
        OK)
        return e;
    q->reply->status = 200;
    q->reply->type = "text/event-stream";
    return OK;
}

/* --- replay
 * ------------------------------------------------------------------------------------------ */

/* Who began to view which recording: the pages after the first are of the same viewing. */
static struct {
    char login[64];
    uint64_t session;
    int64_t until_ms;
} viewings[VIEWINGS];

static bool
is_viewing(const struct api_request *q, uint64_t session)
{
    int64_t now = clock_monotonic_ms();

    for (size_t i = 0; i < VIEWINGS; i++)
        if (viewings[i].session == session && viewings[i].until_ms > now &&
            str_equal((struct str){viewings[i].login, sizeof(viewings[i].login)},
                      q->person->login)) {
            viewings[i].until_ms = now + VIEWING_MS;
            return true;
        }
    return false;
}

static void
remember_viewing(const struct api_request *q, uint64_t session)
{
    size_t oldest = 0;

    if (q->person->login.len != sizeof(viewings[0].login))
        return;
    for (size_t i = 1; i < VIEWINGS; i++)
        if (viewings[i].until_ms < viewings[oldest].until_ms)
            oldest = i;
    memcpy(viewings[oldest].login, q->person->login.ptr, sizeof(viewings[0].login));
    viewings[oldest].session = session;
    viewings[oldest].until_ms = clock_monotonic_ms() + VIEWING_MS;
}

/* "12.5" seconds as microseconds. */
static enum err
read_seconds(struct str text, uint64_t *us)
{
    struct str whole, part = str_cut(text, '.', &whole);
    uint64_t seconds = 0, micro = 0;
    size_t digits = part.len;

    if (!str_to_uint(whole, UINT32_MAX, &seconds) || digits > 6 ||
        (str_index(text, '.') < text.len && digits == 0) ||
        (digits > 0 && !str_to_uint(part, 999999, &micro)))
        return fail(ERR_INVALID, "from is a number of seconds, such as 12.5");
    for (; digits < 6 && micro > 0; digits++)
        micro *= 10;
    *us = seconds * 1000000 + micro;
    return OK;
}

/* `after` is what `next` was: a time and the number of an event. */
static enum err
read_page(const struct api_request *q, struct recordings_page *page)
{
    struct str from = STR(""), after = STR(""), time, number;
    uint64_t limit = EVENTS_DEFAULT;
    enum err e;

    if ((e = request_query(q, "from", 32, &from)) != OK ||
        (e = request_query(q, "after", 64, &after)) != OK ||
        (e = request_query_uint(q, "limit", EVENTS_MAX, &limit)) != OK ||
        (from.len > 0 && (e = read_seconds(from, &page->from_us)) != OK))
        return e;
    page->limit = limit == 0 ? EVENTS_DEFAULT : (size_t)limit;
    if (after.len == 0)
        return OK;
    number = str_cut(after, '.', &time);
    if (!str_to_uint(time, INT64_MAX, &page->from_us) ||
        !str_to_uint(number, INT64_MAX, &page->after))
        return fail(ERR_INVALID, "after is the \"next\" of another answer");
    return OK;
}

static enum err
need_recordings(const struct api_request *q)
{
    if (q->control->recordings == NULL)
        return fail(ERR_UNSUPPORTED, "nothing is recorded here: recordings.directory is not set");
    return OK;
}

static void
write_page(struct api_request *q, const struct recordings_page *page, const struct buf *events)
{
    struct json j = reply_json(q->reply, 200);
    char next[64];

    json_open(&j, '{');
    json_key(&j, "events");
    json_raw(&j, buf_str(events));
    json_key(&j, "next");
    if (page->more) {
        (void)snprintf(next, sizeof(next), "%llu.%llu", (unsigned long long)page->next_us,
                       (unsigned long long)page->next_after);
        json_str(&j, str_from(next));
    } else {
        json_put_null(&j);
    }
    json_field_bool(&j, "cut_off", page->cut_off);
    json_close(&j, '}');
}

enum err
api_session_replay(struct api_request *q)
{
    struct recordings_page page = {0};
    struct recordings_entry entry;
    struct buf events = buf_make(PAGE_BYTES_MAX);
    struct str reason;
    uint64_t session;
    enum err e;

    if ((e = need_recordings(q)) != OK ||
        (e = request_string(q, "reason", REASON_MAX, true, &reason)) != OK ||
        (e = request_session(q, 0, &session)) != OK || (e = read_page(q, &page)) != OK ||
        (e = recordings_find(q->control->recordings, session, &entry)) != OK)
        return e;
    if (page.after == 0 || !is_viewing(q, session)) {
        if ((e = request_audit(q, "recording_viewed", "session %.*s: %.*s",
                               STR_ARG(q->parameters[0]), STR_ARG(reason))) != OK)
            return e;
        remember_viewing(q, session);
    }
    if ((e = recordings_read(q->control->recordings, session, &page, &events)) == OK)
        write_page(q, &page, &events);
    buf_free_secret(&events);
    return e;
}

/* --- export
 * -------------------------------------------------------------------------------------------- */

static const struct {
    const char *type, *suffix;
} exports[] = {
    [RECORDING_ASCIICAST] = {"application/x-asciicast", "cast"},
    [RECORDING_SQL] = {"application/sql", "sql"},
    [RECORDING_JSON] = {"application/json", "json"},
};

enum err
api_session_export(struct api_request *q)
{
    enum recording_format format;
    struct recordings_entry entry;
    struct str reason, name;
    uint64_t session;
    enum err e;

    if ((e = need_recordings(q)) != OK ||
        (e = request_string(q, "reason", REASON_MAX, true, &reason)) != OK ||
        (e = request_string(q, "format", 16, true, &name)) != OK ||
        (e = request_session(q, 0, &session)) != OK)
        return e;
    if (!recording_format_by_name(name, &format))
        return fail(ERR_INVALID, "\"format\" is one of asciicast, sql, json");
    if ((e = recordings_find(q->control->recordings, session, &entry)) != OK ||
        (e = request_audit(q, "recording_exported", "session %.*s as %.*s: %.*s",
                           STR_ARG(q->parameters[0]), STR_ARG(name), STR_ARG(reason))) != OK ||
        (e = recordings_export(q->control->recordings, session, format, &q->reply->body)) != OK)
        return e;
    q->reply->status = 200;
    q->reply->type = exports[format].type;
    buf_printf(&q->reply->filename, "%.*s.%s", STR_ARG(q->parameters[0]), exports[format].suffix);
    return OK;
}

/* --- legal holds
 * ------------------------------------------------------------------------------------------ */

enum err
api_session_legal_hold(struct api_request *q)
{
    const json_t *on = json_object_get(q->json, "on");
    struct recordings_entry entry;
    struct str reason;
    uint64_t session;
    enum err e;

    if (!json_is_boolean(on))
        return fail(ERR_INVALID, "\"on\" must be true or false");
    if ((e = need_recordings(q)) != OK ||
        (e = request_string(q, "reason", REASON_MAX, true, &reason)) != OK ||
        (e = request_session(q, 0, &session)) != OK ||
        (e = recordings_find(q->control->recordings, session, &entry)) != OK ||
        (e = request_audit(q, json_is_true(on) ? "legal_hold_set" : "legal_hold_lifted",
                           "session %.*s: %.*s", STR_ARG(q->parameters[0]), STR_ARG(reason))) != OK)
        return e;
    return recordings_hold(q->control->recordings, session, json_is_true(on));
}
