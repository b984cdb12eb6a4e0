/* What a rule means, condition by condition (policy/policy.h). */
#include "policy/policy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "policy/residual.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define LIST(...)                                                                                  \
    ((struct str_list){(const struct str[]){__VA_ARGS__},                                          \
                       sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str)})
#define S(literal) STR_INIT(literal)

/* 2026-11-23 was a Monday. */
static const int64_t MONDAY_NOON_US = 1795435200LL * 1000000;
static const int64_t HOUR_US = 3600LL * 1000000;

static const struct demand READ_CUSTOMERS = {
    .classes = CLASSES(READ),
    .kind = OBJECT_RELATION,
    .schema = STR_INIT("public"),
    .name = STR_INIT("customers"),
};
static const struct demand READ_UNQUALIFIED = {
    .classes = CLASSES(READ),
    .kind = OBJECT_RELATION,
    .schema = STR_INIT(""),
    .name = STR_INIT("customers"),
};
static const struct demand BEGIN = {
    .classes = CLASSES(SESSION) | CLASSES(TRANSACTION),
    .kind = OBJECT_NONE,
    .schema = STR_INIT(""),
    .name = STR_INIT(""),
};

static const struct demand MASS_UPDATE = {
    .classes = CLASSES(WRITE) | CLASSES(UPDATE) | CLASSES(MASS_WRITE),
    .kind = OBJECT_RELATION,
    .schema = STR_INIT("public"),
    .name = STR_INIT("customers"),
};
static const struct demand TRUNCATE = {
    .classes = CLASSES(WRITE) | CLASSES(TRUNCATE) | CLASSES(MASS_WRITE),
    .kind = OBJECT_RELATION,
    .schema = STR_INIT("public"),
    .name = STR_INIT("customers"),
};

static struct in6_addr
address(const char *text)
{
    struct in6_addr a = {0};
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        a.s6_addr[10] = a.s6_addr[11] = 0xff;
        memcpy(&a.s6_addr[12], &v4, 4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
    }
    return a;
}

static struct policy_request
request(void)
{
    static const struct str groups[] = {STR_INIT("analytics-agents"), STR_INIT("staff")};
    static const struct claim_value claims[] = {
        {STR_INIT("realm_access.roles"), STR_INIT("viewer")},
        {STR_INIT("realm_access.roles"), STR_INIT("runner")},
        {STR_INIT("department"), STR_INIT("sales")},
    };
    static const struct str prod = STR_INIT("prod"), personal = STR_INIT("personal");
    static const struct rule_label labels[] = {
        {STR_INIT("env"), {&prod, 1}},
        {STR_INIT("data"), {&personal, 1}},
    };

    return (struct policy_request){
        .subject = STR("agent-7"),
        .issuer = STR("corp"),
        .groups = {groups, N(groups)},
        .claims = claims,
        .n_claims = N(claims),
        .resource = STR("analytics"),
        .protocol = STR("postgres"),
        .labels = labels,
        .n_labels = N(labels),
        .source = address("10.1.2.3"),
    };
}

static struct residual *
specialise(const struct policy_rule *rules, size_t n)
{
    struct policy_request who = request();
    struct residual *r;
    struct policy *p;

    assert_int_equal(policy_compile(rules, n, &p), OK);
    assert_int_equal(policy_specialise(p, &who, &r), OK);
    policy_free(p);
    return r;
}

static enum verdict_kind
decide_at(const struct policy_rule *rules, size_t n, const struct demand *demands, size_t n_demands,
          int64_t wall_us, char rule[64])
{
    struct command command = {.database = STR("sales"), .demands = demands, .n_demands = n_demands};
    struct residual *r = specialise(rules, n);
    struct verdict v;

    residual_decide(r, &command, &(struct decision_context){.wall_us = wall_us}, &v);
    if (rule != NULL)
        snprintf(rule, 64, "%.*s", STR_ARG(v.rule));
    residual_free(r);
    return v.kind;
}

static bool
allows_at(struct policy_rule rule, struct demand demand, int64_t wall_us)
{
    return decide_at(&rule, 1, &demand, 1, wall_us, NULL) == VERDICT_ALLOW;
}

static bool
allows(struct policy_rule rule, struct demand demand)
{
    return allows_at(rule, demand, MONDAY_NOON_US);
}

/* Whether `rule`, as a deny, refuses what all else allows. */
static bool
denies(struct policy_rule rule, struct demand demand)
{
    struct policy_rule rules[] = {{.name = STR("all"), .verdict = VERDICT_ALLOW}, rule};
    char name[64];

    rules[1].verdict = VERDICT_DENY;
    rules[1].name = STR("refusal");
    if (decide_at(rules, 2, &demand, 1, MONDAY_NOON_US, name) == VERDICT_ALLOW)
        return false;
    assert_string_equal(name, "refusal");
    return true;
}

static bool
concerns(struct policy_rule rule)
{
    return allows(rule, READ_CUSTOMERS);
}

/* --- whom, where from --------------------------------------------------------------------- */

static void
test_without_rules_all_is_denied_without_a_rules_name(void **state)
{
    char name[64];

    (void)state;
    assert_int_equal(decide_at(NULL, 0, &READ_CUSTOMERS, 1, MONDAY_NOON_US, name), VERDICT_DENY);
    assert_string_equal(name, "");
}

static void
test_a_command_without_demands_is_denied(void **state)
{
    struct policy_rule all = {.verdict = VERDICT_ALLOW};

    (void)state;
    assert_int_equal(decide_at(&all, 1, NULL, 0, MONDAY_NOON_US, NULL), VERDICT_DENY);
}

static void
test_who_is_matched_by_subject_group_and_issuer(void **state)
{
    (void)state;
    assert_true(concerns((struct policy_rule){.name = STR("")}));
    assert_true(concerns((struct policy_rule){.subjects = LIST(S("other"), S("agent-?"))}));
    assert_false(concerns((struct policy_rule){.subjects = LIST(S("agent"), S("gent-*"))}));
    assert_true(concerns((struct policy_rule){.groups = LIST(S("dba"), S("staff"))}));
    assert_true(concerns((struct policy_rule){.groups = LIST(S("*-agents"))}));
    assert_false(concerns((struct policy_rule){.groups = LIST(S("dba"), S("agents"))}));
    assert_true(concerns((struct policy_rule){.issuers = LIST(S("corp"))}));
    assert_false(concerns((struct policy_rule){.issuers = LIST(S("c*"))}));
    /* Different conditions must all hold. */
    assert_false(
        concerns((struct policy_rule){.subjects = LIST(S("agent-7")), .groups = LIST(S("dba"))}));
}

