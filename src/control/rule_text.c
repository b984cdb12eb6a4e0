#include "control/rule_text.h"

#include <arpa/inet.h>

#include "base/json.h"
#include "policy/limits.h"

/* A flow sequence or mapping under construction: `{a: 1, b: [x]}`. */
struct flow {
    struct buf *out;
    bool comma;
};

/* YAML's double-quoted scalars are JSON's strings. */
static void
put_scalar(struct buf *out, struct str s)
{
    struct json j = json_to(out);

    json_str(&j, s);
}

static void
key(struct flow *f, const char *name)
{
    buf_printf(f->out, "%s%s: ", f->comma ? ", " : "", name);
    f->comma = true;
}

static void
put_list(struct buf *out, struct str_list list)
{
    buf_put_u8(out, '[');
    for (size_t i = 0; i < list.n; i++) {
        if (i > 0)
            buf_put_text(out, ", ");
        put_scalar(out, list.items[i]);
    }
    buf_put_u8(out, ']');
}

static void
put_list_key(struct flow *f, const char *name, struct str_list list)
{
    if (list.n == 0)
        return;
    key(f, name);
    put_list(f->out, list);
}

static void
put_duration(struct buf *out, unsigned seconds)
{
    if (seconds % 86400 == 0 && seconds > 0)
        buf_printf(out, "%ud", seconds / 86400);
    else if (seconds % 3600 == 0 && seconds > 0)
        buf_printf(out, "%uh", seconds / 3600);
    else if (seconds % 60 == 0 && seconds > 0)
        buf_printf(out, "%um", seconds / 60);
    else
        buf_printf(out, "%us", seconds);
}

static void
put_classes(struct buf *out, class_set classes)
{
    bool comma = false;

    buf_put_u8(out, '[');
    if (classes == 0)
        buf_put_text(out, "all");
    for (int c = 0; c < COMMAND_CLASS_COUNT; c++) {
        if ((classes & CLASS_BIT(c)) == 0)
            continue;
        buf_printf(out, "%s%s", comma ? ", " : "", class_infos[c].name);
        comma = true;
    }
    buf_put_u8(out, ']');
}

static void
put_labels(struct buf *out, const struct rule_label *labels, size_t n)
{
    struct flow f = {.out = out};

    buf_put_u8(out, '{');
    for (size_t i = 0; i < n; i++) {
        buf_put_text(out, f.comma ? ", " : "");
        f.comma = true;
        put_scalar(out, labels[i].key);
        buf_put_text(out, ": ");
        put_list(out, labels[i].values);
    }
    buf_put_u8(out, '}');
}

static void
put_who(const struct policy_rule *r, struct buf *out)
{
    struct flow f = {.out = out};

    if (r->subjects.n == 0 && r->groups.n == 0 && r->issuers.n == 0 && r->n_claims == 0)
        return;
    buf_put_text(out, "  who: {");
    put_list_key(&f, "subjects", r->subjects);
    put_list_key(&f, "groups", r->groups);
    put_list_key(&f, "issuers", r->issuers);
    if (r->n_claims > 0) {
        key(&f, "claims");
        buf_put_u8(out, '{');
        for (size_t i = 0; i < r->n_claims; i++) {
            buf_put_text(out, i > 0 ? ", " : "");
            put_scalar(out, r->claims[i].path);
            buf_put_text(out, ": ");
            put_list(out, r->claims[i].values);
        }
        buf_put_u8(out, '}');
    }
    buf_put_text(out, "}\n");
}

static void
put_resources(const struct policy_rule *r, struct buf *out)
{
    struct flow f = {.out = out};

    if (r->resources.n == 0 && r->protocols.n == 0 && r->n_labels == 0)
        return;
    buf_put_text(out, "  resources: {");
    put_list_key(&f, "names", r->resources);
    put_list_key(&f, "protocols", r->protocols);
    if (r->n_labels > 0) {
        key(&f, "labels");
        put_labels(out, r->labels, r->n_labels);
    }
    buf_put_text(out, "}\n");
}

static void
put_network(const struct rule_network *n, struct buf *out)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (IN6_IS_ADDR_V4MAPPED(&n->address) && n->prefix_bits >= 96) {
        (void)inet_ntop(AF_INET, &n->address.s6_addr[12], text, sizeof(text));
        buf_printf(out, "\"%s/%u\"", text, n->prefix_bits - 96);
        return;
    }
    (void)inet_ntop(AF_INET6, &n->address, text, sizeof(text));
    buf_printf(out, "\"%s/%u\"", text, n->prefix_bits);
}

