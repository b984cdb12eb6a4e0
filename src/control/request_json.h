/* control/request_json.h - a request as approvers see it: the Request of the API (openapi.json). */
#ifndef CONTROL_REQUEST_JSON_H
#define CONTROL_REQUEST_JSON_H

#include "base/json.h"
#include "control/approvals.h"

struct request_view {
    const struct request *request;
    const struct decision_list *decisions;   /* NULL: none */
    const struct approvals_eligibility *you; /* NULL: nobody is looking; left out */
    struct str console_url;                  /* begins the link */
    struct str recent;                       /* JSON array [{at,text,verdict,rule}]; empty: [] */
    bool whole; /* also: binds, objects, formatted text, tokens, preview, recent */
};

enum { REQUEST_TOKENS_MAX = 20000, REQUEST_BINDS_SHOWN_MAX = 256, REQUEST_BIND_TEXT_MAX = 1000 };

/* Writes one JSON object. What does not fit the limits above is cut, and says so. ERR_PROTOCOL: the
 * stored frame cannot be read. */
enum err request_json_write(struct json *j, const struct request_view *view);

/* Link to the request in the console. */
void request_json_link(struct buf *out, struct str console_url, struct str id);

/* `text` with line breaks and indents before its main clauses, for people: bytes are only inserted,
 * and only where white space was, never within a literal, a name or a comment. What is not certain
 * stays as it was. */
void request_json_format(struct str text, struct buf *out);

/* The tokens of `text` in order, as [{kind,text}]; together they are `text`. Kinds: keyword, name,
 * string, number, comment, operator, space, other. */
void request_json_tokens(struct json *j, struct str text);

/* A session's preview, which is not trusted, as the JSON object that is kept: read, and written
 * anew. What is not one, or too large, becomes {"kind":"none","error":…}; nothing stays nothing. */
void request_json_check_preview(struct str preview, struct buf *out);

struct risk_facts {
    struct record *intent;                  /* read; NULL for access */
    const struct config_resource *resource; /* NULL: not known */
    bool in_transaction;
    uint64_t asked_before; /* requests of this identity, under this rule, on this resource */
    struct str purpose;
    struct str preview; /* JSON, already checked; may be empty */
};

/* What to look at twice, as a JSON array of texts. */
void request_json_risk(struct buf *out, const struct risk_facts *facts);

#endif