static void
test_every_claim_of_a_rule_must_hold(void **state)
{
    struct rule_claim roles[] = {
        {STR("realm_access.roles"), LIST(S("admin"), S("run*"))},
        {STR("department"), LIST(S("sales"))},
    };
    struct rule_claim missing = {STR("clearance"), LIST(S("*"))};

    (void)state;
    assert_true(concerns((struct policy_rule){.claims = roles, .n_claims = 2}));
    roles[1].values = LIST(S("hr"));
    assert_false(concerns((struct policy_rule){.claims = roles, .n_claims = 2}));
    assert_false(concerns((struct policy_rule){.claims = &missing, .n_claims = 1}));
}

static void
test_resources_are_matched_by_name_protocol_and_labels(void **state)
{
    struct rule_label labels[] = {
        {STR("env"), LIST(S("test"), S("pro*"))},
        {STR("data"), LIST(S("personal"))},
    };
    struct rule_label missing = {STR("owner"), LIST(S("*"))};

    (void)state;
    assert_true(concerns((struct policy_rule){.resources = LIST(S("ana*"))}));
    assert_true(concerns((struct policy_rule){.resources = LIST(S("x"), S("analytics"))}));
    assert_false(concerns((struct policy_rule){.resources = LIST(S("analytic"))}));
    assert_true(concerns((struct policy_rule){.protocols = LIST(S("mysql"), S("postgres"))}));
    assert_false(concerns((struct policy_rule){.protocols = LIST(S("mysql"))}));
    assert_true(concerns((struct policy_rule){.labels = labels, .n_labels = 2}));
    labels[0].values = LIST(S("test"));
    assert_false(concerns((struct policy_rule){.labels = labels, .n_labels = 2}));
    assert_false(concerns((struct policy_rule){.labels = &missing, .n_labels = 1}));
}

static bool
comes_from(const char *network, unsigned bits, const char *source)
{
    struct rule_network n = {address(network), bits};
    struct in6_addr from = address(source);

    return rule_network_contains(&n, &from);
}

static void
test_source_networks_of_both_families(void **state)
{
    struct rule_network ten = {address("10.0.0.0"), 96 + 8};
    struct rule_network other = {address("192.168.0.0"), 96 + 16};
    struct rule_network too_long = {address("::"), 129};
    struct policy_rule broken = {.sources = &too_long, .n_sources = 1};
    struct policy *p;

    (void)state;
    assert_true(comes_from("10.0.0.0", 96 + 8, "10.255.0.1"));
    assert_false(comes_from("10.0.0.0", 96 + 8, "11.0.0.1"));
    assert_true(comes_from("10.1.2.128", 96 + 25, "10.1.2.200"));
    assert_false(comes_from("10.1.2.128", 96 + 25, "10.1.2.100"));
    assert_true(comes_from("10.1.2.3", 128, "10.1.2.3"));
    assert_false(comes_from("10.1.2.3", 128, "10.1.2.2"));
    assert_true(comes_from("0.0.0.0", 96, "203.0.113.9"));
    assert_false(comes_from("0.0.0.0", 96, "2001:db8::1"));
    assert_true(comes_from("::", 0, "203.0.113.9"));
    assert_true(comes_from("2001:db8::", 33, "2001:db8:7fff::1"));
    assert_false(comes_from("2001:db8::", 33, "2001:db8:8000::1"));
    assert_true(concerns((struct policy_rule){.sources = &ten, .n_sources = 1}));
    assert_false(concerns((struct policy_rule){.sources = &other, .n_sources = 1}));
    assert_int_equal(policy_compile(&broken, 1, &p), ERR_INVALID);
}

/* --- when --------------------------------------------------------------------------------- */

static bool
holds(unsigned days, unsigned from, unsigned to, int hours_after_monday_noon)
{
    struct rule_time window = {days, from, to};
    struct policy_rule rule = {.times = &window, .n_times = 1};
    int64_t at = MONDAY_NOON_US + hours_after_monday_noon * HOUR_US;

    return allows_at(rule, READ_CUSTOMERS, at);
}

static void
test_a_window_of_the_day(void **state)
{
    enum { MONDAY = 1, TUESDAY = 2, SUNDAY = 64 };

    (void)state;
    assert_true(holds(0, 12 * 60, 13 * 60, 0));
    assert_false(holds(0, 11 * 60, 12 * 60, 0));
    assert_false(holds(0, 12 * 60 + 1, 13 * 60, 0));
    assert_true(holds(MONDAY, 0, 0, 0));
    assert_true(holds(MONDAY, 0, 1440, 11));
    assert_false(holds(TUESDAY, 0, 0, 0));
    assert_true(holds(TUESDAY, 0, 0, 12));
    assert_true(holds(SUNDAY, 0, 0, -13));
    assert_false(holds(SUNDAY, 0, 0, -12));
}

static void
test_a_window_past_midnight_belongs_to_the_day_it_starts_on(void **state)
{
    enum { MONDAY = 1, TUESDAY = 2, SUNDAY = 64 };

    (void)state;
    assert_true(holds(MONDAY, 22 * 60, 6 * 60, 10));   /* Monday 22:00 */
    assert_true(holds(MONDAY, 22 * 60, 6 * 60, 17));   /* Tuesday 05:00 */
    assert_false(holds(MONDAY, 22 * 60, 6 * 60, 18));  /* Tuesday 06:00 */
    assert_false(holds(MONDAY, 22 * 60, 6 * 60, -7));  /* Monday 05:00 is Sunday's window */
    assert_true(holds(SUNDAY, 22 * 60, 6 * 60, -7));   /* the same, asked for */
    assert_false(holds(TUESDAY, 22 * 60, 6 * 60, 17)); /* Tuesday 05:00 is Monday's */
    assert_false(holds(MONDAY, 22 * 60, 6 * 60, 9));   /* Monday 21:00 */
}

static void
test_moments_before_1970_have_weekdays_too(void **state)
{
    (void)state;
    assert_int_equal(rule_moment_at(0).weekday, 3);
    assert_int_equal(rule_moment_at(-1).weekday, 2);
    assert_int_equal(rule_moment_at(-1).minute, 1439);
    assert_int_equal(rule_moment_at(INT64_MIN).weekday, 6);
}

/* --- what --------------------------------------------------------------------------------- */

