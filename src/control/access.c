#include "control/access.h"

#include <stdlib.h>

#include "base/log.h"
#include "control/approvals_state.h"

/* --- which rule asks ---------------------------------------------------------------------------
 */

/* An empty list matches everything. */
static bool
allows(struct str_list globs, struct str s)
{
    for (size_t i = 0; i < globs.n; i++)
        if (str_glob(globs.items[i], s))
            return true;
    return globs.n == 0;
}

static bool
allows_one_of(struct str_list globs, struct str_list names)
{
    for (size_t i = 0; i < names.n; i++)
        if (allows(globs, names.items[i]))
            return true;
    return globs.n == 0;
}

static bool
has_exactly(struct str_list names, struct str s)
{
    for (size_t i = 0; i < names.n; i++)
        if (str_equal(names.items[i], s))
            return true;
    return names.n == 0;
}

static bool
has_label(const struct config_resource *resource, const struct rule_label *wanted)
{
    for (size_t i = 0; i < resource->n_labels; i++) {
        const struct rule_label *label = &resource->labels[i];

        if (str_equal(label->key, wanted->key))
            return label->values.n > 0 && allows(wanted->values, label->values.items[0]);
    }
    return false;
}

static bool
may_apply(const struct policy_rule *rule, const struct person *who,
          const struct config_resource *resource)
{
    if (rule->verdict != VERDICT_STEP_UP || rule->on != RULE_ON_CONNECT)
        return false;
    if (!allows(rule->subjects, who->subject) || !allows_one_of(rule->groups, who->groups) ||
        !has_exactly(rule->issuers, who->issuer))
        return false;
    if (!allows(rule->resources, resource->name) ||
        !has_exactly(rule->protocols, resource->protocol))
        return false;
    for (size_t i = 0; i < rule->n_labels; i++)
        if (!has_label(resource, &rule->labels[i]))
            return false;
    return true;
}

const struct policy_rule *
access_find_rule(const struct config *config, const struct person *who,
                 const struct config_resource *resource)
{
    for (size_t i = 0; i < config->n_policies; i++)
        if (may_apply(&config->policies[i], who, resource))
            return &config->policies[i];
    return NULL;
}

/* --- asking ------------------------------------------------------------------------------------
 */

static const struct policy_rule *
find_rule(const struct approvals *a, const struct access_ask *ask,
          const struct config_resource *resource)
{
    const struct policy_rule *rule;

    if (ask->rule.len == 0)
        return access_find_rule(a->config, &ask->who->person, resource);
    rule = approvals_rule(a, ask->rule);
    return rule != NULL && may_apply(rule, &ask->who->person, resource) ? rule : NULL;
}

static enum err
check_ask(struct approvals *a, const struct access_ask *ask,
          const struct config_resource **resource, const struct policy_rule **rule)
{
    uint64_t most;

    if (a->config == NULL)
        return fail(ERR_UNAVAILABLE, "approvals are not ready; try again");
    if ((*resource = config_find_resource(a->config, ask->resource)) == NULL)
        return fail(ERR_NOT_FOUND, "there is no resource \"%.*s\"", STR_ARG(ask->resource));
    if ((*rule = find_rule(a, ask, *resource)) == NULL)
        return fail(ERR_NOT_FOUND, "no rule grants you access to \"%.*s\" upon approval",
                    STR_ARG(ask->resource));
    if (str_trim(ask->reason).len == 0)
        return fail(ERR_INVALID, "say why you need access: a reason is required");
    if (ask->reason.len > REQUEST_REASON_MAX)
        return fail(ERR_INVALID, "a reason has at most %d bytes", REQUEST_REASON_MAX);
    most = (*rule)->step_up.valid_seconds;
    if (ask->seconds < ACCESS_SECONDS_MIN || ask->seconds > most)
        return fail(ERR_INVALID, "the rule \"%.*s\" grants access for %d to %llu seconds",
                    STR_ARG((*rule)->name), ACCESS_SECONDS_MIN, (unsigned long long)most);
    if (ask->who->chain.n > STORE_CHAIN_MAX)
        return fail(ERR_LIMIT, "the token's chain is too long");
    return OK;
}

static uint32_t
wait_of(const struct step_up *s)
{
    uint64_t seconds = s->wait_seconds > ACCESS_WAIT_SECONDS ? ACCESS_WAIT_SECONDS
                                                             : s->wait_seconds;

    return (uint32_t)(seconds * 1000);
}

