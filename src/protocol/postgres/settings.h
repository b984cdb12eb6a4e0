/* protocol/postgres/settings.h - which settings a client may bring at start-up. Settings can
 * change what statements mean (standard_conforming_strings, session_replication_role, role), so
 * only those known to be harmless pass; all others are refused. Pure. */
#ifndef PROTOCOL_POSTGRES_SETTINGS_H
#define PROTOCOL_POSTGRES_SETTINGS_H

#include "base/arena.h"
#include "protocol/postgres/wire.h"

enum { PGSETTINGS_MAX = 64, PGSETTING_VALUE_MAX = 1024 };

struct pgsettings {
    struct pgwire_parameter items[PGSETTINGS_MAX];
    size_t n;
};

/* The settings of a StartupMessage, those inside its `options` included; user, database,
 * replication and "_pq_." parameters are not settings. Strings of `*out` are in `arena` or
 * borrowed from `start`. ERR_DENIED (a setting that is not passed on; err_text() names it),
 * ERR_INVALID (encoding, a value), ERR_PROTOCOL (`options` malformed), ERR_LIMIT, ERR_NOMEM. */
enum err pgsettings_read(const struct pgwire_start *start, struct arena *arena,
                         struct pgsettings *out);

/* What the client said that the session is for; empty: nothing. */
struct str pgsettings_purpose(const struct pgsettings *settings);

/* Whether `name` may be set at start-up. */
bool pgsettings_harmless(struct str name);

/* Whether PostgreSQL would take `value` for UTF8 (it ignores case and punctuation). */
bool pgsettings_is_utf8(struct str value);

#endif
