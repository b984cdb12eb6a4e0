/* store/logins.h - people's sessions with the console. The cookie itself is never stored. */
#ifndef STORE_LOGINS_H
#define STORE_LOGINS_H

#include "store/people.h"

enum { LOGINS_OF_ONE_MAX = 20 }; /* the oldest gives way */

struct login {
    struct str cookie_hash; /* hexadecimal SHA-256 of the cookie's value */
    struct str csrf;
    struct person person;  /* as of this login */
    struct str_list chain; /* of the token that logged in: more than one entry is not a human */
    struct str token_id;
    int64_t created_us, expires_us;
};

/* Also people_put(). Removes the person's oldest beyond LOGINS_OF_ONE_MAX. One transaction, unless
 * within one. */
enum err logins_insert(struct db *db, const struct login *l);
/* ERR_NOT_FOUND: no such, or expired. */
enum err logins_get(struct db *db, struct str cookie_hash, int64_t now_us, struct arena *arena,
                    struct login *out);
/* OK also if there is none. */
enum err logins_delete(struct db *db, struct str cookie_hash);
enum err logins_delete_person(struct db *db, struct str issuer, struct str subject);
enum err logins_prune(struct db *db, int64_t now_us);

#endif
