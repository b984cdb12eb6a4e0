/* Sessions: those that are open and those that were, and ending one. */
#include <stdio.h>

#include "control/control.h"
#include "control/pages.h"
#include "control/recordings.h"
#include "store/session_index.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 200, REASON_MAX = 1000 };

static void
write_recording(struct api_request *q, struct json *j, uint64_t session)
{
    struct recordings_entry r;

    json_key(j, "recording");
    if (q->control->recordings == NULL ||
        recordings_find(q->control->recordings, session, &r) != OK) {
        json_put_null(j);
        return;
    }
    json_open(j, '{');
    json_field_uint(j, "bytes", r.bytes);
    json_field_uint(j, "chunks", r.chunks);
    json_field_bool(j, "ended", r.ended);
    json_field_bool(j, "rows", r.rows);
    json_field_bool(j, "legal_hold", r.legal_hold);
    json_field_bool(j, "uploaded", r.uploaded);
    json_field_bool(j, "readable", recordings_can_read(q->control->recordings));
    reply_put_time(j, "retain_until", r.retain_until_us);
    json_close(j, '}');
}

static void
write_session(struct api_request *q, struct json *j, const struct session_entry *s)
{
    const struct {
        const char *key;
        struct str value;
    } texts[] = {
        {"subject", s->subject},   {"issuer", s->issuer},     {"token_id", s->token_id},
        {"task", s->task},         {"resource", s->resource}, {"protocol", s->protocol},
        {"database", s->database}, {"client", s->client},     {"source", s->source},
        {"access", s->access},     {"end", s->end},
    };

    json_open(j, '{');
    reply_put_session(j, "id", s->session);
    json_field_text(j, "state", s->closed_us == 0 ? "live" : "closed");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        json_field_str(j, texts[i].key, texts[i].value);
    api_put_list(j, "chain", s->chain);
    api_put_list(j, "groups", s->groups);
    reply_put_time(j, "opened", s->opened_us);
    reply_put_time(j, "closed", s->closed_us);
    reply_put_time(j, "expires", s->expires_us);
    json_field_uint(j, "commands", s->commands);
    json_field_uint(j, "refused", s->refused);
    json_field_uint(j, "rows", s->rows);
    write_recording(q, j, s->session);
    json_close(j, '}');
}

static enum err
read_filter(const struct api_request *q, struct session_filter *filter)
{
    struct str state = STR("live"), before = STR(""), time;
    uint64_t limit = LIST_DEFAULT, us;
    enum err e;

    if ((e = request_query(q, "state", 16, &state)) != OK ||
        (e = request_query(q, "q", 200, &filter->text)) != OK ||
        (e = request_query(q, "before", 64, &before)) != OK ||
        (e = request_query_uint(q, "limit", LIST_MAX, &limit)) != OK)
        return e;
    if (str_is(state, "live"))
        filter->state = SESSIONS_LIVE;
    else if (str_is(state, "closed"))
        filter->state = SESSIONS_CLOSED;
    else if (str_is(state, "all"))
        filter->state = SESSIONS_ALL;
    else
        return fail(ERR_INVALID, "state is one of live, closed, all");
    filter->limit = limit == 0 ? LIST_DEFAULT : (unsigned)limit;
    if (before.len == 0)
        return OK;
    before = str_cut(before, '.', &time);
    if (!str_to_uint(time, INT64_MAX, &us) || us == 0 ||
        !control_session_parse(before, &filter->before_session))
        return fail(ERR_INVALID, "before is the \"next\" of another answer");
    filter->before_us = (int64_t)us;
    return OK;
}

static void
put_next(struct json *j, const struct session_list *list, unsigned limit)
{
    const struct session_entry *last = list->n == 0 ? NULL : &list->items[list->n - 1];
    char text[64];

    json_key(j, "next");
    if (last == NULL || list->n < limit) {
        json_put_null(j);
        return;
    }
    (void)snprintf(text, sizeof(text), "%lld.%016llx", (long long)last->opened_us,
                   (unsigned long long)last->session);
    json_str(j, str_from(text));
}

enum err
api_sessions_list(struct api_request *q)
{
    struct session_filter filter = {.text = STR_INIT("")};
    struct session_list list;
    struct json j;
    enum err e;

    if ((e = read_filter(q, &filter)) != OK ||
        (e = session_index_list(q->db, &filter, q->arena, &list)) != OK)
        return e;
    j = reply_json(q->reply, 200);
    json_open(&j, '{');
    json_key(&j, "items");
    json_open(&j, '[');
    for (size_t i = 0; i < list.n; i++)
        write_session(q, &j, &list.items[i]);
    json_close(&j, ']');
    put_next(&j, &list, filter.limit);
    json_close(&j, '}');
    return OK;
}

enum err
api_session_get(struct api_request *q)
{
    struct session_entry s;
    uint64_t session;
    struct json j;
    enum err e;

    if ((e = request_session(q, 0, &session)) != OK)
        return e;
    if ((e = session_index_get(q->db, session, q->arena, &s)) != OK)
        return e == ERR_NOT_FOUND ? fail(e, "there is no session %.*s", STR_ARG(q->parameters[0]))
                                  : e;
    j = reply_json(q->reply, 200);
    write_session(q, &j, &s);
    return OK;
}

enum err
api_session_kill(struct api_request *q)
{
    struct str reason;
    uint64_t session;
    enum err e;

    if ((e = request_string(q, "reason", REASON_MAX, true, &reason)) != OK ||
        (e = request_session(q, 0, &session)) != OK)
        return e;
    if (control_session(q->control, session) == NULL)
        return fail(ERR_NOT_FOUND, "session %.*s is not open here", STR_ARG(q->parameters[0]));
    if ((e = request_audit(q, "session_killed", "session %.*s: %.*s", STR_ARG(q->parameters[0]),
                           STR_ARG(reason))) != OK)
        return e;
    /* 204: the keeper ends it, and an event says when it is over. */
    return control_kill(q->control, session, q->person->subject, str_trim(reason));
}
