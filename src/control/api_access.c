/* Access for a time: asking for it, what was granted, taking it back. */
#include "base/clock.h"
#include "control/access.h"
#include "control/control.h"
#include "control/login.h"
#include "control/pages.h"

enum { SECONDS_MAX = 31 * 24 * 3600, LIST_MAX = 200 };

enum err
api_access_request(struct api_request *q)
{
    struct approver who = request_approver(q);
    struct access_ask ask = {.who = &who};
    struct request r;
    struct json j;
    enum err e;

    if ((e = request_string(q, "resource", 256, true, &ask.resource)) != OK ||
        (e = request_string(q, "rule", 1024, false, &ask.rule)) != OK ||
        (e = request_uint(q, "seconds", SECONDS_MAX, &ask.seconds)) != OK ||
        (e = request_string(q, "reason", REQUEST_REASON_MAX, true, &ask.reason)) != OK ||
        (e = access_request(q->control->approvals, &ask, q->arena, &r)) != OK)
        return e;
    j = reply_json(q->reply, 201);
    return request_write(q, &j, &r, true);
}

static void
write_grant(struct json *j, const struct grant *g)
{
    int64_t now = clock_wall_us();

    json_open(j, '{');
    json_field_str(j, "id", g->id);
    json_field_str(j, "request", g->request);
    json_field_str(j, "subject", g->subject);
    json_field_str(j, "issuer", g->issuer);
    api_put_list(j, "chain", g->chain);
    json_field_str(j, "resource", g->resource);
    json_field_str(j, "rule", g->rule);
    json_field_str(j, "by", g->by);
    json_field_str(j, "reason", g->reason);
    reply_put_time(j, "created", g->created_us);
    reply_put_time(j, "expires", g->expires_us);
    reply_put_time(j, "revoked", g->revoked_us);
    json_field_str(j, "revoked_by", g->revoked_by);
    json_field_str(j, "revoked_reason", g->revoked_reason);
    json_field_bool(j, "live", g->revoked_us == 0 && g->created_us <= now && now < g->expires_us);
    json_close(j, '}');
}

/* Viewers see all; everybody their own. */
enum err
api_access_list(struct api_request *q)
{
    bool all = q->person->viewer && !login_is_delegated(q->person);
    struct str state = STR("live");
    struct grant_filter filter = {.now_us = clock_wall_us(), .limit = LIST_MAX};
    struct grant_list list;
    struct json j;
    enum err e;

    if ((e = request_query(q, "state", 16, &state)) != OK)
        return e;
    if (!str_is(state, "live") && !str_is(state, "all"))
        return fail(ERR_INVALID, "state is one of live, all");
    filter.live = str_is(state, "live");
    if (!all) {
        filter.subject = q->person->subject;
        filter.issuer = q->person->issuer;
    }
    if ((e = grants_list(q->db, &filter, q->arena, &list)) != OK)
        return e;
    j = reply_json(q->reply, 200);
    json_open(&j, '{');
    json_key(&j, "items");
    json_open(&j, '[');
    for (size_t i = 0; i < list.n; i++)
        write_grant(&j, &list.items[i]);
    json_close(&j, ']');
    json_close(&j, '}');
    return OK;
}

/* Admins, and whoever has it. */
enum err
api_access_revoke(struct api_request *q)
{
    struct approver by = request_approver(q);
    struct grant grant;
    struct str reason;
    struct json j;
    bool own;
    enum err e;

    if ((e = request_string(q, "reason", REQUEST_REASON_MAX, true, &reason)) != OK)
        return e;
    e = store_is_id(q->parameters[0]) ? grants_get(q->db, q->parameters[0], q->arena, &grant)
                                      : ERR_NOT_FOUND;
    own = e == OK && str_equal(grant.subject, q->person->subject) &&
          str_equal(grant.issuer, q->person->issuer);
    if (e == ERR_NOT_FOUND || (e == OK && grant.kind != GRANT_ACCESS) ||
        (e == OK && !own && !q->person->viewer))
        return fail(ERR_NOT_FOUND, "there is no such grant of access for you to see");
    if (e != OK)
        return e;
    if (!own && !q->person->admin)
        return fail(ERR_DENIED,
                    "the access of others is revoked by an admin (console.roles.admin)");
    /* The engine writes to the ledger before it revokes. */
    if ((e = access_revoke(q->control->approvals, q->parameters[0], &by, str_trim(reason), q->arena,
                           &grant)) != OK)
        return e;
    j = reply_json(q->reply, 200);
    write_grant(&j, &grant);
    return OK;
}
