/* protocol/postgres/deliver.h - the rows of the head's answer on their way to the client: through
 * its view, within its limits. For the downstream fiber. */
#ifndef PROTOCOL_POSTGRES_DELIVER_H
#define PROTOCOL_POSTGRES_DELIVER_H

#include "protocol/postgres/session.h"

/* [waits] Each takes the present message of the server, which has this body. */

/* RowDescription or NoData, in a Query or of a Describe of the gateway's own. */
enum err pgdeliver_description(struct pgsession *s, unsigned char type, uint32_t body_len);
/* DataRow. */
enum err pgdeliver_row(struct pgsession *s, uint32_t body_len);
/* CopyOutResponse, CopyData. */
enum err pgdeliver_copy_begin(struct pgsession *s, uint32_t body_len);
enum err pgdeliver_copy_data(struct pgsession *s, uint32_t body_len);

/* The rows of a statement are over: what was masked and found goes into the head's record, and what
 * is recorded of them is handed over. An error has ended the session. */
enum err pgdeliver_end(struct pgsession *s);

#endif