static void
test_classes_and_databases(void **state)
{
    struct demand update = READ_CUSTOMERS;

    (void)state;
    update.classes = CLASSES(WRITE) | CLASSES(UPDATE) | CLASSES(MASS_WRITE);
    assert_true(allows((struct policy_rule){.classes = CLASSES(READ)}, READ_CUSTOMERS));
    assert_false(allows((struct policy_rule){.classes = CLASSES(READ)}, update));
    assert_true(allows((struct policy_rule){.classes = CLASSES(WRITE)}, update));
    assert_true(allows((struct policy_rule){.classes = CLASSES(UPDATE) | CLASSES(DDL)}, update));
    assert_true(denies((struct policy_rule){.classes = CLASSES(MASS_WRITE)}, update));
    assert_true(allows((struct policy_rule){.databases = LIST(S("hr"), S("sa*"))}, update));
    assert_true(allows((struct policy_rule){.databases = LIST(S("sales"))}, update));
    assert_false(allows((struct policy_rule){.databases = LIST(S("sale"))}, update));
}

static void
test_tables_and_functions_match_their_own_kind_only(void **state)
{
    struct demand call = {CLASSES(CODE), OBJECT_FUNCTION, STR("app"), STR("refresh")};
    struct policy_rule tables = {.tables = LIST(S("*"))}, functions = {.functions = LIST(S("*"))};
    struct policy_rule both = {.tables = LIST(S("customers")), .functions = LIST(S("app.*"))};

    (void)state;
    assert_true(allows(tables, READ_CUSTOMERS));
    assert_false(allows(tables, call));
    assert_false(allows(tables, BEGIN));
    assert_true(allows(functions, call));
    assert_false(allows(functions, READ_CUSTOMERS));
    assert_false(allows(functions, BEGIN));
    assert_true(allows(both, READ_CUSTOMERS));
    assert_true(allows(both, call));
    assert_false(denies(tables, BEGIN));
}

static void
test_table_patterns(void **state)
{
    struct demand dotted = READ_CUSTOMERS;

    (void)state;
    dotted.name = STR("a.b");
    assert_true(
        allows((struct policy_rule){.tables = LIST(S("public.customers"))}, READ_CUSTOMERS));
    assert_true(allows((struct policy_rule){.tables = LIST(S("p*.c?stomers"))}, READ_CUSTOMERS));
    assert_true(allows((struct policy_rule){.tables = LIST(S("x"), S("cust*"))}, READ_CUSTOMERS));
    assert_false(allows((struct policy_rule){.tables = LIST(S("hr.customers"))}, READ_CUSTOMERS));
    assert_false(allows((struct policy_rule){.tables = LIST(S("Customers"))}, READ_CUSTOMERS));
    assert_true(allows((struct policy_rule){.tables = LIST(S("public.a.b"))}, dotted));
}

static void
test_schemas_concern_what_has_a_schema(void **state)
{
    struct policy_rule rule = {.schemas = LIST(S("public"))};
    struct demand schema = {CLASSES(DDL), OBJECT_SCHEMA, STR(""), STR("public")};
    struct demand type = {CLASSES(DDL), OBJECT_OTHER, STR("public"), STR("mood")};
    static const enum object_kind without[] = {OBJECT_NONE, OBJECT_DATABASE, OBJECT_ROLE,
                                               OBJECT_SETTING};

    (void)state;
    assert_true(allows(rule, READ_CUSTOMERS));
    assert_true(allows(rule, schema));
    assert_true(allows(rule, type));
    schema.name = STR("hr");
    assert_false(allows(rule, schema));
    assert_false(denies(rule, schema));
    for (size_t i = 0; i < N(without); i++) {
        struct demand demand = {CLASSES(ADMIN), without[i], STR(""), STR("public")};

        assert_false(allows((struct policy_rule){.schemas = LIST(S("*"))}, demand));
        assert_false(denies((struct policy_rule){.schemas = LIST(S("*"))}, demand));
    }
}

static void
test_an_unqualified_name_is_refused_by_name_and_allowed_by_every_schema(void **state)
{
    static const struct {
        const char *pattern;
        bool allows, denies;
    } cases[] = {
        {"customers", true, true},     {"*.customers", true, true},
        {"**.cust*", true, true},      {"*", true, true},
        {"hr.customers", false, true}, {"public.*", false, true},
        {"p*.customers", false, true}, {"?*.customers", false, true},
        {"hr.salaries", false, false}, {"salaries", false, false},
    };

    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        struct str pattern = str_from(cases[i].pattern);
        struct policy_rule rule = {.tables = {&pattern, 1}};

        assert_int_equal(allows(rule, READ_UNQUALIFIED), cases[i].allows);
        assert_int_equal(denies(rule, READ_UNQUALIFIED), cases[i].denies);
    }
    assert_true(allows((struct policy_rule){.schemas = LIST(S("*"))}, READ_UNQUALIFIED));
    assert_false(allows((struct policy_rule){.schemas = LIST(S("public"))}, READ_UNQUALIFIED));
    assert_true(denies((struct policy_rule){.schemas = LIST(S("hr"))}, READ_UNQUALIFIED));
}

static void
test_a_hold_permits_only_the_names_it_was_written_for(void **state)
{
    struct policy_rule rule = {
        .name = STR("ask"), .verdict = VERDICT_STEP_UP, .tables = LIST(S("hr.customers"))};
    struct policy_rule with_allow[] = {rule, {.name = STR("all"), .verdict = VERDICT_ALLOW}};
    struct demand qualified = READ_CUSTOMERS;
    char name[64];

    (void)state;
    qualified.schema = STR("hr");
    assert_int_equal(decide_at(&rule, 1, &qualified, 1, MONDAY_NOON_US, name), VERDICT_STEP_UP);
    assert_string_equal(name, "ask");
    assert_int_equal(decide_at(&rule, 1, &READ_UNQUALIFIED, 1, MONDAY_NOON_US, name), VERDICT_DENY);
    assert_string_equal(name, "");
    assert_int_equal(decide_at(with_allow, 2, &READ_UNQUALIFIED, 1, MONDAY_NOON_US, name),
                     VERDICT_STEP_UP);
}

/* --- which rule wins ---------------------------------------------------------------------- */

static void
test_the_strongest_verdict_wins_whatever_the_order(void **state)
{
    static const enum verdict_kind kinds[] = {VERDICT_ALLOW, VERDICT_MODIFY, VERDICT_DEFER,
                                              VERDICT_STEP_UP, VERDICT_DENY};

    (void)state;
    for (size_t i = 0; i < N(kinds); i++)
        for (size_t k = 0; k < N(kinds); k++) {
            struct policy_rule rules[] = {{.name = STR("first"), .verdict = kinds[i]},
                                          {.name = STR("second"), .verdict = kinds[k]}};
            char name[64];
            enum verdict_kind kind = decide_at(rules, 2, &BEGIN, 1, MONDAY_NOON_US, name);

            assert_int_equal(kind, kinds[i] > kinds[k] ? kinds[i] : kinds[k]);
            assert_string_equal(name, kinds[k] > kinds[i] ? "second" : "first");
        }
}