static enum err
make_keys(struct request *r, struct arena *arena)
{
    char scope[APPROVALS_HASH_TEXT], binding[APPROVALS_HASH_TEXT];
    enum err e;

    if ((e = approvals_scope_key(r, scope)) != OK || (e = approvals_binding_hash(r, binding)) != OK)
        return e;
    r->scope_key = arena_str(arena, str_from(scope));
    r->binding_hash = arena_str(arena, str_from(binding));
    return r->scope_key.ptr == NULL || r->binding_hash.ptr == NULL ? fail(ERR_NOMEM, "no memory")
                                                                   : OK;
}

static enum err
make_request(struct approvals *a, const struct access_ask *ask,
             const struct config_resource *resource, const struct policy_rule *rule,
             struct arena *arena, struct request *r)
{
    const struct approver *who = ask->who;
    char id[STORE_ID_BYTES + 1];
    struct buf summary = buf_make(1024);
    enum err e = store_new_id(id);

    if (e != OK)
        return e;
    *r = (struct request){
        .id = arena_str(arena, str_from(id)),
        .kind = REQUEST_ACCESS,
        .version = 1,
        .node = str_from(a->node),
        .waiting = true,
        .created_us = now_us(a),
        .wait_ms = wait_of(&rule->step_up),
        .issuer = who->person.issuer,
        .subject = who->person.subject,
        .token_id = who->token_id,
        .task = STR(""),
        .email = who->person.email,
        .chain = who->chain.n > 0 ? who->chain : (struct str_list){&who->person.subject, 1},
        .resource = resource->name,
        .protocol = resource->protocol,
        .database = STR(""),
        .client = str_from(who->channel),
        .source = STR(""),
        .purpose = STR(""),
        .reason = store_clean(arena, str_trim(ask->reason), REQUEST_REASON_MAX),
        .access_seconds = (int64_t)ask->seconds,
        .command_hash = STR(""),
        .frame = STR(""),
        .preview = STR(""),
        .decided_by = STR(""),
        .decided_text = STR(""),
        .risk = STR("[]"),
    };
    r->opened_us = r->created_us;
    r->expires_us = r->created_us + (int64_t)r->wait_ms * 1000;
    approvals_take_rule(r, rule, str_from(a->policy_hash));
    buf_printf(&summary, "access to %.*s for %llu seconds", STR_ARG(resource->name),
               (unsigned long long)ask->seconds);
    r->summary = store_clean(arena, buf_str(&summary), REQUEST_SUMMARY_MAX);
    buf_free(&summary);
    if (r->id.ptr == NULL || r->reason.ptr == NULL || r->summary.ptr == NULL)
        return fail(ERR_NOMEM, "no memory");
    return make_keys(r, arena);
}

static enum err
check_room(struct approvals *a, const struct request *r)
{
    uint64_t n = 0;
    enum err e = requests_count_pending_of(a->db, r->issuer, r->subject, &n);

    if (e == OK && n >= APPROVALS_ACCESS_PENDING_MAX)
        return fail(ERR_LIMIT, "you have asked for access %d times already, and wait for answers",
                    APPROVALS_ACCESS_PENDING_MAX);
    return e;
}

enum err
access_request(struct approvals *a, const struct access_ask *ask, struct arena *arena,
               struct request *out)
{
    const struct config_resource *resource = NULL;
    const struct policy_rule *rule = NULL;
    struct request_mark mark;
    struct request same;
    enum err e;

    if ((e = check_ask(a, ask, &resource, &rule)) != OK ||
        (e = make_request(a, ask, resource, rule, arena, out)) != OK)
        return e;
    e = requests_find_same(a->db, out->scope_key, INT64_MAX, arena, &same);
    if (e == OK && same.expires_us > now_us(a)) {
        *out = same;
        return OK;
    }
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    if ((e = check_room(a, out)) != OK || (e = approvals_insert(a, out)) != OK)
        return e;
    mark = mark_of(out);
    (void)pending_know(a, &mark, out->policy_hash);
    approvals_tell_change(a, out->id, REQUEST_PENDING);
    return OK;
}

/* --- grants ------------------------------------------------------------------------------------
 */

