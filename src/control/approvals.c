#include "control/approvals.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "control/approvals_state.h"
#include "control/request_json.h"

/* --- beginning and end ------------------------------------------------------------------------ */

static int64_t
real_wall_us(void *arg)
{
    (void)arg;
    return clock_wall_us();
}

static int64_t
real_monotonic_ms(void *arg)
{
    (void)arg;
    return clock_monotonic_ms();
}

const struct approvals_clock approvals_real_clock = {real_wall_us, real_monotonic_ms, NULL};

enum err
approvals_open(struct db *db, const char *node, const struct approvals_clock *clock,
               const struct approvals_hooks *hooks, struct approvals **out)
{
    struct approvals *a = calloc(1, sizeof(*a));
    enum err e;

    if (a == NULL)
        return fail(ERR_NOMEM, "no memory");
    a->db = db;
    a->clock = clock;
    a->hooks = hooks;
    a->look = true;
    a->last_look_ms = now_ms(a) - SYNC_REST_MS; /* at the first tick */
    if (strlen(node) > NODE_MAX) {
        free(a);
        return fail(ERR_LIMIT, "the name of a node has at most %d bytes", NODE_MAX);
    }
    memcpy(a->node, node, strlen(node));
    a->pending = table_new(APPROVALS_PENDING_MAX);
    a->waiters = table_new(APPROVALS_WAITERS_MAX);
    a->grants = table_new(GRANTS_SEEN_MAX);
    if (a->pending == NULL || a->waiters == NULL || a->grants == NULL)
        e = fail(ERR_NOMEM, "no memory");
    else
        e = requests_unwait_node(db, str_from(a->node));
    if (e != OK) {
        approvals_close(a);
        return e;
    }
    *out = a;
    return OK;
}

/* All values of a table, so that it may change while they are gone through. NULL: none, or no
 * memory (which is as if they were none: the next look finds them). */
struct gathered {
    void **items;
    size_t n, max;
};

static void
gather_one(struct str key, void *value, void *arg)
{
    struct gathered *g = arg;

    (void)key;
    if (g->n < g->max)
        g->items[g->n++] = value;
}

static struct gathered
gather(const struct table *t)
{
    struct gathered g = {.max = table_count(t)};

    g.items = g.max == 0 ? NULL : calloc(g.max, sizeof(*g.items));
    if (g.items == NULL)
        g.max = 0;
    table_each(t, gather_one, &g);
    return g;
}

static void
free_value(struct str key, void *value, void *arg)
{
    (void)key;
    (void)arg;
    free(value);
}

void
approvals_close(struct approvals *a)
{
    struct gathered all;

    if (a == NULL)
        return;
    if (a->pending != NULL) {
        all = gather(a->pending);
        for (size_t i = 0; i < all.n; i++)
            pending_answer(a, all.items[i], IPC_DECISION_FAILED, STR(""),
                           STR("the approval service is stopping; try again"));
        free(all.items);
        table_each(a->pending, free_value, NULL);
    }
    if (a->waiters != NULL)
        table_each(a->waiters, free_value, NULL);
    if (a->grants != NULL)
        table_each(a->grants, free_value, NULL);
    table_free(a->pending);
    table_free(a->waiters);
    table_free(a->grants);
    free(a);
}

/* --- who waits -------------------------------------------------------------------------------- */

struct request_mark
mark_of(const struct request *r)
{
    struct request_mark m = {
        .kind = r->kind,
        .version = r->version,
        .created_us = r->created_us,
        .opened_us = r->opened_us,
        .expires_us = r->expires_us,
        .wait_ms = r->wait_ms,
    };

    memcpy(m.id, r->id.ptr, STORE_ID_BYTES);
    return m;
}

/* How long it may still be pending, counted by the monotonic clock from now: what the wall clock
 * says, but never longer than it was to be from the beginning. */
static int64_t
deadline_of(const struct approvals *a, const struct request_mark *mark)
{
    int64_t left_ms = (mark->expires_us - now_us(a)) / 1000;

    if (left_ms < 0)
        left_ms = 0;
    if (left_ms > mark->wait_ms)
        left_ms = mark->wait_ms;
    return now_ms(a) + left_ms;
}

/* Not known (empty) of requests that nobody here has asked for. */
static void
remember_policy(struct pending *p, struct str policy_hash)
{
    if (policy_hash.len > 0 && policy_hash.len < sizeof(p->policy_hash)) {
        memcpy(p->policy_hash, policy_hash.ptr, policy_hash.len);
        p->policy_hash[policy_hash.len] = '\0';
    }
}