static void
test_every_demand_must_be_allowed(void **state)
{
    struct demand demands[] = {READ_CUSTOMERS, BEGIN};
    struct command command = {.demands = demands, .n_demands = 2};
    struct policy_rule rules[] = {
        {.name = STR("reading"), .verdict = VERDICT_ALLOW, .classes = CLASSES(READ)},
        {.name = STR("never"),
         .message = STR("not here"),
         .verdict = VERDICT_DENY,
         .classes = CLASSES(TRANSACTION)},
        {.name = STR("sessions"), .verdict = VERDICT_ALLOW, .classes = CLASSES(SESSION)},
    };
    struct residual *r = specialise(rules, 1);
    struct verdict v;

    (void)state;
    residual_decide(r, &command, &(struct decision_context){.wall_us = 0}, &v);
    assert_int_equal(v.kind, VERDICT_DENY);
    assert_ptr_equal(v.demand, &demands[1]);
    assert_int_equal(v.rule.len, 0);
    residual_free(r);

    r = specialise(rules, 3);
    residual_decide(r, &command, &(struct decision_context){.wall_us = 0}, &v);
    assert_int_equal(v.kind, VERDICT_DENY);
    assert_ptr_equal(v.demand, &demands[1]);
    assert_true(str_is(v.rule, "never"));
    assert_true(str_is(v.message, "not here"));
    residual_free(r);

    rules[1].verdict = VERDICT_ALLOW;
    r = specialise(rules, 3);
    residual_decide(r, &command, &(struct decision_context){.wall_us = 0}, &v);
    assert_int_equal(v.kind, VERDICT_ALLOW);
    assert_null(v.demand);
    assert_true(str_is(v.rule, "reading"));
    residual_free(r);
}

static void
test_a_deny_of_a_later_demand_wins_over_an_earlier_uncovered_one(void **state)
{
    struct demand demands[] = {READ_CUSTOMERS, BEGIN};
    struct policy_rule rule = {
        .name = STR("never"), .verdict = VERDICT_DENY, .classes = CLASSES(SESSION)};
    char name[64];

    (void)state;
    assert_int_equal(decide_at(&rule, 1, demands, 2, 0, name), VERDICT_DENY);
    assert_string_equal(name, "never");
}

/* --- access, and what people are told ----------------------------------------------------- */

static bool
is_read_only(const struct policy_rule *rules, size_t n)
{
    struct residual *r = specialise(rules, n);
    bool yes = residual_is_read_only(r);

    residual_free(r);
    return yes;
}

static void
test_a_session_is_read_only_if_nothing_that_writes_can_run(void **state)
{
    struct policy_rule rules[] = {
        {.name = STR("reading"),
         .classes = CLASSES(READ) | CLASSES(SESSION),
         .limits = {.read_only = true}},
        {.name = STR("writing"), .classes = CLASSES(WRITE)},
    };
    struct policy_rule all = {.name = STR("all"), .limits = {.read_only = true}};

    (void)state;
    assert_true(is_read_only(rules, 1));
    assert_false(is_read_only(rules, 2));
    assert_true(is_read_only(&all, 1));
    rules[0].limits.read_only = false;
    assert_false(is_read_only(rules, 1));
}

static bool
has_access(const struct policy_rule *rules, size_t n)
{
    struct residual *r = specialise(rules, n);
    bool any = residual_allows_anything(r);

    residual_free(r);
    return any;
}

static void
test_access_needs_a_rule_that_could_allow(void **state)
{
    struct policy_rule rules[] = {
        {.verdict = VERDICT_STEP_UP, .classes = CLASSES(DDL)},
        {.verdict = VERDICT_DENY, .classes = CLASSES(READ)},
        {.verdict = VERDICT_DENY},
    };

    (void)state;
    assert_false(has_access(NULL, 0));
    assert_true(has_access(rules, 1));
    assert_true(has_access(rules, 2));
    assert_false(has_access(rules, 3));
    assert_false(has_access(&rules[1], 1));
}

static void
assert_described(const struct policy_rule *rules, size_t n, const char *expected)
{
    struct residual *r = specialise(rules, n);
    struct buf out = buf_make(4096);

    residual_describe(r, MONDAY_NOON_US, &out);
    buf_put_u8(&out, 0);
    assert_string_equal(out.ptr, expected);
    buf_free(&out);
    residual_free(r);
}

static void
test_the_description_says_what_is_allowed(void **state)
{
    struct rule_time morning = {0, 6 * 60, 11 * 60};
    struct policy_rule rules[] = {
        {.classes = CLASSES(READ), .tables = LIST(S("public.*"))},
        {.classes = CLASSES(WRITE), .tables = LIST(S("public.*"))},
        {.classes = CLASSES(SESSION)},
        {.classes = CLASSES(DDL), .times = &morning, .n_times = 1},
        {.verdict = VERDICT_DENY, .classes = CLASSES(DROP_DATABASE) | CLASSES(GRANT)},
        {.verdict = VERDICT_STEP_UP,
         .classes = CLASSES(CODE),
         .functions = LIST(S("app.refresh")),
         .databases = LIST(S("sales"))},
        {.verdict = VERDICT_DENY},
    };

    (void)state;
    assert_described(rules, 0, "");
    assert_described(rules, 4, "read, write on public.*; session");
    assert_described(rules, 6,
                     "read, write on public.*; session; code on app.refresh() in database sales "
                     "(after approval), except grant, drop-database");
    assert_described(rules, 7, "");
    rules[1].limits = (struct limits){.max_affected_rows = 10, .require_where = true};
    rules[2].limits = (struct limits){1000, 3 << 20, 5000, 90, 0, 4, false, true};
    assert_described(rules, 3,
                     "read on public.*; write on public.* (max_affected_rows 10, require_where); "
                     "session (rows_per_command 1000, bytes_per_command 3MiB, rows_per_session "
                     "5000, seconds_per_command 90s, max_tables 4, read_only)");
    assert_described(&(struct policy_rule){.schemas = LIST(S("a"), S("b\n"))}, 1,
                     "anything in schema a, b?");
}

static void
test_the_description_is_short_however_many_rules_there_are(void **state)
{
    static struct policy_rule rules[301];
    static char names[300][16];
    static struct str texts[300];
    struct buf out = buf_make(4096);
    struct residual *r;

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        snprintf(names[i], sizeof(names[i]), "public.t%zu", i);
        texts[i] = str_from(names[i]);
        rules[i].tables = (struct str_list){&texts[i], 1};
        rules[i].classes = CLASSES(READ);
    }
    rules[300].verdict = VERDICT_DENY;
    rules[300].classes = ((class_set)1 << COMMAND_CLASS_COUNT) - 1;
    r = specialise(rules, 301);
    residual_describe(r, 0, &out);
    assert_in_range(out.len, 200, RESIDUAL_DESCRIPTION_MAX);
    assert_true(str_is_utf8(buf_str(&out)));
    assert_true(str_starts(buf_str(&out), STR("read on public.t0; read on public.t1; ")));
    buf_free(&out);
    residual_free(r);
}

