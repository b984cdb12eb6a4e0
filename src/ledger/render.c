#include "ledger/render.h"

#include "base/clock.h"
#include "base/encode.h"

void
render_time(struct json *j, const char *key, int64_t wall_us)
{
    char text[CLOCK_TEXT_BYTES];
    size_t n = clock_format(wall_us, text);

    json_field_str(j, key, (struct str){text, n});
}

void
render_optional(struct json *j, const char *key, struct str value)
{
    json_key(j, key);
    if (value.len == 0)
        json_put_null(j);
    else
        json_str(j, value);
}

void
render_count(struct json *j, const char *key, uint64_t value)
{
    json_field_uint(j, key, value > INT64_MAX ? INT64_MAX : value);
}

/* Adds the text unless it is empty. */
static void
render_if_any(struct json *j, const char *key, struct str value)
{
    if (value.len > 0)
        json_field_str(j, key, value);
}

static void
render_list(struct json *j, const char *key, struct str_list list)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < list.n; i++)
        json_str(j, list.items[i]);
    json_close(j, ']');
}

void
render_identity(struct json *j, const struct ledger_identity *identity)
{
    json_open(j, '{');
    json_field_str(j, "subject", identity->subject);
    json_field_str(j, "issuer", identity->issuer);
    json_field_str(j, "token_id", identity->token_id);
    render_list(j, "groups", identity->groups);
    render_list(j, "delegation", identity->delegation);
    json_close(j, '}');
}

/* Without a copy: the alphabet of base64 needs no escapes. */
void
render_base64(struct json *j, const char *key, struct str bytes)
{
    json_key(j, key);
    json_raw(j, STR("\""));
    encode_base64(j->out, bytes);
    buf_put_u8(j->out, '"');
}

void
render_text(struct json *j, const char *key, const char *base64_key, struct str text)
{
    json_field_str(j, key, text);
    if (!str_is_utf8(text))
        render_base64(j, base64_key, text);
}

void
render_bind(struct json *j, const struct record_bind *bind)
{
    json_open(j, '{');
    json_field_uint(j, "type", bind->type);
    if (bind->is_null) {
        json_key(j, "null");
        json_bool(j, true);
    } else if (!bind->binary && str_is_utf8(bind->bytes)) {
        json_field_str(j, "text", bind->bytes);
    } else {
        render_base64(j, "base64", bind->bytes);
    }
    if (bind->full_length == UINT32_MAX) {
        json_key(j, "full_length");
        json_put_null(j);
    } else if (bind->full_length > bind->bytes.len) {
        json_field_uint(j, "full_length", bind->full_length);
    }
    json_close(j, '}');
}

static void
render_fact(struct json *j, const struct record_demand *demand)
{
    class_set named = demand->classes & ~CLASS_EFFECTS_MASK;
    class_set effect = demand->classes & CLASS_EFFECTS_MASK;

    json_open(j, '{');
    if (effect != 0)
        json_field_text(j, "effect", class_infos[__builtin_ctzll(effect)].name);
    json_key(j, "classes");
    json_open(j, '[');
    for (; named != 0; named &= named - 1)
        json_str(j, str_from(class_infos[__builtin_ctzll(named)].name));
    json_close(j, ']');
    json_field_text(j, "kind", object_kind_name(demand->kind));
    if (demand->schema.len > 0)
        json_field_str(j, "schema", demand->schema);
    if (demand->name.len > 0)
        json_field_str(j, "name", demand->name);
    json_close(j, '}');
}

void
render_intent(struct json *j, struct record *r)
{
    struct record_demand demand;
    struct record_bind bind;

    render_optional(j, "database", r->intent.database);
    json_field_text(j, "verdict", verdict_kind_name(r->intent.verdict));
    render_optional(j, "rule", r->intent.rule);
    render_optional(j, "message", r->intent.message);
    render_optional(j, "policy_hash", r->intent.policy_hash);
    render_text(j, "statement", "statement_base64", r->intent.text);
    json_key(j, "binds");
    json_open(j, '[');
    for (size_t i = 0; i < r->intent.n_binds; i++) {
        record_next_bind(r, &bind);
        render_bind(j, &bind);
    }
    json_close(j, ']');
    json_key(j, "facts");
    json_open(j, '[');
    for (size_t i = 0; i < r->intent.n_demands; i++) {
        record_next_demand(r, &demand);
        render_fact(j, &demand);
    }
    json_close(j, ']');
    json_key(j, "decisive");
    if (r->intent.decisive < 0)
        json_put_null(j);
    else
        json_uint(j, (uint64_t)r->intent.decisive);
    render_if_any(j, "masked", r->intent.masked);
    render_if_any(j, "protected", r->intent.protected_column);
    render_if_any(j, "purpose", r->intent.purpose);
    render_if_any(j, "context", r->intent.context);
}

void
render_outcome(struct json *j, const struct record_outcome *outcome)
{
    render_count(j, "rows", outcome->rows);
    render_count(j, "bytes", outcome->bytes);
    render_count(j, "duration_us", outcome->duration_us);
    render_optional(j, "error", outcome->error);
    json_field_bool(j, "unknown", outcome->unknown);
    render_if_any(j, "limit", outcome->limit);
    if (outcome->masked > 0)
        render_count(j, "masked_values", outcome->masked);
    if (outcome->detected > 0)
        render_count(j, "detected", outcome->detected);
}

void
render_decision(struct json *j, const struct record_decision *decision)
{
    json_field_text(j, "decision", record_decision_name(decision->decision));
    render_optional(j, "request", decision->request);
    render_optional(j, "by", decision->by);
    render_optional(j, "text", decision->text);
    render_count(j, "waited_us", decision->waited_us);
}
