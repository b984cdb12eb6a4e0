#include "control/request_json.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"

/* --- small pieces ------------------------------------------------------------------------------
 */

static void
put_time(struct json *j, const char *key, int64_t wall_us)
{
    char text[CLOCK_TEXT_BYTES];
    size_t n;

    json_key(j, key);
    if (wall_us == 0) {
        json_put_null(j);
        return;
    }
    n = clock_format(wall_us, text);
    json_str(j, (struct str){text, n});
}

static void
put_list(struct json *j, const char *key, struct str_list list)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < list.n; i++)
        json_str(j, list.items[i]);
    json_close(j, ']');
}

static void
put_raw(struct json *j, const char *key, struct str text, const char *otherwise)
{
    json_key(j, key);
    json_raw(j, text.len > 0 ? text : str_from(otherwise));
}

static const char *
scope_name(enum step_up_scope scope)
{
    return scope == STEP_UP_FOR_TASK      ? "for_task"
           : scope == STEP_UP_FOR_SESSION ? "for_session"
                                          : "once";
}

void
request_json_link(struct buf *out, struct str console_url, struct str id)
{
    while (console_url.len > 0 && console_url.ptr[console_url.len - 1] == '/')
        console_url.len--;
    buf_put_str(out, console_url);
    buf_put_text(out, "/approvals/");
    buf_put_str(out, id);
}

/* --- the command -------------------------------------------------------------------------------
 */

static void
put_object(struct json *j, const struct record_demand *d)
{
    class_set effect = d->classes & CLASS_EFFECTS_MASK;

    json_open(j, '{');
    json_field_text(j, "effect",
                    effect == 0 ? "unknown" : class_infos[__builtin_ctzll(effect)].name);
    json_field_text(j, "kind", object_kind_name(d->kind));
    json_field_str(j, "schema", d->schema);
    json_field_str(j, "name", d->name);
    json_close(j, '}');
}

/* The objects, and with `classes` all classes of all demands. */
static void
put_objects(struct json *j, struct record *intent)
{
    class_set classes = 0;
    struct record_demand d;

    json_key(j, "objects");
    json_open(j, '[');
    for (size_t i = 0; i < intent->intent.n_demands; i++) {
        record_next_demand(intent, &d);
        classes |= d.classes;
        put_object(j, &d);
    }
    json_close(j, ']');
    json_key(j, "classes");
    json_open(j, '[');
    for (classes &= (CLASS_BIT(COMMAND_CLASS_COUNT - 1) << 1) - 1; classes != 0;
         classes &= classes - 1)
        json_str(j, str_from(class_infos[__builtin_ctzll(classes)].name));
    json_close(j, ']');
}

static void
put_bind(struct json *j, const struct record_bind *bind)
{
    bool cut = bind->bytes.len > REQUEST_BIND_TEXT_MAX || bind->full_length > bind->bytes.len;
    struct str shown = bind->bytes;

    if (shown.len > REQUEST_BIND_TEXT_MAX)
        shown.len = REQUEST_BIND_TEXT_MAX;
    json_open(j, '{');
    json_field_uint(j, "type", bind->type);
    json_field_bool(j, "null", bind->is_null);
    if (bind->binary) {
        struct buf hex = buf_make(2 * (size_t)REQUEST_BIND_TEXT_MAX + 2);

        buf_put_text(&hex, "\\x");
        encode_hex(&hex, shown);
        json_field_str(j, "text", buf_str(&hex));
        buf_free(&hex);
    } else {
        json_field_str(j, "text", bind->is_null ? STR("") : shown);
    }
    if (cut)
        json_field_bool(j, "cut", true);
    json_close(j, '}');
}

static void
put_binds(struct json *j, struct record *intent)
{
    struct record_bind bind;
    size_t n = intent->intent.n_binds;

    json_key(j, "binds");
    json_open(j, '[');
    for (size_t i = 0; i < n && i < REQUEST_BINDS_SHOWN_MAX; i++) {
        record_next_bind(intent, &bind);
        put_bind(j, &bind);
    }
    json_close(j, ']');
    if (n > REQUEST_BINDS_SHOWN_MAX)
        json_field_uint(j, "binds_left_out", n - REQUEST_BINDS_SHOWN_MAX);
}

static enum err
put_whole_command(struct json *j, const struct request *r)
{
    struct buf formatted = buf_make((size_t)DB_VALUE_MAX * 2);
    struct record intent;
    size_t used;
    enum err e = record_read(r->frame, &intent, &used);

    if (e != OK)
        return fail(ERR_PROTOCOL, "the stored command cannot be read");
    if (intent.kind != RECORD_INTENT)
        return fail(ERR_PROTOCOL, "the stored command is not one");
    request_json_format(intent.intent.text, &formatted);
    json_field_str(j, "text", intent.intent.text);
    json_field_str(j, "formatted", buf_str(&formatted));
    json_key(j, "tokens");
    request_json_tokens(j, buf_str(&formatted));
    put_objects(j, &intent);
    put_binds(j, &intent);
    e = buf_ok(&formatted);
    buf_free(&formatted);
    return e;
}

