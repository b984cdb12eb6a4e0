#include "cli/step_up_view.h"

static const char *const previews[] = {
    [PREVIEW_NONE] = "none", [PREVIEW_ESTIMATE] = "estimate", [PREVIEW_DRY_RUN] = "dry_run"};
static const char *const scopes[] = {[STEP_UP_ONCE] = "once",
                                     [STEP_UP_FOR_SESSION] = "for_session",
                                     [STEP_UP_FOR_TASK] = "for_task"};

static void
put_duration(struct buf *out, unsigned seconds)
{
    static const struct {
        unsigned factor;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;

    while (units[i].factor > 1 && (seconds < units[i].factor || seconds % units[i].factor != 0))
        i++;
    buf_printf(out, "%u%c", seconds / units[i].factor, units[i].unit);
}

static void
put_list(struct buf *out, const char *before, struct str_list list)
{
    for (size_t i = 0; i < list.n; i++) {
        buf_put_text(out, i == 0 ? before : ", ");
        buf_put_str(out, list.items[i]);
    }
}

void
step_up_put_approvers(struct buf *out, const struct step_up *s)
{
    buf_printf(out, "%u", s->approvals);
    put_list(out, " of groups ", s->approver_groups);
    put_list(out, s->approver_groups.n > 0 ? " or subjects " : " of subjects ",
             s->approver_subjects);
}

static void
put_terms_of_command(struct buf *out, const struct step_up *s)
{
    buf_put_text(out, "waits ");
    put_duration(out, s->wait_seconds);
    buf_put_text(out, ", ");
    put_duration(out, s->wait_in_transaction_seconds);
    buf_put_text(out, " in a transaction; an approval serves ");
    if (s->scope == STEP_UP_ONCE) {
        buf_put_text(out, "once");
    } else {
        put_duration(out, s->valid_seconds);
        buf_put_text(out, s->scope == STEP_UP_FOR_SESSION ? " in the session" : " for the task");
    }
    buf_printf(out, "; preview %s", previews[s->preview]);
}

void
step_up_put_terms(struct buf *out, const struct policy_rule *rule)
{
    const struct step_up *s = &rule->step_up;

    if (rule->on == RULE_ON_COMMAND) {
        put_terms_of_command(out, s);
    } else {
        buf_put_text(out, "for ");
        put_duration(out, s->valid_seconds);
        buf_put_text(out, " at most");
    }
    if (s->reason_required)
        buf_put_text(out, "; approvers say why");
    put_list(out, "; break-glass by groups ", s->break_glass_groups);
}

static void
put_strings(struct json *j, const char *key, struct str_list list)
{
    json_key(j, key);
    json_open(j, '[');
    for (size_t i = 0; i < list.n; i++)
        json_str(j, list.items[i]);
    json_close(j, ']');
}

void
step_up_put_json(struct json *j, const struct policy_rule *rule)
{
    const struct step_up *s = &rule->step_up;

    json_field_str(j, "rule", rule->name);
    json_field_uint(j, "approvals", s->approvals);
    put_strings(j, "groups", s->approver_groups);
    put_strings(j, "subjects", s->approver_subjects);
    put_strings(j, "break_glass_groups", s->break_glass_groups);
    json_field_bool(j, "reason_required", s->reason_required);
    json_field_uint(j, "valid_for_seconds", s->valid_seconds);
    if (rule->on == RULE_ON_CONNECT)
        return;
    json_field_uint(j, "wait_seconds", s->wait_seconds);
    json_field_uint(j, "wait_in_transaction_seconds", s->wait_in_transaction_seconds);
    json_field_text(j, "scope", scopes[s->scope]);
    json_field_text(j, "preview", previews[s->preview]);
}
