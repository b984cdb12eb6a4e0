/* identity/expiry.h - a bounded set of names that are forgotten at a time of their own, kept in
 * an append-only file: revoked tokens, and tokens that were used. */
#ifndef IDENTITY_EXPIRY_H
#define IDENTITY_EXPIRY_H

#include "base/buf.h"

struct expiry_set;

enum { EXPIRY_NAME_BYTES_MAX = 1024 };

/* Reads `path` (made if it is not there; NULL: memory only), one line "SECONDS NAME" each, and
 * drops what has expired at `now` (seconds since 1970). A last line cut short by a crash was never
 * answered for and is dropped; any other damage is ERR_INVALID. `max` names. With `durable` an
 * addition is on the disk before it is answered; without, it survives our death but not the
 * machine's. `*out` is the caller's. ERR_IO, ERR_LIMIT, ERR_NOMEM. */
enum err expiry_open(const char *path, size_t max, bool durable, int64_t now,
                     struct expiry_set **out);
void expiry_close(struct expiry_set *s); /* NULL is allowed */

/* Adds `name` until `expires`. ERR_EXISTS (and not expired at `now`), ERR_LIMIT (full),
 * ERR_INVALID (empty, too long or with control characters), ERR_IO, ERR_NOMEM: it is not in the
 * set after any but ERR_EXISTS. */
enum err expiry_add(struct expiry_set *s, struct str name, int64_t expires, int64_t now);

/* Whether `name` is there. May say yes a while after its expiry. */
bool expiry_has(const struct expiry_set *s, struct str name);

size_t expiry_count(const struct expiry_set *s);

#endif