struct pending *
pending_know(struct approvals *a, const struct request_mark *mark, struct str policy_hash)
{
    struct str id = {mark->id, STORE_ID_BYTES};
    struct pending *p = table_get(a->pending, id);
    int64_t deadline_ms = deadline_of(a, mark);

    if (p != NULL) { /* reopening is told by pending_forget() before */
        if (deadline_ms < p->deadline_ms)
            p->deadline_ms = deadline_ms;
        p->version = mark->version;
        remember_policy(p, policy_hash);
        return p;
    }
    if ((p = calloc(1, sizeof(*p))) == NULL)
        return NULL;
    memcpy(p->id, mark->id, sizeof(p->id));
    p->kind = mark->kind;
    p->version = mark->version;
    p->deadline_ms = deadline_ms;
    p->seen = a->looks;
    remember_policy(p, policy_hash);
    if (table_put(a->pending, id, p, NULL) != OK) {
        free(p);
        return NULL;
    }
    return p;
}

static struct str
key_of(const struct waiter *w)
{
    return (struct str){(const char *)w->key, sizeof(w->key)};
}

void
waiter_remove(struct approvals *a, struct waiter *w)
{
    struct waiter **at = &w->pending->waiters;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    (void)table_remove(a->waiters, key_of(w));
    free(w);
}

void
pending_answer(struct approvals *a, struct pending *p, enum ipc_decision decision, struct str by,
               struct str text)
{
    while (p->waiters != NULL) {
        struct waiter *w = p->waiters;
        const struct approvals_answer answer = {
            .session = w->key[0],
            .command = w->key[1],
            .decision = decision,
            .request = id_of(p),
            .by = by,
            .text = text,
            .command_hash = {(const char *)w->command_hash, HASH_BYTES},
        };

        a->hooks->decided(a->hooks->arg, &answer);
        waiter_remove(a, w);
    }
}

void
pending_forget(struct approvals *a, struct pending *p)
{
    (void)table_remove(a->pending, id_of(p));
    while (p->waiters != NULL)
        waiter_remove(a, p->waiters);
    free(p);
}

static enum err
add_waiter(struct approvals *a, struct pending *p, const struct approvals_ask *ask,
           uint32_t wait_ms)
{
    struct waiter *w = calloc(1, sizeof(*w));
    enum err e;

    if (w == NULL)
        return fail(ERR_NOMEM, "no memory");
    w->key[0] = ask->session->session;
    w->key[1] = ask->command;
    w->deadline_ms = now_ms(a) + wait_ms;
    if (w->deadline_ms > p->deadline_ms)
        w->deadline_ms = p->deadline_ms;
    memcpy(w->command_hash, ask->command_hash.ptr, HASH_BYTES);
    w->pending = p;
    if ((e = table_put(a->waiters, key_of(w), w, NULL)) != OK) {
        free(w);
        return e;
    }
    w->next = p->waiters;
    p->waiters = w;
    return OK;
}

size_t
approvals_waiting(const struct approvals *a)
{
    return table_count(a->waiters);
}

/* --- asking ----------------------------------------------------------------------------------- */

struct session_count {
    uint64_t session;
    size_t n;
};

static void
count_session(struct str key, void *value, void *arg)
{
    struct session_count *count = arg;

    (void)key;
    count->n += ((struct waiter *)value)->key[0] == count->session;
}

static enum err
check_room(struct approvals *a, const struct approvals_ask *ask)
{
    uint64_t key[2] = {ask->session->session, ask->command};
    struct session_count count = {.session = ask->session->session};

    if (table_get(a->waiters, (struct str){(const char *)key, sizeof(key)}) != NULL)
        return fail(ERR_EXISTS, "this command waits for approval already");
    if (table_count(a->waiters) >= APPROVALS_WAITERS_MAX)
        return fail(ERR_LIMIT, "too many commands wait for approval; try again later");
    if (table_count(a->waiters) >= APPROVALS_SESSION_WAITERS_MAX) {
        table_each(a->waiters, count_session, &count);
        if (count.n >= APPROVALS_SESSION_WAITERS_MAX)
            return fail(ERR_LIMIT, "too many commands of this session wait for approval");
    }
    return OK;
}

static enum err
check_ask(struct approvals *a, const struct approvals_ask *ask, const struct policy_rule **rule,
          struct record *intent)
{
    size_t used;