/* --- approvals and purposes ------------------------------------------------------------------ */

/* Decides and keeps the names of the steps, for the residual ends. */
struct decided {
    struct verdict v;
    char rule[64];
    char steps[256];
};

static struct decided
decide_with(const struct policy_rule *rules, size_t n, const struct demand *demands,
            size_t n_demands, bool has_purpose)
{
    struct command command = {.database = STR("sales"), .demands = demands, .n_demands = n_demands};
    struct residual *r = specialise(rules, n);
    struct decided d = {.steps = ""};
    size_t used = 0;

    residual_decide(
        r, &command,
        &(struct decision_context){.wall_us = MONDAY_NOON_US, .has_purpose = has_purpose}, &d.v);
    snprintf(d.rule, sizeof(d.rule), "%.*s", STR_ARG(d.v.rule));
    for (size_t i = 0; i < d.v.n_steps; i++)
        used += (size_t)snprintf(d.steps + used, sizeof(d.steps) - used, "%s%.*s(%u,%u)",
                                 i == 0 ? "" : " ", STR_ARG(d.v.steps[i]->rule),
                                 d.v.steps[i]->wait_seconds,
                                 d.v.steps[i]->wait_in_transaction_seconds);
    residual_free(r);
    return d;
}

static struct policy_rule
step_up_rule(const char *name, class_set classes, const struct str *group, unsigned approvals)
{
    return (struct policy_rule){.name = str_from(name),
                                .verdict = VERDICT_STEP_UP,
                                .classes = classes,
                                .step_up = {.approver_groups = {group, 1},
                                            .approvals = approvals,
                                            .wait_seconds = 600,
                                            .wait_in_transaction_seconds = 60,
                                            .preview = PREVIEW_DRY_RUN}};
}

static const struct str dba = STR_INIT("dba"), team = STR_INIT("team");

static void
test_a_purpose_makes_a_defer_an_allow(void **state)
{
    struct policy_rule rules[] = {{.name = STR("why"),
                                   .verdict = VERDICT_DEFER,
                                   .message = STR("say which ticket"),
                                   .tables = LIST(S("public.customers"))},
                                  {.name = STR("all"), .classes = CLASSES(SESSION)}};
    struct decided d = decide_with(rules, 2, &READ_CUSTOMERS, 1, false);

    (void)state;
    assert_int_equal(d.v.kind, VERDICT_DEFER);
    assert_string_equal(d.rule, "why");
    assert_ptr_equal(d.v.demand, &READ_CUSTOMERS);
    d = decide_with(rules, 2, &READ_CUSTOMERS, 1, true);
    assert_int_equal(d.v.kind, VERDICT_ALLOW);
    assert_string_equal(d.rule, "why");
    assert_int_equal(d.v.message.len, 0);
    assert_null(d.v.demand);
    /* What it may mean is held, and not allowed by a purpose. */
    assert_int_equal(decide_with(rules, 2, &READ_UNQUALIFIED, 1, true).v.kind, VERDICT_DENY);
}

static void
test_what_it_is_for_is_said_before_humans_are_asked(void **state)
{
    struct policy_rule rules[] = {
        step_up_rule("ask", 0, &dba, 1),
        {.name = STR("why"), .verdict = VERDICT_DEFER},
        {.name = STR("never"), .verdict = VERDICT_DENY, .classes = CLASSES(WRITE)}};

    (void)state;
    assert_int_equal(decide_with(rules, 3, &READ_CUSTOMERS, 1, false).v.kind, VERDICT_DEFER);
    assert_int_equal(decide_with(rules, 3, &READ_CUSTOMERS, 1, true).v.kind, VERDICT_STEP_UP);
    assert_int_equal(decide_with(rules, 3, &TRUNCATE, 1, false).v.kind, VERDICT_DENY);
}

static void
test_all_that_ask_for_approvals_must_get_them(void **state)
{
    struct policy_rule rules[] = {
        {.name = STR("reads"), .classes = CLASSES(READ)},
        step_up_rule("two", CLASSES(TRUNCATE), &dba, 2),
        step_up_rule("hr", 0, &team, 1),
        step_up_rule("one", CLASSES(WRITE), &dba, 1),
    };
    struct decided d;

    (void)state;
    rules[2].tables = LIST(S("hr.*"));
    rules[3].step_up.wait_seconds = 30;
    rules[3].step_up.wait_in_transaction_seconds = 5;
    /* Two rules about the same demand: the second is no way around the first. */
    d = decide_with(rules, 4, &TRUNCATE, 1, false);
    assert_int_equal(d.v.kind, VERDICT_STEP_UP);
    assert_string_equal(d.rule, "two");
    assert_string_equal(d.steps, "two(600,60) one(30,5)");
    d = decide_with(rules, 4, &MASS_UPDATE, 1, false);
    assert_string_equal(d.steps, "one(30,5)");
    assert_ptr_equal(d.v.demand, &MASS_UPDATE);
    /* In whatever order they are written, all are asked. */
    rules[0] = rules[3];
    rules[3] = (struct policy_rule){.name = STR("reads"), .classes = CLASSES(READ)};
    d = decide_with(rules, 4, &TRUNCATE, 1, false);
    assert_string_equal(d.steps, "one(30,5) two(600,60)");
}

static void
test_a_harmless_demand_does_not_choose_the_approvers(void **state)
{
    struct policy_rule rules[] = {
        step_up_rule("reads by the team", CLASSES(READ), &team, 1),
        step_up_rule("writes by the dba", CLASSES(WRITE), &dba, 2),
    };
    const struct demand two[] = {READ_CUSTOMERS, TRUNCATE}, turned[] = {TRUNCATE, READ_CUSTOMERS};
    struct decided d = decide_with(rules, 2, two, 2, false);

    (void)state;
    assert_string_equal(d.steps, "reads by the team(600,60) writes by the dba(600,60)");
    assert_ptr_equal(d.v.demand, &two[0]);
    d = decide_with(rules, 2, turned, 2, false);
    assert_string_equal(d.steps, "reads by the team(600,60) writes by the dba(600,60)");
    assert_string_equal(d.rule, "reads by the team");
    assert_ptr_equal(d.v.demand, &turned[1]);
    assert_int_equal(d.v.n_steps, 2);
}