bool
grant_holds(struct approvals *a, const struct grant *g, bool in_use)
{
    struct grant_seen *seen = table_get(a->grants, g->id);
    int64_t left_ms = (g->expires_us - now_us(a)) / 1000;

    if (left_ms <= 0 || g->id.len != STORE_ID_BYTES)
        return false;
    if (left_ms > (g->expires_us - g->created_us) / 1000)
        left_ms = (g->expires_us - g->created_us) / 1000;
    if (seen == NULL) {
        if ((seen = calloc(1, sizeof(*seen))) == NULL)
            return false;
        memcpy(seen->id, g->id.ptr, STORE_ID_BYTES);
        seen->deadline_ms = now_ms(a) + left_ms;
        if (table_put(a->grants, g->id, seen, NULL) != OK) {
            free(seen);
            return false; /* asked again, rather than without an end */
        }
    }
    if (seen->deadline_ms <= now_ms(a))
        return false;
    if (now_ms(a) + left_ms < seen->deadline_ms)
        seen->deadline_ms = now_ms(a) + left_ms;
    if (in_use && !seen->in_use) {
        seen->in_use = true;
        a->in_use++;
    }
    return true;
}

static void
fill_grant(struct approvals *a, const struct request *r, struct str by, struct grant *g)
{
    bool access = r->kind == REQUEST_ACCESS;
    int64_t seconds = access ? r->access_seconds : (int64_t)r->step_up.valid_seconds;

    *g = (struct grant){
        .kind = access                                 ? GRANT_ACCESS
                : r->step_up.scope == STEP_UP_FOR_TASK ? GRANT_TASK
                                                       : GRANT_SESSION,
        .request = r->id,
        .scope_key = r->scope_key,
        .session = access || r->step_up.scope == STEP_UP_FOR_TASK ? 0 : r->session,
        .issuer = r->issuer,
        .subject = r->subject,
        .chain = r->chain,
        .resource = r->resource,
        .rule = r->rule,
        .policy_hash = r->policy_hash,
        .by = by,
        .reason = r->reason,
        .created_us = now_us(a),
    };
    g->expires_us = g->created_us + seconds * 1000000;
}

enum err
grant_make(struct approvals *a, const struct request *r, struct str by)
{
    char id[STORE_ID_BYTES + 1];
    struct grant g;
    enum err e;

    fill_grant(a, r, by, &g);
    if ((e = store_new_id(id)) != OK)
        return e;
    g.id = str_from(id);
    if (g.expires_us <= g.created_us) /* the rule says that it serves nothing later */
        return OK;
    if ((e = grants_insert(a->db, &g)) == OK)
        (void)grant_holds(a, &g, false); /* from now on, by the clock that does not jump */
    return e;
}

static bool
same_chain(struct str_list a, struct str_list b)
{
    for (size_t i = 0; a.n == b.n && i < a.n; i++)
        if (!str_equal(a.items[i], b.items[i]))
            return false;
    return a.n == b.n;
}

static enum err
denied(const struct approvals *a, struct str resource, struct str rule)
{
    const struct policy_rule *r = approvals_rule(a, rule);
    struct buf approvers = buf_make(400);
    enum err e;

    if (r != NULL)
        approvals_describe_approvers(&r->step_up, &approvers);
    e = fail(ERR_DENIED,
             "access to \"%.*s\" needs an approval (rule \"%.*s\"): ask with bulkhead request "
             "--resource %.*s --for 1h --reason '…'; %.*s may grant it",
             STR_ARG(resource), STR_ARG(rule), STR_ARG(resource), STR_ARG(buf_str(&approvers)));
    buf_free(&approvers);
    return e;
}

enum err
access_lookup(struct approvals *a, struct str issuer, struct str subject, struct str_list chain,
              struct str resource, struct str rule, struct arena *arena, struct grant *out)
{
    struct str_list mine = chain.n > 0 ? chain : (struct str_list){&subject, 1};
    struct grant_list list;
    enum err e;

    if (a->config == NULL)
        return fail(ERR_UNAVAILABLE, "approvals are not ready; try again");
    if ((e = grants_of_access(a->db, issuer, subject, resource, rule, now_us(a), arena, &list)) !=
        OK)
        return e;
    for (size_t i = 0; i < list.n; i++) {
        const struct grant *g = &list.items[i];

        if (g->chain.n > 1 && !same_chain(g->chain, mine))
            continue;
        if (!grant_holds(a, g, true))
            continue;
        *out = *g;
        return OK;
    }
    return denied(a, resource, rule);
}