    if (a->config == NULL)
        return fail(ERR_UNAVAILABLE, "approvals are not ready; try again");
    if ((*rule = approvals_rule(a, ask->rule)) == NULL)
        return fail(ERR_NOT_FOUND, "there is no rule \"%.*s\" any more; try again",
                    STR_ARG(ask->rule));
    if (!str_equal(ask->policy_hash, str_from(a->policy_hash)))
        return fail(ERR_DENIED, "the policy has changed; try again");
    if ((*rule)->verdict != VERDICT_STEP_UP)
        return fail(ERR_DENIED, "the rule \"%.*s\" asks nobody", STR_ARG(ask->rule));
    if (ask->command_hash.len != HASH_BYTES || ask->session->chain.n > STORE_CHAIN_MAX)
        return fail(ERR_INVALID, "the command cannot be bound to an approval");
    if (record_read(ask->frame, intent, &used) != OK || used != ask->frame.len ||
        intent->kind != RECORD_INTENT)
        return fail(ERR_INVALID, "the command's record cannot be read");
    return check_room(a, ask);
}

void
approvals_take_rule(struct request *r, const struct policy_rule *rule, struct str policy_hash)
{
    r->rule = rule->name;
    r->rule_text = rule->message;
    r->policy_hash = policy_hash;
    r->step_up = rule->step_up;
    if (r->step_up.approvals == 0)
        r->step_up.approvals = 1;
}

static uint32_t
wait_of(const struct approvals_ask *ask, const struct step_up *s)
{
    uint64_t rule_ms =
        (uint64_t)(ask->in_transaction ? s->wait_in_transaction_seconds : s->wait_seconds) * 1000;

    return ask->wait_ms < rule_ms ? ask->wait_ms : (uint32_t)rule_ms;
}

static void
set_times(struct approvals *a, struct request *r, uint32_t wait_ms)
{
    r->opened_us = now_us(a);
    r->wait_ms = wait_ms;
    r->expires_us = r->opened_us + (int64_t)wait_ms * 1000;
}

/* Texts that came from outside, as the store takes them. */
static enum err
take_texts(struct request *r, const struct approvals_ask *ask, const struct record *intent,
           struct arena *arena)
{
    const struct approvals_session *s = ask->session;
    const struct {
        struct str from, *to;
        size_t max;
    } texts[] = {
        {s->issuer, &r->issuer, 1024},     {s->subject, &r->subject, 1024},
        {s->token_id, &r->token_id, 1024}, {s->task, &r->task, 256},
        {s->email, &r->email, 320},        {s->resource, &r->resource, 256},
        {s->protocol, &r->protocol, 32},   {s->client, &r->client, 256},
        {s->source, &r->source, 64},       {ask->database, &r->database, 256},
        {ask->purpose, &r->purpose, 1024}, {intent->intent.text, &r->summary, REQUEST_SUMMARY_MAX},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        *texts[i].to = store_clean(arena, texts[i].from, texts[i].max);
        if (texts[i].to->ptr == NULL)
            return fail(ERR_NOMEM, "no memory");
    }
    return OK;
}

static enum err
take_chain(struct request *r, const struct approvals_ask *ask)
{
    r->chain = ask->session->chain.n > 0 ? ask->session->chain
                                         : (struct str_list){&ask->session->subject, 1};
    for (size_t i = 0; i < r->chain.n; i++)
        if (!str_is_utf8(r->chain.items[i]))
            return fail(ERR_INVALID, "a principal's name is not UTF-8");
    return OK;
}

/* Copies a text into the arena; empty without memory, which the caller's checks then refuse. */
static struct str
keep(struct arena *arena, const char *text)
{
    return arena_str(arena, str_from(text));
}

static enum err
make_request(struct approvals *a, const struct approvals_ask *ask, const struct policy_rule *rule,
             struct record *intent, struct arena *arena, struct request *r)
{
    struct buf hex = buf_make(2 * HASH_BYTES);
    char key[APPROVALS_HASH_TEXT];
    enum err e;

