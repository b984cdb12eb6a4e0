/* store/people.h - the humans who logged in, as their identity provider described them last. */
#ifndef STORE_PEOPLE_H
#define STORE_PEOPLE_H

#include "store/store.h"

struct person {
    struct str issuer, subject;
    struct str name, email;
    struct str_list groups;
    int64_t seen_us; /* last login */
};

/* Adds or replaces. */
enum err people_put(struct db *db, const struct person *p);
/* ERR_NOT_FOUND. */
enum err people_get(struct db *db, struct str issuer, struct str subject, struct arena *arena,
                    struct person *out);
/* Whether a person of that subject, at any issuer, has this e-mail address (ASCII case ignored). */
enum err people_subject_has_email(struct db *db, struct str subject, struct str email, bool *out);

#endif
