#include <openssl/sha.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/json.h"
#include "control/approvals_state.h"
#include "store/outbox.h"

/* --- hashes ---------------------------------------------------------------------------------- */

static void
put_part(struct buf *b, struct str part)
{
    buf_put_u32(b, (uint32_t)part.len);
    buf_put_str(b, part);
}

static void
put_chain(struct buf *b, struct str_list chain)
{
    buf_put_u32(b, (uint32_t)chain.n);
    for (size_t i = 0; i < chain.n; i++)
        put_part(b, chain.items[i]);
}

static enum err
finish_hash(struct buf *b, char out[APPROVALS_HASH_TEXT])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct buf hex = buf_make(2 * sizeof(digest));
    enum err e = buf_ok(b);

    if (e == OK) {
        (void)SHA256((const unsigned char *)b->ptr, b->len, digest);
        encode_hex(&hex, (struct str){(const char *)digest, sizeof(digest)});
        if ((e = buf_ok(&hex)) == OK) {
            memcpy(out, hex.ptr, hex.len);
            out[hex.len] = '\0';
        }
        buf_free(&hex);
    }
    buf_free(b);
    return e;
}

static void
put_session(struct buf *b, uint64_t session)
{
    char text[17];

    store_session_text(session, text);
    put_part(b, str_from(text));
}

/* What is asked for: the command, or for how long access. */
static void
put_subject_matter(struct buf *b, const struct request *r)
{
    char seconds[24];

    if (r->kind == REQUEST_COMMAND) {
        put_part(b, r->command_hash);
        return;
    }
    (void)snprintf(seconds, sizeof(seconds), "%lld seconds", (long long)r->access_seconds);
    put_part(b, str_from(seconds));
}

enum err
approvals_binding_hash(const struct request *r, char out[APPROVALS_HASH_TEXT])
{
    struct buf b = buf_make(1 << 20);
    char expiry[24];

    (void)snprintf(expiry, sizeof(expiry), "%lld", (long long)r->expires_us);
    put_part(&b, STR("bulkhead approval 1"));
    put_part(&b, r->issuer);
    put_chain(&b, r->chain);
    put_part(&b, r->token_id);
    put_session(&b, r->session);
    put_part(&b, r->resource);
    put_part(&b, r->database);
    put_subject_matter(&b, r);
    put_part(&b, r->rule);
    put_part(&b, r->policy_hash);
    put_part(&b, str_from(expiry));
    return finish_hash(&b, out);
}

enum err
approvals_scope_key(const struct request *r, char out[APPROVALS_HASH_TEXT])
{
    struct buf b = buf_make(1 << 20);
    bool of_task = r->kind == REQUEST_COMMAND && r->step_up.scope == STEP_UP_FOR_TASK;

    put_part(&b, STR("bulkhead scope 1"));
    put_part(&b, str_from(request_kind_name(r->kind)));
    put_part(&b, of_task ? STR("task") : STR("session"));
    put_part(&b, r->issuer);
    put_chain(&b, r->chain);
    if (of_task && r->task.len > 0) {
        put_part(&b, STR("task"));
        put_part(&b, r->task);
    } else if (r->kind == REQUEST_COMMAND) {
        put_part(&b, STR("token"));
        put_part(&b, r->token_id);
    }
    put_session(&b, of_task ? 0 : r->session);
    put_part(&b, r->resource);
    put_part(&b, r->database);
    put_subject_matter(&b, r);
    put_part(&b, r->rule);
    put_part(&b, r->policy_hash);
    put_part(&b, r->purpose);
    return finish_hash(&b, out);
}

/* --- words ----------------------------------------------------------------------------------- */

static void
put_names(struct buf *out, const char *one, const char *many, struct str_list names)
{
    if (names.n == 0)
        return;
    buf_put_text(out, names.n == 1 ? one : many);
    for (size_t i = 0; i < names.n; i++) {
        if (i > 0)
            buf_put_text(out, i + 1 == names.n ? " or " : ", ");
        buf_put_str(out, names.items[i]);
    }
}

void
approvals_describe_approvers(const struct step_up *s, struct buf *out)
{
    put_names(out, "group ", "groups ", s->approver_groups);
    if (s->approver_groups.n > 0 && s->approver_subjects.n > 0)
        buf_put_text(out, ", or ");
    put_names(out, "", "", s->approver_subjects);
    if (s->approver_groups.n == 0 && s->approver_subjects.n == 0)
        buf_put_text(out, "nobody");
    if (s->approvals > 1)
        buf_printf(out, " (%u of them must agree)", s->approvals);
}

/* --- what leaves the engine ------------------------------------------------------------------ */

enum err
approvals_record(struct approvals *a, const struct request *r, const char *event, struct str actor,
                 struct str text)
{
    const struct approvals_event e = {
        .session = r->session,
        .request = r->id,
        .event = event,
        .actor = actor,
        .rule = r->rule,
        .binding_hash = r->binding_hash,
        .text = text,
    };

    return a->hooks->record(a->hooks->arg, &e);
}

void
approvals_tell_change(struct approvals *a, struct str id, enum request_state state)
{
    if (a->hooks->changed != NULL)
        a->hooks->changed(a->hooks->arg, id, state);
}

/* Enough for a short message; who sends it may add what the store has. */
static enum err
write_payload(struct buf *out, const char *event, const struct request *r, struct str by,
              struct str text)
{
    struct json j = json_to(out);

    json_open(&j, '{');
    json_field_text(&j, "event", event);
    json_field_str(&j, "request", r->id);
    json_field_text(&j, "kind", request_kind_name(r->kind));
    json_field_text(&j, "state", request_state_name(r->state));
    json_field_str(&j, "subject", r->subject);
    json_key(&j, "chain");
    json_open(&j, '[');
    for (size_t i = 0; i < r->chain.n; i++)
        json_str(&j, r->chain.items[i]);
    json_close(&j, ']');
    json_field_str(&j, "resource", r->resource);
    json_field_str(&j, "database", r->database);
    json_field_str(&j, "rule", r->rule);
    json_field_str(&j, "summary", r->summary);
    json_field_str(&j, "purpose", r->purpose);
    json_field_str(&j, "reason", r->reason);
    json_field_str(&j, "by", by);
    json_field_str(&j, "text", text);
    json_key(&j, "expires_us");
    json_int(&j, r->expires_us);
    json_close(&j, '}');
    return buf_ok(out);
}

static bool
wants(const struct config_notification *n, const char *event)
{
    for (size_t i = 0; i < n->events.n; i++)
        if (str_is(n->events.items[i], event))
            return true;
    return n->events.n == 0;
}

enum err
approvals_notify(struct approvals *a, const char *event, bool everybody, const struct request *r,
                 struct str by, struct str text)
{
    struct buf payload = buf_make(OUTBOX_PAYLOAD_MAX);
    enum err e = write_payload(&payload, event, r, by, text);

    for (size_t i = 0; e == OK && i < a->config->n_notifications; i++) {
        const struct config_notification *n = &a->config->notifications[i];

        if (everybody || wants(n, event))
            e = outbox_put(a->db, n->name, event, r->id, buf_str(&payload), now_us(a));
    }
    buf_free(&payload);
    return e;
}

const struct policy_rule *
approvals_rule(const struct approvals *a, struct str name)
{
    for (size_t i = 0; a->config != NULL && i < a->config->n_policies; i++)
        if (str_equal(a->config->policies[i].name, name))
            return &a->config->policies[i];
    return NULL;
}
