/* Requests for approval: the inbox, one of them, and what humans decide. Whether somebody may
 * decide is the engine's word (approvals.h); here is who may look. */
#include <stdio.h>

#include "base/clock.h"
#include "control/control.h"
#include "control/pages.h"
#include "control/request_json.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 200, RECENT_SHOWN = 30, RECENT_BYTES_MAX = 1 << 20 };

void
api_put_list(struct json *j, const char *key, struct str_list list)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < list.n; i++)
        json_str(j, list.items[i]);
    json_close(j, ']');
}

struct approver
request_approver(const struct api_request *q)
{
    const struct api_person *p = q->person;

    return (struct approver){
        .person = {.issuer = p->issuer,
                   .subject = p->subject,
                   .name = p->name,
                   .email = p->email,
                   .groups = p->groups},
        .chain = p->chain,
        .token_id = p->token_id,
        .channel = str_starts(q->user_agent, STR("bulkhead-cli/")) ? "cli" : p->channel};
}

/* --- who may look -------------------------------------------------------------------------------
 */

static bool
is_one_of(struct str_list list, struct str value)
{
    for (size_t i = 0; i < list.n; i++)
        if (str_equal(list.items[i], value))
            return true;
    return false;
}

static bool
matches_any(struct str_list globs, struct str_list values)
{
    for (size_t i = 0; i < globs.n; i++)
        for (size_t k = 0; k < values.n; k++)
            if (str_glob(globs.items[i], values.items[k]))
                return true;
    return false;
}

/* Approvers by the rule as it was, whoever asks or is asked for, and the roles that look at
 * sessions anyway: a statement may hold what others need not know. */
bool
request_is_visible(const struct api_request *q, const struct request *r)
{
    const struct api_person *p = q->person;
    struct str_list self = {&p->subject, 1};

    if (p->chain.n > 1) /* an agent: what it asked for itself */
        return str_equal(p->issuer, r->issuer) && str_equal(p->subject, r->subject) &&
               is_one_of(r->chain, p->chain.items[p->chain.n - 1]);
    return p->viewer ||
           (str_equal(p->issuer, r->issuer) &&
            (is_one_of(r->chain, p->subject) || str_equal(p->subject, r->subject))) ||
           matches_any(r->step_up.approver_groups, p->groups) ||
           matches_any(r->step_up.approver_subjects, self) ||
           matches_any(r->step_up.break_glass_groups, p->groups);
}

/* --- writing -------------------------------------------------------------------------------------
 */

/* What the session did before, where that can be told; else nothing. */
static void
add_recent(struct api_request *q, const struct request *r, struct buf *recent)
{
    if (r->session == 0 || q->control->recent == NULL ||
        q->control->recent(q->control, r->session, RECENT_SHOWN, recent) != OK)
        buf_reset(recent);
}

enum err
request_write(struct api_request *q, struct json *j, const struct request *r, bool whole)
{
    struct buf recent = buf_make(RECENT_BYTES_MAX);
    struct approver by = request_approver(q);
    struct approvals_eligibility you;
    struct decision_list decisions;
    struct request_view view = {.request = r,
                                .decisions = &decisions,
                                .you = &you,
                                .console_url = q->config->console.url,
                                .whole = whole};
    enum err e;

    if (whole)
        add_recent(q, r, &recent);
    if ((e = decisions_of(q->db, r->id, q->arena, &decisions)) == OK &&
        (e = approvals_may_decide(q->control->approvals, r, &decisions, &by, q->arena, &you)) ==
            OK) {
        view.recent = buf_str(&recent);
        e = request_json_write(j, &view);
    }
    buf_free(&recent);
    return e;
}

/* --- lists
 * ---------------------------------------------------------------------------------------- */

static enum err
read_state(const struct api_request *q, enum request_filter_state *out)
{
    static const struct {
        const char *name;
        enum request_filter_state state;
    } states[] = {
        {"pending", REQUESTS_PENDING}, {"decided", REQUESTS_DECIDED}, {"all", REQUESTS_ALL}};
    struct str name = STR("pending");
    enum err e;

    if ((e = request_query(q, "state", 16, &name)) != OK)
        return e;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (str_is(name, states[i].name)) {
            *out = states[i].state;
            return OK;
        }
    return fail(ERR_INVALID, "state is one of pending, decided, all");
}

