#include "control/route.h"

#include "control/login.h"
#include "control/pages.h"

#define ID "{id}"

static const struct route routes[] = {
    /* who */
    {"GET", "/login", API_PUBLIC, API_RATE_LOGIN, API_PAGE, login_begin},
    {"GET", "/login/callback", API_PUBLIC, API_RATE_LOGIN, API_PAGE, login_callback},
    {"POST", "/v1/login", API_PUBLIC, API_RATE_LOGIN, 0, login_with_token},
    {"POST", "/v1/logout", API_ANY, API_RATE_ACT, 0, login_end},
    {"GET", "/v1/me", API_ANY, API_RATE_READ, API_DELEGATES, login_me},

    /* approvals; who may decide is the rule's to say */
    {"GET", "/v1/approvals", API_ANY, API_RATE_READ, API_DELEGATES, api_approvals_list},
    {"GET", "/v1/approvals/" ID, API_ANY, API_RATE_READ, API_DELEGATES, api_approval_get},
    {"POST", "/v1/approvals/" ID "/approve", API_ANY, API_RATE_ACT, 0, api_approval_approve},
    {"POST", "/v1/approvals/" ID "/deny", API_ANY, API_RATE_ACT, 0, api_approval_deny},
    {"POST", "/v1/approvals/" ID "/override", API_ANY, API_RATE_ACT, 0, api_approval_override},
    {"POST", "/v1/approvals/" ID "/withdraw", API_ANY, API_RATE_ACT, API_DELEGATES,
     api_approval_withdraw},
    {"GET", "/v1/events", API_ANY, API_RATE_READ, API_STREAM | API_DELEGATES, api_events},
    {"POST", "/v1/slack/actions", API_PUBLIC, API_RATE_ACT, API_FORM | API_LARGE, api_slack},

    /* access for a time */
    {"GET", "/v1/access", API_ANY, API_RATE_READ, API_DELEGATES, api_access_list},
    {"POST", "/v1/access", API_ANY, API_RATE_ACT, API_DELEGATES, api_access_request},
    {"POST", "/v1/access/" ID "/revoke", API_ANY, API_RATE_ACT, 0, api_access_revoke},

    /* sessions and their recordings */
    {"GET", "/v1/sessions", API_VIEWER, API_RATE_READ, 0, api_sessions_list},
    {"GET", "/v1/sessions/" ID, API_VIEWER, API_RATE_READ, 0, api_session_get},
    {"POST", "/v1/sessions/" ID "/kill", API_ADMIN, API_RATE_ACT, 0, api_session_kill},
    {"GET", "/v1/sessions/" ID "/live", API_AUDITOR, API_RATE_READ, API_STREAM, api_session_live},
    {"POST", "/v1/sessions/" ID "/replay", API_AUDITOR, API_RATE_READ, 0, api_session_replay},
    {"POST", "/v1/sessions/" ID "/export", API_AUDITOR, API_RATE_HEAVY, 0, api_session_export},
    {"POST", "/v1/sessions/" ID "/legal-hold", API_ADMIN, API_RATE_ACT, 0, api_session_legal_hold},

    /* the ledger */
    {"GET", "/v1/ledger", API_AUDITOR, API_RATE_READ, 0, api_ledger_search},
    {"GET", "/v1/ledger/export", API_AUDITOR, API_RATE_HEAVY, API_STREAM, api_ledger_export},
    {"POST", "/v1/ledger/verify", API_AUDITOR, API_RATE_HEAVY, 0, api_ledger_verify},
    {"GET", "/v1/ledger/" ID, API_AUDITOR, API_RATE_READ, 0, api_ledger_record},
    {"GET", "/v1/overview", API_VIEWER, API_RATE_READ, 0, api_overview},

    /* what there is, and who may */
    {"GET", "/v1/resources", API_VIEWER, API_RATE_READ, 0, api_resources},
    {"GET", "/v1/policies", API_VIEWER, API_RATE_READ, 0, api_policies},
    {"POST", "/v1/policies/explain", API_VIEWER, API_RATE_ACT, API_LARGE, api_policies_explain},
    {"POST", "/v1/policies/dry-run", API_AUDITOR, API_RATE_HEAVY, API_LARGE, api_policies_dry_run},

    /* the server itself, and the console */
    {"GET", "/healthz", API_PUBLIC, API_RATE_PAGE, 0, api_health},
    {"GET", "/v1/openapi.json", API_PUBLIC, API_RATE_PAGE, 0, api_openapi},
    {"GET", "/assets/*", API_PUBLIC, API_RATE_PAGE, API_PAGE, console_asset},
    {"GET", "/*", API_PUBLIC, API_RATE_PAGE, API_PAGE, console_page},
};
enum { N_ROUTES = sizeof(routes) / sizeof(routes[0]) };

const char *
api_role_name(enum api_role role)
{
    static const char *const names[] = {"public", "any", "viewer", "auditor", "admin"};

    return names[role];
}

const struct route *
route_at(size_t i)
{
    return i < N_ROUTES ? &routes[i] : NULL;
}

bool
route_is_unsafe(const struct route *r)
{
    return strcmp(r->method, "GET") != 0;
}

/* Whether `path` is of the pattern; its {…} segments are then in `parameters`. */
static bool
matches(struct str pattern, struct str path, struct str parameters[static API_PARAMETERS_MAX])
{
    size_t n = 0;

    for (;;) {
        struct str want, have;
        bool last = str_index(pattern, '/') == pattern.len,
             path_last = str_index(path, '/') == path.len;

        if (str_is(pattern, "*"))
            return true;
        pattern = str_cut(pattern, '/', &want);
        path = str_cut(path, '/', &have);
        if (want.len > 0 && want.ptr[0] == '{') {
            if (have.len == 0 || n == API_PARAMETERS_MAX)
                return false;
            parameters[n++] = have;
        } else if (!str_equal(want, have)) {
            return false;
        }
        if (last || path_last)
            return last && path_last;
    }
}

/* The console's own addresses are everything but the API's. */
static bool
is_api(struct str path)
{
    return str_is(path, "/v1") || str_starts(path, STR("/v1/"));
}

enum err
route_find(struct str method, struct str path, const struct route **out,
           struct str parameters[static API_PARAMETERS_MAX], const char **allow)
{
    struct str asked = str_is(method, "HEAD") ? STR("GET") : method;
    bool gets = false, posts = false;

    *out = NULL;
    for (size_t i = 0; i < N_ROUTES; i++) {
        struct str pattern = str_from(routes[i].pattern);

        if (!matches(pattern, path, parameters) || (str_is(pattern, "/*") && is_api(path)))
            continue;
        if (str_is(asked, routes[i].method)) {
            *out = &routes[i];
            return OK;
        }
        /* Any GET leads to the console's page: that says nothing about what is there. */
        if (str_is(pattern, "/*") && posts)
            continue;
        gets = gets || strcmp(routes[i].method, "GET") == 0;
        posts = posts || strcmp(routes[i].method, "POST") == 0;
    }
    if (!gets && !posts)
        return fail(ERR_NOT_FOUND, "there is no such path");
    *allow = gets && posts ? "GET, HEAD, POST" : gets ? "GET, HEAD" : "POST";
    return fail(ERR_UNSUPPORTED, "this path does not take the method");
}
