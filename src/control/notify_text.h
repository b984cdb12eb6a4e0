/* control/notify_text.h - hostile text made fit for each kind of message. Pure. */
#ifndef CONTROL_NOTIFY_TEXT_H
#define CONTROL_NOTIFY_TEXT_H

#include "base/buf.h"
#include "control/notify_payload.h"

/* At most `max` bytes of `s`, not within a character. */
struct str notify_cut(struct str s, size_t max);

/* Appends text for people: control and direction-changing characters and what is not UTF-8 become
 * spaces (newlines and tabs stay, if `lines`); what goes beyond `max` bytes is cut, with "…". */
void notify_put_plain(struct buf *out, struct str s, size_t max, bool lines);

/* "alice → planner → executor", or the subject alone. */
void notify_put_chain(const struct notification *n, struct buf *out);
/* "read, write"; at most NOTIFY_LIST_MAX entries. */
void notify_put_list(struct str_list list, struct buf *out);
/* "2026-01-31 08:00 UTC". */
void notify_put_time(int64_t wall_us, struct buf *out);
/* "approved by alice: \"go\"" or "waits for group dba". */
void notify_put_state(const struct notification *n, struct buf *out);

/* The facts that all kinds of messages show: calls `put` with each name and value. */
typedef void notify_fact_fn(void *arg, const char *name, struct str value);
void notify_each_fact(const struct notification *n, notify_fact_fn *put, void *arg);

#endif
