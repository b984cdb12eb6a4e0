/* control/pages.h - the handlers of the API, by file; route.c has them in its table. */
#ifndef CONTROL_PAGES_H
#define CONTROL_PAGES_H

#include "control/approvals.h"
#include "control/route.h"

/* api_approvals.c, api_access.c */
api_handler api_approvals_list, api_approval_get, api_approval_approve, api_approval_deny,
    api_approval_override, api_approval_withdraw;
api_handler api_access_request, api_access_list, api_access_revoke;
/* api_sessions.c, api_recordings.c */
api_handler api_sessions_list, api_session_get, api_session_kill;
api_handler api_session_live, api_session_replay, api_session_export, api_session_legal_hold;
/* api_ledger.c */
api_handler api_ledger_search, api_ledger_record, api_ledger_verify, api_ledger_export,
    api_overview;
/* api_policies.c, api_resources.c */
api_handler api_policies, api_policies_explain, api_policies_dry_run, api_resources;
/* api_events.c, api_meta.c */
api_handler api_events, api_health, api_openapi, api_slack;
api_handler console_page, console_asset;

/* The person as the approvals engine knows people; borrows from the request. */
struct approver request_approver(const struct api_request *q);

/* Writes a request as this person sees it. `whole`: with everything that a decision needs. */
enum err request_write(struct api_request *q, struct json *j, const struct request *request,
                       bool whole);

/* Whether the person may see the request at all. */
bool request_is_visible(const struct api_request *q, const struct request *request);

/* Lists as the API gives them. */
void api_put_list(struct json *j, const char *key, struct str_list list);

/* The directory of the ledger as C text in the request's arena. */
enum err api_ledger_directory(const struct api_request *q, char **out);

#endif