static void
test_the_same_wanted_twice_is_asked_once(void **state)
{
    struct policy_rule rules[] = {
        step_up_rule("writes", CLASSES(WRITE), &dba, 1),
        step_up_rule("customers", 0, &dba, 1),
        step_up_rule("truncates", CLASSES(TRUNCATE), &dba, 2),
    };
    const struct demand two[] = {READ_CUSTOMERS, TRUNCATE};
    struct decided d;

    (void)state;
    d = decide_with(rules, 3, &TRUNCATE, 1, false);
    assert_string_equal(d.steps, "writes(600,60) truncates(600,60)");
    d = decide_with(rules, 3, &READ_CUSTOMERS, 1, false);
    assert_string_equal(d.steps, "customers(600,60)");
    /* The earlier of the two stands for both, though it holds the later demand. */
    d = decide_with(rules, 3, two, 2, false);
    assert_string_equal(d.steps, "writes(600,60) truncates(600,60)");
    assert_ptr_equal(d.v.demand, &two[1]);
    rules[1].step_up.reason_required = true;
    d = decide_with(rules, 3, &TRUNCATE, 1, false);
    assert_string_equal(d.steps, "writes(600,60) customers(600,60) truncates(600,60)");
}

static void
test_too_many_approvals_are_a_refusal(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    struct policy_rule rules[N(names)];
    struct decided d;

    (void)state;
    for (unsigned i = 0; i < N(names); i++)
        rules[i] = step_up_rule(names[i], 0, &dba, 1 + i);
    d = decide_with(rules, VERDICT_STEPS_MAX, &READ_CUSTOMERS, 1, false);
    assert_int_equal(d.v.kind, VERDICT_STEP_UP);
    assert_int_equal(d.v.n_steps, VERDICT_STEPS_MAX);
    for (unsigned n = VERDICT_STEPS_MAX + 1; n <= N(names); n++) {
        d = decide_with(rules, n, &READ_CUSTOMERS, 1, false);
        assert_int_equal(d.v.kind, VERDICT_DENY);
        assert_string_equal(d.rule, names[VERDICT_STEPS_MAX]);
        assert_int_equal(d.v.n_steps, 0);
    }
}

static void
test_what_was_approved_is_an_allow_with_its_limits(void **state)
{
    struct policy_rule rule = step_up_rule("ask", 0, &dba, 1);
    struct command command = {.masked = STR("public.customers.ssn")};
    struct decided d;

    (void)state;
    rule.limits.rows_per_command = 7;
    d = decide_with(&rule, 1, &READ_CUSTOMERS, 1, false);
    verdict_protect(&d.v, &command);
    assert_int_equal(d.v.kind, VERDICT_STEP_UP);
    verdict_approve(&d.v);
    assert_int_equal(d.v.kind, VERDICT_ALLOW);
    assert_int_equal(d.v.n_steps, 0);
    assert_int_equal(d.v.limits.rows_per_command, 7);
    verdict_protect(&d.v, &command);
    assert_int_equal(d.v.kind, VERDICT_MODIFY);
}

static void
test_the_most_of_what_is_recorded_counts(void **state)
{
    struct policy_rule rules[] = {
        {.name = STR("all"), .record = {.retention_seconds = 5}},
        {.name = STR("writes"), .classes = CLASSES(WRITE), .record = {.rows = true}},
        {.name = STR("hr"), .tables = LIST(S("hr.*")), .record = {.retention_seconds = 9}},
    };
    struct policy_rule deny = {.verdict = VERDICT_DENY, .record = {.rows = true}};
    struct record_rule record = decide_with(rules, 3, &TRUNCATE, 1, false).v.record;
    struct policy *p;

    (void)state;
    assert_true(record.rows);
    assert_int_equal(record.retention_seconds, 5);
    record = decide_with(rules, 3, &READ_UNQUALIFIED, 1, false).v.record;
    assert_false(record.rows);
    assert_int_equal(record.retention_seconds, 9);
    assert_int_equal(policy_compile(&deny, 1, &p), ERR_INVALID);
}

static void
test_rules_on_connecting_are_not_about_commands(void **state)
{
    struct rule_time evening = {0, 20 * 60, 22 * 60};
    struct policy_rule rules[] = {
        {.name = STR("others"), .subjects = LIST(S("bob"))},
        {.name = STR("evenings"), .times = &evening, .n_times = 1},
        {.name = STR("prod")},
        {.name = STR("read"), .classes = CLASSES(READ)},
    };
    struct policy_request who = request();
    struct policy_connect connect;
    struct policy *p;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        rules[i].verdict = VERDICT_STEP_UP;
        rules[i].on = RULE_ON_CONNECT;
    }
    assert_int_equal(policy_compile(rules, 4, &p), OK);
    assert_true(policy_connect(p, &who, MONDAY_NOON_US, &connect));
    assert_true(str_is(connect.rule, "prod"));
    assert_true(policy_connect(p, &who, MONDAY_NOON_US + 9 * HOUR_US, &connect));
    assert_true(str_is(connect.rule, "evenings"));
    policy_free(p);
    /* They allow no command, and hold none. */
    assert_int_equal(decide_with(rules, 4, &READ_CUSTOMERS, 1, false).v.kind, VERDICT_ALLOW);
    assert_int_equal(decide_with(rules, 4, &BEGIN, 1, false).v.kind, VERDICT_DENY);
    assert_int_equal(policy_compile(rules, 2, &p), OK);
    assert_false(policy_connect(p, &who, MONDAY_NOON_US, &connect));
    policy_free(p);
    rules[0].verdict = VERDICT_ALLOW;
    assert_int_equal(policy_compile(rules, 4, &p), ERR_INVALID);
}

/* --- limits ------------------------------------------------------------------------------- */

static struct verdict
decide_limits(const struct policy_rule *rules, size_t n, const struct demand *demands,
              size_t n_demands, char said[160])
{
    struct command command = {.database = STR("sales"), .demands = demands, .n_demands = n_demands};
    struct residual *r = specialise(rules, n);
    struct verdict v;

    residual_decide(r, &command, &(struct decision_context){.wall_us = MONDAY_NOON_US}, &v);
    snprintf(said, 160, "%.*s: %.*s", STR_ARG(v.rule), STR_ARG(v.message));
    residual_free(r);
    return v;
}