static enum err
put_command(struct json *j, const struct request_view *view)
{
    const struct request *r = view->request;
    enum err e = OK;

    json_key(j, "command");
    if (r->kind != REQUEST_COMMAND) {
        json_put_null(j);
        return OK;
    }
    json_open(j, '{');
    if (view->whole && r->frame.len > 0) {
        e = put_whole_command(j, r);
    } else {
        json_field_str(j, "text", r->summary);
        json_field_bool(j, "cut", r->summary.len + 4 > REQUEST_SUMMARY_MAX);
    }
    json_field_str(j, "hash", r->command_hash);
    json_close(j, '}');
    return e;
}

/* --- the request -------------------------------------------------------------------------------
 */

static void
put_who(struct json *j, const struct request *r)
{
    char session[17];

    json_key(j, "session");
    if (r->session == 0) {
        json_put_null(j);
    } else {
        store_session_text(r->session, session);
        json_str(j, str_from(session));
    }
    put_list(j, "chain", r->chain);
    json_field_str(j, "subject", r->subject);
    json_field_str(j, "issuer", r->issuer);
    json_field_str(j, "token_id", r->token_id);
    json_field_str(j, "task", r->task);
    json_field_str(j, "resource", r->resource);
    json_field_str(j, "protocol", r->protocol);
    json_field_str(j, "database", r->database);
    json_field_str(j, "client", r->client);
    json_field_str(j, "source", r->source);
    json_field_str(j, "purpose", r->purpose);
    json_field_str(j, "reason", r->reason);
    json_field_uint(j, "access_seconds", (uint64_t)r->access_seconds);
}

static void
put_rule(struct json *j, const struct request *r)
{
    const struct step_up *s = &r->step_up;

    json_field_str(j, "rule", r->rule);
    json_field_str(j, "rule_text", r->rule_text);
    json_field_uint(j, "approvals_needed", s->approvals);
    json_field_bool(j, "reason_required", s->reason_required);
    json_field_text(j, "scope", scope_name(s->scope));
    json_field_uint(j, "valid_for_seconds", s->valid_seconds);
    json_key(j, "approvers");
    json_open(j, '{');
    put_list(j, "groups", s->approver_groups);
    put_list(j, "subjects", s->approver_subjects);
    json_close(j, '}');
}