static void
put_time(const struct rule_time *t, struct buf *out)
{
    static const char *const names[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    struct flow f = {.out = out};
    bool comma = false;

    buf_put_u8(out, '{');
    if (t->days != 0) {
        key(&f, "days");
        buf_put_u8(out, '[');
        for (unsigned d = 0; d < 7; d++)
            if ((t->days & 1U << d) != 0) {
                buf_printf(out, "%s%s", comma ? ", " : "", names[d]);
                comma = true;
            }
        buf_put_u8(out, ']');
    }
    if (t->from_minute != t->to_minute) {
        key(&f, "from");
        buf_printf(out, "\"%02u:%02u\"", t->from_minute / 60, t->from_minute % 60);
        key(&f, "to");
        buf_printf(out, "\"%02u:%02u\"", t->to_minute / 60, t->to_minute % 60);
    }
    buf_put_u8(out, '}');
}

static void
put_where_and_when(const struct policy_rule *r, struct buf *out)
{
    if (r->n_sources > 0) {
        buf_put_text(out, "  from: [");
        for (size_t i = 0; i < r->n_sources; i++) {
            buf_put_text(out, i > 0 ? ", " : "");
            put_network(&r->sources[i], out);
        }
        buf_put_text(out, "]\n");
    }
    if (r->n_times > 0) {
        buf_put_text(out, "  when: [");
        for (size_t i = 0; i < r->n_times; i++) {
            buf_put_text(out, i > 0 ? ", " : "");
            put_time(&r->times[i], out);
        }
        buf_put_text(out, "]\n");
    }
}

static void
put_objects(const struct policy_rule *r, struct buf *out)
{
    const struct {
        const char *name;
        struct str_list list;
    } lists[] = {{"databases", r->databases},
                 {"schemas", r->schemas},
                 {"tables", r->tables},
                 {"functions", r->functions}};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (lists[i].list.n == 0)
            continue;
        buf_printf(out, "  %s: ", lists[i].name);
        put_list(out, lists[i].list);
        buf_put_u8(out, '\n');
    }
}

static void
put_limits(const struct limits *l, struct buf *out)
{
    struct flow f = {.out = out};

    if (!limits_any(l))
        return;
    buf_put_text(out, "  limits: {");
    for (int i = 0; i < LIMIT_NUMBERS; i++) {
        uint64_t number = limits_number(l, i);

        if (number == 0)
            continue;
        key(&f, limit_infos[i].name);
        buf_printf(out, "%llu%s", (unsigned long long)number,
                   limit_infos[i].unit == LIMIT_BYTES     ? "B"
                   : limit_infos[i].unit == LIMIT_SECONDS ? "s"
                                                          : "");
    }
    if (l->require_where) {
        key(&f, "require_where");
        buf_put_text(out, "true");
    }
    if (l->read_only) {
        key(&f, "read_only");
        buf_put_text(out, "true");
    }
    buf_put_text(out, "}\n");
}

static void
put_approvers(const char *name, struct str_list groups, struct str_list subjects, struct buf *out)
{
    struct flow f = {.out = out};

    if (groups.n == 0 && subjects.n == 0)
        return;
    buf_printf(out, "    %s: {", name);
    put_list_key(&f, "groups", groups);
    put_list_key(&f, "subjects", subjects);
    buf_put_text(out, "}\n");
}

static void
put_step_up(const struct step_up *s, struct buf *out)
{
    static const char *const scopes[] = {"once", "for_session", "for_task"};
    static const char *const previews[] = {"none", "estimate", "dry_run"};

    buf_put_text(out, "  step_up:\n");
    put_approvers("approvers", s->approver_groups, s->approver_subjects, out);
    buf_printf(out, "    approvals: %u\n    wait: ", s->approvals);
    put_duration(out, s->wait_seconds);
    buf_put_text(out, "\n    wait_in_transaction: ");
    put_duration(out, s->wait_in_transaction_seconds);
    buf_printf(out, "\n    reason_required: %s\n    scope: %s\n",
               s->reason_required ? "true" : "false", scopes[s->scope]);
    if (s->scope != STEP_UP_ONCE) {
        buf_put_text(out, "    valid_for: ");
        put_duration(out, s->valid_seconds);
        buf_put_u8(out, '\n');
    }
    buf_printf(out, "    preview: %s\n", previews[s->preview]);
    put_approvers("break_glass", s->break_glass_groups, (struct str_list){NULL, 0}, out);
}

static void
put_verdict(const struct policy_rule *r, struct buf *out)
{
    if (r->verdict != VERDICT_ALLOW && r->classes != 0) {
        buf_put_text(out, "  commands: ");
        put_classes(out, r->classes);
        buf_put_u8(out, '\n');
    }
    switch (r->verdict) {
    case VERDICT_ALLOW:
        buf_put_text(out, "  allow: ");
        put_classes(out, r->classes);
        buf_put_u8(out, '\n');
        break;
    case VERDICT_STEP_UP:
        put_step_up(&r->step_up, out);
        break;
    default:
        buf_printf(out, "  %s: ", verdict_kind_name(r->verdict));
        put_scalar(out, r->message);
        buf_put_u8(out, '\n');
    }
}

static void
put_record(const struct record_rule *r, struct buf *out)
{
    struct flow f = {.out = out};

    if (!r->rows && r->retention_seconds == 0)
        return;
    buf_put_text(out, "  record: {");
    if (r->rows) {
        key(&f, "rows");
        buf_put_text(out, "true");
    }
    if (r->retention_seconds > 0) {
        key(&f, "retention");
        put_duration(out, r->retention_seconds);
    }
    buf_put_text(out, "}\n");
}

void
rule_text_put(const struct policy_rule *r, struct buf *out)
{
    buf_put_text(out, "- name: ");
    put_scalar(out, r->name);
    buf_put_u8(out, '\n');
    if (r->on == RULE_ON_CONNECT)
        buf_put_text(out, "  on: connect\n");
    put_who(r, out);
    put_resources(r, out);
    put_where_and_when(r, out);
    put_objects(r, out);
    put_verdict(r, out);
    put_limits(&r->limits, out);
    put_record(&r->record, out);
}