static enum err
revoke(struct approvals *a, const struct grant *g, const struct approver *by, struct str reason)
{
    const struct approvals_event event = {
        .request = g->request,
        .event = "revoked",
        .actor = by->person.subject,
        .rule = g->rule,
        .binding_hash = STR(""),
        .text = reason,
    };
    enum err e = db_begin(a->db);

    if (e != OK)
        return e;
    if ((e = grants_revoke(a->db, g->id, now_us(a), by->person.subject, reason)) == OK)
        e = a->hooks->record(a->hooks->arg, &event);
    if (e != OK) {
        db_rollback(a->db);
        return e == ERR_NOT_FOUND ? fail(ERR_EXISTS, "the grant is over already") : e;
    }
    return db_commit(a->db);
}

static void
forget_grant(struct approvals *a, struct grant_seen *seen)
{
    if (seen->in_use)
        a->in_use--;
    (void)table_remove(a->grants, (struct str){seen->id, STORE_ID_BYTES});
    free(seen);
}

enum err
access_revoke(struct approvals *a, struct str id, const struct approver *by, struct str reason,
              struct arena *arena, struct grant *out)
{
    struct str why = store_clean(arena, str_trim(reason), REQUEST_REASON_MAX);
    struct grant_seen *seen;
    enum err e;

    if (why.ptr == NULL)
        return fail(ERR_NOMEM, "no memory");
    if (why.len == 0)
        return fail(ERR_INVALID, "say why: a reason is required");
    if ((e = grants_get(a->db, id, arena, out)) != OK)
        return e;
    if (out->kind != GRANT_ACCESS)
        return fail(ERR_NOT_FOUND, "there is no such grant of access");
    /* If the commit's end was not seen, the sessions end all the same: that only takes away. */
    if ((e = revoke(a, out, by, why)) != OK && e != ERR_CANCELED)
        return e;
    a->hooks->access_ended(a->hooks->arg, id, why);
    if ((seen = table_get(a->grants, id)) != NULL)
        forget_grant(a, seen);
    if (e != OK)
        return e;
    return grants_get(a->db, id, arena, out);
}

/* --- what time brings ---------------------------------------------------------------------------
 */

struct over {
    int64_t now_ms;
    struct grant_seen **items;
    size_t n, max;
};

static void
find_over(struct str key, void *value, void *arg)
{
    struct grant_seen *seen = value;
    struct over *over = arg;

    (void)key;
    if (seen->deadline_ms <= over->now_ms && over->n < over->max)
        over->items[over->n++] = seen;
}

/* Expired by the monotonic clock: said in the store as well, so that a wall clock which goes back
 * does not revive it; sessions under it end. */
static void
end_one(struct approvals *a, struct grant_seen *seen)
{
    struct str id = {seen->id, STORE_ID_BYTES};

    if (grants_close(a->db, id, now_us(a)) != OK) {
        log_warning("grant_not_closed", "grant=%s error=%s", seen->id, err_text());
        return; /* it holds no more; forgotten when the store is back */
    }
    if (seen->in_use)
        a->hooks->access_ended(a->hooks->arg, id,
                               STR("the time that access was granted for is over"));
    forget_grant(a, seen);
}

static void
end_expired(struct approvals *a)
{
    struct over over = {.now_ms = now_ms(a), .max = table_count(a->grants)};

    if (over.max == 0 || (over.items = calloc(over.max, sizeof(struct grant_seen *))) == NULL)
        return;
    table_each(a->grants, find_over, &over);
    for (size_t i = 0; i < over.n; i++)
        end_one(a, over.items[i]);
    free(over.items);
}

/* Those revoked on another node. */
static void
end_revoked(struct approvals *a)
{
    struct arena *arena = arena_new(SCRATCH_BYTES);
    struct grant_list list = {0};
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory")
                               : grants_revoked(a->db, now_us(a), arena, &list);

    if (e != OK)
        log_warning("access_look_failed", "error=%s", err_text());
    for (size_t i = 0; e == OK && i < list.n; i++) {
        struct grant_seen *seen = table_get(a->grants, list.items[i].id);

        if (seen == NULL || !seen->in_use)
            continue;
        a->hooks->access_ended(a->hooks->arg, list.items[i].id, list.items[i].revoked_reason);
        forget_grant(a, seen);
    }
    arena_free(arena);
}

void
grants_tick(struct approvals *a)
{
    if (table_count(a->grants) == 0 || now_ms(a) < a->last_grants_ms + APPROVALS_POLL_MS)
        return;
    a->last_grants_ms = now_ms(a);
    end_expired(a);
    if (db_kind(a->db) == DB_POSTGRESQL && a->in_use > 0)
        end_revoked(a);
}