    *r = (struct request){
        .kind = REQUEST_COMMAND,
        .version = 1,
        .node = str_from(a->node),
        .waiting = true,
        .session = ask->session->session,
        .command = ask->command,
        .reason = STR(""),
        .in_transaction = ask->in_transaction,
        .frame = ask->frame,
        .preview = STR(""),
        .decided_by = STR(""),
        .decided_text = STR(""),
    };
    approvals_take_rule(r, rule, str_from(a->policy_hash));
    set_times(a, r, wait_of(ask, &rule->step_up));
    encode_hex(&hex, ask->command_hash);
    if ((e = buf_ok(&hex)) == OK)
        r->command_hash = arena_str(arena, buf_str(&hex));
    buf_free(&hex);
    if (e != OK || (e = take_texts(r, ask, intent, arena)) != OK || (e = take_chain(r, ask)) != OK)
        return e;
    if ((e = approvals_scope_key(r, key)) != OK)
        return e;
    r->scope_key = keep(arena, key);
    return r->scope_key.ptr == NULL || r->command_hash.ptr == NULL ? fail(ERR_NOMEM, "no memory")
                                                                   : OK;
}

static enum err
bind_request(struct request *r, struct arena *arena)
{
    char hash[APPROVALS_HASH_TEXT];
    enum err e = approvals_binding_hash(r, hash);

    if (e != OK)
        return e;
    r->binding_hash = keep(arena, hash);
    return r->binding_hash.ptr == NULL ? fail(ERR_NOMEM, "no memory") : OK;
}

/* What approvers see beside the command itself. */
static enum err
add_views(struct approvals *a, const struct approvals_ask *ask, struct record *intent,
          struct arena *arena, struct request *r)
{
    struct buf text = buf_make(REQUEST_PREVIEW_MAX);
    struct risk_facts facts = {
        .intent = intent,
        .resource = config_find_resource(a->config, r->resource),
        .in_transaction = r->in_transaction,
        .purpose = r->purpose,
    };
    enum err e = requests_count_before(a->db, r->issuer, r->subject, r->rule, r->resource,
                                       &facts.asked_before);

    if (e != OK)
        return e;
    request_json_check_preview(ask->preview, &text);
    r->preview = arena_str(arena, buf_str(&text));
    facts.preview = r->preview;
    buf_reset(&text);
    request_json_risk(&text, &facts);
    r->risk = arena_str(arena, buf_ok(&text) == OK ? buf_str(&text) : STR("[]"));
    buf_free(&text);
    return r->preview.ptr == NULL || r->risk.ptr == NULL ? fail(ERR_NOMEM, "no memory") : OK;
}

static enum err
insert_recorded(struct approvals *a, struct request *r)
{
    struct buf text = buf_make(4096);
    uint64_t n = 0;
    enum err e = requests_count_pending(a->db, &n);

    if (e == OK && n >= APPROVALS_PENDING_MAX)
        e = fail(ERR_LIMIT, "too many requests wait for approval; try again later");
    if (e == OK)
        e = requests_insert(a->db, r);
    if (e == OK)
        e = approvals_notify(a, "approval", false, r, STR(""), STR(""));
    if (e == OK) {
        approvals_describe_approvers(&r->step_up, &text);
        e = approvals_record(a, r, "requested", r->chain.items[r->chain.n - 1], buf_str(&text));
    }
    buf_free(&text);
    return e;
}

enum err
approvals_insert(struct approvals *a, struct request *r)
{
    enum err e = db_begin(a->db);

    if (e != OK)
        return e;
    if ((e = insert_recorded(a, r)) != OK) {
        db_rollback(a->db);
        return e;
    }
    if ((e = db_commit(a->db)) == ERR_CANCELED) { /* nobody waits for it, if it is there */
        a->look = true;
        return fail(ERR_UNAVAILABLE, "the approval could not be asked for: the store is not "
                                     "available; try again");
    }
    return e;
}

static enum err
new_request(struct approvals *a, const struct approvals_ask *ask, struct record *intent,
            struct arena *arena, struct request *r)
{
    char id[STORE_ID_BYTES + 1];
    enum err e;

    if ((e = store_new_id(id)) != OK)
        return e;
    r->id = keep(arena, id);
    r->created_us = r->opened_us;
    r->state = REQUEST_PENDING;
    if (r->id.ptr == NULL)
        return fail(ERR_NOMEM, "no memory");
    if ((e = bind_request(r, arena)) != OK || (e = add_views(a, ask, intent, arena, r)) != OK)
        return e;
    return approvals_insert(a, r);
}

/* One that nobody waits for (any more) is asked for again, under its id: its notifications are out
 * already. */
