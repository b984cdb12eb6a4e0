/* The server itself: its events, its health, its description, what Slack sends, and the console's
 * files. */
#include "base/clock.h"
#include "control/console_assets.h"
#include "control/control.h"
#include "control/events.h"
#include "control/openapi.h"
#include "control/pages.h"
#include "control/server.h"
#include "control/slack.h"

enum err
api_events(struct api_request *q)
{
    enum err e = events_subscribe(server_events(q->server), q->person->login, &q->reply->stream);

    if (e != OK)
        return e;
    q->reply->status = 200;
    q->reply->type = "text/event-stream";
    return OK;
}

/* For load balancers: whether requests can be decided here. Says no more, for anybody may ask. */
enum err
api_health(struct api_request *q)
{
    bool well = q->control->keeper >= 0 && q->control->ledger >= 0;
    struct json j;

    if (!well)
        return reply_problem(q->reply, 503, "a service of the gateway is starting");
    j = reply_json(q->reply, 200);
    json_open(&j, '{');
    json_field_text(&j, "status", "ok");
    json_field_text(&j, "version", BULKHEAD_VERSION);
    json_close(&j, '}');
    return OK;
}

enum err
api_openapi(struct api_request *q)
{
    q->reply->status = 200;
    q->reply->type = "application/json";
    q->reply->asset = (struct str){openapi_json, openapi_json_len};
    return OK;
}

enum err
api_slack(struct api_request *q)
{
    const struct slack_control control = {q->db, q->control->approvals, q->control->notify};
    const struct slack_request request = {q->slack_timestamp, q->slack_signature, q->body};
    struct slack_result result;

    slack_action(&control, &request, clock_wall_us(), &result);
    if (result.status != 200)
        return reply_problem(q->reply, result.status, "%s", result.text);
    q->reply->status = 200;
    q->reply->type = "text/plain; charset=utf-8";
    buf_put_text(&q->reply->body, result.text);
    return OK;
}

/* --- the console
 * ------------------------------------------------------------------------------------ */

static bool
takes_gzip(struct str accept)
{
    struct str one, name;

    while (accept.len > 0) {
        accept = str_cut(accept, ',', &one);
        one = str_cut(one, ';', &name);
        if (str_equal_nocase(str_trim(name), STR("gzip")) && !str_is(str_trim(one), "q=0"))
            return true;
    }
    return false;
}

static enum err
give(struct api_request *q, const struct console_asset *a)
{
    bool packed = a->gzip.len > 0 && takes_gzip(q->accept_encoding);

    buf_put_str(&q->reply->etag, a->etag);
    q->reply->immutable = a->immutable;
    if (str_equal(q->if_none_match, a->etag)) {
        q->reply->status = 304;
        return OK;
    }
    q->reply->status = 200;
    buf_put_str(&q->reply->asset_type, a->content_type);
    q->reply->asset = packed ? a->gzip : a->bytes;
    q->reply->encoding = packed ? "gzip" : NULL;
    return OK;
}

enum err
console_asset(struct api_request *q)
{
    const struct console_asset *a = console_asset_find(q->path);

    return a == NULL ? fail(ERR_NOT_FOUND, "there is no such file") : give(q, a);
}

enum err
console_page(struct api_request *q)
{
    const struct console_asset *a = console_asset_find(q->path);

    return give(q, a != NULL ? a : console_asset_index());
}