/* `before` is what `next` was: the last row's time and id. */
static enum err
read_before(const struct api_request *q, struct request_filter *filter)
{
    struct str before = STR(""), time, id;
    uint64_t us;
    enum err e;

    if ((e = request_query(q, "before", 64, &before)) != OK || before.len == 0)
        return e;
    id = str_cut(before, '.', &time);
    if (!str_to_uint(time, INT64_MAX, &us) || us == 0 || !store_is_id(id))
        return fail(ERR_INVALID, "before is the \"next\" of another answer");
    filter->before_us = (int64_t)us;
    filter->before_id = id;
    return OK;
}

static void
put_next(struct json *j, const struct request_list *list, uint64_t limit)
{
    const struct request *last = list->n == 0 ? NULL : &list->items[list->n - 1];
    char text[64];

    json_key(j, "next");
    if (last == NULL || list->n < limit) {
        json_put_null(j);
        return;
    }
    (void)snprintf(text, sizeof(text), "%lld.%.*s", (long long)last->created_us, STR_ARG(last->id));
    json_str(j, str_from(text));
}

enum err
api_approvals_list(struct api_request *q)
{
    struct request_filter filter = {0};
    struct request_list list;
    uint64_t limit = LIST_DEFAULT;
    struct json j;
    enum err e;

    if ((e = read_state(q, &filter.state)) != OK || (e = read_before(q, &filter)) != OK ||
        (e = request_query_uint(q, "limit", LIST_MAX, &limit)) != OK)
        return e;
    filter.limit = limit == 0 ? LIST_DEFAULT : (unsigned)limit;
    if ((e = requests_list(q->db, &filter, q->arena, &list)) != OK)
        return e;
    j = reply_json(q->reply, 200);
    json_open(&j, '{');
    json_key(&j, "items");
    json_open(&j, '[');
    for (size_t i = 0; i < list.n; i++)
        if (request_is_visible(q, &list.items[i]) &&
            (e = request_write(q, &j, &list.items[i], false)) != OK)
            return e;
    json_close(&j, ']');
    put_next(&j, &list, filter.limit);
    json_close(&j, '}');
    return OK;
}

/* --- one
 * --------------------------------------------------------------------------------------------- */

/* One that the person may not see is not there. */
static enum err
find(struct api_request *q, struct request *out)
{
    struct str id = q->parameters[0];
    enum err e = store_is_id(id) ? requests_get(q->db, id, q->arena, out) : ERR_NOT_FOUND;

    if (e == ERR_NOT_FOUND || (e == OK && !request_is_visible(q, out)))
        return fail(ERR_NOT_FOUND, "there is no request %.*s for you to see",
                    (int)(id.len > 64 ? 64 : id.len), id.ptr);
    return e;
}

static enum err
show(struct api_request *q, const struct request *r)
{
    struct json j = reply_json(q->reply, 200);

    return request_write(q, &j, r, true);
}

enum err
api_approval_get(struct api_request *q)
{
    struct request r;
    enum err e = find(q, &r);

    return e == OK ? show(q, &r) : e;
}

/* The engine writes to the ledger before it decides. */
static enum err
decide(struct api_request *q, enum decision_verdict verdict)
{
    struct approver by = request_approver(q);
    struct request r;
    struct str reason;
    enum err e;

    if ((e = request_string(q, "reason", REQUEST_REASON_MAX, verdict == DECISION_OVERRIDE,
                            &reason)) != OK ||
        (e = find(q, &r)) != OK)
        return e;
    e = approvals_decide(q->control->approvals, q->parameters[0], &by, verdict, str_trim(reason),
                         q->arena, &r);
    if (e != OK)
        return e;
    /* As it is in the store now, whole. */
    e = requests_get(q->db, q->parameters[0], q->arena, &r);
    return e == OK ? show(q, &r) : e;
}

enum err
api_approval_approve(struct api_request *q)
{
    return decide(q, DECISION_APPROVE);
}

enum err
api_approval_deny(struct api_request *q)
{
    return decide(q, DECISION_DENY);
}

enum err
api_approval_override(struct api_request *q)
{
    return decide(q, DECISION_OVERRIDE);
}

enum err
api_approval_withdraw(struct api_request *q)
{
    struct approver by = request_approver(q);
    struct request r;
    enum err e;

    if ((e = find(q, &r)) != OK ||
        (e = approvals_cancel(q->control->approvals, q->parameters[0], &by, q->arena)) != OK ||
        (e = requests_get(q->db, q->parameters[0], q->arena, &r)) != OK)
        return e;
    return show(q, &r);
}
