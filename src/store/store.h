/* store/store.h - opening control's state as the configuration says, and the words that the
 * typed functions of this room share.
 *
 * All of them block briefly (store/db.h) and give, besides what each says, what db_exec() gives:
 * ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_IO, ERR_NOMEM, ERR_LIMIT, ERR_INVALID. Times are wall-clock
 * microseconds; 0 is "not yet". Texts that they hand out live in the caller's arena. Inside a
 * transaction (db_begin()) they are part of it. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"
#include "store/db.h"

enum {
    STORE_ID_BYTES = 16,     /* of an id: lower-case base32, 80 random bits */
    STORE_LIST_MAX = 500,    /* rows of one list */
    STORE_CHAIN_MAX = 16,    /* principals in a chain */
    STORE_GROUPS_MAX = 4096, /* of a person */
};

/* Opens the store of the configuration and brings it to the newest version. `*out` is the caller's,
 * to be ended with db_close(). */
enum err store_open(const struct config *config, struct db **out);

/* A new random id. ERR_IO: no randomness. */
enum err store_new_id(char out[STORE_ID_BYTES + 1]);

/* Whether `id` has the form of one: 16 characters of a-z and 2-7. */
bool store_is_id(struct str id);

/* Session ids as text: 16 hexadecimal digits, as in the ledger. ERR_INVALID. */
void store_session_text(uint64_t session, char out[17]);
enum err store_session_number(struct str text, uint64_t *out);

/* Lists as they are kept: a JSON array of strings. ERR_INVALID, ERR_LIMIT, ERR_NOMEM. */
void store_put_list(struct buf *out, struct str_list list);
enum err store_read_list(struct str text, size_t max, struct arena *arena, struct str_list *out);

/* `s` as a text that the store takes, at most `max` bytes: what is not UTF-8, and NUL, becomes '?'.
 * .ptr is NULL without memory. */
struct str store_clean(struct arena *arena, struct str s, size_t max);

/* Each id or signature may be used once until it expires: OK the first time, ERR_EXISTS afterwards.
 * `kind` keeps uses apart ("login", "slack"). `id` is hashed. */
enum err one_use_take(struct db *db, const char *kind, struct str id, int64_t now_us,
                      int64_t expires_us);
/* Forgets those that expired. */
enum err one_use_prune(struct db *db, int64_t now_us);

#endif