static void
test_the_smallest_of_each_limit_counts(void **state)
{
    struct rule_time evening = {0, 20 * 60, 22 * 60};
    struct policy_rule rules[] = {
        {.name = STR("a"), .limits = {.rows_per_command = 100, .bytes_per_command = 5000}},
        {.name = STR("b"),
         .classes = CLASSES(READ),
         .limits = {.rows_per_command = 10, .seconds_per_command = 7}},
        {.name = STR("c"), .classes = CLASSES(SESSION), .limits = {.rows_per_command = 1}},
        {.name = STR("d"), .tables = LIST(S("hr.*")), .limits = {.rows_per_session = 3}},
        {.name = STR("e"), .times = &evening, .n_times = 1, .limits = {.rows_per_command = 2}},
        {.name = STR("f"), .databases = LIST(S("hr")), .limits = {.rows_per_command = 2}},
    };
    const struct demand both[] = {READ_CUSTOMERS, BEGIN};
    struct verdict v;
    char said[160];

    (void)state;
    v = decide_limits(rules, 6, &READ_CUSTOMERS, 1, said);
    assert_int_equal(v.kind, VERDICT_ALLOW);
    assert_int_equal(v.limits.rows_per_command, 10);
    assert_int_equal(v.limits.bytes_per_command, 5000);
    assert_int_equal(v.limits.seconds_per_command, 7);
    assert_int_equal(v.limits.rows_per_session, 0);
    /* Without a schema the rule about hr may apply, and so its limit does. */
    v = decide_limits(rules, 6, &READ_UNQUALIFIED, 1, said);
    assert_int_equal(v.limits.rows_per_session, 3);
    v = decide_limits(rules, 6, both, 2, said);
    assert_int_equal(v.limits.rows_per_command, 1);
    v = decide_limits(rules, 1, &BEGIN, 1, said);
    assert_int_equal(v.limits.rows_per_command, 100);
}

static void
test_limits_decided_beforehand_name_their_rule(void **state)
{
    struct policy_rule rules[] = {
        {.name = STR("all")},
        {.name = STR("careful"), .classes = CLASSES(WRITE), .limits = {.require_where = true}},
        {.name = STR("readers"), .classes = CLASSES(READ), .limits = {.read_only = true}},
    };
    const struct demand copies[] = {READ_CUSTOMERS, MASS_UPDATE};
    struct verdict v;
    char said[160];

    (void)state;
    v = decide_limits(rules, 3, &MASS_UPDATE, 1, said);
    assert_int_equal(v.kind, VERDICT_DENY);
    assert_ptr_equal(v.demand, &MASS_UPDATE);
    assert_false(v.limits.require_where);
    assert_string_equal(
        said, "careful: limit \"require_where\": UPDATE and DELETE need a WHERE that narrows");
    decide_limits(rules, 3, &TRUNCATE, 1, said);
    assert_string_equal(said, "careful: limit \"require_where\": TRUNCATE takes all rows");
    decide_limits(rules, 3, copies, 2, said);
    assert_string_equal(said, "readers: limit \"read_only\": nothing may be changed");
    v = decide_limits(rules, 3, &READ_CUSTOMERS, 1, said);
    assert_int_equal(v.kind, VERDICT_ALLOW);
    assert_true(v.limits.read_only);
    assert_int_equal(decide_limits(rules, 3, &BEGIN, 1, said).kind, VERDICT_ALLOW);
}

static void
test_an_approval_does_not_lift_a_limit(void **state)
{
    struct policy_rule rules[] = {
        {.name = STR("ask"), .verdict = VERDICT_STEP_UP, .limits = {.require_where = true}},
        {.name = STR("never"), .verdict = VERDICT_DENY, .classes = CLASSES(TRUNCATE)},
    };
    char said[160];

    (void)state;
    assert_int_equal(decide_limits(rules, 2, &READ_CUSTOMERS, 1, said).kind, VERDICT_STEP_UP);
    assert_int_equal(decide_limits(rules, 2, &MASS_UPDATE, 1, said).kind, VERDICT_DENY);
    /* A rule that denies is named before a limit. */
    decide_limits(rules, 2, &TRUNCATE, 1, said);
    assert_string_equal(said, "never: ");
}

static struct demand
read_of(const char *schema, const char *name)
{
    return (struct demand){CLASSES(READ), OBJECT_RELATION, str_from(schema), str_from(name)};
}

static void
test_tables_are_counted_once_and_without_the_catalogs(void **state)
{
    struct policy_rule rules[] = {
        {.name = STR("many"), .limits = {.max_tables = 9}},
        {.name = STR("few"), .limits = {.max_tables = 2}},
        {.name = STR("few too"), .limits = {.max_tables = 2}},
    };
    const struct demand demands[] = {
        read_of("public", "a"),
        read_of("public", "a"),
        read_of("pg_catalog", "pg_class"),
        read_of("information_schema", "tables"),
        read_of("pg_toast", "t"),
        read_of("public", "b"),
        BEGIN,
        read_of("other", "b"),
    };
    struct verdict v;
    char said[160];

    (void)state;
    assert_int_equal(decide_limits(rules, 3, demands, 7, said).kind, VERDICT_ALLOW);
    v = decide_limits(rules, 3, demands, 8, said);
    assert_int_equal(v.kind, VERDICT_DENY);
    assert_ptr_equal(v.demand, &demands[7]);
    assert_string_equal(said, "few: limit \"max_tables\": one command may name at most 2 tables");
    rules[1].limits.max_tables = 1;
    decide_limits(rules, 3, demands, 8, said);
    assert_string_equal(said, "few: limit \"max_tables\": one command may name at most 1 table");
}

static void
test_a_rule_that_denies_has_no_limits(void **state)
{
    struct policy_rule rule = {
        .name = STR("x"), .verdict = VERDICT_DENY, .limits = {.read_only = true}};
    struct policy *p;

    (void)state;
    assert_int_equal(policy_compile(&rule, 1, &p), ERR_INVALID);
}

/* --- the wire form ------------------------------------------------------------------------ */

static void
test_the_wire_form_is_read_back_and_refused_when_cut(void **state)
{
    struct rule_time window = {3, 60, 120};
    struct policy_rule rules[] = {
        {.name = STR("a"),
         .tables = LIST(S("public.*"), S("x")),
         .databases = LIST(S("d")),
         .limits = {1, 2, 3, 4, UINT64_MAX, 6, true, true}},
        {.name = STR("b"),
         .message = STR("no"),
         .verdict = VERDICT_DENY,
         .times = &window,
         .n_times = 1,
         .functions = LIST(S("f"))},
    };
    struct residual *r = specialise(rules, 2), *again;
    struct buf wire = buf_make(RESIDUAL_BYTES_MAX), second = buf_make(RESIDUAL_BYTES_MAX);

    (void)state;
    assert_int_equal(residual_encode(r, &wire), OK);
    assert_int_equal(residual_decode(buf_str(&wire), &again), OK);
    assert_int_equal(residual_encode(again, &second), OK);
    assert_true(str_equal(buf_str(&wire), buf_str(&second)));
    residual_free(again);
    for (size_t n = 0; n < wire.len; n++)
        assert_int_equal(residual_decode((struct str){wire.ptr, n}, &again), ERR_PROTOCOL);
    buf_put_u8(&wire, 0);
    assert_int_equal(residual_decode(buf_str(&wire), &again), ERR_PROTOCOL);
    wire.len--;
    wire.ptr[0] ^= 1;
    assert_int_equal(residual_decode(buf_str(&wire), &again), ERR_PROTOCOL);
    buf_free(&wire);
    buf_free(&second);
    residual_free(r);
}