static enum err
reopen(struct approvals *a, const struct request *same, struct arena *arena, struct request *r)
{
    struct pending *p = table_get(a->pending, same->id);
    enum err e;

    r->id = same->id;
    r->created_us = same->created_us;
    r->state = REQUEST_PENDING;
    r->version = same->version + 1;
    if ((e = bind_request(r, arena)) != OK || (e = db_begin(a->db)) != OK)
        return e;
    /* What was said before was said of another expiry, even if it comes to the same moment. */
    if ((e = requests_reopen(a->db, r)) == OK &&
        (e = decisions_forget(a->db, r->id, r->binding_hash)) == OK)
        e = approvals_record(a, r, "requested", r->chain.items[r->chain.n - 1],
                             STR("asked for again"));
    if (e != OK)
        db_rollback(a->db);
    else
        e = db_commit(a->db);
    if (e == OK && p != NULL) { /* its deadline is a new one; whoever waited, waited too long */
        pending_answer(a, p, IPC_DECISION_EXPIRED, STR(""), STR("nobody decided in time"));
        pending_forget(a, p);
    }
    return e;
}

/* Joins, reopens or makes a request: `r` is then pending in the store. */
static enum err
find_or_make(struct approvals *a, const struct approvals_ask *ask, struct record *intent,
             struct arena *arena, struct request *r)
{
    int64_t since_us = now_us(a) - (int64_t)APPROVALS_REOPEN_SECONDS * 1000000;
    struct request same;
    enum err e = requests_find_same(a->db, r->scope_key, since_us, arena, &same);
    bool held;

    if (e == ERR_NOT_FOUND)
        return new_request(a, ask, intent, arena, r);
    if (e != OK)
        return e;
    held = same.state == REQUEST_PENDING && same.waiting;
    if (held && r->step_up.scope == STEP_UP_ONCE) /* it serves one command, and that waits */
        return new_request(a, ask, intent, arena, r);
    if (held && same.expires_us > now_us(a)) {
        *r = same;
        return OK;
    }
    if ((e = reopen(a, &same, arena, r)) == ERR_NOT_FOUND) /* decided just now */
        return new_request(a, ask, intent, arena, r);
    return e;
}

/* An approval that was given before and serves this command too. */
static enum err
find_grant(struct approvals *a, const struct request *r, struct arena *arena,
           struct approvals_pending *out)
{
    struct grant g;
    enum err e;

    if (r->step_up.scope == STEP_UP_ONCE)
        return OK;
    if ((e = grants_find(a->db, r->scope_key, now_us(a), arena, &g)) == ERR_NOT_FOUND)
        return OK;
    if (e != OK || !grant_holds(a, &g, false))
        return e;
    out->approved = true;
    out->request = g.request;
    out->by = g.by;
    out->expires_us = g.expires_us;
    return OK;
}

static enum err
begin_wait(struct approvals *a, const struct approvals_ask *ask, const struct request *r,
           uint32_t wait_ms, struct arena *arena, struct approvals_pending *out)
{
    struct request_mark mark = mark_of(r);
    struct pending *p = pending_know(a, &mark, r->policy_hash);
    struct buf text = buf_make(2048);
    enum err e = p == NULL ? fail(ERR_LIMIT, "too many requests wait for approval; try again later")
                           : add_waiter(a, p, ask, wait_ms);

    if (e == OK) {
        int64_t left_ms = p->waiters->deadline_ms - now_ms(a);

        p->to_withdraw = false;
        approvals_describe_approvers(&r->step_up, &text);
        out->request = r->id;
        out->approvers = arena_str(arena, buf_str(&text));
        out->by = STR("");
        out->wait_ms = (uint32_t)left_ms;
        out->expires_us = now_us(a) + left_ms * 1000;
        if (out->approvers.ptr == NULL)
            out->approvers = STR("");
    }
    buf_free(&text);
    return e;
}

/* `arena` is the engine's own, for a request is large. */
static enum err
ask_in(struct approvals *a, const struct approvals_ask *ask, struct arena *arena,
       struct approvals_pending *out)
{
    const struct policy_rule *rule = NULL;
    struct record intent;
    struct request r;
    uint32_t wait_ms;
    enum err e;

    if ((e = check_ask(a, ask, &rule, &intent)) != OK ||
        (e = make_request(a, ask, rule, &intent, arena, &r)) != OK)
        return e;
    wait_ms = r.wait_ms;
    if ((e = find_grant(a, &r, arena, out)) != OK || out->approved)
        return e;
    if ((e = find_or_make(a, ask, &intent, arena, &r)) != OK ||
        (e = begin_wait(a, ask, &r, wait_ms, arena, out)) != OK)
        return e;
    approvals_tell_change(a, r.id, REQUEST_PENDING);
    return OK;
}