static void
put_decisions(struct json *j, const struct request_view *view)
{
    json_key(j, "decisions");
    json_open(j, '[');
    for (size_t i = 0; view->decisions != NULL && i < view->decisions->n; i++) {
        const struct decision *d = &view->decisions->items[i];

        json_open(j, '{');
        json_field_str(j, "subject", d->subject);
        json_field_str(j, "issuer", d->issuer);
        json_field_str(j, "name", d->name);
        json_field_text(j, "verdict", decision_verdict_name(d->verdict));
        json_field_str(j, "reason", d->reason);
        json_field_str(j, "channel", d->channel);
        put_time(j, "at", d->at_us);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void
put_you(struct json *j, const struct approvals_eligibility *you)
{
    if (you == NULL)
        return;
    json_key(j, "you");
    json_open(j, '{');
    json_field_bool(j, "may_decide", you->may_decide);
    json_field_str(j, "why_not", you->why_not);
    json_field_bool(j, "may_override", you->may_override);
    json_close(j, '}');
}

static void
put_state(struct json *j, const struct request *r)
{
    json_field_str(j, "id", r->id);
    json_field_text(j, "kind", request_kind_name(r->kind));
    json_field_text(j, "state", request_state_name(r->state));
    put_time(j, "created", r->created_us);
    put_time(j, "expires", r->expires_us);
    put_time(j, "decided", r->decided_us);
    json_field_str(j, "decided_by", r->decided_by);
    json_field_str(j, "decided_text", r->decided_text);
    json_field_uint(j, "wait_seconds", r->wait_ms / 1000);
    json_field_bool(j, "waiting", r->waiting && r->state == REQUEST_PENDING);
    json_field_bool(j, "in_transaction", r->in_transaction);
}

enum err
request_json_write(struct json *j, const struct request_view *view)
{
    const struct request *r = view->request;
    struct buf link = buf_make(4096);
    enum err e;

    json_open(j, '{');
    put_state(j, r);
    put_who(j, r);
    put_rule(j, r);
    e = put_command(j, view);
    put_raw(j, "risk", r->risk, "[]");
    put_decisions(j, view);
    put_you(j, view->you);
    if (view->whole) {
        put_raw(j, "preview", r->preview, "{\"kind\":\"none\"}");
        put_raw(j, "recent", view->recent, "[]");
    }
    request_json_link(&link, view->console_url, r->id);
    json_field_str(j, "link", buf_str(&link));
    buf_free(&link);
    json_close(j, '}');
    return e;
}

/* --- what a session says of the effect ----------------------------------------------------------
 */

static void
no_preview(struct buf *out, const char *why)
{
    struct json j = json_to(out);

    buf_reset(out);
    json_open(&j, '{');
    json_field_text(&j, "kind", "none");
    json_field_text(&j, "error", why);
    json_close(&j, '}');
}

void
request_json_check_preview(struct str preview, struct buf *out)
{
    json_t *value;
    char *text;

    if (preview.len == 0)
        return;
    if (preview.len > REQUEST_PREVIEW_MAX / 2) {
        no_preview(out, "the preview is too large");
        return;
    }
    value = json_loadb(preview.ptr, preview.len, JSON_REJECT_DUPLICATES, NULL);
    text = json_is_object(value) && json_is_string(json_object_get(value, "kind"))
               ? json_dumps(value, JSON_COMPACT)
               : NULL;
    if (text != NULL)
        buf_put_text(out, text);
    if (text == NULL || buf_ok(out) != OK)
        no_preview(out, "the preview cannot be read");
    free(text);
    json_decref(value);
}

/* --- what to look at twice -----------------------------------------------------------------------
 */

static class_set
all_classes(struct record *intent, bool *many_schemas)
{
    struct record copy = *intent; /* its cursors are left where they are */
    class_set classes = 0;
    struct record_demand d;

    *many_schemas = false;
    for (size_t i = 0; i < copy.intent.n_demands; i++) {
        record_next_demand(&copy, &d);
        classes |= d.classes;
        if (d.kind == OBJECT_RELATION && d.schema.len == 0)
            *many_schemas = true;
    }
    return classes;
}

static void
note_classes(struct json *j, class_set classes)
{
    static const struct {
        class_set classes;
        const char *text;
    } notes[] = {
        {CLASSES(TRUNCATE), "empties whole tables (TRUNCATE)"},
        {CLASSES(MASS_WRITE), "changes many rows: no WHERE, or one that does not narrow"},
        {CLASSES(DROP) | CLASSES(DROP_TABLE) | CLASSES(DROP_SCHEMA) | CLASSES(DROP_DATABASE),
         "drops something: that cannot be undone without a backup"},
        {CLASSES(ALTER), "alters an object: it may lock the table while it is rewritten"},
        {CLASSES(GRANT), "changes privileges or roles"},
        {CLASSES(CODE), "runs code that cannot be judged beforehand"},
        {CLASSES(ADMIN), "touches the server itself"},
        {CLASSES(DEFINE_CODE), "defines code that will run later"},
        {CLASSES(SECRETS), "reads catalogs that hold secrets or other sessions' data"},
        {CLASSES(FOREIGN), "reaches other servers"},
        {CLASSES(COPY_PROGRAM) | CLASSES(SERVER_FILES), "reaches files or programs of the server"},
    };

    for (size_t i = 0; i < sizeof(notes) / sizeof(*notes); i++)
        if ((classes & notes[i].classes) != 0)
            json_str(j, str_from(notes[i].text));
}

/* A label that says that this is where it hurts. */
static void
note_labels(struct json *j, const struct config_resource *resource)
{
    static const char *const values[] = {"prod", "production",   "live",       "personal",
                                         "pii",  "confidential", "restricted", "secret"};

    for (size_t i = 0; resource != NULL && i < resource->n_labels; i++) {
        const struct rule_label *label = &resource->labels[i];

        for (size_t k = 0; label->values.n > 0 && k < sizeof(values) / sizeof(*values); k++) {
            struct buf text = buf_make(1024);

            if (!str_equal_nocase(label->values.items[0], str_from(values[k])))
                continue;
            buf_printf(&text, "the resource is labelled %.*s: %.*s", STR_ARG(label->key),
                       STR_ARG(label->values.items[0]));
            json_str(j, buf_str(&text));
            buf_free(&text);
        }
    }
}

static void
note_rows(struct json *j, struct str preview)
{
    json_t *value = json_loadb(preview.ptr, preview.len, 0, NULL);
    json_t *rows = json_object_get(value, "rows");
    struct buf text = buf_make(128);

    if (json_is_integer(rows) && json_integer_value(rows) >= 1000) {
        buf_printf(&text, "about %lld rows", (long long)json_integer_value(rows));
        json_str(j, buf_str(&text));
    }
    buf_free(&text);
    json_decref(value);
}

void
request_json_risk(struct buf *out, const struct risk_facts *facts)
{
    struct json j = json_to(out);
    bool any_schema = false;

    json_open(&j, '[');
    if (facts->intent != NULL) {
        class_set classes = all_classes(facts->intent, &any_schema);

        note_classes(&j, classes);
        if (any_schema && (classes & (CLASSES(WRITE) | CLASSES(DDL))) != 0)
            json_str(&j, STR("names a table without its schema: the search path decides which"));
        if (facts->intent->intent.protected_column.len > 0 || facts->intent->intent.masked.len > 0)
            json_str(&j, STR("concerns protected columns"));
    }
    note_labels(&j, facts->resource);
    note_rows(&j, facts->preview);
    if (facts->in_transaction)
        json_str(&j, STR("is in a transaction: its locks are held while it waits"));
    if (facts->asked_before == 0)
        json_str(&j, STR("first request of this identity under this rule here"));
    if (facts->intent != NULL && facts->purpose.len == 0)
        json_str(&j, STR("no purpose was given"));
    json_close(&j, ']');
}
