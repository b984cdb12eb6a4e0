/* ledger/render.h - what sessions hand over, as fields of JSON records (docs/ledger.md). Pure. */
#ifndef LEDGER_RENDER_H
#define LEDGER_RENDER_H

#include "base/json.h"
#include "ipc/record.h"
#include "ledger/ledger.h"

/* Adds `key` with the time as RFC 3339 text. */
void render_time(struct json *j, const char *key, int64_t wall_us);

/* Adds the text, or null if it is empty. */
void render_optional(struct json *j, const char *key, struct str value);

/* Adds a number that a session said, at most INT64_MAX: many JSON parsers take no more. */
void render_count(struct json *j, const char *key, uint64_t value);

/* Adds text as it is; what is not UTF-8 also byte for byte, for JSON can only show a part of it. */
void render_text(struct json *j, const char *key, const char *base64_key, struct str text);
void render_base64(struct json *j, const char *key, struct str bytes);

/* A bound value, as an object. */
void render_bind(struct json *j, const struct record_bind *bind);

/* The object that intents and session_opened show as "identity". */
void render_identity(struct json *j, const struct ledger_identity *identity);

/* The fields of command_intent and command_outcome beyond those of every session's record. Reads
 * the lists of `*r` to their end. */
void render_intent(struct json *j, struct record *r);
void render_outcome(struct json *j, const struct record_outcome *outcome);
void render_decision(struct json *j, const struct record_decision *decision);

#endif