enum err
approvals_ask(struct approvals *a, const struct approvals_ask *ask, struct arena *arena,
              struct approvals_pending *out)
{
    struct arena *own = arena_new(SCRATCH_BYTES);
    struct approvals_pending found = {.request = STR(""), .by = STR(""), .approvers = STR("")};
    enum err e = own == NULL ? fail(ERR_NOMEM, "no memory") : ask_in(a, ask, own, &found);

    *out = found;
    out->request = arena_str(arena, found.request);
    out->by = arena_str(arena, found.by);
    out->approvers = arena_str(arena, found.approvers);
    arena_free(own);
    if (e == OK &&
        (out->request.ptr == NULL || out->by.ptr == NULL || out->approvers.ptr == NULL)) {
        approvals_withdraw(a, ask->session->session, ask->command);
        e = fail(ERR_NOMEM, "no memory");
    }
    if (e != OK)
        *out = (struct approvals_pending){.request = STR(""), .by = STR(""), .approvers = STR("")};
    return e;
}

/* --- not wanting any more ----------------------------------------------------------------------
 */

static const char *
event_of(enum request_state state)
{
    return state == REQUEST_WITHDRAWN ? "withdrawn" : "expired";
}

enum err
pending_end(struct approvals *a, struct str id, enum request_state state, struct str by,
            struct str text)
{
    struct arena *arena = arena_new(SCRATCH_BYTES);
    struct request r;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory") : db_begin(a->db);

    if (e != OK) {
        arena_free(arena);
        return e;
    }
    if ((e = requests_end(a->db, id, state, now_us(a), by, text)) == OK &&
        (e = requests_get(a->db, id, arena, &r)) == OK)
        if (approvals_record(a, &r, event_of(state), by, text) != OK)
            log_warning("approval_not_recorded", "request=%.*s event=%s error=%s", STR_ARG(id),
                        event_of(state), err_text());
    if (e == OK)
        e = db_commit(a->db);
    else
        db_rollback(a->db);
    if (e == OK)
        approvals_tell_change(a, id, state);
    arena_free(arena);
    return e;
}

/* The last one who waited has gone. */
static void
withdraw_request(struct approvals *a, struct pending *p)
{
    enum err e =
        pending_end(a, id_of(p), REQUEST_WITHDRAWN, STR(""), STR("nobody waits for it any more"));

    if (e == OK || e == ERR_NOT_FOUND) {
        pending_forget(a, p);
        return;
    }
    log_warning("request_not_withdrawn", "request=%s error=%s", p->id, err_text());
    p->to_withdraw = true;
    a->look = true;
}

void
approvals_withdraw(struct approvals *a, uint64_t session, uint64_t command)
{
    uint64_t key[2] = {session, command};
    struct waiter *w = table_get(a->waiters, (struct str){(const char *)key, sizeof(key)});
    struct pending *p;

    if (w == NULL)
        return;
    p = w->pending;
    waiter_remove(a, w);
    if (p->waiters == NULL)
        withdraw_request(a, p);
}

void
approvals_session_ended(struct approvals *a, uint64_t session)
{
    struct gathered all = gather(a->waiters);
    size_t n = 0;

    for (size_t i = 0; i < all.n; i++) { /* keep those of the session */
        struct waiter *w = all.items[i];

        if (w->key[0] == session)
            all.items[n++] = w;
    }
    for (size_t i = 0; i < n; i++) {
        struct waiter *w = all.items[i];

        approvals_withdraw(a, w->key[0], w->key[1]);
    }
    free(all.items);
}

void
approvals_configure(struct approvals *a, const struct config *config, struct str policy_hash)
{
    struct gathered all;

    a->config = config;
    memset(a->policy_hash, 0, sizeof(a->policy_hash));
    if (policy_hash.len < sizeof(a->policy_hash))
        memcpy(a->policy_hash, policy_hash.ptr, policy_hash.len);
    all = gather(a->pending);
    for (size_t i = 0; i < all.n; i++) {
        struct pending *p = all.items[i];

        if (p->waiters == NULL || strcmp(p->policy_hash, a->policy_hash) == 0)
            continue;
        pending_answer(a, p, IPC_DECISION_FAILED, STR(""),
                       STR("the policy changed while the command waited; try again"));
        withdraw_request(a, p);
    }
    free(all.items);
}