/* --- cost: counted, not timed ------------------------------------------------------------- */

enum { MANY = 10000 };

/* Rules looked at when the demand is decided with `n` rules like `make` gives, and one allow. */
static size_t
visits(size_t n, void (*make)(size_t i, const struct str *name, struct policy_rule *rule))
{
    static struct policy_rule rules[MANY + 1];
    static struct str texts[MANY];
    static char names[MANY][16];
    struct command command = {.database = STR("sales"), .demands = &READ_CUSTOMERS, .n_demands = 1};
    struct residual *r;
    struct verdict v;
    size_t visited = 0;

    memset(rules, 0, sizeof(rules));
    for (size_t i = 0; i < n; i++) {
        texts[i] =
            (struct str){names[i], (size_t)snprintf(names[i], sizeof(names[i]), "name%zu", i)};
        rules[i].verdict = i % 2 == 0 ? VERDICT_ALLOW : VERDICT_DENY;
        make(i, &texts[i], &rules[i]);
    }
    rules[n].classes = CLASSES(READ);
    r = specialise(rules, n + 1);
    residual_decide_counting(r, &command, &(struct decision_context){0}, &v, &visited);
    assert_int_equal(v.kind, VERDICT_ALLOW);
    residual_free(r);
    return visited;
}

static void
make_other_resource(size_t i, const struct str *name, struct policy_rule *rule)
{
    (void)i;
    rule->resources = (struct str_list){name, 1};
}

static void
make_other_group(size_t i, const struct str *name, struct policy_rule *rule)
{
    (void)i;
    rule->groups = (struct str_list){name, 1};
}

static void
make_other_class(size_t i, const struct str *name, struct policy_rule *rule)
{
    (void)name;
    rule->classes = i % 3 == 0 ? CLASSES(DDL) : CLASSES(WRITE) | CLASSES(GRANT);
}

static void
make_other_table(size_t i, const struct str *name, struct policy_rule *rule)
{
    (void)i;
    rule->tables = (struct str_list){name, 1};
}

static void
make_other_database(size_t i, const struct str *name, struct policy_rule *rule)
{
    (void)i;
    rule->databases = (struct str_list){name, 1};
}

static void
make_limited(size_t i, const struct str *name, struct policy_rule *rule)
{
    make_other_table(i, name, rule);
    rule->verdict = VERDICT_ALLOW;
    rule->limits.rows_per_command = 1;
}

static void
make_unlimited(size_t i, const struct str *name, struct policy_rule *rule)
{
    (void)i;
    (void)name;
    rule->verdict = VERDICT_ALLOW;
}

static void
test_rules_that_do_not_apply_are_not_looked_at(void **state)
{
    (void)state;
    assert_int_equal(visits(MANY, make_other_resource), visits(10, make_other_resource));
    assert_int_equal(visits(MANY, make_other_group), visits(10, make_other_group));
    assert_int_equal(visits(MANY, make_other_class), visits(10, make_other_class));
    /* By hash: a few others may share the bucket. */
    assert_in_range(visits(MANY, make_other_table), 1, 20);
    assert_in_range(visits(MANY, make_other_database), 1, 20);
    assert_in_range(visits(MANY, make_limited), 1, 40);
    assert_int_equal(visits(MANY, make_unlimited), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_rules_all_is_denied_without_a_rules_name),
        cmocka_unit_test(test_a_command_without_demands_is_denied),
        cmocka_unit_test(test_who_is_matched_by_subject_group_and_issuer),
        cmocka_unit_test(test_every_claim_of_a_rule_must_hold),
        cmocka_unit_test(test_resources_are_matched_by_name_protocol_and_labels),
        cmocka_unit_test(test_source_networks_of_both_families),
        cmocka_unit_test(test_a_window_of_the_day),
        cmocka_unit_test(test_a_window_past_midnight_belongs_to_the_day_it_starts_on),
        cmocka_unit_test(test_moments_before_1970_have_weekdays_too),
        cmocka_unit_test(test_classes_and_databases),
        cmocka_unit_test(test_tables_and_functions_match_their_own_kind_only),
        cmocka_unit_test(test_table_patterns),
        cmocka_unit_test(test_schemas_concern_what_has_a_schema),
        cmocka_unit_test(test_an_unqualified_name_is_refused_by_name_and_allowed_by_every_schema),
        cmocka_unit_test(test_a_hold_permits_only_the_names_it_was_written_for),
        cmocka_unit_test(test_the_strongest_verdict_wins_whatever_the_order),
        cmocka_unit_test(test_every_demand_must_be_allowed),
        cmocka_unit_test(test_a_session_is_read_only_if_nothing_that_writes_can_run),
        cmocka_unit_test(test_a_deny_of_a_later_demand_wins_over_an_earlier_uncovered_one),
        cmocka_unit_test(test_access_needs_a_rule_that_could_allow),
        cmocka_unit_test(test_the_description_says_what_is_allowed),
        cmocka_unit_test(test_the_description_is_short_however_many_rules_there_are),
        cmocka_unit_test(test_the_smallest_of_each_limit_counts),
        cmocka_unit_test(test_limits_decided_beforehand_name_their_rule),
        cmocka_unit_test(test_an_approval_does_not_lift_a_limit),
        cmocka_unit_test(test_tables_are_counted_once_and_without_the_catalogs),
        cmocka_unit_test(test_a_rule_that_denies_has_no_limits),
        cmocka_unit_test(test_a_purpose_makes_a_defer_an_allow),
        cmocka_unit_test(test_what_it_is_for_is_said_before_humans_are_asked),
        cmocka_unit_test(test_all_that_ask_for_approvals_must_get_them),
        cmocka_unit_test(test_a_harmless_demand_does_not_choose_the_approvers),
        cmocka_unit_test(test_the_same_wanted_twice_is_asked_once),
        cmocka_unit_test(test_too_many_approvals_are_a_refusal),
        cmocka_unit_test(test_what_was_approved_is_an_allow_with_its_limits),
        cmocka_unit_test(test_the_most_of_what_is_recorded_counts),
        cmocka_unit_test(test_rules_on_connecting_are_not_about_commands),
        cmocka_unit_test(test_the_wire_form_is_read_back_and_refused_when_cut),
        cmocka_unit_test(test_rules_that_do_not_apply_are_not_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
