/* protocol/postgres/errors.h - errors and notices of a server without the data that may be in their
 * words: a failing cast, a violated constraint, a RAISE quote values. Pure. */
#ifndef PROTOCOL_POSTGRES_ERRORS_H
#define PROTOCOL_POSTGRES_ERRORS_H

#include "base/buf.h"

enum { PGERRORS_BODY_MAX = 64 << 10 }; /* of an error: what is looked at */

/* Appends the whole message that stands for an ErrorResponse (`type` 'E') or NoticeResponse ('N')
 * with this body, or its beginning: severity, SQLSTATE, position and the names of schema, table,
 * column and constraint stay; the message is the SQLSTATE's meaning; all else goes. `out` may fail.
 */
void pgerrors_put_sanitised(unsigned char type, struct str body, struct buf *out);

/* What a SQLSTATE means, in PostgreSQL's own term; empty if it is not one of PostgreSQL's. */
struct str pgerrors_condition(struct str sqlstate);

#endif
